//! Links: `RTM_GETLINK`.

use super::socket::{Dump, Reader, RouteSocket, attributes, ip, string, u16_at, u32_at};
use crate::model::net::{Detail, Link};
use crate::model::{NsId, Uid};
use crate::sys::SysError;

/// Message types and attributes, `include/uapi/linux/rtnetlink.h` and `if_link.h`.
const RTM_GETLINK: u16 = 18;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_PARENT_DEV_NAME: u16 = 56;

const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;

/// The size of `struct ifinfomsg`.
const HEADER: usize = 16;
/// Leaves counters out, which are half of a message.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

impl RouteSocket {
    /// Returns the links of the namespace of the socket, which is `ns`.
    ///
    /// The kernel gives each namespace that one of them leads to a number in this one, if it has none yet.
    ///
    /// # Errors
    /// None that a caller can do anything about.
    pub fn links(&mut self, ns: NsId, reader: &mut Reader) -> Result<Dump<Link>, SysError> {
        let mut body = [0; HEADER + 8];
        body[HEADER..HEADER + 2].copy_from_slice(&8u16.to_ne_bytes());
        body[HEADER + 2..HEADER + 4].copy_from_slice(&IFLA_EXT_MASK.to_ne_bytes());
        body[HEADER + 4..].copy_from_slice(&RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        let mut dump = self.0.dump(RTM_GETLINK, "RTM_GETLINK", &body, reader, |body| parse(ns, body))?;
        // A dump that was disturbed may have one twice.
        dump.items.sort_by_key(|link| link.ifindex);
        dump.items.dedup_by_key(|link| link.ifindex);
        Ok(dump)
    }
}

/// Takes a link apart; `None` where it has no number or no name.
pub(super) fn parse(ns: NsId, body: &[u8]) -> Option<Link> {
    let mut link = Link {
        ns,
        ifindex: u32_at(body, 4).filter(|&index| index != 0)?,
        name: Vec::new(),
        kind: None,
        hardware: u16_at(body, 2)?,
        flags: u32_at(body, 8)?,
        mtu: None,
        operstate: None,
        address: None,
        master: None,
        link: None,
        link_netnsid: None,
        alias: None,
        altnames: Vec::new(),
        parent_dev: None,
        detail: Detail::None,
    };
    for (kind, value) in attributes(body.get(HEADER..)?) {
        match kind {
            IFLA_ADDRESS => link.address = Some(value.to_vec()).filter(|address| !address.is_empty()),
            IFLA_IFNAME => link.name = string(value),
            IFLA_MTU => link.mtu = u32_at(value, 0),
            IFLA_LINK => link.link = u32_at(value, 0),
            IFLA_MASTER => link.master = u32_at(value, 0),
            IFLA_OPERSTATE => link.operstate = value.first().copied(),
            IFLA_LINKINFO => info(value, &mut link),
            IFLA_IFALIAS => link.alias = Some(string(value)).filter(|alias| !alias.is_empty()),
            IFLA_LINK_NETNSID => link.link_netnsid = u32_at(value, 0).filter(|&number| number <= i32::MAX as u32),
            IFLA_PROP_LIST => {
                let names = attributes(value).filter(|(kind, _)| *kind == IFLA_ALT_IFNAME);
                link.altnames.extend(names.map(|(_, name)| string(name)));
            }
            IFLA_PARENT_DEV_NAME => link.parent_dev = Some(string(value)),
            _ => {}
        }
    }
    Some(link).filter(|link| !link.name.is_empty())
}

/// Takes in what sort of link it is, and what only that sort has.
fn info(value: &[u8], link: &mut Link) {
    let (mut kind, mut data) = (None, None);
    for (number, value) in attributes(value) {
        match number {
            IFLA_INFO_KIND => kind = Some(string(value)),
            IFLA_INFO_DATA => data = Some(value),
            _ => {}
        }
    }
    if let (Some(kind), Some(data)) = (&kind, data) {
        link.detail = detail(kind, data).unwrap_or_default();
    }
    link.kind = kind.filter(|kind| !kind.is_empty());
}

fn detail(kind: &[u8], data: &[u8]) -> Option<Detail> {
    let find = |wanted: u16| attributes(data).find(|(number, _)| *number == wanted).map(|(_, value)| value);
    let short = |wanted| find(wanted).and_then(|value| u16_at(value, 0));
    let long = |wanted| find(wanted).and_then(|value| u32_at(value, 0));
    Some(match kind {
        b"vlan" => Detail::Vlan { id: short(1)?, protocol: short(5).map_or(0x8100, u16::from_be) },
        b"macvlan" | b"macvtap" => Detail::Macvlan { mode: long(1)? },
        b"ipvlan" | b"ipvtap" => Detail::Ipvlan { mode: short(1)? },
        b"tun" => Detail::Tun {
            tap: find(3)?.first() == Some(&2),
            persist: find(6).is_some_and(|value| value.first() == Some(&1)),
            owner: long(1).map(Uid),
            group: long(2),
        },
        b"vxlan" => Detail::Vxlan {
            id: long(1)?,
            local: find(4).or_else(|| find(17)).and_then(ip),
            remote: find(2).or_else(|| find(16)).and_then(ip),
            port: short(15).map(u16::from_be),
            lower: long(3).filter(|&index| index != 0),
        },
        b"vrf" => Detail::Vrf { table: long(1)? },
        _ => return None,
    })
}
