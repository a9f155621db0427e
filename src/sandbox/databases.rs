//! The databases of containerd and podman: which are read for which sandbox, and what of them is believed.
//!
//! Only sandboxes are looked up that something else has verified; a database tells more of them, and never who they are. Each is read once,
//! for all that may be in it.
//!
//! Where containerd's is, containerd says, in its arguments or the file that it is configured by: the one that is below the same files and of
//! the same user as the shim, and whose state folder the shim is in. Without one, e.g. while it is restarted, the usual places count.
//! That of podman is in the storage where conmon says that the bundle is. New installations of podman have one of another kind, db.sql of
//! SQLite, since 4.8: that is not read.

use std::collections::{BTreeMap, HashMap};

use super::build::Draft;
use super::facts::{Facts, Parent};
use super::records::{About, Roots, Round, is_trusted};
use crate::engine::daemon::{
    CONTAINERD_CONFIG, CONTAINERD_ROOT, CONTAINERD_STATE, Containerd, containerd, containerd_config,
};
use crate::engine::database::{self, CONTAINERD, InNamespace, PODMAN, Said};
use crate::engine::record::{Pod, pod};
use crate::model::{NsId, Pid, Uid};
use crate::proc::{ProcRoot, parse};
use crate::sys::records::{Fetch, How};

/// The sandboxes that a file is asked for, by their places and by what it knows them by; a file is one below a root directory.
type ByFile<T> = BTreeMap<(usize, String), Vec<(usize, T)>>;

/// What is known of databases, and asked of them.
#[derive(Default)]
pub(super) struct Databases {
    mounts: HashMap<Pid, NsId>,
    daemons: Vec<Daemon>,
    /// What files say by which a containerd is configured, by the root directory that they are below.
    configs: HashMap<(usize, String), (Uid, Containerd)>,
    /// The sandboxes that each database is asked for.
    asked: Vec<Vec<usize>>,
}

/// A process that is called containerd.
struct Daemon {
    mount: NsId,
    uid: Option<Uid>,
    said: Containerd,
}

/// Returns the uid of a process that has no other: a suid program can be given any name and arguments.
fn only_uid(status: &[u8]) -> Option<Uid> {
    let [real, others @ ..] = parse::uids(status)?;
    others.iter().all(|other| *other == real).then_some(real)
}

impl Databases {
    /// Looks at the daemons, where they are of use.
    pub(super) fn new(proc: &ProcRoot, facts: &Facts, drafts: &[Draft]) -> Databases {
        let mut databases = Databases::default();
        let shims = drafts.iter().filter(|draft| draft.sandbox.engine == Some("containerd"));
        let shims: Vec<Pid> = shims.filter_map(|draft| Some(draft.parent.as_ref()?.pid)).collect();
        if shims.is_empty() {
            return databases;
        }
        let mount = |pid: &Pid| facts.pairs.get(pid).map(|pair| (*pid, pair.0));
        databases.mounts = shims.iter().filter_map(mount).collect();
        databases.daemons = facts
            .containerds
            .iter()
            .filter_map(|pid| {
                let held = proc.process(*pid).ok()?;
                let arguments = held.read_all(c"cmdline", 1 << 16).unwrap_or_default();
                let status = held.read_all(c"status", 1 << 16).unwrap_or_default();
                let words: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
                Some(Daemon { mount: mount(pid)?.1, uid: only_uid(&status), said: containerd(&words) })
            })
            .collect();
        databases
    }

    /// Returns the daemons that may be the one of a shim.
    fn daemons(&self, shim: &Parent) -> impl Iterator<Item = &Daemon> {
        let mount = self.mounts.get(&shim.pid).copied();
        let uid = shim.uid;
        self.daemons.iter().filter(move |daemon| mount == Some(daemon.mount) && daemon.uid == uid)
    }

    /// Returns the files by which the containerd of a shim may be configured, as far as they can say something new.
    pub(super) fn config_files(&self, shim: &Parent) -> Vec<String> {
        let mut daemons = self.daemons(shim).peekable();
        if daemons.peek().is_none() {
            return vec![CONTAINERD_CONFIG.to_owned()];
        }
        let unsaid = daemons.filter(|daemon| daemon.said.root.is_none() || daemon.said.state.is_none());
        unsaid.map(|daemon| config_file(&daemon.said).to_owned()).filter(|file| file.starts_with('/')).collect()
    }

    /// Keeps what is in such a file.
    pub(super) fn configured(&mut self, root: usize, file: &str, uid: Uid, content: &[u8]) {
        self.configs.insert((root, file.to_owned()), (uid, containerd_config(content)));
    }

    /// Returns the root directories of containerd in which a container with this bundle may be known, below this root.
    fn roots(&self, shim: &Parent, root: usize) -> Vec<String> {
        let Some(state) = shim.cwd.as_deref().and_then(state_folder) else { return Vec::new() };
        let nothing = Containerd::default();
        let mut said: Vec<&Containerd> = self.daemons(shim).map(|daemon| &daemon.said).collect();
        if said.is_empty() {
            said.push(&nothing);
        }
        let said = said.into_iter().map(|said| {
            let config = self.configs.get(&(root, config_file(said).to_owned()));
            let config = config.filter(|(uid, _)| Some(*uid) == shim.uid).map_or(&nothing, |(_, config)| config);
            let state = said.state.as_deref().or(config.state.as_deref()).unwrap_or(CONTAINERD_STATE);
            (said.root.as_deref().or(config.root.as_deref()).unwrap_or(CONTAINERD_ROOT), state)
        });
        said.filter(|(_, its)| canonical(its) == state).map(|(root, _)| root.to_owned()).collect()
    }

    /// Asks each database for all that may be in it.
    pub(super) fn ask(&mut self, drafts: &[Draft], roots: &Roots<'_>, round: &mut Round) {
        let mut containerds: ByFile<InNamespace> = BTreeMap::new();
        let mut podmans: ByFile<String> = BTreeMap::new();
        for (place, draft) in drafts.iter().enumerate().filter(|(_, draft)| draft.sandbox.verified) {
            let (Some(watcher), Some(id)) = (&draft.parent, &draft.sandbox.id) else { continue };
            let (Some(monitor), Some(root)) = (&watcher.monitor, roots.known(watcher.pid)) else { continue };
            match (draft.sandbox.engine, &monitor.namespace, &monitor.bundle) {
                (Some("containerd"), Some(namespace), _) => {
                    for folder in self.roots(watcher, root) {
                        let path = format!("{}/{CONTAINERD}", folder.trim_end_matches('/'));
                        containerds.entry((root, path)).or_default().push((place, (namespace.clone(), id.clone())));
                    }
                }
                (Some("podman"), _, Some(bundle)) => {
                    if let Some(storage) = storage(bundle) {
                        podmans.entry((root, format!("{storage}/{PODMAN}"))).or_default().push((place, id.clone()));
                    }
                }
                _ => {}
            }
        }
        for ((root, path), asked) in containerds {
            let (places, asked): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            let look = move |fetch: Fetch<'_>| database::pack(&database::containerd(fetch, &asked));
            self.asked.push(places);
            round.ask_how(root, &path, How::Parts(Box::new(look)), About::Database(self.asked.len() - 1));
        }
        for ((root, path), asked) in podmans {
            let (places, asked): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            let look = move |fetch: Fetch<'_>| database::pack(&database::podman(fetch, &asked));
            self.asked.push(places);
            round.ask_how(root, &path, How::Parts(Box::new(look)), About::Database(self.asked.len() - 1));
        }
    }

    /// Takes over what a database says that is believed.
    pub(super) fn take(&self, number: usize, uid: Uid, content: &[u8], drafts: &mut [Draft]) {
        for said in database::unpack(content) {
            let place = self.asked.get(number).and_then(|places| places.get(said.asked));
            if let Some(draft) = place.and_then(|place| drafts.get_mut(*place)).filter(|draft| is_trusted(uid, draft)) {
                take(draft, said);
            }
        }
    }
}

/// Takes over what a database says. The labels are these and no others: annotations are what engines and runtimes say to each other.
fn take(draft: &mut Draft, said: Said) {
    let sandbox = &mut draft.sandbox;
    sandbox.name = said.name.or(sandbox.name.take());
    // What CRI has written down in the bundle is what its user said; here it may be an id.
    sandbox.image = sandbox.image.take().or(said.image);
    let in_podman = said.pod.filter(|name| !name.is_empty()).map(|name| Pod { namespace: None, name });
    sandbox.pod = sandbox.pod.take().or_else(|| pod(&said.labels)).or(in_podman);
    sandbox.labels = said.labels.into_iter().collect();
}

fn config_file(said: &Containerd) -> &str {
    said.config_file.as_deref().unwrap_or(CONTAINERD_CONFIG)
}

/// The folder `STATE` of a bundle `STATE/io.containerd.runtime.v2.task/NAMESPACE/ID`.
fn state_folder(bundle: &[u8]) -> Option<&str> {
    let mut parts = std::str::from_utf8(bundle).ok()?.rsplitn(4, '/').skip(2);
    let (runtime, state) = (parts.next()?, parts.next()?);
    runtime.starts_with("io.containerd.runtime.").then_some(state)
}

/// The folder `STORE` of a bundle `STORE/overlay-containers/ID/userdata`.
fn storage(bundle: &str) -> Option<&str> {
    let mut parts = bundle.strip_suffix("/userdata")?.rsplitn(3, '/').skip(1);
    let (containers, storage) = (parts.next()?, parts.next()?);
    containers.ends_with("-containers").then_some(storage)
}

/// Writes a folder as the kernel does: the old name of `/run` is a link.
fn canonical(folder: &str) -> String {
    let folder = folder.trim_end_matches('/');
    folder.strip_prefix("/var/run/").map_or_else(|| folder.to_owned(), |below| format!("/run/{below}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_told_by_bundles() {
        let state = |bundle: &str| state_folder(bundle.as_bytes()).map(str::to_owned);
        let of = |folder: &str| format!("{folder}/io.containerd.runtime.v2.task/default/web");
        assert_eq!(state(&of("/run/k3s/containerd")).as_deref(), Some("/run/k3s/containerd"));
        assert_eq!(state(&of("")).as_deref(), Some(""));
        for bundle in ["", "/", "web", "/a/b/c/d", "io.containerd.runtime.v2.task/default/web"] {
            assert_eq!(state(bundle), None, "{bundle}");
        }
        let store = "/var/lib/containers/storage";
        assert_eq!(storage(&format!("{store}/overlay-containers/f997/userdata")), Some(store));
        for bundle in ["", "/userdata", "/x/userdata", "/x/y/z/userdata", "/x-containers/z"] {
            assert_eq!(storage(bundle), None, "{bundle}");
        }
        assert_eq!(canonical("/var/run/containerd/"), "/run/containerd");
        assert_eq!(canonical("/var/running"), "/var/running");
    }
}
