//! Files and directories: what is empty, what can be written to, what is in /dev. See null(4), tmpfs(5).

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::super::harness::{Test, test, text};
use super::{said, sh};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("run_options::a_directory_in_memory_is_as_large_as_asked_for", &[], tmpfs),
        test("run_options::the_command_starts_where_asked_for", &[], workdir),
        test("run_options::a_root_directory_can_be_written_to_unless_it_is_read_only", &[], read_only),
        test("run_options::volumes_and_homes_are_shown", &[], volumes),
        test("run_options::devices_are_a_few_that_work", &[], devices),
    ]
}

fn tmpfs() {
    let script = "dd if=/dev/zero of=/run/small/x bs=4096 count=1000 2>/tmp/said && exit 9; wc -c </run/small/x; \
                  grep -c 'No space' /tmp/said; grep ' /run/small ' /proc/self/mounts";
    let seen = said(&["--tmpfs=/run/small:size=1M"], script);
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[..2], ["1048576", "1"], "{seen}");
    assert!(lines[2].contains(" tmpfs rw,") && lines[2].contains("size=1024k"), "{seen}");
    // Without a size there is room for more.
    let script = "dd if=/dev/zero of=/run/large/x bs=4096 count=1000 2>/dev/null; wc -c </run/large/x; ls /run/large";
    assert_eq!(said(&["--tmpfs=/run/large"], script), "4096000\nx\n");
}

fn workdir() {
    for options in [&["-w", "/usr"][..], &["--workdir=/usr"], &["-w", "/run/made", "--tmpfs=/run/made"]] {
        let expected = if options.contains(&"/run/made") { "/run/made\n" } else { "/usr\n" };
        assert_eq!(said(options, "pwd -P"), expected, "{options:?}");
    }
    let (error, hint) = super::refused(&sh(&["-w", "/nsx-test-none"], "echo unexpected"));
    assert!(
        error.starts_with("nsx: cannot change to /nsx-test-none inside: ") && hint.contains("-v "),
        "{error} {hint}"
    );
}

/// A root directory with the host's programs in it, which everybody may write to.
fn root() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("chmod");
    for name in ["dev", "proc", "srv", "sys", "usr"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    for name in ["bin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), folder.path().join(name)).expect("a link");
    }
    open(folder.path());
    folder
}

fn read_only() {
    let folder = root();
    let (rootfs, made) = (format!("--rootfs={}", folder.path().display()), folder.path().join("made"));
    let options = [rootfs.as_str(), "--volume=/usr:/usr:ro"];
    let done = sh(&options, "echo text >/made; ls -A /");
    assert_eq!(text(&done.stdout), "bin\ndev\nlib\nlib64\nmade\nproc\nsrv\nsys\nusr\n", "{}", text(&done.stderr));
    assert_eq!(std::fs::read_to_string(&made).expect("it is there outside, too"), "text\n");
    std::fs::remove_file(&made).expect("a file");
    let script = "(: >/made) 2>&1; (: >/srv/made) 2>&1; echo over";
    let seen = said(&[options[0], options[1], "--read-only"], script);
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines.len() == 3 && lines[..2].iter().all(|line| line.ends_with("Read-only file system")), "{seen}");
    assert!(!made.exists() && !folder.path().join("srv/made").exists());
    // What is in memory is not meant by it.
    let script = ": >/srv/made && echo made";
    assert_eq!(said(&[options[0], options[1], "--read-only", "--tmpfs=/srv"], script), "made\n");
}

fn volumes() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    for (path, mode) in [(folder.path().to_owned(), 0o777), (folder.path().join("file"), 0o666)] {
        if mode == 0o666 {
            std::fs::write(&path, "text\n").expect("a file");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
    }
    let source = folder.path().display();
    let script = "cat /run/there/file; (: >/run/there/made) 2>&1; echo over";
    let seen = said(&["-v", &format!("{source}:/run/there:ro")], script);
    assert!(seen.starts_with("text\n") && seen.contains("Read-only file system\nover\n"), "{seen}");
    assert!(!folder.path().join("made").exists());
    for end in ["", ":rw"] {
        assert_eq!(said(&["-v", &format!("{source}:/run/there{end}")], script), "text\nover\n", "{end:?}");
        std::fs::remove_file(folder.path().join("made")).expect("it was made");
    }
    // A single file, too.
    let seen = said(&["-v", &format!("{source}/file:/tmp/one:ro")], "cat /tmp/one; ls /tmp");
    assert_eq!(seen, "text\none\n");
}

fn devices() {
    let names = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(said(&[], "echo $(ls -A /dev)"), format!("{names}\n"));
    // With the host's queues there is no place of the sandbox's own for them.
    let without: Vec<&str> = names.split(' ').filter(|name| *name != "mqueue").collect();
    assert_eq!(said(&["--share=ipc"], "echo $(ls -A /dev)"), format!("{}\n", without.join(" ")));
    let script = "cd /dev; stat -c '%n %t:%T' full null random tty urandom zero; \
                  for link in fd ptmx stderr stdin stdout; do readlink $link; done";
    let expected = "full 1:7\nnull 1:3\nrandom 1:8\ntty 5:0\nurandom 1:9\nzero 1:5\n\
                    /proc/self/fd\npts/ptmx\n/proc/self/fd/2\n/proc/self/fd/0\n/proc/self/fd/1\n";
    assert_eq!(said(&[], script), expected);
    for (script, expected) in [
        ("echo text >/dev/null && wc -c </dev/null", "0\n"),
        ("dd if=/dev/zero bs=10 count=1 2>/dev/null | tr '\\0' z", "zzzzzzzzzz"),
        ("(echo text >/dev/full) 2>/dev/null || echo full", "full\n"),
        ("dd if=/dev/zero of=/dev/full bs=9 count=1 2>&1 | grep -c 'No space left'", "1\n"),
        ("dd if=/dev/full bs=3 count=1 2>/dev/null | tr '\\0' z", "zzz"),
        ("dd if=/dev/urandom bs=16 count=1 2>/dev/null | wc -c", "16\n"),
        ("dd if=/dev/random bs=1 count=1 2>/dev/null | wc -c", "1\n"),
        ("echo text >/dev/shm/x && cat /dev/shm/x", "text\n"),
        ("ls -A /dev/shm /dev/mqueue", "/dev/mqueue:\n\n/dev/shm:\n"),
        ("(: >/dev/made) 2>&1 | grep -c 'Read-only file system'", "1\n"),
        // A terminal of the sandbox's own; there is no other.
        ("exec 3<>/dev/ptmx && ls /dev/pts", "0\nptmx\n"),
    ] {
        assert_eq!(said(&[], script), expected, "{script}");
    }
}
