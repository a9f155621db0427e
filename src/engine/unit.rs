//! From a cgroup path to the systemd unit that it belongs to, by the names that systemd gives to cgroups: systemd.unit(5). Pure.

/// What ends the names of units that have cgroups.
const ENDINGS: [&[u8]; 6] = [b".service", b".scope", b".slice", b".socket", b".mount", b".swap"];

/// Returns the innermost unit that a cgroup path names.
pub fn unit(cgroup: &[u8]) -> Option<&[u8]> {
    let is_unit = |name: &&[u8]| ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending));
    cgroup.split(|&byte| byte == b'/').rev().find(is_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_unit_counts() {
        for (path, found) in [
            ("/system.slice/ssh.service", Some("ssh.service")),
            ("/user.slice/user-1000.slice/session-1.scope", Some("session-1.scope")),
            ("/system.slice/x.service/payload", Some("x.service")),
            ("/docker/abc", None),
            ("/.service", None),
            ("/", None),
        ] {
            assert_eq!(unit(path.as_bytes()), found.map(str::as_bytes), "{path}");
        }
    }
}
