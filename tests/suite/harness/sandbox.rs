//! Sandboxes of nsx run, seen from outside: their cgroups, the processes of nsx that keep them, and those that nobody waits for.

use std::path::PathBuf;
use std::process::Command;

use super::group::mounts;
use super::processes::{marked, new_mark, until_so};
use super::{nsx, output, text};

/// Returns the cgroups of the sandbox with this name, in all hierarchies.
pub fn cgroups(name: &str) -> Vec<PathBuf> {
    let name = format!("nsx-{name}");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = mounts().into_iter().map(|(.., point)| point).collect();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            if entry.file_name() == name.as_str() {
                found.push(entry.path());
            }
            folders.push(entry.path());
        }
    }
    found
}

/// The processes of nsx in a sandbox: the stub, which cleans up, and the first one of its pid namespace, which becomes the command where
/// there is no init.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keepers {
    pub stub: Option<u32>,
    pub init: Option<u32>,
}

/// Returns those of a sandbox by its name: the one that was given, or nsx's pid.
pub fn keepers(name: &str) -> Keepers {
    let mut found = Keepers::default();
    for pid in marked("nsx: sandbox") {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if arguments.split(|&byte| byte == 0).nth(1) != Some(name.as_bytes()) {
            continue;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let inside = std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = std::fs::read_link("/proc/self/ns/pid").ok();
        match numbers.split_whitespace().count() > 1 || inside != own {
            true => found.init = Some(pid),
            false => found.stub = Some(pid),
        }
    }
    found
}

/// A sandbox that nobody waits for; it ends when this is dropped.
pub struct Detached {
    pub name: String,
}

impl Detached {
    /// Names one, and starts none.
    pub fn named() -> Detached {
        Detached { name: format!("test-life-{}", new_mark()) }
    }

    pub fn command(&self, options: &[&str], words: &[&str]) -> Command {
        let mut command = nsx(&["run", "-d", "--name", &self.name]);
        command.args(options).args(words);
        command
    }

    pub fn start(options: &[&str], words: &[&str]) -> Detached {
        let detached = Detached::named();
        let done = output(&mut detached.command(options, words));
        let seen = (done.status.code(), text(&done.stdout), text(&done.stderr));
        assert_eq!(seen, (Some(0), format!("{}\n", detached.name), String::new()), "{options:?} {words:?}");
        detached
    }

    pub fn is_there(&self) -> bool {
        let found = keepers(&self.name);
        found.init.is_some() || found.stub.is_some()
    }

    /// Returns its first process, which must be there.
    pub fn init(&self) -> u32 {
        keepers(&self.name).init.expect("a first process")
    }

    pub fn until_gone(&self) {
        until_so("the end of the sandbox", || !self.is_there());
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(init) = keepers(&self.name).init {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(init as i32), nix::sys::signal::SIGKILL);
        }
    }
}
