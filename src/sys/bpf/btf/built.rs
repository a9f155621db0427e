//! BTF that is built for tests: types one after the other, each known by the number that it gets.
//!
//! Kinds are written as numbers here, as `include/uapi/linux/btf.h` has them, so that the reader's own table is checked,
//! too.

use super::TypeId;

/// A type list in the making.
#[derive(Clone, Default)]
pub(crate) struct Built {
    types: Vec<u8>,
    strings: Vec<u8>,
    layout: Vec<u8>,
    /// How many bytes each type has.
    sizes: Vec<u32>,
}

impl Built {
    pub(crate) fn new() -> Built {
        Built { strings: vec![0], ..Built::default() }
    }

    /// The number that the next type will have.
    pub(crate) fn next(&self) -> TypeId {
        TypeId(self.sizes.len() as u32 + 1)
    }

    /// Any type: `info` is kind, number of elements and flag together, `size` what [`Built::lay_out`] takes it for.
    pub(crate) fn raw(&mut self, name: &str, info: u32, word: u32, body: &[u32], size: u32) -> TypeId {
        let id = self.next();
        let name = self.name(name);
        for word in [name, info, word].iter().chain(body) {
            self.types.extend(word.to_ne_bytes());
        }
        self.sizes.push(size);
        id
    }

    /// A type of a kind that has nothing but its head, and is of another type.
    pub(crate) fn of(&mut self, kind: u32, name: &str, of: TypeId) -> TypeId {
        let size = self.size(of);
        self.raw(name, kind << 24, of.0, &[], size)
    }

    pub(crate) fn int(&mut self, name: &str, bytes: u32) -> TypeId {
        self.raw(name, 1 << 24, bytes, &[bytes * 8], bytes)
    }

    pub(crate) fn pointer(&mut self, to: TypeId) -> TypeId {
        self.raw("", 2 << 24, to.0, &[], 8)
    }

    pub(crate) fn array(&mut self, of: TypeId, count: u32) -> TypeId {
        let size = self.size(of).saturating_mul(count);
        self.raw("", 3 << 24, 0, &[of.0, 1, count], size)
    }

    pub(crate) fn function(&mut self, name: &str) -> TypeId {
        self.raw(name, 12 << 24 | 1, 0, &[], 0)
    }

    /// A struct whose members are where they are said to be, in bits.
    pub(crate) fn structure(&mut self, name: &str, bytes: u32, members: &[(&str, TypeId, u32)]) -> TypeId {
        self.compound(4 << 24, name, bytes, members)
    }

    pub(crate) fn union(&mut self, name: &str, bytes: u32, members: &[(&str, TypeId, u32)]) -> TypeId {
        self.compound(5 << 24, name, bytes, members)
    }

    /// As [`Built::structure`], with the flag: offsets have the size of a bit field in their upper eight bits.
    pub(crate) fn flagged(&mut self, name: &str, bytes: u32, members: &[(&str, TypeId, u32)]) -> TypeId {
        self.compound(4 << 24 | 1 << 31, name, bytes, members)
    }

    /// A struct whose members follow each other as C puts them.
    pub(crate) fn lay_out(&mut self, name: &str, members: &[(&str, TypeId)]) -> TypeId {
        let mut at = 0u32;
        let mut placed = Vec::new();
        for &(member, of) in members {
            let size = self.size(of);
            at = at.next_multiple_of(if size.is_multiple_of(8) { 8 } else { 4 });
            placed.push((member, of, at * 8));
            at += size;
        }
        self.structure(name, at.next_multiple_of(8), &placed)
    }

    /// Adds `struct btf_layout` of as many kinds.
    pub(crate) fn describe_kinds(&mut self, lengths: &[(u8, u8)]) {
        self.layout = lengths.iter().flat_map(|&(once, each)| [once, each, 0, 0]).collect();
    }

    /// The file, with the longer header only where there is need.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut sections = vec![0, types, types, strings];
        if !self.layout.is_empty() {
            sections.extend([types + strings, self.layout.len() as u32]);
        }
        let header = 8 + 4 * sections.len() as u32;
        let mut bytes = Vec::from(0xeb9fu16.to_ne_bytes());
        bytes.extend([1, 0]);
        bytes.extend([header].iter().chain(&sections).flat_map(|word| word.to_ne_bytes()));
        bytes.extend(self.types.iter().chain(&self.strings).chain(&self.layout));
        bytes
    }

    fn compound(&mut self, info: u32, name: &str, bytes: u32, members: &[(&str, TypeId, u32)]) -> TypeId {
        let body: Vec<u32> = members.iter().flat_map(|&(member, of, place)| [self.name(member), of.0, place]).collect();
        self.raw(name, info | members.len() as u32, bytes, &body, bytes)
    }

    /// A pointer's size is taken for what is not there yet.
    fn size(&self, of: TypeId) -> u32 {
        (of.0 as usize).checked_sub(1).and_then(|place| self.sizes.get(place)).copied().unwrap_or(8)
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(name.bytes().chain([0]));
        at
    }
}
