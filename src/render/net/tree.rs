//! The tree of `nsx net`: namespaces, their links below them, and below a bridge its ports, below a device the VLANs on it.

use super::{COLUMNS, Column, Of, Row, View, cells};
use crate::model::net::{Listener, Route};
use crate::render::style::Style;
use crate::render::table::Cell;
use crate::select::Value;
use crate::select::tree::{TreeLine, forest};

/// The columns beside the tree itself.
pub const DEFAULT: [&str; 5] = ["TYPE", "STATE", "PEER", "ADDRESSES", "INFO"];

/// Longer chains of masters and lower devices than this are none: they go round.
const DEEPEST: usize = 32;

/// What stands on a line.
#[derive(Clone, Copy)]
enum Node<'a> {
    Namespace(usize),
    Link(usize),
    Route(&'a Route),
    Listener(&'a Listener),
}

/// Draws the rows as a tree. Only links that are among the rows are drawn, below the next one up that is; namespaces with all that is
/// known of them in the last column.
pub fn lines(view: &View<'_>, rows: &[Row<'_>], columns: &[usize]) -> Vec<Vec<Cell>> {
    let network = view.network;
    let mut shown = vec![false; network.links.len()];
    let mut nodes: Vec<Node<'_>> = Vec::new();
    let mut roots = Vec::new();
    let mut namespace_at = std::collections::HashMap::new();
    for (place, net) in network.namespaces.iter().enumerate() {
        namespace_at.insert(net.ns, place);
        nodes.push(Node::Namespace(place));
    }
    let mut used = vec![false; nodes.len()];
    let mut node_of = vec![None; network.links.len()];
    for row in rows {
        used[namespace_at[&row.ns]] = true;
        nodes.push(match row.of {
            Of::Unseen => continue,
            Of::Link(place) => {
                shown[place] = true;
                node_of[place] = Some(nodes.len());
                Node::Link(place)
            }
            Of::Route(route) => Node::Route(route),
            Of::Listener(listener) => Node::Listener(listener),
        });
    }
    roots.extend((0..network.namespaces.len()).filter(|&place| used[place]));
    let mut below = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        let (ns, above) = match *node {
            Node::Namespace(_) => continue,
            Node::Link(place) => (network.links[place].ns, upper(view, place, &node_of)),
            Node::Route(route) => {
                let link = route.nexthops.first().and_then(|hop| view.places.get(&(route.ns, hop.ifindex?)));
                (route.ns, link.and_then(|&place| node_of[place]))
            }
            Node::Listener(listener) => {
                let link = listener.ifindex.and_then(|ifindex| view.places.get(&(listener.ns, ifindex)));
                (listener.ns, link.and_then(|&place| node_of[place]))
            }
        };
        below[above.unwrap_or(namespace_at[&ns])].push(index);
    }
    forest(&roots, &below).into_iter().map(|line| cells_of(view, nodes[line.index], &line, columns)).collect()
}

/// Returns the node of the link that a link is drawn below: its master, else the device below it, in the same namespace.
fn upper(view: &View<'_>, place: usize, node_of: &[Option<usize>]) -> Option<usize> {
    let network = view.network;
    let next = |place: usize| {
        let wires = &network.wires[place];
        let lower = wires.lower.and_then(|lower| lower.link);
        wires.master.or(lower.filter(|&lower| network.links[lower].ns == network.links[place].ns))
    };
    let mut found = None;
    let mut current = next(place);
    for _ in 0..DEEPEST {
        let Some(above) = current else { return found };
        found = found.or(node_of[above]);
        current = next(above);
    }
    None
}

fn cells_of(view: &View<'_>, node: Node<'_>, line: &TreeLine, columns: &[usize]) -> Vec<Cell> {
    let last = columns.len().saturating_sub(1);
    let (first, style) = match node {
        Node::Namespace(place) => {
            let net = &view.network.namespaces[place];
            let who = view.who.get(&net.ns);
            let style = match who {
                Some(who) if who.own => Style::Own,
                _ => Style::Heading,
            };
            let name = cells::called(view, net.ns).map(|name| format!(" {name}")).unwrap_or_default();
            (format!("{}{name}", net.ns), style)
        }
        Node::Link(place) => (cells::clean(&view.network.links[place].name), Style::Plain),
        Node::Route(route) => (cells::destination(route.dst, route.dst_len), Style::Info),
        Node::Listener(listener) => (format!("{} {}", listener.protocol.name(), endpoint(listener)), Style::Info),
    };
    let text = format!("{}{first}", line.branches);
    let mut cells = vec![Cell { text, style, branches: line.branches.len() }];
    for (place, &column) in columns.iter().enumerate() {
        cells.push(cell(view, node, &COLUMNS[column], place == last));
    }
    cells
}

fn cell(view: &View<'_>, node: Node<'_>, column: &Column, is_last: bool) -> Cell {
    let plain = |text: String| Cell { text, style: Style::Plain, branches: 0 };
    let row = |ns, of| Row { view, ns, of };
    match node {
        Node::Namespace(place) => {
            let net = &view.network.namespaces[place];
            let row = row(net.ns, Of::Unseen);
            let text = match column.key {
                "STATE" if !net.asked => "unseen".to_owned(),
                _ if is_last => leader(view, &row),
                _ => String::new(),
            };
            Cell { text, style: Style::Initial, branches: 0 }
        }
        Node::Link(place) => {
            let row = row(view.network.links[place].ns, Of::Link(place));
            let text = column.cell(&row);
            Cell { style: style(&row, column.key, &text), text, branches: 0 }
        }
        Node::Route(route) => plain(match column.key {
            "TYPE" => "route".to_owned(),
            "ADDRESSES" => route_text(&row(route.ns, Of::Route(route))),
            _ => String::new(),
        }),
        Node::Listener(listener) => plain(match column.key {
            "TYPE" => "listens".to_owned(),
            "ADDRESSES" => holder(view, listener),
            _ => String::new(),
        }),
    }
}

/// Says who leads a namespace.
fn leader(view: &View<'_>, row: &Row<'_>) -> String {
    let Some(pid) = cells::pid(row) else { return String::new() };
    let command = cells::command_of(view, pid).unwrap_or_default();
    format!("{pid}: {command}")
}

fn route_text(row: &Row<'_>) -> String {
    let words = [("via", cells::via(row)), ("src", cells::src(row)), ("table", cells::table(row))];
    let words = words.into_iter().filter_map(|(word, value)| match value {
        Value::Text(text) if (word, &*text) != ("table", "main") => Some(format!("{word} {text}")),
        _ => None,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Writes address and port of a socket.
pub(super) fn endpoint(listener: &Listener) -> String {
    std::net::SocketAddr::new(listener.local, listener.port).to_string()
}

fn holder(view: &View<'_>, listener: &Listener) -> String {
    let Some(first) = listener.holders.first() else { return "-".to_owned() };
    let command = cells::command_of(view, first.pid).unwrap_or_default();
    let mut pids: Vec<_> = listener.holders.iter().map(|holder| holder.pid).collect();
    pids.dedup();
    let more = if pids.len() > 1 { format!(" and {} more", pids.len() - 1) } else { String::new() };
    format!("{}{more}: {command}", first.pid)
}

/// Returns what a cell means.
pub fn style(row: &Row<'_>, key: &str, text: &str) -> Style {
    let initial = row.view.who.get(&row.ns).is_some_and(|who| who.initial);
    let own = row.view.who.get(&row.ns).is_some_and(|who| who.own);
    match key {
        "NS" if own => Style::Own,
        "NS" | "NAME" if initial => Style::Initial,
        "STATE" if text == "up" => Style::Own,
        "STATE" if matches!(text, "no-carrier" | "lowerlayerdown") => Style::Warning,
        "STATE" if text == "unseen" => Style::Unoccupied,
        "PEER" | "MASTER" if text != "-" => Style::Info,
        _ if text == "-" => Style::Initial,
        _ => Style::Plain,
    }
}
