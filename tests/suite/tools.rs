//! `nsx enter --tools`: the host's programs in a target that has none of its own.
//!
//! The targets are roots on a tmpfs with one static program in them, as an image `FROM scratch` has it. How a failure is told is in
//! `hints.rs`. See pivot_root(2), chroot(2), mount_namespaces(7).

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::harness::{Module, Need, Place, enter::Target, held::Held, nsx, nsx_path, output, test, text};

const ROOT: &[Need] = &[Need::Root, Need::Tool("busybox"), Need::Tool("mount")];
const UNSHARE: &[Need] = &[Need::Root, Need::Tool("busybox"), Need::Tool("mount"), Need::Tool("unshare")];
const USER: &[Need] = &[Need::Tool("busybox"), Need::Tool("mount"), Need::Tool("unshare")];

pub fn module() -> Module {
    let tests = vec![
        test("tools::a_root_by_pivot_root", ROOT, pivoted),
        test("tools::a_root_by_chroot", ROOT, changed),
        test("tools::a_root_without_any_folder", ROOT, bare),
        test("tools::the_targets_root_is_shown_elsewhere", ROOT, elsewhere),
        test("tools::nothing_is_written_to_the_target", ROOT, untouched),
        test("tools::the_hosts_mounts_stay_as_they_are", UNSHARE, host_mounts),
        test("tools::proc_is_the_targets", ROOT, proc),
        test("tools::ids_and_limits_go_with_it", ROOT, other_options),
        test("tools::a_folder_that_is_not_there", ROOT, missing_folder),
        test("tools::a_target_of_a_user_namespace", ROOT, user_namespace),
        test("tools::an_ordinary_user_and_their_sandbox", USER, ordinary_user),
    ];
    Module { name: "tools", places: &[Place::Vm], tests }
}

/// A folder on which the target mounts its root, and a command that does it: one program, and the folders that a runtime makes.
struct Root {
    folder: tempfile::TempDir,
    fill: String,
}

impl Root {
    fn new(folders: &str) -> Root {
        let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let mut fill = format!(
            "cd '{}'; mount -t tmpfs -o mode=755 nsx-test .; cd '{0}'; cp \"$(command -v busybox)\" busybox\n",
            folder.path().display()
        );
        for folder in folders.split_whitespace() {
            fill += &format!("mkdir {folder}\n");
        }
        if folders.contains("proc") {
            fill += "mount -t proc proc proc\n";
        }
        Root { folder, fill }
    }

    fn path(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// A target with this root, as container runtimes make it: the host's mounts are gone.
    fn pivoted(&self) -> Target {
        let setup = format!("setup={}\n./busybox pivot_root . .; /busybox umount -l .; cd /", self.fill);
        Target::start(&["enter-target", "ipc,mnt,net,pid,uts", &setup])
    }

    /// A target with this root, as chroot(8) makes it: the host's mounts are out of its sight.
    fn changed(&self) -> Target {
        let (setup, root) = (format!("setup={}", self.fill), format!("root={}", self.path()));
        Target::start(&["enter-target", "ipc,mnt,net,pid,uts", &setup, &root])
    }
}

/// Runs a shell with the host's programs in the target, and returns what it has said.
fn with_tools(target: &Target, options: &[&str], script: &str) -> String {
    let mut command = nsx(&["enter", "-t", &target.1]);
    let done = output(command.args(options).args(["sh", "-ec", script]).current_dir("/"));
    let error = text(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{options:?}: {error}");
    text(&done.stdout)
}

/// The host's program comes with its own libraries, and finds the target's root in `/mnt`.
fn is_in(target: &Target) {
    // There is no shell in the target: that is what it is for.
    let done = output(&mut nsx(&["enter", "-t", &target.1, "sh", "-c", "true"]));
    assert_eq!(done.status.code(), Some(127), "{}", text(&done.stderr));
    let done = output(&mut nsx(&["enter", "-t", &target.1, "/busybox", "echo", "own"]));
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(0), "own\n"), "{}", text(&done.stderr));

    let seen =
        with_tools(target, &["--tools"], "ls /mnt; test -x /bin/sh; test -e /etc/passwd; /mnt/busybox echo runs; pwd");
    assert!(seen.starts_with("busybox\n") && seen.ends_with("runs\n/\n"), "{seen}");
    // The tree below it is whole, with what is mounted there.
    let all = "for kind in ipc net pid uts; do echo $kind $(readlink /proc/self/ns/$kind); done";
    for line in with_tools(target, &["--tools"], all).lines() {
        let kind = line.split(' ').next().expect("a kind");
        assert_eq!(line, target.namespace(kind));
    }
}

fn pivoted() {
    is_in(&Root::new("proc sys dev").pivoted());
}

fn changed() {
    is_in(&Root::new("proc sys dev").changed());
}

/// Not even `/proc`: the host's would show other processes than there are.
fn bare() {
    let root = Root::new("");
    for target in [root.pivoted(), root.changed()] {
        assert_eq!(with_tools(&target, &["--tools"], "ls /mnt; /mnt/busybox echo runs"), "busybox\nruns\n");
        let seen = with_tools(&target, &["--tools"], "test -d /proc/self; readlink /proc/1/ns/pid");
        assert_eq!(format!("pid {}", seen.trim_end()), target.namespace("pid"));
    }
}

fn elsewhere() {
    let root = Root::new("proc");
    let target = root.pivoted();
    let place = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let path = place.path().display().to_string();
    let option = format!("--tools={path}");
    assert_eq!(
        with_tools(&target, &[&option], &format!("ls '{path}'; ls -d '{path}/proc/1'")),
        format!("busybox\nproc\n{path}/proc/1\n")
    );
    // What was there before is below it, and there again afterwards.
    assert_eq!(std::fs::read_dir(place.path()).expect("a folder").count(), 0);
}

/// All that is in the target's root, with the times at which it was changed.
fn listing(target: &Target) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![Path::new("/proc").join(&target.1).join("root")];
    let device = std::fs::metadata(folders[0].join(".")).expect("a root").dev();
    while let Some(folder) = folders.pop() {
        let data = std::fs::metadata(folder.join(".")).expect("a folder");
        all.push(format!("{} {} {}.{}", folder.display(), data.mode(), data.mtime(), data.mtime_nsec()));
        for entry in std::fs::read_dir(folder.join(".")).expect("a folder").flatten() {
            let data = std::fs::symlink_metadata(entry.path()).expect("an entry");
            let times = (data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec());
            all.push(format!("{} {} {times:?}", entry.path().display(), data.mode()));
            if data.is_dir() && data.dev() == device {
                folders.push(entry.path());
            }
        }
    }
    all.sort();
    all
}

fn untouched() {
    for (folders, count) in [("", 2), ("proc sys dev", 7), ("mnt etc", 6)] {
        let root = Root::new(folders);
        for target in [root.pivoted(), root.changed()] {
            let before = listing(&target);
            assert!(before.len() >= count, "{before:?}");
            for script in ["true", "ls -R /mnt || :", "cat /proc/self/status || :"] {
                with_tools(&target, &["--tools"], script);
            }
            assert_eq!(
                output(&mut nsx(&["enter", "-t", &target.1, "--tools", "nsx-test-none"])).status.code(),
                Some(127)
            );
            assert_eq!(listing(&target), before, "{folders}");
            // Nor has it any more mounts than before.
            let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", target.1)).expect("mounts");
            assert!(!mounts.contains("/mnt/"), "{mounts}");
        }
    }
}

/// Where mounts are shared, as systemd has it, one that is made in a copy shows up in the original, unless that is seen to.
fn host_mounts() {
    let target = Root::new("proc sys dev").pivoted();
    let theirs = || std::fs::read_to_string(format!("/proc/{}/mountinfo", target.1)).expect("mounts");
    let (before, script) = (theirs(), "mount -t tmpfs nsx-test /var; cat /proc/self/mountinfo");
    let host = "before=$(cat /proc/self/mountinfo); echo \"$before\" | grep -q shared:
        \"$@\"; test \"$before\" = \"$(cat /proc/self/mountinfo)\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "shared", "sh", "-ec", host, "sh"]).arg(nsx_path());
    let done = output(command.args(["enter", "-t", &target.1, "--tools", "sh", "-ec", script]));
    let seen = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "the host has other mounts: {}", text(&done.stderr));
    for place in ["/mnt", "/var"] {
        assert!(seen.lines().any(|line| line.split(' ').nth(4) == Some(place)), "{seen}");
    }
    assert_eq!(theirs(), before, "what was mounted there was seen in the target");
}

fn proc() {
    for target in [Root::new("proc").pivoted(), Root::new("proc").changed()] {
        let seen = with_tools(
            &target,
            &["--tools"],
            "echo $$ /proc/[0-9]*; readlink /proc/1/ns/pid; readlink /proc/self/ns/pid",
        );
        let lines: Vec<&str> = seen.lines().collect();
        let (own, processes) = lines[0].split_once(' ').expect("a pid");
        let processes: Vec<&str> = processes.split(' ').collect();
        assert!(processes.contains(&"/proc/1") && processes.contains(&format!("/proc/{own}").as_str()), "{seen}");
        assert!(processes.len() <= 4, "{seen}");
        assert!(lines[1..].iter().all(|line| format!("pid {line}") == target.namespace("pid")), "{seen}");
    }
}

fn other_options() {
    let target = Root::new("proc").pivoted();
    let seen = with_tools(&target, &["--tools", "-S", "1234", "-G", "1235"], "id -u; id -g; ls /mnt/busybox");
    assert_eq!(seen, "1234\n1235\n/mnt/busybox\n");
    let seen = with_tools(&target, &["--tools", "-W", "/mnt/proc"], "pwd");
    assert_eq!(seen, "/mnt/proc\n");
    let seen = with_tools(&target, &["--tools", "--caps=none"], "grep CapEff /proc/self/status");
    assert_eq!(seen, "CapEff:\t0000000000000000\n");
    let done = output(&mut nsx(&["enter", "-t", &target.1, "--tools", "--timeout=0.2", "sleep", "1000"]));
    assert_eq!(done.status.code(), Some(124));
    // The note says where to look.
    assert!(
        text(&done.stderr).starts_with("nsx: note: the target's root directory is at /mnt\n"),
        "{}",
        text(&done.stderr)
    );
}

fn missing_folder() {
    let target = Root::new("proc").pivoted();
    for path in ["/nsx-test-none", "/etc/passwd/none"] {
        let done = output(&mut nsx(&["enter", "-t", &target.1, &format!("--tools={path}"), "true"]));
        let error = text(&done.stderr);
        assert_eq!(done.status.code(), Some(125), "{error}");
        let [.., line, hint] = error.lines().collect::<Vec<_>>()[..] else { panic!("{error}") };
        assert!(
            line.starts_with(&format!("nsx: cannot show the target's root directory at {path}: move_mount(")),
            "{error}"
        );
        assert!(line.contains("ENOENT") || line.contains("ENOTDIR"), "{error}");
        assert_eq!(
            hint,
            format!("hint: the directory has to be there: mkdir {path}, or name another with --tools=DIR")
        );
        // Nothing was made so that it would be there.
        assert!(!Path::new(path).exists());
    }
}

/// Root of the host, and a target that is root in a user namespace only.
fn user_namespace() {
    let root = Root::new("proc sys dev");
    let (setup, place) = (format!("setup={}", root.fill), format!("root={}", root.path()));
    let target = Target::start(&["rootless", "enter-target", "ipc,mnt,net,pid,uts", &setup, &place]);
    let before = listing(&target);
    let seen = with_tools(&target, &["--tools"], "ls /mnt; id -u; readlink /proc/self/ns/user; test -x /bin/sh");
    let expected = format!("busybox\ndev\nproc\nsys\n0\n{}\n", &target.namespace("user")["user ".len()..]);
    assert_eq!(seen, expected);
    assert_eq!(listing(&target), before);
}

/// Somebody who is no root makes a sandbox, and comes with their own tools.
fn ordinary_user() {
    let root = Root::new("proc sys dev");
    let is_root = nix::unistd::geteuid().is_root();
    let as_user = |command: &mut Command| {
        if is_root {
            command.uid(65534).gid(65534);
        }
    };
    // The shell opens the file itself, so the first number is its own pid, as the host counts.
    let script = format!(
        "read pid rest </proc/self/stat\n{}\n./busybox pivot_root . .; /busybox umount -l .; cd /; echo ready $pid; read line || :",
        root.fill
    );
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "-m", "-n", "-p", "-u", "-f", "--kill-child", "sh", "-ec", &script]);
    as_user(command.current_dir("/"));
    let held = Held::start_command(&mut command);
    let pid = held.number(0).to_string();
    let target = Target(held, pid);
    let script =
        "ls /mnt; id -u; echo /proc/[0-9]*; readlink /proc/self/ns/net; test -x /bin/sh; /mnt/busybox echo runs";
    let mut command = nsx(&["enter", "-t", &target.1, "--tools", "sh", "-ec", script]);
    as_user(command.current_dir("/"));
    let done = output(&mut command);
    let (seen, error) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{error}");
    assert!(seen.starts_with("busybox\ndev\nproc\nsys\n0\n/proc/1 ") && seen.ends_with("runs\n"), "{seen}");
    assert!(seen.contains(&target.namespace("net")["net ".len()..]), "{seen}");
}
