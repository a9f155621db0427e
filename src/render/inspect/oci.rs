//! A configuration of the OCI runtime specification that starts a process isolated like one that was looked at. Pure.
//!
//! What such a configuration cannot say, or nobody can read of a process, is told in notes. Where the root directory comes from is up to
//! who makes the bundle: it is `rootfs` beside the configuration. See `config.md` and `config-linux.md` of the specification.

mod mounts;

use serde_json::{Map, Value, json};

use super::View;
use super::json::Maps;
use crate::cgroup::Binder;
use crate::launch::run::seccomp;
use crate::model::cgroup::Limit;
use crate::model::isolation::{MountRole, Powers};
use crate::model::{CapSet, Isolation, NsKind};

/// The version of the specification that says all that is used here, and that runc and crun have known for long.
const VERSION: &str = "1.0.2";

/// A configuration, and what it lacks.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The content of `config.json`.
    pub document: Value,
    /// What could not be said in it.
    pub notes: Vec<String>,
}

/// Makes the configuration. `devices` says whether the process may use every device that it has a node of, where that is known.
pub fn configuration(view: &View<'_>, devices: Option<bool>) -> Configuration {
    let facts = &view.inspected.facts;
    let mut notes = Vec::new();
    let mounts = mounts::mounts(facts, &mut notes);
    let root = facts.mounts.iter().flatten().find(|mount| mount.role == MountRole::Root);
    let shares_mounts = facts.shares(NsKind::Mnt) == Some(true);
    if shares_mounts {
        notes.push("it is in the host's mount namespace; a runtime always makes one".to_owned());
    }
    let mut linux = Map::new();
    linux.insert("namespaces".to_owned(), namespaces(facts, &mut notes));
    if facts.shares(NsKind::User) == Some(false) {
        if facts.ids.uid_map.as_ref().is_none_or(Vec::is_empty) {
            notes.push("its user namespace maps nobody; a runtime wants ids".to_owned());
        }
        linux.insert("uidMappings".to_owned(), mappings(facts.ids.uid_map.as_deref()));
        linux.insert("gidMappings".to_owned(), mappings(facts.ids.gid_map.as_deref()));
    }
    if devices.is_none() {
        notes.push("rules for devices cannot be read here; those that every runtime makes are allowed".to_owned());
    }
    linux.insert("resources".to_owned(), resources(view, devices));
    if let Some(seccomp) = filter(&facts.powers, &mut notes) {
        linux.insert("seccomp".to_owned(), seccomp);
    }
    for (key, role) in [("maskedPaths", MountRole::Masked), ("readonlyPaths", MountRole::ReadOnly)] {
        let chosen = facts.mounts.iter().flatten().filter(|mount| mount.role == role);
        let paths: Vec<Value> = chosen.filter_map(|mount| Some(Value::from(utf8(&mount.point)?))).collect();
        linux.insert(key.to_owned(), Value::from(paths));
    }
    let document = json!({
        "ociVersion": VERSION,
        "process": process(facts, &mut notes),
        "root": {"path": "rootfs", "readonly": !shares_mounts && root.is_some_and(|root| !root.is_writable())},
        "mounts": mounts,
        "linux": linux,
    });
    Configuration { document, notes }
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn process(facts: &Isolation, notes: &mut Vec<String>) -> Value {
    let identity = &facts.identity;
    let maps = Maps::of(facts);
    let mut left_out = 0;
    let mut texts = |all: &[Vec<u8>]| -> Vec<String> {
        let texts: Vec<String> = all.iter().filter_map(|one| Some(utf8(one)?.to_owned())).collect();
        left_out += all.len() - texts.len();
        texts
    };
    let mut arguments = texts(&identity.arguments);
    // An entry without a name is none that a runtime takes.
    let environment = texts(identity.environment.as_deref().unwrap_or_default());
    let environment: Vec<String> =
        environment.into_iter().filter(|entry| entry.find('=').is_some_and(|end| end > 0)).collect();
    if left_out > 0 {
        notes.push(format!("{left_out} arguments and variables are no UTF-8, and left out"));
    }
    if arguments.is_empty() {
        arguments.push(String::from_utf8_lossy(&identity.comm).into_owned());
    }
    if identity.environment.is_none() {
        notes.push("its environment may not be read".to_owned());
    }
    let powers = &facts.powers;
    let mut process = json!({
        "terminal": false,
        "user": {"uid": maps.uid_inside.unwrap_or_default(), "gid": maps.gid_inside.unwrap_or_default()},
        "args": arguments,
        "env": environment,
        "cwd": facts.cwd.as_deref().and_then(utf8).filter(|cwd| cwd.starts_with('/')).unwrap_or("/"),
        "capabilities": {
            "bounding": caps(powers.bounding, powers),
            "effective": caps(powers.effective, powers),
            "inheritable": caps(powers.inheritable, powers),
            "permitted": caps(powers.permitted, powers),
            "ambient": caps(powers.ambient, powers),
        },
        "rlimits": facts.rlimits.iter().map(|limit| json!({
            "type": format!("RLIMIT_{}", limit.name.to_uppercase()),
            "soft": limit.soft.unwrap_or(u64::MAX),
            "hard": limit.hard.unwrap_or(u64::MAX),
        })).collect::<Vec<_>>(),
        "noNewPrivileges": powers.no_new_privs == Some(true),
    });
    if maps.uid_inside.is_none() {
        notes.push("its user has no id inside; uid 0 is put in its place".to_owned());
    }
    let groups = facts.ids.groups.iter().filter_map(|group| inside(facts, *group));
    let groups: Vec<u32> = groups.collect();
    if !groups.is_empty() {
        process["user"]["additionalGids"] = groups.into();
    }
    if let Some(adj) = facts.oom_score_adj {
        process["oomScoreAdj"] = adj.into();
    }
    let label = powers.label.as_ref().and_then(|label| Some((label.module?, utf8(&label.text)?)));
    match label {
        Some(("apparmor", profile)) if profile != "unconfined" => process["apparmorProfile"] = profile.into(),
        Some(("selinux", context)) => process["selinuxLabel"] = context.into(),
        _ => {}
    }
    process
}

/// Returns what a gid that the kernel tells is inside.
fn inside(facts: &Isolation, gid: u32) -> Option<u32> {
    match (&facts.ids.gid_map, facts.ids.outside_is_parent) {
        (_, true) => Some(gid),
        (Some(map), false) => crate::proc::parse::IdMap::from_ranges(map.clone()).inside(gid),
        (None, false) => None,
    }
}

fn caps(set: CapSet, powers: &Powers) -> Vec<String> {
    let name = |cap: u8| format!("CAP_{}", CapSet::from_bits(1 << cap)).to_uppercase();
    // What has no name yet no runtime knows either.
    (set & powers.all & CapSet::ALL).iter().map(name).collect()
}

fn namespaces(facts: &Isolation, notes: &mut Vec<String>) -> Value {
    let mut all = vec![json!({"type": "mount"})];
    for namespace in facts.namespaces.iter().filter(|namespace| namespace.id.is_some() && !namespace.is_shared()) {
        let word = match namespace.kind {
            NsKind::Mnt => continue,
            NsKind::Net => "network",
            NsKind::Time => {
                // Runtimes of today do not know the word; without offsets nothing is different.
                if facts.time_offsets.is_some_and(|offsets| offsets != [(0, 0); 2]) {
                    notes.push("the offsets of its time namespace are left out".to_owned());
                }
                continue;
            }
            kind => kind.name(),
        };
        all.push(json!({"type": word}));
    }
    if facts.namespaces.iter().any(|namespace| namespace.id.is_none()) {
        notes.push("namespaces that may not be seen are taken for the host's".to_owned());
    }
    Value::from(all)
}

fn mappings(map: Option<&[[u32; 3]]>) -> Value {
    let line = |&[inside, outside, count]: &[u32; 3]| json!({"containerID": inside, "hostID": outside, "size": count});
    // What is nobody outside cannot be asked for.
    map.unwrap_or_default().iter().filter(|[_, outside, _]| *outside != u32::MAX).map(line).collect()
}

/// Returns the limits that cgroups set, whichever of those above sets them: they are all set of one here.
fn resources(view: &View<'_>, devices: Option<bool>) -> Value {
    let of = |name: &str| {
        let one = view.limits.iter().find(|one| one.knob.name == name && one.key.is_none())?;
        let is_set = matches!(one.effective.by, Some(Binder::Level(_) | Binder::OutOfSight));
        is_set.then_some(one.effective.limit?).and_then(Limit::value)
    };
    let list = |name: &str| {
        let one = view.limits.iter().find(|one| one.knob.name == name)?;
        matches!(one.effective.by, Some(Binder::Level(_))).then(|| one.lists.as_ref().map(|(_, list)| list.clone()))?
    };
    let mut resources = json!({"devices": [{"allow": devices == Some(true), "access": "rwm"}]});
    let mut set = |group: &str, key: &str, value: Option<Value>| {
        if let Some(value) = value {
            resources[group][key] = value;
        }
    };
    let memory = of("memory.max");
    set("memory", "limit", memory.map(Value::from));
    set("memory", "reservation", of("memory.high").map(Value::from));
    // The specification counts memory and swap together, as v1 does.
    let swap = of("memory.memsw.max").or_else(|| memory?.checked_add(of("memory.swap.max")?));
    set("memory", "swap", swap.filter(|_| memory.is_some()).map(Value::from));
    if let Some(millicpus) = of("cpu.max") {
        const PERIOD_USEC: u64 = 100_000;
        set("cpu", "quota", Some((millicpus.saturating_mul(PERIOD_USEC) / 1000).into()));
        set("cpu", "period", Some(PERIOD_USEC.into()));
    }
    set("cpu", "cpus", list("cpuset.cpus").map(Value::from));
    set("cpu", "mems", list("cpuset.mems").map(Value::from));
    set("pids", "limit", of("pids.max").map(Value::from));
    resources
}

/// Returns a filter for a process that has one. Which it is nobody may read but a tracer, so it is nsx's own.
fn filter(powers: &Powers, notes: &mut Vec<String>) -> Option<Value> {
    match powers.seccomp? {
        0 => return None,
        2 => notes.push("its filter of system calls cannot be read; that of nsx run is put in its place".to_owned()),
        mode => {
            notes.push(format!("seccomp mode {mode} is left out"));
            return None;
        }
    }
    // A runtime installs one filter.
    let calls = seccomp::refused(powers.bounding).into_iter().map(|refused| {
        let mut call = json!({"names": [refused.name], "action": "SCMP_ACT_ERRNO", "errnoRet": refused.errno});
        if let Some((index, value)) = refused.argument {
            call["args"] = json!([{"index": index, "value": value, "op": "SCMP_CMP_EQ"}]);
        }
        call
    });
    Some(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls.collect::<Vec<_>>()}))
}
