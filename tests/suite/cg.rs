//! `nsx cg ls`, `show` and `path` on cgroups that are made for the test, on whatever hierarchies the machine has: v1, hybrid or v2.
//!
//! What real kernels once said is in `cg_recorded`.

use serde_json::Value;

use super::harness::{Module, Need, Place, document, run, test};

mod limits;
mod list;
mod targets;
mod views;

const MEMORY: Need = Need::Controller("memory");
const CPU: Need = Need::Controller("cpu");
const PIDS: Need = Need::Controller("pids");
const CPUSET: Need = Need::Controller("cpuset");

pub fn module() -> Module {
    let root = &[Need::Root];
    let unshare = &[Need::Root, Need::Tool("unshare"), Need::Tool("mount"), PIDS];
    let tests = vec![
        test("cg::limits_of_those_above_count", &[Need::Root, MEMORY, CPU, PIDS], limits::above),
        test("cg::a_limit_that_is_one_can_be_felt_at_another", &[Need::Root, MEMORY], limits::room),
        test("cg::who_was_killed_and_whose_limit_it_was", &[Need::Root, MEMORY], limits::killed),
        test("cg::throttling_by_a_quota_above", &[Need::Root, CPU], limits::throttled),
        test("cg::forks_that_are_refused", &[Need::Root, PIDS], limits::forks),
        test("cg::frozen_by_one_above", &[Need::Root, PIDS], limits::frozen),
        test("cg::processors_are_those_of_the_kernel", &[Need::Root, CPUSET, CPU], limits::cpuset),
        test("cg::pressure", &[Need::Root, Need::File("/proc/pressure/cpu")], limits::pressure),
        test("cg::a_namespace_has_its_own_path", unshare, views::path_inside),
        test("cg::from_inside_of_a_namespace", unshare, views::from_inside),
        test("cg::mounts_at_other_places", unshare, views::moved),
        test("cg::names_that_mean_harm", root, views::names),
        test("cg::a_cgroup_that_was_removed", root, views::removed),
        test("cg::an_ordinary_user_sees_all_that_can_be_read", &[Need::Root, PIDS], views::ordinary),
        test("cg::whoever_calls_sees_himself", &[], views::own),
        test("cg::cgroups_that_come_and_go", root, list::vanishing),
        test("cg::the_list_is_what_there_is", &[Need::Root, PIDS], list::tree),
        test("cg::the_list_is_cut_down", &[Need::Root, MEMORY, PIDS], list::filters),
        test("cg::the_list_is_sorted", &[Need::Root, MEMORY, PIDS, CPU], list::sorted),
        test("cg::the_list_has_columns", root, list::columns),
        test("cg::the_list_names_processes", root, list::processes),
        test("cg::looking_writes_to_nothing", &[Need::Tool("strace")], targets::looking),
        test("cg::targets", &[], targets::targets),
        test("cg::targets_that_mean_nothing", &[], targets::nothing),
        test("cg::a_captured_tree_is_not_changed", &[], targets::captured),
        test("cg::names_that_are_no_utf_8", &[], targets::bytes),
        test("cg::wrong_usage", &[], targets::usage),
        test("cg::closed_pipes_and_full_disks", &[], targets::streams),
    ];
    Module { name: "cg", places: &[Place::Vm], tests }
}

/// Runs nsx cg, which must succeed, with `--json`, and returns the document after holding it against its schema.
fn json(arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["cg"].into_iter().chain(arguments.iter().copied()).chain(["--json"]).collect();
    document(&run(&all))
}

/// Returns a limit of a document of `nsx cg show` or `path`.
fn knob<'a>(document: &'a Value, name: &str) -> &'a Value {
    let all = document["limits"].as_array().expect("limits");
    all.iter().find(|one| one["knob"] == name).unwrap_or_else(|| panic!("no {name} in {document:#}"))
}

/// Returns what counts and who sees to it.
fn effective<'a>(document: &'a Value, name: &str) -> (&'a Value, &'a Value) {
    let one = knob(document, name);
    (&one["effective"], &one["bound_by"])
}

/// Returns what is left and by whose limit.
fn headroom<'a>(document: &'a Value, name: &str) -> (u64, &'a Value) {
    let one = knob(document, name);
    (one["headroom"].as_u64().unwrap_or_else(|| panic!("{one:#}")), &one["headroom_bound_by"])
}

/// Returns a counter of a cgroup, if it is told.
fn event(document: &Value, path: &str, file: &str, key: Option<&str>) -> Option<u64> {
    let all = document["events"].as_array().expect("events");
    let is_it = |one: &&Value| one["path"] == path && one["file"] == file && one["key"].as_str() == key;
    all.iter().find(is_it)?["value"].as_u64()
}

/// Returns the cgroup with this path from a list.
fn group<'a>(document: &'a Value, path: &str) -> &'a Value {
    let all = document["cgroups"].as_array().expect("cgroups");
    all.iter().find(|one| one["path"] == path).unwrap_or_else(|| panic!("no {path} in {document:#}"))
}
