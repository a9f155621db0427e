//! What can be told of limits before any cgroup is made: too little to start with, and what is not there at all.

use super::LimitError;
use crate::cgroup::at::Cgroup;
use crate::cgroup::change::translate;
use crate::cgroup::change::value::{Asked, Cpu, Value};
use crate::model::cgroup::{Limit, Version};

/// The least limit of memory that is taken, in bytes.
///
/// On Linux 6.18 (v1, pages of 4 KiB) a static init of two pages and a dynamic `/bin/true` start reliably from 288 KiB on, `sh -c true` too,
/// and `bash -c true` from 448 KiB on, without namespaces of their own; with less the kernel kills one of them before it has begun.
const LEAST_MEMORY_BYTES: u64 = 512 << 10;

/// The least limit of tasks that is taken: nsx's init and the command are two.
const LEAST_TASKS: u64 = 2;

/// The kernel takes no quota of fewer microseconds.
const LEAST_QUOTA_USEC: u64 = 1000;

/// Refuses amounts that nothing can start with.
///
/// # Errors
/// The first that is too little.
pub(super) fn amounts(asked: &[Asked]) -> Result<(), LimitError> {
    for one in asked {
        let least = |asked: u64, least: u64, why| match asked < least {
            true => Err(LimitError::TooLittle { knob: one.knob.clone(), asked, least, why }),
            false => Ok(()),
        };
        match (&one.knob[..], &one.value) {
            ("memory.max" | "memory.memsw.max", Value::Limit(Limit::Value(bytes))) => {
                least(*bytes, LEAST_MEMORY_BYTES, "a command cannot start with fewer bytes")?;
            }
            ("pids.max", Value::Limit(Limit::Value(tasks))) => {
                least(*tasks, LEAST_TASKS, "the first process of the sandbox and the command are two")?;
            }
            ("cpu.max", Value::Cpu(Cpu::Processors(millionths))) => {
                least(*millionths, LEAST_QUOTA_USEC, "the kernel takes no fewer microseconds of a second")?;
            }
            ("cpu.max", Value::Cpu(Cpu::Quota(Limit::Value(quota), _))) => {
                least(*quota, LEAST_QUOTA_USEC, "the kernel takes no smaller quota in microseconds")?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses processors and memory nodes that the cgroup above does not have. v2 would take them, and give others.
///
/// # Errors
/// The first list with such.
pub(super) fn lists(parent: &Cgroup<'_>, asked: &[Asked]) -> Result<(), LimitError> {
    for one in asked {
        let (Value::List(list), "cpuset.cpus" | "cpuset.mems") = (&one.value, &one.knob[..]) else { continue };
        let Some((path, has)) = effective(parent, &one.knob) else { continue };
        if !is_within(list, &has) {
            return Err(LimitError::Beyond { knob: one.knob.clone(), asked: list.clone(), path, has });
        }
    }
    Ok(())
}

/// Returns what a cgroup may use, or the nearest above it that says so.
fn effective(parent: &Cgroup<'_>, knob: &str) -> Option<(Vec<u8>, String)> {
    let files = match (parent.version(), knob) {
        (Version::V2, _) => [format!("{knob}.effective"), String::new()],
        (Version::V1, "cpuset.cpus") => ["cpuset.effective_cpus".to_owned(), knob.to_owned()],
        (Version::V1, _) => ["cpuset.effective_mems".to_owned(), knob.to_owned()],
    };
    let read = |cgroup: &Cgroup<'_>| {
        let text = files.iter().filter(|file| !file.is_empty()).find_map(|file| cgroup.read(file).ok())?;
        Some((cgroup.path.clone(), String::from_utf8_lossy(text.trim_ascii()).into_owned()))
    };
    read(parent).or_else(|| parent.ancestors().find_map(|above| read(&above)))
}

/// Says whether every number of a list is in another one.
fn is_within(list: &str, all: &str) -> bool {
    let (Some(list), Some(all)) = (translate::numbers(list.as_bytes()), translate::numbers(all.as_bytes())) else {
        return true;
    };
    list.iter().all(|(first, last)| all.iter().any(|(from, to)| from <= first && last <= to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<String> {
        let asked: Asked = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        amounts(&[asked]).err().map(|error| error.to_string())
    }

    #[test]
    fn what_is_too_little_is_refused() {
        for text in
            ["memory.max=512K", "memory.max=max", "memory.high=1", "pids.max=2", "pids.max=max", "cpu.max=0.001"]
        {
            assert_eq!(refused(text), None, "{text}");
        }
        for (text, words) in [
            ("memory.max=0", "cannot set memory.max to 0: a command cannot start with fewer bytes, 524288 at least"),
            ("memory.memsw.max=1K", "cannot set memory.memsw.max to 1024: a command cannot"),
            (
                "pids.max=1",
                "cannot set pids.max to 1: the first process of the sandbox and the command are two, 2 at least",
            ),
        ] {
            assert!(refused(text).is_some_and(|found| found.starts_with(words)), "{text}: {:?}", refused(text));
        }
        let cpu = |cpu| amounts(&[Asked { knob: "cpu.max".to_owned(), value: Value::Cpu(cpu) }]).is_err();
        assert!(cpu(Cpu::Processors(999)) && cpu(Cpu::Quota(Limit::Value(999), 100_000)));
        assert!(!cpu(Cpu::Max) && !cpu(Cpu::Quota(Limit::Max, 100_000)));
    }

    #[test]
    fn a_list_lies_within_another() {
        for (list, all, within) in
            [("0", "0-1", true), ("0-1", "0,1", true), ("1-2", "0-1", false), ("", "0", true), ("7", "", false)]
        {
            assert_eq!(is_within(list, all), within, "{list} {all}");
        }
    }
}
