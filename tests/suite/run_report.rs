//! What nsx run says: of the end, in a note, in the report of `--stats` and in the last event of `--status-fd`; and of what it would do,
//! by `--explain`. On each kernel and kind of cgroups that there is.
//!
//! How the report is made of what the kernel counts is in `run_limits`, whether the steps that are told are those that are made in
//! `run_life`.

use serde_json::Value;

use super::harness::events::{Events, STATUS_OPTION};
use super::harness::group::is_v1;
use super::harness::processes::new_mark;
use super::harness::{Module, Need, Place, Test, document, nsx, output, test, text};

pub fn module() -> Module {
    let memory = &[Need::Root, Need::Controller("memory")];
    let explained = &[
        Need::Root,
        Need::Controller("memory"),
        Need::Controller("pids"),
        Need::Controller("cpu"),
        Need::Tool("setpriv"),
    ];
    let tests = vec![
        test("run_report::what_was_used_is_printed", &[], stats),
        test("run_report::what_was_used_is_counted_in_a_cgroup", memory, stats_of_memory),
        test(
            "run_report::reading_and_writing_is_counted",
            &[Need::Root, Need::Controller("io"), Need::KernelModule("brd"), Need::Disks(1)],
            stats_of_disks,
        ),
        test("run_report::the_end_is_in_the_report", &[], ends),
        test("run_report::the_report_is_the_same_in_the_last_event", &[], events),
        test("run_report::an_event_names_whose_memory_was_short", memory, oom),
        test("run_report::an_event_names_whose_tasks_were_too_many", &[Need::Root, Need::Controller("pids")], tasks),
        test("run_report::an_event_names_who_was_throttled", &[Need::Root, Need::Controller("cpu")], throttled),
        test("run_report::a_plan_is_told_as_json", explained, explained_json),
        test("run_report::each_step_has_a_reason", explained, reasons),
        test("run_report::each_step_has_a_reason_in_text", explained, reasons_in_text),
    ];
    let tests = tests.into_iter().map(Test::sparingly_in_vm).collect();
    Module { name: "run_report", places: &[Place::Vm], tests }
}

/// Keeps a processor busy for a while in the shell itself.
const BUSY: &str = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done";

/// The lines of `--stats`: names and values. Other notes come before them.
fn printed(options: &[&str], script: &str) -> Vec<(String, String)> {
    let done = output(nsx(&["run", "--stats"]).args(options).args(["sh", "-c", script]));
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{options:?}: {said}");
    assert_eq!(text(&done.stdout), "", "it is the command's");
    let lines = said.lines().filter(|line| !line.starts_with("nsx: note: "));
    let pair = |line: &str| {
        let (name, value) = line.strip_prefix("nsx: ")?.split_once("  ")?;
        Some((name.to_owned(), value.trim_start().to_owned()))
    };
    lines.map(|line| pair(line).unwrap_or_else(|| panic!("{line:?} in {said}"))).collect()
}

fn value<'a>(lines: &'a [(String, String)], name: &str) -> &'a str {
    let found = lines.iter().find(|(found, _)| found == name);
    &found.unwrap_or_else(|| panic!("{name} is not in {lines:?}")).1
}

fn names(lines: &[(String, String)]) -> Vec<&str> {
    lines.iter().map(|(name, _)| name.as_str()).collect()
}

fn seconds(lines: &[(String, String)], name: &str) -> f64 {
    let found = value(lines, name);
    found.strip_suffix(" s").and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} is {found}"))
}

/// The same as a document, with the code that nsx ended with.
fn report(options: &[&str], script: &str) -> (Option<i32>, Value) {
    let done = output(nsx(&["run", "--stats", "--json"]).args(options).args(["sh", "-c", script]));
    let said = text(&done.stderr);
    let begin = said.find('{').unwrap_or_else(|| panic!("{options:?}: {said}"));
    assert!(said[..begin].lines().all(|line| line.starts_with("nsx: note: ")), "{options:?}: {said}");
    (done.status.code(), document(&said[begin..]))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn stats() {
    let lines = printed(&[], BUSY);
    assert_eq!(names(&lines), ["wall", "user", "system", "memory, most"]);
    let (wall, user, system) = (seconds(&lines, "wall"), seconds(&lines, "user"), seconds(&lines, "system"));
    assert!(user > 0.0 && wall > 0.0 && system >= 0.0, "{lines:?}");
    // One process cannot use more than the time that there was; what is cut off and what the init uses is less than this.
    assert!(user + system < wall * 1.2 + 0.2, "{lines:?}");
    let (code, report) = report(&[], &format!("{BUSY}; exit 3"));
    assert_eq!((code, &report["code"], &report["signal"]), (Some(3), &3.into(), &Value::Null));
    assert!(number(&report["cpu_user_usec"]) > 1000 && number(&report["wall_usec"]) > 1000, "{report:#}");
    assert!(number(&report["memory_peak_bytes"]) > 100 << 10, "{report:#}");
    for nothing in ["oom", "too_many_tasks", "throttled", "io"] {
        assert!(report[nothing].is_null(), "{nothing}: {report:#}");
    }
    assert_eq!(report["timeout"], false);
    // Beside it there is no other place for what is said before: a user has one id.
    let notes = report["notes"].as_array().expect("notes");
    assert!(
        notes.iter().all(|note| note.as_str().is_some_and(|note| note.starts_with("only id 0 exists inside"))),
        "{report:#}"
    );
    // What sleeps uses nothing, and the clock goes on.
    let (_, report) = self::report(&[], "sleep 1");
    let wall = number(&report["wall_usec"]);
    assert!(wall >= 1_000_000 && number(&report["cpu_user_usec"]) < wall / 2, "{report:#}");
}

fn stats_of_memory() {
    const MEBIBYTES: u64 = 20;
    let script = format!("dd if=/dev/zero of=/dev/shm/x bs=1048576 count={MEBIBYTES} 2>/dev/null; {BUSY}");
    let (code, report) = report(&["--mem=64M"], &script);
    assert_eq!(code, Some(0), "{report:#}");
    let peak = number(&report["memory_peak_bytes"]);
    assert!((MEBIBYTES << 20..=64 << 20).contains(&peak), "{report:#}");
    assert!(number(&report["cpu_user_usec"]) > 1000, "{report:#}");
    // v1 does not count swap for itself.
    assert!(!is_v1("memory") || report["swap_peak_bytes"].is_null(), "{report:#}");
    let lines = printed(&["--mem=64M"], &script);
    let size = value(&lines, "memory, most");
    let mebibytes: f64 =
        size.strip_suffix('M').and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{size}"));
    assert!((20.0..=64.0).contains(&mebibytes), "{lines:?}");
    assert!(seconds(&lines, "user") > 0.0, "{lines:?}");
    // Without a limit of memory it is that of the largest process, which has not touched it.
    let (_, report) = self::report(&[], &script);
    assert!(number(&report["memory_peak_bytes"]) < MEBIBYTES << 20, "{report:#}");
}

fn stats_of_disks() {
    let numbers = super::harness::disks().swap_remove(0).1;
    let limit = format!("--io={numbers}:rbps=1G");
    let lines = printed(&[&limit], "true");
    let read = value(&lines, "read");
    assert!(read.contains(" in ") && read.ends_with(" requests"), "{lines:?}");
    assert!(value(&lines, "written").ends_with(" requests"), "{lines:?}");
    let (_, report) = report(&[&limit], "true");
    for key in ["read_bytes", "written_bytes", "reads", "writes"] {
        number(&report["io"][key]);
    }
}

fn ends() {
    for (options, script, code, key, value) in [
        (&[][..], "exit 0", Some(0), "code", Value::from(0)),
        (&[], "exit 125", Some(125), "code", 125.into()),
        (&[], "kill -TERM $$", None, "signal", 15.into()),
        (&["--timeout=0.2"], "sleep 1000", Some(124), "timeout", true.into()),
    ] {
        let (ended, report) = report(options, script);
        assert_eq!((ended, &report[key]), (code, &value), "{options:?} {script}: {report:#}");
        let notes = report["notes"].as_array().expect("notes");
        let told = notes.iter().any(|note| note == "the time given by --timeout was over");
        assert_eq!(told, key == "timeout", "{report:#}");
    }
}

/// Runs a shell, and returns its code, what was said, and the report of its last event; `name` is that of the sandbox.
fn last_event(name: &str, options: &[&str], script: &str) -> (Option<i32>, String, Value) {
    let mut command = nsx(&["run", STATUS_OPTION, "--name", name]);
    command.args(options).args(["sh", "-c", script]);
    let events = Events::of(&mut command);
    let done = output(&mut command);
    drop(command);
    let mut all = events.rest();
    let said = text(&done.stderr);
    assert_eq!(all.len(), 2, "{options:?}: {all:?} {said}");
    let last = all.remove(1);
    assert_eq!(
        (&all[0]["event"], &all[0]["name"], &last["event"]),
        (&"started".into(), &name.into(), &"exited".into())
    );
    assert_eq!(last["code"].as_i64(), done.status.code().map(i64::from), "{last:#}");
    (done.status.code(), said, last["report"].clone())
}

fn events() {
    let name = format!("test-{}", new_mark());
    let (code, _, report) = last_event(&name, &[], &format!("{BUSY}; exit 5"));
    assert_eq!(code, Some(5));
    assert!(number(&report["cpu_user_usec"]) > 1000 && report["notes"] == Value::Array(Vec::new()), "{report:#}");
    let (code, said, report) = last_event(&name, &["--timeout=0.2"], "sleep 1000");
    assert_eq!(code, Some(124));
    let note = "the time given by --timeout was over";
    assert!(report["notes"][0] == note && said.contains(&format!("nsx: note: {note}\n")), "{report:#} {said}");
}

/// Makes sure that it was the limit of the sandbox's own cgroup.
fn is_own(bound: &Value, name: &str) {
    assert_eq!(bound["bound_kind"], "own", "{bound:#}");
    let path = bound["bound_by"].as_str().expect("a path");
    assert!(path.starts_with('/') && path.ends_with(&format!("/nsx-{name}")), "{bound:#}");
}

fn oom() {
    let name = format!("test-{}", new_mark());
    // More than there is, in the memory of the program itself, at once.
    let script = "dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null; exit 6";
    let (_, said, report) = last_event(&name, &["--mem=32M"], script);
    let oom = &report["oom"];
    is_own(oom, &name);
    assert_eq!((number(&oom["limit_bytes"]), number(&oom["kills"]) >= 1), (32 << 20, true), "{report:#}");
    let file = if is_v1("memory") { "memory.limit_in_bytes" } else { "memory.max" };
    assert_eq!(oom["file"], file, "{report:#}");
    assert!(number(&report["memory_peak_bytes"]) <= 32 << 20, "{report:#}");
    // The log can be read by who is in no cgroup namespace, and tells the first who was chosen.
    let initial = std::fs::read_link("/proc/self/ns/cgroup").expect("a link");
    let is_told = initial == std::path::Path::new("cgroup:[4026531835]") && std::fs::File::open("/dev/kmsg").is_ok();
    let victims = oom["victims"].as_array().expect("victims");
    let names: Vec<&str> = victims.iter().filter_map(|victim| victim["comm"].as_str()).collect();
    assert_eq!(names, if is_told { &["dd"][..] } else { &[] }, "{report:#}");
    assert!(victims.iter().all(|victim| number(&victim["pid"]) > 1), "{report:#}");
    let note = report["notes"][0].as_str().expect("a note");
    assert!(note.contains("OOM killer") && note.contains("(32M)") && said.contains(note), "{note:?} {said}");
    assert!(!is_told || note.contains("dd"), "{note:?}");
}

fn tasks() {
    let name = format!("test-{}", new_mark());
    let script = "(for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done) 2>/dev/null; exit 6";
    let (code, said, report) = last_event(&name, &["--pids=6"], script);
    assert_eq!(code, Some(6), "{said}");
    let tasks = &report["too_many_tasks"];
    is_own(tasks, &name);
    assert_eq!((number(&tasks["limit"]), number(&tasks["hits"]) >= 1), (6, true), "{report:#}");
    // Not every kernel counts it.
    assert!(report["pids_peak"].is_null() || report["pids_peak"] == 6, "{report:#}");
    let note = report["notes"][0].as_str().expect("a note");
    assert!(note.contains("pids.max") && said.contains(note), "{note:?} {said}");
    let (_, _, report) = last_event(&name, &["--pids=6"], "exit 0");
    assert!(report["too_many_tasks"].is_null() && report["notes"] == Value::Array(Vec::new()), "{report:#}");
}

fn throttled() {
    let name = format!("test-{}", new_mark());
    let (code, said, report) = last_event(&name, &["--cpus=0.1", "--timeout=1.5"], "while :; do :; done");
    assert_eq!(code, Some(124), "{said}");
    let throttled = &report["throttled"];
    is_own(throttled, &name);
    let (periods, in_vain) = (number(&throttled["periods"]), number(&throttled["throttled_periods"]));
    assert!(in_vain >= 1 && periods >= in_vain && number(&throttled["throttled_usec"]) > 1000, "{report:#}");
    // A tenth of a processor was to be had.
    let used = number(&report["cpu_user_usec"]) + number(&report["cpu_system_usec"]);
    assert!(used > 0 && used < number(&report["wall_usec"]) / 2, "{report:#}");
    let note = report["notes"][1].as_str().expect("a note");
    assert!(note.contains("cpu.max (0.1)") && said.contains(note), "{note:?} {said}");
}

/// Options that ask for as many kinds of step as there can be in one plan.
const MANY: [&str; 12] = [
    "--mem=64M",
    "--pids=20",
    "--cpus=1",
    "--hostname=box",
    "--ulimit=nofile=64",
    "--oom-score-adj=300",
    "--time-offset=1d",
    "--user=1000:1000",
    "--tmpfs=/run/small:size=1M",
    "--volume=/usr:/run/there:ro",
    "--volume=/usr:/nsx-test-new",
    "--workdir=/usr",
];

/// Plans of different kinds: with all that, with nothing, without an init, in the background, of an ordinary user.
fn plans() -> Vec<Vec<&'static str>> {
    let plain =
        vec![vec![], vec!["--no-init"], vec!["--detach"], vec!["--userns=keep"], vec!["--unmask", "--share=net,pid"]];
    plain.into_iter().chain([MANY.to_vec()]).collect()
}

/// Returns what nsx prints of a plan, also as an ordinary user.
fn explain(options: &[&str], json: bool) -> Vec<String> {
    let option = if json { &["--explain", "--json"][..] } else { &["--explain"] };
    let words: Vec<&str> = ["run"].iter().chain(option).chain(options).chain(&["/bin/true"]).copied().collect();
    let root = output(nsx(&words).current_dir("/"));
    assert_eq!(root.status.code(), Some(0), "{options:?}: {}", text(&root.stderr));
    let mut all = vec![text(&root.stdout)];
    if options.len() < MANY.len() {
        let [tool, rest @ ..] = super::harness::group::AS_USER;
        let mut user = std::process::Command::new(tool);
        let user = output(user.args(rest).arg(super::harness::nsx_path()).args(&words).current_dir("/"));
        assert_eq!(user.status.code(), Some(0), "as a user: {options:?}: {}", text(&user.stderr));
        all.push(text(&user.stdout));
    }
    all
}

fn explained_json() {
    let created = |document: &Value| -> Vec<String> {
        let kinds = document["created"].as_array().expect("kinds");
        kinds.iter().filter_map(|kind| kind.as_str()).map(str::to_owned).collect()
    };
    for options in plans() {
        for printed in explain(&options, true) {
            let document = document(&printed);
            let kinds = created(&document);
            let shares = options.contains(&"--share=net,pid");
            assert_eq!(kinds.len(), if shares { 6 } else { 8 }, "{options:?}: {kinds:?}");
            assert!(!shares || !kinds.iter().any(|kind| kind == "net" || kind == "pid"), "{options:?}: {kinds:?}");
            assert_eq!(document["command"], serde_json::json!(["/bin/true"]), "{options:?}");
            let limited = options.contains(&"--mem=64M");
            assert_eq!(!document["cgroups"].as_array().expect("cgroups").is_empty(), limited, "{options:?}");
            let steps = document["steps"].as_array().expect("steps");
            let calls: Vec<&str> =
                steps.iter().filter_map(|step| step["calls"].as_array()).flatten().filter_map(Value::as_str).collect();
            for (call, wanted) in [
                ("execve(/bin/true)", true),
                ("clone3(", true),
                ("sethostname(box)", limited),
                ("setresuid(1000)", limited),
            ] {
                let found = calls.iter().any(|found| found.starts_with(call));
                assert_eq!(found, wanted, "{options:?}: {call} in {calls:#?}");
            }
        }
    }
}

fn reasons() {
    let mut without: Vec<String> = Vec::new();
    for options in plans() {
        for printed in explain(&options, true) {
            let document = document(&printed);
            let steps = document["steps"].as_array().expect("steps");
            let bare = steps.iter().filter(|step| step["why"].as_str().is_none_or(|why| why.trim().is_empty()));
            without.extend(bare.map(|step| step["calls"].to_string()));
        }
    }
    without.sort();
    without.dedup();
    assert_eq!(without, [""; 0], "steps without a reason");
}

fn reasons_in_text() {
    let mut without: Vec<String> = Vec::new();
    for options in plans() {
        let json = explain(&options, true);
        for (printed, json) in explain(&options, false).iter().zip(json) {
            let mut steps: Vec<Vec<&str>> = Vec::new();
            for line in printed.lines().filter(|line| !line.starts_with("note: ")) {
                // A number begins a step; what else belongs to it stands further to the right.
                match line.starts_with("     ") {
                    true => steps.last_mut().expect("a step").push(line.trim_start()),
                    false => steps.push(vec![line.trim_start()]),
                }
            }
            assert_eq!(
                steps.len(),
                document(&json)["steps"].as_array().expect("steps").len(),
                "{options:?}: {printed}"
            );
            for (number, step) in steps.iter().enumerate() {
                assert!(step[0].starts_with(&format!("{} ", number + 1)), "{options:?}: {step:?}");
                let reasons = step.iter().filter(|line| line.strip_prefix("# ").is_some_and(|why| !why.is_empty()));
                match reasons.count() {
                    1 => {}
                    _ => without.push(step[0].split_once(' ').expect("a number").1.trim_start().to_owned()),
                }
            }
        }
    }
    without.sort();
    without.dedup();
    assert_eq!(without, [""; 0], "steps without a reason");
}
