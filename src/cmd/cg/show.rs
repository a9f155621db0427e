//! `nsx cg show`: one process or cgroup, controller by controller.

use clap::Args;

use super::{Opened, TargetArgs};
use crate::cmd::{Exit, Global, ui::Ui};
use crate::render::cg::show;

/// Show what the limits of a process or cgroup come to, and who sets them
///
/// For each controller: what each knob is set to here, what counts, which cgroup above sees to that, how much is used, how much is left
/// and by whose limit, and what has happened so far. Also the paths of the cgroup, from outside and as the process itself sees them.
#[derive(Args, Debug)]
pub struct ShowArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Show knobs that limit nothing, too
    #[arg(short = 'a', long)]
    all: bool,

    /// Say what weights are worth: reads the weights of all siblings on the way
    #[arg(long)]
    shares: bool,

    /// Print JSON (schema nsx.cg.show/1)
    #[arg(short = 'J', long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the target is not there, or standard output cannot be written to.
pub(super) fn run(args: &ShowArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let opened = Opened::new(global)?;
    let subject = opened.subject(&args.target.target)?;
    let view = show::Show::new(&opened.cgroups, &subject, args.shares);
    ui.stdout(|to| if args.json { view.json(to) } else { view.text(args.all, ui.width, ui.color, to) })?;
    Ok(Exit::Done)
}
