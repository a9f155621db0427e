//! `nsx cg ls`: the tree of cgroups.

use std::time::Duration;

use clap::Args;

use super::Opened;
use crate::cgroup::{Depth, Group, Sample, Tree};
use crate::cmd::table::{SortValue, chosen, list_columns};
use crate::cmd::value::{self, ColumnWord, SortKey, column_word, duration, expression_of, sort_key};
use crate::cmd::{Exit, Global, ui, ui::Ui};
use crate::model::{Pid, Snapshot};
use crate::render::cg::ls::{COLUMNS, DEFAULT, find, json};
use crate::render::json::columns;
use crate::render::text::sanitize;
use crate::render::{Cell, Head, Style, Table};
use crate::sandbox::Names;
use crate::scan;
use crate::select::cgroup::Chosen;
use crate::select::tree::forest;
use crate::select::{Expr, Target, TargetError, TreeLine, Value};
use crate::sys::{Call, SysError};

/// How long is measured where something asks for rates and nobody says how long.
const INTERVAL: Duration = Duration::from_millis(500);

/// List cgroups, with what they use and may use
///
/// As a tree. On hosts with several hierarchies the cgroups with the same path are one row, and each controller's numbers come from
/// where it is at home. Time on processors takes an interval to measure: --interval, or whatever sorts by it.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// The cgroup to begin with, or a process whose cgroup to begin with
    #[arg(value_name = "PATH|TARGET")]
    target: Option<Target>,

    /// Only so many levels below the first one
    #[arg(short = 'd', long, value_name = "N")]
    depth: Option<usize>,

    /// Print whole paths instead of a tree
    #[arg(short = 'f', long)]
    flat: bool,

    /// Name the processes in each cgroup
    #[arg(short = 'p', long = "procs")]
    procs: bool,

    /// Only cgroups that use more than this part of a limit, such as 80%
    ///
    /// Of what a limit comes to with those above; what only the host limits does not count.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    over: Option<u32>,

    /// Only cgroups that set a limit themselves
    #[arg(long)]
    limits_only: bool,

    /// Measure time on processors over this time, such as 1s
    #[arg(short = 'i', long, value_name = "TIME", value_parser = duration)]
    interval: Option<Duration>,

    /// Only rows for which this is true, such as 'mem > 1000000 and nprocs > 0'
    ///
    /// As in nsx-ls(1); sizes are in bytes, limits that are not there are more than any number.
    #[arg(long = "where", value_name = "EXPR", value_parser = condition)]
    condition: Option<Expr>,

    /// Sort by this, the largest first; -KEY turns it round
    ///
    /// mem, cpu, pids, pressure, or a column. In a tree the cgroups on one level are sorted.
    #[arg(long, value_name = "KEY", ignore_case = true, allow_hyphen_values = true, value_parser = sort())]
    sort: Option<SortKey>,

    /// Columns to show: COL,…, or +COL,… to add some, or all
    #[arg(short = 'o', long = "output", value_name = "COL", value_delimiter = ',', ignore_case = true,
          value_parser = column_word(names()))]
    output: Vec<ColumnWord>,

    /// List the columns that there are
    #[arg(long, conflicts_with_all = ["target", "condition", "output"])]
    columns: bool,

    /// Print no headings
    #[arg(short = 'n', long)]
    no_headings: bool,

    /// Do not cut lines to the width of the terminal
    #[arg(short = 'u', long)]
    no_truncate: bool,

    /// Print JSON (schema nsx.cg.ls/1)
    #[arg(short = 'J', long)]
    json: bool,
}

/// Returns the columns.
fn names() -> value::Names {
    COLUMNS.iter().map(|column| (column.key, column.help)).collect()
}

fn condition(text: &str) -> Result<Expr, String> {
    expression_of(&names(), text)
}

/// Words for columns that one would not think of.
const SORT_WORDS: [(&str, &str); 1] = [("PRESSURE", "PSI")];

/// Returns the parser of `--sort`: columns, and a few words more.
fn sort() -> impl clap::builder::TypedValueParser<Value = SortKey> {
    use clap::builder::TypedValueParser;
    let with_words = names().into_iter().chain(SORT_WORDS.map(|(word, _)| (word, "worst pressure"))).collect();
    sort_key(with_words).map(|key| {
        let word = key.column.checked_sub(COLUMNS.len()).and_then(|place| SORT_WORDS.get(place));
        let column = word.map_or(key.column, |(_, column)| find(column));
        SortKey { column, ..key }
    })
}

fn percent(text: &str) -> Result<u32, String> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    let wrong = || format!("{text:?} is no percentage, such as 80%");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    digits.parse().map_err(|_| wrong())
}

/// Runs the command.
///
/// # Errors
/// Where the target is not there, or standard output cannot be written to.
pub(super) fn run(args: &LsArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    if args.columns {
        ui.stdout(|to| if args.json { columns(&names(), &DEFAULT, to) } else { list_columns(&names(), &DEFAULT, to) })?;
        return Ok(Exit::Done);
    }
    let opened = Opened::new(global)?;
    let (start, only) = opened.start(args.target.as_ref())?;
    let sample = |depth| {
        Sample::take(&opened.cgroups, &start, only, args.depth, depth)
            .map_err(|errno| TargetError::NoCgroup(start.clone(), SysError::new(Call::Openat(start.clone()), errno)))
    };
    let interval = args.interval.or_else(|| args.wants_rates().then_some(INTERVAL));
    let (mut tree, measured) = match interval {
        None => (sample(Depth::Everything)?.tree, None),
        Some(interval) => {
            let before = sample(Depth::Rates)?;
            std::thread::sleep(interval);
            let mut now = sample(Depth::Everything)?;
            let elapsed = now.at - before.at;
            now.tree.add_rates(&before.tree, elapsed);
            (now.tree, Some(elapsed))
        }
    };
    Names::default().name(&opened.proc, &mut tree.groups);
    let shown: Vec<usize> = (0..tree.groups.len()).filter(|&index| args.admits(&tree.groups[index])).collect();
    if args.json {
        let usec = measured.map(|time| time.as_micros() as u64);
        ui.stdout(|to| json(&opened.cgroups, &tree, &args.sorted(shown, &tree), usec, args.procs, to))?;
    } else {
        args.print(&opened, &tree, shown, measured.is_some(), ui)?;
    }
    if let Some(first) = tree.gaps.first() {
        let path = String::from_utf8_lossy(&first.path).escape_debug().to_string();
        let others = tree.gaps.len() - 1;
        let more = if others > 0 { format!(" and {others} more") } else { String::new() };
        ui::note(&format!("could not look into {path}{more} ({}); --json has the list in .gaps", first.errno));
    }
    Ok(Exit::Done)
}

impl Opened {
    /// Finds where a list begins: the path of a cgroup, and the hierarchy if it is one in particular.
    pub(super) fn start(&self, target: Option<&Target>) -> anyhow::Result<(Vec<u8>, Option<usize>)> {
        let Some(target) = target else {
            // Without a cgroup namespace a container sees the host's paths, and of what is mounted only its own part.
            let mounted = self.cgroups.hierarchies.iter().filter(|hierarchy| hierarchy.top().is_some());
            let top = mounted.map(|hierarchy| hierarchy.top_path()).min_by_key(|path| path.len());
            return Ok((top.unwrap_or(b"/").to_vec(), None));
        };
        Ok(match self.choose(target)? {
            Chosen::Cgroup { path, only } => (path, only),
            Chosen::Process(process) => {
                let text = process.read_all(c"cgroup", 1 << 20).map_err(|errno| {
                    let name = self.proc.name(&format!("{}/cgroup", process.pid));
                    TargetError::NoProcess(process.pid, SysError::new(Call::Openat(name), errno))
                })?;
                (crate::proc::parse::cgroup(&text).unwrap_or(b"/").to_vec(), None)
            }
        })
    }
}

impl LsArgs {
    fn wants_rates(&self) -> bool {
        let cpu = find("CPU");
        self.sort.is_some_and(|key| key.column == cpu)
            || self
                .output
                .iter()
                .any(|word| matches!(word, ColumnWord::Add(column) | ColumnWord::Only(column) if *column == cpu))
    }

    fn admits(&self, group: &Group) -> bool {
        self.over.is_none_or(|over| group.fullest_percent().is_some_and(|percent| percent > f64::from(over)))
            && (!self.limits_only || group.sets_limits())
            && self
                .condition
                .as_ref()
                .is_none_or(|condition| condition.admits(&|column| (COLUMNS[column].value)(group)))
    }

    fn key(&self, group: &Group) -> Option<SortValue> {
        let SortKey { column, descending } = self.sort?;
        let value = (COLUMNS[column].value)(group);
        // Numbers are wanted with the largest first, names by letters.
        let is_text = matches!(value, Value::Text(_));
        Some(SortValue(value, descending == is_text))
    }

    fn sorted(&self, mut shown: Vec<usize>, tree: &Tree) -> Vec<usize> {
        shown.sort_by_cached_key(|&index| self.key(&tree.groups[index]));
        shown
    }

    fn print(&self, opened: &Opened, tree: &Tree, shown: Vec<usize>, rates: bool, ui: &Ui) -> anyhow::Result<()> {
        let columns: Vec<usize> = self.chosen_columns(tree, rates);
        let mut lines = Vec::new();
        let mut names = Processes { opened, described: None };
        for Place { index, branches, inner, leaf } in self.arranged(&shown, tree) {
            let group = &tree.groups[index];
            // Indices ascend until they are sorted.
            let is_context = shown.binary_search(&index).is_err();
            let mut of_group = line(&columns, group, &branches, is_context);
            if self.procs {
                of_group.push(Cell::new("", Style::Plain));
            }
            lines.push(of_group);
            for (place, &pid) in group.pids.iter().enumerate().filter(|_| self.procs) {
                let branch = if leaf && place + 1 == group.pids.len() { "└─" } else { "├─" };
                lines.push(names.line(columns.len(), pid, &format!("{inner}{branch}"), tree));
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        let command = self.procs.then(|| Head::text("COMMAND").flexible());
        let heads: Vec<_> = columns.iter().map(|&column| COLUMNS[column].head()).chain(command).collect();
        let width = ui.width.filter(|_| !self.no_truncate);
        let table = Table { columns: &heads, lines, tree: true, headings: !self.no_headings, width, color: ui.color };
        let left_out = ui.stdout(|to| table.print(to))?;
        if !left_out.is_empty() {
            ui::note(&format!("no room for {}; -u does not cut", left_out.join(" ")));
        }
        Ok(())
    }

    /// Returns what is printed, in order.
    fn arranged(&self, shown: &[usize], tree: &Tree) -> Vec<Place> {
        if self.flat {
            let flat = |index| Place { index, branches: String::new(), inner: String::new(), leaf: true };
            return self.sorted(shown.to_vec(), tree).into_iter().map(flat).collect();
        }
        let parents = tree.parents();
        // A cgroup that is chosen is shown with those above it: where it is matters as much as what it is.
        let mut wanted = vec![false; tree.groups.len()];
        for &index in shown {
            let mut at = Some(index);
            while let Some(index) = at.filter(|&index| !wanted[index]) {
                wanted[index] = true;
                at = parents[index];
            }
        }
        let mut below = vec![Vec::new(); tree.groups.len()];
        let mut roots = Vec::new();
        for index in (0..tree.groups.len()).filter(|&index| wanted[index]) {
            match parents[index] {
                Some(parent) => below[parent].push(index),
                None => roots.push(index),
            }
        }
        for children in &mut below {
            children.sort_by_cached_key(|&index| self.key(&tree.groups[index]));
        }
        let place = |line: TreeLine| Place {
            index: line.index,
            inner: line.branches.replace("├─", "│ ").replace("└─", "  "),
            leaf: below[line.index].is_empty(),
            branches: line.branches,
        };
        forest(&roots, &below).into_iter().map(place).collect()
    }

    fn chosen_columns(&self, tree: &Tree, rates: bool) -> Vec<usize> {
        let mut defaults: Vec<usize> = DEFAULT.iter().map(|key| find(key)).collect();
        if rates {
            defaults.insert(5, find("CPU"));
        }
        if tree.groups.iter().any(|group| group.frozen == Some(true)) {
            defaults.push(find("FROZEN"));
        }
        // What no cgroup here has is not worth a column, unless somebody asks for it.
        let has = |column: usize| tree.groups.iter().any(|group| (COLUMNS[column].value)(group) != Value::Null);
        defaults.retain(|&column| has(column));
        chosen(&self.output, defaults, COLUMNS.len())
    }
}

/// Where a cgroup stands in what is printed.
struct Place {
    index: usize,
    /// What is drawn before it.
    branches: String,
    /// What is drawn before what is in it.
    inner: String,
    /// Whether no cgroup is drawn below it.
    leaf: bool,
}

fn line(columns: &[usize], group: &Group, branches: &str, is_context: bool) -> Vec<Cell> {
    let frozen = group.frozen == Some(true);
    let full = group.fullest_percent().is_some_and(|percent| percent > 95.0);
    columns
        .iter()
        .enumerate()
        .map(|(place, &column)| {
            let found = &COLUMNS[column];
            let mut text = match found.key {
                // A name alone says where it is only below another.
                "CGROUP" if branches.is_empty() => COLUMNS[find("PATH")].cell(group),
                _ => found.cell(group),
            };
            let style = match found.key {
                _ if is_context => Style::Initial,
                "CGROUP" | "FROZEN" if frozen => Style::Info,
                "MEM" | "PIDS" | "FULL" if full => Style::Critical,
                "MEMMAX" | "MEMHIGH" | "CPUMAX" | "PIDSMAX" if !matches!(&*text, "max" | "-") => Style::Binding,
                "THROTTLED" if group.throttled_percent().is_some_and(|percent| percent >= 10.0) => Style::Warning,
                "PSI" if group.worst_pressure().is_some_and(|percent| percent >= 10.0) => Style::Warning,
                _ if matches!(&*text, "max" | "-") => Style::Initial,
                _ => Style::Plain,
            };
            let branches = if place == 0 { branches } else { "" };
            text.insert_str(0, branches);
            Cell { text, style, branches: branches.len() }
        })
        .collect()
}

/// The names of processes, read when the first is asked for.
struct Processes<'a> {
    opened: &'a Opened,
    described: Option<Snapshot>,
}

impl Processes<'_> {
    fn line(&mut self, columns: usize, pid: u32, branches: &str, tree: &Tree) -> Vec<Cell> {
        let described = self.described.get_or_insert_with(|| {
            let mut snapshot = Snapshot::default();
            let pids = tree.groups.iter().flat_map(|group| group.pids.iter().map(|&pid| Pid(pid)));
            scan::describe(&self.opened.proc, &mut snapshot, pids);
            snapshot
        });
        let command = described.details.get(&Pid(pid)).and_then(|details| details.command.as_deref());
        let command = command.map_or_else(|| "(gone)".into(), sanitize);
        let first = Cell { text: format!("{branches}{pid}"), style: Style::Plain, branches: branches.len() };
        let blank = std::iter::repeat_n(Cell::new("", Style::Plain), columns.saturating_sub(1));
        std::iter::once(first).chain(blank).chain([Cell::new(command, Style::Plain)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_whole_numbers_with_or_without_a_sign() {
        assert_eq!(percent("80%"), Ok(80));
        assert_eq!(percent("0"), Ok(0));
        for text in ["", "%", "-1", "1.5%", "80%%", "+1", "99999999999"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
