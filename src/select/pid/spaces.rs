//! The pid namespaces that a process has numbers in, from that of `/proc` down to its own: which they are, and who was first in each.
//!
//! Three things tell, and each where the others do not: the link of the process with `NS_GET_PARENT`, which takes the right to look into
//! it; `NS_GET_PID_FROM_PIDNS`; and its ancestors. A process is born into the pid namespace of its parent or one below that, nobody leaves
//! his, and orphans go to somebody in the namespace of the parent that they had: so the namespaces of ancestors are all among its own, and
//! `NSpid`, which everybody may read, says on which level each is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::rc::Rc;

use super::PidNs;
use crate::model::{NsId, Pid};
use crate::proc::parse::{self, Numbers};
use crate::proc::root::read_ns_link;
use crate::proc::{ProcPid, ProcRoot};
use crate::sys::dir::DirReader;
use crate::sys::{Errno, nsfs};

/// Who has more ancestors than this wants to be a burden.
const MOST_ANCESTORS: usize = 4096;

/// A pid namespace on the way down to a process.
#[derive(Clone, Default)]
pub(super) struct Space {
    /// Its inode; `None` where the caller may not know.
    pub(super) ns: Option<NsId>,
    /// Its first process; `None` where nothing led to it.
    ///
    /// Not held: a host may have more namespaces than a process may have descriptors.
    pub(super) init: Option<Pid>,
}

/// Those of a process, from that of `/proc` down to its own.
pub(super) type Chain = Rc<[Space]>;

/// The pid namespaces that a `/proc` shows, as far as they were looked at.
pub struct Spaces<'a> {
    pub(super) root: &'a ProcRoot,
    /// Whether the numbers of this `/proc` are those of the caller's pid namespace, and so of system calls.
    pub(super) own: bool,
    /// The pid namespace of this `/proc`.
    pub top: Option<NsId>,
    chains: RefCell<HashMap<NsId, Chain>>,
}

impl<'a> Spaces<'a> {
    /// Begins to look.
    pub fn new(root: &'a ProcRoot) -> Spaces<'a> {
        // That it calls the caller by the right number may be chance; that he has no other one there is none.
        let own = root.own_process().ok().filter(|_| root.is_own_pid_ns());
        let own = own.filter(|own| numbers(own).is_ok_and(|numbers| numbers.nspid.len() == 1));
        let first = own.is_none().then(|| root.process(Pid(1)).ok()).flatten();
        let top = own.as_ref().or(first.as_ref()).and_then(|process| link(process).ok().flatten());
        Spaces { root, own: own.is_some(), top, chains: RefCell::default() }
    }

    /// Returns the pid namespaces of a process.
    pub(super) fn chain(&self, process: &ProcPid, numbers: &Numbers) -> Chain {
        let own = link(process).ok().flatten();
        if let Some(known) = own.and_then(|own| self.chains.borrow().get(&own).cloned()) {
            return known;
        }
        let mut spaces: Vec<Space> = numbers.nspid.iter().map(|_| Space::default()).collect();
        if let Some(last) = spaces.last_mut() {
            last.ns = own;
        }
        if let Some(first) = spaces.first_mut() {
            first.ns = self.top;
            // Process 1 of a /proc is the first one of its pid namespace.
            first.init = self.root.process(Pid(1)).ok().map(|first| first.pid);
        }
        self.climb(process, &mut spaces);
        if spaces.iter().any(|space| space.ns.is_none() || space.init.is_none()) {
            self.ask_ancestors(process, numbers, &mut spaces);
        }
        let chain: Chain = spaces.into();
        if let Some(own) = own {
            self.chains.borrow_mut().insert(own, Rc::clone(&chain));
        }
        chain
    }

    /// Goes from the namespace of a process to its parent, and so on, as far up as the caller may.
    fn climb(&self, process: &ProcPid, spaces: &mut [Space]) {
        let Ok(mut ns) = process.open_ns(c"ns/pid") else { return };
        for level in (0..spaces.len()).rev() {
            let Ok(Some(id)) = nsfs::inode(ns.as_fd()) else { return };
            let space = &mut spaces[level];
            if space.ns.is_some_and(|known| known != id) {
                return;
            }
            space.ns = Some(id);
            if space.init.is_none() {
                space.init = self.ask(ns.as_fd(), 1).and_then(Result::ok).map(|first| first.pid);
            }
            match nsfs::parent(ns.as_fd()) {
                Ok(parent) => ns = parent,
                Err(_) => return,
            }
        }
    }

    /// Asks the parent of a process, and so on: what of its namespaces they are in, and whether they were first there.
    fn ask_ancestors(&self, process: &ProcPid, numbers: &Numbers, spaces: &mut [Space]) {
        let mut held: Option<ProcPid> = None;
        let mut told = numbers.clone();
        for _ in 0..MOST_ANCESTORS {
            let current = held.as_ref().unwrap_or(process);
            let level = told.nspid.len() - 1;
            let Some(space) = spaces.get_mut(level) else { return };
            if space.ns.is_none() {
                space.ns = link(current).ok().flatten();
            }
            if space.init.is_none() && told.nspid[level] == 1 {
                space.init = Some(current.pid);
            }
            if level == 0 || told.ppid.0 == 0 {
                return;
            }
            let Ok(parent) = self.root.process(told.ppid) else { return };
            let Ok(of_parent) = self::numbers(&parent) else { return };
            // Who is still the parent after he was opened is the one that was opened.
            let is_parent = self::numbers(current).is_ok_and(|now| now.ppid == told.ppid);
            if !is_parent || of_parent.nspid.len() > told.nspid.len() {
                return;
            }
            (held, told) = (Some(parent), of_parent);
        }
    }

    /// Holds the first process of a namespace, if it still is.
    pub(super) fn hold_first(&self, space: &Space, level: usize) -> Option<ProcPid> {
        let first = self.root.process(space.init?).ok()?;
        let same = space.ns.is_none_or(|ns| link(&first).map_or(true, |found| found == Some(ns)));
        (same && is_first(&first, level)).then_some(first)
    }

    /// Looks among all processes for the first one of each namespace that nothing has led to: from somebody who came from outside
    /// (nsenter(1), docker-exec(1)) neither his link nor his ancestors do. Their ancestors lead further up.
    pub(super) fn complete(&self, spaces: &mut [Space]) {
        for level in (0..spaces.len()).rev() {
            if spaces.iter().all(|space| space.ns.is_some() && space.init.is_some()) {
                return;
            }
            let Some(ns) = spaces[level].ns else { continue };
            let known = self.hold_first(&spaces[level], level).and_then(|first| Some((numbers(&first).ok()?, first)));
            if let Some((told, first)) = known.or_else(|| self.first_of(ns, level)) {
                self.ask_ancestors(&first, &told, spaces);
            }
        }
    }

    fn first_of(&self, ns: NsId, level: usize) -> Option<(Numbers, ProcPid)> {
        let pids = self.root.pids(&mut DirReader::new(32)).ok()?;
        pids.into_iter().find_map(|pid| {
            let process = self.root.process(pid).ok()?;
            let told = (link(&process).ok()?? == ns).then(|| numbers(&process).ok())??;
            (told.nspid.len() == level + 1 && told.nspid[level] == 1).then_some((told, process))
        })
    }

    /// Says whether it is known by now that whoever is in `own` is not in `ns`.
    pub(super) fn is_elsewhere(&self, ns: &PidNs, own: NsId) -> bool {
        let chains = self.chains.borrow();
        chains.get(&own).is_some_and(|chain| chain.iter().all(|space| ns.is(space) == Some(false)))
    }

    /// Returns on which level a process is in a namespace; `None` where it is not, or where that cannot be told.
    pub(super) fn level_in(&self, ns: &PidNs, process: &ProcPid, numbers: &Numbers) -> Result<Option<usize>, Untold> {
        let chain = self.chain(process, numbers);
        let mut untold = false;
        for (level, space) in chain.iter().enumerate() {
            match ns.is(space) {
                Some(true) => return Ok(Some(level)),
                Some(false) => {}
                None => untold = true,
            }
        }
        if untold { Err(Untold) } else { Ok(None) }
    }
}

/// Whether a process is in a namespace could not be told.
pub(super) struct Untold;

/// Reads the numbers of a task.
///
/// # Errors
/// `ENOENT` or `ESRCH` where it has gone, `EPERM` or `EACCES` where /proc is mounted with hidepid, `EBADMSG` before Linux 4.1.
pub(super) fn numbers(process: &ProcPid) -> Result<Numbers, Errno> {
    parse::numbers(&process.read_all(c"status", 1 << 16)?).ok_or(Errno::EBADMSG)
}

/// Says whether a process is the first one of a pid namespace on a level.
fn is_first(process: &ProcPid, level: usize) -> bool {
    numbers(process).is_ok_and(|told| told.nspid.len() == level + 1 && told.nspid[level] == 1)
}

/// Returns the pid namespace of a process.
///
/// # Errors
/// As [`read_ns_link`].
pub(super) fn link(process: &ProcPid) -> Result<Option<NsId>, Errno> {
    Ok(read_ns_link(process.as_fd(), c"ns/pid")?.map(|name| name.id))
}
