//! From the steps of a plan to the system calls that make them. The steps keep their order; each call knows its step.
//!
//! Not here: which steps there are, and why in this order (`plan`).

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::enter::EnterError;
use super::facts::Held;
use super::plan::{Action, Facts, Plan, Step};
use super::surroundings::{Surroundings, candidates, text};
use crate::model::{CapSet, KindSet, NsKind};
use crate::proc::ProcRoot;
use crate::sys::program::{Otherwise, Program, Strings};
use crate::sys::{Call, Errno, SysError, spawn};

/// What ties the processes together that run the list.
pub struct Wiring<'a> {
    /// Where failures go.
    pub report: BorrowedFd<'a>,
    /// The pipe that ends when nsx does.
    pub lifeline: BorrowedFd<'a>,
    /// The terminal of the command, if it gets one of its own.
    pub terminal: Option<BorrowedFd<'a>>,
    /// The signals that the command starts with blocked.
    pub mask: u64,
    /// Whether it starts with SIGCHLD ignored.
    pub ignores_children: bool,
}

/// What a list is made for.
#[derive(Clone, Copy)]
pub enum Purpose<'a> {
    /// To be shown.
    Read,
    /// To be run; `by_shell` has /bin/sh run the command, which is a script without an interpreter line.
    Run {
        /// The script.
        by_shell: Option<&'a CString>,
    },
}

/// Makes the list, and what has to be kept open for it.
///
/// # Errors
/// Where a word of the command has a NUL in it.
pub fn compile(
    plan: &Plan,
    facts: &Facts,
    held: &Held,
    proc: &ProcRoot,
    surroundings: &Surroundings,
    wiring: Option<&Wiring<'_>>,
    purpose: Purpose<'_>,
) -> Result<(Program, Vec<OwnedFd>), EnterError> {
    let by_shell = match purpose {
        Purpose::Run { by_shell } => by_shell,
        Purpose::Read => None,
    };
    let explained = matches!(purpose, Purpose::Read);
    let program = Program::default();
    let mut compiler = Compiler { plan, facts, held, proc, wiring, program, fork: None, explained, stub: Vec::new() };
    if let Some(wiring) = wiring {
        compiler.program.forbid_tracing();
        if wiring.terminal.is_none() {
            compiler.program.new_session();
        }
    }
    for (index, step) in plan.steps.iter().enumerate() {
        compiler.program.begin(index);
        match &step.action {
            Action::Exec { command } => compiler.exec(command, surroundings, by_shell)?,
            _ => compiler.step(step)?,
        }
    }
    compiler.finish();
    Ok((compiler.program, compiler.stub))
}

struct Compiler<'a> {
    plan: &'a Plan,
    facts: &'a Facts,
    held: &'a Held,
    proc: &'a ProcRoot,
    wiring: Option<&'a Wiring<'a>>,
    program: Program,
    fork: Option<usize>,
    /// Whether the list is only to be read.
    explained: bool,
    /// What the list executes, held open, and what that finds open.
    stub: Vec<OwnedFd>,
}

impl Compiler<'_> {
    fn step(&mut self, step: &Step) -> Result<(), EnterError> {
        let missing = || {
            EnterError::Failed(format!("cannot do a step: {:?}", step.action), SysError::new(Call::Fstat, Errno::EBADF))
        };
        let (held, program) = (self.held, &mut self.program);
        match &step.action {
            Action::JoinCgroup { index, required } => {
                let name =
                    self.facts.cgroups.get(*index).and_then(|cgroup| cgroup.procs.as_ref().ok()).ok_or_else(missing)?;
                let procs = held.cgroups.get(*index).and_then(Option::as_ref).ok_or_else(missing)?;
                let otherwise = if *required { Otherwise::Stop } else { Otherwise::GoOn };
                // 0 is whoever writes, in whatever pid namespace.
                program.write(procs.as_fd(), b"0", name, otherwise);
            }
            Action::EnterTarget(kinds) => self.enter_target(*kinds).ok_or_else(missing)?,
            Action::EnterFile(kind) => {
                let namespace = held.namespaces[kind.index()].as_ref().ok_or_else(missing)?;
                let id = self.facts.given[kind.index()].map(|id| format!("{kind}:[{id}]")).unwrap_or_default();
                program.setns(namespace.as_fd(), KindSet::NONE.with(*kind), &id, Otherwise::Stop);
            }
            Action::EnterOwner(id) => {
                let (_, owner) = held.owners.iter().find(|(owner, _)| owner == id).ok_or_else(missing)?;
                let user = KindSet::NONE.with(NsKind::User);
                program.setns(owner.as_fd(), user, &format!("user:[{id}]"), Otherwise::Stop);
            }
            Action::EnterUserParent => {
                let parent = held.user_parent.as_ref().ok_or_else(missing)?;
                let user = KindSet::NONE.with(NsKind::User);
                program.setns(parent.as_fd(), user, "the parent user namespace", Otherwise::Stop);
            }
            Action::PrivateMounts => {
                program.unshare_mounts();
                program.keep_mounts_inside();
            }
            Action::ShowTarget(path) => {
                let tree = held.tree.as_ref().ok_or_else(missing)?;
                program.attach_tree(tree.as_fd(), &text(path.as_os_str())?);
            }
            Action::MountSys => program.mount_sys(Otherwise::GoOn),
            Action::ChangeRoot { target } => {
                let root = held.root.as_ref().ok_or_else(missing)?;
                program.fchdir(
                    root.as_fd(),
                    if *target { "root of the target" } else { "the root given" },
                    Otherwise::Stop,
                );
                program.chroot_here();
            }
            Action::ChangeDirectory { target } => {
                let directory = held.directory.as_ref().ok_or_else(missing)?;
                let name = if *target { "directory of the target" } else { "the directory given" };
                program.fchdir(directory.as_fd(), name, Otherwise::Stop);
                // In one's own root directory it may be elsewhere; in another one that would be a way out.
                if *target && self.plan.other_root {
                    program.check_directory(Otherwise::Stop);
                }
            }
            Action::FindDirectory { path, required } => {
                let otherwise = if *required { Otherwise::Stop } else { Otherwise::GoOn };
                if !required {
                    program.chdir_root();
                }
                if *required || path != Path::new("/") {
                    program.chdir(&text(path.as_os_str())?, otherwise);
                }
            }
            Action::DropGroups => program.drop_groups(),
            Action::SetGid(gid) => program.set_gid(*gid),
            Action::SetUid(uid) => {
                if self
                    .plan
                    .steps
                    .iter()
                    .any(|step| matches!(step.action, Action::LimitCaps { root: false, .. } | Action::KeepCaps(_)))
                {
                    program.keep_caps();
                }
                program.set_uid(*uid);
            }
            Action::DropBounding(caps) => program.drop_from_bounding(*caps),
            Action::LimitCaps { kept, root } => {
                program.clear_ambient();
                program.set_caps(*kept, if *root { CapSet::EMPTY } else { *kept });
                if !root {
                    program.raise_ambient(*kept);
                }
            }
            Action::KeepCaps(kept) => {
                program.set_caps(*kept, *kept);
                program.raise_ambient(*kept);
            }
            Action::NoNewPrivs => program.no_new_privs(),
            Action::Fork { .. } => {
                // A change of ids may have taken it back, see proc_sys_fs(5) on suid_dumpable.
                program.forbid_tracing();
                self.fork = Some(program.fork_sibling());
                program.new_group();
                if let Some(terminal) = self.wiring.and_then(|wiring| wiring.terminal) {
                    program.to_foreground(terminal);
                }
            }
            Action::MountProc => program.mount_proc(Otherwise::GoOn),
            Action::TakeContext(context) => {
                let (attr, label) = if held.apparmor {
                    (c"self/attr/apparmor/exec", format!("exec {context}"))
                } else {
                    (c"self/attr/exec", context.clone())
                };
                program.set_context(self.proc.as_fd(), &attr.to_owned(), label.as_bytes());
            }
            Action::Exec { .. } => {}
        }
        Ok(())
    }

    /// With a pidfd in one call; with files one after the other, the user namespace last.
    fn enter_target(&mut self, kinds: KindSet) -> Option<()> {
        let pid = self.facts.target.as_ref()?.pid;
        if let Some(pidfd) = &self.held.pidfd {
            self.program.setns(pidfd.as_fd(), kinds, &format!("pidfd of {pid}"), Otherwise::Stop);
            return Some(());
        }
        let user = [NsKind::User].into_iter().filter(|kind| kinds.contains(*kind));
        for kind in kinds.iter().filter(|kind| *kind != NsKind::User).chain(user) {
            let namespace = self.held.namespaces[kind.index()].as_ref()?;
            let name = format!("/proc/{pid}/ns/{kind}");
            self.program.setns(namespace.as_fd(), KindSet::NONE.with(kind), &name, Otherwise::Stop);
        }
        Some(())
    }

    fn exec(
        &mut self,
        command: &[OsString],
        surroundings: &Surroundings,
        by_shell: Option<&CString>,
    ) -> Result<(), EnterError> {
        let environment = self.program.strings(&surroundings.environment);
        let candidates = candidates(command, surroundings, self.plan.other_root, by_shell)?;
        if let Some(wiring) = self.wiring {
            // After all changes of ids, which take it back; and whoever has lost its parent before learns it from the pipe.
            self.program.die_with_parent();
            self.program.say_ready(wiring.report);
            if wiring.ignores_children {
                self.program.ignore_children();
            }
            self.program.set_mask(wiring.mask);
            self.program.close_at_exec(&[wiring.report, wiring.lifeline]);
        }
        if self.wiring.is_none() && self.plan.other_root && !self.plan.forks && !self.explained {
            return self.exec_by_stub(candidates, surroundings, environment);
        }
        let mut arguments: Option<(Vec<CString>, Strings)> = None;
        let last = candidates.len();
        for (place, (path, words)) in candidates.into_iter().enumerate() {
            let strings = match arguments.take() {
                Some((known, strings)) if known == words => strings,
                _ => self.program.strings(&words),
            };
            arguments = Some((words, strings));
            let otherwise = if place + 1 == last { Otherwise::Stop } else { Otherwise::GoOn };
            self.program.exec(&path, strings, environment, otherwise);
        }
        Ok(())
    }

    /// nsx itself executes nothing in a root directory that is somebody else's: an interpreter line of `#!/proc/self/exe` would execute nsx.
    fn exec_by_stub(
        &mut self,
        candidates: Vec<(CString, Vec<CString>)>,
        surroundings: &Surroundings,
        environment: Strings,
    ) -> Result<(), EnterError> {
        let cannot = |error| EnterError::Failed("cannot start the command".to_owned(), error);
        // What leads back to /proc/self/exe executes the stub once more; the pipe is closed then, and there is an end to it.
        let (once, _) = spawn::pipe().map_err(cannot)?;
        let mut last = Program::default();
        let first = last.close_once(once.as_fd());
        let inside = last.strings(&surroundings.environment);
        let name = candidates.last().and_then(|(_, words)| words.first()).cloned().unwrap_or_default();
        for (path, words) in candidates {
            let words = last.strings(&words);
            last.exec_quietly(&path, words, inside);
        }
        let name = name.to_string_lossy().escape_debug().to_string();
        last.patch(first, last.here());
        last.complain(format!("nsx: cannot execute {name} in the target's root directory\n").as_bytes());
        last.exit(127);
        // It reports nothing, as there is nobody to hear it.
        let stub = last.seal(std::io::stderr().as_fd()).map_err(cannot)?;
        self.program.leave_open(once.as_fd());
        self.program.exec_stub(stub.as_fd(), environment);
        self.stub = vec![stub, once];
        Ok(())
    }

    /// What the stub does when it has made the command's process.
    fn finish(&mut self) {
        let (Some(fork), Some(wiring)) = (self.fork, self.wiring) else { return };
        let program = &mut self.program;
        program.patch(fork, program.here());
        if wiring.terminal.is_none() {
            // It stays to end what is left of the command when nsx is killed, and holds nothing open meanwhile.
            program.close_all_but(wiring.lifeline);
            program.wait_for_end(wiring.lifeline);
            program.kill_group();
        }
        program.exit(0);
    }
}
