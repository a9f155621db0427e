//! `/proc/PID/stat`, see proc_pid_stat(5).

use crate::model::Pid;
use crate::model::id::parse_decimal;

/// What nsx needs of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat<'a> {
    /// The name (field 2), which may hold any byte but NUL.
    pub comm: &'a [u8],
    /// The state (field 3): `R`, `S`, `D`, `Z`, `T`, …
    pub state: u8,
    /// The parent (field 4).
    pub ppid: Pid,
    /// The session (field 6).
    pub session: u32,
    /// The controlling terminal (field 7), major and minor number; 0:0 is none.
    pub tty: (u32, u32),
    /// Whether it is a kernel thread (`PF_KTHREAD` in field 9).
    pub kernel: bool,
    /// Whether its first thread is about to exit or has exited (`PF_EXITING` in field 9): a zombie, or soon to be one.
    pub exiting: bool,
    /// The number of threads (field 20).
    pub nthreads: u32,
    /// The start time in clock ticks since boot (field 22).
    pub start_time_ticks: u64,
}

/// Parses the line; `None` where it is not one.
///
/// The name may contain `) (`, so it ends at the last closing bracket: no later field has one.
pub fn stat(line: &[u8]) -> Option<Stat<'_>> {
    /// `PF_KTHREAD`, `include/linux/sched.h`.
    const PF_KTHREAD: u64 = 0x0020_0000;
    /// `PF_EXITING`, same place.
    const PF_EXITING: u64 = 0x0000_0004;
    let open = line.iter().position(|&byte| byte == b'(')?;
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let comm = line.get(open + 1..close)?;
    let rest = line.get(close + 2..)?;
    // Field 3 is the first one behind the name.
    let mut fields = rest.split(|byte| byte.is_ascii_whitespace());
    let state = *fields.next()?.first()?;
    let ppid = Pid(parse_decimal(fields.next()?)?);
    // A process that is all but gone is in no session any more.
    let session = match fields.nth(1)? {
        b"-1" => 0,
        session => parse_decimal(session)?,
    };
    // It is signed, and its minor number stands in two places.
    let tty = std::str::from_utf8(fields.next()?).ok()?.parse::<i32>().ok()?.cast_unsigned();
    let tty = ((tty >> 8) & 0xfff, (tty & 0xff) | ((tty >> 12) & 0xfff00));
    let flags: u64 = parse_decimal(fields.nth(1)?)?;
    let nthreads = parse_decimal(fields.nth(10)?)?;
    let start_time_ticks = parse_decimal(fields.nth(1)?)?;
    let (kernel, exiting) = (flags & PF_KTHREAD != 0, flags & PF_EXITING != 0);
    Some(Stat { comm, state, ppid, session, tty, kernel, exiting, nthreads, start_time_ticks })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(comm: &[u8]) -> Vec<u8> {
        let mut line = b"4242 (".to_vec();
        line.extend_from_slice(comm);
        line.extend_from_slice(
            b") S 17 4242 4242 0 -1 4194560 200 0 0 0 1 2 0 0 20 0 5 0 987654 9000000 300 18446744073709551615 1 1 0 0 0\n",
        );
        line
    }

    #[test]
    fn the_fields_are_found_behind_any_name() {
        for comm in [&b"bash"[..], b"", b"a) b (", b") R 1 1 1", b"\x1b[31m\n", b"\xff\xfe", b"(((", b")))"] {
            let line = line(comm);
            let stat = stat(&line).expect("a line");
            assert_eq!(stat.comm, comm);
            assert_eq!((stat.ppid, stat.nthreads, stat.start_time_ticks), (Pid(17), 5, 987_654));
            assert!(!stat.kernel && !stat.exiting);
        }
    }

    #[test]
    fn a_kernel_thread_is_told_by_its_flag() {
        let stat = stat(b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 3 0 0 20 0 1 0 4 0 0 1\n").expect("a line");
        assert!(stat.kernel);
        assert_eq!((stat.ppid, stat.start_time_ticks), (Pid(0), 4));
    }

    #[test]
    fn the_terminal_is_told_by_its_numbers() {
        let line = b"7 (x) S 1 7 7 34817 7 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0\n";
        let stat = stat(line).expect("a line");
        assert_eq!((stat.state, stat.tty), (b'S', (136, 1)));
    }

    #[test]
    fn a_process_that_is_all_but_gone_has_no_session() {
        let line = b"7 (x) X 0 -1 -1 0 -1 4194564 0 0 0 0 0 0 0 0 20 0 0 0 77 0 0\n";
        let stat = stat(line).expect("a line");
        assert_eq!((stat.session, stat.exiting, stat.start_time_ticks), (0, true, 77));
    }

    #[test]
    fn a_zombie_is_told_by_its_flag() {
        let stat = stat(b"312 (true) Z 311 311 1 0 -1 4228108 47 0 0 0 0 0 0 0 20 0 1 0 4711 0 0 1\n").expect("a line");
        assert!(stat.exiting && !stat.kernel);
    }

    #[test]
    fn what_is_cut_or_no_line_is_refused() {
        for text in [
            "",
            "1",
            "1 (a",
            "1 (a)",
            "1 (a) S",
            "1 (a) S 1 2 3",
            ")(",
            "1 (a) S x 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4",
        ] {
            assert_eq!(stat(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_kept(comm in proptest::collection::vec(any::<u8>(), 0..64)) {
            let line = line(&comm);
            prop_assert_eq!(stat(&line).map(|stat| stat.comm), Some(&comm[..]));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = stat(&text);
        }
    }
}
