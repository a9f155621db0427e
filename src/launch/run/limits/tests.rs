//! Tests of what is chosen, on made-up trees.

use super::*;

/// A host with v2 alone: cgroups with what they have and hand on, and who is in them.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new(own: &str, cgroups: &[(&str, &str, &str, &str)]) -> Tree {
        let tree = Tree(tempfile::tempdir().expect("a directory"));
        let write = |path: &str, text: &str| {
            let path = tree.0.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        };
        write("proc/self/mountinfo", "31 23 0:28 / /cg rw - cgroup2 cgroup2 rw\n");
        write("proc/self/cgroup", &format!("0::{own}\n"));
        write("proc/cgroups", "");
        std::os::unix::fs::symlink(tree.0.path(), tree.0.path().join("proc/self/root")).expect("a link");
        for (path, has, hands_on, pids) in cgroups {
            let file = |name: &str| format!("cg{path}/{name}");
            write(&file("cgroup.controllers"), has);
            write(&file("cgroup.subtree_control"), hands_on);
            write(&file("cgroup.procs"), pids);
            if *path != "/" {
                write(&file("cgroup.type"), "domain\n");
            }
        }
        tree
    }

    fn calls(&self, knobs: &[&str], parent: Option<&str>) -> Result<Vec<String>, String> {
        let plan = self.plan(knobs, parent, false)?;
        Ok(plan.steps().into_iter().map(|step| step.calls[0].clone()).collect())
    }

    fn plan(&self, knobs: &[&str], parent: Option<&str>, inner: bool) -> Result<CgroupPlan, String> {
        let proc = ProcRoot::open(&self.0.path().join("proc")).expect("proc");
        let asked = knobs.iter().map(|knob| knob.parse().expect("a knob")).collect();
        let limits = Limits { asked, parent: parent.map(PathBuf::from) };
        let cgroups = open(&proc, &limits).expect("hierarchies");
        prepare(&cgroups, &limits, "nsx-1", inner).map_err(|error| error.to_string())
    }
}

const ALL: &str = "cpuset cpu io memory pids";

#[test]
fn it_is_made_beside_the_callers_own() {
    let tree = Tree::new(
        "/u/s",
        &[("/", ALL, "memory pids", ""), ("/u", "memory pids", "memory pids", ""), ("/u/s", "memory pids", "", "7\n")],
    );
    assert_eq!(
        tree.calls(&["memory.max=64M", "pids.max=20"], None).expect("a plan"),
        [
            "mkdirat(/cg/u/nsx-1, 0755)",
            "write(/cg/u/nsx-1/memory.max, \"67108864\")",
            "write(/cg/u/nsx-1/pids.max, \"20\")",
            "write(/cg/u/nsx-1/memory.oom.group, \"1\")",
        ]
    );
    // What is not handed on so far is, from the top down. What the user says of memory.oom.group counts.
    assert_eq!(
        tree.calls(&["cpu.max=0.5", "memory.oom.group=0"], None).expect("a plan")[..4],
        [
            "write(/cg/cgroup.subtree_control, \"+cpu\")",
            "write(/cg/u/cgroup.subtree_control, \"+cpu\")",
            "mkdirat(/cg/u/nsx-1, 0755)",
            "write(/cg/u/nsx-1/cpu.max, \"50000 100000\")",
        ]
    );
    assert_eq!(tree.calls(&["pids.max=20"], Some("/")).expect("a plan")[0], "mkdirat(/cg/nsx-1, 0755)");
    let by_directory = tree.calls(&["pids.max=20"], Some("/cg/u")).expect("a plan");
    assert_eq!(by_directory[0], "mkdirat(/cg/u/nsx-1, 0755)");
    assert_eq!(tree.calls(&[], None).expect("a plan"), Vec::<String>::new());
    assert_eq!(tree.calls(&[], Some("/u")).expect("a plan")[0], "mkdirat(/cg/u/nsx-1, 0755)");
}

#[test]
fn the_root_takes_processes_beside_cgroups() {
    let tree = Tree::new("/", &[("/", ALL, "", "1\n7\n")]);
    assert_eq!(
        tree.calls(&["pids.max=20"], None).expect("a plan")[..2],
        ["write(/cg/cgroup.subtree_control, \"+pids\")", "mkdirat(/cg/nsx-1, 0755)"]
    );
}

#[test]
fn whose_owner_is_inside_has_its_processes_in_a_cgroup_below() {
    let tree = Tree::new("/", &[("/", ALL, "memory pids", "1\n7\n")]);
    let knobs = ["pids.max=20", "cgroup.max.descendants=0"];
    let plan = tree.plan(&knobs, None, true).expect("a plan");
    let calls: Vec<String> = plan.steps().into_iter().map(|step| step.calls[0].clone()).collect();
    assert_eq!(
        calls,
        [
            "mkdirat(/cg/nsx-1, 0755)",
            "write(/cg/nsx-1/pids.max, \"20\")",
            "mkdirat(/cg/nsx-1/box, 0755)",
            "write(/cg/nsx-1/cgroup.max.descendants, \"0\")",
        ]
    );
    let names = |all: Vec<(_, &std::ffi::CStr)>| -> Vec<String> {
        all.into_iter()
            .map(|(_, name): (std::os::fd::BorrowedFd<'_>, _)| name.to_str().expect("UTF-8").to_owned())
            .collect()
    };
    assert_eq!(names(plan.removal().collect()), ["nsx-1/box", "nsx-1"]);
    assert_eq!(names(plan.places().collect()), ["nsx-1/box"]);
    let plan = tree.plan(&knobs, None, false).expect("a plan");
    assert!(plan.steps().iter().all(|step| !step.calls[0].contains("box")));
    assert_eq!(names(plan.removal().collect()), ["nsx-1"]);
    assert_eq!(names(plan.places().collect()), ["nsx-1"]);
}

#[test]
fn on_v1_the_cgroup_inside_gets_what_does_not_hold_below() {
    let write = |file: &str| translate::Write {
        knob: file.to_owned(),
        file: file.to_owned(),
        text: "1".to_owned(),
        expect: translate::Expect::List("1".to_owned()),
    };
    let (above, limits) =
        ([write("cpuset.mems")], ["cpuset.cpus", "blkio.throttle.read_bps_device", "pids.max"].map(write));
    let files = |version| -> Vec<String> {
        inside(version, &above, &limits).into_iter().map(|(write, _)| write.file).collect()
    };
    assert_eq!(files(Version::V1), ["cpuset.mems", "cpuset.cpus", "blkio.throttle.read_bps_device"]);
    assert_eq!(files(Version::V2), Vec::<String>::new());
}

#[test]
fn what_is_in_the_way_is_said() {
    let tree = Tree::new("/u/s", &[("/", ALL, "memory", ""), ("/u", "memory", "", "3\n4\n"), ("/u/s", "", "", "7\n")]);
    let error = |knob: &str, parent| tree.calls(&[knob], parent).expect_err("refused");
    assert_eq!(error("memory.max=64M", None), "cannot set cgroup.subtree_control of /u: 2 processes are in it (3, 4)");
    assert!(error("memory.max=64M", Some("/none")).starts_with("cannot create /none/nsx-1: there is no /none in v2"));
    assert_eq!(
        error("hugetlb.2MB.max=2M", None),
        "cannot set hugetlb.2MB.max of /nsx-1: there is no controller hugetlb here"
    );
    assert!(error("memory.memsw.max=64M", Some("/")).ends_with("only v1 has memory.memsw.max"));
    assert!(error("memory.max=64M", Some("/u/../..")).contains("there is .. in it"));
}

#[test]
fn on_v2_it_is_made_above_and_on_v1_below() {
    let of = |own: &str, top: &str, version| -> Vec<String> {
        let all = candidates(own.as_bytes(), top.as_bytes(), version);
        all.into_iter().map(|path| String::from_utf8(path.to_vec()).expect("UTF-8")).collect()
    };
    assert_eq!(of("/", "/", Version::V2), ["/"]);
    assert_eq!(of("/a/b", "/", Version::V2), ["/a", "/a/b"]);
    assert_eq!(of("/a", "/a", Version::V2), ["/a"], "what is above cannot be reached");
    assert_eq!(of("/a/b", "/", Version::V1), ["/a/b"]);
}

#[test]
fn a_name_lies_below_its_parent() {
    let name = CString::new("nsx-1").expect("a name");
    assert_eq!(below(b"/", &name), b"/nsx-1");
    assert_eq!(below(b"/a", &name), b"/a/nsx-1");
    assert!(CgroupPlan::none("a/b").is_err() && CgroupPlan::none("a\0b").is_err());
}
