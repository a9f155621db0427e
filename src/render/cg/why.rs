//! `nsx cg why`: findings, for a person and as JSON. Not here: finding them (`cgroup::why`).

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::show::json::PathJson;
use super::{HierarchyJson, hierarchy_name};
use crate::cgroup::why::{Evidence, Reading};
use crate::cgroup::{Cgroups, Finding, Severity};
use crate::render::json::{self, Text};
use crate::render::style::Style;
use crate::render::text::{sanitize, wrap};

/// What was found, and where it was looked for.
pub struct Why<'a> {
    cgroups: &'a Cgroups,
    now: &'a Reading,
    watched: Option<Duration>,
    findings: &'a [Finding],
}

impl<'a> Why<'a> {
    /// Takes what was found. `watched` is how long, where two readings were compared.
    pub const fn new(
        cgroups: &'a Cgroups,
        now: &'a Reading,
        watched: Option<Duration>,
        findings: &'a [Finding],
    ) -> Why<'a> {
        Why { cgroups, now, watched, findings }
    }

    /// Prints it for a person. Explanations are wrapped to the width; files and commands are not, so that they can be copied.
    ///
    /// # Errors
    /// What the writer says.
    pub fn text(&self, width: Option<usize>, color: bool, to: &mut dyn Write) -> io::Result<()> {
        if self.findings.is_empty() {
            let what = match self.watched {
                Some(_) => "nothing was killed, slowed or refused meanwhile, and no limit is near",
                None => "nothing was killed, slowed or refused, and no limit is near",
            };
            return writeln!(to, "nothing found: {what}, as far as the files of these cgroups say");
        }
        for (place, finding) in self.findings.iter().enumerate() {
            if place > 0 {
                writeln!(to)?;
            }
            self.finding(finding, width, color, to)?;
        }
        Ok(())
    }

    fn finding(&self, finding: &Finding, width: Option<usize>, color: bool, to: &mut dyn Write) -> io::Result<()> {
        let paint = |style: Style, text: &str| {
            if color { style.paint().style(text).to_string() } else { text.to_owned() }
        };
        let style = match finding.severity {
            Severity::Critical => Style::Critical,
            Severity::Warning => Style::Warning,
            Severity::Info => Style::Info,
        };
        let severity = paint(style, finding.severity.name());
        let cgroup = paint(Style::Own, &sanitize(&finding.cgroup));
        let hierarchy = self.cgroups.hierarchies.get(finding.hierarchy).map(hierarchy_name).unwrap_or_default();
        writeln!(to, "{severity}  {}  {cgroup} ({hierarchy})", paint(Style::Heading, finding.id))?;
        for line in wrap(&sanitize(finding.explanation.as_bytes()), width.map(|width| width.saturating_sub(2))) {
            writeln!(to, "  {line}")?;
        }
        for evidence in &finding.evidence {
            let text = format!("{}: {}", sanitize(&evidence.file), says(evidence));
            writeln!(to, "    {}", paint(Style::Initial, &text))?;
        }
        if let Some(fix) = &finding.fix {
            writeln!(to, "  fix: {}", sanitize(fix.as_bytes()))?;
        }
        Ok(())
    }

    /// Prints the document of schema `nsx.cg.why/1`.
    ///
    /// # Errors
    /// What the writer says.
    pub fn json(&self, to: &mut dyn Write) -> io::Result<()> {
        let subject = &self.now.subject;
        let document = WhyJson {
            schema: "nsx.cg.why/1",
            pid: subject.pid.map(|pid| pid.0),
            totals: self.watched.is_none(),
            watched_usec: self.watched.map(|watched| u64::try_from(watched.as_micros()).unwrap_or(u64::MAX)),
            hierarchies: HierarchyJson::all(self.cgroups),
            cgroups: subject.ladders.iter().map(|ladder| PathJson::new(self.cgroups, ladder)).collect(),
            findings: self.findings.iter().map(|finding| self.finding_json(finding)).collect(),
        };
        json::write(&document, to)
    }

    fn finding_json<'s>(&'s self, finding: &'s Finding) -> FindingJson<'s> {
        FindingJson {
            id: finding.id,
            severity: finding.severity.name(),
            path: Text { key: "path", raw_key: "path_raw", bytes: Some(&finding.cgroup) },
            hierarchy: self.cgroups.hierarchies.get(finding.hierarchy).map_or(0, |opened| opened.hierarchy.id),
            evidence: finding.evidence.iter().map(EvidenceJson::new).collect(),
            explanation: &finding.explanation,
            fix: finding.fix.as_deref(),
        }
    }
}

fn says(evidence: &Evidence) -> String {
    let key = if evidence.key.is_empty() { String::new() } else { format!("{} ", sanitize(evidence.key.as_bytes())) };
    let change = evidence.change.map_or_else(String::new, |change| format!(" ({change:+})"));
    format!("{key}{}{change}", sanitize(evidence.value.as_bytes()))
}

#[derive(Serialize)]
struct WhyJson<'a> {
    schema: &'static str,
    pid: Option<u32>,
    totals: bool,
    watched_usec: Option<u64>,
    hierarchies: Vec<HierarchyJson<'a>>,
    cgroups: Vec<PathJson<'a>>,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    id: &'static str,
    severity: &'static str,
    #[serde(flatten)]
    path: Text<'a>,
    hierarchy: u32,
    evidence: Vec<EvidenceJson<'a>>,
    explanation: &'a str,
    fix: Option<&'a str>,
}

#[derive(Serialize)]
struct EvidenceJson<'a> {
    #[serde(flatten)]
    file: Text<'a>,
    key: Option<&'a str>,
    value: &'a str,
    change: Option<i64>,
}

impl<'a> EvidenceJson<'a> {
    fn new(evidence: &'a Evidence) -> EvidenceJson<'a> {
        EvidenceJson {
            file: Text { key: "file", raw_key: "file_raw", bytes: Some(&evidence.file) },
            key: (!evidence.key.is_empty()).then_some(evidence.key.as_str()),
            value: &evidence.value,
            change: evidence.change,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cgroup::Subject;
    use crate::proc::ProcRoot;

    fn found() -> Finding {
        Finding {
            id: "oom-kill",
            severity: Severity::Critical,
            cgroup: b"/a/\xff\x1b[31m".to_vec(),
            hierarchy: 0,
            evidence: vec![
                Evidence {
                    file: b"/sys/fs/cgroup/a/\xff/memory.events.local".to_vec(),
                    key: "oom_kill".to_owned(),
                    value: "3".to_owned(),
                    change: Some(1),
                },
                Evidence {
                    file: b"/x/memory.max".to_vec(),
                    key: String::new(),
                    value: "1\x1b[m".to_owned(),
                    change: None,
                },
            ],
            explanation: "A process of /a/\u{1b}[31m was killed, which is a sentence that is longer than a line."
                .to_owned(),
            fix: Some("echo 96M > /x/memory.max".to_owned()),
        }
    }

    /// On the hierarchies of the machine that the test runs on, whatever they are.
    fn show(findings: &[Finding], print: impl Fn(&Why<'_>, &mut Vec<u8>) -> io::Result<()>) -> String {
        let proc = ProcRoot::open(Path::new("/proc")).expect("/proc");
        let cgroups = Cgroups::open(&proc).expect("hierarchies");
        let subject = Subject::of_process(&cgroups, &proc, &proc.own_process().expect("itself")).expect("its cgroups");
        let now = Reading { subject, below: Vec::new(), beside: Vec::new(), cut: false };
        let mut out = Vec::new();
        print(&Why::new(&cgroups, &now, Some(Duration::from_secs(5)), findings), &mut out).expect("printed");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_finding_has_its_evidence_and_its_fix() {
        let text = show(&[found()], |why, out| why.text(Some(40), false, out));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("critical  oom-kill  /a/\\xff\\x1b[31m ("), "{text}");
        assert_eq!(lines[1], "  A process of /a/\\x1b[31m was killed,");
        assert_eq!(lines[4], "    /sys/fs/cgroup/a/\\xff/memory.events.local: oom_kill 3 (+1)", "{text}");
        assert_eq!(lines[5], "    /x/memory.max: 1\\x1b[m");
        assert_eq!(lines[6], "  fix: echo 96M > /x/memory.max");
        let piped = show(&[found()], |why, out| why.text(None, false, out));
        assert_eq!(piped.lines().count(), 5, "{piped}");
    }

    #[test]
    fn nothing_found_is_one_line() {
        let text = show(&[], |why, out| why.text(Some(20), true, out));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("nothing found: "), "{text}");
    }

    #[test]
    fn the_document_fits_its_schema() {
        let text = show(&[found()], |why, out| why.json(out));
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let schema = include_str!("../../../tests/schema/cg-why.json");
        let schema: serde_json::Value = serde_json::from_str(schema).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{text}");
        assert_eq!(document["watched_usec"], 5_000_000);
        assert_eq!(document["findings"][0]["evidence"][0]["change"], 1);
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
