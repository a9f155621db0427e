//! The screen of `nsx cg top`: a line on top, headings, cgroups, and a line of keys below; or a pane in the place of the cgroups.
//!
//! Only the lines that are in sight are looked at. Whatever comes from a cgroup has gone through [`sanitize`]. Not here: sending it to a
//! terminal (`cmd::cg::top`).

use std::borrow::Cow;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style as Screen};

use super::super::ls::container_name;
use super::columns::{BELONGS, COLUMNS, Column, fit, is_right};
use super::pane::Pane;
use super::state::{Fold, Shown, State};
use crate::cgroup::Group;
use crate::engine::identify;
use crate::render::style::Style;
use crate::render::text::{cut, cut_start, sanitize, width};

/// What a screen has to have at least.
const LEAST: (u16, u16) = (24, 4);

/// The keys that are told of at the bottom.
const KEYS: &str = "q quit  ? help  Enter show  l limits  w why  / filter  s sort  t tree  f pause";
const KEYS_OF_PANE: &str = "Esc back  Up/Down scroll";

/// Everything that a screen shows.
pub struct View<'a> {
    /// The cgroups.
    pub state: &'a mut State,
    /// What lies over them.
    pub pane: Option<&'a mut Pane>,
    /// Whether the filter is being typed.
    pub typing: bool,
    /// How often a picture is taken.
    pub interval: Duration,
    /// Whether no pictures are taken.
    pub paused: bool,
    /// Something that has gone wrong.
    pub message: Option<&'a str>,
    /// Whether to colour.
    pub colored: bool,
}

impl View<'_> {
    /// Draws it, and returns where the cursor is to stand, if it is to be seen.
    pub fn draw(&mut self, to: &mut Buffer) -> Option<Position> {
        let area = to.area;
        if area.width < LEAST.0 || area.height < LEAST.1 {
            let text = format!("{}x{} is too small", area.width, area.height);
            put(to, area.left(), area.top(), &text, area.width, Screen::new());
            return None;
        }
        let body = Rect { y: area.y + 1, height: area.height - 2, ..area };
        let bottom = area.bottom() - 1;
        if let Some(pane) = self.pane.as_deref_mut() {
            put(to, area.x, area.y, &pane.title, area.width, Style::Heading.on_screen(self.colored));
            for (line, y) in pane.visible(usize::from(body.height)).iter().zip(body.y..) {
                to.set_line(body.x, y, line, body.width);
            }
            let keys = match pane.hidden() {
                (0, 0) => KEYS_OF_PANE.to_owned(),
                (above, below) => format!("{KEYS_OF_PANE}  ({above} lines above, {below} below)"),
            };
            put(to, area.x, bottom, &keys, area.width, Style::Initial.on_screen(self.colored));
            return None;
        }
        put(to, area.x, area.y, &self.summary(), area.width, Style::Heading.on_screen(self.colored));
        self.list(body, to);
        self.bottom_line(Rect { y: bottom, height: 1, ..area }, to)
    }

    fn summary(&self) -> String {
        let tree = self.state.tree();
        let start = tree.groups.first().map_or(Cow::Borrowed("/"), |group| sanitize(&group.path));
        let shape = if self.state.is_flat() { "list" } else { "tree" };
        let interval = humantime::format_duration(self.interval);
        let mut text = format!(
            "{start}  {} cgroups  {shape} by {}  every {interval}",
            tree.groups.len(),
            self.state.sort().name()
        );
        if !self.state.filter().is_empty() && !self.typing {
            text.push_str(&format!("  with \"{}\"", sanitize(self.state.filter().as_bytes())));
        }
        if !tree.gaps.is_empty() {
            text.push_str(&format!("  {} unreadable", tree.gaps.len()));
        }
        if self.paused {
            text.push_str("  paused");
        }
        text
    }

    fn bottom_line(&self, line: Rect, to: &mut Buffer) -> Option<Position> {
        let (text, style) = match self.message {
            _ if self.typing => {
                let filter = sanitize(self.state.filter().as_bytes());
                let shown = cut_start(&filter, usize::from(line.width).saturating_sub(2));
                let end = put(to, line.x, line.y, &format!("/{shown}"), line.width, Screen::new());
                return Some(Position { x: end.min(line.right() - 1), y: line.y });
            }
            Some(message) => (message, Style::Critical),
            None => (KEYS, Style::Initial),
        };
        put(to, line.x, line.y, text, line.width, style.on_screen(self.colored));
        None
    }

    fn list(&mut self, area: Rect, to: &mut Buffer) {
        let columns = fit(usize::from(area.width));
        let mut x = area.x;
        for (column, wide) in &columns {
            let sorted = column.sort == Some(self.state.sort());
            let style = Style::Heading.on_screen(self.colored);
            let style = if sorted { style.add_modifier(Modifier::UNDERLINED) } else { style };
            align(to, x, area.y, column.head.key, *wide, is_right(column), style);
            x += *wide as u16 + 1;
        }
        let height = usize::from(area.height) - 1;
        let top = self.state.scroll(height);
        let belongs = columns.iter().any(|(column, _)| std::ptr::eq(*column, &COLUMNS[BELONGS]));
        let lines = self.state.shown().iter().enumerate().skip(top).take(height);
        for ((place, shown), y) in lines.zip(area.y + 1..) {
            let selected = place == self.state.cursor();
            if selected {
                to.set_style(Rect { y, height: 1, ..area }, Modifier::REVERSED);
            }
            self.line(shown, &columns, belongs, selected, Position { x: area.x, y }, to);
        }
    }

    fn line(
        &self,
        shown: &Shown,
        columns: &[(&Column, usize)],
        belongs: bool,
        selected: bool,
        at: Position,
        to: &mut Buffer,
    ) {
        let group = self.state.group(shown);
        let look = |style: Style| match (selected, style) {
            (false, style) => style.on_screen(self.colored),
            // Colours are no good the other way round: the terminal's background may be anything.
            (true, Style::Critical | Style::Warning) => Screen::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
            (true, _) => Screen::new().add_modifier(Modifier::REVERSED),
        };
        let mut x = at.x;
        for (column, wide) in columns {
            if column.rank == 0 {
                let branches = self.state.branches(shown);
                let end = put(to, x, at.y, &branches, *wide as u16, look(Style::Branch));
                let left = *wide - usize::from(end - x);
                let name = self.name(shown, group, belongs, left);
                let style = if shown.matches { Style::Plain } else { Style::Initial };
                put(to, end, at.y, &name, left as u16, look(style));
            } else {
                let cell = (column.cell)(group, shown.index);
                align(to, x, at.y, &cell.text, *wide, is_right(column), look(cell.style));
            }
            x += *wide as u16 + 1;
        }
    }

    /// Returns what a cgroup is called in its line.
    fn name(&self, shown: &Shown, group: &Group, belongs: bool, wide: usize) -> String {
        let is_top = shown.index == 0;
        let name = sanitize(if self.state.is_flat() || is_top { &group.path } else { group.name() });
        let fold = if shown.fold == Fold::Closed { "+ " } else { "" };
        // Where there is no column for it, a container's own cgroup has its short name: its id alone would fill the line.
        let above = group.path.len().saturating_sub(group.name().len() + 1);
        let named = |path| identify(path).map(|container| (container.engine, container.id, container.name));
        let is_own = !belongs && named(&group.path) != named(&group.path[..above]);
        let own = group.container.as_ref().filter(|_| is_own).and_then(|_| container_name(group));
        match own {
            Some(own) => format!("{fold}{own} ({name})"),
            // The end of a path says more than its beginning.
            None if self.state.is_flat() => format!("{fold}{}", cut_start(&name, wide.saturating_sub(fold.len()))),
            None => format!("{fold}{name}"),
        }
    }
}

/// Writes a text, cut to a number of columns, and returns where it ends.
fn put(to: &mut Buffer, x: u16, y: u16, text: &str, wide: u16, style: Screen) -> u16 {
    to.set_stringn(x, y, cut(text, usize::from(wide)), usize::from(wide), style).0
}

/// Writes a text on one side of a column.
fn align(to: &mut Buffer, x: u16, y: u16, text: &str, wide: usize, right: bool, style: Screen) {
    let text = cut(text, wide);
    let free = if right { wide.saturating_sub(width(&text)) } else { 0 };
    to.set_stringn(x + free as u16, y, &text, wide, style);
}

#[cfg(test)]
mod tests;
