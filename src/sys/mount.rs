//! The mounts of any mount namespace, by its id and without entering it.
//!
//! See listmount(2), statmount(2).

use super::error::{Call, Errno, SysError, retry};
use super::probe::LISTMOUNT;

/// System call numbers, the same on all architectures; the libc crate has them for some only.
const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LISTMOUNT: libc::c_long = 458;

/// `struct mnt_id_req`, 32 bytes (`MNT_ID_REQ_SIZE_VER1`).
#[repr(C)]
struct MntIdReq {
    size: u32,
    spare: u32,
    mnt_id: u64,
    param: u64,
    mnt_ns_id: u64,
}

impl MntIdReq {
    const fn new(mnt_id: u64, param: u64, mnt_ns_id: u64) -> MntIdReq {
        MntIdReq { size: size_of::<MntIdReq>() as u32, spare: 0, mnt_id, param, mnt_ns_id }
    }
}

/// Lists the ids of all mounts in the mount namespace with this id (see [`super::nsfs::mnt_ns_id`]); `None` where the kernel cannot.
///
/// # Kernel
/// Linux 6.8, of another namespace 6.11. Absent: `ENOSYS` or `EINVAL`, answered as `None`; use mountinfo.
///
/// # Errors
/// `ENOENT` where the namespace has gone or the caller has no CAP_SYS_ADMIN over it.
pub fn listmount(mnt_ns_id: u64) -> Option<Result<Vec<u64>, SysError>> {
    const LSMT_ROOT: u64 = u64::MAX;
    let mut ids: Vec<u64> = Vec::new();
    let mut page = [0u64; 512];
    loop {
        let request = MntIdReq::new(LSMT_ROOT, ids.last().copied().unwrap_or(0), mnt_ns_id);
        let answer = LISTMOUNT.attempt(|| {
            // SAFETY: `request` lives through the call and tells its size; `page` is valid for writes of its length.
            retry(|| unsafe { libc::syscall(SYS_LISTMOUNT, &raw const request, page.as_mut_ptr(), page.len(), 0) })
        })?;
        match answer {
            Ok(count) => {
                let count = (count as usize).min(page.len());
                ids.extend_from_slice(&page[..count]);
                if count < page.len() {
                    return Some(Ok(ids));
                }
            }
            Err(errno) => return Some(Err(SysError::new(Call::Listmount(mnt_ns_id), errno))),
        }
    }
}

/// What statmount(2) tells of one mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountStrings<'a> {
    /// The root of the mount within its file system; for nsfs the name of the namespace, such as `net:[4026532184]`.
    pub root: &'a [u8],
    /// The mount point, as seen from the root of the mount namespace; unescaped.
    pub point: &'a [u8],
}

/// Asks about mounts, with a buffer that is used again for the next one.
pub struct StatMount {
    buffer: Vec<u64>,
}

const STATMOUNT_SB_BASIC: u64 = 0x01;
const STATMOUNT_MNT_ROOT: u64 = 0x08;
const STATMOUNT_MNT_POINT: u64 = 0x10;

/// Byte offsets in `struct statmount`, `include/uapi/linux/mount.h`.
const MASK: usize = 8;
const SB_MAGIC: usize = 24;
const MNT_ROOT: usize = 104;
const MNT_POINT: usize = 108;
const STRINGS: usize = 512;

impl StatMount {
    /// Makes one with room for ordinary paths; it grows for longer ones.
    pub fn new() -> StatMount {
        StatMount { buffer: vec![0; 128] }
    }

    fn ask(&mut self, mnt_ns_id: u64, mnt_id: u64, mask: u64) -> Result<&[u8], SysError> {
        /// Paths longer than PATH_MAX are possible, but there is an end to what one mount may make us allocate.
        const MOST_WORDS: usize = 1 << 17;
        let request = MntIdReq::new(mnt_id, mask, mnt_ns_id);
        loop {
            let bytes = self.buffer.len() * 8;
            // SAFETY: `request` lives through the call and tells its size; the buffer is valid for writes of `bytes`.
            let answer = retry(|| unsafe {
                libc::syscall(SYS_STATMOUNT, &raw const request, self.buffer.as_mut_ptr(), bytes, 0)
            });
            match answer {
                Ok(_) => break,
                Err(Errno::EOVERFLOW) if self.buffer.len() < MOST_WORDS => self.buffer.resize(self.buffer.len() * 4, 0),
                Err(errno) => return Err(SysError::new(Call::Statmount(mnt_id), errno)),
            }
        }
        // SAFETY: the buffer is initialised, and u8 has no alignment.
        Ok(unsafe { std::slice::from_raw_parts(self.buffer.as_ptr().cast::<u8>(), self.buffer.len() * 8) })
    }

    /// Returns the magic number of the file system that is mounted.
    ///
    /// # Kernel
    /// Linux 6.8, of another namespace 6.11; only ids that [`listmount`] returned make sense here.
    ///
    /// # Errors
    /// `ENOENT` where the mount has gone.
    pub fn fs_magic(&mut self, mnt_ns_id: u64, mnt_id: u64) -> Result<u64, SysError> {
        let answer = self.ask(mnt_ns_id, mnt_id, STATMOUNT_SB_BASIC)?;
        Ok(u64_at(answer, SB_MAGIC))
    }

    /// Returns the root and the mount point; `None` where the kernel tells only one of them (the mount is out of reach).
    ///
    /// # Kernel
    /// Linux 6.8, of another namespace 6.11.
    ///
    /// # Errors
    /// `ENOENT` where the mount has gone.
    pub fn strings(&mut self, mnt_ns_id: u64, mnt_id: u64) -> Result<Option<MountStrings<'_>>, SysError> {
        let wanted = STATMOUNT_MNT_ROOT | STATMOUNT_MNT_POINT;
        let answer = self.ask(mnt_ns_id, mnt_id, wanted)?;
        if u64_at(answer, MASK) & wanted != wanted {
            return Ok(None);
        }
        let string = |offset: usize| {
            let start = STRINGS + u32_at(answer, offset) as usize;
            let text = answer.get(start..).unwrap_or_default();
            &text[..text.iter().position(|&byte| byte == 0).unwrap_or(0)]
        };
        Ok(Some(MountStrings { root: string(MNT_ROOT), point: string(MNT_POINT) }))
    }
}

impl Default for StatMount {
    fn default() -> Self {
        StatMount::new()
    }
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes[offset..].first_chunk().map_or(0, |chunk| u64::from_ne_bytes(*chunk))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes[offset..].first_chunk().map_or(0, |chunk| u32::from_ne_bytes(*chunk))
}
