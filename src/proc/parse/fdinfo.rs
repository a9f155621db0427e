//! `/proc/PID/fdinfo/FD`, see proc_pid_fdinfo(5).

use crate::model::id::parse_decimal;

/// Returns the inode number of the open file; `None` where the text has none (Linux before 5.14).
pub fn fdinfo_inode(text: &[u8]) -> Option<u64> {
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"ino:"))?;
    parse_decimal(line.trim_ascii())
}

/// What is said of an open file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdInfo {
    /// The flags of open(2), which are those of the architecture.
    pub flags: Option<u32>,
    /// The mount that it was opened on, as mountinfo numbers them.
    pub mnt_id: Option<u32>,
    /// The process, where it is a pidfd: as the reader's pid namespace has it, 0 for one outside, `None` for one that has gone.
    pub pid: Option<u32>,
}

impl FdInfo {
    /// Says whether it was opened for writing; a place that was opened with `O_PATH` was not.
    pub fn is_writable(&self) -> bool {
        /// `O_PATH`, the same on all architectures that nsx is for.
        const O_PATH: u32 = 0o10_000_000;
        self.flags.is_some_and(|flags| flags & 3 != 0 && flags & O_PATH == 0)
    }

    /// Says whether it is closed by execve(2).
    pub fn is_cloexec(&self) -> bool {
        /// `O_CLOEXEC`, likewise.
        const O_CLOEXEC: u32 = 0o2_000_000;
        self.flags.is_some_and(|flags| flags & O_CLOEXEC != 0)
    }
}

/// Parses the file; what it lacks is `None`.
pub fn fdinfo(text: &[u8]) -> FdInfo {
    let mut found = FdInfo::default();
    // What a driver or a FUSE server adds comes behind the kernel's own lines, so the first of a name counts.
    for line in text.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        match &line[..colon] {
            b"flags" if found.flags.is_none() => {
                let text = std::str::from_utf8(value).ok();
                found.flags = text.and_then(|text| u32::from_str_radix(text, 8).ok());
            }
            b"mnt_id" if found.mnt_id.is_none() => found.mnt_id = parse_decimal(value),
            b"Pid" if found.pid.is_none() => found.pid = parse_decimal(value),
            _ => {}
        }
    }
    found
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

    #[test]
    fn flags_mount_and_process_are_found() {
        let found = fdinfo(b"pos:\t0\nflags:\t02100001\nmnt_id:\t27\nino:\t5\nPid:\t0\nNSpid:\t0\nmnt_id:\t9\n");
        assert_eq!((found.mnt_id, found.pid), (Some(27), Some(0)));
        assert!(found.is_writable() && found.is_cloexec());
        assert!(!fdinfo(b"flags:\t0100000\n").is_writable());
        assert!(!fdinfo(b"flags:\t010000002\n").is_writable());
        assert_eq!(fdinfo(b"Pid:\t-1\n").pid, None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = (fdinfo_inode(&text), fdinfo(&text));
        }
    }
}
