//! A netlink socket: requests, answers, dumps that are made again when they were disturbed, and the attributes of a message.

use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::NetlinkBuffer;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, send, socket};

use crate::sys::error::{Call, Errno, SysError, retry};

/// Message types and flags, `include/uapi/linux/netlink.h`.
pub(super) const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
pub(super) const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
/// The size of `struct nlmsghdr`.
pub(super) const NETLINK_HEADER_LEN: usize = 16;

/// The kernel fills 32 KiB at a time, and more only for a single message that is longer.
const ROOM: usize = 32 * 1024;
/// A dump that was disturbed by a change is made again so many times; then what there is has to do.
const MOST_TRIES: u32 = 4;
/// Of one sort of thing no more are taken from one namespace: whoever makes more does not do so to be looked at.
const MOST: usize = 1 << 20;

/// A route netlink socket (`NETLINK_ROUTE`), in the network namespace of whoever made it.
pub struct RouteSocket(pub(super) Socket);

/// A socket that asks about sockets (`NETLINK_SOCK_DIAG`), in the network namespace of whoever made it.
pub struct DiagSocket(pub(super) Socket);

impl RouteSocket {
    /// Opens the socket in the caller's network namespace.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` where the kernel has no networking.
    pub fn open() -> Result<RouteSocket, SysError> {
        Socket::open(SockProtocol::NetlinkRoute).map(RouteSocket)
    }

    /// Takes a socket that was made elsewhere.
    pub(super) fn from_fd(socket: OwnedFd) -> RouteSocket {
        RouteSocket(Socket { socket, sequence: 0 })
    }
}

impl DiagSocket {
    /// Opens the socket in the caller's network namespace.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` where the kernel was built without it.
    pub fn open() -> Result<DiagSocket, SysError> {
        Socket::open(SockProtocol::NetlinkSockDiag).map(DiagSocket)
    }

    /// Takes a socket that was made elsewhere.
    pub(super) fn from_fd(socket: OwnedFd) -> DiagSocket {
        DiagSocket(Socket { socket, sequence: 0 })
    }
}

/// Room for answers, used again and again.
pub struct Reader {
    buffer: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader { buffer: vec![0; ROOM] }
    }
}

/// What a dump has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump<T> {
    /// All of it.
    pub items: Vec<T>,
    /// Whether it is all: more than a million of one sort are not taken, and of what changes faster than it can be read something may
    /// be missing.
    pub whole: bool,
}

pub(super) struct Socket {
    pub(super) socket: OwnedFd,
    sequence: u32,
}

/// How a dump came to its end.
enum End {
    Done,
    /// Something has changed meanwhile.
    Disturbed,
    /// A message did not fit, and has this length.
    TooLong(usize),
    /// More than anybody wants.
    TooMany,
}

impl Socket {
    /// Makes a socket that only the kernel can send to: whoever is root in a network namespace may send to others there, and answers
    /// that he has made up would be taken for the kernel's.
    fn open(protocol: SockProtocol) -> Result<Socket, SysError> {
        let opened =
            socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).and_then(|socket| {
                connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
                Ok(Socket { socket, sequence: 0 })
            });
        opened.map_err(|errno| SysError::new(Call::Socket("AF_NETLINK"), errno))
    }

    /// Returns the number of the next request.
    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    pub(super) fn send(&self, message: &[u8]) -> Result<(), Errno> {
        send(self.socket.as_raw_fd(), message, MsgFlags::empty()).map(drop)
    }

    /// Receives a datagram; returns its length, which is more than `buffer` has where it did not fit.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            // SAFETY: an address may be all zeros.
            let mut sender: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
            let mut size = size_of_val(&sender) as libc::socklen_t;
            // SAFETY: `buffer` and `sender` are valid for writes of the lengths that are given with them.
            let length = retry(|| unsafe {
                libc::recvfrom(
                    self.socket.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    libc::MSG_TRUNC,
                    (&raw mut sender).cast(),
                    &raw mut size,
                ) as _
            })?;
            // Somebody may have been quicker than connect(2).
            if sender.nl_pid == 0 {
                return usize::try_from(length).map_err(|_| Errno::EBADMSG);
            }
        }
    }

    /// Asks for all things of one sort. `body` is what the request says behind its header, `parse` takes the body of an answer.
    pub(super) fn dump<T>(
        &mut self,
        kind: u16,
        name: &'static str,
        body: &[u8],
        reader: &mut Reader,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Dump<T>, SysError> {
        let mut items = Vec::new();
        for _ in 0..MOST_TRIES {
            items.clear();
            let end = self.dump_once(kind, body, reader, |body| {
                items.extend(parse(body));
                items.len() < MOST
            });
            match end.map_err(|errno| SysError::new(Call::Netlink(name), errno))? {
                End::Done => return Ok(Dump { items, whole: true }),
                End::Disturbed => {}
                End::TooLong(length) => reader.buffer.resize(length.next_power_of_two(), 0),
                End::TooMany => return Ok(Dump { items, whole: false }),
            }
        }
        Ok(Dump { items, whole: false })
    }

    fn dump_once(
        &mut self,
        kind: u16,
        body: &[u8],
        reader: &mut Reader,
        mut each: impl FnMut(&[u8]) -> bool,
    ) -> Result<End, Errno> {
        let sequence = self.next_sequence();
        self.send(&request(kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, body))?;
        let mut end = End::Done;
        loop {
            let length = self.receive(&mut reader.buffer)?;
            if length > reader.buffer.len() {
                end = End::TooLong(length);
            }
            for message in messages(&reader.buffer[..length.min(reader.buffer.len())]) {
                if message.sequence_number() != sequence {
                    continue;
                }
                if message.flags() & NLM_F_DUMP_INTR != 0 && matches!(end, End::Done) {
                    end = End::Disturbed;
                }
                match message.message_type() {
                    NLMSG_DONE => {
                        return match failure(message.payload()) {
                            // The end of the list carries the errno of what has gone wrong on the way.
                            Some(errno) => Err(errno),
                            None => Ok(end),
                        };
                    }
                    NLMSG_ERROR => return Err(failure(message.payload()).unwrap_or(Errno::EBADMSG)),
                    _ if matches!(end, End::TooMany) => {}
                    _ => {
                        // The rest is read all the same: the socket is asked for other things afterwards.
                        if !each(message.payload()) {
                            end = End::TooMany;
                        }
                    }
                }
            }
        }
    }
}

/// Puts a request together.
pub(super) fn request(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = NETLINK_HEADER_LEN + body.len();
    let mut bytes = vec![0; length];
    bytes[NETLINK_HEADER_LEN..].copy_from_slice(body);
    let mut message = NetlinkBuffer::new(&mut bytes[..]);
    message.set_length(length as u32);
    message.set_message_type(kind);
    message.set_flags(flags);
    message.set_sequence_number(sequence);
    bytes
}

/// Goes through the messages of a datagram; what is no message ends it.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(datagram).ok()?;
        datagram = datagram.get(aligned(message.length() as usize)..).unwrap_or_default();
        Some(message)
    })
}

/// Returns the errno in the first four bytes of a body, which are a negative number; `None` where they are none or zero.
pub(super) fn failure(body: &[u8]) -> Option<Errno> {
    let code = body.first_chunk().map(|code| i32::from_ne_bytes(*code))?;
    (code < 0).then(|| Errno::from_raw(code.saturating_neg()))
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Goes through the attributes of a message: number and value. What is no attribute ends it.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// The flags of `include/uapi/linux/netlink.h`, which say how the value is written.
    const TYPE_MASK: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Returns the two bytes at a place as a number.
pub(super) fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(place..)?.first_chunk()?))
}

/// Returns the four bytes at a place as a number.
pub(super) fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(place..)?.first_chunk()?))
}

/// Returns a text without the NUL that ends it.
pub(super) fn string(value: &[u8]) -> Vec<u8> {
    value.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

/// Returns an address of 4 or 16 bytes.
pub(super) fn ip(value: &[u8]) -> Option<std::net::IpAddr> {
    match value.len() {
        4 => value.first_chunk::<4>().map(|bytes| (*bytes).into()),
        16 => value.first_chunk::<16>().map(|bytes| (*bytes).into()),
        _ => None,
    }
}
