//! `nsx run`: an isolated command under limits. What can be typed, and what is asked for by it.
//!
//! The options are in `run/`, one file for each part of the request, with the parsers of their values beside them. Not here: doing it
//! (`launch::run`). Sources: docker-run(1), unshare(1), bwrap(1), prlimit(1), nsenter(1) for the names that users have in their fingers.

mod act;
pub mod environment;
pub mod isolation;
pub mod life;
pub mod limits;
pub mod look_up;
pub mod root;
#[cfg(test)]
mod tests;
pub mod value;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;

use super::UsageError;
use crate::launch::run::RunRequest;
use crate::model::NsKind;
pub use act::{INSIDE, run};
use isolation::IsolationArgs;
use life::LifeArgs;
use limits::LimitArgs;
pub use look_up::LookUpError;
use root::RootArgs;

/// Run a command in namespaces of its own, under limits of its own
///
/// The command sees no other process, no network, and the host's files read-only, with an empty /tmp, /var/tmp and /run and without home
/// directories. It is root in there, and nobody in particular outside: it has few capabilities, gains no privileges by execve(2), and a
/// filter keeps it from system calls that no ordinary program makes. Each of these can be loosened.
///
/// Limits are set in a cgroup that is made for the command, on cgroup v2 and v1, and read back before it starts.
///
/// Signals are passed on to the command, a stop of the command stops nsx, and the command does not outlive nsx, unless it is detached. When
/// all is over, neither processes nor mounts nor cgroups are left.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The command and its arguments (default: $SHELL, or /bin/sh, as a login shell)
    ///
    /// The first word that is no option starts the command; what follows belongs to it. A command that begins with a hyphen stands behind
    /// `--`.
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub command: Vec<OsString>,

    /// Print the steps, and do nothing
    #[arg(long)]
    pub explain: bool,

    /// With --explain or --stats: print JSON (schemas nsx.run/1 and nsx.run.report/1)
    #[arg(short = 'J', long)]
    pub json: bool,

    /// Limits.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// Isolation.
    #[command(flatten)]
    pub isolation: IsolationArgs,

    /// Files.
    #[command(flatten)]
    pub root: RootArgs,

    /// The life of the command.
    #[command(flatten)]
    pub life: LifeArgs,
}

impl RunArgs {
    /// Returns what is asked for. Nothing is looked at yet: [`RunArgs::look_up`] does.
    ///
    /// # Errors
    /// Where options do not go together.
    pub fn request(&self) -> Result<RunRequest, UsageError> {
        if self.json && !self.explain && !self.life.stats {
            return Err(UsageError("--json takes --explain or --stats: it is about what these print"));
        }
        if self.command.iter().any(|word| word.as_bytes().contains(&0)) {
            return Err(UsageError("a word of the command has a NUL byte in it"));
        }
        let isolation = &self.isolation;
        let (net, share) = isolation.net_and_share()?;
        if !isolation.time_offset.is_empty() && share.contains(NsKind::Time) {
            return Err(UsageError("--time-offset takes a time namespace: leave `time` out of --share"));
        }
        if isolation.hostname.is_some() && share.contains(NsKind::Uts) {
            return Err(UsageError("--hostname takes a UTS namespace: leave `uts` out of --share"));
        }
        let (cap_add, cap_drop) = isolation.capabilities()?;
        Ok(RunRequest {
            limits: self.limits.limits()?,
            userns: isolation.user_namespace()?,
            share,
            root: self.root.root(),
            binds: self.root.binds()?,
            tmpfs: self.root.tmpfs.clone(),
            net,
            hostname: isolation.hostname.clone(),
            user: isolation.user.clone(),
            cap_add,
            cap_drop,
            no_new_privs: !isolation.allow_new_privs,
            seccomp: isolation.seccomp == isolation::Seccomp::Default,
            mask: !isolation.unmask,
            rlimits: self.limits.rlimits()?,
            oom_score_adj: self.limits.oom_score_adj,
            time_offset: isolation.clocks()?,
            environment: self.life.environment(),
            directory: self.root.workdir.clone(),
            keep_fds: self.life.keep_fd.clone(),
            timeout: self.life.timeout,
            init: !self.life.no_init,
            detach: self.life.detach,
            watched: self.life.status_fd.is_some(),
            name: self.life.name.clone(),
            command: self.command.clone(),
        })
    }
}
