//! The number that a network namespace has for another one: `RTM_GETNSID`.
//!
//! Messages are put together and taken apart by netlink-packet-route, of which only this one kind of message is linked in.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{Emitable, Parseable};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use super::socket::{NETLINK_HEADER_LEN, NLM_F_REQUEST, NLMSG_ERROR, RouteSocket, failure, messages, request};
use crate::model::NetnsId;
use crate::sys::error::{Call, Errno, SysError};

/// Message types, `include/uapi/linux/rtnetlink.h`.
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;

impl RouteSocket {
    /// Returns the number that the namespace of the socket has for the one behind `ns`.
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
        let sequence = self.0.next_sequence();
        let mut question = NsidMessage::default();
        question.attributes.push(NsidAttribute::Fd(ns.as_raw_fd().unsigned_abs()));
        let mut body = [0u8; 512 - NETLINK_HEADER_LEN];
        let body = &mut body[..question.buffer_len()];
        question.emit(body);
        self.0.send(&request(RTM_GETNSID, NLM_F_REQUEST, sequence, body))?;
        let mut buffer = [0u8; 512];
        loop {
            let length = self.0.receive(&mut buffer)?;
            let answer = messages(&buffer[..length.min(buffer.len())]).next().ok_or(Errno::EBADMSG)?;
            if answer.sequence_number() != sequence {
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
                NLMSG_ERROR => Err(failure(answer.payload()).unwrap_or(Errno::EBADMSG)),
                _ => Err(Errno::EBADMSG),
            };
        }
    }
}
