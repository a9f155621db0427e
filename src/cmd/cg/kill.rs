//! `nsx cg kill`: all that is in a cgroup.

use std::time::Duration;

use clap::Args;

use super::{ChangeArgs, Opened};
use crate::cgroup::change::{Intent, kill};
use crate::cmd::{Exit, Global, ui::Ui, value};
use crate::select::Target;

/// Kill all processes in a cgroup and below it
///
/// Returns when none is left. The cgroup itself stays; `nsx cg rm` removes it. The root, a cgroup with process 1 and one with nsx itself in
/// it are refused.
///
/// A cgroup that was killed is better removed than used again: on some kernels (6.12 and 6.18 among them) whatever is born right into it,
/// by CLONE_INTO_CGROUP, dies at once.
#[derive(Args, Debug)]
pub struct KillArgs {
    /// The cgroup, or a process in it
    #[arg(value_name = "TARGET")]
    target: Target,

    /// How long to wait until none is left
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = value::duration)]
    timeout: Duration,

    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs the command.
///
/// # Errors
/// Where the target is not there, must not be killed, or some are left.
pub(super) fn run(args: &KillArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let opened = Opened::new(global)?;
    let places = opened.places(&args.target)?.sole(&Intent::Kill)?;
    args.change.run(&opened, ui, |log| kill::run(&opened.cgroups, &opened.proc, &places, args.timeout, log))?;
    Ok(Exit::Done)
}
