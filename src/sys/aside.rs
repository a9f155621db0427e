//! A process on the side, for calls on somebody else's files that may never return.
//!
//! close(2) of a file on FUSE waits for its server, whoever closes it, and not even SIGKILL ends that; a thread that waits so keeps its
//! whole process. So such calls are made by a child that is given up when it says nothing for too long: it is killed, and is gone
//! for good as soon as the server answers or dies. See fork(2), unix(7).
//!
//! The child of a process with threads may do very little (signal-safety(7)): `work` must take no lock. It may allocate: the fork(3)
//! of the C library leaves malloc usable in the child.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};

use super::error::{Call, Errno, SysError};

/// How many bytes a message has.
pub const MESSAGE: usize = 16;

/// The end of the conversation that the child has.
pub struct Inside {
    socket: OwnedFd,
}

impl Inside {
    /// Sends a message, with a descriptor if there is one. Says whether there is still somebody to hear it.
    pub fn send(&self, message: &[u8; MESSAGE], descriptor: Option<BorrowedFd<'_>>) -> bool {
        let bytes = [IoSlice::new(message)];
        let raw = descriptor.map(|descriptor| [descriptor.as_raw_fd()]);
        let rights = raw.as_ref().map(|raw| [ControlMessage::ScmRights(raw)]);
        let control: &[ControlMessage<'_>] = rights.as_ref().map_or(&[], |rights| rights);
        sendmsg::<()>(self.socket.as_raw_fd(), &bytes, control, MsgFlags::MSG_NOSIGNAL, None).is_ok()
    }
}

/// What the parent hears.
pub enum Heard {
    /// A message, with a descriptor if one came along.
    Message([u8; MESSAGE], Option<OwnedFd>),
    /// The child is done, or has died.
    End,
    /// The child has said nothing for the whole time.
    Silence,
}

/// A child process at work.
pub struct Aside {
    socket: OwnedFd,
    child: libc::pid_t,
}

impl Aside {
    /// Starts a child that does `work` and ends. It dies with its parent.
    ///
    /// # Errors
    /// `EAGAIN` where no more processes may be made, `EMFILE`.
    pub fn start(work: impl FnOnce(&Inside)) -> Result<Aside, SysError> {
        let failed = |errno| SysError::new(Call::Fork, errno);
        let (outside, inside) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).map_err(failed)?;
        let parent = std::process::id();
        #[expect(clippy::disallowed_methods, reason = "this is the one place where nsx ls makes a process")]
        // SAFETY: the child calls only prctl, getppid, what `work` calls (which takes no lock, see above), and _exit.
        match unsafe { libc::fork() } {
            -1 => Err(failed(Errno::last())),
            0 => {
                // SAFETY: both calls take numbers and touch no memory of ours.
                let orphan = unsafe {
                    // Work that enters a user namespace of somebody's is not to be looked into from there.
                    libc::prctl(libc::PR_SET_DUMPABLE, 0);
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::getppid() as u32 != parent
                };
                for stream in 0..=2 {
                    // A child that hangs must not keep the reader of our output waiting for its end.
                    // SAFETY: these are the standard streams, which nothing in the child uses.
                    unsafe { libc::close(stream) };
                }
                if !orphan {
                    // The parent's end is closed with the process; to have it open only delays that the parent's death is seen,
                    // and that comes as a signal.
                    work(&Inside { socket: inside });
                }
                // SAFETY: ends the process without running anything of the parent's.
                unsafe { libc::_exit(0) }
            }
            child => Ok(Aside { socket: outside, child }),
        }
    }

    /// Waits for the next message, for `patience_ms` milliseconds at most.
    pub fn hear(&self, patience_ms: u16) -> Heard {
        use std::os::fd::AsFd;
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, PollTimeout::from(patience_ms)) {
                Err(Errno::EINTR) => {}
                Ok(0) | Err(_) => return Heard::Silence,
                Ok(_) => break,
            }
        }
        let mut message = [0; MESSAGE];
        let mut control = nix::cmsg_space!(std::os::fd::RawFd);
        let (length, descriptor) = {
            let mut bytes = [IoSliceMut::new(&mut message)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let Ok(received) = recvmsg::<()>(self.socket.as_raw_fd(), &mut bytes, Some(&mut control), flags) else {
                return Heard::End;
            };
            let rights = received.cmsgs().into_iter().flatten().find_map(|control| match control {
                ControlMessageOwned::ScmRights(rights) => rights.first().copied(),
                _ => None,
            });
            // SAFETY: the kernel has just put this descriptor into our table for this message; nobody else owns it.
            (received.bytes, rights.map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }))
        };
        if length == MESSAGE { Heard::Message(message, descriptor) } else { Heard::End }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // SAFETY: `child` is ours and was not waited for, so the number is nobody else's.
        unsafe {
            libc::kill(self.child, libc::SIGKILL);
            // One that hangs in the kernel is not waited for: whoever reaps orphans gets it.
            let mut status = 0;
            for _ in 0..REAP_TRIES {
                if libc::waitpid(self.child, &raw mut status, libc::WNOHANG) != 0 {
                    break;
                }
                libc::sched_yield();
            }
        }
    }
}

/// A child that was killed is gone after a few turns of the scheduler, unless it hangs.
const REAP_TRIES: u32 = 1000;

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn messages_and_descriptors_come_out() {
        let file = std::fs::File::open("/proc/self/ns/net").expect("a namespace");
        let aside = Aside::start(|inside| {
            inside.send(&[7; MESSAGE], None);
            inside.send(&[8; MESSAGE], Some(file.as_fd()));
        })
        .expect("a child");
        assert!(matches!(aside.hear(10_000), Heard::Message(message, None) if message == [7; MESSAGE]));
        let Heard::Message(_, Some(descriptor)) = aside.hear(10_000) else { panic!("no descriptor") };
        assert_eq!(super::super::dir::fstat(descriptor.as_fd()), super::super::dir::fstat(file.as_fd()));
        assert!(matches!(aside.hear(10_000), Heard::End));
    }

    #[test]
    fn a_child_that_says_nothing_is_given_up() {
        let aside = Aside::start(|_| {
            loop {
                std::thread::park();
            }
        })
        .expect("a child");
        assert!(matches!(aside.hear(20), Heard::Silence));
        let child = aside.child;
        drop(aside);
        // Somebody else may have its pid by now.
        let waited = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None);
        assert_eq!(waited, Err(Errno::ECHILD));
    }
}
