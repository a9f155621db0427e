//! The rules of the house, as far as a machine can hold somebody to them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::harness::{Module, source, test};

pub fn module() -> Module {
    let tests = vec![
        test("house::no_test_file_is_forgotten", &[], no_test_file_is_forgotten),
        test("house::every_tool_has_a_package", &[], every_tool_has_a_package),
        test("house::unsafe_code_is_in_sys", &[], unsafe_is_in_sys),
        test("house::layers_use_only_those_above", &[], layers),
        test("house::files_are_short_and_say_what_they_are", &[], files),
        test("house::architecture_names_every_folder", &[], architecture),
        test("house::words_that_have_no_place_here", &[], words),
    ];
    Module { name: "house", places: &[], tests }
}

fn files_below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![source(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                files.push(path);
            }
        }
    }
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn no_test_file_is_forgotten() {
    let main = read(&source("tests/suite/main.rs"));
    let modules: BTreeSet<String> = std::fs::read_dir(source("tests/suite"))
        .expect("the suite")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|file| file.trim_end_matches(".rs").to_owned())
        .filter(|module| module != "main")
        .collect();
    for module in &modules {
        assert!(main.contains(&format!("\nmod {module};")), "{module} is not in main.rs");
        if module == "harness" {
            continue;
        }
        assert!(main.contains(&format!("        {module}::module(),")), "{module} is not run");
        // A module is chosen by its name, and its tests by the beginning of theirs.
        let text = read(&source(&format!("tests/suite/{module}.rs")));
        assert!(text.contains(&format!("Module {{ name: \"{module}\"")), "{module} has another name");
        for test in
            text.split(" test(\"").chain(text.split(" quiet(\"")).skip(1).filter_map(|text| text.split('"').next())
        {
            let other = test.contains("::") && !test.starts_with(&format!("{module}::")) && !test.contains('\n');
            assert!(!other, "{test} is not of {module}");
        }
    }
}

fn every_tool_has_a_package() {
    let packages = read(&source("scripts/packages"));
    // Put together here, so that this file declares no tool.
    let declared = "Need::To".to_owned() + "ol(\"";
    for file in files_below("tests/suite", "rs") {
        for tool in read(&file).split(&declared).skip(1).filter_map(|rest| rest.split('"').next()) {
            let known = packages.lines().any(|line| line.split_whitespace().next() == Some(tool));
            assert!(known, "{}: {tool} has no line in scripts/packages", file.display());
        }
    }
}

fn unsafe_is_in_sys() {
    for folder in std::fs::read_dir(source("src")).expect("src").filter_map(Result::ok) {
        let path = folder.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "sys") {
            let head = read(&path.join("mod.rs"));
            assert!(head.contains("#![forbid(unsafe_code)]"), "{} does not forbid unsafe code", path.display());
        }
    }
    assert!(read(&source("src/lib.rs")).contains("#![deny(unsafe_code)]"));
    assert!(read(&source("src/main.rs")).contains("#![forbid(unsafe_code)]"));
}

fn layers() {
    // Each may use those before it.
    let order = [
        "model", "sys", "proc", "cgroup", "engine", "scan", "sandbox", "inspect", "net", "select", "launch", "render",
        "cmd",
    ];
    // And some not even all of those.
    let strict: [(&str, &[&str]); 2] = [("engine", &["sys", "proc", "cgroup"]), ("render", &["sys", "scan"])];
    for (place, folder) in order.iter().enumerate() {
        let more = strict.iter().filter(|(name, _)| name == folder).flat_map(|(_, forbidden)| *forbidden);
        let forbidden: Vec<&str> = order[place + 1..].iter().chain(more).copied().collect();
        for file in files_below(&format!("src/{folder}"), "rs") {
            let text = read(&file);
            for module in &forbidden {
                assert!(!text.contains(&format!("crate::{module}::")), "{} uses {module}", file.display());
            }
            if !matches!(*folder, "sys" | "render" | "cmd") {
                for library in ["clap::", "anyhow::", "owo_colors::", "comfy_table::"] {
                    assert!(!text.contains(library), "{} uses {library}", file.display());
                }
            }
            assert!(*folder != "model" || !text.contains("libc"), "{} knows libc", file.display());
        }
    }
    let folders =
        std::fs::read_dir(source("src")).expect("src").filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    assert_eq!(folders.count(), order.len(), "a folder has no layer");
}

fn files() {
    for file in files_below("src", "rs").into_iter().chain(files_below("tests/suite", "rs")) {
        let text = read(&file);
        let is_part = file.ends_with("model/snapshot/tests.rs");
        assert!(is_part || text.starts_with("//!"), "{} does not say what it is for", file.display());
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        assert!(code.lines().count() <= 450, "{} has {} lines", file.display(), code.lines().count());
    }
}

fn architecture() {
    let map = read(&source("ARCHITECTURE.md"));
    assert!(map.lines().count() < 420);
    for folder in
        std::fs::read_dir(source("src")).expect("src").filter_map(Result::ok).filter(|entry| entry.path().is_dir())
    {
        let name = folder.file_name().into_string().expect("UTF-8");
        assert!(map.contains(&format!("`{name}")), "ARCHITECTURE.md does not mention {name}");
    }
    // The tests that documents name are there.
    let suite: String = files_below("tests/suite", "rs").iter().map(|file| read(file)).collect();
    let modules: Vec<String> = std::fs::read_dir(source("tests/suite"))
        .expect("tests/suite")
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    for document in ["ARCHITECTURE.md", "SECURITY.md"] {
        let text = read(&source(document));
        let words = text.split('`').filter(|word| !word.contains(char::is_whitespace));
        let named = words
            .filter(|word| word.split_once("::").is_some_and(|(module, _)| modules.iter().any(|one| one == module)));
        for word in named {
            assert!(suite.contains(&format!("\"{word}\"")), "{document} names the test {word}, which is none");
        }
    }
}

fn words() {
    // Put together here, so that this file does not hold them.
    let forbidden =
        ["to".to_owned() + "do!", "unimplemented".to_owned() + "!", "FIX".to_owned() + "ME:", "XX".to_owned() + "X"];
    let machine = ["/wo".to_owned() + "rk/", "/ro".to_owned() + "ot/", "/ho".to_owned() + "me/"];
    let all = ["src", "tests", "benches", "scripts", "man", "completions", "examples"]
        .into_iter()
        .flat_map(|folder| {
            ["rs", "md", "roff", "c", "json", "1", "bash", "fish", "sh", ""]
                .into_iter()
                .flat_map(move |ending| files_below_any(folder, ending))
        })
        .chain(
            ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "Cargo.toml"]
                .map(source),
        );
    for file in all {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for word in forbidden.iter().chain(&machine) {
            // A shim for old kernels says when it can go.
            let allowed = word.starts_with("FIX") && text.contains(&format!("{word} drop once Linux"));
            assert!(allowed || !text.contains(word.as_str()), "{} has {word}", file.display());
        }
    }
}

fn files_below_any(folder: &str, ending: &str) -> Vec<PathBuf> {
    if !source(folder).is_dir() {
        return Vec::new();
    }
    if ending.is_empty() {
        return std::fs::read_dir(source(folder))
            .expect("a folder")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_file() && path.extension().is_none())
            .collect();
    }
    files_below(folder, ending)
}
