//! What `nsx cg` takes for a target, what it refuses, and output that has nowhere to go.

use std::process::Stdio;

use serde_json::{Value, json};

use super::super::harness::{fails, inode_of, nsx, output, text};
use super::json;

/// Returns where the first hierarchy is mounted, and which it is.
fn first() -> (String, Value) {
    let shown = json(&["show", "/"]);
    let found = shown["hierarchies"].as_array().expect("hierarchies").iter().find(|one| one["mount"].is_string());
    let found = found.expect("a hierarchy");
    (found["mount"].as_str().expect("a path").to_owned(), found["id"].clone())
}

/// Whoever looks opens nothing for writing, and makes, removes, mounts and signals nothing but what is nsx's own.
pub(super) fn looking() {
    const CHANGES: &str = "mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,symlink,symlinkat,link,linkat,mount,umount2,\
        move_mount,pidfd_send_signal,prlimit64,creat";
    let held = super::super::harness::held::Held::start(&["process", "cgroup"]);
    let pid = held.number(0).to_string();
    for words in [
        &["ls", "--procs"][..],
        &["show", &pid],
        &["show", "--shares", "self"],
        &["path", &pid],
        &["why", &pid],
        &["procs", "-r", &pid],
        &["top", "--once", "-i", "20ms"],
    ] {
        let calls = tempfile::NamedTempFile::new().expect("a file");
        let trace = format!("trace=open,openat,openat2,{CHANGES}");
        let mut strace = std::process::Command::new("strace");
        strace.args(["-f", "-e", &trace, "-o"]).arg(calls.path()).arg(super::super::harness::nsx_path());
        let done = output(strace.arg("cg").args(words).stdin(Stdio::null()));
        assert!(done.status.success(), "{words:?}: {}", text(&done.stderr));
        let calls = std::fs::read_to_string(calls.path()).expect("calls");
        assert!(calls.contains("cgroup.controllers") || calls.contains("cgroup.procs"), "{words:?}: {calls}");
        for line in calls.lines().filter(|line| !line.contains("---") && !line.contains("+++")) {
            let opens_to_write = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| line.contains(flag));
            let changes = CHANGES.split(',').any(|call| line.contains(&format!(" {call}(")));
            // A program asks for its own limits when it starts; to set them would take a third argument.
            let asks = line.contains("prlimit64(0, ") && line.contains(", NULL, ");
            assert!(!opens_to_write && (!changes || asks), "{words:?} only looks: {line}");
        }
    }
}

/// What was recorded elsewhere is for looking at: its pids are somebody else's here.
pub(super) fn captured() {
    let folder = tempfile::Builder::new().prefix("nsx-test-proc-").tempdir().expect("a folder");
    let root = folder.path().to_str().expect("UTF-8");
    for words in [
        &["set", "/x", "pids.max=1"][..],
        &["move", "/x", "1"],
        &["freeze", "/x"],
        &["thaw", "/x"],
        &["kill", "/x"],
        &["create", "/x"],
        &["rm", "/x"],
    ] {
        let all: Vec<&str> = ["cg", "--proc-root", root].iter().chain(words).copied().collect();
        let done = output(&mut nsx(&all));
        let error = text(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{words:?}: {error}");
        let what = format!("cannot change cgroups by {root}: it is not procfs of the caller's own pid namespace");
        assert!(error.contains(&what) && error.contains("hint: "), "{words:?}: {error}");
    }
}

/// Whoever owns a cgroup may call one below it as he likes, and it can be named all the same.
pub(super) fn bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    for target in [&b"/nsx-test-\xff"[..], b"cgroup:/nsx-test-\xff"] {
        let done = output(nsx(&["cg", "show"]).arg(OsStr::from_bytes(target)));
        let error = text(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{error}");
        assert!(error.starts_with("nsx: no cgroup /nsx-test-"), "{error}");
    }
    let done = output(nsx(&["cg", "show"]).arg(OsStr::from_bytes(b"\xff")));
    assert_eq!(done.status.code(), Some(2), "no form has it");
}

pub(super) fn targets() {
    let own = std::process::id().to_string();
    for target in ["self", own.as_str()] {
        let shown = json(&["show", target]);
        assert!(shown["pid"].is_u64() && shown["cpus"]["affinity"].is_u64(), "{shown:#}");
    }
    let root = json(&["show", "/"]);
    assert_eq!((&root["pid"], &root["cpus"]["affinity"]), (&Value::Null, &Value::Null));
    assert_eq!(json(&["show", "cgroup:/"])["cgroups"], root["cgroups"]);
    let (mount, id) = first();
    for directory in [mount.clone(), format!("{mount}/"), format!("/.{mount}"), format!("/{mount}")] {
        let shown = json(&["show", &directory]);
        let found = shown["cgroups"].as_array().expect("cgroups");
        assert_eq!((found.len(), &found[0]["hierarchy"], &found[0]["path"]), (1, &id, &json!("/")), "{directory}");
        let listed = json(&["ls", "--depth", "0", &directory]);
        assert_eq!(listed["cgroups"][0]["hierarchies"], json!([id]), "{directory}");
    }
    // Relative to where the caller is.
    let done = output(nsx(&["cg", "show", "--json", "./"]).current_dir(&mount));
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("\"path\": \"/\""));
}

pub(super) fn nothing() {
    let (mount, _) = first();
    let net = format!("net:[{}]", inode_of(std::process::id(), "net"));
    for command in ["show", "path", "ls"] {
        let fails = |target: &str| {
            let error = fails(&["cg", command, target], 1);
            assert_eq!(error.lines().count(), 2, "{command} {target}: {error}");
            assert!(error.starts_with("nsx: ") && error.contains("\nhint: nsx "), "{command} {target}: {error}");
            error
        };
        for target in ["/nsx-test-no", "cgroup:/nsx-test-no", &format!("{mount}/nsx-test-no"), "/nsx-test-no/../x"] {
            let error = fails(target);
            assert!(error.contains("no cgroup /") && error.contains("(ENOENT)"), "{command} {target}: {error}");
            assert!(error.contains("hint: nsx cg ls shows the cgroups that there are"), "{error}");
        }
        assert!(fails(&format!("{mount}/cgroup.procs")).contains("(ENOTDIR)"));
        assert!(fails("cgroup:/\u{1b}[31m").contains("no cgroup /\\u{1b}[31m"));
        assert!(fails("4194305").contains("4194305"));
        let error = fails(&net);
        assert!(error.contains("is a namespace, not a process"), "{error}");
        assert_eq!(fails(&net.to_string()), error);
    }
    for target in ["garb:age", "net:x", "-1", "cgroup:x", ""] {
        let error = super::super::harness::fails(&["cg", "show", "--", target], 2);
        assert!(error.contains("PID"), "{target:?}: {error}");
    }
}

pub(super) fn usage() {
    for arguments in [
        &["ls", "--sort", "NOPE"][..],
        &["ls", "--sort", ""],
        &["ls", "--over", "x"],
        &["ls", "--over", "-1"],
        &["ls", "--over", "1.5%"],
        &["ls", "--where", "nope > 1"],
        &["ls", "--where", "mem >"],
        &["ls", "--where", ""],
        &["ls", "-o", "NOPE"],
        &["ls", "--interval", "x"],
        &["ls", "--depth", "-1"],
        &["ls", "--columns", "-o", "PATH"],
        &["ls", "a", "b"],
        &["show", "1", "2"],
        &["show", "--flat"],
        &["path", "--sort", "mem"],
        &["no-such-command"],
        &[],
    ] {
        let all: Vec<&str> = ["cg"].into_iter().chain(arguments.iter().copied()).collect();
        let done = output(&mut nsx(&all));
        assert_eq!((done.status.code(), text(&done.stdout)), (Some(2), String::new()), "{arguments:?}");
        assert!(!done.stderr.is_empty(), "{arguments:?}");
    }
}

pub(super) fn streams() {
    for arguments in [
        &["cg", "ls"][..],
        &["cg", "ls", "--json"],
        &["cg", "ls", "--columns"],
        &["cg", "show"],
        &["cg", "show", "--json"],
        &["cg", "path"],
        &["cg", "path", "--json"],
        &["cg", "--help"],
    ] {
        // The reader has gone before anything is written.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let closed = output(nsx(arguments).stdout(writer).stderr(Stdio::piped()));
        assert_eq!((closed.status.code(), text(&closed.stderr)), (Some(0), String::new()), "{arguments:?}");
        if arguments.contains(&"--help") {
            continue;
        }
        let full = std::fs::File::create("/dev/full").expect("/dev/full");
        let failed = output(nsx(arguments).stdout(full).stderr(Stdio::piped()));
        assert_eq!(failed.status.code(), Some(1), "{arguments:?}");
        assert!(text(&failed.stderr).contains("write(stdout): No space left on device (ENOSPC)"), "{arguments:?}");
    }
}
