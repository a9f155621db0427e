//! Small files, read whole into memory of their own.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use super::{open_read, read};
use crate::sys::error::Errno;

/// Reads a file in a directory, up to `limit` bytes.
///
/// # Errors
/// As [`open_read`] and [`read`]; `EOPNOTSUPP`, `ENODEV` and the like from file systems whose files are made up.
pub fn read_whole(dir: BorrowedFd<'_>, path: &CStr, limit: usize) -> Result<Vec<u8>, Errno> {
    read_to_end(open_read(dir, path)?.as_fd(), limit)
}

/// Reads an open file from where it stands to its end, up to `limit` bytes.
///
/// # Errors
/// As [`read`].
pub fn read_to_end(file: BorrowedFd<'_>, limit: usize) -> Result<Vec<u8>, Errno> {
    read_on(file, limit, |_| false)
}

/// Reads an open file whose content the kernel makes as one record, as most in `/proc/PID` and in cgroups: what does not fill the buffer
/// is all of it, and need not be asked for more.
///
/// # Errors
/// As [`read`].
pub fn read_record(file: BorrowedFd<'_>, limit: usize) -> Result<Vec<u8>, Errno> {
    read_on(file, limit, |room| room > 0)
}

/// Reads until there is no more, or what room is left in the buffer says so.
fn read_on(file: BorrowedFd<'_>, limit: usize, is_all: impl Fn(usize) -> bool) -> Result<Vec<u8>, Errno> {
    let mut content = vec![0; limit.min(4096)];
    let mut filled = 0;
    loop {
        let more = read(file, &mut content[filled..])?.len();
        filled += more;
        if more == 0 || filled >= limit || is_all(content.len() - filled) {
            content.truncate(filled);
            return Ok(content);
        }
        if filled == content.len() {
            content.resize((content.len() * 4).min(limit), 0);
        }
    }
}
