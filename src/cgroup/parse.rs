//! Parsers of the files of a cgroup: bytes in, facts out. Pure.
//!
//! The formats are those of `Documentation/admin-guide/cgroup-v2.rst` ("Format") and of `cgroup-v1/*.rst`. A file that is empty or says
//! something else yields nothing; it never makes a parser panic.

use crate::model::cgroup::{Bandwidth, Limit};
use crate::model::id::parse_decimal;

/// v1 says "no limit" by the largest number of whole pages below 2^63, and pages can be of 16 GiB. No machine has half as much.
const V1_UNLIMITED: u64 = 1 << 62;

/// Parses a number that is the whole of a file.
pub fn number(text: &[u8]) -> Option<u64> {
    parse_decimal(text.trim_ascii())
}

/// Parses a limit of v2: a number or `max`.
pub fn limit(text: &[u8]) -> Option<Limit> {
    match text.trim_ascii() {
        b"max" => Some(Limit::Max),
        digits => parse_decimal(digits).map(Limit::Value),
    }
}

/// Parses a limit of v1's memory and hugetlb controllers, which say a huge number where there is none.
pub fn limit_v1(text: &[u8]) -> Option<Limit> {
    match limit(text)? {
        Limit::Value(value) if value >= V1_UNLIMITED => Some(Limit::Max),
        limit => Some(limit),
    }
}

/// Parses `cpu.max`: quota and period in microseconds.
pub fn bandwidth(text: &[u8]) -> Option<Bandwidth> {
    let mut words = words(text);
    let quota_usec = limit(words.next()?)?;
    let period_usec = words.next().map_or(Some(100_000), parse_decimal)?;
    Some(Bandwidth { quota_usec, period_usec })
}

/// Puts together what v1 has in `cpu.cfs_quota_us` (-1 is no limit) and `cpu.cfs_period_us`.
pub fn bandwidth_v1(quota: &[u8], period: &[u8]) -> Option<Bandwidth> {
    let quota_usec = match quota.trim_ascii() {
        b"-1" => Limit::Max,
        digits => Limit::Value(parse_decimal(digits)?),
    };
    Some(Bandwidth { quota_usec, period_usec: number(period)? })
}

/// Goes through the lines `KEY NUMBER` of a flat keyed file.
pub fn flat_keyed(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    lines(text).filter_map(|line| {
        let mut words = words(line);
        let (key, value) = (words.next()?, words.next()?);
        Some((key, parse_decimal(value)?))
    })
}

/// Returns the number of a key in a flat keyed file.
pub fn keyed(text: &[u8], key: &str) -> Option<u64> {
    flat_keyed(text).find(|(found, _)| *found == key.as_bytes()).map(|(_, value)| value)
}

/// Goes through the lines `KEY SUB=VALUE SUB=VALUE…` of a nested keyed file, one entry for each value.
pub fn nested_keyed(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
    lines(text).flat_map(|line| {
        let mut words = words(line);
        let key = words.next().unwrap_or_default();
        words.filter_map(move |word| {
            let equals = word.iter().position(|&byte| byte == b'=')?;
            Some((key, &word[..equals], &word[equals + 1..]))
        })
    })
}

/// Pressure of one resource: the share of time in which tasks had to wait for it, see `Documentation/accounting/psi.rst`.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Pressure {
    /// At least one task waited, in percent of the last 10, 60 and 300 seconds.
    pub some: [f64; 3],
    /// All of them waited, likewise.
    pub full: [f64; 3],
    /// How long at least one waited, in microseconds, since the cgroup was made.
    pub some_total_usec: u64,
    /// How long all of them did.
    pub full_total_usec: u64,
}

/// Parses `cpu.pressure`, `memory.pressure`, `io.pressure`; `None` where that is empty or something else.
pub fn pressure(text: &[u8]) -> Option<Pressure> {
    let mut pressure = Pressure::default();
    let mut found = false;
    for (kind, key, value) in nested_keyed(text) {
        let (averages, total) = match kind {
            b"some" => (&mut pressure.some, &mut pressure.some_total_usec),
            b"full" => (&mut pressure.full, &mut pressure.full_total_usec),
            _ => continue,
        };
        let place = match key {
            b"avg10" => 0,
            b"avg60" => 1,
            b"avg300" => 2,
            b"total" => {
                *total = parse_decimal(value)?;
                continue;
            }
            _ => continue,
        };
        averages[place] = std::str::from_utf8(value).ok()?.parse().ok().filter(|share: &f64| share.is_finite())?;
        found |= kind == b"some";
    }
    found.then_some(pressure)
}

/// Returns how many numbers a list such as `0-3,8` has; `None` where it is no such list. An empty one has none.
pub fn list_len(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Some(0);
    }
    text.split(|&byte| byte == b',').try_fold(0u64, |count, part| {
        let (first, last) = match part.iter().position(|&byte| byte == b'-') {
            Some(hyphen) => (parse_decimal(&part[..hyphen])?, parse_decimal::<u64>(&part[hyphen + 1..])?),
            None => {
                let only: u64 = parse_decimal(part)?;
                (only, only)
            }
        };
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// Goes through the numbers of `cgroup.procs`, `cgroup.threads` or `tasks`. A task of another pid namespace is a 0 there.
pub fn pids(text: &[u8]) -> impl Iterator<Item = u32> {
    lines(text).filter_map(parse_decimal)
}

/// Goes through the words of a line.
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Goes through the lines that are not empty.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_are_numbers_or_max() {
        assert_eq!(limit(b"max\n"), Some(Limit::Max));
        assert_eq!(limit(b"50331648\n"), Some(Limit::Value(50_331_648)));
        for text in ["", "\n", "min", "-1", "1.5", "max max", "18446744073709551616"] {
            assert_eq!(limit(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn v1_says_no_limit_by_a_huge_number() {
        assert_eq!(limit_v1(b"9223372036854771712\n"), Some(Limit::Max));
        assert_eq!(limit_v1(b"9223372036852678656\n"), Some(Limit::Max), "of huge pages");
        assert_eq!(limit_v1(b"1099511627776\n"), Some(Limit::Value(1 << 40)));
    }

    #[test]
    fn bandwidths_of_both_versions_are_the_same() {
        let fifth = Bandwidth { quota_usec: Limit::Value(20_000), period_usec: 100_000 };
        assert_eq!(bandwidth(b"20000 100000\n"), Some(fifth));
        assert_eq!(bandwidth_v1(b"20000\n", b"100000\n"), Some(fifth));
        let none = Bandwidth { quota_usec: Limit::Max, period_usec: 100_000 };
        assert_eq!(bandwidth(b"max 100000\n"), Some(none));
        assert_eq!(bandwidth_v1(b"-1\n", b"100000\n"), Some(none));
        for text in ["", "x", "1 x", "-1 100000"] {
            assert_eq!(bandwidth(text.as_bytes()), None, "{text}");
        }
        assert_eq!(bandwidth_v1(b"20000", b""), None);
    }

    #[test]
    fn keyed_files_are_found_by_key() {
        let events = b"low 0\nhigh 7\nmax 12\noom 1\noom_kill 3\ngarbage\noom_x\n";
        assert_eq!(keyed(events, "oom_kill"), Some(3));
        assert_eq!(keyed(events, "oom"), Some(1));
        assert_eq!(keyed(events, "oom_x"), None);
        let io = b"8:16 rbps=2097152 wbps=max riops=max wiops=120\n8:0 rbps=1\n";
        let all: Vec<_> = nested_keyed(io).collect();
        assert_eq!(all.len(), 5);
        assert_eq!(all[3], (&b"8:16"[..], &b"wiops"[..], &b"120"[..]));
    }

    #[test]
    fn pressure_is_read_with_and_without_full() {
        let text =
            b"some avg10=1.50 avg60=0.20 avg300=0.00 total=1234\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=99\n";
        let found = pressure(text).expect("pressure");
        assert_eq!((found.some, found.full), ([1.5, 0.2, 0.0], [0.5, 0.0, 0.0]));
        assert_eq!((found.some_total_usec, found.full_total_usec), (1234, 99));
        assert!(pressure(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n").is_some());
        for text in ["", "some\n", "some avg10=nan total=1\n", "some avg10=x\n", "0\n"] {
            assert_eq!(pressure(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn lists_are_counted() {
        for (text, count) in [("0\n", 1), ("0-3\n", 4), ("0-3,8,10-11", 7), ("\n", 0)] {
            assert_eq!(list_len(text.as_bytes()), Some(count), "{text:?}");
        }
        for text in ["x", "3-1", "1-", "-1", "1,,2", "0-18446744073709551615"] {
            assert_eq!(list_len(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (number(&text), limit(&text), limit_v1(&text), bandwidth(&text), bandwidth_v1(&text, &text));
            let _ = (keyed(&text, "x"), nested_keyed(&text).count(), pressure(&text), list_len(&text));
            let _ = pids(&text).count();
        }
    }
}
