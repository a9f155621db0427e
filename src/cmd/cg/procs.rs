//! `nsx cg procs`: who is in a cgroup.

use clap::Args;

use super::{Opened, TargetArgs};
use crate::cgroup::members::{self, Options};
use crate::cmd::{Exit, Global, advice, ui, ui::Ui};
use crate::model::Details;
use crate::proc::Users;
use crate::render::cg::procs::Procs;
use crate::scan::describe;
use crate::select::{TargetError, cgroup::Chosen};

/// List the processes in a cgroup
///
/// NSPID shows by which pids a process is known, from this pid namespace inwards. Where there are several hierarchies, those in which it is
/// in this cgroup are named. Processes of other pid namespaces, which have no pid here, are counted.
#[derive(Args, Debug)]
pub struct ProcsArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// List threads
    #[arg(long)]
    threads: bool,

    /// List those in the cgroups below, too
    #[arg(short, long)]
    recursive: bool,

    /// Print no headings
    #[arg(short = 'n', long)]
    no_headings: bool,

    /// Do not cut lines to the width of the terminal
    #[arg(short = 'u', long)]
    no_truncate: bool,

    /// Print JSON (schema nsx.cg.procs/1)
    #[arg(short = 'J', long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the target is not there, or standard output cannot be written to.
pub(super) fn run(args: &ProcsArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let opened = Opened::new(global)?;
    let target = &args.target.target;
    let mut places = opened.places(target)?.all;
    // Of a process: where it is by somebody's will. In all other hierarchies everybody is in the root.
    let is_process = matches!(opened.choose(target)?, Chosen::Process(_));
    if is_process && places.iter().any(|(_, path)| path != b"/") {
        places.retain(|(_, path)| path != b"/");
    }
    let options = Options { threads: args.threads, recursive: args.recursive };
    let members = members::read(&opened.cgroups, &opened.proc, &places, options).map_err(|error| {
        let path = places.first().map(|(_, path)| path.clone()).unwrap_or_default();
        TargetError::NoCgroup(path, error)
    })?;
    let details: Vec<Option<Details>> =
        members.all.iter().map(|member| describe::of_process(&member.process, None)).collect();
    let users = Users::read(std::path::Path::new("/etc/passwd"));
    let hierarchies = places.iter().map(|(hierarchy, _)| *hierarchy).collect();
    let view = Procs { cgroups: &opened.cgroups, members: &members, details: &details, users: &users, hierarchies };
    if args.json {
        ui.stdout(|to| view.json(to))?;
        return Ok(Exit::Done);
    }
    let width = ui.width.filter(|_| !args.no_truncate);
    let left_out = ui.stdout(|to| view.text(args.threads, args.recursive, !args.no_headings, width, ui.color, to))?;
    if !left_out.is_empty() {
        ui::note(&format!("no room for {}; -u does not cut", left_out.join(" ")));
    }
    for note in advice::members_notes(&members) {
        ui::note(&note);
    }
    Ok(Exit::Done)
}
