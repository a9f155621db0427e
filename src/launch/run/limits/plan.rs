//! What is done for the cgroups of a sandbox, in order: printed by [`CgroupPlan::steps`], done by [`CgroupPlan::make`].

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::LimitError;
use crate::cgroup::at::Cgroup;
use crate::cgroup::change::translate::Write;
use crate::cgroup::change::{Cause, ChangeError, Intent, set};
use crate::model::cgroup::{Controller, Version};

/// A cgroup that is to be made.
pub(super) struct Group {
    /// The index of its hierarchy.
    pub(super) hierarchy: usize,
    /// The controllers of that.
    pub(super) controllers: Vec<Controller>,
    /// What the hierarchy is called.
    pub(super) label: String,
    pub(super) version: Version,
    /// The cgroup that it is made in.
    pub(super) parent: OwnedFd,
    /// The path of that.
    pub(super) parent_path: Vec<u8>,
    /// The path of the topmost cgroup that can be seen.
    pub(super) top: Vec<u8>,
    /// Its own path.
    pub(super) path: Vec<u8>,
    /// Its directory, as a user would type it.
    pub(super) directory: Vec<u8>,
}

impl Group {
    pub(super) fn new(parent: Cgroup<'_>, path: Vec<u8>, name: &CString) -> Group {
        let above = parent.name("");
        let above = if above == b"/" { Vec::new() } else { above };
        let top = if parent.is_top() { parent.path.clone() } else { parent.opened().top_path().to_vec() };
        Group {
            hierarchy: parent.hierarchy,
            controllers: parent.opened().hierarchy.controllers.clone(),
            label: set::hierarchy_name(parent.cgroups(), parent.hierarchy),
            version: parent.version(),
            parent_path: parent.path.clone(),
            top,
            path,
            directory: [&above[..], b"/", name.to_bytes()].concat(),
            parent: parent.into_directory(),
        }
    }

    /// Returns the path of one of its files as a user would type it.
    pub(super) fn file(&self, file: &str) -> Vec<u8> {
        [&self.directory[..], b"/", file.as_bytes()].concat()
    }
}

/// A cgroup above, open.
pub(super) struct Above {
    pub(super) directory: OwnedFd,
    pub(super) path: Vec<u8>,
    /// Its `cgroup.subtree_control`, as a user would type it.
    pub(super) file: Vec<u8>,
}

impl Above {
    pub(super) fn new(cgroup: Cgroup<'_>) -> Above {
        let (path, file) = (cgroup.path.clone(), cgroup.name("cgroup.subtree_control"));
        Above { path, file, directory: cgroup.into_directory() }
    }
}

/// One thing that is done. Groups are known by their index.
pub(super) enum Act {
    /// A cgroup above hands on a controller.
    HandOn { group: usize, at: Above, controller: Controller },
    /// The cgroup is made.
    Make(usize),
    /// A value is written to one of its files, and read back.
    Write { group: usize, write: Write, inherited: bool },
}

/// A step as it is printed: system calls, and why they are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The calls, as strace(1) writes them.
    pub calls: Vec<String>,
    /// What they are for.
    pub why: String,
}

/// What is done for the cgroups of a sandbox. The directories that they are made in are open.
pub struct CgroupPlan {
    pub(super) name: CString,
    pub(super) groups: Vec<Group>,
    pub(super) acts: Vec<Act>,
}

impl CgroupPlan {
    /// Returns the plan of a sandbox without limits: nothing is made.
    ///
    /// # Errors
    /// Where there can be no cgroup of this name.
    pub fn none(name: &str) -> Result<CgroupPlan, LimitError> {
        let refused = |why| ChangeError::new(Intent::Create, name.as_bytes(), Cause::Name(why), None);
        if name.contains('/') {
            return Err(refused("a name has no slash in it").into());
        }
        let name = CString::new(name).map_err(|_| refused("a name has no NUL in it"))?;
        Ok(CgroupPlan { name, groups: Vec::new(), acts: Vec::new() })
    }

    /// Says whether no cgroup is made at all.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Says whether one of them is of v2, so that a process can begin in it (`CLONE_INTO_CGROUP`).
    pub fn has_unified(&self) -> bool {
        self.groups.iter().any(|group| group.version == Version::V2)
    }

    /// Says of each cgroup whether it is one of v1.
    pub fn are_v1(&self) -> Vec<bool> {
        self.groups.iter().map(|group| group.version == Version::V1).collect()
    }

    /// Returns the paths of the cgroups, with what their hierarchies are called.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.groups.iter().map(|group| (&group.label[..], &group.path[..]))
    }

    /// Returns what has to be removed in the end, before it is there: directories and names in them. An empty cgroup of that name that
    /// was there before is somebody else's: then [`CgroupPlan::make`] fails.
    pub fn removal(&self) -> impl Iterator<Item = (BorrowedFd<'_>, &CStr)> {
        self.groups.iter().map(|group| (group.parent.as_fd(), self.name.as_c_str()))
    }

    /// Returns all that [`CgroupPlan::make`] does, in order.
    pub fn steps(&self) -> Vec<Step> {
        self.acts.iter().map(|act| self.step(act)).collect()
    }

    fn step(&self, act: &Act) -> Step {
        let group = &self.groups[match act {
            Act::HandOn { group, .. } | Act::Make(group) | Act::Write { group, .. } => *group,
        }];
        let file = |file: &str| text(&group.file(file));
        let (calls, why) = match act {
            Act::HandOn { at, controller, .. } => (
                vec![format!("write({}, \"+{controller}\")", text(&at.file))],
                format!("{} hands on {controller} to the cgroups below it", text(&at.path)),
            ),
            Act::Make(_) => (
                vec![format!("mkdirat({}, 0755)", text(&group.directory))],
                format!(
                    "the cgroup of the sandbox in {}, below {}",
                    text(group.label.as_bytes()),
                    text(&group.parent_path)
                ),
            ),
            Act::Write { write, inherited, .. } => (
                vec![
                    format!("write({}, {:?})", file(&write.file), write.text),
                    format!("pread64({}) to see that it is so", file(&write.file)),
                ],
                match inherited {
                    true => format!("without {} no process can be in it: those of the cgroup above", write.file),
                    false => format!("the limit {}", write.knob),
                },
            ),
        };
        Step { calls, why }
    }
}

/// Makes bytes of a stranger's fit for a line.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}
