//! Setting knobs: all are planned before the first is written, and each is read back.

use super::error::{Cause, ChangeError, Intent};
use super::explain;
use super::translate::{self, Write};
use super::value::{Asked, Value};
use super::{Action, Change, Log};
use crate::cgroup::at::Cgroup;
use crate::cgroup::{Cgroups, Files, Home};
use crate::model::cgroup::{Controller, Limit, Version};
use crate::sys::{Call, Errno, SysError};

/// The cgroup that is meant, in each hierarchy that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Hierarchies and paths.
    pub all: Vec<(usize, Vec<u8>)>,
    /// What it was called: the path, or that of a process.
    pub path: Vec<u8>,
}

impl Places {
    /// Leaves one cgroup for what is done to all that is in it: a process is in as many as there are hierarchies, and in the root of most.
    ///
    /// # Errors
    /// Where several are left.
    pub fn sole(mut self, intent: &Intent) -> Result<Places, ChangeError> {
        if self.all.iter().any(|(_, path)| path != b"/") {
            self.all.retain(|(_, path)| path != b"/");
        }
        let mut paths: Vec<Vec<u8>> = self.all.iter().map(|(_, path)| path.clone()).collect();
        paths.sort();
        paths.dedup();
        if paths.len() > 1 {
            return Err(ChangeError::new(intent.clone(), &self.path, Cause::Ambiguous(paths), None));
        }
        self.path = paths.pop().unwrap_or(self.path);
        Ok(self)
    }
}

/// What is written to a cgroup.
pub struct Planned<'a> {
    cgroup: Cgroup<'a>,
    writes: Vec<Write>,
}

/// Finds out which files are to be written to, and what.
///
/// # Errors
/// Where a controller has no home, or not this one; where a file is not there.
pub fn plan<'a>(cgroups: &'a Cgroups, places: &Places, asked: &[Asked]) -> Result<Vec<Planned<'a>>, ChangeError> {
    let mut by_hierarchy: Vec<(usize, Vec<Asked>)> = Vec::new();
    check(asked, &places.path)?;
    for one in asked {
        let refused = |cause| ChangeError::new(Intent::Set(one.knob.clone()), &places.path, cause, None);
        let hierarchy = home(cgroups, places, one).map_err(refused)?;
        match by_hierarchy.iter_mut().find(|(other, _)| *other == hierarchy) {
            Some((_, all)) => all.push(one.clone()),
            None => by_hierarchy.push((hierarchy, vec![one.clone()])),
        }
    }
    let mut planned = Vec::new();
    for (hierarchy, all) in by_hierarchy {
        let path = places.all.iter().find(|(index, _)| *index == hierarchy).map_or(&places.path, |(_, path)| path);
        let intent = || Intent::Set(all[0].knob.clone());
        let cgroup = Cgroup::open(cgroups, hierarchy, path)
            .map_err(|error| ChangeError::new(intent(), path, Cause::Unknown, Some(error)))?;
        planned.push(plan_writes(cgroup, &all)?);
    }
    Ok(planned)
}

/// Refuses what comes twice, and what is no limit.
///
/// # Errors
/// The first that is refused.
pub(crate) fn check(asked: &[Asked], path: &[u8]) -> Result<(), ChangeError> {
    for (index, one) in asked.iter().enumerate() {
        let refused = |cause| Err(ChangeError::new(Intent::Set(one.knob.clone()), path, cause, None));
        if asked[..index].iter().any(|other| other.sets_same(one)) {
            let of = one.device().map(|device| format!(" of {device}")).unwrap_or_default();
            return refused(Cause::Twice(format!("{}{of}", one.knob)));
        }
        if let Some(command) = dedicated(&one.knob) {
            return refused(Cause::Dedicated(command));
        }
    }
    Ok(())
}

fn plan_writes<'a>(cgroup: Cgroup<'a>, asked: &[Asked]) -> Result<Planned<'a>, ChangeError> {
    let mut now = Files::new(cgroup.version());
    for file in translate::NEEDED {
        if let Ok(content) = cgroup.read(file) {
            now.insert(file, content);
        }
    }
    let writes = writes(asked, &now, &cgroup.path)?;
    for write in &writes {
        if !cgroup.has(&write.file) {
            let error = SysError::new(Call::Openat(cgroup.name(&write.file)), Errno::ENOENT);
            return Err(explain::set(&cgroup, &write.knob, &write.file, None, error));
        }
    }
    Ok(Planned { cgroup, writes })
}

/// Finds out what is written to the files of a cgroup that say this.
///
/// # Errors
/// Where its version has no such knob, or one depends on another that is not set.
pub(crate) fn writes(asked: &[Asked], now: &Files, path: &[u8]) -> Result<Vec<Write>, ChangeError> {
    // One after the other where that is possible, so that a refusal names the right one.
    for one in asked.iter().filter(|one| !one.knob.starts_with("memory.")) {
        translate::writes(now.version, std::slice::from_ref(one), now)
            .map_err(|cause| ChangeError::new(Intent::Set(one.knob.clone()), path, cause, None))?;
    }
    let memory = asked.iter().find(|one| one.knob.starts_with("memory.")).or(asked.first());
    translate::writes(now.version, asked, now).map_err(|cause| {
        let knob = match &cause {
            Cause::NotOnV1(knob) | Cause::OnlyV1(knob) => knob.clone(),
            Cause::NeedsMemoryLimit | Cause::NoSwapAccounting | Cause::SwapTwice => "memory.swap.max".to_owned(),
            _ => memory.map(|one| one.knob.clone()).unwrap_or_default(),
        };
        ChangeError::new(Intent::Set(knob), path, cause, None)
    })
}

/// Returns the command that is for what a file of the core does.
fn dedicated(knob: &str) -> Option<&'static str> {
    match knob {
        "cgroup.freeze" | "freezer.state" => Some("freeze"),
        "cgroup.kill" => Some("kill"),
        "cgroup.procs" | "cgroup.threads" | "tasks" => Some("move"),
        _ => None,
    }
}

/// Finds the hierarchy in which a knob is set.
fn home(cgroups: &Cgroups, places: &Places, asked: &Asked) -> Result<usize, Cause> {
    if let Some(controller) = asked.controller() {
        let index = match cgroups.home(controller) {
            Home::Hierarchy(index) => index,
            home => return Err(Cause::Homeless(controller, home)),
        };
        return match places.all.iter().any(|(place, _)| *place == index) {
            true => Ok(index),
            false => Err(not_there(cgroups, places, controller, index)),
        };
    }
    // What belongs to cgroups themselves is of v2; any other name is that of a file which one of them has.
    let is_v2 = |index: usize| cgroups.hierarchies[index].hierarchy.version == Version::V2;
    let has =
        |index: usize, path: &[u8]| Cgroup::open(cgroups, index, path).is_ok_and(|cgroup| cgroup.has(&asked.knob));
    let with_file = places.all.iter().find(|(index, path)| has(*index, path));
    let any = with_file.or_else(|| places.all.iter().find(|(index, _)| is_v2(*index))).or(places.all.first());
    any.map(|(index, _)| *index).ok_or_else(|| Cause::NoFile(asked.knob.clone()))
}

/// Names a hierarchy for messages.
pub(crate) fn hierarchy_name(cgroups: &Cgroups, index: usize) -> String {
    let hierarchy = &cgroups.hierarchies[index].hierarchy;
    match hierarchy.version {
        Version::V2 => "v2".to_owned(),
        Version::V1 => format!("v1 {}", String::from_utf8_lossy(&hierarchy.names).escape_debug()),
    }
}

fn not_there(cgroups: &Cgroups, places: &Places, controller: Controller, index: usize) -> Cause {
    let home = hierarchy_name(cgroups, index);
    // Where a directory was named the cgroup may well be in the other hierarchy, too.
    let elsewhere = Cgroup::open(cgroups, index, &places.path).is_ok();
    match cgroups.hierarchies[index].directory(&places.path).filter(|_| elsewhere) {
        Some(mount) => Cause::Elsewhere { controller, home, mount },
        None => Cause::NotThere { controller, home },
    }
}

/// Writes all that was planned, one after the other.
///
/// # Errors
/// What the kernel says of the first that fails, with those that were done before it; where something else is read than was written.
pub fn apply(planned: &[Planned<'_>], log: &mut Log) -> Result<(), ChangeError> {
    let mut done: Vec<String> = Vec::new();
    for one in planned {
        for write in &one.writes {
            let result = write_one(&one.cgroup, write, log);
            result.map_err(|error| ChangeError { done: std::mem::take(&mut done), ..error })?;
            done.push(write.file.clone());
        }
    }
    Ok(())
}

/// Writes one value, and reads it back.
fn write_one(cgroup: &Cgroup<'_>, write: &Write, log: &mut Log) -> Result<(), ChangeError> {
    let mut change = Change {
        knob: Some(write.knob.clone()),
        file: Some(write.file.clone()),
        before: read(cgroup, &write.file),
        asked: Some(write.text.as_bytes().to_vec()),
        ..Change::new(Action::Set, cgroup)
    };
    if log.dry {
        log.add(change);
        return Ok(());
    }
    let number = match crate::cgroup::parse::limit_v1(write.text.as_bytes()) {
        Some(Limit::Value(number)) => Some(number),
        _ => None,
    };
    cgroup
        .write(&write.file, write.text.as_bytes())
        .map_err(|error| explain::set(cgroup, &write.knob, &write.file, number, error))?;
    change.after = read(cgroup, &write.file);
    change.confirmed = change.after.as_deref().is_some_and(|after| write.expect.is_met(after));
    let found = change.after.clone();
    let confirmed = change.confirmed;
    log.add(change);
    match found {
        Some(found) if !confirmed && write.expect.is_strict() => {
            let found = String::from_utf8_lossy(found.trim_ascii()).into_owned();
            let cause = Cause::NotTaken { asked: write.text.clone(), found };
            Err(ChangeError::new(Intent::Set(write.knob.clone()), &cgroup.path, cause, None))
        }
        _ => Ok(()),
    }
}

fn read(cgroup: &Cgroup<'_>, file: &str) -> Option<Vec<u8>> {
    cgroup.read(file).ok().map(|text| text.trim_ascii().to_vec())
}

/// Hands a controller on to those below a cgroup of v2.
///
/// # Errors
/// What the kernel says, with what is in the way.
pub(super) fn hand_on(cgroup: &Cgroup<'_>, controller: &str, log: &mut Log) -> Result<(), ChangeError> {
    let asked = Asked {
        knob: "cgroup.subtree_control".to_owned(),
        value: Value::Controllers(vec![(true, controller.to_owned())]),
    };
    let writes = translate::writes(Version::V2, &[asked], &Files::new(Version::V2)).unwrap_or_default();
    writes.iter().try_for_each(|write| write_one(cgroup, write, log))
}
