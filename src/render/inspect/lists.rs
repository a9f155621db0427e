//! What there is many of: mounts, limits, addresses, descriptors; each summed up, and listed in full only where that is asked for.

use std::io;

use super::{Look, Page, View, is_set};
use crate::cgroup::Seen;
use crate::inspect::mounts::is_plain_node;
use crate::model::NsKind;
use crate::model::cgroup::{Limit, Rule, size};
use crate::model::isolation::{Mount, MountRole, Way};
use crate::render::cg::{binder, level_name, limit, show::unit};
use crate::render::style::Style;
use crate::render::table::{Cell, Head, Table};
use crate::render::text::sanitize;

/// Of paths that are alike so many are named, unless all are asked for.
const NAMED: usize = 6;

impl View<'_> {
    pub(super) fn places(&self, page: &mut Page<'_>) -> io::Result<()> {
        let facts = &self.inspected.facts;
        let shares = facts.mounts_callers || facts.shares(NsKind::Mnt) == Some(true);
        let root_mount =
            facts.mounts.as_ref().and_then(|mounts| mounts.iter().find(|mount| mount.role == MountRole::Root));
        if let Some(root) = &facts.root {
            let mut text = sanitize(root).into_owned();
            if let Some(mount) = root_mount.filter(|_| !shares) {
                let writable = if mount.is_writable() { "writable" } else { "read-only" };
                text.push_str(&format!(" on {}, {writable}", sanitize(&mount.fs_type)));
                text.push_str(
                    &mount
                        .host_path
                        .as_deref()
                        .map_or_else(String::new, |path| format!(", from the host's {}", sanitize(path))),
                );
            } else if shares && &**root != b"/" {
                text.push_str(", a directory of the mount namespace: chroot(2)");
            }
            page.fact("root", &text, Style::Plain)?;
        }
        if let Some(cwd) = facts.cwd.as_ref().filter(|cwd| page.look.all || cwd.as_slice() != b"/") {
            page.fact("cwd", &sanitize(cwd), Style::Plain)?;
        }
        let Some(mounts) = &facts.mounts else { return Ok(()) };
        if page.look.all {
            return self.all_mounts(mounts, page);
        }
        if shares {
            return page.fact(
                "mounts",
                &format!("all {} of the mount namespace, which is shared", mounts.len()),
                Style::Initial,
            );
        }
        let of = |choose: &dyn Fn(&Mount) -> bool| -> Vec<String> {
            let chosen = mounts.iter().filter(|mount| choose(mount));
            chosen.map(named).collect()
        };
        let hosts = |mount: &Mount| mount.role == MountRole::Host;
        let rows: [(&str, Vec<String>, Style); 6] = [
            ("host, rw", of(&|mount| hosts(mount) && mount.is_writable()), Style::Warning),
            ("host, ro", of(&|mount| hosts(mount) && !mount.is_writable()), Style::Plain),
            ("devices", of(&|mount| mount.role == MountRole::Device && !is_plain_node(&mount.root)), Style::Plain),
            ("writable", of(&|mount| mount.role == MountRole::Other && mount.is_writable()), Style::Plain),
            ("masked", of(&|mount| mount.role == MountRole::Masked), Style::Plain),
            ("read-only", of(&|mount| mount.role == MountRole::ReadOnly), Style::Plain),
        ];
        for (what, paths, style) in rows {
            if !paths.is_empty() {
                page.fact(what, &summed(&paths, NAMED), style)?;
            }
        }
        Ok(())
    }

    fn all_mounts(&self, mounts: &[Mount], page: &mut Page<'_>) -> io::Result<()> {
        const HEADS: [Head; 5] = [
            Head::text("MOUNT").flexible(),
            Head::text("TYPE"),
            Head::text("ROLE"),
            Head::text("OPTIONS").flexible(),
            Head::text("HOST").flexible(),
        ];
        let lines = mounts.iter().map(|mount| {
            let more = |text: &[u8]| if text.is_empty() { String::new() } else { format!(" {}", sanitize(text)) };
            let style = match mount.role {
                MountRole::Host if mount.is_writable() => Style::Warning,
                MountRole::Kernel | MountRole::Masked | MountRole::ReadOnly => Style::Initial,
                _ => Style::Plain,
            };
            let cell = |text: String| Cell::new(text, style);
            vec![
                cell(sanitize(&mount.point).into_owned()),
                cell(sanitize(&mount.fs_type).into_owned()),
                cell(mount.role.name().replace('_', "-")),
                cell(format!("{}{}", sanitize(&mount.options), more(&mount.propagation))),
                cell(mount.host_path.as_deref().map_or_else(|| "-".to_owned(), |path| sanitize(path).into_owned())),
            ]
        });
        let Look { width, color, .. } = page.look;
        page.blank()?;
        Table { columns: &HEADS, lines: lines.collect(), tree: false, headings: true, width, color }.print(page.to)?;
        if self.inspected.facts.mounts_hidden > 0 {
            let text = format!("{} more, which others lie over", self.inspected.facts.mounts_hidden);
            page.pieces(&[(text, Style::Initial)])?;
        }
        page.blank()
    }

    pub(super) fn limits(&self, page: &mut Page<'_>) -> io::Result<()> {
        let Some(subject) = &self.inspected.subject else { return Ok(()) };
        // On hosts with many hierarchies most have the same path.
        let mut paths: Vec<(&[u8], String)> = Vec::new();
        for ladder in &subject.ladders {
            let mut state = match &ladder.seen {
                Seen::Removed => " (removed)".to_owned(),
                Seen::Outside => " (outside of what is mounted here)".to_owned(),
                _ => String::new(),
            };
            if let Some(inside) = &ladder.path_inside {
                state.push_str(&format!(" ({} inside)", sanitize(inside)));
            }
            let is_root = &ladder.path[..] == b"/";
            if !paths.iter().any(|(path, _)| *path == &ladder.path[..]) && !is_root {
                paths.push((&ladder.path, state));
            }
        }
        let said: Vec<String> = paths.iter().map(|(path, state)| format!("{}{state}", sanitize(path))).collect();
        page.fact("cgroup", &if said.is_empty() { "/".to_owned() } else { said.join(", ") }, Style::Plain)?;
        let mut parts = Vec::new();
        for one in &self.limits {
            let always = !matches!(one.knob.rule, Rule::Share | Rule::Any | Rule::Protection);
            // All processors and memory nodes are no limit, whoever has written them down.
            let is_list = one.lists.is_some();
            let count = one.effective.limit.and_then(Limit::value).zip(self.cgroups.host.cpus);
            let is_whole = is_list && count.is_some_and(|(count, online)| count >= online);
            let is_nodes = one.knob.name == "cpuset.mems";
            if !is_set(one) || !page.look.all && (!always || is_whole || is_nodes) {
                continue;
            }
            let Some(ladder) = subject.ladder(one.hierarchy) else { continue };
            let unit = unit(one);
            let name = match &one.key {
                Some(key) => format!("{} {}", one.knob.name, sanitize(key.as_bytes())),
                None => one.knob.name.to_owned(),
            };
            let value = match &one.lists {
                Some((_, effective)) => sanitize(effective.as_bytes()).into_owned(),
                None => limit(one.effective.limit, unit),
            };
            let here = ladder.levels.len().saturating_sub(1);
            let by = match one.effective.by {
                Some(crate::cgroup::Binder::Level(level)) if level == here => String::new(),
                Some(crate::cgroup::Binder::Level(level)) => format!(" by {}", level_name(ladder, level)),
                by => format!(" {}", binder(by, ladder)),
            };
            let used = one
                .usage
                .map_or_else(String::new, |usage| format!(", {} used", crate::render::cg::amount(usage, unit)));
            parts.push(format!("{name} {value}{by}{used}"));
        }
        let frozen =
            subject.ladders.iter().any(|ladder| ladder.leaf().is_some_and(|leaf| leaf.files.is_frozen() == Some(true)));
        if frozen {
            parts.push("frozen".to_owned());
        }
        let text = if parts.is_empty() { "none by cgroups".to_owned() } else { parts.join("; ") };
        page.fact("limits", &text, if parts.is_empty() { Style::Initial } else { Style::Binding })?;
        self.own_limits(page)
    }

    /// What is set of the process itself.
    fn own_limits(&self, page: &mut Page<'_>) -> io::Result<()> {
        let facts = &self.inspected.facts;
        let mut parts = Vec::new();
        parts.extend(facts.oom_score_adj.filter(|adj| *adj != 0).map(|adj| format!("oom_score_adj {adj}")));
        for one in facts.rlimits.iter().filter(|one| page.look.all || one.as_init == Some(false)) {
            let is_bytes =
                matches!(one.name, "fsize" | "data" | "stack" | "core" | "rss" | "memlock" | "as" | "msgqueue");
            let say = |value: Option<u64>| match value {
                None => "unlimited".to_owned(),
                Some(value) if is_bytes => size(value),
                Some(value) => value.to_string(),
            };
            let hard = if one.soft == one.hard { String::new() } else { format!(" (hard {})", say(one.hard)) };
            parts.push(format!("{} {}{hard}", one.name, say(one.soft)));
        }
        match parts.is_empty() {
            true => Ok(()),
            false => page.fact("rlimits", &parts.join(", "), Style::Plain),
        }
    }

    pub(super) fn network(&self, page: &mut Page<'_>) -> io::Result<()> {
        let Some(network) = &self.inspected.facts.network else { return Ok(()) };
        let mut parts = Vec::new();
        for link in &network.links {
            let own = network.addresses.iter().filter(|address| address.link.as_ref() == Some(link));
            let addresses: Vec<String> = own
                .map(|address| match address.prefix {
                    Some(prefix) => format!("{}/{prefix}", address.address),
                    None => address.address.to_string(),
                })
                .collect();
            let text = [vec![sanitize(link).into_owned()], addresses].concat().join(" ");
            // Links without an address are of little interest, unless there is nothing else.
            if text.contains(' ') || page.look.all || network.links.len() == 1 {
                parts.push(text);
            }
        }
        parts.extend(
            network.addresses.iter().filter(|address| address.link.is_none()).map(|one| one.address.to_string()),
        );
        let more = network.links.len().saturating_sub(parts.len());
        if more > 0 && !page.look.all {
            parts.push(format!("{more} without an address"));
        }
        let text = if parts.is_empty() { "no link".to_owned() } else { summed(&parts, 8) };
        page.fact("network", &text, Style::Plain)
    }

    pub(super) fn descriptors(&self, page: &mut Page<'_>) -> io::Result<()> {
        let Some(found) = &self.inspected.facts.descriptors else { return Ok(()) };
        let counts = [
            (found.files, "file", "files"),
            (found.sockets, "socket", "sockets"),
            (found.pipes, "pipe", "pipes"),
            (found.memfds, "memfd", "memfds"),
            (found.other, "other", "others"),
        ];
        let parts = counts.iter().filter(|(count, ..)| *count > 0);
        let parts: Vec<String> =
            parts.map(|(count, one, more)| format!("{count} {}", if *count == 1 { one } else { more })).collect();
        let cut = if found.cut { ", and more that were not looked at" } else { "" };
        let text = match found.total {
            0 => "nothing".to_owned(),
            total if parts.is_empty() => format!("{total}{cut}"),
            _ => format!("{}{cut}", parts.join(", ")),
        };
        page.fact("open", &text, Style::Plain)?;
        let most = if page.look.all { usize::MAX } else { NAMED };
        for (place, outside) in found.outside.iter().take(most).enumerate() {
            let what = match &outside.way {
                Way::File => "of another mount namespace".to_owned(),
                Way::Directory => "a directory of another mount namespace".to_owned(),
                Way::Device(block, major, minor) => {
                    format!("{} device {major}:{minor}", if *block { "block" } else { "character" })
                }
                Way::Namespace(_) => "a namespace that it is not in".to_owned(),
                Way::Socket(id) => format!("in net:[{id}]"),
                Way::Process(Some(pid)) => format!("process {pid}, outside"),
                Way::Process(None) => "a process outside".to_owned(),
                Way::Kernel => "of the kernel".to_owned(),
            };
            let access = if outside.writable { "" } else { ", not for writing" };
            let text = format!("{}: {} ({what}{access})", outside.fd, sanitize(&outside.link));
            page.fact(if place == 0 { "leads out" } else { "" }, &text, Style::Warning)?;
        }
        let more = found.outside_more + found.outside.len().saturating_sub(most);
        if more > 0 {
            page.fact("", &format!("and {more} more"), Style::Warning)?;
        }
        Ok(())
    }
}

/// Names a mount: where it is, and where its files are on the host, where that is another path.
fn named(mount: &Mount) -> String {
    let point = sanitize(&mount.point);
    match mount.host_path.as_deref() {
        Some(host) if host != mount.point && mount.role == MountRole::Host => format!("{point} ({})", sanitize(host)),
        _ => point.into_owned(),
    }
}

/// Names the first of them, and says how many more there are.
fn summed(parts: &[String], most: usize) -> String {
    // One more is named rather than counted.
    let most = if parts.len() == most + 1 { most + 1 } else { most };
    let text = parts[..parts.len().min(most)].join(", ");
    if parts.len() > most { format!("{text} and {} more", parts.len() - most) } else { text }
}
