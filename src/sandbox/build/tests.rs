//! Sandboxes put together from made-up facts.

use super::*;
use crate::model::{NsArray, NsKind};

const ID: &str = "3f2a9c0000000000000000000000000000000000000000000000000000000001";
const OTHER: &str = "3f2a9c0000000000000000000000000000000000000000000000000000000002";

fn ns(inode: u32) -> NsId {
    NsId::new(inode).expect("not zero")
}

/// Processes that share the mount and pid namespaces with these numbers; the host's are 1 and 2.
fn candidate(pid: u32, (mnt, pid_ns): (u32, u32), nspids: &[u32], cgroup: &str) -> Candidate {
    let mut all = NsArray::default();
    all[NsKind::Mnt.index()] = Some(ns(mnt));
    all[NsKind::Pid.index()] = Some(ns(pid_ns));
    Candidate {
        pid: Pid(pid),
        start_time_ticks: u64::from(pid),
        ns: all,
        pair: Some((ns(mnt), ns(pid_ns))),
        members: vec![Pid(pid)],
        cgroup: cgroup.as_bytes().to_vec(),
        nspids: nspids.to_vec(),
        uid: Some(Uid(0)),
        above: None,
        maker: None,
        parent: None,
    }
}

impl Candidate {
    fn above(self, pid_ns: u32) -> Candidate {
        Candidate { above: Some(ns(pid_ns)), ..self }
    }

    fn child_of(self, pid: u32, uid: u32, depth: usize, monitor: Option<Monitor>) -> Candidate {
        Candidate {
            parent: Some(Parent { pid: Pid(pid), uid: Some(Uid(uid)), genuine: true, depth, monitor, cwd: None }),
            ..self
        }
    }
}

fn shim(id: &str, namespace: &str) -> Option<Monitor> {
    let engine = if namespace == "moby" { "docker" } else { "containerd" };
    Some(Monitor { engine, id: Some(id.to_owned()), namespace: Some(namespace.to_owned()), ..Monitor::default() })
}

fn facts(candidates: Vec<Candidate>) -> Facts {
    let pairs = candidates.iter().filter_map(|one| Some((one.pid, one.pair?))).collect();
    Facts { host: Some((ns(1), ns(2))), candidates, pairs, ..Facts::default() }
}

/// Engine, id or name, whether verified, pid, the pid of the one it is inside of, and how many are in it.
type Built = (Option<&'static str>, Option<String>, bool, u32, Option<u32>, usize);

fn built(facts: &Facts) -> Vec<Built> {
    let all = finish(build(facts));
    let one = |one: &Sandbox| {
        let id = one.id.clone().or_else(|| one.name.clone());
        (one.engine, id, one.verified, one.pid.0, one.parent.map(|parent| all[parent].pid.0), one.members.len())
    };
    all.iter().map(one).collect()
}

#[test]
fn what_shares_a_pid_namespace_is_one_sandbox() {
    let facts = facts(vec![
        candidate(10, (11, 12), &[10, 1], "/lxc.payload.web/init.scope"),
        // A service inside with mounts of its own.
        candidate(20, (21, 12), &[20, 5], "/lxc.payload.web/system.slice/x.service"),
    ]);
    assert_eq!(built(&facts), [(Some("lxc"), Some("web".to_owned()), false, 10, None, 2)]);
}

#[test]
fn containers_that_share_a_pid_namespace_are_told_apart_by_their_cgroups() {
    let facts = facts(vec![
        candidate(10, (11, 12), &[10, 1], &format!("/docker/{ID}")).child_of(9, 0, 1, shim(ID, "moby")),
        candidate(20, (21, 12), &[20, 5], &format!("/docker/{OTHER}")).child_of(19, 0, 1, shim(OTHER, "moby")),
    ]);
    let docker = Some("docker");
    assert_eq!(
        built(&facts),
        [(docker, Some(ID.to_owned()), true, 10, None, 1), (docker, Some(OTHER.to_owned()), true, 20, None, 1)]
    );
}

#[test]
fn whoever_shares_the_hosts_pids_is_known_by_his_cgroup() {
    let facts = facts(vec![
        candidate(10, (11, 2), &[10], &format!("/docker/{ID}")).child_of(9, 0, 1, shim(ID, "moby")),
        candidate(20, (21, 2), &[20], &format!("/docker/{ID}")),
        candidate(30, (31, 2), &[30], &format!("/docker/{OTHER}")),
    ]);
    let docker = Some("docker");
    assert_eq!(
        built(&facts),
        [(docker, Some(ID.to_owned()), true, 10, None, 2), (docker, Some(OTHER.to_owned()), false, 30, None, 1)]
    );
}

#[test]
fn who_was_made_inside_is_inside_by_his_parent_or_his_pid_namespace() {
    let outer = || candidate(10, (11, 12), &[10, 1], &format!("/docker/{ID}")).child_of(9, 0, 1, shim(ID, "moby"));
    let path = format!("/docker/{ID}/docker/{OTHER}");
    for inner in [
        candidate(20, (21, 22), &[20, 7, 1], &path).child_of(10, 0, 2, shim(OTHER, "moby")),
        candidate(20, (21, 22), &[20, 7, 1], &path).above(12),
        // With a cgroup that tells nothing of the outer one.
        candidate(20, (21, 22), &[20, 7, 1], &format!("/x/docker/{OTHER}")).above(12),
    ] {
        let all = built(&facts(vec![outer(), inner]));
        assert_eq!((all[1].0, all[1].1.as_deref(), all[1].4), (Some("docker"), Some(OTHER), Some(10)));
    }
}

#[test]
fn a_cgroup_below_ones_own_makes_nobody_another() {
    // The container moves itself into a cgroup that is called like another's.
    let facts = facts(vec![candidate(10, (11, 12), &[10, 1], &format!("/docker/{ID}/docker/{OTHER}"))]);
    assert_eq!(built(&facts)[0].1.as_deref(), Some(ID));
}

#[test]
fn one_shim_has_all_containers_of_a_pod() {
    let facts = facts(vec![
        candidate(10, (11, 12), &[10, 1], &format!("/kubepods/pod1/{ID}")).child_of(9, 0, 1, shim(ID, "k8s.io")),
        candidate(20, (21, 22), &[20, 1], &format!("/kubepods/pod1/{OTHER}")).child_of(9, 0, 1, shim(ID, "k8s.io")),
    ]);
    let all = built(&facts);
    assert_eq!((all[0].1.as_deref(), all[1].1.as_deref()), (Some(ID), Some(OTHER)));
    // That the cgroups speak the truth is for the records to say.
    assert!(all.iter().all(|one| one.0 == Some("containerd") && !one.2));
}

#[test]
fn a_shim_that_is_not_roots_is_believed_by_nobody() {
    let facts = facts(vec![candidate(10, (11, 12), &[10, 1], "/").child_of(9, 1000, 1, shim(ID, "moby"))]);
    assert_eq!(built(&facts), [(Some("docker"), Some(ID.to_owned()), false, 10, None, 1)]);
}

#[test]
fn who_may_not_be_looked_into_is_with_those_who_may() {
    let hidden = |pid: u32, parent: u32, nspids: &[u32]| Candidate {
        pair: None,
        ns: NsArray::default(),
        ..candidate(pid, (5, 6), nspids, &format!("/docker/{ID}")).child_of(parent, 0, 1, None)
    };
    // The first process is another user's, a child of it is not; somebody was put in by exec, and his parent is the shim.
    let child = candidate(11, (5, 6), &[11, 2], &format!("/docker/{ID}")).child_of(10, 0, 2, None);
    let facts = facts(vec![hidden(10, 9, &[10, 1]), child, hidden(12, 9, &[12, 7])]);
    assert_eq!(built(&facts), [(Some("docker"), Some(ID.to_owned()), false, 10, None, 3)]);
}

#[test]
fn a_sandbox_of_ones_own_is_its_command() {
    let own = Own {
        init: Pid(10),
        command: Some((Pid(11), 11, NsArray::default())),
        name: "web".to_owned(),
        uid: Some(Uid(7)),
    };
    // The first process may not be looked into: it has no namespaces that one could read.
    let init = Candidate { pair: None, ns: NsArray::default(), ..candidate(10, (5, 6), &[10, 1], "/x") };
    let command = candidate(11, (5, 6), &[11, 2], "/x").child_of(10, 0, 2, None);
    let facts = Facts { own: vec![own], ..facts(vec![init, command]) };
    assert_eq!(built(&facts), [(Some("nsx"), Some("web".to_owned()), true, 11, None, 2)]);
}
