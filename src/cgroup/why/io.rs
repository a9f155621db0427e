//! Time that is lost by waiting: pressure, and devices whose use is limited. Pure.
//!
//! No counter says that io.max was reached. What shows it is a rate at the limit, for which two readings are needed, or pressure. See
//! `Documentation/accounting/psi.rst`, `cgroup-v1/blkio-controller.rst`.

use super::look::{At, Look, number};
use super::words::{quoted, seconds, size, write};
use super::{Evidence, Finding, Severity};
use crate::cgroup::effective::{Binder, Effective};
use crate::cgroup::files::Files;
use crate::cgroup::parse::{self, Pressure};
use crate::model::cgroup::Version;

/// What may be waited for: its file, who waits, from how many percent of time on it is told, and from how many on it is bad. Some waiting
/// for processors is what a busy host is like.
const RESOURCES: [(&str, &str, f64, f64); 3] = [
    ("memory.pressure", "memory", 10.0, 10.0),
    ("io.pressure", "devices", 10.0, 20.0),
    ("cpu.pressure", "a processor", 10.0, 50.0),
];

pub(super) fn look_for(look: &Look<'_>, found: &mut Vec<Finding>) {
    let leaf = look.unified().and_then(|hierarchy| look.levels(hierarchy).pop()).filter(|at| at.is_leaf);
    limited(look, leaf.as_ref(), found);
    let Some(leaf) = leaf else { return };
    for (file, what, told, bad) in RESOURCES {
        found.extend(pressure(look, &leaf, file, what, told, bad));
    }
    if !leaf.files().is_root() {
        found.extend(off(&leaf));
    }
}

/// How many percent of time was lost, by some and by all of the tasks: since the earlier reading, or in the last ten seconds.
fn lost(look: &Look<'_>, at: &At<'_>, file: &str) -> Option<(f64, f64, Pressure)> {
    let read = |files: &Files| parse::pressure(files.get(file)?);
    let now = read(at.files())?;
    let watched = look.before.map(|before| before.watched.as_micros() as f64).filter(|usec| *usec > 0.0);
    match (watched, at.files_before().and_then(read)) {
        (Some(watched), Some(then)) => {
            let percent = |now: u64, then: u64| (now.saturating_sub(then) as f64 * 100.0 / watched).min(100.0);
            let some = percent(now.some_total_usec, then.some_total_usec);
            Some((some, percent(now.full_total_usec, then.full_total_usec), now))
        }
        _ => Some((now.some[0], now.full[0], now)),
    }
}

fn pressure(look: &Look<'_>, at: &At<'_>, file: &str, what: &str, told: f64, bad: f64) -> Option<Finding> {
    let (some, full, now) = lost(look, at, file)?;
    if some <= told {
        return None;
    }
    let when = match look.before {
        Some(before) => format!("in {}", seconds(u64::try_from(before.watched.as_micros()).unwrap_or(u64::MAX))),
        None => "in the last 10 s".to_owned(),
    };
    let who = if at.files().is_root() { "of the whole host " } else { "" };
    let all = if full >= 0.05 { format!(", all of them at once {full:.1} %") } else { String::new() };
    let explanation = format!("Some tasks {who}waited for {what} {some:.1} % of the time {when}{all}.");
    let severity = if some >= bad { Severity::Warning } else { Severity::Info };
    let then = at.files_before().and_then(|files| parse::pressure(files.get(file)?));
    let total = |now: u64, then: Option<u64>| {
        let change =
            look.before.map(|_| i64::try_from(now.saturating_sub(then.unwrap_or_default())).unwrap_or(i64::MAX));
        (now.to_string(), change)
    };
    let (value, change) = total(now.some_total_usec, then.map(|then| then.some_total_usec));
    let average = |key: &str, value: f64| Evidence {
        file: at.file(file),
        key: key.to_owned(),
        value: format!("{value:.2}"),
        change: None,
    };
    let evidence = [
        average("some avg10", now.some[0]),
        average("full avg10", now.full[0]),
        Evidence { file: at.file(file), key: "some total".to_owned(), value, change },
    ];
    Some(at.finding("pressure", severity, explanation).with(evidence))
}

/// Limits of devices, where they can be seen to matter. One finding for each cgroup that sets some.
fn limited(look: &Look<'_>, leaf: Option<&At<'_>>, found: &mut Vec<Finding>) {
    let all = look.effective("io.max");
    let Some(first) = all.first() else { return };
    let levels = look.levels(first.hierarchy);
    // Without pressure a limit may be there and hurt nobody.
    let waiting = leaf.and_then(|leaf| Some((lost(look, leaf, "io.pressure")?.0, leaf)));
    for (level, at) in levels.iter().enumerate().rev() {
        let of_it: Vec<&Effective> = all
            .iter()
            .filter(|one| one.effective.by == Some(Binder::Level(level)) && number(one.effective.limit).is_some())
            .collect();
        if of_it.is_empty() {
            continue;
        }
        let at_limit: Vec<(&Effective, u64)> = of_it
            .iter()
            .filter_map(|one| Some((*one, rate(look, at, one)?)))
            .filter(|(one, rate)| is_at(one, *rate))
            .collect();
        let hurts = waiting.filter(|(some, _)| *some >= 1.0);
        let limits = |ones: &[&Effective]| ones.iter().map(|one| words(one)).collect::<Vec<_>>().join(", ");
        let whose =
            if at.is_leaf { "Its own".to_owned() } else { format!("The io.max of {}, which is above,", at.name()) };
        let (severity, explanation) = if at_limit.is_empty() {
            // By two readings it is known whether a limit was reached.
            let Some((some, _)) = hurts.filter(|_| look.before.is_none()) else { continue };
            let severity = if some > 10.0 { Severity::Warning } else { Severity::Info };
            let whose = if at.is_leaf { "Its own io.max".to_owned() } else { whose };
            let limits = limits(&of_it);
            let explanation = format!(
                "{whose} limits {limits}, and tasks here waited for devices {some:.1} % of the last 10 s. Whether for that reason is not \
                 counted; --watch compares rates."
            );
            (severity, explanation)
        } else {
            let rates = at_limit.iter().map(|(one, rate)| format!("{} (used: {})", words(one), amount(one, *rate)));
            let rates = rates.collect::<Vec<_>>().join(", ");
            let whose = if at.is_leaf { "Its own io.max".to_owned() } else { whose };
            (Severity::Warning, format!("{whose} is reached: {rates}."))
        };
        let mut evidence: Vec<Evidence> = of_it.iter().filter_map(|one| limit_evidence(at, one)).collect();
        if let Some((_, leaf)) = hurts {
            let some = parse::pressure(leaf.files().get("io.pressure").unwrap_or_default()).map(|now| now.some[0]);
            evidence.extend(some.map(|some| Evidence {
                file: leaf.file("io.pressure"),
                key: "some avg10".to_owned(),
                value: format!("{some:.2}"),
                change: None,
            }));
        }
        let fix = at_limit.first().map(|(one, _)| *one).or(of_it.first().copied()).and_then(|one| lift(at, one));
        found.push(Finding { fix, ..at.finding("io-max", severity, explanation).with(evidence) });
    }
}

/// Splits the key of a limit: the device, and what of it.
fn parts(one: &Effective) -> Option<(&str, &str)> {
    one.key.as_deref()?.rsplit_once(' ')
}

/// Returns how much a device was used each second since the earlier reading, by this cgroup and those below.
fn rate(look: &Look<'_>, at: &At<'_>, one: &Effective) -> Option<u64> {
    let (device, what) = parts(one)?;
    let seconds = look.before?.watched.as_secs_f64();
    let read = |files: &Files| used(files, device, what);
    let change = read(at.files())?.checked_sub(read(at.files_before()?)?)?;
    (seconds > 0.0).then(|| (change as f64 / seconds) as u64)
}

fn used(files: &Files, device: &str, what: &str) -> Option<u64> {
    match files.version {
        Version::V2 => {
            let key = match what {
                "rbps" => "rbytes",
                "wbps" => "wbytes",
                "riops" => "rios",
                "wiops" => "wios",
                _ => return None,
            };
            let mut values = parse::nested_keyed(files.get("io.stat")?);
            let (.., value) = values.find(|(found, sub, _)| *found == device.as_bytes() && *sub == key.as_bytes())?;
            parse::number(value)
        }
        Version::V1 => {
            let (file, word) = match what {
                "rbps" => ("blkio.throttle.io_service_bytes_recursive", "Read"),
                "wbps" => ("blkio.throttle.io_service_bytes_recursive", "Write"),
                "riops" => ("blkio.throttle.io_serviced_recursive", "Read"),
                "wiops" => ("blkio.throttle.io_serviced_recursive", "Write"),
                _ => return None,
            };
            parse::lines(files.get(file)?).find_map(|line| {
                let mut words = parse::words(line);
                let is_it = words.next()? == device.as_bytes() && words.next()? == word.as_bytes();
                if is_it { parse::number(words.next()?) } else { None }
            })
        }
    }
}

/// Says whether a rate is a limit's, as nearly as a rate can be.
fn is_at(one: &Effective, rate: u64) -> bool {
    number(one.effective.limit).is_some_and(|limit| rate >= limit - limit / 5)
}

fn amount(one: &Effective, value: u64) -> String {
    match parts(one) {
        Some((_, what)) if what.ends_with("iops") => format!("{value}/s"),
        _ => format!("{}/s", size(value)),
    }
}

fn words(one: &Effective) -> String {
    let limit = number(one.effective.limit).unwrap_or_default();
    match parts(one) {
        Some((device, what)) => format!("{what} of device {device} to {}", amount(one, limit)),
        None => amount(one, limit),
    }
}

/// Returns the file that v1 has for a limit.
fn v1_file(what: &str) -> Option<&'static str> {
    Some(match what {
        "rbps" => "blkio.throttle.read_bps_device",
        "wbps" => "blkio.throttle.write_bps_device",
        "riops" => "blkio.throttle.read_iops_device",
        "wiops" => "blkio.throttle.write_iops_device",
        _ => return None,
    })
}

fn limit_evidence(at: &At<'_>, one: &Effective) -> Option<Evidence> {
    let (device, what) = parts(one)?;
    let value = number(one.effective.limit)?.to_string();
    Some(match at.files().version {
        Version::V2 => Evidence { file: at.file("io.max"), key: format!("{device} {what}"), value, change: None },
        Version::V1 => Evidence { file: at.file(v1_file(what)?), key: device.to_owned(), value, change: None },
    })
}

fn lift(at: &At<'_>, one: &Effective) -> Option<String> {
    let (device, what) = parts(one)?;
    Some(match at.files().version {
        Version::V2 => write(&format!("{device} {what}=max"), &at.file("io.max")),
        Version::V1 => write(&format!("{device} 0"), &at.file(v1_file(what)?)),
    })
}

/// Pressure may not be measured at all: that is not the same as none.
fn off(at: &At<'_>) -> Option<Finding> {
    if RESOURCES.iter().any(|(file, ..)| at.has(file)) {
        return None;
    }
    let is_switched_off = at.files().number("cgroup.pressure") == Some(0);
    let explanation = if is_switched_off {
        "Pressure is not measured here, by cgroup.pressure: whether tasks wait is not known."
    } else {
        "Pressure is not measured: the kernel is one without PSI, or was booted without psi=1. Whether tasks wait is not known."
    };
    let finding = at.finding("psi-off", Severity::Info, explanation.to_owned()).with(at.says("cgroup.pressure"));
    Some(finding.fixed_by(match is_switched_off {
        true => write("1", &at.file("cgroup.pressure")),
        false => format!("grep -H PSI {}; cat /proc/cmdline", quoted(b"/boot/config-") + "$(uname -r)"),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, Made, essence, evidence};
    use super::*;

    const ROOT: Made<'_> = ("/", &[]);

    #[test]
    fn pressure_is_an_average_or_a_difference() {
        let now = "some avg10=12.50 avg60=0.00 avg300=0.00 total=3000000\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=1000000\n";
        let case = Case::v2(&[ROOT, ("/a", &[("memory.pressure", now)])]);
        let found = case.only("pressure");
        assert_eq!(
            found.explanation,
            "Some tasks waited for memory 12.5 % of the time in the last 10 s, all of them at once 3.0 %."
        );
        // Half of the five seconds.
        let then = "some avg10=0.00 avg60=0.00 avg300=0.00 total=500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n";
        let found = case.before(&[ROOT, ("/a", &[("memory.pressure", then)])]).only("pressure");
        assert_eq!(found.explanation, "Some tasks waited for memory 50.0 % of the time in 5.0 s.");
        assert_eq!(evidence(&found)[2], "/a/memory.pressure: some total 3000000 (+2500000)");
        // Some waiting for processors is no harm.
        let found = Case::v2(&[ROOT, ("/a", &[("cpu.pressure", now)])]).only("pressure");
        assert_eq!(found.severity, Severity::Info);
    }

    #[test]
    fn a_limit_of_a_device_is_seen_by_the_rate() {
        const LIMIT: (&str, &str) = ("io.max", "8:0 rbps=1048576 wbps=max riops=max wiops=max\n");
        let a = |stat| -> [(&str, &str); 2] { [LIMIT, ("io.stat", stat)] };
        let (then, slow, fast) = (
            a("8:0 rbytes=100 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"),
            a("8:0 rbytes=1000000 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"),
            a("8:0 rbytes=5242980 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"),
        );
        let b: Made<'_> = ("/a/b", &[]);
        let found = Case::v2(&[ROOT, ("/a", &fast), b]).before(&[ROOT, ("/a", &then), b]).only("io-max");
        assert_eq!(essence(&found), ("/a", Severity::Warning, Some("echo '8:0 rbps=max' > /sys/fs/cgroup/a/io.max")));
        assert_eq!(
            found.explanation,
            "The io.max of /a, which is above, is reached: rbps of device 8:0 to 1M/s (used: 1M/s)."
        );
        assert_eq!(Case::v2(&[ROOT, ("/a", &slow), b]).before(&[ROOT, ("/a", &then), b]).ids(), [""; 0]);
        // Without a second reading it is only known to be there.
        let waits = ("io.pressure", "some avg10=30.00 avg60=0.00 avg300=0.00 total=0\n");
        let found = Case::v2(&[ROOT, ("/a", &[LIMIT, waits])]).one("io-max");
        assert!(found.explanation.contains("Whether for that reason is not counted"), "{found:?}");
    }

    #[test]
    fn pressure_that_is_not_measured_is_not_none() {
        let files = ["cpu.pressure", "memory.pressure", "io.pressure"];
        let found = Case::v2(&[ROOT, ("/a", &[])]).without(&files).only("psi-off");
        assert!(found.explanation.contains("booted without psi=1"), "{found:?}");
        let found = Case::v2(&[ROOT, ("/a", &[("cgroup.pressure", "0\n")])]).without(&files).only("psi-off");
        assert_eq!(essence(&found), ("/a", Severity::Info, Some("echo 1 > /sys/fs/cgroup/a/cgroup.pressure")));
    }
}
