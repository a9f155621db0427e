//! Where each hierarchy is mounted, which controllers it has, and from a line of `/proc/PID/cgroup` to the directory that it stands for.
//! Pure: the texts are read elsewhere.
//!
//! Nothing is assumed of where a hierarchy is mounted. Both the lines and the roots of the mounts are relative to the cgroup namespace of
//! whoever reads them; so is the answer. See cgroups(7), cgroup_namespaces(7), proc_pid_mountinfo(5).

use std::fmt;

use crate::model::cgroup::{Controller, Version};
use crate::proc::parse::{self, CgroupLine};

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What the file system's options say: controllers, `name=…`; for v2 `nsdelegate` and the like.
    pub options: Vec<Vec<u8>>,
    /// The version.
    pub version: Version,
    /// The cgroup that the mount shows at its top, as the reader's cgroup namespace has it.
    pub root: Vec<u8>,
    /// Where it is mounted.
    pub point: Vec<u8>,
}

/// A hierarchy of the kernel, mounted or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its number in `/proc/PID/cgroup`; 0 is v2.
    pub id: u32,
    /// Its version.
    pub version: Version,
    /// What stands between the colons: v1 controllers, or `name=…`; empty for v2.
    pub names: Vec<u8>,
    /// The controllers whose home it is. For v2 these are added by whoever can read `cgroup.controllers`.
    pub controllers: Vec<Controller>,
    /// Its mounts; that which shows the most comes first.
    pub mounts: Vec<Mount>,
}

impl Hierarchy {
    /// Returns the name of a hierarchy without controllers, such as `systemd`.
    pub fn name(&self) -> Option<&[u8]> {
        self.names.split(|&byte| byte == b',').find_map(|name| name.strip_prefix(b"name="))
    }

    /// Finds the directory of a cgroup of this hierarchy.
    pub fn place(&self, path: &[u8]) -> Place {
        if self.mounts.is_empty() {
            return Place::NotMounted;
        }
        // A cgroup outside of the reader's cgroup namespace has a path that climbs.
        let climbs = path.split(|&byte| byte == b'/').any(|name| name == b"..");
        let found = self.mounts.iter().filter(|_| !climbs).find_map(|mount| {
            let below = match &mount.root[..] {
                b"/" => path,
                root => path.strip_prefix(root)?,
            };
            let below = if below == b"/" { b"" } else { below };
            (below.is_empty() || below.starts_with(b"/")).then(|| [&mount.point, below].concat())
        });
        found.map_or(Place::Outside, Place::Directory)
    }

    /// Finds the cgroup that a directory is, if it is one of this hierarchy: the reverse of [`Hierarchy::place`].
    pub fn cgroup_at(&self, directory: &[u8]) -> Option<Vec<u8>> {
        let below = |mount: &Mount| {
            let below = directory.strip_prefix(&mount.point[..])?;
            let below = below.strip_suffix(b"/").unwrap_or(below);
            if !(below.is_empty() || below.starts_with(b"/")) {
                return None;
            }
            let root = if mount.root == b"/" { b"" } else { &mount.root[..] };
            let path = [root, below].concat();
            Some((mount.point.len(), if path.is_empty() { b"/".to_vec() } else { path }))
        };
        // Of mounts below each other the innermost is the one that is seen there.
        self.mounts.iter().filter_map(below).max_by_key(|(length, _)| *length).map(|(_, path)| path)
    }
}

/// Where the hierarchies of the host are mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    mounts: Vec<Mount>,
}

/// Where the directory of a cgroup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Here.
    Directory(Vec<u8>),
    /// The hierarchy is not mounted.
    NotMounted,
    /// The cgroup lies outside of what is mounted, or of the caller's cgroup namespace.
    Outside,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Directory(path) => f.write_str(&String::from_utf8_lossy(path)),
            Place::NotMounted => f.write_str("the hierarchy is not mounted"),
            Place::Outside => f.write_str("the cgroup lies outside of what is mounted here"),
        }
    }
}

impl Layout {
    /// Takes the mounts of cgroup file systems from a mountinfo file.
    pub fn parse(mountinfo: &[u8]) -> Layout {
        let mounts = parse::mountinfo(mountinfo)
            .filter(|mount| matches!(mount.fs_type, b"cgroup" | b"cgroup2"))
            .map(|mount| Mount {
                options: mount.super_options.split(|&byte| byte == b',').map(<[u8]>::to_vec).collect(),
                version: if mount.fs_type == b"cgroup2" { Version::V2 } else { Version::V1 },
                root: parse::unescape_octal(mount.root).into_owned(),
                point: parse::unescape_octal(mount.point).into_owned(),
            })
            .collect();
        Layout { mounts }
    }

    /// Returns the hierarchy that a line of `/proc/PID/cgroup` is about, with its mounts.
    pub fn hierarchy(&self, line: &CgroupLine<'_>) -> Hierarchy {
        let version = if line.is_unified() { Version::V2 } else { Version::V1 };
        let is_home = |mount: &&Mount| {
            mount.version == version && line.controllers().all(|name| mount.options.iter().any(|option| option == name))
        };
        let mut mounts: Vec<Mount> = self.mounts.iter().filter(is_home).cloned().collect();
        mounts.sort_by_key(|mount| mount.root.len());
        let controllers = line.controllers().filter_map(Controller::from_name).collect();
        Hierarchy { id: line.id, version, names: line.names.to_vec(), controllers, mounts }
    }

    /// Returns every hierarchy that a `/proc/PID/cgroup` names, v2 first.
    pub fn hierarchies(&self, cgroup: &[u8]) -> Vec<Hierarchy> {
        let mut all: Vec<Hierarchy> = parse::cgroup_lines(cgroup).map(|line| self.hierarchy(&line)).collect();
        all.sort_by_key(|hierarchy| hierarchy.id);
        all
    }

    /// Finds the directory of a cgroup.
    pub fn place(&self, line: &CgroupLine<'_>) -> Place {
        self.hierarchy(line).place(line.path)
    }
}

/// Goes through the controllers of `/proc/cgroups`: their number of hierarchy (0 where v2 or nobody has them), and whether they are
/// enabled, which `cgroup_disable=` undoes at boot.
pub fn controllers_of_kernel(text: &[u8]) -> impl Iterator<Item = (Controller, u32, bool)> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut words = super::parse::words(line);
        let controller = Controller::from_name(words.next()?)?;
        let id = crate::model::id::parse_decimal(words.next()?)?;
        Some((controller, id, words.nth(1)? == b"1"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
        31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        32 24 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
        33 24 0:29 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    fn place(mountinfo: &[u8], line: &[u8]) -> Place {
        let line = parse::cgroup_lines(line).next().expect("a line");
        Layout::parse(mountinfo).place(&line)
    }

    #[test]
    fn each_hierarchy_has_its_home() {
        for (line, directory) in [
            ("0::/a/b\n", "/sys/fs/cgroup/unified/a/b"),
            ("0::/\n", "/sys/fs/cgroup/unified"),
            ("4:cpu,cpuacct:/x:y\n", "/sys/fs/cgroup/cpu,cpuacct/x:y"),
            ("1:name=systemd:/u.slice\n", "/sys/fs/cgroup/systemd/u.slice"),
            ("9:memory:/docker/abc\n", "/sys/fs/cgroup/memory"),
            ("9:memory:/docker/abc/sub\n", "/sys/fs/cgroup/memory/sub"),
        ] {
            assert_eq!(place(HYBRID, line.as_bytes()), Place::Directory(directory.as_bytes().to_vec()), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_reached_is_said_to_be_so() {
        assert_eq!(place(HYBRID, b"9:memory:/docker/abcd\n"), Place::Outside);
        assert_eq!(place(HYBRID, b"9:memory:/\n"), Place::Outside);
        assert_eq!(place(HYBRID, b"0::/../x\n"), Place::Outside);
        assert_eq!(place(HYBRID, b"5:pids:/\n"), Place::NotMounted);
        assert_eq!(place(b"", b"0::/\n"), Place::NotMounted);
    }

    #[test]
    fn a_directory_is_a_cgroup_again() {
        let own = b"4:cpu,cpuacct:/\n9:memory:/docker/abc\n0::/\n5:pids:/\n";
        let all = Layout::parse(HYBRID).hierarchies(own);
        assert_eq!(all.iter().map(|one| one.id).collect::<Vec<_>>(), [0, 4, 5, 9]);
        let at = |id: u32, directory: &str| {
            all.iter().find(|one| one.id == id).expect("there").cgroup_at(directory.as_bytes())
        };
        assert_eq!(at(0, "/sys/fs/cgroup/unified/a/").as_deref(), Some(&b"/a"[..]));
        assert_eq!(at(0, "/sys/fs/cgroup/unified").as_deref(), Some(&b"/"[..]));
        assert_eq!(at(0, "/sys/fs/cgroup/unified2"), None);
        assert_eq!(at(9, "/sys/fs/cgroup/memory/sub").as_deref(), Some(&b"/docker/abc/sub"[..]));
        assert_eq!(at(5, "/sys/fs/cgroup/pids"), None);
        assert_eq!(all[1].controllers, [Controller::Cpu, Controller::Cpuacct]);
    }

    #[test]
    fn a_hierarchy_without_controllers_has_a_name() {
        let all = Layout::parse(HYBRID).hierarchies(b"1:name=systemd:/\n");
        assert_eq!((all[0].name(), &all[0].controllers[..]), (Some(&b"systemd"[..]), &[][..]));
    }

    #[test]
    fn the_kernel_lists_its_controllers() {
        let text = b"#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\nmemory\t0\t9\t0\nblkio\t0\t1\t1\nnew\t0\t1\t1\n";
        let all: Vec<_> = controllers_of_kernel(text).collect();
        assert_eq!(all, [(Controller::Cpuset, 3, true), (Controller::Memory, 0, false), (Controller::Io, 0, true)]);
    }
}
