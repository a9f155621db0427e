//! What is shown held against the files it comes from, and each command against the others.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde_json::{Value, json};

use super::{RECORDINGS, all, bytes, directory, document, entries, find, lowest, on, recording};

pub(super) fn kernel() {
    let mut compared = (0, 0);
    for (name, pid, shown) in all() {
        for one in entries(&shown, "limits") {
            let context = format!("{name}/{pid} {one:#}");
            if one["bound_kind"] == "host" {
                // The kernel speaks of cgroups only.
                assert!(matches!(&one["kernel"], Value::Null | Value::String(_)), "{context}");
            } else if !one["kernel"].is_null() {
                assert_eq!(one["kernel"], one["effective"], "{context}");
                compared.0 += 1;
            }
            let is_v1 = one["file"].as_str().is_some_and(|file| file.ends_with("limit_in_bytes"));
            if is_v1 && one["controller"] == "memory" && one["knob"] == "memory.max" {
                assert!(!one["kernel"].is_null(), "v1 always says it: {context}");
            }
            let Some(list) = one["effective_list"].as_str() else { continue };
            let home = entries(&shown, "cgroups").iter().find(|cgroup| cgroup["hierarchy"] == one["hierarchy"]);
            let path = bytes(home.expect("its ladder"), "path").expect("a path");
            let knob = one["knob"].as_str().expect("a name");
            let v1 = knob.replace("cpuset.", "cpuset.effective_");
            let said = [format!("{knob}.effective"), v1]
                .iter()
                .find_map(|file| lowest(name, &shown, &one["hierarchy"], &path, file));
            assert_eq!(said.map(|(_, text)| text).as_deref(), Some(list), "{context}");
            compared.1 += 1;
        }
    }
    // All that have v1 have a limit on memory, and on memory with swap; all but two recordings have a cpuset.
    assert!(compared.0 >= 8 && compared.1 >= 16, "{compared:?}");
}

/// Compares all counters, and makes sure that none which a file has is left out.
pub(super) fn counters() {
    let mut compared = 0;
    for (name, pid, shown) in all() {
        for event in entries(&shown, "events") {
            let path = bytes(event, "path").expect("a path");
            let file =
                directory(name, &shown, &event["hierarchy"], &path).join(event["file"].as_str().expect("a file"));
            let content = String::from_utf8_lossy(&std::fs::read(&file).expect("the file")).into_owned();
            let said = match event["key"].as_str() {
                None => content.trim().parse::<u64>().ok(),
                Some(key) => content.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok()),
            };
            assert_eq!(said, event["value"].as_u64(), "{name}/{pid}: {event}");
            compared += 1;
        }
        let Some(leaf) = entries(&shown, "cgroups").iter().find(|cgroup| cgroup["hierarchy"] == 0) else { continue };
        if leaf["seen"] != "whole" {
            continue;
        }
        let leaf = bytes(leaf, "path").expect("a path");
        for file in ["memory.events", "memory.events.local", "pids.events", "pids.events.local"] {
            let content = std::fs::read(directory(name, &shown, &json!(0), &leaf).join(file)).unwrap_or_default();
            for line in String::from_utf8_lossy(&content).lines() {
                let Some((key, number)) = line.split_once(' ') else { continue };
                let is_it = |one: &Value| {
                    one["file"] == file && one["key"] == key && bytes(one, "path").as_deref() == Some(&leaf[..])
                };
                // Broken lines are in one recording on purpose.
                if number.parse::<u64>().is_ok() && name != "hostile" {
                    assert!(entries(&shown, "events").iter().any(is_it), "{name}/{pid}: {file} {line} is left out");
                }
            }
        }
    }
    assert!(compared > 300, "{compared}");
}

/// The paths are what `/proc/PID/cgroup` says, byte for byte, and the rows of the ladder lead there.
pub(super) fn paths() {
    for (name, pid, shown) in all() {
        let said = std::fs::read(recording(name).join(pid).join("cgroup")).expect("cgroup");
        let lines = said.split(|&byte| byte == b'\n').filter_map(|line| {
            let mut fields = line.splitn(3, |&byte| byte == b':');
            let id: u32 = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            Some((id, fields.nth(1)?.to_vec()))
        });
        let mut lines: Vec<(u32, Vec<u8>)> = lines.collect();
        lines.sort();
        let cgroups = entries(&shown, "cgroups").iter();
        let found: Vec<(u32, Vec<u8>)> = cgroups
            .map(|one| (one["hierarchy"].as_u64().expect("a number") as u32, bytes(one, "path").expect("a path")))
            .collect();
        assert_eq!(found, lines, "{name}/{pid}");
        let ladder = document(&on(name, &["path", "--json", pid]));
        assert_eq!(ladder["cgroups"], shown["cgroups"], "{name}/{pid}");
        let rows: Vec<Vec<u8>> = entries(&ladder, "rows").iter().filter_map(|row| bytes(row, "path")).collect();
        for cgroup in entries(&shown, "cgroups").iter().filter(|cgroup| cgroup["seen"] == "whole") {
            let path = bytes(cgroup, "path").expect("a path");
            assert!(rows.contains(&path), "{name}/{pid}");
            let there = directory(name, &shown, &cgroup["hierarchy"], &path);
            let told = bytes(cgroup, "directory").expect("a directory");
            let told = recording(name).join("self/root").join(OsStr::from_bytes(&told[1..]));
            assert!(
                there.is_dir() && std::fs::canonicalize(&there).ok() == std::fs::canonicalize(told).ok(),
                "{there:?}"
            );
        }
    }
}

/// `nsx cg path` has the same limits as `nsx cg show`, and each mark is at the cgroup that show names.
pub(super) fn ladder() {
    for (name, pid, shown) in all() {
        let ladder = document(&on(name, &["path", "--json", pid]));
        for column in entries(&ladder, "limits") {
            let knob = column["knob"].as_str().expect("a name");
            let one = find(&shown, knob, column["key"].as_str()).expect("the same knobs");
            for key in [
                "hierarchy",
                "unit",
                "effective",
                "bound_by",
                "bound_kind",
                "headroom",
                "headroom_bound_by",
                "headroom_bound_kind",
            ] {
                assert_eq!(column[key], one[key], "{name}/{pid} {knob}: {key}");
            }
            let marked = |mark: &str| -> Vec<Vec<u8>> {
                let is_marked =
                    |step: &Value| step["knob"] == knob && step["key"] == column["key"] && step[mark] == true;
                let rows = entries(&ladder, "rows").iter();
                rows.filter(|row| entries(row, "limits").iter().any(is_marked))
                    .filter_map(|row| bytes(row, "path"))
                    .collect()
            };
            let by = |key: &str| bytes(one, key).into_iter().collect::<Vec<_>>();
            assert_eq!(marked("binds"), by("bound_by"), "{name}/{pid} {knob}");
            assert_eq!(marked("binds_headroom"), by("headroom_bound_by"), "{name}/{pid} {knob}");
        }
    }
}

/// What `nsx cg ls` says of each cgroup is what `nsx cg show` says of it.
pub(super) fn list() {
    for (name, _) in RECORDINGS {
        let listed = document(&on(name, &["ls", "--json"]));
        assert_eq!(listed["gaps"], json!([]), "{name}");
        for group in entries(&listed, "cgroups") {
            let path = bytes(group, "path").expect("a path");
            let target = OsString::from_vec([b"cgroup:", &path[..]].concat());
            let shown = document(&on(name, &[OsStr::new("show"), OsStr::new("--json"), &target]));
            let context = format!("{name} {target:?}");
            let hierarchies: Vec<&Value> = entries(&shown, "cgroups").iter().map(|one| &one["hierarchy"]).collect();
            assert_eq!(json!(hierarchies), group["hierarchies"], "{context}");
            for (knob, effective, by, kind) in [
                ("memory.max", "memory_effective", "memory_bound_by", "memory_bound_kind"),
                ("cpu.max", "cpu_effective_millicpus", "cpu_bound_by", "cpu_bound_kind"),
                ("pids.max", "pids_effective", "pids_bound_by", "pids_bound_kind"),
            ] {
                // Where no cgroup sets it, the list says what the host has.
                let Some(one) = find(&shown, knob, None) else { continue };
                assert_eq!(group[effective], one["effective"], "{context}: {knob}");
                assert_eq!((&group[by], &group[kind]), (&one["bound_by"], &one["bound_kind"]), "{context}: {knob}");
            }
            let by_any = entries(&shown, "cgroups").iter().any(|one| one["frozen"] == true);
            assert_eq!(group["frozen"] == true, by_any, "{context}");
            let throttled = entries(&shown, "events").iter().find(|one| {
                one["file"] == "cpu.stat" && one["key"] == "nr_throttled" && bytes(one, "path").as_ref() == Some(&path)
            });
            assert_eq!(group["nr_throttled"], throttled.map_or(Value::Null, |one| one["value"].clone()), "{context}");
        }
    }
}

/// All cgroups of the recording are listed, each with those in its `cgroup.procs`.
pub(super) fn members() {
    for (name, _) in RECORDINGS {
        let listed = document(&on(name, &["ls", "--json", "--procs"]));
        let mut directories = 0;
        for group in entries(&listed, "cgroups") {
            let mut pids: Vec<u32> = Vec::new();
            for hierarchy in entries(group, "hierarchies") {
                let folder = directory(name, &listed, hierarchy, &bytes(group, "path").expect("a path"));
                directories += 1;
                let procs = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                pids.extend(procs.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|&pid| pid != 0));
            }
            pids.sort_unstable();
            pids.dedup();
            let context = format!("{name} {}", group["path"]);
            // Of a threaded cgroup the kernel tells the threads only.
            if name != "v2-6.1" || group["path"] != "/threads/a" {
                assert_eq!(group["pids"], json!(pids), "{context}");
                assert_eq!(group["nprocs"], json!(pids.len()), "{context}");
            }
        }
        let mut folders = vec![recording(name).join("self/root")];
        let mut there = 0;
        while let Some(folder) = folders.pop() {
            let below = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
            there += usize::from(folder.join("cgroup.procs").exists() || folder.join("cgroup.type").exists());
            folders.extend(below.filter(|path| path.is_dir()));
        }
        assert!(there > 0 && directories == there, "{name}: {directories} of {there} are listed");
    }
}
