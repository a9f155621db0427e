//! Descriptors of the caller's, and those of the processes that stand between it and the command (CVE-2016-9962, CVE-2024-21626).

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::libc;

use super::place::{self, Caller, Live, PROBE, Tree, callers, finish, run_as};
use crate::harness::held::Held;
use crate::harness::{Need, Test, inode_of, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("run_isolation::the_command_inherits_the_standard_streams_alone", &[], none),
        test("run_isolation::the_command_inherits_what_was_named", &[], kept),
        test("run_isolation::a_directory_is_no_standard_stream", &[], directories),
        test("run_isolation::the_first_process_holds_nothing_of_the_hosts", &[], first_process),
        test("run_isolation::the_first_process_of_a_limited_sandbox_holds_no_cgroup", &[Need::Root], limited),
    ]
}

/// Lets a command inherit fifty descriptors of all sorts; of those that are given the number 40 is /etc, and 41 a file in memory.
pub fn inherit_much(command: &mut Command) {
    // SAFETY: between fork and exec only calls are made that are safe there: open(2), socket(2), pipe(2), memfd_create(2), dup2(2).
    unsafe {
        command.pre_exec(|| {
            for _ in 0..10 {
                libc::open(c"/".as_ptr(), libc::O_DIRECTORY);
                libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
                libc::open(c"/sys/fs/cgroup".as_ptr(), libc::O_PATH);
                libc::open(c"/proc/self/ns/mnt".as_ptr(), libc::O_RDONLY);
            }
            for _ in 0..5 {
                libc::pipe([0; 2].as_mut_ptr());
            }
            let folder = libc::open(c"/etc".as_ptr(), libc::O_PATH);
            let memory = libc::memfd_create(c"nsx-test".as_ptr(), 0);
            for (fd, number) in [(folder, 40), (folder, 900), (memory, 41)] {
                libc::dup2(fd, number);
            }
            Ok(())
        });
    }
}

fn look(command: &mut Command) -> String {
    inherit_much(command);
    let done = finish(command.args([PROBE, "fixture", "look", "fds"]));
    assert_eq!(done.code, Some(0), "{command:?}: {}", done.err);
    done.out
}

fn ways() -> Vec<(Caller, Vec<&'static str>)> {
    let mut all: Vec<(Caller, Vec<&str>)> = Vec::new();
    for caller in callers() {
        for options in [
            &[][..],
            &["--no-init"],
            &["--cap-add", "ALL"],
            &["--seccomp", "none", "--unmask", "--allow-new-privs"],
            &["--share", "pid,ipc,uts,net,time,cgroup"],
            &["--userns", "keep"],
            &["-v", "/usr/share:/nsx-test-new-top/deep:ro"],
        ] {
            all.push((caller, options.to_vec()));
        }
    }
    if place::is_root() {
        all.push((Caller::Root, vec!["--userns", "host"]));
        all.push((Caller::Root, vec!["--pids", "100"]));
    }
    all
}

fn none() {
    // So much does a command get that nobody is careful for.
    let mut plain = Command::new(place::suite());
    inherit_much(plain.args(["fixture", "look", "fds"]));
    assert!(finish(&mut plain).out.split_whitespace().count() >= 50);
    for (caller, options) in ways() {
        assert_eq!(look(&mut run_as(caller, &options)), "0 1 2\n", "{caller:?} {options:?}");
    }
    let tree = Tree::new();
    for caller in callers() {
        let name = ["--name", "nsx-test-descriptors"];
        assert_eq!(look(&mut run_as(caller, &name)), "0 1 2\n", "{caller:?}");
        assert_eq!(look(&mut tree.run_as(caller, &[])), "0 1 2\n", "{caller:?}");
    }
}

/// A directory would lead out: to what is beside it and above.
fn directories() {
    for caller in callers() {
        for redirection in ["0</usr", "1</usr", "2</usr"] {
            let run = run_as(caller, &["--status-fd", "7"]);
            let mut shell = Command::new("sh");
            shell
                .args(["-c", &format!("exec \"$@\" 7>&1 {redirection}"), "sh"])
                .arg(run.get_program())
                .args(run.get_args());
            let done = finish(place::by(caller, shell.arg("true").stdin(std::process::Stdio::null())));
            assert_eq!(done.code, Some(125), "{caller:?} {redirection}: {done:?}");
            assert!(done.out.contains("a directory leads out of the sandbox"), "{caller:?} {redirection}: {done:?}");
        }
    }
}

fn kept() {
    for (caller, options) in ways() {
        let options = [&["--keep-fd", "41", "--keep-fd=900"][..], &options].concat();
        assert_eq!(look(&mut run_as(caller, &options)), "0 1 2 41 900\n", "{caller:?} {options:?}");
    }
    // What is not there cannot be kept, and nothing of nsx's own is taken for it.
    for fd in ["3", "4", "5", "7", "30"] {
        let done = finish(run_as(callers()[0], &["--keep-fd", fd]).args([PROBE, "fixture", "look", "fds"]));
        assert!(
            done.code == Some(125) && done.err.starts_with("nsx: "),
            "{fd}: {:?} {}{}",
            done.code,
            done.out,
            done.err
        );
    }
}

/// What the descriptors of a process are, but for the standard streams.
fn descriptors(pid: u32) -> Vec<String> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    let entries = folder.map(|entry| entry.expect("an entry"));
    let others = entries.filter(|entry| !matches!(entry.file_name().to_str(), Some("0" | "1" | "2")));
    others.filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.display().to_string())).collect()
}

/// Returns them as soon as they are what is expected; the command may be there before the others have closed what they had for it, and
/// they are out of its reach. After a while, returns them as they are.
fn settled(pid: u32, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
    for _ in 0..500 {
        let held = descriptors(pid);
        if is_so(&held) {
            return held;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    descriptors(pid)
}

/// Neither a file nor a directory nor a namespace.
fn is_wire(descriptor: &str) -> bool {
    ["pipe:", "socket:", "anon_inode:[pidfd]"].iter().any(|kind| descriptor.starts_with(kind))
}

fn first_process() {
    let tree = Tree::new();
    let held = Held::start(&["process", "net"]);
    let net = held.words[0].clone();
    let volume = format!("{}:/tmp/shown", tree.canary.path.display());
    let mut ways = ways();
    ways.retain(|(_, options)| !options.contains(&"--no-init") && !options.contains(&"--pids"));
    let shown = ["-v", &volume, "--tmpfs", "/var/tmp"];
    for caller in callers() {
        ways.push((caller, shown.to_vec()));
        ways.push((caller, vec!["--rootfs", tree.path(), "-v", "/usr:/usr", "-v", &volume, "--tmpfs", "/start"]));
    }
    if place::is_root() {
        ways.push((Caller::Root, vec!["--net", &net]));
    }
    for (caller, options) in ways {
        let mut command = run_as(caller, &options);
        inherit_much(&mut command);
        let live = Live::start(&mut command);
        for (who, pid) in [("first process", live.first), ("stub", live.stub)] {
            let held = settled(pid, |held| held.iter().all(|one| is_wire(one)));
            assert!(held.iter().all(|one| is_wire(one)), "{caller:?} {options:?}: the {who} holds {held:?}");
        }
        for link in ["root", "cwd"] {
            let link = format!("/proc/{}/{link}", live.first);
            assert_eq!(std::fs::read_link(&link).expect("a link"), Path::new("/"), "{link}");
        }
        assert_ne!(inode_of(live.first, "mnt"), inode_of(std::process::id(), "mnt"));
        assert_eq!(inode_of(live.first, "mnt"), inode_of(live.command, "mnt"));
        live.end();
    }
}

fn limited() {
    let live = Live::start(&mut run_as(Caller::Root, &["--pids", "100"]));
    let first = settled(live.first, |held| held.iter().all(|one| is_wire(one)));
    assert!(first.iter().all(|one| is_wire(one)), "the first process holds {first:?}");
    // Outside somebody has to remove the cgroup; that is all that is held for it.
    let is_needed = |one: &String| is_wire(one) || one.starts_with("/sys/fs/cgroup");
    let stub = settled(live.stub, |held| held.iter().all(is_needed));
    assert!(stub.iter().all(is_needed), "the stub holds {stub:?}");
    live.end();
}
