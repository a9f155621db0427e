//! What a namespace tells of itself: ids, owner, parent; and owners and parents that nothing else leads to.
//!
//! Asked once for each namespace, never for each process. See ioctl_ns(2).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::visit::Visitor;
use crate::model::gap::GapOf;
use crate::model::{GapWhat, NsId, NsKind, NsName, Relations};
use crate::sys::netlink::RouteSocket;
use crate::sys::{SysError, nsfs};

pub(super) fn scan(visitor: &mut Visitor<'_>, name: NsName, namespace: BorrowedFd<'_>) {
    let owner = above(visitor, name, GapWhat::Owner, NsKind::User, nsfs::owner(namespace));
    let parent = match name.kind {
        // The owner of a user namespace is its parent: the kernel answers both requests alike.
        NsKind::User => owner,
        kind if kind.has_parent() => above(visitor, name, GapWhat::Parent, kind, nsfs::parent(namespace)),
        _ => None,
    };
    let told = Relations {
        id64: nsfs::id64(namespace),
        owner,
        parent,
        owner_uid: (name.kind == NsKind::User).then(|| nsfs::owner_uid(namespace).ok()).flatten(),
        netnsid: if name.kind == NsKind::Net { netnsid(visitor, name, namespace) } else { None },
    };
    visitor.observations.relations.insert(name, told);
}

/// Takes in an owner or a parent, which may be a namespace that nothing else has led to.
fn above(
    visitor: &mut Visitor<'_>,
    name: NsName,
    what: GapWhat,
    kind: NsKind,
    opened: Result<OwnedFd, SysError>,
) -> Option<NsId> {
    match opened {
        Ok(relative) => {
            let id = nsfs::inode(relative.as_fd()).ok().flatten()?;
            visitor.visit(NsName { kind, id }, relative.as_fd());
            Some(id)
        }
        Err(error) => {
            // The initial namespaces have nothing above them, and the kernel says EPERM to that, too.
            if name.kind.is_initial_inode(name.id) != Some(true) {
                visitor.observations.gaps.add(what, GapOf::Namespace(name.id), Some(error.errno_name()));
            }
            None
        }
    }
}

fn netnsid(visitor: &mut Visitor<'_>, name: NsName, namespace: BorrowedFd<'_>) -> Option<crate::model::NetnsId> {
    let route = visitor.route.get_or_insert_with(RouteSocket::open);
    let asked = match route {
        Ok(route) => route.netnsid(namespace),
        Err(error) => Err(error.clone()),
    };
    asked
        .map_err(|error| {
            visitor.observations.gaps.add(GapWhat::NetnsId, GapOf::Namespace(name.id), Some(error.errno_name()));
        })
        .ok()
}
