//! Security contexts: `-Z` where an LSM confines the target. AppArmor, which Debian's kernels have.

use std::process::Command;

use super::harness::{Module, Need, Place, held::Held, nsx, output, test, text};

const NEEDS: &[Need] = &[Need::Root, Need::AppArmor, Need::Tool("apparmor_parser"), Need::Tool("mount")];

pub fn module() -> Module {
    let tests = vec![
        test("contexts::the_targets_is_taken", NEEDS, taken),
        test("contexts::a_target_without_one", &[], without),
    ];
    Module { name: "contexts", places: &[Place::Vm], tests }
}

/// Loads a profile that allows everything, under a name of the test's own.
fn load_profile(name: &str) {
    if !std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        let mount = output(Command::new("mount").args(["-t", "securityfs", "none", "/sys/kernel/security"]));
        assert!(mount.status.success(), "{}", text(&mount.stderr));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("profile");
    let profile = format!(
        "profile {name} {{ file, capability, network, mount, umount, pivot_root, ptrace, signal, unix, dbus, userns, }}\n"
    );
    let mut errors = String::new();
    let accepted = [profile.clone(), profile.replace(" userns,", "")].into_iter().any(|profile| {
        std::fs::write(&file, profile).expect("written");
        let mut parser = Command::new("apparmor_parser");
        let loaded = output(parser.args(["--replace", "--skip-cache"]).arg(&file));
        errors += &text(&loaded.stderr);
        loaded.status.success()
    });
    assert!(accepted, "the profile is not taken: {errors}");
}

fn taken() {
    load_profile("nsx-test");
    for unshare in [&["unshare", "-u"][..], &["unshare", "-p", "-f", "--kill-child"]] {
        let script = "echo 'exec nsx-test' >/proc/self/attr/exec && exec sh -c 'echo ready $(cat /proc/self/attr/current); read line'";
        let mut command = Command::new(unshare[0]);
        let held = Held::start_command(command.args(&unshare[1..]).args(["sh", "-c", script]));
        assert_eq!(held.words[0], "nsx-test", "{unshare:?}");
        // The child of unshare(1), where it has made one.
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", held.pid())).unwrap_or_default();
        let pid = children.split_whitespace().next().map_or_else(|| held.pid().to_string(), str::to_owned);
        for (option, label) in
            [(Some("-Z"), "nsx-test (enforce)"), (Some("--follow-context"), "nsx-test (enforce)"), (None, "unconfined")]
        {
            let mut command = nsx(&["enter", "-t", &pid, "--no-cgroup"]);
            let out = output(command.args(option).args(["cat", "/proc/self/attr/current"]));
            assert_eq!(text(&out.stdout).trim(), label, "{unshare:?} {option:?}: {}", text(&out.stderr));
        }
    }
}

fn without() {
    let own = std::process::id().to_string();
    let out = output(&mut nsx(&["enter", "-t", &own, "-Z", "true"]));
    let errors = text(&out.stderr);
    assert_eq!(out.status.code(), Some(125), "{errors}");
    assert!(errors.contains(&format!("process {own} has no security context: no LSM here confines it")), "{errors}");
    assert!(errors.contains("hint: leave out -Z"), "{errors}");
}
