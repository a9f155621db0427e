//! Hints below errors of `nsx enter`: what refused, what lacks, and what to type.

use crate::cmd::enter::NotExecuted;
use crate::launch::diagnose::Refusal;
use crate::launch::{Action, EnterError, PlanError};
use crate::model::{CapSet, NsKind};
use crate::sys::{Call, Errno, SysError};

/// Returns what to do about a command that could not be executed.
pub(super) fn not_executed(error: &NotExecuted) -> Option<String> {
    if error.place == super::super::run::INSIDE {
        return inside(error);
    }
    if !error.place.is_empty() && error.is_absent() {
        return Some("--tools runs the host's programs in the target's namespaces".to_owned());
    }
    let name = error.name.as_deref()?;
    match error.error.errno {
        Errno::EACCES => {
            // Where it was found on PATH.
            let path = match &error.error.call {
                Call::Execve(path) => String::from_utf8_lossy(path),
                _ => name.into(),
            };
            Some(format!("it takes permission to execute, on a mount without noexec: ls -l {path}; findmnt -T {path}"))
        }
        Errno::ENOENT if name.contains('/') => {
            Some(format!("it is not there, or its interpreter is not: head -n 1 {name}; readelf -l {name}"))
        }
        _ => None,
    }
}

/// The same in a sandbox.
fn inside(error: &NotExecuted) -> Option<String> {
    let name = error.name.as_deref().unwrap_or("/bin/sh");
    if let Call::Execve(path) = &error.error.call
        && error.uninterpreted
    {
        let path = String::from_utf8_lossy(path).escape_debug().to_string();
        return Some(format!(
            "what it names has to be inside, too: head -n 1 {path} for a script, readelf -l {path} for a program"
        ));
    }
    let is_here = name.starts_with('/') && std::path::Path::new(name).exists();
    match error.error.errno {
        Errno::ENOENT | Errno::ENOTDIR if is_here => {
            Some(format!("it is outside, and not inside, or its interpreter is not: -v {name}:{name} shows it"))
        }
        Errno::ENOENT | Errno::ENOTDIR if name.contains('/') => {
            Some("home directories and /tmp are not those outside: -v SOURCE:TARGET shows more".to_owned())
        }
        Errno::ENOENT | Errno::ENOTDIR => Some("-e PATH=… says where programs are inside".to_owned()),
        Errno::EACCES => Some("it takes permission to execute, for whom it is run as".to_owned()),
        _ => None,
    }
}

/// Returns what to do about an error, where the cause is known.
pub(super) fn hint(error: &EnterError, root: bool) -> Option<String> {
    match error {
        EnterError::Refused(refusal) => refused(refusal),
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

fn refused(refusal: &Refusal) -> Option<String> {
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
            None => Some(
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
        PlanError::NoId(what) => {
            let option = if *what == "gid" { "-G GID" } else { "-S UID" };
            format!(
                "{option} names one that it maps; --preserve-credentials keeps the caller's, which whoever traces the command in there can use"
            )
        }
        PlanError::Unmapped(..) => "--preserve-credentials keeps the caller's ids".to_owned(),
        PlanError::Cgroup(..) => "--no-cgroup enters without".to_owned(),
        PlanError::NoContext(_) => "leave out -Z".to_owned(),
        PlanError::NoKind(kind, _) => format!("leave out --{}", option(*kind)),
        PlanError::NoUserParent => "leave out --user-parent: what lies above cannot be entered from here".to_owned(),
    })
}

fn failed(error: &SysError, root: bool) -> Option<String> {
    match (&error.call, error.errno) {
        (Call::MemfdCreate | Call::Execveat, Errno::EACCES) => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{KindSet, NsId};

    fn id(inode: u32) -> NsId {
        NsId::new(inode).expect("not zero")
    }

    fn refusal(kind: NsKind, errno: Errno) -> Refusal {
        let call = Call::Setns { fd: "pidfd of 7".to_owned(), kinds: KindSet::NONE.with(kind) };
        Refusal {
            kind: Some(kind),
            id: Some(id(99)),
            pid: Some(7),
            error: SysError::new(call, errno),
            owner: Some(id(55)),
            owner_is_own: false,
            lacks: CapSet::SYS_ADMIN,
            with_user: false,
        }
    }

    #[test]
    fn each_refusal_has_its_own_words() {
        let of = refusal;
        for (refusal, root, start) in [
            (of(NsKind::Net, Errno::EPERM), false, "user:[55] owns it; add -U to enter that first, or run as root"),
            (
                Refusal { with_user: true, ..of(NsKind::Net, Errno::EPERM) },
                false,
                "user:[55] owns it, and in that the caller lacks CAP_SYS_ADMIN",
            ),
            (
                Refusal {
                    owner_is_own: true,
                    lacks: CapSet::SYS_ADMIN | CapSet::SYS_CHROOT,
                    ..of(NsKind::Mnt, Errno::EPERM)
                },
                false,
                "user:[55] owns it, and in that the caller lacks CAP_SYS_CHROOT and CAP_SYS_ADMIN: run as root",
            ),
            (Refusal { owner: None, ..of(NsKind::Net, Errno::EPERM) }, false, "its owner lies above"),
            (
                Refusal { owner_is_own: true, lacks: CapSet::EMPTY, ..of(NsKind::Net, Errno::EPERM) },
                true,
                "the caller has the capabilities that this takes, so a seccomp filter or an LSM refuses",
            ),
            (
                of(NsKind::User, Errno::EPERM),
                false,
                "this takes CAP_SYS_ADMIN in the user namespace: run as the user who made it (nsx ls -o +OUID user:[99])",
            ),
            (of(NsKind::User, Errno::EINVAL), true, "a process cannot enter its own user namespace"),
            (of(NsKind::Pid, Errno::EINVAL), true, "only the caller's own pid namespace and those below it"),
            (of(NsKind::Time, Errno::EUSERS), true, "a time namespace can be entered by a process without threads"),
            (of(NsKind::User, Errno::ENOSPC), true, "a limit on namespaces is reached: sysctl user"),
            (of(NsKind::Net, Errno::ESRCH), true, "the target has exited meanwhile"),
        ] {
            let error = EnterError::Refused(Box::new(refusal));
            let given = hint(&error, root).unwrap_or_default();
            assert!(given.starts_with(start), "{error}: {given}");
        }
        assert_eq!(hint(&EnterError::Refused(Box::new(refusal(NsKind::Net, Errno::EIO))), true), None);
    }

    #[test]
    fn each_step_has_its_own_words() {
        let none = CapSet::EMPTY;
        for (action, errno, start) in [
            (Action::JoinCgroup { index: 0, required: true }, Errno::EACCES, "moving a process takes write permission"),
            (Action::JoinCgroup { index: 0, required: true }, Errno::EBUSY, "a cgroup that hands controllers on"),
            (Action::JoinCgroup { index: 0, required: true }, Errno::ENODEV, "--no-cgroup"),
            (
                Action::PrivateMounts,
                Errno::ENOSPC,
                "the limit on mount namespaces is reached: sysctl user.max_mnt_namespaces",
            ),
            (Action::PrivateMounts, Errno::EPERM, "a private /proc takes CAP_SYS_ADMIN; --no-proc"),
            (Action::ShowTarget("/x".into()), Errno::ENOENT, "the directory has to be there: mkdir /x"),
            (Action::SetUid(5), Errno::EINVAL, "the user namespace does not map this id"),
            (Action::SetGid(5), Errno::EPERM, "another id takes CAP_SETUID and CAP_SETGID"),
            (Action::DropGroups, Errno::EPERM, "another id takes CAP_SETUID and CAP_SETGID"),
            (Action::LimitCaps { kept: none, root: true }, Errno::EPERM, "only capabilities that the caller has"),
            (Action::DropBounding(none), Errno::EPERM, "only capabilities that the caller has"),
            (Action::KeepCaps(none), Errno::EPERM, "only capabilities that the caller has"),
            (Action::Fork { terminal: false }, Errno::ENOMEM, "the pid namespace takes no more processes"),
            (Action::Fork { terminal: false }, Errno::EAGAIN, "a limit on processes is reached"),
            (Action::ChangeDirectory { target: true }, Errno::EXDEV, "it lies outside of the root directory; -W"),
            (Action::FindDirectory { path: "/x".into(), required: true }, Errno::ELOOP, "links of /proc"),
            (
                Action::FindDirectory { path: "/x".into(), required: true },
                Errno::ENOENT,
                "it is looked up in the target's root",
            ),
            (Action::TakeContext("x".into()), Errno::EACCES, "the policy has to allow the change"),
        ] {
            let error = EnterError::Step(Box::new(action), SysError::new(Call::Chroot, errno));
            let given = hint(&error, true).unwrap_or_default();
            assert!(given.starts_with(start), "{error}: {given}");
        }
        let error = EnterError::Step(Box::new(Action::NoNewPrivs), SysError::new(Call::Chroot, Errno::EINVAL));
        assert_eq!(hint(&error, true), None);
    }

    #[test]
    fn what_cannot_be_has_its_own_words() {
        let failed = |call, errno| EnterError::Failed("x".to_owned(), SysError::new(call, errno));
        let proc = || Call::Openat(b"/proc/7/environ".to_vec());
        for (error, root, start) in [
            (EnterError::Plan(PlanError::NoProcess("-m")), true, "name a process: nsx enter -t PID -m"),
            (EnterError::Plan(PlanError::Unmapped("uid", 7)), true, "--preserve-credentials"),
            (EnterError::Plan(PlanError::NoId("uid")), true, "-S UID names one that it maps"),
            (EnterError::Plan(PlanError::NoId("gid")), true, "-G GID names one that it maps"),
            (EnterError::Plan(PlanError::Cgroup("cgroup2".into(), "x".into())), true, "--no-cgroup"),
            (EnterError::Plan(PlanError::NoContext(crate::model::Pid(7))), true, "leave out -Z"),
            (EnterError::Plan(PlanError::NoKind(NsKind::Mnt, crate::model::Pid(7))), true, "leave out --mount"),
            (EnterError::Plan(PlanError::NoUserParent), true, "leave out --user-parent"),
            (EnterError::WrongKind("/x".into(), NsKind::Net, Some(NsKind::Uts)), true, "give it as --uts=FILE"),
            (EnterError::Threads, true, "start nsx as a command of its own"),
            (
                failed(Call::MemfdCreate, Errno::EACCES),
                true,
                "executing memory files is forbidden: sysctl vm.memfd_noexec",
            ),
            (failed(Call::Fork, Errno::EAGAIN), true, "a limit on processes is reached"),
            (failed(Call::Fcntl("F_SETFD, 0"), Errno::EBADF), true, "it is not open: give it to nsx"),
            (failed(Call::PidfdGetfd(3), Errno::EBADF), true, "ls -l /proc/PID/fd"),
            (failed(proc(), Errno::EACCES), false, "run as root, or as the user whose process it is"),
            (failed(proc(), Errno::EACCES), true, "this takes CAP_SYS_PTRACE"),
        ] {
            let given = hint(&error, root).unwrap_or_default();
            assert!(given.starts_with(start), "{error}: {given}");
        }
        assert_eq!(hint(&EnterError::WrongKind("/x".into(), NsKind::Net, None), true), None);
        assert_eq!(hint(&failed(Call::Fork, Errno::EIO), true), None);
    }

    #[test]
    fn a_command_that_is_not_executed_has_its_own_words() {
        for (name, errno, other_root, start) in [
            (Some("sh"), Errno::ENOENT, true, "--tools runs the host's programs"),
            (None, Errno::ENOENT, true, "--tools runs the host's programs"),
            (Some("y"), Errno::EACCES, false, "it takes permission to execute, on a mount without noexec: ls -l /x/y"),
            (Some("/x/y"), Errno::ENOENT, false, "it is not there, or its interpreter is not: head -n 1 /x/y"),
            (Some("sh"), Errno::ENOENT, false, ""),
        ] {
            let error = SysError::new(Call::Execve(b"/x/y".to_vec()), errno);
            let place = if other_root { " in the target's root directory" } else { "" };
            let error = NotExecuted { name: name.map(str::to_owned), error, uninterpreted: false, place };
            let given = not_executed(&error).unwrap_or_default();
            assert!(given.starts_with(start) && given.is_empty() == start.is_empty(), "{error}: {given}");
        }
    }
}
