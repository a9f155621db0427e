//! A table of facts, each with what is found of them.

use super::*;
use crate::cgroup::{Bound, Effective};
use crate::model::NsId;
use crate::model::cgroup::KNOBS;
use crate::model::isolation::{Descriptors, Label, Membership, Mount, MountRole, Outside};

fn namespace(kind: NsKind, initial: bool) -> Membership {
    Membership {
        kind,
        id: NsId::new(7),
        initial: Some(initial),
        callers: Some(initial),
        parents: Some(false),
        owner: None,
        parent: None,
        owner_uid: None,
        for_children: None,
    }
}

/// A process with namespaces of its own but these, a filter, no_new_privs and no capability.
fn sandbox(shared: &[NsKind]) -> Isolation {
    let mut facts = Isolation {
        namespaces: NsKind::ALL.map(|kind| namespace(kind, shared.contains(&kind))).into(),
        root: Some(b"/".to_vec()),
        mounts: Some(Vec::new()),
        ..Isolation::default()
    };
    facts.powers.all = CapSet::ALL;
    facts.powers.seccomp = Some(2);
    facts.powers.no_new_privs = Some(true);
    facts.ids.uids = Some([100_000; 4]);
    facts.ids.uid_map = Some(vec![[0, 100_000, 65_536]]);
    facts
}

fn mount(role: MountRole, point: &str, host: Option<&str>, options: &str) -> Mount {
    Mount {
        role,
        point: point.into(),
        root: b"/".to_vec(),
        fs_type: b"ext4".to_vec(),
        source: Vec::new(),
        options: options.into(),
        super_options: b"rw".to_vec(),
        device: (8, 1),
        propagation: Vec::new(),
        host_path: host.map(Into::into),
    }
}

fn found(facts: &Isolation) -> Vec<(&'static str, Weight, String)> {
    let all = weaknesses(facts, &[]);
    all.into_iter().map(|one| (one.key, one.weight, String::from_utf8_lossy(&one.what).into_owned())).collect()
}

/// Holds what is found, keys and weights, against what is expected.
#[track_caller]
fn expect(facts: &Isolation, expected: &[(&str, Weight)]) {
    let found = found(facts);
    let keys: Vec<_> = found.iter().map(|(key, weight, _)| (*key, *weight)).collect();
    assert_eq!(keys, expected, "{found:?}");
}

#[test]
fn a_sandbox_that_holds_has_none() {
    expect(&sandbox(&[]), &[]);
}

#[test]
fn namespaces_that_are_shared() {
    use Weight::{Note, Weak};
    expect(&sandbox(&[NsKind::Pid]), &[("shared_pid", Weak)]);
    expect(&sandbox(&[NsKind::Net]), &[("shared_net", Weak)]);
    expect(&sandbox(&[NsKind::Mnt]), &[("shared_mnt", Weak)]);
    expect(&sandbox(&[NsKind::Ipc]), &[("shared_ipc", Note)]);
    // These say nothing by themselves.
    expect(&sandbox(&[NsKind::Uts, NsKind::Time, NsKind::Cgroup]), &[]);
    // Where it cannot be known what the host's is, the caller's is named.
    let mut facts = sandbox(&[NsKind::Net]);
    facts.namespaces[NsKind::Net.index()].initial = None;
    assert_eq!(found(&facts)[0].2, "the net namespace is the caller's");
}

#[test]
fn who_is_isolated_by_nobody_is_told_so_and_no_more() {
    let mut facts = sandbox(&NsKind::ALL);
    facts.powers.seccomp = Some(0);
    facts.powers.no_new_privs = Some(false);
    expect(&facts, &[("not_isolated", Weight::Note)]);
    facts.powers.effective = CapSet::ALL & !CapSet::SYS_BOOT;
    facts.ids.uids = Some([0; 4]);
    expect(&facts, &[("cap_all", Weight::Open), ("root", Weight::Weak), ("not_isolated", Weight::Note)]);
    // A root directory of its own is something, if not much.
    facts.root = Some(b"/srv/jail".to_vec());
    let keys: Vec<_> = found(&facts).into_iter().map(|(key, ..)| key).collect();
    assert!(keys.contains(&"shared_mnt") && !keys.contains(&"not_isolated"), "{keys:?}");
}

#[test]
fn capabilities_count_in_the_hosts_user_namespace_only() {
    let dangerous = [
        ("sys_admin", Weight::Open),
        ("sys_module", Weight::Open),
        ("sys_rawio", Weight::Open),
        ("dac_read_search", Weight::Open),
        ("sys_ptrace", Weight::Weak),
        ("bpf", Weight::Weak),
        ("sys_time", Weight::Weak),
        ("mac_admin", Weight::Weak),
        ("syslog", Weight::Note),
    ];
    for (name, weight) in dangerous {
        let mut facts = sandbox(&[NsKind::User]);
        // What is permitted can be made effective.
        facts.powers.permitted = CapSet::parse(name).expect("a name");
        expect(&facts, &[("cap", weight)]);
        assert!(found(&facts)[0].2.starts_with(name));
        facts.namespaces[NsKind::User.index()] = namespace(NsKind::User, false);
        expect(&facts, &[]);
    }
    let mut facts = sandbox(&[NsKind::User]);
    facts.powers.effective = CapSet::DOCKER | CapSet::NET_ADMIN;
    expect(&facts, &[]);
    facts.namespaces[NsKind::Net.index()] = namespace(NsKind::Net, true);
    expect(&facts, &[("shared_net", Weight::Weak), ("cap", Weight::Weak)]);
}

#[test]
fn ids_that_are_roots_outside() {
    let mut facts = sandbox(&[]);
    facts.ids.uid_map = Some(vec![[0, 0, 1]]);
    expect(&facts, &[("root_outside", Weight::Weak)]);
    facts.ids.uid_map = Some(vec![[0, 1000, 1], [1, 0, 1]]);
    expect(&facts, &[("root_outside", Weight::Weak)]);
    assert_eq!(found(&facts)[0].2, "uid 0 outside is a user inside");
    let mut facts = sandbox(&[NsKind::User]);
    facts.ids.uids = Some([1000, 1000, 0, 1000]);
    expect(&facts, &[("root", Weight::Weak)]);
}

#[test]
fn filters_and_labels() {
    let mut facts = sandbox(&[]);
    facts.powers.seccomp = Some(0);
    expect(&facts, &[("no_seccomp", Weight::Weak)]);
    facts.powers.seccomp = None;
    expect(&facts, &[]);
    facts.powers.no_new_privs = Some(false);
    // Nothing can be had where nothing is left to be gained.
    expect(&facts, &[]);
    facts.powers.bounding = CapSet::DOCKER;
    expect(&facts, &[("no_new_privs", Weight::Weak)]);
    let mut facts = sandbox(&[]);
    let label = |text: &str, mode: Option<&str>| {
        Some(Label { module: Some("apparmor"), text: text.into(), mode: mode.map(Into::into) })
    };
    facts.powers.label = label("docker-default", Some("enforce"));
    expect(&facts, &[]);
    facts.powers.label = label("unconfined", None);
    expect(&facts, &[("unconfined", Weight::Note)]);
    facts.powers.label = label("mine", Some("complain"));
    expect(&facts, &[("unconfined", Weight::Note)]);
}

#[test]
fn mounts_that_lead_to_the_host() {
    use MountRole::{Device, Host, Other, Root};
    use Weight::{Open, Weak};
    type Row<'a> = (MountRole, &'a str, Option<&'a str>, &'a str, &'a [(&'a str, Weight)]);
    let rows: [Row<'_>; 13] = [
        // A socket is talked to, whether it may be written to or not.
        (Host, "/var/run/docker.sock", Some("/run/docker.sock"), "ro", &[("control_socket", Open)]),
        (Host, "/x", Some("/run/containerd/containerd.sock"), "rw", &[("control_socket", Open)]),
        (Host, "/data", Some("/srv/data"), "rw,nosuid", &[("host_writable", Weak)]),
        (Host, "/data", Some("/srv/data"), "ro", &[]),
        (Host, "/host", Some("/"), "rw", &[("host_writable", Open)]),
        (Host, "/host", Some("/"), "ro", &[]),
        (Host, "/cron", Some("/etc/cron.d"), "rw", &[("host_writable", Open)]),
        (Root, "/", Some("/"), "rw", &[("host_writable", Open)]),
        (Root, "/", None, "rw", &[]),
        (Host, "/etc/hosts", Some("/var/lib/docker/containers/x/hosts"), "rw", &[]),
        (Other, "/tmp", None, "rw", &[]),
        (Device, "/dev/kvm", Some("/dev/kvm"), "rw", &[("device", Weak)]),
        (MountRole::Masked, "/proc/kcore", Some("/dev/null"), "rw", &[]),
    ];
    for (role, point, host, options, expected) in rows {
        let mut facts = sandbox(&[]);
        facts.mounts = Some(vec![mount(role, point, host, options)]);
        expect(&facts, expected);
    }
    let mut facts = sandbox(&[]);
    let mut devices = mount(Host, "/dev", Some("/dev"), "ro");
    devices.fs_type = b"devtmpfs".to_vec();
    facts.mounts = Some(vec![devices]);
    expect(&facts, &[("devices", Open)]);
    let mut null = mount(Device, "/dev/null", Some("/dev/null"), "rw");
    null.root = b"/null".to_vec();
    facts.mounts = Some(vec![null]);
    expect(&facts, &[]);
    // Of many some are named.
    let points = ["/a", "/b", "/c", "/d", "/e"];
    facts.mounts = Some(points.iter().map(|point| mount(Host, point, Some("/srv"), "rw")).collect());
    let many = found(&facts);
    assert_eq!(many[0].2, "files of the host, writable: /a (/srv), /b (/srv), /c (/srv) and 2 more");
}

#[test]
fn file_systems_of_the_kernel_count_for_root_of_the_host() {
    let mut facts = sandbox(&[NsKind::User]);
    let of = |fs_type: &str, point: &str, options: &str| {
        let mut mount = mount(MountRole::Kernel, point, None, options);
        mount.fs_type = fs_type.into();
        mount
    };
    let mounts = vec![of("proc", "/proc", "rw"), of("sysfs", "/sys", "rw"), of("cgroup2", "/sys/fs/cgroup", "rw")];
    facts.mounts = Some(mounts);
    expect(&facts, &[]);
    facts.powers.effective = CapSet::DOCKER;
    expect(
        &facts,
        &[("proc_writable", Weight::Weak), ("sys_writable", Weight::Weak), ("cgroup_writable", Weight::Weak)],
    );
    let mounts = vec![of("proc", "/proc", "rw"), of("proc", "/proc/sys", "ro"), of("sysfs", "/sys", "ro")];
    facts.mounts = Some(mounts);
    expect(&facts, &[]);
}

#[test]
fn descriptors_that_lead_out() {
    let name = crate::model::NsName { kind: NsKind::Net, id: NsId::new(9).expect("not zero") };
    for (way, key, weight) in [
        (Way::Directory, "fd_directory", Weight::Open),
        (Way::Device(true, 8, 0), "fd_device", Weight::Weak),
        (Way::Device(false, 136, 3), "fd_terminal", Weight::Note),
        (Way::Namespace(name), "fd_namespace", Weight::Weak),
        (Way::Socket(name.id), "fd_socket", Weight::Weak),
        (Way::Process(None), "fd_process", Weight::Weak),
        (Way::Kernel, "fd_kernel", Weight::Note),
        (Way::File, "fd_file", Weight::Note),
    ] {
        let mut facts = sandbox(&[]);
        let outside = Outside { fd: 5, way, link: b"x".to_vec(), writable: true };
        facts.descriptors = Some(Descriptors { outside: vec![outside], ..Descriptors::default() });
        expect(&facts, &[(key, weight)]);
        assert!(found(&facts)[0].2.ends_with(": fd 5"));
    }
}

#[test]
fn limits_that_nobody_sets() {
    let effective = |name: &str, by: Option<Binder>, limit: Limit| Effective {
        knob: KNOBS.iter().find(|knob| knob.name == name).expect("a knob"),
        key: None,
        hierarchy: 0,
        file: "x",
        here: None,
        steps: Vec::new(),
        effective: Bound { limit: Some(limit), by },
        usage: None,
        headroom: Bound::default(),
        kernel: None,
        lists: None,
        share_millionths: None,
    };
    let keys = |limits: &[Effective]| -> Vec<&'static str> {
        weaknesses(&sandbox(&[]), limits).into_iter().map(|one| one.key).collect()
    };
    let host = effective("memory.max", Some(Binder::Host), Limit::Value(7));
    assert_eq!(keys(&[host]), ["no_memory_limit"]);
    assert_eq!(keys(&[effective("pids.max", None, Limit::Max)]), ["no_pids_limit"]);
    let set = [
        effective("memory.max", Some(Binder::Level(2)), Limit::Value(7)),
        effective("pids.max", Some(Binder::OutOfSight), Limit::Value(7)),
    ];
    assert_eq!(keys(&set), [""; 0]);
}

#[test]
fn nothing_is_said_of_what_does_not_run() {
    let mut facts = sandbox(&NsKind::ALL);
    facts.powers.effective = CapSet::ALL;
    facts.identity.kernel = true;
    expect(&facts, &[]);
    facts.identity.kernel = false;
    facts.identity.zombie = true;
    expect(&facts, &[]);
    // What may not be seen is not taken for shared.
    let mut facts = sandbox(&NsKind::ALL);
    for namespace in &mut facts.namespaces {
        namespace.id = None;
    }
    facts.powers.effective = CapSet::ALL;
    facts.namespaces.iter_mut().for_each(|namespace| namespace.initial = None);
    expect(&facts, &[]);
}
