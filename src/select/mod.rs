//! Choosing: which namespaces, in which order, in which tree. All of it is pure but [`target::resolve`], which looks at one process.
//!
//! Not here: finding them (`scan`), showing them (`render`).

#![forbid(unsafe_code)]

pub mod cgroup;
pub mod expr;
pub mod filter;
pub mod pid;
pub mod sandbox;
pub mod sandboxes;
pub mod target;
pub mod tree;
pub mod unit;

pub use expr::{Expr, Value};
pub use filter::Filter;
pub use sandboxes::Wanted;
pub use target::{Target, TargetError};
pub use tree::{TreeBy, TreeLine};
