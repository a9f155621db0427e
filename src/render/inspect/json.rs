//! The document of `nsx inspect --json`, schema `nsx.inspect/1`.

mod lists;

use std::io::{self, Write};

use serde::Serialize;

use super::{View, words};
use crate::cgroup::Cgroups;
use crate::model::isolation::{Membership, Rlimit};
use crate::model::{CapSet, Isolation};
use crate::proc::parse::IdMap;
use crate::render::cg::HierarchyJson;
use crate::render::cg::show::Show;
use crate::render::cg::show::json::{LimitEntryJson, PathJson};
use crate::render::json::{self, ContainerJson, OwnedText, Text};
use lists::{AddressJson, MountJson, OutsideJson, address, mount, outside};

/// Writes the document of some processes.
///
/// # Errors
/// What the writer says.
pub fn document(views: &[View<'_>], cgroups: &Cgroups, to: &mut dyn Write) -> io::Result<()> {
    let shows: Vec<Option<Show<'_>>> = views
        .iter()
        .map(|view| view.inspected.subject.as_ref().map(|subject| Show::new(cgroups, subject, false)))
        .collect();
    let document = InspectJson {
        schema: "nsx.inspect/1",
        hierarchies: HierarchyJson::all(cgroups),
        processes: views.iter().zip(&shows).map(|(view, show)| process(view, show.as_ref())).collect(),
    };
    json::write(&document, to)
}

/// Writes a document that was made elsewhere, with everything escaped that a terminal would obey.
///
/// # Errors
/// What the writer says.
pub fn value(value: &serde_json::Value, to: &mut dyn Write) -> io::Result<()> {
    json::write(value, to)
}

#[derive(Serialize)]
struct InspectJson<'a> {
    schema: &'static str,
    hierarchies: Vec<HierarchyJson<'a>>,
    processes: Vec<ProcessJson<'a>>,
}

#[derive(Serialize)]
struct ProcessJson<'a> {
    pid: u32,
    tgid: u32,
    nspid: Vec<u32>,
    ppid: u32,
    state: String,
    kernel_thread: bool,
    zombie: bool,
    nthreads: u32,
    start_time_ticks: u64,
    session: u32,
    tty: Option<DeviceJson>,
    #[serde(flatten)]
    comm: Text<'a>,
    #[serde(flatten)]
    command: OwnedText,
    #[serde(flatten)]
    exe: Text<'a>,
    container: Option<ContainerJson>,
    namespaces: Vec<NamespaceJson>,
    time_offsets: Option<OffsetsJson>,
    uids: Option<IdsJson>,
    gids: Option<IdsJson>,
    groups: &'a [u32],
    uid_inside: Option<u32>,
    gid_inside: Option<u32>,
    uid_map: Option<Vec<RangeJson>>,
    gid_map: Option<Vec<RangeJson>>,
    maps_outside: &'static str,
    root_uid_outside: Option<u32>,
    root_gid_outside: Option<u32>,
    setgroups: Option<&'static str>,
    capabilities: CapsJson,
    no_new_privs: Option<bool>,
    seccomp: Option<String>,
    seccomp_filters: Option<u32>,
    label: Option<LabelJson<'a>>,
    #[serde(flatten)]
    root: Text<'a>,
    #[serde(flatten)]
    cwd: Text<'a>,
    mounts: Option<Vec<MountJson<'a>>>,
    mounts_callers: bool,
    mounts_hidden: usize,
    cgroups: Vec<PathJson<'a>>,
    limits: Vec<LimitEntryJson<'a>>,
    rlimits: Vec<RlimitJson>,
    oom_score_adj: Option<i32>,
    links: Option<Vec<NamedJson<'a>>>,
    addresses: Option<Vec<AddressJson<'a>>>,
    descriptors: Option<DescriptorsJson>,
    leads_out: Option<Vec<OutsideJson<'a>>>,
    weaknesses: Vec<WeaknessJson<'a>>,
    gaps: Vec<GapJson>,
}

fn process<'a>(view: &'a View<'_>, show: Option<&'a Show<'a>>) -> ProcessJson<'a> {
    let facts = &view.inspected.facts;
    let identity = &facts.identity;
    let ids = Maps::of(facts);
    let text = |key, raw_key, bytes: Option<&'a [u8]>| Text { key, raw_key, bytes };
    let command = (!identity.arguments.is_empty()).then(|| identity.arguments.join(&b' '));
    let descriptors = facts.descriptors.as_ref();
    ProcessJson {
        pid: identity.pid.0,
        tgid: identity.thread_of.unwrap_or(identity.pid).0,
        nspid: identity.pids_inside.iter().map(|pid| pid.0).collect(),
        ppid: identity.ppid.0,
        state: char::from(identity.state).to_string(),
        kernel_thread: identity.kernel,
        zombie: identity.zombie,
        nthreads: identity.nthreads,
        start_time_ticks: identity.start_time_ticks,
        session: identity.session,
        tty: identity.tty.map(|(major, minor)| DeviceJson { major, minor }),
        comm: text("comm", "comm_raw", Some(&identity.comm)),
        command: OwnedText { key: "command", raw_key: "command_raw", bytes: command },
        exe: text("exe", "exe_raw", identity.exe.as_deref()),
        container: facts.container.clone().map(ContainerJson::from),
        namespaces: facts.namespaces.iter().map(namespace).collect(),
        time_offsets: facts.time_offsets.map(|[monotonic, boottime]| OffsetsJson {
            monotonic_sec: monotonic.0,
            monotonic_nsec: monotonic.1,
            boottime_sec: boottime.0,
            boottime_nsec: boottime.1,
        }),
        uids: facts.ids.uids.map(IdsJson::from),
        gids: facts.ids.gids.map(IdsJson::from),
        groups: &facts.ids.groups,
        uid_inside: ids.uid_inside,
        gid_inside: ids.gid_inside,
        uid_map: facts.ids.uid_map.as_deref().map(ranges),
        gid_map: facts.ids.gid_map.as_deref().map(ranges),
        maps_outside: if facts.ids.outside_is_parent { "parent" } else { "caller" },
        root_uid_outside: ids.root_uid_outside,
        root_gid_outside: ids.root_gid_outside,
        setgroups: facts.ids.setgroups_denied.map(|denied| if denied { "deny" } else { "allow" }),
        capabilities: CapsJson {
            effective: names(facts.powers.effective),
            permitted: names(facts.powers.permitted),
            inheritable: names(facts.powers.inheritable),
            bounding: names(facts.powers.bounding),
            ambient: names(facts.powers.ambient),
        },
        no_new_privs: facts.powers.no_new_privs,
        seccomp: facts.powers.seccomp.map(|mode| match mode {
            0 => "none".to_owned(),
            1 => "strict".to_owned(),
            2 => "filter".to_owned(),
            other => other.to_string(),
        }),
        seccomp_filters: facts.powers.seccomp_filters,
        label: facts.powers.label.as_ref().map(|label| LabelJson {
            module: label.module,
            label: text("label", "label_raw", Some(&label.text)),
            mode: text("mode", "mode_raw", label.mode.as_deref()),
        }),
        root: text("root", "root_raw", facts.root.as_deref()),
        cwd: text("cwd", "cwd_raw", facts.cwd.as_deref()),
        mounts: facts.mounts.as_ref().map(|mounts| mounts.iter().map(mount).collect()),
        mounts_callers: facts.mounts_callers,
        mounts_hidden: facts.mounts_hidden,
        cgroups: show.map_or_else(Vec::new, Show::paths_json),
        limits: show.map_or_else(Vec::new, Show::limits_json),
        rlimits: facts.rlimits.iter().map(RlimitJson::from).collect(),
        oom_score_adj: facts.oom_score_adj,
        links: facts.network.as_ref().map(|network| {
            let name = |link: &'a Vec<u8>| NamedJson { name: text("name", "name_raw", Some(link)) };
            network.links.iter().map(name).collect()
        }),
        addresses: facts.network.as_ref().map(|network| network.addresses.iter().map(address).collect()),
        descriptors: descriptors.map(|found| DescriptorsJson {
            total: found.total,
            files: found.files,
            sockets: found.sockets,
            pipes: found.pipes,
            memfds: found.memfds,
            other: found.other,
            complete: !found.cut,
            leads_out_more: found.outside_more,
        }),
        leads_out: descriptors.map(|found| found.outside.iter().map(outside).collect()),
        weaknesses: view
            .weaknesses
            .iter()
            .map(|weakness| WeaknessJson {
                key: weakness.key,
                weight: weakness.weight.name(),
                what: text("what", "what_raw", Some(&weakness.what)),
                why: weakness.why,
            })
            .collect(),
        gaps: facts.unseen.iter().map(|one| GapJson { what: one.part.name(), errno: one.errno }).collect(),
    }
}

/// What ids are on the other side of the maps.
pub(super) struct Maps {
    pub(super) uid_inside: Option<u32>,
    pub(super) gid_inside: Option<u32>,
    root_uid_outside: Option<u32>,
    root_gid_outside: Option<u32>,
}

impl Maps {
    pub(super) fn of(facts: &Isolation) -> Maps {
        let map = |ranges: &Option<Vec<[u32; 3]>>| ranges.clone().map(IdMap::from_ranges);
        let (uids, gids) = (map(&facts.ids.uid_map), map(&facts.ids.gid_map));
        // What the kernel tells of a process is told as the caller's user namespace has it.
        let inside = |id: Option<u32>, map: &Option<IdMap>| match facts.ids.outside_is_parent {
            true => id,
            false => map.as_ref()?.inside(id?),
        };
        let root = |map: &Option<IdMap>| map.as_ref()?.outside(0).filter(|id| *id != u32::MAX);
        Maps {
            uid_inside: inside(facts.ids.uids.map(|uids| uids[1]), &uids),
            gid_inside: inside(facts.ids.gids.map(|gids| gids[1]), &gids),
            root_uid_outside: root(&uids),
            root_gid_outside: root(&gids),
        }
    }
}

fn names(set: CapSet) -> Vec<String> {
    let one = |cap: u8| CapSet::from_bits(1 << cap).to_string();
    set.iter().map(one).collect()
}

#[derive(Serialize)]
struct DeviceJson {
    major: u32,
    minor: u32,
}

#[derive(Serialize)]
struct NamespaceJson {
    r#type: &'static str,
    ns: Option<u32>,
    whose: Option<&'static str>,
    initial: Option<bool>,
    callers: Option<bool>,
    parent_process: Option<bool>,
    owner: Option<u32>,
    parent: Option<u32>,
    owner_uid: Option<u32>,
    for_children: Option<u32>,
}

fn namespace(namespace: &Membership) -> NamespaceJson {
    let is_user = namespace.kind == crate::model::NsKind::User;
    NamespaceJson {
        r#type: namespace.kind.name(),
        ns: namespace.id.map(|id| id.inode()),
        whose: namespace.whose().map(words::whose_key),
        initial: namespace.initial,
        callers: namespace.callers,
        parent_process: namespace.parents,
        owner: namespace.owner.map(|id| id.inode()),
        // The owner of a user namespace is its parent.
        parent: namespace.parent.or(namespace.owner.filter(|_| is_user)).map(|id| id.inode()),
        owner_uid: namespace.owner_uid.map(|uid| uid.0),
        for_children: namespace.for_children.map(|id| id.inode()),
    }
}

#[derive(Serialize)]
struct OffsetsJson {
    monotonic_sec: i64,
    monotonic_nsec: u32,
    boottime_sec: i64,
    boottime_nsec: u32,
}

#[derive(Serialize)]
struct IdsJson {
    real: u32,
    effective: u32,
    saved: u32,
    fs: u32,
}

impl From<[u32; 4]> for IdsJson {
    fn from([real, effective, saved, fs]: [u32; 4]) -> IdsJson {
        IdsJson { real, effective, saved, fs }
    }
}

#[derive(Serialize)]
struct RangeJson {
    inside: u32,
    outside: u32,
    count: u32,
}

fn ranges(ranges: &[[u32; 3]]) -> Vec<RangeJson> {
    ranges.iter().map(|&[inside, outside, count]| RangeJson { inside, outside, count }).collect()
}

#[derive(Serialize)]
struct CapsJson {
    effective: Vec<String>,
    permitted: Vec<String>,
    inheritable: Vec<String>,
    bounding: Vec<String>,
    ambient: Vec<String>,
}

#[derive(Serialize)]
struct LabelJson<'a> {
    module: Option<&'static str>,
    #[serde(flatten)]
    label: Text<'a>,
    #[serde(flatten)]
    mode: Text<'a>,
}

/// A limit in JSON: a number, or `"max"`.
#[derive(Serialize)]
#[serde(untagged)]
enum ValueJson {
    Value(u64),
    Max(&'static str),
}

#[derive(Serialize)]
struct RlimitJson {
    name: &'static str,
    soft: ValueJson,
    hard: ValueJson,
    as_init: Option<bool>,
}

impl From<&Rlimit> for RlimitJson {
    fn from(limit: &Rlimit) -> RlimitJson {
        let value = |value: Option<u64>| value.map_or(ValueJson::Max("max"), ValueJson::Value);
        RlimitJson { name: limit.name, soft: value(limit.soft), hard: value(limit.hard), as_init: limit.as_init }
    }
}

#[derive(Serialize)]
struct NamedJson<'a> {
    #[serde(flatten)]
    name: Text<'a>,
}

#[derive(Serialize)]
struct DescriptorsJson {
    total: usize,
    files: usize,
    sockets: usize,
    pipes: usize,
    memfds: usize,
    other: usize,
    complete: bool,
    leads_out_more: usize,
}

#[derive(Serialize)]
struct WeaknessJson<'a> {
    key: &'static str,
    weight: &'static str,
    #[serde(flatten)]
    what: Text<'a>,
    why: &'static str,
}

#[derive(Serialize)]
struct GapJson {
    what: &'static str,
    errno: Option<&'static str>,
}
