//! What a sandbox uses and may use, and whether it runs: from its cgroups, and from its first process.
//!
//! Not here: explaining limits (`cgroup::effective`, `cgroup::why`), and what a single process may do.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Sandbox;
use crate::cgroup::at::{self, Cgroup};
use crate::cgroup::parse::{bandwidth, bandwidth_v1, limit, limit_v1};
use crate::cgroup::{Cgroups, Home};
use crate::engine::identify::{Claim, claims, claims_with_ends};
use crate::model::cgroup::{Bandwidth, Controller, Limit, Version};
use crate::model::{Details, KindSet, NsId, NsKind, Pid};
use crate::proc::{ProcPid, ProcRoot, parse};
use crate::scan::describe::{MOST_COMMAND_BYTES, of_texts};

/// No list of addresses is read further.
const MOST_ADDRESSES: usize = 1 << 20;

/// Whether a sandbox runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// Its cgroup is frozen.
    Paused,
    /// It was made, and its command was not started yet.
    Created,
    /// Its first process is gone but for its entry.
    Exiting,
}

impl State {
    /// Returns the word that tables and JSON use.
    pub const fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Paused => "paused",
            State::Created => "created",
            State::Exiting => "exiting",
        }
    }
}

/// What a sandbox uses and may use. `None` is what cannot be known: also where its cgroup is not its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Whether it runs; `None` where it has gone.
    pub state: Option<State>,
    /// Memory that its cgroup uses, in bytes.
    pub memory_current: Option<u64>,
    /// How much it may use at most, by its own cgroup and those above, in bytes.
    pub memory_max: Option<Limit>,
    /// Time on processors since its cgroup was made, in microseconds.
    pub cpu_usage_usec: Option<u64>,
    /// How much it may use at most, by its own cgroup and those above, in thousandths of a processor.
    pub cpu_max_millicpus: Option<Limit>,
    /// The addresses in its network namespace that are good for more than the namespace or the link, in the kernel's order; `None` where that
    /// is the host's, or may not be looked at.
    pub addresses: Option<Vec<IpAddr>>,
}

/// What memory and processors come to, by hierarchy and path.
type Limits = HashMap<(usize, Vec<u8>), (Option<Limit>, Option<Limit>)>;

/// Reads what sandboxes use, for several threads at once. What cgroups have in common is read once.
pub struct Meter {
    /// `None` where they cannot be read.
    cgroups: Option<Cgroups>,
    host_net: Option<NsId>,
    by_net: Mutex<HashMap<NsId, Option<Vec<IpAddr>>>>,
    limits: Mutex<Limits>,
    members: Mutex<Members>,
}

/// Who is in a cgroup, by hierarchy and path: many sandboxes may share one.
type Members = HashMap<(usize, Vec<u8>), Option<Arc<Vec<u32>>>>;

/// What is known after a panic is known all the same.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meter {
    /// Opens the hierarchies of the host that `proc` shows.
    pub fn open(proc: &ProcRoot) -> Meter {
        let wanted = [Controller::Memory, Controller::Cpu, Controller::Cpuacct, Controller::Freezer];
        let net = KindSet::NONE.with(NsKind::Net);
        let namespaces = proc.process(Pid(1)).and_then(|first| first.namespaces_of(net));
        let namespaces = namespaces.or_else(|_| proc.own_process()?.namespaces_of(net));
        Meter {
            cgroups: Cgroups::open_for(proc, Some(&wanted)).ok(),
            host_net: namespaces.ok().and_then(|namespaces| namespaces[NsKind::Net.index()]),
            by_net: Mutex::default(),
            limits: Mutex::default(),
            members: Mutex::default(),
        }
    }

    /// Reads what a sandbox uses.
    pub fn read(&self, proc: &ProcRoot, sandbox: &Sandbox) -> Usage {
        self.look(proc, sandbox).map_or_else(Usage::default, |(usage, _)| usage)
    }

    /// Reads what a sandbox uses, and what is shown of its first process; `None` where that has gone.
    pub fn look(&self, proc: &ProcRoot, sandbox: &Sandbox) -> Option<(Usage, Details)> {
        let first = proc.process(sandbox.pid).ok()?;
        let mut buffer = [0; 1024];
        let stat = first.stat(&mut buffer).ok().filter(|stat| stat.start_time_ticks == sandbox.start_time_ticks)?;
        let read = |file, most| first.read_record(file, most).unwrap_or_default();
        let arguments = read(c"cmdline", MOST_COMMAND_BYTES);
        let paths = read(c"cgroup", 1 << 20);
        let state = if stat.exiting { State::Exiting } else { state(sandbox, &arguments) };
        let mut usage = Usage { state: Some(state), ..Usage::default() };
        if let Some(net) = sandbox.ns[NsKind::Net.index()].filter(|net| Some(*net) != self.host_net) {
            usage.addresses = self.addresses(net, &first);
        }
        if let Some(cgroups) = &self.cgroups {
            let paths = at::of_text(cgroups, &paths);
            Groups { cgroups, paths, sandbox, opened: Vec::new(), members: &self.members }
                .read(&self.limits, &mut usage);
        }
        Some((usage, of_texts(stat.comm, &read(c"status", 1 << 16), &paths, arguments)))
    }

    fn addresses(&self, net: NsId, first: &ProcPid) -> Option<Vec<IpAddr>> {
        if let Some(known) = locked(&self.by_net).get(&net) {
            return known.clone();
        }
        // Two threads may do this at once for the same: that is rare, and comes to the same.
        let found = addresses(first);
        locked(&self.by_net).insert(net, found.clone());
        found
    }
}

/// The cgroups of a sandbox, opened once each.
struct Groups<'a> {
    cgroups: &'a Cgroups,
    paths: Vec<(usize, Vec<u8>)>,
    sandbox: &'a Sandbox,
    opened: Vec<(usize, Option<Rc<Own<'a>>>)>,
    members: &'a Mutex<Members>,
}

/// A cgroup of a sandbox, and whether it is its own, once somebody has asked.
struct Own<'a> {
    cgroup: Cgroup<'a>,
    own: OnceCell<bool>,
}

impl Own<'_> {
    fn is_of(&self, sandbox: &Sandbox, members: &Mutex<Members>) -> bool {
        *self.own.get_or_init(|| is_own(&self.cgroup, sandbox, members))
    }
}

impl<'a> Groups<'a> {
    fn of(&mut self, controller: Controller) -> Option<Rc<Own<'a>>> {
        let Home::Hierarchy(home) = self.cgroups.home(controller) else { return None };
        self.at(home)
    }

    fn at(&mut self, home: usize) -> Option<Rc<Own<'a>>> {
        if let Some((_, known)) = self.opened.iter().find(|(hierarchy, _)| *hierarchy == home) {
            return known.clone();
        }
        let path = self.paths.iter().find(|(hierarchy, _)| *hierarchy == home).map(|(_, path)| path);
        let opened = path.and_then(|path| Cgroup::open(self.cgroups, home, own_path(path, self.sandbox)).ok());
        let opened = opened.map(|cgroup| Rc::new(Own { cgroup, own: OnceCell::new() }));
        self.opened.push((home, opened.clone()));
        opened
    }

    /// Reads what they say.
    fn read(&mut self, limits: &Mutex<Limits>, usage: &mut Usage) {
        let sandbox = self.sandbox;
        if let Some(memory) = self.of(Controller::Memory) {
            let v2 = memory.cgroup.version() == Version::V2;
            usage.memory_max = limits_of(limits, &memory.cgroup).0;
            if memory.is_of(sandbox, self.members) {
                usage.memory_current =
                    memory.cgroup.number(if v2 { "memory.current" } else { "memory.usage_in_bytes" });
            }
        }
        if let Some(cpu) = self.of(Controller::Cpu) {
            usage.cpu_max_millicpus = limits_of(limits, &cpu.cgroup).1;
        }
        // On v2 every cgroup counts time.
        let has_own = |home: &usize| self.paths.iter().any(|(hierarchy, path)| hierarchy == home && path != b"/");
        let unified = self.cgroups.unified().filter(has_own).and_then(|home| self.at(home));
        let counted = self.of(Controller::Cpuacct).filter(|own| own.cgroup.version() == Version::V1);
        usage.cpu_usage_usec = match &counted {
            Some(own) if own.is_of(sandbox, self.members) => {
                own.cgroup.number("cpuacct.usage").map(|nanoseconds| nanoseconds / 1000)
            }
            Some(_) => None,
            None => unified
                .as_ref()
                .filter(|own| own.is_of(sandbox, self.members))
                .and_then(|own| own.cgroup.keyed("cpu.stat", "usage_usec")),
        };
        let freezer = self.of(Controller::Freezer).filter(|own| own.cgroup.version() == Version::V1);
        let frozen_v1 = freezer
            .and_then(|own| own.cgroup.read_record("freezer.state").ok())
            .is_some_and(|state| state.trim_ascii() != b"THAWED");
        let frozen_v2 = unified.and_then(|own| own.cgroup.keyed("cgroup.events", "frozen")) == Some(1);
        if (frozen_v1 || frozen_v2) && usage.state != Some(State::Exiting) {
            usage.state = Some(State::Paused);
        }
    }
}

/// Returns the addresses in the network namespace of a process.
fn addresses(process: &ProcPid) -> Option<Vec<IpAddr>> {
    let read = |file| process.read_all(file, MOST_ADDRESSES);
    let v4 = read(c"net/fib_trie").ok()?;
    let v4 = parse::local_addresses(&v4).into_iter().filter(|address| !address.is_loopback()).map(IpAddr::from);
    let v6 = read(c"net/if_inet6").unwrap_or_default();
    let v6 = parse::inet6(&v6).map(|line| line.address);
    let v6 = v6.filter(|address| !address.is_loopback() && !address.is_unicast_link_local()).map(IpAddr::from);
    Some(v4.chain(v6).collect())
}

/// Says whether a container was made and not started: its first process is still that of the runtime.
fn state(sandbox: &Sandbox, arguments: &[u8]) -> State {
    let is_of_runtime = sandbox.engine != Some("nsx") && sandbox.members.len() == 1;
    let arguments = if is_of_runtime { arguments } else { b"" };
    let mut words = arguments.split(|byte| *byte == 0);
    let program = words.next().unwrap_or_default().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match (program, words.next()) {
        (b"runc", Some(b"init")) => State::Created,
        _ => State::Running,
    }
}

/// Returns the cgroup of a sandbox as a whole, where its first process may be in one below it: the part of the path that names it.
fn own_path<'p>(path: &'p [u8], sandbox: &Sandbox) -> &'p [u8] {
    let names_it = |claim: &Claim| {
        (claim.id.is_some() && claim.id == sandbox.id) || (claim.name.is_some() && claim.name == sandbox.name)
    };
    claims_with_ends(path).into_iter().find(|(claim, _)| names_it(claim)).map_or(path, |(_, end)| &path[..end])
}

/// Says whether nobody else is in a cgroup: what it uses is what the sandbox uses.
fn is_own(cgroup: &Cgroup<'_>, sandbox: &Sandbox, members: &Mutex<Members>) -> bool {
    if cgroup.is_top() {
        return false;
    }
    let is_named = claims(&cgroup.path).last().is_some_and(|claim| claim.id.is_some() && claim.id == sandbox.id);
    let is_member = |pid: &u32| sandbox.members.binary_search(&Pid(*pid)).is_ok();
    is_named || members_of(members, cgroup).is_some_and(|pids| pids.iter().all(is_member))
}

fn members_of(cache: &Mutex<Members>, cgroup: &Cgroup<'_>) -> Option<Arc<Vec<u32>>> {
    let key = (cgroup.hierarchy, cgroup.path.clone());
    if let Some(known) = locked(cache).get(&key) {
        return known.clone();
    }
    let found = cgroup.processes().ok().map(Arc::new);
    locked(cache).insert(key, found.clone());
    found
}

/// Returns what memory and processors come to with the cgroups above.
fn limits_of(cache: &Mutex<Limits>, cgroup: &Cgroup<'_>) -> (Option<Limit>, Option<Limit>) {
    let known = |path: &[u8]| locked(cache).get(&(cgroup.hierarchy, path.to_vec())).copied();
    if let Some(known) = known(&cgroup.path) {
        return known;
    }
    let v2 = cgroup.version() == Version::V2;
    // In v1 others have no such files.
    let has = |controller| v2 || cgroup.opened().hierarchy.controllers.contains(&controller);
    let read = |file: &str| cgroup.read_record(file).ok();
    let memory = match v2 {
        _ if !has(Controller::Memory) => None,
        true => read("memory.max").and_then(|text| limit(&text)),
        false => read("memory.limit_in_bytes").and_then(|text| limit_v1(&text)),
    };
    let quota = match v2 {
        _ if !has(Controller::Cpu) => None,
        true => read("cpu.max").and_then(|text| bandwidth(&text)),
        false => read("cpu.cfs_quota_us")
            .zip(read("cpu.cfs_period_us"))
            .and_then(|(quota, period)| bandwidth_v1(&quota, &period)),
    };
    let own = (memory, quota.map(Bandwidth::millicpus));
    let least = |a: Option<Limit>, b: Option<Limit>| a.into_iter().chain(b).min();
    let above = match at::parent_path(&cgroup.path).filter(|_| !cgroup.is_top()).and_then(known) {
        None => cgroup.parent().map(|parent| limits_of(cache, &parent)),
        known => known,
    };
    let all = above.map_or(own, |above| (least(own.0, above.0), least(own.1, above.1)));
    locked(cache).insert((cgroup.hierarchy, cgroup.path.clone()), all);
    all
}
