//! Whether a cgroup can be made below another, with some controllers, and which of the cgroups above have to hand those on first. Only
//! asks: nothing is changed.
//!
//! See cgroups(7): "No internal processes", "Delegation containment", "Thread mode".

use std::os::fd::AsFd;

use super::error::{Cause, ChangeError, Intent};
use super::explain;
use super::set::hierarchy_name;
use crate::cgroup::at::Cgroup;
use crate::cgroup::{Cgroups, Home, ladder};
use crate::model::cgroup::{Controller, Version};
use crate::sys::{Call, Errno, SysError, cgroupfs};

/// A cgroup of v2 that does not hand on a controller yet.
pub struct HandOn<'a> {
    /// The cgroup.
    pub cgroup: Cgroup<'a>,
    /// The controller.
    pub controller: Controller,
}

/// Says what has to be done, from the top down, before a cgroup with this path can be made below `parent`, have these controllers, and get
/// a process of the caller's.
///
/// # Errors
/// What is in the way.
pub fn room<'a>(parent: &Cgroup<'a>, path: &[u8], wanted: &[Controller]) -> Result<Vec<HandOn<'a>>, ChangeError> {
    let refused = |cause| ChangeError::new(Intent::Create, path, cause, None);
    if let Err(errno) = cgroupfs::access_write(parent.as_fd(), c".") {
        return Err(explain::making(parent, path, SysError::new(Call::Faccessat(parent.name("")), errno)));
    }
    if parent.version() == Version::V1 {
        return Ok(Vec::new());
    }
    if let Some(cause) = kind(parent).or_else(|| containment(parent, path)) {
        return Err(refused(cause));
    }
    let mut all: Vec<(usize, HandOn<'a>)> = Vec::new();
    for &controller in wanted.iter().filter(|controller| !controller.is_core_on_v2()) {
        let mut at = Cgroup::open(parent.cgroups(), parent.hierarchy, &parent.path)
            .map_err(|error| ChangeError::new(Intent::Create, path, Cause::CgroupGone, Some(error)))?;
        let mut height = 0;
        while !explain::hands_on_controller(&at, controller.name()) {
            let (above, is_source) = (at.parent(), explain::has_controller(&at, controller.name()));
            all.push((height, HandOn { cgroup: at, controller }));
            match above {
                _ if is_source => break,
                Some(above) => at = above,
                None => return Err(refused(Cause::Homeless(controller, Home::Absent))),
            }
            height += 1;
        }
    }
    all.sort_by_key(|(height, hand_on)| (std::cmp::Reverse(*height), hand_on.controller));
    let all: Vec<HandOn<'a>> = all.into_iter().map(|(_, hand_on)| hand_on).collect();
    all.iter().try_for_each(|hand_on| may_hand_on(hand_on, path))?;
    Ok(all)
}

/// A cgroup that is made below one of threads alone takes no process.
fn kind(parent: &Cgroup<'_>) -> Option<Cause> {
    match parent.read("cgroup.type").unwrap_or_default().trim_ascii() {
        b"threaded" | b"domain threaded" => Some(Cause::Threaded),
        b"domain invalid" => Some(Cause::DomainInvalid),
        _ => None,
    }
}

/// Who lets a process begin in another cgroup than his own must be one who could move it there.
fn containment(parent: &Cgroup<'_>, path: &[u8]) -> Option<Cause> {
    let cgroups = parent.cgroups();
    let own = ladder::paths(cgroups, &cgroups.own).into_iter().find(|(index, _)| *index == parent.hierarchy)?.1;
    let common = explain::common_path(path, &own);
    let owner = match common == parent.path {
        true if parent.may_write("cgroup.procs") => return None,
        true => parent.owner("cgroup.procs"),
        false => match Cgroup::open(cgroups, parent.hierarchy, common) {
            Ok(ancestor) if ancestor.may_write("cgroup.procs") => return None,
            Ok(ancestor) => ancestor.owner("cgroup.procs"),
            // What lies outside of what is mounted: the kernel will say.
            Err(_) => return None,
        },
    };
    Some(Cause::CommonAncestor { path: common.to_vec(), owner })
}

fn may_hand_on(hand_on: &HandOn<'_>, path: &[u8]) -> Result<(), ChangeError> {
    let HandOn { cgroup, controller } = hand_on;
    const FILE: &str = "cgroup.subtree_control";
    if !cgroup.may_write(FILE) {
        let cause = Cause::NotEnabled { controller: controller.name().to_owned(), at: cgroup.path.clone() };
        return Err(ChangeError::new(Intent::Create, path, cause, None));
    }
    // Controllers that are good for threads could be handed on all the same, but only to cgroups of the threads of those processes.
    match explain::processes(cgroup).filter(|_| !cgroup.is_root()) {
        Some(cause) => Err(ChangeError::new(Intent::Set(FILE.to_owned()), &cgroup.path, cause, None)),
        None => Ok(()),
    }
}

/// Opens the cgroup in which another one, with this path, is to be made.
///
/// # Errors
/// Where it is not there, or lies outside of what is mounted; `EACCES`.
pub fn open_parent<'a>(
    cgroups: &'a Cgroups,
    hierarchy: usize,
    parent: &[u8],
    path: &[u8],
) -> Result<Cgroup<'a>, ChangeError> {
    Cgroup::open(cgroups, hierarchy, parent).map_err(|error| {
        let cause = match error.errno {
            _ if cgroups.hierarchies[hierarchy].below_top(parent).is_none() => {
                Cause::NoHierarchy("it lies outside of what is mounted here")
            }
            Errno::ENOENT => Cause::NoParent { path: parent.to_vec(), hierarchy: hierarchy_name(cgroups, hierarchy) },
            _ => Cause::Unknown,
        };
        ChangeError::new(Intent::Create, path, cause, Some(error))
    })
}
