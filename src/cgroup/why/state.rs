//! States of a cgroup in which nothing runs, nobody can be moved in, or nothing can be made. Pure.

use super::look::{At, Look, number};
use super::words::{many, quoted, seconds, text, write};
use super::{Evidence, Finding, Severity};
use crate::cgroup::effective::Binder;
use crate::cgroup::ladder::Seen;
use crate::model::cgroup::{Controller, Version};

/// So many removed cgroups that are still there are more than what is about to go.
const MANY_DYING: u64 = 1000;

pub(super) fn look_for(look: &Look<'_>, found: &mut Vec<Finding>) {
    // v1 and v2 each have a freezer, and both may be in use.
    let freezers = [look.unified(), look.home(Controller::Freezer)];
    let v1 = freezers[1].filter(|_| freezers[0] != freezers[1]);
    for hierarchy in [freezers[0], v1].into_iter().flatten() {
        frozen(look, &look.levels(hierarchy), found);
    }
    removed(look, found);
    let Some(hierarchy) = look.unified() else { return };
    let levels = look.levels(hierarchy);
    if let Some(leaf) = levels.last().filter(|at| at.is_leaf) {
        kind(leaf, &levels, found);
    }
    children(look, &levels, found);
    dying(&levels, found);
}

fn frozen(look: &Look<'_>, levels: &[At<'_>], found: &mut Vec<Finding>) {
    let Some(leaf) = levels.last().filter(|at| at.is_leaf) else { return };
    let (asked_file, state) = match leaf.files().version {
        Version::V2 => ("cgroup.freeze", ("cgroup.events", "frozen")),
        Version::V1 => ("freezer.self_freezing", ("freezer.state", "")),
    };
    let asked = levels.iter().find(|at| at.files().number(asked_file) == Some(1));
    let is_frozen = leaf.files().is_frozen() == Some(true);
    let mut evidence: Vec<Evidence> = match state {
        (file, "") => leaf.says(file).into_iter().collect(),
        (file, key) => {
            leaf.counted(file, key).map(|evidence| Evidence { change: None, ..evidence }).into_iter().collect()
        }
    };
    evidence.extend(asked.and_then(|at| at.says(asked_file)));
    if let Some(at) = asked {
        let whose = if at.is_leaf {
            "it was frozen itself".to_owned()
        } else {
            format!("{}, which is above, was frozen", at.name())
        };
        let more = levels.iter().filter(|other| other.files().number(asked_file) == Some(1)).count() > 1;
        let more = if more { " Cgroups below that were frozen, too, and have to be thawed after it." } else { "" };
        let (severity, explanation) = match is_frozen {
            true => (Severity::Critical, format!("All tasks stand still: {whose}.{more}")),
            false => {
                (Severity::Warning, format!("Tasks are being frozen ({whose}), and some do not stand still yet.{more}"))
            }
        };
        let finding = leaf.finding("frozen", severity, explanation).with(evidence);
        found.push(finding.fixed_by(at.nsx("thaw", "")));
    } else if is_frozen {
        let explanation =
            "All tasks stand still: a cgroup above was frozen, which cannot be seen from here.".to_owned();
        found.push(leaf.finding("frozen", Severity::Critical, explanation).with(evidence));
    } else if look.before.is_some() && leaf.grown("cgroup.stat.local", "frozen_usec") > 0 {
        let explanation =
            format!("It was frozen for {} {}.", seconds(leaf.grown("cgroup.stat.local", "frozen_usec")), look.since());
        let finding = leaf.finding("frozen", Severity::Warning, explanation);
        found.push(finding.with(leaf.counted("cgroup.stat.local", "frozen_usec")));
    }
}

/// A cgroup that was removed is one for each path, however many hierarchies have it.
fn removed(look: &Look<'_>, found: &mut Vec<Finding>) {
    let mut told: Vec<&[u8]> = Vec::new();
    for ladder in look.now.subject.ladders.iter().filter(|ladder| ladder.seen == Seen::Removed) {
        if told.contains(&&ladder.path[..]) {
            continue;
        }
        told.push(&ladder.path);
        let earlier = look.before.and_then(|before| before.reading.subject.ladder(ladder.hierarchy));
        let meanwhile = earlier.is_some_and(|earlier| earlier.seen == Seen::Whole);
        let explanation = match (meanwhile, look.now.subject.pid) {
            (true, _) => format!("The cgroup was removed {}; what it had counted has gone with it.", look.since()),
            (false, Some(_)) => {
                "The cgroup was removed, and the process is on its way out; what it had counted has gone with it."
                    .to_owned()
            }
            (false, None) => "The cgroup was removed; what it had counted has gone with it.".to_owned(),
        };
        let (file, value) = match look.now.subject.pid {
            Some(pid) => (format!("/proc/{pid}/cgroup").into_bytes(), text(&ladder.path)),
            None => (super::look::file(look.facts, ladder.hierarchy, &ladder.path, "."), "ENOENT".to_owned()),
        };
        let parent = super::look::parent(ladder.path.strip_suffix(b" (deleted)").unwrap_or(&ladder.path));
        let directory = super::look::file(look.facts, ladder.hierarchy, parent, ".");
        found.push(Finding {
            id: "removed",
            severity: Severity::Warning,
            cgroup: ladder.path.clone(),
            hierarchy: ladder.hierarchy,
            evidence: vec![Evidence { file, key: String::new(), value, change: None }],
            explanation,
            fix: Some(format!("nsx cg why {}", quoted(&directory))),
        });
    }
}

/// What can be in a cgroup depends on its type.
fn kind(leaf: &At<'_>, levels: &[At<'_>], found: &mut Vec<Finding>) {
    match leaf.files().get("cgroup.type").unwrap_or_default().trim_ascii() {
        b"domain invalid" => {
            let explanation =
                "It is `domain invalid`: its parent is threaded, or the root of a threaded subtree, so it can have no \
                               processes and no controllers until it is threaded, too."
                    .to_owned();
            let finding = leaf.finding("domain-invalid", Severity::Warning, explanation).with(leaf.says("cgroup.type"));
            found.push(finding.fixed_by(write("threaded", &leaf.file("cgroup.type"))));
        }
        b"threaded" => {
            let domain = levels
                .iter()
                .rev()
                .find(|at| at.files().get("cgroup.type").is_none_or(|kind| kind.trim_ascii() != b"threaded"));
            let domain = domain.map_or_else(|| "a cgroup above".to_owned(), At::name);
            let explanation = format!("It is threaded: memory and io are those of {domain}, for all threads together.");
            found.push(leaf.finding("threaded", Severity::Info, explanation).with(leaf.says("cgroup.type")));
        }
        _ => {}
    }
}

/// Says whether a cgroup can be made below.
fn children(look: &Look<'_>, levels: &[At<'_>], found: &mut Vec<Finding>) {
    for knob in ["cgroup.max.descendants", "cgroup.max.depth"] {
        let Some(bound) = look.effective(knob).into_iter().next() else { continue };
        let (Some(0), Some(Binder::Level(level))) = (number(bound.headroom.limit), bound.headroom.by) else { continue };
        let Some((at, leaf)) = levels.get(level).zip(levels.last()) else { continue };
        let limit = at.limit(knob).unwrap_or_default();
        let whose = if at.is_above() { format!(" of {}, which is above,", at.name()) } else { String::new() };
        let explanation =
            format!("No cgroup can be made here: the {knob} ({limit}){whose} is reached. mkdir(2) fails with EAGAIN.");
        let finding = leaf.finding("children-max", Severity::Warning, explanation).with(at.says(knob));
        let count = at.counted("cgroup.stat", "nr_descendants").filter(|_| knob == "cgroup.max.descendants");
        let finding = finding.with(count.map(|count| Evidence { change: None, ..count }));
        found.push(finding.fixed_by(at.nsx("set", &format!("{knob}=max"))));
    }
}

/// Removed cgroups stay as long as memory is charged to them; of the cgroups above that have many the lowest is named.
fn dying(levels: &[At<'_>], found: &mut Vec<Finding>) {
    const FILE: &str = "cgroup.stat";
    let count = |at: &At<'_>| at.files().keyed(FILE, "nr_dying_descendants").unwrap_or_default();
    let Some(at) = levels.iter().rev().find(|at| count(at) >= MANY_DYING) else { return };
    let explanation = format!(
        "{} below {} still take memory of the kernel's: something that they have used, often files in the page cache, is not released yet.",
        many(count(at), "removed cgroup"),
        at.name()
    );
    let keys = ["nr_dying_descendants", "nr_dying_subsys_memory", "nr_descendants"];
    let finding =
        at.finding("dying", Severity::Info, explanation).with(keys.into_iter().filter_map(|key| at.counted(FILE, key)));
    // Only where the controller is there can its pages be given back.
    found.push(if at.has("memory.current") {
        finding.fixed_by(write("100M", &at.file("memory.reclaim")))
    } else {
        finding
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, Made, essence, evidence};
    use super::*;

    const ROOT: Made<'_> = ("/", &[]);

    #[test]
    fn the_topmost_freezer_is_named() {
        let frozen = ("cgroup.events", "populated 1\nfrozen 1\n");
        let asked = ("cgroup.freeze", "1\n");
        let case = Case::v2(&[ROOT, ("/a", &[asked, frozen]), ("/a/b", &[asked, frozen]), ("/a/b/c", &[frozen])]);
        let found = case.only("frozen");
        assert_eq!(essence(&found), ("/a/b/c", Severity::Critical, Some("nsx cg thaw /sys/fs/cgroup/a")));
        assert!(found.explanation.starts_with("All tasks stand still: /a, which is above, was frozen."), "{found:?}");
        assert_eq!(evidence(&found), ["/a/b/c/cgroup.events: frozen 1", "/a/cgroup.freeze: 1"]);
        let found = Case::v2(&[ROOT, ("/a", &[asked])]).only("frozen");
        assert_eq!(found.severity, Severity::Warning, "not done yet");
        let case = Case::v2(&[("/x", &[]), ("/x/a", &[frozen])]);
        assert!(case.one("frozen").explanation.contains("cannot be seen from here"));
    }

    #[test]
    fn v1_says_who_asked() {
        let above: Made<'_> = ("/a", &[("freezer.state", "FROZEN\n"), ("freezer.self_freezing", "1\n")]);
        let own: Made<'_> = ("/a/b", &[("freezer.state", "FROZEN\n"), ("freezer.self_freezing", "0\n")]);
        let found = Case::v1(&[("/", &[("release_agent", "")]), above, own]).only("frozen");
        assert_eq!(essence(&found), ("/a/b", Severity::Critical, Some("nsx cg thaw /sys/fs/cgroup/a")));
        assert_eq!(evidence(&found), ["/a/b/freezer.state: FROZEN", "/a/freezer.self_freezing: 1"]);
    }

    #[test]
    fn a_freeze_that_is_over() {
        let usec = |text| -> [(&str, &str); 1] { [("cgroup.stat.local", text)] };
        let (then, now) = (usec("frozen_usec 5\n"), usec("frozen_usec 1000005\n"));
        let found = Case::v2(&[ROOT, ("/a", &now)]).before(&[ROOT, ("/a", &then)]).only("frozen");
        assert_eq!(
            (found.explanation.as_str(), found.severity),
            ("It was frozen for 1.0 s in 5.0 s.", Severity::Warning)
        );
        assert_eq!(Case::v2(&[ROOT, ("/a", &now)]).ids(), [""; 0]);
    }

    #[test]
    fn removed_meanwhile() {
        let case = Case::v2(&[ROOT, ("/a", &[])]).before(&[ROOT, ("/a", &[])]).seen(Seen::Removed);
        let found = case.only("removed");
        assert!(found.explanation.starts_with("The cgroup was removed in 5.0 s;"), "{found:?}");
        assert_eq!(essence(&found), ("/a", Severity::Warning, Some("nsx cg why /sys/fs/cgroup")));
    }

    #[test]
    fn no_more_cgroups_can_be_made() {
        let a: Made<'_> = ("/a", &[("cgroup.max.depth", "1\n")]);
        let found = Case::v2(&[ROOT, a, ("/a/b", &[])]).only("children-max");
        assert_eq!(
            essence(&found),
            ("/a/b", Severity::Warning, Some("nsx cg set /sys/fs/cgroup/a cgroup.max.depth=max"))
        );
        assert!(found.explanation.contains("the cgroup.max.depth (1) of /a, which is above, is reached"), "{found:?}");
    }
}
