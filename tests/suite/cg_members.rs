//! Who is in a cgroup: moving, freezing, killing and listing them, on whatever hierarchies the machine has. Every refusal is caused for
//! real.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::harness::group::{AS_USER, Group, Idle, change, contains, is_v1, mounts_of};
use super::harness::{
    Module, Need, Place, document, fails, held::Held, is_cgroup2, nsx, nsx_path, output, run, test, text,
};

const USER: &[Need] = &[Need::Root, Need::Tool("setpriv")];
const PIDS: &[Need] = &[Need::Root, Need::Tool("unshare")];

pub fn module() -> Module {
    let tests = vec![
        test("cg_members::processes_are_moved_and_seen_there", &[Need::Root], moved),
        test("cg_members::who_cannot_be_moved_is_told_why", &[Need::Root], not_moved),
        test("cg_members::a_user_moves_below_what_was_handed_over", USER, delegated),
        test("cg_members::frozen_and_thawed", &[Need::Root], frozen),
        test("cg_members::nsx_does_not_freeze_or_kill_itself", &[Need::Root], own),
        test("cg_members::all_that_is_in_it_is_killed", &[Need::Root], killed),
        test("cg_members::members_with_all_their_pids", PIDS, members),
        test("cg_members::threads_are_moved_alone", &[Need::Root], threads),
    ];
    Module { name: "cg_members", places: &[Place::Vm], tests }
}

fn moved() {
    let (one, other) =
        (Group::new("moved", "memory,pids,freezer,cpuset"), Group::new("moved2", "memory,pids,freezer,cpuset"));
    let idle = Idle::start();
    let document = change(&["move", &one.path, &idle.pid()]);
    let changes = document["changes"].as_array().expect("changes");
    assert_eq!(changes.len(), if is_v1("memory") { 4 } else { 1 }, "{document:#}");
    assert!(
        changes.iter().all(|change| change["confirmed"] == true && change["after"] == one.path.as_str()),
        "{document:#}"
    );
    assert!(idle.is_in(&one.path));
    contains(&run(&["cg", "move", &one.path, &idle.pid()]), &["is in", "already"]);
    // To one hierarchy only.
    run(&["cg", "move", other.folder("pids").to_str().expect("UTF-8"), &idle.pid()]);
    assert!(idle.is_in(&other.path));
    assert_eq!(idle.is_in(&one.path), is_v1("memory"));
    // To where a process is, several at once.
    run(&["cg", "move", &one.path, &idle.pid()]);
    let more = [Idle::start(), Idle::start()];
    run(&["cg", "move", &idle.pid(), &more[0].pid(), &more[1].pid()]);
    assert!(more.iter().all(|one_more| one_more.is_in(&one.path)));
    let members = run(&["cg", "procs", &one.path, "-n"]);
    assert_eq!(members.lines().count(), 3, "{members}");
}

fn not_moved() {
    let group = Group::new("notmoved", "pids,cpuset");
    let gone = {
        let idle = Idle::start();
        idle.pid()
    };
    contains(&fails(&["cg", "move", &group.path, &gone], 1), &[&format!("no process {gone}")]);
    contains(&fails(&["cg", "move", &group.path, "cgroup:/x"], 1), &["is a cgroup, not a process"]);
    // kthreadd stays where it is.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        let error = fails(&["cg", "move", &group.path, "2"], 1);
        contains(&error, &["it is a thread of the kernel", "(EINVAL)"]);
    }
    if is_v1("cpuset") {
        let idle = Idle::start();
        std::fs::write(group.folder("cpuset").join("cpuset.mems"), "\n").expect("emptied");
        let error = fails(&["cg", "move", &group.path, &idle.pid()], 1);
        contains(&error, &["it has no processors or no memory nodes", "(ENOSPC)", "hint: nsx cg set"]);
        run(&["cg", "set", &group.path, "cpuset.mems=0"]);
        run(&["cg", "move", &group.path, &idle.pid()]);
    }
}

/// Runs nsx as an ordinary user.
fn as_user(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(AS_USER[0]);
    command.args(&AS_USER[1..]).arg(nsx_path()).args(arguments).stdin(Stdio::null()).current_dir("/");
    let out = output(&mut command);
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

fn delegated() {
    let group = Group::unified("delegated");
    let folder = group.v2();
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        std::os::unix::fs::chown(folder.join(file), Some(65534), Some(65534)).expect("chown");
    }
    let directory = folder.to_str().expect("UTF-8").to_owned();
    let (a, b) = (format!("{directory}/a"), format!("{directory}/b"));
    let good = |arguments: &[&str]| {
        let (code, out, errors) = as_user(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        out
    };
    let bad = |arguments: &[&str], parts: &[&str]| {
        let (code, _, errors) = as_user(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {errors}");
        contains(&errors, parts);
    };
    good(&["cg", "create", &a]);
    good(&["cg", "create", &b, "cgroup.max.depth=0"]);
    bad(&["cg", "create", &format!("{b}/c")], &["cgroup.max.depth of ", " is 0", "(EAGAIN)", "cgroup.max.depth=1"]);
    let idle = Idle::start_as(&AS_USER);
    let error = [
        "cgroup.procs of /",
        "the nearest above both, belongs to uid 0",
        "(EACCES)",
        "hint: moving takes write permission",
    ];
    bad(&["cg", "move", &a, &idle.pid()], &error);
    run(&["cg", "move", &a, &idle.pid()]);
    good(&["cg", "move", &b, &idle.pid()]);
    assert!(idle.is_in(&group.below("b")));
    good(&["cg", "freeze", &b]);
    good(&["cg", "thaw", &b]);
    // The limits of what was handed over are not theirs.
    bad(
        &["cg", "set", &directory, "cgroup.max.depth=3"],
        &["cgroup.max.depth belongs to uid 0, the cgroup to uid 65534", "(EACCES)", "hint: run as root: the limits"],
    );
    bad(&["cg", "freeze", &directory], &["cgroup.freeze belongs to uid 0"]);
    bad(&["cg", "rm", &b], &[&format!("process {} is in it", idle.pid())]);
    drop(idle);
    good(&["cg", "rm", &b]);
    bad(&["cg", "rm", "-r", &directory], &["the cgroup above belongs to uid 0", "(EACCES)", "done before: "]);
}

fn frozen() {
    let group = Group::new("frozen", "freezer,pids");
    let child = group.below("child");
    run(&["cg", "create", &child, "-c", "freezer,pids"]);
    let idle = Idle::start();
    run(&["cg", "move", &child, &idle.pid()]);
    let state = |folder: &str| {
        let folder = if folder.is_empty() { group.folder("freezer") } else { group.folder("freezer").join(folder) };
        let v1 = std::fs::read_to_string(folder.join("freezer.state"));
        v1.unwrap_or_else(|_| std::fs::read_to_string(folder.join("cgroup.events")).expect("events"))
    };
    let is_frozen = |folder: &str| state(folder).contains("FROZEN") || state(folder).contains("frozen 1");
    let document = change(&["freeze", &child]);
    assert_eq!(document["changes"][0]["after"], "frozen");
    assert!(is_frozen("child") && !is_frozen(""));
    contains(&run(&["cg", "freeze", &child]), &["is frozen already"]);
    // Who comes in stands still, and that is noted.
    let out = output(&mut nsx(&["cg", "move", &child, &Idle::start().pid(), "-n"]));
    contains(&text(&out.stderr), &["nsx: note: ", " is frozen: who is in it stands still"]);
    contains(&run(&["cg", "thaw", &child]), &["thawed"]);
    assert!(!is_frozen("child"));
    // One above keeps it frozen.
    run(&["cg", "freeze", &group.path]);
    let out = output(&mut nsx(&["cg", "thaw", &child]));
    let errors = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{errors}");
    contains(&errors, &[&format!("{} keeps it frozen", group.path), &format!("hint: nsx cg thaw {}\n", group.path)]);
    run(&["cg", "thaw", &group.path]);
    assert!(!is_frozen("child"));
    contains(&fails(&["cg", "freeze", "/"], 1), &["it is the root of its hierarchy", "hint: freeze a cgroup below"]);
    contains(&fails(&["cg", "freeze", &group.path, "--timeout", "soon"], 2), &["is no time"]);
}

/// Runs nsx from within a cgroup, in the hierarchy that has the freezer.
fn inside(group: &Group, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(group.folder("freezer"));
    command.arg(nsx_path()).args(arguments).stdin(Stdio::null());
    command
}

fn own() {
    let group = Group::new("own", "freezer");
    for arguments in [["cg", "freeze", &group.path], ["cg", "kill", &group.path]] {
        let out = output(&mut inside(&group, &arguments));
        assert_eq!(out.status.code(), Some(1));
        contains(&text(&out.stderr), &["nsx itself is in it", "hint: run nsx from elsewhere"]);
    }
    contains(&fails(&["cg", "kill", "/"], 1), &["it is the root of its hierarchy"]);
    // With --force it stands still, until somebody else lets it go.
    let mut frozen =
        inside(&group, &["cg", "freeze", "--force", &group.path]).stdout(Stdio::piped()).spawn().expect("nsx");
    loop {
        let state = run(&["cg", "freeze", &group.path, "-n"]);
        if state.contains("already") {
            break;
        }
        std::thread::yield_now();
    }
    assert!(frozen.try_wait().expect("a child").is_none());
    run(&["cg", "thaw", &group.path]);
    assert!(frozen.wait().expect("a child").success());
}

fn killed() {
    let group = Group::new("killed", "freezer,memory");
    let child = group.below("child");
    // On v2 nobody may be in the one above.
    let other = group.below("other");
    for path in [&child, &other] {
        run(&["cg", "create", path, "-c", "freezer,memory"]);
    }
    let mut all: Vec<Idle> = (0..5).map(|_| Idle::start()).collect();
    for (index, idle) in all.iter().enumerate() {
        run(&["cg", "move", if index % 2 == 0 { &child } else { &other }, &idle.pid()]);
    }
    let outside = Idle::start();
    // Also where they stand still.
    run(&["cg", "freeze", &child]);
    let dry = change(&["kill", &group.path, "-n"]);
    assert_eq!((&dry["changes"][0]["killed"], &dry["changes"][0]["confirmed"]), (&5.into(), &false.into()));
    assert!(all.iter_mut().all(|idle| !idle.has_ended()));
    let document = change(&["kill", &group.path]);
    // v2 kills in one stroke, before anybody is counted.
    let count = if document["changes"][0]["file"] == "cgroup.kill" { Value::Null } else { 5.into() };
    assert_eq!((&document["changes"][0]["killed"], &document["changes"][0]["confirmed"]), (&count, &true.into()));
    for idle in &mut all {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(idle.0.wait().expect("a child").signal(), Some(9));
    }
    contains(&run(&["cg", "kill", &group.path]), &["nobody is in"]);
    // Without a freezer, and while some are born.
    let script = "echo $$ >\"$0/cgroup.procs\"; echo ready; while :; do sleep 60 & sleep 0.01; done";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(group.folder("memory").join("other")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut forker = Held::start_command(&mut command);
    forker.poke();
    let path = group.folder("memory").join("other");
    contains(&run(&["cg", "kill", path.to_str().expect("UTF-8")]), &["killed"]);
    assert_eq!(std::fs::read_to_string(path.join("cgroup.procs")).expect("a list"), "");
    assert!(nix::sys::signal::kill(nix::unistd::Pid::from_raw(outside.0.id().cast_signed()), None).is_ok());
}

fn members() {
    let group = Group::new("members", "pids,freezer");
    let child = group.below("child");
    let other = group.below("other");
    for path in [&child, &other] {
        run(&["cg", "create", path, "-c", "pids,freezer"]);
    }
    let held = Held::start(&["process", "pid"]);
    let (pid, idle) = (held.number(0).to_string(), Idle::start());
    run(&["cg", "move", &child, &pid]);
    run(&["cg", "move", &other, &idle.pid()]);
    if is_v1("pids") {
        // In one of two hierarchies only.
        std::fs::write(mounts_of("freezer").join("cgroup.procs"), idle.pid()).expect("moved");
    }
    let json = |arguments: &[&str]| {
        let all: Vec<&str> = ["cg", "procs", "--json"].into_iter().chain(arguments.iter().copied()).collect();
        document(&run(&all))
    };
    let document = json(&["-r", &group.path]);
    let procs = document["procs"].as_array().expect("procs");
    let of = |pid: &str| {
        procs
            .iter()
            .find(|one| one["pid"].as_u64() == pid.parse().ok())
            .unwrap_or_else(|| panic!("{pid}: {document:#}"))
    };
    assert_eq!(procs.len(), 2, "{document:#}");
    assert_eq!(of(&pid)["nspids"].to_string(), format!("[{pid},1]"));
    assert_eq!(of(&pid)["path"], child.as_str());
    assert_eq!(of(&idle.pid())["nspids"].to_string(), format!("[{}]", idle.pid()));
    assert_eq!((&of(&idle.pid())["uid"], &of(&idle.pid())["nthreads"]), (&0.into(), &1.into()));
    contains(of(&idle.pid())["command"].as_str().expect("a command"), &["fixture wait"]);
    let count = |one: &Value| one["hierarchies"].as_array().map(Vec::len);
    let all = if is_v1("pids") { 2 } else { 1 };
    assert_eq!((count(of(&pid)), count(of(&idle.pid()))), (Some(all), Some(1)));
    let table = run(&["cg", "procs", &child]);
    contains(&table, &["PID", "NSPID", "THREADS", "USER", "COMMAND", &format!("{pid} > 1 ")]);
    assert_eq!(json(&[&child])["procs"].as_array().map(Vec::len), Some(1));
    assert_eq!(json(&[&pid])["cgroups"][0]["path"], child.as_str());
    // From another pid namespace they have no pid.
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]).arg(nsx_path()).args(["cg", "procs", "-r", &group.path]);
    let out = output(&mut command);
    // v1 leaves them out of its lists, and so does not tell.
    let noted = text(&out.stderr).contains("nsx: note: 2 processes of other pid namespaces not listed");
    assert_eq!(noted, !is_v1("pids"), "{}", text(&out.stderr));
    assert_eq!(text(&out.stdout).lines().count(), 1, "{}", text(&out.stdout));
    let outside = document["outside"].clone();
    assert_eq!(outside, if is_v1("pids") { Value::Null } else { 0.into() });
}

fn threads() {
    let group = Group::unified("threads");
    let folder = group.v2();
    let directory = folder.to_str().expect("UTF-8").to_owned();
    let (a, b) = (format!("{directory}/a"), format!("{directory}/b"));
    // A thread of its own beside the main one.
    let held = Held::start(&["thread", "uts"]);
    let tid = held.words[0].clone();
    run(&["cg", "create", &a]);
    run(&["cg", "create", &b]);
    run(&["cg", "move", &directory, &held.pid().to_string()]);
    run(&["cg", "set", &a, "cgroup.type=threaded"]);
    contains(&run(&["cg", "move", "--thread", &a, &tid]), &[&format!("{tid} moved from ")]);
    let listed = run(&["cg", "procs", "--threads", "-n", &a]);
    assert!(listed.trim_start().starts_with(&tid) && listed.lines().count() == 1, "{listed}");
    // The list of processes of a threaded cgroup is one of threads.
    assert_eq!(run(&["cg", "procs", "-n", &a]).lines().count(), 1);
    let error = fails(&["cg", "move", &b, &held.pid().to_string()], 1);
    contains(&error, &["(domain invalid)", "(EOPNOTSUPP)", "hint: make it threaded, too: nsx cg set "]);
    if !linux_lacks_kill(&folder) {
        let error = fails(&["cg", "kill", &a], 1);
        contains(&error, &["it is threaded", "(EOPNOTSUPP)", "hint: kill the cgroup that its processes are in: "]);
    }
    contains(&run(&["cg", "kill", &directory]), &[" killed"]);
    assert!(is_cgroup2(&directory));
}

fn linux_lacks_kill(folder: &Path) -> bool {
    !folder.join("cgroup.kill").exists()
}
