//! Hints below errors of `nsx run`: what to type instead, or first.

use crate::launch::run::forbidden;
use crate::launch::run::ids::WriteError;
use crate::launch::run::steps::Action;
use crate::launch::run::{RootProblem, RunError};
use crate::sys::Errno;

const TOO_MANY_PROCESSES: &str = "there are as many processes as may be, of the user or in the cgroup: ulimit -u; nsx cg why self; or --ulimit nproc is too little";

/// Returns what to do about a sandbox that cannot be, where the cause is known.
pub(super) fn hint(error: &RunError, root: bool) -> Option<String> {
    let shown = |path: &std::path::Path| path.to_string_lossy().escape_debug().to_string();
    match error {
        RunError::Limits(error) => super::limits::hint(error, root),
        RunError::Target(error) => super::target(error, root),
        RunError::Common(error) => super::enter::hint(error, root),
        RunError::Forbidden(forbidden, _) | RunError::Maps(_, Some(forbidden)) => forbidden.fix(),
        RunError::Maps(WriteError::Failed { program, .. }, None) => forbidden::helper(program).and_then(|one| one.fix()),
        RunError::NoPrivilege => Some("leave out --userns host, or run as root".to_owned()),
        RunError::NoSuchId { .. } => Some(
            "--userns map=INSIDE:OUTSIDE:COUNT says which there are; an ordinary user has more than one with a line in /etc/subuid"
                .to_owned(),
        ),
        RunError::MissingCall(call) => Some(format!(
            "a kernel from 5.12 on has {call}(2); below a container's filter: grep Seccomp /proc/self/status, and allow it there"
        )),
        RunError::Root { path, why: RootProblem::Lacks(name) } => {
            Some(format!("mkdir {}{name}", shown(path).trim_end_matches('/')))
        }
        RunError::Root { path, why: RootProblem::NoDirectory } => {
            Some(format!("--rootfs takes a directory with a whole system in it: ls {}", shown(path)))
        }
        RunError::Root { .. } => None,
        RunError::Source(path, error) if error.errno == Errno::ENOENT => {
            Some(format!("-v SOURCE:TARGET: the source comes first: ls -d {}", shown(path)))
        }
        RunError::Source(..) => None,
        RunError::NoMountPoint(path, true) => {
            Some(format!("nothing is made in a root directory that was given: mkdir {} in it first", shown(path)))
        }
        RunError::NoMountPoint(path, false) => Some(format!(
            "show it below /tmp or /run, or at a new name right below /, as in /{}",
            path.file_name().map(|name| name.to_string_lossy().escape_debug().to_string()).unwrap_or_default()
        )),
        RunError::NameTaken(name) => Some(format!("nsx kill {name} ends it")),
        RunError::Step(action, error) => step(action, error.errno, root),
        RunError::Failed(_, error) if error.errno == Errno::EAGAIN => Some(TOO_MANY_PROCESSES.to_owned()),
        RunError::Ids(_) | RunError::User(_) | RunError::Maps(..) | RunError::NoNet(_) | RunError::TooMuch(_) | RunError::Failed(..) => None,
    }
}

fn step(action: &Action, errno: Errno, root: bool) -> Option<String> {
    match (action, errno) {
        (Action::EnterNet, Errno::EPERM) if !root => Some(
            "it takes capabilities where the network is: nsx enter -t TARGET COMMAND gets them in a sandbox of yours; else run as root"
                .to_owned(),
        ),
        (Action::AttachBind { target, .. }, Errno::EINVAL | Errno::ENOTDIR) => Some(format!(
            "a directory is shown at a directory, a file at a file, and neither at a link: ls -ld {} inside and the source outside",
            String::from_utf8_lossy(target).escape_debug()
        )),
        (Action::SetClocks(_), Errno::ERANGE) => {
            Some("no clock goes back beyond the start of the host: cat /proc/uptime".to_owned())
        }
        (Action::ChangeDirectory { .. }, Errno::ENOENT | Errno::ENOTDIR) => {
            Some("-v SOURCE:TARGET shows a directory inside, --home the home directories".to_owned())
        }
        (Action::ChangeDirectory { .. }, Errno::EXDEV) => {
            Some("it leads out of the root directory; name one that is inside".to_owned())
        }
        (Action::SetOomScore(_) | Action::SpareFromOom(_), Errno::EACCES) => {
            Some("to be killed later than others takes CAP_SYS_RESOURCE; give a number that is not less than the caller's: cat /proc/self/oom_score_adj".to_owned())
        }
        (Action::SetRlimit(_) | Action::RaiseRlimit(_), Errno::EPERM) => {
            Some("to raise a hard limit takes CAP_SYS_RESOURCE: ulimit -a -H shows the caller's".to_owned())
        }
        (Action::TakeProc { .. } | Action::MountProc, Errno::EPERM) => {
            Some("below a container whose /proc is masked a new one may not be made: start that with its masks off".to_owned())
        }
        (Action::TakeCgroups(_) | Action::JoinCgroups(_), Errno::EPERM | Errno::EACCES) => Some(
            "a process is moved only by who may write to cgroup.procs of the cgroup above both: see nsx cg show self".to_owned(),
        ),
        (Action::Clone { .. } | Action::Unshare(_), Errno::ENOSPC) => {
            Some("there are as many namespaces as may be: sysctl user | grep max_".to_owned())
        }
        (Action::Clone { .. } | Action::Fork { .. }, Errno::EAGAIN) => Some(TOO_MANY_PROCESSES.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::run::steps::{MountPoint, Origin};
    use crate::launch::run::{Rlimit, TimeOffset};
    use crate::model::{KindSet, NsKind};
    use crate::sys::{Call, SysError};

    #[test]
    fn each_cause_has_something_to_type() {
        let error = |errno| SysError::new(Call::Unshare, errno);
        let step = |action: Action, errno| RunError::Step(Box::new(action), error(errno));
        let attach = Action::AttachBind {
            index: 0,
            origin: Origin::Held(0),
            target: b"/x".to_vec(),
            make: Vec::new(),
            point: MountPoint::There,
        };
        let rlimit = Rlimit { resource: 7, name: "nofile", soft: None, hard: None };
        for (given, words) in [
            (RunError::NoPrivilege, "leave out --userns host"),
            (RunError::NoSuchId { what: "user", id: 7 }, "--userns map=INSIDE:OUTSIDE:COUNT"),
            (RunError::MissingCall("open_tree"), "grep Seccomp /proc/self/status"),
            (RunError::Root { path: "/x/".into(), why: RootProblem::Lacks("/dev") }, "mkdir /x/dev"),
            (RunError::Root { path: "/x".into(), why: RootProblem::NoDirectory }, "ls /x"),
            (RunError::Source("/x".into(), error(Errno::ENOENT)), "ls -d /x"),
            (RunError::NoMountPoint("/etc/x".into(), true), "mkdir /etc/x"),
            (RunError::NoMountPoint("/etc/x".into(), false), "as in /x"),
            (RunError::NameTaken("web".into()), "nsx kill web"),
            (RunError::Failed("cannot start a sandbox".into(), error(Errno::EAGAIN)), "ulimit -u"),
            (step(Action::EnterNet, Errno::EPERM), "nsx enter -t TARGET"),
            (step(attach, Errno::EINVAL), "ls -ld /x"),
            (step(Action::SetClocks(TimeOffset::default()), Errno::ERANGE), "/proc/uptime"),
            (step(Action::ChangeDirectory { paths: Vec::new(), required: true }, Errno::ENOENT), "-v SOURCE:TARGET"),
            (step(Action::ChangeDirectory { paths: Vec::new(), required: true }, Errno::EXDEV), "inside"),
            (step(Action::SetOomScore(-1), Errno::EACCES), "/proc/self/oom_score_adj"),
            (step(Action::SetRlimit(rlimit), Errno::EPERM), "ulimit -a -H"),
            (step(Action::MountProc, Errno::EPERM), "with its masks off"),
            (step(Action::JoinCgroups(1), Errno::EACCES), "nsx cg show self"),
            (step(Action::Unshare(KindSet::NONE.with(NsKind::Net)), Errno::ENOSPC), "sysctl user"),
            (step(Action::Fork { terminal: false }, Errno::EAGAIN), "ulimit -u"),
        ] {
            let hint = hint(&given, false).unwrap_or_default();
            assert!(hint.contains(words), "{given}: {hint}");
        }
        for given in [RunError::TooMuch(9), step(Action::Exec, Errno::EIO), step(Action::EnterNet, Errno::EINVAL)] {
            assert_eq!(hint(&given, false), None, "{given}");
        }
    }
}
