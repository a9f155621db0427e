//! nsx enter standing by: signals that go through it, stops that are mirrored, timeouts, what it reports, and what is left of it.
//!
//! Each run has a number of its own among the arguments of its command, by which all its processes are found in the host's `/proc`.
//! How a command ends by itself is compared with nsenter in `nsenter.rs`. See signal(7), "Job control" in credentials(7).

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::harness::{Module, Need, Place, fails, held::Held, nsx, nsx_path, output, test};

pub fn module() -> Module {
    let tests = vec![
        test("signals::each_reaches_the_command", &[], each_reaches_the_command),
        test("signals::without_a_need_nobody_stands_by", &[Need::Root], nobody_stands_by),
        test("signals::a_stop_of_the_command_stops_nsx", &[], stop),
        test("signals::a_stop_of_nsx_stops_the_command", &[], terminal_stop),
        test("signals::what_is_killed_takes_its_command_along", &[], killed),
        test("signals::a_daemon_outlives_its_command", &[], daemon),
        test("signals::a_timeout_ends_the_command", &[], timeout),
        test("signals::a_timeout_kills_who_does_not_listen", &[], stubborn),
        test("signals::a_timeout_that_is_not_reached", &[], in_time),
        test("signals::a_timeout_that_is_none", &[], no_timeout),
        test("signals::events_are_reported", &[], events),
        test("signals::what_never_starts_is_not_reported_as_started", &[], never_started),
        test("signals::nothing_is_left", &[], nothing_is_left),
    ];
    Module { name: "signals", places: &[Place::Vm], tests }
}

fn target() -> Held {
    Held::start(&["enter-target", "mnt,net,pid,uts"])
}

/// Options with which nsx stands by while the command runs. Only root may leave out the user namespace of a rootless target.
fn standing_by() -> Vec<Vec<&'static str>> {
    let all = vec![vec![], vec!["-a"], vec!["--timeout=1000"]];
    let some = vec![vec!["-p"], vec!["-p", "-m"], vec!["-m"], vec!["-n", "--timeout=1000"]];
    if nix::unistd::geteuid().is_root() { [all, some].concat() } else { all }
}

/// A run of nsx, until it is dropped, with all that came of it.
struct Run {
    nsx: Child,
    input: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    mark: String,
}

impl Run {
    /// Starts a shell in the target, with the number of the run as `$0`, and waits until it says `ready`.
    fn start(target: &Held, options: &[&str], script: &str) -> Run {
        Run::start_with(target, options, script, |_| ())
    }

    fn start_with(
        target: &Held,
        options: &[&str],
        script: &str,
        change: impl FnOnce(&mut std::process::Command),
    ) -> Run {
        static COUNT: AtomicU32 = AtomicU32::new(10);
        // As seconds it is long enough, too.
        let mark = format!("{}{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let pid = target.number(0).to_string();
        let mut command = nsx(&["enter", "-t", &pid]);
        command.args(options).args(["sh", "-c", script, &mark]);
        // A group whose parent is in another one: the kernel stops nobody in an orphaned group at SIGTSTP.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        // A shell cannot trap what is ignored when it starts, as it is in the background jobs of another one.
        // SAFETY: between fork and exec only signal(2) is called.
        unsafe {
            command.pre_exec(|| {
                for signal in [nix::libc::SIGINT, nix::libc::SIGQUIT, nix::libc::SIGHUP] {
                    nix::libc::signal(signal, nix::libc::SIG_DFL);
                }
                Ok(())
            });
        }
        change(&mut command);
        let mut nsx = command.spawn().expect("nsx");
        let (input, out) = (nsx.stdin.take(), BufReader::new(nsx.stdout.take().expect("a pipe")));
        let mut run = Run { nsx, input, out, mark };
        let mut line = String::new();
        run.out.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "nsx enter {options:?} sh -c {script:?}: {:?}", run.nsx.try_wait());
        run
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.nsx.id() as i32), signal).expect("nsx is there");
    }

    /// Returns its processes but nsx itself.
    fn commands(&self) -> Vec<u32> {
        let processes = std::fs::read_dir("/proc").expect("/proc");
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &u32| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = arguments.split(|&byte| byte == 0);
            let is_nsx = words.next().is_some_and(|program| program.windows(3).any(|part| part == b"nsx"));
            !is_nsx && words.any(|word| word == self.mark.as_bytes())
        })
        .collect()
    }

    /// Returns the only process of it.
    fn command(&self) -> u32 {
        match self.commands()[..] {
            [command] => command,
            ref all => panic!("not one process but {all:?}"),
        }
    }

    /// Waits for the end, and returns it with the rest of what the command has printed.
    fn end(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("text");
        (self.nsx.wait().expect("nsx"), rest)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.nsx.kill();
        for pid in self.commands() {
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
        }
        let _ = self.nsx.wait();
    }
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never came to pass: {what}");
        std::thread::yield_now();
    }
}

/// Returns the state of a process, as proc_pid_stat(5) has it; `None` if it has gone.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

fn each_reaches_the_command() {
    let target = target();
    let names = ["HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM"];
    let traps: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(number, name)| format!("trap 'echo {name}; kill $!; exit {}' {name}", 40 + number))
        .collect();
    let script = format!("{}\nsleep \"$0\" >/dev/null & echo ready\nwait", traps.join("\n"));
    for options in standing_by() {
        for (number, name) in names.iter().enumerate() {
            let mut run = Run::start(&target, &options, &script);
            run.signal(format!("SIG{name}").parse().expect("a signal"));
            let (status, rest) = run.end();
            assert_eq!((status.code(), rest), (Some(40 + number as i32), format!("{name}\n")), "{options:?}: {status}");
        }
        // Who does not catch it dies of it, and nsx by the same one.
        let mut run = Run::start(&target, &options, "echo ready; exec sleep \"$0\"");
        run.signal(Signal::SIGTERM);
        assert_eq!(run.end().0.signal(), Some(Signal::SIGTERM as i32), "{options:?}");
    }
}

fn nobody_stands_by() {
    let target = target();
    for options in [&["-n"][..], &["-n", "-u"]] {
        let run = Run::start(&target, options, "echo ready; read line");
        assert_eq!(run.command(), run.nsx.id(), "{options:?}");
    }
    for options in [&["-p"][..], &["-m"], &["-n", "--timeout=1000"]] {
        let run = Run::start(&target, options, "echo ready; read line");
        assert_ne!(run.command(), run.nsx.id(), "{options:?}");
    }
}

/// Lets a command end that waits for a line, and makes sure that its status is nsx's.
fn finish(mut run: Run) {
    // A stop that came late stops nobody for good.
    run.signal(Signal::SIGCONT);
    run.input.as_mut().expect("a pipe").write_all(b"\n").expect("a reader");
    assert_eq!(run.end().0.code(), Some(5));
}

/// Stops both by `stop`, and lets nsx go on, more than once. What went before may still be on its way (a SIGCONT that is passed on after the
/// command was seen to run), so whoever has not listened is told again, now and then.
fn stop_and_go(run: &Run, stop: impl Fn()) {
    let (nsx, command) = (run.nsx.id(), run.command());
    for _ in 0..3 {
        for (what, wanted) in [("both stop", true), ("both go on", false)] {
            let mut told: Option<Instant> = None;
            until(what, || {
                let seen = (is_stopped(nsx), is_stopped(command));
                if told.is_none_or(|told| told.elapsed() > Duration::from_millis(200)) {
                    told = Some(Instant::now());
                    match seen {
                        (false, false) if wanted => stop(),
                        // It has stopped for something that is over.
                        (true, false) => run.signal(Signal::SIGCONT),
                        (true, true) if !wanted => run.signal(Signal::SIGCONT),
                        _ => {}
                    }
                }
                seen == (wanted, wanted)
            });
        }
    }
}

fn stop() {
    let target = target();
    for options in standing_by() {
        let run = Run::start(&target, &options, "echo ready; read line; exit 5");
        let command = Pid::from_raw(run.command() as i32);
        stop_and_go(&run, || kill(command, Signal::SIGSTOP).expect("the command"));
        finish(run);
    }
}

fn terminal_stop() {
    let target = target();
    for options in standing_by() {
        let run = Run::start(&target, &options, "echo ready; read line; exit 5");
        stop_and_go(&run, || run.signal(Signal::SIGTSTP));
        finish(run);
    }
}

fn killed() {
    let target = target();
    for options in standing_by() {
        let mut run = Run::start(&target, &options, "sleep \"$0\" >/dev/null & echo ready; wait");
        until("a child in the background", || run.commands().len() == 2);
        run.signal(Signal::SIGKILL);
        assert_eq!(run.nsx.wait().expect("nsx").signal(), Some(9));
        until("all of it is gone", || run.commands().is_empty());
        // Nor is anybody of nsx left who would have seen to that.
        let mark = run.mark.clone();
        until("nsx is gone", || !is_anywhere(&mark));
    }
}

/// Says whether any process has the number among its arguments, nsx itself included.
fn is_anywhere(mark: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    processes.flatten().any(|entry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        arguments.split(|&byte| byte == 0).any(|word| word == mark.as_bytes())
    })
}

fn daemon() {
    let target = target();
    // The substitution ends when the daemon is in a session of its own and has let go of the pipe.
    let script = "echo ready
        up=$(setsid sh -c 'sleep \"$0\" >/dev/null 2>&1 </dev/null & echo up' \"$0\")
        echo \"$up\"; exit 3";
    for options in standing_by() {
        let mut run = Run::start(&target, &options, script);
        let (status, rest) = run.end();
        assert_eq!((status.code(), rest.as_str()), (Some(3), "up\n"), "{options:?}");
        assert!(state(run.command()).is_some_and(|state| state != 'Z'), "{options:?}: the daemon lives");
    }
}

fn timeout() {
    let target = target();
    let script = "trap 'echo TERM; kill $!; exit 9' TERM; sleep \"$0\" >/dev/null & echo ready; wait";
    for options in [&["--timeout=3"][..], &["--timeout", "3"], &["--timeout=3", "--no-cgroup"]] {
        let mut run = Run::start(&target, options, script);
        let (status, rest) = run.end();
        assert_eq!((status.code(), rest.as_str()), (Some(124), "TERM\n"), "{options:?}");
        assert_eq!(run.commands(), [0; 0]);
    }
    // However early that is.
    let pid = target.number(0).to_string();
    let done = output(&mut nsx(&["enter", "-t", &pid, "--timeout", "0.3", "sleep", "1000"]));
    assert_eq!(done.status.code(), Some(124));
}

fn stubborn() {
    let target = target();
    let mut run = Run::start(&target, &["--timeout=0.2,0.2"], "trap '' TERM; echo ready; exec sleep \"$0\"");
    assert_eq!(run.end().0.code(), Some(124));
    assert_eq!(run.commands(), [0; 0]);
}

fn in_time() {
    let target = target();
    let mut run = Run::start(&target, &["--timeout=1000"], "echo ready; exit 5");
    assert_eq!(run.end().0.code(), Some(5));
    let mut run = Run::start(&target, &["--timeout=1000"], "echo ready; kill -KILL $$");
    assert_eq!(run.end().0.signal(), Some(9));
}

fn no_timeout() {
    for text in ["x", "", "-1", "1,", ",1", "1,2,3", "1 2", "nan", "inf"] {
        let error = fails(&["enter", "-t", "self", &format!("--timeout={text}"), "true"], 2);
        assert!(error.contains("--timeout"), "{text}: {error}");
    }
}

/// Where events go.
const STATUS_FD: i32 = 57;

/// Gives a command the write end of a pipe as [`STATUS_FD`], and returns the read end.
fn status_pipe(command: &mut std::process::Command) -> std::io::PipeReader {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    // SAFETY: between fork and exec only dup2(2) and fcntl(2) are called.
    unsafe {
        command.pre_exec(move || {
            nix::libc::dup2(writer.as_raw_fd(), STATUS_FD);
            // If it had that number before it is still to be closed on exec.
            nix::libc::fcntl(STATUS_FD, nix::libc::F_SETFD, 0);
            Ok(())
        });
    }
    reader
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn events() {
    let target = target();
    let status_fd = format!("--status-fd={STATUS_FD}");
    for (end, key, values) in [
        ("exit 7", "code", [7.into(), 7.into(), 7.into()]),
        ("exit 125", "code", [125.into(), 125.into(), 125.into()]),
        ("kill -KILL $$", "signal", [Value::from(9), "KILL".into(), "SIGKILL".into()]),
    ] {
        let script = format!("test ! -e /proc/$$/fd/{STATUS_FD} && echo ready; read line; {end}");
        let mut events = None;
        let mut run = Run::start_with(&target, &[&status_fd], &script, |command| {
            events = Some(BufReader::new(status_pipe(command)));
        });
        let mut events = events.expect("a pipe");
        let mut line = String::new();
        events.read_line(&mut line).expect("a line");
        let started = &lines(&line)[0];
        // By the caller's numbers, as kill(1) would take it.
        assert_eq!((&started["event"], &started["pid"]), (&"started".into(), &run.command().into()), "{line}");
        run.input.as_mut().expect("a pipe").write_all(b"\n").expect("a reader");
        run.end();
        let mut rest = String::new();
        events.read_to_string(&mut rest).expect("text");
        let rest = lines(&rest);
        let [exited] = &rest[..] else { panic!("not one event but {rest:?}") };
        assert_eq!(exited["event"], "exited", "{exited}");
        assert!(values.contains(&exited[key]), "{end}: {exited}");
        let other = if key == "code" { "signal" } else { "code" };
        assert!(exited[other].is_null(), "{end}: {exited}");
    }
}

fn never_started() {
    let target = target();
    let (pid, status_fd) = (target.number(0).to_string(), format!("--status-fd={STATUS_FD}"));
    for (pid, command, code) in [("4194305", "true", 125), (pid.as_str(), "/nsx-test-none", 127), (&pid, "/usr", 126)] {
        let mut nsx = nsx(&["enter", "-t", pid, &status_fd, command]);
        let mut reader = status_pipe(&mut nsx);
        assert_eq!(output(&mut nsx).status.code(), Some(code), "{command}");
        drop(nsx);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        assert!(lines(&text).iter().all(|event| event["event"] != "started"), "{command}: {text}");
    }
}

fn nothing_is_left() {
    let target = target();
    let pid = target.number(0).to_string();
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let report = folder.path().join("report");
    for (options, script, code) in [
        (&[][..], "exit 0", 0),
        (&[], "exit 42", 42),
        (&[], "kill -KILL $$", -1),
        // Their parent goes first.
        (&[], "for i in 1 2 3 4 5 6 7 8; do sh -c : & done; exit 1", 1),
        (&["--timeout=0.2,0.2"], "trap '' TERM; exec sleep 1000", 124),
        (&["--nsx-test-no-option"], "exit 0", 2),
    ] {
        let mut command = std::process::Command::new(std::env::current_exe().expect("this test"));
        command.args(["fixture", "reaper"]).arg(&report).arg(nsx_path()).args(["enter", "-t", &pid]).args(options);
        // Who is left may have the output open.
        command.args(["sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().expect("a fixture").success(), "{script}");
        let said = std::fs::read_to_string(&report).expect("a report");
        assert_eq!(said, format!("{code} 0 0\n"), "{script}: its code, who is left, and zombies");
    }
}
