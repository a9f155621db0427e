//! What is written for each knob, on v2 and v1, and what is taken for it afterwards.

use proptest::prelude::*;

use super::*;

fn asked(texts: &[&str]) -> Vec<Asked> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("{error}"))).collect()
}

fn files(version: Version, contents: &[(&str, &str)]) -> Files {
    let mut files = Files::new(version);
    for (name, content) in contents {
        files.insert(name, content.as_bytes().to_vec());
    }
    files
}

fn written(version: Version, texts: &[&str], now: &[(&str, &str)]) -> Vec<(String, String)> {
    let writes =
        writes(version, &asked(texts), &files(version, now)).unwrap_or_else(|cause| panic!("{texts:?}: {cause}"));
    writes.into_iter().map(|write| (write.file, write.text)).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn on_v2_a_knob_is_a_file() {
    for (text, file, value) in [
        ("memory.max=256M", "memory.max", "268435456"),
        ("memory.high=max", "memory.high", "max"),
        ("memory.swap.max=0", "memory.swap.max", "0"),
        ("memory.oom.group=yes", "memory.oom.group", "1"),
        ("cpu.max=1.5", "cpu.max", "150000 100000"),
        ("cpu.max=max", "cpu.max", "max 100000"),
        ("cpu.max=20000 50000", "cpu.max", "20000 50000"),
        ("cpu.max=0.001", "cpu.max", "1000 1000000"),
        ("cpu.weight=200", "cpu.weight", "200"),
        ("cpuset.cpus=0-1", "cpuset.cpus", "0-1"),
        ("cpuset.cpus=", "cpuset.cpus", "\n"),
        ("pids.max=100", "pids.max", "100"),
        ("io.max=8:0 rbps=10M wiops=max", "io.max", "8:0 rbps=10485760 wiops=max"),
        ("io.weight=50", "io.weight", "default 50"),
        ("hugetlb.2MB.max=4M", "hugetlb.2MB.max", "4194304"),
        ("cgroup.max.descendants=3", "cgroup.max.descendants", "3"),
        ("cgroup.subtree_control=+memory -io", "cgroup.subtree_control", "+memory -io"),
        ("misc.max=res 5", "misc.max", "res 5"),
    ] {
        assert_eq!(written(Version::V2, &[text], &[("cpu.max", "max 100000\n")]), pairs(&[(file, value)]), "{text}");
    }
    assert_eq!(
        written(Version::V2, &["cpu.max=0.5"], &[("cpu.max", "max 20000\n")]),
        pairs(&[("cpu.max", "10000 20000")])
    );
    assert_eq!(
        writes(Version::V2, &asked(&["memory.memsw.max=1G"]), &Files::new(Version::V2)),
        Err(Cause::OnlyV1("memory.memsw.max".into()))
    );
}

#[test]
fn on_v1_it_is_the_files_that_mean_the_same() {
    let now = [("cpu.cfs_quota_us", "-1\n"), ("cpu.cfs_period_us", "100000\n")];
    for (text, all) in [
        ("cpu.max=1.5", &[("cpu.cfs_quota_us", "150000")][..]),
        ("cpu.max=max", &[("cpu.cfs_quota_us", "-1")]),
        ("cpu.max=20000 50000", &[("cpu.cfs_period_us", "50000"), ("cpu.cfs_quota_us", "20000")]),
        ("cpu.weight=100", &[("cpu.shares", "1024")]),
        ("cpu.max.burst=1000", &[("cpu.cfs_burst_us", "1000")]),
        ("cpuset.mems=0", &[("cpuset.mems", "0")]),
        ("pids.max=max", &[("pids.max", "max")]),
        (
            "io.max=8:0 rbps=1K wiops=max",
            &[("blkio.throttle.read_bps_device", "8:0 1024"), ("blkio.throttle.write_iops_device", "8:0 0")],
        ),
        ("io.weight=50", &[("blkio.bfq.weight", "50")]),
        ("io.weight=8:0 50", &[("blkio.bfq.weight_device", "8:0 50")]),
        ("hugetlb.2MB.max=4M", &[("hugetlb.2MB.limit_in_bytes", "4194304")]),
        ("hugetlb.2MB.rsvd.max=max", &[("hugetlb.2MB.rsvd.limit_in_bytes", "-1")]),
        ("memory.swappiness=10", &[("memory.swappiness", "10")]),
    ] {
        assert_eq!(written(Version::V1, &[text], &now), pairs(all), "{text}");
    }
    for text in
        ["memory.high=1M", "memory.low=1M", "memory.oom.group=1", "cgroup.max.depth=1", "cgroup.subtree_control=+io"]
    {
        let knob = text.split('=').next().expect("a knob").to_owned();
        assert_eq!(
            writes(Version::V1, &asked(&[text]), &files(Version::V1, &now)),
            Err(Cause::NotOnV1(knob)),
            "{text}"
        );
    }
    assert_eq!(
        writes(Version::V1, &asked(&["io.weight=5000"]), &files(Version::V1, &now)),
        Err(Cause::WeightOnV1(5000))
    );
}

#[test]
fn the_greater_goes_first_on_the_way_up_and_last_on_the_way_down() {
    let now = |limit: &'static str, both: &'static str| [(LIMIT, limit), (MEMSW, both)];
    let none = "9223372036854771712\n";
    for (texts, limit, both, all) in [
        (&["memory.max=100"][..], none, none, &[(LIMIT, "100")][..]),
        (&["memory.max=100", "memory.swap.max=50"], none, none, &[(LIMIT, "100"), (MEMSW, "150")]),
        (&["memory.swap.max=50"], "100\n", none, &[(MEMSW, "150")]),
        (&["memory.swap.max=max"], "100\n", "150\n", &[(MEMSW, "-1")]),
        // Swap stays what it was.
        (&["memory.max=200"], "100\n", "150\n", &[(MEMSW, "250"), (LIMIT, "200")]),
        (&["memory.max=50"], "100\n", "150\n", &[(LIMIT, "50"), (MEMSW, "100")]),
        (&["memory.max=max"], "100\n", "150\n", &[(MEMSW, "-1"), (LIMIT, "-1")]),
        (&["memory.max=200", "memory.swap.max=0"], "100\n", "150\n", &[(MEMSW, "200"), (LIMIT, "200")]),
        (&["memory.max=120", "memory.swap.max=0"], "100\n", "150\n", &[(LIMIT, "120"), (MEMSW, "120")]),
        (&["memory.memsw.max=500", "memory.max=400"], "100\n", "150\n", &[(MEMSW, "500"), (LIMIT, "400")]),
    ] {
        assert_eq!(written(Version::V1, texts, &now(limit, both)), pairs(all), "{texts:?} {limit} {both}");
    }
    let refused = |texts: &[&str], now: &[(&str, &str)]| {
        writes(Version::V1, &asked(texts), &files(Version::V1, now)).expect_err("refused")
    };
    assert_eq!(refused(&["memory.swap.max=50"], &now(none, none)), Cause::NeedsMemoryLimit);
    assert_eq!(refused(&["memory.swap.max=50"], &[(LIMIT, "100\n")]), Cause::NoSwapAccounting);
    assert_eq!(refused(&["memory.swap.max=5", "memory.memsw.max=9"], &now(none, none)), Cause::SwapTwice);
    assert_eq!(written(Version::V1, &["memory.max=100"], &[(LIMIT, none)]), pairs(&[(LIMIT, "100")]));
}

#[test]
fn quota_and_period_are_never_more_than_both_ends_on_the_way() {
    for (quota, period, text, first) in [
        // Less: a longer period first makes it less, and no less than it becomes.
        ("50000\n", "100000\n", "50000 200000", "cpu.cfs_quota_us"),
        ("50000\n", "100000\n", "40000 50000", "cpu.cfs_quota_us"),
        ("50000\n", "100000\n", "40000 200000", "cpu.cfs_quota_us"),
        ("50000\n", "100000\n", "100000 200000", "cpu.cfs_period_us"),
        ("-1\n", "100000\n", "10000 50000", "cpu.cfs_period_us"),
        ("50000\n", "100000\n", "max 50000", "cpu.cfs_quota_us"),
    ] {
        let now = [("cpu.cfs_quota_us", quota), ("cpu.cfs_period_us", period)];
        let all = written(Version::V1, &[&format!("cpu.max={text}")], &now);
        assert_eq!((all.len(), &all[0].0[..]), (2, first), "{quota} {period} {text}");
    }
}

#[test]
fn weights_and_shares_have_the_same_ends_and_the_same_default() {
    for (weight, shares) in [(1, 2), (100, 1024), (10_000, 262_144)] {
        assert_eq!(super::shares(weight), shares, "{weight}");
    }
    let all: Vec<u64> = (1..=10_000).map(super::shares).collect();
    assert!(all.windows(2).all(|pair| pair[0] <= pair[1]));
}

#[test]
fn what_is_read_afterwards_is_what_was_asked_for_or_not() {
    let limit = |value| Expect::Limit(Limit::Value(value));
    let bytes = |value| expect_limit("memory.max", Limit::Value(value));
    for (expect, text, met) in [
        (limit(100), "100\n", true),
        (limit(100), "99\n", false),
        (limit(100), "64\n", false),
        (bytes(5000), "4096\n", true),
        (bytes(4095), "0\n", true),
        (bytes(100 << 20), "67108864\n", false),
        (bytes(4096), "8192\n", false),
        (bytes(u64::MAX / 2), "9223372036854771712\n", true),
        (expect_limit("hugetlb.2MB.max", Limit::Value(3 << 20)), "2097152\n", true),
        (expect_limit("hugetlb.2MB.max", Limit::Value(4 << 20)), "2097152\n", false),
        (limit(100), "max\n", false),
        (Expect::Limit(Limit::Max), "9223372036854771712\n", true),
        (Expect::Limit(Limit::Max), "-1\n", true),
        (Expect::Limit(Limit::Max), "7\n", false),
        (Expect::Bandwidth(Bandwidth { quota_usec: Limit::Value(1), period_usec: 2 }), "1 2\n", true),
        (Expect::Bandwidth(Bandwidth { quota_usec: Limit::Value(1), period_usec: 2 }), "max 2\n", false),
        (Expect::List("0,1,2,4".into()), "0-2,4\n", true),
        (Expect::List("".into()), "\n", true),
        (Expect::List("0".into()), "\n", false),
        (Expect::Line("8:0".into(), vec!["rbps=5".into()]), "8:16 rbps=5\n8:0 rbps=5 wbps=max\n", true),
        (Expect::Line("8:0".into(), vec!["rbps=5".into()]), "8:16 rbps=5\n", false),
        (Expect::NoLine("8:0".into()), "8:16 5\n", true),
        (Expect::NoLine("8:0".into()), "8:0 5\n", false),
        (Expect::Words(vec!["memory".into()], vec!["io".into()]), "cpu memory\n", true),
        (Expect::Words(vec!["memory".into()], vec!["io".into()]), "io memory\n", false),
        (Expect::Text("res 5".into()), "other 1\nres 5\n", true),
        (Expect::Text("res 5".into()), "res max\n", false),
    ] {
        assert_eq!(expect.is_met(text.as_bytes()), met, "{expect:?} {text:?}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_asked_for_makes_it_panic(text in "[0-9.%KMGTmax: =]{0,20}", now in "[0-9max -]{0,20}") {
        let now = [("cpu.max", &now[..]), ("cpu.cfs_quota_us", &now), ("cpu.cfs_period_us", &now), (LIMIT, &now), (MEMSW, &now)];
        for knob in ["memory.max", "memory.swap.max", "memory.memsw.max", "cpu.max", "cpu.weight", "io.max", "io.weight", "pids.max"] {
            let Ok(asked) = format!("{knob}={text}").parse::<Asked>() else { continue };
            for version in [Version::V1, Version::V2] {
                let _ = writes(version, std::slice::from_ref(&asked), &files(version, &now));
            }
        }
    }

    #[test]
    fn nothing_that_is_read_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..60), value in any::<u64>()) {
        for expect in [
            Expect::Limit(Limit::Value(value)),
            Expect::Limit(Limit::Max),
            Expect::List("0-3".into()),
            Expect::Line("x".into(), vec!["y".into()]),
            Expect::Text("x".into()),
            Expect::Words(vec!["x".into()], vec![]),
        ] {
            let _ = expect.is_met(&text);
        }
    }
}
