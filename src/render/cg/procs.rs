//! `nsx cg procs`: the members of a cgroup, a line each.

use std::io::{self, Write};

use serde::Serialize;

use super::{HierarchyJson, hierarchy_name};
use crate::cgroup::Cgroups;
use crate::cgroup::members::{Facts, Member, Members};
use crate::model::{Details, Pid};
use crate::proc::Users;
use crate::render::json::{self, Text};
use crate::render::style::Style;
use crate::render::table::{Cell, Head, Table};
use crate::render::text::sanitize;

/// Members, with all that is shown of them.
pub struct Procs<'a> {
    /// The hierarchies of the host.
    pub cgroups: &'a Cgroups,
    /// The members.
    pub members: &'a Members,
    /// What was read of each; `None` where it has gone, or may not be looked at.
    pub described: &'a [Option<(Facts, Details)>],
    /// Of whom nothing could be read, and why.
    pub gaps: &'a [(Pid, &'static str)],
    /// The names of users.
    pub users: &'a Users,
    /// The hierarchies that were looked into.
    pub hierarchies: Vec<usize>,
}

impl Procs<'_> {
    /// Goes through those that are still there.
    fn rows(&self) -> impl Iterator<Item = (&Member, &Facts, &Details)> {
        let all = self.members.all.iter().zip(self.described);
        all.filter_map(|(member, described)| described.as_ref().map(|(facts, details)| (member, facts, details)))
    }

    /// Prints it for a person, and returns the columns that there was no room for.
    ///
    /// # Errors
    /// What the writer says.
    pub fn text(
        &self,
        threads: bool,
        recursive: bool,
        headings: bool,
        width: Option<usize>,
        color: bool,
        to: &mut dyn Write,
    ) -> io::Result<Vec<&'static str>> {
        let with_paths = recursive || self.members.paths.len() > 1;
        let with_hierarchies = self.hierarchies.len() > 1;
        let mut heads = vec![Head::number(if threads { "TID" } else { "PID" }), Head::text("NSPID")];
        if !threads {
            heads.push(Head::number("THREADS"));
        }
        heads.push(Head::text("USER").flexible());
        if with_paths {
            heads.push(Head::text("CGROUP").flexible());
        }
        if with_hierarchies {
            heads.push(Head::text("HIERARCHIES").flexible());
        }
        heads.push(Head::text("COMMAND").flexible());
        let lines = self.rows().map(|(member, facts, details)| {
            let plain = |text: String| Cell::new(text, Style::Plain);
            let mut line = vec![plain(member.pid.to_string()), plain(nspids(facts))];
            if !threads {
                line.push(plain(facts.nthreads.map_or_else(|| "-".to_owned(), |count| count.to_string())));
            }
            let user = details.uid.map_or_else(
                || "-".to_owned(),
                |uid| {
                    self.users
                        .name(uid)
                        .map_or_else(|| uid.0.to_string(), |name| sanitize(name.as_bytes()).into_owned())
                },
            );
            let root = details.uid.is_some_and(|uid| uid.0 == 0);
            line.push(Cell::new(user, if root { Style::Root } else { Style::Plain }));
            if with_paths {
                line.push(plain(sanitize(&member.path).into_owned()));
            }
            if with_hierarchies {
                line.push(plain(self.hierarchy_names(member)));
            }
            line.push(plain(sanitize(details.command.as_deref().unwrap_or_default()).into_owned()));
            line
        });
        Table { columns: &heads, lines: lines.collect(), tree: false, headings, width, color }.print(to)
    }

    /// Names the hierarchies in which somebody is in the cgroup.
    fn hierarchy_names(&self, member: &Member) -> String {
        let mut looked_into = self.hierarchies.clone();
        looked_into.dedup();
        if member.hierarchies.len() == looked_into.len() {
            return "all".to_owned();
        }
        let names = member.hierarchies.iter().map(|&index| hierarchy_name(&self.cgroups.hierarchies[index]));
        names.map(|name| name.trim_start_matches("v1 ").to_owned()).collect::<Vec<_>>().join(",")
    }

    /// Prints the document of schema `nsx.cg.procs/1`.
    ///
    /// # Errors
    /// What the writer says.
    pub fn json(&self, to: &mut dyn Write) -> io::Result<()> {
        let path = |path| Text { key: "path", raw_key: "path_raw", bytes: Some(path) };
        let procs = self.rows().map(|(member, facts, details)| ProcJson {
            pid: member.pid.0,
            nspids: &facts.nspids,
            nthreads: facts.nthreads,
            uid: details.uid.map(|uid| uid.0),
            user: details.uid.and_then(|uid| self.users.name(uid)),
            command: Text { key: "command", raw_key: "command_raw", bytes: details.command.as_deref() },
            path: path(&member.path),
            hierarchies: member.hierarchies.iter().map(|&index| self.cgroups.hierarchies[index].hierarchy.id).collect(),
        });
        let gaps = self.gaps.iter().map(|&(pid, errno)| GapJson { pid: pid.0, errno });
        let document = ProcsDocument {
            schema: "nsx.cg.procs/1",
            hierarchies: HierarchyJson::all(self.cgroups),
            cgroups: self.members.paths.iter().map(|one| path(one)).collect(),
            procs: procs.collect(),
            outside: self.members.outside,
            gaps: gaps.collect(),
        };
        json::write(&document, to)
    }
}

/// Shows by which pids a process is known, from the outside in: `4242 > 7 > 1`.
fn nspids(facts: &Facts) -> String {
    let all = facts.nspids.iter().map(u32::to_string).collect::<Vec<_>>();
    if all.is_empty() { "-".to_owned() } else { all.join(" > ") }
}

#[derive(Serialize)]
struct ProcsDocument<'a> {
    schema: &'static str,
    hierarchies: Vec<HierarchyJson<'a>>,
    cgroups: Vec<Text<'a>>,
    procs: Vec<ProcJson<'a>>,
    outside: Option<usize>,
    gaps: Vec<GapJson>,
}

#[derive(Serialize)]
struct ProcJson<'a> {
    pid: u32,
    nspids: &'a [u32],
    nthreads: Option<u32>,
    uid: Option<u32>,
    user: Option<&'a str>,
    #[serde(flatten)]
    command: Text<'a>,
    #[serde(flatten)]
    path: Text<'a>,
    hierarchies: Vec<u32>,
}

#[derive(Serialize)]
struct GapJson {
    pid: u32,
    errno: &'static str,
}
