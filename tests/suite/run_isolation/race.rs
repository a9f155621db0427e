//! A root directory that changes while nsx is at work in it: somebody swaps a directory and a link, as fast as that goes (CVE-2021-30465,
//! CVE-2018-15664).

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::libc;

use super::descriptors::inherit_much;
use super::paths::refused_or_run;
use super::place::{Caller, PROBE, Tree, callers, finish};
use crate::harness::{Place, Test, test};

pub fn tests() -> Vec<Test> {
    vec![test("run_isolation::a_root_that_changes_meanwhile_leads_nowhere", &[], swapped)]
}

fn swap(one: &Path, other: &Path) -> bool {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    let (one, other) = (text(one), text(other));
    let (here, exchange) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
    // SAFETY: both paths live through the call.
    unsafe { libc::syscall(libc::SYS_renameat2, here, one.as_ptr(), here, other.as_ptr(), exchange) == 0 }
}

fn swapped() {
    let tree = Tree::new();
    std::fs::create_dir(tree.root.join("target")).expect("a folder");
    let places: Vec<_> =
        ["proc", "dev", "tmp", "run", "start", "target", "sys"].map(|name| tree.root.join(name)).into();
    let links: Vec<_> = (0..places.len()).map(|number| tree.beside(&format!("link-{number}"))).collect();
    for (number, link) in links.iter().enumerate() {
        let to = if number % 2 == 0 {
            tree.canary.path.display().to_string()
        } else {
            format!("../../../../../../..{}", tree.canary.path.display())
        };
        symlink(to, link).expect("a link");
    }
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut ran, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                for (place, link) in places.iter().zip(&links) {
                    // There, and most of the time soon back: so that some starts come far.
                    for _ in 0..2 {
                        swaps.fetch_add(u64::from(swap(place, link)), Ordering::Relaxed);
                    }
                }
            }
        });
        let callers = callers();
        // An emulated machine is slow, and its files change as often between two steps.
        let starts = if Place::here() == Place::Vm { 60 } else { 500 };
        for round in 0..starts {
            let caller: Caller = callers[round % callers.len()];
            let options: &[&str] = match round % 3 {
                0 => &["-w", "/start"],
                1 => &["-v", "/etc:/target:ro", "--tmpfs", "/start"],
                _ => &["-v", "/etc/hostname:/tmp/a/b/c", "--user", "0:0"],
            };
            let mut command = tree.run_as(caller, options);
            inherit_much(&mut command);
            let places =
                ["make", "/target/nsx-test-made", "/start/nsx-test-made", "/dev/nsx-test-made", "/tmp/nsx-test-made"];
            let done = finish(command.args([PROBE, "fixture", "probe"]).args(places));
            let of = format!("{caller:?} {options:?}");
            // Where / is not what it was a moment before, not even the program need be there.
            if !matches!(done.code, Some(126 | 127)) {
                refused_or_run(&of, done.code, &done.err);
            }
            *(if done.code == Some(0) { &mut ran } else { &mut refused }) += 1;
            if round % 10 == 0 {
                tree.canary.is_untouched(&of);
            }
        }
        over.store(true, Ordering::SeqCst);
    });
    tree.canary.is_untouched("all swaps");
    let swaps = swaps.load(Ordering::Relaxed);
    assert!(swaps > 1000 && ran > 0 && refused > 0, "{swaps} swaps, {ran} ran, {refused} refused");
}
