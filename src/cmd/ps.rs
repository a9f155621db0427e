//! `nsx ps`: every sandbox on the host, whatever made it.

use anyhow::Context;
use clap::Args;

use super::backend::BackendArgs;
use super::table::{SortValue, chosen, list_columns};
use super::value::{ColumnWord, Names, SortKey, column_word, expression_of, sort_key};
use super::{Exit, Global, advice, ui, ui::Ui};
use crate::model::{Details, KindSet, NsKind, Pid};
use crate::proc::{ProcRoot, Users};
use crate::render::ps::{COLUMNS, Column, DEFAULT, Row, Sandboxes, find, json};
use crate::render::text::width;
use crate::render::{Cell, Style, Table, json::columns};
use crate::sandbox::Catalog;
use crate::sandbox::usage::{Meter, State, Usage};
use crate::scan::{self, ScanOptions};
use crate::select::sandboxes::place_of;
use crate::select::tree::forest;
use crate::select::{Expr, Target, TreeLine, Value};
use crate::sys::dir;

/// List sandboxes and containers, whatever made them
///
/// A row for each container of Docker, podman, containerd, CRI-O, LXC, Incus, systemd-nspawn, runc and crun, each sandbox of bubblewrap,
/// Flatpak, Snap and `nsx run`, and for whatever else has mount and pid namespaces of its own. No engine is asked: names and images come
/// from the processes and from the engines' records on disk.
#[derive(Args, Debug)]
pub struct PsArgs {
    /// Only these containers, or those that these processes are in
    #[arg(value_name = "TARGET")]
    targets: Vec<Target>,

    /// Draw what was made in a sandbox below it
    #[arg(short = 'T', long)]
    tree: bool,

    /// Only rows for which this is true, such as 'engine == docker and mem > 100000000'
    ///
    /// As in nsx-ls(1); sizes are in bytes, times in seconds, but those on processors in microseconds; limits that are not there are more
    /// than any number.
    #[arg(long = "where", value_name = "EXPR", value_parser = condition)]
    condition: Option<Expr>,

    /// Columns to show: COL,…, or +COL,… to add some, or all
    #[arg(short = 'o', long = "output", value_name = "COL", value_delimiter = ',', ignore_case = true,
          value_parser = column_word(names()))]
    output: Vec<ColumnWord>,

    /// List the columns that there are
    #[arg(long, conflicts_with_all = ["targets", "tree", "condition", "output"])]
    columns: bool,

    /// Sort by this column; -COL puts the largest first
    #[arg(long, value_name = "COL", ignore_case = true, allow_hyphen_values = true, value_parser = sort_key(names()))]
    sort: Option<SortKey>,

    /// Print only what `enter -t` and other commands take: names, else pids, a line each
    #[arg(short = 'q', long, conflicts_with_all = ["tree", "output", "json"])]
    quiet: bool,

    #[command(flatten)]
    backend: BackendArgs,

    /// Print no headings
    #[arg(short = 'n', long, alias = "noheadings")]
    no_headings: bool,

    /// Do not cut lines to the width of the terminal
    #[arg(short = 'u', long, alias = "notruncate")]
    no_truncate: bool,

    /// Print JSON (schema nsx.ps/1)
    #[arg(short = 'J', long)]
    json: bool,
}

fn names() -> Names {
    COLUMNS.iter().map(|column| (column.key, column.help)).collect()
}

fn condition(text: &str) -> Result<Expr, String> {
    expression_of(&names(), text)
}

/// Runs the command.
///
/// # Errors
/// Where a target is not there, `/proc` cannot be read, or standard output cannot be written to.
pub fn run(args: &PsArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    if args.columns {
        ui.stdout(|to| if args.json { columns(&names(), &DEFAULT, to) } else { list_columns(&names(), &DEFAULT, to) })?;
        return Ok(Exit::Done);
    }
    let proc = ProcRoot::open(&global.proc_root).context("cannot list processes")?;
    args.backend.prefer();
    if !proc.is_live() && global.proc_root == std::path::Path::new("/proc") {
        return Err(advice::NoProc { path: global.proc_root.clone() }.into());
    }
    let kinds = KindSet::NONE.with(NsKind::Mnt).with(NsKind::Pid);
    let found = ui
        .with_progress("reading processes", |progress| {
            scan::processes(&proc, &ScanOptions { kinds, ..args.backend.options(progress) })
        })
        .context("cannot list processes")?;
    args.backend.note(found.backend);
    let mut catalog = Catalog::of(&proc, &found.processes);
    catalog.gaps = found.gaps;
    let mut shown: Vec<usize> = (0..catalog.sandboxes.len()).collect();
    if !args.targets.is_empty() {
        let chosen =
            args.targets.iter().map(|target| place_of(&proc, &catalog, target)).collect::<Result<Vec<_>, _>>()?;
        shown.retain(|place| chosen.contains(place));
    }
    if args.quiet && args.condition.is_none() && args.sort.is_none() {
        return quiet(&catalog, &shown, ui);
    }
    let (usage, details) = look(&proc, &catalog, &shown);
    let host = proc.process(Pid(1)).and_then(|first| first.namespaces());
    let host = host.or_else(|_| proc.own_process()?.namespaces()).unwrap_or_default();
    let boot = proc.boot_time();
    let users = Users::read(std::path::Path::new("/etc/passwd"));
    let uptime_ticks = uptime_ticks(&proc, boot.map_or(100, |(_, ticks)| ticks));
    let all =
        Sandboxes { catalog: &catalog, usage: &usage, details: &details, users: &users, boot, uptime_ticks, host };
    // Who has ended since the list was made is not in it.
    let rows = shown.into_iter().map(|place| Row { all: &all, place }).filter(|row| row.usage().state.is_some());
    let mut rows: Vec<Row<'_>> = rows.collect();
    if let Some(condition) = &args.condition {
        rows.retain(|row| condition.admits(&|column| (COLUMNS[column].value)(row)));
    }
    if let Some(SortKey { column, descending }) = args.sort {
        rows.sort_by_cached_key(|row| SortValue((COLUMNS[column].value)(row), descending));
    }
    if args.json {
        ui.stdout(|to| json(&rows, &all, found.backend, to))?;
    } else if args.quiet {
        return quiet(&catalog, &rows.iter().map(|row| row.place).collect::<Vec<_>>(), ui);
    } else {
        args.print(&rows, ui)?;
    }
    if let Some(note) = advice::gaps_note(&catalog.gaps) {
        ui::note(&note);
    }
    Ok(Exit::Done)
}

/// Reads what these sandboxes use and what runs in them; the others' places stay empty.
fn look(proc: &ProcRoot, catalog: &Catalog, shown: &[usize]) -> (Vec<Usage>, Vec<Details>) {
    /// So many are worth a thread.
    const BATCH: usize = 8;
    let count = catalog.sandboxes.len();
    let (mut usage, mut details) = (vec![Usage::default(); count], vec![Details::default(); count]);
    let meter = Meter::open(proc);
    let found = scan::shared(shown, BATCH, |&place| meter.look(proc, &catalog.sandboxes[place]));
    for (&place, (used, described)) in shown.iter().zip(found).filter_map(|(place, found)| Some((place, found?))) {
        usage[place] = used;
        details[place] = described;
    }
    (usage, details)
}

/// What narrow terminals have no room for, the least needed first: what is left says what is there, how it does, and how to get in.
const DROPPED: [&str; 7] = ["CPU", "ID", "NPROCS", "USER", "IMAGE", "UPTIME", "LIMIT"];

/// Returns how many columns of a terminal these take, when what is long is cut to what can still be read.
fn needed(columns: &[usize], lines: &[Vec<Cell>]) -> usize {
    let wide = |(place, column): (usize, &usize)| {
        let Column { key, .. } = COLUMNS[*column];
        let widest = lines.iter().map(|line| width(&line[place].text)).max().unwrap_or_default().max(key.len());
        match key {
            "NAME" => widest.min(40),
            "COMMAND" | "IMAGE" => widest.min(20),
            _ => widest,
        }
    };
    columns.iter().enumerate().map(|column| wide(column) + 2).sum::<usize>().saturating_sub(2)
}

/// Returns how long ago the host booted, in ticks, as far as a process's start time counts.
fn uptime_ticks(proc: &ProcRoot, ticks: u64) -> Option<u64> {
    use std::os::fd::AsFd;
    let text = dir::read_whole(proc.as_fd(), c"uptime", 128).ok()?;
    let text = std::str::from_utf8(&text).ok()?;
    let (seconds, rest) = text.split_once('.')?;
    let hundredths: u64 = rest.get(..2)?.parse().ok()?;
    Some(seconds.parse::<u64>().ok()?.saturating_mul(ticks) + hundredths * ticks / 100)
}

fn quiet(catalog: &Catalog, shown: &[usize], ui: &Ui) -> anyhow::Result<Exit> {
    ui.stdout(|to| shown.iter().try_for_each(|&place| writeln!(to, "{}", word(catalog, place))))?;
    Ok(Exit::Done)
}

/// Returns what targets call a sandbox: its name if that is taken for one, with its engine if only so, else its pid.
fn word(catalog: &Catalog, place: usize) -> String {
    let sandbox = &catalog.sandboxes[place];
    let path = catalog.path(place);
    let with_engine = sandbox.engine.map(|engine| format!("{engine}:{path}"));
    let is_name = |text: &String| {
        // What is escaped in a path is not what it is called.
        let is_word = !text.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b' ' | b'\\'));
        let known = matches!(text.parse(), Ok(Target::Container(_) | Target::Sandbox(_)));
        is_word && known && sandbox.own_name().is_some()
    };
    [Some(path), with_engine].into_iter().flatten().find(is_name).unwrap_or_else(|| sandbox.pid.to_string())
}

impl PsArgs {
    fn print(&self, rows: &[Row<'_>], ui: &Ui) -> anyhow::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        // What no sandbox here has is not worth a column, unless somebody asks for it.
        let has = |column: usize| rows.iter().any(|row| (COLUMNS[column].value)(row) != Value::Null);
        let mut defaults: Vec<usize> = DEFAULT.iter().map(|key| find(key)).collect();
        defaults.retain(|&column| has(column));
        if rows.iter().any(|row| row.sandbox().uid.is_some_and(|uid| uid.0 != 0))
            && rows.iter().any(|row| row.sandbox().uid.is_some_and(|uid| uid.0 == 0))
        {
            defaults.insert(2.min(defaults.len()), find("USER"));
        }
        let mut columns = chosen(&self.output, defaults, COLUMNS.len());
        let arranged = self.arranged(rows);
        let line = |columns: &[usize]| -> Vec<Vec<Cell>> {
            arranged.iter().map(|TreeLine { index, branches }| self.line(columns, &rows[*index], branches)).collect()
        };
        let mut lines = line(&columns);
        let width = ui.width.filter(|_| !self.no_truncate);
        let mut left_out = Vec::new();
        // What was asked for is not what is left out first.
        let asked = |column: usize| {
            let is_it = |word: &ColumnWord| match *word {
                ColumnWord::All => true,
                ColumnWord::Add(asked) | ColumnWord::Only(asked) => asked == column,
            };
            self.output.iter().any(is_it)
        };
        if let Some(width) = width {
            for key in DROPPED.into_iter().filter(|key| !asked(find(key))) {
                if needed(&columns, &lines) <= width {
                    break;
                }
                if let Some(place) = columns.iter().position(|column| *column == find(key)) {
                    columns.remove(place);
                    left_out.push(key);
                    lines = line(&columns);
                }
            }
        }
        let heads: Vec<_> = columns.iter().map(|&column| COLUMNS[column].head()).collect();
        let table =
            Table { columns: &heads, lines, tree: self.tree, headings: !self.no_headings, width, color: ui.color };
        left_out.extend(ui.stdout(|to| table.print(to))?);
        if !left_out.is_empty() {
            ui::note(&format!("no room for {}; -u does not cut", left_out.join(" ")));
        }
        Ok(())
    }

    /// Returns what is printed, in order.
    fn arranged(&self, rows: &[Row<'_>]) -> Vec<TreeLine> {
        if !self.tree {
            return (0..rows.len()).map(|index| TreeLine { index, branches: String::new() }).collect();
        }
        let mut below = vec![Vec::new(); rows.len()];
        let mut roots = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            // Below the nearest that is shown.
            let catalog = row.all.catalog;
            let above = std::iter::successors(row.sandbox().parent, |&place| catalog.sandboxes[place].parent);
            let shown = above.into_iter().find_map(|place| rows.iter().position(|other| other.place == place));
            match shown {
                Some(parent) => below[parent].push(index),
                None => roots.push(index),
            }
        }
        forest(&roots, &below)
    }

    fn line(&self, columns: &[usize], row: &Row<'_>, branches: &str) -> Vec<Cell> {
        let cell = |(place, &column): (usize, &usize)| {
            let found = &COLUMNS[column];
            let text = match found.key {
                // Its place says what is above it.
                "NAME" if !branches.is_empty() => row
                    .sandbox()
                    .own_name()
                    .map_or_else(|| "-".to_owned(), |name| crate::render::text::sanitize(name.as_bytes()).into_owned()),
                _ => found.cell(row),
            };
            let style = match found.key {
                "ENGINE" if !row.sandbox().verified && row.sandbox().engine.is_some() => Style::Warning,
                "STATE" if row.usage().state != Some(State::Running) => Style::Info,
                "IP" if text == "host" => Style::Warning,
                "LIMIT" | "CPUS" if !matches!(&*text, "max" | "-") => Style::Binding,
                "USER" if text == "root" => Style::Root,
                _ if matches!(&*text, "max" | "-") => Style::Initial,
                _ => Style::Plain,
            };
            let branches = if place == 0 { branches } else { "" };
            Cell { text: format!("{branches}{text}"), style, branches: branches.len() }
        };
        columns.iter().enumerate().map(cell).collect()
    }
}
