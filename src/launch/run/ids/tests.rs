//! Every choice, as a table; and maps of processes that are really there.

use proptest::prelude::*;

use super::*;
use crate::proc::ProcRoot;
use crate::proc::parse::IdMap;

const ALL: &str = "0 0 4294967295\n";

fn caller(uid: u32, caps: CapSet, map: &str) -> Caller {
    let map = IdMap::parse(map.as_bytes());
    Caller {
        euid: uid,
        egid: uid,
        caps,
        bounding: CapSet::from_bits(u64::MAX),
        uids: map.clone(),
        gids: map,
        passwd: b"root:x:0:0::/:/bin/sh\nal:x:1000:1000::/:/bin/sh\nalso:x:1000:1000::/:\n".to_vec(),
        ..Caller::default()
    }
}

fn user() -> Caller {
    Caller {
        subuid: b"al:100000:65536\nbob:300000:65536\n".to_vec(),
        subgid: b"1000:200000:1000\nalso:400000:10\n".to_vec(),
        newuidmap: Some("/usr/bin/newuidmap".into()),
        newgidmap: Some("/usr/bin/newgidmap".into()),
        ..caller(1000, CapSet::EMPTY, ALL)
    }
}

fn decide(userns: &UserNs, caller: &Caller) -> Result<IdPlan, IdError> {
    choose_with(userns, caller, 0, &mut |_, _| Ok(Some(std::fs::File::open("/dev/null").expect("/dev/null").into())))
}

/// The maps, the writer's name, whether setgroups is denied, and the notes, on a line.
fn told(plan: Result<IdPlan, IdError>) -> String {
    match plan {
        Err(error) => format!("error: {error}"),
        Ok(plan) => {
            let writer = match plan.writer {
                Writer::Helpers { .. } => "Helpers".to_owned(),
                other => format!("{other:?}"),
            };
            let map =
                |map: &[[u32; 3]]| map.iter().map(|[a, b, c]| format!("{a}:{b}:{c}")).collect::<Vec<_>>().join(",");
            let denied = if plan.setgroups_denied { " deny" } else { "" };
            let notes: String = plan.notes.iter().map(|note| format!(" | {note}")).collect();
            format!("{} {} {writer}{denied}{notes}", map(&plan.uids), map(&plan.gids))
        }
    }
}

#[test]
fn root_gets_a_range_of_its_own() {
    let root = caller(0, MAPPING, ALL);
    for userns in [UserNs::Auto, UserNs::Root] {
        let plan = decide(&userns, &root).expect("a plan");
        assert_eq!(plan.locks.len(), 1);
        assert_eq!(told(Ok(plan)), "0:524288:65536 0:524288:65536 Nsx");
    }
    // By its capabilities, not by its number.
    assert_eq!(told(decide(&UserNs::Auto, &caller(1000, MAPPING, ALL))), "0:524288:65536 0:524288:65536 Nsx");
    assert_eq!(told(decide(&UserNs::Keep, &root)), "0:0:1 0:0:1 Nsx | root inside is root outside");
    assert_eq!(told(decide(&UserNs::Host, &root)), "  Nobody");
    let powerless = caller(0, CapSet::SETGID, ALL);
    for userns in [UserNs::Auto, UserNs::Root] {
        assert_eq!(
            told(decide(&userns, &powerless)),
            "error: cannot map root inside to anybody but root outside: the caller lacks the capabilities setuid"
        );
    }
}

#[test]
fn root_of_a_user_namespace_shares_its_ids_where_there_is_no_other_range() {
    let full = MAPPING | CapSet::SETFCAP;
    let note = " | root inside is root of this user namespace, which has no other range of 65536 ids";
    let shifted =
        " | ids inside are one less than in this user namespace: mapping its root takes the capability setfcap";
    let alone = " | only id 0 exists inside, and files of others show as nobody's: root of this user namespace lacks the \
                 capabilities setgid,setuid";
    let cases = [
        (full, "0 524288 65536\n", format!("0:0:65536 0:0:65536 Nsx{note}")),
        (full, "0 1000 1\n1 100000 65536\n", format!("0:0:1,1:1:65536 0:0:1,1:1:65536 Nsx{note}")),
        (full, "0 1000 1\n", format!("0:0:1 0:0:1 Nsx{note}")),
        (MAPPING, "0 524288 65536\n", format!("0:1:65535 0:1:65535 Nsx{shifted}")),
        (MAPPING, "0 1000 1\n1 100000 9\n", format!("0:1:9 0:1:9 Nsx{shifted}")),
        (
            MAPPING,
            "0 1000 1\n",
            "error: cannot map root inside to anybody but root outside: the caller lacks the capabilities setfcap"
                .to_owned(),
        ),
        (CapSet::EMPTY, "0 524288 65536\n", format!("0:0:1 0:0:1 Itself deny{alone}")),
        (MAPPING, "0 524288 131072\n", "0:65536:65536 0:65536:65536 Nsx".to_owned()),
        (MAPPING, "0 1000000 1000000000\n", "0:524288:65536 0:524288:65536 Nsx".to_owned()),
    ];
    for (caps, map, expected) in cases {
        assert_eq!(told(decide(&UserNs::Auto, &caller(0, caps, map))), expected, "{caps} {map}");
    }
}

#[test]
fn a_user_gets_what_is_subordinate_to_it() {
    let plan = "0:1000:1,1:100000:65535 0:1000:1,1:200000:1000,1001:400000:10 Helpers";
    assert_eq!(told(decide(&UserNs::Auto, &user())), plan);
    assert_eq!(told(decide(&UserNs::Root, &user())), "0:1000:1 0:1000:1 Itself deny");
    assert_eq!(told(decide(&UserNs::Keep, &user())), "1000:1000:1 1000:1000:1 Itself deny");
    assert_eq!(told(decide(&UserNs::Host, &user())), "  Nobody");
    // Broken, overlapping and its own: passed over.
    let subuid = b"al:x:1\nal:1000:5\nal:100000:10\nal:100009:10\nal:100010:5\nal:7:0\n".to_vec();
    let odd = Caller { subuid, ..user() };
    assert!(told(decide(&UserNs::Auto, &odd)).starts_with("0:1000:1,1:100000:10,11:100010:5 "));
    // newgrp(1) changes nothing for newgidmap(1).
    let other_group = Caller { egid: 27, ..user() };
    assert_eq!(told(decide(&UserNs::Auto, &other_group)), plan);
    assert_eq!(told(decide(&UserNs::Root, &other_group)), "0:1000:1 0:27:1 Itself deny");
}

#[test]
fn a_user_without_gets_one_id_and_is_told_why() {
    let without = |change: fn(&mut Caller)| {
        let mut user = user();
        change(&mut user);
        user
    };
    let cases: [(Caller, &str); 8] = [
        (without(|user| user.subuid.clear()), "/etc/subuid has no line for al"),
        (without(|user| user.subgid = b"bob:1:1\n".to_vec()), "/etc/subgid has no line for al"),
        (
            without(|user| {
                user.passwd.clear();
                user.subuid.clear();
            }),
            "/etc/subuid has no line for uid 1000",
        ),
        (without(|user| user.newuidmap = None), "newuidmap is not installed (package uidmap, or shadow)"),
        (without(|user| user.newgidmap = None), "newgidmap is not installed (package uidmap, or shadow)"),
        (without(|user| user.no_new_privs = true), "no_new_privs is set, and so newuidmap has no privileges"),
        (
            without(|user| user.bounding = CapSet::SETUID),
            "newgidmap cannot have the capability setgid: the bounding set lacks it",
        ),
        (
            without(|user| user.uids = IdMap::parse(b"0 524288 65536\n")),
            "no range that /etc/subuid has for al exists in this user namespace",
        ),
    ];
    for (user, why) in cases {
        let expected = format!(
            "0:1000:1 0:1000:1 Itself deny | only id 0 exists inside, and files of others show as nobody's: {why}"
        );
        assert_eq!(told(decide(&UserNs::Auto, &user)), expected);
    }
}

#[test]
fn maps_that_were_asked_for_are_those_that_may_be() {
    let map = |uids: &[[u32; 3]], gids: &[[u32; 3]]| UserNs::Map { uids: uids.to_vec(), gids: gids.to_vec() };
    let root = caller(0, MAPPING, ALL);
    let nested = caller(0, MAPPING, "0 524288 65536\n");
    let none = Caller { newuidmap: None, ..user() };
    let (own, other) = ([5, 1000, 1], [0, 100_000, 10]);
    let cases = [
        (&root, map(&[[0, 7, 1]], &[[0, 9, 2]]), "0:7:1 0:9:2 Nsx"),
        (&root, map(&[[3, 0, 1]], &[[0, 9, 2]]), "3:0:1 0:9:2 Nsx | uid 3 inside is root outside"),
        (&nested, map(&[[3, 0, 1]], &[[0, 9, 2]]), "3:0:1 0:9:2 Nsx"),
        (
            &nested,
            map(&[[0, 65_530, 7]], &[[0, 9, 2]]),
            "error: 0:65530:7 of the uid map has ids outside that this user namespace does not have (/proc/self/uid_map)",
        ),
        (&root, map(&[[0, 7, 1]], &[]), "error: the gid map has no line"),
        (&none, map(&[own], &[own]), "5:1000:1 5:1000:1 Itself deny"),
        (
            &user(),
            map(&[other, own], &[own]),
            "error: 0:100000:10 and 5:1000:1 of the uid map have ids inside in common",
        ),
        (&user(), map(&[[0, 100_000, 5], own], &[own]), "0:100000:5,5:1000:1 5:1000:1 Helpers"),
        (
            &user(),
            map(&[[0, 165_530, 7]], &[own]),
            "error: 0:165530:7 of the uid map has ids outside that are not the caller's: /etc/subuid does not say so",
        ),
        (
            &user(),
            map(&[own], &[[0, 0, 1]]),
            "error: 0:0:1 of the gid map has ids outside that are not the caller's: /etc/subgid does not say so",
        ),
        (
            &none,
            map(&[other], &[own]),
            "error: the uid map takes more than the caller's own uid, and so newuidmap and newgidmap: newuidmap is not installed \
             (package uidmap, or shadow)",
        ),
    ];
    for (caller, userns, expected) in cases {
        assert_eq!(told(decide(&userns, caller)), expected);
    }
}

#[test]
fn who_has_no_id_itself_makes_no_user_namespace() {
    let lost = caller(65_534, CapSet::EMPTY, "0 1000 1\n");
    assert_eq!(
        told(decide(&UserNs::Auto, &lost)),
        "error: cannot make a user namespace: uid 65534 has no mapping in the caller's own (/proc/self/uid_map)"
    );
    assert_eq!(told(decide(&UserNs::Host, &lost)), "  Nobody");
}

#[test]
fn ids_are_translated() {
    let plan = decide(&UserNs::Auto, &user()).expect("a plan");
    assert_eq!(
        (plan.uid_outside(0), plan.uid_outside(1), plan.uid_outside(65_535)),
        (Some(1000), Some(100_000), Some(165_534))
    );
    assert_eq!((plan.gid_outside(1001), plan.gid_outside(1011)), (Some(400_000), None));
    assert!(plan.has_uid(65_535) && !plan.has_uid(65_536) && plan.has_gid(1010) && !plan.has_gid(1011));
    assert!(plan.has_outside(1000) && plan.has_outside(165_534) && !plan.has_outside(0) && !plan.has_outside(165_535));
    let host = decide(&UserNs::Host, &user()).expect("a plan");
    assert!(host.has_outside(0) && host.has_uid(7) && host.gid_outside(9) == Some(9) && host.files().is_empty());
}

#[test]
fn the_files_are_written_in_the_order_of_the_kernel() {
    let folder = tempfile::tempdir().expect("a folder");
    let process = folder.path().join("7");
    std::fs::create_dir(&process).expect("a folder");
    let proc = ProcRoot::open(folder.path()).expect("a tree");
    let plan = decide(&UserNs::Keep, &user()).expect("a plan");
    let error = write(&plan, &proc, 7).expect_err("no file");
    assert!(error.to_string().ends_with("/7/setgroups): No such file or directory (ENOENT)"), "{error}");
    for file in ["setgroups", "uid_map", "gid_map"] {
        std::fs::write(process.join(file), "").expect("a file");
    }
    write(&plan, &proc, 7).expect("written");
    let read = |file: &str| std::fs::read_to_string(process.join(file)).expect("a file");
    assert_eq!((read("setgroups").as_str(), read("uid_map").as_str()), ("deny", "1000 1000 1\n"));
    assert_eq!(plan.files().iter().map(|(file, _)| *file).collect::<Vec<_>>(), [c"setgroups", c"gid_map", c"uid_map"]);
    assert_eq!(write(&decide(&UserNs::Host, &user()).expect("a plan"), &proc, 1), Ok(()));
}

#[test]
fn what_a_helper_says_is_the_error() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
        path
    };
    let proc = ProcRoot::open(std::path::Path::new("/proc")).expect("/proc");
    let good = script("good", &format!("echo $* >>{}", folder.path().join("said").display()));
    let bad = script("bad", "echo 'newgidmap: gid range [0-1) -> [5-6) not allowed' >&2; exit 1");
    let with = |newuidmap: &PathBuf, newgidmap: &PathBuf| {
        let writer = Writer::Helpers { newuidmap: newuidmap.clone(), newgidmap: newgidmap.clone() };
        write(&IdPlan { writer, ..decide(&UserNs::Auto, &user()).expect("a plan") }, &proc, 7)
    };
    assert_eq!(with(&good, &good), Ok(()));
    let said = std::fs::read_to_string(folder.path().join("said")).expect("a file");
    assert!(said.contains("7 0 1000 1 1 100000 65535\n") && said.contains("7 0 1000 1 1 200000 1000 1001 400000 10\n"));
    assert_eq!(
        with(&good, &bad).expect_err("bad").to_string(),
        "cannot map ids into the user namespace: newgidmap: gid range [0-1) -> [5-6) not allowed"
    );
    let error = with(&folder.path().join("none"), &good).expect_err("none");
    assert!(error.to_string().ends_with("/none: posix_spawn: No such file or directory (ENOENT)"), "{error}");
}

/// A process in a user namespace of its own, made by unshare(1); killed when it is dropped.
struct Unshared(std::process::Child);

impl Unshared {
    fn start() -> Option<Unshared> {
        use std::io::Read;
        let mut child = std::process::Command::new("unshare")
            .args(["--user", "sh", "-c", "echo; exec sleep 60"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .ok()?;
        let mut said = [0];
        let ready = child.stdout.as_mut().is_some_and(|out| out.read_exact(&mut said).is_ok());
        let child = Unshared(child);
        ready.then_some(child)
    }
}

impl Drop for Unshared {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_kernel_takes_what_was_decided() {
    let proc = ProcRoot::open(std::path::Path::new("/proc")).expect("/proc");
    for userns in [UserNs::Auto, UserNs::Keep] {
        // Where no user namespace may be made there is nothing to see; the suite tests the whole.
        let Some(process) = Unshared::start() else { return };
        let caller = Caller::read(&proc, std::path::Path::new("/etc"), &userns).expect("read");
        let plan = choose(&userns, &caller).expect("a plan");
        if matches!(plan.writer, Writer::Helpers { .. }) {
            return;
        }
        write(&plan, &proc, process.0.id().cast_signed()).expect("written");
        for (file, expected) in [("uid_map", &plan.uids), ("gid_map", &plan.gids)] {
            let text = std::fs::read(format!("/proc/{}/{file}", process.0.id())).expect("a map");
            assert_eq!(IdMap::parse(&text).ranges(), expected.as_slice());
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_chosen_can_be(
        passwd in "([a-b]{0,2}:x:[0-9]{0,10}:[0-9]{0,10}:::\n){0,4}",
        subuid in "([a-b]{0,2}:[0-9]{0,10}:[0-9]{0,11}\n){0,6}",
        subgid in "(1000:[0-9]{0,10}:[0-9]{0,11}\n){0,6}",
        privileged in any::<bool>(),
    ) {
        let caps = if privileged { MAPPING } else { CapSet::EMPTY };
        let caller = Caller {
            passwd: passwd.into_bytes(),
            subuid: [subuid.as_bytes(), b"1000:70000:9\n"].concat(),
            subgid: subgid.into_bytes(),
            caps,
            ..user()
        };
        let plan = decide(&UserNs::Auto, &caller);
        if let Ok(plan) = plan {
            let again = UserNs::Map { uids: plan.uids.clone(), gids: plan.gids.clone() };
            let allowed = decide(&again, &caller);
            prop_assert!(allowed.is_ok(), "{allowed:?} {plan:?}");
        } else {
            prop_assert!(privileged);
        }
    }
}
