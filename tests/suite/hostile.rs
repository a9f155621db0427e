//! Names, arguments and paths that mean harm: nothing of them reaches a terminal as it is, and nothing breaks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use libtest_mimic::Trial;

use super::harness::{Need, held::Held, ls_json, namespace, nsx, output, run, test};

pub fn tests() -> Vec<Trial> {
    let root = &[Need::Root];
    vec![
        test("hostile::names_of_processes", root, names),
        test("hostile::arguments", root, arguments),
        test("hostile::an_argument_of_128_kib", root, long_argument),
        test("hostile::mount_points", root, mount_points),
        test("hostile::targets_on_the_command_line", &[], targets),
    ]
}

/// Makes sure that what was printed is fit for a terminal: UTF-8, and no control character but the end of a line.
fn fit(printed: &[u8]) -> String {
    let text = String::from_utf8(printed.to_vec()).expect("UTF-8");
    for character in text.chars() {
        let harmless = character == '\n'
            || !(character.is_control()
                || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}'));
        assert!(harmless, "{character:?} in {text}");
    }
    text
}

fn names() {
    for name in [") (", "a) S 1 1 (", "\n", "\x1b[2J", "\u{202e}evil", "\r\rover"] {
        let held = Held::start(&["named", name]);
        let inode = held.number(0);
        let document = ls_json(&[&inode.to_string()]);
        assert_eq!(namespace(&document, inode)["pid"], held.pid(), "{name:?}");
        fit(run(&["ls"]).as_bytes());
        fit(run(&["ls", "--json"]).as_bytes());
    }
}

fn arguments() {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["fixture", "process", "uts", "--"]);
    for argument in [&b"\x1b]0;title\x07"[..], b"\xff\xfe", b"\xc2\x9b31m", "\u{202e}\u{2066}".as_bytes(), b"a\nb", b""]
    {
        command.arg(OsStr::from_bytes(argument));
    }
    let held = Held::start_command(&mut command);
    let inode = held.number(1);
    let table = fit(run(&["ls", "-t", "uts"]).as_bytes());
    assert!(table.contains("-- \\x1b]0;title\\x07 \\xff\\xfe \\x9b31m \\u{202e}\\u{2066} a\\nb"), "{table}");
    let members = fit(run(&["ls", &inode.to_string()]).as_bytes());
    assert!(members.contains("\\x1b]0;title\\x07"), "{members}");
    let document = ls_json(&["-t", "uts"]);
    fit(run(&["ls", "-t", "uts", "--json"]).as_bytes());
    let command = &namespace(&document, inode)["command"];
    assert!(
        command.as_str().is_some_and(|command| command.contains("\u{1b}]0;title\u{7} \u{fffd}\u{fffd}")),
        "{command}"
    );
    assert!(namespace(&document, inode)["command_raw"].is_string());
}

fn long_argument() {
    let long = "x".repeat(128 * 1024 - 1);
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["fixture", "process", "uts", "--", &long, &long]);
    let held = Held::start_command(&mut command);
    let document = ls_json(&["-t", "uts"]);
    let shown = namespace(&document, held.number(1))["command"].as_str().expect("a command").to_owned();
    assert!(shown.ends_with("x…") && shown.len() <= 128 * 1024 + 3, "{}", shown.len());
    let table = run(&["ls", "-t", "uts"]);
    // The long line is there, and no other was padded to its length.
    assert_eq!(table.lines().filter(|line| line.len() > 1000).count(), 1);
}

fn mount_points() {
    let parent = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let folder = parent.path().join(OsStr::from_bytes(b"\x1b[31m\xff \xe2\x80\xae\\040"));
    std::fs::create_dir(&folder).expect("a folder");
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    // The fixture takes text, so it goes there first.
    command.args(["fixture", "bind-mount", "."]).current_dir(&folder);
    let held = Held::start_command(&mut command);
    let document = ls_json(&["-t", "uts"]);
    let mount = &namespace(&document, held.number(0))["bind_mounts"][0];
    let path = mount["path"].as_str().expect("a path");
    assert!(path.ends_with("\u{1b}[31m\u{fffd} \u{202e}\\040/a b\\c\nd"), "{path:?}");
    assert!(mount["path_raw"].is_string());
    let table = fit(run(&["ls", "-t", "uts", "-o", "NS,NSFS,PATH,HELD,COMMAND"]).as_bytes());
    assert!(table.contains("\\x1b[31m\\xff \\u{202e}\\040/a b\\c\\nd"), "{table}");
    fit(run(&["ls", "-t", "uts", "--json"]).as_bytes());
}

fn targets() {
    let mut command = nsx(&["ls"]);
    let done = output(command.arg(OsStr::from_bytes(b"/tmp/\x1b[31m\n\xff")));
    fit(&done.stderr);
    assert_ne!(done.status.code(), Some(0));
}
