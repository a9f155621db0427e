//! Each fact on a process that was made for it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::{Value, json};

use super::super::harness::cgroup::Own;
use super::super::harness::held::Held;
use super::super::harness::running::Running;
use super::super::harness::{document, inode_of, nsx_path, output, run, text};
use super::{inspect, mount, namespace, shell, weaknesses};

pub(super) fn namespaces() {
    let held = shell(&["unshare", "-nu"], "", |_| {});
    let pid = held.pid();
    let found = inspect(&pid.to_string());
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let one = namespace(&found, kind);
        assert_eq!(one["ns"], inode_of(pid, kind), "{kind}");
        let own = matches!(kind, "net" | "uts");
        assert_eq!(one["whose"] == "own", own, "{one:#}");
        assert_eq!((&one["callers"], &one["parent_process"]), (&json!(!own), &json!(!own)), "{one:#}");
    }
    assert_eq!(namespace(&found, "net")["owner"], inode_of(pid, "user"));
    // A child shares with it what is not the host's.
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", "sh -c 'echo ready $$; read -r line'; :"]);
    let held = Held::start_command(&mut command);
    let child = inspect(&held.words[0]);
    let net = namespace(&child, "net");
    assert_eq!((&net["whose"], &net["parent_process"]), (&json!("parent"), &json!(true)), "{net:#}");
    // Future children may be elsewhere than the process itself.
    let held = Held::start(&["for-children"]);
    let found = inspect(&held.pid().to_string());
    assert_eq!(namespace(&found, "time")["for_children"], held.number(0));
    let printed = run(&["inspect", &held.pid().to_string()]);
    assert!(printed.contains(&format!("children in time:[{}]", held.number(0))), "{printed}");
}

/// Starts a process in a user namespace with these maps.
fn mapped(uids: &str, gids: &str) -> Held {
    let held = Held::start(&["process", "user"]);
    std::fs::write(format!("/proc/{}/uid_map", held.pid()), uids).expect("uid_map");
    std::fs::write(format!("/proc/{}/gid_map", held.pid()), gids).expect("gid_map");
    held
}

pub(super) fn ids() {
    let held = mapped("0 100000 1000\n1000 0 1\n", "0 200000 1000\n");
    let pid = held.pid().to_string();
    let found = inspect(&pid);
    let range = |inside: u32, outside: u32, count: u32| json!({"inside": inside, "outside": outside, "count": count});
    assert_eq!(found["uid_map"], json!([range(0, 100_000, 1000), range(1000, 0, 1)]));
    assert_eq!(found["gid_map"], json!([range(0, 200_000, 1000)]));
    assert_eq!((&found["maps_outside"], &found["setgroups"]), (&json!("caller"), &json!("allow")));
    assert_eq!((&found["root_uid_outside"], &found["root_gid_outside"]), (&json!(100_000), &json!(200_000)));
    // It is uid 0 of the host, which is uid 1000 inside; gid 0 is nobody's inside.
    assert_eq!((&found["uids"]["effective"], &found["uid_inside"]), (&json!(0), &json!(1000)));
    assert_eq!((&found["gids"]["effective"], &found["gid_inside"]), (&json!(0), &Value::Null));
    let user = namespace(&found, "user");
    assert_eq!((&user["whose"], &user["owner_uid"]), (&json!("own"), &json!(0)));
    assert_eq!((&user["owner"], &user["parent"]), (&json!(inode_of(std::process::id(), "user")), &user["owner"]));
    assert!(weaknesses(&found).contains(&"root_outside"), "{found:#}");
    let printed = run(&["inspect", &pid]);
    assert!(printed.contains("\nroot inside  uid 100000, gid 200000 outside\n"), "{printed}");
    assert!(printed.contains("\nuid          1000 inside, 0 outside\n"), "{printed}");
    assert!(printed.contains("\nuids         0-999 = 100000-100999, 1000 = 0\n"), "{printed}");
    let held = mapped("0 300000 65536\n", "0 300000 65536\n");
    let pid = held.pid().to_string();
    assert!(!weaknesses(&inspect(&pid)).contains(&"root_outside"));
    assert!(run(&["inspect", &pid]).contains("\nroot inside  uid and gid 300000 outside\n"));
}

/// Who is in the same user namespace reads other numbers in the same file, and is told so.
pub(super) fn ids_from_inside() {
    let mut command = Command::new("unshare");
    command.args(["-Ur"]).arg(nsx_path()).args(["inspect", "--json", "self"]).uid(65534).gid(65534).current_dir("/");
    let done = output(&mut command);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let found = document(&text(&done.stdout))["processes"][0].clone();
    assert_eq!((&found["maps_outside"], &found["uid_inside"]), (&json!("parent"), &json!(0)));
    assert_eq!((&found["root_uid_outside"], &namespace(&found, "user")["whose"]), (&json!(65534), &json!("caller")));
    // Also where it cannot be seen that it is the same: nobody inside sees the namespaces of a sandbox's first process.
    let folder = nsx_path().parent().expect("a folder");
    let shown = format!("{}:/mnt:ro", folder.display());
    let done = run(&["run", "-v", &shown, "--", "/mnt/nsx", "inspect", "--json", "1"]);
    let found = document(&done)["processes"][0].clone();
    assert_eq!(namespace(&found, "user")["ns"], Value::Null);
    assert_eq!((&found["maps_outside"], &found["uid_inside"]), (&json!("parent"), &json!(0)), "{found:#}");
    assert!(found["root_uid_outside"].as_u64().is_some_and(|uid| uid > 0), "{found:#}");
}

pub(super) fn capabilities() {
    let options = ["--inh-caps", "-all", "--bounding-set", "-all,+chown,+kill,+net_admin", "--no-new-privs"];
    let held = shell(&[&["setpriv"], &options[..]].concat(), "", |_| {});
    let pid = held.pid().to_string();
    let found = inspect(&pid);
    let caps = &found["capabilities"];
    for set in ["effective", "permitted", "bounding"] {
        assert_eq!(caps[set], json!(["chown", "kill", "net_admin"]), "{set}");
    }
    assert_eq!((&caps["inheritable"], &caps["ambient"]), (&json!([]), &json!([])));
    assert_eq!((&found["no_new_privs"], &found["seccomp"]), (&json!(true), &json!("none")));
    let printed = run(&["inspect", &pid]);
    assert!(printed.contains("\ncapabilities effective, permitted, bounding: chown, kill, net_admin\n"), "{printed}");
    assert!(printed.contains("no_new_privs yes"), "{printed}");
    // In the host's user and network namespace it is the host's network that it changes.
    let found = found["weaknesses"].as_array().expect("weaknesses").iter().find(|one| one["key"] == "cap").cloned();
    let what = found.expect("a weakness")["what"].clone();
    assert!(what.as_str().is_some_and(|what| what.starts_with("net_admin")), "{what}");
}

pub(super) fn sandbox() {
    let mut running = Running::start(&["run", "--"], "echo ready; read -r line", |_| {});
    let pid = running.command().to_string();
    let found = inspect(&pid);
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let whose = &namespace(&found, kind)["whose"];
        assert!(*whose == "own" || *whose == "parent", "{kind}: {whose}");
    }
    assert_eq!((&found["seccomp"], &found["no_new_privs"]), (&json!("filter"), &json!(true)));
    assert_eq!((&found["uid_inside"], &found["nspid"].as_array().map(Vec::len)), (&json!(0), &Some(2)));
    assert_ne!(found["root_uid_outside"], 0);
    let of = |role: &str| -> Vec<&str> {
        let mounts = found["mounts"].as_array().expect("mounts").iter();
        mounts.filter(|mount| mount["role"] == role).filter_map(|mount| mount["point"].as_str()).collect()
    };
    assert!(of("masked").contains(&"/proc/keys") && of("read_only").contains(&"/proc/sys"), "{:#}", found["mounts"]);
    assert!(of("device").contains(&"/dev/null") && of("other").contains(&"/tmp"), "{:#}", found["mounts"]);
    let root = mount(&found, "/");
    assert_eq!((&root["role"], &root["writable"], &root["host_path"]), (&json!("root"), &json!(false), &json!("/")));
    assert!(found["mounts_hidden"].as_u64().is_some_and(|hidden| hidden > 0));
    let open = found["weaknesses"].as_array().expect("weaknesses");
    assert!(open.iter().all(|one| one["weight"] == "note"), "{open:#?}");
    let printed = run(&["inspect", &pid]);
    for part in ["Docker's default", "seccomp 1 filter", "from the host's /", "\nmasked       /proc/", "pid 2 inside"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    running.poke();
    running.end();
}

pub(super) fn mounts() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let script = "cd \"$FOLDER\"; mkdir a b c d\n\
        mount --bind a b\nmount --bind a c\nmount -o remount,bind,ro,nosuid c\nmount -t tmpfs nsx-test d\n\
        mkdir d/under\nmount -t tmpfs nsx-test d/under\nmount -t tmpfs -o size=4k nsx-test d";
    let held = shell(&["unshare", "-m"], script, |command| {
        command.env("FOLDER", folder.path());
    });
    let found = inspect(&held.pid().to_string());
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let facts = |name: &str| {
        let mount = mount(&found, &path(name)).clone();
        (mount["role"].clone(), mount["writable"].clone(), mount["host_path"].clone())
    };
    assert_eq!(facts("b"), (json!("host"), json!(true), json!(path("a"))));
    assert_eq!(facts("c"), (json!("host"), json!(false), json!(path("a"))));
    assert_eq!(facts("d"), (json!("other"), json!(true), Value::Null));
    assert!(mount(&found, &path("c"))["options"].as_str().is_some_and(|options| options.contains("nosuid")));
    assert!(mount(&found, &path("d"))["super_options"].as_str().is_some_and(|options| options.contains("size=4k")));
    // What the upper one lies over is not to be seen.
    let all = found["mounts"].as_array().expect("mounts");
    assert!(!all.iter().any(|mount| mount["point"] == path("d/under").as_str()), "{all:#?}");
    assert_eq!(all.iter().filter(|mount| mount["point"] == path("d").as_str()).count(), 1);
    assert!(weaknesses(&found).contains(&"host_writable"));
    assert_eq!(found["mounts_callers"], false);
    assert_eq!(inspect("self")["mounts_callers"], true);
}

pub(super) fn descriptors() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "").expect("a file");
    // Opened before there is a mount namespace, all of these lead out of it; what is opened after does not.
    let script = "exec 5<\"$FOLDER\" 6>\"$FOLDER/file\" 7</proc/self/ns/net 8</dev/null 9</dev/kmsg\n\
        exec unshare -mn sh -c 'exec 4<\"$FOLDER/file\"; echo ready; read -r line'";
    let mut command = Command::new("sh");
    command.args(["-ec", script]).env("FOLDER", folder.path());
    let held = Held::start_command(&mut command);
    let found = inspect(&held.pid().to_string());
    let of = |fd: u32| {
        let all = found["leads_out"].as_array().expect("descriptors");
        all.iter().find(|one| one["fd"] == fd).cloned().unwrap_or_default()
    };
    assert_eq!((&of(5)["kind"], &of(5)["writable"]), (&json!("directory"), &json!(false)));
    assert_eq!((&of(6)["kind"], &of(6)["writable"]), (&json!("file"), &json!(true)));
    assert_eq!(of(6)["link"], folder.path().join("file").to_str().expect("UTF-8"));
    assert_eq!((&of(7)["kind"], &of(7)["ns"]), (&json!("namespace"), &json!(inode_of(std::process::id(), "net"))));
    assert_eq!((&of(9)["kind"], &of(9)["block"], &of(9)["major"]), (&json!("device"), &json!(false), &json!(1)));
    assert_eq!((of(4), of(8), of(0)), (Value::Null, Value::Null, Value::Null));
    assert!(found["descriptors"]["total"].as_u64().is_some_and(|total| total >= 8), "{:#}", found["descriptors"]);
    for key in ["fd_directory", "fd_namespace", "fd_device", "fd_file"] {
        assert!(weaknesses(&found).contains(&key), "{key}: {found:#}");
    }
    let printed = run(&["inspect", &held.pid().to_string()]);
    // The standard streams of this test may be files, too.
    assert!(printed.contains(" 5: ") && printed.contains("leads out    "), "{printed}");
}

pub(super) fn socket() {
    let held = Held::start(&["socket"]);
    let found = inspect(&held.pid().to_string());
    let all = found["leads_out"].as_array().expect("descriptors");
    let socket = all.iter().find(|one| one["fd"] == held.number(0)).unwrap_or_else(|| panic!("{all:#?}"));
    assert_eq!((&socket["kind"], &socket["ns"]), (&json!("socket"), &json!(held.number(1))));
}

pub(super) fn limits() {
    let own = Own::new("inspect", &["memory", "pids"]);
    own.set("", "memory.max", "100663296");
    own.make("child");
    own.set("child", "pids.max", "30");
    let held = Held::start(&["hold", "1"]);
    own.add(held.pid(), "child");
    let found = inspect(&held.pid().to_string());
    let knob = |name: &str| {
        let all = found["limits"].as_array().expect("limits");
        all.iter().find(|one| one["knob"] == name).cloned().unwrap_or_default()
    };
    let memory = knob("memory.max");
    assert_eq!((&memory["effective"], &memory["bound_by"]), (&json!(100_663_296), &json!(own.text(""))));
    assert_eq!(knob("pids.max")["effective"], 30);
    let all = found["cgroups"].as_array().expect("cgroups");
    assert!(all.iter().any(|one| one["path"] == own.text("child").as_str()), "{all:#?}");
    let printed = run(&["inspect", &held.pid().to_string()]);
    for part in [&*own.text("child"), "memory.max 96M by ", "pids.max 30, "] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

pub(super) fn addresses() {
    let script = "ip link set lo up\nip link add nsx-a type dummy\nip addr add 192.0.2.7/25 dev nsx-a\nip link set nsx-a up\n\
        ip -6 addr add 2001:db8::7/64 dev nsx-a nodad\nip addr add 198.51.100.1/32 dev nsx-a";
    // Kernels without dummy links have a veth.
    let script = script.replace("type dummy", "type dummy 2>/dev/null || ip link add nsx-a type veth peer name nsx-b");
    let held = shell(&["unshare", "-n"], &script, |_| {});
    let found = inspect(&held.pid().to_string());
    let all = found["addresses"].as_array().expect("addresses");
    let of = |address: &str| {
        let one = all.iter().find(|one| one["address"] == address).unwrap_or_else(|| panic!("no {address}: {all:#?}"));
        (one["prefix"].clone(), one["link"].clone())
    };
    assert_eq!(of("192.0.2.7"), (json!(25), json!("nsx-a")));
    assert_eq!(of("2001:db8::7"), (json!(64), json!("nsx-a")));
    assert_eq!(of("127.0.0.1"), (json!(8), json!("lo")));
    // No network tells to which link it belongs.
    assert_eq!(of("198.51.100.1"), (Value::Null, Value::Null));
    let links: Vec<&str> =
        found["links"].as_array().expect("links").iter().filter_map(|link| link["name"].as_str()).collect();
    assert!(links.contains(&"lo") && links.contains(&"nsx-a"), "{links:?}");
}
