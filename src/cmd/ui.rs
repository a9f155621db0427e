//! What the terminal is like, decided once: colour, width, notes, progress. With `main`, the only place that prints.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use clap::ValueEnum;

use crate::scan::Progress;
use crate::sys::{Call, Errno, SysError, tty};

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless the environment says otherwise
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What output has to look like.
pub struct Ui {
    /// Whether to colour.
    pub color: bool,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// The width of the terminal; `None` where output is not cut.
    pub width: Option<usize>,
}

/// Work that takes longer than this shows how far it has come.
const PATIENCE: Duration = Duration::from_millis(500);
const REFRESH: Duration = Duration::from_millis(100);

impl Ui {
    /// Looks at standard output and the environment.
    pub fn new(choice: ColorChoice) -> Ui {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let width = terminal.then(|| tty::columns(stdout.as_fd()).map_or(80, usize::from));
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let color = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                set("NO_COLOR").is_none()
                    && (set("CLICOLOR_FORCE").is_some_and(|value| value != "0")
                        || terminal && set("TERM").is_none_or(|term| term != "dumb"))
            }
        };
        Ui { color, terminal, width }
    }

    /// Lets `print` write to standard output, and makes sure that all of it arrives there.
    ///
    /// # Errors
    /// What the system says of standard output, as a failed write(2); a closed pipe stays an [`io::Error`].
    pub fn stdout<T>(&self, print: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> anyhow::Result<T> {
        let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        let printed = print(&mut out).and_then(|printed| out.flush().map(|()| printed));
        printed.map_err(|error| match error.raw_os_error() {
            Some(errno) if error.kind() != io::ErrorKind::BrokenPipe => {
                SysError::new(Call::Write("stdout"), Errno::from_raw(errno)).into()
            }
            _ => error.into(),
        })
    }

    /// Does work that may take long; on a terminal a line on standard error tells how far it has come, and goes away in the end.
    pub fn with_progress<T>(&self, what: &str, work: impl FnOnce(&Progress) -> T) -> T {
        let progress = Progress::default();
        if !io::stderr().is_terminal() {
            return work(&progress);
        }
        let (finished, wait) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let progress = &progress;
            // Where no more threads may be made nobody is told, and the work is done all the same.
            let _ = std::thread::Builder::new().spawn_scoped(scope, move || show_progress(what, progress, wait));
            let result = work(progress);
            drop(finished);
            result
        })
    }
}

fn show_progress(what: &str, progress: &Progress, wait: mpsc::Receiver<()>) {
    let mut patience = PATIENCE;
    let mut shown = false;
    while wait.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
        let (done, total) = progress.get();
        // Where the terminal has gone there is nobody to tell.
        let _ = write!(io::stderr(), "\r{what}: {done} of {total}\x1b[K");
        shown = true;
        patience = REFRESH;
    }
    if shown {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// Prints an error, and what to do about it where that is known.
pub fn error(error: &anyhow::Error, hint: Option<&str>) {
    let mut stderr = io::stderr().lock();
    // Where standard error has gone there is nobody to tell.
    let _ = writeln!(stderr, "nsx: {error:#}");
    if let Some(hint) = hint {
        let _ = writeln!(stderr, "hint: {hint}");
    }
}

/// Lets `print` write to standard error. Where that has gone there is nobody to tell.
pub fn stderr(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let _ = print(&mut io::stderr().lock());
}

/// Prints something that a user should know although the command was done.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "nsx: note: {text}");
}
