//! Opening every namespace that was found, once, through whatever holds it, and asking the sources of a namespace about it.
//!
//! What the first pass brought home are names and holders. A holder may be gone by now and its pid somebody else's, so what is
//! opened is compared with what was looked for. Not here: what is asked (`relations`, `mounts`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::PER_NAMESPACE;
use super::sockets::Kept;
use crate::model::gap::GapOf;
use crate::model::{GapWhat, Holder, HolderKind, KindSet, NsId, NsKind, NsName, Observations, Pid, Tid};
use crate::proc::root::{for_children_name, link_name};
use crate::proc::{ProcRoot, is_gone};
use crate::sys::dir::{self, ShortPath};
use crate::sys::mount::StatMount;
use crate::sys::netlink::RouteSocket;
use crate::sys::{Errno, SysError, errno_name, nsfs};

/// A way to open a namespace.
#[derive(Clone, Debug)]
enum Way {
    /// The link of a task in it.
    Task(Pid, Tid),
    /// The link that names where the children of a task will be.
    ForChildren(Pid, Tid),
    /// A descriptor of a process.
    Fd(Pid, u32),
    /// A mount point in a mount namespace.
    BindMount(NsId, Vec<u8>),
}

/// What stands for "it is there, but no path leads to it": no system call has failed.
const UNREACHABLE: Errno = Errno::EXDEV;

/// More ways than this are not kept for one namespace, apart from the processes in it, which can all be tried.
const MOST_WAYS: usize = 8;

/// The second pass: from names to open namespaces.
pub(super) struct Visitor<'a> {
    pub(super) root: &'a ProcRoot,
    pub(super) kinds: KindSet,
    pub(super) observations: Observations,
    pub(super) stat_mount: StatMount,
    /// Opened when the first network namespace is met.
    pub(super) route: Option<Result<RouteSocket, SysError>>,
    /// What could not be opened so far, and why.
    refused: HashMap<NsName, Errno>,
    /// What is open already, because only a socket holds it.
    kept: Kept,
    /// The device of nsfs; `None` where there is nothing behind the links.
    nsfs_device: Option<u64>,
    ways: HashMap<NsName, Vec<Way>>,
    queue: VecDeque<NsName>,
    queued: HashSet<NsName>,
    /// The kind of namespaces that somebody wants to have open in the end.
    pub(super) keep: Option<NsKind>,
    /// Those of that kind.
    pub(super) open_still: HashMap<NsId, OwnedFd>,
    /// The namespace that somebody wants to have open in the end.
    wanted: Option<NsId>,
    taken: Option<(NsKind, OwnedFd)>,
}

impl<'a> Visitor<'a> {
    pub(super) fn new(root: &'a ProcRoot, kinds: KindSet, observations: Observations, kept: Kept) -> Visitor<'a> {
        let mut visitor = Visitor {
            root,
            kinds,
            observations: Observations::default(),
            stat_mount: StatMount::new(),
            route: None,
            refused: HashMap::new(),
            kept: Kept::new(),
            nsfs_device: root.own_process().and_then(|own| own.nsfs_device()).ok().filter(|_| root.is_live()),
            ways: HashMap::new(),
            queue: VecDeque::new(),
            queued: HashSet::new(),
            keep: None,
            open_still: HashMap::new(),
            wanted: None,
            taken: None,
        };
        let mut recent = [None; 8];
        for process in &observations.processes {
            for kind in NsKind::ALL {
                let Some(id) = process.ns[kind.index()] else { continue };
                // Neighbours in /proc are mostly in the same namespaces, and one of them is enough.
                if recent[kind.index()].replace(id) != Some(id) {
                    visitor.add_way(NsName { kind, id }, Way::Task(process.pid, Tid(process.pid.0)));
                }
            }
        }
        for thread in &observations.threads {
            for kind in NsKind::ALL {
                if let Some(id) = thread.ns[kind.index()] {
                    visitor.add_way(NsName { kind, id }, Way::Task(thread.pid, thread.tid));
                }
            }
        }
        for task in &observations.for_children {
            visitor.add_way(task.name, Way::ForChildren(task.pid, task.tid));
        }
        for (name, holder) in &observations.holders {
            match way_through(holder) {
                Some(way) => visitor.add_way(*name, way),
                // A socket is no way any more; what it holds was kept open, if there was room.
                None => visitor.queue_up(*name),
            }
        }
        visitor.kept = kept;
        visitor.observations = observations;
        visitor
    }

    /// Visits everything, and returns the namespace with this inode, open.
    pub(super) fn take(mut self, id: NsId) -> Option<(NsKind, OwnedFd)> {
        self.wanted = Some(id);
        self.run();
        for source in super::PER_HOST {
            if self.taken.is_none() {
                source(&mut self);
            }
        }
        self.taken
    }

    /// Returns everything that was found. What could not be opened by any way, listns(2) included, is a gap.
    pub(super) fn into_observations(mut self) -> Observations {
        let mut refused = std::mem::take(&mut self.refused);
        refused.retain(|name, _| !self.observations.relations.contains_key(name));
        for name in self.unmounted(&refused) {
            refused.remove(&name);
        }
        for (name, errno) in refused {
            let errno = (errno != UNREACHABLE).then(|| errno_name(errno));
            self.observations.gaps.add(GapWhat::Relations, GapOf::Namespace(name.id), errno);
        }
        self.observations
    }

    /// Looks again for what no path has led to, and returns what was unmounted meanwhile: that has gone, and is no gap. A path in a
    /// mount namespace that is no more need not say so (`RESOLVE_CACHED` answers `EAGAIN`).
    ///
    /// Every mount namespace is looked into once, however many bind mounts somebody has made there.
    fn unmounted(&mut self, refused: &HashMap<NsName, Errno>) -> Vec<NsName> {
        let in_doubt = |name: &NsName| matches!(refused.get(name), Some(&UNREACHABLE | &Errno::EAGAIN));
        let mut places: HashMap<NsName, HashSet<NsId>> = HashMap::new();
        for (name, holder) in self.observations.holders.iter().filter(|(name, _)| in_doubt(name)) {
            if let Some(mnt_ns) = holder.mnt_ns.filter(|_| holder.kind == HolderKind::BindMount) {
                places.entry(*name).or_default().insert(mnt_ns);
            }
        }
        let mnt_namespaces: HashSet<NsId> = places.values().flatten().copied().collect();
        let mounted: HashMap<NsId, Option<HashSet<NsName>>> =
            mnt_namespaces.into_iter().map(|mnt_ns| (mnt_ns, super::mounts::mounted(self, mnt_ns))).collect();
        // Where one cannot be looked into again, what was there counts as being there.
        let is_there = |name: &NsName, mnt_ns: &NsId| {
            mounted.get(mnt_ns).and_then(Option::as_ref).is_none_or(|mounted| mounted.contains(name))
        };
        places.retain(|name, mnt_namespaces| !mnt_namespaces.iter().any(|mnt_ns| is_there(name, mnt_ns)));
        places.into_keys().collect()
    }

    fn add_way(&mut self, name: NsName, way: Way) {
        let ways = self.ways.entry(name).or_default();
        if ways.len() < MOST_WAYS {
            ways.push(way);
        }
        self.queue_up(name);
    }

    fn queue_up(&mut self, name: NsName) {
        if self.queued.insert(name) {
            self.queue.push_back(name);
        }
    }

    /// Takes in a holder that was found during the second pass.
    pub(super) fn found(&mut self, name: NsName, holder: Holder) {
        if let Some(way) = way_through(&holder) {
            self.add_way(name, way);
        }
        self.observations.holders.push((name, holder));
    }

    /// Visits everything that is queued, and what turns up meanwhile.
    pub(super) fn run(&mut self) {
        while let Some(name) = self.queue.pop_front().filter(|_| self.taken.is_none()) {
            if self.observations.relations.contains_key(&name) {
                continue;
            }
            let kept = self.kept.remove(&name.id);
            match kept.map_or_else(|| self.open(name), Ok) {
                Ok(namespace) => self.visit_owned(name, namespace),
                Err(errno) if is_gone(errno) => {}
                Err(errno) => {
                    self.refused.insert(name, errno);
                }
            }
        }
    }

    /// As [`Visitor::visit`], and leaves the namespace open where that is wanted.
    pub(super) fn visit_owned(&mut self, name: NsName, namespace: OwnedFd) {
        self.visit(name, namespace.as_fd());
        if self.keep == Some(name.kind) {
            self.open_still.entry(name.id).or_insert(namespace);
        }
    }

    /// Asks all sources about an open namespace, unless that was done before.
    pub(super) fn visit(&mut self, name: NsName, namespace: BorrowedFd<'_>) {
        if self.observations.relations.contains_key(&name) {
            return;
        }
        self.observations.relations.insert(name, crate::model::Relations::default());
        if self.wanted == Some(name.id) {
            self.taken = namespace.try_clone_to_owned().ok().map(|namespace| (name.kind, namespace));
        }
        for source in PER_NAMESPACE {
            source(self, name, namespace);
        }
    }

    /// Opens a namespace; what is returned has the inode that was asked for.
    pub(super) fn open(&self, name: NsName) -> Result<OwnedFd, Errno> {
        let is_it = |namespace: &OwnedFd| nsfs::inode(namespace.as_fd()).is_ok_and(|id| id == Some(name.id));
        // Without a live tree there is nothing behind the links.
        if !self.root.is_live() {
            return Err(Errno::ENOENT);
        }
        let ways = self.ways.get(&name).map_or(&[][..], Vec::as_slice);
        let mut refused = if ways.is_empty() { UNREACHABLE } else { Errno::ENOENT };
        let mut attempt = |way: &Way| match self.open_way(name.kind, way) {
            Ok(namespace) => Some(namespace).filter(is_it),
            Err(errno) => {
                // Somebody who has gone is no reason; a refusal is.
                if !is_gone(errno) {
                    refused = errno;
                }
                None
            }
        };
        ways.iter()
            .find_map(&mut attempt)
            .map_or_else(
                || {
                    // All that were noted have gone or refuse: any other member will do.
                    self.members(name).map(|pid| Way::Task(pid, Tid(pid.0))).find_map(|way| attempt(&way)).ok_or(())
                },
                Ok,
            )
            .map_err(|()| refused)
    }

    /// Goes through the processes in a namespace.
    pub(super) fn members(&self, name: NsName) -> impl Iterator<Item = Pid> {
        self.observations
            .processes
            .iter()
            .filter(move |process| process.ns[name.kind.index()] == Some(name.id))
            .map(|process| process.pid)
    }

    fn open_way(&self, kind: NsKind, way: &Way) -> Result<OwnedFd, Errno> {
        let task = |pid: Pid, tid: Tid, link: &str| {
            let path = ShortPath::new().text("task/").number(tid.0).text("/ns/").text(link);
            self.root.process(pid)?.open_ns(path.as_c_str())
        };
        match way {
            Way::Task(pid, tid) if pid.0 == tid.0 => {
                let path = ShortPath::new().text("ns/").text(kind.name());
                self.root.process(*pid)?.open_ns(path.as_c_str())
            }
            Way::Task(pid, tid) => task(*pid, *tid, link_name(kind).to_str().unwrap_or_default()),
            Way::ForChildren(pid, tid) => {
                let link = for_children_name(kind).and_then(|link| link.to_str().ok()).ok_or(Errno::ENOENT)?;
                task(*pid, *tid, link)
            }
            // The magic link leads to the namespace itself, whatever the descriptor was opened for.
            Way::Fd(pid, fd) => self.open_fd(*pid, *fd),
            Way::BindMount(mnt_ns, path) => self.open_bind_mount(*mnt_ns, path),
        }
    }

    /// Opens what a descriptor of a process is open on, once it has proved to be a namespace: opening anything else of a stranger's
    /// could have effects.
    fn open_fd(&self, pid: Pid, fd: u32) -> Result<OwnedFd, Errno> {
        let process = self.root.process(pid)?;
        let path = dir::open_path_any(process.as_fd(), ShortPath::new().text("fd/").number(fd).as_c_str())?;
        // What is no namespace any more was closed: another file has its number now.
        self.reopen(&path).map_err(|errno| if errno == UNREACHABLE { Errno::ENOENT } else { errno })
    }

    /// Opens the namespace that is mounted at `path` in a mount namespace, by way of the root of one of its members.
    fn open_bind_mount(&self, mnt_ns: NsId, path: &[u8]) -> Result<OwnedFd, Errno> {
        /// A member may have another root than its mount namespace; the next one may not.
        const MOST_MEMBERS: usize = 4;
        let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
        let mut refused = Errno::ENOENT;
        let members = NsName { kind: NsKind::Mnt, id: mnt_ns };
        let threads = self
            .observations
            .threads
            .iter()
            .filter(|thread| thread.ns[NsKind::Mnt.index()] == Some(mnt_ns))
            .map(|thread| Pid(thread.tid.0));
        for pid in self.members(members).chain(threads).take(MOST_MEMBERS) {
            let opened = self.root.process(pid).and_then(|process| process.root_dir()).and_then(|root| {
                let point = open_cached(root.as_fd(), &path)?;
                self.reopen(&point)
            });
            match opened {
                Ok(namespace) => return Ok(namespace),
                Err(errno) => refused = errno,
            }
        }
        // A mount that is hidden below another, or in a namespace that nobody is in, cannot be reached. That is a refusal, not a
        // sign that it has gone.
        Err(if is_gone(refused) { UNREACHABLE } else { refused })
    }

    fn reopen(&self, path_fd: &OwnedFd) -> Result<OwnedFd, Errno> {
        // To ask which file system it is on would be to ask that file system; its device the kernel knows by itself.
        if Some(dir::identify(path_fd.as_fd())?.id.dev) != self.nsfs_device {
            return Err(UNREACHABLE);
        }
        dir::reopen_read(self.root.own_process()?.as_fd(), path_fd.as_fd())
    }
}

/// Opens a path below a root without asking any file system. The walk is disturbed by whoever mounts something anywhere, and says
/// `EAGAIN` then, as it does for what only the file system knows: so it is made again, but not for long.
fn open_cached(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    const MOST_TRIES: u32 = 32;
    let attempt = || dir::open_cached_in_root(root, path);
    (1..MOST_TRIES).map(|_| attempt()).find(|opened| !matches!(opened, Err(Errno::EAGAIN))).unwrap_or_else(attempt)
}

fn way_through(holder: &Holder) -> Option<Way> {
    match holder.kind {
        // A thread may have descriptors of its own, and then they are found below its own number.
        HolderKind::Fd => Some(Way::Fd(holder.tid.map_or(holder.pid, |tid| Some(Pid(tid.0)))?, holder.fd?)),
        HolderKind::BindMount => Some(Way::BindMount(holder.mnt_ns?, holder.path.clone()?)),
        _ => None,
    }
}
