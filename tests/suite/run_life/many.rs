//! Many runs of nsx run, one after the other and at once: each is right, and none of them leaves anything.

use std::sync::Mutex;

use super::super::harness::cgroup::is_usable;
use super::super::harness::{Need, Test, nsx, output, quiet, text};
use super::LIMITS;
use super::left::Host;

pub(super) fn tests() -> Vec<Test> {
    let limits = &[Need::Root, Need::Controller("memory"), Need::Controller("pids")];
    vec![
        quiet("run_life::a_thousand_in_a_row_leave_nothing", &[], thousand),
        quiet("run_life::eight_at_once_with_limits_are_each_right", limits, at_once),
    ]
}

/// The descriptors that a command has, and its code.
const LOOK: &str = "ls /proc/$$/fd; exit $0";

fn thousand() {
    let before = Host::look_closely();
    let limits: &[&str] =
        if nix::unistd::geteuid().is_root() && is_usable("memory") && is_usable("pids") { &LIMITS } else { &[] };
    for number in 0..1000 {
        let code = (number % 256).to_string();
        let options: &[&str] = match number % 3 {
            0 => &["--no-init"],
            1 => limits,
            _ => &[],
        };
        let done = output(nsx(&["run"]).args(options).args(["sh", "-c", LOOK, &code]));
        assert_eq!(done.status.code(), Some(number % 256), "{number}: {}", text(&done.stderr));
        // No more than its own three, from the first run to the last.
        assert_eq!(text(&done.stdout), "0\n1\n2\n", "{number}");
    }
    before.until_as_before_closely("a thousand runs");
}

fn at_once() {
    let before = Host::look_closely();
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let wrong = &wrong;
            scope.spawn(move || {
                for round in 0..15 {
                    let code = (worker * 15 + round).to_string();
                    let done = output(nsx(&["run"]).args(LIMITS).args(["sh", "-c", "exit $0", &code]));
                    if done.status.code() != Some(worker * 15 + round) || !done.stderr.is_empty() {
                        let said = text(&done.stderr);
                        wrong.lock().expect("no panic").push(format!("{code}: {}: {said}", done.status));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{wrong:#?}");
    before.until_as_before_closely("eight at once");
}
