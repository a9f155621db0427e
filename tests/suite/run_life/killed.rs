//! Nothing is left, whoever is killed and when: nsx before each step of its plan and at any moment, the stub, the first process.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::libc::{SIGKILL, SIGSTOP, SIGTERM, SIGWINCH};
use serde_json::Value;

use super::super::harness::processes::{marked, new_mark, send, state, until_so};
use super::super::harness::terminal::Terminal;
use super::super::harness::{Need, Place, Test, nsx, output, quiet, test, text};
use super::left::Host;
use super::{LIMITS, both_keepers, keepers, start};

const CONTROLLERS: &[Need] = &[Need::Root, Need::Controller("memory"), Need::Controller("pids")];

pub(super) fn tests() -> Vec<Test> {
    let mut tests = vec![
        quiet("run_life::killed_at_any_moment_it_leaves_nothing", &[], plain_moments),
        quiet("run_life::killed_at_any_moment_with_limits_it_leaves_nothing", CONTROLLERS, limited_moments),
        quiet("run_life::killed_while_stopped_it_leaves_nothing", CONTROLLERS, killed_while_stopped),
        quiet("run_life::a_kill_of_the_stub_harms_nobody", CONTROLLERS, stub_killed),
        quiet("run_life::a_kill_of_the_first_process_ends_all", CONTROLLERS, first_killed),
        quiet("run_life::an_end_of_the_process_group_leaves_nothing", CONTROLLERS, group_ended),
        test("run_life::whoever_is_killed_takes_those_in_the_background_along", &[], background),
        test("run_life::a_shared_pid_namespace_does_not_keep_the_command", &[], share_pid),
    ];
    // The nsx of the virtual machines is a release, which does not halt.
    if Place::here() == Place::Machine {
        tests.extend([
            quiet("run_life::killed_before_any_step_it_leaves_nothing", &[Need::Root], plain_steps),
            quiet("run_life::killed_before_any_step_with_limits_it_leaves_nothing", CONTROLLERS, limited_steps),
            quiet("run_life::killed_before_any_step_on_a_terminal_it_leaves_nothing", CONTROLLERS, terminal_steps),
        ]);
    }
    tests
}

/// Returns the steps of the plan for these options. On a terminal there is one more.
fn steps(options: &[&str], on_terminal: bool) -> Vec<Value> {
    let mut command = nsx(&["run"]);
    command.args(options).args(["--explain", "--json", "true"]);
    let shown = if on_terminal { Terminal::start(&mut command).end().1 } else { text(&output(&mut command).stdout) };
    let document: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
    document["steps"].as_array().expect("steps").clone()
}

/// Waits for the end of a child.
fn end(child: &mut Child, what: &str) -> ExitStatus {
    let mut status = None;
    let begin = Instant::now();
    while status.is_none() {
        if begin.elapsed() > Duration::from_secs(60) {
            let _ = child.kill();
            panic!("it does not end: {what}");
        }
        status = child.try_wait().expect("a child");
        std::thread::yield_now();
    }
    status.expect("an end")
}

/// Does something for all numbers below `count`, several at once.
fn at_once(count: usize, act: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        break;
                    }
                    act(number);
                }
            });
        }
    });
}

/// Says whether somebody halts before this step. Who watches over the command, or cleans up, is past the point: [`plain_moments`] is for
/// them.
fn halts(steps: &[Value], place: usize) -> bool {
    let watches = place + 1 == steps.len() || place + 2 == steps.len() && steps[place]["who"] == "init";
    !watches
}

/// Has nsx killed before each step, and makes sure that nothing is left then.
fn killed_before_each(options: &[&str], on_terminal: bool) {
    let steps = steps(options, on_terminal);
    let before = Host::look_closely();
    let survivors = Mutex::new(Vec::new());
    at_once(steps.len(), |place| {
        let mark = new_mark();
        let mut command = nsx(&["run"]);
        // Who is detached is there for a while.
        let script = if options.contains(&"-d") { "sleep 0.3; exit 3" } else { "exit 3" };
        command.args(options).args(["sh", "-c", script, &mark]).env("NSX_HALT_AT", place.to_string());
        let what = format!("{options:?}, step {place}: {}", steps[place]);
        let status = if on_terminal {
            Terminal::start(&mut command).end().0
        } else {
            end(&mut command.spawn().expect("nsx"), &what)
        };
        let whole = if options.contains(&"-d") { 0 } else { 3 };
        let expected = if halts(&steps, place) { (None, Some(SIGKILL)) } else { (Some(whole), None) };
        if (status.code(), status.signal()) != expected {
            survivors.lock().expect("no panic").push(format!("{status}: {what}"));
        }
    });
    let survivors = survivors.into_inner().expect("no panic");
    assert!(survivors.is_empty(), "did not halt, or did not go on: {survivors:#?}");
    before.until_as_before_closely(&format!("killed before each step, {options:?}"));
}

fn plain_steps() {
    // A tree of mounts that nsx holds makes one more step.
    for options in [&[][..], &["--no-init"], &["-v=/usr:/run/nsx-test"], &["--userns=host"], &["-d"]] {
        killed_before_each(options, false);
    }
}

fn limited_steps() {
    for options in [
        &LIMITS[..],
        &["--mem=64M", "--pids=50", "--no-init"],
        &["--mem=64M", "-d", "--timeout=1000"],
        &["--mem=64M", "--userns=keep"],
    ] {
        killed_before_each(options, false);
    }
}

fn terminal_steps() {
    for options in [&[][..], &LIMITS, &["--no-init"]] {
        killed_before_each(options, true);
    }
}

/// How long a run takes here and now, from its start to its end.
fn duration(options: &[&str]) -> Duration {
    let one = || {
        let begin = Instant::now();
        assert!(nsx(&["run"]).args(options).arg("true").status().expect("nsx").success());
        begin.elapsed()
    };
    (0..5).map(|_| one()).min().expect("five")
}

/// Has nsx killed at a hundred moments from its start on.
fn killed_at_moments(options: &[&str]) {
    const COUNT: u32 = 100;
    // Several at once take longer than one.
    let longest = Duration::from_millis(12).max(duration(options) * 4);
    let before = Host::look_closely();
    let mark = new_mark();
    at_once(COUNT as usize, |number| {
        let mut child = nsx(&["run"]).args(options).args(["sleep", &mark]).spawn().expect("nsx");
        // The moment is what is tried out.
        std::thread::sleep(longest * number as u32 / COUNT);
        let _ = child.kill();
        assert_eq!(child.wait().expect("nsx").signal(), Some(SIGKILL));
    });
    until_so("no command is left", || marked(&mark).is_empty());
    before.until_as_before_closely(&format!("killed within {longest:?}, {options:?}"));
}

fn plain_moments() {
    killed_at_moments(&[]);
}

fn limited_moments() {
    killed_at_moments(&LIMITS);
}

fn killed_while_stopped() {
    let before = Host::look_closely();
    for options in [&LIMITS[..], &["--no-init"]] {
        let mut run = start(options, "echo ready; exec sleep \"$0\"");
        let nsx = run.nsx.id();
        run.signal(SIGSTOP);
        until_so("nsx stops", || state(nsx) == Some('T'));
        run.signal(SIGKILL);
        assert_eq!(run.end().0.signal(), Some(SIGKILL), "{options:?}");
        until_so("no command is left", || run.commands().is_empty());
    }
    before.until_as_before_closely("stopped and killed");
}

/// The command goes on, and nsx does what the stub would have done.
fn stub_killed() {
    let before = Host::look_closely();
    for options in [&LIMITS[..], &["--mem=64M", "--no-init"]] {
        let mut run = start(options, "echo ready; read line; exit 5");
        let stub = keepers(&run.nsx.id().to_string()).stub.expect("a stub");
        send(stub, SIGKILL);
        until_so("the stub is gone", || matches!(state(stub), None | Some('Z')));
        run.poke();
        assert_eq!(run.end().0.code(), Some(5), "{options:?}");
    }
    before.until_as_before_closely("a stub that was killed");
}

fn first_killed() {
    let before = Host::look_closely();
    for options in [&[][..], &LIMITS, &["--timeout=1000"]] {
        // Somebody else keeps the output open.
        let mut run = start(options, "sleep \"$0\" & echo ready; wait");
        let (_, first) = both_keepers(&run.nsx.id().to_string());
        send(first, SIGKILL);
        assert_eq!(run.end().0.signal(), Some(SIGKILL), "{options:?}");
        assert_eq!(run.commands(), [0; 0], "{options:?}");
    }
    before.until_as_before_closely("a first process that was killed");
}

fn group_ended() {
    let before = Host::look_closely();
    for options in [&[][..], &LIMITS] {
        for number in [SIGTERM, SIGKILL] {
            let mut run = start(options, "sleep \"$0\" & echo ready; exec sleep \"$0\"");
            // nsx leads it.
            send(-i64::from(run.nsx.id()), number);
            assert_eq!(run.nsx.wait().expect("nsx").signal(), Some(number), "{options:?}");
            until_so("no command is left", || run.commands().is_empty());
        }
    }
    before.until_as_before_closely("a group that was ended");
}

fn background() {
    for options in super::WAYS {
        for with in [SIGKILL, SIGTERM] {
            // In a session of its own, and deaf.
            let script = "(trap '' TERM HUP; exec setsid sleep \"$0\" >/dev/null 2>&1) &
                sleep \"$0\" >/dev/null & trap 'exit 9' TERM; echo ready; wait";
            let mut run = start(options, script);
            until_so("two in the background", || run.commands().len() == 3);
            run.signal(with);
            let status = run.nsx.wait().expect("nsx");
            let expected = if with == SIGKILL { (None, Some(SIGKILL)) } else { (Some(9), None) };
            assert_eq!((status.code(), status.signal()), expected, "{options:?}");
            until_so("all of it is gone", || run.commands().is_empty());
        }
    }
}

/// Where the kernel does not end everybody with the first process, the command at least ends with it.
fn share_pid() {
    for (options, end) in [(&["--share=pid", "--timeout=0.2,0.2"][..], SIGWINCH), (&["--share=pid"], SIGKILL)] {
        let mut run = start(options, "trap '' TERM; echo ready; exec sleep \"$0\"");
        let command = run.command();
        run.signal(end);
        until_so("its end", || run.nsx.try_wait().expect("nsx").is_some());
        until_so("the end of the command", || matches!(state(command), None | Some('Z')));
    }
}
