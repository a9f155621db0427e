//! Sockets whose network namespace is another one than their process's.
//!
//! A socket keeps its namespace alive without any link in `/proc`. A copy of it is taken with pidfd_getfd(2) and asked: its cookie is
//! cheap and tells namespaces apart, `SIOCGSKNS` opens the namespace and is asked once per cookie. A socket that many processes share
//! is asked once.
//!
//! Between the link and the copy a process may put any other file into the place of its socket, and to close a copy of that may mean to
//! wait for a FUSE server for ever. So copies are taken by a process on the side, which can be given up. Not here: finding the sockets
//! (`fds`).

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::fds::SocketFd;
use super::{add_holder, note};
use crate::model::gap::GapOf;
use crate::model::{GapWhat, Holder, HolderKind, NsId, NsKind, NsName, Observations, Pid};
use crate::proc::{ProcRoot, is_gone};
use crate::sys::aside::{Aside, Heard, Inside, MESSAGE};
use crate::sys::{Call, Errno, SysError, dir, nsfs, pidfd, socket};

/// A process on the side that says nothing for so long is given up; asking a socket takes microseconds.
const PATIENCE_MS: u16 = 1000;
/// After so many sockets without anything to tell it says that it is still there.
const SIGN_OF_LIFE: usize = 256;
/// More namespaces than this that only sockets hold are not kept open at once.
const MOST_KEPT: usize = 256;

/// Network namespaces that only sockets are known to hold, kept open since they were asked for.
pub(super) type Kept = HashMap<NsId, OwnedFd>;

/// Asks the sockets that the walk has seen, each once, and adds those to the holders that are somewhere else than their process.
pub(super) fn scan(root: &ProcRoot, observations: &mut Observations, mut sockets: Vec<SocketFd>) -> Kept {
    let mut kept = Kept::new();
    if sockets.is_empty() || !root.is_live() {
        return kept;
    }
    if !root.is_own_pid_ns() {
        // pidfd_open(2) takes pids of the caller's pid namespace; those of this tree would be somebody else's.
        for socket in &sockets {
            observations.gaps.add(GapWhat::Sockets, GapOf::Process(socket.pid), None);
        }
        return kept;
    }
    sockets.sort_unstable_by_key(|socket| (socket.pid, socket.fd));
    let asked = first_of_each(&sockets);
    let mut answers: HashMap<u64, NsId> = HashMap::new();
    let known = |id: NsId| observations.processes.iter().any(|process| process.ns[NsKind::Net.index()] == Some(id));
    let share = asked.len().div_ceil(processes(asked.len()));
    let shares: Vec<&[SocketFd]> = asked.chunks(share).collect();
    // All of them work while one is heard; what the others have to say waits for its turn.
    let asides: Vec<_> = shares.iter().map(|share| Aside::start(|inside| ask_all(inside, share))).collect();
    let mut refused: Vec<(Pid, Errno)> = Vec::new();
    for (share, aside) in shares.iter().zip(asides) {
        let mut next = 0;
        let given_up = loop {
            match aside.as_ref().map(|aside| aside.hear(PATIENCE_MS)) {
                Err(error) => break Some(error.errno),
                Ok(Heard::Silence) => break Some(Errno::ETIMEDOUT),
                Ok(Heard::End) => break (next < share.len()).then_some(Errno::ECHILD),
                Ok(Heard::Message(bytes, descriptor)) => {
                    let answer = Answer::from_bytes(&bytes);
                    next = answer.index as usize + 1;
                    let Some(socket) = share.get(answer.index as usize) else { continue };
                    if answer.errno != 0 {
                        refused.push((socket.pid, Errno::from_raw(answer.errno)));
                    }
                    if let Some(id) = NsId::new(answer.ns) {
                        answers.insert(socket.inode, id);
                        if let Some(descriptor) = descriptor.filter(|_| kept.len() < MOST_KEPT && !known(id)) {
                            kept.insert(id, descriptor);
                        }
                    }
                }
            }
        };
        if let Some(errno) = given_up {
            refused.extend(share.iter().skip(next).map(|socket| (socket.pid, errno)));
        }
    }
    for (pid, errno) in refused {
        note(&mut observations.gaps, GapWhat::Sockets, pid, errno);
    }
    for of_process in sockets.chunk_by(|a, b| a.pid == b.pid) {
        let first = observations.holders.len();
        for socket in of_process {
            if let Some(&id) = answers.get(&socket.inode).filter(|&&id| socket.own != Some(id)) {
                let holder = Holder { pid: Some(socket.pid), fd: Some(socket.fd), ..Holder::new(HolderKind::Socket) };
                add_holder(&mut observations.holders, first, NsName { kind: NsKind::Net, id }, holder);
            }
        }
    }
    kept
}

/// Returns how many processes on the side are worth their start for so many sockets.
fn processes(sockets: usize) -> usize {
    /// A process costs as much as some hundred sockets.
    const WORTH: usize = 512;
    /// More than this only wait for each other.
    const MOST: usize = 4;
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST).min(sockets / WORTH).max(1)
}

/// Returns the first descriptor of each socket. One that processes in several namespaces share has none of its own to be compared
/// with: what it is in must be told in any case.
fn first_of_each(sockets: &[SocketFd]) -> Vec<SocketFd> {
    let mut place: HashMap<u64, usize> = HashMap::with_capacity(sockets.len());
    let mut first: Vec<SocketFd> = Vec::with_capacity(sockets.len());
    for socket in sockets {
        let index = *place.entry(socket.inode).or_insert(first.len());
        match first.get_mut(index) {
            None => first.push(*socket),
            Some(seen) if seen.own != socket.own => seen.own = None,
            Some(_) => {}
        }
    }
    first
}

/// What the process on the side tells of a socket.
#[derive(Clone, Copy, Default)]
struct Answer {
    /// Which one.
    index: u32,
    /// The inode of its network namespace; 0 where there is nothing to tell.
    ns: u32,
    /// Why the sockets of its process cannot be asked; 0 where they can.
    errno: i32,
}

impl Answer {
    fn to_bytes(self) -> [u8; MESSAGE] {
        let mut bytes = [0; MESSAGE];
        bytes[0..4].copy_from_slice(&self.index.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.ns.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.errno.to_ne_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; MESSAGE]) -> Answer {
        let word = |from: usize| [bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]];
        Answer {
            index: u32::from_ne_bytes(word(0)),
            ns: u32::from_ne_bytes(word(4)),
            errno: i32::from_ne_bytes(word(8)),
        }
    }
}

/// Asks all sockets, in the process on the side.
fn ask_all(inside: &Inside, sockets: &[SocketFd]) {
    let mut by_cookie: HashMap<u64, NsId> = HashMap::new();
    let mut process: Option<(Pid, Result<OwnedFd, SysError>)> = None;
    let mut refused = None;
    for (index, asked) in sockets.iter().enumerate() {
        let mut answer = Answer { index: index as u32, ..Answer::default() };
        let mut descriptor = None;
        if refused != Some(asked.pid) {
            if process.as_ref().is_none_or(|(pid, _)| *pid != asked.pid) {
                let absent = || Err(SysError::new(Call::PidfdOpen(asked.pid.0), Errno::ENOSYS));
                process = Some((asked.pid, pidfd::pidfd_open(asked.pid).unwrap_or_else(absent)));
            }
            let told = match &process {
                Some((_, Ok(pidfd))) => ask(pidfd.as_fd(), asked, &mut by_cookie),
                Some((_, Err(error))) => Err(error.clone()),
                None => Ok(None),
            };
            match told {
                Ok(Some((id, _))) if asked.own == Some(id) => {}
                Ok(Some((id, opened))) => {
                    answer.ns = id.inode();
                    descriptor = opened;
                }
                Ok(None) => {}
                // The process has gone, or has closed the descriptor.
                Err(error) if is_gone(error.errno) || error.errno == Errno::EBADF => {}
                Err(error) => {
                    answer.errno = error.errno as i32;
                    refused = Some(asked.pid);
                }
            }
        }
        let worth_telling =
            answer.ns != 0 || answer.errno != 0 || index % SIGN_OF_LIFE == 0 || index + 1 == sockets.len();
        if worth_telling && !inside.send(&answer.to_bytes(), descriptor.as_ref().map(AsFd::as_fd)) {
            return;
        }
    }
}

/// Returns the network namespace of a socket, opened where it is met for the first time; `None` where the descriptor is another file
/// by now.
fn ask(
    pidfd: BorrowedFd<'_>,
    asked: &SocketFd,
    by_cookie: &mut HashMap<u64, NsId>,
) -> Result<Option<(NsId, Option<OwnedFd>)>, SysError> {
    let absent = || Err(SysError::new(Call::PidfdGetfd(asked.fd), Errno::ENOSYS));
    let copy = pidfd::pidfd_getfd(pidfd, asked.fd).unwrap_or_else(absent)?;
    let file = dir::identify(copy.as_fd()).map_err(|errno| SysError::new(Call::Fstat, errno))?;
    if !file.socket || file.id.ino != asked.inode {
        return Ok(None);
    }
    let cookie = socket::netns_cookie(copy.as_fd());
    if let Some(&known) = cookie.and_then(|cookie| by_cookie.get(&cookie)) {
        return Ok(Some((known, None)));
    }
    let namespace = socket::net_namespace(copy.as_fd())?;
    let Some(id) = nsfs::inode(namespace.as_fd())? else { return Ok(None) };
    if let Some(cookie) = cookie {
        by_cookie.insert(cookie, id);
    }
    Ok(Some((id, Some(namespace))))
}
