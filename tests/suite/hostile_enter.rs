//! Targets that attack whoever enters them, and what must not come in with nsx: its program, its files, the caller's terminal.
//!
//! The attackers are in `harness/fixture/attack.rs`. What a target's names do to a terminal is in `hostile.rs`.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::libc;

use super::harness::{Module, Need, Place, held::Held, nsx, nsx_path, output, test, text};

const TREE: &[Need] = &[Need::Root, Need::Tool("mount")];

pub fn module() -> Module {
    let tests = vec![
        test("hostile_enter::no_descriptor_comes_along", &[], no_descriptors),
        test("hostile_enter::descriptors_that_are_to_come_along", &[], kept_descriptors),
        test("hostile_enter::the_program_is_out_of_reach", &[Need::Root], program),
        test("hostile_enter::a_shell_that_is_a_script_for_nsx", TREE, shell_script),
        test("hostile_enter::a_shell_that_is_nsx", TREE, shell_symlink),
        test("hostile_enter::a_working_directory_that_leads_out", TREE, working_directory),
        test("hostile_enter::a_command_cannot_type_into_the_callers_terminal", &[], terminal),
        test("hostile_enter::closed_descriptors_harm_nothing", &[], closed_descriptors),
        test("hostile_enter::an_environment_that_loads_files", &[], environment),
        test(
            "hostile_enter::the_callers_ids_stay_outside",
            &[Need::Root, Need::Tool("unshare"), Need::Tool("setpriv")],
            ids_stay_outside,
        ),
    ];
    Module { name: "hostile_enter", places: &[Place::Vm], tests }
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder")
}

/// Once nsx stands by, once it becomes the command. Only root may leave out the user namespace of a rootless target.
fn both_ways() -> Vec<Vec<&'static str>> {
    let all = vec![vec![], vec!["-a"]];
    let root = vec![vec!["-p", "-m"], vec!["-p"], vec!["-n"], vec!["-n", "--timeout=1000"]];
    if nix::unistd::geteuid().is_root() { [all, root].concat() } else { all }
}

/// What this test binary sees as a command.
fn look(command: &mut Command, what: &str) -> Output {
    output(command.arg(std::env::current_exe().expect("this test")).args(["fixture", "look", what]))
}

/// Lets a command inherit fifty descriptors of all sorts, the numbers 40 and 900 among them.
fn inherit_much(command: &mut Command) {
    // SAFETY: between fork and exec only calls are made that are safe there: open(2), socket(2), pipe(2), dup2(2).
    unsafe {
        command.pre_exec(|| {
            for _ in 0..15 {
                libc::open(c"/".as_ptr(), libc::O_DIRECTORY);
                libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
            }
            for _ in 0..9 {
                libc::pipe([0; 2].as_mut_ptr());
            }
            let folder = libc::open(c"/etc".as_ptr(), libc::O_PATH);
            libc::dup2(folder, 40);
            libc::dup2(folder, 900);
            Ok(())
        });
    }
}

fn no_descriptors() {
    let target = Held::start(&["enter-target", "mnt,net,pid,uts", "proc"]);
    let pid = target.number(0).to_string();
    // So much does a command get that nobody is careful for.
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    inherit_much(command.args(["fixture", "look", "fds"]).stdin(Stdio::null()));
    assert!(text(&output(&mut command).stdout).split_whitespace().count() >= 50);
    for options in both_ways() {
        let mut command = nsx(&["enter", "-t", &pid]);
        inherit_much(command.args(&options));
        let done = look(&mut command, "fds");
        assert_eq!(text(&done.stdout), "0 1 2\n", "{options:?}: {}", text(&done.stderr));
    }
}

fn kept_descriptors() {
    let target = Held::start(&["enter-target", "mnt,net,pid,uts", "proc"]);
    let pid = target.number(0).to_string();
    for options in both_ways() {
        let mut command = nsx(&["enter", "-t", &pid]);
        inherit_much(command.args(&options).args(["--keep-fd", "40", "--keep-fd=900"]));
        let done = look(&mut command, "fds");
        assert_eq!(text(&done.stdout), "0 1 2 40 900\n", "{options:?}: {}", text(&done.stderr));
    }
    // What is not there cannot be kept, and nothing of nsx's own is taken for it.
    for fd in [3, 5, 30] {
        let mut command = nsx(&["enter", "-t", &pid, "--keep-fd", &fd.to_string(), "true"]);
        // SAFETY: between fork and exec only close(2) is called.
        unsafe {
            command.pre_exec(move || {
                libc::close(fd);
                Ok(())
            });
        }
        let done = output(&mut command);
        let error = text(&done.stderr);
        assert!(done.status.code() == Some(125) && error.starts_with("nsx: "), "{fd}: {}: {error}", done.status);
    }
}

/// An nsx of this test's own, which may be destroyed, and a target whose first process waits for it.
struct Trap {
    folder: tempfile::TempDir,
    held: Option<Held>,
}

impl Trap {
    fn set(kinds: &str, options: &[&str]) -> Trap {
        let folder = folder();
        let nsx = folder.path().join("nsx");
        // By another process: a test that forks meanwhile would have the file open for writing, and nobody could run it.
        assert!(Command::new("cp").arg(nsx_path()).arg(&nsx).status().expect("cp").success());
        let data = std::fs::metadata(&nsx).expect("the copy");
        let (device, inode) = (data.dev().to_string(), data.ino().to_string());
        let report = folder.path().join("report");
        let role = ["attack-exe", &device, &inode, report.to_str().expect("UTF-8"), kinds];
        let held = Held::start(&[&role, options].concat());
        Trap { folder, held: Some(held) }
    }

    /// nsx, as it walks into the trap.
    fn enter(&self, options: &[&str]) -> Command {
        let mut command = Command::new(self.folder.path().join("nsx"));
        let pid = self.held.as_ref().expect("a target").number(0).to_string();
        command.args(["enter", "-t", &pid]).args(options).stdin(Stdio::null());
        command
    }

    /// Makes sure that the attacker has seen commands, but never nsx, and that nsx is what it was.
    fn was_escaped(mut self) {
        drop(self.held.take());
        let report = std::fs::read_to_string(self.folder.path().join("report")).expect("a report");
        let counts: Vec<u64> = report.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        let [looks, others, seen] = counts[..] else { panic!("{report}") };
        assert!(looks > 0 && others > 0, "it saw nobody: {report}");
        assert_eq!(seen, 0, "nsx was seen in there");
        let same =
            std::fs::read(self.folder.path().join("nsx")).expect("the copy") == std::fs::read(nsx_path()).expect("nsx");
        assert!(same, "nsx was overwritten");
    }
}

fn program() {
    let trap = Trap::set("ipc,mnt,net,pid,uts", &["proc"]);
    for round in 0..200 {
        let options = [&["-p", "-m"][..], &["-p"], &[], &["-a", "--timeout=1000"]][round % 4];
        let done = output(trap.enter(options).args(["sh", "-c", "exit 3"]));
        assert_eq!(done.status.code(), Some(3), "{options:?}: {}", text(&done.stderr));
    }
    // Nor what cannot be executed, and what nsx does then.
    for _ in 0..20 {
        assert_eq!(output(trap.enter(&["-p", "-m"]).arg("/nsx-test-none")).status.code(), Some(127));
    }
    trap.was_escaped();
}

/// Enters for a shell again and again, by its path and as the one that is taken when no command is named.
fn run_shells(trap: &Trap, path: &str) {
    for _ in 0..20 {
        for command in [&[path, "-c", "exit 3"][..], &[]] {
            let done = output(trap.enter(&[]).args(command).env("SHELL", path));
            // A copy of nsx that runs in there is none of the host's, but it has no right to an end that looks like success.
            assert!(!done.status.success(), "{command:?}: {}", text(&done.stdout));
        }
    }
    // Somebody has to be seen.
    for _ in 0..20 {
        assert_eq!(output(trap.enter(&[]).args(["sleep", "0"])).status.code(), Some(0));
    }
}

fn shell_script() {
    let place = folder();
    let script = place.path().join("script");
    std::fs::write(&script, "#!/proc/self/exe\n").expect("a script");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let setup = format!("setup=mount --bind '{}' /bin/sh", script.display());
    let trap = Trap::set("mnt,pid,uts", &["proc", &setup]);
    run_shells(&trap, "/bin/sh");
    trap.was_escaped();
}

/// Makes a root directory with the programs of the host, and returns it with what a target does to move in.
fn tree(place: &Path) -> (PathBuf, String, String) {
    let root = place.join("tree");
    for folder in ["usr", "proc", "tmp", "dev"] {
        std::fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name)).expect("a link");
    }
    let path = root.display();
    let setup = format!(
        "setup=mount --bind /usr '{path}/usr'; mount -t proc proc '{path}/proc'; mount --bind /dev '{path}/dev'"
    );
    let option = format!("root={path}");
    (root, setup, option)
}

fn shell_symlink() {
    let place = folder();
    let (root, setup, option) = tree(place.path());
    symlink("/proc/self/exe", root.join("shell")).expect("a link");
    let trap = Trap::set("mnt,pid,uts", &[&setup, &option]);
    run_shells(&trap, "/shell");
    trap.was_escaped();
}

fn working_directory() {
    let place = folder();
    let (root, setup, option) = tree(place.path());
    let canary = place.path().join("outside");
    std::fs::create_dir(&canary).expect("a folder");
    std::fs::write(canary.join("canary"), "").expect("a file");
    // The target stands outside of its root, so /proc/1/cwd leads there.
    let mut fixture = Command::new(std::env::current_exe().expect("this test"));
    fixture.args(["fixture", "enter-target", "mnt,pid,uts", &setup, &option, "stay"]).current_dir(&canary);
    let target = Held::start_command(&mut fixture);
    let pid = target.number(0).to_string();
    // Where the caller is, the target has a link.
    let link = root.join(canary.strip_prefix("/").expect("absolute"));
    std::fs::create_dir_all(link.parent().expect("a folder")).expect("folders");
    let descriptors = (3..=16).map(|fd| format!("/proc/self/fd/{fd}"));
    let ways = ["/proc/1/cwd", "/proc/self/cwd", "/proc/thread-self/cwd", "/proc/1/task/1/cwd", "/../../.."];
    for way in descriptors.chain(ways.map(str::to_owned)) {
        let _ = std::fs::remove_file(&link);
        symlink(&way, &link).expect("a link");
        let wdns = format!("--wdns={}", canary.display());
        for options in [&["-t", &pid][..], &["-t", &pid, "-a"], &["-t", &pid, "-m", "-p", "-r"], &["-t", &pid, &wdns]] {
            let mut command = nsx(&["enter"]);
            command.args(options).args(["/bin/sh", "-c", "readlink /proc/self/cwd; test -e canary && echo found"]);
            inherit_much(&mut command);
            let done = output(command.current_dir(&canary));
            let (seen, error) = (text(&done.stdout), text(&done.stderr));
            if done.status.code() == Some(125) {
                // To refuse a way is right as well, if it was asked for.
                assert!(options.contains(&wdns.as_str()) && error.starts_with("nsx: "), "{way} {options:?}: {error}");
                continue;
            }
            let cwd = seen.lines().next().unwrap_or_default();
            assert!(cwd.starts_with('/') && !cwd.contains("nsx-test-"), "{way} {options:?}: {seen} {error}");
            assert!(!seen.contains("found"), "{way} {options:?}: {seen}");
        }
    }
}

/// A terminal: the end of who looks at it, and that of the programs.
fn terminal_pair() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: both numbers live through the call, and nothing else is given.
    let opened = unsafe { libc::openpty(&raw mut master, &raw mut slave, name, settings, size) };
    assert_eq!(opened, 0, "openpty: {}", std::io::Error::last_os_error());
    // SAFETY: both were just opened, and nobody else owns them.
    let pair = unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    for end in [&pair.0, &pair.1] {
        // SAFETY: the call takes numbers.
        unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    pair
}

/// Says whether anything waits to be read.
fn is_readable(end: &OwnedFd) -> bool {
    let mut asked = libc::pollfd { fd: end.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the structure lives through the call.
    unsafe { libc::poll(&raw mut asked, 1, 0) == 1 && asked.revents & libc::POLLIN != 0 }
}

/// Runs a command on a terminal that is its own, and returns what was shown, and whether something is typed there that nobody typed.
fn on_terminal(command: &mut Command) -> (String, bool) {
    use std::io::Read;
    let (master, slave) = terminal_pair();
    let stdio = || Stdio::from(slave.try_clone().expect("a copy"));
    command.stdin(stdio()).stdout(stdio()).stderr(stdio());
    // SAFETY: between fork and exec only setsid(2) and ioctl(2) are called.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let status = command.spawn().expect("a command").wait().expect("its end");
    let mut shown = Vec::new();
    let mut screen = std::fs::File::from(master.try_clone().expect("a copy"));
    while is_readable(&master) {
        let mut part = [0; 4096];
        let length = screen.read(&mut part).expect("a terminal");
        shown.extend_from_slice(&part[..length]);
    }
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(status.success(), "{status}: {shown}");
    (shown, is_readable(&slave))
}

fn terminal() {
    let own = std::env::current_exe().expect("this test");
    let attack = |command: &mut Command| on_terminal(command.arg(&own).args(["fixture", "tiocsti"]));
    // Who may type into their own terminal sees by this that the attack works; nobody but root may where the kernel says no
    // (dev.tty.legacy_tiocsti, Linux 6.2).
    let (shown, typed) = attack(&mut Command::new("env"));
    let allowed = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").map_or(true, |value| value.trim() == "1");
    assert!(typed || !(allowed || nix::unistd::geteuid().is_root()), "{shown}");
    let target = Held::start(&["enter-target", "ipc,mnt,net,pid,uts", "proc"]);
    let pid = target.number(0).to_string();
    for options in both_ways() {
        if options.first() == Some(&"-n") {
            // nsx has become the command, and stays in the caller's session as nsenter does.
            continue;
        }
        let mut command = nsx(&["enter", "-t", &pid]);
        let (shown, typed) = attack(command.args(&options));
        assert!(shown.contains("0 "), "the command has run: {options:?}: {shown}");
        assert!(!typed, "{options:?}: {shown}");
    }
}

fn closed_descriptors() {
    let target = Held::start(&["enter-target", "mnt,net,pid,uts", "proc"]);
    let pid = target.number(0).to_string();
    let folder = folder();
    let seen = folder.path().join("seen");
    let script = "exec 9>\"$0\"
        for fd in 0 1 2; do test -e /proc/$$/fd/$fd || test -L /proc/$$/fd/$fd || { echo closed >&9; continue; }
        (readlink /proc/$$/fd/$fd >&9); done; exit 7";
    for options in both_ways() {
        for closed in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]] {
            let mut command = nsx(&["enter", "-t", &pid]);
            command.args(&options).args(["sh", "-c", script]).arg(&seen);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            // SAFETY: between fork and exec only close(2) is called.
            unsafe {
                command.pre_exec(move || {
                    for &fd in closed {
                        libc::close(fd);
                    }
                    Ok(())
                });
            }
            let done = output(&mut command);
            assert_eq!(done.status.code(), Some(7), "{options:?} without {closed:?}: {}", text(&done.stderr));
            let links = std::fs::read_to_string(&seen).expect("what it saw");
            for (fd, link) in (0..).zip(links.lines()) {
                // What was closed is so, or nowhere; it is nothing that nsx has opened for itself.
                let expected = if closed.contains(&fd) {
                    matches!(link, "closed" | "/dev/null")
                } else {
                    link.starts_with("pipe:")
                };
                assert!(expected, "{options:?} without {closed:?}: {fd} is {link}");
            }
            assert_eq!(links.lines().count(), 3, "{options:?} without {closed:?}: {links}");
        }
    }
}

/// Variables that make the caller's own programs load files are not taken over; the rest of an environment is.
fn environment() {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    let command = command.arg("fixture").args(["enter-target", "net"]);
    let names = ["LD_NSX", "GLIBC_TUNABLES", "BASH_ENV", "ENV", "NSX_TEST_HARMLESS"];
    let held = Held::start_command(command.envs(names.map(|name| (name, "x"))));
    let pid = held.number(0).to_string();
    for (option, taken) in [("-n", &names[4..]), ("-a", &names[4..])] {
        let out = output(&mut nsx(&["enter", "-t", &pid, option, "--no-cgroup", "-e", "/usr/bin/env"]));
        let seen = text(&out.stdout);
        for name in names {
            let is_there = seen.lines().any(|line| line == format!("{name}=x"));
            assert_eq!(is_there, taken.contains(&name), "{option} {name}: {seen}{}", text(&out.stderr));
        }
    }
}

/// In a user namespace that does not map root, root's command has neither its ids nor its groups: whoever traces it there would have them.
fn ids_stay_outside() {
    let start = |maps: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=12345", "--regid=12345", "--clear-groups", "unshare", "-U"]).args(maps);
        Held::start_command(command.args(["sh", "-c", "echo ready $$; read line"]))
    };
    let mapped = start(&["--map-user=12345", "--map-group=12345"]);
    let root = start(&["--map-root-user"]);
    let nobody = start(&[]);
    let groups_of_root = |command: &mut Command| {
        // SAFETY: between fork and exec only one system call is made.
        unsafe { command.pre_exec(|| Ok(nix::unistd::setgroups(&[6.into(), 42.into()])?)) };
        output(command)
    };
    // Ids as they count outside: seen from there.
    let ids = |held: &Held| {
        let script = "grep -E '^(Uid|Gid|Groups):' /proc/self/status";
        let pid = held.words[0].clone();
        let mut command = nsx(&["enter", "-t", &pid, "--no-cgroup", "sh", "-c", script]);
        let out = groups_of_root(&mut command);
        (out.status.code(), text(&out.stdout).split_whitespace().collect::<Vec<_>>().join(" "), text(&out.stderr))
    };
    let (code, seen, errors) = ids(&mapped);
    assert_eq!(
        (code, &*seen),
        (Some(0), "Uid: 12345 12345 12345 12345 Gid: 12345 12345 12345 12345 Groups:"),
        "{errors}"
    );
    let (code, seen, errors) = ids(&root);
    assert_eq!((code, &*seen), (Some(0), "Uid: 0 0 0 0 Gid: 0 0 0 0 Groups:"), "{errors}");
    let (code, _, errors) = ids(&nobody);
    assert_eq!(code, Some(125));
    assert!(errors.contains("has no gid for the command: it maps neither 0, nor the caller's"), "{errors}");
    assert!(errors.contains("hint: -G GID names one that it maps"), "{errors}");
}
