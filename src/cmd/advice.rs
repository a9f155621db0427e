//! From a situation to something to type: the hints below errors. A table; whatever it needs to know comes with the error.

mod cg;
mod enter;
mod limits;
mod pid;
mod run;

use nix::unistd::geteuid;

use super::enter::NotExecuted;
use super::inspect::WantedProcess;
use crate::cgroup::change::ChangeError;
use crate::inspect::InspectError;
use crate::launch::EnterError;
use crate::launch::run::kill::KillError;
use crate::model::Gap;
use crate::select::TargetError;
use crate::sys::Errno;

pub use cg::members_notes;
pub use pid::{children_elsewhere, pid_notes};

/// `/proc` is not there, or is not procfs.
#[derive(Debug)]
pub struct NoProc {
    /// The directory that was tried.
    pub path: std::path::PathBuf,
}

impl std::fmt::Display for NoProc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not procfs", self.path.display())
    }
}

impl std::error::Error for NoProc {}

/// The `/proc` that was given is not that of the caller's pid namespace.
#[derive(Debug)]
pub struct NotOwnProc {
    /// What cannot be done by it.
    pub doing: &'static str,
    /// The directory.
    pub path: std::path::PathBuf,
}

impl std::fmt::Display for NotOwnProc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "cannot {} by {}: it is not procfs of the caller's own pid namespace",
            self.doing,
            self.path.display()
        )
    }
}

impl std::error::Error for NotOwnProc {}

/// Returns what to do about an error, where the cause is known.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(no_proc) = error.downcast_ref::<NoProc>() {
        return Some(format!("mount it first: mount -t proc proc {}", no_proc.path.display()));
    }
    if let Some(NotOwnProc { path, .. }) = error.downcast_ref() {
        return Some(format!(
            "mount one where nobody else sees it: unshare -m sh -c 'mount -t proc proc {}; exec nsx …'; unshare has --mount-proc",
            path.display()
        ));
    }
    if let Some(WantedProcess { target }) = error.downcast_ref() {
        return Some(format!("nsx ls '{target}' lists who is in it; nsx inspect PID shows one of those"));
    }
    if let Some(InspectError::Gone(_)) = error.downcast_ref() {
        return Some("ps -e shows the processes that there are".to_owned());
    }
    let root = geteuid().is_root();
    if let Some(error) = error.downcast_ref::<ChangeError>() {
        return cg::hint(error, root);
    }
    if let Some(error) = error.downcast_ref() {
        return pid::hint(error, root);
    }
    if let Some(error) = error.downcast_ref() {
        return run::hint(error, root);
    }
    if let Some(KillError::Target(error)) = error.downcast_ref() {
        return target(error, root);
    }
    if let Some(KillError::Left(_, error)) = error.downcast_ref() {
        return cg::hint(error, root);
    }
    if let Some(KillError::Refused(..)) = error.downcast_ref() {
        return Some("run as the user whose it is, or as root".to_owned());
    }
    if let Some(not_executed) = error.downcast_ref::<NotExecuted>() {
        return enter::not_executed(not_executed);
    }
    match error.downcast_ref::<EnterError>() {
        Some(EnterError::Target(error)) => target(error, root),
        Some(error) => enter::hint(error, root),
        None => error.downcast_ref::<TargetError>().and_then(|error| target(error, root)),
    }
}

fn target(error: &TargetError, root: bool) -> Option<String> {
    let as_root = "run as root to see those of other users";
    match error {
        TargetError::NoProcess(..) | TargetError::Nothing(_) => {
            Some("nsx ls shows the namespaces that there are, ps -e the processes; an id of digits alone takes its engine: docker:1234".to_owned())
        }
        TargetError::OtherProcess(pid, ..) => {
            Some(format!("the one that was meant has exited; nsx ls {pid} shows the present one"))
        }
        TargetError::NoPidInode(pid) => Some(format!("give the PID alone: {pid}")),
        TargetError::Refused(_, error) if error.errno == Errno::EACCES && !root => Some(as_root.to_owned()),
        TargetError::Refused(pid, error) if error.errno == Errno::EACCES => Some(format!(
            "this takes CAP_SYS_PTRACE over the process, and an LSM that allows it; compare: grep Cap /proc/self/status /proc/{pid}/status"
        )),
        TargetError::NoFile(path, error) if error.errno == Errno::ENOENT && path.starts_with("/run/netns") => {
            Some("ip netns list shows the names that there are".to_owned())
        }
        TargetError::NotNamespace(path) => Some(format!(
            "see what is mounted there: findmnt -T {}",
            String::from_utf8_lossy(path.as_os_str().as_encoded_bytes()).escape_debug()
        )),
        TargetError::NoNamespace(..) if !root => Some(as_root.to_owned()),
        TargetError::NoNamespace(..) => Some("nsx ls shows the namespaces that there are".to_owned()),
        TargetError::WantedProcess(text) => Some(format!("nsx ls '{text}' lists its members")),
        TargetError::IsCgroup(text) => Some(format!("nsx cg procs '{text}' lists its members")),
        TargetError::NotCgroupfs(path, _) => {
            Some(format!("cgroup:{} names a path in a hierarchy", crate::render::text::sanitize(path)))
        }
        TargetError::NoContainer(..) | TargetError::NotSandboxed(..) if !root => {
            Some("nsx ps shows the containers that there are; as root it sees all, with their names".to_owned())
        }
        TargetError::NoContainer(..) | TargetError::NotSandboxed(..) => {
            Some("nsx ps shows the containers that there are".to_owned())
        }
        TargetError::Containers(_, all) => all
            .first()
            .map(|first| format!("name the one that is meant, such as '{}', or its pid", first.target.escape_debug())),
        TargetError::NoUnit(_) | TargetError::EmptyUnit(..) => {
            Some("systemctl list-units shows the units that there are".to_owned())
        }
        TargetError::Units(_, all) => all
            .first()
            .map(|path| format!("name the cgroup: 'cgroup:{}'", String::from_utf8_lossy(path).escape_debug())),
        TargetError::NoSandbox(_) => Some("nsx ps --where 'engine == nsx' shows the sandboxes of nsx run that there are".to_owned()),
        TargetError::Sandboxes(_, all) => {
            let first = all.first().map(|(pid, _)| pid.to_string()).unwrap_or_default();
            Some(format!("name one by its first process: {first}; nsx kill {first} ends the first of them"))
        }
        TargetError::Inside(error) => pid::hint(error, root),
        TargetError::NoCgroup(..) => Some("nsx cg ls shows the cgroups that there are".to_owned()),
        // What is wrong with the form of a target is said by the usage error itself.
        TargetError::Form(_) | TargetError::Refused(..) | TargetError::NoFile(..) | TargetError::Unlisted(_) => None,
    }
}

/// Says in one line what could not be seen; `None` where everything was, or where what is missing lies outside of where the caller stands.
pub fn gaps_note(gaps: &[Gap]) -> Option<String> {
    note(gaps, geteuid().is_root())
}

fn note(gaps: &[Gap], root: bool) -> Option<String> {
    use crate::model::GapWhat as What;

    let parts: Vec<String> = gaps
        .iter()
        .filter_map(|gap| {
            let count = |number: usize, one: &str, more: &str| {
                if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
            };
            let processes = match gap.pids[..] {
                [pid] => format!("process {pid}"),
                _ => count(gap.pids.len(), "process", "processes"),
            };
            let namespaces = count(gap.namespaces.len(), "namespace", "namespaces");
            let text = match gap.what {
                What::Namespaces => processes,
                What::Threads => format!("the threads of {processes}"),
                What::Fds => format!("the fds of {processes}"),
                What::Sockets => format!("the sockets of {processes}"),
                What::BindMounts => {
                    format!("the bind mounts in {}", count(gap.namespaces.len(), "mount namespace", "mount namespaces"))
                }
                What::Relations => format!("the owners of {namespaces}"),
                What::NetnsId => format!("the netnsid of {namespaces}"),
                What::HiddenProcesses => "the processes that /proc hides (hidepid)".to_owned(),
                What::Listed => "some namespaces that listns names".to_owned(),
                What::Links => {
                    format!("the links of {}", count(gap.namespaces.len(), "network namespace", "network namespaces"))
                }
                What::Listeners => format!(
                    "the listening sockets of {}",
                    count(gap.namespaces.len(), "network namespace", "network namespaces")
                ),
                // These lie above the caller's own namespaces: from here there is nothing more to see.
                What::Owner | What::Parent => return None,
            };
            Some(match gap.errno {
                Some(errno) => format!("{text} ({errno})"),
                None => text,
            })
        })
        .collect();
    let advice = if root { "--json has the list in .gaps" } else { "run as root to see all" };
    (!parts.is_empty()).then(|| format!("could not see {}; {advice}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::gap::GapOf;
    use crate::model::{GapWhat, Gaps, NsId, Pid};
    use crate::sys::{Call, SysError};

    fn refused(errno: Errno) -> TargetError {
        TargetError::Refused(Pid(7), SysError::new(Call::Readlinkat(b"/proc/7/ns/net".to_vec()), errno))
    }

    #[test]
    fn each_situation_has_its_own_words() {
        let id = NsId::new(5).expect("not zero");
        let no_file =
            |path: &str, errno| TargetError::NoFile(path.into(), SysError::new(Call::Openat(path.into()), errno));
        for (error, root, hint) in [
            (
                TargetError::NoProcess(Pid(7), SysError::new(Call::PidfdOpen(7), Errno::ESRCH)),
                true,
                Some("nsx ls shows"),
            ),
            (TargetError::Nothing(0), true, Some("nsx ls shows")),
            (TargetError::OtherProcess(Pid(7), 1, 2), true, Some("the one that was meant has exited; nsx ls 7")),
            (TargetError::NoPidInode(Pid(7)), true, Some("give the PID alone: 7")),
            (refused(Errno::EACCES), false, Some("run as root")),
            (refused(Errno::EACCES), true, Some("this takes CAP_SYS_PTRACE")),
            (refused(Errno::EIO), true, None),
            (no_file("/run/netns/x", Errno::ENOENT), true, Some("ip netns list")),
            (no_file("/tmp/x", Errno::ENOENT), true, None),
            (TargetError::NotNamespace("/etc".into()), true, Some("see what is mounted there: findmnt -T /etc")),
            (TargetError::NoNamespace(None, id), false, Some("run as root")),
            (TargetError::NoNamespace(None, id), true, Some("nsx ls shows")),
            (TargetError::WantedProcess("net:[5]".into()), true, Some("nsx ls 'net:[5]' lists")),
        ] {
            let given = target(&error, root);
            match hint {
                Some(start) => {
                    assert!(given.as_deref().is_some_and(|given| given.starts_with(start)), "{error}: {given:?}")
                }
                None => assert_eq!(given, None, "{error}"),
            }
        }
        let no_proc = anyhow::Error::new(NoProc { path: "/proc".into() });
        assert_eq!(super::hint(&no_proc).as_deref(), Some("mount it first: mount -t proc proc /proc"));
    }

    #[test]
    fn all_gaps_are_one_note() {
        let mut gaps = Gaps::default();
        assert_eq!(note(&gaps.clone().into_vec(), true), None);
        gaps.add(GapWhat::Owner, GapOf::Namespace(NsId::new(5).expect("not zero")), Some("EPERM"));
        assert_eq!(note(&gaps.clone().into_vec(), true), None, "what lies above is not missing");
        gaps.add(GapWhat::Namespaces, GapOf::Process(Pid(1)), Some("EACCES"));
        assert_eq!(
            note(&gaps.clone().into_vec(), true).as_deref(),
            Some("could not see process 1 (EACCES); --json has the list in .gaps")
        );
        gaps.add(GapWhat::Namespaces, GapOf::Process(Pid(2)), Some("EACCES"));
        gaps.add(GapWhat::Sockets, GapOf::Process(Pid(3)), Some("EPERM"));
        gaps.add(GapWhat::BindMounts, GapOf::Namespace(NsId::new(6).expect("not zero")), Some("EACCES"));
        gaps.add(GapWhat::HiddenProcesses, GapOf::Host, None);
        assert_eq!(
            note(&gaps.into_vec(), false).as_deref(),
            Some(
                "could not see 2 processes (EACCES), the sockets of process 3 (EPERM), \
                 the bind mounts in 1 mount namespace (EACCES), the processes that /proc hides (hidepid); run as root to see all"
            )
        );
    }
}
