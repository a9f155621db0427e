//! What targets mean, and what is said of those that mean nothing.

use std::os::fd::AsRawFd;

use super::harness::{Module, Need, Place, fails, held::Held, inode_of, linux_before, ls_json, run, test};

pub fn module() -> Module {
    let tests = vec![
        test("targets::a_process_by_all_its_names", &[], process),
        test("targets::a_pid_with_its_inode", &[], pid_and_inode),
        test("targets::a_thread", &[], thread),
        test("targets::a_namespace_by_all_its_names", &[], namespace),
        test("targets::missing_ones_are_errors", &[], missing),
        test("targets::a_missing_process_is_an_error_before_any_scan", &[Need::Tool("strace")], before_any_scan),
        test("targets::a_process_that_may_not_be_read", &[Need::Root], refused),
        test("targets::namespaces_and_processes_do_not_mix", &[], mixed),
    ];
    Module { name: "targets", places: &[Place::Vm], tests }
}

fn own_namespaces() -> Vec<u64> {
    let kinds = std::fs::read_dir("/proc/self/ns").expect("a folder");
    let mut own: Vec<u64> = kinds
        .filter_map(|kind| kind.ok()?.file_name().into_string().ok())
        .filter(|kind| !kind.ends_with("_for_children"))
        .map(|kind| inode_of(std::process::id(), &kind))
        .collect();
    own.sort_unstable();
    own
}

fn listed(arguments: &[&str]) -> Vec<u64> {
    ls_json(arguments)["namespaces"].as_array().expect("all").iter().filter_map(|one| one["ns"].as_u64()).collect()
}

fn process() {
    let own = std::process::id().to_string();
    for arguments in
        [&["-p", &own][..], &["-p", "self"], &[&own], &["self"], &["--task", &own], &["-p", &own, "-p", "self"]]
    {
        assert_eq!(listed(arguments), own_namespaces(), "{arguments:?}");
    }
    let both = listed(&["-p", &own, "-t", "net"]);
    assert_eq!(both, [inode_of(std::process::id(), "net")]);
}

fn pid_and_inode() {
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::os::unix::fs::MetadataExt;
    let own = std::process::id();
    // SAFETY: the call takes two numbers, and what it returns is a descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(nix::libc::syscall(nix::libc::SYS_pidfd_open, own, 0) as i32) };
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", pidfd.as_raw_fd())).expect("a pidfd").ino();
    if nix::sys::statfs::fstatfs(&pidfd).expect("statfs").filesystem_type().0 != 0x5049_4446 {
        assert!(linux_before(6, 9), "pidfs is missing");
        let error = fails(&["ls", "-p", &format!("{own}:{inode}")], 1);
        assert!(error.contains("pidfds have no inodes of their own"), "{error}");
        return;
    }
    assert_eq!(listed(&["-p", &format!("{own}:{inode}")]), own_namespaces());
    let error = fails(&["ls", "-p", &format!("{own}:1")], 1);
    assert!(
        error.contains(&format!("process {own} is another one by now: its pidfd has inode {inode}, not 1")),
        "{error}"
    );
    assert!(error.contains(&format!("hint: the one that was meant has exited; nsx ls {own}")), "{error}");
}

fn thread() {
    let held = Held::start(&["thread", "uts"]);
    let tid = held.number(0).to_string();
    assert_eq!(listed(&["-p", &tid, "-t", "uts"]), [held.number(1)]);
    assert_eq!(listed(&["-p", &held.pid().to_string(), "-t", "uts"]), [inode_of(std::process::id(), "uts")]);
}

fn namespace() {
    let inode = inode_of(std::process::id(), "net");
    for target in [inode.to_string(), format!("net:[{inode}]"), "/proc/self/ns/net".to_owned()] {
        let document = ls_json(&[&target]);
        assert_eq!(document["namespaces"].as_array().map(Vec::len), Some(1), "{target}");
        assert_eq!(document["namespaces"][0]["ns"], inode, "{target}");
    }
    let uts = inode_of(std::process::id(), "uts");
    // It exists, whatever kinds are to be shown.
    assert_eq!(listed(&["-t", "net", &uts.to_string()]), [0; 0]);
    assert_eq!(listed(&["--tree=parent", &uts.to_string()]), [uts]);
    let table = run(&["ls", &inode.to_string(), &uts.to_string()]);
    let heading = table.lines().next().expect("a heading");
    assert_eq!(
        heading.split_whitespace().collect::<Vec<_>>(),
        ["NS", "TYPE", "PID", "PPID", "USER", "HELD", "COMMAND"]
    );
}

fn missing() {
    for (arguments, error, hint) in [
        (
            &["-p", "4194305"][..],
            "no process 4194305: openat(/proc/4194305): No such file or directory (ENOENT)",
            "ps -e",
        ),
        (&["4194305"], "no process and no namespace 4194305", "ps -e"),
        (&["0"], "no process and no namespace 0", "ps -e"),
        (&["net:[4294967295]"], "no namespace net:[4294967295]: not held by any process", ""),
        (&["4294967295"], "no namespace 4294967295: not held by any process", ""),
        (
            &["netns:nsx-test-none"],
            "cannot open /run/netns/nsx-test-none: openat(/run/netns/nsx-test-none)",
            "ip netns list",
        ),
        (
            &["./nsx-test-none"],
            "cannot open ./nsx-test-none: openat(./nsx-test-none): No such file or directory (ENOENT)",
            "",
        ),
        (&["/dev/null"], "/dev/null is no namespace: it is not a file on nsfs", "findmnt -T /dev/null"),
        (&["-p", "net:[4026531833]"], "net:[4026531833] is a namespace, not a process", "nsx ls 'net:[4026531833]'"),
    ] {
        let all: Vec<&str> = ["ls"].into_iter().chain(arguments.iter().copied()).collect();
        let said = fails(&all, 1);
        assert!(said.starts_with(&format!("nsx: {error}")), "{arguments:?}: {said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("nsx: ")).count(), 1, "{arguments:?}: {said}");
        assert!(said.contains(hint), "{arguments:?}: {said}");
    }
    // A namespace of another kind than was named is not that namespace.
    let inode = inode_of(std::process::id(), "net");
    assert!(fails(&["ls", &format!("uts:[{inode}]")], 1).contains(&format!("no namespace uts:[{inode}]")));
    for text in ["", "1:x", "rkt:web", "netns:../x"] {
        assert!(fails(&["ls", text], 2).contains("is none of: PID, PID:INODE, self, NAME or ID"), "{text}");
    }
    for text in ["nsx-test-none", "docker:nsx-test-none", "nsx-test-none/7", "pod:nsx-test/none", "12ab"] {
        let said = fails(&["ls", text], 1);
        assert!(said.starts_with(&format!("nsx: no container {}", text.trim_end_matches("/7"))), "{text}: {said}");
        assert!(said.contains("\nhint: nsx ps shows the containers"), "{text}: {said}");
    }
    let said = fails(&["ls", "unit:nsx-test-none.service"], 1);
    assert!(said.contains("no cgroup of a unit nsx-test-none.service") && said.contains("hint: systemctl"), "{said}");
}

fn before_any_scan() {
    let calls = tempfile::NamedTempFile::new().expect("a file");
    let status = std::process::Command::new("strace")
        .args(["-f", "-e", "trace=getdents64,openat", "-o"])
        .arg(calls.path())
        .arg(super::harness::nsx_path())
        .args(["ls", "-p", "4194305"])
        .stderr(std::process::Stdio::null())
        .status()
        .expect("strace");
    assert_eq!(status.code(), Some(1));
    let calls = std::fs::read_to_string(calls.path()).expect("calls");
    assert!(!calls.contains("getdents64"), "{calls}");
}

fn refused() {
    use std::os::unix::process::CommandExt;
    let root_process = Held::start(&["process", "uts"]);
    let pid = root_process.pid().to_string();
    let mut command = super::harness::nsx(&["ls", "-p", &pid]);
    let done = super::harness::output(command.uid(65534).gid(65534));
    let error = super::harness::text(&done.stderr);
    assert_eq!(done.status.code(), Some(1));
    assert!(
        error.contains(&format!("cannot read the namespaces of process {pid}: readlinkat(/proc/{pid}/ns/")),
        "{error}"
    );
    assert!(error.contains("Permission denied (EACCES)\nhint: run as root"), "{error}");
}

fn mixed() {
    let inode = inode_of(std::process::id(), "net").to_string();
    let error = fails(&["ls", &inode, "self"], 2);
    assert!(error.contains("cannot list the members of namespaces and the namespaces of processes"), "{error}");
}
