//! `nsx inspect --oci`: runc starts a process by it that is isolated like the one that was looked at.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::harness::held::Held;
use super::harness::processes::new_mark;
use super::harness::running::Running;
use super::harness::{Module, Need, inode_of, nsx, output, test, text};
use super::inspect::{inspect, mount, namespace};

const RUNC: &[Need] = &[Need::Root, Need::Tool("runc"), Need::Tool("busybox"), Need::Tool("unshare")];
const BWRAP: &[Need] = &[Need::Root, Need::Tool("runc"), Need::Tool("busybox"), Need::Tool("bwrap")];

pub fn module() -> Module {
    let tests = vec![
        test("inspect_oci::what_nsx_run_started", RUNC, nsx_run),
        test("inspect_oci::what_unshare_started", RUNC, unshare),
        test("inspect_oci::what_bwrap_started", BWRAP, bwrap),
        test("inspect_oci::what_runc_started", RUNC, runc),
    ];
    Module { name: "inspect_oci", places: &[], tests }
}

/// A bundle with a root directory of busybox, and nothing else.
struct Bundle {
    folder: tempfile::TempDir,
    name: String,
}

impl Bundle {
    fn new() -> Bundle {
        let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let bin = folder.path().join("rootfs/bin");
        std::fs::create_dir_all(&bin).expect("folders");
        std::fs::copy(busybox(), bin.join("busybox")).expect("busybox");
        symlink("busybox", bin.join("sh")).expect("a link");
        Bundle { folder, name: format!("nsx-test-oci-{}", new_mark()) }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Hands the root directory over to root inside, who makes mount points there.
    fn hand_over(&self, id: u32) {
        let root = self.path().join("rootfs");
        for path in [root.clone(), root.join("bin")] {
            chown(path, Some(id), Some(id)).expect("chown");
        }
    }

    fn write(&self, configuration: &Value) {
        std::fs::write(self.path().join("config.json"), configuration.to_string()).expect("config.json");
    }

    fn runc(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.path().join("runc")).args(arguments).current_dir(self.path());
        command
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.runc(&["delete", "-f", &self.name]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn busybox() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("busybox")).find(|file| file.is_file()).expect("busybox")
}

/// Makes a configuration of a process, lets runc start one by it, and holds what that is against what the first one was.
fn same(pid: u32, kinds: &[&str]) -> Value {
    let done = output(&mut nsx(&["inspect", "--oci", &pid.to_string()]));
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let mut configuration: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let before = inspect(&pid.to_string());
    let bundle = Bundle::new();
    bundle.hand_over(u32::try_from(before["root_uid_outside"].as_u64().unwrap_or(0)).expect("a uid"));
    // It is to be started again, but to say when it is there and to end with its input.
    configuration["process"]["args"] = json!(["/bin/sh", "-c", "echo ready; read -r line"]);
    configuration["process"]["env"] = json!(["PATH=/bin"]);
    configuration["process"]["cwd"] = json!("/");
    bundle.write(&configuration);
    let held = Held::start_command(&mut bundle.runc(&["run", &bundle.name]));
    let state = output(&mut bundle.runc(&["state", &bundle.name]));
    let state: Value = serde_json::from_slice(&state.stdout).expect("a state");
    let after = inspect(&state["pid"].to_string());
    for key in [
        "capabilities",
        "no_new_privs",
        "seccomp",
        "seccomp_filters",
        "uid_map",
        "gid_map",
        "uid_inside",
        "gid_inside",
        "oom_score_adj",
    ] {
        assert_eq!(after[key], before[key], "{key}");
    }
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let own = namespace(&after, kind)["ns"] != inode_of(std::process::id(), kind);
        assert_eq!(own, kinds.contains(&kind), "{kind} of {configuration:#}");
    }
    let limits = |process: &Value| -> Vec<String> {
        let all = process["rlimits"].as_array().expect("limits").iter();
        all.map(|one| format!("{} {} {}", one["name"], one["soft"], one["hard"])).collect()
    };
    assert_eq!(limits(&after), limits(&before));
    let of = |process: &Value, role: &str| -> Vec<String> {
        let mounts = process["mounts"].as_array().expect("mounts").iter();
        let mut all: Vec<_> = mounts.filter(|one| one["role"] == role).map(|one| one["point"].to_string()).collect();
        all.sort();
        all
    };
    if before["mounts_callers"] == false {
        assert_eq!(of(&after, "masked"), of(&before, "masked"));
        assert_eq!(of(&after, "read_only"), of(&before, "read_only"));
        let mounts = before["mounts"].as_array().expect("mounts");
        for one in mounts.iter().filter(|one| one["role"] == "other" || one["role"] == "host") {
            // What runtimes make for the hierarchies of v1 is writable with runc, whatever it is asked for.
            let again = mount(&after, one["point"].as_str().expect("UTF-8"));
            for option in ["ro", "nosuid", "nodev", "noexec"] {
                let has =
                    |one: &Value| one["options"].as_str().is_some_and(|all| all.split(',').any(|one| one == option));
                assert!(!has(one) || has(again), "{option}: {one:#} {again:#}");
            }
        }
    }
    drop(held);
    after
}

fn nsx_run() {
    let limited = Need::Controller("memory").is_met();
    let options: &[&str] = if limited { &["run", "--mem", "64M", "--"] } else { &["run", "--"] };
    let mut running = Running::start(options, "echo ready; read -r line", |_| {});
    let after = same(running.command(), &["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]);
    if limited {
        let all = after["limits"].as_array().expect("limits");
        let memory = all.iter().find(|one| one["knob"] == "memory.max").expect("memory.max");
        assert_eq!(memory["effective"], 64 << 20);
    }
    running.poke();
    running.end();
}

/// Starts a command that makes another process, and returns that one's pid as well.
fn child(command: &mut Command) -> (Held, u32) {
    let held = Held::start_command(command);
    let is_child = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        status.trim() == "sh"
    };
    // The innermost shell.
    let mut pid = held.pid();
    while let Some(below) = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .find_map(|pid| pid.parse().ok())
    {
        pid = below;
    }
    assert!(is_child(&pid), "{pid} is no shell");
    (held, pid)
}

const SCRIPT: [&str; 3] = ["sh", "-c", "echo ready; read -r line"];

fn unshare() {
    let (_held, pid) = child(Command::new("unshare").args(["-Urmpf", "--mount-proc"]).args(SCRIPT));
    same(pid, &["mnt", "pid", "user"]);
    let (_held, pid) = child(Command::new("unshare").args(["-nui"]).args(SCRIPT));
    same(pid, &["mnt", "net", "uts", "ipc"]);
}

fn bwrap() {
    let options = [
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--unshare-all",
        "--tmpfs",
        "/tmp",
        "--new-session",
    ];
    let (_held, pid) = child(Command::new("bwrap").args(options).args(SCRIPT));
    same(pid, &["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]);
}

fn runc() {
    let bundle = Bundle::new();
    assert!(bundle.runc(&["spec"]).status().expect("runc").success());
    let text = std::fs::read_to_string(bundle.path().join("config.json")).expect("config.json");
    let mut configuration: Value = serde_json::from_str(&text).expect("JSON");
    configuration["process"]["terminal"] = json!(false);
    configuration["process"]["args"] = json!(["/bin/sh", "-c", "echo ready; read -r line"]);
    bundle.write(&configuration);
    let _held = Held::start_command(&mut bundle.runc(&["run", &bundle.name]));
    let state = output(&mut bundle.runc(&["state", &bundle.name]));
    let state: Value = serde_json::from_slice(&state.stdout).expect("a state");
    let kinds: &[&str] = &["ipc", "mnt", "net", "pid", "uts"];
    let pid = u32::try_from(state["pid"].as_u64().expect("a pid")).expect("a pid");
    let cgroup = inode_of(pid, "cgroup") != inode_of(std::process::id(), "cgroup");
    same(pid, if cgroup { &["cgroup", "ipc", "mnt", "net", "pid", "uts"] } else { kinds });
}
