//! Entering: from what was asked for to a command that runs in somebody else's namespaces.
//!
//! `request` → `facts` (what the host says, and every descriptor that is needed, open) → `plan` (pure: the steps, in order, with their
//! reasons) → `compile` (the steps as a list of system calls) → `enter`, which runs the list and watches over the command (`supervise`,
//! `terminal`). `--explain` prints the plan that is executed otherwise.
//!
//! Not here: words for users (`cmd::advice`), how system calls are made (`sys`).

#![forbid(unsafe_code)]

pub mod carrier;
mod cgroups;
pub mod clock;
pub mod compile;
pub mod diagnose;
pub mod enter;
pub mod facts;
pub mod plan;
pub mod request;
pub mod run;
pub mod supervise;
pub mod surroundings;
pub mod terminal;

pub use enter::{Ended, EnterError, Prepared, keep_only, prepare};
pub use plan::{Action, Facts, Plan, PlanError, Step, Who, plan};
pub use request::{Caps, Id, NsFile, Place, Request, Timeout};
