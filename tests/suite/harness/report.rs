//! What the virtual machines of `scripts/vm` have said, as one table, and whether that is good.
//!
//! A machine sends lines: `@boot RELEASE`, then for each module `@begin WHO MODULE`, what the test binary prints, `@end WHO MODULE CODE
//! SECONDS`, and `@done`. Whatever is missing there is a failure: nobody has to remember to look.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// A module that ran as somebody.
#[derive(Debug, Default)]
pub struct Run {
    who: String,
    module: String,
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
                (["@boot", release], None) => boot.release = Some((*release).to_owned()),
                (["@begin", who, module], None) => {
                    boot.runs.push(Run { who: (*who).to_owned(), module: (*module).to_owned(), ..Run::default() });
                }
                (["@end", who, module, code, seconds], Some(run)) if *who == run.who && *module == run.module => {
                    run.ended = code.parse().ok().zip(seconds.parse().ok());
                }
                (["@done"], None) => boot.done = true,
                (_, Some(run)) => run.hear(line),
                (_, None) => {}
            }
        }
        boot
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
        let (name, reason) = match name.trim().split_once(" (needs: ") {
            Some((name, reason)) => (name, reason.strip_suffix(')')),
            None => (name.trim(), None),
        };
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
        let Some((code, _)) = self.ended else {
            return Some("did not come to an end".to_owned());
        };
        if !self.failed.is_empty() {
            return Some(format!("failed: {}", self.failed.join(", ")));
        }
        if let Some((name, _)) = self.skipped.iter().find(|(_, reason)| reason.is_none()) {
            return Some(format!("{name} was skipped without a declared reason"));
        }
        if code != 0 {
            return Some(format!("ended with {code}"));
        }
        (self.passed.len() + self.skipped.len() == 0).then(|| "no test ran".to_owned())
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
        if boot.release.is_some() && !boot.done {
            faults.push(format!("{kernel}: stopped before its end"));
        }
    }
    faults
}

/// Returns the table: a line for each module and user, four columns for each kernel.
pub fn table(plan: &str, boots: &[Boot]) -> String {
    let rows: Vec<(&str, &str)> = plan.lines().filter_map(|line| line.split_once(' ')).collect();
    let modules = rows.iter().map(|(_, module)| module.len()).chain([6]).max().unwrap_or_default();
    let users = rows.iter().map(|(who, _)| who.len()).max().unwrap_or_default();
    let mut table = format!("{:modules$}  {:users$}", "", "");
    for boot in boots {
        let release = boot.release.as_deref().unwrap_or("did not boot");
        let _ = write!(table, "  {:>22.22}", release.split("-cloud").next().unwrap_or_default());
    }
    let _ = write!(table, "\n{:modules$}  {:users$}", "MODULE", "AS");
    for _ in boots {
        table.push_str("   PASS FAIL SKIP    SEC");
    }
    table.push('\n');
    for (who, module) in rows {
        let _ = write!(table, "{module:modules$}  {who:users$}");
        for boot in boots {
            match boot.runs.iter().find(|run| run.who == who && run.module == module) {
                Some(run) => {
                    let seconds = run.ended.map_or_else(|| "?".to_owned(), |(_, seconds)| format!("{seconds:.1}"));
                    let (failed, skipped) = (run.failed.len(), run.skipped.len());
                    let _ = write!(table, "   {:>4} {failed:>4} {skipped:>4} {seconds:>6}", run.passed.len());
                }
                None => table.push_str("      -    -    -      -"),
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
/// and the output of what failed. In the folder are the files `results` and `console`.
#[expect(clippy::print_stdout, reason = "the report is what this process is for")]
pub fn main(plan: &str) -> ExitCode {
    let plan = std::fs::read_to_string(plan).expect("the plan");
    let lines: Vec<String> = std::io::stdin().lines().map(|line| line.expect("a line")).collect();
    let machines: Vec<(&str, &str, PathBuf)> = lines
        .iter()
        .filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            Some((words.next()?, words.next()?, PathBuf::from(words.next()?)))
        })
        .collect();
    // What a hostile name has put there need not be UTF-8.
    let read = |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let boots: Vec<Boot> =
        machines.iter().map(|(kernel, _, folder)| Boot::read(kernel, &read(folder.join("results")))).collect();
    let releases: Vec<&str> = machines.iter().map(|(_, release, _)| *release).collect();
    for (boot, (_, _, folder)) in boots.iter().zip(&machines) {
        for run in boot.runs.iter().filter(|run| run.fault().is_some()) {
            println!("-- {}: {}\n{}", boot.kernel, run.title(), run.output);
        }
        if !boot.done {
            let console = read(folder.join("console"));
            let lines: Vec<&str> = console.lines().collect();
            println!("-- {}: the end of its console", boot.kernel);
            println!("{}\n", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
    print!("{}\n{}", table(&plan, &boots), skips(&boots));
    let faults = faults(&plan, &releases, &boots);
    for fault in &faults {
        println!("FAILED {fault}");
    }
    let good = faults.is_empty() && !boots.is_empty();
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
