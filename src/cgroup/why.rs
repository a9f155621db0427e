//! Why something was killed, slowed or refused: rules over what the files of its cgroups say. Pure.
//!
//! A rule says no more than the files do: who reached a limit and who was killed for it are counted in different cgroups, and where two
//! answers are possible both are named. With an earlier reading only what has come since counts; without one the counters are totals since
//! each cgroup was made. One file for each theme. Not here: reading (`cgroup::below`, `cgroup::ladder`), how findings look (`render`). See
//! `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/*.rst`.

mod cpu;
mod io;
mod look;
mod memory;
mod oom;
mod pids;
mod reach;
mod state;
mod words;

use std::time::Duration;

use super::host::{Home, Host};
use super::ladder::{Level, Subject};
use super::layout::Hierarchy;
use crate::model::cgroup::Controller;
use look::Look;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Harm was done, or nothing can go on: killed, refused, frozen.
    Critical,
    /// It is slowed, or soon will be.
    Warning,
    /// Something to know.
    Info,
}

impl Severity {
    /// Returns the word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// What a file says that a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The path of the file, as a user would type it.
    pub file: Vec<u8>,
    /// Which of its values; empty where the file has only one.
    pub key: String,
    /// What it says.
    pub value: String,
    /// By how much it has changed since the earlier reading.
    pub change: Option<i64>,
}

/// Something that explains why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name, one of [`RULES`].
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The cgroup that it has happened to.
    pub cgroup: Vec<u8>,
    /// The index of its hierarchy.
    pub hierarchy: usize,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// What it means, in a sentence or two. It may hold paths, which others choose.
    pub explanation: String,
    /// What to type to change that.
    pub fix: Option<String>,
}

/// A cgroup that is not on the way from the root, with those of its files that are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearby {
    /// The index of its hierarchy.
    pub hierarchy: usize,
    /// What it is.
    pub level: Level,
}

/// All that was read at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The process or cgroup, with those above.
    pub subject: Subject,
    /// Cgroups below it in which something was counted, with their counters.
    pub below: Vec<Nearby>,
    /// Cgroups beside those on the way, below a limit of which little is left: those that use the most of it, with what they use.
    pub beside: Vec<Nearby>,
    /// Whether there were more below than were looked at.
    pub cut: bool,
}

/// An earlier reading, for a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Earlier<'a> {
    /// What was read.
    pub reading: &'a Reading,
    /// How long ago that was.
    pub watched: Duration,
}

/// What the caller may not do with the cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The index of the hierarchy.
    pub hierarchy: usize,
    /// The files that may not be written to; `.` is the directory, in which no cgroup can be made then.
    pub names: Vec<&'static str>,
}

/// What there is to know beside the cgroups themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The hierarchies, by index.
    pub hierarchies: Vec<Hierarchy>,
    /// Where the controllers are at home that limits need.
    pub homes: Vec<(Controller, Home)>,
    /// What the host has.
    pub host: Host,
    /// What the caller may not do.
    pub refusals: Vec<Refusal>,
}

/// The controllers that somebody who asks why has in mind.
pub const MAIN: [Controller; 5] =
    [Controller::Memory, Controller::Cpu, Controller::Pids, Controller::Io, Controller::Cpuset];

/// Every finding there can be: its id and what it says. Of equally bad ones the earlier is more likely the cause.
pub static RULES: [(&str, &str); 34] = [
    ("oom-kill", "processes were killed because a memory limit was reached, and whose limit it was"),
    ("oom-host", "processes were killed because the host ran out of memory, and not because of a limit"),
    ("oom-hang", "v1: a memory limit is reached, and tasks wait for memory instead of being killed"),
    ("frozen", "all tasks stand still, and which cgroup was frozen"),
    ("pids-max", "forks failed because a limit of tasks was reached"),
    ("oom-nearby", "a memory limit above was reached, and processes in other cgroups below it were killed"),
    ("oom-no-kill", "a memory limit was reached, and nothing was killed"),
    ("cpu-throttled", "a quota of processor time was used up, its own or one above"),
    ("memory-high", "tasks were slowed because usage was above memory.high"),
    ("memory-max", "a memory limit was reached, and memory was reclaimed again and again"),
    ("near-limit", "little is left below a limit, its own or one above"),
    ("swap-max", "pages could not be swapped out because of a limit of swap"),
    ("swap-full", "pages could not be swapped out because the host has no swap left"),
    ("io-max", "tasks wait for devices whose use is limited"),
    ("pressure", "tasks lose time waiting for memory, processors or devices"),
    ("host-memory", "the host has little memory left"),
    ("domain-invalid", "the cgroup can have no processes until it is made threaded"),
    ("removed", "the cgroup was removed"),
    ("cpuset-empty", "v1: no processor or memory node is set, so that no process can be moved in"),
    ("cpuset-partition", "what was asked for as a partition of processors is none"),
    ("cpuset-less", "fewer processors or memory nodes are had than were asked for"),
    ("children-max", "no more cgroups can be made below"),
    ("zswap-max", "compressed memory has reached its limit"),
    ("cpu-few", "many tasks share less than one processor"),
    ("cpu-idle", "tasks run only when nobody else wants to"),
    ("dying", "many removed cgroups still hold memory"),
    ("threaded", "the cgroup is threaded, so that some controllers do not reach it"),
    ("refused", "the cgroups could not be read"),
    ("out-of-sight", "there are cgroups above that cannot be seen, and may set limits"),
    ("not-delegated", "the caller may not change the cgroup"),
    ("controller-off", "a controller ends above, so that there are no limits of its own"),
    ("controller-absent", "a controller is not in use on this host"),
    ("psi-off", "pressure is not measured"),
    ("not-all-seen", "there are more cgroups below than were looked at"),
];

/// Says why: the worst first, and of those the likeliest.
pub fn why(facts: &Facts, before: Option<Earlier<'_>>, now: &Reading) -> Vec<Finding> {
    let look = Look { facts, before, now };
    let mut found = Vec::new();
    oom::look_for(&look, &mut found);
    memory::look_for(&look, &mut found);
    cpu::look_for(&look, &mut found);
    pids::look_for(&look, &mut found);
    io::look_for(&look, &mut found);
    state::look_for(&look, &mut found);
    reach::look_for(&look, &mut found);
    let rank = |id: &str| RULES.iter().position(|(known, _)| *known == id);
    found.sort_by_key(|finding| (finding.severity, rank(finding.id)));
    found
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
