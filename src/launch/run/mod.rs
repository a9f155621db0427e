//! Building: from what was asked for to a command in namespaces of its own, under limits of its own.
//!
//! Not here: entering namespaces that are there (`launch::enter`), words for users (`cmd::advice`).

pub mod limits;
pub mod report;
pub mod request;

pub use request::{
    Bind, Environment, Limits, NameOrId, Net, Rlimit, Root, RunRequest, TimeOffset, Tmpfs, User, UserNs,
};
