//! The target's cgroups in which the caller is not, and the files by which they are joined.
//!
//! Opened by nsx, outside: on v2 it counts who has opened the file, and in which cgroup namespace (cgroups(7)).

use std::ffi::CString;
use std::os::fd::OwnedFd;

use super::facts::MOST_BYTES;
use super::plan::CgroupFacts;
use crate::cgroup::{Layout, Place};
use crate::proc::ProcPid;
use crate::proc::parse::{self, CgroupLine};
use crate::sys::{Call, Errno, SysError, dir};

/// Returns them, each with its file where that could be opened.
pub(super) fn differing(target: &ProcPid, own: &ProcPid) -> Vec<(CgroupFacts, Option<OwnedFd>)> {
    let (Ok(theirs), Ok(ours)) = (target.read_all(c"cgroup", MOST_BYTES), own.read_all(c"cgroup", MOST_BYTES)) else {
        return Vec::new();
    };
    if theirs == ours {
        return Vec::new();
    }
    let layout = Layout::parse(&own.read_all(c"mountinfo", MOST_BYTES).unwrap_or_default());
    let ours: Vec<CgroupLine<'_>> = parse::cgroup_lines(&ours).collect();
    parse::cgroup_lines(&theirs).filter(|line| !ours.contains(line)).map(|line| open(&layout, &line)).collect()
}

fn open(layout: &Layout, line: &CgroupLine<'_>) -> (CgroupFacts, Option<OwnedFd>) {
    let hierarchy = match line.is_unified() {
        true => "cgroup2".to_owned(),
        false => String::from_utf8_lossy(line.names).escape_debug().to_string(),
    };
    let opened = match layout.place(line) {
        Place::Directory(path) => open_procs(&path, line),
        place => Err(format!("{}: {place}", String::from_utf8_lossy(line.path).escape_debug())),
    };
    match opened {
        Ok((path, file)) => (CgroupFacts { hierarchy, procs: Ok(path) }, Some(file)),
        Err(why) => (CgroupFacts { hierarchy, procs: Err(why) }, None),
    }
}

fn open_procs(directory: &[u8], line: &CgroupLine<'_>) -> Result<(Vec<u8>, OwnedFd), String> {
    if is_frozen(directory, line) {
        let path = String::from_utf8_lossy(directory).escape_debug().to_string();
        return Err(format!("{path} is frozen, and the command would not run before it is thawed"));
    }
    let path = [directory, b"/cgroup.procs"].concat();
    let failed = |errno| SysError::new(Call::Openat(path.clone()), errno).to_string();
    let name = CString::new(path.clone()).map_err(|_| failed(Errno::EINVAL))?;
    let file = dir::open_write_cwd(&name).map_err(failed)?;
    Ok((path, file))
}

/// Says whether the processes in a cgroup stand still, by its own doing or that of one above it.
fn is_frozen(directory: &[u8], line: &CgroupLine<'_>) -> bool {
    let name: &[u8] = match line.is_unified() {
        true => b"/cgroup.events",
        false if line.controllers().any(|controller| controller == b"freezer") => b"/freezer.state",
        false => return false,
    };
    let Ok(path) = CString::new([directory, name].concat()) else { return false };
    let mut buffer = [0; 256];
    let Ok(file) = dir::open_read_cwd(&path) else { return false };
    use std::os::fd::AsFd;
    dir::read(file.as_fd(), &mut buffer).is_ok_and(|text| {
        text.split(|&byte| byte == b'\n').any(|line| matches!(line, b"frozen 1" | b"FROZEN" | b"FREEZING"))
    })
}
