//! Terminals: how wide one is, and pairs of one's own.
//!
//! See tty_ioctl(4), pty(7), termios(3).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::pty::{OpenptyResult, openpty};
use nix::sys::termios::{self, LocalFlags, OutputFlags, SetArg, Termios};

use super::error::{Call, Errno, SysError, last, retry};

/// Returns the width of the terminal behind `fd` in columns; `None` where it is no terminal or does not know.
///
/// Asks `TIOCGWINSZ`, see TIOCGWINSZ(2const).
pub fn columns(fd: BorrowedFd<'_>) -> Option<u16> {
    size(fd).map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// Returns the size of the terminal behind `fd`: columns and lines; `None` where it is no terminal or does not know.
pub fn columns_and_lines(fd: BorrowedFd<'_>) -> Option<(u16, u16)> {
    size(fd).map(|size| (size.ws_col, size.ws_row)).filter(|(columns, lines)| *columns > 0 && *lines > 0)
}

fn size(fd: BorrowedFd<'_>) -> Option<libc::winsize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request writes one `struct winsize`.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (answer == 0).then_some(size)
}

/// Gives a terminal the size of another one: `TIOCGWINSZ`, `TIOCSWINSZ`. The processes in the foreground get SIGWINCH.
pub fn copy_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    if let Some(size) = size(from) {
        // SAFETY: the request reads one `struct winsize`.
        unsafe { libc::ioctl(to.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    }
}

/// Makes a pair of terminals that is like the one behind `like`; the first is the side of whoever watches. `echo` says whether what is
/// typed comes back, and lines end as on a screen: that is left out where `like` sees to it anyhow.
///
/// # Errors
/// `ENOENT` or `ENOSPC` where there are no terminals to be had.
pub fn pair(like: BorrowedFd<'_>, echo: bool) -> Result<(OwnedFd, OwnedFd), SysError> {
    let failed = |errno| SysError::new(Call::Openat(b"/dev/ptmx".to_vec()), errno);
    let mut settings = termios::tcgetattr(like).map_err(failed)?;
    if !echo {
        settings.output_flags.remove(OutputFlags::OPOST);
        settings.local_flags.remove(LocalFlags::ECHO);
    }
    let OpenptyResult { master, slave } = openpty(None, Some(&settings)).map_err(failed)?;
    copy_size(like, slave.as_fd());
    for fd in [&master, &slave] {
        // SAFETY: the command takes a number.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // SAFETY: as above.
    unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK) };
    Ok((master, slave))
}

/// Has reads and writes of a descriptor not wait: `O_NONBLOCK`.
pub fn do_not_wait(fd: BorrowedFd<'_>) {
    // SAFETY: the command takes a number.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK) };
}

/// What another terminal has to be told to be like this one: `struct termios` of the kernel as `TCGETS` gives it, and the size.
pub type Likeness = ([u8; 36], [u16; 4]);

/// Returns what a terminal is like; `None` where it is none. `echo` is as for [`pair`].
pub fn likeness(fd: BorrowedFd<'_>, echo: bool) -> Option<Likeness> {
    // The kernel's own structure: four words of flags, the line discipline, 19 characters.
    let mut settings = [0u32; 9];
    // SAFETY: the request writes 36 bytes.
    if unsafe { libc::ioctl(fd.as_raw_fd(), libc::TCGETS, settings.as_mut_ptr()) } != 0 {
        return None;
    }
    if !echo {
        settings[1] &= !libc::OPOST;
        settings[3] &= !libc::ECHO;
    }
    let mut bytes = [0; 36];
    for (place, word) in settings.iter().enumerate() {
        bytes[place * 4..place * 4 + 4].copy_from_slice(&word.to_ne_bytes());
    }
    let size = size(fd).map_or([0; 4], |size| [size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel]);
    Some((bytes, size))
}

/// Starts a session whose controlling terminal is this one: setsid(2), `TIOCSCTTY`.
///
/// # Errors
/// `EPERM` where the terminal is another session's.
pub fn lead_session_on(terminal: BorrowedFd<'_>) -> Result<(), SysError> {
    // SAFETY: both calls take numbers.
    unsafe {
        libc::setsid();
        if libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) != 0 {
            return Err(last(|| Call::Ioctl("TIOCSCTTY")));
        }
    }
    Ok(())
}

/// Says whether this process may read from the terminal: its process group is in the foreground.
pub fn is_foreground(terminal: BorrowedFd<'_>) -> bool {
    // SAFETY: both calls take numbers.
    unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) == libc::getpgrp() }
}

/// Says whether the terminal is for another process group of this session now. A terminal of another session is for whoever uses it.
pub fn is_for_others(terminal: BorrowedFd<'_>) -> bool {
    // SAFETY: both calls take numbers. One that is out of sight, in another pid namespace, is 0.
    unsafe {
        let group = libc::tcgetpgrp(terminal.as_raw_fd());
        group > 0 && group != libc::getpgrp()
    }
}

/// Says whether the terminal hands over whole lines, as it does while no program has taken charge of it.
pub fn is_line_mode(terminal: BorrowedFd<'_>) -> bool {
    termios::tcgetattr(terminal).is_ok_and(|settings| settings.local_flags.contains(LocalFlags::ICANON))
}

/// The settings of a terminal, to be given back to it.
pub struct Settings {
    terminal: OwnedFd,
    settings: Termios,
}

impl Settings {
    /// Takes them down; `None` where it is no terminal.
    pub fn of(terminal: BorrowedFd<'_>) -> Option<Settings> {
        let settings = termios::tcgetattr(terminal).ok()?;
        Some(Settings { terminal: terminal.try_clone_to_owned().ok()?, settings })
    }

    /// Makes the terminal hand over every key as it is, and show nothing by itself, until it gets these settings back.
    ///
    /// # Errors
    /// `EIO` where the terminal has gone.
    pub fn make_raw(&self) -> Result<(), SysError> {
        let mut raw = self.settings.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&self.terminal, SetArg::TCSADRAIN, &raw)
            .map_err(|errno| SysError::new(Call::Ioctl("TCSETSW"), errno))
    }

    /// Gives them back.
    pub fn restore(&self) {
        let _ = termios::tcsetattr(&self.terminal, SetArg::TCSANOW, &self.settings);
    }
}

/// A terminal that hands over every key as it is; it gets its settings back when this is dropped.
pub struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Raw<'a> {
    /// Changes the settings; `None` where that cannot be.
    pub fn set(terminal: BorrowedFd<'a>) -> Option<Raw<'a>> {
        let before = termios::tcgetattr(terminal).ok()?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(terminal, SetArg::TCSADRAIN, &raw).ok()?;
        Some(Raw { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

/// Reads what there is; `Ok(0)` at the end, which a terminal says as `EIO`.
///
/// # Errors
/// `EAGAIN` where there is nothing yet.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `buffer` is valid for writes of its length.
    match retry(|| unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) } as _) {
        Ok(length) => Ok(length as usize),
        Err(Errno::EIO) => Ok(0),
        Err(errno) => Err(errno),
    }
}

/// Writes as much as is taken at once.
///
/// # Errors
/// `EAGAIN` where nothing is taken now, `EIO` where nobody reads any more.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: `bytes` is valid for reads of its length.
    retry(|| unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) } as _)
        .map(|length| length as usize)
}

/// Puts what is behind `fd` in the place of descriptor `place`, which is one of the standard streams: dup2(2).
pub fn take_place(fd: BorrowedFd<'_>, place: i32) {
    debug_assert!((0..=2).contains(&place));
    // SAFETY: the standard streams are nobody's in particular: whoever uses them uses what is there.
    unsafe { libc::dup2(fd.as_fd().as_raw_fd(), place) };
}
