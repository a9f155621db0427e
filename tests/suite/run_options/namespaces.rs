//! Namespaces: which are the caller's, which are somebody else's, and what is in those that are new. See namespaces(7).

use super::super::harness::held::Held;
use super::super::harness::sandbox::Detached;
use super::super::harness::{Need, Test, inode_of, test, text};
use super::{as_user_after, is_root, refused, said, sh};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("run_options::a_kind_that_is_shared_is_the_callers_and_no_other", &[], share),
        test("run_options::the_network_of_a_process_is_entered", &[Need::Root], net),
        test("run_options::the_network_of_a_sandbox_is_entered", &[Need::Root], net_of_sandbox),
        test("run_options::the_network_of_root_is_refused", &[Need::Root, Need::Tool("setpriv")], net_of_root),
        test("run_options::loopback_is_up", &[], loopback),
        test("run_options::clocks_are_ahead_or_behind", &[], clocks),
        test("run_options::ids_are_mapped_as_asked_for", &[Need::Root], ids),
        test("run_options::the_callers_ids_are_kept", &[], kept),
        test("run_options::who_has_no_other_ids_is_told_in_a_line", &[Need::Root], note),
        test("run_options::the_host_name_is_set", &[], hostname),
    ]
}

const KINDS: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

fn share() {
    let script = format!("for kind in {}; do readlink /proc/self/ns/$kind; done", KINDS.join(" "));
    let own = KINDS.map(|kind| std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace"));
    for shared in ["", "cgroup", "ipc", "net", "pid", "time", "uts", "ipc,uts", "cgroup,ipc,net,pid,time,uts"] {
        let option = format!("--share={shared}");
        let options = if shared.is_empty() { vec![] } else { vec![option.as_str()] };
        let seen = said(&options, &script);
        let seen: Vec<&str> = seen.lines().collect();
        assert_eq!(seen.len(), KINDS.len(), "{shared}: {seen:?}");
        for ((kind, own), seen) in KINDS.iter().zip(&own).zip(seen) {
            let is_shared = shared.split(',').any(|shared| shared == *kind);
            assert_eq!(own.to_str() == Some(seen), is_shared, "--share {shared}: {kind} is {seen}");
        }
    }
}

fn net() {
    let held = Held::start(&["process", "net"]);
    let (pid, inode) = (held.number(0), held.number(1));
    for target in [pid.to_string(), format!("/proc/{pid}/ns/net"), format!("net:[{inode}]")] {
        let seen = said(&["--net", &target], "readlink /proc/self/ns/net");
        assert_eq!(seen, format!("net:[{inode}]\n"), "{target}");
    }
    // The others are its own all the same.
    let own = std::fs::read_link("/proc/self/ns/ipc").expect("a namespace");
    assert_ne!(said(&["--net", &pid.to_string()], "readlink /proc/self/ns/ipc").trim(), own.to_str().expect("UTF-8"));
}

fn net_of_sandbox() {
    let other = Detached::start(&[], &["sleep", "1000"]);
    let inode = inode_of(other.init(), "net");
    assert_ne!(inode, inode_of(std::process::id(), "net"));
    let seen = said(&[&format!("--net=nsx:{}", other.name)], "readlink /proc/self/ns/net");
    assert_eq!(seen, format!("net:[{inode}]\n"));
    let done = sh(&["--net=nsx:test-none"], "echo unexpected");
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(125), ""));
    assert!(text(&done.stderr).contains("no sandbox"), "{}", text(&done.stderr));
}

fn net_of_root() {
    let held = Held::start(&["process", "net"]);
    let pid = held.number(0).to_string();
    let (error, hint) = refused(&as_user_after(":", &["--net", &pid, "echo", "unexpected"]));
    assert!(error.contains(&format!("process {pid}")) && error.ends_with("(EACCES)"), "{error}");
    assert_eq!(hint, "hint: run as root to see those of other users");
    // Who has been given a descriptor of it may open it, and still not enter.
    let open = format!("exec 9</proc/{pid}/ns/net");
    let words = ["--keep-fd=9", "--net=/proc/self/fd/9", "echo", "unexpected"];
    let (error, hint) = refused(&as_user_after(&open, &words));
    assert!(error.starts_with("nsx: cannot enter the network namespace: setns("), "{error}");
    assert_eq!(
        hint,
        "hint: it takes capabilities where the network is: nsx enter -t TARGET COMMAND gets them in a sandbox of yours; else run as root"
    );
}

fn loopback() {
    const IFF_UP: u32 = 1;
    let script = "ls /sys/class/net; cat /sys/class/net/lo/flags";
    for options in [&[][..], &["--net=none"]] {
        let seen = said(options, script);
        let [device, flags] = seen.lines().collect::<Vec<_>>()[..] else { panic!("more than loopback: {seen}") };
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).expect("flags");
        assert!(device == "lo" && flags & IFF_UP == IFF_UP, "{options:?}: {seen}");
    }
}

fn clocks() {
    for (options, monotonic, boottime) in [
        (&[][..], "0 0", "0 0"),
        (&["--time-offset=monotonic=1d"], "86400 0", "0 0"),
        (&["--time-offset=monotonic=-1"], "-1 0", "0 0"),
        (&["--time-offset=boottime=2m"], "0 0", "120 0"),
        (&["--time-offset=boottime=-1s"], "0 0", "-1 0"),
        (&["--time-offset=+1.5s"], "1 500000000", "1 500000000"),
        // The kernel wants nanoseconds that are not negative.
        (&["--time-offset=-500ms"], "-1 500000000", "-1 500000000"),
        (&["--time-offset=monotonic=1h", "--time-offset=boottime=-1"], "3600 0", "-1 0"),
    ] {
        let seen = said(options, "while read clock offset; do echo $clock $offset; done </proc/self/timens_offsets");
        assert_eq!(seen, format!("monotonic {monotonic}\nboottime {boottime}\n"), "{options:?}");
    }
}

/// The fields of a map with one space between them, `;` between the lines.
const MAPS: &str = "for map in uid gid; do while read line; do echo $line; done </proc/self/${map}_map; done";

fn ids() {
    for (options, maps) in [
        (&["--userns=map=0:200000:10"][..], "0 200000 10\n0 200000 10\n"),
        (&["--userns=map=0:200000:1,5:200005:2"], "0 200000 1\n5 200005 2\n0 200000 1\n5 200005 2\n"),
        (&["--userns=map=0:200000:10", "--gid-map=0:300000:20"], "0 200000 10\n0 300000 20\n"),
    ] {
        assert_eq!(said(options, MAPS), maps, "{options:?}");
    }
    for (options, expected) in [
        (&["--user=1000:1001"][..], "1000 1001 1001\n"),
        (&["--user=1000"], "1000 1000 1000\n"),
        (&["--user=nobody"], "65534 65534 65534\n"),
        (&["--user=nobody:0"], "65534 0 0\n"),
        (&["--user=root"], "0 0 0\n"),
        (&["--userns=host", "--user=1000:1001"], "1000 1001 1001\n"),
    ] {
        assert_eq!(said(options, "echo $(id -u) $(id -g) $(id -G)"), expected, "{options:?}");
    }
    let own = std::fs::read_link("/proc/self/ns/user").expect("a namespace");
    let seen = said(&["--userns=host"], "readlink /proc/self/ns/user");
    assert_eq!(seen.trim(), own.to_str().expect("UTF-8"));
    let (error, hint) = refused(&sh(&["--userns=map=0:200000:10", "--user=10"], "echo unexpected"));
    assert!(error.contains("cannot run as user 10: ") && hint.contains("--userns map=INSIDE:OUTSIDE:COUNT"), "{error}");
}

fn kept() {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let seen = said(&["--userns=keep"], &format!("id -u; id -g; {MAPS}"));
    // How the caller's ids look in the caller's own namespace is up to that, so only those inside are known.
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[..2], [uid.to_string(), gid.to_string()], "{seen}");
    assert!(lines.len() == 4 && lines[2] == format!("{uid} {uid} 1") && lines[3] == format!("{gid} {gid} 1"), "{seen}");
}

fn note() {
    use std::os::unix::process::CommandExt;
    // Nobody is called so, and so nobody has given it ids.
    const USER: u32 = 54_321;
    for file in ["/etc/subuid", "/etc/subgid"] {
        let lines = std::fs::read_to_string(file).unwrap_or_default();
        assert!(lines.lines().all(|line| !line.starts_with(&format!("{USER}:"))), "{file}: {lines}");
    }
    assert!(is_root());
    let mut command = super::super::harness::nsx(&["run", "sh", "-c", "id -u; exit 4"]);
    let done = super::super::harness::output(command.uid(USER).gid(USER).current_dir("/"));
    let said = text(&done.stderr);
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(4), "0\n"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("nsx: note: only id 0 exists inside") && said.contains("/etc/subuid"), "{said}");
}

fn hostname() {
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    for (options, expected) in [
        (&["--hostname=test-box"][..], "test-box\n"),
        (&["--name=test-hostname"], "test-hostname\n"),
        (&["--name=test-hostname-2", "--hostname=test-box"], "test-box\n"),
        (&[], "nsx\n"),
        (&["--share=uts"], &own),
    ] {
        assert_eq!(said(options, "cat /proc/sys/kernel/hostname"), expected, "{options:?}");
    }
}
