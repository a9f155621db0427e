//! The systemd unit that a name means: by the cgroup that is called so.
//!
//! systemd is not asked: the cgroup of a unit has its name, see systemd.unit(5). Users have units of their own, with managers of their own.

use super::TargetError;
use crate::cgroup::{Cgroup, Cgroups, at};
use crate::model::Pid;
use crate::model::cgroup::Version;
use crate::proc::{ProcPid, ProcRoot};
use crate::sys::SysError;

/// Finds the cgroup of a unit: the hierarchy and the path.
///
/// # Errors
/// Where there is none, or several users have one.
pub fn cgroup(cgroups: &Cgroups, name: &str) -> Result<(usize, Vec<u8>), TargetError> {
    for (hierarchy, opened) in cgroups.hierarchies.iter().enumerate() {
        // systemd has a hierarchy of its own on v1, beside those of controllers.
        let is_systemds = opened.hierarchy.version == Version::V2 || opened.hierarchy.name() == Some(b"systemd");
        if opened.top().is_none() || !is_systemds {
            continue;
        }
        let mut found = walk(cgroups, hierarchy, name).map_err(TargetError::Unlisted)?;
        match found.len() {
            0 => {}
            1 => return Ok((hierarchy, found.remove(0))),
            _ => return Err(TargetError::Units(name.to_owned(), found)),
        }
    }
    Err(TargetError::NoUnit(name.to_owned()))
}

/// Finds the oldest process of a unit: the first that systemd has started, as long as it lives.
///
/// # Errors
/// As [`cgroup`]; where no process is left.
pub fn first_process(proc: &ProcRoot, name: &str) -> Result<ProcPid, TargetError> {
    let cgroups = Cgroups::open_for(proc, Some(&[])).map_err(TargetError::Unlisted)?;
    let (hierarchy, path) = cgroup(&cgroups, name)?;
    let mut oldest: Option<(u64, ProcPid)> = None;
    let top = Cgroup::open(&cgroups, hierarchy, &path).map_err(TargetError::Unlisted)?;
    each(&top, &mut |cgroup| {
        for pid in cgroup.processes().unwrap_or_default() {
            let Ok(process) = proc.process(Pid(pid)) else { continue };
            let Ok(started) = process.stat(&mut [0; 1024]).map(|stat| stat.start_time_ticks) else { continue };
            if oldest.as_ref().is_none_or(|(found, _)| started < *found) {
                oldest = Some((started, process));
            }
        }
    });
    oldest.map(|(_, process)| process).ok_or_else(|| TargetError::EmptyUnit(name.to_owned(), path))
}

/// Returns the cgroups of units with this name.
fn walk(cgroups: &Cgroups, hierarchy: usize, name: &str) -> Result<Vec<Vec<u8>>, SysError> {
    let top = Cgroup::open(cgroups, hierarchy, cgroups.hierarchies[hierarchy].top_path())?;
    let mut found = Vec::new();
    each(&top, &mut |cgroup| {
        if at::base_name(&cgroup.path) == name.as_bytes() {
            found.push(cgroup.path.clone());
        }
    });
    // What a unit makes inside of its own cgroup is its own business.
    let outer: Vec<Vec<u8>> = found
        .iter()
        .filter(|path| !found.iter().any(|other| other != *path && at::is_within(path, other)))
        .cloned()
        .collect();
    Ok(outer)
}

/// Goes through a cgroup and all below it. What goes meanwhile is passed over.
fn each(top: &Cgroup<'_>, visit: &mut dyn FnMut(&Cgroup<'_>)) {
    visit(top);
    let mut left = top.children().unwrap_or_default();
    while let Some(path) = left.pop() {
        let Ok(cgroup) = Cgroup::open(top.cgroups(), top.hierarchy, &path) else { continue };
        visit(&cgroup);
        left.extend(cgroup.children().unwrap_or_default());
    }
}
