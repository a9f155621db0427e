//! The end of a sandbox from elsewhere: signals to its first process, waiting until all of it is gone, and its cgroups.
//!
//! Not here: finding it (`select::sandbox`), how long it may take and what is said of it (`cmd::kill`).

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::libc::{SIGCONT, SIGKILL, SIGTERM};

use super::limits::{INNER, cgroup_name};
use crate::cgroup::at::base_name;
use crate::cgroup::change::set::Places;
use crate::cgroup::change::{ChangeError, Log, kill, make};
use crate::cgroup::{Cgroups, ladder};
use crate::model::Pid;
use crate::proc::{ProcPid, ProcRoot};
use crate::sandbox::nsx::Sandbox;
use crate::select::TargetError;
use crate::sys::{Call, Errno, SysError, pidfd, signal};

/// No file of `/proc` is read further.
const MOST_BYTES: usize = 1 << 20;

/// How long who is killed in a cgroup may take to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a sandbox could not be ended.
#[derive(Debug)]
pub enum KillError {
    /// It is not there, or cannot be told from others.
    Target(TargetError),
    /// The kernel refuses.
    Refused(String, SysError),
    /// It was killed and is still there.
    Lingers(String, Pid),
    /// It has ended, and its cgroup could not be removed.
    Left(String, ChangeError),
    /// Whether it has a cgroup cannot be seen.
    Unseen(String, SysError),
}

impl fmt::Display for KillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KillError::Target(error) => error.fmt(f),
            KillError::Refused(name, error) => write!(f, "cannot end {name}: {error}"),
            KillError::Left(name, error) => write!(f, "{name} has ended, and {error}"),
            KillError::Lingers(name, pid) => write!(f, "{name} was killed, and process {pid} of it is still there"),
            KillError::Unseen(name, error) => {
                write!(f, "{name} has ended, and whether its cgroup has gone cannot be seen: {error}")
            }
        }
    }
}

impl std::error::Error for KillError {}

/// A sandbox that is being ended. Its processes are held by pidfds where the kernel has them.
pub struct Ending {
    sandbox: Sandbox,
    /// The first process's `/proc/PID/cgroup`.
    cgroups: Result<Vec<u8>, Errno>,
    init: Option<OwnedFd>,
    stub: Option<OwnedFd>,
}

impl Ending {
    /// Takes hold of a sandbox.
    pub fn new(sandbox: Sandbox) -> Ending {
        let hold = |process: &ProcPid| {
            let held = pidfd::pidfd_open(process.pid).and_then(Result::ok);
            // Of one process, or of none: the directory was opened before.
            held.filter(|_| process.is_alive())
        };
        let (init, stub) = (hold(&sandbox.init), sandbox.stub.as_ref().and_then(hold));
        let cgroups = sandbox.init.read_all(c"cgroup", MOST_BYTES);
        Ending { sandbox, cgroups, init, stub }
    }

    /// Returns the pid of its first process.
    pub fn init(&self) -> Pid {
        self.sandbox.init.pid
    }

    /// Has the command asked to end: the first process hands SIGTERM on to it, and SIGCONT, in case it is stopped.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn ask(&self) -> Result<(), KillError> {
        self.send(SIGTERM)?;
        self.send(SIGCONT)
    }

    /// Kills the first process, and the kernel with it whoever is in its pid namespace.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn kill(&self) -> Result<(), KillError> {
        self.send(SIGKILL)
    }

    fn send(&self, number: i32) -> Result<(), KillError> {
        let sent = match self.init.as_ref().and_then(|init| pidfd::send(init.as_fd(), number)) {
            Some(sent) => sent,
            None if self.sandbox.init.is_alive() => signal::send(self.init().0 as i32, number),
            None => return Ok(()),
        };
        match sent {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(KillError::Refused(self.sandbox.name.clone(), SysError::new(Call::Kill, errno))),
        }
    }

    /// Waits until the first process has gone, and all others with it. Says whether it has.
    pub fn wait(&self, over: Instant) -> bool {
        match &self.init {
            Some(init) => wait(init, over),
            None => {
                while self.sandbox.init.is_alive() && Instant::now() < over {
                    std::thread::sleep(Duration::from_millis(10));
                }
                !self.sandbox.init.is_alive()
            }
        }
    }

    /// Waits until all of it is gone that was to be killed, and its cgroups. The stub removes them, or, where that has been killed, this.
    ///
    /// # Errors
    /// What is left.
    pub fn finish(self, proc: &ProcRoot, over: Instant) -> Result<(), KillError> {
        if !self.wait(over) {
            return Err(KillError::Lingers(self.sandbox.name.clone(), self.init()));
        }
        if let Some(stub) = &self.stub {
            wait(stub, over);
        }
        self.remove_cgroups(proc)
    }

    fn remove_cgroups(self, proc: &ProcRoot) -> Result<(), KillError> {
        let name = self.sandbox.name;
        let unseen = |error| KillError::Unseen(name.clone(), error);
        let cgroups = match self.cgroups {
            Ok(cgroups) => cgroups,
            // It had gone before it was looked at: its stub, or who has killed it, sees to that.
            Err(errno) if crate::proc::is_gone(errno) => return Ok(()),
            Err(errno) => return Err(unseen(SysError::new(Call::Openat(b"cgroup".to_vec()), errno))),
        };
        let leaf = cgroup_name(&name);
        if !cgroups.windows(leaf.len()).any(|part| part == leaf.as_bytes()) {
            return Ok(());
        }
        let all = Cgroups::open(proc).map_err(unseen)?;
        for (hierarchy, path) in ladder::paths(&all, &cgroups) {
            let inner = [b"/", INNER.to_bytes()].concat();
            let path = path.strip_suffix(&inner[..]).unwrap_or(&path).to_vec();
            if base_name(&path) == leaf.as_bytes() {
                let places = Places { all: vec![(hierarchy, path.clone())], path };
                let remove = || make::remove(&all, &places, true, &mut Log::new(false)).map(drop);
                // In a pid namespace that is shared, they have not ended with the first process.
                let killed = |_| kill::run(&all, proc, &places, PATIENCE, &mut Log::new(false)).and_then(|_| remove());
                remove().or_else(killed).map_err(|error| KillError::Left(name.clone(), error))?;
            }
        }
        Ok(())
    }
}

fn wait(process: &OwnedFd, over: Instant) -> bool {
    loop {
        let left = over.saturating_duration_since(Instant::now());
        let most = (left.as_millis() + 1).min(60_000) as u16;
        if pidfd::wait(process.as_fd(), most.into()) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
    }
}
