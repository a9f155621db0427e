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

    /// Returns the map of these lines: an id inside, one outside, and a length.
    pub fn from_ranges(ranges: Vec<[u32; 3]>) -> IdMap {
        IdMap { ranges }
    }

    /// Returns what an id outside is inside.
    pub fn inside(&self, outside: u32) -> Option<u32> {
        self.ranges.iter().find_map(|&[inside, start, length]| {
            let offset = outside.checked_sub(start).filter(|offset| *offset < length)?;
            inside.checked_add(offset)
        })
    }

    /// Returns what an id inside is outside.
    pub fn outside(&self, inside: u32) -> Option<u32> {
        self.ranges.iter().find_map(|&[first, start, length]| {
            let offset = inside.checked_sub(first).filter(|offset| *offset < length)?;
            start.checked_add(offset)
        })
    }

    /// Returns the lines: the first id inside, the first one outside, how many.
    pub fn ranges(&self) -> &[[u32; 3]] {
        &self.ranges
    }

    /// Says whether every id is itself, as in the initial user namespace.
    pub fn is_everything(&self) -> bool {
        self.ranges == [[0, 0, u32::MAX]]
    }

    /// Says whether there are `count` ids inside from `first` on, in however many lines.
    pub fn has_all(&self, first: u32, count: u32) -> bool {
        let (mut next, end) = (u64::from(first), u64::from(first) + u64::from(count));
        while next < end {
            let line = self.ranges.iter().find(|&&[inside, _, length]| {
                (u64::from(inside)..u64::from(inside) + u64::from(length)).contains(&next)
            });
            let Some(&[inside, _, length]) = line else { return false };
            next = u64::from(inside) + u64::from(length);
        }
        true
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

    #[test]
    fn ranges_are_seen_across_lines() {
        let map = IdMap::parse(b"0 1000 1\n1 100000 65536\n70000 5 10\n");
        assert_eq!((map.outside(0), map.outside(65_536), map.outside(65_537)), (Some(1000), Some(165_535), None));
        assert!(map.has_all(0, 65_537) && !map.has_all(0, 65_538) && map.has_all(70_003, 7) && !map.has_all(69_999, 2));
        assert!(!map.is_everything());
        let all = IdMap::parse(b"         0          0 4294967295\n");
        assert!(all.is_everything() && all.has_all(0, u32::MAX) && !all.has_all(1, u32::MAX));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..100), id in any::<u32>()) {
            let map = IdMap::parse(&text);
            let _ = (map.inside(id), map.outside(id), map.has(id), map.has_all(id, id));
        }
    }
}
