use super::*;
use crate::model::{Comm, Tid};

fn id(inode: u32) -> NsId {
    NsId::new(inode).expect("not zero")
}

fn name(kind: NsKind, inode: u32) -> NsName {
    NsName { kind, id: id(inode) }
}

fn process(pid: u32, ppid: u32, start: u64, uts: u32, nthreads: u32) -> Process {
    let mut ns = NsArray::default();
    ns[NsKind::Uts.index()] = Some(id(uts));
    Process {
        pid: Pid(pid),
        ppid: Pid(ppid),
        start_time_ticks: start,
        comm: Comm::default(),
        nthreads,
        kernel: false,
        ns,
    }
}

#[test]
fn the_leader_is_the_oldest_whose_parent_is_outside() {
    let observations = Observations {
        // 50 was started first, but inside; 7 came in later from outside; 40 is the first that came.
        processes: vec![
            process(7, 1, 900, 10, 1),
            process(50, 40, 500, 10, 3),
            process(40, 1, 400, 10, 1),
            process(1, 0, 0, 9, 1),
        ],
        ..Observations::default()
    };
    let snapshot = Snapshot::build(observations);
    let namespace = snapshot.namespace(id(10)).expect("found");
    assert_eq!(namespace.leader, Some(Pid(40)));
    assert_eq!(namespace.members, [Pid(7), Pid(40), Pid(50)]);
    assert_eq!(namespace.nthreads, 5);
    assert_eq!(snapshot.processes.iter().map(|process| process.pid.0).collect::<Vec<_>>(), [1, 7, 40, 50]);
}

#[test]
fn a_thread_is_counted_where_it_is() {
    let mut ns = NsArray::default();
    ns[NsKind::Uts.index()] = Some(id(11));
    let observations = Observations {
        processes: vec![process(5, 1, 5, 10, 4)],
        threads: vec![Thread { pid: Pid(5), tid: Tid(6), ns }],
        ..Observations::default()
    };
    let snapshot = Snapshot::build(observations);
    assert_eq!(snapshot.namespace(id(10)).map(|namespace| (namespace.nprocs(), namespace.nthreads)), Some((1, 3)));
    let held = snapshot.namespace(id(11)).expect("found");
    assert_eq!((held.nprocs(), held.nthreads, held.leader), (0, 1, None));
    assert_eq!(held.held_by()[0].0.tid, Some(Tid(6)));
}

#[test]
fn every_way_of_being_held_is_named_with_the_first_of_its_holders() {
    let bind = |path: &str, mnt_ns| Holder {
        path: Some(path.into()),
        mnt_ns: Some(id(mnt_ns)),
        ..Holder::new(HolderKind::BindMount)
    };
    let fd = |pid, fd| Holder { pid: Some(Pid(pid)), fd: Some(fd), ..Holder::new(HolderKind::Fd) };
    let net = name(NsKind::Net, 20);
    let observations = Observations {
        holders: vec![
            (net, bind("/run/netns/b", 8)),
            (net, fd(9, 3)),
            (net, bind("/run/netns/a", 8)),
            (net, fd(4, 7)),
            (net, fd(4, 5)),
        ],
        ..Observations::default()
    };
    let snapshot = Snapshot::build(observations);
    let namespace = snapshot.namespace(id(20)).expect("found");
    let held: Vec<_> = namespace
        .held_by()
        .into_iter()
        .map(|(holder, count)| (holder.kind, count, holder.pid, holder.fd, holder.path))
        .collect();
    assert_eq!(
        held,
        [
            (HolderKind::Fd, 3, Some(Pid(4)), Some(5), None),
            (HolderKind::BindMount, 2, None, None, Some(b"/run/netns/a".to_vec())),
        ]
    );
    assert_eq!(namespace.bind_mounts().map(|(path, _)| path).collect::<Vec<_>>(), [b"/run/netns/a", b"/run/netns/b"]);
}

#[test]
fn owners_and_parents_are_held_by_what_is_below() {
    let user = |owner: Option<u32>, uid| Relations {
        owner: owner.map(id),
        parent: owner.map(id),
        owner_uid: Some(Uid(uid)),
        ..Relations::default()
    };
    let mut observations = Observations::default();
    observations.relations.insert(name(NsKind::User, 0xEFFF_FFFD), user(None, 0));
    observations.relations.insert(name(NsKind::User, 30), user(Some(0xEFFF_FFFD), 1000));
    let net = Relations { owner: Some(id(30)), ..Relations::default() };
    observations.relations.insert(name(NsKind::Net, 31), net);
    let snapshot = Snapshot::build(observations);

    let first = snapshot.namespace(id(0xEFFF_FFFD)).expect("found");
    assert_eq!(first.initial, Some(true));
    let kinds: Vec<_> = first.held_by().into_iter().map(|(holder, count)| (holder.kind, count)).collect();
    assert_eq!(kinds, [(HolderKind::Descendant, 1), (HolderKind::Kernel, 1)]);

    let owner = snapshot.namespace(id(30)).expect("found");
    assert_eq!((owner.owner_uid, owner.initial), (Some(Uid(1000)), Some(false)));
    // A user namespace has its owner for a parent, which is one holder and not two.
    assert_eq!(owner.held_by().iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1]);

    let owned = snapshot.namespace(id(31)).expect("found");
    assert_eq!(owned.owner_uid, Some(Uid(1000)), "the uid that made the user namespace that owns it");
    assert_eq!(owned.held_by()[0].0.kind, HolderKind::Kernel, "listed, and nothing else holds it");
}

#[test]
fn whether_a_net_namespace_is_initial_may_be_unknown() {
    let build = |initial: Vec<NsId>, initial_inodes_fixed| {
        let mut observations = Observations { initial, initial_inodes_fixed, ..Observations::default() };
        for inode in [40, 41] {
            observations.relations.insert(name(NsKind::Net, inode), Relations::default());
        }
        let snapshot = Snapshot::build(observations);
        [40, 41].map(|inode| snapshot.namespace(id(inode)).and_then(|namespace| namespace.initial))
    };
    assert_eq!(build(vec![], false), [None, None]);
    assert_eq!(build(vec![id(40)], false), [Some(true), Some(false)]);
    assert_eq!(build(vec![], true), [Some(false), Some(false)]);
}

#[test]
fn the_callers_own_are_marked() {
    let mut observations =
        Observations { processes: vec![process(1, 0, 0, 9, 1), process(2, 0, 0, 10, 1)], ..Observations::default() };
    observations.own[NsKind::Uts.index()] = Some(id(10));
    observations.own[NsKind::Pid.index()] = Some(id(77));
    let snapshot = Snapshot::build(observations);
    assert_eq!(
        [9, 10].map(|inode| snapshot.namespace(id(inode)).map(|namespace| namespace.own)),
        [Some(false), Some(true)]
    );
    assert_eq!(snapshot.pid_ns, Some(id(77)));
}
