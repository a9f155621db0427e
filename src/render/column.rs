//! The one table of columns: what `-o`, `--sort`, `--where`, `--columns`, completions and the man page know.
//!
//! A column's value is a fact, not a picture: numbers are numbers, so that they sort and compare as such. JSON does not come from
//! here: its shape must not depend on columns (`render::json`).

use std::time::{Duration, UNIX_EPOCH};

use super::row::Row;
use super::table::{Align, Head};
use super::text::sanitize;
use crate::model::{Container, Details, HolderKind, Namespace, NetnsId};
use crate::select::Value;

/// A column.
pub struct Column {
    /// Its name, which is its heading.
    pub key: &'static str,
    /// What it says, in a few words.
    pub help: &'static str,
    /// On which side its cells stand.
    pub align: Align,
    /// Whether its cells may be cut where the terminal is too narrow.
    pub flexible: bool,
    /// Returns what it holds for a row.
    pub value: fn(&Row<'_>) -> Value,
    /// Returns the cell, where it is not just the value.
    pub cell: Option<fn(&Row<'_>) -> Option<String>>,
}

/// The columns that are shown when nobody asks for others.
pub const DEFAULT: [&str; 6] = ["NS", "TYPE", "NPROCS", "PID", "USER", "COMMAND"];

/// The columns that are shown of the members and holders of a namespace.
pub const DEFAULT_MEMBERS: [&str; 5] = ["PID", "PPID", "USER", "HELD", "COMMAND"];

const fn number(key: &'static str, help: &'static str, value: fn(&Row<'_>) -> Value) -> Column {
    Column { key, help, align: Align::Right, flexible: false, value, cell: None }
}

const fn text(key: &'static str, help: &'static str, value: fn(&Row<'_>) -> Value) -> Column {
    Column { key, help, align: Align::Left, flexible: false, value, cell: None }
}

impl Column {
    const fn flexible(self) -> Column {
        Column { flexible: true, ..self }
    }

    const fn shown_as(self, cell: fn(&Row<'_>) -> Option<String>) -> Column {
        Column { cell: Some(cell), ..self }
    }

    /// Returns what a table has to know of it.
    pub const fn head(&self) -> Head {
        Head { key: self.key, align: self.align, flexible: self.flexible }
    }

    /// Returns the cell for a row, fit for a terminal; what is not there is `-`.
    pub fn cell(&self, row: &Row<'_>) -> String {
        self.cell.and_then(|cell| cell(row)).unwrap_or_else(|| match (self.value)(row) {
            Value::Null => "-".to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text,
        })
    }
}

/// All columns, in the order in which `-o all` shows them.
pub static COLUMNS: [Column; 20] = [
    number("NS", "inode number of the namespace", |row| Value::Number(row.namespace.id.inode().into())),
    text("TYPE", "kind of namespace", |row| Value::Text(row.namespace.kind.name().to_owned())),
    number("NPROCS", "number of processes in it", |row| Value::Number(row.namespace.nprocs() as u64)),
    number("NTHREADS", "number of threads in it", |row| Value::Number(row.namespace.nthreads)),
    number("PID", "its leader: the top-most process in it", |row| optional(row.pid().map(|pid| pid.0))),
    number("PPID", "parent of the leader", |row| optional(row.process().map(|process| process.ppid.0))),
    text("USER", "user of the leader", user).shown_as(user_or_number),
    number("UID", "effective uid of the leader", |row| {
        optional(row.details().and_then(|details| details.uid).map(|uid| uid.0))
    }),
    number("PNS", "parent (pid and user namespaces)", |row| optional(row.namespace.parent.map(|id| id.inode()))),
    number("ONS", "user namespace that owns it", |row| optional(row.namespace.owner.map(|id| id.inode()))),
    number("OUID", "uid that made the owning user namespace", |row| optional(row.namespace.owner_uid.map(|uid| uid.0))),
    number("ID", "64-bit id, never reused (Linux 6.18)", |row| row.namespace.id64.map_or(Value::Null, Value::Number)),
    number("NETNSID", "number that the own network namespace has for it", |row| match row.namespace.netnsid {
        Some(NetnsId::Assigned(number)) => Value::Number(number.into()),
        _ => Value::Null,
    })
    .shown_as(|row| (row.namespace.netnsid == Some(NetnsId::Unassigned)).then(|| "unassigned".to_owned())),
    text("STARTED", "when the leader was started (UTC)", started),
    text("HELD", "what keeps it alive, and how many of them", held),
    text("CONTAINER", "container of the leader; with ? where only its cgroup says so", container).flexible(),
    text("CGROUP", "cgroup of the leader", |row| bytes(row.details().and_then(|details| details.cgroup.as_deref())))
        .flexible(),
    text("NSFS", "where it is bind-mounted", nsfs).flexible(),
    text("PATH", "a file to open it by", |row| bytes(row.path().as_deref())).flexible(),
    text("COMMAND", "command line of the leader", |row| {
        bytes(row.details().and_then(|details| details.command.as_deref()))
    })
    .flexible()
    .shown_as(|row| is_unoccupied(row).then(|| unoccupied(row))),
];

/// Returns the number of the column with this name, in any case.
pub fn find(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.key.eq_ignore_ascii_case(name))
}

fn optional(number: Option<u32>) -> Value {
    number.map_or(Value::Null, |number| Value::Number(number.into()))
}

fn bytes(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| Value::Text(sanitize(bytes).into_owned()))
}

fn user(row: &Row<'_>) -> Value {
    user_or_number(row).map_or(Value::Null, Value::Text)
}

fn user_or_number(row: &Row<'_>) -> Option<String> {
    let uid = row.details()?.uid?;
    Some(row.view.users.name(uid).map_or_else(|| uid.to_string(), |name| sanitize(name.as_bytes()).into_owned()))
}

fn started(row: &Row<'_>) -> Value {
    let Some((process, (boot, ticks))) = row.process().zip(row.view.boot) else { return Value::Null };
    let since_boot = process.start_time_ticks / ticks.max(1);
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(boot.saturating_add(since_boot)));
    time.map_or(Value::Null, |time| Value::Text(humantime::format_rfc3339_seconds(time).to_string()))
}

fn held(row: &Row<'_>) -> Value {
    if let Some(holder) = row.holder {
        return Value::Text(row.holding(holder));
    }
    let ways: Vec<_> =
        row.namespace.held_by().iter().map(|(holder, count)| format!("{}:{count}", holder.kind.name())).collect();
    Value::Text(ways.join(","))
}

fn container(row: &Row<'_>) -> Value {
    row.details().and_then(container_name).map_or(Value::Null, Value::Text)
}

/// Names the container that a process is in.
pub(super) fn container_name(details: &Details) -> Option<String> {
    details.container.as_ref().map(container_label)
}

/// Says what a container is called; what only a cgroup says is marked.
pub(super) fn container_label(container: &Container) -> String {
    let mark = if container.verified { "" } else { "?" };
    format!("{}{mark}", sanitize(container.target.as_bytes()))
}

fn nsfs(row: &Row<'_>) -> Value {
    let mut paths: Vec<_> = row.namespace.bind_mounts().map(|(path, _)| path).collect();
    // Copies of a mount namespace have the same paths; which of them is for PATH, HELD and JSON to say.
    paths.dedup();
    let paths: Vec<_> = paths.into_iter().map(|path| sanitize(path).into_owned()).collect();
    if paths.is_empty() { Value::Null } else { Value::Text(paths.join(",")) }
}

/// Says whether a row has no process that it could show the command of.
pub fn is_unoccupied(row: &Row<'_>) -> bool {
    row.holder.is_none() && row.namespace.leader.is_none()
}

/// Says what keeps a namespace alive that no process is in: the first of the ways that a person can do something about.
fn unoccupied(row: &Row<'_>) -> String {
    let namespace: &Namespace = row.namespace;
    let held_by = namespace.held_by();
    let Some((holder, _)) = held_by.first() else { return "-".to_owned() };
    let others = held_by.iter().map(|(_, count)| count).sum::<usize>() - 1;
    let whose = match (holder.kind, holder.pid) {
        (HolderKind::Kernel | HolderKind::BindMount | HolderKind::Descendant, _) | (_, None) => String::new(),
        (_, Some(pid)) => format!(" of {pid}"),
    };
    let more = if others > 0 { format!(", and {others} more") } else { String::new() };
    format!("({}{whose}{more})", row.holding(holder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_column_and_no_name_comes_twice() {
        for key in DEFAULT.iter().chain(&DEFAULT_MEMBERS) {
            assert!(find(key).is_some(), "{key}");
        }
        for (index, column) in COLUMNS.iter().enumerate() {
            assert_eq!(find(&column.key.to_lowercase()), Some(index));
            assert!(column.key.bytes().all(|byte| byte.is_ascii_uppercase()), "{}", column.key);
        }
    }
}
