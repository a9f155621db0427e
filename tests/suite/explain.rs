//! `--explain`: the plan that is executed otherwise, as text and as JSON, and nothing is done.

use std::sync::LazyLock;

use serde_json::Value;

use super::harness::{Module, Need, Place, held::Held, inode_of, nsx, output, run, test, text};

pub fn module() -> Module {
    let tests = vec![
        test("explain::the_document_has_its_schema", &[], document),
        test("explain::the_steps_are_those_that_are_made", &[Need::Tool("strace"), Need::Root], steps_are_made),
        test("explain::nothing_is_done", &[Need::Tool("strace")], nothing_is_done),
        test("explain::hostile_words_are_escaped", &[], hostile),
    ];
    Module { name: "explain", places: &[Place::Vm], tests }
}

fn explain(arguments: &[&str]) -> Value {
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let schema = serde_json::from_str(include_str!("../schema/enter.json")).expect("the schema is JSON");
        jsonschema::validator_for(&schema).expect("the schema is one")
    });
    let all: Vec<&str> = ["enter", "--explain", "--json"].into_iter().chain(arguments.iter().copied()).collect();
    let document: Value = serde_json::from_str(&run(&all)).expect("JSON");
    let errors: Vec<String> = SCHEMA.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?} in {document:#}");
    document
}

fn document() {
    let target = Held::start(&["process", "uts"]);
    let pid = target.number(0);
    let document = explain(&["-t", &pid.to_string(), "--no-cgroup", "true"]);
    assert_eq!(document["pid"], pid);
    let root = nix::unistd::geteuid().is_root();
    let entered: &[&str] = if root { &["uts"] } else { &["user", "uts"] };
    assert_eq!(document["entered"], serde_json::json!(entered));
    assert_eq!(document["forks"], false);
    assert_eq!(document["command"], serde_json::json!(["true"]));
    let name = format!("net:[{}]", inode_of(std::process::id(), "net"));
    let document = explain(&["-t", &name, "true"]);
    assert_eq!((&document["pid"], &document["entered"]), (&Value::Null, &serde_json::json!([])));
    assert!(document["notes"][0].as_str().is_some_and(|note| note.contains("the caller's own")), "{document:#}");
}

/// The system calls of the text stand in a trace of the same command, in the same order.
fn steps_are_made() {
    let target = Held::start(&["process", "pid"]);
    let pid = target.number(0).to_string();
    let arguments = ["enter", "-t", &pid, "--no-cgroup", "-S", "7", "-G", "8", "/bin/true"];
    let explained = run(&["enter", "--explain", "-t", &pid, "--no-cgroup", "-S", "7", "-G", "8", "/bin/true"]);
    let calls: Vec<&str> = explained
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_whitespace().find(|word| word.contains('(')))
        .filter_map(|call| call.split('(').next())
        .collect();
    let names = ["setns", "unshare", "mount", "clone", "setpgid", "setgroups", "setresgid", "setresuid", "execve"];
    for name in names {
        assert!(calls.contains(&name), "{name} is not in {explained}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let traced = output(
        std::process::Command::new("strace")
            .args(["-f", "-o"])
            .arg(&trace)
            .arg(super::harness::nsx_path())
            .args(arguments),
    );
    assert!(traced.status.success(), "{}", text(&traced.stderr));
    let trace = std::fs::read_to_string(trace).expect("a trace");
    // From the moment on when the stub is there.
    let (_, after) = trace.split_once("PR_SET_DUMPABLE").expect("the stub");
    let mut made = after
        .lines()
        .filter_map(|line| line.split_whitespace().find_map(|word| word.split_once('(')).map(|(name, _)| name));
    for call in calls {
        assert!(made.any(|name| name == call), "{call} is not made, or not in this place: {explained}\n{after}");
    }
}

fn nothing_is_done() {
    let target = Held::start(&["process", "pid"]);
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-e", "trace=setns,unshare,mount,clone,clone3,fork,vfork,execve,chroot,fchdir,chdir", "-o"]);
    command.arg(&trace).arg(super::harness::nsx_path());
    command.args(["enter", "--explain", "-r", "-t", &target.number(0).to_string(), "true"]);
    let traced = output(&mut command);
    assert!(traced.status.success(), "{}", text(&traced.stderr));
    let trace = std::fs::read_to_string(trace).expect("a trace");
    let calls: Vec<&str> = trace.lines().filter(|line| line.contains('(') && !line.contains("+++")).collect();
    // Without privilege a child may look into a user namespace; it enters nothing else, and nsx nothing at all.
    if nix::unistd::geteuid().is_root() {
        assert_eq!(calls.len(), 1, "{trace}");
    }
    assert!(calls[0].contains("execve"), "{trace}");
}

fn hostile() {
    let own = std::process::id().to_string();
    let word = "a\u{1b}[31m\u{202e}b";
    for json in [false, true] {
        let mut command = nsx(&["enter", "--explain", "-t", &own, "-W", "/x\u{1b}[2J"]);
        command.args(json.then_some("--json")).arg(word);
        let out = output(&mut command);
        assert!(out.status.success(), "{}", text(&out.stderr));
        let shown = text(&out.stdout);
        assert!(
            !shown.chars().any(|character| character != '\n' && (character.is_control() || character == '\u{202e}')),
            "{shown:?}"
        );
    }
}
