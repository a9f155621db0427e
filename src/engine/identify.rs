//! From a cgroup path to the container that it belongs to, by the names that engines give to cgroups.
//!
//! Pure: no engine is asked, so a name is known only where it stands in the path. Of nested containers the innermost counts.

use crate::model::Container;

/// How an engine names the cgroup of a container.
struct Pattern {
    engine: &'static str,
    /// What the directory above is called, where that matters.
    above: Option<&'static str>,
    prefix: &'static str,
    suffix: &'static str,
    /// Whether what stands between prefix and suffix is an id of 64 hexadecimal digits, or a name.
    id: bool,
}

const fn id(engine: &'static str, above: Option<&'static str>, prefix: &'static str, suffix: &'static str) -> Pattern {
    Pattern { engine, above, prefix, suffix, id: true }
}

const fn name(
    engine: &'static str,
    above: Option<&'static str>,
    prefix: &'static str,
    suffix: &'static str,
) -> Pattern {
    Pattern { engine, above, prefix, suffix, id: false }
}

/// The systemd driver names a scope, the cgroupfs driver a directory.
const PATTERNS: [Pattern; 9] = [
    id("docker", None, "docker-", ".scope"),
    id("docker", Some("docker"), "", ""),
    id("podman", None, "libpod-", ".scope"),
    id("podman", None, "libpod-", ""),
    id("containerd", None, "cri-containerd-", ".scope"),
    id("crio", None, "crio-", ".scope"),
    name("lxc", None, "lxc.payload.", ""),
    name("lxc", Some("lxc"), "", ""),
    name("nspawn", Some("machine.slice"), "systemd-nspawn@", ".service"),
];

/// Returns the innermost container that a cgroup path names.
pub fn identify(cgroup: &[u8]) -> Option<Container> {
    let path = std::str::from_utf8(cgroup).ok()?;
    let parts: Vec<&str> = path.split('/').collect();
    (1..parts.len()).rev().find_map(|index| {
        let (above, part) = (parts[index - 1], parts[index]);
        PATTERNS.iter().filter(|pattern| pattern.above.is_none_or(|wanted| wanted == above)).find_map(|pattern| {
            let text = part.strip_prefix(pattern.prefix)?.strip_suffix(pattern.suffix)?;
            if pattern.id {
                let is_id = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                is_id.then(|| Container { engine: pattern.engine, id: Some(text.to_owned()), name: None })
            } else {
                let named = !text.is_empty();
                named.then(|| Container { engine: pattern.engine, id: None, name: Some(unescape(text)) })
            }
        })
    })
}

/// Undoes systemd's escaping of a unit name, see systemd-escape(1): `\x2d` is a hyphen, a plain hyphen would be a slash.
fn unescape(name: &str) -> String {
    let mut parts = name.split("\\x");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii_graphic) {
            Some(byte) => {
                text.push(char::from(byte));
                text.push_str(&part[2..]);
            }
            None => {
                text.push_str("\\x");
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "3f2a9c0000000000000000000000000000000000000000000000000000000001";

    #[test]
    fn every_engine_is_known_by_its_names() {
        for (path, engine) in [
            (format!("/system.slice/docker-{ID}.scope"), "docker"),
            (format!("/docker/{ID}"), "docker"),
            (format!("/docker/{ID}/init.scope"), "docker"),
            (format!("/machine.slice/libpod-{ID}.scope/container"), "podman"),
            (format!("/libpod_parent/libpod-{ID}"), "podman"),
            (format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"), "containerd"),
            (format!("/kubepods.slice/crio-{ID}.scope"), "crio"),
        ] {
            let container = identify(path.as_bytes()).expect(&path);
            assert_eq!((container.engine, container.id.as_deref()), (engine, Some(ID)), "{path}");
        }
        for (path, engine, name) in [
            ("/lxc.payload.web/init.scope", "lxc", "web"),
            ("/lxc/web", "lxc", "web"),
            ("/machine.slice/systemd-nspawn@my\\x2dbox.service/payload", "nspawn", "my-box"),
        ] {
            let container = identify(path.as_bytes()).expect(path);
            assert_eq!((container.engine, container.name.as_deref()), (engine, Some(name)), "{path}");
        }
    }

    #[test]
    fn the_innermost_of_nested_containers_counts() {
        let path = format!("/lxc.payload.outer/docker/{ID}");
        assert_eq!(identify(path.as_bytes()).map(|container| container.engine), Some("docker"));
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for path in
            ["/", "", "/docker", "/docker/buildkit", "/user.slice/docker-3f2a.scope", "/libpod-conmon-1.scope", "/lxc/"]
        {
            assert_eq!(identify(path.as_bytes()), None, "{path}");
        }
        assert_eq!(identify(b"/docker/\xff"), None);
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in proptest::collection::vec(any::<u8>(), 0..120), tail in "\\PC{0,20}") {
            let _ = identify(&path);
            let _ = identify(format!("/lxc.payload.\\x{tail}").as_bytes());
        }
    }
}
