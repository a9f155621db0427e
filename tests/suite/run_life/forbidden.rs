//! User namespaces that may not be made: by a filter, by a sysctl. What forbids it is said, and nothing is left.
//!
//! Sysctls are those of a user namespace of the test's own. AppArmor's is tested beside the code (`launch::run::forbidden`).

use std::process::{Command, Output, Stdio};

use nix::libc::{CLONE_NEWUSER, ENOSPC, EPERM, SYS_clone, SYS_clone3, SYS_unshare};

use super::super::harness::group::AS_USER;
use super::super::harness::{Need, Test, nsx_path, output, test, text};
use super::kernels::without;

pub(super) fn tests() -> Vec<Test> {
    let user = &[Need::Root, Need::Tool("setpriv")];
    let unshare = &[Need::Tool("unshare")];
    vec![
        test("run_life::a_filter_that_forbids_user_namespaces_is_named", &[], filtered),
        test("run_life::a_filter_that_forbids_user_namespaces_is_named_to_a_user", user, filtered_user),
        test("run_life::a_sysctl_that_forbids_user_namespaces_is_named", unshare, sysctl),
        test("run_life::a_sysctl_that_forbids_other_namespaces_is_named", unshare, other_sysctls),
        test("run_life::a_limit_that_is_reached_is_named", unshare, reached),
        test("run_life::without_a_user_namespace_root_does_what_it_may", &[Need::Root], without_one),
    ]
}

/// Returns the lines of what nsx says when it cannot make namespaces, without notes.
fn refused(done: &Output, what: &str) -> (String, String) {
    let said = text(&done.stderr);
    assert_eq!((done.status.code(), done.stdout.len()), (Some(125), 0), "{what}: {said}");
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("nsx: note: ")).collect();
    assert!(lines[0].starts_with("nsx: cannot make namespaces: "), "{what}: {said}");
    let hint = lines.get(1).copied().unwrap_or_default();
    assert!(lines.len() <= 2 && (hint.is_empty() || hint.starts_with("hint: ")), "{what}: {said}");
    (lines[0].to_owned(), hint.to_owned())
}

/// As the default filters of container engines have it: clone3(2) is not there, and clone(2) and unshare(2) are refused by their flags.
fn container(errno: i32) -> String {
    format!("{SYS_clone3},{SYS_clone}@0&{CLONE_NEWUSER}:{errno},{SYS_unshare}@0&{CLONE_NEWUSER}:{errno}")
}

fn filters(prefix: &[&str]) {
    let done = output(without(prefix, &container(EPERM)).arg("true"));
    let (line, hint) = refused(&done, "EPERM");
    assert!(line.contains("clone(") && line.contains("CLONE_NEWUSER") && line.contains("EPERM"), "{line}");
    assert!(line.contains("a seccomp filter is in place (Seccomp: 2 in /proc/self/status)"), "{line}");
    assert!(hint.contains("seccomp=unconfined"), "{hint}");
    // No limit is what has answered so.
    let done = output(without(prefix, &container(ENOSPC)).arg("true"));
    let (line, _) = refused(&done, "ENOSPC");
    assert!(line.contains("ENOSPC"), "{line}");
}

fn filtered() {
    filters(&[]);
}

fn filtered_user() {
    filters(&AS_USER);
}

/// nsx in a user namespace of its own, in which root has set something before.
fn below(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "sh", "-c", &format!("{script}; exec \"$NSX\" run \"$@\""), "sh"]);
    command.env("NSX", nsx_path()).stdin(Stdio::null()).current_dir("/");
    command
}

fn sysctl() {
    let done = output(below("echo 0 >/proc/sys/user/max_user_namespaces").arg("true"));
    let (line, hint) = refused(&done, "user");
    assert!(line.contains("ENOSPC") && line.ends_with(": user.max_user_namespaces is 0"), "{line}");
    assert_eq!(hint, "hint: sysctl -w user.max_user_namespaces=10000, as root");
}

fn other_sysctls() {
    for kind in ["mnt", "net", "pid", "uts", "ipc"] {
        let done = output(below(&format!("echo 0 >/proc/sys/user/max_{kind}_namespaces")).arg("true"));
        let (line, hint) = refused(&done, kind);
        assert!(line.contains("ENOSPC") && line.contains(&format!("user.max_{kind}_namespaces is 0")), "{line}");
        assert!(hint.contains(&format!("user.max_{kind}_namespaces=")), "{hint}");
    }
    // Those that the first process makes itself, when it is inside.
    let done = output(below("echo 0 >/proc/sys/user/max_time_namespaces").arg("true"));
    let (line, _) = refused(&done, "time");
    assert!(line.contains("ENOSPC") && line.contains("user.max_time_namespaces is 0"), "{line}");
    // Without one of these nothing is in reach that is not with it.
    let script = "readlink /proc/self/ns/cgroup; exit 4";
    let done = output(below("echo 0 >/proc/sys/user/max_cgroup_namespaces").args(["sh", "-c", script]));
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(4), "{said}");
    assert!(
        said.contains("note: the path of its cgroup can be seen inside: user.max_cgroup_namespaces is 0"),
        "{said}"
    );
    let own = std::fs::read_link("/proc/self/ns/cgroup").expect("a namespace");
    assert_eq!(text(&done.stdout).trim_end(), own.to_string_lossy());
    // Who shares them needs none.
    let done = output(below("echo 0 >/proc/sys/user/max_net_namespaces").args(["--net=host", "sh", "-c", "exit 4"]));
    assert_eq!(done.status.code(), Some(4), "{}", text(&done.stderr));
}

fn reached() {
    // There is one already: that of a sandbox that runs.
    let script = "echo 1 >/proc/sys/user/max_net_namespaces; mkfifo \"$OUT\"
        \"$NSX\" run sh -c 'echo there; exec sleep 1000' >\"$OUT\" & read line <\"$OUT\"
        \"$NSX\" run true; code=$?; kill $!; wait $!; exit $code";
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "sh", "-c", script]).stdin(Stdio::null());
    let done = output(command.env("NSX", nsx_path()).env("OUT", folder.path().join("out")));
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(125), "{said}");
    assert!(said.contains("ENOSPC") && said.contains("user.max_net_namespaces is 1"), "{said}");
    assert!(said.contains("hint: nsx ls -t net shows who has them"), "{said}");
}

fn without_one() {
    // No user namespace is asked for, so it does not matter that there can be none.
    let done = output(without(&[], &container(EPERM)).args(["--userns=host", "sh", "-c", "exit 5"]));
    assert_eq!(done.status.code(), Some(5), "{}", text(&done.stderr));
}
