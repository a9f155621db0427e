//! From what a knob is to be set to, to what is written to which file, on v2 and on v1; and whether what is read afterwards is that. Pure.
//!
//! On v1 one knob can be several files, and the order of the writes matters: the kernel checks each against what is there. See
//! `Documentation/admin-guide/cgroup-v1/memory.rst` and `Documentation/scheduler/sched-bwc.rst`.

use super::error::Cause;
use super::value::{Asked, Cpu, Value};
use crate::cgroup::Files;
use crate::cgroup::parse;
use crate::model::cgroup::{Bandwidth, KNOBS, Limit, Version};

/// The files that a translation has to know the present content of.
pub const NEEDED: [&str; 5] =
    ["cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];

/// Pages that memory is counted in are no larger on any machine.
const LARGEST_PAGE: u64 = 64 << 10;

const LIMIT: &str = "memory.limit_in_bytes";
const MEMSW: &str = "memory.memsw.limit_in_bytes";

/// A value that is written to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The knob that it is for, as it was asked for.
    pub knob: String,
    /// The file.
    pub file: String,
    /// What is written, in one call.
    pub text: String,
    /// What has to be read afterwards.
    pub expect: Expect,
}

/// What has to be read of a file after a value was written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This number, or none.
    Limit(Limit),
    /// This number of bytes, or none; or less by less than a page, which has so many bytes at most.
    Bytes(Limit, u64),
    /// This bandwidth.
    Bandwidth(Bandwidth),
    /// A list with the same numbers.
    List(String),
    /// A line that begins with the key, and has these words.
    Line(String, Vec<String>),
    /// No line that begins with the key.
    NoLine(String),
    /// If there is a line that begins with the key, it has these words.
    LineIfAny(String, Vec<String>),
    /// These words, and not those.
    Words(Vec<String>, Vec<String>),
    /// This text; what else is read may mean the same, so it is no error.
    Text(String),
}

impl Expect {
    /// Says whether a text is what was expected.
    pub fn is_met(&self, after: &[u8]) -> bool {
        let words = |text: &[u8]| -> Vec<String> {
            parse::words(text).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        };
        let line = |key: &str| parse::lines(after).map(words).find(|line| line.first().is_some_and(|word| word == key));
        match self {
            Expect::Limit(asked) => Some(*asked) == read_limit(after),
            Expect::Bytes(asked, page) => match (asked, read_limit(after)) {
                (Limit::Value(asked), Some(Limit::Value(found))) => found <= *asked && asked - found < *page,
                // v1 takes what is beyond all for no limit.
                (Limit::Value(asked), Some(Limit::Max)) => {
                    parse::limit_v1(asked.to_string().as_bytes()) == Some(Limit::Max)
                }
                (asked, found) => Some(*asked) == found,
            },
            Expect::Bandwidth(asked) => parse::bandwidth(after) == Some(*asked),
            Expect::List(asked) => numbers(after).is_some() && numbers(after) == numbers(asked.as_bytes()),
            Expect::Line(key, asked) => line(key).is_some_and(|line| asked.iter().all(|word| line.contains(word))),
            Expect::NoLine(key) => line(key).is_none(),
            Expect::LineIfAny(key, asked) => line(key).is_none_or(|line| asked.iter().all(|word| line.contains(word))),
            Expect::Words(with, without) => {
                let found = words(after);
                with.iter().all(|word| found.contains(word)) && !without.iter().any(|word| found.contains(word))
            }
            Expect::Text(asked) => {
                let asked = words(asked.as_bytes());
                words(after) == asked || parse::lines(after).any(|line| words(line) == asked)
            }
        }
    }

    /// Says whether something else that is read is a failure.
    pub fn is_strict(&self) -> bool {
        !matches!(self, Expect::Text(_))
    }
}

/// Returns what is expected of a limit: bytes are cut to whole pages.
fn expect_limit(knob: &str, limit: Limit) -> Expect {
    match knob.split('.').next() {
        Some("memory") => Expect::Bytes(limit, LARGEST_PAGE),
        Some("hugetlb") => Expect::Bytes(limit, huge_page(knob).unwrap_or(LARGEST_PAGE)),
        _ => Expect::Limit(limit),
    }
}

/// Returns the size of the pages that a knob such as `hugetlb.2MB.max` is about.
fn huge_page(knob: &str) -> Option<u64> {
    let size = knob.split('.').nth(1)?;
    let digits = size.find(|character: char| !character.is_ascii_digit())?;
    let shift = match &size[digits..] {
        "KB" => 10,
        "MB" => 20,
        "GB" => 30,
        _ => return None,
    };
    parse::number(&size.as_bytes()[..digits])?.checked_shl(shift)
}

fn read_limit(text: &[u8]) -> Option<Limit> {
    match text.trim_ascii() {
        b"-1" => Some(Limit::Max),
        text => parse::limit_v1(text),
    }
}

/// Returns the ranges of a list, joined where they touch.
pub(crate) fn numbers(text: &[u8]) -> Option<Vec<(u64, u64)>> {
    parse::list_len(text)?;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for part in text.trim_ascii().split(|&byte| byte == b',').filter(|part| !part.is_empty()) {
        let mut ends = part.split(|&byte| byte == b'-').map(parse::number);
        let first = ends.next()??;
        ranges.push((first, ends.next().unwrap_or(Some(first))?));
    }
    ranges.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    Some(joined)
}

/// Returns what to write for these knobs, which all are at home in one hierarchy, in the order in which it has to be done.
///
/// # Errors
/// Where this version has no such knob, or it depends on another one that is not set.
pub fn writes(version: Version, asked: &[Asked], now: &Files) -> Result<Vec<Write>, Cause> {
    match version {
        Version::V2 => asked.iter().map(|one| v2(one, now)).collect(),
        Version::V1 => {
            let mut all = memory_v1(asked, now)?;
            for one in asked.iter().filter(|one| !is_memory_limit(one)) {
                all.extend(v1(one, now)?);
            }
            Ok(all)
        }
    }
}

fn write(knob: &str, file: &str, text: String, expect: Expect) -> Write {
    Write { knob: knob.to_owned(), file: file.to_owned(), text, expect }
}

fn limit_text(limit: Limit, none: &str) -> String {
    limit.value().map_or_else(|| none.to_owned(), |value| value.to_string())
}

fn v2(asked: &Asked, now: &Files) -> Result<Write, Cause> {
    let knob = &asked.knob[..];
    if KNOBS.iter().any(|known| known.name == knob && known.v1_only) {
        return Err(Cause::OnlyV1(asked.knob.clone()));
    }
    let one = |text: String, expect: Expect| Ok(write(knob, knob, text, expect));
    match &asked.value {
        Value::Limit(limit) => one(limit_text(*limit, "max"), expect_limit(knob, *limit)),
        Value::Cpu(cpu) => {
            let wanted = bandwidth(*cpu, now.bandwidth());
            one(format!("{} {}", limit_text(wanted.quota_usec, "max"), wanted.period_usec), Expect::Bandwidth(wanted))
        }
        Value::Weight(weight) => one(weight.to_string(), Expect::Limit(Limit::Value(*weight))),
        Value::DeviceWeight(key, weight) => {
            one(format!("{key} {weight}"), Expect::Line(key.clone(), vec![weight.to_string()]))
        }
        Value::Flag(flag) => one(u8::from(*flag).to_string(), Expect::Limit(Limit::Value(u64::from(*flag)))),
        Value::List(list) => one(list_text(list), Expect::List(list.clone())),
        Value::Device(device, limits) => {
            let words: Vec<String> =
                limits.iter().map(|(key, limit)| format!("{}={}", key.name(), limit_text(*limit, "max"))).collect();
            // A device without any limit is not listed.
            let none = limits.iter().all(|(_, limit)| *limit == Limit::Max);
            let (device_name, all) = (device.clone(), words.clone());
            let expect = if none { Expect::LineIfAny(device_name, all) } else { Expect::Line(device_name, all) };
            one(format!("{device} {}", words.join(" ")), expect)
        }
        Value::Controllers(all) => {
            let words: Vec<String> =
                all.iter().map(|(on, name)| format!("{}{name}", if *on { '+' } else { '-' })).collect();
            let those =
                |wanted: bool| all.iter().filter(|(on, _)| *on == wanted).map(|(_, name)| name.clone()).collect();
            one(words.join(" "), Expect::Words(those(true), those(false)))
        }
        Value::Text(text) => one(text.clone(), Expect::Text(text.clone())),
    }
}

/// An empty list is written as a line, as an empty text is no write at all.
fn list_text(list: &str) -> String {
    if list.is_empty() { "\n".to_owned() } else { list.to_owned() }
}

fn v1(asked: &Asked, now: &Files) -> Result<Vec<Write>, Cause> {
    let knob = &asked.knob[..];
    let no_knob = || Cause::NotOnV1(asked.knob.clone());
    let one = |file: &str, text: String, expect: Expect| Ok(vec![write(knob, file, text, expect)]);
    match (&asked.value, knob) {
        (Value::Cpu(cpu), _) => Ok(cpu_v1(*cpu, now)),
        (Value::Weight(weight), "cpu.weight") => {
            let shares = shares(*weight);
            one("cpu.shares", shares.to_string(), Expect::Limit(Limit::Value(shares)))
        }
        (Value::Limit(Limit::Value(burst)), "cpu.max.burst") => {
            one("cpu.cfs_burst_us", burst.to_string(), Expect::Limit(Limit::Value(*burst)))
        }
        (Value::Limit(limit), "pids.max") => one(knob, limit_text(*limit, "max"), Expect::Limit(*limit)),
        (Value::Limit(limit), _) if knob.starts_with("hugetlb.") => {
            let file = format!("{}limit_in_bytes", knob.strip_suffix("max").unwrap_or(knob));
            one(&file, limit_text(*limit, "-1"), expect_limit(knob, *limit))
        }
        (Value::List(list), "cpuset.cpus" | "cpuset.mems") => one(knob, list_text(list), Expect::List(list.clone())),
        (Value::Device(device, limits), _) => {
            let writes = limits.iter().map(|(key, limit)| {
                // v1 says no limit by a zero, and then lists the device no more.
                let expect = match limit {
                    Limit::Value(value) => Expect::Line(device.clone(), vec![value.to_string()]),
                    Limit::Max => Expect::NoLine(device.clone()),
                };
                write(knob, key.v1_file(), format!("{device} {}", limit_text(*limit, "0")), expect)
            });
            Ok(writes.collect())
        }
        (Value::DeviceWeight(key, weight), _) => {
            // Both count from the same default of 100, but v1 ends earlier.
            if *weight > 1000 {
                return Err(Cause::WeightOnV1(*weight));
            }
            match &key[..] {
                "default" => one("blkio.bfq.weight", weight.to_string(), Expect::Limit(Limit::Value(*weight))),
                device => {
                    let expect = Expect::Line(device.to_owned(), vec![weight.to_string()]);
                    one("blkio.bfq.weight_device", format!("{device} {weight}"), expect)
                }
            }
        }
        (Value::Flag(flag), "cpu.idle") => {
            one(knob, u8::from(*flag).to_string(), Expect::Limit(Limit::Value(u64::from(*flag))))
        }
        (Value::Text(text), _) => one(knob, text.clone(), Expect::Text(text.clone())),
        _ => Err(no_knob()),
    }
}

/// Returns the bandwidth that is asked for. The period stays as it is, unless a quota in it would be less than the millisecond that the
/// kernel takes at least.
fn bandwidth(cpu: Cpu, now: Option<Bandwidth>) -> Bandwidth {
    let period_usec = now.map_or(100_000, |now| now.period_usec).clamp(1000, 1_000_000);
    match cpu {
        Cpu::Max => Bandwidth { quota_usec: Limit::Max, period_usec },
        Cpu::Quota(quota_usec, period_usec) => Bandwidth { quota_usec, period_usec },
        Cpu::Processors(millionths) => {
            let quota = |period: u64| u128::from(millionths) * u128::from(period) / 1_000_000;
            let period_usec = if quota(period_usec) < 1000 { 1_000_000 } else { period_usec };
            let quota_usec = u64::try_from(quota(period_usec)).unwrap_or(u64::MAX);
            Bandwidth { quota_usec: Limit::Value(quota_usec), period_usec }
        }
    }
}

/// Quota and period of v1, which the kernel checks one by one: after each write their ratio may not be more than the parent's, nor less
/// than that of a child. The order is the one that leaves it between what it was and what it becomes; where there is none, the one that
/// makes it less.
fn cpu_v1(cpu: Cpu, now: &Files) -> Vec<Write> {
    let present = now.bandwidth();
    let wanted = bandwidth(cpu, present);
    let write = |file: &str, text: String, limit| write("cpu.max", file, text, Expect::Limit(limit));
    let quota = write("cpu.cfs_quota_us", limit_text(wanted.quota_usec, "-1"), wanted.quota_usec);
    if present.is_some_and(|present| present.period_usec == wanted.period_usec) {
        return vec![quota];
    }
    let period = write("cpu.cfs_period_us", wanted.period_usec.to_string(), Limit::Value(wanted.period_usec));
    let Some(present) = present else { return vec![period, quota] };
    let ratio = |quota, period| Bandwidth { quota_usec: quota, period_usec: period }.millicpus();
    let (before, after) = (present.millicpus(), wanted.millicpus());
    let quota_first = ratio(wanted.quota_usec, present.period_usec);
    let period_first = ratio(present.quota_usec, wanted.period_usec);
    let between = |ratio: Limit| (before.min(after)..=before.max(after)).contains(&ratio);
    let by_quota = match (between(quota_first), between(period_first)) {
        (true, _) => true,
        (false, true) => false,
        (false, false) => quota_first < period_first,
    };
    if by_quota { vec![quota, period] } else { vec![period, quota] }
}

/// Returns the shares of v1 that mean a weight of v2: what runc and crun convert shares to weights by, the other way round. There a weight
/// is `10^((l² + 125 l) / 612 - 7/34)` with l = log2(shares), so that both defaults (100 and 1024), both least (1 and 2) and both greatest
/// (10000 and 262144) are the same.
fn shares(weight: u64) -> u64 {
    let log = (weight.clamp(1, 10_000) as f64).log10() + 7.0 / 34.0;
    let exponent = (-125.0 + (125.0f64 * 125.0 + 4.0 * 612.0 * log).sqrt()) / 2.0;
    (exponent.exp2().round() as u64).clamp(2, 262_144)
}

fn is_memory_limit(asked: &Asked) -> bool {
    matches!(&asked.knob[..], "memory.max" | "memory.swap.max" | "memory.memsw.max")
}

/// Memory, and memory with swap, of v1. There is no knob for swap alone: it is what lies between the two, and stays that where only memory
/// is changed. The kernel never lets memory be more than both together, so the greater goes first on the way up, and last on the way down.
fn memory_v1(asked: &[Asked], now: &Files) -> Result<Vec<Write>, Cause> {
    let wanted = |knob: &str| {
        asked.iter().find(|one| one.knob == knob).and_then(|one| match one.value {
            Value::Limit(limit) => Some(limit),
            _ => None,
        })
    };
    let (max, swap, both) = (wanted("memory.max"), wanted("memory.swap.max"), wanted("memory.memsw.max"));
    if max.is_none() && swap.is_none() && both.is_none() {
        return Ok(Vec::new());
    }
    if swap.is_some() && both.is_some() {
        return Err(Cause::SwapTwice);
    }
    let limit_now = now.get(LIMIT).and_then(parse::limit_v1).unwrap_or(Limit::Max);
    let both_now = now.get(MEMSW).and_then(parse::limit_v1);
    if both_now.is_none() && (swap.is_some() || both.is_some()) {
        return Err(Cause::NoSwapAccounting);
    }
    let limit = max.unwrap_or(limit_now);
    let swap_now = match (limit_now, both_now) {
        (Limit::Value(limit), Some(Limit::Value(both))) => Limit::Value(both.saturating_sub(limit)),
        _ => Limit::Max,
    };
    let both_then = match (both, swap.unwrap_or(swap_now), limit) {
        (Some(both), ..) => both,
        (None, Limit::Max, _) => Limit::Max,
        (None, Limit::Value(swap), Limit::Value(limit)) => Limit::Value(limit.saturating_add(swap)),
        // Without a limit of memory there is none of both that would leave so much for swap.
        (None, Limit::Value(_), Limit::Max) if swap.is_some() => return Err(Cause::NeedsMemoryLimit),
        (None, Limit::Value(_), Limit::Max) => Limit::Max,
    };
    let of_memory = max.map(|max| write("memory.max", LIMIT, limit_text(max, "-1"), expect_limit("memory", max)));
    let changes = both_now.is_some_and(|now| now != both_then) || swap.is_some() || both.is_some();
    let of_both = changes
        .then(|| write("memory.memsw.max", MEMSW, limit_text(both_then, "-1"), expect_limit("memory", both_then)));
    let up = both_now.is_some_and(|now| both_then > now);
    let pair = if up { [of_both, of_memory] } else { [of_memory, of_both] };
    Ok(pair.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
