//! Completions for bash, zsh and fish: what clap_complete makes of the definition, with lists behind commas and the names of containers.
//!
//! All three are tried out in the shells themselves.

mod live;
mod names;

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use clap_complete::Shell;
use nsx::cmd::definition;
use nsx::render::column::COLUMNS;

pub use live::{bash_knows_containers, fish_knows_containers, zsh_knows_containers};

use super::committed;
use crate::harness::{nsx_path, output, source, text};

/// What the words of a comma-separated list can be: the options that take one, and their words.
fn lists() -> Vec<(&'static str, &'static str, String)> {
    let kinds: Vec<&str> = nsx::model::NsKind::ALL.iter().map(|kind| kind.name()).collect();
    let columns: Vec<&str> = COLUMNS.iter().map(|column| column.key).collect();
    vec![("-t", "--type", kinds.join(" ")), ("-o", "--output", columns.join(" ") + " all")]
}

fn bash() -> String {
    let mut script = generate(Shell::Bash);
    // What clap_complete writes knows single words; behind a comma of a list it is the rest that counts.
    script.push_str(
        "\n# Completes the word behind the last comma of a list.\n_nsx_lists() {\n    local cur prev words\n    cur=${COMP_WORDS[COMP_CWORD]}\n    prev=${COMP_WORDS[COMP_CWORD-1]}\n    case $prev in\n",
    );
    for (short, long, words) in lists() {
        let _ = writeln!(script, "        {short}|{long}) words=\"{words}\" ;;");
    }
    script.push_str(
        "        *) words= ;;\n    esac\n    if [[ -n $words && ${COMP_WORDS[1]} == ls ]]; then\n        local first=\n        if [[ $cur == *,* ]]; then\n            first=${cur%,*},\n        elif [[ $cur == +* ]]; then\n            first=+\n        fi\n        local rest=${cur#\"$first\"}\n        compopt -o nospace 2>/dev/null\n        mapfile -t COMPREPLY < <(compgen -P \"$first\" -W \"$words\" -- \"$rest\")\n        return\n    fi\n    _nsx_names \"$@\" || _nsx \"$@\"\n}\n",
    );
    script + &names::bash() + "\ncomplete -F _nsx_lists -o bashdefault -o default nsx\n"
}

fn zsh() -> String {
    let mut script = generate(Shell::Zsh);
    for (short, long, words) in lists() {
        // `_values -s ,` completes lists; descriptions stay with the plain words of clap_complete's own output.
        let values = format!("_values -s , word {words}");
        for option in [short, long] {
            let start = if option == short { format!("'*{option}+[") } else { format!("'*{option}=[") };
            let line = script.lines().find(|line| line.trim_start().starts_with(&start)).map(str::to_owned);
            let line = line.unwrap_or_else(|| panic!("no line for {option} in {script}"));
            let action =
                line.rfind(":((").or_else(|| line.rfind(":(")).unwrap_or_else(|| panic!("no values in {line}"));
            // clap_complete may break the list of values over several lines, up to the closing brackets.
            let from = script.find(&line).expect("the line") + action + 1;
            let to = from + script[from..].find("' \\\n").expect("the end of the option");
            script.replace_range(from..to, &values);
        }
    }
    names::zsh(&script)
}

fn fish() -> String {
    let script = generate(Shell::Fish);
    let mut lines: Vec<String> = script.lines().map(str::to_owned).collect();
    for (_, long, words) in lists() {
        let long = long.trim_start_matches('-');
        let start =
            lines.iter().position(|line| line.contains(&format!("-l {long} "))).unwrap_or_else(|| panic!("no {long}"));
        // The values of clap_complete span several lines, from -a "… to …" -f.
        let before = lines[start].split(" -r ").next().expect("a start").to_owned();
        let end = start + lines[start..].iter().position(|line| line.ends_with('"')).expect("an end");
        let list = words.split(' ').collect::<Vec<_>>().join("\\n");
        lines
            .splice(start..=end, [format!("{before} -x -a \"(__fish_complete_list , 'printf \\\"{list}\\\\n\\\"')\"")]);
    }
    names::fish(&lines.join("\n"))
}

fn generate(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "nsx", &mut script);
    String::from_utf8(script).expect("UTF-8")
}

pub fn completions() {
    committed("completions/nsx.bash", &bash());
    committed("completions/_nsx", &zsh());
    committed("completions/nsx.fish", &fish());
}

fn path_with_nsx() -> String {
    let folder = nsx_path().parent().map(Path::display).expect("a folder");
    format!("{folder}:{}", std::env::var("PATH").unwrap_or_default())
}

/// What must be among the completions of a command line.
const CASES: [(&str, &str); 7] = [
    ("nsx l", "ls"),
    ("nsx ls --un", "--unoccupied"),
    ("nsx ls -t n", "net"),
    ("nsx ls -t net,us", "net,user"),
    ("nsx ls -o CG", "CGROUP"),
    ("nsx ls --output NS,HE", "NS,HELD"),
    ("nsx ls --sort NPR", "NPROCS"),
];

pub fn bash_completes() {
    for (line, wanted) in CASES {
        let words: Vec<&str> = line.split(' ').collect();
        let script = format!(
            "source {}; COMP_WORDS=({line}); COMP_CWORD={}; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; \
             compopt() {{ :; }}; \"$(complete -p nsx | sed -E 's/.*-F ([^ ]+).*/\\1/')\" nsx '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            source("completions/nsx.bash").display(),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let bash = output(Command::new("bash").args(["--norc", "-c", &script]).env("PATH", path_with_nsx()));
        let offered = text(&bash.stdout);
        assert!(offered.lines().any(|word| word.trim() == wanted), "{line}: {offered}{}", text(&bash.stderr));
    }
}

pub fn fish_completes() {
    for (line, wanted) in CASES {
        let script = format!("source {}; complete -C '{line}'", source("completions/nsx.fish").display());
        let home = tempfile::tempdir().expect("a folder");
        let fish = output(
            Command::new("fish")
                .args(["--no-config", "-c", &script])
                .env("PATH", path_with_nsx())
                .env("HOME", home.path()),
        );
        let offered = text(&fish.stdout);
        let found = offered.lines().any(|word| word.split('\t').next() == Some(wanted));
        assert!(found, "{line}: {offered}{}", text(&fish.stderr));
    }
}

/// zsh completes only at a terminal, and zpty gives it one: the line is typed, completed, and written down by a key of its own.
pub fn zsh_completes() {
    let home = tempfile::tempdir().expect("a folder");
    let setup = format!(
        "PS1=; fpath=({} $fpath); autoload -U compinit; compinit -u -D
         zle-line-init() {{ print line-editor-ready }}; zle -N zle-line-init
         write-down() {{ print -r -- $BUFFER > $ZDOTDIR/line; exit }}; zle -N write-down; bindkey '^X' write-down",
        source("completions").display()
    );
    std::fs::write(home.path().join(".zshrc"), setup).expect("written");
    for (line, wanted) in CASES {
        let script = format!(
            "zmodload zsh/zpty; zpty shell zsh -i
             while zpty -r shell chunk; do [[ $chunk == *line-editor-ready* ]] && break; done
             zpty -n -w shell $'{line}\\t\\x18'
             while zpty -r shell chunk; do :; done"
        );
        let mut zsh = Command::new("zsh");
        zsh.args(["-f", "-c", &script]).env("PATH", path_with_nsx()).env("TERM", "dumb").env("ZDOTDIR", home.path());
        let done = output(&mut zsh);
        let completed = std::fs::read_to_string(home.path().join("line")).unwrap_or_default();
        // A list may go on, so zsh adds a comma.
        let found = completed.split_whitespace().last().map(|word| word.trim_end_matches(',')) == Some(wanted);
        assert!(found, "{line}: {completed:?} {}{}", text(&done.stdout), text(&done.stderr));
    }
}
