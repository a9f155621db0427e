//! `KNOB=VALUE` as it was typed: which form a knob takes, and what its value means. Pure.
//!
//! A knob is called by its v2 name; any other name is taken for that of a file, and its value as it is. Not here: what is written for it
//! on which hierarchy (`translate`).

use std::fmt;
use std::str::FromStr;

use crate::cgroup::parse;
use crate::model::cgroup::{Controller, Limit};
use crate::model::id::parse_decimal;

/// A knob, and what it is to be set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The knob, by its v2 name, or the name of a file.
    pub knob: String,
    /// What it is to be.
    pub value: Value,
}

impl Asked {
    /// Says whether both set the same: `io.max` and weights have a line for each device.
    pub fn sets_same(&self, other: &Asked) -> bool {
        self.knob == other.knob && self.device() == other.device()
    }

    /// Returns the device that it is for, where it is for one.
    pub fn device(&self) -> Option<&str> {
        match &self.value {
            Value::Device(device, _) | Value::DeviceWeight(device, _) => Some(device),
            _ => None,
        }
    }
}

/// What a knob is to be set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, or none.
    Limit(Limit),
    /// A bandwidth of processors.
    Cpu(Cpu),
    /// A number within a range.
    Weight(u64),
    /// Weights of devices and of all others, as `io.weight` has them: the key is `default` or a device.
    DeviceWeight(String, u64),
    /// Yes or no.
    Flag(bool),
    /// Processors or memory nodes, as a list such as `0-3,8`.
    List(String),
    /// Limits of a device, by `rbps`, `wbps`, `riops`, `wiops`.
    Device(String, Vec<(IoKey, Limit)>),
    /// Controllers that are to be handed on (`true`) or not any more.
    Controllers(Vec<(bool, String)>),
    /// Whatever the kernel makes of it.
    Text(String),
}

/// What `cpu.max` is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// No limit.
    Max,
    /// So many millionths of a processor; the period is left as it is.
    Processors(u64),
    /// Quota and period, in microseconds.
    Quota(Limit, u64),
}

/// One of the limits of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoKey {
    /// Bytes read each second.
    Rbps,
    /// Bytes written each second.
    Wbps,
    /// Reads each second.
    Riops,
    /// Writes each second.
    Wiops,
}

impl IoKey {
    const ALL: [IoKey; 4] = [IoKey::Rbps, IoKey::Wbps, IoKey::Riops, IoKey::Wiops];

    /// Returns its name on v2.
    pub const fn name(self) -> &'static str {
        match self {
            IoKey::Rbps => "rbps",
            IoKey::Wbps => "wbps",
            IoKey::Riops => "riops",
            IoKey::Wiops => "wiops",
        }
    }

    /// Returns the file that v1 has for it.
    pub const fn v1_file(self) -> &'static str {
        match self {
            IoKey::Rbps => "blkio.throttle.read_bps_device",
            IoKey::Wbps => "blkio.throttle.write_bps_device",
            IoKey::Riops => "blkio.throttle.read_iops_device",
            IoKey::Wiops => "blkio.throttle.write_iops_device",
        }
    }

    const fn is_bytes(self) -> bool {
        matches!(self, IoKey::Rbps | IoKey::Wbps)
    }
}

/// Why a text is no knob with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// The knob, where it got so far.
    pub knob: Option<String>,
    /// What was given for it.
    pub text: String,
    /// What it takes.
    pub wants: &'static str,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.knob {
            Some(knob) => write!(f, "{knob} takes {}, not {:?}", self.wants, self.text),
            None => write!(f, "{:?} is no {}", self.text, self.wants),
        }
    }
}

impl std::error::Error for ValueError {}

/// The form that the value of a knob has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Size,
    Count,
    Number,
    Cpu,
    Weight,
    Flag,
    List,
    Io,
    IoWeight,
    Controllers,
    Text,
}

impl Form {
    fn of(knob: &str) -> Form {
        match knob {
            "memory.max" | "memory.high" | "memory.swap.max" | "memory.swap.high" | "memory.zswap.max"
            | "memory.memsw.max" | "memory.min" | "memory.low" => Form::Size,
            "pids.max" | "cgroup.max.descendants" | "cgroup.max.depth" => Form::Count,
            "cpu.max.burst" => Form::Number,
            "cpu.max" => Form::Cpu,
            "cpu.weight" => Form::Weight,
            "memory.oom.group" | "memory.zswap.writeback" | "cpu.idle" | "cgroup.pressure" => Form::Flag,
            "cpuset.cpus" | "cpuset.mems" | "cpuset.cpus.exclusive" => Form::List,
            "io.max" => Form::Io,
            "io.weight" | "io.bfq.weight" => Form::IoWeight,
            "cgroup.subtree_control" => Form::Controllers,
            _ if knob.starts_with("hugetlb.") && knob.ends_with(".max") => Form::Size,
            _ => Form::Text,
        }
    }

    const fn wants(self) -> &'static str {
        match self {
            Form::Size => "a number of bytes, with K, M, G or T for powers of 1024, or `max`",
            Form::Count => "a number, or `max`",
            Form::Number => "a number",
            Form::Cpu => {
                "a number of processors such as 1.5, `QUOTA PERIOD` in microseconds (1000 to 1000000), or `max`"
            }
            Form::Weight => "a weight from 1 to 10000",
            Form::Flag => "0 or 1",
            Form::List => "a list of numbers such as 0-3,8",
            Form::Io => "a device and its limits, such as `8:0 rbps=10M wiops=max`",
            Form::IoWeight => "a weight from 1 to 10000, with `default` or a device such as 8:0 before it",
            Form::Controllers => "controllers with + or - before them, such as `+memory -io`",
            Form::Text => "a value on one line",
        }
    }

    fn parse(self, text: &str) -> Option<Value> {
        match self {
            Form::Size => size(text).map(Value::Limit),
            Form::Count => count(text).map(Value::Limit),
            Form::Number => parse_decimal(text.as_bytes()).map(|number| Value::Limit(Limit::Value(number))),
            Form::Cpu => cpu(text).map(Value::Cpu),
            Form::Weight => weight(text).map(Value::Weight),
            Form::Flag => match text {
                "1" | "yes" | "true" => Some(Value::Flag(true)),
                "0" | "no" | "false" => Some(Value::Flag(false)),
                _ => None,
            },
            Form::List => parse::list_len(text.as_bytes()).map(|_| Value::List(text.trim().to_owned())),
            Form::Io => io_max(text),
            Form::IoWeight => io_weight(text),
            Form::Controllers => controllers(text),
            Form::Text => (!text.contains(['\n', '\0'])).then(|| Value::Text(text.to_owned())),
        }
    }
}

impl FromStr for Asked {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Asked, ValueError> {
        let no_knob = || ValueError { knob: None, text: text.to_owned(), wants: "KNOB=VALUE, such as memory.max=256M" };
        let (knob, value) = text.split_once('=').ok_or_else(no_knob)?;
        let is_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
        // A file of the directory and nothing else: no way leads out of it.
        if knob.is_empty() || !knob.chars().all(is_name) || knob.starts_with('.') {
            return Err(no_knob());
        }
        let form = Form::of(knob);
        let wrong = || ValueError { knob: Some(knob.to_owned()), text: value.to_owned(), wants: form.wants() };
        let parsed = form.parse(value).ok_or_else(wrong)?;
        Ok(Asked { knob: knob.to_owned(), value: parsed })
    }
}

impl Asked {
    /// Returns the controller that its name begins with.
    pub fn controller(&self) -> Option<Controller> {
        Controller::from_name(self.knob.split('.').next()?.as_bytes())
    }
}

/// Parses a number of bytes, or `max`.
fn size(text: &str) -> Option<Limit> {
    if text == "max" {
        return Some(Limit::Max);
    }
    let unit_at = text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let shift = match unit.strip_suffix("iB").filter(|unit| !unit.is_empty()).unwrap_or(unit) {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        "P" | "p" => 50,
        _ => return None,
    };
    scaled(number, 1 << shift).map(Limit::Value)
}

fn count(text: &str) -> Option<Limit> {
    if text == "max" { Some(Limit::Max) } else { parse_decimal(text.as_bytes()).map(Limit::Value) }
}

/// Parses a decimal number and multiplies it, without a fraction in between: `1.5` and 1024 are 1536. What is less than one is cut off.
fn scaled(text: &str, by: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole: u64 = parse_decimal(whole.as_bytes())?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let numerator: u128 = fraction.parse().ok()?;
    let below = u64::try_from(numerator * u128::from(by) / 10u128.pow(fraction.len() as u32)).ok()?;
    whole.checked_mul(by)?.checked_add(below)
}

fn cpu(text: &str) -> Option<Cpu> {
    /// A lone number beyond this is a quota that somebody forgot the period of.
    const MOST_PROCESSORS: u64 = 8192;
    let mut words = text.split_ascii_whitespace();
    let (first, second) = (words.next()?, words.next());
    if words.next().is_some() {
        return None;
    }
    if let Some(period) = second {
        let period = parse_decimal(period.as_bytes()).filter(|period| (1000..=1_000_000).contains(period))?;
        return count(first).filter(|quota| *quota >= Limit::Value(1000)).map(|quota| Cpu::Quota(quota, period));
    }
    if first == "max" {
        return Some(Cpu::Max);
    }
    let millionths = match first.strip_suffix('%') {
        Some(percent) => scaled(percent, 10_000)?,
        None => scaled(first, 1_000_000)?,
    };
    // The kernel takes a millisecond of a second at least.
    (1000..=MOST_PROCESSORS * 1_000_000).contains(&millionths).then_some(Cpu::Processors(millionths))
}

fn weight(text: &str) -> Option<u64> {
    parse_decimal(text.as_bytes()).filter(|weight| (1..=10_000).contains(weight))
}

fn is_device(text: &str) -> bool {
    let number = |text: &str| parse_decimal::<u32>(text.as_bytes()).is_some();
    text.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
}

fn io_max(text: &str) -> Option<Value> {
    let mut words = text.split_ascii_whitespace();
    let device = words.next().filter(|device| is_device(device))?;
    let mut limits: Vec<(IoKey, Limit)> = Vec::new();
    for word in words {
        let (key, value) = word.split_once('=')?;
        let key = IoKey::ALL.into_iter().find(|known| known.name() == key)?;
        let limit = if key.is_bytes() { size(value)? } else { count(value)? };
        // Nothing at all is what v1 calls no limit, and v2 refuses.
        if limit == Limit::Value(0) || limits.iter().any(|(other, _)| *other == key) {
            return None;
        }
        limits.push((key, limit));
    }
    (!limits.is_empty()).then(|| Value::Device(device.to_owned(), limits))
}

fn io_weight(text: &str) -> Option<Value> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (key, number) = match words[..] {
        [number] => ("default", number),
        [key, number] if key == "default" || is_device(key) => (key, number),
        _ => return None,
    };
    weight(number).map(|weight| Value::DeviceWeight(key.to_owned(), weight))
}

fn controllers(text: &str) -> Option<Value> {
    let parsed: Option<Vec<(bool, String)>> = text
        .split_ascii_whitespace()
        .map(|word| {
            let (on, name) = match word.strip_prefix('+') {
                Some(name) => (true, name),
                None => (false, word.strip_prefix('-')?),
            };
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            (!name.is_empty() && name.bytes().all(is_name)).then(|| (on, name.to_owned()))
        })
        .collect();
    parsed.filter(|all| !all.is_empty()).map(Value::Controllers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> Value {
        text.parse::<Asked>().unwrap_or_else(|error| panic!("{text}: {error}")).value
    }

    #[test]
    fn each_knob_takes_its_own_form() {
        use Value::{Controllers, Device, DeviceWeight, Flag, List, Text, Weight};
        let bytes = |number| Value::Limit(Limit::Value(number));
        for (text, expected) in [
            ("memory.max=268435456", bytes(256 << 20)),
            ("memory.max=256M", bytes(256 << 20)),
            ("memory.high=1.5G", bytes(3 << 29)),
            ("memory.low=256MiB", bytes(256 << 20)),
            ("memory.min=4k", bytes(4096)),
            ("memory.swap.max=0", bytes(0)),
            ("memory.max=max", Value::Limit(Limit::Max)),
            ("hugetlb.2MB.max=4M", bytes(4 << 20)),
            ("hugetlb.1GB.rsvd.max=max", Value::Limit(Limit::Max)),
            ("pids.max=100", bytes(100)),
            ("pids.max=max", Value::Limit(Limit::Max)),
            ("cgroup.max.descendants=3", bytes(3)),
            ("cpu.max.burst=20000", bytes(20_000)),
            ("cpu.max=1.5", Value::Cpu(Cpu::Processors(1_500_000))),
            ("cpu.max=20%", Value::Cpu(Cpu::Processors(200_000))),
            ("cpu.max=20000 100000", Value::Cpu(Cpu::Quota(Limit::Value(20_000), 100_000))),
            ("cpu.max=max 50000", Value::Cpu(Cpu::Quota(Limit::Max, 50_000))),
            ("cpu.max=max", Value::Cpu(Cpu::Max)),
            ("cpu.weight=200", Weight(200)),
            ("memory.oom.group=1", Flag(true)),
            ("cpu.idle=no", Flag(false)),
            ("cpuset.cpus=0-1,3", List("0-1,3".into())),
            ("cpuset.mems=", List(String::new())),
            (
                "io.max=8:0 rbps=10M wiops=max",
                Device("8:0".into(), vec![(IoKey::Rbps, Limit::Value(10 << 20)), (IoKey::Wiops, Limit::Max)]),
            ),
            ("io.weight=50", DeviceWeight("default".into(), 50)),
            ("io.weight=8:16 50", DeviceWeight("8:16".into(), 50)),
            ("cgroup.subtree_control=+memory -io", Controllers(vec![(true, "memory".into()), (false, "io".into())])),
            ("misc.max=res_a 5", Text("res_a 5".into())),
            ("memory.swappiness=10", Text("10".into())),
            ("cgroup.type=threaded", Text("threaded".into())),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_written() {
        for text in [
            "",
            "memory.max",
            "=1",
            "../x=1",
            "a/b=1",
            ".x=1",
            "a b=1",
            "memory.max=",
            "memory.max=-1",
            "memory.max=1X",
            "memory.max=1KB",
            "memory.max=iB",
            "memory.max=1.G",
            "memory.max=.5G",
            "memory.max=99999999999P",
            "memory.max=1 M",
            "pids.max=1K",
            "pids.max=1.5",
            "cpu.max=0",
            "cpu.max=20000",
            "cpu.max=0.0001",
            "cpu.max=-1",
            "cpu.max=20000 10",
            "cpu.max=10 100000",
            "cpu.max=1 2 3",
            "cpu.weight=0",
            "cpu.weight=10001",
            "memory.oom.group=2",
            "cpuset.cpus=x",
            "cpuset.cpus=3-1",
            "io.max=8:0",
            "io.max=sda rbps=1",
            "io.max=8:0 rbps=0",
            "io.max=8:0 rbps=1 rbps=2",
            "io.max=8:0 x=1",
            "io.weight=sda 5",
            "cgroup.subtree_control=memory",
            "cgroup.subtree_control=+",
            "cgroup.subtree_control=",
            "misc.max=a\nb",
        ] {
            assert!(text.parse::<Asked>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_says_what_the_knob_takes() {
        let error = "cpu.weight=0".parse::<Asked>().expect_err("wrong");
        assert_eq!(error.to_string(), "cpu.weight takes a weight from 1 to 10000, not \"0\"");
        let error = "x".parse::<Asked>().expect_err("wrong");
        assert_eq!(error.to_string(), "\"x\" is no KNOB=VALUE, such as memory.max=256M");
    }

    #[test]
    fn a_knob_belongs_to_the_controller_that_it_begins_with() {
        let of = |text: &str| text.parse::<Asked>().expect("a knob").controller();
        assert_eq!(of("memory.max=1"), Some(Controller::Memory));
        assert_eq!(of("blkio.weight=1"), Some(Controller::Io));
        assert_eq!(of("cgroup.max.depth=1"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(knob in "[a-z.]{0,12}", text in "\\PC{0,30}") {
            let known = ["memory.max", "pids.max", "cpu.max", "cpu.weight", "cpuset.cpus", "io.max", "io.weight",
                "memory.oom.group", "cgroup.subtree_control", "cpu.max.burst", &knob];
            for knob in known {
                let _ = format!("{knob}={text}").parse::<Asked>();
            }
            let _ = text.parse::<Asked>();
        }

        #[test]
        fn no_number_makes_the_parser_panic(text in "[0-9.%KMGTmax: =]{0,24}") {
            for knob in ["memory.max", "cpu.max", "io.max", "io.weight", "cpuset.cpus"] {
                let _ = format!("{knob}={text}").parse::<Asked>();
            }
        }
    }
}
