//! systemd-nspawn without systemd.

use super::Room;
use crate::harness::processes::{marked, new_mark, until_so};

/// A container of systemd-nspawn.
pub struct Nspawn {
    /// The first process of it.
    pub pid: u32,
}

impl Nspawn {
    /// Starts one that sleeps.
    pub fn sleeper(room: &Room, machine: &str) -> Nspawn {
        let mark = new_mark();
        room.sh(&format!(
            "cp -a rootfs /var/lib/machines/{machine}
            systemd-nspawn --quiet --register=no --keep-unit -D /var/lib/machines/{machine} -M {machine} \
                --private-network /bin/sleep {mark} >nspawn.log 2>&1 &"
        ));
        let mut found = None;
        until_so("the command of systemd-nspawn", || {
            // Its own arguments hold those of the command.
            let is_command = |pid: &u32| {
                std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with(b"/bin/sleep\0")
            };
            found = marked(&mark).into_iter().find(is_command);
            found.is_some()
        });
        Nspawn { pid: found.expect("just found") }
    }
}
