//! Where things are in a sandbox that is to be: what is hidden, where something is attached, and what has to be made for it.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{Gathering, MASKED, READ_ONLY, bytes};
use crate::launch::run::compile::{MOST_BINDS, MOST_SHOWN};
use crate::launch::run::error::RunError;
use crate::launch::run::request::Root;
use crate::launch::run::steps::{BindFacts, MountPoint, RootFacts, Sensitive, UserFacts};
use crate::launch::surroundings::text;
use crate::model::NsKind;
use crate::proc::accounts;
use crate::sys::{Call, Errno, SysError, dir};

/// Where everything is attached.
pub(super) struct Places {
    /// What will be the root directory.
    pub(super) root: RootFacts,
    /// What is shown.
    pub(super) binds: Vec<BindFacts>,
    /// Directories to be made for each tmpfs.
    pub(super) tmpfs: Vec<Vec<Vec<u8>>>,
}

impl Gathering<'_> {
    /// Returns the directories that get an empty one in their place.
    pub(super) fn private(&self, user: &UserFacts) -> Vec<(Vec<u8>, u32)> {
        let mut private: Vec<(Vec<u8>, u32)> = Vec::new();
        for (path, mode) in [("/tmp", 0o1777), ("/var/tmp", 0o1777), ("/run", 0o755)] {
            if let Some(path) = self.directory(path) {
                add(&mut private, path, mode);
            }
        }
        if self.request.root == (Root::Host { home: false }) {
            let (uid, passwd) = (nix::unistd::getuid().as_raw(), self.read("/etc/passwd"));
            let own = accounts::passwd(&passwd).find(|line| line.uid == uid);
            let homes = [
                Some((OsString::from("/root"), 0o700)),
                Some(("/home".into(), 0o755)),
                // Homes that are elsewhere: the caller's, and the command's.
                std::env::var_os("HOME").map(|home| (home, 0o755)),
                own.map(|line| (OsString::from_vec(line.home.to_vec()), 0o755)),
                Some((OsString::from_vec(user.home.clone()), 0o755)),
            ];
            homes.into_iter().flatten().for_each(|(home, mode)| hide_home(&mut private, Path::new(&home), mode));
        }
        private
    }

    /// Returns where a directory of the root directory really is, if there is one. In somebody else's root directory links lead nowhere.
    fn directory(&self, path: &str) -> Option<Vec<u8>> {
        match &self.held.root {
            None => real_directory(Path::new(path)).map(|path| bytes(&path)),
            Some(_) => self.has_directory(path).then(|| path.as_bytes().to_vec()),
        }
    }

    /// Returns the directories to be made so that the command's user has a home.
    pub(super) fn home(&self, user: &UserFacts, private: &[(Vec<u8>, u32)]) -> Vec<Vec<u8>> {
        let home = match self.held.root {
            None => bytes(&real_path(Path::new(OsStr::from_bytes(&user.home)))),
            Some(_) => user.home.clone(),
        };
        let below = private.iter().find(|(path, _)| home.starts_with(&[&path[..], b"/"].concat()));
        match below {
            Some((path, _)) => chain(path, &home),
            None if private.iter().any(|(path, _)| *path == home) && user.uid != 0 => vec![home],
            None => Vec::new(),
        }
    }

    /// Finds out where what is to be shown is attached, and whether the root directory has to be made for it.
    pub(super) fn places(&mut self, root: RootFacts, private: &[(Vec<u8>, u32)]) -> Result<Places, RunError> {
        if self.request.binds.len() > MOST_BINDS {
            return Err(RunError::TooMuch(MOST_BINDS));
        }
        // What is empty, so that directories can be made in it.
        let mut empty: Vec<Vec<u8>> = private.iter().map(|(path, _)| path.clone()).collect();
        empty.push(b"/dev/shm".to_vec());
        let mut new_top: Vec<Vec<u8>> = Vec::new();
        let mut tmpfs = Vec::new();
        for one in &self.request.tmpfs {
            let (mut make, point) = self.make_for(&one.target, true, &empty, &mut new_top)?;
            if point != MountPoint::There {
                make.push(bytes(&one.target));
            }
            tmpfs.push(make);
            empty.push(bytes(&one.target));
        }
        let mut binds = Vec::new();
        for bind in &self.request.binds {
            let absolute = std::path::absolute(&bind.source).unwrap_or_else(|_| bind.source.clone());
            let cannot =
                |errno| RunError::Source(bind.source.clone(), SysError::new(Call::Openat(bytes(&bind.source)), errno));
            let found = std::fs::metadata(&absolute)
                .map_err(|error| cannot(Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::ENOENT))))?;
            let origin = self.take(&absolute, bind.read_only)?;
            let (make, point) = self.make_for(&bind.target, found.is_dir(), &empty, &mut new_top)?;
            binds.push(BindFacts { origin, make, point });
        }
        if new_top.is_empty() || self.held.root.is_some() {
            return Ok(Places { root, binds, tmpfs });
        }
        Ok(Places { root: in_memory()?, binds, tmpfs })
    }

    /// Returns the directories to be made above a path and what is made there itself.
    pub(super) fn make_for(
        &self,
        target: &Path,
        directory: bool,
        empty: &[Vec<u8>],
        new_top: &mut Vec<Vec<u8>>,
    ) -> Result<(Vec<Vec<u8>>, MountPoint), RunError> {
        // What is empty is known by where it really is.
        let path = match (&self.held.root, target.parent(), target.file_name()) {
            (None, Some(above), Some(name)) => bytes(&real_path(above).join(name)),
            _ => bytes(target),
        };
        let made = if directory { MountPoint::Directory } else { MountPoint::File };
        let within = |above: &[u8]| path.starts_with(&[above, b"/"].concat());
        let above = |path: &[u8]| {
            let mut all = path.to_vec();
            all.truncate(all.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
            all
        };
        if let Some(base) = empty.iter().filter(|base| within(base)).max_by_key(|base| base.len()) {
            return Ok((chain(base, &above(&path)), made));
        }
        if empty.contains(&path) {
            return Ok((Vec::new(), MountPoint::There));
        }
        let there = match &self.held.root {
            None => std::fs::metadata(target).is_ok(),
            Some(root) => dir::open_in_root(root.as_fd(), &text(target.as_os_str())?).is_ok(),
        };
        if there {
            return Ok((Vec::new(), MountPoint::There));
        }
        let top: Vec<u8> = [b"/", path[1..].split(|byte| *byte == b'/').next().unwrap_or_default()].concat();
        if self.held.root.is_some() || std::fs::symlink_metadata(OsStr::from_bytes(&top)).is_ok() {
            return Err(RunError::NoMountPoint(target.to_path_buf(), self.held.root.is_some()));
        }
        new_top.push(top);
        Ok((chain(b"", &above(&path)), made))
    }

    pub(super) fn sensitive(&self, sys: bool) -> Sensitive {
        let mut sensitive = Sensitive::default();
        let created = crate::launch::run::plan::created(self.request);
        // Also where /proc is the one outside: what lies over it lies there in the sandbox's own mount namespace.
        let is_shown = |path: &str| path.starts_with("/proc") || sys;
        for path in MASKED.into_iter().filter(|path| is_shown(path)) {
            if let Ok(found) = std::fs::symlink_metadata(path) {
                sensitive.masked.push((path, found.is_dir()));
            }
        }
        // The whole tree of the host, where /sys is the host's.
        let shows_cgroups = sys && !created.contains(NsKind::Net) && created.contains(NsKind::Cgroup);
        if shows_cgroups && self.held.root.is_none() && Path::new("/sys/fs/cgroup").is_dir() {
            sensitive.masked.push(("/sys/fs/cgroup", true));
        }
        let is_there = |path: &&str| is_shown(path) && std::fs::symlink_metadata(path).is_ok();
        sensitive.read_only = READ_ONLY.into_iter().filter(is_there).collect();
        sensitive
    }
}

/// Directories that are nobody's home, whatever passwd(5) says of the accounts of services.
const SYSTEM: [&str; 25] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/sbin",
    "/srv",
    "/sys",
    "/usr",
    "/usr/bin",
    "/usr/games",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/lib",
];

/// Adds a directory that gets an empty one in its place, if none above it does.
fn add(private: &mut Vec<(Vec<u8>, u32)>, path: Vec<u8>, mode: u32) {
    let is_known = |(above, _): &(Vec<u8>, u32)| path == *above || path.starts_with(&[&above[..], b"/"].concat());
    if !private.iter().any(is_known) {
        private.push((path, mode));
    }
}

/// Adds a home directory, where it really is: what leads there may be a link, and both ways in have to end in an empty one.
fn hide_home(private: &mut Vec<(Vec<u8>, u32)>, home: &Path, mode: u32) {
    // Mostly all of them are one, and asking costs a call for each part.
    if private.iter().any(|(known, _)| home == Path::new(OsStr::from_bytes(known))) {
        return;
    }
    if let Some(real) = real_directory(home).filter(|real| !SYSTEM.iter().any(|known| real == Path::new(known))) {
        add(private, bytes(&real), mode);
    }
}

/// Returns where a directory really is, without links; `None` where there is none.
fn real_directory(path: &Path) -> Option<PathBuf> {
    let real = std::fs::canonicalize(path).ok().filter(|_| path.is_absolute())?;
    real.is_dir().then_some(real)
}

/// Returns a path without links, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    match (std::fs::canonicalize(path), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(above), Some(name)) => real_path(above).join(name),
        _ => path.to_path_buf(),
    }
}

/// Returns the paths from below `base` down to `path`.
fn chain(base: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    let ends = path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > base.len()).map(|(at, _)| at);
    ends.chain([path.len()]).filter(|end| *end > base.len()).map(|end| path[..end].to_vec()).collect()
}

/// Returns a root directory in memory that shows what is in the host's.
fn in_memory() -> Result<RootFacts, RunError> {
    let failed = |error: std::io::Error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        RunError::Failed("cannot make a root directory".to_owned(), SysError::new(Call::Getdents(b"/".to_vec()), errno))
    };
    let (mut shown, mut links) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir("/").map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_vec();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_symlink() {
            links.extend(std::fs::read_link(entry.path()).map(|to| (name, to.into_os_string().into_vec())));
        } else if kind.is_dir() || kind.is_file() {
            shown.push((name, kind.is_dir()));
        }
    }
    if shown.len() > MOST_SHOWN {
        return Err(RunError::TooMuch(MOST_SHOWN));
    }
    shown.sort();
    links.sort();
    Ok(RootFacts::InMemory { shown, links })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fedora's atomic systems have /home and /root as links into /var.
    #[test]
    fn a_home_behind_a_link_is_hidden_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = std::fs::canonicalize(folder.path()).expect("a path");
        std::fs::create_dir_all(real.join("var/homes/al")).expect("a folder");
        std::os::unix::fs::symlink("var/homes", real.join("home")).expect("a link");
        let mut private = vec![(b"/somewhere".to_vec(), 0o755)];
        hide_home(&mut private, &real.join("home"), 0o755);
        assert_eq!(private[1..], [(bytes(&real.join("var/homes")), 0o755)]);
        // What lies below is hidden already, whichever way it is named.
        for home in ["home/al", "var/homes/al", "var/homes"] {
            hide_home(&mut private, &real.join(home), 0o755);
        }
        // None of these is a directory that could be.
        for home in ["", "home/al", "/nsx-test-none", "/etc/passwd", "/", "/bin", "/usr/lib", "/var", "/dev"] {
            hide_home(&mut private, Path::new(home), 0o755);
        }
        assert_eq!(private.len(), 2, "{private:?}");
        assert_eq!(real_path(&real.join("home/new/one")), real.join("var/homes/new/one"));
    }
}
