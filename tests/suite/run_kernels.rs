//! What nsx run is for, on each kernel and kind of cgroups that there is: a few runs of everything, for virtual machines too, where the
//! many of `run_life` and `run_isolation` would take too long. The programs that it needs inside are those of any shell.

use std::process::{Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::harness::cgroup::Own;
use super::harness::group::AS_USER;
use super::harness::processes::until_so;
use super::harness::sandbox::cgroups;
use super::harness::{Module, Need, Place, nsx, nsx_path, output, test, text};

pub fn module() -> Module {
    let limits = &[Need::Root, Need::Controller("memory"), Need::Controller("pids")];
    let tests = vec![
        test("run_kernels::everything_is_its_own", &[], isolated),
        test("run_kernels::limits_hold_and_are_seen_inside", limits, limited),
        test("run_kernels::a_limit_of_memory_that_is_reached_is_named", limits, memory),
        test("run_kernels::a_limit_of_tasks_that_is_reached_is_named", limits, tasks),
        test(
            "run_kernels::processor_time_that_is_used_up_is_named",
            &[Need::Root, Need::Controller("cpu")],
            processors,
        ),
        test("run_kernels::killed_it_leaves_nothing", limits, killed),
        test("run_kernels::in_the_background_it_is_found_and_ended", limits, background),
        test("run_kernels::a_kill_removes_what_nobody_else_can", limits, stub_gone),
        test("run_kernels::clocks_are_ahead", &[Need::Root], clocks),
        test("run_kernels::what_is_shown_belongs_to_whom_it_belongs", &[Need::Root], shown),
        test(
            "run_kernels::a_user_with_a_cgroup_of_his_own_has_limits",
            &[Need::Root, Need::Controller("memory"), Need::Controller("pids"), Need::Tool("setpriv")],
            delegated,
        ),
    ];
    Module { name: "run_kernels", places: &[Place::Vm], tests }
}

fn sh(options: &[&str], script: &str) -> Output {
    output(nsx(&["run"]).args(options).args(["--", "sh", "-c", script]))
}

fn lines(done: &Output) -> Vec<String> {
    text(&done.stdout).lines().map(str::to_owned).collect()
}

fn isolated() {
    let script = "id -u; hostname; echo /proc/[0-9]*; touch /etc/nsx-test-x 2>/dev/null || echo read-only; \
                  touch /tmp/x && echo private; grep -E 'NoNewPrivs|^Seccomp:' /proc/self/status; \
                  for kind in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$kind; done; exit 7";
    let done = sh(&["--hostname=box"], script);
    let lines = lines(&done);
    assert_eq!(done.status.code(), Some(7), "{}", text(&done.stderr));
    assert_eq!(lines[..2], ["0", "box"]);
    assert!(lines[2].split(' ').count() <= 3, "{}", lines[2]);
    assert_eq!(lines[3..7], ["read-only", "private", "NoNewPrivs:\t1", "Seccomp:\t2"]);
    for line in &lines[7..] {
        let kind = line.split(':').next().unwrap_or_default();
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        assert_ne!(own, std::path::Path::new(line), "the caller's own");
    }
    assert_eq!(lines.len(), 15);
}

fn limited() {
    let script = "cat /proc/self/cgroup; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max 2>/dev/null; exit 3";
    let done = sh(&["--mem=64M", "--pids=20"], script);
    let lines = lines(&done);
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
    let own = |line: &&String| line.ends_with(":/") || line.ends_with(":/box");
    let of_limits = |line: &&String| line.contains(":memory:") || line.contains(":pids:") || line.starts_with("0::");
    let all = lines.iter().filter(of_limits);
    assert!(all.clone().count() > 0 && all.clone().all(|line| own(&line)), "{lines:?}");
    if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        assert_eq!(lines[lines.len() - 2..], ["67108864", "20"]);
    }
}

fn memory() {
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=100 2>/dev/null";
    let done = sh(&["--mem=32M", "--name=nsx-test-memory"], script);
    let said = text(&done.stderr);
    assert!(
        !done.status.success() && said.contains("OOM killer") && said.contains(": memory."),
        "{}: {said}",
        done.status
    );
    assert!(said.contains("(32M) of nsx-nsx-test-memory was reached"), "{said}");
}

fn tasks() {
    let done = sh(&["--pids=5"], "for i in 1 2 3 4 5 6; do sleep 1 & done; wait");
    assert!(text(&done.stderr).contains("a task could not be made"), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("pids.max"), "{}", text(&done.stderr));
}

fn processors() {
    let done = sh(&["--cpus=0.1", "--timeout=1.5"], "while :; do :; done");
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(124), "{said}");
    assert!(said.contains("throttled in ") && said.contains("cpu.max (0.1)"), "{said}");
}

fn killed() {
    let mut command = nsx(&["run", "--mem=64M", "--name=nsx-test-killed", "sh", "-c", "echo there; exec sleep 1000"]);
    let mut nsx = command.stdout(Stdio::piped()).spawn().expect("nsx");
    let mut reader = std::io::BufReader::new(nsx.stdout.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).expect("a line");
    assert_eq!(line, "there\n");
    assert!(!cgroups("nsx-test-killed").is_empty());
    kill(Pid::from_raw(nsx.id() as i32), Signal::SIGKILL).expect("it runs");
    nsx.wait().expect("a child");
    // The end of the command closes the pipe.
    std::io::Read::read_to_string(&mut reader, &mut line).expect("a pipe");
    until_so("the end of the cgroups", || cgroups("nsx-test-killed").is_empty());
}

fn background() {
    let done = sh(&["-d", "--name=nsx-test-background", "--pids=20"], "sleep 1000");
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(0), "nsx-test-background\n"));
    let inside =
        output(&mut nsx(&["enter", "-t", "nsx:nsx-test-background", "-p", "-m", "sh", "-c", "echo /proc/[0-9]*"]));
    assert!(text(&inside.stdout).starts_with("/proc/1 /proc/2 "), "{}", text(&inside.stderr));
    let taken = sh(&["-d", "--name=nsx-test-background"], "true");
    assert_eq!(taken.status.code(), Some(125));
    let ended = output(&mut nsx(&["kill", "nsx-test-background"]));
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert!(cgroups("nsx-test-background").is_empty());
    assert_eq!(output(&mut nsx(&["kill", "nsx-test-background"])).status.code(), Some(1));
}

fn clocks() {
    let uptime = |text: &str| text.split('.').next().and_then(|seconds| seconds.parse::<u64>().ok()).expect("seconds");
    let own = uptime(&std::fs::read_to_string("/proc/uptime").expect("a clock"));
    let done = sh(&["--time-offset=boottime=100d"], "cat /proc/uptime");
    let ahead = uptime(&text(&done.stdout)) - own;
    assert!((8_640_000..8_640_100).contains(&ahead), "{ahead}: {}", text(&done.stderr));
}

fn shown() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "text").expect("a file");
    let volume = format!("{}:/run/there", folder.path().display());
    let done = sh(&["-v", &volume, "-v", &format!("{volume}-too:ro")], "cat /run/there/file; touch /run/there-too/x");
    assert_eq!(text(&done.stdout), "text", "{}", text(&done.stderr));
    assert!(!done.status.success() && !folder.path().join("x").exists());
    // Where the file system cannot do idmapped mounts, that is said.
    let done = sh(&["-v", &volume], "touch /run/there/made");
    let made = std::fs::metadata(folder.path().join("made"));
    match made {
        Ok(made) => assert_eq!((std::os::unix::fs::MetadataExt::uid(&made), done.status.code()), (0, Some(0))),
        Err(_) => assert!(text(&done.stderr).contains("idmapped mounts"), "{}", text(&done.stderr)),
    }
}

/// Whoever is in a cgroup that was handed over to him has limits there: they are set, they hold, what was reached is said, and all is
/// removed.
fn delegated() {
    let own = Own::new("run-delegated", &["memory", "pids"]);
    own.make("caller");
    for folder in own.folders("").into_iter().chain(own.folders("caller")) {
        let paths =
            ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tasks"].map(|file| folder.join(file));
        for path in paths.iter().filter(|path| path.exists()) {
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("root");
        }
    }
    let name = format!("test-delegated-{}", std::process::id());
    // On v2 only who is in a subtree may move within it.
    let enter: String =
        own.folders("caller").iter().map(|folder| format!("echo $$ > {}/cgroup.procs; ", folder.display())).collect();
    let run = |options: &[&str]| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("{enter}exec \"$@\""), "sh"]).args(AS_USER).arg(nsx_path());
        command.args(["run", "--name", &name, "--cgroup-parent", &own.text("")]).args(options);
        output(command.stdin(Stdio::null()).current_dir("/"))
    };
    let done = run(&["--pids=7", "--explain", "-J", "true"]);
    let explained: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", text(&done.stderr)));
    let paths: Vec<&str> =
        explained["cgroups"].as_array().expect("cgroups").iter().filter_map(|one| one["path"].as_str()).collect();
    assert_eq!(paths, [own.text(&format!("nsx-{name}"))]);
    assert_eq!(cgroups(&name), Vec::<std::path::PathBuf>::new(), "to explain makes nothing");
    let forks = "(for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done) 2>/dev/null; exit 4";
    let hungry = "dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null; exit 4";
    for (options, script, reached) in [
        (&["--pids=7"][..], forks, "pids.max (7) of nsx-"),
        (&["--mem=32M", "--pids=20"], "exit 4", ""),
        (&["--mem=32M", "--pids=7"], forks, "pids.max (7) of nsx-"),
        (&["--mem=32M", "--pids=7"], hungry, "(32M) of nsx-"),
    ] {
        let done = run(&[options, &["--", "sh", "-c", script]].concat());
        let said = text(&done.stderr);
        // On v2 all of a sandbox dies where one of its processes would.
        let dies = script == hungry && !own.is_v2("memory");
        let expected = if script != hungry || dies { Some(4) } else { None };
        assert_eq!(done.status.code(), expected, "{options:?} {script}: {said}");
        assert!(said.contains(reached), "{options:?} {script}: {said}");
        // What is not reached is not said.
        let notes = said.lines().filter(|line| line.contains("pids.max") || line.contains("OOM killer")).count();
        assert_eq!(notes, usize::from(!reached.is_empty()), "{options:?} {script}: {said}");
        assert_eq!(cgroups(&name), Vec::<std::path::PathBuf>::new(), "{options:?}: they are gone");
    }
}

/// The stub is who removes the cgroups; where that was killed, too, nsx kill does.
fn stub_gone() {
    let name = "nsx-test-stub-gone";
    let done = sh(&["-d", &format!("--name={name}"), "--pids=20"], "sleep 1000");
    assert!(done.status.success(), "{}", text(&done.stderr));
    let is_stub = |pid: &u32| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        read("comm").trim() == "nsx-stub" && read("cmdline").split('\0').nth(1) == Some(name)
    };
    let all = std::fs::read_dir("/proc").expect("/proc");
    let mut all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let stub = all.find(is_stub).expect("a stub");
    kill(Pid::from_raw(stub as i32), Signal::SIGKILL).expect("it runs");
    until_so("the end of the stub", || !is_stub(&stub));
    let ended = output(&mut nsx(&["kill", "--now", name]));
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert_eq!(cgroups(name), Vec::<std::path::PathBuf>::new());
}
