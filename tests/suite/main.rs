//! The one integration test binary: real namespaces, real shells, the built `nsx`.
//!
//! It has a main of its own so that it can be run again as a fixture (a process that holds a namespace in some way), and so that a
//! test whose needs are not met is never passed silently: it is shown as ignored, and fails where `NSX_TEST_STRICT=1` is set.

#![expect(unreachable_pub, reason = "what modules of a binary share is `pub`")]

mod harness;

// The two ways of looking at processes, side by side.
mod backends;
// What the command line says and understands: help, options, errors, exit codes.
mod cli;
// Kernels that lack something, by a seccomp filter that says so.
mod enosys;
// nsx cg ls, show and path on cgroups that are made for it.
mod cg;
// What nsx cg shows of cgroups that real kernels had.
mod cg_recorded;
// What cgroups use, live: the screen and its keys, tables, JSON.
mod cg_top;
// Knobs of cgroups, making and removing them: nsx cg set, create, rm.
mod cg_change;
// Who is in a cgroup: nsx cg move, freeze, thaw, kill, procs.
mod cg_members;
// The cgroup of a target that is entered.
mod cgroups;
// Entering on kernels that lack something.
mod enosys_enter;
// Security contexts of a target that is entered.
mod contexts;
// Run after run while processes come and go.
mod churn;
// Container engines, with containers of theirs.
mod engines;
// The steps of nsx enter, before and after they are made.
mod explain;
// Scans of made-up /proc trees.
mod fake;
// Man pages, completions, schema and README against what the code says.
mod generated;
// Names, arguments and paths that mean harm.
mod hostile;
// Targets that attack whoever enters them.
mod hostile_enter;
// What is said below errors of nsx enter, each caused for real.
mod hints;
// The rules of the house: layers, files, words.
mod house;
// All that isolates a process: nsx inspect.
mod inspect;
// What runc makes of what nsx inspect --oci says.
mod inspect_oci;
// The JSON document and its schema.
mod json;
// Each way of keeping a namespace alive, for real.
mod live;
// The report of scripts/vm.
mod matrix;
// nsx net beside ip-link(8), and on links that mean harm.
mod net;
// What nsx net --dot prints, drawn.
mod net_picture;
// nsx enter and the nsenter that is installed, side by side.
mod nsenter;
// The same, for what is no namespace: ids, folders, environment, cgroup.
mod nsenter_process;
// The lsns that is installed, side by side.
mod oracle;
// What nsx ps makes of what real engines left on disk.
mod ps_recorded;
// What processes are called in other pid namespaces: nsx pid.
mod pid;
// nsx run from outside: how it ends, what reaches it, what is left of it, kernels that lack something.
mod run_life;
// nsx run on each kernel: a little of everything
mod run_kernels;
// Signals, stops, timeouts, and what is left when nsx enter has gone.
mod signals;
// What different callers see: ordinary users, hidepid, containers.
mod views;
// Each option of nsx run has its effect, on each kernel.
mod run_options;
// What nsx run says of the end, and of what it is about to do.
mod run_report;
// Attacks on the sandboxes of nsx run, from inside and by what they are made of.
mod run_isolation;
// What nsx enter once did wrong.
mod regressions_enter;
// The cgroups of a sandbox.
mod run_limits;
// Closed descriptors, closed pipes, full disks.
mod streams;
// Commands on terminals: job control, sizes, keys.
mod terminals;
// Services and sessions below systemd.
mod systemd;
// The host's programs in a target that has none.
mod tools;
// What targets mean.
mod targets;

use std::ffi::OsString;
use std::process::ExitCode;

use harness::{Module, Place};

fn modules() -> Vec<Module> {
    vec![
        backends::module(),
        cg::module(),
        cg_recorded::module(),
        cg_top::module(),
        cg_change::module(),
        cg_members::module(),
        cgroups::module(),
        cli::module(),
        contexts::module(),
        enosys::module(),
        enosys_enter::module(),
        churn::module(),
        engines::module(),
        explain::module(),
        fake::module(),
        generated::module(),
        hostile::module(),
        hostile_enter::module(),
        hints::module(),
        house::module(),
        inspect::module(),
        inspect_oci::module(),
        json::module(),
        live::module(),
        matrix::module(),
        net::module(),
        net_picture::module(),
        nsenter::module(),
        nsenter_process::module(),
        oracle::module(),
        ps_recorded::module(),
        pid::module(),
        run_life::module(),
        run_kernels::module(),
        run_options::module(),
        run_report::module(),
        signals::module(),
        regressions_enter::module(),
        run_limits::module(),
        run_isolation::module(),
        streams::module(),
        systemd::module(),
        targets::module(),
        terminals::module(),
        tools::module(),
        views::module(),
    ]
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    // As the attendants of a sandbox are called.
    let is_impostor = arguments.next().is_some_and(|program| program == "nsx: sandbox");
    let arguments: Vec<OsString> = arguments.collect();
    if is_impostor {
        return harness::fixture::impostor();
    }
    let words: Vec<&str> = arguments.iter().map_while(|word| word.to_str()).collect();
    match words.as_slice() {
        ["fixture", ..] => return harness::fixture::main(&arguments[1..]),
        // What scripts/vm asks for.
        ["needs", place, wanted @ ..] => return needs(place, wanted),
        ["report", plan] => return harness::report::main(plan),
        _ => {}
    }
    let place = Place::here();
    let modules = modules().into_iter().filter(|module| module.runs_in(place));
    let trials = modules.flat_map(|module| module.tests).map(|test| test.trial()).collect();
    let code = libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code();
    harness::clean_up();
    code
}

/// Prints the modules that run in a place, or those of them that are named, and what an image must hold for them.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the answer is what this process is for")]
fn needs(place: &str, wanted: &[&str]) -> ExitCode {
    let Some(place) = Place::named(place) else {
        eprintln!("no such place: {place}");
        return ExitCode::FAILURE;
    };
    let mut there: Vec<Module> = modules().into_iter().filter(|module| module.runs_in(place)).collect();
    if let Some(unknown) = wanted.iter().find(|name| there.iter().all(|module| module.name != **name)) {
        let names: Vec<&str> = there.iter().map(|module| module.name).collect();
        eprintln!("no module {unknown} runs there; these do: {}", names.join(" "));
        return ExitCode::FAILURE;
    }
    there.retain(|module| wanted.is_empty() || wanted.contains(&module.name));
    for module in &there {
        println!("module {}", module.name);
    }
    for need in harness::declare::needs(there.iter()) {
        println!("{need}");
    }
    ExitCode::SUCCESS
}
