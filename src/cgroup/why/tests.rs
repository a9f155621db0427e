//! Tests of the rules together: each finding has a case, nothing is found where nothing is wrong, the worst comes first.

use super::testing::{Case, Made};
use super::{RULES, Severity};
use crate::cgroup::host::Home;
use crate::cgroup::ladder::Seen;
use crate::model::Pid;
use crate::model::cgroup::{Controller, Version};
use crate::sys::{Call, Errno, SysError};

const ROOT: Made<'_> = ("/", &[]);

/// A cgroup in which all is well: it has limits and keeps them, and has been slowed by nothing.
const WELL_V2: &[(&str, &str)] = &[
    ("memory.max", "50331648\n"),
    ("memory.high", "max\n"),
    ("memory.current", "1048576\n"),
    ("memory.swap.max", "max\n"),
    ("memory.swap.current", "0\n"),
    ("memory.zswap.max", "max\n"),
    ("memory.zswap.current", "0\n"),
    ("memory.stat", "inactive_file 0\nactive_file 0\n"),
    ("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"),
    ("memory.events.local", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"),
    ("memory.swap.events", "high 0\nmax 0\nfail 0\n"),
    ("cpu.max", "200000 100000\n"),
    ("cpu.idle", "0\n"),
    ("cpu.stat", "usage_usec 9\nnr_periods 12\nnr_throttled 0\nthrottled_usec 0\n"),
    ("cpu.stat.local", "throttled_usec 0\n"),
    ("pids.max", "100\n"),
    ("pids.current", "20\n"),
    ("pids.events", "max 0\n"),
    ("pids.events.local", "max 0\n"),
    ("cpuset.cpus", "0-1\n"),
    ("cpuset.cpus.effective", "0-1\n"),
    ("cpuset.cpus.partition", "member\n"),
    ("cpuset.mems", "\n"),
    ("cpuset.mems.effective", "0\n"),
    ("io.max", "8:0 rbps=1000 wbps=max riops=max wiops=max\n"),
    ("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 3\n"),
    ("cgroup.max.descendants", "max\n"),
    ("cgroup.max.depth", "max\n"),
    ("cgroup.controllers", "cpuset cpu io memory pids\n"),
];

const WELL_V1: &[(&str, &str)] = &[
    ("memory.limit_in_bytes", "9223372036854771712\n"),
    ("memory.usage_in_bytes", "1048576\n"),
    ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
    ("memory.memsw.usage_in_bytes", "1048576\n"),
    ("memory.failcnt", "0\n"),
    ("memory.memsw.failcnt", "0\n"),
    ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
    ("memory.stat", "total_inactive_file 0\ntotal_active_file 0\nhierarchical_memory_limit 9223372036854771712\n"),
    ("cpu.cfs_quota_us", "-1\n"),
    ("cpu.cfs_period_us", "100000\n"),
    ("cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n"),
    ("cpu.stat.local", "throttled_time 0\n"),
    ("pids.max", "max\n"),
    ("pids.current", "3\n"),
    ("pids.events", "max 0\n"),
    ("cpuset.cpus", "0-1\n"),
    ("cpuset.mems", "0\n"),
    ("cpuset.effective_cpus", "0-1\n"),
    ("cpuset.effective_mems", "0\n"),
    ("freezer.state", "THAWED\n"),
    ("freezer.self_freezing", "0\n"),
    ("freezer.parent_freezing", "0\n"),
    ("blkio.throttle.read_bps_device", "8:0 1000\n"),
    ("blkio.throttle.io_service_bytes_recursive", "8:0 Read 5\nTotal 5\n"),
];

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let v2: &[Made<'_>] = &[ROOT, ("/a", WELL_V2), ("/a/b", WELL_V2)];
    let v1: &[Made<'_>] = &[ROOT, ("/a", WELL_V1), ("/a/b", WELL_V1)];
    assert_eq!(Case::v2(v2).why(), []);
    assert_eq!(Case::v2(v2).before(v2).why(), []);
    assert_eq!(Case::v1(v1).why(), []);
    assert_eq!(Case::v1(v1).before(v1).why(), []);
    assert_eq!(Case::v2(&[ROOT]).why(), []);
    assert_eq!(Case::v1(&[ROOT]).why(), []);
    assert_eq!(Case::v2(&[]).why(), []);
}

#[test]
fn what_was_there_before_does_not_count() {
    let a: Made<'_> = (
        "/a",
        &[
            ("memory.events", "high 5\nmax 5\noom 5\noom_kill 5\n"),
            ("memory.events.local", "high 5\nmax 5\noom 5\noom_kill 5\n"),
            ("memory.swap.events", "max 5\nfail 6\n"),
            ("memory.max", "50331648\n"),
            ("memory.current", "0\n"),
            ("cpu.max", "10000 100000\n"),
            ("cpu.stat", "nr_periods 12\nnr_throttled 12\nthrottled_usec 990000\n"),
            ("pids.events", "max 5\n"),
            ("pids.events.local", "max 5\n"),
        ],
    );
    let ids = ["oom-kill", "pids-max", "cpu-throttled", "memory-high", "swap-max", "swap-full"];
    let mut found = Case::v2(&[ROOT, a]).ids();
    found.sort_by_key(|id| ids.iter().position(|known| known == id));
    assert_eq!(found, ids);
    assert_eq!(Case::v2(&[ROOT, a]).before(&[ROOT, a]).ids(), [""; 0]);
}

#[test]
fn a_cgroup_that_was_made_anew_counts_from_nothing() {
    let a: Made<'_> =
        ("/a", &[("memory.events.local", "oom 1\noom_kill 1\n"), ("memory.events", "oom 1\noom_kill 1\n")]);
    let mut case = Case::v2(&[ROOT, a]).before(&[ROOT, a]);
    case.inodes(7, 8);
    assert_eq!(case.only("oom-kill").evidence[0].change, Some(1));
    case.inodes(7, 7);
    assert_eq!(case.ids(), [""; 0]);
}

#[test]
fn the_worst_comes_first() {
    let a: Made<'_> = (
        "/a",
        &[
            ("memory.events", "oom 1\noom_kill 1\n"),
            ("memory.events.local", "oom 1\noom_kill 1\n"),
            ("cgroup.freeze", "1\n"),
            ("cgroup.events", "frozen 1\n"),
            ("cpu.max", "10000 100000\n"),
            ("cpu.stat", "nr_periods 12\nnr_throttled 12\nthrottled_usec 990000\n"),
            ("cpu.idle", "1\n"),
            ("cgroup.type", "domain invalid\n"),
        ],
    );
    let all = Case::v2(&[ROOT, a]).why();
    let order: Vec<(Severity, &str)> = all.iter().map(|one| (one.severity, one.id)).collect();
    let expected = [
        (Severity::Critical, "oom-kill"),
        (Severity::Critical, "frozen"),
        (Severity::Warning, "cpu-throttled"),
        (Severity::Warning, "domain-invalid"),
        (Severity::Info, "cpu-idle"),
    ];
    assert_eq!(order, expected);
    assert!(Severity::Critical < Severity::Warning && Severity::Warning < Severity::Info);
}

/// Returns a case for each finding there is on v2.
fn cases_v2() -> Vec<(&'static str, Case)> {
    let of = |files: &[(&'static str, &'static str)]| Case::v2(&[ROOT, ("/a", files)]);
    let kill = &[("memory.events", "oom 1\noom_kill 1\n"), ("memory.events.local", "oom 1\noom_kill 1\n")];
    let by_host = &[("memory.events", "oom 0\noom_kill 1\n"), ("memory.events.local", "oom 0\noom_kill 1\n")];
    let none = &[("memory.events", "oom 0\noom_kill 0\n"), ("memory.events.local", "oom 0\noom_kill 0\n")];
    let hit = &[("memory.events", "oom 1\noom_kill 0\n"), ("memory.events.local", "oom 1\noom_kill 0\n")];
    let mut little = of(&[("memory.current", "1\n")]);
    little.facts.host.memory_bytes = Some(1 << 30);
    little.facts.host.memory_available_bytes = Some(1 << 20);
    let mut cut = of(&[]);
    cut.now.cut = true;
    let mut absent = of(&[]);
    absent.facts.homes = vec![(Controller::Memory, Home::Disabled), (Controller::Cpu, Home::NotMounted(Version::V1))];
    absent.facts.homes.truncate(1);
    let error = SysError::new(Call::Openat(b"/sys/fs/cgroup/a".to_vec()), Errno::EACCES);
    let mut gone = of(&[]).seen(Seen::Removed);
    gone.now.subject.pid = Some(Pid(7));
    vec![
        ("oom-kill", of(kill)),
        ("oom-host", of(by_host)),
        ("frozen", of(&[("cgroup.freeze", "1\n"), ("cgroup.events", "frozen 1\n")])),
        ("pids-max", of(&[("pids.events.local", "max 1\n"), ("pids.max", "9\n"), ("pids.current", "1\n")])),
        ("oom-nearby", Case::v2(&[ROOT, ("/a", kill), ("/a/b", none)])),
        ("oom-no-kill", of(hit)),
        ("cpu-throttled", of(&[("cpu.stat", "nr_periods 2\nnr_throttled 1\nthrottled_usec 5\n")])),
        ("memory-high", of(&[("memory.events", "high 1\n"), ("memory.events.local", "high 1\n")])),
        ("memory-max", of(&[("memory.events", "max 1\n"), ("memory.events.local", "max 1\n")])),
        ("near-limit", of(&[("pids.max", "100\n"), ("pids.current", "96\n")])),
        ("swap-max", of(&[("memory.swap.events", "max 1\nfail 1\n")])),
        ("swap-full", of(&[("memory.swap.events", "max 0\nfail 1\n")])),
        (
            "io-max",
            of(&[
                ("io.max", "8:0 rbps=1000 wbps=max riops=max wiops=max\n"),
                ("io.pressure", "some avg10=2.00 avg60=0.00 avg300=0.00 total=0\n"),
            ]),
        ),
        ("pressure", of(&[("memory.pressure", "some avg10=12.00 avg60=0.00 avg300=0.00 total=0\n")])),
        ("host-memory", little),
        ("domain-invalid", of(&[("cgroup.type", "domain invalid\n")])),
        ("removed", gone),
        ("cpuset-partition", of(&[("cpuset.cpus.partition", "root invalid (Parent is not a partition root)\n")])),
        ("cpuset-less", of(&[("cpuset.cpus", "0-3\n"), ("cpuset.cpus.effective", "0-1\n")])),
        ("children-max", of(&[("cgroup.max.descendants", "2\n"), ("cgroup.stat", "nr_descendants 2\n")])),
        ("zswap-max", of(&[("memory.zswap.max", "1000\n"), ("memory.zswap.current", "990\n")])),
        ("cpu-few", of(&[("cpu.max", "50000 100000\n"), ("pids.current", "40\n")])),
        ("cpu-idle", of(&[("cpu.idle", "1\n")])),
        ("dying", of(&[("cgroup.stat", "nr_dying_descendants 1000\n")])),
        ("threaded", of(&[("cgroup.type", "threaded\n")])),
        ("refused", of(&[]).seen(Seen::Refused(error))),
        ("out-of-sight", Case::v2(&[("/docker/x", &[])])),
        ("not-delegated", of(&[]).refused(&[".", "cgroup.procs"])),
        (
            "controller-off",
            Case::v2(&[("/", &[("cgroup.controllers", "cpu memory")]), ("/a", &[("cgroup.controllers", "cpu")])]),
        ),
        ("controller-absent", absent),
        ("psi-off", of(&[]).without(&["cpu.pressure", "memory.pressure", "io.pressure"])),
        ("not-all-seen", cut),
    ]
}

/// Returns a case for each finding there is on v1.
fn cases_v1() -> Vec<(&'static str, Case)> {
    let of = |files: &[(&'static str, &'static str)]| Case::v1(&[ROOT, ("/a", files)]);
    let killed = ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
    let throttle = ("blkio.throttle.read_bps_device", "8:0 1000\n");
    vec![
        ("oom-kill", of(&[killed, ("memory.failcnt", "1\n")])),
        ("oom-host", of(&[killed, ("memory.failcnt", "0\n")])),
        ("oom-hang", of(&[("memory.oom_control", "oom_kill_disable 1\nunder_oom 1\noom_kill 0\n")])),
        ("frozen", of(&[("freezer.state", "FROZEN\n"), ("freezer.self_freezing", "1\n")])),
        ("pids-max", of(&[("pids.events", "max 1\n"), ("pids.max", "9\n"), ("pids.current", "1\n")])),
        ("memory-max", of(&[("memory.failcnt", "1\n")])),
        ("swap-max", of(&[("memory.memsw.failcnt", "1\n")])),
        ("cpu-throttled", of(&[("cpu.stat", "nr_periods 2\nnr_throttled 1\nthrottled_time 5\n")])),
        ("near-limit", of(&[("memory.limit_in_bytes", "1000000\n"), ("memory.usage_in_bytes", "990000\n")])),
        (
            "io-max",
            Case::v1(&[ROOT, ("/a", &[throttle, ("blkio.throttle.io_service_bytes_recursive", "8:0 Read 5000\n")])])
                .before(&[ROOT, ("/a", &[throttle, ("blkio.throttle.io_service_bytes_recursive", "8:0 Read 0\n")])]),
        ),
        ("cpuset-empty", of(&[("cpuset.cpus", "\n")])),
        ("cpuset-less", of(&[("cpuset.mems", "0-1\n"), ("cpuset.effective_mems", "0\n")])),
        (
            "cpu-few",
            of(&[("cpu.cfs_quota_us", "50000\n"), ("cpu.cfs_period_us", "100000\n"), ("pids.current", "40\n")]),
        ),
        ("removed", of(&[]).seen(Seen::Removed)),
        ("out-of-sight", Case::v1(&[("/docker/x", &[])])),
        ("not-delegated", of(&[]).refused(&["."])),
    ]
}

#[test]
fn each_finding_has_a_case_and_each_case_its_finding() {
    let of_v1 = cases_v1();
    for (id, case) in of_v1.iter().chain(&cases_v2()) {
        let finding = case.only(id);
        assert!(finding.explanation.ends_with(['.', ')']), "{id}: {}", finding.explanation);
        assert!(!finding.explanation.contains("  "), "{id}: {}", finding.explanation);
        let is_enough = !finding.evidence.is_empty() || matches!(*id, "not-all-seen" | "psi-off");
        assert!(is_enough, "{id}: {finding:#?}");
    }
    for (id, _) in RULES {
        let has = |cases: &[(&str, Case)]| cases.iter().any(|(known, _)| *known == id);
        assert!(has(&of_v1) || has(&cases_v2()), "{id} has no case");
    }
}

#[test]
fn no_rule_comes_twice() {
    for (index, (id, what)) in RULES.iter().enumerate() {
        assert!(!what.is_empty() && RULES[..index].iter().all(|(other, _)| other != id), "{id}");
    }
}

#[test]
fn no_text_makes_a_rule_panic() {
    let files = WELL_V2.iter().chain(WELL_V1).map(|(name, _)| *name);
    for text in [
        "",
        "\n",
        "garbage",
        "max",
        "18446744073709551615\n",
        "max max max\n",
        "-1\n",
        "oom_kill 18446744073709551615\n\
        oom 18446744073709551615\nmax 18446744073709551615\nhigh 18446744073709551615\nnr_periods 1\nnr_throttled 18446744073709551615\n\
        throttled_usec 18446744073709551615\nthrottled_time 18446744073709551615\n",
    ] {
        let contents: Vec<(&str, &str)> = files.clone().map(|name| (name, text)).collect();
        let levels: &[Made<'_>] = &[("/", &contents), ("/a", &contents), ("/a/b", &contents)];
        let near: &[Made<'_>] = &[("/a/b/c", &contents), ("/a/c", &contents)];
        for case in [Case::v1(levels), Case::v2(levels), Case::v1(&levels[1..]), Case::v2(&levels[1..])] {
            let case = case.below(near);
            let _ = case.why();
            let _ = case.beside(near).before(levels).below_before(near).why();
        }
    }
}
