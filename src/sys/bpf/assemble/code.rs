//! What a program is made of: registers, instructions, comparisons, and the functions of the kernel that it calls.
//!
//! Not here: what is written with them (`assemble`).

use crate::sys::bpf::btf::TypeId;

/// A register of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reg {
    /// What a helper returns, and the program.
    R0,
    /// The first argument of a helper; lost by every call, as those up to R5.
    R1,
    /// The second argument.
    R2,
    /// The third argument.
    R3,
    /// The fourth argument.
    R4,
    /// The fifth argument.
    R5,
    /// The first of those that calls keep.
    R6,
    /// Kept by calls.
    R7,
    /// Kept by calls.
    R8,
    /// Kept by calls.
    R9,
    /// The end of the stack.
    R10,
}

/// An instruction, `struct bpf_insn` of `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    /// Destination and source, four bits each.
    registers: u8,
    pub(super) offset: i16,
    immediate: i32,
}

impl Instruction {
    pub(super) fn new(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
        let registers = if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
        Instruction { code, registers, offset, immediate }
    }

    /// Returns it as the kernel takes it.
    pub fn to_bytes(self) -> [u8; 8] {
        let ([o0, o1], [i0, i1, i2, i3]) = (self.offset.to_ne_bytes(), self.immediate.to_ne_bytes());
        [self.code, self.registers, o0, o1, i0, i1, i2, i3]
    }
}

/// How two registers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum If {
    /// They are the same.
    Equal = 0x10,
    /// They are not.
    Differ = 0x50,
    /// The first is no more, both without a sign.
    AtMost = 0xb0,
}

/// A function of the kernel that programs may call; its number in bpf-helpers(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Helper {
    /// Linux 5.5.
    ProbeReadKernel = 113,
    /// Linux 5.8.
    SeqWrite = 127,
}

/// Functions of the kernel that have no number: their types, where the kernel has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Functions {
    /// bpf_rdonly_cast (Linux 6.2). With it a pointer becomes one that the kernel does not vouch for, which is nothing to a program that
    /// only reads; without it newer kernels go through all of their types for every load that may be of one that they vouch for, which
    /// takes forty times as long as the rest of loading (measured on Linux 6.18: 5.0 and 0.12 ms).
    pub cast: Option<TypeId>,
    /// bpf_iter_num_new, bpf_iter_num_next and bpf_iter_num_destroy (Linux 6.4): loops whose end the kernel need not know.
    pub count: Option<[TypeId; 3]>,
}
