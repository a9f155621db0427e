//! nsx enter beside nsenter(1), for what is no namespace: ids, capabilities, folders, environment, cgroup, and other ways to name things.
//!
//! The namespaces themselves are in `nsenter.rs`. What an older nsenter cannot do is asked of nsx alone. See user_namespaces(7),
//! credentials(7), cgroups(7).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::enter::{KINDS, Target, just_these, namespace_of, nsenter_since, ours, same, same_since, theirs};
use super::harness::{Module, Need, Place, held::Held, is_cgroup2, test};

const NSENTER: &[Need] = &[Need::Tool("nsenter")];
const ROOT: &[Need] = &[Need::Tool("nsenter"), Need::Root];
const CGROUP2: &[Need] = &[Need::Tool("nsenter"), Need::Root, Need::Cgroup2];
const PIDFS: &[Need] = &[Need::Tool("nsenter"), Need::Root, Need::Linux(6, 9, "inodes of pidfds")];

pub fn module() -> Module {
    let tests = vec![
        test("nsenter_process::the_root_directory", ROOT, root_directory),
        test("nsenter_process::the_working_directory", ROOT, working_directory),
        test("nsenter_process::a_working_directory_that_is_kept", ROOT, kept_directory),
        test("nsenter_process::uid_and_gid", ROOT, ids),
        test("nsenter_process::the_environment", ROOT, environment),
        test("nsenter_process::a_user_namespace", NSENTER, user),
        test("nsenter_process::a_user_namespace_with_other_ids", ROOT, mapped_user),
        test("nsenter_process::a_user_namespace_that_maps_nobody", ROOT, unmapped_user),
        test("nsenter_process::capabilities_are_kept", ROOT, keep_capabilities),
        test("nsenter_process::the_parent_of_a_user_namespace", ROOT, user_parent),
        test("nsenter_process::the_namespace_of_a_socket", ROOT, net_socket),
        test("nsenter_process::a_pid_with_its_inode", PIDFS, pid_and_inode),
        test("nsenter_process::the_cgroup", CGROUP2, join_cgroup),
        test("nsenter_process::no_option_joins_the_cgroup", ROOT, joins_by_default),
    ];
    Module { name: "nsenter_process", places: &[Place::Vm], tests }
}

/// Starts a target that stands in a folder.
fn target_in(folder: &str, role: &[&str]) -> Target {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    let held = Held::start_command(command.arg("fixture").args(role).current_dir(folder));
    let pid = held.number(0).to_string();
    Target(held, pid)
}

/// What a shell shows that has `/usr` as its root.
const INSIDE_USR: [&str; 3] = ["/bin/sh", "-c", "test ! -e /usr && test -e /bin && pwd && echo /*"];

fn root_directory() {
    let target = Target::start(&["enter-target", "net,mnt", "root=/usr"]);
    for options in [
        &["-n", "-r"][..],
        &["-n", "--root"],
        &["-n", "--root=/usr"],
        &["-n", "--root=/usr", "--wd=/usr/bin"],
        &["-m", "-r", "-w"],
        &["-m", "--root=/usr", "--wdns=/bin"],
    ] {
        let seen = same(&target, &[&["-t", "PID"], options, &INSIDE_USR].concat());
        assert!(seen.contains("/bin "), "{options:?}: {seen}");
    }
    // All that isolates the target includes its root directory, of which nsenter -a knows nothing.
    // With -m and -r nsenter is left where it cannot say where it is; nsx goes to / there.
    for options in [&["-t", "PID"][..], &["-t", "PID", "-a"], &["-t", "PID", "-m", "-r"]] {
        let (seen, error) = ours(&target, &[options, &INSIDE_USR].concat(), Path::new("/"));
        assert_eq!(seen.code, Some(0), "{options:?}: {error}");
    }
    // And some of the namespaces do not.
    let seen = same(&target, &["-t", "PID", "-n", "sh", "-c", "echo /*"]);
    assert!(seen.contains(" /usr"), "{seen}");
}

fn working_directory() {
    let other = target_in("/tmp", &["enter-target", KINDS]);
    // A folder of another mnt namespace has no path in the caller's, so nsx has no -w for that.
    let target = target_in("/tmp", &["enter-target", "net"]);
    for (options, folder) in [
        (&["-n"][..], "/usr"),
        (&["-n", "-w"], "/tmp"),
        (&["-n", "--wd"], "/tmp"),
        (&["-n", "--wd=/dev"], "/dev"),
        (&["-n", "-w=/dev"], "/dev"),
        (&["-n", "--wdns=/dev"], "/dev"),
        (&["-m", "--wd=/dev"], "/dev"),
        (&["-m", "--wdns=/dev"], "/dev"),
        (&["-m", "-w"], "/tmp"),
        (&["-a", "-w"], "/tmp"),
    ] {
        // Older versions take `-w=DIR` for a folder whose name begins with the sign.
        let target = if options.contains(&"-m") || options.contains(&"-a") { &other } else { &target };
        let seen = same_since((2, 41), target, &[&["-t", "PID"], options, &["SELF", "cwd"]].concat());
        assert_eq!(seen.trim_end(), folder, "{options:?}");
    }
    for missing in ["--wd=/nsx-test-none", "--wdns=/nsx-test-none", "--root=/nsx-test-none"] {
        let arguments = ["-t", "PID", "-n", missing, "true"];
        let (seen, error) = ours(&target, &arguments, Path::new("/"));
        assert_eq!((seen.code, error.starts_with("nsx: ")), (Some(125), true), "{missing}: {error}");
        assert!(error.contains("ENOENT"), "{missing}: {error}");
        assert_eq!(theirs(&target, &arguments, Path::new("/")).0.code, Some(1), "{missing}");
    }
}

/// With a mnt namespace nsenter goes to `/`; nsx stays where the caller is, if there is such a folder in there.
fn kept_directory() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let hidden = format!("setup=mount -t tmpfs nsx-test '{path}'");
    std::fs::create_dir(folder.path().join("only-outside")).expect("a folder");
    let target = Target::start(&["enter-target", "mnt,uts", &hidden]);
    for options in [&["-t", "PID", "-m"][..], &["-t", "PID"], &["-t", "PID", "-a"]] {
        for (from, to) in
            [(Path::new("/usr"), "/usr"), (folder.path(), path), (&folder.path().join("only-outside"), "/")]
        {
            let (seen, error) = ours(&target, &[options, &["SELF", "cwd"]].concat(), from);
            assert_eq!((seen.code, seen.out.trim_end()), (Some(0), to), "{options:?} from {}: {error}", from.display());
        }
    }
}

fn ids() {
    let target = Target::start(&["enter-target", "net", "uid=1234", "gid=1235"]);
    let outside = Target::start(&["enter-target", "net"]);
    for (options, uid, gid) in [
        (&["-n"][..], 0, 0),
        (&["-n", "-S", "follow", "-G", "follow"], 1234, 1235),
        (&["-n", "--setuid=follow"], 1234, 0),
        (&["-n", "--setgid=follow"], 0, 1235),
        (&["-n", "-S", "77"], 77, 0),
        (&["-n", "-G", "78"], 0, 78),
        (&["-n", "--setuid", "77", "--setgid", "78"], 77, 78),
        (&["-n", "--setuid=0", "--setgid=0"], 0, 0),
    ] {
        let seen = same(&target, &[&["-t", "PID"], options, &["SELF", "ids"]].concat());
        let mut lines = seen.lines();
        assert_eq!(lines.next(), Some(format!("uid {uid} {uid} {uid}").as_str()), "{options:?}");
        assert_eq!(lines.next(), Some(format!("gid {gid} {gid} {gid}").as_str()), "{options:?}");
    }
    // Nobody keeps what was root's by becoming somebody else.
    let seen = same(&outside, &["-t", "PID", "-n", "-S", "77", "-G", "78", "SELF", "capabilities"]);
    assert!(seen.contains("CapEff:\t0000000000000000\n") && seen.contains("CapPrm:\t0000000000000000\n"), "{seen}");
}

fn environment() {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    // Values may hold anything; names may be given twice or be no names.
    let command = command.arg("fixture").args(["enter-target", "net"]);
    let strange = [("PATH", "/usr/bin:/bin"), ("EMPTY", ""), ("LINES", "a\nb"), ("EQUALS", "a=b")];
    let held = Held::start_command(command.env_clear().envs(strange));
    let pid = held.number(0).to_string();
    let target = Target(held, pid);
    for option in ["-e", "--env"] {
        // With the caller's own files nsx keeps the caller's PATH; nsenter looks for programs where the target says.
        let (seen, _) = ours(&target, &["-t", "PID", "-n", option, "SELF", "environment"], Path::new("/"));
        let path = std::env::var("PATH").expect("a path");
        assert_eq!(seen.out, format!("EMPTY=\nEQUALS=a=b\nLINES=a\nb\nPATH={path}\n"));
    }
    // Otherwise it is the caller's, and what nsx needs of its own is not in it.
    let seen = same(&target, &["-t", "PID", "-n", "SELF", "environment"]);
    assert!(!seen.contains("EQUALS=a=b"), "{seen}");
    let seen = same(&target, &["-t", "PID", "-a", "SELF", "environment"]);
    assert!(!seen.contains("EQUALS=a=b"), "{seen}");
}

const IDS_OF_ROOT: &str = "uid 0 0 0\ngid 0 0 0\n";

fn user() {
    let target = Target::start(&["rootless", "enter-target", "net,uts"]);
    let file = format!("--user={}", target.file("user"));
    for (options, kinds) in [
        (&["-t", "PID", "-U"][..], &["user"][..]),
        (&["-t", "PID", "--user"], &["user"]),
        (&[&file], &["user"]),
        (&["-t", "PID", "-U", "-n"], &["user", "net"]),
        (&["-t", "PID", "-n", "-u", "-U"], &["user", "net", "uts"]),
    ] {
        just_these(&same(&target, &[options, &["SELF", "namespaces"]].concat()), &target, kinds);
        let seen = same(&target, &[options, &["SELF", "ids"]].concat());
        assert!(seen.starts_with(IDS_OF_ROOT), "{options:?}: {seen}");
        same(&target, &[options, &["SELF", "capabilities"]].concat());
    }
    // The caller is mapped to root there.
    let seen = same(&target, &["-t", "PID", "-U", "--preserve-credentials", "SELF", "ids"]);
    assert!(seen.starts_with(IDS_OF_ROOT), "{seen}");
}

fn mapped_user() {
    let target = Target::start(&["enter-target", "user,uts", "map=100000", "uid=1234", "gid=1235"]);
    for (options, ids) in [
        (&["-U"][..], IDS_OF_ROOT),
        (&["-U", "-S", "77", "-G", "78"], "uid 77 77 77\ngid 78 78 78\n"),
        (&["-U", "-S", "follow", "-G", "follow"], "uid 1234 1234 1234\ngid 1235 1235 1235\n"),
        (&["-U", "--preserve-credentials"], "uid 65534 65534 65534\ngid 65534 65534 65534\n"),
    ] {
        let seen = same_since((2, 40), &target, &[&["-t", "PID"], options, &["SELF", "ids"]].concat());
        assert!(seen.starts_with(ids), "{options:?}: {seen}");
    }
    // An id that does not exist there is an error, and never another one.
    for wrong in ["--setuid=70000", "--setgid=70000"] {
        let arguments = ["-t", "PID", "-U", wrong, "true"];
        let (seen, error) = ours(&target, &arguments, Path::new("/"));
        assert_eq!((seen.code, error.starts_with("nsx: ")), (Some(125), true), "{wrong}: {error}");
        assert_eq!(theirs(&target, &arguments, Path::new("/")).0.code, Some(1), "{wrong}");
    }
}

/// There is no uid 0 to become in there, so nsenter fails; nsx stays who the caller is.
fn unmapped_user() {
    let target = Target::start(&["enter-target", "user,net"]);
    for options in [&["-U"][..], &["-U", "-n"], &["-a"], &[]] {
        let arguments = [&["-t", "PID"], options, &["SELF", "namespaces", "ids"]].concat();
        let (seen, error) = ours(&target, &arguments, Path::new("/"));
        assert_eq!(seen.code, Some(0), "{options:?}: {error}");
        assert!(seen.out.contains(&target.namespace("user")), "{options:?}: {}", seen.out);
        assert!(seen.out.contains("uid 65534 65534 65534\ngid 65534 65534 65534\n"), "{options:?}: {}", seen.out);
        if !options.is_empty() {
            assert_eq!(theirs(&target, &arguments, Path::new("/")).0.code, Some(1), "{options:?}");
        }
    }
    // Who asks for an id gets that or an error.
    let (seen, error) = ours(&target, &["-t", "PID", "-U", "-S", "0", "true"], Path::new("/"));
    assert_eq!((seen.code, error.starts_with("nsx: ")), (Some(125), true), "{error}");
}

fn keep_capabilities() {
    let target = Target::start(&["enter-target", "user,uts", "map=100000"]);
    // Nobody there is the caller, so they would be gone with the exec. nsenter 2.42 makes no call to keep them, whatever it says, so
    // with the option nsx is alone.
    let start = ["-t", "PID", "-U", "--preserve-credentials"];
    let seen = same_since((2, 40), &target, &[&start[..], &["SELF", "capabilities"]].concat());
    assert!(seen.contains("CapEff:\t0000000000000000"), "{seen}");
    let keep = [&start[..], &["--keep-caps", "SELF", "capabilities"]].concat();
    let (seen, error) = ours(&target, &keep, Path::new("/"));
    assert!(seen.code == Some(0) && !seen.out.contains("CapEff:\t0000000000000000"), "{}{error}", seen.out);
    let seen = same(&target, &["-t", "PID", "-U", "-S", "77", "-G", "78", "SELF", "capabilities"]);
    assert!(seen.contains("CapEff:\t0000000000000000"), "{seen}");
}

fn user_parent() {
    // A user namespace in another one, as bubblewrap makes them.
    let target = Target::start(&["rootless", "enter-target", "user,net"]);
    let outer = namespace_of(&target.0.pid().to_string(), "user");
    for options in [&["-U", "--user-parent"][..], &["-U", "-n", "--user-parent"]] {
        let seen = same_since((2, 40), &target, &[&["-t", "PID"], options, &["SELF", "namespaces"]].concat());
        assert!(seen.lines().any(|line| line == outer), "{options:?}: {seen}");
        let net = if options.contains(&"-n") { target.namespace("net") } else { namespace_of("self", "net") };
        assert!(seen.lines().any(|line| line == net), "{options:?}: {seen}");
    }
    // Without -U it is the owner of what is entered, as nsenter(1) says; nsenter 2.42 goes to the parent of that one.
    let (seen, error) = ours(&target, &["-t", "PID", "-n", "--user-parent", "SELF", "namespaces"], Path::new("/"));
    assert_eq!(seen.code, Some(0), "{error}");
    let kinds = ["user", "net"].map(|kind| target.namespace(kind));
    assert!(kinds.iter().all(|expected| seen.out.lines().any(|line| line == expected)), "{}", seen.out);
}

fn net_socket() {
    let held = Held::start(&["socket"]);
    let (fd, inode, pid) = (held.number(0).to_string(), held.number(1), held.pid().to_string());
    let target = Target(held, pid);
    for option in ["-N", "--net-socket"] {
        let seen = same_since((2, 41), &target, &["-t", "PID", option, &fd, "SELF", "namespaces"]);
        assert!(seen.contains(&format!("net net:[{inode}]")), "{seen}");
        just_these(&seen.replace(&format!("net net:[{inode}]"), &namespace_of("self", "net")), &target, &[]);
    }
    for wrong in ["0", "4000"] {
        let (seen, error) = ours(&target, &["-t", "PID", "-N", wrong, "true"], Path::new("/"));
        assert_eq!((seen.code, error.starts_with("nsx: ")), (Some(125), true), "no socket {wrong}: {error}");
    }
}

fn pid_and_inode() {
    let target = Target::start(&["enter-target", "uts"]);
    let pid: i32 = target.1.parse().expect("a pid");
    // SAFETY: the call takes two numbers, and what it returns is a descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) as i32) };
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", pidfd.as_raw_fd())).expect("a pidfd").ino();
    let named = format!("{pid}:{inode}");
    just_these(&same_since((2, 42), &target, &["-t", &named, "-u", "SELF", "namespaces"]), &target, &["uts"]);
    let another = format!("{pid}:{}", inode + 1);
    let (seen, error) = ours(&target, &["-t", &another, "-u", "true"], Path::new("/"));
    assert_eq!((seen.code, error.contains("is another one by now")), (Some(125), true), "{error}");
    assert!(
        !nsenter_since((2, 42)) || theirs(&target, &["-t", &another, "-u", "true"], Path::new("/")).0.code == Some(1)
    );
}

/// A cgroup of a test's own, with the target in it.
struct Cgroup(PathBuf);

impl Cgroup {
    fn around(target: &Target, below: &str, name: &str) -> Cgroup {
        let path = Path::new(below).join(format!("nsx-test-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a cgroup");
        let cgroup = Cgroup(path);
        std::fs::write(cgroup.0.join("cgroup.procs"), &target.1).expect("moved");
        cgroup
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The target has gone by now, as whoever makes it says.
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn cgroup_of(pid: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup")
}

fn join_cgroup() {
    let (cgroup, target) = in_cgroup("/sys/fs/cgroup", "join");
    for options in [&["-c", "-u"][..], &["-u", "--join-cgroup"], &["-c", "-p", "-m"]] {
        let seen = same_since((2, 40), &target, &[&["-t", "PID"], options, &["SELF", "cgroup"]].concat());
        assert_eq!(seen, cgroup_of(&target.1), "{options:?}");
        assert!(seen.contains("/nsx-test-join-"), "{options:?}: {seen}");
    }
    let seen = same(&target, &["-t", "PID", "-u", "SELF", "cgroup"]);
    assert_eq!(seen, cgroup_of("self"));
    drop(target);
    drop(cgroup);
}

/// Starts a target in a cgroup of its own, which has to be dropped after it.
fn in_cgroup(below: &str, name: &str) -> (Cgroup, Target) {
    let target = Target::start(&["enter-target", "mnt,pid,uts"]);
    (Cgroup::around(&target, below, name), target)
}

fn joins_by_default() {
    // On a hybrid host a hierarchy of version 1 is as good.
    let below = if is_cgroup2("/sys/fs/cgroup") { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    let (cgroup, target) = in_cgroup(below, "default");
    for options in [&["-t", "PID"][..], &["-t", "PID", "-a"]] {
        let (seen, error) = ours(&target, &[options, &["SELF", "cgroup"]].concat(), Path::new("/"));
        assert_eq!((seen.code, seen.out), (Some(0), cgroup_of(&target.1)), "{options:?}: {error}");
        let stays = [options, &["--no-cgroup", "SELF", "cgroup"]].concat();
        let (seen, error) = ours(&target, &stays, Path::new("/"));
        assert_eq!((seen.code, seen.out), (Some(0), cgroup_of("self")), "{options:?} --no-cgroup: {error}");
    }
    drop(target);
    drop(cgroup);
    // What is no cgroup does not become one: there it is a tmpfs.
    let is_hybrid = !is_cgroup2("/sys/fs/cgroup");
    assert!(!is_hybrid || !Path::new("/sys/fs/cgroup/cgroup.procs").exists(), "a file was made");
}
