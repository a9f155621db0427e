//! A range of 65536 ids that nobody else has.
//!
//! Ranges are those that systemd documents for containers (<https://systemd.io/UIDS-GIDS>), 524288 to 1879048191, each starting at a
//! multiple of 65536. One is drawn, and passed over where an account or a subordinate range of the host touches it, or where systemd has
//! given it away. Then a name in the abstract namespace of unix sockets is taken for it: the kernel gives a name to one socket at a
//! time and forgets it with the socket, so that nothing is left behind however nsx ends. Each network namespace has names of its own;
//! that two sandboxes which were started from different ones draw the same of 28664 ranges is improbable, and not ruled out.
//!
//! Processes are never looked at: a host may have ten thousand, and who starts one later cannot be seen at all.

use std::hash::{BuildHasher, Hasher};
use std::os::fd::OwnedFd;
use std::path::Path;

use super::{Caller, IdError};
use crate::proc::accounts;
use crate::proc::parse::IdMap;
use crate::sys::{SysError, socket};

/// How many ids a range has: those that 16 bits can tell apart, which is what programs inside take for granted.
pub(super) const SIZE: u32 = 1 << 16;

/// The ranges of systemd's, by their base over [`SIZE`].
const CONTAINERS: [u32; 2] = [0x0008, 0x6FFF];

/// Takes a range for its holder: the descriptor holds it; `None` where somebody has it. Given the base here, and one level up.
pub(super) type Take<'t> = &'t mut dyn FnMut(u32, u32) -> Result<Option<OwnedFd>, SysError>;

/// Takes a range by its name, see above.
pub(super) fn take(base: u32, outside: u32) -> Result<Option<OwnedFd>, SysError> {
    // systemd-nspawn locks a file of this name, systemd-nsresourced keeps one for each range that it has delegated.
    let theirs =
        [format!("/run/systemd/nspawn-uid/{base}"), format!("/run/systemd/nsresource/registry/u{base}.userns")];
    if theirs.iter().any(|file| Path::new(file).exists()) {
        return Ok(None);
    }
    // By the number that the next user namespace up has, so that siblings which share a network namespace do not pass for each other.
    socket::take_name(format!("nsx/ids/{outside:x}").as_bytes())
}

/// Returns a number that nobody can tell before. It is what the standard library seeds its tables with, from getrandom(2).
pub(super) fn random() -> u32 {
    std::hash::RandomState::new().build_hasher().finish() as u32
}

/// Picks a range and takes it; `None` where the caller's user namespace has no room for one beside its own root.
///
/// # Errors
/// [`IdError::NoFreeRange`] where there are ranges, but none is free; what socket(2) or bind(2) says.
pub(super) fn pick(caller: &Caller, random: u32, take: Take<'_>) -> Result<Option<(u32, OwnedFd)>, IdError> {
    let taken = Taken::of(caller);
    let all = blocks(caller);
    let containers: Vec<[u32; 2]> = all
        .iter()
        .map(|[first, last]| [*first.max(&CONTAINERS[0]), *last.min(&CONTAINERS[1])])
        .filter(|[first, last]| first <= last)
        .collect();
    // Outside of systemd's ranges are those of nobody only where a user namespace leaves no others.
    let ranges = if containers.is_empty() && !caller.uids.is_everything() { all } else { containers };
    let count: u32 = ranges.iter().map(|[first, last]| last - first + 1).sum();
    let mut held = 0;
    for step in 0..count {
        let place = ((u64::from(random) + u64::from(step)) % u64::from(count)) as u32;
        let Some(block) = nth(&ranges, place).filter(|block| !taken.has(*block)) else { continue };
        let base = block * SIZE;
        let outside = caller.uids.outside(base).unwrap_or(base);
        match take(base, outside).map_err(IdError::Lock)? {
            Some(lock) => return Ok(Some((base, lock))),
            None => held += 1,
        }
    }
    if count == 0 { Ok(None) } else { Err(IdError::NoFreeRange { ranges: count, held }) }
}

/// Returns the blocks that the user namespace has whole, both as uids and as gids, without the one of its root, as ranges of numbers.
fn blocks(caller: &Caller) -> Vec<[u32; 2]> {
    let whole = |map: &IdMap| -> Vec<[u64; 2]> {
        let ranges = map.ranges().iter().map(|&[first, _, count]| {
            let end = u64::from(first) + u64::from(count);
            // The last block is not whole: 4294967295 is no id.
            [u64::from(first).div_ceil(u64::from(SIZE)).max(1), (end / u64::from(SIZE)).min(0xFFFF)]
        });
        ranges.filter(|[first, end]| first < end).collect()
    };
    let gids = whole(&caller.gids);
    let both = whole(&caller.uids).into_iter().flat_map(|[first, end]| {
        gids.iter().map(move |[other, other_end]| [first.max(*other), end.min(*other_end)]).collect::<Vec<_>>()
    });
    both.filter(|[first, end]| first < end).map(|[first, end]| [first as u32, end as u32 - 1]).collect()
}

fn nth(ranges: &[[u32; 2]], mut place: u32) -> Option<u32> {
    for [first, last] in ranges {
        let length = last - first + 1;
        if place < length {
            return Some(first + place);
        }
        place -= length;
    }
    None
}

/// Which blocks of 65536 ids somebody has an id in, a bit for each.
struct Taken(Box<[u64; 1024]>);

impl Taken {
    fn of(caller: &Caller) -> Taken {
        let mut taken = Taken(Box::new([0; 1024]));
        for line in accounts::passwd(&caller.passwd) {
            taken.mark(line.uid, 1);
            taken.mark(line.gid, 1);
        }
        for line in accounts::group(&caller.group) {
            taken.mark(line.gid, 1);
        }
        for text in [&caller.subuid, &caller.subgid] {
            for line in accounts::subordinate(text) {
                taken.mark(line.first, line.count);
            }
        }
        taken
    }

    fn mark(&mut self, first: u32, count: u32) {
        for block in first / SIZE..=first.saturating_add(count - 1) / SIZE {
            self.0[block as usize / 64] |= 1 << (block % 64);
        }
    }

    fn has(&self, block: u32) -> bool {
        self.0[block as usize / 64] >> (block % 64) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn caller(map: &str) -> Caller {
        let map = IdMap::parse(map.as_bytes());
        Caller { uids: map.clone(), gids: map, ..Caller::default() }
    }

    fn free(_: u32, _: u32) -> Result<Option<OwnedFd>, SysError> {
        Ok(Some(std::fs::File::open("/dev/null").expect("/dev/null").into()))
    }

    fn base(caller: &Caller, random: u32) -> Option<u32> {
        pick(caller, random, &mut free).expect("a range").map(|(base, _)| base)
    }

    #[test]
    fn ranges_are_those_of_containers_where_there_are_any() {
        let root = caller("0 0 4294967295\n");
        assert_eq!(base(&root, 0), Some(0x0008_0000));
        assert_eq!(base(&root, 0x6FF7), Some(0x6FFF_0000));
        assert_eq!(base(&root, 0x6FF8), Some(0x0008_0000));
        // LXD gives a container that many.
        assert_eq!(base(&caller("0 1000000 1000000000\n"), 0), Some(0x0008_0000));
        // Two ranges of 65536: root's own, and one more.
        assert_eq!(base(&caller("0 700000 131072\n"), 5), Some(65_536));
        for small in ["0 700000 65536\n", "0 1000 1\n1 100000 65536\n", "0 1000 1\n", "", "5 5 131000\n"] {
            assert_eq!(base(&caller(small), 3), None, "{small}");
        }
        let uneven = Caller { gids: IdMap::parse(b"0 0 65536\n"), ..caller("0 0 4294967295\n") };
        assert_eq!(base(&uneven, 3), None);
    }

    #[test]
    fn ranges_of_others_are_passed_over() {
        let mut root = caller("0 0 4294967295\n");
        root.passwd = b"a:x:524288:0::/:\n".to_vec();
        root.group = b"g:x:655359:\n".to_vec();
        root.subuid = b"al:655360:65537\n".to_vec();
        root.subgid = b"al:851967:1\n".to_vec();
        // Blocks 8, 9, 10 and 11, 12 have somebody.
        assert_eq!(base(&root, 0), Some(13 * SIZE));
        let mut asked = Vec::new();
        let picked = pick(&root, 0, &mut |base, outside| {
            asked.push((base, outside));
            if asked.len() < 3 { Ok(None) } else { free(base, outside) }
        });
        assert_eq!(picked.expect("a range").map(|(base, _)| base), Some(15 * SIZE));
        assert_eq!(asked.len(), 3);
    }

    #[test]
    fn where_all_are_taken_an_error_says_so() {
        let mut root = caller("0 0 4294967295\n");
        let error = pick(&root, 9, &mut |_, _| Ok(None)).expect_err("held");
        assert_eq!(error, IdError::NoFreeRange { ranges: 0x6FF8, held: 0x6FF8 });
        root.subuid = b"x:0:4294967295\n".to_vec();
        let error = pick(&root, 9, &mut free).expect_err("taken");
        assert_eq!(error, IdError::NoFreeRange { ranges: 0x6FF8, held: 0 });
    }

    #[test]
    fn two_never_have_the_same() {
        // From 0x70000000 on nobody else looks.
        let first = take(0x7abc_0000, 0x7abc_0000).expect("a socket").expect("free");
        assert!(take(0x7abc_0000, 0x7abc_0000).expect("a socket").is_none());
        drop(first);
        assert!(take(0x7abc_0000, 0x7abc_0000).expect("a socket").is_some());
    }

    #[test]
    fn draws_differ() {
        let draws: std::collections::BTreeSet<u32> = (0..16).map(|_| random()).collect();
        assert!(draws.len() > 12, "{draws:?}");
    }

    proptest! {
        #[test]
        fn a_range_never_touches_anybodys(
            random in any::<u32>(),
            uids in proptest::collection::vec(0u32..3_000_000, 0..20),
            ranges in proptest::collection::vec((0u32..3_000_000, 1u32..400_000), 0..20),
        ) {
            let mut root = caller("0 0 4294967295\n");
            root.passwd = uids.iter().map(|uid| format!("u:x:{uid}:{uid}::/:\n")).collect::<String>().into_bytes();
            root.subgid = ranges.iter().map(|(first, count)| format!("u:{first}:{count}\n")).collect::<String>().into_bytes();
            let base = base(&root, random % 64).expect("there is room");
            prop_assert!((524_288..=1_879_048_191 - 65_535).contains(&base) && base.is_multiple_of(SIZE));
            prop_assert!(uids.iter().all(|uid| !(base..base + SIZE).contains(uid)));
            prop_assert!(ranges.iter().all(|(first, count)| *first >= base + SIZE || first + count <= base));
        }

        #[test]
        fn no_text_panics(
            text in proptest::collection::vec(any::<u8>(), 0..200),
            map in "([0-9]{1,10} [0-9]{1,10} [0-9]{1,10}\n){0,4}",
            random in any::<u32>(),
        ) {
            let mut caller = caller(&map);
            for file in [&mut caller.passwd, &mut caller.group, &mut caller.subuid, &mut caller.subgid] {
                *file = text.clone();
            }
            if let Ok(Some((base, _))) = pick(&caller, random, &mut free) {
                prop_assert!(caller.uids.has_all(base, SIZE) && caller.gids.has_all(base, SIZE));
            }
        }
    }
}
