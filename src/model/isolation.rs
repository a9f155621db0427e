//! All that isolates one process, as it was found: plain facts, each `None` or empty where it could not be seen, with the reason in
//! [`Isolation::unseen`].
//!
//! Not here: reading them (`inspect`), what is dangerous about them (`inspect::weak`), cgroups and their limits (`cgroup`).

mod mount;

pub use mount::{Mount, MountRole, has_option};

use super::caps::CapSet;
use super::container::Container;
use super::id::{NsId, NsName, Pid, Uid};
use super::kind::NsKind;

/// The facts on one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// Who it is.
    pub identity: Identity,
    /// Its namespaces, one for each kind that the kernel has, in the order of [`NsKind::ALL`].
    pub namespaces: Vec<Membership>,
    /// Its ids, and which they are elsewhere.
    pub ids: Ids,
    /// What it may do.
    pub powers: Powers,
    /// Its root directory, as the caller's /proc names it: within the mount namespace of the process.
    pub root: Option<Vec<u8>>,
    /// Its working directory, likewise.
    pub cwd: Option<Vec<u8>>,
    /// The mounts below its root that nothing else is mounted over; `None` where they may not be seen.
    pub mounts: Option<Vec<Mount>>,
    /// Whether these are mounts of the caller's own mount namespace.
    pub mounts_callers: bool,
    /// How many mounts are covered by others.
    pub mounts_hidden: usize,
    /// Its network namespace.
    pub network: Option<Network>,
    /// Its open files; `None` where they may not be seen.
    pub descriptors: Option<Descriptors>,
    /// What getrlimit(2) says, in the order of the kernel's file.
    pub rlimits: Vec<Rlimit>,
    /// oom_score_adj.
    pub oom_score_adj: Option<i32>,
    /// The offsets of its time namespace, in seconds and nanoseconds: monotonic, boottime.
    pub time_offsets: Option<[(i64, u32); 2]>,
    /// The container that it is in.
    pub container: Option<Container>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
}

/// Which process it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The id that it was asked for by: of the process, or of one of its threads.
    pub pid: Pid,
    /// The process, where `pid` is another thread of it than the first.
    pub thread_of: Option<Pid>,
    /// Its id in each pid namespace from that of /proc down to its own.
    pub pids_inside: Vec<Pid>,
    /// Its parent; 0 where it has none in the pid namespace of /proc.
    pub ppid: Pid,
    /// When it started, in clock ticks since boot.
    pub start_time_ticks: u64,
    /// Its state, a letter as in proc_pid_stat(5).
    pub state: u8,
    /// Whether it is a kernel thread.
    pub kernel: bool,
    /// Whether it has ended, and only waits to be reaped.
    pub zombie: bool,
    /// How many threads it has.
    pub nthreads: u32,
    /// Its name.
    pub comm: Vec<u8>,
    /// Its arguments, as far as they are read.
    pub arguments: Vec<Vec<u8>>,
    /// Its environment, where somebody wants to have it.
    pub environment: Option<Vec<Vec<u8>>>,
    /// The file that it runs.
    pub exe: Option<Vec<u8>>,
    /// The id of its session; 0 where that has none in the pid namespace of /proc.
    pub session: u32,
    /// Its controlling terminal, as major and minor number.
    pub tty: Option<(u32, u32)>,
}

/// Whose a namespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The first of its kind on the host.
    Host,
    /// Not known to be the host's, and the caller's.
    Caller,
    /// Its parent process is in it, too.
    Parent,
    /// Neither the host's, nor the caller's, nor that of its parent process.
    Own,
    /// Neither the host's nor the caller's; of the parent process nothing is known.
    Foreign,
}

/// A namespace that a process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its kind.
    pub kind: NsKind,
    /// Its inode; `None` where it may not be seen.
    pub id: Option<NsId>,
    /// Whether it is the host's first; `None` where that cannot be known.
    pub initial: Option<bool>,
    /// Whether the caller is in it.
    pub callers: Option<bool>,
    /// Whether the parent process is in it; `None` where there is none, or it may not be seen.
    pub parents: Option<bool>,
    /// The user namespace that owns it; for a user namespace its parent.
    pub owner: Option<NsId>,
    /// The pid namespace above it.
    pub parent: Option<NsId>,
    /// The uid that made it: user namespaces only.
    pub owner_uid: Option<Uid>,
    /// The namespace that children will be in, where that is another one: pid and time only.
    pub for_children: Option<NsId>,
}

impl Membership {
    /// Says whose it is, by the strongest relation there is; `None` where its number may not be seen.
    pub fn whose(&self) -> Option<Whose> {
        self.id?;
        Some(match (self.initial, self.callers, self.parents) {
            (Some(true), ..) => Whose::Host,
            (_, Some(true), _) => Whose::Caller,
            (_, _, Some(true)) => Whose::Parent,
            (_, _, Some(false)) => Whose::Own,
            (_, _, None) => Whose::Foreign,
        })
    }

    /// Says whether it is shared with the host, or, where it cannot be known what the host's is, with the caller.
    pub fn is_shared(&self) -> bool {
        matches!(self.whose(), Some(Whose::Host | Whose::Caller))
    }
}

/// Ids of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// Real, effective, saved uid and that for files, as the caller's user namespace has them.
    pub uids: Option<[u32; 4]>,
    /// Likewise the gids.
    pub gids: Option<[u32; 4]>,
    /// Supplementary groups, as the caller's user namespace has them.
    pub groups: Vec<u32>,
    /// The map of its user namespace, as the caller may read it: first id inside, first outside, how many.
    pub uid_map: Option<Vec<[u32; 3]>>,
    /// Likewise of gids.
    pub gid_map: Option<Vec<[u32; 3]>>,
    /// Whether "outside" in the maps is the parent of the process's user namespace, because the caller is in the same; else it is the
    /// caller's user namespace. See user_namespaces(7).
    pub outside_is_parent: bool,
    /// Whether setgroups(2) is forbidden in its user namespace.
    pub setgroups_denied: Option<bool>,
}

/// What a process may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Powers {
    /// Its capabilities, which hold in its user namespace.
    pub effective: CapSet,
    /// What it can make effective.
    pub permitted: CapSet,
    /// What is kept over execve(2) of a file that wants it.
    pub inheritable: CapSet,
    /// What it can gain at most.
    pub bounding: CapSet,
    /// What is kept over execve(2) of any file.
    pub ambient: CapSet,
    /// All capabilities that the kernel has.
    pub all: CapSet,
    /// Whether it cannot gain privileges by execve(2).
    pub no_new_privs: Option<bool>,
    /// 0 for none, 1 for strict, 2 for filters; `None` where the kernel does not tell.
    pub seccomp: Option<u32>,
    /// How many filters (Linux 5.9).
    pub seccomp_filters: Option<u32>,
    /// The label of a security module, as far as there is one.
    pub label: Option<Label>,
}

/// What a security module calls a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The module: `apparmor`, `smack`, `selinux`; `None` where the file does not tell.
    pub module: Option<&'static str>,
    /// The label, without its mode.
    pub text: Vec<u8>,
    /// For AppArmor whether it is enforced, complains, …
    pub mode: Option<Vec<u8>>,
}

/// What a network namespace has, as its /proc/PID/net tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The names of its links.
    pub links: Vec<Vec<u8>>,
    /// Its addresses.
    pub addresses: Vec<Address>,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: std::net::IpAddr,
    /// The length of its prefix, where it is known.
    pub prefix: Option<u8>,
    /// The link that has it, where it is known.
    pub link: Option<Vec<u8>>,
}

/// The open files of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// How many there are.
    pub total: usize,
    /// Files that have a path.
    pub files: usize,
    /// Sockets.
    pub sockets: usize,
    /// Pipes.
    pub pipes: usize,
    /// Files in memory, memfd_create(2).
    pub memfds: usize,
    /// Whatever else: eventfd, epoll, pidfd, namespaces, …
    pub other: usize,
    /// Those that lead out of what isolates the process, the first of them.
    pub outside: Vec<Outside>,
    /// How many more lead out.
    pub outside_more: usize,
    /// Whether there are more descriptors than were looked at.
    pub cut: bool,
}

/// How a descriptor leads out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A file that no mount of the process leads to: of another mount namespace, or outside of its root directory.
    File,
    /// A directory of that sort, from which all that is below and above it can be reached.
    Directory,
    /// A device node, with its numbers: whether it is a block device, major, minor.
    Device(bool, u32, u32),
    /// A namespace that the process is not in.
    Namespace(NsName),
    /// A socket in another network namespace.
    Socket(NsId),
    /// Another process, that is not in the process's pid namespace.
    Process(Option<Pid>),
    /// Something of the kernel's that gives power: BPF, performance counters, virtual machines.
    Kernel,
}

impl Way {
    /// Returns the word that JSON uses.
    pub const fn name(&self) -> &'static str {
        match self {
            Way::File => "file",
            Way::Directory => "directory",
            Way::Device(..) => "device",
            Way::Namespace(_) => "namespace",
            Way::Socket(_) => "socket",
            Way::Process(_) => "process",
            Way::Kernel => "kernel",
        }
    }
}

/// A descriptor that leads out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its number.
    pub fd: u32,
    /// How it leads out.
    pub way: Way,
    /// What its link says.
    pub link: Vec<u8>,
    /// Whether it may be written to.
    pub writable: bool,
}

/// A limit of getrlimit(2); `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// Its name without `RLIMIT_`, in small letters: `nofile`.
    pub name: &'static str,
    /// What counts.
    pub soft: Option<u64>,
    /// Up to what that may be raised.
    pub hard: Option<u64>,
    /// Whether process 1 has the same; `None` where that is not known.
    pub as_init: Option<bool>,
}

/// What could not be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Its namespaces.
    Namespaces,
    /// Who owns its namespaces.
    Owners,
    /// The namespaces of its parent process.
    ParentProcess,
    /// Its root directory.
    Root,
    /// Its working directory.
    Cwd,
    /// The file that it runs.
    Exe,
    /// Its environment.
    Environment,
    /// Its uid and gid maps.
    Maps,
    /// Its mounts.
    Mounts,
    /// Its descriptors.
    Descriptors,
    /// The network namespaces of its sockets.
    Sockets,
    /// Its addresses.
    Network,
    /// Its cgroup and limits.
    Cgroup,
    /// The label of a security module.
    Label,
}

impl Part {
    /// Returns the word that JSON uses.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Namespaces => "namespaces",
            Part::Owners => "owners",
            Part::ParentProcess => "parent_process",
            Part::Root => "root",
            Part::Cwd => "cwd",
            Part::Exe => "exe",
            Part::Environment => "environment",
            Part::Maps => "maps",
            Part::Mounts => "mounts",
            Part::Descriptors => "descriptors",
            Part::Sockets => "sockets",
            Part::Network => "network",
            Part::Cgroup => "cgroup",
            Part::Label => "label",
        }
    }
}

/// Something that could not be seen, and the name of the errno; `None` where no system call has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unseen {
    /// What it is.
    pub part: Part,
    /// Why.
    pub errno: Option<&'static str>,
}

impl Isolation {
    /// Returns the namespace of a kind.
    pub fn namespace(&self, kind: NsKind) -> Option<&Membership> {
        self.namespaces.iter().find(|namespace| namespace.kind == kind)
    }

    /// Says whether a namespace is shared with the host, or, where that cannot be told, with the caller; `None` where it may not be seen.
    pub fn shares(&self, kind: NsKind) -> Option<bool> {
        self.namespace(kind)?.whose()?;
        self.namespace(kind).map(Membership::is_shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_relation_counts() {
        let of = |initial, callers, parents| {
            let namespace = Membership {
                kind: NsKind::Net,
                id: NsId::new(7),
                initial,
                callers,
                parents,
                owner: None,
                parent: None,
                owner_uid: None,
                for_children: None,
            };
            namespace.whose().expect("a number")
        };
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(of(yes, yes, yes), Whose::Host);
        assert_eq!(of(None, yes, yes), Whose::Caller);
        assert_eq!(of(no, no, yes), Whose::Parent);
        assert_eq!(of(no, no, no), Whose::Own);
        assert_eq!(of(no, no, None), Whose::Foreign);
    }
}
