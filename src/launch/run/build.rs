//! Building a sandbox and running a command in it: nsx's own steps, and those of the processes that it starts.
//!
//! The stub is started first, so that it is there when there is something to clean up; then the cgroups are made, while the stub makes the
//! first process, unless that is born into one of them. When it is there, nsx writes its id maps and releases it. Not here: watching over
//! the command (`supervise`), words for users (`cmd`).

mod judge;

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use super::compile::{Wiring, compile};
use super::error::RunError;
use super::forbidden;
use super::gather::{Held, gather, possible};
use super::ids::{self, WriteError};
use super::limits::Made;
use super::plan::{kept, plan};
use super::report::{self, Report, Usage};
use super::request::RunRequest;
use super::seccomp;
use super::steps::{Action, Facts, Plan, Who};
use super::supervise::{End, Watch};
use crate::launch::Ended;
use crate::launch::surroundings::{STANDARD_PATH, Surroundings};
use crate::model::{NsKind, Pid};
use crate::proc::ProcRoot;
use crate::sandbox::nsx::WORDS;
use crate::sys::program::{Failure, Program};
use crate::sys::signal::{self, Signals};
use crate::sys::{Call, Errno, SysError, dir, message, spawn, tree, tty};

/// Which variables of the caller's the command gets: those that say how to talk to its user, and where programs are.
const KEPT: [&str; 9] =
    ["TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ", "NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES"];

/// What a caller wants to hear meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The command runs, in the process with this pid.
    Started(i32),
    /// Something that was not required has not worked.
    Note(String),
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended; `None` where nsx does not wait for that.
    pub ended: Option<Ended>,
    /// What it has used, and what was in its way.
    pub report: Report,
    /// How long it ran.
    pub wall: Duration,
}

/// A sandbox that is to be.
pub struct Sandbox<'a> {
    /// What was asked for.
    pub request: Cow<'a, RunRequest>,
    /// What the host says.
    pub facts: Facts,
    /// The steps.
    pub plan: Plan,
    held: Held,
    proc: &'a ProcRoot,
    halt_at: Option<usize>,
}

/// Pipes and sockets between the processes, the ends that others have.
struct Ends {
    report: OwnedFd,
    release: OwnedFd,
    lifeline: OwnedFd,
    executed: OwnedFd,
}

impl<'a> Sandbox<'a> {
    /// Looks at the host, and makes the plan. Nothing is changed.
    ///
    /// # Errors
    /// Where what was asked for cannot be.
    pub fn prepare(proc: &'a ProcRoot, request: &'a RunRequest) -> Result<Sandbox<'a>, RunError> {
        let (request, note) = possible(proc, request);
        let (mut facts, held) = gather(proc, &request)?;
        facts.notes.extend(note);
        let plan = plan(&request, &facts);
        Ok(Sandbox { request, facts, plan, held, proc, halt_at: None })
    }

    /// Has whoever makes the step with this place halt before it, and nsx kill itself then: for tests of what is left.
    pub fn halt_at(&mut self, step: usize) {
        self.halt_at = Some(step);
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.held.name
    }

    /// Returns the paths of its cgroups, with what their hierarchies are called.
    pub fn cgroups(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.held.cgroups.paths()
    }

    /// Returns the system calls of each step, for a reader.
    ///
    /// # Errors
    /// Where a word has a NUL in it.
    pub fn calls(&self) -> Result<Vec<Vec<String>>, RunError> {
        let program = self.readable(0, false)?;
        let limits = self.held.cgroups.steps();
        let mut calls: Vec<Vec<String>> = self
            .plan
            .steps
            .iter()
            .map(|step| match &step.action {
                Action::Limit(place) => limits.get(*place).map(|step| step.calls.clone()).unwrap_or_default(),
                Action::WriteMaps => self.map_calls(),
                Action::MapOwners => vec!["mount_setattr(…, AT_EMPTY_PATH, MOUNT_ATTR_IDMAP)".to_owned()],
                Action::Release => vec!["write(the pipe to the next process)".to_owned()],
                _ => Vec::new(),
            })
            .collect();
        for (step, call) in program.calls().filter(|(_, call)| !matches!(call, Call::Step(_))) {
            calls[step].push(call.to_string());
        }
        Ok(calls)
    }

    /// Makes the list for a reader. Nobody may run it. It has the same calls in the same places as one that is run, so each descriptor is one of
    /// its own: what comes twice is closed once.
    fn readable(&self, mask: u64, ignores_children: bool) -> Result<Program, RunError> {
        let null = dir::open_read_cwd(c"/dev/null").map_err(|errno| {
            RunError::Failed("cannot explain".into(), SysError::new(Call::Openat(b"/dev/null".into()), errno))
        })?;
        let copy = || {
            null.try_clone().map_err(|error| {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
                RunError::Failed("cannot explain".into(), SysError::new(Call::Fcntl("F_DUPFD"), errno))
            })
        };
        let ends = Ends { report: copy()?, release: copy()?, lifeline: copy()?, executed: copy()? };
        self.compile(Program::default(), &ends, mask, ignores_children)
    }

    fn map_calls(&self) -> Vec<String> {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        self.held
            .ids
            .files()
            .iter()
            .map(|(file, content)| format!("write(/proc/PID/{}, \"{}\")", text(file.to_bytes()), text(content)))
            .collect()
    }

    /// Puts the command's environment together.
    fn environment(&self) -> Vec<CString> {
        let request = &self.request.environment;
        let mut variables: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let set = |variables: &mut Vec<(Vec<u8>, Vec<u8>)>, name: &[u8], value: &[u8]| {
            variables.retain(|(known, _)| known != name);
            variables.push((name.to_vec(), value.to_vec()));
        };
        if !request.clear {
            for (name, value) in std::env::vars_os() {
                let kept = KEPT.iter().any(|kept| name == *kept) || name.as_bytes().starts_with(b"LC_");
                if kept {
                    set(&mut variables, name.as_bytes(), value.as_bytes());
                }
            }
            let own = std::env::var_os("PATH").filter(|_| self.held.root.is_none());
            set(&mut variables, b"PATH", own.as_deref().map_or(STANDARD_PATH, OsStr::as_bytes));
            set(&mut variables, b"HOME", &self.facts.user.home);
            let name = self.held.account.name.clone().unwrap_or_else(|| self.facts.user.uid.to_string().into());
            set(&mut variables, b"USER", name.as_bytes());
            set(&mut variables, b"LOGNAME", name.as_bytes());
            // systemd's name for "this is a container, made by": programs look at it.
            set(&mut variables, b"container", b"nsx");
        }
        for (name, value) in &request.set {
            let value = value.clone().or_else(|| std::env::var_os(name));
            if let Some(value) = value {
                set(&mut variables, name.as_bytes(), value.as_bytes());
            }
        }
        variables
            .into_iter()
            .filter_map(|(name, value)| CString::new([&name[..], b"=", &value].concat()).ok())
            .collect()
    }

    fn compile(&self, program: Program, ends: &Ends, mask: u64, ignores_children: bool) -> Result<Program, RunError> {
        let surroundings = Surroundings::of(self.environment());
        let cgroups: Vec<(BorrowedFd<'_>, &CStr)> = self.held.cgroups.places().collect();
        let removal: Vec<(BorrowedFd<'_>, &CStr)> = self.held.cgroups.removal().collect();
        let streams = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let terminals = self.held.terminals;
        let likeness = match terminals {
            // In a pipeline the caller's terminal stays in line mode, and shows what is typed itself.
            [true, with, _] => tty::likeness(streams.0.as_fd(), with),
            [_, true, _] => tty::likeness(streams.1.as_fd(), false),
            [_, _, true] => tty::likeness(streams.2.as_fd(), false),
            _ => None,
        };
        let screen = match terminals {
            [true, ..] => Some(streams.0.as_fd()),
            [_, true, _] => Some(streams.1.as_fd()),
            [_, _, true] => Some(streams.2.as_fd()),
            _ => None,
        };
        let before = screen.and_then(|screen| Some((screen, tty::likeness(screen, true)?.0)));
        let of = seccomp::Surroundings {
            outside: !self.plan.created.contains(NsKind::User),
            first_process: self.request.init && self.plan.created.contains(NsKind::Pid),
        };
        let filter = self.request.seccomp.then(|| seccomp::filter(kept(&self.request, &self.facts), of));
        let locks: Vec<BorrowedFd<'_>> = self.held.ids.locks.iter().chain(&self.held.locks).map(AsFd::as_fd).collect();
        let wiring = Wiring {
            report: ends.report.as_fd(),
            release: ends.release.as_fd(),
            lifeline: ends.lifeline.as_fd(),
            executed: ends.executed.as_fd(),
            cgroups: &cgroups,
            removal: &removal,
            locks: &locks,
            net: self.held.net.as_ref().map(AsFd::as_fd),
            trees: &self.held.trees,
            mask,
            ignores_children,
            terminal: likeness.as_ref().map(|(settings, size)| (&settings[..], *size, terminals)),
            screen: before.as_ref().map(|(screen, settings)| (*screen, &settings[..])),
            filter: filter.as_ref(),
        };
        Ok(compile(program, &self.plan, &self.request, &surroundings, &wiring, self.halt_at)?)
    }

    /// Builds the sandbox, and runs the command in it to its end, or, detached, to its beginning.
    ///
    /// # Errors
    /// Where a step fails that the command cannot do without. Nothing is left then.
    pub fn run(&self, hear: &mut dyn FnMut(Event)) -> Result<Outcome, RunError> {
        let cannot = |error| RunError::Failed("cannot watch over a command".to_owned(), error);
        signal::adopt_orphans();
        let signals = Signals::block().map_err(cannot)?;
        self.attempt(&signals, hear)
    }

    fn attempt(&self, signals: &Signals, hear: &mut dyn FnMut(Event)) -> Result<Outcome, RunError> {
        let cannot_start = |error| RunError::Failed("cannot start a sandbox".to_owned(), error);
        let (reports, report) = message::pair().map_err(cannot_start)?;
        let (release, releases) = spawn::pipe().map_err(cannot_start)?;
        let (lifeline, life) = spawn::pipe().map_err(cannot_start)?;
        let (done, executed) = spawn::pipe().map_err(cannot_start)?;
        let ends = Ends { report, release, lifeline, executed };
        let (mask, ignored) = (signals.before(), signals.ignored_children());
        let program = self.compile(Program::without_names(), &ends, mask, ignored)?;
        let name = CString::new(self.held.name.clone()).unwrap_or_default();
        let stub = self.start(&program, ends.report.as_fd(), &[WORDS, &name]).map_err(cannot_start)?;
        drop(ends);
        let made = match self.make_cgroups() {
            Ok(made) => made,
            Err(error) => {
                let _ = signal::send(stub, nix::libc::SIGKILL);
                signal::reap(signals, stub);
                // A first process finds out that nobody releases it any more, and ends.
                drop(releases);
                signal::reap(signals, -1);
                return Err(error);
            }
        };
        let baseline = report::before(&made);
        let mut refused = None;
        let heard = RefCell::new(&mut *hear);
        let mut settle =
            |pid: i32| self.settle(pid, &releases, &mut **heard.borrow_mut()).map_err(|error| refused = Some(error));
        let mut pid = None;
        let watch = Watch {
            program: &program,
            stub,
            reports,
            executed: done,
            signals,
            timeout: self.request.timeout,
            terminals: self.held.terminals,
            init: self.request.init,
            detach: self.request.detach,
            prompt: self.request.watched,
            halt_at: self.halt_at,
        };
        let mut started = |command| {
            pid = Some(command);
            heard.borrow_mut()(Event::Started(command));
        };
        if self.plan.has(|action| *action == Action::AwaitCgroups) {
            self.halt_before(|action| *action == Action::Release);
            spawn::write_byte(releases.as_fd());
        }
        let start = Instant::now();
        let watched = watch.run(&mut settle, &mut started);
        let wall = start.elapsed();
        let detached = self.request.detach && pid.is_some();
        let mut report = Report::default();
        if !detached {
            let killed = matches!(watched.end, End::Killed(nix::libc::SIGKILL));
            let used = signal::used_by_children();
            let usage =
                Usage { user_usec: used.user_usec, system_usec: used.system_usec, max_rss_bytes: used.max_rss_bytes };
            report = report::read(&made, &baseline, usage, killed && pid.is_some());
            let removed = made.remove();
            drop(life);
            let _ = signal::send(stub, nix::libc::SIGKILL);
            if let Err(error) = removed {
                hear(Event::Note(format!("left behind: {error}")));
            }
        }
        let again = OnceCell::new();
        // What was called is put into words only now that somebody wants to read it.
        let name = |(place, errno): (usize, Errno)| {
            // Where the terminal has gone meanwhile there would be other calls in these places.
            let is_same = |named: &Program| named.here() == program.here();
            let named = again.get_or_init(|| self.readable(mask, ignored).ok().filter(is_same));
            let named = named.as_ref().and_then(|program| program.at(place));
            let (step, call) = named.map_or((usize::MAX, Call::Step("a call")), |(step, call)| (step, call.clone()));
            Failure { step: program.step_at(place).unwrap_or(step), error: SysError::new(call, errno) }
        };
        let ended = match refused {
            Some(error) => Err(error),
            None => self.judge(watched, &program, &name, hear),
        };
        drop((made, program));
        if !detached {
            // It has had time to end meanwhile.
            signal::reap(signals, stub);
        }
        let ended = ended?;
        Ok(Outcome { ended: if detached { None } else { Some(ended) }, report, wall })
    }

    fn start(&self, program: &Program, report: BorrowedFd<'_>, words: &[&CStr]) -> Result<i32, SysError> {
        if !self.request.detach {
            return spawn::start(program, report, [None; 3], words);
        }
        // Nobody is there any more who would read or write; files stay.
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
        let null = null.map_err(|error| {
            SysError::new(Call::Openat(b"/dev/null".to_vec()), Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        })?;
        let is_file = |fd: BorrowedFd<'_>| {
            fd.try_clone_to_owned().is_ok_and(|fd| File::from(fd).metadata().is_ok_and(|found| found.is_file()))
        };
        let streams = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let null = |fd: BorrowedFd<'_>| (!is_file(fd)).then_some(null.as_fd());
        spawn::start(
            program,
            report,
            [null(streams.0.as_fd()), null(streams.1.as_fd()), null(streams.2.as_fd())],
            words,
        )
    }

    fn make_cgroups(&self) -> Result<Made, RunError> {
        self.halt_before(|action| matches!(action, Action::Limit(_)));
        Ok(self.held.cgroups.make()?)
    }

    /// Does what the first process waits for.
    fn settle(&self, pid: i32, releases: &OwnedFd, hear: &mut dyn FnMut(Event)) -> Result<(), RunError> {
        if self.plan.has(|action| *action == Action::WriteMaps) {
            self.halt_before(|action| *action == Action::WriteMaps);
            ids::write(&self.held.ids, self.proc, pid).map_err(|error| self.maps_refused(error))?;
            if self.facts.maps_owners {
                self.halt_before(|action| *action == Action::MapOwners);
                self.map_owners(pid, hear);
            }
        }
        if self.plan.has(|action| *action == Action::AwaitRelease) {
            self.halt_before(|action| *action == Action::Release);
            spawn::write_byte(releases.as_fd());
        }
        Ok(())
    }

    fn maps_refused(&self, error: WriteError) -> RunError {
        let errno = error.errno();
        let with_root = self.held.ids.uid_outside(0) == Some(0);
        let forbidden = errno.and_then(|errno| forbidden::mapping(self.proc, &self.held.caller, with_root, errno));
        RunError::Maps(error, forbidden)
    }

    fn map_owners(&self, pid: i32, hear: &mut dyn FnMut(Event)) {
        let unmapped = "files that are shown look like nobody's, and may not be written to";
        let opened = self.proc.process(Pid(pid.unsigned_abs())).and_then(|first| first.open_ns(c"ns/user"));
        let user = match opened {
            Ok(user) => user,
            Err(errno) => {
                let error = SysError::new(Call::Openat(self.proc.name(&format!("{pid}/ns/user"))), errno);
                return hear(Event::Note(format!("{unmapped}: {error}")));
            }
        };
        let map = |tree| tree::map_owners(tree, user.as_fd()).err();
        let mut refused: Vec<SysError> = self.held.trees.iter().filter_map(map).collect();
        if let Some(error) = refused.pop() {
            let why = "their file system does not do idmapped mounts";
            hear(Event::Note(format!("{unmapped}: {why}: {error}")));
        }
    }

    /// Dies where a test wants to see what is left then, if this is the step.
    fn halt_before(&self, is: impl Fn(&Action) -> bool) {
        let step = self.halt_at.and_then(|place| self.plan.steps.get(place));
        if step.is_some_and(|step| step.who == Who::Nsx && is(&step.action)) {
            let _ = signal::send(std::process::id() as i32, nix::libc::SIGKILL);
        }
    }
}
