//! The eight kinds of Linux namespace, as one table.
//!
//! Everything that depends on the kind of a namespace is derived from `TABLE`: names, `/proc` links, flags, man pages.
//! Not here: how a namespace is asked for its kind (that is `sys::nsfs`). Sources: namespaces(7), clone(2), and
//! `include/uapi/linux/nsfs.h` for the inode numbers of the initial namespaces.

use std::fmt;

use super::id::NsId;

/// A kind of namespace, named as in `/proc/PID/ns`; see namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum NsKind {
    /// The cgroup root directory, cgroup_namespaces(7).
    Cgroup,
    /// System V IPC and POSIX message queues, ipc_namespaces(7).
    Ipc,
    /// Mount points, mount_namespaces(7).
    Mnt,
    /// Network devices, stacks, ports, network_namespaces(7).
    Net,
    /// Process ids, pid_namespaces(7).
    Pid,
    /// Offsets of the boot and monotonic clocks, time_namespaces(7).
    Time,
    /// User and group ids, capabilities, user_namespaces(7).
    User,
    /// Host name and NIS domain name, uts_namespaces(7).
    Uts,
}

/// What is known about one kind of namespace.
struct KindInfo {
    kind: NsKind,
    name: &'static str,
    for_children: Option<&'static str>,
    clone_flag: u32,
    has_parent: bool,
    since: &'static str,
    initial_inode: u32,
    initial_always: bool,
    man_page: &'static str,
    what: &'static str,
}

/// The one table of kinds, in the order of [`NsKind`].
///
/// `initial_inode` is `PROC_*_INIT_INO` of the kernel. Six of them have been the same since Linux 3.8; those of net and mnt are
/// fixed since Linux 6.18 only (`initial_always` is false), before that the numbers were handed out at boot.
const TABLE: [KindInfo; 8] = [
    KindInfo {
        kind: NsKind::Cgroup,
        name: "cgroup",
        for_children: None,
        clone_flag: 0x0200_0000,
        has_parent: false,
        since: "4.6",
        initial_inode: 0xEFFF_FFFB,
        initial_always: true,
        man_page: "cgroup_namespaces(7)",
        what: "cgroup root directory",
    },
    KindInfo {
        kind: NsKind::Ipc,
        name: "ipc",
        for_children: None,
        clone_flag: 0x0800_0000,
        has_parent: false,
        since: "2.6.19",
        initial_inode: 0xEFFF_FFFF,
        initial_always: true,
        man_page: "ipc_namespaces(7)",
        what: "System V IPC, POSIX message queues",
    },
    KindInfo {
        kind: NsKind::Mnt,
        name: "mnt",
        for_children: None,
        clone_flag: 0x0002_0000,
        has_parent: false,
        since: "2.4.19",
        initial_inode: 0xEFFF_FFF8,
        initial_always: false,
        man_page: "mount_namespaces(7)",
        what: "mount points",
    },
    KindInfo {
        kind: NsKind::Net,
        name: "net",
        for_children: None,
        clone_flag: 0x4000_0000,
        has_parent: false,
        since: "2.6.24",
        initial_inode: 0xEFFF_FFF9,
        initial_always: false,
        man_page: "network_namespaces(7)",
        what: "network devices, stacks, ports",
    },
    KindInfo {
        kind: NsKind::Pid,
        name: "pid",
        for_children: Some("pid_for_children"),
        clone_flag: 0x2000_0000,
        has_parent: true,
        since: "2.6.24",
        initial_inode: 0xEFFF_FFFC,
        initial_always: true,
        man_page: "pid_namespaces(7)",
        what: "process ids",
    },
    KindInfo {
        kind: NsKind::Time,
        name: "time",
        for_children: Some("time_for_children"),
        clone_flag: 0x0000_0080,
        has_parent: false,
        since: "5.6",
        initial_inode: 0xEFFF_FFFA,
        initial_always: true,
        man_page: "time_namespaces(7)",
        what: "boot and monotonic clocks",
    },
    KindInfo {
        kind: NsKind::User,
        name: "user",
        for_children: None,
        clone_flag: 0x1000_0000,
        has_parent: true,
        since: "3.8",
        initial_inode: 0xEFFF_FFFD,
        initial_always: true,
        man_page: "user_namespaces(7)",
        what: "user and group ids, capabilities",
    },
    KindInfo {
        kind: NsKind::Uts,
        name: "uts",
        for_children: None,
        clone_flag: 0x0400_0000,
        has_parent: false,
        since: "2.6.19",
        initial_inode: 0xEFFF_FFFE,
        initial_always: true,
        man_page: "uts_namespaces(7)",
        what: "host name, NIS domain name",
    },
];

const _: () = {
    let mut index = 0;
    while index < TABLE.len() {
        assert!(TABLE[index].kind as usize == index, "TABLE is in the order of NsKind");
        index += 1;
    }
};

impl NsKind {
    /// All kinds, in alphabetical order.
    pub const ALL: [NsKind; 8] =
        [NsKind::Cgroup, NsKind::Ipc, NsKind::Mnt, NsKind::Net, NsKind::Pid, NsKind::Time, NsKind::User, NsKind::Uts];

    const fn info(self) -> &'static KindInfo {
        &TABLE[self as usize]
    }

    /// Returns the place of this kind in [`NsKind::ALL`], for arrays with one entry per kind.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the name of the kind, which is also the name of its link in `/proc/PID/ns`.
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// Returns the link in `/proc/PID/ns` that names the namespace of future children, where there is one (pid, time).
    pub const fn for_children(self) -> Option<&'static str> {
        self.info().for_children
    }

    /// Returns the `CLONE_NEW*` flag of the kind, as in clone(2) and as `NS_GET_NSTYPE` answers it.
    pub const fn clone_flag(self) -> u32 {
        self.info().clone_flag
    }

    /// Says whether namespaces of this kind form a hierarchy of parents (pid and user do), see `NS_GET_PARENT` in ioctl_ns(2).
    pub const fn has_parent(self) -> bool {
        self.info().has_parent
    }

    /// Returns the first Linux version that has this kind.
    pub const fn since(self) -> &'static str {
        self.info().since
    }

    /// Returns the man page that describes the kind.
    pub const fn man_page(self) -> &'static str {
        self.info().man_page
    }

    /// Returns what namespaces of this kind isolate, in a few words.
    pub const fn what(self) -> &'static str {
        self.info().what
    }

    /// Says whether `id` is the initial namespace of this kind by its number alone; `None` where the number does not tell.
    ///
    /// The kernel never hands out the fixed numbers, so equality always proves it. Inequality proves the opposite for the six
    /// kinds whose number has always been fixed.
    pub const fn is_initial_inode(self, id: NsId) -> Option<bool> {
        if id.inode() == self.info().initial_inode {
            Some(true)
        } else if self.info().initial_always {
            Some(false)
        } else {
            None
        }
    }

    /// Returns the kind with this name.
    pub fn from_name(name: &[u8]) -> Option<NsKind> {
        NsKind::ALL.into_iter().find(|kind| kind.name().as_bytes() == name)
    }

    /// Returns the kind with this `CLONE_NEW*` flag.
    pub fn from_clone_flag(flag: u32) -> Option<NsKind> {
        NsKind::ALL.into_iter().find(|kind| kind.clone_flag() == flag)
    }
}

impl fmt::Display for NsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of namespace kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindSet(u8);

impl KindSet {
    /// The set of all eight kinds.
    pub const ALL: KindSet = KindSet(0xFF);
    /// The set without a kind.
    pub const NONE: KindSet = KindSet(0);

    /// Returns this set with `kind` in it.
    #[must_use]
    pub const fn with(self, kind: NsKind) -> KindSet {
        KindSet(self.0 | 1 << kind as u8)
    }

    /// Returns this set without `kind`.
    #[must_use]
    pub const fn without(self, kind: NsKind) -> KindSet {
        KindSet(self.0 & !(1 << kind as u8))
    }

    /// Says whether `kind` is in the set.
    pub const fn contains(self, kind: NsKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Says whether there is no kind in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Goes through the kinds of the set, in alphabetical order.
    pub fn iter(self) -> impl Iterator<Item = NsKind> {
        NsKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<NsKind> for KindSet {
    fn from_iter<I: IntoIterator<Item = NsKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(KindSet::NONE, KindSet::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags_lead_back_to_the_kind() {
        for kind in NsKind::ALL {
            assert_eq!(NsKind::from_name(kind.name().as_bytes()), Some(kind));
            assert_eq!(NsKind::from_clone_flag(kind.clone_flag()), Some(kind));
            assert!(kind.man_page().starts_with(match kind {
                NsKind::Mnt => "mount_",
                NsKind::Net => "network_",
                _ => kind.name(),
            }));
        }
        assert_eq!(NsKind::from_name(b"mount"), None);
        assert_eq!(NsKind::from_clone_flag(0), None);
    }

    #[test]
    fn only_pid_and_time_have_a_link_for_children() {
        let with: Vec<_> = NsKind::ALL.into_iter().filter(|kind| kind.for_children().is_some()).collect();
        assert_eq!(with, [NsKind::Pid, NsKind::Time]);
    }

    #[test]
    fn the_inode_of_net_and_mnt_proves_only_that_it_is_initial() {
        let dynamic = NsId::new(0xF000_0000).expect("not zero");
        assert_eq!(NsKind::Net.is_initial_inode(dynamic), None);
        assert_eq!(NsKind::Uts.is_initial_inode(dynamic), Some(false));
        assert_eq!(NsKind::Net.is_initial_inode(NsId::new(0xEFFF_FFF9).expect("not zero")), Some(true));
    }

    #[test]
    fn sets_keep_what_is_put_in() {
        let set: KindSet = [NsKind::Net, NsKind::Cgroup].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [NsKind::Cgroup, NsKind::Net]);
        assert!(!set.contains(NsKind::User));
        assert_eq!(KindSet::ALL.iter().count(), 8);
    }
}
