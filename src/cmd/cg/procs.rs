//! `nsx cg procs`: who is in a cgroup.

use clap::Args;

use super::{Opened, TargetArgs};
use crate::cgroup::members::{self, Facts, Options};
use crate::cmd::{Exit, Global, advice, ui, ui::Ui};
use crate::model::{Details, Pid};
use crate::proc::{ProcRoot, Users, is_gone};
use crate::render::cg::procs::Procs;
use crate::scan::{describe, shared};
use crate::select::{TargetError, cgroup::Chosen};
use crate::sys::{Errno, errno_name};

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
    let members = members::read(&opened.cgroups, &places, options).map_err(|error| {
        let path = places.first().map(|(_, path)| path.clone()).unwrap_or_default();
        TargetError::NoCgroup(path, error)
    })?;
    let mut gaps: Vec<(Pid, &'static str)> = Vec::new();
    let found = shared(&members.all, BATCH, |member| look(&opened.proc, member.pid));
    let described = found.into_iter().zip(&members.all).map(|(found, member)| {
        found.map_err(|errno| gaps.extend((!is_gone(errno)).then(|| (member.pid, errno_name(errno))))).ok()
    });
    let described: Vec<Option<(Facts, Details)>> = described.collect();
    gaps.dedup();
    let users = Users::read(std::path::Path::new("/etc/passwd"));
    let hierarchies = places.iter().map(|(hierarchy, _)| *hierarchy).collect();
    let view = Procs {
        cgroups: &opened.cgroups,
        members: &members,
        described: &described,
        gaps: &gaps,
        users: &users,
        hierarchies,
    };
    if args.json {
        ui.stdout(|to| view.json(to))?;
        return Ok(Exit::Done);
    }
    let width = ui.width.filter(|_| !args.no_truncate);
    let left_out = ui.stdout(|to| view.text(args.threads, args.recursive, !args.no_headings, width, ui.color, to))?;
    if !left_out.is_empty() {
        ui::note(&format!("no room for {}; -u does not cut", left_out.join(" ")));
    }
    for note in advice::members_notes(members.outside, &gaps) {
        ui::note(&note);
    }
    Ok(Exit::Done)
}

/// So many processes are worth a thread.
const BATCH: usize = 32;

/// Reads what is shown of a process. Two files have it all; only one without arguments has to be asked for its name, too.
fn look(proc: &ProcRoot, pid: Pid) -> Result<(Facts, Details), Errno> {
    let process = proc.process(pid)?;
    let status = process.read_record(c"status", 1 << 16)?;
    let arguments = process.read_record(c"cmdline", describe::MOST_COMMAND_BYTES)?;
    let mut buffer = [0; 1024];
    let name = if arguments.iter().all(|&byte| byte == 0) { process.stat(&mut buffer)?.comm } else { &[] };
    Ok((Facts::of(&status), describe::of_texts(name, &status, &[], arguments)))
}
