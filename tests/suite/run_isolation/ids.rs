//! Who somebody inside is outside: nobody else, and never root.

use std::collections::BTreeMap;

use super::place::{self, Caller, Live, callers, probe, run_as};
use crate::harness::{Need, Test, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("run_isolation::root_inside_is_never_root_outside", &[], never_root),
        test("run_isolation::two_sandboxes_never_share_an_id", &[Need::Root], ranges),
        test("run_isolation::a_user_cannot_drop_groups", &[], groups),
    ]
}

/// The ids of a process as they are outside: real, effective, saved, and of the file system.
fn ids(pid: u32, name: &str) -> Vec<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.split_whitespace().map(|id| id.parse().expect("an id")).collect()
}

fn never_root() {
    let mut ways = place::all_ways();
    for caller in callers() {
        ways.push((caller, vec!["--userns", "root"]));
        ways.push((caller, vec!["--no-init"]));
        ways.push((caller, vec!["--share", "pid,net,ipc,uts"]));
    }
    for (caller, options) in ways {
        if options.contains(&"--no-init") {
            continue;
        }
        let live = Live::start(&mut run_as(caller, &options));
        for pid in [live.first, live.command] {
            for name in ["Uid:", "Gid:"] {
                let ids = ids(pid, name);
                let of = format!("{caller:?} {options:?}: {name} {ids:?}");
                match caller {
                    Caller::Root => assert!(ids.iter().all(|id| *id >= 65536), "{of}"),
                    Caller::User if place::is_root() => assert!(ids.iter().all(|id| *id == place::USER), "{of}"),
                    Caller::User => assert!(ids.iter().all(|id| *id != 0), "{of}"),
                }
            }
            let groups = ids(pid, "Groups:");
            assert!(
                groups.iter().all(|id| *id >= 65536 || caller == Caller::User),
                "{caller:?} {options:?}: {groups:?}"
            );
        }
        live.end();
    }
}

/// The ranges outside of a process's map.
fn map(pid: u32, file: &str) -> Vec<(u64, u64)> {
    let map = std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a map");
    let numbers =
        |line: &str| line.split_whitespace().map(|number| number.parse().expect("a number")).collect::<Vec<u64>>();
    map.lines().map(|line| (numbers(line)[1], numbers(line)[1] + numbers(line)[2])).collect()
}

fn ranges() {
    let many: Vec<Live> = std::thread::scope(|scope| {
        let start = || (0..4).map(|_| Live::start(&mut run_as(Caller::Root, &[]))).collect::<Vec<Live>>();
        let threads = [scope.spawn(start), scope.spawn(start), scope.spawn(start)];
        threads.into_iter().flat_map(|thread| thread.join().expect("sandboxes")).collect()
    });
    for file in ["uid_map", "gid_map"] {
        let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
        for live in &many {
            for (from, to) in map(live.command, file) {
                assert!(from >= 65536, "{file}: {from}");
                let others = taken.iter().find(|(other_from, other_to)| from < **other_to && **other_from < to);
                assert!(others.is_none(), "{file}: {from}-{to} and {others:?}");
                taken.insert(from, to);
            }
        }
        assert_eq!(taken.len(), many.len());
    }
    many.into_iter().for_each(Live::end);
}

/// A group may be what keeps somebody from a file (CVE-2014-8989).
fn groups() {
    for options in [&[][..], &["--cap-add", "ALL"], &["--userns", "root"], &["--userns", "keep"]] {
        let said = probe(Caller::User, options, &["groups"]);
        said.is("setgroups-file", &["deny"]);
        said.is("setgroups", &["EPERM"]);
    }
    if place::is_root() {
        let said = probe(Caller::Root, &[], &["groups"]);
        said.is("status", &["[]", "[Gid(0)]"]);
    }
}
