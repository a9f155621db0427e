//! nsx enter beside the nsenter(1) that is installed: the same options, the same command, the same result.
//!
//! Here: which namespaces, and how it ends. Where they differ on purpose is in [`DIFFERENCES`], each with its reason. What else makes a
//! process is in `nsenter_process.rs`; signals that are sent to either, stops and terminals are in `signals.rs` and `hostile_enter.rs`.

use std::path::Path;

use super::harness::enter::{KINDS, Target, just_these, namespace_of, nsenter_since, ours, same, theirs};
use super::harness::{Module, Need, Place, inode_of, test};

const NSENTER: &[Need] = &[Need::Tool("nsenter")];
const ROOT: &[Need] = &[Need::Tool("nsenter"), Need::Root];

pub fn module() -> Module {
    let tests = vec![
        test("nsenter::differences_are_those_that_are_listed", ROOT, differences),
        test("nsenter::exit_codes", ROOT, exit_codes),
        test("nsenter::a_command_that_dies_by_a_signal", ROOT, signals),
        test("nsenter::each_option_alone", ROOT, each_option),
        test("nsenter::each_option_with_a_file", ROOT, each_file),
        test("nsenter::several_options", ROOT, several),
        test("nsenter::all", ROOT, all),
        test("nsenter::all_is_what_no_option_means", NSENTER, no_option),
        test("nsenter::all_with_a_file_for_one", ROOT, all_but_one),
        test("nsenter::pid_alone_has_a_proc_that_fits", ROOT, own_proc),
        test("nsenter::no_fork", ROOT, no_fork),
    ];
    Module { name: "nsenter", places: &[Place::Vm], tests }
}

const OPTIONS: [(&str, &str, &str); 7] = [
    ("-C", "--cgroup", "cgroup"),
    ("-i", "--ipc", "ipc"),
    ("-m", "--mount", "mnt"),
    ("-n", "--net", "net"),
    ("-p", "--pid", "pid"),
    ("-T", "--time", "time"),
    ("-u", "--uts", "uts"),
];

/// What both answer differently, on purpose. Arguments, the code of nsenter (newest), that of nsx, and why.
const DIFFERENCES: &[(&[&str], i32, i32, &str)] = &[
    (&["-t", "4194305", "-n", "true"], 1, 125, "a failure of nsx is no failure of the command"),
    (&["-n=/dev/null", "true"], 1, 125, "the same"),
    (&["-n=./nsx-test-none", "true"], 1, 125, "the same"),
    (&["-t", "PID", "-n", "--nsx-test-no-option", "true"], 1, 2, "bad usage is told apart from failure"),
    (&["-t", "PID", "-n", "--setuid=root?", "true"], 1, 2, "the same"),
    (&["-t", "PID", "-n", "--setuid=4294967295", "true"], 1, 2, "the same: to the kernel it means no change"),
    (&["-t", "PID", "-m", "--wd=/", "--wdns=/", "true"], 1, 2, "the same: they exclude each other"),
    (&["-n", "true"], 1, 2, "the same: the net namespace of whom?"),
    (&["true"], 1, 2, "the same: an option without a target means nothing"),
    (&["-t", "PID", "true"], 1, 0, "no namespace option means all that differ"),
    (&["-t", "PID", "-r=/usr", "-n", "/bin/true"], 1, 0, "= may stand behind every letter, as it may behind -n"),
    (&["-t", "PID", "-n", "-W", "/usr", "true"], 126, 0, "--wdns always needs a folder, so it may be the next word"),
];

fn differences() {
    let target = Target::start(&["enter-target", KINDS]);
    for (arguments, code, own_code, reason) in DIFFERENCES {
        let (seen, error) = ours(&target, arguments, Path::new("/"));
        assert_eq!(seen.code, Some(*own_code), "nsx enter {arguments:?} ({reason}): {error}");
        match own_code {
            0 => {}
            // An error is a line of nsx's own; what somebody can do about it may stand below.
            125 => assert!(error.starts_with("nsx: "), "{arguments:?}: {error}"),
            _ => assert!(!error.is_empty(), "{arguments:?}"),
        }
        // An entry that is none any more shall go. Which version has come to agree is seen here only with the newest.
        if nsenter_since((2, 42)) {
            assert_eq!(theirs(&target, arguments, Path::new("/")).0.code, Some(*code), "nsenter {arguments:?}");
        }
    }
}

fn exit_codes() {
    let target = Target::start(&["enter-target", KINDS]);
    // Once nsx becomes the command, once it stands by.
    for options in [&["-t", "PID", "-n"][..], &["-t", "PID", "-p", "-m"], &["-t", "PID", "-a"]] {
        for (command, code) in [
            (&["true"][..], 0),
            (&["sh", "-c", "exit 42"], 42),
            (&["sh", "-c", "exit 125"], 125),
            (&["--", "sh", "-c", "exit 255"], 255),
            // Options end where the command begins.
            (&["sh", "-c", "test \"$*\" = '-n -t --help'", "sh", "-n", "-t", "--help"], 0),
            (&["/etc/passwd"], 126),
            (&["/usr"], 126),
            (&["/nsx-test-none"], 127),
            (&["nsx-test-none"], 127),
            (&[""], 127),
        ] {
            let arguments = [options, command].concat();
            let (ours, error) = ours(&target, &arguments, Path::new("/"));
            assert_eq!((ours.code, ours.signal), (Some(code), None), "{arguments:?}: {error}");
            assert_eq!(ours, theirs(&target, &arguments, Path::new("/")).0, "{arguments:?}");
            let is_own = matches!(code, 126 | 127);
            assert_eq!(error.starts_with("nsx: "), is_own, "{arguments:?}: {error}");
        }
    }
}

fn signals() {
    let target = Target::start(&["enter-target", KINDS]);
    for options in [&["-t", "PID", "-n"][..], &["-t", "PID", "-p", "-m"], &["-t", "PID", "-a"]] {
        for (name, number) in [("KILL", 9), ("TERM", 15), ("INT", 2), ("HUP", 1), ("USR1", 10), ("PIPE", 13)] {
            let script = format!("kill -{name} $$; exit 3");
            let arguments = [options, &["sh", "-c", &script]].concat();
            let (ours, error) = ours(&target, &arguments, Path::new("/"));
            assert_eq!((ours.code, ours.signal), (None, Some(number)), "{arguments:?}: {error}");
            assert_eq!(ours, theirs(&target, &arguments, Path::new("/")).0, "{arguments:?}");
        }
    }
}

fn each_option() {
    let target = Target::start(&["enter-target", KINDS]);
    for (short, long, kind) in OPTIONS {
        for option in [short, long] {
            let arguments = ["-t", "PID", option, "SELF", "namespaces"];
            if kind == "pid" {
                // nsenter has no /proc that fits, so they differ in their mnt namespaces.
                let (seen, error) = ours(&target, &arguments, Path::new("/usr"));
                assert_eq!(seen.code, Some(0), "{arguments:?}: {error}");
                just_these(&seen.out, &target, &[kind]);
                continue;
            }
            just_these(&same(&target, &arguments), &target, &[kind]);
        }
    }
    let long = ["--target", "PID", "--uts", "SELF", "namespaces"];
    just_these(&same(&target, &long), &target, &["uts"]);
    let glued = format!("--target={}", target.1);
    just_these(&same(&target, &[&glued, "-u", "SELF", "namespaces"]), &target, &["uts"]);
}

fn each_file() {
    let target = Target::start(&["enter-target", KINDS]);
    let other = Target::start(&["enter-target", "uts"]);
    for (short, long, kind) in OPTIONS {
        for option in [short, long] {
            let with_file = format!("{option}={}", target.file(kind));
            // A file needs no target, and means the same beside another one.
            for start in [&[][..], &["-t", &other.1]] {
                let arguments = [start, &[&with_file, "SELF", "namespaces"]].concat();
                if kind == "pid" {
                    let (seen, error) = ours(&target, &arguments, Path::new("/usr"));
                    assert_eq!(seen.code, Some(0), "{arguments:?}: {error}");
                    just_these(&seen.out, &target, &[kind]);
                    continue;
                }
                just_these(&same(&target, &arguments), &target, &[kind]);
            }
        }
    }
}

fn several() {
    let target = Target::start(&["enter-target", KINDS]);
    for kinds in [&["ipc", "net", "uts"][..], &["mnt", "pid"], &["cgroup", "mnt", "net", "pid", "time"]] {
        let options = OPTIONS.iter().filter(|(_, _, kind)| kinds.contains(kind)).map(|(short, ..)| *short);
        let arguments: Vec<&str> = ["-t", "PID"].into_iter().chain(options).chain(["SELF", "namespaces"]).collect();
        just_these(&same(&target, &arguments), &target, kinds);
    }
    let file = format!("-n={}", target.file("net"));
    just_these(&same(&target, &["-t", "PID", "-u", &file, "SELF", "namespaces"]), &target, &["uts", "net"]);
}

fn all() {
    let kinds: Vec<&str> = KINDS.split(',').collect();
    for role in [&["enter-target", KINDS][..], &["rootless", "enter-target", KINDS]] {
        let target = Target::start(role);
        let kinds: Vec<&str> = if role[0] == "rootless" { [&kinds[..], &["user"]].concat() } else { kinds.clone() };
        for option in ["-a", "--all"] {
            just_these(&same(&target, &["-t", "PID", option, "SELF", "namespaces"]), &target, &kinds);
        }
    }
}

fn no_option() {
    let kinds = [&KINDS.split(',').collect::<Vec<_>>()[..], &["user"]].concat();
    let target = Target::start(&["rootless", "enter-target", KINDS]);
    for arguments in [&["-t", "PID"][..], &["-t", "PID", "-a"], &["-t", "PID", "--no-cgroup"]] {
        let arguments = [arguments, &["SELF", "namespaces"]].concat();
        let (seen, error) = ours(&target, &arguments, Path::new("/"));
        assert_eq!(seen.code, Some(0), "{arguments:?}: {error}");
        just_these(&seen.out, &target, &kinds);
    }
    // Those that are the same are no reason to fail, not even the user namespace of an ordinary user.
    let target = Target::start(&["rootless", "enter-target", "uts"]);
    let (seen, error) = ours(&target, &["-t", "PID", "SELF", "namespaces"], Path::new("/"));
    assert_eq!(seen.code, Some(0), "{error}");
    just_these(&seen.out, &target, &["user", "uts"]);
}

fn all_but_one() {
    let target = Target::start(&["enter-target", KINDS]);
    let other = Target::start(&["enter-target", "net"]);
    let file = format!("--net={}", other.file("net"));
    let seen = same(&target, &["-t", "PID", "-a", &file, "SELF", "namespaces"]);
    assert!(seen.contains(&other.namespace("net")) && seen.contains(&target.namespace("uts")), "{seen}");
}

fn own_proc() {
    let target = Target::start(&["enter-target", KINDS]);
    let outside = inode_of(std::process::id(), "mnt");
    let seen = |arguments: &[&str]| {
        let command = ["sh", "-c", "readlink /proc/self/ns/mnt; echo /proc/[0-9]*; echo $$"];
        let (seen, error) = ours(&target, &[arguments, &command].concat(), Path::new("/"));
        assert_eq!(seen.code, Some(0), "{arguments:?}: {error}");
        seen.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let private = seen(&["-t", "PID", "-p"]);
    let [mnt, processes, own] = &private[..] else { panic!("{private:?}") };
    assert!(*mnt != format!("mnt:[{outside}]") && *mnt != target.namespace("mnt")[4..], "{private:?}");
    // In there are the first process of the namespace, and the shell; perhaps somebody whom it has just started.
    let processes: Vec<&str> = processes.split(' ').collect();
    assert!(processes.contains(&"/proc/1") && processes.contains(&format!("/proc/{own}").as_str()), "{private:?}");
    assert!(processes.len() <= 4, "{private:?}");
    // With one's own mnt namespace comes the /proc that is in it, and on demand that stays as it is.
    assert_eq!(seen(&["-t", "PID", "-p", "-m"])[0], target.namespace("mnt")[4..]);
    let host = seen(&["-t", "PID", "-p", "--no-proc"]);
    assert_eq!(host[0], format!("mnt:[{outside}]"));
    let pid = format!("/proc/{}", std::process::id());
    assert!(host[1].split(' ').any(|process| process == pid), "{host:?}");
}

fn no_fork() {
    let target = Target::start(&["enter-target", KINDS]);
    for arguments in [&["-t", "PID", "-p", "-F"][..], &["-t", "PID", "--pid", "--no-fork", "-u"]] {
        let seen = same(&target, &[arguments, &["SELF", "namespaces"]].concat());
        // Only its children will be in there.
        assert!(seen.contains(&namespace_of("self", "pid")), "{seen}");
        assert!(seen.contains(&target.namespace("pid").replace("pid ", "pid_for_children ")), "{seen}");
    }
}
