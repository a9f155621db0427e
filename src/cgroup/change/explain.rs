//! From a call that failed to what is in the way. The cgroups are asked at that moment: nothing is guessed from the errno alone.
//!
//! See cgroups(7) and `Documentation/admin-guide/cgroup-v2.rst`: "No Internal Process Constraint", "Delegation Containment", "Threads".

use std::ops::ControlFlow;

use super::error::{Cause, ChangeError, Intent};
use super::set::hierarchy_name;
use crate::cgroup::Home;
use crate::cgroup::at::{self, Cgroup, is_within};
use crate::cgroup::parse;
use crate::model::cgroup::{Bandwidth, Controller, Limit, Version};
use crate::proc::ProcPid;
use crate::sys::{Call, Errno, SysError};

/// So many of those that are in the way are named.
pub(super) const NAMED: usize = 8;

/// Explains why a knob could not be set. `asked` is the number that was, if it was one.
pub(crate) fn set(cgroup: &Cgroup<'_>, knob: &str, file: &str, asked: Option<u64>, error: SysError) -> ChangeError {
    let cause = match (error.errno, is_open(&error)) {
        (Errno::ENOENT, true) => no_file(cgroup, knob, file),
        (Errno::EBUSY, false) if file == "cgroup.subtree_control" => busy_subtree(cgroup, &error),
        (Errno::EAGAIN, false) if file == "memory.reclaim" => match cgroup.number("memory.current") {
            Some(used) => Cause::NotReclaimed { used },
            None => Cause::Unknown,
        },
        (Errno::EBUSY, false) if file.starts_with("memory.") => match cgroup.number("memory.usage_in_bytes").zip(asked)
        {
            Some((used, asked)) => Cause::Usage { used, asked },
            None => Cause::Unknown,
        },
        (Errno::EINVAL | Errno::EACCES | Errno::EBUSY | Errno::ERANGE, false) if is_list(file) => {
            list(cgroup, file, error.errno)
        }
        (Errno::EINVAL, false) if file.starts_with("cpu.cfs_") => bandwidth(cgroup, file, asked),
        (Errno::EINVAL, false) if cgroup.is_root() => Cause::Root,
        (Errno::EOPNOTSUPP, false) => kind(cgroup),
        (Errno::EPERM, false) if is_nsdelegate(cgroup) => Cause::Nsdelegate,
        (Errno::ENOENT | Errno::EINVAL, false) if file == "cgroup.subtree_control" => not_enabled_in(cgroup, &error),
        (errno, is_open) => common(cgroup, file, errno, is_open),
    };
    ChangeError::new(Intent::Set(knob.to_owned()), &cgroup.path, cause, Some(error))
}

/// Explains why a process could not be moved. `thread` is the file that threads are moved by, if it is one.
pub(super) fn moving(cgroup: &Cgroup<'_>, process: &ProcPid, file: &str, error: SysError) -> ChangeError {
    let v2 = cgroup.version() == Version::V2;
    let is_open = is_open(&error);
    let cause = match error.errno {
        Errno::ESRCH => Cause::ProcessGone,
        Errno::EBUSY if v2 => hands_on(cgroup),
        Errno::EOPNOTSUPP if v2 => kind(cgroup),
        Errno::ENOSPC if is_empty_cpuset(cgroup) => Cause::CpusetEmpty,
        Errno::EACCES if !is_open && v2 => common_ancestor(cgroup, process).unwrap_or(Cause::Unknown),
        Errno::EACCES if !is_open => others_process(process).unwrap_or(Cause::Unknown),
        Errno::EINVAL if is_kernel_thread(process) => Cause::KernelThread,
        Errno::EINVAL if is_real_time(process) => Cause::RealTime,
        _ if !process.is_alive() => Cause::ProcessGone,
        errno => common(cgroup, file, errno, is_open),
    };
    ChangeError::new(Intent::Move(process.pid.0), &cgroup.path, cause, Some(error))
}

/// Explains why a cgroup could not be made below another.
pub(crate) fn making(parent: &Cgroup<'_>, path: &[u8], error: SysError) -> ChangeError {
    let cause = match error.errno {
        Errno::EEXIST => Cause::Exists,
        Errno::EAGAIN => crowded(parent).unwrap_or(Cause::Unknown),
        // kernfs takes no newline; nothing else in a name is refused.
        Errno::EINVAL => Cause::Name("a name has no newline in it"),
        Errno::ENAMETOOLONG => Cause::Name("a name has 255 bytes at most"),
        Errno::ENOENT => Cause::CgroupGone,
        errno => common(parent, "", errno, true),
    };
    ChangeError::new(Intent::Create, path, cause, Some(error))
}

/// Explains why a cgroup could not be removed.
pub(super) fn removing(cgroup: &Cgroup<'_>, error: SysError) -> ChangeError {
    let cause = match error.errno {
        Errno::EBUSY => match (processes(cgroup), children(cgroup)) {
            (_, Some(children)) => children,
            (Some(processes), None) => processes,
            (None, None) => Cause::Unknown,
        },
        errno => match cgroup.parent() {
            Some(parent) => common(&parent, "", errno, true),
            None => Cause::Root,
        },
    };
    ChangeError::new(Intent::Remove, &cgroup.path, cause, Some(error))
}

/// Explains any other call on a file of a cgroup.
pub(super) fn file(intent: Intent, cgroup: &Cgroup<'_>, file: &str, error: SysError) -> ChangeError {
    let cause = match error.errno {
        Errno::EOPNOTSUPP => kind(cgroup),
        errno => common(cgroup, file, errno, is_open(&error)),
    };
    ChangeError::new(intent, &cgroup.path, cause, Some(error))
}

fn is_open(error: &SysError) -> bool {
    !matches!(error.call, Call::WriteText { .. })
}

fn common(cgroup: &Cgroup<'_>, file: &str, errno: Errno, is_open: bool) -> Cause {
    match errno {
        Errno::EROFS => Cause::ReadOnly(cgroup.opened().mount_point().unwrap_or_default().to_vec()),
        Errno::EACCES | Errno::EPERM if is_open || !cgroup.may_write(file) => {
            Cause::Denied { file: file.to_owned(), file_owner: cgroup.owner(file), owner: cgroup.owner("") }
        }
        Errno::ENOENT if is_open => Cause::NoFile(file.to_owned()),
        Errno::ENODEV if cgroup.owner("cgroup.procs").is_none() => Cause::CgroupGone,
        _ => Cause::Unknown,
    }
}

/// Finds out why a cgroup does not have the file of a knob.
fn no_file(cgroup: &Cgroup<'_>, knob: &str, file: &str) -> Cause {
    if cgroup.owner("cgroup.procs").is_none() {
        return Cause::CgroupGone;
    }
    let controller = knob.split('.').next().unwrap_or_default();
    let is_controller = Controller::from_name(controller.as_bytes()).is_some();
    if cgroup.version() == Version::V2 && is_controller && !has_controller(cgroup, controller) {
        if cgroup.is_threaded() {
            return Cause::Threaded;
        }
        if let Some(at) = cgroup.ancestors().find(|above| has_controller(above, controller)) {
            return Cause::NotEnabled { controller: controller.to_owned(), at: at.path.clone() };
        }
    }
    if cgroup.is_root() { Cause::Root } else { Cause::NoFile(file.to_owned()) }
}

/// Says whether a controller is available to a cgroup: its root has all of them.
pub(super) fn has_controller(cgroup: &Cgroup<'_>, controller: &str) -> bool {
    let is_it = |word: &[u8]| word == controller.as_bytes();
    cgroup.read("cgroup.controllers").is_ok_and(|text| parse::words(&text).any(is_it))
}

/// Says whether a cgroup hands a controller on.
pub(super) fn hands_on_controller(cgroup: &Cgroup<'_>, controller: &str) -> bool {
    let is_it = |word: &[u8]| word == controller.as_bytes();
    cgroup.read("cgroup.subtree_control").is_ok_and(|text| parse::words(&text).any(is_it))
}

/// A controller that is to be handed on is not there to be.
fn not_enabled_in(cgroup: &Cgroup<'_>, error: &SysError) -> Cause {
    let Call::WriteText { text, .. } = &error.call else { return Cause::Unknown };
    let wanted = parse::words(text).filter_map(|word| std::str::from_utf8(word.strip_prefix(b"+")?).ok());
    for name in wanted.filter(|name| !has_controller(cgroup, name)) {
        if let Some(at) = cgroup.ancestors().find(|above| has_controller(above, name)) {
            return Cause::NotEnabled { controller: name.to_owned(), at: at.path.clone() };
        }
        let Some(controller) = Controller::from_name(name.as_bytes()) else { continue };
        return match cgroup.cgroups().home(controller) {
            Home::Hierarchy(index) if index != cgroup.hierarchy => Cause::Elsewhere {
                controller,
                home: hierarchy_name(cgroup.cgroups(), index),
                mount: cgroup.cgroups().hierarchies[index].mount_point().unwrap_or_default().to_vec(),
            },
            Home::Hierarchy(_) => continue,
            home => Cause::Homeless(controller, home),
        };
    }
    Cause::Unknown
}

/// Who keeps controllers from being handed on, or from being taken back.
fn busy_subtree(cgroup: &Cgroup<'_>, error: &SysError) -> Cause {
    let Call::WriteText { text, .. } = &error.call else { return Cause::Unknown };
    let taken: Vec<&str> =
        parse::words(text).filter_map(|word| std::str::from_utf8(word.strip_prefix(b"-")?).ok()).collect();
    let mut below: Vec<Vec<u8>> = Vec::new();
    for path in cgroup.children().unwrap_or_default() {
        let Ok(child) = Cgroup::open(cgroup.cgroups(), cgroup.hierarchy, &path) else { continue };
        if taken.iter().any(|controller| hands_on_controller(&child, controller)) {
            below.push(path);
        }
    }
    if !below.is_empty() {
        below.truncate(NAMED);
        return Cause::HandedOnBelow(below);
    }
    processes(cgroup).unwrap_or(Cause::Unknown)
}

/// Returns the processes in a cgroup, if there are any.
pub(super) fn processes(cgroup: &Cgroup<'_>) -> Option<Cause> {
    let all = cgroup.processes().ok().filter(|all| !all.is_empty())?;
    let seen: Vec<u32> = all.iter().copied().filter(|&pid| pid != 0).collect();
    Some(Cause::Processes { count: seen.len(), pids: seen.into_iter().take(NAMED).collect() })
}

fn children(cgroup: &Cgroup<'_>) -> Option<Cause> {
    let mut paths = cgroup.children().ok().filter(|all| !all.is_empty())?;
    let count = paths.len();
    paths.truncate(NAMED);
    Some(Cause::Children { paths, count })
}

/// The rule of no internal processes, seen from below: controllers are handed on, and so nobody may be let in.
fn hands_on(cgroup: &Cgroup<'_>) -> Cause {
    let text = cgroup.read("cgroup.subtree_control").unwrap_or_default();
    if text.trim_ascii().is_empty() {
        return Cause::Unknown;
    }
    let words: Vec<String> = parse::words(&text).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let mut children = cgroup.children().unwrap_or_default();
    let is_leaf = |path: &Vec<u8>| {
        let Ok(child) = Cgroup::open(cgroup.cgroups(), cgroup.hierarchy, path) else { return false };
        child.read("cgroup.subtree_control").is_ok_and(|text| text.trim_ascii().is_empty())
    };
    children.retain(is_leaf);
    children.truncate(NAMED);
    Cause::HandsOn { controllers: words.join(", "), children }
}

/// What is not supported is so because of the type of the cgroup.
fn kind(cgroup: &Cgroup<'_>) -> Cause {
    let kind = cgroup.read("cgroup.type").unwrap_or_default();
    match kind.trim_ascii() {
        b"domain invalid" => Cause::DomainInvalid,
        b"threaded" => Cause::Threaded,
        // What hands on controllers of domains cannot become threaded, nor can anything below it.
        _ => Cause::Unknown,
    }
}

fn is_nsdelegate(cgroup: &Cgroup<'_>) -> bool {
    let mounts = &cgroup.opened().hierarchy.mounts;
    let delegates = mounts.iter().any(|mount| mount.options.iter().any(|option| option == b"nsdelegate"));
    delegates && cgroup.path == b"/" && !cgroup.is_root()
}

/// Returns the nearest cgroup above both of two.
pub(super) fn common_path<'p>(one: &'p [u8], other: &[u8]) -> &'p [u8] {
    let mut path = one;
    while !is_within(other, path) {
        path = at::parent_path(path).unwrap_or(b"/");
    }
    path
}

/// "Delegation Containment": who may not write to `cgroup.procs` of the nearest cgroup above both may not move a process between them.
fn common_ancestor(cgroup: &Cgroup<'_>, process: &ProcPid) -> Option<Cause> {
    let from = at::path_of(cgroup.cgroups(), process, cgroup.hierarchy).ok()??;
    let path = common_path(&cgroup.path, &from);
    let ancestor = Cgroup::open(cgroup.cgroups(), cgroup.hierarchy, path).ok()?;
    let cause = Cause::CommonAncestor { path: path.to_vec(), owner: ancestor.owner("cgroup.procs") };
    (!ancestor.may_write("cgroup.procs")).then_some(cause)
}

fn others_process(process: &ProcPid) -> Option<Cause> {
    Some(Cause::OthersProcess { uid: owner_of(process)? })
}

/// Returns the uid of a process.
pub(super) fn owner_of(process: &ProcPid) -> Option<u32> {
    let mut buffer = [0; 4096];
    let status = process.read(c"status", &mut buffer).ok()?;
    Some(crate::proc::parse::effective_uid(status)?.0)
}

/// Says whether a process has ended, and just nobody has waited for it yet.
pub(super) fn is_zombie(process: &ProcPid) -> bool {
    let stat = process.read_all(c"stat", 4096).unwrap_or_default();
    // What follows the name in parentheses cannot be forged.
    let after = stat.iter().rposition(|&byte| byte == b')').map_or(&[][..], |end| &stat[end + 1..]);
    parse::words(after).next() == Some(b"Z")
}

fn is_kernel_thread(process: &ProcPid) -> bool {
    process.stat(&mut [0; 1024]).is_ok_and(|stat| stat.kernel)
}

fn is_real_time(process: &ProcPid) -> bool {
    let stat = process.read_all(c"stat", 4096).unwrap_or_default();
    // What follows the name in parentheses cannot be forged. The policy is field 41: SCHED_FIFO or SCHED_RR.
    let after = stat.iter().rposition(|&byte| byte == b')').map_or(&[][..], |end| &stat[end + 1..]);
    parse::words(after).nth(38).and_then(parse::number).is_some_and(|policy| matches!(policy, 1 | 2))
}

fn is_empty_cpuset(cgroup: &Cgroup<'_>) -> bool {
    let is_empty = |file: &str| cgroup.read(file).is_ok_and(|text| text.trim_ascii().is_empty());
    is_empty("cpuset.cpus") || is_empty("cpuset.mems")
}

fn is_list(file: &str) -> bool {
    matches!(file, "cpuset.cpus" | "cpuset.mems")
}

fn list(cgroup: &Cgroup<'_>, file: &str, errno: Errno) -> Cause {
    let has = |of: &Cgroup<'_>| {
        let text = of.read(file).ok().filter(|text| !text.trim_ascii().is_empty());
        let effective = || of.read(&format!("{file}.effective")).ok();
        text.or_else(effective).map(|text| format!("{file} {}", String::from_utf8_lossy(text.trim_ascii())))
    };
    if errno == Errno::EBUSY {
        let children = cgroup.children().unwrap_or_default();
        let opened = children.iter().filter_map(|path| Cgroup::open(cgroup.cgroups(), cgroup.hierarchy, path).ok());
        return opened
            .filter_map(|child| Some(Cause::LessThanChild { has: has(&child)?, path: child.path.clone() }))
            .next()
            .unwrap_or(Cause::Unknown);
    }
    let parent = cgroup.parent();
    parent
        .and_then(|parent| Some(Cause::MoreThanParent { has: has(&parent)?, path: parent.path.clone() }))
        .unwrap_or(Cause::Unknown)
}

/// On v1 no cgroup may have more time on processors than the one above it, nor less than one below it.
fn bandwidth(cgroup: &Cgroup<'_>, file: &str, asked: Option<u64>) -> Cause {
    let of = |cgroup: &Cgroup<'_>| -> Option<Bandwidth> {
        parse::bandwidth_v1(&cgroup.read("cpu.cfs_quota_us").ok()?, &cgroup.read("cpu.cfs_period_us").ok()?)
    };
    let Some(mut wanted) = of(cgroup) else { return Cause::Unknown };
    match (file, asked) {
        ("cpu.cfs_quota_us", quota) => wanted.quota_usec = quota.map_or(Limit::Max, Limit::Value),
        (_, Some(period)) => wanted.period_usec = period,
        _ => {}
    }
    let has = |found: Bandwidth| {
        let quota = found.quota_usec.value().map_or_else(|| "max".to_owned(), |quota| quota.to_string());
        format!("cpu.max {quota} {}", found.period_usec)
    };
    if cgroup.is_root() {
        return Cause::Root;
    }
    for above in cgroup.ancestors() {
        if let Some(found) = of(&above).filter(|found| found.millicpus() < wanted.millicpus()) {
            return Cause::MoreThanParent { has: has(found), path: above.path.clone() };
        }
    }
    let more = |below: &Cgroup<'_>| {
        let found = of(below).filter(|found| found.quota_usec != Limit::Max && found.millicpus() > wanted.millicpus());
        match found.filter(|_| below.path != cgroup.path) {
            Some(found) => ControlFlow::Break(Cause::LessThanChild { has: has(found), path: below.path.clone() }),
            None => ControlFlow::Continue(()),
        }
    };
    cgroup.walk(at::Order::AboveFirst, more).ok().flatten().unwrap_or(Cause::Unknown)
}

/// Finds the cgroup that allows no more cgroups below it.
fn crowded(parent: &Cgroup<'_>) -> Option<Cause> {
    let mut depth = 1;
    let mut next = Cgroup::open(parent.cgroups(), parent.hierarchy, &parent.path).ok();
    while let Some(cgroup) = next {
        let limit = |file: &'static str| Some((file, cgroup.number(file)?));
        let full = |(file, limit): &(&'static str, u64)| match *file {
            "cgroup.max.depth" => depth > *limit,
            _ => cgroup.keyed("cgroup.stat", "nr_descendants").is_some_and(|count| count >= *limit),
        };
        let found = [limit("cgroup.max.descendants"), limit("cgroup.max.depth")].into_iter().flatten().find(full);
        if let Some((file, limit)) = found {
            return Some(Cause::Crowded { path: cgroup.path.clone(), file, limit });
        }
        depth += 1;
        next = cgroup.parent();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_above_both_may_be_one_of_them() {
        for (one, other, common) in [
            ("/a/b", "/a/c", "/a"),
            ("/a", "/a/c", "/a"),
            ("/a/c", "/a", "/a"),
            ("/a", "/b", "/"),
            ("/ab", "/a", "/"),
            ("/", "/a", "/"),
        ] {
            assert_eq!(common_path(one.as_bytes(), other.as_bytes()), common.as_bytes(), "{one} {other}");
        }
    }
}
