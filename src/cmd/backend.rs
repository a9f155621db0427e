//! `--backend` and `-v`: by which way processes are looked at, and saying which it was. What the commands share that list them.

use std::sync::OnceLock;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::{UsageError, ui};
use crate::model::Backend;
use crate::render::text::sanitize;
use crate::scan::{Choice, Progress, Refused, ScanOptions};

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Choice] {
        &Choice::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Choice::Auto => PossibleValue::new("auto").help("BPF where it may be used and is faster, else /proc"),
            Choice::Only(backend @ Backend::Proc) => PossibleValue::new(backend.name()).help("read /proc"),
            Choice::Only(backend @ Backend::Bpf) => {
                PossibleValue::new(backend.name()).help("BPF; /proc where it may not be used")
            }
        })
    }
}

/// The options of whoever lists processes.
#[derive(Args, Debug)]
pub struct BackendArgs {
    /// How to look at processes
    ///
    /// BPF takes root, or CAP_BPF and CAP_PERFMON, in the initial user, pid and time namespaces. The kernel then runs a small program over
    /// all tasks, which is gone when its output has been read. What is found is the same. Without this option the environment variable
    /// NSX_BACKEND counts, else `auto`.
    #[arg(long, value_name = "BACKEND", value_enum)]
    backend: Option<Choice>,

    /// Say on standard error how processes were looked at
    #[arg(short, long)]
    verbose: bool,

    #[clap(skip)]
    refused: OnceLock<Refused>,
}

/// The environment variable that says by which way processes are looked at.
const VARIABLE: &str = "NSX_BACKEND";

/// Has the environment say by which way processes are looked at.
///
/// # Errors
/// Where it says something else.
pub fn prefer_by_environment() -> Result<(), UsageError> {
    let Some(word) = std::env::var_os(VARIABLE).filter(|word| !word.is_empty()) else { return Ok(()) };
    let choice = word.to_str().and_then(|word| Choice::from_str(word, false).ok());
    choice.map(Choice::prefer).ok_or(UsageError("the environment variable NSX_BACKEND is neither auto, proc nor bpf"))
}

impl BackendArgs {
    /// Has the option count wherever processes are looked at, also for names and numbers of targets.
    pub fn prefer(&self) {
        if let Some(choice) = self.backend {
            choice.prefer();
        }
    }

    /// Returns what is to be looked for, with everything by default that is no matter of the backend.
    pub fn options<'a>(&'a self, progress: &'a Progress) -> ScanOptions<'a> {
        ScanOptions { refused: Some(&self.refused), progress: Some(progress), ..ScanOptions::default() }
    }

    /// Says how processes were looked at, where that was asked for, or is not what was asked for.
    pub fn note(&self, used: Backend) {
        let asked_for_other = matches!(Choice::Auto.resolved(), Choice::Only(asked) if asked != used);
        if !self.verbose && !asked_for_other {
            return;
        }
        match (used, self.refused.get()) {
            (Backend::Bpf, _) => ui::note("BPF has looked at all tasks"),
            (Backend::Proc, None | Some(Refused::NotAsked)) => ui::note("/proc was read"),
            (Backend::Proc, Some(refused)) => {
                let log = refused.log().map(|log| format!("; the verifier says:\n{log}")).unwrap_or_default();
                let log: Vec<_> = log.lines().map(|line| sanitize(line.as_bytes())).collect();
                ui::note(&format!("/proc was read, not BPF: {refused}{}", log.join("\n  ")));
            }
        }
    }
}
