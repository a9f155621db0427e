//! Killing all that is in a cgroup and below it, until nobody is left.
//!
//! v2 does it in one stroke by `cgroup.kill`, from Linux 5.14 on. Elsewhere everybody is brought to a stand first, where there is a freezer,
//! so that nobody is born meanwhile, and then killed by pidfd, again and again until the list is empty. What is born into a cgroup by
//! `CLONE_INTO_CGROUP` after it was killed by `cgroup.kill` dies at birth on some kernels (seen on 6.12 and 6.18, not on 6.1 and 7.2): such
//! a cgroup is better removed and made anew than used again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::error::{Cause, ChangeError, Intent};
use super::set::Places;
use super::{Action, Change, Log, explain, freeze};
use crate::cgroup::Cgroups;
use crate::cgroup::at::{self, Cgroup, Order};
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
    let by_file = cgroup.has("cgroup.kill");
    let file = by_file.then(|| "cgroup.kill".to_owned());
    let mut change = Change { file, ..Change::new(Action::Kill, cgroup) };
    if log.dry {
        let members = members(cgroup, usize::MAX)?;
        change.killed = Some(members.len() as u64);
        change.idle = members.is_empty();
        log.add(change);
        return Ok(());
    }
    let mut tally = Tally::default();
    let (left, failed) = if by_file {
        // Nobody is listed before: whoever is in there decides how long that takes.
        change.idle = cgroup.keyed("cgroup.events", "populated") == Some(0);
        cgroup.write("cgroup.kill", b"1").map_err(|error| explain::file(Intent::Kill, cgroup, "cgroup.kill", error))?;
        (!freeze::wait_for_event(cgroup, "populated", 0, over, || false), None)
    } else {
        let failed = one_by_one(cgroup, proc, over, &mut tally).err();
        change.killed = Some(tally.killed.len() as u64);
        let left = failed.is_some() || !members(cgroup, 1)?.is_empty();
        change.idle = tally.killed.is_empty() && !left;
        (left, failed)
    };
    change.confirmed = !left;
    if !left || !tally.killed.is_empty() || by_file {
        log.add(change);
    }
    match failed {
        Some(failed) => Err(failed),
        None if left => Err(ChangeError::new(Intent::Kill, &cgroup.path, in_the_way(cgroup, proc, &tally)?, None)),
        None => Ok(()),
    }
}

/// Finds out why somebody is left.
fn in_the_way(cgroup: &Cgroup<'_>, proc: &ProcRoot, tally: &Tally) -> Result<Cause, ChangeError> {
    /// So many are looked at.
    const MOST: usize = 1000;
    let mut left = members(cgroup, MOST)?;
    let refused: Vec<(u32, Option<u32>)> =
        tally.refused.iter().filter(|(pid, _)| left.contains(pid)).map(|(pid, uid)| (*pid, *uid)).collect();
    if !refused.is_empty() {
        return Ok(Cause::Others(refused));
    }
    if !left.is_empty() && left.iter().all(|pid| *pid == 0) {
        return Ok(Cause::Processes { pids: Vec::new(), count: 0 });
    }
    left.retain(|pid| *pid != 0);
    // Who is frozen on v1 dies only when it is thawed, whichever hierarchy he was found in.
    let processes: Vec<ProcPid> = left.iter().filter_map(|pid| proc.process(Pid(*pid)).ok()).collect();
    if let Some(by) = processes.iter().find_map(|process| freeze::holder(cgroup.cgroups(), process)) {
        return Ok(Cause::FrozenBy(by));
    }
    match !processes.is_empty() && processes.iter().all(explain::is_zombie) {
        true => Ok(Cause::Zombies(left)),
        false => Ok(Cause::TimedOut { pids: left }),
    }
}

/// Lists the processes in a cgroup and below it; not many more than `most`.
fn members(cgroup: &Cgroup<'_>, most: usize) -> Result<Vec<u32>, ChangeError> {
    let mut all = Vec::new();
    each_list(cgroup, |_, pids| {
        all.extend(pids);
        if all.len() >= most { ControlFlow::Break(Ok(())) } else { ControlFlow::Continue(()) }
    })?;
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Calls `each` with every cgroup from this one down, and who is in it.
fn each_list(
    cgroup: &Cgroup<'_>,
    mut each: impl FnMut(&Cgroup<'_>, Vec<u32>) -> ControlFlow<Result<(), ChangeError>>,
) -> Result<(), ChangeError> {
    let failed = |error| explain::file(Intent::Kill, cgroup, "cgroup.procs", error);
    // The processes of threads are listed above, and these have no other list than one of threads.
    let threaded = cgroup.is_threaded();
    let broken = cgroup.walk(Order::AboveFirst, |one| {
        if !threaded && one.is_threaded() {
            return ControlFlow::Continue(());
        }
        match one.processes() {
            Ok(pids) if pids.is_empty() => ControlFlow::Continue(()),
            Ok(pids) => each(one, pids),
            Err(error) if at::is_gone(error.errno) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Err(failed(error))),
        }
    });
    broken.map_err(failed)?.unwrap_or(Ok(()))
}

/// What has come of killing one by one.
#[derive(Default)]
struct Tally {
    killed: BTreeSet<u32>,
    /// Whom the caller may not kill, and who they belong to.
    refused: BTreeMap<u32, Option<u32>>,
    /// What the ends of those that were killed are seen by.
    watched: Vec<OwnedFd>,
}

/// Kills everybody, round after round.
fn one_by_one(cgroup: &Cgroup<'_>, proc: &ProcRoot, over: Instant, tally: &mut Tally) -> Result<(), ChangeError> {
    pidfd::make_room();
    while !members(cgroup, 1)?.is_empty() {
        tally.refused.clear();
        tally.watched.clear();
        // Whoever presses Ctrl-C now would leave them frozen, and alive.
        let deferred = signal::Deferred::start();
        let frozen = freeze_for_a_moment(cgroup, over);
        let round = kill_round(cgroup, proc, over, tally);
        if frozen {
            thaw(cgroup);
        }
        drop(deferred);
        let found = round?;
        if found == tally.refused.len() || over.saturating_duration_since(Instant::now()).is_zero() {
            return Ok(());
        }
        wait_for_ends(&tally.watched, over);
    }
    Ok(())
}

/// Sends SIGKILL to all who are in the cgroup. Returns how many there were.
fn kill_round(cgroup: &Cgroup<'_>, proc: &ProcRoot, over: Instant, tally: &mut Tally) -> Result<usize, ChangeError> {
    let mut found = BTreeSet::new();
    each_list(cgroup, |one, pids| {
        for pid in pids.into_iter().filter(|pid| *pid != 0) {
            if found.insert(pid)
                && let Err(error) = kill_one(one, proc, pid, tally)
            {
                let failed = ChangeError::new(Intent::Kill, &cgroup.path, Cause::Unknown, Some(error));
                return ControlFlow::Break(Err(failed));
            }
        }
        // A tree that grows all the time is walked no longer than there is time.
        let is_over = over.saturating_duration_since(Instant::now()).is_zero();
        if is_over { ControlFlow::Break(Ok(())) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found.len())
}

/// Sends SIGKILL to a process if it is still in the cgroup. One that may not be killed is kept in mind.
fn kill_one(cgroup: &Cgroup<'_>, proc: &ProcRoot, pid: u32, tally: &mut Tally) -> Result<(), SysError> {
    let mut opened = pidfd::pidfd_open(Pid(pid));
    if matches!(&opened, Some(Err(error)) if error.errno == Errno::EMFILE) {
        tally.watched.clear();
        opened = pidfd::pidfd_open(Pid(pid));
    }
    let opened = match opened {
        // The list of a threaded cgroup has threads that lead no process.
        Some(Err(error)) if matches!(error.errno, Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => return Ok(()),
        Some(opened) => Some(opened?),
        None => None,
    };
    // Held first and looked at then: the one that is held is the one that is in there.
    let Ok(process) = proc.process(Pid(pid)) else { return Ok(()) };
    if !is_in(cgroup, &process) {
        return Ok(());
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
        Ok(()) => {
            tally.killed.insert(pid);
        }
        Err(error) if error.errno == Errno::ESRCH => return Ok(()),
        Err(error) if error.errno == Errno::EPERM => {
            tally.refused.insert(pid, explain::owner_of(&process));
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    if let Some(opened) = opened
        && tally.watched.len() < WATCHED
    {
        tally.watched.push(opened);
    }
    Ok(())
}

fn is_in(cgroup: &Cgroup<'_>, process: &ProcPid) -> bool {
    match at::path_of(cgroup.cgroups(), process, cgroup.hierarchy) {
        Ok(Some(path)) if !at::is_cut(&path) => cgroup.contains(&path),
        // A path that is longer than PATH_MAX is not told; then the list is asked again.
        Ok(Some(_)) | Err(Errno::ENAMETOOLONG) => cgroup.processes().is_ok_and(|all| all.contains(&process.pid.0)),
        _ => false,
    }
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

/// Lets everybody run, also who was frozen before: on v1 nobody dies while he stands still.
fn thaw(cgroup: &Cgroup<'_>) {
    let (file, word) = freezer(cgroup, false);
    // Whoever has gone with the cgroup needs it no more.
    let _ = cgroup.walk(Order::AboveFirst, |one| {
        let _ = one.write(file, word);
        ControlFlow::<()>::Continue(())
    });
}

fn freezer(cgroup: &Cgroup<'_>, freeze: bool) -> (&'static str, &'static [u8]) {
    match (cgroup.version(), freeze) {
        (Version::V1, true) => ("freezer.state", b"FROZEN"),
        (Version::V1, false) => ("freezer.state", b"THAWED"),
        (Version::V2, true) => ("cgroup.freeze", b"1"),
        (Version::V2, false) => ("cgroup.freeze", b"0"),
    }
}
