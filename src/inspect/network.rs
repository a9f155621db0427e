//! The links and addresses of the network namespace of a process, by what its `/proc/PID/net` says: nothing is entered. IPv4 addresses
//! come from the table of routes, where their links are inferred from the networks.

use super::{Looker, MOST_BYTES};
use crate::model::isolation::{Address, Network, Part};
use crate::proc::parse;

/// More links and addresses than this are not kept.
const MOST: usize = 4096;

impl Looker<'_> {
    pub(super) fn network(&mut self) -> Option<Network> {
        // These are of the namespace of the process, whoever reads them.
        let dev = self.file(Part::Network, c"net/dev")?;
        let read = |name| self.process.read_all(name, MOST_BYTES).unwrap_or_default();
        let (trie, routes, inet6) = (read(c"net/fib_trie"), read(c"net/route"), read(c"net/if_inet6"));
        let networks: Vec<_> = parse::routes(&routes).take(MOST).collect();
        let old = parse::local_addresses(&trie).into_iter().map(|address| {
            let network = networks.iter().filter(|network| network.has(address)).max_by_key(|network| network.mask);
            let (prefix, link) = match network {
                Some(network) => (parse::prefix_of(network.mask), Some(network.link.to_vec())),
                None if address.is_loopback() => (Some(8), Some(b"lo".to_vec())),
                None => (None, None),
            };
            Address { address: address.into(), prefix, link }
        });
        let new = parse::inet6(&inet6).map(|line| Address {
            address: line.address.into(),
            prefix: Some(line.prefix),
            link: Some(line.link.to_vec()),
        });
        Some(Network {
            links: parse::links(&dev).take(MOST).map(<[u8]>::to_vec).collect(),
            addresses: old.chain(new).take(MOST).collect(),
        })
    }
}
