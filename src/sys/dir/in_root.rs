//! Files below a root directory that is somebody else's, opened as if it were `/`: openat2(2).

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{ShortPath, open_read_cwd, read_to_end};
use crate::sys::error::{Errno, retry};

/// How a path is walked, `include/uapi/linux/openat2.h`.
const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_IN_ROOT: u64 = 0x10;
const RESOLVE_CACHED: u64 = 0x20;

fn openat2(root: BorrowedFd<'_>, path: &CStr, flags: libc::c_int, resolve: u64) -> Result<OwnedFd, Errno> {
    // flags, mode and resolve of `struct open_how`.
    let how = [(libc::O_PATH | libc::O_CLOEXEC | flags) as u64, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve];
    // SAFETY: `path` ends with NUL, `how` lives through the call and its size is given.
    let fd = retry(|| unsafe {
        libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), how.as_ptr(), size_of_val(&how))
    })?;
    // SAFETY: the kernel has just handed out `fd`; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// Opens a file below `root` as if that were `/`, as `O_PATH`: links lead where they do for who has that root, and none of them out of it.
///
/// # Kernel
/// Linux 5.6. Absent: `ENOSYS`.
///
/// # Errors
/// `ENOENT`, `EACCES`, `ELOOP` for magic links.
pub fn open_in_root(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat2(root, path, 0, 0)
}

/// As [`open_in_root`], but a link in the last place is opened itself.
///
/// # Errors
/// As [`open_in_root`].
pub fn open_in_root_no_follow(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat2(root, path, libc::O_NOFOLLOW, 0)
}

/// Reads a regular file below `root` as if that were `/`; others are not opened, as they could make the caller wait.
///
/// # Errors
/// `ENOENT`, `EACCES`, `EINVAL` for what is no regular file.
pub fn read_in_root(root: BorrowedFd<'_>, path: &CStr, limit: usize) -> Result<Vec<u8>, Errno> {
    let found = open_in_root(root, path)?;
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is valid for writes of a `struct stat`.
    retry(|| unsafe { libc::fstat(found.as_raw_fd(), stat.as_mut_ptr()) }.into())?;
    // SAFETY: fstat succeeded and has filled it.
    if unsafe { stat.assume_init() }.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Errno::EINVAL);
    }
    let name = ShortPath::new().text("/proc/self/fd/").number(found.as_raw_fd().unsigned_abs());
    let opened = open_read_cwd(name.as_c_str())?;
    read_to_end(opened.as_fd(), limit)
}

/// Opens a file below `root` as if that were `/`, without following any link and without waiting for any file system.
///
/// The path comes from another mount namespace, so nothing on it is trusted: `RESOLVE_CACHED` walks only what the kernel has in its
/// directory cache (a mount point and the directories above it always are), so that a FUSE server of somebody's cannot make the
/// caller wait; the result is an `O_PATH` descriptor, so that nothing is opened before it was looked at.
///
/// # Kernel
/// Linux 5.12 (openat2 5.6, RESOLVE_CACHED 5.12). Absent: `ENOSYS` or `EINVAL`; the caller notes a gap.
///
/// # Errors
/// `EAGAIN` where the walk would have to wait, `ENOENT`, `ELOOP`, `EXDEV`.
pub fn open_cached_in_root(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat2(root, path, 0, RESOLVE_NO_SYMLINKS | RESOLVE_CACHED)
}
