//! The other life of this binary: a process that makes a namespace, holds it in one way, says `ready`, and waits for the end of its
//! standard input.
//!
//! It runs with a single thread until it starts one, so it may unshare whatever it likes.

#![expect(clippy::disallowed_methods, reason = "a fixture makes namespaces, which the program itself does in sys only")]

mod attack;
mod cgroup;
mod enter;
mod fuse;
mod pid;
mod probe;
pub mod room;

pub use attack::impostor;

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::Read;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::mpsc;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Plays a role.
pub fn main(arguments: &[OsString]) -> ExitCode {
    match arguments.first().and_then(|role| role.to_str()) {
        Some("without") => return without(&arguments[1..]),
        Some("look") => return enter::look(&arguments[1..]),
        Some("reaper") => return enter::reaper(Path::new(&arguments[1]), &arguments[2..]),
        Some("tiocsti") => return attack::tiocsti(),
        Some("as-attendant") => return attack::as_attendant(&arguments[1], &arguments[2]),
        Some("probe") => return probe::main(&arguments[1..]),
        // In a user namespace that maps nobody.
        Some("wait") => {
            wait();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    if arguments.first().is_some_and(|role| role == "rootless") {
        rootless();
        return main(&arguments[1..]);
    }
    if !nix::unistd::geteuid().is_root() {
        rootless();
    }
    // What stands behind `--` is there to be seen in the command line, and may be anything.
    let words = arguments.iter().take_while(|word| *word != "--").map(|word| word.to_str().expect("UTF-8"));
    match words.collect::<Vec<_>>()[..] {
        ["process", kind] => process(kind),
        ["thread", kind] => thread(kind),
        ["for-children"] => for_children(),
        ["fd", kind] => fd(kind),
        ["fds-of-thread", least] => fds_of_thread(least.parse().expect("a number")),
        ["socket"] => socket(),
        ["in-flight"] => in_flight(),
        ["many-fds"] => many_fds(),
        ["enter-target", kinds, ref options @ ..] => enter::target(kinds, options),
        ["attack-exe", device, inode, report, kinds, ref options @ ..] => {
            let number = |text: &str| text.parse().expect("a number");
            attack::exe(number(device), number(inode), report, kinds, options);
        }
        ["room", folder] => room::keep(Path::new(folder)),
        ["fuse-for-socket", folder] => fuse::for_socket(Path::new(folder)),
        ["fuse-over-mount", folder] => fuse::over_mount(Path::new(folder)),
        ["fuse-above-mount", folder] => fuse::above_mount(Path::new(folder)),
        ["bind-mount", folder] => bind_mount(Path::new(folder), false),
        ["bind-mount-without-process", folder] => bind_mount(Path::new(folder), true),
        ["hidden-mounts", count, folder] => hidden_mounts(count.parse().expect("a number"), Path::new(folder)),
        ["nested-user"] => nested_user(),
        ["open-tree", folder] => open_tree(Path::new(folder)),
        ["pid-nest", depth, ref said @ ..] => pid::nest(depth.parse().expect("a number"), said),
        ["pid-leaf", ref said @ ..] => pid::leaf(said),
        ["pid-for-children"] => pid::for_children(),
        ["pid-emptied"] => pid::emptied(),
        ["named", name] => named(name),
        ["leader-exits", kind] => leader_exits(kind),
        ["zombie"] => zombie(),
        ["memory", mebibytes] => memory(mebibytes.parse().expect("a number")),
        ["churn"] => churn(),
        ["eat", bytes] => cgroup::eat(bytes.parse().expect("a number")),
        ["hold", bytes] => cgroup::hold(bytes.parse().expect("a number")),
        ["spin"] => cgroup::spin(),
        ["forks"] => cgroup::forks(),
        ["cgroup-churn", ref folders @ ..] => cgroup::churn(folders),
        _ => panic!("no such fixture: {arguments:?}"),
    }
    ExitCode::SUCCESS
}

/// Becomes root in a user namespace of its own, as an ordinary user has to before anything else.
fn rootless() {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER).expect("unshare");
    std::fs::write("/proc/self/setgroups", "deny").expect("setgroups");
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).expect("uid_map");
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).expect("gid_map");
}

fn wait() {
    let _ = std::io::stdin().read(&mut [0]);
}

fn ready(words: &str) {
    use std::io::Write;
    let mut out = std::io::stdout();
    writeln!(out, "ready {words}").and_then(|()| out.flush()).expect("somebody listens");
    wait();
}

fn flag(kind: &str) -> CloneFlags {
    match kind {
        "cgroup" => CloneFlags::CLONE_NEWCGROUP,
        "ipc" => CloneFlags::CLONE_NEWIPC,
        "mnt" => CloneFlags::CLONE_NEWNS,
        "net" => CloneFlags::CLONE_NEWNET,
        "pid" => CloneFlags::CLONE_NEWPID,
        "time" => CloneFlags::from_bits_retain(0x80),
        "user" => CloneFlags::CLONE_NEWUSER,
        "uts" => CloneFlags::CLONE_NEWUTS,
        _ => panic!("no such kind: {kind}"),
    }
}

fn own_link(kind: &str) -> String {
    let link = std::fs::read_link(format!("/proc/thread-self/ns/{kind}")).expect("a link");
    link.to_string_lossy().into_owned()
}

fn tid() -> i32 {
    nix::unistd::gettid().as_raw()
}

/// Uses so much memory.
fn memory(mebibytes: usize) {
    let used = std::hint::black_box(vec![1u8; mebibytes << 20]);
    ready(&used.len().to_string());
}

/// A child in a namespace of its own.
fn process(kind: &str) {
    unshare(flag(kind)).expect("unshare");
    let mut command = Command::new(std::env::current_exe().expect("self"));
    // A closure to run makes this a fork: with a time namespace to come Linux 6.1 refuses a child that shares memory.
    // SAFETY: the closure does nothing.
    unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, || Ok(())) };
    let mut child = command.args(["fixture", "wait"]).spawn().expect("fork");
    let link = std::fs::read_link(format!("/proc/{}/ns/{kind}", child.id())).expect("a link");
    ready(&format!("{} {}", child.id(), link.display()));
    let _ = child.wait();
}

/// A thread in a namespace of its own, while the process stays where it is.
fn thread(kind: &str) {
    let kind = kind.to_owned();
    let (say, hear) = mpsc::channel();
    std::thread::spawn(move || {
        unshare(flag(&kind)).expect("unshare");
        say.send(format!("{} {}", tid(), own_link(&kind))).expect("main listens");
        std::thread::park();
    });
    ready(&hear.recv().expect("the thread"));
}

/// A task that stays in its time namespace while its children will be in another.
fn for_children() {
    unshare(flag("time")).expect("unshare");
    ready(&own_link("time_for_children"));
}

/// Does something in a namespace that a short-lived thread makes.
fn in_new<T: Send + 'static>(kind: &str, act: impl FnOnce(&str) -> T + Send + 'static) -> (T, String) {
    let kind = kind.to_owned();
    std::thread::spawn(move || {
        unshare(flag(&kind)).expect("unshare");
        let path = format!("/proc/self/task/{}/ns/{kind}", tid());
        (act(&path), own_link(&kind))
    })
    .join()
    .expect("the thread")
}

/// A descriptor of a namespace that nobody is in.
fn fd(kind: &str) {
    let (file, link) = in_new(kind, |path| File::open(path).expect("a namespace"));
    ready(&format!("{} {link}", file.as_raw_fd()));
}

/// Two threads with descriptors of their own, one of these of a namespace that nobody is in, with at least this number.
fn fds_of_thread(least: i32) {
    let (file, link) = in_new("uts", |path| File::open(path).expect("a namespace"));
    let (say, hear) = mpsc::channel();
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_FILES).expect("unshare");
        let fd = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_DUPFD(least)).expect("a copy");
        drop(file);
        // Another one that shares them.
        std::thread::spawn(std::thread::park);
        say.send((tid(), fd)).expect("main listens");
        std::thread::park();
    });
    let (tid, fd) = hear.recv().expect("the thread");
    // The table was copied with what was in it.
    for entry in std::fs::read_dir("/proc/self/fd").expect("descriptors").flatten() {
        let is_it = std::fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy() == link);
        let number: i32 = entry.file_name().to_string_lossy().parse().expect("a number");
        if is_it {
            nix::unistd::close(number).expect("it was open");
        }
    }
    ready(&format!("{tid} {fd} {link}"));
}

/// A socket in a network namespace that nobody is in.
fn socket() {
    let (socket, link) = in_new("net", |_| UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    ready(&format!("{} {link}", socket.as_raw_fd()));
}

/// Very many descriptors of one namespace.
fn many_fds() {
    let (file, link) = in_new("uts", |path| File::open(path).expect("a namespace"));
    let _copies: Vec<File> = (1..900).map(|_| file.try_clone().expect("a copy")).collect();
    ready(&link);
}

/// A descriptor that was sent and not received: no directory in /proc shows it.
fn in_flight() {
    use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};
    let (file, link) = in_new("uts", |path| File::open(path).expect("a namespace"));
    let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).expect("sockets");
    let (bytes, descriptors) = ([std::io::IoSlice::new(b"x")], [file.as_raw_fd()]);
    let message = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(pair.0.as_raw_fd(), &bytes, &message, MsgFlags::empty(), None).expect("sent");
    drop(file);
    ready(&link);
}

/// A bind mount of a namespace that nobody is in, in a mount namespace that only this process is in, or nobody at all.
fn bind_mount(folder: &Path, without_process: bool) {
    let place = folder.join("a b\\c\nd");
    File::create(&place).expect("a file to mount on");
    let new_mnt = || {
        unshare(CloneFlags::CLONE_NEWNS).expect("unshare");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).expect("private");
    };
    if !without_process {
        new_mnt();
    }
    // The thread ends, and with it the uts namespace's only member.
    let (_file, uts, mnt) = std::thread::spawn(move || {
        if without_process {
            new_mnt();
        }
        unshare(CloneFlags::CLONE_NEWUTS).expect("unshare");
        let namespace = |kind| format!("/proc/self/task/{}/ns/{kind}", tid());
        mount(Some(namespace("uts").as_str()), &place, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .expect("bind mount");
        let mnt_ns = without_process.then(|| File::open(namespace("mnt")).expect("a namespace"));
        (mnt_ns, own_link("uts"), own_link("mnt"))
    })
    .join()
    .expect("the thread");
    ready(&format!("{uts} {mnt}"));
}

/// Bind mounts of so many namespaces, below another mount that hides them, in a mount namespace of its own.
fn hidden_mounts(count: usize, folder: &Path) {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).expect("unshare");
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
    let mut last = String::new();
    for number in 0..count {
        let place = folder.join(number.to_string());
        File::create(&place).expect("a file to mount on");
        let bind = move |path: &str| mount(Some(path), &place, none, MsFlags::MS_BIND, none).expect("bind mount");
        last = in_new("uts", bind).1;
    }
    mount(Some("nsx-test"), folder, Some("tmpfs"), MsFlags::empty(), none).expect("tmpfs");
    ready(&last);
}

/// A descriptor of a mount namespace that was made of one tree, with a bind mount of a namespace that nobody is in; nobody has ever
/// been in either (`OPEN_TREE_NAMESPACE`, Linux 7.0, see open_tree(2)).
fn open_tree(folder: &Path) {
    const OPEN_TREE_NAMESPACE: i32 = 2;
    const AT_RECURSIVE: i32 = 0x8000;
    let path = CString::new(folder.as_os_str().as_bytes()).expect("no NUL");
    let folder = folder.to_owned();
    let (tree, uts) = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("unshare");
        let (none, root) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
        mount(none, "/", none, root, none).expect("private");
        mount(Some("nsx-test"), &folder, Some("tmpfs"), MsFlags::empty(), none).expect("tmpfs");
        let place = folder.join("uts");
        File::create(&place).expect("a file to mount on");
        unshare(CloneFlags::CLONE_NEWUTS).expect("unshare");
        let namespace = format!("/proc/self/task/{}/ns/uts", tid());
        mount(Some(namespace.as_str()), &place, none, MsFlags::MS_BIND, none).expect("bind mount");
        let flags = OPEN_TREE_NAMESPACE | AT_RECURSIVE | nix::libc::O_CLOEXEC;
        // SAFETY: the path lives through the call, and what it returns is a descriptor that nobody else owns.
        let tree = unsafe { nix::libc::syscall(nix::libc::SYS_open_tree, nix::libc::AT_FDCWD, path.as_ptr(), flags) };
        let tree = i32::try_from(tree).expect("a descriptor");
        assert!(tree >= 0, "open_tree: {}", std::io::Error::last_os_error());
        (tree, own_link("uts"))
    })
    .join()
    .expect("the thread");
    let mnt = std::fs::read_link(format!("/proc/self/fd/{tree}")).expect("a link");
    ready(&format!("{tree} {} {uts}", mnt.display()));
}

/// A user namespace whose parent has no process.
fn nested_user() {
    unshare(CloneFlags::CLONE_NEWUSER).expect("unshare");
    let outer = own_link("user");
    // Only who is mapped may make another one.
    std::fs::write("/proc/self/setgroups", "deny").expect("setgroups");
    std::fs::write("/proc/self/uid_map", "0 0 1").expect("uid_map");
    std::fs::write("/proc/self/gid_map", "0 0 1").expect("gid_map");
    unshare(CloneFlags::CLONE_NEWUSER).expect("unshare");
    ready(&format!("{outer} {}", own_link("user")));
}

/// A process in a namespace of its own, with any name.
fn named(name: &str) {
    unshare(CloneFlags::CLONE_NEWUTS).expect("unshare");
    let name = CString::new(std::ffi::OsStr::new(name).as_bytes()).expect("no NUL");
    // /proc/self/comm takes what PR_SET_NAME takes.
    std::fs::write("/proc/self/comm", name.as_bytes()).expect("comm");
    ready(&own_link("uts"));
}

/// A process whose first thread has exited while another one lives on in a namespace of its own.
fn leader_exits(kind: &str) {
    let kind = kind.to_owned();
    std::thread::spawn(move || {
        unshare(flag(&kind)).expect("unshare");
        // The first thread must have gone before anybody looks.
        let own = std::process::id();
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{own}/stat")).expect("stat");
            if stat.contains(") Z ") {
                break;
            }
            std::thread::yield_now();
        }
        ready(&format!("{} {}", tid(), own_link(&kind)));
        // Nobody is left who would end the process.
        nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL).expect("kill");
    });
    // SAFETY: ends this thread only; nothing of it is used by the other one.
    unsafe { nix::libc::syscall(nix::libc::SYS_exit, 0) };
}

/// A zombie, until the end.
fn zombie() {
    let mut child = Command::new("true").spawn().expect("fork");
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("stat");
        if stat.contains(") Z ") {
            break;
        }
        std::thread::yield_now();
    }
    ready(&child.id().to_string());
    let _ = child.wait();
}

/// Runs a command on a kernel that lacks something: `without CALL,… COMMAND…`. A call is the number of a system call, which is answered
/// with ENOSYS; `NUMBER:ERRNO`; or `NUMBER@ARGUMENT=VALUE:ERRNO`, which is answered so when that argument (from 0) has that value, and
/// `NUMBER@ARGUMENT&VALUE:ERRNO`, when it has one of these bits.
fn without(arguments: &[OsString]) -> ExitCode {
    use nix::libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter, sock_fprog};
    use nix::libc::{ENOSYS, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO};
    use std::os::unix::process::CommandExt;

    let instruction = |code: u32, jt: u8, jf: u8, k: u32| sock_filter { code: code as u16, jt, jf, k };
    // Offsets in struct seccomp_data: nr is first, the arguments start at 16; of each the low half, on a little-endian machine.
    let load = |offset: u32| instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
    let equal = |value: u32, skip: u8| instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, skip, value);
    let answer = |errno: u32| instruction(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | errno);
    let number = |text: &str| -> u32 { text.parse().unwrap_or_else(|_| panic!("{text} is no number")) };
    let mut filter = Vec::new();
    for call in arguments[0].to_str().expect("UTF-8").split(',') {
        let (what, errno) = call.split_once(':').map_or((call, ENOSYS as u32), |(what, errno)| (what, number(errno)));
        match what.split_once('@') {
            None => filter.extend([load(0), equal(number(what), 1), answer(errno)]),
            Some((call, condition)) => {
                let (argument, value, compare) = match condition.split_once('&') {
                    Some((argument, bits)) => (argument, bits, BPF_JSET),
                    None => {
                        condition.split_once('=').map(|(argument, value)| (argument, value, BPF_JEQ)).expect("= or &")
                    }
                };
                let matches = instruction(BPF_JMP | compare | BPF_K, 0, 1, number(value));
                let load_argument = load(16 + 8 * number(argument));
                filter.extend([load(0), equal(number(call), 3), load_argument, matches, answer(errno)]);
            }
        }
    }
    filter.push(instruction(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW));
    let program = sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its instructions live through the calls.
    let installed = unsafe {
        nix::libc::prctl(nix::libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && nix::libc::syscall(nix::libc::SYS_seccomp, nix::libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
                == 0
    };
    assert!(installed, "seccomp: {}", std::io::Error::last_os_error());
    panic!("exec: {}", Command::new(&arguments[1]).args(&arguments[2..]).exec());
}

/// Processes that come and go as fast as they can: children that nobody waits for, some in namespaces of their own.
fn churn() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.expect("signal");
    let lifeline = std::thread::spawn(|| ready(""));
    let mut round = 0u32;
    while !lifeline.is_finished() {
        round = round.wrapping_add(1);
        // SAFETY: the child makes only calls that are safe after a fork of a process with threads: unshare, nanosleep, _exit.
        match unsafe { nix::libc::fork() } {
            0 => unsafe {
                // SAFETY: as above.
                if round.is_multiple_of(4) {
                    nix::libc::unshare(nix::libc::CLONE_NEWUTS | nix::libc::CLONE_NEWIPC);
                }
                nix::libc::usleep(round % 7 * 300);
                nix::libc::_exit(0);
            },
            // The limit of processes is reached: let some go.
            -1 => std::thread::yield_now(),
            _ => {}
        }
    }
    let _ = lifeline.join();
}
