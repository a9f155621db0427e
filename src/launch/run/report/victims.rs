//! Whom the OOM killer has chosen: the kernel counts its victims in files, and names them in its log only.
//!
//! The log is everybody's: only what the kernel itself has said of the cgroup in question is taken, and names are those that processes
//! gave themselves.

use std::time::Duration;

use crate::cgroup::parse;
use crate::sys::kmsg;

/// Who was killed for want of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Its number in the initial PID namespace.
    pub pid: u32,
    /// What it called itself (proc_pid_comm(5)).
    pub comm: Vec<u8>,
}

/// Returns the last `most` victims in the cgroup with this path and below it, since `since`, the first of them first.
///
/// Nobody where the log cannot be read, or where the path is another one for the kernel: that of a caller in a cgroup namespace.
pub(super) fn victims(path: &[u8], since: Duration, most: u64) -> Vec<Victim> {
    let mut found = Vec::new();
    // The clocks are the same one, but do not begin at the same moment.
    let since = since.saturating_sub(Duration::from_secs(1)).as_micros() as u64;
    kmsg::records(|record| found.extend(victim(record, path, since)));
    let first = found.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
    found.split_off(first)
}

/// Reads `oom-kill:…,task_memcg=PATH,task=COMM,pid=PID,uid=UID`, which Linux 5.0 has first written. Names may have anything in them.
fn victim(record: &[u8], path: &[u8], since: u64) -> Option<Victim> {
    let record = record.split(|byte| *byte == b'\n').next()?;
    let (head, message) = split(record, b";")?;
    let message = message.strip_prefix(b"oom-kill:").map(unescape)?;
    let mut head = head.split(|byte| *byte == b',');
    // A facility of 0 is the kernel's, which nobody else can write with.
    let prefix = parse::number(head.next()?)?;
    let at = parse::number(head.nth(1)?)?;
    if prefix >> 3 != 0 || at < since {
        return None;
    }
    let marker = [b",task_memcg=", path].concat();
    let (_, below) = split(&message, &marker)?;
    if !matches!(below.first()?, b',' | b'/') {
        return None;
    }
    let (_, task) = split(below, b",task=")?;
    let end = task.windows(5).rposition(|bytes| bytes == b",uid=")?;
    let start = task[..end].windows(5).rposition(|bytes| bytes == b",pid=")?;
    Some(Victim { pid: u32::try_from(parse::number(&task[start + 5..end])?).ok()?, comm: task[..start].to_vec() })
}

/// Undoes `\xNN`, which the log has for a backslash and for all that is not printable ASCII.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let code = after
            .strip_prefix(b"x")
            .and_then(|after| after.get(..2))
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = code.filter(|_| first == b'\\').and_then(|code| u8::from_str_radix(code, 16).ok());
        plain.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    plain
}

/// Splits at the first place where `marker` is.
fn split<'a>(text: &'a [u8], marker: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(marker.len()).position(|bytes| bytes == marker)?;
    Some((&text[..at], &text[at + marker.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.18 has written it.
    const RECORD: &str = "6,1234,20368239018,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
                          oom_memcg=/above,task_memcg=/above/nsx-box,task=dd,pid=20817,uid=0\n SUBSYSTEM=x\n";

    fn read(record: &str, path: &str) -> Option<(u32, String)> {
        let victim = victim(record.as_bytes(), path.as_bytes(), 20_368_000_000)?;
        Some((victim.pid, String::from_utf8(victim.comm).expect("a name")))
    }

    #[test]
    fn a_victim_has_a_number_and_a_name() {
        let expected = Some((20817, "dd".to_owned()));
        assert_eq!(read(RECORD, "/above/nsx-box"), expected);
        assert_eq!(read(RECORD, "/above"), expected);
        // Neither the one whose limit it was, nor one whose name begins alike.
        assert_eq!(read(RECORD, "/above/nsx-bo"), None);
        assert_eq!(read(RECORD, "/elsewhere"), None);
        // All the host's memory was short.
        let host = RECORD.replace("oom_memcg=/above", "global_oom");
        assert_eq!(read(&host, "/above/nsx-box"), expected);
    }

    #[test]
    fn names_of_processes_have_commas() {
        let named = RECORD.replace("task=dd", "task=a,pid=1,uid=2");
        assert_eq!(read(&named, "/above/nsx-box"), Some((20817, "a,pid=1,uid=2".to_owned())));
        let named = RECORD.replace("task=dd", "task=a,task=b");
        assert_eq!(read(&named, "/above/nsx-box"), Some((20817, "a,task=b".to_owned())));
        let named = RECORD.replace("task=dd", "task=\\x1b\\x5cx\\x0ab").replace("nsx-box", "\\xc3\\xa4");
        assert_eq!(read(&named, "/above/ä"), Some((20817, "\x1b\\x\nb".to_owned())));
    }

    #[test]
    fn only_the_kernel_is_believed_and_only_what_is_new() {
        for other in [
            RECORD.replacen("6,", "12,", 1),
            RECORD.replacen("20368239018", "20367999999", 1),
            RECORD.replacen("oom-kill", "x oom-kill", 1),
            RECORD.replace("pid=20817", "pid=x"),
            RECORD.replace("pid=20817", "pid=99999999999"),
            RECORD.replace(",uid=0", ""),
        ] {
            assert_eq!(read(&other, "/above/nsx-box"), None, "{other}");
        }
        for end in 0..RECORD.len() {
            let _ = read(&RECORD[..end], "/above");
        }
    }
}
