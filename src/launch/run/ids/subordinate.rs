//! The ids that an ordinary user may map besides its own, and the programs that do it. Pure.
//!
//! newuidmap(1) asks the name service, and may know more owners and, by `subid:` of nsswitch.conf(5), more ranges than the files here;
//! those of directory servers are then not used. See subuid(5), subgid(5).

use super::{Caller, IdPlan, Ids, Writer, check};
use crate::model::CapSet;
use crate::proc::accounts;
use crate::proc::parse::IdMap;

/// How many ids there are inside at most, root's among them: more than 16 bits tell apart is of use to nobody.
const MOST: u32 = 1 << 16;

/// Root inside is the caller, and all others are its subordinate ids; or why not.
pub(super) fn plan(caller: &Caller) -> Result<IdPlan, String> {
    let uids = map(caller, Ids::Uids, caller.euid)?;
    let gids = map(caller, Ids::Gids, own_gid(caller))?;
    Ok(super::plan(uids, gids, helpers(caller)?))
}

/// Says whether newuidmap(1) or newgidmap(1) would map these ids for the caller.
pub(super) fn allows(caller: &Caller, ids: Ids, first: u32, count: u32) -> bool {
    let own = if ids == Ids::Uids { caller.euid } else { own_gid(caller) };
    let ranges = ranges(caller, ids);
    let has_all = || {
        let lines = ranges.iter().map(|[first, count]| [*first, *first, *count]).collect();
        IdMap::from_ranges(lines).has_all(first, count)
    };
    (first == own && count == 1) || has_all()
}

/// Returns the two programs, or why they are of no use.
pub(super) fn helpers(caller: &Caller) -> Result<Writer, String> {
    let found = |program: &Option<std::path::PathBuf>, ids: Ids| {
        program.clone().ok_or_else(|| format!("{} is not installed (package uidmap, or shadow)", ids.helper()))
    };
    let (newuidmap, newgidmap) = (found(&caller.newuidmap, Ids::Uids)?, found(&caller.newgidmap, Ids::Gids)?);
    if caller.no_new_privs {
        return Err("no_new_privs is set, and so newuidmap has no privileges".to_owned());
    }
    for (cap, ids) in [(CapSet::SETUID, Ids::Uids), (CapSet::SETGID, Ids::Gids)] {
        if !caller.bounding.contains(cap) {
            return Err(format!("{} cannot have the capability {cap}: the bounding set lacks it", ids.helper()));
        }
    }
    Ok(Writer::Helpers { newuidmap, newgidmap })
}

/// Returns the gid that newgidmap(1) takes for the caller's own: that of passwd(5), whatever newgrp(1) has made of it.
fn own_gid(caller: &Caller) -> u32 {
    let own = accounts::passwd(&caller.passwd).find(|line| line.uid == caller.euid);
    own.map(|line| line.gid).filter(|gid| caller.gids.has(*gid)).unwrap_or(caller.egid)
}

/// Id 0 is the caller, those from 1 on are subordinate.
fn map(caller: &Caller, ids: Ids, own: u32) -> Result<Vec<[u32; 3]>, String> {
    let own_map = if ids == Ids::Uids { &caller.uids } else { &caller.gids };
    let ranges = ranges(caller, ids);
    if ranges.is_empty() {
        return Err(format!("{} has no line for {}", ids.subordinate(), name(caller)));
    }
    let mut map = vec![[0, own, 1]];
    let mut next = 1;
    for [first, count] in ranges {
        let count = count.min(MOST - next);
        let meets = map.iter().any(|[_, other, others]| first < other + others && *other < first + count);
        if count == 0 || meets || !own_map.has_all(first, count) {
            continue;
        }
        map.push([next, first, count]);
        if !check::fits(&map) {
            map.pop();
            break;
        }
        next += count;
    }
    if map.len() == 1 {
        let file = ids.subordinate();
        return Err(format!("no range that {file} has for {} exists in this user namespace", name(caller)));
    }
    Ok(map)
}

/// Returns the caller's lines: by each of its names, or by its number. Start and length.
fn ranges(caller: &Caller, ids: Ids) -> Vec<[u32; 2]> {
    let text = if ids == Ids::Uids { &caller.subuid } else { &caller.subgid };
    let number = caller.euid.to_string();
    let names: Vec<&[u8]> =
        accounts::passwd(&caller.passwd).filter(|line| line.uid == caller.euid).map(|line| line.name).collect();
    accounts::subordinate(text)
        .filter(|line| line.owner == number.as_bytes() || names.contains(&line.owner))
        .map(|line| [line.first, line.count])
        .collect()
}

fn name(caller: &Caller) -> String {
    let own = accounts::passwd(&caller.passwd).find(|line| line.uid == caller.euid);
    own.map_or_else(
        || format!("uid {}", caller.euid),
        |line| String::from_utf8_lossy(line.name).escape_debug().to_string(),
    )
}
