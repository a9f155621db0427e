//! Finding namespaces: one file for each place that keeps one alive, and one pass over the host.
//!
//! A source brings home facts; [`crate::model::Snapshot::build`] gives them meaning. What goes away while it is looked at is no
//! error, and what may not be seen is a gap. The tables `PER_PROCESS`, `AFTER_PROCESSES`, `PER_NAMESPACE` and
//! `PER_HOST` are the list of sources: a new one is a file and a row. Not here: parsing (`proc`), system calls (`sys`).

#![forbid(unsafe_code)]

mod bpf;
pub mod describe;
mod fds;
mod listns;
mod mounts;
mod relations;
mod shared;
mod sockets;
mod tasks;
mod threads;
mod visit;

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use bpf::{Refused, iterator_program};
pub use describe::describe;
pub use shared::shared;

use crate::model::gap::GapOf;
use crate::model::{
    Backend, Gap, GapWhat, Holder, KindSet, NsId, NsKind, NsName, Observations, Pid, Process, Snapshot,
};
use crate::proc::{ProcPid, ProcRoot, parse};
use crate::sys::{SysError, errno_name, probe};
use tasks::Walker;
use visit::Visitor;

/// Asked about every process, after its own namespaces were read, by several threads at once.
const PER_PROCESS: [fn(&mut Walker<'_>, &ProcPid, &Process); 2] = [threads::scan, fds::scan];

/// Asked once, about everything of its sort that the walk over the processes has seen; what it has opened is handed on.
const AFTER_PROCESSES: fn(&ProcRoot, &mut Observations, Vec<fds::SocketFd>) -> sockets::Kept = sockets::scan;

/// Asked about every namespace once, with the open namespace.
const PER_NAMESPACE: [fn(&mut Visitor<'_>, NsName, BorrowedFd<'_>); 2] = [relations::scan, mounts::scan];

/// Asked once, when everything else is done.
const PER_HOST: [fn(&mut Visitor<'_>); 1] = [listns::scan];

/// How far a scan has come, for whoever wants to watch it from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicUsize,
    total: AtomicUsize,
}

impl Progress {
    /// Returns how many processes were looked at, and how many there are.
    pub fn get(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    fn start(&self, total: usize) {
        self.total.store(total, Ordering::Relaxed);
    }

    fn add(&self, done: usize) {
        self.done.fetch_add(done, Ordering::Relaxed);
    }
}

/// Which backend brings home the processes, threads and descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// What [`Choice::prefer`] was told; else BPF where it may be used and is faster, and `/proc` otherwise.
    #[default]
    Auto,
    /// This one; `/proc` takes over where BPF may not be used.
    Only(Backend),
}

/// What [`Choice::prefer`] was told: the place in [`Choice::ALL`].
static PREFERRED: AtomicUsize = AtomicUsize::new(0);

impl Choice {
    /// All of them.
    pub const ALL: [Choice; 3] = [Choice::Auto, Choice::Only(Backend::Proc), Choice::Only(Backend::Bpf)];

    /// Says what is meant from now on, in the whole program, wherever nothing else is asked for: names of containers and numbers of
    /// namespaces are looked up by way of all processes, too.
    pub fn prefer(self) {
        let place = Choice::ALL.iter().position(|choice| *choice == self).unwrap_or_default();
        PREFERRED.store(place, Ordering::Relaxed);
    }

    /// Returns what is meant.
    pub fn resolved(self) -> Choice {
        match self {
            Choice::Auto => Choice::ALL[PREFERRED.load(Ordering::Relaxed)],
            only => only,
        }
    }
}

/// What to look for.
#[derive(Debug)]
pub struct ScanOptions<'a> {
    /// The kinds that the caller is interested in. Fewer kinds are fewer links to read; namespaces of other kinds may turn up
    /// all the same, because they lead to those that are wanted.
    pub kinds: KindSet,
    /// How many threads to use at most; `None` leaves it to the scan.
    pub workers: Option<usize>,
    /// Where to tell how far it has come.
    pub progress: Option<&'a Progress>,
    /// Which backend to use.
    pub backend: Choice,
    /// Where to tell why it was not BPF.
    pub refused: Option<&'a OnceLock<Refused>>,
}

impl Default for ScanOptions<'_> {
    fn default() -> Self {
        ScanOptions { kinds: KindSet::ALL, workers: None, progress: None, backend: Choice::Auto, refused: None }
    }
}

impl ScanOptions<'_> {
    /// Returns the kinds whose links must be read.
    ///
    /// A user namespace may be held by any other namespace that it owns, so whoever wants those needs all kinds. Any kind may be
    /// bind-mounted in any mount namespace, so those are always needed.
    fn kinds_to_read(&self) -> KindSet {
        if self.kinds.contains(NsKind::User) { KindSet::ALL } else { self.kinds.with(NsKind::Mnt) }
    }

    fn note_refusal(&self, refused: Refused) {
        if let Some(place) = self.refused {
            // Only the first word counts.
            let _ = place.set(refused);
        }
    }
}

/// Finds the namespaces of the host that `root` shows.
///
/// Several threads read `/proc`; none of them is left when this returns.
///
/// # Errors
/// Only where the tree itself cannot be listed. What cannot be seen of single processes and namespaces is in the snapshot's gaps.
///
/// # Examples
/// ```
/// use std::path::Path;
/// use nsx::proc::ProcRoot;
/// use nsx::scan::{ScanOptions, scan};
///
/// let root = ProcRoot::open(Path::new("/proc"))?;
/// let snapshot = scan(&root, &ScanOptions::default())?;
/// assert!(snapshot.namespaces.iter().any(|namespace| namespace.own));
/// # Ok::<(), nsx::sys::SysError>(())
/// ```
pub fn scan(root: &ProcRoot, options: &ScanOptions<'_>) -> Result<Snapshot, SysError> {
    observe(root, options).map(Snapshot::build)
}

/// Brings home the facts from which [`scan`] builds its snapshot.
///
/// # Errors
/// As [`scan`].
pub fn observe(root: &ProcRoot, options: &ScanOptions<'_>) -> Result<Observations, SysError> {
    let mut visitor = first_pass(root, options, None)?;
    second_pass(&mut visitor);
    Ok(finished(root, visitor.into_observations()))
}

/// What a scan has left open for those who ask further.
#[derive(Debug, Default)]
pub struct Opened {
    /// The namespaces of the kind that was wanted, as far as they may be opened.
    pub namespaces: HashMap<NsId, OwnedFd>,
    /// The descriptors of sockets that were seen: process, descriptor, inode of the socket.
    pub sockets: Vec<(Pid, u32, u64)>,
}

/// As [`scan`], and leaves the namespaces of one kind open.
///
/// # Errors
/// As [`scan`].
pub fn scan_open(root: &ProcRoot, options: &ScanOptions<'_>, kind: NsKind) -> Result<(Snapshot, Opened), SysError> {
    let mut opened = Opened::default();
    let mut visitor = first_pass(root, options, Some(&mut opened.sockets))?;
    visitor.keep = Some(kind);
    second_pass(&mut visitor);
    opened.namespaces = std::mem::take(&mut visitor.open_still);
    Ok((Snapshot::build(finished(root, visitor.into_observations())), opened))
}

fn second_pass(visitor: &mut Visitor<'_>) {
    visitor.run();
    for source in PER_HOST {
        source(visitor);
    }
}

fn finished(root: &ProcRoot, mut observations: Observations) -> Observations {
    // The numbers of net and mnt became fixed in the same version that brought NS_GET_ID.
    observations.initial_inodes_fixed =
        root.is_live() && !probe::NS_ID.is_absent() && observations.relations.values().any(|told| told.id64.is_some());
    observations
}

/// The processes of a host at one moment.
#[derive(Debug, Default)]
pub struct Processes {
    /// The processes, by pid.
    pub processes: Vec<Process>,
    /// What could not be seen.
    pub gaps: Vec<Gap>,
    /// What has brought them home.
    pub backend: Backend,
}

/// Reads the processes, each with the namespaces of `options.kinds` that it is in, and nothing else.
///
/// # Errors
/// As [`scan`].
pub fn processes(root: &ProcRoot, options: &ScanOptions<'_>) -> Result<Processes, SysError> {
    let mut observations = match bpf::processes(root, options) {
        Ok(found) => Observations { backend: Backend::Bpf, ..found },
        Err(refused) => {
            options.note_refusal(refused);
            tasks::walk_for(root, options, options.kinds, false)?.0
        }
    };
    note_hidden_processes(root, &mut observations);
    let mut processes = observations.processes;
    processes.sort_unstable_by_key(|process| process.pid);
    processes.dedup_by_key(|process| process.pid);
    Ok(Processes { processes, gaps: observations.gaps.into_vec(), backend: observations.backend })
}

/// Finds the namespace with this inode, whatever holds it, and opens it. `None` where there is none that may be opened.
///
/// # Errors
/// As [`scan`].
pub fn open(root: &ProcRoot, kind: Option<NsKind>, id: NsId) -> Result<Option<(NsKind, OwnedFd)>, SysError> {
    let found = first_pass(root, &ScanOptions::default(), None)?.take(id);
    Ok(found.filter(|(found, _)| kind.is_none_or(|kind| kind == *found)))
}

/// Finds those sockets of a process that are in another network namespace than `own`: descriptor and namespace. Sockets come as
/// descriptor and inode; of very many alike only the first are told. Also returned is why some could not be asked.
pub fn sockets_elsewhere(
    root: &ProcRoot,
    pid: Pid,
    own: Option<NsId>,
    sockets: impl IntoIterator<Item = (u32, u64)>,
) -> (Vec<(u32, NsId)>, Vec<Gap>) {
    let sockets = sockets.into_iter().map(|(fd, inode)| fds::SocketFd { pid, fd, inode, own }).collect();
    let mut observations = Observations::default();
    AFTER_PROCESSES(root, &mut observations, sockets);
    let found = observations.holders.iter().filter_map(|(name, holder)| Some((holder.fd?, name.id)));
    (found.collect(), observations.gaps.into_vec())
}

/// Reads the names of all namespaces. The sockets that were seen on the way go into `seen`, where somebody wants them.
fn first_pass<'a>(
    root: &'a ProcRoot,
    options: &ScanOptions<'_>,
    seen: Option<&mut Vec<(Pid, u32, u64)>>,
) -> Result<Visitor<'a>, SysError> {
    let kinds = options.kinds_to_read();
    let by_bpf = match &seen {
        None => bpf::walk(root, options, kinds),
        // It tells of those processes only that have any elsewhere.
        Some(_) => Err(Refused::NotAsked),
    };
    let (mut observations, sockets) = match by_bpf {
        Ok((found, sockets)) => (Observations { backend: Backend::Bpf, ..found }, sockets),
        Err(refused) => {
            options.note_refusal(refused);
            tasks::walk(root, options)?
        }
    };
    if let Some(seen) = seen {
        seen.extend(sockets.iter().map(|socket| (socket.pid, socket.fd, socket.inode)));
    }
    let wanted = if kinds.contains(NsKind::Net) { sockets } else { Vec::new() };
    let kept = AFTER_PROCESSES(root, &mut observations, wanted);
    if let Ok(own) = root.own_process().and_then(|own| own.namespaces()) {
        observations.own = own;
    }
    observations.initial = initial_by_kthreadd(&observations.processes);
    // BPF sees them, but what they hold is opened by way of `/proc`.
    note_hidden_processes(root, &mut observations);

    Ok(Visitor::new(root, kinds, observations, kept))
}

/// Returns the net and mnt namespaces of kthreadd, which never leaves the initial ones; it is process 2 of the initial pid namespace.
fn initial_by_kthreadd(processes: &[Process]) -> Vec<NsId> {
    processes
        .iter()
        .filter(|process| process.pid == Pid(2) && process.ppid == Pid(0) && process.kernel)
        .flat_map(|process| [NsKind::Net, NsKind::Mnt].map(|kind| process.ns[kind.index()]))
        .flatten()
        .collect()
}

/// Notes a gap where `/proc` is mounted with an option that keeps whole processes from an unprivileged caller.
fn note_hidden_processes(root: &ProcRoot, observations: &mut Observations) {
    if !root.is_live() || nix::unistd::geteuid().is_root() {
        return;
    }
    let Ok(text) = root.own_process().and_then(|own| own.read_all(c"mountinfo", 1 << 24)) else { return };
    let path = root.path().as_os_str().as_encoded_bytes();
    let hides = parse::mountinfo(&text)
        .filter(|mount| mount.fs_type == b"proc" && *parse::unescape_octal(mount.point) == *path)
        .last()
        .is_some_and(|mount| {
            mount.super_options.split(|&byte| byte == b',').any(|option| {
                matches!(option, b"hidepid=invisible" | b"hidepid=ptraceable" | b"hidepid=2" | b"hidepid=4")
            })
        });
    if hides {
        observations.gaps.add(GapWhat::HiddenProcesses, GapOf::Host, None);
    }
}

/// So many holders of one namespace that are alike (descriptors of one process, mounts in one mount namespace) are listed; of more
/// there is only the number, because whoever makes them need not stop at a million.
const MOST_ALIKE: usize = 64;

/// Adds a holder that is like those from `first` on.
fn add_holder(holders: &mut Vec<(NsName, Holder)>, first: usize, name: NsName, holder: Holder) {
    let mut alike = holders[first..].iter_mut().filter(|(other, _)| *other == name);
    match alike.by_ref().nth(MOST_ALIKE - 1) {
        Some((_, last)) => last.count += 1,
        None => holders.push((name, holder)),
    }
}

/// Notes that something could not be seen of a process.
fn note(gaps: &mut crate::model::Gaps, what: GapWhat, pid: Pid, errno: crate::sys::Errno) {
    gaps.add(what, GapOf::Process(pid), Some(errno_name(errno)));
}
