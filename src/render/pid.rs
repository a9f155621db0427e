//! `nsx pid`: what a process is called on every level, as a table and as JSON. The one table of its columns is here.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use super::column::container_name;
use super::json::{self, ContainerJson, GapJson, Text};
use super::style::Style;
use super::table::{Align, Cell, Head, Table};
use super::text::sanitize;
use crate::model::{Details, Gap, NsId, Pid};
use crate::proc::Users;
use crate::select::pid::{Children, Level, Levels};

/// A process, or thread, and what it is called.
pub struct Translated {
    /// How the user has called it.
    pub word: String,
    /// Its number in the pid namespace of `/proc`.
    pub pid: Pid,
    /// What it is called everywhere.
    pub levels: Levels,
    /// Its number in the namespace that was asked for.
    pub number: Option<u32>,
    /// Where its children will be, if not where it is itself.
    pub children: Option<Children>,
    /// Whether it has ended, and is still there for its parent.
    pub exiting: bool,
    /// What was read of it; `None` where it has gone.
    pub details: Option<Details>,
    /// Its name.
    pub name: Option<Vec<u8>>,
}

/// All that was asked for.
pub struct Translation<'a> {
    /// The processes.
    pub all: &'a [Translated],
    /// What was read of the first processes of the namespaces.
    pub inits: &'a HashMap<Pid, Option<Details>>,
    /// The names of users.
    pub users: &'a Users,
    /// The pid namespace of `/proc`.
    pub top: Option<NsId>,
    /// Whether there are others above that.
    pub above: Option<bool>,
    /// The namespace in which the numbers were looked up.
    pub from: Option<NsId>,
    /// The namespace for which numbers were asked.
    pub into: Option<NsId>,
    /// What could not be seen.
    pub gaps: &'a [Gap],
}

/// A line of the table: a process on a level.
pub struct Row<'a> {
    process: &'a Translated,
    depth: usize,
    level: &'a Level,
    init: Option<&'a Details>,
}

/// A column.
pub struct Column {
    /// Its name, which is its heading.
    pub key: &'static str,
    /// What it says, in a few words.
    pub help: &'static str,
    align: Align,
    flexible: bool,
    cell: fn(&Row<'_>) -> Option<String>,
}

/// The columns that are shown when nobody asks for others.
pub const DEFAULT: [&str; 6] = ["PIDNS", "LEVEL", "PID", "INIT", "CONTAINER", "COMMAND"];
/// What stands before them where the reader has to be told which process it is.
pub const OF_PROCESS: [&str; 2] = ["PROCESS", "NAME"];

const fn number(key: &'static str, help: &'static str, cell: fn(&Row<'_>) -> Option<String>) -> Column {
    Column { key, help, align: Align::Right, flexible: false, cell }
}

const fn text(key: &'static str, help: &'static str, cell: fn(&Row<'_>) -> Option<String>) -> Column {
    Column { key, help, align: Align::Left, flexible: true, cell }
}

/// All columns, in the order in which `-o all` shows them.
pub static COLUMNS: [Column; 10] = [
    number("PROCESS", "the process or thread, as /proc has it", |row| Some(row.process.pid.to_string())),
    text("NAME", "its name", |row| row.process.name.as_deref().map(|name| sanitize(name).into_owned())),
    number("PIDNS", "inode of the pid namespace", |row| row.level.ns.map(|ns| ns.to_string())),
    number("LEVEL", "how far below that of /proc it is", |row| Some(row.depth.to_string())),
    number("PID", "what the process or thread is called in it", |row| Some(row.level.pid.to_string())),
    number("TGID", "what the process is called in it, where PID is a thread", |row| Some(row.level.tgid.to_string())),
    number("INIT", "its first process, as /proc has it", |row| {
        row.level.init.as_ref().map(|init| init.pid.to_string())
    }),
    text("CONTAINER", "container of the first process; with ? where only its cgroup says so", |row| {
        row.init.and_then(container_name)
    }),
    text("CGROUP", "cgroup of the first process", |row| bytes(row.init?.cgroup.as_deref())),
    text("COMMAND", "command line of the first process", |row| bytes(row.init?.command.as_deref())),
];

fn bytes(text: Option<&[u8]>) -> Option<String> {
    text.map(|text| sanitize(text).into_owned())
}

/// Returns the number of the column with this name.
pub fn find(key: &str) -> usize {
    COLUMNS.iter().position(|column| column.key == key).unwrap_or_default()
}

impl Translation<'_> {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.all.iter().flat_map(move |process| {
            process.levels.all.iter().enumerate().map(move |(depth, level)| {
                let init = level.init.as_ref().and_then(|init| self.inits.get(&init.pid)?.as_ref());
                Row { process, depth, level, init }
            })
        })
    }

    /// Prints the table, and returns the columns that there was no room for.
    ///
    /// # Errors
    /// What the writer says.
    pub fn text(
        &self,
        columns: &[usize],
        headings: bool,
        width: Option<usize>,
        color: bool,
        to: &mut dyn Write,
    ) -> io::Result<Vec<&'static str>> {
        let columns: Vec<&Column> = columns.iter().map(|&index| &COLUMNS[index]).collect();
        let heads: Vec<Head> = columns
            .iter()
            .map(|column| Head { key: column.key, align: column.align, flexible: column.flexible })
            .collect();
        let line = |row: Row<'_>| {
            let cell = |column: &&Column| {
                let style = if column.key == "PIDNS" && row.depth == 0 { Style::Own } else { Style::Plain };
                Cell::new((column.cell)(&row).unwrap_or_else(|| "-".to_owned()), style)
            };
            columns.iter().map(cell).collect()
        };
        let lines = self.rows().map(line).collect();
        Table { columns: &heads, lines, tree: false, headings, width, color }.print(to)
    }

    /// Prints the number of each process in the namespace that was asked for, or in that of `/proc`, a line each.
    ///
    /// # Errors
    /// What the writer says.
    pub fn numbers(numbers: &[u32], to: &mut dyn Write) -> io::Result<()> {
        numbers.iter().try_for_each(|number| writeln!(to, "{number}"))
    }

    /// Prints the document of schema `nsx.pid/1`.
    ///
    /// # Errors
    /// What the writer says.
    pub fn json(&self, to: &mut dyn Write) -> io::Result<()> {
        let inode = |ns: Option<NsId>| ns.map(NsId::inode);
        let processes = self.all.iter().map(|process| {
            let details = process.details.as_ref();
            let uid = details.and_then(|details| details.uid);
            ProcessJson {
                word: &process.word,
                pid: process.pid.0,
                tgid: process.levels.process.0,
                number: process.number,
                exiting: process.exiting,
                children_elsewhere: process.children.is_some(),
                pid_for_children: match process.children {
                    Some(Children::In(ns)) => Some(ns.inode()),
                    Some(Children::InNew) | None => None,
                },
                uid: uid.map(|uid| uid.0),
                user: uid.and_then(|uid| self.users.name(uid)),
                name: Text { key: "name", raw_key: "name_raw", bytes: process.name.as_deref() },
                command: command(details),
            }
        });
        let levels = self.rows().map(|row| {
            let cgroup = row.init.and_then(|init| init.cgroup.as_deref());
            LevelJson {
                process: row.process.pid.0,
                level: row.depth,
                ns: inode(row.level.ns),
                pid: row.level.pid,
                tgid: row.level.tgid,
                init: row.level.init.as_ref().map(|init| init.pid.0),
                container: row.init.and_then(|init| init.container.clone()).map(ContainerJson::from),
                cgroup: Text { key: "cgroup", raw_key: "cgroup_raw", bytes: cgroup },
                command: command(row.init),
            }
        });
        let document = Document {
            schema: "nsx.pid/1",
            pid_ns: inode(self.top),
            above: self.above,
            from: inode(self.from),
            into: inode(self.into),
            processes: processes.collect(),
            levels: levels.collect(),
            gaps: GapJson::all(self.gaps),
        };
        json::write(&document, to)
    }
}

fn command(details: Option<&Details>) -> Text<'_> {
    Text { key: "command", raw_key: "command_raw", bytes: details.and_then(|details| details.command.as_deref()) }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    pid_ns: Option<u32>,
    above: Option<bool>,
    from: Option<u32>,
    #[serde(rename = "in")]
    into: Option<u32>,
    processes: Vec<ProcessJson<'a>>,
    levels: Vec<LevelJson<'a>>,
    gaps: Vec<GapJson<'a>>,
}

#[derive(Serialize)]
struct ProcessJson<'a> {
    word: &'a str,
    pid: u32,
    tgid: u32,
    number: Option<u32>,
    exiting: bool,
    children_elsewhere: bool,
    pid_for_children: Option<u32>,
    uid: Option<u32>,
    user: Option<&'a str>,
    #[serde(flatten)]
    name: Text<'a>,
    #[serde(flatten)]
    command: Text<'a>,
}

#[derive(Serialize)]
struct LevelJson<'a> {
    process: u32,
    level: usize,
    ns: Option<u32>,
    pid: u32,
    tgid: u32,
    init: Option<u32>,
    container: Option<ContainerJson>,
    #[serde(flatten)]
    cgroup: Text<'a>,
    #[serde(flatten)]
    command: Text<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_column_and_no_name_comes_twice() {
        for key in DEFAULT.into_iter().chain(OF_PROCESS) {
            assert_eq!(COLUMNS[find(key)].key, key);
        }
        for (index, column) in COLUMNS.iter().enumerate() {
            assert_eq!(find(column.key), index);
        }
    }
}
