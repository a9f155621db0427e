//! `nsx kill`: the end of what `nsx run` has started.

use std::time::Duration;

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use clap::Args;
use nix::libc::{SIGKILL, SIGTERM};

use super::run::value::name;
use super::value::time;
use super::{Exit, Global, advice, ui};
use crate::cgroup::at::base_name;
use crate::cgroup::change::set::Places;
use crate::cgroup::change::{ChangeError, Log, make};
use crate::cgroup::{Cgroups, ladder};
use crate::model::Pid;
use crate::proc::{ProcPid, ProcRoot};
use crate::select::TargetError;
use crate::select::sandbox::{self, Sandbox};
use crate::sys::{Call, Errno, SysError, pidfd, signal};

/// End what `nsx run` has started
///
/// The command gets SIGTERM, and when it has not ended after a while, all processes of its sandbox get SIGKILL. Returns when none of them is
/// left, nor its mounts, nor its cgroup.
#[derive(Args, Debug)]
pub struct KillArgs {
    /// The names, as `nsx run` has them from --name or has printed them, or the pids of first processes
    #[arg(value_name = "NAME|PID", required = true, value_parser = target)]
    pub names: Vec<String>,

    /// Wait so long between SIGTERM and SIGKILL
    ///
    /// Times are numbers with a unit: 1.5s, 300ms, 2m, 1h; without one, seconds. 0 is the same as --now.
    #[arg(short = 't', long, value_name = "TIME", default_value = "10s", allow_negative_numbers = true, value_parser = patience)]
    pub time: Duration,

    /// Kill at once, without SIGTERM
    #[arg(long, conflicts_with = "time")]
    pub now: bool,
}

impl KillArgs {
    /// Returns how long the sandboxes may take to end by themselves; `None` is to kill at once.
    pub fn grace(&self) -> Option<Duration> {
        (!self.now && !self.time.is_zero()).then_some(self.time)
    }
}

/// No file of `/proc` is read further.
const MOST_BYTES: usize = 1 << 20;

/// How long what was killed may take to be gone, with its mounts and its cgroup.
const LAST: Duration = Duration::from_secs(10);

/// Why a sandbox could not be ended.
#[derive(Debug)]
pub enum KillError {
    /// It is not there, or cannot be told from others.
    Target(TargetError),
    /// The kernel refuses, for that of the second kind of process.
    Refused(String, SysError),
    /// It was killed and is still there.
    Lingers(String, Pid),
    /// It has ended, and its cgroup could not be removed.
    Left(String, ChangeError),
}

impl std::fmt::Display for KillError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KillError::Target(error) => error.fmt(f),
            KillError::Refused(name, error) => write!(f, "cannot end {name}: {error}"),
            KillError::Left(name, error) => write!(f, "{name} has ended, and {error}"),
            KillError::Lingers(name, pid) => write!(f, "{name} was killed, and process {pid} of it is still there"),
        }
    }
}

impl std::error::Error for KillError {}

/// A sandbox that is being ended.
struct Ending<'a> {
    name: &'a str,
    sandbox: Sandbox,
    /// The first process's `/proc/PID/cgroup`.
    cgroups: Vec<u8>,
    init: Option<OwnedFd>,
    stub: Option<OwnedFd>,
}

/// Ends the sandboxes with these names, all at once. Every error is told; the last one is what is returned.
///
/// # Errors
/// Where one is not there, or may not be ended.
pub fn run(args: &KillArgs, global: &Global) -> anyhow::Result<Exit> {
    let cannot_read = |error| KillError::Target(TargetError::Unlisted(error));
    let proc = ProcRoot::open(&global.proc_root).map_err(cannot_read)?;
    if !proc.is_own_pid_ns() {
        return Err(advice::NotOwnProc { doing: "end sandboxes", path: global.proc_root.clone() }.into());
    }
    let mut errors = Vec::new();
    let mut endings: Vec<Ending<'_>> = Vec::new();
    for name in &args.names {
        let by_pid = name.parse().ok().map(|pid| sandbox::find_by_pid(&proc, Pid(pid)).map_err(TargetError::Unlisted));
        let found = match by_pid {
            Some(Ok(Some(sandbox))) => Ok(sandbox),
            Some(Err(error)) => Err(error),
            _ => sandbox::find_one(&proc, name),
        };
        match found {
            Ok(_) if endings.iter().any(|ending| ending.name == name) => {}
            Ok(sandbox) => {
                let hold = |process: &ProcPid| {
                    let held = pidfd::pidfd_open(process.pid).and_then(Result::ok);
                    // Of one process, or of none: the directory was opened before.
                    held.filter(|_| process.is_alive())
                };
                let (init, stub) = (hold(&sandbox.init), sandbox.stub.as_ref().and_then(hold));
                let cgroups = sandbox.init.read_all(c"cgroup", MOST_BYTES).unwrap_or_default();
                endings.push(Ending { name, sandbox, cgroups, init, stub });
            }
            Err(error) => errors.push(KillError::Target(error)),
        }
    }
    let asked = if args.grace().is_some() { SIGTERM } else { SIGKILL };
    endings.retain(|ending| match ending.send(asked) {
        Ok(()) => true,
        Err(error) => {
            errors.push(error);
            false
        }
    });
    if let Some(grace) = args.grace() {
        let over = Instant::now() + grace;
        for ending in &endings {
            if !ending.wait(over)
                && let Err(error) = ending.send(SIGKILL)
            {
                errors.push(error);
            }
        }
    }
    let over = Instant::now() + LAST;
    for ending in &endings {
        if !ending.wait(over) {
            errors.push(KillError::Lingers(ending.name.to_owned(), ending.sandbox.init.pid));
        }
        // It removes the cgroup.
        if let Some(stub) = &ending.stub {
            wait(stub, over);
        }
        errors.extend(ending.remove_cgroups(&proc).err());
    }
    let last = errors.pop();
    for error in errors {
        let error = error.into();
        ui::error(&error, advice::hint(&error).as_deref());
    }
    last.map_or(Ok(Exit::Done), |error| Err(error.into()))
}

impl Ending<'_> {
    /// Sends a signal to the first process, which hands SIGTERM on to the command.
    fn send(&self, number: i32) -> Result<(), KillError> {
        let pid = self.sandbox.init.pid;
        let sent = match self.init.as_ref().and_then(|init| pidfd::send(init.as_fd(), number)) {
            Some(sent) => sent,
            None if self.sandbox.init.is_alive() => signal::send(pid.0 as i32, number),
            None => return Ok(()),
        };
        match sent {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(KillError::Refused(self.name.to_owned(), SysError::new(Call::Kill, errno))),
        }
    }

    /// Removes its cgroups, where whoever had to do that has been killed.
    fn remove_cgroups(&self, proc: &ProcRoot) -> Result<(), KillError> {
        let leaf = format!("nsx-{}", self.name);
        if !String::from_utf8_lossy(&self.cgroups).contains(&leaf) {
            return Ok(());
        }
        let Ok(all) = Cgroups::open(proc) else { return Ok(()) };
        for (hierarchy, path) in ladder::paths(&all, &self.cgroups) {
            let path = path.strip_suffix(b"/box").unwrap_or(&path).to_vec();
            if base_name(&path) == leaf.as_bytes() {
                let places = Places { all: vec![(hierarchy, path.clone())], path };
                let removed = make::remove(&all, &places, true, &mut Log::new(false));
                removed.map_err(|error| KillError::Left(self.name.to_owned(), error))?;
            }
        }
        Ok(())
    }

    /// Waits until the first process has gone, and all others with it. Says whether it has.
    fn wait(&self, over: Instant) -> bool {
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

/// Parses a name; `nsx:` before it is as good.
///
/// # Errors
/// Whatever is no name.
pub fn target(text: &str) -> Result<String, String> {
    name(text.strip_prefix("nsx:").unwrap_or(text))
}

/// Parses `--time`.
///
/// # Errors
/// Whatever is no time.
pub fn patience(text: &str) -> Result<Duration, String> {
    /// Nobody waits longer, and clocks overflow.
    const MOST: Duration = Duration::from_secs(1000 * 86400);
    time(text, MOST)
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;
    use proptest::prelude::*;

    use super::*;

    fn definition() -> clap::Command {
        KillArgs::augment_args(clap::Command::new("kill"))
    }

    fn parse(words: &str) -> Result<KillArgs, String> {
        let matches = definition().try_get_matches_from(["kill"].into_iter().chain(words.split_whitespace()));
        matches.and_then(|matches| KillArgs::from_arg_matches(&matches)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_holds_together() {
        definition().debug_assert();
    }

    #[test]
    fn sandboxes_have_time_to_end_or_none() {
        let seconds = |number| Some(Duration::from_secs(number));
        for (words, names, grace) in [
            ("web", &["web"][..], seconds(10)),
            ("web db-1", &["web", "db-1"], seconds(10)),
            ("-t 3 web", &["web"], seconds(3)),
            ("web --time=1.5m", &["web"], seconds(90)),
            ("-t0 web", &["web"], None),
            ("--now web", &["web"], None),
        ] {
            let args = parse(words).unwrap_or_else(|error| panic!("{words}: {error}"));
            assert_eq!(
                (&args.names[..], args.grace()),
                (&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], grace)
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (words, said) in [
            ("", "NAME"),
            ("../x", "'../x' for '<NAME|PID>...': not a letter"),
            ("web a/b", "not a letter"),
            ("web \u{1b}[2J", "not a letter"),
            ("-t -1 web", "'-1' for '--time <TIME>': \"-1\" is no time"),
            ("-t nan web", "is no time"),
            ("-t 5w web", "is no time"),
            ("-t 5 --now web", "cannot be used with"),
            ("--signal HUP web", "unexpected argument"),
        ] {
            let error = parse(words).map(|_| ()).expect_err(words);
            assert!(error.contains(said), "{words}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,20}", number in "[0-9.smhd-]{0,12}") {
            let _ = (target(&text), patience(&text), patience(&number));
        }
    }
}
