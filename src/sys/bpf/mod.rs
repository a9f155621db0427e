//! BPF iterators: small programs that the kernel runs over all objects of a sort, such as its tasks, and whose output is read like a file.
//!
//! There is no compiler and no library in between: [`btf`] reads where the kernel has what, [`assemble`] makes a program of that, and
//! [`Iterator`] has it loaded and read. A program only reads; it is gone with its descriptors. Not here: what is asked (`scan::bpf`).
//!
//! See bpf(2), bpf-helpers(7) and `Documentation/bpf/bpf_iterators.rst`.

pub mod assemble;
pub mod btf;
mod iterate;
pub mod record;
mod types;

pub use assemble::{Assembler, Functions, Reg};
pub use iterate::{Iterator, LoadError};
pub use types::Types;
