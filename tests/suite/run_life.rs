//! The life of what nsx run starts, from outside: how it ends, what reaches it, what is left of it, and kernels that lack something.
//!
//! Each run has a number of its own among the arguments of its command, by which its processes are found in the host's `/proc`. What a
//! sandbox shows and hides is not here. See signal(7), pid_namespaces(7), "Job control" in credentials(7).

mod detach;
mod ends;
mod explained;
mod forbidden;
mod forward;
mod kernels;
mod kill;
mod killed;
mod left;
mod many;
mod regressions;
mod terminal;
mod wrong;

use std::process::Command;

use super::harness::processes::until_so;
use super::harness::running::Running;
use super::harness::sandbox::keepers;
use super::harness::{Module, Test};

pub fn module() -> Module {
    let all: [fn() -> Vec<Test>; 12] = [
        ends::tests,
        wrong::tests,
        forward::tests,
        terminal::tests,
        killed::tests,
        many::tests,
        detach::tests,
        kill::tests,
        kernels::tests,
        forbidden::tests,
        explained::tests,
        regressions::tests,
    ];
    let tests = all.into_iter().flat_map(|tests| tests()).collect();
    Module { name: "run_life", places: &[], tests }
}

/// Options of ways to run a command that differ in who watches over it, and limits.
const WAYS: [&[&str]; 3] = [&[], &["--no-init"], &["--timeout=1000"]];

/// Limits that every machine with these controllers has room for.
const LIMITS: [&str; 2] = ["--mem=64M", "--pids=50"];

/// Starts a shell in a sandbox, and waits until it says `ready`.
fn start(options: &[&str], script: &str) -> Running {
    start_with(options, script, |_| ())
}

fn start_with(options: &[&str], script: &str, change: impl FnOnce(&mut Command)) -> Running {
    Running::start(&[&["run"], options].concat(), script, change)
}

/// Waits until both are there, and returns them.
fn both_keepers(name: &str) -> (u32, u32) {
    until_so("a stub and a first process", || {
        let found = keepers(name);
        found.stub.is_some() && found.init.is_some()
    });
    let found = keepers(name);
    (found.stub.expect("a stub"), found.init.expect("a first process"))
}
