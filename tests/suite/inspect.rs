//! `nsx inspect` on processes that are isolated for the test in one way each, on who cannot be looked at whole, and on names that mean harm.

use std::process::Command;

use serde_json::Value;

use super::harness::held::Held;
use super::harness::{Module, Need, Place, Test, document, nsx, output, test, text};

mod facts;
mod who;

const UNSHARE: &[Need] = &[Need::Root, Need::Tool("unshare"), Need::Tool("mount")];
const SETPRIV: &[Need] = &[Need::Root, Need::Tool("setpriv")];
const MEMORY: &[Need] = &[Need::Root, Need::Controller("memory"), Need::Controller("pids")];

pub fn module() -> Module {
    let tests = vec![
        test("inspect::whoever_calls_sees_himself", &[], who::own),
        test("inspect::namespaces_and_whose_they_are", UNSHARE, facts::namespaces),
        test("inspect::ids_inside_and_outside", &[Need::Root], facts::ids),
        test("inspect::ids_from_inside", &[Need::Root, Need::Tool("unshare")], facts::ids_from_inside),
        test("inspect::capabilities", SETPRIV, facts::capabilities),
        test("inspect::a_sandbox_of_nsx_run", &[Need::Root], facts::sandbox),
        test("inspect::mounts_that_matter", UNSHARE, facts::mounts),
        test("inspect::descriptors_that_lead_out", UNSHARE, facts::descriptors),
        test("inspect::a_socket_of_another_network", &[Need::Root], facts::socket),
        test("inspect::limits_of_cgroups", MEMORY, facts::limits),
        test("inspect::addresses", &[Need::Root, Need::Tool("unshare"), Need::Tool("ip")], facts::addresses),
        test("inspect::threads_zombies_and_the_kernels", &[Need::Root], who::odd),
        test("inspect::an_ordinary_user", &[Need::Root], who::ordinary),
        test("inspect::several_at_once", &[], who::several),
        test("inspect::what_is_no_process", &[], who::no_process),
        test("inspect::names_that_mean_harm", UNSHARE, who::names),
        test(
            "inspect::a_silent_fuse_server",
            &[Need::Root, Need::KernelModule("fuse"), Need::File("/dev/fuse")],
            who::silent,
        ),
        test("inspect::looking_opens_nothing_of_a_process", &[Need::Root, Need::Tool("strace")], who::looking),
    ];
    let tests = tests.into_iter().map(Test::sparingly_in_vm).collect();
    Module { name: "inspect", places: &[Place::Vm], tests }
}

/// Inspects one process with `--json`, holds the document against its schema, and returns the process.
pub(super) fn inspect(target: &str) -> Value {
    let done = output(&mut nsx(&["inspect", "--json", target]));
    assert_eq!((done.status.code(), text(&done.stderr)), (Some(0), String::new()), "{target}");
    document(&text(&done.stdout))["processes"][0].clone()
}

/// Starts a shell script that says `ready` when all is as it should be.
fn shell(before: &[&str], script: &str, change: impl FnOnce(&mut Command)) -> Held {
    let mut command = Command::new(before.first().copied().unwrap_or("sh"));
    command.args(before.get(1..).unwrap_or_default());
    if !before.is_empty() {
        command.arg("sh");
    }
    command.args(["-ec", &format!("{script}\necho ready\nread -r line"), "sh"]);
    change(&mut command);
    Held::start_command(&mut command)
}

/// Returns the keys of what is weak about a process.
fn weaknesses(process: &Value) -> Vec<&str> {
    let all = process["weaknesses"].as_array().expect("weaknesses");
    all.iter().map(|one| one["key"].as_str().expect("a key")).collect()
}

/// Returns a namespace of a process.
pub(super) fn namespace<'a>(process: &'a Value, kind: &str) -> &'a Value {
    let all = process["namespaces"].as_array().expect("namespaces");
    all.iter().find(|one| one["type"] == kind).unwrap_or_else(|| panic!("no {kind} in {process:#}"))
}

/// Returns the mount at a point.
pub(super) fn mount<'a>(process: &'a Value, point: &str) -> &'a Value {
    let all = process["mounts"].as_array().expect("mounts");
    all.iter().find(|one| one["point"] == point).unwrap_or_else(|| panic!("no {point} in {:#}", process["mounts"]))
}
