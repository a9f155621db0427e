//! What the command line understands, and how tables look.

use super::harness::{Module, fails, fake::FakeProc, nsx, output, run, test, text};

pub fn module() -> Module {
    let tests = vec![
        test("cli::every_exit_code", &[], exit_codes),
        test("cli::wrong_usage_says_what_is_right", &[], usage),
        test("cli::help_works_without_proc", &[], help_without_proc),
        test("cli::columns_are_chosen", &[], columns),
        test("cli::rows_are_chosen", &[], rows),
        test("cli::rows_are_sorted", &[], sorting),
        test("cli::trees_are_drawn", &[], trees),
        test("cli::colour_only_where_it_is_wanted", &[], colour),
        test("cli::a_terminal_is_not_overrun", &[], terminal),
        test("cli::a_pipe_gets_whole_lines", &[], pipe),
    ];
    Module { name: "cli", places: &[], tests }
}

fn exit_codes() {
    assert_eq!(output(&mut nsx(&["ls"])).status.code(), Some(0));
    assert_eq!(output(&mut nsx(&["ls", "-p", "4194305"])).status.code(), Some(1));
    assert_eq!(output(&mut nsx(&["ls", "--no-such-option"])).status.code(), Some(2));
    assert_eq!(output(&mut nsx(&[])).status.code(), Some(2));
    assert_eq!(output(&mut nsx(&["--version"])).status.code(), Some(0));
}

fn usage() {
    for (arguments, said) in [
        (
            &["ls", "-t", "mount"][..],
            "invalid value 'mount' for '--type <TYPE>'\n  [possible values: cgroup, ipc, mnt, net, pid, time, user, uts]",
        ),
        (&["ls", "-o", "NSS"], "invalid value 'NSS' for '--output <COL>'"),
        (&["ls", "--sort", "NSS"], "invalid value 'NSS' for '--sort <COL>'"),
        (&["ls", "--tree=up"], "invalid value 'up' for '--tree[=<BY>]'\n  [possible values: owner, parent, process]"),
        (
            &["ls", "--where", "type = net"],
            "expected one of == != < > <= >= =~ !~ (at character 6)\n  type = net\n       ^\ncolumns: NS TYPE",
        ),
        (&["ls", "--where", "size > 1"], "there is no column `size` (at character 1)"),
        (&["ls", "--members"], "the following required arguments were not provided:\n  --json"),
        (&["ls", "--columns", "-t", "net"], "cannot be used with"),
        (&["ls", "a:b"], "\"a:b\" is none of: PID, PID:INODE, self"),
        (&["list"], "unrecognized subcommand 'list'"),
    ] {
        let error = fails(arguments, 2);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

fn help_without_proc() {
    let help = run(&["--help"]);
    assert!(help.contains("ls  ") && !help.contains("proc-root"), "{help}");
    assert!(run(&["ls", "-h"]).lines().count() < run(&["ls", "--help"]).lines().count());
    let error = fails(&["ls", "--proc-root", "/nsx-test-none"], 1);
    assert_eq!(error, "nsx: cannot list processes: openat(/nsx-test-none): No such file or directory (ENOENT)\n");
}

/// A tree with a few namespaces whose table is known to the letter.
fn tree() -> FakeProc {
    let tree = FakeProc::new();
    tree.process(1, 0, b"init").file(1, "cmdline", b"/sbin/init\0splash\0").own(1);
    tree.process(70, 1, b"web").file(70, "cmdline", b"nginx: master\0").link(70, "net", 4_026_533_000).link(
        70,
        "uts",
        4_026_533_001,
    );
    tree.process(71, 70, b"web").link(71, "net", 4_026_533_000).file(70, "status", b"Uid:\t1\t4294967294\t1\t1\n");
    tree.raw_link(1, "fd/9", "ipc:[4026533002]");
    tree
}

fn columns() {
    let tree = tree();
    assert_eq!(
        tree.ls(&["-t", "net,uts"]),
        "        NS  TYPE  NPROCS  PID  USER        COMMAND\n\
         4026531833  net        1    1  root        /sbin/init splash\n\
         4026531838  uts        2    1  root        /sbin/init splash\n\
         4026533000  net        2   70  4294967294  nginx: master\n\
         4026533001  uts        1   70  4294967294  nginx: master\n"
    );
    let head = |arguments: &[&str]| {
        let table = tree.ls(arguments);
        table.lines().next().unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(head(&["-o", "pid,ns"]), "PID NS");
    assert_eq!(head(&["-o", "+held"]), "NS TYPE NPROCS PID USER COMMAND HELD");
    assert_eq!(head(&["-o", "+HELD,PATH"]), "NS TYPE NPROCS PID USER COMMAND HELD PATH");
    assert_eq!(head(&["-o", "HELD", "-o", "+NS"]), "HELD NS");
    assert_eq!(head(&["--threads"]), "NS TYPE NPROCS NTHREADS PID USER COMMAND");
    assert_eq!(head(&["-o", "all"]).split(' ').count(), run(&["ls", "--columns"]).lines().count());
    assert_eq!(tree.ls(&["-t", "uts", "-n", "-o", "NS"]), "4026531838\n4026533001\n");
    assert_eq!(tree.ls(&["-t", "uts", "--noheadings", "-o", "NS"]), "4026531838\n4026533001\n");
    assert_eq!(
        tree.ls(&["-t", "ipc", "-n", "-o", "NS,HELD,PATH,PID,COMMAND"]),
        "4026531839  process:3,kernel:1  /proc/1/ns/ipc  1  /sbin/init splash\n\
         4026533002  fd:1                /proc/1/fd/9    -  (fd 9 of 1)\n"
    );
}

fn rows() {
    let tree = tree();
    let numbers = |arguments: &[&str]| {
        let all: Vec<&str> = arguments.iter().copied().chain(["-n", "-o", "NS"]).collect();
        tree.ls(&all).lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&["-P"]), ["4026533002"]);
    assert_eq!(numbers(&["--persistent"]), ["4026533002"]);
    assert_eq!(numbers(&["-t", "NET", "-t", "uts", "--where", "nprocs == 1"]), ["4026531833", "4026533001"]);
    assert_eq!(numbers(&["--where", "command =~ nginx and not type == uts"]), ["4026533000"]);
    assert_eq!(numbers(&["--where", "held =~ fd"]), ["4026533002"]);
    assert_eq!(numbers(&["-p", "70", "-t", "net"]), ["4026533000"]);
    assert_eq!(numbers(&["--where", "pid == 99"]), [""; 0]);
}

fn sorting() {
    let tree = tree();
    let first =
        |key: &str| tree.ls(&["-n", "-o", "NS", "--sort", key]).lines().next().map(|line| line.trim().to_owned());
    assert_eq!(first("-NS").as_deref(), Some("4026533002"));
    assert_eq!(first("pid").as_deref(), Some("4026531832"), "equal ones keep their order");
    assert_eq!(first("-nprocs").as_deref(), Some("4026531832"));
    let last = tree.ls(&["-n", "-o", "NS", "--sort", "-pid"]).lines().last().map(|line| line.trim().to_owned());
    assert_eq!(last.as_deref(), Some("4026533002"), "what has no pid comes last both ways");
}

fn trees() {
    let tree = tree();
    let drawn = tree.ls(&["--tree=process", "-t", "net", "-o", "NS,PID"]);
    assert_eq!(drawn, "NS            PID\n4026531833      1\n└─4026533000   70\n");
    let parents = tree.ls(&["--tree=parent", "-n", "-o", "TYPE"]);
    assert_eq!(parents, "pid\nuser\n");
    assert_eq!(tree.ls(&["--tree", "-t", "net"]), tree.ls(&["--tree=owner", "-t", "net"]));
}

fn colour() {
    let colored = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = nsx(arguments);
        for (name, value) in environment {
            command.env(name, value);
        }
        text(&output(&mut command).stdout).contains('\u{1b}')
    };
    assert!(!colored(&["ls"], &[]), "a pipe");
    assert!(!colored(&["ls"], &[("TERM", "xterm")]));
    assert!(colored(&["ls", "--color", "always"], &[]));
    assert!(colored(&["--color=always", "ls"], &[("NO_COLOR", "1")]), "an option beats the environment");
    assert!(colored(&["ls"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&["ls"], &[("CLICOLOR_FORCE", "0")]));
    assert!(!colored(&["ls"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!colored(&["ls", "--color=never"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&["ls", "--json", "--color=always"], &[]), "JSON is JSON");
}

/// Runs nsx on a terminal of this width, and returns what it shows.
fn on_terminal(columns: u16, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    use std::io::Read;
    use std::os::fd::{FromRawFd, OwnedFd};
    let size = nix::libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut main, mut other) = (0, 0);
    // SAFETY: both numbers are written to, and the size lives through the call.
    let made = unsafe {
        nix::libc::openpty(&raw mut main, &raw mut other, std::ptr::null_mut(), std::ptr::null(), &raw const size)
    };
    assert_eq!(made, 0, "openpty");
    // SAFETY: openpty has just handed them out; nobody else owns them.
    let (main, other) = unsafe { (OwnedFd::from_raw_fd(main), OwnedFd::from_raw_fd(other)) };
    let mut command = nsx(arguments);
    command.env("TERM", "xterm-256color").stdout(other).stderr(std::process::Stdio::null());
    for (name, value) in environment {
        command.env(name, value);
    }
    let mut child = command.spawn().expect("nsx");
    // The other end is open in the child only, so that reading ends with it.
    drop(command);
    let mut shown = Vec::new();
    let mut main = std::fs::File::from(main);
    let mut buffer = [0; 4096];
    // Linux answers EIO when the last one has closed the other end.
    while let Ok(length @ 1..) = main.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..length]);
    }
    assert!(child.wait().expect("nsx").success());
    text(&shown).replace("\r\n", "\n")
}

fn terminal() {
    for columns in [40, 80, 200] {
        for arguments in [&["ls"][..], &["ls", "-o", "all"], &["ls", "--tree"], &["ls", "-o", "+HELD,PATH,CGROUP"]] {
            let shown = on_terminal(columns, arguments, &[("NO_COLOR", "1")]);
            for line in shown.lines() {
                let width = unicode_width(line);
                assert!(width <= usize::from(columns), "{columns}: {width}: {line}");
            }
            assert!(shown.contains('*'), "the caller's own are marked: {shown}");
        }
    }
    let shown = on_terminal(80, &["ls"], &[]);
    assert!(shown.contains("\u{1b}["), "colours: {shown}");
    assert!(!on_terminal(80, &["ls"], &[("TERM", "dumb")]).contains('\u{1b}'));
    let uncut = on_terminal(40, &["ls", "-u", "-o", "all"], &[("NO_COLOR", "1")]);
    assert!(uncut.lines().any(|line| unicode_width(line) > 100), "{uncut}");
}

fn unicode_width(line: &str) -> usize {
    nsx::render::text::width(line)
}

fn pipe() {
    let tree = tree();
    let long = "y".repeat(4000);
    tree.file(1, "cmdline", long.as_bytes());
    let table = tree.ls(&["-t", "net"]);
    assert!(table.contains(&long) && !table.contains('…') && !table.contains('*'), "{table}");
}
