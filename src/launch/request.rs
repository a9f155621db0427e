//! What was asked for, as nsenter(1) has it and beyond. Plain data; parsing the command line is `cmd`'s.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{CapSet, KindSet, NsKind};
use crate::select::Target;

/// Where a namespace comes from that is not the target's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NsFile {
    /// A file on nsfs.
    Path(PathBuf),
    /// The network namespace of a socket that is descriptor so-and-so of the target.
    Socket(u32),
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The target's.
    OfTarget,
    /// The one at this path, as the caller sees it.
    Path(PathBuf),
}

/// A user or group id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// This one, as the namespace that is entered has it.
    Number(u32),
    /// That of the target.
    Follow,
}

/// The capabilities that the command gets at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caps {
    /// Those of the target.
    Target,
    /// These.
    Only(CapSet),
}

/// How long the command may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// After this it gets SIGTERM.
    pub after: Duration,
    /// And so much later SIGKILL.
    pub grace: Duration,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose namespaces to enter.
    pub target: Option<Target>,
    /// The kinds to enter; `None` is all in which the target is elsewhere than the caller, and its root directory and cgroup.
    pub kinds: Option<KindSet>,
    /// Namespaces by file.
    pub files: Vec<(NsKind, NsFile)>,
    /// Enter the parent of the user namespace.
    pub user_parent: bool,
    /// The root directory.
    pub root: Option<Place>,
    /// The working directory, opened before anything is entered.
    pub directory: Option<Place>,
    /// The working directory, opened when everything is entered.
    pub directory_inside: Option<PathBuf>,
    /// The user id.
    pub uid: Option<Id>,
    /// The group id.
    pub gid: Option<Id>,
    /// Keep user id, group id and groups.
    pub preserve_credentials: bool,
    /// Keep the capabilities that a user namespace gives.
    pub keep_caps: bool,
    /// The capabilities that the command gets at most.
    pub caps: Option<Caps>,
    /// Take the environment of the target.
    pub environment: bool,
    /// Join the target's cgroup (`Some(true)`: or fail), or do not.
    pub cgroup: Option<bool>,
    /// Mount a `/proc` that fits a pid namespace that is entered alone.
    pub private_proc: bool,
    /// Use the host's programs, and show the target's root directory at this path.
    pub tools: Option<PathBuf>,
    /// Take the security context of the target.
    pub context: bool,
    /// Whether a process may be made for the command.
    pub fork: bool,
    /// Descriptors that the command gets beside the standard streams.
    pub keep_fds: Vec<i32>,
    /// How long the command may take.
    pub timeout: Option<Timeout>,
    /// Whether somebody wants to hear what becomes of the command, so that nsx has to stay.
    pub watched: bool,
    /// The command and its arguments; none is a shell.
    pub command: Vec<OsString>,
}

impl Default for Request {
    fn default() -> Request {
        Request {
            target: None,
            kinds: None,
            files: Vec::new(),
            user_parent: false,
            root: None,
            directory: None,
            directory_inside: None,
            uid: None,
            gid: None,
            preserve_credentials: false,
            keep_caps: false,
            caps: None,
            environment: false,
            cgroup: None,
            private_proc: true,
            tools: None,
            context: false,
            fork: true,
            keep_fds: Vec::new(),
            timeout: None,
            watched: false,
            command: Vec::new(),
        }
    }
}
