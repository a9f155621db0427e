//! Docker: a daemon with a containerd of its own.

use super::{Room, quoted};
use crate::harness::processes::until_so;

/// A daemon of Docker's, with [`super::IMAGE`] as `nsx-box:1`.
pub struct Docker {
    pub room: Room,
}

impl Docker {
    /// Starts a daemon with these options in a room, whose folder is `ROOM` in them.
    pub fn start(room: Room, options: &[&str]) -> Docker {
        let docker = Docker { room };
        let folder = docker.room.folder().to_str().expect("UTF-8");
        let options: Vec<String> = options.iter().map(|option| option.replace("ROOM", folder)).collect();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        docker.room.sh(&format!(
            "export PATH=$PATH:/usr/sbin:/sbin
            dockerd -H unix:///run/docker.sock -p /run/docker.pid {} >docker.log 2>&1 &",
            quoted(&options)
        ));
        // The daemon makes its socket before it answers, so whoever asks then waits for it.
        let socket = docker.room.outside("/run/docker.sock");
        until_so("the socket of the daemon", || socket.exists());
        let (code, _, error) = docker.room.try_sh("docker -H unix:///run/docker.sock version");
        assert_eq!(code, Some(0), "{error}{}", docker.room.sh("tail -n 20 docker.log"));
        docker.cli(&["load", "-q", "-i", &format!("{}/image.tar", docker.room.folder().display())]);
        docker
    }

    /// Runs docker, and returns what it has printed.
    pub fn cli(&self, words: &[&str]) -> String {
        let all: Vec<&str> =
            ["docker", "-H", "unix:///run/docker.sock"].into_iter().chain(words.iter().copied()).collect();
        self.room.run(&all)
    }

    /// Starts a container that sleeps, and returns its id.
    pub fn sleeper(&self, name: &str, options: &[&str]) -> String {
        let all: Vec<&str> = ["run", "-d", "--name", name]
            .into_iter()
            .chain(options.iter().copied())
            .chain(["nsx-box:1", "sleep", "100000"])
            .collect();
        self.cli(&all)
    }
}
