//! `nsx inspect`: all that isolates a process.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use clap::Args;

use super::{Exit, Global, advice, ui, ui::Ui};
use crate::cgroup::{Cgroup, Cgroups, Home};
use crate::inspect::{InspectError, Inspected, Options, inspect};
use crate::model::KindSet;
use crate::model::cgroup::{Controller, Version};
use crate::proc::{ProcRoot, Users};
use crate::render::inspect::{Look, View, json, oci};
use crate::render::text::sanitize;
use crate::sandbox::Catalog;
use crate::select::target::{Resolved, resolve_process_kinds};
use crate::select::{Target, TargetError};

/// Show all that isolates a process
///
/// On one screen: each of its namespaces and whose it is, its ids inside and outside, capabilities, seccomp, no_new_privs and security
/// label, root directory and mounts, cgroup with the limits that count, addresses, open files that lead out; and in the end where it is
/// held less tightly than it could be, with the reasons. What may not be seen is said to be so.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// The process (can be repeated)
    ///
    /// A container by its name or id (`web`, `docker:web`, `outer/inner`), process 7 in it (`web/7`), or a unit (`unit:ssh.service`); a
    /// PID, also that of a thread; PID:INODE; or `self`.
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<Target>,

    /// Leave nothing out: every mount with its options, every limit, descriptor and owner
    #[arg(short = 'a', long)]
    all: bool,

    /// Do not cut lines to the width of the terminal
    #[arg(short = 'u', long)]
    no_truncate: bool,

    /// Print JSON (schema nsx.inspect/1)
    #[arg(short = 'J', long)]
    json: bool,

    /// Print a config.json of the OCI runtime specification that starts a process isolated alike
    ///
    /// For `runc run` and `crun run`, with a root directory of one's choice as `rootfs` beside it. It holds the command line and the
    /// environment of the process, which may be secret. What cannot be said in it is told on standard error.
    #[arg(long, conflicts_with_all = ["json", "all"])]
    oci: bool,
}

/// A target that is a namespace, where a process is wanted.
#[derive(Debug)]
pub struct WantedProcess {
    /// The target, as it may be shown.
    pub target: String,
}

impl fmt::Display for WantedProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is a namespace, and nsx inspect shows processes", self.target)
    }
}

impl std::error::Error for WantedProcess {}

/// Runs the command. Where one of several targets is not there, the others are shown all the same.
///
/// # Errors
/// Where a target is no process, or ends meanwhile; where standard output cannot be written to.
pub(super) fn run(args: &InspectArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    if args.oci && args.targets.len() > 1 {
        return Err(super::UsageError("--oci makes one configuration: name one process").into());
    }
    let root = ProcRoot::open(&global.proc_root).context("cannot look at processes")?;
    if !root.is_live() && global.proc_root == Path::new("/proc") {
        return Err(advice::NoProc { path: global.proc_root.clone() }.into());
    }
    let cgroups = Cgroups::open(&root).context("cannot find the hierarchies")?;
    let users = Users::read(Path::new("/etc/passwd"));
    let mut failed = None;
    let mut found = Vec::new();
    for target in &args.targets {
        match look(&root, &cgroups, target, Options { to_start_again: args.oci }) {
            Ok(inspected) => found.push(inspected),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if !args.oci {
        // What it is called by is worth no error.
        let catalog = Catalog::find(&root).unwrap_or_default();
        for inspected in &mut found {
            let identity = &inspected.facts.identity;
            if let Some(place) = catalog.place_of(identity.thread_of.unwrap_or(identity.pid)) {
                inspected.facts.container = catalog.container(place);
            }
        }
    }
    let views: Vec<View<'_>> = found.iter().map(|inspected| View::new(inspected, &cgroups, &users)).collect();
    if args.oci {
        if let [view] = &views[..] {
            let identity = &view.inspected.facts.identity;
            if identity.kernel || identity.zombie {
                let what = if identity.kernel { "is a thread of the kernel" } else { "has ended" };
                anyhow::bail!("process {} {what}, and cannot be started again", identity.pid);
            }
            configuration(view, &cgroups, ui)?;
        }
    } else if args.json {
        if !views.is_empty() {
            ui.stdout(|to| json::document(&views, &cgroups, to))?;
        }
    } else {
        let look = Look { all: args.all, width: ui.width.filter(|_| !args.no_truncate), color: ui.color };
        ui.stdout(|to| {
            for (place, view) in views.iter().enumerate() {
                if place > 0 {
                    writeln!(to)?;
                }
                view.text(look, to)?;
            }
            Ok(())
        })?;
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(Exit::Done),
    }
}

fn look(root: &ProcRoot, cgroups: &Cgroups, target: &Target, options: Options) -> anyhow::Result<Inspected> {
    // Whether its namespaces may be read is one fact of many.
    let process = match resolve_process_kinds(root, target, KindSet::NONE) {
        Ok(Resolved::Process(process, _)) => process,
        Ok(Resolved::Namespace(..)) | Err(TargetError::WantedProcess(_)) => {
            return Err(WantedProcess { target: target.to_string() }.into());
        }
        Err(error) => return Err(error.into()),
    };
    inspect(root, cgroups, &process, options).map_err(|error: InspectError| error.into())
}

fn configuration(view: &View<'_>, cgroups: &Cgroups, ui: &Ui) -> anyhow::Result<()> {
    let made = oci::configuration(view, may_use_devices(view, cgroups));
    ui.stdout(|to| json::value(&made.document, to))?;
    for note in made.notes {
        ui::note(&sanitize(note.as_bytes()));
    }
    Ok(())
}

/// Says whether the devices controller of v1 allows everything. On v2 that is a program that nobody can read.
fn may_use_devices(view: &View<'_>, cgroups: &Cgroups) -> Option<bool> {
    let Home::Hierarchy(index) = cgroups.home(Controller::Devices) else { return None };
    let ladder = view.inspected.subject.as_ref()?.ladder(index)?;
    let cgroup = Cgroup::open(cgroups, index, &ladder.path).ok().filter(|cgroup| cgroup.version() == Version::V1)?;
    cgroup.read("devices.list").ok().map(|list| list.trim_ascii() == b"a *:* rwm")
}
