//! Which features the kernel has, learned by trying them once.
//!
//! Kernel versions are never compared: distributions backport, and seccomp takes away. A call that answers with one of the errnos
//! that mean "no such thing" is not made again in this run, and what nsx has to know before it begins is asked by calls that can change
//! nothing. ARCHITECTURE.md has the table of features and fallbacks.

use std::sync::atomic::{AtomicBool, Ordering};

use super::calls::mounts::OPEN_TREE_NAMESPACE;
use super::error::Errno;

/// A feature that older kernels do not have.
pub struct Feature {
    absent: AtomicBool,
    absent_errnos: &'static [Errno],
}

impl Feature {
    const fn new(absent_errnos: &'static [Errno]) -> Feature {
        Feature { absent: AtomicBool::new(false), absent_errnos }
    }

    /// Says whether the kernel has answered that it has no such thing.
    pub fn is_absent(&self) -> bool {
        // A wrong "present" costs one more try, so nothing has to be ordered with it.
        self.absent.load(Ordering::Relaxed)
    }

    /// Makes the call unless the kernel is known not to have it; `None` means that it does not.
    pub fn attempt<T>(&self, call: impl FnOnce() -> Result<T, Errno>) -> Option<Result<T, Errno>> {
        if self.is_absent() {
            return None;
        }
        match call() {
            Err(errno) if self.absent_errnos.contains(&errno) => {
                self.absent.store(true, Ordering::Relaxed);
                None
            }
            answer => Some(answer),
        }
    }
}

/// `NS_GET_ID`, Linux 6.18.
// FIXME: drop once Linux 6.18 is the baseline.
pub static NS_ID: Feature = Feature::new(&[Errno::ENOTTY]);
/// `NS_GET_MNTNS_ID`, Linux 6.11.
pub static MNTNS_ID: Feature = Feature::new(&[Errno::ENOTTY]);
/// `NS_GET_PID_FROM_PIDNS` and `NS_GET_PID_IN_PIDNS`, Linux 6.11. Neither answers `EPERM`: that is a filter.
// FIXME: drop once Linux 6.11 is the baseline.
pub static PID_TRANSLATION: Feature = Feature::new(&[Errno::ENOTTY, Errno::ENOSYS, Errno::EPERM]);
/// listns(2), Linux 6.19. Filters made before it may answer `EPERM`.
pub static LISTNS: Feature = Feature::new(&[Errno::ENOSYS, Errno::EPERM]);
/// File handles of nsfs with `FD_NSFS_ROOT`, Linux 6.18.
pub static NSFS_HANDLES: Feature = Feature::new(&[Errno::ENOSYS, Errno::EBADF, Errno::EPERM]);
/// listmount(2) and statmount(2) of another mount namespace, Linux 6.11.
pub static LISTMOUNT: Feature = Feature::new(&[Errno::ENOSYS, Errno::EINVAL, Errno::E2BIG]);
/// pidfd_open(2) and pidfd_getfd(2), Linux 5.3 and 5.6.
pub static PIDFD_GETFD: Feature = Feature::new(&[Errno::ENOSYS]);
/// kcmp(2), Linux 3.5, if it was built in.
pub static KCMP: Feature = Feature::new(&[Errno::ENOSYS]);
/// `SO_NETNS_COOKIE`, Linux 5.14.
pub static NETNS_COOKIE: Feature = Feature::new(&[Errno::ENOPROTOOPT]);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_feature_is_asked_for_once() {
        static ABSENT: Feature = Feature::new(&[Errno::ENOSYS]);
        assert!(matches!(ABSENT.attempt(|| Err::<(), _>(Errno::EPERM)), Some(Err(Errno::EPERM))));
        assert!(!ABSENT.is_absent());
        assert!(ABSENT.attempt(|| Err::<(), _>(Errno::ENOSYS)).is_none());
        assert!(ABSENT.attempt(|| -> Result<(), _> { panic!("asked again") }).is_none());
    }
}
