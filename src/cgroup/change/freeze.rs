//! Bringing all that is in a cgroup to a stand, and having it run again; seen to have happened.
//!
//! v2 tells of it by an event of `cgroup.events`. v1 does not: `freezer.state` becomes `FROZEN` only when somebody reads it, so that it has
//! to be read again and again. See `Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst`.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::error::{Cause, ChangeError, Intent};
use super::explain;
use super::set::Places;
use super::{Action, Change, Log};
use crate::cgroup::Cgroups;
use crate::cgroup::at::{self, Cgroup};
use crate::cgroup::parse;
use crate::model::cgroup::Version;
use crate::proc::ProcPid;
use crate::sys::cgroupfs;

/// How long v1 is left alone before it is asked again.
const V1_PAUSE: Duration = Duration::from_millis(5);

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// To freeze, or else to thaw.
    pub freeze: bool,
    /// How long to wait until it has happened.
    pub timeout: Duration,
    /// Also where the caller itself would stand still: then nobody waits.
    pub force: bool,
}

/// Freezes or thaws a cgroup, in each hierarchy that has it and a freezer.
///
/// v2 comes first: who stands still by it comes to a stand on v1, too, but not the other way round.
///
/// # Errors
/// Where it is the root, or the caller itself is in it; what the kernel says; where the time is over, or a cgroup above keeps it frozen.
pub fn run(cgroups: &Cgroups, places: &Places, options: Options, log: &mut Log) -> Result<(), ChangeError> {
    let intent = if options.freeze { Intent::Freeze } else { Intent::Thaw };
    let mut targets = targets(cgroups, places, &intent)?;
    if !options.freeze {
        targets.reverse();
    }
    for cgroup in &targets {
        if options.freeze && !options.force && cgroup.holds_caller() {
            return Err(ChangeError::new(intent, &cgroup.path, Cause::Own, None));
        }
    }
    for cgroup in &targets {
        one(cgroup, options, &intent, log)?;
    }
    Ok(())
}

/// Opens the cgroups that have a freezer, v2 first.
fn targets<'a>(cgroups: &'a Cgroups, places: &Places, intent: &Intent) -> Result<Vec<Cgroup<'a>>, ChangeError> {
    let refused = |cause| Err(ChangeError::new(intent.clone(), &places.path, cause, None));
    let mut all = Vec::new();
    let mut root = false;
    for (hierarchy, path) in &places.all {
        let failed = |error| ChangeError::new(intent.clone(), path, Cause::CgroupGone, Some(error));
        let cgroup = Cgroup::open(cgroups, *hierarchy, path).map_err(failed)?;
        if cgroup.has(file(&cgroup)) {
            all.push(cgroup);
        } else {
            root |= cgroup.is_root();
        }
    }
    match all.first() {
        Some(_) => Ok(all),
        None if root => refused(Cause::Root),
        None => refused(Cause::NoHierarchy("it is in no hierarchy that has a freezer")),
    }
}

fn file(cgroup: &Cgroup<'_>) -> &'static str {
    match cgroup.version() {
        Version::V1 => "freezer.state",
        Version::V2 => "cgroup.freeze",
    }
}

fn one(cgroup: &Cgroup<'_>, options: Options, intent: &Intent, log: &mut Log) -> Result<(), ChangeError> {
    let asked = match (cgroup.version(), options.freeze) {
        (Version::V1, true) => "FROZEN",
        (Version::V1, false) => "THAWED",
        (Version::V2, true) => "1",
        (Version::V2, false) => "0",
    };
    let action = if options.freeze { Action::Freeze } else { Action::Thaw };
    let before = state(cgroup);
    let mut change = Change {
        file: Some(file(cgroup).to_owned()),
        before: before.map(|frozen| word(frozen).to_vec()),
        asked: Some(asked.as_bytes().to_vec()),
        idle: before == Some(options.freeze),
        ..Change::new(action, cgroup)
    };
    if log.dry {
        log.add(change);
        return Ok(());
    }
    cgroup
        .write(file(cgroup), asked.as_bytes())
        .map_err(|error| explain::file(intent.clone(), cgroup, file(cgroup), error))?;
    let over = Instant::now() + options.timeout;
    // Who stood still himself until now has nothing to wait for.
    let waits = !(options.force && cgroup.holds_caller());
    let reached = waits && wait(cgroup, options.freeze, over);
    change.after = state(cgroup).map(|frozen| word(frozen).to_vec());
    change.confirmed = reached;
    log.add(change);
    if reached || !waits {
        return Ok(());
    }
    let cause = match (options.freeze, frozen_by(cgroup)) {
        (false, Some(by)) => Cause::FrozenBy(by),
        _ => Cause::TimedOut { pids: laggards(cgroup, options.freeze) },
    };
    Err(ChangeError::new(intent.clone(), &cgroup.path, cause, None))
}

/// Says whether all that is in a cgroup stands still.
fn state(cgroup: &Cgroup<'_>) -> Option<bool> {
    match cgroup.version() {
        Version::V2 => cgroup.keyed("cgroup.events", "frozen").map(|frozen| frozen == 1),
        Version::V1 => cgroup.read("freezer.state").ok().map(|state| state.trim_ascii() == b"FROZEN"),
    }
}

fn word(frozen: bool) -> &'static [u8] {
    if frozen { b"frozen" } else { b"thawed" }
}

/// Waits until a cgroup is frozen, or is not; `false` where the time is over, or where a cgroup above keeps it frozen.
pub(super) fn wait(cgroup: &Cgroup<'_>, freeze: bool, over: Instant) -> bool {
    match cgroup.version() {
        Version::V2 => {
            wait_for_event(cgroup, "frozen", u64::from(freeze), over, || !freeze && frozen_by(cgroup).is_some())
        }
        Version::V1 => loop {
            let state = cgroup.read("freezer.state").unwrap_or_default();
            let wanted: &[u8] = if freeze { b"FROZEN" } else { b"THAWED" };
            if state.trim_ascii() == wanted {
                return true;
            }
            let left = over.saturating_duration_since(Instant::now());
            if left.is_zero() || (!freeze && frozen_by(cgroup).is_some()) {
                return false;
            }
            // There is no event to wait for: the kernel looks after the tasks only where somebody reads the state.
            cgroupfs::wait(&[], V1_PAUSE.min(left));
        },
    }
}

/// Waits until a key of `cgroup.events` has a value; `false` where the time is over, or there is no use in waiting. A cgroup that was
/// removed has nobody in it.
pub(super) fn wait_for_event(
    cgroup: &Cgroup<'_>,
    key: &str,
    value: u64,
    over: Instant,
    is_useless: impl Fn() -> bool,
) -> bool {
    let Ok(events) = cgroup.open_read("cgroup.events") else { return false };
    loop {
        match at::read_again(events.as_fd()) {
            Ok(text) if parse::keyed(&text, key) == Some(value) => return true,
            Ok(_) => {}
            Err(errno) => return at::is_gone(errno) && value == 0,
        }
        let left = over.saturating_duration_since(Instant::now());
        if left.is_zero() || is_useless() {
            return false;
        }
        cgroupfs::wait(&[events.as_fd()], left);
    }
}

/// Returns the nearest cgroup above that is frozen by its own doing.
pub(super) fn frozen_by(cgroup: &Cgroup<'_>) -> Option<Vec<u8>> {
    if cgroup.version() == Version::V1 && cgroup.number("freezer.parent_freezing") != Some(1) {
        return None;
    }
    let freezes = |above: &Cgroup<'_>| match above.version() {
        Version::V2 => above.number("cgroup.freeze") == Some(1),
        Version::V1 => above.number("freezer.self_freezing") == Some(1),
    };
    cgroup.ancestors().find(freezes).map(|above| above.path)
}

/// Returns the cgroup of v1 that keeps a process frozen: there not even SIGKILL ends it.
pub(super) fn holder(cgroups: &Cgroups, process: &ProcPid) -> Option<Vec<u8>> {
    let places = at::of_process(cgroups, process).ok()?;
    let v1 = places.into_iter().filter(|(index, _)| cgroups.hierarchies[*index].hierarchy.version == Version::V1);
    let opened = v1.filter_map(|(index, path)| Cgroup::open(cgroups, index, &path).ok());
    let mut frozen =
        opened.filter(|cgroup| cgroup.read("freezer.state").is_ok_and(|state| state.trim_ascii() != b"THAWED"));
    let by = frozen.next()?;
    if by.number("freezer.self_freezing") == Some(1) { Some(by.path) } else { frozen_by(&by) }
}

/// Returns the processes that wait in the kernel for something that cannot be interrupted: those never come to a stand meanwhile.
fn laggards(cgroup: &Cgroup<'_>, freeze: bool) -> Vec<u32> {
    if !freeze {
        return Vec::new();
    }
    let waits = |pid: &u32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.iter().rposition(|&byte| byte == b')').map_or(&[][..], |end| &stat[end + 1..]);
        parse::words(after).next() == Some(b"D")
    };
    let mut all = Vec::new();
    let _ = cgroup.walk(at::Order::AboveFirst, |one| {
        all.extend(one.processes().unwrap_or_default().into_iter().filter(|pid| *pid != 0).filter(waits));
        ControlFlow::<()>::Continue(())
    });
    all
}
