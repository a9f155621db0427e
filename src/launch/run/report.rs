//! What became of a sandbox: what it used, and what its cgroups count of kills, refusals and throttling.
//!
//! The counters of cgroups above count what others do, too, so they are read before the sandbox starts ([`before`]), and only what has
//! come since is told. They are read again only where something happened. Not here: reading and explaining cgroups that somebody asks
//! about (`cgroup::why`).

mod counters;
mod notes;
mod victims;

pub use counters::Baseline;
pub use notes::notes;
pub use victims::Victim;

use counters::{Level, keyed, keyed_here, number, number_inside, text};

use super::limits::{Made, MadeGroup};
use crate::cgroup::{Throttling, parse};
use crate::model::cgroup::{Bandwidth, Controller, Limit, Version};

/// Whose limit it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of the sandbox's own cgroup, which has this path.
    Own(Vec<u8>),
    /// That of a cgroup which the sandbox has made below its own.
    Below(Vec<u8>),
    /// That of the cgroup above with this path.
    Above(Vec<u8>),
    /// Nobody's that can be seen: memory of the whole host was short, or a limit that is out of sight was reached.
    Nobody,
}

/// Processes were killed for want of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oom {
    /// Whose limit was reached.
    pub whose: Whose,
    /// The file that has the limit.
    pub file: &'static str,
    /// The limit.
    pub limit_bytes: Option<u64>,
    /// How many processes were killed.
    pub kills: u64,
    /// Which, as far as the kernel's log can be read and has said it; not more than `kills`.
    pub victims: Vec<Victim>,
    /// What the hierarchy is called.
    pub hierarchy: String,
}

/// Tasks could not be made because there were too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooManyTasks {
    /// Whose limit was reached.
    pub whose: Whose,
    /// The limit.
    pub limit: Option<u64>,
    /// How often.
    pub hits: u64,
}

/// Processor time was used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Whose quota it was.
    pub whose: Whose,
    /// The quota.
    pub limit: Option<Bandwidth>,
    /// How often and for how long.
    pub by: Throttling,
}

/// What was read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// How many reads.
    pub reads: u64,
    /// How many writes.
    pub writes: u64,
}

/// What wait4(2) says that a process and those it waited for have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on processors in its own code, in microseconds.
    pub user_usec: u64,
    /// Time on processors in the kernel, in microseconds.
    pub system_usec: u64,
    /// The most memory that one of these processes had, in bytes.
    pub max_rss_bytes: u64,
}

/// What became of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Who was killed for want of memory.
    pub oom: Option<Oom>,
    /// Which tasks could not be made.
    pub too_many_tasks: Option<TooManyTasks>,
    /// How it was slowed by a quota of processor time.
    pub throttled: Option<Throttled>,
    /// The most memory it had at one time; without a cgroup, that of its largest process.
    pub memory_peak_bytes: Option<u64>,
    /// The most swap it had at one time. v1 does not count it.
    pub swap_peak_bytes: Option<u64>,
    /// Time on processors in code of programs, in microseconds.
    pub cpu_user_usec: u64,
    /// Time on processors in the kernel, in microseconds.
    pub cpu_system_usec: u64,
    /// What was read and written, where the controller counts it.
    pub io: Option<Io>,
    /// How often it was slowed because of its own memory.high.
    pub memory_high_events: u64,
    /// The most tasks it had at one time.
    pub pids_peak: Option<u64>,
}

/// Reads what the cgroups above have counted so far. To be called before the first process is in the cgroups.
pub fn before(made: &Made) -> Baseline {
    Baseline::read(made)
}

/// Reads what became of the sandbox. To be called when its processes have ended, and before the cgroups are removed. `killed` is whether
/// the command ended by SIGKILL.
pub fn read(made: &Made, before: &Baseline, usage: Usage, killed: bool) -> Report {
    let mut report = Report {
        cpu_user_usec: usage.user_usec,
        cpu_system_usec: usage.system_usec,
        memory_peak_bytes: Some(usage.max_rss_bytes).filter(|bytes| *bytes > 0),
        ..Report::default()
    };
    for (index, group) in made.groups.iter().enumerate() {
        let has = |controller| group.controllers.contains(&controller);
        let above: Vec<&Level> = before.of(index).collect();
        if has(Controller::Memory) {
            memory(group, &above, killed, &mut report);
            if let Some(oom) = &mut report.oom {
                oom.victims = victims::victims(&group.path, before.at, oom.kills);
            }
        }
        if has(Controller::Pids) {
            tasks(group, &above, &mut report);
        }
        cpu(group, &above, &mut report);
        if has(Controller::Io) {
            report.io = io(group);
        }
    }
    report
}

fn memory(group: &MadeGroup, above: &[&Level], killed: bool, report: &mut Report) {
    let peak = match group.version {
        Version::V2 => number(group, c"memory.peak"),
        Version::V1 => number(group, c"memory.max_usage_in_bytes"),
    };
    report.memory_peak_bytes = peak.or(report.memory_peak_bytes);
    if group.version == Version::V2 {
        report.swap_peak_bytes = number(group, c"memory.swap.peak");
    }
    report.oom = match group.version {
        Version::V2 => oom_v2(group, above, killed, report),
        Version::V1 => oom_v1(group, above),
    };
}

/// `oom` is counted where the limit was, `oom_kill` where the victim was.
fn oom_v2(group: &MadeGroup, above: &[&Level], killed: bool, report: &mut Report) -> Option<Oom> {
    let oom = |whose, limit_bytes, kills| {
        let hierarchy = group.label.clone();
        Some(Oom { whose, file: "memory.max", limit_bytes, kills, victims: Vec::new(), hierarchy })
    };
    let events = text(group, c"memory.events");
    let kills = events.as_deref().and_then(|events| parse::keyed(events, "oom_kill"));
    let hit_above = || above.iter().find(|level| level.grown(|counters| counters.memory_hits) > 0);
    let Some(kills) = kills else {
        // Memory is not handed on to it: then the victim is counted above, among those of others.
        let level = hit_above().filter(|_| killed)?;
        let kills = level.grown(|counters| counters.memory_kills);
        return if kills > 0 { oom(Whose::Above(level.path.clone()), level.memory_limit, kills) } else { None };
    };
    let local = text(group, c"memory.events.local").or_else(|| events.clone()).unwrap_or_default();
    report.memory_high_events = parse::keyed(&local, "high").unwrap_or(0);
    if kills == 0 {
        return None;
    }
    if parse::keyed(&local, "oom").is_some_and(|hits| hits > 0) {
        return oom(Whose::Own(group.path.clone()), limit(group, c"memory.max"), kills);
    }
    if events.is_some_and(|events| parse::keyed(&events, "oom").is_some_and(|hits| hits > 0)) {
        return oom(Whose::Below(group.path.clone()), None, kills);
    }
    match hit_above() {
        Some(level) => oom(Whose::Above(level.path.clone()), level.memory_limit, kills),
        None => oom(Whose::Nobody, None, kills),
    }
}

/// `oom_kill` is counted where the victim was. How often a limit was in the way is counted where the limit is, also where reclaim has made
/// room; of several the nearest is taken, as it was reached while those above still had room.
fn oom_v1(group: &MadeGroup, above: &[&Level]) -> Option<Oom> {
    let kills = keyed_here(group, c"memory.oom_control", "oom_kill").filter(|kills| *kills > 0)?;
    let oom = |whose, file, limit_bytes| {
        let hierarchy = group.label.clone();
        Some(Oom { whose, file, limit_bytes, kills, victims: Vec::new(), hierarchy })
    };
    let own = || Whose::Own(group.path.clone());
    if number_inside(group, c"memory.failcnt").is_some_and(|hits| hits > 0) {
        return oom(Whose::Below(group.path.clone()), "memory.limit_in_bytes", None);
    }
    if number(group, c"memory.failcnt").is_some_and(|hits| hits > 0) {
        return oom(own(), "memory.limit_in_bytes", limit(group, c"memory.limit_in_bytes"));
    }
    if number(group, c"memory.memsw.failcnt").is_some_and(|hits| hits > 0) {
        return oom(own(), "memory.memsw.limit_in_bytes", limit(group, c"memory.memsw.limit_in_bytes"));
    }
    // Newer kernels do not always count; but whoever is at the limit has reached it.
    for (most, file, name) in [
        (c"memory.max_usage_in_bytes", c"memory.limit_in_bytes", "memory.limit_in_bytes"),
        (c"memory.memsw.max_usage_in_bytes", c"memory.memsw.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    ] {
        let bytes = limit(group, file);
        if number(group, most).zip(bytes).is_some_and(|(most, limit)| most >= limit) {
            return oom(own(), name, bytes);
        }
    }
    match above.iter().find(|level| level.grown(|counters| counters.memory_hits) > 0) {
        Some(level) => oom(Whose::Above(level.path.clone()), "memory.limit_in_bytes", level.memory_limit),
        None => oom(Whose::Nobody, "memory.limit_in_bytes", None),
    }
}

/// `pids.events.local` of newer kernels counts where the limit is. `pids.events` of v1 and of older ones counts where the fork was tried:
/// then it was a limit of which nothing was left.
fn tasks(group: &MadeGroup, above: &[&Level], report: &mut Report) {
    report.pids_peak = number(group, c"pids.peak");
    let limit_of_own = limit(group, c"pids.max");
    let too_many = |whose, limit, hits| (hits > 0).then_some(TooManyTasks { whose, limit, hits });
    let own = |hits| too_many(Whose::Own(group.path.clone()), limit_of_own, hits);
    let at_limit = group.version == Version::V2 && text(group, c"pids.events.local").is_some();
    let file = if at_limit { c"pids.events.local" } else { c"pids.events" };
    // Without limits of its own, the cgroup inside counts on v1 alone.
    let hits = if group.version == Version::V1 { keyed_here(group, file, "max") } else { keyed(group, file, "max") };
    let hits = hits.unwrap_or(0);
    let is_full = limit_of_own.is_some_and(|limit| report.pids_peak.is_none_or(|peak| peak >= limit));
    report.too_many_tasks = match at_limit {
        true => own(hits).or_else(|| {
            let level = above.iter().find(|level| level.grown(|counters| counters.task_hits) > 0)?;
            let hits = level.grown(|counters| counters.task_hits);
            too_many(Whose::Above(level.path.clone()), level.task_limit, hits)
        }),
        false if hits == 0 || is_full => own(hits),
        false => {
            let level = above.iter().find(|level| level.is_full_of_tasks());
            let whose = level.map_or(Whose::Nobody, |level| Whose::Above(level.path.clone()));
            too_many(whose, level.and_then(|level| level.task_limit), hits)
        }
    };
}

fn cpu(group: &MadeGroup, above: &[&Level], report: &mut Report) {
    if group.version == Version::V1 && !group.controllers.contains(&Controller::Cpu) {
        return;
    }
    let Some(stat) = text(group, c"cpu.stat") else { return };
    if let (Some(user), Some(system)) = (parse::keyed(&stat, "user_usec"), parse::keyed(&stat, "system_usec")) {
        (report.cpu_user_usec, report.cpu_system_usec) = (user, system);
    }
    let own = Throttling::parse(&stat).filter(|by| by.throttled > 0);
    let own = own.map(|by| (Whose::Own(group.path.clone()), counters::bandwidth(&group.directory, group.version), by));
    let grown = |level: &&&Level| level.throttled().is_some_and(|by| by.throttled > 0);
    let found = own.or_else(|| {
        let level = above.iter().filter(grown).max_by_key(|level| level.throttled().map(|by| by.throttled_usec))?;
        Some((Whose::Above(level.path.clone()), level.bandwidth, level.throttled()?))
    });
    if let Some((whose, limit, by)) = found {
        report.throttled = Some(Throttled { whose, limit, by });
    }
}

fn io(group: &MadeGroup) -> Option<Io> {
    match group.version {
        Version::V2 => Some(io_v2(&text(group, c"io.stat")?)),
        Version::V1 => Some(io_v1(
            &text(group, c"blkio.throttle.io_service_bytes_recursive")?,
            &text(group, c"blkio.throttle.io_serviced_recursive")?,
        )),
    }
}

fn io_v2(stat: &[u8]) -> Io {
    let mut io = Io::default();
    for (_, key, value) in parse::nested_keyed(stat) {
        let total = match key {
            b"rbytes" => &mut io.read_bytes,
            b"wbytes" => &mut io.written_bytes,
            b"rios" => &mut io.reads,
            b"wios" => &mut io.writes,
            _ => continue,
        };
        *total = total.saturating_add(parse::number(value).unwrap_or(0));
    }
    io
}

fn io_v1(bytes: &[u8], times: &[u8]) -> Io {
    // The lines are `MAJOR:MINOR Read NUMBER`.
    let sum = |text: &[u8], operation: &[u8]| {
        let values = parse::lines(text).filter_map(|line| {
            let mut words = parse::words(line).skip(1);
            (words.next()? == operation).then(|| parse::number(words.next()?))?
        });
        values.fold(0u64, u64::saturating_add)
    };
    Io {
        read_bytes: sum(bytes, b"Read"),
        written_bytes: sum(bytes, b"Write"),
        reads: sum(times, b"Read"),
        writes: sum(times, b"Write"),
    }
}

fn limit(group: &MadeGroup, file: &std::ffi::CStr) -> Option<u64> {
    match parse::limit_v1(&text(group, file)?)? {
        Limit::Value(value) => Some(value),
        Limit::Max => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_count_what_was_read_and_written() {
        let v2 = b"8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=0 rios=1 wios=0\n";
        let expected = Io { read_bytes: 11, written_bytes: 20, reads: 2, writes: 2 };
        assert_eq!(io_v2(v2), expected);
        let bytes = b"8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n8:16 Read 1\nTotal 31\n";
        let times = b"8:0 Read 1\n8:0 Write 2\n8:0 Total 3\n8:16 Read 1\nTotal 4\n";
        assert_eq!(io_v1(bytes, times), expected);
        assert_eq!(io_v2(b""), Io::default());
    }
}
