//! Credentials: the caller's own capabilities, and those that a program gives. See credentials(7), capabilities(7).

use std::ffi::CStr;

use super::error::{Call, SysError, last};
use crate::model::CapSet;

/// Returns the caller's effective capabilities, which hold in its own user namespace.
///
/// # Errors
/// `EPERM` below a seccomp filter that forbids it.
pub fn effective_caps() -> Result<CapSet, SysError> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let mut data = [0u32; 6];
    // SAFETY: version 3 of the call reads the header of two words and writes two structures of three.
    let answer = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) };
    if answer != 0 {
        return Err(last(|| Call::Capget));
    }
    Ok(CapSet::from_bits(u64::from(data[0]) | u64::from(data[3]) << 32))
}

/// Says whether executing the file gives capabilities: whether it has the attribute `security.capability`, see getxattr(2).
pub fn has_file_caps(path: &CStr) -> bool {
    // SAFETY: both strings end with NUL, and a size of zero asks for the size alone.
    let size = unsafe { libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), std::ptr::null_mut(), 0) };
    size > 0
}

/// Says whether the file is on a file system whose programs give no privileges: one that is mounted nosuid, see statvfs(3).
pub fn is_nosuid(path: &CStr) -> bool {
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends with NUL, and `stat` is valid for writes of a `struct statvfs`.
    if unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: statvfs succeeded and has filled it.
    unsafe { stat.assume_init() }.f_flag & libc::ST_NOSUID != 0
}
