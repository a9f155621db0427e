//! Why a number could not be translated.

use std::fmt;

use crate::model::{NsId, NsKind, NsName, Pid};
use crate::proc::{ProcRoot, is_gone};
use crate::sys::{Call, Errno, SysError};

/// Why a number could not be translated. A namespace is called as its [`super::PidNs`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PidError {
    /// There is no such process, or it has gone.
    NoProcess(Pid, SysError),
    /// The caller may not look into the process.
    Refused(Pid, SysError),
    /// No process has the number in the namespace.
    NoNumber {
        /// The number.
        number: u32,
        /// The namespace.
        ns: String,
        /// What the kernel has said, where it was asked.
        error: Option<SysError>,
        /// How many have the number in a pid namespace that the caller may not know.
        untold: usize,
    },
    /// The process has no number in the namespace, and what the kernel has said, where it was asked.
    NotIn {
        /// The process.
        pid: Pid,
        /// The namespace.
        ns: String,
        /// What the kernel has said, where it was asked.
        error: Option<SysError>,
    },
    /// No process that can be seen from here is in the namespace.
    Empty(String, Option<SysError>),
    /// Whoever had the number had gone before it could be held, again and again.
    Restless(u32, String),
    /// There are more threads than are looked at.
    TooMany(u32, String, usize),
    /// The namespace is of another kind.
    OtherKind(NsName),
    /// No namespace has this inode.
    NoNamespace(Option<NsKind>, NsId),
    /// Processes cannot be listed.
    Unlisted(SysError),
}

impl PidError {
    /// Says what it means that a file of a process could not be opened.
    pub(super) fn process(root: &ProcRoot, pid: Pid, file: &str, errno: Errno) -> PidError {
        let path = if file.is_empty() { pid.to_string() } else { format!("{pid}/{file}") };
        let call = if file == "ns/pid" { Call::Readlinkat } else { Call::Openat };
        let error = SysError::new(call(root.name(&path)), errno);
        // procfs refuses the links of a process that has just gone.
        let gone = is_gone(errno) || root.process(pid).is_err_and(is_gone);
        if gone { PidError::NoProcess(pid, error) } else { PidError::Refused(pid, error) }
    }
}

impl fmt::Display for PidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |f: &mut fmt::Formatter<'_>, error: &Option<SysError>| match error {
            Some(error) => write!(f, ": {error}"),
            None => f.write_str(" in its status (NSpid)"),
        };
        match self {
            PidError::NoProcess(pid, error) => write!(f, "no process {pid}: {error}"),
            PidError::Refused(pid, error) => write!(f, "cannot read the pid namespace of process {pid}: {error}"),
            PidError::NoNumber { number, ns, error, .. } => {
                write!(f, "no process has number {number} in {ns}")?;
                because(f, error)
            }
            PidError::NotIn { pid, ns, error } => {
                write!(f, "process {pid} has no number in {ns}")?;
                because(f, error)
            }
            PidError::Empty(ns, error) => {
                write!(f, "no process that can be seen from here is in {ns}")?;
                error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
            PidError::Restless(number, ns) => {
                write!(f, "number {number} in {ns} goes from one process to the next faster than it can be looked up")
            }
            PidError::TooMany(number, ns, most) => {
                write!(f, "no process has number {number} in {ns}, nor has one of the first {most} threads")
            }
            PidError::OtherKind(name) => write!(f, "{name} is no pid namespace"),
            PidError::NoNamespace(kind, id) => {
                let what = kind.map_or_else(|| format!("namespace {id}"), |kind| format!("namespace {kind}:[{id}]"));
                write!(f, "no {what}: not held by any process, thread, fd, bind mount or descendant that can be seen")
            }
            PidError::Unlisted(error) => write!(f, "cannot list processes: {error}"),
        }
    }
}

impl std::error::Error for PidError {}
