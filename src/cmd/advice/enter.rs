//! Hints below errors of `nsx enter`: what refused, what lacks, and what to type.

use crate::cmd::enter::NotExecuted;
use crate::launch::diagnose::Refusal;
use crate::launch::{Action, EnterError, PlanError};
use crate::model::{CapSet, NsKind};
use crate::sys::{Call, Errno, SysError};

/// Returns what to do about a command that could not be executed.
pub(super) fn not_executed(error: &NotExecuted) -> Option<String> {
    if error.other_root && error.is_absent() {
        return Some("--tools runs the host's programs in the target's namespaces".to_owned());
    }
    let name = error.name.as_deref()?;
    match error.error.errno {
        Errno::EACCES => {
            Some(format!("it takes permission to execute, on a mount without noexec: ls -l {name}; findmnt -T {name}"))
        }
        Errno::ENOENT if name.contains('/') => {
            Some(format!("it is not there, or its interpreter is not: head -n 1 {name}; readelf -l {name}"))
        }
        _ => None,
    }
}

/// Returns what to do about an error, where the cause is known.
pub(super) fn hint(error: &EnterError, root: bool) -> Option<String> {
    match error {
        EnterError::Refused(refusal) => refused(refusal, root),
        EnterError::Step(action, error) => step(action, error),
        EnterError::Plan(error) => plan(error),
        EnterError::WrongKind(_, _, Some(found)) => Some(format!("give it as --{}=FILE", option(*found))),
        EnterError::Failed(_, error) => failed(error, root),
        EnterError::Threads => Some("start nsx as a command of its own".to_owned()),
        EnterError::Target(_) | EnterError::WrongKind(_, _, None) => None,
    }
}

fn option(kind: NsKind) -> &'static str {
    match kind {
        NsKind::Mnt => "mount",
        kind => kind.name(),
    }
}

fn refused(refusal: &Refusal, root: bool) -> Option<String> {
    let Refusal { kind, id, owner, owner_is_own, lacks, with_user, .. } = *refusal;
    match (refusal.error.errno, kind) {
        (Errno::EPERM, Some(NsKind::User)) => {
            let id = id.map(|id| format!(" user:[{id}]")).unwrap_or_default();
            Some(format!(
                "this takes CAP_SYS_ADMIN in the user namespace: run as the user who made it (nsx ls -o +OUID{id}), or as root"
            ))
        }
        (Errno::EPERM, _) => match owner {
            Some(owner) if !owner_is_own && !with_user => {
                Some(format!("user:[{owner}] owns it; add -U to enter that first, or run as root"))
            }
            Some(owner) if lacks != CapSet::EMPTY => {
                Some(format!("user:[{owner}] owns it, and in that the caller lacks {}: run as root", cap_names(lacks)))
            }
            None if lacks != CapSet::EMPTY || !root => Some(
                "its owner lies above the caller's user namespace: only somebody from up there can enter it, such as root of the host".to_owned(),
            ),
            _ => Some(
                "the caller has the capabilities that this takes, so a seccomp filter or an LSM refuses: grep Seccomp /proc/self/status; cat /proc/self/attr/current".to_owned(),
            ),
        },
        (Errno::EINVAL, Some(NsKind::User)) => Some(
            "a process cannot enter its own user namespace, and none while it has threads; leave out -U".to_owned(),
        ),
        (Errno::EINVAL, Some(NsKind::Pid)) => Some(
            "only the caller's own pid namespace and those below it can be entered: run nsx from above, or leave out -p".to_owned(),
        ),
        (Errno::EUSERS, _) => Some("a time namespace can be entered by a process without threads only".to_owned()),
        (Errno::ENOSPC, _) => Some("a limit on namespaces is reached: sysctl user".to_owned()),
        (Errno::ESRCH, _) => Some("the target has exited meanwhile; nsx ls shows the namespaces that there are".to_owned()),
        _ => None,
    }
}

fn cap_names(caps: CapSet) -> String {
    caps.to_string()
        .split(',')
        .map(|name| format!("CAP_{}", name.to_ascii_uppercase()))
        .collect::<Vec<_>>()
        .join(" and ")
}

fn step(action: &Action, error: &SysError) -> Option<String> {
    let text = match (action, error.errno) {
        (Action::JoinCgroup { .. }, Errno::EACCES | Errno::EPERM) => {
            "moving a process takes write permission for cgroup.procs of both cgroups and of the one above both; --no-cgroup enters without".to_owned()
        }
        (Action::JoinCgroup { .. }, Errno::EBUSY) => {
            "a cgroup that hands controllers on to its children has no room for processes; --no-cgroup enters without".to_owned()
        }
        (Action::JoinCgroup { .. }, _) => "--no-cgroup enters without".to_owned(),
        (Action::PrivateMounts, Errno::ENOSPC) => {
            "the limit on mount namespaces is reached: sysctl user.max_mnt_namespaces".to_owned()
        }
        (Action::PrivateMounts, Errno::EPERM) => {
            "a private /proc takes CAP_SYS_ADMIN; --no-proc does without".to_owned()
        }
        (Action::ShowTarget(path), Errno::ENOENT | Errno::ENOTDIR) => {
            format!("the directory has to be there: mkdir {}, or name another with --tools=DIR", path.display())
        }
        (Action::SetUid(_) | Action::SetGid(_), Errno::EINVAL) => {
            "the user namespace does not map this id; --preserve-credentials keeps the caller's".to_owned()
        }
        (Action::SetUid(_) | Action::SetGid(_) | Action::DropGroups, Errno::EPERM) => {
            "another id takes CAP_SETUID and CAP_SETGID: run as root, or enter a user namespace with -U".to_owned()
        }
        (Action::DropBounding(_) | Action::LimitCaps { .. } | Action::KeepCaps(_), Errno::EPERM) => {
            "only capabilities that the caller has can be left to the command, and taking away takes CAP_SETPCAP: grep Cap /proc/self/status".to_owned()
        }
        (Action::Fork { .. }, Errno::ENOMEM) => {
            "the pid namespace takes no more processes: its first one has exited".to_owned()
        }
        (Action::Fork { .. }, Errno::EAGAIN) => {
            "a limit on processes is reached: pids.max of the cgroup, or ulimit -u; --no-cgroup enters without the target's".to_owned()
        }
        (Action::ChangeDirectory { .. }, Errno::EXDEV) => {
            "it lies outside of the root directory; -W DIR looks one up inside".to_owned()
        }
        (Action::FindDirectory { .. }, Errno::ELOOP) => {
            "links of /proc that lead to open files and other roots are not followed".to_owned()
        }
        (Action::FindDirectory { .. }, Errno::ENOENT | Errno::ENOTDIR) => {
            "it is looked up in the target's root directory; -w=DIR takes one of the caller's".to_owned()
        }
        (Action::TakeContext(_), _) => {
            "the policy has to allow the change, and the program to be started in it; leave out -Z".to_owned()
        }
        _ => return None,
    };
    Some(text)
}

fn plan(error: &PlanError) -> Option<String> {
    Some(match error {
        PlanError::NoProcess(option) => format!("name a process: nsx enter -t PID {option}"),
        PlanError::Unmapped(..) => "--preserve-credentials keeps the caller's ids".to_owned(),
        PlanError::Cgroup(..) => "--no-cgroup enters without".to_owned(),
        PlanError::NoContext(_) => "leave out -Z".to_owned(),
        PlanError::NoKind(kind, _) => format!("leave out --{}", option(*kind)),
        PlanError::NoUserParent => "leave out --user-parent: what lies above cannot be entered from here".to_owned(),
    })
}

fn failed(error: &SysError, root: bool) -> Option<String> {
    match (&error.call, error.errno) {
        (Call::MemfdCreate | Call::PosixSpawn, Errno::EACCES) => {
            Some("executing memory files is forbidden: sysctl vm.memfd_noexec has to be 0 or 1".to_owned())
        }
        (Call::PosixSpawn | Call::Fork, Errno::EAGAIN) => {
            Some("a limit on processes is reached: ulimit -u, or pids.max of the cgroup".to_owned())
        }
        (Call::Fcntl(_), Errno::EBADF) => Some("it is not open: give it to nsx as in `nsx … 3<file`".to_owned()),
        (Call::PidfdGetfd(_), Errno::EBADF) => {
            Some("ls -l /proc/PID/fd shows the descriptors that there are".to_owned())
        }
        (Call::Openat(path), Errno::EACCES) if path.starts_with(b"/proc/") && !root => {
            Some("run as root, or as the user whose process it is".to_owned())
        }
        (Call::Openat(path), Errno::EACCES) if path.starts_with(b"/proc/") => {
            Some("this takes CAP_SYS_PTRACE over the process, and an LSM that allows it".to_owned())
        }
        _ => None,
    }
}
