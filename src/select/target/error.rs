//! Why a target means nothing on this host.

use std::fmt;
use std::path::PathBuf;

use super::super::pid::PidError;
use super::super::sandboxes::{Candidate, Wanted};
use super::shown;
use crate::model::{NsId, NsKind, Pid, Uid};
use crate::sys::SysError;

/// Why a target means nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// The text has none of the forms.
    Form(String),
    /// There is no such process.
    NoProcess(Pid, SysError),
    /// The process with that pid is another one than was meant: its pidfd has the second inode, not the first.
    OtherProcess(Pid, u64, u64),
    /// This kernel cannot tell apart two processes that had the same pid one after the other.
    NoPidInode(Pid),
    /// The namespaces of the process may not be read.
    Refused(Pid, SysError),
    /// The file is not there, or may not be opened.
    NoFile(PathBuf, SysError),
    /// The file is no namespace.
    NotNamespace(PathBuf),
    /// No namespace has this inode.
    NoNamespace(Option<NsKind>, NsId),
    /// The number is neither that of a process nor that of a namespace.
    Nothing(u32),
    /// It is a namespace where a process is wanted.
    WantedProcess(String),
    /// It is a cgroup where a process or a namespace is wanted.
    IsCgroup(String),
    /// A directory that lies on no hierarchy, and where those are mounted.
    NotCgroupfs(Vec<u8>, Vec<Vec<u8>>),
    /// There is no such cgroup, or it may not be looked at.
    NoCgroup(Vec<u8>, SysError),
    /// No container is called so, and what others are called that may have been meant.
    NoContainer(Wanted, Vec<String>),
    /// Several are.
    Containers(Wanted, Vec<Candidate>),
    /// The process is in no sandbox.
    NotSandboxed(String, Pid),
    /// No cgroup belongs to a unit of this name.
    NoUnit(String),
    /// Several do: their paths.
    Units(String, Vec<Vec<u8>>),
    /// No process is in the cgroup of a unit.
    EmptyUnit(String, Vec<u8>),
    /// There is no such process inside.
    Inside(Box<PidError>),
    /// No sandbox has this name.
    NoSandbox(String),
    /// Several have: the pids of their first processes, and whose they are.
    Sandboxes(String, Vec<(Pid, Option<Uid>)>),
    /// Sandboxes cannot be looked for.
    Unlisted(SysError),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetError::Form(text) => write!(
                f,
                "{text:?} is none of: PID, PID:INODE, self, NAME or ID of a container, ENGINE:NAME, NAME/PID, unit:NAME, pod:NAMESPACE/POD, \
                 net:[INODE], INODE, netns:NAME, cgroup:/PATH, a path with a slash"
            ),
            TargetError::NoProcess(pid, error) => write!(f, "no process {pid}: {error}"),
            TargetError::OtherProcess(pid, wanted, found) => {
                write!(f, "process {pid} is another one by now: its pidfd has inode {found}, not {wanted}")
            }
            TargetError::NoPidInode(pid) => {
                write!(
                    f,
                    "cannot tell whether process {pid} is the one that is meant: pidfds have no inodes of their own before Linux 6.9"
                )
            }
            TargetError::Refused(pid, error) => write!(f, "cannot read the namespaces of process {pid}: {error}"),
            TargetError::NoFile(path, error) => write!(f, "cannot open {}: {error}", shown(path)),
            TargetError::NotNamespace(path) => {
                write!(f, "{} is no namespace: it is not a file on nsfs", shown(path))
            }
            TargetError::NoNamespace(kind, id) => {
                let what = kind.map_or_else(|| format!("namespace {id}"), |kind| format!("namespace {kind}:[{id}]"));
                write!(
                    f,
                    "no {what}: not held by any process, thread, fd, socket, bind mount or descendant that can be seen"
                )
            }
            TargetError::Nothing(number) => write!(f, "no process and no namespace {number}"),
            TargetError::WantedProcess(text) => write!(f, "{text} is a namespace, not a process"),
            TargetError::IsCgroup(text) => write!(f, "{text} is a cgroup, not a process or a namespace"),
            TargetError::NotCgroupfs(path, mounts) => {
                let text = |path: &[u8]| String::from_utf8_lossy(path).escape_debug().to_string();
                let mounts: Vec<String> = mounts.iter().map(|mount| text(mount)).collect();
                write!(
                    f,
                    "{} is no directory of a cgroup hierarchy; these are mounted: {}",
                    text(path),
                    mounts.join(", ")
                )
            }
            TargetError::NoContainer(wanted, alike) => {
                write!(
                    f,
                    "no container {wanted}: not among the sandboxes that processes, engines' records and cgroups name"
                )?;
                if !alike.is_empty() {
                    let alike: Vec<_> = alike.iter().map(|name| name.escape_debug().to_string()).collect();
                    write!(f, "; there is {}", alike.join(", "))?;
                }
                Ok(())
            }
            TargetError::Containers(wanted, all) => {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                write!(f, "{wanted} may be any of: {}", all.join(", "))
            }
            TargetError::NotSandboxed(text, pid) => {
                write!(f, "{text} is in no sandbox: process {pid} has the host's mounts or pids")
            }
            TargetError::NoUnit(name) => {
                write!(f, "no cgroup of a unit {}: it is not running, or not systemd's", name.escape_debug())
            }
            TargetError::Units(name, all) => {
                let all: Vec<_> =
                    all.iter().map(|path| String::from_utf8_lossy(path).escape_debug().to_string()).collect();
                write!(f, "several units are called {}: {}", name.escape_debug(), all.join(", "))
            }
            TargetError::EmptyUnit(name, path) => write!(
                f,
                "no process is in unit {}: its cgroup {} is empty",
                name.escape_debug(),
                String::from_utf8_lossy(path).escape_debug()
            ),
            TargetError::Inside(error) => error.fmt(f),
            TargetError::NoSandbox(name) => {
                write!(
                    f,
                    "no sandbox is called {}: no first process of one has it in its command line",
                    name.escape_debug()
                )
            }
            TargetError::Sandboxes(name, all) => {
                write!(f, "several sandboxes are called {}:", name.escape_debug())?;
                for (place, (pid, uid)) in all.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    match uid {
                        Some(uid) => write!(f, "{comma} that of uid {uid} with first process {pid}")?,
                        None => write!(f, "{comma} one with first process {pid}")?,
                    }
                }
                Ok(())
            }
            TargetError::Unlisted(error) => write!(f, "cannot look for sandboxes: {error}"),
            TargetError::NoCgroup(path, error) => {
                write!(f, "no cgroup {}: {error}", String::from_utf8_lossy(path).escape_debug())
            }
        }
    }
}

impl std::error::Error for TargetError {}
