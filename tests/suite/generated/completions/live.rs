//! Names of containers, completed in shells at a terminal of their own: what is typed, Tab, Return, and what the command then got.
//!
//! The command is a stand-in for nsx that writes down its arguments; only what `nsx ps` is asked goes to nsx, or is made up.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::processes::new_mark;
use crate::harness::sandbox::Detached;
use crate::harness::terminal::Terminal;
use crate::harness::{nsx_path, output, source, text};

/// What the shells say before they read a line.
const PROMPT: &str = "nsx-prompt";

/// A shell that waits for lines, with the completions loaded, in a folder of its own.
struct Shell {
    terminal: Terminal,
    folder: tempfile::TempDir,
}

impl Shell {
    /// Starts one; `ps` is what the stand-in does as `nsx ps`.
    fn start(shell: &str, ps: &str) -> Shell {
        let folder = tempfile::Builder::new().prefix("nsx-test-shell-").tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("bin")).expect("a folder");
        fs::create_dir(path("here")).expect("a folder");
        fs::create_dir(path("here/some directory")).expect("a folder");
        fs::write(path("here/some directory/file"), "").expect("written");
        let got = path("got");
        let stand_in = format!(
            "#!/bin/sh\nif [ \"$1\" = ps ] && [ \"$2\" = -q ]; then\n{ps}\nexit\nfi\nfor word; do printf '%s\\0' \"$word\"; done >{0}.part\nmv {0}.part {0}\n",
            got.display()
        );
        fs::write(path("bin/nsx"), stand_in).expect("written");
        fs::set_permissions(path("bin/nsx"), fs::Permissions::from_mode(0o755)).expect("executable");
        let completions = source("completions");
        let completions = completions.display();
        // The prompt is made of two parts, so that the shell does not show it before it is one.
        let (start, end) = PROMPT.split_at(4);
        let mut command = Command::new(shell);
        match shell {
            "bash" => {
                let setup = format!(
                    "PS1='{start}''{end}'; unset HISTFILE; bind 'set bell-style none'; source {completions}/nsx.bash\n"
                );
                fs::write(path("setup"), setup).expect("written");
                command.arg("--noprofile").arg("--rcfile").arg(path("setup")).arg("-i");
            }
            "zsh" => {
                let setup = format!(
                    "PS1=; unsetopt beep; fpath=({completions} $fpath); autoload -U compinit; compinit -u -D\n\
                     zle-line-init() {{ print {start}''{end} }}; zle -N zle-line-init\n"
                );
                fs::write(path(".zshrc"), setup).expect("written");
                command.args(["-d", "-i"]);
            }
            "fish" => {
                let setup =
                    format!("source {completions}/nsx.fish; function fish_prompt; printf %s {start}''{end}; end");
                command.args(["--no-config", "--private", "-i", "-C", &setup]);
            }
            _ => panic!("{shell} is no shell that is known here"),
        }
        let with_stand_in = format!("{}:{}", path("bin").display(), std::env::var("PATH").unwrap_or_default());
        command.current_dir(path("here")).env("PATH", with_stand_in).env("TERM", "dumb");
        command.env("HOME", folder.path()).env("ZDOTDIR", folder.path()).env("LC_ALL", "C.UTF-8");
        for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "INPUTRC"] {
            command.env_remove(variable);
        }
        let mut terminal = Terminal::start(&mut command);
        terminal.until(PROMPT);
        Shell { terminal, folder }
    }

    /// Types a line, Tab and Return, and returns what the command got. Another Return would be too much where nothing runs.
    fn complete(&mut self, line: &str) -> Vec<String> {
        let got: PathBuf = self.folder.path().join("got");
        self.terminal.keys(&format!("{line}\t\r"));
        let what = format!("{line:?} becomes a command");
        self.terminal.until_so(&what, |_| got.exists());
        let words = fs::read_to_string(&got).expect("UTF-8");
        fs::remove_file(&got).expect("removed");
        self.terminal.until(PROMPT);
        // Where zsh has put a slash behind a directory it takes it away again.
        words.split_terminator('\0').map(|word| word.trim_end_matches('/').to_owned()).collect()
    }

    /// Says what is in the folder where the shell is.
    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("here")).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
    }
}

/// Names that would do something if a shell took them for more than a word.
const HOSTILE: [&str; 9] =
    ["a$(touch ran)", "b;touch ran;", "c'd", "e`touch ran`", "g h", "j*\"\\k", "l=m@n:o", "p|touch ran", "q\u{e9}~#!x"];

fn hostile_names(shell: &str) {
    let mut names = String::from("-x\n--now\n");
    for name in HOSTILE {
        names += &format!("{name}\n");
    }
    let mut shell = Shell::start(shell, &format!("cat <<'END'\n{names}END"));
    for name in HOSTILE {
        let first = &name[..1];
        for (line, before) in [
            (format!("nsx enter -t {first}"), vec!["enter", "-t"]),
            (format!("nsx cg show {first}"), vec!["cg", "show"]),
            (format!("nsx kill {first}"), vec!["kill"]),
        ] {
            let wanted: Vec<&str> = before.into_iter().chain([name]).collect();
            assert_eq!(shell.complete(&line), wanted, "{line}");
        }
        assert_eq!(shell.complete(&format!("nsx enter --target={first}")), ["enter", &format!("--target={name}")]);
    }
    // What is quoted already, and what has a dash in front.
    assert_eq!(shell.complete("nsx enter -t a\\$"), ["enter", "-t", "a$(touch ran)"]);
    assert_eq!(shell.complete("nsx enter -t 'b;t"), ["enter", "-t", "b;touch ran;"]);
    assert_eq!(shell.complete("nsx enter -t \"g "), ["enter", "-t", "g h"]);
    assert_eq!(shell.complete("nsx kill -x"), ["kill", "-x"]);
    // Files, where no name fits.
    assert_eq!(shell.complete("nsx enter -t so"), ["enter", "-t", "some directory"]);
    assert_eq!(shell.complete("nsx enter -t \"some directory/f"), ["enter", "-t", "some directory/file"]);
    assert_eq!(shell.complete("nsx ls ./some\\ directory/f"), ["ls", "./some directory/file"]);
    assert_eq!(shell.complete("nsx cg show --shares /proc/sys/ker"), ["cg", "show", "--shares", "/proc/sys/kernel"]);
    assert_eq!(shell.beside(), ["some directory"]);
}

/// Where nothing is typed yet, the only name is what comes, and without one there are files.
fn empty_words(shell: &str) {
    let mut one = Shell::start(shell, "echo 'on;ly'");
    for before in ["enter -t", "ls", "ps", "cg show", "cg set", "ls -p", "pid --in", "kill", "kill other"] {
        let wanted: Vec<&str> = before.split(' ').chain(["on;ly"]).collect();
        assert_eq!(one.complete(&format!("nsx {before} ")), wanted, "{before}");
    }
    assert_eq!(one.complete("nsx enter --target="), ["enter", "--target=on;ly"]);
    let mut none = Shell::start(shell, "exit 1");
    assert_eq!(none.complete("nsx enter -t "), ["enter", "-t", "some directory"]);
    assert_eq!(none.complete("nsx enter --target="), ["enter", "--target=some directory"]);
    assert_eq!(none.complete("nsx run --net h"), ["run", "--net", "host"]);
}

fn live_names(shell: &str) {
    let name = format!("nsx-test-{}-completed", new_mark());
    let sandbox = Detached { name: name.clone() };
    let started = output(&mut sandbox.command(&[], &["sleep", "1000000"]));
    assert_eq!((text(&started.stdout), text(&started.stderr)), (format!("{name}\n"), String::new()));
    let mut shell = Shell::start(shell, &format!("exec {} \"$@\"", nsx_path().display()));
    let part = name.strip_suffix("leted").expect("the end");
    for before in [
        "ls",
        "ls -p",
        "ls --task",
        "ls --json 4242",
        "ps",
        "enter -t",
        "enter --target",
        "cg ls",
        "cg show",
        "cg path",
        "cg why",
        "cg procs",
        "cg move",
        "cg set",
        "cg set -n --color never",
        "run --net",
        "pid -t",
        "pid --in",
        "kill",
        "kill -t 3s other",
        "--color never ls",
    ] {
        let line = format!("nsx {before} {part}");
        let wanted: Vec<&str> = before.split(' ').chain([&*name]).collect();
        assert_eq!(shell.complete(&line), wanted, "{line}");
        // A name with its engine.
        if before != "ps" && !before.starts_with("kill") {
            let of_engine = format!("nsx:{name}");
            let wanted: Vec<&str> = before.split(' ').chain([&*of_engine]).collect();
            assert_eq!(shell.complete(&format!("nsx {before} nsx:{part}")), wanted, "{before} nsx:");
        }
    }
    for option in ["run --net", "enter --target", "pid --in", "ls --task"] {
        for engine in ["", "nsx:"] {
            let (command, option) = option.split_once(' ').expect("an option");
            let wanted = [command.to_owned(), format!("{option}={engine}{name}")];
            assert_eq!(shell.complete(&format!("nsx {command} {option}={engine}{part}")), wanted);
        }
    }
    assert_eq!(shell.complete("nsx run --net ho"), ["run", "--net", "host"]);
    assert_eq!(shell.complete("nsx run --net=no"), ["run", "--net=none"]);
    // Elsewhere there are no targets.
    for line in
        ["run", "run --name", "enter -t web", "cg set web", "cg create", "enter -t web ssh", "ls --where", "pid"]
    {
        let wanted: Vec<&str> = line.split(' ').chain([part]).collect();
        assert_eq!(shell.complete(&format!("nsx {line} {part}")), wanted, "{line}");
    }
}

pub fn bash_knows_containers() {
    hostile_names("bash");
    empty_words("bash");
    live_names("bash");
}

pub fn zsh_knows_containers() {
    hostile_names("zsh");
    empty_words("zsh");
    live_names("zsh");
}

pub fn fish_knows_containers() {
    hostile_names("fish");
    empty_words("fish");
    live_names("fish");
}
