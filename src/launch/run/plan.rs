//! The plan of `nsx run`: which steps build the sandbox, in which order, and why. Pure, and the only place that knows the order.
//!
//! The order, and its reasons:
//!
//! 1. Cgroups come first: limits are there before anybody is in them. Who can be born into one (v2) is; else they are joined late, and so made
//!    while the kernel is busy with namespaces.
//! 2. One clone3(2) makes all namespaces that can be made so: whatever is made with a user namespace belongs to it.
//! 3. What needs the host's mounts is taken while they are there, as trees that nobody sees: the root, devices, what is shown; and procfs
//!    and sysfs, which the kernel only makes for those who see one already (mount_too_revealing() in fs/namespace.c).
//! 4. Only then the first process needs the id maps and its cgroups, which nsx writes meanwhile; it waits for that, and becomes root.
//! 5. The root directory is changed before anything is attached in it: a path that leads astray then leads astray inside.
//! 6. What the command must not undo is done by the first process, whose memory belongs to the host's user namespace: nobody inside may look
//!    into it, whatever capabilities he has there.
//! 7. The filter, ids and capabilities come last: after them nothing is left that would need any. The filter before the capabilities,
//!    because without no_new_privs it takes CAP_SYS_ADMIN.
//!
//! Not here: how a step is done (`compile`), what the host says (`gather`).

mod places;
#[cfg(test)]
mod tests;

use super::request::{Net, Rlimit, Root, RunRequest, UserNs};
use super::steps::{Action, Facts, MapWriter, Origin, Plan, RootFacts, Step, Who};
use crate::model::{CapSet, KindSet, NsKind};

/// Makes the plan.
pub fn plan(request: &RunRequest, facts: &Facts) -> Plan {
    let mut maker = Maker { request, facts, steps: Vec::new(), who: Who::Nsx };
    let created = created(request);
    maker.cgroups();
    maker.clone(created);
    maker.take();
    maker.settle();
    maker.become_root(created);
    maker.mounts(created);
    maker.limits(created);
    maker.masks();
    maker.surroundings(created);
    maker.command();
    let mut notes = facts.notes.clone();
    let keeps_admin = kept(request, facts).contains(CapSet::SYS_ADMIN);
    if keeps_admin {
        notes.push(
            "with SYS_ADMIN the command can undo mounts: what is hidden or read-only inside is so by its leave".into(),
        );
    }
    if !created.contains(NsKind::Pid) && facts.cgroups.is_empty() {
        notes.push(
            "with --share pid what the command leaves running goes on: nothing tells it from other processes".into(),
        );
    }
    Plan { steps: maker.steps, notes, created }
}

/// Returns the kinds of namespace that are new.
pub fn created(request: &RunRequest) -> KindSet {
    let mut kinds: KindSet = NsKind::ALL.into_iter().filter(|kind| !request.share.contains(*kind)).collect();
    if request.userns == UserNs::Host {
        kinds = kinds.without(NsKind::User);
    }
    match request.net {
        Net::None => kinds,
        Net::Host | Net::Target(_) => kinds.without(NsKind::Net),
    }
}

/// Returns the capabilities that the command has at most.
pub fn kept(request: &RunRequest, facts: &Facts) -> CapSet {
    let default = if request.userns == UserNs::Host { CapSet::EMPTY } else { CapSet::DOCKER };
    // A new user namespace gives all of them; without one nobody has more than before.
    let most = if request.userns == UserNs::Host { facts.own_caps } else { facts.all_caps };
    (default | request.cap_add) & !request.cap_drop & most
}

struct Maker<'a> {
    request: &'a RunRequest,
    facts: &'a Facts,
    steps: Vec<Step>,
    who: Who,
}

impl Maker<'_> {
    fn step(&mut self, action: Action, why: impl Into<String>) {
        self.steps.push(Step { who: self.who, action, why: why.into() });
    }

    fn cgroups(&mut self) {
        for (index, why) in self.facts.limits.iter().enumerate() {
            self.step(Action::Limit(index), why.clone());
        }
        if self.is_born_limited() {
            self.step(Action::Release, "limits are there before anybody is to keep them");
        }
    }

    /// Says whether the first process is born into a cgroup: of v2, by clone3(2).
    fn is_born_limited(&self) -> bool {
        self.facts.clone3 && self.facts.cgroups.contains(&false)
    }

    fn clone(&mut self, created: KindSet) {
        self.who = Who::Stub;
        self.step(Action::NewSession, "a Ctrl-C, or a kill of the caller's process group, is nsx's to hear of");
        if let Net::Target(_) = self.request.net {
            let why =
                "the network that was asked for; with the caller's capabilities, so before there is a user namespace";
            self.step(Action::EnterNet, why);
        }
        for (rlimit, hard) in self.request.rlimits.iter().zip(&self.facts.hard_limits) {
            let is_more = hard.is_some_and(|hard| rlimit.hard.is_none_or(|asked| asked > hard));
            if is_more {
                let raised = Rlimit { soft: *hard, ..*rlimit };
                self.step(Action::RaiseRlimit(raised), "with the caller's capabilities; inside there is none for it");
            }
        }
        if let Some(score) = self.request.oom_score_adj.filter(|score| *score < self.facts.oom_score_adj) {
            self.step(Action::SpareFromOom(score), "with the caller's capabilities; inside there is none for it");
        }
        if self.is_born_limited() {
            self.step(
                Action::AwaitCgroups,
                "it is there before they are, so that they are removed whenever nsx is killed",
            );
        }
        let later = self.later(created);
        let kinds: KindSet = created.iter().filter(|kind| !later.contains(*kind)).collect();
        let kinds = if self.copies() { kinds.without(NsKind::Mnt) } else { kinds };
        let clone3 = self.facts.clone3;
        let into_cgroup = self.facts.cgroups.iter().position(|v1| !v1).filter(|_| clone3);
        let why = match (clone3, into_cgroup) {
            (true, Some(_)) => "all at once, and born within its limits",
            (true, None) => "all at once",
            (false, _) => "all at once; clone3(2) is not to be had here",
        };
        self.step(Action::Clone { kinds, into_cgroup, clone3 }, why);
    }

    /// Says whether the root directory is a copy of the host's mounts that is entered as a mount namespace.
    fn copies(&self) -> bool {
        let host = matches!(&self.facts.root, RootFacts::Tree(Origin::Path(path)) if path == b"/");
        host && self.facts.tree_namespaces && matches!(self.request.root, Root::Host { .. })
    }

    /// Returns the cgroups that nobody is born into: all of v1, and that of v2 without clone3(2).
    fn joins(&self) -> Vec<(usize, &'static str)> {
        let born = |v1: bool| !v1 && self.facts.clone3;
        let all = self.facts.cgroups.iter().enumerate().filter(|(_, v1)| !born(**v1));
        all.map(|(place, v1)| (place, if *v1 { "tasks" } else { "cgroup.procs" })).collect()
    }

    /// Returns the kinds that the first process leaves itself: its cgroup namespace begins at the cgroup that it is in then, and clocks can
    /// be set in a time namespace only while nobody is in it.
    fn later(&self, created: KindSet) -> KindSet {
        let mut later = KindSet::NONE;
        if created.contains(NsKind::Cgroup) && !self.joins().is_empty() {
            later = later.with(NsKind::Cgroup);
        }
        if created.contains(NsKind::Time) && (self.request.init || !self.facts.clone3) {
            later = later.with(NsKind::Time);
        }
        later
    }

    fn settle(&mut self) {
        let (maps, joins) = (self.facts.maps == MapWriter::Nsx, self.joins());
        self.who = Who::Nsx;
        if maps {
            self.step(Action::WriteMaps, "takes capabilities that only somebody outside has");
            if self.facts.maps_owners {
                let why = "so that files look right: what belongs to root there belongs to root inside";
                self.step(Action::MapOwners, why);
            }
        }
        let (come, awaited) = match (maps, joins.is_empty()) {
            (false, true) => return,
            (true, true) => ("its ids are there", "nothing can be made with ids that are not there"),
            (false, false) => ("its cgroups are there", "they were made while the kernel made its namespaces"),
            (true, false) => (
                "its ids and cgroups are there",
                "nothing can be made with ids that are not there; cgroups were made while the kernel made its namespaces",
            ),
        };
        self.step(Action::Release, come);
        self.who = Who::Init;
        self.step(Action::AwaitRelease, awaited);
        if !joins.is_empty() {
            self.step(
                Action::TakeCgroups(joins),
                "whether it may join them is asked of whoever opens these files, and later it is somebody else",
            );
        }
    }

    fn become_root(&mut self, created: KindSet) {
        self.who = Who::Init;
        if created.contains(NsKind::User) {
            let groups = !self.facts.setgroups_denied;
            let own = matches!(self.request.userns, UserNs::Keep);
            if !own {
                let (uid, gid) = self.facts.maker;
                let why = if (uid, gid) == (0, 0) {
                    "what it makes from now on is to belong to root inside"
                } else {
                    "what it makes from now on is to belong to somebody inside, and root is not there"
                };
                self.step(Action::BecomeRoot { uid, gid, groups }, why);
            }
        }
        if self.facts.keyrings {
            self.step(
                Action::NewKeyring,
                "keys that the caller holds are in no namespace, and would be the command's, too",
            );
        }
        if !self.request.detach {
            self.step(Action::DieWithNsx, "changes of ids have taken it back if it was set before");
        }
    }

    fn surroundings(&mut self, created: KindSet) {
        if created.contains(NsKind::Uts) {
            let name = self.request.hostname.clone().or_else(|| self.request.name.clone().map(Into::into));
            let why = if name.is_some() { "as asked for" } else { "the host's tells where this runs" };
            self.step(Action::SetHostName(name.unwrap_or_else(|| "nsx".into())), why);
        }
        if created.contains(NsKind::Net) {
            self.step(Action::LoopbackUp, "a new network namespace has it down");
        }
        for rlimit in &self.request.rlimits {
            self.step(Action::SetRlimit(*rlimit), "as asked for");
        }
        if let Some(score) = self.request.oom_score_adj.filter(|score| *score >= self.facts.oom_score_adj) {
            self.step(Action::SetOomScore(score), "as asked for");
        }
        if self.facts.terminal {
            self.step(
                Action::OpenTerminal,
                "the caller's could be typed into; this one is of the devpts inside, so that its name is known there",
            );
        }
    }

    /// Joins cgroups, and what has to be after that. Late, because a task that has just come to a cgroup of v1's cpu controller waits for its
    /// turn there; nobody has run yet who is to keep to limits.
    fn limits(&mut self, created: KindSet) {
        let joins = self.joins();
        if !joins.is_empty() {
            let why = "before there is a command; who moves itself alone takes no lock that all processes share";
            self.step(Action::JoinCgroups(joins.len()), why);
        }
        let later = self.later(created);
        if !later.is_empty() {
            let why = match (later.contains(NsKind::Cgroup), later.contains(NsKind::Time)) {
                (true, true) => {
                    "the cgroup that it is in now is the root of what the command sees; a time namespace begins with the children"
                }
                (true, false) => "the cgroup that it is in now is the root of what the command sees",
                _ => "a time namespace begins with the children, and its clocks can be set before",
            };
            self.step(Action::Unshare(later), why);
        }
        if self.facts.owns_cgroups && created.contains(NsKind::User) {
            let why = "in one of his own whoever has made cgroups outside could change them, and freeze or kill who is in them";
            self.step(Action::ForbidCgroupNamespaces, why);
        }
        if let Some(offset) = self.request.time_offset {
            self.step(Action::SetClocks(offset), "while nobody is in the time namespace");
        }
        let own_sys = self.facts.sys && created.contains(NsKind::Net);
        if own_sys && self.facts.cgroup2 && created.contains(NsKind::Cgroup) {
            self.step(
                Action::MountCgroups,
                "programs look for their limits there; its root is the cgroup that they are in",
            );
        }
    }

    fn command(&mut self) {
        if self.request.init {
            self.step(Action::Fork { terminal: self.facts.terminal }, "the first process stays: it reaps orphans, and the kernel ignores signals to it that it does not handle");
        }
        self.who = Who::Command;
        let required = self.request.directory.is_some();
        let why = if required { "as asked for" } else { "the caller's, if it is there" };
        self.step(Action::ChangeDirectory { paths: self.facts.directories.clone(), required }, why);
        let kept = kept(self.request, self.facts);
        self.step(
            Action::DropBounding(self.facts.all_caps & !kept),
            "what is not left there nobody inside gets by execve(2)",
        );
        if self.request.no_new_privs {
            self.step(Action::NoNewPrivs, "suid programs and file capabilities give nothing");
        }
        if self.request.seccomp {
            self.step(Action::Filter, "system calls that no namespace confines are refused");
        }
        let user = &self.facts.user;
        let groups = (!self.facts.setgroups_denied).then(|| user.groups.clone());
        let is_root = user.uid == 0;
        if self.changes_user() {
            self.step(Action::BecomeUser { uid: user.uid, gid: user.gid, groups }, "as asked for");
        }
        let ambient = if is_root { CapSet::EMPTY } else { self.request.cap_add & kept };
        let left = if is_root { kept } else { ambient };
        self.step(
            Action::LimitCaps { kept: left, ambient },
            if is_root {
                "the inheritable and ambient sets are empty"
            } else {
                "a user who is not root has those that were asked for by name"
            },
        );
        if self.request.init && !created(self.request).contains(NsKind::Pid) {
            self.step(
                Action::DieWithInit,
                "in a pid namespace of its own the kernel would end it; changes of ids would take this back",
            );
        }
        self.step(Action::Exec, "everything is made, and given up");
        if self.request.init {
            self.who = Who::Init;
            self.step(
                Action::Serve,
                "until the command has ended; then the kernel kills whoever is left in the pid namespace",
            );
        }
        self.who = Who::Stub;
        let why = if self.request.detach {
            "waits for the end of the sandbox, and leaves no cgroup behind"
        } else {
            "nsx may be killed: then this kills the sandbox, and leaves no cgroup behind"
        };
        self.step(Action::CleanUp, why);
    }

    /// Says whether the command is somebody else than the first process.
    fn changes_user(&self) -> bool {
        match self.request.userns {
            UserNs::Keep => self.request.user.is_some(),
            UserNs::Host => self.request.user.is_some(),
            _ => self.facts.user.uid != 0 || self.facts.user.gid != 0 || !self.facts.user.groups.is_empty(),
        }
    }
}
