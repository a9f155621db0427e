//! The target's cgroup, on whatever hierarchies the machine has: v1, hybrid or v2. Cgroups are made for the test, and removed.

use std::path::{Path, PathBuf};

use nsx::proc::parse;

use super::harness::{Module, Need, Place, held::Held, nsx, output, test, text};

pub fn module() -> Module {
    let tests = vec![
        test("cgroups::the_targets_is_joined_with_all_namespaces", &[Need::Root], joined),
        test("cgroups::a_frozen_one_is_not_joined", &[Need::Root], frozen),
        test("cgroups::one_that_is_out_of_sight_is_told", &[Need::Root, Need::Tool("unshare")], out_of_sight),
    ];
    Module { name: "cgroups", places: &[Place::Vm], tests }
}

/// A cgroup of the test's own in each hierarchy that lets itself be used without further ado.
struct Own {
    folders: Vec<PathBuf>,
}

impl Own {
    fn new(name: &str) -> Own {
        let mountinfo = std::fs::read("/proc/self/mountinfo").expect("mountinfo");
        let is_usable = |mount: &parse::MountLine<'_>| match mount.fs_type {
            b"cgroup2" => true,
            b"cgroup" => {
                mount.super_options.split(|&byte| byte == b',').any(|option| matches!(option, b"pids" | b"freezer"))
            }
            _ => false,
        };
        let folders = parse::mountinfo(&mountinfo).filter(is_usable).map(|mount| {
            let point = String::from_utf8(parse::unescape_octal(mount.point).into_owned()).expect("UTF-8");
            let folder = Path::new(&point).join(format!("nsx-test-{name}-{}", std::process::id()));
            std::fs::create_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            folder
        });
        let own = Own { folders: folders.collect() };
        assert!(!own.folders.is_empty(), "no hierarchy is mounted");
        own
    }

    fn add(&self, pid: u32) {
        for folder in &self.folders {
            std::fs::write(folder.join("cgroup.procs"), pid.to_string()).expect("moved");
        }
    }

    /// Freezes or thaws whoever is in it, and waits until that is done. Says whether there is a freezer.
    fn freeze(&self, freeze: bool) -> bool {
        // Of several freezers one is enough: what stands still in one cannot come to a stand in another.
        let mut found = false;
        let is_v1 = |folder: &&PathBuf| folder.join("freezer.state").exists();
        for folder in self.folders.iter().filter(is_v1).chain(self.folders.iter().filter(|folder| !is_v1(folder))) {
            if found {
                break;
            }
            let (file, word, events, done) = if folder.join("freezer.state").exists() {
                let word = if freeze { "FROZEN" } else { "THAWED" };
                ("freezer.state", word, "freezer.state", word)
            } else if folder.join("cgroup.freeze").exists() {
                let (word, done) = if freeze { ("1", "frozen 1") } else { ("0", "frozen 0") };
                ("cgroup.freeze", word, "cgroup.events", done)
            } else {
                continue;
            };
            found = true;
            std::fs::write(folder.join(file), word).expect("written");
            while !std::fs::read_to_string(folder.join(events)).expect("a state").contains(done) {
                std::thread::yield_now();
            }
        }
        found
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Who was in it has ended, but may still be on the way out.
            while std::fs::remove_dir(folder).is_err_and(|error| error.raw_os_error() == Some(nix::libc::EBUSY)) {
                std::thread::yield_now();
            }
        }
    }
}

/// Runs nsx, which succeeds, and returns in how many of the test's cgroups the command was, and what nsx noted.
fn joined_by(own: &Own, arguments: &[&str]) -> (usize, String) {
    let all: Vec<&str> =
        ["enter"].into_iter().chain(arguments.iter().copied()).chain(["cat", "/proc/self/cgroup"]).collect();
    let out = output(&mut nsx(&all));
    assert!(out.status.success(), "{arguments:?}: {} {}", out.status, text(&out.stderr));
    let name = own.folders[0].file_name().and_then(|name| name.to_str()).expect("a name");
    let count = text(&out.stdout).lines().filter(|line| line.ends_with(name)).count();
    (count, text(&out.stderr))
}

fn joined() {
    let own = Own::new("joined");
    let target = Held::start(&["process", "uts"]);
    own.add(target.number(0) as u32);
    let pid = target.number(0).to_string();
    let all = own.folders.len();
    for arguments in [&["-t", &pid][..], &["-t", &pid, "-a"], &["-t", &pid, "-u", "-c"], &["-t", &pid, "-a", "-F"]] {
        assert_eq!(joined_by(&own, arguments), (all, String::new()), "{arguments:?}");
    }
    for arguments in [&["-t", &pid, "--no-cgroup"][..], &["-t", &pid, "-u"]] {
        assert_eq!(joined_by(&own, arguments), (0, String::new()), "{arguments:?}");
    }
    // nsx itself stays where it is: limits of the target's are not for it.
    let out = output(&mut nsx(&["enter", "-t", &pid, "--status-fd", "1", "sh", "-c", "cat /proc/$PPID/cgroup"]));
    let name = own.folders[0].file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(!text(&out.stdout).contains(name), "{}", text(&out.stdout));
}

fn frozen() {
    let own = Own::new("frozen");
    let target = Held::start(&["process", "uts"]);
    own.add(target.number(0) as u32);
    let pid = target.number(0).to_string();
    if own.freeze(true) {
        let (count, note) = joined_by(&own, &["-t", &pid]);
        let refused = output(&mut nsx(&["enter", "-t", &pid, "-u", "-c", "true"]));
        own.freeze(false);
        assert_eq!(count, own.folders.len() - 1, "in all but the one that is frozen");
        assert!(note.contains("is frozen, and the command would not run before it is thawed"), "{note}");
        assert_eq!(refused.status.code(), Some(125));
        assert!(text(&refused.stderr).contains("hint: --no-cgroup enters without"), "{}", text(&refused.stderr));
    } else {
        panic!("no freezer in {:?}", own.folders);
    }
}

/// From within a cgroup namespace that begins further down, the target's cgroup cannot be reached.
fn out_of_sight() {
    let own = Own::new("sight");
    let target = Held::start(&["process", "uts"]);
    let pid = target.number(0).to_string();
    let script = "for folder; do echo $$ >$folder/cgroup.procs || exit 9; done; shift $#; \
        exec unshare -C sh -c '\"$NSX\" enter -t $TARGET true && exec \"$NSX\" enter -t $TARGET -u -c true'";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, "sh"]).args(&own.folders);
    command.env("NSX", super::harness::nsx_path()).env("TARGET", &pid);
    let out = output(&mut command);
    let errors = text(&out.stderr);
    assert_eq!(out.status.code(), Some(125), "{errors}");
    assert!(
        errors.contains("nsx: note: not in the target's ") && errors.contains("/..: the cgroup lies outside"),
        "{errors}"
    );
    assert!(errors.contains("nsx: cannot join the target's "), "{errors}");
}
