//! A second reader of BTF, as simple as can be and not quick, to check what the first one says.
//!
//! It asks the other way round: not where a member of a name is, but what there is at an offset.

use std::collections::HashSet;
use std::ops::Range;

/// So many places are looked at to find out what is at an offset; of more it is not said.
const MOST_PLACES: usize = 100_000;

/// A type.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    flag: bool,
    elements: u32,
    /// Its size, or what it is of.
    word: u32,
    /// Where it begins in the file.
    at: usize,
    /// Where the next one does.
    end: usize,
}

/// All types of a file, up to where they make no sense any more.
pub(crate) struct Plain<'d> {
    bytes: &'d [u8],
    strings: Range<usize>,
    /// Where the lengths of kinds are, if they are anywhere.
    layout: Range<usize>,
    types: Vec<Type>,
}

impl<'d> Plain<'d> {
    pub(crate) fn new(bytes: &'d [u8]) -> Option<Plain<'d>> {
        let word = |at| word(bytes, at).map(|word| word as usize);
        let header = word(4)?;
        let (first, end) = (header + word(8)?, header + word(8)? + word(12)?);
        let strings = header + word(16)?..header + word(16)? + word(20)?;
        let layout = if header >= 32 { header + word(24)?..header + word(24)? + word(28)? } else { 0..0 };
        let mut plain = Plain { bytes, strings, layout, types: Vec::new() };
        let mut at = first;
        while let Some(found) = plain.parse(at, end) {
            plain.types.push(found);
            at = found.end;
        }
        Some(plain)
    }

    fn parse(&self, at: usize, end: usize) -> Option<Type> {
        let word = |place: usize| word(&self.bytes[..end.min(self.bytes.len())], at + 4 * place);
        let (name, info, of) = (word(0)?, word(1)?, word(2)?);
        let (kind, elements) = (info >> 24 & 0x7f, info & 0xff_ffff);
        let length = match kind {
            1 | 14 | 17 => 4,
            3 => 12,
            4 | 5 | 15 | 19 => 12 * elements as usize,
            6 | 13 => 8 * elements as usize,
            2 | 7..=12 | 16 | 18 => 0,
            0 => return None,
            // Its length stands in the file, if anywhere.
            kind => match self.bytes.get(self.layout.clone())?.chunks_exact(4).nth(kind as usize)? {
                [once, each, ..] => usize::from(*once) + usize::from(*each) * elements as usize,
                _ => return None,
            },
        };
        Some(Type { name, kind, flag: info >> 31 != 0, elements, word: of, at, end: at + 12 + length })
    }

    fn get(&self, id: u32) -> Option<Type> {
        self.types.get((id as usize).checked_sub(1)?).copied()
    }

    fn text(&self, name: u32) -> Option<&'d [u8]> {
        let rest = self.bytes.get(self.strings.clone())?.get(name as usize..)?;
        rest.iter().position(|&byte| byte == 0).map(|end| &rest[..end])
    }

    /// The first type of a kind and name.
    pub(crate) fn first(&self, kind: u32, name: &str) -> Option<u32> {
        let place = self.types.iter().position(|one| one.kind == kind && self.text(one.name) == Some(name.as_bytes()));
        place.map(|place| place as u32 + 1)
    }

    /// Where a type stands in the file.
    pub(crate) fn place(&self, id: u32) -> Option<Range<usize>> {
        self.get(id).map(|one| one.at..one.end)
    }

    /// The types that members of a struct have, without any of their names.
    pub(crate) fn members(&self, id: u32) -> Vec<u32> {
        let Some(one) = self.get(id) else { return Vec::new() };
        (0..one.elements as usize).map_while(|place| word(self.bytes, one.at + 12 + place * 12 + 4)).collect()
    }

    /// The type behind typedefs and the like.
    pub(crate) fn behind(&self, mut id: u32) -> u32 {
        for _ in 0..1000 {
            match self.get(id) {
                Some(one) if matches!(one.kind, 8 | 9 | 10 | 11 | 18) => id = one.word,
                _ => break,
            }
        }
        id
    }

    pub(crate) fn pointee(&self, id: u32) -> Option<u32> {
        self.get(self.behind(id)).filter(|one| one.kind == 2).map(|one| self.behind(one.word))
    }

    pub(crate) fn size(&self, id: u32) -> Option<u64> {
        let (mut id, mut times) = (id, 1u64);
        for _ in 0..1000 {
            let one = self.get(self.behind(id))?;
            match one.kind {
                1 | 4 | 5 | 6 | 19 => return times.checked_mul(u64::from(one.word)),
                2 => return times.checked_mul(8),
                3 => {
                    id = word(self.bytes, one.at + 12)?;
                    times = times.checked_mul(u64::from(word(self.bytes, one.at + 20)?))?;
                }
                _ => return None,
            }
        }
        None
    }

    /// What of so many bytes there is at an offset into a struct: members, members of members, or parts of a text. `None`
    /// where there is too much to look at.
    pub(crate) fn at(&self, of: u32, offset: u32, width: u32) -> Option<Vec<u32>> {
        let (wanted, width) = (u64::from(offset), u64::from(width));
        if self.size(of).is_none_or(|size| wanted + width > size) {
            return Some(Vec::new());
        }
        let (mut found, mut seen, mut left) = (Vec::new(), HashSet::new(), vec![(self.behind(of), 0u64)]);
        while let Some((id, bits)) = left.pop() {
            if bits > wanted * 8 || !seen.insert((id, bits)) {
                continue;
            }
            if seen.len() > MOST_PLACES {
                return None;
            }
            let Some(one) = self.get(id) else { continue };
            let size = self.size(id);
            let within = |size: u64| bits % 8 == 0 && wanted + width <= bits / 8 + size;
            let is_text = || word(self.bytes, one.at + 12).and_then(|element| self.size(element)) == Some(1);
            if (bits == wanted * 8 && size == Some(width)) || (one.kind == 3 && size.is_some_and(within) && is_text()) {
                found.push(id);
            }
            if matches!(one.kind, 4 | 5) {
                for place in 0..one.elements as usize {
                    let member = |part| word(self.bytes, one.at + 12 + place * 12 + part);
                    let (Some(inner), Some(offset)) = (member(4), member(8)) else { break };
                    let inner = self.behind(inner);
                    let is_whole = matches!(self.get(inner), Some(Type { kind: 4 | 5, .. }));
                    match (one.flag, offset & 0xff_ffff, offset >> 24) {
                        (false, ..) => left.push((inner, bits + u64::from(offset))),
                        (true, offset, field) if field == 0 || is_whole => left.push((inner, bits + u64::from(offset))),
                        _ => {}
                    }
                }
            }
        }
        Some(found)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
