//! `nsx cg path`: the limits ladder of a process or cgroup.

use clap::Args;

use super::{Opened, TargetArgs};
use crate::cmd::{Exit, Global, ui, ui::Ui};
use crate::render::cg::path;

/// Show the limits on the way from the root to a process or cgroup
///
/// A row for each cgroup, a column for each limit; the one that counts is marked with `*`, the one with the least room left with `<`.
/// These may be two: a sibling can use up what the parent allows.
#[derive(Args, Debug)]
pub struct PathArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Show columns in which nobody sets a limit, too
    #[arg(short = 'a', long)]
    all: bool,

    /// Print no headings
    #[arg(short = 'n', long)]
    no_headings: bool,

    /// Do not cut lines to the width of the terminal
    #[arg(short = 'u', long)]
    no_truncate: bool,

    /// Print JSON (schema nsx.cg.path/1)
    #[arg(short = 'J', long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the target is not there, or standard output cannot be written to.
pub(super) fn run(args: &PathArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let opened = Opened::new(global)?;
    let subject = opened.subject(&args.target.target)?;
    let view = path::Path::new(&opened.cgroups, &subject);
    if args.json {
        ui.stdout(|to| view.json(to))?;
        return Ok(Exit::Done);
    }
    let width = ui.width.filter(|_| !args.no_truncate);
    let left_out = ui.stdout(|to| view.text(args.all, !args.no_headings, width, ui.color, to))?;
    if !left_out.is_empty() {
        ui::note(&format!("no room for {}; -u does not cut", left_out.join(" ")));
    }
    Ok(Exit::Done)
}
