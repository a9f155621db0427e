//! Why a namespace could not be entered: which of several it was, who owns it, what lacks. Asked live, after the failure.

use std::os::fd::AsFd;

use super::facts::Held;
use super::plan::{Action, Facts};
use crate::model::{CapSet, KindSet, NsId, NsKind};
use crate::sys::program::Failure;
use crate::sys::{SysError, inside, nsfs};

/// What is known about a failure to enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of the namespace that refused; `None` where each alone could be entered.
    pub kind: Option<NsKind>,
    /// Which one it is.
    pub id: Option<NsId>,
    /// The pid of the target, where it is one's.
    pub pid: Option<u32>,
    /// The call that failed, for this namespace alone.
    pub error: SysError,
    /// The user namespace that owns it; `None` where that lies above the caller's own.
    pub owner: Option<NsId>,
    /// Whether that is the caller's own.
    pub owner_is_own: bool,
    /// Which of the capabilities that entering takes the caller does not have in its own user namespace.
    pub lacks: CapSet,
    /// Whether a user namespace is among what was to be entered.
    pub with_user: bool,
}

/// Finds out more about a step that failed; `None` where it enters nothing.
pub fn refusal(action: &Action, failure: &Failure, facts: &Facts, held: &Held) -> Option<Refusal> {
    let user = KindSet::NONE.with(NsKind::User);
    let (kinds, given) = match action {
        Action::EnterTarget(kinds) => (*kinds, false),
        Action::EnterFile(kind) => (KindSet::NONE.with(*kind), true),
        Action::EnterOwner(_) | Action::EnterUserParent => (user, true),
        _ => return None,
    };
    let with_user = kinds.contains(NsKind::User);
    let privileged = facts.caps.contains(CapSet::SYS_ADMIN);
    let target = facts.target.as_ref().filter(|_| !given);
    let one = |kind: NsKind| {
        let pidfd = held.pidfd.as_ref()?;
        let bridge = if with_user && !privileged { user } else { KindSet::NONE };
        let name = format!("pidfd of {}", target?.pid);
        inside::try_setns(pidfd.as_fd(), bridge.with(kind), &name).err().map(|error| (kind, error))
    };
    // The user namespace first: where that refuses the others have no chance.
    let mut order: Vec<NsKind> = kinds.iter().collect();
    order.sort_by_key(|kind| *kind != NsKind::User);
    let refused = match order[..] {
        [only] => Some((only, failure.error.clone())),
        _ => order.into_iter().find_map(one),
    };
    let (kind, error) = refused.map_or((None, failure.error.clone()), |(kind, error)| (Some(kind), error));
    let id = kind.and_then(|kind| match target {
        Some(target) => target.namespaces[kind.index()],
        None => match action {
            Action::EnterOwner(id) => Some(*id),
            Action::EnterUserParent => facts.user_parent,
            _ => facts.given[kind.index()],
        },
    });
    let opened = kind.and_then(|kind| match (&held.namespaces[kind.index()], &held.process) {
        (Some(namespace), _) => namespace.try_clone().ok(),
        (None, Some(process)) => process.open_ns(&std::ffi::CString::new(format!("ns/{kind}")).ok()?).ok(),
        (None, None) => None,
    });
    let owner = opened.and_then(|namespace| nsfs::owner(namespace.as_fd()).ok());
    let owner = owner.and_then(|owner| nsfs::inode(owner.as_fd()).ok().flatten());
    let takes = match kind {
        Some(NsKind::Mnt) => CapSet::SYS_ADMIN | CapSet::SYS_CHROOT,
        _ => CapSet::SYS_ADMIN,
    };
    Some(Refusal {
        kind,
        id,
        pid: target.map(|target| target.pid),
        error,
        owner,
        owner_is_own: owner.is_some() && owner == own_user(),
        lacks: takes & !facts.caps,
        with_user,
    })
}

/// Returns the caller's own user namespace.
fn own_user() -> Option<NsId> {
    let link = crate::sys::dir::open_read_cwd(c"/proc/self/ns/user").ok()?;
    nsfs::inode(link.as_fd()).ok().flatten()
}
