//! The one container that a name, an id or a pod means.
//!
//! A name is looked for among the sandboxes that were made on the host; one that was made inside another is named below it, as in
//! `outer/inner`, so that nobody in there can draw to himself what was meant for somebody else. For the same reason the caller's own come
//! before other users', and what is verified before what only a cgroup says. What is left has to be one: nothing is guessed.
//!
//! Pure but for [`place_of`]. Not here: which sandboxes there are (`sandbox`).

use std::fmt;

use super::target::{Resolved, Target, TargetError, resolve_process_kinds};
use crate::engine::identify::is_id;
use crate::model::{KindSet, Pid, Uid};
use crate::proc::ProcRoot;
use crate::sandbox::{Catalog, Sandbox};

/// An id is known by so many of its first digits.
const LEAST_DIGITS: usize = 4;

/// What is meant by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A name or the beginning of an id, below those of the sandboxes around it: `web`, `docker:web`, `outer/inner`.
    Named {
        /// The engine, where it is named.
        engine: Option<&'static str>,
        /// The names, from the outside in.
        path: Vec<String>,
    },
    /// `pod:NAMESPACE/POD`, or `pod:NAMESPACE/POD/CONTAINER`.
    Pod {
        /// The namespace of the pod.
        namespace: String,
        /// The pod.
        name: String,
        /// Which of its containers.
        container: Option<String>,
    },
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Wanted::Named { engine: Some(engine), path } => format!("{engine}:{}", path.join("/")),
            Wanted::Named { engine: None, path } => path.join("/"),
            Wanted::Pod { namespace, name, container: Some(container) } => {
                format!("pod:{namespace}/{name}/{container}")
            }
            Wanted::Pod { namespace, name, container: None } => format!("pod:{namespace}/{name}"),
        };
        f.write_str(&text.escape_debug().to_string())
    }
}

/// A container that was found, to be told apart from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What `-t` takes: with its engine.
    pub target: String,
    /// Its first process.
    pub pid: Pid,
    /// Who runs it.
    pub uid: Option<Uid>,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {}", self.target.escape_debug(), self.pid)?;
        if let Some(uid) = self.uid {
            write!(f, ", of uid {uid}")?;
        }
        f.write_str(")")
    }
}

/// Finds what is meant; `own` is who asks.
///
/// # Errors
/// [`TargetError::NoContainer`] with what is called alike, [`TargetError::Containers`] where several fit.
pub fn find(catalog: &Catalog, wanted: &Wanted, own: Uid) -> Result<usize, TargetError> {
    let mut found = match wanted {
        Wanted::Named { engine, path } => named(catalog, *engine, path, own),
        Wanted::Pod { namespace, name, container } => in_pod(catalog, namespace, name, container.as_deref(), own),
    };
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(TargetError::NoContainer(wanted.clone(), alike(catalog, wanted))),
        _ => {
            Err(TargetError::Containers(wanted.clone(), found.iter().map(|&place| candidate(catalog, place)).collect()))
        }
    }
}

fn named(catalog: &Catalog, engine: Option<&str>, path: &[String], own: Uid) -> Vec<usize> {
    let mut inside: Vec<Option<usize>> = vec![None];
    for (depth, word) in path.iter().enumerate() {
        let is_last = depth + 1 == path.len();
        let here: Vec<usize> = (0..catalog.sandboxes.len())
            .filter(|&place| {
                let sandbox = &catalog.sandboxes[place];
                inside.contains(&sandbox.parent)
                    && (!is_last || engine.is_none_or(|engine| sandbox.engine == Some(engine)))
            })
            .collect();
        let found = called(catalog, &here, word, own);
        inside = found.into_iter().map(Some).collect();
    }
    inside.into_iter().flatten().collect()
}

/// Returns those that a word means: of the caller's own, or, where he has none, of anybody's, those that are called so, else those whose id
/// begins so. Nobody can so take the beginning of another's id for a name.
fn called(catalog: &Catalog, among: &[usize], word: &str, own: Uid) -> Vec<usize> {
    let is = |text: &Option<String>| text.as_deref() == Some(word);
    // One without a name is called by its pid where it stands before what was made in it.
    let is_pid = |sandbox: &Sandbox| sandbox.own_name().is_none() && sandbox.pid.to_string() == word;
    let is_exact = |place: &usize| {
        let sandbox = &catalog.sandboxes[*place];
        is(&sandbox.name) || is(&sandbox.id) || is_pid(sandbox)
    };
    let digits = word.to_ascii_lowercase();
    let is_prefix = word.len() >= LEAST_DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let begins_so = |place: &usize| {
        let id = catalog.sandboxes[*place].id.as_deref().filter(|id| is_prefix && is_id(id.as_bytes()));
        id.is_some_and(|id| id.starts_with(&digits))
    };
    let all: Vec<usize> = among.iter().copied().filter(|place| is_exact(place) || begins_so(place)).collect();
    let mut found = preferred(catalog, all, own);
    if found.iter().any(is_exact) {
        found.retain(is_exact);
    }
    found
}

/// Leaves out those that are not the caller's where some are, and those that are not verified where some are.
fn preferred(catalog: &Catalog, mut found: Vec<usize>, own: Uid) -> Vec<usize> {
    let is_own = |sandbox: &Sandbox| sandbox.uid == Some(own);
    for rule in [&is_own as &dyn Fn(&Sandbox) -> bool, &|sandbox| sandbox.verified] {
        if found.iter().any(|&place| rule(&catalog.sandboxes[place])) {
            found.retain(|&place| rule(&catalog.sandboxes[place]));
        }
    }
    found
}

fn in_pod(catalog: &Catalog, namespace: &str, name: &str, container: Option<&str>, own: Uid) -> Vec<usize> {
    let is_there = |sandbox: &Sandbox| {
        sandbox.verified
            && sandbox.pod.as_ref().is_some_and(|pod| pod.namespace.as_deref() == Some(namespace) && pod.name == name)
    };
    let all = (0..catalog.sandboxes.len()).filter(|&place| is_there(&catalog.sandboxes[place])).collect();
    let all = preferred(catalog, all, own);
    let with = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> {
        all.iter().copied().filter(|&place| catalog.sandboxes[place].name.as_deref().is_some_and(fits)).collect()
    };
    match container {
        Some(container) => with(&|name| name == container),
        // What holds the namespaces together is meant only where there is nothing else.
        None => match with(&|name| name != "pause") {
            apart if apart.is_empty() => all,
            apart => apart,
        },
    }
}

fn candidate(catalog: &Catalog, place: usize) -> Candidate {
    let sandbox = &catalog.sandboxes[place];
    let path = catalog.path(place);
    let target = match (&sandbox.pod, &sandbox.name, sandbox.engine) {
        // In pods of podman names are as unique as elsewhere.
        (Some(pod), Some(name), _) if pod.namespace.is_some() => format!("pod:{pod}/{name}"),
        (_, _, Some(engine)) => format!("{engine}:{path}"),
        _ => path,
    };
    Candidate { target, pid: sandbox.pid, uid: sandbox.uid }
}

/// Returns what a user who has typed a name that is nobody's may have meant: what is called so further inside, or begins so.
fn alike(catalog: &Catalog, wanted: &Wanted) -> Vec<String> {
    let Wanted::Named { path, .. } = wanted else { return Vec::new() };
    let Some(word) = path.last().filter(|word| !word.is_empty()) else { return Vec::new() };
    let is_alike = |sandbox: &Sandbox| {
        let known = [sandbox.name.as_deref(), sandbox.id.as_deref()].into_iter().flatten();
        let is_engine = sandbox.engine == Some(word.as_str());
        is_engine || known.into_iter().any(|name| name.contains(&**word) || is_slip(name, word))
    };
    let all = (0..catalog.sandboxes.len()).filter(|&place| is_alike(&catalog.sandboxes[place]));
    all.take(5).map(|place| catalog.path(place)).collect()
}

/// Says whether one word may be meant by the other: in other letters, or with a letter or two that is wrong, missing, or in the wrong place.
fn is_slip(meant: &str, typed: &str) -> bool {
    const MOST: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) =
        (meant.to_lowercase().chars().collect(), typed.to_lowercase().chars().collect());
    if a.len().max(b.len()) > MOST || a.len().abs_diff(b.len()) > 2 || b.len() < 2 {
        return a == b;
    }
    // The distance of Levenshtein, with neighbours that have changed places as one step.
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut least = (rows[i][j] + usize::from(x != y)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()] <= if b.len() > 4 { 2 } else { 1 }
}

/// Finds the sandbox that a target is, or is in.
///
/// # Errors
/// Where there is no such target, or it is in no sandbox.
pub fn place_of(proc: &ProcRoot, catalog: &Catalog, target: &Target) -> Result<usize, TargetError> {
    if let Target::Container(wanted) = target {
        return find(catalog, wanted, Uid(nix::unistd::geteuid().as_raw()));
    }
    match resolve_process_kinds(proc, target, KindSet::NONE)? {
        Resolved::Process(process, _) => {
            catalog.place_of(process.pid).ok_or_else(|| TargetError::NotSandboxed(target.to_string(), process.pid))
        }
        Resolved::Namespace(..) => Err(TargetError::WantedProcess(target.to_string())),
    }
}

#[cfg(test)]
mod tests;
