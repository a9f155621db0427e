//! Starting a stub, and hearing what becomes of it.
//!
//! A [`Program`] that is sealed into a stub runs in a child, which has the memory of nsx only until it executes the stub. Over a pipe it says
//! what fails and which process it has made; the end of the pipe says that the command runs. See clone(2), pipe(7).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::error::{Call, Errno, SysError, last, retry};
use super::program::Program;

/// What a stub says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The call at this place of the program has failed.
    Failed(usize, Errno),
    /// The call at this place has made the process with this pid.
    Forked(usize, i32),
}

/// Makes a pipe, reading end first; both ends are closed at execve(2).
///
/// # Errors
/// `EMFILE`, `ENFILE`.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), SysError> {
    let mut ends = [0; 2];
    // SAFETY: the call writes two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(last(|| Call::Pipe));
    }
    // SAFETY: the kernel has just handed out both; nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Starts the program as a stub that reports to `report`, with these standard streams in place of one's own. Returns its pid. `words` is
/// what ps(1) shows of it.
///
/// Signals that are blocked stay blocked in it; SIGPIPE, which Rust ignores, is not ignored.
///
/// The child shares the memory of this process, which waits meanwhile, until it executes the stub: clone(2) with `CLONE_VM | CLONE_VFORK`.
/// posix_spawn(3) does the same, but asks for the disposition of every signal, and twice for that of every descriptor.
///
/// # Errors
/// `EACCES` where the sysctl vm.memfd_noexec forbids it, `EAGAIN` where no more processes may be made.
pub fn start(
    program: &Program,
    report: BorrowedFd<'_>,
    streams: [Option<BorrowedFd<'_>>; 3],
    words: &[&CStr],
) -> Result<i32, SysError> {
    let file = program.seal(report)?;
    let arguments: Vec<*const libc::c_char> =
        words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
    let mut birth = Birth {
        file: file.as_raw_fd(),
        streams: streams.map(|stream| stream.map(|fd| fd.as_raw_fd())),
        left_open: program.inherited(),
        report: report.as_raw_fd(),
        arguments: arguments.as_ptr(),
        mask: 0,
        failed: 0,
    };
    let mut stack = [Frame([0; 16]); 1024];
    let every = u64::MAX;
    // No handler of this process is to run in the child.
    // SAFETY: the pointers lead to the eight bytes that the kernel is told of.
    unsafe { set_mask(&raw const every, &raw mut birth.mask) };
    let before = birth.mask;
    // SAFETY: this thread goes on only when the child has executed the stub or ended, so that all that `birth` leads to and `stack` are
    // alive as long as the child uses them, and nobody else does. `stack` grows downwards from its end, as on all architectures that there
    // is a stub for. What the child does is said at `become_stub`.
    let pid = unsafe {
        let top = stack.as_mut_ptr_range().end;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        libc::clone(become_stub, top.cast(), flags, (&raw mut birth).cast())
    };
    let error = last(|| Call::Fork);
    // SAFETY: as above; a null pointer is for "do not tell".
    unsafe { set_mask(&raw const before, std::ptr::null_mut()) };
    // SAFETY: `birth` is valid, and the child has gone or no part in it any more. The compiler does not know that it was written to.
    let failed = unsafe { (&raw const birth.failed).read_volatile() };
    match (pid, failed) {
        (-1, _) => Err(error),
        (pid, 0) => Ok(pid),
        (pid, errno) => {
            // SAFETY: the call takes numbers, and the status may be left out.
            let _ = retry(|| unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) }.into());
            Err(SysError::new(Call::Execveat, Errno::from_raw(errno)))
        }
    }
}

/// A piece of a stack, as aligned as a stack has to be.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Frame(#[expect(dead_code, reason = "it is room")] [u8; 16]);

/// What [`become_stub`] works with.
struct Birth<'a> {
    file: RawFd,
    streams: [Option<RawFd>; 3],
    left_open: &'a [RawFd],
    report: RawFd,
    /// Ends with a null pointer.
    arguments: *const *const libc::c_char,
    /// The signals that the stub has blocked.
    mask: u64,
    /// The errno, if there is no stub.
    failed: libc::c_int,
}

/// Sets the signals that are blocked, a bit for each: rt_sigprocmask(2).
///
/// # Safety
/// Each pointer is null or leads to eight bytes, `old` to ones that may be written to.
unsafe fn set_mask(new: *const u64, old: *mut u64) {
    // SAFETY: the caller says so.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, 8) };
}

/// Executes the stub, in a child that has a table of descriptors and dispositions of signals of its own and the memory of its parent: it
/// makes system calls, and takes no memory and no locks.
extern "C" fn become_stub(birth: *mut libc::c_void) -> libc::c_int {
    // SAFETY: it is the `Birth` of `start`, which waits.
    let birth = unsafe { &mut *birth.cast::<Birth<'_>>() };
    // SAFETY: the calls take numbers, and execveat(2) texts and arrays that end with NUL.
    unsafe {
        for (number, stream) in (0..).zip(birth.streams) {
            if let Some(fd) = stream {
                libc::dup2(fd, number);
            }
        }
        for &fd in birth.left_open {
            libc::fcntl(fd, libc::F_SETFD, 0);
        }
        libc::fcntl(birth.report, libc::F_SETFD, 0);
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        // A moment more, and whatever handlers there are for these signals are gone.
        set_mask(&raw const birth.mask, std::ptr::null_mut());
        let nothing = [std::ptr::null::<libc::c_char>()];
        libc::syscall(
            libc::SYS_execveat,
            birth.file,
            c"".as_ptr(),
            birth.arguments,
            nothing.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        birth.failed = Errno::last_raw();
        libc::_exit(127)
    }
}

/// Reads the next report; `None` at the end.
///
/// # Errors
/// None that a caller can do anything about.
pub fn read_report(pipe: BorrowedFd<'_>) -> Result<Option<Report>, SysError> {
    let mut report = [0u8; 8];
    // SAFETY: `report` is valid for writes of its length. A report is less than PIPE_BUF, so it comes in one piece.
    let length = retry(|| unsafe { libc::read(pipe.as_raw_fd(), report.as_mut_ptr().cast(), report.len()) } as _)
        .map_err(|errno| SysError::new(Call::Read(b"reports".to_vec()), errno))?;
    if length as usize != report.len() {
        return Ok(None);
    }
    Ok(Some(Report::decode(report)))
}

impl Report {
    pub(super) fn decode(bytes: [u8; 8]) -> Report {
        let [a, b, c, d, e, f, g, h] = bytes;
        let (answer, place) = (i32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]) as usize);
        if answer < 0 { Report::Failed(place, Errno::from_raw(-answer)) } else { Report::Forked(place, answer) }
    }

    fn encode(self) -> [u8; 8] {
        let (answer, place) = match self {
            Report::Failed(place, errno) => (-(errno as i32), place),
            Report::Forked(place, pid) => (pid, place),
        };
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&answer.to_ne_bytes());
        bytes[4..].copy_from_slice(&(place as u32).to_ne_bytes());
        bytes
    }

    /// Hands a report on to whoever reads the other end of `pipe`.
    pub fn send(self, pipe: BorrowedFd<'_>) {
        let bytes = self.encode();
        // Where nobody reads there is nobody to tell.
        // SAFETY: `bytes` is valid for reads of its length.
        let _ = retry(|| unsafe { libc::write(pipe.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) } as _);
    }
}

/// Has every descriptor but the standard streams and those in `keep` closed at execve(2), and those in `keep` not.
///
/// # Kernel
/// close_range(2) with `CLOSE_RANGE_CLOEXEC`: Linux 5.11. Without it the descriptors are taken from `/proc/self/fd`.
///
/// # Errors
/// `EBADF` for a descriptor in `keep` that is not open.
pub fn close_all_but(keep: &[RawFd]) -> Result<(), (RawFd, SysError)> {
    let mut kept: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd > 2).collect();
    kept.sort_unstable();
    kept.dedup();
    let mut from: libc::c_uint = 3;
    let mut ranges = true;
    for &fd in kept.iter().chain([&RawFd::MAX]) {
        let up_to = fd.unsigned_abs();
        if up_to > from {
            // SAFETY: the call takes three numbers, and marks descriptors without closing any.
            let answer = unsafe { libc::syscall(libc::SYS_close_range, from, up_to - 1, libc::CLOSE_RANGE_CLOEXEC) };
            ranges &= answer == 0;
        }
        from = up_to + 1;
    }
    if !ranges {
        let names = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
        for fd in names.filter_map(|name| name.ok()?.file_name().to_str()?.parse::<RawFd>().ok()) {
            if fd > 2 && !kept.contains(&fd) {
                // SAFETY: the command takes a number.
                unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
        }
    }
    for &fd in keep {
        // SAFETY: the command takes a number.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } != 0 {
            return Err((fd, last(|| Call::Fcntl("F_SETFD, 0"))));
        }
    }
    Ok(())
}

/// Says whether a descriptor that the user named by its number is open for writing: fcntl(2).
///
/// # Errors
/// `EBADF` where it is not, as write(2) has it.
pub fn check_writable(fd: RawFd) -> Result<(), SysError> {
    // SAFETY: the command takes no argument.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    match flags & libc::O_ACCMODE {
        _ if flags == -1 => Err(last(|| Call::Fcntl("F_GETFL"))),
        libc::O_RDONLY => Err(SysError::new(Call::Write("the status descriptor"), Errno::EBADF)),
        _ => Ok(()),
    }
}

/// Lets whoever waits for a byte of a pipe go on. Where nobody waits any more, nothing happens.
pub fn write_byte(pipe: BorrowedFd<'_>) {
    let byte = [1u8];
    // SAFETY: `byte` is valid for reads of its length.
    let _ = retry(|| unsafe { libc::write(pipe.as_raw_fd(), byte.as_ptr().cast(), byte.len()) } as _);
}

/// Writes a text to a descriptor that the user named by its number.
///
/// # Errors
/// `EBADF` where it is not open, `EPIPE`.
pub fn write_to(fd: RawFd, text: &[u8]) -> Result<(), SysError> {
    let mut rest = text;
    while !rest.is_empty() {
        // SAFETY: `rest` is valid for reads of its length; what is behind the number is the user's choice.
        let written = retry(|| unsafe { libc::write(fd, rest.as_ptr().cast(), rest.len()) } as _)
            .map_err(|errno| SysError::new(Call::Write("the status descriptor"), errno))?;
        rest = &rest[(written as usize).min(rest.len())..];
    }
    Ok(())
}

/// Says whether this process has no thread but its first: only such a one may enter user, mount and time namespaces, see setns(2).
///
/// A thread that was joined is on its way out in the kernel for a moment more, and is waited for.
pub fn is_single_threaded() -> bool {
    use std::os::unix::fs::MetadataExt;
    let over = Instant::now() + Duration::from_secs(1);
    // The directory has two links of its own, and one for each thread.
    while !std::fs::metadata("/proc/self/task").is_ok_and(|tasks| tasks.nlink() == 3) {
        if Instant::now() > over {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// What becomes of the half of a fork(2).
pub enum Forked {
    /// This is the parent; the child has this pid.
    Parent(i32),
    /// This is the child.
    Child,
}

/// Makes a copy of this process, which has to have a single thread: fork(2).
///
/// # Errors
/// `EAGAIN` where no more processes may be made; also where there are other threads.
pub fn fork() -> Result<Forked, SysError> {
    if !is_single_threaded() {
        return Err(SysError::new(Call::Fork, Errno::EAGAIN));
    }
    #[expect(clippy::disallowed_methods, reason = "sys is where processes are made")]
    // SAFETY: there is no other thread, so the child is as good as the parent.
    match unsafe { libc::fork() } {
        -1 => Err(last(|| Call::Fork)),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// Ends this process at once, without running anything that was left for the end.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::fd::AsFd;

    use crate::sys::program::Otherwise;

    /// Runs a program as a stub, and returns all that it says.
    pub(crate) fn reports(program: &Program) -> Vec<Report> {
        let (read, write) = pipe().expect("a pipe");
        let child = start(program, write.as_fd(), [None; 3], &[c"nsx: a test"]).expect("a child");
        drop(write);
        let mut all = Vec::new();
        while let Some(report) = read_report(read.as_fd()).expect("a pipe") {
            all.push(report);
        }
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None).expect("a child");
        all
    }

    #[test]
    fn a_failure_is_reported_and_ends_the_program() {
        let mut program = Program::default();
        let none = std::ffi::CString::new("/nsx/is/not/there").expect("no NUL");
        program.chdir_root();
        program.chdir(&none, Otherwise::Stop);
        program.exit(0);
        assert_eq!(reports(&program), [Report::Failed(1, Errno::ENOENT)]);
    }

    #[test]
    fn where_a_program_goes_on_nothing_stale_is_used() {
        let mut program = Program::default();
        let none = std::ffi::CString::new("/nsx/is/not/there").expect("no NUL");
        program.chdir(&none, Otherwise::GoOn);
        program.check_directory(Otherwise::Stop);
        program.exit(0);
        assert_eq!(reports(&program), [Report::Failed(0, Errno::ENOENT)]);
        let mut told = Vec::new();
        let mut program = Program::default();
        program.begin(7);
        program.chdir(&none, Otherwise::GoOn);
        assert_eq!(program.run(|failure| told.push((failure.step, failure.error.errno))), Ok(()));
        assert_eq!(told, [(7, Errno::ENOENT)]);
    }

    #[test]
    fn a_sibling_executes_and_the_stub_goes_elsewhere() {
        let mut program = Program::default();
        let (end, hold) = pipe().expect("a pipe");
        let fork = program.fork_sibling();
        let text = |text: &str| std::ffi::CString::new(text).expect("no NUL");
        let arguments = program.strings(&[text("sh"), text("-c"), text("exit $CODE")]);
        let environment = program.strings(&[text("CODE=42")]);
        // Nothing is said of what is not there.
        program.exec(&text("/nsx/sh"), arguments, environment, Otherwise::GoOn);
        program.exec(&text("/"), arguments, environment, Otherwise::GoOn);
        program.exec(&text("/bin/sh"), arguments, environment, Otherwise::Stop);
        let parent = program.here();
        program.patch(fork, parent);
        program.wait_for_end(end.as_fd());
        program.exit(0);

        let (read, write) = pipe().expect("a pipe");
        let stub = start(&program, write.as_fd(), [None; 3], &[c"nsx: a test"]).expect("a child");
        drop(write);
        let mut all: Vec<Report> = (0..2).filter_map(|_| read_report(read.as_fd()).expect("a pipe")).collect();
        all.sort_by_key(|report| matches!(report, Report::Failed(..)));
        let [Report::Forked(0, child), Report::Failed(2, Errno::EACCES)] = all[..] else { panic!("{all:?}") };
        let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None).expect("our child");
        assert!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 42)), "{status:?}");
        drop(hold);
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(stub), None).expect("our child, too");
    }

    #[test]
    fn a_filter_that_was_installed_refuses() {
        use crate::sys::seccomp::{Action, Filter, Rule, Verdict};
        let all = Rule { first: 0, last: 1000, action: Action::Always(Verdict::Allow) };
        let errno = Errno::EXFULL;
        let filter = Filter::new(&[all, Rule::one(libc::SYS_setsid, Action::Always(Verdict::Refuse(errno)))]);
        let mut program = Program::default();
        program.no_new_privs();
        program.seccomp(&filter, Otherwise::Stop);
        program.any_call(libc::SYS_getpid, [0; 3]);
        program.any_call(libc::SYS_setsid, [0; 3]);
        program.any_call(1001, [0; 3]);
        program.any_call(libc::SYS_getpid | 0x4000_0000, [0; 3]);
        program.new_session();
        program.exit(0);
        let refused = [(3, errno), (4, Errno::ENOSYS), (5, Errno::ENOSYS), (6, errno)];
        assert_eq!(reports(&program), refused.map(|(place, errno)| Report::Failed(place, errno)));
    }

    #[test]
    fn reports_are_read_as_they_are_sent() {
        let (read, write) = pipe().expect("a pipe");
        for report in [Report::Failed(3, Errno::EPERM), Report::Forked(70_000, 4_194_304)] {
            report.send(write.as_fd());
            assert_eq!(read_report(read.as_fd()), Ok(Some(report)));
        }
        drop(write);
        assert_eq!(read_report(read.as_fd()), Ok(None));
    }
}
