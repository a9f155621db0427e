//! Processes that call themselves as those of a sandbox do: what is done to a sandbox by its name is not done to them.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::place::{self, finish, folder, suite};
use crate::harness::processes::{marked, until_so};
use crate::harness::{Need, Test, nsx_path, test};

pub fn tests() -> Vec<Test> {
    vec![
        test(
            "run_isolation::who_takes_a_name_takes_no_stub",
            &[Need::Root, Need::Tool("unshare"), Need::Tool("setpriv")],
            older,
        ),
        test("run_isolation::a_program_that_nobody_reads_is_no_first_process", &[Need::Root], unreadable),
    ]
}

/// A stranger's process that is older, by its number, than root's first process of that name. Numbers go around; here that is done quickly.
fn older() {
    let script = "at() { echo $1 >/proc/sys/kernel/ns_last_pid; }
        at 500; \"$NSX\" run -d --name nsx-test-name sleep 1000 >/dev/null
        at 100; mkfifo \"$FOLDER/said\" \"$FOLDER/end\"; exec 4<>\"$FOLDER/end\"
        setpriv --reuid 54321 --regid 54321 --clear-groups \"$SUITE\" fixture as-attendant memory nsx-test-name \
            <\"$FOLDER/end\" >\"$FOLDER/said\" &
        read line <\"$FOLDER/said\"; echo $line
        \"$NSX\" enter -t nsx:nsx-test-name -U sh -c 'read inside outside count </proc/self/uid_map; echo $outside'
        \"$NSX\" kill --now nsx-test-name; echo code $?
        \"$NSX\" enter -t nsx:nsx-test-name true 2>/dev/null; kill -0 $! && echo alive; kill -9 $!";
    let folder = folder();
    let mut command = Command::new("unshare");
    command.args(["-p", "-f", "--mount-proc", "sh", "-c", script]).stdin(Stdio::null());
    command.env("NSX", nsx_path()).env("SUITE", suite()).env("FOLDER", folder.path());
    let done = finish(&mut command);
    let lines: Vec<&str> = done.out.lines().collect();
    let [ready, outside, code, alive] = lines[..] else { panic!("{done:?}") };
    assert_eq!((ready, code, alive), ("ready", "code 0", "alive"), "{done:?}");
    assert_ne!(outside, "54321", "the stranger's was entered: {done:?}");
}

/// The kernel says of a program that nobody inside may read that it belongs to the host, as it does of nsx's own.
fn unreadable() {
    // Of the host's own files, which belong to nobody inside. With -v it would be root's.
    let folder = super::sight::named("/usr/local");
    let program = folder.path().join("program");
    std::fs::copy(suite(), &program).expect("a copy");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o711)).expect("chmod");
    let mut command = Command::new(nsx_path());
    let name = format!("nsx-test-{}", std::process::id());
    command.args(["run", "-v", &format!("{}:{}:ro", suite(), place::PROBE), place::PROBE, "fixture", "as-attendant"]);
    let mut child = command.arg(&program).arg(&name).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("nsx");
    // Its number among the arguments is that of the impostor alone: nsx has given its own sandbox another name.
    let impostor = || marked(&format!("nsx: sandbox\0{name}")).into_iter().next();
    until_so("an impostor", || impostor().is_some_and(|pid| comm(pid) == "nsx-init\n"));
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(format!("/proc/{}/stat", impostor().expect("one"))).expect("stat").uid();
    let done =
        finish(Command::new(nsx_path()).args(["enter", "-t", &format!("nsx:{name}"), "true"]).stdin(Stdio::null()));
    drop(child.stdin.take());
    child.wait().expect("nsx");
    assert_eq!(owner, 0, "it passes for one of the host's");
    assert_eq!(done.code, Some(125), "{done:?}");
    assert!(done.err.contains("no sandbox is called"), "{done:?}");
}

fn comm(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}
