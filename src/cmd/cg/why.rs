//! `nsx cg why`: what has killed or slowed a process or cgroup.

use std::time::{Duration, Instant};

use clap::Args;

use super::{Opened, TargetArgs};
use crate::cgroup::why::{Earlier, Facts, Reading, why};
use crate::cmd::{Exit, Global, ui::Ui, value};
use crate::render::cg::why::Why;

/// Say why a process was killed or slowed, and what to do about it
///
/// Looks at the counters and states of its cgroups, of those above, and of those below: kills and by whose limit, throttling, failed forks,
/// limits of which little is left, pressure, who is frozen by whom, and what cannot be seen. Each finding has what it rests on and, where
/// there is one, a command that changes it; nothing is changed.
///
/// Counters are totals since each cgroup was made, so what they tell may be long ago; --watch tells what happens now. The exit code is 0
/// also where something was found.
#[derive(Args, Debug)]
pub struct WhyArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Read twice, this time apart, and tell what has come in between
    ///
    /// A number with ms, s, m, h or d; a bare number is seconds.
    #[arg(short = 'w', long, value_name = "TIME", value_parser = value::duration)]
    watch: Option<Duration>,

    /// Print JSON (schema nsx.cg.why/1)
    #[arg(short = 'J', long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the target is not there, or standard output cannot be written to.
pub(super) fn run(args: &WhyArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let opened = Opened::new(global)?;
    let subject = opened.subject(&args.target.target)?;
    let started = Instant::now();
    let first = Reading::around(&opened.cgroups, subject);
    let Some(watch) = args.watch else {
        return report(&opened, &first, None, args.json, ui);
    };
    std::thread::sleep(watch);
    // Reading takes its time, too, and rates are of what really went by.
    let watched = started.elapsed();
    let second = Reading::around(&opened.cgroups, first.subject.read_again(&opened.cgroups));
    report(&opened, &second, Some(Earlier { reading: &first, watched }), args.json, ui)
}

fn report(opened: &Opened, now: &Reading, before: Option<Earlier<'_>>, json: bool, ui: &Ui) -> anyhow::Result<Exit> {
    let facts = Facts::read(&opened.cgroups, &now.subject, opened.proc.is_live());
    let findings = why(&facts, before, now);
    let view = Why::new(&opened.cgroups, now, before.map(|before| before.watched), &findings);
    ui.stdout(|to| if json { view.json(to) } else { view.text(ui.width, ui.color, to) })?;
    Ok(Exit::Done)
}
