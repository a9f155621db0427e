//! Netlink sockets in other network namespaces.
//!
//! To make a socket in a namespace a process has to be in it, and nsx stays where it is: a process on the side enters one namespace after
//! the other, and hands over a socket of each. A socket asks about its namespace whoever holds it, so that is all that is ever done
//! inside. See setns(2), `sys::aside`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::socket::{DiagSocket, RouteSocket};
use crate::model::{KindSet, NsKind};
use crate::sys::aside::{Aside, Heard, Inside, MESSAGE};
use crate::sys::error::{Call, Errno, SysError, retry};

/// A process on the side that says nothing for so long is given up; to enter a namespace takes microseconds.
const PATIENCE_MS: u16 = 10_000;

/// The sockets of a network namespace.
pub struct Opened {
    /// For links, addresses and routes.
    pub route: RouteSocket,
    /// For sockets, where it was wanted; a kernel may lack it, and a filter refuse it.
    pub diag: Option<Result<DiagSocket, Errno>>,
}

/// Opens sockets in the caller's own network namespace.
///
/// # Errors
/// `EMFILE`; `EAFNOSUPPORT` where the kernel has no networking.
pub fn open_own(diag: bool) -> Result<Opened, SysError> {
    let route = RouteSocket::open()?;
    Ok(Opened { route, diag: diag.then(|| DiagSocket::open().map_err(|error| error.errno)) })
}

/// What is being handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Route,
    Diag,
    Failure,
}

impl What {
    fn message(self, index: usize, errno: i32) -> [u8; MESSAGE] {
        let mut bytes = [0; MESSAGE];
        bytes[..4].copy_from_slice(&(index as u32).to_ne_bytes());
        bytes[4] = self as u8;
        bytes[8..12].copy_from_slice(&errno.to_ne_bytes());
        bytes
    }
}

/// Opens sockets in network namespaces, and hands each to `each` with its place in the list; `diag` says whether one for sockets is wanted,
/// too. With `user` the process on the side enters that user namespace first, where it has all privileges if it may enter it.
///
/// # Errors
/// Where there can be no such process. Of each namespace: `EPERM` without CAP_SYS_ADMIN in the user namespace that owns it and in
/// the caller's own.
pub fn open_in(
    user: Option<BorrowedFd<'_>>,
    namespaces: &[BorrowedFd<'_>],
    diag: bool,
    each: &mut dyn FnMut(usize, Result<Opened, SysError>),
) -> Result<(), SysError> {
    let aside = Aside::start(|inside| work(inside, user, namespaces, diag))?;
    let failed = |errno| {
        let kinds = KindSet::NONE.with(NsKind::Net);
        SysError::new(Call::Setns { fd: "network namespace".to_owned(), kinds }, errno)
    };
    let mut next = 0;
    let mut route = None;
    let given_up = loop {
        if next == namespaces.len() {
            return Ok(());
        }
        let (bytes, descriptor) = match aside.hear(PATIENCE_MS) {
            Heard::Message(bytes, descriptor) => (bytes, descriptor),
            Heard::End => break Errno::ECHILD,
            Heard::Silence => break Errno::ETIMEDOUT,
        };
        let number = |from: usize| [bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]];
        // It goes through the list in order, and has nothing else to say.
        if u32::from_ne_bytes(number(0)) as usize != next {
            break Errno::EBADMSG;
        }
        // A descriptor that did not come along found no room here.
        let no_room = || failed(Errno::EMFILE);
        let opened = if bytes[4] == What::Route as u8 {
            route = descriptor.map(RouteSocket::from_fd);
            if diag {
                continue;
            }
            route.take().map(|route| Opened { route, diag: None }).ok_or_else(no_room)
        } else if bytes[4] == What::Diag as u8 {
            let diag = descriptor.map(DiagSocket::from_fd).ok_or(Errno::EMFILE);
            route.take().map(|route| Opened { route, diag: Some(diag) }).ok_or_else(no_room)
        } else {
            // Without a socket for sockets the other is still of use.
            let errno = Errno::from_raw(i32::from_ne_bytes(number(8)));
            route.take().map(|route| Opened { route, diag: Some(Err(errno)) }).ok_or_else(|| failed(errno))
        };
        each(next, opened);
        next += 1;
    };
    for index in next..namespaces.len() {
        each(index, Err(failed(given_up)));
    }
    Ok(())
}

fn work(inside: &Inside, user: Option<BorrowedFd<'_>>, namespaces: &[BorrowedFd<'_>], diag: bool) {
    let refused = user.and_then(|user| setns(user, NsKind::User).err());
    for (index, namespace) in namespaces.iter().enumerate() {
        let failure = |errno: Errno| inside.send(&What::Failure.message(index, errno as i32), None);
        let entered = refused.map_or(Ok(()), Err).and_then(|()| setns(*namespace, NsKind::Net));
        let route = entered.and_then(|()| RouteSocket::open().map_err(|error| error.errno));
        let heard = match route {
            Err(errno) => failure(errno),
            Ok(route) => {
                let sent = inside.send(&What::Route.message(index, 0), Some(route.0.socket.as_fd()));
                match diag.then(DiagSocket::open) {
                    None => sent,
                    Some(Ok(diag)) => inside.send(&What::Diag.message(index, 0), Some(diag.0.socket.as_fd())),
                    Some(Err(error)) => failure(error.errno),
                }
            }
        };
        if !heard {
            return;
        }
    }
}

/// Enters a namespace: only for a process that is on its own.
fn setns(namespace: BorrowedFd<'_>, kind: NsKind) -> Result<(), Errno> {
    // SAFETY: the call takes two numbers.
    retry(|| unsafe { libc::syscall(libc::SYS_setns, namespace.as_raw_fd(), kind.clone_flag()) }).map(drop)
}
