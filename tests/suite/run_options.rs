//! Each option of nsx run has its effect, end to end, on each kernel and kind of cgroups that there is.
//!
//! What it keeps from the command is in `run_isolation`, how it ends in `run_life`, what it says of that in `run_report`. The programs
//! that are needed inside are those of any shell.

mod command;
mod files;
mod limits;
mod masks;
mod namespaces;

use std::process::{Command, Output};

use super::harness::group::AS_USER;
use super::harness::{Module, Place, Test, nsx, nsx_path, output, text};

pub fn module() -> Module {
    let all: [fn() -> Vec<Test>; 5] = [limits::tests, namespaces::tests, files::tests, command::tests, masks::tests];
    let tests = all.into_iter().flat_map(|tests| tests()).collect();
    Module { name: "run_options", places: &[Place::Vm], tests }
}

/// Runs the words of a shell in a sandbox with these options.
fn sh(options: &[&str], script: &str) -> Output {
    output(nsx(&["run"]).args(options).args(["--", "sh", "-c", script]))
}

/// The same, which must go well, and what was printed.
fn said(options: &[&str], script: &str) -> String {
    let done = sh(options, script);
    assert_eq!(done.status.code(), Some(0), "{options:?} {script}: {}", text(&done.stderr));
    text(&done.stdout)
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Makes a shell of the caller's do something, become an ordinary user, and be replaced by `nsx run` with these words.
fn as_user_after(before: &str, words: &[&str]) -> Output {
    let user: &[&str] = if is_root() { &AS_USER } else { &[] };
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before}; exec \"$@\""), "sh"]).args(user).arg(nsx_path()).arg("run").args(words);
    output(command.stdin(std::process::Stdio::null()).current_dir("/"))
}

/// Makes sure that there was no sandbox, and returns the error and the hint below it.
fn refused(done: &Output) -> (String, String) {
    let said = text(&done.stderr);
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(125), ""), "{said}");
    let mut lines = said.lines().filter(|line| !line.starts_with("nsx: note: ")).map(str::to_owned);
    let (error, hint) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    assert!(error.starts_with("nsx: cannot ") && lines.next().is_none(), "{said}");
    assert!(hint.is_empty() || hint.starts_with("hint: "), "{said}");
    (error, hint)
}
