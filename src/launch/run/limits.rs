//! The cgroups of a sandbox: where they are to be made, what is written to them, and whether that can be had.
//!
//! Each controller that is asked for has its home in one hierarchy, so that there may be several cgroups of one name. On v1 they are made
//! in those that the caller is in. On v2 a cgroup with processes hands on no controllers, so there it is the one above the caller's, unless
//! the caller is in the root. All of that is decided here and nothing is changed: [`CgroupPlan::steps`] prints what [`CgroupPlan::make`]
//! does.
//!
//! Where the owner of its files exists inside the sandbox, a command could lift its own limits: a new cgroup namespace begins at the cgroup
//! that the caller is in, and its hierarchies may be mounted. So the processes are in a cgroup without limits then, inside the one that has
//! them, and that is out of reach. Not here: what cgroups are (`cgroup`), putting processes into them (`launch`), words for users (`cmd::advice`). See cgroups(7).

mod check;
mod made;
mod plan;

use std::ffi::CString;
use std::fmt;
use std::path::{Component, Path, PathBuf};

pub use made::{Made, MadeGroup};
pub use plan::{CgroupPlan, INNER, Step, cgroup_name};

use plan::{Act, Group, Why};

use super::request::Limits;
use crate::cgroup::at::{Cgroup, parent_path};
use crate::cgroup::change::make::{self, Wanted};
use crate::cgroup::change::room::{self, HandOn};
use crate::cgroup::change::{Asked, Cause, ChangeError, Intent, set, translate, value::Value};
use crate::cgroup::{Cgroups, Files, Home, ladder};
use crate::model::cgroup::{Controller, Version};
use crate::proc::ProcRoot;
use crate::select::TargetError;
use crate::select::cgroup::by_path;
use crate::sys::{Errno, SysError};

/// Why a sandbox cannot have its limits.
#[derive(Debug)]
pub enum LimitError {
    /// A cgroup cannot be made, or a knob not set.
    Change(ChangeError),
    /// The cgroup to make it in is none.
    Parent(TargetError),
    /// There is `..` in the path of the cgroup to make it in.
    ParentClimbs(PathBuf),
    /// With so little nothing can start.
    TooLittle {
        /// The knob.
        knob: String,
        /// What was asked for.
        asked: u64,
        /// The least there is.
        least: u64,
        /// Of what, and why.
        why: &'static str,
    },
    /// Processors or memory nodes were asked for that are not there, or not for this cgroup.
    Beyond {
        /// The knob.
        knob: String,
        /// What was asked for.
        asked: String,
        /// The cgroup above.
        path: Vec<u8>,
        /// What that has.
        has: String,
    },
    /// A system call failed that has nothing to do with a limit.
    System(SysError),
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitError::Change(error) => error.fmt(f),
            LimitError::Parent(error) => error.fmt(f),
            LimitError::ParentClimbs(path) => {
                write!(f, "no cgroup can be made in {}: there is .. in it", path.display().to_string().escape_debug())
            }
            LimitError::TooLittle { knob, asked, least, why } => {
                write!(f, "cannot set {knob} to {asked}: {why}, {least} at least")
            }
            LimitError::Beyond { knob, asked, path, has } => {
                let path = String::from_utf8_lossy(path);
                write!(f, "cannot set {knob} to {asked}: {} has {has}", path.escape_debug())
            }
            LimitError::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LimitError {}

impl From<ChangeError> for LimitError {
    fn from(error: ChangeError) -> LimitError {
        LimitError::Change(error)
    }
}

/// Opens the hierarchies that these limits need: all of them where a cgroup to make it in is named, as that may be a directory of any.
///
/// # Errors
/// Where `/proc/self` cannot be read.
pub fn open(proc: &ProcRoot, limits: &Limits) -> Result<Cgroups, SysError> {
    let controllers: Option<Vec<Controller>> = limits.asked.iter().map(Asked::controller).collect();
    let all = controllers.filter(|all| !all.is_empty() && limits.parent.is_none());
    Cgroups::open_for(proc, all.as_deref())
}

/// Decides which cgroups are made for these limits, where, and what is written to them. Nothing is changed. Without limits there is none.
/// `inner` is whether who makes them exists inside the sandbox: then processes are in a cgroup inside that with the limits.
///
/// # Errors
/// What cannot be had, and what is in the way.
pub fn prepare(cgroups: &Cgroups, limits: &Limits, name: &str, inner: bool) -> Result<CgroupPlan, LimitError> {
    let mut plan = CgroupPlan::none(name)?;
    if limits.is_empty() {
        return Ok(plan);
    }
    if inner {
        plan.have_inner();
    }
    check::amounts(&limits.asked)?;
    let parent = limits.parent.as_deref().map(|path| parent(cgroups, path)).transpose()?;
    let (parent, only) = parent.map_or((None, None), |(path, only)| (Some(path), only));
    // As it is called in messages before it is known where it will be.
    let above = parent.as_deref().unwrap_or(b"/");
    let path = below(above, &plan.name);
    set::check(&limits.asked, &path)?;
    let wanted =
        Wanted { path: path.clone(), only, parents: false, controllers: Vec::new(), asked: limits.asked.clone() };
    make::check_path(&path).map_err(|cause| ChangeError::new(Intent::Create, &path, cause, None))?;
    let hierarchies = make::hierarchies(cgroups, &wanted).map_err(|cause| homeless(&wanted, cause))?;
    for hierarchy in hierarchies {
        let version = cgroups.hierarchies[hierarchy].hierarchy.version;
        let asked = asked_of(cgroups, hierarchy, &limits.asked, &plan);
        let (found, hand_on) = match &parent {
            Some(parent) => fits(cgroups, hierarchy, parent, &plan.name, &asked)?,
            None => choose(cgroups, hierarchy, version, &plan.name, &asked)?,
        };
        add(&mut plan, found, hand_on, asked)?;
    }
    Ok(plan)
}

/// Finds the cgroup that a user has named to make one in.
fn parent(cgroups: &Cgroups, path: &Path) -> Result<(Vec<u8>, Option<usize>), LimitError> {
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(LimitError::ParentClimbs(path.to_owned()));
    }
    by_path(cgroups, path).map_err(LimitError::Parent)
}

fn below(above: &[u8], name: &CString) -> Vec<u8> {
    let above = if above == b"/" { b"" } else { above };
    [above, b"/", name.to_bytes()].concat()
}

/// Names the knob for which there is no hierarchy.
fn homeless(wanted: &Wanted, cause: Cause) -> ChangeError {
    let of_cause = match &cause {
        Cause::Homeless(controller, _) | Cause::Elsewhere { controller, .. } => Some(*controller),
        _ => None,
    };
    let knob = wanted.asked.iter().find(|asked| asked.controller().is_some() && asked.controller() == of_cause);
    let intent = knob.map_or(Intent::Create, |asked| Intent::Set(asked.knob.clone()));
    ChangeError::new(intent, &wanted.path, cause, None)
}

/// Returns what is asked of one hierarchy: the knobs of its controllers; what belongs to no controller goes to v2, or else to the first.
fn asked_of(cgroups: &Cgroups, hierarchy: usize, asked: &[Asked], plan: &CgroupPlan) -> Vec<Asked> {
    let is_v2 = cgroups.hierarchies[hierarchy].hierarchy.version == Version::V2;
    let is_first = plan.groups.is_empty();
    let is_home = |asked: &&Asked| match asked.controller() {
        Some(controller) => cgroups.home(controller) == Home::Hierarchy(hierarchy),
        None => is_first,
    };
    let mut all: Vec<Asked> = asked.iter().filter(is_home).cloned().collect();
    // Half a sandbox is no use to anybody: where one of its processes is killed for want of memory, all are.
    const GROUP: &str = "memory.oom.group";
    let memory = all.iter().any(|asked| asked.controller() == Some(Controller::Memory));
    if is_v2 && memory && all.iter().all(|asked| asked.knob != GROUP) {
        all.push(Asked { knob: GROUP.to_owned(), value: Value::Flag(true) });
    }
    all
}

fn controllers(asked: &[Asked]) -> Vec<Controller> {
    let mut all: Vec<Controller> = asked.iter().filter_map(Asked::controller).collect();
    all.sort();
    all.dedup();
    all
}

/// Chooses the cgroup to make one in, by where the caller is.
fn choose<'a>(
    cgroups: &'a Cgroups,
    hierarchy: usize,
    version: Version,
    name: &CString,
    asked: &[Asked],
) -> Result<(Cgroup<'a>, Vec<HandOn<'a>>), LimitError> {
    let paths = ladder::paths(cgroups, &cgroups.own);
    let own = paths.into_iter().find(|(index, _)| *index == hierarchy).map_or_else(|| b"/".to_vec(), |(_, own)| own);
    let mut failed = None;
    for candidate in candidates(&own, cgroups.hierarchies[hierarchy].top_path(), version) {
        match fits(cgroups, hierarchy, candidate, name, asked) {
            Ok(found) => return Ok(found),
            // The first is where it belongs, so what is in the way there is what is to be seen to.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.unwrap_or(LimitError::System(SysError::new(crate::sys::Call::Openat(own), Errno::ENOENT))))
}

/// Returns the paths of cgroups to make one in, the best first.
fn candidates<'p>(own: &'p [u8], top: &[u8], version: Version) -> Vec<&'p [u8]> {
    let above = parent_path(own).filter(|_| own != top);
    match (version, above) {
        (Version::V2, Some(above)) => vec![above, own],
        _ => vec![own],
    }
}

/// Opens a cgroup, if one with these knobs can be made in it.
fn fits<'a>(
    cgroups: &'a Cgroups,
    hierarchy: usize,
    parent: &[u8],
    name: &CString,
    asked: &[Asked],
) -> Result<(Cgroup<'a>, Vec<HandOn<'a>>), LimitError> {
    let path = below(parent, name);
    let parent = room::open_parent(cgroups, hierarchy, parent, &path)?;
    let hand_on = room::room(&parent, &path, &controllers(asked))?;
    check::lists(&parent, asked)?;
    Ok((parent, hand_on))
}

/// Adds a cgroup to the plan, with all that is done for it.
fn add(
    plan: &mut CgroupPlan,
    parent: Cgroup<'_>,
    hand_on: Vec<HandOn<'_>>,
    asked: Vec<Asked>,
) -> Result<(), LimitError> {
    let index = plan.groups.len();
    for HandOn { cgroup, controller } in hand_on {
        plan.acts.push(Act::HandOn { group: index, at: plan::Above::new(cgroup), controller });
    }
    plan.acts.push(Act::Make(index));
    let path = below(&parent.path, &plan.name);
    let inherited = inherited(&parent, &asked);
    let limits = set::writes(&asked, &fresh(&parent), &path)?;
    let inside = if plan.inner.is_some() { inside(parent.version(), &inherited, &limits) } else { Vec::new() };
    // There has to be room for the cgroup inside.
    let (late, limits): (Vec<_>, Vec<_>) =
        limits.into_iter().partition(|write| plan.inner.is_some() && write.knob.starts_with("cgroup.max."));
    let act = |why| move |write| Act::Write { group: index, write, why };
    plan.acts.extend(inherited.into_iter().map(act(Why::Inherited)));
    plan.acts.extend(limits.into_iter().map(act(Why::Limit)));
    plan.acts.extend(plan.inner.is_some().then_some(Act::MakeInner(index)));
    plan.acts.extend(inside.into_iter().map(|(write, why)| act(why)(write)));
    plan.acts.extend(late.into_iter().map(act(Why::Limit)));
    plan.groups.push(Group::new(parent, path, &plan.name));
    Ok(())
}

/// On v1 a new cpuset has no processors and no memory nodes, and takes no process: it gets those of the cgroup above.
fn inherited(parent: &Cgroup<'_>, asked: &[Asked]) -> Vec<translate::Write> {
    let hierarchy = &parent.opened().hierarchy;
    if hierarchy.version == Version::V2 || !hierarchy.controllers.contains(&Controller::Cpuset) {
        return Vec::new();
    }
    let missing = ["cpuset.cpus", "cpuset.mems"].into_iter().filter(|file| asked.iter().all(|one| one.knob != *file));
    let write = |file: &str| {
        let list = String::from_utf8_lossy(parent.read(file).ok()?.trim_ascii()).into_owned();
        let expect = translate::Expect::List(list.clone());
        Some(translate::Write { knob: file.to_owned(), file: file.to_owned(), text: list, expect })
    };
    missing.filter_map(write).filter(|write| !write.text.is_empty()).collect()
}

/// Returns what is written to the cgroup inside, which on v1 is as new as the one that it is in: a cpuset takes no process without
/// processors and memory nodes, and throttling of devices does not hold for cgroups below.
fn inside(
    version: Version,
    inherited: &[translate::Write],
    limits: &[translate::Write],
) -> Vec<(translate::Write, Why)> {
    if version == Version::V2 {
        return Vec::new();
    }
    let why = |write: &translate::Write| match &write.file[..] {
        "cpuset.cpus" | "cpuset.mems" => Some(Why::InheritedInside),
        file => file.starts_with("blkio.throttle.").then_some(Why::LimitInside),
    };
    inherited.iter().chain(limits).filter_map(|write| Some((write.clone(), why(write)?))).collect()
}

/// Returns what the files of a new cgroup say that a translation depends on.
fn fresh(parent: &Cgroup<'_>) -> Files {
    let mut files = Files::new(parent.version());
    match parent.version() {
        Version::V2 => files.insert("cpu.max", b"max 100000\n".to_vec()),
        Version::V1 => {
            let has = |controller| parent.opened().hierarchy.controllers.contains(&controller);
            if has(Controller::Cpu) {
                files.insert("cpu.cfs_quota_us", b"-1\n".to_vec());
                files.insert("cpu.cfs_period_us", b"100000\n".to_vec());
            }
            if has(Controller::Memory) {
                files.insert("memory.limit_in_bytes", b"max\n".to_vec());
            }
            if has(Controller::Memory) && parent.has("memory.memsw.limit_in_bytes") {
                files.insert("memory.memsw.limit_in_bytes", b"max\n".to_vec());
            }
        }
    }
    files
}

#[cfg(test)]
mod tests;
