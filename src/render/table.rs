//! Tables: cells in, aligned lines out, cut to the width of a terminal.
//!
//! comfy-table pads and aligns. What is to be cut is cut before, by columns that may be and by how much they have to spare, and
//! colour comes after, so that neither is ever measured wrongly. The last column is appended as it is: padding it would only make
//! long command lines longer.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Row as TableRow, presets};

use super::style::Style;
use super::text::{cut, width};

/// The space between two columns.
const GAP: usize = 2;
/// A flexible column is not cut to less than this; rather a column is left out.
const LEAST: usize = 8;

/// Columns wider than this, which only a pipe gets, are not padded: comfy-table ends at 65,535, and nobody reads so far.
const WIDEST: usize = 4096;

/// On which side of a column its cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// What a table has to know of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its name, which is its heading.
    pub key: &'static str,
    /// On which side its cells stand.
    pub align: Align,
    /// Whether its cells may be cut where the terminal is too narrow.
    pub flexible: bool,
}

impl Head {
    /// A column of numbers.
    pub const fn number(key: &'static str) -> Head {
        Head { key, align: Align::Right, flexible: false }
    }

    /// A column of text.
    pub const fn text(key: &'static str) -> Head {
        Head { key, align: Align::Left, flexible: false }
    }

    /// The same, cut where there is no room.
    #[must_use]
    pub const fn flexible(self) -> Head {
        Head { flexible: true, ..self }
    }
}

/// A cell: text fit for a terminal, and what it means.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The text.
    pub text: String,
    /// Its meaning.
    pub style: Style,
    /// How many bytes at its start are branches of a tree.
    pub branches: usize,
}

/// A line of cells, one for each column.
pub type Line = Vec<Cell>;

/// A table to be printed.
pub struct Table<'a> {
    /// The columns.
    pub columns: &'a [Head],
    /// The lines.
    pub lines: Vec<Line>,
    /// Whether the first column holds the branches of a tree, which start at the left.
    pub tree: bool,
    /// Whether the names of the columns stand above them.
    pub headings: bool,
    /// The width to keep to; `None` cuts nothing.
    pub width: Option<usize>,
    /// Whether to colour.
    pub color: bool,
}

impl Table<'_> {
    /// Prints the table, and returns the columns that the width had no room for.
    ///
    /// # Errors
    /// What the writer says.
    pub fn print(mut self, to: &mut dyn Write) -> io::Result<Vec<&'static str>> {
        if self.headings {
            let heading = |column: &Head| Cell { text: column.key.to_owned(), style: Style::Heading, branches: 0 };
            self.lines.insert(0, self.columns.iter().map(heading).collect());
        }
        let (widths, shown) = self.fit();
        let left_out = self.columns[shown..].iter().map(|column| column.key).collect();
        for line in &mut self.lines {
            line.truncate(shown);
            if self.width.is_some() {
                for (cell, &width) in line.iter_mut().zip(&widths) {
                    if let std::borrow::Cow::Owned(shorter) = cut(&cell.text, width) {
                        cell.text = shorter;
                    }
                }
            }
        }
        self.write(&widths[..shown], to)?;
        Ok(left_out)
    }

    /// Returns the width of every column, and how many columns there is room for.
    fn fit(&self) -> (Vec<usize>, usize) {
        let mut widths = vec![0; self.columns.len()];
        for line in &self.lines {
            for (most, cell) in widths.iter_mut().zip(line) {
                *most = (*most).max(width(&cell.text));
            }
        }
        let Some(room) = self.width else { return (widths, self.columns.len()) };
        let mut shown = self.columns.len();
        loop {
            let total = widths[..shown].iter().sum::<usize>() + GAP * (shown.max(1) - 1);
            if total <= room {
                return (widths, shown);
            }
            // The widest of those that can spare something gives up what is too much, or what makes it as wide as the next one.
            let spare = |index: usize| self.columns[index].flexible && widths[index] > LEAST;
            let widest = (0..shown).filter(|&index| spare(index)).max_by_key(|&index| widths[index]);
            match widest {
                Some(index) => {
                    let next = (0..shown)
                        .filter(|&other| other != index && self.columns[other].flexible)
                        .map(|other| widths[other])
                        .filter(|&other| other < widths[index])
                        .max()
                        .unwrap_or(0);
                    widths[index] =
                        widths[index].saturating_sub(total - room).max(next).max(LEAST).min(widths[index] - 1);
                }
                None if shown > 1 => shown -= 1,
                None => {
                    widths[0] = room;
                    return (widths, shown);
                }
            }
        }
    }

    fn align(&self, index: usize) -> Align {
        if self.tree && index == 0 { Align::Left } else { self.columns[index].align }
    }

    fn write(&self, widths: &[usize], to: &mut dyn Write) -> io::Result<()> {
        let Some(last) = widths.len().checked_sub(1) else { return Ok(()) };
        if self.width.is_none() && widths[..last].iter().any(|&width| width > WIDEST) {
            return self.write_unpadded(to);
        }
        let padded = self.pad(last);
        for (line, padded) in self.lines.iter().zip(padded) {
            if self.color {
                self.paint(line, &padded, widths, to)?;
            } else {
                let end = &line[last].text;
                match self.align(last) {
                    Align::Left => writeln!(to, "{}", [&padded, end.as_str()].concat().trim_end())?,
                    Align::Right => writeln!(to, "{padded}{:>pad$}{end}", "", pad = widths[last] - width(end))?,
                }
            }
        }
        Ok(())
    }

    /// Writes the cells one behind the other.
    fn write_unpadded(&self, to: &mut dyn Write) -> io::Result<()> {
        for line in &self.lines {
            for (index, cell) in line.iter().enumerate() {
                let gap = if index == 0 { "" } else { "  " };
                to.write_all(gap.as_bytes())?;
                if self.color { cell.write(to)? } else { to.write_all(cell.text.as_bytes())? }
            }
            writeln!(to)?;
        }
        Ok(())
    }

    /// Lets comfy-table align all columns but the last; an empty string for each line where there is no other.
    fn pad(&self, last: usize) -> Vec<String> {
        if last == 0 {
            return vec![String::new(); self.lines.len()];
        }
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        for line in &self.lines {
            let mut row = TableRow::new();
            for cell in &line[..last] {
                row.add_cell(comfy_table::Cell::new(&cell.text));
            }
            table.add_row(row);
        }
        for (index, shape) in table.column_iter_mut().enumerate() {
            shape.set_padding((0, GAP as u16));
            shape.set_cell_alignment(match self.align(index) {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        table.lines().collect()
    }

    /// Colours a padded line: each cell stands where the widths of those before it put it.
    fn paint(&self, line: &Line, padded: &str, widths: &[usize], to: &mut dyn Write) -> io::Result<()> {
        let last = widths.len() - 1;
        let mut rest = padded;
        for (index, cell) in line.iter().enumerate() {
            let free = widths[index].saturating_sub(width(&cell.text));
            let before = if self.align(index) == Align::Right { free } else { 0 };
            if index == last {
                write!(to, "{rest}{:before$}", "")?;
                cell.write(to)?;
            } else {
                // What comfy-table has padded is spaces before, the cell, and spaces behind.
                let (space, tail) = rest.split_at_checked(before).unwrap_or((rest, ""));
                let (_, tail) = tail.split_at_checked(cell.text.len()).unwrap_or((tail, ""));
                let (behind, tail) = tail.split_at_checked(free - before + GAP).unwrap_or((tail, ""));
                to.write_all(space.as_bytes())?;
                cell.write(to)?;
                to.write_all(behind.as_bytes())?;
                rest = tail;
            }
        }
        writeln!(to)
    }
}

impl Cell {
    /// A cell without branches.
    pub fn new(text: impl Into<String>, style: Style) -> Cell {
        Cell { text: text.into(), style, branches: 0 }
    }

    fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let (branches, text) = self.text.split_at_checked(self.branches).unwrap_or(("", &self.text));
        if !branches.is_empty() {
            write!(to, "{}", Style::Branch.paint().style(branches))?;
        }
        match self.style {
            Style::Plain => to.write_all(text.as_bytes()),
            style => write!(to, "{}", style.paint().style(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::column::{COLUMNS, find};

    fn table(keys: &[&str], rows: &[&[&str]], width: Option<usize>, color: bool) -> (String, Vec<&'static str>) {
        let columns: Vec<_> = keys.iter().map(|key| COLUMNS[find(key).expect("a column")].head()).collect();
        let cell = |text: &&str| Cell { text: (*text).to_owned(), style: Style::Own, branches: 0 };
        let lines = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let mut out = Vec::new();
        let left_out = Table { columns: &columns, lines, tree: false, headings: true, width, color }
            .print(&mut out)
            .expect("printed");
        (String::from_utf8(out).expect("UTF-8"), left_out)
    }

    #[test]
    fn numbers_stand_right_and_texts_left() {
        let (out, _) =
            table(&["NS", "TYPE", "COMMAND"], &[&["7", "net", "a  b"], &["4026531840", "cgroup", "c"]], None, false);
        assert_eq!(out, "        NS  TYPE    COMMAND\n         7  net     a  b\n4026531840  cgroup  c\n");
        let (out, _) = table(&["TYPE", "PID"], &[&["net", "7"], &["user", "4242"]], None, false);
        assert_eq!(out, "TYPE   PID\nnet      7\nuser  4242\n");
        let (out, _) = table(&["PID"], &[&["7"], &["42"]], None, false);
        assert_eq!(out, "PID\n  7\n 42\n");
    }

    #[test]
    fn only_flexible_columns_are_cut_and_the_widest_first() {
        let row: &[&str] =
            &["4026531840", "/a/rather/long/path/in/nsfs", "a command that is longer than anything else here"];
        let (out, left_out) = table(&["NS", "PATH", "COMMAND"], &[row], Some(50), false);
        assert!(out.lines().all(|line| width(line) <= 50), "{out}");
        assert!(out.contains("4026531840") && out.contains('…'), "{out}");
        assert_eq!(left_out, [""; 0]);
    }

    #[test]
    fn a_column_without_room_is_left_out_and_named() {
        let row: &[&str] = &["4026531840", "4026531837", "12345678901234567890", "unassigned"];
        let (out, left_out) = table(&["NS", "ONS", "ID", "NETNSID"], &[row], Some(30), false);
        assert_eq!(left_out, ["ID", "NETNSID"]);
        assert!(out.lines().all(|line| width(line) <= 30), "{out}");
        let (out, left_out) = table(&["NS"], &[&["4026531840"]], Some(4), false);
        assert_eq!((out.as_str(), left_out.len()), ("  NS\n402…\n", 0));
    }

    #[test]
    fn a_pipe_gets_cells_of_any_width_whole_and_nothing_padded_to_them() {
        let long = "x".repeat(70_000);
        let (out, _) = table(&["NS", "PATH", "TYPE"], &[&["7", &long, "net"], &["8", "/a", "uts"]], None, false);
        assert_eq!(out, format!("NS  PATH  TYPE\n7  {long}  net\n8  /a  uts\n"));
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let rows: &[&[&str]] = &[&["7", "日本", "12", "naïve"], &["4026531840", "net", "3", "b"]];
        let keys = ["NS", "TYPE", "NPROCS", "COMMAND"];
        let (plain, _) = table(&keys, rows, Some(60), false);
        let (colored, _) = table(&keys, rows, Some(60), true);
        assert!(colored.contains("\x1b["));
        let mut bare = String::new();
        let mut rest = colored.as_str();
        while let Some((before, escape)) = rest.split_once('\x1b') {
            bare.push_str(before);
            rest = escape.split_once('m').expect("an SGR sequence").1;
        }
        bare.push_str(rest);
        assert_eq!(bare, plain);
    }
}
