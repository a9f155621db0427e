//! Mounts of a process as a runtime can be asked for them.

use serde_json::{Value, json};

use super::utf8;
use crate::model::isolation::{Mount, MountRole};
use crate::model::{Isolation, NsKind};

/// Options of a mount that runtimes know by the kernel's word.
const OPTIONS: [&str; 11] = [
    "ro",
    "rw",
    "nosuid",
    "nodev",
    "noexec",
    "noatime",
    "nodiratime",
    "relatime",
    "strictatime",
    "nosymfollow",
    "sync",
];

/// Options of file systems that can be asked for again, whoever has mounted them.
const OF_FILE_SYSTEMS: [(&[u8], &[&str]); 3] = [
    (b"tmpfs", &["size=", "mode=", "nr_inodes="]),
    (b"devpts", &["mode=", "ptmxmode="]),
    (b"proc", &["hidepid=", "subset="]),
];

/// Returns all mounts but the root directory, and what masks or protects paths.
pub(super) fn mounts(facts: &Isolation, notes: &mut Vec<String>) -> Vec<Value> {
    let mut all = Vec::new();
    let mut left_out = Vec::new();
    // What the host has everywhere is not to be copied; a runtime needs these few.
    if facts.shares(NsKind::Mnt) == Some(true) {
        return vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc"}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        ];
    }
    let mounts: Vec<&Mount> = facts.mounts.iter().flatten().collect();
    let of = |choose: &dyn Fn(&Mount) -> bool| -> Vec<&[u8]> {
        mounts.iter().filter(|mount| choose(mount)).map(|mount| &mount.point[..]).collect()
    };
    // What comes along with another: what the host has mounted there, and the hierarchies that a runtime puts there.
    let whole = of(&|mount| mount.role == MountRole::Host || is_bound_sysfs(facts, mount));
    let hierarchies = of(&|mount| is_hierarchies(facts, mount));
    let comes_along = |mount: &Mount| {
        let is_kernels = mount.role == MountRole::Kernel;
        is_kernels && [&whole, &hierarchies].into_iter().flatten().any(|above| is_below(&mount.point, above))
    };
    for mount in mounts.iter().copied() {
        if comes_along(mount) {
            continue;
        }
        if matches!(mount.role, MountRole::Root | MountRole::Masked | MountRole::ReadOnly) || is_made_anyway(mount) {
            continue;
        }
        match (utf8(&mount.point), one(facts, mount)) {
            (Some(_), Some(value)) => all.push(value),
            (point, _) => left_out.push(point.unwrap_or("(no UTF-8)").escape_debug().to_string()),
        }
    }
    if !left_out.is_empty() {
        notes.push(format!("mounts that cannot be made again are left out: {}", left_out.join(", ")));
    }
    all
}

fn is_below(point: &[u8], above: &[u8]) -> bool {
    point.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// Says whether it is a sysfs that only the host can have mounted: the kernel lets nobody do so who does not own the network namespace.
fn is_bound_sysfs(facts: &Isolation, mount: &Mount) -> bool {
    mount.fs_type == b"sysfs" && mount.root == b"/" && facts.shares(NsKind::Net) == Some(true)
}

/// Says whether it is what a runtime makes for the hierarchies of v1 to be mounted on.
fn is_hierarchies(facts: &Isolation, mount: &Mount) -> bool {
    let is_one = |other: &Mount| other.fs_type == b"cgroup" && is_below(&other.point, &mount.point);
    let is_place = mount.fs_type == b"tmpfs" && mount.point == b"/sys/fs/cgroup" && mount.host_path.is_none();
    is_place && facts.mounts.iter().flatten().any(is_one)
}

/// Says whether it is a device node that every runtime makes.
fn is_made_anyway(mount: &Mount) -> bool {
    const MADE: [&[u8]; 8] = [
        b"/dev/null",
        b"/dev/zero",
        b"/dev/full",
        b"/dev/random",
        b"/dev/urandom",
        b"/dev/tty",
        b"/dev/console",
        b"/dev/ptmx",
    ];
    MADE.contains(&&mount.point[..])
}

fn one(facts: &Isolation, mount: &Mount) -> Option<Value> {
    let mut options: Vec<String> =
        OPTIONS.iter().filter(|word| mount.has(word)).map(|word| (*word).to_owned()).collect();
    // A bind mount shows a file system as it is.
    if mount.host_path.is_none()
        && let Some((_, known)) = OF_FILE_SYSTEMS.iter().find(|(fs_type, _)| *fs_type == mount.fs_type)
    {
        let said = utf8(&mount.super_options)?.split(',');
        options.extend(said.filter(|option| known.iter().any(|start| option.starts_with(start))).map(str::to_owned));
    }
    // In a user namespace what the host has mounted below cannot be left behind: that would lay bare what lies there.
    let word = if facts.shares(NsKind::User) == Some(false) { "rbind" } else { "bind" };
    let bind = |source: &str, options: &[String]| {
        // What comes along must not be less read-only than what it is on.
        let all = (word == "rbind" && mount.has("ro")).then_some("rro");
        let options: Vec<&str> = [word].into_iter().chain(all).chain(options.iter().map(String::as_str)).collect();
        json!({"destination": utf8(&mount.point), "type": "bind", "source": source, "options": options})
    };
    let fresh = |fs_type: &str, options: Vec<String>| json!({"destination": utf8(&mount.point), "type": fs_type, "source": fs_type, "options": options});
    let whole = mount.root == b"/";
    if let Some(source) = mount.host_path.as_deref() {
        return Some(bind(utf8(source)?, &options));
    }
    let shares = |kind: NsKind| facts.shares(kind) == Some(true);
    if is_hierarchies(facts, mount) {
        return Some(fresh("cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"].map(str::to_owned).into()));
    }
    Some(match &mount.fs_type[..] {
        b"tmpfs" if whole => fresh("tmpfs", options),
        b"proc" if whole => fresh("proc", options),
        b"devpts" if whole => {
            options.push("newinstance".to_owned());
            fresh("devpts", options)
        }
        b"mqueue" if whole && !shares(NsKind::Ipc) => fresh("mqueue", options),
        b"sysfs" if is_bound_sysfs(facts, mount) => bind("/sys", &options),
        b"sysfs" if whole => fresh("sysfs", options),
        // A runtime puts the hierarchies of the host where this is.
        b"cgroup2" if mount.point == b"/sys/fs/cgroup" => fresh("cgroup", options),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NsId;
    use crate::model::isolation::Membership;

    fn mount(role: MountRole, point: &str, fs_type: &str, root: &str, host: Option<&str>) -> Mount {
        Mount {
            role,
            point: point.into(),
            root: root.into(),
            fs_type: fs_type.into(),
            source: Vec::new(),
            options: b"ro,nosuid,relatime,idmapped".to_vec(),
            super_options: b"rw,size=64k,uid=1000,mode=755".to_vec(),
            device: (0, 1),
            propagation: Vec::new(),
            host_path: host.map(Into::into),
        }
    }

    /// A process that shares namespaces of these kinds with the host.
    fn facts(shared: &[NsKind], mounts: Vec<Mount>) -> Isolation {
        let namespace = |kind| Membership {
            kind,
            id: NsId::new(7),
            initial: Some(shared.contains(&kind)),
            callers: None,
            parents: Some(false),
            owner: None,
            parent: None,
            owner_uid: None,
            for_children: None,
        };
        Isolation { namespaces: NsKind::ALL.map(namespace).into(), mounts: Some(mounts), ..Isolation::default() }
    }

    #[test]
    fn each_mount_is_asked_for_as_a_runtime_can_make_it() {
        use MountRole::{Device, Host, Kernel, Masked, Other, Root};
        let all = vec![
            mount(Root, "/", "overlay", "/", None),
            mount(Host, "/data", "ext4", "/srv", Some("/srv")),
            mount(Other, "/dev", "tmpfs", "/", None),
            mount(Device, "/dev/kvm", "devtmpfs", "/kvm", Some("/dev/kvm")),
            mount(Device, "/dev/null", "devtmpfs", "/null", Some("/dev/null")),
            mount(Kernel, "/dev/pts", "devpts", "/", None),
            mount(Kernel, "/proc", "proc", "/", None),
            mount(Masked, "/proc/keys", "devtmpfs", "/null", Some("/dev/null")),
            mount(Kernel, "/sys", "sysfs", "/", None),
            mount(Other, "/sys/fs/cgroup", "tmpfs", "/", None),
            mount(Kernel, "/sys/fs/cgroup/cpu", "cgroup", "/", None),
            mount(Other, "/weird", "fuse", "/", None),
        ];
        let of = |shared: &[NsKind]| {
            let mut notes = Vec::new();
            let made = mounts(&facts(shared, all.clone()), &mut notes);
            let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let said: Vec<String> = made
                .iter()
                .map(|one| format!("{} {} {}", words(&one["destination"]), words(&one["type"]), words(&one["source"])))
                .collect();
            (made, said, notes)
        };
        let (made, said, notes) = of(&[NsKind::User]);
        let expected = [
            "/data bind /srv",
            "/dev tmpfs tmpfs",
            "/dev/kvm bind /dev/kvm",
            "/dev/pts devpts devpts",
            "/proc proc proc",
            "/sys sysfs sysfs",
            "/sys/fs/cgroup cgroup cgroup",
        ];
        assert_eq!(said, expected);
        assert_eq!(notes, ["mounts that cannot be made again are left out: /weird"]);
        assert_eq!(made[0]["options"], json!(["bind", "ro", "nosuid", "relatime"]));
        assert_eq!(made[1]["options"], json!(["ro", "nosuid", "relatime", "size=64k", "mode=755"]));
        // In a user namespace what is mounted below comes along.
        let (made, _, _) = of(&[]);
        assert_eq!(made[0]["options"], json!(["rbind", "rro", "ro", "nosuid", "relatime"]));
        // Who shares the host's network cannot mount a sysfs.
        let (_, said, _) = of(&[NsKind::Net]);
        assert!(said.contains(&"/sys bind /sys".to_owned()), "{said:?}");
        // Who shares the host's mounts gets what a runtime needs.
        assert_eq!(of(&[NsKind::Mnt]).1, ["/proc proc proc", "/dev tmpfs tmpfs"]);
    }
}
