//! The files that are read of each of thousands of cgroups, and what becomes of them. Each costs three system calls a cgroup.

use std::ffi::CStr;

use super::Depth;
use crate::cgroup::events::Throttling;
use crate::cgroup::group::Group;
use crate::cgroup::host::Opened;
use crate::cgroup::parse;
use crate::model::cgroup::{Controller, Version};

/// A file that is read of each cgroup, and where its content goes.
pub(super) struct Wanted {
    /// Its name.
    pub(super) name: &'static CStr,
    controller: Option<Controller>,
    rate: bool,
    /// Puts its content where it belongs.
    pub(super) take: fn(&mut Group, &[u8]),
}

const fn wanted(
    name: &'static CStr,
    controller: Option<Controller>,
    rate: bool,
    take: fn(&mut Group, &[u8]),
) -> Wanted {
    Wanted { name, controller, rate, take }
}

/// The files of v2. cpu.stat counts time for every cgroup, with or without the controller.
static V2: [Wanted; 11] = [
    wanted(c"cgroup.events", None, false, |group, text| {
        group.frozen = parse::keyed(text, "frozen").map(|frozen| frozen == 1);
    }),
    wanted(c"cpu.stat", None, true, |group, text| {
        group.cpu_usage_usec = parse::keyed(text, "usage_usec");
        group.throttling = Throttling::parse(text);
    }),
    wanted(c"cpu.pressure", None, false, |group, text| group.pressure[0] = parse::pressure(text)),
    wanted(c"memory.pressure", None, false, |group, text| group.pressure[1] = parse::pressure(text)),
    wanted(c"io.pressure", None, false, |group, text| group.pressure[2] = parse::pressure(text)),
    wanted(c"memory.current", Some(Controller::Memory), false, |group, text| {
        group.memory_current = parse::number(text);
    }),
    wanted(c"memory.max", Some(Controller::Memory), false, |group, text| group.memory_max = parse::limit(text)),
    wanted(c"memory.high", Some(Controller::Memory), false, |group, text| group.memory_high = parse::limit(text)),
    wanted(c"cpu.max", Some(Controller::Cpu), false, |group, text| group.cpu_max = parse::bandwidth(text)),
    wanted(c"pids.current", Some(Controller::Pids), false, |group, text| group.pids_current = parse::number(text)),
    wanted(c"pids.max", Some(Controller::Pids), false, |group, text| group.pids_max = parse::limit(text)),
];

/// The files of v1.
static V1: [Wanted; 9] = [
    wanted(c"memory.usage_in_bytes", Some(Controller::Memory), false, |group, text| {
        group.memory_current = parse::number(text);
    }),
    wanted(c"memory.limit_in_bytes", Some(Controller::Memory), false, |group, text| {
        group.memory_max = parse::limit_v1(text);
    }),
    wanted(c"cpu.stat", Some(Controller::Cpu), true, |group, text| group.throttling = Throttling::parse(text)),
    wanted(c"cpu.cfs_period_us", Some(Controller::Cpu), false, |group, text| {
        // The quota comes next, and completes it.
        group.cpu_max = parse::bandwidth_v1(b"-1", text);
    }),
    wanted(c"cpu.cfs_quota_us", Some(Controller::Cpu), false, |group, text| {
        let period = group.cpu_max.map_or(0, |max| max.period_usec).to_string();
        group.cpu_max = group.cpu_max.and_then(|_| parse::bandwidth_v1(text, period.as_bytes()));
    }),
    wanted(c"cpuacct.usage", Some(Controller::Cpuacct), true, |group, text| {
        group.cpu_usage_usec = parse::number(text).map(|nanoseconds| nanoseconds / 1000);
    }),
    wanted(c"pids.current", Some(Controller::Pids), false, |group, text| group.pids_current = parse::number(text)),
    wanted(c"pids.max", Some(Controller::Pids), false, |group, text| group.pids_max = parse::limit(text)),
    wanted(c"freezer.state", Some(Controller::Freezer), false, |group, text| {
        group.frozen = Some(text.trim_ascii() != b"THAWED");
    }),
];

/// Returns the files that are read of each cgroup of a hierarchy.
pub(super) fn files_of(opened: &Opened, depth: Depth) -> Vec<&'static Wanted> {
    let all: &'static [Wanted] = match opened.hierarchy.version {
        Version::V2 => &V2,
        Version::V1 => &V1,
    };
    let is_here = |wanted: &&Wanted| {
        let controlled = wanted.controller.is_none_or(|controller| opened.hierarchy.controllers.contains(&controller));
        controlled && (depth == Depth::Everything || wanted.rate)
    };
    all.iter().filter(is_here).collect()
}
