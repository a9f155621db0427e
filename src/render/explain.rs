//! The steps of a plan: as a list to read, and as JSON. Not here: what the steps are (`launch::plan`).

use std::ffi::OsString;
use std::io::{self, Write};

use serde::Serialize;

use super::style::Style;
use super::text::sanitize;
use crate::model::KindSet;

/// A plan, with the system calls of each step.
pub struct Explained {
    /// The pid of the target, if it is a process.
    pub pid: Option<u32>,
    /// Whether it is held by a pidfd.
    pub pidfd: bool,
    /// The kinds of namespace that are entered.
    pub entered: KindSet,
    /// Whether nsx stays and watches over the command.
    pub forks: bool,
    /// Whether the command gets a terminal of its own.
    pub terminal: bool,
    /// The steps, in order.
    pub steps: Vec<ExplainedStep>,
    /// What is not done, and why.
    pub notes: Vec<String>,
    /// The command and its arguments.
    pub command: Vec<OsString>,
}

/// A step.
#[derive(Serialize)]
pub struct ExplainedStep {
    /// Who makes it: `nsx`, `stub`, `command`.
    pub who: String,
    /// Its system calls.
    pub calls: Vec<String>,
    /// Why it is there.
    pub why: String,
}

/// The plan of a sandbox.
pub struct ExplainedRun {
    /// What it is called.
    pub name: String,
    /// The kinds of namespace that are new.
    pub created: KindSet,
    /// Its cgroups: hierarchy, path.
    pub cgroups: Vec<(String, String)>,
    /// Whether the command gets a terminal of its own.
    pub terminal: bool,
    /// The steps, in order.
    pub steps: Vec<ExplainedStep>,
    /// What a user should know.
    pub notes: Vec<String>,
    /// The command and its arguments.
    pub command: Vec<OsString>,
}

/// Prints the steps of a sandbox as a numbered list.
///
/// # Errors
/// Whatever `to` says.
pub fn run_text(plan: &ExplainedRun, color: bool, to: &mut dyn Write) -> io::Result<()> {
    list(&plan.steps, &plan.notes, color, to)
}

/// Prints the document of schema `nsx.run/1`, for a plan.
///
/// # Errors
/// Whatever `to` says.
pub fn run_json(plan: &ExplainedRun, to: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Cgroup<'a> {
        hierarchy: &'a str,
        path: &'a str,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        name: &'a str,
        created: Vec<&'static str>,
        cgroups: Vec<Cgroup<'a>>,
        terminal: bool,
        steps: &'a [ExplainedStep],
        notes: &'a [String],
        command: Vec<String>,
    }
    let document = Document {
        schema: "nsx.run/1",
        name: &plan.name,
        created: plan.created.iter().map(|kind| kind.name()).collect(),
        cgroups: plan.cgroups.iter().map(|(hierarchy, path)| Cgroup { hierarchy, path }).collect(),
        terminal: plan.terminal,
        steps: &plan.steps,
        notes: &plan.notes,
        command: plan.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
    };
    super::json::write(&document, to)
}

/// Prints the steps as a numbered list.
///
/// # Errors
/// Whatever `to` says.
pub fn text(plan: &Explained, color: bool, to: &mut dyn Write) -> io::Result<()> {
    list(&plan.steps, &plan.notes, color, to)
}

fn list(steps: &[ExplainedStep], notes: &[String], color: bool, to: &mut dyn Write) -> io::Result<()> {
    for (number, step) in steps.iter().enumerate() {
        let who = if color { Style::Heading.paint().style(&step.who).to_string() } else { step.who.clone() };
        let pad = " ".repeat(7usize.saturating_sub(step.who.len()));
        let mut calls = runs(&step.calls).into_iter();
        writeln!(to, "{:>2}  {who}{pad}  {}", number + 1, sanitize(calls.next().unwrap_or_default().as_bytes()))?;
        for call in calls {
            writeln!(to, "             {}", sanitize(call.as_bytes()))?;
        }
        if !step.why.is_empty() {
            let why = if color { Style::Initial.paint().style(&step.why).to_string() } else { step.why.clone() };
            writeln!(to, "             # {why}")?;
        }
    }
    for note in notes {
        writeln!(to, "note: {}", sanitize(note.as_bytes()))?;
    }
    Ok(())
}

/// Puts calls that are alike into one line, and leaves out those that only tidy up.
fn runs(calls: &[String]) -> Vec<String> {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for call in calls.iter().filter(|call| *call != "close") {
        match runs.last_mut() {
            Some((last, count)) if last == call => *count += 1,
            _ => runs.push((call.clone(), 1)),
        }
    }
    let execs = runs.iter().filter(|(call, _)| call.starts_with("execve(")).count();
    if execs > 1 {
        let first = runs.iter().position(|(call, _)| call.starts_with("execve(")).unwrap_or_default();
        runs.truncate(first + 1);
        let others = if execs == 2 { "another place".to_owned() } else { format!("{} other places", execs - 1) };
        runs[first].0.push_str(&format!(", or in {others}"));
    }
    runs.into_iter().map(|(call, count)| if count > 1 { format!("{call} × {count}") } else { call }).collect()
}

/// Prints the document of schema `nsx.enter/1`.
///
/// # Errors
/// Whatever `to` says.
pub fn json(plan: &Explained, to: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        pid: Option<u32>,
        pidfd: bool,
        entered: Vec<&'static str>,
        forks: bool,
        terminal: bool,
        steps: &'a [ExplainedStep],
        notes: &'a [String],
        command: Vec<String>,
    }
    let document = Document {
        schema: "nsx.enter/1",
        pid: plan.pid,
        pidfd: plan.pidfd,
        entered: plan.entered.iter().map(|kind| kind.name()).collect(),
        forks: plan.forks,
        terminal: plan.terminal,
        steps: &plan.steps,
        notes: &plan.notes,
        command: plan.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
    };
    super::json::write(&document, to)
}
