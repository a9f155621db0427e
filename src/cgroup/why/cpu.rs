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
