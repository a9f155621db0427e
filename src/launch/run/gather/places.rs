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
            if self.has_directory(path) {
                private.push((path.as_bytes().to_vec(), mode));
            }
        }
        if self.request.root == (Root::Host { home: false }) {
            for (path, mode) in [("/root", 0o700), ("/home", 0o755)] {
                if self.has_directory(path) {
                    private.push((path.as_bytes().to_vec(), mode));
                }
            }
            // Homes that are elsewhere: the caller's, and the command's.
            let own = std::env::var_os("HOME").map(OsString::into_vec);
            for home in own.into_iter().chain([user.home.clone()]) {
                let is_known =
                    |(path, _): &(Vec<u8>, u32)| home == *path || home.starts_with(&[&path[..], b"/"].concat());
                let path = PathBuf::from(OsString::from_vec(home.clone()));
                let is_system = [
                    "/", "/bin", "/dev", "/etc", "/lib", "/proc", "/sbin", "/sys", "/usr", "/var", "/opt", "/srv",
                    "/boot", "/mnt", "/media",
                ];
                let plain = path.is_absolute() && std::fs::canonicalize(&path).is_ok_and(|whole| whole == path);
                if plain
                    && !private.iter().any(is_known)
                    && !is_system.iter().any(|known| path == Path::new(known))
                    && path.is_dir()
                {
                    private.push((home, 0o755));
                }
            }
        }
        private
    }

    /// Returns the directories to be made so that the command's user has a home.
    pub(super) fn home(&self, user: &UserFacts, private: &[(Vec<u8>, u32)]) -> Vec<Vec<u8>> {
        let below = private.iter().find(|(path, _)| user.home.starts_with(&[&path[..], b"/"].concat()));
        match below {
            Some((path, _)) => chain(path, &user.home),
            None if private.iter().any(|(path, _)| *path == user.home) && user.uid != 0 => vec![user.home.clone()],
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
        let path = bytes(target);
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
        let is_new = |path: &str| match path.starts_with("/proc") {
            true => created.contains(NsKind::Pid),
            false => sys,
        };
        for path in MASKED.into_iter().filter(|path| is_new(path)) {
            if let Ok(found) = std::fs::symlink_metadata(path) {
                sensitive.masked.push((path, found.is_dir()));
            }
        }
        // The whole tree of the host, where /sys is the host's.
        let shows_cgroups = sys && !created.contains(NsKind::Net) && created.contains(NsKind::Cgroup);
        if shows_cgroups && self.held.root.is_none() && Path::new("/sys/fs/cgroup").is_dir() {
            sensitive.masked.push(("/sys/fs/cgroup", true));
        }
        let is_there = |path: &&str| is_new(path) && std::fs::symlink_metadata(path).is_ok();
        sensitive.read_only = READ_ONLY.into_iter().filter(is_there).collect();
        sensitive
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
