//! nsx enter on kernels that lack something: a seccomp filter says so, and nsx must find another way or say what is missing.
//!
//! The same for nsx ls is in `enosys.rs`.

use std::process::{Command, Output, Stdio};

use nix::libc::{
    CLONE_NEWNS, EACCES, EPERM, SYS_close_range, SYS_memfd_create, SYS_openat2, SYS_pidfd_open, SYS_unshare,
};

use super::harness::enter::{Target, just_these};
use super::harness::{Module, Need, Place, nsx_path, output, test, text};

pub fn module() -> Module {
    let root = &[Need::Root];
    let tests = vec![
        test("enosys_enter::without_pidfds", &[], all_without_pidfds),
        test("enosys_enter::one_namespace_without_pidfds", root, one_without_pidfds),
        test("enosys_enter::tools_without_pidfds", root, tools_without_pidfds),
        test("enosys_enter::without_close_range", &[], without_close_range),
        test("enosys_enter::without_openat2", &[], without_openat2),
        test("enosys_enter::a_working_directory_that_was_asked_for", &[], asked_without_openat2),
        test("enosys_enter::all_of_that_at_once", &[], without_all),
        test("enosys_enter::without_memory_files", &[], without_memfd),
        test("enosys_enter::a_filter_that_forbids_mount_namespaces", root, without_unshare),
    ];
    Module { name: "enosys_enter", places: &[Place::Vm], tests }
}

fn target() -> Target {
    Target::start(&["enter-target", "ipc,mnt,net,pid,uts"])
}

const KINDS: [&str; 5] = ["ipc", "mnt", "net", "pid", "uts"];

/// The kinds that are entered with `-a`: an ordinary user has made a user namespace first.
fn all_kinds() -> Vec<&'static str> {
    let user = (!nix::unistd::geteuid().is_root()).then_some("user");
    KINDS.into_iter().chain(user).collect()
}

/// Runs nsx enter from `/usr` on a kernel without these calls, with this test binary as a command that looks around.
fn enter_without(calls: &[String], target: &Target, options: &[&str], what: &str) -> Output {
    let own = std::env::current_exe().expect("this test");
    let mut command = Command::new(&own);
    command.args(["fixture", "without", &calls.join(",")]).arg(nsx_path()).args(["enter", "-t", &target.1]);
    output(command.args(options).arg(own).args(["fixture", "look", what]).stdin(Stdio::null()).current_dir("/usr"))
}

/// Does the same, which must go well and without a word.
fn seen_without(calls: &[i64], target: &Target, options: &[&str], what: &str) -> String {
    let calls: Vec<String> = calls.iter().map(i64::to_string).collect();
    let done = enter_without(&calls, target, options, what);
    let error = text(&done.stderr);
    assert_eq!((done.status.code(), error.as_str()), (Some(0), ""), "{options:?} without {calls:?}");
    text(&done.stdout)
}

fn all_without_pidfds() {
    let target = target();
    for options in [&["-a"][..], &[]] {
        just_these(&seen_without(&[SYS_pidfd_open], &target, options, "namespaces"), &target, &all_kinds());
    }
}

fn one_without_pidfds() {
    let target = target();
    for (option, kind) in [("-n", "net"), ("-u", "uts"), ("-p", "pid"), ("-m", "mnt")] {
        just_these(&seen_without(&[SYS_pidfd_open], &target, &[option], "namespaces"), &target, &[kind]);
    }
    let rootless = Target::start(&["rootless", "enter-target", "net,uts"]);
    let seen = seen_without(&[SYS_pidfd_open], &rootless, &["-U", "-n"], "namespaces");
    just_these(&seen, &rootless, &["net", "user"]);
}

/// They are what a view of the target's mounts is taken with, so it is an error, and not a wrong view.
fn tools_without_pidfds() {
    let target = target();
    let done = enter_without(&[SYS_pidfd_open.to_string()], &target, &["--tools"], "cwd");
    let error = text(&done.stderr);
    assert_eq!(done.status.code(), Some(125), "{error}");
    // A process was named, so that is not what lacks.
    assert!(error.starts_with("nsx: ") && error.contains("pidfd_open") && !error.contains("-t PID"), "{error}");
}

fn without_close_range() {
    let target = target();
    let ways = if nix::unistd::geteuid().is_root() { &[&["-a"][..], &["-n"]][..] } else { &[&["-a"][..]] };
    for options in ways {
        let own = std::env::current_exe().expect("this test");
        let mut command = Command::new("sh");
        // Descriptors that are inherited, through the filter and into nsx.
        command.args(["-c", "exec 5</etc 8</etc; exec \"$@\"", "sh"]).arg(&own);
        command
            .args(["fixture", "without", &SYS_close_range.to_string()])
            .arg(nsx_path())
            .args(["enter", "-t", &target.1]);
        command.args(*options).args(["--keep-fd=8"]).arg(own).args(["fixture", "look", "fds"]).stdin(Stdio::null());
        let done = output(&mut command);
        assert_eq!(text(&done.stdout), "0 1 2 8\n", "{options:?}: {}", text(&done.stderr));
        let seen = seen_without(&[SYS_close_range], &target, options, "fds");
        assert_eq!(seen, "0 1 2\n", "{options:?}");
    }
}

/// No other call looks a path up without following links that lead out.
fn without_openat2() {
    let target = target();
    let done = enter_without(&[SYS_openat2.to_string()], &target, &["-a"], "cwd");
    let error = text(&done.stderr);
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(0), "/\n"), "{error}");
    assert!(error.starts_with("nsx: note: ") && error.contains("ENOSYS") && error.contains("starting in /"), "{error}");
    // It is there, whatever the kernel can do.
    assert!(!error.contains("is not there"), "{error}");
    if nix::unistd::geteuid().is_root() {
        // Who keeps the files keeps the place among them.
        assert_eq!(seen_without(&[SYS_openat2], &target, &["-n"], "cwd"), "/usr\n");
    }
}

fn asked_without_openat2() {
    let target = target();
    let done = enter_without(&[SYS_openat2.to_string()], &target, &["-a", "-W", "/usr"], "cwd");
    let error = text(&done.stderr);
    assert_eq!(done.status.code(), Some(125), "{error}");
    assert!(error.starts_with("nsx: cannot change to /usr inside: openat2(") && error.contains("ENOSYS"), "{error}");
}

fn without_all() {
    let target = target();
    let calls = [SYS_pidfd_open, SYS_close_range, SYS_openat2].map(|call| call.to_string());
    let done = enter_without(&calls, &target, &["-a"], "namespaces");
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    just_these(&text(&done.stdout), &target, &all_kinds());
    if nix::unistd::geteuid().is_root() {
        let done = enter_without(&calls, &target, &["-n"], "namespaces");
        just_these(&text(&done.stdout), &target, &["net"]);
    }
}

/// As vm.memfd_noexec=2 has it.
fn without_memfd() {
    let target = target();
    let refused: Vec<String> =
        [0x11, 0x13, 0x1, 0x3].iter().map(|flags| format!("{SYS_memfd_create}@1={flags}:{EACCES}")).collect();
    let done = enter_without(&refused, &target, &["-a"], "cwd");
    let error = text(&done.stderr);
    assert_eq!(done.status.code(), Some(125), "{error}");
    let [line, hint] = error.lines().collect::<Vec<_>>()[..] else { panic!("{error}") };
    assert!(line.starts_with("nsx: cannot start the command: memfd_create") && line.contains("EACCES"), "{error}");
    assert_eq!(hint, "hint: executing memory files is forbidden: sysctl vm.memfd_noexec has to be 0 or 1");
    if nix::unistd::geteuid().is_root() {
        // Who becomes the command needs none.
        let done = enter_without(&refused, &target, &["-n"], "cwd");
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    }
}

/// As the default filter of container engines has it for those without CAP_SYS_ADMIN.
fn without_unshare() {
    let target = target();
    let refused = [format!("{SYS_unshare}@0={CLONE_NEWNS}:{EPERM}")];
    let done = enter_without(&refused, &target, &["-p"], "cwd");
    let error = text(&done.stderr);
    assert_eq!(done.status.code(), Some(125), "{error}");
    let [line, hint] = error.lines().collect::<Vec<_>>()[..] else { panic!("{error}") };
    assert!(line.starts_with("nsx: cannot make a mount namespace: unshare(") && line.contains("EPERM"), "{error}");
    assert!(hint.starts_with("hint: ") && hint.contains("--no-proc"), "{error}");
    let done = enter_without(&refused, &target, &["-p", "--no-proc"], "cwd");
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(0), "/usr\n"), "{}", text(&done.stderr));
}
