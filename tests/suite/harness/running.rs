//! nsx while it runs a command: a shell whose words are read as they come, its processes, and stops.
//!
//! On a terminal: `job_control`.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::libc::{self, SIGCONT};

use super::nsx;
use super::processes::{is_stopped, marked, new_mark, send, until_so};

/// nsx with a command, until it is dropped, with all that came of it.
pub struct Running {
    /// nsx.
    pub nsx: Child,
    /// What is written to the command.
    pub input: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    /// The number among the arguments of the command.
    pub mark: String,
}

impl Running {
    /// Starts a shell by nsx with these words, with a number of its own as `$0`, and waits until it says `ready`.
    pub fn start(words: &[&str], script: &str, change: impl FnOnce(&mut Command)) -> Running {
        let mark = new_mark();
        let mut command = nsx(words);
        command.args(["sh", "-c", script, &mark]).stdin(Stdio::piped()).stdout(Stdio::piped());
        lead_a_group(&mut command);
        change(&mut command);
        let mut nsx = command.spawn().expect("nsx");
        let (input, out) = (nsx.stdin.take(), BufReader::new(nsx.stdout.take().expect("a pipe")));
        let mut running = Running { nsx, input, out, mark };
        assert_eq!(running.line(), "ready", "nsx {words:?} sh -c {script:?}: {:?}", running.nsx.try_wait());
        running
    }

    /// Returns the next line of the command.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a line");
        line.trim_end_matches('\n').to_owned()
    }

    /// Sends nsx a signal.
    pub fn signal(&self, number: i32) {
        send(self.nsx.id(), number);
    }

    /// Lets a command go on that waits for a line.
    pub fn poke(&mut self) {
        self.input.as_mut().expect("a pipe").write_all(b"\n").expect("a reader");
    }

    /// Returns its processes but nsx itself.
    pub fn commands(&self) -> Vec<u32> {
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
    pub fn command(&self) -> u32 {
        match self.commands()[..] {
            [command] => command,
            ref all => panic!("not one process but {all:?}"),
        }
    }

    /// Waits for the end, and returns it with the rest of what the command has printed.
    pub fn end(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("text");
        (self.nsx.wait().expect("nsx"), rest)
    }

    /// Stops both nsx and the command by `stop`, and lets nsx go on, more than once. What went before may still be on its way (a SIGCONT that
    /// is passed on after the command was seen to run), so whoever has not listened is told again, now and then.
    pub fn stop_and_go(&self, stop: impl Fn()) {
        let (nsx, command) = (self.nsx.id(), self.command());
        for _ in 0..3 {
            for (what, wanted) in [("both stop", true), ("both go on", false)] {
                let mut told: Option<Instant> = None;
                until_so(what, || {
                    let seen = (is_stopped(nsx), is_stopped(command));
                    if told.is_none_or(|told| told.elapsed() > Duration::from_millis(200)) {
                        told = Some(Instant::now());
                        match seen {
                            (false, false) if wanted => stop(),
                            // It has stopped for something that is over.
                            (true, false) => self.signal(SIGCONT),
                            (true, true) if !wanted => self.signal(SIGCONT),
                            _ => {}
                        }
                    }
                    seen == (wanted, wanted)
                });
            }
        }
    }

    /// Lets a command end that waits for a line and has 5 as its status, and makes sure that it is nsx's.
    pub fn finish(mut self) {
        // A stop that came late stops nobody for good.
        self.signal(SIGCONT);
        self.poke();
        assert_eq!(self.end().0.code(), Some(5));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Those that are nsx's end with it.
        let _ = self.nsx.kill();
        let _ = self.nsx.wait();
        for pid in self.commands() {
            // SAFETY: the call takes numbers. Who has gone meanwhile needs none.
            unsafe { libc::kill(pid as i32, libc::SIGKILL) };
        }
    }
}

/// A group of its own, with a parent in another one: the kernel stops nobody in an orphaned group at SIGTSTP. Signals that are ignored in
/// the background jobs of a shell, where a test may run, are not.
pub fn lead_a_group(command: &mut Command) {
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
