//! From observations to a linked picture of the host.
//!
//! A scan hands over facts ([`Observations`]); [`Snapshot::build`] gives them meaning: what belongs together, who leads, who is
//! held by whom. It is pure, so it is tested with literals. Not here: where the facts come from.

use std::collections::HashMap;

use super::gap::{Gap, Gaps};
use super::id::{NsId, NsName, Pid, Uid};
use super::kind::NsKind;
use super::namespace::{Holder, HolderKind, Namespace, NetnsId};
use super::process::{Details, ForChildren, NsArray, Process, Thread};

/// What has brought home the processes and threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// A walk over `/proc`.
    #[default]
    Proc,
    /// A BPF iterator over all tasks.
    Bpf,
}

impl Backend {
    /// Returns the word that options and JSON use.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Proc => "proc",
            Backend::Bpf => "bpf",
        }
    }
}

/// What a namespace answered when it was asked about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Relations {
    /// Its 64-bit id.
    pub id64: Option<u64>,
    /// The user namespace that owns it.
    pub owner: Option<NsId>,
    /// Its parent.
    pub parent: Option<NsId>,
    /// The uid that made it: user namespaces only.
    pub owner_uid: Option<Uid>,
    /// The number the caller's network namespace has for it.
    pub netnsid: Option<NetnsId>,
}

/// The facts that a scan brings home.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// The processes, in any order.
    pub processes: Vec<Process>,
    /// The threads that differ from their process.
    pub threads: Vec<Thread>,
    /// The tasks whose children will be elsewhere.
    pub for_children: Vec<ForChildren>,
    /// Everything else that holds a namespace: fds, sockets, bind mounts.
    pub holders: Vec<(NsName, Holder)>,
    /// What the namespaces said of themselves; every namespace that was found by its relatives or by listns(2) is in here.
    pub relations: HashMap<NsName, Relations>,
    /// The initial net and mnt namespaces, where their number does not tell.
    pub initial: Vec<NsId>,
    /// Whether the numbers of all initial namespaces are the fixed ones (Linux 6.18).
    pub initial_inodes_fixed: bool,
    /// The caller's own namespaces.
    pub own: NsArray,
    /// What could not be seen.
    pub gaps: Gaps,
    /// What has brought home most of it.
    pub backend: Backend,
}

/// All namespaces of a host at one moment, linked to each other and to the processes in them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The namespaces, by inode.
    pub namespaces: Vec<Namespace>,
    /// The processes, by pid.
    pub processes: Vec<Process>,
    /// The threads that are in other namespaces than their process, by tid.
    pub threads: Vec<Thread>,
    /// What could not be seen.
    pub gaps: Vec<Gap>,
    /// The pid namespace in which the pids of this snapshot have their meaning.
    pub pid_ns: Option<NsId>,
    /// What has brought home most of it.
    pub backend: Backend,
    /// Details of the processes that are to be shown; filled by `scan::describe`.
    pub details: HashMap<Pid, Details>,
    by_id: HashMap<NsId, usize>,
}

impl Snapshot {
    /// Links observations into a snapshot.
    pub fn build(observations: Observations) -> Snapshot {
        let Observations { mut processes, mut threads, for_children, holders, relations, .. } = observations;
        processes.sort_unstable_by_key(|process| process.pid);
        processes.dedup_by_key(|process| process.pid);
        threads.sort_unstable_by_key(|thread| thread.tid);

        let mut table = Table::default();
        let by_pid: HashMap<Pid, usize> =
            processes.iter().enumerate().map(|(index, process)| (process.pid, index)).collect();
        for process in &processes {
            for (kind, id) in names(&process.ns) {
                let namespace = table.namespace(NsName { kind, id });
                namespace.members.push(process.pid);
                namespace.nthreads += u64::from(process.nthreads);
            }
        }
        for thread in &threads {
            let process = by_pid.get(&thread.pid).map(|&index| &processes[index]);
            for (kind, id) in names(&thread.ns) {
                // The thread was counted with its process, where that is in a namespace of this kind at all.
                if let Some(left) = process.and_then(|process| process.ns[kind.index()]) {
                    let namespace = table.namespace(NsName { kind, id: left });
                    namespace.nthreads = namespace.nthreads.saturating_sub(1);
                }
                let namespace = table.namespace(NsName { kind, id });
                namespace.nthreads += 1;
                namespace.holders.push(Holder {
                    pid: Some(thread.pid),
                    tid: Some(thread.tid),
                    ..Holder::new(HolderKind::Thread)
                });
            }
        }
        for task in for_children {
            table.namespace(task.name).holders.push(Holder {
                pid: Some(task.pid),
                tid: Some(task.tid),
                ..Holder::new(HolderKind::ForChildren)
            });
        }
        for (name, holder) in holders {
            table.namespace(name).holders.push(holder);
        }
        for (&name, told) in &relations {
            let namespace = table.namespace(name);
            namespace.id64 = told.id64;
            namespace.owner = told.owner;
            namespace.parent = told.parent;
            namespace.netnsid = told.netnsid;
            namespace.owner_uid = if name.kind == NsKind::User {
                told.owner_uid
            } else {
                let owner = told.owner.map(|id| NsName { kind: NsKind::User, id });
                owner.and_then(|owner| relations.get(&owner)).and_then(|owner| owner.owner_uid)
            };
        }
        table.add_descendants();

        let Table { mut namespaces, .. } = table;
        namespaces.sort_unstable_by_key(|namespace| namespace.id);
        for namespace in &mut namespaces {
            let (id, kind) = (namespace.id, namespace.kind);
            namespace.own = observations.own[kind.index()] == Some(id);
            namespace.initial = kind.is_initial_inode(id).or({
                if observations.initial.contains(&id) {
                    Some(true)
                } else if observations.initial_inodes_fixed || !observations.initial.is_empty() {
                    Some(false)
                } else {
                    None
                }
            });
            namespace.leader = leader(namespace, &processes, &by_pid);
            let seen = !namespace.members.is_empty() || !namespace.holders.is_empty();
            if namespace.initial == Some(true) || !seen {
                namespace.holders.push(Holder::new(HolderKind::Kernel));
            }
            namespace
                .holders
                .sort_by(|a, b| (a.kind, a.pid, a.tid, a.fd, &a.path).cmp(&(b.kind, b.pid, b.tid, b.fd, &b.path)));
        }
        let by_id = namespaces.iter().enumerate().map(|(index, namespace)| (namespace.id, index)).collect();
        Snapshot {
            pid_ns: observations.own[NsKind::Pid.index()],
            backend: observations.backend,
            namespaces,
            processes,
            threads,
            gaps: observations.gaps.into_vec(),
            details: HashMap::new(),
            by_id,
        }
    }

    /// Returns the namespace with this inode.
    pub fn namespace(&self, id: NsId) -> Option<&Namespace> {
        self.by_id.get(&id).map(|&index| &self.namespaces[index])
    }

    /// Returns the process with this pid.
    pub fn process(&self, pid: Pid) -> Option<&Process> {
        let index = self.processes.binary_search_by_key(&pid, |process| process.pid).ok()?;
        Some(&self.processes[index])
    }
}

/// The namespaces while they are put together.
#[derive(Default)]
struct Table {
    namespaces: Vec<Namespace>,
    by_id: HashMap<NsId, usize>,
    /// The namespace of each kind that was asked for last: neighbours in `/proc` are mostly in the same.
    recent: [Option<(NsId, usize)>; 8],
}

impl Table {
    fn namespace(&mut self, name: NsName) -> &mut Namespace {
        let recent = &mut self.recent[name.kind.index()];
        let index = match *recent {
            Some((id, index)) if id == name.id => index,
            _ => {
                let namespaces = &mut self.namespaces;
                let index = *self.by_id.entry(name.id).or_insert_with(|| {
                    namespaces.push(empty(name));
                    namespaces.len() - 1
                });
                *recent = Some((name.id, index));
                index
            }
        };
        &mut self.namespaces[index]
    }

    /// Notes with every owner and parent that a namespace below keeps it alive.
    fn add_descendants(&mut self) {
        let mut links: Vec<(NsId, NsId)> = Vec::new();
        for namespace in &self.namespaces {
            links.extend(namespace.owner.map(|owner| (owner, namespace.id)));
            if namespace.parent != namespace.owner {
                links.extend(namespace.parent.map(|parent| (parent, namespace.id)));
            }
        }
        links.sort_unstable();
        for (above, below) in links {
            if let Some(&index) = self.by_id.get(&above) {
                let holder = Holder { descendant: Some(below), ..Holder::new(HolderKind::Descendant) };
                self.namespaces[index].holders.push(holder);
            }
        }
    }
}

fn empty(name: NsName) -> Namespace {
    Namespace {
        id: name.id,
        kind: name.kind,
        id64: None,
        owner: None,
        owner_uid: None,
        parent: None,
        netnsid: None,
        initial: None,
        own: false,
        leader: None,
        members: Vec::new(),
        nthreads: 0,
        holders: Vec::new(),
    }
}

fn names(ns: &NsArray) -> impl Iterator<Item = (NsKind, NsId)> {
    NsKind::ALL.into_iter().filter_map(|kind| Some((kind, ns[kind.index()]?)))
}

/// Returns the oldest of the members whose parent is not a member.
fn leader(namespace: &Namespace, processes: &[Process], by_pid: &HashMap<Pid, usize>) -> Option<Pid> {
    let process = |pid: Pid| by_pid.get(&pid).map(|&index| &processes[index]);
    namespace
        .members
        .iter()
        .filter_map(|&pid| process(pid))
        .filter(|member| {
            process(member.ppid).is_none_or(|parent| parent.ns[namespace.kind.index()] != Some(namespace.id))
        })
        .min_by_key(|member| (member.start_time_ticks, member.pid))
        .map(|member| member.pid)
}

#[cfg(test)]
mod tests;
