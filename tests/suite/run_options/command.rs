//! The command and what it has: its environment, a shell where none is named, the init that is above it. See environ(7).

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::super::harness::{Test, nsx, test, text};
use super::{said, sh};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("run_options::the_environment_is_what_was_asked_for", &[], environment),
        test("run_options::without_a_command_it_is_a_shell", &[], shell),
        test("run_options::the_init_collects_what_has_ended", &[], orphans),
        test("run_options::without_an_init_the_command_is_first", &[], no_init),
    ]
}

fn environment() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let file = folder.path().join("variables");
    std::fs::write(&file, "# text\n\nFROM_FILE=a=b \"c\"\nBOTH=file\nOWN\nNONE\n").expect("a file");
    let from = format!("--env-file={}", file.display());
    let env = |options: &[&str], script: &str| {
        let mut command = nsx(&["run"]);
        command.env("OWN", "callers").env("SECRET", "secret").env("LANG", "C").env("TERM", "vt100").env_remove("NONE");
        let done = super::output(command.args(options).args(["--", "/usr/bin/env", "sh", "-c", script]));
        assert_eq!(done.status.code(), Some(0), "{options:?}: {}", text(&done.stderr));
        text(&done.stdout)
    };
    let show = "echo \"${FROM_FILE-no} ${BOTH-no} ${OWN-no} ${NONE-no} ${SECRET-no} ${LANG-no} ${TERM-no} $container\"";
    for (options, expected) in [
        (&[][..], "no no no no no C vt100 nsx\n"),
        (&["-e", "OWN", "-e", "NONE", "--env=BOTH=x y"], "no x y callers no no C vt100 nsx\n"),
        (&[&from], "a=b \"c\" file callers no no C vt100 nsx\n"),
        // What an option says counts more than what a file does, whichever comes first.
        (&["-e", "BOTH=option", &from], "a=b \"c\" option callers no no C vt100 nsx\n"),
        (&["-e", "LANG=de", "-e", "TERM="], "no no no no no de  nsx\n"),
    ] {
        assert_eq!(env(options, show), expected, "{options:?}");
    }
    // The programs are found where PATH says, which is not there: sh is a file of its own.
    let done =
        super::output(nsx(&["run", "--clear-env", "-e", "A=1", "-e", "SECRET", "/usr/bin/env"]).env("SECRET", "x"));
    let mut seen: Vec<String> = text(&done.stdout).lines().map(str::to_owned).collect();
    seen.sort();
    assert_eq!(seen, ["A=1", "SECRET=x"], "{}", text(&done.stderr));
    assert_eq!(said(&["--user=0"], "echo $HOME $USER $LOGNAME").split_whitespace().count(), 3);
}

/// Runs the caller's shell, or another, with words on its standard input.
fn typed(shell: Option<&str>, options: &[&str], words: &str) -> (Option<i32>, String, String) {
    let mut command = nsx(&["run"]);
    match shell {
        Some(shell) => command.env("SHELL", shell),
        None => command.env_remove("SHELL"),
    };
    let mut child =
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nsx");
    child.stdin.take().expect("a pipe").write_all(words.as_bytes()).expect("a reader");
    let done = child.wait_with_output().expect("nsx");
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

fn shell() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let file = folder.path().join("shell");
    std::fs::write(&file, "#!/bin/sh\necho mine \"$#\"\nexec /bin/sh\n").expect("a script");
    for path in [folder.path(), &file] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    let shown = format!("--volume={}:/run/shell:ro", file.display());
    let words = "echo $0; exit 3\n";
    // It is a login shell, and so has a hyphen before its name.
    for (shell, options, expected) in [
        (Some("/run/shell"), &[shown.as_str()][..], "mine 0\n/bin/sh\n"),
        (Some("/bin/sh"), &[], "-sh\n"),
        (Some("/nsx-test-none"), &[], "-sh\n"),
        // What is not absolute is nobody's shell.
        (Some("sh"), &[], "-sh\n"),
        (None, &[], "-sh\n"),
    ] {
        let (code, out, error) = typed(shell, options, words);
        assert_eq!((code, out.as_str()), (Some(3), expected), "{shell:?}: {error}");
    }
}

/// Many whose parents have gone before them: when all have ended, none is left, not even as a zombie.
fn orphans() {
    let script = "i=0; while [ $i -lt 200 ]; do (sleep 0 &); i=$((i + 1)); done; \
                  until set -- /proc/[0-9]*; [ $# -le 2 ]; do :; done; \
                  for process; do read -r pid name rest <$process/stat; echo $pid $name; done; echo $$";
    let seen = said(&["--timeout=60"], script);
    let lines: Vec<&str> = seen.lines().collect();
    let [first, command, own] = lines[..] else { panic!("more than two processes: {seen}") };
    assert_eq!((first, command), ("1 (nsx-init)", format!("{own} (sh)").as_str()));
}

fn no_init() {
    assert_eq!(said(&["--no-init"], "echo $$ /proc/[0-9]*"), "1 /proc/1\n");
    let done = sh(&[], "test $$ -gt 1 && exit 8");
    assert_eq!(done.status.code(), Some(8));
}
