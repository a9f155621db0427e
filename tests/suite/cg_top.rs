//! `nsx cg top`: the screen on a terminal of the test's own, and what it prints where there is none.
//!
//! Only what has changed is sent to a terminal, so what is on it is put together here, by the few sequences that nsx uses.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nsx::proc::parse;
use serde_json::Value;

use super::harness::terminal::{CTRL_C, CTRL_Z, Terminal};
use super::harness::{Module, Need, Place, fails, nsx, nsx_path, output, run, test, text};

pub fn module() -> Module {
    let tests = vec![
        test("cg_top::a_filter_and_a_pane", &[Need::Root], filter_and_pane),
        test("cg_top::a_cgroup_that_goes", &[Need::Root], vanishing),
        test("cg_top::a_name_that_means_harm", &[Need::Root], hostile_name),
        test("cg_top::the_terminal_comes_back", &[], terminal_comes_back),
        test("cg_top::the_terminal_comes_back_after_a_signal", &[], after_signal),
        test("cg_top::a_stop_and_going_on", &[Need::Tool("bash")], stop),
        test("cg_top::other_sizes", &[], sizes),
        test("cg_top::keys_come_from_the_terminal", &[Need::Tool("bash")], no_input),
        test("cg_top::no_colour_is_none", &[], no_color),
        test("cg_top::so_many_pictures", &[], count),
        test("cg_top::one_table", &[], once),
        test("cg_top::one_document_after_the_other", &[], documents),
        test("cg_top::a_reader_that_goes", &[], closed_pipe),
        test("cg_top::a_cgroup_that_is_none", &[], nothing_there),
    ];
    Module { name: "cg_top", places: &[Place::Vm], tests }
}

/// A cgroup of the test's own with two below it.
struct Own {
    folder: PathBuf,
}

impl Own {
    fn new(name: &str) -> Own {
        let mountinfo = std::fs::read("/proc/self/mountinfo").expect("mountinfo");
        let has_pids = |options: &[u8]| options.split(|&byte| byte == b',').any(|option| option == b"pids");
        let is_usable = |mount: &parse::MountLine<'_>| {
            mount.fs_type == b"cgroup2" || mount.fs_type == b"cgroup" && has_pids(mount.super_options)
        };
        let mount = parse::mountinfo(&mountinfo).find(is_usable).expect("a hierarchy");
        let point = String::from_utf8(parse::unescape_octal(mount.point).into_owned()).expect("UTF-8");
        let folder = Path::new(&point).join(format!("nsx-test-top-{name}-{}", std::process::id()));
        let own = Own { folder };
        for folder in [own.folder.clone(), own.folder.join("alpha"), own.folder.join("beta")] {
            std::fs::create_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        }
        own
    }

    fn top(&self, options: &[&str]) -> Command {
        let folder = self.folder.to_str().expect("UTF-8");
        nsx(&[&["cg", "top", folder, "-i", "100ms"], options].concat())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok) {
            if entry.path().is_dir() {
                let _ = std::fs::remove_dir(entry.path());
            }
        }
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// What is on a terminal.
#[derive(Debug, Default)]
struct Shown {
    lines: Vec<Vec<char>>,
    /// The alternate screen, which is away when nsx has ended.
    alternate: bool,
    hidden_cursor: bool,
    colored: bool,
}

impl Shown {
    /// Does what was sent to a terminal.
    fn of(sent: &str) -> Shown {
        let mut shown = Shown::default();
        let (mut line, mut column) = (0, 0);
        let mut rest = sent;
        while let Some(character) = rest.chars().next() {
            if let Some(sequence) = rest.strip_prefix("\x1b[") {
                let Some(end) = sequence.find(|end: char| end.is_ascii_alphabetic()) else { break };
                let (numbers, behind) = sequence.split_at(end);
                rest = &behind[1..];
                match (&behind[..1], numbers) {
                    ("H", numbers) => {
                        let mut numbers = numbers.split(';').map(|number| number.parse().expect("a place"));
                        let mut next = || numbers.next().map_or(0, |number: usize| number - 1);
                        (line, column) = (next(), next());
                    }
                    ("J", "2") => shown.lines.clear(),
                    ("h" | "l", "?1049") => shown.alternate = behind.starts_with('h'),
                    ("h" | "l", "?25") => shown.hidden_cursor = behind.starts_with('l'),
                    ("m", numbers) => {
                        shown.colored |= numbers.contains("38;5");
                        // No background.
                        assert!(!numbers.contains("48;"), "{numbers}");
                    }
                    _ => panic!("ESC [ {numbers} {}", &behind[..1]),
                }
                continue;
            }
            // The rest of it has not come yet.
            if rest == "\x1b" {
                break;
            }
            rest = &rest[character.len_utf8()..];
            if character == '\r' || character == '\n' {
                continue;
            }
            assert!(!character.is_control(), "{character:?} before {rest:?}");
            shown.lines.resize(shown.lines.len().max(line + 1), Vec::new());
            let cells = &mut shown.lines[line];
            cells.resize(cells.len().max(column + 1), ' ');
            cells[column] = character;
            column += 1;
        }
        shown
    }

    fn line(&self, line: usize) -> String {
        self.lines.get(line).map(|cells| cells.iter().collect::<String>().trim_end().to_owned()).unwrap_or_default()
    }

    fn has(&self, text: &str) -> bool {
        (0..self.lines.len()).any(|line| self.line(line).contains(text))
    }
}

fn until_shown(terminal: &mut Terminal, what: &str, is_so: impl Fn(&Shown) -> bool) {
    terminal.until_so(what, |terminal| is_so(&Shown::of(&terminal.rest())));
}

/// Waits for the end, and sees to it that the terminal is as before.
fn ends(terminal: &mut Terminal) -> std::process::ExitStatus {
    let (status, sent) = terminal.end();
    let shown = Shown::of(&sent);
    assert!(!shown.alternate && !shown.hidden_cursor, "{sent:?}");
    assert_eq!(terminal.settings(), terminal.before);
    status
}

fn filter_and_pane() {
    let own = Own::new("filter");
    let mut terminal = Terminal::start(&mut own.top(&[]));
    until_shown(&mut terminal, "all of them", |shown| {
        shown.line(0).contains("  3 cgroups  tree by cpu") && shown.has("├─alpha") && shown.has("└─beta")
    });
    let shown = Shown::of(&terminal.rest());
    assert!(shown.alternate && shown.hidden_cursor && !terminal.is_line_mode());
    assert!(shown.line(1).starts_with("CGROUP ") && shown.line(32).starts_with("q quit"), "{shown:?}");

    terminal.keys("/BET");
    until_shown(&mut terminal, "one of them", |shown| {
        shown.line(32) == "/BET" && !shown.has("alpha") && shown.has("└─beta") && !shown.hidden_cursor
    });
    terminal.keys("\r");
    until_shown(&mut terminal, "with what", |shown| shown.line(0).contains("with \"BET\"") && shown.hidden_cursor);
    terminal.keys("j\r");
    let name = own.folder.file_name().and_then(|name| name.to_str()).expect("a name");
    until_shown(&mut terminal, "the limits", |shown| {
        shown.line(0) == format!("/{name}/beta") && shown.has("pids.max") && shown.line(32).starts_with("Esc back")
    });
    terminal.keys("l");
    until_shown(&mut terminal, "the ladder", |shown| shown.line(1).contains("PIDS.MAX"));
    // Escape is a key only when nothing follows: what is typed next may come together with it.
    terminal.keys("\x1b");
    until_shown(&mut terminal, "the list", |shown| shown.has("└─beta") && shown.line(1).starts_with("CGROUP "));
    terminal.keys("\x1b");
    until_shown(&mut terminal, "all of them again", |shown| shown.has("├─alpha") && !shown.has("with"));
    terminal.keys("t");
    until_shown(&mut terminal, "paths", |shown| shown.line(0).contains("list by cpu") && shown.has("/alpha"));
    terminal.keys("n");
    until_shown(&mut terminal, "by name", |shown| shown.line(0).contains("list by name"));
    terminal.keys("?");
    until_shown(&mut terminal, "help", |shown| shown.has("quit") && shown.line(0) == "Keys and columns");
    terminal.keys("qq");
    assert_eq!(ends(&mut terminal).code(), Some(0));
}

fn vanishing() {
    let own = Own::new("vanishing");
    let mut terminal = Terminal::start(&mut own.top(&["--sort", "name"]));
    until_shown(&mut terminal, "both", |shown| shown.has("├─alpha") && shown.has("└─beta"));
    terminal.keys("j");
    std::fs::remove_dir(own.folder.join("alpha")).expect("removed");
    until_shown(&mut terminal, "one", |shown| !shown.has("alpha") && shown.line(0).contains("  2 cgroups"));
    // What has taken its place is selected.
    terminal.keys("\r");
    until_shown(&mut terminal, "the other one", |shown| shown.line(0).ends_with("/beta"));
    std::fs::remove_dir(own.folder.join("beta")).expect("removed");
    until_shown(&mut terminal, "an error in the pane", |shown| shown.has("ENOENT"));
    terminal.keys("q");
    std::fs::remove_dir(&own.folder).expect("removed");
    until_shown(&mut terminal, "an error below", |shown| shown.line(32).contains("ENOENT"));
    // It may come back.
    std::fs::create_dir(&own.folder).expect("made");
    until_shown(&mut terminal, "no error", |shown| shown.line(32).starts_with("q quit"));
    terminal.keys("q");
    assert_eq!(ends(&mut terminal).code(), Some(0));
}

fn hostile_name() {
    let own = Own::new("hostile");
    let name = std::ffi::OsStr::from_bytes(b"x\x1b[2J\x1b]0;evil\x07\xe2\x80\xae\xff");
    std::fs::create_dir(own.folder.join(name)).expect("made");
    let escaped = "x\\x1b[2J\\x1b]0;evil\\x07\\u{202e}\\xff";
    let mut terminal = Terminal::start(&mut own.top(&[]));
    until_shown(&mut terminal, "its name", |shown| shown.has("x\\x1b[2J"));
    terminal.keys("tG\r");
    until_shown(&mut terminal, "its path", |shown| shown.line(0).ends_with(escaped));
    terminal.keys("qq");
    assert_eq!(ends(&mut terminal).code(), Some(0));
    let table = output(&mut own.top(&["--once"]));
    assert!(text(&table.stdout).contains(escaped) && !text(&table.stdout).contains('\x1b'));
    let line = text(&output(&mut own.top(&["--json", "-n", "1"])).stdout);
    assert!(!line.trim_end().contains(char::is_control), "{line:?}");
    let raw = document(&line)["cgroups"][3]["path_raw"].as_str().map(str::len);
    assert!(raw.is_some_and(|length| length > 10), "{line}");
}

fn top(options: &[&str]) -> Command {
    nsx(&[&["cg", "top", "--depth", "1", "-i", "100ms"], options].concat())
}

fn is_running(shown: &Shown) -> bool {
    shown.alternate && shown.line(1).starts_with("CGROUP") && shown.line(2).starts_with('/')
}

fn terminal_comes_back() {
    for key in ["q", "\x1b", CTRL_C, "\x1b[21~"] {
        let mut terminal = Terminal::start(&mut top(&[]));
        until_shown(&mut terminal, "a list", is_running);
        assert!(!terminal.is_line_mode());
        terminal.keys(key);
        assert_eq!(ends(&mut terminal).code(), Some(0), "{key:?}");
    }
}

fn after_signal() {
    for number in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1] {
        let mut terminal = Terminal::start(&mut top(&[]));
        until_shown(&mut terminal, "a list", is_running);
        kill(Pid::from_raw(terminal.child.id() as i32), number).expect("nsx is there");
        assert_eq!(ends(&mut terminal).signal(), Some(number as i32));
    }
    // The terminal itself goes away.
    let mut terminal = Terminal::start(&mut top(&[]));
    until_shown(&mut terminal, "a list", is_running);
    terminal.hang_up();
    terminal.until_so("nsx has ended", |terminal| terminal.child.try_wait().expect("a child").is_some());
}

fn stop() {
    let script = format!("{} cg top --depth 1 -i 100ms", nsx_path().display());
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "--noediting"]).env("PS1", "ask> ").env_remove("TERM");
    let mut terminal = Terminal::start(&mut shell);
    terminal.until("ask> ");
    let before = terminal.settings();
    terminal.keys(&format!("{script}\n"));
    terminal.until("\x1b[?1049h");
    for _ in 0..2 {
        terminal.until("CGROUP");
        terminal.keys(CTRL_Z);
        terminal.until("\x1b[?1049l");
        terminal.until("Stopped");
        terminal.until("ask> ");
        assert_eq!(terminal.settings(), before);
        // In the background it leaves the terminal alone and stops again.
        terminal.keys("bg; until [[ $(jobs -s) ]]; do :; done; echo back-$((1+1))\n");
        terminal.until("back-2");
        terminal.until("ask> ");
        assert_eq!(terminal.settings(), before);
        terminal.keys("fg\n");
        terminal.until("\x1b[?1049h");
        terminal.until("\x1b[2J");
    }
    terminal.until("CGROUP");
    assert!(!terminal.is_line_mode());
    terminal.keys("q");
    terminal.until("\x1b[?1049l");
    terminal.until("ask> ");
    terminal.keys("echo code-$?; exit\n");
    terminal.until("code-0");
    terminal.end();
}

fn sizes() {
    let mut terminal = Terminal::start(&mut top(&[]));
    until_shown(&mut terminal, "a list", is_running);
    for (lines, columns) in [(10, 120), (50, 200), (24, 80), (5, 30)] {
        terminal.resize(lines, columns);
        until_shown(&mut terminal, "another size", |shown| {
            is_running(shown) && shown.lines.len() == usize::from(lines)
        });
        let shown = Shown::of(&terminal.rest());
        assert!(shown.line(usize::from(lines) - 1).starts_with("q quit"), "{shown:?}");
        assert!(shown.lines.iter().all(|line| line.len() <= usize::from(columns)), "{shown:?}");
    }
    for (lines, columns) in [(3, 80), (24, 10), (1, 1)] {
        terminal.resize(lines, columns);
        let text: String = format!("{columns}x{lines} is too small").chars().take(usize::from(columns)).collect();
        let cut = if text.len() < 18 { "x" } else { &text };
        until_shown(&mut terminal, "no size", |shown| !shown.has("CGROUP") && (shown.has(cut) || columns == 1));
    }
    terminal.resize(24, 80);
    until_shown(&mut terminal, "a list again", is_running);
    terminal.keys("q");
    assert_eq!(ends(&mut terminal).code(), Some(0));
}

/// Standard input may be anything.
fn no_input() {
    let mut shell = Command::new("bash");
    shell.args(["-c", "exec \"$NSX\" cg top --depth 1 </dev/null"]).env("NSX", nsx_path()).env_remove("TERM");
    let mut terminal = Terminal::start(&mut shell);
    until_shown(&mut terminal, "a list", is_running);
    terminal.keys("q");
    assert_eq!(ends(&mut terminal).code(), Some(0));
}

fn no_color() {
    let mut terminal = Terminal::start(top(&["-n", "3"]).env("NO_COLOR", "1"));
    assert_eq!(terminal.end().0.code(), Some(0));
    assert!(!Shown::of(&terminal.rest()).colored);
}

fn count() {
    let mut terminal = Terminal::start(&mut top(&["-n", "2"]));
    assert_eq!(ends(&mut terminal).code(), Some(0));
    // A terminal that can do nothing gets tables.
    let mut terminal = Terminal::start(top(&["-n", "2"]).env("TERM", "dumb"));
    let (status, sent) = terminal.end();
    assert_eq!((status.code(), sent.matches("CGROUP").count()), (Some(0), 2));
    assert!(!sent.contains('\x1b'), "{sent:?}");
}

fn once() {
    let table = run(&["cg", "top", "--once", "-i", "100ms", "--depth", "0"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].starts_with("CGROUP ") && lines[0].ends_with("CONTAINER"), "{table}");
    assert!(lines[1].starts_with('/'), "{table}");
    let tables = run(&["cg", "top", "-n", "2", "-i", "100ms", "--depth", "0", "--flat", "--sort", "mem"]);
    assert_eq!(tables.matches("CGROUP").count(), 2);
    // Also on a terminal.
    let mut terminal = Terminal::start(&mut top(&["--once"]));
    let (status, sent) = terminal.end();
    assert!(status.success() && sent.contains("CGROUP") && !sent.contains("\x1b[?1049h"), "{sent:?}");
}

fn document(line: &str) -> Value {
    let schema: Value = serde_json::from_str(include_str!("../schema/cg-top.json")).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let document: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let errors: Vec<String> =
        schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "against the schema: {errors:#?}");
    let mut more = document.clone();
    more["cgroups"][0]["surprise"] = Value::Null;
    assert!(!schema.is_valid(&more), "it takes nothing else");
    document
}

fn documents() {
    let lines = run(&["cg", "top", "--json", "-n", "2", "-i", "200ms"]);
    let documents: Vec<Value> = lines.lines().map(document).collect();
    assert_eq!(documents.len(), 2);
    let time = |document: &Value| document["time_usec"].as_u64().expect("a time");
    assert!(time(&documents[0]) + 150_000 < time(&documents[1]), "one interval lies between");
    for document in &documents {
        assert!(document["interval_usec"].as_u64().is_some_and(|interval| interval >= 190_000));
        let first = &document["cgroups"][0];
        assert!(first["path"].as_str().is_some_and(|path| path.starts_with('/')), "{first}");
    }
    // Options change what is shown to a person, and nothing here.
    let keys = |line: &str| {
        let document = document(line);
        document["cgroups"][0].as_object().expect("a cgroup").keys().cloned().collect::<Vec<_>>()
    };
    let other = run(&["cg", "top", "--json", "-n", "1", "-i", "100ms", "--flat", "--sort", "mem", "--depth", "1"]);
    assert_eq!(keys(&other), keys(lines.lines().next().expect("a line")));
}

fn closed_pipe() {
    for format in [&["--json"][..], &[]] {
        // It is noticed while nothing is written, however long the interval is.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut child =
            nsx(&[&["cg", "top", "-i", "1h", "--depth", "1"], format].concat()).stdout(writer).spawn().expect("nsx");
        drop(reader);
        assert_eq!(child.wait().expect("nsx").code(), Some(0), "{format:?}");
    }
}

fn nothing_there() {
    let error = fails(&["cg", "top", "/nsx-test-nowhere"], 1);
    assert!(error.contains("/nsx-test-nowhere") && error.contains("ENOENT") && error.contains("hint: "), "{error}");
    for wrong in [&["-i", "0"][..], &["-i", "1ms"], &["-n", "0"], &["--sort", "x"], &["--once", "-n", "2"]] {
        assert_eq!(output(&mut top(wrong)).status.code(), Some(2), "{wrong:?}");
    }
    // Also on a terminal, which stays as it is.
    let mut terminal = Terminal::start(&mut nsx(&["cg", "top", "/nsx-test-nowhere"]));
    let (status, sent) = terminal.end();
    assert!(status.code() == Some(1) && !sent.contains("\x1b[?1049h"), "{sent:?}");
    assert_eq!(terminal.settings(), terminal.before);
}
