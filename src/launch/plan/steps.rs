//! What a plan consists of: steps, who makes them, and why there may be none.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::model::{CapSet, KindSet, NsId, NsKind, Pid};

/// Who makes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// nsx, which then is the command.
    Nsx,
    /// A stub that stands for nsx, outside of the pid namespace.
    Stub,
    /// The process that will be the command.
    Command,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Who::Nsx => "nsx",
            Who::Stub => "stub",
            Who::Command => "command",
        })
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Joins the cgroup with this place in [`Facts::cgroups`](super::Facts::cgroups); it may fail where it is not required.
    JoinCgroup {
        /// Which one.
        index: usize,
        /// Whether it was asked for.
        required: bool,
    },
    /// Enters these of the target's namespaces, in one call if there is a pidfd.
    EnterTarget(KindSet),
    /// Enters a namespace that was given by file.
    EnterFile(NsKind),
    /// Enters the user namespace that owns others, for its privilege.
    EnterOwner(NsId),
    /// Enters the user namespace that `--user-parent` means.
    EnterUserParent,
    /// Makes a mount namespace of one's own.
    PrivateMounts,
    /// Shows the target's root directory at a path in it.
    ShowTarget(PathBuf),
    /// Mounts sysfs of the network namespace.
    MountSys,
    /// Makes the target's root directory, or the one that was given, the root directory.
    ChangeRoot {
        /// Whether it is the target's.
        target: bool,
    },
    /// Changes to the target's working directory, or the one that was given.
    ChangeDirectory {
        /// Whether it is the target's.
        target: bool,
    },
    /// Changes to a path that is looked up inside; one that is only kept may be missing.
    FindDirectory {
        /// The path.
        path: PathBuf,
        /// Whether it was asked for.
        required: bool,
    },
    /// Gives up supplementary groups.
    DropGroups,
    /// Changes the group id.
    SetGid(u32),
    /// Changes the user id.
    SetUid(u32),
    /// Takes capabilities out of the bounding set: what root gets at execve(2) is what is left there.
    DropBounding(CapSet),
    /// Leaves the command these capabilities; those of a command that is not root have to be ambient.
    LimitCaps {
        /// Which ones.
        kept: CapSet,
        /// Whether the command is root.
        root: bool,
    },
    /// Hands capabilities on to a command that is not root.
    KeepCaps(CapSet),
    /// Gives up gaining privileges by execve(2).
    NoNewPrivs,
    /// Makes the process that becomes the command.
    Fork {
        /// Whether it gets a terminal of its own.
        terminal: bool,
    },
    /// Mounts procfs of the pid namespace.
    MountProc,
    /// Takes a security context at execve(2).
    TakeContext(String),
    /// Becomes the command.
    Exec {
        /// It and its arguments; none is a shell.
        command: Vec<OsString>,
    },
}

/// A step, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who makes it.
    pub who: Who,
    /// What it does.
    pub action: Action,
    /// Why it is there, and why in this place.
    pub why: String,
}

/// The steps, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// All of them.
    pub steps: Vec<Step>,
    /// What a reader of the plan may wonder about.
    pub notes: Vec<String>,
    /// What was to be done if it can be, and cannot.
    pub warnings: Vec<String>,
    /// The kinds of namespace that are entered.
    pub entered: KindSet,
    /// Whether nsx stays and watches over the command.
    pub forks: bool,
    /// Whether the command gets a terminal of its own.
    pub terminal: bool,
    /// Whether the command finds other files than nsx.
    pub other_root: bool,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// A namespace of the target is wanted, and no process was named.
    NoProcess(&'static str),
    /// The target has no namespace of the kind: the kernel has none.
    NoKind(NsKind, Pid),
    /// The id of the target has no name in the user namespace that is entered.
    Unmapped(&'static str, u32),
    /// There is no id that the command could have in the user namespace that is entered but the caller's, which means nothing in there and
    /// much outside.
    NoId(&'static str),
    /// The target has no security context that confines it.
    NoContext(Pid),
    /// The target's cgroup cannot be joined.
    Cgroup(String, String),
    /// The user namespace whose parent is wanted has none that may be seen.
    NoUserParent,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::NoProcess(what) => write!(f, "{what} takes a process as target (-t PID)"),
            PlanError::NoKind(kind, pid) => {
                write!(
                    f,
                    "process {pid} has no {kind} namespace: this kernel has none (it takes Linux {})",
                    kind.since()
                )
            }
            PlanError::Unmapped(what, id) => {
                write!(f, "the target's {what} {id} is not mapped in the user namespace that is entered")
            }
            PlanError::NoId(what) => write!(
                f,
                "the user namespace that is entered has no {what} for the command: it maps neither 0, nor the caller's, nor the target's"
            ),
            PlanError::NoContext(pid) => write!(f, "process {pid} has no security context: no LSM here confines it"),
            PlanError::Cgroup(hierarchy, why) => write!(f, "cannot join the target's {hierarchy} cgroup: {why}"),
            PlanError::NoUserParent => write!(f, "there is no parent user namespace that could be entered"),
        }
    }
}

impl std::error::Error for PlanError {}
