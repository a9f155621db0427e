//! Limits of memory that were reached without a kill, and limits of anything that soon will be. Pure. Not here: kills (`why::oom`).

use super::look::{At, Look, number};
use super::words::{many, size, times, twice};
use super::{Evidence, Finding, Severity};
use crate::cgroup::effective::{Binder, Effective};
use crate::model::cgroup::{Controller, Unit, Version};

pub(super) fn look_for(look: &Look<'_>, found: &mut Vec<Finding>) {
    for at in look.levels_of(Controller::Memory).iter().rev() {
        match at.files().version {
            Version::V2 => {
                let file = if at.has("memory.events.local") { "memory.events.local" } else { "memory.events" };
                // Where it came to the worst that is told instead.
                if at.grown(file, "oom") == 0 {
                    found.extend(reached(look, at, "memory-max", "memory.max", (file, "max")));
                }
                found.extend(reached(look, at, "memory-high", "memory.high", (file, "high")));
            }
            Version::V1 => {
                for (id, knob, file) in [
                    ("memory-max", "memory.max", "memory.failcnt"),
                    ("swap-max", "memory.memsw.max", "memory.memsw.failcnt"),
                ] {
                    let path = at.file(file);
                    let is_told = found.iter().any(|one| one.evidence.iter().any(|evidence| evidence.file == path));
                    if !is_told {
                        found.extend(reached(look, at, id, knob, (file, "")));
                    }
                }
            }
        }
    }
    swap(look, found);
    for knob in ["memory.max", "memory.memsw.max", "memory.swap.max", "pids.max", "hugetlb.*.max"] {
        found.extend(look.effective(knob).iter().filter_map(|one| near(look, one)));
    }
    found.extend(look.effective("memory.zswap.max").iter().filter_map(|one| zswap(look, one)));
    host(look, found);
}

/// Says whether less than a twentieth of a limit is left.
pub(super) fn is_scarce(left: u64, limit: u64) -> bool {
    // Limits of tasks can be small: of three a twentieth is still something.
    left.saturating_mul(20) < limit
}

/// A limit that was reached, and for which memory was reclaimed.
fn reached(
    look: &Look<'_>,
    at: &At<'_>,
    id: &'static str,
    knob: &'static str,
    counter: (&str, &str),
) -> Option<Finding> {
    let (file, key) = counter;
    let count = at.grown(file, key);
    if count == 0 {
        return None;
    }
    let limit = at.limit(knob);
    let usage_file = match (at.files().version, knob) {
        (Version::V2, _) => "memory.current",
        (Version::V1, "memory.memsw.max") => "memory.memsw.usage_in_bytes",
        (Version::V1, _) => "memory.usage_in_bytes",
    };
    let usage = at.files().number(usage_file);
    // A total may be long ago; at its limit now, it goes on.
    let is_so_now = limit.zip(usage).is_some_and(|(limit, usage)| usage >= limit - limit / 10);
    let whose = if !at.is_above() { String::new() } else { format!(" of {}, which is above,", at.name()) };
    let value = limit.map_or_else(|| "by now unlimited".to_owned(), size);
    let (since, reached) = (look.since(), times(count));
    let name = at.knob_file(knob);
    let effect = match id {
        "memory-high" => "each time the tasks that allocate are slowed, and made to reclaim",
        _ => "each time memory was reclaimed, for which allocations have to wait",
    };
    let local =
        if at.files().version == Version::V2 && file == "memory.events" && !at.mounted_with("memory_localevents") {
            " This kernel counts those of cgroups below along with it."
        } else {
            ""
        };
    let explanation = format!("The {name} ({value}){whose} was reached {reached} {since}: {effect}.{local}");
    let finding = at.finding(id, look.severity_of_growth(Severity::Warning, is_so_now), explanation);
    let evidence = at.counted(file, key).into_iter().chain(at.says(name)).chain(at.says(usage_file));
    let finding = finding.with(evidence).with(file_cache(at).map(|(_, evidence)| evidence).unwrap_or_default());
    Some(match limit {
        Some(limit) => finding.fixed_by(at.set(knob, &twice(limit))),
        None => finding,
    })
}

/// Returns how much of what is used are files that can be dropped, with the evidence.
fn file_cache(at: &At<'_>) -> Option<(u64, Vec<Evidence>)> {
    // On v1 those without `total_` leave out the cgroups below.
    let keys = match at.files().version {
        Version::V2 => ["inactive_file", "active_file"],
        Version::V1 => ["total_inactive_file", "total_active_file"],
    };
    let bytes = keys.into_iter().map(|key| at.files().keyed("memory.stat", key)).sum::<Option<u64>>()?;
    let evidence = keys.into_iter().filter_map(|key| at.counted("memory.stat", key));
    Some((bytes, evidence.map(|evidence| Evidence { change: None, ..evidence }).collect()))
}

/// Pages that could not be swapped out. They are counted where they belong, whoever's limit it was.
fn swap(look: &Look<'_>, found: &mut Vec<Finding>) {
    let levels = look.levels_of(Controller::Memory);
    let Some(leaf) = levels.iter().rev().find(|at| at.has("memory.swap.events")) else { return };
    let (by_limit, failed) = (leaf.grown("memory.swap.events", "max"), leaf.grown("memory.swap.events", "fail"));
    let since = look.since();
    if by_limit > 0 {
        let bound = look.effective("memory.swap.max").into_iter().next();
        let binder = bound.as_ref().and_then(|bound| match bound.headroom.by? {
            Binder::Level(level) => levels.get(level),
            Binder::Host | Binder::OutOfSight => None,
        });
        let limit = binder.and_then(|at| at.limit("memory.swap.max"));
        let reason = match (binder, limit) {
            (Some(at), Some(0)) if at.path() == leaf.path() => "it may not swap (memory.swap.max is 0)".to_owned(),
            (Some(at), Some(limit)) => format!(
                "inferred from what is left, the memory.swap.max ({}) of {} is the one that was reached",
                size(limit),
                at.name()
            ),
            _ => "a limit of swap was reached".to_owned(),
        };
        let explanation = format!("Pages could not be swapped out {} {since}: {reason}.", times(by_limit));
        // Whoever forbids it knows what that means.
        let severity =
            if limit == Some(0) { Severity::Info } else { look.severity_of_growth(Severity::Warning, false) };
        let finding = leaf.finding("swap-max", severity, explanation).with(leaf.counted("memory.swap.events", "max"));
        let finding = finding.with(binder.and_then(|at| at.says("memory.swap.max")));
        let finding = finding.with(binder.and_then(|at| at.says("memory.swap.current")));
        let raise =
            |at: &At<'_>, limit| at.set("memory.swap.max", &if limit == 0 { "max".to_owned() } else { twice(limit) });
        let fix = binder.zip(limit).map(|(at, limit)| raise(at, limit));
        found.push(Finding { fix, ..finding });
    }
    if failed > by_limit {
        let free = look.facts.host.swap_free_bytes;
        let left = free.map_or_else(String::new, |free| format!("; {} of swap is free now", size(free)));
        let explanation = format!(
            "Pages could not be swapped out {} {since} because there was no swap left on the host{left}.",
            times(failed - by_limit)
        );
        let severity = look.severity_of_growth(Severity::Warning, free.is_some_and(|free| free < 1 << 20));
        let finding = leaf.finding("swap-full", severity, explanation).with(leaf.counted("memory.swap.events", "fail"));
        found.push(finding.with(leaf.counted("memory.swap.events", "max")).fixed_by("swapon --show"));
    }
}

/// A limit of which little is left.
fn near(look: &Look<'_>, one: &Effective) -> Option<Finding> {
    let left = number(one.headroom.limit)?;
    let Some(Binder::Level(level)) = one.headroom.by else { return None };
    let levels = look.levels(one.hierarchy);
    let at = levels.get(level)?;
    let step = one.steps.get(level)?;
    let (limit, usage) = (number(step.limit)?, step.usage?);
    if !is_scarce(left, limit) {
        return None;
    }
    let amount = |value: u64| if one.knob.unit == Unit::Bytes { size(value) } else { value.to_string() };
    let key = one.key.clone().unwrap_or_default();
    let name = one.file.replace('*', &key);
    let usage_file = match (at.files().version, one.knob.v1) {
        (Version::V1, Some(v1)) => v1.usage,
        _ => one.knob.usage,
    };
    let is_above = at.is_above();
    let whose = if is_above { format!(" of {}, which is above,", at.name()) } else { String::new() };
    let left_words = if left == 0 { "nothing".to_owned() } else { amount(left) };
    let mut explanation =
        format!("{} of the {name} ({}){whose} are used: {left_words} is left.", amount(usage), amount(limit));
    let mut evidence: Vec<Evidence> = at.says(&name).into_iter().collect();
    evidence.extend(usage_file.and_then(|file| at.says(&file.replace('*', &key))));
    let mut severity = Severity::Warning;
    if one.knob.name == "pids.max" && left == 0 {
        severity = Severity::Critical;
        explanation.push_str(" No more tasks can be made: forks fail with EAGAIN.");
    }
    if one.knob.name == "memory.max"
        && let Some((cache, stat)) = file_cache(at)
    {
        evidence.extend(stat);
        if cache > limit / 5 {
            // A cgroup that reads files fills its limit with them, and is none the worse for it.
            severity = Severity::Info;
            explanation.push_str(&format!(" {} of that are files, which can be dropped.", size(cache)));
        } else {
            let files = if cache == 0 { "Nothing".to_owned() } else { format!("Only {}", size(cache)) };
            explanation.push_str(&format!(" {files} of that is files, which could be dropped."));
        }
    }
    if is_above && let Some(usage_file) = usage_file {
        // They come with the one that uses the most first.
        let own = levels.get(level + 1).map(At::path);
        let sibling = look.beside(one.hierarchy, at.path()).filter(|level| Some(&level.path[..]) != own);
        let largest =
            sibling.filter_map(|level| Some((level.files.number(usage_file)?, level))).max_by_key(|(used, _)| *used);
        if let Some((used, sibling)) = largest {
            explanation.push_str(&format!(" {} beside it uses {}.", super::words::text(&sibling.path), amount(used)));
            evidence.push(Evidence {
                file: super::look::file(look.facts, one.hierarchy, &sibling.path, usage_file),
                key: String::new(),
                value: used.to_string(),
                change: None,
            });
        }
    }
    let finding = at.finding("near-limit", severity, explanation).with(evidence);
    let raised = if one.knob.unit == Unit::Bytes { twice(limit) } else { limit.saturating_mul(2).to_string() };
    Some(match one.key {
        Some(_) => finding.fixed_by(super::words::write(&raised, &at.file(&name))),
        None => finding.fixed_by(at.set(one.knob.name, &raised)),
    })
}

fn zswap(look: &Look<'_>, one: &Effective) -> Option<Finding> {
    let left = number(one.headroom.limit)?;
    let Some(Binder::Level(level)) = one.headroom.by else { return None };
    let levels = look.levels(one.hierarchy);
    let at = levels.get(level)?;
    let limit = number(one.steps.get(level)?.limit)?;
    if !is_scarce(left, limit) {
        return None;
    }
    let explanation = format!(
        "Compressed memory of {} has all but reached the memory.zswap.max ({}): what is swapped out from now on goes to a device, which is \
         slower.",
        at.name(),
        size(limit)
    );
    let finding = at.finding("zswap-max", Severity::Info, explanation);
    let finding = finding.with(at.says("memory.zswap.max")).with(at.says("memory.zswap.current"));
    Some(finding.fixed_by(at.set("memory.zswap.max", &twice(limit))))
}

/// The host itself may have little left.
fn host(look: &Look<'_>, found: &mut Vec<Finding>) {
    let host = &look.facts.host;
    let Some((all, free)) = host.memory_bytes.zip(host.memory_available_bytes) else { return };
    let Some(leaf) = look.levels_of(Controller::Memory).into_iter().next_back() else { return };
    if !is_scarce(free, all) {
        return;
    }
    let swap = host.swap_free_bytes.map_or_else(String::new, |swap| format!(", and {} of swap", size(swap)));
    let explanation = format!(
        "The host has {} of its {} of memory left{swap}: it may soon kill processes whatever their limits.",
        size(free),
        size(all)
    );
    let evidence = Evidence {
        file: b"/proc/meminfo".to_vec(),
        key: "MemAvailable".to_owned(),
        value: format!("{} kB", free / 1024),
        change: None,
    };
    let finding = leaf.finding("host-memory", Severity::Warning, explanation).with([evidence]);
    found.push(finding.fixed_by("ps -eo pid,rss,comm --sort=-rss | head"));
}

/// Says a number of tasks.
pub(super) fn tasks(count: u64) -> String {
    many(count, "task")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, Made, essence, evidence};
    use super::*;

    const ROOT: Made<'_> = ("/", &[]);
    const LIMIT: (&str, &str) = ("memory.max", "50331648\n");

    #[test]
    fn a_limit_without_a_kill() {
        let max: &[(&str, &str)] =
            &[("memory.events.local", "high 0\nmax 900\noom 0\n"), LIMIT, ("memory.current", "50000000\n")];
        let found = Case::v2(&[ROOT, ("/a", max)]).one("memory-max");
        assert_eq!(essence(&found), ("/a", Severity::Warning, Some("nsx cg set /sys/fs/cgroup/a memory.max=96M")));
        assert!(
            found.explanation.starts_with("The memory.max (48M) was reached 900 times since"),
            "{}",
            found.explanation
        );
        // Long ago, as far as can be told.
        let ago: &[(&str, &str)] = &[("memory.events.local", "max 900\noom 0\n"), LIMIT, ("memory.current", "9\n")];
        assert_eq!(Case::v2(&[ROOT, ("/a", ago)]).only("memory-max").severity, Severity::Info);
        let before: &[(&str, &str)] = &[("memory.events.local", "max 899\noom 0\n")];
        let found = Case::v2(&[ROOT, ("/a", ago)]).before(&[ROOT, ("/a", before)]).only("memory-max");
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(evidence(&found)[0], "/a/memory.events.local: max 900 (+1)");
        // Where it came to a kill that is told instead.
        let events = "max 900\noom 1\noom_kill 1\n";
        let killed: &[(&str, &str)] = &[("memory.events.local", events), ("memory.events", events), LIMIT];
        assert_eq!(Case::v2(&[ROOT, ("/a", killed)]).ids(), ["oom-kill"]);
    }

    #[test]
    fn memory_high_of_one_above() {
        let a: Made<'_> = (
            "/a.slice",
            &[("memory.events.local", "high 7\n"), ("memory.high", "1048576\n"), ("memory.current", "1048576\n")],
        );
        let found = Case::v2(&[ROOT, a, ("/a.slice/b", &[("memory.events.local", "high 0\n")])]).only("memory-high");
        let fix = Some("systemctl set-property --runtime a.slice MemoryHigh=2M");
        assert_eq!(essence(&found), ("/a.slice", Severity::Warning, fix));
        assert!(found.explanation.contains("of /a.slice, which is above,"), "{}", found.explanation);
    }

    #[test]
    fn v1_has_two_limits() {
        let a: Made<'_> = (
            "/a",
            &[
                ("memory.failcnt", "5\n"),
                ("memory.memsw.failcnt", "6\n"),
                ("memory.limit_in_bytes", "33554432\n"),
                ("memory.memsw.limit_in_bytes", "67108864\n"),
            ],
        );
        let case = Case::v1(&[ROOT, a]);
        assert_eq!(case.ids(), ["memory-max", "swap-max"]);
        assert_eq!(
            case.one("swap-max").fix.as_deref(),
            Some("echo 128M > /sys/fs/cgroup/a/memory.memsw.limit_in_bytes")
        );
    }

    #[test]
    fn whose_limit_of_swap_it_was_is_inferred() {
        let a: Made<'_> = ("/a", &[("memory.swap.max", "1048576\n"), ("memory.swap.current", "1000000\n")]);
        let b: Made<'_> = (
            "/a/b",
            &[
                ("memory.swap.max", "max\n"),
                ("memory.swap.current", "1000000\n"),
                ("memory.swap.events", "max 3\nfail 3\n"),
            ],
        );
        let found = Case::v2(&[ROOT, a, b]).one("swap-max");
        assert!(found.explanation.contains("inferred from what is left, the memory.swap.max (1M) of /a"), "{found:?}");
        let none: Made<'_> = (
            "/a",
            &[("memory.swap.max", "0\n"), ("memory.swap.current", "0\n"), ("memory.swap.events", "max 3\nfail 3\n")],
        );
        let found = Case::v2(&[ROOT, none]).only("swap-max");
        assert!(found.explanation.ends_with("it may not swap (memory.swap.max is 0)."), "{found:?}");
    }

    #[test]
    fn who_uses_up_what_is_left() {
        let a: Made<'_> =
            ("/a", &[LIMIT, ("memory.current", "50000000\n"), ("memory.stat", "inactive_file 10\nactive_file 10\n")]);
        let case = Case::v2(&[ROOT, a, ("/a/b", &[("memory.max", "max\n"), ("memory.current", "1000\n")])]);
        let case = case.beside(&[
            ("/a/c", &[("memory.current", "40000000\n")]),
            ("/a/d", &[("memory.current", "9000000\n")]),
            ("/x/e", &[("memory.current", "90000000\n")]),
        ]);
        let full = Case::v2(&[ROOT, ("/a", &[("pids.max", "3\n"), ("pids.current", "3\n")])]).only("near-limit");
        assert_eq!(full.severity, Severity::Critical);
        assert!(full.explanation.contains("EAGAIN"), "{}", full.explanation);
        let found = case.only("near-limit");
        assert_eq!((found.severity, &found.cgroup[..]), (Severity::Warning, &b"/a"[..]));
        assert!(found.explanation.starts_with("47.7M of the memory.max (48M) of /a, which is above"), "{found:?}");
        assert!(found.explanation.ends_with("/a/c beside it uses 38.1M."), "{found:?}");
        assert!(evidence(&found).contains(&"/a/c/memory.current: 40000000".to_owned()));
    }

    #[test]
    fn files_can_be_dropped() {
        let a: Made<'_> = (
            "/a",
            &[LIMIT, ("memory.current", "50000000\n"), ("memory.stat", "inactive_file 30000000\nactive_file 10\n")],
        );
        assert_eq!(Case::v2(&[ROOT, a]).only("near-limit").severity, Severity::Info);
        // There is enough.
        let a: Made<'_> = ("/a", &[LIMIT, ("memory.current", "40000000\n")]);
        assert_eq!(Case::v2(&[ROOT, a]).ids(), [""; 0]);
    }
}
