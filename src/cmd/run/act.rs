//! `nsx run`, done: the sandbox is built, or its plan is shown.

use super::RunArgs;
use crate::cmd::enter::{NotExecuted, Status};
use crate::cmd::{Exit, Global, advice, ui, ui::Ui};
use crate::launch::run::build::Event;
use crate::launch::run::{RunError, RunRequest, Sandbox, report};
use crate::launch::{Ended, keep_only};
use crate::proc::ProcRoot;
use crate::render::explain::{self, ExplainedRun, ExplainedStep};
use crate::render::run;
use crate::sys::signal;

/// Where a command is looked for, in messages.
pub const INSIDE: &str = " inside";

/// Runs the command.
///
/// # Errors
/// Where it could not be started.
pub fn run(args: &RunArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let mut request = args.request()?;
    let status = Status(args.life.status_fd.filter(|_| !args.explain));
    let outcome =
        args.look_up(&mut request).map_err(Into::into).and_then(|()| act(args, &request, global, ui, &status));
    if let Err(error) = &outcome {
        status.say(&serde_json::json!({
            "event": "failed", "code": crate::cmd::exit_code(error).code(), "error": format!("{error:#}"),
        }));
    }
    outcome
}

fn act(args: &RunArgs, request: &RunRequest, global: &Global, ui: &Ui, status: &Status) -> anyhow::Result<Exit> {
    keep_only(&request.keep_fds, args.life.status_fd).map_err(RunError::from)?;
    let cannot_read = |error| RunError::Failed("cannot look at the host".to_owned(), error);
    let proc = ProcRoot::open(&global.proc_root).map_err(cannot_read)?;
    if !proc.is_own_pid_ns() {
        return Err(advice::NotOwnProc { doing: "run", path: global.proc_root.clone() }.into());
    }
    #[allow(unused_mut, reason = "tests of a build with assertions change it")]
    let mut sandbox = Sandbox::prepare(&proc, request)?;
    #[cfg(debug_assertions)]
    if let Some(step) = std::env::var("NSX_HALT_AT").ok().and_then(|step| step.parse().ok()) {
        sandbox.halt_at(step);
    }
    if args.explain {
        let explained = explained(&sandbox)?;
        let json = args.json;
        ui.stdout(|to| match json {
            true => explain::run_json(&explained, to),
            false => explain::run_text(&explained, ui.color, to),
        })?;
        return Ok(Exit::Done);
    }
    let mut notes = Notes { quiet: args.life.stats && args.json, all: Vec::new() };
    sandbox.plan.notes.iter().for_each(|note| notes.add(note.clone()));
    let outcome = sandbox.run(&mut |event| match event {
        Event::Started(pid) => {
            status.say(&serde_json::json!({ "event": "started", "pid": pid, "name": sandbox.name() }));
        }
        Event::Note(note) => notes.add(note),
    })?;
    let Some(ended) = outcome.ended else {
        let name = sandbox.name();
        ui.stdout(|to| writeln!(to, "{name}"))?;
        return Ok(Exit::Done);
    };
    let how = match ended {
        Ended::Exited(code) => run::Ended { code: Some(code as u8), ..run::Ended::default() },
        Ended::TimedOut => run::Ended { code: Some(Exit::TimedOut.code()), timeout: true, ..run::Ended::default() },
        Ended::Killed(number) => run::Ended { signal: Some(number), ..run::Ended::default() },
        Ended::NotExecuted(ref error) | Ended::NotInterpreted(ref error) => {
            let uninterpreted = matches!(ended, Ended::NotInterpreted(_));
            let error = error.clone();
            let name = request.command.first().map(|name| name.to_string_lossy().escape_debug().to_string());
            return Err(NotExecuted { name, error, uninterpreted, place: INSIDE }.into());
        }
    };
    let before = notes.all.len();
    if how.timeout {
        notes.add("the time given by --timeout was over".to_owned());
    }
    report::notes(&outcome.report, how.signal == Some(nix::libc::SIGKILL)).into_iter().for_each(|note| notes.add(note));
    let wall_usec = u64::try_from(outcome.wall.as_micros()).unwrap_or(u64::MAX);
    // What was said before the end is in the report where there is no other place for it.
    let reported = notes.all.split_off(if notes.quiet { 0 } else { before });
    let used = run::ReportJson::new(&outcome.report, wall_usec, reported);
    status.say(&serde_json::json!({
        "event": "exited", "code": how.code, "signal": how.signal, "timeout": how.timeout, "report": used,
    }));
    if args.life.stats {
        ui::stderr(|to| if args.json { used.json(how, to) } else { used.text(to) });
    }
    Ok(match ended {
        Ended::Exited(code) => Exit::Command(code as u8),
        Ended::TimedOut => Exit::TimedOut,
        Ended::Killed(number) => {
            signal::die_by(number);
            // Only a first process of a pid namespace survives that; it says what a shell would.
            Exit::Command(128u8.wrapping_add(number as u8))
        }
        Ended::NotExecuted(_) | Ended::NotInterpreted(_) => Exit::NotExecutable,
    })
}

/// What a user should know, as it becomes known.
struct Notes {
    /// Whether a document goes where notes do: then they are in that, and nothing is beside it.
    quiet: bool,
    all: Vec<String>,
}

impl Notes {
    fn add(&mut self, note: String) {
        if !self.quiet {
            ui::note(&note);
        }
        self.all.push(note);
    }
}

fn explained(sandbox: &Sandbox<'_>) -> Result<ExplainedRun, RunError> {
    let calls = sandbox.calls()?;
    let steps = sandbox.plan.steps.iter().zip(calls).map(|(step, calls)| ExplainedStep {
        who: step.who.to_string(),
        calls,
        why: step.why.clone(),
    });
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(ExplainedRun {
        name: sandbox.name().to_owned(),
        created: sandbox.plan.created,
        cgroups: sandbox.cgroups().map(|(hierarchy, path)| (hierarchy.to_owned(), lossy(path))).collect(),
        terminal: sandbox.facts.terminal,
        steps: steps.collect(),
        notes: sandbox.plan.notes.clone(),
        command: sandbox.request.command.clone(),
    })
}
