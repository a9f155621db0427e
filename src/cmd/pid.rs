//! `nsx pid`: what a process is called in other pid namespaces.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use clap::Args;

use super::table::{chosen, list_columns};
use super::value::{ColumnWord, Names, column_word};
use super::{Exit, Global, UsageError, advice, ui, ui::Ui};
use crate::model::gap::GapOf;
use crate::model::{Details, GapWhat, Gaps, KindSet, NsKind, Pid};
use crate::proc::{ProcPid, ProcRoot, Users};
use crate::render::json::columns;
use crate::render::pid::{COLUMNS, DEFAULT, OF_PROCESS, Translated, Translation, find};
use crate::sandbox::Catalog;
use crate::scan::describe;
use crate::select::pid::{Children, PidError, PidNs, Spaces};
use crate::select::target::{Resolved, resolve_kinds, resolve_process_kinds};
use crate::select::{Target, TargetError};
use crate::sys::{errno_name, nsfs};

/// Translate a PID between PID namespaces
///
/// Shows by what numbers a process or thread is known, from the pid namespace of the caller down to its own, and whose those
/// namespaces are. With --target the number is one that is seen in there; with --in the answer is.
#[derive(Args, Debug)]
pub struct PidArgs {
    /// The processes or threads
    ///
    /// A PID or TID, PID:INODE, `self`, or a container by its name or id; with --target a number as it is seen there.
    #[arg(value_name = "PID", required_unless_present = "columns")]
    pids: Vec<Target>,

    /// The numbers are those of the pid namespace of this process, or of this namespace
    ///
    /// A container by its name or id; a PID, PID:INODE or `self`; a pid namespace as `pid:[4026532801]`, by its inode, or by a file such as
    /// /proc/4242/ns/pid.
    #[arg(short = 't', long, value_name = "TARGET")]
    target: Option<Target>,

    /// Print the numbers that they have in the pid namespace of this process, or in this namespace, and nothing else
    ///
    /// What may be named is the same as with --target.
    #[arg(long = "in", value_name = "TARGET")]
    into: Option<Target>,

    /// Print the PIDs alone, a line each: as in kill $(nsx pid -q -t 4242 7)
    #[arg(short = 'q', long, conflicts_with_all = ["json", "output", "no_headings"])]
    quiet: bool,

    /// Columns to show: COL,…, or +COL,… to add some, or all
    #[arg(short = 'o', long = "output", value_name = "COL", value_delimiter = ',', ignore_case = true,
          value_parser = column_word(names()), conflicts_with = "into")]
    output: Vec<ColumnWord>,

    /// List the columns that there are
    #[arg(long, conflicts_with_all = ["pids", "target", "into", "output", "quiet"])]
    columns: bool,

    /// Print no headings
    #[arg(short = 'n', long)]
    no_headings: bool,

    /// Do not cut lines to the width of the terminal
    #[arg(short = 'u', long)]
    no_truncate: bool,

    /// Print JSON (schema nsx.pid/1)
    #[arg(short = 'J', long)]
    json: bool,
}

/// Returns the columns.
fn names() -> Names {
    COLUMNS.iter().map(|column| (column.key, column.help)).collect()
}

/// Runs the command. Where one of several cannot be translated nothing is printed.
///
/// # Errors
/// Where a process or namespace is not there or may not be looked at, or standard output cannot be written to.
pub fn run(args: &PidArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    if args.columns {
        ui.stdout(|to| if args.json { columns(&names(), &DEFAULT, to) } else { list_columns(&names(), &DEFAULT, to) })?;
        return Ok(Exit::Done);
    }
    let root = ProcRoot::open(&global.proc_root).context("cannot look for processes")?;
    if !root.is_live() && global.proc_root == Path::new("/proc") {
        return Err(advice::NoProc { path: global.proc_root.clone() }.into());
    }
    let spaces = Spaces::new(&root);
    let from = args.target.as_ref().map(|target| namespace(&root, &spaces, target)).transpose()?;
    let into = args.into.as_ref().map(|target| namespace(&root, &spaces, target)).transpose()?;
    let mut found: Vec<(&Target, ProcPid, Option<u32>)> = Vec::new();
    for word in &args.pids {
        let process = match (&from, word) {
            (Some(ns), Target::Number(number)) => spaces.find(ns, *number)?,
            (Some(_), _) => return Err(UsageError("with --target, processes are named by numbers").into()),
            (None, target) => match resolve_process_kinds(&root, target, KindSet::NONE)? {
                Resolved::Process(process, _) => process,
                Resolved::Namespace(..) => return Err(TargetError::WantedProcess(target.to_string()).into()),
            },
        };
        let number = into.as_ref().map(|ns| spaces.number_in(ns, &process)).transpose()?;
        found.push((word, process, number));
    }
    if !args.json && (args.quiet || into.is_some()) {
        let numbers: Vec<u32> = found.iter().map(|(_, process, number)| number.unwrap_or(process.pid.0)).collect();
        ui.stdout(|to| Translation::numbers(&numbers, to))?;
        return Ok(Exit::Done);
    }
    let mut inits: HashMap<Pid, Option<Details>> = HashMap::new();
    let mut gaps = Gaps::default();
    let mut all = Vec::new();
    for (word, process, number) in found {
        let levels = spaces.levels(&process)?;
        for init in levels.all.iter().filter_map(|level| level.init.as_ref()) {
            inits.entry(init.pid).or_insert_with(|| describe::of_process(init, None));
        }
        if let Some(errno) = levels.refused {
            gaps.add(GapWhat::Namespaces, GapOf::Process(process.pid), Some(errno_name(errno)));
        }
        all.push(Translated {
            word: word.to_string(),
            pid: process.pid,
            number,
            levels,
            children: spaces.children(&process),
            exiting: process.is_exiting(),
            details: describe::of_process(&process, None),
            name: process.stat(&mut [0; 1024]).ok().map(|stat| stat.comm.to_vec()),
        });
    }
    // A list of what is called what is not worth an error.
    let catalog = Catalog::find(&root).unwrap_or_default();
    for (pid, details) in &mut inits {
        if let (Some(place), Some(details)) = (catalog.place_of(*pid), details) {
            details.container = catalog.container(place);
        }
    }
    let gaps = gaps.into_vec();
    let above = spaces.top.and_then(|top| NsKind::Pid.is_initial_inode(top)).map(|initial| !initial);
    let users = Users::read(Path::new("/etc/passwd"));
    let view = Translation {
        all: &all,
        inits: &inits,
        users: &users,
        top: spaces.top,
        above,
        from: from.as_ref().and_then(|ns| ns.ns),
        into: into.as_ref().and_then(|ns| ns.ns),
        gaps: &gaps,
    };
    if args.json {
        ui.stdout(|to| view.json(to))?;
        return Ok(Exit::Done);
    }
    let width = ui.width.filter(|_| !args.no_truncate);
    let columns = args.chosen_columns();
    let left_out = ui.stdout(|to| view.text(&columns, !args.no_headings, width, ui.color, to))?;
    if !left_out.is_empty() {
        ui::note(&format!("no room for {}; -u does not cut", left_out.join(" ")));
    }
    for note in advice::pid_notes(&view) {
        ui::note(&note);
    }
    Ok(Exit::Done)
}

impl PidArgs {
    fn chosen_columns(&self) -> Vec<usize> {
        chosen(&self.output, OF_PROCESS.into_iter().chain(DEFAULT).map(find).collect(), COLUMNS.len())
    }
}

/// Finds the pid namespace that a target means.
fn namespace(root: &ProcRoot, spaces: &Spaces<'_>, target: &Target) -> anyhow::Result<PidNs> {
    Ok(match resolve_kinds(root, target, KindSet::NONE)? {
        Resolved::Process(process, _) => {
            let ns = PidNs::of_process(spaces, &process)?;
            // Whoever names unshare(1) may mean what it has made.
            if let Some(children) = spaces.children(&process) {
                let other = match children {
                    Children::In(other) => format!("; 'pid:[{other}]' would name the other"),
                    Children::InNew => String::new(),
                };
                ui::note(&format!("{}; {ns} is meant{other}", advice::children_elsewhere(process.pid, children)));
            }
            ns
        }
        Resolved::Namespace(kind, ns, open) => PidNs::of_namespace(spaces, kind, ns, open).map_err(|error| {
            // Whoever typed a small number meant a process.
            match (&error, target) {
                (PidError::NoNamespace(..), Target::Number(number)) if u64::from(*number) < nsfs::LEAST_INODE => {
                    anyhow::Error::from(TargetError::Nothing(*number))
                }
                _ => error.into(),
            }
        })?,
    })
}
