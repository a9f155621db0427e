//! Processes: `/proc/PID/ns/*`, with `pid_for_children` and `time_for_children`.
//!
//! This is the walk over `/proc` that the other sources of a process hang on to. See proc_pid_ns(5).

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bpf::Keeper;
use super::fds::{self, Nsfs, SocketFd};
use super::{PER_PROCESS, ScanOptions, note};
use crate::model::{Comm, ForChildren, GapWhat, KindSet, NsArray, NsKind, NsName, Observations, Pid, Process, Tid};
use crate::proc::root::{for_children_name, read_ns_link, read_ns_links};
use crate::proc::{ProcPid, ProcRoot, is_gone};
use crate::sys::dir::DirReader;
use crate::sys::{Errno, SysError};

/// How many processes a thread takes at a time: enough to share the work evenly, not so many that one is left alone at the end.
const BATCH: usize = 16;
/// Below this many processes a second thread costs more than it brings.
const ALONE: usize = 64;
/// More threads than this only wait for each other: they all walk the same directory cache.
const MOST_WORKERS: usize = 8;

/// One of the threads that walk over `/proc`, with the buffers it uses again and again.
pub(super) struct Walker<'a> {
    pub(super) root: &'a ProcRoot,
    /// The kinds whose links are read.
    pub(super) kinds: KindSet,
    /// Whether the other sources are asked, too, and what is for children.
    pub(super) whole: bool,
    /// What it has found.
    pub(super) found: Observations,
    pub(super) reader: DirReader,
    /// The caller, where the pids of the tree are those of its pid namespace.
    pub(super) own: Option<Pid>,
    /// How a descriptor of a namespace is known; `None` for a captured tree.
    pub(super) nsfs: Option<&'a Nsfs>,
    /// The sockets that were seen.
    pub(super) sockets: Vec<SocketFd>,
}

/// Walks over all processes; returns what was found, and the sockets that are still to be asked.
pub(super) fn walk(root: &ProcRoot, options: &ScanOptions<'_>) -> Result<(Observations, Vec<SocketFd>), SysError> {
    walk_for(root, options, options.kinds_to_read(), true)
}

/// As [`walk`], for the links of these kinds; `whole` is whether anything else is read.
pub(super) fn walk_for(
    root: &ProcRoot,
    options: &ScanOptions<'_>,
    kinds: KindSet,
    whole: bool,
) -> Result<(Observations, Vec<SocketFd>), SysError> {
    let pids = root.pids(&mut DirReader::new(64))?;
    Ok(share_out(root, options, kinds, whole, &pids, |walker, &pid| walker.visit(pid)))
}

/// Looks at the descriptors of these processes, and of those of their threads that have some of their own. Adds what holds a namespace to
/// what was found, and returns the sockets that are still to be asked.
pub(super) fn walk_fds(
    root: &ProcRoot,
    options: &ScanOptions<'_>,
    kinds: KindSet,
    found: &mut Observations,
    keepers: &[Keeper],
) -> Vec<SocketFd> {
    let processes = &found.processes;
    let (more, sockets) = share_out(root, options, kinds, true, keepers, |walker, keeper| {
        let process = &processes[keeper.process];
        let directory = match root.process(process.pid) {
            Ok(directory) => directory,
            Err(errno) if is_gone(errno) => return,
            Err(errno) => return note(&mut walker.found.gaps, GapWhat::Fds, process.pid, errno),
        };
        // It may be another process by now.
        if directory.stat(&mut [0; 1024]).is_ok_and(|stat| stat.start_time_ticks == process.start_time_ticks) {
            fds::scan_of(walker, &directory, process, keeper.tid);
        }
    });
    found.holders.extend(more.holders);
    found.gaps.merge(more.gaps);
    sockets
}

/// Does something with each of these, by several threads where it is worth it.
fn share_out<T: Sync>(
    root: &ProcRoot,
    options: &ScanOptions<'_>,
    kinds: KindSet,
    whole: bool,
    all: &[T],
    each: impl Fn(&mut Walker<'_>, &T) + Sync,
) -> (Observations, Vec<SocketFd>) {
    if let Some(progress) = options.progress {
        progress.start(all.len());
    }
    let workers = if all.len() < ALONE {
        1
    } else {
        let most = options.workers.unwrap_or(MOST_WORKERS);
        std::thread::available_parallelism().map_or(1, usize::from).min(most).max(1)
    };
    let next = AtomicUsize::new(0);
    let nsfs = Nsfs::of(root);
    let share = || {
        let mut walker = Walker {
            root,
            kinds,
            whole,
            found: Observations::default(),
            reader: DirReader::new(32),
            own: root.is_own_pid_ns().then(|| Pid(std::process::id())),
            nsfs: nsfs.as_ref(),
            sockets: Vec::new(),
        };
        walker.found.processes.reserve(all.len() / workers + BATCH);
        loop {
            let start = next.fetch_add(BATCH, Ordering::Relaxed);
            let Some(batch) = all.get(start..all.len().min(start + BATCH)).filter(|batch| !batch.is_empty()) else {
                break;
            };
            for one in batch {
                each(&mut walker, one);
            }
            if let Some(progress) = options.progress {
                progress.add(batch.len());
            }
        }
        (walker.found, walker.sockets)
    };
    std::thread::scope(|scope| {
        // Where no more threads may be made (RLIMIT_NPROC, pids.max) the others do their work.
        let others: Vec<_> =
            (1..workers).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, share).ok()).collect();
        let (mut observations, mut sockets) = share();
        // A thread that panics takes the program with it (panic = "abort"), so there is always a part to take.
        for (part, more) in others.into_iter().filter_map(|other| other.join().ok()) {
            observations.processes.extend(part.processes);
            observations.threads.extend(part.threads);
            observations.for_children.extend(part.for_children);
            observations.holders.extend(part.holders);
            observations.gaps.merge(part.gaps);
            sockets.extend(more);
        }
        (observations, sockets)
    })
}

impl Walker<'_> {
    fn visit(&mut self, pid: Pid) {
        let directory = match self.root.process(pid) {
            Ok(directory) => directory,
            // A process that has gone since the directory was read is simply not there.
            Err(errno) if is_gone(errno) => return,
            Err(errno) => return note(&mut self.found.gaps, GapWhat::Namespaces, pid, errno),
        };
        let Some((process, readable)) = self.process(&directory) else { return };
        // One that may not be looked into has its gap already. One that has no namespaces left may have threads that do.
        let whole = readable && self.whole;
        for source in PER_PROCESS.into_iter().filter(|_| whole) {
            source(self, &directory, &process);
        }
        self.found.processes.push(process);
    }

    /// Reads what the process itself is in, and says whether it may be looked into; `None` where it has gone.
    fn process(&mut self, directory: &ProcPid) -> Option<(Process, bool)> {
        let pid = directory.pid;
        let mut buffer = [0; 1024];
        let stat = match directory.stat(&mut buffer) {
            Ok(stat) => stat,
            Err(errno) => {
                if !is_gone(errno) {
                    note(&mut self.found.gaps, GapWhat::Namespaces, pid, errno);
                }
                return None;
            }
        };
        let mut process = Process {
            pid,
            ppid: stat.ppid,
            start_time_ticks: stat.start_time_ticks,
            comm: Comm::new(stat.comm),
            nthreads: stat.nthreads,
            kernel: stat.kernel,
            ns: NsArray::default(),
        };
        match self.namespaces(directory, &process) {
            Ok(namespaces) => {
                process.ns = namespaces;
                Some((process, true))
            }
            // procfs answers EACCES for the links of a process that has just gone, too.
            Err(errno) if !is_gone(errno) && directory.is_alive() => {
                note(&mut self.found.gaps, GapWhat::Namespaces, pid, errno);
                Some((process, false))
            }
            Err(_) => None,
        }
    }

    fn namespaces(&mut self, directory: &ProcPid, process: &Process) -> Result<NsArray, Errno> {
        if !self.whole {
            return directory.few_namespaces(self.kinds);
        }
        let links = directory.ns_dir()?;
        let namespaces = read_ns_links(links.as_fd(), self.kinds.iter())?;
        // A kernel thread calls neither unshare(2) nor setns(2), and has no children.
        if !process.kernel && self.whole {
            self.for_children(links.as_fd(), process.pid, Tid(process.pid.0), &namespaces)?;
        }
        Ok(namespaces)
    }

    /// Reads the links that name the namespaces of future children, and keeps those that differ from the task's own.
    pub(super) fn for_children(
        &mut self,
        links: BorrowedFd<'_>,
        pid: Pid,
        tid: Tid,
        own: &NsArray,
    ) -> Result<(), Errno> {
        for kind in [NsKind::Pid, NsKind::Time] {
            let Some(link) = for_children_name(kind).filter(|_| self.kinds.contains(kind)) else { continue };
            // Without the task's own there is nothing to differ from: it is a zombie, or the kernel lacks the kind.
            let Some(own) = own[kind.index()] else { continue };
            match read_ns_link(links, link)? {
                Some(name) if name != (NsName { kind, id: own }) => {
                    self.found.for_children.push(ForChildren { pid, tid, name });
                }
                _ => {}
            }
        }
        Ok(())
    }
}
