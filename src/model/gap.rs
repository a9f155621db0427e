//! What could not be seen, and why: a gap is data, not an error.
//!
//! Not here: the note that tells a user of them (`cmd::ls`).

use std::collections::BTreeMap;

use super::id::{NsId, Pid};

/// What it is that could not be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapWhat {
    /// The namespaces of a process.
    Namespaces,
    /// The namespaces of the threads of a process.
    Threads,
    /// The open file descriptors of a process.
    Fds,
    /// The network namespaces of the sockets of a process.
    Sockets,
    /// The bind mounts in a mount namespace.
    BindMounts,
    /// The owner, the parent and the id of a namespace that could not be opened.
    Relations,
    /// The owner of a namespace, which lies outside the caller's user namespace.
    Owner,
    /// The parent of a pid namespace, which lies outside the caller's.
    Parent,
    /// The id that the caller's network namespace has given to another.
    NetnsId,
    /// The processes that a `/proc` mounted with hidepid keeps from the caller.
    HiddenProcesses,
    /// The namespaces that listns(2) names but that could not be opened.
    Listed,
    /// The links, addresses and routes of a network namespace, or some of them.
    Links,
    /// The listening sockets of a network namespace, or some of them.
    Listeners,
}

impl GapWhat {
    /// Returns the word that JSON uses.
    pub const fn name(self) -> &'static str {
        match self {
            GapWhat::Namespaces => "namespaces",
            GapWhat::Threads => "threads",
            GapWhat::Fds => "fds",
            GapWhat::Sockets => "sockets",
            GapWhat::BindMounts => "bind_mounts",
            GapWhat::Relations => "relations",
            GapWhat::Owner => "owner",
            GapWhat::Parent => "parent",
            GapWhat::NetnsId => "netnsid",
            GapWhat::HiddenProcesses => "hidden_processes",
            GapWhat::Listed => "listed",
            GapWhat::Links => "links",
            GapWhat::Listeners => "listeners",
        }
    }
}

/// Something that could not be seen: the same thing, for the same reason, of all that are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What could not be seen.
    pub what: GapWhat,
    /// The errno's name, such as `EACCES`; `None` where no system call failed.
    pub errno: Option<&'static str>,
    /// The processes of which it could not be seen, ascending.
    pub pids: Vec<Pid>,
    /// The namespaces of which it could not be seen, ascending.
    pub namespaces: Vec<NsId>,
}

/// Whom a gap is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapOf {
    /// A process.
    Process(Pid),
    /// A namespace.
    Namespace(NsId),
    /// The host as a whole.
    Host,
}

/// What could not be seen, and the errno's name.
type Reason = (GapWhat, Option<&'static str>);

/// Collects gaps while a scan runs.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    by_reason: BTreeMap<Reason, (Vec<Pid>, Vec<NsId>)>,
}

impl Gaps {
    /// Notes that `what` could not be seen of `of`, because of `errno`.
    pub fn add(&mut self, what: GapWhat, of: GapOf, errno: Option<&'static str>) {
        let (pids, namespaces) = self.by_reason.entry((what, errno)).or_default();
        match of {
            GapOf::Process(pid) => pids.push(pid),
            GapOf::Namespace(id) => namespaces.push(id),
            GapOf::Host => {}
        }
    }

    /// Takes in what another part of the scan has collected.
    pub fn merge(&mut self, other: Gaps) {
        for (reason, (pids, namespaces)) in other.by_reason {
            let entry = self.by_reason.entry(reason).or_default();
            entry.0.extend(pids);
            entry.1.extend(namespaces);
        }
    }

    /// Returns the gaps, each kind and reason once, sorted.
    pub fn into_vec(self) -> Vec<Gap> {
        self.by_reason
            .into_iter()
            .map(|((what, errno), (pids, namespaces))| Gap {
                what,
                errno,
                pids: sorted(pids),
                namespaces: sorted(namespaces),
            })
            .collect()
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reason_is_one_gap() {
        let mut gaps = Gaps::default();
        gaps.add(GapWhat::Fds, GapOf::Process(Pid(7)), Some("EACCES"));
        gaps.add(GapWhat::Fds, GapOf::Process(Pid(3)), Some("EACCES"));
        gaps.add(GapWhat::Fds, GapOf::Process(Pid(3)), Some("EACCES"));
        gaps.add(GapWhat::HiddenProcesses, GapOf::Host, None);
        let mut other = Gaps::default();
        other.add(GapWhat::Fds, GapOf::Process(Pid(5)), Some("EPERM"));
        gaps.merge(other);
        let list = gaps.into_vec();
        assert_eq!(list.len(), 3);
        assert_eq!((list[0].errno, &list[0].pids), (Some("EACCES"), &vec![Pid(3), Pid(7)]));
        assert_eq!((list[1].errno, &list[1].pids), (Some("EPERM"), &vec![Pid(5)]));
        assert_eq!(list[2].what, GapWhat::HiddenProcesses);
    }
}
