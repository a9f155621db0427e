//! Sockets: the network namespace they are in, and names that only one can have.
//!
//! See socket(7), unix(7) and `include/uapi/linux/sockios.h`.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

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

/// Takes an abstract name for as long as the socket that is returned is open; `None` where somebody has it.
///
/// The kernel keeps the name and forgets it with the last copy of the descriptor: a lock that leaves nothing behind. Nobody can connect
/// to it, since it does not listen. Each network namespace has names of its own, and anybody in it may take any: see unix(7).
///
/// # Errors
/// `EMFILE`, `EINVAL` for a name of more than 107 bytes.
pub fn take_name(name: &[u8]) -> Result<Option<OwnedFd>, SysError> {
    let failed = |errno| SysError::new(Call::Bind(name.to_vec()), errno);
    let taken = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|errno| SysError::new(Call::Socket("AF_UNIX"), errno))?;
    let address = UnixAddr::new_abstract(name).map_err(failed)?;
    match bind(taken.as_raw_fd(), &address) {
        Ok(()) => Ok(Some(taken)),
        Err(Errno::EADDRINUSE) => Ok(None),
        Err(errno) => Err(failed(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once_at_a_time() {
        let name = format!("nsx/test/{}", std::process::id());
        let taken = take_name(name.as_bytes()).expect("a socket").expect("free");
        assert!(take_name(name.as_bytes()).expect("a socket").is_none());
        drop(taken);
        assert!(take_name(name.as_bytes()).expect("a socket").is_some());
        assert_eq!(take_name(&[b'x'; 200]).expect_err("too long").call, Call::Bind(vec![b'x'; 200]));
    }
}
