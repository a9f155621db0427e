//! Hints below errors of `nsx run`: what to type instead, or first.

use crate::launch::run::forbidden;
use crate::launch::run::ids::WriteError;
use crate::launch::run::steps::Action;
use crate::launch::run::{RootProblem, RunError};
use crate::sys::Errno;

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
        RunError::Ids(_) | RunError::User(_) | RunError::Maps(..) | RunError::NoNet(_) | RunError::TooMuch(_) | RunError::Failed(..) => None,
    }
}

fn step(action: &Action, errno: Errno, root: bool) -> Option<String> {
    match (action, errno) {
        (Action::EnterNet, Errno::EPERM) if !root => Some("run as root: the network namespace is not yours".to_owned()),
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
        (Action::Clone { .. } | Action::Fork { .. }, Errno::EAGAIN) => {
            Some("there are as many processes as may be, of the user or in the cgroup: ulimit -u; nsx cg why self; or --ulimit nproc is too little".to_owned())
        }
        _ => None,
    }
}
