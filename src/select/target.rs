//! What a user points at: the one grammar of targets, and finding the process or namespace that it means.
//!
//! Parsing is pure and knows every form; [`resolve`] holds the process by its directory, so that what is read afterwards is of that process
//! or fails. What names mean is in `sandboxes` (containers, pods), `sandbox` (those of `nsx run`) and `unit`.

mod error;

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

pub use error::TargetError;

use super::sandbox;
use super::sandboxes::{self, Wanted};
use crate::engine::engine;
use crate::model::id::parse_decimal;
use crate::model::{KindSet, NsArray, NsId, NsKind, NsName, Pid, Uid};
use crate::proc::{ProcPid, ProcRoot, is_gone};
use crate::sandbox::{Catalog, Extent};
use crate::sys::dir::ShortPath;
use crate::sys::{Call, Errno, SysError, dir, nsfs, pidfd};

/// Where ip-netns(8) keeps the network namespaces that it names.
const NETNS_DIRECTORY: &str = "/run/netns";

/// What a user points at, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `4242`: a process or thread; when there is none, the namespace with that inode.
    Number(u32),
    /// `4242:INO`: the process with that pid whose pidfd has that inode.
    PidInode(Pid, u64),
    /// `self`: the caller.
    Own,
    /// `net:[4026532184]`: a namespace by kind and inode.
    Namespace(NsName),
    /// `netns:blue`: a network namespace by the name that ip-netns(8) gave it.
    Netns(String),
    /// `/run/netns/blue`: a namespace by file, or, where cgroups are meant, a cgroup by its path or directory.
    File(PathBuf),
    /// `cgroup:/system.slice/x.service`: a cgroup by its path.
    Cgroup(Vec<u8>),
    /// `nsx:web`: the command of a sandbox of `nsx run`.
    Sandbox(String),
    /// `web`, `docker:web`, `outer/inner`, `3f2a`, `pod:NAMESPACE/POD`: the first process of a container, by its name or id.
    Container(Wanted),
    /// `unit:ssh.service`: the oldest process of a systemd unit, or, where cgroups are meant, its cgroup.
    Unit(String),
    /// `web/7`: process 7 of the pid namespace that the other target is in.
    Inside(Box<Target>, u32),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Number(number) => number.fmt(f),
            Target::PidInode(pid, inode) => write!(f, "{pid}:{inode}"),
            Target::Own => f.write_str("self"),
            Target::Namespace(name) => name.fmt(f),
            Target::Netns(name) => write!(f, "netns:{name}"),
            Target::File(path) => f.write_str(&shown(path)),
            Target::Cgroup(path) => write!(f, "cgroup:{}", String::from_utf8_lossy(path).escape_debug()),
            Target::Sandbox(name) => write!(f, "nsx:{}", name.escape_debug()),
            Target::Container(wanted) => wanted.fmt(f),
            Target::Unit(name) => write!(f, "unit:{}", name.escape_debug()),
            Target::Inside(target, pid) => write!(f, "{target}/{pid}"),
        }
    }
}

/// Returns a path as it may be shown: a user can name what somebody else has made, by a wildcard.
fn shown(path: &std::path::Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).escape_debug().to_string()
}

/// What a target means on this host, now.
pub enum Resolved {
    /// A process or thread, held by its directory, with its namespaces.
    Process(ProcPid, NsArray),
    /// A namespace, of this kind if that is known, and open if a file led to it. Else a scan says whether it exists.
    Namespace(Option<NsKind>, NsId, Option<OwnedFd>),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let form = || TargetError::Form(text.to_owned());
        if text == "self" {
            return Ok(Target::Own);
        }
        if let Some(name) = NsName::parse(text.as_bytes()) {
            return Ok(Target::Namespace(name));
        }
        if let Some(name) = text.strip_prefix("netns:") {
            // A name with a slash would lead out of the directory.
            let is_name = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
            return is_name.then(|| Target::Netns(name.to_owned())).ok_or_else(form);
        }
        if let Some(name) = text.strip_prefix("nsx:") {
            let (name, pid) = split_pid(name);
            return if name.is_empty() { Err(form()) } else { Ok(inside(Target::Sandbox(name.to_owned()), pid)) };
        }
        if let Some(path) = text.strip_prefix("cgroup:") {
            let climbs = path.split('/').any(|name| name == "..");
            return (path.starts_with('/') && !climbs).then(|| Target::Cgroup(path.into())).ok_or_else(form);
        }
        if let Some(name) = text.strip_prefix("unit:") {
            let (name, pid) = split_pid(name);
            let is_name = is_name(name) && crate::engine::unit(format!("/{name}").as_bytes()).is_some();
            return is_name.then(|| inside(Target::Unit(name.to_owned()), pid)).ok_or_else(form);
        }
        if let Some(path) = text.strip_prefix("pod:") {
            return pod(path).ok_or_else(form);
        }
        let is_path = ["/", "./", "../", "~"].iter().any(|start| text.starts_with(start)) || matches!(text, "." | "..");
        if !is_path && let Some(target) = named(text) {
            return Ok(target);
        }
        if text.contains('/') {
            return Ok(Target::File(PathBuf::from(text)));
        }
        let (pid, inode) = text.split_once(':').ok_or_else(form)?;
        let (pid, inode) = (parse_decimal(pid.as_bytes()), parse_decimal(inode.as_bytes()));
        pid.zip(inode).map(|(pid, inode)| Target::PidInode(Pid(pid), inode)).ok_or_else(form)
    }
}

/// Parses what begins with a name or a number: `4242`, `web`, `docker:web`, `outer/inner/7`.
fn named(text: &str) -> Option<Target> {
    let (engine, rest) = match text.split_once(':') {
        Some((name, rest)) => (Some(engine(name)?), rest),
        None => (None, text),
    };
    let (path, pid) = split_pid(rest);
    let path: Vec<String> = path.split('/').map(str::to_owned).collect();
    if !path.iter().all(|name| is_name(name)) {
        return None;
    }
    let target = match (engine, &path[..]) {
        (None, [word]) if word == "self" => Target::Own,
        // What begins with a zero is no pid, and may be an id.
        (None, [word]) if !(word.starts_with('0') && word.len() > 1) => match parse_decimal(word.as_bytes()) {
            Some(number) => Target::Number(number),
            None => Target::Container(Wanted::Named { engine, path }),
        },
        _ => Target::Container(Wanted::Named { engine, path }),
    };
    Some(inside(target, pid))
}

/// Splits the pid inside off what it is inside of: `web/7`.
fn split_pid(text: &str) -> (&str, Option<u32>) {
    match text.rsplit_once('/') {
        Some((before, pid)) if !before.is_empty() => match parse_decimal(pid.as_bytes()) {
            Some(pid) => (before, Some(pid)),
            None => (text, None),
        },
        _ => (text, None),
    }
}

fn inside(target: Target, pid: Option<u32>) -> Target {
    match pid {
        Some(pid) => Target::Inside(Box::new(target), pid),
        None => target,
    }
}

/// Parses `NAMESPACE/POD`, `NAMESPACE/POD/CONTAINER`, and each of them with a pid behind.
fn pod(text: &str) -> Option<Target> {
    let (text, pid) = match text.split('/').count() {
        0..=2 => (text, None),
        _ => split_pid(text),
    };
    let mut names = text.split('/').map(|name| is_name(name).then(|| name.to_owned()));
    let (namespace, name) = (names.next()??, names.next()??);
    let container = match names.next() {
        Some(container) => Some(container?),
        None => None,
    };
    let wanted = Wanted::Pod { namespace, name, container };
    names.next().is_none().then(|| inside(Target::Container(wanted), pid))
}

/// Says whether a word may be the name of a container: it begins with a letter, a digit or an underscore.
fn is_name(word: &str) -> bool {
    let first = word.chars().next().is_some_and(|first| first.is_alphanumeric() || first == '_');
    first
        && word.chars().all(|character| {
            !(character.is_control() || character.is_whitespace() || matches!(character, ':' | '/' | '[' | ']'))
        })
}

/// Finds what a target means, in the processes that `root` shows.
///
/// # Errors
/// Where there is no such process or file, or it may not be looked at.
pub fn resolve(root: &ProcRoot, target: &Target) -> Result<Resolved, TargetError> {
    resolve_kinds(root, target, KindSet::ALL)
}

/// As [`resolve`], but of a process only the namespaces of these kinds are read.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_kinds(root: &ProcRoot, target: &Target, kinds: KindSet) -> Result<Resolved, TargetError> {
    match target {
        Target::Number(number) => match process(root, Pid(*number), kinds) {
            Err(TargetError::NoProcess(..)) => {
                NsId::new(*number).map(|id| Resolved::Namespace(None, id, None)).ok_or(TargetError::Nothing(*number))
            }
            found => found,
        },
        Target::PidInode(..) | Target::Own | Target::Sandbox(_) | Target::Unit(_) | Target::Inside(..) => {
            resolve_process_kinds(root, target, kinds)
        }
        Target::Container(_) => match resolve_process_kinds(root, target, kinds) {
            // What has a slash in it may be a file in the working directory, too.
            Err(error @ TargetError::NoContainer(Wanted::Named { engine: None, .. }, _)) => {
                let path = PathBuf::from(target.to_string());
                let is_path = path.components().count() > 1;
                is_path.then(|| resolve_file(path).ok()).flatten().ok_or(error)
            }
            found => found,
        },
        Target::Namespace(name) => Ok(Resolved::Namespace(Some(name.kind), name.id, None)),
        Target::Netns(name) => resolve_file(PathBuf::from(NETNS_DIRECTORY).join(name)),
        Target::File(path) => resolve_file(path.clone()),
        Target::Cgroup(_) => Err(TargetError::IsCgroup(target.to_string())),
    }
}

fn resolve_file(path: PathBuf) -> Result<Resolved, TargetError> {
    open_file(path).map(|(kind, id, namespace)| Resolved::Namespace(kind, id, Some(namespace)))
}

/// Finds the process that a target means; what can only be a namespace is refused.
///
/// # Errors
/// As [`resolve`]; a number that is no process is an error, too.
pub fn resolve_process(root: &ProcRoot, target: &Target) -> Result<Resolved, TargetError> {
    resolve_process_kinds(root, target, KindSet::ALL)
}

/// As [`resolve_process`], but only the namespaces of these kinds are read.
///
/// # Errors
/// As [`resolve_process`].
pub fn resolve_process_kinds(root: &ProcRoot, target: &Target, kinds: KindSet) -> Result<Resolved, TargetError> {
    match target {
        Target::Number(number) => process(root, Pid(*number), kinds),
        Target::Container(wanted) => container(root, wanted, kinds),
        Target::Unit(name) => super::unit::first_process(root, name).and_then(|found| namespaces(root, found, kinds)),
        Target::Inside(outer, number) => {
            let Resolved::Process(member, _) = resolve_process_kinds(root, outer, KindSet::NONE)? else {
                return Err(TargetError::WantedProcess(outer.to_string()));
            };
            let found =
                super::pid::find(root, &member, *number).map_err(|error| TargetError::Inside(Box::new(error)))?;
            namespaces(root, found, kinds)
        }
        Target::PidInode(pid, inode) => {
            let found = process(root, *pid, kinds)?;
            let gone = |error| TargetError::NoProcess(*pid, error);
            let opened = pidfd::pidfd_open(*pid).ok_or(TargetError::NoPidInode(*pid))?.map_err(gone)?;
            match pidfd::unique_inode(opened.as_fd()).map_err(gone)? {
                None => Err(TargetError::NoPidInode(*pid)),
                Some(unique) if unique == *inode => Ok(found),
                Some(unique) => Err(TargetError::OtherProcess(*pid, *inode, unique)),
            }
        }
        Target::Own => {
            let own = Pid(std::process::id());
            let name = root.name("self");
            let error = |errno| TargetError::NoProcess(own, SysError::new(Call::Openat(name.clone()), errno));
            namespaces(root, root.own_process().map_err(error)?, kinds)
        }
        Target::Sandbox(name) => {
            let found = sandbox::find_one(root, name)?;
            // Where the command has just gone its first process is on the way out.
            let command = found.command(root).ok_or_else(|| TargetError::NoSandbox(name.clone()))?;
            namespaces(root, command, kinds)
        }
        Target::Namespace(_) | Target::Netns(_) | Target::File(_) => {
            Err(TargetError::WantedProcess(target.to_string()))
        }
        Target::Cgroup(_) => Err(TargetError::IsCgroup(target.to_string())),
    }
}

/// Finds the first process of a container.
fn container(root: &ProcRoot, wanted: &Wanted, kinds: KindSet) -> Result<Resolved, TargetError> {
    let own = Uid(nix::unistd::geteuid().as_raw());
    let find = |extent: &Extent| {
        let catalog = Catalog::find_for(root, extent).map_err(TargetError::Unlisted)?;
        let place = sandboxes::find(&catalog, wanted, own)?;
        Ok((catalog, place))
    };
    let extent = match wanted {
        Wanted::Named { path, .. } => Extent::Names(path.clone()),
        Wanted::Pod { .. } => Extent::All,
    };
    let (catalog, place) = match find(&extent) {
        // What others are called is worth saying.
        Err(TargetError::NoContainer(..)) if extent != Extent::All => find(&Extent::All)?,
        found => found?,
    };
    let sandbox = &catalog.sandboxes[place];
    let gone = |errno| {
        TargetError::NoProcess(sandbox.pid, SysError::new(Call::Openat(root.name(&sandbox.pid.to_string())), errno))
    };
    let found = root.process(sandbox.pid).map_err(gone)?;
    // Its pid may be another's by now.
    let started = found.stat(&mut [0; 1024]).map_err(gone)?.start_time_ticks;
    if started != sandbox.start_time_ticks {
        return Err(gone(Errno::ESRCH));
    }
    namespaces(root, found, kinds)
}

fn process(root: &ProcRoot, pid: Pid, kinds: KindSet) -> Result<Resolved, TargetError> {
    let found = root.process(pid).map_err(|errno| {
        TargetError::NoProcess(pid, SysError::new(Call::Openat(root.name(&pid.to_string())), errno))
    })?;
    namespaces(root, found, kinds)
}

fn namespaces(root: &ProcRoot, process: ProcPid, kinds: KindSet) -> Result<Resolved, TargetError> {
    match process.namespaces_of(kinds) {
        Ok(namespaces) => Ok(Resolved::Process(process, namespaces)),
        Err(errno) => {
            let pid = process.pid;
            let error = SysError::new(Call::Readlinkat(root.name(&format!("{pid}/ns/cgroup"))), errno);
            let gone = is_gone(errno) || !process.is_alive();
            Err(if gone { TargetError::NoProcess(pid, error) } else { TargetError::Refused(pid, error) })
        }
    }
}

/// Opens the namespace that a file is, once it has proved to be one.
///
/// # Errors
/// Where there is no such file, or it is no namespace.
pub fn open_file(path: PathBuf) -> Result<(Option<NsKind>, NsId, OwnedFd), TargetError> {
    let bytes = path.as_os_str().as_bytes();
    let failed = |errno| TargetError::NoFile(path.clone(), SysError::new(Call::Openat(bytes.to_vec()), errno));
    let c_path = std::ffi::CString::new(bytes).map_err(|_| failed(Errno::EINVAL))?;
    let named = dir::open_path_cwd(&c_path).map_err(failed)?;
    // nsfs has one device, and what the kernel knows of a file it tells without asking the file's own file system.
    let nsfs_device = dir::follow(named.as_fd(), c"/proc/self/ns/mnt").map(|own| own.id.dev);
    let is_namespace = dir::identify(named.as_fd()).is_ok_and(|file| Ok(file.id.dev) == nsfs_device);
    if !is_namespace {
        return Err(TargetError::NotNamespace(path));
    }
    // What was looked at is what is opened, whatever the path leads to by now.
    let own = ShortPath::new().text("/proc/self/fd/").number(named.as_raw_fd().unsigned_abs());
    let namespace = dir::open_read_cwd(own.as_c_str()).map_err(failed)?;
    let id = nsfs::inode(namespace.as_fd()).ok().flatten();
    let kind = nsfs::kind(namespace.as_fd()).ok().flatten();
    match id {
        Some(id) => Ok((kind, id, namespace)),
        None => Err(TargetError::NotNamespace(path)),
    }
}

#[cfg(test)]
mod tests;
