//! Mounts that lead a process to the host, or to the kernel's own settings. Pure.

use super::{Found, Weight};
use crate::inspect::mounts::is_plain_node;
use crate::model::Isolation;
use crate::model::isolation::{Mount, MountRole, has_option};

/// Sockets of programs that start what they are asked to, as root of the host.
const CONTROL: [&[u8]; 8] = [
    b"/docker.sock",
    b"/containerd.sock",
    b"/crio.sock",
    b"/podman.sock",
    b"/buildkitd.sock",
    b"/systemd/private",
    b"/system_bus_socket",
    b"/lxd/unix.socket",
];

/// Directories of the host that decide what runs there.
const DECISIVE: [&[u8]; 14] = [
    b"/",
    b"/bin",
    b"/boot",
    b"/dev",
    b"/etc",
    b"/lib",
    b"/lib64",
    b"/opt",
    b"/run",
    b"/sbin",
    b"/usr",
    b"/var",
    b"/var/lib",
    b"/var/run",
];

/// What an engine puts into every container.
const USUAL: [&[u8]; 3] = [b"/etc/hostname", b"/etc/hosts", b"/etc/resolv.conf"];

pub(super) fn mounts(facts: &Isolation, hosts_user: bool, all: &mut Found) {
    let Some(mounts) = &facts.mounts else { return };
    let named = |mount: &Mount| {
        let host = mount.host_path.as_deref().unwrap_or_default();
        if host == mount.point { mount.point.clone() } else { [&mount.point[..], b" (", host, b")"].concat() }
    };
    let is_control = |mount: &Mount| {
        CONTROL
            .iter()
            .any(|end| mount.point.ends_with(end) || mount.host_path.as_deref().is_some_and(|path| path.ends_with(end)))
    };
    let is_hosts =
        |mount: &&Mount| mount.role == MountRole::Host || mount.role == MountRole::Root && mount.host_path.is_some();
    let pick = |choose: &dyn Fn(&Mount) -> bool| -> Vec<Vec<u8>> {
        mounts.iter().filter(is_hosts).filter(|mount| choose(mount)).map(named).collect()
    };
    let is_devices = |mount: &Mount| mount.fs_type == b"devtmpfs" && mount.root == b"/";
    let is_decisive = |mount: &Mount| {
        let path = mount.host_path.as_deref().unwrap_or_default();
        DECISIVE.contains(&path) || path.starts_with(b"/etc/") || path.starts_with(b"/usr/")
    };
    // Who may write to a socket is not a matter of the mount.
    let sockets = pick(&is_control);
    all.add_paths(
        "control_socket",
        Weight::Open,
        "a socket of the host's: ",
        &sockets,
        "whoever may talk to it has things started, as root of the host",
    );
    let devices = pick(&is_devices);
    all.add_paths(
        "devices",
        Weight::Open,
        "all device nodes of the host: ",
        &devices,
        "disks and memory are among them",
    );
    let plain = |mount: &Mount| {
        // The upper layer of an overlay is made for its container.
        let is_own_layer = mount.role == MountRole::Root && mount.fs_type == b"overlay";
        let is_usual = is_own_layer || USUAL.contains(&&mount.point[..]);
        mount.is_writable() && !is_control(mount) && !is_devices(mount) && !is_usual
    };
    let decisive = pick(&|mount| plain(mount) && is_decisive(mount));
    all.add_paths(
        "host_writable",
        Weight::Open,
        "directories of the host, writable: ",
        &decisive,
        "what lies there decides what runs on the host",
    );
    let other = pick(&|mount| plain(mount) && !is_decisive(mount));
    all.add_paths(
        "host_writable",
        Weight::Weak,
        "files of the host, writable: ",
        &other,
        "what is written there stays, and is read by others",
    );
    let nodes: Vec<_> = mounts
        .iter()
        .filter(|mount| mount.role == MountRole::Device && !is_plain_node(&mount.root))
        .map(|mount| mount.point.clone())
        .collect();
    all.add_paths("device", Weight::Weak, "device nodes of the host: ", &nodes, "drivers of the host answer it");
    if hosts_user {
        kernel_mounts(facts, mounts, all);
    }
}

/// File systems of the kernel that root of the host may write to, as the process can be or become.
fn kernel_mounts(facts: &Isolation, mounts: &[Mount], all: &mut Found) {
    let is_root = facts.ids.uids.is_some_and(|uids| uids.contains(&0));
    if !is_root && facts.powers.effective.is_empty() {
        return;
    }
    let of = |fs_type: &[u8]| -> Vec<&Mount> { mounts.iter().filter(|mount| mount.fs_type == fs_type).collect() };
    let has_point = |point: &[u8]| mounts.iter().any(|mount| mount.point == point && !mount.is_writable());
    let procs: Vec<_> = of(b"proc")
        .into_iter()
        .filter(|mount| mount.root == b"/" && mount.is_writable() && !has_point(&[&mount.point[..], b"/sys"].concat()))
        .map(|mount| [&mount.point[..], b"/sys"].concat())
        .collect();
    all.add_paths(
        "proc_writable",
        Weight::Weak,
        "settings of the kernel, writable: ",
        &procs,
        "many of them are of the whole host",
    );
    let writable = |fs_types: &[&[u8]]| -> Vec<Vec<u8>> {
        let is_one = |mount: &&Mount| {
            fs_types.contains(&&mount.fs_type[..]) && mount.root == b"/" && has_option(&mount.options, "rw")
        };
        mounts.iter().filter(is_one).map(|mount| mount.point.clone()).collect()
    };
    let sys = writable(&[b"sysfs", b"debugfs", b"tracefs", b"securityfs", b"configfs", b"efivarfs"]);
    all.add_paths(
        "sys_writable",
        Weight::Weak,
        "devices and insides of the kernel, writable: ",
        &sys,
        "they are of the whole host",
    );
    let cgroups: Vec<_> = mounts
        .iter()
        .filter(|mount| matches!(&mount.fs_type[..], b"cgroup" | b"cgroup2") && mount.is_writable())
        .map(|mount| mount.point.clone())
        .collect();
    all.add_paths(
        "cgroup_writable",
        Weight::Weak,
        "cgroups, writable: ",
        &cgroups,
        "it changes its own limits, and those of others that it sees",
    );
}
