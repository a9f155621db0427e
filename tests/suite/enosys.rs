//! Kernels that lack something: a seccomp filter says so, and nsx must find another way or name the gap.

use std::process::Command;

use nix::libc::{
    ENOPROTOOPT, ENOTTY, SO_NETNS_COOKIE, SYS_getsockopt, SYS_ioctl, SYS_openat2, SYS_pidfd_getfd, SYS_pidfd_open,
    SYS_statx,
};
use serde_json::Value;

use super::harness::{
    Module, Need, Place, document, held::Held, held_by, inode_of, namespace, nsx_path, output, quiet, test, text,
};

/// System calls that the libc crate has no numbers for on every architecture.
const SYS_STATMOUNT: i64 = 457;
const SYS_LISTMOUNT: i64 = 458;
const SYS_LISTNS: i64 = 470;

/// Requests of ioctl_ns(2) and of sockets.
const NS_GET_USERNS: u32 = 0xb701;
const NS_GET_PARENT: u32 = 0xb702;
const NS_GET_OWNER_UID: u32 = 0xb704;
const NS_GET_MNTNS_ID: u32 = 0x8008_b705;
const NS_GET_ID: u32 = 0x8008_b70d;
const SIOCGSKNS: u32 = 0x894C;

fn call(number: i64) -> String {
    number.to_string()
}

fn ioctl(request: u32) -> String {
    format!("{SYS_ioctl}@1={request}:{ENOTTY}")
}

pub fn module() -> Module {
    let root = &[Need::Root];
    let tests = vec![
        test("enosys::bind_mounts_without_listmount", &[], without_listmount),
        test("enosys::bind_mounts_without_a_mount_namespace_id", &[], without_mnt_ns_id),
        test("enosys::no_64_bit_ids", root, without_ids),
        quiet("enosys::sockets_without_pidfds_are_a_gap", &[], without_pidfds),
        test("enosys::sockets_without_a_way_to_their_namespace_are_a_gap", &[], without_siocgskns),
        test("enosys::sockets_without_cookies", &[], without_cookies),
        quiet("enosys::descriptors_without_statx", &[], without_statx),
        test("enosys::owners_that_cannot_be_asked_are_a_gap", &[], without_relations),
        test("enosys::bind_mounts_that_cannot_be_opened_are_a_gap", &[], without_openat2),
    ];
    Module { name: "enosys", places: &[Place::Vm], tests }
}

/// Runs `nsx ls --json` on a kernel without these calls.
fn ls_without(calls: &[String]) -> Value {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["fixture", "without", &calls.join(",")]).arg(nsx_path()).args(["ls", "--json"]);
    let done = output(&mut command);
    assert!(done.status.success(), "without {calls:?}: {}", text(&done.stderr));
    document(&text(&done.stdout))
}

fn gap<'a>(document: &'a Value, what: &str) -> Option<&'a Value> {
    document["gaps"].as_array()?.iter().find(|gap| gap["what"] == what)
}

fn finds_the_bind_mount(calls: &[String]) {
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
    finds_the_bind_mount(&[call(SYS_STATMOUNT), call(SYS_LISTMOUNT), call(SYS_LISTNS)]);
}

fn without_mnt_ns_id() {
    finds_the_bind_mount(&[ioctl(NS_GET_MNTNS_ID), ioctl(NS_GET_ID), call(SYS_LISTNS)]);
}

fn without_ids() {
    let document = ls_without(&[ioctl(NS_GET_ID), call(SYS_LISTNS)]);
    assert!(document["namespaces"].as_array().expect("all").iter().all(|found| found["id"].is_null()));
    // The numbers of the initial net and mnt namespaces need not be the fixed ones then; kthreadd tells, where it can be seen.
    let own = namespace(&document, inode_of(2, "net"));
    assert_eq!(own["initial"], true);
}

fn without_pidfds() {
    let held = Held::start(&["socket"]);
    for missing in [SYS_pidfd_open, SYS_pidfd_getfd] {
        let document = ls_without(&[call(missing)]);
        let found = document["namespaces"].as_array().expect("all").iter().any(|one| one["ns"] == held.number(1));
        assert!(!found, "nothing else leads to it");
        let gap = gap(&document, "sockets").unwrap_or_else(|| panic!("{missing}: no gap in {:#}", document["gaps"]));
        assert_eq!(gap["errno"], "ENOSYS");
        assert!(gap["pids"].as_array().expect("pids").contains(&held.pid().into()), "{gap:#}");
    }
}

fn without_openat2() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let held = Held::start(&["bind-mount", folder.path().to_str().expect("UTF-8")]);
    // Where listns(2) leads to it as well it is opened by its id.
    let document = ls_without(&[call(SYS_openat2), call(SYS_LISTNS)]);
    let found = namespace(&document, held.number(0));
    assert!(found["owner"].is_null());
    let gap = gap(&document, "relations").expect("a gap");
    assert_eq!(gap["errno"], "ENOSYS");
    assert!(gap["namespaces"].as_array().expect("namespaces").contains(&held.number(0).into()), "{gap:#}");
}

fn without_siocgskns() {
    let held = Held::start(&["socket"]);
    let document = ls_without(&[ioctl(SIOCGSKNS)]);
    let gap = gap(&document, "sockets").expect("a gap");
    assert_eq!(gap["errno"], "ENOTTY");
    assert!(gap["pids"].as_array().expect("pids").contains(&held.pid().into()), "{gap:#}");
}

fn without_cookies() {
    let held = Held::start(&["socket"]);
    let document = ls_without(&[format!("{SYS_getsockopt}@2={SO_NETNS_COOKIE}:{ENOPROTOOPT}")]);
    assert_eq!(held_by(namespace(&document, held.number(1)), "socket")["pid"], held.pid());
}

fn without_statx() {
    let held = Held::start(&["fd", "uts"]);
    let document = ls_without(&[call(SYS_statx)]);
    assert_eq!(held_by(namespace(&document, held.number(1)), "fd")["pid"], held.pid());
}

fn without_relations() {
    let held = Held::start(&["process", "user"]);
    let document = ls_without(&[ioctl(NS_GET_USERNS), ioctl(NS_GET_PARENT), ioctl(NS_GET_OWNER_UID)]);
    let found = namespace(&document, held.number(1));
    assert_eq!((&found["owner"], &found["owner_uid"], &found["parent"]), (&Value::Null, &Value::Null, &Value::Null));
    let gap = gap(&document, "owner").expect("a gap");
    assert_eq!(gap["errno"], "ENOTTY");
    assert!(gap["namespaces"].as_array().expect("namespaces").contains(&held.number(1).into()), "{gap:#}");
}
