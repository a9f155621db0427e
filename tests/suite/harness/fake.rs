//! Made-up /proc trees: what a scan sees of them is known in advance.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::Value;

use super::{document, nsx, output, text};

/// A tree that looks like /proc.
pub struct FakeProc {
    folder: tempfile::TempDir,
}

/// The eight kinds and the inodes of their initial namespaces.
const KINDS: [(&str, u32); 8] = [
    ("cgroup", 0xEFFF_FFFB),
    ("ipc", 0xEFFF_FFFF),
    ("mnt", 0xEFFF_FFF8),
    ("net", 0xEFFF_FFF9),
    ("pid", 0xEFFF_FFFC),
    ("time", 0xEFFF_FFFA),
    ("user", 0xEFFF_FFFD),
    ("uts", 0xEFFF_FFFE),
];

impl FakeProc {
    /// Makes an empty tree.
    pub fn new() -> FakeProc {
        FakeProc { folder: tempfile::Builder::new().prefix("nsx-test-proc-").tempdir().expect("a folder") }
    }

    /// Returns where it is.
    pub fn path_of_root(&self) -> &str {
        self.folder.path().to_str().expect("UTF-8")
    }

    fn path(&self, pid: u32, name: &str) -> PathBuf {
        self.folder.path().join(pid.to_string()).join(name)
    }

    /// Adds a process in the initial namespaces.
    pub fn process(&self, pid: u32, ppid: u32, comm: &[u8]) -> &FakeProc {
        for folder in ["ns", "fd", "task"] {
            fs::create_dir_all(self.path(pid, folder)).expect("a folder");
        }
        let mut stat = format!("{pid} (").into_bytes();
        stat.extend_from_slice(comm);
        stat.extend_from_slice(
            format!(") S {ppid} 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 {pid} 0 0 0\n").as_bytes(),
        );
        self.file(pid, "stat", &stat);
        self.file(pid, "status", b"Name:\tx\nUid:\t0\t0\t0\t0\n");
        self.file(pid, "cgroup", b"0::/\n");
        self.file(pid, "cmdline", b"");
        for (kind, inode) in KINDS {
            self.link(pid, kind, inode);
        }
        self
    }

    /// Writes a file of a process.
    pub fn file(&self, pid: u32, name: &str, content: &[u8]) -> &FakeProc {
        fs::write(self.path(pid, name), content).expect("a file");
        self
    }

    /// Removes a file of a process.
    pub fn without(&self, pid: u32, name: &str) -> &FakeProc {
        fs::remove_file(self.path(pid, name)).expect("a file");
        self
    }

    /// Puts a process into another namespace.
    pub fn link(&self, pid: u32, kind: &str, inode: u32) -> &FakeProc {
        self.raw_link(pid, &format!("ns/{kind}"), &format!("{kind}:[{inode}]"))
    }

    /// Makes a link of any content.
    pub fn raw_link(&self, pid: u32, name: &str, target: &str) -> &FakeProc {
        let path = self.path(pid, name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("a folder");
        }
        let _ = fs::remove_file(&path);
        symlink(target, path).expect("a link");
        self
    }

    /// Says which process the caller is.
    pub fn own(&self, pid: u32) -> &FakeProc {
        symlink(pid.to_string(), self.folder.path().join("self")).expect("a link");
        self
    }

    /// Runs `nsx ls` on the tree, and returns what it prints.
    pub fn ls(&self, arguments: &[&str]) -> String {
        let root = self.path_of_root();
        let all: Vec<&str> = ["ls", "--proc-root", root].into_iter().chain(arguments.iter().copied()).collect();
        let output = output(&mut nsx(&all));
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs `nsx ls --json` on the tree.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> = ["--json"].into_iter().chain(arguments.iter().copied()).collect();
        document(&self.ls(&all))
    }
}
