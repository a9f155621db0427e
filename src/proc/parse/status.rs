//! `/proc/PID/status`, see proc_pid_status(5).

use crate::model::Uid;
use crate::model::id::parse_decimal;

/// Returns the effective uid of the process; `None` where the text has none.
///
/// The name of the process stands in the first line with newlines escaped, so the first line that starts with `Uid:` is the kernel's.
pub fn effective_uid(text: &[u8]) -> Option<Uid> {
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:\t"))?;
    let effective = line.split(|&byte| byte == b'\t').nth(1)?;
    parse_decimal(effective).map(Uid)
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

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = effective_uid(&text);
        }
    }
}
