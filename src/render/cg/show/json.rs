//! The document of `nsx cg show`, schema `nsx.cg.show/1`; parts of it are shared with other documents on cgroups.

use std::io::{self, Write};

use serde::Serialize;

use super::{PRESSURES, Show, unit};
use crate::cgroup::{Cgroups, Effective, Event, Ladder, Scope, Seen, parse};
use crate::model::cgroup::Controller;
use crate::render::cg::{HierarchyJson, HomeJson, LimitJson, bound_by, bound_kind};
use crate::render::json::{self, OwnedText, Text};

impl Show<'_> {
    /// Prints the document of schema `nsx.cg.show/1`.
    ///
    /// # Errors
    /// What the writer says.
    pub fn json(&self, to: &mut dyn Write) -> io::Result<()> {
        let pressure = self.subject.ladders.iter().filter_map(|ladder| ladder.leaf()).flat_map(|leaf| {
            PRESSURES
                .iter()
                .filter_map(|(name, file)| Some(PressureJson::new(name, parse::pressure(leaf.files.get(file)?)?)))
        });
        let document = ShowJson {
            schema: "nsx.cg.show/1",
            pid: self.subject.pid.map(|pid| pid.0),
            hierarchies: HierarchyJson::all(self.cgroups),
            controllers: HomeJson::all(self.cgroups),
            cgroups: self.paths_json(),
            limits: self.limits_json(),
            events: self.events.iter().map(|event| self.event_json(event)).collect(),
            pressure: pressure.collect(),
            cpus: CpusJson {
                millicpus: self.cpus.millicpus(),
                quota_millicpus: self.cpus.quota_millicpus.into(),
                cpuset: self.cpus.cpuset,
                affinity: self.cpus.affinity,
                online: self.cpus.online,
            },
        };
        json::write(&document, to)
    }

    /// Returns the cgroups of the subject, one for each hierarchy.
    pub(in crate::render) fn paths_json(&self) -> Vec<PathJson<'_>> {
        self.subject.ladders.iter().map(|ladder| PathJson::new(self.cgroups, ladder)).collect()
    }

    /// Returns what its limits come to.
    pub(in crate::render) fn limits_json(&self) -> Vec<LimitEntryJson<'_>> {
        self.limits.iter().map(|one| self.limit_json(one)).collect()
    }

    fn limit_json<'s>(&'s self, one: &'s Effective) -> LimitEntryJson<'s> {
        let ladder = self.ladder(one.hierarchy);
        let by = bound_by(one.effective, ladder);
        let left_by = bound_by(one.headroom, ladder);
        LimitEntryJson {
            knob: one.knob.name,
            key: one.key.as_deref(),
            controller: one.knob.controller.map(Controller::name),
            hierarchy: self.cgroups.hierarchies[one.hierarchy].hierarchy.id,
            file: one.file,
            unit: unit(one).name(),
            value: one.here.into(),
            effective: one.effective.limit.into(),
            bound_by: Text { key: "bound_by", raw_key: "bound_by_raw", bytes: by },
            bound_kind: bound_kind(one.effective),
            usage: one.usage,
            headroom: one.headroom.limit.into(),
            headroom_bound_by: Text { key: "headroom_bound_by", raw_key: "headroom_bound_by_raw", bytes: left_by },
            headroom_bound_kind: bound_kind(one.headroom),
            kernel: one.kernel.into(),
            list: one.lists.as_ref().map(|(here, _)| here.as_str()),
            effective_list: one.lists.as_ref().map(|(_, effective)| effective.as_str()),
            share_millionths: one.share_millionths,
        }
    }

    fn event_json<'s>(&'s self, event: &'s Event) -> EventJson<'s> {
        let ladder = self.ladder(event.hierarchy);
        EventJson {
            path: Text { key: "path", raw_key: "path_raw", bytes: Some(&ladder.levels[event.level].path) },
            hierarchy: self.cgroups.hierarchies[event.hierarchy].hierarchy.id,
            controller: event.counter.controller.name(),
            file: event.counter.file,
            key: (!event.counter.key.is_empty()).then_some(event.counter.key),
            value: event.value,
            subtree: event.counter.scope == Scope::Subtree,
        }
    }
}

#[derive(Serialize)]
struct ShowJson<'a> {
    schema: &'static str,
    pid: Option<u32>,
    hierarchies: Vec<HierarchyJson<'a>>,
    controllers: Vec<HomeJson>,
    cgroups: Vec<PathJson<'a>>,
    limits: Vec<LimitEntryJson<'a>>,
    events: Vec<EventJson<'a>>,
    pressure: Vec<PressureJson>,
    cpus: CpusJson,
}

/// A cgroup of the process, in one hierarchy.
#[derive(Serialize)]
pub(in crate::render) struct PathJson<'a> {
    hierarchy: u32,
    #[serde(flatten)]
    path: Text<'a>,
    #[serde(flatten)]
    path_inside: Text<'a>,
    #[serde(flatten)]
    directory: OwnedText,
    inode: Option<u64>,
    seen: &'static str,
    error: Option<String>,
    from_root: bool,
    frozen: Option<bool>,
}

impl<'a> PathJson<'a> {
    pub(in crate::render) fn new(cgroups: &Cgroups, ladder: &'a Ladder) -> PathJson<'a> {
        let opened = &cgroups.hierarchies[ladder.hierarchy];
        let leaf = ladder.leaf();
        let (seen, error) = match &ladder.seen {
            Seen::Whole => ("whole", None),
            Seen::NotMounted => ("not_mounted", None),
            Seen::Outside => ("outside", None),
            Seen::Removed => ("removed", None),
            Seen::Refused(error) => ("refused", Some(error.to_string())),
        };
        PathJson {
            hierarchy: opened.hierarchy.id,
            path: Text { key: "path", raw_key: "path_raw", bytes: Some(&ladder.path) },
            path_inside: Text { key: "path_inside", raw_key: "path_inside_raw", bytes: ladder.path_inside.as_deref() },
            directory: OwnedText { key: "directory", raw_key: "directory_raw", bytes: opened.directory(&ladder.path) },
            inode: leaf.and_then(|leaf| leaf.inode),
            seen,
            error,
            from_root: ladder.is_from_root(),
            frozen: leaf.and_then(|leaf| leaf.files.is_frozen()),
        }
    }
}

/// What a limit comes to.
#[derive(Serialize)]
pub(in crate::render) struct LimitEntryJson<'a> {
    knob: &'static str,
    key: Option<&'a str>,
    controller: Option<&'static str>,
    hierarchy: u32,
    file: &'static str,
    unit: &'static str,
    value: LimitJson,
    effective: LimitJson,
    #[serde(flatten)]
    bound_by: Text<'a>,
    bound_kind: Option<&'static str>,
    usage: Option<u64>,
    headroom: LimitJson,
    #[serde(flatten)]
    headroom_bound_by: Text<'a>,
    headroom_bound_kind: Option<&'static str>,
    kernel: LimitJson,
    list: Option<&'a str>,
    effective_list: Option<&'a str>,
    share_millionths: Option<u64>,
}

#[derive(Serialize)]
struct EventJson<'a> {
    #[serde(flatten)]
    path: Text<'a>,
    hierarchy: u32,
    controller: &'static str,
    file: &'static str,
    key: Option<&'static str>,
    value: u64,
    subtree: bool,
}

/// Pressure in JSON: percent of the last 10, 60 and 300 seconds.
#[derive(Serialize)]
struct PressureJson {
    resource: &'static str,
    some_avg10: f64,
    some_avg60: f64,
    some_avg300: f64,
    some_total_usec: u64,
    full_avg10: f64,
    full_avg60: f64,
    full_avg300: f64,
    full_total_usec: u64,
}

impl PressureJson {
    fn new(resource: &'static str, found: parse::Pressure) -> PressureJson {
        PressureJson {
            resource,
            some_avg10: found.some[0],
            some_avg60: found.some[1],
            some_avg300: found.some[2],
            some_total_usec: found.some_total_usec,
            full_avg10: found.full[0],
            full_avg60: found.full[1],
            full_avg300: found.full[2],
            full_total_usec: found.full_total_usec,
        }
    }
}

#[derive(Serialize)]
struct CpusJson {
    millicpus: Option<u64>,
    quota_millicpus: LimitJson,
    cpuset: Option<u64>,
    affinity: Option<u64>,
    online: Option<u64>,
}
