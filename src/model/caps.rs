//! Sets of capabilities, see capabilities(7). Not here: whose they are, and how they are read or set.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

/// The names, without `CAP_`, in the order of their numbers (`include/uapi/linux/capability.h`).
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// A set of capabilities, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapSet(u64);

impl CapSet {
    /// None.
    pub const EMPTY: CapSet = CapSet(0);
    /// CAP_DAC_READ_SEARCH.
    pub const DAC_READ_SEARCH: CapSet = CapSet(1 << 2);
    /// CAP_KILL.
    pub const KILL: CapSet = CapSet(1 << 5);
    /// All that have a name.
    pub const ALL: CapSet = CapSet((1 << NAMES.len()) - 1);
    /// CAP_SETGID.
    pub const SETGID: CapSet = CapSet(1 << 6);
    /// CAP_SYS_MODULE.
    pub const SYS_MODULE: CapSet = CapSet(1 << 16);
    /// CAP_SYS_RAWIO.
    pub const SYS_RAWIO: CapSet = CapSet(1 << 17);
    /// CAP_SETUID.
    pub const SETUID: CapSet = CapSet(1 << 7);
    /// CAP_SYS_CHROOT.
    pub const SYS_CHROOT: CapSet = CapSet(1 << 18);
    /// CAP_SYS_PTRACE.
    pub const SYS_PTRACE: CapSet = CapSet(1 << 19);
    /// CAP_SYS_PACCT.
    pub const SYS_PACCT: CapSet = CapSet(1 << 20);
    /// CAP_SYS_ADMIN.
    pub const SYS_ADMIN: CapSet = CapSet(1 << 21);
    /// CAP_SYS_BOOT.
    pub const SYS_BOOT: CapSet = CapSet(1 << 22);
    /// CAP_SYS_TIME.
    pub const SYS_TIME: CapSet = CapSet(1 << 25);
    /// CAP_SYS_TTY_CONFIG.
    pub const SYS_TTY_CONFIG: CapSet = CapSet(1 << 26);
    /// CAP_NET_ADMIN.
    pub const NET_ADMIN: CapSet = CapSet(1 << 12);
    /// CAP_MAC_OVERRIDE and CAP_MAC_ADMIN.
    pub const MAC: CapSet = CapSet(3 << 32);
    /// CAP_SYSLOG.
    pub const SYSLOG: CapSet = CapSet(1 << 34);
    /// CAP_PERFMON.
    pub const PERFMON: CapSet = CapSet(1 << 38);
    /// CAP_BPF.
    pub const BPF: CapSet = CapSet(1 << 39);
    /// What Docker lets root of a container keep: what programs expect that install packages, change users, and listen on low ports. As in
    /// the table of its documentation: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw,
    /// sys_chroot, mknod, audit_write, setfcap.
    pub const DOCKER: CapSet = CapSet(0xa804_25fb);
    /// CAP_SETFCAP.
    pub const SETFCAP: CapSet = CapSet(1 << 31);

    /// Returns the set with these bits, as `/proc/PID/status` has them.
    pub const fn from_bits(bits: u64) -> CapSet {
        CapSet(bits)
    }

    /// Says whether there is none in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Says whether all of `other` are among them.
    pub const fn contains(self, other: CapSet) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the capabilities that are in one set or the other, also where `|` cannot be used: in constants.
    pub const fn union(self, other: CapSet) -> CapSet {
        CapSet(self.0 | other.0)
    }

    /// Returns the numbers of the capabilities, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |cap| self.0 >> cap & 1 != 0)
    }

    /// Parses names separated by commas, with or without `CAP_`, in any case.
    ///
    /// # Errors
    /// The name that is none.
    pub fn parse(text: &str) -> Result<CapSet, String> {
        text.split(',').try_fold(CapSet::EMPTY, |set, word| {
            let name = word.trim().to_ascii_lowercase();
            let name = name.strip_prefix("cap_").unwrap_or(&name);
            match NAMES.iter().position(|known| *known == name) {
                Some(cap) => Ok(CapSet(set.0 | 1 << cap)),
                None => Err(word.to_owned()),
            }
        })
    }
}

impl BitAnd for CapSet {
    type Output = CapSet;
    fn bitand(self, other: CapSet) -> CapSet {
        CapSet(self.0 & other.0)
    }
}

impl BitOr for CapSet {
    type Output = CapSet;
    fn bitor(self, other: CapSet) -> CapSet {
        CapSet(self.0 | other.0)
    }
}

impl Not for CapSet {
    type Output = CapSet;
    fn not(self) -> CapSet {
        CapSet(!self.0)
    }
}

impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("none");
        }
        for (place, cap) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match NAMES.get(usize::from(cap)) {
                Some(name) => write!(f, "{comma}{name}")?,
                None => write!(f, "{comma}{cap}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let set = CapSet::parse("CAP_SYS_ADMIN,net_admin, setgid").expect("known");
        assert_eq!(set.to_string(), "setgid,net_admin,sys_admin");
        assert!(set.contains(CapSet::SYS_ADMIN | CapSet::SETGID) && !set.contains(CapSet::SYS_CHROOT));
        assert_eq!(CapSet::parse(&set.to_string()), Ok(set));
        assert_eq!(CapSet::parse("net_admin,cap_x"), Err("cap_x".to_owned()));
        assert_eq!(CapSet::parse(""), Err(String::new()));
        assert_eq!(CapSet::EMPTY.to_string(), "none");
        assert_eq!(CapSet::parse("sys_ptrace,sys_chroot"), Ok(CapSet::SYS_PTRACE | CapSet::SYS_CHROOT));
    }

    #[test]
    fn constants_have_their_names() {
        let pairs = [
            (CapSet::DAC_READ_SEARCH, "dac_read_search"),
            (CapSet::SETGID, "setgid"),
            (CapSet::SYS_MODULE, "sys_module"),
            (CapSet::SYS_RAWIO, "sys_rawio"),
            (CapSet::SYS_CHROOT, "sys_chroot"),
            (CapSet::SYS_PTRACE, "sys_ptrace"),
            (CapSet::SYS_PACCT, "sys_pacct"),
            (CapSet::SYS_ADMIN, "sys_admin"),
            (CapSet::SYS_BOOT, "sys_boot"),
            (CapSet::SYS_TIME, "sys_time"),
            (CapSet::SYS_TTY_CONFIG, "sys_tty_config"),
            (CapSet::SYSLOG, "syslog"),
            (CapSet::NET_ADMIN, "net_admin"),
            (CapSet::MAC, "mac_override,mac_admin"),
            (CapSet::PERFMON, "perfmon"),
            (CapSet::BPF, "bpf"),
        ];
        for (set, name) in pairs {
            assert_eq!(set.to_string(), name);
        }
        let docker = "chown,dac_override,fsetid,fowner,mknod,net_raw,setgid,setuid,setfcap,setpcap,net_bind_service,sys_chroot,kill,audit_write";
        assert_eq!(CapSet::parse(docker), Ok(CapSet::DOCKER));
    }

    #[test]
    fn capabilities_that_have_no_name_yet_are_numbers() {
        assert_eq!(CapSet::from_bits(1 << 63 | 1).to_string(), "chown,63");
    }
}
