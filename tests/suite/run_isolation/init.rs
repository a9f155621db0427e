//! The first process of a sandbox, which is nsx's: its memory, its files, its program (CVE-2019-5736, CVE-2016-9962); and processes of the
//! host.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use super::place::{self, Caller, Live, PROBE, Said, callers, finish, folder, probe, run_as, suite};
use crate::harness::held::Held;
use crate::harness::{Test, nsx_path, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("run_isolation::the_first_process_is_out_of_reach", &[], first_process),
        test("run_isolation::the_program_of_nsx_is_never_inside", &[], program),
        test("run_isolation::a_command_that_is_its_callers_program_is_none_of_nsx", &[], own_program),
        test("run_isolation::processes_of_the_host_are_out_of_reach", &[], processes),
        test("run_isolation::a_sandbox_outlives_a_kill_of_its_first_process_from_inside", &[], killed),
    ]
}

fn first_process() {
    let mut ways = place::all_ways();
    for caller in callers() {
        ways.push((caller, vec!["--cap-add", "ALL", "--seccomp", "none", "--unmask", "--allow-new-privs"]));
        ways.push((caller, vec!["--cap-add", "SYS_PTRACE,DAC_READ_SEARCH"]));
        ways.push((caller, vec!["--userns", "keep", "--cap-add", "ALL"]));
    }
    if place::is_root() {
        ways.push((Caller::Root, vec!["--user", "1000"]));
    }
    for (caller, options) in ways {
        let said = probe(caller, &options, &["init"]);
        // The signals that it has no handler for are not delivered.
        for what in ["attach", "seize", "read-memory", "write-memory", "pidfd-setns", "kcmp"] {
            said.is(what, &["EPERM"]);
        }
        if !(caller == Caller::Root && options.contains(&"keep")) {
            // To who is root outside, as was asked for, the kernel tells the numbers of its descriptors, and no more.
            said.is("fd", &["EACCES"]);
        }
        said.is("exe.link", &["EACCES"]);
        for file in ["mem", "environ", "exe", "root", "cwd", "fd", "maps", "pagemap", "auxv", "syscall", "io", "ns"] {
            let start = format!("{file}{}", if matches!(file, "fd" | "ns") { "/" } else { "." });
            said.all(&start, &["EACCES", "EPERM", "nothing", "ENOENT"]);
        }
        for (what, result) in said.iter() {
            assert!(
                !what.starts_with("take-descriptor") || result != "ok",
                "{caller:?} {options:?}: {what} is {result}"
            );
        }
        said.is("mem.write", &["EACCES"]);
        said.is("exe.path", &["EACCES"]);
    }
}

/// An nsx of this test's own, which may be destroyed.
struct Own {
    _folder: tempfile::TempDir,
    path: String,
    before: (u64, u64, Vec<u8>),
}

impl Own {
    fn new() -> Own {
        let folder = folder();
        let nsx = folder.path().join("nsx");
        // By another process: a test that forks meanwhile would have the file open for writing, and nobody could run it.
        assert!(Command::new("cp").arg(nsx_path()).arg(&nsx).status().expect("cp").success());
        // Whoever comes to it may write to it.
        std::fs::set_permissions(&nsx, std::fs::Permissions::from_mode(0o777)).expect("chmod");
        let path = nsx.to_str().expect("UTF-8").to_owned();
        let before = state(&path);
        Own { _folder: folder, path, before }
    }

    fn run_as(&self, caller: Caller, options: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(["run", "-v", &format!("{}:{PROBE}:ro", suite())]).args(options);
        place::by(caller, &mut command).stdin(std::process::Stdio::null());
        command
    }

    fn is_what_it_was(&self) {
        assert!(state(&self.path) == self.before, "nsx was overwritten");
    }
}

fn state(path: &str) -> (u64, u64, Vec<u8>) {
    let data = std::fs::metadata(path).expect("nsx");
    (data.dev(), data.ino(), std::fs::read(path).expect("nsx"))
}

fn program() {
    let own = Own::new();
    let (device, inode) = (own.before.0.to_string(), own.before.1.to_string());
    for caller in callers() {
        for options in [&[][..], &["--cap-add", "ALL"], &["--cap-add", "ALL", "--seccomp", "none"], &["--no-init"]] {
            let mut command = own.run_as(caller, options);
            let done = finish(command.args([PROBE, "fixture", "probe", "programs", &device, &inode]));
            let said = Said::parse(&format!("{caller:?} {options:?}"), &done.out);
            said.is("seen", &["0"]);
            said.is("others", &["some"]);
        }
    }
    // Where the host's pid namespace is in sight, it is not in it that the command is.
    let live = Live::start(&mut own.run_as(callers()[0], &[]));
    for pid in [live.stub, live.first] {
        let program = std::fs::metadata(format!("/proc/{pid}/exe")).expect("a program");
        assert_ne!((program.dev(), program.ino()), (own.before.0, own.before.1), "{pid} is nsx");
        let link = std::fs::read_link(format!("/proc/{pid}/exe")).expect("a program");
        assert!(link.starts_with("/memfd:nsx (deleted)"), "{}", link.display());
        // Nobody of the same user looks into it either.
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"));
        assert_eq!(maps.is_ok(), place::is_root(), "{maps:?}");
    }
    live.end();
    own.is_what_it_was();
}

fn own_program() {
    let own = Own::new();
    let place = folder();
    let script = place.path().join("script");
    std::fs::write(&script, "#!/proc/self/exe\n").expect("a script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let shown = format!("{}:/run/script", script.display());
    for caller in callers() {
        for command in [&["/run/script"][..], &["/proc/self/exe"], &["/proc/1/exe"], &["/proc/self/fd/3"]] {
            for _ in 0..5 {
                let done = finish(own.run_as(caller, &["-v", &shown]).args(command).arg("--version"));
                assert!(
                    done.code != Some(0) && !done.out.contains("nsx 0"),
                    "{command:?}: {:?} {}{}",
                    done.code,
                    done.out,
                    done.err
                );
            }
        }
    }
    own.is_what_it_was();
}

fn processes() {
    // It has the ids of the caller, and would hear.
    let held = Held::start(&["process", "uts"]);
    let pid = held.pid().to_string();
    for (caller, options) in place::all_ways() {
        let said = probe(caller, &options, &["signal", &pid]);
        for what in ["kill", "kill-group", "tgkill", "pidfd_open", "ptrace"] {
            said.is(what, &["ESRCH"]);
        }
        said.is("proc", &["ENOENT"]);
    }
    if place::is_root() {
        // Where the pid namespace is the host's, the ids are not.
        for options in [&["--share", "pid"][..], &["--share", "pid", "--cap-add", "ALL"]] {
            let said = probe(Caller::Root, options, &["signal", &pid]);
            for what in ["kill", "tgkill", "ptrace"] {
                said.is(what, &["EPERM"]);
            }
        }
    }
}

fn killed() {
    for caller in callers() {
        let script = "kill -9 1; kill -STOP 1; kill -SEGV 1; kill -9 -1 2>/dev/null; exit 7";
        let done = finish(run_as(caller, &["--cap-add", "ALL"]).args(["sh", "-c", script]));
        assert_eq!(done.code, Some(7), "{caller:?}: {}", done.err);
        // It has the uid of root inside, so limits on its time could be set, which the kernel kills it for.
        let said = probe(caller, &["--cap-add", "ALL"], &["starve"]);
        said.all("", &["EPERM"]);
    }
}
