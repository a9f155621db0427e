//! `nsx cg set`: knobs of a cgroup.

use clap::Args;

use super::{ChangeArgs, Opened};
use crate::cgroup::change::{self, Asked};
use crate::cmd::{Exit, Global, UsageError, ui::Ui};
use crate::select::Target;

/// Set knobs of a cgroup, and make sure that they are set
///
/// A knob is called by its v2 name everywhere; on v1 the files that mean the same are written, in the order that the kernel takes them in
/// (cpu.weight becomes cpu.shares by the formula that container engines use; memory.swap.max is what lies between the limits of memory
/// and of memory with swap). The name of any other file of the cgroup works, too, and its value is then written as it is.
///
/// All values are understood before the first is written, and each is read back: the kernel cuts sizes to whole pages. A memory.max below
/// what is used makes the kernel reclaim memory, and kill where that is not enough (v1 refuses it instead).
#[derive(Args, Debug)]
pub struct SetArgs {
    /// The cgroup, or a process in it
    #[arg(value_name = "TARGET")]
    target: Target,

    /// What to set, such as memory.max=256M, cpu.max=1.5 (processors), pids.max=100
    ///
    /// Sizes take K, M, G and T (powers of 1024); `max` is no limit. Further forms: cpu.max="20000 100000" (quota and period in
    /// microseconds) or 50%, cpuset.cpus=0-3,8, io.max="8:0 rbps=10M wiops=max", io.weight="8:0 50", memory.oom.group=1,
    /// cgroup.subtree_control="+memory -io".
    #[arg(value_name = "KNOB=VALUE", required = true)]
    asked: Vec<Asked>,

    #[command(flatten)]
    change: ChangeArgs,
}

/// Refuses to set a knob twice, which nobody can mean.
///
/// # Errors
/// Where one is.
pub(super) fn no_doubles(asked: &[Asked]) -> anyhow::Result<()> {
    let double =
        asked.iter().enumerate().find(|(index, one)| asked[..*index].iter().any(|other| other.knob == one.knob));
    match double {
        Some((_, one)) => {
            Err(anyhow::Error::new(UsageError("it is given twice")).context(format!("cannot set {}", one.knob)))
        }
        None => Ok(()),
    }
}

/// Runs the command.
///
/// # Errors
/// Where the target is not there, or the kernel does not take a value.
pub(super) fn run(args: &SetArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    no_doubles(&args.asked)?;
    let opened = Opened::new(global)?;
    let places = opened.places(&args.target)?;
    args.change.run(&opened, ui, |log| {
        let planned = change::set::plan(&opened.cgroups, &places, &args.asked)?;
        change::set::apply(&planned, log)
    })?;
    Ok(Exit::Done)
}
