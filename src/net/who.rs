//! What network namespaces are called: by their container, by the name that ip-netns(8) gave them, or as the host's.
//!
//! The one place that decides it. The container is that of the leader (`sandbox::Catalog::name`).

use crate::model::{Container, NsId, Pid, Snapshot};

/// Where ip-netns(8) keeps the names, and where that was before /var/run became a link.
const NETNS_DIRECTORIES: [&[u8]; 2] = [b"/run/netns/", b"/var/run/netns/"];

/// A program's name that is longer is cut.
const MOST_PROGRAM_BYTES: usize = 32;
/// More names than this are not kept for one namespace.
const MOST_NAMES: usize = 16;

/// What a network namespace is called.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Who {
    /// Whether it is the initial one.
    pub initial: bool,
    /// Whether it is the caller's own.
    pub own: bool,
    /// Its leader, the top-most process in it.
    pub leader: Option<Pid>,
    /// The program that the leader runs, by the first word of its command line, without directories.
    pub program: Option<Vec<u8>>,
    /// The container that the leader is in.
    pub container: Option<Container>,
    /// Its names by ip-netns(8), in any mount namespace; any bytes but `/` and NUL.
    pub names: Vec<Vec<u8>>,
}

impl Who {
    /// Returns what to call it in a word: as targets are written (`docker:web`, `netns:blue`, `self`), else by its leader, as
    /// `4242/nginx`; `None` where nobody is in it and nobody has named it.
    ///
    /// The host's is the host's, whatever runs in it; engines name what they make by ids (/run/netns/cni-…), so the container says more.
    pub fn name(&self) -> Option<Vec<u8>> {
        if self.initial {
            return Some(b"host".to_vec());
        }
        let container = || self.container.as_ref().map(|container| container.target.clone().into_bytes());
        let named = || self.names.first().map(|name| [b"netns:", &name[..]].concat());
        let own = || self.own.then(|| b"self".to_vec());
        let led = || Some([self.leader?.to_string().as_bytes(), b"/", self.program.as_deref()?].concat());
        container().or_else(named).or_else(own).or_else(led)
    }
}

/// Names a namespace of the snapshot. The leader's details have to be there (`scan::describe`).
pub fn who(snapshot: &Snapshot, ns: NsId) -> Who {
    let Some(namespace) = snapshot.namespace(ns) else { return Who::default() };
    let details = namespace.leader.and_then(|leader| snapshot.details.get(&leader));
    let is_own = |ns| snapshot.namespace(ns).is_some_and(|namespace| namespace.own);
    let named =
        namespace.bind_mounts().filter_map(|(path, mnt_ns)| Some((!mnt_ns.is_some_and(is_own), netns_name(path)?)));
    let mut sorted: Vec<(bool, Vec<u8>)> = named.collect();
    // What it is called here comes before what others may call it.
    sorted.sort();
    let mut names: Vec<Vec<u8>> = Vec::new();
    for (_, name) in sorted {
        if names.len() < MOST_NAMES && !names.contains(&name) {
            names.push(name);
        }
    }
    Who {
        initial: namespace.initial == Some(true),
        own: namespace.own,
        leader: namespace.leader,
        program: details.and_then(|details| program(details.command.as_deref()?)),
        container: details.and_then(|details| details.container.clone()),
        names,
    }
}

fn program(command: &[u8]) -> Option<Vec<u8>> {
    let word = command.split(|&byte| byte == b' ').next()?;
    let name = word.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty())?;
    Some(name[..name.len().min(MOST_PROGRAM_BYTES)].to_vec())
}

fn netns_name(path: &[u8]) -> Option<Vec<u8>> {
    let name = NETNS_DIRECTORIES.iter().find_map(|directory| path.strip_prefix(*directory))?;
    (!name.is_empty() && !name.contains(&b'/')).then(|| name.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_last_part_of_a_path_of_ip_netns() {
        assert_eq!(netns_name(b"/run/netns/blue").as_deref(), Some(&b"blue"[..]));
        assert_eq!(netns_name(b"/var/run/netns/b\x1b").as_deref(), Some(&b"b\x1b"[..]));
        for path in [&b"/run/netns/"[..], b"/run/netns/a/b", b"/run/docker/netns/1", b"/x/run/netns/a", b""] {
            assert_eq!(netns_name(path), None);
        }
    }

    #[test]
    fn the_host_comes_before_the_container_and_that_before_a_name() {
        let mut who = Who { names: vec![b"blue".to_vec()], ..Who::default() };
        assert_eq!(who.name().as_deref(), Some(&b"netns:blue"[..]));
        who.container = crate::engine::identify(b"/lxc.payload.web");
        assert_eq!(who.name().as_deref(), Some(&b"lxc:web"[..]));
        who.initial = true;
        assert_eq!(who.name().as_deref(), Some(&b"host"[..]));
        assert_eq!(Who::default().name(), None);
        let led = Who { leader: Some(Pid(42)), program: program(b"/usr/sbin/nginx -g x"), ..Who::default() };
        assert_eq!(led.name().as_deref(), Some(&b"42/nginx"[..]));
        assert_eq!(Who { own: true, ..led }.name().as_deref(), Some(&b"self"[..]));
        assert_eq!((program(b""), program(b"//"), program(b"nginx:")), (None, None, Some(b"nginx:".to_vec())));
    }
}
