//! Routes: `RTM_GETROUTE`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::socket::{Dump, Reader, RouteSocket, attributes, ip, u16_at, u32_at};
use crate::model::NsId;
use crate::model::net::{Nexthop, Route};
use crate::sys::SysError;

/// Message types and attributes, `include/uapi/linux/rtnetlink.h`.
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;

/// The size of `struct rtmsg`.
const HEADER: usize = 12;
/// The size of `struct rtnexthop`.
const NEXTHOP: usize = 8;

impl RouteSocket {
    /// Returns the routes, IPv4 and IPv6, of all tables of the namespace of the socket, which is `ns`.
    ///
    /// # Errors
    /// None that a caller can do anything about.
    pub fn routes(&mut self, ns: NsId, reader: &mut Reader) -> Result<Dump<Route>, SysError> {
        self.0.dump(RTM_GETROUTE, "RTM_GETROUTE", &[0; HEADER], reader, |body| parse(ns, body))
    }
}

/// Takes a route apart; `None` where it is neither IPv4 nor IPv6.
pub(super) fn parse(ns: NsId, body: &[u8]) -> Option<Route> {
    let &[family, dst_len, _, _, table, protocol, scope, route_type, ..] = body else { return None };
    let any: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let table = u32::from(table);
    let mut route = Route {
        ns,
        dst: any,
        dst_len,
        table,
        protocol,
        scope,
        route_type,
        prefsrc: None,
        metric: None,
        nexthops: Vec::new(),
    };
    let mut only = Nexthop { weight: 1, ..Nexthop::default() };
    for (kind, value) in attributes(body.get(HEADER..)?) {
        match kind {
            RTA_DST => route.dst = ip(value).unwrap_or(any),
            RTA_OIF => only.ifindex = u32_at(value, 0),
            RTA_GATEWAY => only.gateway = ip(value),
            RTA_VIA => only.gateway = via(value),
            RTA_PRIORITY => route.metric = u32_at(value, 0),
            RTA_PREFSRC => route.prefsrc = ip(value),
            RTA_TABLE => route.table = u32_at(value, 0).unwrap_or(table),
            RTA_MULTIPATH => route.nexthops = nexthops(value),
            _ => {}
        }
    }
    if route.nexthops.is_empty() && (only.gateway.is_some() || only.ifindex.is_some()) {
        route.nexthops.push(only);
    }
    Some(route)
}

/// A router of the other family: `struct rtvia`.
fn via(value: &[u8]) -> Option<IpAddr> {
    value.get(2..).and_then(ip)
}

fn nexthops(mut bytes: &[u8]) -> Vec<Nexthop> {
    let mut hops = Vec::new();
    while let Some(length) = u16_at(bytes, 0).map(usize::from).filter(|&length| length >= NEXTHOP) {
        let Some(hop) = bytes.get(..length) else { break };
        let mut found = Nexthop {
            gateway: None,
            ifindex: u32_at(hop, 4),
            weight: hop.get(3).map_or(1, |&more| u32::from(more) + 1),
        };
        for (kind, value) in attributes(&hop[NEXTHOP..]) {
            match kind {
                RTA_GATEWAY => found.gateway = ip(value),
                RTA_VIA => found.gateway = via(value),
                _ => {}
            }
        }
        hops.push(found);
        bytes = bytes.get((length + 3) & !3..).unwrap_or_default();
    }
    hops
}
