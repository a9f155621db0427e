//! `/proc/PID/fdinfo/FD`, see proc_pid_fdinfo(5).

use crate::model::id::parse_decimal;

/// Returns the inode number of the open file; `None` where the text has none (Linux before 5.14).
pub fn fdinfo_inode(text: &[u8]) -> Option<u64> {
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"ino:"))?;
    parse_decimal(line.trim_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_inode_is_found() {
        assert_eq!(fdinfo_inode(b"pos:\t0\nflags:\t02100000\nmnt_id:\t4\nino:\t4026532177\n"), Some(4_026_532_177));
        assert_eq!(fdinfo_inode(b"pos:\t0\nflags:\t02\nmnt_id:\t9\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = fdinfo_inode(&text);
        }
    }
}
