//! Trees of mounts that nobody sees yet, and whom their files belong to.
//!
//! See open_tree(2), mount_setattr(2). Not here: what is done with them inside (`sys::calls`), mounts that there are (`sys::mount`).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::calls::mounts::MountAttributes;
use super::error::{Call, SysError, last, retry};

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
