//! JSON: the documents that scripts rely on, from the model and never from rendered cells.
//!
//! The shape is fixed by `tests/schema/` and does not depend on columns or options. Not here: what is selected (`cmd`).

use std::io::{self, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::row::{Row, View};
use super::text::is_unsafe;
use crate::model::{Gap, Holder, Namespace, NetnsId};

/// Bytes of a stranger's, as a key and, where they are no UTF-8, a `…_raw` twin in base64.
pub(super) struct Text<'a> {
    pub(super) key: &'static str,
    pub(super) raw_key: &'static str,
    pub(super) bytes: Option<&'a [u8]>,
}

/// The same, of bytes that were put together for it.
pub(super) struct OwnedText {
    pub(super) key: &'static str,
    pub(super) raw_key: &'static str,
    pub(super) bytes: Option<Vec<u8>>,
}

impl Serialize for OwnedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Text { key: self.key, raw_key: self.raw_key, bytes: self.bytes.as_deref() }.serialize(serializer)
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.entries(&mut map)?;
        map.end()
    }
}

impl Text<'_> {
    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self.bytes {
            None => map.serialize_entry(self.key, &()),
            Some(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                map.serialize_entry(self.key, &text)?;
                if let std::borrow::Cow::Owned(_) = text {
                    map.serialize_entry(self.raw_key, &BASE64_STANDARD.encode(bytes))?;
                }
                Ok(())
            }
        }
    }
}

/// One namespace in a document of schema `nsx.ls/1`.
struct NamespaceJson<'a> {
    row: Row<'a>,
    members: bool,
}

impl Serialize for NamespaceJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = &self.row;
        let namespace = row.namespace;
        let details = row.details();
        let uid = details.and_then(|details| details.uid);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ns", &namespace.id.inode())?;
        map.serialize_entry("id", &namespace.id64)?;
        map.serialize_entry("type", namespace.kind.name())?;
        map.serialize_entry("nprocs", &namespace.nprocs())?;
        map.serialize_entry("nthreads", &namespace.nthreads)?;
        map.serialize_entry("pid", &namespace.leader.map(|pid| pid.0))?;
        map.serialize_entry("ppid", &row.process().map(|process| process.ppid.0))?;
        let command = details.and_then(|details| details.command.as_deref());
        Text { key: "command", raw_key: "command_raw", bytes: command }.entries(&mut map)?;
        map.serialize_entry("uid", &uid.map(|uid| uid.0))?;
        map.serialize_entry("user", &uid.and_then(|uid| row.view.users.name(uid)))?;
        map.serialize_entry("owner", &namespace.owner.map(|id| id.inode()))?;
        map.serialize_entry("owner_uid", &namespace.owner_uid.map(|uid| uid.0))?;
        map.serialize_entry("parent", &namespace.parent.map(|id| id.inode()))?;
        let netnsid = match namespace.netnsid {
            Some(NetnsId::Assigned(number)) => Some(number),
            _ => None,
        };
        map.serialize_entry("netnsid", &netnsid)?;
        let cgroup = details.and_then(|details| details.cgroup.as_deref());
        map.serialize_entry(
            "container",
            &details.and_then(|details| details.container.clone()).map(ContainerJson::from),
        )?;
        Text { key: "cgroup", raw_key: "cgroup_raw", bytes: cgroup }.entries(&mut map)?;
        map.serialize_entry("initial", &namespace.initial)?;
        let held_by: Vec<_> =
            namespace.held_by().into_iter().map(|(holder, count)| HolderJson { holder, count }).collect();
        map.serialize_entry("held_by", &held_by)?;
        map.serialize_entry("bind_mounts", &bind_mounts(namespace))?;
        if self.members {
            let members: Vec<_> = namespace.members.iter().map(|pid| pid.0).collect();
            map.serialize_entry("members", &members)?;
            let holders: Vec<_> = namespace
                .holders
                .iter()
                .map(|holder| HolderJson { holder: holder.clone(), count: holder.count })
                .collect();
            map.serialize_entry("holders", &holders)?;
        }
        map.end()
    }
}

/// A container, with the keys of the contract.
#[derive(Serialize, Deserialize)]
pub(super) struct ContainerJson {
    engine: String,
    id: Option<String>,
    name: Option<String>,
    verified: bool,
}

impl From<crate::model::Container> for ContainerJson {
    fn from(container: crate::model::Container) -> ContainerJson {
        let crate::model::Container { engine, id, name, verified, .. } = container;
        ContainerJson { engine: engine.to_owned(), id, name, verified }
    }
}

/// A way of being held, with the number of such holders, or a single holder.
struct HolderJson {
    holder: Holder,
    count: usize,
}

impl Serialize for HolderJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let holder = &self.holder;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", holder.kind.name())?;
        map.serialize_entry("count", &self.count)?;
        map.serialize_entry("pid", &holder.pid.map(|pid| pid.0))?;
        map.serialize_entry("tid", &holder.tid.map(|tid| tid.0))?;
        map.serialize_entry("fd", &holder.fd)?;
        Text { key: "path", raw_key: "path_raw", bytes: holder.path.as_deref() }.entries(&mut map)?;
        map.serialize_entry("mnt_ns", &holder.mnt_ns.map(|id| id.inode()))?;
        map.serialize_entry("ns", &holder.descendant.map(|id| id.inode()))?;
        map.end()
    }
}

/// A bind mount.
struct BindMountJson<'a> {
    path: &'a [u8],
    mnt_ns: Option<u32>,
}

impl Serialize for BindMountJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        Text { key: "path", raw_key: "path_raw", bytes: Some(self.path) }.entries(&mut map)?;
        map.serialize_entry("mnt_ns", &self.mnt_ns)?;
        map.end()
    }
}

fn bind_mounts(namespace: &Namespace) -> Vec<BindMountJson<'_>> {
    namespace.bind_mounts().map(|(path, mnt_ns)| BindMountJson { path, mnt_ns: mnt_ns.map(|id| id.inode()) }).collect()
}

/// A gap.
#[derive(Serialize)]
pub(super) struct GapJson<'a> {
    what: &'a str,
    errno: Option<&'a str>,
    pids: Vec<u32>,
    namespaces: Vec<u32>,
}

impl<'a> GapJson<'a> {
    pub(super) fn all(gaps: &'a [Gap]) -> Vec<GapJson<'a>> {
        let json = |gap: &'a Gap| GapJson {
            what: gap.what.name(),
            errno: gap.errno,
            pids: gap.pids.iter().map(|pid| pid.0).collect(),
            namespaces: gap.namespaces.iter().map(|id| id.inode()).collect(),
        };
        gaps.iter().map(json).collect()
    }
}

#[derive(Serialize)]
struct LsJson<'a> {
    schema: &'a str,
    backend: &'static str,
    pid_ns: Option<u32>,
    namespaces: Vec<NamespaceJson<'a>>,
    gaps: Vec<GapJson<'a>>,
}

/// Writes the document of `nsx ls --json`, schema `nsx.ls/1`.
///
/// # Errors
/// What the writer says.
pub fn ls(view: &View<'_>, rows: &[Row<'_>], members: bool, to: &mut dyn Write) -> io::Result<()> {
    let document = LsJson {
        schema: "nsx.ls/1",
        backend: view.snapshot.backend.name(),
        pid_ns: view.snapshot.pid_ns.map(|id| id.inode()),
        namespaces: rows.iter().map(|&row| NamespaceJson { row, members }).collect(),
        gaps: GapJson::all(&view.snapshot.gaps),
    };
    write(&document, to)
}

#[derive(Serialize)]
struct ColumnJson<'a> {
    name: &'a str,
    help: &'a str,
    default: bool,
}

#[derive(Serialize)]
struct ColumnsJson<'a> {
    schema: &'a str,
    columns: Vec<ColumnJson<'a>>,
}

/// Writes the document of `--columns --json`, schema `nsx.columns/1`.
///
/// # Errors
/// What the writer says.
pub fn columns(names: &[(&str, &str)], defaults: &[&str], to: &mut dyn Write) -> io::Result<()> {
    let columns =
        names.iter().map(|&(name, help)| ColumnJson { name, help, default: defaults.contains(&name) }).collect();
    write(&ColumnsJson { schema: "nsx.columns/1", columns }, to)
}

/// Writes a document.
pub(super) fn write(document: &impl Serialize, to: &mut dyn Write) -> io::Result<()> {
    write_as(document, PrettyFormatter::new(), to)
}

/// Writes a document on a line of its own, where one follows the other.
pub(super) fn write_line(document: &impl Serialize, to: &mut dyn Write) -> io::Result<()> {
    write_as(document, CompactFormatter, to)
}

fn write_as(document: &impl Serialize, layout: impl Formatter, to: &mut dyn Write) -> io::Result<()> {
    // Documents are written in very small pieces, for which a writer that is known only at run time is slow.
    let mut buffered = io::BufWriter::with_capacity(64 * 1024, to);
    document.serialize(&mut serde_json::Serializer::with_formatter(&mut buffered, Escaping(layout)))?;
    writeln!(buffered)?;
    buffered.flush()
}

/// Writes a document whose arrays have a line for each entry: lists of thousands are read by programs, or line by line.
pub(super) fn write_rows(document: &impl Serialize, to: &mut dyn Write) -> io::Result<()> {
    write_as(document, Rows { pretty: PrettyFormatter::new(), depth: 0 }, to)
}

/// The layout of a document of rows: what is more than two levels deep stands in one line.
struct Rows<'a> {
    pretty: PrettyFormatter<'a>,
    depth: usize,
}

/// So many levels are laid out: the document, and the arrays in it.
const LAID_OUT: usize = 2;

/// Writes a part of a document of rows as the layout of its level has it; `$delta` is by how much it goes deeper.
macro_rules! laid_out {
    ($($name:ident($($argument:ident: $type:ty)?), $delta:expr;)*) => {$(
        fn $name<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $type)?) -> io::Result<()> {
            let delta: isize = $delta;
            let outer = self.depth.saturating_add_signed(delta.min(0));
            self.depth = self.depth.saturating_add_signed(delta);
            if outer + usize::from(delta != 0) <= LAID_OUT {
                self.pretty.$name(writer $(, $argument)?)
            } else {
                CompactFormatter.$name(writer $(, $argument)?)
            }
        }
    )*};
}

impl Formatter for Rows<'_> {
    laid_out! {
        begin_array(), 1;
        end_array(), -1;
        begin_array_value(first: bool), 0;
        end_array_value(), 0;
        begin_object(), 1;
        end_object(), -1;
        begin_object_key(first: bool), 0;
        begin_object_value(), 0;
        end_object_value(), 0;
    }
}

/// One of serde_json's own layouts, with everything escaped that a terminal would obey: JSON lets C1 controls and bidi marks through.
struct Escaping<F>(F);

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly all of it is plain, and looking at bytes takes a fraction of the time.
        if fragment.bytes().all(|byte| matches!(byte, 0x20..0x7f)) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| is_unsafe(*character)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + character.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_a_line_each() {
        let document = serde_json::json!({"rows": [{"a": 1, "b": [2, {}]}, {"a": 3}], "none": [], "x": "y"});
        let mut out = Vec::new();
        write_rows(&document, &mut out).expect("written");
        let rows = "[\n    {\"a\":1,\"b\":[2,{}]},\n    {\"a\":3}\n  ]";
        let whole = format!("{{\n  \"none\": [],\n  \"rows\": {rows},\n  \"x\": \"y\"\n}}\n");
        assert_eq!(String::from_utf8(out).expect("UTF-8"), whole);
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_written_and_nothing_is_lost() {
        let hostile = "\u{1b}[31m\u{9b}31m\u{202e}\u{7f}\u{e0041}\"\\\nnaïve";
        for (lines, line) in [(3, false), (1, true)] {
            let mut out = Vec::new();
            let written = if line { write_line(&[hostile], &mut out) } else { write(&[hostile], &mut out) };
            written.expect("written");
            let text = String::from_utf8(out).expect("UTF-8");
            assert_eq!(text.lines().count(), lines);
            assert!(!text.trim_end().chars().any(|character| is_unsafe(character) && character != '\n'), "{text}");
            let back: Vec<String> = serde_json::from_str(&text).expect("JSON");
            assert_eq!(back, [hostile]);
        }
    }
}
