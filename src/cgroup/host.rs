//! The hierarchies of this host, open, and what its cgroups can have at most.
//!
//! Mount points are looked up below the root of the process whose mountinfo names them, so a captured tree can be read like a live one.
//! Everything in a hierarchy is opened relative to its top: a file system that is mounted over it meanwhile changes nothing.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::layout::{Hierarchy, Layout, controllers_of_kernel};
use super::parse;
use crate::model::cgroup::{Controller, Version};
use crate::proc::ProcRoot;
use crate::sys::cgroupfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC};
use crate::sys::{Call, Errno, SysError, dir};

/// No file of `/proc` or of a cgroup is read further than this.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// A hierarchy with its top.
pub struct Opened {
    /// What it is and where it is mounted.
    pub hierarchy: Hierarchy,
    /// The directory at the top of the mount that shows the most; `None` where it is not mounted.
    top: Option<OwnedFd>,
}

impl Opened {
    /// Returns the directory at the top of the mount.
    pub fn top(&self) -> Option<BorrowedFd<'_>> {
        self.top.as_ref().map(AsFd::as_fd)
    }

    /// Returns the path of the cgroup at the top: `/`, or what the mount begins with.
    pub fn top_path(&self) -> &[u8] {
        self.hierarchy.mounts.first().map_or(b"/", |mount| &mount.root)
    }

    /// Returns where the top is mounted.
    pub fn mount_point(&self) -> Option<&[u8]> {
        self.hierarchy.mounts.first().map(|mount| &mount.point[..])
    }

    /// Returns the path of a cgroup below the top; `None` where it lies outside of the mount.
    pub fn below_top<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let below = match self.top_path() {
            b"/" => path,
            root => path.strip_prefix(root)?,
        };
        let climbs = below.split(|&byte| byte == b'/').any(|name| name == b"..");
        let below_whole = below.is_empty() || below.starts_with(b"/");
        (below_whole && !climbs).then(|| below.strip_prefix(b"/").unwrap_or(below))
    }

    /// Returns the path of a directory as a user would type it.
    pub fn directory(&self, path: &[u8]) -> Option<Vec<u8>> {
        let below = self.below_top(path)?;
        let point = self.mount_point()?;
        Some(if below.is_empty() { point.to_vec() } else { [point, b"/", below].concat() })
    }

    /// Opens the directory of a cgroup.
    ///
    /// # Errors
    /// `ENOENT` where there is none with this path, or it lies outside of what is mounted; `EACCES`.
    pub fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let (Some(top), Some(below)) = (self.top(), self.below_top(path)) else { return Err(Errno::ENOENT) };
        if below.is_empty() {
            return dir::open_dir(top, c".");
        }
        let mut pieces = pieces(below);
        let mut opened = open_piece(top, pieces.next().unwrap_or_default())?;
        for piece in pieces {
            opened = open_piece(opened.as_fd(), piece)?;
        }
        Ok(opened)
    }
}

fn open_piece(above: BorrowedFd<'_>, piece: &[u8]) -> Result<OwnedFd, Errno> {
    dir::open_dir(above, &CString::new(piece).map_err(|_| Errno::ENOENT)?)
}

/// Takes a path apart, at slashes, into pieces that are short enough for openat(2): a cgroup may lie deeper than `PATH_MAX` goes.
fn pieces(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    const MOST: usize = 4000;
    let mut rest = Some(path);
    std::iter::from_fn(move || {
        let path = rest?;
        let cut = (path.len() > MOST).then(|| path[..MOST].iter().rposition(|&byte| byte == b'/')).flatten();
        rest = cut.map(|cut| &path[cut + 1..]);
        Some(&path[..cut.unwrap_or(path.len())])
    })
}

/// Where a controller is at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the hierarchy with this index.
    Hierarchy(usize),
    /// In a hierarchy that is not mounted here.
    NotMounted(Version),
    /// The kernel has it, and does not use it: `cgroup_disable=`.
    Disabled,
    /// It is not to be had here: this kernel lacks it, or keeps it from what can be seen. Newer kernels do not list all in `/proc/cgroups`.
    Absent,
}

/// What the host as a whole has: no cgroup gets more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory that is still to be had without swapping, in bytes.
    pub memory_available_bytes: Option<u64>,
    /// Swap, in bytes.
    pub swap_bytes: Option<u64>,
    /// Swap that is not used, in bytes.
    pub swap_free_bytes: Option<u64>,
    /// How many tasks there can be.
    pub tasks_max: Option<u64>,
    /// How many there are.
    pub tasks: Option<u64>,
    /// How many processors are online.
    pub cpus: Option<u64>,
    /// Whether a protection of memory that nobody below claims protects them all: v2 mounted with `memory_recursiveprot`, which is one
    /// setting for the whole host.
    pub recursive_protection: bool,
}

/// The hierarchies of this host.
pub struct Cgroups {
    /// All of them, v2 first.
    pub hierarchies: Vec<Opened>,
    kernel: Vec<(Controller, u32, bool)>,
    /// The caller's own `/proc/PID/cgroup`.
    pub own: Vec<u8>,
    /// What the host has.
    pub host: Host,
}

impl Cgroups {
    /// Finds the hierarchies by the caller's mountinfo and cgroup files, and opens those that are mounted.
    ///
    /// # Errors
    /// Where `/proc/self` cannot be read.
    pub fn open(proc: &ProcRoot) -> Result<Cgroups, SysError> {
        let mut cgroups = Cgroups::open_for(proc, None)?;
        cgroups.host = Host::read(proc);
        let mut options =
            cgroups.hierarchies.iter().flat_map(|opened| &opened.hierarchy.mounts).flat_map(|mount| &mount.options);
        cgroups.host.recursive_protection = options.any(|option| option == b"memory_recursiveprot");
        Ok(cgroups)
    }

    /// As [`Cgroups::open`], for who is in a hurry: what the host has is not read, and of the hierarchies of v1 only those are opened that
    /// have one of these controllers. Where the others are at home is not to be asked then.
    ///
    /// # Errors
    /// As [`Cgroups::open`].
    pub fn open_for(proc: &ProcRoot, wanted: Option<&[Controller]>) -> Result<Cgroups, SysError> {
        let failed = |name: &str| {
            let name = proc.name(name);
            move |errno| SysError::new(Call::Openat(name), errno)
        };
        let own_process = proc.own_process().map_err(failed("self"))?;
        let mountinfo = own_process.read_all(c"mountinfo", MOST_BYTES).map_err(failed("self/mountinfo"))?;
        let own = own_process.read_all(c"cgroup", MOST_BYTES).map_err(failed("self/cgroup"))?;
        let root = own_process.root_dir().map_err(failed("self/root"))?;
        let has = |hierarchy: &Hierarchy, one: &Controller| hierarchy.controllers.contains(one);
        let is_wanted = |hierarchy: &Hierarchy| {
            hierarchy.version == Version::V2 || wanted.is_none_or(|all| all.iter().any(|one| has(hierarchy, one)))
        };
        let hierarchies = Layout::parse(&mountinfo).hierarchies(&own);
        let hierarchies: Vec<Opened> = hierarchies
            .into_iter()
            .map(|hierarchy| match is_wanted(&hierarchy) {
                true => open(hierarchy, root.as_fd(), proc.is_live()),
                false => Opened { hierarchy, top: None },
            })
            .collect();
        let found = |one: &Controller| hierarchies.iter().any(|opened| has(&opened.hierarchy, one));
        // What the kernel says beside that only counts where one was not found.
        let kernel = match wanted {
            Some(all) if all.iter().all(found) => Vec::new(),
            _ => dir::read_whole(proc.as_fd(), c"cgroups", MOST_BYTES).unwrap_or_default(),
        };
        let kernel = controllers_of_kernel(&kernel).collect();
        Ok(Cgroups { hierarchies, kernel, own, host: Host::default() })
    }

    /// Says where a controller is at home.
    pub fn home(&self, controller: Controller) -> Home {
        let has = |opened: &Opened| opened.hierarchy.controllers.contains(&controller);
        if let Some(index) = self.hierarchies.iter().position(has) {
            return match self.hierarchies[index].top {
                Some(_) => Home::Hierarchy(index),
                None => Home::NotMounted(self.hierarchies[index].hierarchy.version),
            };
        }
        let unified = self.hierarchies.iter().position(|opened| opened.hierarchy.version == Version::V2);
        let mounted = unified.filter(|&index| self.hierarchies[index].top.is_some());
        match self.kernel.iter().find(|(found, ..)| *found == controller) {
            Some((_, _, false)) => Home::Disabled,
            // What is part of the core of v2 is there wherever v2 is.
            Some((_, 0, true)) if controller.is_core_on_v2() => {
                mounted.map_or(Home::NotMounted(Version::V2), Home::Hierarchy)
            }
            // v2 has it and is not mounted; or is, and does not pass it down to what can be seen from here.
            Some((_, 0, true)) => mounted.map_or(Home::NotMounted(Version::V2), |_| Home::Absent),
            Some(_) => Home::NotMounted(Version::V1),
            None if controller.is_core_on_v2() && controller != Controller::PerfEvent => {
                mounted.map_or(Home::Absent, Home::Hierarchy)
            }
            None => Home::Absent,
        }
    }

    /// Returns the index of the v2 hierarchy, if it is mounted.
    pub fn unified(&self) -> Option<usize> {
        self.hierarchies.iter().position(|opened| opened.hierarchy.version == Version::V2 && opened.top.is_some())
    }
}

fn open(mut hierarchy: Hierarchy, root: BorrowedFd<'_>, live: bool) -> Opened {
    let top = hierarchy.mounts.iter().position(|mount| {
        let relative = mount.point.strip_prefix(b"/").unwrap_or(&mount.point);
        CString::new(relative).is_ok_and(|path| is_cgroupfs(root, &path, hierarchy.version, live))
    });
    // What another mount hides cannot be used; what is left has the widest view first.
    hierarchy.mounts.drain(..top.unwrap_or(hierarchy.mounts.len()));
    let top = hierarchy.mounts.first().and_then(|mount| {
        let relative = mount.point.strip_prefix(b"/").unwrap_or(&mount.point);
        dir::open_dir(root, &CString::new(relative).ok()?).ok()
    });
    if let (Version::V2, Some(top)) = (hierarchy.version, &top) {
        let controllers = dir::read_whole(top.as_fd(), c"cgroup.controllers", MOST_BYTES).unwrap_or_default();
        hierarchy.controllers = parse::words(&controllers).filter_map(Controller::from_name).collect();
    }
    Opened { hierarchy, top }
}

fn is_cgroupfs(root: BorrowedFd<'_>, path: &std::ffi::CStr, version: Version, live: bool) -> bool {
    let Ok(opened) = dir::open_path(root, path) else { return false };
    let magic = match version {
        Version::V1 => CGROUP_SUPER_MAGIC,
        Version::V2 => CGROUP2_SUPER_MAGIC,
    };
    !live || dir::fs_magic(opened.as_fd()).is_ok_and(|found| found == magic)
}

impl Host {
    fn read(proc: &ProcRoot) -> Host {
        let read = |name: &std::ffi::CStr| dir::read_whole(proc.as_fd(), name, MOST_BYTES).unwrap_or_default();
        let meminfo = read(c"meminfo");
        let bytes = |key: &str| parse::keyed(&meminfo, key).map(|kib| kib.saturating_mul(1024));
        let loadavg = read(c"loadavg");
        // The fourth word is RUNNABLE/ALL, in tasks.
        let tasks = parse::words(&loadavg).nth(3).and_then(|word| {
            let slash = word.iter().position(|&byte| byte == b'/')?;
            parse::number(&word[slash + 1..])
        });
        let most = [c"sys/kernel/pid_max", c"sys/kernel/threads-max"].map(|name| parse::number(&read(name)));
        let stat = read(c"stat");
        let is_cpu =
            |line: &&[u8]| line.strip_prefix(b"cpu").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit));
        let cpus = parse::lines(&stat).filter(is_cpu).count() as u64;
        Host {
            memory_bytes: bytes("MemTotal:"),
            memory_available_bytes: bytes("MemAvailable:"),
            swap_bytes: bytes("SwapTotal:"),
            swap_free_bytes: bytes("SwapFree:"),
            tasks_max: most.into_iter().flatten().min(),
            tasks,
            cpus: (cpus > 0).then_some(cpus),
            recursive_protection: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_is_opened_in_pieces() {
        let names: Vec<String> = (0..40).map(|number| format!("{number:0250}")).collect();
        let path = names.join("/");
        let all: Vec<&[u8]> = pieces(path.as_bytes()).collect();
        assert!(all.len() > 2 && all.iter().all(|piece| piece.len() <= 4000));
        assert_eq!(all.join(&b"/"[..]), path.as_bytes());
        assert_eq!(pieces(b"a/b").collect::<Vec<_>>(), [b"a/b"]);
        // No name is that long: the kernel says so.
        assert_eq!(pieces(&[b'x'; 5000]).count(), 1);
    }
}
