//! The one sandbox of `nsx run` that a name or a number means.
//!
//! Not here: which there are (`sandbox::nsx`), ending them (`launch::run`).

use super::TargetError;
use crate::model::{Pid, Uid};
use crate::proc::ProcRoot;
use crate::sandbox::nsx::{Sandbox, find};

/// Returns the sandbox with this name, or whose first process has this pid.
///
/// # Errors
/// Where there is none, or several.
pub fn find_by_word(proc: &ProcRoot, word: &str) -> Result<Sandbox, TargetError> {
    let Ok(pid) = word.parse().map(Pid) else { return find_one(proc, word) };
    let mut by_pid = find(proc, None).map_err(TargetError::Unlisted)?;
    by_pid.retain(|one| one.init.pid == pid);
    match (by_pid.pop(), find_one(proc, word)) {
        (Some(by_pid), Ok(by_name)) if by_name.init.pid != by_pid.init.pid => Err(several(word, &[by_pid, by_name])),
        (Some(_), Err(error @ TargetError::Sandboxes(..))) => Err(error),
        (Some(by_pid), _) => Ok(by_pid),
        (None, by_name) => by_name,
    }
}

/// Returns the sandbox with this name.
///
/// # Errors
/// Where there is none, or several, which may be different users'.
pub fn find_one(proc: &ProcRoot, name: &str) -> Result<Sandbox, TargetError> {
    let mut found = find(proc, Some(name)).map_err(TargetError::Unlisted)?;
    let own = Uid(nix::unistd::geteuid().as_raw());
    if found.iter().any(|one| one.uid == Some(own)) {
        found.retain(|one| one.uid == Some(own));
    }
    match (found.len(), found.pop()) {
        (1, Some(only)) => Ok(only),
        (_, None) => Err(TargetError::NoSandbox(name.to_owned())),
        (_, Some(last)) => {
            found.push(last);
            Err(several(name, &found))
        }
    }
}

fn several(name: &str, all: &[Sandbox]) -> TargetError {
    TargetError::Sandboxes(name.to_owned(), all.iter().map(|one| (one.init.pid, one.uid)).collect())
}
