//! Moving processes and threads to another cgroup, seen to have arrived.
//!
//! A pid is written to `cgroup.procs`, so between looking at a process and moving it there is a moment in which it may go and another
//! get its pid; before and after it the process is asked by its directory, which nobody else gets.

use std::os::fd::AsFd;

use super::error::{Cause, ChangeError, Intent};
use super::explain;
use super::set::Places;
use super::{Action, Change, Log};
use crate::cgroup::Cgroups;
use crate::cgroup::at::{self, Cgroup};
use crate::cgroup::parse;
use crate::model::cgroup::Version;
use crate::proc::ProcPid;

/// What had to be known of a move, and is no reason not to make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The cgroup is frozen: who comes into it stands still.
    Frozen(Vec<u8>),
}

/// Moves processes, or with `threads` just the threads that are named, to a cgroup in each hierarchy that has it.
///
/// # Errors
/// What the kernel says of the first that cannot be moved, with what is in the way; those before it stay moved.
pub fn run(
    cgroups: &Cgroups,
    places: &Places,
    processes: &[ProcPid],
    threads: bool,
    log: &mut Log,
) -> Result<Vec<Note>, ChangeError> {
    let mut notes = Vec::new();
    let mut done: Vec<String> = Vec::new();
    let mut opened = Vec::new();
    for (hierarchy, path) in &places.all {
        let first = processes.first().map_or(0, |process| process.pid.0);
        let failed = |error| ChangeError::new(Intent::Move(first), path, Cause::CgroupGone, Some(error));
        let cgroup = Cgroup::open(cgroups, *hierarchy, path).map_err(failed)?;
        if is_frozen(&cgroup) {
            notes.push(Note::Frozen(path.clone()));
        }
        opened.push(cgroup);
    }
    for process in processes {
        for cgroup in &opened {
            one(cgroup, process, threads, log)
                .map_err(|error| ChangeError { done: std::mem::take(&mut done), ..error })?;
            done.push(format!("{} ({})", process.pid, super::set::hierarchy_name(cgroups, cgroup.hierarchy)));
        }
    }
    Ok(notes)
}

fn is_frozen(cgroup: &Cgroup<'_>) -> bool {
    match cgroup.version() {
        Version::V2 => cgroup.keyed("cgroup.events", "frozen") == Some(1),
        Version::V1 => cgroup.read("freezer.state").is_ok_and(|state| state.trim_ascii() != b"THAWED"),
    }
}

fn one(cgroup: &Cgroup<'_>, process: &ProcPid, thread: bool, log: &mut Log) -> Result<(), ChangeError> {
    let file = if thread { cgroup.threads_file() } else { "cgroup.procs" };
    let pid = process.pid.0;
    let failed = |cause| ChangeError::new(Intent::Move(pid), &cgroup.path, cause, None);
    let path = || at::path_of(cgroup.cgroups(), process, cgroup.hierarchy).map_err(|_| failed(Cause::ProcessGone));
    let before = path()?;
    let mut change = Change {
        file: Some(file.to_owned()),
        pid: Some(pid),
        asked: Some(cgroup.path.clone()),
        idle: before.as_deref() == Some(&cgroup.path[..]) && (!thread || is_listed(cgroup, pid)),
        before,
        ..Change::new(Action::Move, cgroup)
    };
    if log.dry {
        log.add(change);
        return Ok(());
    }
    if !change.idle {
        let explained = |error| explain::moving(cgroup, process, file, error);
        let opened = cgroup.open_write(file).map_err(explained)?;
        if !process.is_alive() {
            return Err(failed(Cause::ProcessGone));
        }
        cgroup.write_to(opened.as_fd(), file, pid.to_string().as_bytes()).map_err(explained)?;
    }
    change.after = path()?;
    change.confirmed = match &change.after {
        // A path that is longer than PATH_MAX is not told.
        Some(after) if at::is_cut(after) => is_listed(cgroup, pid),
        after => after.as_deref() == Some(&cgroup.path[..]),
    };
    let (confirmed, after) = (change.confirmed, change.after.clone());
    log.add(change);
    match after {
        Some(_) if !confirmed && explain::is_zombie(process) => Err(failed(Cause::Zombies(vec![pid]))),
        Some(after) if !confirmed => Err(failed(Cause::NotMoved(after))),
        _ => Ok(()),
    }
}

/// Says whether a thread is listed in a cgroup.
fn is_listed(cgroup: &Cgroup<'_>, tid: u32) -> bool {
    cgroup.read(cgroup.threads_file()).is_ok_and(|text| parse::pids(&text).any(|listed| listed == tid))
}
