//! `/proc/PID/status`, see proc_pid_status(5).

use crate::model::id::parse_decimal;
use crate::model::{CapSet, Uid};

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

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (effective_uid(&text), credentials(&text));
        }
    }
}
