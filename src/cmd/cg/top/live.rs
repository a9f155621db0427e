//! The loop of the screen of `nsx cg top`: it waits for keys, signals, pictures and the end of an interval, and for nothing else.
//!
//! All signals are blocked and read. Those that end nsx do so after the terminal was given back, so that whoever waits sees what it has
//! died of. See signal(7), credentials(7) for job control.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::libc::{SIGCHLD, SIGCONT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
use nix::poll::{PollFd, PollFlags, poll};

use super::super::Opened;
use super::control::{Action, Control, HELP, OpenPane, What};
use super::keys::Keys;
use super::sampler::Sampler;
use super::screen::Screen;
use super::{Scope, TopArgs, timeout};
use crate::cgroup::why::{Facts, Reading, why};
use crate::cgroup::{Sample, Tree};
use crate::cmd::{Exit, ui::Ui};
use crate::render::cg::{path, show, top::pane::Pane, why::Why};
use crate::render::text::sanitize;
use crate::select::cgroup::{Chosen, read};
use crate::sys::signal::{self, Signals};
use crate::sys::{Call, Errno, SysError, dir, errno_name, tty};

/// When Escape was typed, so long the rest of another key may still come.
const ESCAPE: Duration = Duration::from_millis(100);

/// Rates are shown after this time at the latest, when nsx has just been started.
const SOON: Duration = Duration::from_millis(500);

/// Runs until somebody wants to leave.
pub(super) fn run(args: &TopArgs, opened: Opened, scope: Scope, ui: &Ui) -> anyhow::Result<Exit> {
    let keyboard = keyboard()?;
    // Before there is a second thread, which would not have them blocked: those of the first picture are still on their way out for a
    // moment when it is there.
    let signals = Signals::block()?;
    let first = scope.take(&opened).map_err(|errno| scope.failed(errno))?;
    let (opened, scope) = (Arc::new(opened), Arc::new(scope));
    let mut live = Live {
        sampler: Sampler::start(&opened, &scope)?,
        opened,
        scope,
        keyboard: keyboard.as_fd(),
        screen: Screen::new(keyboard.as_fd()),
        control: Control::new(first.tree, args.sort, args.flat, args.interval, ui.color),
        keys: Keys::default(),
        typed: first.at,
        looked: first.at,
        asked: first.at,
        next: first.at + args.interval.min(SOON),
        left: args.count,
        drawn: false,
    };
    let end = live.run(&signals);
    live.screen.leave();
    match end {
        Ok(End::Left) => Ok(Exit::Done),
        Ok(End::Signal(number)) => Ok(die_by(number)),
        Err(error) => {
            // Where the terminal has gone, SIGHUP says what the matter is.
            while let Some(came) = signals.next() {
                if ends(came.number) {
                    return Ok(die_by(came.number));
                }
            }
            Err(error.into())
        }
    }
}

fn die_by(number: i32) -> Exit {
    signal::die_by(number);
    // It is one that kills nobody.
    Exit::Failed
}

/// Says whether a signal ends a program that does not care for it.
fn ends(number: i32) -> bool {
    !matches!(number, SIGCHLD | SIGCONT | SIGPIPE | SIGTSTP | SIGTTIN | SIGTTOU | SIGURG | SIGWINCH)
}

/// Opens what keys come from: standard input, or the terminal of the session where that is something else.
fn keyboard() -> Result<OwnedFd, SysError> {
    let stdin = io::stdin();
    let opened = if stdin.is_terminal() {
        stdin.as_fd().try_clone_to_owned().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
    } else {
        dir::open_read_cwd(c"/dev/tty")
    };
    opened.map_err(|errno| SysError::new(Call::Openat(b"/dev/tty".to_vec()), errno))
}

/// How it has come to an end.
enum End {
    /// Somebody wanted to leave.
    Left,
    /// A signal has come.
    Signal(i32),
}

struct Live<'a> {
    opened: Arc<Opened>,
    scope: Arc<Scope>,
    sampler: Sampler,
    keyboard: BorrowedFd<'a>,
    screen: Screen<'a>,
    control: Control,
    keys: Keys,
    /// When the last key came.
    typed: Instant,
    /// When the last picture was taken, when it was asked for, and when the next one is due.
    looked: Instant,
    asked: Instant,
    next: Instant,
    /// How many pictures are still to come; `None` is without end.
    left: Option<u64>,
    /// Whether everything that has changed has been drawn.
    drawn: bool,
}

impl Live<'_> {
    fn run(&mut self, signals: &Signals) -> Result<End, SysError> {
        self.take_again()?;
        loop {
            if !self.drawn && self.screen.is_taken() {
                self.drawn = true;
                let mut view = self.control.view();
                self.screen.draw(|to| view.draw(to))?;
            }
            let typed = self.wait(signals);
            while let Some(came) = signals.next() {
                if ends(came.number) {
                    return Ok(End::Signal(came.number));
                }
                self.hear(came.number)?;
            }
            if typed && self.screen.is_taken() && !self.read_keys() {
                return Ok(End::Left);
            }
            let over = self.typed.elapsed() >= ESCAPE;
            while let Some(key) = self.keys.next(over) {
                let action = self.control.key(key);
                if action == Action::Leave {
                    return Ok(End::Left);
                }
                self.act(action)?;
            }
            if let Some(taken) = self.sampler.take() {
                self.look_at(taken);
                if self.left == Some(0) {
                    return Ok(End::Left);
                }
            }
            if self.is_due().is_some_and(|left| left.is_zero()) {
                self.ask();
            }
        }
    }

    fn ask(&mut self) {
        self.asked = Instant::now();
        self.sampler.ask();
    }

    /// Returns in which time the next picture is due; `None` where none is wanted, or one is on its way.
    fn is_due(&self) -> Option<Duration> {
        let wanted = self.screen.is_taken() && !self.control.paused && !self.sampler.is_busy();
        wanted.then(|| self.next.saturating_duration_since(Instant::now()))
    }

    /// Waits until there is something to do. Says whether there are keys.
    fn wait(&self, signals: &Signals) -> bool {
        let rest = self.keys.is_waiting().then(|| ESCAPE.saturating_sub(self.typed.elapsed()));
        let patience = [self.is_due(), rest].into_iter().flatten().min();
        let mut fds =
            vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(self.sampler.as_fd(), PollFlags::POLLIN)];
        // The terminal is read from only while it is nsx's.
        if self.screen.is_taken() {
            fds.push(PollFd::new(self.keyboard, PollFlags::POLLIN));
        }
        let _ = poll(&mut fds, timeout(patience));
        fds.get(2).and_then(PollFd::any).unwrap_or(false)
    }

    /// Reads what was typed. Says whether there can be more.
    fn read_keys(&mut self) -> bool {
        let mut buffer = [0; 1024];
        match tty::read(self.keyboard, &mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.keys.feed(&buffer[..length]);
                self.typed = Instant::now();
                true
            }
            Err(errno) => errno == Errno::EAGAIN,
        }
    }

    /// Does what a signal that does not end anything is for.
    fn hear(&mut self, number: i32) -> Result<(), SysError> {
        match number {
            SIGWINCH if self.screen.is_taken() => self.start_over(),
            SIGTSTP => {
                self.screen.leave();
                // When this returns somebody has continued nsx, or nobody could have.
                signal::stop_by(SIGTSTP);
                self.take_again()
            }
            SIGCONT => self.take_again(),
            _ => Ok(()),
        }
    }

    /// Takes the terminal. A job in the background stops, as every program does there that wants it, until somebody brings it to the
    /// foreground; where it cannot be stopped it waits for that.
    fn take_again(&mut self) -> Result<(), SysError> {
        if tty::is_for_others(self.keyboard) {
            signal::stop_by(SIGTTOU);
        }
        if tty::is_for_others(self.keyboard) {
            return Ok(());
        }
        self.screen.take()?;
        self.start_over()
    }

    /// Draws everything anew, on a screen that may have another size now.
    fn start_over(&mut self) -> Result<(), SysError> {
        self.screen.start_over()?;
        self.refresh_pane();
        self.drawn = false;
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<(), SysError> {
        match action {
            Action::Nothing | Action::Leave => return Ok(()),
            Action::Draw => {}
            Action::DrawAll => self.start_over()?,
            // The whole process group, as the terminal does: whoever has started nsx in a script stops, too.
            Action::Stop => drop(signal::send(0, SIGTSTP)),
            Action::Look => self.ask(),
            Action::Open(what) => {
                if let Some(path) = self.control.state.selected().map(<[u8]>::to_vec) {
                    let pane = self.open(what, &path);
                    self.control.open = Some(OpenPane { what, path, pane });
                }
            }
        }
        self.drawn = false;
        Ok(())
    }

    /// Shows a picture that has come.
    fn look_at(&mut self, taken: Result<Sample, Errno>) {
        let interval = self.control.interval;
        match taken {
            Ok(Sample { mut tree, at }) => {
                tree.add_rates(self.control.state.tree(), at.saturating_duration_since(self.looked));
                self.looked = at;
                self.show(tree);
            }
            Err(errno) => {
                let path = sanitize(&self.scope.start);
                self.control.message = Some(format!("cannot look ({}): {path}", errno_name(errno)));
            }
        }
        // At least as long as the last picture took: on a host with very many cgroups, not all time goes into looking.
        let now = Instant::now();
        self.next = (now + now.saturating_duration_since(self.asked)).max(self.looked + interval);
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.refresh_pane();
        self.drawn = false;
    }

    fn show(&mut self, tree: Tree) {
        self.control.message = None;
        self.control.state.update(tree);
    }

    fn refresh_pane(&mut self) {
        let Some((what, path)) = self.control.open.as_ref().map(|open| (open.what, open.path.clone())) else { return };
        let pane = self.open(what, &path);
        if let Some(open) = &mut self.control.open {
            open.pane.replace(pane);
        }
    }

    /// Makes what is to be seen in a pane.
    fn open(&self, what: What, path: &[u8]) -> Pane {
        let width = usize::from(self.screen.size().0);
        let colored = self.control.colored;
        let title = match what {
            What::Help => "Keys and columns".to_owned(),
            What::Show | What::Limits | What::Why => sanitize(path).into_owned(),
        };
        let text = match what {
            What::Help => HELP.to_owned(),
            What::Show | What::Limits | What::Why => self.about(what, path, width, colored),
        };
        Pane::new(title, &text, width, colored)
    }

    /// Says something about a cgroup, as the command does that is there for it.
    fn about(&self, what: What, path: &[u8], width: usize, colored: bool) -> String {
        let Opened { proc, cgroups } = &*self.opened;
        let chosen = Chosen::Cgroup { path: path.to_vec(), only: self.scope.only };
        let subject = match read(proc, cgroups, &chosen) {
            Ok(subject) => subject,
            Err(error) => return error.to_string(),
        };
        let mut text = Vec::new();
        let written = match what {
            What::Show => show::Show::new(cgroups, &subject, false).text(false, Some(width), colored, &mut text),
            What::Limits => {
                path::Path::new(cgroups, &subject).text(false, true, Some(width), colored, &mut text).map(drop)
            }
            What::Why => {
                let reading = Reading::around(cgroups, subject);
                let findings = why(&Facts::read(cgroups, &reading.subject, proc.is_live()), None, &reading);
                Why::new(cgroups, &reading, None, &findings).text(Some(width), colored, &mut text)
            }
            What::Help => Ok(()),
        };
        // Memory takes whatever is written to it.
        drop(written);
        String::from_utf8_lossy(&text).into_owned()
    }
}
