//! Container engines, with containers of theirs: what nsx says of them, held against what the engines' own tools say.
//!
//! Other tests have containers at the same time, so names are of one test only.

mod expected;
mod readme;

use std::path::Path;

use serde_json::Value;

use expected::{Expected, View, are_all, are_entered, rows};

use super::harness::engines::{
    Bwrap, Cgroups, Containerd, Crun, Docker, IMAGE, Lxc, Nspawn, Podman, Room, Runc, SUBIDS, UID,
};
use super::harness::processes::{marked, new_mark, until_so};
use super::harness::{Module, Need, quiet, test};

/// What every room needs, and more.
macro_rules! needs {
    ($($tool:literal),*) => {
        &[Need::Root, Need::Tool("ip"), Need::Tool("busybox"), $(Need::Tool($tool)),*]
    };
}

pub fn module() -> Module {
    let tests = vec![
        test("engines::docker", needs!["docker", "dockerd", "runc"], docker),
        test("engines::docker_on_v2", needs!["docker", "dockerd", "runc"], docker_on_v2),
        test("engines::podman_on_v2", needs!["podman", "runc"], podman_on_v2),
        test("engines::docker_with_users_of_its_own", needs!["docker", "dockerd", "runc"], docker_remapped),
        test("engines::docker_in_docker", needs!["docker", "dockerd", "runc"], docker_in_docker),
        test("engines::podman_of_root", needs!["podman", "runc"], podman),
        test("engines::podman_of_a_user", needs!["podman", "runc", "setpriv", "newuidmap"], podman_rootless),
        test("engines::containerd", needs!["containerd", "ctr", "runc"], containerd),
        test("engines::runc_and_crun", needs!["runc", "crun", "jq"], runtimes),
        test("engines::lxc", needs!["lxc-start"], lxc),
        quiet("engines::the_session_of_the_readme", needs!["docker", "dockerd", "runc"], readme::session),
        test("engines::nspawn_bubblewrap_and_nsx", needs!["systemd-nspawn", "bwrap"], without_records),
    ];
    Module { name: "engines", places: &[], tests }
}

/// What `inspect` says of all running containers of an engine whose documents are like Docker's.
fn inspected(engine: &'static str, cli: &dyn Fn(&[&str]) -> String) -> Vec<Expected> {
    let ids = cli(&["ps", "-q", "--no-trunc", "--filter", "status=running", "--filter", "status=paused"]);
    let words: Vec<&str> = ["container", "inspect"].into_iter().chain(ids.lines()).collect();
    let all: Value = serde_json::from_str(&cli(&words)).expect("JSON");
    let one = |container: &Value| {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        // What was asked for in Docker's case; what it came to in podman's.
        let image = container.get("ImageName").unwrap_or(&container["Config"]["Image"]);
        let pid = container["State"]["Pid"].as_u64().expect("a pid").try_into().expect("a pid");
        Expected::new(engine, pid)
            .name(text(&container["Name"]).trim_start_matches('/'))
            .id(&text(&container["Id"]))
            .image(&text(image))
            .paused(container["State"]["Status"] == "paused")
            .address(container["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].as_str())
    };
    all.as_array().expect("a list").iter().map(one).collect()
}

fn by_name<'a>(all: &'a [Expected], name: &str) -> &'a Expected {
    let is_it = |one: &&Expected| one.name.as_deref() == Some(name);
    all.iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {all:?}"))
}

/// Makes sure that those who run are entered.
fn are_entered_each(all: &[Expected]) {
    all.iter().filter(|one| one.state == "running").for_each(Expected::is_entered);
}

fn docker() {
    docker_with(Cgroups::AsHere);
}

fn docker_on_v2() {
    docker_with(Cgroups::V2);
}

fn docker_with(cgroups: Cgroups) {
    let room = Room::new(&format!("docker-{cgroups:?}"), cgroups);
    let docker = Docker::start(room, &["--data-root", "ROOM/data", "--exec-root", "/run/own"]);
    let name = |name: &str| format!("{name}-{cgroups:?}");
    docker.sleeper(&name("web"), &["--label", "com.example.role=front", "-e", "SECRET=x"]);
    docker.sleeper(&name("db"), &["--net", "none", "--init"]);
    docker.sleeper(&name("sidecar"), &["--net", &format!("container:{}", name("web"))]);
    docker.sleeper(&name("parented"), &["--net", "none", "--cgroup-parent", "/nsx-parent"]);
    docker.sleeper(&name("on-host"), &["--net", "host", "--pid", "host"]);
    docker.sleeper(&name("frozen"), &["--net", "none"]);
    docker.sleeper(&name("born-as-this"), &["--net", "none"]);
    docker.cli(&["rename", &name("born-as-this"), &name("renamed")]);
    docker.cli(&["pause", &name("frozen")]);
    let mark = new_mark();
    docker.cli(&["exec", "-d", &name("web"), "sleep", &mark]);
    docker.cli(&["create", "--name", &name("created"), "nsx-box:1", "true"]);
    let mut all = inspected("docker", &|words| docker.cli(words));
    assert_eq!(all.len(), 7, "{all:?}");
    all = all.into_iter().map(|one| one.label("from", "image")).collect();
    let web = all.iter().position(|one| one.name.as_deref() == Some(&name("web"))).expect("web");
    let one = all.swap_remove(web).label("com.example.role", "front");
    all.push(one);
    for view in [View::Inside, View::Outside] {
        are_all(&docker.room, view, &all);
        let rows = rows(&docker.room, view);
        // Who was put into it by exec is a member, and no container.
        let row = rows.iter().find(|row| row["name"] == name("web")).expect("web");
        let guest = *marked(&mark).first().expect("who was put in");
        assert!(row["members"].as_array().expect("members").contains(&guest.into()), "{guest}: {row:#}");
    }
    for known in ["web", "db", "sidecar", "on-host", "renamed", "frozen"] {
        by_name(&all, &name(known)).is_in_ls(&docker.room);
    }
    are_entered_each(&all);
}

fn docker_remapped() {
    let room = Room::new("remapped", Cgroups::AsHere);
    room.sh(&format!(
        "echo nsx-remap:x:{UID}:{UID}::/:/bin/false >>/etc/passwd
        echo nsx-remap:x:{UID}: >>/etc/group
        for file in subuid subgid; do echo nsx-remap:{SUBIDS}:65536 >/etc/$file; done"
    ));
    // In the folders that it has by default, which the room has for itself.
    let docker = Docker::start(room, &["--userns-remap", "nsx-remap"]);
    docker.sleeper("remapped", &["--net", "none"]);
    docker.sleeper("not-remapped", &["--net", "none", "--userns", "host"]);
    let all = inspected("docker", &|words| docker.cli(words));
    assert_eq!(all.len(), 2, "{all:?}");
    for view in [View::Inside, View::Outside] {
        are_all(&docker.room, view, &all);
    }
    all.iter().for_each(|one| one.is_in_ls(&docker.room));
    are_entered_each(&all);
    // Containers go on without their daemon, and so does what is known of them.
    docker.room.sh("kill -9 $(cat /run/docker.pid) $(cat /run/docker/containerd/containerd.pid)");
    for view in [View::Inside, View::Outside] {
        are_all(&docker.room, view, &all);
    }
}

fn docker_in_docker() {
    let docker = Docker::start(Room::new("nested", Cgroups::AsHere), &["--data-root", "ROOM/data"]);
    // All capabilities that there are, as --privileged wants more than some machines have.
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).expect("a set");
    let bounding = u64::from_str_radix(bounding, 16).expect("a number");
    let caps = (0..CAPABILITIES.len()).filter(|number| bounding & (1 << number) != 0);
    let caps: Vec<String> = caps.map(|number| format!("--cap-add={}", CAPABILITIES[number])).collect();
    // What is not there Docker would make, on the machine.
    let binds = ["/usr", "/bin", "/sbin", "/lib", "/lib64"].into_iter().filter(|folder| Path::new(folder).exists());
    let binds: Vec<String> = binds.map(|folder| format!("-v={folder}:{folder}:ro")).collect();
    let mut words = vec!["run", "-d", "--name", "outer", "--net", "none", "--security-opt", "seccomp=unconfined"];
    words.extend([
        "--security-opt",
        "apparmor=unconfined",
        "-v",
        "/sys/fs/cgroup:/sys/fs/cgroup",
        "-v",
        "/var/lib/docker",
    ]);
    words.extend(caps.iter().chain(&binds).map(String::as_str));
    let script = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        mount -o remount,rw /proc/sys
        exec dockerd --iptables=false --bridge=none --storage-driver=vfs";
    words.extend(["nsx-box:1", "/bin/sh", "-c", script]);
    docker.cli(&words);
    let client = docker.room.sh("command -v docker");
    let exec = format!("docker -H unix:///run/docker.sock exec -i outer {client}");
    until_so("the inner daemon", || docker.room.try_sh(&format!("{exec} version")).0 == Some(0));
    docker.room.sh(&format!("{exec} load -q <image.tar"));
    docker.room.sh(&format!("{exec} run -d --name inner --net none nsx-box:1 sleep 100000"));
    let outer = inspected("docker", &|words| docker.cli(words));
    let inner = inspected("docker", &|words| docker.cli(&[&["exec", "outer", &client], words].concat()));
    assert_eq!((outer.len(), inner.len()), (1, 1), "{outer:?} {inner:?}");
    outer[0].is_in_ls(&docker.room);
    for view in [View::Inside, View::Outside] {
        let rows = rows(&docker.room, view);
        let row =
            |name: &str| rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}: {rows:#?}"));
        let (above, below) = (row("outer"), row("inner"));
        assert_eq!(rows.len(), 2, "{rows:#?}");
        assert_eq!((&above["pid"], &above["inside"]), (&outer[0].pid.into(), &Value::Null), "{above:#}");
        assert_eq!((&below["inside"], &below["path"]), (&above["pid"], &"outer/inner".into()), "{below:#}");
        assert_eq!((&below["engine"], &below["verified"]), (&"docker".into(), &true.into()), "{below:#}");
        // The inner daemon counts pids as the outer container does.
        let pid = below["pid"].as_u64().expect("a pid");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
        let all = status.lines().find_map(|line| line.strip_prefix("NSpid:")).expect("pids");
        let counted: Vec<&str> = all.split_whitespace().rev().take(2).collect();
        assert_eq!(counted, ["1", &inner[0].pid.to_string()]);
    }
    are_entered(&["outer", "outer/inner"]);
}

/// Capabilities by their numbers, see capability(7).
const CAPABILITIES: [&str; 38] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
];

fn podman() {
    podman_with(Cgroups::AsHere);
}

fn podman_on_v2() {
    podman_with(Cgroups::V2);
}

fn podman_with(cgroups: Cgroups) {
    let room = Podman::room(&format!("podman-{cgroups:?}"), cgroups);
    let podman = Podman::root(&room);
    let name = |name: &str| format!("p-{name}-{cgroups:?}");
    podman.sleeper(&name("web"), &["--network", "none", "--label", "com.example.role=front"]);
    podman.sleeper(&name("parented"), &["--network", "none", "--cgroup-parent", "/nsx-parent"]);
    podman.sleeper(&name("on-host"), &["--network", "host", "--pid", "host"]);
    podman.sleeper(&name("frozen"), &["--network", "none"]);
    podman.sleeper(&name("born-as-this"), &["--network", "none"]);
    podman.cli(&["rename", &name("born-as-this"), &name("renamed")]);
    podman.cli(&["pause", &name("frozen")]);
    podman.cli(&["exec", "-d", &name("web"), "sleep", "100001"]);
    podman.cli(&["create", "--name", &name("created"), "localhost/nsx-box:1", "true"]);
    // By cgroupfs on v2, podman 4.3 lets nobody in a pod open a device.
    let has_pod = cgroups != Cgroups::V2;
    if has_pod {
        let infra = ["--infra-image", "localhost/nsx-box:1", "--infra-command", "sleep 100002"];
        podman.cli(&[&["pod", "create", "--name", &name("pod"), "--network", "none"], &infra[..]].concat());
        podman.sleeper(&name("in-pod"), &["--pod", &name("pod")]);
    }
    let all = inspected("podman", &|words| podman.cli(words));
    assert_eq!(all.len(), if has_pod { 7 } else { 5 }, "{all:?}");
    let known = |one: Expected| match one.name.as_deref().unwrap_or_default() {
        web if web == name("web") => one.label("com.example.role", "front"),
        inside if inside == name("in-pod") || inside.ends_with("-infra") => one.pod(None, &name("pod")),
        _ => one,
    };
    let all: Vec<Expected> = all.into_iter().map(known).collect();
    for view in [View::Inside, View::Outside] {
        are_all(&room, view, &all);
    }
    all.iter().for_each(|one| one.is_in_ls(&room));
    are_entered_each(&all);
}

fn podman_rootless() {
    let room = Podman::room("rootless", Cgroups::AsHere);
    let podman = Podman::rootless(&room);
    podman.sleeper("mine", &["--network", "none", "--label", "com.example.role=front"]);
    podman.sleeper("kept", &["--network", "none", "--userns", "keep-id"]);
    let all = inspected("podman", &|words| podman.cli(words));
    assert_eq!(all.len(), 2, "{all:?}");
    let is_mine = |one: &Expected| one.name.as_deref() == Some("mine");
    let known = |one| if is_mine(&one) { one.label("com.example.role", "front") } else { one };
    let all: Vec<Expected> = all.into_iter().map(known).collect();
    for view in [View::Inside, View::Outside, View::InsideAs(UID)] {
        are_all(&room, view, &all);
        for row in rows(&room, view) {
            assert_eq!(row["uid"], UID, "{row:#}");
        }
    }
    are_entered_each(&all);
}

fn containerd() {
    let room = Room::new("containerd", Cgroups::AsHere);
    let containerd = Containerd::start(&room);
    containerd.sleeper("default", "c-web", &["--rootfs", "--label", "app=web", "--cgroup", "/nsx-ctr/c-web"]);
    containerd.sleeper("default", "c-image", &[]);
    containerd.sleeper("default", "c-paused", &["--rootfs"]);
    containerd.ctr(&["tasks", "pause", "c-paused"]);
    let id = "3f2a9c0000000000000000000000000000000000000000000000000000000001";
    let sandbox = "5b1d000000000000000000000000000000000000000000000000000000000002";
    let annotations = [
        "io.kubernetes.cri.container-type=container".to_owned(),
        "io.kubernetes.cri.container-name=nginx".to_owned(),
        "io.kubernetes.cri.image-name=example.org/nginx:1".to_owned(),
        "io.kubernetes.cri.sandbox-name=web-7d".to_owned(),
        "io.kubernetes.cri.sandbox-namespace=shop".to_owned(),
        format!("io.kubernetes.cri.sandbox-id={sandbox}"),
    ];
    let cgroup = format!("/kubepods/burstable/pod0f1c0c5e-0000-4000-8000-000000000001/{id}");
    let mut options = vec!["--rootfs", "--cgroup", &cgroup];
    options.extend(annotations.iter().flat_map(|annotation| ["--annotation", annotation]));
    containerd.sleeper("k8s.io", id, &options);
    let task = |namespace, id: &str| {
        let (pid, state) = containerd.task(namespace, id);
        Expected::new("containerd", pid).id(id).paused(state == "PAUSED")
    };
    let all = [
        task("default", "c-web").label("app", "web"),
        // Both are in containerd's database alone.
        task("default", "c-image").image(IMAGE).label("from", "image"),
        task("default", "c-paused"),
        task("k8s.io", id).name("nginx").image("example.org/nginx:1").pod(Some("shop"), "web-7d"),
    ];
    assert_eq!(all.iter().filter(|one| one.state == "paused").count(), 1);
    for view in [View::Inside, View::Outside] {
        are_all(&room, view, &all);
    }
    are_entered(&["c-web", "containerd:c-image", &id[..12], "containerd:nginx"]);
}

fn runtimes() {
    let room = Room::new("runtimes", Cgroups::Plain);
    let (runc, moved) = (Runc::new(&room, &[]), Runc::new(&room, &["--root", "/run/own/runc"]));
    let crun = Crun::new(&room, &[]);
    runc.sleeper("by-runc", "/by-runc");
    runc.sleeper("still", "/still");
    runc.cli(&["pause", "still"]);
    moved.sleeper("elsewhere", "/elsewhere");
    crun.sleeper("by-crun", "/by-crun");
    crun.sleeper("frozen", "/frozen");
    crun.cli(&["pause", "frozen"]);
    let of = |engine, id, (pid, state): (u32, String)| Expected::new(engine, pid).id(id).paused(state == "paused");
    let known = [
        of("runc", "by-runc", runc.listed("by-runc")),
        of("runc", "still", runc.listed("still")),
        of("crun", "by-crun", crun.listed("by-crun")),
        of("crun", "frozen", crun.listed("frozen")),
    ];
    assert_eq!(known.iter().filter(|one| one.state == "paused").count(), 2);
    // Nothing but the state in its folder says what made such a container, and that may be anywhere.
    let nobodys = |pid, state| Expected::of_nobody(pid).paused(state == "paused");
    let mut all: Vec<Expected> = known.iter().map(|one| nobodys(one.pid, one.state)).collect();
    all.push(nobodys(moved.listed("elsewhere").0, "running"));
    are_all(&room, View::Outside, &all);
    all.splice(..4, known);
    are_all(&room, View::Inside, &all);
    for target in ["by-runc", "crun:by-crun", &all[4].pid.to_string()] {
        let (code, out, err) = room.nsx(&["enter", "-t", target, "--", "cat", "/etc/os-release"]);
        assert_eq!((code, &*out), (Some(0), "ID=nsx-box\n"), "{target}: {err}");
    }
}

fn lxc() {
    let room = Room::new("lxc", Cgroups::Plain);
    let (lxc, moved) = (Lxc::new(&room, "/var/lib/lxc"), Lxc::new(&room, "/var/lib/lxc/own"));
    lxc.sleeper("one");
    lxc.sleeper("frozen");
    moved.sleeper("two");
    lxc.tool("lxc-freeze", "frozen", &[]);
    let of = |lxc: &Lxc<'_>, name| {
        let (pid, state) = lxc.info(name);
        Expected::new("lxc", pid).name(name).paused(state == "FROZEN")
    };
    let all = [of(&lxc, "one"), of(&lxc, "frozen"), of(&moved, "two")];
    assert_eq!(all.iter().filter(|one| one.state == "paused").count(), 1);
    for view in [View::Inside, View::Outside] {
        are_all(&room, view, &all);
    }
    all.iter().for_each(|one| one.is_in_ls(&room));
    are_entered_each(&all);
}

fn without_records() {
    let room = Room::new("nspawn", Cgroups::Plain);
    let machine = Nspawn::sleeper(&room, "nsx-box");
    let bwrap = Bwrap::sleeper(&room);
    let (name, mark) = (format!("nsx-box-{}", new_mark()), new_mark());
    let started = room.nsx(&["run", "-d", "--name", &name, "sleep", &mark]);
    assert_eq!(started, (Some(0), format!("{name}\n"), String::new()));
    let is_command =
        |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with(b"sleep\0");
    let sandbox = marked(&mark).into_iter().find(is_command).expect("its command");
    let all = [
        Expected::new("nspawn", machine.pid).name("nsx-box"),
        Expected::new("bwrap", bwrap.pid),
        Expected::new("nsx", sandbox).name(&name),
    ];
    for view in [View::Inside, View::Outside] {
        are_all(&room, view, &all);
    }
    are_entered(&["nspawn:nsx-box", &bwrap.pid.to_string(), &bwrap.command.to_string()]);
}
