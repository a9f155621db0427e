//! A mounted `/proc` (or a captured tree that looks like one), and the processes in it.
//!
//! Everything is opened relative to a descriptor: the tree is opened once, and a process is held by its directory, so that a
//! pid that is reused halfway is not mistaken for it. See proc(5), proc_pid(5).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use procfs::{KernelStats, LocalSystemInfo, prelude::FromReadSI};

use super::parse::{self, Stat};
use crate::model::{KindSet, NsArray, NsKind, NsName, Pid, Tid};
use crate::sys::dir::{self, DirReader, ShortPath};
use crate::sys::{Call, Errno, SysError};

/// The file system magic of procfs, `PROC_SUPER_MAGIC` in `include/uapi/linux/magic.h`.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// A `/proc` tree.
pub struct ProcRoot {
    dir: OwnedFd,
    path: PathBuf,
    live: bool,
    own: bool,
}

impl ProcRoot {
    /// Opens the tree at `path`.
    ///
    /// # Errors
    /// Whatever openat(2) says of the directory.
    pub fn open(path: &Path) -> Result<ProcRoot, SysError> {
        let bytes = path.as_os_str().as_bytes();
        let error = |errno| SysError::new(Call::Openat(bytes.to_vec()), errno);
        let c_path = CString::new(bytes).map_err(|_| error(Errno::EINVAL))?;
        let dir = dir::open_root(&c_path)?;
        let live = dir::fs_magic(dir.as_fd()).is_ok_and(|magic| magic == PROC_SUPER_MAGIC);
        let mut link = [0; 16];
        let own = live
            && dir::readlink(dir.as_fd(), c"self", &mut link)
                .is_ok_and(|own| crate::model::id::parse_decimal(own) == Some(std::process::id()));
        Ok(ProcRoot { dir, path: path.to_owned(), live, own })
    }

    /// Returns the path that the tree was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says whether this is procfs, not a captured tree.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Says whether this is procfs of the caller's own pid namespace, so that its pids mean the same to system calls.
    pub fn is_own_pid_ns(&self) -> bool {
        self.own
    }

    /// Opens the directory of a process; also that of a thread other than the leader, which readdir(3) does not show.
    ///
    /// # Errors
    /// `ENOENT` where there is no such process (or hidepid keeps it from the caller).
    pub fn process(&self, pid: Pid) -> Result<ProcPid, Errno> {
        let dir = dir::open_path(self.dir.as_fd(), ShortPath::new().number(pid.0).as_c_str())?;
        Ok(ProcPid { dir, pid })
    }

    /// Opens the directory of the caller.
    ///
    /// # Errors
    /// `ENOENT` where this is the `/proc` of a pid namespace that the caller is not in.
    pub fn own_process(&self) -> Result<ProcPid, Errno> {
        let dir = dir::open_path(self.dir.as_fd(), c"self")?;
        Ok(ProcPid { dir, pid: Pid(std::process::id()) })
    }

    /// Lists the processes that the tree shows.
    ///
    /// # Errors
    /// Whatever getdents64(2) says of the tree.
    pub fn pids(&self, reader: &mut DirReader) -> Result<Vec<Pid>, SysError> {
        let error = |errno| SysError::new(Call::Getdents(self.path.as_os_str().as_bytes().to_vec()), errno);
        let mut pids = Vec::new();
        let dir = dir::open_dir(self.dir.as_fd(), c".").map_err(error)?;
        reader
            .entries(dir.as_fd(), |name| pids.extend(crate::model::id::parse_decimal(name.to_bytes()).map(Pid)))
            .map_err(error)?;
        Ok(pids)
    }

    /// Returns when the host booted, in seconds since 1970, and how many clock ticks there are in a second of a process's start time.
    pub fn boot_time(&self) -> Option<(u64, u64)> {
        let stats = KernelStats::from_file(self.path.join("stat"), &LocalSystemInfo).ok()?;
        Some((stats.btime, procfs::ticks_per_second()))
    }

    /// Returns what a path below the tree is called, for messages.
    pub fn name(&self, below: &str) -> Vec<u8> {
        self.path.join(below).into_os_string().into_encoded_bytes()
    }
}

impl AsFd for ProcRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Says whether an error only means that the process went away while it was looked at.
pub fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ESRCH)
}

/// A process, held by its directory: once it is gone every access says so, whoever gets its pid.
pub struct ProcPid {
    dir: OwnedFd,
    /// The pid that the directory was opened by.
    pub pid: Pid,
}

impl ProcPid {
    /// Reads a small file of the process into `buffer`.
    ///
    /// # Errors
    /// `ENOENT` or `ESRCH` where the process has gone, `EACCES`.
    pub fn read<'b>(&self, file: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let file = dir::open_read(self.dir.as_fd(), file)?;
        dir::read(file.as_fd(), buffer)
    }

    /// Reads a file of the process up to `limit` bytes.
    ///
    /// # Errors
    /// `ENOENT` or `ESRCH` where the process has gone, `EACCES`.
    pub fn read_all(&self, file: &CStr, limit: usize) -> Result<Vec<u8>, Errno> {
        dir::read_whole(self.dir.as_fd(), file, limit)
    }

    /// Reads a file of the process that is one record, as [`dir::read_record`], up to `limit` bytes: `cgroup`, `cmdline`, `status`.
    ///
    /// # Errors
    /// `ENOENT` or `ESRCH` where the process has gone, `EACCES`.
    pub fn read_record(&self, file: &CStr, limit: usize) -> Result<Vec<u8>, Errno> {
        dir::read_record(dir::open_read(self.dir.as_fd(), file)?.as_fd(), limit)
    }

    /// Reads and parses `stat`.
    ///
    /// # Errors
    /// `ESRCH` where the process has gone; `EBADMSG` where the line is not one of proc_pid_stat(5).
    pub fn stat<'b>(&self, buffer: &'b mut [u8]) -> Result<Stat<'b>, Errno> {
        parse::stat(self.read(c"stat", buffer)?).ok_or(Errno::EBADMSG)
    }

    /// Says whether the process is still there.
    pub fn is_alive(&self) -> bool {
        // Looking a name up in the directory of a process that has gone fails, whoever has its pid now.
        !dir::open_path(self.dir.as_fd(), c"ns").is_err_and(is_gone)
    }

    /// Says whether nothing of the process is left but its entry: it is a zombie, or about to be one, and has no other thread.
    pub fn is_exiting(&self) -> bool {
        match self.stat(&mut [0; 1024]) {
            Ok(stat) => stat.exiting && stat.nthreads <= 1,
            Err(errno) => is_gone(errno),
        }
    }

    /// Opens the directory with the namespace links of the process.
    ///
    /// # Errors
    /// `ENOENT` where the process has gone.
    pub fn ns_dir(&self) -> Result<OwnedFd, Errno> {
        dir::open_path(self.dir.as_fd(), c"ns")
    }

    /// Opens the directory with the namespace links of one of its threads.
    ///
    /// # Errors
    /// `ENOENT` where the thread has gone.
    pub fn thread_ns_dir(&self, tid: Tid) -> Result<OwnedFd, Errno> {
        dir::open_path(self.dir.as_fd(), ShortPath::new().text("task/").number(tid.0).text("/ns").as_c_str())
    }

    /// Opens one of the directories of the process to list it: `fd`, `task`.
    ///
    /// # Errors
    /// `ENOENT` where the process has gone, `EACCES`.
    pub fn open_dir(&self, name: &CStr) -> Result<OwnedFd, Errno> {
        dir::open_dir(self.dir.as_fd(), name)
    }

    /// Returns the device of nsfs, by which a namespace is known from any other file.
    ///
    /// # Errors
    /// `ENOENT` where there are no links to look at: this is no live process.
    pub fn nsfs_device(&self) -> Result<u64, Errno> {
        let links = self.ns_dir()?;
        let mut failed = Errno::ENOENT;
        for kind in NsKind::ALL {
            match dir::follow(links.as_fd(), link_name(kind)) {
                Ok(file) => return Ok(file.id.dev),
                Err(errno) => failed = errno,
            }
        }
        Err(failed)
    }

    /// Opens one of the namespace links of the process for reading: the namespace itself.
    ///
    /// # Errors
    /// `EACCES` without PTRACE_MODE_READ_FSCREDS, `ENOENT` where the process has gone or has let go of it.
    pub fn open_ns(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        dir::open_read(self.dir.as_fd(), path)
    }

    /// Opens the root directory of the process as a place to start from.
    ///
    /// # Errors
    /// `EACCES` without PTRACE_MODE_READ_FSCREDS, `ENOENT` where the process has gone.
    pub fn root_dir(&self) -> Result<OwnedFd, Errno> {
        dir::open_path(self.dir.as_fd(), c"root")
    }

    /// Reads all namespaces of the process.
    ///
    /// # Errors
    /// As [`read_ns_links`].
    pub fn namespaces(&self) -> Result<NsArray, Errno> {
        self.namespaces_of(KindSet::ALL)
    }

    /// As [`ProcPid::namespaces_of`], with fewer system calls where the kinds are one or two.
    ///
    /// # Errors
    /// As [`read_ns_links`].
    pub fn few_namespaces(&self, kinds: KindSet) -> Result<NsArray, Errno> {
        let mut namespaces = NsArray::default();
        for kind in kinds.iter() {
            let path = ShortPath::new().text("ns/").text(kind.name());
            let found = read_ns_link(self.dir.as_fd(), path.as_c_str())?;
            namespaces[kind.index()] = found.filter(|name| name.kind == kind).map(|name| name.id);
        }
        Ok(namespaces)
    }

    /// Reads the namespaces of these kinds that the process is in.
    ///
    /// # Errors
    /// As [`read_ns_links`].
    pub fn namespaces_of(&self, kinds: KindSet) -> Result<NsArray, Errno> {
        read_ns_links(self.ns_dir()?.as_fd(), kinds.iter())
    }
}

impl AsFd for ProcPid {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Reads the namespace link `name` in the `ns` directory of a task; `None` where the kernel lacks the kind or the task has let go.
///
/// # Errors
/// `EACCES` without PTRACE_MODE_READ_FSCREDS, and, as procfs has it, also when the task has gone.
pub fn read_ns_link(ns_dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<NsName>, Errno> {
    let mut buffer = [0; 48];
    match dir::readlink(ns_dir, name, &mut buffer) {
        Ok(link) => Ok(NsName::parse(link)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Reads the namespace links of these kinds.
///
/// # Errors
/// As [`read_ns_link`], of the first that fails.
pub fn read_ns_links(ns_dir: BorrowedFd<'_>, kinds: impl IntoIterator<Item = NsKind>) -> Result<NsArray, Errno> {
    let mut namespaces = NsArray::default();
    for kind in kinds {
        namespaces[kind.index()] =
            read_ns_link(ns_dir, link_name(kind))?.filter(|name| name.kind == kind).map(|name| name.id);
    }
    Ok(namespaces)
}

/// Returns the name of a kind's link as the kernel takes it.
pub const fn link_name(kind: NsKind) -> &'static CStr {
    match kind {
        NsKind::Cgroup => c"cgroup",
        NsKind::Ipc => c"ipc",
        NsKind::Mnt => c"mnt",
        NsKind::Net => c"net",
        NsKind::Pid => c"pid",
        NsKind::Time => c"time",
        NsKind::User => c"user",
        NsKind::Uts => c"uts",
    }
}

/// Returns the name of a kind's link for future children as the kernel takes it.
pub const fn for_children_name(kind: NsKind) -> Option<&'static CStr> {
    match kind {
        NsKind::Pid => Some(c"pid_for_children"),
        NsKind::Time => Some(c"time_for_children"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_are_those_of_the_table() {
        for kind in NsKind::ALL {
            assert_eq!(link_name(kind).to_str(), Ok(kind.name()));
            assert_eq!(for_children_name(kind).and_then(|name| name.to_str().ok()), kind.for_children());
        }
    }

    #[test]
    fn a_process_that_has_gone_is_not_alive_whoever_has_its_pid() {
        let mut child = std::process::Command::new("true").spawn().expect("true");
        let root = ProcRoot::open(Path::new("/proc")).expect("/proc");
        let process = root.process(Pid(child.id())).expect("not reaped yet");
        assert!(process.is_alive());
        child.wait().expect("wait");
        assert!(!process.is_alive());
        assert!(is_gone(process.stat(&mut [0; 1024]).expect_err("gone")));
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let root = ProcRoot::open(Path::new("/proc")).expect("/proc");
        let own = root.own_process().expect("self");
        let whole = own.read_all(c"status", 1 << 20).expect("status");
        assert!(whole.len() > 500);
        assert_eq!(own.read_all(c"status", 100).expect("status"), whole[..100]);
    }
}
