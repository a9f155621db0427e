//! What a weight is worth: beside those of all siblings, on each level from the root down.
//!
//! This reads every sibling on the way, so it is for those who ask for it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

use super::effective::share;
use super::files::Files;
use super::host::{Cgroups, MOST_BYTES};
use super::ladder::{Ladder, Subject};
use crate::model::cgroup::{Knob, Limit, Version};
use crate::sys::cgroupfs;
use crate::sys::dir::{self, DirReader};

/// Returns the part that a cgroup gets of a resource when everybody who has processes wants all of it, in millionths; `None` where a
/// weight on the way cannot be read. Of what is above the top of the mount nothing is known, so there the part is one of that.
pub fn share_of(cgroups: &Cgroups, subject: &Subject, hierarchy: usize, knob: &Knob) -> Option<u64> {
    let ladder: &Ladder = subject.ladder(hierarchy)?;
    let opened = &cgroups.hierarchies[hierarchy];
    let mut reader = DirReader::new(16);
    let mut levels = Vec::new();
    for pair in ladder.levels.windows(2) {
        let Some(own) = weight(&pair[1].files, knob) else { break };
        let above = opened.open(&pair[0].path).ok()?;
        let own_name = pair[1].path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut names: Vec<CString> = Vec::new();
        cgroupfs::subdirectories(&mut reader, above.as_fd(), |name| names.push(name.to_owned())).ok()?;
        let others = names.iter().filter(|name| name.to_bytes() != own_name);
        let sum: u64 = others.filter_map(|name| weight_of(above.as_fd(), name, opened.hierarchy.version, knob)).sum();
        levels.push((own, sum.saturating_add(own)));
    }
    Some(share(&levels))
}

/// Reads the weight of a sibling; `None` where nobody is in it, and where it has gone meanwhile.
fn weight_of(above: BorrowedFd<'_>, name: &CStr, version: Version, knob: &Knob) -> Option<u64> {
    let directory = dir::open_path(above, name).ok()?;
    let mut files = Files::new(version);
    let file = files.file_of(knob)?;
    for name in [file, "cgroup.events"] {
        if let Ok(text) = dir::read_whole(directory.as_fd(), &CString::new(name).ok()?, MOST_BYTES) {
            files.insert(name, text);
        }
    }
    // v1 does not say whether anybody is below.
    let empty = files.keyed("cgroup.events", "populated") == Some(0);
    weight(&files, knob).filter(|_| !empty)
}

fn weight(files: &Files, knob: &Knob) -> Option<u64> {
    files.settings(knob).first().and_then(|setting| match setting.limit {
        Limit::Value(weight) => Some(weight),
        Limit::Max => None,
    })
}
