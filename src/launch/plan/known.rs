//! What the plan is made from: what the host says of the caller and the target. Plain data; asking for it is `launch::facts`.

use std::path::PathBuf;

use crate::model::{CapSet, NsArray, NsId};
use crate::proc::parse::{Credentials, IdMap};

/// What the host says of the caller and the target.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The caller's own namespaces.
    pub own: NsArray,
    /// The caller's effective capabilities.
    pub caps: CapSet,
    /// All capabilities that the kernel knows.
    pub all_caps: CapSet,
    /// The caller's effective uid.
    pub uid: u32,
    /// The caller's effective gid.
    pub gid: u32,
    /// Which of the standard streams are terminals.
    pub terminals: [bool; 3],
    /// The caller's working directory, where it has a path.
    pub directory: Option<PathBuf>,
    /// The process that was pointed at.
    pub target: Option<TargetFacts>,
    /// The namespaces that were given by file.
    pub given: NsArray,
    /// The user namespaces that own those to be entered, where the caller has no CAP_SYS_ADMIN of its own.
    pub owners: [Option<Owner>; 8],
    /// The user namespace that `--user-parent` means.
    pub user_parent: Option<NsId>,
    /// The ids in the user namespace that is entered.
    pub ids: Option<UserFacts>,
    /// The target's cgroups in which the caller is not.
    pub cgroups: Vec<CgroupFacts>,
}

/// What the host says of the target.
#[derive(Clone, Debug, Default)]
pub struct TargetFacts {
    /// Its pid.
    pub pid: u32,
    /// Its namespaces.
    pub namespaces: NsArray,
    /// Whether it is held by a pidfd.
    pub pidfd: bool,
    /// Whether its root directory is open.
    pub root: bool,
    /// What it is allowed; read when somebody asks for it.
    pub credentials: Option<Credentials>,
    /// Its security context, where there is one that confines.
    pub context: Option<String>,
}

/// A user namespace that owns one that is to be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Which one.
    pub id: NsId,
    /// How far below the caller's own it is; 0 is the caller's own.
    pub depth: u32,
}

/// The ids in a user namespace.
#[derive(Clone, Debug, Default)]
pub struct UserFacts {
    /// Its user ids.
    pub uids: IdMap,
    /// Its group ids.
    pub gids: IdMap,
    /// Whether setgroups(2) is denied in it.
    pub setgroups_denied: bool,
}

/// A cgroup of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupFacts {
    /// The hierarchy: `cgroup2`, or the controllers of a v1 hierarchy.
    pub hierarchy: String,
    /// The file to write to, or why there is none.
    pub procs: Result<Vec<u8>, String>,
}
