//! Why there is no sandbox, or no command in it. Not here: what to do about it (`cmd::advice`).

use std::fmt;
use std::path::PathBuf;

use super::forbidden::Forbidden;
use super::ids::{IdError, WriteError};
use super::limits::LimitError;
use super::steps::Action;
use super::users::UserError;
use crate::launch::EnterError;
use crate::model::NsKind;
use crate::select::TargetError;
use crate::sys::SysError;

/// Why `nsx run` has not run anything.
#[derive(Debug)]
pub enum RunError {
    /// Ids cannot be as was asked for.
    Ids(IdError),
    /// The id maps cannot be written.
    Maps(WriteError, Option<Forbidden>),
    /// Limits cannot be had.
    Limits(LimitError),
    /// The user or group is not known.
    User(UserError),
    /// There is no such user inside, because no id outside stands for it.
    NoSuchId {
        /// `user` or `group`.
        what: &'static str,
        /// The id.
        id: u32,
    },
    /// Whose network it is to be is not there.
    Target(TargetError),
    /// A target that has no network namespace of its own to be entered.
    NoNet(NsKind),
    /// A call is not to be had, and nothing else does its work.
    MissingCall(&'static str),
    /// The root directory cannot be used.
    Root {
        /// Which one.
        path: PathBuf,
        /// Why not.
        why: RootProblem,
    },
    /// Something that is to be shown is not there, or may not be opened.
    Source(PathBuf, SysError),
    /// There is nowhere to show something at; whether the root directory is one that was given.
    NoMountPoint(PathBuf, bool),
    /// More is to be shown than can be.
    TooMuch(usize),
    /// The name is taken.
    NameTaken(String),
    /// Without a user namespace, making the others takes CAP_SYS_ADMIN.
    NoPrivilege,
    /// Namespaces may not be made.
    Forbidden(Forbidden, SysError),
    /// A step failed.
    Step(Box<Action>, SysError),
    /// Something else failed, while doing what the text says.
    Failed(String, SysError),
    /// What entering and running have in common.
    Common(EnterError),
}

/// What is wrong with a root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootProblem {
    /// It may not be opened.
    Refused(SysError),
    /// It is no directory.
    NoDirectory,
    /// It has no directory of this name, to which something has to be attached; a link is none.
    Lacks(&'static str),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Ids(error) => error.fmt(f),
            RunError::Maps(error, _) => error.fmt(f),
            RunError::Limits(error) => error.fmt(f),
            RunError::User(error) => error.fmt(f),
            RunError::NoSuchId { what, id } => write!(f, "cannot run as {what} {id}: no id outside stands for it"),
            RunError::Target(error) => error.fmt(f),
            RunError::NoNet(kind) => write!(f, "cannot use the network of a {kind} namespace"),
            RunError::MissingCall(call) => {
                write!(
                    f,
                    "cannot make a root directory: {call}(2) is not to be had here (ENOSYS, or refused by a filter)"
                )
            }
            RunError::Root { path, why } => {
                write!(f, "cannot use {} as root directory: ", shown(path))?;
                match why {
                    RootProblem::Refused(error) => error.fmt(f),
                    RootProblem::NoDirectory => f.write_str("it is no directory"),
                    RootProblem::Lacks(name) => write!(f, "there is no directory {name} in it to attach something to"),
                }
            }
            RunError::Source(path, error) => write!(f, "cannot show {}: {error}", shown(path)),
            RunError::NoMountPoint(path, _) => {
                write!(
                    f,
                    "cannot show anything at {}: there is no such path inside, and nothing may be made there",
                    shown(path)
                )
            }
            RunError::TooMuch(most) => write!(f, "cannot show more than {most} things"),
            RunError::NameTaken(name) => write!(f, "cannot call it {name}: there is a sandbox with that name"),
            RunError::NoPrivilege => {
                f.write_str("cannot make namespaces without a user namespace: that takes CAP_SYS_ADMIN, which the caller does not have")
            }
            RunError::Forbidden(forbidden, error) => write!(f, "cannot make namespaces: {error}: {forbidden}"),
            RunError::Step(action, error) => write!(f, "{}: {error}", cannot(action)),
            RunError::Failed(what, error) => write!(f, "{what}: {error}"),
            RunError::Common(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}

fn shown(path: &std::path::Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

fn named(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}

/// What a step was to do, as the start of a message.
pub(super) fn cannot(action: &Action) -> String {
    match action {
        Action::Limit(_) => "cannot make the cgroup".to_owned(),
        Action::NewSession => "cannot start a session".to_owned(),
        Action::EnterNet => "cannot enter the network namespace".to_owned(),
        Action::Clone { .. } | Action::Unshare(_) => "cannot make namespaces".to_owned(),
        Action::WriteOwnMap { .. } | Action::WriteMaps => "cannot write the id maps".to_owned(),
        Action::KeepMountsInside
        | Action::TakeRoot { .. }
        | Action::MakeRoot { .. }
        | Action::EnterCopy
        | Action::ProtectCopy
        | Action::ChangeRoot => "cannot make the root directory".to_owned(),
        Action::TakeProc { .. } | Action::MountProc => "cannot mount /proc".to_owned(),
        Action::TakeSys { .. } | Action::MountSys => "cannot mount /sys".to_owned(),
        Action::MountCgroups => "cannot mount /sys/fs/cgroup".to_owned(),
        Action::SealRoot => "cannot make the root directory read-only".to_owned(),
        Action::TakeDevices(_) | Action::MountDev { .. } => "cannot make /dev".to_owned(),
        Action::TakeBind { source, .. } => format!("cannot show {}", named(source)),
        Action::TakeCgroups(_) | Action::JoinCgroups(_) => "cannot join the cgroup".to_owned(),
        Action::MapOwners => "cannot map the owners of files".to_owned(),
        Action::Release | Action::AwaitCgroups | Action::AwaitRelease => "cannot go on".to_owned(),
        Action::BecomeRoot { .. } => "cannot become root inside".to_owned(),
        Action::ForbidCgroupNamespaces => "cannot keep the command from its cgroups outside".to_owned(),
        Action::NewKeyring => "cannot make a session keyring".to_owned(),
        Action::SetClocks(_) => "cannot set clocks ahead".to_owned(),
        Action::DieWithNsx | Action::DieWithInit => "cannot tie it to nsx".to_owned(),
        Action::MountTmpfs { path, .. } => format!("cannot put an empty directory at {}", named(path)),
        Action::MakeHome { .. } => "cannot make a home directory".to_owned(),
        Action::AttachBind { target, .. } => format!("cannot show anything at {}", named(target)),
        Action::Mask { path, .. } => format!("cannot hide {path}"),
        Action::Protect(path) => format!("cannot make {path} read-only"),
        Action::SetHostName(_) => "cannot set the host name".to_owned(),
        Action::LoopbackUp => "cannot bring loopback up".to_owned(),
        Action::SetRlimit(rlimit) | Action::RaiseRlimit(rlimit) => format!("cannot set the limit {}", rlimit.name),
        Action::SetOomScore(_) | Action::SpareFromOom(_) => "cannot set the OOM score".to_owned(),
        Action::OpenTerminal => "cannot make a terminal".to_owned(),
        Action::Fork { .. } => "cannot make a process for the command".to_owned(),
        Action::ChangeDirectory { paths, .. } => {
            format!("cannot change to {} inside", paths.first().map(|path| named(path)).unwrap_or_default())
        }
        Action::DropBounding(_) | Action::LimitCaps { .. } => "cannot give up capabilities".to_owned(),
        Action::BecomeUser { uid, gid, .. } => format!("cannot become uid {uid}, gid {gid}"),
        Action::NoNewPrivs => "cannot set no_new_privs".to_owned(),
        Action::Filter => "cannot filter system calls".to_owned(),
        Action::Exec => "cannot execute the command".to_owned(),
        Action::Serve | Action::CleanUp => "cannot watch over the command".to_owned(),
    }
}

impl From<EnterError> for RunError {
    fn from(error: EnterError) -> RunError {
        match error {
            EnterError::Target(error) => RunError::Target(error),
            EnterError::Failed(what, error) => RunError::Failed(what, error),
            error => RunError::Common(error),
        }
    }
}

impl From<TargetError> for RunError {
    fn from(error: TargetError) -> RunError {
        RunError::Target(error)
    }
}

impl From<IdError> for RunError {
    fn from(error: IdError) -> RunError {
        RunError::Ids(error)
    }
}

impl From<LimitError> for RunError {
    fn from(error: LimitError) -> RunError {
        RunError::Limits(error)
    }
}

impl From<UserError> for RunError {
    fn from(error: UserError) -> RunError {
        RunError::User(error)
    }
}
