//! A terminal of the command's own, and nsx between it and the caller's.
//!
//! Whoever holds a terminal can push characters into it as if they were typed (`TIOCSTI`), or change its settings for good. So a command
//! whose files or neighbours are somebody else's never gets the caller's. There are two processes of nsx's then: a *keeper*, which leads
//! the session of the new terminal and is the command's parent, so that Ctrl-Z stops it as it would anywhere (a process group without a
//! parent in its session is not stopped, setpgid(2)), and nsx itself, which carries characters, sizes and signals to and fro. Both stay
//! outside of what is entered.
//!
//! Not here: what becomes of the command (`supervise`, which runs in the keeper).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::libc::{SIGCHLD, SIGCONT, SIGTTIN, SIGTTOU, SIGWINCH};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::supervise::{End, Progress};
use crate::sys::program::Program;
use crate::sys::signal::{self, Change, Signals};
use crate::sys::spawn::{self, Report};
use crate::sys::{Errno, tty};

/// How long to leave a terminal alone that another program has taken charge of, in milliseconds.
const PATIENCE_MS: u16 = 200;

/// How much is written at once.
const LITTLE: usize = 256;

/// What Ctrl-D is.
const END_OF_INPUT: u8 = 4;

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

/// One direction: what was read and is not written yet.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    /// Reads from one side. Says whether it has come to its end.
    fn fill(&mut self, from: BorrowedFd<'_>) -> bool {
        let mut buffer = [0; 4096];
        match tty::read(from, &mut buffer) {
            Ok(0) => true,
            Ok(length) => {
                self.bytes.extend_from_slice(&buffer[..length]);
                false
            }
            Err(Errno::EAGAIN) => false,
            Err(_) => true,
        }
    }

    /// Writes a little: a terminal that says that it has room may have room for no more, and a longer write would wait for it.
    fn drain(&mut self, to: BorrowedFd<'_>) {
        match tty::write(to, &self.bytes[..self.bytes.len().min(LITTLE)]) {
            Ok(length) => drop(self.bytes.drain(..length)),
            Err(Errno::EAGAIN) => {}
            // Nobody reads there any more.
            Err(_) => self.bytes.clear(),
        }
    }
}

impl Proxy<'_> {
    /// Carries everything to and fro until the keeper has ended. `started` hears when the command runs.
    pub fn run(self, mut started: impl FnMut(i32)) -> (Progress, End) {
        let streams = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let all = [streams.0.as_fd(), streams.1.as_fd(), streams.2.as_fd()];
        // Keys come from standard input if that is a terminal; nothing is read from any other one.
        let keyboard = Some(all[0]).filter(|_| self.terminals[0]);
        let screen = all[if self.terminals[1] { 1 } else { 2 }];
        let screen = if self.terminals[1] || self.terminals[2] { screen } else { all[0] };
        // With a pipe in between another program may want the keyboard for itself, as pagers do.
        let whole = self.terminals[0] && self.terminals[1];

        let mut progress = Progress::default();
        let mut reports = Some(self.reports.as_fd());
        let (mut typed, mut shown) = (Buffer::default(), Buffer::default());
        let (mut keyboard_open, mut near_open) = (keyboard.is_some(), true);
        let mut raw = None;
        let mut end = None;
        let mut continued = false;
        // Whether somebody has sent a signal that may be meant to end it all.
        let mut asked = false;
        if whole && tty::is_foreground(all[0]) {
            raw = tty::Raw::set(all[0]);
        }
        while end.is_none() {
            while let Some(came) = self.signals.next() {
                match came.number {
                    SIGCHLD | SIGTTIN | SIGTTOU => {}
                    SIGWINCH => tty::copy_size(screen, self.near.as_fd()),
                    SIGCONT if std::mem::take(&mut continued) => {}
                    SIGCONT => {
                        if whole && tty::is_foreground(all[0]) && raw.is_none() {
                            raw = tty::Raw::set(all[0]);
                        }
                        tty::copy_size(screen, self.near.as_fd());
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
                        self.show_rest(&mut shown, screen, asked);
                        raw = None;
                        signal::stop_self();
                        continued = true;
                        if whole && tty::is_foreground(all[0]) {
                            raw = tty::Raw::set(all[0]);
                        }
                        tty::copy_size(screen, self.near.as_fd());
                        let _ = signal::send(self.keeper, SIGCONT);
                    }
                }
            }
            if end.is_some() {
                break;
            }
            let wants_keys = keyboard.filter(|_| keyboard_open && near_open && typed.bytes.is_empty());
            let keys = wants_keys
                .filter(|keyboard| tty::is_foreground(*keyboard) && (raw.is_some() || tty::is_line_mode(*keyboard)));
            let mut near = PollFlags::empty();
            near.set(PollFlags::POLLIN, shown.bytes.is_empty());
            near.set(PollFlags::POLLOUT, !typed.bytes.is_empty());
            let slots = [
                Some((self.signals.as_fd(), PollFlags::POLLIN)),
                reports.map(|pipe| (pipe, PollFlags::POLLIN)),
                keys.map(|keyboard| (keyboard, PollFlags::POLLIN)),
                Some((self.near.as_fd(), near)).filter(|_| near_open && !near.is_empty()),
                Some((screen, PollFlags::POLLOUT)).filter(|_| !shown.bytes.is_empty()),
            ];
            let mut fds: Vec<PollFd<'_>> =
                slots.iter().flatten().map(|(fd, events)| PollFd::new(*fd, *events)).collect();
            let patience = if wants_keys.is_some() && keys.is_none() { PATIENCE_MS.into() } else { PollTimeout::NONE };
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
            // Asked again: meanwhile another program of a pipeline may have taken charge of the terminal, and the key is its own.
            let is_mine = |keyboard: &BorrowedFd<'_>| raw.is_some() || tty::is_line_mode(*keyboard);
            if let Some(keyboard) = keyboard.filter(|keyboard| !key.is_empty() && is_mine(keyboard))
                && typed.fill(keyboard)
            {
                // The end of a terminal in line mode is Ctrl-D, and is passed on as such.
                keyboard_open = tty::is_foreground(keyboard) && !key.contains(PollFlags::POLLHUP);
                typed.bytes.push(END_OF_INPUT);
            }
            if near.intersects(PollFlags::POLLOUT) {
                typed.drain(self.near.as_fd());
            }
            if near.intersects(PollFlags::POLLIN | PollFlags::POLLHUP) && shown.fill(self.near.as_fd()) {
                near_open = false;
            }
            if !free.is_empty() {
                shown.drain(screen);
            }
        }
        self.show_rest(&mut shown, screen, asked);
        drop(raw);
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

    /// Shows what the command has written last. Where nobody reads it, a signal ends the waiting, and one that came before lets it be short.
    fn show_rest(&self, shown: &mut Buffer, screen: BorrowedFd<'_>, asked: bool) {
        loop {
            while !shown.bytes.is_empty() {
                let mut fds =
                    [PollFd::new(screen, PollFlags::POLLOUT), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
                let patience = if asked { PATIENCE_MS.into() } else { PollTimeout::NONE };
                if poll(&mut fds, patience) == Ok(0) {
                    return;
                }
                let asked = std::iter::from_fn(|| self.signals.next());
                if asked.into_iter().any(|came| !matches!(came.number, SIGCHLD | SIGCONT | SIGWINCH)) {
                    return;
                }
                if fds[0].revents().is_some_and(|events| !events.is_empty()) {
                    shown.drain(screen);
                }
            }
            shown.fill(self.near.as_fd());
            if shown.bytes.is_empty() {
                return;
            }
        }
    }
}
