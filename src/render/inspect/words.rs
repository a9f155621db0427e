//! Short forms: sets of capabilities, maps of ids, modes of seccomp. Pure.

use crate::model::CapSet;
use crate::model::isolation::{Membership, Powers, Whose};
use crate::proc::parse::IdMap;

/// Says a set of capabilities as short as it can be said: `none`, `all`, `Docker's default`, what is more or less than one of these, or
/// the names. `all` are those that the kernel has.
pub fn caps(set: CapSet, all: CapSet) -> String {
    // So many beside a known set are still shorter than the names.
    const FEW: usize = 5;
    let set = set & all;
    let count = |set: CapSet| set.iter().count();
    if set.is_empty() {
        return "none".to_owned();
    }
    if set == all {
        return "all".to_owned();
    }
    let docker = CapSet::DOCKER & all;
    if set == docker {
        return "Docker's default".to_owned();
    }
    let (missing, more, less) = (all & !set, set & !docker, docker & !set);
    if count(missing) <= FEW {
        return format!("all but {missing}");
    }
    if count(more) + count(less) <= FEW && count(less) < 3 {
        let mut text = "Docker's default".to_owned();
        if !less.is_empty() {
            text.push_str(&format!(" but {less}"));
        }
        if !more.is_empty() {
            text.push_str(&format!(" and {more}"));
        }
        return text;
    }
    set.to_string()
}

/// Says whose a namespace is.
pub fn whose(namespace: &Membership) -> &'static str {
    match namespace.whose() {
        Some(Whose::Host) => "the host's",
        Some(Whose::Caller) => "yours",
        Some(Whose::Parent) => "as its parent",
        Some(Whose::Own) => "own",
        Some(Whose::Foreign) if namespace.initial == Some(false) => "not the host's",
        Some(Whose::Foreign) => "not yours",
        None => "not to be seen",
    }
}

/// Returns the word that JSON has for that.
pub fn whose_key(whose: Whose) -> &'static str {
    match whose {
        Whose::Host => "host",
        Whose::Caller => "caller",
        Whose::Parent => "parent",
        Whose::Own => "own",
        Whose::Foreign => "other",
    }
}

/// Says a range of ids.
fn range(first: u32, count: u32) -> String {
    match count {
        1 => first.to_string(),
        _ => format!("{first}-{}", u64::from(first) + u64::from(count) - 1),
    }
}

/// Says a map of ids: which are which outside.
pub fn map(ranges: &[[u32; 3]]) -> String {
    if ranges.is_empty() {
        return "nobody".to_owned();
    }
    if IdMap::from_ranges(ranges.to_vec()).is_everything() {
        return "all, as outside".to_owned();
    }
    let parts = ranges.iter().map(|&[inside, outside, count]| match (inside == outside, outside) {
        (true, _) => range(inside, count),
        // What the reader's user namespace has no id for, the kernel says as -1.
        (_, u32::MAX) => format!("{} = nobody", range(inside, count)),
        _ => format!("{} = {}", range(inside, count), range(outside, count)),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Says what seccomp does.
pub fn seccomp(powers: &Powers) -> String {
    match (powers.seccomp, powers.seccomp_filters) {
        (None, _) => "not to be seen".to_owned(),
        (Some(0), _) => "none".to_owned(),
        (Some(1), _) => "strict".to_owned(),
        (Some(2), Some(1)) => "1 filter".to_owned(),
        (Some(2), Some(count)) => format!("{count} filters"),
        (Some(2), None) => "filter".to_owned(),
        (Some(mode), _) => format!("mode {mode}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_said_in_short() {
        let set = |names: &str| CapSet::parse(names).expect("names");
        for (given, said) in [
            (CapSet::EMPTY, "none"),
            (CapSet::ALL, "all"),
            (CapSet::DOCKER, "Docker's default"),
            (CapSet::DOCKER | set("net_admin"), "Docker's default and net_admin"),
            (CapSet::DOCKER & !set("net_raw"), "Docker's default but net_raw"),
            (
                (CapSet::DOCKER | set("sys_admin")) & !set("mknod,net_raw"),
                "Docker's default but net_raw,mknod and sys_admin",
            ),
            (CapSet::ALL & !set("sys_resource"), "all but sys_resource"),
            (set("kill,chown"), "chown,kill"),
            // Of a newer kernel.
            (CapSet::from_bits(1 << 50), "none"),
        ] {
            assert_eq!(caps(given, CapSet::ALL), said);
        }
        // A kernel with fewer.
        let old = CapSet::from_bits((1 << 38) - 1);
        assert_eq!(caps(old, old), "all");
    }

    #[test]
    fn maps_are_said_in_short() {
        for (ranges, said) in [
            (&[][..], "nobody"),
            (&[[0, 0, u32::MAX]], "all, as outside"),
            (&[[0, 100_000, 65_536]], "0-65535 = 100000-165535"),
            (&[[0, 1000, 1], [1, 100_000, 65_535]], "0 = 1000, 1-65535 = 100000-165534"),
            (&[[1000, 1000, 1]], "1000"),
            (&[[0, u32::MAX, 1]], "0 = nobody"),
            (&[[u32::MAX - 1, 5, 2]], "4294967294-4294967295 = 5-6"),
        ] {
            assert_eq!(map(ranges), said);
        }
    }
}
