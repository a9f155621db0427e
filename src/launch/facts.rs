//! Asking the host what the plan has to know, and opening everything that its steps will need.
//!
//! The target is held by a pidfd from the moment on when it is found; what is opened below `/proc/PID` is of the same process, because its
//! directory is held, too. Nothing is entered here. Files that the target may have made (FUSE, fifos) are never opened for reading.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::enter::EnterError;
use super::plan::{Facts, Owner, TargetFacts, UserFacts};
use super::request::{Caps, Id, NsFile, Place, Request};
use crate::model::{CapSet, KindSet, NsId, NsKind};
use crate::proc::parse::{self, IdMap};
use crate::proc::{ProcPid, ProcRoot};
use crate::scan;
use crate::select::target::{Resolved, Target, open_file, resolve_kinds};
use crate::sys::{Call, Errno, SysError, cred, dir, inside, nsfs, pidfd, socket};

/// What is open, for the steps of the plan.
#[derive(Default)]
pub struct Held {
    /// The target, by its pidfd.
    pub pidfd: Option<OwnedFd>,
    /// The target, by its directory.
    pub process: Option<ProcPid>,
    /// Namespaces by file; those of the target, too, where there are no pidfds.
    pub namespaces: [Option<OwnedFd>; 8],
    /// User namespaces that own others.
    pub owners: Vec<(NsId, OwnedFd)>,
    /// The parent of a user namespace.
    pub user_parent: Option<OwnedFd>,
    /// The root directory to change to.
    pub root: Option<OwnedFd>,
    /// The working directory to change to.
    pub directory: Option<OwnedFd>,
    /// The files to join cgroups by, in the order of the facts.
    pub cgroups: Vec<Option<OwnedFd>>,
    /// A copy of the target's mounts.
    pub tree: Option<OwnedFd>,
    /// The environment of the target.
    pub environment: Option<Vec<u8>>,
    /// Whether the security context is AppArmor's.
    pub apparmor: bool,
}

/// A file of a process is read up to this size: that of an environment, and more than any other has.
pub(super) const MOST_BYTES: usize = 8 << 20;

/// Finds out everything.
///
/// # Errors
/// Where the target is not there, or something that was asked for cannot be opened.
pub fn gather(proc: &ProcRoot, request: &Request) -> Result<(Facts, Held), EnterError> {
    let mut facts =
        Facts { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw(), ..Facts::default() };
    let mut held = Held::default();
    facts.caps =
        cred::effective_caps().map_err(|error| EnterError::Failed("cannot read the own capabilities".into(), error))?;
    // To read a link costs as much as to enter a namespace, so only those are read that something depends on.
    let privileged = facts.caps.contains(CapSet::SYS_ADMIN);
    let kinds = match request.kinds {
        Some(kinds) if privileged && !request.user_parent => {
            kinds.iter().filter(|kind| !request.files.iter().any(|(given, _)| given == kind)).collect()
        }
        _ => KindSet::ALL,
    };
    let own = proc.own_process().and_then(|own| Ok((own.namespaces_of(kinds)?, own)));
    let (namespaces, own) = own.map_err(|errno| failed("/proc", Call::Readlinkat(b"/proc/self/ns".to_vec()), errno))?;
    facts.own = namespaces;
    if request.files.iter().any(|(kind, _)| *kind == NsKind::User) {
        // To enter one's own is an error to the kernel, so it has to be known.
        let user = own.namespaces_of(KindSet::NONE.with(NsKind::User));
        facts.own[NsKind::User.index()] = user.ok().and_then(|user| user[NsKind::User.index()]);
    }
    use std::io::IsTerminal;
    facts.terminals =
        [std::io::stdin().is_terminal(), std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
    // What is kept unless the root directory changes needs no name.
    if request.kinds.is_none_or(|kinds| kinds.contains(NsKind::Mnt)) || request.root.is_some() {
        facts.directory = std::env::current_dir().ok();
    }

    if let Some(target) = &request.target {
        hold_target(proc, target, kinds, &mut facts, &mut held)?;
    }
    let gathering = Gathering { request, own };
    gathering.files(&mut facts, &mut held)?;
    gathering.of_target(&mut facts, &mut held)?;
    gathering.owners(&mut facts, &mut held)?;
    gathering.ids(&mut facts, &held)?;
    gathering.directories(&mut facts, &mut held)?;
    if let Some(process) = held.process.as_ref().filter(|_| request.cgroup.unwrap_or(request.kinds.is_none())) {
        for (cgroup, opened) in super::cgroups::differing(process, &gathering.own) {
            facts.cgroups.push(cgroup);
            held.cgroups.push(opened);
        }
    }
    if request.tools.is_some() {
        copy_tree(&facts, &mut held)?;
    }
    Ok((facts, held))
}

fn failed(what: &str, call: Call, errno: Errno) -> EnterError {
    EnterError::Failed(format!("cannot open {what}"), SysError::new(call, errno))
}

/// Finds the target, and holds on to it.
fn hold_target(
    proc: &ProcRoot,
    target: &Target,
    kinds: KindSet,
    facts: &mut Facts,
    held: &mut Held,
) -> Result<(), EnterError> {
    match resolve_kinds(proc, target, kinds)? {
        Resolved::Process(process, namespaces) => {
            let pid = process.pid;
            // Where it is not the leader's, or the kernel has no pidfds, the directory alone holds the process.
            let pidfd = pidfd::pidfd_open(pid).and_then(Result::ok);
            // Looked up in the directory after the pidfd was opened: the two are of one process, or this fails.
            if !process.is_alive() {
                let gone = SysError::new(Call::PidfdOpen(pid.0), Errno::ESRCH);
                return Err(crate::select::TargetError::NoProcess(pid, gone).into());
            }
            facts.target =
                Some(TargetFacts { pid: pid.0, namespaces, pidfd: pidfd.is_some(), ..TargetFacts::default() });
            held.pidfd = pidfd;
            held.process = Some(process);
        }
        Resolved::Namespace(kind, id, opened) => {
            let (kind, namespace) = match (kind, opened) {
                (Some(kind), Some(opened)) => (kind, opened),
                _ => scan::open(proc, kind, id)
                    .map_err(|error| EnterError::Failed("cannot look for the namespace".to_owned(), error))?
                    .ok_or_else(|| no_namespace(kind, id))?,
            };
            facts.given[kind.index()] = Some(id);
            held.namespaces[kind.index()] = Some(namespace);
        }
    }
    Ok(())
}

fn no_namespace(kind: Option<NsKind>, id: NsId) -> crate::select::TargetError {
    match kind {
        // Whoever typed a smaller number meant a process.
        None if u64::from(id.inode()) < nsfs::LEAST_INODE => crate::select::TargetError::Nothing(id.inode()),
        kind => crate::select::TargetError::NoNamespace(kind, id),
    }
}

struct Gathering<'a> {
    request: &'a Request,
    own: ProcPid,
}

impl Gathering<'_> {
    /// Opens the namespaces that were given by file.
    fn files(&self, facts: &mut Facts, held: &mut Held) -> Result<(), EnterError> {
        for (kind, file) in &self.request.files {
            let (found, id, namespace) = match file {
                NsFile::Path(path) => open_file(path.clone())?,
                NsFile::Socket(fd) => {
                    let what = format!("descriptor {fd} of the target");
                    let cannot =
                        |error| EnterError::Failed(format!("cannot find the network namespace of {what}"), error);
                    let target = held.pidfd.as_ref().ok_or(super::PlanError::NoProcess("--net-socket"))?;
                    let no_socket = |error: SysError| match error.errno {
                        Errno::ENOTTY => EnterError::Failed(format!("{what} is no socket"), error),
                        _ => cannot(error),
                    };
                    let copy = pidfd::pidfd_getfd(target.as_fd(), *fd)
                        .unwrap_or_else(|| Err(SysError::new(Call::PidfdGetfd(*fd), Errno::ENOSYS)))
                        .map_err(cannot)?;
                    let namespace = socket::net_namespace(copy.as_fd()).map_err(no_socket)?;
                    let id = nsfs::inode(namespace.as_fd()).map_err(cannot)?;
                    (Some(NsKind::Net), id.ok_or(EnterError::WrongKind(what, *kind, None))?, namespace)
                }
            };
            if found.is_some_and(|found| found != *kind) {
                let NsFile::Path(path) = file else { continue };
                return Err(EnterError::WrongKind(path.display().to_string(), *kind, found));
            }
            facts.given[kind.index()] = Some(id);
            held.namespaces[kind.index()] = Some(namespace);
        }
        Ok(())
    }

    /// Says whether the namespace of this kind is to be entered, and is not the caller's own.
    fn wants(&self, facts: &Facts, kind: NsKind) -> Option<NsId> {
        let own = facts.own[kind.index()];
        let of_target = || {
            let asked = self.request.kinds.is_none_or(|kinds| kinds.contains(kind));
            facts.target.as_ref().filter(|_| asked).and_then(|target| target.namespaces[kind.index()])
        };
        facts.given[kind.index()].or_else(of_target).filter(|id| Some(*id) != own)
    }

    /// Reads what was asked for of the target, and opens its namespaces where there is no pidfd to enter them by.
    fn of_target(&self, facts: &mut Facts, held: &mut Held) -> Result<(), EnterError> {
        let wanted: KindSet = NsKind::ALL
            .into_iter()
            .filter(|kind| facts.given[kind.index()].is_none() && self.wants(facts, *kind).is_some())
            .collect();
        let (Some(process), Some(target)) = (&held.process, &mut facts.target) else { return Ok(()) };
        let of = |file: &str| format!("/proc/{}/{file}", process.pid);
        let read = |file: &'static std::ffi::CStr| {
            process.read_all(file, MOST_BYTES).map_err(|errno| {
                let name = of(&file.to_string_lossy());
                failed(&name, Call::Openat(name.clone().into_bytes()), errno)
            })
        };
        if held.pidfd.is_none() {
            for kind in wanted.iter() {
                let namespace = process.open_ns(&CString::new(format!("ns/{kind}")).unwrap_or_default());
                let name = of(&format!("ns/{kind}"));
                held.namespaces[kind.index()] =
                    Some(namespace.map_err(|errno| failed(&name, Call::Openat(name.clone().into_bytes()), errno))?);
            }
        }
        let request = self.request;
        // Who enters a user namespace may have to become what the target is.
        let other_user =
            target.namespaces[NsKind::User.index()].is_some_and(|user| Some(user) != facts.own[NsKind::User.index()]);
        let follows = [request.uid, request.gid].contains(&Some(Id::Follow)) || other_user;
        if follows || request.caps == Some(Caps::Target) {
            target.credentials = parse::credentials(&read(c"status")?);
        }
        if request.caps.is_some() || request.keep_caps {
            facts.all_caps = all_caps();
        }
        if request.context {
            let apparmor = process.read_all(c"attr/apparmor/current", 4096).ok();
            held.apparmor = apparmor.is_some();
            let context = apparmor.or_else(|| process.read_all(c"attr/current", 4096).ok());
            target.context = context.and_then(|text| confining(&text));
        }
        if request.environment {
            let pidfd = held.pidfd.as_ref();
            held.environment = Some(match process.read_all(c"environ", MOST_BYTES) {
                // The file belongs to an id that only root of the target's user namespace stands above.
                Err(Errno::EACCES) if pidfd.is_some() => {
                    let file = pidfd.map(|target| inside::open_as_root_of(target.as_fd(), process.as_fd(), c"environ"));
                    file.and_then(Result::ok).map_or_else(|| read(c"environ"), |file| Ok(read_to_end(&file)))?
                }
                read => read.map_err(|errno| {
                    let name = of("environ");
                    failed(&name, Call::Openat(name.clone().into_bytes()), errno)
                })?,
            });
        }
        Ok(())
    }

    /// Asks for the owners of what is to be entered: of interest to those who have no CAP_SYS_ADMIN of their own.
    fn owners(&self, facts: &mut Facts, held: &mut Held) -> Result<(), EnterError> {
        let open = |kind: NsKind| -> Option<OwnedFd> {
            if let Some(namespace) = &held.namespaces[kind.index()] {
                return namespace.try_clone().ok();
            }
            held.process.as_ref()?.open_ns(&CString::new(format!("ns/{kind}")).ok()?).ok()
        };
        if self.request.user_parent {
            let first = NsKind::ALL.into_iter().filter(|kind| *kind != NsKind::User);
            let asked = |kind: &NsKind| {
                facts.given[kind.index()].is_some() || self.request.kinds.is_some_and(|kinds| kinds.contains(*kind))
            };
            let from = [NsKind::User].into_iter().chain(first).find(asked).unwrap_or(NsKind::User);
            held.user_parent = open(from).and_then(|namespace| nsfs::owner(namespace.as_fd()).ok());
            facts.user_parent = held.user_parent.as_ref().and_then(|parent| nsfs::inode(parent.as_fd()).ok().flatten());
        }
        if facts.caps.contains(CapSet::SYS_ADMIN) {
            return Ok(());
        }
        let own = facts.own[NsKind::User.index()];
        let mut owners = Vec::new();
        for kind in NsKind::ALL.into_iter().filter(|kind| *kind != NsKind::User) {
            if self.wants(facts, kind).is_none() {
                continue;
            }
            let Some(owner) = open(kind).and_then(|namespace| nsfs::owner(namespace.as_fd()).ok()) else { continue };
            let Some(id) = nsfs::inode(owner.as_fd()).ok().flatten() else { continue };
            let depth = depth(&owner, own);
            facts.owners[kind.index()] = Some(Owner { id, depth });
            owners.push((id, owner));
        }
        held.owners = owners;
        Ok(())
    }

    /// Reads the ids of the user namespace that will be entered.
    fn ids(&self, facts: &mut Facts, held: &Held) -> Result<(), EnterError> {
        let target_user = facts.target.as_ref().and_then(|target| target.namespaces[NsKind::User.index()]);
        let asked = if self.request.user_parent { facts.user_parent } else { self.wants(facts, NsKind::User) };
        let topmost = facts.owners.iter().flatten().filter(|owner| owner.depth > 0).min_by_key(|owner| owner.depth);
        let Some(user) =
            asked.or(topmost.map(|owner| owner.id)).filter(|id| Some(*id) != facts.own[NsKind::User.index()])
        else {
            return Ok(());
        };
        if let Some(process) = held.process.as_ref().filter(|_| Some(user) == target_user) {
            let read = |file| process.read_all(file, MOST_BYTES).unwrap_or_default();
            facts.ids = Some(user_facts(&read(c"uid_map"), &read(c"gid_map"), &read(c"setgroups")));
            return Ok(());
        }
        let owner = held.owners.iter().find(|(id, _)| *id == user).map(|(_, owner)| owner);
        let parent = held.user_parent.as_ref().filter(|_| self.request.user_parent);
        let Some(namespace) = parent.or(held.namespaces[NsKind::User.index()].as_ref()).or(owner) else {
            return Ok(());
        };
        let read =
            |file| inside::open_in_user_ns(namespace.as_fd(), file).map(|file| read_to_end(&file)).unwrap_or_default();
        facts.ids = Some(user_facts(
            &read(c"/proc/self/uid_map"),
            &read(c"/proc/self/gid_map"),
            &read(c"/proc/self/setgroups"),
        ));
        Ok(())
    }

    /// Opens the root and the working directory that will be changed to.
    fn directories(&self, facts: &mut Facts, held: &mut Held) -> Result<(), EnterError> {
        let of_target = |name: &'static std::ffi::CStr| {
            let process = held.process.as_ref()?;
            let path = format!("/proc/{}/{}", process.pid, name.to_string_lossy());
            let opened = dir::open_path(process.as_fd(), name);
            Some(opened.map_err(|errno| failed(&path, Call::Openat(path.clone().into_bytes()), errno)))
        };
        let named = |path: &Path| {
            let what = path.display().to_string();
            let cannot = |errno| failed(&what, Call::Openat(path.as_os_str().as_bytes().to_vec()), errno);
            let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| cannot(Errno::EINVAL))?;
            dir::open_directory_cwd(&path).map_err(cannot)
        };
        let place = |place: &Option<Place>, name| match place {
            Some(Place::OfTarget) => of_target(name).transpose(),
            Some(Place::Path(path)) => named(path).map(Some),
            None => Ok(None),
        };
        let directory = place(&self.request.directory, c"cwd")?;
        let mut root = place(&self.request.root, c"root")?;
        let follows = self.request.kinds.is_none() && self.request.root.is_none();
        if root.is_none() && (follows || self.request.tools.is_some()) {
            // Not asked for by name, so a target whose root may not be opened is entered without it.
            root = of_target(c"root").and_then(Result::ok);
            let same = |root: &OwnedFd| {
                let theirs = dir::identify(root.as_fd()).map(|file| file.id);
                dir::open_path_cwd(c"/").and_then(|own| dir::identify(own.as_fd())).map(|file| file.id) == theirs
            };
            let elsewhere = self.wants(facts, NsKind::Mnt).is_some() || root.as_ref().is_some_and(|root| !same(root));
            if let Some(target) = &mut facts.target {
                target.root = elsewhere && root.is_some();
            }
        }
        held.root = root;
        held.directory = directory;
        Ok(())
    }
}

fn user_facts(uids: &[u8], gids: &[u8], setgroups: &[u8]) -> UserFacts {
    UserFacts {
        uids: IdMap::parse(uids),
        gids: IdMap::parse(gids),
        setgroups_denied: setgroups.trim_ascii_end() == b"deny",
    }
}

/// How far a user namespace is below the caller's own.
fn depth(owner: &OwnedFd, own: Option<NsId>) -> u32 {
    /// The kernel nests no deeper, `create_user_ns` in kernel/user_namespace.c.
    const MOST: u32 = 33;
    let mut depth = 0;
    let mut climbed: Option<OwnedFd> = None;
    loop {
        let here = climbed.as_ref().unwrap_or(owner).as_fd();
        if nsfs::inode(here).ok().flatten() == own || depth == MOST {
            return depth;
        }
        depth += 1;
        match nsfs::parent(here) {
            Ok(parent) => climbed = Some(parent),
            Err(_) => return depth,
        }
    }
}

fn copy_tree(facts: &Facts, held: &mut Held) -> Result<(), EnterError> {
    let Some(target) = &facts.target else { return Err(super::PlanError::NoProcess("--tools").into()) };
    let cannot =
        |error| EnterError::Failed(format!("cannot take a view of the mounts of process {}", target.pid), error);
    let Some(process) = &held.pidfd else {
        return Err(cannot(SysError::new(Call::PidfdOpen(target.pid), Errno::ENOSYS)));
    };
    let Some(root) = &held.root else {
        let call = Call::Openat(format!("/proc/{}/root", target.pid).into_bytes());
        return Err(cannot(SysError::new(call, Errno::EACCES)));
    };
    let mut kinds = KindSet::NONE.with(NsKind::Mnt);
    let other_user = target.namespaces[NsKind::User.index()] != facts.own[NsKind::User.index()];
    if other_user && !facts.caps.contains(CapSet::SYS_ADMIN) {
        kinds = kinds.with(NsKind::User);
    }
    held.tree = Some(inside::copy_tree(process.as_fd(), kinds, root.as_fd()).map_err(cannot)?);
    Ok(())
}

fn read_to_end(file: &OwnedFd) -> Vec<u8> {
    use std::io::Read;
    let mut content = Vec::new();
    if let Ok(file) = file.try_clone() {
        let _ = std::fs::File::from(file).take(MOST_BYTES as u64).read_to_end(&mut content);
    }
    content
}

/// Returns all capabilities that this kernel knows.
pub(super) fn all_caps() -> CapSet {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok();
    let last: u32 = last.and_then(|text| text.trim().parse().ok()).unwrap_or(40);
    CapSet::from_bits(u64::MAX >> (63 - last.min(63)))
}

/// Returns the label of a security context, unless it confines nothing.
fn confining(text: &[u8]) -> Option<String> {
    let text = String::from_utf8(text.to_vec()).ok()?;
    let label = text.trim_end_matches(['\0', '\n']);
    let label = label.rsplit_once(" (").map_or(label, |(label, _mode)| label);
    (!label.is_empty() && label != "unconfined").then(|| label.to_owned())
}
