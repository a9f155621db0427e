//! What the host says of a sandbox that is to be, and everything that has to be open for it. Nothing is changed, but for names that are
//! taken, which the kernel forgets with the last descriptor.
//!
//! Not here: what is made of it (`plan`).

mod places;

use std::borrow::Cow;
use std::ffi::{CString, OsString};
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use self::places::Places;
use super::compile::MOST_JOINS;
use super::error::{RootProblem, RunError};
use super::forbidden;
use super::ids::{self, Caller, IdPlan, Writer};
use super::limits::{self, CgroupPlan};
use super::request::{Net, Root, RunRequest, UserNs};
use super::steps::{Facts, MapWriter, Origin, RootFacts, UserFacts};
use super::users::{self, Account};
use crate::launch::facts::all_caps;
use crate::launch::surroundings::text;
use crate::model::{CapSet, KindSet, NsKind};
use crate::proc::ProcRoot;
use crate::scan;
use crate::select::TargetError;
use crate::select::target::{Resolved, resolve_kinds};
use crate::sys::calls::mounts::MountAttributes;
use crate::sys::cgroupfs::CGROUP2_SUPER_MAGIC;
use crate::sys::{Call, Errno, SysError, cred, dir, probe, signal, socket, tree};

/// What is open.
pub struct Held {
    /// Ids, and what holds them.
    pub ids: IdPlan,
    /// The cgroups that are to be made.
    pub cgroups: CgroupPlan,
    /// Trees of mounts.
    pub trees: Vec<OwnedFd>,
    /// The network namespace to be entered.
    pub net: Option<OwnedFd>,
    /// What belongs to the sandbox as long as it is there.
    pub locks: Vec<OwnedFd>,
    /// What is known of the caller.
    pub caller: Caller,
    /// The name.
    pub name: String,
    /// The command's user.
    pub account: Account,
    /// The root directory, if it is not the host's.
    pub root: Option<OwnedFd>,
    /// The standard streams that are terminals.
    pub terminals: [bool; 3],
}

/// The device nodes that every program expects.
pub(super) const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// What tells of the host, or lets it be changed, though it is in a /proc or /sys of one's own: what the OCI runtimes hide.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/interrupts",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// What is only to be read.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// No file of a root directory is read further than this.
const MOST_BYTES: usize = 1 << 20;

/// Returns what can be had of what was asked for, and what is to be said of that: where there can be no cgroup namespace, as in a sandbox of
/// an ordinary user's, one is as well done without. Nobody inside could mount cgroups then.
pub fn possible<'a>(proc: &ProcRoot, request: &'a RunRequest) -> (Cow<'a, RunRequest>, Option<String>) {
    const KNOB: &str = "user/max_cgroup_namespaces";
    if request.share.contains(NsKind::Cgroup) || forbidden::sysctl(proc, KNOB) != Some(0) {
        return (Cow::Borrowed(request), None);
    }
    let shared = RunRequest { share: request.share.with(NsKind::Cgroup), ..request.clone() };
    let note = "the path of its cgroup can be seen inside: user.max_cgroup_namespaces is 0";
    (Cow::Owned(shared), Some(note.to_owned()))
}

/// Looks at everything that the plan depends on.
///
/// # Errors
/// Where something that was asked for cannot be.
pub fn gather(proc: &ProcRoot, request: &RunRequest) -> Result<(Facts, Held), RunError> {
    if let Some(call) = probe::missing_mount_call() {
        return Err(RunError::MissingCall(call));
    }
    let caps =
        cred::effective_caps().map_err(|error| RunError::Failed("cannot read the own capabilities".into(), error))?;
    if request.userns == UserNs::Host && !caps.contains(CapSet::SYS_ADMIN) {
        return Err(RunError::NoPrivilege);
    }
    let streams = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let all = [("input", streams.0.as_fd()), ("output", streams.1.as_fd()), ("error", streams.2.as_fd())];
    for (name, stream) in all {
        // What is not open is none.
        if dir::is_directory(stream).unwrap_or(false) {
            let what = format!("cannot give the command its standard {name}: a directory leads out of the sandbox");
            return Err(RunError::Failed(what, SysError::new(Call::Fstat, Errno::EISDIR)));
        }
    }
    let caller = Caller::read(proc, Path::new("/etc"), &request.userns)?;
    let ids = ids::choose(&request.userns, &caller)?;
    let name = request.name.clone().unwrap_or_else(|| std::process::id().to_string());
    let mut locks = Vec::new();
    if let Some(name) = &request.name {
        let uid = nix::unistd::geteuid();
        match socket::take_name(format!("nsx/run/{uid}/{name}").as_bytes()) {
            Ok(Some(lock)) => locks.push(lock),
            Ok(None) => return Err(RunError::NameTaken(name.clone())),
            Err(error) => return Err(RunError::Failed(format!("cannot call it {name}"), error)),
        }
    }
    let cannot = |error| RunError::Failed("cannot look at the cgroups".to_owned(), error);
    let leaf = limits::cgroup_name(&name);
    // Whose the files of a cgroup are may write to them, and with that user inside there, so may the command.
    let inner = request.userns == UserNs::Host || ids.has_outside(caller.euid);
    let cgroup_plan = if request.limits.is_empty() {
        CgroupPlan::none(&leaf)?
    } else {
        limits::prepare(&limits::open(proc, &request.limits).map_err(cannot)?, &request.limits, &leaf, inner)?
    };
    if cgroup_plan.are_v1().len() > MOST_JOINS {
        return Err(RunError::TooMuch(MOST_JOINS));
    }
    let terminals = if request.detach {
        [false; 3]
    } else {
        [std::io::stdin().is_terminal(), std::io::stdout().is_terminal(), std::io::stderr().is_terminal()]
    };
    let mut held = Held {
        ids,
        cgroups: cgroup_plan,
        trees: Vec::new(),
        net: None,
        locks,
        caller,
        name,
        account: Account::default(),
        root: None,
        terminals,
    };
    let privileged = caps.contains(CapSet::SYS_ADMIN);
    let mut gathering = Gathering { request, privileged, notes: held.ids.notes.clone(), held: &mut held };
    gathering.net(proc)?;
    let root = gathering.root()?;
    let user = gathering.user()?;
    let private = gathering.private(&user);
    let Places { root, binds, tmpfs } = gathering.places(root, &private)?;
    let make_home = gathering.home(&user, &private);
    let directories = gathering.directories(&user);
    let sys = gathering.has_directory("/sys");
    let sensitive = gathering.sensitive(sys);
    let notes = gathering.notes;
    let map_line = |map: &[[u32; 3]]| {
        map.iter().map(|[inside, outside, count]| format!("{inside} {outside} {count}\n")).collect::<String>()
    };
    // What a user namespace above denies is denied below, too.
    let above = || {
        !held.caller.uids.is_everything()
            && std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny"))
    };
    let setgroups_denied = held.ids.setgroups_denied || above();
    let facts = Facts {
        maps: match &held.ids.writer {
            Writer::Nobody => MapWriter::Nobody,
            Writer::Itself => MapWriter::Itself { uids: map_line(&held.ids.uids), gids: map_line(&held.ids.gids) },
            Writer::Nsx | Writer::Helpers { .. } => MapWriter::Nsx,
        },
        setgroups_denied,
        tty_group: held.ids.has_gid(5) && !held.ids.setgroups_denied,
        own_caps: caps,
        limits: held.cgroups.steps().into_iter().map(|step| step.why).collect(),
        cgroups: held.cgroups.are_v1(),
        clone3: probe::has_clone3(),
        maker: held.ids.maker(&held.caller).unwrap_or_default(),
        owns_cgroups: inner,
        keyrings: probe::has_keyrings(),
        tree_namespaces: probe::has_tree_namespaces(),
        root,
        binds,
        tmpfs,
        maps_owners: !held.trees.is_empty() && held.ids.writer == Writer::Nsx,
        devices: DEVICES.into_iter().filter(|name| Path::new("/dev").join(name).exists()).collect(),
        sensitive,
        private,
        make_home,
        sys,
        cgroup2: is_cgroup2(),
        user,
        oom_score_adj: match request.oom_score_adj {
            Some(_) => std::fs::read_to_string("/proc/self/oom_score_adj")
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0),
            None => 0,
        },
        hard_limits: request.rlimits.iter().map(|rlimit| signal::hard_limit(rlimit.resource)).collect(),
        all_caps: all_caps(),
        terminal: terminals.contains(&true),
        directories,
        notes,
    };
    Ok((facts, held))
}

struct Gathering<'a> {
    request: &'a RunRequest,
    /// Whether nsx may copy mounts itself.
    privileged: bool,
    notes: Vec<String>,
    held: &'a mut Held,
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

impl Gathering<'_> {
    fn net(&mut self, proc: &ProcRoot) -> Result<(), RunError> {
        let Net::Target(target) = &self.request.net else { return Ok(()) };
        let cannot = |error| RunError::Failed("cannot open the network namespace".to_owned(), error);
        let opened = match resolve_kinds(proc, target, KindSet::NONE.with(NsKind::Net))? {
            Resolved::Process(process, _) => process
                .open_ns(c"ns/net")
                .map_err(|errno| cannot(SysError::new(Call::Openat(b"ns/net".to_vec()), errno)))?,
            Resolved::Namespace(Some(NsKind::Net) | None, _, Some(opened)) => opened,
            Resolved::Namespace(Some(NsKind::Net) | None, id, None) => {
                scan::open(proc, Some(NsKind::Net), id)
                    .map_err(cannot)?
                    .ok_or(TargetError::NoNamespace(Some(NsKind::Net), id))?
                    .1
            }
            Resolved::Namespace(Some(kind), ..) => return Err(RunError::NoNet(kind)),
        };
        self.held.net = Some(opened);
        Ok(())
    }

    /// Opens the root directory, and makes sure that it can be one.
    fn root(&mut self) -> Result<RootFacts, RunError> {
        let Root::Directory { path, read_only } = &self.request.root else {
            return Ok(RootFacts::Tree(Origin::Path(b"/".to_vec())));
        };
        let problem = |why| RunError::Root { path: path.clone(), why };
        let refused = |errno| problem(RootProblem::Refused(SysError::new(Call::Openat(bytes(path)), errno)));
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let name = text(absolute.as_os_str())?;
        match dir::open_directory_cwd(&name) {
            Ok(root) => self.held.root = Some(root),
            Err(Errno::ENOTDIR) => return Err(problem(RootProblem::NoDirectory)),
            Err(errno) => return Err(refused(errno)),
        }
        for needed in ["/proc", "/dev"] {
            if !self.has_directory(needed) {
                return Err(problem(RootProblem::Lacks(needed)));
            }
        }
        Ok(RootFacts::Tree(self.take(&absolute, *read_only)?))
    }

    /// Copies the mounts at a path, if nsx may; else the first process will.
    fn take(&mut self, path: &Path, read_only: bool) -> Result<Origin, RunError> {
        let name = text(path.as_os_str())?;
        let failed = |error| RunError::Source(path.to_path_buf(), error);
        if !self.privileged {
            return match dir::open_path_cwd(&name) {
                Ok(_) => Ok(Origin::Path(name.into_bytes())),
                Err(errno) => Err(failed(SysError::new(Call::Openat(name.into_bytes()), errno))),
            };
        }
        let attributes = MountAttributes { read_only, nosuid: self.request.no_new_privs, nodev: true, noexec: false };
        self.held.trees.push(tree::copy_tree(&name, attributes).map_err(failed)?);
        Ok(Origin::Held(self.held.trees.len() - 1))
    }

    /// Says whether the root directory has this directory, and not a link in its place.
    fn has_directory(&self, path: &str) -> bool {
        match &self.held.root {
            None => std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()),
            Some(root) => {
                let name = CString::new(path.trim_start_matches('/')).unwrap_or_default();
                dir::open_dir_no_follow(root.as_fd(), &name).is_ok()
            }
        }
    }

    /// Reads a file of the root directory.
    fn read(&self, path: &str) -> Vec<u8> {
        let caller = &self.held.caller;
        match &self.held.root {
            None if path == "/etc/passwd" && !caller.passwd.is_empty() => caller.passwd.clone(),
            None if path == "/etc/group" && !caller.group.is_empty() => caller.group.clone(),
            None => std::fs::read(path).unwrap_or_default(),
            Some(root) => {
                let name = CString::new(path).unwrap_or_default();
                dir::read_in_root(root.as_fd(), &name, MOST_BYTES).unwrap_or_default()
            }
        }
    }

    fn user(&mut self) -> Result<UserFacts, RunError> {
        let outside = matches!(self.request.userns, UserNs::Keep | UserNs::Host);
        let own = outside.then(|| (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()));
        let (passwd, group) = (self.read("/etc/passwd"), self.read("/etc/group"));
        let account = match &self.request.user {
            Some(user) => users::account(user, &passwd, &group)?,
            None => {
                let (uid, gid) = own.or(self.held.ids.maker(&self.held.caller)).unwrap_or_default();
                let known = crate::proc::accounts::passwd(&passwd).find(|line| line.uid == uid);
                let os = |bytes: &[u8]| Some(OsString::from_vec(bytes.to_vec())).filter(|text| !text.is_empty());
                Account {
                    uid,
                    gid,
                    groups: Vec::new(),
                    name: known.and_then(|line| os(line.name)),
                    home: known.and_then(|line| os(line.home)),
                }
            }
        };
        if self.request.userns != UserNs::Host {
            if !self.held.ids.has_uid(account.uid) {
                return Err(RunError::NoSuchId { what: "user", id: account.uid });
            }
            if let Some(&id) = [account.gid].iter().chain(&account.groups).find(|gid| !self.held.ids.has_gid(**gid)) {
                return Err(RunError::NoSuchId { what: "group", id });
            }
        }
        let home = account.home.clone().map(OsString::into_vec).filter(|home| home.starts_with(b"/"));
        let user = UserFacts {
            uid: account.uid,
            gid: account.gid,
            groups: account.groups.clone(),
            home: home.unwrap_or_else(|| b"/".to_vec()),
        };
        self.held.account = account;
        Ok(user)
    }

    fn directories(&self, user: &UserFacts) -> Vec<Vec<u8>> {
        if let Some(directory) = &self.request.directory {
            return vec![bytes(directory)];
        }
        let own = std::env::current_dir().ok().filter(|_| self.held.root.is_none());
        let mut all: Vec<Vec<u8>> = own.map(|own| bytes(&own)).into_iter().collect();
        if !all.contains(&user.home) && user.home != b"/" {
            all.push(user.home.clone());
        }
        all
    }
}

/// Says whether the host has v2 where programs look for it.
fn is_cgroup2() -> bool {
    let opened = dir::open_path_cwd(c"/sys/fs/cgroup");
    opened.and_then(|opened| dir::fs_magic(opened.as_fd())).is_ok_and(|magic| magic == CGROUP2_SUPER_MAGIC)
}
