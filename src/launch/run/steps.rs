//! What a plan of `nsx run` consists of: steps, who makes them, and what is known of the host when they are chosen. Plain data.

use std::ffi::OsString;
use std::fmt;

use super::request::{Rlimit, TimeOffset};
use crate::model::{CapSet, KindSet};

/// Who makes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// nsx itself, outside.
    Nsx,
    /// The stub, outside: it makes the first process, and cleans up when nsx is killed.
    Stub,
    /// The first process inside.
    Init,
    /// The process that becomes the command.
    Command,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Who::Nsx => "nsx",
            Who::Stub => "stub",
            Who::Init => "init",
            Who::Command => "command",
        })
    }
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// What nsx has opened, with this place among the trees that it holds.
    Held(usize),
    /// What is at this path outside.
    Path(Vec<u8>),
}

/// What has to be there for a mount to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountPoint {
    /// It is there.
    There,
    /// A directory has to be made.
    Directory,
    /// A file has to be made.
    File,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Makes cgroups and sets their limits: the step of `limits::CgroupPlan` with this place.
    Limit(usize),
    /// Leaves the caller's session, and its terminal.
    NewSession,
    /// Enters the network namespace that was named.
    EnterNet,
    /// Makes the first process, in new namespaces of these kinds.
    Clone {
        /// The kinds.
        kinds: KindSet,
        /// The place of the cgroup that it is born into.
        into_cgroup: Option<usize>,
        /// Whether clone3(2) may be used.
        clone3: bool,
    },
    /// Writes the id map of the new user namespace, of the caller's id alone.
    WriteOwnMap {
        /// The line of uid_map.
        uids: String,
        /// The line of gid_map.
        gids: String,
    },
    /// Takes the mounts that will be the root directory.
    TakeRoot {
        /// Which ones.
        origin: Origin,
        /// Whether nothing is written to them.
        read_only: bool,
    },
    /// Makes the root directory in memory, with what is in the host's shown in it.
    MakeRoot {
        /// Whether nothing is written to what is shown.
        read_only: bool,
        /// The names of directories and files that are shown: whether it is a directory.
        shown: Vec<(Vec<u8>, bool)>,
        /// Symbolic links: name, target.
        links: Vec<(Vec<u8>, Vec<u8>)>,
    },
    /// Enters a new mount namespace that is a copy of the host's mounts, without a change of the root directory.
    EnterCopy,
    /// Has nothing written to that copy.
    ProtectCopy,
    /// Makes procfs of the new pid namespace; where it may not be, the one that is there is shown.
    TakeProc {
        /// Whether it is the one that is there.
        shared: bool,
    },
    /// Makes sysfs of the new network namespace; where it may not be, the one that is there is shown.
    TakeSys {
        /// Whether it is the one that is there.
        shared: bool,
    },
    /// Has nothing that is mounted or unmounted inside happen outside.
    KeepMountsInside,
    /// Takes device nodes of the host.
    TakeDevices(Vec<&'static str>),
    /// Takes what is to be shown inside: the bind with this place.
    TakeBind {
        /// Its place.
        index: usize,
        /// What it shows.
        source: Vec<u8>,
        /// Whether nothing is written to it.
        read_only: bool,
    },
    /// Writes the id maps of the new user namespace.
    WriteMaps,
    /// Opens the files by which these cgroups are joined: the place of each, and the file.
    TakeCgroups(Vec<(usize, &'static str)>),
    /// Moves itself into so many of them.
    JoinCgroups(usize),
    /// Has what nsx has opened look as if its owners were inside: idmapped mounts.
    MapOwners,
    /// Lets the stub, or the first process, go on.
    Release,
    /// Waits until the cgroups are there.
    AwaitCgroups,
    /// Waits for being released.
    AwaitRelease,
    /// Becomes root of the new user namespace.
    BecomeRoot {
        /// Its uid, which is another one where there is no root.
        uid: u32,
        /// Its gid.
        gid: u32,
        /// Whether supplementary groups may be given up.
        groups: bool,
    },
    /// Has an empty session keyring in place of the caller's.
    NewKeyring,
    /// Has nobody inside make a cgroup namespace.
    ForbidCgroupNamespaces,
    /// Leaves namespaces that the first process need not be born into.
    Unshare(KindSet),
    /// Sets clocks ahead.
    SetClocks(TimeOffset),
    /// Dies when nsx does.
    DieWithNsx,
    /// Dies when the first process does, which is not the kernel's to see to in a pid namespace that is shared.
    DieWithInit,
    /// Makes the tree that was taken the root directory, and lets go of the host's.
    ChangeRoot,
    /// Attaches procfs.
    MountProc,
    /// Attaches sysfs.
    MountSys,
    /// Shows the cgroups that the command may see, at /sys/fs/cgroup.
    MountCgroups,
    /// Has nothing written to the root directory in memory any more.
    SealRoot,
    /// Makes /dev.
    MountDev {
        /// The device nodes.
        devices: Vec<&'static str>,
        /// Whether terminals can belong to the group `tty`, 5.
        tty_group: bool,
        /// Whether there are message queues.
        mqueue: bool,
    },
    /// Puts an empty directory in memory somewhere.
    MountTmpfs {
        /// Where.
        path: Vec<u8>,
        /// Its permissions.
        mode: u32,
        /// How large it may become.
        size_bytes: Option<u64>,
        /// Whether the directory has to be made.
        make: Vec<Vec<u8>>,
    },
    /// Makes directories, and hands the last one to a user.
    MakeHome {
        /// The directories, from above.
        paths: Vec<Vec<u8>>,
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// Shows something of the host's.
    AttachBind {
        /// Its place.
        index: usize,
        /// What it shows.
        origin: Origin,
        /// Where.
        target: Vec<u8>,
        /// Directories that have to be made above it.
        make: Vec<Vec<u8>>,
        /// What it is attached to.
        point: MountPoint,
    },
    /// Hides a file or directory of /proc or /sys.
    Mask {
        /// Which one.
        path: &'static str,
        /// Whether it is a directory.
        directory: bool,
    },
    /// Has nothing written below a directory of /proc.
    Protect(&'static str),
    /// Sets the host name.
    SetHostName(OsString),
    /// Brings loopback up.
    LoopbackUp,
    /// Sets a resource limit.
    SetRlimit(Rlimit),
    /// Says how readily all this is killed where memory is short.
    SetOomScore(i32),
    /// The same, where that is less than before: it takes a capability outside.
    SpareFromOom(i32),
    /// Raises a resource limit beyond what it was: it takes a capability outside.
    RaiseRlimit(Rlimit),
    /// Makes the command's terminal, and hands its near side to nsx.
    OpenTerminal,
    /// Makes the process that becomes the command.
    Fork {
        /// Whether it gets a terminal of its own.
        terminal: bool,
    },
    /// Changes the working directory to the first of these that is there.
    ChangeDirectory {
        /// The paths.
        paths: Vec<Vec<u8>>,
        /// Whether the first has to be there.
        required: bool,
    },
    /// Takes capabilities out of the bounding set.
    DropBounding(CapSet),
    /// Changes the ids.
    BecomeUser {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// Supplementary groups; `None` where they may not be set.
        groups: Option<Vec<u32>>,
    },
    /// Leaves the command these capabilities.
    LimitCaps {
        /// Which ones.
        kept: CapSet,
        /// Those that are ambient, because the command is not root.
        ambient: CapSet,
    },
    /// Gives up gaining privileges by execve(2).
    NoNewPrivs,
    /// Filters system calls.
    Filter,
    /// Becomes the command.
    Exec,
    /// Reaps, passes signals on, and reports the command's end.
    Serve,
    /// Waits for the end of nsx, or of the sandbox, and leaves nothing behind.
    CleanUp,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who makes it.
    pub who: Who,
    /// What it does.
    pub action: Action,
    /// Why.
    pub why: String,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What a user should know.
    pub notes: Vec<String>,
    /// The kinds of namespace that are new.
    pub created: KindSet,
}

impl Plan {
    /// Says whether it has a step like this.
    pub fn has(&self, is: impl Fn(&Action) -> bool) -> bool {
        self.steps.iter().any(|step| is(&step.action))
    }
}

/// What is not to be seen, or only to be looked at, in /proc and /sys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sensitive {
    /// Hidden: path, whether it is a directory.
    pub masked: Vec<(&'static str, bool)>,
    /// Read-only.
    pub read_only: Vec<&'static str>,
}

/// What a directory that is shown needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFacts {
    /// What it shows.
    pub origin: Origin,
    /// Directories that have to be made above its target.
    pub make: Vec<Vec<u8>>,
    /// What it is attached to.
    pub point: MountPoint,
}

/// How the command's user is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFacts {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The home directory.
    pub home: Vec<u8>,
}

/// Who writes the id maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapWriter {
    /// There is no new user namespace.
    Nobody,
    /// The new process: these lines.
    Itself {
        /// Of uid_map.
        uids: String,
        /// Of gid_map.
        gids: String,
    },
    /// nsx, or a program that it starts.
    Nsx,
}

/// What the host says, as far as the plan depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Who writes the id maps.
    pub maps: MapWriter,
    /// Whether setgroups(2) is refused inside.
    pub setgroups_denied: bool,
    /// Whether gid 5 is one inside.
    pub tty_group: bool,
    /// Why each of the steps that make cgroups is made.
    pub limits: Vec<String>,
    /// The cgroups: whether each is of v1.
    pub cgroups: Vec<bool>,
    /// The uid and gid inside of whoever makes the sandbox.
    pub maker: (u32, u32),
    /// Whether somebody inside is who has made the cgroups outside, and may change them where they are shown.
    pub owns_cgroups: bool,
    /// Whether keyctl(2) may be used.
    pub keyrings: bool,
    /// Whether there is clone3(2).
    pub clone3: bool,
    /// Whether a mount namespace can begin as a copy of mounts.
    pub tree_namespaces: bool,
    /// What will be the root directory.
    pub root: RootFacts,
    /// What is shown.
    pub binds: Vec<BindFacts>,
    /// Directories that have to be made for each tmpfs.
    pub tmpfs: Vec<Vec<Vec<u8>>>,
    /// Whether something that nsx holds is to look as if its owners were inside.
    pub maps_owners: bool,
    /// The device nodes that the host has.
    pub devices: Vec<&'static str>,
    /// What to hide in /proc and /sys.
    pub sensitive: Sensitive,
    /// Directories that get an empty one in their place: path, permissions.
    pub private: Vec<(Vec<u8>, u32)>,
    /// The directories to be made for a home.
    pub make_home: Vec<Vec<u8>>,
    /// Whether the root directory has /sys.
    pub sys: bool,
    /// Whether the host has v2 at /sys/fs/cgroup.
    pub cgroup2: bool,
    /// The command's user.
    pub user: UserFacts,
    /// How readily the caller is killed where memory is short.
    pub oom_score_adj: i32,
    /// The hard limits of the caller's resources, for those that are to be set: in their order; `None` is unlimited.
    pub hard_limits: Vec<Option<u64>>,
    /// All capabilities of this kernel.
    pub all_caps: CapSet,
    /// Those that the caller has.
    pub own_caps: CapSet,
    /// Whether one of the standard streams is a terminal.
    pub terminal: bool,
    /// The working directories to try.
    pub directories: Vec<Vec<u8>>,
    /// What a user should know.
    pub notes: Vec<String>,
}

/// What will be the root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootFacts {
    /// A tree of mounts.
    Tree(Origin),
    /// One in memory that shows what is in the host's.
    InMemory {
        /// Directories and files: whether it is a directory.
        shown: Vec<(Vec<u8>, bool)>,
        /// Symbolic links: name, target.
        links: Vec<(Vec<u8>, Vec<u8>)>,
    },
}
