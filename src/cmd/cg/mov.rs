//! `nsx cg move`: processes into another cgroup.

use clap::Args;

use super::{ChangeArgs, Opened};
use crate::cgroup::change::mov::{self, Note};
use crate::cgroup::change::{Cause, ChangeError, Intent, Log};
use crate::cmd::{Exit, Global, ui, ui::Ui};
use crate::proc::ProcPid;
use crate::render::text::sanitize;
use crate::select::cgroup::Chosen;
use crate::select::{Target, TargetError};

/// Move processes to a cgroup, and make sure that they are there
///
/// Where there are several hierarchies, they are moved in each that has a cgroup with this path; in one of them where the directory of the
/// cgroup is given. What a process has used so far stays where it was charged.
#[derive(Args, Debug)]
pub struct MoveArgs {
    /// The cgroup to move to, or a process in it
    #[arg(value_name = "TARGET-CGROUP")]
    target: Target,

    /// The processes
    #[arg(value_name = "PID", required = true)]
    processes: Vec<Target>,

    /// Move just the threads with these ids, not their processes
    ///
    /// On v2 both cgroups have to be of one threaded subtree.
    #[arg(short, long)]
    thread: bool,

    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs the command.
///
/// # Errors
/// Where the target or a process is not there, or the kernel does not move it.
pub(super) fn run(args: &MoveArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let opened = Opened::new(global)?;
    let mut processes: Vec<ProcPid> = Vec::new();
    for target in &args.processes {
        match opened.choose(target)? {
            Chosen::Process(process) => processes.push(process),
            Chosen::Cgroup { .. } => return Err(TargetError::IsCgroup(target.to_string()).into()),
        }
    }
    let own = opened.proc.own_process().ok().map(|own| own.pid);
    if processes.iter().any(|process| Some(process.pid) == own) {
        let path = opened.places(&args.target)?.path;
        return Err(ChangeError::new(Intent::Move(own.map_or(0, |own| own.0)), &path, Cause::Caller, None).into());
    }
    let first = processes.first().map_or(0, |process| process.pid.0);
    let places = opened.places(&args.target)?.sole(&Intent::Move(first))?;
    let notes = args
        .change
        .run(&opened, ui, |log: &mut Log| mov::run(&opened.cgroups, &places, &processes, args.thread, log))?;
    for note in notes {
        match note {
            Note::Frozen(path) => ui::note(&format!("{} is frozen: who is in it stands still", sanitize(&path))),
        }
    }
    Ok(Exit::Done)
}
