//! The words of findings: amounts, times, and commands that can be pasted into a shell. Pure.

pub(super) use crate::model::cgroup::size;

/// Says a limit of memory twice as high, in whole megabytes: a place to start from.
pub(super) fn twice(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    format!("{}M", bytes.saturating_mul(2).div_ceil(MIB).max(1))
}

/// Says how often.
pub(super) fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// Says how many of something that has a plural in s.
pub(super) fn many(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Says how many processes were killed.
pub(super) fn killed(count: u64) -> String {
    if count == 1 { "1 process was killed".to_owned() } else { format!("{count} processes were killed") }
}

/// Says a time that was measured in microseconds.
pub(super) fn seconds(usec: u64) -> String {
    match usec {
        0..10_000 => format!("{:.1} ms", usec as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", usec as f64 / 1e3),
        1_000_000..100_000_000 => format!("{:.1} s", usec as f64 / 1e6),
        _ => format!("{:.0} s", usec as f64 / 1e6),
    }
}

/// Says a number of processors that is given in thousandths.
pub(super) fn processors(millicpus: u64) -> String {
    let text = format!("{}.{:03}", millicpus / 1000, millicpus % 1000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} processor{}", if text == "1" { "" } else { "s" })
}

/// Returns a text for people, of bytes that may be none.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Quotes a word for a shell. Whatever is not plain ASCII is spelled in numbers, so that the command can be shown and still is right.
pub(super) fn quoted(word: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return text(word);
    }
    if word.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\'') {
        return format!("'{}'", text(word));
    }
    let mut quoted = "$'".to_owned();
    for byte in word {
        match byte {
            b'\\' | b'\'' => quoted.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => quoted.push(char::from(*byte)),
            other => quoted.push_str(&format!("\\x{other:02x}")),
        }
    }
    quoted + "'"
}

/// Returns the command that writes a value to a file.
pub(super) fn write(value: &str, file: &[u8]) -> String {
    format!("echo {} > {}", quoted(value.as_bytes()), quoted(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (bytes, words) in [(0, "0"), (1023, "1023"), (48 << 20, "48M"), (48_400_000, "46.2M"), (3 << 40, "3T")] {
            assert_eq!(size(bytes), words);
        }
        assert_eq!((twice(48 << 20).as_str(), twice(1).as_str()), ("96M", "1M"));
        assert_eq!(processors(200), "0.2 processors");
        assert_eq!(processors(1000), "1 processor");
        for (usec, words) in [(990_000, "990 ms"), (1_500, "1.5 ms"), (2_000_000, "2.0 s"), (360_000_000, "360 s")] {
            assert_eq!(seconds(usec), words);
        }
        assert_eq!((times(1).as_str(), times(2).as_str(), many(1, "task").as_str()), ("once", "2 times", "1 task"));
    }

    #[test]
    fn a_command_can_be_pasted() {
        for (word, command) in [
            (&b"/sys/fs/cgroup/a.slice/b@1.service/memory.max"[..], "/sys/fs/cgroup/a.slice/b@1.service/memory.max"),
            (b"/a b/$(reboot)", "'/a b/$(reboot)'"),
            (b"it's", r"$'it\'s'"),
            (b"\x1b[31m\\\xff", r"$'\x1b[31m\\\xff'"),
            (b"", "''"),
        ] {
            assert_eq!(quoted(word), command);
        }
        assert_eq!(write("20000 100000", b"/x/cpu.max"), "echo '20000 100000' > /x/cpu.max");
    }
}
