//! nsx run on kernels that lack a call, and below filters that refuse one: it finds another way, or says what it takes.
//!
//! User namespaces that may not be made are in `forbidden`.

use std::process::{Command, Output, Stdio};

use nix::libc::{
    EPERM, SYS_clone3, SYS_close_range, SYS_fsopen, SYS_mount_setattr, SYS_move_mount, SYS_open_tree, SYS_openat2,
    SYS_pidfd_open, SYS_pidfd_send_signal,
};

use super::super::harness::group::AS_USER;
use super::super::harness::processes::{marked, new_mark, send, until_so};
use super::super::harness::{Need, Test, nsx_path, output, quiet, test, text};
use super::LIMITS;
use super::left::Host;

pub(super) fn tests() -> Vec<Test> {
    let user = &[Need::Root, Need::Tool("setpriv")];
    let limits = &[Need::Root, Need::Controller("memory"), Need::Controller("pids")];
    vec![
        test("run_life::on_kernels_that_lack_a_call", &[], alone),
        test("run_life::on_kernels_that_lack_a_call_as_an_ordinary_user", user, alone_as_user),
        test("run_life::on_kernels_that_lack_all_that_it_can_do_without", &[], together),
        quiet("run_life::on_kernels_that_lack_a_call_limits_hold_and_go", limits, with_limits),
        test("run_life::on_kernels_without_pidfds_signals_and_timeouts_work", &[], without_pidfds),
        test("run_life::on_kernels_without_a_way_to_mount_nothing_starts", &[], without_mounts),
    ]
}

/// Those that something else does the work of.
const SPARE: [i64; 5] = [SYS_clone3, SYS_openat2, SYS_close_range, SYS_pidfd_open, SYS_pidfd_send_signal];

/// Those that nothing else does the work of, with their names.
const NEEDED: [(i64, &str); 4] = [
    (SYS_mount_setattr, "mount_setattr"),
    (SYS_open_tree, "open_tree"),
    (SYS_move_mount, "move_mount"),
    (SYS_fsopen, "fsopen"),
];

/// nsx run below a filter. `prefix` is the program that runs all of it.
pub(super) fn without(prefix: &[&str], filter: &str) -> Command {
    let own = std::env::current_exe().expect("this test");
    let mut command = match prefix {
        [] => Command::new(&own),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&own);
            command
        }
    };
    command.args(["fixture", "without", filter]).arg(nsx_path()).arg("run").stdin(Stdio::null()).current_dir("/");
    command
}

/// What a command finds out about its sandbox, line by line: it must be the same, whatever the kernel lacks.
const LOOK: &str = "id -u; echo $$; hostname; ls /proc >/tmp/y; grep -c '^[0-9]' /tmp/y; echo x >/tmp/x && cat /tmp/x
    touch /usr/x 2>/dev/null || echo read-only; ls -d /tmp/nsx-test-* 2>/dev/null; grep -c . /proc/net/dev
    readlink /proc/self/fd/0; grep NoNewPrivs /proc/self/status; exit 7";

fn seen(done: &Output) -> (Option<i32>, String) {
    (done.status.code(), text(&done.stdout))
}

/// Without notes on the caller's ids, which ordinary users get anyway.
pub(super) fn said(done: &Output) -> String {
    let error = text(&done.stderr);
    error.lines().filter(|line| !line.contains("/etc/subuid")).collect::<Vec<_>>().join("\n")
}

fn each(prefix: &[&str]) {
    let plain = output(without(prefix, "999").args(["sh", "-c", LOOK]));
    assert_eq!((plain.status.code(), said(&plain).as_str()), (Some(7), ""), "{prefix:?}");
    for call in SPARE {
        for errno in ["", ":1"] {
            // A C library that makes processes by clone3(2) takes only ENOSYS for an answer.
            if (call, errno) == (SYS_clone3, ":1") {
                continue;
            }
            let filter = format!("{call}{errno}");
            let done = output(without(prefix, &filter).args(["sh", "-c", LOOK]));
            assert_eq!((seen(&done), said(&done).as_str()), (seen(&plain), ""), "{prefix:?}: {filter}");
        }
    }
    for (call, name) in NEEDED {
        for errno in ["", ":1"] {
            let filter = format!("{call}{errno}");
            let done = output(without(prefix, &filter).args(["sh", "-c", LOOK]));
            let error = said(&done);
            if filter == format!("{SYS_fsopen}:1") {
                // For want of privilege it answers so, too; mount(2) does the same.
                assert_eq!((seen(&done), error.as_str()), (seen(&plain), ""), "{prefix:?}: {filter}");
                continue;
            }
            assert_eq!(seen(&done), (Some(125), String::new()), "{prefix:?}: {filter}: {error}");
            assert!(error.starts_with("nsx: cannot ") && error.contains(name), "{prefix:?}: {filter}: {error}");
        }
    }
}

fn alone() {
    each(&[]);
}

fn alone_as_user() {
    each(&AS_USER);
}

fn all_spare() -> String {
    SPARE.map(|call| call.to_string()).join(",")
}

fn together() {
    let plain = output(without(&[], "999").args(["sh", "-c", LOOK]));
    for options in super::WAYS {
        let done = output(without(&[], &all_spare()).args(options).args(["sh", "-c", LOOK]));
        let (code, out) = seen(&done);
        // The init is one process more.
        let same = |text: &str| {
            text.lines()
                .enumerate()
                .filter(|(line, _)| ![1, 3].contains(line))
                .map(|(_, line)| line.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!((code, same(&out), said(&done).as_str()), (Some(7), same(&seen(&plain).1), ""), "{options:?}");
    }
}

fn with_limits() {
    let before = Host::look();
    let filters: Vec<String> = SPARE.iter().map(i64::to_string).chain([all_spare()]).collect();
    for filter in filters {
        // A limit of two processes, init and shell, leaves no room for a third.
        let script = "exec 2>/dev/null; (sleep 0) & wait $! && exit 3; exit 7";
        let done = output(without(&[], &filter).args(["--pids=2", "sh", "-c", script]));
        let is_refused =
            !matches!(done.status.code(), Some(3 | 125)) && said(&done).contains("a task could not be made");
        assert!(is_refused, "{filter}: the limit does not hold: {} {}", done.status, said(&done));
        let done = output(without(&[], &filter).args(LIMITS).args(["sh", "-c", "exit 8"]));
        assert_eq!((done.status.code(), said(&done).as_str()), (Some(8), ""), "{filter}");
        let done = output(without(&[], &filter).args(LIMITS).args(["--timeout=0.2,0.2", "sleep", "1000"]));
        assert_eq!(done.status.code(), Some(124), "{filter}: {}", said(&done));
    }
    before.until_as_before("kernels that lack something");
}

fn without_pidfds() {
    use nix::libc::{SIGKILL, SIGTERM};
    use std::os::unix::process::ExitStatusExt;
    let filter = format!("{SYS_pidfd_open},{SYS_pidfd_send_signal},{SYS_clone3}");
    for options in [&[][..], &["--no-init"]] {
        let done = output(without(&[], &filter).args(options).args(["--timeout=0.2,0.2", "sleep", "1000"]));
        assert_eq!(done.status.code(), Some(124), "{options:?}: {}", said(&done));
        for (number, expected) in [(SIGTERM, (Some(9), None)), (SIGKILL, (None, Some(SIGKILL)))] {
            let mark = new_mark();
            let script = "trap 'kill $!; exit 9' TERM; sleep \"$0\" >/dev/null & echo ready; wait";
            let mut command = without(&[], &filter);
            command.args(options).args(["sh", "-c", script, &mark]).stdout(Stdio::piped());
            let mut child = command.spawn().expect("nsx");
            let mut line = String::new();
            let out = child.stdout.take().expect("a pipe");
            std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("a line");
            assert_eq!(line, "ready\n", "{options:?}");
            send(child.id(), number);
            let status = child.wait().expect("nsx");
            assert_eq!((status.code(), status.signal()), expected, "{options:?}");
            until_so("all of it is gone", || marked(&mark).is_empty());
        }
    }
}

fn without_mounts() {
    let names = NEEDED.map(|(call, _)| call.to_string()).join(",");
    let done = output(without(&[], &names).arg("true"));
    let error = said(&done);
    assert_eq!(done.status.code(), Some(125), "{error}");
    // One line, and one with something to type.
    let [line, hint] = error.lines().collect::<Vec<_>>()[..] else { panic!("{error}") };
    assert!(
        line.starts_with("nsx: cannot make a root directory: ") && line.contains("(2) is not to be had"),
        "{error}"
    );
    assert!(hint.starts_with("hint: ") && hint.contains("5.12"), "{error}");
    let done = output(without(&[], &format!("{SYS_mount_setattr}:{EPERM}")).arg("true"));
    assert_eq!(done.status.code(), Some(125));
}
