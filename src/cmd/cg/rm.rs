//! `nsx cg rm`: a cgroup that nobody is in.

use clap::Args;

use super::{ChangeArgs, Opened};
use crate::cgroup::change::{Intent, make};
use crate::cmd::{Exit, Global, ui::Ui};
use crate::select::Target;

/// Remove a cgroup that has no processes
///
/// In each hierarchy that has it, or in one of them where a directory is given. Nobody is ever killed for it.
#[derive(Args, Debug)]
pub struct RmArgs {
    /// The cgroup
    #[arg(value_name = "TARGET")]
    target: Target,

    /// Remove the cgroups below it, too
    #[arg(short, long)]
    recursive: bool,

    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs the command.
///
/// # Errors
/// Where the target is not there, or processes or cgroups are in it.
pub(super) fn run(args: &RmArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let opened = Opened::new(global)?;
    let places = opened.places(&args.target)?.sole(&Intent::Remove)?;
    args.change.run(&opened, ui, |log| make::remove(&opened.cgroups, &places, args.recursive, log))?;
    Ok(Exit::Done)
}
