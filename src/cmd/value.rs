//! Parsers of option values: text in, types of the model out, with the values that completions offer.

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::model::NsKind;
use crate::render::column::{COLUMNS, find};
use crate::select::{Expr, TreeBy};

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

/// Returns the parser of the words of `-o`.
pub fn column_word() -> impl TypedValueParser<Value = ColumnWord> {
    let values = COLUMNS
        .iter()
        .map(|column| PossibleValue::new(column.key).help(column.help))
        .chain([PossibleValue::new("all").help("every column")])
        .chain(COLUMNS.iter().map(|column| {
            // Known, so that it parses; the plain names are enough in help texts.
            PossibleValue::new(added_name(column.key)).hide(true)
        }));
    PossibleValuesParser::new(values).map(|word| {
        let (added, name) = word.strip_prefix('+').map_or((false, word.as_str()), |name| (true, name));
        match find(name) {
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
pub fn sort_key() -> impl TypedValueParser<Value = SortKey> {
    let values = COLUMNS
        .iter()
        .map(|column| PossibleValue::new(column.key).help(column.help))
        .chain(COLUMNS.iter().map(|column| PossibleValue::new(format!("-{}", column.key)).hide(true)));
    PossibleValuesParser::new(values).map(|word| {
        let (descending, name) = word.strip_prefix('-').map_or((false, word.as_str()), |name| (true, name));
        // The parser above lets nothing else through.
        SortKey { column: find(name).unwrap_or_default(), descending }
    })
}

/// Parses `--where`.
///
/// # Errors
/// What is wrong with the expression, and which columns there are.
pub fn expression(text: &str) -> Result<Expr, String> {
    Expr::parse(text, &find).map_err(|error| {
        let marks = format!("\n  {text}\n  {}^", " ".repeat(error.at));
        format!("{error}{marks}\ncolumns: {}", COLUMNS.iter().map(|column| column.key).collect::<Vec<_>>().join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_columns_are_parsed_in_any_case() {
        let command = clap::Command::new("x");
        let parser = column_word();
        let parse = |word: &str| parser.parse_ref(&command, None, word.as_ref()).ok();
        assert_eq!(parse("NS"), Some(ColumnWord::Only(0)));
        assert_eq!(parse("+NS"), Some(ColumnWord::Add(0)));
        assert_eq!(parse("all"), Some(ColumnWord::All));
        assert_eq!(parse("NSX"), None);
        assert_eq!(parse("+"), None);
    }

    #[test]
    fn an_expression_that_is_none_is_shown_with_its_place() {
        let error = expression("type = net").expect_err("wrong");
        assert!(error.contains("\n  type = net\n       ^\n"), "{error}");
    }
}
