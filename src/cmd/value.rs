//! Parsers of option values: text in, types of the model out, with the values that completions offer.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};

use crate::launch::{Caps, Id, Timeout};
use crate::model::id::parse_decimal;
use crate::model::{CapSet, NsKind};
use crate::render::column::COLUMNS;
use crate::select::{Expr, Target, TreeBy};

impl ValueEnum for NsKind {
    fn value_variants<'a>() -> &'a [NsKind] {
        &NsKind::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.what()))
    }
}

impl ValueEnum for TreeBy {
    fn value_variants<'a>() -> &'a [TreeBy] {
        &[TreeBy::Owner, TreeBy::Parent, TreeBy::Process]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            TreeBy::Owner => PossibleValue::new("owner").help("below the user namespace that owns it"),
            TreeBy::Parent => PossibleValue::new("parent").help("below its parent (pid and user namespaces)"),
            TreeBy::Process => PossibleValue::new("process").help("below the namespace that its leader came from"),
        })
    }
}

/// One word of `-o`: a column, a column to add, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnWord {
    /// `all`
    All,
    /// `+COL`: in addition to what is there.
    Add(usize),
    /// `COL`
    Only(usize),
}

/// Targets come as they were typed: the names of cgroups and files need not be UTF-8.
impl clap::builder::ValueParserFactory for Target {
    type Parser = TargetParser;

    fn value_parser() -> TargetParser {
        TargetParser
    }
}

/// Parses targets.
#[derive(Clone, Debug)]
pub struct TargetParser;

impl TypedValueParser for TargetParser {
    type Value = Target;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Target, clap::Error> {
        let bytes = value.as_bytes();
        if std::str::from_utf8(bytes).is_err() {
            match bytes.strip_prefix(b"cgroup:") {
                Some(path) if path.starts_with(b"/") => return Ok(Target::Cgroup(path.to_vec())),
                None if bytes.contains(&b'/') => return Ok(Target::File(value.into())),
                _ => {}
            }
        }
        StringValueParser::new().try_map(|text| text.parse::<Target>()).parse_ref(command, argument, value)
    }
}

/// The columns of a table: their names, and what they say.
pub type Names = Vec<(&'static str, &'static str)>;

/// Returns the columns of `nsx ls`.
pub fn ls_columns() -> Names {
    COLUMNS.iter().map(|column| (column.key, column.help)).collect()
}

/// Returns the number of the column with this name, in any case.
fn find(names: &Names, name: &str) -> Option<usize> {
    names.iter().position(|(key, _)| key.eq_ignore_ascii_case(name))
}

/// Returns the parser of the words of `-o`.
pub fn column_word(names: Names) -> impl TypedValueParser<Value = ColumnWord> {
    let values: Vec<PossibleValue> = names
        .iter()
        .map(|(key, help)| PossibleValue::new(*key).help(*help))
        .chain([PossibleValue::new("all").help("every column")])
        .chain(names.iter().map(|(key, _)| {
            // Known, so that it parses; the plain names are enough in help texts.
            PossibleValue::new(added_name(key)).hide(true)
        }))
        .collect();
    PossibleValuesParser::new(values).map(move |word| {
        let (added, name) = word.strip_prefix('+').map_or((false, word.as_str()), |name| (true, name));
        match find(&names, name) {
            Some(index) if added => ColumnWord::Add(index),
            Some(index) => ColumnWord::Only(index),
            None => ColumnWord::All,
        }
    })
}

fn added_name(key: &str) -> String {
    format!("+{key}")
}

/// What to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: usize,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// Returns the parser of `--sort`.
pub fn sort_key(names: Names) -> impl TypedValueParser<Value = SortKey> {
    let values: Vec<PossibleValue> = names
        .iter()
        .map(|(key, help)| PossibleValue::new(*key).help(*help))
        .chain(names.iter().map(|(key, _)| PossibleValue::new(format!("-{key}")).hide(true)))
        .collect();
    PossibleValuesParser::new(values).map(move |word| {
        let (descending, name) = word.strip_prefix('-').map_or((false, word.as_str()), |name| (true, name));
        // The parser above lets nothing else through.
        SortKey { column: find(&names, name).unwrap_or_default(), descending }
    })
}

/// Parses `--where` of `nsx ls`.
///
/// # Errors
/// What is wrong with the expression, and which columns there are.
pub fn expression(text: &str) -> Result<Expr, String> {
    expression_of(&ls_columns(), text)
}

/// Parses `--where` of a table.
///
/// # Errors
/// What is wrong with the expression, and which columns there are.
pub fn expression_of(names: &Names, text: &str) -> Result<Expr, String> {
    Expr::parse(text, &|name| find(names, name)).map_err(|error| {
        let marks = format!("\n  {text}\n  {}^", " ".repeat(error.at));
        format!("{error}{marks}\ncolumns: {}", names.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(" "))
    })
}

/// Parses `-S` and `-G`.
///
/// # Errors
/// Whatever is neither a number nor `follow`.
pub fn id(text: &str) -> Result<Id, String> {
    // The largest number stands for "no change" in setresuid(2).
    match parse_decimal::<u32>(text.as_bytes()) {
        Some(number) if number != u32::MAX => Ok(Id::Number(number)),
        None if text == "follow" => Ok(Id::Follow),
        _ => Err("neither a number nor `follow`".to_owned()),
    }
}

/// Parses `--caps`.
///
/// # Errors
/// The name that is no capability's.
pub fn capabilities(text: &str) -> Result<Caps, String> {
    match text {
        "target" => Ok(Caps::Target),
        "none" => Ok(Caps::Only(CapSet::EMPTY)),
        list => CapSet::parse(list).map(Caps::Only).map_err(|name| format!("no capability is called {name:?}")),
    }
}

/// Parses `--timeout`.
///
/// # Errors
/// Whatever is no time.
pub fn timeout(text: &str) -> Result<Timeout, String> {
    /// How long a command that is asked to end may take for it, as docker-stop(1) has it.
    const GRACE: Duration = Duration::from_secs(10);
    let (after, grace) = match text.split_once(',') {
        Some((after, grace)) => (duration(after)?, duration(grace)?),
        None => (duration(text)?, GRACE),
    };
    Ok(Timeout { after, grace })
}

/// Parses a time that somebody is to wait.
///
/// # Errors
/// Whatever is no time, and no time at all.
pub fn duration(text: &str) -> Result<Duration, String> {
    /// Nobody waits longer, and clocks overflow.
    const MOST: Duration = Duration::from_secs(1000 * 86400);
    let time = time(text, MOST)?;
    if time.is_zero() { Err(no_time(text)) } else { Ok(time) }
}

/// Parses a time.
///
/// # Errors
/// Whatever is no time, or more than the most.
pub fn time(text: &str, most: Duration) -> Result<Duration, String> {
    let wrong = || no_time(text);
    let unit_at = text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(wrong()),
    };
    let plain = !number.is_empty() && number.chars().all(|character| character.is_ascii_digit() || character == '.');
    let number: f64 = number.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    let time = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
    if time > most { Err(format!("{text:?} is more than {}d", most.as_secs() / 86400)) } else { Ok(time) }
}

fn no_time(text: &str) -> String {
    format!("{text:?} is no time: a number with ms, s, m, h or d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_columns_are_parsed_in_any_case() {
        let command = clap::Command::new("x");
        let parser = column_word(ls_columns());
        let parse = |word: &str| parser.parse_ref(&command, None, word.as_ref()).ok();
        assert_eq!(parse("NS"), Some(ColumnWord::Only(0)));
        assert_eq!(parse("+NS"), Some(ColumnWord::Add(0)));
        assert_eq!(parse("all"), Some(ColumnWord::All));
        assert_eq!(parse("NSX"), None);
        assert_eq!(parse("+"), None);
    }

    #[test]
    fn times_have_units() {
        let of = |milliseconds| Duration::from_millis(milliseconds);
        for (text, after, grace) in [
            ("30", 30_000, 10_000),
            ("1.5s", 1_500, 10_000),
            ("300ms", 300, 10_000),
            ("2m,1", 120_000, 1_000),
            ("1h,500ms", 3_600_000, 500),
        ] {
            assert_eq!(timeout(text), Ok(Timeout { after: of(after), grace: of(grace) }), "{text}");
        }
        for text in [
            "",
            "0",
            "-1",
            "+1",
            "1x",
            "s",
            "1e3",
            ".",
            "1,",
            ",1",
            "inf",
            "nan",
            "1 s",
            "99999999999999999999d",
            "9223372036854775807s",
            "1001d",
        ] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ids_are_numbers_or_the_targets() {
        assert_eq!(id("0"), Ok(Id::Number(0)));
        assert_eq!(id("4294967294"), Ok(Id::Number(4_294_967_294)));
        assert_eq!(id("follow"), Ok(Id::Follow));
        for text in ["", "-1", "+0", "0x0", " 1", "1:", ":1", "4294967295", "4294967296", "root"] {
            assert!(id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn capabilities_are_a_list_or_a_word() {
        assert_eq!(capabilities("target"), Ok(Caps::Target));
        assert_eq!(capabilities("none"), Ok(Caps::Only(CapSet::EMPTY)));
        assert_eq!(capabilities("CAP_SYS_ADMIN"), Ok(Caps::Only(CapSet::SYS_ADMIN)));
        assert!(capabilities("net_admin,nothing").is_err_and(|error| error.contains("nothing")));
    }

    #[test]
    fn an_expression_that_is_none_is_shown_with_its_place() {
        let error = expression("type = net").expect_err("wrong");
        assert!(error.contains("\n  type = net\n       ^\n"), "{error}");
    }
}
