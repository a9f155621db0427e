//! Asking network namespaces: a netlink socket in each, and what each means by the numbers that it has for others.
//!
//! See `sys::netlink` for how a socket gets into a namespace. Where the caller has no privilege over a namespace, but may enter the user
//! namespace that owns it (he has made it, as rootless engines do), that is entered first, by a process on the side for each.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::wire;
use crate::model::gap::GapOf;
use crate::model::net::{Address, Link, Listener, Net, Network, Protocol, Route, SocketHolder};
use crate::model::{GapWhat, Gaps, Namespace, NetnsId, NsId, NsKind, Pid, Snapshot};
use crate::scan;
use crate::sys::netlink::{self, Dump, Opened, Reader, RouteSocket};
use crate::sys::{Errno, SysError, nsfs};

/// What is to be asked beside links and addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Routes.
    pub routes: bool,
    /// Listening sockets.
    pub listeners: bool,
}

/// More user namespaces than this are not entered, a process for each.
const MOST_OWNERS: usize = 256;
/// Where the links do not tell which namespace a number means, all are tried, up to so many in all.
const MOST_TRIES: usize = 1 << 14;
/// Of those who have a socket open so many are named.
const MOST_HOLDERS: usize = 64;

/// Asks the network namespaces of a snapshot; `opened` are those that may be opened, and the sockets that were seen.
pub fn ask(snapshot: &Snapshot, opened: &scan::Opened, wanted: Wanted) -> Network {
    let mut all: Vec<&Namespace> =
        snapshot.namespaces.iter().filter(|namespace| namespace.kind == NsKind::Net).collect();
    all.sort_by_key(|namespace| (namespace.initial != Some(true), !namespace.own, namespace.id));
    // One that is neither open nor known to have been refused has gone since the scan has met it.
    let refused: HashMap<NsId, Option<&'static str>> = snapshot
        .gaps
        .iter()
        .filter(|gap| gap.what == GapWhat::Relations)
        .flat_map(|gap| gap.namespaces.iter().map(|&ns| (ns, gap.errno)))
        .collect();
    all.retain(|namespace| {
        namespace.own || opened.namespaces.contains_key(&namespace.id) || refused.contains_key(&namespace.id)
    });
    let mut asker = Asker { wanted, reader: Reader::default(), found: HashMap::new(), gaps: Gaps::default() };
    asker.ask_all(&all, &opened.namespaces, &refused);

    let mut network = Network::default();
    let mut routes = Vec::new();
    let mut listeners = Vec::new();
    let mut sockets = HashMap::new();
    for namespace in &all {
        let found = asker.found.remove(&namespace.id);
        network.namespaces.push(Net { ns: namespace.id, asked: found.is_some() });
        let Some(found) = found else { continue };
        network.links.extend(found.links);
        network.addresses.extend(found.addresses);
        routes.extend(found.routes);
        listeners.extend(found.listeners);
        sockets.extend(found.socket.map(|socket| (namespace.id, socket)));
    }
    let meaning = meanings(&network.links, &mut sockets, &all, &opened.namespaces);
    network.wires = wire::wire(&network.links, &meaning);
    network.routes = wanted.routes.then_some(routes);
    if wanted.listeners {
        add_holders(&mut listeners, &opened.sockets);
        network.listeners = Some(listeners);
    }
    network.gaps = asker.gaps.into_vec();
    network
}

/// What one namespace has told.
struct Found {
    links: Vec<Link>,
    addresses: Vec<Address>,
    routes: Vec<Route>,
    listeners: Vec<Listener>,
    /// Where links lead to other namespaces, the socket that tells to which.
    socket: Option<RouteSocket>,
}

struct Asker {
    wanted: Wanted,
    reader: Reader,
    found: HashMap<NsId, Found>,
    gaps: Gaps,
}

impl Asker {
    fn ask_all(
        &mut self,
        all: &[&Namespace],
        opened: &HashMap<NsId, OwnedFd>,
        refused: &HashMap<NsId, Option<&'static str>>,
    ) {
        let mut others = Vec::new();
        for namespace in all {
            match opened.get(&namespace.id) {
                _ if namespace.own => match netlink::open_own(self.wanted.listeners) {
                    Ok(opened) => self.ask(namespace.id, opened),
                    Err(error) => self.refused(namespace.id, error.errno),
                },
                Some(descriptor) => others.push((*namespace, descriptor)),
                None => {
                    let errno = refused.get(&namespace.id).copied().flatten();
                    self.gaps.add(GapWhat::Links, GapOf::Namespace(namespace.id), errno);
                }
            }
        }
        let not_entered = self.ask_inside(None, &others);
        // Root of a user namespace may do in there what its owner may not from outside.
        let mut by_owner: HashMap<NsId, Vec<(&Namespace, &OwnedFd)>> = HashMap::new();
        for (place, errno) in not_entered {
            let (namespace, descriptor) = others[place];
            match namespace.owner.filter(|_| errno == Errno::EPERM) {
                Some(owner) if by_owner.len() < MOST_OWNERS || by_owner.contains_key(&owner) => {
                    by_owner.entry(owner).or_default().push((namespace, descriptor));
                }
                _ => self.refused(namespace.id, errno),
            }
        }
        for owned in by_owner.into_values() {
            let user = owned.first().and_then(|(_, descriptor)| nsfs::owner(descriptor.as_fd()).ok());
            let refused = match &user {
                Some(user) => self.ask_inside(Some(user.as_fd()), &owned),
                None => (0..owned.len()).map(|place| (place, Errno::EPERM)).collect(),
            };
            for (place, errno) in refused {
                self.refused(owned[place].0.id, errno);
            }
        }
    }

    /// Asks namespaces that have to be entered for it. Returns the places of those that may not be, and why.
    fn ask_inside(&mut self, user: Option<BorrowedFd<'_>>, which: &[(&Namespace, &OwnedFd)]) -> Vec<(usize, Errno)> {
        if which.is_empty() {
            return Vec::new();
        }
        let descriptors: Vec<BorrowedFd<'_>> = which.iter().map(|(_, descriptor)| descriptor.as_fd()).collect();
        let mut refused = Vec::new();
        let diag = self.wanted.listeners;
        let started = netlink::open_in(user, &descriptors, diag, &mut |place, opened| match opened {
            Ok(opened) => self.ask(which[place].0.id, opened),
            Err(error) => refused.push((place, error.errno)),
        });
        match started {
            Ok(()) => refused,
            Err(error) => (0..which.len()).map(|place| (place, error.errno)).collect(),
        }
    }

    fn refused(&mut self, ns: NsId, errno: Errno) {
        self.gaps.add(GapWhat::Links, GapOf::Namespace(ns), Some(crate::sys::errno_name(errno)));
    }

    fn ask(&mut self, ns: NsId, opened: Opened) {
        let Opened { mut route, diag } = opened;
        let links = route.links(ns, &mut self.reader);
        let addresses = route.addresses(ns, &mut self.reader);
        let routes = if self.wanted.routes { Some(route.routes(ns, &mut self.reader)) } else { None };
        let links = self.take(ns, GapWhat::Links, links);
        let addresses = self.take(ns, GapWhat::Links, addresses);
        let routes = routes.map(|routes| self.take(ns, GapWhat::Links, routes)).unwrap_or_default();
        let mut listeners = Vec::new();
        match diag {
            Some(Ok(mut diag)) => {
                for (protocol, v6) in
                    [(Protocol::Tcp, false), (Protocol::Tcp, true), (Protocol::Udp, false), (Protocol::Udp, true)]
                {
                    let found = diag.listeners(ns, protocol, v6, &mut self.reader);
                    listeners.extend(self.take(ns, GapWhat::Listeners, found));
                }
            }
            Some(Err(errno)) => {
                self.gaps.add(GapWhat::Listeners, GapOf::Namespace(ns), Some(crate::sys::errno_name(errno)));
            }
            None => {}
        }
        let leads_out = links.iter().any(|link| link.link_netnsid.is_some());
        self.found.insert(ns, Found { links, addresses, routes, listeners, socket: leads_out.then_some(route) });
    }

    fn take<T>(&mut self, ns: NsId, what: GapWhat, dump: Result<Dump<T>, SysError>) -> Vec<T> {
        match dump {
            Ok(dump) => {
                if !dump.whole {
                    self.gaps.add(what, GapOf::Namespace(ns), None);
                }
                dump.items
            }
            Err(error) => {
                self.gaps.add(what, GapOf::Namespace(ns), Some(error.errno_name()));
                Vec::new()
            }
        }
    }
}

/// Finds out which namespaces the numbers in the links mean.
fn meanings(
    links: &[Link],
    sockets: &mut HashMap<NsId, RouteSocket>,
    all: &[&Namespace],
    opened: &HashMap<NsId, OwnedFd>,
) -> HashMap<(NsId, u32), NsId> {
    let mut meaning = HashMap::new();
    let mut tries = MOST_TRIES;
    for question in wire::questions(links) {
        let Some(socket) = sockets.get_mut(&question.ns) else { continue };
        let mut is_it = |candidate: NsId| {
            let Some(descriptor) = opened.get(&candidate) else { return false };
            match socket.netnsid(descriptor.as_fd()) {
                Ok(NetnsId::Assigned(number)) => {
                    meaning.insert((question.ns, number), candidate);
                    number == question.netnsid
                }
                _ => false,
            }
        };
        if question.candidates.iter().any(|&candidate| is_it(candidate)) {
            continue;
        }
        // None of those that could be asked: one that could not, or whose links have changed meanwhile.
        let others = all.iter().map(|namespace| namespace.id);
        let others = others.filter(|ns| *ns != question.ns && !question.candidates.contains(ns));
        for other in others {
            if tries == 0 || is_it(other) {
                break;
            }
            tries -= 1;
        }
    }
    meaning
}

/// Says who has the sockets open.
fn add_holders(listeners: &mut [Listener], seen: &[(Pid, u32, u64)]) {
    let mut by_inode: HashMap<u64, Vec<usize>> = HashMap::new();
    for (place, listener) in listeners.iter().enumerate() {
        by_inode.entry(listener.inode.into()).or_default().push(place);
    }
    let mut seen: Vec<_> = seen.iter().filter(|(_, _, inode)| by_inode.contains_key(inode)).collect();
    seen.sort_unstable();
    for &&(pid, fd, inode) in &seen {
        for &place in by_inode.get(&inode).into_iter().flatten() {
            let listener = &mut listeners[place];
            listener.holder_count += 1;
            if listener.holders.len() < MOST_HOLDERS {
                listener.holders.push(SocketHolder { pid, fd });
            }
        }
    }
}
