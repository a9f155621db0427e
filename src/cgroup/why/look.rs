//! What the rules look at, and how: a cgroup now and before, what a counter has come to, and the finding that is made of it. Pure.

use super::words::{quoted, seconds, text, write};
use super::{Earlier, Evidence, Facts, Finding, Nearby, Reading, Severity};
use crate::cgroup::effective::{Effective, of_knob};
use crate::cgroup::files::Files;
use crate::cgroup::host::Home;
use crate::cgroup::ladder::{Ladder, Level, Seen};
use crate::cgroup::layout::Place;
use crate::model::cgroup::{Controller, Limit, Version, find_knob};

/// Everything there is to look at.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) facts: &'a Facts,
    pub(super) before: Option<Earlier<'a>>,
    pub(super) now: &'a Reading,
}

/// A cgroup, now and before.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    facts: &'a Facts,
    pub(super) hierarchy: usize,
    pub(super) level: &'a Level,
    /// Whether it is the one that was asked about; not so where that could not be reached.
    pub(super) is_leaf: bool,
    /// Whether it is above the one that was asked about.
    above: bool,
    /// Whether there is an earlier reading at all.
    compared: bool,
    /// The same cgroup then; `None` where it was not there, or nothing had been counted in it.
    before: Option<&'a Level>,
}

impl<'a> Look<'a> {
    /// Returns the hierarchy of a controller, if it can be used.
    pub(super) fn home(&self, controller: Controller) -> Option<usize> {
        let home = self.facts.homes.iter().find(|(known, _)| *known == controller)?.1;
        if let Home::Hierarchy(index) = home { Some(index) } else { None }
    }

    /// Returns the v2 hierarchy.
    pub(super) fn unified(&self) -> Option<usize> {
        let is_it = |ladder: &&Ladder| {
            self.facts.hierarchies.get(ladder.hierarchy).is_some_and(|one| one.version == Version::V2)
        };
        self.now.subject.ladders.iter().find(is_it).map(|ladder| ladder.hierarchy)
    }

    /// Returns the cgroups on the way in a hierarchy, from the top down.
    pub(super) fn levels(&self, hierarchy: usize) -> Vec<At<'a>> {
        let levels = self.now.subject.ladder(hierarchy).map_or(&[][..], |ladder| &ladder.levels);
        let before = self.before.and_then(|before| before.reading.subject.ladder(hierarchy));
        let before = before.map_or(&[][..], |ladder| &ladder.levels);
        let target = self.now.subject.ladder(hierarchy).map(|ladder| &ladder.path);
        let levels = levels.iter().map(|level| {
            let is_leaf = Some(&level.path) == target;
            At { is_leaf, above: !is_leaf, ..self.at(hierarchy, level, before.iter()) }
        });
        levels.collect()
    }

    /// Returns those of the hierarchy of a controller.
    pub(super) fn levels_of(&self, controller: Controller) -> Vec<At<'a>> {
        self.home(controller).map_or_else(Vec::new, |hierarchy| self.levels(hierarchy))
    }

    /// Returns the cgroups below, in which something was counted.
    pub(super) fn below(&self, hierarchy: usize) -> Vec<At<'a>> {
        let before = self.before.map_or(&[][..], |before| &before.reading.below);
        let of_it = |near: &&Nearby| near.hierarchy == hierarchy;
        let before: Vec<&Level> = before.iter().filter(of_it).map(|near| &near.level).collect();
        let now = self.now.below.iter().filter(of_it);
        now.map(|near| self.at(hierarchy, &near.level, before.iter().copied())).collect()
    }

    /// Returns the cgroups beside those on the way, right below a cgroup, which use the most.
    pub(super) fn beside(&self, hierarchy: usize, parent: &[u8]) -> impl Iterator<Item = &'a Level> {
        let parent = parent.to_vec();
        let of_it = move |near: &&Nearby| near.hierarchy == hierarchy && self::parent(&near.level.path) == &parent[..];
        self.now.beside.iter().filter(of_it).map(|near| &near.level)
    }

    fn at(&self, hierarchy: usize, level: &'a Level, mut before: impl Iterator<Item = &'a Level>) -> At<'a> {
        // One that was made anew under the same path counts from nothing.
        let same = |then: &&Level| {
            then.path == level.path && then.inode.zip(level.inode).is_none_or(|(then, now)| then == now)
        };
        let before = before.find(same);
        At {
            facts: self.facts,
            hierarchy,
            level,
            is_leaf: false,
            above: false,
            compared: self.before.is_some(),
            before,
        }
    }

    /// Returns what a knob comes to, for each of its keys.
    pub(super) fn effective(&self, knob: &str) -> Vec<Effective> {
        let Some(knob) = find_knob(knob) else { return Vec::new() };
        let hierarchy = match (knob.controller, knob.v1) {
            (Some(controller), _) => self.home(controller),
            (None, Some(v1)) => self.home(v1.controller),
            (None, None) => self.unified(),
        };
        let ladder = hierarchy.and_then(|hierarchy| self.now.subject.ladder(hierarchy));
        ladder.map_or_else(Vec::new, |ladder| of_knob(knob, ladder, &self.facts.host))
    }

    /// Says whether every cgroup above is there to be looked at.
    pub(super) fn sees_all_above(&self, hierarchy: usize) -> bool {
        let ladder = self.now.subject.ladder(hierarchy);
        ladder.is_some_and(|ladder| ladder.is_from_root() && ladder.seen == Seen::Whole)
    }

    /// Says of what time counters are.
    pub(super) fn since(&self) -> String {
        match self.before {
            Some(before) => {
                format!("in {}", seconds(u64::try_from(before.watched.as_micros()).unwrap_or(u64::MAX)))
            }
            None => "since the cgroup was made".to_owned(),
        }
    }

    /// Returns how bad something is whose counter has grown: what only adds up to a total may be long ago.
    pub(super) fn severity_of_growth(&self, bad: Severity, is_so_now: bool) -> Severity {
        if self.before.is_some() || is_so_now { bad } else { Severity::Info }
    }
}

impl<'a> At<'a> {
    pub(super) fn files(&self) -> &'a Files {
        &self.level.files
    }

    pub(super) fn path(&self) -> &'a [u8] {
        &self.level.path
    }

    /// Returns the path for a sentence.
    pub(super) fn name(&self) -> String {
        text(self.path())
    }

    pub(super) fn is_above(&self) -> bool {
        self.above
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.files().get(file).is_some()
    }

    /// Returns the path of a file as a user would type it; `.` is the directory.
    pub(super) fn file(&self, name: &str) -> Vec<u8> {
        file(self.facts, self.hierarchy, self.path(), name)
    }

    /// Says whether the hierarchy is mounted with an option.
    pub(super) fn mounted_with(&self, option: &str) -> bool {
        let mounts = self.facts.hierarchies.get(self.hierarchy).map_or(&[][..], |one| &one.mounts);
        mounts.iter().any(|mount| mount.options.iter().any(|found| found == option.as_bytes()))
    }

    /// Returns the files as they were before.
    pub(super) fn files_before(&self) -> Option<&'a Files> {
        self.before.map(|before| &before.files)
    }

    /// Returns the value of a counter, and by how much it has changed. An empty key is the file itself.
    pub(super) fn count(&self, file: &str, key: &str) -> Option<(u64, Option<i64>)> {
        let read = |files: &Files| if key.is_empty() { files.number(file) } else { files.keyed(file, key) };
        let now = read(self.files())?;
        let then = self.before.and_then(|before| read(&before.files)).unwrap_or_default();
        let change = i64::try_from(i128::from(now) - i128::from(then)).unwrap_or_default();
        Some((now, self.compared.then_some(change)))
    }

    /// Returns by how much a counter has grown since the earlier reading; without one, its total.
    pub(super) fn grown(&self, file: &str, key: &str) -> u64 {
        match self.count(file, key) {
            None => 0,
            Some((now, None)) => now,
            Some((_, Some(change))) => u64::try_from(change).unwrap_or_default(),
        }
    }

    /// Returns a counter as evidence.
    pub(super) fn counted(&self, file: &str, key: &str) -> Option<Evidence> {
        let (value, change) = self.count(file, key)?;
        Some(Evidence { file: self.file(file), key: key.to_owned(), value: value.to_string(), change })
    }

    /// Returns what a file of one line says as evidence.
    pub(super) fn says(&self, file: &str) -> Option<Evidence> {
        let content = self.files().get(file)?;
        let line = content.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let value = text(line.trim_ascii());
        let value = if value.is_empty() { "(empty)".to_owned() } else { value };
        Some(Evidence { file: self.file(file), key: String::new(), value, change: None })
    }

    /// Starts a finding about this cgroup.
    pub(super) fn finding(&self, id: &'static str, severity: Severity, explanation: String) -> Finding {
        Finding {
            id,
            severity,
            cgroup: self.path().to_vec(),
            hierarchy: self.hierarchy,
            evidence: Vec::new(),
            explanation,
            fix: None,
        }
    }

    /// Returns the limit that a knob sets here, if it sets one.
    pub(super) fn limit(&self, knob: &str) -> Option<u64> {
        let settings = self.files().settings(find_knob(knob)?);
        settings.into_iter().find(|setting| setting.key.is_none())?.limit.value()
    }

    /// Returns the name of the file of a knob.
    pub(super) fn knob_file(&self, knob: &'static str) -> &'static str {
        find_knob(knob).and_then(|found| self.files().file_of(found)).unwrap_or(knob)
    }

    /// Returns the command that sets a knob here. systemd sets what is its own anew when it likes, so it is told to.
    pub(super) fn set(&self, knob: &'static str, value: &str) -> String {
        if let Some(command) = self.set_by_systemd(knob, value) {
            return command;
        }
        match self.files().version {
            // What v1 calls otherwise or divides otherwise is written as it is.
            Version::V1 if !matches!(knob, "memory.max" | "pids.max") => write(value, &self.file(self.knob_file(knob))),
            _ => self.nsx("set", &format!("{knob}={value}")),
        }
    }

    /// Returns the command of nsx that changes this cgroup, in its hierarchy.
    pub(super) fn nsx(&self, command: &str, words: &str) -> String {
        let words = if words.is_empty() { String::new() } else { format!(" {}", quoted(words.as_bytes())) };
        format!("nsx cg {command} {}{words}", quoted(&self.file(".")))
    }

    fn set_by_systemd(&self, knob: &str, value: &str) -> Option<String> {
        let name = self.path().rsplit(|&byte| byte == b'/').next()?;
        let is_unit = [&b".service"[..], b".scope", b".slice"].iter().any(|ending| name.ends_with(ending));
        // Units of a user's manager are not the system's.
        let is_users = self.path().split(|&byte| byte == b'/').any(|name| name.starts_with(b"user@"));
        if !is_unit || is_users || self.files().version == Version::V1 {
            return None;
        }
        let property = match knob {
            "memory.max" => format!("MemoryMax={value}"),
            "memory.high" => format!("MemoryHigh={value}"),
            "memory.swap.max" => format!("MemorySwapMax={value}"),
            "memory.zswap.max" => format!("MemoryZSwapMax={value}"),
            "pids.max" => format!("TasksMax={value}"),
            "cpu.max" => {
                let (quota, period) = value.split_once(' ')?;
                let percent = quota.parse::<u64>().ok()?.saturating_mul(100) / period.parse::<u64>().ok()?.max(1);
                format!("CPUQuota={percent}%")
            }
            _ => return None,
        };
        let dashes = if name.starts_with(b"-") { "-- " } else { "" };
        Some(format!("systemctl set-property --runtime {dashes}{} {property}", quoted(name)))
    }
}

impl Finding {
    /// Adds what it rests on.
    pub(super) fn with(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Finding {
        self.evidence.extend(evidence);
        self
    }

    /// Adds what to type.
    pub(super) fn fixed_by(mut self, command: impl Into<String>) -> Finding {
        self.fix = Some(command.into());
        self
    }
}

/// Returns the path of a file of a cgroup as a user would type it; `.` is the directory.
pub(super) fn file(facts: &Facts, hierarchy: usize, path: &[u8], name: &str) -> Vec<u8> {
    let mut file = match facts.hierarchies.get(hierarchy).map(|one| one.place(path)) {
        Some(Place::Directory(directory)) => directory,
        _ => path.to_vec(),
    };
    if name != "." {
        file.push(b'/');
        file.extend_from_slice(name.as_bytes());
    }
    file
}

/// Returns the path of the cgroup above; that of the root is the root.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        None | Some(0) => b"/",
        Some(slash) => &path[..slash],
    }
}

/// Says whether a cgroup is another one, or above it.
pub(super) fn holds(above: &[u8], path: &[u8]) -> bool {
    above == b"/" || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Returns a limit that is a number.
pub(super) fn number(limit: Option<Limit>) -> Option<u64> {
    limit.and_then(Limit::value)
}
