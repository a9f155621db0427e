//! Carrying characters between two terminals: the caller's, and the near side of the command's own.
//!
//! Not here: signals, stops, and what becomes of the command (`terminal`, `run::supervise`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::libc::{SIGCHLD, SIGCONT, SIGWINCH};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sys::signal::Signals;
use crate::sys::{Errno, tty};

/// How long to leave a terminal alone that another program has taken charge of, in milliseconds.
pub const PATIENCE_MS: u16 = 200;

/// How much is written at once.
const LITTLE: usize = 256;

/// What Ctrl-D is.
const END_OF_INPUT: u8 = 4;

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

/// What stands between two terminals.
pub struct Carrier<'s> {
    near: OwnedFd,
    keyboard: Option<BorrowedFd<'s>>,
    screen: BorrowedFd<'s>,
    /// Whether keys come from where the screen is: with a pipe in between another program may want the keyboard for itself, as pagers do.
    whole: bool,
    typed: Buffer,
    shown: Buffer,
    keyboard_open: bool,
    near_open: bool,
    raw: Option<tty::Raw<'s>>,
}

impl<'s> Carrier<'s> {
    /// Begins to carry between the caller's standard streams, of which `terminals` are terminals, and the near side of another one.
    pub fn new(near: OwnedFd, terminals: [bool; 3], streams: [BorrowedFd<'s>; 3]) -> Carrier<'s> {
        // Keys come from standard input if that is a terminal; nothing is read from any other one.
        let keyboard = Some(streams[0]).filter(|_| terminals[0]);
        let screen = streams[if terminals[1] { 1 } else { 2 }];
        let screen = if terminals[1] || terminals[2] { screen } else { streams[0] };
        let whole = terminals[0] && terminals[1];
        let (typed, shown) = (Buffer::default(), Buffer::default());
        let keyboard_open = keyboard.is_some();
        let mut carrier =
            Carrier { near, keyboard, screen, whole, typed, shown, keyboard_open, near_open: true, raw: None };
        carrier.take_charge();
        carrier
    }

    /// Has the caller's terminal hand over every key, unless another program has it.
    fn take_charge(&mut self) {
        if let Some(keyboard) = self.keyboard.filter(|keyboard| self.whole && tty::is_foreground(*keyboard)) {
            self.raw = self.raw.take().or_else(|| tty::Raw::set(keyboard));
        }
    }

    /// Tells the command how large the caller's terminal is now.
    pub fn resize(&self) {
        tty::copy_size(self.screen, self.near.as_fd());
    }

    /// Gives the caller's terminal back, before nsx stops.
    pub fn pause(&mut self, signals: &Signals, asked: bool) {
        self.show_rest(signals, asked);
        self.raw = None;
    }

    /// Takes charge of the caller's terminal again.
    pub fn resume(&mut self) {
        self.take_charge();
        self.resize();
    }

    fn wants_keys(&self) -> bool {
        self.keyboard_open && self.near_open && self.typed.bytes.is_empty()
    }

    /// Returns what to wait for: keys, the near side, the screen.
    pub fn awaited(&self) -> [Option<(BorrowedFd<'_>, PollFlags)>; 3] {
        let keys = self.keyboard.filter(|keyboard| {
            self.wants_keys() && tty::is_foreground(*keyboard) && (self.raw.is_some() || tty::is_line_mode(*keyboard))
        });
        let mut near = PollFlags::empty();
        near.set(PollFlags::POLLIN, self.shown.bytes.is_empty());
        near.set(PollFlags::POLLOUT, !self.typed.bytes.is_empty());
        [
            keys.map(|keyboard| (keyboard, PollFlags::POLLIN)),
            Some((self.near.as_fd(), near)).filter(|_| self.near_open && !near.is_empty()),
            Some((self.screen, PollFlags::POLLOUT)).filter(|_| !self.shown.bytes.is_empty()),
        ]
    }

    /// Says whether to look again soon: keys are wanted, and somebody else has the terminal now.
    pub fn is_waiting_for_keyboard(&self) -> bool {
        self.wants_keys() && self.awaited()[0].is_none()
    }

    /// Carries what can be carried after waiting.
    pub fn carry(&mut self, happened: [PollFlags; 3]) {
        let [key, near, free] = happened;
        // Asked again: meanwhile another program of a pipeline may have taken charge of the terminal, and the key is its own.
        let is_mine = |keyboard: &BorrowedFd<'_>| self.raw.is_some() || tty::is_line_mode(*keyboard);
        if let Some(keyboard) = self.keyboard.filter(|keyboard| !key.is_empty() && is_mine(keyboard))
            && self.typed.fill(keyboard)
        {
            // The end of a terminal in line mode is Ctrl-D, and is passed on as such.
            self.keyboard_open = tty::is_foreground(keyboard) && !key.contains(PollFlags::POLLHUP);
            self.typed.bytes.push(END_OF_INPUT);
        }
        if near.intersects(PollFlags::POLLOUT) {
            self.typed.drain(self.near.as_fd());
        }
        if near.intersects(PollFlags::POLLIN | PollFlags::POLLHUP) && self.shown.fill(self.near.as_fd()) {
            self.near_open = false;
        }
        if !free.is_empty() {
            self.shown.drain(self.screen);
        }
    }

    /// Shows what the command has written last. Where nobody reads it, a signal ends the waiting, and one that came before (`asked`) lets it
    /// be short.
    pub fn show_rest(&mut self, signals: &Signals, asked: bool) {
        loop {
            while !self.shown.bytes.is_empty() {
                let mut fds =
                    [PollFd::new(self.screen, PollFlags::POLLOUT), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
                let patience = if asked { PATIENCE_MS.into() } else { PollTimeout::NONE };
                if poll(&mut fds, patience) == Ok(0) {
                    return;
                }
                let asked = std::iter::from_fn(|| signals.next());
                if asked.into_iter().any(|came| !matches!(came.number, SIGCHLD | SIGCONT | SIGWINCH)) {
                    return;
                }
                if fds[0].revents().is_some_and(|events| !events.is_empty()) {
                    self.shown.drain(self.screen);
                }
            }
            self.shown.fill(self.near.as_fd());
            if self.shown.bytes.is_empty() {
                return;
            }
        }
    }
}
