//! `nsx kill`: the end of what `nsx run` has started.

use std::time::{Duration, Instant};

use clap::Args;

use super::run::value::name;
use super::value::time;
use super::{Exit, Global, advice, ui};
use crate::launch::run::kill::{Ending, KillError};
use crate::proc::ProcRoot;
use crate::select::TargetError;
use crate::select::sandbox;

/// End what `nsx run` has started
///
/// The command gets SIGTERM, and when it has not ended after a while, all processes of its sandbox get SIGKILL. Returns when none of them is
/// left, nor its mounts, nor its cgroup.
#[derive(Args, Debug)]
pub struct KillArgs {
    /// The names, as `nsx run` has them from --name or has printed them, or the pids of first processes
    #[arg(value_name = "NAME|PID", required = true, value_parser = target)]
    pub names: Vec<String>,

    /// Wait so long between SIGTERM and SIGKILL
    ///
    /// Times are numbers with a unit: 1.5s, 300ms, 2m, 1h; without one, seconds. 0 is the same as --now.
    #[arg(short = 't', long, value_name = "TIME", default_value = "10s", allow_negative_numbers = true, value_parser = patience)]
    pub time: Duration,

    /// Kill at once, without SIGTERM
    #[arg(long, conflicts_with = "time")]
    pub now: bool,
}

impl KillArgs {
    /// Returns how long the sandboxes may take to end by themselves; `None` is to kill at once.
    pub fn grace(&self) -> Option<Duration> {
        (!self.now && !self.time.is_zero()).then_some(self.time)
    }
}

/// How long what was killed may take to be gone, with its mounts and its cgroup.
const LAST: Duration = Duration::from_secs(10);

/// Ends the sandboxes with these names, all at once. Every error is told; the last one is what is returned.
///
/// # Errors
/// Where one is not there, or may not be ended.
pub fn run(args: &KillArgs, global: &Global) -> anyhow::Result<Exit> {
    let cannot_read = |error| KillError::Target(TargetError::Unlisted(error));
    let proc = ProcRoot::open(&global.proc_root).map_err(cannot_read)?;
    if !proc.is_own_pid_ns() {
        return Err(advice::NotOwnProc { doing: "end sandboxes", path: global.proc_root.clone() }.into());
    }
    let mut errors = Vec::new();
    let mut endings: Vec<Ending> = Vec::new();
    for name in &args.names {
        match sandbox::find_by_word(&proc, name) {
            Ok(found) if endings.iter().any(|ending| ending.init() == found.init.pid) => {}
            Ok(found) => endings.push(Ending::new(found)),
            Err(error) => errors.push(KillError::Target(error)),
        }
    }
    let grace = args.grace();
    endings.retain(|ending| {
        let sent = if grace.is_some() { ending.ask() } else { ending.kill() };
        sent.map_err(|error| errors.push(error)).is_ok()
    });
    if let Some(grace) = grace {
        let over = Instant::now() + grace;
        let remaining = endings.iter().filter(|ending| !ending.wait(over));
        errors.extend(remaining.filter_map(|ending| ending.kill().err()));
    }
    let over = Instant::now() + LAST;
    errors.extend(endings.into_iter().filter_map(|ending| ending.finish(&proc, over).err()));
    let last = errors.pop();
    for error in errors {
        let error = error.into();
        ui::error(&error, advice::hint(&error).as_deref());
    }
    last.map_or(Ok(Exit::Done), |error| Err(error.into()))
}

/// Parses a name; `nsx:` before it is as good.
///
/// # Errors
/// Whatever is no name.
pub fn target(text: &str) -> Result<String, String> {
    name(text.strip_prefix("nsx:").unwrap_or(text))
}

/// Parses `--time`.
///
/// # Errors
/// Whatever is no time.
pub fn patience(text: &str) -> Result<Duration, String> {
    /// Nobody waits longer, and clocks overflow.
    const MOST: Duration = Duration::from_secs(1000 * 86400);
    time(text, MOST)
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;
    use proptest::prelude::*;

    use super::*;

    fn definition() -> clap::Command {
        KillArgs::augment_args(clap::Command::new("kill"))
    }

    fn parse(words: &str) -> Result<KillArgs, String> {
        let matches = definition().try_get_matches_from(["kill"].into_iter().chain(words.split_whitespace()));
        matches.and_then(|matches| KillArgs::from_arg_matches(&matches)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_holds_together() {
        definition().debug_assert();
    }

    #[test]
    fn sandboxes_have_time_to_end_or_none() {
        let seconds = |number| Some(Duration::from_secs(number));
        for (words, names, grace) in [
            ("web", &["web"][..], seconds(10)),
            ("web db-1", &["web", "db-1"], seconds(10)),
            ("-t 3 web", &["web"], seconds(3)),
            ("web --time=1.5m", &["web"], seconds(90)),
            ("-t0 web", &["web"], None),
            ("--now web", &["web"], None),
        ] {
            let args = parse(words).unwrap_or_else(|error| panic!("{words}: {error}"));
            assert_eq!(
                (&args.names[..], args.grace()),
                (&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], grace)
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (words, said) in [
            ("", "NAME"),
            ("../x", "'../x' for '<NAME|PID>...': not a letter"),
            ("web a/b", "not a letter"),
            ("web \u{1b}[2J", "not a letter"),
            ("-t -1 web", "'-1' for '--time <TIME>': \"-1\" is no time"),
            ("-t nan web", "is no time"),
            ("-t 5w web", "is no time"),
            ("-t 5 --now web", "cannot be used with"),
            ("--signal HUP web", "unexpected argument"),
        ] {
            let error = parse(words).map(|_| ()).expect_err(words);
            assert!(error.contains(said), "{words}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,20}", number in "[0-9.smhd-]{0,12}") {
            let _ = (target(&text), patience(&text), patience(&number));
        }
    }
}
