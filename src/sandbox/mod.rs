//! Sandboxes: which there are on the host, whatever made them, who is in them, and what they are called.
//!
//! Any process whose mount and pid namespaces both differ from the host's is in a sandbox, named or not; so is one whose cgroup or
//! parent says that a container engine has made it, and whose mount namespace differs. What it is called is found in four places, and the
//! nearer to the kernel one is, the more it is believed:
//!
//! 1. The parent of its first process: a shim, conmon and the like (`engine::monitor`). Nobody inside can choose it.
//! 2. The records of the engine, where they name the first process by its pid and start time, or the id that the parent has (`records`).
//! 3. nsx's own sandboxes, by rules of their own (`nsx`).
//! 4. The cgroup. Whoever may make cgroups may call them as he likes, so what only a cgroup says is not `verified`.
//!
//! A sandbox that was made inside another one is called by a path, `outer/inner`: nobody in there can make a name that is not below the
//! name of his own. Facts are gathered first (`facts`), and then put together by pure functions (`build`).
//!
//! Not here: finding the processes (`scan`), what a user points at (`select`), the formats of records (`engine`).

#![forbid(unsafe_code)]

mod build;
mod databases;
mod facts;
pub mod nsx;
mod records;
pub mod usage;

use std::collections::HashMap;

use crate::cgroup::Group;
use crate::engine::identify::{self, Claim, identify};
use crate::engine::record::Pod;
use crate::model::{Container, Details, Gap, KindSet, NsArray, NsKind, Pid, Process, Uid};
use crate::proc::ProcRoot;
use crate::scan::{self, ScanOptions};
use crate::sys::SysError;

/// A sandbox on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// What has made it, by the name that targets use; `None` where that is not known.
    pub engine: Option<&'static str>,
    /// The engine's id for it.
    pub id: Option<String>,
    /// The name its user gave it.
    pub name: Option<String>,
    /// Whether engine, id and name are more than the name of a cgroup.
    pub verified: bool,
    /// The image it was made from.
    pub image: Option<String>,
    /// Its labels, sorted by key.
    pub labels: Vec<(String, String)>,
    /// The pod of Kubernetes or podman that it belongs to.
    pub pod: Option<Pod>,
    /// Its first process; of `nsx run` the command.
    pub pid: Pid,
    /// When that was started, in clock ticks since boot.
    pub start_time_ticks: u64,
    /// The pids of the first process, from the pid namespace of the `/proc` that was read inwards.
    pub nspids: Vec<u32>,
    /// The namespaces of the first process; `None` for what may not be read.
    pub ns: NsArray,
    /// Who runs it, where that can be known.
    pub uid: Option<Uid>,
    /// The processes in it, ascending; without those of sandboxes inside it.
    pub members: Vec<Pid>,
    /// The cgroup of its first process, in the hierarchy that tells most; unsanitised.
    pub cgroup: Option<Vec<u8>>,
    /// The sandbox that it was made in: its place in the list.
    pub parent: Option<usize>,
}

impl Sandbox {
    /// Returns what it is called where there is no path: its name, else the id.
    pub fn own_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.id.as_deref())
    }
}

/// How much is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    All,
    /// The sandboxes with these names or ids, and those that they are in: what else there is may lack its name, and of all of them
    /// namespaces, images, labels and pods may be missing.
    Names(Vec<String>),
}

/// All sandboxes of a host at one moment.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The sandboxes: each behind the one that it was made in, else by the age of their first processes.
    pub sandboxes: Vec<Sandbox>,
    /// What could not be seen.
    pub gaps: Vec<Gap>,
    by_pid: HashMap<Pid, usize>,
    paths: Vec<String>,
}

/// A path that is longer does not name what is at its end: somebody makes sandbox in sandbox without end.
const MOST_PATH_BYTES: usize = 4096;

impl Catalog {
    /// Finds all sandboxes that `proc` shows.
    ///
    /// # Errors
    /// Where `/proc` cannot be listed.
    pub fn find(proc: &ProcRoot) -> Result<Catalog, SysError> {
        Catalog::find_for(proc, &Extent::All)
    }

    /// As [`Catalog::find`], where not everything is asked for.
    ///
    /// # Errors
    /// As [`Catalog::find`].
    pub fn find_for(proc: &ProcRoot, extent: &Extent) -> Result<Catalog, SysError> {
        let kinds = KindSet::NONE.with(NsKind::Mnt).with(NsKind::Pid);
        let found = scan::processes(proc, &ScanOptions { kinds, ..ScanOptions::default() })?;
        Ok(Catalog { gaps: found.gaps, ..Catalog::of_for(proc, &found.processes, extent) })
    }

    /// As [`Catalog::find`], where the processes are known: by pid, with their mount and pid namespaces.
    pub fn of(proc: &ProcRoot, processes: &[Process]) -> Catalog {
        Catalog::of_for(proc, processes, &Extent::All)
    }

    fn of_for(proc: &ProcRoot, processes: &[Process], extent: &Extent) -> Catalog {
        let facts = facts::gather(proc, processes, extent);
        let mut sandboxes = build::build(&facts);
        records::read(proc, &facts, &mut sandboxes, extent);
        Catalog::new(build::finish(sandboxes))
    }

    /// Makes a catalog of sandboxes that stand behind those that they were made in.
    pub fn new(sandboxes: Vec<Sandbox>) -> Catalog {
        let mut by_pid = HashMap::new();
        for (place, sandbox) in sandboxes.iter().enumerate() {
            by_pid.extend(sandbox.members.iter().map(|&pid| (pid, place)));
        }
        let mut paths: Vec<String> = Vec::with_capacity(sandboxes.len());
        for sandbox in &sandboxes {
            // A slash in a name is no step inwards.
            let own = sandbox.own_name().map_or_else(|| sandbox.pid.to_string(), |name| name.replace('/', "\\x2f"));
            let above = sandbox.parent.and_then(|parent| paths.get(parent));
            paths.push(match above {
                Some(above) if above.len() + own.len() >= MOST_PATH_BYTES => sandbox.pid.to_string(),
                Some(above) => format!("{above}/{own}"),
                None => own,
            });
        }
        Catalog { sandboxes, gaps: Vec::new(), by_pid, paths }
    }

    /// Returns the sandbox that a process is in.
    pub fn of_process(&self, pid: Pid) -> Option<&Sandbox> {
        self.place_of(pid).map(|place| &self.sandboxes[place])
    }

    /// Returns the place of the sandbox that a process is in.
    pub fn place_of(&self, pid: Pid) -> Option<usize> {
        self.by_pid.get(&pid).copied()
    }

    /// Returns what a sandbox is called, with those that it was made in: `outer/inner`. One without a name and an id is called by its pid.
    pub fn path(&self, place: usize) -> String {
        self.paths[place].clone()
    }

    /// Returns what other lists show of a sandbox; `None` where it is not known what made it.
    pub fn container(&self, place: usize) -> Option<Container> {
        let sandbox = &self.sandboxes[place];
        let engine = sandbox.engine?;
        let path = self.path(place);
        let target = format!("{engine}:{}", path.split('/').map(identify::short).collect::<Vec<_>>().join("/"));
        let (id, name, verified) = (sandbox.id.clone(), sandbox.name.clone(), sandbox.verified);
        Some(Container { engine, id, name, target, verified })
    }

    /// Says of processes that were described which containers they are in.
    pub fn name(&self, details: &mut HashMap<Pid, Details>) {
        for (pid, details) in details {
            if let Some(place) = self.place_of(*pid) {
                details.container = self.container(place);
            }
        }
    }
}

/// What the containers are called that cgroups name. Those who watch cgroups ask again and again; it is looked only when a new one is there.
#[derive(Default)]
pub struct Names {
    known: HashMap<Claim, Option<Container>>,
}

impl Names {
    /// Says of cgroups which containers they belong to.
    pub fn name(&mut self, proc: &ProcRoot, groups: &mut [Group]) {
        let of: Vec<Option<Claim>> = groups.iter().map(|group| identify::claims(&group.path).pop()).collect();
        let is_new = |claim: &Claim| !self.known.contains_key(claim);
        if of.iter().flatten().any(is_new) {
            // Where processes cannot be listed, what cgroups say has to do.
            let catalog = Catalog::find(proc).unwrap_or_default();
            for claim in of.iter().flatten() {
                let fits = |sandbox: &Sandbox| match &claim.id {
                    Some(id) => sandbox.verified && sandbox.id.as_ref() == Some(id),
                    None => sandbox.verified && sandbox.engine == claim.engine && sandbox.name == claim.name,
                };
                let place = catalog.sandboxes.iter().position(fits);
                self.known.insert(claim.clone(), place.and_then(|place| catalog.container(place)));
            }
        }
        for (group, claim) in groups.iter_mut().zip(of) {
            let known = claim.and_then(|claim| self.known.get(&claim).cloned().flatten());
            group.container = known.or_else(|| identify(&group.path));
        }
    }
}
