//! Forks that failed because there were too many tasks. Pure.
//!
//! `pids.events` on v1, on kernels that have no `pids.events.local`, and with the mount option `pids_localevents`, counts where the fork was
//! tried, whoever's limit it was. Elsewhere `pids.events.local` counts where the limit was reached, whoever tried. Each says only half.

use super::look::{At, Look, number};
use super::words::times;
use super::{Evidence, Finding, Severity};
use crate::cgroup::effective::Binder;
use crate::model::cgroup::Controller;

pub(super) fn look_for(look: &Look<'_>, found: &mut Vec<Finding>) {
    let levels = look.levels_of(Controller::Pids);
    for at in levels.iter().rev().filter(|at| counts_limits(at)) {
        found.extend(limit_reached(look, at));
    }
    if let Some(leaf) = levels.last().filter(|at| at.is_leaf && !counts_limits(at)) {
        found.extend(fork_failed(look, &levels, leaf));
    }
    let Some(hierarchy) = look.home(Controller::Pids) else { return };
    for at in look.below(hierarchy) {
        found.extend(if counts_limits(&at) { limit_reached(look, &at) } else { fork_failed_below(look, &at) });
    }
}

/// Says whether the counter rises where the limit is.
fn counts_limits(at: &At<'_>) -> bool {
    at.has("pids.events.local") && !at.mounted_with("pids_localevents")
}

fn limit_reached(look: &Look<'_>, at: &At<'_>) -> Option<Finding> {
    const FILE: &str = "pids.events.local";
    let count = at.grown(FILE, "max");
    if count == 0 {
        return None;
    }
    let limit = at.limit("pids.max");
    let value = limit.map_or_else(|| "by now unlimited".to_owned(), |limit| limit.to_string());
    let (reached, since) = (times(count), look.since());
    let explanation = if at.is_above() {
        format!(
            "The pids.max ({value}) of {}, which is above, was reached {reached} {since}: forks failed in it or below it. In which cgroup \
             is not counted.",
            at.name()
        )
    } else {
        format!("The pids.max ({value}) was reached {reached} {since}: forks failed here or below, with EAGAIN.")
    };
    let evidence = at.counted(FILE, "max").into_iter().chain(at.says("pids.max")).chain(at.says("pids.current"));
    let finding = at.finding("pids-max", severity(look, limit, at.files().number("pids.current")), explanation);
    Some(raised(finding.with(evidence), at, limit))
}

/// The fork is known, and the limit is not: it must be the one with the least left.
fn fork_failed(look: &Look<'_>, levels: &[At<'_>], leaf: &At<'_>) -> Option<Finding> {
    const FILE: &str = "pids.events";
    let count = leaf.grown(FILE, "max");
    if count == 0 {
        return None;
    }
    let failed = format!("Forks of tasks here failed {} {}, with EAGAIN", times(count), look.since());
    let evidence: Vec<Evidence> = leaf.counted(FILE, "max").into_iter().collect();
    let bound = look.effective("pids.max").into_iter().next();
    let binder = bound.and_then(|bound| {
        let Some(Binder::Level(level)) = bound.headroom.by else { return None };
        Some((levels.get(level)?, number(bound.steps.get(level)?.limit)?, bound.steps.get(level)?.usage?))
    });
    let Some((at, limit, usage)) = binder else {
        let explanation = format!(
            "{failed}: a limit of tasks was reached. Which one cannot be told any more: nothing is limited now."
        );
        return Some(leaf.finding("pids-max", severity(look, None, None), explanation).with(evidence));
    };
    let whose = if at.is_leaf { "its own".to_owned() } else { format!("that of {}", at.name()) };
    let explanation = format!(
        "{failed}: a limit of tasks was reached, most likely {whose} ({usage} of {limit} are used now). This is inferred from how much is \
         left: the kernel counts who forked, and not whose limit it was.",
    );
    let finding = leaf.finding("pids-max", severity(look, Some(limit), Some(usage)), explanation);
    let finding = finding.with(evidence).with(at.says("pids.max")).with(at.says("pids.current"));
    Some(raised(finding, at, Some(limit)))
}

/// Below the target only the counter itself is known.
fn fork_failed_below(look: &Look<'_>, at: &At<'_>) -> Option<Finding> {
    let count = at.grown("pids.events", "max");
    let explanation = format!(
        "Forks of tasks in this cgroup, which is below, failed {} {}: a limit of tasks was reached, its own or one above.",
        times(count),
        look.since()
    );
    let finding = at.finding("pids-max", severity(look, None, None), explanation);
    let directory = super::words::quoted(&at.file("."));
    (count > 0).then(|| finding.with(at.counted("pids.events", "max")).fixed_by(format!("nsx cg path {directory}")))
}

fn severity(look: &Look<'_>, limit: Option<u64>, usage: Option<u64>) -> Severity {
    let is_so_now = limit.zip(usage).is_some_and(|(limit, usage)| usage >= limit);
    if look.before.is_some() || is_so_now { Severity::Critical } else { Severity::Warning }
}

fn raised(finding: Finding, at: &At<'_>, limit: Option<u64>) -> Finding {
    match limit {
        Some(limit) => finding.fixed_by(at.set("pids.max", &limit.saturating_mul(2).max(1).to_string())),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, Made, essence, evidence};
    use super::*;

    const ROOT: Made<'_> = ("/", &[]);

    #[test]
    fn where_the_limit_counts() {
        let limit = [
            ("pids.events.local", "max 4\n"),
            ("pids.events", "max 4\n"),
            ("pids.max", "10\n"),
            ("pids.current", "3\n"),
        ];
        let none = [("pids.events.local", "max 0\n"), ("pids.events", "max 0\n"), ("pids.max", "max\n")];
        let found = Case::v2(&[ROOT, ("/a", &none), ("/a/b", &limit)]).only("pids-max");
        assert_eq!(essence(&found), ("/a/b", Severity::Warning, Some("nsx cg set /sys/fs/cgroup/a/b pids.max=20")));
        let found = Case::v2(&[ROOT, ("/a", &limit), ("/a/b", &none)]).before(&[ROOT, ("/a", &none), ("/a/b", &none)]);
        let found = found.only("pids-max");
        assert_eq!((&found.cgroup[..], found.severity), (&b"/a"[..], Severity::Critical));
        assert!(found.explanation.starts_with("The pids.max (10) of /a, which is above, was reached 4 times in 5.0 s"));
        assert_eq!(evidence(&found)[0], "/a/pids.events.local: max 4 (+4)");
    }

    #[test]
    fn where_the_fork_counts_the_limit_is_inferred() {
        let a = [("pids.max", "10\n"), ("pids.current", "10\n"), ("pids.events", "max 0\n")];
        let b = [("pids.max", "100\n"), ("pids.current", "8\n"), ("pids.events", "max 4\n")];
        let old = Case::v2(&[ROOT, ("/a", &a), ("/a/b", &b)]);
        let v1 = Case::v1(&[("/", &[("release_agent", "")]), ("/a", &a), ("/a/b", &b)]);
        let local =
            |files: [(&'static str, &'static str); 3]| [&files[..], &[("pids.events.local", "max 4\n")]].concat();
        let (a, b) = (local(a), local(b));
        let option = Case::v2(&[ROOT, ("/a", &a), ("/a/b", &b)]).option("pids_localevents");
        for case in [old, v1, option] {
            let found = case.one("pids-max");
            let fix = Some("nsx cg set /sys/fs/cgroup/a pids.max=20");
            assert_eq!(essence(&found), ("/a/b", Severity::Critical, fix));
            assert!(found.explanation.contains("most likely that of /a (10 of 10 are used now). This is inferred"));
        }
    }

    #[test]
    fn forks_below() {
        let none = [("pids.events", "max 3\n"), ("pids.events.local", "max 0\n")];
        let below = [("pids.events", "max 3\n"), ("pids.events.local", "max 3\n"), ("pids.max", "5\n")];
        let found = Case::v2(&[ROOT, ("/a", &none)]).below(&[("/a/b", &below)]).only("pids-max");
        assert_eq!(found.cgroup, b"/a/b");
        let below = [("pids.events", "max 3\n")];
        let found =
            Case::v1(&[ROOT, ("/a", &[("pids.events", "max 0\n")])]).below(&[("/a/b", &below)]).only("pids-max");
        assert_eq!(essence(&found), ("/a/b", Severity::Warning, Some("nsx cg path /sys/fs/cgroup/a/b")));
    }
}
