//! `nsx ls`: every namespace on the host.

use anyhow::Context;
use clap::Args;

use super::backend::BackendArgs;
use super::table::{SortValue, chosen, list_columns};
use super::value::{ColumnWord, SortKey, column_word, expression, ls_columns, sort_key};
use super::{Exit, Global, UsageError, advice, ui, ui::Ui};
use crate::model::{Holder, HolderKind, KindSet, Namespace, NsId, NsKind, Pid, Snapshot};
use crate::proc::{ProcRoot, Users};
use crate::render::column::{DEFAULT, DEFAULT_MEMBERS, find, is_unoccupied};
use crate::render::{COLUMNS, Cell, Column, Row, Style, Table, View, json};
use crate::sandbox::Catalog;
use crate::scan::{self, ScanOptions};
use crate::select::target::{Resolved, resolve, resolve_process};
use crate::select::{Expr, Filter, Target, TargetError, TreeBy, TreeLine, tree};
use crate::sys::nsfs;

/// List namespaces
///
/// Lists every namespace on the host, wherever it is kept alive: by processes, threads, open files, sockets, bind mounts in
/// any mount namespace, or as the owner or parent of another one. With namespaces as arguments it lists what is in them and
/// what else holds them; with processes, the namespaces that those are in.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Namespaces whose members to list, or processes whose namespaces to list
    ///
    /// A container by its name or id (`web`, `docker:web`, `outer/inner`), process 7 in it (`web/7`), or a unit (`unit:ssh.service`); a
    /// PID, PID:INODE or `self`; a namespace as `net:[4026531840]`, by its inode, by the name that ip-netns(8) gave it (`netns:blue`), or
    /// by a file such as /run/netns/blue. A bare number is a PID first, and an inode when no such process lives.
    #[arg(value_name = "NS|TARGET")]
    pub targets: Vec<Target>,

    /// Only namespaces of this kind (can be repeated, or separated by commas)
    #[arg(short = 't', long = "type", value_name = "TYPE", value_delimiter = ',', ignore_case = true)]
    pub types: Vec<NsKind>,

    /// Only the namespaces that this process or thread is in (can be repeated)
    #[arg(short = 'p', long = "task", value_name = "TARGET")]
    pub tasks: Vec<Target>,

    /// Only namespaces without a process
    #[arg(short = 'P', long, alias = "persistent")]
    pub unoccupied: bool,

    /// Only rows for which this is true, such as 'type == net and nprocs > 1'
    ///
    /// Columns, shown or not, are compared with values: ==, !=, <, >, <=, >=, and =~ and !~ for regular expressions; `and`, `or`,
    /// `not` and brackets combine. Values with spaces stand in quotation marks.
    #[arg(long = "where", value_name = "EXPR", value_parser = expression)]
    pub condition: Option<Expr>,

    /// Draw namespaces as a tree
    ///
    /// By owner (the default), by parent (pid and user namespaces only, unless -t says otherwise), or by the process tree of
    /// their leaders.
    #[arg(short = 'T', long, value_name = "BY", num_args = 0..=1, require_equals = true, default_missing_value = "owner")]
    pub tree: Option<TreeBy>,

    /// Columns to show: COL,…, or +COL,… to add some, or all
    #[arg(short = 'o', long = "output", value_name = "COL", value_delimiter = ',', ignore_case = true,
          value_parser = column_word(ls_columns()))]
    pub output: Vec<ColumnWord>,

    /// List the columns that there are
    #[arg(long, conflicts_with_all = ["targets", "tasks", "types", "condition", "tree", "output"])]
    pub columns: bool,

    /// Sort by this column; -COL puts the largest first
    #[arg(long, value_name = "COL", ignore_case = true, allow_hyphen_values = true, value_parser = sort_key(ls_columns()))]
    pub sort: Option<SortKey>,

    /// Count threads, too: adds the column NTHREADS
    #[arg(long)]
    pub threads: bool,

    /// By which way processes are looked at
    #[command(flatten)]
    pub backend: BackendArgs,

    /// Print no headings
    #[arg(short = 'n', long, alias = "noheadings")]
    pub no_headings: bool,

    /// Do not cut lines to the width of the terminal
    #[arg(short = 'u', long, alias = "notruncate")]
    pub no_truncate: bool,

    /// Print JSON (schema nsx.ls/1)
    #[arg(short = 'J', long)]
    pub json: bool,

    /// With --json: name all members and holders of each namespace
    #[arg(long, requires = "json")]
    pub members: bool,
}

/// Runs the command.
///
/// # Errors
/// Where a target is not there, `/proc` cannot be read, or standard output cannot be written to.
pub fn run(args: &LsArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    if args.columns {
        ui.stdout(|to| {
            if args.json {
                json::columns(&ls_columns(), &DEFAULT, to)
            } else {
                list_columns(&ls_columns(), &DEFAULT, to)
            }
        })?;
        return Ok(Exit::Done);
    }
    let root = ProcRoot::open(&global.proc_root).context("cannot list processes")?;
    args.backend.prefer();
    if !root.is_live() && global.proc_root == std::path::Path::new("/proc") {
        return Err(advice::NoProc { path: global.proc_root.clone() }.into());
    }
    let asked = Asked::resolve(args, &root)?;
    let members = !asked.namespaces.is_empty();
    let kinds = args.kinds(members);
    // A namespace that was named exists or not, whatever kinds are to be shown.
    let scanned = if members { KindSet::ALL } else { kinds };
    let mut snapshot = ui
        .with_progress("reading processes", |progress| {
            scan::scan(&root, &ScanOptions { kinds: scanned, ..args.backend.options(progress) })
        })
        .context("cannot list processes")?;
    asked.check(&snapshot)?;

    let filter = Filter { kinds, among: asked.among(), unoccupied: args.unoccupied };
    let chosen: Vec<NsId> =
        snapshot.namespaces.iter().filter(|namespace| filter.admits(namespace)).map(|namespace| namespace.id).collect();
    let described: Vec<Pid> = chosen
        .iter()
        .filter_map(|&id| snapshot.namespace(id))
        .flat_map(|namespace| {
            let holders = namespace.holders.iter().filter_map(|holder| holder.pid);
            let all = namespace.members.iter().copied().chain(holders).filter(move |_| members && !args.json);
            namespace.leader.into_iter().chain(all)
        })
        .collect();
    scan::describe(&root, &mut snapshot, described);
    if args.wants_containers() {
        Catalog::of(&root, &snapshot.processes).name(&mut snapshot.details);
    }

    let users = Users::read(std::path::Path::new("/etc/passwd"));
    let view = View { snapshot: &snapshot, users: &users, boot: root.boot_time() };
    let chosen = chosen.iter().filter_map(|&id| snapshot.namespace(id));
    if members && !args.json {
        let holders: Vec<(&Namespace, Holder)> = chosen.flat_map(all_holders).collect();
        let rows =
            holders.iter().map(|(namespace, holder)| Row { view: &view, namespace, holder: Some(holder) }).collect();
        args.print(&view, rows, members, asked.namespaces.len() > 1, ui)?;
    } else {
        let rows = chosen.map(|namespace| Row { view: &view, namespace, holder: None }).collect();
        args.print(&view, rows, members, false, ui)?;
    }
    args.backend.note(snapshot.backend);
    if let Some(note) = advice::gaps_note(&snapshot.gaps) {
        ui::note(&note);
    }
    Ok(Exit::Done)
}

/// What the targets and `-p` mean on this host.
struct Asked {
    /// Namespaces whose members to list.
    namespaces: Vec<(Option<NsKind>, NsId)>,
    /// The namespaces of the processes that were named; `None` where none was.
    of_processes: Option<Vec<NsId>>,
}

impl Asked {
    fn resolve(args: &LsArgs, root: &ProcRoot) -> anyhow::Result<Asked> {
        let mut asked = Asked { namespaces: Vec::new(), of_processes: None };
        let mut add = |resolved| match resolved {
            Resolved::Process(_, namespaces) => {
                asked.of_processes.get_or_insert_default().extend(namespaces.into_iter().flatten());
            }
            Resolved::Namespace(kind, id, _) => asked.namespaces.push((kind, id)),
        };
        for target in &args.tasks {
            add(resolve_process(root, target)?);
        }
        for target in &args.targets {
            add(resolve(root, target)?);
        }
        if !asked.namespaces.is_empty() && asked.of_processes.is_some() {
            let why = "cannot list the members of namespaces and the namespaces of processes at the same time";
            return Err(UsageError(why).into());
        }
        Ok(asked)
    }

    /// Makes sure that the namespaces that were named exist.
    fn check(&self, snapshot: &Snapshot) -> Result<(), TargetError> {
        for &(kind, id) in &self.namespaces {
            let found = snapshot.namespace(id).is_some_and(|found| kind.is_none_or(|kind| kind == found.kind));
            if !found {
                return Err(match kind {
                    // Whoever typed a smaller number meant a process.
                    None if u64::from(id.inode()) < nsfs::LEAST_INODE => TargetError::Nothing(id.inode()),
                    kind => TargetError::NoNamespace(kind, id),
                });
            }
        }
        Ok(())
    }

    fn among(&self) -> Option<Vec<NsId>> {
        if self.namespaces.is_empty() {
            self.of_processes.clone()
        } else {
            Some(self.namespaces.iter().map(|&(_, id)| id).collect())
        }
    }
}

/// Returns everything that holds a namespace: the processes in it first.
fn all_holders(namespace: &Namespace) -> impl Iterator<Item = (&Namespace, Holder)> {
    let members = namespace.members.iter().map(|&pid| Holder { pid: Some(pid), ..Holder::new(HolderKind::Process) });
    members.chain(namespace.holders.iter().cloned()).map(move |holder| (namespace, holder))
}

impl LsArgs {
    fn kinds(&self, members: bool) -> KindSet {
        match (self.types.is_empty(), self.tree) {
            (false, _) => self.types.iter().copied().collect(),
            (true, Some(TreeBy::Parent)) if !members => {
                NsKind::ALL.into_iter().filter(|kind| kind.has_parent()).collect()
            }
            (true, _) => KindSet::ALL,
        }
    }

    fn print(
        &self,
        view: &View<'_>,
        mut rows: Vec<Row<'_>>,
        members: bool,
        several: bool,
        ui: &Ui,
    ) -> anyhow::Result<()> {
        if let Some(condition) = &self.condition {
            rows.retain(|row| condition.admits(&|column| (COLUMNS[column].value)(row)));
        }
        if let Some(SortKey { column, descending }) = self.sort {
            let value = COLUMNS[column].value;
            rows.sort_by_cached_key(|row| SortValue(value(row), descending));
        }
        if self.json {
            return ui.stdout(|to| json::ls(view, &rows, members || self.members, to));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let columns = self.chosen_columns(members, several);
        let lines = match self.tree.filter(|_| !members) {
            Some(by) => {
                let namespaces: Vec<_> = rows.iter().map(|row| row.namespace).collect();
                tree::tree(by, &namespaces, view.snapshot)
            }
            None => (0..rows.len()).map(|index| TreeLine { index, branches: String::new() }).collect(),
        };
        let lines = lines
            .into_iter()
            .map(|TreeLine { index, branches }| line(&columns, &rows[index], &branches, ui.terminal))
            .collect();
        let width = ui.width.filter(|_| !self.no_truncate);
        let tree = self.tree.is_some() && !members;
        let heads: Vec<_> = columns.iter().map(|column| column.head()).collect();
        let table = Table { columns: &heads, lines, tree, headings: !self.no_headings, width, color: ui.color };
        let left_out = ui.stdout(|to| table.print(to))?;
        if !left_out.is_empty() {
            ui::note(&format!("no room for {}; -u does not cut", left_out.join(" ")));
        }
        Ok(())
    }

    /// Says whether anything that is asked for takes the names of containers.
    fn wants_containers(&self) -> bool {
        let container = find("CONTAINER");
        let shows = |word: &ColumnWord| match *word {
            ColumnWord::All => true,
            ColumnWord::Add(column) | ColumnWord::Only(column) => Some(column) == container,
        };
        self.json
            || self.output.iter().any(shows)
            || self.sort.is_some_and(|key| Some(key.column) == container)
            || self
                .condition
                .as_ref()
                .is_some_and(|condition| !condition.columns_are(&|column| Some(column) != container))
    }

    fn chosen_columns(&self, members: bool, several: bool) -> Vec<&'static Column> {
        let mut defaults: Vec<&str> = if members { DEFAULT_MEMBERS.to_vec() } else { DEFAULT.to_vec() };
        if several {
            defaults.splice(0..0, ["NS", "TYPE"]);
        }
        if self.threads {
            let behind = defaults.iter().position(|key| matches!(*key, "NPROCS" | "PPID")).unwrap_or(0);
            defaults.insert(behind + 1, "NTHREADS");
        }
        let defaults = defaults.into_iter().filter_map(find).collect();
        chosen(&self.output, defaults, COLUMNS.len()).into_iter().map(|column| &COLUMNS[column]).collect()
    }
}

fn line(columns: &[&Column], row: &Row<'_>, branches: &str, terminal: bool) -> Vec<Cell> {
    let namespace = row.namespace;
    let initial = namespace.initial == Some(true) && row.holder.is_none();
    columns
        .iter()
        .enumerate()
        .map(|(place, column)| {
            let mut text = column.cell(row);
            let style = match column.key {
                "NS" if namespace.own => Style::Own,
                "USER" if text == "root" && row.holder.is_some() => Style::Root,
                _ if initial => Style::Initial,
                "TYPE" => Style::Kind(namespace.kind),
                "COMMAND" if is_unoccupied(row) => Style::Unoccupied,
                _ => Style::Plain,
            };
            // A mark for those who do not see colours; scripts, which do not look, get plain numbers.
            if terminal && column.key == "NS" && row.holder.is_none() {
                text.push(if namespace.own { '*' } else { ' ' });
            }
            if place == 0 && !branches.is_empty() {
                text.insert_str(0, branches);
            }
            let branches = if place == 0 { branches.len() } else { 0 };
            Cell { text, style, branches }
        })
        .collect()
}
