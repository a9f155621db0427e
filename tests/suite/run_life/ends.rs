//! How nsx run ends: by the command's own code or signal, 124 to 127 where it did not come to that, and what `--status-fd` tells of it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::libc;

use super::super::harness::events::{Events, STATUS_FD, STATUS_OPTION};
use super::super::harness::group::AS_USER;
use super::super::harness::processes::{marked, new_mark, send, until_so};
use super::super::harness::{Need, Test, fails, nsx, output, test, text};
use super::{WAYS, start, start_with};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("run_life::every_exit_code_is_the_commands_own", &[], codes),
        test("run_life::a_command_that_dies_of_a_signal_takes_nsx_along", &[], signals),
        test("run_life::the_first_process_is_not_immune_to_the_host", &[], killed_first),
        test("run_life::a_timeout_ends_the_command_with_124", &[], timeout),
        test("run_life::a_timeout_kills_who_does_not_listen", &[], stubborn),
        test("run_life::a_timeout_that_is_not_reached_changes_nothing", &[], in_time),
        test("run_life::what_cannot_be_executed_is_126_and_what_is_absent_127", &[], not_executed),
        test("run_life::a_command_without_its_interpreter_is_126", &[], without_interpreter),
        test(
            "run_life::a_script_without_an_interpreter_line_is_the_shells",
            &[Need::Root, Need::Tool("setpriv")],
            script,
        ),
        test("run_life::events_tell_the_commands_own_125_apart", &[], events),
        test("run_life::what_never_starts_is_reported_as_failed", &[], never_started),
        test("run_life::whoever_holds_the_output_does_not_keep_nsx", &[], output_held),
    ]
}

fn code(options: &[&str], script: &str) -> (Option<i32>, Option<i32>, String) {
    let done = output(nsx(&["run"]).args(options).args(["sh", "-c", script]));
    (done.status.code(), done.status.signal(), text(&done.stderr))
}

fn codes() {
    let wrong = Mutex::new(Vec::new());
    let wrong = &wrong;
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                for number in (worker..256).step_by(4) {
                    let without_init = matches!(number, 0..4 | 120..150 | 250..256);
                    let ways = if without_init { &[&[][..], &["--no-init"]][..] } else { &[&[][..]] };
                    for options in ways {
                        let (code, signal, said) = code(options, &format!("exit {number}"));
                        if (code, signal, said.as_str()) != (Some(number), None, "") {
                            wrong.lock().expect("no panic").push((*options, number, code, signal, said));
                        }
                    }
                }
            });
        }
    });
    assert!(wrong.lock().expect("no panic").is_empty(), "{wrong:?}");
}

fn signals() {
    for number in [1, 2, 3, 6, 9, 10, 11, 13, 14, 15, 34, 40, 64] {
        for options in [&[][..], &["--timeout=1000"]] {
            let (code, signal, said) = code(options, &format!("ulimit -c 0; kill -{number} $$; exit 77"));
            assert_eq!((code, signal), (None, Some(number)), "{options:?}: {said}");
        }
        // For the first process the kernel ignores what it has no handler for, also SIGKILL, if it comes from inside. dash has one for
        // SIGINT.
        if number == libc::SIGINT {
            continue;
        }
        let (code, signal, said) = code(&["--no-init"], &format!("kill -{number} $$; exit 77"));
        assert_eq!((code, signal), (Some(77), None), "{number}: {said}");
    }
}

fn killed_first() {
    for number in [libc::SIGKILL, libc::SIGTERM] {
        let mut run = start(&["--no-init"], "trap 'exit 9' TERM; sleep \"$0\" >/dev/null & echo ready; wait");
        let first = run.commands().into_iter().min().expect("a shell");
        send(first, number);
        let status = run.end().0;
        let expected = if number == libc::SIGKILL { (None, Some(number)) } else { (Some(9), None) };
        assert_eq!((status.code(), status.signal()), expected);
    }
}

fn timeout() {
    let script = "trap 'echo TERM; kill $!; exit 9' TERM; sleep \"$0\" >/dev/null & echo ready; wait";
    for options in [&["--timeout=1"][..], &["--timeout", "1s,1000s"], &["--timeout=1000ms", "--no-init"]] {
        let mut run = start(options, script);
        let (status, rest) = run.end();
        assert_eq!((status.code(), rest.as_str()), (Some(124), "TERM\n"), "{options:?}");
        assert_eq!(run.commands(), [0; 0], "{options:?}");
    }
    // However early that is, and however the command ends then.
    for options in [&["--timeout=0.001"][..], &["--timeout=0.1"], &["--timeout=0.05,0.05", "--no-init"]] {
        let done = output(nsx(&["run"]).args(options).args(["sleep", "1000"]));
        assert_eq!(done.status.code(), Some(124), "{options:?}: {}", text(&done.stderr));
    }
}

fn stubborn() {
    for options in [&["--timeout=0.2,0.2"][..], &["--timeout=0.2,0.2", "--no-init"]] {
        let mut run = start(options, "trap '' TERM; echo ready; exec sleep \"$0\"");
        assert_eq!(run.end().0.code(), Some(124), "{options:?}");
        assert_eq!(run.commands(), [0; 0], "{options:?}");
    }
    // Not even somebody who has stopped, and nsx with him; nobody is there who would let them go on.
    for script in
        ["echo ready; kill -STOP $$; exec sleep \"$0\"", "trap '' TERM; echo ready; kill -STOP $$; exec sleep \"$0\""]
    {
        let mut run = start(&["--timeout=0.2,0.2"], script);
        until_so("its end", || run.nsx.try_wait().expect("nsx").is_some());
        assert_eq!(run.end().0.code(), Some(124), "{script}");
    }
}

fn in_time() {
    for options in [&["--timeout=1000"][..], &["--timeout=1000", "--no-init"]] {
        assert_eq!(code(options, "exit 5").0, Some(5), "{options:?}");
        assert_eq!(code(options, "exit 124").0, Some(124), "{options:?}");
    }
    assert_eq!(code(&["--timeout=1000"], "kill -KILL $$").1, Some(9));
}

fn not_executed() {
    for options in WAYS {
        for (command, code, said) in [
            ("/nsx-test-none", 127, "nsx: cannot execute /nsx-test-none inside: "),
            ("nsx-test-none", 127, "nsx: cannot find nsx-test-none on PATH inside: "),
            ("/etc/passwd", 126, "nsx: cannot execute /etc/passwd inside: "),
            ("/usr", 126, "nsx: cannot execute /usr inside: "),
        ] {
            let done = output(nsx(&["run"]).args(options).arg(command));
            let error = text(&done.stderr);
            assert_eq!(done.status.code(), Some(code), "{options:?} {command}: {error}");
            assert!(error.starts_with(said), "{options:?} {command}: {error}");
        }
    }
}

/// To the kernel that is the same as a command that is not there, and to nobody else.
fn without_interpreter() {
    let folder = folder_with_script("#!/nsx-test-none\n");
    for name in ["bin", "proc", "dev", "sys"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    std::fs::rename(folder.path().join("script"), folder.path().join("bin/script")).expect("moved");
    let root = format!("--rootfs={}", folder.path().display());
    for (command, code) in [("script", 126), ("/bin/script", 126), ("none", 127), ("/bin/none", 127)] {
        let done = output(&mut nsx(&["run", &root, command]));
        let error = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{command}: {error}");
        assert_eq!(error.contains("its interpreter is not there"), code == 126, "{error}");
    }
}

/// A folder with an executable file in it that says nothing of an interpreter.
fn folder_with_script(content: &str) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let file = folder.path().join("script");
    std::fs::write(&file, content).expect("a script");
    for path in [folder.path(), &file] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    folder
}

pub(super) fn run_script(prefix: &[&str], options: &[&str]) {
    let folder = folder_with_script("echo \"$0 $1\"; exit 6\n");
    let shown = format!("--volume={}:/run/nsx-test:ro", folder.path().display());
    let plain = nsx(&["run", &shown]);
    let mut command = match prefix {
        [] => plain,
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(plain.get_program()).args(plain.get_args()).stdin(std::process::Stdio::null());
            command
        }
    };
    let done = output(command.args(options).args(["/run/nsx-test/script", "a b"]));
    let seen = (done.status.code(), text(&done.stdout));
    assert_eq!(seen, (Some(6), "/run/nsx-test/script a b\n".to_owned()), "{options:?}: {}", text(&done.stderr));
}

fn script() {
    WAYS.into_iter().for_each(|options| run_script(&AS_USER, options));
}

fn events() {
    for way in [&[][..], &["--no-init"], &["--name=nsx-test-events"]] {
        for (end, key, value) in [
            ("exit 7", "code", 7),
            ("exit 125", "code", 125),
            ("exit 124", "code", 124),
            ("kill -KILL $$", "signal", 9),
        ] {
            if key == "signal" && way == ["--no-init"] {
                continue;
            }
            let script = format!("test ! -e /proc/$$/fd/{STATUS_FD} && echo ready; read line; {end}");
            let mut events = None;
            let options = [way, &[STATUS_OPTION]].concat();
            let mut run = start_with(&options, &script, |command| events = Some(Events::of(command)));
            let mut events = events.expect("a pipe");
            let started = events.soon();
            let name =
                if way == ["--name=nsx-test-events"] { "nsx-test-events".to_owned() } else { run.nsx.id().to_string() };
            // The pid is the host's.
            let expected = serde_json::json!({ "event": "started", "pid": run.command(), "name": name });
            assert_eq!(started, expected, "{way:?}");
            run.poke();
            run.end();
            let rest = events.rest();
            let [exited] = &rest[..] else { panic!("not one event but {rest:?}") };
            assert_eq!((&exited["event"], &exited[key]), (&"exited".into(), &value.into()), "{way:?} {end}: {exited}");
            let other = if key == "code" { "signal" } else { "code" };
            assert!(exited[other].is_null() && exited["timeout"] == false, "{way:?} {end}: {exited}");
        }
    }
    let mut command = nsx(&["run", "--timeout=0.1", STATUS_OPTION, "sleep", "1000"]);
    let events = Events::of(&mut command);
    assert_eq!(output(&mut command).status.code(), Some(124));
    drop(command);
    let last = events.rest().pop().expect("an event");
    assert_eq!((&last["event"], &last["timeout"]), (&"exited".into(), &true.into()), "{last}");
}

fn never_started() {
    let cases: [(&[&str], &str, i32); 5] = [
        (&["--rootfs=/nsx-test-none"], "true", 125),
        (&["--user=nsx-test-nobody"], "true", 125),
        (&[], "/nsx-test-none", 127),
        (&[], "/usr", 126),
        (&["--no-init"], "/usr", 126),
    ];
    for (options, word, code) in cases {
        let mut command = nsx(&["run", STATUS_OPTION]);
        command.args(options).arg(word);
        let events = Events::of(&mut command);
        let done = output(&mut command);
        assert_eq!(done.status.code(), Some(code), "{options:?} {word}: {}", text(&done.stderr));
        drop(command);
        let all = events.rest();
        let [failed] = &all[..] else { panic!("not one event but {all:?}") };
        assert_eq!((&failed["event"], &failed["code"]), (&"failed".into(), &code.into()), "{options:?} {word}");
        let said = failed["error"].as_str().expect("a text");
        assert!(text(&done.stderr).starts_with(&format!("nsx: {said}")), "{said}");
    }
    fails(&["run", "--status-fd=x", "true"], 2);
}

fn output_held() {
    for options in WAYS {
        let begin = Instant::now();
        let mark = new_mark();
        let script = "trap '' HUP TERM; sleep \"$0\" & setsid sleep \"$0\" & echo over; exit 3";
        // Waits until nobody has the output open any more.
        let done = output(nsx(&["run"]).args(options).args(["sh", "-c", script, &mark]));
        assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(3), "over\n"), "{options:?}");
        assert!(begin.elapsed() < Duration::from_secs(60), "{options:?}");
        assert_eq!(marked(&mark), [0; 0], "{options:?}");
    }
}
