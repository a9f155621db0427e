//! The cgroups of a sandbox when they are there: making them as planned, and removing them with all that is left in them.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::LimitError;
use super::plan::{Act, CgroupPlan, Group, INNER, Why};
use crate::cgroup::at::{Cgroup, is_gone};
use crate::cgroup::change::set::Places;
use crate::cgroup::change::translate::Write;
use crate::cgroup::change::{Cause, ChangeError, Intent, Log, explain, kill, make};
use crate::cgroup::{Cgroups, parse};
use crate::model::cgroup::{Controller, Limit, Version};
use crate::proc::ProcRoot;
use crate::sys::{Call, Errno, SysError, cgroupfs, dir};

/// A knob that is read back has no more bytes than these.
const MOST_KNOB_BYTES: usize = 4096;

/// A cgroup of the sandbox, open.
pub struct MadeGroup {
    /// Its directory.
    pub directory: OwnedFd,
    /// That of the cgroup inside, if there is one: then the processes are there.
    pub inner: Option<OwnedFd>,
    /// The cgroup above it.
    pub parent: OwnedFd,
    /// The index of its hierarchy.
    pub hierarchy: usize,
    /// The version of that.
    pub version: Version,
    /// The controllers of that. On v2 not all of them are handed on to this cgroup.
    pub controllers: Vec<Controller>,
    /// What that is called.
    pub label: String,
    /// Its path, as the caller's cgroup namespace has it.
    pub path: Vec<u8>,
    /// The path of the topmost cgroup that can be seen.
    pub top: Vec<u8>,
}

impl MadeGroup {
    /// Returns the directory of the cgroup that processes go into.
    pub fn place(&self) -> BorrowedFd<'_> {
        self.inner.as_ref().unwrap_or(&self.directory).as_fd()
    }
}

/// The cgroups of a sandbox. They stay until [`Made::remove`].
#[derive(Default)]
pub struct Made {
    /// What has to be removed in the end, beside what is inside: names of directories in directories.
    pub removal: Vec<(OwnedFd, CString)>,
    /// The cgroups themselves.
    pub groups: Vec<MadeGroup>,
}

/// What failed, before it is known why.
struct Failure<'p> {
    group: &'p Group,
    what: What<'p>,
    error: SysError,
}

enum What<'p> {
    HandOn(&'p [u8]),
    Make,
    MakeInner,
    Write(&'p Write, Why),
    Found(&'p Write, Why, Vec<u8>),
    Copy,
}

impl CgroupPlan {
    /// Makes the cgroups, sets their knobs and reads them back.
    ///
    /// # Errors
    /// What the kernel says, with what is in the way. Then nothing is left of them.
    pub fn make(&self) -> Result<Made, LimitError> {
        let mut made = Made::default();
        for (done, act) in self.acts.iter().enumerate() {
            if let Err(failure) = self.act(act, &mut made) {
                let error = failure.explain();
                self.undo(&self.acts[..done], &made);
                return Err(error);
            }
        }
        Ok(made)
    }

    fn act<'p>(&'p self, act: &'p Act, made: &mut Made) -> Result<(), Failure<'p>> {
        match act {
            Act::HandOn { group, at, controller } => {
                let group = &self.groups[*group];
                let failed = |call: Call| move |errno| Failure::new(group, What::HandOn(&at.path), call, errno);
                let knob = cgroupfs::open_write(at.directory.as_fd(), c"cgroup.subtree_control")
                    .map_err(failed(Call::Openat(at.file.clone())))?;
                let text = format!("+{controller}").into_bytes();
                cgroupfs::write(knob.as_fd(), &text)
                    .map_err(|errno| failed(Call::WriteText { path: at.file.clone(), text })(errno))
            }
            Act::Make(group) => self.make_one(&self.groups[*group], made),
            Act::MakeInner(group) => {
                let (group, made) = (&self.groups[*group], &mut made.groups[*group]);
                let failed = |call: Call| move |errno| Failure::new(group, What::MakeInner, call, errno);
                let directory = made.directory.as_fd();
                cgroupfs::mkdir(directory, INNER).map_err(failed(Call::Mkdirat(group.inner_directory())))?;
                let opened = dir::open_dir(directory, INNER).inspect_err(|_| {
                    let _ = cgroupfs::rmdir(directory, INNER);
                });
                made.inner = Some(opened.map_err(failed(Call::Openat(group.inner_directory())))?);
                Ok(())
            }
            Act::Write { group, write, why } => {
                let (group, made) = (&self.groups[*group], &made.groups[*group]);
                let directory = if why.is_inside() { made.place() } else { made.directory.as_fd() };
                set(directory, group, write, *why)
            }
        }
    }

    fn make_one<'p>(&'p self, group: &'p Group, made: &mut Made) -> Result<(), Failure<'p>> {
        let failed = |what, call| move |errno| Failure::new(group, what, call, errno);
        let copy = |file: &OwnedFd| {
            let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
            file.try_clone().map_err(|error| failed(What::Copy, Call::Fcntl("F_DUPFD_CLOEXEC"))(errno(error)))
        };
        let (parent, again) = (copy(&group.parent)?, copy(&group.parent)?);
        cgroupfs::mkdir(parent.as_fd(), &self.name)
            .map_err(failed(What::Make, Call::Mkdirat(group.directory.clone())))?;
        let opened = dir::open_dir(parent.as_fd(), &self.name)
            .map_err(failed(What::Make, Call::Openat(group.directory.clone())));
        let directory = opened.inspect_err(|_| {
            // It is not among those that are undone yet.
            let _ = cgroupfs::rmdir(parent.as_fd(), &self.name);
        })?;
        made.removal.push((again, self.name.clone()));
        made.groups.push(MadeGroup {
            directory,
            inner: None,
            parent,
            hierarchy: group.hierarchy,
            version: group.version,
            controllers: group.controllers.clone(),
            label: group.label.clone(),
            path: group.path.clone(),
            top: group.top.clone(),
        });
        Ok(())
    }

    /// Takes back what was done. Whatever somebody has begun to use meanwhile stays.
    fn undo(&self, done: &[Act], made: &Made) {
        for (group, (parent, name)) in made.groups.iter().zip(&made.removal).rev() {
            if group.inner.is_some() {
                let _ = cgroupfs::rmdir(group.directory.as_fd(), INNER);
            }
            let _ = cgroupfs::rmdir(parent.as_fd(), name);
        }
        for act in done.iter().rev() {
            if let Act::HandOn { at, controller, .. } = act
                && let Ok(knob) = cgroupfs::open_write(at.directory.as_fd(), c"cgroup.subtree_control")
            {
                let _ = cgroupfs::write(knob.as_fd(), format!("-{controller}").as_bytes());
            }
        }
    }
}

/// Writes a value, and reads it back.
fn set<'p>(directory: BorrowedFd<'_>, group: &'p Group, write: &'p Write, why: Why) -> Result<(), Failure<'p>> {
    let failed = |call: Call| move |errno| Failure::new(group, What::Write(write, why), call, errno);
    let open_failed = || failed(Call::Openat(group.file(&write.file, why)));
    let name = CString::new(&write.file[..]).map_err(|_| open_failed()(Errno::EINVAL))?;
    // Some files can be written to and not read.
    let knob = cgroupfs::open_read_write(directory, &name)
        .or_else(|_| cgroupfs::open_write(directory, &name))
        .map_err(|errno| open_failed()(errno))?;
    let call = || Call::WriteText { path: group.file(&write.file, why), text: write.text.clone().into_bytes() };
    cgroupfs::write(knob.as_fd(), write.text.as_bytes()).map_err(|errno| failed(call())(errno))?;
    let mut buffer = [0; MOST_KNOB_BYTES];
    match cgroupfs::read_from_start(knob.as_fd(), &mut buffer) {
        Ok(found) if !write.expect.is_met(found) && write.expect.is_strict() => {
            Err(Failure::new(group, What::Found(write, why, found.to_vec()), call(), Errno::UnknownErrno))
        }
        _ => Ok(()),
    }
}

impl<'p> Failure<'p> {
    fn new(group: &'p Group, what: What<'p>, call: Call, errno: Errno) -> Failure<'p> {
        Failure { group, what, error: SysError::new(call, errno) }
    }

    /// Finds out what was in the way, by asking the cgroups now.
    fn explain(self) -> LimitError {
        let Failure { group, what, error } = self;
        let path = match &what {
            What::MakeInner => group.inner_path(),
            What::Write(_, why) | What::Found(_, why, _) if why.is_inside() => group.inner_path(),
            _ => group.path.clone(),
        };
        let plain = |intent, error| ChangeError::new(intent, &path, Cause::Unknown, error);
        let unknown = match &what {
            What::Copy => return LimitError::System(error),
            What::Found(write, _, found) => {
                let found = String::from_utf8_lossy(found.trim_ascii()).into_owned();
                let cause = Cause::NotTaken { asked: write.text.clone(), found };
                return ChangeError::new(Intent::Set(write.knob.clone()), &path, cause, None).into();
            }
            What::HandOn(path) => ChangeError::new(
                Intent::Set("cgroup.subtree_control".to_owned()),
                path,
                Cause::Unknown,
                Some(error.clone()),
            ),
            What::Write(write, _) => plain(Intent::Set(write.knob.clone()), Some(error.clone())),
            What::Make | What::MakeInner => plain(Intent::Create, Some(error.clone())),
        };
        let Ok((_, cgroups)) = hierarchies() else { return unknown.into() };
        let open = |path: &[u8]| Cgroup::open(&cgroups, group.hierarchy, path).ok();
        let explained = match what {
            What::HandOn(path) => {
                open(path).map(|at| explain::set(&at, "cgroup.subtree_control", "cgroup.subtree_control", None, error))
            }
            What::Make => open(&group.parent_path).map(|parent| explain::making(&parent, &group.path, error)),
            What::MakeInner => open(&group.path).map(|parent| explain::making(&parent, &path, error)),
            What::Write(write, _) => open(&path).map(|cgroup| {
                let number = match parse::limit_v1(write.text.as_bytes()) {
                    Some(Limit::Value(number)) => Some(number),
                    _ => None,
                };
                explain::set(&cgroup, &write.knob, &write.file, number, error)
            }),
            _ => None,
        };
        explained.unwrap_or(unknown).into()
    }
}

fn hierarchies() -> Result<(ProcRoot, Cgroups), SysError> {
    let proc = ProcRoot::open(Path::new("/proc"))?;
    let cgroups = Cgroups::open_for(&proc, None)?;
    Ok((proc, cgroups))
}

impl Made {
    /// Removes the cgroups. Whoever is left in them is killed, and what was made below them is removed, too.
    ///
    /// # Errors
    /// Where somebody cannot be killed; what the kernel says. The others are removed all the same.
    pub fn remove(&self) -> Result<(), LimitError> {
        let mut failed = None;
        for (group, (parent, name)) in self.groups.iter().zip(&self.removal).rev() {
            let inner = |inner: &OwnedFd| remove_empty(inner.as_fd(), group.directory.as_fd(), INNER);
            let is_removed =
                group.inner.as_ref().is_none_or(inner) && remove_empty(group.directory.as_fd(), parent.as_fd(), name);
            if !is_removed && let Err(error) = remove_by_force(group) {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Removes a cgroup in which nobody is any more. Who has ended may still be on the way out, which takes a moment.
fn remove_empty(directory: BorrowedFd<'_>, parent: BorrowedFd<'_>, name: &CStr) -> bool {
    const PATIENCE: Duration = Duration::from_millis(20);
    let mut pause = Duration::from_micros(20);
    let over = Instant::now() + PATIENCE;
    loop {
        match cgroupfs::rmdir(parent, name) {
            Ok(()) => return true,
            Err(errno) if is_gone(errno) => return true,
            Err(Errno::EBUSY) => {}
            Err(_) => return false,
        }
        let has_members = dir::read_whole(directory, c"cgroup.procs", 64).is_ok_and(|all| !all.is_empty());
        let has_children = cgroupfs::directory(directory).is_ok_and(|one| one.children.is_some_and(|count| count > 0));
        if has_members || has_children || Instant::now() >= over {
            return false;
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
}

/// Kills whoever is in a cgroup or below it, and removes it.
fn remove_by_force(group: &MadeGroup) -> Result<(), LimitError> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let (proc, cgroups) = hierarchies().map_err(LimitError::System)?;
    let is_it = |found: &Cgroup<'_>| {
        let inode = |fd| cgroupfs::directory(fd).map(|directory| directory.inode);
        inode(found.as_fd()) == inode(group.directory.as_fd())
    };
    match Cgroup::open(&cgroups, group.hierarchy, &group.path) {
        Ok(found) if is_it(&found) => {}
        // What has its name by now is somebody else's.
        Ok(_) => return Ok(()),
        Err(error) if is_gone(error.errno) => return Ok(()),
        Err(error) => return Err(LimitError::System(error)),
    }
    let places = Places { all: vec![(group.hierarchy, group.path.clone())], path: group.path.clone() };
    kill::run(&cgroups, &proc, &places, PATIENCE, &mut Log::new(false))?;
    make::remove(&cgroups, &places, true, &mut Log::new(false))?;
    Ok(())
}
