//! From a cgroup path to the containers that it belongs to, by the names that engines give to cgroups.
//!
//! Pure: no engine is asked, so a name is known only where it stands in the path. Whoever may make cgroups below his own may call them as
//! he likes, so what a path says is a claim: `sandbox` holds it against who looks after the processes, and against records.

use crate::model::Container;

/// What stands between the prefix and the suffix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inner {
    /// An id of 64 hexadecimal digits.
    Id,
    /// A name.
    Name,
    /// The name of a snap, up to the first dot.
    Snap,
    /// The name of a flatpak application, up to the last hyphen, which a pid follows.
    Flatpak,
}

/// How an engine names the cgroup of a container.
struct Pattern {
    /// The engine; `None` where several name them so.
    engine: Option<&'static str>,
    /// What the directory above is called, where that matters.
    above: Option<&'static str>,
    prefix: &'static str,
    suffix: &'static str,
    inner: Inner,
}

const fn id(engine: &'static str, above: Option<&'static str>, prefix: &'static str, suffix: &'static str) -> Pattern {
    Pattern { engine: Some(engine), above, prefix, suffix, inner: Inner::Id }
}

const fn name(
    engine: &'static str,
    above: Option<&'static str>,
    prefix: &'static str,
    suffix: &'static str,
) -> Pattern {
    Pattern { engine: Some(engine), above, prefix, suffix, inner: Inner::Name }
}

const fn package(engine: &'static str, prefix: &'static str, suffix: &'static str, inner: Inner) -> Pattern {
    Pattern { engine: Some(engine), above: None, prefix, suffix, inner }
}

/// The systemd driver names a scope, the cgroupfs driver a directory. The first that fits counts.
const PATTERNS: [Pattern; 18] = [
    id("docker", None, "docker-", ".scope"),
    id("docker", Some("docker"), "", ""),
    id("podman", None, "libpod-", ".scope"),
    id("podman", None, "libpod-", ""),
    id("containerd", None, "cri-containerd-", ".scope"),
    id("containerd", None, "nerdctl-", ".scope"),
    id("crio", None, "crio-", ".scope"),
    id("crio", None, "crio-", ""),
    name("lxc", None, "lxc.payload.", ""),
    name("lxc", Some("lxc"), "", ""),
    name("nspawn", Some("machine.slice"), "systemd-nspawn@", ".service"),
    name("machine", Some("machine.slice"), "machine-", ".scope"),
    package("snap", "snap.", ".service", Inner::Snap),
    package("snap", "snap.", ".scope", Inner::Snap),
    package("flatpak", "app-flatpak-", ".scope", Inner::Flatpak),
    package("flatpak", "flatpak-", ".scope", Inner::Flatpak),
    // Kubernetes with the cgroupfs driver, `--cgroup-parent`: whose it is the processes around it say.
    Pattern { engine: None, above: None, prefix: "", suffix: "", inner: Inner::Id },
    // containerd with the systemd driver and another prefix than its own: `system.slice:nerdctl:ID` and the like.
    Pattern { engine: None, above: None, prefix: "", suffix: ".scope", inner: Inner::Id },
];

/// A container that a part of a cgroup path names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Whose container it is said to be; `None` where several engines name cgroups so.
    pub engine: Option<&'static str>,
    /// The id.
    pub id: Option<String>,
    /// The name.
    pub name: Option<String>,
}

/// Returns the containers that a cgroup path names, from the outside in.
pub fn claims(cgroup: &[u8]) -> Vec<Claim> {
    claims_with_ends(cgroup).into_iter().map(|(claim, _)| claim).collect()
}

/// As [`claims`], each with where the part of the path ends that names it.
pub fn claims_with_ends(cgroup: &[u8]) -> Vec<(Claim, usize)> {
    let Ok(path) = std::str::from_utf8(cgroup) else { return Vec::new() };
    let (mut above, mut end) = ("", 0);
    let mut all = Vec::new();
    for (place, part) in path.split('/').enumerate() {
        end += part.len() + usize::from(place > 0);
        all.extend(claim(above, part).filter(|_| place > 0).map(|claim| (claim, end)));
        above = part;
    }
    all
}

fn claim(above: &str, part: &str) -> Option<Claim> {
    PATTERNS.iter().filter(|pattern| pattern.above.is_none_or(|wanted| wanted == above)).find_map(|pattern| {
        let text = part.strip_prefix(pattern.prefix)?.strip_suffix(pattern.suffix)?;
        let named = |name: &str| {
            (!name.is_empty()).then(|| Claim { engine: pattern.engine, id: None, name: Some(unescape(name)) })
        };
        match pattern.inner {
            Inner::Id => {
                is_id(text.as_bytes()).then(|| Claim { engine: pattern.engine, id: Some(text.to_owned()), name: None })
            }
            Inner::Name => named(text),
            Inner::Snap => named(text.split('.').next().unwrap_or_default()),
            Inner::Flatpak => named(text.rsplit_once('-')?.0),
        }
    })
}

/// Returns what an id begins with, as engines show it: 12 digits. Other words are left as they are.
pub fn short(id: &str) -> &str {
    if is_id(id.as_bytes()) { &id[..12] } else { id }
}

/// Says whether this is an id as engines make them: 64 hexadecimal digits.
pub fn is_id(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the innermost container that a cgroup path names, and whose engine is known by it.
pub fn identify(cgroup: &[u8]) -> Option<Container> {
    let Claim { engine, id, name } = claims(cgroup).pop()?;
    let engine = engine?;
    let target = format!("{engine}:{}", name.as_deref().or(id.as_deref().map(short)).unwrap_or_default());
    Some(Container { engine, id, name, target, verified: false })
}

/// Returns the uid of the Kubernetes pod that a cgroup path names: `kubepods-burstable-podUID.slice`, `/kubepods/burstable/podUID`.
pub fn pod_uid(cgroup: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(cgroup).ok()?;
    path.split('/').rev().find_map(|part| {
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let uid = part
            .strip_prefix("pod")
            .or_else(|| part.starts_with("kubepods").then(|| part.rsplit_once("-pod"))?.map(|(_, uid)| uid))?;
        // The systemd driver cannot have hyphens in it: they stand for slashes there.
        let uid = uid.replace('_', "-");
        (!uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')).then_some(uid)
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
            (format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"), "podman"),
            (format!("/libpod_parent/libpod-{ID}"), "podman"),
            (format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"), "containerd"),
            (format!("/system.slice/nerdctl-{ID}.scope"), "containerd"),
            (format!("/kubepods.slice/crio-{ID}.scope"), "crio"),
            (format!("/kubepods/besteffort/pod1/crio-{ID}"), "crio"),
        ] {
            let container = identify(path.as_bytes()).expect(&path);
            assert_eq!((container.engine, container.id.as_deref()), (engine, Some(ID)), "{path}");
        }
        for (path, engine, name) in [
            ("/lxc.payload.web/init.scope", "lxc", "web"),
            ("/lxc/web", "lxc", "web"),
            ("/machine.slice/systemd-nspawn@my\\x2dbox.service/payload", "nspawn", "my-box"),
            ("/machine.slice/machine-box.scope", "machine", "box"),
            ("/system.slice/snap.cups.cupsd.service", "snap", "cups"),
            ("/user.slice/snap.firefox.firefox-0b1c.scope", "snap", "firefox"),
            ("/user.slice/app.slice/app-flatpak-org.gnome.Maps-4242.scope", "flatpak", "org.gnome.Maps"),
        ] {
            let container = identify(path.as_bytes()).expect(path);
            assert_eq!((container.engine, container.name.as_deref()), (engine, Some(name)), "{path}");
        }
    }

    #[test]
    fn the_innermost_of_nested_containers_counts() {
        let path = format!("/lxc.payload.outer/docker/{ID}");
        assert_eq!(identify(path.as_bytes()).map(|container| container.engine), Some("docker"));
        let claims = claims(path.as_bytes());
        assert_eq!(claims.iter().map(|claim| claim.engine).collect::<Vec<_>>(), [Some("lxc"), Some("docker")]);
    }

    #[test]
    fn an_id_without_its_engine_is_a_claim_and_no_container() {
        for path in [format!("/nsx-parent/{ID}"), format!("/kubepods/burstable/pod0b1c-2d/{ID}")] {
            assert_eq!(identify(path.as_bytes()), None, "{path}");
            assert_eq!(claims(path.as_bytes()), [Claim { engine: None, id: Some(ID.to_owned()), name: None }]);
        }
    }

    #[test]
    fn pods_are_known_with_both_drivers() {
        for path in [
            format!("/kubepods/burstable/pod0b1c2d3e-aaaa-bbbb-cccc-123456789abc/{ID}"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b1c2d3e_aaaa_bbbb_cccc_123456789abc.slice/crio-{ID}.scope"
            ),
            format!("/kubepods.slice/kubepods-pod0b1c2d3e_aaaa_bbbb_cccc_123456789abc.slice/cri-containerd-{ID}.scope"),
        ] {
            assert_eq!(pod_uid(path.as_bytes()).as_deref(), Some("0b1c2d3e-aaaa-bbbb-cccc-123456789abc"), "{path}");
        }
        for path in ["/", "/pod", "/podman", "/system.slice/podxyz.service"] {
            assert_eq!(pod_uid(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for path in
            ["/", "", "/docker", "/docker/buildkit", "/user.slice/docker-3f2a.scope", "/libpod-conmon-1.scope", "/lxc/"]
        {
            assert_eq!(claims(path.as_bytes()), [], "{path}");
        }
        assert_eq!(claims(b"/docker/\xff"), []);
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in proptest::collection::vec(any::<u8>(), 0..120), tail in "\\PC{0,20}") {
            let _ = claims(&path);
            let _ = pod_uid(&path);
            for prefix in ["lxc.payload.\\x", "app-flatpak-", "snap.", "kubepods-pod"] {
                let _ = claims(format!("/{prefix}{tail}.scope").as_bytes());
                let _ = pod_uid(format!("/{prefix}{tail}.slice").as_bytes());
            }
        }
    }
}
