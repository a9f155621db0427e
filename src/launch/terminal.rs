//! A terminal of the command's own, and nsx between it and the caller's.
//!
//! Whoever holds a terminal can push characters into it as if they were typed (`TIOCSTI`), or change its settings for good. So a command
//! whose files or neighbours are somebody else's never gets the caller's. There are two processes of nsx's then: a *keeper*, which leads
//! the session of the new terminal and is the command's parent, so that Ctrl-Z stops it as it would anywhere (a process group without a
//! parent in its session is not stopped, setpgid(2)), and nsx itself, which carries characters, sizes and signals to and fro. Both stay
//! outside of what is entered.
//!
//! Not here: what becomes of the command (`supervise`, which runs in the keeper).

use std::os::fd::{AsFd, OwnedFd};

use nix::libc::{SIGCHLD, SIGCONT, SIGTTIN, SIGTTOU, SIGWINCH};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::carrier::{Carrier, PATIENCE_MS};
use super::supervise::{End, Progress};
use crate::sys::program::Program;
use crate::sys::signal::{self, Change, Signals};
use crate::sys::spawn::{self, Report};

/// What stands between two terminals.
pub struct Proxy<'a> {
    /// The keeper.
    pub keeper: i32,
    /// The near side of the command's terminal.
    pub near: OwnedFd,
    /// Which of the caller's standard streams are terminals.
    pub terminals: [bool; 3],
    /// What the keeper hands on.
    pub reports: OwnedFd,
    /// All signals that come.
    pub signals: &'a Signals,
    /// What the stub runs.
    pub program: &'a Program,
}

impl Proxy<'_> {
    /// Carries everything to and fro until the keeper has ended. `started` hears when the command runs.
    pub fn run(self, mut started: impl FnMut(i32)) -> (Progress, End) {
        let streams = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let all = [streams.0.as_fd(), streams.1.as_fd(), streams.2.as_fd()];
        let mut carrier = Carrier::new(self.near, self.terminals, all);
        let mut progress = Progress::default();
        let mut reports = Some(self.reports.as_fd());
        let mut end = None;
        let mut continued = false;
        // Whether somebody has sent a signal that may be meant to end it all.
        let mut asked = false;
        while end.is_none() {
            while let Some(came) = self.signals.next() {
                match came.number {
                    SIGCHLD | SIGTTIN | SIGTTOU => {}
                    SIGWINCH => carrier.resize(),
                    SIGCONT if std::mem::take(&mut continued) => {}
                    SIGCONT => {
                        carrier.resume();
                        let _ = signal::send(self.keeper, SIGCONT);
                    }
                    number => {
                        asked = true;
                        let _ = signal::send(self.keeper, number);
                    }
                }
            }
            while let Some((pid, change)) = signal::changed_child() {
                match change {
                    _ if pid != self.keeper => {}
                    Change::Exited(code) => end = Some(End::Exited(code)),
                    Change::Killed(number) => end = Some(End::Killed(number)),
                    Change::Stopped(_) => {
                        carrier.pause(self.signals, asked);
                        signal::stop_self(None);
                        continued = true;
                        carrier.resume();
                        let _ = signal::send(self.keeper, SIGCONT);
                    }
                }
            }
            if end.is_some() {
                break;
            }
            let [keys, near, screen] = carrier.awaited();
            let slots = [
                Some((self.signals.as_fd(), PollFlags::POLLIN)),
                reports.map(|pipe| (pipe, PollFlags::POLLIN)),
                keys,
                near,
                screen,
            ];
            let mut fds: Vec<PollFd<'_>> =
                slots.iter().flatten().map(|(fd, events)| PollFd::new(*fd, *events)).collect();
            let patience = if carrier.is_waiting_for_keyboard() { PATIENCE_MS.into() } else { PollTimeout::NONE };
            let _ = poll(&mut fds, patience);
            let mut events = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
            let happened = slots.map(|slot| slot.and_then(|_| events.next()).unwrap_or(PollFlags::empty()));
            let [_, report, key, near, free] = happened;

            if let Some(pipe) = reports.filter(|_| !report.is_empty()) {
                match spawn::read_report(pipe) {
                    Ok(Some(report)) => {
                        let before = progress.started;
                        progress.take_relayed(self.program, report);
                        if let Some(child) = progress.child.filter(|_| progress.started && !before) {
                            started(child);
                        }
                    }
                    Ok(None) | Err(_) => reports = None,
                }
            }
            carrier.carry([key, near, free]);
        }
        carrier.show_rest(self.signals, asked);
        drop(carrier);
        while let Some(Report::Forked(..) | Report::Failed(..)) = reports.and_then(|pipe| {
            let report = spawn::read_report(pipe).ok().flatten()?;
            progress.take_relayed(self.program, report);
            Some(report)
        }) {}
        let end = match end {
            Some(end) if progress.started => end,
            Some(End::Killed(number)) if !progress.fatal => End::NotStarted(Some(number)),
            _ => End::NotStarted(None),
        };
        (progress, end)
    }
}
