//! Processes held by a descriptor: no pid that is reused can be mistaken for them.
//!
//! See pidfd_open(2), pidfd_getfd(2).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::dir::{FileId, fstat};
use super::error::{Call, Errno, SysError, retry};
use super::probe::PIDFD_GETFD;
use crate::model::Pid;

/// Opens a process; `None` where the kernel cannot.
///
/// # Kernel
/// Linux 5.3. Absent: `ENOSYS`, answered as `None`.
///
/// # Errors
/// `ESRCH` where there is no such process, `EINVAL` or `ENOENT` where the pid is a thread other than the leader.
pub fn pidfd_open(pid: Pid) -> Option<Result<OwnedFd, SysError>> {
    let opened = PIDFD_GETFD.attempt(|| {
        // SAFETY: the call takes two numbers.
        retry(|| unsafe { libc::syscall(libc::SYS_pidfd_open, pid.0, 0) })
    })?;
    Some(match opened {
        // SAFETY: the kernel has just handed out `fd`, with O_CLOEXEC; nobody else owns it.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) }),
        Err(errno) => Err(SysError::new(Call::PidfdOpen(pid.0), errno)),
    })
}

/// Takes a copy of descriptor `fd` of the process; `None` where the kernel cannot.
///
/// # Kernel
/// Linux 5.6. Absent: `ENOSYS`, answered as `None`.
///
/// # Errors
/// `EPERM` without PTRACE_MODE_ATTACH_REALCREDS over the process, `EBADF` where it has closed `fd`, `ESRCH`.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, fd: u32) -> Option<Result<OwnedFd, SysError>> {
    let taken = PIDFD_GETFD.attempt(|| {
        // SAFETY: the call takes three numbers.
        retry(|| unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })
    })?;
    Some(match taken {
        // SAFETY: the kernel has just handed out `taken`, with O_CLOEXEC; nobody else owns it.
        Ok(taken) => Ok(unsafe { OwnedFd::from_raw_fd(taken as libc::c_int) }),
        Err(errno) => Err(SysError::new(Call::PidfdGetfd(fd), errno)),
    })
}

/// Kills the process, and nobody else that has its pid by now; `None` where the kernel cannot.
///
/// # Kernel
/// As [`send`].
///
/// # Errors
/// `ESRCH` where it has gone, `EPERM`.
pub fn kill(pidfd: BorrowedFd<'_>, pid: Pid) -> Option<Result<(), SysError>> {
    Some(send(pidfd, libc::SIGKILL)?.map_err(|errno| SysError::new(Call::PidfdKill(pid.0), errno)))
}

/// Sends a signal to the process, and to nobody else that has its pid by now; `None` where the kernel cannot.
///
/// # Kernel
/// Linux 5.1, and a pidfd of [`pidfd_open`]. Absent: `ENOSYS`, answered as `None`.
///
/// # Errors
/// `ESRCH` where it has gone, `EPERM`.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> Option<Result<(), Errno>> {
    let sent = PIDFD_GETFD.attempt(|| {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the call takes numbers, and a null pointer for "no more to say".
        retry(|| unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) })
    })?;
    Some(sent.map(drop))
}

/// Says whether the process has not ended yet.
pub fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    !wait(pidfd, PollTimeout::ZERO)
}

/// Waits until the process has ended, at most for a time. Says whether it has.
pub fn wait(pidfd: BorrowedFd<'_>, most: PollTimeout) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::POLLIN)];
    matches!(poll(&mut fds, most), Ok(1..))
}

/// Allows this process as many descriptors as it may allow itself: `RLIMIT_NOFILE` of getrlimit(2). Not for programs that still become
/// another one, which would inherit it.
pub fn make_room() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for reads and writes of a `struct rlimit`.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Returns the number that no other process gets before the next boot: the inode of its pidfd.
///
/// # Kernel
/// Linux 6.9. Before that all pidfds share one inode on anon_inodefs, answered as `None`.
///
/// # Errors
/// None that a caller can do anything about.
pub fn unique_inode(pidfd: BorrowedFd<'_>) -> Result<Option<u64>, SysError> {
    /// `PID_FS_MAGIC` in `include/uapi/linux/magic.h`.
    const PID_FS_MAGIC: u64 = 0x5049_4446;
    let magic = super::dir::fs_magic(pidfd).map_err(|errno| SysError::new(Call::Fstatfs(b"pidfd".to_vec()), errno))?;
    let FileId { ino, .. } = fstat(pidfd)?;
    Ok((magic == PID_FS_MAGIC).then_some(ino))
}
