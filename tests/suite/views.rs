//! What different callers see: ordinary users, hidepid, containers, no /proc at all.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

use super::harness::{
    Module, Need, Place, document, held::Held, inode_of, ls_json, namespace, nsx, nsx_path, output, test, text,
};

pub fn module() -> Module {
    let shell = &[Need::Root, Need::Tool("unshare"), Need::Tool("mount"), Need::Tool("setpriv")];
    let tests = vec![
        test("views::an_ordinary_user_sees_what_is_theirs", &[Need::Root], ordinary_user),
        test("views::hidepid_is_a_gap", shell, hidepid),
        test("views::a_container_with_its_own_proc", shell, container),
        test("views::the_proc_of_another_pid_namespace", shell, foreign_proc),
        test("views::no_proc_at_all", shell, no_proc),
        test(
            "views::the_number_that_the_own_net_namespace_has_for_another",
            &[Need::Root, Need::Tool("unshare"), Need::Tool("mount"), Need::Tool("ip")],
            netnsid,
        ),
        test("views::a_user_namespace_whose_owner_is_out_of_reach", shell, out_of_reach),
    ];
    Module { name: "views", places: &[Place::Vm, Place::Systemd], tests }
}

fn ordinary_user() {
    let theirs = Command::new("sleep").arg("1000").uid(65534).gid(65534).spawn();
    let mut theirs = theirs.expect("sleep");
    let stranger = Held::start(&["process", "uts"]);
    let done = output(nsx(&["ls", "--json", "--members"]).uid(65534).gid(65534));
    let error = text(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{error}");
    let list = document(&text(&done.stdout));
    let own = namespace(&list, inode_of(theirs.id(), "net"));
    assert!(own["members"].as_array().expect("members").contains(&theirs.id().into()));
    assert!(list["namespaces"].as_array().expect("all").iter().all(|one| one["ns"] != stranger.number(1)));
    let gap = list["gaps"].as_array().expect("gaps").iter().find(|gap| gap["what"] == "namespaces").expect("a gap");
    assert_eq!(gap["errno"], "EACCES");
    assert!(gap["pids"].as_array().expect("pids").contains(&stranger.pid().into()));
    assert_eq!(error.lines().count(), 1, "one note: {error}");
    assert!(
        error.starts_with("nsx: note: could not see ") && error.trim_end().ends_with("; run as root to see all"),
        "{error}"
    );
    theirs.kill().and_then(|()| theirs.wait()).expect("its end");
}

/// Runs a shell script, with `$NSX` for nsx, in new namespaces of its own.
fn in_new(namespaces: &[&str], script: &str) -> (i32, String, String) {
    let done = output(
        Command::new("unshare")
            .args(namespaces)
            .args(["sh", "-ec", script])
            .env("NSX", nsx_path())
            .env_remove("NO_COLOR"),
    );
    (done.status.code().unwrap_or(-1), text(&done.stdout), text(&done.stderr))
}

fn gap<'a>(document: &'a Value, what: &str) -> Option<&'a Value> {
    document["gaps"].as_array()?.iter().find(|gap| gap["what"] == what)
}

fn hidepid() {
    let script = "mount -t proc -o hidepid=invisible proc /proc
        exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$NSX\" ls --json";
    let (code, out, error) = in_new(&["-m"], script);
    assert_eq!(code, 0, "{error}");
    assert!(gap(&document(&out), "hidden_processes").is_some(), "{out}");
    assert!(error.contains("the processes that /proc hides (hidepid)"), "{error}");
}

fn container() {
    let outside = Held::start(&["socket"]);
    let (code, out, error) = in_new(&["-m", "-p", "-f", "--mount-proc"], "\"$NSX\" ls --json --members; true");
    assert_eq!(code, 0, "{error}");
    let list = document(&out);
    let all = list["namespaces"].as_array().expect("all");
    // PIDs are those of the container, and what is outside of it is not seen.
    let own = all.iter().find(|one| one["ns"] == list["pid_ns"]).expect("its own pid namespace");
    assert_eq!((&own["pid"], &own["initial"], &own["nprocs"]), (&1.into(), &false.into(), &2.into()));
    assert!(all.iter().all(|one| one["ns"] != outside.number(1)));
    assert_eq!(
        list["namespaces"].as_array().map(|all| all.iter().filter(|one| one["type"] == "user").count()),
        Some(1)
    );
}

fn foreign_proc() {
    let outside = Held::start(&["socket"]);
    let (code, out, error) = in_new(&["-p", "-f"], "\"$NSX\" ls --json --members; true");
    assert_eq!(code, 0, "{error}");
    let list = document(&out);
    // Everybody outside is seen in the /proc that was mounted there, by their pids there.
    let net = namespace(&list, inode_of(std::process::id(), "net"));
    assert!(net["members"].as_array().expect("members").contains(&outside.pid().into()));
    // Sockets cannot be asked: pidfd_open(2) would take these pids for those of the inner namespace.
    let gap = gap(&list, "sockets").expect("a gap");
    assert!(gap["pids"].as_array().expect("pids").contains(&outside.pid().into()), "{gap:#}");
}

fn no_proc() {
    let (code, out, error) = in_new(&["-m"], "mount -t tmpfs nsx-test /proc; exec \"$NSX\" ls");
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(error, "nsx: /proc is not procfs\nhint: mount it first: mount -t proc proc /proc\n");
}

fn out_of_reach() {
    let (code, out, error) = in_new(&["-U", "-r", "-n"], "exec \"$NSX\" ls --json");
    assert_eq!(code, 0, "{error}");
    let list = document(&out);
    // Its own net namespace belongs to its own user namespace; who owns the others cannot be asked from in here.
    let owners: Vec<_> =
        list["namespaces"].as_array().expect("all").iter().map(|one| (&one["type"], &one["owner"])).collect();
    assert!(owners.iter().any(|(kind, owner)| *kind == "net" && owner.is_u64()), "{owners:?}");
    let gap = gap(&list, "owner").expect("a gap");
    assert_eq!(gap["errno"], "EPERM");
    let whole = ls_json(&[]);
    assert!(super::views::gap(&whole, "owner").is_none() || !nix::unistd::geteuid().is_root(), "{:#}", whole["gaps"]);
}

fn netnsid() {
    // In a net and a mount namespace of its own, so that neither the host's numbers nor its /run/netns are touched.
    let script = "mount -t tmpfs nsx-test /run
        ip netns add numbered; ip netns set numbered 7; ip netns add plain
        \"$NSX\" ls -t net --json; \"$NSX\" ls -t net -P -n -o NETNSID,NSFS --sort NSFS";
    let (code, out, error) = in_new(&["-m", "-n"], script);
    assert_eq!(code, 0, "{error}");
    let (json, table) = out.split_once("\n}\n").expect("a document and a table");
    let list = document(&format!("{json}\n}}\n"));
    let numbers: Vec<_> = list["namespaces"]
        .as_array()
        .expect("all")
        .iter()
        .filter(|one| one["bind_mounts"].as_array().is_some_and(|mounts| !mounts.is_empty()))
        .map(|one| (one["bind_mounts"][0]["path"].as_str(), one["netnsid"].as_u64()))
        .collect();
    assert!(numbers.contains(&(Some("/run/netns/numbered"), Some(7))), "{numbers:?}");
    assert!(numbers.contains(&(Some("/run/netns/plain"), None)), "{numbers:?}");
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(
        words.contains(&vec!["7", "/run/netns/numbered"]) && words.contains(&vec!["unassigned", "/run/netns/plain"]),
        "{table}"
    );
}
