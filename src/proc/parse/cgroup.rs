//! `/proc/PID/cgroup`, see cgroups(7).

use crate::model::id::parse_decimal;

/// One line: the cgroup of the process in one hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupLine<'a> {
    /// The number of the hierarchy; 0 is that of v2.
    pub id: u32,
    /// The controllers of a v1 hierarchy, or its name, as `name=systemd`; empty for v2.
    pub names: &'a [u8],
    /// The path, as the reader's cgroup namespace has it.
    pub path: &'a [u8],
}

impl<'a> CgroupLine<'a> {
    /// Says whether it is the line of v2.
    pub const fn is_unified(&self) -> bool {
        self.id == 0
    }

    /// Returns what stands between the colons, word by word.
    pub fn controllers(&self) -> impl Iterator<Item = &'a [u8]> {
        self.names.split(|&byte| byte == b',').filter(|name| !name.is_empty())
    }
}

/// Goes through the lines; what is none is passed over.
pub fn cgroup_lines(text: &[u8]) -> impl Iterator<Item = CgroupLine<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        // hierarchy-ID:controller-list:path, and the path may contain colons.
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (id, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        Some(CgroupLine { id: parse_decimal(id)?, names, path })
    })
}

/// Returns the path of the process in the hierarchy that tells most about it; `None` where the text names no hierarchy.
///
/// That is the cgroup v2 path; on hosts where the process sits in the root of v2 (hybrid and v1 hosts), the first v1 path that is
/// not the root: systemd's own hierarchy before those of controllers.
pub fn cgroup(text: &[u8]) -> Option<&[u8]> {
    let (mut v2, mut named, mut controller, mut root) = (None, None, None, None);
    for line in cgroup_lines(text) {
        let slot = match (line.path, line.id) {
            (b"/", _) => &mut root,
            (_, 0) => &mut v2,
            _ if line.names.starts_with(b"name=") => &mut named,
            _ => &mut controller,
        };
        slot.get_or_insert(line.path);
    }
    v2.or(named).or(controller).or(root)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn v2_tells_where_it_can() {
        assert_eq!(cgroup(b"0::/system.slice/ssh.service\n"), Some(&b"/system.slice/ssh.service"[..]));
        assert_eq!(cgroup(b"1:name=systemd:/a\n0::/b:c\n"), Some(&b"/b:c"[..]));
        assert_eq!(cgroup(b"0::/\n"), Some(&b"/"[..]));
    }

    #[test]
    fn hybrid_hosts_fall_back_to_v1() {
        let hybrid = b"9:name=systemd:/\n8:pids:/docker/3f2a\n7:cpu,cpuacct:/x\n0::/\n";
        assert_eq!(cgroup(hybrid), Some(&b"/docker/3f2a"[..]));
        let systemd = b"8:pids:/user.slice\n1:name=systemd:/user.slice/session-1.scope\n0::/\n";
        assert_eq!(cgroup(systemd), Some(&b"/user.slice/session-1.scope"[..]));
        assert_eq!(cgroup(b"4:memory:/\n3:cpu:/\n"), Some(&b"/"[..]));
    }

    #[test]
    fn what_names_no_hierarchy_is_nothing() {
        for text in ["", "\n", "x", "a:b", "x::/a"] {
            assert_eq!(cgroup(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = cgroup(&text);
        }
    }
}
