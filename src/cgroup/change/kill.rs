//! Killing all that is in a cgroup and below it, until nobody is left.
//!
//! v2 does it in one stroke by `cgroup.kill`, from Linux 5.14 on. Elsewhere everybody is brought to a stand first, where there is a freezer,
//! so that nobody is born meanwhile, and then killed by pidfd, again and again until the list is empty. What is born into a cgroup by
//! `CLONE_INTO_CGROUP` after it was killed by `cgroup.kill` dies at birth on some kernels (seen on 6.12 and 6.18, not on 6.1 and 7.2): such
//! a cgroup is better removed and made anew than used again.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::error::{Cause, ChangeError, Intent};
use super::set::Places;
use super::{Action, Change, Log, explain, freeze};
use crate::cgroup::Cgroups;
use crate::cgroup::at::{self, Cgroup};
use crate::model::Pid;
use crate::model::cgroup::Version;
use crate::proc::{ProcPid, ProcRoot};
use crate::sys::{Errno, SysError, cgroupfs, pidfd, signal};

/// Of many processes at most so many are watched at once: a descriptor is needed for each.
const WATCHED: usize = 256;

/// Kills all that is in a cgroup, in each hierarchy that has it.
///
/// # Errors
/// Where it is the root, where the caller itself or the first process of the host is in it; what the kernel says; where the time is over.
pub fn run(
    cgroups: &Cgroups,
    proc: &ProcRoot,
    places: &Places,
    timeout: Duration,
    log: &mut Log,
) -> Result<(), ChangeError> {
    let mut opened = Vec::new();
    for (hierarchy, path) in &places.all {
        let refused = |cause, error| Err(ChangeError::new(Intent::Kill, path, cause, error));
        let cgroup = match Cgroup::open(cgroups, *hierarchy, path) {
            Ok(cgroup) => cgroup,
            Err(error) => return refused(Cause::CgroupGone, Some(error)),
        };
        if cgroup.is_top() {
            return refused(Cause::Root, None);
        }
        if cgroup.holds_caller() {
            return refused(Cause::Own, None);
        }
        let first = proc.process(Pid(1)).and_then(|first| first.read_all(c"cgroup", 1 << 16));
        if first.is_ok_and(|first| cgroup.holds(&first)) {
            return refused(Cause::Init, None);
        }
        opened.push(cgroup);
    }
    // Who is frozen on v1 dies only when it is thawed, so that hierarchy comes first.
    opened.sort_by_key(|cgroup| (!cgroup.has("freezer.state"), !cgroup.has("cgroup.kill")));
    let over = Instant::now() + timeout;
    for cgroup in &opened {
        one(cgroup, proc, over, log)?;
    }
    Ok(())
}

fn one(cgroup: &Cgroup<'_>, proc: &ProcRoot, over: Instant, log: &mut Log) -> Result<(), ChangeError> {
    let members = members(cgroup)?;
    let by_file = cgroup.has("cgroup.kill");
    let mut change = Change {
        file: by_file.then(|| "cgroup.kill".to_owned()),
        killed: Some(members.len() as u64),
        idle: members.is_empty(),
        ..Change::new(Action::Kill, cgroup)
    };
    if log.dry {
        log.add(change);
        return Ok(());
    }
    let (killed, left) = if by_file {
        cgroup.write("cgroup.kill", b"1").map_err(|error| explain::file(Intent::Kill, cgroup, "cgroup.kill", error))?;
        let empty = freeze::wait_for_event(cgroup, "populated", 0, over, || false);
        (members.len() as u64, !empty)
    } else {
        let killed = one_by_one(cgroup, proc, over)?;
        (killed, !self::members(cgroup)?.is_empty())
    };
    change.killed = Some(killed);
    change.confirmed = !left;
    log.add(change);
    if !left {
        return Ok(());
    }
    // Who is frozen on v1 dies only when it is thawed.
    let cause = match freeze::frozen_by(cgroup) {
        Some(by) if cgroup.version() == Version::V1 => Cause::FrozenBy(by),
        _ => Cause::TimedOut { pids: self::members(cgroup)? },
    };
    Err(ChangeError::new(Intent::Kill, &cgroup.path, cause, None))
}

/// Lists the processes in a cgroup and below it.
fn members(cgroup: &Cgroup<'_>) -> Result<Vec<u32>, ChangeError> {
    let failed = |error| explain::file(Intent::Kill, cgroup, "cgroup.procs", error);
    let mut all = Vec::new();
    // The processes of threads are listed above, and these have no other list than one of threads.
    let threaded = cgroup.is_threaded();
    for one in cgroup.subtree().map_err(failed)?.into_iter().filter(|one| threaded || !one.is_threaded()) {
        match one.processes() {
            Ok(pids) => all.extend(pids),
            Err(error) if at::is_gone(error.errno) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Kills everybody, round after round, and returns how many that were.
fn one_by_one(cgroup: &Cgroup<'_>, proc: &ProcRoot, over: Instant) -> Result<u64, ChangeError> {
    let mut killed = std::collections::BTreeSet::new();
    loop {
        let pids: Vec<u32> = members(cgroup)?.into_iter().filter(|pid| *pid != 0).collect();
        let left = over.saturating_duration_since(Instant::now());
        if pids.is_empty() || left.is_zero() {
            return Ok(killed.len() as u64);
        }
        let frozen = freeze_for_a_moment(cgroup, over);
        let round = kill_round(cgroup, proc, &pids);
        if frozen {
            thaw(cgroup);
        }
        let (watched, here) = round?;
        killed.extend(here);
        wait_for_ends(&watched, over);
    }
}

/// Sends SIGKILL to those who are still in the cgroup. Returns what their ends are seen by, and who they were.
fn kill_round(cgroup: &Cgroup<'_>, proc: &ProcRoot, pids: &[u32]) -> Result<(Vec<OwnedFd>, Vec<u32>), ChangeError> {
    let (mut watched, mut killed) = (Vec::new(), Vec::new());
    for &pid in pids {
        let failed = |error: SysError| ChangeError::new(Intent::Kill, &cgroup.path, Cause::Unknown, Some(error));
        let opened = match pidfd::pidfd_open(Pid(pid)) {
            // The list of a threaded cgroup has threads that lead no process.
            Some(Err(error)) if matches!(error.errno, Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => continue,
            Some(Err(error)) => return Err(failed(error)),
            Some(Ok(opened)) => Some(opened),
            None => None,
        };
        // Held first and looked at then: the one that is held is the one that is in there.
        let Ok(process) = proc.process(Pid(pid)) else { continue };
        if !is_in(cgroup, &process) {
            continue;
        }
        let sent = match &opened {
            Some(opened) => pidfd::kill(opened.as_fd(), Pid(pid)),
            None => None,
        };
        let sent = sent.unwrap_or_else(|| {
            let call = crate::sys::Call::Kill;
            signal::send(pid.cast_signed(), 9).map_err(|errno| SysError::new(call, errno))
        });
        match sent {
            Ok(()) => killed.push(pid),
            Err(error) if error.errno == Errno::ESRCH => continue,
            Err(error) => return Err(failed(error)),
        }
        if let Some(opened) = opened
            && watched.len() < WATCHED
        {
            watched.push(opened);
        }
    }
    Ok((watched, killed))
}

fn is_in(cgroup: &Cgroup<'_>, process: &ProcPid) -> bool {
    at::path_of(cgroup.cgroups(), process, cgroup.hierarchy)
        .is_ok_and(|path| path.is_some_and(|path| cgroup.contains(&path)))
}

/// Waits until all of these processes have ended, or for a moment where there is nothing to wait by.
fn wait_for_ends(watched: &[OwnedFd], over: Instant) {
    const MOMENT: Duration = Duration::from_millis(20);
    let mut files: Vec<BorrowedFd<'_>> = watched.iter().map(AsFd::as_fd).collect();
    if files.is_empty() {
        cgroupfs::wait(&[], MOMENT.min(over.saturating_duration_since(Instant::now())));
    }
    while let Some(file) = files.pop() {
        // A zombie is listed no more, so the end of each is what there is to wait for; it is seen by whoever looks, and not used up.
        let left = over.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        cgroupfs::wait(&[file], left);
    }
}

/// Brings everybody to a stand so that nobody is born meanwhile. Says whether that was this call's doing.
fn freeze_for_a_moment(cgroup: &Cgroup<'_>, over: Instant) -> bool {
    /// A process that waits in the kernel does not come to a stand; killed it can be all the same.
    const PATIENCE: Duration = Duration::from_millis(200);
    let (file, word) = freezer(cgroup, true);
    let wrote = cgroup.has(file) && cgroup.write(file, word).is_ok();
    if wrote {
        freeze::wait(cgroup, true, over.min(Instant::now() + PATIENCE));
    }
    wrote
}

fn thaw(cgroup: &Cgroup<'_>) {
    let (file, word) = freezer(cgroup, false);
    // Whoever has gone with the cgroup needs it no more.
    let _ = cgroup.write(file, word);
}

fn freezer(cgroup: &Cgroup<'_>, freeze: bool) -> (&'static str, &'static [u8]) {
    match (cgroup.version(), freeze) {
        (Version::V1, true) => ("freezer.state", b"FROZEN"),
        (Version::V1, false) => ("freezer.state", b"THAWED"),
        (Version::V2, true) => ("cgroup.freeze", b"1"),
        (Version::V2, false) => ("cgroup.freeze", b"0"),
    }
}
