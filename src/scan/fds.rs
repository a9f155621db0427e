//! Open file descriptors on nsfs: what the links in `/proc/PID/fd` lead to.
//!
//! A descriptor of a namespace says `net:[…]` only when it was opened through `/proc`: opened through a bind mount it says where that
//! was, and `/` once it is unmounted. So the links are followed, with a statx(2) that asks no file system, and told by device. The same
//! pass notes which descriptors are sockets, for `sockets`. See proc_pid_fd(5).

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use super::note;
use super::tasks::Walker;
use crate::model::id::parse_decimal;
use crate::model::{GapWhat, Holder, HolderKind, KindSet, NsId, NsName, Process};
use crate::proc::{ProcPid, ProcRoot, is_gone};
use crate::sys::{dir, nsfs};

pub(super) fn scan(walker: &mut Walker<'_>, directory: &ProcPid, process: &Process) {
    walker.sockets.clear();
    // The caller's own descriptors are the work of this scan. A process that may not be looked into has its gap already.
    if process.kernel || walker.own == Some(process.pid) {
        return;
    }
    if process.ns.iter().all(Option::is_none) {
        return;
    }
    let Walker { root, reader, found, sockets, kinds, nsfs_device, .. } = walker;
    let read = directory.open_dir(c"fd").and_then(|fds| {
        reader.entries(fds.as_fd(), |link| {
            let Some(fd) = parse_decimal(link.to_bytes()) else { return };
            match look(root, *nsfs_device, fds.as_fd(), link) {
                Some(File::Socket(inode)) => sockets.push((fd, inode)),
                Some(File::Namespace(name)) if KindSet::contains(*kinds, name.kind) => {
                    let holder = Holder { pid: Some(process.pid), fd: Some(fd), ..Holder::new(HolderKind::Fd) };
                    found.holders.push((name, holder));
                }
                _ => {}
            }
        })
    });
    if let Err(errno) = read
        && !is_gone(errno)
        && directory.is_alive()
    {
        note(&mut found.gaps, GapWhat::Fds, process.pid, errno);
    }
}

/// What a descriptor is open on, where that is of interest.
enum File {
    Socket(u64),
    Namespace(NsName),
}

fn look(root: &ProcRoot, nsfs_device: Option<u64>, fds: BorrowedFd<'_>, link: &CStr) -> Option<File> {
    // The longest text of interest is that of a socket.
    let mut buffer = [0; 40];
    let Some(nsfs_device) = nsfs_device else {
        // A captured tree has nothing behind its links.
        let text = dir::readlink(fds, link, &mut buffer).ok()?;
        let socket = text.strip_prefix(b"socket:[").and_then(|rest| rest.strip_suffix(b"]")).and_then(parse_decimal);
        return socket.map(File::Socket).or_else(|| NsName::parse(text).map(File::Namespace));
    };
    let file = dir::follow(fds, link).ok()?;
    if file.socket {
        return Some(File::Socket(file.id.ino));
    }
    if file.id.dev != nsfs_device {
        return None;
    }
    let id = u32::try_from(file.id.ino).ok().and_then(NsId::new)?;
    let named = NsName::parse(dir::readlink(fds, link, &mut buffer).ok()?).filter(|name| name.id == id);
    named.or_else(|| kind_of(root, fds, link, id)).map(File::Namespace)
}

/// Asks a namespace for its kind whose link does not tell.
fn kind_of(root: &ProcRoot, fds: BorrowedFd<'_>, link: &CStr, id: NsId) -> Option<NsName> {
    let path_fd = dir::open_path_any(fds, link).ok()?;
    // It may be another file by now, and opening that could have effects.
    if dir::fs_magic(path_fd.as_fd()) != Ok(nsfs::NSFS_MAGIC) {
        return None;
    }
    let namespace = dir::reopen_read(root.own_process().ok()?.as_fd(), path_fd.as_fd()).ok()?;
    let kind = nsfs::kind(namespace.as_fd()).ok()??;
    (nsfs::inode(namespace.as_fd()) == Ok(Some(id))).then_some(NsName { kind, id })
}
