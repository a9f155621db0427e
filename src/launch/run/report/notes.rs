//! The sentences that a user is told of what became of a sandbox. Pure.

use super::{Oom, Report, Throttled, TooManyTasks, Victim, Whose};
use crate::cgroup::at::base_name;
use crate::model::cgroup::{Limit, size};

/// Says what was in the way of a sandbox: nothing, where nothing was. `killed` is whether the command ended by SIGKILL.
pub fn notes(report: &Report, killed: bool) -> Vec<String> {
    let all = [
        report.oom.as_ref().map(|oom| of_memory(oom, killed)),
        report.too_many_tasks.as_ref().map(of_tasks),
        report.throttled.as_ref().map(of_processors),
    ];
    all.into_iter().flatten().collect()
}

/// Names whose limit it was.
fn name(whose: &Whose) -> Option<String> {
    let text = |path: &[u8]| String::from_utf8_lossy(path).escape_debug().to_string();
    match whose {
        Whose::Own(path) => Some(text(base_name(path))),
        Whose::Below(path) => Some(format!("a cgroup below {}", text(base_name(path)))),
        Whose::Above(path) => Some(format!("{}, which is above,", text(path))),
        Whose::Nobody => None,
    }
}

fn of_memory(oom: &Oom, killed: bool) -> String {
    let who = match (killed, oom.kills) {
        (true, 1) => "killed by the OOM killer".to_owned(),
        (true, kills) => format!("killed by the OOM killer, {kills} processes in all"),
        (false, 1) => "1 process was killed by the OOM killer".to_owned(),
        (false, kills) => format!("{kills} processes were killed by the OOM killer"),
    };
    let who = who + &named(&oom.victims, oom.kills);
    match (name(&oom.whose), oom.limit_bytes) {
        (Some(whose), Some(bytes)) => format!("{who}: {} ({}) of {whose} was reached", oom.file, size(bytes)),
        (Some(whose), None) => format!("{who}: {} of {whose} was reached", oom.file),
        (None, _) => format!("{who}: no limit that can be seen was reached, so memory of the host was short"),
    }
}

/// Names those that were killed, if they are known, and not more of them than a reader wants. With memory.oom.group only one was chosen.
fn named(victims: &[Victim], kills: u64) -> String {
    const MOST: usize = 3;
    let one = |victim: &Victim| format!("{}, pid {}", quoted(&victim.comm), victim.pid);
    let mut names: Vec<String> = victims.iter().take(MOST).map(one).collect();
    if victims.len() > MOST {
        names.push("…".to_owned());
    }
    let chosen = if (victims.len() as u64) < kills { "chosen: " } else { "" };
    if names.is_empty() { String::new() } else { format!(" ({chosen}{})", names.join("; ")) }
}

/// A name that others choose looks like nothing else: what is more than a word stands in quotation marks.
fn quoted(comm: &[u8]) -> String {
    let text = String::from_utf8_lossy(comm);
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@+".contains(&byte);
    if !comm.is_empty() && comm.iter().all(|byte| is_word(*byte)) { text.into_owned() } else { format!("{text:?}") }
}

fn of_tasks(tasks: &TooManyTasks) -> String {
    let times = if tasks.hits == 1 { "once".to_owned() } else { format!("{} times", tasks.hits) };
    let failed = format!("a task could not be made, {times}");
    let limit = tasks.limit.map_or_else(String::new, |limit| format!(" ({limit})"));
    match name(&tasks.whose) {
        Some(whose) => format!("{failed}: pids.max{limit} of {whose} was reached"),
        None => format!("{failed}: a limit of tasks was reached, and which one is not counted"),
    }
}

fn of_processors(throttled: &Throttled) -> String {
    let seconds = throttled.by.throttled_usec as f64 / 1e6;
    let share = throttled.by.percent().map_or_else(String::new, |percent| format!(" in {percent:.0}% of its periods"));
    let limit = throttled.limit.and_then(|limit| match limit.millicpus() {
        Limit::Value(millicpus) => Some(format!(" ({})", millicpus as f64 / 1000.0)),
        Limit::Max => None,
    });
    let whose = name(&throttled.whose).unwrap_or_default();
    format!("throttled{share}, {seconds:.1} s in all: cpu.max{} of {whose} was used up", limit.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Throttling;
    use crate::model::cgroup::Bandwidth;

    fn oom(whose: Whose, limit_bytes: Option<u64>, kills: u64) -> Report {
        let victims = (1..=kills.min(4) as u32).map(|pid| Victim { pid, comm: b"d\x1bd".to_vec() }).collect();
        let oom = Oom { whose, file: "memory.max", limit_bytes, kills, victims, hierarchy: "v2".to_owned() };
        Report { oom: Some(oom), ..Report::default() }
    }

    #[test]
    fn a_name_does_not_look_like_more_than_one() {
        for (comm, shown) in [
            (&b"tail"[..], "tail"),
            (b"kworker/0:1", "kworker/0:1"),
            (b"a, pid 1; b", "\"a, pid 1; b\""),
            (b"", "\"\""),
            (b"a\"b", "\"a\\\"b\""),
        ] {
            assert_eq!(quoted(comm), shown);
        }
    }

    #[test]
    fn each_limit_has_its_sentence() {
        let own = || Whose::Own(b"/a/nsx-web".to_vec());
        let above = || Whose::Above(b"/a\x1b".to_vec());
        for (report, killed, sentence) in [
            (
                oom(own(), Some(64 << 20), 1),
                true,
                "killed by the OOM killer (\"d\\u{1b}d\", pid 1): memory.max (64M) of nsx-web was reached",
            ),
            (
                oom(above(), Some(64 << 20), 2),
                true,
                "killed by the OOM killer, 2 processes in all (\"d\\u{1b}d\", pid 1; \"d\\u{1b}d\", pid 2): memory.max (64M) of /a\\u{1b}, which is above, was reached",
            ),
            (
                oom(Whose::Below(b"/nsx-web".to_vec()), None, 5),
                false,
                "5 processes were killed by the OOM killer (chosen: \"d\\u{1b}d\", pid 1; \"d\\u{1b}d\", pid 2; \"d\\u{1b}d\", pid 3; …): memory.max of a cgroup below nsx-web was reached",
            ),
            (
                oom(Whose::Nobody, None, 1),
                false,
                "1 process was killed by the OOM killer (\"d\\u{1b}d\", pid 1): no limit that can be seen was reached, so memory of the host was short",
            ),
            (
                Report {
                    too_many_tasks: Some(TooManyTasks { whose: own(), limit: Some(20), hits: 12 }),
                    ..Report::default()
                },
                false,
                "a task could not be made, 12 times: pids.max (20) of nsx-web was reached",
            ),
            (
                Report {
                    throttled: Some(Throttled {
                        whose: own(),
                        limit: Some(Bandwidth { quota_usec: Limit::Value(50_000), period_usec: 100_000 }),
                        by: Throttling { periods: 20, throttled: 7, throttled_usec: 1_200_000 },
                    }),
                    ..Report::default()
                },
                false,
                "throttled in 35% of its periods, 1.2 s in all: cpu.max (0.5) of nsx-web was used up",
            ),
        ] {
            assert_eq!(notes(&report, killed), [sentence]);
        }
        assert!(notes(&Report::default(), true).is_empty());
    }
}
