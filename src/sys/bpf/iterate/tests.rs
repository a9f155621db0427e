//! What is said of a program that the kernel does not take.

use std::os::fd::OwnedFd;

use super::{Iterator, LoadError};
use crate::sys::bpf::Types;
use crate::sys::bpf::assemble::{Assembler, Functions, Reg};
use crate::sys::bpf::btf::{Btf, Named};
use crate::sys::error::{Call, Errno, SysError};

impl Iterator {
    /// What is told is in this file.
    pub(crate) fn of(fd: OwnedFd) -> Iterator {
        Iterator { fd }
    }
}

#[test]
fn an_error_is_that_of_the_call() {
    let error = SysError::new(Call::Bpf("BPF_PROG_LOAD"), Errno::EPERM);
    let refused = LoadError { error: error.clone(), log: "R1 is not a pointer\n".to_owned() };
    assert_eq!(refused.to_string(), error.to_string());
    assert_eq!(refused.to_string(), "bpf(BPF_PROG_LOAD): Operation not permitted (EPERM)");
}

/// Hands over a program that reads what it never wrote; `None` where the kernel does not show its types.
fn wrong_program() -> Option<LoadError> {
    let types = Types::open().ok()?;
    let mut btf = Btf::new(types.bytes()).expect("the kernel's types");
    let [over, context] = btf.find([Named::Function("bpf_iter_task"), Named::Struct("bpf_iter__task")]).ok()?;
    let mut program = Assembler::new(&mut btf, context, Functions::default(), -8);
    program.copy(Reg::R1, Reg::R9);
    let program = program.finish().expect("no jumps");
    Some(Iterator::new(&program, over, b"nsx_wrong").err().expect("that reads a register that was never set"))
}

#[test]
fn the_verifier_says_why_unless_it_was_never_asked() {
    let Some(refused) = wrong_program() else { return };
    assert_eq!(refused.error.call, Call::Bpf("BPF_PROG_LOAD"));
    match refused.error.errno {
        // Without capabilities, or where a filter or the kernel's configuration leaves no bpf(2).
        Errno::EPERM | Errno::ENOSYS => assert_eq!(refused.log, ""),
        _ => {
            assert!(refused.log.contains("R9 !read_ok"), "{refused:?}");
            assert!(refused.log.lines().count() <= super::LOG_LINES, "{refused:?}");
        }
    }
}

#[test]
fn without_capabilities_there_is_no_log() {
    // Capabilities are those of a thread, and this one ends with the test.
    let without = std::thread::spawn(|| {
        let header = [0x2008_0522u32, 0];
        let none = [0u32; 6];
        // SAFETY: both are as capset(2) has them in its third version: a header, and two times three words.
        let answer = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
        assert_eq!(answer, 0, "everybody may drop capabilities");
        wrong_program()
    });
    let Some(refused) = without.join().expect("no panic") else { return };
    assert!(matches!(refused.error.errno, Errno::EPERM | Errno::ENOSYS), "{refused:?}");
    assert_eq!(refused.log, "");
}
