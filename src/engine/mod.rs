//! Naming containers: which engine made the sandbox that a process is in.
//!
//! Not here: reading cgroups (`proc`), asking engines.

#![forbid(unsafe_code)]

pub mod identify;

pub use identify::identify;
