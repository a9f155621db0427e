//! Bind mounts of namespaces, in every mount namespace that is found.
//!
//! listmount(2) and statmount(2) look into a mount namespace from outside, also into one without a process; where the kernel or
//! the caller's privilege does not go that far, the mountinfo of a member does. See proc_pid_mountinfo(5).

use std::collections::HashMap;
use std::os::fd::BorrowedFd;

use super::visit::Visitor;
use crate::model::gap::GapOf;
use crate::model::{GapWhat, Holder, HolderKind, NsKind, NsName};
use crate::proc::{is_gone, parse};
use crate::sys::{Errno, SysError, errno_name, mount, nsfs};

/// A mount table longer than this is cut: a hundred thousand mounts are the kernel's own default limit.
const MOST_BYTES: usize = 1 << 26;

pub(super) fn scan(visitor: &mut Visitor<'_>, name: NsName, namespace: BorrowedFd<'_>) {
    if name.kind != NsKind::Mnt {
        return;
    }
    let listed = nsfs::mnt_ns_id(namespace).and_then(|mnt_ns_id| by_statmount(visitor, name, mnt_ns_id));
    let errno = match listed {
        Some(Ok(())) => return,
        // ENOENT is how listmount(2) says that the caller lacks the privilege.
        Some(Err(error)) => error.errno,
        None => Errno::ENOSYS,
    };
    match by_mountinfo(visitor, name) {
        Some(Ok(())) => {}
        Some(Err(errno)) => gap(visitor, name, errno),
        None => gap(visitor, name, errno),
    }
}

fn gap(visitor: &mut Visitor<'_>, name: NsName, errno: Errno) {
    visitor.observations.gaps.add(GapWhat::BindMounts, GapOf::Namespace(name.id), Some(errno_name(errno)));
}

fn by_statmount(visitor: &mut Visitor<'_>, mnt_ns: NsName, mnt_ns_id: u64) -> Option<Result<(), SysError>> {
    let mounts = match mount::listmount(mnt_ns_id)? {
        Ok(mounts) => mounts,
        Err(error) => return Some(Err(error)),
    };
    let mut found = Vec::new();
    for mnt_id in mounts {
        // A mount that has gone meanwhile is simply not there.
        let Ok(magic) = visitor.stat_mount.fs_magic(mnt_ns_id, mnt_id) else { continue };
        if magic != nsfs::NSFS_MAGIC {
            continue;
        }
        if let Ok(Some(strings)) = visitor.stat_mount.strings(mnt_ns_id, mnt_id)
            && let Some(name) = NsName::parse(strings.root)
        {
            found.push((name, strings.point[..strings.point.len().min(LONGEST)].to_vec()));
        }
    }
    let mut counts = HashMap::new();
    for (name, path) in found {
        add(visitor, &mut counts, mnt_ns, name, &path);
    }
    Some(Ok(()))
}

/// Reads the mountinfo of a member; `None` where the mount namespace has none.
fn by_mountinfo(visitor: &mut Visitor<'_>, mnt_ns: NsName) -> Option<Result<(), Errno>> {
    let threads = visitor
        .observations
        .threads
        .iter()
        .filter(|thread| thread.ns[NsKind::Mnt.index()] == Some(mnt_ns.id))
        .map(|thread| crate::model::Pid(thread.tid.0));
    let mut refused = None;
    let members: Vec<_> = visitor.members(mnt_ns).chain(threads).collect();
    for pid in members {
        let read = visitor.root.process(pid).and_then(|process| process.read_all(c"mountinfo", MOST_BYTES));
        match read {
            Ok(text) => {
                let mut counts = HashMap::new();
                for line in parse::mountinfo(&text).filter(|line| line.fs_type == b"nsfs") {
                    if let Some(name) = NsName::parse(line.root) {
                        add(visitor, &mut counts, mnt_ns, name, &parse::unescape_octal(line.point));
                    }
                }
                return Some(Ok(()));
            }
            Err(errno) if is_gone(errno) => {}
            Err(errno) => refused = Some(Err(errno)),
        }
    }
    refused
}

/// So many mount points of one namespace in one mount namespace are listed; of more there is only the number.
const MOST_POINTS: usize = 1024;
/// A path that is longer (`PATH_MAX`) is cut: no system call takes it.
const LONGEST: usize = 4096;

fn add(visitor: &mut Visitor<'_>, counts: &mut HashMap<NsName, usize>, mnt_ns: NsName, name: NsName, path: &[u8]) {
    if !visitor.kinds.contains(name.kind) {
        return;
    }
    let count = counts.entry(name).or_default();
    *count += 1;
    if *count > MOST_POINTS {
        let is_last = |holder: &Holder| holder.kind == HolderKind::BindMount && holder.mnt_ns == Some(mnt_ns.id);
        let holders = visitor.observations.holders.iter_mut().rev();
        if let Some((_, last)) = holders.take(MOST_POINTS).find(|(other, holder)| *other == name && is_last(holder)) {
            last.count += 1;
        }
        return;
    }
    let path = Some(path[..path.len().min(LONGEST)].to_vec());
    visitor.found(name, Holder { path, mnt_ns: Some(mnt_ns.id), ..Holder::new(HolderKind::BindMount) });
}
