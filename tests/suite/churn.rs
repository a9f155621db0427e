//! Processes that live for milliseconds, while nsx looks.

use std::collections::BTreeSet;

use super::harness::{Module, Need, Place, document, held::Held, nsx, output, quiet, text};

pub fn module() -> Module {
    let tests = vec![quiet("churn::run_after_run_and_no_failure", &[Need::Root], run_after_run)];
    Module { name: "churn", places: &[Place::Vm], tests }
}

fn run_after_run() {
    let stable: Vec<Held> = ["uts", "net", "pid", "mnt"].iter().map(|kind| Held::start(&["process", kind])).collect();
    let wanted: BTreeSet<u64> = stable.iter().map(|held| held.number(1)).collect();
    let _churn = [Held::start(&["churn"]), Held::start(&["churn"])];
    // An emulated processor takes thirty times as long.
    let rounds = if Place::here() == Place::Machine { 1500 } else { 100 };
    let mut seen = 0;
    for round in 0..rounds {
        let done = output(&mut nsx(&["ls", "--json"]));
        assert_eq!(done.status.code(), Some(0), "run {round}: {}", text(&done.stderr));
        // Every document is complete JSON; against the schema goes every fiftieth, which takes longer than nsx does.
        let list = if round % 50 == 0 {
            document(&text(&done.stdout))
        } else {
            serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("run {round}: {error}"))
        };
        let all = list["namespaces"].as_array().expect("namespaces");
        let found: BTreeSet<u64> = all.iter().filter_map(|one| one["ns"].as_u64()).collect();
        assert!(wanted.is_subset(&found), "run {round}: {wanted:?} is not all in {found:?}");
        for one in all.iter().filter(|one| one["ns"].as_u64().is_some_and(|ns| wanted.contains(&ns))) {
            assert!(one["owner"].is_u64(), "run {round}: what is stable is asked, whoever comes and goes: {one:#}");
            assert!(one["pid"].is_u64() && one["command"].is_string(), "run {round}: {one:#}");
        }
        for gap in list["gaps"].as_array().expect("gaps") {
            // Somebody who has gone is no gap. What may not be seen is seen by none of the runs.
            let pids = gap["pids"].as_array().expect("pids");
            assert!(
                pids.iter().all(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists()),
                "run {round}: {gap:#}"
            );
        }
        seen += all.len();
    }
    assert!(seen / rounds > wanted.len());
}
