//! Cgroups that nsx makes for a test, and processes to be put into them. Those that a test makes without nsx are in `cgroup`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nsx::proc::parse;
use serde_json::Value;

use super::run;
use super::schema::document;

/// The mounts of cgroup file systems: whether it is v2, the controllers, where.
pub fn mounts() -> Vec<(bool, Vec<String>, PathBuf)> {
    let mountinfo = std::fs::read("/proc/self/mountinfo").expect("mountinfo");
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    parse::mountinfo(&mountinfo)
        .filter(|mount| matches!(mount.fs_type, b"cgroup" | b"cgroup2"))
        .map(|mount| {
            let options = utf8(mount.super_options).split(',').map(str::to_owned).collect();
            (mount.fs_type == b"cgroup2", options, utf8(&parse::unescape_octal(mount.point)).into())
        })
        .collect()
}

/// A cgroup of a test's own, in the hierarchies that nsx chooses; gone afterwards, with all that is in it.
pub struct Group {
    pub path: String,
}

impl Group {
    /// Names one, and makes it not.
    pub fn named(name: &str) -> Group {
        Group { path: format!("/nsx-test-{name}-{}", std::process::id()) }
    }

    /// Makes one for these controllers.
    pub fn new(name: &str, controllers: &str) -> Group {
        let group = Group::named(name);
        run(&["cg", "create", &group.path, "-c", controllers]);
        group
    }

    /// Makes one in v2 and nowhere else, also on a hybrid host.
    pub fn unified(name: &str) -> Group {
        let group = Group::named(name);
        std::fs::create_dir(group.v2()).expect("a cgroup");
        group
    }

    pub fn below(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Its directory in the hierarchy of a controller.
    pub fn folder(&self, controller: &str) -> PathBuf {
        let all = mounts();
        let v1 = all.iter().find(|(v2, options, _)| !v2 && options.iter().any(|option| option == controller));
        let mount = v1.or_else(|| all.iter().find(|(v2, ..)| *v2)).expect("a hierarchy");
        mount.2.join(&self.path[1..])
    }

    /// Its directory in v2.
    pub fn v2(&self) -> PathBuf {
        mounts().into_iter().find(|(v2, ..)| *v2).expect("cgroup2").2.join(&self.path[1..])
    }

    pub fn read(&self, controller: &str, file: &str) -> String {
        let path = self.folder(controller).join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody dies in one hierarchy who stands still in another.
        for (_, _, mount) in mounts() {
            thaw(&mount.join(&self.path[1..]));
        }
        for (_, _, mount) in mounts() {
            remove(&mount.join(&self.path[1..]));
        }
    }
}

fn thaw(folder: &Path) {
    for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        let _ = std::fs::OpenOptions::new().write(true).open(folder.join(file)).map(|mut file| {
            use std::io::Write;
            let _ = file.write_all(word.as_bytes());
        });
    }
}

/// Thaws, kills and removes, without nsx.
fn remove(folder: &Path) {
    if !folder.is_dir() {
        return;
    }
    thaw(folder);
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    while std::fs::remove_dir(folder).is_err_and(|error| error.raw_os_error() == Some(nix::libc::EBUSY)) {
        for pid in std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default().lines() {
            if let Some(pid) = pid.parse().ok().filter(|pid| *pid > 0) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
            }
        }
        std::thread::yield_now();
    }
}

/// A process that does nothing until it is dropped.
pub struct Idle(pub Child);

impl Idle {
    pub fn start() -> Idle {
        Idle::start_as(&[])
    }

    /// Starts it below another program that gives it other credentials. It ends when its standard input does.
    pub fn start_as(prefix: &[&str]) -> Idle {
        let mut command = match prefix {
            [] => {
                let mut command = Command::new(std::env::current_exe().expect("this test"));
                command.args(["fixture", "wait"]);
                command
            }
            // This test may lie where nobody else can execute it.
            [tool, rest @ ..] => {
                let mut command = Command::new(tool);
                command.args(rest).arg("cat");
                command
            }
        };
        Idle(command.stdin(Stdio::piped()).spawn().expect("a process"))
    }

    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }

    pub fn is_in(&self, path: &str) -> bool {
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", self.0.id())).unwrap_or_default();
        text.lines().any(|line| line.ends_with(&format!(":{path}")))
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_some()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        // Who stands still does not die before it is let go, which is up to whoever made the cgroup.
        for _ in 0..200 {
            if self.has_ended() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Runs a command that changes something with `--json`, and holds the document against its schema.
pub fn change(arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["cg"].into_iter().chain(arguments.iter().copied()).chain(["--json"]).collect();
    document(&run(&all))
}

pub fn is_v1(controller: &str) -> bool {
    mounts().iter().any(|(v2, options, _)| !v2 && options.iter().any(|option| option == controller))
}

pub fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

pub fn mounts_of(controller: &str) -> PathBuf {
    let all = mounts();
    let found = all.iter().find(|(v2, options, _)| !v2 && options.iter().any(|option| option == controller));
    found.expect("a hierarchy").2.clone()
}

pub const AS_USER: [&str; 6] = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
