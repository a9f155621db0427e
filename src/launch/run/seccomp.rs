//! The filter of system calls that `nsx run` puts on a command, unless it is told not to.
//!
//! It refuses what is the whole host's, what gets around namespaces, and what has no use but attacks. It is no list of what is allowed:
//! inside a sandbox `unshare`, `mount`, `ptrace` and `nsx run` itself work as far as namespaces and capabilities let them. Only numbers
//! that nobody knew when this was written are refused one and all, for what they will do cannot be known either.
//!
//! A call that has a use with a capability is allowed where the command keeps that capability. The kernel then still asks for it, mostly in
//! the initial user namespace. See seccomp(2), capabilities(7); the default profile of Docker is close to this.
//!
//! Not here: how rules become a filter (`sys::seccomp`), when it is installed.

#[cfg(test)]
mod tests;

use nix::libc::{self, c_long};

use crate::model::CapSet;
use crate::sys::Errno;
use crate::sys::seccomp::{Action, Filter, Rule, Test, Verdict};

/// Calls that are not, or not always, allowed.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The calls with their numbers.
    pub calls: &'static [Syscall],
    /// What becomes of them.
    pub action: Action,
    /// They are allowed where the command keeps one of these capabilities.
    pub unless: CapSet,
    /// Why, for the reader of a manual: the beginning of a sentence are the names of the calls.
    pub why: &'static str,
}

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// Its name, as in section 2 of the manual.
    pub name: &'static str,
    /// Its number on this architecture.
    pub number: c_long,
}

/// Where libc has no `SYS_kexec_file_load`: for musl on aarch64.
const KEXEC_FILE_LOAD: c_long = if cfg!(target_arch = "x86_64") { 320 } else { 294 };
/// `AF_VSOCK` of `include/linux/socket.h`, which libc does not have for musl.
const AF_VSOCK: u32 = 40;
/// Execution domains and flags of `include/uapi/linux/personality.h`, which libc does not have for musl.
const PER_LINUX32: u32 = 8;
const UNAME26: u32 = 0x2_0000;
const ADDR_NO_RANDOMIZE: u32 = 0x4_0000;

/// The numbers that calls have, up to those of Linux 7.0 (`rseq_slice_yield`): the old ones of each architecture, and those that are the
/// same everywhere, which start at 424. What lies between is not in use.
#[cfg(target_arch = "x86_64")]
const KNOWN: [(u32, u32); 2] = [(0, 336), (424, 471)];
/// As above: up to `kexec_file_load`, and from 424.
#[cfg(target_arch = "aarch64")]
const KNOWN: [(u32, u32); 2] = [(0, 294), (424, 471)];

const ALLOW: Action = Action::Always(Verdict::Allow);
const EPERM: Action = refuse(Errno::EPERM);

const fn refuse(errno: Errno) -> Action {
    Action::Always(Verdict::Refuse(errno))
}

macro_rules! calls {
    ($($name:ident = $number:expr),*) => { &[$(Syscall { name: stringify!($name), number: $number }),*] };
}

const NEVER: CapSet = CapSet::EMPTY;

/// All calls that are not, or not always, allowed.
///
/// Missing on purpose: adjtimex and clock_adjtime, which only read the clock where they are not told to set it, what a filter cannot
/// see, and the kernel asks for CAP_SYS_TIME; pidfd_getfd, process_vm_readv, process_madvise, kcmp, move_pages and the like, for which the
/// kernel asks whether the caller may trace the process; modify_ldt, without which Wine has no 32-bit programs; calls that the kernel has
/// no longer, such as create_module and _sysctl.
pub const ROWS: &[Row] = &[
    Row {
        calls: calls![kexec_load = libc::SYS_kexec_load, kexec_file_load = KEXEC_FILE_LOAD],
        action: EPERM,
        unless: NEVER,
        why: "would replace the host's kernel",
    },
    Row {
        calls: calls![
            init_module = libc::SYS_init_module,
            finit_module = libc::SYS_finit_module,
            delete_module = libc::SYS_delete_module
        ],
        action: EPERM,
        unless: CapSet::SYS_MODULE,
        why: "put code into the host's kernel, or take it out",
    },
    Row {
        calls: calls![reboot = libc::SYS_reboot],
        action: EPERM,
        unless: CapSet::SYS_BOOT,
        why: "is for the init of a machine",
    },
    #[cfg(target_arch = "x86_64")]
    Row {
        calls: calls![iopl = libc::SYS_iopl, ioperm = libc::SYS_ioperm],
        action: EPERM,
        unless: CapSet::SYS_RAWIO,
        why: "reach devices past the kernel",
    },
    Row {
        calls: calls![swapon = libc::SYS_swapon, swapoff = libc::SYS_swapoff],
        action: EPERM,
        unless: NEVER,
        why: "change the memory of the whole host",
    },
    Row {
        calls: calls![settimeofday = libc::SYS_settimeofday, clock_settime = libc::SYS_clock_settime],
        action: EPERM,
        unless: CapSet::SYS_TIME,
        why: "set the host's clock: that of the day is in no namespace",
    },
    Row {
        calls: calls![acct = libc::SYS_acct],
        action: EPERM,
        unless: CapSet::SYS_PACCT,
        why: "writes down every process that ends",
    },
    Row {
        calls: calls![syslog = libc::SYS_syslog],
        action: EPERM,
        unless: CapSet::SYSLOG.union(CapSet::SYS_ADMIN),
        why: "reads the messages of the host's kernel, addresses among them",
    },
    Row {
        calls: calls![bpf = libc::SYS_bpf],
        action: EPERM,
        unless: CapSet::BPF.union(CapSet::SYS_ADMIN),
        why: "runs programs in the host's kernel",
    },
    Row {
        calls: calls![perf_event_open = libc::SYS_perf_event_open],
        action: EPERM,
        unless: CapSet::PERFMON.union(CapSet::SYS_ADMIN),
        why: "watches processor and kernel, other processes' traces included",
    },
    Row {
        calls: calls![open_by_handle_at = libc::SYS_open_by_handle_at],
        action: EPERM,
        unless: CapSet::DAC_READ_SEARCH,
        why: "opens files by their number, also those that no path inside leads to",
    },
    Row {
        calls: calls![quotactl = libc::SYS_quotactl, quotactl_fd = libc::SYS_quotactl_fd],
        action: EPERM,
        unless: CapSet::SYS_ADMIN,
        why: "are about whole file systems, which are the host's",
    },
    Row {
        calls: calls![fanotify_init = libc::SYS_fanotify_init],
        action: EPERM,
        unless: CapSet::SYS_ADMIN,
        why: "watches whole file systems, which are the host's",
    },
    Row {
        calls: calls![lookup_dcookie = libc::SYS_lookup_dcookie],
        action: EPERM,
        unless: CapSet::SYS_ADMIN,
        why: "tells paths of the host, and is of use to a profiler of the whole host only",
    },
    Row {
        calls: calls![vhangup = libc::SYS_vhangup],
        action: EPERM,
        unless: CapSet::SYS_TTY_CONFIG,
        why: "hangs up the terminal, which may be the host's",
    },
    Row {
        calls: calls![add_key = libc::SYS_add_key, request_key = libc::SYS_request_key, keyctl = libc::SYS_keyctl],
        action: EPERM,
        unless: NEVER,
        why: "reach keys of the caller: a session's keyring is in no namespace",
    },
    Row {
        calls: calls![userfaultfd = libc::SYS_userfaultfd],
        action: EPERM,
        unless: NEVER,
        why: "lets a program stop the kernel in the middle of a call, which makes races into exploits",
    },
    Row {
        calls: calls![
            io_uring_setup = libc::SYS_io_uring_setup,
            io_uring_enter = libc::SYS_io_uring_enter,
            io_uring_register = libc::SYS_io_uring_register
        ],
        // As on a kernel without it: programs have a way around that for as long as there has been io_uring. EPERM came later.
        action: refuse(Errno::ENOSYS),
        unless: NEVER,
        why: "make calls that no filter sees, and have been the way into many kernels",
    },
    Row { calls: calls![nfsservctl = libc::SYS_nfsservctl], action: EPERM, unless: NEVER, why: "is a relic" },
    #[cfg(target_arch = "x86_64")]
    Row {
        calls: calls![uselib = libc::SYS_uselib, ustat = libc::SYS_ustat, sysfs = libc::SYS_sysfs],
        action: EPERM,
        unless: NEVER,
        why: "are relics",
    },
    Row {
        calls: calls![personality = libc::SYS_personality],
        action: Action::ByArgument {
            argument: 0,
            tests: &[
                // Only asks.
                Test::equals(u32::MAX),
                Test::within(PER_LINUX32 | UNAME26 | ADDR_NO_RANDOMIZE),
            ],
            found: Verdict::Allow,
            otherwise: Verdict::Refuse(Errno::EPERM),
        },
        unless: NEVER,
        why: "takes PER_LINUX, PER_LINUX32, UNAME26 and, for debuggers, ADDR_NO_RANDOMIZE; others bring old ways back that are little tested",
    },
    Row {
        calls: calls![ioctl = libc::SYS_ioctl],
        action: Action::ByArgument {
            argument: 1,
            tests: &[Test::equals(libc::TIOCSTI as u32), Test::equals(libc::TIOCLINUX as u32)],
            found: Verdict::Refuse(Errno::EPERM),
            otherwise: Verdict::Allow,
        },
        unless: NEVER,
        why: "takes neither TIOCSTI nor TIOCLINUX, which type into a terminal: what the caller's shell reads next, once the command has ended",
    },
    Row {
        calls: calls![socket = libc::SYS_socket],
        action: Action::ByArgument {
            argument: 0,
            tests: &[Test::equals(libc::AF_ALG as u32), Test::equals(AF_VSOCK)],
            // As on a kernel that lacks the family.
            found: Verdict::Refuse(Errno::EAFNOSUPPORT),
            otherwise: Verdict::Allow,
        },
        unless: NEVER,
        why: "does without AF_VSOCK, the way to the hypervisor and to virtual machines, which is in no network namespace, and without AF_ALG, \
              ciphers of the kernel, which CVE-2026-31431 led through to files of others",
    },
];

/// Calls that are not allowed where the command is in the user namespace outside. In a user namespace of its own whoever has a cgroup
/// outside, or is root there, could show the cgroups outside and change them; with one that nsx makes, a sysctl of that keeps them from it.
const OUTSIDE: [Row; 2] = [
    Row {
        calls: calls![unshare = libc::SYS_unshare, clone = libc::SYS_clone],
        action: Action::ByArgument {
            argument: 0,
            tests: &[Test::within(!(libc::CLONE_NEWUSER as u32))],
            found: Verdict::Allow,
            otherwise: Verdict::Refuse(Errno::EPERM),
        },
        unless: CapSet::SYS_ADMIN,
        why: "make no user namespace with --userns host: whoever has all capabilities in one sees and changes the host's cgroups",
    },
    Row {
        calls: calls![clone3 = libc::SYS_clone3],
        // What it is to make is in memory, where no filter looks. C libraries have a way around that.
        action: refuse(Errno::ENOSYS),
        unless: CapSet::SYS_ADMIN,
        why: "is as clone, and a filter cannot see what it is to make",
    },
];

const fn not_process_1(argument: u8) -> Action {
    const IS_1: [Test; 1] = [Test::equals(1)];
    Action::ByArgument { argument, tests: &IS_1, found: Verdict::Refuse(Errno::EPERM), otherwise: Verdict::Allow }
}

/// Calls that do not touch nsx's first process, which has the uid of root inside: a limit on its time would kill it, and all with it.
const FIRST_PROCESS: [Row; 2] = [
    Row {
        calls: calls![
            prlimit64 = libc::SYS_prlimit64,
            sched_setaffinity = libc::SYS_sched_setaffinity,
            sched_setattr = libc::SYS_sched_setattr,
            sched_setparam = libc::SYS_sched_setparam,
            sched_setscheduler = libc::SYS_sched_setscheduler
        ],
        action: not_process_1(0),
        unless: NEVER,
        why: "do not reach process 1, which nsx is told by how the command ends",
    },
    Row {
        calls: calls![setpriority = libc::SYS_setpriority, ioprio_set = libc::SYS_ioprio_set],
        action: not_process_1(1),
        unless: NEVER,
        why: "do not reach process 1 either",
    },
];

/// What of a sandbox decides about its filter, beside capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether it has no user namespace of its own.
    pub outside: bool,
    /// Whether process 1 is nsx's.
    pub first_process: bool,
}

/// Returns the rules for a command that keeps these capabilities.
pub fn rules(kept: CapSet, of: Surroundings) -> Vec<Rule> {
    let known = KNOWN.iter().map(|&(first, last)| Rule { first, last, action: ALLOW });
    let refused = ROWS
        .iter()
        .chain(OUTSIDE.iter().filter(|_| of.outside))
        .chain(FIRST_PROCESS.iter().filter(|_| of.first_process))
        .filter(|row| kept & row.unless == CapSet::EMPTY)
        .flat_map(|row| row.calls.iter().map(|call| Rule::one(call.number, row.action)));
    known.chain(refused).collect()
}

/// A call that the filter refuses, as other programs can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name.
    pub name: &'static str,
    /// The number of the errno.
    pub errno: i32,
    /// The argument on which it depends, and the value of that which is refused; `None` where it always is.
    pub argument: Option<(u8, u32)>,
}

/// Returns the calls that are refused to who keeps these capabilities. What cannot be told as a comparison of one argument with one value
/// is left out: which execution domains personality(2) takes.
pub fn refused(kept: CapSet) -> Vec<Refused> {
    let rows = ROWS.iter().filter(|row| kept & row.unless == CapSet::EMPTY);
    let of_row = |row: &'static Row| {
        let refusals: Vec<(i32, Option<(u8, u32)>)> = match row.action {
            Action::Always(Verdict::Refuse(errno)) => vec![(errno as i32, None)],
            Action::ByArgument { argument, tests, found: Verdict::Refuse(errno), otherwise: Verdict::Allow } => {
                let exact = tests.iter().filter(|test| test.mask == u32::MAX);
                exact.map(|test| (errno as i32, Some((argument, test.value)))).collect()
            }
            _ => Vec::new(),
        };
        row.calls.iter().flat_map(move |call| {
            refusals.clone().into_iter().map(|(errno, argument)| Refused { name: call.name, errno, argument })
        })
    };
    rows.flat_map(of_row).collect()
}

/// Returns the filter for a command that keeps these capabilities.
pub fn filter(kept: CapSet, of: Surroundings) -> Filter {
    Filter::new(&rules(kept, of))
}
