//! What two tasks have in common, see kcmp(2).

use std::cmp::Ordering;

use super::error::retry;
use super::probe::KCMP;
use crate::model::Tid;

/// Compares the tables of descriptors of two threads: they have the same one, or one comes before the other in an order that the kernel
/// keeps until the next boot. `None` where that cannot be asked, or one of them has gone.
///
/// # Kernel
/// Linux 3.5, where it was built in (`CONFIG_KCMP`, before Linux 5.12 `CONFIG_CHECKPOINT_RESTORE`). Absent: `ENOSYS`, answered as `None`.
pub fn files(one: Tid, other: Tid) -> Option<Ordering> {
    /// `KCMP_FILES` in `include/uapi/linux/kcmp.h`.
    const KCMP_FILES: libc::c_int = 2;
    let asked = KCMP.attempt(|| {
        // SAFETY: the call takes numbers.
        retry(|| unsafe { libc::syscall(libc::SYS_kcmp, one.0, other.0, KCMP_FILES, 0, 0) })
    });
    match asked?.ok()? {
        0 => Some(Ordering::Equal),
        1 => Some(Ordering::Less),
        2 => Some(Ordering::Greater),
        // They differ, and no more is said.
        _ => None,
    }
}
