//! What rtnetlink(7) knows of network namespaces: the number that the caller's has for another one.
//!
//! Messages are put together and taken apart by netlink-packet-route, of which only this one kind of message is linked in; the
//! socket is nix's.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use netlink_packet_core::{Emitable, NLM_F_REQUEST, NetlinkBuffer, Parseable};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

use super::error::{Call, Errno, SysError};
use crate::model::NetnsId;

/// Message types, `include/uapi/linux/rtnetlink.h` and `netlink.h`.
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const NLMSG_ERROR: u16 = 2;
/// The size of `struct nlmsghdr`.
const NETLINK_HEADER_LEN: usize = 16;

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
        let len = NETLINK_HEADER_LEN + request.buffer_len();
        let mut buffer = [0u8; 512];
        let mut message = NetlinkBuffer::new(&mut buffer[..len]);
        message.set_length(len as u32);
        message.set_message_type(RTM_GETNSID);
        message.set_flags(NLM_F_REQUEST);
        message.set_sequence_number(self.sequence);
        request.emit(message.payload_mut());
        sendto(self.socket.as_raw_fd(), &buffer[..len], &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        loop {
            let len = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received?,
            };
            let answer = NetlinkBuffer::new_checked(&buffer[..len]).map_err(|_| Errno::EBADMSG)?;
            if answer.sequence_number() != self.sequence {
                continue;
            }
            return match answer.message_type() {
                RTM_NEWNSID => NsidMessage::parse(answer.payload())
                    .map_err(|_| Errno::EBADMSG)?
                    .attributes
                    .iter()
                    .find_map(|attribute| match attribute {
                        // -1 stands for none.
                        NsidAttribute::Id(id) => {
                            Some(u32::try_from(*id).map_or(NetnsId::Unassigned, NetnsId::Assigned))
                        }
                        _ => None,
                    })
                    .ok_or(Errno::EBADMSG),
                NLMSG_ERROR => {
                    let code = answer.payload().first_chunk().map(|code| i32::from_ne_bytes(*code));
                    Err(code.map_or(Errno::EBADMSG, |code| Errno::from_raw(code.saturating_abs())))
                }
                _ => Err(Errno::EBADMSG),
            };
        }
    }
}
