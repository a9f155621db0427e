//! Cgroups: where each controller has its home, what is in the files of a cgroup, which limit counts, and why something was killed or
//! slowed; on v1, hybrid and v2 hosts, see cgroups(7).
//!
//! Nothing in here prints: it is for `nsx cg` as well as for launching. Not here: which container a cgroup belongs to (`engine`).

#![forbid(unsafe_code)]

pub mod at;
pub mod below;
pub mod change;
pub mod effective;
pub mod events;
pub mod files;
pub mod group;
pub mod host;
pub mod ladder;
pub mod layout;
pub mod members;
pub mod parse;
pub mod share;
pub mod tree;
pub mod why;

pub use at::Cgroup;
pub use effective::{Binder, Bound, Cpus, Effective, Step};
pub use events::{Event, Scope, Throttling};
pub use files::{Files, Setting};
pub use group::{BoundBy, Comes, Group};
pub use host::{Cgroups, Home, Host, Opened};
pub use ladder::{Ladder, Level, Seen, Subject};
pub use layout::{Hierarchy, Layout, Place};
pub use tree::{Depth, Sample, Tree, TreeGap, read_tree};
pub use why::{Finding, Severity};
