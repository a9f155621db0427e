//! Netlink: what the kernel tells of network namespaces, their links, addresses, routes and listening sockets.
//!
//! A socket belongs to the network namespace that its maker was in, and asks about that one for as long as it lives; [`open_in`] has a
//! process on the side make sockets in other namespaces. See netlink(7), rtnetlink(7), sock_diag(7). Messages are framed by
//! netlink-packet-core. Those that hold links and addresses are taken apart here: the names of links need not be UTF-8, and one
//! attribute that nobody knows yet must not cost the rest of the message, both of which the parsers of netlink-packet-route have
//! otherwise. Not here: what the answers mean together (`net`).

mod address;
mod diag;
mod link;
mod nsid;
mod open;
mod route;
mod socket;
#[cfg(test)]
mod tests;

pub use open::{Opened, open_in, open_own};
pub use socket::{DiagSocket, Dump, Reader, RouteSocket};
