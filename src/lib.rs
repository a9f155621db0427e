//! nsx: see, enter and build Linux isolation.
//!
//! The library behind the `nsx` command: it finds every namespace on a host ([`scan`]), links them into a picture
//! ([`model::Snapshot`]), chooses from it ([`select`]) and enters what was chosen ([`launch`]). It makes no promise of stability before 1.0. With the feature `cli` (the
//! default) it also holds the command line itself (`cmd`) and what it prints (`render`).
//!
//! The modules stand in the order of their layers: each may use those above it. ARCHITECTURE.md is the map.

#![deny(unsafe_code)]
#![cfg(target_os = "linux")]

pub mod model;
pub mod sys;

pub mod proc;

pub mod cgroup;
pub mod engine;
pub mod scan;

pub mod sandbox;

pub mod inspect;
pub mod net;

pub mod select;

pub mod launch;

#[cfg(feature = "cli")]
pub mod render;

#[cfg(feature = "cli")]
pub mod cmd;
