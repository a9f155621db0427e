//! The picture of `nsx net`, for dot(1) of graphviz: a box for each namespace, links in it, and lines between them.
//!
//! Names are strangers' words: they are made fit for a terminal first, and then for a quoted string of the DOT language.

use std::collections::HashMap;
use std::io::{self, Write};

use super::{Of, Row, View, cells};
use crate::model::NsId;
use crate::model::net::{End, Link, words};
use crate::select::Value;

/// Writes the picture of these rows. What a link leads to is drawn even where it is no row itself.
///
/// # Errors
/// What the writer says.
pub fn dot(view: &View<'_>, rows: &[Row<'_>], to: &mut dyn Write) -> io::Result<()> {
    let network = view.network;
    let mut shown = vec![false; network.links.len()];
    let mut namespaces: HashMap<NsId, bool> = HashMap::new();
    for row in rows {
        namespaces.insert(row.ns, true);
        if let Of::Link(place) = row.of {
            shown[place] = true;
        }
    }
    let ends = |place: usize| {
        let wires = &network.wires[place];
        [wires.peer, wires.lower].into_iter().flatten()
    };
    for place in (0..network.links.len()).filter(|&place| shown[place]).collect::<Vec<_>>() {
        let linked = ends(place).filter_map(|end| end.link).chain(network.wires[place].master);
        for other in linked.collect::<Vec<_>>() {
            shown[other] = true;
            if let Some(master) = network.wires[other].master {
                shown[master] = true;
            }
        }
    }
    // A loopback device says nothing but where there is nothing else.
    for (place, link) in network.links.iter().enumerate() {
        if link.flags & words::IFF_LOOPBACK != 0 {
            shown[place] = false;
        }
        if shown[place] {
            namespaces.insert(link.ns, true);
        }
    }
    writeln!(to, "graph nsx {{")?;
    writeln!(to, "  graph [rankdir=LR, fontname=\"sans-serif\", compound=true];")?;
    writeln!(to, "  node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=10];")?;
    writeln!(to, "  edge [fontname=\"sans-serif\", fontsize=9];")?;
    let mut by_namespace: HashMap<NsId, Vec<usize>> = HashMap::new();
    for place in (0..network.links.len()).filter(|&place| shown[place]) {
        by_namespace.entry(network.links[place].ns).or_default().push(place);
    }
    for net in network.namespaces.iter().filter(|net| namespaces.contains_key(&net.ns)) {
        writeln!(to, "  subgraph cluster_{} {{", net.ns)?;
        writeln!(to, "    label={};", quoted(&title(view, net.ns)))?;
        let links = by_namespace.get(&net.ns).map_or(&[][..], Vec::as_slice);
        for &place in links {
            let link = &network.links[place];
            let shape = if network.wires[place].ports.is_empty() { "" } else { ", shape=box3d, style=\"\"" };
            let dim = if link.flags & words::IFF_UP == 0 { ", color=gray, fontcolor=gray" } else { "" };
            writeln!(to, "    {} [label={}{shape}{dim}];", node(link.ns, link.ifindex), quoted(&label(view, place)))?;
        }
        if links.is_empty() {
            // A box with nothing in it is not drawn.
            let text = if net.asked { "" } else { "unseen" };
            writeln!(to, "    n{} [label={}, shape=plaintext];", net.ns, quoted(text))?;
        }
        writeln!(to, "  }}")?;
    }
    for place in (0..network.links.len()).filter(|&place| shown[place]) {
        let (link, wires) = (&network.links[place], &network.wires[place]);
        let own = node(link.ns, link.ifindex);
        if let Some(master) = wires.master.filter(|&master| shown[master]) {
            let master = &network.links[master];
            writeln!(to, "  {own} -- {} [color=gray];", node(master.ns, master.ifindex))?;
        }
        if let Some(peer) = &wires.peer {
            // Each pair once: from the end that comes first, or from the one that is seen.
            let other = peer.link.filter(|&other| shown[other]);
            if other.is_none_or(|other| place < other) {
                edge(link, &own, peer, other.map(|other| &network.links[other]), "penwidth=2", to)?;
            }
        }
        if let Some(lower) = &wires.lower {
            let other = lower.link.filter(|&other| shown[other]);
            edge(link, &own, lower, other.map(|other| &network.links[other]), "style=dashed", to)?;
        }
    }
    writeln!(to, "}}")
}

fn edge(link: &Link, own: &str, end: &End, other: Option<&Link>, look: &str, to: &mut dyn Write) -> io::Result<()> {
    match other {
        Some(other) => writeln!(to, "  {own} -- {} [{look}];", node(other.ns, other.ifindex)),
        None => {
            // What could not be seen is a cloud of its own.
            let unseen = format!("u{}_{}", link.ns, link.ifindex);
            let index = end.ifindex.map(|index| format!("if{index} "));
            let place = match (end.ns, end.netnsid) {
                (Some(ns), _) => format!("in {ns}"),
                (None, Some(number)) => format!("in netnsid {number}"),
                (None, None) => String::new(),
            };
            let text = format!("{}{place}", index.unwrap_or_default());
            writeln!(to, "  {unseen} [label={}, style=\"rounded,dashed\"];", quoted(&text))?;
            writeln!(to, "  {own} -- {unseen} [{look}];")
        }
    }
}

fn node(ns: NsId, ifindex: u32) -> String {
    format!("n{ns}_{ifindex}")
}

fn title(view: &View<'_>, ns: NsId) -> String {
    let name = cells::called(view, ns).map_or_else(|| ns.to_string(), |name| format!("{name} ({ns})"));
    let leader =
        view.who.get(&ns).and_then(|who| who.leader).filter(|_| view.who.get(&ns).is_some_and(|who| !who.initial));
    match leader.and_then(|pid| Some((pid, cells::command_of(view, pid)?))) {
        Some((pid, command)) => format!("{name}\n{pid}: {}", crate::render::text::cut(&command, 40)),
        None => name,
    }
}

fn label(view: &View<'_>, place: usize) -> String {
    let link = &view.network.links[place];
    let mut text = format!("{}\n{} {}", cells::clean(&link.name), cells::sort_of(link), cells::state_of(link));
    if let Value::Text(addresses) = cells::addresses_of(view, link) {
        text.push('\n');
        text.push_str(&addresses.replace(',', "\n"));
    }
    if let Some(info) = cells::info_of(view, place) {
        text.push('\n');
        text.push_str(&info);
    }
    text
}

/// Writes a text as a quoted string, where a backslash begins an escape of dot's own.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            // Entities of HTML are understood in labels.
            '&' => quoted.push_str("&amp;"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dot_would_obey_is_escaped() {
        assert_eq!(quoted("a\"b\\N\n&lt;"), "\"a\\\"b\\\\N\\n&amp;lt;\"");
    }
}
