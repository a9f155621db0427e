//! Watching over a sandbox from outside: what is done to nsx is passed on to the command, and what becomes of the command is told.
//!
//! nsx is the parent of the first process and of the stub. The first process is the parent of the command, and says over a socket how that
//! has stopped or ended; the kernel says who has sent what. Where the command is the first process itself, waitpid(2) says it.
//!
//! Not here: what nsx does before there is a command (`build`), the terminal's characters (`launch::carrier`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::libc::{self, SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::compile::{STATUS, TERMINAL};
use crate::launch::carrier::{Carrier, PATIENCE_MS};
use crate::launch::clock::{Clock, Due, poll_timeout};
use crate::launch::request::Timeout;
use crate::model::Pid;
use crate::sys::message::{self, Message};
use crate::sys::program::Program;
use crate::sys::signal::{self, Came, Change, Signals};
use crate::sys::spawn::Report;
use crate::sys::{Errno, pidfd, tty};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// It was killed by this signal.
    Killed(i32),
    /// There was none: for the reason that the failures tell, or because of this signal.
    NotStarted(Option<i32>),
}

/// What is known in the end.
#[derive(Debug)]
pub struct Watched {
    /// How it ended.
    pub end: End,
    /// The calls that have failed, in order: their places, and why.
    pub failures: Vec<(usize, Errno)>,
    /// Whether one of them kept the command from being started: the last one.
    pub fatal: bool,
    /// Whether its time was over.
    pub timed_out: bool,
}

/// What is to be done when the first process is there.
pub type Settle<'a> = dyn FnMut(i32) -> Result<(), ()> + 'a;

/// A sandbox, and who watches over it.
pub struct Watch<'a> {
    /// What its processes run.
    pub program: &'a Program,
    /// The stub.
    pub stub: i32,
    /// Where reports come from.
    pub reports: OwnedFd,
    /// The pipe whose end says that the command is there.
    pub executed: OwnedFd,
    /// All signals that come.
    pub signals: &'a Signals,
    /// How long the command may take.
    pub timeout: Option<Timeout>,
    /// Which of the standard streams are terminals.
    pub terminals: [bool; 3],
    /// Whether the command is not the first process.
    pub init: bool,
    /// Whether nsx leaves when the command is there.
    pub detach: bool,
    /// Whether somebody wants to hear at once that the command runs.
    pub prompt: bool,
    /// The step before which somebody halts, to see nsx killed.
    pub halt_at: Option<usize>,
}

/// What is known so far.
struct State<'s> {
    first: Option<i32>,
    command: Option<Command>,
    started: bool,
    failures: Vec<(usize, Errno)>,
    fatal: bool,
    timed_out: bool,
    end: Option<End>,
    first_gone: Option<Change>,
    /// Children that have gone before it was known who the first process is. Not each is of this sandbox: whoever executed nsx may have
    /// left it some, and so may a process on the side that hung.
    ends: Vec<(i32, Change)>,
    stub_gone: bool,
    carrier: Option<Carrier<'s>>,
    stopped: bool,
    early: Vec<Came>,
    /// What somebody has said who is not known yet: the first process may be quicker than the stub, which says who that is.
    unknown: Vec<Message>,
    /// The signal that nsx was asked to end by, before there was a command.
    asked: Option<i32>,
}

/// The command's process.
struct Command {
    pid: i32,
    pidfd: Option<OwnedFd>,
}

impl Command {
    /// Sends it a signal, or its whole group.
    fn send(&self, number: i32, group: bool) {
        if let Some(pidfd) = &self.pidfd {
            if group && pidfd::is_alive(pidfd.as_fd()) && signal::send(-self.pid, number).is_ok() {
                return;
            }
            if pidfd::send(pidfd.as_fd(), number).is_some() {
                return;
            }
        }
        let sent = signal::send(if group { -self.pid } else { self.pid }, number);
        if group && sent == Err(Errno::ESRCH) {
            let _ = signal::send(self.pid, number);
        }
    }
}

impl Watch<'_> {
    /// Watches until everybody in the sandbox has gone, or, where nsx does not wait for it, until the command is there. `started` hears
    /// when it runs; `settle` does what the first process waits for.
    pub fn run(self, settle: &mut Settle<'_>, started: &mut dyn FnMut(i32)) -> Watched {
        let streams = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let all = [streams.0.as_fd(), streams.1.as_fd(), streams.2.as_fd()];
        let mut state = State {
            first: None,
            command: None,
            started: false,
            failures: Vec::new(),
            fatal: false,
            timed_out: false,
            end: None,
            first_gone: None,
            ends: Vec::new(),
            stub_gone: false,
            carrier: None,
            stopped: false,
            early: Vec::new(),
            unknown: Vec::new(),
            asked: None,
        };
        let mut clock = Clock::new(self.timeout.filter(|_| !self.detach));
        let mut reports = Some(self.reports.as_fd());
        // To be woken by it costs more than it tells, unless one leaves then, or tells somebody.
        let mut executed = (self.detach || self.prompt).then(|| self.executed.as_fd());
        let mut unsettled = false;
        let mut continued = false;
        loop {
            while let Some(came) = self.signals.next() {
                self.hear(came, &mut state, &mut continued, clock.patience());
            }
            self.look_after_children(&mut state);
            unsettled |= self.take_known(&mut state, all, settle);
            // Whoever does not wait for a command does not stop with it.
            if std::mem::take(&mut state.stopped) && state.end.is_none() && !self.detach {
                self.stop_with_it(&mut state, clock.patience());
                continued = true;
            }
            if let Some(command) = &state.command {
                for came in state.early.drain(..) {
                    pass_on(command, came);
                }
            }
            let gone = state.first_gone.is_some() || state.first.is_none() && state.stub_gone;
            // The pipe says whether the command was there, when the stub has let go of it, too.
            if gone && reports.is_none() && (executed.is_none() || state.stub_gone) {
                break;
            }
            if self.detach && state.started {
                break;
            }
            if state.first_gone.is_none()
                && let Some(due) = clock.strike()
            {
                send_due(&state, due);
                state.timed_out = true;
            }
            let leaving = state.command.is_none() && !state.early.is_empty();
            if leaving && let Some(pid) = state.first {
                // Before there is a command nobody is left to decide. The stub is not killed: it may have made a first process that nobody knows.
                state.asked = state.early.first().map(|came| came.number);
                state.early.clear();
                let _ = signal::send(pid, SIGKILL);
            }
            let [keys, near, screen] = state.carrier.as_ref().map(Carrier::awaited).unwrap_or_default();
            let slots = [
                Some((self.signals.as_fd(), PollFlags::POLLIN)),
                reports.map(|socket| (socket, PollFlags::POLLIN)),
                executed.map(|pipe| (pipe, PollFlags::POLLIN)),
                keys,
                near,
                screen,
            ];
            let mut fds: Vec<PollFd<'_>> =
                slots.iter().flatten().map(|(fd, events)| PollFd::new(*fd, *events)).collect();
            let keyboard = state.carrier.as_ref().is_some_and(Carrier::is_waiting_for_keyboard);
            let patience =
                clock.patience().into_iter().chain(keyboard.then_some(Duration::from_millis(PATIENCE_MS.into())));
            // Nobody may be left who would wake it.
            let _ =
                poll(&mut fds, if gone && state.stub_gone { PollTimeout::ZERO } else { poll_timeout(patience.min()) });
            let mut events = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
            let [_, report, done, key, near, free] =
                slots.map(|slot| slot.and_then(|_| events.next()).unwrap_or(PollFlags::empty()));
            drop(fds);
            if let Some(carrier) = &mut state.carrier {
                carrier.carry([key, near, free]);
            }
            if !report.is_empty() || gone {
                while let Some(socket) = reports {
                    match message::receive(socket) {
                        Ok(Some(message)) if state.first.is_none() && message.sender != Some(self.stub) => {
                            state.unknown.push(message);
                        }
                        Ok(Some(message)) => {
                            unsettled |= self.take(message, &mut state, all, settle);
                            unsettled |= self.take_known(&mut state, all, settle);
                        }
                        // Whoever could say something more is on the way out.
                        Err(Errno::EAGAIN) if state.first_gone.is_none() && !state.stub_gone => break,
                        Ok(None) | Err(_) => reports = None,
                    }
                }
            }
            if !done.is_empty() {
                executed = None;
                if let Some(command) = state.command.as_ref().filter(|_| !state.fatal && state.asked.is_none()) {
                    state.started = true;
                    started(command.pid);
                }
            }
            if unsettled {
                if let Some(first) = state.first.filter(|_| state.first_gone.is_none()) {
                    let _ = signal::send(first, SIGKILL);
                }
                unsettled = false;
            }
        }
        if let Some(command) =
            state.command.as_ref().filter(|_| !self.detach && !state.fatal && !state.started && state.asked.is_none())
        {
            state.started = true;
            started(command.pid);
        }
        if let Some(carrier) = &mut state.carrier {
            carrier.show_rest(self.signals, state.asked.is_some());
        }
        drop(state.carrier);
        let end = match (state.end, state.first_gone) {
            (Some(end), _) => end,
            (None, _) if !(state.started || self.detach && state.command.is_some()) => match state.first_gone {
                Some(Change::Killed(number)) if !state.fatal && state.asked.is_none() => End::NotStarted(Some(number)),
                _ => End::NotStarted(state.asked.filter(|_| !state.fatal)),
            },
            (None, Some(Change::Exited(code))) if !self.init => End::Exited(code),
            (None, Some(Change::Killed(number))) => End::Killed(number),
            // The first process says how the command ended before it goes, unless it is killed.
            (None, _) => End::Exited(0),
        };
        Watched { end, failures: state.failures, fatal: state.fatal, timed_out: state.timed_out }
    }

    /// Takes in a signal that came to nsx.
    fn hear(&self, came: Came, state: &mut State<'_>, continued: &mut bool, patience: Option<Duration>) {
        match came.number {
            SIGCHLD | SIGTTIN | SIGTTOU => {}
            SIGWINCH if state.carrier.is_some() => {
                if let Some(carrier) = &state.carrier {
                    carrier.resize();
                }
            }
            SIGCONT if std::mem::take(continued) => {}
            SIGCONT => {
                if let Some(carrier) = &mut state.carrier {
                    carrier.resume();
                }
                if let Some(command) = &state.command {
                    command.send(SIGCONT, true);
                }
            }
            SIGTSTP if state.command.is_none() => {
                signal::stop_self(patience);
                *continued = true;
            }
            SIGWINCH if state.command.is_none() => {}
            // The pid of a command that has ended may be somebody else's.
            _ if state.end.is_some() => {}
            _ => state.early.push(came),
        }
    }

    fn look_after_children(&self, state: &mut State<'_>) {
        while let Some((pid, change)) = signal::changed_child() {
            if pid == self.stub {
                state.stub_gone |= !matches!(change, Change::Stopped(_));
            } else if state.first == Some(pid) {
                match change {
                    Change::Stopped(_) => state.stopped |= !self.init,
                    change => state.first_gone = Some(change),
                }
            } else if state.first.is_none() && !matches!(change, Change::Stopped(_)) {
                state.ends.push((pid, change));
            }
        }
    }

    /// The command was stopped: so is nsx, and when somebody continues that, or its time is over, the command goes on.
    fn stop_with_it(&self, state: &mut State<'_>, patience: Option<Duration>) {
        if let Some(carrier) = &mut state.carrier {
            carrier.pause(self.signals, false);
        }
        signal::stop_self(patience);
        if let Some(carrier) = &mut state.carrier {
            carrier.resume();
        }
        if let Some(command) = &state.command {
            command.send(SIGCONT, true);
        }
    }

    /// Takes in what was said before it was known who the first process is.
    fn take_known<'s>(&self, state: &mut State<'s>, streams: [BorrowedFd<'s>; 3], settle: &mut Settle<'_>) -> bool {
        let waiting = if state.first.is_some() { std::mem::take(&mut state.unknown) } else { Vec::new() };
        let mut unsettled = false;
        for message in waiting {
            unsettled |= self.take(message, state, streams, settle);
        }
        unsettled
    }

    /// Takes in a message. Says whether the first process cannot be given what it waits for.
    fn take<'s>(
        &self,
        message: Message,
        state: &mut State<'s>,
        streams: [BorrowedFd<'s>; 3],
        settle: &mut Settle<'_>,
    ) -> bool {
        let from_stub = message.sender == Some(self.stub);
        let from_first = state.first.is_some() && message.sender == state.first;
        match message.report {
            Report::Failed(place, errno) => {
                state.fatal |= self.program.stops_at(place);
                if self.program.step_at(place).is_some() {
                    state.failures.push((place, errno));
                }
            }
            Report::Forked(place, status) if place == STATUS as usize && from_first => {
                if libc::WIFSTOPPED(status) {
                    state.stopped = true;
                } else if libc::WIFSIGNALED(status) {
                    state.end = Some(End::Killed(libc::WTERMSIG(status)));
                } else {
                    state.end = Some(End::Exited(libc::WEXITSTATUS(status)));
                }
            }
            Report::Forked(place, _) if place == TERMINAL as usize && from_first => {
                if let Some(near) = message.descriptor
                    && state.carrier.is_none()
                {
                    tty::do_not_wait(near.as_fd());
                    state.carrier = Some(Carrier::new(near, self.terminals, streams));
                }
            }
            Report::Forked(place, 0) => {
                // Somebody halts here, until nsx has gone.
                if self.halt_at.is_some() && self.program.step_at(place) == self.halt_at {
                    let _ = signal::send(std::process::id() as i32, SIGKILL);
                }
                if let Some(pid) = message.sender
                    && state.command.is_none()
                {
                    let pidfd = pidfd::pidfd_open(Pid(pid.unsigned_abs())).and_then(Result::ok);
                    state.command = Some(Command { pid, pidfd });
                }
            }
            Report::Forked(_, pid) if from_stub => {
                if state.first.is_some() {
                    return false;
                }
                if let Some((_, change)) = state.ends.iter().find(|(ended, _)| *ended == pid) {
                    state.first = Some(pid);
                    state.first_gone = Some(*change);
                } else if signal::is_child(pid) {
                    state.first = Some(pid);
                    return settle(pid).is_err();
                }
            }
            Report::Forked(..) => {}
        }
        false
    }
}

/// Passes a signal on to the command. One that a terminal sent goes to its whole process group, as it would have without nsx.
fn pass_on(command: &Command, came: Came) {
    let group = came.from_kernel || matches!(came.number, SIGTSTP | SIGCONT);
    // Its process group has no parent in its session, so that the kernel would not stop it on SIGTSTP.
    let number = if came.number == SIGTSTP { SIGSTOP } else { came.number };
    command.send(number, group);
}

/// Sends what is due when the time of the command is over: at last, all of the sandbox is killed.
fn send_due(state: &State<'_>, due: Due) {
    match (&state.command, state.first) {
        (Some(command), _) if due == Due::Ask => {
            command.send(SIGTERM, true);
            command.send(SIGCONT, true);
        }
        (command, Some(first)) => {
            // With a pid namespace of its own the kernel kills them all when the first is.
            if let Some(command) = command {
                command.send(SIGKILL, true);
            }
            let _ = signal::send(first, SIGKILL);
        }
        (_, None) => {}
    }
}
