//! The plan: which steps enter a target, in which order, and why. Pure, and the only place that knows the order.
//!
//! The order, and its reasons:
//!
//! 1. The cgroup comes first: its files belong to the caller, who may write to them, and what is entered may hide them.
//! 2. Then namespaces. A caller with CAP_SYS_ADMIN enters them with that, and the user namespace last, or in the same setns(2): in it
//!    the capability would count no more for those that its parent owns. A caller without it enters a user namespace first that owns
//!    them, because that is what gives the capability (user_namespaces(7)); with a chain of them, the topmost owner.
//! 3. Then what needs capabilities in there: mounts, the root directory; then the working directory.
//! 4. Groups, gid, uid, capabilities: after this nothing is left that would need any.
//! 5. A pid namespace is that of children only, so the command is a child, made last: nothing of nsx is ever to be seen in there. Only a
//!    `/proc` of its own has to be mounted from inside.
//!
//! Not here: how a step is done (`compile`), whether it may succeed (the kernel says that).

mod ids;
mod known;
mod steps;
#[cfg(test)]
mod tests;

pub use known::{CgroupFacts, Facts, Owner, TargetFacts, UserFacts};
pub use steps::{Action, Plan, PlanError, Step, Who};

use super::request::{Place, Request};
use crate::model::{CapSet, KindSet, NsKind, Pid};

/// Where the user namespace that was asked for comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    Target,
    File,
    Parent,
}

/// What is to be entered, from where.
#[derive(Default)]
struct Wanted {
    target: KindSet,
    files: KindSet,
    user: Option<User>,
}

impl Wanted {
    fn all(&self) -> KindSet {
        let kinds: KindSet = self.target.iter().chain(self.files.iter()).collect();
        if self.user.is_some() { kinds.with(NsKind::User) } else { kinds }
    }
}

/// Makes the plan.
///
/// # Errors
/// Where what was asked for cannot be, whatever the caller is allowed.
pub fn plan(request: &Request, facts: &Facts) -> Result<Plan, PlanError> {
    let mut maker = Maker { request, facts, steps: Vec::new(), notes: Vec::new(), warnings: Vec::new(), who: Who::Nsx };
    let wanted = maker.wanted()?;
    let entered = wanted.all();
    let tools = request.tools.is_some();
    let mnt = entered.contains(NsKind::Mnt) || tools;
    let follows_root = request.kinds.is_none() && !tools && facts.target.as_ref().is_some_and(|target| target.root);
    let other_root = mnt || follows_root || request.root.is_some();
    let pid = entered.contains(NsKind::Pid);
    let forks = request.fork && (pid || other_root || request.watched || request.timeout.is_some());
    let terminal = forks && facts.terminals.contains(&true);
    maker.who = if forks { Who::Stub } else { Who::Nsx };

    maker.join_cgroups()?;
    maker.drop_groups_outside(&wanted);
    let bridged = maker.enter(&wanted);
    let own_proc = pid && (!mnt || tools) && request.private_proc && forks;
    if tools || own_proc {
        let why = if tools {
            "the host's mounts, as a copy that nobody else sees: nothing that is mounted here reaches the host or the target"
        } else {
            "/proc has to fit the pid namespace, and may not be changed for others"
        };
        maker.step(Action::PrivateMounts, why);
    }
    maker.show_target(entered.contains(NsKind::Net));
    maker.change_root(follows_root)?;
    maker.change_directory(other_root && !tools)?;
    if own_proc {
        maker.fork(terminal);
        maker.step(
            Action::MountProc,
            "so that ps shows the processes of the pid namespace; mounted from inside, as it shows the mounter's",
        );
    }
    maker.take_ids(bridged || wanted.user.is_some())?;
    if forks && !own_proc {
        maker.fork(terminal);
    }
    if request.context {
        let target = facts.target.as_ref().ok_or(PlanError::NoProcess("-Z"))?;
        let context = target.context.clone().ok_or(PlanError::NoContext(Pid(target.pid)))?;
        maker.step(Action::TakeContext(context), "the target's");
    }
    maker.step(Action::Exec { command: request.command.clone() }, why_exec(request, other_root && !tools));
    let Maker { steps, notes, warnings, .. } = maker;
    let entered = if bridged { entered.with(NsKind::User) } else { entered };
    Ok(Plan { steps, notes, warnings, entered, forks, terminal, other_root })
}

struct Maker<'a> {
    request: &'a Request,
    facts: &'a Facts,
    steps: Vec<Step>,
    notes: Vec<String>,
    warnings: Vec<String>,
    who: Who,
}

impl Maker<'_> {
    fn step(&mut self, action: Action, why: impl Into<String>) {
        self.steps.push(Step { who: self.who, action, why: why.into() });
    }

    /// Sorts out what is to be entered: not what the caller is in already. In the caller's own user namespace setns(2) fails with
    /// `EINVAL`, in the others it does nothing.
    fn wanted(&mut self) -> Result<Wanted, PlanError> {
        let mut wanted = Wanted::default();
        for kind in NsKind::ALL {
            let own = self.facts.own[kind.index()];
            let given = self.facts.given[kind.index()];
            let explicit = self.request.kinds.is_some_and(|kinds| kinds.contains(kind));
            if kind == NsKind::User && self.request.user_parent {
                match self.facts.user_parent {
                    None => return Err(PlanError::NoUserParent),
                    Some(parent) if Some(parent) == own => {
                        self.notes.push(format!("the parent user namespace is the caller's own, user:[{parent}]"));
                    }
                    Some(_) => wanted.user = Some(User::Parent),
                }
                continue;
            }
            if explicit && given.is_none() && self.facts.target.is_none() {
                return Err(PlanError::NoProcess(option(kind)));
            }
            let of_target = self.facts.target.as_ref().filter(|_| explicit || self.request.kinds.is_none());
            let id = match (given, of_target) {
                (Some(id), _) => id,
                (None, None) => continue,
                (None, Some(target)) => match target.namespaces[kind.index()] {
                    Some(id) => id,
                    None if explicit => return Err(PlanError::NoKind(kind, Pid(target.pid))),
                    None => continue,
                },
            };
            if Some(id) == own {
                if explicit || given.is_some() {
                    self.notes.push(format!("{kind}:[{id}] is the caller's own: nothing to enter"));
                }
                continue;
            }
            match (kind, given) {
                (NsKind::User, Some(_)) => wanted.user = Some(User::File),
                (NsKind::User, None) => wanted.user = Some(User::Target),
                (NsKind::Mnt, _) if self.request.tools.is_some() => {}
                (_, Some(_)) => wanted.files = wanted.files.with(kind),
                (_, None) => wanted.target = wanted.target.with(kind),
            }
        }
        Ok(wanted)
    }

    fn join_cgroups(&mut self) -> Result<(), PlanError> {
        let required = self.request.cgroup == Some(true);
        if required && self.facts.target.is_none() {
            return Err(PlanError::NoProcess("-c"));
        }
        for (index, cgroup) in self.facts.cgroups.iter().enumerate() {
            match &cgroup.procs {
                Ok(_) => {
                    let why = format!(
                        "the target's cgroup in the hierarchy {}: its limits count for the command",
                        cgroup.hierarchy
                    );
                    self.step(Action::JoinCgroup { index, required }, why);
                }
                Err(why) if required => return Err(PlanError::Cgroup(cgroup.hierarchy.clone(), why.clone())),
                Err(why) => self.warnings.push(format!("not in the target's {} cgroup: {why}", cgroup.hierarchy)),
            }
        }
        Ok(())
    }

    /// Adds the steps that enter namespaces. Says whether a user namespace is entered that was not asked for.
    fn enter(&mut self, wanted: &Wanted) -> bool {
        let others = !(wanted.target.is_empty() && wanted.files.is_empty());
        if self.facts.caps.contains(CapSet::SYS_ADMIN) || !others {
            self.enter_files(wanted.files, "with the caller's CAP_SYS_ADMIN");
            match wanted.user {
                Some(User::Target) => {
                    let why = if others {
                        "all in one call, with the caller's CAP_SYS_ADMIN; the user namespace takes effect last"
                    } else {
                        "the target's"
                    };
                    self.enter_target(wanted.target.with(NsKind::User), why);
                }
                user => {
                    self.enter_target(wanted.target, "with the caller's CAP_SYS_ADMIN");
                    self.enter_user(user, "the last one: in it the caller's capabilities count for nothing above");
                }
            }
            return false;
        }
        let pidfd = self.facts.target.as_ref().is_some_and(|target| target.pidfd);
        if wanted.user == Some(User::Target) && wanted.files.is_empty() && pidfd {
            let why = "all in one call; the user namespace, or one above it that the caller owns, gives the privilege for the others";
            self.enter_target(wanted.target.with(NsKind::User), why);
            return false;
        }
        let topmost =
            self.facts.owners.iter().flatten().filter(|owner| owner.depth > 0).min_by_key(|owner| owner.depth);
        let asked = match wanted.user {
            Some(User::Target) => self.facts.target.as_ref().and_then(|target| target.namespaces[NsKind::User.index()]),
            Some(User::File) => self.facts.given[NsKind::User.index()],
            Some(User::Parent) => self.facts.user_parent,
            None => None,
        };
        let first = topmost.filter(|owner| Some(owner.id) != asked);
        if let Some(owner) = first {
            let why = "it owns namespaces that are to be entered: only in it has the caller CAP_SYS_ADMIN over them";
            self.step(Action::EnterOwner(owner.id), why);
        } else {
            self.enter_user(wanted.user, "it owns the others: only in it has the caller CAP_SYS_ADMIN over them");
        }
        self.enter_files(wanted.files, "with the capabilities in its owner");
        self.enter_target(wanted.target, "with the capabilities in their owner");
        if first.is_some() {
            self.enter_user(wanted.user, "the last one: in it the capabilities count for nothing above");
        }
        first.is_some() && wanted.user.is_none()
    }

    fn enter_files(&mut self, kinds: KindSet, why: &str) {
        for kind in kinds.iter() {
            self.step(Action::EnterFile(kind), why);
        }
    }

    fn enter_target(&mut self, kinds: KindSet, why: &str) {
        if !kinds.is_empty() {
            self.step(Action::EnterTarget(kinds), why);
        }
    }

    fn enter_user(&mut self, user: Option<User>, why: &str) {
        match user {
            Some(User::Target) => self.enter_target(KindSet::NONE.with(NsKind::User), why),
            Some(User::File) => self.step(Action::EnterFile(NsKind::User), why),
            Some(User::Parent) => self.step(Action::EnterUserParent, why),
            None => {}
        }
    }

    /// Only the target's root directory is shown. Its /proc, /sys and /dev in place of the host's would be a way to have the host's programs
    /// follow links of the target's making into the host's files: the first two are mounted anew, for the namespaces that are entered.
    fn show_target(&mut self, net: bool) {
        let Some(path) = &self.request.tools else { return };
        self.step(Action::ShowTarget(path.clone()), "the target's root directory, with its mounts");
        if net {
            self.step(Action::MountSys, "so that the host's programs see the devices of the network namespace");
        }
    }

    /// In a user namespace that denies setgroups(2) the caller's groups could not be given up any more, and would count outside.
    fn drop_groups_outside(&mut self, wanted: &Wanted) {
        let enters = wanted.user.is_some() && !self.request.preserve_credentials;
        if enters && self.facts.caps.contains(CapSet::SETGID | CapSet::SYS_ADMIN) {
            self.step(Action::DropGroups, "those of the caller mean nothing to the target, and would count outside");
        }
    }

    fn change_root(&mut self, follow: bool) -> Result<(), PlanError> {
        match &self.request.root {
            Some(Place::OfTarget) if self.facts.target.is_none() => return Err(PlanError::NoProcess("-r")),
            Some(place) => {
                let target = *place == Place::OfTarget;
                self.step(Action::ChangeRoot { target }, if target { "the target's" } else { "as asked for" });
            }
            None if follow => {
                let why =
                    "the target's, which need not be that of its mount namespace; opened before anything was entered";
                self.step(Action::ChangeRoot { target: true }, why);
            }
            None => {}
        }
        Ok(())
    }

    fn change_directory(&mut self, moved: bool) -> Result<(), PlanError> {
        match (&self.request.directory, &self.request.directory_inside) {
            (Some(Place::OfTarget), _) if self.facts.target.is_none() => return Err(PlanError::NoProcess("-w")),
            (Some(place), _) => {
                let target = *place == Place::OfTarget;
                self.step(Action::ChangeDirectory { target }, if target { "the target's" } else { "as asked for" });
            }
            (None, Some(path)) => {
                self.step(
                    Action::FindDirectory { path: path.clone(), required: true },
                    "as asked for, looked up inside",
                );
            }
            (None, None) if moved => {
                let path = self.facts.directory.clone().unwrap_or_else(|| "/".into());
                let why = "the same path as outside, if it is there";
                self.step(Action::FindDirectory { path, required: false }, why);
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn fork(&mut self, terminal: bool) {
        let pid = self.steps.iter().any(|step| match &step.action {
            Action::EnterTarget(kinds) => kinds.contains(NsKind::Pid),
            Action::EnterFile(kind) => *kind == NsKind::Pid,
            _ => false,
        });
        let why = if pid {
            "only children are in the pid namespace; its parent is nsx, outside"
        } else {
            "nsx stays and watches over it"
        };
        self.step(Action::Fork { terminal }, why);
        self.who = Who::Command;
    }
}

/// What the command finds: whose environment, and where it is looked for.
fn why_exec(request: &Request, other_files: bool) -> &'static str {
    match (request.environment, other_files) {
        (true, true) => "with the target's environment, looked for along its PATH",
        (true, false) => {
            "with the target's environment, but the caller's PATH and nothing that makes programs load files"
        }
        (false, true) => "with the caller's environment, and the standard directories at the end of PATH",
        (false, false) => "with the caller's environment",
    }
}

/// The option that asks for a kind.
fn option(kind: NsKind) -> &'static str {
    match kind {
        NsKind::Cgroup => "-C",
        NsKind::Ipc => "-i",
        NsKind::Mnt => "-m",
        NsKind::Net => "-n",
        NsKind::Pid => "-p",
        NsKind::Time => "-T",
        NsKind::User => "-U",
        NsKind::Uts => "-u",
    }
}
