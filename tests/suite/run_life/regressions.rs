//! What nsx run once did wrong.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc::{self, EPERM, SYS_clone3};

use super::super::harness::terminal::Terminal;
use super::super::harness::{Need, Test, document, nsx, nsx_path, output, test, text};
use super::ends::run_script;
use super::kernels::{said, without};
use super::terminal::words;
use super::{LIMITS, WAYS};

pub(super) fn tests() -> Vec<Test> {
    let limits = &[Need::Root, Need::Controller("memory"), Need::Controller("pids")];
    vec![
        test("run_life::a_script_is_the_shells_where_nsx_holds_the_mounts", &[Need::Root], script_as_root),
        test("run_life::a_script_is_the_shells_with_limits", limits, script_with_limits),
        test("run_life::the_last_of_a_pipeline_writes_plain_lines", &[], pipeline_end),
        test("run_life::a_filter_that_refuses_clone3_is_named_or_done_without", &[], clone3_refused),
        test("run_life::a_new_name_below_the_root_is_made", &[], new_name),
        test("run_life::below_a_user_namespace_without_setgroups_it_runs", &[Need::Tool("unshare")], no_setgroups),
        test("run_life::maps_without_root_are_the_callers_or_refused", &[], without_root),
        test("run_life::status_lines_are_not_lost_in_silence", &[], status_lines),
        test("run_life::beside_a_document_there_are_no_notes", &[], notes_in_json),
        test("run_life::detached_it_does_not_stop_with_its_command", &[], detached_stop),
        test("run_life::children_that_whoever_executed_nsx_had_are_not_the_commands", &[], inherited_children),
    ]
}

fn script_as_root() {
    WAYS.into_iter().for_each(|options| run_script(&[], options));
}

fn script_with_limits() {
    run_script(&[], &LIMITS);
}

/// A terminal puts a carriage return in front of each new line: one, and not one for each terminal.
fn pipeline_end() {
    // The same without nsx, which shows that this is how it is.
    for run in ["env".to_owned(), words(""), words("--no-init")] {
        let mut terminal =
            Terminal::start(Command::new("sh").args(["-c", "seq 5000 | $RUN tail -n 1"]).env("RUN", &run));
        assert_eq!(terminal.end().1, "5000\r\n", "{run}");
        assert_eq!(terminal.settings(), terminal.before, "{run}");
    }
}

/// Some filters answer EPERM where they mean ENOSYS.
fn clone3_refused() {
    let done = output(without(&[], &format!("{SYS_clone3}:{EPERM}")).args(["sh", "-c", "exit 7"]));
    let error = said(&done);
    let (works, told) = (done.status.code() == Some(7), error.starts_with("nsx: ") && error.contains("clone3"));
    assert!(works || done.status.code() == Some(125) && told, "{}: {error}", done.status);
}

fn new_name() {
    for options in WAYS {
        let done = output(nsx(&["run", "--volume=/usr:/nsx-test-usr"]).args(options).args([
            "test",
            "-d",
            "/nsx-test-usr/bin",
        ]));
        assert_eq!(done.status.code(), Some(0), "{options:?}: {}", text(&done.stderr));
    }
}

/// As in every rootless container.
fn no_setgroups() {
    let mut command = Command::new("unshare");
    command.args(["-U", "-r"]).arg(nsx_path()).args(["run", "sh", "-c", "exit 7"]);
    let done = output(&mut command);
    assert_eq!(done.status.code(), Some(7), "{}", text(&done.stderr));
}

/// Whoever makes a sandbox needs an id in it: where there is no root, the caller's.
fn without_root() {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let script = "id -u; id -g; echo x >/tmp/x && ls -n /tmp/x | { read -r _ _ uid gid _; echo $uid $gid; }";
    let maps = [format!("--userns=map=7:{uid}:1"), format!("--gid-map=9:{gid}:1")];
    let done = output(nsx(&["run"]).args(&maps).args(["sh", "-c", script]));
    assert_eq!((done.status.code(), &*text(&done.stdout)), (Some(0), "7\n9\n7 9\n"), "{}", text(&done.stderr));
    let done = output(&mut nsx(&["run", "--userns=map=5:100000:10", "true"]));
    assert_eq!(done.status.code(), Some(125));
    assert!(text(&done.stderr).contains("neither id 0 inside nor the caller's"), "{}", text(&done.stderr));
}

fn status_lines() {
    let with = |redirection: &str| {
        let script = format!("exec \"$NSX\" run --status-fd 3 true 3{redirection}");
        output(Command::new("sh").args(["-c", &script]).env("NSX", nsx_path()))
    };
    let full = with(">/dev/full");
    assert_eq!(full.status.code(), Some(0));
    assert!(
        text(&full.stderr).contains("note: cannot say what becomes of the command: write("),
        "{}",
        text(&full.stderr)
    );
    let unwritable = with("</dev/null");
    assert_eq!(unwritable.status.code(), Some(125));
    assert!(text(&unwritable.stderr).contains("cannot write to status descriptor 3"), "{}", text(&unwritable.stderr));
}

/// Both go to standard error, and who asks for JSON reads it.
fn notes_in_json() {
    let done = output(&mut nsx(&["run", "--timeout=0.2", "--stats", "--json", "sleep", "1000"]));
    assert_eq!(done.status.code(), Some(124));
    let document = document(&text(&done.stderr));
    let notes = document["notes"].as_array().expect("notes");
    assert!(notes.iter().any(|note| note == "the time given by --timeout was over"), "{document:#}");
}

fn detached_stop() {
    for _ in 0..10 {
        let done = output(&mut nsx(&["run", "-d", "--timeout=0.2,0.2", "sh", "-c", "kill -STOP $$; sleep 1000"]));
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    }
}

/// Among them are those that nsx itself has on the side when it looks for a target, and kills if they hang.
fn inherited_children() {
    let with_dead_child = |options: &[&str]| {
        let mut command = nsx(&[&["run"], options, &["--", "sh", "-c", "exit 7"]].concat());
        // SAFETY: the child calls only fork, kill, getpid and waitid, which are async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                #[expect(clippy::disallowed_methods, reason = "a child that nsx does not know of")]
                let child = libc::fork();
                if child == 0 {
                    libc::kill(libc::getpid(), libc::SIGKILL);
                }
                let mut about = std::mem::zeroed();
                // It is left to be waited for.
                libc::waitid(libc::P_PID, child as libc::id_t, &raw mut about, libc::WEXITED | libc::WNOWAIT);
                Ok(())
            });
        }
        output(&mut command)
    };
    for options in WAYS {
        let done = with_dead_child(options);
        assert_eq!(done.status.code(), Some(7), "{options:?} {}: {}", done.status, text(&done.stderr));
    }
    let done = with_dead_child(&["--detach"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
}
