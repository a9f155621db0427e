//! What has happened in a cgroup so far: kills, refusals, throttling, as its files count them. Pure.
//!
//! Counters only grow while a cgroup lives. Some count what happened here, others what happened here and below; which, is in the table.

use super::files::Files;
use super::ladder::Subject;
use super::parse;
use crate::model::cgroup::{Controller, Version};

/// Whose doings a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of this cgroup.
    Local,
    /// Those of this cgroup and of all below it.
    Subtree,
}

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The version that has it.
    pub version: Version,
    /// Its controller.
    pub controller: Controller,
    /// Its file.
    pub file: &'static str,
    /// Its key in the file; empty where the file is the number.
    pub key: &'static str,
    /// Whose doings it counts.
    pub scope: Scope,
}

const fn v2(controller: Controller, file: &'static str, key: &'static str, scope: Scope) -> Counter {
    Counter { version: Version::V2, controller, file, key, scope }
}

const fn v1(controller: Controller, file: &'static str, key: &'static str) -> Counter {
    Counter { version: Version::V1, controller, file, key, scope: Scope::Local }
}

/// Every counter that is shown.
pub static COUNTERS: [Counter; 35] = {
    use Controller::{Cpu, Memory, Pids};
    use Scope::{Local, Subtree};
    [
        v2(Memory, "memory.events.local", "oom", Local),
        v2(Memory, "memory.events.local", "oom_kill", Local),
        v2(Memory, "memory.events.local", "oom_group_kill", Local),
        v2(Memory, "memory.events.local", "max", Local),
        v2(Memory, "memory.events.local", "high", Local),
        v2(Memory, "memory.events.local", "low", Local),
        v2(Memory, "memory.events.local", "sock_throttled", Local),
        v2(Memory, "memory.events", "oom", Subtree),
        v2(Memory, "memory.events", "oom_kill", Subtree),
        v2(Memory, "memory.events", "oom_group_kill", Subtree),
        v2(Memory, "memory.events", "max", Subtree),
        v2(Memory, "memory.events", "high", Subtree),
        v2(Memory, "memory.events", "low", Subtree),
        v2(Memory, "memory.events", "sock_throttled", Subtree),
        v2(Memory, "memory.swap.events", "max", Subtree),
        v2(Memory, "memory.swap.events", "high", Subtree),
        v2(Memory, "memory.swap.events", "fail", Subtree),
        v2(Cpu, "cpu.stat", "nr_periods", Local),
        v2(Cpu, "cpu.stat", "nr_throttled", Local),
        v2(Cpu, "cpu.stat", "throttled_usec", Local),
        v2(Cpu, "cpu.stat.local", "throttled_usec", Local),
        v2(Pids, "pids.events.local", "max", Local),
        v2(Pids, "pids.events", "max", Subtree),
        v1(Memory, "memory.failcnt", ""),
        v1(Memory, "memory.memsw.failcnt", ""),
        v1(Memory, "memory.kmem.failcnt", ""),
        v1(Memory, "memory.oom_control", "oom_kill"),
        v1(Memory, "memory.oom_control", "under_oom"),
        v1(Memory, "memory.oom_control", "oom_kill_disable"),
        v1(Cpu, "cpu.stat", "nr_periods"),
        v1(Cpu, "cpu.stat", "nr_throttled"),
        v1(Cpu, "cpu.stat", "throttled_time"),
        v1(Cpu, "cpu.stat.local", "throttled_time"),
        v1(Pids, "pids.events", "max"),
        v1(Pids, "pids.events.local", "max"),
    ]
};

impl Counter {
    /// Reads it; `None` where the files do not have it.
    pub fn read(&self, files: &Files) -> Option<u64> {
        if files.version != self.version {
            return None;
        }
        match self.key {
            "" => files.number(self.file),
            key => files.keyed(self.file, key),
        }
    }
}

/// A counter of one cgroup on a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The counter.
    pub counter: &'static Counter,
    /// The index of the hierarchy.
    pub hierarchy: usize,
    /// The place on the ladder; 0 is the top.
    pub level: usize,
    /// How often, or how long.
    pub value: u64,
}

/// Returns what has happened to a process or cgroup and to those above it.
pub fn events(subject: &Subject) -> Vec<Event> {
    let mut events = Vec::new();
    for ladder in &subject.ladders {
        for (level, found) in ladder.levels.iter().enumerate() {
            for counter in &COUNTERS {
                let Some(value) = counter.read(&found.files) else { continue };
                events.push(Event { counter, hierarchy: ladder.hierarchy, level, value });
            }
        }
    }
    events
}

/// How much a cgroup was throttled because its own quota was used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// How many periods it wanted to run in.
    pub periods: u64,
    /// In how many of them it was stopped.
    pub throttled: u64,
    /// For how long, of all processors together, in microseconds.
    pub throttled_usec: u64,
}

impl Throttling {
    /// Reads it from `cpu.stat`, which counts what the group's own quota does, and not those above it.
    pub fn of(files: &Files) -> Option<Throttling> {
        let stat = files.get("cpu.stat")?;
        Throttling::parse(stat)
    }

    /// Reads it from the text of `cpu.stat`; v1 gives nanoseconds.
    pub fn parse(stat: &[u8]) -> Option<Throttling> {
        let throttled_usec =
            parse::keyed(stat, "throttled_usec").or_else(|| Some(parse::keyed(stat, "throttled_time")? / 1000));
        Some(Throttling {
            periods: parse::keyed(stat, "nr_periods")?,
            throttled: parse::keyed(stat, "nr_throttled")?,
            throttled_usec: throttled_usec?,
        })
    }

    /// Returns in which part of the periods it was stopped, in percent; `None` where there were none.
    pub fn percent(&self) -> Option<f64> {
        (self.periods > 0).then(|| self.throttled as f64 * 100.0 / self.periods as f64)
    }

    /// Returns what has come since an earlier reading.
    #[must_use]
    pub fn since(&self, before: &Throttling) -> Throttling {
        Throttling {
            periods: self.periods.saturating_sub(before.periods),
            throttled: self.throttled.saturating_sub(before.throttled),
            throttled_usec: self.throttled_usec.saturating_sub(before.throttled_usec),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_the_same_on_both_versions() {
        let expected = Throttling { periods: 12, throttled: 9, throttled_usec: 990_000 };
        let v2 = b"usage_usec 5\nnr_periods 12\nnr_throttled 9\nthrottled_usec 990000\n";
        let v1 = b"nr_periods 12\nnr_throttled 9\nthrottled_time 990000000\n";
        assert_eq!((Throttling::parse(v2), Throttling::parse(v1)), (Some(expected), Some(expected)));
        assert_eq!(expected.percent(), Some(75.0));
        assert_eq!(Throttling::default().percent(), None);
        assert_eq!(Throttling::parse(b"usage_usec 5\n"), None);
        let before = Throttling { periods: 2, throttled: 9, throttled_usec: 1_000_000 };
        assert_eq!(expected.since(&before), Throttling { periods: 10, throttled: 0, throttled_usec: 0 });
    }

    #[test]
    fn a_counter_is_read_where_its_version_has_it() {
        let mut files = Files::new(Version::V1);
        files.insert("memory.failcnt", b"7\n".to_vec());
        files.insert("memory.oom_control", b"oom_kill_disable 0\nunder_oom 0\noom_kill 2\n".to_vec());
        let read = |file: &str, key: &str| {
            let counter = COUNTERS.iter().find(|one| one.file == file && one.key == key).expect("a counter");
            counter.read(&files)
        };
        assert_eq!(read("memory.failcnt", ""), Some(7));
        assert_eq!(read("memory.oom_control", "oom_kill"), Some(2));
        assert_eq!(read("memory.events", "oom_kill"), None);
    }
}
