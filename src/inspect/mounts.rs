//! What the mounts of a process are there for, by its mountinfo and the caller's. Pure.

use std::collections::{HashMap, HashSet};

use crate::model::isolation::{Mount, MountRole, has_option};
use crate::proc::parse::{self, MountLine, unescape_octal};

/// File systems that the kernel makes up, so that the same one may be mounted by many.
const KERNEL: [&[u8]; 18] = [
    b"proc",
    b"sysfs",
    b"cgroup",
    b"cgroup2",
    b"devpts",
    b"mqueue",
    b"securityfs",
    b"debugfs",
    b"tracefs",
    b"bpf",
    b"configfs",
    b"pstore",
    b"efivarfs",
    b"binfmt_misc",
    b"fusectl",
    b"hugetlbfs",
    b"nsfs",
    b"rpc_pipefs",
];

/// Returns the mounts that are to be seen, by their paths, those above before those below, and how many are not. `callers` is the mountinfo of the caller, or
/// empty where both are in one mount namespace.
pub fn mounts(theirs: &[u8], callers: &[u8]) -> (Vec<Mount>, usize) {
    let lines: Vec<MountLine<'_>> = parse::mountinfo(theirs).collect();
    let own: Vec<MountLine<'_>> = parse::mountinfo(callers).collect();
    let mut by_device: HashMap<(u32, u32), Vec<&MountLine<'_>>> = HashMap::new();
    for line in &own {
        by_device.entry(line.device).or_default().push(line);
    }
    let tree = Tree::new(&lines);
    let seen: Vec<&MountLine<'_>> = lines.iter().filter(|line| tree.is_visible(line)).collect();
    let hidden = lines.len() - seen.len();
    let mounts = seen.into_iter().map(|line| {
        let root = unescape_octal(line.root).into_owned();
        let is_kernels = KERNEL.contains(&line.fs_type);
        let there = by_device.get(&line.device).filter(|_| !is_kernels);
        let host_path = there.and_then(|there| host_path(there, &root));
        let point = unescape_octal(line.point).into_owned();
        let role = role(line, &point, there.is_some(), is_kernels, tree.has_children(line));
        Mount {
            role,
            point,
            root,
            fs_type: line.fs_type.to_vec(),
            source: unescape_octal(line.source).into_owned(),
            options: line.options.to_vec(),
            super_options: line.super_options.to_vec(),
            device: line.device,
            propagation: line.propagation.to_vec(),
            host_path,
        }
    });
    let mut mounts: Vec<Mount> = mounts.collect();
    mounts.sort_by(|one, other| one.point.cmp(&other.point));
    (mounts, hidden)
}

/// Says whether two mountinfo files are of one mount namespace: no mount is in two.
pub fn has_common(theirs: &[u8], callers: &[u8]) -> bool {
    let callers: HashSet<u32> = parse::mountinfo(callers).map(|line| line.id).collect();
    parse::mountinfo(theirs).any(|line| callers.contains(&line.id))
}

/// Says whether a device node on a devtmpfs is one that every program has.
pub fn is_plain_node(root: &[u8]) -> bool {
    const PLAIN: [&[u8]; 8] = [b"/null", b"/zero", b"/full", b"/random", b"/urandom", b"/tty", b"/ptmx", b"/console"];
    PLAIN.contains(&root)
}

fn role(line: &MountLine<'_>, point: &[u8], of_caller: bool, is_kernels: bool, has_children: bool) -> MountRole {
    let is_read_only = has_option(line.options, "ro") || has_option(line.super_options, "ro");
    let is_below = |folder: &[u8]| point.strip_prefix(folder).is_some_and(|rest| rest.len() > 1 && rest[0] == b'/');
    let is_sensitive = is_below(b"/proc") || is_below(b"/sys");
    match line.fs_type {
        _ if point == b"/" => MountRole::Root,
        b"devtmpfs" | b"tmpfs" if is_sensitive && line.root.ends_with(b"/null") => MountRole::Masked,
        b"tmpfs" if is_sensitive && is_read_only && !has_children => MountRole::Masked,
        b"proc" | b"sysfs" if is_sensitive && is_read_only && line.root != b"/" => MountRole::ReadOnly,
        b"devtmpfs" if line.root != b"/" => MountRole::Device,
        _ if is_kernels => MountRole::Kernel,
        _ if of_caller => MountRole::Host,
        _ => MountRole::Other,
    }
}

/// Returns where the caller has the files below `root` of a file system, by the mount that shows the least beside them.
fn host_path(there: &[&MountLine<'_>], root: &[u8]) -> Option<Vec<u8>> {
    let (line, shown) = there
        .iter()
        .filter_map(|line| {
            let shown = unescape_octal(line.root).into_owned();
            below(&shown, root).is_some().then_some((line, shown))
        })
        .max_by_key(|(line, shown)| (shown.len(), std::cmp::Reverse(line.point.len())))?;
    let point = unescape_octal(line.point);
    let rest = below(&shown, root)?;
    let path = [point.strip_suffix(b"/").unwrap_or(&point), rest].concat();
    Some(if path.is_empty() { b"/".to_vec() } else { path })
}

/// Returns what follows a directory in a path: nothing, or something that begins with a slash.
fn below<'p>(directory: &[u8], path: &'p [u8]) -> Option<&'p [u8]> {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    let rest = path.strip_prefix(directory)?;
    let rest = rest.strip_suffix(b"/").unwrap_or(rest);
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// Which mounts are mounted on which.
struct Tree<'l, 't> {
    by_id: HashMap<u32, &'l MountLine<'t>>,
    /// The mount below and the point of each.
    points: HashSet<(u32, &'t [u8])>,
    parents: HashSet<u32>,
}

impl<'l, 't> Tree<'l, 't> {
    fn new(lines: &'l [MountLine<'t>]) -> Tree<'l, 't> {
        Tree {
            by_id: lines.iter().map(|line| (line.id, line)).collect(),
            points: lines.iter().map(|line| (line.parent, line.point)).collect(),
            parents: lines.iter().map(|line| line.parent).collect(),
        }
    }

    fn has_children(&self, line: &MountLine<'_>) -> bool {
        self.parents.contains(&line.id)
    }

    /// Says whether another mount lies on top of this one.
    fn is_covered(&self, line: &MountLine<'_>) -> bool {
        line.id != line.parent && self.points.contains(&(line.id, line.point))
    }

    fn is_visible(&self, line: &MountLine<'t>) -> bool {
        if self.is_covered(line) {
            return false;
        }
        let mut line = line;
        // No tree is deeper than it has mounts; what goes in circles is no tree.
        for _ in 0..=self.by_id.len() {
            // Mounted on the same below it, at a point above its own: made later, or it would be mounted on that.
            let ends = line.point.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
            for end in ends {
                let above = &line.point[..end];
                let is_shadow = self.points.contains(&(line.parent, above))
                    && self.by_id.get(&line.parent).is_none_or(|parent| parent.point != above);
                if is_shadow {
                    return false;
                }
            }
            let Some(parent) = self.by_id.get(&line.parent).filter(|parent| parent.id != line.id) else { return true };
            // What covers its parent is where that was; anything else is in it, and goes with it.
            if line.point != parent.point && self.is_covered(parent) {
                return false;
            }
            line = parent;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CALLERS: &[u8] = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n22 27 0:21 / /proc rw - proc proc rw\n\
        24 27 0:6 / /dev rw - devtmpfs devtmpfs rw\n30 27 8:1 / /srv rw - xfs /dev/sda1 rw\n31 27 8:2 /vol /data/vol rw - xfs /dev/sdb rw\n";

    fn found(theirs: &str) -> Vec<(String, MountRole, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let (mounts, _) = mounts(theirs.as_bytes(), CALLERS);
        mounts.iter().map(|mount| (text(&mount.point), mount.role, mount.host_path.as_deref().map(text))).collect()
    }

    #[test]
    fn what_a_container_has_is_told_apart() {
        let theirs = "100 90 0:50 / / rw - overlay overlay rw\n101 100 0:51 / /proc rw - proc proc rw\n\
            102 101 0:51 /sys /proc/sys ro - proc proc rw\n103 101 0:6 /null /proc/kcore rw - devtmpfs devtmpfs rw\n\
            104 101 0:52 / /proc/acpi ro - tmpfs tmpfs ro\n105 100 0:53 / /dev rw - tmpfs tmpfs rw\n\
            106 105 0:6 /kvm /dev/kvm rw - devtmpfs devtmpfs rw\n107 100 8:1 /www /var/www rw - xfs /dev/sda1 rw\n\
            108 100 254:0 /run/docker.sock /run/docker.sock rw - ext4 /dev/vda rw\n109 100 0:22 / /sys ro - sysfs sysfs ro\n\
            110 109 0:60 / /sys/fs/cgroup ro - tmpfs tmpfs rw\n111 110 0:61 / /sys/fs/cgroup/cpu ro - cgroup cgroup rw\n\
            112 100 8:2 /vol/a /a rw - xfs /dev/sdb rw\n113 100 0:6 / /hostdev rw - devtmpfs devtmpfs rw\n";
        let none = None;
        let some = |path: &str| Some(path.to_owned());
        let expected = [
            ("/", MountRole::Root, none.clone()),
            ("/proc", MountRole::Kernel, none.clone()),
            ("/proc/sys", MountRole::ReadOnly, none.clone()),
            ("/proc/kcore", MountRole::Masked, some("/dev/null")),
            ("/proc/acpi", MountRole::Masked, none.clone()),
            ("/dev", MountRole::Other, none.clone()),
            ("/dev/kvm", MountRole::Device, some("/dev/kvm")),
            ("/var/www", MountRole::Host, some("/srv/www")),
            ("/run/docker.sock", MountRole::Host, some("/run/docker.sock")),
            ("/sys", MountRole::Kernel, none.clone()),
            ("/sys/fs/cgroup", MountRole::Other, none.clone()),
            ("/sys/fs/cgroup/cpu", MountRole::Kernel, none),
            ("/a", MountRole::Host, some("/data/vol/a")),
            ("/hostdev", MountRole::Host, some("/dev")),
        ];
        let mut expected: Vec<_> = expected.map(|(point, role, path)| (point.to_owned(), role, path)).into();
        expected.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(found(theirs), expected);
    }

    #[test]
    fn what_is_covered_is_not_seen() {
        // /dev is covered by another /dev, with all that was on it; /run/a by /run, which came later; /tmp by two.
        let theirs = "1 90 0:50 / / rw - overlay o rw\n2 1 0:6 / /dev rw - devtmpfs d rw\n3 2 0:7 / /dev/shm rw - tmpfs t rw\n\
            4 2 0:8 / /dev rw - tmpfs t rw\n5 4 0:9 / /dev/pts rw - devpts d rw\n6 1 0:10 / /run/a rw - tmpfs t rw\n\
            7 1 0:11 / /run rw - tmpfs t rw\n8 7 0:12 / /run/b rw - tmpfs t rw\n9 1 0:13 / /tmp rw - tmpfs t rw\n10 9 0:14 / /tmp rw - tmpfs t rw\n";
        let (seen, hidden) = mounts(theirs.as_bytes(), b"");
        let points: Vec<_> = seen.iter().map(|mount| String::from_utf8_lossy(&mount.point).into_owned()).collect();
        assert_eq!(points, ["/", "/dev", "/dev/pts", "/run", "/run/b", "/tmp"]);
        assert_eq!(hidden, 4);
        assert_eq!(seen[5].device, (0, 14));
    }

    #[test]
    fn a_root_that_is_the_hosts_has_its_path() {
        assert_eq!(
            found("5 1 254:0 / / ro - ext4 /dev/vda rw\n"),
            [("/".to_owned(), MountRole::Root, Some("/".to_owned()))]
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([0-9]{1,2} [0-9]{1,2} 0:[0-9] /[a-b/]{0,4} /[a-b/]{0,5} r[ow] - tmpfs t rw\n){0,12}") {
            let (seen, hidden) = mounts(text.as_bytes(), text.as_bytes());
            prop_assert_eq!(seen.len() + hidden, text.lines().count());
        }
    }
}
