//! Directories and small files, read relative to a descriptor and without allocation.
//!
//! A scan makes tens of thousands of these calls; each of them uses a buffer that the caller keeps. See openat(2), readlinkat(2),
//! getdents64(2).

mod in_root;
mod whole;

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub use in_root::{open_cached_in_root, open_in_root, open_in_root_no_follow, read_in_root};

use super::error::{Call, Errno, SysError, last, retry};
pub use whole::{read_record, read_to_end, read_whole};

/// Opens a directory as a place to start from: it can be looked into, but not read.
///
/// # Errors
/// `ENOENT` where it is not there, `EACCES`, `ENOTDIR`.
pub fn open_path(dir: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(dir, path, libc::O_PATH | libc::O_DIRECTORY)
}

/// Opens any file as a place to ask about, without opening the file itself.
///
/// # Errors
/// `ENOENT` where it is not there, `EACCES`.
pub fn open_path_any(dir: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(dir, path, libc::O_PATH)
}

/// Opens the file at a path that the user named, as a place to ask about.
///
/// # Errors
/// `ENOENT` where it is not there, `EACCES`.
pub fn open_path_cwd(path: &CStr) -> Result<OwnedFd, Errno> {
    open(path, libc::O_PATH)
}

/// Opens the file at a path that the user named, for reading.
///
/// # Errors
/// `ENOENT` where it is not there, `EACCES`.
pub fn open_read_cwd(path: &CStr) -> Result<OwnedFd, Errno> {
    open(path, libc::O_RDONLY | libc::O_NOCTTY | libc::O_NONBLOCK)
}

/// Opens the directory at a path that the user named, as a place to start from.
///
/// # Errors
/// `ENOENT` where it is not there, `EACCES`, `ENOTDIR`.
pub fn open_directory_cwd(path: &CStr) -> Result<OwnedFd, Errno> {
    open(path, libc::O_PATH | libc::O_DIRECTORY)
}

/// Opens the file at a path for writing. It never becomes the controlling terminal.
///
/// # Errors
/// `ENOENT` where it is not there, `EACCES`, `EROFS`.
pub fn open_write_cwd(path: &CStr) -> Result<OwnedFd, Errno> {
    open(path, libc::O_WRONLY | libc::O_NOCTTY)
}

/// Opens a directory to read its entries.
///
/// # Errors
/// `ENOENT` where it is not there, `EACCES`, `ENOTDIR`.
pub fn open_dir(dir: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(dir, path, libc::O_RDONLY | libc::O_DIRECTORY)
}

/// Opens a file for reading. It never becomes the controlling terminal, and never waits for a peer.
///
/// # Errors
/// `ENOENT` where it is not there, `EACCES`, `ESRCH` where the process behind it has gone.
pub fn open_read(dir: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(dir, path, libc::O_RDONLY | libc::O_NOCTTY | libc::O_NONBLOCK)
}

fn openat(dir: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> Result<OwnedFd, Errno> {
    open_at(dir.as_raw_fd(), path, flags)
}

fn open(path: &CStr, flags: libc::c_int) -> Result<OwnedFd, Errno> {
    open_at(libc::AT_FDCWD, path, flags)
}

fn open_at(dir: libc::c_int, path: &CStr, flags: libc::c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: `dir` is a number to the kernel, open for the call in both callers, and `path` ends with NUL.
    let fd = retry(|| unsafe { libc::openat(dir, path.as_ptr(), flags | libc::O_CLOEXEC) }.into())?;
    // SAFETY: the kernel has just handed out `fd`; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// Opens the directory that everything else is relative to, by its path.
///
/// # Errors
/// `ENOENT` where it is not there, `EACCES`, `ENOTDIR`.
pub fn open_root(path: &CStr) -> Result<OwnedFd, SysError> {
    open(path, libc::O_RDONLY | libc::O_DIRECTORY)
        .map_err(|errno| SysError::new(Call::Openat(path.to_bytes().to_vec()), errno))
}

/// Reads from the start of a file into `buffer`, as far as one read(2) fills it; files in `/proc` hand over whole records.
///
/// # Errors
/// `ESRCH` where the process behind the file has gone.
pub fn read<'b>(file: BorrowedFd<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    // SAFETY: `buffer` is valid for writes of its length.
    let len = retry(|| unsafe { libc::read(file.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) as _ })?;
    Ok(&buffer[..len as usize])
}

/// Reads a link into `buffer`; a link that does not fit is cut.
///
/// # Errors
/// `EACCES` (for the links of `/proc/PID/ns` also when the process has gone), `ENOENT`, `ESRCH`.
pub fn readlink<'b>(dir: BorrowedFd<'_>, path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    // SAFETY: `path` ends with NUL and `buffer` is valid for writes of its length.
    let len = retry(|| unsafe {
        libc::readlinkat(dir.as_raw_fd(), path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) as _
    })?;
    Ok(&buffer[..len as usize])
}

/// The device and inode of an open file, see fstat(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device.
    pub dev: u64,
    /// The inode number on it.
    pub ino: u64,
}

/// Returns the identity of the file behind `fd`.
///
/// # Errors
/// None that a caller can do anything about.
pub fn fstat(fd: BorrowedFd<'_>) -> Result<FileId, SysError> {
    let stat = stat_of(fd)?;
    Ok(FileId { dev: stat.st_dev, ino: stat.st_ino })
}

/// Says whether there is a directory behind `fd`.
///
/// # Errors
/// `EBADF` where nothing is open.
pub fn is_directory(fd: BorrowedFd<'_>) -> Result<bool, SysError> {
    Ok(stat_of(fd)?.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

fn stat_of(fd: BorrowedFd<'_>) -> Result<libc::stat, SysError> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is valid for writes of a `struct stat`.
    if unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return Err(last(|| Call::Fstat));
    }
    // SAFETY: fstat succeeded and has filled it.
    Ok(unsafe { stat.assume_init() })
}

/// What kind of file a link leads to, as far as nsx tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkedFile {
    /// Its identity.
    pub id: FileId,
    /// Whether it is a socket.
    pub socket: bool,
    /// Whether it is a directory.
    pub directory: bool,
    /// Of a device node: whether it is a block device, its major and its minor number.
    pub device: Option<(bool, u32, u32)>,
}

/// Follows a link to the file it stands for, and returns what that is, from what the kernel knows without asking any file system.
///
/// `AT_STATX_DONT_SYNC` and `AT_NO_AUTOMOUNT`: neither a FUSE server nor an NFS server of somebody's is made to answer. See statx(2).
///
/// # Kernel
/// Linux 4.11.
///
/// # Errors
/// `ENOENT` where the descriptor behind the link was closed, `EACCES`, `ENOSYS` from a filter.
pub fn follow(dir: BorrowedFd<'_>, path: &CStr) -> Result<LinkedFile, Errno> {
    statx(dir, path, 0)
}

/// Returns what an open file is, also one that was opened with `O_PATH`; asks no file system, like [`follow`].
///
/// # Kernel
/// Linux 4.11.
///
/// # Errors
/// `ENOSYS` from a filter.
pub fn identify(file: BorrowedFd<'_>) -> Result<LinkedFile, Errno> {
    statx(file, c"", libc::AT_EMPTY_PATH)
}

fn statx(dir: BorrowedFd<'_>, path: &CStr, more: libc::c_int) -> Result<LinkedFile, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::statx>::uninit();
    let flags = libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT | more;
    let mask = libc::STATX_TYPE | libc::STATX_INO;
    // SAFETY: `path` ends with NUL, and `stat` is valid for writes of a `struct statx`.
    retry(|| unsafe { libc::statx(dir.as_raw_fd(), path.as_ptr(), flags, mask, stat.as_mut_ptr()) }.into())?;
    // SAFETY: statx succeeded and has filled it.
    let stat = unsafe { stat.assume_init() };
    let kind = libc::mode_t::from(stat.stx_mode) & libc::S_IFMT;
    let is_device = matches!(kind, libc::S_IFBLK | libc::S_IFCHR);
    Ok(LinkedFile {
        id: FileId { dev: libc::makedev(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino },
        socket: kind == libc::S_IFSOCK,
        directory: kind == libc::S_IFDIR,
        device: is_device.then_some((kind == libc::S_IFBLK, stat.stx_rdev_major, stat.stx_rdev_minor)),
    })
}

/// Returns the magic number of the file system behind `fd`, see fstatfs(2). That asks the file system: for one's own files only.
///
/// # Errors
/// `ENOSYS` where the file system does not tell.
pub fn fs_magic(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `stat` is valid for writes of a `struct statfs`.
    retry(|| unsafe { libc::fstatfs(fd.as_raw_fd(), stat.as_mut_ptr()) }.into())?;
    // SAFETY: fstatfs succeeded and has filled it.
    Ok(unsafe { stat.assume_init() }.f_type as u64)
}

/// Opens a directory, and no link in its place.
///
/// # Errors
/// `ENOTDIR`, `ENOENT`, `EACCES`.
pub fn open_dir_no_follow(dir: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(dir, path, libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW)
}

/// Reads the entries of a directory with a buffer that is used again for the next one.
pub struct DirReader {
    buffer: Box<[u64]>,
}

impl DirReader {
    /// Makes a reader whose buffer holds `kib` KiB: one getdents64(2) returns as much as fits.
    pub fn new(kib: usize) -> DirReader {
        DirReader { buffer: vec![0; kib * 128].into_boxed_slice() }
    }

    /// Calls `each` with every entry's name but `.` and `..`.
    ///
    /// # Errors
    /// `ENOENT` or `ESRCH` where the process behind the directory goes while it is read.
    pub fn entries(&mut self, dir: BorrowedFd<'_>, mut each: impl FnMut(&CStr)) -> Result<(), Errno> {
        self.typed_entries(dir, |name, _| each(name))
    }

    /// As [`DirReader::entries`], with the type of each (`DT_DIR` and the like, see readdir(3)), where the file system tells it.
    ///
    /// # Errors
    /// As [`DirReader::entries`].
    pub fn typed_entries(&mut self, dir: BorrowedFd<'_>, mut each: impl FnMut(&CStr, u8)) -> Result<(), Errno> {
        /// Where the name starts in `struct linux_dirent64`: after d_ino, d_off, d_reclen and d_type.
        const NAME: usize = 19;
        loop {
            let bytes = size_of_val(&*self.buffer);
            // SAFETY: the buffer is valid for writes of `bytes` and aligned for the records.
            let filled = retry(|| unsafe {
                libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), self.buffer.as_mut_ptr(), bytes)
            })? as usize;
            if filled == 0 {
                return Ok(());
            }
            // SAFETY: the kernel has filled that many bytes of the buffer.
            let records = unsafe { std::slice::from_raw_parts(self.buffer.as_ptr().cast::<u8>(), filled) };
            let mut rest = records;
            while rest.len() > NAME {
                let length = usize::from(u16::from_ne_bytes([rest[16], rest[17]]));
                let Some(record) = rest.get(NAME..length) else { break };
                if let Ok(name) = CStr::from_bytes_until_nul(record)
                    && !matches!(name.to_bytes(), b"." | b"..")
                {
                    each(name, rest[NAME - 1]);
                }
                rest = &rest[length..];
            }
        }
    }
}

/// A NUL-terminated path of at most 63 bytes, built without allocation: `123`, `fd/7`, `task/42/ns`.
pub struct ShortPath {
    bytes: [u8; 64],
    len: usize,
}

impl ShortPath {
    /// Starts an empty path.
    pub const fn new() -> ShortPath {
        ShortPath { bytes: [0; 64], len: 0 }
    }

    /// Adds text, which must not contain NUL; what does not fit is left out.
    #[must_use]
    pub fn text(mut self, text: &str) -> ShortPath {
        let room = 63 - self.len;
        let added = text.len().min(room);
        self.bytes[self.len..self.len + added].copy_from_slice(&text.as_bytes()[..added]);
        self.len += added;
        self
    }

    /// Adds a decimal number.
    #[must_use]
    pub fn number(self, mut number: u32) -> ShortPath {
        let mut digits = [b'0'; 10];
        let mut first = 10;
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        let digits = std::str::from_utf8(&digits[first..]).unwrap_or_default();
        self.text(digits)
    }

    /// Returns the path as the kernel takes it.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl Default for ShortPath {
    fn default() -> Self {
        ShortPath::new()
    }
}

/// Opens the file that `path_fd` (an `O_PATH` descriptor) stands for, for reading.
///
/// # Errors
/// `ENOENT` where `/proc` is not mounted, `EACCES`.
pub fn reopen_read(proc_self: BorrowedFd<'_>, path_fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let number = path_fd.as_fd().as_raw_fd().unsigned_abs();
    open_read(proc_self, ShortPath::new().text("fd/").number(number).as_c_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_paths_are_built_and_cut() {
        let path = ShortPath::new().text("task/").number(4_294_967_295).text("/ns");
        assert_eq!(path.as_c_str(), c"task/4294967295/ns");
        assert_eq!(ShortPath::new().number(0).as_c_str(), c"0");
        assert_eq!(ShortPath::new().text(&"x".repeat(100)).as_c_str().count_bytes(), 63);
    }

    #[test]
    fn a_directory_larger_than_the_buffer_is_read_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..500 {
            std::fs::write(folder.path().join(format!("a-rather-long-file-name-{number}")), "").expect("a file");
        }
        let path = std::ffi::CString::new(folder.path().to_str().expect("UTF-8")).expect("no NUL");
        let dir = open_root(&path).expect("the folder");
        let mut seen = 0;
        DirReader::new(1).entries(dir.as_fd(), |_| seen += 1).expect("read");
        assert_eq!(seen, 500);
    }
}
