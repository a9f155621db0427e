//! The members of a cgroup: which processes are in it, by what pids they are known, and in which other hierarchies they share the path.
//!
//! Not here: their users and command lines (`scan::describe`), which are read like those of any other process.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::at::{self, Cgroup};
use super::{Cgroups, parse};
use crate::model::Pid;
use crate::model::cgroup::Version;
use crate::proc::{ProcPid, ProcRoot, is_gone};
use crate::sys::{Errno, SysError};

/// A process, or a thread, in a cgroup.
pub struct Member {
    /// Its directory, by which it is held.
    pub process: ProcPid,
    /// Its pids from the caller's pid namespace inwards.
    pub nspids: Vec<u32>,
    /// How many threads it has.
    pub nthreads: Option<u32>,
    /// The cgroup that it is in.
    pub path: Vec<u8>,
    /// The indices of the hierarchies in which it is in that cgroup.
    pub hierarchies: Vec<usize>,
}

/// All members of some cgroups.
#[derive(Default)]
pub struct Members {
    /// Those that the caller's pid namespace shows, by pid.
    pub all: Vec<Member>,
    /// How many tasks of other pid namespaces there are; `None` where v1 alone was asked, which leaves them out of its lists.
    pub outside: Option<usize>,
    /// Of whom nothing could be read, and why.
    pub gaps: Vec<(Pid, Errno)>,
    /// The paths of the cgroups that were looked into.
    pub paths: Vec<Vec<u8>>,
    index: HashMap<(Pid, Vec<u8>), usize>,
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
pub fn read(
    cgroups: &Cgroups,
    proc: &ProcRoot,
    places: &[(usize, Vec<u8>)],
    options: Options,
) -> Result<Members, SysError> {
    let mut members = Members::default();
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
            for pid in listed.into_iter().filter(|pid| *pid != 0) {
                members.add(proc, Pid(pid), one);
            }
            members.paths.push(one.path.clone());
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
    members.index.clear();
    members.paths.sort();
    members.paths.dedup();
    members.all.sort_by(|one, other| (one.process.pid, &one.path).cmp(&(other.process.pid, &other.path)));
    members.outside = outside.into_iter().max();
    Ok(members)
}

impl Members {
    fn add(&mut self, proc: &ProcRoot, pid: Pid, cgroup: &Cgroup<'_>) {
        if let Some(&known) = self.index.get(&(pid, cgroup.path.clone())) {
            self.all[known].hierarchies.push(cgroup.hierarchy);
            return;
        }
        let read = proc.process(pid).and_then(|process| Ok((process.read_all(c"status", 1 << 16)?, process)));
        let (status, process) = match read {
            Ok(read) => read,
            Err(errno) if is_gone(errno) => return,
            Err(errno) => {
                if !self.gaps.contains(&(pid, errno)) {
                    self.gaps.push((pid, errno));
                }
                return;
            }
        };
        self.index.insert((pid, cgroup.path.clone()), self.all.len());
        self.all.push(Member {
            nspids: crate::proc::parse::numbers(&status).map_or_else(Vec::new, |numbers| numbers.nspid),
            nthreads: field(&status, b"Threads:").and_then(parse::number).and_then(|count| u32::try_from(count).ok()),
            process,
            path: cgroup.path.clone(),
            hierarchies: vec![cgroup.hierarchy],
        });
    }
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
