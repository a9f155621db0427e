//! `nsx cg ls` and its options, on a tree of the test's own.

use serde_json::Value;

use super::super::harness::{cgroup::Own, document, fit, held::Held, nsx, output, run, text};
use super::limits::member;
use super::{group, json};

fn paths(listed: &Value) -> Vec<&str> {
    listed["cgroups"].as_array().expect("cgroups").iter().map(|one| one["path"].as_str().expect("a path")).collect()
}

pub(super) fn vanishing() {
    let own = Own::new("churn", &["pids"]);
    let folders = own.folders("");
    let mut role = vec!["cgroup-churn"];
    role.extend(folders.iter().map(|folder| folder.to_str().expect("UTF-8")));
    let churn = Held::start(&role);
    let (top, gone) = (own.text(""), own.text("a/b"));
    for round in 0..200 {
        // Now and then the whole tree.
        let all: &[&str] = match round % 10 {
            0 => &["cg", "ls", "--json"],
            1 => &["cg", "ls", "-p", &top],
            2 => &["cg", "ls", "--json", "-i", "1ms", &top],
            _ => &["cg", "ls", "--json", &top],
        };
        let done = output(&mut nsx(all));
        assert_eq!((done.status.code(), text(&done.stderr)), (Some(0), String::new()), "{all:?}");
        let printed = fit(&done.stdout);
        if all.contains(&"--json") {
            let listed = document(&printed);
            assert!(paths(&listed).contains(&top.as_str()) && listed["gaps"] == serde_json::json!([]), "{listed:#}");
        }
        if round % 10 == 0 {
            let shown = output(&mut nsx(&["cg", "show", "--json", &gone]));
            let error = text(&shown.stderr);
            assert!(shown.status.success() || shown.status.code() == Some(1) && error.contains("no cgroup"), "{error}");
        }
    }
    drop(churn);
}

/// All cgroups, each with as many processes as the kernel says.
pub(super) fn tree() {
    let own = Own::new("tree", &["pids"]);
    for below in ["a", "a/x", "a/y", "b", "a-b"] {
        own.make(below);
    }
    let _held = [member(&own, "a/x"), member(&own, "a/x"), member(&own, "b")];
    let all = ["", "a", "a/x", "a/y", "a-b", "b"].map(|below| own.text(below));
    let top = &all[0];
    let listed = json(&["ls", top, "-p"]);
    assert_eq!(paths(&listed), all, "those below come right behind");
    for (below, path) in ["", "a", "a/x", "a/y", "a-b", "b"].into_iter().zip(&all) {
        let one = group(&listed, path);
        let mut pids: Vec<u32> = Vec::new();
        for folder in own.folders(below) {
            let procs = std::fs::read_to_string(folder.join("cgroup.procs")).expect("cgroup.procs");
            pids.extend(procs.lines().map(|line| line.parse::<u32>().expect("a pid")));
        }
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(
            (one["nprocs"].as_u64(), &one["pids"]),
            (Some(pids.len() as u64), &serde_json::json!(pids)),
            "{path}"
        );
        assert_eq!(one["hierarchies"].as_array().map(Vec::len), Some(own.folders("").len()), "{path}");
        assert_eq!(one["depth"].as_u64(), Some(path.matches('/').count() as u64), "{path}");
    }
    assert_eq!(group(&listed, &own.text("a"))["pids_current"], 2, "with those below");
    let text = run(&["cg", "ls", top]);
    let first = |line: &str| line.split("  ").next().unwrap_or_default().to_owned();
    let names: Vec<String> = text.lines().skip(1).map(first).collect();
    assert_eq!(names, [top, "├─a", "│ ├─x", "│ └─y", "├─a-b", "└─b"]);
    let flat = run(&["cg", "ls", "--flat", "--no-headings", top]);
    let names: Vec<String> = flat.lines().map(first).collect();
    assert_eq!(names, all);
    for (depth, count) in [("0", 1), ("1", 4), ("2", 6), ("9", 6)] {
        assert_eq!(paths(&json(&["ls", "--depth", depth, top])).len(), count, "{depth}");
    }
    // A process stands for the cgroup that it is in.
    let process = group(&listed, &own.text("b"))["pids"][0].to_string();
    assert_eq!(paths(&json(&["ls", &process])), [own.text("b")]);
    // The whole of it is part of the whole.
    let everything = json(&["ls"]);
    assert!(all.iter().all(|path| paths(&everything).contains(&path.as_str())));
}

pub(super) fn filters() {
    let own = Own::new("filter", &["memory", "pids"]);
    for below in ["full", "half", "free"] {
        own.make(below);
    }
    own.set("full", "pids.max", "2");
    own.set("half", "pids.max", "4");
    let _held =
        [member(&own, "full"), member(&own, "full"), member(&own, "half"), member(&own, "half"), member(&own, "free")];
    let top = own.text("");
    let of = |arguments: &[&str]| -> Vec<String> {
        let all: Vec<&str> = ["ls", &top].into_iter().chain(arguments.iter().copied()).collect();
        paths(&json(&all)).into_iter().map(|path| path[top.len()..].trim_start_matches('/').to_owned()).collect()
    };
    assert_eq!(of(&["--over", "99%"]), ["full"]);
    assert_eq!(of(&["--over", "49"]), ["full", "half"]);
    assert_eq!(of(&["--over", "100%"]), [""; 0], "more than, not as much as");
    assert_eq!(of(&["--limits-only"]), ["full", "half"]);
    own.set("", "memory.max", &(1u64 << 40).to_string());
    assert_eq!(of(&["--limits-only"]), ["", "full", "half"]);
    assert_eq!(of(&["--where", "nprocs > 1"]), ["full", "half"]);
    assert_eq!(of(&["--where", "nprocs == 1 and pidsmax > 1000000"]), ["free"], "none is more than any number");
    assert_eq!(of(&["--where", "path =~ '/f'"]), ["free", "full"]);
    assert_eq!(of(&["--where", "not pidseff < 4"]), ["", "free", "half"]);
    assert_eq!(of(&["--where", "mem >= 0 and nprocs > 0", "--limits-only", "--over", "60"]), ["full"]);
    // In a tree, what is chosen is shown with those above.
    let text = run(&["cg", "ls", &top, "--over", "99%", "-n", "-o", "CGROUP"]);
    assert_eq!(text.lines().map(str::trim_end).collect::<Vec<_>>(), [&top, "└─full"]);
    let nothing = output(&mut nsx(&["cg", "ls", &top, "--where", "nprocs > 99"]));
    assert_eq!((nothing.status.code(), nothing.stdout.len()), (Some(0), 0));
}

pub(super) fn sorted() {
    let own = Own::new("sort", &["memory", "pids", "cpu", "cpuacct"]);
    for below in ["large", "many", "busy"] {
        own.make(below);
    }
    let mut large = Held::start(&["hold", "33554432"]);
    own.add(large.pid(), "large");
    large.poke();
    let mut busy = Held::start(&["spin"]);
    own.add(busy.pid(), "busy");
    busy.poke();
    let _many = [member(&own, "many"), member(&own, "many"), member(&own, "many")];
    let file = if own.is_v2("memory") { "memory.current" } else { "memory.usage_in_bytes" };
    while own.read("large", file).parse::<u64>().expect("a number") < 33_554_432 {
        std::thread::yield_now();
    }
    let top = own.text("");
    let of = |key: &str| -> Vec<String> {
        let listed = json(&["ls", &top, "--sort", key]);
        paths(&listed).into_iter().filter(|path| *path != top).map(|path| path[top.len() + 1..].to_owned()).collect()
    };
    assert_eq!(of("mem")[0], "large");
    assert_eq!(of("-mem")[2], "large");
    assert_eq!(of("pids")[0], "many");
    assert_eq!(of("PIDS")[0], "many");
    assert_eq!(of("cpu")[0], "busy");
    assert_eq!(of("-cgroup"), ["many", "large", "busy"]);
    assert_eq!(of("cgroup"), ["busy", "large", "many"], "names by letters");
    assert_eq!(of("pressure").len(), 3);
    let listed = json(&["ls", &top, "--sort", "cpu"]);
    assert!(listed["interval_usec"].as_u64() >= Some(500_000), "{listed:#}");
    let rate = |below: &str| group(&listed, &own.text(below))["cpu_percent"].as_f64().expect("a rate");
    assert!(rate("busy") > 0.0 && rate("many") <= rate("busy"), "{listed:#}");
    // Without an interval there are no rates.
    let listed = json(&["ls", &top]);
    assert_eq!((&listed["interval_usec"], &group(&listed, &top)["cpu_percent"]), (&Value::Null, &Value::Null));
    // A tree stays one.
    let text = run(&["cg", "ls", &top, "--sort", "pids", "-n", "-o", "CGROUP"]);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines[..2], [&top, "├─many"], "{text}");
    let text = run(&["cg", "ls", &top, "--sort", "-pids", "-f", "-n", "-o", "PATH"]);
    assert_eq!(text.lines().last().map(str::trim_end), Some(top.as_str()), "{text}");
    let text = run(&["cg", "ls", &top, "--interval", "50ms"]);
    assert!(text.lines().next().is_some_and(|line| line.contains(" CPU ")), "{text}");
}

pub(super) fn columns() {
    let own = Own::new("columns", &[]);
    let _held = member(&own, "");
    let top = own.text("");
    let names = run(&["cg", "ls", "--columns"]);
    let names: Vec<&str> = names.lines().filter_map(|line| line.split(' ').next()).collect();
    let document = document(&run(&["cg", "ls", "--columns", "--json"]));
    let told: Vec<&str> =
        document["columns"].as_array().expect("columns").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, told);
    let heads = |output: &str| -> Vec<String> {
        let text = run(&["cg", "ls", &top, "-o", output]);
        text.lines().next().expect("headings").split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(heads("all"), names);
    assert_eq!(heads("path,nprocs"), ["PATH", "NPROCS"]);
    let added = heads("+INODE,DEPTH");
    assert_eq!(
        (added[0].as_str(), &added[added.len() - 2..]),
        ("CGROUP", &["INODE".to_owned(), "DEPTH".to_owned()][..])
    );
    let row = run(&["cg", "ls", &top, "-n", "-o", "PATH,NPROCS,DEPTH,HIERARCHIES,INODE"]);
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[..3], [&top, "1", "1"]);
    assert_eq!(cells[3], own.folders("").len().to_string());
    use std::os::unix::fs::MetadataExt;
    assert_eq!(cells[4], own.folders("")[0].metadata().expect("a directory").ino().to_string());
}

pub(super) fn processes() {
    let own = Own::new("procs", &[]);
    own.make("child");
    let held = member(&own, "child");
    let top = own.text("");
    let text = run(&["cg", "ls", "-p", &top]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].trim_end().ends_with("COMMAND"), "{text}");
    let pid = format!("  └─{} ", held.pid());
    assert!(lines[3].starts_with(&pid) && lines[3].trim_end().ends_with(" fixture hold 1"), "{text}");
    let listed = json(&["ls", "-p", &top]);
    assert_eq!(group(&listed, &own.text("child"))["pids"], serde_json::json!([held.pid()]));
    assert!(group(&json(&["ls", &top]), &top).get("pids").is_none());
}
