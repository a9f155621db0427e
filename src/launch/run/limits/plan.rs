//! What is done for the cgroups of a sandbox, in order: printed by [`CgroupPlan::steps`], done by [`CgroupPlan::make`].

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::LimitError;
use crate::cgroup::at::Cgroup;
use crate::cgroup::change::translate::Write;
use crate::cgroup::change::{Cause, ChangeError, Intent, set};
use crate::model::cgroup::{Controller, Version};

/// What the cgroup is called that is inside that with the limits.
pub const INNER: &CStr = c"box";

/// Returns what the cgroup of a sandbox is called.
pub fn cgroup_name(name: &str) -> String {
    format!("nsx-{name}")
}

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

    /// Returns the directory of the cgroup inside as a user would type it.
    pub(super) fn inner_directory(&self) -> Vec<u8> {
        [&self.directory[..], b"/", INNER.to_bytes()].concat()
    }

    /// Returns the path of the cgroup inside.
    pub(super) fn inner_path(&self) -> Vec<u8> {
        [&self.path[..], b"/", INNER.to_bytes()].concat()
    }

    /// Returns the path of one of its files, or of one of the cgroup inside, as a user would type it.
    pub(super) fn file(&self, file: &str, why: Why) -> Vec<u8> {
        let directory = if why.is_inside() { self.inner_directory() } else { self.directory.clone() };
        [&directory[..], b"/", file.as_bytes()].concat()
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

/// Why a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is a limit.
    Limit,
    /// Nobody could join without it.
    Inherited,
    /// The same, of the cgroup inside that one.
    InheritedInside,
    /// It is a limit that does not hold for cgroups below.
    LimitInside,
}

impl Why {
    /// Says whether it is written to the cgroup inside.
    pub(super) fn is_inside(self) -> bool {
        matches!(self, Why::InheritedInside | Why::LimitInside)
    }
}

/// One thing that is done. Groups are known by their index.
pub(super) enum Act {
    /// A cgroup above hands on a controller.
    HandOn { group: usize, at: Above, controller: Controller },
    /// The cgroup is made.
    Make(usize),
    /// The cgroup inside that one is made.
    MakeInner(usize),
    /// A value is written to one of its files, and read back.
    Write { group: usize, write: Write, why: Why },
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
    /// The name of the cgroup inside each, from the same directory: `NAME/box`.
    pub(super) inner: Option<CString>,
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
        Ok(CgroupPlan { name, inner: None, groups: Vec::new(), acts: Vec::new() })
    }

    /// Says of each cgroup whether it is one of v1.
    pub fn are_v1(&self) -> Vec<bool> {
        self.groups.iter().map(|group| group.version == Version::V1).collect()
    }

    /// Returns the paths of the cgroups, with what their hierarchies are called.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.groups.iter().map(|group| (&group.label[..], &group.path[..]))
    }

    /// Puts a cgroup without limits into each, where the processes will be.
    pub(super) fn have_inner(&mut self) {
        self.inner = CString::new([self.name.to_bytes(), b"/", INNER.to_bytes()].concat()).ok();
    }

    /// Returns what has to be removed in the end, before it is there: directories and names in them, what is inside before what it is in.
    /// An empty cgroup of that name that was there before is somebody else's: then [`CgroupPlan::make`] fails.
    pub fn removal(&self) -> impl Iterator<Item = (BorrowedFd<'_>, &CStr)> {
        let names = || self.inner.as_deref().into_iter().chain([self.name.as_c_str()]);
        self.groups.iter().flat_map(move |group| names().map(|name| (group.parent.as_fd(), name)))
    }

    /// Returns where processes go, one for each hierarchy: directories and names in them.
    pub fn places(&self) -> impl Iterator<Item = (BorrowedFd<'_>, &CStr)> {
        let name = self.inner.as_deref().unwrap_or(&self.name);
        self.groups.iter().map(move |group| (group.parent.as_fd(), name))
    }

    /// Returns all that [`CgroupPlan::make`] does, in order.
    pub fn steps(&self) -> Vec<Step> {
        self.acts.iter().map(|act| self.step(act)).collect()
    }

    fn step(&self, act: &Act) -> Step {
        let group = &self.groups[match act {
            Act::HandOn { group, .. } | Act::Make(group) | Act::MakeInner(group) | Act::Write { group, .. } => *group,
        }];
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
            Act::MakeInner(_) => (
                vec![format!("mkdirat({}, 0755)", text(&group.inner_directory()))],
                "its processes are in there: the cgroup that they see as the root may be theirs to write to, and has no limits to lift"
                    .to_owned(),
            ),
            Act::Write { write, why, .. } => {
                let file = text(&group.file(&write.file, *why));
                (
                    vec![format!("write({file}, {:?})", write.text), format!("pread64({file}) to see that it is so")],
                    match why {
                        Why::Inherited | Why::InheritedInside => {
                            format!("without {} no process can be in it: those of the cgroup above", write.file)
                        }
                        Why::Limit => format!("the limit {}", write.knob),
                        Why::LimitInside => format!("the limit {} once more: on v1 it does not hold below", write.knob),
                    },
                )
            }
        };
        Step { calls, why }
    }
}

/// Makes bytes of a stranger's fit for a line.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}
