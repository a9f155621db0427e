//! Limits that are reached, for real: of memory, of time on processors, of processes.

use std::os::unix::process::ExitStatusExt;

use serde_json::json;

use super::super::harness::{cgroup::Own, held::Held, run};
use super::{effective, event, group, headroom, json, knob};

const MIB: u64 = 1 << 20;

/// A process that is in a cgroup of a test's, and waits.
pub(super) fn member(own: &Own, below: &str) -> Held {
    let held = Held::start(&["hold", "1"]);
    own.add(held.pid(), below);
    held
}

pub(super) fn above() {
    let own = Own::new("above", &["memory", "cpu", "pids"]);
    own.set("", "memory.max", "100663296");
    own.set("", "cpu.max", "50000 100000");
    own.set("", "pids.max", "50");
    own.make("child");
    let held = member(&own, "child");
    let (top, child) = (json!(own.text("")), own.text("child"));
    let process = held.pid().to_string();
    for target in [process.as_str(), &child] {
        let shown = json(&["show", target]);
        for (name, limit) in [("memory.max", 96 * MIB), ("cpu.max", 500), ("pids.max", 50)] {
            assert_eq!(effective(&shown, name), (&json!(limit), &top), "{target} {name}");
            assert_eq!(knob(&shown, name)["value"], "max", "{target} {name}");
        }
        assert_eq!((knob(&shown, "pids.max")["usage"].clone(), headroom(&shown, "pids.max")), (json!(1), (49, &top)));
        assert_eq!(shown["cpus"]["millicpus"], 500, "{target}");
        assert_eq!(shown["cpus"]["affinity"].is_u64(), target == process, "{target}");
        if !own.is_v2("memory") {
            assert_eq!(own.count("child", "memory.stat", "hierarchical_memory_limit"), Some(96 * MIB));
            assert_eq!(knob(&shown, "memory.max")["kernel"], 96 * MIB, "the kernel says the same");
        }
        let ladder = json(&["path", target]);
        let row = ladder["rows"].as_array().and_then(|rows| rows.iter().find(|row| row["path"] == top)).expect("a row");
        let binding = row["limits"].as_array().expect("limits").iter().filter(|step| step["binds"] == true);
        let names: Vec<&str> = binding.filter_map(|step| step["knob"].as_str()).collect();
        assert_eq!(names, ["memory.max", "cpu.max", "pids.max"], "{target}");
    }
    let listed = json(&["ls", &own.text("")]);
    for path in [&own.text(""), &child] {
        let one = group(&listed, path);
        assert_eq!((&one["memory_effective"], &one["memory_bound_by"]), (&json!(96 * MIB), &top), "{path}");
        assert_eq!((&one["cpu_effective_millicpus"], &one["cpu_bound_by"]), (&json!(500), &top), "{path}");
        assert_eq!((&one["pids_effective"], &one["pids_bound_by"]), (&json!(50), &top), "{path}");
    }
    // A list that begins below knows who is above.
    let below = json(&["ls", &child]);
    assert_eq!(below["cgroups"].as_array().map(Vec::len), Some(1));
    assert_eq!(group(&below, &child)["memory_bound_by"], top);
    // The nearer of equal limits is named.
    own.set("child", "pids.max", "50");
    assert_eq!(effective(&json(&["show", &child]), "pids.max"), (&json!(50), &json!(child)));
}

/// A sibling uses up what the one above allows.
pub(super) fn room() {
    let own = Own::new("room", &["memory"]);
    own.set("", "memory.max", &(96 * MIB).to_string());
    own.make("child");
    own.make("sibling");
    own.set("child", "memory.max", &(64 * MIB).to_string());
    let _held = member(&own, "child");
    let mut sibling = Held::start(&["hold", &(48 * MIB).to_string()]);
    own.add(sibling.pid(), "sibling");
    sibling.poke();
    let file = if own.is_v2("memory") { "memory.current" } else { "memory.usage_in_bytes" };
    while own.read("sibling", file).parse::<u64>().expect("a number") < 48 * MIB {
        std::thread::yield_now();
    }
    let shown = json(&["show", &own.text("child")]);
    assert_eq!(effective(&shown, "memory.max"), (&json!(64 * MIB), &json!(own.text("child"))));
    let (left, by) = headroom(&shown, "memory.max");
    assert_eq!(by, &json!(own.text("")));
    assert!(left <= 48 * MIB, "{left}");
    let text = run(&["cg", "path", &own.text("child")]);
    let has = |name: &str, cell: &str| text.lines().any(|line| line.contains(name) && line.contains(cell));
    assert!(has(own.name(), " 96M<") && has("─child ", " 64M*"), "{text}");
}

pub(super) fn killed() {
    let own = Own::new("oom", &["memory"]);
    own.set("", "memory.max", &(32 * MIB).to_string());
    // So that it ends also where there is swap.
    if !own.read("", "memory.swap.max").is_empty() {
        own.set("", "memory.swap.max", "0");
    }
    if !own.read("", "memory.memsw.limit_in_bytes").is_empty() {
        // Not to as little: it would be reached first, and Linux 6.18 does not count that.
        own.set("", "memory.memsw.limit_in_bytes", &(64 * MIB).to_string());
    }
    own.make("child");
    let mut eater = Held::start(&["eat", &(256 * MIB).to_string()]);
    own.add(eater.pid(), "child");
    eater.poke();
    assert_eq!(eater.ended().signal(), Some(9));
    let (top, child) = (own.text(""), own.text("child"));
    let shown = json(&["show", &child]);
    assert_eq!(effective(&shown, "memory.max"), (&json!(32 * MIB), &json!(top)));
    let count = |path: &str, file: &str, key: &str| event(&shown, path, file, Some(key)).expect("a counter");
    if own.is_v2("memory") {
        assert!(count(&top, "memory.events.local", "oom") >= 1, "{shown:#}");
        assert_eq!(count(&child, "memory.events.local", "oom"), 0);
        assert_eq!(count(&top, "memory.events.local", "oom_kill"), 0);
        assert_eq!(count(&child, "memory.events.local", "oom_kill"), 1);
        assert_eq!((count(&top, "memory.events", "oom_kill"), count(&child, "memory.events", "oom_kill")), (1, 1));
    } else {
        assert_eq!(count(&child, "memory.oom_control", "oom_kill"), 1);
        assert_eq!(count(&top, "memory.oom_control", "oom_kill"), 0);
        assert!(event(&shown, &top, "memory.failcnt", None) >= Some(1), "{shown:#}");
        assert_eq!(event(&shown, &child, "memory.failcnt", None), Some(0));
    }
    let text = run(&["cg", "show", &child]);
    assert!(text.contains("  oom_kill 1, "), "{text}");
    let whose = if own.is_v2("memory") { "oom " } else { "memory.failcnt " };
    let line = text.lines().find(|line| line.starts_with("memory events")).expect("a line");
    assert!(line.contains(whose) && line.contains(own.name()), "{line}");
}

pub(super) fn throttled() {
    let own = Own::new("quota", &["cpu", "cpuacct"]);
    own.set("", "cpu.max", "10000 100000");
    own.make("child");
    let mut spinner = Held::start(&["spin"]);
    own.add(spinner.pid(), "child");
    spinner.poke();
    while own.count("", "cpu.stat", "nr_throttled").expect("a counter") == 0 {
        std::thread::yield_now();
    }
    let (top, child) = (own.text(""), own.text("child"));
    let shown = json(&["show", &spinner.pid().to_string()]);
    assert_eq!(effective(&shown, "cpu.max"), (&json!(100), &json!(top)));
    assert!(event(&shown, &top, "cpu.stat", Some("nr_throttled")) >= Some(1), "{shown:#}");
    assert_eq!(event(&shown, &child, "cpu.stat", Some("nr_throttled")), Some(0));
    let text = run(&["cg", "show", &child]);
    let line = text.lines().find(|line| line.starts_with("cpu events")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("nr_throttled ") && line.contains(own.name()), "{line}");
    let listed = json(&["ls", &top, "--interval", "500ms"]);
    let one = group(&listed, &top);
    assert!(one["nr_throttled"].as_u64() >= Some(1) && one["nr_periods"].as_u64() >= Some(1), "{one:#}");
    assert!(one["throttled_percent"].as_f64().is_some_and(|percent| percent > 0.0), "{one:#}");
    assert_eq!(group(&listed, &child)["nr_throttled"], 0);
    // Half a second is five periods, of which it gets a tenth, and what is left of the one before; nothing at all where it has had
    // too much already.
    let used = group(&listed, &child)["cpu_percent"].as_f64().expect("a rate");
    assert!(used < 60.0, "{used}");
    assert!(listed["interval_usec"].as_u64() >= Some(500_000), "{listed:#}");
    assert!(run(&["cg", "ls", &top]).lines().next().is_some_and(|line| line.contains("THROTTLED")));
}

pub(super) fn forks() {
    let own = Own::new("pids", &["pids"]);
    own.set("", "pids.max", "3");
    own.make("child");
    let mut forker = Held::start(&["forks"]);
    own.add(forker.pid(), "child");
    forker.poke();
    // Kernels do not agree on who counts: the one whose limit it was, or the one that the process is in.
    let counted = |below: &str| own.count(below, "pids.events", "max").unwrap_or_default();
    while counted("") + counted("child") == 0 {
        std::thread::yield_now();
    }
    let (top, child) = (own.text(""), own.text("child"));
    let shown = json(&["show", &forker.pid().to_string()]);
    assert_eq!(effective(&shown, "pids.max"), (&json!(3), &json!(top)));
    assert_eq!(headroom(&shown, "pids.max"), (0, &json!(top)));
    assert_eq!(knob(&shown, "pids.max")["usage"], 3);
    for (path, below) in [(&top, ""), (&child, "child")] {
        assert_eq!(event(&shown, path, "pids.events", Some("max")), own.count(below, "pids.events", "max"), "{path}");
        let local = own.count(below, "pids.events.local", "max");
        assert_eq!(event(&shown, path, "pids.events.local", Some("max")), local, "{path}");
    }
    let text = run(&["cg", "show", &child]);
    assert!(text.lines().any(|line| line.starts_with("pids events ") && line.contains("  max 1")), "{text}");
    let listed = json(&["ls", &top]);
    assert_eq!((&group(&listed, &child)["nprocs"], &group(&listed, &child)["pids_current"]), (&json!(3), &json!(3)));
    let full = json(&["ls", &top, "--over", "99%"]);
    assert_eq!(full["cgroups"].as_array().map(Vec::len), Some(2), "{full:#}");
}

pub(super) fn frozen() {
    let own = Own::new("freezer", &["pids", "freezer"]);
    own.make("child");
    let held = member(&own, "child");
    let (top, child) = (own.text(""), own.text("child"));
    let seen = || {
        let shown = json(&["show", &held.pid().to_string()]);
        let (frozen, by) = effective(&shown, "cgroup.freeze");
        let any = shown["cgroups"].as_array().expect("cgroups").iter().any(|one| one["frozen"] == true);
        let listed = json(&["ls", &top]);
        let listed = [&top, &child].map(|path| group(&listed, path)["frozen"] == true);
        (frozen.clone(), by.clone(), any, listed)
    };
    let frozen = own.freeze();
    assert_eq!(seen(), (json!(1), json!(top), true, [true, true]));
    assert!(run(&["cg", "ls", &top]).lines().all(|line| line.ends_with("FROZEN") || line.ends_with("frozen")));
    let text = run(&["cg", "show", &child]);
    assert!(text.lines().any(|line| line.starts_with("cgroup.freeze") && line.contains(own.name())), "{text}");
    drop(frozen);
    assert_eq!(seen(), (json!(0), json!(null), false, [false, false]));
}

pub(super) fn cpuset() {
    let own = Own::new("cpuset", &["cpuset", "cpu"]);
    own.set("", "cpuset.cpus", "0");
    own.set("", "cpu.max", "300000 100000");
    own.make("child");
    let held = member(&own, "child");
    let shown = json(&["show", &held.pid().to_string()]);
    let one = knob(&shown, "cpuset.cpus");
    let v2 = own.is_v2("cpuset");
    let kernel = own.read("child", if v2 { "cpuset.cpus.effective" } else { "cpuset.effective_cpus" });
    assert_eq!((&one["effective_list"], &one["effective"]), (&json!(kernel), &json!(1)), "{one:#}");
    assert_eq!(kernel, "0");
    // On v1 everybody has to have a list, so the one below has a copy.
    assert_eq!(one["bound_by"], if v2 { own.text("") } else { own.text("child") });
    assert_eq!(one["list"], if v2 { "" } else { "0" });
    let cpus = &shown["cpus"];
    assert_eq!((&cpus["cpuset"], &cpus["affinity"], &cpus["quota_millicpus"]), (&json!(1), &json!(1), &json!(3000)));
    assert_eq!(cpus["millicpus"], 1000, "less than the quota");
    let text = run(&["cg", "show", &held.pid().to_string()]);
    let line = text.lines().find(|line| line.starts_with("processors")).expect("a line");
    assert!(line.contains("  1 (cpu.max 3, cpuset 1, affinity 1, online "), "{line}");
}

pub(super) fn pressure() {
    let own = Own::new("psi", &[]);
    let folder = &own.folders("")[0];
    let total = |file: &str| -> u64 {
        let text = std::fs::read_to_string(folder.join(file)).expect("pressure");
        let total = text.lines().next().and_then(|line| line.split("total=").nth(1)).expect("a total");
        total.parse().expect("a number")
    };
    let mut spinners = [Held::start(&["spin"]), Held::start(&["spin"]), Held::start(&["spin"])];
    for spinner in &mut spinners {
        own.add(spinner.pid(), "");
        spinner.poke();
    }
    // More of them than one processor can run at a time.
    while total("cpu.pressure") == 0 {
        std::thread::yield_now();
    }
    let before = total("cpu.pressure");
    let shown = json(&["show", &own.text("")]);
    let after = total("cpu.pressure");
    let resources = shown["pressure"].as_array().expect("pressure");
    let names: Vec<&str> = resources.iter().filter_map(|one| one["resource"].as_str()).collect();
    assert_eq!(names, ["cpu", "memory", "io"]);
    let told = resources[0]["some_total_usec"].as_u64().expect("a number");
    assert!(before <= told && told <= after, "{before} {told} {after}");
    assert!(group(&json(&["ls", &own.text("")]), &own.text(""))["pressure"]["cpu"].is_object());
    assert!(run(&["cg", "show", &own.text("")]).contains("pressure, 10 s  cpu some "));
    // It can be switched off for one.
    if std::fs::write(folder.join("cgroup.pressure"), "0").is_ok() {
        assert_eq!(json(&["show", &own.text("")])["pressure"], json!([]));
        assert_eq!(group(&json(&["ls", &own.text("")]), &own.text(""))["pressure"]["cpu"], json!(null));
    }
}
