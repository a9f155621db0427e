//! Plans for callers and targets of all sorts, as tables.

use super::super::request::{Caps, Id};
use super::*;
use crate::model::{NsArray, NsId};
use crate::proc::parse::{Credentials, IdMap};

const USER: usize = NsKind::User.index();

fn id(inode: u32) -> NsId {
    NsId::new(inode).expect("not zero")
}

/// Namespaces 1 to 8 in the order of kinds, but for these.
fn namespaces(other: &[(NsKind, u32)]) -> NsArray {
    let mut all = NsArray::default();
    for kind in NsKind::ALL {
        all[kind.index()] = Some(id(kind.index() as u32 + 1));
    }
    for (kind, inode) in other {
        all[kind.index()] = Some(id(*inode));
    }
    all
}

/// A caller, root or not, and a target that is elsewhere in these kinds.
fn facts(root: bool, other: &[(NsKind, u32)]) -> Facts {
    let target = TargetFacts { pid: 42, namespaces: namespaces(other), pidfd: true, ..TargetFacts::default() };
    Facts {
        own: namespaces(&[]),
        caps: if root { CapSet::from_bits(u64::MAX) } else { CapSet::EMPTY },
        all_caps: CapSet::from_bits(0xFFFF),
        uid: if root { 0 } else { 1000 },
        gid: if root { 0 } else { 1000 },
        directory: Some("/srv/work".into()),
        target: Some(target),
        ..Facts::default()
    }
}

fn ids(uids: &str, setgroups_denied: bool) -> UserFacts {
    UserFacts { uids: IdMap::parse(uids.as_bytes()), gids: IdMap::parse(uids.as_bytes()), setgroups_denied }
}

fn kinds(kinds: &[NsKind]) -> Option<KindSet> {
    Some(kinds.iter().copied().collect())
}

fn set(kinds: &[NsKind]) -> KindSet {
    kinds.iter().copied().collect()
}

fn steps(request: &Request, facts: &Facts) -> Vec<(Who, Action)> {
    let plan = plan(request, facts).expect("a plan");
    plan.steps.into_iter().map(|step| (step.who, step.action)).filter(|(_, action)| !is_exec(action)).collect()
}

fn is_exec(action: &Action) -> bool {
    matches!(action, Action::Exec { .. })
}

#[test]
fn root_enters_all_that_differ_in_one_call_and_the_command_is_a_child() {
    let others = [(NsKind::Mnt, 100), (NsKind::Net, 101), (NsKind::Pid, 102), (NsKind::User, 103)];
    let mut facts = facts(true, &others);
    facts.ids = Some(ids("0 100000 65536", false));
    if let Some(target) = &mut facts.target {
        target.root = true;
    }
    assert_eq!(
        steps(&Request::default(), &facts),
        [
            (Who::Stub, Action::DropGroups),
            (Who::Stub, Action::EnterTarget(set(&[NsKind::Mnt, NsKind::Net, NsKind::Pid, NsKind::User]))),
            (Who::Stub, Action::ChangeRoot { target: true }),
            (Who::Stub, Action::FindDirectory { path: "/srv/work".into(), required: false }),
            (Who::Stub, Action::SetGid(0)),
            (Who::Stub, Action::SetUid(0)),
            (Who::Stub, Action::Fork { terminal: false }),
        ]
    );
}

#[test]
fn one_kind_leaves_everything_else_as_it_is() {
    let facts = facts(true, &[(NsKind::Net, 101), (NsKind::Mnt, 100), (NsKind::User, 103)]);
    let request = Request { kinds: kinds(&[NsKind::Net]), ..Request::default() };
    assert_eq!(steps(&request, &facts), [(Who::Nsx, Action::EnterTarget(set(&[NsKind::Net])))]);
    let plan = plan(&request, &facts).expect("a plan");
    assert!(!plan.forks && !plan.terminal && !plan.other_root);
}

#[test]
fn a_pid_namespace_alone_gets_a_proc_that_fits_mounted_from_inside() {
    let facts = facts(true, &[(NsKind::Pid, 102)]);
    let request = Request { kinds: kinds(&[NsKind::Pid]), uid: Some(Id::Number(5)), ..Request::default() };
    let expected = [
        (Who::Stub, Action::EnterTarget(set(&[NsKind::Pid]))),
        (Who::Stub, Action::PrivateMounts),
        (Who::Stub, Action::Fork { terminal: false }),
        (Who::Command, Action::MountProc),
        (Who::Command, Action::SetUid(5)),
    ];
    assert_eq!(steps(&request, &facts), expected);
    let without = Request { private_proc: false, ..request.clone() };
    let expected = [expected[0].clone(), (Who::Stub, Action::SetUid(5)), expected[2].clone()];
    assert_eq!(steps(&without, &facts), expected);
    let unforked = Request { fork: false, ..request };
    assert_eq!(
        steps(&unforked, &facts),
        [(Who::Nsx, expected[0].1.clone()), (Who::Nsx, Action::SetUid(5))],
        "only children are in the namespace, so there is nobody to mount it"
    );
}

#[test]
fn what_is_the_callers_own_is_not_entered() {
    let facts = facts(true, &[]);
    for asked in [None, Some(KindSet::ALL)] {
        let request = Request { kinds: asked, ..Request::default() };
        assert_eq!(steps(&request, &facts), [], "{asked:?}");
    }
    let request = Request { kinds: kinds(&[NsKind::User]), ..Request::default() };
    assert_eq!(plan(&request, &facts).expect("a plan").notes, ["user:[7] is the caller's own: nothing to enter"]);
}

#[test]
fn an_ordinary_user_enters_the_owner_first() {
    let mut facts = facts(false, &[(NsKind::Net, 101), (NsKind::User, 103)]);
    facts.owners[NsKind::Net.index()] = Some(Owner { id: id(103), depth: 1 });
    facts.ids = Some(ids("0 1000 1", true));
    let request = Request { kinds: kinds(&[NsKind::Net]), ..Request::default() };
    assert_eq!(
        steps(&request, &facts),
        [
            (Who::Nsx, Action::EnterOwner(id(103))),
            (Who::Nsx, Action::EnterTarget(set(&[NsKind::Net]))),
            (Who::Nsx, Action::SetGid(0)),
            (Who::Nsx, Action::SetUid(0)),
        ]
    );
    // With the user namespace all goes in one call; without a pidfd it comes first, as it is what gives the privilege.
    let request = Request { kinds: kinds(&[NsKind::Net, NsKind::User]), preserve_credentials: true, ..request };
    assert_eq!(steps(&request, &facts), [(Who::Nsx, Action::EnterTarget(set(&[NsKind::Net, NsKind::User])))]);
    if let Some(target) = &mut facts.target {
        target.pidfd = false;
    }
    assert_eq!(
        steps(&request, &facts),
        [(Who::Nsx, Action::EnterTarget(set(&[NsKind::User]))), (Who::Nsx, Action::EnterTarget(set(&[NsKind::Net]))),]
    );
}

#[test]
fn of_nested_user_namespaces_the_topmost_owner_comes_first_and_the_targets_last() {
    let mut facts = facts(false, &[(NsKind::Net, 101), (NsKind::Mnt, 100), (NsKind::User, 104)]);
    facts.owners[NsKind::Net.index()] = Some(Owner { id: id(104), depth: 2 });
    facts.owners[NsKind::Mnt.index()] = Some(Owner { id: id(103), depth: 1 });
    if let Some(target) = &mut facts.target {
        target.pidfd = false;
    }
    let request = Request {
        kinds: kinds(&[NsKind::Net, NsKind::Mnt, NsKind::User]),
        preserve_credentials: true,
        directory_inside: Some("/".into()),
        fork: false,
        ..Request::default()
    };
    assert_eq!(
        steps(&request, &facts)[..3],
        [
            (Who::Nsx, Action::EnterOwner(id(103))),
            (Who::Nsx, Action::EnterTarget(set(&[NsKind::Mnt, NsKind::Net]))),
            (Who::Nsx, Action::EnterTarget(set(&[NsKind::User]))),
        ]
    );
}

#[test]
fn files_come_before_the_target_and_the_user_namespace_last() {
    let mut facts = facts(true, &[(NsKind::Uts, 105)]);
    facts.given[NsKind::Net.index()] = Some(id(200));
    facts.given[USER] = Some(id(201));
    let request = Request {
        kinds: kinds(&[NsKind::Net, NsKind::User, NsKind::Uts]),
        preserve_credentials: true,
        ..Request::default()
    };
    assert_eq!(
        steps(&request, &facts),
        [
            (Who::Nsx, Action::EnterFile(NsKind::Net)),
            (Who::Nsx, Action::EnterTarget(set(&[NsKind::Uts]))),
            (Who::Nsx, Action::EnterFile(NsKind::User)),
        ]
    );
}

#[test]
fn ids_follow_the_target_through_the_map_of_its_user_namespace() {
    let mut facts = facts(true, &[(NsKind::User, 103)]);
    facts.ids = Some(ids("0 100000 65536", false));
    facts.caps = CapSet::SYS_ADMIN;
    if let Some(target) = &mut facts.target {
        target.credentials = Some(Credentials { uid: 100_033, gid: 7, ..Credentials::default() });
    }
    let request = Request { uid: Some(Id::Follow), ..Request::default() };
    assert!(steps(&request, &facts).contains(&(Who::Nsx, Action::SetUid(33))));
    let request = Request { gid: Some(Id::Follow), ..Request::default() };
    assert_eq!(plan(&request, &facts), Err(PlanError::Unmapped("gid", 7)));
}

#[test]
fn in_a_user_namespace_without_root_no_id_of_the_callers_counts_outside() {
    let entered = [(Who::Nsx, Action::EnterTarget(set(&[NsKind::User])))];
    let of = |uid, gid| Some(Credentials { uid, gid, ..Credentials::default() });
    // An ordinary user, whose ids mean the same in there.
    let mut own = facts(false, &[(NsKind::User, 103)]);
    own.ids = Some(ids("1000 1000 1", true));
    assert_eq!(steps(&Request::default(), &own), entered);
    // Nobody is mapped, but the target is the same user.
    own.ids = Some(ids("", true));
    if let Some(target) = &mut own.target {
        target.credentials = of(1000, 1000);
    }
    assert_eq!(steps(&Request::default(), &own), entered);

    // Root becomes what the target is, and gives up its groups while that is possible.
    let mut foreign = facts(true, &[(NsKind::User, 103)]);
    foreign.ids = Some(ids("1000 1000 1", true));
    if let Some(target) = &mut foreign.target {
        target.credentials = of(1000, 1000);
    }
    let dropped = (Who::Nsx, Action::DropGroups);
    let ids_of_target = [(Who::Nsx, Action::SetGid(1000)), (Who::Nsx, Action::SetUid(1000))];
    assert_eq!(steps(&Request::default(), &foreign), [&[dropped][..], &entered, &ids_of_target].concat());
    // Where it cannot, it does not enter, unless that is what was asked for.
    for unmapped in [Some(ids("", true)), None] {
        foreign.ids = unmapped;
        assert_eq!(plan(&Request::default(), &foreign), Err(PlanError::NoId("gid")));
        let kept = Request { preserve_credentials: true, ..Request::default() };
        assert_eq!(steps(&kept, &foreign), entered);
    }
    // uid and gid each for itself.
    foreign.ids =
        Some(UserFacts { uids: IdMap::parse(b"0 0 1"), gids: IdMap::parse(b"5 5 1"), setgroups_denied: true });
    assert_eq!(plan(&Request::default(), &foreign), Err(PlanError::NoId("gid")));
}

#[test]
fn capabilities_are_limited_after_the_ids_and_the_bounding_set_before() {
    let kept = CapSet::parse("net_admin").expect("known");
    let facts = facts(true, &[]);
    let request = Request { caps: Some(Caps::Only(kept)), uid: Some(Id::Number(33)), ..Request::default() };
    assert_eq!(
        steps(&request, &facts),
        [
            (Who::Nsx, Action::DropBounding(facts.all_caps & !kept)),
            (Who::Nsx, Action::SetUid(33)),
            (Who::Nsx, Action::LimitCaps { kept, root: false }),
        ]
    );
    let request = Request { uid: None, ..request };
    assert_eq!(steps(&request, &facts)[1], (Who::Nsx, Action::LimitCaps { kept, root: true }));
}

#[test]
fn cgroups_are_joined_first_and_what_cannot_be_joined_is_said() {
    let mut facts = facts(true, &[(NsKind::Uts, 105)]);
    facts.cgroups = vec![
        CgroupFacts { hierarchy: "memory".into(), procs: Ok(b"/sys/fs/cgroup/memory/x/cgroup.procs".to_vec()) },
        CgroupFacts { hierarchy: "pids".into(), procs: Err("not here".into()) },
    ];
    let actions = steps(&Request::default(), &facts);
    assert_eq!(actions[0], (Who::Nsx, Action::JoinCgroup { index: 0, required: false }));
    let warnings = plan(&Request::default(), &facts).expect("a plan").warnings;
    assert_eq!(warnings, ["not in the target's pids cgroup: not here"]);
    let request = Request { cgroup: Some(true), ..Request::default() };
    assert_eq!(plan(&request, &facts), Err(PlanError::Cgroup("pids".into(), "not here".into())));
}

#[test]
fn tools_keep_the_hosts_root_and_enter_all_else() {
    let facts = facts(true, &[(NsKind::Mnt, 100), (NsKind::Net, 101), (NsKind::Pid, 102)]);
    let request = Request { tools: Some("/mnt".into()), ..Request::default() };
    assert_eq!(
        steps(&request, &facts),
        [
            (Who::Stub, Action::EnterTarget(set(&[NsKind::Net, NsKind::Pid]))),
            (Who::Stub, Action::PrivateMounts),
            (Who::Stub, Action::ShowTarget("/mnt".into())),
            (Who::Stub, Action::MountSys),
            (Who::Stub, Action::Fork { terminal: false }),
            (Who::Command, Action::MountProc),
        ]
    );
}

#[test]
fn a_terminal_of_its_own_goes_to_a_command_that_nsx_watches_over() {
    for (other, terminals, terminal) in [
        (NsKind::Pid, [true; 3], true),
        (NsKind::Mnt, [false, false, true], true),
        (NsKind::Mnt, [false; 3], false),
        (NsKind::Net, [true; 3], false),
    ] {
        let facts = Facts { terminals, ..facts(true, &[(other, 100)]) };
        assert_eq!(plan(&Request::default(), &facts).expect("a plan").terminal, terminal, "{other} {terminals:?}");
    }
}

#[test]
fn what_takes_a_process_says_so() {
    let mut facts = facts(true, &[]);
    facts.target = None;
    facts.given[NsKind::Net.index()] = Some(id(200));
    let asked = |request: Request| plan(&request, &facts).expect_err("no process");
    let given = || Request { kinds: kinds(&[NsKind::Net]), ..Request::default() };
    assert!(plan(&given(), &facts).is_ok());
    assert_eq!(asked(Request { kinds: kinds(&[NsKind::Net, NsKind::Mnt]), ..given() }), PlanError::NoProcess("-m"));
    assert_eq!(asked(Request { cgroup: Some(true), ..given() }), PlanError::NoProcess("-c"));
    assert_eq!(asked(Request { root: Some(Place::OfTarget), ..given() }), PlanError::NoProcess("-r"));
    assert_eq!(asked(Request { directory: Some(Place::OfTarget), ..given() }), PlanError::NoProcess("-w"));
    assert_eq!(asked(Request { context: true, ..given() }), PlanError::NoProcess("-Z"));
    assert_eq!(asked(Request { uid: Some(Id::Follow), ..given() }), PlanError::NoProcess("follow"));
    assert_eq!(asked(Request { caps: Some(Caps::Target), ..given() }), PlanError::NoProcess("--caps target"));
}
