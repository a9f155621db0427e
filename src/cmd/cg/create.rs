//! `nsx cg create`: a new cgroup, ready to be used.

use clap::Args;

use super::{ChangeArgs, Opened};
use crate::cgroup::change::Asked;
use crate::cgroup::change::make::{self, Wanted};
use crate::cmd::{Exit, Global, UsageError, ui::Ui};
use crate::model::cgroup::Controller;
use crate::select::Target;
use crate::select::cgroup::Chosen;

/// Make a cgroup, with all that it takes to use it
///
/// Where there are several hierarchies it is made in those where the controllers of its knobs and of --controllers are at home; without any
/// in v2 if that has memory, cpu or pids, else in each of v1 that has a controller and the cgroup above; in one of them where a directory
/// is given.
///
/// On v2 the cgroups above are made to hand on the controllers that are needed; on v1 a cpuset gets the processors and memory nodes of the
/// one above, as nobody can be in it before. If anything is refused, nothing is left of it.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// The path of the cgroup, or its directory
    #[arg(value_name = "PATH")]
    path: Target,

    /// What to set in it, as for `nsx cg set`
    #[arg(value_name = "KNOB=VALUE")]
    asked: Vec<Asked>,

    /// Make those above it, too, and do not mind if it is there
    #[arg(short, long)]
    parents: bool,

    /// The controllers that it is to have
    #[arg(short, long, value_name = "CONTROLLER", value_delimiter = ',', value_parser = controller)]
    controllers: Vec<Controller>,

    #[command(flatten)]
    change: ChangeArgs,
}

fn controller(text: &str) -> Result<Controller, String> {
    let names = || Controller::ALL.map(Controller::name).join(" ");
    Controller::from_name(text.as_bytes()).ok_or_else(|| format!("no such controller; these are known: {}", names()))
}

/// Runs the command.
///
/// # Errors
/// Where it is there already, or the kernel refuses something.
pub(super) fn run(args: &CreateArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    super::set::no_doubles(&args.asked)?;
    let opened = Opened::new(global)?;
    let no_path = || UsageError("a new cgroup has a path, with a slash in it").into();
    let (path, only) = match opened.choose(&args.path) {
        Err(_) if matches!(args.path, Target::Container(_) | Target::Unit(_)) => return Err(no_path()),
        Ok(Chosen::Cgroup { path, only }) => (path, only),
        Ok(Chosen::Process(_)) => return Err(no_path()),
        Err(error) => return Err(error),
    };
    let wanted =
        Wanted { path, only, parents: args.parents, controllers: args.controllers.clone(), asked: args.asked.clone() };
    args.change.run(&opened, ui, |log| make::create(&opened.cgroups, &wanted, log))?;
    Ok(Exit::Done)
}
