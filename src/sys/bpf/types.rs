//! The file with the kernel's types, mapped or read.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

use crate::sys::error::{Call, Errno, SysError};

/// Where the kernel shows its types.
const PATH: &str = "/sys/kernel/btf/vmlinux";
/// The file of a kernel with every option has 6 MB; more is none that nsx reads.
const MOST_BYTES: u64 = 256 << 20;

/// The bytes of `/sys/kernel/btf/vmlinux`.
pub enum Types {
    /// Mapped, which costs nothing for what is not looked at.
    Mapped {
        /// Where.
        address: NonNull<u8>,
        /// How many bytes.
        length: usize,
    },
    /// Read.
    Read(Vec<u8>),
}

impl Types {
    /// Opens the file.
    ///
    /// # Kernel
    /// Linux 5.4 with `CONFIG_DEBUG_INFO_BTF`, else `ENOENT`. It can be mapped since Linux 6.16; before that it is read, a page at a
    /// time, because sysfs hands out no more.
    ///
    /// # Errors
    /// Whatever openat(2) and read(2) say.
    pub fn open() -> Result<Types, SysError> {
        let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or_default());
        let opening = |error| SysError::new(Call::Openat(PATH.into()), errno(error));
        let reading = |error| SysError::new(Call::Read(PATH.into()), errno(error));
        let file = File::open(PATH).map_err(opening)?;
        let length = file.metadata().map_err(opening)?.len();
        if length == 0 || length > MOST_BYTES {
            return Err(SysError::new(Call::Read(PATH.into()), Errno::EFBIG));
        }
        let length = length as usize;
        // SAFETY: the kernel chooses an address where nothing is, and the file is never written to: the mapping is private.
        let address = unsafe {
            libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
        };
        if address != libc::MAP_FAILED
            && let Some(address) = NonNull::new(address.cast())
        {
            return Ok(Types::Mapped { address, length });
        }
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut bytes[filled..], filled as u64).map_err(reading)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(Types::Read(bytes))
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: the mapping has that length, stays as long as `self`, and is of memory of the kernel's that never changes.
            Types::Mapped { address, length } => unsafe { std::slice::from_raw_parts(address.as_ptr(), *length) },
            Types::Read(bytes) => bytes,
        }
    }
}

impl Drop for Types {
    fn drop(&mut self) {
        if let Types::Mapped { address, length } = self {
            // SAFETY: it was mapped with this length, and nobody has a reference to it any more.
            unsafe { libc::munmap(address.as_ptr().cast(), *length) };
        }
    }
}
