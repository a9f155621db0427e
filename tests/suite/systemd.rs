//! A host with systemd as PID 1: services and user sessions in namespaces of their own. `scripts/vm systemd` boots one.

use std::process::Command;

use super::harness::{Module, Need, Place, inode_of, ls_json, namespace, output, quiet, run, test, text};

pub fn module() -> Module {
    let root = &[Need::Systemd, Need::Root];
    let tests = vec![
        test("systemd::a_service_with_private_namespaces", root, private_service),
        test("systemd::services_of_the_host", root, host_services),
        test("systemd::a_unit_by_its_name", root, unit_by_name),
        quiet("systemd::root_sees_everything", root, no_gaps),
        test("systemd::a_service_of_a_user", &[Need::Systemd, Need::UserManager], user_service),
    ];
    Module { name: "systemd", places: &[Place::Systemd], tests }
}

/// A transient service, until it is dropped.
struct Service {
    name: String,
    manager: &'static str,
    pid: u32,
}

impl Service {
    /// Starts `sleep infinity` with these properties below a service manager: `--system` or `--user`.
    fn start(manager: &'static str, name: &str, properties: &[&str]) -> Service {
        let name = format!("nsx-test-{name}-{}.service", std::process::id());
        let mut command = Command::new("systemd-run");
        command.args([manager, "--quiet", "--collect", "--service-type=exec", "--unit", &name]);
        command.args(properties.iter().flat_map(|property| ["-p", property]));
        let done = output(command.args(["sleep", "infinity"]));
        assert!(done.status.success(), "{}", text(&done.stderr));
        let pid = main_pid(manager, &name);
        Service { name, manager, pid }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("systemctl").args([self.manager, "kill", "--signal=KILL", &self.name]).status();
    }
}

fn main_pid(manager: &str, unit: &str) -> u32 {
    let shown = output(Command::new("systemctl").args([manager, "show", "--property=MainPID", "--value", unit]));
    text(&shown.stdout).trim().parse().expect("a pid")
}

/// Makes sure that a process has these namespaces for itself, and that they are listed with its cgroup.
fn has_its_own(pid: u32, kinds: &[&str], cgroup: &str) {
    let document = ls_json(&[]);
    for kind in kinds {
        let inode = inode_of(pid, kind);
        assert_ne!(inode, inode_of(std::process::id(), kind), "{kind}");
        let found = namespace(&document, inode);
        assert_eq!((&found["pid"], &found["nprocs"]), (&pid.into(), &1.into()), "{kind}");
        assert_eq!(found["cgroup"], cgroup, "{kind}");
    }
}

fn private_service() {
    let service = Service::start(
        "--system",
        "private",
        &["PrivateNetwork=yes", "PrivateIPC=yes", "PrivateTmp=yes", "ProtectHostname=yes", "PrivateUsers=yes"],
    );
    let cgroup = format!("/system.slice/{}", service.name);
    has_its_own(service.pid, &["ipc", "mnt", "net", "user", "uts"], &cgroup);
    let table = run(&["ls", "-p", &service.pid.to_string(), "-t", "net,user", "-o", "TYPE,PID,COMMAND"]);
    assert_eq!(table.lines().filter(|line| line.contains("sleep infinity")).count(), 2, "{table}");
}

fn unit_by_name() {
    let service = Service::start("--system", "by-name", &["PrivateNetwork=yes", "MemoryMax=64M"]);
    let unit = format!("unit:{}", service.name);
    assert_eq!(run(&["pid", "-q", &unit]), format!("{}\n", service.pid));
    assert_eq!(run(&["pid", "-q", &format!("{unit}/1")]), "1\n", "its pids are the host's");
    let shown = run(&["cg", "show", &unit]);
    assert!(shown.contains(&format!("/system.slice/{}", service.name)) && shown.contains("64M"), "{shown}");
    let inode = inode_of(service.pid, "net").to_string();
    assert!(run(&["ls", "-n", "-t", "net", "-o", "NS", &unit]).contains(&inode));
    let entered = output(&mut super::harness::nsx(&["enter", "-t", &unit, "-n", "readlink", "/proc/self/ns/net"]));
    assert_eq!(text(&entered.stdout), format!("net:[{inode}]\n"), "{}", text(&entered.stderr));
    let error = super::harness::fails(&["ls", "unit:nsx-test-none.service"], 1);
    assert!(error.contains("no cgroup of a unit nsx-test-none.service"), "{error}");
}

fn host_services() {
    let pid = main_pid("--system", "systemd-logind.service");
    has_its_own(pid, &["mnt"], "/system.slice/systemd-logind.service");
    let document = ls_json(&[]);
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let found = namespace(&document, inode_of(1, kind));
        assert_eq!((&found["initial"], &found["pid"]), (&true.into(), &1.into()), "{kind}");
        assert_eq!(found["cgroup"], "/init.scope", "{kind}");
    }
}

fn no_gaps() {
    assert_eq!(ls_json(&["--members"])["gaps"], serde_json::json!([]));
    let done = output(&mut super::harness::nsx(&["ls"]));
    assert_eq!(text(&done.stderr), "");
}

fn user_service() {
    let service = Service::start("--user", "user", &["PrivateUsers=yes"]);
    let uid = nix::unistd::geteuid();
    let cgroup = format!("/user.slice/user-{uid}.slice/user@{uid}.service/app.slice/{}", service.name);
    has_its_own(service.pid, &["user"], &cgroup);
    let found = ls_json(&["-p", &service.pid.to_string(), "-t", "user"])["namespaces"][0].clone();
    assert_eq!((&found["owner_uid"], &found["initial"]), (&uid.as_raw().into(), &false.into()));
}
