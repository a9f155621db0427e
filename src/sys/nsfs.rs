//! Namespaces as files on nsfs: what an open one tells of itself, and how to open one by its 64-bit id.
//!
//! See ioctl_ns(2) and `include/uapi/linux/nsfs.h`.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::dir::fstat;
use super::error::{Call, Errno, SysError, last, retry};
use super::probe::{Feature, LISTNS, MNTNS_ID, NS_ID, NSFS_HANDLES, PID_TRANSLATION};
use crate::model::{NsId, NsKind, Pid, Uid};

const _: () = {
    assert!(NsKind::Cgroup.clone_flag() == libc::CLONE_NEWCGROUP as u32);
    assert!(NsKind::Ipc.clone_flag() == libc::CLONE_NEWIPC as u32);
    assert!(NsKind::Mnt.clone_flag() == libc::CLONE_NEWNS as u32);
    assert!(NsKind::Net.clone_flag() == libc::CLONE_NEWNET as u32);
    assert!(NsKind::Pid.clone_flag() == libc::CLONE_NEWPID as u32);
    assert!(NsKind::Time.clone_flag() == libc::CLONE_NEWTIME as u32);
    assert!(NsKind::User.clone_flag() == libc::CLONE_NEWUSER as u32);
    assert!(NsKind::Uts.clone_flag() == libc::CLONE_NEWUTS as u32);
};

/// The file system magic of nsfs, `NSFS_MAGIC` in `include/uapi/linux/magic.h`.
pub const NSFS_MAGIC: u64 = 0x6e73_6673;

/// No namespace has a smaller inode number: the fixed ones of the initial namespaces start here, the others above (`MNT_NS_INIT_INO`).
pub const LEAST_INODE: u64 = 0xEFFF_FFF8;

const NS_GET_USERNS: libc::c_ulong = 0xb701;
const NS_GET_PARENT: libc::c_ulong = 0xb702;
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
const NS_GET_OWNER_UID: libc::c_ulong = 0xb704;
const NS_GET_MNTNS_ID: libc::c_ulong = 0x8008_b705;
const NS_GET_PID_FROM_PIDNS: libc::c_ulong = 0x8004_b706;
const NS_GET_PID_IN_PIDNS: libc::c_ulong = 0x8004_b708;
const NS_GET_ID: libc::c_ulong = 0x8008_b70d;

/// Returns the inode number of the namespace behind `ns`.
///
/// # Errors
/// None that a caller can do anything about.
pub fn inode(ns: BorrowedFd<'_>) -> Result<Option<NsId>, SysError> {
    Ok(u32::try_from(fstat(ns)?.ino).ok().and_then(NsId::new))
}

/// Returns the user namespace that owns the namespace behind `ns`; for a user namespace that is its parent.
///
/// Asks `NS_GET_USERNS`, see ioctl_ns(2).
///
/// # Kernel
/// Linux 4.9.
///
/// # Errors
/// `EPERM` when the owner lies outside the caller's user namespace, and for the initial user namespace.
pub fn owner(ns: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    relative(ns, NS_GET_USERNS, "NS_GET_USERNS")
}

/// Returns the parent of the pid or user namespace behind `ns`.
///
/// Asks `NS_GET_PARENT`, see ioctl_ns(2).
///
/// # Kernel
/// Linux 4.9.
///
/// # Errors
/// `EPERM` for the initial namespace and when the parent lies outside the caller's, `EINVAL` for other kinds.
pub fn parent(ns: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    relative(ns, NS_GET_PARENT, "NS_GET_PARENT")
}

fn relative(ns: BorrowedFd<'_>, request: libc::c_ulong, name: &'static str) -> Result<OwnedFd, SysError> {
    // SAFETY: the request takes no argument and returns a descriptor.
    let fd = unsafe { libc::ioctl(ns.as_raw_fd(), request as _) };
    if fd < 0 {
        return Err(last(|| Call::Ioctl(name)));
    }
    // SAFETY: the kernel has just handed out `fd` (with O_CLOEXEC, see `open_related_ns` in fs/nsfs.c); nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Returns the kind of the namespace behind `ns`.
///
/// Asks `NS_GET_NSTYPE`, see ioctl_ns(2).
///
/// # Kernel
/// Linux 4.11.
///
/// # Errors
/// `ENOTTY` where `ns` is no namespace. A kind that this program does not know is `None`.
pub fn kind(ns: BorrowedFd<'_>) -> Result<Option<NsKind>, SysError> {
    // SAFETY: the request takes no argument.
    let flag = unsafe { libc::ioctl(ns.as_raw_fd(), NS_GET_NSTYPE as _) };
    if flag < 0 {
        return Err(last(|| Call::Ioctl("NS_GET_NSTYPE")));
    }
    Ok(NsKind::from_clone_flag(flag as u32))
}

/// Returns the uid that made the user namespace behind `ns`, as the caller's user namespace sees it.
///
/// Asks `NS_GET_OWNER_UID`, see ioctl_ns(2).
///
/// # Kernel
/// Linux 4.11.
///
/// # Errors
/// `EINVAL` where it is no user namespace.
pub fn owner_uid(ns: BorrowedFd<'_>) -> Result<Uid, SysError> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the request writes one uid_t.
    if unsafe { libc::ioctl(ns.as_raw_fd(), NS_GET_OWNER_UID as _, &raw mut uid) } != 0 {
        return Err(last(|| Call::Ioctl("NS_GET_OWNER_UID")));
    }
    Ok(Uid(uid))
}

/// Returns the 64-bit id of the namespace behind `ns`, which is never reused; `None` where the kernel has none.
///
/// Asks `NS_GET_ID`, see `include/uapi/linux/nsfs.h`.
///
/// # Kernel
/// Linux 6.18. Absent: `ENOTTY`, answered as `None`.
pub fn id64(ns: BorrowedFd<'_>) -> Option<u64> {
    ask_u64(ns, NS_GET_ID, &NS_ID)
}

/// Returns the id by which listmount(2) and statmount(2) know the mount namespace behind `ns`; `None` where the kernel has none.
///
/// Asks `NS_GET_MNTNS_ID`, see ioctl_nsfs(2).
///
/// # Kernel
/// Linux 6.11. Absent: `ENOTTY`, answered as `None`; use mountinfo.
pub fn mnt_ns_id(ns: BorrowedFd<'_>) -> Option<u64> {
    ask_u64(ns, NS_GET_MNTNS_ID, &MNTNS_ID)
}

fn ask_u64(ns: BorrowedFd<'_>, request: libc::c_ulong, feature: &Feature) -> Option<u64> {
    feature
        .attempt(|| {
            let mut value: u64 = 0;
            // SAFETY: the request writes one u64.
            retry(|| unsafe { libc::ioctl(ns.as_raw_fd(), request as _, &raw mut value) }.into())?;
            Ok(value)
        })
        .and_then(Result::ok)
}

/// Returns the task that has a number in the pid namespace behind `ns`, as the caller's pid namespace has it; `None` where the kernel
/// cannot.
///
/// Asks `NS_GET_PID_FROM_PIDNS`, see `include/uapi/linux/nsfs.h`.
///
/// # Kernel
/// Linux 6.11. Absent: `ENOTTY`, answered as `None`; read the `NSpid` lines of proc_pid_status(5).
///
/// # Errors
/// `ESRCH` where no task has the number, or it has none in the caller's pid namespace; `EINVAL` where `ns` is no pid namespace.
pub fn pid_from(ns: BorrowedFd<'_>, number: u32) -> Option<Result<Pid, SysError>> {
    translate(ns, NS_GET_PID_FROM_PIDNS, number, "NS_GET_PID_FROM_PIDNS").map(|found| found.map(Pid))
}

/// Returns the number that a task of the caller's pid namespace has in the pid namespace behind `ns`; `None` where the kernel cannot.
///
/// Asks `NS_GET_PID_IN_PIDNS`, see `include/uapi/linux/nsfs.h`.
///
/// # Kernel
/// As [`pid_from`].
///
/// # Errors
/// `ESRCH` where there is no such task, or it has no number there; `EINVAL` where `ns` is no pid namespace.
pub fn pid_in(ns: BorrowedFd<'_>, pid: Pid) -> Option<Result<u32, SysError>> {
    translate(ns, NS_GET_PID_IN_PIDNS, pid.0, "NS_GET_PID_IN_PIDNS")
}

fn translate(
    ns: BorrowedFd<'_>,
    request: libc::c_ulong,
    number: u32,
    name: &'static str,
) -> Option<Result<u32, SysError>> {
    let answer = PID_TRANSLATION.attempt(|| {
        // SAFETY: the request takes a number and returns one.
        retry(|| unsafe { libc::ioctl(ns.as_raw_fd(), request as _, libc::c_ulong::from(number)) }.into())
    })?;
    Some(answer.map(|found| found as u32).map_err(|errno| SysError::new(Call::Ioctl(name), errno)))
}

/// `struct ns_id_req` of listns(2), 32 bytes.
#[repr(C)]
struct NsIdReq {
    size: u32,
    spare: u32,
    ns_id: u64,
    ns_type: u32,
    spare2: u32,
    user_ns_id: u64,
}

/// Lists the ids of all active namespaces that the caller may see, ascending; `None` where the kernel cannot.
///
/// listns(2): without privilege in the initial pid and user namespace that is just the caller's own ones, without an error.
///
/// # Kernel
/// Linux 6.19 (system call 470 on all architectures but alpha). Absent: `ENOSYS`, answered as `None`.
///
/// # Errors
/// None that a caller can do anything about. The end of the list is `ENOENT` when the last id has no successor.
pub fn listns() -> Option<Result<Vec<u64>, SysError>> {
    const SYS_LISTNS: libc::c_long = 470;
    let mut ids: Vec<u64> = Vec::new();
    let mut page = [0u64; 512];
    loop {
        let request = NsIdReq {
            size: size_of::<NsIdReq>() as u32,
            spare: 0,
            ns_id: ids.last().copied().unwrap_or(0),
            ns_type: 0,
            spare2: 0,
            user_ns_id: 0,
        };
        let answer = LISTNS.attempt(|| {
            // SAFETY: `request` lives through the call and tells its size; `page` is valid for writes of its length.
            retry(|| unsafe { libc::syscall(SYS_LISTNS, &raw const request, page.as_mut_ptr(), page.len(), 0) })
        })?;
        match answer {
            Ok(0) | Err(Errno::ENOENT) => return Some(Ok(ids)),
            Ok(count) => {
                let new = &page[..(count as usize).min(page.len())];
                if new.iter().any(|id| ids.last().is_some_and(|last| id <= last)) {
                    return Some(Ok(ids));
                }
                ids.extend_from_slice(new);
            }
            Err(errno) => return Some(Err(SysError::new(Call::Listns, errno))),
        }
    }
}

/// Opens a namespace by its 64-bit id; `None` where the kernel cannot.
///
/// open_by_handle_at(2) with a `struct nsfs_file_handle` that holds nothing but the id.
///
/// # Kernel
/// Linux 6.19. Absent: `EBADF` (no `FD_NSFS_ROOT`, before 6.18), answered as `None`; 6.18 answers `ESTALE`.
///
/// # Errors
/// `ESTALE` where the namespace has gone or the caller may not see it.
pub fn open_by_id(id: u64) -> Option<Result<OwnedFd, SysError>> {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        handle_type: i32,
        ns_id: u64,
        ns_type: u32,
        ns_inum: u32,
    }
    const FILEID_NSFS: i32 = 0xf1;
    const FD_NSFS_ROOT: libc::c_int = -10003;
    let mut handle = Handle { bytes: 16, handle_type: FILEID_NSFS, ns_id: id, ns_type: 0, ns_inum: 0 };
    let opened = NSFS_HANDLES.attempt(|| {
        // SAFETY: `handle` is a file handle of the 16 bytes that it says it has.
        retry(|| unsafe {
            libc::syscall(libc::SYS_open_by_handle_at, FD_NSFS_ROOT, &raw mut handle, libc::O_RDONLY | libc::O_CLOEXEC)
        })
    })?;
    Some(match opened {
        // SAFETY: the kernel has just handed out `fd`; nobody else owns it.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) }),
        Err(errno) => Err(SysError::new(Call::OpenByHandleAt(id), errno)),
    })
}
