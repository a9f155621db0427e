//! What the limits in a tree come to, from the top down: with those above the tree, and with what the host has.

use std::ffi::CStr;
use std::os::fd::AsFd;

use super::Tree;
use crate::cgroup::group::{BoundBy, Comes};
use crate::cgroup::host::{Cgroups, Home, MOST_BYTES};
use crate::cgroup::{Files, ladder, parse};
use crate::model::cgroup::{Bandwidth, Controller, Limit, Version};
use crate::sys::dir;

impl Tree {
    /// Works out what the limits come to, from the top down.
    pub(super) fn apply_limits(&mut self, cgroups: &Cgroups, only: Option<usize>) {
        let parents = self.parents();
        let host = &cgroups.host;
        let of_host = |value: Option<u64>| Comes { limit: value.map(Limit::Value), by: value.map(|_| BoundBy::Host) };
        let start = self.groups.first().map(|group| group.path.clone()).unwrap_or_default();
        let mut paths = Vec::new();
        let mut above = |controller: Controller, limit: fn(&Files) -> Option<Limit>, host: Comes| -> Comes {
            let Home::Hierarchy(index) = cgroups.home(controller) else { return host };
            if only.is_some_and(|only| only != index) {
                return host;
            }
            limits_above(cgroups, index, &start, limit).into_iter().fold(host, |least, (path, next)| {
                paths.push(path);
                tighter(least, Some(next), BoundBy::Above(paths.len() - 1))
            })
        };
        let memory = above(
            Controller::Memory,
            |files| {
                files
                    .get("memory.max")
                    .and_then(parse::limit)
                    .or_else(|| parse::limit_v1(files.get("memory.limit_in_bytes")?))
            },
            of_host(host.memory_bytes),
        );
        let cpu = above(
            Controller::Cpu,
            |files| files.bandwidth().map(Bandwidth::millicpus),
            of_host(host.cpus.map(|cpus| cpus.saturating_mul(1000))),
        );
        let pids = above(Controller::Pids, |files| parse::limit(files.get("pids.max")?), of_host(host.tasks_max));
        self.above = paths;
        let unseen = out_of_sight(cgroups, only, &start).filter(|&limit| memory.limit.is_none_or(|seen| limit < seen));
        let memory = tighter(memory, unseen, BoundBy::OutOfSight);
        for (index, parent) in parents.iter().enumerate() {
            let (memory, cpu, pids) = match parent.map(|parent| &self.groups[parent]) {
                Some(parent) => (parent.memory_effective, parent.cpu_effective, parent.pids_effective),
                None => (memory, cpu, pids),
            };
            let group = &mut self.groups[index];
            group.memory_effective = tighter(memory, group.memory_max, BoundBy::Group(index));
            group.cpu_effective = tighter(cpu, group.cpu_max.map(|max| max.millicpus()), BoundBy::Group(index));
            group.pids_effective = tighter(pids, group.pids_max, BoundBy::Group(index));
        }
    }
}

/// Returns the tighter of what holds above and what a cgroup sets; the nearer of equal ones.
fn tighter(above: Comes, own: Option<Limit>, by: BoundBy) -> Comes {
    match (above.limit, own) {
        (_, None) => above,
        (Some(least), Some(own)) if own > least => above,
        (_, Some(Limit::Max)) => Comes { limit: Some(Limit::Max), by: None },
        (_, Some(own)) => Comes { limit: Some(own), by: Some(by) },
    }
}

/// Returns what v1 says that the memory of a cgroup is limited to, where limits are out of sight.
fn out_of_sight(cgroups: &Cgroups, only: Option<usize>, path: &[u8]) -> Option<Limit> {
    let Home::Hierarchy(index) = cgroups.home(Controller::Memory) else { return None };
    let opened = &cgroups.hierarchies[index];
    if opened.hierarchy.version != Version::V1 || opened.top_path() == b"/" || only.is_some_and(|only| only != index) {
        return None;
    }
    let stat = dir::read_whole(opened.open(path).ok()?.as_fd(), c"memory.stat", MOST_BYTES).ok()?;
    parse::keyed(&stat, "hierarchical_memory_limit").map(Limit::Value)
}

/// Reads one limit of all cgroups above a path in a hierarchy, with their paths.
fn limits_above(
    cgroups: &Cgroups,
    index: usize,
    path: &[u8],
    limit: fn(&Files) -> Option<Limit>,
) -> Vec<(Vec<u8>, Limit)> {
    const FILES: [&CStr; 6] =
        [c"memory.max", c"memory.limit_in_bytes", c"cpu.max", c"cpu.cfs_quota_us", c"cpu.cfs_period_us", c"pids.max"];
    let opened = &cgroups.hierarchies[index];
    let mut ancestors = ladder::ancestors(opened.top_path(), path);
    ancestors.pop();
    let read = |path: &Vec<u8>| {
        let directory = opened.open(path).ok()?;
        let mut files = Files::new(opened.hierarchy.version);
        for name in FILES {
            if let (Ok(text), Ok(name)) = (dir::read_whole(directory.as_fd(), name, MOST_BYTES), name.to_str()) {
                files.insert(name, text);
            }
        }
        Some((path.clone(), limit(&files)?))
    };
    ancestors.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_limit_counts_and_names_its_setter() {
        let host = Comes { limit: Some(Limit::Value(100)), by: Some(BoundBy::Host) };
        let own = BoundBy::Group(3);
        assert_eq!(tighter(host, Some(Limit::Max), own), host);
        assert_eq!(tighter(host, None, own), host);
        assert_eq!(tighter(host, Some(Limit::Value(50)), own), Comes { limit: Some(Limit::Value(50)), by: Some(own) });
        assert_eq!(tighter(host, Some(Limit::Value(100)), own).by, Some(own));
        assert_eq!(tighter(Comes::default(), Some(Limit::Max), own), Comes { limit: Some(Limit::Max), by: None });
    }
}
