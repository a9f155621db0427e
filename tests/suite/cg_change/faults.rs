//! What went wrong once in the commands that change cgroups: subtrees whose owners mean harm, signals in between, things said to be done
//! that were not.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::super::harness::group::{AS_USER, Group, Idle, contains, is_v1, mounts};
use super::super::harness::{Need, Test, fails, nsx, nsx_path, output, run, test, text};

const V1: &[Need] = &[Need::Root];
const USER: &[Need] = &[Need::Root, Need::Tool("setpriv")];

pub fn tests() -> Vec<Test> {
    vec![
        test("cg_change::a_wide_subtree_takes_few_descriptors", &[Need::Root], wide),
        test("cg_change::a_subtree_deeper_than_path_max", &[Need::Root], deep),
        test("cg_change::nobody_stays_frozen_after_a_signal", V1, signalled),
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
    if !is_v1("freezer") {
        return;
    }
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
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(nsx.id().cast_signed()), nix::sys::signal::SIGTERM)
        .expect("sent");
    nsx.wait().expect("nsx");
    assert_eq!(group.read("freezer", "freezer.self_freezing"), "0");
}

fn refused() {
    if !is_v1("memory") {
        return;
    }
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
