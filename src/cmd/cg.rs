//! `nsx cg`: cgroups, shown, measured, explained and changed. One file for each of its commands; here is what they share.

pub mod ls;
pub mod path;
pub mod show;
pub mod top;
pub mod why;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{Exit, Global, advice, ui::Ui};
use crate::cgroup::{Cgroups, Subject};
use crate::proc::ProcRoot;
use crate::select::Target;
use crate::select::cgroup::{Chosen, choose, read};

/// Show, measure, explain and change cgroups
///
/// On cgroup v2, v1 and hosts that have both. A knob is called by its v2 name everywhere (`memory.max`), whichever file sets it. A
/// target is a process (a PID, PID:INODE or `self`), the path of a cgroup (`/system.slice`, `cgroup:/system.slice`), or its directory
/// (`/sys/fs/cgroup/system.slice`).
#[derive(Args, Debug)]
pub struct CgArgs {
    #[command(subcommand)]
    command: CgCommand,
}

#[derive(Debug, Subcommand)]
enum CgCommand {
    Ls(Box<ls::LsArgs>),
    Show(show::ShowArgs),
    Path(path::PathArgs),
    Why(why::WhyArgs),
    Top(top::TopArgs),
}

/// Runs the command.
///
/// # Errors
/// Whatever kept it from being done.
pub fn run(args: &CgArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    match &args.command {
        CgCommand::Ls(args) => ls::run(args, global, ui),
        CgCommand::Show(args) => show::run(args, global, ui),
        CgCommand::Path(args) => path::run(args, global, ui),
        CgCommand::Why(args) => why::run(args, global, ui),
        CgCommand::Top(args) => top::run(args, global, ui),
    }
}

/// The one target that most of the commands have.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// The process or cgroup
    ///
    /// A PID, PID:INODE or `self`; the path of a cgroup as /proc/PID/cgroup has it, with or without `cgroup:` before it; or the
    /// directory of a cgroup. Without it: the caller.
    #[arg(value_name = "TARGET", default_value = "self")]
    pub target: Target,
}

/// `/proc` and the hierarchies of this host, open.
pub struct Opened {
    /// `/proc`.
    pub proc: ProcRoot,
    /// The hierarchies.
    pub cgroups: Cgroups,
}

impl Opened {
    /// Opens both.
    ///
    /// # Errors
    /// Where `/proc` is not there.
    pub fn new(global: &Global) -> anyhow::Result<Opened> {
        let proc = ProcRoot::open(&global.proc_root).context("cannot find the hierarchies")?;
        if !proc.is_live() && global.proc_root == std::path::Path::new("/proc") {
            return Err(advice::NoProc { path: global.proc_root.clone() }.into());
        }
        let cgroups = Cgroups::open(&proc).context("cannot find the hierarchies")?;
        Ok(Opened { proc, cgroups })
    }

    /// Finds what a target means.
    ///
    /// # Errors
    /// Where there is no such process.
    pub fn choose(&self, target: &Target) -> anyhow::Result<Chosen> {
        Ok(choose(&self.proc, &self.cgroups, target)?)
    }

    /// Finds what a target means, and reads its cgroups.
    ///
    /// # Errors
    /// Where the process or the cgroup is not there, or may not be read.
    pub fn subject(&self, target: &Target) -> anyhow::Result<Subject> {
        Ok(read(&self.proc, &self.cgroups, &self.choose(target)?)?)
    }
}
