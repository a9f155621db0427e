//! What became of a sandbox: as a few lines to read, and as JSON. Not here: what was read (`launch::run::report`).

use std::io::{self, Write};

use serde::Serialize;

use super::text::sanitize;
use crate::launch::run::report::{Report, Victim, Whose};
use crate::model::cgroup::size;

/// How the command ended.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Ended {
    /// Its exit code; `None` where a signal has killed it.
    pub code: Option<u8>,
    /// The signal.
    pub signal: Option<i32>,
    /// Whether its time was over.
    pub timeout: bool,
}

/// A report, ready for JSON: a part of the last line of `--status-fd`, and all of the document of `--stats --json`.
#[derive(Serialize)]
pub struct ReportJson {
    wall_usec: u64,
    cpu_user_usec: u64,
    cpu_system_usec: u64,
    memory_peak_bytes: Option<u64>,
    swap_peak_bytes: Option<u64>,
    memory_high_events: u64,
    pids_peak: Option<u64>,
    io: Option<IoJson>,
    oom: Option<OomJson>,
    too_many_tasks: Option<TasksJson>,
    throttled: Option<ThrottledJson>,
    /// The same in words.
    notes: Vec<String>,
}

#[derive(Serialize)]
struct IoJson {
    read_bytes: u64,
    written_bytes: u64,
    reads: u64,
    writes: u64,
}

#[derive(Serialize)]
struct WhoseJson {
    /// `own`, `below`, `above` or `host`.
    bound_kind: &'static str,
    /// The path of the cgroup.
    bound_by: Option<String>,
}

#[derive(Serialize)]
struct OomJson {
    #[serde(flatten)]
    whose: WhoseJson,
    hierarchy: String,
    file: &'static str,
    limit_bytes: Option<u64>,
    kills: u64,
    victims: Vec<VictimJson>,
}

#[derive(Serialize)]
struct VictimJson {
    pid: u32,
    comm: String,
}

#[derive(Serialize)]
struct TasksJson {
    #[serde(flatten)]
    whose: WhoseJson,
    limit: Option<u64>,
    hits: u64,
}

#[derive(Serialize)]
struct ThrottledJson {
    #[serde(flatten)]
    whose: WhoseJson,
    periods: u64,
    throttled_periods: u64,
    throttled_usec: u64,
}

impl WhoseJson {
    fn new(whose: &Whose) -> WhoseJson {
        let (bound_kind, path) = match whose {
            Whose::Own(path) => ("own", Some(path)),
            Whose::Below(path) => ("below", Some(path)),
            Whose::Above(path) => ("above", Some(path)),
            Whose::Nobody => ("host", None),
        };
        WhoseJson { bound_kind, bound_by: path.map(|path| String::from_utf8_lossy(path).into_owned()) }
    }
}

impl VictimJson {
    fn new(victim: &Victim) -> VictimJson {
        VictimJson { pid: victim.pid, comm: String::from_utf8_lossy(&victim.comm).into_owned() }
    }
}

impl ReportJson {
    /// Takes a report; `wall_usec` is how long the command ran.
    pub fn new(report: &Report, wall_usec: u64, notes: Vec<String>) -> ReportJson {
        ReportJson {
            wall_usec,
            cpu_user_usec: report.cpu_user_usec,
            cpu_system_usec: report.cpu_system_usec,
            memory_peak_bytes: report.memory_peak_bytes,
            swap_peak_bytes: report.swap_peak_bytes,
            memory_high_events: report.memory_high_events,
            pids_peak: report.pids_peak,
            io: report.io.map(|io| IoJson {
                read_bytes: io.read_bytes,
                written_bytes: io.written_bytes,
                reads: io.reads,
                writes: io.writes,
            }),
            oom: report.oom.as_ref().map(|oom| OomJson {
                whose: WhoseJson::new(&oom.whose),
                hierarchy: oom.hierarchy.clone(),
                file: oom.file,
                limit_bytes: oom.limit_bytes,
                kills: oom.kills,
                victims: oom.victims.iter().map(VictimJson::new).collect(),
            }),
            too_many_tasks: report.too_many_tasks.as_ref().map(|tasks| TasksJson {
                whose: WhoseJson::new(&tasks.whose),
                limit: tasks.limit,
                hits: tasks.hits,
            }),
            throttled: report.throttled.as_ref().map(|throttled| ThrottledJson {
                whose: WhoseJson::new(&throttled.whose),
                periods: throttled.by.periods,
                throttled_periods: throttled.by.throttled,
                throttled_usec: throttled.by.throttled_usec,
            }),
            notes,
        }
    }

    /// Prints the document of schema `nsx.run.report/1`.
    ///
    /// # Errors
    /// Whatever `to` says.
    pub fn json(&self, ended: Ended, to: &mut dyn Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: &'static str,
            #[serde(flatten)]
            ended: Ended,
            #[serde(flatten)]
            report: &'a ReportJson,
        }
        super::json::write(&Document { schema: "nsx.run.report/1", ended, report: self }, to)
    }

    /// Prints a few lines: name and value.
    ///
    /// # Errors
    /// Whatever `to` says.
    pub fn text(&self, to: &mut dyn Write) -> io::Result<()> {
        let seconds = |usec: u64| format!("{}.{:03} s", usec / 1_000_000, usec / 1000 % 1000);
        let mut rows = vec![
            ("wall", seconds(self.wall_usec)),
            ("user", seconds(self.cpu_user_usec)),
            ("system", seconds(self.cpu_system_usec)),
        ];
        rows.extend(self.memory_peak_bytes.map(|bytes| ("memory, most", size(bytes))));
        rows.extend(self.swap_peak_bytes.filter(|bytes| *bytes > 0).map(|bytes| ("swap, most", size(bytes))));
        rows.extend(self.pids_peak.map(|tasks| ("tasks, most", tasks.to_string())));
        rows.extend(self.io.as_ref().map(|io| ("read", format!("{} in {} requests", size(io.read_bytes), io.reads))));
        rows.extend(
            self.io.as_ref().map(|io| ("written", format!("{} in {} requests", size(io.written_bytes), io.writes))),
        );
        if self.memory_high_events > 0 {
            rows.push(("slowed by memory.high", format!("{} times", self.memory_high_events)));
        }
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows {
            writeln!(to, "nsx: {name:width$}  {}", sanitize(value.as_bytes()))?;
        }
        Ok(())
    }
}
