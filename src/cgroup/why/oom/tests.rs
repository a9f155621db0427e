//! Findings on the OOM killer, from made-up evidence.

use super::super::testing::{Case, Made, essence, evidence};
use super::*;

const ROOT: Made<'_> = ("/", &[]);
const NONE: (&str, &str) = ("memory.events.local", "max 0\noom 0\noom_kill 0\n");
const HIT: (&str, &str) = ("memory.events.local", "max 0\noom 1\noom_kill 0\n");
const KILLED: (&str, &str) = ("memory.events.local", "max 0\noom 0\noom_kill 1\n");
const BOTH: (&str, &str) = ("memory.events.local", "max 9\noom 1\noom_kill 1\n");
const ALL: (&str, &str) = ("memory.events", "max 0\noom 1\noom_kill 1\n");
const LIMIT: (&str, &str) = ("memory.max", "50331648\n");

#[test]
fn its_own_limit() {
    let case = Case::v2(&[ROOT, ("/a", &[NONE, ALL]), ("/a/b", &[BOTH, ALL, LIMIT])]);
    let found = case.only("oom-kill");
    let fix = Some("nsx cg set /sys/fs/cgroup/a/b memory.max=96M");
    assert_eq!(essence(&found), ("/a/b", Severity::Critical, fix));
    assert_eq!(
        found.explanation,
        "1 process was killed here since the cgroup was made: it reached its own memory.max (48M) once."
    );
    let expected =
        ["/a/b/memory.events.local: oom_kill 1", "/a/b/memory.events.local: oom 1", "/a/b/memory.max: 50331648"];
    assert_eq!(evidence(&found), expected);
}

/// As it was seen on Linux 6.1: the limit is the parent's, the victim is in the child.
#[test]
fn the_limit_of_one_above() {
    let after: &[Made<'_>] = &[ROOT, ("/a", &[HIT, ALL, LIMIT]), ("/a/b", &[KILLED, ALL, ("memory.max", "max\n")])];
    let nothing = ("memory.events", "max 0\noom 0\noom_kill 0\n");
    let before: &[Made<'_>] = &[ROOT, ("/a", &[NONE, nothing]), ("/a/b", &[NONE, nothing])];
    let found = Case::v2(after).before(before).only("oom-kill");
    assert_eq!(
        found.explanation,
        "1 process was killed here in 5.0 s: the memory.max (48M) of /a, which is above, was reached once."
    );
    assert_eq!(essence(&found), ("/a/b", Severity::Critical, Some("nsx cg set /sys/fs/cgroup/a memory.max=96M")));
    let expected = [
        "/a/b/memory.events.local: oom_kill 1 (+1)",
        "/a/b/memory.events.local: oom 0 (+0)",
        "/a/memory.events.local: oom 1 (+1)",
        "/a/memory.max: 50331648",
    ];
    assert_eq!(evidence(&found), expected);
}

#[test]
fn one_of_two_limits() {
    let case = Case::v2(&[ROOT, ("/a", &[HIT, ALL, LIMIT]), ("/a/b", &[BOTH, ALL, LIMIT])]);
    let found = case.only("oom-kill");
    assert!(found.explanation.contains("its own memory.max (48M) once. So was that of /a"), "{}", found.explanation);
}

#[test]
fn the_host() {
    let case = Case::v2(&[ROOT, ("/a", &[NONE, ALL]), ("/a/b", &[KILLED, ALL])]);
    let found = case.only("oom-host");
    assert!(found.explanation.contains("no limit was reached"), "{}", found.explanation);
    assert!(evidence(&found).contains(&"/a/memory.events.local: oom 0".to_owned()));
    // From inside of a cgroup namespace nobody can say that.
    let case = Case::v2(&[("/a", &[NONE, ALL]), ("/a/b", &[KILLED, ALL])]);
    assert_eq!(case.ids(), ["oom-kill", "out-of-sight"]);
    assert!(case.one("oom-kill").explanation.contains("either one above /a was"));
}

#[test]
fn a_group_dies_together() {
    let group = ("memory.events.local", "oom 1\noom_kill 3\noom_group_kill 1\n");
    let found = Case::v2(&[ROOT, ("/a", &[group, ALL, LIMIT])]).only("oom-kill");
    assert!(found.explanation.contains("by memory.oom.group;"), "{}", found.explanation);
    assert!(evidence(&found).contains(&"/a/memory.events.local: oom_group_kill 1".to_owned()));
}

#[test]
fn victims_below() {
    let a: Made<'_> = ("/a", &[HIT, ("memory.events", "oom 2\noom_kill 2\n"), LIMIT]);
    let case = Case::v2(&[ROOT, a]).below(&[("/a/b", &[KILLED, ALL]), ("/a/c", &[BOTH, ALL, LIMIT])]);
    let all = case.why();
    assert_eq!(all.len(), 2, "{all:#?}");
    assert_eq!(essence(&all[0]), ("/a/b", Severity::Critical, Some("nsx cg set /sys/fs/cgroup/a memory.max=96M")));
    assert_eq!(essence(&all[1]), ("/a/c", Severity::Critical, Some("nsx cg set /sys/fs/cgroup/a/c memory.max=96M")));
    // Of the whole hierarchy, too, whose root counts nothing.
    let case = Case::v2(&[ROOT]).below(&[("/b", &[BOTH, ALL, LIMIT]), ("/c", &[BOTH, ALL, LIMIT])]);
    assert_eq!(case.ids(), ["oom-kill", "oom-kill"]);
}

#[test]
fn many_victims_are_added_up() {
    let paths: Vec<String> = (0..20).map(|number| format!("/a/{number}")).collect();
    let below: Vec<Made<'_>> = paths.iter().map(|path| (path.as_str(), &[BOTH, ALL][..])).collect();
    let a: Made<'_> = ("/a", &[NONE, ("memory.events", "oom 20\noom_kill 20\n")]);
    let all = Case::v2(&[ROOT, a]).below(&below).why();
    assert_eq!(all.len(), MOST + 1);
    assert!(all[MOST].explanation.starts_with("12 processes were killed in 12 more cgroups below"), "{all:#?}");
}

#[test]
fn victims_that_are_gone() {
    let count = |oom: u64| format!("oom {oom}\noom_kill 3\n");
    let (with_limit, without) = (count(3), count(0));
    let case = Case::v2(&[ROOT, ("/a", &[NONE, ("memory.events", &with_limit)])]).below(&[("/a/b", &[BOTH, ALL])]);
    let all = case.why();
    let gone = all.iter().find(|one| one.explanation.contains("removed")).expect("one");
    assert_eq!(
        gone.explanation,
        "2 processes were killed since the cgroup was made in cgroups below that have been removed. Reached was a limit that has \
         gone with them."
    );
    let found = Case::v2(&[ROOT, ("/a", &[NONE, ("memory.events", &without)])]).only("oom-kill");
    assert!(found.explanation.ends_with("No limit that can be seen was reached."), "{}", found.explanation);
    // Where not all were looked at they may as well be there.
    let mut case = Case::v2(&[ROOT, ("/a", &[NONE, ("memory.events", &without)])]);
    case.now.cut = true;
    assert_eq!(case.ids(), ["not-all-seen"]);
    // A container that goes with its victims leaves them in the counts of its parent.
    let a = |events| -> [(&str, &str); 2] { [NONE, ("memory.events", events)] };
    let (before, after) = (a("oom 5\noom_kill 5\n"), a("oom 6\noom_kill 6\n"));
    let mut case = Case::v2(&[ROOT, ("/a", &after)]).before(&[ROOT, ("/a", &before), ("/a/b", &[BOTH, ALL])]);
    case.now.subject.ladders[0].path = b"/a/b".to_vec();
    let case = case.seen(Seen::Removed);
    assert_eq!(case.ids(), ["oom-kill", "removed"]);
    assert!(
        case.one("oom-kill").explanation.starts_with("1 process was killed in 5.0 s below /a: in the cgroup that was")
    );
}

/// Before Linux 5.2 there is no memory.events.local.
#[test]
fn kernels_that_count_with_those_below_only() {
    let events = |text| -> [(&str, &str); 2] { [("memory.events", text), LIMIT] };
    let (one, two) = (events("oom 1\noom_kill 1\n"), events("oom 0\noom_kill 1\n"));
    let found = Case::v2(&[ROOT, ("/a", &one), ("/a/b", &two)]).only("oom-kill");
    assert!(found.explanation.contains("of /a, which is above"), "{}", found.explanation);
    assert!(found.explanation.contains("This kernel does not tell"), "{}", found.explanation);
    let found = Case::v2(&[ROOT, ("/a", &one)]).below(&[("/a/b", &one)]).only("oom-kill");
    assert_eq!(found.cgroup, b"/a/b", "what the child counts is not the parent's");
    // With this option every memory.events is local.
    let case = Case::v2(&[ROOT, ("/a", &one), ("/a/b", &two)]).option("memory_localevents");
    let found = case.only("oom-kill");
    assert!(!found.explanation.contains("This kernel"), "{}", found.explanation);
}

#[test]
fn a_limit_above_that_hit_others() {
    let case = Case::v2(&[ROOT, ("/a", &[HIT, ALL, LIMIT]), ("/a/b", &[NONE, ("memory.events", "oom_kill 0\n")])]);
    let found = case.only("oom-nearby");
    assert_eq!(found.cgroup, b"/a/b");
    assert!(found.explanation.contains("1 process was killed in other cgroups below it"), "{}", found.explanation);
}

#[test]
fn v1_counts_how_often_a_limit_was_in_the_way() {
    let control = |kills| -> (&str, &str) {
        ("memory.oom_control", if kills { "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n" } else { "oom_kill 0\n" })
    };
    let limit = ("memory.limit_in_bytes", "33554432\n");
    let levels: &[Made<'_>] = &[
        ("/", &[("release_agent", ""), control(false)]),
        ("/a", &[control(false), limit, ("memory.failcnt", "7\n")]),
        ("/a/b", &[control(true), ("memory.failcnt", "0\n")]),
    ];
    let found = Case::v1(levels).only("oom-kill");
    let fix = Some("nsx cg set /sys/fs/cgroup/a memory.max=64M");
    assert_eq!(essence(&found), ("/a/b", Severity::Critical, fix));
    assert!(found.explanation.contains("memory.limit_in_bytes (32M) of /a, which is above"), "{}", found.explanation);
    let expected =
        ["/a/b/memory.oom_control: oom_kill 1", "/a/memory.failcnt: 7", "/a/memory.limit_in_bytes: 33554432"];
    assert_eq!(evidence(&found), expected);
    // Memory and swap together have a limit of their own.
    let both = ("memory.memsw.limit_in_bytes", "67108864\n");
    let b: Made<'_> = ("/b", &[control(true), ("memory.failcnt", "0\n"), ("memory.memsw.failcnt", "2\n"), both]);
    let found = Case::v1(&[ROOT, b]).only("oom-kill");
    assert_eq!(found.fix.as_deref(), Some("echo 128M > /sys/fs/cgroup/b/memory.memsw.limit_in_bytes"));
}

#[test]
fn v1_can_let_tasks_hang() {
    let a =
        |control| -> [(&str, &str); 2] { [("memory.oom_control", control), ("memory.limit_in_bytes", "33554432\n")] };
    let now = a("oom_kill_disable 1\nunder_oom 1\noom_kill 0\n");
    let found = Case::v1(&[ROOT, ("/a", &now)]).only("oom-hang");
    assert_eq!(essence(&found), ("/a", Severity::Critical, Some("echo 0 > /sys/fs/cgroup/a/memory.oom_control")));
    let later = a("oom_kill_disable 1\nunder_oom 0\noom_kill 0\n");
    assert_eq!(Case::v1(&[ROOT, ("/a", &later)]).only("oom-hang").severity, Severity::Info);
}
