//! Docker's own records: where they are, by what its containers' bundles say, or else its daemons; and what of them is believed.

use std::collections::HashMap;

use super::{About, Daemon, Roots, Round, daemon, is_trusted, pid_there, roots_first, take, writer};
use crate::engine::daemon::{DOCKER_CONFIG, DOCKER_DATA, data_root, dockerd};
use crate::engine::record;
use crate::model::{Pid, Uid};
use crate::proc::ProcRoot;
use crate::proc::parse::uids;
use crate::sandbox::build::Draft;
use crate::sandbox::facts::Facts;

/// The second round: Docker's own records, by where the bundles say that they are, or the daemons.
pub(super) fn round(
    proc: &ProcRoot,
    facts: &Facts,
    drafts: &[Draft],
    folders: &HashMap<Daemon, String>,
    roots: &mut Roots<'_>,
) -> Round {
    let places: Vec<usize> = roots_first(drafts)
        .into_iter()
        .filter(|&place| {
            let claims = |draft: &Draft| draft.claim.as_ref().is_some_and(|claim| claim.engine == Some("docker"));
            drafts[place].sandbox.id.is_some()
                && (drafts[place].sandbox.engine == Some("docker") || claims(&drafts[place]))
        })
        .collect();
    let mut round = Round::default();
    let mut data: HashMap<usize, Vec<String>> = HashMap::new();
    for &place in &places {
        let writer = writer(drafts, place);
        let Some(root) = roots.of(proc, writer) else { continue };
        let id = drafts[place].sandbox.id.clone().unwrap_or_default();
        let known = folders.get(&daemon(root, drafts[place].parent.as_ref())).map(|folder| vec![folder.clone()]);
        let all = known.unwrap_or_else(|| {
            data.entry(root).or_insert_with(|| data_folders(proc, facts, writer, root, roots)).clone()
        });
        for folder in all {
            round.ask(root, &format!("{folder}/{id}/config.v2.json"), None, About::Docker(place));
        }
    }
    round
}

/// Takes over what Docker's record says, if it is of this sandbox.
pub(super) fn take_over(draft: &mut Draft, uid: Uid, content: &[u8]) {
    let Some(found) = record::docker(content).filter(|found| found.id == draft.sandbox.id) else { return };
    if !is_trusted(uid, draft) {
        return;
    }
    let is_first = found.pid.is_some() && found.pid == pid_there(draft);
    // A daemon that has just started a container has not written down its pid.
    if is_first || draft.sandbox.verified {
        draft.sandbox.verified = true;
        take(draft, found);
    }
}

/// Returns the folders in which Docker keeps what it knows of its containers, by what its daemons below that root say.
fn data_folders(proc: &ProcRoot, facts: &Facts, writer: Option<Pid>, root: usize, roots: &Roots<'_>) -> Vec<String> {
    let pair = |pid: &Pid| facts.pairs.get(pid).map(|pair| pair.0);
    let there = writer.as_ref().map_or(facts.host.map(|host| host.0), pair);
    let mut folders = Vec::new();
    let mut round = Round::default();
    let is_roots = |daemon: &Pid| {
        let status = proc.process(*daemon).and_then(|held| held.read_record(c"status", 1 << 16)).unwrap_or_default();
        uids(&status).is_some_and(|uids| uids.iter().all(|uid| *uid == Uid(0)))
    };
    let mut daemons = facts.dockerds.iter().filter(|daemon| pair(daemon) == there && is_roots(daemon)).peekable();
    if daemons.peek().is_none() {
        folders.push(DOCKER_DATA.to_owned());
    }
    for daemon in daemons {
        let arguments = proc.process(*daemon).and_then(|held| held.read_all(c"cmdline", 1 << 16)).unwrap_or_default();
        let words: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
        let said = dockerd(&words);
        match said.data_root {
            Some(folder) => folders.push(folder),
            None => round.ask(root, said.config_file.as_deref().unwrap_or(DOCKER_CONFIG), None, About::DockerConfig),
        }
    }
    let asked = round.asks.len();
    let answers = round.read(roots);
    let read: Vec<String> = answers
        .iter()
        .filter(|(_, answer)| answer.uid == Uid(0))
        .filter_map(|(_, answer)| data_root(&answer.content))
        .collect();
    if read.len() < asked {
        folders.push(DOCKER_DATA.to_owned());
    }
    folders.extend(read);
    folders.iter().map(|folder| format!("{}/containers", folder.trim_end_matches('/'))).collect()
}
