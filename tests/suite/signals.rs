//! nsx enter standing by: signals that go through it, stops that are mirrored, timeouts, what it reports, and what is left of it.
//!
//! Each run has a number of its own among the arguments of its command, by which all its processes are found in the host's `/proc`.
//! How a command ends by itself is compared with nsenter in `nsenter.rs`. See signal(7), "Job control" in credentials(7).

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use nix::libc::{SIGALRM, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};
use serde_json::Value;

use super::harness::events::{Events, STATUS_FD, STATUS_OPTION};
use super::harness::processes::{marked, send, state, until_so};
use super::harness::running::Running;
use super::harness::{Module, Need, Place, fails, held::Held, nsx, nsx_path, output, test};

pub fn module() -> Module {
    let tests = vec![
        test("signals::each_reaches_the_command", &[], each_reaches_the_command),
        test("signals::without_a_need_nobody_stands_by", &[Need::Root], nobody_stands_by),
        test("signals::a_stop_of_the_command_stops_nsx", &[], stop),
        test("signals::a_stop_of_nsx_stops_the_command", &[], terminal_stop),
        test("signals::what_is_killed_takes_its_command_along", &[], killed),
        test("signals::a_daemon_outlives_its_command", &[], daemon),
        test("signals::a_timeout_ends_the_command", &[], timeout),
        test("signals::a_timeout_kills_who_does_not_listen", &[], stubborn),
        test("signals::a_timeout_that_is_not_reached", &[], in_time),
        test("signals::a_timeout_that_is_none", &[], no_timeout),
        test("signals::events_are_reported", &[], events),
        test("signals::what_never_starts_is_not_reported_as_started", &[], never_started),
        test("signals::nothing_is_left", &[], nothing_is_left),
    ];
    Module { name: "signals", places: &[Place::Vm], tests }
}

fn target() -> Held {
    Held::start(&["enter-target", "mnt,net,pid,uts"])
}

/// Options with which nsx stands by while the command runs. Only root may leave out the user namespace of a rootless target.
fn standing_by() -> Vec<Vec<&'static str>> {
    let all = vec![vec![], vec!["-a"], vec!["--timeout=1000"]];
    let some = vec![vec!["-p"], vec!["-p", "-m"], vec!["-m"], vec!["-n", "--timeout=1000"]];
    if nix::unistd::geteuid().is_root() { [all, some].concat() } else { all }
}

fn start(target: &Held, options: &[&str], script: &str) -> Running {
    start_with(target, options, script, |_| ())
}

fn start_with(target: &Held, options: &[&str], script: &str, change: impl FnOnce(&mut Command)) -> Running {
    let pid = target.number(0).to_string();
    Running::start(&[&["enter", "-t", &pid], options].concat(), script, change)
}

fn each_reaches_the_command() {
    let target = target();
    let names = ["HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM"];
    let numbers = [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM];
    let traps: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(number, name)| format!("trap 'echo {name}; kill $!; exit {}' {name}", 40 + number))
        .collect();
    let script = format!("{}\nsleep \"$0\" >/dev/null & echo ready\nwait", traps.join("\n"));
    for options in standing_by() {
        for (number, name) in names.iter().enumerate() {
            let mut run = start(&target, &options, &script);
            run.signal(numbers[number]);
            let (status, rest) = run.end();
            assert_eq!((status.code(), rest), (Some(40 + number as i32), format!("{name}\n")), "{options:?}: {status}");
        }
        // Who does not catch it dies of it, and nsx by the same one.
        let mut run = start(&target, &options, "echo ready; exec sleep \"$0\"");
        run.signal(SIGTERM);
        assert_eq!(run.end().0.signal(), Some(SIGTERM), "{options:?}");
    }
}

fn nobody_stands_by() {
    let target = target();
    for options in [&["-n"][..], &["-n", "-u"]] {
        let run = start(&target, options, "echo ready; read line");
        assert_eq!(run.command(), run.nsx.id(), "{options:?}");
    }
    for options in [&["-p"][..], &["-m"], &["-n", "--timeout=1000"]] {
        let run = start(&target, options, "echo ready; read line");
        assert_ne!(run.command(), run.nsx.id(), "{options:?}");
    }
}

fn stop() {
    let target = target();
    for options in standing_by() {
        let run = start(&target, &options, "echo ready; read line; exit 5");
        let command = run.command();
        run.stop_and_go(|| send(command, SIGSTOP));
        run.finish();
    }
}

fn terminal_stop() {
    let target = target();
    for options in standing_by() {
        let run = start(&target, &options, "echo ready; read line; exit 5");
        run.stop_and_go(|| run.signal(SIGTSTP));
        run.finish();
    }
}

fn killed() {
    let target = target();
    for options in standing_by() {
        let mut run = start(&target, &options, "sleep \"$0\" >/dev/null & echo ready; wait");
        until_so("a child in the background", || run.commands().len() == 2);
        run.signal(SIGKILL);
        assert_eq!(run.nsx.wait().expect("nsx").signal(), Some(9));
        until_so("all of it is gone", || run.commands().is_empty());
        // Nor is anybody of nsx left who would have seen to that.
        until_so("nsx is gone", || marked(&run.mark).is_empty());
    }
}

fn daemon() {
    let target = target();
    // The substitution ends when the daemon is in a session of its own and has let go of the pipe.
    let script = "echo ready
        up=$(setsid sh -c 'sleep \"$0\" >/dev/null 2>&1 </dev/null & echo up' \"$0\")
        echo \"$up\"; exit 3";
    for options in standing_by() {
        let mut run = start(&target, &options, script);
        let (status, rest) = run.end();
        assert_eq!((status.code(), rest.as_str()), (Some(3), "up\n"), "{options:?}");
        assert!(state(run.command()).is_some_and(|state| state != 'Z'), "{options:?}: the daemon lives");
    }
}

fn timeout() {
    let target = target();
    let script = "trap 'echo TERM; kill $!; exit 9' TERM; sleep \"$0\" >/dev/null & echo ready; wait";
    for options in [&["--timeout=3"][..], &["--timeout", "3"], &["--timeout=3", "--no-cgroup"]] {
        let mut run = start(&target, options, script);
        let (status, rest) = run.end();
        assert_eq!((status.code(), rest.as_str()), (Some(124), "TERM\n"), "{options:?}");
        assert_eq!(run.commands(), [0; 0]);
    }
    // However early that is.
    let pid = target.number(0).to_string();
    let done = output(&mut nsx(&["enter", "-t", &pid, "--timeout", "0.3", "sleep", "1000"]));
    assert_eq!(done.status.code(), Some(124));
}

fn stubborn() {
    let target = target();
    let mut run = start(&target, &["--timeout=0.2,0.2"], "trap '' TERM; echo ready; exec sleep \"$0\"");
    assert_eq!(run.end().0.code(), Some(124));
    assert_eq!(run.commands(), [0; 0]);
    // One who has stopped, and nsx with him; nobody is there who would let them go on.
    let mut run = start(&target, &["--timeout=0.2,0.2"], "trap '' TERM; echo ready; kill -STOP $$; exec sleep \"$0\"");
    until_so("its end", || run.nsx.try_wait().expect("nsx").is_some());
    assert_eq!(run.end().0.code(), Some(124));
}

fn in_time() {
    let target = target();
    let mut run = start(&target, &["--timeout=1000"], "echo ready; exit 5");
    assert_eq!(run.end().0.code(), Some(5));
    let mut run = start(&target, &["--timeout=1000"], "echo ready; kill -KILL $$");
    assert_eq!(run.end().0.signal(), Some(9));
}

fn no_timeout() {
    for text in ["x", "", "-1", "1,", ",1", "1,2,3", "1 2", "nan", "inf"] {
        let error = fails(&["enter", "-t", "self", &format!("--timeout={text}"), "true"], 2);
        assert!(error.contains("--timeout"), "{text}: {error}");
    }
}

fn events() {
    let target = target();
    for (end, key, values) in [
        ("exit 7", "code", [7.into(), 7.into(), 7.into()]),
        ("exit 125", "code", [125.into(), 125.into(), 125.into()]),
        ("kill -KILL $$", "signal", [Value::from(9), "KILL".into(), "SIGKILL".into()]),
    ] {
        let script = format!("test ! -e /proc/$$/fd/{STATUS_FD} && echo ready; read line; {end}");
        let mut events = None;
        let mut run = start_with(&target, &[STATUS_OPTION], &script, |command| events = Some(Events::of(command)));
        let mut events = events.expect("a pipe");
        let started = events.soon();
        // By the caller's numbers, as kill(1) would take it.
        assert_eq!((&started["event"], &started["pid"]), (&"started".into(), &run.command().into()), "{started}");
        run.poke();
        run.end();
        let rest = events.rest();
        let [exited] = &rest[..] else { panic!("not one event but {rest:?}") };
        assert_eq!(exited["event"], "exited", "{exited}");
        assert!(values.contains(&exited[key]), "{end}: {exited}");
        let other = if key == "code" { "signal" } else { "code" };
        assert!(exited[other].is_null(), "{end}: {exited}");
    }
}

fn never_started() {
    let target = target();
    let pid = target.number(0).to_string();
    for (pid, command, code) in [("4194305", "true", 125), (pid.as_str(), "/nsx-test-none", 127), (&pid, "/usr", 126)] {
        let mut nsx = nsx(&["enter", "-t", pid, STATUS_OPTION, command]);
        let events = Events::of(&mut nsx);
        assert_eq!(output(&mut nsx).status.code(), Some(code), "{command}");
        drop(nsx);
        let events = events.rest();
        assert!(events.iter().all(|event| event["event"] != "started"), "{command}: {events:?}");
    }
}

fn nothing_is_left() {
    let target = target();
    let pid = target.number(0).to_string();
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let report = folder.path().join("report");
    for (options, script, code) in [
        (&[][..], "exit 0", 0),
        (&[], "exit 42", 42),
        (&[], "kill -KILL $$", -1),
        // Their parent goes first.
        (&[], "for i in 1 2 3 4 5 6 7 8; do sh -c : & done; exit 1", 1),
        (&["--timeout=0.2,0.2"], "trap '' TERM; exec sleep 1000", 124),
        (&["--nsx-test-no-option"], "exit 0", 2),
    ] {
        let mut command = std::process::Command::new(std::env::current_exe().expect("this test"));
        command.args(["fixture", "reaper"]).arg(&report).arg(nsx_path()).args(["enter", "-t", &pid]).args(options);
        // Who is left may have the output open.
        command.args(["sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().expect("a fixture").success(), "{script}");
        let said = std::fs::read_to_string(&report).expect("a report");
        assert_eq!(said, format!("{code} 0 0\n"), "{script}: its code, who is left, and zombies");
    }
}
