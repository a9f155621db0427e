//! The two backends of `nsx ls` and `nsx ps`, side by side: the same host, the same answer.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use nix::libc::SYS_bpf;
use serde_json::{Value, json};

use super::harness::{
    Module, Need, Place, document, held::Held, ls_json, namespace, nsx, nsx_path, output, quiet, run, test, text,
};

pub fn module() -> Module {
    let root = &[Need::Root];
    let tests = vec![
        quiet("backends::both_see_the_same", root, both_see_the_same),
        quiet("backends::under_churn_each_is_consistent", root, under_churn),
        quiet("backends::both_know_the_same_sandboxes", root, same_sandboxes),
        test("backends::which_it_was_is_said", root, which_it_was),
        test("backends::the_environment_says_which", root, by_environment),
        test("backends::few_processes_are_read_from_proc", root, few_processes),
        test("backends::names_are_looked_up_the_same_way", &[Need::Root, Need::Tool("strace")], names_by_proc),
        test("backends::without_privilege_proc_takes_over", &[], without_privilege),
        test("backends::elsewhere_proc_takes_over", &[Need::Root, Need::Tool("unshare")], elsewhere),
        test("backends::without_bpf_proc_takes_over", root, without_bpf),
        test("backends::a_refusal_has_the_verifiers_log", root, refused_program),
    ];
    Module { name: "backends", places: &[Place::Vm], tests }
}

/// What holds namespaces in every way that there is.
fn everything() -> Vec<Held> {
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let mut all: Vec<Held> = kinds.iter().map(|kind| Held::start(&["process", kind])).collect();
    all.extend(["cgroup", "ipc", "mnt", "net", "uts"].iter().map(|kind| Held::start(&["fd", kind])));
    all.extend(["ipc", "net", "uts"].iter().map(|kind| Held::start(&["thread", kind])));
    for role in [
        &["for-children"][..],
        &["socket"],
        &["leader-exits", "uts"],
        &["zombie"],
        &["nested-user"],
        &["fds-of-thread", "100"],
        &["many-fds"],
    ] {
        all.push(Held::start(role));
    }
    all
}

/// Runs `nsx ls` by one backend, and takes nsx itself out of what it says: another process each time.
fn listed(backend: &str) -> Value {
    let child = nsx(&["ls", "--json", "--members", "--backend", backend])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("nsx");
    let own = json!(child.id());
    let done = child.wait_with_output().expect("nsx");
    let mut document = document(&text(&done.stdout));
    assert_eq!(document["backend"], backend);
    let Value::Object(fields) = &mut document else { panic!("no document") };
    fields.remove("backend");
    // What /proc does not show, BPF may.
    fields.remove("gaps");
    for one in fields["namespaces"].as_array_mut().expect("namespaces") {
        let members = one["members"].as_array_mut().expect("members");
        let before = members.len();
        members.retain(|pid| *pid != own);
        if members.len() < before {
            // It has as many threads as it takes.
            one["nthreads"] = Value::Null;
            one["nprocs"] = json!(before - 1);
            for way in one["held_by"].as_array_mut().expect("ways").iter_mut().filter(|way| way["kind"] == "process") {
                way["count"] = json!(before - 1);
            }
        }
    }
    document
}

fn both_see_the_same() {
    let held = everything();
    let unborn = Held::start(&["pid-for-children"]);
    // Others may start processes meanwhile, on a machine that is not ours alone.
    for _ in 0..50 {
        let (before, other, after) = (listed("bpf"), listed("proc"), listed("bpf"));
        if before != after {
            continue;
        }
        let wanted = held.iter().flat_map(|held| &held.words).filter(|word| word.contains(":["));
        for word in wanted {
            let inode = word.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number");
            namespace(&before, inode);
        }
        let (bpf, proc) = (by_namespace(&before), by_namespace(&other));
        for (bpf, proc) in bpf.iter().zip(&proc) {
            assert_eq!(bpf, proc);
        }
        assert_eq!(bpf.len(), proc.len());
        let all = before["namespaces"].as_array().expect("namespaces");
        let is_held = |one: &Value| {
            let ways = one["held_by"].as_array().expect("ways");
            ways.iter().any(|way| way["kind"] == "for_children" && way["pid"] == unborn.pid())
        };
        assert!(all.iter().any(|one| one["type"] == "pid" && is_held(one)), "{before:#}");
        return;
    }
    panic!("the host is never quiet");
}

/// Leaves out the one thing that `/proc` does not show: a pid namespace that a task has made for its children, and that has no process 1 yet.
fn by_namespace(document: &Value) -> Vec<String> {
    let all = document["namespaces"].as_array().expect("namespaces");
    let is_shown = |one: &&Value| {
        let ways = one["held_by"].as_array().expect("ways");
        one["type"] != "pid" || one["owner"].is_u64() || ways.iter().any(|way| way["kind"] != "for_children")
    };
    all.iter().filter(is_shown).map(|one| serde_json::to_string_pretty(one).expect("JSON")).collect()
}

fn under_churn() {
    let stable: Vec<Held> = ["uts", "net", "pid", "mnt"].iter().map(|kind| Held::start(&["process", kind])).collect();
    let _churn = [Held::start(&["churn"]), Held::start(&["churn"])];
    let rounds = if Place::here() == Place::Machine { 300 } else { 30 };
    for round in 0..rounds {
        let list = ls_json(&["--members", "--backend", ["bpf", "proc"][round % 2]]);
        for held in &stable {
            let found = namespace(&list, held.number(1));
            assert!(found["pid"].is_u64() && found["owner"].is_u64(), "run {round}: {found:#}");
        }
        for one in list["namespaces"].as_array().expect("namespaces") {
            let members: Vec<u64> =
                one["members"].as_array().expect("members").iter().filter_map(Value::as_u64).collect();
            let sorted: BTreeSet<u64> = members.iter().copied().collect();
            assert!(sorted.iter().eq(&members), "run {round}: each once, in order: {members:?}");
            assert_eq!(one["nprocs"], members.len(), "run {round}");
            assert!(one["pid"].as_u64().is_none_or(|leader| sorted.contains(&leader)), "run {round}: {one:#}");
            assert_eq!(one["pid"].is_null(), members.is_empty(), "run {round}: somebody leads: {one:#}");
            assert!(!one["held_by"].as_array().expect("ways").is_empty(), "run {round}: {one:#}");
        }
    }
}

fn same_sandboxes() {
    let sandbox = Held::start_command(Command::new(nsx_path()).args([
        "run",
        "--name",
        "nsx-backends",
        "--",
        "sh",
        "-c",
        "echo ready; read word",
    ]));
    let seen = |backend: &str| {
        let mut document = document(&run(&["ps", "--json", "--backend", backend]));
        assert_eq!(document["backend"], backend);
        let all = document["sandboxes"].as_array_mut().expect("sandboxes");
        all.retain(|one| one["name"] == "nsx-backends");
        let Some(Value::Object(one)) = all.pop() else { panic!("not there by {backend}") };
        ["engine", "verified", "pid", "start_time_ticks", "nprocs", "members"].map(|key| one[key].clone())
    };
    assert_eq!(seen("bpf"), seen("proc"));
    drop(sandbox);
}

fn said(arguments: &[&str]) -> (Value, String) {
    let done = output(&mut nsx(arguments));
    assert!(done.status.success(), "{arguments:?}: {}", text(&done.stderr));
    (document(&text(&done.stdout)), text(&done.stderr))
}

fn which_it_was() {
    for command in ["ls", "ps"] {
        let (document, notes) = said(&[command, "--json", "--backend", "bpf", "-v"]);
        assert_eq!(document["backend"], "bpf", "{notes}");
        assert!(notes.contains("nsx: note: BPF has looked at all tasks\n"), "{notes}");
        let (document, notes) = said(&[command, "--json", "--backend", "proc", "-v"]);
        assert_eq!(document["backend"], "proc");
        assert!(notes.contains("nsx: note: /proc was read\n"), "{notes}");
        let (_, notes) = said(&[command, "--json", "--backend", "proc"]);
        assert!(!notes.contains("/proc was read"), "{notes}");
        let (_, notes) = said(&[command, "--json", "--backend", "bpf"]);
        assert!(!notes.contains("BPF"), "{notes}");
    }
}

fn by_environment() {
    let said = |word: &str, arguments: &[&str]| {
        let done = output(nsx(arguments).env("NSX_BACKEND", word));
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    };
    for command in ["ls", "ps"] {
        for (word, more, used) in [
            ("bpf", &[][..], "bpf"),
            ("proc", &[], "proc"),
            ("bpf", &["--backend", "proc"], "proc"),
            ("proc", &["--backend", "bpf"], "bpf"),
        ] {
            let (code, out, _) = said(word, &[&[command, "--json"], more].concat());
            assert_eq!((code, &document(&out)["backend"]), (Some(0), &json!(used)), "{word} {command} {more:?}");
        }
    }
    let (code, out, notes) = said("ebpf", &["ls"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(notes, "nsx: the environment variable NSX_BACKEND is neither auto, proc nor bpf\n");
    assert_eq!(said("ebpf", &["ls", "--help"]).0, Some(0), "help is always to be had");
    assert_eq!(said("", &["ls", "-q"]).0, Some(2), "an empty one says nothing, and there is no such option");
}

/// By name, too, no program is loaded where that was said.
fn names_by_proc() {
    for (arguments, word, loads) in [
        (&["ls", "docker:nsx-none", "--backend", "proc"][..], "auto", false),
        (&["ls", "docker:nsx-none", "--backend", "bpf"], "auto", true),
        (&["inspect", "docker:nsx-none"], "proc", false),
        (&["inspect", "docker:nsx-none"], "bpf", true),
    ] {
        let calls = tempfile::NamedTempFile::new().expect("a file");
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "trace=bpf", "-o"]).arg(calls.path()).arg(nsx_path()).args(arguments);
        let done = output(command.env("NSX_BACKEND", word));
        assert_eq!(done.status.code(), Some(1), "there is no such container: {}", text(&done.stderr));
        let calls = std::fs::read_to_string(calls.path()).expect("calls");
        assert_eq!(calls.contains("BPF_PROG_LOAD"), loads, "{arguments:?}, {word}: {calls}");
    }
}

/// What `auto` decides depends on how many tasks there are.
fn few_processes() {
    let loadavg = std::fs::read_to_string("/proc/loadavg").expect("loadavg");
    let tasks: u64 = loadavg.split([' ', '/']).nth(4).and_then(|tasks| tasks.parse().ok()).expect("a number");
    let (document, notes) = said(&["ls", "--json", "-v"]);
    match document["backend"].as_str() {
        Some("proc") => assert!(notes.contains("/proc was read, not BPF: that is as fast with "), "{notes}"),
        Some("bpf") => assert!(tasks > 100, "{tasks} tasks are few"),
        other => panic!("{other:?}"),
    }
}

fn without_privilege() {
    let mut command = nsx(&["ls", "--json", "--backend", "bpf"]);
    if nix::unistd::geteuid().is_root() {
        use std::os::unix::process::CommandExt;
        command.uid(65534).gid(65534).current_dir("/");
    }
    let done = output(&mut command);
    let notes = text(&done.stderr);
    assert!(done.status.success(), "{notes}");
    assert_eq!(document(&text(&done.stdout))["backend"], "proc");
    assert!(notes.contains("/proc was read, not BPF: that takes CAP_BPF and CAP_PERFMON"), "{notes}");
}

fn elsewhere() {
    for (options, said) in [
        (&["--pid", "--fork", "--mount-proc"][..], "this is not the initial pid namespace"),
        (&["--user", "--map-root-user"], "this is not the initial user namespace"),
        (&["--time", "--fork"], "this is not the initial time namespace"),
        (&["--pid", "--fork"], "BPF sees this host only, not another tree"),
    ] {
        let mut command = Command::new("unshare");
        command.args(options).arg(nsx_path()).args(["ls", "--json", "--backend", "bpf"]);
        let done = output(&mut command);
        let notes = text(&done.stderr);
        assert!(done.status.success(), "{options:?}: {notes}");
        assert_eq!(document(&text(&done.stdout))["backend"], "proc", "{options:?}");
        assert!(notes.contains(&format!("/proc was read, not BPF: {said}")), "{options:?}: {notes}");
    }
}

fn without_bpf() {
    let held = Held::start(&["process", "uts"]);
    for (errno, name) in [(nix::libc::ENOSYS, "ENOSYS"), (nix::libc::EPERM, "EPERM")] {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["fixture", "without", &format!("{SYS_bpf}:{errno}")]).arg(nsx_path());
        let done = output(command.args(["ls", "--json", "--backend", "bpf"]));
        let notes = text(&done.stderr);
        assert!(done.status.success(), "{notes}");
        let document = document(&text(&done.stdout));
        assert_eq!(document["backend"], "proc");
        namespace(&document, held.number(1));
        assert!(notes.contains("/proc was read, not BPF: bpf(BPF_PROG_LOAD): "), "{notes}");
        assert!(notes.contains(name), "{notes}");
    }
}

fn refused_program() {
    use nsx::sys::bpf::btf::{Btf, Named};
    use nsx::sys::bpf::{Assembler, Functions, Iterator, Reg, Types};
    let types = Types::open().expect("types");
    let mut btf = Btf::new(types.bytes()).expect("types");
    let [over, context] =
        btf.find([Named::Function("bpf_iter_task"), Named::Struct("bpf_iter__task")]).expect("an iterator");
    let mut program = Assembler::new(&mut btf, context, Functions::default(), -8);
    // A number is no pointer.
    program.set(Reg::R2, 1);
    program.read_number(8, Reg::R1, Reg::R2);
    program.store(8, 0, Reg::R1);
    let refused = Iterator::new(&program.finish().expect("a program"), over, b"nsx_test").err().expect("refused");
    assert!(refused.to_string().starts_with("bpf(BPF_PROG_LOAD): "), "{refused}");
    assert!(refused.log.contains("R10") || refused.log.contains("stack"), "{}", refused.log);
}
