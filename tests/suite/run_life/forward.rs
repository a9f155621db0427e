//! Signals to nsx run by their kind: those that are passed on, and stops, which are mirrored both ways.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use nix::libc::{SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH};

use super::super::harness::terminal::{state, until_so};
use super::super::harness::{Need, Test, test};
use super::{LIMITS, Run, WAYS, send};

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
        let mut run = Run::start(options, &script);
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
        let mut run = Run::start(&["--ulimit=core=0"], "echo ready; exec sleep \"$0\"");
        run.signal(number);
        assert_eq!(run.end().0.signal(), Some(number));
    }
    // What nobody minds ends nobody.
    let mut run = Run::start(&[], "echo ready; read line; exit 5");
    run.signal(SIGWINCH);
    run.signal(SIGCONT);
    run.poke();
    assert_eq!(run.end().0.code(), Some(5));
}

fn order() {
    for options in WAYS {
        let script = "count=0; trap 'count=$((count + 1)); echo heard' USR1; trap 'echo $count; kill $!; exit 6' USR2
            sleep \"$0\" >/dev/null & echo ready; while :; do wait; done";
        let mut run = Run::start(options, script);
        for _ in 0..20 {
            run.signal(SIGUSR1);
            assert_eq!(run.line(), "heard", "{options:?}");
        }
        run.signal(SIGUSR2);
        let (status, rest) = run.end();
        assert_eq!((status.code(), rest.as_str()), (Some(6), "20\n"), "{options:?}");
    }
}

fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// Lets a command end that waits for a line, and makes sure that its status is nsx's.
fn finish(mut run: Run) {
    // A stop that came late stops nobody for good.
    run.signal(SIGCONT);
    run.poke();
    assert_eq!(run.end().0.code(), Some(5));
}

/// Stops both by `stop`, and lets nsx go on, more than once. What went before may still be on its way, so whoever has not listened is told
/// again, now and then.
fn stop_and_go(run: &Run, stop: impl Fn()) {
    let (nsx, command) = (run.nsx.id(), run.command());
    for _ in 0..3 {
        for (what, wanted) in [("both stop", true), ("both go on", false)] {
            let mut told: Option<Instant> = None;
            let begin = Instant::now();
            loop {
                let seen = (is_stopped(nsx), is_stopped(command));
                if seen == (wanted, wanted) {
                    break;
                }
                assert!(begin.elapsed() < Duration::from_secs(60), "it never came to pass: {what}: {seen:?}");
                if told.is_none_or(|told| told.elapsed() > Duration::from_millis(200)) {
                    told = Some(Instant::now());
                    match seen {
                        (false, false) if wanted => stop(),
                        // It has stopped for something that is over.
                        (true, false) => run.signal(SIGCONT),
                        (true, true) if !wanted => run.signal(SIGCONT),
                        _ => {}
                    }
                }
                std::thread::yield_now();
            }
        }
    }
}

fn stop() {
    for options in WAYS {
        let run = Run::start(options, "echo ready; read line; exit 5");
        let command = run.command();
        stop_and_go(&run, || send(command, SIGSTOP));
        finish(run);
    }
}

fn terminal_stop() {
    for options in WAYS {
        let run = Run::start(options, "echo ready; read line; exit 5");
        stop_and_go(&run, || run.signal(SIGTSTP));
        finish(run);
    }
}

/// Nobody can pass that on; but what came meanwhile is not lost.
fn hard_stop() {
    for options in WAYS {
        let mut run = Run::start(options, "trap 'exit 8' USR1; sleep \"$0\" >/dev/null & echo ready; wait");
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
    use super::super::harness::nsx;
    for number in [SIGTERM, SIGINT, SIGHUP] {
        for round in 0..20 {
            let mark = super::new_mark();
            let mut command = nsx(&["run", "sleep", &mark]);
            super::lead_a_group(&mut command);
            let mut child = command.spawn().expect("nsx");
            // The moment is what is tried out.
            std::thread::sleep(Duration::from_micros(500) * round);
            send(child.id(), number);
            assert_eq!(child.wait().expect("nsx").signal(), Some(number), "round {round}");
            until_so("no command is left", || super::marked(&mark).is_empty());
        }
    }
}
