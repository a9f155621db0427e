//! Processes and threads, as far as namespaces need them.
//!
//! Not here: reading them (`proc`), and what belongs to a process but not to a namespace.

use super::container::Container;
use super::id::{NsId, NsName, Pid, Tid, Uid};

/// The namespaces of one task, one per kind, in the order of [`super::NsKind::ALL`].
///
/// A kind is `None` where the kernel does not have it, where the task is a zombie that has let go of it, or where
/// the caller may not know.
pub type NsArray = [Option<NsId>; 8];

/// The name of a process (field 2 of proc_pid_stat(5)), as far as the kernel keeps that of a program: 15 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comm([u8; 16]);

impl Comm {
    /// Keeps the first 15 bytes of a name; those of kernel threads can be longer.
    pub fn new(name: &[u8]) -> Comm {
        let mut bytes = [0; 16];
        let length = name.len().min(15);
        bytes[..length].copy_from_slice(&name[..length]);
        Comm(bytes)
    }

    /// Returns the name: any bytes but NUL.
    pub fn as_bytes(&self) -> &[u8] {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        &self.0[..length]
    }
}

/// A process that was there when `/proc` was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub pid: Pid,
    /// The id of its parent; 0 where it has none in this pid namespace.
    pub ppid: Pid,
    /// When it started, in clock ticks since boot (field 22 of proc_pid_stat(5)); with the pid, its identity.
    pub start_time_ticks: u64,
    /// Its name.
    pub comm: Comm,
    /// The number of its threads.
    pub nthreads: u32,
    /// Whether it is a kernel thread.
    pub kernel: bool,
    /// The namespaces it is in.
    pub ns: NsArray,
}

/// A thread that is in other namespaces than its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The process of the thread.
    pub pid: Pid,
    /// The thread.
    pub tid: Tid,
    /// The namespaces of the thread that differ from those of the process; the others are `None`.
    pub ns: NsArray,
}

/// A task whose future children will be in another namespace than itself (pid_for_children, time_for_children).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForChildren {
    /// The process of the task.
    pub pid: Pid,
    /// The task.
    pub tid: Tid,
    /// The namespace its children will be in.
    pub name: NsName,
}

/// What is read of a process only when it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Details {
    /// Its effective user id.
    pub uid: Option<Uid>,
    /// Its command line, arguments joined by spaces, or its name in brackets where it has none; unsanitised.
    pub command: Option<Vec<u8>>,
    /// Its cgroup, as a path in the hierarchy that tells most (see `proc::parse::cgroup`); unsanitised.
    pub cgroup: Option<Vec<u8>>,
    /// The container that it is in: by its cgroup, unless somebody who knows more has said it (`sandbox::Catalog::name`).
    pub container: Option<Container>,
}
