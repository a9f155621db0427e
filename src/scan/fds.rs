//! Open file descriptors on nsfs: links in `/proc/PID/fd` that name a namespace.
//!
//! The same pass notes which descriptors are sockets, for `sockets`. See proc_pid_fd(5).

use std::os::fd::AsFd;

use super::note;
use super::tasks::Walker;
use crate::model::id::parse_decimal;
use crate::model::{GapWhat, Holder, HolderKind, NsName, Process};
use crate::proc::{ProcPid, is_gone};
use crate::sys::dir;

pub(super) fn scan(walker: &mut Walker<'_>, directory: &ProcPid, process: &Process) {
    walker.sockets.clear();
    // The caller's own descriptors are the work of this scan. A process that may not be looked into has its gap already.
    if process.kernel || process.pid.0 == std::process::id() && walker.root.is_own_pid_ns() {
        return;
    }
    if process.ns.iter().all(Option::is_none) {
        return;
    }
    let Walker { reader, found, sockets, kinds, .. } = walker;
    let read = directory.open_dir(c"fd").and_then(|fds| {
        reader.entries(fds.as_fd(), |name| {
            // A socket's text is the longest that matters; a path is told by its first byte.
            let mut buffer = [0; 40];
            let Ok(link) = dir::readlink(fds.as_fd(), name, &mut buffer) else { return };
            if link.first() == Some(&b'/') {
                return;
            }
            let Some(fd) = parse_decimal(name.to_bytes()) else { return };
            if let Some(inode) = link.strip_prefix(b"socket:[").and_then(|rest| rest.strip_suffix(b"]")) {
                sockets.extend(parse_decimal(inode).map(|inode| (fd, inode)));
            } else if let Some(name) = NsName::parse(link)
                && kinds.contains(name.kind)
            {
                let holder = Holder { pid: Some(process.pid), fd: Some(fd), ..Holder::new(HolderKind::Fd) };
                found.holders.push((name, holder));
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
