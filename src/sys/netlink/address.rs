//! Addresses: `RTM_GETADDR`.

use super::socket::{Dump, Reader, RouteSocket, attributes, ip, u32_at};
use crate::model::NsId;
use crate::model::net::Address;
use crate::sys::SysError;

/// Message types and attributes, `include/uapi/linux/rtnetlink.h` and `if_addr.h`.
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;

/// The size of `struct ifaddrmsg`.
const HEADER: usize = 8;

impl RouteSocket {
    /// Returns the addresses, IPv4 and IPv6, of the namespace of the socket, which is `ns`.
    ///
    /// # Errors
    /// None that a caller can do anything about.
    pub fn addresses(&mut self, ns: NsId, reader: &mut Reader) -> Result<Dump<Address>, SysError> {
        self.0.dump(RTM_GETADDR, "RTM_GETADDR", &[0; HEADER], reader, |body| parse(ns, body))
    }
}

/// Takes an address apart; `None` where it is neither IPv4 nor IPv6.
pub(super) fn parse(ns: NsId, body: &[u8]) -> Option<Address> {
    let &[family, prefix_len, flags, scope, ..] = body else { return None };
    if !matches!(i32::from(family), libc::AF_INET | libc::AF_INET6) {
        return None;
    }
    let (mut address, mut local, mut flags) = (None, None, u32::from(flags));
    for (kind, value) in attributes(body.get(HEADER..)?) {
        match kind {
            IFA_ADDRESS => address = ip(value),
            IFA_LOCAL => local = ip(value),
            IFA_FLAGS => flags = u32_at(value, 0).unwrap_or(flags),
            _ => {}
        }
    }
    // Point to point, the local one is the link's and the other its peer's; else they are the same, or the local one is not given.
    let own = local.or(address)?;
    let peer = address.filter(|&address| address != own);
    Some(Address { ns, ifindex: u32_at(body, 4)?, local: own, peer, prefix_len, scope, flags })
}
