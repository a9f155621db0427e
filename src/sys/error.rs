//! System call errors that print like strace: the call, its arguments, the errno's name.

use std::fmt;
use std::sync::OnceLock;

pub use nix::errno::Errno;

use crate::model::{KindSet, NsKind};

/// A system call with the arguments that matter to a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// openat(2) of a path.
    Openat(Vec<u8>),
    /// openat2(2) of a path below the root of a process.
    Openat2 {
        /// The process whose root it is.
        pid: u32,
        /// The path below it.
        path: Vec<u8>,
    },
    /// read(2) of a file.
    Read(Vec<u8>),
    /// write(2) to a stream.
    Write(&'static str),
    /// readlinkat(2) of a path.
    Readlinkat(Vec<u8>),
    /// getdents64(2) of a directory.
    Getdents(Vec<u8>),
    /// fstat(2).
    Fstat,
    /// fstatfs(2) of a path.
    Fstatfs(Vec<u8>),
    /// ioctl(2) with a request.
    Ioctl(&'static str),
    /// getsockopt(2) of an option.
    Getsockopt(&'static str),
    /// socket(2) of a family.
    Socket(&'static str),
    /// bind(2) of a unix socket to an abstract name.
    Bind(Vec<u8>),
    /// A netlink request.
    Netlink(&'static str),
    /// fork(2).
    Fork,
    /// write(2) of a text to a file.
    WriteText {
        /// The file.
        path: Vec<u8>,
        /// The text.
        text: Vec<u8>,
    },
    /// setns(2) with a pidfd or a namespace file.
    Setns {
        /// What the descriptor is.
        fd: String,
        /// The kinds of namespace to enter.
        kinds: KindSet,
    },
    /// unshare(2) of the mount namespace.
    Unshare,
    /// mount(2).
    Mount {
        /// The file system, or the flags.
        what: &'static str,
        /// Where.
        path: Vec<u8>,
    },
    /// move_mount(2) of a tree that was opened before.
    MoveMount(Vec<u8>),
    /// open_tree(2) with `OPEN_TREE_CLONE`.
    OpenTree(Vec<u8>),
    /// fchdir(2) to a directory.
    Fchdir(String),
    /// openat2(2) of a directory to change to, not over magic links.
    OpenDirectory(Vec<u8>),
    /// chdir(2) to a path.
    Chdir(Vec<u8>),
    /// chroot(2) to the working directory.
    Chroot,
    /// getcwd(2).
    Getcwd,
    /// setgroups(2) to none.
    Setgroups,
    /// setresgid(2).
    Setresgid(u32),
    /// setresuid(2).
    Setresuid(u32),
    /// prctl(2).
    Prctl(&'static str),
    /// seccomp(2) with `SECCOMP_SET_MODE_FILTER`.
    Seccomp,
    /// capset(2).
    Capset,
    /// capget(2).
    Capget,
    /// clone(2) with `CLONE_PARENT`.
    Clone,
    /// setsid(2).
    Setsid,
    /// setpgid(2).
    Setpgid,
    /// getpid(2).
    Getpid,
    /// kill(2).
    Kill,
    /// rt_sigprocmask(2).
    Sigprocmask,
    /// rt_sigaction(2).
    Sigaction,
    /// execveat(2) of a stub.
    Execveat,
    /// signalfd(2).
    Signalfd,
    /// waitpid(2).
    Waitpid,
    /// pipe2(2).
    Pipe,
    /// poll(2).
    Poll,
    /// memfd_create(2).
    MemfdCreate,
    /// fcntl(2) with a command.
    Fcntl(&'static str),
    /// close(2).
    Close,
    /// execve(2).
    Execve(Vec<u8>),
    /// posix_spawn(3) of a helper.
    PosixSpawn,
    /// exit_group(2).
    Exit,
    /// A call that builds a sandbox, with its arguments as text.
    Build {
        /// Its name.
        name: &'static str,
        /// Its arguments.
        args: String,
    },
    /// No call: a program goes on elsewhere, or keeps something.
    Step(&'static str),
    /// bpf(2) with a command.
    Bpf(&'static str),
    /// pidfd_open(2) of a process.
    PidfdOpen(u32),
    /// pidfd_getfd(2) of a descriptor.
    PidfdGetfd(u32),
    /// listmount(2) of a mount namespace.
    Listmount(u64),
    /// statmount(2) of a mount.
    Statmount(u64),
    /// listns(2).
    Listns,
    /// open_by_handle_at(2) of a namespace id.
    OpenByHandleAt(u64),
    /// faccessat(2) on this file, whether it may be written to.
    Faccessat(Vec<u8>),
    /// mkdirat(2) of a cgroup.
    Mkdirat(Vec<u8>),
    /// unlinkat(2) of a cgroup, with `AT_REMOVEDIR`.
    Unlinkat(Vec<u8>),
    /// pidfd_send_signal(2) of SIGKILL to a process.
    PidfdKill(u32),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
        match self {
            Call::Openat(path) => write!(f, "openat({})", text(path)),
            Call::Openat2 { pid, path } => write!(f, "openat2(/proc/{pid}/root, {}, RESOLVE_IN_ROOT)", text(path)),
            Call::Read(path) => write!(f, "read({})", text(path)),
            Call::Write(stream) => write!(f, "write({stream})"),
            Call::Readlinkat(path) => write!(f, "readlinkat({})", text(path)),
            Call::Getdents(path) => write!(f, "getdents64({})", text(path)),
            Call::Fstat => write!(f, "fstat"),
            Call::Fstatfs(path) => write!(f, "fstatfs({})", text(path)),
            Call::Ioctl(request) => write!(f, "ioctl({request})"),
            Call::Getsockopt(option) => write!(f, "getsockopt({option})"),
            Call::Socket(family) => write!(f, "socket({family})"),
            Call::Bind(name) => write!(f, "bind(@{})", text(name)),
            Call::Netlink(request) => write!(f, "netlink({request})"),
            Call::Fork => write!(f, "fork"),
            Call::WriteText { path, text: what } => {
                write!(f, "write({}, {:?})", text(path), text(what.trim_ascii_end()))
            }
            Call::Setns { fd, kinds } => {
                write!(f, "setns({fd}, ")?;
                for (place, kind) in kinds.iter().enumerate() {
                    let name = match kind {
                        NsKind::Mnt => "NS".to_owned(),
                        kind => kind.name().to_ascii_uppercase(),
                    };
                    write!(f, "{}CLONE_NEW{name}", if place == 0 { "" } else { "|" })?;
                }
                write!(f, ")")
            }
            Call::Unshare => write!(f, "unshare(CLONE_NEWNS)"),
            Call::Mount { what, path } => write!(f, "mount({what}, {})", text(path)),
            Call::MoveMount(path) => write!(f, "move_mount({})", text(path)),
            Call::OpenTree(path) => write!(f, "open_tree({}, OPEN_TREE_CLONE|AT_RECURSIVE)", text(path)),
            Call::Fchdir(name) => write!(f, "fchdir({})", text(name.as_bytes())),
            Call::OpenDirectory(path) => write!(f, "openat2({}, RESOLVE_NO_MAGICLINKS)", text(path)),
            Call::Chdir(path) => write!(f, "chdir({})", text(path)),
            Call::Chroot => write!(f, "chroot(.)"),
            Call::Getcwd => write!(f, "getcwd"),
            Call::Setgroups => write!(f, "setgroups(0)"),
            Call::Setresgid(gid) => write!(f, "setresgid({gid})"),
            Call::Setresuid(uid) => write!(f, "setresuid({uid})"),
            Call::Prctl(what) => write!(f, "prctl({what})"),
            Call::Seccomp => write!(f, "seccomp(SECCOMP_SET_MODE_FILTER)"),
            Call::Capset => write!(f, "capset"),
            Call::Capget => write!(f, "capget"),
            Call::Clone => write!(f, "clone(CLONE_PARENT)"),
            Call::Setsid => write!(f, "setsid"),
            Call::Setpgid => write!(f, "setpgid(0, 0)"),
            Call::Getpid => write!(f, "getpid"),
            Call::Kill => write!(f, "kill"),
            Call::Sigprocmask => write!(f, "rt_sigprocmask"),
            Call::Sigaction => write!(f, "rt_sigaction(SIGCHLD, SIG_IGN)"),
            Call::Execveat => write!(f, "execveat(stub)"),
            Call::Signalfd => write!(f, "signalfd"),
            Call::Waitpid => write!(f, "waitpid"),
            Call::Pipe => write!(f, "pipe2"),
            Call::Poll => write!(f, "poll"),
            Call::MemfdCreate => write!(f, "memfd_create"),
            Call::Fcntl(command) => write!(f, "fcntl({command})"),
            Call::Close => write!(f, "close"),
            Call::Execve(path) => write!(f, "execve({})", text(path)),
            Call::PosixSpawn => write!(f, "posix_spawn"),
            Call::Exit => write!(f, "exit_group"),
            Call::Build { name, args } => write!(f, "{name}({args})"),
            Call::Step(what) => write!(f, "{what}"),
            Call::Bpf(command) => write!(f, "bpf({command})"),
            Call::PidfdOpen(pid) => write!(f, "pidfd_open({pid})"),
            Call::PidfdGetfd(fd) => write!(f, "pidfd_getfd({fd})"),
            Call::Listmount(id) => write!(f, "listmount(mnt_ns_id={id})"),
            Call::Statmount(id) => write!(f, "statmount(mnt_id={id})"),
            Call::Listns => write!(f, "listns"),
            Call::OpenByHandleAt(id) => write!(f, "open_by_handle_at(ns_id={id})"),
            Call::Faccessat(path) => write!(f, "faccessat({}, W_OK)", text(path)),
            Call::Mkdirat(path) => write!(f, "mkdirat({})", text(path)),
            Call::Unlinkat(path) => write!(f, "unlinkat({}, AT_REMOVEDIR)", text(path)),
            Call::PidfdKill(pid) => write!(f, "pidfd_send_signal({pid}, SIGKILL)"),
        }
    }
}

/// A system call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SysError {
    /// What was called.
    pub call: Call,
    /// Why it failed.
    pub errno: Errno,
}

impl SysError {
    /// Puts the two together.
    pub const fn new(call: Call, errno: Errno) -> SysError {
        SysError { call, errno }
    }

    /// Returns the errno's name, such as `EACCES`.
    pub fn errno_name(&self) -> &'static str {
        errno_name(self.errno)
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.call, self.errno.desc(), self.errno_name())
    }
}

impl std::error::Error for SysError {}

/// Returns the name of an errno, such as `EACCES`.
pub fn errno_name(errno: Errno) -> &'static str {
    /// Linux numbers its errnos up to 133 (`include/uapi/asm-generic/errno.h`).
    static NAMES: [OnceLock<String>; 134] = [const { OnceLock::new() }; 134];
    match NAMES.get(errno as usize) {
        Some(name) => name.get_or_init(|| format!("{errno:?}")),
        None => "unknown errno",
    }
}

/// Returns the errno that the last failed call of this thread left, as an error of `call`.
pub(crate) fn last(call: impl FnOnce() -> Call) -> SysError {
    let errno = Errno::last();
    SysError::new(call(), errno)
}

/// Calls `call` until it is not interrupted by a signal; a negative answer means that errno tells why.
pub(crate) fn retry(mut call: impl FnMut() -> libc::c_long) -> Result<libc::c_long, Errno> {
    loop {
        let answer = call();
        if answer >= 0 {
            return Ok(answer);
        }
        let errno = Errno::last();
        if errno != Errno::EINTR {
            return Err(errno);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_like_strace() {
        let error = SysError::new(Call::Openat(b"/proc/7/ns".to_vec()), Errno::EACCES);
        assert_eq!(error.to_string(), "openat(/proc/7/ns): Permission denied (EACCES)");
        assert_eq!(errno_name(Errno::ESRCH), "ESRCH");
        assert_eq!(errno_name(Errno::UnknownErrno), "UnknownErrno");
    }

    #[test]
    fn hostile_bytes_in_an_argument_are_escaped() {
        let error = SysError::new(Call::Openat(b"/a\x1b[31m\xff\n".to_vec()), Errno::ENOENT);
        assert!(!error.to_string().contains(['\x1b', '\n']), "{error}");
    }
}
