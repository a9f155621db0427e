//! nsx enter on a terminal: job control, sizes, settings, pipelines, and whose terminal the command has.
//!
//! What a hostile command does to a terminal is in `hostile_enter.rs`, signals that come from elsewhere are in `signals.rs`; what is
//! so with `nsx run`, too, is written in `harness/job_control.rs`. See pty(7), "Job control" in credentials(7).

use std::process::Command;

use nix::libc::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM};

use super::harness::job_control::{self, REPEAT, SHELL, SIZES};
use super::harness::processes::{marked, new_mark, send, state, until_so};
use super::harness::terminal::{CTRL_C, CTRL_D, CTRL_Z, Terminal};
use super::harness::{Module, Need, Place, child_of, enter::Target, nsx, nsx_path, test};

const BASH: &[Need] = &[Need::Tool("bash")];

pub fn module() -> Module {
    let tests = vec![
        test("terminals::a_shell_inside_has_job_control", BASH, shell_inside),
        test("terminals::a_shell_outside_has_job_control", BASH, shell_outside),
        test("terminals::a_stop_of_the_command_stops_nsx", &[], stop),
        test("terminals::keys_that_end_a_command", &[], keys_that_end),
        test("terminals::the_size_is_copied", &[], sizes),
        test("terminals::the_settings_come_back", &[], settings),
        test("terminals::the_settings_come_back_after_a_signal", &[], settings_after_signal),
        test("terminals::the_command_has_another_one", &[], another),
        test("terminals::without_a_need_it_is_the_callers", &[Need::Root], the_callers),
        test("terminals::a_pipeline", &[], pipeline),
        test("terminals::keys_for_another_program_of_a_pipeline", &[], pager),
        test("terminals::lines_for_the_first_program_of_a_pipeline", &[], pipeline_input),
        test("terminals::what_is_typed_early_is_not_lost", &[], early),
        test("terminals::much_output", &[], much_output),
        test("terminals::output_that_nobody_reads_yet", &[], late_output),
        test("terminals::much_input", &[Need::Tool("cksum")], much_input),
        test("terminals::in_the_background", BASH, background),
        test("terminals::a_script_without_an_interpreter_line", &[], script),
        test("terminals::a_hangup_ends_the_session", BASH, hangup),
        test("terminals::a_kill_of_nsx_ends_the_session", BASH, killed),
    ];
    Module { name: "terminals", places: &[Place::Vm], tests }
}

fn target() -> Target {
    Target::start(&["enter-target", "mnt,net,pid,uts"])
}

/// nsx with a command in the target, for which it stands by.
fn enter(target: &Target, command: &[&str]) -> Command {
    let mut nsx = nsx(&["enter", "-t", &target.1, "-a"]);
    nsx.args(command);
    nsx
}

/// nsx with a command in the target, on a terminal.
fn on_a_terminal(target: &Target, command: &[&str]) -> Terminal {
    Terminal::start(&mut enter(target, command))
}

fn shell_inside() {
    job_control::shell_inside(Terminal::start(enter(&target(), &SHELL).env("PS1", "ask> ")));
}

fn shell_outside() {
    job_control::shell_outside(&words(&target()));
}

fn stop() {
    job_control::stopped_by_a_key(on_a_terminal(&target(), &["sh", "-c", REPEAT]));
}

fn keys_that_end() {
    let target = target();
    let start = || on_a_terminal(&target, &["sh", "-c", "echo run-$((1+1)); exec cat"]);
    job_control::ended_by_its_input(start());
    for (key, number) in [(CTRL_C, SIGINT), ("\x1c", SIGQUIT)] {
        job_control::ended_by(start(), number, |terminal| terminal.keys(key));
    }
}

fn sizes() {
    job_control::sizes(on_a_terminal(&target(), &["sh", "-c", SIZES]));
}

fn settings() {
    let target = target();
    for (command, code) in [
        (&["true"][..], 0),
        // What it does to its own terminal is its own matter.
        (&["sh", "-c", "stty raw -echo; exit 3"], 3),
        (&["/nsx-test-none"], 127),
        (&["/etc/passwd"], 126),
        (&["--wdns=/nsx-test-none", "true"], 125),
    ] {
        job_control::settings_come_back(on_a_terminal(&target, command), code, &format!("{command:?}"));
    }
}

fn settings_after_signal() {
    let target = target();
    for number in [SIGTERM, SIGHUP, SIGINT] {
        let terminal = on_a_terminal(&target, &["sh", "-c", "echo run-$((1+1)); exec sleep 1000"]);
        job_control::ended_by(terminal, number, |terminal| send(terminal.child.id(), number));
    }
}

/// Returns the devices of the command's standard streams, and of the caller's terminal.
fn devices(options: &[&str], target: &Target) -> ([String; 3], String) {
    let own = std::env::current_exe().expect("this test");
    let mut command = nsx(&["enter", "-t", &target.1]);
    let mut terminal = Terminal::start(command.args(options).arg(own).args(["fixture", "look", "terminal"]));
    let (status, rest) = terminal.end();
    assert_eq!(status.code(), Some(0), "{options:?}: {rest}");
    let words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
    (words.try_into().expect("three devices"), terminal.device().to_string())
}

fn another() {
    let target = target();
    for options in [&["-a"][..], &[], &["--timeout=1000"]] {
        let ([input, out, error], outside) = devices(options, &target);
        assert!(input == out && out == error && input != outside, "{options:?}: {input} {out} {error}, {outside}");
    }
}

fn the_callers() {
    let target = target();
    for options in [&["-n"][..], &["-n", "-u"]] {
        let ([input, out, error], outside) = devices(options, &target);
        assert!(input == outside && out == outside && error == outside, "{options:?}: {input} {out} {error}");
    }
}

/// nsx as words for a shell.
fn words(target: &Target) -> String {
    format!("{} enter -t {} -a", nsx_path().display(), target.1)
}

fn pipeline() {
    let target = target();
    for _ in 0..5 {
        job_control::writes_into_a_pipeline(&words(&target));
    }
}

/// What a pager does: the first program writes more than it wants to read, and it takes single keys from the terminal.
fn pager() {
    let target = target();
    let script = "$RUN sh -c 'echo run; exec yes' | {
            read line; stty -icanon -echo min 1 </dev/tty; echo keys-$((1+1))
            for key in 1 2 3 4 5; do dd bs=1 count=1 </dev/tty 2>/dev/null; done | { read -r all || :; echo \"<$all>\"; }
            stty icanon echo </dev/tty
        }";
    // The same without nsx, which shows that this is how it works.
    for run in ["env", &words(&target), &words(&target), &words(&target)] {
        let mut terminal = job_control::pipeline(run, script);
        terminal.until("keys-2");
        for key in ["a", "b", "c", "d", "e"] {
            terminal.keys(key);
        }
        terminal.until("<abcde>");
        let (status, _) = terminal.end();
        assert_eq!(status.code(), Some(0), "{run}");
    }
}

fn pipeline_input() {
    let target = target();
    let mut terminal = job_control::pipeline(
        &words(&target),
        "$RUN sh -c 'read line; echo \"($line)\"' | { read line; echo \"<$line>\"; }",
    );
    terminal.keys("one\n");
    terminal.until("<(one)>");
    assert_eq!(terminal.end().0.code(), Some(0));
}

fn early() {
    let target = target();
    for _ in 0..5 {
        let mut terminal = Terminal::start(&mut enter(&target, &["sh", "-c", REPEAT]));
        terminal.keys("one\ntwo\n");
        terminal.until("<one>");
        terminal.until("<two>");
        terminal.keys(CTRL_D);
        assert_eq!(terminal.end().0.code(), Some(5));
    }
}

fn much_output() {
    job_control::all_is_shown(on_a_terminal(&target(), &["seq", "160000"]), 160_000);
}

/// Nobody looks until the command has ended: part of its output is on its way then.
fn late_output() {
    let target = target();
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let written = folder.path().join("written");
    // More than one terminal holds (8 to 12 KiB), and less than two.
    let script = format!("stty -echo; echo run-$((1+1)); read go; seq 3000; : >'{}'", written.display());
    let mut terminal = Terminal::start(&mut enter(&target, &["sh", "-c", &script]));
    terminal.until("run-2");
    let keeper = child_of(terminal.child.id());
    terminal.keys("\r");
    until_so("all is written", || written.exists());
    until_so("the end of the keeper", || matches!(state(keeper), Some('Z') | None));
    let shown = terminal.end().1;
    // What was waited for is not told again, but the end of its line may be.
    let lines = shown.strip_prefix("\r\n").unwrap_or(&shown);
    assert!((1..=3000).map(|number| number.to_string()).eq(lines.split_terminator("\r\n")), "{lines}");
}

fn much_input() {
    let target = target();
    // Without echo, so that nobody has to read meanwhile; and not by lines, of which a terminal takes 4095 bytes only.
    let script = "stty raw -echo; echo run-$((1+1)); head -c 300000 | cksum; echo over-$((1+1))";
    let mut terminal = Terminal::start(&mut enter(&target, &["sh", "-c", script]));
    terminal.until("run-2");
    let text: String = (0..30_000).map(|number| format!("{number:09} ")).collect();
    let mut expected = Command::new("cksum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("cksum");
    std::io::Write::write_all(&mut expected.stdin.take().expect("a pipe"), text.as_bytes()).expect("written");
    let expected = String::from_utf8(expected.wait_with_output().expect("its end").stdout).expect("text");
    terminal.keys(&text);
    let between = terminal.until("over-2");
    assert!(between.contains(expected.trim_end()), "{expected}, and not {between}");
    assert_eq!(terminal.end().0.code(), Some(0));
}

/// A job in the background leaves the terminal to the shell.
fn background() {
    let target = target();
    let mut terminal = job_control::host_shell();
    let before = terminal.before.clone();
    terminal.keys(&format!("{} sh -c 'echo back-$((1+1)); read line; echo \"<$line>\"' &\n", words(&target)));
    terminal.until("back-2");
    assert_eq!(terminal.settings(), before);
    // What is typed is the shell's.
    terminal.keys("echo shell-$((1+1))\n");
    terminal.until("shell-2");
    // In the foreground it gets what is typed, as if it had been there from the start.
    terminal.keys("fg\n");
    terminal.keys("one\n");
    terminal.until("<one>");
    terminal.until("ask> ");
    assert_eq!(terminal.settings(), before);
}

/// It takes a second attempt, on the same terminal of the caller.
fn script() {
    let target = target();
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let path = folder.path().join("script");
    std::fs::write(&path, REPEAT).expect("a script");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let mut terminal = Terminal::start(&mut enter(&target, &[path.to_str().expect("UTF-8")]));
    let before = terminal.before.clone();
    terminal.until("run-2");
    terminal.keys("one\n");
    terminal.until("<one>");
    terminal.keys(CTRL_D);
    assert_eq!(terminal.end().0.code(), Some(5));
    assert_eq!(terminal.settings(), before);
}

/// A shell with jobs in process groups of their own: in the background, stopped, and in the foreground. All have a number of the test in
/// their arguments, by which they are found. `trap` is what they do before anything else.
fn jobs(target: &Target, trap: &str) -> (Terminal, String) {
    let mark = new_mark();
    let mut terminal = Terminal::start(enter(target, &SHELL).env("PS1", "ask> "));
    terminal.until("ask> ");
    terminal.keys(&format!("sh -c '{trap} exec sleep {mark}' &\n"));
    terminal.until("ask> ");
    // Nobody who stops has just made a child: a shell that waits in vfork(2) for one that has stopped does not stop itself.
    terminal.keys(&format!("sh -c '{trap} echo run-$((1+1)); while read line; do :; done' {mark}\n"));
    terminal.until("run-2");
    terminal.keys(CTRL_Z);
    terminal.until("Stopped");
    terminal.keys(&format!("sh -c '{trap} echo run-$((1+1)); sleep {mark}; :'\n"));
    terminal.until("run-2");
    terminal.until_so("all of them", |_| marked(&mark).len() == 4);
    (terminal, mark)
}

fn hangup() {
    let target = target();
    let (mut terminal, mark) = jobs(&target, "");
    terminal.hang_up();
    terminal.until_so("nsx has ended", |terminal| terminal.child.try_wait().expect("a child").is_some());
    terminal.until_so("all of it is gone", |_| marked(&mark).is_empty());
}

/// Not even those live on who ignore that their terminal has gone.
fn killed() {
    let target = target();
    let (mut terminal, mark) = jobs(&target, "trap \"\" HUP TERM;");
    send(terminal.child.id(), SIGKILL);
    terminal.end();
    terminal.until_so("all of it is gone", |_| marked(&mark).is_empty());
}
