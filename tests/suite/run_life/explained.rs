//! `nsx run --explain`: the plan that is shown is the one that is executed, and showing it does nothing.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::super::harness::{Need, Test, nsx_path, output, quiet, run, test, text};
use super::left::Host;

pub(super) fn tests() -> Vec<Test> {
    let traced = &[Need::Root, Need::Tool("strace")];
    let limited = &[Need::Root, Need::Tool("strace"), Need::Controller("memory"), Need::Controller("pids")];
    vec![
        test("run_life::the_steps_that_are_explained_are_made_in_their_order", traced, plain),
        test("run_life::the_steps_that_are_explained_are_made_with_limits", limited, limits),
        quiet("run_life::to_explain_makes_nothing", limited, nothing),
    ]
}

fn steps(options: &[&str]) -> Vec<Value> {
    let all: Vec<&str> = ["run", "--explain", "--json"].iter().chain(options).copied().chain(["/bin/true"]).collect();
    let document: Value = serde_json::from_str(&run(&all)).expect("JSON");
    document["steps"].as_array().expect("steps").clone()
}

/// Runs nsx below strace(1), and returns the calls of each process, in order, each with its arguments.
fn trace(options: &[&str]) -> (i32, Vec<(u32, String)>) {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let file = folder.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-s", "200", "-o"]).arg(&file).arg(nsx_path()).args(["run"]).args(options).arg("/bin/true");
    let done = output(&mut command);
    let trace = std::fs::read_to_string(&file).expect("a trace");
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        // What another process has cut in two is one call, at the place where it began.
        if call.starts_with("<...") || call.starts_with("---") || call.starts_with("+++") {
            continue;
        }
        calls.push((pid.parse().expect("a pid"), call.to_owned()));
    }
    (done.status.code().unwrap_or_else(|| panic!("{}: {}", done.status, text(&done.stderr))), calls)
}

fn name(call: &str) -> &str {
    call.split('(').next().unwrap_or_default()
}

/// Finds out which process is which: nsx itself, the stub, the first one, and the command.
fn roles(calls: &[(u32, String)]) -> BTreeMap<&'static str, u32> {
    let nsx = calls[0].0;
    let first = |is: &dyn Fn(&(u32, String)) -> bool| calls.iter().find(|call| is(call)).map(|(pid, _)| *pid);
    let stub = first(&|(pid, call)| *pid != nsx && name(call) == "setsid").expect("a stub");
    let init = first(&|(pid, call)| *pid != nsx && *pid != stub && name(call) == "open_tree").expect("a first process");
    let execs = |(pid, call): &(u32, String)| *pid != nsx && call.starts_with("execve(\"/bin/true\"");
    let command = first(&execs).expect("a command");
    BTreeMap::from([("nsx", nsx), ("stub", stub), ("init", init), ("command", command)])
}

/// Makes sure that each process makes the calls of its steps in their order. A call that stands in for one that has failed is not made, nor
/// what is only needed when somebody is killed: of each step, what is not made must be explained by that.
fn compare(options: &[&str]) {
    let steps = steps(options);
    let (code, calls) = trace(options);
    assert_eq!(code, 0, "{options:?}");
    let roles = roles(&calls);
    for (role, pid) in &roles {
        let mut made = calls.iter().filter(|(of, _)| of == pid).map(|(_, call)| call.as_str());
        for step in steps.iter().filter(|step| step["who"] == *role) {
            let mut wanted: Vec<&str> =
                step["calls"].as_array().expect("calls").iter().filter_map(Value::as_str).collect();
            // What follows the birth of the command in the list is the command's.
            if let Some(birth) = wanted.iter().position(|call| call.starts_with("clone(SIGCHLD")) {
                wanted.truncate(birth + 1);
            }
            for call in needed(&wanted) {
                let call = name(call);
                assert!(
                    made.any(|line| name(line) == call),
                    "{options:?}: {role} does not make {call}, or not here: {step}"
                );
            }
        }
    }
    // And the command is what was asked for, after everything else.
    let last = steps.iter().rposition(|step| step["who"] == "command").expect("a step");
    assert!(steps[last]["calls"].to_string().contains("execve(/bin/true)"), "{}", steps[last]);
}

/// The calls of a step that every run makes: not those behind a `fsmount` that has gone well, of a life that was not cut short, and of
/// paths that were found.
fn needed<'a>(calls: &[&'a str]) -> Vec<&'a str> {
    if calls.iter().any(|call| call.starts_with("pidfd_send_signal") || call.starts_with("wait4")) {
        return Vec::new();
    }
    let mounted = calls.iter().position(|call| call.starts_with("fsmount") && calls[0].starts_with("fsopen"));
    let alternative = calls.iter().skip(mounted.unwrap_or(0)).any(|call| call.starts_with("open_tree"));
    let made = match mounted {
        Some(place) if alternative => &calls[..=place],
        _ => calls,
    };
    let first_try = |call: &&&str| !call.starts_with("exit_group") && !call.starts_with("close");
    let mut all: Vec<&str> = made.iter().filter(first_try).copied().collect();
    // Of several places that would do as the working directory the first one does.
    if all.iter().any(|call| call.starts_with("openat2")) {
        all.truncate(3);
    }
    all
}

fn plain() {
    for options in [
        &[][..],
        &["--no-init"],
        &["--net=host", "--share=uts"],
        &["--userns=host"],
        &["--user=7:8", "--cap-add=NET_RAW"],
        &["--volume=/usr:/run/nsx-test:ro", "--tmpfs=/mnt", "--ulimit=nofile=100", "--oom-score-adj=100"],
    ] {
        compare(options);
    }
}

fn limits() {
    compare(&super::LIMITS);
    compare(&["--mem=64M", "--no-init"]);
}

fn nothing() {
    let before = Host::look_closely();
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let file = folder.path().join("trace");
    for json in [&[][..], &["--json"]] {
        let mut command = Command::new("strace");
        let which = "trace=clone,clone3,fork,vfork,unshare,setns,mount,move_mount,fsopen,pivot_root,mkdir,mkdirat,write,sethostname,kill";
        command.args(["-f", "-e", which, "-o"]).arg(&file).arg(nsx_path()).args(["run", "--explain"]);
        let done = output(command.args(json).args(super::LIMITS).arg("true"));
        assert!(done.status.success(), "{}", text(&done.stderr));
        let trace = std::fs::read_to_string(&file).expect("a trace");
        // It tries out whether a call is there, with arguments that are refused, and writes to its output.
        let is_harmless = |line: &&str| line.contains("+++") || line.contains(" write(1, ") || line.contains(" = -1 E");
        let done: Vec<&str> = trace.lines().filter(|line| !is_harmless(line)).collect();
        assert!(done.is_empty(), "{done:#?}");
    }
    before.until_as_before_closely("a plan that was shown");
}
