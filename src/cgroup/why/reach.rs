//! What the caller, or a controller, does not reach: and so cannot be the reason, or cannot be seen to be. Pure.

use super::look::{At, Look};
use super::words::{many, quoted, text};
use super::{Evidence, Finding, MAIN, Severity};
use crate::cgroup::effective::controllers_that_end_above;
use crate::cgroup::host::Home;
use crate::cgroup::ladder::{Ladder, Seen};
use crate::model::cgroup::{Controller, Version};

pub(super) fn look_for(look: &Look<'_>, found: &mut Vec<Finding>) {
    ended(look, found);
    absent(look, found);
    out_of_sight(look, found);
    unreadable(look, found);
    not_delegated(look, found);
    if look.now.cut {
        let ladder = look.home(Controller::Memory).and_then(|hierarchy| look.now.subject.ladder(hierarchy));
        if let Some(ladder) = ladder.or(look.now.subject.ladders.first()) {
            let explanation =
                "There are so many cgroups below that not all were looked at: there may be more to find there.";
            found.push(of_ladder("not-all-seen", Severity::Info, ladder, explanation.to_owned()));
        }
    }
}

fn of_ladder(id: &'static str, severity: Severity, ladder: &Ladder, explanation: String) -> Finding {
    let (cgroup, hierarchy) = (ladder.path.clone(), ladder.hierarchy);
    Finding { id, severity, cgroup, hierarchy, evidence: Vec::new(), explanation, fix: None }
}

/// Says whether somebody who asks why looks at a hierarchy: one without controllers limits nothing.
fn matters(look: &Look<'_>, ladder: &Ladder) -> bool {
    let hierarchy = look.facts.hierarchies.get(ladder.hierarchy);
    hierarchy.is_some_and(|one| {
        one.version == Version::V2
            || one.controllers.iter().any(|has| MAIN.contains(has) || *has == Controller::Freezer)
    })
}

/// Controllers that end above. Those with the same end are one finding.
fn ended(look: &Look<'_>, found: &mut Vec<Finding>) {
    let Some(hierarchy) = look.unified() else { return };
    let Some(ladder) = look.now.subject.ladder(hierarchy).filter(|ladder| ladder.seen == Seen::Whole) else { return };
    let levels = look.levels(hierarchy);
    let kind = levels.last().and_then(|leaf| leaf.files().get("cgroup.type")).unwrap_or_default().trim_ascii();
    // Only some controllers can reach a threaded cgroup, and none one that is invalid.
    let could_be = |controller: Controller| match kind {
        b"domain invalid" => false,
        b"threaded" => !matches!(controller, Controller::Memory | Controller::Io),
        _ => true,
    };
    let mut ends: Vec<(usize, Vec<Controller>)> = Vec::new();
    let ended = controllers_that_end_above(ladder).into_iter();
    for (controller, level) in ended.filter(|(one, _)| MAIN.contains(one) && could_be(*one)) {
        match ends.iter_mut().find(|(end, _)| *end == level) {
            Some((_, controllers)) => controllers.push(controller),
            None => ends.push((level, vec![controller])),
        }
    }
    for (level, controllers) in ends {
        let (Some(at), Some(leaf)) = (levels.get(level), levels.last()) else { continue };
        let names: Vec<&str> = controllers.iter().map(|controller| controller.name()).collect();
        let (names, words) =
            (names.join(", "), names.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" "));
        let explanation = format!(
            "{names}: not enabled below {}. There are no limits of its own and nothing is counted here; what counts is what is set there \
             and above.",
            at.name()
        );
        // Each cgroup on the way has to pass them on to its children.
        let files: Vec<String> =
            levels[level..levels.len() - 1].iter().map(|at| quoted(&at.file("cgroup.subtree_control"))).collect();
        let fix = match &files[..] {
            [file] => format!("echo {} > {file}", quoted(words.as_bytes())),
            files => format!("for f in {}; do echo {} > \"$f\"; done", files.join(" "), quoted(words.as_bytes())),
        };
        let finding = leaf.finding("controller-off", Severity::Info, explanation);
        found.push(finding.with(at.says("cgroup.subtree_control")).with(leaf.says("cgroup.controllers")).fixed_by(fix));
    }
}

/// Controllers that nobody can use here.
fn absent(look: &Look<'_>, found: &mut Vec<Finding>) {
    let Some(ladder) = look.now.subject.ladders.first() else { return };
    for &(controller, home) in look.facts.homes.iter().filter(|(controller, _)| MAIN.contains(controller)) {
        let name = controller.v1_name();
        let (why, fix) = match home {
            Home::Hierarchy(_) => continue,
            Home::NotMounted(version) => {
                let fix = match version {
                    Version::V1 => format!("mount -t cgroup -o {name} cgroup /sys/fs/cgroup/{name}"),
                    Version::V2 => "mount -t cgroup2 cgroup2 /sys/fs/cgroup".to_owned(),
                };
                ("its hierarchy is not mounted here", fix)
            }
            Home::Disabled => ("it was disabled at boot, by cgroup_disable=", "cat /proc/cmdline".to_owned()),
            Home::Absent => ("this kernel does not have it, or not for cgroups here", "cat /proc/cgroups".to_owned()),
        };
        let explanation = format!("{controller}: {why}. It limits nothing, as far as can be seen, and counts nothing.");
        let finding = of_ladder("controller-absent", Severity::Info, ladder, explanation);
        let (file, key) = (b"/proc/cgroups".to_vec(), name.to_owned());
        let value = match home {
            Home::Hierarchy(_) => continue,
            Home::NotMounted(_) => "not mounted",
            Home::Disabled => "disabled",
            Home::Absent => "not there",
        };
        found.push(finding.with([Evidence { file, key, value: value.to_owned(), change: None }]).fixed_by(fix));
    }
}

/// Limits above the top cannot be seen. Hierarchies with the same top are one finding.
fn out_of_sight(look: &Look<'_>, found: &mut Vec<Finding>) {
    let mut told: Vec<(bool, &[u8])> = Vec::new();
    for ladder in look.now.subject.ladders.iter().filter(|ladder| matters(look, ladder)) {
        let is_outside = ladder.seen == Seen::Outside;
        let top = ladder.levels.first().map_or(&ladder.path[..], |top| &top.path);
        if !is_outside && ladder.is_from_root() || told.contains(&(is_outside, top)) {
            continue;
        }
        told.push((is_outside, top));
        let explanation = if is_outside {
            "The cgroup lies outside of what is mounted here, or of the caller's cgroup namespace: none of its files can be seen."
                .to_owned()
        } else {
            format!("What is above {} cannot be seen from here, and may set limits, too.", text(top))
        };
        let finding = of_ladder("out-of-sight", Severity::Info, ladder, explanation);
        let finding = finding.with([Evidence {
            file: b"/proc/self/mountinfo".to_vec(),
            key: "root".to_owned(),
            value: look
                .facts
                .hierarchies
                .get(ladder.hierarchy)
                .and_then(|one| one.mounts.first())
                .map_or_else(|| "-".to_owned(), |mount| text(&mount.root)),
            change: None,
        }]);
        let pid = look.now.subject.pid.map_or_else(|| "1".to_owned(), |pid| pid.to_string());
        found.push(finding.fixed_by(format!("nsenter -t 1 -m -C nsx cg why {pid}")));
    }
}

fn unreadable(look: &Look<'_>, found: &mut Vec<Finding>) {
    for ladder in look.now.subject.ladders.iter().filter(|ladder| matters(look, ladder)) {
        let Seen::Refused(error) = &ladder.seen else { continue };
        let explanation = format!("The cgroup could not be read: {error}.");
        let finding = of_ladder("refused", Severity::Warning, ladder, explanation);
        let file = super::look::file(look.facts, ladder.hierarchy, &ladder.path, ".");
        let who = look.now.subject.pid.map_or_else(|| quoted(&file), |pid| pid.to_string());
        let evidence = Evidence { file, key: String::new(), value: error.errno.to_string(), change: None };
        found.push(finding.with([evidence]).fixed_by(format!("sudo nsx cg why {who}")));
    }
}

/// What the caller may not change. On v1 all hierarchies are one finding.
fn not_delegated(look: &Look<'_>, found: &mut Vec<Finding>) {
    let mut by_path: Vec<(Version, Finding)> = Vec::new();
    for refusal in &look.facts.refusals {
        let Some(leaf) = look.levels(refusal.hierarchy).pop().filter(|at: &At<'_>| at.is_leaf) else { continue };
        let version = leaf.files().version;
        let evidence = refusal.names.iter().map(|name| Evidence {
            file: leaf.file(name),
            key: String::new(),
            value: "not writable".to_owned(),
            change: None,
        });
        if let Some((_, known)) = by_path.iter_mut().find(|(known, one)| *known == version && one.cgroup == leaf.path())
        {
            known.evidence.extend(evidence);
            continue;
        }
        let mut may_not: Vec<&str> = Vec::new();
        for name in &refusal.names {
            may_not.push(match *name {
                "." => "make cgroups in it",
                "cgroup.procs" => "move processes into it",
                _ => "enable controllers below it",
            });
        }
        let explanation =
            format!("You may not {}: it is not delegated to you, or the mount is read-only.", may_not.join(", nor "));
        let finding = leaf.finding("not-delegated", Severity::Info, explanation).with(evidence);
        // Nobody gives away the root.
        let is_root = leaf.files().is_root() || leaf.path() == b"/";
        let files: Vec<String> = refusal.names.iter().map(|name| quoted(&leaf.file(name))).collect();
        let finding =
            if is_root { finding } else { finding.fixed_by(format!("sudo chown \"$USER\" {}", files.join(" "))) };
        by_path.push((version, finding));
    }
    // Nobody reads a list of what is the same for every hierarchy.
    for (_, finding) in &mut by_path {
        const MOST: usize = 6;
        let more = finding.evidence.len().saturating_sub(MOST);
        if more > 0 {
            finding.evidence.truncate(MOST);
            finding.explanation.push_str(&format!(" So it is with {} more.", many(more as u64, "file")));
        }
    }
    found.extend(by_path.into_iter().map(|(_, finding)| finding));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, Made, essence, evidence};
    use super::*;

    #[test]
    fn controllers_have_to_be_passed_on_by_each() {
        let levels: &[Made<'_>] = &[
            ("/", &[("cgroup.controllers", "cpu io memory"), ("cgroup.subtree_control", "memory")]),
            ("/a", &[("cgroup.controllers", "memory"), ("cgroup.subtree_control", "\n")]),
            ("/a/b", &[("cgroup.controllers", "\n")]),
        ];
        let all = Case::v2(levels).why();
        let fixes: Vec<&str> = all.iter().filter_map(|one| one.fix.as_deref()).collect();
        let expected = [
            "for f in /sys/fs/cgroup/cgroup.subtree_control /sys/fs/cgroup/a/cgroup.subtree_control; do echo '+cpu +io' > \"$f\"; done",
            "echo +memory > /sys/fs/cgroup/a/cgroup.subtree_control",
        ];
        assert_eq!(fixes, expected);
        assert!(all[0].explanation.starts_with("cpu, io: not enabled below /."), "{all:#?}");
    }

    #[test]
    fn the_root_is_nobodys_to_give_away() {
        let case = Case::v2(&[("/", &[])]).refused(&[".", "cgroup.procs", "cgroup.subtree_control"]);
        let found = case.only("not-delegated");
        assert_eq!(essence(&found), ("/", Severity::Info, None));
        let case = Case::v2(&[("/", &[]), ("/a", &[])]).refused(&[".", "cgroup.procs"]);
        let found = case.only("not-delegated");
        assert_eq!(found.fix.as_deref(), Some("sudo chown \"$USER\" /sys/fs/cgroup/a /sys/fs/cgroup/a/cgroup.procs"));
        assert_eq!(evidence(&found)[1], "/a/cgroup.procs: not writable");
    }
}
