//! What a command is let do: capabilities, suid programs, keys, devices, sysctls (CVE-2022-29162, CVE-2022-27650).

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::place::{self, Caller, Said, callers, finish, folder, probe, run_as, suite};
use crate::harness::{Need, Test, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("run_isolation::capabilities_are_what_they_are_said_to_be", &[], capabilities),
        test("run_isolation::capabilities_of_roots_other_sandboxes", &[Need::Root], of_root),
        test(
            "run_isolation::inheritable_capabilities_of_the_caller_stay_outside",
            &[Need::Root, Need::Tool("setpriv")],
            inheritable,
        ),
        test(
            "run_isolation::a_suid_program_that_is_shown_gives_nothing",
            &[Need::Root, Need::Linux(6, 3, "idmapped mounts of tmpfs")],
            suid,
        ),
        test("run_isolation::keys_are_refused", &[], keys),
        test("run_isolation::keys_of_the_caller_are_not_the_commands", &[], keys_of_the_caller),
        test("run_isolation::device_nodes_are_not_made_or_of_no_use", &[], devices),
        test("run_isolation::what_counts_for_the_host_is_not_written", &[], written),
        test("run_isolation::nobody_inside_is_spared_by_the_kernel", &[], oom),
    ]
}

/// The default ones of Docker.
const DEFAULT: u64 = 0xa804_25fb;
const NET_RAW: u64 = 1 << 13;
const NET_ADMIN: u64 = 1 << 12;

fn all() -> u64 {
    let last: u32 =
        std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").expect("a number").trim().parse().expect("a number");
    (1 << (last + 1)) - 1
}

/// Inheritable, permitted, effective, bounding, ambient.
type Sets = [u64; 5];

const fn root(caps: u64) -> Sets {
    [0, caps, caps, caps, 0]
}

const fn user(bounding: u64, ambient: u64) -> Sets {
    [ambient, ambient, ambient, bounding, ambient]
}

const NAMES: [&str; 7] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"];

fn golden(caller: Caller, options: &[&str], sets: Sets) {
    let said = probe(caller, options, &[&["status"], &NAMES[..]].concat());
    let seen: Vec<&str> = NAMES.iter().map(|name| said.get(name)).collect();
    let mut expected: Vec<String> = sets.iter().map(|set| format!("{set:016x}")).collect();
    expected.push(if options.contains(&"--allow-new-privs") { "0" } else { "1" }.to_owned());
    expected.push(if options.contains(&"none") { "0" } else { "2" }.to_owned());
    assert_eq!(seen, expected, "{caller:?} {options:?}: {NAMES:?}");
}

fn capabilities() {
    for caller in callers() {
        for userns in ["auto", "root", "keep"] {
            let with = |more: &[&'static str]| [&["--userns", userns][..], more].concat();
            // Who is not root there has only what was asked for by name; nobody else is mapped where an ordinary user is.
            let is_root = userns != "keep" || caller == Caller::Root;
            let sets = |caps: u64, added: u64| if is_root { root(caps) } else { user(caps, added) };
            golden(caller, &with(&[]), sets(DEFAULT, 0));
            golden(caller, &with(&["--cap-add", "net_raw"]), sets(DEFAULT | NET_RAW, NET_RAW));
            golden(caller, &with(&["--cap-add", "CAP_NET_ADMIN"]), sets(DEFAULT | NET_ADMIN, NET_ADMIN));
            golden(caller, &with(&["--cap-drop", "ALL"]), sets(0, 0));
            golden(caller, &with(&["--cap-drop", "ALL", "--cap-add", "net_raw"]), sets(NET_RAW, NET_RAW));
            golden(caller, &with(&["--cap-add", "ALL"]), sets(all(), all()));
            golden(
                caller,
                &with(&["--cap-add", "ALL", "--cap-drop", "net_raw"]),
                sets(all() & !NET_RAW, all() & !NET_RAW),
            );
            golden(caller, &with(&["--seccomp", "none", "--allow-new-privs"]), sets(DEFAULT, 0));
            golden(caller, &with(&["--no-init"]), sets(DEFAULT, 0));
        }
    }
}

fn of_root() {
    for (id, userns) in [("1000", "auto"), ("1000:1000", "auto"), ("65534", "auto")] {
        let with = |more: &[&'static str]| [&["--user", id, "--userns", userns][..], more].concat();
        golden(Caller::Root, &with(&[]), user(DEFAULT, 0));
        golden(Caller::Root, &with(&["--cap-add", "net_raw"]), user(DEFAULT, NET_RAW));
        golden(Caller::Root, &with(&["--cap-drop", "ALL"]), user(0, 0));
        golden(Caller::Root, &with(&["--cap-add", "ALL"]), user(all(), all()));
    }
    golden(Caller::Root, &["--userns", "host"], root(0));
    golden(Caller::Root, &["--userns", "host", "--cap-add", "net_raw"], root(NET_RAW));
    golden(Caller::Root, &["--userns", "host", "--cap-drop", "ALL"], root(0));
    golden(Caller::Root, &["--userns", "host", "--user", "1000", "--cap-add", "net_raw"], user(NET_RAW, NET_RAW));
}

fn inheritable() {
    for (options, sets) in
        [(&[][..], root(DEFAULT)), (&["--userns", "host"], root(0)), (&["--user", "1000"], user(DEFAULT, 0))]
    {
        let run = run_as(Caller::Root, options);
        let mut command = Command::new("setpriv");
        command.args(["--inh-caps=+net_admin,+sys_admin", "--ambient-caps=+net_admin,+sys_admin"]);
        command
            .arg(run.get_program())
            .args(run.get_args())
            .args([place::PROBE, "fixture", "probe", "status"])
            .args(NAMES);
        let done = finish(&mut command);
        assert_eq!(done.code, Some(0), "{options:?}: {}", done.err);
        let said = Said::parse("inheritable", &done.out);
        for (name, set) in NAMES.iter().zip(sets) {
            said.is(name, &[&format!("{set:016x}")]);
        }
    }
}

fn suid() {
    let place = folder();
    let program = place.path().join("suid");
    assert!(Command::new("cp").arg(suite()).arg(&program).status().expect("cp").success());
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o6755)).expect("chmod");
    // That the bit works at all.
    let mut plain = Command::new(&program);
    let done = finish(place::by(Caller::User, plain.args(["fixture", "probe", "euid"])));
    assert_eq!(done.out, "euid=0\n", "a suid program has no effect here at all: {}", done.err);
    let shown = format!("{}:/run/suid", program.display());
    for user in ["1000", "65534"] {
        for options in [
            &[][..],
            &["--allow-new-privs"],
            &["--allow-new-privs", "--cap-add", "ALL", "--seccomp", "none"],
            &["--userns", "host", "--allow-new-privs"],
        ] {
            let mut command = run_as(Caller::Root, options);
            let done = finish(command.args(["--user", user, "-v", &shown, "/run/suid", "fixture", "probe", "euid"]));
            // What was asked for: root inside, with no more capabilities than anybody there can have.
            let expected = if options.contains(&"--allow-new-privs") { "0" } else { user };
            assert_eq!(done.out, format!("euid={expected}\n"), "{options:?}: {}", done.err);
        }
    }
    let mut command = run_as(Caller::User, &["--userns", "keep", "--allow-new-privs", "-v", &shown]);
    let done = finish(command.args(["/run/suid", "fixture", "probe", "euid"]));
    assert_eq!(done.out, format!("euid={}\n", place::USER), "{}", done.err);
}

fn keys() {
    for (caller, options) in place::all_ways() {
        probe(caller, &options, &["keys"]).all("", &["EPERM"]);
    }
}

/// Gives a command a session keyring with a key in it, as a login does.
fn with_a_key(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only keyctl(2) and add_key(2) are called.
    unsafe {
        command.pre_exec(|| {
            const KEYCTL_JOIN_SESSION_KEYRING: i64 = 1;
            const KEY_SPEC_SESSION_KEYRING: i64 = -3;
            libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0);
            let (kind, name) = (c"user".as_ptr(), c"nsx-test".as_ptr());
            libc::syscall(libc::SYS_add_key, kind, name, c"x".as_ptr(), 1, KEY_SPEC_SESSION_KEYRING);
            Ok(())
        });
    }
}

/// Without the filter nothing but a keyring of its own keeps the command from the caller's keys.
fn keys_of_the_caller() {
    let mut command = std::process::Command::new(place::suite());
    with_a_key(command.args(["fixture", "probe", "key-of-the-caller"]));
    place::Said::parse("outside", &place::finish(&mut command).out).is("search", &["ok"]);
    let mut ways: Vec<(Caller, &[&str])> = callers().into_iter().map(|caller| (caller, &[][..])).collect();
    ways.extend(callers().into_iter().map(|caller| (caller, &["--userns", "keep"][..])));
    if place::is_root() {
        ways.push((Caller::Root, &["--userns", "host"]));
    }
    for (caller, options) in ways {
        let options = [&["--seccomp", "none"], options].concat();
        place::probe_with(caller, &options, &["key-of-the-caller"], with_a_key).is("search", &["ENOKEY"]);
    }
}

fn devices() {
    for (caller, options) in place::all_ways() {
        for folder in ["/tmp", "/dev/shm", "/dev"] {
            let said = probe(caller, &options, &["devices", folder]);
            said.all("make.", &["EPERM", "EROFS"]);
            said.all("use.", &["ENOENT"]);
        }
    }
    if place::is_root() {
        // Where nodes can be made, they are of no use.
        for folder in ["/tmp", "/dev/shm"] {
            let said = probe(Caller::Root, &["--userns", "host", "--cap-add", "MKNOD"], &["devices", folder]);
            said.all("use.", &["EACCES"]);
        }
    }
}

/// Files of the kernel that are writable for root outside, where they are there.
const KERNEL: [&str; 12] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/class/net/lo/mtu",
    "/sys/power/state",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/profiling",
];
const FILES: [&str; 6] = ["/etc/passwd", "/etc/ld.so.preload", "/usr/bin/env", "/dev/kmsg", "/dev/mem", "/dev/vda"];

fn written() {
    let refused = ["EROFS", "EACCES", "EPERM", "ENOENT"];
    for (caller, options) in place::all_ways() {
        let all: Vec<&str> = ["write"].into_iter().chain(KERNEL).chain(FILES).collect();
        probe(caller, &options, &all).all("/", &refused);
        let new = [
            "try",
            "/nsx-test-made",
            "/etc/nsx-test-made",
            "/usr/nsx-test-made",
            "/dev/nsx-test-made",
            "/sys/nsx-test-made",
            "/proc/nsx-test-made",
        ];
        probe(caller, &options, &new).all("/", &refused);
    }
    if place::is_root() {
        // Without a user namespace it is mounts alone that stand in the way.
        for options in [&["--userns", "host"][..], &["--userns", "host", "--cap-add", "DAC_OVERRIDE"]] {
            let all: Vec<&str> = ["write"].into_iter().chain(KERNEL).collect();
            let said = probe(Caller::Root, options, &all);
            for what in KERNEL.iter().filter(|what| !what.contains("ns_last_pid")) {
                said.is(what, &refused);
            }
        }
    }
}

fn oom() {
    for (caller, options) in place::all_ways() {
        let said = probe(caller, &options, &["oom"]);
        said.is("less", &["EACCES"]);
        said.is("never", &["EACCES"]);
    }
}
