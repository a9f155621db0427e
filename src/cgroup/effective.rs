//! Which value counts: from what a cgroup and its ancestors are set to, to what it really has, and who sees to that. Pure.
//!
//! The rules are those of `Documentation/admin-guide/cgroup-v2.rst` and of the v1 documents. The tightest limit and the tightest headroom
//! are two answers: a limit is set where it is least, and is felt where the least of it is left, which siblings have a part in.

use super::files::Files;
use super::host::{Cgroups, Home, Host};
use super::ladder::{Ladder, Subject};
use super::parse;
use crate::model::cgroup::{Controller, KNOBS, Knob, Limit, Rule, Version};

/// Who sees to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binder {
    /// The cgroup at this place of the ladder; 0 is the top.
    Level(usize),
    /// No cgroup: there is not more on this host.
    Host,
    /// A cgroup above the top, which cannot be seen from here; the kernel says that there is one.
    OutOfSight,
}

/// One step of a ladder, for one knob and key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What the knob is set to; `None` where it is not there.
    pub limit: Option<Limit>,
    /// How much is used.
    pub usage: Option<u64>,
}

impl Step {
    fn headroom(self) -> Option<Limit> {
        match (self.limit?, self.usage) {
            (Limit::Max, _) => Some(Limit::Max),
            (Limit::Value(limit), Some(usage)) => Some(Limit::Value(limit.saturating_sub(usage))),
            (Limit::Value(_), None) => None,
        }
    }
}

/// An answer, and who gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// The limit; `None` where nobody says anything of it.
    pub limit: Option<Limit>,
    /// Who sees to it; `None` where there is no limit.
    pub by: Option<Binder>,
}

/// Returns the least of all limits from the top down, and of what the host has. Of equal ones the one nearest to the cgroup counts: the
/// kernel charges from there up, and stops at the first that is reached.
pub fn least(steps: &[Step], host: Step) -> Bound {
    bound(steps.iter().map(|step| step.limit), host.limit)
}

/// Returns what is left under the limit that has the least left.
pub fn headroom(steps: &[Step], host: Step) -> Bound {
    bound(steps.iter().map(|step| step.headroom()), host.headroom())
}

fn bound(limits: impl Iterator<Item = Option<Limit>>, host: Option<Limit>) -> Bound {
    let levels = limits.enumerate().filter_map(|(level, limit)| Some((limit?, Binder::Level(level))));
    let host = host.map(|limit| (limit, Binder::Host));
    let found = host.into_iter().chain(levels).reduce(|least, next| if next.0 <= least.0 { next } else { least });
    match found {
        None => Bound::default(),
        Some((Limit::Max, _)) => Bound { limit: Some(Limit::Max), by: None },
        Some((limit, by)) => Bound { limit: Some(limit), by: Some(by) },
    }
}

/// Returns how much of a protection (memory.min, memory.low) is had at most: no more than each ancestor offers. The root offers all
/// that there is. Where nothing is protected here, nothing is had; but with `recursive` (the mount option `memory_recursiveprot`) what a
/// cgroup offers and nobody below it claims is shared out among them, whatever they claim themselves: at most it is all that the topmost
/// one offers. (`effective_protection` in the kernel's `mm/page_counter.c`.)
pub fn protection(steps: &[Step], recursive: bool) -> Bound {
    let none = Bound { limit: Some(Limit::Value(0)), by: None };
    let Some(own) = steps.last().and_then(|step| step.limit) else { return Bound::default() };
    if recursive {
        let topmost = steps.iter().position(|step| step.limit.is_some()).unwrap_or_default();
        return match steps[topmost].limit {
            Some(Limit::Value(0)) | None => none,
            limit => Bound { limit, by: (limit != Some(Limit::Max)).then_some(Binder::Level(topmost)) },
        };
    }
    if own == Limit::Value(0) { none } else { least(steps, Step::default()) }
}

/// Returns how many more there may be below the cgroup: each ancestor counts what is below it.
pub fn remaining(steps: &[Step]) -> Bound {
    headroom(steps, Step::default())
}

/// Returns how many levels there may still be below the cgroup.
pub fn remaining_depth(steps: &[Step]) -> Bound {
    let leaf = steps.len().saturating_sub(1);
    let steps: Vec<Step> =
        steps.iter().enumerate().map(|(level, step)| Step { usage: Some((leaf - level) as u64), ..*step }).collect();
    headroom(&steps, Step::default())
}

/// Says whether one of them says yes, and which is the topmost that does: as long as it does, the others do not matter.
pub fn any(steps: &[Step]) -> Bound {
    if steps.iter().all(|step| step.limit.is_none()) {
        return Bound::default();
    }
    let says_yes = |step: &Step| step.limit.is_some_and(|limit| limit > Limit::Value(0));
    let by = steps.iter().position(says_yes).map(Binder::Level);
    Bound { limit: Some(Limit::Value(u64::from(by.is_some()))), by }
}

/// Returns the part of a resource that the cgroup gets when everybody wants all of it, in millionths: on each level its weight against
/// that of all siblings together. `levels` has, from below the top down, the weight and the sum of all weights beside it, its own among
/// them.
pub fn share(levels: &[(u64, u64)]) -> u64 {
    let part = levels.iter().fold(1.0, |part, &(weight, all)| part * weight as f64 / (all.max(weight).max(1)) as f64);
    (part * 1e6).round() as u64
}

/// What a knob comes to for a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The knob.
    pub knob: &'static Knob,
    /// The device, the size of pages or the resource, where a knob has several.
    pub key: Option<String>,
    /// The index of the hierarchy that has it.
    pub hierarchy: usize,
    /// The file that sets it.
    pub file: &'static str,
    /// What it is set to here; `None` where the controller does not reach here.
    pub here: Option<Limit>,
    /// What it is set to from the top down.
    pub steps: Vec<Step>,
    /// What counts.
    pub effective: Bound,
    /// How much is used, by the lowest cgroup that counts it.
    pub usage: Option<u64>,
    /// How much is left, and by whose limit.
    pub headroom: Bound,
    /// What the kernel itself says is effective, where it does.
    pub kernel: Option<Limit>,
    /// The list that is set here, and the one that is effective, for knobs that are lists.
    pub lists: Option<(String, String)>,
    /// For weights: the part that is had when everybody wants all, in millionths; `None` where nobody asked.
    pub share_millionths: Option<u64>,
}

/// Returns what every knob comes to, in the order of [`KNOBS`]. Knobs that nobody on the ladder has are left out.
pub fn effective(cgroups: &Cgroups, subject: &Subject) -> Vec<Effective> {
    let mut all = Vec::new();
    for knob in &KNOBS {
        let Some(ladder) = home_of(cgroups, knob).and_then(|index| subject.ladder(index)) else { continue };
        all.extend(of_knob(knob, ladder, &cgroups.host));
    }
    all
}

/// Returns the hierarchy that has a knob.
fn home_of(cgroups: &Cgroups, knob: &Knob) -> Option<usize> {
    let controller = match knob.controller {
        Some(controller) => controller,
        // Freezing is a controller of its own on v1.
        None => match knob.v1 {
            Some(v1) => v1.controller,
            None => return cgroups.unified(),
        },
    };
    match cgroups.home(controller) {
        Home::Hierarchy(index) => Some(index),
        _ => None,
    }
}

/// Returns what one knob comes to on a ladder, for each of its keys.
pub fn of_knob(knob: &'static Knob, ladder: &Ladder, host: &Host) -> Vec<Effective> {
    let Some(files) = ladder.levels.last().map(|level| &level.files) else { return Vec::new() };
    let Some(file) = files.file_of(knob) else { return Vec::new() };
    let base = Effective {
        knob,
        key: None,
        hierarchy: ladder.hierarchy,
        file,
        here: None,
        steps: Vec::new(),
        effective: Bound::default(),
        usage: None,
        headroom: Bound::default(),
        kernel: None,
        lists: None,
        share_millionths: None,
    };
    if knob.rule == Rule::Kernel {
        return lists(base, ladder).into_iter().collect();
    }
    let settings: Vec<_> = ladder.levels.iter().map(|level| level.files.settings(knob)).collect();
    let mut keys: Vec<Option<String>> = settings.iter().flatten().map(|setting| setting.key.clone()).collect();
    keys.sort();
    keys.dedup();
    let recursive = host.recursive_protection;
    let host = host_step(knob, host);
    let of_key = |key: Option<String>| {
        let steps: Vec<Step> = ladder
            .levels
            .iter()
            .zip(&settings)
            .map(|(level, settings)| Step {
                limit: settings.iter().find(|setting| setting.key == key).map(|setting| setting.limit),
                usage: level.files.usage(knob, key.as_deref()),
            })
            .collect();
        let nothing = Bound::default();
        let own = steps.last().and_then(|step| step.limit);
        let steps = if is_own_only(knob, files) { only_own(steps) } else { steps };
        let (effective, headroom) = match knob.rule {
            Rule::Least | Rule::LeastPerKey => (least(&steps, host), headroom(&steps, host)),
            Rule::Bandwidth => (least(&steps, host), nothing),
            Rule::Protection => (protection(&steps, recursive), nothing),
            Rule::Any => (any(&steps), nothing),
            Rule::Share => (Bound { limit: own, by: None }, nothing),
            Rule::Remaining if knob.name == "cgroup.max.depth" => (least(&steps, host), remaining_depth(&steps)),
            Rule::Remaining => (least(&steps, host), remaining(&steps)),
            Rule::Kernel => (nothing, nothing),
        };
        let usage = steps.iter().rev().find_map(|step| step.usage);
        let kernel = kernel_says(knob, files);
        let (effective, headroom) = match kernel {
            // Where the kernel knows of a tighter one, how much of that is left is known to nobody here.
            Some(limit) if effective.limit.is_none_or(|known| limit < known) && !ladder.is_from_root() => {
                (Bound { limit: Some(limit), by: Some(Binder::OutOfSight) }, nothing)
            }
            _ => (effective, headroom),
        };
        Effective { key, here: own, effective, usage, headroom, kernel, steps, ..base.clone() }
    };
    let all = keys.into_iter().map(of_key);
    all.filter(|one| one.steps.iter().any(|step| step.limit.is_some())).collect()
}

/// Says whether a knob counts for its own cgroup alone: v1 throttles nobody below a cgroup by its limits of devices
/// (`Documentation/admin-guide/cgroup-v1/blkio-controller.rst`, "Hierarchical Cgroups"; seen on Linux 6.1).
fn is_own_only(knob: &Knob, files: &Files) -> bool {
    files.version == Version::V1 && knob.name == "io.max"
}

fn only_own(mut steps: Vec<Step>) -> Vec<Step> {
    let above = steps.len().saturating_sub(1);
    steps[..above].fill(Step::default());
    steps
}

/// Returns what a knob cannot exceed on this host.
fn host_step(knob: &Knob, host: &Host) -> Step {
    let used = |all: Option<u64>, free: Option<u64>| Some(all?.saturating_sub(free?));
    let (limit, usage) = match knob.name {
        "memory.max" => (host.memory_bytes, used(host.memory_bytes, host.memory_available_bytes)),
        "memory.swap.max" => (host.swap_bytes, used(host.swap_bytes, host.swap_free_bytes)),
        "pids.max" => (host.tasks_max, host.tasks),
        "cpu.max" => (host.cpus.map(|cpus| cpus.saturating_mul(1000)), None),
        _ => (None, None),
    };
    Step { limit: limit.map(Limit::Value), usage }
}

/// Returns what v1 computes itself from a cgroup and its ancestors.
fn kernel_says(knob: &Knob, files: &Files) -> Option<Limit> {
    let key = match (files.version, knob.name) {
        (Version::V1, "memory.max") => "hierarchical_memory_limit",
        (Version::V1, "memory.memsw.max") => "hierarchical_memsw_limit",
        _ => return None,
    };
    parse::limit_v1(files.keyed("memory.stat", key)?.to_string().as_bytes())
}

/// Fills in a knob that is a list: the kernel says what is effective.
fn lists(base: Effective, ladder: &Ladder) -> Option<Effective> {
    let name = base.knob.name;
    let effective_file = |files: &Files| match files.version {
        Version::V2 => format!("{name}.effective"),
        Version::V1 => name.replace("cpuset.", "cpuset.effective_"),
    };
    let text = |content: &[u8]| String::from_utf8_lossy(content.trim_ascii()).into_owned();
    // Below the last cgroup that the controller reaches it is that one's list that counts.
    let (place, level) = ladder
        .levels
        .iter()
        .enumerate()
        .rev()
        .find(|(_, level)| level.files.get(&effective_file(&level.files)).is_some())?;
    let effective = text(level.files.get(&effective_file(&level.files))?);
    let is_leaf = place + 1 == ladder.levels.len();
    let here = level.files.get(base.file).filter(|_| is_leaf).map(text).unwrap_or_default();
    // The lowest that asked for less than it could have had.
    let asks = |files: &Files| {
        // At the root of v1 stands what there is, and nobody can write to it.
        let is_given = files.version == Version::V1 && files.is_root();
        !is_given && files.get(base.file).is_some_and(|list| !list.trim_ascii().is_empty())
    };
    let by = ladder.levels[..=place].iter().rposition(|level| asks(&level.files)).map(Binder::Level);
    let count = parse::list_len(effective.as_bytes()).map(Limit::Value);
    let steps = ladder.levels.iter().map(|level| Step {
        limit: level.files.get(&effective_file(&level.files)).and_then(parse::list_len).map(Limit::Value),
        usage: None,
    });
    let steps = steps.collect();
    Some(Effective { effective: Bound { limit: count, by }, lists: Some((here, effective)), steps, ..base })
}

/// How many processors a process really has, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpus {
    /// By `cpu.max`, its own and those above; `None` where nothing is said.
    pub quota_millicpus: Option<Limit>,
    /// By the cpuset.
    pub cpuset: Option<u64>,
    /// By sched_setaffinity(2).
    pub affinity: Option<u64>,
    /// How many are online.
    pub online: Option<u64>,
}

impl Cpus {
    /// Takes them from what the knobs come to.
    pub fn of(all: &[Effective], subject: &Subject, host: &Host) -> Cpus {
        let find = |name: &str| all.iter().find(|effective| effective.knob.name == name);
        let quota = find("cpu.max").map(|quota| least(&quota.steps, Step::default()));
        let cpuset = find("cpuset.cpus").and_then(|list| list.effective.limit?.value());
        Cpus {
            quota_millicpus: quota.and_then(|bound| bound.limit),
            cpuset,
            affinity: subject.affinity,
            online: host.cpus,
        }
    }

    /// Returns the least of all.
    pub fn millicpus(&self) -> Option<u64> {
        let whole =
            [self.cpuset, self.affinity, self.online].into_iter().flatten().map(|cpus| cpus.saturating_mul(1000));
        whole.chain(self.quota_millicpus.and_then(Limit::value)).min()
    }
}

/// Returns the controllers that end above the cgroup: each with the lowest level that has it.
pub fn controllers_that_end_above(ladder: &Ladder) -> Vec<(Controller, usize)> {
    let Some(leaf) = ladder.levels.last() else { return Vec::new() };
    let of = |files: &Files| -> Vec<Controller> {
        let text = files.get("cgroup.controllers").unwrap_or_default();
        parse::words(text).filter_map(Controller::from_name).collect()
    };
    let here = of(&leaf.files);
    let Some(top) = ladder.levels.first().filter(|top| top.files.version == Version::V2) else { return Vec::new() };
    let ended = of(&top.files).into_iter().filter(|controller| !here.contains(controller));
    ended
        .filter_map(|controller| {
            let last = ladder.levels.iter().rposition(|level| of(&level.files).contains(&controller))?;
            Some((controller, last))
        })
        .collect()
}

#[cfg(test)]
mod tests;
