//! `nsx cg freeze` and `nsx cg thaw`.

use std::time::Duration;

use clap::Args;

use super::{ChangeArgs, Opened};
use crate::cgroup::change::Intent;
use crate::cgroup::change::freeze::{self, Options};
use crate::cmd::{Exit, Global, ui::Ui, value};
use crate::select::Target;

/// Bring all processes in a cgroup and below it to a stand
///
/// Returns when all of them stand still. They stay in memory, and can be killed on v2.
#[derive(Args, Debug)]
pub struct FreezeArgs {
    #[command(flatten)]
    common: Common,

    /// Also where nsx itself is in the cgroup, and would stand still with it
    #[arg(long)]
    force: bool,
}

/// Let all processes in a cgroup and below it run again
///
/// Returns when all of them run. Where a cgroup above is frozen, too, they do not, and it is named.
#[derive(Args, Debug)]
pub struct ThawArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Common {
    /// The cgroup, or a process in it
    #[arg(value_name = "TARGET")]
    target: Target,

    /// How long to wait until it has happened
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = value::duration)]
    timeout: Duration,

    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs `nsx cg freeze`.
///
/// # Errors
/// Where the target is not there, cannot be frozen, or was not in time.
pub(super) fn freeze(args: &FreezeArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let options = Options { freeze: true, timeout: args.common.timeout, force: args.force };
    run(&args.common, options, global, ui)
}

/// Runs `nsx cg thaw`.
///
/// # Errors
/// Where the target is not there, or is kept frozen by a cgroup above.
pub(super) fn thaw(args: &ThawArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let options = Options { freeze: false, timeout: args.common.timeout, force: false };
    run(&args.common, options, global, ui)
}

fn run(args: &Common, options: Options, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let opened = Opened::new(global)?;
    let intent = if options.freeze { Intent::Freeze } else { Intent::Thaw };
    let places = opened.places(&args.target)?.sole(&intent)?;
    args.change.run(&opened, ui, |log| freeze::run(&opened.cgroups, &places, options, log))?;
    Ok(Exit::Done)
}
