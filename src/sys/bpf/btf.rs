//! The kernel's own description of its types: BTF, from `/sys/kernel/btf/vmlinux`.
//!
//! Only what is asked for is walked: types have no fixed length, so the list is gone through once, as far as the last name that is
//! wanted, and where each type begins is noted on the way. The bytes are taken for whatever they may be: nothing here panics on
//! them, recurses without end, or hands out an offset beyond the end of its type. Not here: programs (`assemble`).
//!
//! See `Documentation/bpf/btf.rst` and `include/uapi/linux/btf.h`.

use std::fmt;

/// The number of a type: its place in the list, from 1. Zero is `void`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeId(pub u32);

/// A member of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it begins, in bytes from the beginning of the type.
    pub offset: u32,
    /// How many bytes it has.
    pub size: u32,
    /// Its type.
    pub of: TypeId,
}

/// Why the types do not say what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BtfError {
    /// The bytes are no BTF, or end in the middle: what is wrong.
    Malformed(&'static str),
    /// The list has a kind of type whose length is not known, in front of what is looked for.
    UnknownKind(u8),
    /// There is no such type.
    NoType(&'static str),
    /// A type has no such member, or it is not what the path takes it for.
    NoMember {
        /// The path that was walked.
        path: &'static str,
        /// Where it ended.
        at: String,
    },
    /// A member has another size than what it is to be loaded into.
    Size {
        /// The path of the member.
        path: &'static str,
        /// How many bytes it has.
        is: u32,
        /// How many were expected.
        expected: u32,
    },
}

impl fmt::Display for BtfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BtfError::Malformed(what) => write!(f, "the kernel's types are malformed: {what}"),
            BtfError::UnknownKind(kind) => write!(f, "the kernel's types are of an unknown kind: {kind}"),
            BtfError::NoType(name) => write!(f, "the kernel's types do not have {name}"),
            BtfError::NoMember { path, at } => {
                write!(f, "the kernel's types do not have {path}: there is no {}", at.escape_debug())
            }
            BtfError::Size { path, is, expected } => {
                write!(f, "the kernel's {path} has {is} bytes, where {expected} were expected")
            }
        }
    }
}

impl std::error::Error for BtfError {}

/// The kinds of types that anything is asked of, by their numbers.
mod kind {
    pub(super) const INT: u8 = 1;
    pub(super) const PTR: u8 = 2;
    pub(super) const ARRAY: u8 = 3;
    pub(super) const STRUCT: u8 = 4;
    pub(super) const UNION: u8 = 5;
    pub(super) const ENUM: u8 = 6;
    pub(super) const TYPEDEF: u8 = 8;
    pub(super) const VOLATILE: u8 = 9;
    pub(super) const CONST: u8 = 10;
    pub(super) const RESTRICT: u8 = 11;
    pub(super) const FUNC: u8 = 12;
    pub(super) const TYPE_TAG: u8 = 18;
    pub(super) const ENUM64: u8 = 19;
}

/// How many bytes follow the head of a type, by its kind: once, and for each of its elements. What the kernel adds says so itself.
const LENGTHS: [(u8, u8); 20] = [
    (0, 0),  // void, which is not in the list
    (4, 0),  // INT
    (0, 0),  // PTR
    (12, 0), // ARRAY
    (0, 12), // STRUCT
    (0, 12), // UNION
    (0, 8),  // ENUM
    (0, 0),  // FWD
    (0, 0),  // TYPEDEF
    (0, 0),  // VOLATILE
    (0, 0),  // CONST
    (0, 0),  // RESTRICT
    (0, 0),  // FUNC, whose number of elements is its linkage
    (0, 8),  // FUNC_PROTO
    (4, 0),  // VAR
    (0, 12), // DATASEC
    (0, 0),  // FLOAT
    (4, 0),  // DECL_TAG
    (0, 0),  // TYPE_TAG
    (0, 12), // ENUM64
];

const MAGIC: u16 = 0xEB9F;
/// The head of a type: offset of its name, kind and number of elements, size or type.
const HEAD: usize = 12;
/// A pointer; there is no BPF where it has another size.
const POINTER_BYTES: u32 = 8;
/// No chain of typedefs, of `const` and the like, or of anonymous members is longer.
const MOST_STEPS: usize = 32;
/// So many members are looked at to find one: garbage may contain itself.
const MOST_MEMBERS: usize = 1 << 16;

/// A name that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A struct.
    Struct(&'static str),
    /// A function.
    Function(&'static str),
}

impl Named {
    const fn parts(self) -> (u8, &'static str) {
        match self {
            Named::Struct(name) => (kind::STRUCT, name),
            Named::Function(name) => (kind::FUNC, name),
        }
    }
}

/// The head of a type.
#[derive(Clone, Copy)]
struct Head {
    name: u32,
    kind: u8,
    /// Whether offsets of members are offsets and sizes of bit fields at the same time.
    kind_flag: bool,
    elements: u32,
    /// The size, or the type that it is of.
    word: u32,
    /// Where what follows begins.
    body: usize,
}

/// The types of a kernel.
pub struct Btf<'d> {
    types: &'d [u8],
    strings: &'d [u8],
    /// `struct btf_layout` of every kind, where the kernel has them.
    layout: &'d [u8],
    /// Where the types begin, as far as they were walked.
    index: Vec<u32>,
    /// Where the next one begins.
    next: usize,
}

impl<'d> Btf<'d> {
    /// Takes the bytes of a BTF file.
    ///
    /// # Errors
    /// Where its header is not one, or points elsewhere.
    pub fn new(bytes: &'d [u8]) -> Result<Btf<'d>, BtfError> {
        let head = |at| word(bytes, at).ok_or(BtfError::Malformed("it ends in its header"));
        let magic = u16::from_ne_bytes(*bytes.first_chunk().ok_or(BtfError::Malformed("it is empty"))?);
        if magic != MAGIC {
            return Err(BtfError::Malformed("it does not begin like one"));
        }
        let header = head(4)?;
        let section = |offset: u32, length: u32| {
            let from = (header as usize).checked_add(offset as usize)?;
            bytes.get(from..from.checked_add(length as usize)?)
        };
        let outside = BtfError::Malformed("a section lies outside");
        let types = section(head(8)?, head(12)?).ok_or(outside.clone())?;
        let strings = section(head(16)?, head(20)?).ok_or(outside.clone())?;
        let layout = if header >= 32 { section(head(24)?, head(28)?).ok_or(outside)? } else { &[] };
        Ok(Btf { types, strings, layout, index: Vec::with_capacity(1 << 16), next: 0 })
    }

    /// Finds types by their names, each the first of its name, as the kernel does.
    ///
    /// # Errors
    /// [`BtfError::NoType`] of the first that is not there.
    pub fn find<const N: usize>(&mut self, names: [Named; N]) -> Result<[TypeId; N], BtfError> {
        let found = self.find_some(names)?;
        let mut all = [TypeId::default(); N];
        for (place, (id, name)) in found.into_iter().zip(names).enumerate() {
            all[place] = id.ok_or(BtfError::NoType(name.parts().1))?;
        }
        Ok(all)
    }

    /// As [`Btf::find`], and leaves out what is not there.
    ///
    /// # Errors
    /// Where the list cannot be walked to its end, and not everything was found before.
    pub fn find_some<const N: usize>(&mut self, names: [Named; N]) -> Result<[Option<TypeId>; N], BtfError> {
        let mut found = [None; N];
        let mut left = N;
        let mut id = 1;
        while left > 0 {
            let head = match self.index.get(id as usize - 1) {
                Some(&at) => self.head_at(at as usize)?,
                None => match self.walk_on()? {
                    Some(head) => head,
                    None => break,
                },
            };
            if head.kind == kind::STRUCT || head.kind == kind::FUNC {
                for (place, name) in names.into_iter().enumerate() {
                    let (kind, name) = name.parts();
                    if head.kind == kind && found[place].is_none() && self.is_named(head.name, name) {
                        found[place] = Some(TypeId(id));
                        left -= 1;
                    }
                }
            }
            id += 1;
        }
        Ok(found)
    }

    /// Finds a member of a struct or union by a path such as `ns.inum`, also within anonymous members.
    ///
    /// # Errors
    /// [`BtfError::NoMember`] where there is none, or it is a bit field; [`BtfError::Malformed`].
    pub fn member(&mut self, of: TypeId, path: &'static str, step: &'static str) -> Result<Member, BtfError> {
        let absent = |at: &str| BtfError::NoMember { path, at: at.to_owned() };
        let whole = self.size(of)?.ok_or_else(|| absent(step))?;
        let (mut offset, mut of) = (0u32, of);
        for name in step.split('.') {
            let mut budget = MOST_MEMBERS;
            let (bits, inner) = self.member_bits(of, name, MOST_STEPS, &mut budget)?.ok_or_else(|| absent(name))?;
            if bits % 8 != 0 {
                return Err(absent(name));
            }
            offset = offset.checked_add(bits / 8).ok_or(BtfError::Malformed("an offset is too large"))?;
            of = inner;
        }
        let size = self.size(of)?.ok_or_else(|| absent(step))?;
        if offset.checked_add(size).is_none_or(|end| end > whole) {
            return Err(BtfError::Malformed("a member ends behind its struct"));
        }
        Ok(Member { offset, size, of })
    }

    /// Returns what a pointer points to, if it is one.
    ///
    /// # Errors
    /// Where the list cannot be walked so far.
    pub fn pointee(&mut self, of: TypeId) -> Result<Option<TypeId>, BtfError> {
        let Some((_, head)) = self.resolve(of)? else { return Ok(None) };
        if head.kind != kind::PTR {
            return Ok(None);
        }
        Ok(Some(self.resolve(TypeId(head.word))?.map_or(TypeId::default(), |(id, _)| id)))
    }

    /// Returns how many bytes a type has; `None` where it has none, or they are not known.
    ///
    /// # Errors
    /// Where the list cannot be walked so far.
    pub fn size(&mut self, of: TypeId) -> Result<Option<u32>, BtfError> {
        let (mut of, mut times) = (of, 1u32);
        for _ in 0..MOST_STEPS {
            let Some((_, head)) = self.resolve(of)? else { return Ok(None) };
            let size = match head.kind {
                kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 => head.word,
                kind::PTR => POINTER_BYTES,
                kind::ARRAY => {
                    let element = self.type_word(head.body)?;
                    let count = self.type_word(head.body + 8)?;
                    (of, times) = (
                        TypeId(element),
                        times.checked_mul(count).ok_or(BtfError::Malformed("an array is too large"))?,
                    );
                    continue;
                }
                _ => return Ok(None),
            };
            return size.checked_mul(times).map(Some).ok_or(BtfError::Malformed("an array is too large"));
        }
        Err(BtfError::Malformed("arrays of arrays without end"))
    }

    /// Returns the type of the elements of an array, if it is one.
    ///
    /// # Errors
    /// Where the list cannot be walked so far.
    pub fn element(&mut self, of: TypeId) -> Result<Option<TypeId>, BtfError> {
        let Some((_, head)) = self.resolve(of)? else { return Ok(None) };
        if head.kind != kind::ARRAY {
            return Ok(None);
        }
        let element = TypeId(self.type_word(head.body)?);
        Ok(self.resolve(element)?.map(|(id, _)| id))
    }

    /// Returns where a member begins, in bits from the beginning of the type, and its type.
    fn member_bits(
        &mut self,
        of: TypeId,
        name: &str,
        depth: usize,
        budget: &mut usize,
    ) -> Result<Option<(u32, TypeId)>, BtfError> {
        let Some((_, head)) = self.resolve(of)? else { return Ok(None) };
        if !matches!(head.kind, kind::STRUCT | kind::UNION) || depth == 0 {
            return Ok(None);
        }
        for place in 0..head.elements as usize {
            *budget = budget.checked_sub(1).ok_or(BtfError::Malformed("members without end"))?;
            let at = head.body + place * 12;
            let (member, inner, offset) = (self.type_word(at)?, self.type_word(at + 4)?, self.type_word(at + 8)?);
            let (bits, bit_field) = if head.kind_flag { (offset & 0x00ff_ffff, offset >> 24) } else { (offset, 0) };
            if member != 0 && self.is_named(member, name) {
                return Ok(Some((bits, TypeId(inner))).filter(|_| bit_field == 0));
            }
            if member == 0 || self.is_named(member, "") {
                // The members of an anonymous one count as those of the type itself.
                if let Some((more, found)) = self.member_bits(TypeId(inner), name, depth - 1, budget)? {
                    let bits = bits.checked_add(more).ok_or(BtfError::Malformed("an offset is too large"))?;
                    return Ok(Some((bits, found)));
                }
            }
        }
        Ok(None)
    }

    /// Goes through typedefs, `const` and the like to the type itself; `None` is `void`.
    fn resolve(&mut self, of: TypeId) -> Result<Option<(TypeId, Head)>, BtfError> {
        let mut id = of.0;
        for _ in 0..MOST_STEPS {
            if id == 0 {
                return Ok(None);
            }
            let head = self.head(id)?;
            match head.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => id = head.word,
                _ => return Ok(Some((TypeId(id), head))),
            }
        }
        Err(BtfError::Malformed("types of types without end"))
    }

    fn head(&mut self, id: u32) -> Result<Head, BtfError> {
        while self.index.len() < id as usize {
            self.walk_on()?.ok_or(BtfError::Malformed("it has fewer types than it says"))?;
        }
        self.head_at(self.index[id as usize - 1] as usize)
    }

    /// Takes in the next type; `None` at the end of the list.
    fn walk_on(&mut self) -> Result<Option<Head>, BtfError> {
        if self.next >= self.types.len() {
            return Ok(None);
        }
        let head = self.head_at(self.next)?;
        let (once, each) = self.lengths(head.kind)?;
        let elements = if each == 0 { 0 } else { head.elements as usize };
        self.index.push(self.next as u32);
        self.next = head.body + usize::from(once) + usize::from(each) * elements;
        Ok(Some(head))
    }

    fn lengths(&self, kind: u8) -> Result<(u8, u8), BtfError> {
        match LENGTHS.get(usize::from(kind)) {
            Some(&known) if kind != 0 => Ok(known),
            _ => match self.layout.chunks_exact(4).nth(usize::from(kind)) {
                Some(&[once, each, ..]) if kind != 0 => Ok((once, each)),
                _ => Err(BtfError::UnknownKind(kind)),
            },
        }
    }

    fn head_at(&self, at: usize) -> Result<Head, BtfError> {
        let bytes = self.types.get(at..at + HEAD).ok_or(BtfError::Malformed("it ends in a type"))?;
        let word =
            |place: usize| u32::from_ne_bytes([bytes[place], bytes[place + 1], bytes[place + 2], bytes[place + 3]]);
        // Older kernels keep 16 bits of elements and five of the kind, and zeros above them.
        let info = word(4);
        Ok(Head {
            name: word(0),
            kind: (info >> 24 & 0x7f) as u8,
            kind_flag: info >> 31 != 0,
            elements: info & 0x00ff_ffff,
            word: word(8),
            body: at + HEAD,
        })
    }

    fn type_word(&self, at: usize) -> Result<u32, BtfError> {
        word(self.types, at).ok_or(BtfError::Malformed("it ends in a type"))
    }

    fn is_named(&self, offset: u32, name: &str) -> bool {
        self.strings
            .get(offset as usize..)
            .and_then(|rest| rest.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(crate) mod built;
#[cfg(test)]
pub(crate) mod plain;
#[cfg(test)]
mod tests;
