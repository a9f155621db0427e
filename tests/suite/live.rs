//! Each way of keeping a namespace alive, made for real and found by nsx.

use super::harness::{
    Module, Need, Place, by_backend, child_of, document, held::Held, held_by, inode_of, linux_before, ls_json,
    namespace, quiet, run, test, text,
};

const LISTNS: &[Need] = &[Need::Root, Need::Linux(6, 19, "listns(2)")];
const OPEN_TREE_NAMESPACE: &[Need] = &[Need::Root, Need::Linux(7, 0, "OPEN_TREE_NAMESPACE")];

pub fn module() -> Module {
    let root = &[Need::Root];
    /// The same, seen by BPF.
    macro_rules! by_bpf {
        ($test:ident) => {
            || by_backend("bpf", $test)
        };
    }
    let tests = vec![
        test("live::by_bpf_a_process_holds_each_kind", root, by_bpf!(a_process_holds_each_kind)),
        test("live::by_bpf_a_thread_holds_what_its_process_does_not", root, by_bpf!(a_thread_holds)),
        test("live::by_bpf_time_for_children_is_held_before_there_are_any", root, by_bpf!(for_children)),
        quiet("live::by_bpf_a_descriptor_holds", root, by_bpf!(a_descriptor_holds)),
        quiet("live::by_bpf_a_socket_holds", root, by_bpf!(a_socket_holds)),
        test("live::by_bpf_threads_outlive_their_leader", root, by_bpf!(threads_outlive_their_leader)),
        test("live::by_bpf_a_zombie_is_no_gap", root, by_bpf!(a_zombie_is_no_gap)),
        test("live::by_bpf_the_callers_own_are_all_there", root, by_bpf!(own_are_there)),
        test("live::by_bpf_a_thread_has_descriptors_of_its_own", root, by_bpf!(descriptors_of_a_thread)),
        test("live::a_thread_has_descriptors_of_its_own", root, || by_backend("proc", descriptors_of_a_thread)),
        test("live::a_process_holds_each_kind", root, a_process_holds_each_kind),
        test("live::what_an_ordinary_user_makes", &[], of_a_user),
        test("live::a_thread_holds_what_its_process_does_not", &[], a_thread_holds),
        test("live::time_for_children_is_held_before_there_are_any", &[], for_children),
        quiet("live::a_descriptor_holds", &[], a_descriptor_holds),
        quiet("live::a_socket_holds", &[], a_socket_holds),
        test("live::a_bind_mount_in_another_mount_namespace_holds", &[], a_bind_mount_holds),
        test("live::a_bind_mount_holds_where_no_process_is", &[], a_bind_mount_without_process),
        test("live::what_is_unmounted_meanwhile_is_no_gap", &[Need::Tool("strace")], unmounted_meanwhile),
        test("live::a_parent_is_held_by_its_child", &[], a_parent_is_held),
        quiet("live::ip_netns_add_and_delete_while_open", &[Need::Root, Need::Tool("ip")], ip_netns),
        quiet("live::what_only_listns_names_is_held_by_the_kernel", LISTNS, only_listns),
        quiet("live::a_mount_namespace_that_open_tree_made", OPEN_TREE_NAMESPACE, open_tree),
        test("live::threads_outlive_their_leader", &[], threads_outlive_their_leader),
        test("live::a_zombie_is_no_gap", &[], a_zombie_is_no_gap),
        test("live::the_callers_own_are_all_there", &[], own_are_there),
        test("live::ids_are_given_where_the_kernel_has_them", &[], ids),
        test("live::members_are_listed", &[], members_are_listed),
        test("live::looking_changes_nothing", &[Need::Tool("strace")], nothing_is_changed),
    ];
    Module { name: "live", places: &[Place::Vm, Place::Systemd], tests }
}

fn a_process_holds_each_kind() {
    let initial_user = inode_of(std::process::id(), "user");
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let held = Held::start(&["process", kind]);
        let (pid, inode) = (held.number(0), held.number(1));
        let document = ls_json(&[]);
        let found = namespace(&document, inode);
        assert_eq!(found["type"], kind);
        assert_eq!(found["initial"], false, "{kind}");
        assert_eq!(held_by(found, "process")["pid"], found["pid"], "{kind}");
        assert_eq!(found["owner"], initial_user, "{kind}");
        assert_eq!(found["owner_uid"], 0, "{kind}");
        let leader = found["pid"].as_u64().expect("a leader");
        // unshare moves the fixture itself in all kinds but pid and time, which only its child is in.
        let expected = if matches!(kind, "pid" | "time") { pid } else { u64::from(held.pid()) };
        assert_eq!(leader, expected, "{kind}");
        assert_eq!(found["nprocs"], if expected == pid { 1 } else { 2 }, "{kind}");
        assert_eq!(found["nthreads"], found["nprocs"], "{kind}");
        let parent = &found["parent"];
        match kind {
            "pid" => assert_eq!(*parent, inode_of(std::process::id(), "pid")),
            "user" => assert_eq!(*parent, initial_user),
            _ => assert!(parent.is_null(), "{kind}"),
        }
        assert!(found["netnsid"].is_null(), "nobody has given it a number");
    }
}

fn of_a_user() {
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let held = Held::start(&["rootless", "process", kind]);
        let (inode, user_ns) = (held.number(1), inode_of(held.pid(), "user"));
        let document = ls_json(&[]);
        let found = namespace(&document, inode);
        assert_eq!((&found["type"], &found["owner_uid"]), (&kind.into(), &nix::unistd::geteuid().as_raw().into()));
        // A user namespace is owned by its parent, which the fixture has left.
        let owner = if kind == "user" { &found["parent"] } else { &user_ns.into() };
        assert_eq!(&found["owner"], owner, "{kind}");
        let owner = namespace(&document, owner.as_u64().expect("an owner"));
        assert_eq!((&owner["type"], &owner["initial"]), (&"user".into(), &false.into()), "{kind}");
        assert!(found["pid"].is_u64() && found["command"].is_string(), "{kind}: {found:#}");
    }
}

fn a_thread_holds() {
    for kind in ["cgroup", "ipc", "mnt", "net", "time", "uts"] {
        if kind == "time" {
            // unshare(CLONE_NEWTIME) wants a process with a single thread.
            continue;
        }
        let held = Held::start(&["thread", kind]);
        let (tid, inode) = (held.number(0), held.number(1));
        let document = ls_json(&[]);
        let found = namespace(&document, inode);
        assert_eq!((&found["nprocs"], &found["nthreads"]), (&0.into(), &1.into()), "{kind}");
        assert!(found["pid"].is_null(), "{kind}");
        let way = held_by(found, "thread");
        assert_eq!((way["pid"].as_u64(), way["tid"].as_u64()), (Some(held.pid().into()), Some(tid)), "{kind}");
        assert!(!found["owner"].is_null(), "{kind}: it was opened");
    }
}

fn for_children() {
    let held = Held::start(&["for-children"]);
    let document = ls_json(&[]);
    let found = namespace(&document, held.number(0));
    assert_eq!(found["type"], "time");
    assert_eq!(held_by(found, "for_children")["pid"], held.pid());
    assert!(!found["owner"].is_null(), "it was opened");
}

fn a_descriptor_holds() {
    for kind in ["cgroup", "ipc", "mnt", "net", "uts"] {
        let held = Held::start(&["fd", kind]);
        let (fd, inode) = (held.number(0), held.number(1));
        let document = ls_json(&[]);
        let found = namespace(&document, inode);
        assert_eq!(found["type"], kind);
        let way = held_by(found, "fd");
        assert_eq!((way["pid"].as_u64(), way["fd"].as_u64()), (Some(held.pid().into()), Some(fd)), "{kind}");
        assert!(!found["owner"].is_null(), "{kind}: it was opened");
    }
}

fn a_socket_holds() {
    let held = Held::start(&["socket"]);
    let (fd, inode) = (held.number(0), held.number(1));
    let document = ls_json(&["-t", "net"]);
    let found = namespace(&document, inode);
    let way = held_by(found, "socket");
    assert_eq!((way["pid"].as_u64(), way["fd"].as_u64()), (Some(held.pid().into()), Some(fd)));
    assert!(!found["owner"].is_null(), "it was opened");
    assert!(found["held_by"].as_array().is_some_and(|ways| ways.len() == 1), "{found:#}");
}

fn a_bind_mount_holds() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let held = Held::start(&["bind-mount", path]);
    let (inode, mnt_ns) = (held.number(0), held.number(1));
    let document = ls_json(&["-t", "uts"]);
    let found = namespace(&document, inode);
    let way = held_by(found, "bind_mount");
    assert_eq!((way["count"].as_u64(), way["mnt_ns"].as_u64()), (Some(1), Some(mnt_ns)));
    assert_eq!(way["path"], format!("{path}/a b\\c\nd"));
    assert_eq!(found["bind_mounts"][0]["path"], way["path"]);
    assert!(!found["owner"].is_null(), "it was opened");
    let table = run(&["ls", "-t", "uts", "-P"]);
    assert!(table.contains(&format!("(bind mount {path}/a b\\c\\nd in mnt:[{mnt_ns}])")), "{table}");
}

fn a_bind_mount_without_process() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let held = Held::start(&["bind-mount-without-process", path]);
    let (inode, mnt_ns) = (held.number(0), held.number(1));
    let document = ls_json(&[]);
    assert_eq!(namespace(&document, mnt_ns)["nprocs"], 0);
    // Only listmount(2) can look into a mount namespace that nobody is in (Linux 6.11, and only for root); there is a gap where it
    // cannot.
    let gaps = document["gaps"].as_array().expect("an array");
    let unseen = gaps.iter().any(|gap| {
        gap["what"] == "bind_mounts" && gap["namespaces"].as_array().is_some_and(|all| all.contains(&mnt_ns.into()))
    });
    assert!(!unseen || linux_before(6, 11) || !nix::unistd::geteuid().is_root(), "{gaps:#?}");
    if !unseen {
        let found = namespace(&document, inode);
        assert_eq!(held_by(found, "bind_mount")["mnt_ns"], mnt_ns);
    }
}

fn unmounted_meanwhile() {
    const OPENAT2: &str = "437 ";
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let held = Held::start(&["bind-mount", folder.path().to_str().expect("UTF-8")]);
    let inode = held.number(0);
    // nsx is held back when it is about to open what it has seen, until that has gone.
    let strace = std::process::Command::new("strace")
        .args(["-qq", "-e", "trace=openat2", "-e", "inject=openat2:delay_enter=1000000:when=1", "-o", "/dev/null"])
        .arg(super::harness::nsx_path())
        .args(["ls", "--json"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("strace");
    let nsx = child_of(strace.id());
    while !std::fs::read_to_string(format!("/proc/{nsx}/syscall")).expect("nsx has ended").starts_with(OPENAT2) {
        std::thread::yield_now();
    }
    drop(held);
    let document = document(&text(&strace.wait_with_output().expect("strace").stdout));
    assert!(document["namespaces"].as_array().expect("all").iter().any(|one| one["ns"] == inode), "it was seen");
    for gap in document["gaps"].as_array().expect("gaps") {
        assert!(!gap["namespaces"].as_array().expect("namespaces").contains(&inode.into()), "{gap:#}");
    }
}

fn a_parent_is_held() {
    let held = Held::start(&["nested-user"]);
    let (outer, inner) = (held.number(0), held.number(1));
    let document = ls_json(&["-t", "user"]);
    let found = namespace(&document, inner);
    assert_eq!((found["parent"].as_u64(), found["owner"].as_u64()), (Some(outer), Some(outer)));
    let parent = namespace(&document, outer);
    assert_eq!((&parent["nprocs"], &parent["pid"]), (&0.into(), &().into()));
    let way = held_by(parent, "descendant");
    assert_eq!((way["count"].as_u64(), way["ns"].as_u64()), (Some(1), Some(inner)));
    assert_eq!(parent["owner_uid"], nix::unistd::geteuid().as_raw());
    let tree = run(&["ls", "-t", "user", "--tree", "-o", "NS"]);
    let lines: Vec<&str> = tree.lines().collect();
    let place = lines.iter().position(|line| line.ends_with(&outer.to_string())).expect("the outer one");
    assert!(lines[place + 1].ends_with(&format!("└─{inner}")), "{tree}");
}

/// A name that ip-netns(8) has given, until the end of the test.
struct Netns(String);

impl Netns {
    fn add() -> Netns {
        let name = format!("nsx-test-{}", std::process::id());
        Netns::ip("add", &name);
        Netns(name)
    }

    fn ip(verb: &str, name: &str) {
        let status = std::process::Command::new("ip").args(["netns", verb, name]).status().expect("ip");
        assert!(status.success(), "ip netns {verb} {name}");
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let path = format!("/run/netns/{}", self.0);
        if std::path::Path::new(&path).exists() {
            Netns::ip("del", &self.0);
        }
    }
}

fn ip_netns() {
    use std::os::unix::fs::MetadataExt;
    let name = Netns::add();
    let path = format!("/run/netns/{}", name.0);
    let inode = std::fs::metadata(&path).expect("the name").ino();
    let document = ls_json(&["-t", "net"]);
    let found = namespace(&document, inode);
    assert_eq!(held_by(found, "bind_mount")["path"], path);
    for target in [format!("netns:{}", name.0), path.clone(), inode.to_string(), format!("net:[{inode}]")] {
        let table = run(&["ls", &target]);
        assert!(table.contains(&format!("bind mount {path}")), "{target}: {table}");
    }
    assert!(run(&["ls", "-t", "net", "-o", "NS,NSFS,NETNSID"]).contains(&format!("{inode}  {path}")));

    let open = std::fs::File::open(&path).expect("the name");
    Netns::ip("del", &name.0);
    let document = ls_json(&["-t", "net"]);
    let found = namespace(&document, inode);
    assert_eq!(held_by(found, "fd")["pid"], std::process::id());
    assert_eq!(found["bind_mounts"], serde_json::json!([]));
    drop(open);
}

fn only_listns() {
    let held = Held::start(&["in-flight"]);
    let document = ls_json(&["-t", "uts"]);
    let found = namespace(&document, held.number(0));
    assert_eq!(held_by(found, "kernel")["count"], 1);
    assert!(found["owner"].is_u64() && found["id"].is_u64(), "{found:#}");
    assert_eq!(found["held_by"].as_array().map(Vec::len), Some(1));
}

fn open_tree() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let held = Held::start(&["open-tree", folder.path().to_str().expect("UTF-8")]);
    let (fd, mnt, uts) = (held.number(0), held.number(1), held.number(2));
    let document = ls_json(&[]);
    let tree = namespace(&document, mnt);
    let way = held_by(tree, "fd");
    assert_eq!((way["pid"].as_u64(), way["fd"].as_u64()), (Some(held.pid().into()), Some(fd)));
    assert_eq!((&tree["nprocs"], &tree["nthreads"]), (&0.into(), &0.into()));
    let found = namespace(&document, uts);
    let way = held_by(found, "bind_mount");
    assert_eq!((way["mnt_ns"].as_u64(), way["path"].as_str()), (Some(mnt), Some("/uts")));
    assert!(found["owner"].is_u64(), "it was opened: {found:#}");
}

/// In the table of a thread that has unshared it, and at numbers that are beyond the first words of a table.
fn descriptors_of_a_thread() {
    for high in ["5", "100", "1000"] {
        let held = Held::start(&["fds-of-thread", high]);
        let (tid, fd, inode) = (held.number(0), held.number(1), held.number(2));
        let document = ls_json(&[]);
        let found = namespace(&document, inode);
        let way = held_by(found, "fd");
        assert_eq!((way["tid"].as_u64(), way["fd"].as_u64()), (Some(tid), Some(fd)), "{way:#}");
        assert_eq!(way["pid"], held.pid());
        assert_eq!(way["count"], 1, "two threads share the table, and it is looked at once: {way:#}");
        assert!(found["owner"].is_u64(), "it was opened: {found:#}");
    }
}

fn threads_outlive_their_leader() {
    let held = Held::start(&["leader-exits", "uts"]);
    let (tid, inode) = (held.number(0), held.number(1));
    let document = ls_json(&["--members"]);
    for document in [&document, &ls_json(&["-t", "uts"])] {
        // Also where none of the kinds is read that the leader still has.
        assert_eq!(held_by(namespace(document, inode), "thread")["tid"], tid);
    }
    // The zombie leader is still a member of its user and pid namespaces, and of no other.
    let own_net = namespace(&document, inode_of(std::process::id(), "net"));
    assert!(!own_net["members"].as_array().expect("members").contains(&held.pid().into()));
    assert!(own_net["holders"].as_array().expect("holders").iter().any(|holder| holder["tid"] == tid));
    let own_user = namespace(&document, inode_of(held.pid(), "user"));
    assert!(own_user["members"].as_array().expect("members").contains(&held.pid().into()));
}

fn a_zombie_is_no_gap() {
    let held = Held::start(&["zombie"]);
    let document = ls_json(&[]);
    for gap in document["gaps"].as_array().expect("gaps") {
        assert!(!gap["pids"].as_array().expect("pids").contains(&held.number(0).into()), "{gap:#}");
    }
}

fn own_are_there() {
    let document = ls_json(&[]);
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let found = namespace(&document, inode_of(std::process::id(), kind));
        assert_eq!(found["type"], kind);
        assert!(found["nprocs"].as_u64().is_some_and(|processes| processes >= 2), "this test and nsx: {found:#}");
    }
    assert_eq!(document["pid_ns"], inode_of(std::process::id(), "pid"));
}

fn ids() {
    let document = ls_json(&[]);
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let found = namespace(&document, inode_of(std::process::id(), kind));
        assert!(found["id"].is_u64() || found["id"].is_null() && linux_before(6, 18), "{found:#}");
    }
}

fn members_are_listed() {
    let held = Held::start(&["process", "uts"]);
    let inode = held.words[1].clone();
    let table = run(&["ls", &inode, "-o", "PID,HELD,COMMAND"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["PID", "HELD", "COMMAND"]);
    assert_eq!(lines.len(), 3, "{table}");
    assert_eq!(lines[1][..2], [held.pid().to_string().as_str(), "process"]);
    assert!(table.contains("fixture process uts"), "{table}");
    let document = ls_json(&[&inode]);
    let found = &document["namespaces"][0];
    assert_eq!(document["namespaces"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["members"].as_array().map(Vec::len), Some(2), "an argument implies --members");
}

fn nothing_is_changed() {
    let calls = tempfile::NamedTempFile::new().expect("a file");
    let output = std::process::Command::new("strace")
        .args(["-f", "-e", "trace=%process,setns,unshare,mount,umount2,move_mount,kill,ptrace", "-o"])
        .arg(calls.path())
        .arg(super::harness::nsx_path())
        .args(["ls", "--json"])
        .output()
        .expect("strace");
    assert!(output.status.success());
    let calls = std::fs::read_to_string(calls.path()).expect("calls");
    let mut children = Vec::new();
    for line in calls.lines() {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        // Calls that this strace has no name for are those of listmount and its kin.
        let harmless =
            ["execve(", "syscall_0x", "exit", "+++", "---", "wait4", "<... wait4", "rt_sig", "<... exit", "<... kill"];
        let thread = call.starts_with("clone") && call.contains("CLONE_THREAD") || call.starts_with("<... clone");
        // One process on the side may be made to ask sockets, and is ended.
        let child = (call.starts_with("clone") || call.starts_with("fork")) && !thread;
        if child {
            children.push(call.rsplit(' ').next().unwrap_or_default().to_owned());
        }
        let ended = children.iter().any(|child| call.starts_with(&format!("kill({child}, SIGKILL")));
        let expected = child && children.len() == 1 || ended || thread;
        assert!(
            expected || harmless.iter().any(|name| call.starts_with(name)),
            "nsx looks and touches nothing: {line}"
        );
    }
}
