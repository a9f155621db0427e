//! All cgroups below one, read by several threads at once.
//!
//! A cgroup is opened relative to the one above it, so that no path is too long, and one that goes meanwhile is just not there any more.
//! Which cgroups have children is known from their link counts: only those are listed, for a list has dozens of files in it. See
//! `Documentation/admin-guide/cgroup-v2.rst`, getdents64(2).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::group::{Group, tree_order};
use super::host::Cgroups;
use super::parse;
use crate::model::cgroup::Version;
use crate::sys::dir::{self, DirReader};
use crate::sys::{Errno, cgroupfs, errno_name};

mod limits;
mod wanted;

use wanted::{Wanted, files_of};

/// More threads than this do not help: the kernel's locks are what they wait for then.
const MOST_WORKERS: usize = 8;

/// What is read of each cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything that a list shows.
    Everything,
    /// The counters that a rate is made of.
    Rates,
}

/// A cgroup that could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeGap {
    /// Its path.
    pub path: Vec<u8>,
    /// The errno's name.
    pub errno: &'static str,
}

/// A part of the tree of cgroups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// All cgroups, each right behind the one above it.
    pub groups: Vec<Group>,
    /// Those that could not be looked into.
    pub gaps: Vec<TreeGap>,
    /// The paths of cgroups above the first one, as far as limits come from there.
    pub above: Vec<Vec<u8>>,
}

/// A cgroup to be read.
struct Job {
    hierarchy: usize,
    above: Arc<OwnedFd>,
    name: CString,
    path: Vec<u8>,
    /// How far below the start it lies.
    level: usize,
}

/// What the threads share.
struct Queue {
    jobs: Vec<Job>,
    /// Cgroups that are being read, whose children may still come.
    busy: usize,
    /// Threads that have nothing to do.
    idle: usize,
}

struct Walk<'a> {
    cgroups: &'a Cgroups,
    depth: Depth,
    /// How many levels below the start are read.
    levels: usize,
    queue: Mutex<Queue>,
    more: Condvar,
    /// For each hierarchy the files that are read of it.
    files: Vec<Vec<&'static Wanted>>,
}

/// Reads a cgroup and all below it, in every hierarchy that has it, or in one. `levels` is how far down.
///
/// The limits come to what they come to with those above, too.
///
/// # Errors
/// `ENOENT` where no hierarchy has it.
pub fn read_tree(
    cgroups: &Cgroups,
    start: &[u8],
    only: Option<usize>,
    levels: Option<usize>,
    depth: Depth,
) -> Result<Tree, Errno> {
    let mut jobs = Vec::new();
    let mut failed = Errno::ENOENT;
    for (hierarchy, opened) in cgroups.hierarchies.iter().enumerate() {
        if opened.top().is_none() || only.is_some_and(|only| only != hierarchy) {
            continue;
        }
        // What is above the top of a mount cannot be seen: there the top is where everything begins.
        let path = if start == b"/" { opened.top_path() } else { start };
        match opened.open(path) {
            Ok(directory) => {
                let (above, name) = (Arc::new(directory), c".".to_owned());
                jobs.push(Job { hierarchy, above, name, path: path.to_vec(), level: 0 });
            }
            Err(errno) => failed = errno,
        }
    }
    if jobs.is_empty() {
        return Err(failed);
    }
    let files = cgroups.hierarchies.iter().map(|opened| files_of(opened, depth)).collect();
    let walk = Walk {
        cgroups,
        depth,
        levels: levels.unwrap_or(usize::MAX),
        queue: Mutex::new(Queue { jobs, busy: 0, idle: 0 }),
        more: Condvar::new(),
        files,
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
    let found = Mutex::new(Tree::default());
    std::thread::scope(|scope| {
        for _ in 1..workers {
            // Where no more threads may be made the work is done all the same.
            let _ = std::thread::Builder::new().spawn_scoped(scope, || walk.work(&found));
        }
        walk.work(&found);
    });
    let mut tree = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    tree.tidy();
    if depth == Depth::Everything {
        tree.apply_limits(cgroups, only);
    }
    Ok(tree)
}

impl Walk<'_> {
    /// Reads cgroups until there are no more.
    fn work(&self, found: &Mutex<Tree>) {
        let mut own = Tree::default();
        let mut reader = DirReader::new(32);
        let mut buffer = vec![0; 4096];
        while let Some(job) = self.next() {
            let below = self.read(job, &mut own, &mut reader, &mut buffer);
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.busy -= 1;
            let wake = queue.idle > 0 && (!below.is_empty() || queue.busy == 0);
            queue.jobs.extend(below);
            drop(queue);
            if wake {
                self.more.notify_all();
            }
        }
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.groups.append(&mut own.groups);
        found.gaps.append(&mut own.gaps);
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = queue.jobs.pop() {
                queue.busy += 1;
                return Some(job);
            }
            if queue.busy == 0 {
                return None;
            }
            queue.idle += 1;
            queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    /// Reads one cgroup, and returns those right below it.
    fn read(&self, job: Job, own: &mut Tree, reader: &mut DirReader, buffer: &mut [u8]) -> Vec<Job> {
        let mut gap = |errno: Errno| {
            if !matches!(errno, Errno::ENOENT | Errno::ENODEV) {
                own.gaps.push(TreeGap { path: job.path.clone(), errno: errno_name(errno) });
            }
        };
        let directory = match dir::open_dir(job.above.as_fd(), &job.name) {
            Ok(directory) => Arc::new(directory),
            Err(errno) => {
                gap(errno);
                return Vec::new();
            }
        };
        let about = cgroupfs::directory(directory.as_fd()).ok();
        let mut below = Vec::new();
        // A file system that does not count links has to be listed.
        if job.level < self.levels && about.and_then(|about| about.children) != Some(0) {
            let listed = cgroupfs::subdirectories(reader, directory.as_fd(), |name| {
                let base: &[u8] = if job.path == b"/" { b"" } else { &job.path };
                let path = [base, b"/", name.to_bytes()].concat();
                below.push(Job {
                    hierarchy: job.hierarchy,
                    above: Arc::clone(&directory),
                    name: name.to_owned(),
                    path,
                    level: job.level + 1,
                });
            });
            if let Err(errno) = listed {
                gap(errno);
            }
        }
        let mut group = Group { path: job.path, hierarchies: vec![job.hierarchy], ..Group::default() };
        group.inode = about.map(|about| about.inode);
        for wanted in &self.files[job.hierarchy] {
            if let Ok(file) = dir::open_read(directory.as_fd(), wanted.name)
                && let Ok(text) = dir::read(file.as_fd(), buffer)
            {
                (wanted.take)(&mut group, text);
            }
        }
        if self.depth == Depth::Everything {
            let version = self.cgroups.hierarchies[job.hierarchy].hierarchy.version;
            read_pids(directory.as_fd(), version, &mut group, buffer);
        }
        own.groups.push(group);
        below
    }
}

/// Reads who is in a cgroup. In a threaded one the kernel does not say which processes are, but which threads.
fn read_pids(directory: BorrowedFd<'_>, version: Version, group: &mut Group, buffer: &mut [u8]) {
    /// Longer than any line with a pid.
    const LINE: usize = 32;
    let mut read = |name: &CStr| -> Result<(), Errno> {
        let file = dir::open_read(directory, name)?;
        // A number may be cut where the buffer ends; its beginning waits for the rest.
        let mut kept = 0;
        loop {
            let more = dir::read(file.as_fd(), &mut buffer[kept..])?.len();
            let filled = kept + more;
            // The kernel hands over whole lines, as many as fit: where there was room for another, there is none.
            let last = more == 0 || filled + LINE < buffer.len();
            let line_end = || buffer[..filled].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let whole = if last { filled } else { line_end() };
            for pid in parse::pids(&buffer[..whole]) {
                match pid {
                    0 => group.pids_outside += 1,
                    pid => group.pids.push(pid),
                }
            }
            if last {
                return Ok(());
            }
            buffer.copy_within(whole..filled, 0);
            kept = filled - whole;
        }
    };
    if read(c"cgroup.procs") == Err(Errno::EOPNOTSUPP) && version == Version::V2 {
        // Who has gone meanwhile is nobody.
        let _ = read(c"cgroup.threads");
    }
}

impl Tree {
    /// Puts the cgroups into order, and those with the same path together.
    fn tidy(&mut self) {
        let first = self.groups.first().map(|group| group.hierarchies.clone());
        if self.groups.iter().any(|group| Some(&group.hierarchies) != first.as_ref()) {
            self.merge();
        }
        for group in &mut self.groups {
            group.pids.sort_unstable();
            group.pids.dedup();
        }
        // Groups are large: it is their numbers that are sorted.
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.sort_unstable_by(|&a, &b| tree_order(&self.groups[a].path, &self.groups[b].path));
        let mut groups: Vec<Option<Group>> = self.groups.drain(..).map(Some).collect();
        self.groups = order.into_iter().filter_map(|index| groups[index].take()).collect();
        self.gaps.sort_by(|a, b| tree_order(&a.path, &b.path));
        self.gaps.dedup();
    }

    /// Makes one of those that have the same path in several hierarchies.
    fn merge(&mut self) {
        // v2 is the first of the hierarchies, and counts where both have something.
        self.groups.sort_by_key(|group| group.hierarchies.first().copied());
        let mut by_path: HashMap<Vec<u8>, usize> = HashMap::with_capacity(self.groups.len());
        let mut groups: Vec<Group> = Vec::with_capacity(self.groups.len());
        for group in self.groups.drain(..) {
            match by_path.entry(group.path.clone()) {
                Entry::Occupied(place) => groups[*place.get()].merge(group),
                Entry::Vacant(place) => {
                    place.insert(groups.len());
                    groups.push(group);
                }
            }
        }
        self.groups = groups;
    }

    /// Returns for each cgroup the index of the one above it in the tree.
    pub fn parents(&self) -> Vec<Option<usize>> {
        let mut parents = Vec::with_capacity(self.groups.len());
        let mut above: Vec<usize> = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            while above.last().is_some_and(|&last| !is_below(&group.path, &self.groups[last].path)) {
                above.pop();
            }
            parents.push(above.last().copied());
            above.push(index);
        }
        parents
    }

    /// Takes the rates from what the same cgroups had used some time ago.
    pub fn add_rates(&mut self, before: &Tree, elapsed: Duration) {
        let then: HashMap<&[u8], &Group> = before.groups.iter().map(|group| (&group.path[..], group)).collect();
        let usec = (elapsed.as_micros() as u64).max(1);
        for group in &mut self.groups {
            // A cgroup that was made anew meanwhile is another one.
            let Some(before) = then.get(&group.path[..]).filter(|before| before.inode == group.inode) else { continue };
            if let (Some(now), Some(then)) = (group.cpu_usage_usec, before.cpu_usage_usec) {
                group.cpu_millicpus = Some(now.saturating_sub(then).saturating_mul(1000) / usec);
            }
            if let (Some(now), Some(then)) = (group.throttling, before.throttling) {
                group.throttling_watched = Some(now.since(&then));
            }
        }
    }
}

/// Says whether one path lies below another.
fn is_below(path: &[u8], above: &[u8]) -> bool {
    above == b"/" && path != b"/" || path.strip_prefix(above).is_some_and(|rest| rest.starts_with(b"/"))
}

/// When a tree was read, for rates.
pub struct Sample {
    /// The tree.
    pub tree: Tree,
    /// When the reading of it began and ended: half-way between is when it was true.
    pub at: Instant,
}

impl Sample {
    /// Reads a tree.
    ///
    /// # Errors
    /// As [`read_tree`].
    pub fn take(
        cgroups: &Cgroups,
        start: &[u8],
        only: Option<usize>,
        levels: Option<usize>,
        depth: Depth,
    ) -> Result<Sample, Errno> {
        let begin = Instant::now();
        let tree = read_tree(cgroups, start, only, levels, depth)?;
        Ok(Sample { tree, at: begin + begin.elapsed() / 2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(path: &str) -> Group {
        Group { path: path.into(), hierarchies: vec![0], inode: Some(7), ..Group::default() }
    }

    #[test]
    fn cgroups_of_several_hierarchies_with_one_path_are_one() {
        let memory = Group { hierarchies: vec![2], pids: vec![9, 7], memory_current: Some(5), ..group("/a") };
        let pids =
            Group { hierarchies: vec![1], pids: vec![7, 8], pids_current: Some(3), frozen: Some(true), ..group("/a") };
        let mut tree = Tree { groups: vec![memory, pids, group("/")], ..Tree::default() };
        tree.tidy();
        assert_eq!(tree.groups.len(), 2);
        let both = &tree.groups[1];
        assert_eq!((&both.hierarchies[..], &both.pids[..]), (&[1, 2][..], &[7, 8, 9][..]));
        assert_eq!((both.memory_current, both.pids_current, both.frozen), (Some(5), Some(3), Some(true)));
    }

    #[test]
    fn each_knows_who_is_above() {
        let mut tree =
            Tree { groups: ["/a", "/", "/a/b", "/a-b", "/a/b/c", "/x"].map(group).to_vec(), ..Tree::default() };
        tree.tidy();
        let names: Vec<_> = tree.groups.iter().map(|group| String::from_utf8_lossy(&group.path).into_owned()).collect();
        assert_eq!(names, ["/", "/a", "/a/b", "/a/b/c", "/a-b", "/x"]);
        assert_eq!(tree.parents(), [None, Some(0), Some(1), Some(2), Some(0), Some(0)]);
    }

    #[test]
    fn rates_are_of_the_same_cgroup_only() {
        let used = |path: &str, inode, usec| Group { inode: Some(inode), cpu_usage_usec: Some(usec), ..group(path) };
        let before = Tree { groups: vec![used("/a", 1, 1000), used("/b", 2, 1000)], ..Tree::default() };
        let mut now =
            Tree { groups: vec![used("/a", 1, 501_000), used("/b", 3, 9), used("/c", 4, 9)], ..Tree::default() };
        now.add_rates(&before, Duration::from_secs(1));
        let rates: Vec<_> = now.groups.iter().map(|group| group.cpu_millicpus).collect();
        assert_eq!(rates, [Some(500), None, None]);
    }
}
