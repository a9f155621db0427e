//! What `nsx run` was asked for. Plain data; parsing the command line is `cmd`'s.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cgroup::change::Asked;
use crate::launch::request::Timeout;
use crate::model::{CapSet, KindSet};
use crate::select::Target;

/// How the ids inside are ids outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserNs {
    /// Root inside, on ids that nobody else has: a private range for root, subordinate ids for others, else the caller's id alone.
    Auto,
    /// Root inside is the caller, and there is no other id; for root: the private range, as with `Auto`.
    Root,
    /// The caller is itself inside, and there is no other id.
    Keep,
    /// No user namespace.
    Host,
    /// These.
    Map {
        /// Of users: id inside, id outside, how many.
        uids: Vec<[u32; 3]>,
        /// Of groups.
        gids: Vec<[u32; 3]>,
    },
}

/// The root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// The host's, read-only, with private /tmp, /var/tmp and /run.
    Host {
        /// Whether home directories are shown, read-only as all else.
        home: bool,
    },
    /// This directory.
    Directory {
        /// Where it is.
        path: PathBuf,
        /// Whether it may not be written to.
        read_only: bool,
    },
}

/// Something of the host's that is shown inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// What, as the caller sees it.
    pub source: PathBuf,
    /// Where; absolute, without `..`.
    pub target: PathBuf,
    /// Whether it may not be written to.
    pub read_only: bool,
}

/// An empty directory in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmpfs {
    /// Where; absolute, without `..`.
    pub target: PathBuf,
    /// How large it may become, in bytes; `None` is what the kernel gives: half of the memory.
    pub size_bytes: Option<u64>,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Net {
    /// None but loopback.
    None,
    /// The host's.
    Host,
    /// That of somebody else.
    Target(Target),
}

/// Whom the command runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user, by number or by the name that the root directory's /etc/passwd has for it.
    pub user: NameOrId,
    /// The group; `None` is what /etc/passwd says, else the number of the user.
    pub group: Option<NameOrId>,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameOrId {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

/// A resource limit, see prlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// Which one: the number of `RLIMIT_…`.
    pub resource: u32,
    /// Its name, as prlimit(1) has it.
    pub name: &'static str,
    /// What counts; `None` is unlimited.
    pub soft: Option<u64>,
    /// How far that may be raised.
    pub hard: Option<u64>,
}

/// How far clocks inside are ahead, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeOffset {
    /// `CLOCK_MONOTONIC`.
    pub monotonic_nsec: i128,
    /// `CLOCK_BOOTTIME`.
    pub boottime_nsec: i128,
}

/// Limits of the cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What is set in it.
    pub asked: Vec<Asked>,
    /// The cgroup to make it in: a path in its hierarchy, or a directory below a mount of one.
    pub parent: Option<PathBuf>,
}

impl Limits {
    /// Says whether a cgroup is needed at all.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.parent.is_none()
    }
}

/// The environment of the command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Whether nothing of the caller's is taken over.
    pub clear: bool,
    /// Variables that are set, in order; without a value they are the caller's.
    pub set: Vec<(OsString, Option<OsString>)>,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// Limits of the cgroup; none is no cgroup of its own.
    pub limits: Limits,
    /// Ids.
    pub userns: UserNs,
    /// Kinds of namespace that stay the caller's: of `cgroup ipc net pid time uts`. `net` is in it where `net` is `Net::Host`.
    pub share: KindSet,
    /// The root directory.
    pub root: Root,
    /// What is shown of the host, in order.
    pub binds: Vec<Bind>,
    /// Empty directories.
    pub tmpfs: Vec<Tmpfs>,
    /// The network.
    pub net: Net,
    /// The host name; `None` is the name of the sandbox, or `nsx`.
    pub hostname: Option<OsString>,
    /// Whom the command runs as; `None` is root inside (`UserNs::Keep`, `Host`: the caller).
    pub user: Option<User>,
    /// Capabilities beside the default ones.
    pub cap_add: CapSet,
    /// Capabilities that it does not get.
    pub cap_drop: CapSet,
    /// Whether execve(2) gives no privileges.
    pub no_new_privs: bool,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    /// Whether parts of /proc and /sys are hidden or read-only.
    pub mask: bool,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// How readily it is killed where memory is short, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// How far its clocks are ahead.
    pub time_offset: Option<TimeOffset>,
    /// The environment.
    pub environment: Environment,
    /// The working directory inside.
    pub directory: Option<PathBuf>,
    /// Descriptors that the command gets beside the standard streams.
    pub keep_fds: Vec<i32>,
    /// How long it may take.
    pub timeout: Option<Timeout>,
    /// Whether nsx's init is the first process; else the command is.
    pub init: bool,
    /// Whether nsx does not wait for it.
    pub detach: bool,
    /// Whether somebody wants to hear at once that the command runs.
    pub watched: bool,
    /// Its name.
    pub name: Option<String>,
    /// The command and its arguments; none is a shell.
    pub command: Vec<OsString>,
}

impl Default for RunRequest {
    /// Everything isolated, nothing limited, nothing of the host's shown but its root directory; and no command.
    fn default() -> RunRequest {
        RunRequest {
            limits: Limits::default(),
            userns: UserNs::Auto,
            share: KindSet::NONE,
            root: Root::Host { home: false },
            binds: Vec::new(),
            tmpfs: Vec::new(),
            net: Net::None,
            hostname: None,
            user: None,
            cap_add: CapSet::EMPTY,
            cap_drop: CapSet::EMPTY,
            no_new_privs: true,
            seccomp: true,
            mask: true,
            rlimits: Vec::new(),
            oom_score_adj: None,
            time_offset: None,
            environment: Environment::default(),
            directory: None,
            keep_fds: Vec::new(),
            timeout: None,
            init: true,
            detach: false,
            watched: false,
            name: None,
            command: Vec::new(),
        }
    }
}
