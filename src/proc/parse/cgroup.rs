//! `/proc/PID/cgroup`, see cgroups(7).

use crate::model::id::parse_decimal;

/// Returns the path of the process in the hierarchy that tells most about it; `None` where the text names no hierarchy.
///
/// That is the cgroup v2 path; on hosts where the process sits in the root of v2 (hybrid and v1 hosts), the first v1 path that is
/// not the root: systemd's own hierarchy before those of controllers.
pub fn cgroup(text: &[u8]) -> Option<&[u8]> {
    let (mut v2, mut named, mut controller, mut root) = (None, None, None, None);
    for line in text.split(|&byte| byte == b'\n') {
        // hierarchy-ID:controller-list:path, and the path may contain colons.
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let Some(id) = parse_decimal::<u32>(id) else { continue };
        let slot = match (path, id) {
            (b"/", _) => &mut root,
            (_, 0) => &mut v2,
            _ if controllers.starts_with(b"name=") => &mut named,
            _ => &mut controller,
        };
        slot.get_or_insert(path);
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
