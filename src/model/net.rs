//! Networks: links, addresses, routes and listening sockets, as the kernel tells of them, and what is wired to what.
//!
//! Plain data with the kernel's numbers; [`words`] has the names that go with them. Not here: where the facts come from
//! (`sys::netlink`), how links find each other (`net::wire`). See rtnetlink(7), sock_diag(7).

use std::net::IpAddr;

use super::gap::Gap;
use super::id::{NsId, Pid, Uid};

pub mod words;

/// A link (network device) of a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The network namespace that it is in.
    pub ns: NsId,
    /// Its number there.
    pub ifindex: u32,
    /// Its name: any bytes but `/`, `:`, white space and NUL, 15 at most.
    pub name: Vec<u8>,
    /// What sort of link it is, such as `veth` (`IFLA_INFO_KIND`); `None` for hardware and the loopback device.
    pub kind: Option<Vec<u8>>,
    /// The type of its hardware, an `ARPHRD_` number.
    pub hardware: u16,
    /// The `IFF_` flags of netdevice(7).
    pub flags: u32,
    /// The longest packet, in bytes.
    pub mtu: Option<u32>,
    /// Its state by RFC 2863, an `IF_OPER_` number.
    pub operstate: Option<u8>,
    /// Its hardware address; 6 bytes for Ethernet.
    pub address: Option<Vec<u8>>,
    /// The link in the same namespace that it is a port of: a bridge, a bond, a VRF.
    pub master: Option<u32>,
    /// `IFLA_LINK`: the number of the peer or of the link below, in that one's namespace.
    pub link: Option<u32>,
    /// `IFLA_LINK_NETNSID`: the number that this namespace has for that one's; `None` where it is the same namespace.
    pub link_netnsid: Option<u32>,
    /// What somebody has written onto it (`ip link set alias`).
    pub alias: Option<Vec<u8>>,
    /// Its other names.
    pub altnames: Vec<Vec<u8>>,
    /// The hardware below it, such as `0000:00:03.0` or `virtio0`.
    pub parent_dev: Option<Vec<u8>>,
    /// What only links of its kind have.
    pub detail: Detail,
}

/// What only links of one kind have.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Detail {
    /// Nothing that is shown.
    #[default]
    None,
    /// Of a `vlan`.
    Vlan {
        /// Its number.
        id: u16,
        /// The Ethernet type of its tag: 0x8100, or 0x88a8 for 802.1ad.
        protocol: u16,
    },
    /// Of a `macvlan` or `macvtap`: a `MACVLAN_MODE_` number.
    Macvlan {
        /// The mode.
        mode: u32,
    },
    /// Of an `ipvlan` or `ipvtap`: an `IPVLAN_MODE_` number.
    Ipvlan {
        /// The mode.
        mode: u16,
    },
    /// Of a `tun` (a tap is one, too).
    Tun {
        /// Whether it carries Ethernet frames.
        tap: bool,
        /// Whether it stays when the program that has it open ends.
        persist: bool,
        /// Who may open it; `None` where anybody with the privilege may.
        owner: Option<Uid>,
        /// The group that may open it.
        group: Option<u32>,
    },
    /// Of a `vxlan`.
    Vxlan {
        /// Its number.
        id: u32,
        /// The address that it sends from.
        local: Option<IpAddr>,
        /// The address, of one or of a group, that it sends to.
        remote: Option<IpAddr>,
        /// The UDP port that it sends to.
        port: Option<u16>,
        /// The link in the same namespace that it sends through.
        lower: Option<u32>,
    },
    /// Of a `vrf`.
    Vrf {
        /// The number of its routing table.
        table: u32,
    },
}

/// An address of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The network namespace.
    pub ns: NsId,
    /// The link.
    pub ifindex: u32,
    /// The address.
    pub local: IpAddr,
    /// The address at the other end, where it is another one (point to point).
    pub peer: Option<IpAddr>,
    /// How many bits of it (of the peer's, where there is one) are the network's.
    pub prefix_len: u8,
    /// How far it counts, an `RT_SCOPE_` number.
    pub scope: u8,
    /// The `IFA_F_` flags.
    pub flags: u32,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network namespace.
    pub ns: NsId,
    /// Where it leads to; all zeros of length 0 is the default route.
    pub dst: IpAddr,
    /// How many bits of that count.
    pub dst_len: u8,
    /// The table that it is in.
    pub table: u32,
    /// Who has set it, an `RTPROT_` number.
    pub protocol: u8,
    /// How far it leads, an `RT_SCOPE_` number.
    pub scope: u8,
    /// What becomes of packets, an `RTN_` number.
    pub route_type: u8,
    /// The address that packets are sent from.
    pub prefsrc: Option<IpAddr>,
    /// Of several routes the one with the smallest metric is taken.
    pub metric: Option<u32>,
    /// Where packets go next: one, or several among which they are shared out.
    pub nexthops: Vec<Nexthop>,
}

/// Where a route sends packets.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Nexthop {
    /// The router.
    pub gateway: Option<IpAddr>,
    /// The link.
    pub ifindex: Option<u32>,
    /// Its share.
    pub weight: u32,
}

/// The protocol of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP: it listens.
    Tcp,
    /// UDP: it is bound, and not connected to anybody in particular.
    Udp,
}

impl Protocol {
    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// A socket that anybody may send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The network namespace.
    pub ns: NsId,
    /// Its protocol.
    pub protocol: Protocol,
    /// The address that it is bound to; all zeros is any.
    pub local: IpAddr,
    /// The port.
    pub port: u16,
    /// The link that it is bound to.
    pub ifindex: Option<u32>,
    /// Who has made it, as the caller's user namespace has it.
    pub uid: Uid,
    /// Its inode, by which descriptors name it.
    pub inode: u32,
    /// TCP: connections that wait to be accepted. UDP: bytes that wait to be read.
    pub rqueue: u32,
    /// TCP: how many may wait. UDP: bytes that wait to be sent.
    pub wqueue: u32,
    /// The processes that have it open, as far as they can be seen: some, and how many there are.
    pub holders: Vec<SocketHolder>,
    /// How many descriptors of it were seen.
    pub holder_count: usize,
}

/// A process that has a socket open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketHolder {
    /// The process.
    pub pid: Pid,
    /// Its descriptor.
    pub fd: u32,
}

/// A network namespace, and whether it could be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// The namespace.
    pub ns: NsId,
    /// Whether its links are known.
    pub asked: bool,
}

/// The other end of a link, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The namespace; `None` where none of those that were found is the one.
    pub ns: Option<NsId>,
    /// The number that the link's own namespace has for it; `None` where it is the same one.
    pub netnsid: Option<u32>,
    /// The number of the link there; `None` where only the namespace is known.
    pub ifindex: Option<u32>,
    /// The place of the link in [`Network::links`].
    pub link: Option<usize>,
}

/// What a link is wired to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Wires {
    /// The other end of a pair.
    pub peer: Option<End>,
    /// The link below: of a VLAN the device that its packets go through.
    pub lower: Option<End>,
    /// The place of its master in [`Network::links`].
    pub master: Option<usize>,
    /// The places of its ports, where it is a master.
    pub ports: Vec<usize>,
}

/// All that was asked of the network namespaces of a host.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// The namespaces, the initial one first.
    pub namespaces: Vec<Net>,
    /// The links, by namespace in that order, and by number.
    pub links: Vec<Link>,
    /// What each is wired to, in the order of `links`.
    pub wires: Vec<Wires>,
    /// The addresses, in the order of `links`.
    pub addresses: Vec<Address>,
    /// The routes, where somebody has asked for them.
    pub routes: Option<Vec<Route>>,
    /// The listening sockets, where somebody has asked for them.
    pub listeners: Option<Vec<Listener>>,
    /// What could not be seen of namespaces that were found.
    pub gaps: Vec<Gap>,
}
