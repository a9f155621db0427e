//! What only a process inside can open or try: a child on the side enters, and hands over a descriptor or an errno.
//!
//! See setns(2), open_tree(2). The child is `sys::aside`'s: it is given up when it says nothing, whatever holds it.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::aside::{Aside, Heard, MESSAGE};
use super::dir;
use super::error::{Call, Errno, SysError, retry};
use crate::model::KindSet;

/// How long the child may take, in milliseconds.
const PATIENCE_MS: u16 = 10_000;

/// Enters the namespaces of these kinds that `fd`, a pidfd or a namespace file, leads to. Only for a child that is on its own.
fn setns(fd: BorrowedFd<'_>, kinds: KindSet) -> Result<(), Errno> {
    let flags = kinds.iter().fold(0, |flags, kind| flags | kind.clone_flag());
    // SAFETY: the call takes two numbers.
    retry(|| unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), flags) }).map(drop)
}

/// Lets a child do `work` and hand over what it opens; `None` where it says nothing in time.
fn ask(work: impl Fn() -> Result<Option<OwnedFd>, Errno>) -> Result<Option<Result<Option<OwnedFd>, Errno>>, SysError> {
    let aside = Aside::start(|inside| {
        let mut message = [0; MESSAGE];
        match work() {
            Ok(opened) => {
                inside.send(&message, opened.as_ref().map(AsFd::as_fd));
            }
            Err(errno) => {
                message[..4].copy_from_slice(&(errno as i32).to_ne_bytes());
                inside.send(&message, None);
            }
        }
    })?;
    Ok(match aside.hear(PATIENCE_MS) {
        Heard::Message(message, opened) => {
            let [a, b, c, d, ..] = message;
            Some(match i32::from_ne_bytes([a, b, c, d]) {
                0 => Ok(opened),
                errno => Err(Errno::from_raw(errno)),
            })
        }
        Heard::End | Heard::Silence => None,
    })
}

fn opened(answer: Option<Result<Option<OwnedFd>, Errno>>, call: Call) -> Result<OwnedFd, SysError> {
    match answer {
        Some(Ok(Some(opened))) => Ok(opened),
        Some(Err(errno)) => Err(SysError::new(call, errno)),
        Some(Ok(None)) | None => Err(SysError::new(call, Errno::ETIMEDOUT)),
    }
}

/// Tries to enter these kinds of namespace, without any effect on the caller.
///
/// # Errors
/// What setns(2) says.
pub fn try_setns(fd: BorrowedFd<'_>, kinds: KindSet, name: &str) -> Result<(), SysError> {
    let call = Call::Setns { fd: name.to_owned(), kinds };
    match ask(|| setns(fd, kinds).map(|()| None))? {
        Some(Ok(_)) => Ok(()),
        Some(Err(errno)) => Err(SysError::new(call, errno)),
        None => Err(SysError::new(call, Errno::ETIMEDOUT)),
    }
}

/// Opens a file of `/proc/self` as a process in the user namespace sees it.
///
/// # Errors
/// What setns(2) or openat(2) says.
pub fn open_in_user_ns(user: BorrowedFd<'_>, path: &'static CStr) -> Result<OwnedFd, SysError> {
    let kinds = KindSet::NONE.with(crate::model::NsKind::User);
    let answer = ask(|| {
        setns(user, kinds)?;
        dir::open_read_cwd(path).map(Some)
    })?;
    opened(answer, Call::Openat(path.to_bytes().to_vec()))
}

/// Opens a file below the directory of a process, as a process in its user namespace that is root there.
///
/// # Errors
/// What setns(2) or openat(2) says.
pub fn open_as_root_of(
    target: BorrowedFd<'_>,
    process: BorrowedFd<'_>,
    file: &'static CStr,
) -> Result<OwnedFd, SysError> {
    let kinds = KindSet::NONE.with(crate::model::NsKind::User);
    let answer = ask(|| {
        setns(target, kinds)?;
        dir::open_read(process, file).map(Some)
    })?;
    opened(answer, Call::Openat(file.to_bytes().to_vec()))
}

/// Takes a copy of the tree of mounts below a directory in the target's mount namespace, attached to nothing: open_tree(2).
///
/// `kinds` is what to enter for it: the mount namespace, and the user namespace where that gives the privilege.
///
/// # Kernel
/// Linux 5.8, for setns(2) with a pidfd.
///
/// # Errors
/// What setns(2) or open_tree(2) says.
pub fn copy_tree(target: BorrowedFd<'_>, kinds: KindSet, root: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    let answer = ask(|| {
        setns(target, kinds)?;
        let flags = libc::OPEN_TREE_CLONE as libc::c_int
            | libc::OPEN_TREE_CLOEXEC as libc::c_int
            | libc::AT_RECURSIVE
            | libc::AT_EMPTY_PATH;
        // SAFETY: the path ends with NUL.
        let tree = retry(|| unsafe { libc::syscall(libc::SYS_open_tree, root.as_raw_fd(), c"".as_ptr(), flags) })?;
        // SAFETY: the kernel has just handed out `tree`; nobody else owns it.
        Ok(Some(unsafe { OwnedFd::from_raw_fd(tree as libc::c_int) }))
    })?;
    opened(answer, Call::OpenTree(b"the target's root".to_vec()))
}

/// Reads an open file of `/proc/PID` as a process in the cgroup namespace sees it: paths in it are relative to that namespace.
///
/// The kernel asks whose namespace it is when the file is read, not when it is opened. What does not fit a pipe (64 KiB) is left out.
///
/// # Errors
/// What setns(2) says: `EPERM` without CAP_SYS_ADMIN in both user namespaces.
pub fn read_in_cgroup_ns(namespace: BorrowedFd<'_>, file: BorrowedFd<'_>, limit: usize) -> Result<Vec<u8>, SysError> {
    let kinds = KindSet::NONE.with(crate::model::NsKind::Cgroup);
    let answer = ask(|| {
        setns(namespace, kinds)?;
        let content = dir::read_to_end(file, limit)?;
        let mut ends = [0; 2];
        // SAFETY: `ends` is valid for writes of two descriptors.
        retry(|| unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) }.into())?;
        // SAFETY: the kernel has just handed out both; nobody else owns them.
        let (read, write) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
        // SAFETY: `content` is valid for reads of its length.
        retry(|| unsafe { libc::write(write.as_raw_fd(), content.as_ptr().cast(), content.len()) as _ })?;
        Ok(Some(read))
    })?;
    let read = opened(answer, Call::Setns { fd: "cgroup namespace".to_owned(), kinds })?;
    let failed = |errno| SysError::new(Call::Read(b"/proc/PID/cgroup".to_vec()), errno);
    dir::read_to_end(read.as_fd(), limit).map_err(failed)
}
