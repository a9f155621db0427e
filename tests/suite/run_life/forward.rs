//! Signals to nsx run by their kind: those that are passed on, and stops, which are mirrored both ways.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::libc::{SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH};

use super::super::harness::processes::{is_stopped, marked, new_mark, send, until_so};
use super::super::harness::running::lead_a_group;
use super::super::harness::{Need, Test, nsx, test};
use super::{LIMITS, WAYS, start};

pub(super) fn tests() -> Vec<Test> {
    let limits = &[Need::Root, Need::Controller("memory"), Need::Controller("pids")];
    vec![
        test("run_life::each_signal_reaches_the_command", &[], each),
        test("run_life::each_signal_reaches_a_command_with_limits", limits, each_with_limits),
        test("run_life::what_the_command_does_not_handle_ends_both", &[], unhandled),
        test("run_life::many_signals_arrive_in_their_order", &[], order),
        test("run_life::a_stop_of_the_command_stops_nsx", &[], stop),
        test("run_life::a_stop_of_nsx_stops_the_command", &[], terminal_stop),
        test("run_life::an_nsx_that_was_stopped_for_good_goes_on", &[], hard_stop),
        test("run_life::a_signal_before_there_is_a_command_ends_nsx_by_it", &[], early),
    ]
}

/// From the first real-time signal to the last.
const SIGNALS: [i32; 11] = [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGWINCH, 34, 40, 64];

fn reaches(options: &[&str]) {
    let traps: Vec<String> =
        SIGNALS.iter().map(|number| format!("trap 'echo {number}; kill $!; exit {}' {number}", 100 + number)).collect();
    let script = format!("{}\nsleep \"$0\" >/dev/null & echo ready\nwait", traps.join("\n"));
    for number in SIGNALS {
        let mut run = start(options, &script);
        run.signal(number);
        let (status, rest) = run.end();
        assert_eq!((status.code(), rest), (Some(100 + number), format!("{number}\n")), "{options:?}: {status}");
    }
}

fn each() {
    WAYS.into_iter().for_each(reaches);
}

fn each_with_limits() {
    reaches(&LIMITS);
}

fn unhandled() {
    for number in SIGNALS.into_iter().filter(|number| *number != SIGWINCH) {
        let mut run = start(&["--ulimit=core=0"], "echo ready; exec sleep \"$0\"");
        run.signal(number);
        assert_eq!(run.end().0.signal(), Some(number));
    }
    // What nobody minds ends nobody.
    let mut run = start(&[], "echo ready; read line; exit 5");
    run.signal(SIGWINCH);
    run.signal(SIGCONT);
    run.poke();
    assert_eq!(run.end().0.code(), Some(5));
}

fn order() {
    for options in WAYS {
        let script = "count=0; trap 'count=$((count + 1)); echo heard' USR1; trap 'echo $count; kill $!; exit 6' USR2
            sleep \"$0\" >/dev/null & echo ready; while :; do wait; done";
        let mut run = start(options, script);
        for _ in 0..20 {
            run.signal(SIGUSR1);
            assert_eq!(run.line(), "heard", "{options:?}");
        }
        run.signal(SIGUSR2);
        let (status, rest) = run.end();
        assert_eq!((status.code(), rest.as_str()), (Some(6), "20\n"), "{options:?}");
    }
}

fn stop() {
    for options in WAYS {
        let run = start(options, "echo ready; read line; exit 5");
        let command = run.command();
        run.stop_and_go(|| send(command, SIGSTOP));
        run.finish();
    }
}

fn terminal_stop() {
    for options in WAYS {
        let run = start(options, "echo ready; read line; exit 5");
        run.stop_and_go(|| run.signal(SIGTSTP));
        run.finish();
    }
}

/// Nobody can pass that on; but what came meanwhile is not lost.
fn hard_stop() {
    for options in WAYS {
        let mut run = start(options, "trap 'exit 8' USR1; sleep \"$0\" >/dev/null & echo ready; wait");
        let nsx = run.nsx.id();
        run.signal(SIGSTOP);
        until_so("nsx stops", || is_stopped(nsx));
        run.signal(SIGUSR1);
        assert!(run.commands().into_iter().all(|pid| !is_stopped(pid)), "{options:?}");
        run.signal(SIGCONT);
        assert_eq!(run.end().0.code(), Some(8), "{options:?}");
    }
}

fn early() {
    for number in [SIGTERM, SIGINT, SIGHUP] {
        for round in 0..20 {
            let mark = new_mark();
            let mut command = nsx(&["run", "sleep", &mark]);
            lead_a_group(&mut command);
            let mut child = command.spawn().expect("nsx");
            // The moment is what is tried out.
            std::thread::sleep(Duration::from_micros(500) * round);
            send(child.id(), number);
            assert_eq!(child.wait().expect("nsx").signal(), Some(number), "round {round}");
            until_so("no command is left", || marked(&mark).is_empty());
        }
    }
}
