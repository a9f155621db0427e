//! Sockets whose network namespace is another one than their process's.
//!
//! A socket keeps its namespace alive without any link in `/proc`. A copy of it is taken with pidfd_getfd(2) and asked: its cookie
//! is cheap and tells namespaces apart, `SIOCGSKNS` opens the namespace and is asked once per cookie. A socket that many processes
//! share is asked once. Not here: finding the sockets (`fds`).

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};

use super::note;
use super::tasks::Walker;
use crate::model::gap::GapOf;
use crate::model::{GapWhat, Holder, HolderKind, NsId, NsKind, NsName, Process};
use crate::proc::{ProcPid, is_gone};
use crate::sys::{Call, Errno, SysError, dir, nsfs, pidfd, socket};

/// What is known already about sockets and their namespaces.
#[derive(Default)]
pub(super) struct SocketCache {
    by_inode: HashMap<u64, Option<NsId>>,
    by_cookie: HashMap<u64, NsId>,
}

pub(super) fn scan(walker: &mut Walker<'_>, _directory: &ProcPid, process: &Process) {
    if walker.sockets.is_empty() {
        return;
    }
    if !walker.root.is_own_pid_ns() {
        // pidfd_open(2) takes pids of the caller's pid namespace; those of this tree would be somebody else's.
        if walker.root.is_live() {
            walker.found.gaps.add(GapWhat::Sockets, GapOf::Process(process.pid), None);
        }
        return;
    }
    let Walker { sockets, socket_cache: cache, found, .. } = walker;
    let mut opened = None;
    for &(fd, inode) in sockets.iter() {
        let namespace = match cache.by_inode.get(&inode) {
            Some(&namespace) => namespace,
            None => {
                let Some(pidfd) = opened.get_or_insert_with(|| pidfd::pidfd_open(process.pid)) else {
                    note(&mut found.gaps, GapWhat::Sockets, process.pid, Errno::ENOSYS);
                    return;
                };
                let asked = match pidfd {
                    Ok(pidfd) => cache.ask(pidfd.as_fd(), fd, inode),
                    Err(error) => Err(error.clone()),
                };
                match asked {
                    Ok(namespace) => namespace,
                    // The process has gone, or has closed the descriptor.
                    Err(error) if is_gone(error.errno) || error.errno == Errno::EBADF => continue,
                    Err(error) => {
                        note(&mut found.gaps, GapWhat::Sockets, process.pid, error.errno);
                        return;
                    }
                }
            }
        };
        if let Some(id) = namespace
            && process.ns[NsKind::Net.index()] != Some(id)
        {
            let holder = Holder { pid: Some(process.pid), fd: Some(fd), ..Holder::new(HolderKind::Socket) };
            found.holders.push((NsName { kind: NsKind::Net, id }, holder));
        }
    }
}

impl SocketCache {
    /// Returns the network namespace of the socket with this inode; `None` where the descriptor is another file by now.
    fn ask(&mut self, pidfd: BorrowedFd<'_>, fd: u32, inode: u64) -> Result<Option<NsId>, SysError> {
        let absent = || Err(SysError::new(Call::PidfdGetfd(fd), Errno::ENOSYS));
        let copy = pidfd::pidfd_getfd(pidfd, fd).unwrap_or_else(absent)?;
        if dir::fstat(copy.as_fd())?.ino != inode {
            return Ok(None);
        }
        let cookie = socket::netns_cookie(copy.as_fd());
        let known = cookie.and_then(|cookie| self.by_cookie.get(&cookie).copied());
        let namespace = match known {
            Some(namespace) => Some(namespace),
            None => {
                let namespace = nsfs::inode(socket::net_namespace(copy.as_fd())?.as_fd())?;
                if let (Some(cookie), Some(namespace)) = (cookie, namespace) {
                    self.by_cookie.insert(cookie, namespace);
                }
                namespace
            }
        };
        self.by_inode.insert(inode, namespace);
        Ok(namespace)
    }
}
