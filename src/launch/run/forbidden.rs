//! Why a user namespace could not be made, or its ids could not be mapped: looked up after the failure, not guessed from the errno.
//!
//! Only what is seen to forbid it is said. Not here: what was to be mapped (`run::ids`). See clone(2), user_namespaces(7), namespaces(7),
//! <https://gitlab.com/apparmor/apparmor/-/wikis/unprivileged_userns_restriction>.

use std::ffi::CString;
use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ids::Caller;
use crate::model::id::parse_decimal;
use crate::model::{CapSet, KindSet, NsKind};
use crate::proc::parse::mountinfo;
use crate::proc::root::link_name;
use crate::proc::{ProcPid, ProcRoot};
use crate::sys::{Errno, cred, dir};

/// What forbids it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// The kernel has no user namespaces.
    Absent,
    /// The caller's own uid, or else gid, does not exist in its user namespace.
    Unmapped {
        /// Whether it is the uid.
        uid: bool,
    },
    /// The root directory was changed by chroot(2).
    Chroot,
    /// kernel.unprivileged_userns_clone is 0, and the caller has no CAP_SYS_ADMIN: Debian, and kernels with its patch.
    UnprivilegedClone,
    /// kernel.apparmor_restrict_unprivileged_userns is 1, and no profile of AppArmor makes an exception: Ubuntu since 23.10.
    AppArmor {
        /// The program that a profile would have to be for.
        program: PathBuf,
    },
    /// There may be no namespaces of this kind: its limit is 0.
    None(NsKind),
    /// A limit on namespaces is reached: one of these, or that of a user namespace above.
    Limits {
        /// The kinds that were asked for, and their limits here.
        limits: Vec<(NsKind, u64)>,
        /// Whether this is no initial user namespace, so that also the depth may be what is reached.
        nested: bool,
    },
    /// A filter of system calls is in place.
    Seccomp,
    /// A security module confines the caller.
    Confined {
        /// The label that it runs with.
        label: String,
    },
    /// Id 0 of the caller's user namespace was to be mapped, which takes CAP_SETFCAP there.
    Setfcap,
    /// A helper has neither the setuid bit nor file capabilities.
    Powerless(PathBuf),
    /// A helper lies on a file system that is mounted so that it has no privileges.
    Nosuid(PathBuf),
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Forbidden::Absent => f.write_str("the kernel was built without user namespaces (CONFIG_USER_NS)"),
            Forbidden::Unmapped { uid } => {
                let name = if *uid { "uid" } else { "gid" };
                write!(f, "the caller's {name} has no mapping in its own user namespace (/proc/self/{name}_map)")
            }
            Forbidden::Chroot => {
                f.write_str("the root directory was changed by chroot(2), where no user namespace can be made")
            }
            Forbidden::UnprivilegedClone => f.write_str("kernel.unprivileged_userns_clone is 0"),
            Forbidden::AppArmor { .. } => f.write_str("kernel.apparmor_restrict_unprivileged_userns is 1"),
            Forbidden::None(kind) => write!(f, "user.max_{kind}_namespaces is 0"),
            Forbidden::Limits { limits, nested } => {
                f.write_str("a limit on namespaces is reached, here or above: ")?;
                for (place, (kind, limit)) in limits.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}user.max_{kind}_namespaces is {limit}")?;
                }
                if *nested { f.write_str("; or user namespaces are nested 33 deep") } else { Ok(()) }
            }
            Forbidden::Seccomp => f.write_str("a seccomp filter is in place (Seccomp: 2 in /proc/self/status)"),
            Forbidden::Confined { label } => write!(f, "a security module confines the caller, as {label}"),
            Forbidden::Setfcap => {
                f.write_str("mapping id 0 of the caller's user namespace takes CAP_SETFCAP in it, since Linux 5.12")
            }
            Forbidden::Powerless(program) => {
                write!(f, "{} has neither the setuid bit nor file capabilities", program.display())
            }
            Forbidden::Nosuid(program) => write!(f, "{} is on a file system that is mounted nosuid", program.display()),
        }
    }
}

impl Forbidden {
    /// Returns what to do about it, in words to type where there are any.
    pub fn fix(&self) -> Option<String> {
        Some(match self {
            Forbidden::UnprivilegedClone => "sysctl -w kernel.unprivileged_userns_clone=1, as root".to_owned(),
            Forbidden::AppArmor { program } => format!(
                "lasting, for nsx alone: echo 'abi <abi/4.0>, profile nsx {} flags=(unconfined) {{ userns, }}' >/etc/apparmor.d/nsx && \
                 apparmor_parser -r /etc/apparmor.d/nsx, as root; for every program: sysctl -w \
                 kernel.apparmor_restrict_unprivileged_userns=0",
                program.display()
            ),
            Forbidden::None(kind) => format!("sysctl -w user.max_{kind}_namespaces=10000, as root"),
            Forbidden::Limits { limits, .. } => {
                let kind = limits.iter().min_by_key(|(_, limit)| *limit).map_or(NsKind::User, |(kind, _)| *kind);
                format!("nsx ls -t {kind} shows who has them; sysctl -w user.max_{kind}_namespaces=N raises the limit")
            }
            Forbidden::Powerless(program) => {
                format!("chmod u+s {}, as root, or install its package again", program.display())
            }
            Forbidden::Setfcap => "run nsx with CAP_SETFCAP, or with --userns map= and other ids".to_owned(),
            Forbidden::Chroot => "run nsx outside of the chroot, or pivot_root(2) instead of chroot(2)".to_owned(),
            Forbidden::Seccomp => {
                "run nsx outside of what set the filter (docker run: --security-opt seccomp=unconfined)".to_owned()
            }
            Forbidden::Absent | Forbidden::Unmapped { .. } | Forbidden::Confined { .. } | Forbidden::Nosuid(_) => {
                return None;
            }
        })
    }
}

/// Finds what has made clone(2), clone3(2) or unshare(2) fail with `errno`, which were to make a user namespace beside those of `kinds`.
pub fn creation(proc: &ProcRoot, caller: &Caller, kinds: KindSet, errno: Errno) -> Option<Forbidden> {
    let own = proc.own_process().ok()?;
    match errno {
        Errno::ENOSPC | Errno::EUSERS => {
            let limits: Vec<(NsKind, u64)> = kinds
                .with(NsKind::User)
                .iter()
                .filter_map(|kind| Some((kind, sysctl(proc, &format!("user/max_{kind}_namespaces"))?)))
                .collect();
            let none = limits.iter().find(|(_, limit)| *limit == 0).map(|(kind, _)| Forbidden::None(*kind));
            none.or(Some(Forbidden::Limits { limits, nested: !caller.uids.is_everything() }))
        }
        Errno::ENOSYS | Errno::EINVAL if is_absent(&own) => Some(Forbidden::Absent),
        Errno::EPERM | Errno::EACCES if !caller.uids.has(caller.euid) => Some(Forbidden::Unmapped { uid: true }),
        Errno::EPERM | Errno::EACCES if !caller.gids.has(caller.egid) => Some(Forbidden::Unmapped { uid: false }),
        Errno::EPERM | Errno::EACCES if is_chrooted(proc, &own) => Some(Forbidden::Chroot),
        Errno::EPERM | Errno::EACCES => unprivileged(proc, &own, caller).or_else(|| confined(&own)),
        Errno::ENOSYS if is_filtered(&own) => Some(Forbidden::Seccomp),
        _ => None,
    }
}

/// Finds what has made writing a map fail with `errno`, where id 0 of the caller's user namespace was in it, or was not.
pub fn mapping(proc: &ProcRoot, caller: &Caller, with_root: bool, errno: Errno) -> Option<Forbidden> {
    if !matches!(errno, Errno::EPERM | Errno::EACCES) {
        return None;
    }
    let own = proc.own_process().ok()?;
    if with_root && !caller.caps.contains(CapSet::SETFCAP) {
        return Some(Forbidden::Setfcap);
    }
    // AppArmor lets the namespace be made, and takes the capabilities in it away.
    apparmor(proc, &own, caller).or_else(|| confined(&own))
}

/// Finds what keeps a helper from having the privileges that it needs.
pub fn helper(program: &Path) -> Option<Forbidden> {
    let path = CString::new(program.as_os_str().as_bytes()).ok()?;
    let mode = program.metadata().ok()?.permissions().mode();
    if mode & 0o4000 == 0 && !cred::has_file_caps(&path) {
        return Some(Forbidden::Powerless(program.to_owned()));
    }
    cred::is_nosuid(&path).then(|| Forbidden::Nosuid(program.to_owned()))
}

fn unprivileged(proc: &ProcRoot, own: &ProcPid, caller: &Caller) -> Option<Forbidden> {
    let privileged = caller.caps.contains(CapSet::SYS_ADMIN);
    if !privileged && sysctl(proc, "kernel/unprivileged_userns_clone") == Some(0) {
        return Some(Forbidden::UnprivilegedClone);
    }
    apparmor(proc, own, caller).or_else(|| is_filtered(own).then_some(Forbidden::Seccomp))
}

fn apparmor(proc: &ProcRoot, own: &ProcPid, caller: &Caller) -> Option<Forbidden> {
    let restricted = sysctl(proc, "kernel/apparmor_restrict_unprivileged_userns").is_some_and(|value| value != 0);
    // Who has a profile is held to that alone.
    let confined = label(own).is_some_and(|label| !label.starts_with("unconfined"));
    if !restricted || confined || caller.caps.contains(CapSet::SYS_ADMIN) {
        return None;
    }
    let mut buffer = [0; 4096];
    let program = dir::readlink(own.as_fd(), c"exe", &mut buffer).unwrap_or_default();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte);
    // The line is for a shell, and a profile has an alphabet of its own.
    let program = if !program.is_empty() && program.iter().all(plain) { program } else { b"/usr/bin/nsx" };
    Some(Forbidden::AppArmor { program: PathBuf::from(std::ffi::OsStr::from_bytes(program)) })
}

fn confined(own: &ProcPid) -> Option<Forbidden> {
    let label = label(own)?;
    let free = label.starts_with("unconfined") || label == "kernel";
    (!free).then_some(Forbidden::Confined { label })
}

/// Returns the label that AppArmor, SELinux or Smack have for the caller.
fn label(own: &ProcPid) -> Option<String> {
    let text = own.read_all(c"attr/current", 4096).ok()?;
    let text = String::from_utf8_lossy(text.trim_ascii_end().strip_suffix(b"\0").unwrap_or(text.trim_ascii_end()));
    (!text.is_empty()).then(|| text.escape_debug().to_string())
}

fn is_absent(own: &ProcPid) -> bool {
    let links = own.ns_dir().ok();
    let link = links.map(|links| dir::open_path_any(links.as_fd(), link_name(NsKind::User)));
    matches!(link, Some(Err(Errno::ENOENT)))
}

fn is_filtered(own: &ProcPid) -> bool {
    let status = own.read_all(c"status", 1 << 16).unwrap_or_default();
    status.split(|&byte| byte == b'\n').any(|line| line == b"Seccomp:\t2")
}

/// Says whether the root directory is not that of the mount namespace, where this can be seen.
fn is_chrooted(proc: &ProcRoot, own: &ProcPid) -> bool {
    // In a directory that is no mount point nothing is mounted on /.
    if let Ok(text) = own.read_all(c"mountinfo", 16 << 20)
        && !text.is_empty()
        && !mountinfo(&text).any(|line| line.point == b"/")
    {
        return true;
    }
    // Else by the first process, where that is in the same mount namespace and may be looked at.
    let Ok(first) = proc.process(crate::model::Pid(1)) else { return false };
    let mounts = KindSet::NONE.with(NsKind::Mnt);
    let root = |process: &ProcPid| {
        let kinds = process.namespaces_of(mounts).ok()?;
        let root = dir::identify(process.root_dir().ok()?.as_fd()).ok()?;
        Some((kinds[NsKind::Mnt.index()]?, root.id))
    };
    match (root(own), root(&first)) {
        (Some((mine, my_root)), Some((its, its_root))) => mine == its && my_root != its_root,
        _ => false,
    }
}

pub(super) fn sysctl(proc: &ProcRoot, name: &str) -> Option<u64> {
    let path = CString::new(format!("sys/{name}")).ok()?;
    let text = dir::read_whole(proc.as_fd(), &path, 64).ok()?;
    parse_decimal(text.trim_ascii())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::proc::parse::IdMap;

    /// A `/proc` with these files.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[(&str, &str)]) -> Tree {
            let tree = Tree(tempfile::tempdir().expect("a folder"));
            tree.write("self/status", "Name:\tnsx\nSeccomp:\t0\n");
            for (file, text) in files {
                tree.write(file, text);
            }
            tree
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }

        fn proc(&self) -> ProcRoot {
            ProcRoot::open(self.0.path()).expect("a tree")
        }
    }

    fn caller(uid: u32, map: &str, caps: CapSet) -> Caller {
        let map = IdMap::parse(map.as_bytes());
        Caller { euid: uid, egid: uid, caps, uids: map.clone(), gids: map, ..Caller::default() }
    }

    fn user() -> Caller {
        caller(1000, "0 0 4294967295\n", CapSet::EMPTY)
    }

    const FILTERED: (&str, &str) = ("self/status", "Name:\tnsx\nSeccomp:\t2\n");
    const DEBIAN: (&str, &str) = ("sys/kernel/unprivileged_userns_clone", "0\n");
    const UBUNTU: (&str, &str) = ("sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
    const FREE: (&str, &str) = ("self/attr/current", "unconfined\n");

    fn refused(files: &[(&str, &str)], caller: &Caller, errno: Errno) -> Option<Forbidden> {
        creation(&Tree::new(files).proc(), caller, KindSet::NONE.with(NsKind::Net), errno)
    }

    #[test]
    fn what_forbids_a_user_namespace_is_looked_up() {
        let apparmor = Forbidden::AppArmor { program: "/usr/bin/nsx".into() };
        let root = caller(0, "0 0 4294967295\n", CapSet::SYS_ADMIN);
        let confined = Forbidden::Confined { label: "snap.x (enforce)".to_owned() };
        type Case<'c> = (&'c [(&'c str, &'c str)], &'c Caller, Errno, Option<Forbidden>);
        let cases: [Case<'_>; 14] = [
            (&[], &user(), Errno::EPERM, None),
            (&[DEBIAN], &user(), Errno::EPERM, Some(Forbidden::UnprivilegedClone)),
            (&[DEBIAN], &root, Errno::EPERM, None),
            (&[(DEBIAN.0, "1\n")], &user(), Errno::EPERM, None),
            (&[UBUNTU, FREE], &user(), Errno::EACCES, Some(apparmor.clone())),
            (&[UBUNTU, FREE], &root, Errno::EACCES, None),
            (&[UBUNTU, ("self/attr/current", "snap.x (enforce)\n")], &user(), Errno::EACCES, Some(confined.clone())),
            (&[FILTERED], &root, Errno::EPERM, Some(Forbidden::Seccomp)),
            (&[FILTERED, ("self/ns/user", "")], &root, Errno::ENOSYS, Some(Forbidden::Seccomp)),
            (&[("self/ns/net", "")], &root, Errno::EINVAL, Some(Forbidden::Absent)),
            (&[("self/ns/user", "")], &root, Errno::EINVAL, None),
            (&[], &caller(1000, "0 0 1\n", CapSet::EMPTY), Errno::EPERM, Some(Forbidden::Unmapped { uid: true })),
            (&[("self/mountinfo", "30 1 8:1 / /tmp rw - tmpfs x rw\n")], &root, Errno::EPERM, Some(Forbidden::Chroot)),
            (&[("self/mountinfo", "30 1 8:1 / / rw - ext4 x rw\n")], &root, Errno::EPERM, None),
        ];
        for (files, caller, errno, expected) in cases {
            assert_eq!(refused(files, caller, errno), expected, "{files:?} {errno}");
        }
    }

    #[test]
    fn limits_are_those_of_the_kinds_that_were_asked_for() {
        let files = [
            ("sys/user/max_user_namespaces", "7\n"),
            ("sys/user/max_net_namespaces", "5\n"),
            ("sys/user/max_uts_namespaces", "0\n"),
        ];
        let found = refused(&files, &user(), Errno::ENOSPC).expect("a reason");
        assert_eq!(
            found.to_string(),
            "a limit on namespaces is reached, here or above: user.max_net_namespaces is 5, user.max_user_namespaces is 7"
        );
        assert!(found.fix().expect("a fix").starts_with("nsx ls -t net "));
        let nested = caller(0, "0 1000 1\n", CapSet::EMPTY);
        let found = refused(&files, &nested, Errno::EUSERS).expect("a reason");
        assert!(found.to_string().ends_with("; or user namespaces are nested 33 deep"), "{found}");
        let found = refused(&[("sys/user/max_net_namespaces", "0\n")], &user(), Errno::ENOSPC).expect("a reason");
        assert_eq!(found, Forbidden::None(NsKind::Net));
        assert_eq!(found.fix().as_deref(), Some("sysctl -w user.max_net_namespaces=10000, as root"));
    }

    #[test]
    fn what_keeps_a_map_from_being_written_is_looked_up() {
        let root = caller(0, "0 0 4294967295\n", super::super::ids::MAPPING);
        let tree = Tree::new(&[UBUNTU, FREE]);
        assert_eq!(mapping(&tree.proc(), &root, true, Errno::EPERM), Some(Forbidden::Setfcap));
        assert_eq!(mapping(&tree.proc(), &root, true, Errno::EINVAL), None);
        let found = mapping(&tree.proc(), &user(), false, Errno::EPERM).expect("a reason");
        assert_eq!(found.to_string(), "kernel.apparmor_restrict_unprivileged_userns is 1");
        assert_eq!(mapping(&Tree::new(&[]).proc(), &user(), false, Errno::EPERM), None);
    }

    #[test]
    fn a_line_for_a_shell_holds_no_odd_name() {
        let tree = Tree::new(&[UBUNTU, FREE]);
        std::os::unix::fs::symlink("/opt/a $(b)/nsx", tree.0.path().join("self/exe")).expect("a link");
        let found = refused_by(&tree);
        assert!(found.contains(" profile nsx /usr/bin/nsx flags"), "{found}");
        fs::remove_file(tree.0.path().join("self/exe")).expect("a link");
        std::os::unix::fs::symlink("/opt/nsx-1/nsx", tree.0.path().join("self/exe")).expect("a link");
        let found = refused_by(&tree);
        assert!(found.contains(" profile nsx /opt/nsx-1/nsx flags"), "{found}");
    }

    fn refused_by(tree: &Tree) -> String {
        creation(&tree.proc(), &user(), KindSet::NONE, Errno::EPERM).and_then(|found| found.fix()).expect("a fix")
    }

    #[test]
    fn a_helper_without_privileges_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("newuidmap");
        fs::write(&program, "").expect("a file");
        assert_eq!(helper(&program), Some(Forbidden::Powerless(program.clone())));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("ours");
        assert!(matches!(helper(&program), None | Some(Forbidden::Nosuid(_))));
        assert_eq!(helper(&folder.path().join("none")), None);
    }
}
