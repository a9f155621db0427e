//! The caller's own credentials: ids and capabilities. See credentials(7), capabilities(7).

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
