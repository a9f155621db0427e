//! The stub: a program of some 420 bytes that makes the system calls of a [`Program`](super::program::Program), one after the other.
//!
//! It is what enters a target in nsx's place. A process that a target can see must not be nsx: whoever may look at `/proc/PID/exe` there
//! could keep the file open and overwrite it once nsx has ended, and an interpreter line `#!/proc/self/exe` would run nsx inside. The stub
//! lies in a sealed memfd, holds nothing of the caller's memory, and costs less than a copy of nsx would by a factor of twenty
//! (ARCHITECTURE.md has the figures). See memfd_create(2), elf(5), syscall(2).
//!
//! Not here: which calls there are (`sys::program`), how the stub is started and watched (`sys::spawn`).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::error::{Call, Errno, SysError, last, retry};

/// Where the stub is loaded. All pointers in a program are counted from here.
pub(super) const BASE: u64 = 0x40_0000;
/// Memory that the calls of a program may write to: one page.
pub(super) const SCRATCH: u64 = 0x1000_0000;
/// How large it is; PATH_MAX, so that a path fits.
pub(super) const SCRATCH_SIZE: u64 = 4096;

/// Go on where the call fails, after saying so: with the next record, or with the one whose index is in the upper half.
pub(super) const CONTINUE: u64 = 1;
/// The call is clone(2): the child goes on, the parent says the pid and continues at the record whose index is in the upper half.
pub(super) const CLONE: u64 = 1 << 1;
/// Keep the answer in the word of the scratch memory whose number is in bits 16 to 31.
pub(super) const STORE: u64 = 1 << 2;
/// The first argument is a pointer to what is meant.
pub(super) const LOAD: u64 = 1 << 3;
/// The first argument is a pointer to what is meant, negated.
pub(super) const LOAD_NEGATED: u64 = 1 << 4;
/// The call has written a path to the scratch memory, which has to be absolute; `EXDEV` where it is not.
pub(super) const ABSOLUTE: u64 = 1 << 5;
/// Say nothing of a failure.
pub(super) const QUIET: u64 = 1 << 6;
/// No call: if the word that the first argument points to, after `and` with the second, is the word that the third points to, go on at
/// the record whose index is in the upper half.
pub(super) const COMPARE: u64 = 1 << 7;
/// No call: copy the word that the first argument points to to where the second points.
pub(super) const COPY: u64 = 1 << 8;
/// The second argument is a pointer to what is meant.
pub(super) const LOAD_SECOND: u64 = 1 << 9;
/// The call is clone(2), and nobody wants to hear the pid: a report wakes whoever waits for it.
pub(super) const UNTOLD: u64 = 1 << 10;
/// The record whose index is in the upper half is for `ENOEXEC` alone, of which nothing is said; other failures know no such record.
pub(super) const IF_NOEXEC: u64 = 1 << 11;
/// Say nothing of `ENOENT`: of most places in PATH nobody wants to hear, and each report wakes whoever waits for it.
pub(super) const UNLESS_ABSENT: u64 = 1 << 12;

/// What is for lists that a stub runs, and not nsx in its place.
pub(super) const STUB_ONLY: u64 = CLONE | COMPARE | COPY | LOAD_NEGATED | LOAD_SECOND;

/// All of them: no two are one bit, and they stay below what a slot or an index takes.
const FLAGS: [u64; 13] = [
    CONTINUE,
    CLONE,
    STORE,
    LOAD,
    LOAD_NEGATED,
    ABSOLUTE,
    QUIET,
    COMPARE,
    COPY,
    LOAD_SECOND,
    UNTOLD,
    IF_NOEXEC,
    UNLESS_ABSENT,
];
const _: () = {
    let (mut place, mut seen) = (0, 0);
    while place < FLAGS.len() {
        assert!(seen & FLAGS[place] == 0 && FLAGS[place] < 1 << 16);
        seen |= FLAGS[place];
        place += 1;
    }
};

/// How many bytes a record has: the number of the call, six arguments, flags.
pub(super) const RECORD: usize = 64;

// Behind the code lie: the descriptor to report to (8 bytes), then the records. A report is 8 bytes: the answer of the call (a pid, or an
// errno negated) as a 32-bit number, then the index of the record. Memory is little-endian on both.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".pushsection .rodata.nsx_stub, \"a\"",
    ".balign 16",
    ".globl nsx_stub_start",
    ".globl nsx_stub_end",
    "nsx_stub_start:",
    "lea rbx, [rip + nsx_stub_end]",
    "mov r15, [rbx]",
    "add rbx, 8",
    "xor r12d, r12d",
    "2: mov rax, [rbx]",
    "mov rdi, [rbx + 8]",
    "mov rsi, [rbx + 16]",
    "mov rdx, [rbx + 24]",
    "mov r10, [rbx + 32]",
    "mov r8, [rbx + 40]",
    "mov r9, [rbx + 48]",
    "mov r13, [rbx + 56]",
    "mov r14d, {scratch}",
    "test r13d, {compare} | {copy}",
    "jnz 11f",
    "test r13d, {load} | {load_negated}",
    "jz 3f",
    "mov rdi, [rdi]",
    "test r13d, {load_negated}",
    "jz 3f",
    "neg rdi",
    "3: test r13d, {load_second}",
    "jz 4f",
    "mov rsi, [rsi]",
    "4: syscall",
    "cmp rax, -4095",
    "jae 8f",
    "test r13d, {store}",
    "jz 5f",
    "mov rcx, r13",
    "shr rcx, 16",
    "movzx ecx, cx",
    "mov [r14 + rcx * 8], rax",
    "5: test r13d, {absolute}",
    "jz 6f",
    "cmp byte ptr [r14], 47",
    "je 6f",
    "mov rax, -{exdev}",
    "jmp 8f",
    "6: test r13d, {clone}",
    "jz 7f",
    "test rax, rax",
    "jz 7f",
    "test r13d, {untold}",
    "jnz 24f",
    "call 20f",
    "24: shr r13, 32",
    "23: mov r12, r13",
    "shl r13, 6",
    "lea rbx, [rip + nsx_stub_end]",
    "lea rbx, [rbx + r13 + 8]",
    "jmp 2b",
    "7: inc r12",
    "add rbx, {record}",
    "jmp 2b",
    "8: test r13d, {if_noexec}",
    "jz 14f",
    "cmp rax, -{enoexec}",
    "jne 13f",
    "shr r13, 32",
    "jmp 23b",
    "13: mov r13d, r13d",
    "14: test r13d, {quiet}",
    "jnz 9f",
    "test r13d, {unless_absent}",
    "jz 25f",
    "cmp rax, -{enoent}",
    "je 9f",
    "25: call 20f",
    "9: test r13d, {go_on}",
    "jz 22f",
    "shr r13, 32",
    "jz 7b",
    "jmp 23b",
    "22: mov edi, 1",
    "mov eax, {exit_group}",
    "syscall",
    "11: mov rax, [rdi]",
    "test r13d, {copy}",
    "jz 12f",
    "mov [rsi], rax",
    "jmp 7b",
    "12: and rax, rsi",
    "cmp rax, [rdx]",
    "jne 7b",
    "shr r13, 32",
    "jmp 23b",
    "20: push rax",
    "mov dword ptr [rsp + 4], r12d",
    "mov edi, r15d",
    "mov rsi, rsp",
    "mov edx, 8",
    "mov eax, {write}",
    "syscall",
    "pop rax",
    "ret",
    ".balign 8",
    "nsx_stub_end:",
    ".popsection",
    scratch = const SCRATCH,
    load = const LOAD,
    load_negated = const LOAD_NEGATED,
    load_second = const LOAD_SECOND,
    compare = const COMPARE,
    copy = const COPY,
    if_noexec = const IF_NOEXEC,
    enoexec = const libc::ENOEXEC,
    unless_absent = const UNLESS_ABSENT,
    enoent = const libc::ENOENT,
    store = const STORE,
    absolute = const ABSOLUTE,
    clone = const CLONE,
    quiet = const QUIET,
    untold = const UNTOLD,
    go_on = const CONTINUE,
    record = const RECORD,
    exdev = const libc::EXDEV,
    exit_group = const libc::SYS_exit_group,
    write = const libc::SYS_write,
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".pushsection .rodata.nsx_stub, \"a\"",
    ".balign 16",
    ".globl nsx_stub_start",
    ".globl nsx_stub_end",
    "nsx_stub_start:",
    "adr x19, nsx_stub_end",
    "ldr x20, [x19], #8",
    "mov x21, #0",
    "mov x22, #{scratch}",
    "2: ldr x8, [x19]",
    "ldp x0, x1, [x19, #8]",
    "ldp x2, x3, [x19, #24]",
    "ldp x4, x5, [x19, #40]",
    "ldr x23, [x19, #56]",
    "tst x23, #{copy}",
    "b.ne 11f",
    "tst x23, #{compare}",
    "b.ne 12f",
    "tst x23, #{load}",
    "b.eq 3f",
    "ldr x0, [x0]",
    "3: tst x23, #{load_negated}",
    "b.eq 10f",
    "ldr x0, [x0]",
    "neg x0, x0",
    "10: tst x23, #{load_second}",
    "b.eq 4f",
    "ldr x1, [x1]",
    "4: svc #0",
    "cmn x0, #4095",
    "b.hs 8f",
    "tst x23, #{store}",
    "b.eq 5f",
    "ubfx x9, x23, #16, #16",
    "str x0, [x22, x9, lsl #3]",
    "5: tst x23, #{absolute}",
    "b.eq 6f",
    "ldrb w9, [x22]",
    "cmp w9, #47",
    "b.eq 6f",
    "mov x0, #-{exdev}",
    "b 8f",
    "6: tst x23, #{clone}",
    "b.eq 7f",
    "cbz x0, 7f",
    "tst x23, #{untold}",
    "b.ne 24f",
    "bl 20f",
    "24: lsr x21, x23, #32",
    "23: adr x19, nsx_stub_end",
    "add x19, x19, #8",
    "add x19, x19, x21, lsl #6",
    "b 2b",
    "7: add x21, x21, #1",
    "add x19, x19, #{record}",
    "b 2b",
    "8: tst x23, #{if_noexec}",
    "b.eq 14f",
    "cmn x0, #{enoexec}",
    "b.ne 15f",
    "lsr x21, x23, #32",
    "b 23b",
    "15: mov w23, w23",
    "14: tst x23, #{quiet}",
    "b.ne 9f",
    "tst x23, #{unless_absent}",
    "b.eq 25f",
    "cmn x0, #{enoent}",
    "b.eq 9f",
    "25: bl 20f",
    "9: tst x23, #{go_on}",
    "b.eq 22f",
    "lsr x24, x23, #32",
    "cbz x24, 7b",
    "mov x21, x24",
    "b 23b",
    "22: mov x0, #1",
    "mov x8, #{exit_group}",
    "svc #0",
    "11: ldr x9, [x0]",
    "str x9, [x1]",
    "b 7b",
    "12: ldr x9, [x0]",
    "and x9, x9, x1",
    "ldr x10, [x2]",
    "cmp x9, x10",
    "b.ne 7b",
    "lsr x21, x23, #32",
    "b 23b",
    "20: sub sp, sp, #16",
    "stp w0, w21, [sp]",
    "mov x0, x20",
    "mov x1, sp",
    "mov x2, #8",
    "mov x8, #{write}",
    "svc #0",
    "add sp, sp, #16",
    "ret",
    ".balign 8",
    "nsx_stub_end:",
    ".popsection",
    scratch = const SCRATCH,
    load = const LOAD,
    load_negated = const LOAD_NEGATED,
    load_second = const LOAD_SECOND,
    compare = const COMPARE,
    copy = const COPY,
    if_noexec = const IF_NOEXEC,
    enoexec = const libc::ENOEXEC,
    unless_absent = const UNLESS_ABSENT,
    enoent = const libc::ENOENT,
    store = const STORE,
    absolute = const ABSOLUTE,
    clone = const CLONE,
    quiet = const QUIET,
    untold = const UNTOLD,
    go_on = const CONTINUE,
    record = const RECORD,
    exdev = const libc::EXDEV,
    exit_group = const libc::SYS_exit_group,
    write = const libc::SYS_write,
);

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "sys/stub.rs has no stub for this architecture: it is a hundred lines of assembly that nsx enters targets and makes sandboxes with"
);

unsafe extern "C" {
    static nsx_stub_start: u8;
    static nsx_stub_end: u8;
}

/// The machine code.
fn code() -> &'static [u8] {
    let (start, end) = (&raw const nsx_stub_start, &raw const nsx_stub_end);
    // SAFETY: both symbols are of the block of assembly above, which lies in one piece in read-only memory.
    unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
}

const HEADER: usize = 64;
const SEGMENT: usize = 56;
const SEGMENTS: usize = 3;
const CODE_AT: usize = HEADER + SEGMENTS * SEGMENT;

/// Returns where in the file the records start.
pub(super) fn records_at() -> usize {
    CODE_AT + code().len() + 8
}

/// Begins the file: header, code, the descriptor to report to. What is missing are the records and what they need, `tail` bytes together.
pub(super) fn head(report: i32, tail: usize) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    const MACHINE: u16 = 62;
    #[cfg(target_arch = "aarch64")]
    const MACHINE: u16 = 183;
    /// Segments start at a multiple of the largest page that there is.
    const ALIGN: u64 = 0x1_0000;
    const READ: u32 = 4;
    const WRITE: u32 = 2;
    const EXECUTE: u32 = 1;
    const LOAD: u32 = 1;
    const GNU_STACK: u32 = 0x6474_e551;

    let size = records_at() + tail;
    let mut file = Vec::with_capacity(size);
    // 64 bits, little-endian, version 1, System V.
    file.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2, MACHINE] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    file.extend_from_slice(&1u32.to_le_bytes());
    for word in [BASE + CODE_AT as u64, HEADER as u64, 0] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&0u32.to_le_bytes());
    for half in [HEADER as u16, SEGMENT as u16, SEGMENTS as u16, 0, 0, 0] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    for (kind, flags, address, in_file, in_memory) in [
        (LOAD, READ | EXECUTE, BASE, size as u64, size as u64),
        (LOAD, READ | WRITE, SCRATCH, 0, SCRATCH_SIZE),
        (GNU_STACK, READ | WRITE, 0, 0, 0),
    ] {
        file.extend_from_slice(&kind.to_le_bytes());
        file.extend_from_slice(&flags.to_le_bytes());
        for word in [0, address, address, in_file, in_memory, ALIGN] {
            file.extend_from_slice(&word.to_le_bytes());
        }
    }
    file.extend_from_slice(code());
    file.extend_from_slice(&i64::from(report).to_le_bytes());
    file
}

/// Puts a stub into a file without a name that nobody can write to any more.
///
/// # Kernel
/// memfd_create(2): Linux 3.17. `MFD_EXEC`: 6.3; left out where it is not known.
///
/// # Errors
/// `EACCES` where the sysctl vm.memfd_noexec is 2.
pub(super) fn seal(image: &[u8]) -> Result<OwnedFd, SysError> {
    const MFD_EXEC: libc::c_uint = 0x10;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let create = |flags| {
        // SAFETY: the name ends with NUL.
        retry(|| unsafe { libc::memfd_create(c"nsx".as_ptr(), flags) }.into())
    };
    let fd = match create(flags | MFD_EXEC) {
        Err(Errno::EINVAL) => create(flags),
        created => created,
    };
    let fd = fd.map_err(|errno| SysError::new(Call::MemfdCreate, errno))?;
    // SAFETY: the kernel has just handed out `fd`; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) };
    let mut rest = image;
    while !rest.is_empty() {
        // SAFETY: `rest` is valid for reads of its length.
        let written = retry(|| unsafe { libc::write(fd.as_raw_fd(), rest.as_ptr().cast(), rest.len()) } as _)
            .map_err(|errno| SysError::new(Call::Write("the stub"), errno))?;
        rest = &rest[(written as usize).min(rest.len())..];
    }
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: the command takes a number.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(last(|| Call::Fcntl("F_ADD_SEALS")));
    }
    Ok(fd)
}
