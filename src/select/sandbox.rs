//! The sandboxes of `nsx run` on this host: no file says which there are, their first processes do, by their command lines.
//!
//! The first process and the stub of a sandbox are called `nsx: sandbox NAME` in their command lines, and `nsx-init` and `nsx-stub` in their
//! names. Anybody can call himself so. But both keep others from looking into them (`PR_SET_DUMPABLE`), so that the files in
//! their directories in /proc belong to root of the user namespace that their program was started in, which no process inside a sandbox can have.
//!
//! Not here: making and ending them (`launch::run`).

use std::os::fd::AsFd;

use super::TargetError;
use crate::model::id::parse_decimal;
use crate::model::{KindSet, NsId, NsKind, Pid, Uid};
use crate::proc::parse::effective_uid;
use crate::proc::{ProcPid, ProcRoot};
use crate::sys::dir::DirReader;
use crate::sys::{SysError, cgroupfs};

/// What the command line of its processes begins with.
pub const WORDS: &str = "nsx: sandbox";
/// The name of its first process.
pub const INIT: &str = "nsx-init";
/// The name of its stub.
pub const STUB: &str = "nsx-stub";

/// No command line is read further.
const MOST_BYTES: usize = 256;

/// One of the processes that keep a sandbox.
struct Keeper {
    process: ProcPid,
    name: Vec<u8>,
    init: bool,
}

/// A sandbox.
pub struct Sandbox {
    /// Its first process.
    pub init: ProcPid,
    /// The process that cleans up after it, if it is there.
    pub stub: Option<ProcPid>,
    /// Who runs it: the effective uid of the stub.
    pub uid: Option<Uid>,
}

impl Sandbox {
    /// Returns its command: the child of the first process that was made by it, not one that it has adopted.
    pub fn command(&self, proc: &ProcRoot) -> Option<ProcPid> {
        let path = std::ffi::CString::new(format!("task/{}/children", self.init.pid)).ok()?;
        let children = self.init.read_all(&path, 1 << 16).ok()?;
        let mut children = children.split(|byte| *byte == b' ').filter_map(parse_decimal::<u32>);
        // They are in the order in which they came.
        children.find_map(|pid| proc.process(Pid(pid)).ok())
    }
}

/// Returns the sandbox whose first process has this pid.
///
/// # Errors
/// Where `/proc` cannot be read.
pub fn find_by_pid(proc: &ProcRoot, pid: Pid) -> Result<Option<Sandbox>, SysError> {
    let found = proc.process(pid).ok().and_then(keeper).filter(|keeper| keeper.init);
    let Some(name) = found.and_then(|keeper| String::from_utf8(keeper.name).ok()) else { return Ok(None) };
    Ok(find(proc, &name)?.into_iter().find(|one| one.init.pid == pid))
}

/// Returns the sandboxes with this name.
///
/// # Errors
/// Where `/proc` cannot be read.
pub fn find(proc: &ProcRoot, name: &str) -> Result<Vec<Sandbox>, SysError> {
    let mut keepers = Vec::new();
    for pid in proc.pids(&mut DirReader::new(32))? {
        // Who has gone meanwhile is none.
        keepers.extend(proc.process(pid).ok().and_then(keeper).filter(|keeper| keeper.name == name.as_bytes()));
    }
    let own = proc.own_process().ok().and_then(|own| mounts(&own));
    keepers.retain(|keeper: &Keeper| !keeper.init || mounts(&keeper.process).is_none_or(|theirs| Some(theirs) != own));
    let (inits, mut stubs): (Vec<Keeper>, Vec<Keeper>) = keepers.into_iter().partition(|keeper| keeper.init);
    let uid = |process: &ProcPid| effective_uid(&process.read_all(c"status", 1 << 16).unwrap_or_default());
    // A stub makes its first process right after it has come: of several with one name, the nearest before it is its.
    let mut sandboxes: Vec<Sandbox> = Vec::new();
    for init in inits {
        let before = stubs.iter().enumerate().filter(|(_, stub)| started(&stub.process) <= started(&init.process));
        let place = before.max_by_key(|(_, stub)| started(&stub.process)).map(|(place, _)| place);
        let stub = place.map(|place| stubs.swap_remove(place).process);
        let uid = stub.as_ref().and_then(uid);
        sandboxes.push(Sandbox { init: init.process, stub, uid });
    }
    Ok(sandboxes)
}

/// Returns the sandbox with this name.
///
/// # Errors
/// Where there is none, or several, which may be different users'.
pub fn find_one(proc: &ProcRoot, name: &str) -> Result<Sandbox, TargetError> {
    let mut found = find(proc, name).map_err(TargetError::Unlisted)?;
    let own = Uid(nix::unistd::geteuid().as_raw());
    if found.iter().any(|one| one.uid == Some(own)) {
        found.retain(|one| one.uid == Some(own));
    }
    match (found.len(), found.pop()) {
        (1, Some(only)) => Ok(only),
        (_, None) => Err(TargetError::NoSandbox(name.to_owned())),
        (_, Some(last)) => {
            let all = found.iter().chain([&last]).map(|one| (one.init.pid, one.uid)).collect();
            Err(TargetError::Sandboxes(name.to_owned(), all))
        }
    }
}

/// Returns the mount namespace of a process; `None` where it may not be read.
fn mounts(process: &ProcPid) -> Option<NsId> {
    process.namespaces_of(KindSet::NONE.with(NsKind::Mnt)).ok()?[NsKind::Mnt.index()]
}

fn started(process: &ProcPid) -> u64 {
    let mut buffer = [0; 1024];
    process.stat(&mut buffer).map_or(0, |stat| stat.start_time_ticks)
}

fn keeper(process: ProcPid) -> Option<Keeper> {
    let mut buffer = [0; MOST_BYTES];
    let line = process.read(c"cmdline", &mut buffer).ok()?;
    let mut words = line.split(|byte| *byte == 0);
    if words.next() != Some(WORDS.as_bytes()) {
        return None;
    }
    let name = words.next()?.to_vec();
    let mut buffer = [0; 64];
    let comm = process.read(c"comm", &mut buffer).ok()?.trim_ascii_end();
    let init = comm == INIT.as_bytes();
    let is_keeper = init || comm == STUB.as_bytes();
    // The directory itself belongs to the process in any case, see task_dump_owner() in fs/proc/base.c.
    let is_roots = cgroupfs::owner(process.as_fd(), c"stat").is_ok_and(|uid| uid == 0);
    (is_keeper && is_roots).then_some(Keeper { process, name, init })
}
