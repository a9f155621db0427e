//! The cgroups that a process, or a cgroup, hangs on: in each hierarchy those from the root down to its own, with their files.
//!
//! What is read depends on how deep it lies, and not on how many cgroups there are beside it. A cgroup that goes while it is read is
//! left out; what may not be read is said with its reason.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use super::files::Files;
use super::host::{Cgroups, MOST_BYTES, Opened};
use super::layout::Place;
use super::parse;
use crate::model::Pid;
use crate::model::cgroup::Version;
use crate::proc::parse::cgroup_lines;
use crate::proc::{ProcPid, ProcRoot};
use crate::sys::dir::{self, DirReader};
use crate::sys::{Call, Errno, SysError, cgroupfs, inside};

/// A cgroup on the way from the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its path, as the caller's cgroup namespace has it.
    pub path: Vec<u8>,
    /// The inode number of its directory; on v2 that is its id.
    pub inode: Option<u64>,
    /// What is in it.
    pub files: Files,
}

/// How much of a ladder could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// All of it.
    Whole,
    /// Nothing: the hierarchy is not mounted here.
    NotMounted,
    /// Nothing: the cgroup lies outside of what is mounted, or of the caller's cgroup namespace.
    Outside,
    /// Nothing: the cgroup was removed. A process on its way out is still counted there.
    Removed,
    /// Down to the last level only.
    Refused(SysError),
}

/// The way from the root of a hierarchy to a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// The index of the hierarchy.
    pub hierarchy: usize,
    /// The path of the cgroup, as the caller's cgroup namespace has it.
    pub path: Vec<u8>,
    /// The same as the cgroup namespace of the process has it, where that is another one and could be asked.
    pub path_inside: Option<Vec<u8>>,
    /// How much of it could be read.
    pub seen: Seen,
    /// The cgroups, from the top down.
    pub levels: Vec<Level>,
}

impl Ladder {
    /// Returns the cgroup itself, if it was reached.
    pub fn leaf(&self) -> Option<&Level> {
        self.levels.last().filter(|_| self.seen == Seen::Whole)
    }

    /// Says whether the top is the root of the hierarchy: otherwise there are limits above that nobody can see from here.
    pub fn is_from_root(&self) -> bool {
        self.levels.first().is_none_or(|top| top.files.is_root())
    }
}

/// A process or a cgroup, with all that its cgroups say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The process, if it is one.
    pub pid: Option<Pid>,
    /// Its ladder in each hierarchy where it is.
    pub ladders: Vec<Ladder>,
    /// How many processors it may run on by sched_setaffinity(2), if it is a process.
    pub affinity: Option<u64>,
}

impl Subject {
    /// Returns the ladder in a hierarchy.
    pub fn ladder(&self, hierarchy: usize) -> Option<&Ladder> {
        self.ladders.iter().find(|ladder| ladder.hierarchy == hierarchy)
    }

    /// Reads the cgroups of a process.
    ///
    /// # Errors
    /// `ENOENT` or `ESRCH` where the process has gone, `EACCES`.
    pub fn of_process(cgroups: &Cgroups, proc: &ProcRoot, process: &ProcPid) -> Result<Subject, SysError> {
        /// How often somebody may be moved while he is looked at.
        const TRIES: usize = 3;
        let name = proc.name(&format!("{}/cgroup", process.pid));
        let read = || {
            let failed = |errno| SysError::new(Call::Openat(name.clone()), errno);
            process.read_all(c"cgroup", MOST_BYTES).map_err(failed)
        };
        let mut text = read()?;
        let mut reader = LevelReader::new();
        let mut ladders = Vec::new();
        for _ in 0..TRIES {
            let paths = paths(cgroups, &text);
            ladders = paths.into_iter().map(|(index, path)| reader.ladder(cgroups, index, path)).collect();
            let again = read()?;
            if again == text {
                break;
            }
            text = again;
        }
        add_inside(cgroups, process, &mut ladders);
        let status = process.read_all(c"status", MOST_BYTES).unwrap_or_default();
        let affinity =
            parse::lines(&status).find_map(|line| parse::list_len(line.strip_prefix(b"Cpus_allowed_list:")?));
        Ok(Subject { pid: Some(process.pid), ladders, affinity })
    }

    /// Reads a cgroup by its path, in each hierarchy that has it, or in one.
    ///
    /// # Errors
    /// `ENOENT` where no hierarchy has it, with the directory that was looked for.
    pub fn of_cgroup(cgroups: &Cgroups, path: &[u8], only: Option<usize>) -> Result<Subject, SysError> {
        let mut reader = LevelReader::new();
        let mut failed = None;
        let mut ladders = Vec::new();
        for (index, opened) in cgroups.hierarchies.iter().enumerate() {
            if opened.top().is_none() || only.is_some_and(|only| only != index) {
                continue;
            }
            match opened.open(path) {
                Ok(_) => ladders.push(reader.ladder(cgroups, index, path.to_vec())),
                Err(errno) => {
                    let directory = opened.directory(path).unwrap_or_else(|| path.to_vec());
                    failed.get_or_insert(SysError::new(Call::Openat(directory), errno));
                }
            }
        }
        let missing = || SysError::new(Call::Openat(path.to_vec()), Errno::ENOENT);
        if ladders.is_empty() {
            return Err(failed.unwrap_or_else(missing));
        }
        Ok(Subject { pid: None, ladders, affinity: None })
    }

    /// Reads the same cgroups anew, for a comparison with what they said before.
    pub fn read_again(&self, cgroups: &Cgroups) -> Subject {
        let mut reader = LevelReader::new();
        let ladders = self.ladders.iter().map(|ladder| Ladder {
            path_inside: ladder.path_inside.clone(),
            ..reader.ladder(cgroups, ladder.hierarchy, ladder.path.clone())
        });
        Subject { pid: self.pid, ladders: ladders.collect(), affinity: self.affinity }
    }
}

/// Returns the path in each hierarchy that a `/proc/PID/cgroup` names.
pub fn paths(cgroups: &Cgroups, text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut paths: Vec<(usize, Vec<u8>)> = cgroup_lines(text)
        .filter_map(|line| {
            let is_it = |opened: &Opened| opened.hierarchy.id == line.id;
            Some((cgroups.hierarchies.iter().position(is_it)?, line.path.to_vec()))
        })
        .collect();
    paths.sort_by_key(|(index, _)| *index);
    paths
}

/// Reads one cgroup after the other.
pub(super) struct LevelReader {
    directory: DirReader,
}

impl LevelReader {
    pub(super) fn new() -> LevelReader {
        LevelReader { directory: DirReader::new(16) }
    }

    /// Reads the way to a cgroup, as far as it goes.
    fn ladder(&mut self, cgroups: &Cgroups, index: usize, path: Vec<u8>) -> Ladder {
        let opened = &cgroups.hierarchies[index];
        let mut ladder = Ladder { hierarchy: index, path, path_inside: None, seen: Seen::Whole, levels: Vec::new() };
        match opened.hierarchy.place(&ladder.path) {
            Place::NotMounted => ladder.seen = Seen::NotMounted,
            Place::Outside => ladder.seen = Seen::Outside,
            Place::Directory(_) => {
                if let Err((path, errno)) = self.levels(opened, &ladder.path, &mut ladder.levels) {
                    let gone = matches!(errno, Errno::ENOENT | Errno::ENODEV);
                    ladder.seen = if gone { Seen::Removed } else { refused(opened, &path, errno) };
                }
            }
        }
        ladder
    }

    /// Reads the cgroups down to one; what fails is told with the path that it failed for.
    fn levels(&mut self, opened: &Opened, path: &[u8], levels: &mut Vec<Level>) -> Result<(), (Vec<u8>, Errno)> {
        for path in ancestors(opened.top_path(), path) {
            match opened
                .open(&path)
                .and_then(|directory| self.level(directory.as_fd(), opened.hierarchy.version, &path))
            {
                Ok(level) => levels.push(level),
                Err(errno) => return Err((path, errno)),
            }
        }
        Ok(())
    }

    /// Reads all files of a cgroup that say something of limits, usage and events.
    ///
    /// # Errors
    /// `ENODEV` where it was removed.
    pub(super) fn level(&mut self, directory: BorrowedFd<'_>, version: Version, path: &[u8]) -> Result<Level, Errno> {
        let mut names: Vec<CString> = Vec::new();
        self.directory.entries(directory, |name| {
            if name.to_str().is_ok_and(tells) {
                names.push(name.to_owned());
            }
        })?;
        let mut files = Files::new(version);
        for name in &names {
            // A file that may not be read, or cannot be where there is no PSI, is one that says nothing.
            let (Ok(content), Ok(text)) = (dir::read_whole(directory, name, MOST_BYTES), name.to_str()) else {
                continue;
            };
            files.insert(text, content);
        }
        let inode = cgroupfs::directory(directory).ok().map(|directory| directory.inode);
        Ok(Level { path: path.to_vec(), inode, files })
    }
}

fn refused(opened: &Opened, path: &[u8], errno: Errno) -> Seen {
    let directory = opened.directory(path).unwrap_or_else(|| path.to_vec());
    Seen::Refused(SysError::new(Call::Openat(directory), errno))
}

/// Returns the paths of a cgroup and of those above it, the top first.
pub(super) fn ancestors(top: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    let base = if top == b"/" { 0 } else { top.len() };
    let ends = path.iter().enumerate().skip(base + 1).filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
    let mut all = vec![top.to_vec()];
    if path.len() > base && path != b"/" {
        all.extend(ends.chain([path.len()]).map(|end| path[..end].to_vec()));
    }
    all
}

/// Says whether a file of a cgroup is worth reading. Lists of tasks are read by those who want them; some files are only written to, some
/// take the kernel long and say nothing that is used.
fn tells(name: &str) -> bool {
    const NOT: [&str; 12] = [
        "cgroup.procs",
        "cgroup.threads",
        "cgroup.kill",
        "cgroup.event_control",
        "cgroup.sane_behavior",
        "memory.reclaim",
        "memory.force_empty",
        "memory.pressure_level",
        "memory.numa_stat",
        "memory.kmem.slabinfo",
        "blkio.reset_stats",
        "hugetlb.numa_stat",
    ];
    const BEGINNINGS: [&str; 15] = [
        "cgroup.",
        "memory.",
        "cpu.",
        "cpuset.",
        "cpuacct.usage",
        "pids.",
        "io.",
        "blkio.throttle.",
        "blkio.bfq.weight",
        "hugetlb.",
        "rdma.",
        "misc.",
        "dmem.",
        "freezer.",
        "release_agent",
    ];
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        && !NOT.contains(&name)
        && !name.ends_with(".numa_stat")
        && !name.starts_with("cpuacct.usage_")
}

/// Asks for the paths as the process itself sees them, where it is in another cgroup namespace.
fn add_inside(cgroups: &Cgroups, process: &ProcPid, ladders: &mut [Ladder]) {
    use crate::model::{KindSet, NsKind};
    let kinds = [NsKind::Cgroup].into_iter().collect::<KindSet>();
    let namespace =
        |process: &ProcPid| process.namespaces_of(kinds).ok().and_then(|found| found[NsKind::Cgroup.index()]);
    let Some(theirs) = namespace(process) else { return };
    let own = crate::model::NsName::parse(
        &std::fs::read_link("/proc/self/ns/cgroup")
            .map_or_else(|_| Vec::new(), |link| link.into_os_string().into_encoded_bytes()),
    );
    if own.is_none_or(|own| own.id == theirs) {
        return;
    }
    let Ok(opened) = process.open_ns(c"ns/cgroup") else { return };
    let Ok(file) = dir::open_read(process.as_fd(), c"cgroup") else { return };
    let Ok(text) = inside::read_in_cgroup_ns(opened.as_fd(), file.as_fd(), MOST_BYTES) else { return };
    for (index, path) in paths(cgroups, &text) {
        if let Some(ladder) = ladders.iter_mut().find(|ladder| ladder.hierarchy == index) {
            ladder.path_inside = Some(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_begin_at_the_top_of_the_mount() {
        let of = |top: &str, path: &str| -> Vec<String> {
            let all = ancestors(top.as_bytes(), path.as_bytes());
            all.into_iter().map(|path| String::from_utf8(path).expect("UTF-8")).collect()
        };
        assert_eq!(of("/", "/"), ["/"]);
        assert_eq!(of("/", "/a/b"), ["/", "/a", "/a/b"]);
        assert_eq!(of("/docker/x", "/docker/x"), ["/docker/x"]);
        assert_eq!(of("/docker/x", "/docker/x/a/b"), ["/docker/x", "/docker/x/a", "/docker/x/a/b"]);
    }

    #[test]
    fn only_files_that_tell_something_are_read() {
        for name in ["memory.max", "cpu.stat", "cgroup.type", "hugetlb.2MB.max", "blkio.throttle.read_bps_device"] {
            assert!(tells(name), "{name}");
        }
        for name in
            ["cgroup.procs", "tasks", "memory.reclaim", "hugetlb.2MB.numa_stat", "devices.allow", "notify_on_release"]
        {
            assert!(!tells(name), "{name}");
        }
    }
}
