//! Bind mounts of namespaces, in every mount namespace that is found.
//!
//! listmount(2) and statmount(2) look into a mount namespace from outside, also into one without a process; where the kernel or
//! the caller's privilege does not go that far, the mountinfo of a member does. See proc_pid_mountinfo(5).

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd};

use super::visit::Visitor;
use crate::model::gap::GapOf;
use crate::model::{GapWhat, Holder, HolderKind, NsId, NsKind, NsName, Pid};
use crate::proc::{is_gone, parse};
use crate::sys::mount::StatMount;
use crate::sys::{Errno, SysError, errno_name, mount, nsfs};

/// A mount table longer than this is cut: a hundred thousand mounts are the kernel's own default limit.
const MOST_BYTES: usize = 1 << 26;

pub(super) fn scan(visitor: &mut Visitor<'_>, name: NsName, namespace: BorrowedFd<'_>) {
    if name.kind != NsKind::Mnt {
        return;
    }
    let mut counts = HashMap::new();
    let listed = nsfs::mnt_ns_id(namespace).and_then(|id| by_statmount(&mut visitor.stat_mount, id));
    let errno = match listed {
        Some(Ok(found)) => {
            for (of, path) in found {
                add(visitor, &mut counts, name, of, &path);
            }
            return;
        }
        // ENOENT is how listmount(2) says that the caller lacks the privilege.
        Some(Err(error)) => error.errno,
        None => Errno::ENOSYS,
    };
    match mountinfo(visitor, name) {
        Some(Ok(text)) => {
            for line in parse::mountinfo(&text).filter(|line| line.fs_type == b"nsfs") {
                if let Some(of) = NsName::parse(line.root) {
                    add(visitor, &mut counts, name, of, &parse::unescape_octal(line.point));
                }
            }
        }
        Some(Err(errno)) => gap(visitor, name, errno),
        None => gap(visitor, name, errno),
    }
}

fn gap(visitor: &mut Visitor<'_>, name: NsName, errno: Errno) {
    visitor.observations.gaps.add(GapWhat::BindMounts, GapOf::Namespace(name.id), Some(errno_name(errno)));
}

/// Returns the namespaces that are mounted in a mount namespace now, which are none where that has gone; `None` where it may not be
/// looked into.
pub(super) fn mounted(visitor: &mut Visitor<'_>, mnt_ns: NsId) -> Option<HashSet<NsName>> {
    let mnt_ns = NsName { kind: NsKind::Mnt, id: mnt_ns };
    let namespace = match visitor.open(mnt_ns) {
        Ok(namespace) => namespace,
        Err(errno) => return is_gone(errno).then(HashSet::new),
    };
    let id = nsfs::mnt_ns_id(namespace.as_fd());
    if let Some(Ok(found)) = id.and_then(|id| by_statmount(&mut visitor.stat_mount, id)) {
        return Some(found.into_iter().map(|(name, _)| name).collect());
    }
    let text = mountinfo(visitor, mnt_ns)?.ok()?;
    let lines = parse::mountinfo(&text).filter(|line| line.fs_type == b"nsfs");
    Some(lines.filter_map(|line| NsName::parse(line.root)).collect())
}

/// Namespaces, and where they are mounted.
type Mounted = Vec<(NsName, Vec<u8>)>;

/// Lists the bind mounts of namespaces in a mount namespace; `None` where the kernel does not look into those of others.
fn by_statmount(stat_mount: &mut StatMount, mnt_ns_id: u64) -> Option<Result<Mounted, SysError>> {
    let mounts = match mount::listmount(mnt_ns_id)? {
        Ok(mounts) => mounts,
        Err(error) => return Some(Err(error)),
    };
    let mut found = Vec::new();
    for mnt_id in mounts {
        // A mount that has gone meanwhile is simply not there.
        let Ok(magic) = stat_mount.fs_magic(mnt_ns_id, mnt_id) else { continue };
        if magic != nsfs::NSFS_MAGIC {
            continue;
        }
        if let Ok(Some(strings)) = stat_mount.strings(mnt_ns_id, mnt_id)
            && let Some(name) = NsName::parse(strings.root)
        {
            found.push((name, strings.point[..strings.point.len().min(LONGEST)].to_vec()));
        }
    }
    Some(Ok(found))
}

/// Reads the mountinfo of a member; `None` where the mount namespace has none.
fn mountinfo(visitor: &Visitor<'_>, mnt_ns: NsName) -> Option<Result<Vec<u8>, Errno>> {
    let threads = visitor
        .observations
        .threads
        .iter()
        .filter(|thread| thread.ns[NsKind::Mnt.index()] == Some(mnt_ns.id))
        .map(|thread| Pid(thread.tid.0));
    let mut refused = None;
    for pid in visitor.members(mnt_ns).chain(threads) {
        let read = visitor.root.process(pid).and_then(|process| process.read_all(c"mountinfo", MOST_BYTES));
        match read {
            Ok(text) => return Some(Ok(text)),
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
