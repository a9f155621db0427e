//! `nsx cg show`: one process or cgroup, controller by controller. Not here: the rules (`cgroup::effective`).

use std::io::{self, Write};

use super::{amount, binder, hierarchy_name, homeless, limit};
use crate::cgroup::effective::{controllers_that_end_above, effective};
use crate::cgroup::events::events;
use crate::cgroup::share::share_of;
use crate::cgroup::{Cgroups, Cpus, Effective, Event, Ladder, Scope, Seen, Subject, Throttling, parse};
use crate::model::cgroup::{Controller, Limit, Rule, Unit, Version};
use crate::render::style::Style;
use crate::render::table::{Cell, Head, Line, Table};
use crate::render::text::{sanitize, wrap};

pub(in crate::render) mod json;

/// Everything that is shown of a process or cgroup.
pub struct Show<'a> {
    cgroups: &'a Cgroups,
    subject: &'a Subject,
    limits: Vec<Effective>,
    events: Vec<Event>,
    cpus: Cpus,
}

const HEADS: [Head; 7] = [
    Head::text("KNOB"),
    Head::number("HERE"),
    Head::number("EFFECTIVE"),
    Head::text("SET BY").flexible(),
    Head::number("USED"),
    Head::number("LEFT"),
    Head::text("LEFT BY").flexible(),
];

impl<'a> Show<'a> {
    /// Applies the rules. `shares` says whether to look at siblings, too, for what weights are worth.
    pub fn new(cgroups: &'a Cgroups, subject: &'a Subject, shares: bool) -> Show<'a> {
        let mut limits = effective(cgroups, subject);
        for one in limits.iter_mut().filter(|one| shares && one.knob.rule == Rule::Share) {
            one.share_millionths = share_of(cgroups, subject, one.hierarchy, one.knob);
        }
        let cpus = Cpus::of(&limits, subject, &cgroups.host);
        Show { cgroups, subject, limits, events: events(subject), cpus }
    }

    fn ladder(&self, hierarchy: usize) -> &Ladder {
        // What has a limit or an event has come from the ladder of its hierarchy.
        self.subject.ladder(hierarchy).unwrap_or(&self.subject.ladders[0])
    }

    /// Prints it for a person. `all` shows knobs that limit nothing, too.
    ///
    /// # Errors
    /// What the writer says.
    pub fn text(&self, all: bool, width: Option<usize>, color: bool, to: &mut dyn Write) -> io::Result<()> {
        self.paths(width, color, to)?;
        let mut lines = Vec::new();
        let mut last = None;
        for one in self.limits.iter().filter(|one| all || is_interesting(one)) {
            if last.is_some_and(|last| last != one.knob.controller) {
                lines.push(vec![Cell::new("", Style::Plain); HEADS.len()]);
            }
            last = Some(one.knob.controller);
            lines.push(self.line(one));
        }
        if !lines.is_empty() {
            writeln!(to)?;
            Table { columns: &HEADS, lines, tree: false, headings: true, width, color }.print(to)?;
        }
        let mut facts = Vec::new();
        self.cpus(&mut facts);
        for one in &self.limits {
            if let Some(share) = one.share_millionths {
                let what = if one.knob.name == "io.weight" { "share of io" } else { "share of cpu" };
                facts.push((what, format!("{:.1} % when everybody wants all", share as f64 / 1e4)));
            }
        }
        self.memory(&mut facts);
        self.happened(&mut facts);
        self.pressure(&mut facts);
        self.elsewhere(&mut facts);
        if !facts.is_empty() {
            writeln!(to)?;
        }
        let wide = facts.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
        for (what, text) in facts {
            let pad = " ".repeat(wide - what.len());
            let what = if color { Style::Heading.paint().style(what).to_string() } else { what.to_owned() };
            let room = width.map(|width| width.saturating_sub(wide + 2).max(20));
            for (place, part) in wrap(&text, room).into_iter().enumerate() {
                match place {
                    0 => writeln!(to, "{what}{pad}  {part}")?,
                    _ => writeln!(to, "{:wide$}  {part}", "")?,
                }
            }
        }
        Ok(())
    }

    fn paths(&self, width: Option<usize>, color: bool, to: &mut dyn Write) -> io::Result<()> {
        if let Some(pid) = self.subject.pid {
            writeln!(to, "process {pid}")?;
        }
        // On hosts with many hierarchies most have the same path: those are one line.
        let mut groups: Vec<(&Ladder, Vec<String>)> = Vec::new();
        for ladder in &self.subject.ladders {
            let name = hierarchy_name(&self.cgroups.hierarchies[ladder.hierarchy]);
            let same = |(other, _): &&mut (&Ladder, Vec<String>)| {
                (&other.path, &other.path_inside, &other.seen) == (&ladder.path, &ladder.path_inside, &ladder.seen)
            };
            match groups.iter_mut().find(same) {
                Some((_, names)) => names.push(name),
                None => groups.push((ladder, vec![name])),
            }
        }
        for (ladder, names) in groups {
            let path = sanitize(&ladder.path);
            let painted = Style::Own.paint().style(&*path).to_string();
            let inode = match ladder.leaf().and_then(|leaf| leaf.inode) {
                Some(inode) if names.len() == 1 => format!(", inode {inode}"),
                _ => String::new(),
            };
            let state = match &ladder.seen {
                Seen::Whole => String::new(),
                Seen::NotMounted => "; not mounted here".to_owned(),
                Seen::Outside => "; outside of what is mounted here".to_owned(),
                Seen::Removed => "; removed".to_owned(),
                Seen::Refused(error) => format!("; {error}"),
            };
            // Shared prefixes of names are said once: v1 cpu, memory.
            let mut joined = String::new();
            for (place, name) in names.iter().enumerate() {
                let bare = name.strip_prefix("v1 ").filter(|_| place > 0 && names[place - 1].starts_with("v1 "));
                joined.push_str(if place > 0 { ", " } else { "" });
                joined.push_str(bare.unwrap_or(name));
            }
            let room = width.map(|width| width.saturating_sub(8).max(20));
            for (place, line) in wrap(&format!("{path}  ({joined}{inode}{state})"), room).iter().enumerate() {
                let what = if place == 0 { "cgroup" } else { "" };
                let line = if color && place == 0 { line.replacen(&*path, &painted, 1) } else { line.clone() };
                writeln!(to, "{what:6}  {line}")?;
            }
            if let Some(inside) = &ladder.path_inside {
                writeln!(to, "inside  {}", sanitize(inside))?;
            }
            if !ladder.is_from_root() {
                writeln!(to, "        what is above {} cannot be seen from here, and may set limits, too", {
                    sanitize(&ladder.levels[0].path)
                })?;
            }
        }
        Ok(())
    }

    fn line(&self, one: &Effective) -> Line {
        let ladder = self.ladder(one.hierarchy);
        let unit = unit(one);
        let name = match &one.key {
            Some(key) if one.knob.name.contains('*') => one.knob.name.replace('*', &sanitize(key.as_bytes())),
            Some(key) => format!("{} {}", one.knob.name, sanitize(key.as_bytes())),
            // Shares are of another scale than weights.
            None if one.file == "cpu.shares" => "cpu.weight (cpu.shares)".to_owned(),
            None => one.knob.name.to_owned(),
        };
        let (here, effective) = match &one.lists {
            Some((here, effective)) => {
                let or_dash =
                    |list: &str| if list.is_empty() { "-".to_owned() } else { sanitize(list.as_bytes()).into_owned() };
                (or_dash(here), or_dash(effective))
            }
            None => (limit(one.here, unit), limit(one.effective.limit, unit)),
        };
        let bound = one.effective.by.is_some();
        let scarce = is_scarce(one);
        let left_style = if scarce { Style::Critical } else { Style::Plain };
        vec![
            Cell::new(name, Style::Plain),
            Cell::new(here, Style::Plain),
            Cell::new(effective, if bound { Style::Binding } else { Style::Initial }),
            Cell::new(binder(one.effective.by, ladder), if bound { Style::Binding } else { Style::Plain }),
            Cell::new(one.usage.map_or_else(|| "-".to_owned(), |usage| amount(usage, unit)), Style::Plain),
            Cell::new(limit(one.headroom.limit, unit), left_style),
            Cell::new(binder(one.headroom.by, ladder), left_style),
        ]
    }

    fn cpus(&self, facts: &mut Vec<(&'static str, String)>) {
        let Some(millicpus) = self.cpus.millicpus() else { return };
        let mut parts = Vec::new();
        if let Some(Limit::Value(quota)) = self.cpus.quota_millicpus {
            parts.push(format!("cpu.max {}", amount(quota, Unit::Millicpus)));
        }
        let mut add = |what: &str, count: Option<u64>| parts.extend(count.map(|count| format!("{what} {count}")));
        add("cpuset", self.cpus.cpuset);
        add("affinity", self.cpus.affinity);
        add("online", self.cpus.online);
        facts.push(("processors", format!("{} ({})", amount(millicpus, Unit::Millicpus), parts.join(", "))));
    }

    /// What memory is used for, on v2, where it is counted.
    fn memory(&self, facts: &mut Vec<(&'static str, String)>) {
        let Some(files) = self.files_of(Controller::Memory, "memory.stat") else { return };
        let keys: &[&str] = match files.version {
            Version::V2 => &["anon", "file", "kernel", "shmem", "slab", "sock"],
            Version::V1 => &["total_rss", "total_cache", "total_shmem", "total_swap"],
        };
        let parts = keys.iter().filter_map(|key| {
            let bytes = files.keyed("memory.stat", key).filter(|bytes| *bytes > 0)?;
            Some(format!("{} {}", key.trim_start_matches("total_"), amount(bytes, Unit::Bytes)))
        });
        let mut parts: Vec<String> = parts.collect();
        let peak = files.number("memory.peak").or_else(|| files.number("memory.max_usage_in_bytes"));
        parts.extend(peak.map(|peak| format!("peak {}", amount(peak, Unit::Bytes))));
        if !parts.is_empty() {
            facts.push(("memory", parts.join(", ")));
        }
    }

    /// Returns the files of the lowest cgroup that has one of them, in the home of a controller.
    fn files_of(&self, controller: Controller, file: &str) -> Option<&crate::cgroup::Files> {
        let crate::cgroup::Home::Hierarchy(index) = self.cgroups.home(controller) else { return None };
        let levels = &self.subject.ladder(index)?.levels;
        levels.iter().rev().map(|level| &level.files).find(|files| files.get(file).is_some())
    }

    /// What has happened, each with the cgroup that counts it, the nearest first.
    fn happened(&self, facts: &mut Vec<(&'static str, String)>) {
        for controller in [Controller::Memory, Controller::Cpu, Controller::Pids] {
            let mut parts = Vec::new();
            let of_it = |event: &&Event| event.counter.controller == controller && event.value > 0;
            for event in self.events.iter().rev().filter(of_it) {
                let ladder = self.ladder(event.hierarchy);
                let here = event.level + 1 == ladder.levels.len();
                // What counts below, too, is shown here only: above it is about others as well.
                let hierarchical = event.counter.scope == Scope::Subtree;
                let counted_locally =
                    ladder.levels[event.level].files.get(&format!("{}.local", event.counter.file)).is_some();
                if hierarchical && (!here || counted_locally) {
                    continue;
                }
                // Who is stopped is told once, by the cgroup itself; who stops it, by the one with the quota.
                if event.counter.file == "cpu.stat.local" && !here {
                    continue;
                }
                let key = if event.counter.key.is_empty() { event.counter.file } else { event.counter.key };
                let value = match key {
                    "throttled_usec" => format!("{:.1} s", event.value as f64 / 1e6),
                    "throttled_time" => format!("{:.1} s", event.value as f64 / 1e9),
                    "oom_kill_disable" | "under_oom" => "yes".to_owned(),
                    _ => event.value.to_string(),
                };
                let at =
                    if here { String::new() } else { format!(" at {}", sanitize(&ladder.levels[event.level].path)) };
                if !(event.counter.file == "cpu.stat"
                    && matches!(key, "nr_periods" | "throttled_usec" | "throttled_time"))
                {
                    let key = if event.counter.file == "cpu.stat.local" { "stopped by quotas for" } else { key };
                    let percent = (key == "nr_throttled")
                        .then(|| Throttling::of(&ladder.levels[event.level].files)?.percent())
                        .flatten()
                        .map_or_else(String::new, |percent| format!(" ({percent:.0} % of periods)"));
                    parts.push(format!("{key} {value}{percent}{at}"));
                }
            }
            if !parts.is_empty() {
                let what = match controller {
                    Controller::Memory => "memory events",
                    Controller::Cpu => "cpu events",
                    _ => "pids events",
                };
                facts.push((what, parts.join(", ")));
            }
        }
        let frozen = self
            .subject
            .ladders
            .iter()
            .any(|ladder| ladder.leaf().is_some_and(|leaf| leaf.files.is_frozen() == Some(true)));
        if frozen {
            facts.push(("frozen", "yes".to_owned()));
        }
    }

    fn pressure(&self, facts: &mut Vec<(&'static str, String)>) {
        let mut parts = Vec::new();
        for (name, file) in PRESSURES {
            let levels =
                self.cgroups.unified().and_then(|index| self.subject.ladder(index)).map(|ladder| &ladder.levels[..]);
            let text = levels.and_then(<[_]>::last).and_then(|level| level.files.get(file));
            if let Some(found) = text.and_then(parse::pressure) {
                parts.push(format!("{name} some {:.1} % full {:.1} %", found.some[0], found.full[0]));
            }
        }
        if !parts.is_empty() {
            facts.push(("pressure, 10 s", parts.join(", ")));
        }
    }

    /// Controllers whose limits there are none of, with the reason.
    fn elsewhere(&self, facts: &mut Vec<(&'static str, String)>) {
        let mut parts = Vec::new();
        for ladder in &self.subject.ladders {
            for (controller, level) in controllers_that_end_above(ladder) {
                parts.push(format!("{controller} ends at {}", sanitize(&ladder.levels[level].path)));
            }
        }
        for controller in [Controller::Memory, Controller::Cpu, Controller::Cpuset, Controller::Pids, Controller::Io] {
            parts.extend(homeless(self.cgroups.home(controller)).map(|why| format!("{controller} ({why})")));
        }
        if !parts.is_empty() {
            facts.push(("not here", parts.join(", ")));
        }
    }
}

/// The resources that have pressure, with their files.
const PRESSURES: [(&str, &str); 3] = [("cpu", "cpu.pressure"), ("memory", "memory.pressure"), ("io", "io.pressure")];

/// The knobs of io.max are of two units.
pub(in crate::render) fn unit(one: &Effective) -> Unit {
    let is_operations = |key: &str| key.ends_with(" riops") || key.ends_with(" wiops");
    match one.knob.unit {
        Unit::BytesPerSecond if one.key.as_deref().is_some_and(is_operations) => Unit::OperationsPerSecond,
        unit => unit,
    }
}

/// Says whether a knob does something.
fn is_interesting(one: &Effective) -> bool {
    let always = matches!(one.knob.name, "memory.max" | "cpu.max" | "pids.max" | "cpuset.cpus");
    let nothing = [None, Some(Limit::Max)].contains(&one.effective.limit);
    let is_default = match one.knob.rule {
        Rule::Share => matches!(one.here, None | Some(Limit::Value(100 | 1024))),
        Rule::Any | Rule::Protection => {
            let is_off = |limit| matches!(limit, None | Some(Limit::Value(0)));
            is_off(one.effective.limit) && is_off(one.here)
        }
        Rule::Kernel => one.effective.by.is_none(),
        _ => nothing || one.effective.by == Some(crate::cgroup::Binder::Host),
    };
    always || !is_default
}

/// Says whether less than a twentieth of a limit is left.
fn is_scarce(one: &Effective) -> bool {
    let Some((left, crate::cgroup::Binder::Level(level))) =
        one.headroom.limit.and_then(Limit::value).zip(one.headroom.by)
    else {
        return false;
    };
    let of = one.steps.get(level).and_then(|step| step.limit?.value()).unwrap_or_default();
    one.knob.rule != Rule::Remaining && left.saturating_mul(20) < of
}
