//! Ways back through mounts and namespaces: to the host's root directory, to its namespaces, to what is masked, to its cgroups
//! (CVE-2022-0492).

use super::place::{self, Caller, Tree, callers, probe};
use crate::harness::{Need, Test, inode_of, nsx, nsx_path, output, test, text};

pub fn tests() -> Vec<Test> {
    vec![
        test("run_isolation::no_namespace_of_the_host_can_be_entered", &[], namespaces),
        test("run_isolation::no_way_leads_back_to_the_root_directory", &[], root),
        test("run_isolation::mounts_made_inside_stay_there", &[Need::Tool("mount"), Need::File("/opt")], propagation),
        test(
            "run_isolation::the_mounts_of_the_host_are_what_they_were",
            &[Need::Root, Need::Tool("unshare"), Need::Tool("mount")],
            mounts_outside,
        ),
        test("run_isolation::what_is_masked_stays_so", &[], masks),
        test(
            "run_isolation::nodes_of_the_host_are_not_changed",
            &[Need::Root, Need::File("/proc/keys"), Need::File("/dev/full")],
            nodes,
        ),
        test("run_isolation::what_is_masked_stays_so_in_a_user_namespace_made_inside", &[], masks_below),
        test("run_isolation::who_may_undo_masks_is_told", &[], note),
        test("run_isolation::the_cgroups_of_the_host_are_out_of_reach", &[], cgroups),
        test(
            "run_isolation::cgroups_cannot_be_shown_by_who_has_some_outside",
            &[Need::Tool("unshare"), Need::Tool("mount")],
            own_cgroups,
        ),
        test("run_isolation::a_sandbox_in_a_sandbox_is_no_way_out", &[Need::Root], nested),
    ]
}

fn namespaces() {
    let host = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let host: Vec<String> = host.iter().map(|kind| format!("[{}]", inode_of(std::process::id(), kind))).collect();
    for (caller, options) in place::all_ways() {
        let said = probe(caller, &options, &["namespaces"]);
        said.is("own.mnt", &[said.get("own.mnt")]);
        for (what, link) in said.iter() {
            assert!(
                !host.iter().any(|inode| link.ends_with(inode)),
                "{caller:?} {options:?}: {what} is the host's {link}"
            );
        }
        said.all("1.", &["refused"]);
        // With the host's processes in sight.
        let options = [&options[..], &["--share", "pid"]].concat();
        let said = probe(caller, &options, &["namespaces"]);
        for (what, result) in said.iter() {
            let of_host = host.iter().any(|inode| result.ends_with(inode)) && !what.contains(".pid");
            assert!(!of_host, "{caller:?} {options:?}: {what} is the host's {result}");
            let entered = what.starts_with("enter.") && result == "ok";
            assert!(!entered, "{caller:?} {options:?}: {what} is entered");
        }
    }
}

/// With a root directory of its own, so that whatever is of the host's says so. Then with what is needed to undo mounts.
fn root() {
    let tree = Tree::new();
    let canary = tree.canary.path.join("sub/deep/file");
    let canary = canary.to_str().expect("UTF-8");
    for (caller, options) in place::all_ways()
        .into_iter()
        .chain(callers().into_iter().map(|caller| (caller, vec!["--cap-add", "SYS_ADMIN"])))
    {
        let options = [&["--rootfs", tree.path(), "-v", "/usr:/usr:ro"][..], &options].concat();
        let said = probe(caller, &options, &["root", canary]);
        said.all("canary.", &["absent"]);
        let admin = options.contains(&"--cap-add");
        if admin {
            // Nothing lies below the root directory: it is the mount namespace's own.
            said.is("setns.first", &["ok"]);
            said.is("umount.first", &["EINVAL"]);
            said.is("umount.second", &["EINVAL"]);
        } else {
            said.all("setns.", &["EPERM"]);
            said.all("umount.", &["EPERM"]);
        }
        said.is("chroot", &["ok"]);
    }
    // By a way back it would have been made there.
    assert!(std::fs::remove_dir("/tmp/nsx-test-jail").is_err(), "a probe has made a folder outside");
    tree.canary.is_untouched("ways back");
}

/// Mounts that are made inside, with all capabilities and on top of what is the host's, stay there.
fn propagation() {
    let mounted = || std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo").contains("nsx-test-inner");
    let mut ways: Vec<(Caller, Vec<&str>)> =
        callers().into_iter().map(|caller| (caller, vec!["--cap-add", "ALL"])).collect();
    if place::is_root() {
        // Without a user namespace nothing but their propagation keeps them in.
        ways.push((Caller::Root, vec!["--userns", "host", "--cap-add", "SYS_ADMIN"]));
    }
    for (caller, options) in ways {
        let script = "mount -t tmpfs nsx-test-inner /opt && grep -c nsx-test-inner /proc/self/mountinfo";
        let done = place::finish(place::run_as(caller, &options).args(["sh", "-c", script]));
        let outside = mounted();
        if outside {
            let _ = nix::mount::umount2("/opt", nix::mount::MntFlags::MNT_DETACH);
        }
        assert!(!outside, "{caller:?}: a mount has come out");
        assert_eq!((done.code, &*done.out), (Some(0), "1\n"), "{caller:?}: {}", done.err);
    }
}

/// Where the host's mounts belong to groups, as below systemd, and where only some do. In mount namespaces of the test's own, with a mount that
/// would go away.
fn mounts_outside() {
    let tree = Tree::new();
    for (prepare, shared) in [
        ("mount --make-rshared /", true),
        (
            "mount -t tmpfs nsx-test /opt && mount --make-shared /opt && mkdir /opt/x && mount -t tmpfs nsx-test /opt/x",
            false,
        ),
    ] {
        for options in [
            &[][..],
            &["--userns", "keep"],
            &["--userns", "host"],
            &["--userns", "host", "--rootfs", tree.path(), "-v", "/usr:/usr:ro"],
            &["--userns", "host", "-v", "/usr:/nsx-test-top"],
        ] {
            let script = format!(
                "{prepare} && cat /proc/self/mountinfo && echo between && \"$0\" run \"$@\" true; echo code $?; cat /proc/self/mountinfo"
            );
            let mut command = std::process::Command::new("unshare");
            command.args(["-m", "--propagation", "private", "sh", "-c", &script]).arg(nsx_path()).args(options);
            let done = place::finish(command.stdin(std::process::Stdio::null()));
            let (before, after) =
                done.out.split_once("between\ncode 0\n").unwrap_or_else(|| panic!("{options:?}: {done:?}"));
            assert_eq!(before, after, "{prepare}: {options:?}");
            assert_eq!(shared, before.lines().all(|line| line.contains(" shared:")), "{before}");
        }
    }
}

fn still_masked(said: &place::Said) {
    said.all("hidden.", &["yes"]);
    said.is("writable./proc/sys/kernel/core_pattern", &["EROFS", "EACCES"]);
    said.is("writable./proc/sys/vm/swappiness", &["EROFS", "EACCES"]);
    said.is("writable./sys/kernel/mm/ksm/run", &["EROFS", "EACCES", "ENOENT"]);
    for path in ["/nsx-test-written", "/etc/nsx-test-written", "/usr/nsx-test-written"] {
        said.is(&format!("writable.{path}"), &["EROFS", "EACCES"]);
    }
}

/// Where root inside is root outside, as root may ask for.
const ROOT_OUTSIDE: [&[&str]; 5] = [
    &["--userns", "keep"],
    &["--userns", "host"],
    &["--userns", "map=0:0:1"],
    &["--userns", "keep", "--share", "pid"],
    &["--userns", "host", "--share", "pid"],
];

fn masks() {
    let mut ways: Vec<(Caller, &[&str])> = Vec::new();
    for caller in callers() {
        ways.extend([(caller, &[][..]), (caller, &["--share", "pid"])]);
    }
    if place::is_root() {
        // Whose files could all be written to.
        ways.extend(ROOT_OUTSIDE.map(|options| (Caller::Root, options)));
    }
    for (caller, options) in ways {
        let said = probe(caller, options, &["masks"]);
        for what in ["umount.", "remount.", "move.", "new.", "bind."] {
            said.all(what, &["EPERM"]);
        }
        still_masked(&said);
    }
}

/// Nodes of devices are the host's, also where one of them hides a file. They are used, and not changed.
fn nodes() {
    use std::os::unix::fs::MetadataExt;
    let of = |path: &str| {
        let found = std::fs::metadata(path).expect("a node");
        (found.mode(), found.uid(), found.gid(), found.ctime(), found.ctime_nsec())
    };
    let before = ["/dev/null", "/dev/full", "/proc/keys"].map(of);
    let script = "echo x >/dev/null && head -c 1 /dev/zero | wc -c
        for path in /dev/null /dev/full /proc/keys; do chmod 600 $path; chown 1:1 $path; done 2>&1 | grep -c Read-only";
    for options in ROOT_OUTSIDE {
        let done = place::finish(place::run_as(Caller::Root, options).args(["sh", "-c", script]));
        assert_eq!(["/dev/null", "/dev/full", "/proc/keys"].map(of), before, "{options:?}");
        assert_eq!((done.code, &*done.out), (Some(0), "1\n6\n"), "{options:?}: {}", done.err);
    }
}

fn masks_below() {
    for caller in callers() {
        for options in [&[][..], &["--user", "0"], &["--seccomp", "none"], &["--allow-new-privs"]] {
            let said = probe(caller, options, &["masks-in-a-user-namespace"]);
            said.is("unshare", &["ok"]);
            said.is("uid_map", &["ok"]);
            // They belong to the user namespace above, and come as one: see "Restrictions on mount namespaces" in mount_namespaces(7).
            said.all("umount.", &["EINVAL", "EPERM"]);
            for path in ["/", "/proc", "/proc/sys", "/proc/acpi", "/sys", "/sys/firmware"] {
                if std::path::Path::new(path).exists() {
                    said.is(&format!("remount.{path}"), &["EPERM", "EINVAL"]);
                }
            }
            said.is("move./proc", &["EINVAL", "EPERM"]);
            said.is("bind./proc", &["EINVAL"]);
            said.is("bind./", &["EINVAL"]);
            said.is("new.proc", &["EPERM", "EINVAL"]);
            said.is("new.sysfs", &["EPERM"]);
            still_masked(&said);
        }
    }
}

fn note() {
    for caller in callers() {
        for (options, told) in [(&[][..], false), (&["--cap-add", "SYS_ADMIN"], true), (&["--cap-add", "ALL"], true)] {
            let mut command = nsx(&["run"]);
            let done = output(place::by(caller, &mut command).args(options).arg("true"));
            let error = text(&done.stderr);
            assert_eq!(done.status.code(), Some(0), "{caller:?} {options:?}: {error}");
            assert_eq!(error.contains("can undo mounts"), told, "{caller:?} {options:?}: {error}");
        }
    }
    // And then they can be undone, but not what the host's /proc/sys is writable by.
    for caller in callers() {
        let said = probe(caller, &["--cap-add", "ALL"], &["masks"]);
        said.is("umount./proc/sys", &["ok", "EINVAL"]);
        for path in ["/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness"] {
            said.is(&format!("writable.{path}"), &["EROFS", "EACCES"]);
        }
        for path in ["/nsx-test-written", "/etc/nsx-test-written", "/usr/nsx-test-written"] {
            said.is(&format!("writable.{path}"), &["EROFS", "EACCES"]);
        }
    }
}

fn cgroups() {
    for (caller, options) in place::all_ways() {
        for limits in [&[][..], &["--pids", "100"]] {
            if caller == Caller::User && !limits.is_empty() {
                // An ordinary user may have no cgroup to make one in.
                continue;
            }
            let options = [&options[..], limits].concat();
            let said = probe(caller, &options, &["cgroups"]);
            let admin = options.contains(&"--cap-add");
            if !admin {
                said.all("unshare", &["EPERM"]);
                said.all("mount.", &["EPERM"]);
            }
            for (what, result) in said.iter() {
                let reaches =
                    ["release_agent.", "procs.", "limit.", "make.", "notify."].iter().any(|one| what.starts_with(one));
                assert!(
                    !(reaches || what.starts_with("/sys/")) || result != "ok",
                    "{caller:?} {options:?}: {what} is {result}"
                );
            }
        }
    }
}

/// Whoever exists inside and has cgroups outside could freeze or kill everybody in them, if they could be mounted: in a cgroup namespace of
/// his own, below a user namespace in which he has all capabilities.
fn own_cgroups() {
    let script = "mkdir -p /tmp/cg
        for flags in -UrmC -Urm; do
            for kind in cgroup2 'cgroup -o pids' 'cgroup -o freezer'; do
                unshare $flags mount -t $kind none /tmp/cg && echo mounted
            done
        done 2>&1 | grep -E '^mounted|not permitted|No space|denied' | sort | uniq -c
        echo end";
    let mut ways: Vec<(Caller, &[&str])> =
        callers().into_iter().flat_map(|caller| [(caller, &[][..]), (caller, &["--seccomp", "none"])]).collect();
    if place::is_root() {
        ways.extend([
            (Caller::Root, &["--userns", "keep"][..]),
            (Caller::Root, &["--userns", "map=0:0:1", "--seccomp", "none"]),
            (Caller::Root, &["--userns", "host"]),
        ]);
        if crate::harness::cgroup::is_usable("pids") {
            ways.push((Caller::Root, &["--userns", "keep", "--pids", "50"]));
        }
    }
    for (caller, options) in ways {
        let done = place::finish(place::run_as(caller, options).args(["sh", "-c", script]));
        let is_roots = caller == Caller::Root && !options.contains(&"--userns");
        // Nobody inside root's own sandbox has any, so there they may be looked at.
        assert!(
            done.out.ends_with("end\n") && (is_roots || !done.out.contains("mounted")),
            "{caller:?} {options:?}: {done:?}"
        );
        assert!(is_roots || done.out.contains("not permitted") || done.out.contains("No space"), "{done:?}");
    }
}

fn nested() {
    nested_of(Caller::Root);
}

pub fn nested_of(caller: Caller) {
    let shown = format!("{}:/run/nsx:ro", crate::harness::nsx_path().display());
    let tree = Tree::new();
    let canary = tree.canary.path.join("sub/deep/file");
    let inner_suite = format!("{}:{}:ro", place::PROBE, place::PROBE);
    let run = |words: &[&str]| {
        let mut command = place::run_as(caller, &["-v", &shown]);
        let done = place::finish(
            command.args(["/run/nsx", "run", "-v", &inner_suite, place::PROBE, "fixture", "probe"]).args(words),
        );
        assert_eq!(done.code, Some(0), "{caller:?} {words:?}: {}{}", done.out, done.err);
        (place::Said::parse(&format!("nested {caller:?} {words:?}"), &done.out), done.err)
    };
    let (said, error) = run(&["masks"]);
    still_masked(&said);
    assert!(error.contains("note: /proc shows the processes outside, too"), "{error}");
    let (said, _) = run(&["root", canary.to_str().expect("UTF-8")]);
    said.all("canary.", &["absent"]);
    let (said, _) = run(&["status", "Seccomp", "Seccomp_filters", "NoNewPrivs"]);
    said.is("Seccomp_filters", &["2"]);
    said.is("NoNewPrivs", &["1"]);
    let (said, _) = run(&["keys"]);
    said.all("", &["EPERM"]);
    tree.canary.is_untouched("a sandbox in a sandbox");
}
