//! Terminals: how wide one is.

use std::os::fd::{AsRawFd, BorrowedFd};

/// Returns the width of the terminal behind `fd` in columns; `None` where it is no terminal or does not know.
///
/// Asks `TIOCGWINSZ`, see TIOCGWINSZ(2const).
pub fn columns(fd: BorrowedFd<'_>) -> Option<u16> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request writes one `struct winsize`.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (answer == 0 && size.ws_col > 0).then_some(size.ws_col)
}
