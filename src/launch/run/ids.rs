//! Which ids inside a sandbox's user namespace are which ids outside.
//!
//! `Caller::read` finds out what there is to choose from, `choose` decides, `write` has the kernel know. Nothing has been made before
//! the decision, so what cannot be is an error that costs nothing.
//!
//! Not here: making the user namespace, why the kernel refuses one (`run::forbidden`), whom the command runs as (`run::users`).
//! See user_namespaces(7), subuid(5), newuidmap(1).

mod caller;
mod check;
mod private;
mod subordinate;
mod write;

use std::ffi::CStr;
use std::fmt;
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

pub use caller::{Caller, MAPPING};
pub use check::{MapError, Problem};
pub use write::{WriteError, write};

use super::UserNs;
use crate::model::CapSet;
use crate::sys::SysError;

/// Which of the two kinds of id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Of users.
    Uids,
    /// Of groups.
    Gids,
}

impl Ids {
    /// Returns the name of one: `uid` or `gid`.
    pub const fn name(self) -> &'static str {
        match self {
            Ids::Uids => "uid",
            Ids::Gids => "gid",
        }
    }

    /// Returns the file that says who may map which.
    pub const fn subordinate(self) -> &'static str {
        match self {
            Ids::Uids => "/etc/subuid",
            Ids::Gids => "/etc/subgid",
        }
    }

    /// Returns the program that maps them for an ordinary user.
    pub const fn helper(self) -> &'static str {
        match self {
            Ids::Uids => "newuidmap",
            Ids::Gids => "newgidmap",
        }
    }
}

/// Who writes the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// There is no user namespace.
    Nobody,
    /// The new process itself, see [`IdPlan::files`]; [`write()`] does it, too. It has to be dumpable, else its files in `/proc` are root's.
    Itself,
    /// nsx, by its capabilities.
    Nsx,
    /// newuidmap(1) and newgidmap(1). The new process has to be dumpable, else they take it for somebody else's.
    Helpers {
        /// Where the first is.
        newuidmap: PathBuf,
        /// Where the second is.
        newgidmap: PathBuf,
    },
}

/// What was decided.
#[derive(Debug)]
pub struct IdPlan {
    /// Of users: id inside, id outside, how many; empty without a user namespace.
    pub uids: Vec<[u32; 3]>,
    /// Of groups.
    pub gids: Vec<[u32; 3]>,
    /// Who writes them.
    pub writer: Writer,
    /// Whether setgroups(2) is for nobody inside.
    pub setgroups_denied: bool,
    /// What a user should know: at most one line each.
    pub notes: Vec<String>,
    /// What holds the ids for this sandbox; whoever keeps the sandbox alive keeps these open. They are closed at execve(2).
    pub locks: Vec<OwnedFd>,
}

impl IdPlan {
    /// Returns what a uid inside is outside; without a user namespace, itself.
    pub fn uid_outside(&self, uid: u32) -> Option<u32> {
        self.outside(&self.uids, uid)
    }

    /// Returns what a gid inside is outside; without a user namespace, itself.
    pub fn gid_outside(&self, gid: u32) -> Option<u32> {
        self.outside(&self.gids, gid)
    }

    /// Returns the uid and gid inside of whoever makes the sandbox there: root's, or, where that is not mapped, the caller's.
    pub fn maker(&self, caller: &Caller) -> Option<(u32, u32)> {
        let one = |map: &[[u32; 3]], own: u32| match self.outside(map, 0) {
            Some(_) => Some(0),
            None => map.iter().find_map(|&[inside, outside, count]| {
                let offset = own.checked_sub(outside).filter(|offset| *offset < count)?;
                inside.checked_add(offset)
            }),
        };
        Some((one(&self.uids, caller.euid)?, one(&self.gids, caller.egid)?))
    }

    /// Says whether there is such a uid inside.
    pub fn has_uid(&self, uid: u32) -> bool {
        self.uid_outside(uid).is_some()
    }

    /// Says whether somebody inside is this uid outside.
    pub fn has_outside(&self, uid: u32) -> bool {
        let is_in = |&[_, outside, count]: &[u32; 3]| uid.checked_sub(outside).is_some_and(|offset| offset < count);
        self.writer == Writer::Nobody || self.uids.iter().any(is_in)
    }

    /// Says whether there is such a gid inside.
    pub fn has_gid(&self, gid: u32) -> bool {
        self.gid_outside(gid).is_some()
    }

    /// Returns the files of `/proc/PID` that make the maps, and their texts, in the order in which they have to be written, each by a
    /// single write(2).
    pub fn files(&self) -> Vec<(&'static CStr, Vec<u8>)> {
        let mut files: Vec<(&CStr, Vec<u8>)> = Vec::new();
        if self.writer == Writer::Nobody {
            return files;
        }
        if self.setgroups_denied {
            // Before gid_map, or the kernel refuses that to who has no CAP_SETGID outside: a group can also take rights away.
            files.push((c"setgroups", b"deny".to_vec()));
        }
        files.push((c"gid_map", render(&self.gids).into_bytes()));
        files.push((c"uid_map", render(&self.uids).into_bytes()));
        files
    }

    fn outside(&self, map: &[[u32; 3]], id: u32) -> Option<u32> {
        if self.writer == Writer::Nobody {
            return Some(id);
        }
        map.iter().find_map(|&[inside, outside, count]| {
            let offset = id.checked_sub(inside).filter(|offset| *offset < count)?;
            outside.checked_add(offset)
        })
    }
}

/// Returns a map as the kernel reads it.
fn render(map: &[[u32; 3]]) -> String {
    map.iter().fold(String::new(), |mut text, [inside, outside, count]| {
        let _ = writeln!(text, "{inside} {outside} {count}");
        text
    })
}

/// Why there is no choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdError {
    /// A file that says what there is cannot be read.
    Read(SysError),
    /// The name that holds a range cannot be taken.
    Lock(SysError),
    /// The caller's own id does not exist in its user namespace, where the kernel then makes no other.
    Unmapped(Ids, u32),
    /// The caller is root, and may map no ids but its own: root inside would be root outside. The set is what it lacks.
    RootAlone(CapSet),
    /// Every private range is somebody's.
    NoFreeRange {
        /// How many ranges there are.
        ranges: u32,
        /// How many of them are held by a sandbox, or by somebody who passes for one.
        held: u32,
    },
    /// A map that was asked for cannot be.
    Map(MapError),
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdError::Read(error) => write!(f, "cannot tell which ids there are: {error}"),
            IdError::Lock(error) => write!(f, "cannot take a range of ids: {error}"),
            IdError::Unmapped(ids, id) => {
                let name = ids.name();
                write!(
                    f,
                    "cannot make a user namespace: {name} {id} has no mapping in the caller's own (/proc/self/{name}_map)"
                )
            }
            IdError::RootAlone(lacks) => {
                write!(
                    f,
                    "cannot map root inside to anybody but root outside: the caller lacks the capabilities {lacks}"
                )
            }
            IdError::NoFreeRange { ranges, held } => write!(
                f,
                "no range of {} ids is free: of {ranges}, {held} are held (abstract sockets nsx/ids/…, systemd), and the others have ids of \
                 /etc/passwd, /etc/group, /etc/subuid or /etc/subgid in them",
                private::SIZE
            ),
            IdError::Map(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IdError {}

/// Decides. Pure, but for a range that is taken where one is private.
///
/// # Errors
/// What was asked for cannot be, or nothing can.
pub fn choose(userns: &UserNs, caller: &Caller) -> Result<IdPlan, IdError> {
    choose_with(userns, caller, private::random(), &mut private::take)
}

fn choose_with(userns: &UserNs, caller: &Caller, random: u32, take: private::Take<'_>) -> Result<IdPlan, IdError> {
    if *userns == UserNs::Host {
        return Ok(plan(Vec::new(), Vec::new(), Writer::Nobody));
    }
    for (ids, map, id) in [(Ids::Uids, &caller.uids, caller.euid), (Ids::Gids, &caller.gids, caller.egid)] {
        if !map.has(id) {
            return Err(IdError::Unmapped(ids, id));
        }
    }
    match userns {
        UserNs::Map { uids, gids } => check::map(uids, gids, caller).map_err(IdError::Map),
        UserNs::Keep => {
            let mut plan = alone(caller, caller.euid, caller.egid);
            if caller.euid == 0 && caller.uids.is_everything() {
                plan.notes.push("root inside is root outside".to_owned());
            }
            Ok(plan)
        }
        _ if caller.may_map() => privileged(caller, random, take),
        _ if caller.euid == 0 && caller.uids.is_everything() => Err(IdError::RootAlone(MAPPING & !caller.caps)),
        _ if caller.euid == 0 => {
            let lacks = MAPPING & !caller.caps;
            let why = format!("root of this user namespace lacks the capabilities {lacks}");
            Ok(IdPlan { notes: vec![only_root(&why)], ..alone(caller, 0, 0) })
        }
        UserNs::Auto => Ok(subordinate::plan(caller).unwrap_or_else(|why| {
            let mut plan = alone(caller, 0, 0);
            plan.notes.push(only_root(&why));
            plan
        })),
        UserNs::Root | UserNs::Host => Ok(alone(caller, 0, 0)),
    }
}

fn plan(uids: Vec<[u32; 3]>, gids: Vec<[u32; 3]>, writer: Writer) -> IdPlan {
    IdPlan { uids, gids, writer, setgroups_denied: false, notes: Vec::new(), locks: Vec::new() }
}

/// The caller's id and no other, as these inside.
fn alone(caller: &Caller, uid: u32, gid: u32) -> IdPlan {
    let (uids, gids) = (vec![[uid, caller.euid, 1]], vec![[gid, caller.egid, 1]]);
    if caller.may_map() {
        return plan(uids, gids, Writer::Nsx);
    }
    IdPlan { setgroups_denied: true, ..plan(uids, gids, Writer::Itself) }
}

fn only_root(why: &str) -> String {
    format!("only id 0 exists inside, and files of others show as nobody's: {why}")
}

/// For a caller who may map what it likes.
fn privileged(caller: &Caller, random: u32, take: private::Take<'_>) -> Result<IdPlan, IdError> {
    if let Some((base, lock)) = private::pick(caller, random, take)? {
        let map = vec![[0, base, private::SIZE]];
        return Ok(IdPlan { locks: vec![lock], ..plan(map.clone(), map, Writer::Nsx) });
    }
    // A namespace without room for another range: the ids that it has itself. Its own id 0 takes CAP_SETFCAP since Linux 5.12.
    let [uids, gids] = [&caller.uids, &caller.gids]
        .map(|map| map.ranges().iter().map(|&[id, _, count]| [id, id, count]).collect::<Vec<_>>());
    if caller.caps.contains(CapSet::SETFCAP) || !caller.uids.has(0) {
        let note = "root inside is root of this user namespace, which has no other range of 65536 ids".to_owned();
        return Ok(IdPlan { notes: vec![note], ..plan(uids, gids, Writer::Nsx) });
    }
    let (uids, gids) = (without_root(uids), without_root(gids));
    if uids.is_empty() || gids.is_empty() {
        return Err(IdError::RootAlone(CapSet::SETFCAP));
    }
    let note = "ids inside are one less than in this user namespace: mapping its root takes the capability setfcap";
    Ok(IdPlan { notes: vec![note.to_owned()], ..plan(uids, gids, Writer::Nsx) })
}

/// Leaves id 0 outside out, and has those inside start at 0 all the same.
fn without_root(map: Vec<[u32; 3]>) -> Vec<[u32; 3]> {
    let left = map.into_iter().filter_map(|[_, outside, count]| {
        if outside == 0 { (count > 1).then_some([1, count - 1]) } else { Some([outside, count]) }
    });
    let mut next = 0;
    left.map(|[outside, count]| {
        let line = [next, outside, count];
        next += count;
        line
    })
    .collect()
}

#[cfg(test)]
mod tests;
