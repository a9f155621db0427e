//! Namespaces that listns(2) names and nothing else has led to.
//!
//! Such a namespace is held by something that leaves no trace in `/proc`: a descriptor in flight on a socket, a mount that was
//! detached, the kernel itself.

use std::collections::HashSet;
use std::os::fd::AsFd;

use super::visit::Visitor;
use crate::model::gap::GapOf;
use crate::model::{GapWhat, NsName};
use crate::sys::{Errno, nsfs};

pub(super) fn scan(visitor: &mut Visitor<'_>) {
    if !visitor.root.is_live() {
        return;
    }
    let ids = match nsfs::listns() {
        None => return,
        Some(Err(error)) => {
            visitor.observations.gaps.add(GapWhat::Listed, GapOf::Host, Some(error.errno_name()));
            return;
        }
        Some(Ok(ids)) => ids,
    };
    let known: HashSet<u64> = visitor.observations.relations.values().filter_map(|told| told.id64).collect();
    for id in ids.into_iter().filter(|id| !known.contains(id)) {
        let namespace = match nsfs::open_by_id(id) {
            None => return,
            // It has gone since it was listed.
            Some(Err(error)) if error.errno == Errno::ESTALE => continue,
            Some(Err(error)) => {
                visitor.observations.gaps.add(GapWhat::Listed, GapOf::Host, Some(error.errno_name()));
                continue;
            }
            Some(Ok(namespace)) => namespace,
        };
        let (Ok(Some(kind)), Ok(Some(inode))) = (nsfs::kind(namespace.as_fd()), nsfs::inode(namespace.as_fd())) else {
            continue;
        };
        if visitor.kinds.contains(kind) {
            visitor.visit_owned(NsName { kind, id: inode }, namespace);
        }
    }
    // A mount namespace that was found here may have bind mounts of others.
    visitor.run();
}
