//! The cgroups of a sandbox and what is told of them in the end, by the library: made, filled, exhausted and removed. All of them are made
//! in a cgroup of the test's own.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, ExitStatus, Stdio};

use nsx::launch::run::Limits;
use nsx::launch::run::limits::{self, CgroupPlan, LimitError, Made};
use nsx::launch::run::report::{self, Report, Usage, Whose};
use nsx::proc::ProcRoot;

use super::harness::cgroup::Own;
use super::harness::{Module, Need, Place, test};

const MEMORY: &[Need] = &[Need::Root, Need::Controller("memory")];

pub fn module() -> Module {
    let tests = vec![
        test("run_limits::made_as_planned_and_removed", &[Need::Root, Need::Controller("pids")], made),
        test("run_limits::on_v2", &[Need::Root], on_v2),
        test("run_limits::what_fails_leaves_nothing", &[Need::Root, Need::Controller("pids")], exists),
        test("run_limits::whoever_is_left_is_killed", &[Need::Root, Need::Controller("pids")], left),
        test("run_limits::refused_before_anything_is_made", &[Need::Root, Need::Controller("cpuset")], refused),
        test("run_limits::its_own_memory_limit", MEMORY, own_memory),
        test("run_limits::a_memory_limit_above", MEMORY, memory_above),
        test(
            "run_limits::processes_in_a_cgroup_inside",
            &[Need::Root, Need::Controller("memory"), Need::Controller("pids"), Need::Controller("cpuset")],
            inside,
        ),
        test(
            "run_limits::tasks_and_processors",
            &[Need::Root, Need::Controller("pids"), Need::Controller("cpu")],
            others,
        ),
    ];
    Module { name: "run_limits", places: &[Place::Vm], tests }
}

fn plan(own: &Own, knobs: &[&str]) -> Result<CgroupPlan, LimitError> {
    plan_with(own, knobs, false)
}

fn plan_with(own: &Own, knobs: &[&str], inner: bool) -> Result<CgroupPlan, LimitError> {
    let proc = ProcRoot::open("/proc".as_ref()).expect("/proc");
    let asked = knobs.iter().map(|knob| knob.parse().expect("a knob")).collect();
    let limits = Limits { asked, parent: Some(own.text("").into()) };
    limits::prepare(&limits::open(&proc, &limits).expect("hierarchies"), &limits, "nsx-box", inner)
}

fn make(own: &Own, knobs: &[&str]) -> Made {
    plan(own, knobs).and_then(|plan| plan.make()).unwrap_or_else(|error| panic!("{error}"))
}

/// A shell that begins when it is in the cgroups.
fn start(made: &Made, script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("read start; {script}")]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn().expect("a shell");
    for group in &made.groups {
        let procs = format!("/proc/self/fd/{}/cgroup.procs", group.place().as_raw_fd());
        std::fs::write(&procs, child.id().to_string()).unwrap_or_else(|error| panic!("{}: {error}", group.label));
    }
    child.stdin.take().expect("a pipe").write_all(b"\n").expect("a reader");
    child
}

fn run(own: &Own, knobs: &[&str], script: &str) -> (ExitStatus, Report) {
    run_with(own, knobs, script, false)
}

fn run_with(own: &Own, knobs: &[&str], script: &str, inner: bool) -> (ExitStatus, Report) {
    let made = plan_with(own, knobs, inner).and_then(|plan| plan.make()).unwrap_or_else(|error| panic!("{error}"));
    let before = report::before(&made);
    let status = start(&made, script).wait().expect("a child");
    let report = report::read(&made, &before, Usage::default(), false);
    made.remove().unwrap_or_else(|error| panic!("{error}"));
    (status, report)
}

fn is_gone(own: &Own) -> bool {
    own.folders("nsx-box").iter().all(|folder| !folder.exists())
}

fn made() {
    let own = Own::new("run-made", &["memory", "cpu", "pids"]);
    let plan = plan(&own, &["pids.max=20"]).unwrap_or_else(|error| panic!("{error}"));
    assert!(is_gone(&own), "a plan changes nothing");
    let calls: Vec<String> = plan.steps().into_iter().flat_map(|step| step.calls).collect();
    let folder = own.folder("nsx-box", "pids");
    for call in [
        format!("mkdirat({}, 0755)", folder.display()),
        format!("write({}, \"20\")", folder.join("pids.max").display()),
    ] {
        assert!(calls.contains(&call), "{call}: {calls:#?}");
    }
    let made = plan.make().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(own.read("nsx-box", "pids.max"), "20");
    assert_eq!(plan.are_v1().contains(&false), own.is_v2("pids"));
    assert_eq!(made.removal.len(), 1);
    made.remove().unwrap_or_else(|error| panic!("{error}"));
    assert!(is_gone(&own));
    made.remove().expect("what has gone is gone");
}

/// On a hybrid host, too, where v2 has hardly a controller.
fn on_v2() {
    let own = Own::new("run-v2", &[]);
    let made = make(&own, &["cgroup.max.depth=3"]);
    let folder = own.unified().expect("v2 is mounted").join(own.name()).join("nsx-box");
    assert_eq!(std::fs::read_to_string(folder.join("cgroup.max.depth")).expect("a knob").trim(), "3");
    let before = report::before(&made);
    let script = "grep -q nsx-box /proc/self/cgroup && i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); done";
    assert!(start(&made, script).wait().expect("a child").success());
    let report = report::read(&made, &before, Usage::default(), false);
    assert!(report.cpu_user_usec + report.cpu_system_usec > 0, "{report:?}");
    made.remove().unwrap_or_else(|error| panic!("{error}"));
    assert!(!folder.exists());
}

fn exists() {
    let own = Own::new("run-exists", &["memory", "cpu", "pids"]);
    // In one hierarchy only, so that others are made before it.
    let folder = own.folder("nsx-box", "pids");
    std::fs::create_dir(&folder).expect("a cgroup");
    let plan = plan(&own, &["memory.max=64M", "pids.max=20"]).unwrap_or_else(|error| panic!("{error}"));
    let error = plan.make().err().expect("an error").to_string();
    assert!(error.contains("there is one already"), "{error}");
    assert!(folder.exists(), "it is somebody else's");
    std::fs::remove_dir(&folder).expect("removed");
    assert!(is_gone(&own));
}

fn left() {
    let own = Own::new("run-left", &["memory", "cpu", "pids"]);
    let made = make(&own, &["pids.max=20"]);
    let mut child = start(&made, "exec sleep 1000");
    std::fs::create_dir(own.folder("nsx-box/below", "pids")).expect("a cgroup");
    made.remove().unwrap_or_else(|error| panic!("{error}"));
    assert!(is_gone(&own));
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().expect("a child")), Some(9));
}

fn refused() {
    let own = Own::new("run-refused", &["memory", "cpu", "pids", "cpuset"]);
    for (knob, words) in [
        ("memory.max=1K", "cannot set memory.max to 1024: a command cannot start with fewer bytes"),
        ("pids.max=1", "cannot set pids.max to 1"),
        ("cpuset.cpus=0-7777", "cannot set cpuset.cpus to 0-7777: /nsx-test-run-refused"),
        ("cgroup.kill=1", "cannot set cgroup.kill of"),
    ] {
        let error = plan(&own, &[knob]).err().unwrap_or_else(|| panic!("{knob}")).to_string();
        assert!(error.starts_with(words), "{error}");
    }
    let parent = |path: &str| {
        let proc = ProcRoot::open("/proc".as_ref()).expect("/proc");
        let limits = Limits { asked: vec!["pids.max=20".parse().expect("a knob")], parent: Some(path.into()) };
        let cgroups = limits::open(&proc, &limits).expect("hierarchies");
        limits::prepare(&cgroups, &limits, "nsx-box", false).err().expect("an error").to_string()
    };
    assert!(parent("/a/../b").contains("there is .. in it"));
    assert!(parent("/nsx-test-nowhere").contains("there is no /nsx-test-nowhere in v"));
    assert!(is_gone(&own));
}

/// Takes more memory than any of these cgroups has.
const HUNGRY: &str = "dd if=/dev/zero of=/dev/null bs=200M count=1";

fn own_memory() {
    let own = Own::new("run-oom", &["memory"]);
    let (_, report) = run(&own, &["memory.max=20M"], HUNGRY);
    let oom = report.oom.as_ref().unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!(oom.whose, Whose::Own(own.path("nsx-box")), "{report:?}");
    assert!(oom.limit_bytes == Some(20 << 20) && oom.kills >= 1, "{report:?}");
    assert!(report.memory_peak_bytes.is_none_or(|peak| peak <= 20 << 20), "{report:?}");
    assert!(report::notes(&report, false)[0].contains("(20M) of nsx-box was reached"), "{report:?}");
    // The log tells paths as those outside of every cgroup namespace see them.
    let initial =
        std::fs::read_link("/proc/self/ns/cgroup").expect("a link") == std::path::Path::new("cgroup:[4026531835]");
    let is_told = initial && std::fs::File::open("/dev/kmsg").is_ok();
    let names: Vec<&[u8]> = oom.victims.iter().map(|victim| &victim.comm[..]).collect();
    // With memory.oom.group others die, too; the first to be chosen is named.
    assert_eq!(names, if is_told { vec![b"dd"] } else { Vec::new() }, "{report:?}");
}

/// Whose owner is inside: limits hold from above, what v1 counts where a process is is found, and all is removed.
fn inside() {
    let own = Own::new("run-inside", &["memory", "pids", "cpuset"]);
    let made = plan_with(&own, &["pids.max=20", "memory.max=64M", "cpuset.cpus=0"], true).and_then(|plan| plan.make());
    let made = made.unwrap_or_else(|error| panic!("{error}"));
    let mut child = start(&made, "exec sleep 1000");
    let (outer, inner) = (own.folder("nsx-box", "pids"), own.folder("nsx-box/box", "pids"));
    let procs = |folder: &std::path::Path| std::fs::read_to_string(folder.join("cgroup.procs")).expect("a file");
    assert_eq!((procs(&outer), procs(&inner)), (String::new(), format!("{}\n", child.id())));
    assert_eq!(own.read("nsx-box", "pids.max"), "20");
    std::fs::create_dir(inner.join("below")).expect("a cgroup");
    made.remove().unwrap_or_else(|error| panic!("{error}"));
    assert!(is_gone(&own));
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().expect("a child")), Some(9));
    let (_, report) = run_with(&own, &["memory.max=20M"], HUNGRY, true);
    let oom = report.oom.as_ref().unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!((&oom.whose, oom.limit_bytes), (&Whose::Own(own.path("nsx-box")), Some(20 << 20)), "{report:?}");
    let forks = "sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & wait";
    let (_, report) = run_with(&own, &["pids.max=3"], forks, true);
    let tasks = report.too_many_tasks.as_ref().unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!((&tasks.whose, tasks.limit), (&Whose::Own(own.path("nsx-box")), Some(3)), "{report:?}");
    // What fails when some of it is there leaves nothing, and what is somebody else's.
    std::fs::create_dir(&outer).expect("a cgroup");
    let plan = plan_with(&own, &["pids.max=20", "memory.max=64M"], true).unwrap_or_else(|error| panic!("{error}"));
    assert!(plan.make().is_err());
    std::fs::remove_dir(&outer).expect("empty, and somebody else's");
    assert!(is_gone(&own));
}

fn memory_above() {
    let own = Own::new("run-above", &["memory"]);
    // What it counted before is not the sandbox's doing.
    let (_, report) = run(&own, &["memory.max=64M"], "true");
    assert_eq!(report.oom, None);
    own.set("", "memory.max", "20971520");
    let (_, report) = run(&own, &["memory.max=max"], HUNGRY);
    let oom = report.oom.as_ref().unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!((&oom.whose, oom.limit_bytes), (&Whose::Above(own.path("")), Some(20 << 20)), "{report:?}");
    let (_, report) = run(&own, &["memory.max=max"], "true");
    assert_eq!(report.oom, None, "that was the other one");
}

fn others() {
    let own = Own::new("run-others", &["pids", "cpu"]);
    let (_, report) = run(&own, &["pids.max=3"], "sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & wait");
    let tasks = report.too_many_tasks.as_ref().unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!((&tasks.whose, tasks.limit), (&Whose::Own(own.path("nsx-box")), Some(3)), "{report:?}");
    let (_, report) = run(&own, &["cpu.max=10000 100000"], "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done");
    let throttled = report.throttled.as_ref().unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!(throttled.whose, Whose::Own(own.path("nsx-box")));
    assert!(throttled.by.throttled > 0 && report::notes(&report, false)[0].contains("cpu.max (0.1) of nsx-box"));
    let (_, report) = run(&own, &["pids.max=20", "cpu.max=max"], "true");
    assert!(report::notes(&report, false).is_empty(), "{report:?}");
}
