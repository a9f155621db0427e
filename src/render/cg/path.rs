//! `nsx cg path`: the limits ladder. A row for each cgroup from the root down, a column for each limit.
//!
//! On hosts with several hierarchies a process may have another path in each: the rows are all of them, and a cell is empty where the
//! hierarchy of its column has another path.

use std::io::{self, Write};

use serde::Serialize;

use super::show::json::PathJson;
use super::show::unit;
use super::{HierarchyJson, LimitJson, bound_by, bound_kind, limit};
use crate::cgroup::effective::effective;
use crate::cgroup::{Binder, Cgroups, Effective, Step, Subject};
use crate::model::cgroup::{Limit, Rule};
use crate::render::json::{self, Text};
use crate::render::style::Style;
use crate::render::table::{Cell, Head, Table};
use crate::render::text::sanitize;
use crate::select::tree::{TreeLine, forest};

/// The ladder of a process or cgroup.
pub struct Path<'a> {
    cgroups: &'a Cgroups,
    subject: &'a Subject,
    limits: Vec<Effective>,
    /// The paths of all cgroups on it, those above before those below.
    rows: Vec<&'a [u8]>,
}

impl<'a> Path<'a> {
    /// Applies the rules.
    pub fn new(cgroups: &'a Cgroups, subject: &'a Subject) -> Path<'a> {
        let mut rows: Vec<&[u8]> =
            subject.ladders.iter().flat_map(|ladder| ladder.levels.iter().map(|level| &level.path[..])).collect();
        rows.sort_by_key(|path| path.split(|&byte| byte == b'/').collect::<Vec<_>>());
        rows.dedup();
        let columns = effective(cgroups, subject).into_iter().filter(|one| {
            one.lists.is_none() && !matches!(one.knob.rule, Rule::Share) && one.knob.name != "memory.oom.group"
        });
        Path { cgroups, subject, limits: columns.collect(), rows }
    }

    /// Returns the rows as a tree: where the hierarchies have several paths, it has several branches.
    fn arranged(&self) -> Vec<TreeLine> {
        let mut below = vec![Vec::new(); self.rows.len()];
        let mut roots = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            match self.rows[..index].iter().rposition(|above| is_below(row, above)) {
                Some(parent) => below[parent].push(index),
                None => roots.push(index),
            }
        }
        forest(&roots, &below)
    }

    /// Returns the step of a column in a row.
    fn step(&self, one: &Effective, row: &[u8]) -> Option<(usize, Step)> {
        let ladder = self.subject.ladder(one.hierarchy)?;
        let place = ladder.levels.iter().position(|level| level.path == row)?;
        one.steps.get(place).map(|step| (place, *step))
    }

    /// Prints it for a person, and returns the columns that there was no room for.
    ///
    /// # Errors
    /// What the writer says.
    pub fn text(
        &self,
        all: bool,
        headings: bool,
        width: Option<usize>,
        color: bool,
        to: &mut dyn Write,
    ) -> io::Result<Vec<&'static str>> {
        let shown: Vec<&Effective> = self.limits.iter().filter(|one| all || is_set(one)).collect();
        let heads: Vec<Head> = std::iter::once(Head::text("CGROUP").flexible())
            .chain(shown.iter().map(|one| Head::number(heading(one))))
            .collect();
        let mut lines = Vec::new();
        if shown.iter().any(|one| one.key.is_some()) {
            let key = |one: &&Effective| {
                Cell::new(sanitize(one.key.as_deref().unwrap_or_default().as_bytes()), Style::Initial)
            };
            lines.push(std::iter::once(Cell::new("", Style::Plain)).chain(shown.iter().map(key)).collect());
        }
        let leaves: Vec<&[u8]> = self.subject.ladders.iter().map(|ladder| &ladder.path[..]).collect();
        for TreeLine { index, branches } in self.arranged() {
            let row = self.rows[index];
            let name = if leaves.contains(&row) { Style::Own } else { Style::Plain };
            // A path is as long as its ladder is deep; its last part and where it stands say the same.
            let last = row.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let text = sanitize(if branches.is_empty() { row } else { last });
            let mut line = vec![Cell { text: format!("{branches}{text}"), style: name, branches: branches.len() }];
            line.extend(shown.iter().map(|one| self.cell(one, row)));
            lines.push(line);
        }
        let host = |one: &&Effective| match one.effective.by {
            Some(Binder::Host) => Cell::new(
                format!("{}*{}", limit(one.effective.limit, unit(one)), mark_room(one, Binder::Host)),
                Style::Binding,
            ),
            _ if one.headroom.by == Some(Binder::Host) => Cell::new("<", Style::Warning),
            _ => Cell::new("", Style::Plain),
        };
        let unseen = |one: &&Effective| match one.effective.by {
            Some(Binder::OutOfSight) => {
                Cell::new(format!("{}*", limit(one.effective.limit, unit(one))), Style::Binding)
            }
            _ => Cell::new("", Style::Plain),
        };
        let out_of_sight: Vec<Cell> = shown.iter().map(unseen).collect();
        let of_host: Vec<Cell> = shown.iter().map(host).collect();
        let first = lines.len() - self.rows.len();
        if out_of_sight.iter().any(|cell| !cell.text.is_empty()) {
            lines.insert(
                first,
                std::iter::once(Cell::new("(out of sight)", Style::Initial)).chain(out_of_sight).collect(),
            );
        }
        if of_host.iter().any(|cell| !cell.text.is_empty()) {
            lines.insert(
                usize::from(lines.len() > self.rows.len()),
                std::iter::once(Cell::new("(host)", Style::Initial)).chain(of_host).collect(),
            );
        }
        Table { columns: &heads, lines, tree: true, headings, width, color }.print(to)
    }

    fn cell(&self, one: &Effective, row: &[u8]) -> Cell {
        let Some((place, step)) = self.step(one, row) else { return Cell::new("", Style::Plain) };
        let binds = one.effective.by == Some(Binder::Level(place));
        let mark = if binds { "*" } else { "" };
        let room = mark_room(one, Binder::Level(place));
        let text = match step.limit {
            None => "-".to_owned(),
            set => format!("{}{mark}{room}", limit(set, unit(one))),
        };
        let style = match (binds, room) {
            (true, _) => Style::Binding,
            (false, "<") => Style::Warning,
            _ if step.limit == Some(Limit::Max) => Style::Initial,
            _ => Style::Plain,
        };
        Cell::new(text, style)
    }

    /// Prints the document of schema `nsx.cg.path/1`.
    ///
    /// # Errors
    /// What the writer says.
    pub fn json(&self, to: &mut dyn Write) -> io::Result<()> {
        let rows = self.rows.iter().map(|row| RowJson {
            path: Text { key: "path", raw_key: "path_raw", bytes: Some(row) },
            limits: self.limits.iter().filter_map(|one| self.step_json(one, row)).collect(),
        });
        let limits = self.limits.iter().filter_map(|one| {
            let ladder = self.subject.ladder(one.hierarchy)?;
            let by = bound_by(one.effective, ladder);
            let room_by = bound_by(one.headroom, ladder);
            Some(ColumnJson {
                knob: one.knob.name,
                key: one.key.as_deref(),
                hierarchy: self.cgroups.hierarchies[one.hierarchy].hierarchy.id,
                unit: unit(one).name(),
                effective: one.effective.limit.into(),
                bound_by: Text { key: "bound_by", raw_key: "bound_by_raw", bytes: by },
                bound_kind: bound_kind(one.effective),
                headroom: one.headroom.limit.into(),
                headroom_bound_by: Text { key: "headroom_bound_by", raw_key: "headroom_bound_by_raw", bytes: room_by },
                headroom_bound_kind: bound_kind(one.headroom),
            })
        });
        let document = PathDocument {
            schema: "nsx.cg.path/1",
            pid: self.subject.pid.map(|pid| pid.0),
            hierarchies: HierarchyJson::all(self.cgroups),
            cgroups: self.subject.ladders.iter().map(|ladder| PathJson::new(self.cgroups, ladder)).collect(),
            rows: rows.collect(),
            limits: limits.collect(),
        };
        json::write(&document, to)
    }

    fn step_json<'s>(&'s self, one: &'s Effective, row: &[u8]) -> Option<StepJson<'s>> {
        let (place, step) = self.step(one, row)?;
        step.limit?;
        Some(StepJson {
            knob: one.knob.name,
            key: one.key.as_deref(),
            value: step.limit.into(),
            usage: step.usage,
            binds: one.effective.by == Some(Binder::Level(place)),
            binds_headroom: one.headroom.by == Some(Binder::Level(place)),
        })
    }
}

fn is_below(path: &[u8], above: &[u8]) -> bool {
    above == b"/" || path.strip_prefix(above).is_some_and(|rest| rest.starts_with(b"/"))
}

fn mark_room(one: &Effective, binder: Binder) -> &'static str {
    if one.headroom.by == Some(binder) { "<" } else { "" }
}

/// Says whether somebody on the way has set a limit.
fn is_set(one: &Effective) -> bool {
    let main = matches!(one.knob.name, "memory.max" | "cpu.max" | "pids.max");
    let nothing = |limit: Limit| match one.knob.rule {
        Rule::Protection | Rule::Any => limit == Limit::Value(0),
        _ => limit == Limit::Max,
    };
    main || one.steps.iter().filter_map(|step| step.limit).any(|limit| !nothing(limit))
}

/// Returns the heading of a column: the name of its knob, in capitals like all headings.
fn heading(one: &Effective) -> &'static str {
    match one.knob.name {
        "memory.max" => "MEMORY.MAX",
        "memory.high" => "MEMORY.HIGH",
        "memory.swap.max" => "SWAP.MAX",
        "memory.memsw.max" => "MEMSW.MAX",
        "memory.zswap.max" => "ZSWAP.MAX",
        "memory.min" => "MEMORY.MIN",
        "memory.low" => "MEMORY.LOW",
        "cpu.max" => "CPU.MAX",
        "pids.max" => "PIDS.MAX",
        "io.max" => "IO.MAX",
        "cgroup.max.descendants" => "DESCENDANTS",
        "cgroup.max.depth" => "DEPTH",
        "cgroup.freeze" => "FROZEN",
        "hugetlb.*.max" => "HUGETLB",
        "hugetlb.*.rsvd.max" => "HUGETLB.RSVD",
        "rdma.max" => "RDMA.MAX",
        "misc.max" => "MISC.MAX",
        "dmem.max" => "DMEM.MAX",
        name => name,
    }
}

#[derive(Serialize)]
struct PathDocument<'a> {
    schema: &'static str,
    pid: Option<u32>,
    hierarchies: Vec<HierarchyJson<'a>>,
    cgroups: Vec<PathJson<'a>>,
    rows: Vec<RowJson<'a>>,
    limits: Vec<ColumnJson<'a>>,
}

#[derive(Serialize)]
struct RowJson<'a> {
    #[serde(flatten)]
    path: Text<'a>,
    limits: Vec<StepJson<'a>>,
}

#[derive(Serialize)]
struct StepJson<'a> {
    knob: &'static str,
    key: Option<&'a str>,
    value: LimitJson,
    usage: Option<u64>,
    binds: bool,
    binds_headroom: bool,
}

#[derive(Serialize)]
struct ColumnJson<'a> {
    knob: &'static str,
    key: Option<&'a str>,
    hierarchy: u32,
    unit: &'static str,
    effective: LimitJson,
    #[serde(flatten)]
    bound_by: Text<'a>,
    bound_kind: Option<&'static str>,
    headroom: LimitJson,
    #[serde(flatten)]
    headroom_bound_by: Text<'a>,
    headroom_bound_kind: Option<&'static str>,
}
