//! What processes are called in other pid namespaces: nsx pid.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use nix::libc::{ENOTTY, EPERM, SYS_ioctl};
use serde_json::Value;

use super::harness::{
    Module, Need, Place, Test, document, fails, fit, held::Held, inode_of, nsx, nsx_path, output, processes::send, run,
    test, text,
};

const NS_GET_PARENT: u32 = 0xb702;
const NS_GET_PID_FROM_PIDNS: u32 = 0x8004_b706;
const NS_GET_PID_IN_PIDNS: u32 = 0x8004_b708;

pub fn module() -> Module {
    let shell = &[Need::Root, Need::Tool("unshare"), Need::Tool("mount")];
    let translating = &[
        Need::Root,
        Need::Tool("unshare"),
        Need::Tool("mount"),
        Need::Linux(6, 11, "translation of pids by the kernel"),
    ];
    let asking = &[Need::Tool("strace"), Need::Linux(6, 11, "translation of pids by the kernel")];
    let tests = vec![
        test("pid::the_numbers_on_every_level", &[], every_level),
        test("pid::both_ways_through_every_level", &[], both_ways),
        test("pid::the_kernel_is_asked_where_it_can_be", asking, asked),
        test("pid::a_namespace_by_all_its_names", &[], names),
        test("pid::an_ordinary_user_sees_the_numbers_of_others", &[Need::Root], ordinary_user),
        test("pid::a_process_that_came_from_outside", &[Need::Root, Need::Tool("nsenter")], from_outside),
        test("pid::from_inside", shell, inside),
        test("pid::upwards_through_a_file", translating, upwards),
        test("pid::the_proc_of_another_pid_namespace", shell, foreign_proc),
        test("pid::a_process_whose_children_are_elsewhere", &[], children_elsewhere),
        test("pid::what_is_not_there", &[], missing),
        test("pid::a_zombie", &[], zombie),
        test("pid::a_process_that_has_gone_is_not_taken_for_the_next", &[], gone),
        test("pid::the_table", &[], table),
    ];
    let tests = tests.into_iter().map(Test::sparingly_in_vm).collect();
    Module { name: "pid", places: &[Place::Vm], tests }
}

/// What nsx is run with, so that each way to translate is gone: as it is, and on kernels that lack one thing after the other.
fn ways() -> Vec<Vec<String>> {
    let without = |requests: &[u32], errno: i32| {
        requests.iter().map(|request| format!("{SYS_ioctl}@1={request}:{errno}")).collect::<Vec<_>>()
    };
    let translation = [NS_GET_PID_FROM_PIDNS, NS_GET_PID_IN_PIDNS];
    vec![
        Vec::new(),
        without(&translation, ENOTTY),
        // As filters have it.
        without(&translation, EPERM),
        without(&[NS_GET_PARENT], EPERM),
        // Nothing but links and NSpid lines.
        without(&[translation[0], translation[1], NS_GET_PARENT], ENOTTY),
    ]
}

fn nsx_without(calls: &[String], arguments: &[&str]) -> Output {
    if calls.is_empty() {
        return output(&mut nsx(arguments));
    }
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    output(command.args(["fixture", "without", &calls.join(",")]).arg(nsx_path()).args(arguments))
}

/// Runs nsx pid, which must succeed, and returns its words.
fn says(calls: &[String], arguments: &[&str]) -> Vec<String> {
    let all: Vec<&str> = ["pid"].into_iter().chain(arguments.iter().copied()).collect();
    let done = nsx_without(calls, &all);
    assert!(done.status.success(), "{arguments:?} without {calls:?}: {}", text(&done.stderr));
    text(&done.stdout).split_whitespace().map(str::to_owned).collect()
}

fn pid_json(calls: &[String], arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["pid", "--json"].into_iter().chain(arguments.iter().copied()).collect();
    let done = nsx_without(calls, &all);
    assert!(done.status.success(), "{arguments:?} without {calls:?}: {}", text(&done.stderr));
    document(&text(&done.stdout))
}

/// Three pid namespaces in each other, with a process of two threads in the last.
struct Nest {
    held: Held,
}

impl Nest {
    const DEPTH: usize = 3;

    fn start() -> Nest {
        let nest = Nest { held: Held::start(&["pid-nest", &Nest::DEPTH.to_string()]) };
        assert_eq!(nest.held.words.len(), 4 + 1 + Nest::DEPTH);
        nest
    }

    fn leaf(&self) -> &str {
        &self.held.words[0]
    }

    fn thread(&self) -> &str {
        &self.held.words[2]
    }

    /// A process that is in the namespace of a level: below the first one its first process.
    fn at(&self, level: usize) -> &str {
        &self.held.words[4 + level]
    }

    fn ns(&self, level: usize) -> u64 {
        inode_of(self.at(level).parse().expect("a pid"), "pid")
    }
}

/// Returns what a line of a status says, in words.
fn status(pid: &str, key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key} in {text}"));
    line.split_whitespace().map(str::to_owned).collect()
}

fn numbers(all: &Value, key: &str) -> Vec<Option<u64>> {
    all["levels"].as_array().expect("levels").iter().map(|level| level[key].as_u64()).collect()
}

fn as_numbers(words: &[String]) -> Vec<Option<u64>> {
    words.iter().map(|word| word.parse().ok()).collect()
}

fn every_level() {
    let nest = Nest::start();
    let first = (1..=Nest::DEPTH).map(|level| nest.at(level).parse().ok());
    let inits: Vec<Option<u64>> = [Some(1)].into_iter().chain(first).collect();
    let namespaces: Vec<Option<u64>> = (0..=Nest::DEPTH).map(|level| Some(nest.ns(level))).collect();
    for calls in ways() {
        let all = pid_json(&calls, &[nest.leaf()]);
        let told = as_numbers(&status(nest.leaf(), "NSpid:"));
        assert_eq!(told.len(), Nest::DEPTH + 1);
        assert_eq!(told[Nest::DEPTH], nest.held.words[1].parse().ok(), "what it calls itself");
        assert_eq!(numbers(&all, "pid"), told, "without {calls:?}");
        assert_eq!(numbers(&all, "tgid"), told);
        assert_eq!(numbers(&all, "level"), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(numbers(&all, "ns"), namespaces, "without {calls:?}");
        assert_eq!(numbers(&all, "init"), inits, "without {calls:?}");
        assert_eq!(all["processes"][0]["name"], status(nest.leaf(), "Name:").join(" "));
        assert!(all["levels"][1]["command"].as_str().is_some_and(|command| command.contains("pid-nest 2")), "{all:#}");
        assert_eq!(all["gaps"], Value::Array(Vec::new()));

        let all = pid_json(&calls, &[nest.thread()]);
        assert_eq!(numbers(&all, "pid"), as_numbers(&status(nest.thread(), "NSpid:")));
        assert_eq!(numbers(&all, "tgid"), told);
        assert_eq!(all["processes"][0]["tgid"].to_string(), nest.leaf());
    }
}

fn both_ways() {
    let nest = Nest::start();
    for calls in ways() {
        for task in [nest.leaf(), nest.thread()] {
            let known = status(task, "NSpid:");
            for (from, number) in known.iter().enumerate() {
                let words = says(&calls, &["-q", number, "-t", nest.at(from)]);
                assert_eq!(words, [task], "{number} on level {from} without {calls:?}");
                let words = says(&calls, &[task, "--in", nest.at(from)]);
                assert_eq!(words, [number.as_str()], "{task} on level {from} without {calls:?}");
                for (into, other) in known.iter().enumerate() {
                    let words = says(&calls, &[number, "-t", nest.at(from), "--in", nest.at(into)]);
                    assert_eq!(words, [other.as_str()], "from {from} to {into} without {calls:?}");
                }
            }
        }
        let all = pid_json(&calls, &["1", "-t", nest.at(2), "--in", nest.at(1)]);
        let first = &all["processes"][0];
        assert_eq!((first["pid"].to_string().as_str(), first["word"].as_str()), (nest.at(2), Some("1")));
        assert_eq!(first["number"].to_string(), status(nest.at(2), "NSpid:")[1]);
        assert_eq!((all["from"].as_u64(), all["in"].as_u64()), (Some(nest.ns(2)), Some(nest.ns(1))));
    }
}

fn asked() {
    let nest = Nest::start();
    let number = &status(nest.leaf(), "NSpid:")[2];
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=ioctl,getdents64", "-o", "/dev/stderr"]).arg(nsx_path());
    let done = output(command.args(["pid", "-q", number, "-t", nest.at(2)]));
    let trace = text(&done.stderr);
    assert_eq!(text(&done.stdout).trim(), nest.leaf());
    assert!(trace.to_lowercase().contains("b7") || trace.contains("NS_GET_PID_FROM_PIDNS"), "{trace}");
    assert!(!trace.contains("getdents64"), "no list is read: {trace}");
}

fn names() {
    let nest = Nest::start();
    let number = &status(nest.leaf(), "NSpid:")[2];
    let inode = nest.ns(2);
    let file = format!("/proc/{}/ns/pid", nest.at(2));
    for calls in ways() {
        for name in [format!("pid:[{inode}]"), inode.to_string(), file.clone(), nest.at(2).to_owned()] {
            assert_eq!(says(&calls, &["-q", number, "-t", &name]), [nest.leaf()], "{name} without {calls:?}");
            assert_eq!(says(&calls, &[nest.leaf(), "--in", &name]), [number.as_str()], "{name} without {calls:?}");
        }
    }
    assert_eq!(says(&[], &["-q", "1", "1", "-t", nest.at(2)]), [nest.at(2), nest.at(2)]);
}

fn ordinary_user() {
    let nest = Nest::start();
    let told = status(nest.leaf(), "NSpid:");
    let nobody = |arguments: &[&str]| {
        let all: Vec<&str> = ["pid"].into_iter().chain(arguments.iter().copied()).collect();
        output(nsx(&all).uid(65534).gid(65534))
    };
    let done = nobody(&["--json", nest.leaf()]);
    let all = document(&text(&done.stdout));
    assert_eq!(numbers(&all, "pid"), as_numbers(&told));
    assert_eq!(numbers(&all, "ns"), [Some(nest.ns(0)), None, None, None]);
    let inits: Vec<Option<u64>> = (1..=Nest::DEPTH).map(|level| nest.at(level).parse().ok()).collect();
    assert_eq!(numbers(&all, "init")[1..], inits, "ancestors tell");
    let gap = &all["gaps"][0];
    assert_eq!((gap["errno"].as_str(), gap["pids"][0].to_string().as_str()), (Some("EACCES"), nest.leaf()));
    let done = nobody(&[nest.leaf()]);
    assert!(text(&done.stderr).contains("(EACCES); run as root to see them"), "{}", text(&done.stderr));
    // The namespaces are known by their first processes.
    for (level, number) in told.iter().enumerate() {
        let done = nobody(&["-q", number, "-t", nest.at(level)]);
        assert_eq!(text(&done.stdout).trim(), nest.leaf(), "level {level}: {}", text(&done.stderr));
        let done = nobody(&[nest.leaf(), "--in", nest.at(level)]);
        assert_eq!(text(&done.stdout).trim(), number, "level {level}: {}", text(&done.stderr));
    }
    let done = nobody(&["-q", &status(nest.thread(), "NSpid:")[3], "-t", nest.leaf()]);
    assert_eq!(text(&done.stdout).trim(), nest.thread(), "{}", text(&done.stderr));
    for arguments in
        [["-t", &format!("pid:[{}]", nest.ns(1)), "1"], ["-t", &format!("/proc/{}/ns/pid", nest.at(1)), "1"]]
    {
        let done = nobody(&arguments);
        assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(1), ""), "{arguments:?}");
    }
    let done = nobody(&["-t", &format!("pid:[{}]", nest.ns(1)), "1"]);
    assert!(text(&done.stderr).contains("hint: run as root"), "{}", text(&done.stderr));
}

fn from_outside() {
    let nest = Nest::start();
    let mut command = Command::new("nsenter");
    let script = "echo ready; read x";
    let guest = Held::start_command(command.args(["-t", nest.at(2), "-p", "--", "sh", "-c", script]));
    // It is a child of nsenter(1).
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", guest.pid())).expect("children");
    let guest_pid = children.trim();
    let told = status(guest_pid, "NSpid:");
    assert_eq!(told.len(), 3);
    let inits: Vec<Option<u64>> = (1..=2).map(|level| nest.at(level).parse().ok()).collect();
    for calls in ways() {
        let all = pid_json(&calls, &[guest_pid]);
        assert_eq!(numbers(&all, "pid"), as_numbers(&told));
        assert_eq!(numbers(&all, "ns")[1..], [Some(nest.ns(1)), Some(nest.ns(2))], "without {calls:?}: {all:#}");
        assert_eq!(numbers(&all, "init")[1..], inits, "without {calls:?}: {all:#}");
        assert_eq!(says(&calls, &["-q", &told[2], "-t", nest.at(2)]), [guest_pid], "without {calls:?}");
    }
    // Nobody but itself can tell where it is, and it may not be asked.
    let mut nobody = nsx(&["pid", &told[2], "-t", nest.at(2)]);
    let done = output(nobody.uid(65534).gid(65534));
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("\nhint: run as root"), "{}", text(&done.stderr));
}

/// Runs a shell script, with `$NSX` for nsx, in new namespaces of its own.
fn in_new(namespaces: &[&str], script: &str) -> (i32, String, String) {
    let mut command = Command::new("unshare");
    let done = output(command.args(namespaces).args(["sh", "-ec", script]).env("NSX", nsx_path()));
    (done.status.code().unwrap_or(-1), text(&done.stdout), text(&done.stderr))
}

fn inside() {
    let (code, out, error) = in_new(&["-m", "-p", "-f", "--mount-proc"], "\"$NSX\" pid --json 1; true");
    assert_eq!(code, 0, "{error}");
    let all = document(&out);
    assert_eq!((numbers(&all, "pid"), numbers(&all, "init")), (vec![Some(1)], vec![Some(1)]));
    assert_eq!((&all["above"], all["pid_ns"] == all["levels"][0]["ns"]), (&true.into(), true));
    let (code, _, error) = in_new(&["-m", "-p", "-f", "--mount-proc"], "\"$NSX\" pid 1; true");
    assert_eq!(code, 0);
    assert!(error.contains("is not the first pid namespace of the host; numbers above it cannot be seen"), "{error}");
    // Namespaces below are translated as everywhere.
    let script = "unshare -p -f sh -c '\"$NSX\" pid -q 1 -t /proc/self/ns/pid; true'";
    let (code, out, error) = in_new(&["-m", "-p", "-f", "--mount-proc"], script);
    assert_eq!(code, 0, "{error}");
    assert!(out.trim().parse::<u32>().is_ok_and(|pid| pid > 1), "{out}");
}

fn upwards() {
    // Through a file the kernel translates into a namespace that no /proc in here shows.
    let script = "exec 3</proc/self/ns/pid
        unshare -m -p -f --mount-proc sh -c '\"$NSX\" pid 1 --in /proc/self/fd/3; \"$NSX\" pid -q 1 -t /proc/self/fd/3 || true'";
    let (code, out, error) = in_new(&["-m"], script);
    assert_eq!(code, 0, "{error}");
    let first: u32 = out.lines().next().and_then(|line| line.parse().ok()).expect("a number");
    assert!(first > 1, "{out}");
    assert!(error.contains("no process has number 1 in pid:["), "{error}");
}

fn foreign_proc() {
    // In here the caller is another process than its numbers say.
    let script = "\"$NSX\" pid --json self; true";
    let (code, out, error) = in_new(&["-p", "-f"], script);
    assert_eq!(code, 0, "{error}");
    let all = document(&out);
    let told = numbers(&all, "pid");
    assert_eq!(told.len(), 2);
    assert!(told[0] > told[1], "{all:#}");
    assert_eq!(all["levels"][0]["ns"], inode_of(std::process::id(), "pid"));
    assert!(all["levels"][1]["ns"].is_u64() && all["levels"][1]["ns"] != all["levels"][0]["ns"], "{all:#}");
    // The numbers are those of the /proc that is there, whichever the kernel would mean.
    let (code, out, error) = in_new(&["-p", "-f"], "\"$NSX\" pid -q 1 -t self; \"$NSX\" pid 1 -q; true");
    assert_eq!(code, 0, "{error}");
    let words: Vec<&str> = out.split_whitespace().collect();
    assert!(words[0].parse::<u32>().is_ok_and(|first| first > 1) && words[1] == "1", "{out}");
}

fn children_elsewhere() {
    let held = Held::start(&["pid-for-children"]);
    let pid = held.pid().to_string();
    let all = pid_json(&[], &[&pid]);
    assert_eq!(all["processes"][0]["children_elsewhere"], true, "{all:#}");
    assert_eq!(numbers(&all, "pid"), [pid.parse().ok()]);
    let done = output(&mut nsx(&["pid", &pid]));
    assert!(
        text(&done.stderr).contains(&format!("child of process {pid} will be"))
            || text(&done.stderr).contains("the children of")
    );
    // It is meant as it is, and that is said.
    let done = output(&mut nsx(&["pid", "-q", &pid, "-t", &pid]));
    assert_eq!(text(&done.stdout).trim(), pid);
    assert!(text(&done.stderr).contains(" is meant"), "{}", text(&done.stderr));
    // With children their namespace has a name.
    let nest = Nest::start();
    let all = pid_json(&[], &[nest.at(0)]);
    assert_eq!(all["processes"][0]["pid_for_children"], nest.ns(1), "{all:#}");
    let done = output(&mut nsx(&["pid", "-q", "1", "-t", nest.at(0)]));
    let other = format!("'pid:[{}]' would name the other", nest.ns(1));
    assert!(text(&done.stderr).contains(&other), "{}", text(&done.stderr));
}

fn missing() {
    let nest = Nest::start();
    let (own, inner) = (std::process::id().to_string(), format!("pid:[{}]", nest.ns(3)));
    for calls in ways() {
        let fails = |arguments: &[&str], said: &[&str]| {
            let all: Vec<&str> = ["pid"].into_iter().chain(arguments.iter().copied()).collect();
            let done = nsx_without(&calls, &all);
            let error = fit(&done.stderr);
            assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(1), ""), "{arguments:?}: {error}");
            assert!(said.iter().all(|part| error.contains(part)), "{arguments:?} without {calls:?}: {error}");
        };
        fails(&["4194305"], &["no process 4194305: openat(", "(ENOENT)", "hint: "]);
        fails(&["4000", "-t", &inner], &["no process has number 4000 in ", &inner, "hint: nsx ls 'pid:["]);
        fails(&["0", "-t", &inner], &["no process has number 0 in "]);
        fails(&["4294967295", "-t", nest.leaf()], &["no process has number 4294967295 in "]);
        fails(&[&own, "--in", nest.leaf()], &[&format!("process {own} has no number in {inner}"), "hint: nsx pid "]);
        // Where one of several is not there, a script gets none of them.
        fails(&["-q", "1", "4000", "-t", &inner], &["no process has number 4000 in "]);
        fails(&["1", "-t", "/proc/self/ns/net"], &["net:[", "] is no pid namespace", "hint: name a process"]);
        fails(&["1", "-t", "pid:[1]"], &["no namespace pid:[1]", "hint: "]);
        fails(&["1", "-t", "4194305"], &["no process and no namespace 4194305"]);
        fails(&[&inner], &["is a namespace, not a process"]);
        fails(&["1", "-t", "cgroup:/"], &["cgroup:/ is a cgroup"]);
        let emptied = Held::start(&["pid-emptied"]);
        let name = &emptied.words[0];
        // Of somebody else's process an ordinary user cannot tell that it is elsewhere.
        let root = nix::unistd::geteuid().is_root();
        fails(
            &["1", "-t", name],
            &[if root { "no process that can be seen from here is in " } else { "no process " }, name, "hint: "],
        );
    }
    assert!(super::harness::fails(&["pid", "self", "-t", &inner], 2).contains("named by numbers"));
    assert!(super::harness::fails(&["pid"], 2).contains("<PID>"));
}

fn zombie() {
    let held = Held::start(&["zombie"]);
    let pid = held.words[0].clone();
    let all = pid_json(&[], &[&pid]);
    assert_eq!((&all["processes"][0]["exiting"], numbers(&all, "pid")), (&true.into(), vec![pid.parse().ok()]));
    assert_eq!(all["processes"][0]["children_elsewhere"], false);
    let done = output(&mut nsx(&["pid", &pid]));
    assert!(text(&done.stderr).contains("(a zombie)"), "{}", text(&done.stderr));
    assert_eq!(says(&[], &["-q", &pid, "-t", "self"]), [pid]);
}

fn gone() {
    use nsx::model::Pid;
    use nsx::proc::ProcRoot;
    use nsx::select::pid::{PidError, PidNs, Spaces};
    let nest = Nest::start();
    let root = ProcRoot::open(Path::new("/proc")).expect("/proc");
    let spaces = Spaces::new(&root);
    let number = |level: usize| status(nest.leaf(), "NSpid:")[level].parse().expect("a number");
    let process = |pid: &str| root.process(Pid(pid.parse().expect("a pid"))).expect("a process");
    let ns = PidNs::of_process(&spaces, &process(nest.at(2))).expect("a namespace");
    let (wanted, leaf) = (number(2), Pid(nest.leaf().parse().expect("a pid")));
    let found = spaces.find(&ns, wanted).expect("the leaf");
    assert_eq!(found.pid, leaf);
    assert_eq!(spaces.number_in(&ns, &found), Ok(wanted));
    let by_member = nsx::select::pid::find(&root, &process(nest.at(2)), wanted).expect("the leaf");
    assert_eq!(by_member.pid, leaf);
    send(leaf.0, nix::libc::SIGKILL);
    super::harness::processes::until_so("it is gone", || !found.is_alive());
    // Whoever has the pid by now, what is held is nobody.
    assert!(matches!(spaces.number_in(&ns, &found), Err(PidError::NoProcess(..))));
    assert!(matches!(spaces.levels(&found), Err(PidError::NoProcess(..))));
    assert!(spaces.find(&ns, wanted).is_err());
}

fn table() {
    let nest = Nest::start();
    let out = run(&["pid", nest.leaf()]);
    let heading: Vec<&str> = out.lines().next().expect("a heading").split_whitespace().collect();
    assert_eq!(heading, ["PROCESS", "NAME", "PIDNS", "LEVEL", "PID", "INIT", "CONTAINER", "COMMAND"]);
    assert_eq!(out.lines().count(), 2 + Nest::DEPTH);
    let rows = run(&["pid", "-n", "-o", "level,pid,init", nest.leaf()]);
    let rows: Vec<Vec<&str>> = rows.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[2], ["2", &status(nest.leaf(), "NSpid:")[2], nest.at(2)]);
    let several = run(&["pid", nest.leaf(), "self"]);
    assert!(several.starts_with("PROCESS  NAME"), "{several}");
    assert!(run(&["pid", "-t", "self", "1"]).starts_with("PROCESS"));
    assert_eq!(run(&["pid", "--columns"]).lines().count(), 10);
    document(&run(&["pid", "--columns", "--json"]));
    assert!(fails(&["pid", "-q", "--json", "1"], 2).contains("cannot be used with"));
    // What a process calls itself does no harm.
    let hostile = Held::start(&["named", "a\u{1b}[31m b"]);
    let named = output(&mut nsx(&["pid", "-t", "self", &hostile.pid().to_string()]));
    assert!(fit(&named.stdout).contains("a\\"), "{}", text(&named.stdout));
}
