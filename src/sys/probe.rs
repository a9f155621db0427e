//! Which features the kernel has, learned by trying them once.
//!
//! Kernel versions are never compared: distributions backport, and seccomp takes away. A call that answers with one of the errnos
//! that mean "no such thing" is not made again in this run. ARCHITECTURE.md has the table of features and fallbacks.

use std::sync::atomic::{AtomicBool, Ordering};

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
/// listns(2), Linux 6.19. Filters made before it may answer `EPERM`.
pub static LISTNS: Feature = Feature::new(&[Errno::ENOSYS, Errno::EPERM]);
/// File handles of nsfs with `FD_NSFS_ROOT`, Linux 6.18.
pub static NSFS_HANDLES: Feature = Feature::new(&[Errno::ENOSYS, Errno::EBADF, Errno::EPERM]);
/// listmount(2) and statmount(2) of another mount namespace, Linux 6.11.
pub static LISTMOUNT: Feature = Feature::new(&[Errno::ENOSYS, Errno::EINVAL, Errno::E2BIG]);
/// pidfd_open(2) and pidfd_getfd(2), Linux 5.3 and 5.6.
pub static PIDFD_GETFD: Feature = Feature::new(&[Errno::ENOSYS]);
/// `SO_NETNS_COOKIE`, Linux 5.14.
pub static NETNS_COOKIE: Feature = Feature::new(&[Errno::ENOPROTOOPT]);

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
