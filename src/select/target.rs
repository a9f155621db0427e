//! What a user points at: the one grammar of targets, and finding the process or namespace that it means.
//!
//! Parsing is pure and knows every form; [`resolve`] holds the process by its directory, so that what is read afterwards is of that process
//! or fails. Names of containers, units and pods are not among the forms yet: they take an engine to resolve.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use super::sandbox;
use crate::model::id::parse_decimal;
use crate::model::{KindSet, NsArray, NsId, NsKind, NsName, Pid, Uid};
use crate::proc::{ProcPid, ProcRoot, is_gone};
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

/// Why a target means nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// The text has none of the forms.
    Form(String),
    /// There is no such process.
    NoProcess(Pid, SysError),
    /// The process with that pid is another one than was meant: its pidfd has the second inode, not the first.
    OtherProcess(Pid, u64, u64),
    /// This kernel cannot tell apart two processes that had the same pid one after the other.
    NoPidInode(Pid),
    /// The namespaces of the process may not be read.
    Refused(Pid, SysError),
    /// The file is not there, or may not be opened.
    NoFile(PathBuf, SysError),
    /// The file is no namespace.
    NotNamespace(PathBuf),
    /// No namespace has this inode.
    NoNamespace(Option<NsKind>, NsId),
    /// The number is neither that of a process nor that of a namespace.
    Nothing(u32),
    /// It is a namespace where a process is wanted.
    WantedProcess(String),
    /// It is a cgroup where a process or a namespace is wanted.
    IsCgroup(String),
    /// A directory that lies on no hierarchy, and where those are mounted.
    NotCgroupfs(Vec<u8>, Vec<Vec<u8>>),
    /// There is no such cgroup, or it may not be looked at.
    NoCgroup(Vec<u8>, SysError),
    /// No sandbox has this name.
    NoSandbox(String),
    /// Several have: the pids of their first processes, and whose they are.
    Sandboxes(String, Vec<(Pid, Option<Uid>)>),
    /// Sandboxes cannot be looked for.
    Unlisted(SysError),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetError::Form(text) => write!(
                f,
                "{text:?} is none of: PID, PID:INODE, self, net:[INODE], INODE, netns:NAME, nsx:NAME, cgroup:/PATH, a path with a slash"
            ),
            TargetError::NoProcess(pid, error) => write!(f, "no process {pid}: {error}"),
            TargetError::OtherProcess(pid, wanted, found) => {
                write!(f, "process {pid} is another one by now: its pidfd has inode {found}, not {wanted}")
            }
            TargetError::NoPidInode(pid) => {
                write!(
                    f,
                    "cannot tell whether process {pid} is the one that is meant: pidfds have no inodes of their own before Linux 6.9"
                )
            }
            TargetError::Refused(pid, error) => write!(f, "cannot read the namespaces of process {pid}: {error}"),
            TargetError::NoFile(path, error) => write!(f, "cannot open {}: {error}", shown(path)),
            TargetError::NotNamespace(path) => {
                write!(f, "{} is no namespace: it is not a file on nsfs", shown(path))
            }
            TargetError::NoNamespace(kind, id) => {
                let what = kind.map_or_else(|| format!("namespace {id}"), |kind| format!("namespace {kind}:[{id}]"));
                write!(
                    f,
                    "no {what}: not held by any process, thread, fd, socket, bind mount or descendant that can be seen"
                )
            }
            TargetError::Nothing(number) => write!(f, "no process and no namespace {number}"),
            TargetError::WantedProcess(text) => write!(f, "{text} is a namespace, not a process"),
            TargetError::IsCgroup(text) => write!(f, "{text} is a cgroup, not a process or a namespace"),
            TargetError::NotCgroupfs(path, mounts) => {
                let text = |path: &[u8]| String::from_utf8_lossy(path).escape_debug().to_string();
                let mounts: Vec<String> = mounts.iter().map(|mount| text(mount)).collect();
                write!(
                    f,
                    "{} is no directory of a cgroup hierarchy; these are mounted: {}",
                    text(path),
                    mounts.join(", ")
                )
            }
            TargetError::NoSandbox(name) => {
                write!(
                    f,
                    "no sandbox is called {}: no first process of one has it in its command line",
                    name.escape_debug()
                )
            }
            TargetError::Sandboxes(name, all) => {
                write!(f, "several sandboxes are called {}:", name.escape_debug())?;
                for (place, (pid, uid)) in all.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    match uid {
                        Some(uid) => write!(f, "{comma} that of uid {uid} with first process {pid}")?,
                        None => write!(f, "{comma} one with first process {pid}")?,
                    }
                }
                Ok(())
            }
            TargetError::Unlisted(error) => write!(f, "cannot look for sandboxes: {error}"),
            TargetError::NoCgroup(path, error) => {
                write!(f, "no cgroup {}: {error}", String::from_utf8_lossy(path).escape_debug())
            }
        }
    }
}

impl std::error::Error for TargetError {}

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
            return if name.is_empty() { Err(form()) } else { Ok(Target::Sandbox(name.to_owned())) };
        }
        if let Some(path) = text.strip_prefix("cgroup:") {
            let climbs = path.split('/').any(|name| name == "..");
            return (path.starts_with('/') && !climbs).then(|| Target::Cgroup(path.into())).ok_or_else(form);
        }
        if text.contains('/') {
            return Ok(Target::File(PathBuf::from(text)));
        }
        if let Some((pid, inode)) = text.split_once(':') {
            let (pid, inode) = (parse_decimal(pid.as_bytes()), parse_decimal(inode.as_bytes()));
            return pid.zip(inode).map(|(pid, inode)| Target::PidInode(Pid(pid), inode)).ok_or_else(form);
        }
        parse_decimal(text.as_bytes()).map(Target::Number).ok_or_else(form)
    }
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
        Target::PidInode(..) | Target::Own | Target::Sandbox(_) => resolve_process_kinds(root, target, kinds),
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_known() {
        let id = |inode| NsId::new(inode).expect("not zero");
        for (text, target) in [
            ("4242", Target::Number(4242)),
            ("4242:77", Target::PidInode(Pid(4242), 77)),
            ("self", Target::Own),
            ("net:[4026532184]", Target::Namespace(NsName { kind: NsKind::Net, id: id(4_026_532_184) })),
            ("netns:blue", Target::Netns("blue".to_owned())),
            ("/run/netns/blue", Target::File("/run/netns/blue".into())),
            ("./net:[1", Target::File("./net:[1".into())),
            ("cgroup:/a:b", Target::Cgroup(b"/a:b".to_vec())),
        ] {
            assert_eq!(text.parse(), Ok(target), "{text}");
        }
    }

    #[test]
    fn what_has_no_form_is_refused() {
        for text in [
            "",
            "web",
            "-1",
            "+1",
            "1:",
            ":1",
            "1:x",
            "net:[]",
            "netns:",
            "netns:..",
            "netns:a/b",
            "4294967296",
            "cgroup:",
            "cgroup:a",
            "cgroup:/../a",
        ] {
            assert!(matches!(text.parse::<Target>(), Err(TargetError::Form(_))), "{text}");
        }
    }

    #[test]
    fn the_caller_is_found_by_pid_and_by_name() {
        let root = ProcRoot::open(std::path::Path::new("/proc")).expect("/proc");
        for target in [Target::Own, Target::Number(std::process::id())] {
            let Ok(Resolved::Process(process, namespaces)) = resolve(&root, &target) else { panic!("{target:?}") };
            assert_eq!(process.pid.0, std::process::id());
            assert!(namespaces[NsKind::Mnt.index()].is_some());
        }
        assert!(matches!(resolve_process(&root, &Target::Number(u32::MAX)), Err(TargetError::NoProcess(..))));
    }

    #[test]
    fn a_file_that_is_no_namespace_is_not_opened() {
        let root = ProcRoot::open(std::path::Path::new("/proc")).expect("/proc");
        let target = Target::File("/dev/null".into());
        assert!(matches!(resolve(&root, &target), Err(TargetError::NotNamespace(_))));
        let target = Target::File("/proc/self/ns/net".into());
        assert!(matches!(resolve(&root, &target), Ok(Resolved::Namespace(Some(NsKind::Net), _, Some(_)))));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Target>();
        }
    }
}
