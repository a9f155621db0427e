//! What rtnetlink(7) knows of network namespaces: the number that the caller's has for another one.
//!
//! Messages are put together and taken apart by netlink-packet-route; the socket is nix's.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

use super::error::{Call, Errno, SysError};
use crate::model::NetnsId;

/// A route netlink socket in the caller's network namespace.
pub struct RouteSocket {
    socket: OwnedFd,
    sequence: u32,
}

impl RouteSocket {
    /// Opens the socket.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` where the kernel has no networking.
    pub fn open() -> Result<RouteSocket, SysError> {
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
            .map(|socket| RouteSocket { socket, sequence: 0 })
            .map_err(|errno| SysError::new(Call::Socket("AF_NETLINK"), errno))
    }

    /// Returns the number that the caller's network namespace has for the one behind `ns`.
    ///
    /// # Kernel
    /// Linux 4.0 (`RTM_GETNSID`).
    ///
    /// # Errors
    /// `EPERM` from a filter; an answer that cannot be read is `EBADMSG`.
    pub fn netnsid(&mut self, ns: BorrowedFd<'_>) -> Result<NetnsId, SysError> {
        self.ask(ns).map_err(|errno| SysError::new(Call::Netlink("RTM_GETNSID"), errno))
    }

    fn ask(&mut self, ns: BorrowedFd<'_>) -> Result<NetnsId, Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NsidMessage::default();
        request.attributes.push(NsidAttribute::Fd(ns.as_raw_fd().unsigned_abs()));
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(RouteNetlinkMessage::GetNsId(request)));
        message.finalize();
        let mut buffer = [0u8; 512];
        let len = message.buffer_len();
        message.serialize(&mut buffer[..len]);
        sendto(self.socket.as_raw_fd(), &buffer[..len], &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        loop {
            let len = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received?,
            };
            let answer =
                NetlinkMessage::<RouteNetlinkMessage>::deserialize(&buffer[..len]).map_err(|_| Errno::EBADMSG)?;
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            return match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNsId(told)) => told
                    .attributes
                    .iter()
                    .find_map(|attribute| match attribute {
                        NsidAttribute::Id(id) => {
                            Some(u32::try_from(*id).map_or(NetnsId::Unassigned, NetnsId::Assigned))
                        }
                        _ => None,
                    })
                    .ok_or(Errno::EBADMSG),
                NetlinkPayload::Error(error) => Err(Errno::from_raw(error.raw_code().saturating_abs())),
                _ => Err(Errno::EBADMSG),
            };
        }
    }
}
