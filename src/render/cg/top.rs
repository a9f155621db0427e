//! `nsx cg top`: cgroups with what they use. As text and as JSON here; on a screen in `draw`, by what is to be seen there (`state`).

mod ansi;
mod columns;
pub mod draw;
pub mod pane;
pub mod state;

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::LimitJson;
use super::ls::{GapJson, PressuresJson};
use crate::cgroup::{Cgroups, Group, Throttling, Tree};
use crate::engine::unit;
use crate::render::json::{self, ContainerJson, Text};
use crate::render::table::{Cell, Head, Table};
use crate::render::text::sanitize;
use columns::{COLUMNS, throttled_percent};
use state::{Sort, State};

/// Prints a picture for a person, and returns the columns that there was no room for.
///
/// # Errors
/// What the writer says.
pub fn text(
    tree: Tree,
    sort: Sort,
    flat: bool,
    width: Option<usize>,
    color: bool,
    to: &mut dyn Write,
) -> io::Result<Vec<&'static str>> {
    let state = State::new(tree, sort, flat);
    let heads: Vec<Head> = COLUMNS.iter().map(|column| column.head).collect();
    let line = |shown: &state::Shown| {
        let group = state.group(shown);
        let mut cells: Vec<Cell> = COLUMNS.iter().map(|column| (column.cell)(group, shown.index)).collect();
        if !state.is_flat() {
            let branches = state.branches(shown);
            // The one at the top has its path: nothing above it says where it is.
            let name = if branches.is_empty() { &group.path[..] } else { group.name() };
            cells[0].branches = branches.len();
            cells[0].text = branches + &sanitize(name);
        }
        cells
    };
    let lines = state.shown().iter().map(line).collect();
    Table { columns: &heads, lines, tree: !flat, headings: true, width, color }.print(to)
}

/// What was seen, when, and in how long a time rates are of.
pub struct Picture<'a> {
    /// The hierarchies.
    pub cgroups: &'a Cgroups,
    /// What was seen.
    pub tree: &'a Tree,
    /// When.
    pub time: SystemTime,
    /// How long before that the picture before it was taken.
    pub interval: Duration,
}

impl Picture<'_> {
    /// Prints the document of schema `nsx.cg.top/1` on one line.
    ///
    /// # Errors
    /// What the writer says.
    pub fn json(&self, to: &mut dyn Write) -> io::Result<()> {
        let since = self.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let document = TopJson {
            schema: "nsx.cg.top/1",
            time_usec: since.as_micros() as u64,
            interval_usec: self.interval.as_micros() as u64,
            cgroups: self.tree.groups.iter().map(|group| GroupJson::new(self.cgroups, group)).collect(),
            gaps: GapJson::all(self.tree),
        };
        json::write_line(&document, to)
    }
}

#[derive(Serialize)]
struct TopJson<'a> {
    schema: &'static str,
    time_usec: u64,
    interval_usec: u64,
    cgroups: Vec<GroupJson<'a>>,
    gaps: Vec<GapJson<'a>>,
}

#[derive(Serialize)]
struct GroupJson<'a> {
    #[serde(flatten)]
    path: Text<'a>,
    hierarchies: Vec<u32>,
    inode: Option<u64>,
    container: Option<ContainerJson>,
    #[serde(flatten)]
    unit: Text<'a>,
    nprocs: u64,
    memory_current_bytes: Option<u64>,
    memory_max: LimitJson,
    memory_effective: LimitJson,
    cpu_usage_usec: Option<u64>,
    cpu_percent: Option<f64>,
    throttled_percent: Option<f64>,
    nr_throttled: Option<u64>,
    pids_current: Option<u64>,
    pids_max: LimitJson,
    pids_effective: LimitJson,
    pressure: PressuresJson,
    frozen: Option<bool>,
}

impl<'a> GroupJson<'a> {
    fn new(cgroups: &Cgroups, group: &'a Group) -> GroupJson<'a> {
        let id = |&index: &usize| cgroups.hierarchies[index].hierarchy.id;
        GroupJson {
            path: Text { key: "path", raw_key: "path_raw", bytes: Some(&group.path) },
            hierarchies: group.hierarchies.iter().map(id).collect(),
            inode: group.inode,
            container: group.container.clone().map(ContainerJson::from),
            unit: Text { key: "unit", raw_key: "unit_raw", bytes: unit(&group.path) },
            nprocs: group.pids.len() as u64 + group.pids_outside,
            memory_current_bytes: group.memory_current,
            memory_max: group.memory_max.into(),
            memory_effective: group.memory_effective.limit.into(),
            cpu_usage_usec: group.cpu_usage_usec,
            cpu_percent: group.cpu_millicpus.map(|used| used as f64 / 10.0),
            throttled_percent: throttled_percent(group),
            nr_throttled: group.throttling.map(|Throttling { throttled, .. }| throttled),
            pids_current: group.pids_current,
            pids_max: group.pids_max.into(),
            pids_effective: group.pids_effective.limit.into(),
            pressure: PressuresJson::new(group),
            frozen: group.frozen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_a_tree_or_a_list() {
        let group = |path: &[u8], memory| Group {
            path: path.to_vec(),
            memory_current: Some(memory),
            frozen: Some(memory == 7),
            ..Group::default()
        };
        let tree = Tree {
            groups: vec![group(b"/s", 3), group(b"/s/a\x1b[31m", 5), group(b"/s/b.service", 7)],
            ..Tree::default()
        };
        let print = |flat, color| {
            let mut out = Vec::new();
            let left_out = text(tree.clone(), Sort::Mem, flat, None, color, &mut out).expect("printed");
            assert!(left_out.is_empty());
            String::from_utf8(out).expect("UTF-8")
        };
        let tree_text = print(false, false);
        let names: Vec<_> = tree_text.lines().map(|line| line.split("  ").next().unwrap_or_default()).collect();
        assert_eq!(names, ["CGROUP", "/s", "├─b.service", "└─a\\x1b[31m"]);
        assert!(tree_text.contains("yes  b.service"), "{tree_text}");
        let list = print(true, true);
        assert!(list.contains("/s/b.service") && !list.contains("\x1b[31mred"), "{list}");
        assert!(!print(true, false).contains('\x1b'));
    }
}
