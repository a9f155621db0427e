//! Parse, run, map to an exit code. Everything else is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    nsx::cmd::run(std::env::args_os()).unwrap_or_else(|error| nsx::cmd::report(&error)).into()
}
