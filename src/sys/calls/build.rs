//! The calls of a [`Program`] that build a sandbox: new namespaces, and what its first process lives by.
//!
//! What one call answers and another takes goes through a [`Slot`]. Paths are those of whoever makes the call, at that moment. Not here:
//! mounts (`mounts`), in which order calls make sense (`launch::run`).

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::model::{KindSet, NsKind};
use crate::sys::error::Call;
use crate::sys::program::{Arg, Otherwise, Program, Slot, Strings};
use crate::sys::stub;

/// The `CLONE_NEW…` flags of kinds, as text.
pub(in crate::sys) fn clone_names(kinds: KindSet) -> String {
    let names: Vec<String> = kinds
        .iter()
        .map(|kind| match kind {
            NsKind::Mnt => "CLONE_NEWNS".to_owned(),
            kind => format!("CLONE_NEW{}", kind.name().to_ascii_uppercase()),
        })
        .collect();
    names.join("|")
}

fn clone_flags(kinds: KindSet) -> i64 {
    kinds.iter().fold(0, |flags, kind| flags | i64::from(kind.clone_flag()))
}

impl Program {
    pub(super) fn build(
        &mut self,
        name: &'static str,
        shown: impl FnOnce() -> String,
        number: libc::c_long,
        args: &[Arg],
        flags: u64,
    ) {
        self.push(|| Call::Build { name, args: shown() }, number, args, flags);
    }

    /// Makes a child in new namespaces whose parent is the parent of whoever makes the call: clone3(2). The child goes on with the next
    /// call; the caller reports its pid and goes on where [`Program::patch`] says. A pidfd of it is kept in `pidfd`, and the pid in the
    /// first slot; the slot `cgroup` holds the directory of a v2 cgroup that it is born into. Uses eleven words from `room` on.
    ///
    /// # Kernel
    /// Linux 5.7. Absent: `ENOSYS`, or whatever a filter says; see [`Program::clone_plainly`].
    pub fn clone_into(&mut self, kinds: KindSet, cgroup: Option<Slot>, pidfd: Slot, room: Slot) -> usize {
        const CLONE_INTO_CGROUP: i64 = 0x2_0000_0000;
        // struct clone_args: the flags come first, the pidfd second, the cgroup last. The exit signal is that of the caller, as
        // CLONE_PARENT has it.
        const WORDS: u16 = 11;
        let mut flags = clone_flags(kinds) | i64::from(libc::CLONE_PARENT) | i64::from(libc::CLONE_PIDFD);
        if let Some(cgroup) = cgroup {
            flags |= CLONE_INTO_CGROUP;
            self.copy(cgroup, Slot(room.0 + WORDS - 1));
        }
        self.set(room, flags as u64);
        let pointer = self.structure(&[Arg::Word(pidfd)]);
        self.push(|| Call::Step("keep"), 0, &[pointer, Arg::Word(Slot(room.0 + 1))], stub::COPY);
        let args = [Arg::Word(room), Arg::Number(i64::from(WORDS) * 8)];
        let at = self.here();
        let into = if cgroup.is_some() { "|CLONE_INTO_CGROUP" } else { "" };
        let text = || format!("{}|CLONE_PARENT|CLONE_PIDFD{into}", clone_names(kinds));
        self.build("clone3", text, libc::SYS_clone3, &args, stub::CLONE | Slot::FIRST.kept());
        at
    }

    /// As [`Program::clone_into`], by clone(2): for kernels and filters that refuse clone3(2). It knows neither cgroups nor time namespaces.
    pub fn clone_plainly(&mut self, kinds: KindSet, pidfd: Slot) -> usize {
        let kinds = kinds.without(NsKind::Time);
        let flags = clone_flags(kinds) | i64::from(libc::CLONE_PARENT | libc::CLONE_PIDFD | libc::SIGCHLD);
        let at = self.here();
        let text = || format!("{}|CLONE_PARENT|CLONE_PIDFD", clone_names(kinds));
        let args = [Arg::Number(flags), Arg::Number(0), Arg::Word(pidfd)];
        self.build("clone", text, libc::SYS_clone, &args, stub::CLONE | Slot::FIRST.kept());
        at
    }

    /// Makes a child: clone(2). The child goes on with the next call, the caller where [`Program::patch`] says; the pid is kept in the
    /// first slot, and not reported.
    pub fn fork(&mut self) -> usize {
        let at = self.here();
        self.build(
            "clone",
            || "SIGCHLD".into(),
            libc::SYS_clone,
            &[Arg::Number(libc::SIGCHLD.into())],
            stub::CLONE | stub::UNTOLD | Slot::FIRST.kept(),
        );
        at
    }

    /// Leaves these namespaces for new ones; a pid or time namespace is that of children only: unshare(2).
    pub fn unshare(&mut self, kinds: KindSet) {
        let args = [Arg::Number(clone_flags(kinds))];
        self.build("unshare", || clone_names(kinds), libc::SYS_unshare, &args, 0);
    }

    /// Has a new session keyring with nothing in it: keyctl(2) with `KEYCTL_JOIN_SESSION_KEYRING`.
    pub fn join_new_keyring(&mut self, otherwise: Otherwise) {
        const KEYCTL_JOIN_SESSION_KEYRING: i64 = 1;
        let args = [Arg::Number(KEYCTL_JOIN_SESSION_KEYRING), Arg::Number(0)];
        let text = || "KEYCTL_JOIN_SESSION_KEYRING".to_owned();
        self.build("keyctl", text, libc::SYS_keyctl, &args, Program::flags(otherwise));
    }

    /// Writes a text to a file: openat(2), write(2), close(2).
    pub fn write_file(&mut self, path: &CString, text: &[u8], otherwise: Otherwise) {
        let args = [
            Arg::Number(libc::AT_FDCWD.into()),
            self.text(path),
            Arg::Number((libc::O_WRONLY | libc::O_CLOEXEC).into()),
        ];
        let opened = self.here();
        let flags = match otherwise {
            Otherwise::Stop => 0,
            _ => Program::flags(Otherwise::GoTo(opened + 3)),
        };
        self.push(|| Call::Openat(path.to_bytes().to_vec()), libc::SYS_openat, &args, flags | Slot::FIRST.kept());
        let args = [Arg::Word(Slot::FIRST), self.bytes(text), Arg::Number(text.len() as i64)];
        let call = || Call::WriteText { path: path.to_bytes().to_vec(), text: text.to_vec() };
        self.push(call, libc::SYS_write, &args, Program::flags(otherwise) | stub::LOAD);
        self.close_slot(Slot::FIRST);
    }

    /// Closes what a slot holds: close(2).
    pub fn close_slot(&mut self, slot: Slot) {
        self.push(|| Call::Close, libc::SYS_close, &[Arg::Word(slot)], stub::LOAD | stub::CONTINUE | stub::QUIET);
    }

    /// Sets the name of the process, as ps(1) shows it: `PR_SET_NAME`.
    pub fn set_name(&mut self, name: &CStr) {
        let none = Arg::Number(0);
        let args = [Arg::Number(libc::PR_SET_NAME.into()), self.bytes(name.to_bytes_with_nul()), none, none, none];
        let text = || format!("PR_SET_NAME, {}", name.to_string_lossy());
        self.build("prctl", text, libc::SYS_prctl, &args, stub::CONTINUE | stub::QUIET);
    }

    /// Sets the host name: sethostname(2).
    pub fn set_host_name(&mut self, name: &[u8]) {
        let args = [self.bytes(name), Arg::Number(name.len() as i64)];
        self.build("sethostname", || name.escape_ascii().to_string(), libc::SYS_sethostname, &args, 0);
    }

    /// Brings the loopback interface up: `SIOCSIFFLAGS`, see netdevice(7).
    pub fn loopback_up(&mut self) {
        let kind = i64::from(libc::SOCK_DGRAM | libc::SOCK_CLOEXEC);
        let args = [Arg::Number(libc::AF_INET.into()), Arg::Number(kind), Arg::Number(0)];
        // A kernel without IPv4 has nothing to bring up.
        let skip = Program::flags(Otherwise::GoTo(self.here() + 3)) | stub::QUIET;
        self.push(|| Call::Socket("AF_INET"), libc::SYS_socket, &args, skip | Slot::FIRST.kept());
        let mut request = [0u8; 40];
        request[..2].copy_from_slice(b"lo");
        request[16..18].copy_from_slice(&(libc::IFF_UP as i16).to_ne_bytes());
        let args = [Arg::Word(Slot::FIRST), Arg::Number(libc::SIOCSIFFLAGS as i64), self.bytes(&request)];
        self.push(|| Call::Ioctl("SIOCSIFFLAGS, lo, IFF_UP"), libc::SYS_ioctl, &args, stub::LOAD | stub::CONTINUE);
        self.close_slot(Slot::FIRST);
    }

    /// Sets a resource limit of one's own: prlimit64(2).
    pub fn set_rlimit(&mut self, resource: u32, name: &str, soft: Option<u64>, hard: Option<u64>) {
        let limits = [soft.unwrap_or(u64::MAX), hard.unwrap_or(u64::MAX)];
        let args = [Arg::Number(0), Arg::Number(resource.into()), self.words(&limits), Arg::Number(0)];
        let shown = |limit: Option<u64>| limit.map_or("RLIM_INFINITY".to_owned(), |limit| limit.to_string());
        let text = || format!("RLIMIT_{}, {}, {}", name.to_ascii_uppercase(), shown(soft), shown(hard));
        self.build("prlimit64", text, libc::SYS_prlimit64, &args, 0);
    }

    /// Waits until a byte comes over a pipe: read(2). Where the pipe ends instead it goes on where [`Program::patch`] says.
    pub fn wait_for_byte_or_end(&mut self, pipe: BorrowedFd<'_>) -> usize {
        let args = [self.fd(pipe), Arg::Word(Slot::SECOND), Arg::Number(1)];
        self.push(|| Call::Read(b"the pipe from nsx".to_vec()), libc::SYS_read, &args, Slot::FIRST.kept());
        self.jump_if(Slot::FIRST, 0)
    }

    /// Opens a directory below another one: openat(2).
    pub fn open_directory(&mut self, parent: BorrowedFd<'_>, name: &CStr, slot: Slot) {
        let flags = i64::from(libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC);
        let args = [self.fd(parent), self.bytes(name.to_bytes_with_nul()), Arg::Number(flags)];
        self.push(|| Call::Openat(name.to_bytes().to_vec()), libc::SYS_openat, &args, slot.kept());
    }

    /// Opens a file below a directory, to write to it: openat(2).
    pub fn open_to_write(&mut self, parent: BorrowedFd<'_>, path: &CString, slot: Slot) {
        let args = [self.fd(parent), self.text(path), Arg::Number((libc::O_WRONLY | libc::O_CLOEXEC).into())];
        self.push(|| Call::Openat(path.to_bytes().to_vec()), libc::SYS_openat, &args, slot.kept());
    }

    /// Moves itself into the cgroup whose `tasks` or `cgroup.procs` a slot holds, and closes it: write(2).
    pub fn join_cgroup(&mut self, slot: Slot) {
        let args = [Arg::Word(slot), self.bytes(b"0"), Arg::Number(1)];
        // 0 is whoever writes, in whatever pid namespace.
        self.push(|| Call::Write("0 to the cgroup"), libc::SYS_write, &args, stub::LOAD);
        self.close_slot(slot);
    }

    /// Waits until a byte comes over a pipe: read(2). Where the pipe ends instead, nobody wants this any more, and the program ends.
    pub fn wait_for_byte(&mut self, pipe: BorrowedFd<'_>) {
        let args = [self.fd(pipe), Arg::Word(Slot::SECOND), Arg::Number(1)];
        self.push(|| Call::Read(b"the pipe from nsx".to_vec()), libc::SYS_read, &args, Slot::FIRST.kept());
        let come = self.jump_if(Slot::FIRST, 1);
        self.aside(true);
        self.exit(1);
        self.aside(false);
        let here = self.here();
        self.patch(come, here);
    }

    /// Goes on elsewhere: where [`Program::patch`] says.
    pub fn jump(&mut self) -> usize {
        let at = self.here();
        let zero = self.words(&[0]);
        self.push(|| Call::Step("go on elsewhere"), 0, &[zero, Arg::Number(0), zero], stub::COMPARE);
        at
    }

    /// Goes on elsewhere if a slot holds this; where, [`Program::patch`] says.
    pub fn jump_if(&mut self, slot: Slot, value: u64) -> usize {
        let at = self.here();
        let value = self.words(&[value]);
        self.push(|| Call::Step("if"), 0, &[Arg::Word(slot), Arg::Number(-1), value], stub::COMPARE);
        at
    }

    /// Goes on elsewhere if two slots hold the same.
    pub fn jump_if_same(&mut self, one: Slot, other: Slot) -> usize {
        let at = self.here();
        self.push(|| Call::Step("if"), 0, &[Arg::Word(one), Arg::Number(-1), Arg::Word(other)], stub::COMPARE);
        at
    }

    /// Goes on elsewhere if the low bytes of a slot, those in `mask`, are `value`.
    pub fn jump_if_masked(&mut self, slot: Slot, mask: u64, value: u64) -> usize {
        let at = self.here();
        let value = self.words(&[value]);
        self.push(|| Call::Step("if"), 0, &[Arg::Word(slot), Arg::Number(mask as i64), value], stub::COMPARE);
        at
    }

    /// Copies a slot.
    pub fn copy(&mut self, from: Slot, to: Slot) {
        self.push(|| Call::Step("keep"), 0, &[Arg::Word(from), Arg::Word(to)], stub::COPY);
    }

    /// Puts a number into a slot.
    pub fn set(&mut self, slot: Slot, value: u64) {
        let value = self.words(&[value]);
        self.push(|| Call::Step("keep"), 0, &[value, Arg::Word(slot)], stub::COPY);
    }

    /// Opens a terminal of the devpts that is mounted at /dev/pts: the side of whoever watches into `near`, the other into `far`. `settings`
    /// is the `struct termios` of the kernel, `size` a `struct winsize`.
    pub fn open_terminal(&mut self, near: Slot, far: Slot, settings: &[u8], size: [u16; 4]) {
        const TIOCGPTPEER: i64 = 0x5441;
        let flags = i64::from(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        let args = [Arg::Number(libc::AT_FDCWD.into()), self.bytes(b"/dev/pts/ptmx\0"), Arg::Number(flags)];
        self.push(|| Call::Openat(b"/dev/pts/ptmx".to_vec()), libc::SYS_openat, &args, near.kept());
        let args = [Arg::Word(near), Arg::Number(libc::TIOCSPTLCK as i64), self.words(&[0])];
        self.push(|| Call::Ioctl("TIOCSPTLCK, 0"), libc::SYS_ioctl, &args, stub::LOAD);
        let args = [Arg::Word(near), Arg::Number(TIOCGPTPEER), Arg::Number(flags)];
        self.push(|| Call::Ioctl("TIOCGPTPEER"), libc::SYS_ioctl, &args, stub::LOAD | far.kept());
        let args = [Arg::Word(far), Arg::Number(libc::TCSETS as i64), self.bytes(settings)];
        self.push(|| Call::Ioctl("TCSETS"), libc::SYS_ioctl, &args, stub::LOAD);
        let size: Vec<u8> = size.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let args = [Arg::Word(far), Arg::Number(libc::TIOCSWINSZ as i64), self.bytes(&size)];
        self.push(|| Call::Ioctl("TIOCSWINSZ"), libc::SYS_ioctl, &args, stub::LOAD | stub::CONTINUE);
    }

    /// Gives a terminal settings: `TCSETS`, with the `struct termios` of the kernel.
    pub fn set_terminal(&mut self, terminal: BorrowedFd<'_>, settings: &[u8]) {
        let args = [self.fd(terminal), Arg::Number(libc::TCSETS as i64), self.bytes(settings)];
        self.push(|| Call::Ioctl("TCSETS"), libc::SYS_ioctl, &args, stub::CONTINUE | stub::QUIET);
    }

    /// Makes a terminal the controlling one of the own session: `TIOCSCTTY`.
    pub fn control_terminal(&mut self, terminal: Slot) {
        let args = [Arg::Word(terminal), Arg::Number(libc::TIOCSCTTY as i64), Arg::Number(0)];
        self.push(|| Call::Ioctl("TIOCSCTTY"), libc::SYS_ioctl, &args, stub::LOAD);
    }

    /// Makes the own process group the one in the foreground of a terminal: getpid(2), `TIOCSPGRP`. SIGTTOU has to be blocked.
    pub fn foreground_of(&mut self, terminal: Slot) {
        self.push(|| Call::Getpid, libc::SYS_getpid, &[], Slot::FIRST.kept());
        let args = [Arg::Word(terminal), Arg::Number(libc::TIOCSPGRP as i64), Arg::Word(Slot::FIRST)];
        self.push(|| Call::Ioctl("TIOCSPGRP"), libc::SYS_ioctl, &args, stub::LOAD);
    }

    /// Puts what a slot holds in the place of a standard stream: dup3(2).
    pub fn put_in_place(&mut self, slot: Slot, stream: i32) {
        let args = [Arg::Word(slot), Arg::Number(stream.into()), Arg::Number(0)];
        self.build("dup3", || format!("the terminal, {stream}"), libc::SYS_dup3, &args, stub::LOAD);
    }

    /// Sends the descriptor that a slot holds over a socket, with eight bytes: sendmsg(2), unix(7). Uses three words from `room` on.
    pub fn send_descriptor(&mut self, socket: BorrowedFd<'_>, slot: Slot, room: Slot, tag: [u8; 8]) {
        // struct cmsghdr: length, level and type, the descriptor.
        let header = 16u64;
        self.set(room, header + 4);
        self.set(Slot(room.0 + 1), (libc::SOL_SOCKET as u64) | (libc::SCM_RIGHTS as u64) << 32);
        self.copy(slot, Slot(room.0 + 2));
        let text = self.bytes(&tag);
        let pieces = self.structure(&[text, Arg::Number(tag.len() as i64)]);
        let none = Arg::Number(0);
        // struct msghdr: name, its length, pieces, how many, control, its length, flags.
        let message = self.structure(&[none, none, pieces, Arg::Number(1), Arg::Word(room), Arg::Number(24), none]);
        let args = [self.fd(socket), message, Arg::Number(libc::MSG_NOSIGNAL.into())];
        self.build("sendmsg", || "SCM_RIGHTS, the terminal".into(), libc::SYS_sendmsg, &args, 0);
    }

    /// Waits for a signal of this set, a bit for each, which has to be blocked: rt_sigtimedwait(2). Its number is kept in `slot`.
    pub fn wait_for_signal(&mut self, set: u64, slot: Slot) -> usize {
        let at = self.here();
        let args = [self.words(&[set]), Arg::Number(0), Arg::Number(0), Arg::Number(8)];
        let flags = stub::CONTINUE | stub::QUIET | (at as u64) << 32 | slot.kept();
        self.build("rt_sigtimedwait", String::new, libc::SYS_rt_sigtimedwait, &args, flags);
        at
    }

    /// Asks for a child that has ended or stopped: wait4(2) with `WNOHANG`. Its pid, or 0, is kept in `pid`, how in the low half of
    /// `status`. Where there are no children it goes on at `none`.
    pub fn look_for_child(&mut self, pid: Slot, status: Slot, none: usize) {
        let options = i64::from(libc::WNOHANG | libc::WUNTRACED | libc::__WALL);
        let args = [Arg::Number(-1), Arg::Word(status), Arg::Number(options), Arg::Number(0)];
        let flags = stub::CONTINUE | stub::QUIET | (none as u64) << 32 | pid.kept();
        self.build("wait4", || "-1, WNOHANG|WUNTRACED|__WALL".into(), libc::SYS_wait4, &args, flags);
    }

    /// Sends the signal whose number one slot holds to the process whose pid another does, or to its group: kill(2).
    pub fn pass_signal(&mut self, pid: Slot, group: bool, number: Slot) {
        let load = if group { stub::LOAD_NEGATED } else { stub::LOAD };
        let flags = load | stub::LOAD_SECOND | stub::CONTINUE | stub::QUIET;
        self.push(|| Call::Kill, libc::SYS_kill, &[Arg::Word(pid), Arg::Word(number)], flags);
    }

    /// Kills the process whose pid a slot holds.
    pub fn kill_slot(&mut self, pid: Slot) {
        let args = [Arg::Word(pid), Arg::Number(libc::SIGKILL.into())];
        self.push(|| Call::Kill, libc::SYS_kill, &args, stub::LOAD | stub::CONTINUE | stub::QUIET);
    }

    /// Sends a signal to the process whose pidfd a slot holds: pidfd_send_signal(2).
    pub fn signal_pidfd(&mut self, pidfd: Slot, number: i32) {
        let none = Arg::Number(0);
        let args = [Arg::Word(pidfd), Arg::Number(number.into()), none, none];
        self.build(
            "pidfd_send_signal",
            || format!("{number}"),
            libc::SYS_pidfd_send_signal,
            &args,
            stub::LOAD | stub::CONTINUE | stub::QUIET,
        );
    }

    /// Tells whoever reads `report` the word that a slot holds: write(2).
    pub fn tell(&mut self, report: BorrowedFd<'_>, slot: Slot) {
        let args = [self.fd(report), Arg::Word(slot), Arg::Number(8)];
        self.push(|| Call::Write("the socket to nsx"), libc::SYS_write, &args, stub::CONTINUE | stub::QUIET);
    }

    /// Waits until the process whose pidfd is in the low half of a slot, with `POLLIN` behind it, has ended: ppoll(2), for this long at most
    /// in nanoseconds. 1 is kept in `answer` if it has, else 0.
    pub fn wait_for_process(&mut self, pidfd: Slot, most_nsec: Option<u64>, answer: Slot) {
        let time = match most_nsec {
            Some(nsec) => self.words(&[nsec / 1_000_000_000, nsec % 1_000_000_000]),
            None => Arg::Number(0),
        };
        let args = [Arg::Word(pidfd), Arg::Number(1), time, Arg::Number(0), Arg::Number(8)];
        self.push(|| Call::Poll, libc::SYS_ppoll, &args, answer.kept() | stub::CONTINUE | stub::QUIET);
    }

    /// Sleeps: nanosleep(2).
    pub fn sleep(&mut self, nsec: u64) {
        let args = [self.words(&[nsec / 1_000_000_000, nsec % 1_000_000_000]), Arg::Number(0)];
        self.build(
            "nanosleep",
            || format!("{} ms", nsec / 1_000_000),
            libc::SYS_nanosleep,
            &args,
            stub::CONTINUE | stub::QUIET,
        );
    }

    /// Removes a directory: unlinkat(2) with `AT_REMOVEDIR`. Nothing is said where it fails.
    pub fn remove_directory(&mut self, parent: BorrowedFd<'_>, name: &CStr) {
        let args = [self.fd(parent), self.bytes(name.to_bytes_with_nul()), Arg::Number(libc::AT_REMOVEDIR.into())];
        self.push(|| Call::Unlinkat(name.to_bytes().to_vec()), libc::SYS_unlinkat, &args, stub::CONTINUE | stub::QUIET);
    }

    /// Becomes another program: execve(2). Where the kernel knows no such format, as it does of a script without an interpreter line, it goes
    /// on where [`Program::patch`] says; other failures are as [`Program::exec`] has them.
    pub fn exec_or_interpret(
        &mut self,
        path: &CString,
        words: Strings,
        environment: Strings,
        otherwise: Otherwise,
    ) -> usize {
        let at = self.here();
        let args = [self.text(path), Arg::Data(words.0), Arg::Data(environment.0)];
        let flags = Program::flags_of_exec(otherwise) | stub::IF_NOEXEC;
        self.push(|| Call::Execve(path.to_bytes().to_vec()), libc::SYS_execve, &args, flags);
        at
    }

    /// Changes the supplementary groups: setgroups(2).
    pub fn set_groups(&mut self, groups: &[u32]) {
        let list: Vec<u8> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
        let args = [Arg::Number(groups.len() as i64), self.bytes(&list)];
        let text = || groups.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        self.build("setgroups", text, libc::SYS_setgroups, &args, 0);
    }

    /// Has the files of its `/proc/self` belong to the process again: `PR_SET_DUMPABLE`.
    pub fn allow_tracing(&mut self) {
        let args = [libc::PR_SET_DUMPABLE as i64, 1, 0, 0, 0].map(Arg::Number);
        self.push(|| Call::Prctl("PR_SET_DUMPABLE, 1"), libc::SYS_prctl, &args, 0);
    }

    /// Changes the working directory as [`Program::chdir`] does, if the directory is there and lies below the root: then it goes on where
    /// [`Program::patch`] says, else with the next call. Nothing is said of what is not there.
    pub fn chdir_or_next(&mut self, path: &CString) -> usize {
        let start = self.here();
        self.chdir(path, Otherwise::GoOn);
        self.check_directory(Otherwise::GoOn);
        let done = self.jump();
        for place in [start, start + 1, start + 3] {
            self.be_quiet(place);
            self.patch(place, done + 1);
        }
        done
    }

    /// Closes the standard streams and whatever else the list uses, but for these: close(2).
    pub fn close_others(&mut self, kept: &[BorrowedFd<'_>], also: &[i32]) {
        let is_kept = |fd: &i32| kept.iter().any(|kept| kept.as_raw_fd() == *fd);
        for fd in [0, 1, 2].into_iter().chain(self.inherited().to_vec()).chain(also.to_vec()).filter(|fd| !is_kept(fd))
        {
            self.push(|| Call::Close, libc::SYS_close, &[Arg::Number(fd.into())], stub::CONTINUE | stub::QUIET);
        }
    }
}
