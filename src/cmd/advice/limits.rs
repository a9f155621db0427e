//! Hints below errors of the cgroups of `nsx run`: what to type instead, or first.

use super::cg::{self, quoted};
use crate::cgroup::change::{Cause, ChangeError};
use crate::launch::run::limits::LimitError;
use crate::model::cgroup::size;

/// An ordinary user has a subtree of v2 where his systemd gives him one; on v1 somebody has to hand one over by chown(1).
const DELEGATED: &str = "run it in a cgroup that is yours, which on v2 systemd-run --user --scope -p Delegate=yes nsx run … does, or name one \
                         with --cgroup-parent; or run as root";

/// Returns what to do about limits that cannot be had, where the cause is known.
pub(super) fn hint(error: &LimitError, root: bool) -> Option<String> {
    match error {
        LimitError::Change(error) => change(error, root),
        LimitError::Parent(error) => super::target(error, root),
        LimitError::ParentClimbs(_) => Some("name the cgroup by its path from the root of its hierarchy".to_owned()),
        LimitError::TooLittle { knob, least, .. } if knob.starts_with("memory.") => {
            Some(format!("give {} or more", size(*least)))
        }
        LimitError::TooLittle { least, .. } => Some(format!("give {least} or more")),
        LimitError::Beyond { has, .. } if !has.is_empty() => Some(format!("choose among {has}")),
        LimitError::Beyond { .. } | LimitError::System(_) => None,
    }
}

fn change(error: &ChangeError, root: bool) -> Option<String> {
    Some(match &*error.cause {
        Cause::Denied { .. } | Cause::CommonAncestor { .. } if !root => DELEGATED.to_owned(),
        Cause::NotEnabled { controller, at } if !root => {
            format!("as root: nsx cg set {} cgroup.subtree_control=+{controller}", quoted(at))
        }
        Cause::NoParent { path, .. } => format!("make it first: nsx cg create -p {}", quoted(path)),
        Cause::Exists => {
            let path = quoted(&error.path);
            format!("give the sandbox another name; if nobody is in there (nsx cg procs {path}), nsx cg rm {path}")
        }
        Cause::NeedsMemoryLimit => "limit memory, too: --mem SIZE".to_owned(),
        Cause::Elsewhere { .. } => {
            "name the parent by its path in the hierarchies, such as /nsx, and not by a directory of one".to_owned()
        }
        Cause::Threaded | Cause::DomainInvalid => "name a parent that is not threaded: --cgroup-parent PATH".to_owned(),
        _ => return cg::hint(error, root),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::change::Intent;

    #[test]
    fn each_limit_has_its_hint() {
        let change = |cause| {
            let path = b"/a/nsx-web".to_vec();
            let error =
                ChangeError { intent: Intent::Create, path, cause: Box::new(cause), error: None, done: Vec::new() };
            LimitError::Change(error)
        };
        let denied = || Cause::Denied { file: String::new(), file_owner: None, owner: Some(0) };
        let not_enabled = || Cause::NotEnabled { controller: "memory".into(), at: b"/a".to_vec() };
        let few = |knob: &str, least| LimitError::TooLittle { knob: knob.into(), asked: 0, least, why: "" };
        for (error, root, start) in [
            (change(denied()), false, Some("run it in a cgroup that is yours, which on v2 systemd-run --user")),
            (change(denied()), true, None),
            (change(not_enabled()), false, Some("as root: nsx cg set /a cgroup.subtree_control=+memory")),
            (change(not_enabled()), true, Some("nsx cg set /a cgroup.subtree_control=+memory")),
            (
                change(Cause::NoParent { path: b"/a".to_vec(), hierarchy: "v2".into() }),
                true,
                Some("make it first: nsx cg create -p /a"),
            ),
            (change(Cause::Exists), true, Some("give the sandbox another name; if nobody is in there (nsx cg procs")),
            (change(Cause::NeedsMemoryLimit), true, Some("limit memory, too: --mem")),
            (change(Cause::Threaded), true, Some("name a parent that is not threaded")),
            (few("memory.max", 512 << 10), true, Some("give 512K or more")),
            (few("pids.max", 2), true, Some("give 2 or more")),
            (LimitError::ParentClimbs("/a/..".into()), true, Some("name the cgroup by its path")),
        ] {
            let found = hint(&error, root);
            let fits = match (&found, start) {
                (Some(found), Some(start)) => found.starts_with(start),
                (found, start) => found.is_none() && start.is_none(),
            };
            assert!(fits, "{error:?}: {found:?}");
        }
    }
}
