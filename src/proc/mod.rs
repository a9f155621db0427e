//! Reading `/proc`: the tree as an object ([`ProcRoot`]), a process held by its directory ([`ProcPid`]), and pure parsers.
//!
//! Not here: what the facts mean for namespaces (`scan`). See proc(5).

#![forbid(unsafe_code)]

pub mod accounts;
pub mod parse;
pub mod root;
pub mod users;

pub use root::{ProcPid, ProcRoot, is_gone};
pub use users::Users;
