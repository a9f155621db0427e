//! `nsx net`: links, routes and listening sockets as a table. The one table of its columns is here; the tree, the picture and JSON are
//! in files beside.
//!
//! As in `render::column`, the value of a column is a fact that sorts and compares; what no row of a sort has is not there.

mod cells;
pub mod dot;
pub mod json;
pub mod tree;

use std::collections::HashMap;

use crate::model::net::{Address, Link, Listener, Network, Route};
use crate::model::{Details, NsId, Pid, Snapshot};
use crate::net::Who;
use crate::proc::Users;
use crate::render::table::{Align, Head};
use crate::select::Value;

/// Everything that cells are made of.
pub struct View<'a> {
    /// The host.
    pub snapshot: &'a Snapshot,
    /// The names of its users.
    pub users: &'a Users,
    /// What the network namespaces have told.
    pub network: &'a Network,
    /// What they are called.
    pub who: HashMap<NsId, Who>,
    /// How many namespaces have a name.
    called: HashMap<String, usize>,
    addresses: HashMap<(NsId, u32), Vec<&'a Address>>,
    places: HashMap<(NsId, u32), usize>,
}

impl<'a> View<'a> {
    /// Puts the facts together; details of leaders and of holders of sockets have to be in the snapshot.
    pub fn new(snapshot: &'a Snapshot, users: &'a Users, network: &'a Network) -> View<'a> {
        let who: HashMap<NsId, Who> =
            network.namespaces.iter().map(|net| (net.ns, crate::net::who(snapshot, net.ns))).collect();
        let mut called: HashMap<String, usize> = HashMap::new();
        for name in who.values().filter_map(Who::name) {
            *called.entry(cells::clean(&name)).or_default() += 1;
        }
        let mut addresses: HashMap<(NsId, u32), Vec<&Address>> = HashMap::new();
        for address in &network.addresses {
            addresses.entry((address.ns, address.ifindex)).or_default().push(address);
        }
        for of_link in addresses.values_mut() {
            // What others can reach first; IPv4 before IPv6 by itself.
            of_link.sort_by_key(|address| address.scope);
        }
        let places = network.links.iter().enumerate().map(|(place, link)| ((link.ns, link.ifindex), place)).collect();
        View { snapshot, users, network, who, called, addresses, places }
    }

    /// Returns the link of a namespace with this number.
    fn link(&self, ns: NsId, ifindex: u32) -> Option<&'a Link> {
        self.places.get(&(ns, ifindex)).map(|&place| &self.network.links[place])
    }

    fn details(&self, pid: Pid) -> Option<&'a Details> {
        self.snapshot.details.get(&pid)
    }
}

/// What a row is about.
#[derive(Clone, Copy)]
pub enum Of<'a> {
    /// A namespace whose links are not known.
    Unseen,
    /// The link at this place of [`Network::links`].
    Link(usize),
    /// A route.
    Route(&'a Route),
    /// A listening socket.
    Listener(&'a Listener),
}

/// A line of the table before it is one.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Where the rest of the facts are.
    pub view: &'a View<'a>,
    /// The network namespace.
    pub ns: NsId,
    /// What it is about.
    pub of: Of<'a>,
}

/// Which table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Links.
    Links,
    /// Routes.
    Routes,
    /// Listening sockets.
    Listeners,
}

/// A terminal that is narrower has no room for everything.
const NARROW: usize = 110;

impl Show {
    /// Returns the columns that are shown on a terminal of this width; `None` is one that has no end. Where there is little room NAME
    /// has to do for NS: it is the inode where there is no name. What is left is for peers.
    pub fn defaults_in(self, width: Option<usize>) -> Vec<&'static str> {
        let is_narrow = width.is_some_and(|width| width < NARROW);
        self.defaults().iter().copied().filter(|&key| !(is_narrow && matches!(key, "NS" | "INFO"))).collect()
    }

    /// Returns the columns that are shown when nobody asks for others.
    pub const fn defaults(self) -> &'static [&'static str] {
        match self {
            Show::Links => &["NS", "NAME", "LINK", "TYPE", "STATE", "PEER", "MASTER", "ADDRESSES", "INFO"],
            Show::Routes => &["NS", "NAME", "DST", "VIA", "LINK", "SRC", "PROTO", "METRIC", "TYPE", "TABLE"],
            Show::Listeners => &["NS", "NAME", "PROTO", "LOCAL", "PORT", "LINK", "PID", "USER", "COMMAND"],
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Show::Links => LINKS,
            Show::Routes => ROUTES,
            Show::Listeners => LISTENERS,
        }
    }
}

const LINKS: u8 = 1;
const ROUTES: u8 = 2;
const LISTENERS: u8 = 4;
const ALL: u8 = LINKS | ROUTES | LISTENERS;

/// A column.
pub struct Column {
    /// Its name, which is its heading.
    pub key: &'static str,
    /// What it says, in a few words.
    pub help: &'static str,
    /// Which tables it is of.
    of: u8,
    align: Align,
    flexible: bool,
    /// Returns what it holds for a row.
    pub value: fn(&Row<'_>) -> Value,
}

const fn number(key: &'static str, of: u8, help: &'static str, value: fn(&Row<'_>) -> Value) -> Column {
    Column { key, help, of, align: Align::Right, flexible: false, value }
}

const fn text(key: &'static str, of: u8, help: &'static str, value: fn(&Row<'_>) -> Value) -> Column {
    Column { key, help, of, align: Align::Left, flexible: false, value }
}

impl Column {
    const fn flexible(self) -> Column {
        Column { flexible: true, ..self }
    }

    /// Returns what a table has to know of it.
    pub const fn head(&self) -> Head {
        Head { key: self.key, align: self.align, flexible: self.flexible }
    }

    /// Says whether a table has it.
    pub const fn is_of(&self, show: Show) -> bool {
        self.of & show.bit() != 0
    }

    /// Returns the cell for a row, fit for a terminal; what is not there is `-`.
    pub fn cell(&self, row: &Row<'_>) -> String {
        match (self.value)(row) {
            Value::Null => "-".to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text,
        }
    }
}

/// All columns, in the order in which `-o all` shows them.
pub static COLUMNS: [Column; 34] = [
    number("NS", ALL, "inode number of the network namespace", |row| Value::Number(row.ns.inode().into())),
    text("NAME", ALL, "what it is called: host, container, netns:NAME, …", cells::name).flexible(),
    text("LINK", ALL, "name of the link", cells::link_name),
    number("IFINDEX", LINKS, "number of the link", |row| {
        cells::of_link(row, |link| Value::Number(link.ifindex.into()))
    }),
    text("TYPE", LINKS | ROUTES, "kind of link, or of route", cells::kind),
    text("STATE", LINKS, "up, down, no-carrier, …; unseen where it may not be asked", cells::state),
    text("ADDRESSES", LINKS, "addresses, those of the widest scope first", cells::addresses).flexible(),
    text("PEER", LINKS, "other end of a pair, or `over` the link below", cells::peer).flexible(),
    text("MASTER", LINKS, "bridge, bond or VRF that it is a port of", cells::master),
    text("PORTS", LINKS, "its ports", cells::ports).flexible(),
    text("INFO", LINKS, "what only its kind has: ids, modes, owners, hardware", cells::info).flexible(),
    text("MAC", LINKS, "hardware address", cells::mac),
    number("MTU", LINKS, "longest packet, in bytes", |row| cells::of_link(row, |link| cells::optional(link.mtu))),
    text("FLAGS", LINKS, "IFF_ flags", cells::flags).flexible(),
    text("ALIAS", LINKS, "what somebody has written onto it", cells::alias).flexible(),
    number("NETNSID", LINKS, "number that the namespace has for that of the other end", |row| {
        cells::of_link(row, |link| cells::optional(link.link_netnsid))
    }),
    text("DST", ROUTES, "where the route leads to", cells::dst),
    text("VIA", ROUTES, "router, or several", cells::via).flexible(),
    text("SRC", ROUTES, "address that packets are sent from", cells::src),
    text("SCOPE", ROUTES, "how far it leads", cells::scope),
    number("METRIC", ROUTES, "the smallest is taken", |row| match row.of {
        Of::Route(route) => cells::optional(route.metric),
        _ => Value::Null,
    }),
    text("TABLE", ROUTES, "routing table", cells::table),
    text("PROTO", ROUTES | LISTENERS, "who has set the route; protocol of the socket", cells::protocol),
    text("LOCAL", LISTENERS, "address that the socket is bound to", cells::local),
    number("PORT", LISTENERS, "its port", |row| {
        cells::of_listener(row, |listener| Value::Number(listener.port.into()))
    }),
    number("RQUEUE", LISTENERS, "tcp: connections to be accepted; udp: bytes to be read", |row| {
        cells::of_listener(row, |listener| Value::Number(listener.rqueue.into()))
    }),
    number("WQUEUE", LISTENERS, "tcp: how many may wait; udp: bytes to be sent", |row| {
        cells::of_listener(row, |listener| Value::Number(listener.wqueue.into()))
    }),
    number("INODE", LISTENERS, "inode number of the socket", |row| {
        cells::of_listener(row, |listener| Value::Number(listener.inode.into()))
    }),
    number("HOLDERS", LISTENERS, "descriptors of the socket that were seen", |row| {
        cells::of_listener(row, |listener| Value::Number(listener.holder_count as u64))
    }),
    number("PID", ALL, "leader of the namespace, or who has the socket", |row| {
        cells::optional(cells::pid(row).map(|pid| pid.0))
    }),
    text("USER", ALL, "user of the leader, or who has made the socket", cells::user),
    text("CONTAINER", ALL, "container of that process; with ? where only its cgroup says so", cells::container)
        .flexible(),
    text("NSFS", ALL, "where the namespace is bind-mounted", cells::nsfs).flexible(),
    text("COMMAND", ALL, "command line of that process", cells::command).flexible(),
];

/// Returns the number of the column with this name.
pub fn find(key: &str) -> usize {
    COLUMNS.iter().position(|column| column.key == key).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_column_of_its_table_and_no_name_comes_twice() {
        for show in [Show::Links, Show::Routes, Show::Listeners] {
            for key in show.defaults() {
                let column = &COLUMNS[find(key)];
                assert!(column.key == *key && column.is_of(show), "{key}");
            }
        }
        for (index, column) in COLUMNS.iter().enumerate() {
            assert_eq!(find(column.key), index);
        }
    }
}
