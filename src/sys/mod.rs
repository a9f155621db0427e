//! Asking the kernel: one safe wrapper for each system call, one file for each facility.
//!
//! This is the only folder with `unsafe` code: the calls that nsx makes most, and those that no library has, are made here by hand.
//! Every wrapper borrows its descriptors, hands out owned ones with `O_CLOEXEC`, and fails with a [`SysError`] that prints like
//! strace. Not here: the formats of `/proc` (`proc`), and what a user is told (`cmd::advice`).

#![allow(unsafe_code)]

pub mod aside;
pub mod bpf;
pub mod calls;
pub mod cgroupfs;
pub mod cred;
pub mod dir;
pub mod error;
pub mod inside;
pub mod kcmp;
pub mod kmsg;
pub mod message;
pub mod mount;
pub mod netlink;
pub mod nsfs;
pub mod pidfd;
pub mod probe;
pub mod program;
pub mod records;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod spawn;
mod stub;
pub mod tree;
pub mod tty;

pub use error::{Call, Errno, SysError, errno_name};
