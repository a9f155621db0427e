//! Signals and the ends of children, for a process that stands for another one: it hears every signal, and passes on what it hears.
//!
//! See signal(7), signalfd(2), waitpid(2).

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::error::{Call, Errno, SysError, retry};

/// Signals that a program raises by what it does itself: they are left alone.
const OWN_FAULTS: [Signal; 5] = [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGTRAP];

/// Every signal that comes to this process, as something to read.
pub struct Signals {
    fd: SignalFd,
    before: u64,
    ignored_children: bool,
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// Its number.
    pub number: i32,
    /// Whether the kernel has sent it, as a terminal does for Ctrl-C: it goes to the whole process group then.
    pub from_kernel: bool,
}

impl Signals {
    /// Blocks all signals, and opens what they are read from.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn block() -> Result<Signals, SysError> {
        let mut all = SigSet::all();
        for fault in OWN_FAULTS {
            all.remove(fault);
        }
        let before = blocked();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), None)
            .map_err(|errno| SysError::new(Call::Sigprocmask, errno))?;
        let fd = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(|errno| SysError::new(Call::Signalfd, errno))?;
        // Where the end of a child is ignored there is nothing to wait for.
        // SAFETY: the default disposition runs no code of ours.
        let ignored_children = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) } == libc::SIG_IGN;
        Ok(Signals { fd, before, ignored_children })
    }

    /// Returns which signals were blocked before, a bit for each, the lowest for signal 1.
    pub fn before(&self) -> u64 {
        self.before
    }

    /// Says whether the end of a child was ignored before: that is handed on to the command.
    pub fn ignored_children(&self) -> bool {
        self.ignored_children
    }

    /// Returns the next signal that has come, if there is one.
    pub fn next(&self) -> Option<Came> {
        let info = self.fd.read_signal().ok().flatten()?;
        // SI_KERNEL, of include/uapi/asm-generic/siginfo.h.
        Some(Came { number: info.ssi_signo as i32, from_kernel: info.ssi_code == 0x80 })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Returns the signals that are blocked.
fn blocked() -> u64 {
    let mut mask: u64 = 0;
    // SAFETY: the kernel writes the eight bytes that it is told of; a null pointer changes nothing.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, std::ptr::null::<u64>(), &raw mut mask, 8);
    }
    mask
}

/// Signals by which users end a program: HUP, INT, QUIT and TERM. While this lives they wait; then they have their effect.
pub struct Deferred(Option<SigSet>);

impl Deferred {
    /// Has them wait.
    pub fn start() -> Deferred {
        let ends: SigSet = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM].into_iter().collect();
        let mut before = SigSet::empty();
        let done = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&ends), Some(&mut before));
        Deferred(done.is_ok().then_some(before))
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, self.0.as_ref(), None);
    }
}

/// What has become of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has exited with this code.
    Exited(i32),
    /// It was killed by this signal.
    Killed(i32),
    /// It was stopped by this signal.
    Stopped(i32),
}

/// Returns a child whose state has changed, if there is one.
pub fn changed_child() -> Option<(i32, Change)> {
    let mut status = 0;
    let flags = libc::WNOHANG | libc::WUNTRACED | libc::__WALL;
    // SAFETY: `status` is valid for writes.
    let pid = retry(|| unsafe { libc::waitpid(-1, &raw mut status, flags) }.into()).ok().filter(|pid| *pid > 0)?;
    // Not by way of nix, which knows no real-time signals.
    let change = if libc::WIFSTOPPED(status) {
        Change::Stopped(libc::WSTOPSIG(status))
    } else if libc::WIFSIGNALED(status) {
        Change::Killed(libc::WTERMSIG(status))
    } else {
        Change::Exited(libc::WEXITSTATUS(status))
    };
    Some((pid as i32, change))
}

/// Returns how far a resource limit of this process may be raised; `None` is without end: getrlimit(2).
pub fn hard_limit(resource: u32) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is valid for writes of a `struct rlimit`.
    unsafe { libc::getrlimit(resource as _, &raw mut limit) };
    Some(limit.rlim_max).filter(|limit| *limit != libc::RLIM_INFINITY)
}

/// What processes have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Time on processors in their own code, in microseconds.
    pub user_usec: u64,
    /// Time on processors in the kernel, in microseconds.
    pub system_usec: u64,
    /// The most memory that one of them had, in bytes.
    pub max_rss_bytes: u64,
}

/// Returns what the children that were waited for have used, with those they have waited for: getrusage(2).
pub fn used_by_children() -> Used {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is valid for writes of a `struct rusage`, of which zeroes are a value.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let usec = |time: libc::timeval| time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_usec.unsigned_abs();
    Used {
        user_usec: usec(usage.ru_utime),
        system_usec: usec(usage.ru_stime),
        max_rss_bytes: usage.ru_maxrss.unsigned_abs() * 1024,
    }
}

/// Waits for the end of a child that has been killed, for a second at most: one that is frozen, or hangs in the kernel, is left to
/// whoever reaps orphans.
pub fn reap(signals: &Signals, pid: i32) {
    let over = Instant::now() + Duration::from_secs(1);
    loop {
        // SAFETY: the call takes numbers, and the status may be left out.
        if unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL | libc::WNOHANG) } != 0 {
            return;
        }
        let left = over.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::from(left.as_millis().min(1000) as u16));
        while signals.next().is_some() {}
    }
}

/// Says whether a process is a child of this one that has not been waited for, so that nobody else has its pid.
pub fn is_child(pid: i32) -> bool {
    let Ok(id) = libc::id_t::try_from(pid) else { return false };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: the kernel takes a null pointer for "do not tell", and the call reaps nothing.
    pid > 0 && unsafe { libc::waitid(libc::P_PID, id, std::ptr::null_mut(), options) } == 0
}

/// Sends a signal to a process, or, where the pid is negative, to a process group: kill(2).
///
/// # Errors
/// `ESRCH` where it has gone, `EPERM`.
pub fn send(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: the call takes two numbers.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Stops this process until somebody continues it, or for so long at most: by a timer whose signal is SIGCONT, which the kernel takes for one
/// that somebody has sent. See timer_create(2).
pub fn stop_self(most: Option<Duration>) {
    let timer = most.and_then(|most| {
        // SAFETY: all of it may be zero, which is then filled in.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGCONT;
        let mut timer: libc::timer_t = std::ptr::null_mut();
        // SAFETY: both live through the call, which writes the timer.
        let made = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
        let after = libc::timespec {
            tv_sec: most.as_secs().min(1 << 40) as libc::time_t,
            // Nothing at all would turn it off.
            tv_nsec: most.subsec_nanos().max(1).into(),
        };
        let once = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: after };
        // SAFETY: the timer was just made, and the times live through the call.
        let set = made == 0 && unsafe { libc::timer_settime(timer, 0, &raw const once, std::ptr::null_mut()) } == 0;
        set.then_some(timer)
    });
    // SAFETY: the call takes a number. SIGSTOP cannot be blocked.
    unsafe { libc::raise(libc::SIGSTOP) };
    if let Some(timer) = timer {
        // SAFETY: it was made above, and is nobody else's.
        unsafe { libc::timer_delete(timer) };
    }
}

/// Lets a signal that is blocked have its effect once: SIGTSTP, SIGTTIN or SIGTTOU stop this process then until somebody continues it.
/// Where nobody could, because its process group is orphaned, the kernel drops them.
pub fn stop_by(signal: i32) {
    let mask = 1u64 << (signal - 1).clamp(0, 63);
    // SAFETY: the calls take numbers, and the kernel reads the eight bytes of the mask that it is told of.
    unsafe {
        libc::raise(signal);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_UNBLOCK, &raw const mask, std::ptr::null::<u64>(), 8);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const mask, std::ptr::null::<u64>(), 8);
    }
}

/// Dies by a signal, so that whoever waits sees what a child has died of. Returns where the signal does not kill.
pub fn die_by(signal: i32) {
    // SAFETY: the call takes numbers. The core is the child's to leave, not this process's.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    // SAFETY: the default disposition runs no code of ours; the kernel reads the eight bytes of the mask that it is told of.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
        let mask = 1u64 << (signal - 1).clamp(0, 63);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_UNBLOCK, &raw const mask, std::ptr::null::<u64>(), 8);
    }
}

/// Has SIGPIPE kill again, which Rust makes nsx ignore: what nsx becomes is not to inherit that.
pub fn default_pipe() {
    // SAFETY: the default disposition runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Adopts the orphans among one's descendants: `PR_SET_CHILD_SUBREAPER`. Those in another pid namespace go to its first process.
pub fn adopt_orphans() {
    // SAFETY: the call takes numbers.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}
