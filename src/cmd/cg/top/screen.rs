//! The terminal while nsx draws on it: keys raw, the alternate screen, no cursor; and as it was when that is over, however it ends.
//!
//! nsx aborts where it panics, so nothing is dropped then: a panic hook gives the terminal back. Signals are heard by `live`, which does it
//! before nsx dies of them. See console_codes(4), termios(3).

use std::io::{self, BufWriter, Stdout, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, Once, PoisonError};

use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::style::ResetColor;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::crossterm::{execute, style};
use ratatui::layout::{Position, Rect};
use ratatui::{Terminal, TerminalOptions, Viewport};

use crate::sys::tty::{self, Settings};
use crate::sys::{Call, Errno, SysError};

/// What was drawn last, by whatever sends the difference.
struct Drawn {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    area: Rect,
    last: Option<(Buffer, Option<Position>)>,
}

/// The settings that the terminal gets back; `None` while it has them.
static BEFORE: Mutex<Option<Settings>> = Mutex::new(None);

/// The screen.
pub(super) struct Screen<'a> {
    keyboard: BorrowedFd<'a>,
    /// `None` while it is somebody else's.
    drawn: Option<Drawn>,
}

impl<'a> Screen<'a> {
    /// A screen that is not taken yet.
    pub(super) fn new(keyboard: BorrowedFd<'a>) -> Screen<'a> {
        Screen { keyboard, drawn: None }
    }

    /// Says whether it is nsx's.
    pub(super) fn is_taken(&self) -> bool {
        self.drawn.is_some()
    }

    /// Takes the terminal, or takes it again after somebody else has had it.
    pub(super) fn take(&mut self) -> Result<(), SysError> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let others = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                others(panic);
            }));
        });
        // Whether there is to be colour has been decided; the environment is not asked again.
        style::force_color_output(true);
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if before.is_none() {
            *before = Settings::of(self.keyboard);
        }
        if let Some(settings) = &*before {
            settings.make_raw()?;
        }
        drop(before);
        execute!(io::stdout(), EnterAlternateScreen, Hide).map_err(not_written)
    }

    /// Clears it, and takes note of its size. Only then it is drawn on.
    pub(super) fn start_over(&mut self) -> Result<(), SysError> {
        execute!(io::stdout(), ResetColor, Clear(ClearType::All)).map_err(not_written)?;
        let (columns, lines) = self.size();
        // Of a fixed size: crossterm would look for the size itself, if need be by running tput(1).
        let area = Rect::new(0, 0, columns, lines);
        let backend = CrosstermBackend::new(BufWriter::with_capacity(64 * 1024, io::stdout()));
        let options = TerminalOptions { viewport: Viewport::Fixed(area) };
        let terminal = Terminal::with_options(backend, options).map_err(not_written)?;
        self.drawn = Some(Drawn { terminal, area, last: None });
        Ok(())
    }

    /// Returns how many columns and lines it has.
    pub(super) fn size(&self) -> (u16, u16) {
        tty::columns_and_lines(io::stdout().as_fd()).unwrap_or((80, 24))
    }

    /// Draws, and sends what has changed. What is drawn says where the cursor is to stand.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Buffer) -> Option<Position>) -> Result<(), SysError> {
        let Some(drawn) = &mut self.drawn else { return Ok(()) };
        let mut next = Buffer::empty(drawn.area);
        let cursor = draw(&mut next);
        let next = Some((next, cursor));
        // Nothing at all is sent where nothing has changed: a terminal may be far away.
        if drawn.last == next {
            return Ok(());
        }
        drawn.last = next;
        let done = drawn.terminal.draw(|frame| {
            if let Some((next, cursor)) = &drawn.last {
                frame.buffer_mut().clone_from(next);
                cursor.iter().for_each(|&cursor| frame.set_cursor_position(cursor));
            }
        });
        done.map(drop).map_err(not_written)
    }

    /// Gives the terminal back.
    pub(super) fn leave(&mut self) {
        self.drawn = None;
        give_back();
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Gives the terminal back, if it was taken.
fn give_back() {
    // Where this comes from a panic, waiting could be for ever.
    let Some(settings) = BEFORE.try_lock().ok().and_then(|mut before| before.take()) else { return };
    let mut stdout = io::stdout();
    // Where the terminal has gone there is nothing to be given back.
    let _ = execute!(stdout, ResetColor, Show, LeaveAlternateScreen);
    let _ = stdout.flush();
    settings.restore();
}

fn not_written(error: io::Error) -> SysError {
    SysError::new(Call::Write("stdout"), Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)))
}
