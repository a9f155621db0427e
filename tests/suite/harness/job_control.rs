//! What is to be so with any command of nsx's on a terminal, whoever stands between: job control, keys, sizes, settings, pipelines.
//!
//! What is waited for is never what was typed, because that is shown, too: `run-$((1+1))` is typed, and `run-2` is waited for. See pty(7),
//! "Job control" in credentials(7).

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use nix::libc::{SIGCONT, SIGTSTP, SIGUSR1};

use super::processes::{is_stopped, send, state};
use super::terminal::{CTRL_C, CTRL_D, CTRL_Z, Terminal};

/// A bash that asks for commands with `$PS1`, which is `ask> `, and reads no files of anybody.
pub const SHELL: [&str; 4] = ["bash", "--norc", "--noprofile", "--noediting"];

/// A command that says `run-2`, and `<LINE>` for each line; at the end of its input `over-2`, and its status is 5.
pub const REPEAT: &str = "echo run-$((1+1)); while read line; do echo \"<$line>\"; done; echo over-$((1+1)); exit 5";

/// A command that tells the size of its terminal, says `run-2`, and tells each change. Its status after SIGUSR1 is 4. A shell waits in `wait`
/// because only that is cut short by a trap.
pub const SIZES: &str = "stty size
    sleep 1000 </dev/null >/dev/null 2>&1 &
    trap 'stty size' WINCH; trap 'kill $!; exit 4' USR1
    echo run-$((1+1)); while :; do wait; done";

/// A [`SHELL`] inside has job control.
pub fn shell_inside(mut terminal: Terminal) {
    let greeting = terminal.until("ask> ");
    assert!(!greeting.contains("job control"), "{greeting}");
    for round in 0..2 {
        terminal.keys(&format!("sh -c '{REPEAT}'\n"));
        terminal.until("run-2");
        terminal.keys(CTRL_Z);
        terminal.until("Stopped");
        terminal.until("ask> ");
        // It is the job that has stopped, and nobody else.
        assert_ne!(state(terminal.child.id()), Some('T'), "{round}");
        terminal.keys("jobs | wc -l | sed 's/^/jobs-/'\n");
        terminal.until("jobs-1");
        terminal.keys("fg\n");
        terminal.keys("one\n");
        terminal.until("<one>");
        terminal.keys(CTRL_C);
        terminal.until("ask> ");
        terminal.keys("echo code-$?-\n");
        terminal.until("code-130-");
        terminal.until("ask> ");
    }
    terminal.keys("exit 7\n");
    assert_eq!(terminal.end().0.code(), Some(7));
    assert_eq!(terminal.settings(), terminal.before);
}

/// Starts a [`SHELL`] of the host.
pub fn host_shell() -> Terminal {
    let [shell, options @ ..] = SHELL;
    let mut terminal = Terminal::start(Command::new(shell).args(options).env("PS1", "ask> "));
    terminal.until("ask> ");
    terminal
}

/// nsx, which takes these words, is a job of a shell on the caller's terminal like any other.
pub fn shell_outside(words: &str) {
    let mut terminal = host_shell();
    let before = terminal.before.clone();
    terminal.keys(&format!("{words} sh -c '{REPEAT}'\n"));
    terminal.until("run-2");
    for round in 0..3 {
        terminal.keys(CTRL_Z);
        terminal.until("Stopped");
        terminal.until("ask> ");
        assert_eq!(terminal.settings(), before, "{round}: those of the shell");
        terminal.keys("fg\n");
        terminal.keys("one\n");
        terminal.until("<one>");
    }
    terminal.keys(CTRL_C);
    terminal.until("ask> ");
    terminal.keys("echo code-$?-\n");
    terminal.until("code-130-");
    assert_eq!(terminal.settings(), before);
    terminal.keys("exit\n");
    terminal.end();
}

/// A key that stops the command of a shell with [`REPEAT`] stops nsx, and SIGCONT to nsx lets both go on, as often as one likes.
pub fn stopped_by_a_key(mut terminal: Terminal) {
    let before = terminal.before.clone();
    terminal.until("run-2");
    let nsx = terminal.child.id();
    for round in 0..3 {
        terminal.keys(CTRL_Z);
        terminal.until_so("nsx stops", |_| is_stopped(nsx));
        assert_eq!(terminal.settings(), before, "{round}: who comes next finds them as they were");
        send(nsx, SIGCONT);
        terminal.until_so("nsx goes on", |terminal| !is_stopped(nsx) && !terminal.is_line_mode());
        let text = format!("one{round}");
        terminal.keys(&format!("{text}\n"));
        terminal.until(&format!("<{text}>"));
    }
    terminal.keys(CTRL_D);
    let (status, rest) = terminal.end();
    assert!(status.code() == Some(5) && rest.contains("over-2"), "{status}: {rest}");
    assert_eq!(terminal.settings(), before);
}

/// A command that says `run-2` and becomes cat(1) repeats what is typed, and ends with its input.
pub fn ended_by_its_input(mut terminal: Terminal) {
    terminal.until("run-2");
    terminal.keys("one\n");
    // Once as it is typed, and once by cat.
    terminal.until("one");
    terminal.until("one");
    terminal.keys(CTRL_D);
    assert_eq!(terminal.end().0.code(), Some(0));
}

/// A command that says `run-2` is ended by something that is this signal to it, and so is nsx; the caller's settings are back.
pub fn ended_by(mut terminal: Terminal, number: i32, end: impl FnOnce(&Terminal)) {
    terminal.until("run-2");
    assert!(!terminal.is_line_mode(), "keys go to the command as they are");
    end(&terminal);
    assert_eq!(terminal.end().0.signal(), Some(number));
    assert_eq!(terminal.settings(), terminal.before, "{number}");
}

/// The size that [`SIZES`] sees is that of the caller's terminal, also after changes, and after one while nsx was stopped.
pub fn sizes(mut terminal: Terminal) {
    terminal.until("33 77");
    terminal.until("run-2");
    for (lines, columns) in [(44, 88), (20, 100), (3, 5)] {
        terminal.resize(lines, columns);
        terminal.until(&format!("{lines} {columns}\r\n"));
    }
    let nsx = terminal.child.id();
    send(nsx, SIGTSTP);
    terminal.until_so("nsx stops", |_| is_stopped(nsx));
    terminal.resize(55, 66);
    send(nsx, SIGCONT);
    terminal.until("55 66");
    send(nsx, SIGUSR1);
    assert_eq!(terminal.end().0.code(), Some(4));
}

/// However a command ends, with this status, the caller's settings are back.
pub fn settings_come_back(mut terminal: Terminal, code: i32, what: &str) {
    let (status, rest) = terminal.end();
    assert_eq!(status.code(), Some(code), "{what}: {rest}");
    assert_eq!(terminal.settings(), terminal.before, "{what}");
}

/// All that seq(1) prints, up to this number, is shown before the end, in order.
pub fn all_is_shown(mut terminal: Terminal, last: u32) {
    let (status, rest) = terminal.end();
    assert_eq!(status.code(), Some(0));
    let lines = rest.split_terminator("\r\n");
    assert!((1..=last).map(|number| number.to_string()).eq(lines), "{} bytes", rest.len());
}

/// A shell without job control runs a pipeline on the caller's terminal, with `$RUN` in place of nsx and its words.
pub fn pipeline(run: &str, script: &str) -> Terminal {
    Terminal::start(Command::new("sh").args(["-c", script]).env("RUN", run))
}

/// What nsx writes in a pipeline all goes the right way.
pub fn writes_into_a_pipeline(run: &str) {
    let mut terminal = pipeline(run, "$RUN seq 5000 | tail -n 1");
    let (status, rest) = terminal.end();
    assert_eq!((status.code(), rest.as_str()), (Some(0), "5000\r\n"), "{run}");
    assert_eq!(terminal.settings(), terminal.before, "{run}");
}
