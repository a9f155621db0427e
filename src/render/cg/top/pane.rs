//! What lies over the list of `nsx cg top` when more is asked of one cgroup: some lines of text, to be scrolled.

use ratatui::text::Line;

use super::ansi;

/// A text with a title, of which a part is in sight.
pub struct Pane {
    /// Its title, fit for a terminal.
    pub title: String,
    lines: Vec<Line<'static>>,
    top: usize,
    height: usize,
}

impl Pane {
    /// Makes one of a text with nsx's own colours, wrapped to a number of columns.
    pub fn new(title: String, text: &str, width: usize, colored: bool) -> Pane {
        Pane { title, lines: ansi::lines(text, width, colored), top: 0, height: 1 }
    }

    /// Shows a later text in its place, from the same line on.
    pub fn replace(&mut self, other: Pane) {
        let (top, height) = (self.top, self.height);
        *self = Pane { top, height, ..other };
    }

    /// Scrolls.
    pub fn move_by(&mut self, lines: isize) {
        self.top = self.top.saturating_add_signed(lines).min(self.lines.len().saturating_sub(self.height));
    }

    /// As [`Pane::move_by`], in screens.
    pub fn move_by_pages(&mut self, pages: isize) {
        let lines = self.height.saturating_sub(1).max(1);
        self.move_by(pages.saturating_mul(isize::try_from(lines).unwrap_or(isize::MAX)));
    }

    /// Returns the lines that there is room for.
    pub(super) fn visible(&mut self, height: usize) -> &[Line<'static>] {
        self.height = height.max(1);
        self.move_by(0);
        &self.lines[self.top..self.lines.len().min(self.top + self.height)]
    }

    /// Says how much there is above and below what is in sight.
    pub(super) fn hidden(&self) -> (usize, usize) {
        (self.top, self.lines.len().saturating_sub(self.top + self.height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_scrolls_no_further_than_there_are_lines() {
        let text: String = (0..30).map(|number| format!("{number}\n")).collect();
        let mut pane = Pane::new(String::new(), &text, 80, false);
        let first = |pane: &mut Pane, height| pane.visible(height).first().map(Line::to_string).unwrap_or_default();
        assert_eq!((first(&mut pane, 10).as_str(), pane.hidden()), ("0", (0, 20)));
        pane.move_by_pages(1);
        assert_eq!(first(&mut pane, 10), "9");
        pane.move_by(isize::MAX);
        assert_eq!((first(&mut pane, 10).as_str(), pane.hidden()), ("20", (20, 0)));
        pane.replace(Pane::new(String::new(), &text, 80, false));
        assert_eq!(first(&mut pane, 10), "20");
        pane.replace(Pane::new(String::new(), "a\nb\n", 80, false));
        assert_eq!(first(&mut pane, 10), "a");
        pane.replace(Pane::new(String::new(), "", 80, false));
        assert_eq!(first(&mut pane, 10), "");
        pane.move_by_pages(-1);
    }
}
