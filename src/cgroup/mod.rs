//! Cgroups: which hierarchy is mounted where, on v1, hybrid and v2 hosts, see cgroups(7).
//!
//! Not here: what is done with a cgroup (`launch`), which container it belongs to (`engine`).

#![forbid(unsafe_code)]

pub mod layout;

pub use layout::{Layout, Place};
