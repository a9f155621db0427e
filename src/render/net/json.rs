//! The document of `nsx net --json`, schema `nsx.net/1`: flat arrays, with the kernel's words as keys.

use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Of, Row, View, cells};
use crate::model::net::{Address, Detail, End, Link, Listener, Route, words};
use crate::model::{Gap, NsId};
use crate::render::json::{ContainerJson, GapJson, Text, write_rows};

#[derive(Serialize)]
struct NamespaceJson<'a> {
    ns: u32,
    seen: bool,
    initial: Option<bool>,
    own: bool,
    nprocs: usize,
    pid: Option<u32>,
    #[serde(flatten)]
    command: Text<'a>,
    uid: Option<u32>,
    user: Option<&'a str>,
    container: Option<ContainerJson>,
    names: Vec<Text<'a>>,
    owner: Option<u32>,
}

impl<'a> NamespaceJson<'a> {
    fn new(view: &'a View<'a>, ns: NsId, seen: bool) -> Option<NamespaceJson<'a>> {
        let (namespace, who) = (view.snapshot.namespace(ns)?, view.who.get(&ns)?);
        let details = who.leader.and_then(|pid| view.details(pid));
        let uid = details.and_then(|details| details.uid);
        let command = details.and_then(|details| details.command.as_deref());
        Some(NamespaceJson {
            ns: ns.inode(),
            seen,
            initial: namespace.initial,
            own: namespace.own,
            nprocs: namespace.nprocs(),
            pid: who.leader.map(|pid| pid.0),
            command: Text { key: "command", raw_key: "command_raw", bytes: command },
            uid: uid.map(|uid| uid.0),
            user: uid.and_then(|uid| view.users.name(uid)),
            container: who.container.clone().map(ContainerJson::from),
            names: who.names.iter().map(|name| Text { key: "name", raw_key: "name_raw", bytes: Some(name) }).collect(),
            owner: namespace.owner.map(|id| id.inode()),
        })
    }
}

/// The other end of a link.
#[derive(Serialize)]
struct EndJson<'a> {
    ns: Option<u32>,
    netnsid: Option<u32>,
    ifindex: Option<u32>,
    #[serde(flatten)]
    name: Text<'a>,
    master: Option<u32>,
    #[serde(flatten)]
    master_name: Text<'a>,
}

fn name(link: Option<&Link>) -> Text<'_> {
    Text { key: "ifname", raw_key: "ifname_raw", bytes: link.map(|link| &link.name[..]) }
}

fn master_name(link: Option<&Link>) -> Text<'_> {
    Text { key: "master_ifname", raw_key: "master_ifname_raw", bytes: link.map(|link| &link.name[..]) }
}

impl<'a> EndJson<'a> {
    fn new(view: &'a View<'a>, end: &End) -> EndJson<'a> {
        let link = end.link.map(|place| &view.network.links[place]);
        let master =
            end.link.and_then(|place| view.network.wires[place].master).map(|place| &view.network.links[place]);
        EndJson {
            ns: end.ns.map(|ns| ns.inode()),
            netnsid: end.netnsid,
            ifindex: end.ifindex,
            name: name(link),
            master: link.and_then(|link| link.master),
            master_name: master_name(master),
        }
    }
}

#[derive(Serialize)]
struct LinkJson<'a> {
    ns: u32,
    ifindex: u32,
    #[serde(flatten)]
    name: Text<'a>,
    altnames: Vec<Text<'a>>,
    #[serde(flatten)]
    kind: Text<'a>,
    link_type: Option<&'static str>,
    flags: Vec<&'static str>,
    mtu: Option<u32>,
    operstate: Option<&'static str>,
    address: Option<String>,
    master: Option<u32>,
    #[serde(flatten)]
    master_name: Text<'a>,
    link: Option<u32>,
    link_netnsid: Option<u32>,
    peer: Option<EndJson<'a>>,
    lower: Option<EndJson<'a>>,
    #[serde(flatten)]
    alias: Text<'a>,
    #[serde(flatten)]
    parent_dev: Text<'a>,
    info_data: Json,
}

impl<'a> LinkJson<'a> {
    fn new(view: &'a View<'a>, place: usize) -> LinkJson<'a> {
        let (link, wires) = (&view.network.links[place], &view.network.wires[place]);
        let altname = |name| Text { key: "name", raw_key: "name_raw", bytes: Some(name) };
        LinkJson {
            ns: link.ns.inode(),
            ifindex: link.ifindex,
            name: name(Some(link)),
            altnames: link.altnames.iter().map(|name| altname(&name[..])).collect(),
            kind: Text { key: "kind", raw_key: "kind_raw", bytes: link.kind.as_deref() },
            link_type: words::hardware(link.hardware),
            flags: words::flags(link.flags).collect(),
            mtu: link.mtu,
            operstate: link.operstate.and_then(words::operstate),
            address: link.address.as_deref().map(cells::hex),
            master: link.master,
            master_name: master_name(wires.master.map(|place| &view.network.links[place])),
            link: link.link,
            link_netnsid: link.link_netnsid,
            peer: wires.peer.as_ref().map(|end| EndJson::new(view, end)),
            lower: wires.lower.as_ref().map(|end| EndJson::new(view, end)),
            alias: Text { key: "ifalias", raw_key: "ifalias_raw", bytes: link.alias.as_deref() },
            parent_dev: Text { key: "parent_dev", raw_key: "parent_dev_raw", bytes: link.parent_dev.as_deref() },
            info_data: info(view, &link.detail),
        }
    }
}

fn info(view: &View<'_>, detail: &Detail) -> Json {
    match detail {
        Detail::None => Json::Null,
        Detail::Vlan { id, protocol } => {
            let protocol = match protocol {
                0x8100 => "802.1Q".to_owned(),
                0x88a8 => "802.1ad".to_owned(),
                other => format!("{other:#06x}"),
            };
            json!({"id": id, "protocol": protocol})
        }
        Detail::Macvlan { mode } => json!({"mode": words::macvlan_mode(*mode)}),
        Detail::Ipvlan { mode } => json!({"mode": words::ipvlan_mode(*mode)}),
        Detail::Tun { tap, persist, owner, group } => json!({
            "type": if *tap { "tap" } else { "tun" },
            "persist": persist,
            "owner": owner.map(|uid| uid.0),
            "user": owner.and_then(|uid| view.users.name(uid)),
            "group": group,
        }),
        Detail::Vxlan { id, local, remote, port, lower } => {
            json!({"id": id, "local": local, "remote": remote, "port": port, "link": lower})
        }
        Detail::Vrf { table } => json!({"table": table}),
    }
}

const fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "inet",
        IpAddr::V6(_) => "inet6",
    }
}

#[derive(Serialize)]
struct AddressJson {
    ns: u32,
    ifindex: u32,
    family: &'static str,
    local: IpAddr,
    peer: Option<IpAddr>,
    prefixlen: u8,
    scope: Option<&'static str>,
    flags: Vec<&'static str>,
}

impl From<&Address> for AddressJson {
    fn from(address: &Address) -> AddressJson {
        AddressJson {
            ns: address.ns.inode(),
            ifindex: address.ifindex,
            family: family(address.local),
            local: address.local,
            peer: address.peer,
            prefixlen: address.prefix_len,
            scope: words::scope(address.scope),
            flags: words::address_flags(address.flags).collect(),
        }
    }
}

#[derive(Serialize)]
struct NexthopJson {
    gateway: Option<IpAddr>,
    ifindex: Option<u32>,
    weight: u32,
}

#[derive(Serialize)]
struct RouteJson {
    ns: u32,
    family: &'static str,
    r#type: String,
    dst: String,
    table: u32,
    protocol: String,
    scope: Option<&'static str>,
    prefsrc: Option<IpAddr>,
    metric: Option<u32>,
    nexthops: Vec<NexthopJson>,
}

impl From<&Route> for RouteJson {
    fn from(route: &Route) -> RouteJson {
        let word = |word: Option<&str>, number: u8| word.map_or_else(|| number.to_string(), str::to_owned);
        let hop = |hop: &crate::model::net::Nexthop| NexthopJson {
            gateway: hop.gateway,
            ifindex: hop.ifindex,
            weight: hop.weight,
        };
        RouteJson {
            ns: route.ns.inode(),
            family: family(route.dst),
            r#type: word(words::route_type(route.route_type), route.route_type),
            dst: format!("{}/{}", route.dst, route.dst_len),
            table: route.table,
            protocol: word(words::protocol(route.protocol), route.protocol),
            scope: words::scope(route.scope),
            prefsrc: route.prefsrc,
            metric: route.metric,
            nexthops: route.nexthops.iter().map(hop).collect(),
        }
    }
}

#[derive(Serialize)]
struct HolderJson<'a> {
    pid: u32,
    fd: u32,
    #[serde(flatten)]
    command: Text<'a>,
    container: Option<ContainerJson>,
}

#[derive(Serialize)]
struct SocketJson<'a> {
    ns: u32,
    protocol: &'static str,
    family: &'static str,
    local: IpAddr,
    port: u16,
    ifindex: Option<u32>,
    uid: u32,
    user: Option<&'a str>,
    inode: u32,
    rqueue: u32,
    wqueue: u32,
    holder_count: usize,
    holders: Vec<HolderJson<'a>>,
}

impl<'a> SocketJson<'a> {
    fn new(view: &'a View<'a>, listener: &Listener) -> SocketJson<'a> {
        let holders = listener.holders.iter().map(|holder| {
            let details = view.details(holder.pid);
            let command = details.and_then(|details| details.command.as_deref());
            HolderJson {
                pid: holder.pid.0,
                fd: holder.fd,
                command: Text { key: "command", raw_key: "command_raw", bytes: command },
                container: details.and_then(|details| details.container.clone()).map(ContainerJson::from),
            }
        });
        SocketJson {
            ns: listener.ns.inode(),
            protocol: listener.protocol.name(),
            family: family(listener.local),
            local: listener.local,
            port: listener.port,
            ifindex: listener.ifindex,
            uid: listener.uid.0,
            user: view.users.name(listener.uid),
            inode: listener.inode,
            rqueue: listener.rqueue,
            wqueue: listener.wqueue,
            holder_count: listener.holder_count,
            holders: holders.collect(),
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    pid_ns: Option<u32>,
    namespaces: Vec<NamespaceJson<'a>>,
    links: Vec<LinkJson<'a>>,
    addresses: Vec<AddressJson>,
    routes: Option<Vec<RouteJson>>,
    sockets: Option<Vec<SocketJson<'a>>>,
    gaps: Vec<GapJson<'a>>,
}

/// Writes the document. `namespaces` are those that are asked for, `rows` what of them is shown.
///
/// # Errors
/// What the writer says.
pub fn json(
    view: &View<'_>,
    namespaces: &[NsId],
    rows: &[Row<'_>],
    gaps: &[Gap],
    to: &mut dyn Write,
) -> io::Result<()> {
    let wanted: std::collections::HashSet<NsId> = namespaces.iter().copied().collect();
    let mut links = Vec::new();
    let mut routes = view.network.routes.as_ref().map(|_| Vec::new());
    let mut sockets = view.network.listeners.as_ref().map(|_| Vec::new());
    let mut addresses = Vec::new();
    for row in rows {
        match row.of {
            Of::Unseen => {}
            Of::Link(place) => {
                links.push(LinkJson::new(view, place));
                let link = &view.network.links[place];
                let of_link = view.addresses.get(&(link.ns, link.ifindex)).into_iter().flatten();
                addresses.extend(of_link.map(|&address| AddressJson::from(address)));
            }
            Of::Route(route) => routes.get_or_insert_default().push(RouteJson::from(route)),
            Of::Listener(listener) => sockets.get_or_insert_default().push(SocketJson::new(view, listener)),
        }
    }
    let shown = view.network.namespaces.iter().filter(|net| wanted.contains(&net.ns));
    let document = Document {
        schema: "nsx.net/1",
        pid_ns: view.snapshot.pid_ns.map(|id| id.inode()),
        namespaces: shown.filter_map(|net| NamespaceJson::new(view, net.ns, net.asked)).collect(),
        links,
        addresses,
        routes,
        sockets,
        gaps: GapJson::all(gaps),
    };
    write_rows(&document, to)
}
