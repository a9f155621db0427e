//! `/proc/PID/status`, see proc_pid_status(5).

use crate::model::id::parse_decimal;
use crate::model::{CapSet, Pid, Uid};

/// pid namespaces are nested no deeper (`MAX_PID_NS_LEVEL` in `include/linux/pid_namespace.h`), and the first one comes on top of that.
const MOST_LEVELS: usize = 33;

/// Returns the uids of the process: real, effective, saved, and that for files; `None` where the text has none.
///
/// The name of the process stands in the first line with newlines escaped, so the first line that starts with `Uid:` is the kernel's.
pub fn uids(text: &[u8]) -> Option<[Uid; 4]> {
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:\t"))?;
    let mut all = line.split(|&byte| byte == b'\t').map(|uid| parse_decimal(uid).map(Uid));
    let mut next = || all.next().flatten();
    Some([next()?, next()?, next()?, next()?])
}

/// Returns the effective uid of the process; `None` where the text has none.
pub fn effective_uid(text: &[u8]) -> Option<Uid> {
    uids(text).map(|[_, effective, ..]| effective)
}

/// What a process is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The effective uid, as the reader's user namespace has it.
    pub uid: u32,
    /// The effective gid, as the reader's user namespace has it.
    pub gid: u32,
    /// The effective capabilities, which hold in the user namespace of the process.
    pub effective: CapSet,
    /// The capabilities that it can gain at most.
    pub bounding: CapSet,
    /// Whether it cannot gain privileges by execve(2).
    pub no_new_privs: bool,
}

/// Returns the credentials of the process; `None` where the text has none.
pub fn credentials(text: &[u8]) -> Option<Credentials> {
    // The name of the process stands in the first line with newlines escaped, so no other line is its.
    let field = |name: &[u8]| {
        text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name)).map(|value| value.trim_ascii())
    };
    let effective_id =
        |value: &[u8]| value.split(|byte| byte.is_ascii_whitespace()).nth(1).and_then(parse_decimal::<u32>);
    let caps = |value: &[u8]| {
        let text = std::str::from_utf8(value).ok()?;
        u64::from_str_radix(text, 16).ok().map(CapSet::from_bits)
    };
    Some(Credentials {
        uid: field(b"Uid:\t").and_then(effective_id)?,
        gid: field(b"Gid:\t").and_then(effective_id)?,
        effective: field(b"CapEff:\t").and_then(caps)?,
        bounding: field(b"CapBnd:\t").and_then(caps)?,
        no_new_privs: field(b"NoNewPrivs:\t") == Some(b"1"),
    })
}

/// The numbers that a task has, from the pid namespace of the `/proc` that was read down to its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Its process, as that `/proc` has it.
    pub tgid: Pid,
    /// The parent of its process, as that `/proc` has it; 0 where the parent is not among those that it shows.
    pub ppid: Pid,
    /// The number of its process in each namespace (`NStgid`).
    pub nstgid: Vec<u32>,
    /// Its own number in each namespace (`NSpid`): as many as there are of its process.
    pub nspid: Vec<u32>,
}

/// Returns the numbers of the task; `None` where the text has none.
///
/// # Kernel
/// `NSpid` and `NStgid` are there since Linux 4.1.
pub fn numbers(text: &[u8]) -> Option<Numbers> {
    let field = |name: &[u8]| text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name));
    let list = |name: &[u8]| -> Option<Vec<u32>> {
        field(name)?.split(|&byte| byte == b'\t').take(MOST_LEVELS + 1).map(parse_decimal).collect()
    };
    let numbers = Numbers {
        tgid: Pid(field(b"Tgid:\t").and_then(parse_decimal)?),
        ppid: Pid(field(b"PPid:\t").and_then(parse_decimal)?),
        nstgid: list(b"NStgid:\t")?,
        nspid: list(b"NSpid:\t")?,
    };
    let levels = numbers.nspid.len();
    (levels <= MOST_LEVELS && levels == numbers.nstgid.len()).then_some(numbers)
}

/// All that the file says of what isolates a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The process that the thread belongs to.
    pub tgid: Option<Pid>,
    /// The ids of the thread, from the pid namespace of the `/proc` down to its own.
    pub pids: Vec<Pid>,
    /// Uids: real, effective, saved, and that for files, as the reader's user namespace has them.
    pub uids: Option<[u32; 4]>,
    /// Likewise the gids.
    pub gids: Option<[u32; 4]>,
    /// Supplementary groups, likewise.
    pub groups: Vec<u32>,
    /// Capabilities: inheritable, permitted, effective, bounding, ambient.
    pub caps: Option<[CapSet; 5]>,
    /// Whether the process cannot gain privileges by execve(2) (Linux 4.10).
    pub no_new_privs: Option<bool>,
    /// The mode of seccomp(2); missing where the kernel is made without.
    pub seccomp: Option<u32>,
    /// The number of its filters (Linux 5.9).
    pub seccomp_filters: Option<u32>,
}

/// Parses the file; what it lacks is `None` or empty.
pub fn status(text: &[u8]) -> Status {
    let mut found = Status::default();
    let mut caps = [None; 5];
    // The name of the process stands in the first line with newlines escaped, so no other line is its.
    for line in text.split(|&byte| byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        let numbers =
            || value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).filter_map(parse_decimal::<u32>);
        let four = || <[u32; 4]>::try_from(numbers().collect::<Vec<_>>()).ok();
        let mut cap = |place: usize| {
            let bits = std::str::from_utf8(value).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
            caps[place] = bits.map(CapSet::from_bits);
        };
        match &line[..colon] {
            b"Tgid" => found.tgid = parse_decimal(value).map(Pid),
            b"NSpid" => found.pids = numbers().map(Pid).collect(),
            b"Uid" => found.uids = four(),
            b"Gid" => found.gids = four(),
            b"Groups" => found.groups = numbers().collect(),
            b"CapInh" => cap(0),
            b"CapPrm" => cap(1),
            b"CapEff" => cap(2),
            b"CapBnd" => cap(3),
            b"CapAmb" => cap(4),
            b"NoNewPrivs" => found.no_new_privs = parse_decimal::<u32>(value).map(|value| value != 0),
            b"Seccomp" => found.seccomp = parse_decimal(value),
            b"Seccomp_filters" => found.seccomp_filters = parse_decimal(value),
            _ => {}
        }
    }
    if let [Some(inheritable), Some(permitted), Some(effective), Some(bounding), ambient] = caps {
        // Ambient ones are of Linux 4.3.
        found.caps = Some([inheritable, permitted, effective, bounding, ambient.unwrap_or_default()]);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_effective_uid_is_the_second_one() {
        let text = b"Name:\tsu\nUmask:\t0022\nState:\tS (sleeping)\nUid:\t1000\t0\t0\t0\nGid:\t1\t2\t3\t4\n";
        assert_eq!(effective_uid(text), Some(Uid(0)));
    }

    #[test]
    fn a_name_cannot_pass_for_the_line() {
        let text = b"Name:\tUid:\t7\t7\\nUid:\t9\t9\nUid:\t1\t2\t3\t4\n";
        assert_eq!(effective_uid(text), Some(Uid(2)));
        assert_eq!(effective_uid(b"Name:\tx\n"), None);
        assert_eq!(effective_uid(b"Uid:\t1\n"), None);
    }

    #[test]
    fn credentials_are_the_effective_ones() {
        let text = b"Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nCapEff:\t0000000000200000\n\
            CapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\n";
        let found = credentials(text).expect("credentials");
        assert_eq!((found.uid, found.gid, found.no_new_privs), (2, 6, true));
        assert_eq!(found.effective, CapSet::SYS_ADMIN);
        assert!(found.bounding.contains(CapSet::SYS_PTRACE));
        assert_eq!(credentials(b"Name:\tx\nUid:\t1\t2\n"), None);
    }

    #[test]
    fn numbers_are_from_the_outside_in() {
        let text = b"Name:\tNSpid:\t9\nTgid:\t4240\nPid:\t4242\nPPid:\t17\nNStgid:\t4240\t5\t1\nNSpid:\t4242\t7\t3\nThreads:\t3\n";
        let found = numbers(text).expect("numbers");
        assert_eq!((found.tgid, found.ppid), (Pid(4240), Pid(17)));
        assert_eq!((found.nstgid, found.nspid), (vec![4240, 5, 1], vec![4242, 7, 3]));
        for wrong in ["NStgid:\t1\nNSpid:\t1\t2\n", "NStgid:\tx\nNSpid:\t1\n", "NSpid:\t1\n", "NStgid:\t\nNSpid:\t\n"] {
            assert_eq!(numbers(format!("Tgid:\t1\nPPid:\t0\n{wrong}").as_bytes()), None, "{wrong}");
        }
        let endless = "\t1".repeat(1000);
        let text = format!("Tgid:\t1\nPPid:\t0\nNStgid:{endless}\nNSpid:{endless}\n");
        assert_eq!(numbers(text.as_bytes()), None);
    }

    #[test]
    fn all_is_found_behind_a_name_that_means_harm() {
        let text = b"Name:\tSeccomp:\t9\nUmask:\t0022\nTgid:\t12\nPid:\t13\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n\
            Groups:\t4 24 \nNSpid:\t13\t2\t1\nCapInh:\t0000000000000001\nCapPrm:\t0000000000000003\nCapEff:\t0000000000000002\n\
            CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        let found = status(text);
        assert_eq!((found.tgid, found.pids), (Some(Pid(12)), vec![Pid(13), Pid(2), Pid(1)]));
        assert_eq!((found.uids, found.gids, found.groups), (Some([1, 2, 3, 4]), Some([5, 6, 7, 8]), vec![4, 24]));
        let caps = found.caps.expect("capabilities").map(CapSet::bits);
        assert_eq!(caps, [1, 3, 2, 0x1ff_ffff_ffff, 0]);
        assert_eq!((found.no_new_privs, found.seccomp, found.seccomp_filters), (Some(true), Some(2), Some(3)));
        assert_eq!(status(b"Name:\tx\n"), Status::default());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (effective_uid(&text), credentials(&text), numbers(&text), status(&text));
        }
    }
}
