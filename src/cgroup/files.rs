//! The files of one cgroup, as they were read, and what a knob is set to by them. Pure.
//!
//! A knob is asked for by its v2 name; on v1 its answer comes from the files that mean the same.

use std::collections::BTreeMap;

use super::parse;
use crate::model::cgroup::{Bandwidth, Knob, Limit, Rule, Version};

/// The files of a cgroup that could be read, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Which version they follow.
    pub version: Version,
    by_name: BTreeMap<String, Vec<u8>>,
}

/// What a knob is set to: one entry for each key, or one without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The device, the size of pages or the resource that it is for, where a knob has several.
    pub key: Option<String>,
    /// The number, in the unit of the knob.
    pub limit: Limit,
}

impl Setting {
    const fn plain(limit: Limit) -> Setting {
        Setting { key: None, limit }
    }
}

impl Files {
    /// Starts with none.
    pub const fn new(version: Version) -> Files {
        Files { version, by_name: BTreeMap::new() }
    }

    /// Adds one.
    pub fn insert(&mut self, name: &str, content: Vec<u8>) {
        self.by_name.insert(name.to_owned(), content);
    }

    /// Returns the content of one.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// Goes through the names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Returns the number that a file is.
    pub fn number(&self, name: &str) -> Option<u64> {
        parse::number(self.get(name)?)
    }

    /// Returns the number of a key in a flat keyed file.
    pub fn keyed(&self, name: &str, key: &str) -> Option<u64> {
        parse::keyed(self.get(name)?, key)
    }

    /// Returns the bandwidth of `cpu.max`, or of the two files of v1.
    pub fn bandwidth(&self) -> Option<Bandwidth> {
        match self.version {
            Version::V2 => parse::bandwidth(self.get("cpu.max")?),
            Version::V1 => parse::bandwidth_v1(self.get("cpu.cfs_quota_us")?, self.get("cpu.cfs_period_us")?),
        }
    }

    /// Returns the name of the file that a knob is set by here; `None` where this version has no such knob.
    pub fn file_of(&self, knob: &Knob) -> Option<&'static str> {
        match self.version {
            Version::V2 => (!knob.v1_only).then_some(knob.name),
            Version::V1 => knob.v1.map(|v1| v1.file),
        }
    }

    /// Returns what a knob is set to here; nothing where the files do not say.
    pub fn settings(&self, knob: &Knob) -> Vec<Setting> {
        let Some(name) = self.file_of(knob) else { return Vec::new() };
        match (knob.rule, knob.name) {
            (Rule::Bandwidth, _) => {
                self.bandwidth().map(|found| Setting::plain(found.millicpus())).into_iter().collect()
            }
            (_, "io.max") => self.io_max(),
            (Rule::LeastPerKey, _) if name.contains('*') => self.by_page_size(name),
            (Rule::LeastPerKey, "rdma.max") => nested(self.get(name).unwrap_or_default()),
            (Rule::LeastPerKey, _) => keyed_limits(self.get(name).unwrap_or_default()),
            (Rule::Share, "io.weight") => {
                let default =
                    self.get(name).and_then(|text| parse::keyed(text, "default").or_else(|| parse::number(text)));
                default.map(|weight| Setting::plain(Limit::Value(weight))).into_iter().collect()
            }
            (Rule::Any, "cgroup.freeze") if self.version == Version::V1 => {
                // FROZEN says what is; self_freezing what was asked for here, and by nobody above.
                let asked = self.number("freezer.self_freezing");
                asked.map(|asked| Setting::plain(Limit::Value(asked))).into_iter().collect()
            }
            (Rule::Kernel, _) => Vec::new(),
            _ => {
                let parsed = self.get(name).and_then(|text| match self.version {
                    Version::V1 => parse::limit_v1(text),
                    Version::V2 => parse::limit(text),
                });
                parsed.map(Setting::plain).into_iter().collect()
            }
        }
    }

    /// Returns how much of what a knob limits is used here.
    pub fn usage(&self, knob: &Knob, key: Option<&str>) -> Option<u64> {
        let name = match self.version {
            Version::V2 => knob.usage?,
            Version::V1 => knob.v1?.usage?,
        };
        match (knob.name, key) {
            ("cgroup.max.descendants", _) => self.keyed(name, "nr_descendants"),
            (_, Some(size)) if name.contains('*') => self.number(&name.replace('*', size)),
            ("rdma.max", Some(key)) => find(nested(self.get(name)?), key),
            (_, Some(key)) => find(keyed_limits(self.get(name)?), key),
            (_, None) => self.number(name),
        }
    }

    /// Says whether the processes here stand still, by whoever's doing.
    pub fn is_frozen(&self) -> Option<bool> {
        match self.version {
            Version::V2 => self.keyed("cgroup.events", "frozen").map(|frozen| frozen == 1),
            Version::V1 => self.get("freezer.state").map(|state| state.trim_ascii() != b"THAWED"),
        }
    }

    /// Says whether this is the root of its hierarchy, and not just the top of what a mount or a cgroup namespace shows: the root has
    /// no `cgroup.type` on v2, and alone has a `release_agent` on v1.
    pub fn is_root(&self) -> bool {
        match self.version {
            Version::V2 => !self.by_name.contains_key("cgroup.type") && !self.by_name.contains_key("cgroup.events"),
            Version::V1 => self.by_name.contains_key("release_agent"),
        }
    }

    fn io_max(&self) -> Vec<Setting> {
        if self.version == Version::V2 {
            return nested(self.get("io.max").unwrap_or_default());
        }
        let mut all = Vec::new();
        for (file, what) in [
            ("blkio.throttle.read_bps_device", "rbps"),
            ("blkio.throttle.write_bps_device", "wbps"),
            ("blkio.throttle.read_iops_device", "riops"),
            ("blkio.throttle.write_iops_device", "wiops"),
        ] {
            for setting in keyed_limits(self.get(file).unwrap_or_default()) {
                let key = setting.key.map(|device| format!("{device} {what}"));
                all.push(Setting { key, ..setting });
            }
        }
        all
    }

    /// Reads a knob that has a file for each size of pages.
    fn by_page_size(&self, pattern: &str) -> Vec<Setting> {
        let Some((before, after)) = pattern.split_once('*') else { return Vec::new() };
        let size = |name: &str| Some(name.strip_prefix(before)?.strip_suffix(after)?.to_owned());
        let sizes = self.names().filter_map(size).filter(|size| !size.contains('.'));
        let settings = sizes.filter_map(|size| {
            let limit = parse::limit_v1(self.get(&pattern.replace('*', &size))?)?;
            Some(Setting { key: Some(size), limit })
        });
        settings.collect()
    }
}

fn find(settings: Vec<Setting>, key: &str) -> Option<u64> {
    settings.into_iter().find(|setting| setting.key.as_deref() == Some(key))?.limit.value()
}

/// Reads the lines `KEY NUMBER` or `KEY max`.
fn keyed_limits(text: &[u8]) -> Vec<Setting> {
    let settings = parse::lines(text).filter_map(|line| {
        let mut words = parse::words(line);
        let (key, value) = (words.next()?, words.next()?);
        Some(Setting { key: Some(String::from_utf8_lossy(key).into_owned()), limit: parse::limit(value)? })
    });
    settings.collect()
}

/// Reads the lines `KEY SUB=VALUE…`; the keys are `KEY SUB`.
fn nested(text: &[u8]) -> Vec<Setting> {
    let settings = parse::nested_keyed(text).filter_map(|(key, sub, value)| {
        let key = format!("{} {}", String::from_utf8_lossy(key), String::from_utf8_lossy(sub));
        Some(Setting { key: Some(key), limit: parse::limit(value)? })
    });
    settings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cgroup::find_knob;

    fn files(version: Version, contents: &[(&str, &str)]) -> Files {
        let mut files = Files::new(version);
        for (name, content) in contents {
            files.insert(name, content.as_bytes().to_vec());
        }
        files
    }

    fn settings(files: &Files, knob: &str) -> Vec<(Option<String>, Limit)> {
        let knob = find_knob(knob).expect("a knob");
        files.settings(knob).into_iter().map(|setting| (setting.key, setting.limit)).collect()
    }

    #[test]
    fn both_versions_give_the_same_answer() {
        let v2 = files(
            Version::V2,
            &[("memory.max", "max\n"), ("cpu.max", "20000 100000\n"), ("pids.max", "50\n"), ("memory.current", "7\n")],
        );
        let v1 = files(
            Version::V1,
            &[
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.usage_in_bytes", "7\n"),
                ("cpu.cfs_quota_us", "20000\n"),
                ("cpu.cfs_period_us", "100000\n"),
                ("pids.max", "50\n"),
            ],
        );
        for files in [v2, v1] {
            assert_eq!(settings(&files, "memory.max"), [(None, Limit::Max)]);
            assert_eq!(settings(&files, "cpu.max"), [(None, Limit::Value(200))]);
            assert_eq!(settings(&files, "pids.max"), [(None, Limit::Value(50))]);
            assert_eq!(files.usage(find_knob("memory.max").expect("a knob"), None), Some(7));
        }
    }

    #[test]
    fn knobs_with_keys_are_read_key_by_key() {
        let v2 = files(
            Version::V2,
            &[
                ("io.max", "8:0 rbps=max wbps=1000 riops=max wiops=max\n"),
                ("hugetlb.2MB.max", "4194304\n"),
                ("hugetlb.1GB.max", "max\n"),
                ("hugetlb.2MB.rsvd.max", "max\n"),
                ("hugetlb.2MB.current", "2097152\n"),
                ("misc.max", "res_a max\nres_b 4\n"),
                ("misc.current", "res_a 1\nres_b 2\n"),
                ("rdma.max", "mlx4_0 hca_handle=2 hca_object=max\n"),
            ],
        );
        assert_eq!(settings(&v2, "io.max")[1], (Some("8:0 wbps".into()), Limit::Value(1000)));
        assert_eq!(
            settings(&v2, "hugetlb.*.max"),
            [(Some("1GB".into()), Limit::Max), (Some("2MB".into()), Limit::Value(4_194_304))]
        );
        assert_eq!(settings(&v2, "hugetlb.*.rsvd.max"), [(Some("2MB".into()), Limit::Max)]);
        assert_eq!(v2.usage(find_knob("hugetlb.*.max").expect("a knob"), Some("2MB")), Some(2_097_152));
        assert_eq!(v2.usage(find_knob("misc.max").expect("a knob"), Some("res_b")), Some(2));
        assert_eq!(settings(&v2, "rdma.max")[0], (Some("mlx4_0 hca_handle".into()), Limit::Value(2)));
        let v1 = files(Version::V1, &[("blkio.throttle.write_bps_device", "8:0 1000\n")]);
        assert_eq!(settings(&v1, "io.max"), [(Some("8:0 wbps".into()), Limit::Value(1000))]);
    }

    #[test]
    fn what_is_empty_garbled_or_not_there_is_not_set() {
        let v2 = files(Version::V2, &[("memory.max", ""), ("pids.max", "garbage\n"), ("cpu.max", "max")]);
        for knob in ["memory.max", "pids.max", "memory.high", "memory.memsw.max", "io.max", "hugetlb.*.max"] {
            assert_eq!(settings(&v2, knob), [], "{knob}");
        }
        assert_eq!(settings(&v2, "cpu.max"), [(None, Limit::Max)], "the period has a default");
    }

    #[test]
    fn who_asked_for_freezing_is_not_who_is_frozen() {
        let v1 = files(
            Version::V1,
            &[("freezer.state", "FROZEN\n"), ("freezer.self_freezing", "0\n"), ("freezer.parent_freezing", "1\n")],
        );
        assert_eq!(v1.is_frozen(), Some(true));
        assert_eq!(settings(&v1, "cgroup.freeze"), [(None, Limit::Value(0))]);
        let v2 = files(Version::V2, &[("cgroup.freeze", "0\n"), ("cgroup.events", "populated 1\nfrozen 1\n")]);
        assert_eq!(v2.is_frozen(), Some(true));
        assert_eq!(settings(&v2, "cgroup.freeze"), [(None, Limit::Value(0))]);
    }

    #[test]
    fn the_root_is_known_by_what_it_lacks() {
        assert!(files(Version::V2, &[("cgroup.controllers", "")]).is_root());
        assert!(!files(Version::V2, &[("cgroup.type", "domain\n")]).is_root());
        assert!(files(Version::V1, &[("release_agent", "")]).is_root());
        assert!(!files(Version::V1, &[]).is_root());
    }
}
