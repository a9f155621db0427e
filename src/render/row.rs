//! A line of a table before it is one: a namespace, or one of the things that hold a namespace.

use crate::model::{Details, Holder, HolderKind, Namespace, NsName, Pid, Process, Snapshot};
use crate::proc::Users;

/// Everything that cells are made of.
pub struct View<'a> {
    /// The host.
    pub snapshot: &'a Snapshot,
    /// The names of its users.
    pub users: &'a Users,
    /// When it booted, in seconds since 1970, and how many ticks of a process's start time make a second.
    pub boot: Option<(u64, u64)>,
}

/// A namespace, or a holder of it, to be shown.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Where the rest of the facts are.
    pub view: &'a View<'a>,
    /// The namespace.
    pub namespace: &'a Namespace,
    /// The holder, where holders are listed.
    pub holder: Option<&'a Holder>,
}

impl<'a> Row<'a> {
    /// Returns the process that the row is about: the holder's, or the leader.
    pub fn pid(&self) -> Option<Pid> {
        match self.holder {
            Some(holder) => holder.pid,
            None => self.namespace.leader,
        }
    }

    /// Returns that process as the scan saw it.
    pub fn process(&self) -> Option<&'a Process> {
        self.view.snapshot.process(self.pid()?)
    }

    /// Returns what was read of that process to show it.
    pub fn details(&self) -> Option<&'a Details> {
        self.view.snapshot.details.get(&self.pid()?)
    }

    /// Returns a file by which the namespace can be opened.
    pub fn path(&self) -> Option<Vec<u8>> {
        let kind = self.namespace.kind;
        let held_by = self.namespace.held_by();
        let holder = self.holder.or_else(|| held_by.first().map(|(holder, _)| holder))?;
        let text = match (holder.kind, holder.pid, holder.tid, holder.fd) {
            (HolderKind::Process, Some(pid), ..) => format!("/proc/{pid}/ns/{kind}"),
            (HolderKind::Thread, Some(pid), Some(tid), _) => format!("/proc/{pid}/task/{tid}/ns/{kind}"),
            (HolderKind::ForChildren, Some(pid), Some(tid), _) => {
                format!("/proc/{pid}/task/{tid}/ns/{}", kind.for_children()?)
            }
            (HolderKind::Fd, Some(pid), _, Some(fd)) => format!("/proc/{pid}/fd/{fd}"),
            (HolderKind::BindMount, ..) => return holder.path.clone(),
            _ => return None,
        };
        Some(text.into_bytes())
    }

    /// Says in words how a holder holds: `thread 43`, `fd 7`, `bind mount /run/netns/blue in mnt:[4026531832]`.
    pub fn holding(&self, holder: &Holder) -> String {
        let number = |number: Option<u32>| number.map_or_else(String::new, |number| format!(" {number}"));
        match holder.kind {
            HolderKind::Process => "process".to_owned(),
            HolderKind::Thread => format!("thread{}", number(holder.tid.map(|tid| tid.0))),
            HolderKind::ForChildren => format!("for children of{}", number(holder.tid.map(|tid| tid.0))),
            HolderKind::Fd => format!("fd{}", number(holder.fd)),
            HolderKind::Socket => format!("socket fd{}", number(holder.fd)),
            HolderKind::BindMount => {
                let path = super::text::sanitize(holder.path.as_deref().unwrap_or_default()).into_owned();
                let own = self
                    .view
                    .snapshot
                    .namespaces
                    .iter()
                    .any(|namespace| namespace.own && Some(namespace.id) == holder.mnt_ns);
                match holder.mnt_ns {
                    Some(mnt_ns) if !own => format!("bind mount {path} in mnt:[{mnt_ns}]"),
                    _ => format!("bind mount {path}"),
                }
            }
            HolderKind::Descendant => match holder.descendant.and_then(|id| self.view.snapshot.namespace(id)) {
                Some(below) => format!("descendant {}", NsName { kind: below.kind, id: below.id }),
                None => "descendant".to_owned(),
            },
            HolderKind::Kernel => "kernel".to_owned(),
        }
    }
}
