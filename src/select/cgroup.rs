//! What a user points at where cgroups are meant: a process, or a cgroup by its path or its directory.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Wanted;
use super::target::{Resolved, Target, TargetError, resolve_process_kinds};
use crate::cgroup::change::set::Places;
use crate::cgroup::{Cgroups, Subject, at};
use crate::model::KindSet;
use crate::model::cgroup::Version;
use crate::proc::{ProcPid, ProcRoot};
use crate::sys::{Call, Errno, SysError};

/// What a target means.
pub enum Chosen {
    /// A process, held by its directory.
    Process(ProcPid),
    /// A cgroup.
    Cgroup {
        /// Its path, as the caller's cgroup namespace has it.
        path: Vec<u8>,
        /// The hierarchy that its directory is in; `None` means each that has the path.
        only: Option<usize>,
    },
}

/// Finds what a target means. That a cgroup exists is seen when it is read.
///
/// A path is a directory where it lies on a mounted hierarchy, and else the path of a cgroup, unless it is plain that a directory was
/// meant; `cgroup:/…` is always the path of a cgroup.
///
/// # Errors
/// Where there is no such process, or the target is a namespace.
pub fn choose(proc: &ProcRoot, cgroups: &Cgroups, target: &Target) -> Result<Chosen, TargetError> {
    match target {
        Target::Cgroup(path) => Ok(Chosen::Cgroup { path: path.clone(), only: None }),
        Target::File(path) => {
            let (path, only) = by_path(cgroups, path)?;
            Ok(Chosen::Cgroup { path, only })
        }
        Target::Unit(name) => {
            let (only, path) = super::unit::cgroup(cgroups, name)?;
            // On v1 each controller has the unit's cgroup where it is at home.
            let only = (cgroups.hierarchies[only].hierarchy.version == Version::V2).then_some(only);
            Ok(Chosen::Cgroup { path, only })
        }
        // Who is in a cgroup file system means what is there.
        Target::Container(Wanted::Named { engine: None, path }) if path.len() > 1 => {
            match by_path(cgroups, Path::new(&path.join("/"))) {
                Ok((path, only)) => Ok(Chosen::Cgroup { path, only }),
                Err(_) => process(proc, target),
            }
        }
        other => process(proc, other),
    }
}

fn process(proc: &ProcRoot, target: &Target) -> Result<Chosen, TargetError> {
    // No namespace of the process has to be read, which may be more than the caller may.
    match resolve_process_kinds(proc, target, KindSet::NONE)? {
        Resolved::Process(process, _) => Ok(Chosen::Process(process)),
        Resolved::Namespace(..) => Err(TargetError::WantedProcess(target.to_string())),
    }
}

/// Finds the cgroup that a path means, and the hierarchy where it is a directory: see [`choose`].
///
/// # Errors
/// Where it is plain that a directory was meant, and it lies on no hierarchy.
pub fn by_path(cgroups: &Cgroups, path: &Path) -> Result<(Vec<u8>, Option<usize>), TargetError> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let bytes = tidy(absolute.as_os_str().as_bytes());
    let mounted = cgroups.hierarchies.iter().enumerate().filter_map(|(index, opened)| {
        let point = opened.mount_point().filter(|_| opened.top().is_some())?.len();
        Some((point, index, opened.hierarchy.cgroup_at(&bytes)?))
    });
    // Hierarchies may be mounted below each other.
    if let Some((_, index, path)) = mounted.max_by_key(|(length, ..)| *length) {
        return Ok((path, Some(index)));
    }
    if path.is_absolute() {
        if is_of_host(cgroups, &bytes) {
            return Err(TargetError::NotCgroupfs(bytes, mount_points(cgroups)));
        }
        return Ok((bytes, None));
    }
    let call = Call::Openat(path.as_os_str().as_bytes().to_vec());
    Err(TargetError::NoCgroup(bytes, SysError::new(call, Errno::ENOENT)))
}

/// Says whether a path that lies on no hierarchy is meant to be one of the host all the same: it begins where the kernel's file systems
/// or throw-away files are, or beside a mounted hierarchy, and no cgroup is called so.
fn is_of_host(cgroups: &Cgroups, path: &[u8]) -> bool {
    let first = path.iter().skip(1).position(|&byte| byte == b'/').map_or(path, |slash| &path[..=slash]);
    let beside =
        |point: &Vec<u8>| at::parent_path(point).is_some_and(|above| above != b"/" && at::is_within(path, above));
    let is_host = [&b"/sys"[..], b"/proc", b"/tmp"].contains(&first) || mount_points(cgroups).iter().any(beside);
    is_host && !(0..cgroups.hierarchies.len()).any(|index| at::Cgroup::open(cgroups, index, first).is_ok())
}

fn mount_points(cgroups: &Cgroups) -> Vec<Vec<u8>> {
    let opened = cgroups.hierarchies.iter().filter(|opened| opened.top().is_some());
    opened.filter_map(|opened| opened.mount_point().map(<[u8]>::to_vec)).collect()
}

/// Reads what was chosen.
///
/// # Errors
/// Where the process or the cgroup is not there, or may not be read.
pub fn read(proc: &ProcRoot, cgroups: &Cgroups, chosen: &Chosen) -> Result<Subject, TargetError> {
    match chosen {
        Chosen::Process(process) => Subject::of_process(cgroups, proc, process).map_err(|error| {
            let gone = crate::proc::is_gone(error.errno) || !process.is_alive();
            if gone { TargetError::NoProcess(process.pid, error) } else { TargetError::Refused(process.pid, error) }
        }),
        Chosen::Cgroup { path, only } => {
            Subject::of_cgroup(cgroups, path, *only).map_err(|error| TargetError::NoCgroup(path.clone(), error))
        }
    }
}

/// Finds the cgroup that was chosen in each hierarchy that has it; of a process, the one that it is in.
///
/// # Errors
/// As [`read`].
pub fn places(proc: &ProcRoot, cgroups: &Cgroups, chosen: &Chosen) -> Result<Places, TargetError> {
    match chosen {
        Chosen::Process(process) => {
            let all = at::of_process(cgroups, process).map_err(|errno| {
                let error = SysError::new(Call::Openat(proc.name(&format!("{}/cgroup", process.pid))), errno);
                let gone = crate::proc::is_gone(errno) || !process.is_alive();
                if gone { TargetError::NoProcess(process.pid, error) } else { TargetError::Refused(process.pid, error) }
            })?;
            let path = all.first().map_or_else(|| b"/".to_vec(), |(_, path)| path.clone());
            Ok(Places { all, path })
        }
        Chosen::Cgroup { path, only } => {
            let mut failed = None;
            let mut all = Vec::new();
            for (index, opened) in cgroups.hierarchies.iter().enumerate() {
                if opened.top().is_none() || only.is_some_and(|only| only != index) {
                    continue;
                }
                match at::Cgroup::open(cgroups, index, path) {
                    Ok(_) => all.push((index, path.clone())),
                    Err(error) => {
                        failed.get_or_insert(error);
                    }
                }
            }
            if all.is_empty() {
                let missing = || SysError::new(Call::Openat(path.clone()), Errno::ENOENT);
                return Err(TargetError::NoCgroup(path.clone(), failed.unwrap_or_else(missing)));
            }
            Ok(Places { all, path: path.clone() })
        }
    }
}

/// Leaves out doubled, lone and trailing slashes and dots, as the kernel does where it walks a path.
fn tidy(path: &[u8]) -> Vec<u8> {
    let names = path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let mut tidy = Vec::with_capacity(path.len());
    for name in names {
        tidy.push(b'/');
        tidy.extend_from_slice(name);
    }
    if tidy.is_empty() { b"/".to_vec() } else { tidy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied_like_the_kernel_walks_them() {
        for (path, tidied) in [("/", "/"), ("//a/./b/", "/a/b"), ("/a b/\u{e4}", "/a b/\u{e4}")] {
            assert_eq!(tidy(path.as_bytes()), tidied.as_bytes(), "{path}");
        }
    }
}
