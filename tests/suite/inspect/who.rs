//! Who looks at whom: oneself, an ordinary user, threads, zombies, the kernel's; and those who mean harm.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::super::harness::cgroup::Own;
use super::super::harness::group::Idle;
use super::super::harness::held::Held;
use super::super::harness::{document, fails, fit, inode_of, nsx, output, run, text};
use super::{inspect, namespace, shell};

pub(super) fn own() {
    let found = inspect("self");
    for kind in ["ipc", "mnt", "net", "pid", "user", "uts"] {
        let one = namespace(&found, kind);
        assert_eq!((&one["ns"], &one["callers"]), (&json!(inode_of(std::process::id(), kind)), &json!(true)), "{kind}");
    }
    assert_eq!(found["ppid"], std::process::id());
    assert_eq!(found["comm"], "nsx");
    // What nsx has opened for its work is not among its files: what it was given is, as it is to ls, which opens a directory.
    let listed = output(Command::new("ls").arg("/proc/self/fd").stdin(Stdio::null()));
    assert_eq!(found["descriptors"]["total"], text(&listed.stdout).lines().count() - 1, "{:#}", found["descriptors"]);
    let printed = run(&["inspect", "self"]);
    assert!(printed.starts_with("process      "), "{printed}");
    // On a screen of its own it is read without a line too long.
    assert!(printed.lines().all(|line| line == line.trim_end()), "{printed:?}");
}

pub(super) fn odd() {
    let held = Held::start(&["thread", "net"]);
    let tid = held.number(0).to_string();
    let found = inspect(&tid);
    assert_eq!((&found["pid"], &found["tgid"]), (&json!(held.number(0)), &json!(held.pid())));
    assert_eq!(namespace(&found, "net")["ns"], held.number(1));
    assert!(run(&["inspect", &tid]).contains(&format!("of process {}", held.pid())));

    let held = Held::start(&["zombie"]);
    let zombie = held.number(0).to_string();
    let found = inspect(&zombie);
    assert_eq!((&found["zombie"], &found["state"], &found["gaps"]), (&json!(true), &json!("Z"), &json!([])));
    assert_eq!((&found["mounts"], &found["descriptors"]), (&Value::Null, &Value::Null), "{found:#}");
    assert!(run(&["inspect", &zombie]).contains("a zombie"));
    let held = Held::start(&["leader-exits", "net"]);
    let printed = run(&["inspect", &held.pid().to_string()]);
    assert!(printed.contains("its first thread has ended"), "{printed}");
    assert_eq!(namespace(&inspect(&held.number(0).to_string()), "net")["ns"], held.number(1));

    // Where this is the initial pid namespace, process 2 is the kernel's.
    let stat = std::fs::read("/proc/2/stat").unwrap_or_default();
    if nsx::proc::parse::stat(&stat).is_some_and(|stat| stat.kernel) {
        let found = inspect("2");
        assert_eq!(
            (&found["kernel_thread"], &found["command"], &found["weaknesses"]),
            (&json!(true), &Value::Null, &json!([]))
        );
        assert!(run(&["inspect", "2"]).contains("a thread of the kernel"));
        let refused = fails(&["inspect", "--oci", "2"], 1);
        assert_eq!(refused, "nsx: process 2 is a thread of the kernel, and cannot be started again\n");
    }
}

pub(super) fn ordinary() {
    let theirs = Idle(Command::new("cat").uid(65534).gid(65534).stdin(Stdio::piped()).spawn().expect("cat"));
    let roots = Held::start(&["process", "uts"]);
    let look = |target: &str| {
        let done = output(nsx(&["inspect", "--json", target]).uid(65534).gid(65534));
        assert_eq!((done.status.code(), text(&done.stderr)), (Some(0), String::new()));
        document(&text(&done.stdout))["processes"][0].clone()
    };
    let gaps = |process: &Value| -> Vec<String> {
        let all = process["gaps"].as_array().expect("gaps").iter();
        all.filter_map(|gap| gap["what"].as_str()).map(str::to_owned).collect()
    };
    let own = look(&theirs.pid());
    // Only of its parent process, which is root's, it cannot be seen.
    assert_eq!(gaps(&own), ["parent_process"], "{own:#}");
    assert!(own["mounts"].is_array() && own["descriptors"]["total"].as_u64().is_some_and(|total| total >= 3));
    assert_eq!(namespace(&own, "net")["parent_process"], Value::Null);
    let other = look(&roots.pid().to_string());
    for what in ["namespaces", "root", "cwd", "exe", "descriptors"] {
        assert!(gaps(&other).contains(&what.to_owned()), "{what}: {other:#}");
    }
    assert_eq!(namespace(&other, "uts")["ns"], Value::Null);
    // What everybody may read is there.
    assert_eq!((&other["uids"]["effective"], &other["seccomp"]), (&json!(0), &inspect("self")["seccomp"]));
    let done = output(nsx(&["inspect", &roots.pid().to_string()]).uid(65534).gid(65534));
    let printed = text(&done.stdout);
    assert!(printed.contains("\nnot seen     namespaces (EACCES)"), "{printed}");
    // Not to be seen is not to be shared.
    assert!(!printed.contains("namespace is the host's"), "{printed}");
}

pub(super) fn several() {
    let (one, other) = (Idle::start(), Idle::start());
    let found = document(&run(&["inspect", "--json", &one.pid(), &other.pid(), "self"]));
    let pids: Vec<String> =
        found["processes"].as_array().expect("processes").iter().map(|process| process["pid"].to_string()).collect();
    assert_eq!(pids[..2], [one.pid(), other.pid()]);
    let printed = run(&["inspect", &one.pid(), &other.pid()]);
    assert!(printed.contains(&format!("\n\nprocess      {} ", other.pid())), "{printed}");
    // Who is not there does not keep the others from being shown.
    let gone = {
        let idle = Idle::start();
        idle.pid()
    };
    let done = output(&mut nsx(&["inspect", "--json", &gone, &one.pid()]));
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).starts_with(&format!("nsx: no process {gone}: ")), "{}", text(&done.stderr));
    assert_eq!(document(&text(&done.stdout))["processes"].as_array().map(Vec::len), Some(1));
    let refused = fails(&["inspect", "--oci", &one.pid(), &other.pid()], 2);
    assert!(refused.contains("name one process"), "{refused}");
}

pub(super) fn no_process() {
    let net = format!("net:[{}]", inode_of(std::process::id(), "net"));
    let refused = fails(&["inspect", &net], 1);
    assert!(
        refused
            .starts_with(&format!("nsx: {net} is a namespace, and nsx inspect shows processes\nhint: nsx ls '{net}'")),
        "{refused}"
    );
    let refused = fails(&["inspect", "/proc/self/ns/net"], 1);
    assert!(refused.contains("is a namespace"), "{refused}");
    let refused = fails(&["inspect", "cgroup:/"], 1);
    assert!(refused.contains("is a cgroup"), "{refused}");
    fails(&["inspect"], 2);
}

pub(super) fn names() {
    let own = Own::new("inspect-names", &[]);
    let harm = OsStr::from_bytes(b"\x1b[31mred\xff");
    own.make(harm);
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let script = "cd \"$FOLDER\"; e=$(printf '\\033[32m\\n\\t')x; mkdir \"$e\"; mount -t tmpfs \"nsx$e\" \"$e\"\n\
        printf '\\033]0;evil' >/proc/self/comm; cd \"$e\"; : >\"f$e\"; exec 7<\"f$e\"";
    let held = shell(&["unshare", "-m"], script, |command| {
        command.arg("\u{1b}[2J\u{202e}evil").env("FOLDER", folder.path());
    });
    own.add(held.pid(), harm);
    let pid = held.pid().to_string();
    for arguments in
        [&["inspect", &pid][..], &["inspect", "--all", &pid], &["inspect", "--json", &pid], &["inspect", "--oci", &pid]]
    {
        let done = output(&mut nsx(arguments));
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {}", text(&done.stderr));
        fit(&done.stdout);
        fit(&done.stderr);
    }
    let found = inspect(&pid);
    let point = folder.path().join(OsStr::from_bytes(b"\x1b[32m\n\tx"));
    let mounts = found["mounts"].as_array().expect("mounts");
    assert!(mounts.iter().any(|mount| mount["point"] == point.to_str().expect("UTF-8")), "{mounts:#?}");
    assert!(found["command"].as_str().is_some_and(|command| command.ends_with("\u{1b}[2J\u{202e}evil")));
    assert_eq!(found["comm"], "\u{1b}]0;evil");
    let raw = found["cgroups"].as_array().expect("cgroups").iter().any(|one| one["path_raw"].is_string());
    assert!(raw, "{:#}", found["cgroups"]);
    held_until(own, held);
}

/// Whoever is in a cgroup goes before it does.
fn held_until(own: Own, held: Held) {
    drop(held);
    drop(own);
}

pub(super) fn silent() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let held = Held::start(&["fuse-above-mount", folder.path().to_str().expect("UTF-8")]);
    let found = inspect(&held.pid().to_string());
    assert!(
        found["mounts"].as_array().is_some_and(|mounts| mounts.iter().any(|mount| mount["fs_type"] == "fuse")),
        "{found:#}"
    );
}

/// Of all that a process has open, or has chosen, nothing is opened: neither its files nor its directories.
pub(super) fn looking() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let file = folder.path().join("nsx-inspect-open");
    let held = shell(&[], "exec 7>\"$FILE\"; cd \"$FOLDER\"", |command| {
        command.env("FILE", &file).env("FOLDER", folder.path());
    });
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-s", "4096", "-e", "trace=open,openat,openat2,execve,unshare,mount,ptrace,kill"]);
    command.arg(super::super::harness::nsx_path()).args(["inspect", "--json", &held.pid().to_string()]);
    let done = output(&mut command);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let trace = String::from_utf8_lossy(&done.stderr).into_owned();
    let name = folder.path().to_str().expect("UTF-8");
    let ours = |line: &&str| !line.contains("execve(");
    let opened: Vec<&str> = trace.lines().filter(ours).filter(|line| line.contains(name)).collect();
    assert!(opened.is_empty(), "{opened:#?}");
    for call in ["unshare(", "mount(", "ptrace(", "kill("] {
        // The process that has read records is nsx's own.
        let others = trace.lines().find(|line| line.contains(call) && !line.contains(", SIGKILL)"));
        assert_eq!(others, None, "{call}");
    }
}
