//! What went wrong once in the commands that change cgroups: subtrees whose owners mean harm, signals in between, things said to be done
//! that were not.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::super::harness::group::{AS_USER, Group, Idle, contains, mounts};
use super::super::harness::{Need, Test, fails, nsx, nsx_path, output, run, test, text};

const V1: &[Need] = &[Need::Root, Need::OnV1("freezer"), Need::OnV1("memory"), Need::OnV1("pids")];
const USER: &[Need] = &[Need::Root, Need::OnV1("memory"), Need::Tool("setpriv")];

pub fn tests() -> Vec<Test> {
    vec![
        test("cg_change::a_wide_subtree_takes_few_descriptors", &[Need::Root], wide),
        test("cg_change::a_subtree_deeper_than_path_max", &[Need::Root], deep),
        test("cg_change::nobody_stays_frozen_after_a_signal", V1, signalled),
        test("cg_change::frozen_from_above_nobody_is_killed", V1, frozen_above),
        test("cg_change::who_has_ended_is_not_moved", &[Need::Root], zombie),
        test("cg_change::a_controller_is_not_to_be_had_in_another_hierarchy", V1, not_at_home),
        test("cg_change::below_a_cgroup_that_is_in_one_hierarchy", V1, below_one),
        test("cg_change::a_directory_on_no_hierarchy", &[Need::Root], no_hierarchy),
        test("cg_change::nsx_does_not_move_itself", &[Need::Root], own),
        test("cg_change::removed_by_several_at_once", &[Need::Root], race),
        test("cg_change::a_user_kills_all_he_may", USER, refused),
    ]
}

/// Runs nsx with no more than so many descriptors.
fn with_descriptors(most: u32, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]).arg(nsx_path()).args(arguments);
    output(&mut command)
}

fn wide() {
    for controllers in ["freezer", "memory", ""] {
        let group = match controllers {
            "" if mounts().iter().any(|(v2, ..)| *v2) => Group::unified("wide"),
            "" => continue,
            controllers => Group::new("wide", controllers),
        };
        let folder = if controllers.is_empty() { group.v2() } else { group.folder(controllers) };
        for number in 0..60 {
            std::fs::create_dir_all(folder.join(format!("{number}/x"))).expect("a cgroup");
        }
        let mut all: Vec<Idle> = (0..40).map(|_| Idle::start()).collect();
        for idle in &all {
            std::fs::write(folder.join("59/x/cgroup.procs"), idle.pid()).expect("moved");
        }
        let out = with_descriptors(48, &["cg", "kill", folder.to_str().expect("UTF-8")]);
        assert_eq!(out.status.code(), Some(0), "{controllers}: {}", text(&out.stderr));
        all.iter_mut().for_each(|idle| assert!(idle.0.wait().is_ok()));
        let out = with_descriptors(48, &["cg", "rm", "-r", folder.to_str().expect("UTF-8")]);
        assert_eq!(out.status.code(), Some(0), "{controllers}: {}", text(&out.stderr));
        assert!(!folder.exists());
    }
}

/// A chain of cgroups whose path is longer than any call takes.
struct Deep {
    name: String,
    all: Vec<OwnedFd>,
}

impl Deep {
    fn new(folder: &Path) -> Deep {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let top = open(folder, flags, Mode::empty()).expect("a cgroup");
        let mut deep = Deep { name: "y".repeat(250), all: vec![top] };
        for _ in 0..30 {
            let last = deep.all.last().expect("one");
            mkdirat(last, &deep.name[..], Mode::from_bits_truncate(0o755)).expect("a cgroup");
            let next = openat(last, &deep.name[..], flags, Mode::empty()).expect("a cgroup");
            deep.all.push(next);
        }
        deep
    }

    fn path(&self) -> String {
        format!("/{}", &self.name).repeat(self.all.len() - 1)
    }

    fn put(&self, idle: &Idle) {
        let last = self.all.last().expect("one");
        let list = openat(last, "cgroup.procs", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()).expect("a list");
        nix::unistd::write(&list, idle.pid().as_bytes()).expect("moved");
    }
}

impl Drop for Deep {
    fn drop(&mut self) {
        for above in self.all.iter().rev().skip(1) {
            let _ = unlinkat(above, &self.name[..], UnlinkatFlags::RemoveDir);
        }
    }
}

fn deep() {
    for controllers in ["freezer", "memory", ""] {
        let group = match controllers {
            "" if mounts().iter().any(|(v2, ..)| *v2) => Group::unified("deep"),
            "" => continue,
            controllers => Group::new("deep", controllers),
        };
        let folder = if controllers.is_empty() { group.v2() } else { group.folder(controllers) };
        let directory = folder.to_str().expect("UTF-8");
        let deep = Deep::new(&folder);
        let mut idle = Idle::start();
        deep.put(&idle);
        contains(&run(&["cg", "procs", "-r", directory]), &[&idle.pid()]);
        let leaf = format!("{directory}{}", deep.path());
        contains(&run(&["cg", "procs", &leaf]), &[&idle.pid()]);
        contains(&fails(&["cg", "rm", "-r", directory], 1), &[&format!("process {} is in it", idle.pid())]);
        contains(&run(&["cg", "kill", directory]), &["killed"]);
        assert!(idle.0.wait().is_ok());
        run(&["cg", "rm", &leaf]);
        run(&["cg", "rm", "-r", directory]);
        assert!(!folder.exists());
    }
}

fn signalled() {
    let group = Group::new("signalled", "freezer");
    let folder = group.folder("freezer");
    let all: Vec<Idle> = (0..150).map(|_| Idle::start()).collect();
    for idle in &all {
        std::fs::write(folder.join("cgroup.procs"), idle.pid()).expect("moved");
    }
    let mut nsx = nsx(&["cg", "kill", &group.path]).stdout(Stdio::null()).spawn().expect("nsx");
    let over = Instant::now() + Duration::from_secs(20);
    while group.read("freezer", "freezer.self_freezing") == "0" && nsx.try_wait().expect("nsx").is_none() {
        assert!(Instant::now() < over);
    }
    // It may have done all there is to do between two looks; as long as nobody has waited for it the pid is its own.
    if nsx.try_wait().expect("nsx").is_none() {
        let pid = nix::unistd::Pid::from_raw(nsx.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).expect("sent");
    }
    nsx.wait().expect("nsx");
    let frozen = group.read("freezer", "freezer.self_freezing");
    std::fs::write(folder.join("freezer.state"), "THAWED").expect("thawed");
    assert_eq!(frozen, "0");
}

fn refused() {
    let group = Group::new("refused", "memory");
    let folder = group.folder("memory");
    let (mut first, mut own, second) = (Idle::start(), Idle::start_as(&AS_USER), Idle::start());
    for idle in [&first, &own, &second] {
        std::fs::write(folder.join("cgroup.procs"), idle.pid()).expect("moved");
    }
    let mut command = Command::new(AS_USER[0]);
    command.args(&AS_USER[1..]).arg(nsx_path()).args(["cg", "kill"]).arg(&folder).current_dir("/");
    let out = output(&mut command);
    assert_eq!(out.status.code(), Some(1));
    let (a, b) = (format!("{} of uid 0", first.pid()), format!("{} of uid 0", second.pid()));
    contains(&text(&out.stderr), &["may not kill ", &a, &b, "hint: run as root\n"]);
    assert!(own.0.wait().is_ok() && !first.has_ended());
}

fn frozen_above() {
    let group = Group::new("above", "freezer,memory");
    let child = group.below("child");
    run(&["cg", "create", &child, "-c", "freezer,memory"]);
    let mut idle = Idle::start();
    run(&["cg", "move", &child, &idle.pid()]);
    run(&["cg", "freeze", &group.path]);
    let folder = group.folder("memory");
    for target in [&child[..], folder.to_str().expect("UTF-8")] {
        let out = output(&mut nsx(&["cg", "kill", target, "--timeout", "300ms"]));
        assert_eq!(out.status.code(), Some(1));
        contains(&text(&out.stdout), &["1 process in ", " sent SIGKILL", "; some are left\n"]);
        contains(&text(&out.stderr), &[&format!(": {} keeps it frozen\n", group.path), "hint: nsx cg thaw "]);
    }
    run(&["cg", "thaw", &group.path]);
    assert!(idle.0.wait().is_ok());
}

fn zombie() {
    let group = Group::new("zombie", "pids");
    let mut idle = Idle::start();
    idle.0.kill().expect("killed");
    while !std::fs::read_to_string(format!("/proc/{}/stat", idle.pid())).expect("a zombie").contains(") Z ") {
        std::thread::yield_now();
    }
    let out = output(&mut nsx(&["cg", "move", &group.path, &idle.pid()]));
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stdout));
    assert!(!text(&out.stdout).contains(" moved from "), "{}", text(&out.stdout));
    contains(&text(&out.stderr), &["cannot move ", "zombies are left"]);
    assert!(idle.0.wait().is_ok());
}

fn not_at_home() {
    let group = Group::named("home");
    let folder = group.folder("pids");
    let error = fails(&["cg", "create", folder.to_str().expect("UTF-8"), "-c", "pids,memory"], 1);
    contains(&error, &["memory is at home in another hierarchy, v1 memory at ", "hint: name that one: "]);
    assert!(!folder.exists());
    run(&["cg", "create", folder.to_str().expect("UTF-8"), "-c", "pids"]);
    assert!(folder.is_dir());
}

fn below_one() {
    let group = Group::new("one", "pids");
    run(&["cg", "create", &group.below("child")]);
    assert!(group.folder("pids").join("child").is_dir() && !group.folder("memory").exists());
    contains(&fails(&["cg", "create", &group.below("a/b")], 1), &["there is no ", "hint: -p makes those above"]);
}

fn no_hierarchy() {
    let mount = mounts().into_iter().next().expect("a mount").2;
    let beside = mount.parent().expect("a folder").join("nsx-test-beside");
    for path in [beside.to_str().expect("UTF-8"), "/tmp/nsx-test-x", "/proc/nsx-test-x", "/sys/fs/nsx-test-x"] {
        if path.starts_with("/nsx") || mounts().iter().any(|(_, _, mount)| Path::new(path).starts_with(mount)) {
            continue;
        }
        for arguments in [&["create", "-p", path][..], &["show", path], &["ls", path], &["kill", path]] {
            let all: Vec<&str> = ["cg"].iter().chain(arguments).copied().collect();
            let error = fails(&all, 1);
            contains(&error, &[" is no directory of a cgroup hierarchy; these are mounted: /"]);
            contains(&error, &[mount.to_str().expect("UTF-8"), &format!("hint: cgroup:{path} names a path")]);
        }
    }
    contains(&fails(&["cg", "show", "cgroup:/tmp/nsx-test-x"], 1), &["no cgroup /tmp/nsx-test-x"]);
}

fn own() {
    let group = Group::new("self", "pids");
    let error = fails(&["cg", "move", &group.path, "self"], 1);
    contains(&error, &[&format!("to {}: that is nsx itself, which ends at once", group.path)]);
    contains(&error, &[&format!("hint: nsx cg move {} $$ moves the shell", group.path)]);
}

fn race() {
    let group = Group::new("race", "pids");
    for a in 0..10 {
        for b in 0..20 {
            std::fs::create_dir_all(group.folder("pids").join(format!("{a}/{b}/c"))).expect("a cgroup");
        }
    }
    let start = || nsx(&["cg", "rm", "-r", &group.path]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
    let all: Vec<_> = (0..4).map(|_| start().expect("nsx")).collect();
    for nsx in all {
        let out = nsx.wait_with_output().expect("nsx");
        // Who comes last finds nothing to begin with.
        let errors = text(&out.stderr);
        assert!(out.status.success() || errors.contains("no cgroup /"), "{errors}");
    }
    assert!(!group.folder("pids").exists());
}
