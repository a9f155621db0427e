//! `nsx ps`: the sandboxes of a host as a table, and as JSON. The one table of its columns is here.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::cg::{LimitJson, amount, limit};
use super::json::{self, GapJson, Text};
use super::table::{Align, Head};
use super::text::sanitize;
use crate::model::cgroup::{Limit, Unit};
use crate::model::{Backend, Details, NsKind};
use crate::proc::Users;
use crate::sandbox::usage::Usage;
use crate::sandbox::{Catalog, Sandbox};
use crate::select::Value;

/// Everything that cells are made of.
pub struct Sandboxes<'a> {
    /// All sandboxes.
    pub catalog: &'a Catalog,
    /// What each of them uses, in the same order.
    pub usage: &'a [Usage],
    /// What was read of the first process of each.
    pub details: &'a [Details],
    /// The names of the host's users.
    pub users: &'a Users,
    /// When the host booted, in seconds since 1970, and how many ticks of a process's start time make a second.
    pub boot: Option<(u64, u64)>,
    /// How long ago the host booted, in ticks.
    pub uptime_ticks: Option<u64>,
    /// The host's namespaces, as far as they are known.
    pub host: crate::model::NsArray,
}

/// A sandbox to be shown.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Where the rest of the facts are.
    pub all: &'a Sandboxes<'a>,
    /// Its place in the catalog.
    pub place: usize,
}

impl<'a> Row<'a> {
    /// Returns the sandbox.
    pub fn sandbox(&self) -> &'a Sandbox {
        &self.all.catalog.sandboxes[self.place]
    }

    /// Returns what it uses.
    pub fn usage(&self) -> &'a Usage {
        &self.all.usage[self.place]
    }

    fn details(&self) -> &'a Details {
        &self.all.details[self.place]
    }

    /// Returns how long its first process has lived.
    fn uptime(&self) -> Option<Duration> {
        let (_, ticks) = self.all.boot?;
        let lived = self.all.uptime_ticks?.saturating_sub(self.sandbox().start_time_ticks);
        Some(Duration::from_millis(lived.saturating_mul(1000) / ticks.max(1)))
    }

    fn shares(&self, kind: NsKind) -> Option<bool> {
        Some(self.sandbox().ns[kind.index()]? == self.all.host[kind.index()]?)
    }

    fn user(&self) -> Option<String> {
        let uid = self.sandbox().uid?;
        Some(self.all.users.name(uid).map_or_else(|| uid.to_string(), |name| sanitize(name.as_bytes()).into_owned()))
    }
}

/// A column.
pub struct Column {
    /// Its name, which is its heading.
    pub key: &'static str,
    /// What it says, in a few words.
    pub help: &'static str,
    align: Align,
    flexible: bool,
    /// Returns what it holds for a sandbox.
    pub value: fn(&Row<'_>) -> Value,
    cell: Option<fn(&Row<'_>) -> Option<String>>,
}

impl Column {
    /// Returns what a table has to know of it.
    pub const fn head(&self) -> Head {
        Head { key: self.key, align: self.align, flexible: self.flexible }
    }

    /// Returns the cell for a sandbox, fit for a terminal; what is not there is `-`.
    pub fn cell(&self, row: &Row<'_>) -> String {
        self.cell.and_then(|cell| cell(row)).unwrap_or_else(|| match (self.value)(row) {
            Value::Null => "-".to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text,
        })
    }

    const fn shown_as(self, cell: fn(&Row<'_>) -> Option<String>) -> Column {
        Column { cell: Some(cell), ..self }
    }

    const fn flexible(self) -> Column {
        Column { flexible: true, ..self }
    }
}

/// The columns that are shown when nobody asks for others.
pub const DEFAULT: [&str; 13] =
    ["NAME", "ENGINE", "ID", "PID", "STATE", "UPTIME", "NPROCS", "MEM", "LIMIT", "CPU", "IP", "IMAGE", "COMMAND"];

const fn number(key: &'static str, help: &'static str, value: fn(&Row<'_>) -> Value) -> Column {
    Column { key, help, align: Align::Right, flexible: false, value, cell: None }
}

const fn text(key: &'static str, help: &'static str, value: fn(&Row<'_>) -> Value) -> Column {
    Column { key, help, align: Align::Left, flexible: false, value, cell: None }
}

const fn namespace(key: &'static str, help: &'static str, value: fn(&Row<'_>) -> Value) -> Column {
    number(key, help, value)
}

/// All columns, in the order in which `-o all` shows them.
pub static COLUMNS: [Column; 26] = [
    text("NAME", "name, below those of the sandboxes that it was made in", |row| {
        let named = row.sandbox().name.is_some() || row.sandbox().parent.is_some();
        if named { safe(&row.all.catalog.path(row.place)) } else { Value::Null }
    })
    .flexible(),
    text("ENGINE", "what made it; with ? where only its cgroup says so", |row| {
        let sandbox = row.sandbox();
        let mark = if sandbox.verified { "" } else { "?" };
        sandbox.engine.map_or(Value::Null, |engine| Value::Text(format!("{engine}{mark}")))
    }),
    text("ID", "id that the engine has for it", |row| optional(row.sandbox().id.as_deref())).flexible().shown_as(
        |row| {
            let id = row.sandbox().id.as_deref()?;
            let is_long = crate::engine::identify::is_id(id.as_bytes());
            Some(if is_long { id[..12].to_owned() } else { sanitize(id.as_bytes()).into_owned() })
        },
    ),
    number("PID", "its first process; of nsx run the command", |row| Value::Number(row.sandbox().pid.0.into())),
    text("STATE", "running, paused, created or exiting", |row| {
        row.usage().state.map_or(Value::Null, |state| Value::Text(state.name().to_owned()))
    }),
    number("UPTIME", "how long the first process has lived, in seconds", |row| {
        row.uptime().map_or(Value::Null, |uptime| Value::Number(uptime.as_secs()))
    })
    .shown_as(|row| row.uptime().map(|uptime| short_time(uptime.as_secs()))),
    text("STARTED", "when the first process was started (UTC)", started),
    number("NPROCS", "number of processes in it", |row| Value::Number(row.sandbox().members.len() as u64)),
    number("MEM", "memory that its cgroup uses", |row| row.usage().memory_current.map_or(Value::Null, Value::Number))
        .shown_as(|row| row.usage().memory_current.map(|bytes| amount(bytes, Unit::Bytes))),
    number("LIMIT", "how much memory it may use, with the cgroups above", |row| of_limit(row.usage().memory_max))
        .shown_as(|row| Some(limit(row.usage().memory_max, Unit::Bytes))),
    number("CPU", "time on processors, in microseconds", |row| {
        row.usage().cpu_usage_usec.map_or(Value::Null, Value::Number)
    })
    .shown_as(|row| row.usage().cpu_usage_usec.map(|usec| format!("{:.1}s", usec as f64 / 1e6))),
    number("CPUS", "how many processors it may use, with the cgroups above, in thousandths", |row| {
        of_limit(row.usage().cpu_max_millicpus)
    })
    .shown_as(|row| Some(limit(row.usage().cpu_max_millicpus, Unit::Millicpus))),
    text("IP", "its first address; host where it has the host's", |row| {
        if row.shares(NsKind::Net) == Some(true) {
            return Value::Text("host".to_owned());
        }
        let first = row.usage().addresses.as_ref().and_then(|all| all.first());
        first.map_or(Value::Null, |address| Value::Text(address.to_string()))
    }),
    text("IPS", "all its addresses", |row| {
        let all = row.usage().addresses.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
        if all.is_empty() { Value::Null } else { Value::Text(all.join(",")) }
    })
    .flexible(),
    text("IMAGE", "image it was made from", |row| optional(row.sandbox().image.as_deref())).flexible(),
    text("POD", "pod: namespace and name; of podman's pods the name", |row| {
        row.sandbox().pod.as_ref().map_or(Value::Null, |pod| safe(&pod.to_string()))
    })
    .flexible(),
    text("LABELS", "its labels", |row| {
        let all = row.sandbox().labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
        if all.is_empty() { Value::Null } else { safe(&all.join(",")) }
    })
    .flexible(),
    text("USER", "who runs it", |row| row.user().map_or(Value::Null, Value::Text)),
    number("UID", "uid of who runs it", |row| row.sandbox().uid.map_or(Value::Null, |uid| Value::Number(uid.0.into()))),
    text("INSIDE", "the sandbox it was made in", |row| {
        row.sandbox().parent.map_or(Value::Null, |parent| safe(&row.all.catalog.path(parent)))
    })
    .flexible(),
    namespace("MNT", "its mount namespace", |row| inode(row, NsKind::Mnt)),
    namespace("NET", "its network namespace", |row| inode(row, NsKind::Net)),
    namespace("PIDNS", "its pid namespace", |row| inode(row, NsKind::Pid)),
    namespace("USERNS", "its user namespace", |row| inode(row, NsKind::User)),
    text("CGROUP", "cgroup of its first process", |row| {
        row.sandbox().cgroup.as_deref().map_or(Value::Null, |path| Value::Text(sanitize(path).into_owned()))
    })
    .flexible(),
    text("COMMAND", "command line of its first process", |row| {
        row.details().command.as_deref().map_or(Value::Null, |command| Value::Text(sanitize(command).into_owned()))
    })
    .flexible(),
];

/// Returns the number of the column with this name.
pub fn find(key: &str) -> usize {
    COLUMNS.iter().position(|column| column.key == key).unwrap_or_default()
}

fn safe(text: &str) -> Value {
    Value::Text(sanitize(text.as_bytes()).into_owned())
}

fn optional(text: Option<&str>) -> Value {
    text.map_or(Value::Null, safe)
}

fn inode(row: &Row<'_>, kind: NsKind) -> Value {
    row.sandbox().ns[kind.index()].map_or(Value::Null, |id| Value::Number(id.inode().into()))
}

/// A limit sorts and compares as a number; none is more than any.
fn of_limit(limit: Option<Limit>) -> Value {
    match limit {
        Some(Limit::Value(value)) => Value::Number(value),
        Some(Limit::Max) => Value::Number(u64::MAX),
        None => Value::Null,
    }
}

fn started(row: &Row<'_>) -> Value {
    let Some((boot, ticks)) = row.all.boot else { return Value::Null };
    let since_boot = row.sandbox().start_time_ticks / ticks.max(1);
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(boot.saturating_add(since_boot)));
    time.map_or(Value::Null, |time| Value::Text(humantime::format_rfc3339_seconds(time).to_string()))
}

/// Says a time in the two units that matter: `3d4h`, `5m7s`.
fn short_time(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{}m", minutes % 60),
        (days, hours, _) => format!("{days}d{}h", hours % 24),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    backend: &'static str,
    sandboxes: Vec<SandboxJson<'a>>,
    gaps: Vec<GapJson<'a>>,
}

#[derive(Serialize)]
struct SandboxJson<'a> {
    engine: Option<&'a str>,
    id: Option<&'a str>,
    name: Option<&'a str>,
    verified: bool,
    path: String,
    /// The pid of the sandbox that it was made in.
    inside: Option<u32>,
    pid: u32,
    start_time_ticks: u64,
    uptime_usec: Option<u64>,
    state: Option<&'static str>,
    nprocs: usize,
    members: Vec<u32>,
    memory_current: Option<u64>,
    memory_max: LimitJson,
    cpu_usage_usec: Option<u64>,
    cpu_max_millicpus: LimitJson,
    addresses: Option<Vec<String>>,
    host_net: Option<bool>,
    image: Option<&'a str>,
    pod: Option<PodJson<'a>>,
    labels: BTreeMap<&'a str, &'a str>,
    uid: Option<u32>,
    user: Option<&'a str>,
    namespaces: BTreeMap<&'static str, Option<u32>>,
    #[serde(flatten)]
    cgroup: Text<'a>,
    #[serde(flatten)]
    command: Text<'a>,
}

#[derive(Serialize)]
struct PodJson<'a> {
    namespace: Option<&'a str>,
    name: &'a str,
}

/// Prints the document of schema `nsx.ps/1`.
///
/// # Errors
/// What the writer says.
pub fn json(rows: &[Row<'_>], all: &Sandboxes<'_>, backend: Backend, to: &mut dyn Write) -> io::Result<()> {
    let document = Document {
        schema: "nsx.ps/1",
        backend: backend.name(),
        sandboxes: rows.iter().map(one).collect(),
        gaps: GapJson::all(&all.catalog.gaps),
    };
    json::write(&document, to)
}

fn one<'a>(row: &Row<'a>) -> SandboxJson<'a> {
    let (sandbox, usage) = (row.sandbox(), row.usage());
    SandboxJson {
        engine: sandbox.engine,
        id: sandbox.id.as_deref(),
        name: sandbox.name.as_deref(),
        verified: sandbox.verified,
        path: row.all.catalog.path(row.place),
        inside: sandbox.parent.map(|parent| row.all.catalog.sandboxes[parent].pid.0),
        pid: sandbox.pid.0,
        start_time_ticks: sandbox.start_time_ticks,
        uptime_usec: row.uptime().map(|uptime| uptime.as_micros() as u64),
        state: usage.state.map(crate::sandbox::usage::State::name),
        nprocs: sandbox.members.len(),
        members: sandbox.members.iter().map(|pid| pid.0).collect(),
        memory_current: usage.memory_current,
        memory_max: usage.memory_max.into(),
        cpu_usage_usec: usage.cpu_usage_usec,
        cpu_max_millicpus: usage.cpu_max_millicpus.into(),
        addresses: usage.addresses.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
        host_net: row.shares(NsKind::Net),
        image: sandbox.image.as_deref(),
        pod: sandbox.pod.as_ref().map(|pod| PodJson { namespace: pod.namespace.as_deref(), name: &pod.name }),
        labels: sandbox.labels.iter().map(|(key, value)| (&**key, &**value)).collect(),
        uid: sandbox.uid.map(|uid| uid.0),
        user: sandbox.uid.and_then(|uid| row.all.users.name(uid)),
        namespaces: NsKind::ALL
            .into_iter()
            .map(|kind| (kind.name(), sandbox.ns[kind.index()].map(|id| id.inode())))
            .collect(),
        cgroup: Text { key: "cgroup", raw_key: "cgroup_raw", bytes: sandbox.cgroup.as_deref() },
        command: Text { key: "command", raw_key: "command_raw", bytes: row.details().command.as_deref() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_column_and_no_name_comes_twice() {
        for key in DEFAULT {
            assert_eq!(COLUMNS[find(key)].key, key);
        }
        for (place, column) in COLUMNS.iter().enumerate() {
            assert_eq!(find(column.key), place);
        }
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m0s"), (3599, "59m59s"), (3600, "1h0m"), (90_000, "1d1h")]
        {
            assert_eq!(short_time(seconds), text);
        }
    }
}
