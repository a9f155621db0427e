//! Every exit code, named. The table is part of the man pages.

use std::process::ExitCode;

/// How nsx ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was done.
    Done,
    /// The request failed, or a named target was not found.
    Failed,
    /// The command line makes no sense.
    Usage,
}

impl Exit {
    /// All exit codes.
    pub const ALL: [Exit; 3] = [Exit::Done, Exit::Failed, Exit::Usage];

    /// Returns the number.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
        }
    }

    /// Returns what it means, for the man pages.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "Done. Also when the reader of the output has closed it early.",
            Exit::Failed => "The request failed, or a process or namespace that was named does not exist.",
            Exit::Usage => "The command line makes no sense.",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
