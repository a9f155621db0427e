//! What the attacks share: sandboxes of root and of an ordinary user, what a probe has said in one, root directories, canaries.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::harness::{nsx, nsx_path, text};

/// Who starts the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Root,
    /// Somebody without any capability, and without subordinate ids.
    User,
}

/// The uid of the ordinary user where root plays it. Nobody is called so.
pub const USER: u32 = 54_321;
/// Where the probes are inside.
pub const PROBE: &str = "/run/nsx-probe";
/// After so long something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// All callers that there can be.
pub fn callers() -> Vec<Caller> {
    if is_root() { vec![Caller::Root, Caller::User] } else { vec![Caller::User] }
}

/// Each caller, with nothing more and with all capabilities.
pub fn all_ways() -> Vec<(Caller, Vec<&'static str>)> {
    callers().into_iter().flat_map(|caller| [(caller, vec![]), (caller, vec!["--cap-add", "ALL"])]).collect()
}

/// This binary, where everybody can run it.
pub fn suite() -> &'static str {
    static PLACE: LazyLock<String> = LazyLock::new(|| {
        let own = std::env::current_exe().expect("this test");
        let place = nsx_path().parent().expect("a folder").join("suite");
        // The same file, if that can be; else by another process, so that nobody has it open for writing.
        if std::fs::hard_link(&own, &place).is_err() {
            assert!(Command::new("cp").arg(&own).arg(&place).status().expect("cp").success());
        }
        place.to_str().expect("UTF-8").to_owned()
    });
    &PLACE
}

/// Makes a command be run by a caller.
pub fn by(caller: Caller, command: &mut Command) -> &mut Command {
    if caller == Caller::User && is_root() {
        command.uid(USER).gid(USER).env("HOME", "/");
    }
    command.current_dir("/")
}

/// `nsx run` with these options, by a caller, with the probes inside.
pub fn run_as(caller: Caller, options: &[&str]) -> Command {
    let mut command = nsx(&["run"]);
    by(caller, &mut command).args(options).args(["-v", &format!("{}:{PROBE}:ro", suite())]);
    command
}

/// How a run went.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end, which must come.
pub fn finish(command: &mut Command) -> Done {
    let (mut out, mut err) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
    let stdio = |file: &File| Stdio::from(file.try_clone().expect("a copy"));
    let child = command.stdout(stdio(&out)).stderr(stdio(&err)).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let status = wait(&mut child);
    let read = |file: &mut File| {
        let mut content = Vec::new();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut content)).expect("a file");
        String::from_utf8_lossy(&content).into_owned()
    };
    let (out, err) = (read(&mut out), read(&mut err));
    let status = status.unwrap_or_else(|| panic!("it hangs: {command:?}: {out} {err}"));
    Done { code: status.code(), out, err }
}

/// Waits for the end of a child; kills it if that does not come.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let begin = Instant::now();
    loop {
        match child.try_wait().expect("a child") {
            Some(status) => return Some(status),
            None if begin.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// What a probe has said of its attempts.
pub struct Said {
    of: String,
    lines: BTreeMap<String, String>,
}

impl Said {
    pub fn parse(of: &str, out: &str) -> Said {
        let line = |line: &str| line.split_once('=').map(|(what, result)| (what.to_owned(), result.to_owned()));
        Said { of: of.to_owned(), lines: out.lines().filter_map(line).collect() }
    }

    pub fn get(&self, what: &str) -> &str {
        self.lines.get(what).unwrap_or_else(|| panic!("{}: nothing is said of {what}: {:?}", self.of, self.lines))
    }

    /// Makes sure that an attempt had one of these results.
    pub fn is(&self, what: &str, results: &[&str]) {
        let result = self.get(what);
        assert!(results.contains(&result), "{}: {what} is {result}, not {results:?}", self.of);
    }

    /// Makes sure of that for all attempts whose names start so, of which there must be some.
    pub fn all(&self, start: &str, results: &[&str]) {
        let all: Vec<&String> = self.lines.keys().filter(|what| what.starts_with(start)).collect();
        assert!(!all.is_empty(), "{}: nothing is said of {start}…: {:?}", self.of, self.lines);
        all.into_iter().for_each(|what| self.is(what, results));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|(what, result)| (&**what, &**result))
    }
}

/// Runs a probe in a sandbox, which must come to its end.
pub fn probe(caller: Caller, options: &[&str], words: &[&str]) -> Said {
    probe_with(caller, options, words, |_| ())
}

/// As [`probe`], with a change to how nsx is started.
pub fn probe_with(caller: Caller, options: &[&str], words: &[&str], change: impl FnOnce(&mut Command)) -> Said {
    let mut command = run_as(caller, options);
    change(&mut command);
    let done = finish(command.args([PROBE, "fixture", "probe"]).args(words));
    let of = format!("{caller:?} {options:?} {words:?}");
    assert_eq!(done.code, Some(0), "{of}: {}{}", done.out, done.err);
    Said::parse(&of, &done.out)
}

/// Runs a probe outside, to see that what is attempted can be done at all.
pub fn outside(caller: Caller, words: &[&str]) -> Said {
    let mut command = Command::new(suite());
    let done = finish(by(caller, &mut command).args(["fixture", "probe"]).args(words).stdin(Stdio::null()));
    Said::parse("outside", &done.out)
}

/// A folder that everybody can go through; gone afterwards.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    folder
}

/// Folders and files of the host that nobody may change.
pub struct Canary {
    pub path: PathBuf,
    before: String,
}

impl Canary {
    pub fn new(below: &Path) -> Canary {
        let path = below.join("canary");
        for folder in ["", "pts", "shm", "sub/deep", "self", "1", "fs"] {
            std::fs::create_dir_all(path.join(folder)).expect("a folder");
        }
        for (file, content) in
            [("null", "null"), ("ptmx", "ptmx"), ("passwd", "evil:x:0:0::/:/bin/sh\n"), ("sub/deep/file", "x")]
        {
            std::fs::write(path.join(file), content).expect("a file");
        }
        symlink("null", path.join("zero")).expect("a link");
        // Whoever comes here may write: what keeps them out is not the mode of a file.
        for folder in ["", "pts", "shm", "sub", "sub/deep"] {
            let mode = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(path.join(folder), mode).expect("chmod");
        }
        let before = inventory(&path);
        Canary { path, before }
    }

    /// Makes sure that nothing has been done to it.
    pub fn is_untouched(&self, after: &str) {
        assert_eq!(inventory(&self.path), self.before, "after {after}");
    }
}

/// Returns all that there is to say of a tree of files, but when it was read.
fn inventory(path: &Path) -> String {
    let data = std::fs::symlink_metadata(path).expect("a file");
    let mut all = format!(
        "{} {:o} {} {} {} {} {}.{}\n",
        path.display(),
        data.mode(),
        data.ino(),
        data.uid(),
        data.gid(),
        data.nlink(),
        data.mtime(),
        data.mtime_nsec()
    );
    if data.is_dir() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| all += &inventory(entry));
    } else if data.is_file() {
        all += &format!("{:?}\n", text(&std::fs::read(path).expect("a file")));
    }
    all
}

/// A root directory with the programs of the host, and a canary beside it.
pub struct Tree {
    place: tempfile::TempDir,
    pub root: PathBuf,
    pub canary: Canary,
}

impl Tree {
    pub fn new() -> Tree {
        let place = folder();
        let root = place.path().join("root");
        for folder in ["usr", "proc", "dev", "sys", "tmp", "run", "etc", "start"] {
            std::fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), root.join(name)).expect("a link");
        }
        let canary = Canary::new(place.path());
        Tree { place, root, canary }
    }

    pub fn path(&self) -> &str {
        self.root.to_str().expect("UTF-8")
    }

    /// A path beside the root directory.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// `nsx run` in it.
    pub fn run_as(&self, caller: Caller, options: &[&str]) -> Command {
        let mut command = run_as(caller, &["--rootfs", self.path(), "-v", "/usr:/usr:ro"]);
        command.args(options);
        command
    }
}

/// A sandbox whose command waits, and its processes as they are outside.
pub struct Live {
    child: Child,
    pub stub: u32,
    pub first: u32,
    pub command: u32,
}

impl Live {
    /// Starts `nsx run` with a probe that waits, and waits until that is there.
    pub fn start(command: &mut Command) -> Live {
        use std::io::BufRead;
        command.args([PROBE, "fixture", "probe", "wait"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        std::io::BufReader::new(out).read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "ready=", "{command:?}");
        // The first process is the one that has a child.
        let children = children(child.id());
        let with_child = |pid: &&u32| !self::children(**pid).is_empty();
        let first = *children.iter().find(with_child).expect("a first process");
        let stub = *children.iter().find(|pid| **pid != first).expect("a stub");
        Live { stub, first, command: self::children(first)[0], child }
    }

    /// Ends the command.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(wait(&mut self.child).expect("its end").success());
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn children(parent: u32) -> Vec<u32> {
    let of = |pid: u32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        nsx::proc::parse::stat(&stat).is_some_and(|stat| stat.ppid.0 == parent)
    };
    let processes = std::fs::read_dir("/proc").expect("/proc");
    processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|pid| of(*pid)).collect()
}
