//! One cgroup in one hierarchy, held by its directory: what is read of it and written to it is of it, or fails.
//!
//! See cgroups(7). Not here: what the contents of its files mean (`parse`), and which changes make sense (`change`).

use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::host::{Cgroups, MOST_BYTES, Opened};
use super::{ladder, parse};
use crate::model::cgroup::Version;
use crate::proc::ProcPid;
use crate::sys::dir::{self, DirReader};
use crate::sys::{Call, Errno, SysError, cgroupfs};

/// A list of members is read this far: a million of them.
const MOST_LIST_BYTES: usize = 8 << 20;

/// A cgroup, open.
pub struct Cgroup<'a> {
    cgroups: &'a Cgroups,
    /// The index of its hierarchy.
    pub hierarchy: usize,
    /// Its path, as the caller's cgroup namespace has it.
    pub path: Vec<u8>,
    directory: OwnedFd,
}

impl<'a> Cgroup<'a> {
    /// Opens it.
    ///
    /// # Errors
    /// `ENOENT` where there is none with this path, or the hierarchy is not mounted; `EACCES`.
    pub fn open(cgroups: &'a Cgroups, hierarchy: usize, path: &[u8]) -> Result<Cgroup<'a>, SysError> {
        let opened = &cgroups.hierarchies[hierarchy];
        let failed =
            |errno| SysError::new(Call::Openat(opened.directory(path).unwrap_or_else(|| path.to_vec())), errno);
        let directory = opened.open(path).map_err(failed)?;
        Ok(Cgroup { cgroups, hierarchy, path: path.to_vec(), directory })
    }

    /// Returns its directory, for who keeps it longer than the hierarchies.
    pub fn into_directory(self) -> OwnedFd {
        self.directory
    }

    /// Returns its hierarchy.
    pub fn opened(&self) -> &'a Opened {
        &self.cgroups.hierarchies[self.hierarchy]
    }

    /// Returns all hierarchies.
    pub fn cgroups(&self) -> &'a Cgroups {
        self.cgroups
    }

    /// Returns the version of its hierarchy.
    pub fn version(&self) -> Version {
        self.opened().hierarchy.version
    }

    /// Returns the path of one of its files as a user would type it, for messages.
    pub fn name(&self, file: &str) -> Vec<u8> {
        let directory = self.opened().directory(&self.path).unwrap_or_else(|| self.path.clone());
        if file.is_empty() { directory } else { [&directory[..], b"/", file.as_bytes()].concat() }
    }

    /// Reads one of its files.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`, `ENODEV` where the cgroup was removed, `EOPNOTSUPP` from lists of a threaded cgroup.
    pub fn read(&self, file: &str) -> Result<Vec<u8>, SysError> {
        let limit =
            if matches!(file, "cgroup.procs" | "cgroup.threads" | "tasks") { MOST_LIST_BYTES } else { MOST_BYTES };
        let read = c_name(file).and_then(|name| dir::read_whole(self.directory.as_fd(), &name, limit));
        read.map_err(|errno| SysError::new(Call::Read(self.name(file)), errno))
    }

    /// Reads one of its files that is one record: a value, or what a controller counts, and not a list of members.
    ///
    /// # Errors
    /// As [`Cgroup::read`].
    pub fn read_record(&self, file: &str) -> Result<Vec<u8>, SysError> {
        let opened = c_name(file).and_then(|name| dir::open_read(self.directory.as_fd(), &name));
        let read = opened.and_then(|opened| dir::read_record(opened.as_fd(), MOST_BYTES));
        read.map_err(|errno| SysError::new(Call::Read(self.name(file)), errno))
    }

    /// Returns the number that one of its files is.
    pub fn number(&self, file: &str) -> Option<u64> {
        parse::number(&self.read_record(file).ok()?)
    }

    /// Returns the number of a key in one of its flat keyed files.
    pub fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        parse::keyed(&self.read_record(file).ok()?, key)
    }

    /// Opens one of its files for reading, to be read again and again.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`.
    pub fn open_read(&self, file: &str) -> Result<OwnedFd, SysError> {
        let opened = c_name(file).and_then(|name| dir::open_read(self.directory.as_fd(), &name));
        opened.map_err(|errno| SysError::new(Call::Openat(self.name(file)), errno))
    }

    /// Opens one of its files for writing.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`, `EROFS`.
    pub fn open_write(&self, file: &str) -> Result<OwnedFd, SysError> {
        let opened = c_name(file).and_then(|name| cgroupfs::open_write(self.directory.as_fd(), &name));
        opened.map_err(|errno| SysError::new(Call::Openat(self.name(file)), errno))
    }

    /// Writes a value to one of its files, in one call.
    ///
    /// # Errors
    /// As [`Cgroup::open_write`], with openat(2) as the call that failed; and what the controller says of the value.
    pub fn write(&self, file: &str, value: &[u8]) -> Result<(), SysError> {
        let opened = self.open_write(file)?;
        self.write_to(opened.as_fd(), file, value)
    }

    /// Writes a value to a file of it that is open.
    ///
    /// # Errors
    /// What the controller says of the value.
    pub fn write_to(&self, opened: BorrowedFd<'_>, file: &str, value: &[u8]) -> Result<(), SysError> {
        let call = || Call::WriteText { path: self.name(file), text: value.to_vec() };
        cgroupfs::write(opened, value).map_err(|errno| SysError::new(call(), errno))
    }

    /// Says whether it has a file with this name.
    pub fn has(&self, file: &str) -> bool {
        c_name(file).is_ok_and(|name| dir::open_path_any(self.directory.as_fd(), &name).is_ok())
    }

    /// Says whether the caller may write to a file of it.
    pub fn may_write(&self, file: &str) -> bool {
        c_name(file).is_ok_and(|name| cgroupfs::may_write(self.directory.as_fd(), &name))
    }

    /// Returns the uid of the owner of a file of it, or of its directory where the name is empty.
    pub fn owner(&self, file: &str) -> Option<u32> {
        if file.is_empty() {
            return cgroupfs::directory(self.directory.as_fd()).ok().map(|directory| directory.uid);
        }
        cgroupfs::owner(self.directory.as_fd(), &c_name(file).ok()?).ok()
    }

    /// Returns the processes in it, a 0 for each that is of another pid namespace. In a threaded cgroup these are threads.
    ///
    /// # Errors
    /// `EACCES`, `ENODEV` where it was removed.
    pub fn processes(&self) -> Result<Vec<u32>, SysError> {
        match self.read("cgroup.procs") {
            Err(error) if error.errno == Errno::EOPNOTSUPP => self.threads(),
            text => Ok(parse::pids(&text?).collect()),
        }
    }

    /// Returns the threads in it, likewise.
    ///
    /// # Errors
    /// As [`Cgroup::processes`].
    pub fn threads(&self) -> Result<Vec<u32>, SysError> {
        Ok(parse::pids(&self.read(self.threads_file())?).collect())
    }

    /// Returns the file that threads are listed in and moved by.
    pub fn threads_file(&self) -> &'static str {
        match self.version() {
            Version::V1 => "tasks",
            Version::V2 => "cgroup.threads",
        }
    }

    /// Says whether it is one of a threaded subtree, but not its root.
    pub fn is_threaded(&self) -> bool {
        self.version() == Version::V2 && self.read("cgroup.type").is_ok_and(|kind| kind.trim_ascii() == b"threaded")
    }

    /// Says whether it is the root of its hierarchy, and not just the top of what can be seen of it.
    pub fn is_root(&self) -> bool {
        match self.version() {
            Version::V1 => self.has("release_agent"),
            Version::V2 => !self.has("cgroup.type") && !self.has("cgroup.events"),
        }
    }

    /// Says whether it is the topmost cgroup that can be reached from here.
    pub fn is_top(&self) -> bool {
        self.path == self.opened().top_path() || self.path == b"/"
    }

    /// Opens the cgroup above it; `None` where that cannot be reached.
    pub fn parent(&self) -> Option<Cgroup<'a>> {
        if self.is_top() {
            return None;
        }
        self.up().ok()
    }

    /// Opens the cgroup above it by `..`: no cgroup ever gets another one above it, and no path is too long for this.
    ///
    /// # Errors
    /// `ENOENT` where both were removed, `EACCES`.
    pub(super) fn up(&self) -> Result<Cgroup<'a>, SysError> {
        let path = parent_path(&self.path).unwrap_or(b"/").to_vec();
        self.neighbour(c"..", path)
    }

    /// Opens a cgroup right below it.
    fn child(&self, name: &CStr) -> Result<Cgroup<'a>, SysError> {
        let base: &[u8] = if self.path == b"/" { b"" } else { &self.path };
        self.neighbour(name, [base, b"/", name.to_bytes()].concat())
    }

    fn neighbour(&self, name: &CStr, path: Vec<u8>) -> Result<Cgroup<'a>, SysError> {
        match dir::open_dir(self.directory.as_fd(), name) {
            Ok(directory) => Ok(Cgroup { cgroups: self.cgroups, hierarchy: self.hierarchy, path, directory }),
            Err(errno) => Err(SysError::new(Call::Openat(self.opened().directory(&path).unwrap_or(path)), errno)),
        }
    }

    /// Returns it and the cgroups above it, as far as they can be reached, the nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = Cgroup<'a>> {
        std::iter::successors(self.parent(), Cgroup::parent)
    }

    /// Returns the paths of the cgroups right below it.
    ///
    /// # Errors
    /// `ENODEV` where it was removed, `EACCES`.
    pub fn children(&self) -> Result<Vec<Vec<u8>>, SysError> {
        let base: &[u8] = if self.path == b"/" { b"" } else { &self.path };
        let mut all: Vec<Vec<u8>> =
            self.names_below()?.iter().map(|name| [base, b"/", name.to_bytes()].concat()).collect();
        all.sort();
        Ok(all)
    }

    fn names_below(&self) -> Result<Vec<CString>, SysError> {
        let mut all = Vec::new();
        // A descriptor that has been read to its end says nothing any more.
        let listed = dir::open_dir(self.directory.as_fd(), c".").and_then(|directory| {
            cgroupfs::subdirectories(&mut DirReader::new(16), directory.as_fd(), |name| all.push(name.to_owned()))
        });
        listed.map_err(|errno| SysError::new(Call::Getdents(self.name("")), errno))?;
        Ok(all)
    }

    /// Calls `visit` with it and all cgroups below it until that breaks off, and returns what it broke off with. Who goes meanwhile is
    /// left out.
    ///
    /// Whoever owns a subtree makes it as wide and as deep as he likes: one descriptor is enough for all of it, names are kept alone, and
    /// each cgroup is opened relative to the one that was left for it.
    ///
    /// # Errors
    /// `EACCES` of one that may not be looked into.
    pub fn walk<B>(
        &self,
        order: Order,
        mut visit: impl FnMut(&Cgroup<'a>) -> ControlFlow<B>,
    ) -> Result<Option<B>, SysError> {
        let mut here = self.neighbour(c".", self.path.clone())?;
        let mut waiting: Vec<Vec<CString>> = Vec::new();
        loop {
            if order == Order::AboveFirst
                && let ControlFlow::Break(found) = visit(&here)
            {
                return Ok(Some(found));
            }
            let mut names = or_gone(here.names_below())?.unwrap_or_default();
            // The last is the next.
            names.sort_unstable_by(|one, other| other.cmp(one));
            waiting.push(names);
            // Downwards where there is somebody, else upwards until there is.
            loop {
                let next = waiting.last_mut().and_then(Vec::pop);
                if let Some(name) = next {
                    if let Some(child) = or_gone(here.child(&name))? {
                        here = child;
                        break;
                    }
                    continue;
                }
                if order == Order::BelowFirst
                    && let ControlFlow::Break(found) = visit(&here)
                {
                    return Ok(Some(found));
                }
                waiting.pop();
                if waiting.is_empty() {
                    return Ok(None);
                }
                here = here.up()?;
            }
        }
    }

    /// Makes a cgroup right below it.
    ///
    /// # Errors
    /// `EEXIST`, `EACCES`, `EROFS`, `EAGAIN` where a limit of descendants or of depth is reached, `EINVAL` for a newline in the name.
    pub fn make(&self, name: &[u8]) -> Result<(), SysError> {
        let made = CString::new(name).map_err(|_| Errno::EINVAL);
        let made = made.and_then(|name| cgroupfs::mkdir(self.directory.as_fd(), &name));
        made.map_err(|errno| SysError::new(Call::Mkdirat(self.below(name)), errno))
    }

    /// Removes a cgroup right below it.
    ///
    /// # Errors
    /// `EBUSY` where there are processes or cgroups in it, `ENOENT`, `EACCES`.
    pub fn remove(&self, name: &[u8]) -> Result<(), SysError> {
        let removed = CString::new(name).map_err(|_| Errno::EINVAL);
        let removed = removed.and_then(|name| cgroupfs::rmdir(self.directory.as_fd(), &name));
        removed.map_err(|errno| SysError::new(Call::Unlinkat(self.below(name)), errno))
    }

    fn below(&self, name: &[u8]) -> Vec<u8> {
        [&self.name("")[..], b"/", name].concat()
    }

    /// Says whether a path is that of this cgroup, or of one below it.
    pub fn contains(&self, path: &[u8]) -> bool {
        is_within(path, &self.path)
    }

    /// Says whether the caller itself is in it, or below it.
    pub fn holds_caller(&self) -> bool {
        self.holds(&self.cgroups.own)
    }

    /// Says whether a process with this `/proc/PID/cgroup` is in it, or below it.
    pub fn holds(&self, cgroup: &[u8]) -> bool {
        ladder::paths(self.cgroups, cgroup).iter().any(|(hierarchy, path)| {
            // Where it is too long to be told, whoever may be in it is taken to be.
            let may_be = is_cut(path) && self.path.starts_with(path);
            *hierarchy == self.hierarchy && (self.contains(path) || may_be)
        })
    }
}

/// Which of two cgroups comes first, where one is above the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one above.
    AboveFirst,
    /// The one below.
    BelowFirst,
}

/// Takes a cgroup that was removed meanwhile for none.
fn or_gone<T>(result: Result<T, SysError>) -> Result<Option<T>, SysError> {
    match result {
        Err(error) if is_gone(error.errno) => Ok(None),
        result => result.map(Some),
    }
}

/// Says whether an error only means that the cgroup was removed meanwhile.
pub fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENODEV)
}

/// Says whether a path of `/proc/PID/cgroup` may be but the beginning of one: the kernel cuts it to `PATH_MAX`, with the NUL.
pub fn is_cut(path: &[u8]) -> bool {
    path.len() >= 4095
}

/// Says whether a path is another one, or below it.
pub fn is_within(path: &[u8], above: &[u8]) -> bool {
    above == b"/" || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Returns the path of the cgroup above; `None` for the root.
pub fn parent_path(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    if path.len() <= 1 {
        return None;
    }
    Some(if slash == 0 { b"/" } else { &path[..slash] })
}

/// Returns the last name of a path.
pub fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// Returns the path in each mounted hierarchy that a process is in.
///
/// # Errors
/// `ENOENT` or `ESRCH` where the process has gone, `EACCES`.
pub fn of_process(cgroups: &Cgroups, process: &ProcPid) -> Result<Vec<(usize, Vec<u8>)>, Errno> {
    Ok(of_text(cgroups, &process.read_record(c"cgroup", MOST_BYTES)?))
}

/// As [`of_process`], of its `/proc/PID/cgroup`.
pub fn of_text(cgroups: &Cgroups, text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut all = ladder::paths(cgroups, text);
    all.retain(|(hierarchy, _)| cgroups.hierarchies[*hierarchy].top().is_some());
    all
}

/// Returns the path of a process in one hierarchy.
///
/// # Errors
/// As [`of_process`].
pub fn path_of(cgroups: &Cgroups, process: &ProcPid, hierarchy: usize) -> Result<Option<Vec<u8>>, Errno> {
    Ok(of_process(cgroups, process)?.into_iter().find(|(index, _)| *index == hierarchy).map(|(_, path)| path))
}

fn c_name(file: &str) -> Result<CString, Errno> {
    CString::new(file).map_err(|_| Errno::EINVAL)
}

impl AsFd for Cgroup<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Reads a file that is open anew from its start.
///
/// # Errors
/// `ENODEV` where the cgroup was removed.
pub(super) fn read_again(file: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut buffer = [0; 4096];
    cgroupfs::read_from_start(file, &mut buffer).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_at_slashes() {
        assert_eq!(parent_path(b"/"), None);
        assert_eq!(parent_path(b"/a"), Some(&b"/"[..]));
        assert_eq!(parent_path(b"/a/b"), Some(&b"/a"[..]));
        assert_eq!(base_name(b"/a/b"), b"b");
        assert!(is_within(b"/a/b", b"/a") && is_within(b"/a", b"/a") && is_within(b"/a", b"/"));
        assert!(!is_within(b"/ab", b"/a") && !is_within(b"/", b"/a"));
    }
}
