//! What things are: plain data, without I/O and without the types of a system call library.
//!
//! Not here: where the facts come from (`scan`), how they look (`render`).

#![forbid(unsafe_code)]

pub mod caps;
pub mod cgroup;
pub mod container;
pub mod gap;
pub mod id;
pub mod isolation;
pub mod kind;
pub mod namespace;
pub mod net;
pub mod process;
pub mod snapshot;

pub use caps::CapSet;
pub use container::Container;
pub use gap::{Gap, GapWhat, Gaps};
pub use id::{NsId, NsName, Pid, Tid, Uid};
pub use isolation::Isolation;
pub use kind::{KindSet, NsKind};
pub use namespace::{Holder, HolderKind, Namespace, NetnsId};
pub use process::{Comm, Details, ForChildren, NsArray, Process, Thread};
pub use snapshot::{Backend, Observations, Relations, Snapshot};
