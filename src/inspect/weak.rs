//! Where a process is held less tightly than it could be, by the facts alone. Pure.
//!
//! Each is a fact with its reason, not an alarm: what is meant to be so nsx cannot know. A process in all of the host's namespaces is
//! isolated by nobody, so of it only what it may do counts.

mod mounts;
#[cfg(test)]
mod tests;

use crate::cgroup::{Binder, Effective};
use crate::inspect::descriptors::is_terminal;
use crate::model::cgroup::Limit;
use crate::model::isolation::{Way, Whose};
use crate::model::{CapSet, Isolation, NsKind};
use crate::proc::parse::IdMap;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It is a way to the whole host.
    Open,
    /// Something that could hold the process does not.
    Weak,
    /// Something to know.
    Note,
}

impl Weight {
    /// Returns the word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Weight::Open => "open",
            Weight::Weak => "weak",
            Weight::Note => "note",
        }
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// What sort it is of, for programs.
    pub key: &'static str,
    /// How much it matters.
    pub weight: Weight,
    /// The fact; unsanitised.
    pub what: Vec<u8>,
    /// Why that matters.
    pub why: &'static str,
}

/// Of paths that are alike so many are named.
const NAMED: usize = 3;

/// Whoever lacks only so many capabilities has all that matter.
const NEARLY: usize = 5;

/// Returns what there is, the weightiest first. `limits` are those of its cgroups.
pub fn weaknesses(facts: &Isolation, limits: &[Effective]) -> Vec<Weakness> {
    let mut all = Found(Vec::new());
    // Nothing is run any more, or in the name of the kernel.
    if facts.identity.zombie || facts.identity.kernel {
        return all.0;
    }
    let is_hosts = |kind: NsKind| facts.namespace(kind).is_some_and(|namespace| namespace.initial == Some(true));
    let isolates = [NsKind::Mnt, NsKind::Net, NsKind::Pid, NsKind::User, NsKind::Ipc];
    let not_isolated = isolates.into_iter().all(|kind| facts.shares(kind) == Some(true)) && !is_chrooted(facts);
    if not_isolated {
        let whose = if isolates.into_iter().all(is_hosts) { "the host's" } else { "the caller's" };
        all.add(
            "not_isolated",
            Weight::Note,
            format!("all namespaces are {whose}"),
            "only its user, its capabilities, filters and limits hold it",
        );
    } else {
        shared(facts, &mut all);
    }
    powers(facts, is_hosts(NsKind::User), not_isolated, &mut all);
    ids(facts, is_hosts(NsKind::User), &mut all);
    if !not_isolated {
        if facts.shares(NsKind::Mnt) == Some(false) {
            mounts::mounts(facts, is_hosts(NsKind::User), &mut all);
        }
        descriptors(facts, &mut all);
        self::limits(limits, &mut all);
    }
    all.0.sort_by_key(|weakness| weakness.weight);
    all.0
}

struct Found(Vec<Weakness>);

impl Found {
    fn add(&mut self, key: &'static str, weight: Weight, what: impl Into<Vec<u8>>, why: &'static str) {
        self.0.push(Weakness { key, weight, what: what.into(), why });
    }

    /// Adds one for all paths that are alike.
    fn add_paths(&mut self, key: &'static str, weight: Weight, before: &str, paths: &[Vec<u8>], why: &'static str) {
        if paths.is_empty() {
            return;
        }
        let mut what = before.as_bytes().to_vec();
        for (place, path) in paths.iter().take(NAMED).enumerate() {
            what.extend_from_slice(if place == 0 { b"" } else { b", " });
            what.extend_from_slice(path);
        }
        if paths.len() > NAMED {
            what.extend_from_slice(format!(" and {} more", paths.len() - NAMED).as_bytes());
        }
        self.add(key, weight, what, why);
    }
}

fn is_chrooted(facts: &Isolation) -> bool {
    facts.root.as_deref().is_some_and(|root| root != b"/")
}

/// Namespaces that are shared with the host.
fn shared(facts: &Isolation, all: &mut Found) {
    const REASONS: [(NsKind, &str, Weight, &str); 4] = [
        (NsKind::Pid, "shared_pid", Weight::Weak, "it sees all processes there, and may signal those of its user"),
        (
            NsKind::Net,
            "shared_net",
            Weight::Weak,
            "it reaches what listens on the loopback and on abstract sockets there",
        ),
        (
            NsKind::Mnt,
            "shared_mnt",
            Weight::Weak,
            "it has the same files, as far as its user and its root directory let it",
        ),
        (NsKind::Ipc, "shared_ipc", Weight::Note, "it reaches shared memory and queues there, as far as its user may"),
    ];
    for (kind, key, weight, why) in REASONS {
        match facts.namespace(kind).and_then(crate::model::isolation::Membership::whose) {
            Some(Whose::Host) => all.add(key, weight, format!("the {kind} namespace is the host's"), why),
            Some(Whose::Caller) => all.add(key, weight, format!("the {kind} namespace is the caller's"), why),
            _ => {}
        }
    }
}

/// Capabilities that lead to the host where they hold in its user namespace, and why.
const CAPS: [(CapSet, Weight, &str); 11] = [
    (CapSet::SYS_ADMIN, Weight::Open, "it mounts what it likes, enters namespaces, and much else"),
    (CapSet::SYS_MODULE, Weight::Open, "it loads code into the kernel"),
    (CapSet::SYS_RAWIO, Weight::Open, "it reaches memory and devices past the kernel"),
    (
        CapSet::DAC_READ_SEARCH,
        Weight::Open,
        "it reads every file, and opens files outside of its root directory by handle",
    ),
    (CapSet::SYS_PTRACE, Weight::Weak, "it reads and writes every process that it sees"),
    (CapSet::BPF, Weight::Weak, "it loads programs into the kernel, as far as that proves them harmless"),
    (CapSet::PERFMON, Weight::Weak, "it watches the kernel and all processes"),
    (CapSet::MAC, Weight::Weak, "it changes or overrides what the security module enforces"),
    (CapSet::SYS_BOOT, Weight::Weak, "it restarts the host"),
    (CapSet::SYS_TIME, Weight::Weak, "it sets the host's clock"),
    (CapSet::SYSLOG, Weight::Note, "it reads the messages and addresses of the kernel"),
];

fn powers(facts: &Isolation, hosts_user: bool, not_isolated: bool, all: &mut Found) {
    let powers = &facts.powers;
    // What is permitted can be made effective.
    let caps = (powers.effective | powers.permitted) & powers.all;
    // Who has nearly all of them has no use for the others.
    let missing = powers.all & !caps;
    let has_all = caps.contains(CapSet::SYS_ADMIN) && missing.iter().count() <= NEARLY;
    if hosts_user && has_all {
        let but = if missing.is_empty() { String::new() } else { format!(" but {missing}") };
        let what = format!("all capabilities{but}, in the host's user namespace");
        all.add("cap_all", Weight::Open, what, "the kernel refuses it next to nothing for want of privilege");
    } else if hosts_user {
        for (cap, weight, why) in CAPS {
            if !(caps & cap).is_empty() {
                all.add("cap", weight, format!("{}, in the host's user namespace", caps & cap), why);
            }
        }
        if !(caps & CapSet::NET_ADMIN).is_empty() && facts.shares(NsKind::Net) == Some(true) {
            all.add(
                "cap",
                Weight::Weak,
                "net_admin, and the host's net namespace",
                "it changes addresses, routes and firewalls",
            );
        }
    }
    if not_isolated {
        return;
    }
    if powers.seccomp == Some(0) {
        all.add(
            "no_seccomp",
            Weight::Weak,
            "no filter of system calls",
            "it may make every call that the kernel has, also those that hardly anybody needs",
        );
    }
    // Nothing is to be gained where everything is there, or nothing can be had.
    if powers.no_new_privs == Some(false) && !has_all && !powers.bounding.is_empty() {
        all.add(
            "no_new_privs",
            Weight::Weak,
            "no_new_privs is not set",
            "a setuid program that it finds gives it more than it has",
        );
    }
    if let Some(label) = powers.label.as_ref().filter(|label| label.module == Some("apparmor")) {
        if label.text == b"unconfined" {
            all.add(
                "unconfined",
                Weight::Note,
                "AppArmor does not confine it",
                "only users and capabilities decide over files",
            );
        } else if label.mode.as_deref() == Some(b"complain") {
            all.add(
                "unconfined",
                Weight::Note,
                "its AppArmor profile only complains",
                "what the profile forbids is logged, and done",
            );
        }
    }
}

fn ids(facts: &Isolation, hosts_user: bool, all: &mut Found) {
    let ids = &facts.ids;
    let is_root = ids.uids.is_some_and(|uids| uids.contains(&0));
    if hosts_user && is_root {
        all.add(
            "root",
            Weight::Weak,
            "it is the host's root",
            "whatever file of root's it reaches is its own, with or without capabilities",
        );
    }
    // From inside of the same namespace nobody knows more than what the ids are one level up.
    let Some(map) = ids.uid_map.as_ref().filter(|_| !hosts_user && facts.shares(NsKind::User).is_some()) else {
        return;
    };
    let map = IdMap::from_ranges(map.clone());
    if map.outside(0) == Some(0) {
        all.add(
            "root_outside",
            Weight::Weak,
            "root inside is uid 0 outside",
            "whatever file of root's it reaches is its own",
        );
    } else if map.inside(0).is_some() {
        all.add("root_outside", Weight::Weak, "uid 0 outside is a user inside", "root inside can become it");
    }
}

fn descriptors(facts: &Isolation, all: &mut Found) {
    let Some(found) = &facts.descriptors else { return };
    let pick = |choose: &dyn Fn(&Way) -> bool| -> Vec<Vec<u8>> {
        let of = found.outside.iter().filter(|outside| choose(&outside.way));
        of.map(|outside| format!("fd {}", outside.fd).into_bytes()).collect()
    };
    let terminal = |way: &Way| matches!(way, Way::Device(block, major, minor) if is_terminal((*block, *major, *minor)));
    type Row = (&'static str, Weight, &'static str, Vec<Vec<u8>>, &'static str);
    let rows: [Row; 8] = [
        (
            "fd_directory",
            Weight::Open,
            "directories outside: ",
            pick(&|way| *way == Way::Directory),
            "a path that starts there leads to what no mount inside shows",
        ),
        (
            "fd_device",
            Weight::Weak,
            "devices: ",
            pick(&|way| matches!(way, Way::Device(..)) && !terminal(way)),
            "drivers of the host answer it",
        ),
        (
            "fd_namespace",
            Weight::Weak,
            "other namespaces: ",
            pick(&|way| matches!(way, Way::Namespace(_))),
            "it can enter them, where its capabilities let it",
        ),
        (
            "fd_socket",
            Weight::Weak,
            "sockets of another net namespace: ",
            pick(&|way| matches!(way, Way::Socket(_))),
            "what it sends there leaves its own network",
        ),
        (
            "fd_process",
            Weight::Weak,
            "processes outside: ",
            pick(&|way| matches!(way, Way::Process(_))),
            "it can signal them, as far as its user may",
        ),
        (
            "fd_kernel",
            Weight::Note,
            "means of the kernel: ",
            pick(&|way| *way == Way::Kernel),
            "programs in the kernel, counters or virtual machines, held open",
        ),
        (
            "fd_terminal",
            Weight::Note,
            "terminals outside: ",
            pick(&terminal),
            "it reads what is typed there, and writes what is seen there",
        ),
        ("fd_file", Weight::Note, "files outside: ", pick(&|way| *way == Way::File), "no path inside leads to them"),
    ];
    for (key, weight, before, paths, why) in rows {
        all.add_paths(key, weight, before, &paths, why);
    }
}

fn limits(limits: &[Effective], all: &mut Found) {
    // Where nothing of limits was seen, nothing is said.
    let is_bound = |name: &str| {
        let one = limits.iter().find(|one| one.knob.name == name)?;
        Some(
            matches!(one.effective.by, Some(Binder::Level(_) | Binder::OutOfSight))
                && one.effective.limit != Some(Limit::Max),
        )
    };
    if is_bound("memory.max") == Some(false) {
        all.add("no_memory_limit", Weight::Note, "no limit of memory", "it can use all that the host has");
    }
    if is_bound("pids.max") == Some(false) {
        all.add("no_pids_limit", Weight::Note, "no limit of processes", "it can make as many as the host has room for");
    }
}
