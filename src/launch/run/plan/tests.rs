//! The order of the steps, as tables of what was asked for and what the host says.

use super::*;
use crate::launch::run::request::{NameOrId, Rlimit};
use crate::launch::run::request::{TimeOffset, User};
use crate::launch::run::steps::{BindFacts, MountPoint, Sensitive, UserFacts};

fn request() -> RunRequest {
    RunRequest { command: vec!["true".into()], ..RunRequest::default() }
}

fn facts() -> Facts {
    Facts {
        maps: MapWriter::Nsx,
        setgroups_denied: false,
        tty_group: true,
        limits: Vec::new(),
        cgroups: Vec::new(),
        clone3: true,
        maker: (0, 0),
        owns_cgroups: false,
        keyrings: true,
        tree_namespaces: false,
        root: RootFacts::Tree(Origin::Path(b"/".to_vec())),
        binds: Vec::new(),
        tmpfs: Vec::new(),
        maps_owners: false,
        devices: vec!["null"],
        sensitive: Sensitive::default(),
        private: Vec::new(),
        make_home: Vec::new(),
        sys: true,
        cgroup2: false,
        user: UserFacts::default(),
        oom_score_adj: 0,
        hard_limits: Vec::new(),
        all_caps: CapSet::ALL,
        own_caps: CapSet::ALL,
        terminal: false,
        directories: vec![b"/".to_vec()],
        notes: Vec::new(),
    }
}

fn place(plan: &Plan, is: impl Fn(&Action) -> bool) -> usize {
    plan.steps.iter().position(|step| is(&step.action)).unwrap_or_else(|| panic!("no such step: {:#?}", plan.steps))
}

fn names(plan: &Plan) -> Vec<String> {
    let name = |step: &Step| format!("{:?}", step.action).split([' ', '(', '{']).next().unwrap_or_default().to_owned();
    plan.steps.iter().map(|step| format!("{} {}", step.who, name(step))).collect()
}

#[test]
fn the_plain_sandbox() {
    assert_eq!(
        names(&plan(&request(), &facts())),
        [
            "stub NewSession",
            "stub Clone",
            "init TakeRoot",
            "init TakeProc",
            "init TakeSys",
            "init TakeDevices",
            "nsx WriteMaps",
            "nsx Release",
            "init AwaitRelease",
            "init BecomeRoot",
            "init NewKeyring",
            "init DieWithNsx",
            "init ChangeRoot",
            "init MountProc",
            "init MountSys",
            "init MountDev",
            "init Unshare",
            "init SetHostName",
            "init LoopbackUp",
            "init Fork",
            "command ChangeDirectory",
            "command DropBounding",
            "command NoNewPrivs",
            "command Filter",
            "command LimitCaps",
            "command Exec",
            "init Serve",
            "stub CleanUp",
        ]
    );
}

#[test]
fn an_ordinary_user_with_a_single_id_waits_for_nobody() {
    let facts = Facts {
        maps: MapWriter::Itself { uids: "0 1000 1\n".into(), gids: "0 1000 1\n".into() },
        setgroups_denied: true,
        ..facts()
    };
    let plan = plan(&request(), &facts);
    assert!(!plan.has(|action| matches!(action, Action::AwaitRelease | Action::WriteMaps)));
    let map = place(&plan, |action| matches!(action, Action::WriteOwnMap { .. }));
    assert!(map < place(&plan, |action| matches!(action, Action::TakeRoot { .. })));
    assert!(plan.has(|action| *action == Action::BecomeRoot { uid: 0, gid: 0, groups: false }));
}

#[test]
fn on_v2_it_is_born_within_its_limits_and_on_v1_it_joins_before_there_is_a_command() {
    let limited = |v1: bool, clone3: bool| {
        plan(&request(), &Facts { limits: vec!["a limit".into()], cgroups: vec![v1], clone3, ..facts() })
    };
    let v2 = limited(false, true);
    assert!(v2.has(|action| matches!(action, Action::Clone { into_cgroup: Some(0), .. })));
    assert!(!v2.has(|action| matches!(action, Action::JoinCgroups(_))));
    let Action::Clone { kinds, .. } = &v2.steps[place(&v2, |action| matches!(action, Action::Clone { .. }))].action
    else {
        unreachable!()
    };
    assert!(kinds.contains(NsKind::Cgroup), "its root is the cgroup that it is born into");
    for (plan, file) in [(limited(true, true), "tasks"), (limited(false, false), "cgroup.procs")] {
        assert!(plan.has(|action| *action == Action::TakeCgroups(vec![(0, file)])), "{:#?}", plan.steps);
        let joins = place(&plan, |action| *action == Action::JoinCgroups(1));
        // Whether it may is asked of whoever opens the files: before it is somebody else.
        assert!(
            place(&plan, |action| matches!(action, Action::TakeCgroups(_)))
                < place(&plan, |action| matches!(action, Action::BecomeRoot { .. }))
        );
        let left = place(&plan, |action| matches!(action, Action::Unshare(kinds) if kinds.contains(NsKind::Cgroup)));
        assert!(joins < left && left < place(&plan, |action| matches!(action, Action::Fork { .. })));
    }
}

#[test]
fn where_mounts_can_be_a_namespace_no_root_directory_is_changed() {
    let copied = plan(&request(), &Facts { tree_namespaces: true, ..facts() });
    assert!(!copied.has(|action| matches!(action, Action::ChangeRoot | Action::TakeRoot { .. })));
    let enter = place(&copied, |action| *action == Action::EnterCopy);
    let devices = place(&copied, |action| matches!(action, Action::TakeDevices(_)));
    let protect = place(&copied, |action| *action == Action::ProtectCopy);
    assert!(enter < devices && devices < protect, "device nodes work only in mounts that let them");
    let another = RunRequest { root: Root::Directory { path: "/x".into(), read_only: false }, ..request() };
    let facts = Facts { tree_namespaces: true, root: RootFacts::Tree(Origin::Held(0)), ..facts() };
    assert!(plan(&another, &facts).has(|action| *action == Action::ChangeRoot));
}

#[test]
fn mounts_are_kept_inside_before_any_is_made() {
    let host = RunRequest { userns: UserNs::Host, ..request() };
    let made = plan(&host, &facts());
    let kept = place(&made, |action| *action == Action::KeepMountsInside);
    assert!(kept < place(&made, |action| matches!(action, Action::TakeRoot { .. })));
    // Where the kernel sees to that, or the copy does, it would be one call more.
    assert!(!plan(&request(), &facts()).has(|action| *action == Action::KeepMountsInside));
}

#[test]
fn who_has_cgroups_outside_makes_no_cgroup_namespace() {
    for cgroups in [vec![], vec![true], vec![false]] {
        let made = plan(&request(), &Facts { owns_cgroups: true, cgroups, ..facts() });
        let forbidden = place(&made, |action| *action == Action::ForbidCgroupNamespaces);
        let last = made.steps.iter().rposition(|step| matches!(step.action, Action::Unshare(_) | Action::Clone { .. }));
        assert!(last < Some(forbidden), "its own is there by then");
        let protect = made.steps.iter().position(|step| step.action == Action::Protect("/proc/sys"));
        assert!(protect.is_none_or(|protect| forbidden < protect));
        assert!(forbidden < place(&made, |action| matches!(action, Action::Fork { .. })));
    }
    let host = RunRequest { userns: UserNs::Host, ..request() };
    // It would be a sysctl of the host's.
    assert!(
        !plan(&host, &Facts { owns_cgroups: true, ..facts() }).has(|action| *action == Action::ForbidCgroupNamespaces)
    );
}

#[test]
fn namespaces_that_are_shared_are_not_made() {
    let every = |kind: NsKind| {
        let request = RunRequest { share: KindSet::NONE.with(kind), ..request() };
        plan(&request, &facts()).created
    };
    for kind in [NsKind::Cgroup, NsKind::Ipc, NsKind::Net, NsKind::Pid, NsKind::Time, NsKind::Uts] {
        assert_eq!(every(kind), KindSet::ALL.without(kind));
    }
    let host = plan(&RunRequest { userns: UserNs::Host, net: Net::Host, ..request() }, &facts());
    assert_eq!(host.created, KindSet::ALL.without(NsKind::User).without(NsKind::Net));
    assert!(!host.has(|action| matches!(action, Action::BecomeRoot { .. } | Action::LoopbackUp)));
}

#[test]
fn capabilities_are_those_that_were_asked_for_and_can_be() {
    let net_raw = CapSet::from_bits(1 << 13);
    let with = |userns: UserNs, add: CapSet, drop: CapSet| {
        let request = RunRequest { userns, cap_add: add, cap_drop: drop, ..request() };
        kept(&request, &Facts { own_caps: !CapSet::SYS_ADMIN, ..facts() })
    };
    assert_eq!(with(UserNs::Auto, CapSet::EMPTY, CapSet::EMPTY), CapSet::DOCKER);
    assert_eq!(with(UserNs::Auto, CapSet::SYS_ADMIN, CapSet::ALL & !CapSet::SYS_ADMIN), CapSet::SYS_ADMIN);
    assert_eq!(with(UserNs::Auto, CapSet::EMPTY, CapSet::ALL), CapSet::EMPTY);
    assert_eq!(with(UserNs::Host, CapSet::EMPTY, CapSet::EMPTY), CapSet::EMPTY);
    assert_eq!(with(UserNs::Host, net_raw, CapSet::EMPTY), net_raw);
    assert_eq!(with(UserNs::Host, CapSet::SYS_ADMIN, CapSet::EMPTY), CapSet::EMPTY, "nobody has more than before");
    let user = User { user: NameOrId::Id(7), group: None };
    let asked = RunRequest { user: Some(user), cap_add: net_raw, ..request() };
    let facts = Facts { user: UserFacts { uid: 7, gid: 7, ..UserFacts::default() }, ..facts() };
    let plan = plan(&asked, &facts);
    assert!(plan.has(|action| *action == Action::LimitCaps { kept: net_raw, ambient: net_raw }));
}

#[test]
fn who_may_undo_mounts_is_told() {
    let notes = |add: CapSet| plan(&RunRequest { cap_add: add, ..request() }, &facts()).notes;
    assert!(notes(CapSet::EMPTY).is_empty());
    assert!(notes(CapSet::SYS_ADMIN).concat().contains("SYS_ADMIN"));
}

#[test]
fn what_is_asked_for_is_done_and_what_is_hidden_comes_after_what_is_shown() {
    let request = RunRequest {
        binds: vec![super::super::request::Bind { source: "/a".into(), target: "/b".into(), read_only: true }],
        rlimits: vec![Rlimit { resource: 7, name: "nofile", soft: Some(1), hard: None }],
        oom_score_adj: Some(5),
        time_offset: Some(TimeOffset { monotonic_nsec: 1, boottime_nsec: 2 }),
        ..request()
    };
    let facts = Facts {
        binds: vec![BindFacts { origin: Origin::Held(0), make: Vec::new(), point: MountPoint::There }],
        maps_owners: true,
        sensitive: Sensitive { masked: vec![("/proc/kcore", false)], read_only: vec!["/proc/sys"] },
        terminal: true,
        ..facts()
    };
    let plan = plan(&request, &facts);
    let bind = place(&plan, |action| matches!(action, Action::AttachBind { .. }));
    assert!(bind < place(&plan, |action| matches!(action, Action::Mask { .. })));
    assert!(bind < place(&plan, |action| matches!(action, Action::Protect("/proc/sys"))));
    assert!(place(&plan, |action| *action == Action::MapOwners) < bind, "owners are mapped before anybody sees it");
    let clocks = place(&plan, |action| matches!(action, Action::SetClocks(_)));
    let left = place(&plan, |action| matches!(action, Action::Unshare(kinds) if kinds.contains(NsKind::Time)));
    assert!(left < clocks && clocks < place(&plan, |action| matches!(action, Action::Fork { terminal: true })));
    for is in [
        |action: &Action| matches!(action, Action::SetRlimit(_)),
        |action: &Action| *action == Action::SetOomScore(5),
        |action: &Action| *action == Action::OpenTerminal,
    ] {
        place(&plan, is);
    }
}

#[test]
fn what_takes_capabilities_outside_is_done_outside() {
    let rlimit = |hard| Rlimit { resource: 7, name: "nofile", soft: Some(5), hard };
    let request = RunRequest {
        rlimits: vec![rlimit(Some(20)), rlimit(None), rlimit(Some(9))],
        oom_score_adj: Some(-5),
        ..request()
    };
    let facts = Facts { hard_limits: vec![Some(10), Some(10), Some(10)], ..facts() };
    let plan = plan(&request, &facts);
    let raised = |hard| Action::RaiseRlimit(Rlimit { soft: Some(10), ..rlimit(hard) });
    for action in [raised(Some(20)), raised(None), Action::SpareFromOom(-5)] {
        let at = place(&plan, |one| *one == action);
        assert!(plan.steps[at].who == Who::Stub && at < place(&plan, |one| matches!(one, Action::Clone { .. })));
    }
    assert_eq!(plan.steps.iter().filter(|step| matches!(step.action, Action::RaiseRlimit(_))).count(), 2);
    assert_eq!(plan.steps.iter().filter(|step| matches!(step.action, Action::SetRlimit(_))).count(), 3);
    assert!(!plan.has(|action| matches!(action, Action::SetOomScore(_))));
}

#[test]
fn without_an_init_the_command_is_the_first_process() {
    let plan = plan(&RunRequest { init: false, ..request() }, &facts());
    assert!(!plan.has(|action| matches!(action, Action::Fork { .. } | Action::Serve)));
    assert!(plan.has(|action| matches!(action, Action::Clone { kinds, .. } if kinds.contains(NsKind::Time))));
}
