//! The session with containers that README.md shows, run with a real Docker: each line of output is there for real. What changes from run to
//! run (numbers, ids, how wide columns are) is not compared.

use super::super::harness::engines::{Cgroups, Docker, Room};
use super::super::harness::source;

/// The section that is run.
const HEADING: &str = "## Containers, by name";

pub(super) fn session() {
    let readme = std::fs::read_to_string(source("README.md")).expect("the README");
    let section = readme.split(HEADING).nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the section");
    let docker = Docker::start(Room::new("readme", Cgroups::AsHere), &[]);
    docker.cli(&["tag", "nsx-box:1", "busybox"]);
    let mut commands = 0;
    for block in section.split("```").skip(1).step_by(2) {
        for step in block.trim().trim_start_matches("# ").split("\n# ") {
            let (command, shown) = step.split_once('\n').unwrap_or((step, ""));
            commands += 1;
            if let Some(words) = command.strip_prefix("docker ") {
                docker.cli(&words.split_whitespace().collect::<Vec<_>>());
                continue;
            }
            let words: Vec<&str> = command.strip_prefix("nsx ").expect("a command").split_whitespace().collect();
            let (code, said, errors) = docker.room.nsx(&words);
            assert_eq!(code, Some(0), "{command}: {errors}");
            let said: Vec<String> = said.lines().map(essence).collect();
            for line in shown.lines().filter(|line| line.trim() != "...") {
                assert!(said.contains(&essence(line)), "{command}: no {:?} in {said:#?}", essence(line));
            }
        }
    }
    assert!(commands >= 7, "{section}");
}

/// Returns what does not change: numbers and ids become `N`, names of veths lose their ends, blanks are one.
fn essence(line: &str) -> String {
    let word = |word: &str| {
        let is_id = word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        match word {
            _ if is_id => "N".to_owned(),
            // The room's own network is not the first of its kind on the host.
            "self" => "host".to_owned(),
            word if word.starts_with("veth") && word.len() > 4 => "vethN".to_owned(),
            word => numbers(word),
        }
    };
    // A prompt of ip(8) ends in a blank.
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Replaces numbers, with their decimals and units, by `N`.
fn numbers(word: &str) -> String {
    let mut shown = String::new();
    for character in word.chars() {
        match character {
            '0'..='9' if !shown.ends_with('N') => shown.push('N'),
            '0'..='9' => {}
            // 12.3M and 12M are both some memory.
            '.' | 'K' | 'M' | 'G' if shown.ends_with('N') => {}
            other => shown.push(other),
        }
    }
    shown
}
