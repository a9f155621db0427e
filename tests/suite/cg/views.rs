//! Other callers, other namespaces, other mounts, and names that mean harm.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::super::harness::{cgroup::Own, document, fit, held::Held, nsx, nsx_path, output, run, text};
use super::limits::member;
use super::{effective, group, json, knob};

/// A shell script that first moves itself into a cgroup of a test's.
fn within(own: &Own, below: &str, script: &str) -> Command {
    let mut command = Command::new("sh");
    let moves = "for folder; do echo $$ >\"$folder/cgroup.procs\" || exit 9; done; ";
    command.args(["-c", &format!("{moves}{script}"), "sh"]).args(own.folders(below));
    command.env("NSX", nsx_path()).env("POINT", own.point("pids"));
    command.env("TYPE", if own.is_v2("pids") { "cgroup2" } else { "cgroup" });
    command.env("OPTIONS", if own.is_v2("pids") { "rw" } else { "rw,pids" });
    command
}

fn printed(command: &mut Command) -> Value {
    let done = output(command);
    assert!(done.status.success(), "{command:?}: {}", text(&done.stderr));
    document(&text(&done.stdout))
}

/// Returns the cgroup of a document of `nsx cg show` in the hierarchy that has pids.
fn of_pids(shown: &Value) -> &Value {
    let hierarchy = &knob(shown, "pids.max")["hierarchy"];
    let all = shown["cgroups"].as_array().expect("cgroups");
    all.iter().find(|one| one["hierarchy"] == *hierarchy).expect("a cgroup")
}

pub(super) fn path_inside() {
    let own = Own::new("inside", &["pids"]);
    own.make("child");
    let mut command = within(&own, "child", "exec unshare -C sh -c 'echo ready; read -r line'");
    let held = Held::start_command(&mut command);
    let process = held.pid().to_string();
    let shown = json(&["show", &process]);
    let found = of_pids(&shown);
    assert_eq!((&found["path"], &found["path_inside"]), (&json!(own.text("child")), &json!("/")));
    assert_eq!(found["from_root"], true);
    let text = run(&["cg", "show", &process]);
    assert!(text.contains(&format!("cgroup  {}  (", own.text("child"))) && text.contains("\ninside  /\n"), "{text}");
    // Whoever has no namespace of his own has no other path.
    assert_eq!(of_pids(&json(&["show", &own.text("child")]))["path_inside"], Value::Null);
}

/// With a mount of its own, a process in a cgroup namespace sees itself at the top; without, it cannot see itself.
pub(super) fn from_inside() {
    let own = Own::new("from", &["pids"]);
    own.make("child");
    own.make("child/sub");
    own.make("child/sub/leaf");
    own.set("child", "pids.max", "40");
    own.set("child/sub", "pids.max", "30");
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    // From the one at the top of the namespace whoever looks has moved on, to where processes may be.
    let script = "exec unshare -C sh -c 'exec unshare -m sh -c \"\
        mount -t $TYPE -o $OPTIONS nsx-test $FOLDER && mkdir $FOLDER/in && echo \\$\\$ >$FOLDER/in/cgroup.procs && \
        exec \\\"$NSX\\\" cg show --json\"'";
    let mut command = within(&own, "child/sub/leaf", script);
    let shown = printed(command.env("FOLDER", folder.path()));
    let found = of_pids(&shown);
    assert_eq!((&found["path"], &found["seen"], &found["from_root"]), (&json!("/in"), &json!("whole"), &json!(false)));
    let directory = format!("{}/in", folder.path().display());
    assert_eq!(found["directory"], directory);
    // What is set above cannot be seen.
    assert_ne!(effective(&shown, "pids.max").0, &json!(30));
    let mut command = within(&own, "child/sub/leaf", "exec unshare -C \"$NSX\" cg show --json");
    let shown = printed(&mut command);
    let seen: Vec<&Value> = shown["cgroups"].as_array().expect("cgroups").iter().map(|one| &one["path"]).collect();
    assert!(seen.iter().all(|path| *path == "/"), "{seen:?}");
    // Somebody outside of it has a path that climbs, and is out of reach.
    let mut command = within(&own, "child/sub/leaf", "exec unshare -C \"$NSX\" cg show --json \"$OTHER\"");
    let shown = printed(command.env("OTHER", std::process::id().to_string()));
    let all = shown["cgroups"].as_array().expect("cgroups").iter();
    let climbing: Vec<&Value> =
        all.filter(|one| one["path"].as_str().is_some_and(|path| path.starts_with("/.."))).collect();
    assert!(!climbing.is_empty() && climbing.iter().all(|one| one["seen"] == "outside"), "{shown:#}");
}

/// Nothing is assumed of where a hierarchy is mounted.
pub(super) fn moved() {
    let own = Own::new("moved", &["pids"]);
    own.set("", "pids.max", "40");
    own.make("child");
    let held = member(&own, "child");
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let place = folder.path().join("my cgroups\u{1b}[31m");
    std::fs::create_dir(&place).expect("a folder");
    let usual = json(&["show", &held.pid().to_string()]);
    for mount in ["mount --move \"$POINT\" \"$PLACE\"", "mount --bind \"$POINT\" \"$PLACE\" && umount \"$POINT\""] {
        for target in [held.pid().to_string(), own.text("child"), format!("{}/{}/child", place.display(), own.name())] {
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c", &format!("{mount} && exec \"$NSX\" cg show --json \"$TARGET\"")]);
            command.env("NSX", nsx_path()).env("POINT", own.point("pids")).env("PLACE", &place).env("TARGET", &target);
            let shown = printed(&mut command);
            assert_eq!(effective(&shown, "pids.max"), (&json!(40), &json!(own.text(""))), "{mount} {target}");
            let directory = format!("{}/{}/child", place.display(), own.name());
            assert_eq!(of_pids(&shown)["directory"], directory, "{mount} {target}");
            assert_eq!(of_pids(&shown)["inode"], of_pids(&usual)["inode"], "{mount} {target}");
        }
    }
}

pub(super) fn names() {
    let own = Own::new("names", &[]);
    let held = Held::start(&["hold", "1"]);
    let process = held.pid().to_string();
    let long = "x".repeat(255);
    for name in [
        &b"\x1b[31mred\x1b[0m"[..],
        b"a b\tc",
        b"a:0::/b"[..3].as_ref(),
        b"x (deleted)",
        b"-rf",
        b"\\012",
        "\u{202e}evil".as_bytes(),
        b"\xff\xfe",
        b"\x07\x08\r",
        long.as_bytes(),
    ] {
        let name = OsStr::from_bytes(name);
        own.make(name);
        own.add(held.pid(), name);
        let path = own.path(name);
        for command in [&["cg", "show", &process][..], &["cg", "path", &process], &["cg", "ls", &own.text("")]] {
            fit(run(command).as_bytes());
        }
        let shown = json(&["show", &process]);
        fit(run(&["cg", "show", "--json", &process]).as_bytes());
        let found = &shown["cgroups"][0];
        let told = match found["path_raw"].as_str() {
            Some(raw) => BASE64_STANDARD.decode(raw).expect("base64"),
            None => found["path"].as_str().expect("a path").as_bytes().to_vec(),
        };
        assert_eq!((told, &found["seen"]), (path.clone(), &json!("whole")), "{name:?}");
        let Ok(path) = String::from_utf8(path) else { continue };
        assert_eq!(json(&["show", &format!("cgroup:{path}")])["cgroups"][0]["inode"], found["inode"], "{name:?}");
        assert_eq!(group(&json(&["ls", &path]), &path)["nprocs"], 1, "{name:?}");
    }
    own.add(held.pid(), "-rf");
}

/// A zombie is still in the cgroup that it was in, on v2, even when that was removed.
pub(super) fn removed() {
    let own = Own::new("removed", &[]);
    let Some(unified) = own.unified() else { return };
    own.make("gone");
    let folder = unified.join(own.name()).join("gone");
    let script = "echo $$ >\"$1/cgroup.procs\" && exec true";
    let mut zombie = Command::new("sh").args(["-c", script, "sh"]).arg(&folder).spawn().expect("sh");
    let stat = format!("/proc/{}/stat", zombie.id());
    while !std::fs::read_to_string(&stat).expect("stat").contains(") Z ") {
        std::thread::yield_now();
    }
    while std::fs::remove_dir(&folder).is_err() {
        std::thread::yield_now();
    }
    let process = zombie.id().to_string();
    let shown = json(&["show", &process]);
    let found = &shown["cgroups"][0];
    let path = format!("{} (deleted)", own.text("gone"));
    assert_eq!((&found["hierarchy"], &found["path"], &found["seen"]), (&json!(0), &json!(path), &json!("removed")));
    assert_eq!((&found["inode"], &found["frozen"]), (&Value::Null, &Value::Null));
    assert!(run(&["cg", "show", &process]).contains(&format!("cgroup  {path}  (v2; removed)")));
    assert!(run(&["cg", "path", &process]).contains("CGROUP"));
    zombie.wait().expect("a child");
}

pub(super) fn ordinary() {
    let own = Own::new("user", &["pids"]);
    own.set("", "pids.max", "40");
    own.make("child");
    let held = member(&own, "child");
    let (process, child) = (held.pid().to_string(), own.text("child"));
    for command in [
        &["show", &process][..],
        &["path", &process],
        &["show", &child],
        &["ls", &child],
        &["ls", "-p", &process],
        &["show", "self"],
        &["ls"],
    ] {
        let all: Vec<&str> = ["cg"].into_iter().chain(command.iter().copied()).collect();
        let as_user = |more: &[&str]| {
            let done = output(nsx(&all).args(more).uid(65534).gid(65534).stderr(Stdio::piped()));
            assert_eq!((done.status.code(), text(&done.stderr)), (Some(0), String::new()), "{command:?}");
            text(&done.stdout)
        };
        as_user(&[]);
        let document = document(&as_user(&["--json"]));
        if command[0] != "ls" && command[1] != "self" {
            assert_eq!(effective(&document, "pids.max"), (&json!(40), &json!(own.text(""))), "{command:?}");
            // As much as root sees.
            let names = |document: &Value| -> Vec<String> {
                let all = document["limits"].as_array().expect("limits").iter();
                all.map(|one| format!("{} {} {}", one["knob"], one["key"], one["value"])).collect()
            };
            assert_eq!(names(&document), names(&json(command)), "{command:?}");
        }
    }
}

/// As whoever runs the tests, and with nothing but what is there.
pub(super) fn own() {
    let lines = std::fs::read_to_string("/proc/self/cgroup").expect("cgroup");
    let shown = json(&["show"]);
    let cgroups = shown["cgroups"].as_array().expect("cgroups");
    assert_eq!(cgroups.len(), lines.lines().count());
    for line in lines.lines() {
        let mut fields = line.splitn(3, ':');
        let id: u32 = fields.next().and_then(|id| id.parse().ok()).expect("an id");
        let path = fields.nth(1).expect("a path");
        assert!(cgroups.iter().any(|one| one["hierarchy"] == id && one["path"] == path), "{line}: {shown:#}");
    }
    assert_eq!(json(&["show", "self"])["cgroups"], shown["cgroups"]);
    assert_eq!(json(&["path"])["cgroups"], shown["cgroups"]);
    fit(run(&["cg", "show", "--all"]).as_bytes());
    fit(run(&["cg", "path", "--all"]).as_bytes());
    fit(run(&["cg", "ls", "-p"]).as_bytes());
    let online = std::thread::available_parallelism().expect("a number").get();
    assert!(shown["cpus"]["online"].as_u64() >= Some(online as u64), "{shown:#}");
    // Somebody is in some cgroup, and every cgroup is below another.
    let listed = json(&["ls"]);
    let groups = listed["cgroups"].as_array().expect("cgroups");
    assert!(groups.iter().any(|group| group["nprocs"].as_u64() > Some(0)));
    assert!(groups.iter().filter(|group| group["depth"] == 0).count() >= 1);
}
