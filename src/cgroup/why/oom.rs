//! Who was killed for want of memory, and by whose limit. Pure.
//!
//! The kernel counts the two in different cgroups. `oom` rises where the limit was reached, `oom_kill` where the victim was, both in
//! `memory.events.local`; in `memory.events` both rise in every cgroup above, too. A kill without any `oom` above is one for the whole
//! host. v1 counts kills in `memory.oom_control`, and in `memory.failcnt` how often a limit was in the way, which reclaim may have cured.
//! A process that was killed by anybody but the kernel is counted nowhere.

#[cfg(test)]
mod tests;

use super::look::{At, Look, holds, parent};
use super::words::{killed, size, times, twice};
use super::{Evidence, Finding, Severity};
use crate::cgroup::ladder::Seen;
use crate::model::cgroup::{Controller, Version};

/// No more victims than these are told of one by one.
const MOST: usize = 8;

/// The cgroups that count, of one hierarchy.
struct Memory<'a> {
    look: &'a Look<'a>,
    /// Those on the way, from the top down.
    levels: Vec<At<'a>>,
    /// Those, and those below.
    all: Vec<At<'a>>,
    version: Version,
    /// The path of the lowest of those on the way: who is killed there or below has to do with it.
    start: &'a [u8],
}

pub(super) fn look_for(look: &Look<'_>, found: &mut Vec<Finding>) {
    let Some(hierarchy) = look.home(Controller::Memory) else { return };
    let counts = |at: &At<'_>| at.has("memory.events") || at.has("memory.oom_control");
    let levels: Vec<At<'_>> = look.levels(hierarchy).into_iter().filter(counts).collect();
    let all: Vec<At<'_>> = levels.iter().copied().chain(look.below(hierarchy)).collect();
    let Some(version) = all.first().map(|at| at.files().version) else { return };
    let last = levels.last().copied().or_else(|| look.levels(hierarchy).pop());
    let Some(start) = last.map(|at| at.path()) else { return };
    let memory = Memory { look, levels, all, version, start };
    memory.kills(found);
    memory.without_kill(found);
    memory.hanging(found);
}

impl<'a> Memory<'a> {
    /// Returns the file that counts what happened in the cgroup itself, if there is one.
    fn local_file(at: &At<'_>) -> Option<&'static str> {
        match () {
            () if at.has("memory.events.local") => Some("memory.events.local"),
            () if at.mounted_with("memory_localevents") => Some("memory.events"),
            () => None,
        }
    }

    /// Returns how often something happened in the cgroup itself. Before Linux 5.2 that is what its children do not account for.
    fn own(&self, at: &At<'_>, key: &str) -> u64 {
        if let Some(file) = Memory::local_file(at) {
            return at.grown(file, key);
        }
        let children = self.all.iter().filter(|child| parent(child.path()) == at.path() && child.path() != at.path());
        let theirs = total(children.map(|child| child.grown("memory.events", key)));
        at.grown("memory.events", key).saturating_sub(theirs)
    }

    fn kills_of(&self, at: &At<'_>) -> u64 {
        match self.version {
            Version::V2 => self.own(at, "oom_kill"),
            Version::V1 => at.grown("memory.oom_control", "oom_kill"),
        }
    }

    /// Returns how often a limit of the cgroup itself was reached.
    fn hits_of(&self, at: &At<'_>) -> u64 {
        match self.version {
            Version::V2 => self.own(at, "oom"),
            Version::V1 => at.grown("memory.failcnt", "").saturating_add(at.grown("memory.memsw.failcnt", "")),
        }
    }

    /// Returns the counter of limits that were reached, as evidence.
    fn hits(&self, at: &At<'a>) -> Vec<Evidence> {
        let file = Memory::local_file(at).unwrap_or("memory.events");
        match self.version {
            Version::V2 => at.counted(file, "oom").into_iter().collect(),
            Version::V1 => ["memory.failcnt", "memory.memsw.failcnt"]
                .into_iter()
                .filter(|file| at.grown(file, "") > 0)
                .filter_map(|file| at.counted(file, ""))
                .collect(),
        }
    }

    /// Returns the knob whose limit was reached: on v1 there are two.
    fn knob(at: &At<'_>) -> &'static str {
        let by_both = at.grown("memory.failcnt", "") == 0 && at.grown("memory.memsw.failcnt", "") > 0;
        if by_both { "memory.memsw.max" } else { "memory.max" }
    }

    /// Names the limit of a cgroup, with its value now.
    fn limit(at: &At<'_>) -> String {
        let knob = Memory::knob(at);
        let value = at.limit(knob).map_or_else(|| "by now unlimited".to_owned(), size);
        format!("{} ({value})", at.knob_file(knob))
    }

    /// Returns the cgroups whose limit a kill may have been for, the nearest first.
    fn hitters(&self, victim: &At<'_>) -> Vec<At<'a>> {
        let may_be = |at: &&At<'_>| holds(at.path(), victim.path()) && self.hits_of(at) > 0;
        let mut hitters: Vec<At<'_>> = self.all.iter().filter(may_be).copied().collect();
        hitters.sort_by_key(|at| std::cmp::Reverse(at.path().len()));
        hitters
    }

    fn kills(&self, found: &mut Vec<Finding>) {
        let may_be = |at: &&At<'_>| holds(self.start, at.path()) && self.kills_of(at) > 0;
        let mut victims: Vec<At<'_>> = self.all.iter().filter(may_be).copied().collect();
        victims.sort_by_key(|at| std::cmp::Reverse(self.kills_of(at)));
        let leaf = self.levels.last();
        let hierarchy = self.all.first().map(|at| at.hierarchy);
        let seen = hierarchy.and_then(|hierarchy| Some(&self.look.now.subject.ladder(hierarchy)?.seen));
        match (seen, leaf) {
            (Some(Seen::Whole), Some(leaf)) => self.kills_in_removed(leaf, &victims, found),
            (Some(Seen::Whole), None) => {}
            (Some(Seen::Removed), Some(above)) => return found.extend(self.kill_with_removal(above)),
            // Where the cgroup itself was not reached, those that are named are other ones.
            _ => return,
        }
        let rest = total(victims.iter().skip(MOST).map(|at| self.kills_of(at)));
        found.extend(victims.iter().take(MOST).map(|victim| self.kill(victim)));
        if rest > 0 {
            let explanation =
                format!("{} in {} more cgroups below, {}.", killed(rest), victims.len() - MOST, self.look.since());
            let at = leaf.unwrap_or(&victims[MOST]);
            let evidence = at.counted("memory.events", "oom_kill");
            found.push(at.finding("oom-kill", Severity::Critical, explanation).with(evidence));
        }
    }

    fn kill(&self, victim: &At<'a>) -> Finding {
        let since = self.look.since();
        let count = self.kills_of(victim);
        let killed = format!("{} here {since}", killed(count));
        let hitters = self.hitters(victim);
        let mut evidence: Vec<Evidence> = Vec::new();
        let kill_file = match self.version {
            Version::V2 => Memory::local_file(victim).unwrap_or("memory.events"),
            Version::V1 => "memory.oom_control",
        };
        evidence.extend(victim.counted(kill_file, "oom_kill"));
        let as_group = victim.grown(kill_file, "oom_group_kill") > 0;
        if as_group {
            evidence.extend(victim.counted(kill_file, "oom_group_kill"));
        }
        let group = if as_group {
            " All of a group die together, by memory.oom.group; the kernel counts the one it chose twice."
        } else {
            ""
        };
        let Some(hitter) = hitters.first() else { return self.kill_by_nobody(victim, &killed, evidence) };
        if hitter.path() != victim.path() {
            evidence.extend(self.hits(victim));
        }
        for hitter in hitters.iter().take(MOST) {
            evidence.extend(self.hits(hitter));
            evidence.extend(hitter.says(hitter.knob_file(Memory::knob(hitter))));
        }
        let reached = times(self.hits_of(hitter));
        let reached = match self.version {
            Version::V2 => reached,
            Version::V1 => format!("{reached} (each try to make room counts)"),
        };
        let limit = Memory::limit(hitter);
        let reason = match hitter.path() == victim.path() {
            true => format!("it reached its own {limit} {reached}"),
            false => format!("the {limit} of {}, which is above, was reached {reached}", hitter.name()),
        };
        let others: Vec<String> = hitters.iter().skip(1).map(At::name).collect();
        let others = match (others.is_empty(), self.version) {
            (true, _) => String::new(),
            (false, Version::V2) => {
                format!(" So was that of {}: which one it was each time is not counted.", others.join(", "))
            }
            (false, Version::V1) => {
                format!(" That of {} was in the way, too: which one it was for is not counted.", others.join(", "))
            }
        };
        let exact =
            self.version == Version::V1 || Memory::local_file(hitter).is_some() || hitter.path() == victim.path();
        let exact =
            if exact { "" } else { " This kernel does not tell its own limit from one of another cgroup below it." };
        let finding =
            victim.finding("oom-kill", Severity::Critical, format!("{killed}: {reason}.{others}{exact}{group}"));
        raised(finding.with(evidence), Some(hitter))
    }

    /// A kill for which no limit was reached.
    fn kill_by_nobody(&self, victim: &At<'a>, killed: &str, mut evidence: Vec<Evidence>) -> Finding {
        for at in self.all.iter().rev().filter(|at| holds(at.path(), victim.path())).take(MOST) {
            evidence.extend(match self.version {
                Version::V2 => self.hits(at),
                Version::V1 => at.counted("memory.failcnt", "").into_iter().collect(),
            });
        }
        let log = "dmesg -T | grep -iE 'out of memory|oom-kill'";
        let top = self.levels.first().map_or_else(String::new, At::name);
        let finding = if self.look.sees_all_above(victim.hierarchy) {
            let explanation = format!(
                "{killed}, and no limit was reached, neither its own nor one above: the host ran out of memory, or the memory nodes that \
                 the process may use did."
            );
            victim.finding("oom-host", Severity::Critical, explanation)
        } else {
            let unseen = match victim.files().keyed("memory.stat", "hierarchical_memory_limit") {
                Some(limit) if self.levels.iter().all(|at| at.limit("memory.max").is_none_or(|seen| limit < seen)) => {
                    evidence.extend(victim.counted("memory.stat", "hierarchical_memory_limit"));
                    format!(" The kernel says that one above limits it to {}.", size(limit))
                }
                _ => String::new(),
            };
            let explanation = format!(
                "{killed}, and no limit that can be seen from here was reached: either one above {top} was, or the host ran out of \
                 memory.{unseen}"
            );
            victim.finding("oom-kill", Severity::Critical, explanation)
        };
        finding.with(evidence).fixed_by(log)
    }

    /// Kills that are counted above and nowhere below: their cgroup has gone, as that of a container does.
    fn kills_in_removed(&self, leaf: &At<'a>, victims: &[At<'a>], found: &mut Vec<Finding>) {
        let hierarchical = self.version == Version::V2 && !leaf.mounted_with("memory_localevents");
        if !hierarchical || Memory::local_file(leaf).is_none() || self.look.now.cut {
            return;
        }
        let seen = total(victims.iter().map(|at| self.kills_of(at)));
        let gone = leaf.grown("memory.events", "oom_kill").saturating_sub(seen);
        if gone == 0 {
            return;
        }
        let hitters = self.hitters(leaf);
        let below = self.all.iter().filter(|at| holds(leaf.path(), at.path()));
        let seen_hits = total(below.map(|at| self.hits_of(at)));
        let own_limit = leaf.grown("memory.events", "oom") > seen_hits;
        let mut reasons: Vec<String> =
            hitters.iter().map(|at| format!("the {} of {}", Memory::limit(at), at.name())).collect();
        if own_limit {
            reasons.insert(0, "a limit that has gone with them".to_owned());
        }
        let reason = match reasons.is_empty() {
            true => "No limit that can be seen was reached.".to_owned(),
            false => format!("Reached was {}.", reasons.join(", and ")),
        };
        let explanation =
            format!("{} {} in cgroups below that have been removed. {reason}", killed(gone), self.look.since());
        let mut evidence: Vec<Evidence> = leaf.counted("memory.events", "oom_kill").into_iter().collect();
        evidence.extend(leaf.counted("memory.events.local", "oom_kill"));
        evidence.extend(leaf.counted("memory.events", "oom"));
        evidence.extend(hitters.iter().flat_map(|at| self.hits(at)));
        let finding = leaf.finding("oom-kill", Severity::Critical, explanation).with(evidence);
        found.push(raised(finding, hitters.first()));
    }

    /// A cgroup that went while it was watched has left its kills in the counts of the one above, among those of others.
    fn kill_with_removal(&self, above: &At<'a>) -> Option<Finding> {
        let kills =
            above.grown("memory.events", "oom_kill").saturating_sub(above.grown("memory.events.local", "oom_kill"));
        if self.look.before.is_none() || kills == 0 {
            return None;
        }
        let hitters = self.hitters(above);
        let reason = match hitters.first() {
            Some(hitter) => format!("the {} of {} was reached", Memory::limit(hitter), hitter.name()),
            None => "the limit was none that is still there".to_owned(),
        };
        let explanation = format!(
            "{} {} below {}: in the cgroup that was asked about, which has been removed, or in another one there; {reason}.",
            killed(kills),
            self.look.since(),
            above.name()
        );
        let evidence =
            above.counted("memory.events", "oom_kill").into_iter().chain(above.counted("memory.events", "oom"));
        let finding = above.finding("oom-kill", Severity::Critical, explanation).with(evidence);
        let finding = finding.with(hitters.iter().flat_map(|at| self.hits(at)));
        Some(raised(finding, hitters.first()))
    }

    /// Limits that were reached without a kill on or below the cgroup.
    fn without_kill(&self, found: &mut Vec<Finding>) {
        let Some(leaf) = self.levels.last().filter(|_| self.version == Version::V2) else { return };
        let killed_here = self.all.iter().any(|at| holds(leaf.path(), at.path()) && self.kills_of(at) > 0);
        for at in self.levels.iter().rev() {
            let hits = self.hits_of(at);
            let kills = at.grown("memory.events", "oom_kill").max(self.kills_of(at));
            let is_above = at.path() != leaf.path();
            if hits == 0 || (killed_here && kills > 0) || (!is_above && kills > 0) {
                continue;
            }
            let (since, limit) = (self.look.since(), Memory::limit(at));
            let evidence = self.hits(at).into_iter().chain(at.counted("memory.events", "oom_kill"));
            let evidence = evidence.chain(at.says(at.knob_file("memory.max")));
            let finding = if kills > 0 {
                let explanation = format!(
                    "The {limit} of {}, which is above, was reached {} {since}, and {} in other cgroups below it: this one may be \
                     next.",
                    at.name(),
                    times(hits),
                    killed(kills),
                );
                let severity = self.look.severity_of_growth(Severity::Warning, false);
                leaf.finding("oom-nearby", severity, explanation)
            } else {
                let explanation = format!(
                    "The {limit} was reached {} {since} and nothing was killed: there was nobody to kill (oom_score_adj -1000), or the \
                     allocation could fail.",
                    times(hits),
                );
                at.finding("oom-no-kill", self.look.severity_of_growth(Severity::Warning, false), explanation)
            };
            found.push(raised(finding.with(evidence), Some(at)));
        }
    }

    /// v1 can let tasks wait instead of killing them.
    fn hanging(&self, found: &mut Vec<Finding>) {
        let is_off = |at: &&At<'_>| at.files().keyed("memory.oom_control", "oom_kill_disable") == Some(1);
        for at in self.levels.iter().rev().filter(is_off) {
            let now = at.files().keyed("memory.oom_control", "under_oom") == Some(1);
            let limit = Memory::limit(at);
            let (severity, explanation) = match now {
                true => (
                    Severity::Critical,
                    format!(
                        "The {limit} is reached and nothing may be killed for it: tasks that want memory hang until some is free."
                    ),
                ),
                false => (
                    Severity::Info,
                    format!("When the {limit} is reached nothing is killed: tasks that want memory will hang instead."),
                ),
            };
            let evidence =
                ["oom_kill_disable", "under_oom"].into_iter().filter_map(|key| at.counted("memory.oom_control", key));
            let evidence = evidence.map(|evidence| Evidence { change: None, ..evidence });
            let finding = at.finding("oom-hang", severity, explanation).with(evidence);
            let finding = finding.with(at.says("memory.limit_in_bytes")).with(at.says("memory.usage_in_bytes"));
            found.push(finding.fixed_by(super::words::write("0", &at.file("memory.oom_control"))));
        }
    }
}

/// Adds the command that raises the limit that was reached.
fn raised(finding: Finding, hitter: Option<&At<'_>>) -> Finding {
    let fix = hitter.and_then(|at| {
        let knob = Memory::knob(at);
        Some(at.set(knob, &twice(at.limit(knob)?)))
    });
    Finding { fix, ..finding }
}

fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}
