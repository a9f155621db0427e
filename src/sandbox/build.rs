//! From facts to sandboxes: what belongs together, what was made inside of what, and what the processes around say of it. Pure.

use std::collections::HashMap;

use super::Sandbox;
use super::facts::{Candidate, Facts, Own, Pair, Parent};
use crate::engine::identify::{Claim, claims};
use crate::engine::monitor::Monitor;
use crate::model::{NsId, Pid, Uid};

/// A sandbox while it is put together.
pub(super) struct Draft {
    /// What is known of it.
    pub(super) sandbox: Sandbox,
    /// What its cgroup claims.
    pub(super) claim: Option<Claim>,
    /// Whether the namespaces of its oldest process may not be read.
    unreadable: bool,
    /// Who looks after it.
    pub(super) parent: Option<Parent>,
    /// The number of pid namespaces that whoever keeps records of it has pids of.
    pub(super) depth: usize,
}

/// Puts candidates together, and gives them the names that the processes and cgroups say. The outer ones come first.
pub(super) fn build(facts: &Facts) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut by_pair: HashMap<Pair, usize> = HashMap::new();
    let mut by_pid_ns: HashMap<NsId, usize> = HashMap::new();
    let mut by_member: HashMap<Pid, usize> = HashMap::new();
    let host_pid = facts.host.map(|host| host.1);
    for candidate in &facts.candidates {
        let of_parent = candidate.parent.as_ref().and_then(|parent| {
            by_member.get(&parent.pid).or_else(|| by_pair.get(facts.pairs.get(&parent.pid)?)).copied()
        });
        let pid_ns = candidate.pair.map(|pair| pair.1).filter(|pid_ns| Some(*pid_ns) != host_pid);
        let main = pid_ns.and_then(|pid_ns| by_pid_ns.get(&pid_ns)).copied();
        // Of those in one pid namespace the oldest was made from outside; its sandbox is that of its parent.
        let outer = match main {
            Some(main) => drafts[main].sandbox.parent,
            None => of_parent.or_else(|| by_pid_ns.get(&candidate.above?).copied()),
        };
        let claim = own_claim(candidate, outer, &drafts);
        // Of those in one pid namespace some may be readable and others not.
        let is_parents = |place: &usize| {
            let draft: &Draft = &drafts[*place];
            let as_deep = draft.sandbox.nspids.len() == candidate.nspids.len() && candidate.nspids.len() > 1;
            as_deep && (draft.unreadable || candidate.pair.is_none())
        };
        let claims_same = |draft: &Draft| {
            let as_deep = draft.sandbox.nspids.len() == candidate.nspids.len();
            claim.is_some() && draft.claim == claim && draft.sandbox.parent == outer && as_deep
        };
        let same = match main {
            _ if of_parent.as_ref().is_some_and(is_parents) => of_parent,
            Some(main) if claim.as_ref().is_none_or(|claim| is_claimed(claim, &drafts[main])) => Some(main),
            // Who shares the host's pids, or may not be looked into, is known by his cgroup alone.
            None if pid_ns.is_none() => drafts.iter().position(claims_same),
            _ => None,
        };
        let place = match same {
            Some(same) => {
                let draft = &mut drafts[same];
                draft.sandbox.members.extend(&candidate.members);
                if draft.unreadable && candidate.pair.is_some() {
                    (draft.sandbox.ns, draft.unreadable) = (candidate.ns, false);
                }
                same
            }
            None => {
                drafts.push(draft(candidate, claim, outer, &drafts));
                drafts.len() - 1
            }
        };
        by_member.extend(candidate.members.iter().map(|&pid| (pid, place)));
        if let Some(pair) = candidate.pair {
            by_pair.insert(pair, place);
        }
        if let Some(pid_ns) = pid_ns {
            by_pid_ns.entry(pid_ns).or_insert(place);
        }
    }
    one_for_each(&mut drafts);
    for own in &facts.own {
        name_own(own, &mut drafts, &by_member);
    }
    drafts
}

/// Says whether a cgroup claims to be of this sandbox.
fn is_claimed(claim: &Claim, draft: &Draft) -> bool {
    Some(claim) == draft.claim.as_ref() || claim.id.is_some() && claim.id == draft.sandbox.id
}

/// Returns what the cgroup of a candidate claims beyond the sandboxes that it was made in.
fn own_claim(candidate: &Candidate, outer: Option<usize>, drafts: &[Draft]) -> Option<Claim> {
    let mut all = claims(&candidate.cgroup);
    let mut above = outer;
    while let Some(place) = above {
        all.retain(|claim| Some(claim) != drafts[place].claim.as_ref());
        above = drafts[place].sandbox.parent;
    }
    // The outermost that is left was made from outside; what is below it, those inside could have made.
    all.into_iter().next()
}

fn draft(candidate: &Candidate, claim: Option<Claim>, outer: Option<usize>, drafts: &[Draft]) -> Draft {
    let parent = candidate.parent.clone().filter(|parent| parent.monitor.is_some());
    let depth = match outer {
        Some(outer) => drafts[outer].sandbox.nspids.len(),
        None => 1,
    };
    let mut sandbox = Sandbox {
        engine: None,
        id: None,
        name: None,
        verified: false,
        image: None,
        labels: Vec::new(),
        pod: None,
        pid: candidate.pid,
        start_time_ticks: candidate.start_time_ticks,
        nspids: candidate.nspids.clone(),
        ns: candidate.ns,
        uid: candidate.maker.or(candidate.uid),
        members: candidate.members.clone(),
        cgroup: Some(candidate.cgroup.clone()).filter(|cgroup| !cgroup.is_empty()),
        parent: outer,
    };
    if let Some(claim) = &claim {
        sandbox.engine = claim.engine;
        sandbox.id.clone_from(&claim.id);
        sandbox.name.clone_from(&claim.name);
    }
    if let Some(parent) = &parent
        && let Some(monitor) = &parent.monitor
    {
        sandbox.uid = parent.uid.or(sandbox.uid);
        name_by_monitor(&mut sandbox, monitor, parent);
    }
    let unreadable = candidate.pair.is_none();
    Draft { sandbox, claim, unreadable, parent, depth: parent_depth(candidate).unwrap_or(depth) }
}

fn parent_depth(candidate: &Candidate) -> Option<usize> {
    let parent = candidate.parent.as_ref().filter(|parent| parent.monitor.is_some())?;
    (parent.depth > 0).then_some(parent.depth)
}

/// Takes over what the process that looks after a sandbox says.
fn name_by_monitor(sandbox: &mut Sandbox, monitor: &Monitor, parent: &Parent) {
    // Whoever wants to be taken for a container of somebody else's may start such a process. Docker, containerd and CRI-O run as root, or, below
    // their own users, are believed only with a record.
    let is_roots = matches!(monitor.engine, "docker" | "containerd" | "crio");
    // Of one who looks after many the cgroup says which it is, and that has to be in a record.
    let said_by_cgroup = monitor.engine == "containerd" && monitor.has_many();
    sandbox.verified = parent.genuine && !said_by_cgroup && (!is_roots || parent.uid == Some(Uid(0)));
    // The packages have no process of their own but bubblewrap.
    if monitor.engine == "bwrap" && sandbox.engine == Some("flatpak") {
        sandbox.verified = true;
        return;
    }
    let claims_own = sandbox.id.is_some() && sandbox.engine.is_none_or(|engine| engine == monitor.engine);
    if !(monitor.has_many() && claims_own) {
        sandbox.id = monitor.id.clone().map(bounded);
        sandbox.name = monitor.name.clone().map(bounded);
    }
    sandbox.engine = Some(monitor.engine);
}

/// Cuts a name that is longer than engines make them: whoever makes it longer does not do so to be read.
pub(super) fn bounded(mut name: String) -> String {
    const MOST: usize = 255;
    if name.len() > MOST {
        let end = (0..=MOST).rev().find(|end| name.is_char_boundary(*end)).unwrap_or_default();
        name.truncate(end);
        name.push('…');
    }
    name
}

/// Of several that a process looks after under one id, only the oldest is what that means: others have been made by those inside.
fn one_for_each(drafts: &mut [Draft]) {
    let mut seen: HashMap<(Pid, Option<String>), ()> = HashMap::new();
    for draft in drafts {
        let Some(parent) = &draft.parent else { continue };
        if parent.monitor.as_ref().is_some_and(|monitor| !monitor.has_many() && monitor.engine != "bwrap") {
            let is_first = seen.insert((parent.pid, draft.sandbox.id.clone()), ()).is_none();
            draft.sandbox.verified &= is_first;
        }
    }
}

/// Names a sandbox of `nsx run`.
fn name_own(own: &Own, drafts: &mut [Draft], by_member: &HashMap<Pid, usize>) {
    let of = |pid: Pid| by_member.get(&pid).copied();
    let (init, command) = (of(own.init), own.command.and_then(|(pid, ..)| of(pid)));
    let Some(place) = command.or(init) else { return };
    // Where the first process may not be looked into it was taken for a sandbox of its own.
    if let Some(init) = init.filter(|init| *init != place) {
        let members = std::mem::take(&mut drafts[init].sandbox.members);
        drafts[place].sandbox.members.extend(members);
        drafts[place].sandbox.parent = drafts[init].sandbox.parent;
    }
    let sandbox = &mut drafts[place].sandbox;
    sandbox.engine = Some("nsx");
    sandbox.name = Some(own.name.clone());
    sandbox.id = None;
    sandbox.verified = true;
    sandbox.uid = own.uid.or(sandbox.uid);
    if let Some((pid, started, ns)) = own.command {
        sandbox.pid = pid;
        sandbox.start_time_ticks = started;
        // It may be in another time namespace than the first process.
        sandbox.ns = ns;
    }
}

/// Puts sandboxes into their order, each behind the one that it was made in, and leaves out what has no members.
pub(super) fn finish(drafts: Vec<Draft>) -> Vec<Sandbox> {
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (place, draft) in drafts.iter().enumerate() {
        if !draft.sandbox.members.is_empty() {
            children.entry(draft.sandbox.parent).or_default().push(place);
        }
    }
    for places in children.values_mut() {
        places.sort_by_key(|&place| {
            std::cmp::Reverse((drafts[place].sandbox.start_time_ticks, drafts[place].sandbox.pid))
        });
    }
    let mut left: Vec<usize> = children.get(&None).cloned().unwrap_or_default();
    let mut order = Vec::new();
    while let Some(place) = left.pop() {
        order.push(place);
        left.extend(children.get(&Some(place)).into_iter().flatten());
    }
    let new: HashMap<usize, usize> = order.iter().enumerate().map(|(new, &old)| (old, new)).collect();
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    let mut sandboxes = Vec::new();
    for old in order {
        let Some(Draft { mut sandbox, .. }) = drafts[old].take() else { continue };
        sandbox.parent = sandbox.parent.and_then(|parent| new.get(&parent).copied());
        sandbox.members.sort_unstable();
        sandbox.members.dedup();
        sandboxes.push(sandbox);
    }
    sandboxes
}

#[cfg(test)]
mod tests;
