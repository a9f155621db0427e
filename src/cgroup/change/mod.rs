//! Changing cgroups: knobs, members, freezing, killing, making and removing; each confirmed by what the kernel says afterwards.
//!
//! Nothing in here prints. What was done is a list of [`Change`]s, also where something fails halfway; why it failed is a
//! [`ChangeError`] with the objects that are in the way. Not here: the words of hints (`cmd::advice`), and how changes look (`render`).

pub mod error;
pub(crate) mod explain;
pub mod freeze;
pub mod kill;
pub mod make;
pub mod mov;
pub mod room;
pub mod set;
pub mod translate;
pub mod value;

pub use error::{Cause, ChangeError, Intent};
pub use value::{Asked, ValueError};

use super::at::Cgroup;

/// What kind of thing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A knob was written.
    Set,
    /// A process or thread was moved.
    Move,
    /// All that is in a cgroup was brought to a stand.
    Freeze,
    /// All that is in a cgroup runs again.
    Thaw,
    /// All that was in a cgroup was killed.
    Kill,
    /// A cgroup was made.
    Create,
    /// A cgroup was removed.
    Remove,
}

impl Action {
    /// Returns the word that JSON uses.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Set => "set",
            Action::Move => "move",
            Action::Freeze => "freeze",
            Action::Thaw => "thaw",
            Action::Kill => "kill",
            Action::Create => "create",
            Action::Remove => "remove",
        }
    }
}

/// One thing that was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What kind of thing.
    pub action: Action,
    /// The index of the hierarchy.
    pub hierarchy: usize,
    /// The path of the cgroup, as the caller's cgroup namespace has it.
    pub path: Vec<u8>,
    /// The knob, by its v2 name.
    pub knob: Option<String>,
    /// The file that was written.
    pub file: Option<String>,
    /// Who was moved.
    pub pid: Option<u32>,
    /// What was read before; for a move, where the process was; for freezing, the state.
    pub before: Option<Vec<u8>>,
    /// What was written.
    pub asked: Option<Vec<u8>>,
    /// What is read now; likewise.
    pub after: Option<Vec<u8>>,
    /// How many processes were killed.
    pub killed: Option<u64>,
    /// Whether what is read now is what was asked for.
    pub confirmed: bool,
    /// Whether there was nothing to do.
    pub idle: bool,
}

impl Change {
    fn new(action: Action, cgroup: &Cgroup<'_>) -> Change {
        Change::at(action, cgroup.hierarchy, &cgroup.path)
    }

    pub(crate) fn at(action: Action, hierarchy: usize, path: &[u8]) -> Change {
        Change {
            action,
            hierarchy,
            path: path.to_vec(),
            knob: None,
            file: None,
            pid: None,
            before: None,
            asked: None,
            after: None,
            killed: None,
            confirmed: false,
            idle: false,
        }
    }
}

/// What was done so far, and whether it is only said what would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Whether nothing is written.
    pub dry: bool,
    /// In the order in which it was done.
    pub changes: Vec<Change>,
}

impl Log {
    /// Starts with nothing.
    pub const fn new(dry: bool) -> Log {
        Log { dry, changes: Vec::new() }
    }

    fn add(&mut self, change: Change) {
        self.changes.push(change);
    }
}
