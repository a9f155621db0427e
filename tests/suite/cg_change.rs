//! The commands of nsx cg that set knobs, make cgroups and remove them, on whatever hierarchies the machine has. Every refusal is caused
//! for real. All cgroups are made for the test, and removed.

mod faults;

use std::process::Command;

use super::harness::group::{Group, Idle, change, contains, is_v1, mounts};
use super::harness::{Module, Need, Place, document, fails, held::Held, nsx, nsx_path, output, run, test, text};

const V2: &[Need] = &[Need::Root, Need::Cgroup2];
const MOUNTS: &[Need] = &[Need::Root, Need::Tool("unshare"), Need::Tool("mount")];

pub fn module() -> Module {
    let mut tests = vec![
        test("cg_change::knobs_are_set_and_read_back", &[Need::Root], set),
        test("cg_change::what_was_done_before_a_refusal_is_said", &[Need::Root], set_halfway),
        test("cg_change::swap_is_limited_by_its_v2_name", &[Need::Root], swap),
        test("cg_change::a_controller_that_ends_above_is_named", V2, not_enabled),
        test("cg_change::no_internal_processes", V2, internal),
        test("cg_change::a_knob_without_its_cgroup", &[Need::Root], elsewhere),
        test("cg_change::memory_that_is_used_already", &[Need::Root], usage),
        test("cg_change::what_is_refused_leaves_nothing", &[Need::Root], created),
        test("cg_change::nobody_is_killed_by_removing", &[Need::Root], removed),
        test("cg_change::a_dry_run_does_nothing", &[Need::Root], dry),
        test("cg_change::a_read_only_mount", MOUNTS, read_only),
    ];
    tests.extend(faults::tests());
    Module { name: "cg_change", places: &[Place::Vm], tests }
}

fn set() {
    let group = Group::new("set", "memory,pids,cpu,cpuset");
    let path = &group.path;
    let document =
        change(&["set", path, "memory.max=64.5M", "pids.max=20", "cpu.max=0.5", "cpu.weight=200", "cpuset.cpus=0"]);
    let changes = document["changes"].as_array().expect("changes");
    assert!(changes.iter().all(|change| change["confirmed"] == true), "{document:#}");
    let of = |knob: &str| {
        changes.iter().find(|change| change["knob"] == knob).unwrap_or_else(|| panic!("{knob}: {document:#}"))
    };
    assert_eq!((&of("memory.max")["before"], &of("memory.max")["after"]), (&"max".into(), &67_633_152.into()));
    let of_memory = if is_v1("memory") { "memory.limit_in_bytes" } else { "memory.max" };
    assert_eq!(group.read("memory", of_memory), "67633152");
    assert_eq!(group.read("pids", "pids.max"), "20");
    assert_eq!(group.read("cpuset", "cpuset.cpus"), "0");
    match is_v1("cpu") {
        true => {
            assert_eq!(group.read("cpu", "cpu.cfs_quota_us"), "50000");
            assert_eq!(group.read("cpu", "cpu.shares"), of("cpu.weight")["after"].to_string());
        }
        false => assert_eq!(
            (group.read("cpu", "cpu.max"), group.read("cpu", "cpu.weight")),
            ("50000 100000".into(), "200".into())
        ),
    }
    // Sizes are cut to pages, and what is so already is said to be.
    let said = run(&["cg", "set", path, "memory.max=67633999"]);
    contains(&said, &[&format!("memory.max of {path}: 64.5M, as before")]);
    let said = run(&["cg", "set", path, "pids.max=max", "cpu.max=20000 50000"]);
    contains(&said, &[&format!("pids.max of {path}: 20 -> max\n")]);
    // Whatever else there is is taken as it is.
    let raw = if is_v1("memory") { ("memory.swappiness", "10") } else { ("cgroup.max.depth", "3") };
    contains(&run(&["cg", "set", path, &format!("{}={}", raw.0, raw.1)]), &[raw.0, &format!("-> {}", raw.1)]);
    // By a process, and by a directory.
    let idle = Idle::start();
    run(&["cg", "move", path, &idle.pid()]);
    run(&["cg", "set", &idle.pid(), "pids.max=7"]);
    run(&["cg", "set", group.folder("memory").to_str().expect("UTF-8"), "memory.max=70M"]);
    assert_eq!((group.read("pids", "pids.max"), group.read("memory", of_memory)), ("7".into(), "73400320".into()));
}

fn set_halfway() {
    let group = Group::new("halfway", "memory,pids");
    let of_memory = if is_v1("memory") { "memory.limit_in_bytes" } else { "memory.max" };
    let before = group.read("memory", of_memory);
    // What makes no sense is found before anything is written.
    for wrong in ["pids.max=x", "pids.max", "no/knob=1"] {
        fails(&["cg", "set", &group.path, "memory.max=64M", wrong], 2);
    }
    for (wrong, why) in [
        ("memory.nothing=1", "it has no file memory.nothing"),
        ("cgroup.freeze=1", "nsx cg freeze does that"),
        ("nothing.at=all", "it has no file nothing.at"),
    ] {
        contains(&fails(&["cg", "set", &group.path, "memory.max=64M", wrong], 1), &[why]);
    }
    for command in ["set", "create"] {
        let error = fails(&["cg", command, &group.path, "memory.max=64M", "memory.max=1M"], 2);
        contains(&error, &["cannot set memory.max: it is given twice"]);
    }
    assert_eq!(group.read("memory", of_memory), before);
    // What the kernel alone knows to be wrong comes after.
    let out = output(&mut nsx(&["cg", "set", &group.path, "memory.max=64M", "pids.max=99999999999"]));
    assert_eq!(out.status.code(), Some(1));
    contains(&text(&out.stdout), &[&format!("memory.max of {}: max -> 64M", group.path)]);
    contains(&text(&out.stderr), &["cannot set pids.max", "(EINVAL)", &format!("; done before: {of_memory}\n")]);
    assert_eq!(group.read("memory", of_memory), "67108864");
    let out = output(&mut nsx(&["cg", "set", &group.path, "memory.max=65M", "pids.max=99999999999", "--json"]));
    let document = document(&text(&out.stdout));
    assert!(document["error"].as_str().is_some_and(|error| error.contains("EINVAL")), "{document:#}");
    assert_eq!(document["changes"].as_array().map(Vec::len), Some(1));
}

fn swap() {
    let group = Group::new("swap", "memory");
    if !is_v1("memory") {
        run(&["cg", "set", &group.path, "memory.max=64M", "memory.swap.max=16M"]);
        assert_eq!(group.read("memory", "memory.swap.max"), "16777216");
        contains(&fails(&["cg", "set", &group.path, "memory.memsw.max=1G"], 1), &["only v1 has memory.memsw.max"]);
        return;
    }
    let both = || (group.read("memory", "memory.limit_in_bytes"), group.read("memory", "memory.memsw.limit_in_bytes"));
    let mib = |memory: u64, swap: u64| ((memory << 20).to_string(), (swap << 20).to_string());
    contains(
        &fails(&["cg", "set", &group.path, "memory.swap.max=1M"], 1),
        &["only together with memory", "hint: set both: nsx cg set"],
    );
    for (asked, expected) in [
        (&["memory.max=64M", "memory.swap.max=16M"][..], mib(64, 80)),
        (&["memory.max=100M"], mib(100, 116)),
        (&["memory.max=32M"], mib(32, 48)),
        (&["memory.swap.max=0"], mib(32, 32)),
        (&["memory.memsw.max=90M"], mib(32, 90)),
        (&["memory.max=80M", "memory.swap.max=0"], mib(80, 80)),
    ] {
        let all: Vec<&str> = ["cg", "set", &group.path].into_iter().chain(asked.iter().copied()).collect();
        run(&all);
        assert_eq!(both(), expected, "{asked:?}");
    }
    contains(
        &fails(&["cg", "set", &group.path, "memory.high=1M"], 1),
        &["v1 has nothing that does what memory.high does"],
    );
}

fn not_enabled() {
    let group = Group::unified("enabled");
    let leaf = group.below("a");
    std::fs::create_dir(group.v2().join("a")).expect("a cgroup");
    let error = fails(&["cg", "set", &leaf, "memory.max=64M"], 1);
    contains(&error, &["cannot set memory.max", "memory ends at ", "cgroup.subtree_control", "hint: nsx cg set "]);
    // As often as the hint is followed it gets further down.
    for _ in 0..3 {
        let out = output(&mut nsx(&["cg", "set", &leaf, "memory.max=64M"]));
        if out.status.success() {
            break;
        }
        let errors = text(&out.stderr);
        let hint = errors.split("hint: nsx ").nth(1).expect("a hint").trim();
        run(&hint.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(std::fs::read_to_string(group.v2().join("a/memory.max")).expect("a limit"), "67108864\n");
    // A controller that those below hand on is not taken back.
    run(&["cg", "set", &leaf, "cgroup.subtree_control=+memory"]);
    let error = fails(&["cg", "set", &group.path, "cgroup.subtree_control=-memory"], 1);
    contains(&error, &["handed on below, by ", &leaf, "(EBUSY)"]);
    contains(&fails(&["cg", "set", &leaf, "cgroup.subtree_control=+nothing"], 1), &["(EINVAL)"]);
    contains(
        &fails(&["cg", "set", &leaf, "cgroup.max.depth=1", "memory.nothing=1"], 1),
        &["it has no file memory.nothing"],
    );
}

fn internal() {
    let group = Group::new("internal", "memory");
    let idle = Idle::start();
    run(&["cg", "move", &group.path, &idle.pid()]);
    let error = fails(&["cg", "set", &group.path, "cgroup.subtree_control=+memory"], 1);
    let leaf = group.below("leaf");
    contains(&error, &[&format!("process {} is in it", idle.pid()), "(EBUSY)", "hint: move them into a leaf first: "]);
    contains(&error, &[&format!("nsx cg create {leaf} && nsx cg move {leaf} {} ", idle.pid())]);
    // The same where it is needed for a new cgroup; nothing is left of that.
    let error = fails(&["cg", "create", &leaf, "memory.max=64M"], 1);
    contains(&error, &[&format!("cannot set cgroup.subtree_control of {}", group.path), "is in it"]);
    assert!(!group.v2().join("leaf").exists());
    run(&["cg", "create", &leaf]);
    run(&["cg", "move", &leaf, &idle.pid()]);
    run(&["cg", "set", &group.path, "cgroup.subtree_control=+memory"]);
    // And now the other way round.
    let error = fails(&["cg", "move", &group.path, &idle.pid()], 1);
    contains(
        &error,
        &[
            "it hands on memory, and then no process may be in it",
            "(EBUSY)",
            &format!("hint: move it to a cgroup below: {leaf}"),
        ],
    );
}

fn elsewhere() {
    let group = Group::new("elsewhere", "pids");
    if is_v1("pids") && is_v1("memory") {
        let error = fails(&["cg", "set", &group.path, "memory.max=64M"], 1);
        contains(
            &error,
            &["memory is at home in v1 memory, where there is no such cgroup", "hint: make one there: nsx cg create"],
        );
        run(&["cg", "create", &group.path, "--controllers", "memory"]);
        let directory = group.folder("pids");
        let error = fails(&["cg", "set", directory.to_str().expect("UTF-8"), "memory.max=64M"], 1);
        contains(&error, &["memory is at home in another hierarchy, v1 memory at ", "hint: name that one: "]);
    }
    let error = fails(&["cg", "set", &group.below("nothing"), "pids.max=1"], 1);
    contains(&error, &["no cgroup ", "(ENOENT)"]);
}

fn usage() {
    let group = Group::new("usage", "memory");
    let script = "echo $$ >\"$1/cgroup.procs\" && exec \"$2\" fixture memory 40";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(group.folder("memory")).arg(std::env::current_exe().expect("this test"));
    let held = Held::start_command(&mut command);
    if is_v1("memory") {
        let error = fails(&["cg", "set", &group.path, "memory.max=8M"], 1);
        contains(&error, &["bytes are used, of which not enough could be reclaimed for 8388608", "(EBUSY)"]);
        contains(&error, &["hint: have the kernel give up what it can first: nsx cg set", "memory.force_empty=0"]);
        run(&["cg", "set", &group.path, "memory.force_empty=0"]);
    } else {
        run(&["cg", "set", &group.path, "memory.max=100M"]);
        assert_eq!(group.read("memory", "memory.max"), "104857600");
        // What is in use, and has no swap to go to, stays.
        let out = output(&mut nsx(&["cg", "set", &group.path, "memory.reclaim=30M"]));
        let (said, errors) = (text(&out.stdout), text(&out.stderr));
        assert!(
            said.contains("written, cannot be read back") || errors.contains("less could be reclaimed"),
            "{said}{errors}"
        );
    }
    drop(held);
}

fn created() {
    let group = Group::named("created");
    let path = &group.path;
    let nothing = || mounts().iter().all(|(_, _, mount)| !mount.join(&path[1..]).exists());
    // The kernel refuses the second, so neither is left.
    for asked in ["pids.max=99999999999", "memory.nothing=1"] {
        let error = fails(&["cg", "create", path, "memory.max=64M", asked], 1);
        contains(&error, &["cannot set "]);
        assert!(!error.contains("done before"), "{error}");
        assert!(nothing(), "{asked}");
    }
    contains(&fails(&["cg", "create", &group.below("a/b")], 1), &["there is no ", "hint: -p makes those above"]);
    for (name, why) in [
        ("/..", "no cgroup is called . or .."),
        ("/a/../b", "no cgroup is called . or .."),
        ("/a\nb", "a name has no newline in it"),
    ] {
        contains(&fails(&["cg", "create", &format!("{path}{name}")], 1), &[why]);
    }
    contains(&fails(&["cg", "create", "word"], 2), &["a new cgroup has a path"]);
    contains(&fails(&["cg", "create", "1"], 2), &["a new cgroup has a path"]);
    contains(&fails(&["cg", "create", "/"], 1), &["it is the root"]);
    assert!(nothing());
    let document = change(&["create", "-p", &group.below("a/b"), "memory.max=64M", "pids.max=5", "cpuset.cpus=0"]);
    let changes = document["changes"].as_array().expect("changes");
    assert!(changes.iter().all(|change| change["confirmed"] == true), "{document:#}");
    contains(
        &fails(&["cg", "create", &group.below("a/b"), "-c", "pids"], 1),
        &["there is one already", "hint: -p does not mind"],
    );
    run(&["cg", "create", "-p", &group.below("a/b"), "pids.max=6"]);
    // It can be used at once.
    let idle = Idle::start();
    run(&["cg", "move", &group.below("a/b"), &idle.pid()]);
    assert!(idle.is_in(&group.below("a/b")));
    // Names are whatever the kernel takes, and never reach a terminal as they are.
    let odd = group.below("x \u{1b}[31m:\u{202e}'y");
    let said = run(&["cg", "create", &odd, "-c", "pids"]);
    contains(&said, &["/x \\x1b[31m:\\u{202e}'y created"]);
    let document = change(&["rm", &odd]);
    assert_eq!(document["changes"][0]["path"], odd.as_str());
}

fn removed() {
    let group = Group::new("removed", "pids,memory");
    let child = group.below("child");
    run(&["cg", "create", &child, "-c", "pids,memory"]);
    contains(
        &fails(&["cg", "rm", &group.path], 1),
        &[&format!("cgroups are below it ({child})"), "(EBUSY)", "hint: nsx cg rm -r "],
    );
    let mut idle = Idle::start();
    run(&["cg", "move", &child, &idle.pid()]);
    for arguments in [&["cg", "rm", &child][..], &["cg", "rm", "-r", &group.path]] {
        let error = fails(arguments, 1);
        contains(&error, &[&format!("cannot remove {child}: process {} is in it", idle.pid()), "hint: nsx cg kill "]);
    }
    assert!(!idle.has_ended());
    assert!(group.folder("pids").join("child").is_dir());
    drop(idle);
    let said = run(&["cg", "rm", "-r", &group.path]);
    assert!(said.find("child removed") < said.rfind(&format!("{} removed", group.path)), "{said}");
    assert!(!group.folder("pids").exists() && !group.folder("memory").exists());
    contains(&fails(&["cg", "rm", &group.path], 1), &["no cgroup "]);
    contains(&fails(&["cg", "rm", "/"], 1), &["it is the root of its hierarchy"]);
}

fn dry() {
    let group = Group::named("dry");
    contains(
        &run(&["cg", "create", "-n", &group.path, "pids.max=5"]),
        &["would be created", "pids.max of ", "would be set: - -> 5"],
    );
    assert!(mounts().iter().all(|(_, _, mount)| !mount.join(&group.path[1..]).exists()));
    run(&["cg", "create", &group.path, "-c", "pids,freezer"]);
    let idle = Idle::start();
    contains(&run(&["cg", "move", "-n", &group.path, &idle.pid()]), &["would be moved from "]);
    assert!(!idle.is_in(&group.path));
    contains(&run(&["cg", "set", "-n", &group.path, "pids.max=5"]), &["would be set: max -> 5"]);
    assert_eq!(group.read("pids", "pids.max"), "max");
    contains(&run(&["cg", "freeze", "-n", &group.path]), &["would be frozen"]);
    contains(&run(&["cg", "rm", "-n", &group.path]), &["would be removed"]);
    assert_eq!(change(&["rm", "-n", &group.path])["dry_run"], true);
    assert!(group.folder("pids").is_dir());
}

fn read_only() {
    let group = Group::unified("readonly");
    let mount = group.v2().parent().expect("a mount").to_owned();
    let script = "mount -o remount,bind,ro \"$0\" && for what in 'set cgroup.max.depth=3' create/a freeze rm; do
        case $what in
            set*) \"$NSX\" cg set \"$1\" \"${what#* }\" ;;
            create*) \"$NSX\" cg create \"$1/a\" ;;
            *) \"$NSX\" cg $what \"$1\" ;;
        esac
    done";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(&mount).arg(group.v2()).env("NSX", nsx_path());
    let errors = text(&output(&mut command).stderr);
    for what in ["cannot set cgroup.max.depth", "cannot create", "cannot freeze", "cannot remove"] {
        let line = errors.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {errors}"));
        contains(line, &[&format!("{} is mounted read-only", mount.display()), "(EROFS)"]);
    }
    contains(&errors, &[&format!("hint: mount -o remount,rw {}", mount.display())]);
}
