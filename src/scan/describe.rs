//! What is read of a process only when it is shown: user, command line, cgroup.
//!
//! Leaders and listed members are few; these files are what makes reading `/proc` slow.

use crate::engine::identify;
use crate::model::{Details, Pid, Snapshot};
use crate::proc::{ProcPid, ProcRoot, parse};

/// A command line longer than this is cut. There can be as many as there are namespaces, and whoever makes them longer does not do so
/// to be read.
pub const MOST_COMMAND_BYTES: usize = 4096;

/// Reads the details of these processes into the snapshot.
///
/// A process that has gone since the scan, or whose pid is another process's by now, gets none. Pids that come more than once are
/// read once.
pub fn describe(root: &ProcRoot, snapshot: &mut Snapshot, pids: impl IntoIterator<Item = Pid>) {
    for pid in pids {
        if snapshot.details.contains_key(&pid) {
            continue;
        }
        let started = snapshot.process(pid).map(|process| process.start_time_ticks);
        let details = read(root, pid, started).unwrap_or_default();
        snapshot.details.insert(pid, details);
    }
}

fn read(root: &ProcRoot, pid: Pid, started: Option<u64>) -> Option<Details> {
    of_process(&root.process(pid).ok()?, started)
}

/// Reads the details of a process that is held; `None` where it has gone, or did not start at that time.
pub fn of_process(directory: &ProcPid, started: Option<u64>) -> Option<Details> {
    let mut buffer = [0; 4096];
    let stat = directory.stat(&mut buffer).ok()?;
    if started.is_some_and(|started| started != stat.start_time_ticks) {
        return None;
    }
    let name = stat.comm.to_vec();
    let status = directory.read_record(c"status", 1 << 16).unwrap_or_default();
    let cgroup = directory.read_record(c"cgroup", 1 << 20).unwrap_or_default();
    let arguments = directory.read_record(c"cmdline", MOST_COMMAND_BYTES).unwrap_or_default();
    Some(of_texts(&name, &status, &cgroup, arguments))
}

/// As [`of_process`], of what was read already: the name, and the files `status`, `cgroup` and `cmdline` up to [`MOST_COMMAND_BYTES`].
pub fn of_texts(name: &[u8], status: &[u8], cgroup: &[u8], arguments: Vec<u8>) -> Details {
    let cgroup = parse::cgroup(cgroup).map(<[u8]>::to_vec);
    let container = cgroup.as_deref().and_then(identify);
    Details { uid: parse::effective_uid(status), command: Some(command(arguments, name)), cgroup, container }
}

/// Joins NUL-separated arguments by spaces; a process without any is shown by its name, in brackets as ps(1) does.
fn command(mut arguments: Vec<u8>, name: &[u8]) -> Vec<u8> {
    let cut = arguments.len() >= MOST_COMMAND_BYTES;
    while arguments.last() == Some(&0) {
        arguments.pop();
    }
    if arguments.is_empty() {
        return [b"[", name, b"]"].concat();
    }
    for byte in &mut arguments {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    if cut {
        arguments.extend_from_slice("…".as_bytes());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_joined_and_a_missing_line_is_the_name() {
        assert_eq!(command(b"sh\0-c\0a  b\0".to_vec(), b"sh"), b"sh -c a  b");
        assert_eq!(command(b"nginx: master\0\0\0".to_vec(), b"nginx"), b"nginx: master");
        assert_eq!(command(Vec::new(), b"kworker/0:1"), b"[kworker/0:1]");
        assert_eq!(command(b"\0\0".to_vec(), b"x"), b"[x]");
    }

    #[test]
    fn a_cut_line_says_so() {
        let long = command(vec![b'x'; MOST_COMMAND_BYTES], b"x");
        assert!(long.ends_with("…".as_bytes()));
    }
}
