//! nsx run --detach: what is printed and when, names, and the end of what nobody waits for.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::libc::SIGKILL;

use super::super::harness::processes::{marked, new_mark, send, until_so};
use super::super::harness::sandbox::{self, Detached};
use super::super::harness::terminal::{CTRL_D, Terminal};
use super::super::harness::{Need, Test, nsx, nsx_path, output, test, text};
use super::keepers;

pub(super) fn tests() -> Vec<Test> {
    let limits = &[Need::Root, Need::Controller("memory"), Need::Controller("pids")];
    vec![
        test("run_life::detached_it_prints_the_name_and_returns_at_once", &[], returns),
        test("run_life::detached_it_outlives_the_caller_and_its_terminal", &[], outlives),
        test("run_life::detached_it_writes_to_files_and_to_nobody_else", &[], streams),
        test("run_life::a_name_is_taken_as_long_as_there_is_a_sandbox", &[], names),
        test("run_life::detached_it_has_a_timeout", &[], timeout),
        test("run_life::detached_its_cgroups_go_with_it", limits, cgroups),
        test("run_life::detached_what_cannot_start_is_said", &[], not_started),
    ]
}

fn returns() {
    for options in [&[][..], &["--timeout=1000"]] {
        // Its output is a pipe, whose end is waited for.
        let mark = new_mark();
        let detached = Detached::start(options, &["sleep", &mark]);
        assert_eq!(marked(&mark).len(), 1, "{options:?}: it runs when nsx has gone");
        let found = keepers(&detached.name);
        assert!(found.init.is_some() && found.stub.is_some(), "{options:?}: {found:?}");
        // As a shell does it.
        let other = Detached::named();
        let script = format!(
            "x=$({} run -d --name {} sleep {mark}) && test $x = {}",
            nsx_path().display(),
            other.name,
            other.name
        );
        assert!(Command::new("sh").args(["-c", &script]).status().expect("sh").success(), "{options:?}");
        assert!(other.is_there());
    }
    // Without a name it gets one.
    let mark = new_mark();
    let done = output(&mut nsx(&["run", "-d", "sleep", &mark]));
    let name = text(&done.stdout).trim_end().to_owned();
    assert!(!name.is_empty() && !name.contains(char::is_whitespace), "{name:?}");
    let unnamed = Detached { name };
    assert!(unnamed.is_there() && marked(&mark).len() == 1);
    drop(unnamed);
    until_so("the end of the command", || marked(&mark).is_empty());
}

fn outlives() {
    let detached = Detached::named();
    let mark = new_mark();
    let mut terminal =
        Terminal::start(Command::new("sh").args(["-c", "\"$@\"; echo run-$((1+1)); read line", "sh"]).args([
            nsx_path().to_str().expect("UTF-8"),
            "run",
            "-d",
            "--name",
            &detached.name,
            "sleep",
            &mark,
        ]));
    terminal.until(&detached.name);
    terminal.until("run-2");
    assert_eq!(terminal.settings(), terminal.before);
    terminal.keys(CTRL_D);
    terminal.end();
    terminal.hang_up();
    drop(terminal);
    assert_eq!(marked(&mark).len(), 1);
    // It has nothing of the terminal.
    let command = marked(&mark)[0];
    for fd in 0..3 {
        let link = std::fs::read_link(format!("/proc/{command}/fd/{fd}")).expect("a descriptor");
        assert_eq!(link.to_str(), Some("/dev/null"), "{fd}");
    }
    // Nor is it nsx's caller who would be told of its end.
    send(keepers(&detached.name).init.expect("a first process"), SIGKILL);
    until_so("the end of the command", || marked(&mark).is_empty());
    detached.until_gone();
}

fn streams() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let (out, error) = (folder.path().join("out"), folder.path().join("error"));
    let file = |path: &PathBuf| std::fs::File::create(path).expect("a file");
    let detached = Detached::named();
    let script = "read line && echo unexpected; echo out; echo error >&2";
    let mut command = detached.command(&[], &["sh", "-c", script]);
    let status = command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&error)).status();
    assert!(status.expect("nsx").success());
    detached.until_gone();
    let read = |path: &PathBuf| std::fs::read_to_string(path).expect("a file");
    // The name is nsx's, the rest the command's, in whichever order.
    let said = read(&out);
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["out", detached.name.as_str()]);
    assert_eq!(read(&error), "error\n");
}

fn names() {
    let detached = Detached::start(&[], &["sleep", "1000"]);
    for options in [&["run", "-d"][..], &["run"]] {
        let done = output(nsx(options).args(["--name", &detached.name, "true"]));
        let said = text(&done.stderr);
        assert_eq!((done.status.code(), done.stdout.len()), (Some(125), 0), "{said}");
        assert!(
            said.starts_with(&format!("nsx: cannot call it {}: there is a sandbox with that name\n", detached.name)),
            "{said}"
        );
    }
    assert!(detached.is_there(), "the first one goes on");
    send(keepers(&detached.name).init.expect("a first process"), SIGKILL);
    detached.until_gone();
    let done = output(nsx(&["run"]).args(["--name", &detached.name, "true"]));
    assert_eq!(done.status.code(), Some(0), "the name is free again: {}", text(&done.stderr));
    // Of many who want the same one gets it.
    let wanted = Detached::named();
    let won: usize = std::thread::scope(|scope| {
        let one = || output(&mut wanted.command(&[], &["sleep", "1000"])).status.code();
        let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).filter(|code| *code == Some(0)).count()
    });
    assert_eq!(won, 1);
}

fn timeout() {
    for (options, script) in [
        (&["--timeout=0.3"][..], "exec sleep \"$0\""),
        (&["--timeout=0.2,0.2"], "trap '' TERM; exec sleep \"$0\""),
        (&["--timeout=0.2,0.2"], "kill -STOP $$; exec sleep \"$0\""),
    ] {
        let mark = new_mark();
        let detached = Detached::start(options, &["sh", "-c", script, &mark]);
        detached.until_gone();
        assert_eq!(marked(&mark), [0; 0], "{options:?} {script}");
    }
}

fn cgroups() {
    // By itself, by the timeout, by a kill of the first process.
    for (options, seconds, kill) in [
        (&[][..], "0.3", false),
        (&["--timeout=0.3"], "1000", false),
        (&[], "1000", true),
        (&["--timeout=1000"], "1000", true),
    ] {
        let all: Vec<&str> = super::LIMITS.iter().chain(options).copied().collect();
        let detached = Detached::start(&all, &["sleep", seconds]);
        let made = sandbox::cgroups(&detached.name);
        assert!(!made.is_empty() || !detached.is_there(), "{options:?}");
        if kill {
            send(keepers(&detached.name).init.expect("a first process"), SIGKILL);
        }
        detached.until_gone();
        assert_eq!(sandbox::cgroups(&detached.name), Vec::<PathBuf>::new(), "{options:?} {seconds}");
    }
}

fn not_started() {
    for (options, word, code) in
        [(&[][..], "/nsx-test-none", 127), (&[], "/usr", 126), (&["--workdir=/nsx-test-none"], "true", 125)]
    {
        let detached = Detached::named();
        let done = output(&mut detached.command(options, &[word]));
        let said = text(&done.stderr);
        assert_eq!((done.status.code(), done.stdout.len()), (Some(code), 0), "{word}: {said}");
        assert!(said.starts_with("nsx: cannot "), "{said}");
        detached.until_gone();
    }
}
