//! Cgroups of a test's own, on whatever hierarchies the machine has: v1, v2 or both. They are gone afterwards, and so is whoever is still
//! in them, also when the test fails.
//!
//! At the top of a hierarchy nothing is written, except in a virtual machine, where controllers of v2 are enabled for those below.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nsx::proc::parse;

use super::Place;

/// A hierarchy that is mounted.
struct Mounted {
    point: PathBuf,
    is_v2: bool,
    /// Its controllers; those of v2 are all that it can have.
    controllers: Vec<String>,
}

fn mounted() -> Vec<Mounted> {
    let mountinfo = std::fs::read("/proc/self/mountinfo").expect("mountinfo");
    let one = |mount: parse::MountLine<'_>| {
        let point = PathBuf::from(std::ffi::OsString::from_vec(parse::unescape_octal(mount.point).into_owned()));
        let controllers = match mount.fs_type {
            b"cgroup2" => std::fs::read_to_string(point.join("cgroup.controllers")).ok()?,
            b"cgroup" => String::from_utf8_lossy(mount.super_options).replace(',', " "),
            _ => return None,
        };
        let controllers = controllers.split_whitespace().map(str::to_owned).collect();
        Some(Mounted { point, is_v2: mount.fs_type == b"cgroup2", controllers })
    };
    parse::mountinfo(&mountinfo).filter_map(one).collect()
}

/// Says whether a test can use a controller: by v1, or by v2 where that passes it down or may be told to.
pub fn is_usable(controller: &str) -> bool {
    let all = mounted();
    let Some(home) = home(&all, controller) else { return false };
    !home.is_v2 || Place::here() == Place::Vm || is_enabled(&home.point, controller)
}

fn home<'a>(all: &'a [Mounted], controller: &str) -> Option<&'a Mounted> {
    // v1 has another name for this one.
    let is_it = |found: &String| found == controller || (controller == "io" && found == "blkio");
    all.iter().find(|one| one.controllers.iter().any(is_it))
}

fn is_enabled(folder: &Path, controller: &str) -> bool {
    let enabled = std::fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
    enabled.split_whitespace().any(|found| found == controller)
}

/// A cgroup of a test's own in v2, and in each hierarchy of v1 that has one of the controllers that it wants, always by the same name.
pub struct Own {
    name: String,
    controllers: Vec<&'static str>,
    homes: Vec<Mounted>,
}

impl Own {
    pub fn new(name: &str, controllers: &[&'static str]) -> Own {
        let mut homes = mounted();
        homes.retain(|home| {
            home.is_v2 || controllers.iter().any(|wanted| home.controllers.iter().any(|has| has == wanted))
        });
        assert!(!homes.is_empty(), "no hierarchy is mounted");
        let name = format!("nsx-test-{name}-{}", std::process::id());
        let own = Own { name, controllers: controllers.to_vec(), homes };
        for home in own.homes.iter().filter(|home| home.is_v2 && Place::here() == Place::Vm) {
            own.enable(home, &home.point);
        }
        own.make("");
        own
    }

    /// Returns its name, which is the last part of its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of a cgroup below it, or, for an empty text, its own.
    pub fn path(&self, below: impl AsRef<OsStr>) -> Vec<u8> {
        let below = below.as_ref().as_bytes();
        let slash = if below.is_empty() { "" } else { "/" };
        [b"/", self.name.as_bytes(), slash.as_bytes(), below].concat()
    }

    /// Returns the same where it is UTF-8.
    pub fn text(&self, below: &str) -> String {
        String::from_utf8(self.path(below)).expect("UTF-8")
    }

    fn folder_in(&self, home: &Mounted, below: impl AsRef<OsStr>) -> PathBuf {
        let below = below.as_ref();
        let own = home.point.join(&self.name);
        if below.is_empty() { own } else { own.join(below) }
    }

    /// Returns its directories, or those of a cgroup below it, one in each hierarchy.
    pub fn folders(&self, below: impl AsRef<OsStr>) -> Vec<PathBuf> {
        self.homes.iter().map(|home| self.folder_in(home, &below)).collect()
    }

    fn home(&self, controller: &str) -> &Mounted {
        home(&self.homes, controller).unwrap_or_else(|| panic!("no {controller} here"))
    }

    /// Says whether v2 has a controller.
    pub fn is_v2(&self, controller: &str) -> bool {
        self.home(controller).is_v2
    }

    /// Returns where the hierarchy of a controller is mounted.
    pub fn point(&self, controller: &str) -> &Path {
        &self.home(controller).point
    }

    /// Returns where v2 is mounted, if it is.
    pub fn unified(&self) -> Option<&Path> {
        self.homes.iter().find(|home| home.is_v2).map(|home| home.point.as_path())
    }

    /// Returns the directory of a cgroup in the hierarchy of a controller.
    pub fn folder(&self, below: &str, controller: &str) -> PathBuf {
        self.folder_in(self.home(controller), below)
    }

    /// Enables for the children of a directory of v2 whatever the test wants.
    fn enable(&self, home: &Mounted, folder: &Path) {
        for wanted in self.controllers.iter().filter(|wanted| home.controllers.iter().any(|has| has == *wanted)) {
            if !is_enabled(folder, wanted) {
                let file = folder.join("cgroup.subtree_control");
                std::fs::write(&file, format!("+{wanted}"))
                    .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            }
        }
    }

    /// Makes a cgroup below it, in each hierarchy. On v2 the one above may have no processes in it.
    pub fn make(&self, below: impl AsRef<OsStr>) {
        for home in &self.homes {
            let folder = self.folder_in(home, &below);
            if home.is_v2 && !below.as_ref().is_empty() {
                self.enable(home, folder.parent().expect("below its own"));
            }
            std::fs::create_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            // v1 lets nobody in before this is done.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let above = folder.parent().expect("a parent").join(file);
                if let (false, Ok(all)) = (home.is_v2, std::fs::read(above)) {
                    std::fs::write(folder.join(file), all).expect("written");
                }
            }
        }
    }

    /// Moves a process into it, or into a cgroup below it.
    pub fn add(&self, pid: u32, below: impl AsRef<OsStr>) {
        for folder in self.folders(below) {
            let file = folder.join("cgroup.procs");
            std::fs::write(&file, pid.to_string()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }

    /// Sets a knob by its v2 name, to what it would be set to on v2.
    pub fn set(&self, below: &str, knob: &str, value: &str) {
        let controller = knob.split('.').next().expect("a controller");
        let folder = self.folder(below, controller);
        let write = |file: &str, value: &str| {
            let file = folder.join(file);
            std::fs::write(&file, value).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        };
        match knob {
            _ if self.is_v2(controller) => write(knob, value),
            "memory.max" => write("memory.limit_in_bytes", value),
            "cpu.max" => {
                let (quota, period) = value.split_once(' ').expect("quota and period");
                write("cpu.cfs_period_us", period);
                write("cpu.cfs_quota_us", quota);
            }
            _ => write(knob, value),
        }
    }

    /// Returns what a file says in the hierarchy of its controller; nothing where it is not there.
    pub fn read(&self, below: &str, file: &str) -> String {
        let controller = file.split('.').next().expect("a controller");
        std::fs::read_to_string(self.folder(below, controller).join(file)).unwrap_or_default().trim().to_owned()
    }

    /// Returns the number behind a word in a file.
    pub fn count(&self, below: &str, file: &str, key: &str) -> Option<u64> {
        let text = self.read(below, file);
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
    }

    /// Freezes whoever is in it, and waits until that is done. What is frozen ends only when it has thawed: this must go before it.
    pub fn freeze(&self) -> Frozen {
        // Of several freezers one is enough: what stands still in one cannot come to a stand in another.
        let v1 = self.homes.iter().find(|home| home.controllers.iter().any(|name| !home.is_v2 && name == "freezer"));
        let (home, file, events, on, off, done) = match v1 {
            Some(home) => (home, "freezer.state", "freezer.state", "FROZEN", "THAWED", "FROZEN"),
            None => {
                let v2 = self.homes.iter().find(|home| home.is_v2).expect("a freezer");
                (v2, "cgroup.freeze", "cgroup.events", "1", "0", "frozen 1")
            }
        };
        let folder = self.folder_in(home, "");
        let frozen = Frozen { file: folder.join(file), off };
        std::fs::write(&frozen.file, on).expect("written");
        while !std::fs::read_to_string(folder.join(events)).expect("a state").contains(done) {
            std::thread::yield_now();
        }
        frozen
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for home in &self.homes {
            remove(&self.folder_in(home, ""));
        }
    }
}

/// Removes a cgroup and those below it. Whoever is still in there is killed; who has ended may still be on the way out.
fn remove(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let below = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
    below.for_each(|path| remove(&path));
    while std::fs::remove_dir(folder).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY)) {
        let members = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid > 1) {
            assert_ne!(pid, std::process::id().cast_signed(), "a test never moves itself");
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::yield_now();
    }
}

/// A cgroup that is frozen, until this is dropped.
pub struct Frozen {
    file: PathBuf,
    off: &'static str,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = std::fs::write(&self.file, self.off);
    }
}
