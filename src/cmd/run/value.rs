//! Parsers of option values of `nsx run`: text in, parts of the request out. Pure; the system is not asked.
//!
//! Not here: limits (`limits`), variables (`environment`), what several commands take (`cmd::value`).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValue, StringValueParser, TypedValueParser};

use crate::cgroup::change::Asked;
use crate::cgroup::change::value::Value;
use crate::cmd::value::{TargetParser, time};
use crate::launch::run::{Bind, NameOrId, Net, Tmpfs, User};
use crate::model::cgroup::Limit;
use crate::model::id::parse_decimal;
use crate::model::{CapSet, NsKind};
use crate::select::Target;

/// Parses a number of bytes, as limits have it.
pub fn bytes(text: &str) -> Option<u64> {
    match format!("memory.max={text}").parse().ok()? {
        Asked { value: Value::Limit(Limit::Value(bytes)), .. } => Some(bytes),
        _ => None,
    }
}

/// Parses `--name`, and what nsx-kill(1) takes.
///
/// # Errors
/// Whatever is no name.
pub fn name(text: &str) -> Result<String, String> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts_well && text.bytes().all(is_good) && text.len() <= 63 {
        Ok(text.to_owned())
    } else {
        Err("not a letter or digit, followed by letters, digits, `_`, `.` or `-`, 63 together at most".to_owned())
    }
}

/// Parses what a path or a name is made of: all bytes but NUL, and one at least.
fn some_bytes(text: OsString) -> Result<OsString, &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.as_bytes().contains(&0) {
        Err("it has a NUL byte in it")
    } else {
        Ok(text)
    }
}

/// Returns the parser of a path of the caller's.
pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text| some_bytes(text).map(PathBuf::from))
}

/// Returns the parser of a path that does not depend on where the caller is.
pub fn absolute() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text| inside(some_bytes(text)?.as_bytes()))
}

/// Parses an absolute path without `..`; what says nothing in it is left out.
fn inside(text: &[u8]) -> Result<PathBuf, &'static str> {
    let path = Path::new(OsStr::from_bytes(text));
    if !path.is_absolute() {
        return Err("the path is not absolute");
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err("the path has `..` in it");
    }
    Ok(path.components().collect())
}

/// Parses the place of a mount.
fn mount_point(text: &[u8]) -> Result<PathBuf, &'static str> {
    let path = inside(text)?;
    if path.parent().is_none() {
        Err("nothing can be mounted on /: it is what --rootfs names")
    } else if path.starts_with("/proc") {
        Err("nothing can be mounted in /proc")
    } else if path == Path::new("/dev") {
        Err("nothing can be mounted on /dev: the sandbox has one of its own")
    } else {
        Ok(path)
    }
}

/// Returns the parser of `--volume`.
pub fn volume() -> impl TypedValueParser<Value = Bind> {
    OsStringValueParser::new().try_map(|text| {
        let text = some_bytes(text)?.into_vec();
        let parts: Vec<&[u8]> = text.split(|&byte| byte == b':').collect();
        let (source, target, read_only) = match parts[..] {
            [source, target] => (source, target, false),
            [source, target, b"rw"] => (source, target, false),
            [source, target, b"ro"] => (source, target, true),
            [_] => return Err("not SRC:DST, the path of the host's and the one inside"),
            _ => return Err("more than SRC:DST and `ro` or `rw`; a path with a colon cannot be given"),
        };
        if source.is_empty() {
            return Err("SRC is empty");
        }
        Ok(Bind { source: OsStr::from_bytes(source).into(), target: mount_point(target)?, read_only })
    })
}

/// Returns the parser of `--tmpfs`.
pub fn tmpfs() -> impl TypedValueParser<Value = Tmpfs> {
    OsStringValueParser::new().try_map(|text| {
        let text = some_bytes(text)?.into_vec();
        let mut parts = text.splitn(2, |&byte| byte == b':');
        let target = mount_point(parts.next().unwrap_or_default())?;
        let Some(option) = parts.next() else { return Ok(Tmpfs { target, size_bytes: None }) };
        let size = option.strip_prefix(b"size=").and_then(|size| std::str::from_utf8(size).ok());
        let size = size.ok_or("not DST or DST:size=SIZE; a path with a colon cannot be given")?;
        // To tmpfs(5) nothing is no limit.
        match bytes(size) {
            Some(size) if size > 0 => Ok(Tmpfs { target, size_bytes: Some(size) }),
            _ => Err("the size is not a number of bytes, with K, M, G or T for powers of 1024"),
        }
    })
}

/// Returns the parser of `--hostname`.
pub fn hostname() -> impl TypedValueParser<Value = OsString> {
    /// sethostname(2) takes no more.
    const LONGEST: usize = 64;
    OsStringValueParser::new().try_map(|text| {
        let text = some_bytes(text)?;
        let bad = |byte: &u8| !byte.is_ascii_alphanumeric() && !matches!(*byte, b'-' | b'.' | b'_');
        if text.len() > LONGEST {
            Err("a host name has 64 bytes at most")
        } else if text.as_bytes().iter().any(bad) {
            Err("a host name has letters, digits, `-`, `.` and `_` only, see hostname(7)")
        } else {
            Ok(text)
        }
    })
}

/// Parses `--cap-add` and `--cap-drop`.
///
/// # Errors
/// The name that is no capability's.
pub fn caps(text: &str) -> Result<CapSet, String> {
    text.split(',').try_fold(CapSet::EMPTY, |set, word| {
        if word.trim().eq_ignore_ascii_case("all") {
            return Ok(CapSet::ALL);
        }
        CapSet::parse(word).map(|one| set | one).map_err(|name| format!("no capability is called {name:?}"))
    })
}

/// Parses the words of `--share`.
#[derive(Clone, Debug)]
pub struct ShareParser;

impl ShareParser {
    fn kind(text: &str) -> Result<NsKind, String> {
        match NsKind::from_name(text.to_ascii_lowercase().as_bytes()) {
            Some(NsKind::Mnt) => Err("a sandbox has mounts of its own; --volume shows what the host has, and \
                                      `nsx enter -t PID -m` runs a command among the mounts of a process"
                .to_owned()),
            Some(NsKind::User) => Err("for no user namespace, say --userns host".to_owned()),
            Some(kind) => Ok(kind),
            None => Err("none of cgroup, ipc, net, pid, time, uts".to_owned()),
        }
    }
}

impl TypedValueParser for ShareParser {
    type Value = NsKind;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<NsKind, clap::Error> {
        StringValueParser::new().try_map(|text| ShareParser::kind(&text)).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let kinds = NsKind::ALL.into_iter().filter(|kind| !matches!(kind, NsKind::Mnt | NsKind::User));
        Some(Box::new(kinds.map(|kind| PossibleValue::new(kind.name()).help(kind.what()))))
    }
}

/// Parses `--net`.
#[derive(Clone, Debug)]
pub struct NetParser;

impl TypedValueParser for NetParser {
    type Value = Net;

    fn parse_ref(&self, command: &clap::Command, arg: Option<&clap::Arg>, value: &OsStr) -> Result<Net, clap::Error> {
        let wrong = |what: &'static str| {
            let refused = StringValueParser::new().try_map(move |_| Err::<Net, _>(what));
            refused.parse_ref(command, arg, OsStr::new(&*value.to_string_lossy()))
        };
        match value.as_bytes() {
            b"none" => return Ok(Net::None),
            b"host" => return Ok(Net::Host),
            bytes if bytes.contains(&0) => return wrong("it has a NUL byte in it"),
            _ => {}
        }
        match TargetParser.parse_ref(command, arg, value) {
            Ok(Target::Own) => Ok(Net::Host),
            Ok(Target::Cgroup(_)) => wrong("a cgroup has no network"),
            Ok(Target::Namespace(name)) if name.kind != NsKind::Net => wrong("it is not a network namespace"),
            Ok(target) => Ok(Net::Target(target)),
            Err(_) => wrong(
                "none of: none, host, PID, PID:INODE, a container's name or id, net:[INODE], INODE, netns:NAME, a path with a slash",
            ),
        }
    }
}

/// What `--userns` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserNsWord {
    /// `auto`
    Auto,
    /// `root`
    Root,
    /// `keep`
    Keep,
    /// `host`
    Host,
    /// `map=…`
    Map(IdMap),
}

/// Ids inside, ids outside, how many: none is mapped twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap(pub Vec<[u32; 3]>);

/// Parses `--userns`.
///
/// # Errors
/// What is no mode, and what is no map.
pub fn userns(text: &str) -> Result<UserNsWord, String> {
    match text {
        "auto" => Ok(UserNsWord::Auto),
        "root" => Ok(UserNsWord::Root),
        "keep" => Ok(UserNsWord::Keep),
        "host" => Ok(UserNsWord::Host),
        _ => match text.strip_prefix("map=") {
            Some(map) => id_map(map).map(UserNsWord::Map),
            None => Err("none of auto, root, keep, host, map=IN:OUT:COUNT,…".to_owned()),
        },
    }
}

/// Parses the maps of `--userns` and `--gid-map`.
///
/// # Errors
/// What is no map, or maps an id twice.
pub fn id_map(text: &str) -> Result<IdMap, String> {
    /// The kernel takes no more, see user_namespaces(7).
    const MOST: usize = 340;
    let mut map: Vec<[u32; 3]> = Vec::new();
    for word in text.split(',') {
        let numbers: Option<Vec<u32>> = word.split(':').map(|number| parse_decimal(number.as_bytes())).collect();
        let [inside, outside, count] = numbers
            .as_deref()
            .and_then(|numbers| <[u32; 3]>::try_from(numbers).ok())
            .ok_or_else(|| format!("{word:?} is not IN:OUT:COUNT, three numbers such as 0:100000:65536"))?;
        if count == 0 {
            return Err(format!("{word:?} maps no id"));
        }
        // The largest number is no id.
        if [inside, outside].iter().any(|first| first.checked_add(count).is_none()) {
            return Err(format!("{word:?} goes beyond the largest id, 4294967294"));
        }
        let overlaps =
            |first: u32, of: usize| map.iter().any(|other| first < other[of] + other[2] && other[of] < first + count);
        if overlaps(inside, 0) || overlaps(outside, 1) {
            return Err(format!("{word:?} maps ids that are mapped already"));
        }
        map.push([inside, outside, count]);
    }
    if map.len() > MOST { Err(format!("more than {MOST} ranges")) } else { Ok(IdMap(map)) }
}

/// Parses `--user`.
///
/// # Errors
/// Whatever is neither a number nor a name.
pub fn user(text: &str) -> Result<User, String> {
    let one = |text: &str| {
        name_or_id(text).ok_or_else(|| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let why = if is_number { "beyond the largest id, 4294967294" } else { "neither a number nor a name" };
            format!("{text:?} is {why}")
        })
    };
    match text.split_once(':') {
        Some((user, group)) => Ok(User { user: one(user)?, group: Some(one(group)?) }),
        None => Ok(User { user: one(text)?, group: None }),
    }
}

fn name_or_id(text: &str) -> Option<NameOrId> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        // The largest number stands for "no change" in setresuid(2).
        return parse_decimal(text.as_bytes()).filter(|number| *number != u32::MAX).map(NameOrId::Id);
    }
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'$');
    (starts_well && text.len() <= 256 && text.bytes().all(is_good)).then(|| NameOrId::Name(text.to_owned()))
}

/// A clock that a time namespace has its own of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// CLOCK_MONOTONIC.
    Monotonic,
    /// CLOCK_BOOTTIME.
    Boottime,
}

/// How far a clock is ahead, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// Which one; `None` is both.
    pub clock: Option<Clock>,
    /// How far, in nanoseconds.
    pub nsec: i128,
}

/// Parses `--time-offset`.
///
/// # Errors
/// What is no clock, and what is no time.
pub fn time_offset(text: &str) -> Result<ClockOffset, String> {
    /// Half of what a clock of the kernel can show, which it takes for the most.
    const MOST: Duration = Duration::from_secs(53_375 * 86400);
    let (clock, signed) = match text.split_once('=') {
        Some(("monotonic", signed)) => (Some(Clock::Monotonic), signed),
        Some(("boottime", signed)) => (Some(Clock::Boottime), signed),
        Some((word, _)) => return Err(format!("{word:?} is neither monotonic nor boottime")),
        None => (None, text),
    };
    let (sign, unsigned) = match signed.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, signed.strip_prefix('+').unwrap_or(signed)),
    };
    let nsec = time(unsigned, MOST)?.as_nanos() as i128 * sign;
    Ok(ClockOffset { clock, nsec })
}
