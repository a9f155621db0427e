//! Sockets: the network namespace they are in.
//!
//! See socket(7) and `include/uapi/linux/sockios.h`.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::error::{Call, Errno, SysError, last, retry};
use super::probe::NETNS_COOKIE;

/// Returns the cookie of the network namespace that the socket is in: equal cookies are the same namespace.
///
/// `None` where the kernel has no cookies, or `socket` is not one.
///
/// # Kernel
/// Linux 5.14. Absent: `ENOPROTOOPT`, answered as `None`; ask [`net_namespace`].
pub fn netns_cookie(socket: BorrowedFd<'_>) -> Option<u64> {
    NETNS_COOKIE
        .attempt(|| {
            let mut cookie: u64 = 0;
            let mut len = size_of::<u64>() as libc::socklen_t;
            retry(|| {
                // SAFETY: `cookie` is valid for writes of `len` bytes, and `len` of a socklen_t.
                let answer = unsafe {
                    libc::getsockopt(
                        socket.as_raw_fd(),
                        libc::SOL_SOCKET,
                        libc::SO_NETNS_COOKIE,
                        (&raw mut cookie).cast(),
                        &raw mut len,
                    )
                };
                answer.into()
            })?;
            Ok(cookie)
        })
        .and_then(|cookie: Result<u64, Errno>| cookie.ok())
}

/// Opens the network namespace that the socket is in.
///
/// # Kernel
/// Linux 4.10 (`SIOCGSKNS`).
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN over that namespace, `ENOTTY` where `socket` is not one.
pub fn net_namespace(socket: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    const SIOCGSKNS: libc::c_ulong = 0x894C;
    // SAFETY: the request takes no argument and returns a descriptor.
    let fd = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS as _) };
    if fd < 0 {
        return Err(last(|| Call::Ioctl("SIOCGSKNS")));
    }
    // SAFETY: the kernel has just handed out `fd`, with O_CLOEXEC; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
