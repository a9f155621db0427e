//! Paths that the caller gives, or that a root directory has links at: working directories and the places of what is shown inside
//! (CVE-2024-21626, CVE-2018-15664, CVE-2021-30465).

use std::os::unix::fs::symlink;
use std::path::Path;

use super::descriptors::inherit_much;
use super::place::{self, Caller, PROBE, Tree, callers, finish, run_as};
use crate::harness::{Test, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("run_isolation::a_working_directory_behind_a_descriptor_is_refused", &[], by_descriptor),
        test("run_isolation::a_working_directory_that_a_root_has_a_link_for_stays_inside", &[], by_link),
        test("run_isolation::the_callers_directory_does_not_come_along", &[], callers_own),
        test("run_isolation::what_is_shown_is_attached_inside_only", &[], shown),
    ]
}

/// Links out of a root directory; what is relative to `/` leads into it.
fn ways_out(tree: &Tree) -> Vec<String> {
    let canary = tree.canary.path.display();
    let descriptors = (3..=24).chain([40, 900]).map(|fd| format!("/proc/self/fd/{fd}"));
    let others = [
        format!("{canary}"),
        format!("../../../../../../../../{canary}"),
        "../../..".to_owned(),
        "/proc/1/root".to_owned(),
        "/proc/1/cwd".to_owned(),
        "/proc/self/cwd".to_owned(),
        "/proc/self/root".to_owned(),
        "/proc/thread-self/cwd".to_owned(),
        "/nsx-test-nowhere".to_owned(),
    ];
    descriptors.chain(others).collect()
}

/// Says where a command is: where it says that it is, and whether the canary is there.
const WHERE: &str = "readlink /proc/self/cwd; for up in . .. ../.. ../../..; do test -e $up/sub/deep/file && echo found; \
                     test -e $up/canary && echo found; done; true";

fn is_inside(of: &str, out: &str) {
    let cwd = out.lines().next().unwrap_or_default();
    assert!(cwd.starts_with('/') && !cwd.contains("nsx-test-"), "{of}: {out}");
    assert!(!out.contains("found"), "{of}: {out}");
}

fn by_descriptor() {
    let tree = Tree::new();
    for caller in callers() {
        for way in ways_out(&tree) {
            if !way.starts_with("/proc") {
                continue;
            }
            for below in ["", "/", "/.", "/..", "/etc"] {
                let way = format!("{way}{below}");
                let mut command = tree.run_as(caller, &["-w", &way]);
                inherit_much(&mut command);
                let done = finish(command.args(["sh", "-c", WHERE]));
                let of = format!("{caller:?} {way}");
                if below == "/.." {
                    // Whoever writes such a path hears of it before anything is looked at.
                    assert_eq!(done.code, Some(2), "{of}: {}{}", done.out, done.err);
                    continue;
                }
                assert_eq!(done.code, Some(125), "{of}: {}{}", done.out, done.err);
                assert!(done.err.starts_with("nsx: "), "{of}: {}", done.err);
                if below.is_empty() && !way.ends_with("fd/3") {
                    break;
                }
            }
        }
    }
    tree.canary.is_untouched("working directories");
}

fn by_link() {
    let tree = Tree::new();
    let link = tree.root.join("elsewhere");
    for caller in callers() {
        for way in ways_out(&tree) {
            let _ = std::fs::remove_file(&link);
            symlink(&way, &link).expect("a link");
            let mut command = tree.run_as(caller, &["-w", "/elsewhere"]);
            inherit_much(&mut command);
            let done = finish(command.args(["sh", "-c", WHERE]));
            let of = format!("{caller:?} {way}");
            match done.code {
                Some(125) => assert!(done.err.starts_with("nsx: "), "{of}: {}", done.err),
                Some(0) => is_inside(&of, &done.out),
                _ => panic!("{of}: {:?} {}{}", done.code, done.out, done.err),
            }
        }
    }
    tree.canary.is_untouched("working directories");
}

fn callers_own() {
    let tree = Tree::new();
    // Where the caller is, the root directory has a link.
    let link = tree.root.join(tree.canary.path.strip_prefix("/").expect("absolute"));
    std::fs::create_dir_all(link.parent().expect("a folder")).expect("folders");
    for caller in callers() {
        for way in ways_out(&tree) {
            let _ = std::fs::remove_file(&link);
            symlink(&way, &link).expect("a link");
            let mut command = tree.run_as(caller, &[]);
            inherit_much(&mut command);
            let done = finish(command.args(["sh", "-c", WHERE]).current_dir(&tree.canary.path));
            let of = format!("{caller:?} {way}");
            assert_eq!(done.code, Some(0), "{of}: {}{}", done.out, done.err);
            is_inside(&of, &done.out);
        }
        // In the host's own root the caller's directory is hidden where it lies in /tmp.
        let mut command = run_as(caller, &[]);
        inherit_much(&mut command);
        let done = finish(command.args(["sh", "-c", WHERE]).current_dir(&tree.canary.path));
        is_inside(&format!("{caller:?}"), &done.out);
    }
}

/// A file that is shown, at a place where the root directory has a link.
fn shown() {
    let tree = Tree::new();
    let source = tree.beside("source");
    std::fs::create_dir(&source).expect("a folder");
    std::fs::write(source.join("mark"), "").expect("a file");
    let volume = |target: &str| format!("{}:{target}", source.display());
    for caller in callers() {
        for way in ways_out(&tree) {
            for (link, target) in
                [("target", "/target"), ("target", "/target/sub"), ("start/target", "/start/target/sub/deep")]
            {
                let link = tree.root.join(link);
                symlink(&way, &link).expect("a link");
                for options in [vec!["-v", &volume(target)], vec!["--tmpfs", target]] {
                    let mut command = tree.run_as(caller, &options);
                    inherit_much(&mut command);
                    let done =
                        finish(command.args([PROBE, "fixture", "probe", "make", &format!("{target}/nsx-test-made")]));
                    let of = format!("{caller:?} {way} {options:?}");
                    refused_or_run(&of, done.code, &done.err);
                    tree.canary.is_untouched(&of);
                }
                std::fs::remove_file(&link).expect("the link is still there");
                let way = way.clone();
                if caller == Caller::User && place::is_root() && way.starts_with("/proc/self/fd/2") {
                    // Of many that are alike a few are enough.
                    break;
                }
            }
        }
    }
    assert!(Path::new(&source).join("mark").exists());
    tree.canary.is_untouched("volumes");
}

/// Either it was refused, and that was said, or a command has run.
pub fn refused_or_run(of: &str, code: Option<i32>, error: &str) {
    match code {
        Some(125) => assert!(error.starts_with("nsx: "), "{of}: {error}"),
        Some(0) => {}
        _ => panic!("{of}: {code:?} {error}"),
    }
}
