//! What nsx run cannot do, as a table: the exit code and how the message begins. Nothing is made for any of it.

use super::super::harness::{Need, Test, nsx, output, quiet, test, text};
use super::left::Host;

pub(super) fn tests() -> Vec<Test> {
    let limits = &[Need::Root, Need::Controller("memory"), Need::Controller("pids"), Need::Controller("cpuset")];
    vec![
        quiet("run_life::wrong_words_are_bad_usage_and_make_nothing", &[], usage),
        quiet("run_life::what_cannot_be_had_is_125_and_makes_nothing", &[], refused),
        quiet("run_life::limits_that_cannot_be_had_are_125_and_make_nothing", limits, refused_limits),
        test("run_life::a_command_is_no_option", &[], commands),
        test("run_life::a_message_is_fit_for_a_terminal", &[], hostile),
    ]
}

/// Says what is wrong with a run of `nsx run` with one option.
fn complaint(option: &str, code: i32, begins: &str) -> Option<String> {
    let done = output(nsx(&["run", option]).arg("true"));
    let said = text(&done.stderr);
    let first = said.lines().next().unwrap_or_default();
    let good = done.status.code() == Some(code) && first.starts_with(begins) && done.stdout.is_empty();
    (!good).then(|| format!("{option}: {}: {first}", done.status))
}

fn all(code: i32, table: &[(&str, &str)]) {
    let before = Host::look();
    let wrong: Vec<String> = table.iter().filter_map(|(option, begins)| complaint(option, code, begins)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    before.until_as_before("it was refused");
}

fn usage() {
    let groups: &[(&str, &[&str], &str)] = &[
        (
            "--mem",
            &["1X", "x", "", "-1", "nan", "1.5.2M", "99999999999999999999"],
            "'--mem <SIZE>': not a number of bytes",
        ),
        ("--mem", &["0"], "'--mem <SIZE>': 0 bytes are less than a page"),
        ("--mem", &["1K"], "'--mem <SIZE>': 1024 bytes are less than a page"),
        ("--cpus", &["-1", "0", "nan", "inf", "x", "1e3", ""], "'--cpus <N>': not a number of processors"),
        ("--cpuset", &["x", "3-1", "-1", "1,,2"], "'--cpuset <LIST>': not a list of numbers"),
        ("--pids", &["x", "-1", "1.5"], "'--pids <N|max>': not a number"),
        ("--pids", &["0"], "'--pids <N|max>': no process could start"),
        ("--cpu-weight", &["0", "10001"], "'--cpu-weight <N>': not a weight from 1 to 10000"),
        ("--io", &["x", "/dev/null"], "'--io <DEV:LIMIT,…>': not DEV:LIMIT,…"),
        ("--cgroup-set", &["x", "memory.max"], "'--cgroup-set <KNOB=VALUE>': "),
        ("--cgroup-parent", &["/../..", "/a/../b"], "'--cgroup-parent <PATH>': the path has `..` in it"),
        ("--ulimit", &["nofile=2:1"], "'--ulimit <NAME=SOFT[:HARD]>': nofile: the soft limit is above"),
        ("--oom-score-adj", &["1001", "-1001"], "'--oom-score-adj <N>': "),
        ("--userns", &["map=0:0:1,0:5:1", "map=0:0:2,1:7:1", "map=0:5:2,7:6:1"], "'--userns <MODE>': "),
        ("--userns", &["map=", "map=0:1", "map=0:0:-1", "map=0x0:0:1"], "'--userns <MODE>': "),
        ("--userns", &["map=0:0:0"], "'--userns <MODE>': \"0:0:0\" maps no id"),
        ("--userns", &["map=0:4294967295:1"], "'--userns <MODE>': \"0:4294967295:1\" goes beyond the largest id"),
        ("--user", &["", "-1", "4294967295", "0x0", "+0", " 0", "0:", ":0", "0:-1", "1 "], "'--user <USER[:GROUP]>': "),
        ("--name", &["", "-x", "a/b", "..", ".", "a b", "é"], "'--name <NAME>': not a letter or digit"),
        ("--timeout", &["nan", "-1", "inf", "", "0", "1,2,3", "1,", "x"], "'--timeout <TIME[,GRACE]>': "),
        ("--volume", &["x", "/usr:relative", "/usr:/a/../b", "", "/usr:/mnt:x"], "'--volume <SRC:DST[:ro|rw]>': "),
        ("--rootfs", &[""], "'--rootfs <DIR>': it is empty"),
        ("--keep-fd", &["-1", "x"], "'--keep-fd <FD>': "),
        ("--status-fd", &["-1", "x"], "'--status-fd <FD>': "),
        ("--net", &["a:b"], "'--net <none|host|TARGET>': none of: none, host"),
        ("--share", &["mnt", "user", "x"], "'--share <KIND>': "),
        ("--workdir", &["relative"], "'--workdir <DIR>': the path is not absolute"),
    ];
    let before = Host::look();
    let mut wrong = Vec::new();
    for (option, values, reason) in groups {
        for value in *values {
            let shown = value.replace('\u{1b}', "\\u{1b}");
            let begins = [
                format!("error: invalid value '{value}' for {reason}"),
                format!("error: invalid value '{shown}' for {reason}"),
            ];
            let word = format!("{option}={value}");
            wrong.extend(complaint(&word, 2, &begins[0]).filter(|_| complaint(&word, 2, &begins[1]).is_some()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    all(
        2,
        &[
            ("--nsx-test-no-option", "error: unexpected argument '--nsx-test-no-option' found"),
            ("--json", "nsx: --json takes"),
        ],
    );
    before.until_as_before("bad usage");
}

fn refused() {
    let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
    let (file, empty) = (folder.path().join("file"), folder.path().join("empty"));
    std::fs::write(&file, "").expect("a file");
    std::fs::create_dir(&empty).expect("a folder");
    let (file, empty) = (file.display(), empty.display());
    let (no_directory, lacks) = (format!("--rootfs={file}"), format!("--rootfs={empty}"));
    all(
        125,
        &[
            (no_directory.as_str(), &format!("nsx: cannot use {file} as root directory: it is no directory")),
            (lacks.as_str(), &format!("nsx: cannot use {empty} as root directory: there is no directory /proc in it")),
            ("--rootfs=/nsx-test-none", "nsx: cannot use /nsx-test-none as root directory: openat(/nsx-test-none): "),
            ("--volume=/nsx-test-none:/mnt", "nsx: cannot show /nsx-test-none: "),
            ("--volume=nsx-test-none:/mnt", "nsx: cannot show nsx-test-none: "),
            ("--user=nsx-test-nobody", "nsx: no user nsx-test-nobody in the /etc/passwd"),
            ("--user=0:nsx-test-nobody", "nsx: no group nsx-test-nobody in the /etc/group"),
            ("--user=4294967294", "nsx: cannot run as user 4294967294: no id outside stands for it"),
            ("--workdir=/nsx-test-none", "nsx: cannot change to /nsx-test-none inside: "),
            ("--net=/nsx-test-none", "nsx: cannot open /nsx-test-none: "),
            ("--net=4194305", "nsx: no namespace net:[4194305]"),
            ("--env-file=/nsx-test-none", "nsx: --env-file: cannot read /nsx-test-none: "),
            ("--keep-fd=4000", "nsx: cannot keep descriptor 4000: "),
        ],
    );
}

fn refused_limits() {
    all(
        125,
        &[
            ("--mem=8K", "nsx: cannot set memory.max to 8192: "),
            ("--pids=1", "nsx: cannot set pids.max to 1: "),
            ("--cpuset=4000", "nsx: cannot set cpuset.cpus to 4000: "),
            ("--io=/dev/null:rbps=1", "nsx: --io: /dev/null is no block device"),
            ("--cgroup-set=nsx.none=1", "nsx: cannot set nsx.none of "),
            // Only the kernel knows that it is wrong, when the cgroup is there.
            ("--cgroup-set=memory.swappiness=9999", "nsx: cannot set memory.swappiness"),
            ("--cgroup-parent=/nsx-test-none", "nsx: cannot create /nsx-test-none/nsx-"),
        ],
    );
}

fn commands() {
    for words in [&["-x"][..], &["--help"], &["--", "true"], &[""], &["a\nb"]] {
        let done = output(nsx(&["run", "--"]).args(words));
        let said = text(&done.stderr);
        assert_eq!((done.status.code(), done.stdout.len()), (Some(127), 0), "{words:?}: {said}");
        let shown = words[0].escape_debug().to_string();
        assert!(said.starts_with(&format!("nsx: cannot find {shown} on PATH inside: ")), "{words:?}: {said}");
    }
    // What follows the command is its own, `--` included.
    let done = output(&mut nsx(&["run", "echo", "--help", "--", "-d", "--mem=x", ""]));
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(0), "--help -- -d --mem=x \n"));
    let done = output(&mut nsx(&["run", "--", "echo", "--", "-x"]));
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(0), "-- -x\n"));
}

fn hostile() {
    use std::os::unix::ffi::OsStrExt;
    let word = std::ffi::OsStr::from_bytes(b"/nsx-test\x1b[2J\n\xff\xe2\x80\xae");
    let dashed = |option: &str| [option.as_bytes(), word.as_bytes()].concat();
    let options =
        ["--rootfs=", "--workdir=", "--net=", "--env-file=", "--cgroup-parent=", "--name=", "--mem=", "--user="];
    for option in options {
        let bytes = dashed(option);
        let done = output(nsx(&["run"]).arg(std::ffi::OsStr::from_bytes(&bytes)).arg("true"));
        assert!(matches!(done.status.code(), Some(2 | 125)), "{option}: {}", done.status);
        super::super::harness::fit(&done.stderr);
    }
    let done = output(nsx(&["run"]).arg(word));
    assert_eq!(done.status.code(), Some(127));
    super::super::harness::fit(&done.stderr);
}
