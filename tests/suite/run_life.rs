//! The life of what nsx run starts, from outside: how it ends, what reaches it, what is left of it, and kernels that lack something.
//!
//! Each run has a number of its own among the arguments of its command, by which its processes are found in the host's `/proc`. What a
//! sandbox shows and hides is not here. See signal(7), pid_namespaces(7), "Job control" in credentials(7).

mod detach;
mod ends;
mod explained;
mod forbidden;
mod forward;
mod kernels;
mod killed;
mod left;
mod many;
mod regressions;
mod terminal;
mod wrong;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::harness::terminal::{marked, until_so};
use super::harness::{Module, Test, nsx};

pub fn module() -> Module {
    let all: [fn() -> Vec<Test>; 11] = [
        ends::tests,
        wrong::tests,
        forward::tests,
        terminal::tests,
        killed::tests,
        many::tests,
        detach::tests,
        kernels::tests,
        forbidden::tests,
        explained::tests,
        regressions::tests,
    ];
    let tests = all.into_iter().flat_map(|tests| tests()).collect();
    Module { name: "run_life", places: &[], tests }
}

/// Returns a number that no other run has; as seconds it is long enough.
fn new_mark() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(10);
    format!("{}{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

/// Options of ways to run a command that differ in who watches over it, and limits.
const WAYS: [&[&str]; 3] = [&[], &["--no-init"], &["--timeout=1000"]];

/// Limits that every machine with these controllers has room for.
const LIMITS: [&str; 2] = ["--mem=64M", "--pids=50"];

/// A run of nsx, until it is dropped, with all that came of it.
struct Run {
    nsx: Child,
    input: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    mark: String,
}

impl Run {
    /// Starts a shell in a sandbox, with the number of the run as `$0`, and waits until it says `ready`.
    fn start(options: &[&str], script: &str) -> Run {
        Run::start_with(options, script, |_| ())
    }

    fn start_with(options: &[&str], script: &str, change: impl FnOnce(&mut Command)) -> Run {
        let mark = new_mark();
        let mut command = nsx(&["run"]);
        command.args(options).args(["sh", "-c", script, &mark]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        lead_a_group(&mut command);
        change(&mut command);
        let mut nsx = command.spawn().expect("nsx");
        let (input, out) = (nsx.stdin.take(), BufReader::new(nsx.stdout.take().expect("a pipe")));
        let mut run = Run { nsx, input, out, mark };
        assert_eq!(run.line(), "ready", "nsx run {options:?} sh -c {script:?}: {:?}", run.nsx.try_wait());
        run
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a line");
        line.trim_end_matches('\n').to_owned()
    }

    fn signal(&self, number: i32) {
        send(self.nsx.id(), number);
    }

    /// Lets a command go on that waits for a line.
    fn poke(&mut self) {
        self.input.as_mut().expect("a pipe").write_all(b"\n").expect("a reader");
    }

    /// Returns its processes but nsx itself.
    fn commands(&self) -> Vec<u32> {
        let is_nsx = |pid: &u32| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = arguments.split(|&byte| byte == 0);
            words.next().is_some_and(|program| program.windows(3).any(|part| part == b"nsx"))
        };
        let mut all = marked(&self.mark);
        all.retain(|pid| !is_nsx(pid));
        all
    }

    /// Returns the only process of it.
    fn command(&self) -> u32 {
        match self.commands()[..] {
            [command] => command,
            ref all => panic!("not one process but {all:?}"),
        }
    }

    /// Waits for the end, and returns it with the rest of what the command has printed.
    fn end(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("text");
        (self.nsx.wait().expect("nsx"), rest)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Those that are nsx's end with it.
        let _ = self.nsx.kill();
        let _ = self.nsx.wait();
        for pid in self.commands() {
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
        }
    }
}

/// A group of its own, with a parent in another one: the kernel stops nobody in an orphaned group at SIGTSTP. Signals that are ignored in
/// the background jobs of a shell, where a test may run, are not.
fn lead_a_group(command: &mut Command) {
    command.process_group(0);
    // SAFETY: between fork and exec only signal(2) is called.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
}

/// Sends a signal of any number, also to a group: a pid that is negative.
fn send(pid: impl Into<i64>, number: i32) {
    let pid = i32::try_from(pid.into()).expect("a pid");
    // SAFETY: the call takes numbers.
    let sent = unsafe { libc::kill(pid, number) };
    assert_eq!(sent, 0, "kill({pid}, {number}): {}", std::io::Error::last_os_error());
}

/// The processes of nsx in a sandbox: the stub, which cleans up, and the first one of its pid namespace, which becomes the command where
/// there is no init.
#[derive(Clone, Copy, Debug, Default)]
struct Keepers {
    stub: Option<u32>,
    init: Option<u32>,
}

/// Returns those of a sandbox by its name: the one that was given, or nsx's pid.
fn keepers(name: &str) -> Keepers {
    let mut found = Keepers::default();
    for pid in marked("nsx: sandbox") {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if arguments.split(|&byte| byte == 0).nth(1) != Some(name.as_bytes()) {
            continue;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let inside = std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = std::fs::read_link("/proc/self/ns/pid").ok();
        match numbers.split_whitespace().count() > 1 || inside != own {
            true => found.init = Some(pid),
            false => found.stub = Some(pid),
        }
    }
    found
}

/// Waits until both are there, and returns them.
fn both_keepers(name: &str) -> (u32, u32) {
    until_so("a stub and a first process", || {
        let found = keepers(name);
        found.stub.is_some() && found.init.is_some()
    });
    let found = keepers(name);
    (found.stub.expect("a stub"), found.init.expect("a first process"))
}
