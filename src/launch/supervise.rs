//! Watching over a command from outside: what is done to nsx is passed on to it, and what becomes of it becomes of nsx.
//!
//! - Signals are passed on. One that a terminal sent goes to the whole process group of the command, as it would have without nsx; one
//!   that somebody sent to nsx goes to the command.
//! - A command that is stopped stops nsx; when nsx is continued, so is the command.
//! - When nsx is killed, the kernel kills the command (`PR_SET_PDEATHSIG`), and the stub, which sees the end of a pipe, what is left of its
//!   process group. A process that has left the group on purpose, a daemon, lives on, as it does when the command ends by itself.
//! - Children are reaped, whoever they are. What happens in a pid namespace that was entered is its first process's to reap.
//!
//! Not here: the terminal (`terminal`), what is told to a user (`cmd`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::libc::{SIGCHLD, SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::clock::{Clock, Due, poll_timeout};
use super::request::Timeout;
use crate::sys::program::{Failure, Program};
use crate::sys::signal::{self, Came, Change, Signals};
use crate::sys::spawn::{self, Report};
use crate::sys::tty::Settings;
use crate::sys::{Call, Errno, SysError};

/// So long a stub may take that comes to no end, when somebody wants to leave.
const MOMENT: Duration = Duration::from_millis(50);

/// The place of reports that are about no call: they say how far the command has come.
pub(super) const ABOUT: usize = u32::MAX as usize;
const STARTED: i32 = 1;
const TIMED_OUT: i32 = 2;

/// What is known of a command so far.
#[derive(Debug, Default)]
pub struct Progress {
    /// The process that becomes the command.
    pub child: Option<i32>,
    /// The calls that have failed, in order.
    pub failures: Vec<Failure>,
    /// The call that kept the command from being started: the last of the failures.
    pub fatal: bool,
    /// Whether the command runs, or has run.
    pub started: bool,
    /// Whether its time was over.
    pub timed_out: bool,
}

impl Progress {
    /// Takes in a report of a stub. The command's process has the pipe until it executes, and may be somebody's to look into: what is
    /// said of a process is believed once, and only of a child of one's own, and of the keeper's only what a stub may say.
    pub fn take(&mut self, program: &Program, report: Report, is_ours: impl Fn(i32) -> bool) {
        match report {
            Report::Forked(_, pid) => {
                if self.child.is_none() && is_ours(pid) {
                    self.child = Some(pid);
                }
            }
            // What a stub says has a place in its list.
            Report::Failed(ABOUT, _) => {}
            failed => self.take_relayed(program, failed),
        }
    }

    /// Takes in a report that comes from the keeper of a terminal, which has looked at it.
    pub fn take_relayed(&mut self, program: &Program, report: Report) {
        match report {
            Report::Forked(ABOUT, STARTED) => self.started = true,
            Report::Forked(ABOUT, TIMED_OUT) => self.timed_out = true,
            Report::Forked(_, pid) => self.child = Some(pid),
            Report::Failed(place, errno) => {
                self.fatal |= program.stops_at(place);
                // What is about no call is about the keeper, which could not start the stub.
                let (step, call) = program.at(place).unwrap_or((usize::MAX, &Call::Execveat));
                self.failures.push(Failure { step, error: SysError::new(call.clone(), errno) });
            }
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// It was killed by this signal.
    Killed(i32),
    /// There was no command: it could not be started, for the reason that the progress tells, or nsx was asked to end before.
    NotStarted(Option<i32>),
}

/// A command, and who watches over it.
pub struct Watch<'a> {
    /// What the stub runs.
    pub program: &'a Program,
    /// The stub.
    pub stub: i32,
    /// Where the stub reports to.
    pub reports: OwnedFd,
    /// All signals that come.
    pub signals: &'a Signals,
    /// How long the command may take.
    pub timeout: Option<Timeout>,
    /// Whether somebody wants to hear at once that the command runs.
    pub prompt: bool,
    /// Where reports are handed on to, when this process stands between nsx and the command. Its end is the end of nsx.
    pub relay: Option<BorrowedFd<'a>>,
    /// What nsx has left behind when it is gone, to be put right: the settings of the caller's terminal.
    pub left_behind: Option<&'a Settings>,
}

impl Watch<'_> {
    /// Watches until the command has ended. `started` hears when it runs.
    pub fn run(self, mut started: impl FnMut(i32)) -> (Progress, End) {
        let mut progress = Progress::default();
        let mut clock = Clock::new(self.timeout);
        let mut reports = Some(self.reports.as_fd());
        let mut ends: Vec<(i32, Change)> = Vec::new();
        let mut end = None;
        let mut stub_gone = false;
        let mut asked_to_end = None;
        let mut early: Vec<Came> = Vec::new();
        let mut given_up: Option<Instant> = None;
        let mut continued = false;
        loop {
            while let Some(came) = self.signals.next() {
                self.read(&mut reports, &mut progress, &ends, &mut started);
                match (came.number, progress.child) {
                    (SIGCHLD, _) => {}
                    // It is what has continued nsx, and was passed on then.
                    (SIGCONT, _) if std::mem::take(&mut continued) => {}
                    (_, Some(_)) => early.push(came),
                    // The terminal's affairs, and of no use to a command that comes later.
                    (SIGTTIN | SIGTTOU | SIGCONT | SIGWINCH, None) => {}
                    (SIGTSTP, None) => {
                        signal::stop_self(clock.patience());
                        continued = true;
                    }
                    // The command's process may be there, and not be known yet.
                    (_, None) => early.push(came),
                }
            }
            // The pid of a child that was waited for may be somebody else's.
            if end.is_some() {
                early.clear();
            }
            if let Some(child) = progress.child {
                for came in early.drain(..) {
                    pass_on(child, came.number, came.from_kernel, self.relay.is_none());
                }
            }
            while let Some((pid, change)) = signal::changed_child() {
                if pid == self.stub {
                    stub_gone |= !matches!(change, Change::Stopped(_));
                } else {
                    ends.push((pid, change));
                }
            }
            for (_, change) in ends.extract_if(.., |(pid, _)| progress.child == Some(*pid)) {
                match change {
                    Change::Exited(code) => end = Some(End::Exited(code)),
                    Change::Killed(number) => end = Some(End::Killed(number)),
                    Change::Stopped(_) => {
                        signal::stop_self(clock.patience());
                        continued = true;
                        if let Some(child) = progress.child {
                            let _ = signal::send(-child, SIGCONT);
                            let _ = signal::send(child, SIGCONT);
                        }
                    }
                }
            }
            if progress.child.is_some() {
                // The ends of others: orphans that came here to be reaped.
                ends.clear();
            }
            if reports.is_none() && (end.is_some() || progress.child.is_none() && stub_gone) {
                break;
            }
            // Until there is a command, it is the stub that takes too long.
            if end.is_none()
                && let Some(due) = clock.strike()
            {
                send_due(progress.child.unwrap_or(self.stub), due);
                progress.timed_out = true;
                self.tell(Report::Forked(ABOUT, TIMED_OUT));
                if progress.child.is_none() {
                    let _ = signal::send(self.stub, SIGKILL);
                }
            }
            // Reports are read when there is something to do; their end is waited for where somebody wants to hear that the command
            // runs. To be woken for each would take the processor from those who are at work.
            let awaited =
                reports.filter(|_| self.prompt || stub_gone || end.is_some() || !ends.is_empty() || !early.is_empty());
            let leaving = !early.is_empty() || progress.timed_out && progress.child.is_none();
            let patience = clock.patience().filter(|_| end.is_none());
            let patience = patience.into_iter().chain(leaving.then_some(MOMENT)).min();
            let Waited { nothing, gone } = self.wait(awaited, patience);
            if gone {
                // nsx, which this process stands for, has gone.
                if let Some(child) = progress.child {
                    let _ = signal::send(-child, SIGHUP);
                }
                if let Some(settings) = self.left_behind {
                    settings.restore();
                }
                end_session();
            }
            self.read(&mut reports, &mut progress, &ends, &mut started);
            if progress.child.is_none() && nothing && leaving {
                asked_to_end = early.first().map(|came| came.number);
                let _ = signal::send(self.stub, SIGKILL);
                // One that hangs in the kernel, or is frozen, does not even die.
                if given_up.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(1) {
                    break;
                }
            }
        }
        if progress.timed_out
            && let Some(child) = progress.child
        {
            // What is left of its process group has no more time than the command had.
            let _ = signal::send(-child, SIGKILL);
        }
        if !stub_gone {
            let _ = signal::send(self.stub, SIGKILL);
            signal::reap(self.signals, self.stub);
        }
        let end = match end {
            Some(end) if progress.started => end,
            // The stub exits by itself when a call has failed; anything else has ended it before the command was there.
            Some(End::Killed(number)) if !progress.fatal => End::NotStarted(Some(number)),
            _ => End::NotStarted(asked_to_end),
        };
        (progress, end)
    }

    /// Takes in all reports that there are. Their end says that the command runs, unless it cannot.
    fn read(
        &self,
        reports: &mut Option<BorrowedFd<'_>>,
        progress: &mut Progress,
        ends: &[(i32, Change)],
        started: &mut impl FnMut(i32),
    ) {
        while let Some(pipe) = reports.filter(|pipe| is_readable(*pipe)) {
            match spawn::read_report(pipe) {
                Ok(Some(report)) => {
                    let known = progress.child;
                    progress.take(self.program, report, |pid| {
                        signal::is_child(pid) || ends.iter().any(|(ended, _)| *ended == pid)
                    });
                    // Of processes only the one that was believed is handed on.
                    match report {
                        Report::Forked(..) if known == progress.child => {}
                        report => self.tell(report),
                    }
                }
                Ok(None) | Err(_) => {
                    *reports = None;
                    if let Some(child) = progress.child.filter(|_| !progress.fatal) {
                        progress.started = true;
                        self.tell(Report::Forked(ABOUT, STARTED));
                        started(child);
                    }
                }
            }
        }
    }

    fn tell(&self, report: Report) {
        if let Some(relay) = self.relay {
            report.send(relay);
        }
    }

    /// Waits for something to happen.
    fn wait(&self, reports: Option<BorrowedFd<'_>>, patience: Option<Duration>) -> Waited {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(reports.map(|pipe| PollFd::new(pipe, PollFlags::POLLIN)));
        // A pipe that nobody reads any more says so without being asked.
        fds.extend(self.relay.map(|relay| PollFd::new(relay, PollFlags::empty())));
        let nothing = poll(&mut fds, poll_timeout(patience)) == Ok(0);
        let relay = fds.last().filter(|_| self.relay.is_some());
        let gone = relay.and_then(PollFd::revents).is_some_and(|events| events.contains(PollFlags::POLLERR));
        Waited { nothing, gone }
    }
}

/// What came of waiting.
struct Waited {
    /// Nothing has happened in time.
    nothing: bool,
    /// The other end of the relay has gone.
    gone: bool,
}

/// Passes a signal on to the command. `apart` says that its process group has no parent in its session, so that the kernel would not stop
/// it on SIGTSTP.
fn pass_on(child: i32, number: i32, from_kernel: bool, apart: bool) {
    let group = from_kernel || matches!(number, SIGTSTP | SIGCONT);
    let number = match number {
        // A terminal that cannot be read from the background is nsx's matter.
        SIGTTIN | SIGTTOU => return,
        SIGTSTP if apart => SIGSTOP,
        number => number,
    };
    let sent = signal::send(if group { -child } else { child }, number);
    if group && sent == Err(Errno::ESRCH) {
        // It has left its group, or has not made it yet.
        let _ = signal::send(child, number);
    }
}

/// Kills what is left of the session that this process leads, and ends.
fn end_session() -> ! {
    let own = std::process::id();
    if let Ok(proc) = crate::proc::ProcRoot::open(std::path::Path::new("/proc")) {
        let mut reader = crate::sys::dir::DirReader::new(32);
        // Each round finds what was made during the one before.
        for _ in 0..8 {
            let mut found = false;
            for pid in proc.pids(&mut reader).unwrap_or_default() {
                let mut buffer = [0; 1024];
                let is_ours = pid.0 != own
                    && proc.process(pid).is_ok_and(|process| {
                        process.stat(&mut buffer).is_ok_and(|stat| stat.session == own && !stat.exiting)
                    });
                if is_ours {
                    found = true;
                    let _ = signal::send(pid.0 as i32, SIGKILL);
                }
            }
            if !found {
                break;
            }
        }
    }
    spawn::exit_now(1)
}

fn is_readable(pipe: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(pipe, PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
}

/// Sends a command what is due when its time is over.
fn send_due(child: i32, due: Due) {
    for pid in [-child, child] {
        match due {
            Due::Kill => drop(signal::send(pid, SIGKILL)),
            Due::Ask if signal::send(pid, SIGTERM).is_ok() => {
                let _ = signal::send(pid, SIGCONT);
                break;
            }
            Due::Ask => {}
        }
    }
}
