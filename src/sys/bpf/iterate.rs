//! Handing a program to the kernel, and reading what it tells.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::assemble::Instruction;
use super::btf::TypeId;
use crate::sys::dir;
use crate::sys::error::{Call, Errno, SysError, retry};

/// Commands of bpf(2).
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;

/// `BPF_PROG_TYPE_TRACING`.
const TRACING: u32 = 26;
/// `BPF_TRACE_ITER`.
const TRACE_ITER: u32 = 28;

/// The helpers that programs call are for programs whose licence goes with the kernel's.
const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";

/// So much of what the kernel has to say of a program that it refuses is kept: the end, where the reason stands.
const LOG_BYTES: usize = 1 << 20;
/// So many lines of that are told.
const LOG_LINES: usize = 12;

/// Why there is no iterator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The call that failed.
    pub error: SysError,
    /// The end of what the kernel's verifier has to say of the program; empty where it has not looked at it.
    pub log: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for LoadError {}

/// The first part of `union bpf_attr` for `BPF_PROG_LOAD`, in `include/uapi/linux/bpf.h`.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// The same for `BPF_LINK_CREATE`, and, as far as the second field, for `BPF_ITER_CREATE`.
#[repr(C)]
#[derive(Default)]
struct Create {
    fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// A program that is run over all objects of a sort, once, while it is read.
pub struct Iterator {
    fd: OwnedFd,
}

impl Iterator {
    /// Has the kernel take a program, and begins to run it. `over` is the kernel's function that stands for the iterator, such as
    /// `bpf_iter_task`; `name` is what bpftool(8) calls the program.
    ///
    /// # Kernel
    /// Linux 5.8, with `CAP_BPF` and `CAP_PERFMON` in the initial user namespace.
    ///
    /// # Errors
    /// `EPERM` without the capabilities, or by a filter; `EINVAL`, `EACCES` and others where the verifier refuses the program, with its log:
    /// under lockdown for confidentiality programs may not read the kernel's memory.
    pub fn new(program: &[Instruction], over: TypeId, name: &[u8]) -> Result<Iterator, LoadError> {
        let program = load(program, over, name)?;
        let link = Create { fd: program.as_raw_fd().cast_unsigned(), attach_type: TRACE_ITER, ..Create::default() };
        let link = bpf(BPF_LINK_CREATE, "BPF_LINK_CREATE", &link)?;
        let fd = Create { fd: link.as_raw_fd().cast_unsigned(), ..Create::default() };
        // What reads holds the link, and that the program.
        Ok(Iterator { fd: bpf(BPF_ITER_CREATE, "BPF_ITER_CREATE", &fd)? })
    }

    /// Reads what the program tells next, whole records, into `buffer`; nothing is the end. The kernel hands out eight pages
    /// at most, and cuts a record that does not fit: `buffer` has to have room for whole ones.
    ///
    /// # Errors
    /// Whatever read(2) says; `EAGAIN` where the program has gone over a million objects and told nothing, and goes on with the next call.
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], SysError> {
        dir::read(self.fd.as_fd(), buffer).map_err(|errno| SysError::new(Call::Read(b"BPF iterator".to_vec()), errno))
    }
}

fn load(program: &[Instruction], over: TypeId, name: &[u8]) -> Result<OwnedFd, LoadError> {
    let mut attr = ProgLoad {
        prog_type: TRACING,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        expected_attach_type: TRACE_ITER,
        attach_btf_id: over.0,
        ..ProgLoad::default()
    };
    for (place, byte) in attr.prog_name.iter_mut().zip(name).take(15) {
        *place = *byte;
    }
    let refused = match bpf(BPF_PROG_LOAD, "BPF_PROG_LOAD", &attr) {
        Err(refused) if refused.error.errno != Errno::EPERM => refused,
        loaded => return loaded,
    };
    // To keep a log takes longer, so it is kept only now.
    let mut log = vec![0u8; LOG_BYTES];
    (attr.log_level, attr.log_size, attr.log_buf) = (1, LOG_BYTES as u32, log.as_mut_ptr() as u64);
    bpf(BPF_PROG_LOAD, "BPF_PROG_LOAD", &attr).map_err(|_| {
        let length = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
        let text = String::from_utf8_lossy(&log[..length]);
        let lines: Vec<&str> = text.lines().collect();
        let log = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
        LoadError { log, ..refused }
    })
}

fn bpf<T>(command: libc::c_int, name: &'static str, attr: &T) -> Result<OwnedFd, LoadError> {
    let answer = retry(|| {
        // SAFETY: `attr` is a beginning of `union bpf_attr` with its true size, and the addresses in it are of memory that outlives the
        // call: the instructions and the licence are only read, and the log is as long as it says.
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) }
    });
    match answer {
        // SAFETY: the kernel has just made this descriptor, with close-on-exec, and nobody else owns it.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) }),
        Err(errno) => Err(LoadError { error: SysError::new(Call::Bpf(name), errno), log: String::new() }),
    }
}

#[cfg(test)]
mod tests;
