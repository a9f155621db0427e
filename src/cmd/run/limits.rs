//! Limits of `nsx run`: of the cgroup, and of each process. Values of knobs are understood as `nsx cg set` does.
//!
//! Not here: what is written to which file for a knob (`cgroup::change`). Sources: cgroups(7), `Documentation/admin-guide/cgroup-v2.rst`,
//! getrlimit(2), prlimit(1).

use std::path::PathBuf;

use clap::Args;

use super::value;
use crate::cgroup::change::Asked;
use crate::cgroup::change::value::Value;
use crate::cmd::UsageError;
use crate::launch::run::{Limits, Rlimit};
use crate::model::cgroup::Limit;
use crate::model::id::parse_decimal;

/// The options on limits.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limit options")]
pub struct LimitArgs {
    /// Allow no more than this much memory, such as 256M (memory.max)
    ///
    /// Sizes take K, M, G and T, powers of 1024; `max` is no limit of its own. What is beyond is reclaimed, and where that is not enough,
    /// processes of the cgroup are killed.
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, value_parser = memory_max)]
    pub mem: Option<Asked>,

    /// Slow down what uses more memory than this (memory.high; cgroup v2 only)
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, value_parser = memory_high)]
    pub mem_high: Option<Asked>,

    /// Allow this much swap beside the memory (memory.swap.max); 0 for none
    ///
    /// It is swap alone, and not memory and swap together as in docker-run(1). On cgroup v1 it takes --mem, too.
    #[arg(long, value_name = "SIZE|max", allow_negative_numbers = true, value_parser = swap)]
    pub swap: Option<Asked>,

    /// Allow the time of so many processors, such as 1.5 or 50% (cpu.max)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = cpus)]
    pub cpus: Option<Asked>,

    /// Share of processors beside others, from 1 to 10000 (cpu.weight; the kernel's default: 100)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = cpu_weight)]
    pub cpu_weight: Option<Asked>,

    /// Use these processors only, such as 0-3,8 (cpuset.cpus)
    #[arg(long, value_name = "LIST", allow_negative_numbers = true, value_parser = cpuset)]
    pub cpuset: Option<Asked>,

    /// Allow so many processes and threads (pids.max)
    #[arg(long, value_name = "N|max", allow_negative_numbers = true, value_parser = pids)]
    pub pids: Option<Asked>,

    /// Limit reading and writing of a disk, such as /dev/sda:rbps=10M,wiops=100 (io.max; can be repeated)
    ///
    /// The disk is a device file or its numbers, as in 8:0. The limits are rbps and wbps, bytes read and written a second, and riops and
    /// wiops, operations a second.
    #[arg(long, value_name = "DEV:LIMIT,…", value_parser = io)]
    pub io: Vec<Asked>,

    /// Allow so much memory in huge pages of a size, such as 2MB:64M (hugetlb.2MB.max; can be repeated)
    #[arg(long, value_name = "SIZE:N", value_parser = hugetlb)]
    pub hugetlb: Vec<Asked>,

    /// Set another knob of the cgroup, such as memory.oom.group=1 (can be repeated)
    ///
    /// Knobs and their values are those of nsx-cg(1), `nsx cg set`.
    #[arg(long, value_name = "KNOB=VALUE", value_parser = knob)]
    pub cgroup_set: Vec<Asked>,

    /// Make the cgroup in this one (default: in the caller's own on cgroup v1, beside it on v2)
    ///
    /// A path in its hierarchy, such as /system.slice, or a directory below a mount of it. With this alone, the command gets a cgroup
    /// without limits.
    #[arg(long, value_name = "PATH", value_parser = value::absolute())]
    pub cgroup_parent: Option<PathBuf>,

    /// Limit a resource of each process, such as nofile=1024:4096 or core=0 (can be repeated)
    ///
    /// The names are as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending and stack,
    /// see getrlimit(2). Without HARD, it is SOFT. What is counted in bytes takes K, M, G and T; `unlimited` is no limit.
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = ulimit)]
    pub ulimit: Vec<Rlimit>,

    /// Have the kernel kill the command sooner (up to 1000) or later (down to -1000) where memory is short
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub oom_score_adj: Option<i32>,
}

impl LimitArgs {
    /// Returns what is set in the cgroup.
    ///
    /// # Errors
    /// Where one thing is given twice.
    pub fn limits(&self) -> Result<Limits, UsageError> {
        let single = [&self.mem, &self.mem_high, &self.swap, &self.cpus, &self.cpu_weight, &self.cpuset, &self.pids];
        let asked: Vec<Asked> = single
            .into_iter()
            .flatten()
            .chain(&self.io)
            .chain(&self.hugetlb)
            .chain(&self.cgroup_set)
            .cloned()
            .collect();
        let twice =
            asked.iter().enumerate().any(|(index, one)| asked[..index].iter().any(|other| one.sets_same(other)));
        if twice {
            return Err(UsageError(
                "a knob is given twice: by --cgroup-set and the option that is for it (such as --mem), or, as --io and --hugetlb can be, for the same disk or size; \
                 one --io takes several limits of a disk: DEV:rbps=10M,wbps=1M",
            ));
        }
        Ok(Limits { asked, parent: self.cgroup_parent.clone() })
    }

    /// Returns the limits of each process.
    ///
    /// # Errors
    /// Where one is given twice.
    pub fn rlimits(&self) -> Result<Vec<Rlimit>, UsageError> {
        let all = &self.ulimit;
        let twice = all.iter().enumerate().any(|(index, one)| all[..index].iter().any(|other| other.name == one.name));
        if twice { Err(UsageError("--ulimit: a resource is given twice")) } else { Ok(all.clone()) }
    }
}

/// Parses the value of a knob that an option stands for; an error says what it takes, and clap names the option.
fn asked(knob: &str, text: &str) -> Result<Asked, String> {
    let asked: Asked =
        format!("{knob}={text}").parse().map_err(|error: crate::cgroup::change::ValueError| wants(error.wants))?;
    livable(asked)
}

fn wants(what: &str) -> String {
    format!("not {what}")
}

/// Refuses limits below which nothing can live.
fn livable(asked: Asked) -> Result<Asked, String> {
    /// Of the smallest page that there is. Less is cut to nothing.
    const PAGE: u64 = 4096;
    let limit = if let Value::Limit(limit) = asked.value { limit.value() } else { None };
    match (&asked.knob[..], limit) {
        ("memory.max" | "memory.high", Some(bytes)) if bytes < PAGE => {
            Err(format!("{bytes} bytes are less than a page of memory; megabytes are written as in 256M"))
        }
        ("pids.max", Some(0)) => Err("no process could start".to_owned()),
        _ => Ok(asked),
    }
}

/// Parses `--mem`.
///
/// # Errors
/// Whatever is no size, or less than a page.
pub fn memory_max(text: &str) -> Result<Asked, String> {
    asked("memory.max", text)
}

/// Parses `--mem-high`.
///
/// # Errors
/// As of [`memory_max`].
pub fn memory_high(text: &str) -> Result<Asked, String> {
    asked("memory.high", text)
}

/// Parses `--swap`.
///
/// # Errors
/// Whatever is no size.
pub fn swap(text: &str) -> Result<Asked, String> {
    asked("memory.swap.max", text)
}

/// Parses `--cpus`.
///
/// # Errors
/// Whatever is no number of processors, and less than a thousandth.
pub fn cpus(text: &str) -> Result<Asked, String> {
    asked("cpu.max", text).map_err(|_| wants("a number of processors such as 1.5 or 50%, 0.001 at least, or `max`"))
}

/// Parses `--cpu-weight`.
///
/// # Errors
/// Whatever is no weight.
pub fn cpu_weight(text: &str) -> Result<Asked, String> {
    asked("cpu.weight", text)
}

/// Parses `--cpuset`.
///
/// # Errors
/// Whatever is no list of processors, and the empty one.
pub fn cpuset(text: &str) -> Result<Asked, String> {
    match asked("cpuset.cpus", text)? {
        Asked { value: Value::List(list), .. } if list.is_empty() => Err("no processor is in it".to_owned()),
        asked => Ok(asked),
    }
}

/// Parses `--pids`.
///
/// # Errors
/// Whatever is no number, and 0.
pub fn pids(text: &str) -> Result<Asked, String> {
    asked("pids.max", text)
}

/// Parses `--io`. A device that is named by its file stays so; [`super::RunArgs::look_up`] asks for its numbers.
///
/// # Errors
/// What is no device, and what are no limits.
pub fn io(text: &str) -> Result<Asked, String> {
    const WANTS: &str = "DEV:LIMIT,…, such as /dev/sda:rbps=10M,wiops=100 or 8:0:rbps=max";
    let (device, limits) =
        text.rsplit_once(':').filter(|(device, _)| !device.is_empty()).ok_or_else(|| wants(WANTS))?;
    if limits.contains(char::is_whitespace) || !limits.contains('=') {
        return Err(wants(WANTS));
    }
    let is_file = device.starts_with('/');
    if device.contains('\0') || !is_file && device.contains(char::is_whitespace) {
        return Err(wants(WANTS));
    }
    let numbers = if is_file { "0:0" } else { device };
    let mut parsed = asked("io.max", &format!("{numbers} {}", limits.replace(',', " "))).map_err(|_| wants(WANTS))?;
    if let Value::Device(name, _) = &mut parsed.value {
        device.clone_into(name);
    }
    Ok(parsed)
}

/// Parses `--hugetlb`.
///
/// # Errors
/// What is no size of a page, and what cannot be a number of bytes in such pages.
pub fn hugetlb(text: &str) -> Result<Asked, String> {
    let no_page = || wants("SIZE:N with the size of a huge page, such as 2MB:64M");
    let (page, amount) = text.split_once(':').ok_or_else(no_page)?;
    let letter_at = page.find(|character: char| !character.is_ascii_digit()).ok_or_else(no_page)?;
    let (number, unit) = page.split_at(letter_at);
    let unit = match unit {
        "K" | "KB" => "KB",
        "M" | "MB" => "MB",
        "G" | "GB" => "GB",
        _ => return Err(no_page()),
    };
    let count: u64 = parse_decimal(number.as_bytes()).filter(|count| (1..=1024).contains(count)).ok_or_else(no_page)?;
    let parsed = asked(&format!("hugetlb.{count}{unit}.max"), amount)?;
    let bytes = count
        * match unit {
            "KB" => 1 << 10,
            "MB" => 1 << 20,
            _ => 1 << 30,
        };
    match parsed.value {
        Value::Limit(Limit::Value(limit)) if limit % bytes != 0 => Err(format!("not a multiple of {count}{unit}")),
        _ => Ok(parsed),
    }
}

/// Parses `--cgroup-set`.
///
/// # Errors
/// What is no knob, has another form, or makes no sense in a cgroup that is made for one command.
pub fn knob(text: &str) -> Result<Asked, String> {
    let asked: Asked = text.parse().map_err(|error: crate::cgroup::change::ValueError| error.to_string())?;
    let knob = &asked.knob[..];
    let of_core = knob.starts_with("cgroup.")
        && !matches!(knob, "cgroup.max.descendants" | "cgroup.max.depth" | "cgroup.pressure");
    let of_v1 = matches!(
        knob,
        "tasks" | "freezer.state" | "notify_on_release" | "release_agent" | "memory.force_empty" | "memory.reclaim"
    );
    if of_core || of_v1 {
        return Err(format!("{knob} is no limit, and nothing to be set while a command is started"));
    }
    livable(asked)
}

/// The resources: name, number, and whether they are counted in bytes.
#[expect(clippy::unnecessary_cast, reason = "musl has these numbers signed")]
const RESOURCES: [(&str, u32, bool); 16] = [
    ("as", libc::RLIMIT_AS as u32, true),
    ("core", libc::RLIMIT_CORE as u32, true),
    ("cpu", libc::RLIMIT_CPU as u32, false),
    ("data", libc::RLIMIT_DATA as u32, true),
    ("fsize", libc::RLIMIT_FSIZE as u32, true),
    ("locks", libc::RLIMIT_LOCKS as u32, false),
    ("memlock", libc::RLIMIT_MEMLOCK as u32, true),
    ("msgqueue", libc::RLIMIT_MSGQUEUE as u32, true),
    ("nice", libc::RLIMIT_NICE as u32, false),
    ("nofile", libc::RLIMIT_NOFILE as u32, false),
    ("nproc", libc::RLIMIT_NPROC as u32, false),
    ("rss", libc::RLIMIT_RSS as u32, true),
    ("rtprio", libc::RLIMIT_RTPRIO as u32, false),
    ("rttime", libc::RLIMIT_RTTIME as u32, false),
    ("sigpending", libc::RLIMIT_SIGPENDING as u32, false),
    ("stack", libc::RLIMIT_STACK as u32, true),
];

/// Parses `--ulimit`.
///
/// # Errors
/// What is no resource, no number, or a soft limit above the hard one.
pub fn ulimit(text: &str) -> Result<Rlimit, String> {
    let (word, limits) = text.split_once('=').ok_or_else(|| wants("NAME=SOFT[:HARD], such as nofile=1024:4096"))?;
    let (name, resource, in_bytes) = *RESOURCES.iter().find(|(name, ..)| *name == word).ok_or_else(|| {
        let names: Vec<&str> = RESOURCES.iter().map(|(name, ..)| *name).collect();
        format!("no resource is called {word:?}; there are {}", names.join(", "))
    })?;
    let one = |text: &str| {
        let number = match text {
            "unlimited" => return Ok(None),
            _ if in_bytes => value::bytes(text),
            _ => parse_decimal(text.as_bytes()),
        };
        // The largest number stands for no limit.
        number.filter(|number| *number != u64::MAX).map(Some).ok_or_else(|| {
            let unit = if in_bytes { "a number of bytes, with K, M, G or T for powers of 1024" } else { "a number" };
            format!("{name} takes {unit}, or `unlimited`, not {text:?}")
        })
    };
    let (soft, hard) = match limits.split_once(':') {
        Some((soft, hard)) => (one(soft)?, one(hard)?),
        None => (one(limits)?, one(limits)?),
    };
    if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
        return Err(format!("{name}: the soft limit is above the hard one"));
    }
    Ok(Rlimit { resource, name, soft, hard })
}
