//! Namespaces as a forest: under their owner, under their parent, or under the namespace that their leader came from.
//!
//! A namespace whose upper one is not shown hangs below the next one up that is. Pure; drawing is `render`'s.

use std::collections::{HashMap, HashSet};

use crate::model::{Namespace, NsId, Snapshot};

/// What a namespace hangs below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeBy {
    /// The user namespace that owns it.
    Owner,
    /// Its parent: pid and user namespaces only.
    Parent,
    /// The namespace of the same kind that an ancestor of its leader is in.
    Process,
}

/// One line of a drawn forest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeLine {
    /// Which of the namespaces that were handed in.
    pub index: usize,
    /// What is drawn before it: `│ └─`.
    pub branches: String,
}

/// Arranges namespaces into a forest; those on one level keep the order in which they come.
pub fn tree(by: TreeBy, shown: &[&Namespace], snapshot: &Snapshot) -> Vec<TreeLine> {
    let index_of: HashMap<NsId, usize> =
        shown.iter().enumerate().map(|(index, namespace)| (namespace.id, index)).collect();
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); shown.len()];
    let mut roots = Vec::new();
    for (index, namespace) in shown.iter().enumerate() {
        match upper_shown(by, namespace, &index_of, snapshot) {
            Some(upper) => below[upper].push(index),
            None => roots.push(index),
        }
    }
    forest(&roots, &below)
}

/// Draws a forest: `below` has the children of each, `roots` those that are nobody's.
pub fn forest(roots: &[usize], below: &[Vec<usize>]) -> Vec<TreeLine> {
    let mut lines = Vec::with_capacity(below.len());
    // Not recursive: owners nest 32 deep at most, but captured data may say anything.
    let mut open: Vec<(usize, String, &str)> = roots.iter().rev().map(|&root| (root, String::new(), "")).collect();
    while let Some((index, indent, branch)) = open.pop() {
        let inner = match branch {
            "" => String::new(),
            "├─" => format!("{indent}│ "),
            _ => format!("{indent}  "),
        };
        lines.push(TreeLine { index, branches: format!("{indent}{branch}") });
        for (position, &child) in below[index].iter().enumerate().rev() {
            let branch = if position + 1 == below[index].len() { "└─" } else { "├─" };
            open.push((child, inner.clone(), branch));
        }
    }
    lines
}

/// Climbs from a namespace to the next one up that is shown; `None` where there is none, or where the links go round in a circle.
fn upper_shown(
    by: TreeBy,
    namespace: &Namespace,
    index_of: &HashMap<NsId, usize>,
    snapshot: &Snapshot,
) -> Option<usize> {
    let mut found = None;
    let mut seen = HashSet::from([namespace.id]);
    let mut current = upper(by, namespace, snapshot);
    while let Some(id) = current {
        if !seen.insert(id) {
            return None;
        }
        if found.is_none() {
            found = index_of.get(&id).copied();
        }
        current = snapshot.namespace(id).and_then(|namespace| upper(by, namespace, snapshot));
    }
    found
}

fn upper(by: TreeBy, namespace: &Namespace, snapshot: &Snapshot) -> Option<NsId> {
    match by {
        TreeBy::Owner => namespace.owner,
        TreeBy::Parent => namespace.parent,
        TreeBy::Process => {
            let mut process = snapshot.process(namespace.leader?)?;
            loop {
                let parent = snapshot.process(process.ppid)?;
                match parent.ns[namespace.kind.index()] {
                    Some(id) if id != namespace.id => return Some(id),
                    // A parent is older, or has the smaller pid of two that started in the same tick; anything else is no tree.
                    _ if (parent.start_time_ticks, parent.pid) >= (process.start_time_ticks, process.pid) => {
                        return None;
                    }
                    _ => process = parent,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Comm, NsKind, NsName, Observations, Pid, Process, Relations};

    fn id(inode: u32) -> NsId {
        NsId::new(inode).expect("not zero")
    }

    fn snapshot(owners: &[(NsKind, u32, Option<u32>)]) -> Snapshot {
        let mut observations = Observations::default();
        for &(kind, inode, owner) in owners {
            let owner = owner.map(id);
            let parent = if kind.has_parent() { owner } else { None };
            let relations = Relations { owner, parent, ..Relations::default() };
            observations.relations.insert(NsName { kind, id: id(inode) }, relations);
        }
        Snapshot::build(observations)
    }

    fn drawn(by: TreeBy, snapshot: &Snapshot, hidden: &[u32]) -> Vec<String> {
        let shown: Vec<_> =
            snapshot.namespaces.iter().filter(|namespace| !hidden.contains(&namespace.id.inode())).collect();
        tree(by, &shown, snapshot)
            .into_iter()
            .map(|line| format!("{}{}", line.branches, shown[line.index].id))
            .collect()
    }

    #[test]
    fn owners_are_drawn_above_what_they_own() {
        let user = NsKind::User;
        let snapshot = snapshot(&[
            (user, 1, None),
            (NsKind::Net, 2, Some(1)),
            (user, 3, Some(1)),
            (NsKind::Uts, 4, Some(3)),
            (user, 5, Some(1)),
        ]);
        assert_eq!(drawn(TreeBy::Owner, &snapshot, &[]), ["1", "├─2", "├─3", "│ └─4", "└─5"]);
        assert_eq!(drawn(TreeBy::Parent, &snapshot, &[2, 4]), ["1", "├─3", "└─5"]);
        assert_eq!(drawn(TreeBy::Owner, &snapshot, &[3]), ["1", "├─2", "├─4", "└─5"]);
    }

    #[test]
    fn links_that_go_round_are_drawn_flat() {
        let snapshot = snapshot(&[(NsKind::User, 1, Some(2)), (NsKind::User, 2, Some(1)), (NsKind::User, 3, Some(3))]);
        assert_eq!(drawn(TreeBy::Owner, &snapshot, &[]), ["1", "2", "3"]);
    }

    #[test]
    fn a_deep_chain_is_drawn_without_recursion() {
        let chain: Vec<_> = (1..3000).map(|inode| (NsKind::User, inode, (inode > 1).then(|| inode - 1))).collect();
        let lines = drawn(TreeBy::Owner, &snapshot(&chain), &[]);
        assert_eq!(lines.len(), 2999);
    }

    #[test]
    fn a_leader_leads_back_to_where_it_came_from() {
        let mut observations = Observations::default();
        for (pid, ppid, uts) in [(1, 0, 1), (2, 1, 1), (3, 2, 2), (4, 3, 2), (5, 4, 3)] {
            let mut ns = [None; 8];
            ns[NsKind::Uts.index()] = Some(id(uts));
            observations.processes.push(Process {
                pid: Pid(pid),
                ppid: Pid(ppid),
                start_time_ticks: u64::from(pid),
                comm: Comm::default(),
                nthreads: 1,
                kernel: false,
                ns,
            });
        }
        let snapshot = Snapshot::build(observations);
        assert_eq!(drawn(TreeBy::Process, &snapshot, &[]), ["1", "└─2", "  └─3"]);
    }
}
