//! The life of what `nsx run` starts: its name, its time, its environment, its descriptors. Not here: parsers of the values (`value`,
//! `environment`), watching over it (`launch`).

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::{environment, value};
use crate::cmd::value::timeout;
use crate::launch::Timeout;
use crate::launch::run::Environment;

/// The options on the life of the command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Command options")]
pub struct LifeArgs {
    /// Name the sandbox (default: the pid of nsx)
    ///
    /// Letters, digits, `_`, `.` and `-`, 63 at most; a letter or digit comes first.
    #[arg(long, value_name = "NAME", value_parser = value::name)]
    pub name: Option<String>,

    /// Do not wait for the command, and print its name, which nsx-kill(1) takes
    #[arg(short = 'd', long, conflicts_with_all = ["stats", "status_fd"])]
    pub detach: bool,

    /// End the command after this time with SIGTERM, and with SIGKILL when GRACE is over, too (default: 10s)
    ///
    /// Times are numbers with a unit: 1.5s, 300ms, 2m, 1h; without one, seconds.
    #[arg(long, value_name = "TIME[,GRACE]", allow_negative_numbers = true, value_parser = timeout)]
    pub timeout: Option<Timeout>,

    /// Print what the command has used, when it has ended, to standard error
    #[arg(long)]
    pub stats: bool,

    /// Write what becomes of the command to this descriptor, as lines of JSON
    #[arg(long, value_name = "FD", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..))]
    pub status_fd: Option<i32>,

    /// Make the command the first process of its pid namespace (default: that is an init, which collects what has ended)
    #[arg(long, conflicts_with_all = ["detach", "time_offset"])]
    pub no_init: bool,

    /// Set a variable; without a value, to the caller's (can be repeated)
    #[arg(short = 'e', long, value_name = "NAME[=VALUE]", value_parser = environment::variable())]
    pub env: Vec<(OsString, Option<OsString>)>,

    /// Set the variables that are in this file (can be repeated)
    ///
    /// A line has NAME=VALUE or NAME; what begins with `#` is passed over. Values are taken as they are, quotation marks included. What --env
    /// sets counts more.
    #[arg(long, value_name = "FILE", value_parser = value::path())]
    pub env_file: Vec<PathBuf>,

    /// Take over no variable (default: TERM, LANG, LC_*, PATH and the like are the caller's)
    #[arg(long)]
    pub clear_env: bool,

    /// Leave this descriptor open in the command (can be repeated)
    #[arg(long, value_name = "FD", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..))]
    pub keep_fd: Vec<i32>,
}

impl LifeArgs {
    /// Returns the environment, without what is in files: [`super::RunArgs::look_up`] adds that.
    pub fn environment(&self) -> Environment {
        Environment { clear: self.clear_env, set: self.env.clone() }
    }
}
