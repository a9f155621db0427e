//! Names, arguments and paths that mean harm: nothing of them reaches a terminal as it is, and nothing breaks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use super::harness::{
    Module, Need, Place, child_of, fit, held::Held, ls_json, namespace, nsx, output, quiet, run, test,
};

const FUSE: &[Need] = &[Need::Root, Need::KernelModule("fuse"), Need::File("/dev/fuse")];
const FUSE_AND_STRACE: &[Need] =
    &[Need::Root, Need::KernelModule("fuse"), Need::File("/dev/fuse"), Need::Tool("strace")];

pub fn module() -> Module {
    let tests = vec![
        test("hostile::names_of_processes", &[], names),
        test("hostile::arguments", &[], arguments),
        test("hostile::an_argument_of_128_kib", &[], long_argument),
        test("hostile::mount_points", &[], mount_points),
        quiet("hostile::thousands_of_descriptors_alike", &[], descriptors_alike),
        test("hostile::many_mounts_that_are_hidden", &[Need::Tool("strace")], hidden_mounts),
        test("hostile::a_silent_fuse_server_over_a_mount", FUSE, fuse_over_mount),
        test("hostile::a_silent_fuse_server_above_a_mount", FUSE, fuse_above_mount),
        test("hostile::a_socket_that_becomes_a_file_of_a_silent_fuse_server", FUSE_AND_STRACE, fuse_for_socket),
        test("hostile::no_more_threads", &[Need::Root, Need::Tool("prlimit")], no_more_threads),
        test("hostile::targets_on_the_command_line", &[], targets),
    ];
    Module { name: "hostile", places: &[Place::Vm], tests }
}

fn names() {
    for name in [") (", "a) S 1 1 (", "\n", "\x1b[2J", "\u{202e}evil", "\r\rover"] {
        let held = Held::start(&["named", name]);
        let inode = held.number(0);
        let document = ls_json(&[&inode.to_string()]);
        assert_eq!(namespace(&document, inode)["pid"], held.pid(), "{name:?}");
        fit(run(&["ls"]).as_bytes());
        fit(run(&["ls", "--json"]).as_bytes());
    }
}

fn arguments() {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["fixture", "process", "uts", "--"]);
    for argument in [&b"\x1b]0;title\x07"[..], b"\xff\xfe", b"\xc2\x9b31m", "\u{202e}\u{2066}".as_bytes(), b"a\nb", b""]
    {
        command.arg(OsStr::from_bytes(argument));
    }
    let held = Held::start_command(&mut command);
    let inode = held.number(1);
    let table = fit(run(&["ls", "-t", "uts"]).as_bytes());
    assert!(table.contains("-- \\x1b]0;title\\x07 \\xff\\xfe \\x9b31m \\u{202e}\\u{2066} a\\nb"), "{table}");
    let members = fit(run(&["ls", &inode.to_string()]).as_bytes());
    assert!(members.contains("\\x1b]0;title\\x07"), "{members}");
    let document = ls_json(&["-t", "uts"]);
    fit(run(&["ls", "-t", "uts", "--json"]).as_bytes());
    let command = &namespace(&document, inode)["command"];
    assert!(
        command.as_str().is_some_and(|command| command.contains("\u{1b}]0;title\u{7} \u{fffd}\u{fffd}")),
        "{command}"
    );
    assert!(namespace(&document, inode)["command_raw"].is_string());
}

fn long_argument() {
    let long = "\u{1}".repeat(128 * 1024 - 1);
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["fixture", "process", "uts", "--", &long, &long]);
    let held = Held::start_command(&mut command);
    let document = ls_json(&["-t", "uts"]);
    let shown = namespace(&document, held.number(1))["command"].as_str().expect("a command").to_owned();
    assert!(shown.ends_with("\u{1}…") && shown.len() == 4096 + "…".len(), "{}", shown.len());
    let table = run(&["ls", "-t", "uts"]);
    // The long line is there, and no other was padded to its length.
    assert_eq!(table.lines().filter(|line| line.len() > 1000).count(), 1);
}

fn mount_points() {
    let parent = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let folder = parent.path().join(OsStr::from_bytes(b"\x1b[31m\xff \xe2\x80\xae\\040"));
    std::fs::create_dir(&folder).expect("a folder");
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    // The fixture takes text, so it goes there first.
    command.args(["fixture", "bind-mount", "."]).current_dir(&folder);
    let held = Held::start_command(&mut command);
    let document = ls_json(&["-t", "uts"]);
    let mount = &namespace(&document, held.number(0))["bind_mounts"][0];
    let path = mount["path"].as_str().expect("a path");
    assert!(path.ends_with("\u{1b}[31m\u{fffd} \u{202e}\\040/a b\\c\nd"), "{path:?}");
    assert!(mount["path_raw"].is_string());
    let table = fit(run(&["ls", "-t", "uts", "-o", "NS,NSFS,PATH,HELD,COMMAND"]).as_bytes());
    assert!(table.contains("\\x1b[31m\\xff \\u{202e}\\040/a b\\c\\nd"), "{table}");
    fit(run(&["ls", "-t", "uts", "--json"]).as_bytes());
}

fn targets() {
    let mut command = nsx(&["ls"]);
    let done = output(command.arg(OsStr::from_bytes(b"/tmp/\x1b[31m\n\xff")));
    fit(&done.stderr);
    assert_ne!(done.status.code(), Some(0));
}

fn descriptors_alike() {
    let held = Held::start(&["many-fds"]);
    let inode = held.number(0);
    let document = ls_json(&["-t", "uts", "--members"]);
    let found = namespace(&document, inode);
    let way = super::harness::held_by(found, "fd");
    assert_eq!(way["count"], 900, "all are counted");
    assert_eq!(found["holders"].as_array().map(Vec::len), Some(64), "and some are listed");
}

fn hidden_mounts() {
    const MANY: usize = 200;
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let held = Held::start(&["hidden-mounts", &MANY.to_string(), folder.path().to_str().expect("UTF-8")]);
    let calls = tempfile::NamedTempFile::new().expect("a file");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(calls.path()).arg(super::harness::nsx_path()).args(["ls", "--json"]);
    let document = super::harness::document(&super::harness::text(&output(&mut strace).stdout));
    let found = namespace(&document, held.number(0));
    assert_eq!(super::harness::held_by(found, "bind_mount")["count"], 1);
    // No path leads to them, so without listns(2) they are gaps. Their mount namespace is looked into twice for all of them, and not
    // once for each.
    let gaps = document["gaps"].as_array().expect("gaps");
    let is_gap = gaps.iter().any(|gap| {
        gap["what"] == "relations"
            && gap["namespaces"].as_array().is_some_and(|all| all.contains(&held.number(0).into()))
    });
    assert_eq!(found["owner"].is_null(), is_gap, "{found:#}");
    let calls = std::fs::read_to_string(calls.path()).expect("calls");
    let is_look = |call: &&str| {
        let statmount = call.contains(" statmount(") || call.contains(" syscall_0x1c9(");
        statmount || call.contains("\"mountinfo\"")
    };
    let looks = calls.lines().filter(is_look).count();
    // Twice for the file system and once for the place of each, and all mounts of the other mount namespaces there are.
    assert!(looks < 20 * MANY, "{looks} looks at {MANY} mounts");
}

/// Runs `nsx ls` while a FUSE server is silent, and returns the document, and which namespace is mounted there.
fn beside_silent_fuse(role: &str) -> (serde_json::Value, u64) {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let held = Held::start(&[role, folder.path().to_str().expect("UTF-8")]);
    let (say, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Who hears nothing any more has given up.
        let _ = say.send(output(&mut nsx(&["ls", "--json", "-t", "uts"])));
    });
    // A wait in the kernel ends only with the server, so that is ended before the test fails.
    let Ok(done) = hear.recv_timeout(std::time::Duration::from_secs(30)) else {
        drop(held);
        panic!("nsx waits for a FUSE server that does not answer");
    };
    assert_eq!(done.status.code(), Some(0));
    let document = super::harness::document(&super::harness::text(&done.stdout));
    let found = namespace(&document, held.number(0));
    assert_eq!(super::harness::held_by(found, "bind_mount")["count"], 1);
    let gaps = document["gaps"].as_array().expect("gaps");
    let gap = gaps.iter().find(|gap| {
        let namespaces = gap["namespaces"].as_array().expect("namespaces");
        gap["what"] == "relations" && namespaces.contains(&held.number(0).into())
    });
    // It cannot be opened by its path; listns(2) leads to it on Linux 6.19 and newer.
    assert_eq!(found["owner"].is_null(), gap.is_some(), "{found:#} {gaps:#?}");
    let inode = held.number(0);
    (document, inode)
}

fn fuse_over_mount() {
    beside_silent_fuse("fuse-over-mount");
}

fn fuse_above_mount() {
    let (document, inode) = beside_silent_fuse("fuse-above-mount");
    let gaps = document["gaps"].as_array().expect("gaps");
    let mut of_it =
        gaps.iter().filter(|gap| gap["namespaces"].as_array().is_some_and(|all| all.contains(&inode.into())));
    assert!(of_it.all(|gap| gap["what"] != "relations" || gap["errno"] == "EAGAIN"), "{gaps:#?}");
}

fn fuse_for_socket() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let mut held = Held::start(&["fuse-for-socket", folder.path().to_str().expect("UTF-8")]);
    let link = format!("/proc/{}/fd/{}", held.pid(), held.number(0));
    let fifo = folder.path().join("out");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    // The process that asks the sockets is held back before its first call, until the file is in place.
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=pidfd_open", "-e", "inject=pidfd_open:delay_enter=500000", "-o", "/dev/null"])
        .args(["sh", "-c", "exec \"$NSX\" ls --json -t net >\"$OUT\" 2>/dev/null"])
        .env("NSX", super::harness::nsx_path())
        .env("OUT", &fifo)
        .stdin(std::process::Stdio::null())
        .spawn()
        .expect("strace");
    let (say, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = say.send(std::fs::read_to_string(&fifo));
    });
    let nsx = child_of(strace.id());
    child_of(nsx);
    held.poke();
    while std::fs::read_link(&link).is_ok_and(|text| text.to_string_lossy().starts_with("socket:")) {
        std::thread::yield_now();
    }
    let printed = hear.recv_timeout(std::time::Duration::from_secs(30));
    // With the server everything ends that waits for it.
    let pid = held.pid();
    drop(held);
    strace.wait().expect("strace");
    let document = super::harness::document(&printed.expect("nsx waits for a FUSE server").expect("output"));
    let gap = document["gaps"].as_array().expect("gaps").iter().find(|gap| gap["what"] == "sockets").expect("a gap");
    assert_eq!(gap["errno"], "ETIMEDOUT");
    assert!(gap["pids"].as_array().expect("pids").contains(&pid.into()), "{gap:#}");
}

fn no_more_threads() {
    use std::os::unix::process::CommandExt;
    // As an ordinary user who has as many processes as they may have: neither a thread nor a child can be made.
    let mut command = Command::new("prlimit");
    command.arg("--nproc=1").arg(super::harness::nsx_path()).args(["ls", "--json"]).uid(65534).gid(65534);
    let done = output(&mut command);
    assert_eq!(done.status.code(), Some(0), "{}", super::harness::text(&done.stderr));
    super::harness::document(&super::harness::text(&done.stdout));
}
