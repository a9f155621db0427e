//! From a line of `/proc/PID/cgroup` to the directory that it stands for. Pure: the texts are read elsewhere.
//!
//! Both the lines and the roots of the mounts are relative to the cgroup namespace of whoever reads them; so is the answer. See
//! cgroup_namespaces(7), proc_pid_mountinfo(5).

use std::fmt;

use crate::proc::parse::{self, CgroupLine};

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// What the file system's options say: controllers, `name=…`. Empty for v2.
    options: Vec<Vec<u8>>,
    unified: bool,
    root: Vec<u8>,
    point: Vec<u8>,
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
                unified: mount.fs_type == b"cgroup2",
                root: parse::unescape_octal(mount.root).into_owned(),
                point: parse::unescape_octal(mount.point).into_owned(),
            })
            .collect();
        Layout { mounts }
    }

    /// Finds the directory of a cgroup.
    pub fn place(&self, line: &CgroupLine<'_>) -> Place {
        let is_home = |mount: &&Mount| {
            mount.unified == line.is_unified()
                && line.controllers().all(|name| mount.options.iter().any(|option| option == name))
        };
        let mut homes = self.mounts.iter().filter(is_home).peekable();
        if homes.peek().is_none() {
            return Place::NotMounted;
        }
        // Of several mounts the one that shows the most comes first.
        let found = homes.filter_map(|mount| {
            let below = match &mount.root[..] {
                b"/" => line.path,
                root => line.path.strip_prefix(root)?,
            };
            let climbs = line.path.split(|&byte| byte == b'/').any(|name| name == b"..");
            ((below.is_empty() || below.starts_with(b"/")) && !climbs).then(|| {
                let mut path = mount.point.clone();
                path.extend_from_slice(if below == b"/" { b"" } else { below });
                (mount.root.len(), path)
            })
        });
        found.min_by_key(|(length, _)| *length).map_or(Place::Outside, |(_, path)| Place::Directory(path))
    }
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
}
