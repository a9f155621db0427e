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

impl Style {
    /// Returns how it looks on a terminal.
    pub fn paint(self) -> Paint {
        let paint = Paint::new();
        match self {
            Style::Plain => paint,
            Style::Heading => paint.bold(),
            Style::Own => paint.bold().green(),
            Style::Initial | Style::Branch => paint.dimmed(),
            Style::Unoccupied => paint.yellow(),
            Style::Root => paint.red(),
            Style::Binding => paint.bold().yellow(),
            Style::Critical => paint.bold().red(),
            Style::Warning => paint.yellow(),
            Style::Info => paint.cyan(),
            Style::Kind(kind) => match kind {
                NsKind::User => paint.magenta(),
                NsKind::Pid => paint.green(),
                NsKind::Net => paint.cyan(),
                NsKind::Mnt => paint.blue(),
                NsKind::Cgroup => paint.yellow(),
                NsKind::Ipc | NsKind::Time | NsKind::Uts => paint,
            },
        }
    }
}
