//! `nsx ps` and names on what real engines left on disk: `tests/data/engine` has the processes of each, and the files of its state folders.
//!
//! A tree like /proc is made of the processes, and their root directories are copies of the files. The suite also runs where there is no
//! source tree: this module does not.

mod databases;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::harness::fake::FakeProc;
use super::harness::{Module, Need, document, fails, nsx, output, source, test, text};

pub fn module() -> Module {
    let root = &[Need::Root];
    let tests = vec![
        test("ps_recorded::every_container_has_its_name", root, names),
        test("ps_recorded::images_labels_and_pods", root, images),
        test("ps_recorded::databases_of_containerd_and_podman", root, databases::read),
        test("ps_recorded::a_database_that_is_not_where_it_usually_is", root, databases::moved),
        test("ps_recorded::databases_that_nobody_should_believe", root, databases::not_believed),
        test("ps_recorded::names_are_targets", root, targets),
        test("ps_recorded::without_records_the_processes_tell", root, without_records),
        test("ps_recorded::records_in_other_hands_count_for_nothing", root, other_hands),
        test("ps_recorded::a_cgroup_that_is_called_like_anothers_is_marked", root, false_cgroup),
        test("ps_recorded::a_suid_program_that_plays_a_shim", root, suid),
        test("ps_recorded::names_that_others_take", root, taken),
        test("ps_recorded::who_is_inside_cannot_be_called_like_one_outside", root, nested),
        test("ps_recorded::a_name_with_an_escape_sequence", root, escape),
        test("ps_recorded::records_that_are_huge_cut_links_or_fifos", root, hostile_records),
    ];
    Module { name: "ps_recorded", places: &[], tests }
}

/// A host on which an engine runs.
struct Recorded {
    proc: FakeProc,
    root: tempfile::TempDir,
}

impl Recorded {
    /// Makes a host of the recording of an engine.
    fn new(engine: &str) -> Recorded {
        let host = Recorded {
            proc: FakeProc::new(),
            root: tempfile::Builder::new().prefix("nsx-test-root-").tempdir().expect("a folder"),
        };
        host.proc.process(1, 0, b"init").own(1);
        host.with_root(1);
        host.add(engine);
        host
    }

    fn with_root(&self, pid: u32) {
        self.proc.raw_link(pid, "root", self.root.path().to_str().expect("UTF-8"));
    }

    fn add(&self, engine: &str) {
        let folder = source("tests/data/engine").join(engine);
        copy(&folder, self.root.path());
        let recorded = fs::read_to_string(folder.join("processes.json")).expect("a recording");
        let processes: Value = serde_json::from_str(&recorded).expect("JSON");
        for process in processes.as_array().expect("a list") {
            self.process(process);
        }
    }

    fn process(&self, process: &Value) {
        let number = |key: &str| process[key].as_u64().expect(key);
        let (pid, ppid, uid) = (number("pid") as u32, number("ppid") as u32, number("uid"));
        self.proc.process(pid, ppid, process["comm"].as_str().expect("comm").as_bytes());
        let stat = format!(
            "{pid} ({}) S {ppid} 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 {} 0 0 0\n",
            process["comm"].as_str().expect("comm"),
            number("start")
        );
        self.proc.file(pid, "stat", stat.as_bytes());
        let nspid: Vec<String> = process["nspid"].as_array().expect("nspid").iter().map(Value::to_string).collect();
        let nspid = nspid.join("\t");
        let status = format!(
            "Name:\tx\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{ppid}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nNStgid:\t{nspid}\nNSpid:\t{nspid}\n"
        );
        self.proc.file(pid, "status", status.as_bytes());
        let unified = process["cgroup"]["unified"].as_str().unwrap_or("/");
        self.proc.file(pid, "cgroup", format!("0::{unified}\n").as_bytes());
        let words = process["argv"].as_array().expect("argv").iter().map(|word| word.as_str().expect("a word"));
        self.proc.file(pid, "cmdline", format!("{}\0", words.collect::<Vec<_>>().join("\0")).as_bytes());
        for (kind, link) in process["ns"].as_object().expect("ns") {
            self.proc.raw_link(pid, &format!("ns/{kind}"), link.as_str().expect("a link"));
        }
        self.proc.raw_link(pid, "cwd", process["cwd"].as_str().expect("cwd"));
        self.with_root(pid);
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let folder = self.proc.path_of_root();
        [&["--proc-root", folder], arguments].concat()
    }

    fn ps(&self) -> Value {
        let output = output(&mut nsx(&self.arguments(&["ps", "--json"])));
        assert!(output.status.success(), "{}", text(&output.stderr));
        document(&text(&output.stdout))
    }

    /// Returns what was found: engine (with ? where it is not verified), path, pid.
    fn found(&self) -> Vec<(String, String, u64)> {
        let document = self.ps();
        let one = |one: &Value| {
            let mark = if one["verified"] == true { "" } else { "?" };
            let engine = format!("{}{mark}", one["engine"].as_str().unwrap_or("-"));
            (engine, one["path"].as_str().expect("a path").to_owned(), one["pid"].as_u64().expect("a pid"))
        };
        document["sandboxes"].as_array().expect("a list").iter().map(one).collect()
    }

    fn file(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            fs::create_dir_all(&to).expect("a folder");
            copy(&entry.path(), &to);
        } else {
            fs::write(&to, fs::read(entry.path()).expect("a file")).expect("a file");
        }
    }
}

fn found(all: &[(&str, &str, u64)]) -> Vec<(String, String, u64)> {
    all.iter().map(|(engine, path, pid)| ((*engine).to_owned(), (*path).to_owned(), *pid)).collect()
}

fn names() {
    for (engine, expected) in [
        (
            "docker",
            &[
                ("docker", "web", 3345),
                ("docker", "sidecar", 3490),
                ("docker", "parented", 3551),
                ("docker", "frozen", 3627),
                ("docker", "hostpid", 3720),
            ][..],
        ),
        ("docker-userns", &[("docker", "remapped", 5980)]),
        (
            "podman",
            &[
                ("podman", "pweb", 8481),
                ("podman", "pfrozen", 8619),
                ("podman", "pparent", 8667),
                ("podman", "868d0a50822f-infra", 11590),
                ("podman", "inpod2", 11620),
            ],
        ),
        (
            "containerd",
            &[
                ("containerd", "c-web", 13999),
                ("containerd", "c-plain", 14047),
                ("containerd", "nginx", 14094),
                ("containerd", "c-paused", 14143),
                ("containerd", "c-image", 14213),
            ],
        ),
        ("runc", &[("runc", "mine-runc", 12015)]),
        ("crun", &[("crun", "mine-crun2", 12068)]),
        ("lxc", &[("lxc", "l1", 13633), ("lxc", "l2", 13641)]),
        ("nspawn", &[("nspawn", "m1", 13668)]),
        ("bwrap", &[("bwrap", "13684", 13684), ("bwrap", "13685", 13685)]),
    ] {
        assert_eq!(Recorded::new(engine).found(), found(expected), "{engine}");
    }
}

/// The sandbox with this name.
fn named(host: &Recorded, name: &str) -> Value {
    let document = host.ps();
    let all = document["sandboxes"].as_array().expect("a list").clone();
    all.into_iter().find(|one| one["name"] == name || one["id"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn images() {
    let docker = Recorded::new("docker");
    assert_eq!(named(&docker, "web")["image"], "bb:1");
    assert_eq!(named(&Recorded::new("podman"), "pweb")["image"], "localhost/bb:1");
    let nginx = named(&Recorded::new("containerd"), "nginx");
    assert_eq!(
        (&nginx["image"], &nginx["pod"]["namespace"], &nginx["pod"]["name"]),
        (&"docker.io/library/nginx:1".into(), &"shop".into(), &"web-7d".into())
    );
}

fn targets() {
    let host = Recorded::new("docker");
    let pids = |target: &str| {
        let output = output(&mut nsx(&host.arguments(&["ps", "--json", target])));
        assert!(output.status.success(), "{target}: {}", text(&output.stderr));
        let document = document(&text(&output.stdout));
        document["sandboxes"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["pid"].as_u64().expect("a pid"))
            .collect::<Vec<_>>()
    };
    for target in ["web", "docker:web", "ad49", "AD49268D", "docker:ad49268de817", "3345"] {
        assert_eq!(pids(target), [3345], "{target}");
    }
    for (target, message) in [
        ("ad4", "no container ad4"),
        ("podman:web", "no container podman:web"),
        (
            "we",
            "no container we: not among the sandboxes that processes, engines' records and cgroups name; there is web",
        ),
        ("web/x", "no container web/x"),
        ("1", "1 is in no sandbox: process 1"),
    ] {
        let error = fails(&host.arguments(&["ps", target]), 1);
        assert!(error.contains(message) && error.contains("hint: nsx ps shows"), "{target}: {error}");
    }
    // Two engines may use a name.
    host.add("podman");
    fs::write(
        host.file("/var/lib/containers/storage/vfs-containers/containers.json"),
        r#"[{"id":"f9977dff0d97e0f43d1f46296b901ed08ebdd5ecf2790acfcab15d48a1a474df","names":["web"]}]"#,
    )
    .expect("a file");
    let error = fails(&host.arguments(&["ps", "web"]), 1);
    assert!(
        error.contains("web may be any of: docker:web (pid 3345, of uid 0), podman:web (pid 8481, of uid 0)"),
        "{error}"
    );
    assert_eq!(pids("podman:web"), [8481]);
    let pods = Recorded::new("containerd");
    let output = output(&mut nsx(&pods.arguments(&["ps", "-q", "pod:shop/web-7d"])));
    assert_eq!(text(&output.stdout), "nginx\n", "{}", text(&output.stderr));
}

fn without_records() {
    for (engine, expected) in [
        ("docker", ("docker", "ad49268de817f2612c47af6fe5a4be1074addd2970a288d9ae5c75384dca0174", 3345)),
        ("podman", ("podman", "pweb", 8481)),
        ("containerd", ("containerd", "c-web", 13999)),
        ("lxc", ("lxc", "l1", 13633)),
        ("runc", ("-?", "12015", 12015)),
    ] {
        let host = Recorded::new(engine);
        for folder in ["var", "run", "srv"] {
            let _ = fs::remove_dir_all(host.file(folder));
        }
        assert_eq!(host.found()[0], found(&[expected])[0], "{engine}");
    }
}

fn chown(path: &Path, uid: u32) {
    std::os::unix::fs::chown(path, Some(uid), Some(uid)).expect("chown");
}

fn other_hands() {
    let docker = Recorded::new("docker");
    let record =
        "/var/lib/docker/containers/ad49268de817f2612c47af6fe5a4be1074addd2970a288d9ae5c75384dca0174/config.v2.json";
    chown(&docker.file(record), 1000);
    assert_eq!(docker.found()[0].1, "ad49268de817f2612c47af6fe5a4be1074addd2970a288d9ae5c75384dca0174");
    let runc = Recorded::new("runc");
    chown(&runc.file("/run/runc/mine-runc/state.json"), 1000);
    assert_eq!(runc.found(), found(&[("-?", "12015", 12015)]));
    // A state file that names a process which it was not made for: another start time.
    let runc = Recorded::new("runc");
    let path = runc.file("/run/runc/mine-runc/state.json");
    let state = fs::read_to_string(&path)
        .expect("a file")
        .replace("\"init_process_start\":4394802", "\"init_process_start\":4394803")
        .replace("\"init_process_start\": 4394802", "\"init_process_start\": 4394803");
    fs::write(&path, state).expect("a file");
    assert_eq!(runc.found(), found(&[("-?", "12015", 12015)]));
    // Of a user's container the user's own records count.
    let rootless = Recorded::new("podman-rootless");
    let store = "/srv/alice/.local/share/containers/storage/vfs-containers/containers.json";
    chown(&rootless.file(store), 61234);
    let document = rootless.ps();
    assert_eq!(document["sandboxes"][0]["image"], "localhost/bb:1", "{document:#}");
    assert_eq!(document["sandboxes"][0]["uid"], 61234);
    chown(&rootless.file(store), 61235);
    assert_eq!(rootless.ps()["sandboxes"][0]["image"], Value::Null);
}

/// A process of root's with the host's namespaces, that says what it likes.
fn process(pid: u32, ppid: u32, words: &[&str]) -> Value {
    let comm = words[0].rsplit('/').next().unwrap_or_default().chars().take(15).collect::<String>();
    json!({
        "pid": pid, "ppid": ppid, "comm": comm, "uid": 0, "start": 9_000_000 + pid, "nspid": [pid], "cwd": "/", "argv": words,
        "cgroup": {"unified": "/"},
        "ns": {"mnt": "mnt:[4026531832]", "pid": "pid:[4026531836]"},
    })
}

/// The same, in other namespaces, with the pids that it has there.
fn isolated(process: Value, mnt: u32, pid_ns: u32, inside: &[u32]) -> Value {
    let mut process = process;
    process["ns"] = json!({"mnt": format!("mnt:[{mnt}]"), "pid": format!("pid:[{pid_ns}]")});
    for pid in inside {
        process["nspid"].as_array_mut().expect("a list").push(json!(pid));
    }
    process
}

/// The same, with other values.
fn with(process: Value, uid: u32, cgroup: &str) -> Value {
    let mut process = process;
    process["uid"] = json!(uid);
    process["cgroup"]["unified"] = json!(cgroup);
    process
}

const WEB: &str = "ad49268de817f2612c47af6fe5a4be1074addd2970a288d9ae5c75384dca0174";

fn false_cgroup() {
    let host = Recorded::new("docker");
    // A user with cgroups of his own calls one of them like the container of root's.
    let cgroup = format!("/user.slice/user-1000.slice/user@1000.service/docker-{WEB}.scope");
    host.process(&with(isolated(process(20_001, 1, &["sleep"]), 70_001, 70_002, &[1]), 1000, &cgroup));
    // Another plays the shim.
    let address = "/run/docker/containerd/containerd.sock";
    let words = ["/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", WEB, "-address", address];
    host.process(&with(process(20_010, 1, &words), 1000, "/"));
    host.process(&with(isolated(process(20_011, 20_010, &["sleep"]), 70_011, 70_012, &[1]), 1000, "/"));
    let all = host.found();
    assert!(all.contains(&("docker".to_owned(), "web".to_owned(), 3345)), "{all:?}");
    for pid in [20_001, 20_011] {
        assert!(all.contains(&("docker?".to_owned(), WEB.to_owned(), pid)), "{all:?}");
    }
    // Neither draws what was meant for the other to himself.
    let output = output(&mut nsx(&host.arguments(&["ps", "-q", &WEB[..12]])));
    assert_eq!(text(&output.stdout), "web\n");
    let shown = text(&super::harness::output(&mut nsx(&host.arguments(&["ps"]))).stdout);
    assert!(shown.lines().any(|line| line.contains("docker?") && line.contains("20001")), "{shown}");
}

/// The words of the shim of the container web.
const SHIM: [&str; 7] =
    ["containerd-shim-runc-v2", "-namespace", "moby", "-id", WEB, "-address", "/run/docker/containerd/containerd.sock"];

fn suid() {
    // Started by a user, with the name and arguments that he likes, and root's uid beside his own; or with root's alone.
    for (uids, exe) in [("1000\t0\t0\t0", None), ("0\t0\t0\t0", Some("/usr/bin/gpasswd"))] {
        let host = Recorded::new("docker");
        host.process(&process(20_010, 1, &SHIM));
        let status =
            format!("Name:\tx\nTgid:\t20010\nPid:\t20010\nPPid:\t1\nUid:\t{uids}\nNStgid:\t20010\nNSpid:\t20010\n");
        host.proc.file(20_010, "status", status.as_bytes());
        if let Some(exe) = exe {
            host.proc.raw_link(20_010, "exe", exe);
        }
        host.process(&with(isolated(process(20_011, 20_010, &["sleep"]), 70_011, 70_012, &[1]), 1000, "/"));
        let all = host.found();
        assert!(all.contains(&("docker?".to_owned(), WEB.to_owned(), 20_011)), "{uids}: {all:?}");
        let output = output(&mut nsx(&host.arguments(&["ps", "-q", &WEB[..12]])));
        assert_eq!(text(&output.stdout), "web\n", "{uids}");
    }
}

fn taken() {
    let host = Recorded::new("docker");
    // A user calls a container of his like the id of root's begins, and like one that root has.
    for (pid, name) in [(20_010, &WEB[..12]), (20_020, "web")] {
        host.process(&with(process(pid, 1, &["conmon", "-c", "f997", "-n", name, "-b", "/x"]), 1000, "/"));
        host.process(&with(isolated(process(pid + 1, pid, &["sleep"]), pid, pid + 1, &[1]), 1000, "/"));
    }
    for target in [&WEB[..12], "web"] {
        let output = output(&mut nsx(&host.arguments(&["ps", "-n", "-o", "PID", target])));
        assert_eq!(text(&output.stdout).trim(), "3345", "{target}: {}", text(&output.stderr));
    }
    // A name that looks like a path leads nowhere.
    host.process(&with(process(20_030, 1, &["conmon", "-c", "f997", "-n", "web/db", "-b", "/x"]), 1000, "/"));
    host.process(&with(isolated(process(20_031, 20_030, &["sleep"]), 20_030, 20_031, &[1]), 1000, "/"));
    assert!(host.found().contains(&("podman".to_owned(), "web\\x2fdb".to_owned(), 20_031)), "{:?}", host.found());
    assert!(fails(&host.arguments(&["ps", "web/db"]), 1).contains("no container web/db"));
}

fn nested() {
    let host = Recorded::new("docker");
    // In the container web somebody plays conmon, and makes a container that is called web, too.
    let words = ["conmon", "-c", "f997", "-n", "db", "-b", "/x"];
    let cgroup = format!("/docker/{WEB}");
    let conmon = isolated(process(20_001, 3345, &words), 4_026_532_250, 4_026_532_253, &[7]);
    host.process(&with(conmon, 0, &cgroup));
    host.process(&with(isolated(process(20_002, 20_001, &["sleep"]), 70_011, 70_012, &[8, 1]), 0, &cgroup));
    let all = host.found();
    assert_eq!(all[0], ("docker".to_owned(), "web".to_owned(), 3345));
    assert_eq!(all[1], ("podman".to_owned(), "web/db".to_owned(), 20_002), "{all:?}");
    // What is inside is no candidate outside.
    let error = fails(&host.arguments(&["ps", "db"]), 1);
    assert!(error.contains("no container db") && error.contains("there is web/db"), "{error}");
    let output = output(&mut nsx(&host.arguments(&["ps", "-n", "--tree", "-o", "NAME,PID"])));
    assert!(text(&output.stdout).starts_with("web        3345\n└─db      20002\n"), "{}", text(&output.stdout));
}

fn escape() {
    let host = Recorded::new("podman");
    let store = "/var/lib/containers/storage/vfs-containers/containers.json";
    fs::write(host.file(store), "[{\"id\":\"f9977dff0d97e0f43d1f46296b901ed08ebdd5ecf2790acfcab15d48a1a474df\",\"names\":[\"a\\u001b[31mb\\u202e\"]}]").expect("a file");
    let shown = super::harness::fit(&output(&mut nsx(&host.arguments(&["ps"]))).stdout);
    assert!(shown.contains("a\\x1b[31mb\\u{202e}"), "{shown}");
    assert_eq!(host.ps()["sandboxes"][0]["name"], "a\u{1b}[31mb\u{202e}");
    let quiet = super::harness::fit(&output(&mut nsx(&host.arguments(&["ps", "-q"]))).stdout);
    assert!(quiet.starts_with("8481\n"), "{quiet}");
}

fn hostile_records() {
    let record = format!("/var/lib/docker/containers/{WEB}/config.v2.json");
    let spoil: [fn(&Path); 6] = [
        |path| fs::write(path, vec![b'['; 64 << 20]).expect("a file"),
        |path| fs::write(path, &fs::read(path).expect("a file")[..200]).expect("a file"),
        |path| {
            fs::rename(path, path.with_extension("there")).expect("moved");
            std::os::unix::fs::symlink(path.with_extension("there").file_name().expect("a name"), path)
                .expect("a link");
        },
        |path| {
            fs::remove_file(path).expect("removed");
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        },
        |path| fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("chmod"),
        |path| fs::write(path, format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000))).expect("a file"),
    ];
    for (number, spoil) in spoil.into_iter().enumerate() {
        let host = Recorded::new("docker");
        spoil(&host.file(&record));
        let all = host.found();
        assert_eq!(all[0], ("docker".to_owned(), WEB.to_owned(), 3345), "{number}");
        assert_eq!(all[1].1, "sidecar", "{number}");
    }
}
