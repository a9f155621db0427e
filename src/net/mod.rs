//! Network namespaces and how they are wired together.
//!
//! [`ask()`] takes the namespaces that a scan has found and has each tell of its links, addresses, routes and listening sockets; [`wire`]
//! says which link is the other end of which, and is pure; [`who()`] names the namespaces. Not here: finding namespaces (`scan`),
//! messages (`sys::netlink`), how it looks (`render::net`).

#![forbid(unsafe_code)]

pub mod ask;
pub mod who;
pub mod wire;

pub use ask::{Wanted, ask};
pub use who::{Who, who};
