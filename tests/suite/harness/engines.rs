//! Container engines, started for a test, with containers of theirs.
//!
//! Each runs in a room: a keeper (`fixture/room.rs`) with mounts, network and cgroups of its own, so that nothing of the machine is
//! touched, engines may use the folders that they are used to, and nothing is left when the room is dropped, or its test killed. Only the
//! processes are the machine's: there is no pid namespace around them.

mod bwrap;
mod containerd;
mod docker;
mod lxc;
mod nspawn;
mod oci;
mod podman;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use super::cgroup::Own;
use super::fixture::room::thaw;
use super::nsx_path;

pub use bwrap::Bwrap;
pub use containerd::Containerd;
pub use docker::Docker;
pub use lxc::Lxc;
pub use nspawn::Nspawn;
pub use oci::{Crun, Runc};
pub use podman::{Podman, SUBIDS, UID};

/// The image that is in every engine that has images: busybox.
pub const IMAGE: &str = "docker.io/library/nsx-box:1";

/// All controllers of v1 that there are, and the hierarchy without any.
const ALL: [&str; 13] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "name=systemd",
    "net_cls",
    "perf_event",
    "pids",
];

/// Which cgroups a room shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// The hierarchies that the machine has.
    AsHere,
    /// Those without cgroup2 where that is only there beside v1, which crun and others refuse.
    Plain,
    /// Nothing but cgroup2, with whatever controllers it has here.
    V2,
}

impl Cgroups {
    /// Says whether cgroups are to be seen of v1, and of v2.
    fn shown(self, is_v1_here: bool) -> (bool, bool) {
        match self {
            Cgroups::AsHere => (true, true),
            Cgroups::Plain => (true, !is_v1_here),
            Cgroups::V2 => (false, true),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Cgroups::AsHere => "as-here",
            Cgroups::Plain => "v1",
            Cgroups::V2 => "v2",
        }
    }
}

/// A room, until it is dropped.
pub struct Room {
    keeper: Child,
    talk: Mutex<(Option<ChildStdin>, BufReader<ChildStdout>)>,
    own: Own,
    folder: tempfile::TempDir,
}

impl Room {
    pub fn new(name: &str, cgroups: Cgroups) -> Room {
        let own = Own::new(&format!("room-{name}"), &ALL);
        let folder = tempfile::Builder::new().prefix("nsx-test-room-").tempdir().expect("a folder");
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["fixture", "room"]).arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        // What a terminal sends to the test is not for it: it has to clean up when the test has gone.
        let mut keeper = command.process_group(0).spawn().expect("a keeper");
        let talk = (keeper.stdin.take(), BufReader::new(keeper.stdout.take().expect("a pipe")));
        let room = Room { keeper, talk: Mutex::new(talk), own, folder };
        assert_eq!(room.hear(), "ready");
        // Before it makes a cgroup namespace, whose top its cgroup is. What a room does not show it is not in.
        let folders = room.own.folders("");
        let (v2, v1): (Vec<_>, Vec<_>) = folders.iter().partition(|folder| folder.join("cgroup.controllers").exists());
        let (is_v1_shown, is_v2_shown) = cgroups.shown(!v1.is_empty());
        let shown = v1.into_iter().filter(|_| is_v1_shown).chain(v2.into_iter().filter(|_| is_v2_shown));
        for folder in shown {
            std::fs::write(folder.join("cgroup.procs"), room.keeper.id().to_string()).expect("moved");
        }
        room.say(cgroups.name());
        assert_eq!(room.hear(), "ready");
        room.sh(include_str!("engines/image.sh"));
        room
    }

    fn say(&self, line: &str) {
        let mut talk = self.talk.lock().expect("a room");
        writeln!(talk.0.as_mut().expect("a pipe"), "{line}").expect("a keeper");
    }

    fn hear(&self) -> String {
        let mut line = String::new();
        self.talk.lock().expect("a room").1.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Runs a script in the room to its end, in the folder `$ROOM`, and returns its exit code, output and errors. Who is left in the
    /// background stays.
    pub fn try_sh(&self, script: &str) -> (Option<i64>, String, String) {
        self.say(&Value::from(script).to_string());
        let answer: Value = serde_json::from_str(&self.hear()).unwrap_or_else(|error| panic!("{script}: {error}"));
        let word = |key: &str| answer[key].as_str().expect("a text").to_owned();
        (answer["code"].as_i64(), word("out"), word("err"))
    }

    /// Runs a script in the room, which must succeed, and returns what it has printed, without the last newline.
    pub fn sh(&self, script: &str) -> String {
        let (code, out, err) = self.try_sh(script);
        assert_eq!(code, Some(0), "{script}: {out}{err}");
        out.trim_end().to_owned()
    }

    /// The same for the words of one command.
    pub fn run(&self, words: &[&str]) -> String {
        self.sh(&quoted(words))
    }

    /// Runs nsx in the room, where the folders of engines are where they usually are.
    pub fn nsx(&self, words: &[&str]) -> (Option<i64>, String, String) {
        let path = nsx_path().to_str().expect("UTF-8");
        let all: Vec<&str> = [path].into_iter().chain(words.iter().copied()).collect();
        self.try_sh(&quoted(&all))
    }

    /// Returns the folder that `$ROOM` names, as it is seen from inside.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a path of the room as it is seen from outside.
    pub fn outside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.keeper.id()))
    }

    /// Says whether a process was started in the room, by its cgroups.
    pub fn holds(&self, pid: u32) -> bool {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let top = self.own.text("");
        let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        paths.filter_map(|path| path.strip_prefix(&top)).any(|below| below.is_empty() || below.starts_with('/'))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for folder in self.own.folders("") {
            thaw(&folder);
        }
        if let Ok(mut talk) = self.talk.lock() {
            drop(talk.0.take());
        }
        let _ = self.keeper.wait();
    }
}

/// Writes words so that a shell reads the same.
pub fn quoted(words: &[&str]) -> String {
    let one = |word: &&str| format!("'{}'", word.replace('\'', "'\\''"));
    words.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// A number that a command has printed.
fn number(text: &str) -> u32 {
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}
