//! Colours by meaning: code asks for what a cell is, this file says how that looks.
//!
//! Only the sixteen colours of the terminal's own palette are used, and never black, white or a background, so that both dark and
//! light terminals stay readable. Not here: whether there is to be colour at all (`cmd::ui`).

use owo_colors::Style as Paint;

use crate::model::NsKind;

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Nothing in particular.
    Plain,
    /// The heading of a table.
    Heading,
    /// The name of a kind of namespace.
    Kind(NsKind),
    /// One of the caller's own namespaces.
    Own,
    /// Something of an initial namespace: there on every host, so of little interest.
    Initial,
    /// What stands where a command would, for a namespace without a process.
    Unoccupied,
    /// The branches of a tree.
    Branch,
    /// Root, where other users are possible.
    Root,
    /// The limit that counts, and who sets it.
    Binding,
    /// Something that has done harm: a process was killed, a limit is reached.
    Critical,
    /// Something that slows or soon will.
    Warning,
    /// Something to know.
    Info,
}

/// A colour of the terminal's palette.
#[derive(Clone, Copy)]
enum Color {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

/// How a meaning looks: bold, dim, and in which colour.
struct Look {
    bold: bool,
    dim: bool,
    color: Option<Color>,
}

const PLAIN: Look = Look { bold: false, dim: false, color: None };

const fn color(color: Color) -> Look {
    Look { color: Some(color), ..PLAIN }
}

const fn bold(color: Option<Color>) -> Look {
    Look { bold: true, dim: false, color }
}

impl Style {
    /// The one table.
    const fn look(self) -> Look {
        match self {
            Style::Plain => PLAIN,
            Style::Heading => bold(None),
            Style::Own => bold(Some(Color::Green)),
            Style::Initial | Style::Branch => Look { dim: true, ..PLAIN },
            Style::Unoccupied => color(Color::Yellow),
            Style::Root => color(Color::Red),
            Style::Binding => bold(Some(Color::Yellow)),
            Style::Critical => bold(Some(Color::Red)),
            Style::Warning => color(Color::Yellow),
            Style::Info => color(Color::Cyan),
            Style::Kind(kind) => match kind {
                NsKind::User => color(Color::Magenta),
                NsKind::Pid => color(Color::Green),
                NsKind::Net => color(Color::Cyan),
                NsKind::Mnt => color(Color::Blue),
                NsKind::Cgroup => color(Color::Yellow),
                NsKind::Ipc | NsKind::Time | NsKind::Uts => PLAIN,
            },
        }
    }

    /// Returns how it looks in lines of text.
    pub fn paint(self) -> Paint {
        let Look { bold, dim, color } = self.look();
        let paint = Paint::new();
        let paint = if bold { paint.bold() } else { paint };
        let paint = if dim { paint.dimmed() } else { paint };
        match color {
            None => paint,
            Some(Color::Red) => paint.red(),
            Some(Color::Green) => paint.green(),
            Some(Color::Yellow) => paint.yellow(),
            Some(Color::Blue) => paint.blue(),
            Some(Color::Magenta) => paint.magenta(),
            Some(Color::Cyan) => paint.cyan(),
        }
    }

    /// Returns how it looks on a screen. Without colours, bold and dim are left.
    pub fn on_screen(self, colored: bool) -> ratatui::style::Style {
        use ratatui::style::{Color as Screen, Modifier};
        let Look { bold, dim, color } = self.look();
        let mut style = ratatui::style::Style::new();
        if bold {
            style = style.add_modifier(Modifier::BOLD);
        }
        if dim {
            style = style.add_modifier(Modifier::DIM);
        }
        match color.filter(|_| colored) {
            None => style,
            Some(Color::Red) => style.fg(Screen::Red),
            Some(Color::Green) => style.fg(Screen::Green),
            Some(Color::Yellow) => style.fg(Screen::Yellow),
            Some(Color::Blue) => style.fg(Screen::Blue),
            Some(Color::Magenta) => style.fg(Screen::Magenta),
            Some(Color::Cyan) => style.fg(Screen::Cyan),
        }
    }
}
