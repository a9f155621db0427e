//! `nsx cg top`: what cgroups use, again and again. On a terminal a screen with keys (`live`), elsewhere tables or JSON, one after the
//! other.

mod control;
mod keys;
mod live;
mod sampler;
mod screen;

use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueEnum};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Opened;
use crate::cgroup::{Depth, Sample};
use crate::cmd::{Exit, Global, ui, ui::Ui, value};
use crate::render::cg::top::{Picture, state::Sort, text};
use crate::sandbox::Names;
use crate::select::{Target, TargetError};
use crate::sys::{Call, Errno, SysError};

/// Show what cgroups use, live
///
/// On a terminal, a list with keys: arrows move, Enter shows the limits of a cgroup, `/` filters, `?` tells of all others. Elsewhere,
/// and with --once or --json, a table or a JSON document after each interval.
///
/// What is in a cgroup counts for all above it. MAX is what memory.max comes to with the limits above and the memory of the host. CPU%
/// is of one processor, THR% the share of periods in which cpu.max has stopped it, both in the last interval. PSI is the worst pressure
/// of the last ten seconds, with its letter: c for cpu, m for memory, i for io.
#[derive(Args, Debug)]
pub struct TopArgs {
    /// The cgroup to begin with, or a process whose cgroup to begin with
    #[arg(value_name = "PATH|TARGET")]
    path: Option<Target>,

    /// How often to look: a number with ms, s, m, h or d
    #[arg(short = 'i', long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,

    /// What comes first: the most of this, of those side by side; `name` is the order of the alphabet
    #[arg(short, long, value_name = "WHAT", default_value = "cpu")]
    sort: Sort,

    /// Only so many levels below the first one
    #[arg(short = 'd', long, value_name = "N")]
    depth: Option<usize>,

    /// Show whole paths instead of a tree
    #[arg(short = 'f', long)]
    flat: bool,

    /// Print one table, after one interval
    #[arg(long, conflicts_with = "count")]
    once: bool,

    /// End after so many intervals
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Print JSON, one document on a line after each interval (schema nsx.cg.top/1)
    ///
    /// The first comes after the first interval. Cgroups are in the order of their paths, each right behind the one above it.
    #[arg(short = 'J', long)]
    json: bool,
}

impl ValueEnum for Sort {
    fn value_variants<'a>() -> &'a [Sort] {
        &Sort::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}

/// Parses `--interval`.
fn interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(10);
    const MOST: Duration = Duration::from_secs(24 * 60 * 60);
    let interval = value::duration(text)?;
    if (LEAST..=MOST).contains(&interval) { Ok(interval) } else { Err("from 10ms to 1d".to_owned()) }
}

/// Which cgroups are looked at.
struct Scope {
    start: Vec<u8>,
    /// The only hierarchy, where the directory of a cgroup was given.
    only: Option<usize>,
    levels: Option<usize>,
    /// What the containers are called.
    names: Mutex<Names>,
}

impl Scope {
    fn new(opened: &Opened, target: Option<&Target>, levels: Option<usize>) -> anyhow::Result<Scope> {
        let (start, only) = opened.start(target)?;
        Ok(Scope { start, only, levels, names: Mutex::default() })
    }

    fn take(&self, opened: &Opened) -> Result<Sample, Errno> {
        let mut sample = Sample::take(&opened.cgroups, &self.start, self.only, self.levels, Depth::Everything)?;
        self.names.lock().unwrap_or_else(PoisonError::into_inner).name(&opened.proc, &mut sample.tree.groups);
        Ok(sample)
    }

    fn failed(&self, errno: Errno) -> TargetError {
        TargetError::NoCgroup(self.start.clone(), SysError::new(Call::Openat(self.start.clone()), errno))
    }
}

/// Runs the command.
///
/// # Errors
/// Where the cgroup is not there, or has gone; where standard output cannot be written to.
pub(super) fn run(args: &TopArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let opened = Opened::new(global)?;
    let scope = Scope::new(&opened, args.path.as_ref(), args.depth)?;
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if ui.terminal && !args.once && !args.json && !is_dumb {
        return live::run(args, opened, scope, ui);
    }
    print(args, &opened, &scope, ui)
}

/// Prints one picture after the other.
fn print(args: &TopArgs, opened: &Opened, scope: &Scope, ui: &Ui) -> anyhow::Result<Exit> {
    let count = if args.once { Some(1) } else { args.count };
    let mut before = scope.take(opened).map_err(|errno| scope.failed(errno))?;
    let mut printed = 0;
    loop {
        if is_closed_before(before.at + args.interval) {
            return Ok(Exit::Done);
        }
        let mut now = scope.take(opened).map_err(|errno| scope.failed(errno))?;
        let interval = now.at.saturating_duration_since(before.at);
        now.tree.add_rates(&before.tree, interval);
        before = now;
        if args.json {
            let time = SystemTime::now() - before.at.elapsed();
            let picture = Picture { cgroups: &opened.cgroups, tree: &before.tree, time, interval };
            ui.stdout(|to| picture.json(to))?;
        } else {
            let left_out = ui.stdout(|to| {
                if printed > 0 {
                    writeln!(to)?;
                }
                text(before.tree.clone(), args.sort, args.flat, ui.width, ui.color, to)
            })?;
            if printed == 0 {
                note(&left_out, before.tree.gaps.len());
            }
        }
        printed += 1;
        if Some(printed) == count {
            return Ok(Exit::Done);
        }
    }
}

fn note(left_out: &[&str], gaps: usize) {
    if !left_out.is_empty() {
        ui::note(&format!("no room for {}", left_out.join(" ")));
    }
    match gaps {
        0 => {}
        1 => ui::note("one cgroup could not be looked into"),
        _ => ui::note(&format!("{gaps} cgroups could not be looked into")),
    }
}

/// Waits for a time to come. Says whether, meanwhile, whoever reads standard output has gone.
fn is_closed_before(time: Instant) -> bool {
    let stdout = io::stdout();
    loop {
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        let _ = poll(&mut fds, timeout(Some(left)));
        let events = fds[0].revents().unwrap_or_else(PollFlags::empty);
        if events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP) {
            return true;
        }
    }
}

/// Returns a time for poll(2), rounded up so that it is over when that returns.
fn timeout(patience: Option<Duration>) -> PollTimeout {
    let milliseconds = patience.map(|patience| if patience.is_zero() { 0 } else { patience.as_millis() + 1 });
    milliseconds.map_or(PollTimeout::NONE, |most| PollTimeout::from(most.min(60_000) as u16))
}
