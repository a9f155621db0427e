//! Each way of keeping a namespace alive, made for real and found by nsx.

use libtest_mimic::Trial;

use super::harness::{Need, held::Held, held_by, inode_of, ls_json, namespace, run, test};

pub fn tests() -> Vec<Trial> {
    let root = &[Need::Root];
    vec![
        test("live::a_process_holds_each_kind", root, a_process_holds_each_kind),
        test("live::a_thread_holds_what_its_process_does_not", root, a_thread_holds),
        test("live::time_for_children_is_held_before_there_are_any", root, for_children),
        test("live::a_descriptor_holds", root, a_descriptor_holds),
        test("live::a_socket_holds", root, a_socket_holds),
        test("live::a_bind_mount_in_another_mount_namespace_holds", root, a_bind_mount_holds),
        test("live::a_bind_mount_holds_where_no_process_is", root, a_bind_mount_without_process),
        test("live::a_parent_is_held_by_its_child", root, a_parent_is_held),
        test("live::ip_netns_add_and_delete_while_open", &[Need::Root, Need::Tool("ip")], ip_netns),
        test("live::what_only_listns_names_is_held_by_the_kernel", root, only_listns),
        test("live::threads_outlive_their_leader", root, threads_outlive_their_leader),
        test("live::a_zombie_is_no_gap", root, a_zombie_is_no_gap),
        test("live::the_callers_own_are_all_there", &[], own_are_there),
        test("live::ids_are_given_where_the_kernel_has_them", root, ids),
        test("live::members_are_listed", root, members_are_listed),
        test("live::looking_changes_nothing", &[Need::Tool("strace")], nothing_is_changed),
    ]
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
    // Only listmount(2) can look into a mount namespace that nobody is in (Linux 6.11); there is a gap where it cannot.
    let gaps = document["gaps"].as_array().expect("an array");
    let unseen = gaps.iter().any(|gap| {
        gap["what"] == "bind_mounts" && gap["namespaces"].as_array().is_some_and(|all| all.contains(&mnt_ns.into()))
    });
    if !unseen {
        let found = namespace(&document, inode);
        assert_eq!(held_by(found, "bind_mount")["mnt_ns"], mnt_ns);
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
    assert_eq!(parent["owner_uid"], 0);
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
    const SYS_LISTNS: i64 = 470;
    // SAFETY: the kernel refuses the null pointer, or the call.
    let answer = unsafe { nix::libc::syscall(SYS_LISTNS, std::ptr::null::<u8>(), std::ptr::null::<u8>(), 0, 0) };
    let absent = answer == -1 && nix::errno::Errno::last() == nix::errno::Errno::ENOSYS;
    let held = Held::start(&["in-flight"]);
    let document = ls_json(&["-t", "uts"]);
    if absent {
        // Linux before 6.19: there is no way to it.
        let found = document["namespaces"].as_array().expect("all").iter().any(|one| one["ns"] == held.number(0));
        assert!(!found);
        return;
    }
    let found = namespace(&document, held.number(0));
    assert_eq!(held_by(found, "kernel")["count"], 1);
    assert!(found["owner"].is_u64() && found["id"].is_u64(), "{found:#}");
    assert_eq!(found["held_by"].as_array().map(Vec::len), Some(1));
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
    let own_user = namespace(&document, inode_of(std::process::id(), "user"));
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
    let ids: Vec<_> = document["namespaces"].as_array().expect("namespaces").iter().map(|found| &found["id"]).collect();
    // All or none: the kernel has them (Linux 6.18) or it does not.
    assert!(ids.iter().all(|id| id.is_u64()) || ids.iter().all(|id| id.is_null()), "{ids:?}");
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
        let harmless = ["execve(", "syscall_0x", "exit", "+++", "---", "wait4", "<... wait4", "rt_sig", "<... exit"];
        let thread = call.starts_with("clone") && call.contains("CLONE_THREAD") || call.starts_with("<... clone");
        // One process on the side may be made to ask sockets, and is ended.
        let child = (call.starts_with("clone") || call.starts_with("fork")) && !thread;
        if child {
            children.push(call.rsplit(' ').next().unwrap_or_default().to_owned());
        }
        let ended = children.iter().any(|child| call.starts_with(&format!("kill({child}, SIGKILL)")));
        let expected = child && children.len() == 1 || ended || thread;
        assert!(
            expected || harmless.iter().any(|name| call.starts_with(name)),
            "nsx looks and touches nothing: {line}"
        );
    }
}
