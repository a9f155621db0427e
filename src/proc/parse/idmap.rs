//! `/proc/PID/uid_map` and `gid_map`, see user_namespaces(7).

use crate::model::id::parse_decimal;

/// Which ids of a user namespace are which ids outside of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap {
    ranges: Vec<[u32; 3]>,
}

impl IdMap {
    /// Parses the file: lines of an id inside, one outside (as the reader's user namespace has it), and a length.
    pub fn parse(text: &[u8]) -> IdMap {
        let ranges = text
            .split(|&byte| byte == b'\n')
            .filter_map(|line| {
                let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
                let mut next = || fields.next().and_then(parse_decimal::<u32>);
                Some([next()?, next()?, next()?])
            })
            .collect();
        IdMap { ranges }
    }

    /// Returns what an id outside is inside.
    pub fn inside(&self, outside: u32) -> Option<u32> {
        self.ranges.iter().find_map(|&[inside, start, length]| {
            let offset = outside.checked_sub(start).filter(|offset| *offset < length)?;
            inside.checked_add(offset)
        })
    }

    /// Says whether there is such an id inside.
    pub fn has(&self, id: u32) -> bool {
        self.ranges.iter().any(|&[inside, _, length]| id.checked_sub(inside).is_some_and(|offset| offset < length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_found_in_their_range() {
        let map = IdMap::parse(b"         0       1000          1\n         1     100000      65536\n");
        assert_eq!(map.inside(1000), Some(0));
        assert_eq!(map.inside(100_000), Some(1));
        assert_eq!(map.inside(165_535), Some(65_536));
        assert_eq!(map.inside(165_536), None);
        assert_eq!(map.inside(0), None);
        assert!(map.has(0) && map.has(65_536) && !map.has(65_537));
        assert!(!IdMap::parse(b"").has(0));
        assert!(!IdMap::parse(b"1000 1000 1\n").has(0));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..100), id in any::<u32>()) {
            let map = IdMap::parse(&text);
            let _ = (map.inside(id), map.has(id));
        }
    }
}
