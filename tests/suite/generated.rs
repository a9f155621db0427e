//! What is derived from the code and committed: man pages, completions, help snapshots, and what the README says of them.
//!
//! `NSX_BLESS=1` writes the files anew; otherwise they are compared. Completions are loaded in the real shells.

mod completions;

use std::fmt::Write;
use std::process::Command;

use nsx::cmd::{Exit, definition};
use nsx::render::cg::ls as cg;
use nsx::render::column::{COLUMNS, DEFAULT, DEFAULT_MEMBERS};
use nsx::render::pid;

use super::harness::{Module, Need, output, run, source, test, text};

pub fn module() -> Module {
    let tests = vec![
        test("generated::man_pages", &[], man_pages),
        test("generated::every_command_has_a_page", &[], every_command_has_a_page),
        test("generated::man_reads_them_without_a_warning", &[Need::Tool("man"), Need::Tool("mandoc")], man_reads_them),
        test("generated::completions", &[], completions::completions),
        test("generated::bash_completes", &[Need::Tool("bash")], completions::bash_completes),
        test("generated::zsh_completes", &[Need::Tool("zsh")], completions::zsh_completes),
        test("generated::fish_completes", &[Need::Tool("fish")], completions::fish_completes),
        test("generated::bash_knows_containers", &[Need::Tool("bash")], completions::bash_knows_containers),
        test("generated::zsh_knows_containers", &[Need::Tool("zsh")], completions::zsh_knows_containers),
        test("generated::fish_knows_containers", &[Need::Tool("fish")], completions::fish_knows_containers),
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

fn net_columns() -> String {
    use nsx::render::net::{COLUMNS, Show};
    let tables = [(Show::Links, "links"), (Show::Routes, "routes"), (Show::Listeners, "sockets")];
    let all = COLUMNS.iter().map(|column| {
        let shown: Vec<&str> =
            tables.iter().filter(|(show, _)| show.defaults().contains(&column.key)).map(|(_, name)| *name).collect();
        let shown = match shown[..] {
            [] => "",
            ["links"] => " (shown by default, where there is something)",
            ["routes"] => " (shown with \\-\\-routes)",
            ["sockets"] => " (shown with \\-\\-listen)",
            ["links", "routes"] => " (shown by default and with \\-\\-routes)",
            ["routes", "sockets"] => " (shown with \\-\\-routes and \\-\\-listen)",
            _ => " (shown by default)",
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

fn pid_columns() -> String {
    let all = pid::COLUMNS.iter().map(|column| {
        let shown = match (pid::DEFAULT.contains(&column.key), pid::OF_PROCESS.contains(&column.key)) {
            (true, _) => " (shown by default)",
            (false, true) => " (shown by default with several processes, and with \\-\\-target)",
            (false, false) => "",
        };
        (column.key, column.help, shown)
    });
    columns("COLUMNS", all)
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
        "nsx-pid" => page.push_str(&pid_columns()),
        "nsx-net" => page.push_str(&net_columns()),
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
            "--format",
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
