//! The calls that a [`Program`] may have, one method each: they see to it that what the kernel reads and writes is there.
//!
//! Every method names its man page; arguments that others chose (paths, names of files) come as bytes without NUL. Not here: in which
//! order they make sense (`launch::plan`).

pub mod build;
pub mod mounts;

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::error::Call;
use super::program::{Arg, Otherwise, Program, Slot, Strings};
use super::seccomp::Filter;
use super::stub;
use crate::model::{CapSet, KindSet};

impl Program {
    fn add(&mut self, call: impl FnOnce() -> Call, number: libc::c_long, args: &[Arg], otherwise: Otherwise) {
        self.push(call, number, args, Program::flags(otherwise));
    }

    /// Writes a text to an open file, whose name is `name`: write(2).
    pub fn write(&mut self, fd: BorrowedFd<'_>, text: &[u8], name: &[u8], otherwise: Otherwise) {
        let args = [self.fd(fd), self.bytes(text), Arg::Number(text.len() as i64)];
        let call = || Call::WriteText { path: name.to_vec(), text: text.to_vec() };
        self.add(call, libc::SYS_write, &args, otherwise);
    }

    /// Enters the namespaces of these kinds that the pidfd or namespace file leads to: setns(2). `name` says what it is.
    pub fn setns(&mut self, fd: BorrowedFd<'_>, kinds: KindSet, name: &str, otherwise: Otherwise) {
        let flags = kinds.iter().fold(0, |flags, kind| flags | kind.clone_flag());
        let args = [self.fd(fd), Arg::Number(flags.into())];
        self.add(|| Call::Setns { fd: name.to_owned(), kinds }, libc::SYS_setns, &args, otherwise);
    }

    /// Makes a mount namespace of one's own, a copy of the present one: unshare(2).
    pub fn unshare_mounts(&mut self) {
        self.add(|| Call::Unshare, libc::SYS_unshare, &[Arg::Number(libc::CLONE_NEWNS.into())], Otherwise::Stop);
    }

    /// Keeps mounts from spreading to other mount namespaces: mount(2) with `MS_REC | MS_SLAVE`.
    pub fn keep_mounts_inside(&mut self) {
        let flags = libc::MS_REC | libc::MS_SLAVE;
        let root = self.bytes(b"/\0");
        let args = [Arg::Number(0), root, Arg::Number(0), Arg::Number(flags as i64), Arg::Number(0)];
        let call = || Call::Mount { what: "MS_REC|MS_SLAVE", path: b"/".to_vec() };
        self.add(call, libc::SYS_mount, &args, Otherwise::Stop);
    }

    /// Mounts procfs of the pid namespace of whoever makes the call: mount(2).
    pub fn mount_proc(&mut self, otherwise: Otherwise) {
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        let (name, path) = (self.bytes(b"proc\0"), self.bytes(b"/proc\0"));
        let args = [name, path, name, Arg::Number(flags as i64), Arg::Number(0)];
        self.add(|| Call::Mount { what: "proc", path: b"/proc".to_vec() }, libc::SYS_mount, &args, otherwise);
    }

    /// Attaches a tree of mounts that open_tree(2) made to a directory: move_mount(2).
    pub fn attach_tree(&mut self, tree: BorrowedFd<'_>, path: &CString) {
        let args = [
            self.fd(tree),
            self.bytes(b"\0"),
            Arg::Number(libc::AT_FDCWD.into()),
            self.text(path),
            Arg::Number(libc::MOVE_MOUNT_F_EMPTY_PATH.into()),
        ];
        self.add(|| Call::MoveMount(path.to_bytes().to_vec()), libc::SYS_move_mount, &args, Otherwise::Stop);
    }

    /// Changes the working directory to an open one: fchdir(2). `name` says what it is.
    pub fn fchdir(&mut self, fd: BorrowedFd<'_>, name: &str, otherwise: Otherwise) {
        let args = [self.fd(fd)];
        self.add(|| Call::Fchdir(name.to_owned()), libc::SYS_fchdir, &args, otherwise);
    }

    /// Makes the working directory the root directory: chroot(2).
    pub fn chroot_here(&mut self) {
        let args = [self.bytes(b".\0")];
        self.add(|| Call::Chroot, libc::SYS_chroot, &args, Otherwise::Stop);
    }

    /// Changes the working directory to a path, which may not lead over a magic link, and thus not out of the root: openat2(2), fchdir(2).
    ///
    /// # Kernel
    /// Linux 5.6. Absent: `ENOSYS`.
    pub fn chdir(&mut self, path: &CString, otherwise: Otherwise) {
        let how = [(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64, 0, libc::RESOLVE_NO_MAGICLINKS];
        let args = [
            Arg::Number(libc::AT_FDCWD.into()),
            self.text(path),
            self.words(&how),
            Arg::Number(size_of_val(&how) as i64),
        ];
        let opened = self.here();
        let flags = match otherwise {
            Otherwise::Stop => 0,
            _ => Program::flags(Otherwise::GoTo(opened + 3)),
        };
        let name = path.to_bytes().to_vec();
        self.push(|| Call::OpenDirectory(name.clone()), libc::SYS_openat2, &args, flags | Slot::FIRST.kept());
        let call = || Call::Fchdir(String::from_utf8_lossy(&name).into_owned());
        self.push(call, libc::SYS_fchdir, &[Arg::Word(Slot::FIRST)], Program::flags(otherwise) | stub::LOAD);
        self.push(|| Call::Close, libc::SYS_close, &[Arg::Word(Slot::FIRST)], stub::LOAD | stub::CONTINUE);
    }

    /// Makes sure that the working directory lies below the root: getcwd(2) says `(unreachable)` where it does not, and this fails with
    /// `EXDEV`.
    pub fn check_directory(&mut self, otherwise: Otherwise) {
        let args = [Arg::Word(Slot::FIRST), Arg::Number(stub::SCRATCH_SIZE as i64)];
        self.push(|| Call::Getcwd, libc::SYS_getcwd, &args, Program::flags(otherwise) | stub::ABSOLUTE);
    }

    /// Changes the working directory to the root directory: chdir(2).
    pub fn chdir_root(&mut self) {
        let args = [self.bytes(b"/\0")];
        self.add(|| Call::Chdir(b"/".to_vec()), libc::SYS_chdir, &args, Otherwise::Stop);
    }

    /// Gives up all supplementary groups: setgroups(2).
    pub fn drop_groups(&mut self) {
        self.add(|| Call::Setgroups, libc::SYS_setgroups, &[Arg::Number(0), Arg::Number(0)], Otherwise::Stop);
    }

    /// Changes the real, effective and saved group id: setresgid(2).
    pub fn set_gid(&mut self, gid: u32) {
        let id = Arg::Number(gid.into());
        self.add(|| Call::Setresgid(gid), libc::SYS_setresgid, &[id, id, id], Otherwise::Stop);
    }

    /// Changes the real, effective and saved user id: setresuid(2).
    pub fn set_uid(&mut self, uid: u32) {
        let id = Arg::Number(uid.into());
        self.add(|| Call::Setresuid(uid), libc::SYS_setresuid, &[id, id, id], Otherwise::Stop);
    }

    fn prctl(&mut self, name: &'static str, option: libc::c_int, args: [u64; 2], otherwise: Otherwise) {
        let args = [
            Arg::Number(option.into()),
            Arg::Number(args[0] as i64),
            Arg::Number(args[1] as i64),
            Arg::Number(0),
            Arg::Number(0),
        ];
        self.add(|| Call::Prctl(name), libc::SYS_prctl, &args, otherwise);
    }

    /// Keeps the process from being looked into by others without CAP_SYS_PTRACE: `PR_SET_DUMPABLE`.
    pub fn forbid_tracing(&mut self) {
        self.prctl("PR_SET_DUMPABLE, 0", libc::PR_SET_DUMPABLE, [0, 0], Otherwise::Stop);
    }

    /// Keeps capabilities over a change of the user id: `PR_SET_KEEPCAPS`.
    pub fn keep_caps(&mut self) {
        self.prctl("PR_SET_KEEPCAPS, 1", libc::PR_SET_KEEPCAPS, [1, 0], Otherwise::Stop);
    }

    /// Takes a capability out of the bounding set: `PR_CAPBSET_DROP`.
    pub fn drop_from_bounding(&mut self, caps: CapSet) {
        for cap in caps.iter() {
            self.prctl("PR_CAPBSET_DROP", libc::PR_CAPBSET_DROP, [cap.into(), 0], Otherwise::Stop);
        }
    }

    /// Empties the ambient set: `PR_CAP_AMBIENT_CLEAR_ALL`.
    pub fn clear_ambient(&mut self) {
        let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL as u64;
        self.prctl("PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL", libc::PR_CAP_AMBIENT, [clear, 0], Otherwise::Stop);
    }

    /// Adds capabilities to the ambient set: `PR_CAP_AMBIENT_RAISE`.
    pub fn raise_ambient(&mut self, caps: CapSet) {
        for cap in caps.iter() {
            let args = [libc::PR_CAP_AMBIENT_RAISE as u64, cap.into()];
            self.prctl("PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE", libc::PR_CAP_AMBIENT, args, Otherwise::Stop);
        }
    }

    /// Sets the permitted, effective and inheritable capabilities: capset(2).
    pub fn set_caps(&mut self, permitted: CapSet, inheritable: CapSet) {
        const VERSION_3: u32 = 0x2008_0522;
        let halves = |set: CapSet| [set.bits() as u32, (set.bits() >> 32) as u32];
        let (permitted, inheritable) = (halves(permitted), halves(inheritable));
        let header: Vec<u8> = [VERSION_3, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let data: Vec<u8> = (0..2)
            .flat_map(|half| [permitted[half], permitted[half], inheritable[half]])
            .flat_map(u32::to_ne_bytes)
            .collect();
        let args = [self.bytes(&header), self.bytes(&data)];
        self.add(|| Call::Capset, libc::SYS_capset, &args, Otherwise::Stop);
    }

    /// Gives up gaining privileges by execve(2): `PR_SET_NO_NEW_PRIVS`.
    pub fn no_new_privs(&mut self) {
        self.prctl("PR_SET_NO_NEW_PRIVS, 1", libc::PR_SET_NO_NEW_PRIVS, [1, 0], Otherwise::Stop);
    }

    /// Filters the system calls that are made from here on, also those of this list: seccomp(2). Without `PR_SET_NO_NEW_PRIVS` it takes
    /// CAP_SYS_ADMIN in one's own user namespace.
    ///
    /// # Kernel
    /// Linux 3.17, where it is configured. Absent: `ENOSYS`, or `EINVAL`.
    pub fn seccomp(&mut self, filter: &Filter, otherwise: Otherwise) {
        let instructions = filter.instructions();
        let bytes: Vec<u8> = instructions
            .iter()
            .flat_map(|instruction| {
                let [a, b] = instruction.code.to_ne_bytes();
                let [c, d, e, f] = instruction.k.to_ne_bytes();
                [a, b, instruction.jt, instruction.jf, c, d, e, f]
            })
            .collect();
        // struct sock_fprog: a 16-bit number, of which the rest of the word is padding on a little-endian machine, and a pointer.
        let program = self.counted(instructions.len(), &bytes);
        let args = [Arg::Number(libc::SECCOMP_SET_MODE_FILTER.into()), Arg::Number(0), program];
        self.add(|| Call::Seccomp, libc::SYS_seccomp, &args, otherwise);
    }

    /// Asks for a security context at the next execve(2) but this one's: `attr` is the name of the file below `/proc/self`, which
    /// `proc` has to be of one's own pid namespace.
    pub fn set_context(&mut self, proc: BorrowedFd<'_>, attr: &CString, label: &[u8]) {
        let args = [self.fd(proc), self.text(attr), Arg::Number((libc::O_WRONLY | libc::O_CLOEXEC).into())];
        self.push(|| Call::Openat(attr.to_bytes().to_vec()), libc::SYS_openat, &args, Slot::FIRST.kept());
        let args = [Arg::Word(Slot::FIRST), self.bytes(label), Arg::Number(label.len() as i64)];
        let call = || Call::WriteText { path: attr.to_bytes().to_vec(), text: label.to_vec() };
        self.push(call, libc::SYS_write, &args, stub::LOAD);
        self.push(|| Call::Close, libc::SYS_close, &[Arg::Word(Slot::FIRST)], stub::LOAD | stub::CONTINUE);
    }

    /// Makes a child whose parent is the parent of whoever makes the call: clone(2) with `CLONE_PARENT`. The child goes on; the caller
    /// says its pid and goes on where [`Program::patch`] says.
    pub fn fork_sibling(&mut self) -> usize {
        let at = self.here();
        let flags = i64::from(libc::CLONE_PARENT | libc::SIGCHLD);
        self.push(|| Call::Clone, libc::SYS_clone, &[Arg::Number(flags)], stub::CLONE | Slot::FIRST.kept());
        at
    }

    /// Starts a session of its own: setsid(2).
    pub fn new_session(&mut self) {
        self.add(|| Call::Setsid, libc::SYS_setsid, &[], Otherwise::Stop);
    }

    /// Starts a process group of its own: setpgid(2).
    pub fn new_group(&mut self) {
        self.add(|| Call::Setpgid, libc::SYS_setpgid, &[Arg::Number(0), Arg::Number(0)], Otherwise::Stop);
    }

    /// Makes the own process group the one in the foreground of a terminal: getpid(2), `TIOCSPGRP`. SIGTTOU has to be blocked.
    pub fn to_foreground(&mut self, terminal: BorrowedFd<'_>) {
        self.push(|| Call::Getpid, libc::SYS_getpid, &[], Slot::FIRST.kept());
        let args = [self.fd(terminal), Arg::Number(libc::TIOCSPGRP as i64), Arg::Word(Slot::FIRST)];
        self.add(|| Call::Ioctl("TIOCSPGRP"), libc::SYS_ioctl, &args, Otherwise::Stop);
    }

    /// Dies by SIGKILL when the parent does: `PR_SET_PDEATHSIG`. A change of ids takes this back, so it comes after them.
    pub fn die_with_parent(&mut self) {
        self.prctl("PR_SET_PDEATHSIG, SIGKILL", libc::PR_SET_PDEATHSIG, [libc::SIGKILL as u64, 0], Otherwise::Stop);
    }

    /// Says that everything is ready for the command: a report of pid 0. Where nobody is left to hear it, the program ends.
    pub fn say_ready(&mut self, report: BorrowedFd<'_>) {
        let place = self.here() as u64;
        let args = [Arg::Number(report.as_raw_fd().into()), self.words(&[place << 32]), Arg::Number(8)];
        self.add(|| Call::Write("the pipe to nsx"), libc::SYS_write, &args, Otherwise::Stop);
    }

    /// Closes the standard streams and whatever else the list uses, but for one descriptor: close(2).
    pub fn close_all_but(&mut self, kept: BorrowedFd<'_>) {
        for fd in [0, 1, 2].into_iter().chain(self.inherited().to_vec()).filter(|fd| *fd != kept.as_raw_fd()) {
            self.push(|| Call::Close, libc::SYS_close, &[Arg::Number(fd.into())], stub::CONTINUE | stub::QUIET);
        }
    }

    /// Reads from a pipe until its other end is closed: read(2). Nobody ever writes to it.
    pub fn wait_for_end(&mut self, pipe: BorrowedFd<'_>) {
        // The pid of the child stays where it is in the scratch memory: nothing is read, the answer is all there is to know.
        let args = [self.fd(pipe), Arg::Word(Slot::SECOND), Arg::Number(1)];
        self.add(|| Call::Read(b"the pipe from nsx".to_vec()), libc::SYS_read, &args, Otherwise::GoOn);
    }

    /// Kills the process group of the child that [`Program::fork_sibling`] made: kill(2).
    pub fn kill_group(&mut self) {
        let args = [Arg::Word(Slot::FIRST), Arg::Number(libc::SIGKILL.into())];
        self.push(|| Call::Kill, libc::SYS_kill, &args, stub::LOAD_NEGATED | stub::CONTINUE | stub::QUIET);
    }

    /// Sets the signals that are blocked: rt_sigprocmask(2). `mask` has a bit for each, the lowest for signal 1.
    pub fn set_mask(&mut self, mask: u64) {
        let args = [Arg::Number(libc::SIG_SETMASK.into()), self.words(&[mask]), Arg::Number(0), Arg::Number(8)];
        self.add(|| Call::Sigprocmask, libc::SYS_rt_sigprocmask, &args, Otherwise::Stop);
    }

    /// Ignores the end of children: rt_sigaction(2) for SIGCHLD.
    pub fn ignore_children(&mut self) {
        // struct sigaction of the kernel: the handler comes first, all else is nothing.
        let action = self.words(&[libc::SIG_IGN as u64, 0, 0, 0]);
        let args = [Arg::Number(libc::SIGCHLD.into()), action, Arg::Number(0), Arg::Number(8)];
        self.add(|| Call::Sigaction, libc::SYS_rt_sigaction, &args, Otherwise::Stop);
    }

    /// Has descriptors closed at the next execve(2): fcntl(2) with `FD_CLOEXEC`, for all that the list uses so far.
    pub fn close_at_exec(&mut self, also: &[BorrowedFd<'_>]) {
        for fd in also {
            self.fd(*fd);
        }
        for fd in self.inherited().to_vec() {
            let args =
                [Arg::Number(fd.into()), Arg::Number(libc::F_SETFD.into()), Arg::Number(libc::FD_CLOEXEC.into())];
            self.add(|| Call::Fcntl("F_SETFD, FD_CLOEXEC"), libc::SYS_fcntl, &args, Otherwise::Stop);
        }
    }

    /// Leaves a descriptor open at the next execve(2): fcntl(2).
    pub fn leave_open(&mut self, fd: BorrowedFd<'_>) {
        let args = [self.fd(fd), Arg::Number(libc::F_SETFD.into()), Arg::Number(0)];
        self.add(|| Call::Fcntl("F_SETFD, 0"), libc::SYS_fcntl, &args, Otherwise::Stop);
    }

    /// Has a descriptor closed at the next execve(2): fcntl(2). Returns the place of the call; nothing is said where it fails, as it does
    /// when what was executed is this list again.
    pub fn close_once(&mut self, fd: BorrowedFd<'_>) -> usize {
        let args = [self.fd(fd), Arg::Number(libc::F_SETFD.into()), Arg::Number(libc::FD_CLOEXEC.into())];
        self.push(|| Call::Fcntl("F_SETFD, FD_CLOEXEC"), libc::SYS_fcntl, &args, stub::CONTINUE | stub::QUIET);
        self.here() - 1
    }

    /// Becomes another program: execve(2). Where it fails and the list goes on, that there is no such program is not reported.
    pub fn exec(&mut self, path: &CString, arguments: Strings, environment: Strings, otherwise: Otherwise) {
        let args = [self.text(path), Arg::Data(arguments.0), Arg::Data(environment.0)];
        let flags = Program::flags_of_exec(otherwise);
        self.push(|| Call::Execve(path.to_bytes().to_vec()), libc::SYS_execve, &args, flags);
    }

    /// As [`Program::exec`], and nothing is said where it fails.
    pub fn exec_quietly(&mut self, path: &CString, arguments: Strings, environment: Strings) {
        let args = [self.text(path), Arg::Data(arguments.0), Arg::Data(environment.0)];
        let call = || Call::Execve(path.to_bytes().to_vec());
        self.push(call, libc::SYS_execve, &args, stub::CONTINUE | stub::QUIET);
    }

    /// Writes a message to standard error: write(2).
    pub fn complain(&mut self, message: &[u8]) {
        let args = [Arg::Number(2), self.bytes(message), Arg::Number(message.len() as i64)];
        self.push(|| Call::Write("stderr"), libc::SYS_write, &args, stub::CONTINUE | stub::QUIET);
    }

    /// Becomes a stub: execveat(2).
    pub fn exec_stub(&mut self, stub: BorrowedFd<'_>, environment: Strings) {
        let name = self.strings(&[c"nsx".to_owned()]);
        let args = [
            self.fd(stub),
            self.bytes(b"\0"),
            Arg::Data(name.0),
            Arg::Data(environment.0),
            Arg::Number(libc::AT_EMPTY_PATH.into()),
        ];
        self.add(|| Call::Execveat, libc::SYS_execveat, &args, Otherwise::Stop);
    }

    /// Mounts sysfs of the network namespace of whoever makes the call: mount(2).
    pub fn mount_sys(&mut self, otherwise: Otherwise) {
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        let (name, path) = (self.bytes(b"sysfs\0"), self.bytes(b"/sys\0"));
        let args = [name, path, name, Arg::Number(flags as i64), Arg::Number(0)];
        self.add(|| Call::Mount { what: "sysfs", path: b"/sys".to_vec() }, libc::SYS_mount, &args, otherwise);
    }

    /// Ends: exit_group(2).
    pub fn exit(&mut self, code: u8) {
        self.add(|| Call::Exit, libc::SYS_exit_group, &[Arg::Number(code.into())], Otherwise::Stop);
    }

    /// Makes a call that has no method, to see what becomes of it. No argument may be a pointer that it writes to.
    #[cfg(test)]
    pub(crate) fn any_call(&mut self, number: libc::c_long, args: [i64; 3]) {
        self.add(|| Call::Exit, number, &args.map(Arg::Number), Otherwise::GoOn);
    }
}
