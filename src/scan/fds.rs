//! Open file descriptors on nsfs: what the links in `/proc/PID/fd` lead to.
//!
//! A descriptor of a namespace says `net:[…]` when it was opened through `/proc`. Opened through a bind mount it says where that was,
//! and `/` once it is unmounted: then it is looked at more closely, but in no other case, because to follow a link into somebody's
//! dead NFS is to wait for it. The same pass notes which descriptors are sockets, for `sockets`. See proc_pid_fd(5).

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use super::tasks::Walker;
use super::{add_holder, note};
use crate::model::gap::GapOf;
use crate::model::id::parse_decimal;
use crate::model::{GapWhat, Holder, HolderKind, KindSet, NsId, NsKind, NsName, Pid, Process, Tid};
use crate::proc::{ProcPid, ProcRoot, is_gone, parse};
use crate::sys::dir::{self, ShortPath};
use crate::sys::nsfs;

/// A descriptor of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct SocketFd {
    pub(super) pid: Pid,
    pub(super) fd: u32,
    /// The inode that its link names.
    pub(super) inode: u64,
    /// The network namespace of its process.
    pub(super) own: Option<NsId>,
}

/// What is known of nsfs before the walk.
pub(super) struct Nsfs {
    /// Its device, by which a namespace is known from any other file.
    device: u64,
    /// Where namespaces are bind-mounted in the caller's mount namespace: what a descriptor says that was opened there.
    points: HashSet<Vec<u8>>,
}

/// A mount point that is longer is not compared; the namespace itself is found by its mount.
const LONGEST: usize = 256;

impl Nsfs {
    /// Looks at the caller's own links and mounts; `None` for a captured tree, which has nothing behind its links.
    pub(super) fn of(root: &ProcRoot) -> Option<Nsfs> {
        let own = Some(root).filter(|root| root.is_live())?.own_process().ok()?;
        let device = own.nsfs_device().ok()?;
        let text = own.read_all(c"mountinfo", 1 << 26).unwrap_or_default();
        let points = parse::mountinfo(&text)
            .filter(|mount| mount.fs_type == b"nsfs")
            .map(|mount| parse::unescape_octal(mount.point).into_owned())
            .collect();
        Some(Nsfs { device, points })
    }
}

pub(super) fn scan(walker: &mut Walker<'_>, directory: &ProcPid, process: &Process) {
    scan_of(walker, directory, process, None);
}

/// As [`scan`], of a thread that has descriptors of its own.
pub(super) fn scan_of(walker: &mut Walker<'_>, directory: &ProcPid, process: &Process, tid: Option<Tid>) {
    // The caller's own descriptors are the work of this scan.
    if process.kernel || walker.own == Some(process.pid) {
        return;
    }
    let Walker { root, reader, found, sockets, kinds, nsfs, .. } = walker;
    let own = process.ns[NsKind::Net.index()];
    let first = found.holders.len();
    let mut unasked = false;
    let read = directory.open_dir(place(tid, "fd").as_c_str()).and_then(|fds| {
        reader.entries(fds.as_fd(), |link| {
            let mut buffer = [0; LONGEST];
            let Ok(text) = dir::readlink(fds.as_fd(), link, &mut buffer) else { return };
            let Some(fd) = parse_decimal(link.to_bytes()) else { return };
            let name = if let Some(inode) = text.strip_prefix(b"socket:[").and_then(|rest| rest.strip_suffix(b"]")) {
                match parse_decimal(inode) {
                    Some(inode) if tid.is_none() => sockets.push(SocketFd { pid: process.pid, fd, inode, own }),
                    // Those of a thread alone cannot be asked by the pid of its process.
                    _ => unasked = true,
                }
                return;
            } else if text.first() == Some(&b'/') {
                nsfs.as_ref()
                    .filter(|nsfs| text == b"/" || nsfs.points.contains(text))
                    .and_then(|nsfs| look(root, nsfs, directory, tid, fds.as_fd(), link))
            } else {
                NsName::parse(text)
            };
            if let Some(name) = name.filter(|name| KindSet::contains(*kinds, name.kind)) {
                let holder = Holder { pid: Some(process.pid), tid, fd: Some(fd), ..Holder::new(HolderKind::Fd) };
                add_holder(&mut found.holders, first, name, holder);
            }
        })
    });
    if unasked && kinds.contains(NsKind::Net) {
        found.gaps.add(GapWhat::Sockets, GapOf::Process(process.pid), None);
    }
    // The directory of a zombie belongs to root on older kernels, whoever's it is: there is nothing in it that could not be seen.
    if let Err(errno) = read
        && !is_gone(errno)
        && directory.is_alive()
        && !directory.is_exiting()
    {
        note(&mut found.gaps, GapWhat::Fds, process.pid, errno);
    }
}

/// Returns where a process, or one of its threads, has something.
fn place(tid: Option<Tid>, name: &str) -> ShortPath {
    match tid {
        None => ShortPath::new().text(name),
        Some(tid) => ShortPath::new().text("task/").number(tid.0).text("/").text(name),
    }
}

/// Looks at a descriptor whose link is a path that a namespace could have.
fn look(
    root: &ProcRoot,
    nsfs: &Nsfs,
    directory: &ProcPid,
    tid: Option<Tid>,
    fds: BorrowedFd<'_>,
    link: &CStr,
) -> Option<NsName> {
    // fdinfo has the inode (Linux 5.14) and asks no file system; numbers of namespaces are large.
    let mut buffer = [0; 1024];
    let fd = parse_decimal(link.to_bytes())?;
    let info = directory.read(place(tid, "fdinfo/").number(fd).as_c_str(), &mut buffer).ok()?;
    if parse::fdinfo_inode(info).is_some_and(|inode| inode < nsfs::LEAST_INODE) {
        return None;
    }
    let file = dir::follow(fds, link).ok().filter(|file| file.id.dev == nsfs.device)?;
    let id = u32::try_from(file.id.ino).ok().and_then(NsId::new)?;
    let path_fd = dir::open_path_any(fds, link).ok()?;
    // It may be another file by now, and opening that could have effects.
    dir::identify(path_fd.as_fd()).ok().filter(|file| file.id.dev == nsfs.device)?;
    let namespace = dir::reopen_read(root.own_process().ok()?.as_fd(), path_fd.as_fd()).ok()?;
    let kind = nsfs::kind(namespace.as_fd()).ok()??;
    (nsfs::inode(namespace.as_fd()) == Ok(Some(id))).then_some(NsName { kind, id })
}
