//! nsx enter beside the nsenter(1) that is installed: one target, the same arguments, both results.
//!
//! What an older nsenter cannot do is asked of nsx alone.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::held::Held;
use super::{is_cgroup2, nsx, output, text};

/// All kinds that a target of root can have for itself without a user namespace.
pub const KINDS: &str = "cgroup,ipc,mnt,net,pid,time,uts";
/// A process to be entered, and its pid.
pub struct Target(pub Held, pub String);

impl Target {
    pub fn start(role: &[&str]) -> Target {
        let held = Held::start(role);
        let pid = held.number(0).to_string();
        Target(held, pid)
    }

    pub fn namespace(&self, kind: &str) -> String {
        namespace_of(&self.1, kind)
    }

    pub fn file(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.1)
    }
}

pub fn namespace_of(pid: &str, kind: &str) -> String {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a link");
    format!("{kind} {}", link.display())
}

/// A cgroup of a test's own with a target in it; both are gone afterwards.
pub struct Cgroup {
    pub path: PathBuf,
    target: Option<Target>,
}

impl Cgroup {
    pub fn new(name: &str) -> Cgroup {
        // On a hybrid host a hierarchy of version 1 is as good.
        let below = if is_cgroup2("/sys/fs/cgroup") { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
        if below == "/sys/fs/cgroup" {
            std::fs::write(Path::new(below).join("cgroup.subtree_control"), "+pids").expect("pids");
        }
        let path = Path::new(below).join(format!("nsx-test-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a cgroup");
        let target = Target::start(&["enter-target", "mnt,pid,uts"]);
        let cgroup = Cgroup { path, target: Some(target) };
        std::fs::write(cgroup.path.join("cgroup.procs"), cgroup.pid()).expect("moved");
        cgroup
    }

    pub fn pid(&self) -> &str {
        &self.target.as_ref().expect("a target").1
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Nobody may be left in it.
        drop(self.target.take());
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// How a run went, as far as both are to agree.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its standard output.
    pub out: String,
    /// Its exit code, if it had one.
    pub code: Option<i32>,
    /// The signal that it died by, otherwise.
    pub signal: Option<i32>,
}

/// Runs a program with arguments in which `PID` stands for the target and `SELF` for this test binary as a command that looks around.
fn run(mut program: Command, target: &Target, arguments: &[&str], from: &Path) -> (Seen, String) {
    let own = std::env::current_exe().expect("this test");
    for argument in arguments {
        match *argument {
            "PID" => program.arg(&target.1),
            "SELF" => program.arg(&own).args(["fixture", "look"]),
            other => program.arg(other),
        };
    }
    let done = output(program.stdin(Stdio::null()).current_dir(from));
    let seen = Seen { out: text(&done.stdout), code: done.status.code(), signal: done.status.signal() };
    (seen, text(&done.stderr))
}

pub fn ours(target: &Target, arguments: &[&str], from: &Path) -> (Seen, String) {
    run(nsx(&["enter"]), target, arguments, from)
}

pub fn theirs(target: &Target, arguments: &[&str], from: &Path) -> (Seen, String) {
    let mut nsenter = Command::new("nsenter");
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "TERM", "COLUMNS"] {
        nsenter.env_remove(name);
    }
    run(nsenter, target, arguments, from)
}

/// Says whether the nsenter that is installed is at least of this version of util-linux.
pub fn nsenter_since(version: (u32, u32)) -> bool {
    let said = text(&output(Command::new("nsenter").arg("--version")).stdout);
    let numbers = said.split(|character: char| !character.is_ascii_digit()).filter(|word| !word.is_empty());
    let mut numbers = numbers.map(|word| word.parse().expect("digits"));
    (numbers.next().expect("a version"), numbers.next().expect("a version")) >= version
}

/// Runs both, compares them where nsenter knows the options, and returns what nsx has printed. It must have gone well.
pub fn same_since(version: (u32, u32), target: &Target, arguments: &[&str]) -> String {
    let from = Path::new("/usr");
    let (ours, error) = ours(target, arguments, from);
    assert_eq!((ours.code, ours.signal), (Some(0), None), "nsx enter {arguments:?}: {error}");
    // As an ordinary user it fails where setgroups(2) is denied, as it is in every rootless container (util-linux issue 3553).
    if nsenter_since(version) && nix::unistd::geteuid().is_root() {
        let (theirs, error) = theirs(target, arguments, from);
        assert_eq!(ours, theirs, "{arguments:?}, ours and theirs, which said: {error}");
    }
    ours.out
}

pub fn same(target: &Target, arguments: &[&str]) -> String {
    same_since((2, 39), target, arguments)
}

/// Makes sure that of all namespaces just these are the target's, and the others the caller's.
pub fn just_these(seen: &str, target: &Target, kinds: &[&str]) {
    for line in seen.lines() {
        let kind = line.split(' ').next().expect("a kind");
        // A pid namespace brings its own /proc along, which takes a mnt namespace; a child of it has the same for its children.
        if kind == "pid_for_children" || (kind == "mnt" && kinds.contains(&"pid") && !kinds.contains(&"mnt")) {
            continue;
        }
        let expected = if kinds.contains(&kind) { target.namespace(kind) } else { namespace_of("self", kind) };
        assert_eq!(line, expected, "{kinds:?}");
    }
    assert_eq!(seen.lines().count(), 9, "{seen}");
}
