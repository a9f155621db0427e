//! The one integration test binary: real namespaces, real shells, the built `nsx`.
//!
//! It has a main of its own so that it can be run again as a fixture (a process that holds a namespace in some way), and so that a
//! test whose needs are not met is never passed silently: it is shown as ignored, and fails where `NSX_TEST_STRICT=1` is set.

#![expect(unreachable_pub, reason = "what modules of a binary share is `pub`")]

mod harness;

// What the command line says and understands: help, options, errors, exit codes.
mod cli;
// Kernels that lack something, by a seccomp filter that says so.
mod enosys;
// 1,500 runs while processes come and go.
mod churn;
// Scans of made-up /proc trees.
mod fake;
// Man pages, completions, schema and README against what the code says.
mod generated;
// Names, arguments and paths that mean harm.
mod hostile;
// The rules of the house: layers, files, words.
mod house;
// The JSON document and its schema.
mod json;
// Each way of keeping a namespace alive, for real.
mod live;
// The lsns that is installed, side by side.
mod oracle;
// What different callers see: ordinary users, hidepid, containers.
mod views;
// Closed descriptors, closed pipes, full disks.
mod streams;
// What targets mean.
mod targets;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "fixture") {
        return harness::fixture::main(&arguments.collect::<Vec<_>>());
    }
    let modules = [
        cli::tests(),
        enosys::tests(),
        churn::tests(),
        fake::tests(),
        generated::tests(),
        hostile::tests(),
        house::tests(),
        json::tests(),
        live::tests(),
        oracle::tests(),
        streams::tests(),
        targets::tests(),
        views::tests(),
    ];
    let trials = modules.into_iter().flatten().collect();
    let code = libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code();
    harness::clean_up();
    code
}
