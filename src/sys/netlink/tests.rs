//! Messages as the kernel writes them, and as nobody does.

use proptest::prelude::*;

use super::socket::{attributes, failure, messages, request};
use super::{DiagSocket, Reader, RouteSocket, address, diag, link, route};
use crate::model::net::{Address, Detail, Nexthop, Protocol, words};
use crate::model::{NsId, Uid};
use crate::sys::Errno;

fn ns() -> NsId {
    NsId::new(7).expect("not zero")
}

/// An attribute, with the bytes that align the next one.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from((value.len() as u16 + 4).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn link_with(attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![0; 16];
    body[2..4].copy_from_slice(&1u16.to_ne_bytes());
    body[4..8].copy_from_slice(&50u32.to_ne_bytes());
    body[8..12].copy_from_slice(&0x1_1003u32.to_ne_bytes());
    body.extend(attributes.concat());
    body
}

fn info(kind: &[u8], data: &[Vec<u8>]) -> Vec<u8> {
    // The kernel marks the nested ones or does not, by its age.
    attribute(18 | 0x8000, &[attribute(1, kind), attribute(2, &data.concat())].concat())
}

#[test]
fn a_link_is_what_its_attributes_say() {
    let body = link_with(&[
        attribute(3, b"v0\xff\x1b\0"),
        attribute(1, &[2, 0, 0, 0, 0, 1]),
        attribute(4, &1500u32.to_ne_bytes()),
        attribute(5, &50u32.to_ne_bytes()),
        attribute(37, &3u32.to_ne_bytes()),
        attribute(10, &4u32.to_ne_bytes()),
        attribute(16, &[6]),
        attribute(20, b"uplink\0"),
        attribute(52, &[attribute(53, b"first\0"), attribute(53, b"second\0")].concat()),
        // An attribute that nobody knows yet costs nothing.
        attribute(4000, b"?"),
        info(b"veth\0", &[]),
    ]);
    let found = link::parse(ns(), &body).expect("a link");
    assert_eq!((found.ifindex, found.hardware, &found.name[..]), (50, 1, &b"v0\xff\x1b"[..]));
    assert_eq!((found.link, found.link_netnsid, found.master), (Some(50), Some(3), Some(4)));
    assert_eq!((found.mtu, found.operstate, found.kind.as_deref()), (Some(1500), Some(6), Some(&b"veth"[..])));
    assert_eq!((found.alias.as_deref(), found.altnames.len()), (Some(&b"uplink"[..]), 2));
    assert!(found.flags & words::IFF_LOWER_UP != 0 && found.flags & words::IFF_UP != 0);
    assert_eq!(found.detail, Detail::None);
}

#[test]
fn what_only_one_kind_has_is_read_for_that_kind() {
    let number = |value: u32| value.to_ne_bytes();
    for (kind, data, detail) in [
        (
            &b"vlan\0"[..],
            vec![attribute(1, &7u16.to_ne_bytes()), attribute(5, &0x88a8u16.to_be_bytes())],
            Detail::Vlan { id: 7, protocol: 0x88a8 },
        ),
        (b"macvlan\0", vec![attribute(1, &number(4))], Detail::Macvlan { mode: 4 }),
        (b"ipvlan\0", vec![attribute(1, &1u16.to_ne_bytes())], Detail::Ipvlan { mode: 1 }),
        (
            b"tun\0",
            vec![attribute(1, &number(1000)), attribute(3, &[2]), attribute(6, &[1])],
            Detail::Tun { tap: true, persist: true, owner: Some(Uid(1000)), group: None },
        ),
        (
            b"vxlan\0",
            vec![
                attribute(1, &number(42)),
                attribute(3, &number(2)),
                attribute(4, &[10, 0, 0, 1]),
                attribute(15, &4789u16.to_be_bytes()),
            ],
            Detail::Vxlan { id: 42, local: Some([10, 0, 0, 1].into()), remote: None, port: Some(4789), lower: Some(2) },
        ),
        (b"vrf\0", vec![attribute(1, &number(10))], Detail::Vrf { table: 10 }),
        (b"vlan\0", vec![], Detail::None),
        (b"unheard-of\0", vec![attribute(1, &number(1))], Detail::None),
    ] {
        let found = link::parse(ns(), &link_with(&[attribute(3, b"x\0"), info(kind, &data)])).expect("a link");
        assert_eq!(found.detail, detail);
    }
}

#[test]
fn an_address_has_a_peer_where_that_is_another_one() {
    let body = |attributes: &[Vec<u8>]| {
        let mut body = vec![2, 24, 0x80, 0, 5, 0, 0, 0];
        body[4..8].copy_from_slice(&5u32.to_ne_bytes());
        body.extend(attributes.concat());
        body
    };
    let found = |attributes: &[Vec<u8>]| address::parse(ns(), &body(attributes)).expect("an address");
    let plain =
        found(&[attribute(1, &[10, 0, 0, 1]), attribute(2, &[10, 0, 0, 1]), attribute(8, &0x280u32.to_ne_bytes())]);
    let expected = Address {
        ns: ns(),
        ifindex: 5,
        local: [10, 0, 0, 1].into(),
        peer: None,
        prefix_len: 24,
        scope: 0,
        flags: 0x280,
    };
    assert_eq!(plain, expected);
    let pointed = found(&[attribute(1, &[10, 0, 0, 2]), attribute(2, &[10, 0, 0, 1])]);
    assert_eq!((pointed.local, pointed.peer), ([10, 0, 0, 1].into(), Some([10, 0, 0, 2].into())));
    assert_eq!(address::parse(ns(), &[129, 0, 0, 0, 0, 0, 0, 0]), None, "neither IPv4 nor IPv6");
}

#[test]
fn a_route_has_its_hops() {
    let header = [2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    let body = |attributes: &[Vec<u8>]| [&header[..], &attributes.concat()].concat();
    let one =
        body(&[attribute(5, &[10, 0, 0, 1]), attribute(4, &2u32.to_ne_bytes()), attribute(6, &100u32.to_ne_bytes())]);
    let found = route::parse(ns(), &one).expect("a route");
    let hop = Nexthop { gateway: Some([10, 0, 0, 1].into()), ifindex: Some(2), weight: 1 };
    assert_eq!((found.dst_len, found.metric, found.nexthops), (0, Some(100), vec![hop]));

    let hop = |index: u32, gateway: [u8; 4]| {
        let inner = attribute(5, &gateway);
        let mut bytes = Vec::from((8 + inner.len() as u16).to_ne_bytes());
        bytes.extend([0, 1]);
        bytes.extend(index.to_ne_bytes());
        bytes.extend(inner);
        bytes
    };
    let shared = body(&[attribute(9, &[hop(2, [10, 0, 0, 1]), hop(3, [10, 0, 1, 1])].concat())]);
    let found = route::parse(ns(), &shared).expect("a route");
    let hops: Vec<_> = found.nexthops.iter().map(|hop| (hop.ifindex, hop.weight)).collect();
    assert_eq!(hops, [(Some(2), 2), (Some(3), 2)]);
    assert!(route::parse(ns(), &[128; 12]).is_none());
}

#[test]
fn a_socket_without_a_port_listens_to_nobody() {
    let mut body = [0; 72];
    body[0] = 2;
    body[8..12].copy_from_slice(&[127, 0, 0, 1]);
    body[64..68].copy_from_slice(&1000u32.to_ne_bytes());
    body[68..72].copy_from_slice(&77u32.to_ne_bytes());
    assert_eq!(diag::parse(ns(), Protocol::Udp, &body), None);
    body[4..6].copy_from_slice(&53u16.to_be_bytes());
    let found = diag::parse(ns(), Protocol::Udp, &body).expect("a socket");
    assert_eq!((found.port, found.uid, found.inode), (53, Uid(1000), 77));
    assert_eq!(found.local, std::net::IpAddr::from([127, 0, 0, 1]));
}

#[test]
fn the_own_namespace_tells_of_its_loopback_device() {
    let mut reader = Reader::default();
    let mut socket = RouteSocket::open().expect("a socket");
    let links = socket.links(ns(), &mut reader).expect("links");
    assert!(links.whole);
    let loopback = links.items.iter().find(|link| link.ifindex == 1).expect("the first link");
    assert_eq!((&loopback.name[..], words::hardware(loopback.hardware)), (&b"lo"[..], Some("loopback")));
    let addresses = socket.addresses(ns(), &mut reader).expect("addresses");
    assert!(addresses.items.iter().all(|address| links.items.iter().any(|link| link.ifindex == address.ifindex)));
    socket.routes(ns(), &mut reader).expect("routes");
}

#[test]
fn a_socket_that_listens_is_found() {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = tcp.local_addr().expect("an address").port();
    let mut socket = DiagSocket::open().expect("a socket");
    let found = socket.listeners(ns(), Protocol::Tcp, false, &mut Reader::default()).expect("sockets");
    let own = found.items.iter().find(|listener| listener.port == port).expect("it is there");
    assert_eq!(own.uid.0, nix::unistd::geteuid().as_raw());
}

#[test]
fn nobody_but_the_kernel_can_answer() {
    use nix::sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, getsockname, sendto, socket,
    };
    use std::os::fd::AsRawFd;
    let asking = RouteSocket::open().expect("a socket");
    let port = getsockname::<NetlinkAddr>(asking.0.socket.as_raw_fd()).expect("an address").pid();
    let liar = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
    let sent = sendto(
        liar.expect("a socket").as_raw_fd(),
        &request(16, 0, 1, &[]),
        &NetlinkAddr::new(port, 0),
        MsgFlags::empty(),
    );
    // Root of the namespace would be let through to a socket that does not insist on the kernel.
    assert!(matches!(sent, Err(Errno::ECONNREFUSED | Errno::EPERM)), "{sent:?}");
}

#[test]
fn a_refusal_is_an_errno() {
    assert_eq!(failure(&(-1i32).to_ne_bytes()), Some(Errno::EPERM));
    assert_eq!((failure(&0i32.to_ne_bytes()), failure(&[1])), (None, None));
    assert!(failure(&i32::MIN.to_ne_bytes()).is_some());
}

#[test]
fn a_request_is_read_back() {
    let bytes = request(18, 0x301, 9, &[1, 2, 3, 4]);
    let all: Vec<_> = messages(&bytes).map(|message| (message.message_type(), message.payload().to_vec())).collect();
    assert_eq!(all, [(18, vec![1, 2, 3, 4])]);
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for message in messages(&bytes) {
            let _ = failure(message.payload());
        }
        let _ = attributes(&bytes).count();
        let _ = link::parse(ns(), &bytes);
        let _ = address::parse(ns(), &bytes);
        let _ = route::parse(ns(), &bytes);
        let _ = diag::parse(ns(), Protocol::Tcp, &bytes);
    }

    #[test]
    fn no_attributes_make_a_parser_panic(
        kinds in proptest::collection::vec((0u16..60, proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
        kind in proptest::sample::select(vec!["vlan", "macvlan", "ipvlan", "tun", "vxlan", "vrf"]),
    ) {
        let all: Vec<_> = kinds.iter().map(|(kind, value)| attribute(*kind, value)).collect();
        let _ = link::parse(ns(), &link_with(&[info(kind.as_bytes(), &all), all.concat()]));
        let _ = route::parse(ns(), &[&[2; 12][..], &all.concat()].concat());
        let _ = address::parse(ns(), &[&[10; 8][..], &all.concat()].concat());
    }
}
