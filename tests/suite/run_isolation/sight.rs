//! What is seen inside of the caller's and of the host's: files, directories in memory, sockets, variables.

use std::collections::BTreeSet;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use super::place::{self, Caller, PROBE, callers, finish, folder, outside, probe, run_as};
use crate::harness::{Need, Test, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("run_isolation::files_of_root_cannot_be_read", &[Need::Root], secrets),
        test("run_isolation::homes_are_hidden_wherever_they_are", &[Need::Root], homes),
        test("run_isolation::directories_in_memory_are_the_sandboxes_own", &[], private),
        test("run_isolation::sockets_without_a_file_are_out_of_reach", &[], sockets),
        test("run_isolation::the_environment_is_the_commands_own", &[], environment),
    ]
}

pub fn named(below: &str) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir_in(below).expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    folder
}

fn secrets() {
    let home = named("/root");
    let own = home.path().join("secret");
    std::fs::write(&own, "secret\n").expect("a file");
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    // In a place that is shown.
    let shown = named("/usr/local");
    let visible = shown.path().join("secret");
    std::fs::write(&visible, "secret\n").expect("a file");
    std::fs::set_permissions(&visible, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let (own, visible) = (own.to_str().expect("UTF-8"), visible.to_str().expect("UTF-8"));
    assert_eq!(outside(Caller::Root, &["read", visible]).get(visible), "secret");
    for (caller, options) in place::all_ways() {
        for more in [&[][..], &["--home"], &["--userns", "keep"]] {
            if more.contains(&"keep") && caller == Caller::Root {
                // Root outside, as was asked for.
                continue;
            }
            let options = [&options[..], more].concat();
            let said = probe(caller, &options, &["read", "/etc/shadow", "/etc/gshadow", own, visible]);
            said.is("/etc/shadow", &["EACCES", "ENOENT"]);
            said.is("/etc/gshadow", &["EACCES", "ENOENT"]);
            said.is(visible, &["EACCES"]);
            said.is(own, &["EACCES", "ENOENT"]);
            if !more.contains(&"--home") {
                probe(caller, &options, &["list", "/root"]).is("/root", &["", "EACCES"]);
            }
        }
    }
    // Without a user namespace, root has no capability that would let it.
    let said = probe(Caller::Root, &["--userns", "host"], &["read", own]);
    said.is(own, &["ENOENT"]);
}

/// A home may be elsewhere, behind a link, or known from /etc/passwd alone. Whatever it is called, nothing is found in it.
fn homes() {
    let shown = named("/usr/local");
    let (real, link) = (shown.path().join("al"), shown.path().join("link"));
    std::fs::create_dir(&real).expect("a folder");
    std::os::unix::fs::symlink("al", &link).expect("a link");
    std::fs::write(real.join("mark"), "host\n").expect("a file");
    let files = [real.join("mark"), link.join("mark")];
    let files = files.each_ref().map(|path| path.to_str().expect("UTF-8"));
    let words = ["read", files[0], files[1]];
    assert_eq!(outside(Caller::Root, &words).get(files[1]), "host");
    for home in [&real, &link] {
        for (caller, options) in place::all_ways() {
            let said = place::probe_with(caller, &options, &words, |command| {
                command.env("HOME", home);
            });
            files.iter().for_each(|file| said.is(file, &["ENOENT"]));
        }
    }
    // The rest of the file system is shown, so it is the home that is hidden.
    let said = probe(Caller::Root, &[], &words);
    files.iter().for_each(|file| said.is(file, &["host"]));
}

fn private() {
    for below in ["/tmp", "/var/tmp", "/run", "/dev/shm"] {
        if !std::path::Path::new(below).is_dir() || (below == "/run" && !place::is_root()) {
            continue;
        }
        let host = named(below);
        let mark = host.path().join("mark");
        std::fs::write(&mark, "host\n").expect("a file");
        let mark = mark.to_str().expect("UTF-8");
        for (caller, options) in place::all_ways() {
            let made = format!("{below}/nsx-test-made-{}", std::process::id());
            let said = probe(caller, &options, &["make", &made]);
            said.is(&made, &["ok"]);
            assert!(std::fs::remove_file(&made).is_err(), "{made} is the host's");
            probe(caller, &options, &["read", mark]).is(mark, &["ENOENT"]);
        }
        // Nor that of another sandbox.
        let made = format!("{below}/nsx-test-other");
        for _ in 0..2 {
            probe(callers()[0], &[], &["make", &made]).is(&made, &["ok"]);
        }
    }
}

fn sockets() {
    let name = format!("nsx-test-socket-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("a socket");
    assert_eq!(outside(callers()[0], &["connect", &name]).get("abstract"), "ok");
    for (caller, options) in place::all_ways() {
        probe(caller, &options, &["connect", &name]).is("abstract", &["ECONNREFUSED"]);
        let none = [&options[..], &["--net", "none"]].concat();
        probe(caller, &none, &["connect", &name]).is("abstract", &["ECONNREFUSED"]);
        // By this it is seen that the network is what keeps it out.
        let host = [&options[..], &["--net", "host"]].concat();
        probe(caller, &host, &["connect", &name]).is("abstract", &["ok"]);
    }
}

/// What nsx sets itself, and what it takes over.
const KNOWN: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "container",
    "TERM",
    "COLORTERM",
    "LANG",
    "LANGUAGE",
    "TZ",
    "NO_COLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "LINES",
];
const SECRET: [&str; 14] = [
    "NSX_TEST_SECRET",
    "AWS_SECRET_ACCESS_KEY",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "GLIBC_TUNABLES",
    "BASH_ENV",
    "ENV",
    "PYTHONPATH",
    "SUDO_USER",
    "MAIL",
    "LCSECRET",
];

fn environment() {
    let place = folder();
    let names = |command: &mut std::process::Command| {
        let done = finish(command.args([PROBE, "fixture", "look", "environment"]).current_dir(place.path()));
        assert_eq!(done.code, Some(0), "{}", done.err);
        done
    };
    for caller in callers() {
        let mut command = run_as(caller, &[]);
        command.envs(SECRET.map(|name| (name, "/nsx-test-secret"))).env("LC_ALL", "C").env("TERM", "xterm");
        let done = names(&mut command);
        assert!(!done.out.contains("nsx-test-secret"), "{caller:?}: {}", done.out);
        let seen: BTreeSet<&str> =
            done.out.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        let unknown: Vec<&&str> =
            seen.iter().filter(|name| !KNOWN.contains(name) && !name.starts_with("LC_")).collect();
        assert!(
            unknown.is_empty() && seen.contains("LC_ALL") && seen.contains("TERM"),
            "{caller:?}: {unknown:?} of {seen:?}"
        );
        // What is named comes along, and nothing else.
        let mut command = run_as(caller, &["--clear-env", "-e", "NSX_TEST_SECRET"]);
        let done = names(command.envs(SECRET.map(|name| (name, "/nsx-test-secret"))));
        assert_eq!(done.out.trim(), "NSX_TEST_SECRET=/nsx-test-secret", "{caller:?}");
    }
}
