//! nsx run on a terminal: job control, keys, sizes, the terminal inside, pipelines, and the caller's settings afterwards.
//!
//! What is so with `nsx enter`, too, is written in `harness/job_control.rs`. See pty(7).

use std::os::unix::process::ExitStatusExt;

use nix::libc::{SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM};

use super::super::harness::job_control::{self, REPEAT, SHELL, SIZES};
use super::super::harness::processes::{is_stopped, marked, new_mark, send, state, until_so};
use super::super::harness::terminal::{CTRL_C, CTRL_D, CTRL_Z, Terminal};
use super::super::harness::{Need, Test, nsx, nsx_path, test};
use super::both_keepers;

const BASH: &[Need] = &[Need::Tool("bash")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("run_life::a_shell_inside_has_job_control", BASH, shell_inside),
        test("run_life::a_plain_sh_takes_commands_and_ctrl_d", &[], plain_shell),
        test("run_life::nsx_is_a_job_of_the_shell_outside", BASH, shell_outside),
        test("run_life::ctrl_z_and_sigcont_go_around_as_often_as_one_likes", &[], stop),
        test("run_life::keys_end_a_plain_command", &[], keys_that_end),
        test("run_life::the_size_inside_is_the_one_outside", &[], sizes),
        test("run_life::the_terminal_is_of_the_devpts_inside", &[], names),
        test("run_life::the_settings_are_the_callers_again", &[], settings),
        test("run_life::the_settings_come_back_after_a_signal_to_nsx", &[], settings_after_signal),
        test("run_life::the_settings_come_back_after_a_kill_of_whoever_is_inside", &[], settings_after_kill),
        test("run_life::the_settings_come_back_after_a_kill_of_nsx", &[], settings_after_kill_of_nsx),
        test("run_life::a_pipeline_reads_and_writes_past_the_terminal", &[], pipelines),
        test("run_life::a_hangup_ends_the_session", BASH, hangup),
        test("run_life::a_kill_of_nsx_ends_the_session", BASH, killed),
        test("run_life::whoever_holds_the_terminal_does_not_keep_nsx", &[], background),
        test("run_life::all_output_is_shown_before_the_end", &[], much_output),
    ]
}

const WAYS: [&[&str]; 2] = [&[], &["--no-init"]];

fn start(options: &[&str], command: &[&str]) -> Terminal {
    Terminal::start(nsx(&["run"]).args(options).args(command))
}

/// A bash inside that asks for commands with `ask> `.
fn start_shell(options: &[&str]) -> Terminal {
    Terminal::start(nsx(&["run", "-e", "PS1=ask> "]).args(options).args(SHELL))
}

fn shell_inside() {
    WAYS.into_iter().for_each(|options| job_control::shell_inside(start_shell(options)));
}

fn plain_shell() {
    for options in WAYS {
        let mut terminal = Terminal::start(nsx(&["run"]).args(options).args(["-e", "PS1=ask> ", "sh", "-i"]));
        let greeting = terminal.until("ask> ");
        assert!(!greeting.contains("job control"), "{options:?}: {greeting}");
        terminal.keys("sh -c 'echo run-$((1+1)); exec sleep 1000'\n");
        terminal.until("run-2");
        terminal.keys(CTRL_C);
        terminal.until("ask> ");
        terminal.keys("(exit 4)\n");
        terminal.until("ask> ");
        terminal.keys(CTRL_D);
        job_control::settings_come_back(terminal, 4, &format!("{options:?}"));
    }
}

pub(super) fn words(options: &str) -> String {
    format!("{} run {options}", nsx_path().display())
}

fn shell_outside() {
    job_control::shell_outside(&words(""));
}

/// The first process of a pid namespace does not stop at a key: the kernel ignores what it has no handler for. Hence not with --no-init.
fn stop() {
    job_control::stopped_by_a_key(start(&[], &["sh", "-c", REPEAT]));
}

fn keys_that_end() {
    let start = |what: &str| start(&["--ulimit=core=0"], &["sh", "-c", &format!("echo run-$((1+1)); exec {what}")]);
    job_control::ended_by_its_input(start("cat"));
    for what in ["cat", "sleep 1000"] {
        for (key, number) in [(CTRL_C, SIGINT), ("\x1c", SIGQUIT)] {
            job_control::ended_by(start(what), number, |terminal| terminal.keys(key));
        }
        // Stopped by a key, it goes on with nsx.
        let mut terminal = start(what);
        terminal.until("run-2");
        let nsx = terminal.child.id();
        terminal.keys(CTRL_Z);
        terminal.until_so("nsx stops", |_| is_stopped(nsx));
        send(nsx, SIGCONT);
        terminal.until_so("nsx goes on", |terminal| !is_stopped(nsx) && !terminal.is_line_mode());
        terminal.keys(CTRL_C);
        assert_eq!(terminal.end().0.signal(), Some(SIGINT), "{what}");
    }
}

fn sizes() {
    WAYS.into_iter().for_each(|options| job_control::sizes(start(options, &["sh", "-c", SIZES])));
}

fn names() {
    let script = "tty; readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2
        test $(stat -c %d \"$(tty)\") = $(stat -c %d /dev/pts/ptmx) && echo same-$((1+1))
        : </dev/tty && echo open-$((1+1)); ls -1 /dev/pts";
    for options in WAYS {
        let mut terminal = start(options, &["sh", "-c", script]);
        let (status, rest) = terminal.end();
        let lines: Vec<&str> = rest.split_terminator("\r\n").collect();
        assert_eq!(lines[..4], ["/dev/pts/0"; 4], "{options:?}: {rest}");
        assert!(status.success() && lines[4..] == ["same-2", "open-2", "0", "ptmx"], "{options:?}: {rest}");
    }
}

fn settings() {
    for (options, command, code) in [
        (&[][..], &["true"][..], 0),
        (&["--no-init"], &["true"], 0),
        // What it does to its own terminal is its own matter.
        (&[], &["sh", "-c", "stty raw -echo; exit 3"], 3),
        (&["--no-init"], &["sh", "-c", "stty raw -echo; exit 3"], 3),
        (&[], &["/nsx-test-none"], 127),
        (&[], &["/etc/passwd"], 126),
        (&["--workdir=/nsx-test-none"], &["true"], 125),
        (&["--rootfs=/nsx-test-none"], &["true"], 125),
        (&["--timeout=0.2"], &["sleep", "1000"], 124),
    ] {
        let what = format!("{options:?} {command:?}");
        job_control::settings_come_back(start(options, command), code, &what);
    }
}

const SLEEPER: &str = "echo run-$((1+1)); exec sleep \"$0\"";

fn settings_after_signal() {
    for number in [SIGTERM, SIGHUP, SIGINT] {
        let terminal = start(&[], &["sh", "-c", SLEEPER, "1000"]);
        job_control::ended_by(terminal, number, |terminal| send(terminal.child.id(), number));
    }
}

fn settings_after_kill() {
    for options in WAYS {
        for of_command in [true, false] {
            let mark = new_mark();
            let mut terminal = start(options, &["sh", "-c", SLEEPER, &mark]);
            terminal.until("run-2");
            let nsx = terminal.child.id();
            let command = || marked(&mark).into_iter().find(|pid| *pid != nsx);
            until_so("a command", || command().is_some());
            let victim = if of_command || options == ["--no-init"] {
                command().expect("a command")
            } else {
                both_keepers(&nsx.to_string()).1
            };
            send(victim, SIGKILL);
            assert_eq!(terminal.end().0.signal(), Some(SIGKILL), "{options:?}");
            assert_eq!(terminal.settings(), terminal.before, "{options:?}");
            until_so("all of it is gone", || marked(&mark).is_empty());
        }
    }
}

/// Who types next finds the terminal as it was, and not one that shows nothing.
fn settings_after_kill_of_nsx() {
    let mut terminal = start(&[], &["sh", "-c", SLEEPER, "1000"]);
    terminal.until("run-2");
    assert!(!terminal.is_line_mode(), "keys go to the command as they are");
    let (stub, _) = both_keepers(&terminal.child.id().to_string());
    send(terminal.child.id(), SIGKILL);
    terminal.end();
    until_so("the end of the stub", || state(stub).is_none());
    assert_eq!(terminal.settings(), terminal.before);
}

fn pipelines() {
    for way in ["", "--no-init"] {
        let run = words(way);
        job_control::writes_into_a_pipeline(&run);
        let mut terminal = job_control::pipeline(&run, "$RUN cat | sed 's/^/</; s/$/>/'; echo over-$((1+1))");
        terminal.keys("one\n");
        terminal.keys("two\n");
        terminal.keys(CTRL_D);
        terminal.until("<one>");
        terminal.until("<two>");
        terminal.until("over-2");
        job_control::settings_come_back(terminal, 0, way);
        // Both at once.
        let mut terminal = job_control::pipeline(&run, "$RUN seq 3 | $RUN cat | tail -n 1");
        assert_eq!(terminal.end().1, "3\r\n", "{way}");
        assert_eq!(terminal.settings(), terminal.before, "{way}");
    }
}

/// A shell with a job in the background that ignores a hangup, and one in the foreground.
fn session(mark: &str) -> Terminal {
    let mut terminal = start_shell(&[]);
    terminal.until("ask> ");
    terminal.keys(&format!("sh -c 'trap \"\" HUP TERM; exec sleep {mark}' &\n"));
    terminal.until("ask> ");
    terminal.keys(&format!("sh -c 'echo run-$((1+1)); sleep {mark}; :'\n"));
    terminal.until("run-2");
    terminal.until_so("all of them", |_| marked(mark).len() == 3);
    terminal
}

fn hangup() {
    let mark = new_mark();
    let mut terminal = session(&mark);
    terminal.hang_up();
    terminal.until_so("nsx has ended", |terminal| terminal.child.try_wait().expect("a child").is_some());
    terminal.until_so("all of it is gone", |_| marked(&mark).is_empty());
}

fn killed() {
    let mark = new_mark();
    let mut terminal = session(&mark);
    send(terminal.child.id(), SIGKILL);
    terminal.end();
    terminal.until_so("all of it is gone", |_| marked(&mark).is_empty());
}

fn background() {
    for options in WAYS {
        let mark = new_mark();
        let script = "trap '' HUP TERM; sleep \"$0\" & setsid sleep \"$0\" & echo over-$((1+1)); exit 3";
        let mut terminal = start(options, &["sh", "-c", script, &mark]);
        terminal.until("over-2");
        assert_eq!(terminal.end().0.code(), Some(3), "{options:?}");
        assert_eq!(terminal.settings(), terminal.before, "{options:?}");
        assert_eq!(marked(&mark), [0; 0], "{options:?}");
    }
}

fn much_output() {
    WAYS.into_iter().for_each(|options| job_control::all_is_shown(start(options, &["seq", "40000"]), 40_000));
}
