//! Numbers of processes in other pid namespaces: which process of ours has a number there, and which number one of ours has.
//!
//! Where the kernel translates by itself (`NS_GET_PID_FROM_PIDNS` and its kin, Linux 6.11) it is asked; elsewhere, and where the `/proc`
//! is that of another pid namespace than the caller's, the `NSpid` lines of proc_pid_status(5) are read. A process is held before
//! it is looked at, so what is returned is who had the number, whoever has it by now. See pid_namespaces(7).

mod error;
mod spaces;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use error::PidError;
pub use spaces::Spaces;
use spaces::{Space, link, numbers};

use crate::model::id::parse_decimal;
use crate::model::{NsId, NsKind, NsName, Pid};
use crate::proc::parse::Numbers;
use crate::proc::root::read_ns_link;
use crate::proc::{ProcPid, ProcRoot, is_gone};
use crate::scan;
use crate::sys::dir::{DirReader, ShortPath};
use crate::sys::{Call, Errno, SysError, dir, nsfs};

/// Processes come and go between a question and the next; who asks so often is being made a fool of.
const MOST_ATTEMPTS: usize = 16;
/// No more threads are looked at for a number that no process has.
const MOST_THREADS: usize = 1 << 17;

/// A pid namespace, in which numbers are looked up.
pub struct PidNs {
    /// Its inode; `None` where it belongs to somebody whom the caller may not look into.
    pub ns: Option<NsId>,
    open: Option<OwnedFd>,
    init: Option<ProcPid>,
    name: String,
}

/// What a task is called on a level.
pub struct Level {
    /// The pid namespace; `None` where the caller may not know.
    pub ns: Option<NsId>,
    /// The number of the task.
    pub pid: u32,
    /// The number of its process.
    pub tgid: u32,
    /// The first process of the namespace; `None` where it cannot be told.
    pub init: Option<ProcPid>,
}

/// What a task is called, from the pid namespace of `/proc` down to its own.
pub struct Levels {
    /// Its process.
    pub process: Pid,
    /// The levels.
    pub all: Vec<Level>,
    /// Why a namespace is not known, where one is not.
    pub refused: Option<Errno>,
}

/// Where the children of a process will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// In this pid namespace.
    In(NsId),
    /// In one that no process is in yet: the next child will be its first, and until then its inode is not told.
    InNew,
}

/// Finds the process, or thread, that has a number in the pid namespace of another process, and holds it: `web/7` in one call.
///
/// # Errors
/// Where nobody has the number, or the namespace of `member` cannot be told.
///
/// # Examples
/// ```
/// use std::path::Path;
/// use nsx::proc::ProcRoot;
/// use nsx::select::pid;
///
/// let root = ProcRoot::open(Path::new("/proc"))?;
/// let own = root.own_process().map_err(|errno| errno.desc())?;
/// let found = pid::find(&root, &own, own.pid.0)?;
/// assert_eq!(found.pid, own.pid);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn find(root: &ProcRoot, member: &ProcPid, number: u32) -> Result<ProcPid, PidError> {
    let spaces = Spaces::new(root);
    spaces.find(&PidNs::of_process(&spaces, member)?, number)
}

impl PidNs {
    /// Returns the pid namespace that a process is in. That is not where its children will be (`pid_for_children`).
    ///
    /// # Errors
    /// Where the process has gone, or the caller may not look into it and nothing else tells which it is.
    pub fn of_process(spaces: &Spaces<'_>, process: &ProcPid) -> Result<PidNs, PidError> {
        let pid = process.pid;
        let name = |ns: NsId| NsName { kind: NsKind::Pid, id: ns }.to_string();
        let readable = link(process);
        let open = readable.ok().flatten().and_then(|ns| {
            let open = process.open_ns(c"ns/pid").ok()?;
            nsfs::inode(open.as_fd()).is_ok_and(|found| found == Some(ns)).then_some(open)
        });
        if let (Ok(Some(ns)), Some(first)) = (readable, open.as_ref().and_then(|open| spaces.ask(open.as_fd(), 1))) {
            return Ok(PidNs { ns: Some(ns), open, init: first.ok(), name: name(ns) });
        }
        let told = numbers(process).map_err(|errno| PidError::process(spaces.root, pid, "status", errno))?;
        let level = told.nspid.len() - 1;
        let init = spaces.chain(process, &told).get(level).and_then(|space| spaces.hold_first(space, level));
        match readable {
            Ok(Some(ns)) => Ok(PidNs { ns: Some(ns), open, init, name: name(ns) }),
            // Who has one number only is in the pid namespace of /proc.
            Err(_) if level == 0 && spaces.top.is_some() => {
                Ok(PidNs { ns: spaces.top, open: None, init, name: spaces.top.map(name).unwrap_or_default() })
            }
            Err(errno) if !is_gone(errno) && process.is_alive() && init.is_some() => {
                Ok(PidNs { ns: None, open: None, init, name: format!("the pid namespace of process {pid}") })
            }
            Ok(None) => Err(PidError::process(spaces.root, pid, "ns/pid", Errno::ENOENT)),
            Err(errno) => Err(PidError::process(spaces.root, pid, "ns/pid", errno)),
        }
    }

    /// Returns the pid namespace with this inode: `open`, if that is given, else by way of whoever is in it.
    ///
    /// # Errors
    /// Where it is of another kind, or nothing leads to it.
    pub fn of_namespace(
        spaces: &Spaces<'_>,
        kind: Option<NsKind>,
        ns: NsId,
        open: Option<OwnedFd>,
    ) -> Result<PidNs, PidError> {
        let name = NsName { kind: NsKind::Pid, id: ns }.to_string();
        let kind = kind.or_else(|| open.as_ref().and_then(|open| nsfs::kind(open.as_fd()).ok().flatten()));
        if let Some(kind) = kind.filter(|kind| *kind != NsKind::Pid) {
            return Err(PidError::OtherKind(NsName { kind, id: ns }));
        }
        if open.is_some() {
            return Ok(PidNs { ns: Some(ns), open, init: None, name });
        }
        let pids = spaces.root.pids(&mut DirReader::new(32)).map_err(PidError::Unlisted)?;
        let members = pids.into_iter().filter_map(|pid| {
            let process = spaces.root.process(pid).ok()?;
            (link(&process).ok()?? == ns).then_some(process)
        });
        if let Some(found) = members.map(|member| PidNs::of_process(spaces, &member)).find_map(Result::ok) {
            return Ok(found);
        }
        // Something else than a process may hold it, or it is of another kind.
        match scan::open(spaces.root, None, ns).map_err(PidError::Unlisted)? {
            Some((NsKind::Pid, open)) => Ok(PidNs { ns: Some(ns), open: Some(open), init: None, name }),
            Some((other, _)) => Err(PidError::OtherKind(NsName { kind: other, id: ns })),
            None => Err(PidError::NoNamespace(kind, ns)),
        }
    }

    /// Says whether a namespace on the way to a process is this one; `None` where that cannot be told.
    fn is(&self, space: &Space) -> Option<bool> {
        match (self.ns.zip(space.ns), self.init.as_ref().zip(space.init)) {
            (Some((own, other)), _) => Some(own == other),
            (None, Some((own, other))) => Some(own.pid == other && own.is_alive()),
            (None, None) => None,
        }
    }
}

impl std::fmt::Display for PidNs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Spaces<'_> {
    /// Finds the process, or thread, that has a number in a pid namespace, and holds it.
    ///
    /// # Errors
    /// Where nobody has the number, or it cannot be told who has.
    pub fn find(&self, ns: &PidNs, number: u32) -> Result<ProcPid, PidError> {
        if ns.ns.is_some() && ns.ns == self.top {
            return self.root.process(Pid(number)).map_err(|errno| {
                let call = Call::Openat(self.root.name(&number.to_string()));
                PidError::NoNumber { number, ns: ns.name.clone(), error: Some(SysError::new(call, errno)), untold: 0 }
            });
        }
        match ns.open.as_ref().and_then(|open| self.ask(open.as_fd(), number)) {
            Some(Ok(found)) => Ok(found),
            Some(Err(Asked::Unseen(pid, errno))) => Err(PidError::process(self.root, pid, "", errno)),
            Some(Err(Asked::Restless)) => Err(PidError::Restless(number, ns.name.clone())),
            Some(Err(Asked::Kernel(error))) if error.errno == Errno::ESRCH && self.is_out_of_sight(ns) => {
                Err(PidError::Empty(ns.name.clone(), Some(error)))
            }
            Some(Err(Asked::Kernel(error))) => {
                Err(PidError::NoNumber { number, ns: ns.name.clone(), error: Some(error), untold: 0 })
            }
            None => self.search(ns, number),
        }
    }

    /// Returns the number that a process, or thread, has in a pid namespace.
    ///
    /// # Errors
    /// Where it has none, or that cannot be told.
    pub fn number_in(&self, ns: &PidNs, process: &ProcPid) -> Result<u32, PidError> {
        let pid = process.pid;
        let asked = ns.open.as_ref().filter(|_| self.own).and_then(|open| nsfs::pid_in(open.as_fd(), pid));
        let error = match asked {
            // As long as it is there nobody else has its pid.
            Some(Ok(number)) if process.is_alive() => return Ok(number),
            Some(Err(error)) if process.is_alive() => Some(error),
            Some(_) => return Err(PidError::process(self.root, pid, "", Errno::ENOENT)),
            None => None,
        };
        let told = numbers(process).map_err(|errno| PidError::process(self.root, pid, "status", errno))?;
        if error.is_none() {
            match self.level_in(ns, process, &told) {
                Ok(Some(level)) => return Ok(told.nspid[level]),
                Ok(None) => {}
                Err(_) => {
                    let errno = link(process).err().unwrap_or(Errno::EACCES);
                    return Err(PidError::process(self.root, pid, "ns/pid", errno));
                }
            }
        }
        Err(PidError::NotIn { pid, ns: ns.name.clone(), error })
    }

    /// Returns what a process, or thread, is called on every level.
    ///
    /// # Errors
    /// Where it has gone, or hidepid keeps its numbers from the caller.
    pub fn levels(&self, process: &ProcPid) -> Result<Levels, PidError> {
        let told = numbers(process).map_err(|errno| PidError::process(self.root, process.pid, "status", errno))?;
        let mut spaces = self.chain(process, &told).to_vec();
        self.complete(&mut spaces);
        let level = |(level, space): (usize, &Space)| Level {
            ns: space.ns,
            pid: told.nspid[level],
            tgid: told.nstgid[level],
            init: self.hold_first(space, level),
        };
        let all: Vec<Level> = spaces.iter().take(told.nspid.len()).enumerate().map(level).collect();
        let unknown = all.iter().any(|level| level.ns.is_none());
        let refused = if unknown { link(process).err().or(Some(Errno::EPERM)) } else { None };
        Ok(Levels { process: told.tgid, all, refused })
    }

    /// Says where the children of a process will be, if not where it is itself. `None` also where the caller may not know.
    pub fn children(&self, process: &ProcPid) -> Option<Children> {
        let own = link(process).ok()??;
        match read_ns_link(process.as_fd(), c"ns/pid_for_children") {
            Ok(Some(name)) => (name.id != own).then_some(Children::In(name.id)),
            // A zombie, which will have no children, has let go of it.
            Ok(None) => (self.root.is_live() && process.is_alive() && !process.is_exiting()).then_some(Children::InNew),
            Err(_) => None,
        }
    }

    /// Asks the kernel who has a number, and holds him; `None` where it cannot be asked.
    pub(super) fn ask(&self, ns: BorrowedFd<'_>, number: u32) -> Option<Result<ProcPid, Asked>> {
        // The answer is the caller's number.
        if !self.own {
            return None;
        }
        for _ in 0..MOST_ATTEMPTS {
            let pid = match nsfs::pid_from(ns, number)? {
                Ok(pid) => pid,
                Err(error) => return Some(Err(Asked::Kernel(error))),
            };
            let opened = self.root.process(pid);
            // Whoever had the pid when he was opened, and is there after the kernel has named it again, is the one it means.
            if nsfs::pid_from(ns, number)?.is_ok_and(|again| again == pid) {
                match opened {
                    Ok(process) if process.is_alive() => return Some(Ok(process)),
                    Err(errno) if !is_gone(errno) || nsfs::pid_from(ns, number)?.is_ok_and(|again| again == pid) => {
                        return Some(Err(Asked::Unseen(pid, errno)));
                    }
                    _ => {}
                }
            }
        }
        Some(Err(Asked::Restless))
    }

    /// Says whether nobody in a namespace has a number here: nobody is in it, or it is on another branch of the tree.
    fn is_out_of_sight(&self, ns: &PidNs) -> bool {
        let Some(open) = ns.open.as_ref().map(AsFd::as_fd) else { return false };
        let nobody = |answer: Option<Result<(), SysError>>| matches!(answer, Some(Err(_)));
        // The first process of one above has no number here, but the caller has one there.
        nobody(nsfs::pid_from(open, 1).map(|found| found.map(drop)))
            && nobody(nsfs::pid_in(open, Pid(std::process::id())).map(|found| found.map(drop)))
    }

    /// Looks for a number among all processes, and then among the threads of those that are in the namespace.
    fn search(&self, ns: &PidNs, number: u32) -> Result<ProcPid, PidError> {
        let mut reader = DirReader::new(32);
        let mut members = Vec::new();
        let mut untold = 0;
        for pid in self.root.pids(&mut reader).map_err(PidError::Unlisted)? {
            // Who has gone meanwhile has no number.
            let Ok(process) = self.root.process(pid) else { continue };
            let Some((level, told)) = self.member(ns, &process, number, &mut untold) else { continue };
            if told.nspid[level] == number {
                return Ok(process);
            }
            members.push(pid);
        }
        if members.is_empty() && untold == 0 {
            return Err(PidError::Empty(ns.name.clone(), None));
        }
        let mut left = MOST_THREADS;
        for pid in members {
            let Ok(process) = self.root.process(pid) else { continue };
            let Some((level, _)) = self.member(ns, &process, number, &mut untold) else { continue };
            let Ok(folder) = process.open_dir(c"task") else { continue };
            let mut tids: Vec<u32> = Vec::new();
            let _ = reader.entries(folder.as_fd(), |name| tids.extend(parse_decimal::<u32>(name.to_bytes())));
            for tid in tids.into_iter().filter(|tid| *tid != pid.0) {
                left = left.checked_sub(1).ok_or_else(|| PidError::TooMany(number, ns.name.clone(), MOST_THREADS))?;
                // A thread is held by a directory of its own, which no list has.
                let Ok(thread) = self.root.process(Pid(tid)) else { continue };
                let path = ShortPath::new().text("task/").number(tid);
                let is_its = || dir::open_path(process.as_fd(), path.as_c_str()).is_ok() && thread.is_alive();
                if numbers(&thread).is_ok_and(|told| told.nspid.get(level) == Some(&number)) && is_its() {
                    return Ok(thread);
                }
            }
        }
        Err(PidError::NoNumber { number, ns: ns.name.clone(), error: None, untold })
    }

    /// Returns on which level a process is in a namespace, with its numbers. Whoever has the number on some level and does not say in which
    /// namespace is counted.
    fn member(&self, ns: &PidNs, process: &ProcPid, number: u32, untold: &mut usize) -> Option<(usize, Numbers)> {
        // A link costs a fraction of what the status costs, and most processes are elsewhere.
        if link(process).ok().flatten().is_some_and(|own| self.is_elsewhere(ns, own)) {
            return None;
        }
        let told = numbers(process).ok()?;
        match self.level_in(ns, process, &told) {
            Ok(level) => level.map(|level| (level, told)),
            Err(_) => {
                *untold += usize::from(told.nspid[1..].contains(&number));
                None
            }
        }
    }
}

/// What came of asking the kernel.
pub(super) enum Asked {
    /// It has said why not.
    Kernel(SysError),
    /// It is this process, which `/proc` does not show.
    Unseen(Pid, Errno),
    /// Whoever had the number had gone each time.
    Restless,
}
