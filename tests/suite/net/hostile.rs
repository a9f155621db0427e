//! Names that mean harm, links that come and go, very many of them, callers without privilege; and what all of it costs.

use std::io::Write;
use std::process::Stdio;

use super::super::harness::{fit, nsx_path};
use super::*;

fn hostile_lab() -> Lab {
    // What the kernel lets through in a name: everything but slashes, colons and white space.
    Lab::new(
        &["a"],
        r#"esc=$(printf 'x\033[31m"\\N')
        odd=$(printf 'y\377\342\200\256<&>')
        ip -n a link add name "$esc" type veth peer name "$odd"
        ip -n a link set "$esc" alias "$(printf 'a\033]0;b\007c')"
        ip -n a link add br0 type bridge
        ip -n a link set "$odd" master br0"#,
    )
}

pub fn names() {
    let lab = hostile_lab();
    let a = lab.ns("a").to_string();
    for arguments in [&["net", "-o", "all"][..], &["net", "--tree"], &["net", "--dot"], &["net", "--json"]] {
        let done = output(nsx(arguments).arg(&a));
        assert!(done.status.success());
        let printed = fit(&done.stdout);
        assert!(printed.contains("[31m"), "{arguments:?}: {printed}");
    }
    let document = net_json(&[&a]);
    let odd = links(&document, lab.ns("a")).into_iter().find(|link| !link["ifname_raw"].is_null()).expect("no UTF-8");
    assert_eq!(odd["ifname_raw"], base64(b"y\xff\xe2\x80\xae<&>"));
    leads_to(&odd["peer"], lab.ns("a"), "x\u{1b}[31m\"\\N");
    assert_eq!(odd["master_ifname"], "br0");
}

/// graphviz draws what is printed for it.
pub fn picture() {
    let lab = hostile_lab();
    let a = lab.ns("a").to_string();
    let picture = run(&["net", "--dot", &a]);
    let mut dot = Command::new("dot").arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("dot");
    dot.stdin.take().expect("a pipe").write_all(picture.as_bytes()).expect("written");
    let drawn = dot.wait_with_output().expect("dot");
    let svg = text(&drawn.stdout);
    assert!(drawn.status.success() && svg.contains("<svg") && svg.contains("netns:a"), "{picture}\n{svg}");
    assert!(svg.contains(r#"x\x1b[31m&quot;\N"#), "{svg}");
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let value = chunk.iter().fold(0u32, |value, &byte| value << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[(value >> (18 - 6 * place) & 63) as usize]);
            text.push(if place > chunk.len() { '=' } else { digit });
        }
    }
    text
}

pub fn churn() {
    // A child moves, makes and deletes links until the shell's input ends.
    let lab = Lab::new(
        &["a", "b"],
        "ip link add br0 type bridge
        trap 'kill $!' EXIT
        (while :; do
            ip link add va netns a type veth peer name vb netns b
            ip -n a link set va netns b
            ip -n b link set va netns a
            ip -n a link del va
        done) >/dev/null 2>&1 &",
    );
    let mut seen = 0;
    for _ in 0..30 {
        let document = net_json(&[]);
        for (name, peer) in [("a", "b"), ("b", "a")] {
            for link in links(&document, lab.ns(name)).into_iter().filter(|link| link["kind"] == "veth") {
                seen += 1;
                let end = &link["peer"];
                let places = [lab.ns(name), lab.ns(peer)];
                assert!(end["ns"].is_null() || places.iter().any(|place| end["ns"] == *place), "{link:#}");
                assert!(end["ifname"].is_null() || end["ifname"] == "va" || end["ifname"] == "vb", "{link:#}");
            }
        }
        // Nothing of it is an error; at most a dump was disturbed again and again.
        for gap in document["gaps"].as_array().expect("gaps").iter().filter(|gap| gap["what"] == "links") {
            assert_eq!(gap["errno"], Value::Null, "{gap:#}");
        }
    }
    assert!(seen > 0, "the links were there now and then");
}

pub fn thousands() {
    const COUNT: u64 = 2000;
    let lab = Lab::new(
        &["a"],
        &format!(
            "i=0
            while [ $i -lt {COUNT} ]; do
                echo addr add 10.$((i / 250 + 10)).$((i % 250)).1/32 dev lo
                i=$((i + 1))
            done | ip -n a -batch -
            i=0
            while [ $i -lt 100 ]; do
                echo link add v$i type veth peer name w$i
                i=$((i + 1))
            done | ip -n a -batch -"
        ),
    );
    let a = lab.ns("a");
    let document = net_json(&[&a.to_string()]);
    let count = |key: &str| document[key].as_array().expect("a list").len() as u64;
    assert_eq!((count("addresses"), count("links")), (COUNT, 201));
    for number in 0..100 {
        leads_to(&link(&document, a, &format!("v{number}"))["peer"], a, &format!("w{number}"));
    }
    let table = run(&["net", &a.to_string(), "-o", "ADDRESSES", "--where", "link == lo"]);
    assert!(table.trim_end().ends_with(&format!("and {} more", COUNT - 32)), "{table}");
}

pub fn ordinary_user() {
    let lab = Lab::new(&["a"], "ip link add v0 type veth peer name eth0 netns a");
    // In a user namespace of theirs, which they may enter; they hold it, whoever else may see it.
    let theirs = "unshare -Urn sh -ec 'ip link add t0 type veth peer name t1; echo ready $$; read end || true'";
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", theirs]);
    let held = Held::start_command(&mut command);
    let ns = inode_of(held.words[0].parse().expect("a pid"), "net");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let done = output(command.arg(nsx_path()).args(["net", "--json"]).env_remove("NO_COLOR"));
    let error = text(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{error}");
    let list = document(&text(&done.stdout));
    leads_to(&link(&list, ns, "t0")["peer"], ns, "t1");
    let own = inode_of(std::process::id(), "net");
    assert_eq!(link(&list, own, "lo")["ifindex"], 1);
    for hidden in ["", "a"] {
        let unseen = links(&list, lab.ns(hidden));
        assert!(unseen.is_empty(), "{unseen:#?}");
    }
    assert_eq!(error.lines().count(), 1, "one note: {error}");
    assert!(error.starts_with("nsx: note: could not see ") && error.contains("run as root to see all"), "{error}");
}

/// Runs nsx on a kernel without these calls.
fn net_without(calls: &str, arguments: &[&str]) -> (Value, String) {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["fixture", "without", calls]).arg(nsx_path()).args(["net", "--json"]).args(arguments);
    let done = output(&mut command);
    assert!(done.status.success(), "without {calls}: {}", text(&done.stderr));
    (document(&text(&done.stdout)), text(&done.stderr))
}

fn gap<'a>(document: &'a Value, what: &str) -> &'a Value {
    let found = document["gaps"].as_array().expect("gaps").iter().find(|gap| gap["what"] == what);
    found.unwrap_or_else(|| panic!("no gap {what}: {:#}", document["gaps"]))
}

pub fn without_setns() {
    use nix::libc::{EPERM, SYS_setns};
    let lab = Lab::new(&["a"], "ip link add v0 type veth peer name eth0 netns a");
    let (list, note) = net_without(&format!("{SYS_setns}:{EPERM}"), &[]);
    let gap = gap(&list, "links");
    assert_eq!(gap["errno"], "EPERM");
    for name in ["", "a"] {
        assert!(gap["namespaces"].as_array().expect("a list").contains(&lab.ns(name).into()), "{gap:#}");
        assert!(links(&list, lab.ns(name)).is_empty());
        let found = list["namespaces"].as_array().expect("all").iter().find(|one| one["ns"] == lab.ns(name));
        assert_eq!(found.expect("it was found")["seen"], false);
    }
    // To ask about the own one nothing has to be entered.
    assert_eq!(link(&list, inode_of(std::process::id(), "net"), "lo")["ifindex"], 1);
    assert!(note.contains("the links of ") && note.contains(" network namespaces (EPERM)"), "{note}");
}

pub fn without_sock_diag() {
    use nix::libc::{EPROTONOSUPPORT, NETLINK_SOCK_DIAG, SYS_socket};
    let (list, note) = net_without(&format!("{SYS_socket}@2={NETLINK_SOCK_DIAG}:{EPROTONOSUPPORT}"), &["self", "-l"]);
    assert_eq!(list["sockets"], serde_json::json!([]));
    let own = inode_of(std::process::id(), "net");
    assert!(gap(&list, "listeners")["namespaces"].as_array().expect("a list").contains(&own.into()));
    assert_eq!(link(&list, own, "lo")["ifindex"], 1, "the rest is there");
    assert!(note.contains("the listening sockets of "), "{note}");
}

pub fn calls() {
    let names: Vec<String> = (1..=40).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let script = "i=0; while [ $i -lt 40 ]; do i=$((i + 1)); ip link add v$i type veth peer name eth0 netns n$i; done";
    let lab = Lab::new(&names, script);
    let calls = calls_of_a_run();
    drop(lab);
    let count = |call: &str| calls.iter().filter(|made| made.starts_with(call)).count();
    // Others on this machine may have namespaces, too.
    let entered = count("setns(");
    assert!(entered >= 41, "{entered} were entered");
    // Links and addresses are asked for, the numbers of both ends of a pair, and before, by the scan, that of the namespace itself. A
    // dump takes two answers, three at most.
    for (call, most) in [("socket(", 1), ("connect(", 1), ("sendto(", 6), ("recvfrom(", 9)] {
        assert!(count(call) <= most * entered + 10, "{call} {} times for {entered} namespaces", count(call));
        assert!(count(call) >= entered, "{call} was counted");
    }
}

/// Runs nsx and returns its system calls, none of which changes anything.
fn calls_of_a_run() -> Vec<String> {
    let calls = tempfile::NamedTempFile::new().expect("a file");
    let traced = Command::new("strace").args(["-f", "-qq", "-o"]).arg(calls.path()).arg(nsx_path()).arg("net").output();
    assert!(traced.expect("strace").status.success());
    let calls = std::fs::read_to_string(calls.path()).expect("calls");
    let calls: Vec<String> =
        calls.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim_start().to_owned())).collect();
    for call in &calls {
        for forbidden in ["unshare(", "mount(", "umount", "ptrace(", "bind("] {
            assert!(!call.starts_with(forbidden), "{call}");
        }
        let entered = call.strip_prefix("setns(").is_none_or(|rest| rest.contains("CLONE_NEWNET"));
        assert!(entered, "root enters nothing but network namespaces: {call}");
    }
    calls
}
