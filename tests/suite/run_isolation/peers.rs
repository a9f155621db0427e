//! The same attempts in what others build: bwrap(1) and unshare(1), where they are installed. That is for a reader; of nsx's each is asserted.

use std::process::{Command, Stdio};

use super::place::{self, PROBE, Said, finish, suite};
use crate::harness::terminal::Terminal;
use crate::harness::{Need, Test, test};

pub fn tests() -> Vec<Test> {
    vec![test("run_isolation::the_same_probes_below_peers", &[Need::Root], table)]
}

/// Probes, and of what they say the words that are shown.
const PROBES: [(&[&str], &[&str]); 8] = [
    (&["tty"], &["TIOCSTI.0.0"]),
    (&["write", "/proc/1/mem", "/proc/1/oom_score_adj"], &["/proc/1/mem", "/proc/1/oom_score_adj"]),
    (&["read", "/proc/1/environ"], &["/proc/1/environ"]),
    (&["devices", "/tmp"], &["make.block"]),
    (&["keys"], &["add_key"]),
    (&["masks"], &["writable./proc/sys/kernel/core_pattern", "writable./etc/nsx-test-written"]),
    (&["read", "/etc/shadow"], &["/etc/shadow"]),
    (&["status", "CapEff", "NoNewPrivs", "Seccomp"], &["CapEff", "NoNewPrivs", "Seccomp"]),
];

fn launcher(name: &str) -> Option<Command> {
    let mut command = match name {
        "nsx run" => place::run_as(place::Caller::Root, &[]),
        _ => Command::new(name),
    };
    match name {
        "nsx run" => {}
        "bwrap" => {
            command.args([
                "--unshare-all",
                "--ro-bind",
                "/",
                "/",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                "--tmpfs",
                "/tmp",
            ]);
            command.args(["--tmpfs", "/run", "--ro-bind", suite(), PROBE]);
        }
        _ => {
            command.args(["-Urmpfiun", "--mount-proc"]);
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = name == "nsx run" || std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    there.then_some(command)
}

#[expect(clippy::print_stdout, reason = "the table is what this is for")]
fn table() {
    use std::fmt::Write;
    let mut table = String::from("\n");
    let names = ["nsx run", "bwrap", "unshare"];
    let _ = writeln!(table, "{:44}{:>20}{:>20}{:>20}", "", names[0], names[1], names[2]);
    for (words, shown) in PROBES {
        // unshare(1) keeps whatever is there writable: what would be written is not tried below it, nor is what undoes mounts.
        let said = names.map(|name| {
            let harmful = name != "nsx run" && words.contains(&"masks");
            let mut command = launcher(name).filter(|_| !harmful)?;
            let program = if name == "unshare" { suite() } else { PROBE };
            command.args([program, "fixture", "probe"]).args(words).current_dir("/");
            // On a terminal, which is the test's own, or there is nothing to type into.
            let out = match words {
                ["tty"] => Terminal::start(&mut command).end().1.replace("\r\n", "\n"),
                _ => finish(command.stdin(Stdio::null())).out,
            };
            Some(Said::parse(name, &out))
        });
        for what in shown {
            let of_nsx = said[0].as_ref().map(|said| said.get(what)).unwrap_or_default();
            let expected = match *what {
                "CapEff" => "00000000a80425fb",
                "NoNewPrivs" => "1",
                "Seccomp" => "2",
                _ => "E",
            };
            assert!(of_nsx.starts_with(expected), "{what}: {of_nsx}");
            let _ = write!(table, "{what:44}");
            for said in &said {
                let result = said.as_ref().and_then(|said| said.iter().find(|(name, _)| name == what));
                let shown = result.map_or("-", |(_, result)| {
                    // What was read is nobody's to show.
                    if words[0] == "read" && !result.starts_with('E') { "read" } else { result }
                });
                let _ = write!(table, "{shown:>20}");
            }
            table.push('\n');
        }
    }
    println!("{table}");
}
