//! Every exit code, named. The tables are part of the man pages.

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
    /// The time of a command was over.
    TimedOut,
    /// nsx failed before a command was started.
    NotStarted,
    /// A command could not be executed.
    NotExecutable,
    /// A command was not found.
    NotFound,
    /// What a command exited with.
    Command(u8),
}

impl Exit {
    /// The exit codes of commands that show something.
    pub const OF_VIEWS: [Exit; 3] = [Exit::Done, Exit::Failed, Exit::Usage];
    /// The exit codes of commands that run another one, apart from those of that one.
    pub const OF_LAUNCHERS: [Exit; 5] =
        [Exit::Usage, Exit::TimedOut, Exit::NotStarted, Exit::NotExecutable, Exit::NotFound];

    /// Returns the number.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::TimedOut => 124,
            Exit::NotStarted => 125,
            Exit::NotExecutable => 126,
            Exit::NotFound => 127,
            Exit::Command(code) => code,
        }
    }

    /// Returns what it means, for the man pages.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "Done. Also when the reader of the output has closed it early.",
            Exit::Failed => "The request failed, or a process or namespace that was named does not exist.",
            Exit::Usage => "The command line makes no sense.",
            Exit::TimedOut => "The time given by --timeout was over.",
            Exit::NotStarted => {
                "nsx itself failed before the command was started; also when the target does not exist."
            }
            Exit::NotExecutable => "The command was found, but could not be executed.",
            Exit::NotFound => "The command was not found.",
            Exit::Command(_) => "The command's own.",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
