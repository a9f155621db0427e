//! What is derived from the code and committed: man pages, completions, help snapshots, and what the README says of them.
//!
//! `NSX_BLESS=1` writes the files anew; otherwise they are compared. Completions are loaded in the real shells.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use clap_complete::Shell;
use nsx::cmd::{Exit, definition};
use nsx::render::cg::ls as cg;
use nsx::render::column::{COLUMNS, DEFAULT, DEFAULT_MEMBERS};

use super::harness::{Module, Need, nsx_path, output, run, source, test, text};

pub fn module() -> Module {
    let tests = vec![
        test("generated::man_pages", &[], man_pages),
        test("generated::every_command_has_a_page", &[], every_command_has_a_page),
        test("generated::man_reads_them_without_a_warning", &[Need::Tool("man"), Need::Tool("mandoc")], man_reads_them),
        test("generated::completions", &[], completions),
        test("generated::bash_completes", &[Need::Tool("bash")], bash_completes),
        test("generated::zsh_completes", &[Need::Tool("zsh")], zsh_completes),
        test("generated::fish_completes", &[Need::Tool("fish")], fish_completes),
        test("generated::help", &[], help),
        test("generated::the_readme_names_the_commands", &[], readme),
    ];
    Module { name: "generated", places: &[], tests }
}

fn committed(path: &str, content: &str) {
    super::harness::committed(path, content, "generated");
}

/// Returns the commands, each with the name of its man page: `nsx`, `nsx-ls`.
fn commands() -> Vec<(String, clap::Command)> {
    let mut nsx = definition();
    nsx.build();
    let below: Vec<_> = nsx.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let mut all = vec![("nsx".to_owned(), nsx)];
    for command in below {
        let name = format!("nsx-{}", command.get_name());
        all.push((name.clone(), command.display_name(name)));
    }
    all
}

/// Returns the commands and those below them, each with its words: `["cg", "ls"]`.
fn all_commands() -> Vec<Vec<String>> {
    let mut nsx = definition();
    nsx.build();
    let mut all = vec![Vec::new()];
    for command in nsx.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name().to_owned();
        all.push(vec![name.clone()]);
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        all.extend(below.map(|below| vec![name.clone(), below.get_name().to_owned()]));
    }
    all
}

fn exit_status(name: &str) -> String {
    let mut section = ".SH \"EXIT STATUS\"\n".to_owned();
    let launches = matches!(name, "nsx-enter" | "nsx-run");
    let all: &[Exit] = if launches { &Exit::OF_LAUNCHERS } else { &Exit::OF_VIEWS };
    for exit in all {
        let _ = writeln!(section, ".TP\n\\fB{}\\fR\n{}", exit.code(), exit.meaning().replace("--", "\\-\\-"));
    }
    if launches {
        section.push_str(".PP\nAny other is that of the command; where a signal has killed it, nsx dies by the same signal, which shells show as 128 and its number.\n");
    }
    section
}

/// Returns the section on the columns of a table; each comes with its help and whether it is shown by default.
fn columns(title: &str, all: impl Iterator<Item = (&'static str, &'static str, &'static str)>) -> String {
    let mut section = format!(".SH {title}\n");
    for (key, help, shown) in all {
        let _ = writeln!(section, ".TP\n\\fB{key}\\fR\n{}{shown}", help.replace('-', "\\-"));
    }
    section
}

fn ls_columns() -> String {
    let all = COLUMNS.iter().map(|column| {
        let shown = match (DEFAULT.contains(&column.key), DEFAULT_MEMBERS.contains(&column.key)) {
            (true, _) => " (shown by default)",
            (false, true) => " (shown by default for the members of a namespace)",
            (false, false) => "",
        };
        (column.key, column.help, shown)
    });
    columns("COLUMNS", all)
}

fn cg_columns() -> String {
    let all = cg::COLUMNS.iter().map(|column| {
        let shown =
            if cg::DEFAULT.contains(&column.key) { " (shown by default, where there is something)" } else { "" };
        (column.key, column.help, shown)
    });
    columns("\"COLUMNS OF NSX CG LS\"", all)
}

/// Returns a section with the commands below one: what each is for, how it is called, and its options.
fn below(command: &clap::Command) -> String {
    let mut section = ".SH COMMANDS\n".to_owned();
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        // What every command has is in the page's own list.
        let everywhere = |arg: clap::Arg| {
            let hide = ["color", "help", "version"].contains(&arg.get_id().as_str());
            arg.hide(hide)
        };
        let man = clap_mangen::Man::new(below.clone().mut_args(everywhere));
        let part = |render: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
            let mut part = Vec::new();
            render(&mut part).expect("rendered");
            let part = String::from_utf8(part).expect("UTF-8");
            // What stands above the heading is said once, and the heading is that of the page.
            part.split_once("\n.SH ").and_then(|(_, rest)| rest.split_once('\n')).expect("a section").1.to_owned()
        };
        let name = format!("{} {}", command.get_display_name().unwrap_or_default(), below.get_name());
        let _ = writeln!(section, ".SS \"{}\"", name.replace('-', " "));
        section.push_str(&part(&|to| man.render_synopsis_section(to)));
        section.push_str(".PP\n");
        section.push_str(&part(&|to| man.render_description_section(to)));
        section.push_str(&part(&|to| man.render_options_section(to)));
    }
    section
}

fn page(name: &str, command: &clap::Command) -> String {
    let man = clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).manual("nsx manual");
    let mut page = Vec::new();
    man.render_title(&mut page).expect("rendered");
    man.render_name_section(&mut page).expect("rendered");
    man.render_synopsis_section(&mut page).expect("rendered");
    man.render_description_section(&mut page).expect("rendered");
    man.render_options_section(&mut page).expect("rendered");
    if name == "nsx" {
        man.render_subcommands_section(&mut page).expect("rendered");
    }
    let mut page = String::from_utf8(page).expect("UTF-8");
    match name {
        "nsx-ls" => page.push_str(&ls_columns()),
        "nsx-cg" => page.push_str(&(below(command) + &cg_columns())),
        _ => {}
    }
    page.push_str(&exit_status(name));
    let prose = source(&format!("man/prose/{name}.roff"));
    page.push_str(&std::fs::read_to_string(&prose).unwrap_or_else(|error| panic!("{}: {error}", prose.display())));
    page
}

fn man_pages() {
    for (name, command) in commands() {
        committed(&format!("man/{name}.1"), &page(&name, &command));
    }
}

fn every_command_has_a_page() {
    let mut pages: Vec<String> = std::fs::read_dir(source("man"))
        .expect("man")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(".1").map(str::to_owned))
        .collect();
    let mut names: Vec<String> = commands().into_iter().map(|(name, _)| name).collect();
    pages.sort();
    names.sort();
    assert_eq!(pages, names);
    for name in names.iter().filter(|name| *name != "nsx") {
        let page = std::fs::read_to_string(source(&format!("man/{name}.1"))).expect("a page");
        for section in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\"", "JSON", "EXAMPLES", "\"SEE ALSO\""]
        {
            assert!(page.contains(&format!(".SH {section}\n")), "{name} has no section {section}");
        }
    }
}

fn man_reads_them() {
    for (name, _) in commands() {
        let path = source(&format!("man/{name}.1"));
        let man =
            output(Command::new("man").args(["--warnings", "--local-file", "-Tutf8"]).arg(&path).env("MANWIDTH", "80"));
        assert!(man.status.success(), "{name}: {}", text(&man.stderr));
        assert_eq!(text(&man.stderr), "", "{name}");
        assert!(man.stdout.len() > 1000, "{name}");
        let lint = output(Command::new("mandoc").args(["-Tlint", "-Werror"]).arg(&path));
        assert!(lint.status.success(), "{name}: {}", text(&lint.stdout));
    }
}

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
        "        *) words= ;;\n    esac\n    if [[ -n $words && ${COMP_WORDS[1]} == ls ]]; then\n        local first=\n        if [[ $cur == *,* ]]; then\n            first=${cur%,*},\n        elif [[ $cur == +* ]]; then\n            first=+\n        fi\n        local rest=${cur#\"$first\"}\n        compopt -o nospace 2>/dev/null\n        mapfile -t COMPREPLY < <(compgen -P \"$first\" -W \"$words\" -- \"$rest\")\n        return\n    fi\n    _nsx \"$@\"\n}\n\ncomplete -F _nsx_lists -o bashdefault -o default nsx\n",
    );
    script
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
    script
}

fn fish() -> String {
    let mut script = generate(Shell::Fish);
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
    script = lines.join("\n");
    script.push('\n');
    script
}

fn generate(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "nsx", &mut script);
    String::from_utf8(script).expect("UTF-8")
}

fn completions() {
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

fn bash_completes() {
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

fn fish_completes() {
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
fn zsh_completes() {
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

fn help() {
    for words in all_commands() {
        let name = ["nsx".to_owned()].iter().chain(&words).cloned().collect::<Vec<_>>().join("-");
        for option in ["-h", "--help"] {
            let arguments: Vec<&str> = words.iter().map(String::as_str).chain([option]).collect();
            let snapshot = format!("tests/data/help/{name}{}.txt", if option == "-h" { "-short" } else { "" });
            committed(&snapshot, &run(&arguments));
        }
    }
}

fn readme() {
    let readme = std::fs::read_to_string(source("README.md")).expect("the README");
    for must in
        ["cargo run --release -- ls", "scripts/check", "scripts/build-static", "ARCHITECTURE.md", "CONTRIBUTING.md"]
    {
        assert!(readme.contains(must), "the README does not say {must}");
    }
    // Every option that the README names is one.
    let known: String = all_commands()
        .iter()
        .map(|words| run(&words.iter().map(String::as_str).chain(["--help"]).collect::<Vec<_>>()))
        .collect();
    for word in readme.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-')) {
        let ours =
            word.starts_with("--") && word.len() > 2 && word[2..].starts_with(|first: char| first.is_ascii_lowercase());
        let others = [
            "--release",
            "--notruncate",
            "--noheadings",
            "--persistent",
            "--task",
            "--list",
            "--raw",
            "--output-all",
            "--list-columns",
            "--filter",
            "--nowrap",
            "--test",
            "--version",
            "--help",
            "--json",
            "--output",
            "--type",
            "--tree",
            "--runtime",
        ];
        if ours && !others.contains(&word) {
            assert!(known.contains(word), "the README names {word}, which is no option");
        }
    }
}
