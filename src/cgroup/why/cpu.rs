//! Why tasks do not get the processors that they want: quotas, few processors, cpusets. Pure.
//!
//! `cpu.stat` counts what a cgroup's own quota did: throttled by one above, a cgroup has no periods of its own. How long it was stopped by
//! whomever is in `cpu.stat.local`, since Linux 6.6. See `Documentation/scheduler/sched-bwc.rst`, `cgroup-v1/cpusets.rst`.

use super::look::{At, Look, number};
use super::memory::tasks;
use super::words::{processors, seconds, text};
use super::{Evidence, Finding, Severity};
use crate::cgroup::events::Throttling;
use crate::cgroup::parse;
use crate::model::cgroup::{Bandwidth, Controller, Limit, Version};

pub(super) fn look_for(look: &Look<'_>, found: &mut Vec<Finding>) {
    let levels = look.levels_of(Controller::Cpu);
    for at in levels.iter().rev() {
        found.extend(throttled(look, &levels, at));
    }
    few(look, &levels, found);
    idle(&levels, found);
    for (list, what) in [("cpuset.cpus", "processors"), ("cpuset.mems", "memory nodes")] {
        cpuset(look, list, what, found);
    }
    partition(look, found);
}

fn throttled(look: &Look<'_>, levels: &[At<'_>], at: &At<'_>) -> Option<Finding> {
    let now = Throttling::of(at.files())?;
    let throttling = match look.before {
        Some(_) => now.since(&at.files_before().and_then(Throttling::of).unwrap_or_default()),
        None => now,
    };
    let percent = throttling.percent().filter(|_| throttling.throttled > 0)?;
    let is_leaf = at.is_leaf;
    let leaf = levels.last().filter(|leaf| leaf.is_leaf && !is_leaf);
    let file = "cpu.stat.local";
    // Whoever has nothing to run is not stopped.
    let own_usec = leaf.and_then(|leaf| {
        let key = local_key(leaf);
        leaf.count(file, key)?;
        Some(if leaf.files().version == Version::V2 { leaf.grown(file, key) } else { leaf.grown(file, key) / 1000 })
    });
    let spared = own_usec == Some(0);
    let bandwidth = at.files().bandwidth();
    let quota = bandwidth.and_then(|bandwidth| bandwidth.millicpus().value());
    let value = quota.map_or_else(|| "by now unlimited".to_owned(), processors);
    let name = at.knob_file("cpu.max");
    let whose = match is_leaf {
        true => format!("Its own {name} ({value}) stopped it"),
        false => format!("The {name} ({value}) of {}, which is above, stopped all below it", at.name()),
    };
    let mut explanation = format!(
        "{whose} in {} of {} periods ({percent:.0} %) {}, for {} in all, added up over processors.",
        throttling.throttled,
        throttling.periods,
        look.since(),
        seconds(throttling.throttled_usec),
    );
    match own_usec {
        Some(0) => explanation.push_str(" This cgroup had nothing to run then."),
        Some(usec) => explanation.push_str(&format!(" This cgroup had to wait {} of that.", seconds(usec))),
        None => {}
    }
    let severity = match percent {
        _ if spared => Severity::Info,
        5.0.. => Severity::Warning,
        _ => Severity::Info,
    };
    let time = if at.files().version == Version::V2 { "throttled_usec" } else { "throttled_time" };
    let evidence = ["nr_throttled", "nr_periods", time].into_iter().filter_map(|key| at.counted("cpu.stat", key));
    let finding = at.finding("cpu-throttled", severity, explanation).with(evidence).with(at.says(name));
    let finding = finding.with(at.says("cpu.cfs_period_us"));
    let finding = finding.with(leaf.and_then(|leaf| leaf.counted(file, local_key(leaf))));
    Some(match bandwidth {
        Some(Bandwidth { quota_usec: Limit::Value(quota), period_usec }) => {
            let doubled = quota.saturating_mul(2);
            let value = match at.files().version {
                Version::V2 => format!("{doubled} {period_usec}"),
                Version::V1 => doubled.to_string(),
            };
            finding.fixed_by(at.set("cpu.max", &value))
        }
        _ => finding,
    })
}

fn local_key(at: &At<'_>) -> &'static str {
    if at.files().version == Version::V2 { "throttled_usec" } else { "throttled_time" }
}

/// Many tasks on less than one processor are slow even where no period is seen to end early.
fn few(look: &Look<'_>, levels: &[At<'_>], found: &mut Vec<Finding>) {
    /// From here on it is many.
    const MANY: u64 = 8;
    let Some(bound) = look.effective("cpu.max").into_iter().next() else { return };
    let Some(millicpus) = number(bound.effective.limit).filter(|millicpus| *millicpus < 1000) else { return };
    let Some(crate::cgroup::Binder::Level(level)) = bound.effective.by else { return };
    let Some(at) = levels.get(level) else { return };
    let pids = look.levels_of(Controller::Pids);
    let Some((leaf, count)) = pids.last().and_then(|leaf| Some((leaf, leaf.files().number("pids.current")?))) else {
        return;
    };
    if count < MANY || found.iter().any(|one| one.id == "cpu-throttled" && one.severity != Severity::Info) {
        return;
    }
    let explanation =
        format!("{} share {}, by the {} of {}.", tasks(count), processors(millicpus), bound.file, at.name());
    let finding = leaf.finding("cpu-few", Severity::Info, explanation).with(leaf.says("pids.current"));
    found.push(finding.with(at.says(bound.file)).with(at.says("cpu.cfs_period_us")));
}

fn idle(levels: &[At<'_>], found: &mut Vec<Finding>) {
    let Some(at) = levels.iter().find(|at| at.files().number("cpu.idle") == Some(1)) else { return };
    let explanation = "Its tasks run only when nobody else wants the processor, by cpu.idle.".to_owned();
    let finding = at.finding("cpu-idle", Severity::Info, explanation).with(at.says("cpu.idle"));
    found.push(finding.fixed_by(super::words::write("0", &at.file("cpu.idle"))));
}

/// A list of processors or memory nodes that is empty, or larger than what is had.
fn cpuset(look: &Look<'_>, list: &'static str, what: &str, found: &mut Vec<Finding>) {
    let levels = look.levels_of(Controller::Cpuset);
    let Some(leaf) = levels.last() else { return };
    let Some(asked) = leaf.files().get(list) else { return };
    let effective_file = match leaf.files().version {
        Version::V2 => format!("{list}.effective"),
        Version::V1 => list.replace("cpuset.", "cpuset.effective_"),
    };
    let Some(count) = parse::list_len(asked) else { return };
    if count == 0 && leaf.files().version == Version::V1 {
        let above = levels.iter().rev().find_map(|at| {
            let list = at.files().get(list)?.trim_ascii();
            (!list.is_empty()).then(|| text(list))
        });
        let explanation = format!(
            "No {what} are set ({list} is empty), so no process can be moved in: on v1 a new cgroup does not have those of the one above \
             it (unless cgroup.clone_children says so)."
        );
        let finding = leaf.finding("cpuset-empty", Severity::Warning, explanation).with(leaf.says(list));
        found.push(match above {
            Some(above) => finding.fixed_by(super::words::write(&above, &leaf.file(list))),
            None => finding,
        });
        return;
    }
    let Some(effective) = leaf.files().get(&effective_file) else { return };
    let Some(had) = parse::list_len(effective).filter(|had| *had < count) else { return };
    let explanation = format!(
        "{count} {what} were asked for ({}), and {had} are had ({}): the others are offline, or a cgroup above does not have them.",
        text(asked.trim_ascii()),
        text(effective.trim_ascii())
    );
    let finding = leaf.finding("cpuset-less", Severity::Warning, explanation).with(leaf.says(list));
    found.push(
        finding.with(leaf.says(&effective_file)).fixed_by(format!("grep . {}", above_files(&levels, &effective_file))),
    );
}

/// Returns the files of that name in all cgroups on the way, for a command.
fn above_files(levels: &[At<'_>], name: &str) -> String {
    let files = levels.iter().filter(|at| at.has(name)).map(|at| super::words::quoted(&at.file(name)));
    files.collect::<Vec<_>>().join(" ")
}

/// A partition that was asked for and could not be made says why, in parentheses.
fn partition(look: &Look<'_>, found: &mut Vec<Finding>) {
    const FILE: &str = "cpuset.cpus.partition";
    for at in look.levels_of(Controller::Cpuset).iter().rev() {
        let state = text(at.files().get(FILE).unwrap_or_default().trim_ascii());
        let Some((asked, why)) = state.split_once(" invalid") else { continue };
        let why = why.trim().trim_start_matches('(').trim_end_matches(')');
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let explanation = format!("{} asked to be a partition ({asked}) and is none{why}.", at.name());
        let evidence: Vec<Evidence> = [FILE, "cpuset.cpus", "cpuset.cpus.effective", "cpuset.cpus.exclusive"]
            .into_iter()
            .filter_map(|file| at.says(file))
            .collect();
        let finding = at.finding("cpuset-partition", Severity::Warning, explanation).with(evidence);
        found.push(finding.fixed_by(super::words::write("member", &at.file(FILE))));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, Made, essence, evidence};
    use super::*;

    const ROOT: Made<'_> = ("/", &[("cpu.stat", "usage_usec 5\n")]);
    const THROTTLED: (&str, &str) = ("cpu.stat", "nr_periods 12\nnr_throttled 12\nthrottled_usec 990000\n");
    const FREE: (&str, &str) = ("cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n");

    #[test]
    fn its_own_quota() {
        let found = Case::v2(&[ROOT, ("/a", &[THROTTLED, ("cpu.max", "10000 100000\n")])]).only("cpu-throttled");
        let fix = Some("nsx cg set /sys/fs/cgroup/a 'cpu.max=20000 100000'");
        assert_eq!(essence(&found), ("/a", Severity::Warning, fix));
        assert_eq!(
            found.explanation,
            "Its own cpu.max (0.1 processors) stopped it in 12 of 12 periods (100 %) since the cgroup was made, for 990 ms in all, added \
             up over processors."
        );
    }

    #[test]
    fn the_quota_of_one_above() {
        let a: Made<'_> = ("/a.slice", &[THROTTLED, ("cpu.max", "10000 100000\n")]);
        let b: Made<'_> = ("/a.slice/b", &[FREE, ("cpu.stat.local", "throttled_usec 500000\n")]);
        let found = Case::v2(&[ROOT, a, b]).only("cpu-throttled");
        let fix = Some("systemctl set-property --runtime a.slice CPUQuota=20%");
        assert_eq!(essence(&found), ("/a.slice", Severity::Warning, fix));
        assert!(
            found.explanation.contains("of /a.slice, which is above, stopped all below it in 12 of 12"),
            "{found:?}"
        );
        assert!(found.explanation.ends_with("This cgroup had to wait 500 ms of that."), "{found:?}");
        assert_eq!(
            evidence(&found).last().map(String::as_str),
            Some("/a.slice/b/cpu.stat.local: throttled_usec 500000")
        );
        // Whoever has nothing to run does not wait.
        let b: Made<'_> = ("/a.slice/b", &[FREE, ("cpu.stat.local", "throttled_usec 0\n")]);
        assert_eq!(Case::v2(&[ROOT, a, b]).only("cpu-throttled").severity, Severity::Info);
        // Before Linux 6.6 that is not known.
        assert_eq!(Case::v2(&[ROOT, a, ("/a.slice/b", &[FREE])]).only("cpu-throttled").severity, Severity::Warning);
    }

    #[test]
    fn only_what_has_come_since() {
        let before = ("cpu.stat", "nr_periods 2\nnr_throttled 12\nthrottled_usec 0\n");
        let case = Case::v2(&[ROOT, ("/a", &[THROTTLED])]).before(&[ROOT, ("/a", &[before])]);
        assert_eq!(case.ids(), [""; 0]);
        let before = ("cpu.stat", "nr_periods 2\nnr_throttled 11\nthrottled_usec 980000\n");
        let case = Case::v2(&[ROOT, ("/a", &[THROTTLED])]).before(&[ROOT, ("/a", &[before])]);
        let found = case.only("cpu-throttled");
        assert!(found.explanation.contains("in 1 of 10 periods (10 %) in 5.0 s, for 10 ms in all"), "{found:?}");
    }

    #[test]
    fn v1_has_nanoseconds() {
        let a: Made<'_> = (
            "/a",
            &[
                ("cpu.stat", "nr_periods 12\nnr_throttled 9\nthrottled_time 990000000\n"),
                ("cpu.cfs_quota_us", "10000\n"),
                ("cpu.cfs_period_us", "100000\n"),
            ],
        );
        let b: Made<'_> = ("/a/b", &[("cpu.cfs_quota_us", "-1\n"), ("cpu.stat.local", "throttled_time 7000000\n")]);
        let found = Case::v1(&[("/", &[("release_agent", "")]), a, b]).only("cpu-throttled");
        assert_eq!(found.fix.as_deref(), Some("echo 20000 > /sys/fs/cgroup/a/cpu.cfs_quota_us"));
        assert!(found.explanation.contains("for 990 ms in all"), "{found:?}");
        assert!(found.explanation.ends_with("had to wait 7.0 ms of that."), "{found:?}");
    }

    #[test]
    fn a_new_cpuset_of_v1_has_nothing() {
        let root: Made<'_> = ("/", &[("release_agent", ""), ("cpuset.cpus", "0-1\n"), ("cpuset.mems", "0\n")]);
        let case = Case::v1(&[root, ("/a", &[("cpuset.cpus", "\n"), ("cpuset.mems", "\n")])]);
        let all = case.why();
        assert_eq!(essence(&all[0]), ("/a", Severity::Warning, Some("echo 0-1 > /sys/fs/cgroup/a/cpuset.cpus")));
        assert_eq!(essence(&all[1]), ("/a", Severity::Warning, Some("echo 0 > /sys/fs/cgroup/a/cpuset.mems")));
        // An empty one of v2 has those of its parent.
        let a: Made<'_> = ("/a", &[("cpuset.cpus", "\n"), ("cpuset.cpus.effective", "0-1\n")]);
        assert_eq!(Case::v2(&[ROOT, a]).ids(), [""; 0]);
    }

    #[test]
    fn a_partition_says_why_it_is_none() {
        let state = ("cpuset.cpus.partition", "isolated invalid (Cpu list in cpuset.cpus not exclusive)\n");
        let found = Case::v2(&[ROOT, ("/a", &[state])]).only("cpuset-partition");
        assert_eq!(
            found.explanation,
            "/a asked to be a partition (isolated) and is none: Cpu list in cpuset.cpus not exclusive."
        );
    }
}
