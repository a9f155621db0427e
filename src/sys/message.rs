//! The socket over which those who build a sandbox report to nsx. The kernel says who has sent what.
//!
//! See unix(7), `SO_PASSCRED`. Not here: what a report says ([`Report`]).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::error::{Call, Errno, SysError, last, retry};
use super::spawn::Report;

/// A message of somebody inside, as it came over the socket.
#[derive(Debug)]
pub struct Message {
    /// What it says.
    pub report: Report,
    /// Who has sent it: the pid, as the kernel knows it here.
    pub sender: Option<i32>,
    /// A descriptor that came with it.
    pub descriptor: Option<OwnedFd>,
}

/// Makes a pair of sockets: on the first the kernel says who has sent what comes over the second.
///
/// # Errors
/// `EMFILE`.
pub fn pair() -> Result<(OwnedFd, OwnedFd), SysError> {
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the call writes two descriptors.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
        return Err(last(|| Call::Socket("AF_UNIX")));
    }
    // SAFETY: the kernel has just handed out both; nobody else owns them.
    let (near, far) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    let yes: libc::c_int = 1;
    // SAFETY: the option is one `int`.
    let set = unsafe {
        let size = size_of_val(&yes) as libc::socklen_t;
        libc::setsockopt(near.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, std::ptr::from_ref(&yes).cast(), size)
    };
    if set != 0 {
        return Err(last(|| Call::Build { name: "setsockopt", args: "SO_PASSCRED".into() }));
    }
    Ok((near, far))
}

/// Receives what has come, if there is something; `Ok(None)` at the end: all who could say anything have gone.
///
/// # Errors
/// `EAGAIN` where nothing has come yet.
pub fn receive(socket: BorrowedFd<'_>) -> Result<Option<Message>, Errno> {
    let mut text = [0u8; 8];
    // Room for credentials and one descriptor, aligned as headers have to be.
    let mut control = [0u64; 16];
    let mut piece = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    // SAFETY: all of it may be zero.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    // SAFETY: the header points to what is alive, with its sizes.
    let length = retry(|| unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) } as _)?;
    if length == 0 {
        return Ok(None);
    }
    let is_whole = length as usize == text.len();
    let mut message = Message { report: Report::decode(text), sender: None, descriptor: None };
    // SAFETY: the kernel has filled in the header, and the macros keep within what it says is there.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(&raw const header);
        while !next.is_null() {
            let data = libc::CMSG_DATA(next);
            match ((*next).cmsg_level, (*next).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    let credentials = data.cast::<libc::ucred>().read_unaligned();
                    message.sender = Some(credentials.pid).filter(|pid| *pid > 0);
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    let count = ((*next).cmsg_len as usize - libc::CMSG_LEN(0) as usize) / size_of::<libc::c_int>();
                    for place in 0..count {
                        let fd = data.cast::<libc::c_int>().add(place).read_unaligned();
                        // One is enough; all are owned, so that none stays open.
                        message.descriptor.get_or_insert(OwnedFd::from_raw_fd(fd));
                    }
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(&raw const header, next);
        }
    }
    // A message of another length is none of the list's; what has come with it is closed.
    if is_whole { Ok(Some(message)) } else { receive(socket) }
}
