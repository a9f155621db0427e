//! `/proc/PID/net/{dev,fib_trie,route,if_inet6}`, see proc_pid_net(5): what there is in the network namespace of a process, without
//! entering it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Returns the names of links from `dev`, in its order.
pub fn links(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Two lines of headings; a name has neither a colon (before Linux 4.18 it might) nor space, so the last colon before the numbers is
    // the one behind it.
    text.split(|&byte| byte == b'\n').skip(2).filter_map(|line| {
        let colon = line.iter().rposition(|&byte| byte == b':')?;
        Some(line[..colon].trim_ascii()).filter(|name| !name.is_empty())
    })
}

/// Returns the local IPv4 addresses from `fib_trie`, each once, in its order.
pub fn local_addresses(text: &[u8]) -> Vec<Ipv4Addr> {
    let mut found: Vec<Ipv4Addr> = Vec::new();
    let mut leaf = None;
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        if let Some(address) = line.strip_prefix(b"|-- ") {
            leaf = std::str::from_utf8(address).ok().and_then(|address| address.parse().ok());
        } else if line == b"/32 host LOCAL" {
            // Each stands there for both tables of routes, or for each of more.
            found.extend(leaf.filter(|address| !found.contains(address)));
        }
    }
    found
}

/// A route to a network that a link is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLine<'a> {
    /// The link.
    pub link: &'a [u8],
    /// The network.
    pub network: u32,
    /// Its mask.
    pub mask: u32,
}

impl RouteLine<'_> {
    /// Says whether an address is in the network.
    pub fn has(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask == self.network
    }
}

/// Returns the routes without a gateway from `route`: those that the kernel makes for the networks of its addresses.
pub fn routes(text: &[u8]) -> impl Iterator<Item = RouteLine<'_>> {
    text.split(|&byte| byte == b'\n').skip(1).filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b'\t').map(<[u8]>::trim_ascii);
        // Numbers stand there as they lie in memory.
        let number = |field: &[u8]| {
            let text = std::str::from_utf8(field).ok()?;
            u32::from_str_radix(text, 16).ok().map(|number| u32::from_be_bytes(number.to_ne_bytes()))
        };
        let (link, network, gateway) = (fields.next()?, number(fields.next()?)?, number(fields.next()?)?);
        let mask = number(fields.nth(4)?)?;
        (gateway == 0 && mask != 0).then_some(RouteLine { link, network, mask })
    })
}

/// An IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inet6Line<'a> {
    /// The address.
    pub address: Ipv6Addr,
    /// The length of its prefix.
    pub prefix: u8,
    /// The link that has it.
    pub link: &'a [u8],
}

/// Returns the addresses from `if_inet6`, in its order.
pub fn inet6(text: &[u8]) -> impl Iterator<Item = Inet6Line<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
        let hex = |field: &[u8]| {
            let text = std::str::from_utf8(field).ok().filter(|text| !text.starts_with('+'))?;
            u128::from_str_radix(text, 16).ok()
        };
        let address = Ipv6Addr::from_bits(hex(fields.next()?)?);
        let prefix = u8::try_from(hex(fields.nth(1)?)?).ok().filter(|prefix| *prefix <= 128)?;
        let link = fields.nth(2)?;
        Some(Inet6Line { address, prefix, link })
    })
}

/// Returns how many ones a mask begins with, where it has no others.
pub fn prefix_of(mask: u32) -> Option<u8> {
    let ones = mask.leading_ones();
    (mask.count_ones() == ones).then(|| u8::try_from(ones).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_are_named() {
        let text = b"Inter-|   Receive  |  Transmit\n face |bytes    packets\n    lo:   18084     169\n  eth0: 491988212   15330\n";
        assert_eq!(links(text).collect::<Vec<_>>(), [&b"lo"[..], b"eth0"]);
    }

    #[test]
    fn local_addresses_are_told_once() {
        let text = b"Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n        |-- 127.0.0.1\n           /32 host LOCAL\n\
            |-- 192.0.2.0\n /24 link UNICAST\n |-- 192.0.2.2\n /32 host LOCAL\n |-- 192.0.2.255\n /32 link BROADCAST\n\
            Local:\n |-- 127.0.0.1\n /32 host LOCAL\n |-- 192.0.2.2\n /32 host LOCAL\n";
        assert_eq!(local_addresses(text), [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(192, 0, 2, 2)]);
    }

    #[test]
    fn networks_have_links() {
        let word = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let text = format!(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
             eth0\t{}\t{}\t0003\t0\t0\t0\t{}\t0\t0\t0\neth0\t{}\t{}\t0001\t0\t0\t0\t{}\t0\t0\t0\n",
            word([0; 4]),
            word([192, 0, 2, 1]),
            word([0; 4]),
            word([192, 0, 2, 0]),
            word([0; 4]),
            word([255, 255, 255, 0])
        );
        let all: Vec<_> = routes(text.as_bytes()).collect();
        assert_eq!(all.len(), 1);
        assert!(all[0].has(Ipv4Addr::new(192, 0, 2, 9)) && !all[0].has(Ipv4Addr::new(192, 0, 3, 9)));
        assert_eq!((all[0].link, prefix_of(all[0].mask)), (&b"eth0"[..], Some(24)));
        assert_eq!(prefix_of(0xff00_ff00), None);
    }

    #[test]
    fn the_new_addresses_have_links_and_prefixes() {
        let text = b"fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\nx\n";
        let all: Vec<_> = inet6(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].link, all[0].prefix), (&b"eth0"[..], 64));
        assert_eq!((all[1].address, all[1].prefix), (Ipv6Addr::LOCALHOST, 128));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (links(&text).count(), local_addresses(&text), routes(&text).count(), inet6(&text).count());
        }

        #[test]
        fn nor_does_one_that_looks_like_it(text in "([a-z0-9]{0,4}[\t: ][0-9a-f]{0,40}[\t ]){0,12}\n") {
            let text = format!("x\n{text}");
            let _ = (links(text.as_bytes()).count(), routes(text.as_bytes()).count(), inet6(text.as_bytes()).count());
        }
    }
}
