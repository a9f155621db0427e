//! Root directories that mean harm: whatever nsx makes, mounts, reads or goes to in one is something else (CVE-2019-19921, CVE-2023-27561,
//! CVE-2025-31133, CVE-2025-52565, CVE-2026-41579). It refuses, or runs safely; nothing outside is touched, and nothing hangs.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::descriptors::inherit_much;
use super::paths::refused_or_run;
use super::place::{self, Caller, PROBE, Tree, callers, finish};
use crate::harness::{Test, test, text};

pub fn tests() -> Vec<Test> {
    vec![
        test(
            "run_isolation::a_root_whose_own_places_are_others_harms_nothing_as_root",
            &[crate::harness::Need::Root],
            as_root,
        ),
        test("run_isolation::a_root_whose_own_places_are_others_harms_nothing_as_a_user", &[], as_user),
        test("run_isolation::files_of_a_root_that_are_others_are_not_read_outside", &[], accounts),
        test("run_isolation::a_root_that_lies_behind_links_is_the_one_that_was_named", &[], root_itself),
    ]
}

/// What stands in the place of something.
const SHAPES: [&str; 8] = ["absolute", "relative", "dangling", "descriptor", "loop", "fifo", "file", "process"];

fn put(shape: &str, at: &Path, tree: &Tree) {
    remove(at);
    let canary = &tree.canary.path;
    match shape {
        "absolute" => symlink(canary, at).expect("a link"),
        "relative" => symlink(format!("../../../../../../../..{}", canary.display()), at).expect("a link"),
        "dangling" => symlink("/nsx-test-nowhere/at/all", at).expect("a link"),
        "descriptor" => symlink("/proc/self/fd/9", at).expect("a link"),
        "loop" => symlink(at.file_name().expect("a name"), at).expect("a link"),
        "process" => symlink("/proc/1/root", at).expect("a link"),
        "fifo" => nix::unistd::mkfifo(at, nix::sys::stat::Mode::from_bits_truncate(0o666)).expect("a fifo"),
        "file" => std::fs::write(at, "").expect("a file"),
        _ => panic!("no such shape: {shape}"),
    }
}

fn remove(at: &Path) {
    match std::fs::symlink_metadata(at) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(at).expect("removed"),
        Ok(_) => std::fs::remove_file(at).expect("removed"),
        Err(_) => {}
    }
}

/// The places in a root directory, and with what options nsx goes there.
const PLACES: [(&str, &[&str]); 17] = [
    ("proc", &[]),
    ("dev", &[]),
    ("sys", &[]),
    ("tmp", &[]),
    ("run", &[]),
    ("var", &[]),
    ("var/tmp", &[]),
    ("dev/pts", &[]),
    ("dev/null", &[]),
    ("dev/ptmx", &[]),
    ("etc", &["--user", "root"]),
    ("etc/passwd", &["--user", "root"]),
    ("etc/group", &["--user", "root:root"]),
    ("start", &["-w", "/start"]),
    ("target", &["-v", "/etc:/target:ro"]),
    ("target", &["--tmpfs", "/target"]),
    ("target", &["-v", "/etc/hostname:/target/file"]),
];

fn corpus(caller: Caller) {
    for (place, options) in PLACES {
        let tree = Tree::new();
        for below in ["var", "dev", "etc"] {
            std::fs::create_dir_all(tree.root.join(below)).expect("a folder");
        }
        for shape in SHAPES {
            put(shape, &tree.root.join(place), &tree);
            let mut command = tree.run_as(caller, options);
            inherit_much(&mut command);
            // Whoever runs tries to leave something wherever that leads.
            let words =
                ["make", "/dev/nsx-test-made", "/sys/nsx-test-made", "/target/nsx-test-made", "/var/tmp/nsx-test-made"];
            let done = finish(command.args([PROBE, "fixture", "probe"]).args(words));
            let of = format!("{caller:?}: {place} is {shape}, {options:?}");
            refused_or_run(&of, done.code, &done.err);
            tree.canary.is_untouched(&of);
            for made in ["nsx-test-made", "nsx-test-nowhere"] {
                assert!(!Path::new("/").join(made).exists() && !Path::new("/tmp").join(made).exists(), "{of}");
            }
        }
    }
}

fn as_root() {
    corpus(Caller::Root);
}

fn as_user() {
    corpus(Caller::User);
}

/// `--user NAME` reads files of the root directory: only those, no more than there is to be read, and without waiting for anybody.
fn accounts() {
    let tree = Tree::new();
    let passwd = tree.root.join("etc/passwd");
    let run = |caller: Caller, name: &str| {
        let mut command = tree.run_as(caller, &["--user", name]);
        inherit_much(&mut command);
        finish(command.args([PROBE, "fixture", "probe", "euid"]))
    };
    for caller in callers() {
        // The canary has a user `evil` in a file beside it, and the root directory none.
        for shape in ["absolute", "relative", "dangling", "descriptor", "loop", "fifo", "process"] {
            put(shape, &passwd, &tree);
            if shape == "absolute" || shape == "relative" {
                let to = std::fs::read_link(&passwd).expect("a link").join("passwd");
                remove(&passwd);
                symlink(to, &passwd).expect("a link");
            }
            let done = run(caller, "evil");
            assert_eq!(done.code, Some(125), "{caller:?} {shape}: {}{}", done.out, done.err);
            assert!(done.err.starts_with("nsx: "), "{caller:?} {shape}: {}", done.err);
            remove(&passwd);
        }
        std::fs::create_dir(&passwd).expect("a folder");
        assert_eq!(run(caller, "evil").code, Some(125));
        remove(&passwd);
        // Endless, and larger than all memory; nothing of it is stored.
        symlink("/dev/zero", &passwd).expect("a link");
        assert_eq!(run(caller, "evil").code, Some(125));
        remove(&passwd);
        let file = std::fs::File::create(&passwd).expect("a file");
        file.set_len(1 << 40).expect("a length");
        assert_eq!(run(caller, "evil").code, Some(125));
        // Names and numbers that would be root's by a lax parser.
        for line in [
            "evil:x:-1:0::/:/bin/sh",
            "evil:x::0::/:",
            "evil:x:0x0:0::/:",
            "evil:x:4294967296:0::/:",
            "evil:x: 0:0::/:",
            "evil:x:4294967295:0::/:",
        ] {
            std::fs::write(&passwd, format!("{line}\n")).expect("a file");
            assert_eq!(run(caller, "evil").code, Some(125), "{line}");
        }
        remove(&passwd);
    }
    tree.canary.is_untouched("users");
    let content = text(&std::fs::read(tree.canary.path.join("passwd")).expect("a file"));
    assert!(content.starts_with("evil"));
}

/// `--rootfs` itself is the caller's to name, links and all; what is no directory, or is without what is needed, is refused.
fn root_itself() {
    let tree = Tree::new();
    let link = tree.beside("link");
    for caller in callers() {
        for shape in SHAPES {
            put(shape, &link, &tree);
            let words = ["--rootfs", link.to_str().expect("UTF-8"), "-v", "/usr:/usr:ro"];
            let mut command = super::place::run_as(caller, &words);
            let done = finish(command.args([PROBE, "fixture", "probe", "euid"]));
            if shape == "process" && place::is_root() {
                // The root directory of the host's first process, which root may name.
                continue;
            }
            assert_eq!(done.code, Some(125), "{caller:?} {shape}: {}", done.err);
            assert!(done.err.starts_with("nsx: "), "{caller:?} {shape}: {}", done.err);
        }
        remove(&link);
        symlink(&tree.root, &link).expect("a link");
        let words = ["--rootfs", link.to_str().expect("UTF-8"), "-v", "/usr:/usr:ro"];
        let done = finish(super::place::run_as(caller, &words).args([PROBE, "fixture", "probe", "euid"]));
        assert_eq!(done.code, Some(0), "{caller:?}: {}", done.err);
        remove(&link);
    }
    tree.canary.is_untouched("root directories");
}
