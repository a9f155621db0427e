//! Listening sockets: `SOCK_DIAG_BY_FAMILY`, see sock_diag(7).

use std::net::IpAddr;

use super::socket::{DiagSocket, Dump, Reader, ip, u32_at};
use crate::model::net::{Listener, Protocol};
use crate::model::{NsId, Uid};
use crate::sys::SysError;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// States of `include/net/tcp_states.h`. A UDP socket that is bound and not connected is "closed".
const TCP_LISTEN: u32 = 10;
const TCP_CLOSE: u32 = 7;
/// The size of `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// The size of `struct inet_diag_msg`.
const ANSWER: usize = 72;

impl DiagSocket {
    /// Returns the sockets of one protocol and family (`AF_INET6` where `v6`) that anybody may send to, in the namespace of the
    /// socket, which is `ns`.
    ///
    /// # Errors
    /// `ENOENT` where the kernel lacks the module that tells of the protocol (inet_diag, tcp_diag, udp_diag).
    pub fn listeners(
        &mut self,
        ns: NsId,
        protocol: Protocol,
        v6: bool,
        reader: &mut Reader,
    ) -> Result<Dump<Listener>, SysError> {
        let (number, state) = match protocol {
            Protocol::Tcp => (libc::IPPROTO_TCP, TCP_LISTEN),
            Protocol::Udp => (libc::IPPROTO_UDP, TCP_CLOSE),
        };
        let mut body = [0; REQUEST];
        body[0] = if v6 { libc::AF_INET6 } else { libc::AF_INET } as u8;
        body[1] = number as u8;
        body[4..8].copy_from_slice(&(1u32 << state).to_ne_bytes());
        self.0.dump(SOCK_DIAG_BY_FAMILY, "SOCK_DIAG_BY_FAMILY", &body, reader, |body| parse(ns, protocol, body))
    }
}

/// Takes a socket apart; `None` where it has no port.
pub(super) fn parse(ns: NsId, protocol: Protocol, body: &[u8]) -> Option<Listener> {
    let body: &[u8; ANSWER] = body.first_chunk()?;
    let local: IpAddr = match i32::from(body[0]) {
        libc::AF_INET => ip(&body[8..12])?,
        libc::AF_INET6 => ip(&body[8..24])?,
        _ => return None,
    };
    Some(Listener {
        ns,
        protocol,
        local,
        port: Some(u16::from_be_bytes([body[4], body[5]])).filter(|&port| port != 0)?,
        ifindex: u32_at(body, 40).filter(|&index| index != 0),
        rqueue: u32_at(body, 56)?,
        wqueue: u32_at(body, 60)?,
        uid: Uid(u32_at(body, 64)?),
        inode: u32_at(body, 68)?,
        holders: Vec::new(),
        holder_count: 0,
    })
}
