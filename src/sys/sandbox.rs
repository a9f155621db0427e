//! What nsx does itself for a sandbox, from outside: trees of mounts that it opens for it, whom they belong to, and the socket over which
//! the first process reports.
//!
//! See open_tree(2), mount_setattr(2), unix(7). Not here: what is done inside (`sys::calls`).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::calls::mounts::{MountAttributes, OPEN_TREE_NAMESPACE};
use super::error::{Call, Errno, SysError, last, retry};
use super::spawn::Report;

/// Says whether there is clone3(2): a filter may refuse it, so that C libraries fall back to clone(2).
///
/// # Kernel
/// Linux 5.3.
pub fn has_clone3() -> bool {
    // SAFETY: a size of nothing is refused before anything is read.
    let answer = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u64>(), 0) };
    answer == -1 && Errno::last() == Errno::EINVAL
}

/// Says whether keyctl(2) is to be had: a kernel may lack it, a filter may refuse it, and then nobody inside has it either.
pub fn has_keyrings() -> bool {
    const KEYCTL_GET_KEYRING_ID: libc::c_int = 0;
    const KEY_SPEC_SESSION_KEYRING: libc::c_int = -3;
    // SAFETY: the call takes numbers; the last one says that nothing is made.
    let answer = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) };
    answer != -1 || !matches!(Errno::last(), Errno::ENOSYS | Errno::EPERM)
}

/// Says whether open_tree(2) knows `OPEN_TREE_NAMESPACE`: a mount namespace that begins with a copy of a tree.
///
/// # Kernel
/// Linux 7.0. Absent: `EINVAL`.
pub fn has_tree_namespaces() -> bool {
    let flags = OPEN_TREE_NAMESPACE | libc::O_CLOEXEC;
    // SAFETY: the path ends with NUL, and there is no such descriptor: flags that are known lead to `EBADF`.
    let answer = unsafe { libc::syscall(libc::SYS_open_tree, -1, c"".as_ptr(), flags | libc::AT_EMPTY_PATH) };
    answer == -1 && Errno::last() == Errno::EBADF
}

/// Returns the call of the mount API that is not to be had here, of those that nothing else does the work of.
pub fn missing_mount_call() -> Option<&'static str> {
    let absent = |refusals: &[Errno]| refusals.contains(&Errno::last());
    let empty = c"".as_ptr();
    // SAFETY: flags that nobody knows are refused before anything else is looked at, or the caller is, for want of privilege.
    unsafe {
        if libc::syscall(libc::SYS_open_tree, -1, empty, !0u32) == -1 && absent(&[Errno::ENOSYS, Errno::EPERM]) {
            return Some("open_tree");
        }
        let none = std::ptr::null::<u64>();
        if libc::syscall(libc::SYS_mount_setattr, -1, empty, !0u32, none, 0) == -1
            && absent(&[Errno::ENOSYS, Errno::EPERM])
        {
            return Some("mount_setattr");
        }
        // These ask for privilege first, which the caller may get only later.
        if libc::syscall(libc::SYS_move_mount, -1, empty, -1, empty, !0u32) == -1 && absent(&[Errno::ENOSYS]) {
            return Some("move_mount");
        }
        if libc::syscall(libc::SYS_fsopen, empty, !0u32) == -1 && absent(&[Errno::ENOSYS]) {
            return Some("fsopen");
        }
    }
    None
}

/// Makes a copy of all mounts below a path that nobody sees: open_tree(2) with `OPEN_TREE_CLONE | AT_RECURSIVE`. Nothing spreads to or from
/// it.
///
/// # Kernel
/// Linux 5.2; mount_setattr(2): 5.12.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN, `ENOENT`, `EACCES`.
pub fn copy_tree(path: &CStr, attributes: MountAttributes) -> Result<OwnedFd, SysError> {
    let flags = libc::OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint | libc::AT_RECURSIVE as libc::c_uint;
    // SAFETY: `path` ends with NUL.
    let fd = retry(|| unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
        .map_err(|errno| SysError::new(Call::OpenTree(path.to_bytes().to_vec()), errno))?;
    // SAFETY: the kernel has just handed out `fd`; nobody else owns it.
    let tree = unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) };
    let attributes =
        libc::mount_attr { attr_set: attributes.bits(), attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    set_attributes(&tree, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE, &attributes)?;
    Ok(tree)
}

/// Has the files of a tree that nobody sees yet belong to those whom the map of a user namespace has in the place of their owners:
/// `MOUNT_ATTR_IDMAP`. Mounts below its top stay as they are.
///
/// # Kernel
/// Linux 5.12, and file systems one by one: ext4 at once, tmpfs 6.3, overlayfs never for the mount itself.
///
/// # Errors
/// `EINVAL` where the file system cannot, `EPERM` without CAP_SYS_ADMIN in its user namespace.
pub fn map_owners(tree: &OwnedFd, user_namespace: BorrowedFd<'_>) -> Result<(), SysError> {
    let fd = user_namespace.as_raw_fd().unsigned_abs();
    let attributes =
        libc::mount_attr { attr_set: libc::MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd: fd.into() };
    set_attributes(tree, libc::AT_EMPTY_PATH, &attributes)
}

fn set_attributes(tree: &OwnedFd, flags: libc::c_int, attributes: &libc::mount_attr) -> Result<(), SysError> {
    // SAFETY: the structure is as long as is said, and lives through the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of_val(attributes),
        )
    };
    match answer {
        -1 => Err(last(|| Call::Build { name: "mount_setattr", args: "AT_EMPTY_PATH".into() })),
        _ => Ok(()),
    }
}

/// A message of somebody inside, as it came over the socket.
#[derive(Debug)]
pub struct Message {
    /// What it says.
    pub report: Report,
    /// Who has sent it: the pid, as the kernel knows it here.
    pub sender: Option<i32>,
    /// A descriptor that came with it.
    pub descriptor: Option<OwnedFd>,
}

/// Makes a pair of sockets: on the first the kernel says who has sent what comes over the second.
///
/// # Errors
/// `EMFILE`.
pub fn report_pair() -> Result<(OwnedFd, OwnedFd), SysError> {
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the call writes two descriptors.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
        return Err(last(|| Call::Socket("AF_UNIX")));
    }
    // SAFETY: the kernel has just handed out both; nobody else owns them.
    let (near, far) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    let yes: libc::c_int = 1;
    // SAFETY: the option is one `int`.
    let set = unsafe {
        let size = size_of_val(&yes) as libc::socklen_t;
        libc::setsockopt(near.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, std::ptr::from_ref(&yes).cast(), size)
    };
    if set != 0 {
        return Err(last(|| Call::Build { name: "setsockopt", args: "SO_PASSCRED".into() }));
    }
    Ok((near, far))
}

/// Receives what has come, if there is something; `Ok(None)` at the end: all who could say anything have gone.
///
/// # Errors
/// `EAGAIN` where nothing has come yet.
pub fn receive(socket: BorrowedFd<'_>) -> Result<Option<Message>, Errno> {
    let mut text = [0u8; 8];
    // Room for credentials and one descriptor, aligned as headers have to be.
    let mut control = [0u64; 16];
    let mut piece = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    // SAFETY: all of it may be zero.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    // SAFETY: the header points to what is alive, with its sizes.
    let length = retry(|| unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) } as _)?;
    if length == 0 {
        return Ok(None);
    }
    let is_whole = length as usize == text.len();
    let mut message = Message { report: Report::decode(text), sender: None, descriptor: None };
    // SAFETY: the kernel has filled in the header, and the macros keep within what it says is there.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(&raw const header);
        while !next.is_null() {
            let data = libc::CMSG_DATA(next);
            match ((*next).cmsg_level, (*next).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    let credentials = data.cast::<libc::ucred>().read_unaligned();
                    message.sender = Some(credentials.pid).filter(|pid| *pid > 0);
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    let count = ((*next).cmsg_len as usize - libc::CMSG_LEN(0) as usize) / size_of::<libc::c_int>();
                    for place in 0..count {
                        let fd = data.cast::<libc::c_int>().add(place).read_unaligned();
                        // One is enough; all are owned, so that none stays open.
                        message.descriptor.get_or_insert(OwnedFd::from_raw_fd(fd));
                    }
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(&raw const header, next);
        }
    }
    // A message of another length is none of the list's; what has come with it is closed.
    if is_whole { Ok(Some(message)) } else { receive(socket) }
}
