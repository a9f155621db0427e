//! `nsx cg`: cgroups, shown, measured, explained and changed. One file for each of its commands; here is what they share.

pub mod create;
pub mod freeze;
pub mod kill;
pub mod ls;
pub mod mov;
pub mod path;
pub mod procs;
pub mod rm;
pub mod set;
pub mod show;
pub mod top;
pub mod why;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{Exit, Global, advice, ui::Ui};
use crate::cgroup::change::{ChangeError, Log, set::Places};
use crate::cgroup::{Cgroups, Subject};
use crate::proc::ProcRoot;
use crate::render::cg::change::Changes;
use crate::select::Target;
use crate::select::cgroup::{Chosen, choose, places, read};

/// Show, measure, explain and change cgroups
///
/// On cgroup v2, v1 and hosts that have both. A knob is called by its v2 name everywhere (`memory.max`), whichever file sets it. A target
/// is a process (a PID, PID:INODE or `self`), a container (`web`, `docker:web`) or a unit (`unit:ssh.service`), the path of a cgroup
/// (`/system.slice`, `cgroup:/system.slice`), or its directory (`/sys/fs/cgroup/system.slice`).
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
    Procs(procs::ProcsArgs),
    Set(set::SetArgs),
    Move(mov::MoveArgs),
    Freeze(freeze::FreezeArgs),
    Thaw(freeze::ThawArgs),
    Kill(kill::KillArgs),
    Create(create::CreateArgs),
    Rm(rm::RmArgs),
}

impl CgCommand {
    /// Says whether the command changes something.
    const fn changes(&self) -> bool {
        match self {
            CgCommand::Set(_)
            | CgCommand::Move(_)
            | CgCommand::Freeze(_)
            | CgCommand::Thaw(_)
            | CgCommand::Kill(_)
            | CgCommand::Create(_)
            | CgCommand::Rm(_) => true,
            CgCommand::Ls(_)
            | CgCommand::Show(_)
            | CgCommand::Path(_)
            | CgCommand::Why(_)
            | CgCommand::Top(_)
            | CgCommand::Procs(_) => false,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever kept it from being done.
pub fn run(args: &CgArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    if args.command.changes() {
        // A captured tree is there to be looked at, and its pids are somebody else's here.
        let own = ProcRoot::open(&global.proc_root).is_ok_and(|proc| proc.is_own_pid_ns());
        if !own {
            return Err(advice::NotOwnProc { doing: "change cgroups", path: global.proc_root.clone() }.into());
        }
    }
    match &args.command {
        CgCommand::Ls(args) => ls::run(args, global, ui),
        CgCommand::Show(args) => show::run(args, global, ui),
        CgCommand::Path(args) => path::run(args, global, ui),
        CgCommand::Why(args) => why::run(args, global, ui),
        CgCommand::Top(args) => top::run(args, global, ui),
        CgCommand::Procs(args) => procs::run(args, global, ui),
        CgCommand::Set(args) => set::run(args, global, ui),
        CgCommand::Move(args) => mov::run(args, global, ui),
        CgCommand::Freeze(args) => freeze::freeze(args, global, ui),
        CgCommand::Thaw(args) => freeze::thaw(args, global, ui),
        CgCommand::Kill(args) => kill::run(args, global, ui),
        CgCommand::Create(args) => create::run(args, global, ui),
        CgCommand::Rm(args) => rm::run(args, global, ui),
    }
}

/// The one target that most of the commands have.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// The process or cgroup
    ///
    /// A PID, PID:INODE or `self`; a container, by its name or id (`web`, `docker:web`, `outer/inner`), process 7 in it (`web/7`), or a
    /// unit (`unit:ssh.service`); the path of a cgroup as /proc/PID/cgroup has it, with or without `cgroup:` before it; or the directory of
    /// a cgroup. Without it: the caller.
    #[arg(value_name = "TARGET", default_value = "self")]
    pub target: Target,
}

/// The options of commands that change something.
#[derive(Args, Debug)]
pub struct ChangeArgs {
    /// Show what would be done, and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Print JSON (schema nsx.cg.change/1)
    #[arg(short = 'J', long)]
    json: bool,
}

impl ChangeArgs {
    /// Does something, and prints what was done of it, also where it fails halfway.
    ///
    /// # Errors
    /// What `change` says; where standard output cannot be written to.
    fn run<T>(
        &self,
        opened: &Opened,
        ui: &Ui,
        change: impl FnOnce(&mut Log) -> Result<T, ChangeError>,
    ) -> anyhow::Result<T> {
        let mut log = Log::new(self.dry_run);
        let result = change(&mut log);
        let failed = result.as_ref().err().map(ToString::to_string);
        if failed.is_none() || !log.changes.is_empty() {
            let view = Changes::new(&opened.cgroups, &log, failed.as_deref());
            ui.stdout(|to| if self.json { view.json(to) } else { view.text(to) })?;
        }
        Ok(result?)
    }
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

    /// Finds the cgroup that a target means, in each hierarchy that has it.
    ///
    /// # Errors
    /// Where the process or the cgroup is not there, or may not be read.
    pub fn places(&self, target: &Target) -> anyhow::Result<Places> {
        Ok(places(&self.proc, &self.cgroups, &self.choose(target)?)?)
    }

    /// Finds what a target means, and reads its cgroups.
    ///
    /// # Errors
    /// Where the process or the cgroup is not there, or may not be read.
    pub fn subject(&self, target: &Target) -> anyhow::Result<Subject> {
        Ok(read(&self.proc, &self.cgroups, &self.choose(target)?)?)
    }
}
