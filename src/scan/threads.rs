//! Threads that are in other namespaces than their process: `/proc/PID/task/TID/ns/*`.
//!
//! setns(2) and unshare(2) move a single thread, in every kind but user and pid. Only threads that differ are kept. unshare(2) can also
//! give a thread descriptors of its own, which are looked at as those of a process.

use std::cmp::Ordering;
use std::os::fd::AsFd;

use super::tasks::Walker;
use super::{fds, note};
use crate::model::id::parse_decimal;
use crate::model::{GapWhat, NsKind, Process, Thread, Tid};
use crate::proc::root::read_ns_links;
use crate::proc::{ProcPid, is_gone};
use crate::sys::kcmp;

pub(super) fn scan(walker: &mut Walker<'_>, directory: &ProcPid, process: &Process) {
    // The leader may have exited, and have no namespaces any more while the other threads do.
    if process.nthreads < 2 || process.kernel {
        return;
    }
    let listed = directory.open_dir(c"task").and_then(|task| {
        let mut tids = Vec::with_capacity(process.nthreads as usize);
        walker.reader.entries(task.as_fd(), |name| tids.extend(parse_decimal(name.to_bytes()).map(Tid)))?;
        Ok(tids)
    });
    let tids = match listed {
        Ok(tids) => tids,
        Err(errno) => {
            if !is_gone(errno) {
                note(&mut walker.found.gaps, GapWhat::Threads, process.pid, errno);
            }
            return;
        }
    };
    // The threads whose tables of descriptors were looked at, in the kernel's order of those; the process is one of them.
    let mut tables = vec![Tid(process.pid.0)];
    for tid in tids.into_iter().filter(|tid| tid.0 != process.pid.0) {
        let Ok(links) = directory.thread_ns_dir(tid) else { continue };
        if walker.own.is_some() && is_new(&mut tables, tid) {
            fds::scan_of(walker, directory, process, Some(tid));
        }
        let read = read_ns_links(links.as_fd(), walker.kinds.iter()).and_then(|namespaces| {
            // pid_for_children and time_for_children are the thread's own, too.
            walker.for_children(links.as_fd(), process.pid, tid, &namespaces)?;
            Ok(namespaces)
        });
        match read {
            Ok(mut namespaces) if namespaces != process.ns => {
                for kind in NsKind::ALL {
                    let own = &mut namespaces[kind.index()];
                    if *own == process.ns[kind.index()] {
                        *own = None;
                    }
                }
                walker.found.threads.push(Thread { pid: process.pid, tid, ns: namespaces });
            }
            Ok(_) => {}
            Err(errno) => {
                if !is_gone(errno) && directory.thread_ns_dir(tid).is_ok() {
                    note(&mut walker.found.gaps, GapWhat::Threads, process.pid, errno);
                }
            }
        }
    }
}

/// Says whether a thread has a table of descriptors that none of these has, and takes it in. What cannot be compared is taken for known.
fn is_new(tables: &mut Vec<Tid>, tid: Tid) -> bool {
    let mut unknown = false;
    let place = tables.binary_search_by(|seen| {
        kcmp::files(*seen, tid).unwrap_or_else(|| {
            unknown = true;
            Ordering::Equal
        })
    });
    match place {
        Err(place) if !unknown => {
            tables.insert(place, tid);
            true
        }
        _ => false,
    }
}
