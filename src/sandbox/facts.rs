//! What is read of the host to find sandboxes: little of every process, more of those that lead.
//!
//! Processes that share mount and pid namespaces are one candidate, and only the oldest of them is looked at: its cgroup, its pids, and the
//! process that it is a child of.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::AsFd;

use super::{Extent, nsx};
use crate::engine::monitor::{Monitor, is_monitor, is_program, monitor};
use crate::model::{KindSet, NsArray, NsId, NsKind, Pid, Process, Uid};
use crate::proc::{ProcPid, ProcRoot, parse};
use crate::scan::shared;
use crate::sys::{dir, nsfs};

/// No arguments of a monitor are read further: those of conmon are long.
const MOST_ARGUMENTS: usize = 1 << 16;

/// The mount and pid namespaces of a process.
pub(super) type Pair = (NsId, NsId);

/// What is known of the host.
#[derive(Default)]
pub(super) struct Facts {
    /// The mount and pid namespaces of the host.
    pub(super) host: Option<Pair>,
    /// Those who may be in a sandbox.
    pub(super) candidates: Vec<Candidate>,
    /// The pair of every process that is of any interest: parents.
    pub(super) pairs: HashMap<Pid, Pair>,
    /// The daemons of Docker.
    pub(super) dockerds: Vec<Pid>,
    /// The daemons of containerd.
    pub(super) containerds: Vec<Pid>,
    /// nsx's own sandboxes: first process, command, name, user.
    pub(super) own: Vec<Own>,
}

/// A sandbox of `nsx run`.
pub(super) struct Own {
    pub(super) init: Pid,
    /// The command: its pid, when it was started, its namespaces.
    pub(super) command: Option<(Pid, u64, NsArray)>,
    pub(super) name: String,
    pub(super) uid: Option<Uid>,
}

/// Processes in the same mount and pid namespaces.
#[derive(Clone)]
pub(super) struct Candidate {
    /// The oldest of them.
    pub(super) pid: Pid,
    pub(super) start_time_ticks: u64,
    pub(super) ns: NsArray,
    /// Their namespaces; `None` where they may not be read, and the processes are one candidate by their parents.
    pub(super) pair: Option<Pair>,
    pub(super) members: Vec<Pid>,
    pub(super) cgroup: Vec<u8>,
    pub(super) nspids: Vec<u32>,
    /// The effective uid of the oldest.
    pub(super) uid: Option<Uid>,
    /// The pid namespace above theirs.
    pub(super) above: Option<NsId>,
    /// Who made their user namespace, if it is not the host's.
    pub(super) maker: Option<Uid>,
    /// The parent of the oldest.
    pub(super) parent: Option<Parent>,
}

/// The parent of the oldest process of a candidate, which may look after it.
#[derive(Clone)]
pub(super) struct Parent {
    pub(super) pid: Pid,
    /// Its uid: the real one.
    pub(super) uid: Option<Uid>,
    /// Whether it is what it says, as far as that can be seen: it has no other uids, and runs the program of its name. A suid program of
    /// somebody else's can be given any name and arguments.
    pub(super) genuine: bool,
    /// How many pid namespaces its pids are of.
    pub(super) depth: usize,
    /// What it looks after, if it does.
    pub(super) monitor: Option<Monitor>,
    /// Its working directory: of a shim the bundle.
    pub(super) cwd: Option<Vec<u8>>,
}

/// Reads what is needed of these processes, which are in the order of their pids.
pub(super) fn gather(proc: &ProcRoot, processes: &[Process], extent: &Extent) -> Facts {
    let mut facts = Facts { host: host(proc, processes), ..Facts::default() };
    let pids_of = |wanted: fn(&[u8]) -> bool| {
        processes
            .iter()
            .filter(move |process| !process.kernel && wanted(process.comm.as_bytes()))
            .map(|process| process.pid)
    };
    facts.dockerds = pids_of(|comm| comm == b"dockerd").collect();
    facts.containerds = pids_of(|comm| comm == b"containerd").collect();
    facts.own = own(proc, pids_of(nsx::is_attendant).collect());
    let mut groups: HashMap<Pair, Vec<&Process>> = HashMap::new();
    let mut unreadable = Vec::new();
    for process in processes.iter().filter(|process| !process.kernel) {
        match pair(&process.ns) {
            Some(pair) => {
                facts.pairs.insert(process.pid, pair);
                // Whoever sees the host's files sees no other's.
                if facts.host.is_none_or(|host| host.0 != pair.0) {
                    groups.entry(pair).or_default().push(process);
                }
            }
            None => unreadable.push(process),
        }
    }
    let all = Processes { proc, processes, whole: *extent == Extent::All };
    let alone = all.by_parents(&unreadable, &mut groups);
    let groups: Vec<Group<'_>> =
        alone.into_iter().chain(groups.into_iter().map(|(pair, group)| (Some(pair), group))).collect();
    facts.candidates = all.candidates(&groups, facts.host);
    facts.candidates.sort_by_key(|one| (one.nspids.len(), one.start_time_ticks, one.pid));
    facts
}

fn pair(ns: &NsArray) -> Option<Pair> {
    ns[NsKind::Mnt.index()].zip(ns[NsKind::Pid.index()])
}

/// Returns the namespaces of the host: those of process 1, or, where they may not be read, of the caller.
fn host(proc: &ProcRoot, processes: &[Process]) -> Option<Pair> {
    let first = processes.first().filter(|process| process.pid == Pid(1)).and_then(|process| pair(&process.ns));
    first.or_else(|| pair(&proc.own_process().ok()?.namespaces().ok()?))
}

fn own(proc: &ProcRoot, attendants: Vec<Pid>) -> Vec<Own> {
    let found = nsx::find_among(proc, None, attendants);
    let own = found.into_iter().map(|sandbox| {
        let command = sandbox.command(proc).and_then(|command| {
            let started = command.stat(&mut [0; 1024]).ok()?.start_time_ticks;
            Some((command.pid, started, command.namespaces().unwrap_or_default()))
        });
        Own { init: sandbox.init.pid, command, name: sandbox.name, uid: sandbox.uid }
    });
    own.collect()
}

/// Processes that belong together, with what they share.
type Group<'a> = (Option<Pair>, Vec<&'a Process>);

/// What a thread looks at before it takes more.
const BATCH: usize = 8;

struct Processes<'a> {
    proc: &'a ProcRoot,
    processes: &'a [Process],
    /// Whether everything is read, or only what names take.
    whole: bool,
}

impl<'a> Processes<'a> {
    fn get(&self, pid: Pid) -> Option<&'a Process> {
        let place = self.processes.binary_search_by_key(&pid, |process| process.pid).ok()?;
        Some(&self.processes[place])
    }

    /// Looks at processes that belong together, without those whose oldest has gone.
    fn candidates(&self, groups: &[Group<'_>], host: Option<Pair>) -> Vec<Candidate> {
        let mut parents: Vec<Pid> = groups.iter().filter_map(|(_, group)| Some(oldest(group)?.ppid)).collect();
        parents.sort_unstable();
        parents.dedup();
        let found = shared(&parents, BATCH, |pid| Some((*pid, self.parent(*pid)?)));
        let parents: HashMap<Pid, Parent> = found.into_iter().flatten().collect();
        let own = self.proc.own_process().and_then(|own| own.namespaces_of(KindSet::NONE.with(NsKind::User)));
        let outside = Outside { host, parents, user: own.ok().and_then(|own| own[NsKind::User.index()]) };
        shared(groups, BATCH, |(pair, group)| self.candidate(*pair, group, &outside)).into_iter().flatten().collect()
    }

    fn candidate(&self, pair: Option<Pair>, group: &[&Process], outside: &Outside) -> Option<Candidate> {
        let oldest = oldest(group)?;
        let held = self.proc.process(oldest.pid).ok()?;
        if held.stat(&mut [0; 1024]).ok()?.start_time_ticks != oldest.start_time_ticks {
            return None;
        }
        if let Some(known) = self.by_monitor(oldest, group, pair.filter(|_| !self.whole), outside) {
            return Some(known);
        }
        let cgroup = held.read_record(c"cgroup", 1 << 16).unwrap_or_default();
        let cgroup = parse::cgroup(&cgroup).unwrap_or_default().to_vec();
        let in_host_pids = pair.zip(outside.host).is_some_and(|(own, host)| own.1 == host.1);
        let mut parent = outside.parents.get(&oldest.ppid).cloned();
        if in_host_pids {
            // A service with a /tmp of its own is no sandbox.
            parent = parent.filter(|parent| parent.monitor.is_some());
            if parent.is_none() && crate::engine::identify::claims(&cgroup).is_empty() {
                return None;
            }
        }
        let status = held.read_record(c"status", 1 << 16).unwrap_or_default();
        let nspids = parse::numbers(&status).map_or_else(Vec::new, |numbers| numbers.nspid);
        let mut members: Vec<Pid> = group.iter().map(|process| process.pid).collect();
        members.sort_unstable();
        let ns = held.namespaces().unwrap_or(oldest.ns);
        Some(Candidate {
            pid: oldest.pid,
            start_time_ticks: oldest.start_time_ticks,
            // Above those with two pids is the pid namespace of this /proc, in which nobody is in a sandbox for that.
            above: if in_host_pids || nspids.len() == 2 { None } else { above(&held) },
            maker: maker(&held, ns[NsKind::User.index()], outside.user),
            ns,
            pair,
            members,
            cgroup,
            nspids,
            uid: parse::effective_uid(&status),
            parent,
        })
    }

    /// Returns what names take of a candidate whose monitor says which it is: nothing more has to be read of that. The monitor has to be on
    /// the host, so that nothing is inside of anything.
    fn by_monitor(
        &self,
        oldest: &Process,
        group: &[&Process],
        pair: Option<Pair>,
        outside: &Outside,
    ) -> Option<Candidate> {
        let parent = outside.parents.get(&oldest.ppid).filter(|parent| parent.genuine)?;
        parent
            .monitor
            .as_ref()
            .filter(|monitor| !monitor.has_many() && (monitor.id.is_some() || monitor.name.is_some()))?;
        let (pair, host) = pair.zip(outside.host)?;
        let is_on_host = |pid_ns: Option<NsId>| pid_ns == Some(host.1) && pair.1 != host.1;
        is_on_host(self.get(parent.pid)?.ns[NsKind::Pid.index()]).then(|| Candidate {
            pid: oldest.pid,
            start_time_ticks: oldest.start_time_ticks,
            ns: oldest.ns,
            pair: Some(pair),
            members: group.iter().map(|process| process.pid).collect(),
            cgroup: Vec::new(),
            // What it is called inside is of no interest but that it is one step further in.
            nspids: vec![oldest.pid.0, 1],
            uid: parent.uid,
            above: None,
            maker: None,
            parent: Some(parent.clone()),
        })
    }

    fn parent(&self, pid: Pid) -> Option<Parent> {
        let comm = self.get(pid)?.comm.as_bytes();
        let held = if is_monitor(comm) { Some(self.proc.process(pid).ok()?) } else { None };
        let read =
            |file, most| held.as_ref().map_or_else(Vec::new, |held| held.read_record(file, most).unwrap_or_default());
        let arguments = read(c"cmdline", MOST_ARGUMENTS);
        let words: Vec<&[u8]> = arguments.strip_suffix(&[0]).unwrap_or(&arguments).split(|byte| *byte == 0).collect();
        let monitor = monitor(comm, &words);
        // Of one that looks after nothing no more is of interest.
        let Some((held, monitor)) = held.as_ref().zip(monitor) else {
            return Some(Parent { pid, uid: None, genuine: false, depth: 0, monitor: None, cwd: None });
        };
        let status = read(c"status", 1 << 16);
        let uids = parse::uids(&status);
        let runs_it = link(held, c"exe").is_none_or(|exe| is_program(comm, &exe));
        Some(Parent {
            pid,
            uid: uids.map(|uids| uids[0]),
            genuine: runs_it && uids.is_some_and(|uids| uids.iter().all(|uid| *uid == uids[0])),
            depth: parse::numbers(&status).map_or(0, |numbers| numbers.nspid.len()),
            cwd: link(held, c"cwd"),
            monitor: Some(monitor),
        })
    }

    /// Puts processes together whose namespaces may not be read: with their parent where that is in the same pid namespace, else with the
    /// first process of it. What joins one of the groups goes there.
    fn by_parents(&self, unreadable: &[&'a Process], groups: &mut HashMap<Pair, Vec<&'a Process>>) -> Vec<Group<'a>> {
        let mut depths = HashMap::new();
        let mut depth = |pid: Pid| {
            *depths.entry(pid).or_insert_with(|| {
                let status =
                    self.proc.process(pid).and_then(|held| held.read_all(c"status", 1 << 16)).unwrap_or_default();
                parse::numbers(&status).map_or(0, |numbers| numbers.nspid.len())
            })
        };
        let mut alone: HashMap<Pid, Vec<&'a Process>> = HashMap::new();
        for process in unreadable.iter().filter(|process| process.pid != Pid(1)) {
            let own = depth(process.pid);
            if own < 2 {
                continue;
            }
            let mut first = *process;
            // No chain of parents is longer than there are processes.
            for _ in 0..self.processes.len() {
                let Some(above) = self.get(first.ppid).filter(|above| depth(above.pid) == own) else { break };
                first = above;
                if pair(&first.ns).is_some() {
                    break;
                }
            }
            match pair(&first.ns).and_then(|pair| groups.get_mut(&pair)) {
                Some(group) => group.push(process),
                None => alone.entry(first.pid).or_default().push(process),
            }
        }
        alone.into_values().map(|group| (None, group)).collect()
    }
}

/// What candidates have in common.
struct Outside {
    host: Option<Pair>,
    parents: HashMap<Pid, Parent>,
    /// The user namespace of the caller.
    user: Option<NsId>,
}

fn oldest<'a>(group: &[&'a Process]) -> Option<&'a Process> {
    group.iter().copied().min_by_key(|process| (process.start_time_ticks, process.pid))
}

fn link(held: &ProcPid, name: &CStr) -> Option<Vec<u8>> {
    let mut buffer = [0; 4096];
    dir::readlink(held.as_fd(), name, &mut buffer).ok().map(<[u8]>::to_vec)
}

/// Returns the pid namespace above that of a process, where it may be asked.
fn above(held: &ProcPid) -> Option<NsId> {
    let opened = held.open_ns(c"ns/pid").ok()?;
    let parent = nsfs::parent(opened.as_fd()).ok()?;
    nsfs::inode(parent.as_fd()).ok().flatten()
}

/// Returns who made the user namespace of a process, if it is not that of the caller.
fn maker(held: &ProcPid, user: Option<NsId>, own: Option<NsId>) -> Option<Uid> {
    if user? == own? {
        return None;
    }
    nsfs::owner_uid(held.open_ns(c"ns/user").ok()?.as_fd()).ok()
}
