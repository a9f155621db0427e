//! What to do where a number cannot be translated.

use nix::unistd::geteuid;

use crate::model::{NsKind, NsName, Pid};
use crate::render::pid::Translation;
use crate::select::pid::{Children, PidError};
use crate::sys::Errno;

/// Returns what to do about an error, where the cause is known.
pub(super) fn hint(error: &PidError, root: bool) -> Option<String> {
    let as_root = || Some("run as root to see those of other users".to_owned());
    match error {
        PidError::NoProcess(..) => Some("ps -e shows the processes that there are; ps -eL threads, too".to_owned()),
        PidError::Refused(_, error) if matches!(error.errno, Errno::EACCES | Errno::EPERM) && !root => as_root(),
        PidError::NoNumber { untold: 1.., .. } if !root => as_root(),
        PidError::NoNamespace(..) | PidError::Empty(..) if !root => as_root(),
        PidError::NoNumber { ns, .. } if ns.contains('[') => Some(format!("nsx ls '{ns}' shows who is in it")),
        PidError::NotIn { pid, .. } => Some(format!("nsx pid {pid} shows the pid namespaces that it has numbers in")),
        PidError::Empty(ns, _) if ns.contains('[') => Some(format!("nsx ls '{ns}' shows what holds it")),
        PidError::OtherKind(_) => {
            Some("name a process that is in the pid namespace, or one that nsx ls -t pid shows".to_owned())
        }
        PidError::NoNamespace(..) => Some("nsx ls -t pid shows the pid namespaces that there are".to_owned()),
        PidError::TooMany(..) => Some("its process has a number, too".to_owned()),
        PidError::Refused(..)
        | PidError::NoNumber { .. }
        | PidError::Empty(..)
        | PidError::Restless(..)
        | PidError::Unlisted(_) => None,
    }
}

/// Says that the children of a process are not where it is itself.
pub fn children_elsewhere(pid: Pid, children: Children) -> String {
    match children {
        Children::In(ns) => {
            let name = NsName { kind: NsKind::Pid, id: ns };
            format!("the children of process {pid} are in another pid namespace than it is itself: {name}")
        }
        Children::InNew => {
            format!(
                "the next child of process {pid} will be the first process of another pid namespace than it is itself in"
            )
        }
    }
}

/// Says what a table of numbers does not show.
pub fn pid_notes(view: &Translation<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for process in view.all {
        let pid = process.pid;
        if process.exiting {
            notes.push(format!("process {pid} has ended; it is still there for its parent (a zombie)"));
        }
        notes.extend(process.children.map(|children| children_elsewhere(pid, children)));
    }
    for gap in view.gaps {
        let pids: Vec<String> = gap.pids.iter().map(Pid::to_string).collect();
        let advice = if geteuid().is_root() { "" } else { "; run as root to see them" };
        let errno = gap.errno.unwrap_or_default();
        notes.push(format!("could not read the pid namespaces of process {} ({errno}){advice}", pids.join(", ")));
    }
    if let Some(top) = view.top.filter(|_| view.above == Some(true)) {
        notes.push(format!(
            "pid:[{top}] is not the first pid namespace of the host; numbers above it cannot be seen from here"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NsId;
    use crate::sys::{Call, SysError};

    #[test]
    fn each_situation_has_its_own_words() {
        let id = NsId::new(5).expect("not zero");
        let ns = || "pid:[5]".to_owned();
        let no_number = |untold| PidError::NoNumber { number: 7, ns: ns(), error: None, untold };
        let refused = |errno| SysError::new(Call::Readlinkat(b"/proc/7/ns/pid".to_vec()), errno);
        for (error, root, hint) in [
            (PidError::NoProcess(Pid(7), refused(Errno::ENOENT)), true, Some("ps -e shows")),
            (PidError::Refused(Pid(7), refused(Errno::EACCES)), false, Some("run as root")),
            (PidError::Refused(Pid(7), refused(Errno::EACCES)), true, None),
            (no_number(1), false, Some("run as root")),
            (no_number(1), true, Some("nsx ls 'pid:[5]' shows who")),
            (no_number(0), false, Some("nsx ls 'pid:[5]' shows who")),
            (PidError::NotIn { pid: Pid(7), ns: ns(), error: None }, false, Some("nsx pid 7 shows")),
            (PidError::Empty(ns(), None), true, Some("nsx ls 'pid:[5]' shows what")),
            (PidError::NoNamespace(None, id), true, Some("nsx ls -t pid")),
            (PidError::NoNamespace(None, id), false, Some("run as root")),
            (PidError::OtherKind(NsName { kind: NsKind::Net, id }), true, Some("name a process")),
            (PidError::Restless(7, ns()), true, None),
        ] {
            let given = super::hint(&error, root);
            match hint {
                Some(start) => {
                    assert!(given.as_deref().is_some_and(|given| given.starts_with(start)), "{error}: {given:?}");
                }
                None => assert_eq!(given, None, "{error}"),
            }
        }
    }
}
