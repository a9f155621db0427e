//! Limits: each is read in the cgroup by somebody outside, while the command runs. See cgroups(7), getrlimit(2).

use super::super::harness::group::is_v1;
use super::super::harness::processes::new_mark;
use super::super::harness::running::Running;
use super::super::harness::sandbox::cgroups;
use super::super::harness::{Need, Test, disks, nsx, output, test, text};
use super::{as_user_after, refused, said, sh};

const IO: &[Need] = &[Need::Root, Need::Controller("io"), Need::KernelModule("brd"), Need::Disks(1)];

pub(super) fn tests() -> Vec<Test> {
    const HUGE: Need = Need::File("/sys/kernel/mm/hugepages/hugepages-2048kB");
    vec![
        test("run_options::limits_of_memory_are_set", &[Need::Root, Need::Controller("memory")], memory),
        test("run_options::limits_of_processor_time_are_set", &[Need::Root, Need::Controller("cpu")], cpu),
        test("run_options::processors_are_chosen", &[Need::Root, Need::Controller("cpuset")], cpuset),
        test("run_options::limits_of_tasks_are_set", &[Need::Root, Need::Controller("pids")], pids),
        test("run_options::limits_of_a_disk_are_set", IO, io),
        test(
            "run_options::limits_of_two_disks_are_set",
            &[Need::Root, Need::Controller("io"), Need::KernelModule("brd"), Need::Disks(2)],
            two_disks,
        ),
        test("run_options::limits_of_huge_pages_are_set", &[Need::Root, Need::Controller("hugetlb"), HUGE], hugetlb),
        test("run_options::other_knobs_are_set", &[Need::Root, Need::Controller("cpuset")], knobs),
        test(
            "run_options::limits_are_set_in_several_hierarchies",
            &[Need::Root, Need::OnV1("pids"), Need::Controller("hugetlb"), HUGE],
            several,
        ),
        test("run_options::limits_of_each_process_are_set", &[], ulimit),
        test("run_options::a_user_cannot_raise_limits", &[Need::Tool("setpriv")], raised),
        test("run_options::a_command_is_killed_sooner", &[], oom_score),
    ]
}

/// A file of a cgroup with what is in it: on v1, and on v2.
struct File<'a> {
    controller: &'a str,
    v1: (&'a str, &'a str),
    v2: (&'a str, &'a str),
}

/// Runs a command, reads files of its cgroups while it does, and returns what it has printed.
fn check(options: &[&str], script: &str, files: &[File<'_>]) -> String {
    let name = format!("test-{}", new_mark());
    let mut words = vec!["run", "--name", &name];
    words.extend(options);
    let mut run = Running::start(&words, &format!("echo ready; {script}; read line; exit 5"), |_| ());
    let groups = cgroups(&name);
    for File { controller, v1, v2 } in files {
        let (file, expected) = if is_v1(controller) { v1 } else { v2 };
        let there: Vec<_> = groups.iter().map(|group| group.join(file)).filter(|path| path.exists()).collect();
        let [path] = &there[..] else { panic!("{options:?}: {file} is not in one of {groups:?}") };
        let found = std::fs::read_to_string(path).expect("a file");
        let line = found.lines().any(|line| line == *expected);
        assert!(line, "{options:?}: {} has {found:?}, and not {expected:?}", path.display());
    }
    run.poke();
    let (status, printed) = run.end();
    assert_eq!(status.code(), Some(5), "{options:?}");
    assert_eq!(cgroups(&name), Vec::<std::path::PathBuf>::new(), "{options:?}: it is gone");
    printed
}

fn memory() {
    let limit =
        File { controller: "memory", v1: ("memory.limit_in_bytes", "67108864"), v2: ("memory.max", "67108864") };
    let swap = File {
        controller: "memory",
        v1: ("memory.memsw.limit_in_bytes", "83886080"),
        v2: ("memory.swap.max", "16777216"),
    };
    check(&["--mem=64M", "--swap=16M"], ":", &[limit, swap]);
    let none =
        File { controller: "memory", v1: ("memory.memsw.limit_in_bytes", "67108864"), v2: ("memory.swap.max", "0") };
    check(&["--mem=64M", "--swap=0"], ":", &[none]);
    if !is_v1("memory") {
        check(&["--mem-high=48M"], ":", &[only_v2("memory", "memory.high", "50331648")]);
        check(&["--swap=16M"], ":", &[only_v2("memory", "memory.swap.max", "16777216")]);
        // All of a sandbox dies where one of its processes would, unless that is not wanted.
        check(&["--mem=64M"], ":", &[only_v2("memory", "memory.oom.group", "1")]);
        let alone = ["--mem=64M", "--cgroup-set=memory.oom.group=0"];
        check(&alone, ":", &[only_v2("memory", "memory.oom.group", "0")]);
        return;
    }
    for (option, error, hint) in [
        ("--mem-high=48M", "cannot set memory.high of ", "hint: memory.max is the limit that v1 has"),
        ("--swap=16M", "cannot set memory.swap.max of ", "hint: limit memory, too: --mem SIZE"),
    ] {
        let done = sh(&["--name=test-refused", option], "echo unexpected");
        let (said, below) = refused(&done);
        assert!(said.starts_with(&format!("nsx: {error}")) && below == hint, "{option}: {said} {below}");
        assert_eq!(cgroups("test-refused"), Vec::<std::path::PathBuf>::new(), "{option}");
    }
}

fn only_v2<'a>(controller: &'a str, file: &'a str, value: &'a str) -> File<'a> {
    File { controller, v1: ("", ""), v2: (file, value) }
}

fn cpu() {
    let quota = File { controller: "cpu", v1: ("cpu.cfs_quota_us", "50000"), v2: ("cpu.max", "50000 100000") };
    let period = File { controller: "cpu", v1: ("cpu.cfs_period_us", "100000"), v2: ("cpu.max", "50000 100000") };
    check(&["--cpus=0.5"], ":", &[quota, period]);
    // What container engines take for it on v1: where their formula comes to 50.
    let weight = File { controller: "cpu", v1: ("cpu.shares", "421"), v2: ("cpu.weight", "50") };
    check(&["--cpu-weight=50"], ":", &[weight]);
}

fn cpuset() {
    // The first that the caller may use.
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).expect("processors");
    let first: String = allowed.chars().take_while(char::is_ascii_digit).collect();
    let set = ("cpuset.cpus", first.as_str());
    let seen = check(
        &[&format!("--cpuset={first}")],
        "grep Cpus_allowed_list: /proc/self/status",
        &[File { controller: "cpuset", v1: set, v2: set }],
    );
    assert_eq!(seen, format!("Cpus_allowed_list:\t{first}\n"));
    let beyond = sh(&["--cpuset=0-7777"], "echo unexpected");
    assert!(refused(&beyond).0.starts_with("nsx: cannot set cpuset.cpus to 0-7777: "), "{}", text(&beyond.stderr));
}

fn pids() {
    let limit = ("pids.max", "9");
    check(&["--pids=9"], ":", &[File { controller: "pids", v1: limit, v2: limit }]);
}

fn io() {
    let (name, numbers) = disks().swap_remove(0);
    let lines = [
        format!("{numbers} 10485760"),
        format!("{numbers} 20"),
        format!("{numbers} rbps=10485760 wbps=max riops=max wiops=20"),
    ];
    let files = || {
        let v2 = ("io.max", lines[2].as_str());
        let on_v1 = [("blkio.throttle.read_bps_device", &*lines[0]), ("blkio.throttle.write_iops_device", &*lines[1])];
        on_v1.map(|v1| File { controller: v1_name(), v1, v2 })
    };
    check(&[&format!("--io={numbers}:rbps=10M,wiops=20")], ":", &files());
    check(&[&format!("--io=/dev/{name}:rbps=10M,wiops=20")], ":", &files());
}

/// What the io controller is called where this machine has it.
fn v1_name() -> &'static str {
    if is_v1("blkio") { "blkio" } else { "io" }
}

fn two_disks() {
    let all = disks();
    let [(first, one), (second, other)] = &all[..2] else { panic!("not two disks: {all:?}") };
    let lines = [
        format!("{one} 10485760"),
        format!("{other} 20"),
        format!("{one} rbps=10485760 wbps=max riops=max wiops=max"),
        format!("{other} rbps=max wbps=max riops=max wiops=20"),
    ];
    let files = [
        File { controller: v1_name(), v1: ("blkio.throttle.read_bps_device", &lines[0]), v2: ("io.max", &lines[2]) },
        File { controller: v1_name(), v1: ("blkio.throttle.write_iops_device", &lines[1]), v2: ("io.max", &lines[3]) },
    ];
    // The same disk twice is a mistake, however it is called.
    for (a, b, codes) in [
        (format!("{one}:rbps=10M"), format!("{one}:wiops=20"), &[2][..]),
        (format!("/dev/{first}:rbps=10M"), format!("/dev/{first}:rbps=10M"), &[2]),
        // Here it is seen only when the device file has been looked at.
        (format!("{one}:rbps=10M"), format!("/dev/{first}:wiops=20"), &[2, 125]),
    ] {
        let done = output(nsx(&["run", "--io", &a, "--io", &b]).args(["echo", "unexpected"]));
        let said = text(&done.stderr);
        assert!(done.status.code().is_some_and(|code| codes.contains(&code)), "{a} {b}: {} {said}", done.status);
        assert!(said.contains("given twice") && done.stdout.is_empty(), "{a} {b}: {said}");
    }
    check(&[&format!("--io={one}:rbps=10M"), &format!("--io=/dev/{second}:wiops=20")], ":", &files);
}

fn huge<'a>() -> File<'a> {
    File { controller: "hugetlb", v1: ("hugetlb.2MB.limit_in_bytes", "67108864"), v2: ("hugetlb.2MB.max", "67108864") }
}

fn hugetlb() {
    check(&["--hugetlb=2MB:64M"], ":", &[huge()]);
}

fn knobs() {
    check(&["--cgroup-set=cgroup.max.depth=3"], ":", &[only_v2("cgroup", "cgroup.max.depth", "3")]);
    let memory = ("cpuset.mems", "0");
    check(&["--cgroup-set=cpuset.mems=0"], ":", &[File { controller: "cpuset", v1: memory, v2: memory }]);
}

fn several() {
    let limit = ("pids.max", "9");
    let tasks = File { controller: "pids", v1: limit, v2: limit };
    let depth = only_v2("cgroup", "cgroup.max.depth", "3");
    check(&["--pids=9", "--hugetlb=2MB:64M", "--cgroup-set=cgroup.max.depth=3"], ":", &[tasks, huge(), depth]);
}

fn ulimit() {
    for (options, script, expected) in [
        (&["--ulimit=nofile=64:128"][..], "ulimit -S -n; ulimit -H -n", "64\n128\n"),
        (&["--ulimit=nofile=50"], "ulimit -S -n; ulimit -H -n", "50\n50\n"),
        (&["--ulimit=core=0", "--ulimit=fsize=2M"], "ulimit -S -c; ulimit -H -f", "0\n4096\n"),
        // Of kibibytes.
        (&["--ulimit=stack=1M:2M"], "ulimit -S -s; ulimit -H -s", "1024\n2048\n"),
    ] {
        assert_eq!(said(options, script), expected, "{options:?}");
    }
    // It is a limit of each process, and is kept to.
    let done =
        sh(&["--ulimit=fsize=1K"], "trap '' XFSZ; dd if=/dev/zero of=/tmp/x bs=512 count=9 2>/dev/null; wc -c </tmp/x");
    assert_eq!(text(&done.stdout).trim(), "1024", "{}", text(&done.stderr));
}

fn raised() {
    let (error, hint) = refused(&as_user_after("ulimit -n 100", &["--ulimit=nofile=200", "echo", "unexpected"]));
    assert!(error.starts_with("nsx: cannot set the limit nofile: "), "{error}");
    assert!(error.ends_with("(EPERM)") && hint.contains("CAP_SYS_RESOURCE"), "{error} {hint}");
    // Up to the hard limit is no rise.
    let script = "ulimit -S -n; ulimit -H -n";
    let done = as_user_after("ulimit -S -n 50; ulimit -H -n 100", &["--ulimit=nofile=100", "sh", "-c", script]);
    assert_eq!(text(&done.stdout), "100\n100\n", "{}", text(&done.stderr));
    let (error, hint) = refused(&as_user_after(":", &["--oom-score-adj=-1000", "echo", "unexpected"]));
    assert!(error.starts_with("nsx: cannot set the OOM score: "), "{error}");
    assert!(hint.contains("CAP_SYS_RESOURCE") && hint.contains("/proc/self/oom_score_adj"), "{error} {hint}");
}

fn oom_score() {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").expect("a number");
    assert_eq!(said(&[], "cat /proc/self/oom_score_adj"), own);
    assert_eq!(said(&["--oom-score-adj=300"], "cat /proc/self/oom_score_adj"), "300\n");
}
