//! Kernels that lack something: a seccomp filter says so, and nsx must find another way or name the gap.

use std::process::Command;

use libtest_mimic::Trial;
use nix::libc::SYS_openat2;
use serde_json::Value;

use super::harness::{Need, document, held::Held, held_by, inode_of, namespace, nsx_path, output, test, text};

const NS_GET_ID: &str = "ioctl:2148054797";
const NS_GET_MNTNS_ID: &str = "ioctl:2148054789";
const STATMOUNT: &str = "457";
const LISTMOUNT: &str = "458";
const LISTNS: &str = "470";
const PIDFD_OPEN: &str = "434";
const PIDFD_GETFD: &str = "438";

pub fn tests() -> Vec<Trial> {
    let root = &[Need::Root];
    vec![
        test("enosys::bind_mounts_without_listmount", root, without_listmount),
        test("enosys::bind_mounts_without_a_mount_namespace_id", root, without_mnt_ns_id),
        test("enosys::no_64_bit_ids", root, without_ids),
        test("enosys::sockets_without_pidfds_are_a_gap", root, without_pidfds),
        test("enosys::bind_mounts_that_cannot_be_opened_are_a_gap", root, without_openat2),
    ]
}

/// Runs `nsx ls --json` on a kernel without these calls.
fn ls_without(calls: &[&str]) -> Value {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["fixture", "without", &calls.join(",")]).arg(nsx_path()).args(["ls", "--json"]);
    let done = output(&mut command);
    assert!(done.status.success(), "without {calls:?}: {}", text(&done.stderr));
    document(&text(&done.stdout))
}

fn gap<'a>(document: &'a Value, what: &str) -> Option<&'a Value> {
    document["gaps"].as_array()?.iter().find(|gap| gap["what"] == what)
}

fn finds_the_bind_mount(calls: &[&str]) {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let held = Held::start(&["bind-mount", path]);
    let document = ls_without(calls);
    let found = namespace(&document, held.number(0));
    let way = held_by(found, "bind_mount");
    // mountinfo escapes all of these characters.
    assert_eq!((&way["path"], &way["mnt_ns"]), (&format!("{path}/a b\\c\nd").into(), &held.number(1).into()));
    assert!(found["owner"].is_u64(), "it was opened: {found:#}");
}

fn without_listmount() {
    finds_the_bind_mount(&[STATMOUNT, LISTMOUNT, LISTNS]);
}

fn without_mnt_ns_id() {
    finds_the_bind_mount(&[NS_GET_MNTNS_ID, NS_GET_ID, LISTNS]);
}

fn without_ids() {
    let document = ls_without(&[NS_GET_ID, LISTNS]);
    assert!(document["namespaces"].as_array().expect("all").iter().all(|found| found["id"].is_null()));
    // The numbers of the initial net and mnt namespaces need not be the fixed ones then; kthreadd tells, where it can be seen.
    let own = namespace(&document, inode_of(2, "net"));
    assert_eq!(own["initial"], true);
}

fn without_pidfds() {
    let held = Held::start(&["socket"]);
    for calls in [&[PIDFD_OPEN][..], &[PIDFD_GETFD]] {
        let document = ls_without(calls);
        let found = document["namespaces"].as_array().expect("all").iter().any(|one| one["ns"] == held.number(1));
        assert!(!found, "nothing else leads to it");
        let gap = gap(&document, "sockets").unwrap_or_else(|| panic!("{calls:?}: no gap in {:#}", document["gaps"]));
        assert_eq!(gap["errno"], "ENOSYS");
        assert!(gap["pids"].as_array().expect("pids").contains(&held.pid().into()), "{gap:#}");
    }
}

fn without_openat2() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let held = Held::start(&["bind-mount", folder.path().to_str().expect("UTF-8")]);
    // Where listns(2) leads to it as well it is opened by its id.
    let document = ls_without(&[&SYS_openat2.to_string(), LISTNS]);
    let found = namespace(&document, held.number(0));
    assert!(found["owner"].is_null());
    let gap = gap(&document, "relations").expect("a gap");
    assert_eq!(gap["errno"], "ENOSYS");
    assert!(gap["namespaces"].as_array().expect("namespaces").contains(&held.number(0).into()), "{gap:#}");
}
