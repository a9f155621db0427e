//! The target's cgroup, on whatever hierarchies the machine has: v1, hybrid or v2. Cgroups are made for the test, and removed.

use super::harness::{Module, Need, Place, cgroup::Own, held::Held, nsx, output, test, text};

/// What v1 takes without further ado.
const EASY: &[&str] = &["pids", "freezer"];

pub fn module() -> Module {
    let tests = vec![
        test("cgroups::the_targets_is_joined_with_all_namespaces", &[Need::Root], joined),
        test("cgroups::a_frozen_one_is_not_joined", &[Need::Root], frozen),
        test("cgroups::one_that_is_out_of_sight_is_told", &[Need::Root, Need::Tool("unshare")], out_of_sight),
    ];
    Module { name: "cgroups", places: &[Place::Vm], tests }
}

/// Runs nsx, which succeeds, and returns in how many of the test's cgroups the command was, and what nsx noted.
fn joined_by(own: &Own, arguments: &[&str]) -> (usize, String) {
    let all: Vec<&str> =
        ["enter"].into_iter().chain(arguments.iter().copied()).chain(["cat", "/proc/self/cgroup"]).collect();
    let out = output(&mut nsx(&all));
    assert!(out.status.success(), "{arguments:?}: {} {}", out.status, text(&out.stderr));
    let count = text(&out.stdout).lines().filter(|line| line.ends_with(own.name())).count();
    (count, text(&out.stderr))
}

fn joined() {
    let own = Own::new("joined", EASY);
    let target = Held::start(&["process", "uts"]);
    own.add(target.number(0) as u32, "");
    let pid = target.number(0).to_string();
    let all = own.folders("").len();
    for arguments in [&["-t", &pid][..], &["-t", &pid, "-a"], &["-t", &pid, "-u", "-c"], &["-t", &pid, "-a", "-F"]] {
        assert_eq!(joined_by(&own, arguments), (all, String::new()), "{arguments:?}");
    }
    for arguments in [&["-t", &pid, "--no-cgroup"][..], &["-t", &pid, "-u"]] {
        assert_eq!(joined_by(&own, arguments), (0, String::new()), "{arguments:?}");
    }
    // nsx itself stays where it is: limits of the target's are not for it.
    let out = output(&mut nsx(&["enter", "-t", &pid, "--status-fd", "1", "sh", "-c", "cat /proc/$PPID/cgroup"]));
    assert!(!text(&out.stdout).contains(own.name()), "{}", text(&out.stdout));
}

fn frozen() {
    let own = Own::new("frozen", EASY);
    let target = Held::start(&["process", "uts"]);
    own.add(target.number(0) as u32, "");
    let pid = target.number(0).to_string();
    let frozen = own.freeze();
    let (count, note) = joined_by(&own, &["-t", &pid]);
    let refused = output(&mut nsx(&["enter", "-t", &pid, "-u", "-c", "true"]));
    drop(frozen);
    assert_eq!(count, own.folders("").len() - 1, "in all but the one that is frozen");
    assert!(note.contains("is frozen, and the command would not run before it is thawed"), "{note}");
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("hint: --no-cgroup enters without"), "{}", text(&refused.stderr));
}

/// From within a cgroup namespace that begins further down, the target's cgroup cannot be reached.
fn out_of_sight() {
    let own = Own::new("sight", EASY);
    let target = Held::start(&["process", "uts"]);
    let pid = target.number(0).to_string();
    let script = "for folder; do echo $$ >$folder/cgroup.procs || exit 9; done; shift $#; \
        exec unshare -C sh -c '\"$NSX\" enter -t $TARGET true && exec \"$NSX\" enter -t $TARGET -u -c true'";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, "sh"]).args(own.folders(""));
    command.env("NSX", super::harness::nsx_path()).env("TARGET", &pid);
    let out = output(&mut command);
    let errors = text(&out.stderr);
    assert_eq!(out.status.code(), Some(125), "{errors}");
    assert!(
        errors.contains("nsx: note: not in the target's ") && errors.contains("/..: the cgroup lies outside"),
        "{errors}"
    );
    assert!(errors.contains("nsx: cannot join the target's "), "{errors}");
}
