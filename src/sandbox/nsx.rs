//! The sandboxes of `nsx run` on this host: no file says which there are, their first processes do, by their command lines.
//!
//! The first process and the stub of a sandbox are called `nsx: sandbox NAME` in their command lines, and `nsx-init` and `nsx-stub` in their
//! names. Anybody can call himself so, and others may be looking for a name that he likes. So more is asked:
//!
//! - Both keep others from looking into them (`PR_SET_DUMPABLE`), so that the files in their directories in /proc belong to root of the user
//!   namespace that their program was started in. A program that nobody inside may read has that of the host, too; but both run from a
//!   memory file, which can be seen by whoever may look into them.
//! - A stub that has other uids than one is a suid program of somebody else's.
//! - A stub and a first process belong together where they are in one session, which the stub has made, or children of one nsx. Nobody can
//!   come into either from elsewhere.
//! - Whose a sandbox without a stub is, its user namespace says.
//!
//! Not here: making and ending them (`launch::run`).

use std::ffi::CStr;
use std::os::fd::AsFd;

use crate::model::id::parse_decimal;
use crate::model::{KindSet, NsId, NsKind, Pid, Uid};
use crate::proc::parse::uids;
use crate::proc::{ProcPid, ProcRoot};
use crate::sys::dir::DirReader;
use crate::sys::{SysError, cgroupfs, dir, nsfs};

/// What the command line of its processes begins with.
pub const WORDS: &CStr = c"nsx: sandbox";
/// The name of its first process.
pub const INIT: &CStr = c"nsx-init";
/// The name of its stub.
pub const STUB: &CStr = c"nsx-stub";

/// No command line is read further.
const MOST_BYTES: usize = 256;

/// A process that attends to a sandbox.
struct Attendant {
    process: ProcPid,
    name: String,
    init: bool,
    parent: Pid,
    session: u32,
}

/// A sandbox.
pub struct Sandbox {
    /// Its name.
    pub name: String,
    /// Its first process.
    pub init: ProcPid,
    /// The process that cleans up after it, if it is there.
    pub stub: Option<ProcPid>,
    /// Who runs it, where that can be known.
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

/// Returns all sandboxes, or those with this name.
///
/// # Errors
/// Where `/proc` cannot be read.
pub fn find(proc: &ProcRoot, name: Option<&str>) -> Result<Vec<Sandbox>, SysError> {
    Ok(find_among(proc, name, proc.pids(&mut DirReader::new(32))?))
}

/// As [`find`], where it is known which processes may attend to one: those that [`is_attendant`] says so of.
pub fn find_among(proc: &ProcRoot, name: Option<&str>, pids: impl IntoIterator<Item = Pid>) -> Vec<Sandbox> {
    let mut attendants = Vec::new();
    for pid in pids {
        // Who has gone meanwhile is none.
        let found = proc.process(pid).ok().and_then(attendant);
        attendants.extend(found.filter(|found| name.is_none_or(|name| found.name == name)));
    }
    let own = proc.own_process().ok().and_then(|own| mounts(&own));
    attendants.retain(|one| !one.init || mounts(&one.process).is_none_or(|theirs| Some(theirs) != own));
    let (inits, mut stubs): (Vec<Attendant>, Vec<Attendant>) = attendants.into_iter().partition(|one| one.init);
    let mut sandboxes: Vec<Sandbox> = Vec::new();
    for init in inits {
        let is_its = |stub: &Attendant| {
            let together = init.session == stub.process.pid.0 || (init.parent == stub.parent && init.parent.0 > 1);
            stub.name == init.name && together
        };
        let stub = stubs.iter().position(is_its).map(|place| stubs.swap_remove(place).process);
        let uid = match &stub {
            Some(stub) => only_uid(&stub.read_all(c"status", 1 << 16).unwrap_or_default()),
            None => maker(&init.process),
        };
        sandboxes.push(Sandbox { name: init.name, init: init.process, stub, uid });
    }
    sandboxes
}

/// Says whether a process with this name may attend to a sandbox.
pub fn is_attendant(comm: &[u8]) -> bool {
    comm == INIT.to_bytes() || comm == STUB.to_bytes()
}

/// Returns who has made the user namespace of a process; `None` where that may not be looked at, or is the caller's.
fn maker(process: &ProcPid) -> Option<Uid> {
    let opened = process.open_ns(c"ns/user").ok()?;
    nsfs::owner_uid(opened.as_fd()).ok()
}

/// Returns the mount namespace of a process; `None` where it may not be read.
fn mounts(process: &ProcPid) -> Option<NsId> {
    process.namespaces_of(KindSet::NONE.with(NsKind::Mnt)).ok()?[NsKind::Mnt.index()]
}

fn attendant(process: ProcPid) -> Option<Attendant> {
    let mut buffer = [0; MOST_BYTES];
    let line = process.read(c"cmdline", &mut buffer).ok()?;
    let mut words = line.split(|byte| *byte == 0);
    if words.next() != Some(WORDS.to_bytes()) {
        return None;
    }
    let name = String::from_utf8(words.next()?.to_vec()).ok()?;
    let mut buffer = [0; 1024];
    let stat = process.stat(&mut buffer).ok()?;
    let init = stat.comm == INIT.to_bytes();
    let (parent, session) = (stat.ppid, stat.session);
    // The directory itself belongs to the process in any case, see task_dump_owner() in fs/proc/base.c.
    let is_genuine = (init || stat.comm == STUB.to_bytes())
        && cgroupfs::owner(process.as_fd(), c"stat").is_ok_and(|uid| uid == 0)
        && runs_from_memory(&process)
        && (init || only_uid(&process.read_all(c"status", 1 << 16).ok()?).is_some());
    is_genuine.then_some(Attendant { process, name, init, parent, session })
}

/// Says whether the program of a process is a memory file, as far as that may be seen.
fn runs_from_memory(process: &ProcPid) -> bool {
    let mut buffer = [0; 64];
    dir::readlink(process.as_fd(), c"exe", &mut buffer).map_or(true, |link| link.starts_with(b"/memfd:"))
}

/// Returns the uid of a process that has no other: real, effective, saved and that for files are the same.
fn only_uid(status: &[u8]) -> Option<Uid> {
    let [real, others @ ..] = uids(status)?;
    others.iter().all(|other| *other == real).then_some(real)
}
