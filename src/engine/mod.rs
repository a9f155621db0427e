//! Naming containers: which engine made the sandbox that a process is in.
//!
//! Not here: reading cgroups (`proc`), asking engines.

#![forbid(unsafe_code)]

pub mod identify;
pub mod unit;

pub use identify::identify;
pub use unit::unit;
