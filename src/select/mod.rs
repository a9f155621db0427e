//! Choosing: which namespaces, in which order, in which tree. All of it is pure but [`target::resolve`], which looks at one process.
//!
//! Not here: finding them (`scan`), showing them (`render`).

#![forbid(unsafe_code)]

pub mod cgroup;
pub mod expr;
pub mod filter;
pub mod sandbox;
pub mod target;
pub mod tree;

pub use expr::{Expr, Value};
pub use filter::Filter;
pub use target::{Target, TargetError};
pub use tree::{TreeBy, TreeLine};
