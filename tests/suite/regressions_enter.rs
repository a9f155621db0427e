//! What nsx enter once did wrong: each test fails without the change that put it right.
//!
//! Not here: what belongs to a whole group of tests, as signals to `signals.rs`, terminals to `terminals.rs`, hostile targets to
//! `hostile_enter.rs`, frozen ones to `cgroups.rs`. See signal(7), proc_pid_exe(5), pty(7), ld.so(8).

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::harness::enter::{Target, just_these};
use super::harness::processes::{marked, state};
use super::harness::terminal::Terminal;
use super::harness::{Module, Need, Place, Test, child_of, fails, held::Held, inode_of, nsx, output, test, text};

const TREE: &[Need] = &[Need::Root, Need::Tool("mount")];
const FUSE: &[Need] = &[Need::Root, Need::KernelModule("fuse"), Need::File("/dev/fuse")];

pub fn module() -> Module {
    let tests = vec![
        test("regressions_enter::a_caller_that_ignores_the_end_of_children", &[], children_ignored),
        test("regressions_enter::a_terminal_after_such_a_caller", &[], children_ignored_on_terminal),
        test("regressions_enter::nsx_is_not_executed_in_place_of_the_command", TREE, own_program),
        test("regressions_enter::a_terminal_that_nobody_reads", &[], unread_terminal),
        test("regressions_enter::tools_follow_no_link_of_the_targets", &[Need::Root], links_of_the_target),
        test("regressions_enter::the_targets_environment_names_no_programs_of_the_hosts", &[Need::Root], programs),
        test("regressions_enter::a_stub_that_hangs", FUSE, hanging_stub),
        test("regressions_enter::a_stub_that_hangs_on_a_terminal", FUSE, hanging_stub_on_terminal),
        test("regressions_enter::a_target_without_its_option", &[], forgotten_option),
        test("regressions_enter::folders_that_tools_cannot_take", &[], tools_folders),
        test("regressions_enter::a_namespace_is_the_target", &[], namespace_as_target),
        test("regressions_enter::a_thread_is_the_target", &[], thread_as_target),
    ];
    let tests = tests.into_iter().map(Test::sparingly_in_vm).collect();
    Module { name: "regressions_enter", places: &[Place::Vm], tests }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    folder
}

/// So long something may take that is over at once, or in a second or two where nsx gives up on others.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for the end of a child, which is killed if it takes too long.
fn end_of(child: &mut Child, what: &str) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it never ended: {what}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a command that may not come to an end by itself, and returns how it ended, and what it printed.
fn finish(command: &mut Command) -> (ExitStatus, String, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a command");
    let status = end_of(&mut child, &format!("{command:?}"));
    let done = child.wait_with_output().expect("its output");
    (status, text(&done.stdout), text(&done.stderr))
}

/// Waits until a process has been waiting for a while. As long as it has any work it is seen to run now and then.
fn until_idle(pid: u32) {
    let begin = Instant::now();
    let mut seen = 0;
    while seen < 30 {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never waits: {pid}, {:?}", state(pid));
        seen = if matches!(state(pid), Some('S' | 'D')) { seen + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Lets a command start with SIGCHLD ignored, as `env --ignore-signal=CHLD` does, or not.
fn with_children(command: &mut Command, ignored: bool) -> &mut Command {
    // SAFETY: between fork and exec only signal(2) is called.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGCHLD, if ignored { libc::SIG_IGN } else { libc::SIG_DFL });
            Ok(())
        })
    }
}

/// Returns which signals are ignored, by a line of `/proc/PID/status`. 32 and 33 are the C library's own: its posix_spawn(3) leaves them
/// ignored in whatever it starts (seen with glibc 2.36).
fn ignored_in(line: &str) -> u64 {
    let mask = line.split_whitespace().last().expect("a mask");
    u64::from_str_radix(mask, 16).expect("a number") & !(0b11 << 31)
}

fn children_ignored() {
    let target = Target::start(&["enter-target", "mnt,net,pid,uts"]);
    let all = [&[][..], &["-a"], &["--timeout=1000"]];
    let some = [&["-p"][..], &["-m"], &["-n"], &["-n", "--timeout=1000"]];
    let is_root = nix::unistd::geteuid().is_root();
    for options in all.into_iter().chain(some.into_iter().filter(|_| is_root)) {
        let enter = || {
            let mut command = nsx(&["enter", "-t", &target.1]);
            command.args(options);
            command
        };
        for ignored in [true, false] {
            let (status, _, error) = finish(with_children(&mut enter(), ignored).args(["sh", "-c", "exit 7"]));
            assert_eq!(status.code(), Some(7), "{options:?}, {ignored}: {error}");
            // It is as much the command's as it is without nsx.
            let look = ["grep", "SigIgn", "/proc/self/status"];
            let done = output(with_children(&mut enter(), ignored).args(look));
            let without = output(with_children(&mut Command::new("env"), ignored).args(look));
            let seen = ignored_in(&text(&done.stdout));
            let error = text(&done.stderr);
            assert_eq!(seen, ignored_in(&text(&without.stdout)), "{options:?}, {ignored}: {error}");
            assert_eq!(seen >> (libc::SIGCHLD - 1) & 1 == 1, ignored, "{options:?}: {seen:x}");
        }
    }
}

fn children_ignored_on_terminal() {
    let target = Target::start(&["enter-target", "mnt,net,pid,uts"]);
    let enter = |command: &[&str]| {
        let mut nsx = nsx(&["enter", "-t", &target.1, "-a"]);
        Terminal::start(with_children(nsx.args(command), true)).end()
    };
    assert_eq!(enter(&["sh", "-c", "exit 7"]).0.code(), Some(7));
    // Not by a shell, which may change it for its own children.
    let look = ["grep", "SigIgn", "/proc/self/status"];
    let without = output(with_children(&mut Command::new("env"), true).args(look));
    assert_eq!(ignored_in(&enter(&look).1), ignored_in(&text(&without.stdout)));
}

/// Makes a root directory with the programs of the host and the host's `/proc`, and starts a target in it that shares the pid namespace.
fn beside_the_host(root: &Path) -> Target {
    for folder in ["usr", "proc", "dev"] {
        std::fs::create_dir(root.join(folder)).expect("a folder");
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name)).expect("a link");
    }
    let path = root.display();
    let setup = format!("setup=for each in usr proc dev; do mount --rbind /$each '{path}'/$each; done");
    Target::start(&["enter-target", "mnt,uts", &setup, &format!("root={path}")])
}

/// `/proc/self/exe` is the program that executes: with `-F` that was nsx, in the target's root directory.
fn own_program() {
    let place = folder();
    let target = beside_the_host(place.path());
    symlink("/proc/self/exe", place.path().join("link")).expect("a link");
    std::fs::write(place.path().join("script"), "#!/proc/self/exe --version\n").expect("a script");
    std::fs::set_permissions(place.path().join("script"), PermissionsExt::from_mode(0o755)).expect("chmod");
    for options in [&["-F"][..], &["-F", "-a"], &["-F", "-u", "-r"], &[]] {
        let run = |command: &[&str]| {
            let mut command_line = nsx(&["enter", "-t", &target.1]);
            // No command is a shell.
            command_line.args(options).args(command).env("SHELL", "/link").env("PATH", "/nsx-test-none:/:/bin");
            finish(&mut command_line)
        };
        // Others can be executed there.
        let (status, out, error) = run(&["sh", "-c", "echo runs; exit 3"]);
        assert_eq!((status.code(), out.as_str()), (Some(3), "runs\n"), "{options:?}: {error}");
        for command in
            [&["/link", "--version"][..], &["link", "--version"], &["/script"], &["script"], &["/link", "--help"], &[]]
        {
            let (status, out, error) = run(command);
            assert!(!status.success() && out.is_empty(), "{options:?} {command:?}: {status}: {out}{error}");
            assert!(!error.contains("Usage:"), "{options:?} {command:?}: {error}");
        }
        let (status, _, error) = run(&["/nsx-test-none"]);
        assert!(status.code() == Some(127) && error.contains("/nsx-test-none"), "{options:?}: {status}: {error}");
    }
}

/// Both terminals are full, and whoever wants to show the rest waits for a reader who does not come.
fn unread_terminal() {
    let target = Target::start(&["enter-target", "mnt,net,pid,uts"]);
    for (count, number) in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT].into_iter().enumerate() {
        let mark = format!("nsx-test-{}-{count}", std::process::id());
        let mut terminal = Terminal::start(&mut nsx(&["enter", "-t", &target.1, "-a", "yes", &mark]));
        let nsx = terminal.child.id();
        let is_command = |pid: &u32| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            arguments.starts_with(b"yes\0")
        };
        let begin = Instant::now();
        let command = loop {
            if let Some(command) = marked(&mark).into_iter().find(is_command) {
                break command;
            }
            assert!(begin.elapsed() < PATIENCE, "the command never runs");
        };
        until_idle(command);
        until_idle(nsx);
        kill(Pid::from_raw(nsx as i32), number).expect("nsx is there");
        let status = end_of(&mut terminal.child, "nsx");
        assert_eq!(status.signal(), Some(number as i32), "{status}");
        assert_eq!(terminal.settings(), terminal.before, "{number}");
        let begin = Instant::now();
        while !marked(&mark).is_empty() {
            assert!(begin.elapsed() < PATIENCE, "{number}: somebody is left");
        }
    }
}

/// The target's `/dev` and `/proc` are folders with links that lead, from where the host's programs look, to a file of the host's.
fn links_of_the_target() {
    const KEPT: &str = "canary";
    let place = folder();
    let canary = place.path().join("canary");
    std::fs::write(&canary, KEPT).expect("a file");
    std::fs::set_permissions(&canary, PermissionsExt::from_mode(0o666)).expect("chmod");
    let root = place.path().join("root");
    let links = ["dev/null", "dev/tty", "proc/sys/net/foo", "proc/self/status", "sys/kernel/foo", "mnt/foo"];
    for link in links {
        let link = root.join(link);
        std::fs::create_dir_all(link.parent().expect("a folder")).expect("folders");
        symlink(&canary, link).expect("a link");
    }
    let target = Target::start(&["enter-target", "ipc,mnt,net,pid,uts", &format!("root={}", root.display())]);
    let elsewhere = folder();
    let option = format!("--tools={}", elsewhere.path().display());
    for (option, shown) in [("--tools", Path::new("/mnt")), (&option, elsewhere.path())] {
        let writes = "for each in /dev/null /proc/sys/net/foo /sys/kernel/foo; do (echo overwritten >$each) || :; done";
        let looks = "test -c /dev/null; test ! -L /dev/null; test ! -e /proc/sys/net/foo; test ! -e /sys/kernel/foo
            grep -q ^Pid: /proc/self/status; test -L \"$0/dev/null\"; readlink /proc/self/ns/pid";
        let mut command = nsx(&["enter", "-t", &target.1, option, "sh", "-ec"]);
        command.arg(format!("{writes}\n{looks}")).arg(shown).current_dir("/");
        let done = output(&mut command);
        let (seen, error) = (text(&done.stdout), text(&done.stderr));
        assert_eq!(std::fs::read_to_string(&canary).expect("the canary"), KEPT, "{option}: {error}");
        assert_eq!(done.status.code(), Some(0), "{option}: {error}");
        // It is a /proc of the target's pid namespace all the same.
        assert_eq!(format!("pid {}", seen.trim_end()), target.namespace("pid"), "{option}");
    }
}

/// The files are the host's, and what says where programs and their parts are found has to fit them.
fn programs() {
    let place = folder();
    let fake = place.path().join("id");
    std::fs::write(&fake, "#!/bin/sh\necho fake\n").expect("a script");
    std::fs::set_permissions(&fake, PermissionsExt::from_mode(0o755)).expect("chmod");
    let own = std::env::var("PATH").expect("a PATH");
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.arg("fixture").args(["enter-target", "mnt,net"]).env("PATH", format!("{}:{own}", place.path().display()));
    // One that does no harm where it is loaded.
    command.env("LD_PRELOAD", "libc.so.6").env("NSX_TEST_HARMLESS", "x");
    let held = Held::start_command(&mut command);
    let pid = held.number(0).to_string();
    for options in [&["-n", "-e"][..], &["-n", "-e", "--timeout=1000"], &["-n", "-e", "-F"], &["--tools", "-e"]] {
        let enter = |command: &[&str]| {
            let done = output(nsx(&["enter", "-t", &pid]).args(options).args(command));
            assert_eq!(done.status.code(), Some(0), "{options:?} {command:?}: {}", text(&done.stderr));
            text(&done.stdout)
        };
        assert_eq!(enter(&["id", "-u"]), "0\n", "{options:?}");
        let script = "id -u; echo \"$PATH\"; echo \"${LD_PRELOAD-none}\"; echo \"$NSX_TEST_HARMLESS\"";
        assert_eq!(enter(&["sh", "-c", script]), format!("0\n{own}\nnone\nx\n"), "{options:?}");
    }
    // Where the files are the target's, so is all of it.
    let done = output(&mut nsx(&["enter", "-t", &pid, "-e", "id", "-u"]));
    assert_eq!(text(&done.stdout), "fake\n", "{}", text(&done.stderr));
}

/// A folder on which, in the mount namespace of a fixture, is a FUSE file system whose server says nothing any more.
fn silent_folder() -> (Held, tempfile::TempDir, PathBuf) {
    let place = folder();
    let path = place.path().to_owned();
    (Held::start(&["fuse-above-mount", path.to_str().expect("UTF-8")]), place, path)
}

/// Returns the child of a process, whatever its name, as soon as there is one.
fn any_child_of(parent: u32) -> u32 {
    let begin = Instant::now();
    let is_child = |pid: &u32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        ::nsx::proc::parse::stat(&stat).is_some_and(|stat| stat.ppid.0 == parent)
    };
    loop {
        let processes = std::fs::read_dir("/proc").expect("/proc");
        let mut pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        if let Some(child) = pids.find(is_child) {
            return child;
        }
        assert!(begin.elapsed() < PATIENCE, "{parent} has no child");
    }
}

/// A process that hangs in the kernel does not even die of SIGKILL; whoever waits for its end waits for the server.
fn hanging_stub() {
    let (held, _place, path) = silent_folder();
    for (signal, options) in
        [(Signal::SIGTERM, &[][..]), (Signal::SIGINT, &["-m"]), (Signal::SIGHUP, &["--timeout=1000"])]
    {
        let mut command = nsx(&["enter", "-t", &held.pid().to_string()]);
        command.args(options).arg("-W").arg(&path).arg("true");
        with_default_signals(&mut command);
        let mut nsx = command.spawn().expect("nsx");
        until_idle(any_child_of(nsx.id()));
        assert!(nsx.try_wait().expect("a child").is_none(), "{options:?}: nothing hangs");
        kill(Pid::from_raw(nsx.id() as i32), signal).expect("nsx is there");
        let status = end_of(&mut nsx, "nsx");
        assert_eq!(status.signal(), Some(signal as i32), "{options:?}: {status}");
    }
    // Nor is it waited for when the time of the command is over that never came.
    let mut command = nsx(&["enter", "-t", &held.pid().to_string(), "--timeout=0.3", "-W"]);
    let mut nsx = command.arg(&path).arg("true").spawn().expect("nsx");
    assert_eq!(end_of(&mut nsx, "nsx").code(), Some(124));
}

/// A test that runs in the background of a shell has these ignored.
fn with_default_signals(command: &mut Command) {
    // SAFETY: between fork and exec only signal(2) is called.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGHUP] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
}

fn hanging_stub_on_terminal() {
    let (held, _place, path) = silent_folder();
    let mut command = nsx(&["enter", "-t", &held.pid().to_string(), "-W"]);
    let mut terminal = Terminal::start(command.arg(&path).arg("true"));
    let nsx = terminal.child.id();
    until_idle(any_child_of(child_of(nsx)));
    kill(Pid::from_raw(nsx as i32), Signal::SIGTERM).expect("nsx is there");
    let status = end_of(&mut terminal.child, "nsx");
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "{status}");
    assert_eq!(terminal.settings(), terminal.before);
}

fn forgotten_option() {
    for arguments in
        [&["enter", "4242", "id"][..], &["enter", "4242"], &["enter", "-a", "1"], &["enter", "-n", "4242", "id"]]
    {
        let error = fails(arguments, 2);
        assert!(error.contains("-t PID"), "{arguments:?}: {error}");
    }
    // A file says enough, and a command may have any name.
    let done = output(nsx(&["enter", "--uts=/proc/self/ns/uts", "4242"]).env("PATH", "/usr/bin:/bin"));
    assert_eq!(done.status.code(), Some(127), "{}", text(&done.stderr));
}

/// What would be covered is what the host's programs need.
fn tools_folders() {
    let folders = ["/", "//", "/.", "/dev", "/dev/", "/dev/x", "//dev", "/./dev", "/proc", "/proc/sys", "/sys/x"];
    for path in folders.into_iter().chain(["relative", "./mnt", "", "/..", "/mnt/../dev", "/mnt/.."]) {
        let error = fails(&["enter", "-t", "self", &format!("--tools={path}"), "true"], 2);
        assert!(error.contains("--tools"), "{path}: {error}");
    }
}

/// Returns the kinds that a command is in with a fixture that has one of its own: an ordinary user's is in a user namespace, too.
fn and_user(kind: &'static str) -> Vec<&'static str> {
    if nix::unistd::geteuid().is_root() { vec![kind] } else { vec![kind, "user"] }
}

/// Enters it, and returns the namespaces that the command is in.
fn namespaces(target: &str) -> String {
    let own = std::env::current_exe().expect("this test");
    let mut command = nsx(&["enter", "-t", target]);
    let done = output(command.arg(own).args(["fixture", "look", "namespaces"]));
    assert_eq!(done.status.code(), Some(0), "{target}: {}", text(&done.stderr));
    text(&done.stdout)
}

fn namespace_as_target() {
    for kind in ["net", "uts", "ipc"] {
        let target = Target::start(&["process", kind]);
        let inode = inode_of(target.1.parse().expect("a pid"), kind);
        let name = format!("{kind}:[{inode}]");
        assert_eq!(target.0.words[1], name);
        for form in [&name, &inode.to_string(), &target.file(kind), &target.1] {
            just_these(&namespaces(form), &target, &and_user(kind));
        }
    }
}

/// Its process is not in the namespace, so there is no pidfd that leads there.
fn thread_as_target() {
    let held = Held::start(&["thread", "uts"]);
    let (thread, process) = (held.words[0].clone(), held.pid());
    assert_ne!(thread, process.to_string());
    let target = Target(held, thread);
    assert_ne!(target.namespace("uts"), format!("uts uts:[{}]", inode_of(process, "uts")));
    let name = target.namespace("uts");
    for form in [target.1.clone(), name["uts ".len()..].to_owned(), target.file("uts")] {
        just_these(&namespaces(&form), &target, &and_user("uts"));
    }
}
