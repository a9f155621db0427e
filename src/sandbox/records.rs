//! The records of engines: which are read for which sandbox, and what of them is believed.
//!
//! A record belongs to a sandbox if it has the id that the process has that looks after it, or if it names the first process by its pid, as
//! whoever wrote it counts pids, and by its start time where it has one. It has to be a file of root's, or of the user's whose sandbox it is.
//! Records are read by a process on the side, in two rounds: the bundle of a container of Docker's says where the others are, and what
//! containerd is configured by, where its database is ([`super::databases`]). An engine that is stopped, slow or absent costs nothing:
//! none is asked.

mod docker;

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::Extent;
use super::build::{Draft, bounded};
use super::databases::Databases;
use super::facts::{Facts, Parent};
use crate::engine::record::{self, Record};
use crate::model::{NsId, Pid, Uid};
use crate::proc::ProcRoot;
use crate::sys::dir::{self, FileId};
use crate::sys::records::{Answer, Ask, How, read as read_files};

/// The state folders of runtimes that leave no process behind, below the root directory.
const RUNC: &str = "run/runc";
const CRUN: &str = "run/crun";
/// Where systemd-machined keeps what was registered with it.
const MACHINES: &str = "run/systemd/machines";

/// No more root directories are held at a time: each takes a descriptor.
const MOST_ROOTS: usize = 256;

/// What an answer is about.
pub(super) enum About {
    /// The OCI configuration of the sandbox with this place.
    Bundle(usize),
    /// Its `init.pid`.
    InitPid(usize),
    /// Docker's record of it.
    Docker(usize),
    /// Docker's configuration.
    DockerConfig,
    /// All containers of a store, for those below a root.
    Storage(usize),
    /// Containers of a runtime, for those below a root whose records count this many pid namespaces.
    Runtime(&'static str, usize, Option<String>),
    /// Machines.
    Machines(usize),
    /// What containerd is configured by, below a root.
    ContainerdConfig(usize, String),
    /// The sandboxes that this database was asked for.
    Database(usize),
}

/// The questions of a round.
#[derive(Default)]
pub(super) struct Round {
    asks: Vec<Ask>,
    about: Vec<About>,
}

impl Round {
    fn ask(&mut self, root: usize, path: &str, each: Option<&str>, about: About) {
        let how = each.and_then(|each| CString::new(each).ok()).map_or(How::Whole, How::Each);
        self.ask_how(root, path, how, about);
    }

    /// Asks for something of a file below one of the roots.
    pub(super) fn ask_how(&mut self, root: usize, path: &str, how: How, about: About) {
        let Ok(path) = CString::new(path) else { return };
        self.asks.push(Ask { root, path, how });
        self.about.push(about);
    }

    fn read(&self, roots: &Roots<'_>) -> Vec<(&About, Answer)> {
        let borrowed: Vec<BorrowedFd<'_>> = roots.opened.iter().map(AsFd::as_fd).collect();
        let answers = read_files(&borrowed, &self.asks);
        answers.into_iter().filter_map(|answer| Some((self.about.get(answer.ask)?, answer))).collect()
    }
}

/// The root directories that paths are meant below: one for all processes that have the same, so nothing is read twice.
pub(super) struct Roots<'a> {
    facts: &'a Facts,
    opened: Vec<OwnedFd>,
    by_pid: HashMap<Option<Pid>, Option<usize>>,
    by_file: HashMap<(NsId, FileId), usize>,
}

impl<'a> Roots<'a> {
    fn new(facts: &'a Facts) -> Roots<'a> {
        Roots { facts, opened: Vec::new(), by_pid: HashMap::new(), by_file: HashMap::new() }
    }

    /// Returns the root directory of a process, if it was needed before.
    pub(super) fn known(&self, pid: Pid) -> Option<usize> {
        self.by_pid.get(&Some(pid)).copied().flatten()
    }

    /// Returns the root directory of whoever made a sandbox, if it was needed before.
    fn place_of(&self, drafts: &[Draft], place: usize) -> Option<usize> {
        self.by_pid.get(&writer(drafts, place)).copied().flatten()
    }

    /// Returns the root directory of a process; without one, the caller's.
    fn of(&mut self, proc: &ProcRoot, pid: Option<Pid>) -> Option<usize> {
        if let Some(known) = self.by_pid.get(&pid) {
            return *known;
        }
        let place = self.open(proc, pid);
        self.by_pid.insert(pid, place);
        place
    }

    fn open(&mut self, proc: &ProcRoot, pid: Option<Pid>) -> Option<usize> {
        let held = match pid {
            Some(pid) => proc.process(pid).ok()?,
            None => proc.own_process().ok()?,
        };
        if self.opened.len() >= MOST_ROOTS {
            return None;
        }
        let root = held.root_dir().ok()?;
        let mount = pid.and_then(|pid| self.facts.pairs.get(&pid)).map(|pair| pair.0);
        let file = mount.zip(dir::identify(root.as_fd()).ok().map(|file| file.id));
        if let Some(same) = file.and_then(|file| self.by_file.get(&file)) {
            return Some(*same);
        }
        self.opened.push(root);
        let place = self.opened.len() - 1;
        self.by_file.extend(file.map(|file| (file, place)));
        Some(place)
    }
}

/// Reads the records of these sandboxes, and takes over what is believed of them.
pub(super) fn read(proc: &ProcRoot, facts: &Facts, drafts: &mut [Draft], extent: &Extent) {
    let mut roots = Roots::new(facts);
    // No name is in a database alone.
    let of_databases: &[Draft] = if *extent == Extent::All { drafts } else { &[] };
    let mut databases = Databases::new(proc, facts, of_databases);
    let first = first_round(proc, drafts, &mut roots, &databases, extent);
    let mut folders: HashMap<Daemon, String> = HashMap::new();
    let mut stores: Vec<(usize, Uid, Vec<Record>)> = Vec::new();
    for (about, Answer { entry, uid, content, .. }) in first.read(&roots) {
        match about {
            About::Bundle(place) => {
                let Some(bundle) = record::bundle(&content).filter(|_| is_trusted(uid, &drafts[*place])) else {
                    continue;
                };
                if let Some(root) = roots.place_of(drafts, *place) {
                    let daemon = daemon(root, drafts[*place].parent.as_ref());
                    folders.extend(bundle.docker_folder.map(|folder| (daemon, folder)));
                }
                let mut said = bundle.record;
                // Kubernetes runs nothing for users.
                said.pod = said.pod.filter(|_| is_roots(&drafts[*place]));
                if drafts[*place].sandbox.engine != Some("docker") {
                    take(&mut drafts[*place], said);
                }
            }
            About::InitPid(place) => {
                let named = record::pid(&content).filter(|_| is_trusted(uid, &drafts[*place]));
                drafts[*place].sandbox.verified |= named.is_some() && named == pid_there(&drafts[*place]);
            }
            About::Storage(root) => stores.push((*root, uid, record::storage(&content))),
            About::Runtime(engine, root, name) => {
                let id = name.clone().unwrap_or_else(|| String::from_utf8_lossy(&entry).into_owned());
                let found = if *engine == "runc" { record::runc(&content) } else { record::crun(&id, &content) };
                // Who moves the folder of another container has not become it.
                if let Some(record) = found.filter(|record| record.id.as_ref() == Some(&id)) {
                    by_first_process(drafts, *root, uid, &record, &roots);
                }
            }
            About::Machines(root) => {
                if let Some(record) = record::machine(&content) {
                    by_first_process(drafts, *root, uid, &record, &roots);
                }
            }
            About::ContainerdConfig(root, file) => databases.configured(*root, file, uid, &content),
            About::Docker(_) | About::DockerConfig | About::Database(_) => {}
        }
    }
    for (root, uid, records) in stores {
        by_id(drafts, root, uid, records, &roots);
    }
    // Large files come last: what is behind one that takes too long is not read.
    let mut second = docker::round(proc, facts, drafts, &folders, &mut roots);
    if *extent == Extent::All {
        databases.ask(drafts, &roots, &mut second);
    }
    for (about, Answer { uid, content, .. }) in second.read(&roots) {
        match about {
            About::Docker(place) => docker::take_over(&mut drafts[*place], uid, &content),
            About::Database(number) => databases.take(*number, uid, &content, drafts),
            _ => {}
        }
    }
}

/// Says where the records are that the first round asks for.
fn first_round(
    proc: &ProcRoot,
    drafts: &[Draft],
    roots: &mut Roots<'_>,
    databases: &Databases,
    extent: &Extent,
) -> Round {
    let mut round = Round::default();
    let mut asked: HashSet<(usize, String)> = HashSet::new();
    let mut daemons: HashSet<Daemon> = HashSet::new();
    for place in roots_first(drafts) {
        let draft = &drafts[place];
        let sandbox = &draft.sandbox;
        let watcher = draft.parent.as_ref();
        let monitor = watcher.and_then(|watcher| watcher.monitor.as_ref());
        let Some(root) = roots.of(proc, writer(drafts, place)) else { continue };
        let mut once = |round: &mut Round, path: String, each: Option<&str>, about: About| {
            if asked.insert((root, path.clone())) {
                round.ask(root, &path, each, about);
            }
        };
        match (sandbox.engine, &sandbox.id) {
            (Some("docker"), Some(id)) => {
                // Where one of a daemon's is known, the others are. With a shim of root's nothing else has to say that it is one.
                if let Some(folder) = bundles(watcher).filter(|_| daemons.insert(daemon(root, watcher))) {
                    round.ask(root, &format!("{folder}/{id}/config.json"), None, About::Bundle(place));
                }
                if let Some(folder) = bundles(watcher).filter(|_| !sandbox.verified) {
                    round.ask(root, &format!("{folder}/{id}/init.pid"), None, About::InitPid(place));
                }
            }
            (Some("containerd"), Some(id)) => {
                if let Some(folder) = bundles(watcher) {
                    round.ask(root, &format!("{folder}/{id}/config.json"), None, About::Bundle(place));
                    round.ask(root, &format!("{folder}/{id}/init.pid"), None, About::InitPid(place));
                }
                for file in watcher.map_or_else(Vec::new, |shim| databases.config_files(shim)) {
                    once(&mut round, file.clone(), None, About::ContainerdConfig(root, file));
                }
            }
            (Some("podman" | "crio"), _) => {
                let Some(bundle) = monitor.and_then(|monitor| monitor.bundle.as_deref()) else { continue };
                if *extent == Extent::All || sandbox.engine == Some("crio") {
                    round.ask(root, &format!("{bundle}/config.json"), None, About::Bundle(place));
                }
                // STORE/overlay-containers/ID/userdata
                if let Some((folder, _)) = bundle.trim_end_matches("/userdata").rsplit_once('/') {
                    once(&mut round, format!("{folder}/containers.json"), None, About::Storage(root));
                }
            }
            (None | Some("runc" | "crun" | "nspawn" | "machine" | "libvirt"), _) => {
                let mut folders = vec![(RUNC.to_owned(), "runc"), (CRUN.to_owned(), "crun")];
                if let Some(Uid(uid)) = sandbox.uid.filter(|uid| uid.0 != 0) {
                    folders.extend(["runc", "crun"].map(|runtime| (format!("run/user/{uid}/{runtime}"), runtime)));
                }
                for (folder, runtime) in folders {
                    let file = if runtime == "runc" { "state.json" } else { "status" };
                    match extent {
                        Extent::All => once(&mut round, folder, Some(file), About::Runtime(runtime, root, None)),
                        // The name of such a container is that of its folder.
                        Extent::Names(names) => {
                            for name in names {
                                let about = About::Runtime(runtime, root, Some(name.clone()));
                                once(&mut round, format!("{folder}/{name}/{file}"), None, about);
                            }
                        }
                    }
                }
                once(&mut round, MACHINES.to_owned(), Some(""), About::Machines(root));
            }
            _ => {}
        }
    }
    round
}

/// A daemon, by the root directory, the user and the socket of its shims.
type Daemon = (usize, Option<Uid>, Option<String>);

fn daemon(root: usize, shim: Option<&Parent>) -> Daemon {
    let monitor = shim.and_then(|shim| shim.monitor.as_ref());
    (root, shim.and_then(|shim| shim.uid), monitor.and_then(|monitor| monitor.address.clone()))
}

/// Returns the folder with the bundles of a daemon's containers: a shim stands in its own.
fn bundles(shim: Option<&Parent>) -> Option<&str> {
    let cwd = shim?.cwd.as_deref().and_then(|cwd| std::str::from_utf8(cwd).ok())?;
    Some(cwd.rsplit_once('/')?.0)
}

/// Returns the places of sandboxes, root's first: what users make without end must not keep others' records from being read.
fn roots_first(drafts: &[Draft]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..drafts.len()).collect();
    places.sort_by_key(|&place| !is_roots(&drafts[place]));
    places
}

/// Returns a process that has the root directory of whoever made a sandbox; `None` stands for the host's.
fn writer(drafts: &[Draft], place: usize) -> Option<Pid> {
    let draft = &drafts[place];
    let outer = || draft.sandbox.parent.map(|outer| drafts[outer].sandbox.pid);
    draft.parent.as_ref().map(|watcher| watcher.pid).or_else(outer)
}

/// Says whether a record with this owner may speak of a sandbox.
pub(super) fn is_trusted(owner: Uid, draft: &Draft) -> bool {
    let watcher = draft.parent.as_ref().and_then(|watcher| watcher.uid);
    match watcher {
        Some(uid) => owner == uid || owner == Uid(0) && draft.sandbox.parent.is_none() && uid == Uid(0),
        None => owner == Uid(0) || draft.sandbox.uid == Some(owner),
    }
}

/// Returns the pid of the first process as whoever keeps records counts pids.
fn pid_there(draft: &Draft) -> Option<u32> {
    draft.sandbox.nspids.get(draft.depth.checked_sub(1)?).copied()
}

/// Gives the sandbox whose first process a record names what it says.
fn by_first_process(drafts: &mut [Draft], root: usize, uid: Uid, record: &Record, roots: &Roots<'_>) {
    let is_below = |place: usize| roots.place_of(drafts, place) == Some(root);
    // Its pid tells most of them apart, and costs least.
    let is_it = |place: &usize| {
        let draft = &drafts[*place];
        record.pid == pid_there(draft)
            && record.start_time_ticks.is_none_or(|started| started == draft.sandbox.start_time_ticks)
            && is_below(*place)
            && is_trusted(uid, draft)
    };
    let Some(place) = (0..drafts.len()).find(is_it) else { return };
    let draft = &mut drafts[place];
    // Machines are registered for others, too; who looks after a process knows better.
    if draft.sandbox.engine.is_none()
        || draft.sandbox.engine == record.engine
        || draft.sandbox.name.is_none() && draft.sandbox.id.is_none()
    {
        draft.sandbox.engine = record.engine;
        draft.sandbox.id.clone_from(&record.id);
        draft.sandbox.verified = true;
        take(draft, record.clone());
    }
}

/// Gives the sandboxes with these ids what a store says of them.
fn by_id(drafts: &mut [Draft], root: usize, uid: Uid, records: Vec<Record>, roots: &Roots<'_>) {
    let by_id: HashMap<String, Record> =
        records.into_iter().filter_map(|record| Some((record.id.clone()?, record))).collect();
    for draft in drafts.iter_mut() {
        let Some(watcher) = &draft.parent else { continue };
        if roots.by_pid.get(&Some(watcher.pid)).copied().flatten() != Some(root) || !is_trusted(uid, draft) {
            continue;
        }
        if let Some(record) = draft.sandbox.id.as_ref().and_then(|id| by_id.get(id)) {
            take(draft, record.clone());
        }
    }
}

/// Says whether root looks after a sandbox.
fn is_roots(draft: &Draft) -> bool {
    draft.parent.as_ref().is_some_and(|watcher| watcher.genuine && watcher.uid == Some(Uid(0)))
}

/// Takes over what a record says that is believed.
fn take(draft: &mut Draft, record: Record) {
    let sandbox = &mut draft.sandbox;
    sandbox.name = record.name.map(bounded).or(sandbox.name.take());
    sandbox.image = record.image.or(sandbox.image.take());
    sandbox.pod = record.pod.or(sandbox.pod.take());
    if !record.labels.is_empty() {
        sandbox.labels = record.labels.into_iter().collect();
    }
}
