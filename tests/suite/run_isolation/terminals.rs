//! The caller's terminal: nobody inside types into it (CVE-2017-5226, CVE-2019-10063, CVE-2023-28100).

use std::process::Command;

use super::place::{self, Caller, PROBE, Said, callers, folder, run_as, suite};
use crate::harness::terminal::Terminal;
use crate::harness::{Need, Test, nsx, output, test, text};

pub fn tests() -> Vec<Test> {
    vec![
        test("run_isolation::a_command_cannot_type_into_the_callers_terminal", &[], own_terminal),
        test("run_isolation::a_command_with_one_stream_on_the_terminal_cannot_type_into_it", &[], one_stream),
        test("run_isolation::without_a_filter_the_terminal_is_still_the_commands_own", &[], without_filter),
        test("run_isolation::the_filter_knows_the_calls_of_other_architectures", &[], other_calls),
        test("run_isolation::names_that_a_terminal_would_obey_are_refused", &[], names),
        test("run_isolation::an_error_shows_no_name_raw", &[Need::Root], errors),
    ]
}

/// Runs a command on a terminal, below a shell that reads a line when that has ended, and returns what was shown before it, and that line.
fn then_read(streams: &str, command: &Command) -> (String, String) {
    let script = format!("\"$@\" {streams}; echo over; IFS= read -r line; echo \"got <$line>\"");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir("/");
    let mut terminal = Terminal::start(&mut shell);
    let shown = terminal.until("over");
    terminal.keys("typed\n");
    terminal.until("got <");
    let got = terminal.until(">");
    terminal.end();
    (shown, got)
}

fn ways() -> Vec<(Caller, Vec<&'static str>)> {
    let mut all = place::all_ways();
    if place::is_root() {
        all.push((Caller::Root, vec!["--userns", "host"]));
        all.push((Caller::Root, vec!["--userns", "host", "--cap-add", "SYS_ADMIN"]));
        all.push((Caller::Root, vec!["--no-init"]));
        all.push((Caller::Root, vec!["--share", "pid,ipc,uts,net"]));
    }
    all
}

/// For a shell that is root's: the one who runs nsx.
fn attack(caller: Caller, options: &[&str]) -> Command {
    let run = run_as(caller, options);
    let mut command = match caller {
        Caller::User if place::is_root() => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={}", place::USER), &format!("--regid={}", place::USER), "--clear-groups"]);
            command.arg(run.get_program());
            command
        }
        _ => Command::new(run.get_program()),
    };
    command.args(run.get_args()).args([PROBE, "fixture", "probe", "tty"]);
    command
}

/// Sees that the attack works where nothing is in the way, unless the kernel says no (dev.tty.legacy_tiocsti, Linux 6.2).
fn control() {
    let mut plain = Command::new(suite());
    plain.args(["fixture", "probe", "tty"]);
    let (shown, got) = then_read("", &plain);
    let allowed = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").map_or(true, |value| value.trim() == "1");
    assert!(got == "injected" || !(allowed || place::is_root()), "{shown} {got}");
}

fn refused(of: &str, shown: &str) {
    let said = Said::parse(of, &shown.replace('\r', ""));
    said.all("TIOCSTI.", &["EPERM"]);
    said.all("TIOCLINUX.", &["EPERM"]);
}

fn own_terminal() {
    control();
    for (caller, options) in ways() {
        let (shown, got) = then_read("", &attack(caller, &options));
        refused(&format!("{caller:?} {options:?}"), &shown);
        assert_eq!(got, "typed", "{caller:?} {options:?}: {shown}");
    }
}

fn one_stream() {
    let place = folder();
    let seen = place.path().join("seen");
    std::fs::write(&seen, "").expect("a file");
    std::fs::set_permissions(&seen, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("chmod");
    let name = seen.display();
    for streams in
        [format!(">'{name}' 2>&1"), format!("</dev/null 2>&1 | cat >'{name}'"), format!("2>/dev/null | cat >'{name}'")]
    {
        for (caller, options) in ways() {
            let (_, got) = then_read(&streams, &attack(caller, &options));
            let shown = std::fs::read_to_string(&seen).expect("what it said");
            refused(&format!("{caller:?} {options:?} {streams}"), &shown);
            assert_eq!(got, "typed", "{caller:?} {options:?} {streams}: {shown}");
        }
    }
}

fn without_filter() {
    let mut ways: Vec<(Caller, Vec<&str>)> = callers().into_iter().map(|caller| (caller, vec![])).collect();
    if place::is_root() {
        // Who has this capability outside types into terminals that are none of theirs.
        ways.push((Caller::Root, vec!["--userns", "host", "--cap-add", "SYS_ADMIN"]));
    }
    for (caller, options) in ways {
        let options = [&["--seccomp", "none"][..], &options].concat();
        for streams in ["", ">/dev/null 2>&1", "</dev/null", "2>/dev/null", "</dev/null 2>/dev/null"] {
            let (shown, got) = then_read(streams, &attack(caller, &options));
            assert_eq!(got, "typed", "{caller:?} {options:?} {streams}: {shown}");
        }
    }
}

fn other_calls() {
    for (caller, options) in place::all_ways() {
        let said = place::probe(caller, &options, &["other-calls"]);
        if cfg!(target_arch = "x86_64") {
            // A kernel without 32-bit programs has nobody to answer the interrupt.
            said.is("i386", &["ENOSYS", "EPERM", "SIGSYS", "SIGSEGV"]);
            said.is("x32", &["ENOSYS", "EPERM", "SIGSYS"]);
        }
    }
}

const EVIL: [&str; 8] =
    ["\u{1b}[2J", "a\u{1b}]0;x\u{7}", "a\nb", "a\rb", "a\u{9b}2J", "a\u{202e}b", "a/../b", "\u{1b}[31mred"];

fn names() {
    for option in ["--name", "--hostname"] {
        for evil in EVIL {
            if option == "--hostname" && !evil.is_ascii() {
                continue;
            }
            let done = output(&mut nsx(&["run", option, evil, "--", "true"]));
            assert!(matches!(done.status.code(), Some(2 | 125)), "{option} {evil:?}: {}", done.status);
            assert_eq!(text(&done.stdout), "");
        }
    }
}

/// Whatever else is given that cannot be.
fn errors() {
    for evil in EVIL {
        let file = format!("/nsx-test-none{evil}");
        for words in [
            vec!["--user", evil, "--", "true"],
            vec!["--workdir", &file, "--", "true"],
            vec!["--rootfs", &file, "--", "true"],
            vec!["--net", &file, "--", "true"],
            vec!["--cap-add", evil, "--", "true"],
            vec!["--cgroup-parent", &file, "--", "true"],
            vec!["-v", &format!("{file}:/run/x"), "--", "true"],
            vec!["-v", &format!("/usr:{file}"), "--", "true"],
            vec!["--", &file],
        ] {
            let done = output(&mut nsx(&[&["run"][..], &words].concat()));
            if done.status.code() == Some(0) {
                // A mount point can have any name.
                assert!(words.contains(&"-v"), "{words:?}");
                continue;
            }
            assert!(matches!(done.status.code(), Some(2 | 125 | 127)), "{words:?}: {}", done.status);
            if done.status.code() == Some(2) {
                // Words that make no sense are shown by the parser of the command line.
                continue;
            }
            let error = crate::harness::fit(&done.stderr);
            assert!(error.starts_with("nsx: "), "{words:?}: {error}");
        }
    }
}
