//! What commands with a table share: which columns are shown, how rows are sorted, the list of columns.

use std::cmp::Ordering;
use std::io::{self, Write};

use super::value::{ColumnWord, Names};
use crate::select::Value;

/// Returns the columns that `-o` chooses, out of `count`; without it those that are shown by default.
pub fn chosen(output: &[ColumnWord], defaults: Vec<usize>, count: usize) -> Vec<usize> {
    let adds = output.first().is_none_or(|word| matches!(word, ColumnWord::Add(_)));
    let mut chosen = if adds { defaults } else { Vec::new() };
    for (place, word) in output.iter().enumerate() {
        match *word {
            ColumnWord::All => chosen.extend(0..count),
            // `+COL,COL` adds both, as in lsns(8).
            ColumnWord::Add(column) | ColumnWord::Only(column) => {
                let seen = place == 0 && chosen.contains(&column);
                if !seen {
                    chosen.push(column);
                }
            }
        }
    }
    chosen
}

/// A value to sort by, one way or the other; what is not there comes last both ways.
#[derive(PartialEq, Eq)]
pub struct SortValue(pub Value, pub bool);

impl PartialOrd for SortValue {
    fn partial_cmp(&self, other: &SortValue) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SortValue {
    fn cmp(&self, other: &SortValue) -> Ordering {
        let order = self.0.order(&other.0);
        if self.1 && self.0 != Value::Null && other.0 != Value::Null { order.reverse() } else { order }
    }
}

/// Lists the columns of a table, with what they say.
///
/// # Errors
/// What the writer says.
pub fn list_columns(names: &Names, defaults: &[&str], to: &mut dyn Write) -> io::Result<()> {
    for (key, help) in names {
        let default = if defaults.contains(key) { " (shown by default)" } else { "" };
        writeln!(to, "{key:<10} {help}{default}")?;
    }
    Ok(())
}
