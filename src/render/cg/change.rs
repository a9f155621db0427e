//! What was changed in cgroups: a line for each thing that was done.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::{HierarchyJson, amount, hierarchy_name, limit};
use crate::cgroup::change::{Action, Change, Log};
use crate::cgroup::{Cgroups, parse};
use crate::model::cgroup::{KNOBS, Limit, Unit};
use crate::render::json::{self, Text};
use crate::render::text::sanitize;

/// Changes, to be shown.
pub struct Changes<'a> {
    cgroups: &'a Cgroups,
    log: &'a Log,
    failed: Option<&'a str>,
}

impl<'a> Changes<'a> {
    /// Takes what was done, and what was said of the first thing that was not.
    pub const fn new(cgroups: &'a Cgroups, log: &'a Log, failed: Option<&'a str>) -> Changes<'a> {
        Changes { cgroups, log, failed }
    }

    /// Prints it for a person.
    ///
    /// # Errors
    /// What the writer says.
    pub fn text(&self, to: &mut dyn Write) -> io::Result<()> {
        // Who was killed in one hierarchy is found in the others no more.
        let killed = self.log.changes.iter().any(|change| change.action == Action::Kill && !change.idle);
        let is_told = |change: &&Change| !(killed && change.action == Action::Kill && change.idle);
        self.log.changes.iter().filter(is_told).try_for_each(|change| writeln!(to, "{}", self.line(change)))
    }

    fn line(&self, change: &Change) -> String {
        let path = sanitize(&change.path);
        let before = if self.log.dry { "would be " } else { "" };
        // Where there is but one hierarchy there is nothing to tell apart.
        let which = match self.cgroups.hierarchies.len() {
            0 | 1 => String::new(),
            _ => format!(" ({})", hierarchy_name(&self.cgroups.hierarchies[change.hierarchy])),
        };
        match change.action {
            Action::Set => self.set(change),
            Action::Move => {
                let pid = change.pid.unwrap_or_default();
                let from = sanitize(change.before.as_deref().unwrap_or_default());
                match (change.idle, self.log.dry) {
                    (true, _) => format!("{pid} is in {path} already{which}"),
                    (false, false) if !change.confirmed => format!("{pid} not moved to {path}{which}"),
                    (false, false) => format!("{pid} moved from {from} to {path}{which}"),
                    (false, true) => format!("{pid} would be moved from {from} to {path}{which}"),
                }
            }
            Action::Freeze if change.idle => format!("{path} is frozen already{which}"),
            Action::Thaw if change.idle => format!("{path} is not frozen{which}"),
            Action::Freeze | Action::Thaw if !change.confirmed && !self.log.dry => {
                let word = if change.action == Action::Freeze { "frozen" } else { "thawed" };
                format!("{path} not {word} yet{which}")
            }
            Action::Freeze => format!("{path} {before}frozen{which}"),
            Action::Thaw => format!("{path} {before}thawed{which}"),
            Action::Kill if change.idle => format!("nobody is in {path}{which}"),
            Action::Kill => {
                let who = match change.killed {
                    None => format!("all in {path}"),
                    Some(1) => format!("1 process in {path}"),
                    Some(count) => format!("{count} processes in {path}"),
                };
                match change.confirmed || self.log.dry {
                    true => format!("{who} {before}killed{which}"),
                    false => format!("{who} sent SIGKILL{which}; some are left"),
                }
            }
            Action::Create if change.idle => format!("{path} is there already{which}"),
            Action::Create => format!("{path} {before}created{which}"),
            Action::Remove if change.idle => format!("{path} had gone already{which}"),
            Action::Remove => format!("{path} {before}removed{which}"),
        }
    }

    fn set(&self, change: &Change) -> String {
        let knob = change.knob.as_deref().unwrap_or_default();
        let file = change.file.as_deref().unwrap_or_default();
        let show = |text: Option<&[u8]>| text.map_or_else(|| "-".to_owned(), |text| value(knob, file, text));
        let is_other = if file == knob { String::new() } else { format!(" ({file})") };
        let path = sanitize(&change.path);
        let before = show(change.before.as_deref());
        if self.log.dry {
            let asked = show(change.asked.as_deref());
            return format!("{knob} of {path} would be set: {before} -> {asked}{is_other}");
        }
        match &change.after {
            None => {
                format!("{knob} of {path}: {} written, cannot be read back{is_other}", show(change.asked.as_deref()))
            }
            after if change.confirmed && *after == change.before => {
                format!("{knob} of {path}: {before}, as before{is_other}")
            }
            after if change.confirmed => format!("{knob} of {path}: {before} -> {}{is_other}", show(after.as_deref())),
            after => {
                let (asked, after) = (show(change.asked.as_deref()), show(after.as_deref()));
                format!("{knob} of {path}: {asked} written, {after} is read, {before} before{is_other}")
            }
        }
    }

    /// Prints the document of schema `nsx.cg.change/1`.
    ///
    /// # Errors
    /// What the writer says.
    pub fn json(&self, to: &mut dyn Write) -> io::Result<()> {
        let changes = self.log.changes.iter().map(|change| ChangeJson {
            action: change.action.name(),
            hierarchy: self.cgroups.hierarchies[change.hierarchy].hierarchy.id,
            path: Text { key: "path", raw_key: "path_raw", bytes: Some(&change.path) },
            knob: change.knob.as_deref(),
            file: change.file.as_deref(),
            pid: change.pid,
            before: ValueJson { key: "before", raw_key: "before_raw", value: change.before.as_deref(), of: change },
            asked: ValueJson { key: "asked", raw_key: "asked_raw", value: change.asked.as_deref(), of: change },
            after: ValueJson { key: "after", raw_key: "after_raw", value: change.after.as_deref(), of: change },
            killed: change.killed,
            confirmed: change.confirmed,
            unchanged: change.idle || (change.confirmed && change.after.is_some() && change.after == change.before),
        });
        let document = ChangeDocument {
            schema: "nsx.cg.change/1",
            dry_run: self.log.dry,
            hierarchies: HierarchyJson::all(self.cgroups),
            changes: changes.collect(),
            error: self.failed,
        };
        json::write(&document, to)
    }
}

/// Returns what the number of a file counts, if it is one number.
fn unit(knob: &str) -> Option<Unit> {
    let is_it = |name: &str| match name.split_once('*') {
        Some((before, after)) => knob.starts_with(before) && knob.ends_with(after),
        None => name == knob,
    };
    let found = KNOBS.iter().find(|known| is_it(known.name))?.unit;
    // The others have several numbers, or words.
    matches!(found, Unit::Bytes | Unit::Count | Unit::Weight).then_some(found).filter(|_| !knob.starts_with("io."))
}

/// Returns the limit that a file says, where it is one.
fn parse_limit(knob: &str, file: &str, text: &[u8]) -> Option<(Limit, Unit)> {
    if file.starts_with("cpu.cfs_") {
        let found = if text == b"-1" { Limit::Max } else { parse::limit(text)? };
        return Some((found, Unit::Count));
    }
    let unit = unit(knob)?;
    let found = if text == b"-1" { Limit::Max } else { parse::limit_v1(text)? };
    Some((found, unit))
}

/// Says what is in a file, for a person.
fn value(knob: &str, file: &str, text: &[u8]) -> String {
    let text = text.trim_ascii();
    if file == "cpu.max"
        && let Some(found) = parse::bandwidth(text)
    {
        return match found.quota_usec {
            Limit::Max => "max".to_owned(),
            Limit::Value(_) => {
                let processors =
                    found.millicpus().value().map_or_else(String::new, |value| amount(value, Unit::Millicpus));
                format!("{processors} ({})", sanitize(text))
            }
        };
    }
    match parse_limit(knob, file, text) {
        Some((found, unit)) => limit(Some(found), unit),
        None if text.is_empty() => "nothing".to_owned(),
        None => sanitize(text).into_owned(),
    }
}

/// A value in JSON: a number, `"max"`, or the text of the file; null where it could not be read.
struct ValueJson<'a> {
    key: &'static str,
    raw_key: &'static str,
    value: Option<&'a [u8]>,
    of: &'a Change,
}

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.value.map(<[u8]>::trim_ascii);
        let (knob, file) = (self.of.knob.as_deref().unwrap_or_default(), self.of.file.as_deref().unwrap_or_default());
        let numeric = self.of.action == Action::Set;
        let found = text.filter(|_| numeric).and_then(|text| parse_limit(knob, file, text));
        let number = text.filter(|_| numeric).and_then(parse::number);
        match (found, number) {
            (Some((Limit::Max, _)), _) => one(serializer, self.key, &"max"),
            (Some((Limit::Value(value), _)), _) | (None, Some(value)) => one(serializer, self.key, &value),
            (None, None) => Text { key: self.key, raw_key: self.raw_key, bytes: text }.serialize(serializer),
        }
    }
}

fn one<S: Serializer>(serializer: S, key: &'static str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

#[derive(Serialize)]
struct ChangeDocument<'a> {
    schema: &'static str,
    dry_run: bool,
    hierarchies: Vec<HierarchyJson<'a>>,
    changes: Vec<ChangeJson<'a>>,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    action: &'static str,
    hierarchy: u32,
    #[serde(flatten)]
    path: Text<'a>,
    knob: Option<&'a str>,
    file: Option<&'a str>,
    pid: Option<u32>,
    #[serde(flatten)]
    before: ValueJson<'a>,
    #[serde(flatten)]
    asked: ValueJson<'a>,
    #[serde(flatten)]
    after: ValueJson<'a>,
    killed: Option<u64>,
    confirmed: bool,
    unchanged: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::ProcRoot;

    #[test]
    fn only_what_was_confirmed_is_said_to_be_done() {
        let proc = ProcRoot::open(std::path::Path::new("/proc")).expect("/proc");
        let cgroups = Cgroups::open(&proc).expect("hierarchies");
        let text = |bytes: &str| Some(bytes.as_bytes().to_vec());
        let base = |action, confirmed| Change { confirmed, ..Change::at(action, 0, b"/x") };
        for (confirmed, moved, killed, all, set) in [
            (true, "7 moved from /a to /x", "2 processes in /x killed", "all in /x killed", "pids.max of /x: 1 -> 2"),
            (
                false,
                "7 not moved to /x",
                "2 processes in /x sent SIGKILL",
                "all in /x sent SIGKILL",
                "pids.max of /x: 3 written, 2 is read, 1 before",
            ),
        ] {
            let knob = Some("pids.max".to_owned());
            for (change, expected) in [
                (Change { pid: Some(7), before: text("/a"), ..base(Action::Move, confirmed) }, moved),
                (Change { killed: Some(2), ..base(Action::Kill, confirmed) }, killed),
                (base(Action::Kill, confirmed), all),
                (
                    Change {
                        file: knob.clone(),
                        knob,
                        before: text("1"),
                        asked: text("3"),
                        after: text("2"),
                        ..base(Action::Set, confirmed)
                    },
                    set,
                ),
            ] {
                let log = Log { dry: false, changes: vec![change] };
                let mut out = Vec::new();
                Changes::new(&cgroups, &log, None).text(&mut out).expect("written");
                let out = String::from_utf8(out).expect("UTF-8");
                assert!(out.starts_with(expected), "{out}");
            }
        }
    }

    #[test]
    fn values_are_shown_as_they_would_be_typed() {
        for (knob, file, text, shown) in [
            ("memory.max", "memory.max", "268435456\n", "256M"),
            ("memory.max", "memory.limit_in_bytes", "9223372036854771712\n", "max"),
            ("memory.swap.max", "memory.memsw.limit_in_bytes", "-1", "max"),
            ("cpu.max", "cpu.max", "150000 100000\n", "1.5 (150000 100000)"),
            ("cpu.max", "cpu.max", "max 100000\n", "max"),
            ("cpu.max", "cpu.cfs_quota_us", "-1\n", "max"),
            ("cpu.max", "cpu.cfs_quota_us", "20000\n", "20000"),
            ("cpu.weight", "cpu.shares", "1024\n", "1024"),
            ("hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes", "4194304\n", "4M"),
            ("cpuset.cpus", "cpuset.cpus", "\n", "nothing"),
            ("io.max", "io.max", "8:0 rbps=1 wbps=max\n", "8:0 rbps=1 wbps=max"),
            ("memory.oom.group", "memory.oom.group", "1\n", "1"),
            ("x.y", "x.y", "\x1b[31m", "\\x1b[31m"),
        ] {
            assert_eq!(value(knob, file, text.as_bytes()), shown, "{knob} {text}");
        }
    }
}
