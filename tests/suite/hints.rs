//! What nsx enter says to do about a failure, for each cause that can be brought about for real.
//!
//! The first line names what was asked for, the object, the call and the errno; the second one has the remedy. Those hints whose cause
//! cannot be brought about have unit tests in `src/cmd/advice/enter.rs`. A kernel that lacks something is in `enosys_enter.rs`, `--tools`
//! in `tools.rs`.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use nix::libc::{CLONE_NEWNET, CLONE_NEWUSER, EINVAL, EPERM, SYS_setns};

use super::harness::enter::{Cgroup, Target};
use super::harness::{Module, Need, Place, held::Held, inode_of, linux_before, nsx, nsx_path, output, test, text};

const ROOT: &[Need] = &[Need::Root];
const UNSHARE: &[Need] = &[Need::Tool("unshare")];
const SHELL: &[Need] = &[Need::Root, Need::Tool("unshare"), Need::Tool("mount")];
const CAPS: &[Need] = &[Need::Root, Need::Tool("setpriv")];
const USER: &[Need] = &[Need::Root, Need::Tool("unshare"), Need::Tool("mount"), Need::Tool("setpriv")];

pub fn module() -> Module {
    let tests = vec![
        test("hints::targets_that_are_not_there", &[], no_target),
        test("hints::files_that_are_something_else", &[], wrong_files),
        test("hints::options_without_a_process", &[], no_process),
        test("hints::commands_that_cannot_be_executed", ROOT, commands),
        test("hints::a_target_without_programs", SHELL, no_programs),
        test("hints::directories", ROOT, directories),
        test("hints::ids", ROOT, ids),
        test("hints::ids_of_an_ordinary_user", UNSHARE, ids_of_user),
        test("hints::descriptors", ROOT, descriptors),
        test("hints::the_process_of_another_user", ROOT, other_process),
        test("hints::a_process_that_may_not_be_looked_at", CAPS, no_ptrace),
        test("hints::a_net_namespace_of_the_host", USER, host_namespace),
        test("hints::the_user_namespace_of_another_user", USER, other_user),
        test("hints::a_mount_namespace_without_chroot", CAPS, no_chroot),
        test("hints::a_namespace_from_above", SHELL, from_above),
        test("hints::a_seccomp_filter", ROOT, filter),
        test("hints::the_own_user_namespace", &[Need::Root, Need::Tool("unshare")], own_user),
        test("hints::a_pid_namespace_from_above", SHELL, pid_above),
        test("hints::a_pid_namespace_that_has_died", SHELL, dead_pid),
        test("hints::a_limit_on_mount_namespaces", UNSHARE, mnt_limit),
        test("hints::a_limit_on_processes", &[Need::Root, Need::Tool("prlimit")], process_limit),
        test("hints::a_limit_on_processes_in_the_targets_cgroup", ROOT, cgroup_limit),
        test("hints::a_cgroup_that_cannot_be_opened", SHELL, cgroup_out_of_sight),
        test("hints::no_user_namespace_above", ROOT, no_parent),
    ];
    Module { name: "hints", places: &[Place::Vm], tests }
}

/// Makes sure that nsx has failed with this code, that its message starts like this and has these parts, and that its hint starts so.
fn says(done: &Output, code: i32, start: &str, parts: &[&str], hint: &str) {
    let error = text(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{error}");
    let lines: Vec<&str> = error.lines().filter(|line| !line.starts_with("nsx: note: ")).collect();
    let [line, advice] = lines[..] else { panic!("not two lines: {error}") };
    assert!(line.starts_with(&format!("nsx: {start}")), "not {start:?}: {error}");
    for part in parts {
        assert!(line.contains(part), "no {part:?}: {error}");
    }
    assert!(advice.starts_with(&format!("hint: {hint}")), "not {hint:?}: {error}");
}

fn inode(target: &Target, kind: &str) -> u64 {
    inode_of(target.1.parse().expect("a pid"), kind)
}

fn enter(arguments: &[&str]) -> Command {
    let mut command = nsx(&["enter"]);
    command.args(arguments).current_dir("/");
    command
}

/// A command of an ordinary user, whoever runs the test.
fn as_user(command: &mut Command) -> &mut Command {
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    command
}

/// The sandbox of an ordinary user: root in it is that user, and nobody else is mapped.
fn sandbox() -> Target {
    // The shell opens the file itself, so the first number is its own pid, as the host counts.
    let script = "read pid rest </proc/self/stat; echo ready $pid; read line || :";
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "-m", "-n", "-p", "-u", "-f", "--kill-child", "sh", "-ec", script]);
    let held = Held::start_command(as_user(command.current_dir("/")));
    let pid = held.number(0).to_string();
    Target(held, pid)
}

/// Runs a shell in new namespaces of its own, with `$NSX` for nsx, and `$FILE` for a file to mount on.
fn in_new(namespaces: &[&str], target: &str, script: &str) -> Output {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["sh", "-ec", script]).current_dir("/").stdin(Stdio::null());
    output(command.env("NSX", nsx_path()).env("FILE", file).env("PID", target).env_remove("NO_COLOR"))
}

fn no_target() {
    let done = output(&mut enter(&["-t", "4194305", "true"]));
    says(&done, 125, "", &["4194305"], "nsx ls shows the namespaces that there are, ps -e the processes");
    let sleep = Target::start(&["enter-target", "uts"]);
    let done = output(&mut enter(&["-t", &format!("{}:1", sleep.1), "true"]));
    let hint = if linux_before(6, 9) { "give the PID alone: " } else { "the one that was meant has exited; nsx ls " };
    says(&done, 125, "", &[&sleep.1], hint);
    let done = output(&mut enter(&["-t", "net:[4294967290]", "true"]));
    let hint = if nix::unistd::geteuid().is_root() { "nsx ls shows the namespaces" } else { "run as root" };
    says(&done, 125, "", &["4294967290"], hint);
    let done = output(&mut enter(&["-t", "netns:nsx-test-none", "true"]));
    says(&done, 125, "", &["/run/netns/nsx-test-none", "ENOENT"], "ip netns list shows the names that there are");
}

fn wrong_files() {
    let target = Target::start(&["enter-target", "uts,net"]);
    let done = output(&mut enter(&[&format!("--net={}", target.file("uts")), "true"]));
    says(&done, 125, &format!("{} is no net namespace, but a uts", target.file("uts")), &[], "give it as --uts=FILE");
    let done = output(&mut enter(&[&format!("--uts={}", target.file("mnt")), "true"]));
    says(&done, 125, "", &["is no uts namespace, but a mnt"], "give it as --mount=FILE");
    let done = output(&mut enter(&["--net=/etc/passwd", "true"]));
    says(&done, 125, "", &["/etc/passwd"], "see what is mounted there: findmnt -T /etc/passwd");
}

fn no_process() {
    let target = Target::start(&["enter-target", "uts,net"]);
    let file = format!("--net={}", target.file("net"));
    for (option, name) in
        [("-r", "-r"), ("-w", "-w"), ("-u", "-u"), ("-c", "-c"), ("-Z", "-Z"), ("-N=3", "--net-socket")]
    {
        let file = if name == "--net-socket" { format!("--uts={}", target.file("uts")) } else { file.clone() };
        let done = output(&mut enter(&[&file, option, "true"]));
        let hint = format!("name a process: nsx enter -t PID {name}");
        says(&done, 125, &format!("{name} takes a process as target (-t PID)"), &[], &hint);
    }
}

fn commands() {
    let target = Target::start(&["enter-target", "mnt,net,pid,uts"]);
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a script");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        path.display().to_string()
    };
    for options in [&["-n"][..], &["-a"]] {
        let run = |command: &str| output(enter(&["-t", &target.1]).args(options).arg(command));
        let done = run("/etc/passwd");
        let hint =
            "it takes permission to execute, on a mount without noexec: ls -l /etc/passwd; findmnt -T /etc/passwd";
        says(&done, 126, "cannot execute /etc/passwd", &["execve(/etc/passwd)", "EACCES"], hint);
    }
    let run = |command: &str| output(&mut enter(&["-t", &target.1, "-n", command]));
    let orphan = script("orphan", "#!/nsx-test-none\n");
    for path in ["/nsx-test-none", &orphan] {
        let hint = format!("it is not there, or its interpreter is not: head -n 1 {path}; readelf -l {path}");
        says(&run(path), 127, &format!("cannot execute {path}"), &["execve(", "ENOENT"], &hint);
    }
}

fn no_programs() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let (setup, root) = (
        format!("setup=mount -t tmpfs nsx-test {}", folder.path().display()),
        format!("root={}", folder.path().display()),
    );
    let target = Target::start(&["enter-target", "mnt,pid,uts", &setup, &root]);
    let hint = "--tools runs the host's programs in the target's namespaces";
    for (command, start) in [
        (&[][..], "cannot find a shell in the target's root directory: "),
        (&["true"], "cannot find true on PATH in the target's root directory: "),
        (&["/bin/true"], "cannot execute /bin/true in the target's root directory: "),
    ] {
        says(&output(enter(&["-t", &target.1]).args(command)), 127, start, &["execve(", "ENOENT"], hint);
    }
}

fn directories() {
    let target = Target::start(&["enter-target", "mnt,net,pid,uts", "proc"]);
    let run = |options: &[&str]| output(enter(&["-t", &target.1]).args(options).arg("true"));
    let hint = "it is looked up in the target's root directory; -w=DIR takes one of the caller's";
    for path in ["/nsx-test-none", "/etc/passwd"] {
        let errno = if path == "/etc/passwd" { "ENOTDIR" } else { "ENOENT" };
        let start = format!("cannot change to {path} inside: ");
        says(&run(&["-W", path]), 125, &start, &[&format!("openat2({path}"), errno], hint);
    }
    let hint = "links of /proc that lead to open files and other roots are not followed";
    for path in ["/proc/1/root", "/proc/1/cwd", "/proc/1/fd/0"] {
        says(&run(&["-W", path]), 125, &format!("cannot change to {path} inside: "), &["openat2(", "ELOOP"], hint);
    }
    // A target that stands outside of its root directory.
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let root = format!("root={}", folder.path().display());
    let target = Target::start(&["enter-target", "mnt,pid", &root, "stay"]);
    let hint = "it lies outside of the root directory; -W DIR looks one up inside";
    let done = output(&mut enter(&["-t", &target.1, "-w", "true"]));
    says(&done, 125, "cannot change the working directory: ", &["getcwd", "EXDEV"], hint);
}

fn ids() {
    let rootless = Target::start(&["rootless", "enter-target", "net,uts"]);
    let hint = "the user namespace does not map this id; --preserve-credentials keeps the caller's";
    for (option, start, call) in
        [("-S", "cannot become uid 1000: ", "setresuid("), ("-G", "cannot become gid 1000: ", "setresgid(")]
    {
        let done = output(&mut enter(&["-t", &rootless.1, "-U", option, "1000", "true"]));
        says(&done, 125, start, &[call, "EINVAL"], hint);
    }
    // Nobody is mapped there, not even the target.
    let unmapped = Target::start(&["enter-target", "user,net"]);
    for (option, word) in [("-S", "uid"), ("-G", "gid")] {
        let done = output(&mut enter(&["-t", &unmapped.1, "-U", option, "follow", "true"]));
        let start = format!("the target's {word} 0 is not mapped in the user namespace that is entered");
        says(&done, 125, &start, &[], "--preserve-credentials keeps the caller's ids");
    }
}

fn ids_of_user() {
    let run = |arguments: &[&str]| output(as_user(enter(&["-t", "self", "-u"]).args(arguments).arg("true")));
    let hint = "another id takes CAP_SETUID and CAP_SETGID: run as root, or enter a user namespace with -U";
    says(&run(&["-S", "0"]), 125, "cannot ", &["set", "EPERM"], hint);
    says(&run(&["-G", "0"]), 125, "cannot ", &["set", "EPERM"], hint);
    let hint = "only capabilities that the caller has can be left to the command";
    says(&run(&["--caps=none"]), 125, "cannot give up capabilities: ", &["prctl(", "EPERM"], hint);
    says(&run(&["--caps=net_admin"]), 125, "cannot ", &["EPERM"], hint);
}

fn descriptors() {
    let target = Target::start(&["enter-target", "uts,net"]);
    let done = output(&mut enter(&["-t", &target.1, "--keep-fd=77", "true"]));
    says(
        &done,
        125,
        "cannot keep descriptor 77: ",
        &["fcntl(", "EBADF"],
        "it is not open: give it to nsx as in `nsx … 3<file`",
    );
    let done = output(&mut enter(&["-t", &target.1, "-N", "777", "true"]));
    let start = "cannot find the network namespace of descriptor 777 of the target: ";
    says(&done, 125, start, &["pidfd_getfd(", "EBADF"], "ls -l /proc/PID/fd shows the descriptors that there are");
}

fn other_process() {
    let target = Target::start(&["enter-target", "uts,net"]);
    for options in [&["-n"][..], &["-a"], &[]] {
        let done = output(as_user(enter(&["-t", &target.1]).args(options).arg("true")));
        says(&done, 125, "", &[&target.1, "/ns/", "EACCES"], "run as root to see those of other users");
    }
}

/// nsx as root without some capabilities.
fn without_caps(caps: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command.arg(format!("--bounding-set={caps}")).arg(nsx_path()).arg("enter").args(arguments);
    output(command.stdin(Stdio::null()).current_dir("/"))
}

fn no_ptrace() {
    let target = sandbox();
    let done = without_caps("-sys_ptrace", &["-t", &target.1, "-n", "true"]);
    says(
        &done,
        125,
        "",
        &[&target.1, "EACCES"],
        "this takes CAP_SYS_PTRACE over the process, and an LSM that allows it",
    );
}

/// Makes a namespace of the target a file that everybody may open, and has an ordinary user enter it.
fn by_file(target: &Target, kind: &str, option: &str) -> Output {
    let script = format!(
        "mount --bind /proc/$PID/ns/{kind} \"$FILE\"
        exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$NSX\" enter {option}=\"$FILE\" true"
    );
    in_new(&["-m"], &target.1, &script)
}

fn host_namespace() {
    let target = Target::start(&["enter-target", "net,uts"]);
    let own = inode_of(std::process::id(), "user");
    for (kind, option) in [("net", "--net"), ("uts", "--uts")] {
        let inode = inode(&target, kind);
        let hint = format!("user:[{own}] owns it, and in that the caller lacks CAP_SYS_ADMIN: run as root");
        let start = format!("cannot enter {kind} namespace {inode}: setns(");
        says(&by_file(&target, kind, option), 125, &start, &["EPERM"], &hint);
    }
}

fn other_user() {
    let target = Target::start(&["rootless", "enter-target", "net"]);
    let owner = inode(&target, "user");
    let hint = format!(
        "this takes CAP_SYS_ADMIN in the user namespace: run as the user who made it (nsx ls -o +OUID user:[{owner}]), or as root"
    );
    let start = format!("cannot enter user namespace {owner}: setns(");
    // Also where it is entered only because it owns the other one.
    for (kind, option) in [("user", "--user"), ("net", "--net")] {
        says(&by_file(&target, kind, option), 125, &start, &["EPERM"], &hint);
    }
}

/// A mnt namespace takes CAP_SYS_CHROOT in the caller's user namespace, and CAP_SYS_ADMIN in its owner.
fn no_chroot() {
    let target = Target::start(&["enter-target", "mnt"]);
    let start = |target: &Target| {
        let inode = inode(target, "mnt");
        format!("cannot enter mnt namespace {inode} of process {}: setns(", target.1)
    };
    let own = inode_of(std::process::id(), "user");
    let hint = format!("user:[{own}] owns it, and in that the caller lacks CAP_SYS_CHROOT: run as root");
    let done = without_caps("-sys_chroot", &["-t", &target.1, "-m", "true"]);
    says(&done, 125, &start(&target), &["CLONE_NEWNS", "EPERM"], &hint);
    // In a user namespace that is entered first it is there again.
    let rootless = Target::start(&["rootless", "enter-target", "mnt"]);
    let owner = inode(&rootless, "user");
    let done = without_caps("-sys_chroot", &["-t", &rootless.1, "-m", "true"]);
    let hint = format!("user:[{owner}] owns it; add -U to enter that first, or run as root");
    says(&done, 125, &start(&rootless), &["CLONE_NEWNS", "EPERM"], &hint);
    let done = without_caps("-sys_chroot", &["-t", &rootless.1, "-m", "-U", "true"]);
    assert_eq!(done.status.code(), Some(0), "as the hint says: {}", text(&done.stderr));
}

/// Root of a user namespace has all capabilities, but not where it comes from.
fn from_above() {
    let script = "mount --bind /proc/self/ns/net \"$FILE\"; exec unshare -U -r -n \"$NSX\" enter --net=\"$FILE\" true";
    let inode = inode_of(std::process::id(), "net");
    let hint = "its owner lies above the caller's user namespace: only somebody from up there can enter it";
    let done = in_new(&["-m"], "", script);
    says(&done, 125, &format!("cannot enter net namespace {inode}: setns("), &["EPERM"], hint);
}

/// Runs nsx enter where setns(2) with these flags is answered so.
fn filtered(flags: i32, errno: i32, target: &Target, option: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["fixture", "without", &format!("{SYS_setns}@1={flags}:{errno}")]).arg(nsx_path());
    output(command.args(["enter", "-t", &target.1, option, "true"]).stdin(Stdio::null()))
}

fn filter() {
    let target = Target::start(&["enter-target", "net"]);
    let done = filtered(CLONE_NEWNET, EPERM, &target, "-n");
    let hint = "the caller has the capabilities that this takes, so a seccomp filter or an LSM refuses: ";
    let start = format!("cannot enter net namespace {} of process {}: setns(", inode(&target, "net"), target.1);
    says(&done, 125, &start, &["CLONE_NEWNET", "EPERM"], hint);
}

/// The own one is not entered, however it is given, so it takes a filter to have the kernel say of another one what it says of that.
fn own_user() {
    for arguments in [&["--user=/proc/self/ns/user", "true"][..], &["-t", "self", "-U", "true"]] {
        let done = output(&mut enter(arguments));
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {}", text(&done.stderr));
    }
    let done = filtered(CLONE_NEWUSER, EINVAL, &sandbox(), "-U");
    let hint = "a process cannot enter its own user namespace, and none while it has threads; leave out -U";
    says(&done, 125, "cannot enter user namespace ", &["setns(", "CLONE_NEWUSER", "EINVAL"], hint);
}

fn pid_above() {
    let script = "mount --bind /proc/self/ns/pid \"$FILE\"
        exec unshare -p -f --mount-proc \"$NSX\" enter --pid=\"$FILE\" true";
    let inode = inode_of(std::process::id(), "pid");
    let hint =
        "only the caller's own pid namespace and those below it can be entered: run nsx from above, or leave out -p";
    let done = in_new(&["-m"], "", script);
    says(&done, 125, &format!("cannot enter pid namespace {inode}: setns("), &["EINVAL"], hint);
}

fn dead_pid() {
    // The first process ends at once, and the file keeps what is left.
    let script = "mkfifo \"$FILE.in\"; unshare -p -f sh -c 'read line <\"$FILE.in\"' &
        outer=$!; exec 9>\"$FILE.in\"
        until inner=$(cat /proc/$outer/task/$outer/children) && test -n \"$inner\"; do kill -0 $outer; done
        inner=${inner% }; mount --bind /proc/$inner/ns/pid \"$FILE\"
        echo >&9; wait $outer; exec \"$NSX\" enter --pid=\"$FILE\" true";
    let done = in_new(&["-m"], "", script);
    let hint = "the pid namespace takes no more processes: its first one has exited";
    says(&done, 125, "cannot make a process for the command: ", &["ENOMEM"], hint);
}

/// The limit is one of a user namespace of its own, so that it is nobody else's.
fn mnt_limit() {
    let script = "echo 0 >/proc/sys/user/max_mnt_namespaces
        unshare -p -f --kill-child sh -c 'read pid rest </proc/self/stat; echo $pid; exec sleep 1000' >\"$FILE\" &
        until read pid <\"$FILE\" && test -n \"$pid\"; do kill -0 $!; done
        code=0; \"$NSX\" enter -t $pid -p true || code=$?
        kill -KILL $!; exit $code";
    let done = in_new(&["-U", "-r"], "", script);
    let hint = "the limit on mount namespaces is reached: sysctl user.max_mnt_namespaces";
    says(&done, 125, "cannot make a mount namespace: unshare(", &["CLONE_NEWNS", "ENOSPC"], hint);
}

fn process_limit() {
    let target = sandbox();
    let mut command = Command::new("prlimit");
    command.arg("--nproc=0").arg(nsx_path()).args(["enter", "-t", &target.1, "--timeout=100", "true"]);
    let done = output(as_user(command.stdin(Stdio::null()).current_dir("/")));
    let hint = "a limit on processes is reached: ulimit -u, or pids.max of the cgroup";
    says(&done, 125, "cannot start the command: ", &["EAGAIN"], hint);
}

fn cgroup_limit() {
    let cgroup = Cgroup::new("limit");
    std::fs::write(cgroup.path.join("pids.max"), "1").expect("a limit");
    let done = output(&mut enter(&["-t", cgroup.pid(), "true"]));
    let hint = "a limit on processes is reached: pids.max of the cgroup, or ulimit -u; --no-cgroup enters without the target's";
    says(&done, 125, "cannot make a process for the command: ", &["EAGAIN"], hint);
    let done = output(&mut enter(&["-t", cgroup.pid(), "--no-cgroup", "true"]));
    assert_eq!(done.status.code(), Some(0), "as the hint says: {}", text(&done.stderr));
}

fn cgroup_out_of_sight() {
    let cgroup = Cgroup::new("sight");
    let done = in_new(&["-m"], cgroup.pid(), "umount -l /sys/fs/cgroup; exec \"$NSX\" enter -t $PID -u -c true");
    says(&done, 125, "cannot join the target's ", &["cgroup", "nsx-test-sight-"], "--no-cgroup enters without");
}

fn no_parent() {
    let target = Target::start(&["enter-target", "net"]);
    let done = output(&mut enter(&["-t", &target.1, "-U", "--user-parent", "true"]));
    let hint = "leave out --user-parent: what lies above cannot be entered from here";
    says(&done, 125, "there is no parent user namespace that could be entered", &[], hint);
}
