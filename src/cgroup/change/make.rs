//! Making cgroups, with all that has to be there before they can be used, and removing them when nobody is in them.
//!
//! On v2 a knob exists only where every cgroup above hands its controller on; on v1 a new cpuset has no processors and no memory nodes,
//! so that nobody could be moved into it. Both are seen to. Whatever was made is removed again where something is refused.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::error::{Cause, ChangeError, Intent};
use super::set::{self, Places};
use super::value::Asked;
use super::{Action, Change, Log, explain};
use crate::cgroup::at::{self, Cgroup, Order, base_name, parent_path};
use crate::cgroup::{Cgroups, Home};
use crate::model::cgroup::{Controller, Version};
use crate::sys::{Errno, cgroupfs};

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its path.
    pub path: Vec<u8>,
    /// The one hierarchy that it is for, where a directory was named.
    pub only: Option<usize>,
    /// Whether those above it are made, too, and it may be there already.
    pub parents: bool,
    /// The controllers that it is to have.
    pub controllers: Vec<Controller>,
    /// What is set in it.
    pub asked: Vec<Asked>,
}

/// Says why there can be no cgroup with this path.
///
/// # Errors
/// What is wrong with it.
pub fn check_path(path: &[u8]) -> Result<(), Cause> {
    if path == b"/" {
        return Err(Cause::Root);
    }
    let names = path.strip_prefix(b"/").ok_or(Cause::Name("a path begins with a slash"))?;
    names.split(|&byte| byte == b'/').try_for_each(|name| {
        Err(Cause::Name(match name {
            b"" => "a name has at least one character",
            b"." | b".." => "no cgroup is called . or ..",
            _ if name.contains(&b'\n') => "a name has no newline in it",
            _ if name.contains(&0) => "a name has no NUL in it",
            _ if name.len() > 255 => "a name has 255 bytes at most",
            _ => return Ok(()),
        }))
    })
}

/// Chooses the hierarchies to make a cgroup in: the one that was named; else the homes of the controllers that are needed; else v2 where
/// it has memory, cpu or pids; else every hierarchy of v1 that has a controller, and the cgroup above it if any of them has that.
///
/// # Errors
/// Where a controller has no home.
pub fn hierarchies(cgroups: &Cgroups, wanted: &Wanted) -> Result<Vec<usize>, Cause> {
    if let Some(only) = wanted.only {
        wanted.controllers.iter().try_for_each(|controller| at_home(cgroups, wanted, only, *controller))?;
        return Ok(vec![only]);
    }
    let mut needed: Vec<Controller> = wanted.controllers.clone();
    needed.extend(wanted.asked.iter().filter_map(Asked::controller));
    if !needed.is_empty() {
        let mut all = Vec::new();
        for controller in needed {
            match cgroups.home(controller) {
                Home::Hierarchy(index) => all.push(index),
                home => return Err(Cause::Homeless(controller, home)),
            }
        }
        all.sort_unstable();
        all.dedup();
        return Ok(all);
    }
    let main = [Controller::Memory, Controller::Cpu, Controller::Pids];
    let is_home = |index: usize| main.iter().any(|one| cgroups.hierarchies[index].hierarchy.controllers.contains(one));
    let core = wanted.asked.iter().any(|asked| asked.knob.starts_with("cgroup."));
    if let Some(unified) = cgroups.unified().filter(|&index| core || is_home(index)) {
        return Ok(vec![unified]);
    }
    let is_used = |index: &usize| {
        let opened = &cgroups.hierarchies[*index];
        let v1 = opened.hierarchy.version == Version::V1;
        opened.top().is_some() && v1 && !opened.hierarchy.controllers.is_empty()
    };
    let mut all: Vec<usize> = (0..cgroups.hierarchies.len()).filter(is_used).chain(cgroups.unified()).collect();
    // Where the one above it is missing, nobody wants it.
    let above = parent_path(&wanted.path).unwrap_or(b"/");
    let has_above = |index: &usize| Cgroup::open(cgroups, *index, above).is_ok();
    if !wanted.parents && all.iter().any(has_above) {
        all.retain(has_above);
    }
    match all[..] {
        [] => Err(Cause::NoHierarchy("no hierarchy is mounted here")),
        // v2 without controllers is better than nothing, and no companion for those that have some.
        [.., last] if all.len() > 1 && Some(last) == cgroups.unified() => Ok(all[..all.len() - 1].to_vec()),
        _ => Ok(all),
    }
}

/// Makes sure that a cgroup in this hierarchy can have a controller.
fn at_home(cgroups: &Cgroups, wanted: &Wanted, only: usize, controller: Controller) -> Result<(), Cause> {
    let opened = &cgroups.hierarchies[only];
    let is_core = opened.hierarchy.version == Version::V2 && controller.is_core_on_v2();
    match cgroups.home(controller) {
        Home::Hierarchy(index) if index != only && !is_core => Err(Cause::Elsewhere {
            controller,
            home: set::hierarchy_name(cgroups, index),
            mount: cgroups.hierarchies[index].directory(&wanted.path).unwrap_or_default(),
        }),
        Home::Hierarchy(_) => Ok(()),
        _ if is_core => Ok(()),
        home => Err(Cause::Homeless(controller, home)),
    }
}

/// Makes a cgroup, and sets its knobs.
///
/// # Errors
/// What the kernel says, with what is in the way. Then nothing is left of it.
pub fn create(cgroups: &Cgroups, wanted: &Wanted, log: &mut Log) -> Result<(), ChangeError> {
    let refused = |cause| ChangeError::new(Intent::Create, &wanted.path, cause, None);
    check_path(&wanted.path).map_err(refused)?;
    let hierarchies = hierarchies(cgroups, wanted).map_err(refused)?;
    let mut made = Made { paths: Vec::new(), enabled: Vec::new() };
    let result = make_all(cgroups, wanted, &hierarchies, &mut made, log);
    if log.dry {
        return result;
    }
    result.map_err(|error| {
        made.undo(cgroups);
        log.changes.clear();
        ChangeError { done: Vec::new(), ..error }
    })
}

/// What was made on the way, to be undone.
struct Made {
    paths: Vec<(usize, Vec<u8>)>,
    enabled: Vec<(usize, Vec<u8>, String)>,
}

impl Made {
    fn undo(&self, cgroups: &Cgroups) {
        // Whatever somebody has begun to use meanwhile stays.
        for (hierarchy, path) in self.paths.iter().rev() {
            if let Some(parent) = parent_path(path).and_then(|above| Cgroup::open(cgroups, *hierarchy, above).ok()) {
                let _ = parent.remove(base_name(path));
            }
        }
        for (hierarchy, path, controller) in self.enabled.iter().rev() {
            if let Ok(cgroup) = Cgroup::open(cgroups, *hierarchy, path) {
                let _ = cgroup.write("cgroup.subtree_control", format!("-{controller}").as_bytes());
            }
        }
    }
}

fn make_all(
    cgroups: &Cgroups,
    wanted: &Wanted,
    hierarchies: &[usize],
    made: &mut Made,
    log: &mut Log,
) -> Result<(), ChangeError> {
    let mut places = Places { all: Vec::new(), path: wanted.path.clone() };
    for &hierarchy in hierarchies {
        make_path(cgroups, wanted, hierarchy, made, log)?;
        if cgroups.hierarchies[hierarchy].hierarchy.version == Version::V2 {
            enable(cgroups, wanted, hierarchy, made, log)?;
        }
        places.all.push((hierarchy, wanted.path.clone()));
    }
    if log.dry {
        // What is not there yet cannot be asked.
        for asked in &wanted.asked {
            let hierarchy = asked.controller().map_or(Home::Hierarchy(hierarchies[0]), |one| cgroups.home(one));
            let Home::Hierarchy(hierarchy) = hierarchy else { continue };
            let version = cgroups.hierarchies[hierarchy].hierarchy.version;
            let now = crate::cgroup::Files::new(version);
            let refused = |cause| ChangeError::new(Intent::Set(asked.knob.clone()), &wanted.path, cause, None);
            for write in super::translate::writes(version, std::slice::from_ref(asked), &now).map_err(refused)? {
                log.add(Change {
                    knob: Some(write.knob),
                    file: Some(write.file),
                    asked: Some(write.text.into_bytes()),
                    ..Change::at(Action::Set, hierarchy, &wanted.path)
                });
            }
        }
        return Ok(());
    }
    let planned = set::plan(cgroups, &places, &wanted.asked)?;
    set::apply(&planned, log)
}

/// Makes the cgroup in one hierarchy, with those above it where that is wanted.
fn make_path(
    cgroups: &Cgroups,
    wanted: &Wanted,
    hierarchy: usize,
    made: &mut Made,
    log: &mut Log,
) -> Result<(), ChangeError> {
    let opened = &cgroups.hierarchies[hierarchy];
    let failed = |cause, error| ChangeError::new(Intent::Create, &wanted.path, cause, error);
    if opened.below_top(&wanted.path).is_none_or(<[u8]>::is_empty) {
        return Err(failed(Cause::NoHierarchy("it lies outside of what is mounted here"), None));
    }
    let ends = wanted.path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
    let mut above =
        Cgroup::open(cgroups, hierarchy, opened.top_path()).map_err(|error| failed(Cause::Unknown, Some(error)))?;
    for end in ends.chain([wanted.path.len()]).filter(|&end| end > above_len(opened.top_path())) {
        let path = &wanted.path[..end];
        let is_last = end == wanted.path.len();
        match Cgroup::open(cgroups, hierarchy, path) {
            Ok(_) if is_last && !wanted.parents => return Err(failed(Cause::Exists, None)),
            Ok(there) => {
                above = there;
                continue;
            }
            Err(error) if error.errno == Errno::ENOENT && (is_last || wanted.parents) => {}
            Err(error) if error.errno == Errno::ENOENT => {
                let hierarchy = set::hierarchy_name(cgroups, hierarchy);
                return Err(failed(Cause::NoParent { path: path.to_vec(), hierarchy }, None));
            }
            Err(error) => return Err(failed(Cause::Unknown, Some(error))),
        }
        let mut change = Change::at(Action::Create, hierarchy, path);
        if log.dry {
            log.add(change);
            continue;
        }
        match above.make(base_name(path)) {
            Ok(()) => made.paths.push((hierarchy, path.to_vec())),
            // Somebody else was quicker.
            Err(error) if error.errno == Errno::EEXIST && (!is_last || wanted.parents) => change.idle = true,
            Err(error) => return Err(explain::making(&above, path, error)),
        }
        let new = Cgroup::open(cgroups, hierarchy, path).map_err(|error| failed(Cause::CgroupGone, Some(error)))?;
        change.confirmed = true;
        log.add(change);
        inherit_cpuset(&above, &new, log)?;
        above = new;
    }
    Ok(())
}

fn above_len(top: &[u8]) -> usize {
    if top == b"/" { 0 } else { top.len() }
}

/// Copies processors and memory nodes from the cgroup above, on v1 and where it has some.
fn inherit_cpuset(above: &Cgroup<'_>, new: &Cgroup<'_>, log: &mut Log) -> Result<(), ChangeError> {
    if new.version() == Version::V2 || !new.has("cpuset.cpus") {
        return Ok(());
    }
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let text = |cgroup: &Cgroup<'_>| cgroup.read(file).map(|text| text.trim_ascii().to_vec()).unwrap_or_default();
        let (has, wanted) = (text(new), text(above));
        // cgroup.clone_children of the one above may have seen to it.
        if !has.is_empty() || wanted.is_empty() {
            continue;
        }
        new.write(file, &wanted).map_err(|error| explain::set(new, file, file, None, error))?;
        let after = text(new);
        log.add(Change {
            knob: Some(file.to_owned()),
            file: Some(file.to_owned()),
            before: Some(has),
            confirmed: after == wanted,
            asked: Some(wanted),
            after: Some(after),
            ..Change::new(Action::Set, new)
        });
    }
    Ok(())
}

/// Has all cgroups above it hand on the controllers that it is to have.
fn enable(
    cgroups: &Cgroups,
    wanted: &Wanted,
    hierarchy: usize,
    made: &mut Made,
    log: &mut Log,
) -> Result<(), ChangeError> {
    let opened = &cgroups.hierarchies[hierarchy];
    let mut needed: Vec<Controller> = wanted.controllers.clone();
    needed.extend(wanted.asked.iter().filter_map(Asked::controller));
    needed.retain(|controller| opened.hierarchy.controllers.contains(controller) && !controller.is_core_on_v2());
    needed.sort();
    needed.dedup();
    let mut paths: Vec<&[u8]> = std::iter::successors(parent_path(&wanted.path), |path| parent_path(path)).collect();
    paths.reverse();
    for path in paths.into_iter().filter(|path| opened.below_top(path).is_some()) {
        let cgroup = match Cgroup::open(cgroups, hierarchy, path) {
            Ok(cgroup) => cgroup,
            Err(_) if log.dry => {
                would_enable(&needed, hierarchy, path, log);
                continue;
            }
            Err(error) => return Err(ChangeError::new(Intent::Create, path, Cause::CgroupGone, Some(error))),
        };
        for controller in &needed {
            let name = controller.name();
            if explain::hands_on_controller(&cgroup, name) {
                continue;
            }
            set::hand_on(&cgroup, name, log)?;
            if !log.dry {
                made.enabled.push((hierarchy, path.to_vec(), name.to_owned()));
            }
        }
    }
    Ok(())
}

fn would_enable(needed: &[Controller], hierarchy: usize, path: &[u8], log: &mut Log) {
    for controller in needed {
        log.add(Change {
            knob: Some("cgroup.subtree_control".to_owned()),
            file: Some("cgroup.subtree_control".to_owned()),
            asked: Some(format!("+{controller}").into_bytes()),
            ..Change::at(Action::Set, hierarchy, path)
        });
    }
}

/// Removes a cgroup in each hierarchy that has it, with those below it where that is wanted, from the bottom up. Nobody is killed.
///
/// # Errors
/// Where processes or cgroups are in it; what the kernel says.
pub fn remove(cgroups: &Cgroups, places: &Places, below: bool, log: &mut Log) -> Result<(), ChangeError> {
    let mut done: Vec<String> = Vec::new();
    for (hierarchy, path) in &places.all {
        let failed = |cause, error| ChangeError::new(Intent::Remove, path, cause, error);
        let cgroup = match Cgroup::open(cgroups, *hierarchy, path) {
            Ok(cgroup) => cgroup,
            // It was there a moment ago, and now it is as it should be.
            Err(error) if at::is_gone(error.errno) => continue,
            Err(error) => return Err(failed(Cause::Unknown, Some(error))),
        };
        if cgroup.is_top() {
            return Err(failed(Cause::Root, None));
        }
        // Who has processes is found before anything is removed.
        let busy = |one: &Cgroup<'_>| match explain::processes(one) {
            Some(cause) => ControlFlow::Break(ChangeError::new(Intent::Remove, &one.path, cause, None)),
            None => ControlFlow::Continue(()),
        };
        let name = set::hierarchy_name(cgroups, *hierarchy);
        let mut each = |one: &Cgroup<'_>| match remove_one(one, log) {
            Ok(()) => {
                done.push(format!("{} ({name})", String::from_utf8_lossy(&one.path).escape_debug()));
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        };
        let refused = match below {
            true => cgroup.walk(Order::AboveFirst, busy).and_then(|found| match found {
                Some(error) => Ok(Some(error)),
                None => cgroup.walk(Order::BelowFirst, each),
            }),
            false => Ok(busy(&cgroup).break_value().or_else(|| each(&cgroup).break_value())),
        };
        if let Some(error) = refused.map_err(|error| failed(Cause::Unknown, Some(error)))? {
            return Err(ChangeError { done, ..error });
        }
    }
    Ok(())
}

fn remove_one(cgroup: &Cgroup<'_>, log: &mut Log) -> Result<(), ChangeError> {
    /// Who has just died is still counted for a moment.
    const PATIENCE: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_millis(5);
    if cgroup.is_top() {
        return Err(ChangeError::new(Intent::Remove, &cgroup.path, Cause::Root, None));
    }
    let mut change = Change::new(Action::Remove, cgroup);
    if log.dry {
        log.add(change);
        return Ok(());
    }
    let parent = match cgroup.up() {
        Ok(parent) => parent,
        // Where the one above has gone, too, somebody else was quicker.
        Err(error) if at::is_gone(error.errno) => {
            log.add(Change { idle: true, confirmed: true, ..change });
            return Ok(());
        }
        Err(error) => return Err(ChangeError::new(Intent::Remove, &cgroup.path, Cause::Unknown, Some(error))),
    };
    let over = Instant::now() + PATIENCE;
    loop {
        match parent.remove(base_name(&cgroup.path)) {
            Ok(()) => break,
            Err(error) if at::is_gone(error.errno) => {
                change.idle = true;
                break;
            }
            Err(error) => {
                let explained = explain::removing(cgroup, error);
                let is_on_its_way = *explained.cause == Cause::Unknown
                    && explained.error.as_ref().is_some_and(|error| error.errno == Errno::EBUSY);
                if !is_on_its_way || Instant::now() >= over {
                    return Err(explained);
                }
                cgroupfs::wait(&[], PAUSE);
            }
        }
    }
    change.confirmed = true;
    log.add(change);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_made_of_names_that_a_cgroup_can_have() {
        for path in ["/a", "/a/b c", "/a:b", "/\x1b[31m", "/\u{e4}", "/..."] {
            assert_eq!(check_path(path.as_bytes()), Ok(()), "{path}");
        }
        for path in ["", "a", "/", "/a/", "//a", "/a/../b", "/.", "/a\nb", "/a\0b", &format!("/{}", "x".repeat(256))] {
            assert!(check_path(path.as_bytes()).is_err(), "{path:?}");
        }
    }
}
