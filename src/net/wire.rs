//! Which link is the other end of which. Pure: given the links of all namespaces, and which number means which namespace.
//!
//! The kernel names the other end of a link by its number, and its namespace by the number that the link's own namespace has for it
//! (`IFLA_LINK`, `IFLA_LINK_NETNSID`). What such a number means is for the kernel to say, one candidate at a time (`RTM_GETNSID`), so
//! [`questions`] names those first that the links themselves speak for. Not here: asking (`ask`).

use std::collections::HashMap;

use crate::model::NsId;
use crate::model::net::{Detail, End, Link, Wires};

/// Kinds that come in pairs: what is sent into one comes out of the other.
const PAIRS: [&[u8]; 3] = [b"veth", b"netkit", b"vxcan"];
/// Kinds that always have a link below, by `IFLA_LINK`. Others say their own number there when they have none.
const STACKED: [&[u8]; 6] = [b"vlan", b"macvlan", b"macvtap", b"ipvlan", b"ipvtap", b"macsec"];
/// More candidates than this are not named for one question.
const MOST_CANDIDATES: usize = 32;

/// What a link says of its other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Far {
    pair: bool,
    netnsid: Option<u32>,
    ifindex: Option<u32>,
}

fn is_pair(link: &Link) -> bool {
    link.kind.as_deref().is_some_and(|kind| PAIRS.contains(&kind))
}

/// Returns what a link says of its other end; `None` where it has none.
fn far(link: &Link) -> Option<Far> {
    let netnsid = link.link_netnsid;
    let far = |pair, ifindex| Some(Far { pair, netnsid, ifindex });
    let said = link.link.filter(|&index| index != 0);
    if is_pair(link) {
        // Before Linux 5.8 a number was left out that is the link's own, in another namespace.
        return far(true, Some(said.or(netnsid.map(|_| link.ifindex))?));
    }
    let below = match link.detail {
        Detail::Vxlan { lower, .. } => lower,
        _ if link.kind.as_deref().is_some_and(|kind| STACKED.contains(&kind)) => said.or(netnsid.map(|_| link.ifindex)),
        _ => said.filter(|&index| index != link.ifindex),
    };
    // Of a tunnel that was moved the namespace is known that its packets leave from.
    if below.is_none() && netnsid.is_none() { None } else { far(false, below) }
}

/// Something to be asked: which namespace does `ns` mean by `netnsid`?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The namespace that has given the number.
    pub ns: NsId,
    /// The number.
    pub netnsid: u32,
    /// Namespaces that it may well be, the likeliest first.
    pub candidates: Vec<NsId>,
}

/// Returns the numbers whose meaning has to be asked for, each once.
pub fn questions(links: &[Link]) -> Vec<Question> {
    // A pair knows of each other; of other links only the number is known, which many namespaces have.
    let mut pairs: HashMap<(u32, u32), Vec<NsId>> = HashMap::new();
    let mut numbers: HashMap<u32, Vec<NsId>> = HashMap::new();
    let far_ends: Vec<Option<Far>> = links.iter().map(far).collect();
    for (link, far) in links.iter().zip(&far_ends) {
        if let Some(Far { pair: true, ifindex: Some(peer), .. }) = far {
            pairs.entry((link.ifindex, *peer)).or_default().push(link.ns);
        }
        let same = numbers.entry(link.ifindex).or_default();
        if same.len() < MOST_CANDIDATES {
            same.push(link.ns);
        }
    }
    let mut places: HashMap<(NsId, u32), usize> = HashMap::new();
    let mut questions: Vec<Question> = Vec::new();
    for (link, far) in links.iter().zip(&far_ends) {
        let Some(Far { pair, netnsid: Some(netnsid), ifindex }) = *far else { continue };
        let place = *places.entry((link.ns, netnsid)).or_insert_with(|| {
            questions.push(Question { ns: link.ns, netnsid, candidates: Vec::new() });
            questions.len() - 1
        });
        let Some(ifindex) = ifindex else { continue };
        let found = if pair { pairs.get(&(ifindex, link.ifindex)) } else { numbers.get(&ifindex) };
        let candidates = &mut questions[place].candidates;
        for &ns in found.into_iter().flatten() {
            if candidates.len() < MOST_CANDIDATES && ns != link.ns && !candidates.contains(&ns) {
                candidates.push(ns);
            }
        }
    }
    questions
}

/// Says what each link is wired to, in their order. `meaning` has what the numbers of namespaces mean.
pub fn wire(links: &[Link], meaning: &HashMap<(NsId, u32), NsId>) -> Vec<Wires> {
    let places: HashMap<(NsId, u32), usize> =
        links.iter().enumerate().map(|(place, link)| ((link.ns, link.ifindex), place)).collect();
    let mut wires = vec![Wires::default(); links.len()];
    for (place, link) in links.iter().enumerate() {
        if let Some(far) = far(link) {
            let ns = far.netnsid.map_or(Some(link.ns), |number| meaning.get(&(link.ns, number)).copied());
            let found = ns.zip(far.ifindex).and_then(|end| places.get(&end).copied());
            // One that was moved or deleted meanwhile leaves its number to the next.
            let is_mutual = |other: &usize| {
                let other = &links[*other];
                is_pair(other) && self::far(other).is_some_and(|far| far.ifindex == Some(link.ifindex))
            };
            let end = End {
                ns,
                netnsid: far.netnsid,
                ifindex: far.ifindex,
                link: found.filter(|other| !far.pair || is_mutual(other)),
            };
            if far.pair {
                wires[place].peer = Some(end);
            } else {
                wires[place].lower = Some(end);
            }
        }
        if let Some(&master) = link.master.and_then(|master| places.get(&(link.ns, master))) {
            wires[place].master = Some(master);
            wires[master].ports.push(place);
        }
    }
    wires
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(number: u32) -> NsId {
        NsId::new(number).expect("not zero")
    }

    /// A link: namespace, number, kind, `IFLA_LINK`, `IFLA_LINK_NETNSID`.
    fn link(namespace: u32, ifindex: u32, kind: &str, far: Option<u32>, netnsid: Option<u32>) -> Link {
        Link {
            ns: ns(namespace),
            ifindex,
            name: format!("l{ifindex}").into_bytes(),
            kind: Some(kind.into()).filter(|kind: &Vec<u8>| !kind.is_empty()),
            hardware: 1,
            flags: 0,
            mtu: None,
            operstate: None,
            address: None,
            master: None,
            link: far,
            link_netnsid: netnsid,
            alias: None,
            altnames: Vec::new(),
            parent_dev: None,
            detail: Detail::None,
        }
    }

    fn far_of(wires: &Wires) -> (Option<u32>, Option<usize>) {
        let end = wires.peer.or(wires.lower).expect("an end");
        (end.ns.map(|ns| ns.inode()), end.link)
    }

    #[test]
    fn pairs_across_namespaces_find_each_other() {
        let links = [
            link(1, 4, "bridge", None, None),
            Link { master: Some(4), ..link(1, 5, "veth", Some(2), Some(0)) },
            Link { master: Some(4), ..link(1, 6, "veth", Some(2), Some(1)) },
            link(2, 2, "veth", Some(5), Some(0)),
            link(3, 2, "veth", Some(6), Some(7)),
        ];
        let asked: Vec<_> = questions(&links)
            .into_iter()
            .map(|question| (question.ns.inode(), question.netnsid, question.candidates))
            .collect();
        let expected = [(1, 0, vec![ns(2)]), (1, 1, vec![ns(3)]), (2, 0, vec![ns(1)]), (3, 7, vec![ns(1)])];
        assert_eq!(asked, expected, "the number alone would fit both, what they say of each other does not");

        let meaning =
            HashMap::from([((ns(1), 0), ns(2)), ((ns(1), 1), ns(3)), ((ns(2), 0), ns(1)), ((ns(3), 7), ns(1))]);
        let wires = wire(&links, &meaning);
        assert_eq!((far_of(&wires[1]), far_of(&wires[2])), ((Some(2), Some(3)), (Some(3), Some(4))));
        assert_eq!((far_of(&wires[3]), far_of(&wires[4])), ((Some(1), Some(1)), (Some(1), Some(2))));
        assert_eq!((&wires[0].ports, wires[1].master), (&vec![1, 2], Some(0)));
    }

    #[test]
    fn a_pair_in_one_namespace_needs_no_question() {
        let links = [link(1, 2, "veth", Some(3), None), link(1, 3, "veth", Some(2), None)];
        assert_eq!(questions(&links), []);
        let wires = wire(&links, &HashMap::new());
        assert_eq!((far_of(&wires[0]), far_of(&wires[1])), ((Some(1), Some(1)), (Some(1), Some(0))));
    }

    #[test]
    fn a_pair_with_the_same_number_on_both_sides() {
        let meaning = HashMap::from([((ns(1), 0), ns(2)), ((ns(2), 0), ns(1))]);
        // Older kernels leave the number out.
        for said in [Some(50), None] {
            let links = [link(1, 50, "veth", said, Some(0)), link(2, 50, "veth", said, Some(0))];
            assert_eq!(questions(&links)[0].candidates, [ns(2)]);
            let wires = wire(&links, &meaning);
            assert_eq!((far_of(&wires[0]), far_of(&wires[1])), ((Some(2), Some(1)), (Some(1), Some(0))));
        }
    }

    #[test]
    fn an_end_that_cannot_be_seen_is_still_an_end() {
        let links = [link(1, 5, "veth", Some(9), Some(4))];
        assert_eq!(questions(&links)[0].candidates, []);
        let end = wire(&links, &HashMap::new())[0].peer.expect("an end");
        assert_eq!(end, End { ns: None, netnsid: Some(4), ifindex: Some(9), link: None });
        // The namespace was found, and could not be asked.
        let meaning = HashMap::from([((ns(1), 4), ns(2))]);
        assert_eq!(far_of(&wire(&links, &meaning)[0]), (Some(2), None));
    }

    #[test]
    fn a_number_that_is_somebody_elses_by_now_is_no_peer() {
        let meaning = HashMap::from([((ns(1), 0), ns(2))]);
        for other in [link(2, 9, "veth", Some(8), Some(0)), link(2, 9, "dummy", None, None)] {
            let links = [link(1, 5, "veth", Some(9), Some(0)), other];
            assert_eq!(far_of(&wire(&links, &meaning)[0]), (Some(2), None));
        }
    }

    #[test]
    fn what_lies_below_is_no_peer() {
        let links = [
            link(1, 2, "", None, None),
            link(1, 3, "vlan", Some(2), None),
            link(2, 2, "macvlan", Some(2), Some(0)),
            link(2, 7, "vlan", Some(7), Some(0)),
            link(1, 7, "veth", None, None),
            // Links that say their own number have nothing below.
            link(1, 8, "wireguard", Some(8), None),
            link(2, 8, "wireguard", Some(8), Some(0)),
            Link {
                detail: Detail::Vxlan { id: 1, local: None, remote: None, port: None, lower: Some(2) },
                ..link(1, 9, "vxlan", Some(9), None)
            },
        ];
        let meaning = HashMap::from([((ns(2), 0), ns(1))]);
        let wires = wire(&links, &meaning);
        assert!(wires.iter().all(|wires| wires.peer.is_none()));
        assert_eq!((far_of(&wires[1]), far_of(&wires[2])), ((Some(1), Some(0)), (Some(1), Some(0))));
        assert_eq!(far_of(&wires[3]), (Some(1), Some(4)));
        assert_eq!((wires[0].lower, wires[5].lower), (None, None));
        assert_eq!((far_of(&wires[6]), far_of(&wires[7])), ((Some(1), None), (Some(1), Some(0))));
        assert_eq!(questions(&links).len(), 1, "each number is asked for once");
        assert_eq!(questions(&links)[0].candidates, [ns(1)]);
    }

    #[test]
    fn a_master_that_has_gone_is_none() {
        let links = [Link { master: Some(77), ..link(1, 2, "veth", None, None) }];
        assert_eq!(wire(&links, &HashMap::new())[0], Wires::default());
    }

    #[test]
    fn thousands_take_no_square_of_time() {
        // As on a host of containers whose eth0 all have the number 2.
        const COUNT: u32 = 20_000;
        let host = (0..COUNT).map(|number| link(1, 10 + number, "veth", Some(2), Some(number)));
        let inside = (0..COUNT).map(|number| link(2 + number, 2, "veth", Some(10 + number), Some(0)));
        let links: Vec<Link> = host.chain(inside).collect();
        let questions = questions(&links);
        assert_eq!(questions.len(), 2 * COUNT as usize);
        assert!(questions.iter().all(|question| question.candidates.len() == 1));
        let meaning =
            questions.iter().map(|question| ((question.ns, question.netnsid), question.candidates[0])).collect();
        assert!(wire(&links, &meaning).iter().all(|wires| wires.peer.is_some_and(|end| end.link.is_some())));
    }
}
