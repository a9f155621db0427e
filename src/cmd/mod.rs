//! The command line: one file for each subcommand, and what they share.
//!
//! Parsing only validates; the system is asked in `run`. Doc comments on arguments are the help text, the man page and the
//! completions. Not here: finding namespaces (`scan`), choosing among them (`select`), drawing them (`render`).

#![forbid(unsafe_code)]

pub mod advice;
pub mod backend;
pub mod cg;
pub mod enter;
pub mod exit;
pub mod inspect;
pub mod kill;
pub mod ls;
pub mod net;
pub mod pid;
pub mod ps;
pub mod run;
pub mod table;
pub mod ui;
pub mod value;

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::launch::EnterError;
use crate::launch::run::RunError;
use crate::render::text::sanitize;
use enter::NotExecuted;
pub use exit::Exit;
use ui::{ColorChoice, Ui};

/// See, enter and build Linux isolation
///
/// nsx shows the namespaces of a host: what is isolated from what, who is in there, and what keeps it alive; it runs commands in them, and
/// in new ones under limits. Every answer also comes as JSON.
#[derive(Debug, Parser)]
#[command(name = "nsx", version, propagate_version = true, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The options that every command has.
#[derive(Args, Debug)]
pub struct Global {
    /// When to use colours
    ///
    /// `auto` is on a terminal, unless NO_COLOR is set or TERM is `dumb`; CLICOLOR_FORCE turns colours on everywhere.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,

    /// Read this directory instead of /proc: a captured tree, or the /proc of something else
    #[arg(long, global = true, value_name = "DIR", hide = true, default_value = "/proc")]
    pub proc_root: PathBuf,
}

/// `nsx enter …` or `nsx run …` without the other commands: to define them all takes a tenth of the time that it takes to enter a container.
#[derive(Debug, Parser)]
#[command(name = "nsx")]
struct Alone<A: Args> {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    args: A,
}

impl<A: Args> Alone<A> {
    /// Parses the arguments if they are for the command `name` and make sense; all else is said by the whole command line.
    fn parse_quickly(name: &str, arguments: &[std::ffi::OsString]) -> Option<Alone<A>> {
        let (program, rest) = arguments.split_first()?;
        let (first, rest) = rest.split_first()?;
        if first != name {
            return None;
        }
        let mut command = Alone::<A>::command();
        let parsed = command.try_get_matches_from_mut([program].into_iter().chain(rest)).ok();
        // Taking it apart again would take as long as putting it together did.
        std::mem::forget(command);
        Alone::from_arg_matches(&parsed?).ok()
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(Box<ls::LsArgs>),
    Ps(Box<ps::PsArgs>),
    Inspect(inspect::InspectArgs),
    Enter(Box<enter::EnterArgs>),
    Net(Box<net::NetArgs>),
    Cg(Box<cg::CgArgs>),
    Run(Box<run::RunArgs>),
    Kill(kill::KillArgs),
    Pid(pid::PidArgs),
}

/// Returns the definition of the command line, for man pages and completions.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Parses the arguments and runs the command.
///
/// # Errors
/// Whatever kept the command from being done; printing it is up to the caller. Usage errors are printed here, by clap.
pub fn run(arguments: impl Iterator<Item = std::ffi::OsString>) -> anyhow::Result<Exit> {
    let mut arguments: Vec<_> = arguments.collect();
    if arguments.get(1).is_some_and(|word| word == "enter") {
        enter::with_equals(Alone::<enter::EnterArgs>::command, &mut arguments[2..]);
    }
    if let Some(Alone { global, args }) = Alone::parse_quickly("enter", &arguments) {
        backend::prefer_by_environment()?;
        let ui = Ui::new(global.color);
        return enter::run(&args, &global, &ui);
    }
    if let Some(Alone { global, args }) = Alone::parse_quickly("run", &arguments) {
        backend::prefer_by_environment()?;
        let ui = Ui::new(global.color);
        return run::run(&args, &global, &ui);
    }
    let words = arguments.clone();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way, too. A terminal that has gone is no reason for another error.
            print(&error, &words);
            return Ok(if error.use_stderr() { Exit::Usage } else { Exit::Done });
        }
    };
    backend::prefer_by_environment()?;
    let ui = Ui::new(cli.global.color);
    match cli.command {
        Command::Ls(args) => ls::run(&args, &cli.global, &ui),
        Command::Ps(args) => ps::run(&args, &cli.global, &ui),
        Command::Inspect(args) => inspect::run(&args, &cli.global, &ui),
        Command::Enter(args) => enter::run(&args, &cli.global, &ui),
        Command::Net(args) => net::run(&args, &cli.global, &ui),
        Command::Cg(args) => cg::run(&args, &cli.global, &ui),
        Command::Kill(args) => kill::run(&args, &cli.global),
        Command::Pid(args) => pid::run(&args, &cli.global, &ui),
        Command::Run(args) => run::run(&args, &cli.global, &ui),
    }
}

/// Prints what clap has to say. An argument that it quotes may be somebody else's words, by a wildcard or a script.
fn print(error: &clap::Error, words: &[std::ffi::OsString]) {
    let is_plain = |word: &std::ffi::OsString| {
        let text = word.to_string_lossy();
        sanitize(text.as_bytes()) == text
    };
    if words.iter().all(is_plain) {
        let _ = error.print();
        return;
    }
    let text = error.render().to_string();
    ui::stderr(|to| text.lines().try_for_each(|line| writeln!(to, "{}", sanitize(line.as_bytes()))));
}

/// A command line that is well formed and makes no sense all the same.
#[derive(Debug)]
pub struct UsageError(pub &'static str);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for UsageError {}

/// Prints an error with its hint, and returns the exit code for it. A closed pipe is none.
pub fn report(error: &anyhow::Error) -> Exit {
    let closed = error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    });
    if closed {
        return Exit::Done;
    }
    ui::error(error, advice::hint(error).as_deref());
    exit_code(error)
}

/// Returns the exit code for an error.
fn exit_code(error: &anyhow::Error) -> Exit {
    if error.is::<UsageError>() {
        Exit::Usage
    } else if error.is::<EnterError>()
        || error.is::<RunError>()
        || error.is::<run::LookUpError>()
        || error.downcast_ref::<advice::NotOwnProc>().is_some_and(|error| matches!(error.doing, "enter" | "run"))
    {
        Exit::NotStarted
    } else if let Some(not_executed) = error.downcast_ref::<NotExecuted>() {
        if not_executed.is_absent() { Exit::NotFound } else { Exit::NotExecutable }
    } else {
        Exit::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        definition().debug_assert();
    }
}
