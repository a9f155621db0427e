//! What is on the host that nsx run could have left there.
//!
//! Others make and remove such things, too, all the time. So what counts as left behind is what was not there before, and is there however
//! often one looks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::harness::group::mounts;
use super::super::harness::ls_json;
use super::super::harness::processes::marked;

/// After so long nobody is on the way out any more.
const PATIENCE: Duration = Duration::from_secs(40);

/// Everything that could have been left, a line each.
pub(super) struct Host(BTreeSet<String>);

impl Host {
    pub(super) fn look() -> Host {
        let mut all = BTreeSet::new();
        all.extend(processes());
        all.extend(lines("/proc/self/mountinfo").into_iter().map(|line| format!("mount {line}")));
        all.extend(cgroups());
        all.extend(links());
        all.extend(files());
        let sockets = lines("/proc/net/unix").into_iter().filter(|line| line.contains("@nsx/"));
        all.extend(sockets.filter_map(|line| {
            let mut words = line.split_whitespace().skip(6);
            Some(format!("socket {1} {0}", words.next()?, words.next()?))
        }));
        Host(all)
    }

    /// User namespaces, too, which takes longer.
    pub(super) fn look_closely() -> Host {
        let Host(mut all) = Host::look();
        let document = ls_json(&["-t", "user"]);
        let found = document["namespaces"].as_array().expect("namespaces");
        all.extend(found.iter().map(|namespace| format!("user namespace {}", namespace["ns"])));
        Host(all)
    }

    /// Waits until there is nothing more than there was then.
    pub(super) fn until_as_before(&self, what: &str) {
        self.until(what, Host::look);
    }

    pub(super) fn until_as_before_closely(&self, what: &str) {
        self.until(what, Host::look_closely);
    }

    fn until(&self, what: &str, look: impl Fn() -> Host) {
        let begin = Instant::now();
        let now = look().0;
        // Nor is anything gone that was the host's: nobody else unmounts what was there before.
        let gone: Vec<&String> =
            self.0.difference(&now).filter(|one| one.starts_with("mount ") || one.starts_with("link ")).collect();
        assert!(gone.is_empty(), "gone, {what}: {gone:#?}");
        let mut left: BTreeSet<String> = now.difference(&self.0).cloned().collect();
        while !left.is_empty() {
            assert!(begin.elapsed() < PATIENCE, "left behind, {what}: {left:#?}");
            std::thread::yield_now();
            let (now, others) = (look().0, of_others());
            left.retain(|one| now.contains(one) && !others.iter().any(|theirs| one.ends_with(theirs)));
        }
    }
}

/// How everything ends that belongs to a sandbox whose nsx is there: that is somebody else's, and not left behind.
fn of_others() -> Vec<String> {
    let stat = |pid: u32| std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let mut all = Vec::new();
    for pid in marked("nsx: sandbox") {
        let bytes = stat(pid);
        let Some(own) = nsx::proc::parse::stat(&bytes) else { continue };
        let parent = stat(own.ppid.0);
        if nsx::proc::parse::stat(&parent).is_none_or(|parent| parent.comm != b"nsx" || parent.exiting) {
            continue;
        }
        all.push(format!("process {pid} of {}", own.start_time_ticks));
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let name = arguments.split(|&byte| byte == 0).nth(1).map(String::from_utf8_lossy).unwrap_or_default();
        all.push(format!("/nsx-{name}"));
        let link = |path: String| std::fs::read_link(path).unwrap_or_default().to_string_lossy().into_owned();
        let number = |link: String| link.split_once('[').map(|(_, rest)| format!(" {}", rest.trim_end_matches(']')));
        all.extend(number(link(format!("/proc/{pid}/ns/user"))));
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        all.extend(fds.filter_map(|fd| number(link(fd.path().to_string_lossy().into_owned()))));
    }
    all
}

fn lines(path: &str) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

/// Processes that are nsx's, or that it has killed and nobody has reaped.
fn processes() -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("/proc");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let one = |pid: u32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = nsx::proc::parse::stat(&stat)?;
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_ours = arguments.starts_with(b"nsx: sandbox") || stat.comm.starts_with(b"nsx-");
        is_ours.then(|| format!("process {pid} of {}", stat.start_time_ticks))
    };
    pids.filter_map(one).collect()
}

/// Cgroups of sandboxes, in all hierarchies.
fn cgroups() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = mounts().into_iter().map(|(.., point)| point).collect();
    while let Some(folder) = folders.pop() {
        // It may have gone.
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("nsx-")) {
                found.push(format!("cgroup {}", entry.path().display()));
            }
            folders.push(entry.path());
        }
    }
    found
}

/// Network devices of the host's.
fn links() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    entries.map(|entry| format!("link {}", entry.file_name().display())).collect()
}

/// Files where temporary ones are made; not those of tests.
fn files() -> Vec<String> {
    let folders = ["/tmp", "/var/tmp", "/run", "/dev/shm"];
    let entries = folders.into_iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    // What nsx makes has the name or number of a sandbox in its own; `nsx-test-…` is a test's, `nsx-x.log` somebody's who works on it.
    let is_foreign = |name: &str| {
        !name.contains("nsx") || name.starts_with("nsx-test-") || !name.contains(|letter: char| letter.is_ascii_digit())
    };
    entries
        .filter(|entry| !is_foreign(&entry.file_name().to_string_lossy()))
        .map(|entry| format!("file {}", entry.path().display()))
        .collect()
}
