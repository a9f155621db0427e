//! `nsx cg show`, `path` and `ls` on what real kernels gave: `tests/data/cgroup/README.md` says what happened there, and what is to be
//! expected of each process. What they print for people is in `tests/data/cgroup-text`.
//!
//! The suite also runs where there is no source tree, and so no recordings: this module does not.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::harness::{Module, committed, document, fit, nsx, output, source, test, text};

mod agree;
mod facts;

use facts::{EVENTS, LIMITS, PROCESSORS, STATES};

pub fn module() -> Module {
    let tests = vec![
        test("cg_recorded::limits_are_what_is_to_be_expected", &[], limits),
        test("cg_recorded::the_kernel_says_the_same_of_limits", &[], agree::kernel),
        test("cg_recorded::what_happened_is_told_where_it_did", &[], events),
        test("cg_recorded::every_counter_is_what_its_file_says", &[], agree::counters),
        test("cg_recorded::who_is_frozen_removed_or_out_of_sight", &[], states),
        test("cg_recorded::processors", &[], processors),
        test("cg_recorded::protections", &[], protections),
        test("cg_recorded::paths_are_those_of_the_process", &[], agree::paths),
        test("cg_recorded::targets", &[], targets),
        test("cg_recorded::the_ladder_says_what_show_says", &[], agree::ladder),
        test("cg_recorded::the_list_says_what_show_says", &[], agree::list),
        test("cg_recorded::members_are_those_of_the_files", &[], agree::members),
        test("cg_recorded::nothing_raw_and_nothing_lost", &[], nothing_raw),
        test("cg_recorded::a_ladder_of_several_paths", &[], several_paths),
        test("cg_recorded::texts", &[], texts),
    ];
    Module { name: "cg_recorded", places: &[], tests }
}

/// Each recording, with the processes that are in it.
const RECORDINGS: [(&str, &[&str]); 7] = [
    ("v2", &["70", "77", "78"]),
    ("v2-6.1", &["70", "77", "78", "79"]),
    ("hybrid", &["70", "77"]),
    ("v1", &["70", "77"]),
    ("container", &["70", "77", "78"]),
    ("cgroupns", &["70", "77", "78", "79", "80"]),
    ("hostile", &["70", "77", "78", "79", "80", "81", "82", "83"]),
];

fn recording(name: &str) -> PathBuf {
    source("tests/data/cgroup").join(name)
}

/// Runs nsx cg on a recording, which must succeed and note nothing, and returns what it has printed, which must be fit for a terminal.
fn on<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> String {
    let mut command = nsx(&["--proc-root"]);
    command.arg(recording(name)).arg("cg").args(arguments);
    let done = output(&mut command);
    assert!(done.status.success(), "{command:?}: {}", text(&done.stderr));
    assert_eq!(text(&done.stderr), "", "{command:?}");
    fit(&done.stdout)
}

fn show(name: &str, target: &str) -> Value {
    document(&on(name, &["show", "--json", target]))
}

/// The recordings with one of their processes each, and what nsx shows of it.
fn all() -> impl Iterator<Item = (&'static str, &'static str, Value)> {
    let one = |(name, pids): (&'static str, &'static [&'static str])| {
        pids.iter().map(move |&pid| (name, pid, show(name, pid)))
    };
    RECORDINGS.into_iter().flat_map(one)
}

fn entries<'a>(document: &'a Value, key: &str) -> &'a [Value] {
    document[key].as_array().unwrap_or_else(|| panic!("no {key} in {document}"))
}

/// Returns the bytes of a text of a document, by its twin where it has one.
fn bytes(entry: &Value, key: &str) -> Option<Vec<u8>> {
    let plain = entry[key].as_str()?;
    Some(match entry[format!("{key}_raw")].as_str() {
        Some(raw) => BASE64_STANDARD.decode(raw).expect("base64"),
        None => plain.as_bytes().to_vec(),
    })
}

fn find<'a>(document: &'a Value, knob: &str, key: Option<&str>) -> Option<&'a Value> {
    entries(document, "limits").iter().find(|one| one["knob"] == knob && one["key"].as_str() == key)
}

/// Returns the directory of a cgroup in a recording.
fn directory(name: &str, document: &Value, hierarchy: &Value, path: &[u8]) -> PathBuf {
    let found = entries(document, "hierarchies").iter().find(|one| one["id"] == *hierarchy).expect("a hierarchy");
    let root = bytes(found, "mount_root").expect("mounted");
    let mount = bytes(found, "mount").expect("mounted");
    let below = if root == b"/" { path } else { path.strip_prefix(&root[..]).expect("below the mount") };
    let relative = [&mount[1..], b"/", below].concat();
    let relative: Vec<&[u8]> = relative.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    recording(name).join("self/root").join(OsString::from_vec(relative.join(&b'/')))
}

/// Returns the content of a file of the lowest cgroup that has it and says something in it, on the way up from one.
fn lowest(name: &str, document: &Value, hierarchy: &Value, path: &[u8], file: &str) -> Option<(PathBuf, String)> {
    let mut at = Some(Path::new(OsStr::from_bytes(path)));
    while let Some(path) = at {
        let file = directory(name, document, hierarchy, path.as_os_str().as_bytes()).join(file);
        if let Ok(content) = std::fs::read(&file)
            && !content.is_empty()
        {
            return Some((file, String::from_utf8_lossy(&content).trim().to_owned()));
        }
        // Above the top of the mount there is nothing to be read.
        let top = entries(document, "hierarchies").iter().find(|one| one["id"] == *hierarchy).expect("a hierarchy");
        at = (path.as_os_str().as_bytes() != bytes(top, "mount_root").expect("mounted")).then(|| path.parent())?;
    }
    None
}

fn limits() {
    for (name, pid, knobs) in LIMITS {
        let shown = show(name, pid);
        let own = |one: &Value| {
            let home = entries(&shown, "cgroups").iter().find(|cgroup| cgroup["hierarchy"] == one["hierarchy"]);
            bytes(home.expect("its ladder"), "path").expect("a path")
        };
        for (knob, key, effective, by, usage, headroom, left_by) in *knobs {
            let context = format!("{name}/{pid} {knob} {key:?}");
            let Some(one) = find(&shown, knob, *key) else { panic!("{context} is not in {shown:#}") };
            assert_eq!(one["effective"], effective.json(), "{context}: effective");
            assert_eq!((&one["bound_by"], &one["bound_kind"]), (&by.path(), &by.kind()), "{context}: by");
            assert_eq!(one["headroom"], headroom.json(), "{context}: headroom");
            assert_eq!(
                (&one["headroom_bound_by"], &one["headroom_bound_kind"]),
                (&left_by.path(), &left_by.kind()),
                "{context}: headroom by"
            );
            let used = usage.map(|file| {
                let (_, text) = lowest(name, &shown, &one["hierarchy"], &own(one), file).expect("a file");
                // Of a keyed file it is the first number.
                let number = text.split_whitespace().find_map(|word| word.parse::<u64>().ok());
                number.unwrap_or_else(|| panic!("{file}: {text}"))
            });
            assert_eq!(one["usage"], json!(used), "{context}: usage");
        }
    }
}

fn events() {
    for (name, pid, happened) in EVENTS {
        let shown = show(name, pid);
        for (path, file, key, value) in *happened {
            let is_it = |one: &&Value| one["path"] == *path && one["file"] == *file && one["key"].as_str() == *key;
            let found: Vec<&Value> = entries(&shown, "events").iter().filter(is_it).map(|one| &one["value"]).collect();
            assert_eq!(found, [&json!(value)], "{name}/{pid}: {file} {key:?} of {path}");
        }
    }
}

fn states() {
    for (name, pid, expected) in STATES {
        let shown = show(name, pid);
        for (hierarchy, path, seen, from_root, frozen) in *expected {
            let found = entries(&shown, "cgroups").iter().find(|one| one["hierarchy"] == *hierarchy);
            let found = found.unwrap_or_else(|| panic!("{name}/{pid} has no hierarchy {hierarchy}"));
            assert_eq!(bytes(found, "path").as_deref(), Some(path.as_bytes()), "{name}/{pid}");
            assert_eq!(
                (&found["seen"], &found["from_root"], &found["frozen"]),
                (&json!(seen), &json!(from_root), &json!(frozen)),
                "{name}/{pid}"
            );
            // What was not reached has no inode, and nothing else.
            assert_eq!(found["inode"].is_null(), *seen != "whole", "{name}/{pid}");
        }
        if expected.iter().all(|(_, _, seen, ..)| *seen != "whole") {
            let is_here = |one: &Value| one["bound_kind"] == "cgroup";
            assert!(!entries(&shown, "limits").iter().any(is_here), "{name}/{pid}: {shown:#}");
        }
    }
    // In words, too.
    for (name, pid, words) in [
        ("v2-6.1", "78", "frozen          yes"),
        ("hybrid", "77", "frozen          yes"),
        (
            "container",
            "77",
            "what is above /docker/5b0dd1f1b6a9c2ad0c5a0d3f8a2d3e1c9f6b7a8e4d2c1b0a9f8e7d6c5b4a3f21 cannot be seen",
        ),
        ("container", "77", "48M  (out of sight)"),
        ("cgroupns", "78", "cgroup  /../other  (v2; outside of what is mounted here)"),
        ("hostile", "78", "cgroup  /gone (deleted)  (v2; removed)"),
    ] {
        let shown = on(name, &["show", pid]);
        assert!(shown.contains(words), "{name}/{pid}: no {words:?} in {shown}");
    }
    assert!(!on("v2", &["show", "77"]).contains("frozen"));
}

fn processors() {
    for (name, pid, millicpus, quota, cpuset, affinity, online) in PROCESSORS {
        let expected = json!({
            "millicpus": millicpus, "quota_millicpus": quota.json(), "cpuset": cpuset, "affinity": affinity,
            "online": online,
        });
        assert_eq!(show(name, pid)["cpus"], expected, "{name}/{pid}");
    }
}

/// `memory.low` at `/web.slice` protects all below it, as the mount says `memory_recursiveprot`.
fn protections() {
    for (target, value) in [("77", 0), ("78", 0), ("/web.slice", 16_777_216)] {
        let shown = show("v2", target);
        let low = find(&shown, "memory.low", None).expect("memory.low");
        assert_eq!((&low["value"], &low["effective"]), (&json!(value), &json!(16_777_216)), "{target}");
        assert_eq!(low["bound_by"], "/web.slice", "{target}");
        let min = find(&shown, "memory.min", None).expect("memory.min");
        assert_eq!((&min["effective"], &min["bound_by"]), (&json!(0), &Value::Null), "{target}");
    }
}

/// A cgroup is found by its path, with and without the word before it, and by its directory, and says what a process in it says.
fn targets() {
    let of_process = show("v2", "77");
    for target in [
        "/web.slice/app.service/worker",
        "cgroup:/web.slice/app.service/worker",
        "/sys/fs/cgroup/web.slice/app.service/worker",
        "/sys/fs/cgroup//web.slice/./app.service/worker/",
    ] {
        let of_cgroup = show("v2", target);
        assert_eq!(of_cgroup["pid"], Value::Null);
        for key in ["cgroups", "limits", "events", "pressure"] {
            assert_eq!(of_cgroup[key], of_process[key], "{target}: {key}");
        }
    }
    let own = show("v2", "self");
    assert_eq!((own["pid"].is_u64(), &own["cgroups"][0]["path"]), (true, &json!("/")));
    // On v1 a path is a cgroup of each hierarchy, a directory that of one.
    let everywhere = show("hybrid", "/nsx-demo/child");
    assert_eq!(everywhere["limits"], show("hybrid", "77")["limits"]);
    assert_eq!(entries(&everywhere, "cgroups").len(), 10);
    let memory = show("hybrid", "/sys/fs/cgroup/memory/nsx-demo/child");
    assert_eq!(entries(&memory, "cgroups").len(), 1);
    assert!(entries(&memory, "limits").iter().all(|one| one["controller"] == "memory"), "{memory:#}");
    for (name, target) in
        [("v2-6.1", "/web.slice/gone"), ("v2", "cgroup:/web"), ("hybrid", "/nsx-demo/x"), ("v2", "79")]
    {
        for command in ["show", "path", "ls"] {
            let failed = output(nsx(&["--proc-root"]).arg(recording(name)).args(["cg", command, target]));
            let error = text(&failed.stderr);
            assert_eq!((failed.status.code(), failed.stdout.len()), (Some(1), 0), "{command} {target}: {error}");
            assert!(error.contains("hint: nsx ") && error.contains("(ENOENT)"), "{command} {target}: {error}");
        }
    }
}

/// Every command on every process: it succeeds, nothing raw is printed (see [`on`]), and what is not UTF-8 comes with its bytes.
fn nothing_raw() {
    fn twins(value: &Value, found: &mut usize) {
        match value {
            Value::Array(all) => all.iter().for_each(|one| twins(one, found)),
            Value::Object(map) => {
                for (key, one) in map {
                    twins(one, found);
                    if let Some(plain) = key.strip_suffix("_raw") {
                        let raw = BASE64_STANDARD.decode(one.as_str().expect("text")).expect("base64");
                        assert!(std::str::from_utf8(&raw).is_err(), "{key} is not needed: {one}");
                        assert_eq!(map[plain], json!(String::from_utf8_lossy(&raw)), "{key}");
                        *found += 1;
                    } else if one.as_str().is_some_and(|text| text.contains('\u{fffd}')) {
                        assert!(map.contains_key(&format!("{key}_raw")), "{key} has lost bytes: {one}");
                    }
                }
            }
            _ => {}
        }
    }
    let mut found = 0;
    for (name, pids) in RECORDINGS {
        for arguments in [&["ls"][..], &["ls", "-f", "-p", "-o", "all"], &["ls", "-p"]] {
            on(name, arguments);
            let json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
            twins(&document(&on(name, &json)), &mut found);
        }
        for pid in pids {
            for command in ["show", "path"] {
                on(name, &[command, pid]);
                on(name, &[command, "--all", pid]);
                twins(&document(&on(name, &[command, "--json", pid])), &mut found);
            }
        }
    }
    assert!(found >= 8, "{found}");
    // The names are there, and can be read.
    let shown = on("hostile", &["ls", "-p"]);
    for words in ["\\x1b[31mred\\x1b[0m.slice", "a b\\tc", "non-utf8-\\xff\\xfe", "back\\134slash\\134040", ") S 1 ("] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
}

/// A process that is elsewhere in one of the hierarchies of v1: the ladder has a branch for each path.
fn several_paths() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let copied = std::process::Command::new("cp").arg("-r").arg(recording("hybrid")).arg(folder.path()).status();
    assert!(copied.is_ok_and(|status| status.success()));
    let root = folder.path().join("hybrid");
    let pids = root.join("self/root").join("sys/fs/cgroup/pids");
    std::fs::rename(pids.join("nsx-demo"), pids.join("else")).expect("renamed");
    let cgroup = std::fs::read_to_string(root.join("77/cgroup")).expect("cgroup");
    let elsewhere = cgroup.replace(":pids:/nsx-demo/child", ":pids:/else/child");
    assert_ne!(cgroup, elsewhere);
    std::fs::write(root.join("77/cgroup"), elsewhere).expect("written");
    let done = output(nsx(&["--proc-root"]).arg(&root).args(["cg", "path", "77"]));
    let printed = fit(&done.stdout);
    let rows: Vec<&str> = printed.lines().skip(1).collect();
    let begins = ["/ ", "├─else ", "│ └─child ", "└─nsx-demo ", "  └─child "];
    assert!(rows.len() == 5 && rows.iter().zip(begins).all(|(row, begin)| row.starts_with(begin)), "{printed}");
    assert!(rows[1].trim_end().ends_with(" 50*<") && rows[3].contains(" 64M*< "), "{printed}");
}

fn texts() {
    // An inode is that of a file here, and not of the kernel that was recorded.
    let tidy = |text: String| {
        let lines = text.lines().map(|line| match line.split_once(", inode ") {
            Some((before, after)) => {
                let after = after.trim_start_matches(|character: char| character.is_ascii_digit());
                format!("{before}, inode …{after}")
            }
            None => line.trim_end().to_owned(),
        });
        lines.fold(String::new(), |all, line| all + &line + "\n")
    };
    for (name, pid) in [("v2", "77"), ("v2", "78"), ("hybrid", "77")] {
        for command in ["show", "path"] {
            let printed = tidy(on(name, &[command, pid]));
            committed(&format!("tests/data/cgroup-text/{name}-{command}-{pid}.txt"), &printed, "cg_recorded");
        }
    }
    for name in ["v2", "hybrid"] {
        let printed = tidy(on(name, &["ls"]));
        committed(&format!("tests/data/cgroup-text/{name}-ls.txt"), &printed, "cg_recorded");
    }
}
