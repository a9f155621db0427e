//! `nsx inspect`: all that isolates a process, on one screen. Not here: what is found (`inspect`), the words for single facts (`words`).

pub mod json;
mod lists;
pub mod oci;
#[cfg(test)]
mod tests;
pub mod words;

use std::io::{self, Write};

use super::column::container_label;
use super::style::Style;
use super::text::{cut, sanitize, width as columns, wrap};
use crate::cgroup::{Binder, Cgroups, Effective, effective::effective};
use crate::inspect::{Inspected, Weakness, Weight, weaknesses};
use crate::model::cgroup::Limit;
use crate::model::isolation::Whose;
use crate::model::{NsKind, Uid};
use crate::proc::Users;
use crate::proc::parse::IdMap;

/// A process with everything that is said of it.
pub struct View<'a> {
    /// The facts.
    pub inspected: &'a Inspected,
    /// The hierarchies of the host.
    pub cgroups: &'a Cgroups,
    /// What its limits come to.
    pub limits: Vec<Effective>,
    /// Where it is held less tightly than it could be.
    pub weaknesses: Vec<Weakness>,
    users: &'a Users,
}

/// How it is to look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether to leave nothing out.
    pub all: bool,
    /// The width of the terminal; `None` cuts nothing.
    pub width: Option<usize>,
    /// Whether to colour.
    pub color: bool,
}

/// The width of the words on the left.
const LEFT: usize = 13;

/// A piece of a line, and what it means.
pub(super) type Piece = (String, Style);

/// Lines that are put together from words on the left and pieces on the right.
struct Page<'w> {
    look: Look,
    to: &'w mut dyn Write,
}

impl Page<'_> {
    fn blank(&mut self) -> io::Result<()> {
        writeln!(self.to)
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.look.color && style != Style::Plain { style.paint().style(text).to_string() } else { text.to_owned() }
    }

    /// Prints a fact; where it does not fit into the line it goes on below.
    fn fact(&mut self, what: &str, text: &str, style: Style) -> io::Result<()> {
        let room = self.look.width.map(|width| width.saturating_sub(LEFT).max(20));
        for (place, part) in wrap(text, room).iter().enumerate() {
            let left = if place == 0 { format!("{what:LEFT$}") } else { " ".repeat(LEFT) };
            let left = self.paint(&left, Style::Heading);
            // A word that is longer than the line is cut.
            let part = room.map_or_else(|| part.as_str().into(), |room| cut(part, room));
            writeln!(self.to, "{left}{}", self.paint(&part, style))?;
        }
        Ok(())
    }

    /// Prints pieces in one line, cut at its end.
    fn pieces(&mut self, pieces: &[Piece]) -> io::Result<()> {
        let mut left = self.look.width.unwrap_or(usize::MAX);
        // Nothing is padded at the end of a line.
        let end = pieces.iter().rposition(|(text, _)| !text.trim_end().is_empty()).map_or(0, |last| last + 1);
        for (place, (text, style)) in pieces[..end].iter().enumerate() {
            let text = if place + 1 == end { text.trim_end() } else { text };
            let shown = cut(text, left);
            left -= columns(&shown).min(left);
            write!(self.to, "{}", self.paint(&shown, *style))?;
            if shown.len() != text.len() {
                break;
            }
        }
        writeln!(self.to)
    }
}

impl<'a> View<'a> {
    /// Applies the rules.
    pub fn new(inspected: &'a Inspected, cgroups: &'a Cgroups, users: &'a Users) -> View<'a> {
        let limits = inspected.subject.as_ref().map_or_else(Vec::new, |subject| effective(cgroups, subject));
        let weaknesses = weaknesses(&inspected.facts, &limits);
        View { inspected, cgroups, limits, weaknesses, users }
    }

    /// Prints it for a person.
    ///
    /// # Errors
    /// What the writer says.
    pub fn text(&self, look: Look, to: &mut dyn Write) -> io::Result<()> {
        let page = &mut Page { look, to };
        self.identity(page)?;
        page.blank()?;
        self.namespaces(page)?;
        page.blank()?;
        self.ids(page)?;
        self.powers(page)?;
        page.blank()?;
        self.places(page)?;
        self.limits(page)?;
        self.network(page)?;
        self.descriptors(page)?;
        self.unseen(page)?;
        if !self.weaknesses.is_empty() {
            page.blank()?;
            self.weak(page)?;
        }
        Ok(())
    }

    fn identity(&self, page: &mut Page<'_>) -> io::Result<()> {
        let identity = &self.inspected.facts.identity;
        let what = if identity.thread_of.is_some() { "thread" } else { "process" };
        let command = self.command();
        let pid = format!("{} ", identity.pid);
        page.pieces(&[
            (format!("{what:LEFT$}"), Style::Heading),
            (pid, Style::Own),
            (command, if identity.zombie { Style::Unoccupied } else { Style::Plain }),
        ])?;
        let mut parts = Vec::new();
        parts.extend(identity.thread_of.map(|process| format!("of process {process}")));
        match identity.state {
            b'Z' if identity.nthreads > 1 => {
                parts.push("its first thread has ended; the others tell more: see /proc/PID/task".to_owned());
            }
            b'Z' => parts.push("a zombie: it has ended, and its parent has not asked how".to_owned()),
            b'T' | b't' => parts.push("stopped".to_owned()),
            b'D' => parts.push("in uninterruptible sleep".to_owned()),
            _ if identity.kernel => parts.push("a thread of the kernel".to_owned()),
            _ => {}
        }
        if let [_, inside @ .., last] = &identity.pids_inside[..] {
            let between = if inside.is_empty() { "" } else { ", innermost" };
            parts.push(format!("pid {last} inside{between}"));
        }
        if identity.ppid.0 != 0 {
            parts.push(format!("child of {}", identity.ppid));
        }
        if identity.nthreads > 1 {
            parts.push(format!("{} threads", identity.nthreads));
        }
        if let Some((major, minor)) = identity.tty {
            let name = match (major, minor) {
                (136..=143, minor) => format!("pts/{}", (major - 136) * 256 + minor),
                (4, minor @ 0..=63) => format!("tty{minor}"),
                _ => format!("{major}:{minor}"),
            };
            parts.push(format!("terminal {name}"));
        }
        if !parts.is_empty() {
            page.fact("", &parts.join(", "), Style::Plain)?;
        }
        if let Some(exe) = identity.exe.as_ref().filter(|exe| page.look.all || exe.ends_with(b" (deleted)")) {
            page.fact("exe", &sanitize(exe), Style::Plain)?;
        }
        if let Some(container) = &self.inspected.facts.container {
            page.fact("container", &container_label(container), Style::Info)?;
        }
        Ok(())
    }

    /// Returns the command line, or the name in brackets.
    fn command(&self) -> String {
        let identity = &self.inspected.facts.identity;
        let words = identity.arguments.join(&b' ');
        if words.is_empty() { format!("[{}]", sanitize(&identity.comm)) } else { sanitize(&words).into_owned() }
    }

    fn namespaces(&self, page: &mut Page<'_>) -> io::Result<()> {
        let facts = &self.inspected.facts;
        let all = &facts.namespaces;
        if all.is_empty() {
            return page.fact("namespaces", "it is in none any more", Style::Plain);
        }
        let own_user = facts.namespace(NsKind::User).and_then(|user| user.id);
        let rows: Vec<[String; 3]> = all
            .iter()
            .map(|namespace| {
                let owner = match namespace.owner {
                    None if namespace.whose() == Some(Whose::Host) && namespace.kind == NsKind::User => "-".to_owned(),
                    None => "?".to_owned(),
                    Some(owner) if NsKind::User.is_initial_inode(owner) == Some(true) => "the host's".to_owned(),
                    Some(owner) if Some(owner) == own_user => "its own".to_owned(),
                    Some(owner) => owner.to_string(),
                };
                let id = namespace.id.map_or_else(|| "?".to_owned(), |id| id.to_string());
                [id, words::whose(namespace).to_owned(), owner]
            })
            .collect();
        let headings = ["ID", "WHOSE", "OWNER"];
        let wide: [usize; 3] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].len()).chain([headings[column].len()]).max().unwrap_or_default() + 2
        });
        let mut pieces = vec![(format!("{:LEFT$}", "namespaces"), Style::Heading)];
        pieces.extend(headings.iter().zip(wide).map(|(text, wide)| (format!("{text:wide$}"), Style::Heading)));
        page.pieces(&pieces)?;
        for (namespace, [id, whose, owner]) in all.iter().zip(&rows) {
            let quiet = if namespace.is_shared() { Style::Initial } else { Style::Plain };
            let style = match namespace.whose() {
                Some(Whose::Own | Whose::Parent | Whose::Foreign) => Style::Own,
                _ => quiet,
            };
            let mut more = Vec::new();
            if namespace.kind == NsKind::User {
                let made_by = namespace.owner_uid.filter(|_| !namespace.is_shared());
                more.extend(made_by.map(|uid| format!("made by {}", self.user(uid.0))));
            }
            more.extend(namespace.parent.filter(|_| page.look.all).map(|above| format!("below pid:[{above}]")));
            more.extend(namespace.for_children.map(|id| format!("children in {}:[{id}]", namespace.kind)));
            if let Some(offsets) = facts.time_offsets.filter(|_| namespace.kind == NsKind::Time) {
                let said = ["monotonic", "boottime"].iter().zip(offsets).filter(|(_, offset)| *offset != (0, 0));
                more.extend(said.map(|(clock, (seconds, _))| format!("{clock} {seconds:+} s")));
            }
            let [wide_id, wide_whose, wide_owner] = wide;
            page.pieces(&[
                (format!("  {:11}", namespace.kind), Style::Kind(namespace.kind)),
                (format!("{id:wide_id$}"), quiet),
                (format!("{whose:wide_whose$}"), style),
                (format!("{owner:wide_owner$}"), quiet),
                (more.join(", "), Style::Plain),
            ])?;
        }
        Ok(())
    }

    fn user(&self, uid: u32) -> String {
        match self.users.name(Uid(uid)) {
            Some(name) => format!("{} ({uid})", sanitize(name.as_bytes())),
            None => format!("uid {uid}"),
        }
    }

    fn ids(&self, page: &mut Page<'_>) -> io::Result<()> {
        let facts = &self.inspected.facts;
        let ids = &facts.ids;
        let to_map = |map: &Option<Vec<[u32; 3]>>| map.clone().map(IdMap::from_ranges);
        let (uid_map, gid_map) = (to_map(&ids.uid_map), to_map(&ids.gid_map));
        let is_hosts = facts.shares(NsKind::User) != Some(false) && uid_map.as_ref().is_none_or(IdMap::is_everything);
        let style = |id: u32| if id == 0 && is_hosts { Style::Root } else { Style::Plain };
        // What an id is inside and outside; the one that the kernel tells is of the caller's user namespace.
        let both = |id: u32, map: &Option<IdMap>| {
            let map = map.as_ref().filter(|map| !map.is_everything())?;
            let inside = if ids.outside_is_parent { Some(id) } else { map.inside(id) };
            let outside = if ids.outside_is_parent { map.outside(id) } else { Some(id) };
            let say = |id: Option<u32>| id.map_or_else(|| "nobody".to_owned(), |id| id.to_string());
            (inside != outside).then(|| (say(inside), say(outside)))
        };
        for (what, four, map) in [("uid", ids.uids, &uid_map), ("gid", ids.gids, &gid_map)] {
            let Some([real, effective, saved, files]) = four else { continue };
            let mut text = match both(effective, map) {
                Some((inside, outside)) => format!("{inside} inside, {outside} outside"),
                None if what == "uid" => self.user(effective),
                None => effective.to_string(),
            };
            if [real, saved, files].iter().any(|other| *other != effective) {
                text.push_str(&format!("; real {real}, saved {saved}, for files {files}"));
            }
            let is_gid = what == "gid";
            if is_gid && !ids.groups.is_empty() {
                let most = if page.look.all { usize::MAX } else { 8 };
                let groups: Vec<_> = ids.groups.iter().take(most).map(u32::to_string).collect();
                let more = ids.groups.len().saturating_sub(most);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                text.push_str(&format!("; groups {}{more}", groups.join(" ")));
            }
            page.fact(what, &text, if is_gid { Style::Plain } else { style(effective) })?;
        }
        let Some(map) = ids.uid_map.as_ref().filter(|_| !is_hosts) else { return Ok(()) };
        let same = ids.gid_map.as_ref() == Some(map);
        let what = if same { "ids" } else { "uids" };
        let outside = if ids.outside_is_parent { " (outside is the user namespace above)" } else { "" };
        page.fact(what, &format!("{}{outside}", words::map(map)), Style::Plain)?;
        if let Some(map) = ids.gid_map.as_ref().filter(|_| !same) {
            let denied = if ids.setgroups_denied == Some(true) { "; setgroups(2) is denied" } else { "" };
            page.fact("gids", &format!("{}{denied}", words::map(map)), Style::Plain)?;
        }
        let root = |map: &Option<IdMap>| map.as_ref().and_then(|map| map.outside(0)).filter(|id| *id != u32::MAX);
        let (text, style) = match (root(&uid_map), root(&gid_map)) {
            (Some(uid @ 0), _) => (format!("uid {uid} outside: the same root"), Style::Warning),
            (Some(uid), Some(gid)) if uid == gid => (format!("uid and gid {uid} outside"), Style::Plain),
            (Some(uid), Some(gid)) => (format!("uid {uid}, gid {gid} outside"), Style::Plain),
            (Some(uid), None) => (format!("uid {uid} outside"), Style::Plain),
            (None, _) => ("nobody outside".to_owned(), Style::Plain),
        };
        page.fact("root inside", &text, style)
    }

    fn powers(&self, page: &mut Page<'_>) -> io::Result<()> {
        let powers = &self.inspected.facts.powers;
        let sets = [
            ("effective", powers.effective),
            ("permitted", powers.permitted),
            ("bounding", powers.bounding),
            ("inheritable", powers.inheritable),
            ("ambient", powers.ambient),
        ];
        // Sets that are the same are said once.
        let mut groups: Vec<(Vec<&str>, crate::model::CapSet)> = Vec::new();
        for (name, set) in sets {
            match groups.iter_mut().find(|(_, other)| *other == set) {
                Some((names, _)) => names.push(name),
                None => groups.push((vec![name], set)),
            }
        }
        for (place, (names, set)) in groups.iter().enumerate() {
            let text = format!("{}: {}", names.join(", "), words::caps(*set, powers.all));
            page.fact(
                if place == 0 { "capabilities" } else { "" },
                &text.replace(',', ", ").replace(",  ", ", "),
                Style::Plain,
            )?;
        }
        let mut parts = vec![format!("seccomp {}", words::seccomp(powers))];
        parts.extend(powers.no_new_privs.map(|set| format!("no_new_privs {}", if set { "yes" } else { "no" })));
        parts.extend(powers.label.as_ref().map(|label| {
            let mode = label.mode.as_deref().map_or_else(String::new, |mode| format!(" ({})", sanitize(mode)));
            format!("{} {}{mode}", label.module.unwrap_or("label"), sanitize(&label.text))
        }));
        page.fact("confined by", &parts.join(", "), Style::Plain)
    }

    fn unseen(&self, page: &mut Page<'_>) -> io::Result<()> {
        let unseen = &self.inspected.facts.unseen;
        if unseen.is_empty() {
            return Ok(());
        }
        let parts = unseen.iter().map(|one| {
            let why = one.errno.map_or_else(String::new, |errno| format!(" ({errno})"));
            format!("{}{why}", one.part.name().replace('_', " "))
        });
        page.fact("not seen", &parts.collect::<Vec<_>>().join(", "), Style::Warning)
    }

    fn weak(&self, page: &mut Page<'_>) -> io::Result<()> {
        for weakness in &self.weaknesses {
            let style = match weakness.weight {
                Weight::Open => Style::Critical,
                Weight::Weak => Style::Warning,
                Weight::Note => Style::Info,
            };
            let what = sanitize(&weakness.what).into_owned();
            let text = format!("{what}: {}", weakness.why);
            let room = page.look.width.map(|width| width.saturating_sub(6).max(20));
            for (place, part) in wrap(&text, room).iter().enumerate() {
                let left = if place == 0 { weakness.weight.name() } else { "" };
                let left = page.paint(&format!("{left:6}"), style);
                let part = room.map_or_else(|| part.as_str().into(), |room| cut(part, room));
                writeln!(page.to, "{left}{part}")?;
            }
        }
        Ok(())
    }
}

/// Says whether a limit is one that a cgroup sets.
pub(super) fn is_set(one: &Effective) -> bool {
    matches!(one.effective.by, Some(Binder::Level(_) | Binder::OutOfSight)) && one.effective.limit != Some(Limit::Max)
}
