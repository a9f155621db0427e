//! Podman, which has no daemon: as root, and as an ordinary user that only the room knows.

use super::{Cgroups, Room, quoted};

/// The user's number, and the first of the ids that are given to it.
pub const UID: u32 = 61234;
pub const SUBIDS: u32 = 310_000;

/// Podman's containers of one user, with [`super::IMAGE`] as `nsx-box:1`.
pub struct Podman<'a> {
    room: &'a Room,
    prefix: String,
}

const CONFIG: &str = "
cat >containers.conf <<END
[containers]
pids_limit = 0
default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]
[engine]
cgroup_manager = \"cgroupfs\"
events_logger = \"file\"
runtime = \"runc\"
END
mkdir -p /etc/containers
test -e /etc/containers/policy.json || echo '{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}' >/etc/containers/policy.json
";

impl<'a> Podman<'a> {
    /// Makes a room for it.
    pub fn room(name: &str, cgroups: Cgroups) -> Room {
        let room = Room::new(name, cgroups);
        room.sh(CONFIG);
        room
    }

    /// Takes the part of root.
    pub fn root(room: &'a Room) -> Podman<'a> {
        let prefix = "env TMPDIR=$ROOM CONTAINERS_CONF=$ROOM/containers.conf STORAGE_DRIVER=overlay podman ".to_owned();
        Podman { room, prefix }.with_image()
    }

    /// Takes the part of the user.
    pub fn rootless(room: &'a Room) -> Podman<'a> {
        room.sh(&format!(
            "echo nsx-test:x:{UID}:{UID}::$ROOM/user:/bin/sh >>/etc/passwd
            echo nsx-test:x:{UID}: >>/etc/group
            for file in subuid subgid; do echo nsx-test:{SUBIDS}:65536 >/etc/$file; done
            mkdir user user/run
            chown -R {UID}:{UID} user
            chmod -R 700 user"
        ));
        let prefix = format!(
            "setpriv --reuid {UID} --regid {UID} --clear-groups env -C / -i PATH=$PATH HOME=$ROOM/user \
             TMPDIR=$ROOM/user XDG_RUNTIME_DIR=$ROOM/user/run CONTAINERS_CONF=$ROOM/containers.conf STORAGE_DRIVER=vfs podman "
        );
        Podman { room, prefix }.with_image()
    }

    fn with_image(self) -> Podman<'a> {
        self.cli(&["load", "-q", "-i", &format!("{}/image.tar", self.room.folder().display())]);
        self
    }

    /// Runs podman, and returns what it has printed.
    pub fn cli(&self, words: &[&str]) -> String {
        self.room.sh(&format!("{}{}", self.prefix, quoted(words)))
    }

    /// Starts a container that sleeps and has no network, and returns its id.
    pub fn sleeper(&self, name: &str, options: &[&str]) -> String {
        let all: Vec<&str> = ["run", "-d", "--name", name]
            .into_iter()
            .chain(options.iter().copied())
            .chain(["localhost/nsx-box:1", "sleep", "100000"])
            .collect();
        self.cli(&all)
    }
}
