//! What is known of the caller where ids are chosen: what it may do, which ids it has, who else has which.
//!
//! Not here: what is made of it (`ids`). See proc_pid_status(5), subuid(5).

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::IdError;
use crate::launch::run::UserNs;
use crate::model::CapSet;
use crate::proc::ProcRoot;
use crate::proc::parse::{IdMap, credentials};
use crate::sys::{Call, Errno, SysError};

/// What writing any map takes, in the user namespace that the new one is a child of: user_namespaces(7).
///
/// CAP_SYS_ADMIN is not among them: whoever makes a user namespace has all capabilities in it. That the map may hold id 0 of the
/// caller's namespace takes CAP_SETFCAP beside them.
pub const MAPPING: CapSet = CapSet::from_bits(CapSet::SETUID.bits() | CapSet::SETGID.bits());

/// The caller, as far as it matters for the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The effective uid.
    pub euid: u32,
    /// The effective gid.
    pub egid: u32,
    /// The effective capabilities, which hold in its own user namespace.
    pub caps: CapSet,
    /// The capabilities that programs can give it at most.
    pub bounding: CapSet,
    /// Whether programs can give it none.
    pub no_new_privs: bool,
    /// The uids that its user namespace has.
    pub uids: IdMap,
    /// The gids that its user namespace has.
    pub gids: IdMap,
    /// The text of /etc/passwd.
    pub passwd: Vec<u8>,
    /// The text of /etc/group.
    pub group: Vec<u8>,
    /// The text of /etc/subuid.
    pub subuid: Vec<u8>,
    /// The text of /etc/subgid.
    pub subgid: Vec<u8>,
    /// Where newuidmap(1) is.
    pub newuidmap: Option<PathBuf>,
    /// Where newgidmap(1) is.
    pub newgidmap: Option<PathBuf>,
}

impl Caller {
    /// Reads what the choice for `userns` needs, and leaves the rest empty; `etc` is the folder of passwd and the like.
    ///
    /// # Errors
    /// What openat(2) or read(2) says of a file; one that is not there is as good as empty, but for those of `/proc`.
    pub fn read(proc: &ProcRoot, etc: &Path, userns: &UserNs) -> Result<Caller, IdError> {
        if *userns == UserNs::Host {
            return Ok(Caller::default());
        }
        let own = proc.own_process().map_err(|errno| failed(proc.name("self"), errno))?;
        let mut buffer = [0; 8192];
        let mut read = |file: &std::ffi::CStr| {
            let text = own.read(file, &mut buffer).map(<[u8]>::to_vec);
            text.map_err(|errno| failed(proc.name(&format!("self/{}", file.to_string_lossy())), errno))
        };
        let status = read(c"status")?;
        let found = credentials(&status).ok_or_else(|| failed(proc.name("self/status"), Errno::EBADMSG))?;
        let mut caller = Caller {
            euid: found.uid,
            egid: found.gid,
            caps: found.effective,
            bounding: found.bounding,
            no_new_privs: found.no_new_privs,
            uids: IdMap::parse(&read(c"uid_map")?),
            gids: IdMap::parse(&read(c"gid_map")?),
            ..Caller::default()
        };
        let privileged = caller.may_map();
        let (accounts, subordinate) = match userns {
            UserNs::Auto => (privileged, true),
            UserNs::Root => (privileged, privileged),
            UserNs::Map { .. } => (false, !privileged),
            UserNs::Keep | UserNs::Host => (false, false),
        };
        if accounts {
            caller.group = text(&etc.join("group"))?;
        }
        if subordinate {
            caller.passwd = text(&etc.join("passwd"))?;
            caller.subuid = text(&etc.join("subuid"))?;
            caller.subgid = text(&etc.join("subgid"))?;
            if !privileged {
                caller.newuidmap = program("newuidmap");
                caller.newgidmap = program("newgidmap");
            }
        }
        Ok(caller)
    }

    /// Says whether the caller may itself write any map.
    pub fn may_map(&self) -> bool {
        self.caps.contains(MAPPING)
    }
}

fn failed(path: Vec<u8>, errno: Errno) -> IdError {
    IdError::Read(SysError::new(Call::Read(path), errno))
}

fn text(path: &Path) -> Result<Vec<u8>, IdError> {
    match std::fs::read(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => {
            Err(failed(path.as_os_str().as_bytes().to_vec(), Errno::from_raw(error.raw_os_error().unwrap_or_default())))
        }
    }
}

/// Finds a program on PATH, or where distributions have it.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // What is relative leads to wherever the caller happens to be.
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    folders
        .chain([PathBuf::from("/usr/bin")])
        .map(|folder| folder.join(name))
        .find(|file| file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a `/proc` of one process, and one that is like `/etc`.
    fn folder(caps: &str, uid: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("proc/self");
        let etc = folder.path().join("etc");
        std::fs::create_dir_all(&own).expect("a folder");
        std::fs::create_dir_all(&etc).expect("a folder");
        let status = format!(
            "Name:\tnsx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\nCapEff:\t{caps}\nCapBnd:\t{caps}\nNoNewPrivs:\t0\n"
        );
        std::fs::write(own.join("status"), status).expect("a file");
        for map in ["uid_map", "gid_map"] {
            std::fs::write(own.join(map), "         0          0 4294967295\n").expect("a file");
        }
        for file in ["passwd", "group", "subuid"] {
            std::fs::write(etc.join(file), file).expect("a file");
        }
        folder
    }

    fn read(folder: &tempfile::TempDir, userns: &UserNs) -> Result<Caller, IdError> {
        let proc = ProcRoot::open(&folder.path().join("proc")).expect("a tree");
        Caller::read(&proc, &folder.path().join("etc"), userns)
    }

    #[test]
    fn only_what_the_choice_needs_is_read() {
        let root = folder("000001ffffffffff", 0);
        let map = UserNs::Map { uids: vec![], gids: vec![] };
        let texts = |caller: &Caller| {
            [&caller.passwd, &caller.group, &caller.subuid, &caller.subgid].map(|text| !text.is_empty())
        };
        let expected = [
            (UserNs::Auto, [true, true, true, false]),
            (UserNs::Root, [true, true, true, false]),
            (UserNs::Keep, [false; 4]),
            (map.clone(), [false; 4]),
        ];
        for (userns, files) in expected {
            let caller = read(&root, &userns).expect("read");
            assert_eq!(
                (texts(&caller), caller.may_map(), caller.uids.is_everything()),
                (files, true, true),
                "{userns:?}"
            );
        }
        assert_eq!(read(&root, &UserNs::Host), Ok(Caller::default()));

        let user = folder("0000000000000000", 1000);
        let expected =
            [(UserNs::Auto, [true, false, true, false]), (UserNs::Root, [false; 4]), (map, [true, false, true, false])];
        for (userns, files) in expected {
            let caller = read(&user, &userns).expect("read");
            assert_eq!((texts(&caller), caller.may_map(), caller.euid), (files, false, 1000), "{userns:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let root = folder("000001ffffffffff", 0);
        std::fs::create_dir(root.path().join("etc/subgid")).expect("a folder");
        let error = read(&root, &UserNs::Auto).expect_err("a directory");
        assert!(error.to_string().ends_with("etc/subgid): Is a directory (EISDIR)"), "{error}");
        std::fs::write(root.path().join("proc/self/status"), "Name:\tx\n").expect("a file");
        let error = read(&root, &UserNs::Keep).expect_err("no ids");
        assert!(error.to_string().ends_with("self/status): Not a data message (EBADMSG)"), "{error}");
    }
}
