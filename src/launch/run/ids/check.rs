//! Whether a map that was asked for can be: by the kernel's rules, and by what the caller may map. Pure.
//!
//! See user_namespaces(7), "Defining user and group ID mappings".

use std::fmt;

use super::{Caller, IdPlan, Ids, Writer, plan, render, subordinate};

/// How many lines a map may have, since Linux 4.15; before it was five.
const LINES: usize = 340;

/// How long its text may be, and a byte more: the smallest page. The kernel takes no more in one write(2).
const TEXT: usize = 4096;

/// What is wrong with a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapError {
    /// Of which ids.
    pub ids: Ids,
    /// What.
    pub problem: Problem,
}

/// What can be wrong with a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is no line.
    Empty,
    /// There are this many lines.
    Lines(usize),
    /// The text has this many bytes.
    Text(usize),
    /// There is neither an id 0 inside nor the caller's.
    NoRoot,
    /// A line of no ids.
    None([u32; 3]),
    /// A line that goes beyond the last id.
    Beyond([u32; 3]),
    /// Two lines with an id inside in common.
    Inside([u32; 3], [u32; 3]),
    /// Two lines with an id outside in common.
    Outside([u32; 3], [u32; 3]),
    /// A line with ids that the caller's user namespace does not have.
    Absent([u32; 3]),
    /// A line with ids that are not the caller's.
    NotAllowed([u32; 3]),
    /// It takes newuidmap(1) and newgidmap(1), which are not to be had for this reason.
    Helpers(String),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.ids.name();
        let line = |[inside, outside, count]: [u32; 3]| format!("{inside}:{outside}:{count}");
        match &self.problem {
            Problem::Empty => write!(f, "the {name} map has no line"),
            Problem::Lines(lines) => write!(f, "the {name} map has {lines} lines; the kernel takes {LINES}"),
            Problem::Text(bytes) => {
                write!(f, "the {name} map has {bytes} bytes as the kernel reads it, which takes {}", TEXT - 1)
            }
            Problem::NoRoot => write!(
                f,
                "the {name} map has neither id 0 inside nor the caller's, and what is made inside has to belong to one of them: map=0:OUTSIDE:COUNT,… has id 0"
            ),
            Problem::None(wrong) => write!(f, "{} of the {name} map is no ids at all", line(*wrong)),
            Problem::Beyond(wrong) => {
                write!(f, "{} of the {name} map goes beyond the last {name}, {}", line(*wrong), u32::MAX - 1)
            }
            Problem::Inside(one, other) => {
                write!(f, "{} and {} of the {name} map have ids inside in common", line(*one), line(*other))
            }
            Problem::Outside(one, other) => {
                write!(f, "{} and {} of the {name} map have ids outside in common", line(*one), line(*other))
            }
            Problem::Absent(wrong) => write!(
                f,
                "{} of the {name} map has ids outside that this user namespace does not have (/proc/self/{name}_map)",
                line(*wrong)
            ),
            Problem::NotAllowed(wrong) => write!(
                f,
                "{} of the {name} map has ids outside that are not the caller's: {} does not say so",
                line(*wrong),
                self.ids.subordinate()
            ),
            Problem::Helpers(why) => {
                write!(
                    f,
                    "the {name} map takes more than the caller's own {name}, and so newuidmap and newgidmap: {why}"
                )
            }
        }
    }
}

impl std::error::Error for MapError {}

/// Decides on maps that were asked for.
pub(super) fn map(uids: &[[u32; 3]], gids: &[[u32; 3]], caller: &Caller) -> Result<IdPlan, MapError> {
    let both = [(Ids::Uids, uids), (Ids::Gids, gids)];
    for (ids, map) in both {
        valid(map).map_err(|problem| MapError { ids, problem })?;
        let own = if ids == Ids::Uids { &caller.uids } else { &caller.gids };
        if let Some(line) = map.iter().find(|[_, outside, count]| !own.has_all(*outside, *count)) {
            return Err(MapError { ids, problem: Problem::Absent(*line) });
        }
    }
    let mut made = plan(uids.to_vec(), gids.to_vec(), Writer::Nsx);
    if made.maker(caller).is_none() {
        let is_mapped = |map: &[[u32; 3]]| map.iter().any(|[inside, ..]| *inside == 0);
        let ids = if is_mapped(uids) { Ids::Gids } else { Ids::Uids };
        return Err(MapError { ids, problem: Problem::NoRoot });
    }
    if caller.uids.is_everything()
        && let Some([inside, ..]) = uids.iter().find(|[_, outside, _]| *outside == 0)
    {
        made.notes.push(format!("uid {inside} inside is root outside"));
    }
    if caller.may_map() {
        return Ok(made);
    }
    let own = [caller.euid, caller.egid];
    let is_own = |map: &[[u32; 3]], id| matches!(map, [[_, outside, 1]] if *outside == id);
    match both.iter().zip(own).find(|((_, map), id)| !is_own(map, *id)) {
        None => {
            made.writer = Writer::Itself;
            made.setgroups_denied = true;
        }
        Some(((ids, _), _)) => {
            for (ids, map) in both {
                let wrong = map.iter().find(|[_, outside, count]| !subordinate::allows(caller, ids, *outside, *count));
                if let Some(line) = wrong {
                    return Err(MapError { ids, problem: Problem::NotAllowed(*line) });
                }
            }
            made.writer =
                subordinate::helpers(caller).map_err(|why| MapError { ids: *ids, problem: Problem::Helpers(why) })?;
        }
    }
    Ok(made)
}

/// What the kernel says of the numbers alone.
fn valid(map: &[[u32; 3]]) -> Result<(), Problem> {
    if map.is_empty() {
        return Err(Problem::Empty);
    }
    if map.len() > LINES {
        return Err(Problem::Lines(map.len()));
    }
    for (place, &line) in map.iter().enumerate() {
        let [inside, outside, count] = line;
        if count == 0 {
            return Err(Problem::None(line));
        }
        // An end of 4294967295 has the id before it as its last.
        if inside.checked_add(count).is_none() || outside.checked_add(count).is_none() {
            return Err(Problem::Beyond(line));
        }
        let meet = |one: u32, other: u32, others: u32| one < other + others && other < one + count;
        for &before in &map[..place] {
            if meet(inside, before[0], before[2]) {
                return Err(Problem::Inside(before, line));
            }
            if meet(outside, before[1], before[2]) {
                return Err(Problem::Outside(before, line));
            }
        }
    }
    let text = render(map).len();
    if text >= TEXT { Err(Problem::Text(text)) } else { Ok(()) }
}

/// Says whether the kernel reads a map of this many lines and bytes.
pub(super) fn fits(map: &[[u32; 3]]) -> bool {
    map.len() <= LINES && render(map).len() < TEXT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_the_kernel_refuses_are_refused() {
        let line = [0, 100, 10];
        let cases: [(&[[u32; 3]], Problem); 8] = [
            (&[], Problem::Empty),
            (&[[0, 5, 0]], Problem::None([0, 5, 0])),
            (&[[0, u32::MAX, 1]], Problem::Beyond([0, u32::MAX, 1])),
            (&[[u32::MAX, 0, 1]], Problem::Beyond([u32::MAX, 0, 1])),
            (&[[1, 0, u32::MAX]], Problem::Beyond([1, 0, u32::MAX])),
            (&[line, [9, 200, 1]], Problem::Inside(line, [9, 200, 1])),
            (&[line, [10, 109, 1]], Problem::Outside(line, [10, 109, 1])),
            (&[line; 341], Problem::Lines(341)),
        ];
        for (map, problem) in cases {
            assert_eq!(valid(map), Err(problem));
        }
        assert_eq!(valid(&[line, [10, 110, 1], [20, 0, 100]]), Ok(()));
        assert_eq!(valid(&[[0, 0, u32::MAX]]), Ok(()));
        let long: Vec<_> = (0..300).map(|place| [4_000_000_000 + place, 4_000_000_000 + place, 1]).collect();
        assert_eq!(valid(&long), Err(Problem::Text(300 * 24)));
        assert!(!fits(&long) && fits(&long[..100]));
    }

    #[test]
    fn a_mistake_is_named() {
        let error = MapError { ids: Ids::Gids, problem: Problem::Beyond([0, u32::MAX, 1]) };
        assert_eq!(error.to_string(), "0:4294967295:1 of the gid map goes beyond the last gid, 4294967294");
        let error = MapError { ids: Ids::Uids, problem: Problem::NotAllowed([0, 5, 1]) };
        assert_eq!(
            error.to_string(),
            "0:5:1 of the uid map has ids outside that are not the caller's: /etc/subuid does not say so"
        );
    }

    proptest! {
        #[test]
        fn no_numbers_panic(map in proptest::collection::vec(any::<[u32; 3]>(), 0..8)) {
            let _ = valid(&map);
        }
    }
}
