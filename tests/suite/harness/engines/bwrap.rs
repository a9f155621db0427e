//! bubblewrap, which keeps no records.

use super::Room;
use crate::harness::processes::{marked, new_mark, until_so};

/// A sandbox of bubblewrap's.
pub struct Bwrap {
    /// The first process of the pid namespace, which is bubblewrap's, too.
    pub pid: u32,
    /// The command.
    pub command: u32,
}

impl Bwrap {
    /// Starts one that sleeps.
    pub fn sleeper(room: &Room) -> Bwrap {
        let mark = new_mark();
        room.sh(&format!(
            "bwrap --unshare-all --bind rootfs / --proc /proc --dev /dev /bin/sleep {mark} >/dev/null 2>&1 &"
        ));
        let depth = |pid: u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let inside = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
            inside.split_whitespace().filter_map(|number| number.parse::<u32>().ok()).skip(1).last()
        };
        let is_sleep =
            |pid: u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with(b"/bin/s");
        let mut found = None;
        until_so("the command of bubblewrap", || {
            let all = marked(&mark);
            let find = |is_it: &dyn Fn(u32) -> bool| all.iter().copied().find(|&pid| is_it(pid));
            found = (|| {
                let command = find(&|pid| is_sleep(pid) && depth(pid).is_some())?;
                let pid = find(&|pid| depth(pid) == Some(1))?;
                Some(Bwrap { pid, command })
            })();
            found.is_some()
        });
        found.expect("just found")
    }
}
