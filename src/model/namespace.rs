//! A namespace, and what keeps it alive.
//!
//! Not here: finding them (`scan`), linking them (`snapshot`).

use super::id::{NsId, Pid, Tid, Uid};
use super::kind::NsKind;

/// A way in which a namespace is kept alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HolderKind {
    /// A process is in it.
    Process,
    /// A thread is in it whose process is in another one.
    Thread,
    /// A task is in another one, but its future children will be in it.
    ForChildren,
    /// A process has a file descriptor of it.
    Fd,
    /// A process has a socket in it.
    Socket,
    /// It is bind-mounted on a file.
    BindMount,
    /// Another namespace lives that it owns, or that is its child.
    Descendant,
    /// The kernel itself: the initial namespaces, and those that listns(2) names while none of the other ways was seen.
    Kernel,
}

impl HolderKind {
    /// Returns the word that JSON and the HELD column use.
    pub const fn name(self) -> &'static str {
        match self {
            HolderKind::Process => "process",
            HolderKind::Thread => "thread",
            HolderKind::ForChildren => "for_children",
            HolderKind::Fd => "fd",
            HolderKind::Socket => "socket",
            HolderKind::BindMount => "bind_mount",
            HolderKind::Descendant => "descendant",
            HolderKind::Kernel => "kernel",
        }
    }
}

/// One thing that keeps a namespace alive. Which of the fields are there depends on the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The way in which it holds.
    pub kind: HolderKind,
    /// The process that holds.
    pub pid: Option<Pid>,
    /// The thread that holds (thread and for_children).
    pub tid: Option<Tid>,
    /// The file descriptor that holds (fd and socket).
    pub fd: Option<u32>,
    /// The mount point that holds, as seen from the root of its mount namespace; any bytes but NUL.
    pub path: Option<Vec<u8>>,
    /// The mount namespace of that mount point.
    pub mnt_ns: Option<NsId>,
    /// The owned or child namespace that holds.
    pub descendant: Option<NsId>,
    /// How many holders this stands for: 1, but for the last that is kept of very many alike.
    pub count: usize,
}

impl Holder {
    /// Returns a holder of this kind, with no other field set.
    pub const fn new(kind: HolderKind) -> Holder {
        Holder { kind, pid: None, tid: None, fd: None, path: None, mnt_ns: None, descendant: None, count: 1 }
    }
}

/// The number that the caller's network namespace has for another one (`RTM_GETNSID` in rtnetlink(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetnsId {
    /// The caller's namespace has no number for it.
    Unassigned,
    /// The number.
    Assigned(u32),
}

/// A namespace, linked to everything else in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its inode number on nsfs.
    pub id: NsId,
    /// Its kind.
    pub kind: NsKind,
    /// Its 64-bit id, which is never reused (`NS_GET_ID`, Linux 6.18).
    pub id64: Option<u64>,
    /// The user namespace that owns it (`NS_GET_USERNS`); for a user namespace that is its parent.
    pub owner: Option<NsId>,
    /// The uid that owns it: for a user namespace the uid that made it (`NS_GET_OWNER_UID`), for any other the uid that
    /// made the user namespace which owns it.
    pub owner_uid: Option<Uid>,
    /// Its parent (`NS_GET_PARENT`): pid and user namespaces only.
    pub parent: Option<NsId>,
    /// The number the caller's network namespace has for it: network namespaces only.
    pub netnsid: Option<NetnsId>,
    /// Whether it is the first of its kind on the host; `None` where that cannot be known.
    pub initial: Option<bool>,
    /// Whether the caller is in it.
    pub own: bool,
    /// The top-most member: the process whose parent is not a member; of several, the oldest.
    pub leader: Option<Pid>,
    /// The processes in it, ascending.
    pub members: Vec<Pid>,
    /// The number of threads in it.
    pub nthreads: u64,
    /// What else keeps it alive: everything but processes, grouped by kind in the order of [`HolderKind`].
    pub holders: Vec<Holder>,
}

impl Namespace {
    /// Returns the number of processes in it.
    pub fn nprocs(&self) -> usize {
        self.members.len()
    }

    /// Goes through the mount points on which it is bind-mounted: path and mount namespace.
    pub fn bind_mounts(&self) -> impl Iterator<Item = (&[u8], Option<NsId>)> {
        self.holders
            .iter()
            .filter(|holder| holder.kind == HolderKind::BindMount)
            .filter_map(|holder| Some((holder.path.as_deref()?, holder.mnt_ns)))
    }

    /// Returns each way in which it is held, with the number of such holders and the first of them.
    pub fn held_by(&self) -> Vec<(Holder, usize)> {
        let mut held = Vec::new();
        if let Some(leader) = self.leader {
            held.push((Holder { pid: Some(leader), ..Holder::new(HolderKind::Process) }, self.members.len()));
        }
        for chunk in self.holders.chunk_by(|a, b| a.kind == b.kind) {
            held.push((chunk[0].clone(), chunk.iter().map(|holder| holder.count).sum()));
        }
        held
    }
}
