//! What became of a command, from the calls that have failed and from how its processes ended.

use std::ffi::{CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use crate::launch::Ended;
use crate::launch::run::error::{RunError, cannot};
use crate::launch::run::forbidden;
use crate::launch::run::steps::Action;
use crate::launch::run::supervise::{End, Watched};
use crate::sys::program::{Failure, Program};
use crate::sys::{Call, Errno, SysError, dir};

use super::{Event, Sandbox};

impl Sandbox<'_> {
    /// What became of a command, from what failed and how it ended.
    pub(super) fn judge(
        &self,
        watched: Watched,
        program: &Program,
        name: &dyn Fn((usize, Errno)) -> Failure,
        hear: &mut dyn FnMut(Event),
    ) -> Result<Ended, RunError> {
        let Watched { end, mut failures, fatal, timed_out } = watched;
        let reason = if fatal { failures.pop().map(name) } else { None };
        let is_exec_step =
            |step: usize| self.plan.steps.get(step).is_some_and(|step| matches!(step.action, Action::Exec));
        let is_exec = |failure: &Failure| is_exec_step(failure.step);
        let (looked, notes): (Vec<_>, Vec<_>) =
            failures.into_iter().partition(|(place, _)| program.step_at(*place).is_some_and(is_exec_step));
        for failure in notes.into_iter().map(name) {
            if let Some(step) = self.plan.steps.get(failure.step) {
                hear(Event::Note(note(&step.action, &failure.error)));
            }
        }
        let Some(reason) = reason else {
            return match end {
                _ if timed_out => Ok(Ended::TimedOut),
                End::Exited(code) => Ok(Ended::Exited(code)),
                End::Killed(number) | End::NotStarted(Some(number)) => Ok(Ended::Killed(number)),
                End::NotStarted(None) => {
                    let unknown = SysError::new(Call::Waitpid, Errno::ECHILD);
                    Err(RunError::Failed("the command's process ended before the command was there".into(), unknown))
                }
            };
        };
        if is_exec(&reason) && matches!(reason.error.call, Call::Execve(_)) {
            // Of several places that were looked at, the one where something was found says more.
            let absent = |errno| matches!(errno, Errno::ENOENT | Errno::ENOTDIR);
            let found = looked.into_iter().find(|(_, errno)| !absent(*errno)).map(name);
            let error = found.unwrap_or(reason).error;
            let missing = absent(error.errno).then(|| self.uninterpreted()).flatten();
            return Ok(match missing {
                Some(path) => Ended::NotInterpreted(SysError::new(Call::Execve(path), error.errno)),
                None => Ended::NotExecuted(error),
            });
        }
        let Some(step) = self.plan.steps.get(reason.step) else {
            return Err(RunError::Failed("cannot start a sandbox".to_owned(), reason.error));
        };
        match &step.action {
            Action::Clone { kinds, .. } | Action::Unshare(kinds) => {
                match forbidden::creation(self.proc, &self.held.caller, *kinds, reason.error.errno) {
                    Some(forbidden) => Err(RunError::Forbidden(forbidden, reason.error)),
                    None => Err(RunError::Step(Box::new(step.action.clone()), reason.error)),
                }
            }
            Action::WriteOwnMap { .. } => {
                match forbidden::mapping(self.proc, &self.held.caller, false, reason.error.errno) {
                    Some(forbidden) => Err(RunError::Forbidden(forbidden, reason.error)),
                    None => Err(RunError::Step(Box::new(step.action.clone()), reason.error)),
                }
            }
            action => Err(RunError::Step(Box::new(action.clone()), reason.error)),
        }
    }
}

impl Sandbox<'_> {
    /// Returns where the command is, if it is there: the kernel says the same of an interpreter that is missing.
    fn uninterpreted(&self) -> Option<Vec<u8>> {
        let name = self.request.command.first()?.as_bytes();
        let program = self.readable(0, false).ok()?;
        let mut paths = program.calls().filter_map(|(_, call)| match call {
            Call::Execve(path) => Some(path),
            _ => None,
        });
        let is_command = |path: &Vec<u8>| path == name || path.ends_with(&[b"/", name].concat());
        paths.find(|path| is_command(path) && self.is_inside(path)).cloned()
    }

    fn is_inside(&self, path: &[u8]) -> bool {
        let is_hidden = |(above, _): &(Vec<u8>, u32)| path.starts_with(&[&above[..], b"/"].concat());
        let is_shown = self.request.binds.iter().any(|bind| path.starts_with(bind.target.as_os_str().as_bytes()));
        match &self.held.root {
            _ if is_shown || self.facts.private.iter().any(is_hidden) => false,
            Some(root) => CString::new(path).is_ok_and(|path| dir::open_in_root(root.as_fd(), &path).is_ok()),
            None => std::fs::metadata(OsStr::from_bytes(path)).is_ok_and(|found| found.is_file()),
        }
    }
}

/// What a failure that was allowed means for a user.
fn note(action: &Action, error: &SysError) -> String {
    match action {
        Action::MountProc => format!(
            "/proc shows the processes outside, too: a new one may not be made where parts of the present one are hidden: {error}"
        ),
        Action::MountSys => format!("/sys is the one outside: a new one may not be made here: {error}"),
        action => format!("{}: {error}", cannot(action)),
    }
}
