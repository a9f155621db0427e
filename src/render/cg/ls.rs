//! `nsx cg ls`: the tree of cgroups as a table, and as JSON. The one table of its columns is here.

use std::io::{self, Write};

use serde::Serialize;

use super::{HierarchyJson, LimitJson, amount};
use crate::cgroup::{BoundBy, Cgroups, Comes, Group, Throttling, Tree, parse::Pressure};
use crate::engine::unit;
use crate::model::cgroup::{Bandwidth, Limit, Unit};
use crate::render::column::container_label;
use crate::render::json::{self, ContainerJson, Text};
use crate::render::table::{Align, Head};
use crate::render::text::sanitize;
use crate::select::Value;

/// A column.
pub struct Column {
    /// Its name, which is its heading.
    pub key: &'static str,
    /// What it says, in a few words.
    pub help: &'static str,
    align: Align,
    flexible: bool,
    /// Returns what it holds for a cgroup.
    pub value: fn(&Group) -> Value,
    cell: Option<fn(&Group) -> Option<String>>,
}

impl Column {
    /// Returns what a table has to know of it.
    pub const fn head(&self) -> Head {
        Head { key: self.key, align: self.align, flexible: self.flexible }
    }

    /// Returns the cell for a cgroup, fit for a terminal; what is not there is `-`.
    pub fn cell(&self, group: &Group) -> String {
        self.cell.and_then(|cell| cell(group)).unwrap_or_else(|| match (self.value)(group) {
            Value::Null => "-".to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text,
        })
    }
}

/// The columns that are shown when nobody asks for others.
pub const DEFAULT: [&str; 9] = ["CGROUP", "NPROCS", "MEM", "MEMMAX", "MEMEFF", "PIDS", "THROTTLED", "PSI", "CONTAINER"];

const fn column(
    key: &'static str,
    help: &'static str,
    value: fn(&Group) -> Value,
    cell: Option<fn(&Group) -> Option<String>>,
) -> Column {
    Column { key, help, align: Align::Right, flexible: false, value, cell }
}

const fn text(key: &'static str, help: &'static str, value: fn(&Group) -> Value) -> Column {
    Column { key, help, align: Align::Left, flexible: true, value, cell: None }
}

/// All columns, in the order in which `-o all` shows them.
pub static COLUMNS: [Column; 22] = [
    text("CGROUP", "name; with --flat the path", |group| Value::Text(sanitize(group.name()).into_owned())),
    text("PATH", "path", |group| Value::Text(sanitize(&group.path).into_owned())),
    column("NPROCS", "processes in it, without those below", |group| Value::Number(group.pids.len() as u64), None),
    column(
        "MEM",
        "memory that is used",
        |group| number(group.memory_current),
        Some(|group| bytes(group.memory_current)),
    ),
    column("MEMMAX", "memory.max", |group| limit(group.memory_max), Some(|group| cell(group.memory_max, Unit::Bytes))),
    column(
        "MEMHIGH",
        "memory.high",
        |group| limit(group.memory_high),
        Some(|group| cell(group.memory_high, Unit::Bytes)),
    ),
    column(
        "MEMEFF",
        "what memory.max comes to, with those above",
        |group| limit(by_cgroup(group.memory_effective)),
        Some(|group| cell(by_cgroup(group.memory_effective), Unit::Bytes)),
    ),
    column(
        "FULL",
        "how much of its tightest limit is used, in percent",
        |group| percent(group.fullest_percent()),
        None,
    ),
    column(
        "CPU",
        "time on processors over the interval, in percent of one",
        |group| number(group.cpu_millicpus.map(|millicpus| millicpus / 10)),
        Some(|group| group.cpu_millicpus.map(|millicpus| format!("{}.{}", millicpus / 10, millicpus % 10))),
    ),
    column(
        "CPUMAX",
        "cpu.max, in processors",
        |group| limit(group.cpu_max.map(Bandwidth::millicpus)),
        Some(|group| cell(group.cpu_max.map(Bandwidth::millicpus), Unit::Millicpus)),
    ),
    column(
        "CPUEFF",
        "what cpu.max comes to, with those above",
        |group| limit(by_cgroup(group.cpu_effective)),
        Some(|group| cell(by_cgroup(group.cpu_effective), Unit::Millicpus)),
    ),
    column(
        "CPUTIME",
        "time on processors since it was made",
        |group| number(group.cpu_usage_usec),
        Some(|group| group.cpu_usage_usec.map(|usec| format!("{:.1}s", usec as f64 / 1e6))),
    ),
    column(
        "THROTTLED",
        "periods in which its quota stopped it, in percent",
        |group| percent(group.throttled_percent()),
        Some(|group| group.throttled_percent().map(|percent| format!("{percent:.0}%"))),
    ),
    column("PIDS", "tasks in it and below", |group| number(group.pids_current), None),
    column("PIDSMAX", "pids.max", |group| limit(group.pids_max), Some(|group| cell(group.pids_max, Unit::Count))),
    column(
        "PIDSEFF",
        "what pids.max comes to, with those above",
        |group| limit(by_cgroup(group.pids_effective)),
        Some(|group| cell(by_cgroup(group.pids_effective), Unit::Count)),
    ),
    column(
        "PSI",
        "worst pressure of cpu, memory and io, 10 s, in percent",
        |group| percent(group.worst_pressure()),
        Some(|group| group.worst_pressure().map(|percent| format!("{percent:.1}"))),
    ),
    text("FROZEN", "whether its processes stand still", |group| match group.frozen {
        Some(true) => Value::Text("frozen".to_owned()),
        _ => Value::Null,
    }),
    text("CONTAINER", "container or unit, by its name", |group| container_name(group).map_or(Value::Null, Value::Text)),
    column("INODE", "inode number; on v2 the id of the cgroup", |group| number(group.inode), None),
    column("DEPTH", "how deep it lies", |group| Value::Number(group.depth() as u64), None),
    column("HIERARCHIES", "how many hierarchies have it", |group| Value::Number(group.hierarchies.len() as u64), None),
];

/// Returns the number of the column with this name.
pub fn find(key: &str) -> usize {
    COLUMNS.iter().position(|column| column.key == key).unwrap_or_default()
}

fn number(number: Option<u64>) -> Value {
    number.map_or(Value::Null, Value::Number)
}

fn percent(percent: Option<f64>) -> Value {
    number(percent.map(|percent| percent.round() as u64))
}

/// A limit sorts and compares as a number; none is more than any.
fn limit(limit: Option<Limit>) -> Value {
    match limit {
        Some(Limit::Value(value)) => Value::Number(value),
        Some(Limit::Max) => Value::Number(u64::MAX),
        None => Value::Null,
    }
}

fn bytes(bytes: Option<u64>) -> Option<String> {
    bytes.map(|bytes| amount(bytes, Unit::Bytes))
}

fn cell(limit: Option<Limit>, unit: Unit) -> Option<String> {
    limit.map(|limit| match limit {
        Limit::Value(value) => amount(value, unit),
        Limit::Max => "max".to_owned(),
    })
}

/// What only the host limits is no limit of a cgroup's.
fn by_cgroup(comes: Comes) -> Option<Limit> {
    match comes.by {
        Some(BoundBy::Host) => Some(Limit::Max),
        _ => comes.limit,
    }
}

/// Names the container that a cgroup is, or is part of, else the unit.
pub fn container_name(group: &Group) -> Option<String> {
    match &group.container {
        Some(container) => Some(container_label(container)),
        None => unit(&group.path).map(|unit| sanitize(unit).into_owned()),
    }
}

/// One cgroup in JSON.
#[derive(Serialize)]
struct GroupJson<'a> {
    #[serde(flatten)]
    path: Text<'a>,
    hierarchies: Vec<u32>,
    inode: Option<u64>,
    depth: usize,
    container: Option<ContainerJson>,
    #[serde(flatten)]
    unit: Text<'a>,
    nprocs: usize,
    nprocs_outside: u64,
    memory_current_bytes: Option<u64>,
    memory_max: LimitJson,
    memory_high: LimitJson,
    memory_effective: LimitJson,
    #[serde(flatten)]
    memory_bound_by: Text<'a>,
    memory_bound_kind: Option<&'static str>,
    cpu_usage_usec: Option<u64>,
    cpu_percent: Option<f64>,
    cpu_quota_usec: LimitJson,
    cpu_period_usec: Option<u64>,
    cpu_effective_millicpus: LimitJson,
    #[serde(flatten)]
    cpu_bound_by: Text<'a>,
    cpu_bound_kind: Option<&'static str>,
    nr_periods: Option<u64>,
    nr_throttled: Option<u64>,
    throttled_usec: Option<u64>,
    throttled_percent: Option<f64>,
    pids_current: Option<u64>,
    pids_max: LimitJson,
    pids_effective: LimitJson,
    #[serde(flatten)]
    pids_bound_by: Text<'a>,
    pids_bound_kind: Option<&'static str>,
    pressure: PressuresJson,
    frozen: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<&'a [u32]>,
}

/// The pressure of the last ten seconds, in percent.
#[derive(Serialize)]
pub(super) struct PressuresJson {
    cpu: Option<ShortPressureJson>,
    memory: Option<ShortPressureJson>,
    io: Option<ShortPressureJson>,
}

#[derive(Serialize)]
struct ShortPressureJson {
    some_avg10: f64,
    full_avg10: f64,
}

impl PressuresJson {
    pub(super) fn new(group: &Group) -> PressuresJson {
        let short = |pressure: Option<Pressure>| {
            pressure.map(|found| ShortPressureJson { some_avg10: found.some[0], full_avg10: found.full[0] })
        };
        let [cpu, memory, io] = group.pressure;
        PressuresJson { cpu: short(cpu), memory: short(memory), io: short(io) }
    }
}

fn bound_by<'a>(key: &'static str, raw_key: &'static str, comes: Comes, tree: &'a Tree) -> Text<'a> {
    let bytes: Option<&[u8]> = match comes.by {
        Some(BoundBy::Group(index)) => tree.groups.get(index).map(|group| &group.path[..]),
        Some(BoundBy::Above(index)) => tree.above.get(index).map(Vec::as_slice),
        Some(BoundBy::Host | BoundBy::OutOfSight) | None => None,
    };
    Text { key, raw_key, bytes }
}

fn bound_kind(comes: Comes) -> Option<&'static str> {
    comes.by.map(|by| match by {
        BoundBy::Group(_) | BoundBy::Above(_) => "cgroup",
        BoundBy::Host => "host",
        BoundBy::OutOfSight => "out_of_sight",
    })
}

fn rounded(value: Option<f64>) -> Option<f64> {
    value.map(|value| (value * 100.0).round() / 100.0)
}

impl<'a> GroupJson<'a> {
    fn new(cgroups: &Cgroups, tree: &'a Tree, group: &'a Group, pids: bool) -> GroupJson<'a> {
        let throttling: Option<Throttling> = group.throttling;
        GroupJson {
            path: Text { key: "path", raw_key: "path_raw", bytes: Some(&group.path) },
            hierarchies: group.hierarchies.iter().map(|&index| cgroups.hierarchies[index].hierarchy.id).collect(),
            inode: group.inode,
            depth: group.depth(),
            container: group.container.clone().map(ContainerJson::from),
            unit: Text { key: "unit", raw_key: "unit_raw", bytes: unit(&group.path) },
            nprocs: group.pids.len(),
            nprocs_outside: group.pids_outside,
            memory_current_bytes: group.memory_current,
            memory_max: group.memory_max.into(),
            memory_high: group.memory_high.into(),
            memory_effective: group.memory_effective.limit.into(),
            memory_bound_by: bound_by("memory_bound_by", "memory_bound_by_raw", group.memory_effective, tree),
            memory_bound_kind: bound_kind(group.memory_effective),
            cpu_usage_usec: group.cpu_usage_usec,
            cpu_percent: group.cpu_millicpus.map(|millicpus| millicpus as f64 / 10.0),
            cpu_quota_usec: group.cpu_max.map(|max| max.quota_usec).into(),
            cpu_period_usec: group.cpu_max.map(|max| max.period_usec),
            cpu_effective_millicpus: group.cpu_effective.limit.into(),
            cpu_bound_by: bound_by("cpu_bound_by", "cpu_bound_by_raw", group.cpu_effective, tree),
            cpu_bound_kind: bound_kind(group.cpu_effective),
            nr_periods: throttling.map(|throttling| throttling.periods),
            nr_throttled: throttling.map(|throttling| throttling.throttled),
            throttled_usec: throttling.map(|throttling| throttling.throttled_usec),
            throttled_percent: rounded(group.throttled_percent()),
            pids_current: group.pids_current,
            pids_max: group.pids_max.into(),
            pids_effective: group.pids_effective.limit.into(),
            pids_bound_by: bound_by("pids_bound_by", "pids_bound_by_raw", group.pids_effective, tree),
            pids_bound_kind: bound_kind(group.pids_effective),
            pressure: PressuresJson::new(group),
            frozen: group.frozen,
            pids: pids.then_some(&group.pids[..]),
        }
    }
}

/// A cgroup that could not be looked into, in JSON.
#[derive(Serialize)]
pub(super) struct GapJson<'a> {
    #[serde(flatten)]
    path: Text<'a>,
    errno: &'static str,
}

impl<'a> GapJson<'a> {
    pub(super) fn all(tree: &'a Tree) -> Vec<GapJson<'a>> {
        let text = |path| Text { key: "path", raw_key: "path_raw", bytes: Some(path) };
        tree.gaps.iter().map(|gap| GapJson { path: text(&gap.path), errno: gap.errno }).collect()
    }
}

/// Writes the document of schema `nsx.cg.ls/1`: `shown` are the indices of the cgroups, `pids` says whether their members are named.
///
/// # Errors
/// What the writer says.
pub fn json(
    cgroups: &Cgroups,
    tree: &Tree,
    shown: &[usize],
    interval_usec: Option<u64>,
    pids: bool,
    to: &mut dyn Write,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        interval_usec: Option<u64>,
        hierarchies: Vec<HierarchyJson<'a>>,
        cgroups: Vec<GroupJson<'a>>,
        gaps: Vec<GapJson<'a>>,
    }
    let document = Document {
        schema: "nsx.cg.ls/1",
        interval_usec,
        hierarchies: HierarchyJson::all(cgroups),
        cgroups: shown.iter().map(|&index| GroupJson::new(cgroups, tree, &tree.groups[index], pids)).collect(),
        gaps: GapJson::all(tree),
    };
    json::write_rows(&document, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_column_and_no_name_comes_twice() {
        for key in DEFAULT {
            assert_eq!(COLUMNS[find(key)].key, key);
        }
        for (index, column) in COLUMNS.iter().enumerate() {
            assert_eq!(find(column.key), index);
        }
    }

    #[test]
    fn a_cgroup_is_named_by_its_container_before_its_unit() {
        let named = |path: &str| {
            let container = crate::engine::identify(path.as_bytes());
            container_name(&Group { path: path.into(), container, ..Group::default() })
        };
        let id = "3f2a9c0000000000000000000000000000000000000000000000000000000001";
        assert_eq!(named(&format!("/system.slice/docker-{id}.scope")).as_deref(), Some("docker:3f2a9c000000?"));
        assert_eq!(named("/system.slice/ssh.service").as_deref(), Some("ssh.service"));
        assert_eq!(named("/x"), None);
    }
}
