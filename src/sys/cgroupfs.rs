//! The few calls that cgroup file systems take beyond reading: what a directory is, making and removing one, writing to a knob.
//!
//! A knob is written by a single write(2), which the kernel takes or refuses as a whole. See cgroups(7), mkdirat(2), unlinkat(2).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::dir::DirReader;
use super::error::{Errno, retry};

/// `CGROUP_SUPER_MAGIC` of `include/uapi/linux/magic.h`: v1.
pub const CGROUP_SUPER_MAGIC: u64 = 0x0027_e0eb;
/// `CGROUP2_SUPER_MAGIC`: v2.
pub const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// What there is to know about the directory of a cgroup without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its inode number; on v2 that is the id of the cgroup.
    pub inode: u64,
    /// How many directories are in it; `None` where the file system does not count them.
    pub children: Option<u64>,
    /// Its owner.
    pub uid: u32,
}

/// Asks what the directory of a cgroup is, see fstat(2). kernfs keeps the number of its subdirectories in the link count, so that a leaf
/// is known without listing its dozens of files.
///
/// # Errors
/// None that a caller can do anything about.
pub fn directory(dir: BorrowedFd<'_>) -> Result<Directory, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is valid for writes of a `struct stat`.
    retry(|| unsafe { libc::fstat(dir.as_raw_fd(), stat.as_mut_ptr()) }.into())?;
    // SAFETY: fstat succeeded and has filled it.
    let stat = unsafe { stat.assume_init() };
    #[allow(clippy::unnecessary_cast, reason = "32 bits on other architectures")]
    let links = stat.st_nlink as u64;
    Ok(Directory { inode: stat.st_ino, children: links.checked_sub(2), uid: stat.st_uid })
}

/// Calls `each` with the name of every directory in a directory that is open for reading.
///
/// # Errors
/// `ENOENT` or `ENODEV` where the cgroup has gone.
pub fn subdirectories(reader: &mut DirReader, dir: BorrowedFd<'_>, mut each: impl FnMut(&CStr)) -> Result<(), Errno> {
    reader.typed_entries(dir, |name, kind| {
        if kind == libc::DT_DIR {
            each(name);
        }
    })
}

/// Makes a cgroup.
///
/// # Errors
/// `EEXIST`, `EACCES`, `EPERM`, `EAGAIN` where cgroup.max.descendants or cgroup.max.depth of an ancestor is reached.
pub fn mkdir(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: `name` ends with NUL.
    retry(|| unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), 0o755) }.into()).map(drop)
}

/// Removes a cgroup that has neither processes nor children.
///
/// # Errors
/// `EBUSY` where it has, `ENOENT`, `EACCES`.
pub fn rmdir(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: `name` ends with NUL.
    retry(|| unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), libc::AT_REMOVEDIR) }.into()).map(drop)
}

/// Opens a knob to write to it; it is not made where it is not there.
///
/// # Errors
/// `ENOENT`, `EACCES`, `EROFS`.
pub fn open_write(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open(dir, name, libc::O_WRONLY)
}

/// Opens a knob to write to it and to read it back.
///
/// # Errors
/// As [`open_write`].
pub fn open_read_write(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open(dir, name, libc::O_RDWR)
}

fn open(dir: BorrowedFd<'_>, name: &CStr, mode: libc::c_int) -> Result<OwnedFd, Errno> {
    let flags = mode | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: `name` ends with NUL.
    let fd = retry(|| unsafe { libc::openat(dir.as_raw_fd(), name.as_ptr(), flags) }.into())?;
    // SAFETY: the kernel has just handed out `fd`; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// Writes a value to an open knob, in one call.
///
/// # Errors
/// What the controller says: `EBUSY`, `EINVAL`, `ERANGE`, `EOPNOTSUPP`, `EACCES`, `ENOENT`.
pub fn write(knob: BorrowedFd<'_>, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: `value` is valid for reads of its length.
    retry(|| unsafe { libc::write(knob.as_raw_fd(), value.as_ptr().cast(), value.len()) as _ }).map(drop)
}

/// Says whether the caller may write to a file, by its effective ids; see faccessat(2).
pub fn may_write(dir: BorrowedFd<'_>, name: &CStr) -> bool {
    access_write(dir, name).is_ok()
}

/// As [`may_write`], with the reason.
///
/// # Errors
/// `EACCES`, `EROFS`, `ENOENT`.
pub fn access_write(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: `name` ends with NUL.
    retry(|| unsafe { libc::faccessat(dir.as_raw_fd(), name.as_ptr(), libc::W_OK, libc::AT_EACCESS) }.into()).map(drop)
}

/// Returns the uid of the owner of a file in the directory of a cgroup.
///
/// # Errors
/// `ENOENT`.
pub fn owner(dir: BorrowedFd<'_>, name: &CStr) -> Result<u32, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: `name` ends with NUL, and `stat` is valid for writes of a `struct stat`.
    retry(|| unsafe { libc::fstatat(dir.as_raw_fd(), name.as_ptr(), stat.as_mut_ptr(), flags) }.into())?;
    // SAFETY: fstatat succeeded and has filled it.
    Ok(unsafe { stat.assume_init() }.st_uid)
}

/// Reads an open file from its start into `buffer`, wherever it stands.
///
/// # Errors
/// `ENODEV` where the cgroup was removed.
pub fn read_from_start<'b>(file: BorrowedFd<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    // SAFETY: `buffer` is valid for writes of its length.
    let len = retry(|| unsafe { libc::pread(file.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) as _ })?;
    Ok(&buffer[..len as usize])
}

/// Waits until one of these files has an event, at most for a time: `cgroup.events` that changed since it was read last (`POLLPRI`), or
/// a pidfd whose process has ended (`POLLIN`). Also returns where a signal came, or nothing happened at all. See poll(2).
pub fn wait(files: &[BorrowedFd<'_>], most: Duration) {
    let mut polled: Vec<PollFd<'_>> =
        files.iter().map(|file| PollFd::new(*file, PollFlags::POLLPRI | PollFlags::POLLIN)).collect();
    // A millisecond more, so that nobody calls again for less than one.
    let milliseconds = (most.as_millis() + 1).min(60_000) as u16;
    let _ = poll(&mut polled, PollTimeout::from(milliseconds));
}
