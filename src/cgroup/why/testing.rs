//! Made-up readings for the tests of the rules.

use std::time::Duration;

use super::{Earlier, Facts, Finding, MAIN, Nearby, Reading, Refusal, Severity, why};
use crate::cgroup::files::Files;
use crate::cgroup::host::{Home, Host};
use crate::cgroup::ladder::{Ladder, Level, Seen, Subject};
use crate::cgroup::layout::{Hierarchy, Mount};
use crate::model::cgroup::{Controller, Version};

/// A cgroup: its path, and what is in its files.
pub(super) type Made<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// Something to look at: one hierarchy with all controllers.
pub(super) struct Case {
    pub(super) facts: Facts,
    before: Option<Reading>,
    pub(super) now: Reading,
    watched: Duration,
}

impl Case {
    pub(super) fn v2(levels: &[Made<'_>]) -> Case {
        Case::new(Version::V2, levels)
    }

    pub(super) fn v1(levels: &[Made<'_>]) -> Case {
        Case::new(Version::V1, levels)
    }

    fn new(version: Version, levels: &[Made<'_>]) -> Case {
        let mount = Mount { options: Vec::new(), version, root: b"/".to_vec(), point: b"/sys/fs/cgroup".to_vec() };
        let controllers: Vec<Controller> = MAIN.into_iter().chain([Controller::Freezer, Controller::Hugetlb]).collect();
        let homes = controllers.iter().map(|controller| (*controller, Home::Hierarchy(0))).collect();
        let hierarchy = Hierarchy {
            id: u32::from(version == Version::V1),
            version,
            names: Vec::new(),
            controllers,
            mounts: vec![mount],
        };
        let facts = Facts { hierarchies: vec![hierarchy], homes, host: Host::default(), refusals: Vec::new() };
        Case { facts, before: None, now: reading(version, levels), watched: Duration::from_secs(5) }
    }

    /// Says what was there five seconds ago.
    pub(super) fn before(mut self, levels: &[Made<'_>]) -> Case {
        self.before = Some(reading(self.version(), levels));
        self
    }

    /// Adds cgroups below.
    pub(super) fn below(mut self, below: &[Made<'_>]) -> Case {
        self.now.below = nearby(self.version(), below);
        self
    }

    /// Adds cgroups that were below five seconds ago.
    pub(super) fn below_before(mut self, below: &[Made<'_>]) -> Case {
        let version = self.version();
        if let Some(before) = &mut self.before {
            before.below = nearby(version, below);
        }
        self
    }

    /// Adds cgroups beside.
    pub(super) fn beside(mut self, beside: &[Made<'_>]) -> Case {
        self.now.beside = nearby(self.version(), beside);
        self
    }

    pub(super) fn seen(mut self, seen: Seen) -> Case {
        self.now.subject.ladders[0].seen = seen;
        self
    }

    pub(super) fn option(mut self, option: &str) -> Case {
        self.facts.hierarchies[0].mounts[0].options.push(option.as_bytes().to_vec());
        self
    }

    pub(super) fn refused(mut self, names: &[&'static str]) -> Case {
        self.facts.refusals.push(Refusal { hierarchy: 0, names: names.to_vec() });
        self
    }

    /// Takes files away that every cgroup has.
    pub(super) fn without(mut self, names: &[&str]) -> Case {
        for level in &mut self.now.subject.ladders[0].levels {
            let mut files = Files::new(level.files.version);
            for name in level.files.names().filter(|name| !names.contains(name)) {
                files.insert(name, level.files.get(name).unwrap_or_default().to_vec());
            }
            level.files = files;
        }
        self
    }

    /// Says which inode the cgroup itself had, and has.
    pub(super) fn inodes(&mut self, before: u64, now: u64) {
        let set = |reading: &mut Reading, inode| {
            if let Some(level) = reading.subject.ladders[0].levels.last_mut() {
                level.inode = Some(inode);
            }
        };
        set(&mut self.now, now);
        if let Some(reading) = &mut self.before {
            set(reading, before);
        }
    }

    fn version(&self) -> Version {
        self.facts.hierarchies[0].version
    }

    pub(super) fn why(&self) -> Vec<Finding> {
        let before = self.before.as_ref().map(|reading| Earlier { reading, watched: self.watched });
        why(&self.facts, before, &self.now)
    }

    pub(super) fn ids(&self) -> Vec<&'static str> {
        self.why().into_iter().map(|finding| finding.id).collect()
    }

    /// Returns the only finding, which has this id.
    #[track_caller]
    pub(super) fn only(&self, id: &str) -> Finding {
        let mut all = self.why();
        assert!(all.len() == 1 && all[0].id == id, "{id}: {all:#?}");
        all.remove(0)
    }

    /// Returns the one finding that has this id.
    #[track_caller]
    pub(super) fn one(&self, id: &str) -> Finding {
        let all = self.why();
        let mut found: Vec<Finding> = all.iter().filter(|finding| finding.id == id).cloned().collect();
        assert!(found.len() == 1, "{id}: {all:#?}");
        found.remove(0)
    }
}

fn reading(version: Version, levels: &[Made<'_>]) -> Reading {
    let path = levels.last().map_or_else(Vec::new, |(path, _)| path.as_bytes().to_vec());
    let levels = levels.iter().map(|made| level(version, made, true)).collect();
    let ladder = Ladder { hierarchy: 0, path, path_inside: None, seen: Seen::Whole, levels };
    let subject = Subject { pid: None, ladders: vec![ladder], affinity: None };
    Reading { subject, below: Vec::new(), beside: Vec::new(), cut: false }
}

fn nearby(version: Version, all: &[Made<'_>]) -> Vec<Nearby> {
    all.iter().map(|made| Nearby { hierarchy: 0, level: level(version, made, false) }).collect()
}

/// Makes a cgroup with the files that every one has.
fn level(version: Version, (path, contents): &Made<'_>, whole: bool) -> Level {
    let mut files = Files::new(version);
    let usual: &[(&str, &str)] = match (version, *path) {
        (Version::V1, "/") => &[("release_agent", "")],
        (Version::V2, path) if path != "/" => {
            const NONE: &str =
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
            &[
                ("cgroup.type", "domain\n"),
                ("cgroup.events", "populated 1\nfrozen 0\n"),
                ("cgroup.freeze", "0\n"),
                ("cpu.pressure", NONE),
                ("memory.pressure", NONE),
                ("io.pressure", NONE),
            ]
        }
        _ => &[],
    };
    for (name, content) in usual.iter().filter(|_| whole).chain(*contents) {
        files.insert(name, content.as_bytes().to_vec());
    }
    Level { path: path.as_bytes().to_vec(), inode: None, files }
}

/// Returns the evidence as `FILE: KEY VALUE (CHANGE)`.
pub(super) fn evidence(finding: &Finding) -> Vec<String> {
    let one = |evidence: &super::Evidence| {
        let key = if evidence.key.is_empty() { String::new() } else { format!("{} ", evidence.key) };
        let change = evidence.change.map_or_else(String::new, |change| format!(" ({change:+})"));
        let file = String::from_utf8_lossy(&evidence.file);
        format!("{}: {key}{}{change}", file.trim_start_matches("/sys/fs/cgroup"), evidence.value)
    };
    finding.evidence.iter().map(one).collect()
}

/// Returns whom a finding is about, how bad it is, and what to type.
pub(super) fn essence(finding: &Finding) -> (&str, Severity, Option<&str>) {
    (std::str::from_utf8(&finding.cgroup).unwrap_or("?"), finding.severity, finding.fix.as_deref())
}
