//! The members of a cgroup: which processes are in it, and in which other hierarchies they share the path.
//!
//! Not here: their users and command lines (`scan::describe`), which are read like those of any other process.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::at::{self, Cgroup};
use super::{Cgroups, parse};
use crate::model::Pid;
use crate::model::cgroup::Version;
use crate::sys::SysError;

/// A process, or a thread, in a cgroup.
pub struct Member {
    /// Its pid.
    pub pid: Pid,
    /// The cgroup that it is in.
    pub path: Vec<u8>,
    /// The indices of the hierarchies in which it is in that cgroup.
    pub hierarchies: Vec<usize>,
}

/// By what a member is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its pids from the caller's pid namespace inwards.
    pub nspids: Vec<u32>,
    /// How many threads it has.
    pub nthreads: Option<u32>,
}

impl Facts {
    /// Takes them from the text of proc_pid_status(5).
    pub fn of(status: &[u8]) -> Facts {
        Facts {
            nspids: crate::proc::parse::numbers(status).map_or_else(Vec::new, |numbers| numbers.nspid),
            nthreads: field(status, b"Threads:").and_then(parse::number).and_then(|count| u32::try_from(count).ok()),
        }
    }
}

/// All members of some cgroups.
#[derive(Default)]
pub struct Members {
    /// Those that the caller's pid namespace shows, by pid.
    pub all: Vec<Member>,
    /// How many tasks of other pid namespaces there are; `None` where v1 alone was asked, which leaves them out of its lists.
    pub outside: Option<usize>,
    /// The paths of the cgroups that were looked into.
    pub paths: Vec<Vec<u8>>,
}

/// What is to be listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Threads instead of processes.
    pub threads: bool,
    /// The cgroups below, too.
    pub recursive: bool,
}

/// Lists the members of a cgroup in each hierarchy that has it.
///
/// # Errors
/// Where a cgroup may not be looked into. One that goes meanwhile has no members.
pub fn read(cgroups: &Cgroups, places: &[(usize, Vec<u8>)], options: Options) -> Result<Members, SysError> {
    let mut members = Members::default();
    // By pid and by the number of the path, which is the same in each hierarchy.
    let mut index: HashMap<(u32, usize), usize> = HashMap::new();
    let mut paths: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut outside: Vec<usize> = Vec::new();
    for (hierarchy, path) in places {
        let cgroup = Cgroup::open(cgroups, *hierarchy, path)?;
        let mut zeros = 0;
        let mut visit = |one: &Cgroup<'_>| {
            let listed = if options.threads { one.threads() } else { one.processes() };
            let listed = match listed {
                Ok(listed) => listed,
                Err(error) if at::is_gone(error.errno) => return ControlFlow::Continue(()),
                Err(error) => return ControlFlow::Break(error),
            };
            zeros += listed.iter().filter(|pid| **pid == 0).count();
            let next = paths.len();
            let path = *paths.entry(one.path.clone()).or_insert(next);
            for pid in listed.into_iter().filter(|pid| *pid != 0) {
                let known = *index.entry((pid, path)).or_insert(members.all.len());
                match members.all.get_mut(known) {
                    Some(known) => known.hierarchies.push(one.hierarchy),
                    None => members.all.push(Member {
                        pid: Pid(pid),
                        path: one.path.clone(),
                        hierarchies: vec![one.hierarchy],
                    }),
                }
            }
            ControlFlow::Continue(())
        };
        let failed = match options.recursive {
            true => cgroup.walk(at::Order::AboveFirst, visit)?,
            false => visit(&cgroup).break_value(),
        };
        if let Some(error) = failed {
            return Err(error);
        }
        if cgroups.hierarchies[*hierarchy].hierarchy.version == Version::V2 {
            outside.push(zeros);
        }
    }
    members.paths = paths.into_keys().collect();
    members.paths.sort();
    members.all.sort_by(|one, other| (one.pid, &one.path).cmp(&(other.pid, &other.path)));
    members.outside = outside.into_iter().max();
    Ok(members)
}

/// Returns what follows a key. The name of the process stands in the first line with newlines escaped, so no other line is its.
fn field<'t>(status: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    parse::lines(status).find_map(|line| line.strip_prefix(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_behind_any_name() {
        let status = b"Name:\tThreads:\t9\nTgid:\t4242\nThreads:\t3\n";
        assert_eq!(field(status, b"Threads:").and_then(parse::number), Some(3));
    }
}
