//! Why a cgroup could not be changed: what was to be done, which call failed, and what is in the way, as far as that could be found out.

use std::fmt;

use crate::cgroup::Home;
use crate::model::cgroup::Controller;
use crate::sys::SysError;

/// What was to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To set a knob.
    Set(String),
    /// To move a process or thread.
    Move(u32),
    /// To freeze.
    Freeze,
    /// To thaw.
    Thaw,
    /// To kill all that is in it.
    Kill,
    /// To make it.
    Create,
    /// To remove it.
    Remove,
}

/// What is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing that was found.
    Unknown,
    /// The controller is not handed on to it: it ends at this cgroup.
    NotEnabled {
        /// The controller.
        controller: String,
        /// The nearest cgroup above that has it and does not hand it on.
        at: Vec<u8>,
    },
    /// The controller has its home in another hierarchy than the one that was named.
    Elsewhere {
        /// The controller.
        controller: Controller,
        /// Its hierarchy, by name.
        home: String,
        /// Where that is mounted.
        mount: Vec<u8>,
    },
    /// The controller has no home here.
    Homeless(Controller, Home),
    /// There is no cgroup with this path in the hierarchy of the controller.
    NotThere {
        /// The controller.
        controller: Controller,
        /// Its hierarchy, by name.
        home: String,
    },
    /// Neither cgroup has such a file.
    NoFile(String),
    /// Only v2 has the knob.
    NotOnV1(String),
    /// Only v1 has the knob.
    OnlyV1(String),
    /// This weight is more than v1 takes.
    WeightOnV1(u64),
    /// Swap is not counted on this host.
    NoSwapAccounting,
    /// On v1 there is no limit of swap without one of memory.
    NeedsMemoryLimit,
    /// Swap alone and with memory together were asked for.
    SwapTwice,
    /// A knob came twice.
    Twice(String),
    /// Another command is for that, by this name.
    Dedicated(&'static str),
    /// It is the root of its hierarchy.
    Root,
    /// Processes are in it.
    Processes {
        /// Some of them.
        pids: Vec<u32>,
        /// How many there are.
        count: usize,
    },
    /// Cgroups are below it.
    Children {
        /// Some of them.
        paths: Vec<Vec<u8>>,
        /// How many there are.
        count: usize,
    },
    /// It hands controllers on, so that no process may be in it.
    HandsOn {
        /// The controllers.
        controllers: String,
        /// Cgroups below it where a process could go.
        children: Vec<Vec<u8>>,
    },
    /// A cgroup below it hands the controller on, too.
    HandedOnBelow(Vec<Vec<u8>>),
    /// So much is used already.
    Usage {
        /// How much.
        used: u64,
        /// How much was asked for.
        asked: u64,
    },
    /// Less could be reclaimed than was asked for.
    NotReclaimed {
        /// How many bytes are used still.
        used: u64,
    },
    /// The caller may not write to it.
    Denied {
        /// The file.
        file: String,
        /// Who owns the file.
        file_owner: Option<u32>,
        /// Who owns the directory.
        owner: Option<u32>,
    },
    /// The caller may not write to `cgroup.procs` of the nearest cgroup above both where the process is and where it shall be.
    CommonAncestor {
        /// That cgroup.
        path: Vec<u8>,
        /// Who owns its `cgroup.procs`.
        owner: Option<u32>,
    },
    /// On v1 only root moves the processes of others.
    OthersProcess {
        /// Whose it is.
        uid: u32,
    },
    /// It is the top of the caller's cgroup namespace, whose limits belong to whoever made that.
    Nsdelegate,
    /// The file system is mounted read-only here.
    ReadOnly(Vec<u8>),
    /// It is threaded: it has no controllers but those of threads.
    Threaded,
    /// It lies below a threaded cgroup without being one.
    DomainInvalid,
    /// It has no processors or no memory nodes.
    CpusetEmpty,
    /// What was asked for is more than the cgroup above has.
    MoreThanParent {
        /// The cgroup above.
        path: Vec<u8>,
        /// What it has.
        has: String,
    },
    /// A cgroup below it has more.
    LessThanChild {
        /// The cgroup below.
        path: Vec<u8>,
        /// What it has.
        has: String,
    },
    /// It is a thread of the kernel, which is bound to where it is.
    KernelThread,
    /// It has a real-time policy, for which the cgroup has no time.
    RealTime,
    /// The process has gone.
    ProcessGone,
    /// The cgroup was removed meanwhile.
    CgroupGone,
    /// A cgroup above allows no more cgroups below it.
    Crowded {
        /// That cgroup.
        path: Vec<u8>,
        /// By which file.
        file: &'static str,
        /// How many it allows.
        limit: u64,
    },
    /// The caller itself is in it.
    Own,
    /// The caller itself is to be moved.
    Caller,
    /// The first process of the host is in it.
    Init,
    /// It is frozen by a cgroup above it.
    FrozenBy(Vec<u8>),
    /// The time was over.
    TimedOut {
        /// Who has not got so far.
        pids: Vec<u32>,
    },
    /// These belong to others, and may not be killed: their pids and uids.
    Others(Vec<(u32, Option<u32>)>),
    /// Zombies alone are left: they have ended, and whoever started them has not waited for them yet.
    Zombies(Vec<u32>),
    /// The kernel took the value and made something else of it.
    NotTaken {
        /// What was written.
        asked: String,
        /// What is read.
        found: String,
    },
    /// It is still where it was.
    NotMoved(Vec<u8>),
    /// There is one already.
    Exists,
    /// The one above it is not there.
    NoParent {
        /// Its path.
        path: Vec<u8>,
        /// The hierarchy, by name.
        hierarchy: String,
    },
    /// No cgroup can have this name.
    Name(&'static str),
    /// The process is in different cgroups, depending on the hierarchy.
    Ambiguous(Vec<Vec<u8>>),
    /// No hierarchy can do this here.
    NoHierarchy(&'static str),
}

/// A change that was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeError {
    /// What was to be done.
    pub intent: Intent,
    /// To which cgroup.
    pub path: Vec<u8>,
    /// What is in the way.
    pub cause: Box<Cause>,
    /// The call that failed, if one was made.
    pub error: Option<Box<SysError>>,
    /// What was done before it, and stays.
    pub done: Vec<String>,
}

impl ChangeError {
    pub(crate) fn new(intent: Intent, path: &[u8], cause: Cause, error: Option<SysError>) -> ChangeError {
        ChangeError {
            intent,
            path: path.to_vec(),
            cause: Box::new(cause),
            error: error.map(Box::new),
            done: Vec::new(),
        }
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = text(&self.path);
        match &self.intent {
            Intent::Set(knob) => write!(f, "cannot set {knob} of {path}")?,
            Intent::Move(pid) => write!(f, "cannot move {pid} to {path}")?,
            Intent::Freeze => write!(f, "cannot freeze {path}")?,
            Intent::Thaw => write!(f, "cannot thaw {path}")?,
            Intent::Kill => write!(f, "cannot kill what is in {path}")?,
            Intent::Create => write!(f, "cannot create {path}")?,
            Intent::Remove => write!(f, "cannot remove {path}")?,
        }
        if *self.cause != Cause::Unknown {
            write!(f, ": {}", self.cause)?;
        }
        if let Some(error) = &self.error {
            write!(f, ": {error}")?;
        }
        if !self.done.is_empty() {
            write!(f, "; done before: {}", self.done.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for ChangeError {}

/// Makes bytes of a stranger's fit for a message.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

/// Lists a few paths.
fn list(paths: &[Vec<u8>]) -> String {
    paths.iter().map(|path| text(path)).collect::<Vec<_>>().join(", ")
}

/// Lists a few pids, and says how many more there are.
fn pid_list(pids: &[u32], count: usize) -> String {
    let named = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    if count > pids.len() { format!("{named}, and {} more", count - pids.len()) } else { named }
}

fn owner(uid: Option<u32>) -> String {
    uid.map_or_else(|| "somebody".to_owned(), |uid| format!("uid {uid}"))
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Unknown => Ok(()),
            Cause::NotEnabled { controller, at } => {
                write!(f, "{controller} ends at {}, which does not hand it on by cgroup.subtree_control", text(at))
            }
            Cause::Elsewhere { controller, home, mount } => {
                write!(f, "{controller} is at home in another hierarchy, {home} at {}", text(mount))
            }
            Cause::Homeless(controller, home) => match home {
                Home::NotMounted(_) => write!(f, "the hierarchy of {controller} is not mounted here"),
                Home::Disabled => write!(f, "{controller} was disabled at boot, by cgroup_disable="),
                Home::Absent | Home::Hierarchy(_) => write!(f, "there is no controller {controller} here"),
            },
            Cause::NotThere { controller, home } => {
                write!(f, "{controller} is at home in {home}, where there is no such cgroup")
            }
            Cause::NoFile(file) => write!(f, "it has no file {file}"),
            Cause::NotOnV1(knob) => write!(f, "v1 has nothing that does what {knob} does"),
            Cause::OnlyV1(knob) => write!(f, "only v1 has {knob}"),
            Cause::WeightOnV1(_) => write!(f, "v1 has weights up to 1000"),
            Cause::NoSwapAccounting => write!(f, "swap is not counted on this host"),
            Cause::NeedsMemoryLimit => write!(f, "v1 limits swap only together with memory, which has no limit"),
            Cause::SwapTwice => write!(f, "memory.swap.max and memory.memsw.max are one file on v1"),
            Cause::Twice(knob) => write!(f, "{knob} is given twice"),
            Cause::Dedicated(command) => write!(f, "nsx cg {command} does that"),
            Cause::Root => write!(f, "it is the root of its hierarchy"),
            Cause::Processes { pids, count } => match count {
                0 => write!(f, "processes of another pid namespace are in it"),
                1 => write!(f, "process {} is in it", pid_list(pids, *count)),
                _ => write!(f, "{count} processes are in it ({})", pid_list(pids, *count)),
            },
            Cause::Children { paths, count } => {
                let more = count - paths.len().min(*count);
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                write!(f, "cgroups are below it ({}{more})", list(paths))
            }
            Cause::HandsOn { controllers, .. } => {
                write!(f, "it hands on {controllers}, and then no process may be in it")
            }
            Cause::HandedOnBelow(paths) => write!(f, "it is handed on below, by {}", list(paths)),
            Cause::Usage { used, asked } => {
                write!(f, "{used} bytes are used, of which not enough could be reclaimed for {asked}")
            }
            Cause::NotReclaimed { used } => write!(f, "less could be reclaimed, {used} bytes are used still"),
            Cause::Denied { file, owner: of_directory, .. } if file.is_empty() => {
                write!(f, "the cgroup above belongs to {}", owner(*of_directory))
            }
            Cause::Denied { file, file_owner, owner: of_directory } => {
                write!(f, "{file} belongs to {}, the cgroup to {}", owner(*file_owner), owner(*of_directory))
            }
            Cause::CommonAncestor { path, owner: uid } => {
                write!(f, "cgroup.procs of {}, the nearest above both, belongs to {}", text(path), owner(*uid))
            }
            Cause::OthersProcess { uid } => write!(f, "it is a process of uid {uid}"),
            Cause::Nsdelegate => {
                write!(
                    f,
                    "it is the top of this cgroup namespace, and its limits belong to whoever made that (nsdelegate)"
                )
            }
            Cause::ReadOnly(mount) => write!(f, "{} is mounted read-only", text(mount)),
            Cause::Threaded => write!(f, "it is threaded"),
            Cause::DomainInvalid => write!(f, "it lies below a threaded cgroup and is none (domain invalid)"),
            Cause::CpusetEmpty => write!(f, "it has no processors or no memory nodes"),
            Cause::MoreThanParent { path, has } => write!(f, "{} has {has}", text(path)),
            Cause::LessThanChild { path, has } => write!(f, "{} below it has {has}", text(path)),
            Cause::KernelThread => write!(f, "it is a thread of the kernel, which stays where it is"),
            Cause::RealTime => write!(f, "it has a real-time policy, and the cgroup no time for such"),
            Cause::ProcessGone => write!(f, "the process has gone"),
            Cause::CgroupGone => write!(f, "the cgroup was removed meanwhile"),
            Cause::Crowded { path, file, limit } => write!(f, "{file} of {} is {limit}", text(path)),
            Cause::Own => write!(f, "nsx itself is in it"),
            Cause::Caller => write!(f, "that is nsx itself, which ends at once"),
            Cause::Init => write!(f, "process 1 is in it"),
            Cause::FrozenBy(path) => write!(f, "{} keeps it frozen", text(path)),
            Cause::TimedOut { pids } if pids.is_empty() => write!(f, "the time was over"),
            Cause::TimedOut { pids } => {
                write!(f, "the time was over; not so far: {}", pid_list(&pids[..pids.len().min(8)], pids.len()))
            }
            Cause::Others(left) => {
                let named = left.iter().take(8).map(|(pid, uid)| format!("{pid} of {}", owner(*uid)));
                let more = left.len().saturating_sub(8);
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                write!(f, "may not kill {}{more}", named.collect::<Vec<_>>().join(", "))
            }
            Cause::Zombies(pids) => {
                let named = pid_list(&pids[..pids.len().min(8)], pids.len());
                write!(f, "zombies are left, which have ended and were not waited for: {named}")
            }
            Cause::NotTaken { asked, found } => {
                write!(f, "{} was written and {} is read", text(asked.as_bytes()), text(found.as_bytes()))
            }
            Cause::NotMoved(path) => write!(f, "it is in {} now", text(path)),
            Cause::Exists => write!(f, "there is one already"),
            Cause::NoParent { path, hierarchy } => write!(f, "there is no {} in {hierarchy}", text(path)),
            Cause::Name(why) => write!(f, "{why}"),
            Cause::Ambiguous(paths) => write!(f, "the process is in several cgroups ({})", list(paths)),
            Cause::NoHierarchy(why) => write!(f, "{why}"),
        }
    }
}
