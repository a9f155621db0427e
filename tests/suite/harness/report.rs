//! What the virtual machines of `scripts/vm` have said, as one table, and whether that is good.
//!
//! A machine sends lines: `@boot RELEASE`, then for each module `@begin WHO MODULE`, `@test NAME` for each test that will run, what the
//! test binary prints, `@end WHO MODULE CODE SECONDS`, and `@done`. Whatever is missing there is a failure, and whatever does not belong
//! there: nobody has to remember to look.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// A module that ran as somebody.
#[derive(Debug, Default)]
pub struct Run {
    who: String,
    module: String,
    /// What should be heard of.
    expected: BTreeSet<String>,
    passed: Vec<String>,
    failed: Vec<String>,
    /// Names, and the reasons that they declare.
    skipped: Vec<(String, Option<String>)>,
    /// The exit code and how long it took; `None` if it has not ended.
    ended: Option<(i32, f64)>,
    output: String,
}

/// What one machine has said.
#[derive(Debug, Default)]
pub struct Boot {
    /// What the kernel is called on the command line.
    pub kernel: String,
    release: Option<String>,
    runs: Vec<Run>,
    /// What the machine complains of, and what it says out of turn.
    faults: Vec<String>,
    done: bool,
}

impl Boot {
    /// Reads what a machine has sent.
    pub fn read(kernel: &str, log: &str) -> Boot {
        let mut boot = Boot { kernel: kernel.to_owned(), ..Boot::default() };
        for line in log.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let running = boot.runs.last_mut().filter(|run| run.ended.is_none());
            match (words.as_slice(), running) {
                (["@boot", release], None) if boot.release.is_none() => boot.release = Some((*release).to_owned()),
                (["@begin", who, module], None) => {
                    boot.runs.push(Run { who: (*who).to_owned(), module: (*module).to_owned(), ..Run::default() });
                }
                (["@end", who, module, code, seconds], Some(run)) if *who == run.who && *module == run.module => {
                    run.ended = code.parse().ok().zip(seconds.parse().ok());
                }
                (["@done"], None) if !boot.done => boot.done = true,
                (["@fault", ..], None) => boot.faults.push(line.trim_start_matches("@fault").trim().to_owned()),
                (["@test", ..], Some(run)) if run.output.is_empty() => {
                    run.expected.insert(name_and_reason(line.trim_start_matches("@test")).0.to_owned());
                }
                (_, Some(run)) => run.hear(line),
                ([], None) => {}
                (_, None) => boot.faults.push(format!("said out of turn: {line}")),
            }
        }
        boot
    }
}

/// Takes the reason for a skip off the name of a test.
fn name_and_reason(name: &str) -> (&str, Option<&str>) {
    match name.trim().split_once(" (needs: ") {
        Some((name, reason)) => (name, reason.strip_suffix(')')),
        None => (name.trim(), None),
    }
}

impl Run {
    /// Takes a line of what the test binary prints.
    fn hear(&mut self, line: &str) {
        self.output.push_str(line);
        self.output.push('\n');
        let Some((name, result)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... ")) else {
            return;
        };
        let (name, reason) = name_and_reason(name);
        match result.trim() {
            "ok" => self.passed.push(name.to_owned()),
            "FAILED" => self.failed.push(name.to_owned()),
            "ignored" => self.skipped.push((name.to_owned(), reason.map(str::to_owned))),
            _ => {}
        }
    }

    fn title(&self) -> String {
        format!("{} as {}", self.module, self.who)
    }

    /// Returns what is wrong with it.
    fn fault(&self) -> Option<String> {
        let mut silent = self.expected.clone();
        let skipped = self.skipped.iter().map(|(name, _)| name);
        for name in self.passed.iter().chain(&self.failed).chain(skipped) {
            if !silent.remove(name) {
                return Some(format!("{name} was not to run, or has run twice"));
            }
        }
        let silent: Vec<String> = silent.into_iter().collect();
        let unheard =
            if silent.is_empty() { String::new() } else { format!("; nothing was heard of {}", silent.join(", ")) };
        let Some((code, _)) = self.ended else {
            return Some(format!("did not come to an end{unheard}"));
        };
        if !self.failed.is_empty() {
            return Some(format!("failed: {}{unheard}", self.failed.join(", ")));
        }
        if let Some((name, _)) = self.skipped.iter().find(|(_, reason)| reason.is_none()) {
            return Some(format!("{name} was skipped without a declared reason"));
        }
        if code != 0 || !silent.is_empty() {
            return Some(format!("ended with {code}{unheard}"));
        }
        self.expected.is_empty().then(|| "there is no such test".to_owned())
    }
}

/// Returns all that is wrong: of each boot, what was planned and did not run, and what failed. `plan` has a line `WHO MODULE` for each
/// run, `releases` the kernels that should have been booted.
pub fn faults(plan: &str, releases: &[&str], boots: &[Boot]) -> Vec<String> {
    let mut faults = Vec::new();
    for (boot, expected) in boots.iter().zip(releases) {
        let kernel = &boot.kernel;
        match &boot.release {
            None => faults.push(format!("{kernel}: did not boot")),
            Some(release) if release != expected => {
                faults.push(format!("{kernel}: {release} ran instead of {expected}"))
            }
            Some(_) => {}
        }
        let ran: BTreeSet<String> = boot.runs.iter().map(Run::title).collect();
        for line in plan.lines() {
            let title = line.split_once(' ').map_or_else(String::new, |(who, module)| format!("{module} as {who}"));
            if !ran.contains(&title) {
                faults.push(format!("{kernel}: {title}: did not run"));
            }
        }
        faults.extend(boot.runs.iter().filter_map(|run| Some(format!("{kernel}: {}: {}", run.title(), run.fault()?))));
        faults.extend(boot.faults.iter().map(|fault| format!("{kernel}: {fault}")));
        if boot.release.is_some() && !boot.done {
            faults.push(format!("{kernel}: stopped before its end"));
        }
    }
    faults
}

/// Returns the table: a line for each module and user, four columns for each kernel; with three of them 80 columns wide.
pub fn table(plan: &str, boots: &[Boot]) -> String {
    let rows: Vec<(&str, &str)> = plan.lines().filter_map(|line| line.split_once(' ')).collect();
    let modules = rows.iter().map(|(_, module)| module.len()).chain([6]).max().unwrap_or_default();
    let users = rows.iter().map(|(who, _)| who.len()).max().unwrap_or_default();
    let mut table = format!("{:modules$}  {:users$}", "", "");
    for boot in boots {
        let release = boot.release.as_deref().unwrap_or("did not boot");
        let _ = write!(table, "{:>22.20}", release.split("-cloud").next().unwrap_or_default());
    }
    let _ = write!(table, "\n{:modules$}  {:users$}", "MODULE", "AS");
    for _ in boots {
        table.push_str("  PASS FAIL SKIP   SEC");
    }
    table.push('\n');
    for (who, module) in rows {
        let _ = write!(table, "{module:modules$}  {who:users$}");
        for boot in boots {
            match boot.runs.iter().find(|run| run.who == who && run.module == module) {
                Some(run) => {
                    let seconds = run.ended.map_or_else(|| "?".to_owned(), |(_, seconds)| format!("{seconds:.1}"));
                    let (failed, skipped) = (run.failed.len(), run.skipped.len());
                    let _ = write!(table, "{:>6}{failed:>5}{skipped:>5}{seconds:>6}", run.passed.len());
                }
                None => table.push_str("     -    -    -     -"),
            }
        }
        table.push('\n');
    }
    table
}

/// Returns the tests that nobody has run on a kernel, by their reasons. What one user skips another may have run: the table has the
/// numbers of that.
pub fn skips(boots: &[Boot]) -> String {
    // Of each test and reason the kernels, then of each reason and kernels the tests.
    let mut skipped: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for boot in boots {
        let ran: BTreeSet<&String> = boot.runs.iter().flat_map(|run| run.passed.iter().chain(&run.failed)).collect();
        let mut of_boot: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, reason) in boot.runs.iter().flat_map(|run| &run.skipped).filter(|(name, _)| !ran.contains(name)) {
            // Who is not root lacks that on top of all else.
            let (reason, known) = (reason.as_deref().unwrap_or("no reason"), of_boot.entry(name).or_insert("not root"));
            if *known == "not root" || reason.len() < known.len() {
                *known = reason;
            }
        }
        for (name, reason) in of_boot {
            skipped.entry((name, reason)).or_default().push(&boot.kernel);
        }
    }
    let mut reasons: BTreeMap<(&str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for ((name, reason), kernels) in skipped {
        reasons.entry((reason, kernels)).or_default().push(name);
    }
    let mut text = String::new();
    for ((reason, kernels), names) in reasons {
        let _ = writeln!(text, "skipped on {}: {reason}: {}", kernels.join(", "), names.join(", "));
    }
    text
}

/// `report PLAN` with a line `KERNEL RELEASE FOLDER` for each machine on standard input: prints the table, the reasons of what was skipped
/// and the output of what failed. In the folder are `results`, `console` and `qemu`, the exit code of the machine itself.
pub fn main(plan: &str) -> ExitCode {
    let plan = std::fs::read_to_string(plan).expect("the plan");
    // What a hostile name has put there need not be UTF-8.
    let read = |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let (mut boots, mut releases, mut text) = (Vec::new(), Vec::new(), String::new());
    for line in std::io::stdin().lines().map(|line| line.expect("a line")) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let [kernel, release, folder] = words[..] else { panic!("{line} is no machine") };
        let folder = PathBuf::from(folder);
        let mut boot = Boot::read(kernel, &read(folder.join("results")));
        match read(folder.join("qemu")).trim() {
            "0" => {}
            "" => boot.faults.push("was not started, or nobody saw it end".to_owned()),
            "124" => boot.faults.push("took too long and was ended (NSX_VM_TIMEOUT)".to_owned()),
            code => boot.faults.push(format!("QEMU ended with {code}")),
        }
        for run in boot.runs.iter().filter(|run| run.fault().is_some()) {
            let _ = writeln!(text, "-- {kernel}: {}\n{}", run.title(), run.output);
        }
        if !boot.done {
            let console = read(folder.join("console"));
            let lines: Vec<&str> = console.lines().collect();
            let end = lines[lines.len().saturating_sub(40)..].join("\n");
            let _ = writeln!(text, "-- {kernel}: the end of its console\n{end}\n");
        }
        boots.push(boot);
        releases.push(release.to_owned());
    }
    let releases: Vec<&str> = releases.iter().map(String::as_str).collect();
    let faults = faults(&plan, &releases, &boots);
    let _ = write!(text, "{}\n{}", table(&plan, &boots), skips(&boots));
    for fault in &faults {
        let _ = writeln!(text, "FAILED {fault}");
    }
    let written = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    let good = faults.is_empty() && !boots.is_empty() && written.is_ok();
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
