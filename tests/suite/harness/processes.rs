//! Other processes, seen from outside: who is there, in which state, and signals to them.

use std::time::{Duration, Instant};

use nix::libc;

/// After so long a test gives up waiting for what it expects.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a number that no other command has, to be found by among its arguments: all have the same length, so that none is part of another.
/// As seconds it is long enough.
pub fn new_mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{}{:05}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

/// Returns all processes that have the text in their arguments.
pub fn marked(mark: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has = |pid: &u32| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.windows(mark.len()).any(|part| part == mark.as_bytes())
    };
    pids.filter(has).collect()
}

/// Returns the state of a process, as proc_pid_stat(5) has it; `None` if it has gone.
pub fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Says whether a process is stopped.
pub fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// Waits until something is so.
pub fn until_so(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it never came to pass: {what}");
        std::thread::yield_now();
    }
}

/// Sends a signal of any number, also to a group: a pid that is negative.
pub fn send(pid: impl Into<i64>, number: i32) {
    let pid = i32::try_from(pid.into()).expect("a pid");
    // SAFETY: the call takes numbers.
    let sent = unsafe { libc::kill(pid, number) };
    assert_eq!(sent, 0, "kill({pid}, {number}): {}", std::io::Error::last_os_error());
}
