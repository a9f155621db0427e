//! Parts of /proc and /sys that are hidden or read-only. That nobody inside gets round it is in `run_isolation`. See proc(5).

use std::path::Path;

use super::super::harness::{Test, test};
use super::said;

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("run_options::the_paths_that_are_hidden_are_known_here", &[], known),
        test("run_options::what_tells_of_the_host_is_hidden", &[], masked),
        test("run_options::what_counts_for_the_host_is_read_only", &[], read_only),
    ]
}

/// Those that are hidden where they exist.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/interrupts",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Those that cannot be written to.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Written down in both places: what is left out there by mistake is missed here, and what is new there is tested here.
fn known() {
    let code = include_str!("../../../src/launch/run/gather.rs");
    for (name, expected) in [("MASKED", &MASKED[..]), ("READ_ONLY", &READ_ONLY)] {
        let list = code.split_once(&format!("const {name}: [&str;")).and_then(|(_, rest)| rest.split_once("];"));
        let list = list.unwrap_or_else(|| panic!("{name} is not in gather.rs")).0;
        let found: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        assert_eq!(found, expected, "{name}");
    }
}

/// Those that this host has; there are some on every.
fn there(all: &[&'static str]) -> Vec<&'static str> {
    let there: Vec<&str> = all.iter().copied().filter(|path| Path::new(path).exists()).collect();
    assert!(there.len() >= 3, "{there:?}");
    there
}

/// What is at a path: `file`, `directory`, `device`; whether something is mounted there; how much is in it.
const LOOK: &str = r#"
for path; do
    kind=file
    [ ! -d $path ] || kind=directory
    [ ! -c $path ] || kind=device
    mounted=$(grep -c " $path " /proc/self/mounts)
    case $kind in
    directory) content=$(ls -A $path | wc -l) ;;
    device) content=$(wc -c <$path) ;;
    file) content=? ;;
    esac
    echo $path $kind $mounted $content
done
"#;

fn masked() {
    let there = there(&MASKED);
    let script = format!("set -- {}; {LOOK}", there.join(" "));
    let (hidden, shown) = (said(&[], &script), said(&["--unmask"], &script));
    for ((path, hidden), shown) in there.iter().zip(hidden.lines()).zip(shown.lines()) {
        let kind = if Path::new(path).is_dir() { "directory" } else { "device" };
        assert_eq!(hidden, format!("{path} {kind} 1 0"));
        let expected = if kind == "directory" { "directory 0 " } else { "file 0 ?" };
        assert!(shown.starts_with(&format!("{path} {expected}")), "--unmask: {shown}");
    }
    assert_eq!((hidden.lines().count(), shown.lines().count()), (there.len(), there.len()), "{hidden}{shown}");
    // Something of it is seen by the control.
    assert!(shown.lines().any(|line| !line.ends_with(" 0")), "{shown}");
}

/// The first file below a directory, or the path itself.
fn file_in(path: &str) -> Option<String> {
    let mut folders = vec![Path::new(path).to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.is_file() {
            return folder.into_os_string().into_string().ok();
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        // Links lead elsewhere, and networks of the host are not inside.
        folders.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink())).map(|entry| entry.path()),
        );
    }
    None
}

fn read_only() {
    let there = there(&READ_ONLY);
    // To change a mode writes, too, and can be tried of directories. Who may not says so only where writing is possible at all; nothing
    // is written to what is opened.
    let mut attempts: Vec<String> = there.iter().map(|path| format!("chmod a+r {path}")).collect();
    let files: Vec<String> = there.iter().filter_map(|path| file_in(path)).collect();
    assert!(files.len() >= 2, "{files:?}");
    attempts.extend(files.iter().map(|file| format!(": >{file}")));
    let script: String = attempts.iter().map(|attempt| format!("({attempt}) 2>&1 || echo; ")).collect();
    let lines = |options: &[&str]| -> Vec<String> {
        let seen = said(options, &format!("{script} true"));
        seen.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let (protected, open) = (lines(&[]), lines(&["--unmask"]));
    assert_eq!(protected.len(), attempts.len(), "{protected:#?}");
    for (attempt, line) in attempts.iter().zip(&protected) {
        let path = attempt.rsplit([' ', '>']).next().expect("a path");
        assert!(line.contains(path) && line.ends_with("Read-only file system"), "{attempt}: {line}");
    }
    assert!(open.iter().all(|line| !line.ends_with("Read-only file system")), "--unmask: {open:#?}");
}
