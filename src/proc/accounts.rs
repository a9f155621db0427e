//! Lines of passwd(5), group(5), subuid(5) and subgid(5): who has which ids. Pure.
//!
//! Lines that are broken are passed over, as the C library does; names are bytes. Not here: names for a table (`proc::users`), who of a
//! directory server there is, and what is made of the ids (`launch::run`).

use crate::model::id::parse_decimal;

/// A line of passwd(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswdLine<'t> {
    /// The name.
    pub name: &'t [u8],
    /// The uid.
    pub uid: u32,
    /// The gid of its primary group.
    pub gid: u32,
    /// The home directory; may be empty.
    pub home: &'t [u8],
}

/// Returns the lines of passwd(5), in order.
pub fn passwd(text: &[u8]) -> impl Iterator<Item = PasswdLine<'_>> {
    lines(text).filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = fields.nth(1).and_then(parse_decimal)?;
        let gid = fields.next().and_then(parse_decimal)?;
        let home = fields.nth(1).unwrap_or_default();
        Some(PasswdLine { name, uid, gid, home })
    })
}

/// A line of group(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLine<'t> {
    /// The name.
    pub name: &'t [u8],
    /// The gid.
    pub gid: u32,
    members: &'t [u8],
}

impl GroupLine<'_> {
    /// Says whether the line names this user as a member.
    pub fn has_member(&self, user: &[u8]) -> bool {
        self.members.split(|&byte| byte == b',').any(|member| member == user)
    }
}

/// Returns the lines of group(5), in order.
pub fn group(text: &[u8]) -> impl Iterator<Item = GroupLine<'_>> {
    lines(text).filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1).and_then(parse_decimal)?;
        Some(GroupLine { name, gid, members: fields.next().unwrap_or_default() })
    })
}

/// A line of subuid(5) or subgid(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubordinateLine<'t> {
    /// Whose: a name, or a uid in decimal.
    pub owner: &'t [u8],
    /// The first id.
    pub first: u32,
    /// How many, at least one; none of them is 4294967295, which is no id.
    pub count: u32,
}

/// Returns the lines of subuid(5) or subgid(5), in order. What goes beyond the last id is cut off.
pub fn subordinate(text: &[u8]) -> impl Iterator<Item = SubordinateLine<'_>> {
    lines(text).filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let owner = fields.next().filter(|owner| !owner.is_empty())?;
        let first = fields.next().and_then(parse_decimal::<u32>)?;
        let count = fields.next().and_then(parse_decimal::<u64>)?;
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(u32::MAX - first);
        (count > 0 && fields.next().is_none()).then_some(SubordinateLine { owner, first, count })
    })
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accounts_are_read_and_broken_lines_passed_over() {
        let text = b"root:x:0:0:root:/root:/bin/bash\n+::::::\nbad:x:1\n:x:1:1::/:\nal:x:1000:100:A,B:/h/al:/bin/sh\nb:x:7:8\n";
        let found: Vec<_> = passwd(text).collect();
        assert_eq!(found.len(), 3);
        assert_eq!(found[1], PasswdLine { name: b"al", uid: 1000, gid: 100, home: b"/h/al" });
        assert_eq!(found[2], PasswdLine { name: b"b", uid: 7, gid: 8, home: b"" });
    }

    #[test]
    fn groups_have_members() {
        let text = b"root:x:0:\nwheel:x:10:al,bob\nbad:x:-1:al\nlone:x:11\n";
        let found: Vec<_> = group(text).collect();
        assert_eq!(found.iter().map(|line| line.gid).collect::<Vec<_>>(), [0, 10, 11]);
        assert!(found[1].has_member(b"bob") && !found[1].has_member(b"bo") && !found[0].has_member(b"al"));
    }

    #[test]
    fn subordinate_ids_end_where_ids_end() {
        let text = b"al:100000:65536\n1000:5:0\nx:1\n:1:1\nal:1:2:3\n1000:4294967294:99999999999\nz:4294967295:1\n";
        let found: Vec<_> = subordinate(text).map(|line| (line.first, line.count)).collect();
        assert_eq!(found, [(100_000, 65_536), (4_294_967_294, 1)]);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (passwd(&text).count(), group(&text).count());
            for line in subordinate(&text) {
                prop_assert!(line.count > 0 && line.first.checked_add(line.count).is_some());
            }
        }

        #[test]
        fn nor_does_one_that_looks_like_it(text in "([a-z0-9]{0,3}:[0-9]{0,11}:[0-9]{0,12}\n){0,5}") {
            for line in subordinate(text.as_bytes()) {
                prop_assert!(line.count > 0 && line.first.checked_add(line.count).is_some());
            }
        }
    }
}
