//! Counters of the cgroups of a sandbox, and of those above that limit something.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::super::limits::{Made, MadeGroup};
use crate::cgroup::at::parent_path;
use crate::cgroup::{Throttling, parse};
use crate::model::cgroup::{Bandwidth, Controller, Limit, Version};
use crate::sys::{dir, kmsg};

/// No file that is read here is longer.
const MOST_BYTES: usize = 64 << 10;

pub(super) fn text(group: &MadeGroup, file: &CStr) -> Option<Vec<u8>> {
    text_in(&group.directory, file)
}

pub(super) fn number(group: &MadeGroup, file: &CStr) -> Option<u64> {
    parse::number(&text(group, file)?)
}

pub(super) fn keyed(group: &MadeGroup, file: &CStr, key: &str) -> Option<u64> {
    parse::keyed(&text(group, file)?, key)
}

/// Reads a counter of v1 that counts where a process was, be it in the cgroup with the limits or in the one inside.
pub(super) fn keyed_here(group: &MadeGroup, file: &CStr, key: &str) -> Option<u64> {
    let inside = group.inner.as_ref().and_then(|inner| parse::keyed(&text_in(inner, file)?, key));
    let own = keyed(group, file, key);
    own.map(|own| own.saturating_add(inside.unwrap_or(0))).or(inside)
}

/// Reads a number of the cgroup inside.
pub(super) fn number_inside(group: &MadeGroup, file: &CStr) -> Option<u64> {
    parse::number(&text_in(group.inner.as_ref()?, file)?)
}

fn text_in(directory: &OwnedFd, file: &CStr) -> Option<Vec<u8>> {
    dir::read_whole(directory.as_fd(), file, MOST_BYTES).ok()
}

fn limit_in(directory: &OwnedFd, file: &CStr) -> Option<u64> {
    parse::limit_v1(&text_in(directory, file)?)?.value()
}

/// Reads the bandwidth of a cgroup.
pub(super) fn bandwidth(directory: &OwnedFd, version: Version) -> Option<Bandwidth> {
    let text = |file| text_in(directory, file);
    match version {
        Version::V2 => parse::bandwidth(&text(c"cpu.max")?),
        Version::V1 => parse::bandwidth_v1(&text(c"cpu.cfs_quota_us")?, &text(c"cpu.cfs_period_us")?),
    }
    .filter(|found| found.quota_usec != Limit::Max)
}

/// What a cgroup above has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// How often its limit of memory was reached.
    pub(super) memory_hits: u64,
    /// How many processes in it or below it were killed.
    pub(super) memory_kills: u64,
    /// How often its limit of tasks was reached.
    pub(super) task_hits: u64,
    throttling: Option<Throttling>,
}

/// A cgroup above that limits something.
pub(super) struct Level {
    /// The index of the sandbox's cgroup that it is above of.
    group: usize,
    version: Version,
    directory: OwnedFd,
    pub(super) path: Vec<u8>,
    pub(super) memory_limit: Option<u64>,
    pub(super) task_limit: Option<u64>,
    pub(super) bandwidth: Option<Bandwidth>,
    before: Counters,
}

impl Level {
    fn read_counters(&self) -> Counters {
        let text = |file| text_in(&self.directory, file);
        let keyed = |file, key| parse::keyed(&text(file)?, key);
        let mut counters = Counters::default();
        match self.version {
            _ if self.memory_limit.is_none() => {}
            Version::V2 => {
                let local = keyed(c"memory.events.local", "oom").or_else(|| keyed(c"memory.events", "oom"));
                counters.memory_hits = local.unwrap_or(0);
                counters.memory_kills = keyed(c"memory.events", "oom_kill").unwrap_or(0);
            }
            Version::V1 => {
                let count = |file| text(file).and_then(|text| parse::number(&text)).unwrap_or(0);
                counters.memory_hits = count(c"memory.failcnt").saturating_add(count(c"memory.memsw.failcnt"));
            }
        }
        if self.task_limit.is_some() && self.version == Version::V2 {
            counters.task_hits = keyed(c"pids.events.local", "max").unwrap_or(0);
        }
        if self.bandwidth.is_some() {
            counters.throttling = text(c"cpu.stat").and_then(|stat| Throttling::parse(&stat));
        }
        counters
    }

    /// Returns by how much a counter has grown since the sandbox started.
    pub(super) fn grown(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        of(&self.read_counters()).saturating_sub(of(&self.before))
    }

    /// Returns how it was throttled since the sandbox started.
    pub(super) fn throttled(&self) -> Option<Throttling> {
        self.bandwidth?;
        let before = self.before.throttling.unwrap_or_default();
        Some(self.read_counters().throttling?.since(&before))
    }

    /// Says whether its limit of tasks has ever been reached.
    pub(super) fn is_full_of_tasks(&self) -> bool {
        let most = || {
            let number = |file| parse::number(&text_in(&self.directory, file)?);
            number(c"pids.peak").or_else(|| number(c"pids.current"))
        };
        self.task_limit.is_some_and(|limit| most().is_some_and(|most| most >= limit))
    }
}

/// What the cgroups above the sandbox's had counted before it started; of those that limit something.
#[derive(Default)]
pub struct Baseline {
    /// The nearest first.
    levels: Vec<Level>,
    /// When: [`kmsg::now`].
    pub(super) at: Duration,
}

impl Baseline {
    pub(super) fn read(made: &Made) -> Baseline {
        let mut levels = Vec::new();
        for (index, group) in made.groups.iter().enumerate() {
            let mut next = parent_path(&group.path).zip(group.parent.try_clone().ok());
            while let Some((path, directory)) = next {
                let above = (path != group.top).then(|| dir::open_path(directory.as_fd(), c"..").ok()).flatten();
                levels.extend(level(index, group, path, directory));
                next = parent_path(path).zip(above);
            }
        }
        Baseline { levels, at: kmsg::now() }
    }

    /// Returns those above one of the sandbox's cgroups, the nearest first.
    pub(super) fn of(&self, group: usize) -> impl Iterator<Item = &Level> {
        self.levels.iter().filter(move |level| level.group == group)
    }
}

fn level(index: usize, group: &MadeGroup, path: &[u8], directory: OwnedFd) -> Option<Level> {
    let has = |controller| group.controllers.contains(&controller);
    let memory = match group.version {
        Version::V2 => c"memory.max",
        Version::V1 => c"memory.limit_in_bytes",
    };
    let mut level = Level {
        group: index,
        version: group.version,
        path: path.to_vec(),
        memory_limit: has(Controller::Memory).then(|| limit_in(&directory, memory)).flatten(),
        task_limit: has(Controller::Pids).then(|| limit_in(&directory, c"pids.max")).flatten(),
        bandwidth: has(Controller::Cpu).then(|| bandwidth(&directory, group.version)).flatten(),
        directory,
        before: Counters::default(),
    };
    let limits = level.memory_limit.is_some() || level.task_limit.is_some() || level.bandwidth.is_some();
    level.before = if limits { level.read_counters() } else { return None };
    Some(level)
}
