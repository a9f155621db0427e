//! containerd, by ctr.

use super::{Room, number, quoted};
use crate::harness::processes::until_so;

/// A daemon with [`super::IMAGE`], at the places that it uses by default.
pub struct Containerd<'a> {
    room: &'a Room,
}

impl<'a> Containerd<'a> {
    pub fn start(room: &'a Room) -> Containerd<'a> {
        room.sh("mkdir /run/containerd
            echo 'version = 2' >containerd.toml
            echo 'disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]' >>containerd.toml
            containerd -c $ROOM/containerd.toml >containerd.log 2>&1 &");
        let socket = room.outside("/run/containerd/containerd.sock");
        until_so("the socket of the daemon", || socket.exists());
        let containerd = Containerd { room };
        containerd.ctr(&["images", "import", &format!("{}/image.tar", room.folder().display())]);
        containerd
    }

    /// Runs ctr, and returns what it has printed.
    pub fn ctr(&self, words: &[&str]) -> String {
        self.room.sh(&format!("ctr {}", quoted(words)))
    }

    /// Starts a container that sleeps: of the image, or, with `--rootfs` among the options, of the directory.
    pub fn sleeper(&self, namespace: &str, id: &str, options: &[&str]) {
        let root = format!("{}/rootfs", self.room.folder().display());
        let of = if options.contains(&"--rootfs") { root.as_str() } else { super::IMAGE };
        let all: Vec<&str> = ["-n", namespace, "run", "-d"]
            .into_iter()
            .chain(options.iter().copied())
            .chain([of, id, "/bin/sleep", "100000"])
            .collect();
        self.ctr(&all);
    }

    /// Returns pid and state of a task, as `ctr tasks ls` has them.
    pub fn task(&self, namespace: &str, id: &str) -> (u32, String) {
        let all = self.ctr(&["-n", namespace, "tasks", "ls"]);
        let line = all.lines().find(|line| line.split_whitespace().next() == Some(id)).expect("a task");
        let mut words = line.split_whitespace().skip(1);
        let pid = number(words.next().expect("a pid"));
        (pid, words.next().expect("a state").to_owned())
    }
}
