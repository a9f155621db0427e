//! Entering: the plan is made, turned into a list of system calls, and run; its end is the command's.
//!
//! Not here: watching over the command (`supervise`, `terminal`), words for users (`cmd`).

use std::ffi::CString;
use std::fmt;
use std::io::{Stderr, Stdin, Stdout};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::compile::{Purpose, Wiring, compile};
use super::diagnose::{self, Refusal};
use super::facts::{self, Held};
use super::plan::{Action, Facts, Plan, PlanError};
use super::request::Request;
use super::supervise::{End, Progress, Watch};
use super::surroundings::Surroundings;
use super::terminal::Proxy;
use crate::model::NsKind;
use crate::proc::ProcRoot;
use crate::select::TargetError;
use crate::sys::program::{Failure, Program};
use crate::sys::signal::{self, Signals};
use crate::sys::spawn::{self, Forked};
use crate::sys::tty::{self, Settings};
use crate::sys::{Call, Errno, SysError};

/// What ps(1) shows of a stub.
const NAME: &std::ffi::CStr = c"nsx: holds a command";

/// Why nothing was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnterError {
    /// The target is not there.
    Target(TargetError),
    /// What was asked for cannot be.
    Plan(PlanError),
    /// Something else failed, while doing what the text says.
    Failed(String, SysError),
    /// A file is a namespace of another kind than it was given for.
    WrongKind(String, NsKind, Option<NsKind>),
    /// A namespace refused.
    Refused(Box<Refusal>),
    /// A step failed.
    Step(Box<Action>, SysError),
    /// There is more than one thread.
    Threads,
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnterError::Target(error) => error.fmt(f),
            EnterError::Plan(error) => error.fmt(f),
            EnterError::Failed(what, error) => write!(f, "{what}: {error}"),
            EnterError::WrongKind(what, wanted, found) => {
                write!(f, "{what} is no {wanted} namespace")?;
                found.map_or(Ok(()), |found| write!(f, ", but a {found} namespace"))
            }
            EnterError::Refused(refusal) => {
                f.write_str("cannot enter ")?;
                match (refusal.kind, refusal.id) {
                    (Some(kind), Some(id)) => write!(f, "{kind} namespace {id}")?,
                    (Some(kind), None) => write!(f, "the {kind} namespace")?,
                    (None, _) => f.write_str("the namespaces")?,
                }
                if let Some(pid) = refusal.pid {
                    write!(f, " of process {pid}")?;
                }
                write!(f, ": {}", refusal.error)
            }
            EnterError::Step(action, error) => write!(f, "{}: {error}", cannot(action)),
            EnterError::Threads => f.write_str("cannot enter namespaces from a process with several threads"),
        }
    }
}

/// What a step was to do, as the start of a message.
fn cannot(action: &Action) -> String {
    match action {
        Action::JoinCgroup { .. } => "cannot join the target's cgroup".to_owned(),
        Action::PrivateMounts => "cannot make a mount namespace".to_owned(),
        Action::ShowTarget(path) => format!("cannot show the target's root directory at {}", path.display()),
        Action::MountSys => "cannot mount /sys".to_owned(),
        Action::ChangeRoot { .. } => "cannot change the root directory".to_owned(),
        Action::ChangeDirectory { .. } => "cannot change the working directory".to_owned(),
        Action::FindDirectory { path, .. } => format!("cannot change to {} inside", path.display()),
        Action::DropGroups => "cannot give up supplementary groups".to_owned(),
        Action::SetGid(gid) => format!("cannot become gid {gid}"),
        Action::SetUid(uid) => format!("cannot become uid {uid}"),
        Action::DropBounding(_) | Action::LimitCaps { .. } => "cannot give up capabilities".to_owned(),
        Action::KeepCaps(_) => "cannot keep capabilities".to_owned(),
        Action::NoNewPrivs => "cannot set no_new_privs".to_owned(),
        Action::Fork { .. } => "cannot make a process for the command".to_owned(),
        Action::MountProc => "cannot mount /proc".to_owned(),
        Action::TakeContext(context) => format!("cannot take the security context {context}"),
        Action::Exec { .. } => "cannot execute the command".to_owned(),
        Action::EnterTarget(_) | Action::EnterFile(_) | Action::EnterOwner(_) | Action::EnterUserParent => {
            "cannot enter".to_owned()
        }
    }
}

impl std::error::Error for EnterError {}

impl From<TargetError> for EnterError {
    fn from(error: TargetError) -> EnterError {
        EnterError::Target(error)
    }
}

impl From<PlanError> for EnterError {
    fn from(error: PlanError) -> EnterError {
        EnterError::Plan(error)
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The command exited with this code.
    Exited(i32),
    /// The command was killed by this signal; also nsx itself, before there was a command.
    Killed(i32),
    /// The command was ended because its time was over.
    TimedOut,
    /// The command could not be executed: it was not found, or, with another errno, found.
    NotExecuted(SysError),
    /// The command is there, and its interpreter is not: that of a script, or the loader of a program's libraries.
    NotInterpreted(SysError),
}

/// What a caller wants to hear meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The command runs, in the process with this pid.
    Started(i32),
    /// Something that was not required has not worked.
    Note(String),
}

/// Everything that is needed to enter, found and open.
pub struct Prepared<'a> {
    /// What was asked for.
    pub request: &'a Request,
    /// What the host says.
    pub facts: Facts,
    /// The steps.
    pub plan: Plan,
    held: Held,
    proc: &'a ProcRoot,
}

/// Sees to it that the command gets no descriptors but the standard streams and those in `keep`. To be called before anything else is
/// opened, so that no descriptor of nsx's own is taken for one of those.
///
/// # Errors
/// `EBADF` where one of them is not open.
pub fn keep_only(keep: &[i32], status: Option<i32>) -> Result<(), EnterError> {
    let failed = |what: &str, fd, error| EnterError::Failed(format!("cannot {what} descriptor {fd}"), error);
    status.map_or(Ok(()), |fd| spawn::check_writable(fd).map_err(|error| failed("write to status", fd, error)))?;
    spawn::close_all_but(keep).map_err(|(fd, error)| failed("keep", fd, error))
}

/// Finds the target and makes the plan. Nothing is entered.
///
/// # Errors
/// Where the target is not there, or what was asked for cannot be.
pub fn prepare<'a>(proc: &'a ProcRoot, request: &'a Request) -> Result<Prepared<'a>, EnterError> {
    let (facts, held) = facts::gather(proc, request)?;
    let plan = super::plan(request, &facts)?;
    Ok(Prepared { request, facts, plan, held, proc })
}

impl Prepared<'_> {
    /// Returns the system calls of each step, for a reader.
    ///
    /// # Errors
    /// As [`Prepared::run`], before anything is done.
    pub fn calls(&self) -> Result<Vec<Vec<String>>, EnterError> {
        let surroundings = Surroundings::new(self.request, &self.plan, &self.held);
        let (program, _) = compile(&self.plan, &self.facts, &self.held, self.proc, &surroundings, None, Purpose::Read)?;
        let mut calls = vec![Vec::new(); self.plan.steps.len()];
        for (step, call) in program.calls() {
            calls[step].push(call.to_string());
        }
        Ok(calls)
    }

    /// Enters, and runs the command to its end. Where nsx need not stay it becomes the command, and this returns only if that fails.
    ///
    /// # Errors
    /// Where a step fails that the command cannot do without.
    pub fn run(&self, hear: &mut dyn FnMut(Event)) -> Result<Ended, EnterError> {
        if !spawn::is_single_threaded() {
            return Err(EnterError::Threads);
        }
        let surroundings = Surroundings::new(self.request, &self.plan, &self.held);
        let signals = match self.plan.forks {
            true => {
                signal::adopt_orphans();
                Some(
                    Signals::block()
                        .map_err(|error| EnterError::Failed("cannot watch over a command".into(), error))?,
                )
            }
            false => None,
        };
        let attempt = |by_shell: Option<&CString>, hear: &mut dyn FnMut(Event)| match &signals {
            Some(signals) => self.watch(signals, &surroundings, by_shell, hear),
            None => self.become_command(&surroundings, by_shell, hear),
        };
        let ended = attempt(None, hear)?;
        match &ended {
            // A script without an interpreter line is the shell's, as for execvp(3).
            Ended::NotExecuted(SysError { call: Call::Execve(path), errno: Errno::ENOEXEC }) => {
                match CString::new(path.clone()) {
                    Ok(script) => attempt(Some(&script), &mut |_| {}),
                    Err(_) => Ok(ended),
                }
            }
            _ => Ok(ended),
        }
    }

    fn become_command(
        &self,
        surroundings: &Surroundings,
        by_shell: Option<&CString>,
        hear: &mut dyn FnMut(Event),
    ) -> Result<Ended, EnterError> {
        let purpose = Purpose::Run { by_shell };
        let (program, _stub) = compile(&self.plan, &self.facts, &self.held, self.proc, surroundings, None, purpose)?;
        signal::default_pipe();
        let mut failures = Vec::new();
        if let Err(failure) = program.run(|failure| failures.push(failure)) {
            failures.push(failure);
        }
        self.judge(failures, true, hear)
    }

    fn watch(
        &self,
        signals: &Signals,
        surroundings: &Surroundings,
        by_shell: Option<&CString>,
        hear: &mut dyn FnMut(Event),
    ) -> Result<Ended, EnterError> {
        let cannot = |error| EnterError::Failed("cannot start the command".to_owned(), error);
        let (reports, report) = spawn::pipe().map_err(cannot)?;
        let (lifeline, life) = spawn::pipe().map_err(cannot)?;
        let terminal = match self.plan.terminal {
            true => Some(self.terminal().map_err(|error| EnterError::Failed("cannot make a terminal".into(), error))?),
            false => None,
        };
        let far = terminal.as_ref().map(|(_, far)| far.as_fd());
        let wiring = Wiring {
            report: report.as_fd(),
            lifeline: lifeline.as_fd(),
            terminal: far,
            mask: signals.before(),
            ignores_children: signals.ignored_children(),
        };
        let purpose = Purpose::Run { by_shell };
        let (program, _) =
            compile(&self.plan, &self.facts, &self.held, self.proc, surroundings, Some(&wiring), purpose)?;
        let mut started = |pid| hear(Event::Started(pid));
        let (progress, end) = match terminal {
            None => {
                let stub = spawn::start(&program, report.as_fd(), [None; 3], &[NAME]).map_err(cannot)?;
                drop((report, lifeline));
                let timeout = self.request.timeout;
                let prompt = self.request.watched || self.request.tools.is_some();
                let watch = Watch {
                    program: &program,
                    stub,
                    reports,
                    signals,
                    timeout,
                    prompt,
                    relay: None,
                    left_behind: None,
                };
                let outcome = watch.run(&mut started);
                drop(life);
                outcome
            }
            Some((near, far)) => {
                let caller =
                    Settings::of(self.caller_terminal(&std::io::stdin(), &std::io::stdout(), &std::io::stderr()));
                let (relayed, relay) = spawn::pipe().map_err(cannot)?;
                let keeper = match spawn::fork().map_err(cannot)? {
                    Forked::Child => {
                        drop((near, relayed, life));
                        self.keep(&program, far, (reports, report), relay, caller.as_ref())
                    }
                    Forked::Parent(keeper) => keeper,
                };
                drop((far, reports, report, lifeline, relay, life));
                let terminals = self.facts.terminals;
                Proxy { keeper, near, terminals, reports: relayed, signals, program: &program }.run(&mut started)
            }
        };
        self.settle(progress, end, hear)
    }

    /// Returns the first of the standard streams that is a terminal.
    fn caller_terminal<'a>(&self, stdin: &'a Stdin, stdout: &'a Stdout, stderr: &'a Stderr) -> BorrowedFd<'a> {
        match self.facts.terminals {
            [true, ..] => stdin.as_fd(),
            [_, true, _] => stdout.as_fd(),
            _ => stderr.as_fd(),
        }
    }

    /// Makes the terminal of the command, like the caller's.
    fn terminal(&self) -> Result<(OwnedFd, OwnedFd), SysError> {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let like = self.caller_terminal(&stdin, &stdout, &stderr);
        // In a pipeline the caller's terminal stays in line mode, and shows what is typed itself.
        tty::pair(like, self.facts.terminals[0] && self.facts.terminals[1])
    }

    /// The life of the keeper: it leads the session of the command's terminal, and ends as the command does.
    fn keep(
        &self,
        program: &Program,
        far: OwnedFd,
        pipe: (OwnedFd, OwnedFd),
        relay: OwnedFd,
        caller: Option<&Settings>,
    ) -> ! {
        let (reports, report) = pipe;
        let failed = |error: SysError| -> ! {
            spawn::Report::Failed(super::supervise::ABOUT, error.errno).send(relay.as_fd());
            spawn::exit_now(1)
        };
        // The signals that come to nsx are passed on; these are the keeper's own.
        let signals = Signals::block().unwrap_or_else(|error| failed(error));
        tty::lead_session_on(far.as_fd()).unwrap_or_else(|error| failed(error));
        for (place, terminal) in self.facts.terminals.into_iter().enumerate() {
            if terminal {
                tty::take_place(far.as_fd(), place as i32);
            }
        }
        signal::adopt_orphans();
        let stub = spawn::start(program, report.as_fd(), [None; 3], &[NAME]).unwrap_or_else(|error| failed(error));
        drop((report, far));
        let timeout = self.request.timeout;
        let watch = Watch {
            program,
            stub,
            reports,
            signals: &signals,
            timeout,
            prompt: true,
            relay: Some(relay.as_fd()),
            left_behind: caller,
        };
        match watch.run(|_| {}).1 {
            End::Exited(code) => spawn::exit_now(code),
            End::Killed(number) | End::NotStarted(Some(number)) => signal::die_by(number),
            End::NotStarted(None) => {}
        }
        spawn::exit_now(1)
    }

    /// What became of a command that was watched.
    fn settle(&self, progress: Progress, end: End, hear: &mut dyn FnMut(Event)) -> Result<Ended, EnterError> {
        let Progress { failures, fatal, timed_out, .. } = progress;
        match end {
            End::NotStarted(_) if timed_out && !fatal => Ok(Ended::TimedOut),
            End::NotStarted(Some(number)) if !fatal => Ok(Ended::Killed(number)),
            End::NotStarted(_) => self.judge(failures, true, hear),
            _ => {
                let ended = self.judge(failures, false, hear);
                match end {
                    _ if timed_out => Ok(Ended::TimedOut),
                    End::Exited(code) => Ok(Ended::Exited(code)),
                    End::Killed(number) => Ok(Ended::Killed(number)),
                    End::NotStarted(_) => ended,
                }
            }
        }
    }

    /// Sorts failures: those that were allowed are told, the last one of a command that did not start is the reason for that.
    fn judge(
        &self,
        mut failures: Vec<Failure>,
        stopped: bool,
        hear: &mut dyn FnMut(Event),
    ) -> Result<Ended, EnterError> {
        let reason = if stopped { failures.pop() } else { None };
        let is_exec = |failure: &Failure| {
            self.plan.steps.get(failure.step).is_some_and(|step| matches!(step.action, Action::Exec { .. }))
        };
        let (looked, notes): (Vec<Failure>, Vec<Failure>) = failures.into_iter().partition(is_exec);
        for failure in notes {
            if let Some(note) = self.note(&failure) {
                hear(Event::Note(note));
            }
        }
        let Some(reason) = reason else {
            let unknown = SysError::new(Call::Waitpid, Errno::ECHILD);
            return Err(EnterError::Failed("the command's process ended before the command was there".into(), unknown));
        };
        if is_exec(&reason) && matches!(reason.error.call, Call::Execve(_)) {
            // Of several places that were looked at, the one where something was found says more.
            let found = looked.into_iter().chain([reason]).fold(None, |best: Option<Failure>, next| match best {
                Some(best) if !is_absent(best.error.errno) => Some(best),
                _ => Some(next),
            });
            if let Some(found) = found {
                return Ok(Ended::NotExecuted(found.error));
            }
            return Err(EnterError::Threads);
        }
        let Some(step) = self.plan.steps.get(reason.step) else {
            return Err(EnterError::Failed("cannot enter".to_owned(), reason.error));
        };
        match diagnose::refusal(&step.action, &reason, &self.facts, &self.held) {
            Some(refusal) => Err(EnterError::Refused(Box::new(refusal))),
            None => Err(EnterError::Step(Box::new(step.action.clone()), reason.error)),
        }
    }

    /// What a failure that was allowed means for a user.
    fn note(&self, failure: &Failure) -> Option<String> {
        let action = &self.plan.steps.get(failure.step)?.action;
        Some(match action {
            Action::JoinCgroup { index, .. } => {
                let hierarchy = &self.facts.cgroups.get(*index)?.hierarchy;
                format!("not in the target's {hierarchy} cgroup: {}", failure.error)
            }
            Action::FindDirectory { path, .. } => match failure.error.errno {
                Errno::ENOENT | Errno::ENOTDIR => format!("{} is not there; starting in /", path.display()),
                _ => format!("cannot change to {}; starting in /: {}", path.display(), failure.error),
            },
            action => format!("{}: {}", cannot(action), failure.error),
        })
    }
}

/// Says whether an errno of execve(2) means that there is no such program.
fn is_absent(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR)
}
