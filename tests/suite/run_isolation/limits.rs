//! Limits that a command lifts itself: the root of a new cgroup namespace is the cgroup that it is in, whose files are its owner's.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::place::{Caller, by, callers};
use crate::harness::cgroup::Own;
use crate::harness::{Need, Test, nsx, test};

pub fn tests() -> Vec<Test> {
    vec![test(
        "run_isolation::limits_cannot_be_lifted_from_inside",
        &[Need::Root, Need::Tool("unshare"), Need::Controller("memory"), Need::Controller("pids")],
        lifted,
    )]
}

/// Mounts the hierarchy of its memory, writes to the limit at its root, and stays.
const ATTACK: &str = r#"
unshare -UrmC sh -c '
    mount -t tmpfs x /tmp && mkdir /tmp/c || echo no place
    mount -t cgroup -o memory x /tmp/c || mount -t cgroup2 x /tmp/c || echo no mount
    for file in memory.limit_in_bytes memory.max; do
        [ -e /tmp/c/$file ] && echo 500M >/tmp/c/$file && echo written
    done
' 2>/dev/null
echo attacked
read end
"#;

fn lifted() {
    let own = Own::new("run-lift", &["memory", "pids"]);
    let is_v2 = own.is_v2("memory");
    let limit = if is_v2 { "memory.max" } else { "memory.limit_in_bytes" };
    for caller in callers() {
        if caller == Caller::User {
            if is_v2 {
                // Who comes from a cgroup that is not delegated cannot go into one that is.
                continue;
            }
            for folder in own.folders("") {
                let user = Some(super::place::USER);
                std::os::unix::fs::chown(&folder, user, user).expect("delegated");
            }
        }
        let ways: &[&[&str]] = match caller {
            Caller::Root => &[&["--userns=keep"], &["--userns=host"], &[]],
            Caller::User => &[&[], &["--userns=keep"]],
        };
        for options in ways {
            let what = format!("{caller:?} {options:?}");
            let name = format!("lift-{}", std::process::id());
            let cgroup = format!("nsx-{name}");
            let mut command = nsx(&["run"]);
            by(caller, &mut command).args(*options).args(["--name", &name, "--cgroup-parent", &own.text("")]);
            command.args(["--mem=32M", "--pids=10", "sh", "-c", ATTACK]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("nsx");
            let out = BufReader::new(child.stdout.take().expect("a pipe"));
            let mut said: Vec<String> = Vec::new();
            for line in out.lines() {
                said.push(line.expect("text"));
                if said.last().is_some_and(|line| line == "attacked") {
                    break;
                }
            }
            let found = (own.read(&cgroup, limit), own.read(&cgroup, "pids.max"));
            let has_inner = own.folder(&cgroup, "memory").join("box").exists();
            drop(child.stdin.take());
            let status = child.wait().expect("nsx");
            assert_eq!(found, ((32 << 20).to_string(), "10".to_owned()), "{what}: {said:?} {status}");
            let is_private = caller == Caller::Root && options.is_empty();
            assert_eq!(has_inner, !is_private, "{what}: only where it has to be");
            // The cgroup inside is there for where a sysctl cannot keep him from it; here nothing is written to that either.
            assert_eq!(said, ["attacked"], "{what}: {status}");
            assert!(own.folders(&cgroup).iter().all(|folder| !folder.exists()), "{what}: nothing is left");
        }
    }
}
