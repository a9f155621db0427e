//! Looking at one process: everything that isolates it, read below one held directory of `/proc`, so that it is all of one process.
//!
//! What may not be seen is noted in the facts; only a process that ends meanwhile is an error. Links are read and not followed, but for
//! those that the kernel answers by itself (see [`descriptors`]). What is dangerous about the facts says [`weak`], which is pure.
//! Not here: finding the process (`select`), cgroups (`cgroup`), how it is shown (`render`).

#![forbid(unsafe_code)]

pub mod descriptors;
pub mod mounts;
mod namespaces;
mod network;
pub mod weak;

use std::ffi::CStr;
use std::fmt;
use std::os::fd::AsFd;

pub use weak::{Weakness, Weight, weaknesses};

use crate::cgroup::{Cgroups, Subject};
use crate::engine::identify;
use crate::model::isolation::{Identity, Ids, Label, Part, Powers, Unseen};
use crate::model::{CapSet, Isolation, NsKind, Pid};
use crate::proc::{ProcPid, ProcRoot, is_gone, parse};
use crate::sys::{Call, Errno, SysError, dir, errno_name};

/// Files of lines are read this far: somebody may have very many mounts.
const MOST_BYTES: usize = 1 << 22;
/// Mounts are read this far: that is more of them than the kernel lets anybody have, unless it is told to (`fs.mount-max`).
const MOST_MOUNT_BYTES: usize = 1 << 26;
/// A command line is read this far, where it is only to be shown.
const MOST_COMMAND_BYTES: usize = 4096;
/// A command line or an environment is read this far, where it is to be used again.
const MOST_ARGUMENT_BYTES: usize = 1 << 21;

/// What to look at beside what is always looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The whole command line and the environment, to start the same again.
    pub to_start_again: bool,
}

/// A process, with all that isolates it and with its cgroups.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The facts.
    pub facts: Isolation,
    /// Its cgroups; `None` where they may not be seen.
    pub subject: Option<Subject>,
}

/// Why a process could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InspectError {
    /// It has ended meanwhile.
    Gone(Pid),
    /// Not even what everybody may read of it can be read.
    Refused(Pid, SysError),
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InspectError::Gone(pid) => write!(f, "process {pid} has ended while it was looked at"),
            InspectError::Refused(pid, error) => write!(f, "cannot look at process {pid}: {error}"),
        }
    }
}

impl std::error::Error for InspectError {}

/// Looks at a process.
///
/// # Errors
/// Where it ends meanwhile, or `/proc` says nothing of it at all.
pub fn inspect(
    root: &ProcRoot,
    cgroups: &Cgroups,
    process: &ProcPid,
    options: Options,
) -> Result<Inspected, InspectError> {
    let mut looker = Looker { root, process, zombie: false, unseen: Vec::new() };
    let result = looker.all(cgroups, options);
    // Whatever was read, or refused, may be of a process that was about to go.
    let ended = match &result {
        Ok(found) => !found.facts.identity.zombie && has_ended(process),
        Err(_) => !process.is_alive(),
    };
    if ended { Err(InspectError::Gone(process.pid)) } else { result }
}

/// Says whether a process that was no zombie before is one by now, or has gone.
fn has_ended(process: &ProcPid) -> bool {
    match process.stat(&mut [0; 1024]) {
        Ok(stat) => matches!(stat.state, b'Z' | b'X'),
        Err(errno) => is_gone(errno),
    }
}

/// Reads one fact after the other, and notes what may not be seen.
pub(crate) struct Looker<'a> {
    root: &'a ProcRoot,
    process: &'a ProcPid,
    zombie: bool,
    unseen: Vec<Unseen>,
}

impl Looker<'_> {
    fn all(&mut self, cgroups: &Cgroups, options: Options) -> Result<Inspected, InspectError> {
        let (root, process) = (self.root, self.process);
        let mut buffer = [0; 1024];
        let refused = |file: &str, errno| {
            let name = root.name(&format!("{}/{file}", process.pid));
            InspectError::Refused(process.pid, SysError::new(Call::Openat(name), errno))
        };
        let stat = process.stat(&mut buffer).map_err(|errno| refused("stat", errno))?;
        let text = process.read_all(c"status", MOST_BYTES).map_err(|errno| refused("status", errno))?;
        let status = parse::status(&text);
        self.zombie = stat.state == b'Z';
        let command = self.command(options);
        let tty = (stat.tty != (0, 0)).then_some(stat.tty);
        let identity = Identity {
            pid: process.pid,
            thread_of: status.tgid.filter(|tgid| *tgid != process.pid),
            pids_inside: status.pids.clone(),
            ppid: stat.ppid,
            start_time_ticks: stat.start_time_ticks,
            state: stat.state,
            kernel: stat.kernel,
            zombie: self.zombie,
            nthreads: stat.nthreads,
            comm: stat.comm.to_vec(),
            arguments: command,
            environment: options.to_start_again.then(|| self.environment()).flatten(),
            exe: self.link(Part::Exe, c"exe"),
            session: stat.session,
            tty,
        };
        let namespaces = self.namespaces(stat.ppid);
        let own = |kind: NsKind| namespaces.iter().find(|namespace| namespace.kind == kind);
        let shares = |kind: NsKind| own(kind).and_then(|namespace| namespace.callers);
        let ids = self.ids(&status, shares(NsKind::User));
        let powers = self.powers(&status);
        let theirs = process.read_all(c"mountinfo", MOST_MOUNT_BYTES);
        let theirs = self.see(Part::Mounts, theirs);
        let callers = root.own_process().and_then(|own| own.read_all(c"mountinfo", MOST_MOUNT_BYTES));
        let callers = callers.unwrap_or_default();
        // Where the namespace may not be seen its mounts tell: their numbers are those of the whole host.
        let same = shares(NsKind::Mnt)
            .unwrap_or_else(|| theirs.as_deref().is_some_and(|theirs| mounts::has_common(theirs, &callers)));
        let mounts = theirs.as_deref().map(|text| mounts::mounts(text, if same { b"" } else { &callers }));
        let is_own_time = own(NsKind::Time).is_some_and(|namespace| !namespace.is_shared());
        let time_offsets = is_own_time.then(|| process.read_all(c"timens_offsets", 4096).ok()).flatten();
        let descriptors = match &theirs {
            _ if self.zombie || identity.kernel => None,
            None => None,
            Some(theirs) => self.descriptors(theirs, &callers, &namespaces),
        };
        let subject = Subject::of_process(cgroups, root, process);
        let subject = self.see(Part::Cgroup, subject.map_err(|error| error.errno));
        let cgroup = process.read_all(c"cgroup", MOST_BYTES).unwrap_or_default();
        let (mounts, mounts_hidden) = mounts.unzip();
        let mut facts = Isolation {
            root: self.link(Part::Root, c"root"),
            cwd: self.link(Part::Cwd, c"cwd"),
            mounts,
            mounts_callers: same,
            mounts_hidden: mounts_hidden.unwrap_or_default(),
            network: if self.zombie { None } else { self.network() },
            descriptors,
            rlimits: self.rlimits(),
            oom_score_adj: process.read(c"oom_score_adj", &mut [0; 32]).ok().and_then(number),
            time_offsets: time_offsets.as_deref().and_then(parse::timens_offsets),
            container: parse::cgroup(&cgroup).and_then(identify),
            identity,
            namespaces,
            ids,
            powers,
            unseen: Vec::new(),
        };
        self.unseen.sort_unstable();
        self.unseen.dedup();
        facts.unseen = std::mem::take(&mut self.unseen);
        Ok(Inspected { facts, subject })
    }

    /// Takes a fact, or notes why there is none. What has gone is no gap: whether the process has gone is asked in the end.
    fn see<T>(&mut self, part: Part, result: Result<T, Errno>) -> Option<T> {
        match result {
            Ok(value) => return Some(value),
            Err(errno) if is_gone(errno) || self.zombie => {}
            Err(errno) => self.unseen.push(Unseen { part, errno: Some(errno_name(errno)) }),
        }
        None
    }

    fn file(&mut self, part: Part, name: &CStr) -> Option<Vec<u8>> {
        let read = self.process.read_all(name, MOST_BYTES);
        self.see(part, read)
    }

    fn link(&mut self, part: Part, name: &CStr) -> Option<Vec<u8>> {
        let mut buffer = [0; 4096];
        let read = dir::readlink(self.process.as_fd(), name, &mut buffer).map(<[u8]>::to_vec);
        self.see(part, read)
    }

    fn command(&self, options: Options) -> Vec<Vec<u8>> {
        let most = if options.to_start_again { MOST_ARGUMENT_BYTES } else { MOST_COMMAND_BYTES };
        words(&self.process.read_all(c"cmdline", most).unwrap_or_default())
    }

    fn environment(&mut self) -> Option<Vec<Vec<u8>>> {
        let read = self.process.read_all(c"environ", MOST_ARGUMENT_BYTES);
        self.see(Part::Environment, read).map(|text| words(&text))
    }

    fn ids(&mut self, status: &parse::Status, callers: Option<bool>) -> Ids {
        let mut map = |name| self.file(Part::Maps, name).map(|text| parse::IdMap::parse(&text).ranges().to_vec());
        let (uid_map, gid_map) = (map(c"uid_map"), map(c"gid_map"));
        // Where the namespace may not be seen: nobody else's map says the same, unless it changes nothing.
        let own = |name| {
            let text = self.root.own_process().and_then(|own| own.read_all(name, MOST_BYTES)).ok()?;
            Some(parse::IdMap::parse(&text).ranges().to_vec())
        };
        let is_same = || uid_map.is_some() && uid_map == own(c"uid_map") && gid_map == own(c"gid_map");
        let setgroups = self.process.read_all(c"setgroups", 64).ok();
        Ids {
            uids: status.uids,
            gids: status.gids,
            groups: status.groups.clone(),
            // The initial user namespace has no parent: there the outside is the inside.
            outside_is_parent: callers.unwrap_or_else(is_same),
            uid_map,
            gid_map,
            setgroups_denied: setgroups.map(|text| text.trim_ascii() == b"deny"),
        }
    }

    fn powers(&mut self, status: &parse::Status) -> Powers {
        let last = dir::read_whole(self.root.as_fd(), c"sys/kernel/cap_last_cap", 64).ok();
        let last: Option<u32> = last.and_then(|text| crate::model::id::parse_decimal(text.trim_ascii()));
        let all = match last.filter(|last| *last < 64) {
            Some(last) => CapSet::from_bits(u64::MAX >> (63 - last)),
            None => CapSet::ALL,
        };
        let [inheritable, permitted, effective, bounding, ambient] = status.caps.unwrap_or_default();
        Powers {
            effective,
            permitted,
            inheritable,
            bounding,
            ambient,
            all,
            no_new_privs: status.no_new_privs,
            seccomp: status.seccomp,
            seccomp_filters: status.seccomp_filters,
            label: self.label(),
        }
    }

    /// Reads the label of the process, of the module that has one. The files of a module are there where it is built in, and say
    /// `EINVAL` where it is off.
    fn label(&mut self) -> Option<Label> {
        let files: [(&CStr, Option<&'static str>); 3] = [
            (c"attr/apparmor/current", Some("apparmor")),
            (c"attr/smack/current", Some("smack")),
            (c"attr/current", None),
        ];
        for (file, module) in files {
            match self.process.read_all(file, 4096) {
                Ok(text) if !text.trim_ascii().is_empty() => return Some(parse::label(&text, module)),
                Ok(_) | Err(Errno::EINVAL | Errno::ENOENT | Errno::ESRCH) => {}
                Err(errno) => {
                    let _: Option<()> = self.see(Part::Label, Err(errno));
                }
            }
        }
        None
    }

    fn rlimits(&self) -> Vec<crate::model::isolation::Rlimit> {
        let text = self.process.read_all(c"limits", 1 << 16).unwrap_or_default();
        let init = self.root.process(Pid(1)).and_then(|init| init.read_all(c"limits", 1 << 16));
        let init = init.ok().map(|text| parse::rlimits(&text));
        let mut all = parse::rlimits(&text);
        for limit in &mut all {
            let same = init.as_ref().and_then(|init| init.iter().find(|other| other.name == limit.name));
            limit.as_init = same.map(|other| (other.soft, other.hard) == (limit.soft, limit.hard));
        }
        all
    }
}

/// Takes words apart that end with NUL.
fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

fn number(text: &[u8]) -> Option<i32> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn whoever_ends_meanwhile_is_an_error_and_a_zombie_is_none() {
        let root = ProcRoot::open(std::path::Path::new("/proc")).expect("/proc");
        let cgroups = Cgroups::open(&root).expect("hierarchies");
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat");
        let process = root.process(Pid(child.id())).expect("it waits");
        let look = || inspect(&root, &cgroups, &process, Options::default());
        let found = look().expect("alive").facts;
        assert_eq!((found.identity.pid, found.identity.zombie), (Pid(child.id()), false));
        assert!(found.namespace(NsKind::Mnt).is_some_and(|namespace| namespace.callers == Some(true)));
        child.kill().expect("it is there");
        while !has_ended(&process) {
            std::thread::yield_now();
        }
        assert!(look().expect("not reaped yet").facts.identity.zombie);
        child.wait().expect("a child");
        assert_eq!(look().err(), Some(InspectError::Gone(process.pid)));
    }

    #[test]
    fn words_end_with_nul() {
        assert_eq!(words(b"sh\0-c\0\0"), [&b"sh"[..], b"-c", b""]);
        assert_eq!(words(b"cut"), [b"cut"]);
        assert!(words(b"").is_empty() && words(b"\0").is_empty());
    }
}
