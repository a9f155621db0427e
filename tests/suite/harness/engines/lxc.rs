//! LXC, with containers that are written by hand.

use super::{Room, number};

/// The containers below one folder, which is LXC's own by default.
pub struct Lxc<'a> {
    room: &'a Room,
    folder: String,
}

impl<'a> Lxc<'a> {
    pub fn new(room: &'a Room, folder: &str) -> Lxc<'a> {
        Lxc { room, folder: folder.to_owned() }
    }

    /// Starts a container that sleeps.
    pub fn sleeper(&self, name: &str) {
        let folder = &self.folder;
        self.room.sh(&format!(
            "mkdir -p {folder}/{name}
            cp -a rootfs {folder}/{name}/rootfs
            cat >{folder}/{name}/config <<END
lxc.uts.name = host-of-{name}
lxc.rootfs.path = dir:{folder}/{name}/rootfs
lxc.net.0.type = empty
lxc.init.cmd = /bin/sleep 100000
lxc.apparmor.profile = unconfined
lxc.mount.auto = proc:rw
lxc.cgroup.relative = 1
END
            lxc-start -P {folder} -n {name} -d -o $ROOM/lxc.log -l WARN || {{ cat $ROOM/lxc.log >&2; exit 1; }}"
        ));
    }

    /// Runs one of LXC's tools on a container.
    pub fn tool(&self, tool: &str, name: &str, options: &[&str]) -> String {
        self.room.run(&[&[tool, "-P", &self.folder, "-n", name], options].concat())
    }

    /// Returns pid and state of a container, as lxc-info has them.
    pub fn info(&self, name: &str) -> (u32, String) {
        let field = |option| self.tool("lxc-info", name, &["-H", option]);
        (number(&field("-p")), field("-s"))
    }
}
