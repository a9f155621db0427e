//! Scans of made-up /proc trees: everything that a live host shows only by chance.

use super::harness::{Module, fake::FakeProc, held_by, namespace, test};

pub fn module() -> Module {
    let tests = vec![
        test("fake::odd_names_do_not_shift_fields", &[], odd_names),
        test("fake::a_process_that_has_gone_is_not_there", &[], gone),
        test("fake::a_zombie_is_in_what_it_has_left", &[], zombie),
        test("fake::kinds_that_the_kernel_lacks", &[], missing_kinds),
        test("fake::descriptors_and_children", &[], descriptors),
        test("fake::the_leader_is_the_top_most", &[], leader),
        test("fake::containers_are_known_by_cgroup", &[], containers),
        test("fake::text_that_is_no_utf8_has_a_twin", &[], raw_twins),
        test("fake::nothing_at_all", &[], nothing),
        test("fake::own_and_initial", &[], own_and_initial),
        test("fake::many_processes", &[], many),
    ];
    Module { name: "fake", places: &[], tests }
}

fn odd_names() {
    let tree = FakeProc::new();
    for (pid, comm) in [(2, &b"a) b ("[..]), (3, b") R 9 9 9"), (4, b"\n\x1b[31m"), (5, b"\xff\xfe"), (6, b"")] {
        tree.process(pid, 1, comm).link(pid, "uts", 100 + pid);
    }
    let document = tree.json(&[]);
    for pid in 2..=6u32 {
        let found = namespace(&document, u64::from(100 + pid));
        assert_eq!((&found["pid"], &found["ppid"]), (&pid.into(), &1.into()));
    }
    assert_eq!(namespace(&document, 104)["command"], "[\n\u{1b}[31m]");
    let table = tree.ls(&["-t", "uts"]);
    assert!(table.contains("[\\n\\x1b[31m]") && !table.contains('\x1b'), "{table}");
}

fn gone() {
    let tree = FakeProc::new();
    tree.process(1, 0, b"init").process(7, 1, b"x").link(7, "uts", 107).without(7, "stat");
    let document = tree.json(&[]);
    assert!(document["namespaces"].as_array().expect("all").iter().all(|found| found["ns"] != 107));
    assert_eq!(document["gaps"], serde_json::json!([]));
}

fn zombie() {
    let tree = FakeProc::new();
    tree.process(1, 0, b"init").process(7, 1, b"z");
    for kind in ["cgroup", "ipc", "mnt", "net", "time", "uts"] {
        tree.without(7, &format!("ns/{kind}"));
    }
    let document = tree.json(&["--members"]);
    let members = |inode: u64| namespace(&document, inode)["members"].clone();
    assert_eq!(members(0xEFFF_FFFD), serde_json::json!([1, 7]), "user");
    assert_eq!(members(0xEFFF_FFF9), serde_json::json!([1]), "net");
}

fn missing_kinds() {
    let tree = FakeProc::new();
    tree.process(1, 0, b"init").own(1);
    for kind in ["time", "user", "cgroup"] {
        tree.without(1, &format!("ns/{kind}"));
    }
    let document = tree.json(&[]);
    let kinds: Vec<_> = document["namespaces"].as_array().expect("all").iter().map(|found| &found["type"]).collect();
    assert_eq!(kinds, ["mnt", "net", "pid", "uts", "ipc"]);
    assert!(tree.ls(&["-t", "user,time"]).is_empty());
    assert_eq!(tree.json(&["-t", "user"])["namespaces"], serde_json::json!([]));
}

fn descriptors() {
    let tree = FakeProc::new();
    tree.process(1, 0, b"init").process(9, 1, b"holder");
    tree.raw_link(9, "fd/3", "net:[200]").raw_link(9, "fd/4", "net:[200]").raw_link(9, "fd/0", "/dev/null");
    tree.raw_link(9, "fd/5", "socket:[5]").raw_link(9, "fd/6", "net:[201]x").raw_link(9, "fd/7", "/net:[202]");
    tree.raw_link(9, "ns/pid_for_children", "pid:[300]").raw_link(9, "ns/time_for_children", "time:[4026531834]");
    let document = tree.json(&[]);
    let way = held_by(namespace(&document, 200), "fd");
    assert_eq!((&way["count"], &way["pid"], &way["fd"]), (&2.into(), &9.into(), &3.into()));
    assert_eq!(held_by(namespace(&document, 300), "for_children")["tid"], 9);
    let all = document["namespaces"].as_array().expect("all");
    assert!(all.iter().all(|found| found["ns"] != 201 && found["ns"] != 202));
    assert_eq!(document["gaps"], serde_json::json!([]), "sockets of a captured tree cannot be asked");
    let table = tree.ls(&["-P"]);
    assert!(table.contains("(fd 3 of 9, and 1 more)") && table.contains("(for children of 9 of 9)"), "{table}");
}

fn leader() {
    let tree = FakeProc::new();
    tree.process(1, 0, b"init").process(50, 1, b"engine");
    for (pid, ppid) in [(60, 50), (55, 60), (58, 60)] {
        tree.process(pid, ppid, b"inside").link(pid, "net", 210);
    }
    let document = tree.json(&["-t", "net"]);
    let found = namespace(&document, 210);
    assert_eq!((&found["pid"], &found["ppid"], &found["nprocs"]), (&60.into(), &50.into(), &3.into()));
    assert_eq!(tree.ls(&["-t", "net", "--tree=process", "-n", "-o", "NS"]), "4026531833\n└─210\n");
}

fn containers() {
    let id = "3f2a9c".repeat(10) + "abcd";
    let tree = FakeProc::new();
    tree.process(1, 0, b"init").process(7, 1, b"x").link(7, "net", 220);
    tree.file(7, "cgroup", format!("1:name=systemd:/\n0::/system.slice/docker-{id}.scope\n").as_bytes());
    let document = tree.json(&["-t", "net"]);
    let container = &namespace(&document, 220)["container"];
    assert_eq!(*container, serde_json::json!({"engine": "docker", "id": id, "name": null, "verified": false}));
    assert!(namespace(&document, 0xEFFF_FFF9)["container"].is_null());
    assert!(tree.ls(&["-t", "net", "-o", "CONTAINER"]).contains("docker:3f2a9c3f2a9c?\n"));
}

fn raw_twins() {
    let tree = FakeProc::new();
    tree.process(7, 0, b"x").file(7, "cmdline", b"a\xff\0b\0").file(7, "cgroup", b"0::/\xfe\n");
    let document = tree.json(&["-t", "net"]);
    let found = &document["namespaces"][0];
    assert_eq!((&found["command"], &found["command_raw"]), (&"a\u{fffd} b".into(), &"Yf8gYg==".into()));
    assert_eq!((&found["cgroup"], &found["cgroup_raw"]), (&"/\u{fffd}".into(), &"L/4=".into()));
    assert!(tree.ls(&["-t", "net", "-o", "COMMAND"]).contains("a\\xff b"));
}

fn nothing() {
    let tree = FakeProc::new();
    assert_eq!(tree.ls(&[]), "");
    assert_eq!(tree.json(&[])["namespaces"], serde_json::json!([]));
}

fn own_and_initial() {
    let tree = FakeProc::new();
    tree.process(1, 0, b"init").process(7, 1, b"x").link(7, "net", 230).link(7, "uts", 231).own(7);
    let document = tree.json(&[]);
    assert_eq!(namespace(&document, 0xEFFF_FFF9)["initial"], true, "by its number");
    assert_eq!(namespace(&document, 231)["initial"], false, "by its number");
    assert!(namespace(&document, 230)["initial"].is_null(), "the number of a net namespace does not tell");
    assert_eq!(document["pid_ns"], 0xEFFF_FFFC_u32);
    // kthreadd tells, where the numbers are not fixed.
    tree.process(2, 0, b"kthreadd").link(2, "net", 0xF000_0000);
    tree.file(2, "stat", b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 2 0 0 0\n");
    let document = tree.json(&[]);
    assert_eq!(namespace(&document, 0xF000_0000)["initial"], true);
    assert_eq!(namespace(&document, 230)["initial"], false);
}

fn many() {
    let tree = FakeProc::new();
    tree.process(1, 0, b"init");
    for pid in 2..=300 {
        tree.process(pid, 1, b"worker").link(pid, "ipc", 1000 + pid % 7);
    }
    let document = tree.json(&["-t", "ipc", "--members"]);
    let members: usize = document["namespaces"]
        .as_array()
        .expect("all")
        .iter()
        .map(|found| found["members"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(members, 300, "several threads have shared the work, and nobody is lost or counted twice");
}
