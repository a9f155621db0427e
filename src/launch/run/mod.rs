//! Building: from what was asked for to a command in namespaces of its own, under limits of its own.
//!
//! `request` → `gather` (what the host says, and every descriptor that is needed, open) → `plan` (pure: the steps, in order, with their
//! reasons) → `compile` (the steps of the stub, the first process and the command as a list of system calls) → `build`, which makes nsx's
//! own steps and starts the list, and `supervise`, which watches over the command. `--explain` prints the plan that is executed otherwise.
//!
//! Not here: entering namespaces that are there (`launch::enter`), words for users (`cmd::advice`).

pub mod build;
pub mod compile;
pub mod error;
pub mod forbidden;
pub mod gather;
pub mod ids;
pub mod kill;
pub mod limits;
pub mod plan;
pub mod report;
pub mod request;
pub mod seccomp;
pub mod steps;
pub mod supervise;
pub mod users;

pub use build::{Outcome, Sandbox};
pub use error::{RootProblem, RunError};
pub use request::{
    Bind, Environment, Limits, NameOrId, Net, Rlimit, Root, RunRequest, TimeOffset, Tmpfs, User, UserNs,
};
