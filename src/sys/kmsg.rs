//! The kernel's log, record by record.
//!
//! See `Documentation/ABI/testing/dev-kmsg`.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The most records that are read, so that a log which is written faster than it is read has an end.
const MOST: u32 = 200_000;

/// The longest record: `PRINTK_MESSAGE_MAX` of the kernel, and some.
const LONGEST: usize = 8192;

/// Hands every record that the log still has, the oldest first, to `each`.
///
/// A record is `PREFIX,SEQUENCE,MICROSECONDS,FLAGS;MESSAGE`, a line end, and lines that begin with a space; what is not printable in a
/// message is written as `\xNN`. Where nobody may read the log (`kernel.dmesg_restrict` without CAP_SYSLOG, a container without the
/// device) there are no records. Never waits.
///
/// # Kernel
/// Linux 3.5.
pub fn records(mut each: impl FnMut(&[u8])) {
    let log = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open("/dev/kmsg");
    let Ok(mut log) = log else { return };
    let mut record = [0; LONGEST];
    for _ in 0..MOST {
        match log.read(&mut record) {
            Ok(0) => return,
            Ok(length) => each(&record[..length]),
            // It was overwritten meanwhile; the next read begins with the oldest that is there.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => return,
        }
    }
}

/// Returns the time that records of now have, give or take a second.
///
/// Records are stamped with the scheduler's clock. That and CLOCK_MONOTONIC_RAW are the same counter, which nobody adjusts, and begin at
/// about the same time. See clock_gettime(2).
pub fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC_RAW).map_or(Duration::ZERO, Duration::from)
}
