//! What the columns of `nsx net` hold.

use std::net::IpAddr;

use super::{Of, Row, View};
use crate::model::net::{Detail, End, Link, Listener, Nexthop, words};
use crate::model::{NsId, Pid, Uid};
use crate::render::column::container_name;
use crate::render::text::sanitize;
use crate::select::Value;

/// More addresses, ports or routers than this are counted and not named: a cell is to be read.
const MOST_NAMED: usize = 32;

pub(super) fn optional(number: Option<u32>) -> Value {
    number.map_or(Value::Null, |number| Value::Number(number.into()))
}

pub(super) fn clean(bytes: &[u8]) -> String {
    sanitize(bytes).into_owned()
}

fn text(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::Text)
}

/// Joins texts by commas; of too many the rest is a number.
fn listed(mut all: impl Iterator<Item = String>) -> Value {
    let mut named: Vec<String> = all.by_ref().take(MOST_NAMED).collect();
    let more = all.count();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    if named.is_empty() { Value::Null } else { Value::Text(named.join(",")) }
}

pub(super) fn of_link(row: &Row<'_>, value: impl Fn(&Link) -> Value) -> Value {
    match row.of {
        Of::Link(place) => value(&row.view.network.links[place]),
        _ => Value::Null,
    }
}

pub(super) fn of_listener(row: &Row<'_>, value: impl Fn(&Listener) -> Value) -> Value {
    match row.of {
        Of::Listener(listener) => value(listener),
        _ => Value::Null,
    }
}

/// Names a namespace in a word.
pub(super) fn called(view: &View<'_>, ns: NsId) -> Option<String> {
    view.who.get(&ns)?.name().map(|name| clean(&name))
}

/// Names a namespace so that no other can be meant: by its name if it is the only one that is called so, else by its inode, too.
pub(super) fn called_clearly(view: &View<'_>, ns: NsId) -> String {
    match called(view, ns) {
        Some(name) if view.called.get(&name) == Some(&1) => name,
        Some(name) => format!("{ns} ({name})"),
        None => ns.to_string(),
    }
}

pub(super) fn name(row: &Row<'_>) -> Value {
    Value::Text(called(row.view, row.ns).unwrap_or_else(|| row.ns.to_string()))
}

pub(super) fn link_name(row: &Row<'_>) -> Value {
    match row.of {
        Of::Unseen => Value::Null,
        Of::Link(place) => Value::Text(clean(&row.view.network.links[place].name)),
        Of::Route(route) => {
            listed(route.nexthops.iter().filter_map(|hop| Some(by_number(row.view, row.ns, hop.ifindex?))))
        }
        Of::Listener(listener) => text(listener.ifindex.map(|ifindex| by_number(row.view, row.ns, ifindex))),
    }
}

/// Names a link of a namespace; one that is not there (any more) by its number, as the kernel does.
fn by_number(view: &View<'_>, ns: NsId, ifindex: u32) -> String {
    view.link(ns, ifindex).map_or_else(|| format!("if{ifindex}"), |link| clean(&link.name))
}

/// Says of what sort a link is: its kind, else its hardware.
pub(super) fn sort_of(link: &Link) -> String {
    match (&link.kind, &link.detail) {
        (_, Detail::Tun { tap, .. }) => if *tap { "tap" } else { "tun" }.to_owned(),
        (Some(kind), _) => clean(kind),
        (None, _) => words::hardware(link.hardware).map_or_else(|| link.hardware.to_string(), str::to_owned),
    }
}

pub(super) fn kind(row: &Row<'_>) -> Value {
    match row.of {
        Of::Link(place) => Value::Text(sort_of(&row.view.network.links[place])),
        Of::Route(route) => {
            let known = words::route_type(route.route_type);
            Value::Text(known.map_or_else(|| route.route_type.to_string(), str::to_owned))
        }
        _ => Value::Null,
    }
}

/// Says in a word whether a link can be used: the kernel's state, but for one that is switched on and has no carrier.
pub(super) fn state_of(link: &Link) -> String {
    let (up, carrier) = (link.flags & words::IFF_UP != 0, link.flags & words::IFF_LOWER_UP != 0);
    match link.operstate.and_then(words::operstate) {
        Some("down") if up && !carrier => "no-carrier".to_owned(),
        Some(state) => state.to_owned(),
        None => "unknown".to_owned(),
    }
}

pub(super) fn state(row: &Row<'_>) -> Value {
    match row.of {
        Of::Unseen => Value::Text("unseen".to_owned()),
        _ => of_link(row, |link| Value::Text(state_of(link))),
    }
}

pub(super) fn addresses(row: &Row<'_>) -> Value {
    of_link(row, |link| addresses_of(row.view, link))
}

pub(super) fn addresses_of(view: &View<'_>, link: &Link) -> Value {
    let of_link = view.addresses.get(&(link.ns, link.ifindex)).map_or(&[][..], Vec::as_slice);
    listed(of_link.iter().map(|address| match address.peer {
        Some(peer) => format!("{} peer {peer}/{}", address.local, address.prefix_len),
        None => format!("{}/{}", address.local, address.prefix_len),
    }))
}

/// Says where the other end of a link is; seen from `ns`.
pub(super) fn end(view: &View<'_>, ns: NsId, end: &End) -> String {
    let link = end.link.map(|place| &view.network.links[place]);
    let mut text = match (link, end.ifindex) {
        (Some(link), _) => clean(&link.name),
        (None, Some(ifindex)) => format!("if{ifindex}"),
        (None, None) => "a link".to_owned(),
    };
    match (end.ns, end.netnsid) {
        (Some(other), _) if other == ns => {}
        (Some(other), _) => text.push_str(&format!(" in {}", called_clearly(view, other))),
        (None, Some(number)) => text.push_str(&format!(" in netnsid {number}")),
        (None, None) => {}
    }
    if let Some(master) = end.link.and_then(|place| view.network.wires[place].master) {
        text.push_str(&format!(" on {}", clean(&view.network.links[master].name)));
    }
    text
}

pub(super) fn peer(row: &Row<'_>) -> Value {
    let Of::Link(place) = row.of else { return Value::Null };
    peer_of(row.view, place).map_or(Value::Null, Value::Text)
}

pub(super) fn peer_of(view: &View<'_>, place: usize) -> Option<String> {
    let (link, wires) = (&view.network.links[place], &view.network.wires[place]);
    let peer = wires.peer.as_ref().map(|peer| end(view, link.ns, peer));
    peer.or_else(|| Some(format!("over {}", end(view, link.ns, wires.lower.as_ref()?))))
}

pub(super) fn master(row: &Row<'_>) -> Value {
    of_link(row, |link| text(link.master.map(|master| by_number(row.view, link.ns, master))))
}

pub(super) fn ports(row: &Row<'_>) -> Value {
    let Of::Link(place) = row.of else { return Value::Null };
    let network = row.view.network;
    listed(network.wires[place].ports.iter().map(|&port| clean(&network.links[port].name)))
}

pub(super) fn info(row: &Row<'_>) -> Value {
    let Of::Link(place) = row.of else { return Value::Null };
    info_of(row.view, place).map_or(Value::Null, Value::Text)
}

fn user_name(view: &View<'_>, uid: Uid) -> String {
    view.users.name(uid).map_or_else(|| uid.to_string(), |name| clean(name.as_bytes()))
}

/// Says what only links of one kind have.
pub(super) fn info_of(view: &View<'_>, place: usize) -> Option<String> {
    let (link, ports) = (&view.network.links[place], view.network.wires[place].ports.len());
    let mut parts = match &link.detail {
        Detail::None => Vec::new(),
        Detail::Vlan { id, protocol: 0x8100 } => vec![format!("id {id}")],
        Detail::Vlan { id, protocol: 0x88a8 } => vec![format!("id {id} 802.1ad")],
        Detail::Vlan { id, protocol } => vec![format!("id {id} protocol {protocol:#06x}")],
        Detail::Macvlan { mode } => {
            vec![format!("mode {}", words::macvlan_mode(*mode).map_or_else(|| mode.to_string(), str::to_owned))]
        }
        Detail::Ipvlan { mode } => {
            vec![format!("mode {}", words::ipvlan_mode(*mode).map_or_else(|| mode.to_string(), str::to_owned))]
        }
        Detail::Tun { persist, owner, group, .. } => {
            let owner = owner.map(|uid| format!("owner {}", user_name(view, uid)));
            let group = group.map(|gid| format!("group {gid}"));
            let persist = persist.then(|| "persistent".to_owned());
            [owner, group, persist].into_iter().flatten().collect()
        }
        Detail::Vxlan { id, local, remote, port, lower } => {
            let id = Some(format!("id {id}"));
            let local = local.map(|address| format!("local {address}"));
            let remote = remote.map(|address| format!("remote {address}"));
            let port = port.map(|port| format!("port {port}"));
            let dev = lower.filter(|_| link.link_netnsid.is_none());
            let dev = dev.map(|index| format!("dev {}", by_number(view, link.ns, index)));
            [id, local, remote, port, dev].into_iter().flatten().collect()
        }
        Detail::Vrf { table } => vec![format!("table {table}")],
    };
    if ports > 0 {
        parts.push(if ports == 1 { "1 port".to_owned() } else { format!("{ports} ports") });
    }
    if let Some(hardware) = &link.parent_dev {
        parts.push(clean(hardware));
    }
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Writes a hardware address.
pub(super) fn hex(address: &[u8]) -> String {
    let bytes: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

pub(super) fn mac(row: &Row<'_>) -> Value {
    of_link(row, |link| text(link.address.as_deref().map(hex)))
}

pub(super) fn flags(row: &Row<'_>) -> Value {
    of_link(row, |link| Value::Text(words::flags(link.flags).collect::<Vec<_>>().join(",")))
}

pub(super) fn alias(row: &Row<'_>) -> Value {
    of_link(row, |link| text(link.alias.as_deref().map(clean)))
}

/// Writes where a route leads to; `default` where that is everywhere.
pub(super) fn destination(dst: IpAddr, length: u8) -> String {
    if length == 0 && dst.is_unspecified() { "default".to_owned() } else { format!("{dst}/{length}") }
}

pub(super) fn dst(row: &Row<'_>) -> Value {
    match row.of {
        Of::Route(route) => Value::Text(destination(route.dst, route.dst_len)),
        _ => Value::Null,
    }
}

pub(super) fn via(row: &Row<'_>) -> Value {
    let Of::Route(route) = row.of else { return Value::Null };
    listed(route.nexthops.iter().filter_map(|hop: &Nexthop| Some(hop.gateway?.to_string())))
}

pub(super) fn src(row: &Row<'_>) -> Value {
    match row.of {
        Of::Route(route) => text(route.prefsrc.map(|address| address.to_string())),
        _ => Value::Null,
    }
}

pub(super) fn scope(row: &Row<'_>) -> Value {
    match row.of {
        Of::Route(route) => {
            Value::Text(words::scope(route.scope).map_or_else(|| route.scope.to_string(), str::to_owned))
        }
        _ => Value::Null,
    }
}

pub(super) fn table(row: &Row<'_>) -> Value {
    match row.of {
        Of::Route(route) => {
            Value::Text(words::table(route.table).map_or_else(|| route.table.to_string(), str::to_owned))
        }
        _ => Value::Null,
    }
}

pub(super) fn protocol(row: &Row<'_>) -> Value {
    match row.of {
        Of::Route(route) => {
            Value::Text(words::protocol(route.protocol).map_or_else(|| route.protocol.to_string(), str::to_owned))
        }
        Of::Listener(listener) => Value::Text(listener.protocol.name().to_owned()),
        _ => Value::Null,
    }
}

pub(super) fn local(row: &Row<'_>) -> Value {
    of_listener(row, |listener| Value::Text(listener.local.to_string()))
}

/// Returns the process that a row is about: of a socket who has it, else the leader of the namespace.
pub(super) fn pid(row: &Row<'_>) -> Option<Pid> {
    match row.of {
        Of::Listener(listener) => listener.holders.first().map(|holder| holder.pid),
        _ => row.view.who.get(&row.ns)?.leader,
    }
}

pub(super) fn user(row: &Row<'_>) -> Value {
    let uid = match row.of {
        Of::Listener(listener) => Some(listener.uid),
        _ => pid(row).and_then(|pid| row.view.details(pid)?.uid),
    };
    text(uid.map(|uid| user_name(row.view, uid)))
}

pub(super) fn container(row: &Row<'_>) -> Value {
    let details = pid(row).and_then(|pid| row.view.details(pid));
    text(details.and_then(container_name))
}

pub(super) fn nsfs(row: &Row<'_>) -> Value {
    let Some(namespace) = row.view.snapshot.namespace(row.ns) else { return Value::Null };
    let mut paths: Vec<&[u8]> = namespace.bind_mounts().map(|(path, _)| path).collect();
    paths.dedup();
    listed(paths.into_iter().map(clean))
}

pub(super) fn command(row: &Row<'_>) -> Value {
    text(pid(row).and_then(|pid| command_of(row.view, pid)))
}

pub(super) fn command_of(view: &View<'_>, pid: Pid) -> Option<String> {
    view.details(pid)?.command.as_deref().map(clean)
}
