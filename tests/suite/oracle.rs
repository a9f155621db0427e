//! nsx and the lsns that is installed, on the same quiet host.
//!
//! Listed differences: lsns misses what only nsx looks for (threads, descriptors and sockets in older versions, bind mounts in other
//! mount namespaces, owners and parents), so nothing is asked about namespaces that only nsx shows. Both count themselves: each is one
//! process in the namespaces of this test.

use serde_json::Value;

use super::harness::{Module, Need, Place, held::Held, ls_json, quiet, text};

pub fn module() -> Module {
    let tests = vec![quiet("oracle::everything_that_lsns_shows", &[Need::Tool("lsns")], everything_that_lsns_shows)];
    Module { name: "oracle", places: &[Place::Vm, Place::Systemd], tests }
}

fn number(value: &Value) -> u64 {
    // Older versions write numbers as strings.
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

fn flatten(list: &Value, all: &mut Vec<(u64, String, u64)>) {
    for entry in list.as_array().into_iter().flatten() {
        all.push((number(&entry["ns"]), entry["type"].as_str().expect("a type").to_owned(), number(&entry["nprocs"])));
        flatten(&entry["children"], all);
    }
}

fn everything_that_lsns_shows() {
    let _held: Vec<Held> = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"]
        .iter()
        .map(|kind| Held::start(&["process", kind]))
        .collect();
    // Kernel workers come and go by themselves, so a round in which the processes changed is played again.
    for _ in 0..50 {
        let before = processes();
        let output =
            std::process::Command::new("lsns").args(["--json", "-o", "NS,TYPE,NPROCS"]).output().expect("lsns");
        let document = ls_json(&[]);
        if processes() != before {
            continue;
        }
        let listed: Value = serde_json::from_str(&text(&output.stdout)).expect("JSON");
        let mut theirs = Vec::new();
        flatten(&listed["namespaces"], &mut theirs);
        assert!(theirs.len() >= 15, "{listed:#}");
        let ours: Vec<(u64, &str, u64)> = document["namespaces"]
            .as_array()
            .expect("namespaces")
            .iter()
            .map(|one| (number(&one["ns"]), one["type"].as_str().expect("a type"), number(&one["nprocs"])))
            .collect();
        for (ns, kind, nprocs) in &theirs {
            assert!(
                ours.contains(&(*ns, kind.as_str(), *nprocs)),
                "{kind}:[{ns}] with {nprocs} processes is not in {ours:#?}"
            );
        }
        return;
    }
    panic!("the host was never quiet");
}

fn processes() -> Vec<u32> {
    let mut pids: Vec<u32> = std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}
