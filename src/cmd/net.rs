//! `nsx net`: network namespaces, what is in them, and how they are wired together.

use std::collections::HashMap;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::table::{SortValue, chosen, list_columns};
use super::value::{ColumnWord, Names, SortKey, column_word, expression_of, sort_key};
use super::{Exit, Global, UsageError, advice, ui, ui::Ui};
use crate::model::net::{Network, words};
use crate::model::{Gap, KindSet, NsId, NsKind, Pid, Snapshot};
use crate::net::{Wanted, ask};
use crate::proc::{ProcRoot, Users};
use crate::render::json::columns;
use crate::render::net::{COLUMNS, Of, Row, Show, View, dot, find, json, tree};
use crate::render::{Cell, Head, Style, Table};
use crate::sandbox::Catalog;
use crate::scan::{self, ScanOptions};
use crate::select::target::{Resolved, resolve_kinds};
use crate::select::{Expr, Target, TargetError, Value};
use crate::sys::{nsfs, pidfd};

/// Show network namespaces, their links, and how they are wired together
///
/// Every network namespace on the host, also those without a process: links with their addresses, which veth is the other end of which,
/// in which namespace and on which bridge, what lies below VLANs and macvlans, who owns a tap. Routes and listening sockets on request.
#[derive(Args, Debug)]
pub struct NetArgs {
    /// Only the network namespaces of these
    ///
    /// A container by its name or id (`web`, `docker:web`), a process (PID, PID:INODE, `self`), or a namespace: `net:[4026531840]`, its
    /// inode, the name that ip-netns(8) gave it (`netns:blue`), or a file such as /run/netns/blue. Their peers are named wherever they are.
    #[arg(value_name = "TARGET")]
    targets: Vec<Target>,

    /// Show routes
    ///
    /// Of all tables but `local`, which the kernel keeps; with `=all` of that, too. As a table of their own, or below their links with
    /// --tree.
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "set")]
    routes: Option<Routes>,

    /// Show listening sockets, and who has them open
    ///
    /// TCP sockets that listen and UDP sockets that are bound, IPv4 and IPv6. As a table of their own, or below their namespace with
    /// --tree.
    #[arg(short = 'l', long)]
    listen: bool,

    /// Draw namespaces and links as a tree: ports below their bridge, VLANs below their device
    #[arg(short = 'T', long)]
    tree: bool,

    /// Print a picture for dot(1) of graphviz: nsx net --dot | dot -Tsvg
    #[arg(long, conflicts_with_all = ["tree", "json", "routes", "listen", "output"])]
    dot: bool,

    /// Only rows for which this is true, such as 'type == veth and state != up'
    ///
    /// As in nsx-ls(1). With --routes or --listen it is about those.
    #[arg(long = "where", value_name = "EXPR", value_parser = condition)]
    condition: Option<Expr>,

    /// Columns to show: COL,…, or +COL,… to add some, or all
    #[arg(short = 'o', long = "output", value_name = "COL", value_delimiter = ',', ignore_case = true,
          value_parser = column_word(names()))]
    output: Vec<ColumnWord>,

    /// List the columns that there are
    #[arg(long, conflicts_with_all = ["targets", "condition", "output", "tree", "dot"])]
    columns: bool,

    /// Sort by this column; -COL puts the largest first
    #[arg(long, value_name = "COL", ignore_case = true, allow_hyphen_values = true, value_parser = sort_key(names()))]
    sort: Option<SortKey>,

    /// Print no headings
    #[arg(short = 'n', long, alias = "noheadings")]
    no_headings: bool,

    /// Do not cut lines to the width of the terminal
    #[arg(short = 'u', long, alias = "notruncate")]
    no_truncate: bool,

    /// Print JSON (schema nsx.net/1)
    #[arg(short = 'J', long)]
    json: bool,
}

/// Which routes to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Routes {
    /// Those of all tables but `local`
    Set,
    /// Those of all tables
    All,
}

/// Returns the columns of all tables.
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
pub fn run(args: &NetArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let show = args.show()?;
    if args.columns {
        let of_table: Names =
            COLUMNS.iter().filter(|column| column.is_of(show)).map(|column| (column.key, column.help)).collect();
        ui.stdout(|to| {
            if args.json {
                columns(&of_table, show.defaults(), to)
            } else {
                list_columns(&of_table, show.defaults(), to)
            }
        })?;
        return Ok(Exit::Done);
    }
    let root = ProcRoot::open(&global.proc_root).context("cannot list processes")?;
    if !root.is_live() {
        // A captured tree has nothing that could be asked.
        return Err(if global.proc_root == std::path::Path::new("/proc") {
            advice::NoProc { path: global.proc_root.clone() }.into()
        } else {
            advice::NotOwnProc { doing: "ask network namespaces", path: global.proc_root.clone() }.into()
        });
    }
    let among = args.among(&root)?;
    // Every namespace is open until all are wired, and so is a socket in it.
    pidfd::make_room();
    let (mut snapshot, opened) = ui
        .with_progress("reading processes", |progress| {
            // By those of pids it is known which containers there are.
            let kinds = KindSet::NONE.with(NsKind::Net).with(NsKind::Pid);
            scan::scan_open(
                &root,
                &ScanOptions { kinds, progress: Some(progress), ..ScanOptions::default() },
                NsKind::Net,
            )
        })
        .context("cannot list processes")?;
    check(&among, &snapshot)?;
    let wanted = Wanted { routes: args.routes.is_some(), listeners: args.listen };
    let network = ask(&snapshot, &opened, wanted);
    drop(opened);

    let leaders = snapshot.namespaces.iter().filter(|namespace| namespace.kind == NsKind::Net);
    let holders =
        network.listeners.iter().flatten().flat_map(|listener| listener.holders.iter().map(|holder| holder.pid));
    let described: Vec<Pid> = leaders.filter_map(|namespace| namespace.leader).chain(holders).collect();
    scan::describe(&root, &mut snapshot, described);
    Catalog::of(&root, &snapshot.processes).name(&mut snapshot.details);
    let users = Users::read(std::path::Path::new("/etc/passwd"));
    let gaps: Vec<Gap> = snapshot.gaps.iter().chain(&network.gaps).cloned().collect();
    let view = View::new(&snapshot, &users, &network);
    args.print(&view, show, &among, &gaps, ui)?;
    if let Some(note) = advice::gaps_note(&gaps) {
        ui::note(&note);
    }
    Ok(Exit::Done)
}

/// The namespaces that were named, and whether the kind was; `None` where none was.
type Among = Option<Vec<(Option<NsKind>, NsId)>>;

/// Makes sure that the namespaces that were named are there, and are network namespaces.
fn check(among: &Among, snapshot: &Snapshot) -> Result<(), TargetError> {
    for &(kind, id) in among.iter().flatten() {
        if snapshot.namespace(id).is_some_and(|found| found.kind == NsKind::Net) {
            continue;
        }
        return Err(match kind {
            None if u64::from(id.inode()) < nsfs::LEAST_INODE => TargetError::Nothing(id.inode()),
            _ => TargetError::NoNamespace(Some(NsKind::Net), id),
        });
    }
    Ok(())
}

impl NetArgs {
    fn show(&self) -> Result<Show, UsageError> {
        let show = match (self.routes, self.listen) {
            (Some(_), true) if !(self.json || self.tree) => {
                return Err(UsageError("routes and sockets are two tables: --tree and --json show both at once"));
            }
            (Some(_), false) => Show::Routes,
            (None, true) => Show::Listeners,
            (None, false) | (Some(_), true) => Show::Links,
        };
        // In a tree and in JSON there are several at once.
        let is_of = |column: usize| match show {
            Show::Links if self.routes.is_some() && self.listen => {
                COLUMNS[column].is_of(Show::Routes) || COLUMNS[column].is_of(Show::Listeners)
            }
            show => COLUMNS[column].is_of(show),
        };
        let is_shown = |word: &ColumnWord| match *word {
            ColumnWord::Add(column) | ColumnWord::Only(column) => {
                if self.tree {
                    COLUMNS[column].is_of(Show::Links)
                } else {
                    is_of(column)
                }
            }
            ColumnWord::All => true,
        };
        let fits = self.output.iter().all(is_shown)
            && self.sort.is_none_or(|key| is_of(key.column))
            && self.condition.as_ref().is_none_or(|condition| condition.columns_are(&is_of));
        if !fits {
            return Err(UsageError(
                "a column is of another table: nsx net --columns lists those of links, with --routes or --listen the others",
            ));
        }
        Ok(show)
    }

    fn among(&self, root: &ProcRoot) -> anyhow::Result<Among> {
        let mut among = Vec::new();
        for target in &self.targets {
            match resolve_kinds(root, target, KindSet::NONE.with(NsKind::Net))? {
                Resolved::Process(_, namespaces) => {
                    among.extend(namespaces[NsKind::Net.index()].map(|id| (Some(NsKind::Net), id)));
                }
                Resolved::Namespace(kind, id, _) => among.push((kind, id)),
            }
        }
        Ok((!self.targets.is_empty()).then_some(among))
    }

    fn print(&self, view: &View<'_>, show: Show, among: &Among, gaps: &[Gap], ui: &Ui) -> anyhow::Result<()> {
        let all = view.network.namespaces.iter().map(|net| net.ns);
        let namespaces: Vec<NsId> =
            all.filter(|ns| among.as_ref().is_none_or(|among| among.iter().any(|(_, id)| id == ns))).collect();
        let rows = self.rows(view, show, &namespaces);
        if self.json {
            return ui.stdout(|to| json::json(view, &namespaces, &rows, gaps, to));
        }
        if self.dot {
            return ui.stdout(|to| dot::dot(view, &rows, to));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let width = ui.width.filter(|_| !self.no_truncate);
        let columns = self.chosen_columns(show, &rows, width);
        let shown = columns.iter().map(|&column| COLUMNS[column].head());
        let (heads, lines): (Vec<Head>, _) = if self.tree {
            (std::iter::once(Head::text("LINK")).chain(shown).collect(), tree::lines(view, &rows, &columns))
        } else {
            (shown.collect(), lines(&rows, &columns))
        };
        let headings = !self.no_headings;
        let table = Table { columns: &heads, lines, tree: self.tree, headings, width, color: ui.color };
        let left_out = ui.stdout(|to| table.print(to))?;
        if !left_out.is_empty() {
            ui::note(&format!("no room for {}; -u does not cut", left_out.join(" ")));
        }
        Ok(())
    }

    /// Returns what is shown, in order. Of links and what is asked for beside them, the condition is about the latter.
    fn rows<'a>(&self, view: &'a View<'a>, show: Show, namespaces: &[NsId]) -> Vec<Row<'a>> {
        let network: &'a Network = view.network;
        let order: HashMap<NsId, usize> = namespaces.iter().enumerate().map(|(place, &ns)| (ns, place)).collect();
        let row = |ns, of| Some(Row { view, ns, of }).filter(|row| order.contains_key(&row.ns));
        let unseen = network.namespaces.iter().filter(|net| !net.asked).filter_map(|net| row(net.ns, Of::Unseen));
        let links = network.links.iter().enumerate().filter_map(|(place, link)| row(link.ns, Of::Link(place)));
        let mut links: Vec<Row<'a>> = unseen.chain(links).collect();
        links.sort_by_key(|row| order.get(&row.ns).copied());
        let routes = network.routes.iter().flatten();
        let routes = routes.filter(|route| self.routes == Some(Routes::All) || route.table != words::LOCAL_TABLE);
        let routes = routes.filter_map(|route| row(route.ns, Of::Route(route)));
        let listeners =
            network.listeners.iter().flatten().filter_map(|listener| row(listener.ns, Of::Listener(listener)));
        let mut others: Vec<Row<'a>> = routes.chain(listeners).collect();

        let asks_for_others = self.routes.is_some() || self.listen;
        let about = if asks_for_others { &mut others } else { &mut links };
        if let Some(condition) = &self.condition {
            about.retain(|row| condition.admits(&|column| (COLUMNS[column].value)(row)));
        }
        if let Some(SortKey { column, descending }) = self.sort {
            let value = COLUMNS[column].value;
            about.sort_by_cached_key(|row| SortValue(value(row), descending));
        }
        match show {
            _ if self.json || self.tree => links.into_iter().chain(others).collect(),
            Show::Links => links,
            Show::Routes | Show::Listeners => others,
        }
    }

    fn chosen_columns(&self, show: Show, rows: &[Row<'_>], width: Option<usize>) -> Vec<usize> {
        let defaults = if self.tree { tree::DEFAULT.to_vec() } else { show.defaults_in(width) };
        let mut defaults: Vec<usize> = defaults.iter().map(|key| find(key)).collect();
        // What no row has is not worth a column, unless somebody asks for it.
        let has = |column: usize| {
            matches!(COLUMNS[column].key, "NS" | "NAME" | "LINK")
                || self.tree && COLUMNS[column].key == "INFO"
                || rows.iter().any(|row| (COLUMNS[column].value)(row) != Value::Null)
        };
        defaults.retain(|&column| has(column));
        let mut columns = chosen(&self.output, defaults, COLUMNS.len());
        if self.output.iter().any(|word| matches!(word, ColumnWord::All)) {
            // A tree has the namespace and the link in its branches.
            let is_drawn = |key: &str| self.tree && matches!(key, "NS" | "NAME" | "LINK");
            let show = if self.tree { Show::Links } else { show };
            columns.retain(|&column| COLUMNS[column].is_of(show) && !is_drawn(COLUMNS[column].key));
        }
        columns
    }
}

/// Makes the lines of a table. A namespace that is the same as on the line above is dimmed: it is there for programs.
fn lines(rows: &[Row<'_>], columns: &[usize]) -> Vec<Vec<Cell>> {
    let mut before = None;
    rows.iter()
        .map(|row| {
            let again = before.replace(row.ns) == Some(row.ns);
            let cell = |&column: &usize| {
                let column = &COLUMNS[column];
                let text = column.cell(row);
                let style = match column.key {
                    "NS" | "NAME" if again => Style::Initial,
                    key => tree::style(row, key, &text),
                };
                Cell { text, style, branches: 0 }
            };
            columns.iter().map(cell).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: NetArgs,
    }

    fn show(words: &[&str]) -> Result<Show, &'static str> {
        let words = ["net"].iter().chain(words);
        Only::try_parse_from(words).expect("it parses").args.show().map_err(|UsageError(why)| why)
    }

    #[test]
    fn one_table_at_a_time() {
        assert_eq!(show(&[]), Ok(Show::Links));
        assert_eq!(show(&["--routes"]), Ok(Show::Routes));
        assert_eq!(show(&["-l"]), Ok(Show::Listeners));
        assert_eq!(show(&["-l", "--routes=all", "--json"]), Ok(Show::Links));
        assert!(show(&["-l", "--routes"]).is_err());
        for words in [["-o", "DST"], ["--where", "port == 80"], ["--sort", "PORT"]] {
            assert!(show(&words).is_err(), "{words:?}");
        }
        assert_eq!(show(&["-l", "--where", "port == 80 or name == x"]), Ok(Show::Listeners));
        assert_eq!(show(&["-l", "--tree", "-o", "PEER"]), Ok(Show::Listeners));
        assert!(show(&["-l", "--tree", "-o", "PORT"]).is_err());
        assert_eq!(show(&["--routes", "-o", "+dst"]), Ok(Show::Routes));
        assert!(Only::try_parse_from(["net", "--dot", "--json"]).is_err());
    }
}
