//! nsx kill, and what else takes the name of a sandbox: `nsx:NAME` as a target of other commands.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::super::harness::group::AS_USER;
use super::super::harness::processes::{marked, new_mark, until_so};
use super::super::harness::sandbox::{Detached, cgroups, keepers};
use super::super::harness::{Need, Test, document, inode_of, nsx, nsx_path, output, test, text};
use super::LIMITS;

pub(super) fn tests() -> Vec<Test> {
    let limits = &[Need::Root, Need::Controller("memory"), Need::Controller("pids")];
    vec![
        test("run_life::a_kill_is_gentle_first", &[], gentle),
        test("run_life::a_kill_is_not_gentle_for_ever", &[], stubborn),
        test("run_life::a_kill_at_once_asks_nobody", &[], now),
        test("run_life::a_kill_of_several_ends_all_at_once", &[], several),
        test("run_life::a_kill_takes_a_pid", &[], by_pid),
        test("run_life::a_kill_leaves_no_cgroups", limits, no_cgroups),
        test("run_life::a_user_cannot_kill_roots_sandbox", &[Need::Root, Need::Tool("setpriv")], not_by_others),
        test("run_life::a_sandbox_is_a_target_of_other_commands", limits, target),
        test("run_life::the_name_of_a_sandbox_that_has_gone_is_no_target", &[], no_target),
    ]
}

/// A sandbox whose words go to a file.
struct Talking {
    sandbox: Detached,
    mark: String,
    folder: tempfile::TempDir,
}

impl Talking {
    /// Starts a shell with these words, and waits until it says `ready`.
    fn start(options: &[&str], script: &str) -> Talking {
        let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
        let (sandbox, mark) = (Detached::named(), new_mark());
        let file = File::create(folder.path().join("said")).expect("a file");
        let mut command = sandbox.command(options, &["sh", "-c", script, &mark]);
        let status = command.stdout(file).status().expect("nsx");
        let talking = Talking { sandbox, mark, folder };
        assert!(status.success(), "{options:?} {script}");
        until_so("ready", || talking.said().contains(&"ready".to_owned()));
        talking
    }

    fn name(&self) -> &str {
        &self.sandbox.name
    }

    /// What the command has said so far, without its name, which nsx says.
    fn said(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("said")).expect("a file");
        text.lines().filter(|line| *line != self.sandbox.name).map(str::to_owned).collect()
    }

    /// Makes sure that nothing is left of it, now and not later.
    fn is_gone(&self) {
        let found = keepers(self.name());
        assert!(found.init.is_none() && found.stub.is_none(), "{}: {found:?}", self.name());
        assert_eq!(marked(&self.mark), [0; 0], "{}", self.name());
        assert_eq!(cgroups(self.name()), Vec::<PathBuf>::new());
    }
}

fn kill(words: &[&str]) -> Output {
    output(nsx(&["kill"]).args(words))
}

/// Kills, which must go well and say nothing.
fn killed(words: &[&str]) {
    let done = kill(words);
    let seen = (done.status.code(), text(&done.stdout), text(&done.stderr));
    assert_eq!(seen, (Some(0), String::new(), String::new()), "nsx kill {words:?}");
}

/// Says that it was asked to end, and does.
const GENTLE: &str = "trap 'echo got; exit 0' TERM; sleep 1000 & echo ready; wait";
/// Says that it was asked to end, and does not.
const STUBBORN: &str = "trap 'echo got' TERM; echo ready; while :; do sleep 1000 & wait; done";

fn gentle() {
    for options in [&[][..], &["--timeout=1000"]] {
        let run = Talking::start(options, GENTLE);
        let begin = Instant::now();
        killed(&["-t", "1000", run.name()]);
        assert_eq!(run.said(), ["ready", "got"], "{options:?}");
        run.is_gone();
        // It has ended by itself, and so nobody has waited for anything.
        assert!(begin.elapsed() < Duration::from_secs(500), "{options:?}");
    }
}

fn stubborn() {
    for script in [STUBBORN, "trap '' TERM; echo ready; exec sleep 1000"] {
        let run = Talking::start(&[], script);
        let begin = Instant::now();
        killed(&["-t", "1", run.name()]);
        assert!(begin.elapsed() >= Duration::from_secs(1), "{script}: it had its time");
        run.is_gone();
        let expected: &[&str] = if script == STUBBORN { &["ready", "got"] } else { &["ready"] };
        assert_eq!(run.said(), expected);
    }
}

fn now() {
    for words in [&["--now"][..], &["-t", "0"]] {
        let run = Talking::start(&[], GENTLE);
        killed(&[words, &[run.name()]].concat());
        assert_eq!(run.said(), ["ready"], "{words:?}");
        run.is_gone();
    }
}

fn several() {
    let all: Vec<Talking> = [GENTLE, STUBBORN, STUBBORN].map(|script| Talking::start(&[], script)).into();
    let names: Vec<&str> = all.iter().map(Talking::name).collect();
    let bystander = Talking::start(&[], GENTLE);
    // Each of them has that much time, and all have it at once. One that is not there keeps nobody else.
    let begin = Instant::now();
    let done = kill(&["-t", "2", names[0], "test-none", names[1], names[2]]);
    let said = text(&done.stderr);
    assert!(begin.elapsed() >= Duration::from_secs(2), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| !line.starts_with("hint: ")).collect();
    assert_eq!((done.status.code(), errors.len()), (Some(1), 1), "{said}");
    assert!(errors[0].starts_with("nsx: no sandbox is called test-none: "), "{said}");
    for run in &all {
        run.is_gone();
        assert_eq!(run.said(), ["ready", "got"]);
    }
    assert!(bystander.sandbox.is_there() && bystander.said() == ["ready"], "it was not meant");
    killed(&[&format!("nsx:{}", bystander.name()), bystander.name()]);
    bystander.is_gone();
}

fn by_pid() {
    let run = Talking::start(&[], GENTLE);
    let init = run.sandbox.init().to_string();
    // The command itself is no sandbox, nor is anybody else.
    for other in [marked(&run.mark)[0].to_string(), std::process::id().to_string()] {
        let done = kill(&[&other]);
        assert_eq!(done.status.code(), Some(1), "{other}: {}", text(&done.stderr));
    }
    assert!(run.sandbox.is_there() && run.said() == ["ready"]);
    killed(&[&init]);
    assert_eq!(run.said(), ["ready", "got"]);
    run.is_gone();
}

fn no_cgroups() {
    for (script, words) in [(GENTLE, &["-t", "1000"][..]), (STUBBORN, &["-t", "0.2"]), (GENTLE, &["--now"])] {
        let run = Talking::start(&LIMITS, script);
        assert!(!cgroups(run.name()).is_empty(), "{words:?}");
        killed(&[words, &[run.name()]].concat());
        run.is_gone();
    }
}

/// nsx of an ordinary user.
fn by_user(words: &[&str]) -> Output {
    let [tool, rest @ ..] = AS_USER;
    output(Command::new(tool).args(rest).arg(nsx_path()).args(words).current_dir("/"))
}

fn not_by_others() {
    let run = Talking::start(&[], GENTLE);
    let init = run.sandbox.init().to_string();
    for words in [&["kill", run.name()][..], &["kill", "--now", run.name()], &["kill", &init]] {
        let done = by_user(words);
        let said = text(&done.stderr);
        assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(1), ""), "{words:?}: {said}");
        assert!(said.starts_with("nsx: ") && said.contains("(EPERM)"), "{words:?}: {said}");
        let there = keepers(run.name());
        assert!(there.init.is_some() && there.stub.is_some() && run.said() == ["ready"], "{words:?}: {there:?}");
    }
    assert_eq!(marked(&run.mark).len(), 1);
    killed(&[run.name()]);
    assert_eq!(run.said(), ["ready", "got"]);
}

fn target() {
    // It has been in its way that there were too many of them, which nsx cg why tells.
    let forks = "(for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2 & done) 2>/dev/null";
    let script = format!("{forks}; cd /usr; echo text >/tmp/own; sleep 1000 & echo ready; wait");
    let run = Talking::start(&["--mem=64M", "--pids=8"], &script);
    until_so("they have ended", || {
        let count = |group: PathBuf| std::fs::read_to_string(group.join("pids.current")).unwrap_or_default();
        cgroups(run.name()).into_iter().map(count).any(|count| count == "3\n")
    });
    let target = format!("nsx:{}", run.name());
    // The shell, and not the init above it.
    let command = marked(&run.mark)[0];
    assert_ne!(command, run.sandbox.init());

    let listed = document(&super::super::harness::run(&["ls", "--json", "--task", &target]));
    let found: Vec<u64> = listed["namespaces"]
        .as_array()
        .expect("namespaces")
        .iter()
        .map(|namespace| namespace["ns"].as_u64().expect("an inode"))
        .collect();
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        assert!(found.contains(&inode_of(command, kind)), "nsx ls: {kind} is not in {found:?}");
    }
    assert_eq!(found.len(), 8);

    let leaf = format!("nsx-{}", run.name());
    let said = |words: &[&str]| super::super::harness::run(&[words, &[&target]].concat());
    for words in [["cg", "show"], ["cg", "path"], ["cg", "why"]] {
        assert!(said(&words).contains(&leaf), "{words:?}: {}", said(&words));
    }
    let (path, why) = (said(&["cg", "path"]), said(&["cg", "why"]));
    assert!(path.contains("64M*<") && path.contains("8*<"), "its own limits count: {path}");
    assert!(why.contains(&format!("{leaf} (")) && why.contains("pids.max"), "{why}");

    let script = "readlink /proc/self/ns/pid; cat /tmp/own; echo /proc/1 /proc/[0-9]*";
    let inside = output(&mut nsx(&["enter", "-t", &target, "-a", "sh", "-c", script]));
    let (said, lines) = (text(&inside.stdout), text(&inside.stdout).lines().count());
    assert!(inside.status.success() && lines == 3, "{said}{}", text(&inside.stderr));
    assert!(said.starts_with(&format!("pid:[{}]\ntext\n/proc/1 ", inode_of(command, "pid"))), "{said}");

    let net = output(&mut nsx(&["run", "--net", &target, "readlink", "/proc/self/ns/net"]));
    assert_eq!(text(&net.stdout), format!("net:[{}]\n", inode_of(command, "net")), "{}", text(&net.stderr));
    assert!(run.sandbox.is_there(), "nobody has ended it");
    killed(&[&target]);
    run.is_gone();
}

fn no_target() {
    let run = Talking::start(&[], GENTLE);
    let target = format!("nsx:{}", run.name());
    killed(&[run.name()]);
    for (words, code) in [
        (&["ls", "--task", &target][..], 1),
        (&["cg", "show", &target], 1),
        (&["cg", "path", &target], 1),
        (&["cg", "why", &target], 1),
        (&["kill", &target], 1),
        (&["enter", "-t", &target, "-n", "true"], 125),
        (&["run", "--net", &target, "true"], 125),
    ] {
        let done = output(&mut nsx(words));
        let said = text(&done.stderr);
        assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(code), ""), "{words:?}: {said}");
        assert!(said.starts_with("nsx: no sandbox") && said.contains(run.name()), "{words:?}: {said}");
    }
}
