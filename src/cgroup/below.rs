//! Reading what `why` is asked about: the cgroups on the way, those below in which something was counted, and those beside that use up what
//! little is left.
//!
//! How much is read is bounded, whatever the host has. Not here: what it means (`cgroup::why`).

use std::ffi::CString;
use std::os::fd::AsFd;

use super::effective::{Binder, effective};
use super::files::Files;
use super::host::{Cgroups, Home, MOST_BYTES, Opened};
use super::ladder::{Ladder, Level, Seen, Subject};
use super::parse;
use super::why::{Facts, MAIN, Nearby, Reading, Refusal};
use crate::model::cgroup::{Controller, Limit, Version};
use crate::sys::dir::{self, DirReader};
use crate::sys::{Errno, cgroupfs};

/// No more cgroups below are looked at: each takes some twenty microseconds.
const MOST: usize = 10_000;

/// No more cgroups beside each other are looked at.
const MOST_BESIDE: usize = 1000;

/// The counters that are looked for below, of memory and of tasks, and the limits that are read where one of them has counted something.
const FILES_V2: [&[&str]; 2] = [
    &["memory.events", "memory.events.local", "pids.events", "pids.events.local"],
    &["memory.max", "pids.max", "pids.current"],
];

/// The same for v1, where each counts for itself alone.
const FILES_V1: [&[&str]; 2] = [
    &["memory.oom_control", "memory.failcnt", "memory.memsw.failcnt", "pids.events"],
    &["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "pids.max", "pids.current"],
];

impl Facts {
    /// Finds out what there is to know of the host and of what the caller may do. A captured tree is nobody's to change.
    pub fn read(cgroups: &Cgroups, subject: &Subject, live: bool) -> Facts {
        let homes = Controller::ALL.into_iter().map(|controller| (controller, cgroups.home(controller))).collect();
        let mut refusals = Vec::new();
        for ladder in subject.ladders.iter().filter(|ladder| live && ladder.seen == Seen::Whole) {
            refusals.extend(refusal(cgroups, ladder));
        }
        let hierarchies = cgroups.hierarchies.iter().map(|opened| opened.hierarchy.clone()).collect();
        Facts { hierarchies, homes, host: cgroups.host.clone(), refusals }
    }
}

fn refusal(cgroups: &Cgroups, ladder: &Ladder) -> Option<Refusal> {
    let opened = &cgroups.hierarchies[ladder.hierarchy];
    let hierarchy = &opened.hierarchy;
    if !hierarchy.controllers.iter().any(|controller| MAIN.contains(controller)) {
        return None;
    }
    let directory = opened.open(&ladder.path).ok()?;
    let files: &[_] = match hierarchy.version {
        Version::V2 => {
            &[(".", c"."), ("cgroup.procs", c"cgroup.procs"), ("cgroup.subtree_control", c"cgroup.subtree_control")]
        }
        Version::V1 => &[(".", c"."), ("cgroup.procs", c"cgroup.procs")],
    };
    let refused = files.iter().filter(|(_, name)| !cgroupfs::may_write(directory.as_fd(), name));
    let names: Vec<&str> = refused.map(|(name, _)| *name).collect();
    (!names.is_empty()).then_some(Refusal { hierarchy: ladder.hierarchy, names })
}

impl Reading {
    /// Looks around a subject that was just read.
    pub fn around(cgroups: &Cgroups, subject: Subject) -> Reading {
        let mut reading = Reading { subject, below: Vec::new(), beside: Vec::new(), cut: false };
        let mut homes: Vec<usize> = [Controller::Memory, Controller::Pids]
            .into_iter()
            .filter_map(|controller| match cgroups.home(controller) {
                Home::Hierarchy(index) => Some(index),
                _ => None,
            })
            .collect();
        homes.dedup();
        let mut reader = DirReader::new(16);
        for hierarchy in homes {
            let Some(ladder) = reading.subject.ladder(hierarchy) else { continue };
            if !has_below(ladder, reading.subject.pid.is_some()) {
                continue;
            }
            let prunes = prunes(&cgroups.hierarchies[hierarchy], ladder);
            let (below, cut) = walk(&cgroups.hierarchies[hierarchy], &ladder.path, prunes, &mut reader);
            reading.below.extend(below.into_iter().map(|level| Nearby { hierarchy, level }));
            reading.cut |= cut;
        }
        reading.beside = beside(cgroups, &reading.subject, &mut reader);
        reading
    }
}

/// Says whether what is below has to do with it. Below a process in the root is everything else on the host.
fn has_below(ladder: &Ladder, is_process: bool) -> bool {
    let Some(last) = ladder.leaf() else { return false };
    if last.files.version == Version::V1 || last.files.is_root() {
        return !(is_process && last.files.is_root());
    }
    let more_than_local = |file: &str, key: &str| {
        let all = last.files.keyed(file, key).unwrap_or_default();
        all > last.files.keyed(&format!("{file}.local"), key).unwrap_or_default()
    };
    // Where there is no count of all, each has to be asked.
    let is_counted = last.files.get("memory.events").is_some() && last.files.get("pids.events.local").is_some();
    !is_counted || more_than_local("memory.events", "oom_kill") || more_than_local("pids.events", "max")
}

/// Says whether counters of a cgroup count what happens below, so that those of whom they count nothing can be passed over.
fn prunes(opened: &Opened, ladder: &Ladder) -> bool {
    let local = |mount: &super::layout::Mount| {
        mount.options.iter().any(|option| matches!(&option[..], b"memory_localevents" | b"pids_localevents"))
    };
    let Some(last) = ladder.levels.last() else { return false };
    let pids_count = last.files.get("pids.events").is_none() || last.files.get("pids.events.local").is_some();
    last.files.version == Version::V2
        && !last.files.is_root()
        && pids_count
        && !opened.hierarchy.mounts.iter().any(local)
}

/// Looks at the cgroups below one, parents first; those that have counted nothing are left out. Says whether there are more.
fn walk(opened: &Opened, start: &[u8], prunes: bool, reader: &mut DirReader) -> (Vec<Level>, bool) {
    let mut found = Vec::new();
    let mut looked_at = 0;
    let [counters, limits] = if opened.hierarchy.version == Version::V2 { FILES_V2 } else { FILES_V1 };
    let mut waiting = vec![start.to_vec()];
    while let Some(path) = waiting.pop() {
        // One that goes meanwhile has nothing to say any more.
        let Ok(directory) = opened.open(&path) else { continue };
        if path != start {
            if looked_at == MOST {
                return (found, true);
            }
            looked_at += 1;
            let mut level = Level { path: path.clone(), inode: None, files: Files::new(opened.hierarchy.version) };
            level.inode = cgroupfs::directory(directory.as_fd()).ok().map(|directory| directory.inode);
            let read = |names: &[&str], files: &mut Files| {
                for name in names {
                    let Ok(c_name) = CString::new(*name) else { continue };
                    if let Ok(content) = dir::read_whole(directory.as_fd(), &c_name, MOST_BYTES) {
                        files.insert(name, content);
                    }
                }
            };
            read(counters, &mut level.files);
            if has_counted(&level.files) {
                read(limits, &mut level.files);
                found.push(level);
            } else if prunes {
                continue;
            }
        }
        if cgroupfs::directory(directory.as_fd()).is_ok_and(|directory| directory.children == Some(0)) {
            continue;
        }
        let children = children(reader, directory.as_fd(), &path).unwrap_or_default();
        waiting.extend(children);
    }
    (found, false)
}

fn children(
    reader: &mut DirReader,
    directory: std::os::fd::BorrowedFd<'_>,
    path: &[u8],
) -> Result<Vec<Vec<u8>>, Errno> {
    let mut children = Vec::new();
    let base = if path == b"/" { b"" } else { path };
    cgroupfs::subdirectories(reader, directory, |name| {
        if !matches!(name.to_bytes(), b"." | b"..") {
            children.push([base, b"/", name.to_bytes()].concat());
        }
    })?;
    Ok(children)
}

fn has_counted(files: &Files) -> bool {
    let counted =
        |file: &str, keys: &[&str]| keys.iter().any(|key| files.keyed(file, key).is_some_and(|count| count > 0));
    counted("memory.events", &["oom", "oom_kill"])
        || counted("memory.events.local", &["oom", "oom_kill"])
        || counted("memory.oom_control", &["oom_kill"])
        || files.number("memory.failcnt").is_some_and(|count| count > 0)
        || files.number("memory.memsw.failcnt").is_some_and(|count| count > 0)
        || counted("pids.events", &["max"])
        || counted("pids.events.local", &["max"])
}

/// Where a limit above has little left, whoever else is below it uses it up, too. Those that use the most are returned.
fn beside(cgroups: &Cgroups, subject: &Subject, reader: &mut DirReader) -> Vec<Nearby> {
    /// So many are enough to see who it is.
    const LARGEST: usize = 3;
    let mut all = Vec::new();
    for one in effective(cgroups, subject) {
        let is_asked = matches!(one.knob.name, "memory.max" | "memory.memsw.max" | "memory.swap.max" | "pids.max");
        let (true, Some(Limit::Value(left)), Some(Binder::Level(level))) =
            (is_asked, one.headroom.limit, one.headroom.by)
        else {
            continue;
        };
        let limit = one.steps.get(level).and_then(|step| step.limit?.value()).unwrap_or_default();
        let Some(ladder) = subject.ladder(one.hierarchy).filter(|ladder| level + 1 < ladder.levels.len()) else {
            continue;
        };
        if limit == 0 || left >= limit / 20 {
            continue;
        }
        let usage = match (ladder.levels[level].files.version, one.knob.v1) {
            (Version::V1, Some(v1)) => v1.usage,
            _ => one.knob.usage,
        };
        let Some(usage) = usage else { continue };
        let opened = &cgroups.hierarchies[one.hierarchy];
        let mut siblings = users(opened, &ladder.levels[level].path, usage, reader).unwrap_or_default();
        siblings.retain(|(_, sibling)| sibling.path != ladder.levels[level + 1].path);
        siblings.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        all.extend(siblings.into_iter().take(LARGEST).map(|(_, level)| Nearby { hierarchy: one.hierarchy, level }));
    }
    all
}

/// Returns the children of a cgroup, with how much each uses.
fn users(opened: &Opened, path: &[u8], usage: &str, reader: &mut DirReader) -> Result<Vec<(u64, Level)>, Errno> {
    let directory = opened.open(path)?;
    let name = CString::new(usage).map_err(|_| Errno::ENOENT)?;
    let mut users = Vec::new();
    for path in children(reader, directory.as_fd(), path)?.into_iter().take(MOST_BESIDE) {
        let Ok(child) = opened.open(&path) else { continue };
        let Ok(content) = dir::read_whole(child.as_fd(), &name, MOST_BYTES) else { continue };
        let Some(used) = parse::number(&content) else { continue };
        let mut files = Files::new(opened.hierarchy.version);
        files.insert(usage, content);
        users.push((used, Level { path, inode: None, files }));
    }
    Ok(users)
}
