//! The rules on literals: what each says of ladders whose answer is known.

use super::*;
use crate::cgroup::{Level, Seen};
use crate::model::cgroup::find_knob;

fn steps(all: &[(Option<Limit>, Option<u64>)]) -> Vec<Step> {
    all.iter().map(|&(limit, usage)| Step { limit, usage }).collect()
}

const MAX: Option<Limit> = Some(Limit::Max);

const fn at(value: u64) -> Option<Limit> {
    Some(Limit::Value(value))
}

const fn by(limit: u64, level: usize) -> Bound {
    Bound { limit: at(limit), by: Some(Binder::Level(level)) }
}

#[test]
fn the_tightest_limit_and_the_tightest_headroom_are_two_answers() {
    // The parent allows 48, of which its other child has 44; the cgroup itself allows 40 and uses 2.
    let ladder = steps(&[(None, None), (at(48), Some(46)), (at(40), Some(2))]);
    assert_eq!(least(&ladder, Step::default()), by(40, 2));
    assert_eq!(headroom(&ladder, Step::default()), by(2, 1));
}

#[test]
fn the_least_limit_counts() {
    let host = Step { limit: at(1000), usage: Some(900) };
    for (ladder, host, limit, room) in [
        (steps(&[(MAX, Some(5)), (MAX, Some(5))]), Step::default(), (MAX, None), (MAX, None)),
        (steps(&[]), Step::default(), (None, None), (None, None)),
        (steps(&[(None, None)]), Step::default(), (None, None), (None, None)),
        // More than the host has is not had.
        (
            steps(&[(MAX, Some(5)), (at(2000), Some(5))]),
            host,
            (at(1000), Some(Binder::Host)),
            (at(100), Some(Binder::Host)),
        ),
        (
            steps(&[(MAX, Some(5)), (at(50), Some(5))]),
            host,
            (at(50), Some(Binder::Level(1))),
            (at(45), Some(Binder::Level(1))),
        ),
        // Of equal ones the nearest is reached first.
        (
            steps(&[(at(50), Some(9)), (at(50), Some(9))]),
            Step::default(),
            (at(50), Some(Binder::Level(1))),
            (at(41), Some(Binder::Level(1))),
        ),
        // More used than allowed, as right after a limit was lowered.
        (
            steps(&[(at(50), Some(60))]),
            Step::default(),
            (at(50), Some(Binder::Level(0))),
            (at(0), Some(Binder::Level(0))),
        ),
        // No usage, no headroom.
        (steps(&[(at(50), None)]), Step::default(), (at(50), Some(Binder::Level(0))), (None, None)),
        // A controller that ends above still limits.
        (
            steps(&[(at(50), Some(1)), (None, None)]),
            Step::default(),
            (at(50), Some(Binder::Level(0))),
            (at(49), Some(Binder::Level(0))),
        ),
    ] {
        let (found, left) = (least(&ladder, host), headroom(&ladder, host));
        assert_eq!((found.limit, found.by), limit, "{ladder:?}");
        assert_eq!((left.limit, left.by), room, "{ladder:?}");
    }
}

#[test]
fn a_protection_is_no_more_than_is_offered_above() {
    for (ladder, bound) in [
        (steps(&[(None, None), (at(16), None), (at(64), None)]), by(16, 1)),
        (steps(&[(None, None), (at(64), None), (at(16), None)]), by(16, 2)),
        (steps(&[(None, None), (at(0), None), (at(16), None)]), by(0, 1)),
        (steps(&[(None, None), (at(64), None), (at(0), None)]), Bound { limit: at(0), by: None }),
        (steps(&[(None, None), (MAX, None), (at(16), None)]), by(16, 2)),
        (steps(&[(None, None)]), Bound::default()),
    ] {
        assert_eq!(protection(&ladder, false), bound, "{ladder:?}");
    }
}

#[test]
fn a_protection_that_nobody_claims_is_for_all_below_where_it_is_recursive() {
    let none = Bound { limit: at(0), by: None };
    for (ladder, bound) in [
        (steps(&[(None, None), (at(16), None), (at(0), None)]), by(16, 1)),
        (steps(&[(None, None), (at(64), None), (at(0), None), (at(5), None)]), by(64, 1)),
        (steps(&[(None, None), (at(0), None), (at(5), None)]), none),
        (steps(&[(None, None), (MAX, None), (at(5), None)]), Bound { limit: MAX, by: None }),
        (steps(&[(None, None), (at(0), None), (at(0), None)]), none),
        (steps(&[(None, None), (at(16), None), (at(64), None)]), by(16, 1)),
    ] {
        assert_eq!(protection(&ladder, true), bound, "{ladder:?}");
    }
}

#[test]
fn what_may_still_be_made_counts_from_every_level() {
    // The parent allows 10 and has 9 below it; the cgroup allows 5 and has none.
    assert_eq!(remaining(&steps(&[(MAX, Some(20)), (at(10), Some(9)), (at(5), Some(0))])), by(1, 1));
    // The grandparent allows three levels, of which two are there.
    assert_eq!(remaining_depth(&steps(&[(at(3), None), (MAX, None), (MAX, None)])), by(1, 0));
    assert_eq!(remaining_depth(&steps(&[(MAX, None), (at(0), None)])), by(0, 1));
}

#[test]
fn the_topmost_freezer_is_named() {
    assert_eq!(any(&steps(&[(None, None), (at(1), None), (at(1), None)])), by(1, 1));
    assert_eq!(any(&steps(&[(None, None), (at(0), None)])), Bound { limit: at(0), by: None });
    assert_eq!(any(&steps(&[(None, None)])), Bound::default());
}

#[test]
fn a_share_is_a_product_of_shares() {
    // Half of the machine, of which a fifth.
    assert_eq!(share(&[(100, 200), (20, 100)]), 100_000);
    assert_eq!(share(&[]), 1_000_000);
    assert_eq!(share(&[(0, 0)]), 0);
    // Whoever is alone has all.
    assert_eq!(share(&[(100, 100)]), 1_000_000);
}

fn ladder(version: Version, levels: &[&[(&str, &str)]]) -> Ladder {
    let levels = levels.iter().enumerate().map(|(depth, contents)| {
        let mut files = Files::new(version);
        for (name, content) in *contents {
            files.insert(name, content.as_bytes().to_vec());
        }
        Level { path: "/x".repeat(depth).into_bytes(), inode: None, files }
    });
    Ladder { hierarchy: 0, path: b"/x".to_vec(), path_inside: None, seen: Seen::Whole, levels: levels.collect() }
}

fn one(knob: &str, ladder: &Ladder) -> Effective {
    let host = Host { memory_bytes: Some(1 << 30), cpus: Some(4), ..Host::default() };
    let mut all = of_knob(find_knob(knob).expect("a knob"), ladder, &host);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn bandwidth_is_compared_as_processors_and_not_by_its_numbers() {
    // 50,000 of each 500,000 are less than 20,000 of each 100,000.
    let ladder = ladder(Version::V2, &[&[], &[("cpu.max", "50000 500000")], &[("cpu.max", "20000 100000")]]);
    let found = one("cpu.max", &ladder);
    assert_eq!((found.effective, found.here), (by(100, 1), at(200)));
}

#[test]
fn v1_and_the_kernel_agree() {
    let unlimited = "9223372036854771712\n";
    let ladder = ladder(
        Version::V1,
        &[
            &[("memory.limit_in_bytes", unlimited), ("release_agent", "")],
            &[("memory.limit_in_bytes", "67108864\n"), ("memory.usage_in_bytes", "60000000\n")],
            &[
                ("memory.limit_in_bytes", unlimited),
                ("memory.usage_in_bytes", "1\n"),
                ("memory.stat", "cache 0\nhierarchical_memory_limit 67108864\n"),
            ],
        ],
    );
    let found = one("memory.max", &ladder);
    assert_eq!((found.effective, found.here, found.file), (by(67_108_864, 1), MAX, "memory.limit_in_bytes"));
    assert_eq!(found.kernel, found.effective.limit);
    assert_eq!((found.usage, found.headroom), (Some(1), by(7_108_864, 1)));
}

#[test]
fn devices_are_looked_at_one_by_one() {
    let ladder = ladder(
        Version::V2,
        &[
            &[],
            &[("io.max", "8:0 rbps=1000 wbps=max riops=max wiops=max\n8:16 rbps=5 wbps=max riops=max wiops=max\n")],
            &[("io.max", "8:0 rbps=2000 wbps=7 riops=max wiops=max\n")],
        ],
    );
    let host = Host::default();
    let all = of_knob(find_knob("io.max").expect("a knob"), &ladder, &host);
    let of = |key: &str| all.iter().find(|one| one.key.as_deref() == Some(key)).expect(key);
    assert_eq!(of("8:0 rbps").effective, by(1000, 1));
    assert_eq!(of("8:0 wbps").effective, by(7, 2));
    assert_eq!((of("8:16 rbps").effective, of("8:16 rbps").here), (by(5, 1), None));
    assert_eq!(of("8:0 riops").effective.limit, MAX);
}

#[test]
fn lists_are_what_the_kernel_says() {
    let ladder = ladder(
        Version::V2,
        &[
            &[("cpuset.cpus.effective", "0-3\n")],
            &[("cpuset.cpus", "0-1\n"), ("cpuset.cpus.effective", "0-1\n")],
            &[("cpuset.cpus", "\n"), ("cpuset.cpus.effective", "0-1\n")],
        ],
    );
    let found = one("cpuset.cpus", &ladder);
    assert_eq!(found.lists, Some((String::new(), "0-1".to_owned())));
    assert_eq!(found.effective, by(2, 1));
}

#[test]
fn processors_are_the_least_of_all_that_says_something() {
    let all = Cpus { quota_millicpus: at(1500), cpuset: Some(2), affinity: Some(4), online: Some(8) };
    assert_eq!(all.millicpus(), Some(1500));
    assert_eq!(Cpus { quota_millicpus: MAX, ..all }.millicpus(), Some(2000));
    assert_eq!(Cpus { cpuset: None, quota_millicpus: None, ..all }.millicpus(), Some(4000));
    assert_eq!(Cpus::default().millicpus(), None);
}

#[test]
fn a_controller_that_does_not_reach_down_is_known() {
    let ladder = ladder(
        Version::V2,
        &[
            &[("cgroup.controllers", "cpu memory pids")],
            &[("cgroup.controllers", "memory pids")],
            &[("cgroup.controllers", "pids")],
        ],
    );
    assert_eq!(controllers_that_end_above(&ladder), [(Controller::Cpu, 0), (Controller::Memory, 1)]);
}

#[test]
fn a_limit_that_is_out_of_sight_is_known_by_the_kernel() {
    let ladder = ladder(
        Version::V1,
        &[&[
            ("memory.limit_in_bytes", "67108864\n"),
            ("memory.usage_in_bytes", "1\n"),
            ("memory.stat", "hierarchical_memory_limit 50331648\n"),
        ]],
    );
    let found = one("memory.max", &ladder);
    assert_eq!(found.effective, Bound { limit: at(50_331_648), by: Some(Binder::OutOfSight) });
    assert_eq!(found.headroom, Bound::default());
}

#[test]
fn v1_does_not_throttle_devices_for_those_below() {
    let above: &[(&str, &str)] = &[("blkio.throttle.read_bps_device", "8:0 1000\n")];
    let own: &[(&str, &str)] = &[("blkio.throttle.write_bps_device", "8:0 7\n")];
    let all = of_knob(find_knob("io.max").expect("a knob"), &ladder(Version::V1, &[above, own]), &Host::default());
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((all[0].key.as_deref(), all[0].effective), (Some("8:0 wbps"), by(7, 1)));
}
