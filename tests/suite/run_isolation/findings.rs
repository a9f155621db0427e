//! What attacks once found nsx to do wrong.

use std::process::Command;

use super::place::{self, Caller, PROBE, callers, finish, run_as};
use crate::harness::terminal::Terminal;
use crate::harness::{Need, Test, nsx, nsx_path, output, test, text};

pub fn tests() -> Vec<Test> {
    vec![
        test("run_isolation::all_capabilities_are_those_that_the_caller_has", &[Need::Root], all_of_host),
        test("run_isolation::a_users_sandbox_in_a_sandbox_is_no_way_out", &[], || {
            super::mounts::nested_of(Caller::User)
        }),
        test("run_isolation::an_empty_directory_is_put_where_there_is_none", &[], empty_directory),
        test("run_isolation::host_names_that_a_terminal_would_obey_are_refused", &[], host_names),
        test("run_isolation::a_usage_error_shows_no_word_raw", &[], usage_errors),
        test(
            "run_isolation::the_end_of_a_command_counts_whoever_is_heard_of_first",
            &[Need::Root, Need::Tool("strace")],
            late_stub,
        ),
    ]
}

/// Without a user namespace nobody has more than the caller has, here all but SYS_RESOURCE, as root in many containers.
fn all_of_host() {
    let own = std::fs::read_to_string("/proc/self/status").expect("status");
    let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:")).expect("a line").trim().to_owned();
    let script = "grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status";
    let done = finish(run_as(Caller::Root, &["--userns", "host", "--cap-add", "ALL"]).args(["sh", "-c", script]));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.lines().all(|line| line.ends_with(&own)), "{own}: {}", done.out);
}

fn empty_directory() {
    for caller in callers() {
        for target in ["/tmp/nsx-test-empty", "/tmp/nsx-test/deep/er", "/nsx-test-new-top"] {
            let made = format!("{target}/file");
            place::probe(caller, &["--tmpfs", target], &["make", &made]).is(&made, &["ok"]);
        }
    }
}

/// C1 controls, which terminals obey in UTF-8, and marks that turn text around: `--name` takes neither.
fn host_names() {
    for evil in ["a\u{9b}2J", "a\u{202e}b", "a\u{85}b"] {
        let done = output(&mut nsx(&["run", "--hostname", evil, "--", "true"]));
        assert!(matches!(done.status.code(), Some(2 | 125)), "{evil:?}: {} {}", done.status, text(&done.stderr));
    }
}

/// What is shown of a word that makes no sense does nothing to a terminal.
fn usage_errors() {
    for option in ["--name", "--hostname", "--user", "--mem"] {
        for evil in ["\u{1b}]0;title\u{7}", "a\u{1b}[2Jb", "a\rb", "a\u{9b}2J"] {
            let mut command = Command::new(nsx_path());
            command.args(["run", "--color", "never", option, evil, "--", "true"]).env("TERM", "xterm");
            let (_, shown) = Terminal::start(&mut command).end();
            // Colours are the parser's own.
            let colour = ["0m", "1m", "4m", "31m", "32m", "33m"].map(|code| format!("\u{1b}[{code}"));
            let shown = colour.iter().fold(shown.replace("\r\n", "\n"), |shown, colour| shown.replace(colour, ""));
            let raw = shown.chars().find(|letter| letter.is_control() && *letter != '\n');
            assert!(raw.is_none(), "{option} {evil:?}: {raw:?} in {shown:?}");
        }
    }
}

/// The stub says who the first process is; that may come after the first process has said how the command ended, where the first process
/// waits for nothing: for an ordinary user, and without a user namespace. Here the stub is held up after clone3(2), and the first process
/// before it exits.
fn late_stub() {
    for caller in callers() {
        for options in [&["--userns", "host"][..], &["--userns", "keep"], &[]] {
            if caller == Caller::User && options.contains(&"host") {
                continue;
            }
            let run = run_as(caller, options);
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3,exit_group"]);
            command.arg("--inject=clone3:delay_exit=600000:when=1").arg("--inject=exit_group:delay_enter=300000");
            place::by(caller, &mut command).arg(run.get_program()).args(run.get_args());
            let done = finish(command.args([PROBE, "fixture", "probe", "euid"]));
            assert_eq!(done.code, Some(0), "{caller:?} {options:?}: {}{}", done.out, done.err);
            let mut again = Command::new("strace");
            again.args(command.get_args().take_while(|word| *word != PROBE));
            let done = finish(place::by(caller, &mut again).args(["sh", "-c", "exit 7"]));
            assert_eq!(done.code, Some(7), "{caller:?} {options:?}: {}{}", done.out, done.err);
        }
    }
}
