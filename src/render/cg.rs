//! How cgroups look. One file for each command that shows them; here are the words that they share.

pub mod change;
pub mod ls;
pub mod path;
pub mod procs;
pub mod show;
pub mod top;
pub mod why;

use serde::Serialize;

use super::json::Text;
use super::text::sanitize;
use crate::cgroup::{Binder, Bound, Cgroups, Home, Ladder, Opened};
use crate::model::cgroup::{Controller, Limit, Unit, Version, size};

/// Says an amount for a person to read: bytes in powers of 1024, processors with decimals.
pub fn amount(value: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => size(value),
        Unit::BytesPerSecond => format!("{}/s", size(value)),
        Unit::OperationsPerSecond => format!("{value}/s"),
        Unit::Millicpus => {
            let text = format!("{}.{:03}", value / 1000, value % 1000);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Unit::Flag => if value == 0 { "no" } else { "yes" }.to_owned(),
        Unit::Count | Unit::Weight | Unit::List => value.to_string(),
    }
}

/// Says a limit for a person to read; what nobody says is `-`.
pub fn limit(limit: Option<Limit>, unit: Unit) -> String {
    match limit {
        Some(Limit::Value(value)) => amount(value, unit),
        Some(Limit::Max) => "max".to_owned(),
        None => "-".to_owned(),
    }
}

/// Names the cgroup that sees to something: `.` is the one that was asked for.
pub fn binder(by: Option<Binder>, ladder: &Ladder) -> String {
    match by {
        None => "-".to_owned(),
        Some(Binder::Host) => "(host)".to_owned(),
        Some(Binder::OutOfSight) => "(out of sight)".to_owned(),
        Some(Binder::Level(level)) if level + 1 == ladder.levels.len() && level > 0 => ".".to_owned(),
        Some(Binder::Level(level)) => level_name(ladder, level),
    }
}

/// Names a cgroup on a ladder: by its last part, as long as that tells it from the others there.
pub fn level_name(ladder: &Ladder, level: usize) -> String {
    let Some(found) = ladder.levels.get(level) else { return String::new() };
    let last = |path: &[u8]| path.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec();
    let name = last(&found.path);
    let alike = ladder.levels.iter().filter(|other| last(&other.path) == name).count();
    let is_short = !name.is_empty() && alike == 1 && level > 0;
    sanitize(if is_short { &name } else { &found.path }).into_owned()
}

/// Names a hierarchy: `v2`, `v1 memory`, `v1 name=systemd`.
pub fn hierarchy_name(opened: &Opened) -> String {
    let names = sanitize(&opened.hierarchy.names);
    match opened.hierarchy.version {
        Version::V2 => "v2".to_owned(),
        Version::V1 => format!("v1 {names}"),
    }
}

/// Says where a controller is at home, where that is nowhere.
pub fn homeless(home: Home) -> Option<&'static str> {
    match home {
        Home::Hierarchy(_) => None,
        Home::NotMounted(_) => Some("its hierarchy is not mounted here"),
        Home::Disabled => Some("disabled at boot, by cgroup_disable="),
        Home::Absent => Some("not available here"),
    }
}

/// A limit in JSON: a number, `"max"` or null.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum LimitJson {
    Value(u64),
    Max(&'static str),
    Unknown(()),
}

impl From<Option<Limit>> for LimitJson {
    fn from(limit: Option<Limit>) -> LimitJson {
        match limit {
            Some(Limit::Value(value)) => LimitJson::Value(value),
            Some(Limit::Max) => LimitJson::Max("max"),
            None => LimitJson::Unknown(()),
        }
    }
}

/// Who sees to something, in JSON: `cgroup` with a path, `host`, `out_of_sight`, or null.
pub(super) fn bound_kind(bound: Bound) -> Option<&'static str> {
    bound.by.map(|by| match by {
        Binder::Level(_) => "cgroup",
        Binder::Host => "host",
        Binder::OutOfSight => "out_of_sight",
    })
}

/// Returns the path of the cgroup that sees to something.
pub(super) fn bound_by(bound: Bound, ladder: &Ladder) -> Option<&[u8]> {
    match bound.by {
        Some(Binder::Level(level)) => ladder.levels.get(level).map(|level| &level.path[..]),
        _ => None,
    }
}

/// A hierarchy in JSON.
#[derive(Serialize)]
pub(super) struct HierarchyJson<'a> {
    id: u32,
    version: u8,
    controllers: Vec<&'static str>,
    #[serde(flatten)]
    name: Text<'a>,
    #[serde(flatten)]
    mount: Text<'a>,
    #[serde(flatten)]
    mount_root: Text<'a>,
}

impl<'a> HierarchyJson<'a> {
    pub(super) fn new(opened: &'a Opened) -> HierarchyJson<'a> {
        let hierarchy = &opened.hierarchy;
        HierarchyJson {
            id: hierarchy.id,
            version: hierarchy.version.number(),
            controllers: hierarchy.controllers.iter().map(|controller| controller.name()).collect(),
            name: Text { key: "name", raw_key: "name_raw", bytes: hierarchy.name() },
            mount: Text { key: "mount", raw_key: "mount_raw", bytes: opened.mount_point() },
            mount_root: Text {
                key: "mount_root",
                raw_key: "mount_root_raw",
                bytes: opened.mount_point().map(|_| opened.top_path()),
            },
        }
    }

    pub(super) fn all(cgroups: &'a Cgroups) -> Vec<HierarchyJson<'a>> {
        cgroups.hierarchies.iter().map(HierarchyJson::new).collect()
    }
}

/// Where a controller is at home, in JSON.
#[derive(Serialize)]
pub(super) struct HomeJson {
    controller: &'static str,
    /// The number of the hierarchy.
    hierarchy: Option<u32>,
    state: &'static str,
}

impl HomeJson {
    pub(super) fn all(cgroups: &Cgroups) -> Vec<HomeJson> {
        let of = |controller: Controller| {
            let (hierarchy, state) = match cgroups.home(controller) {
                Home::Hierarchy(index) => (Some(cgroups.hierarchies[index].hierarchy.id), "mounted"),
                Home::NotMounted(_) => (None, "not_mounted"),
                Home::Disabled => (None, "disabled"),
                Home::Absent => (None, "absent"),
            };
            HomeJson { controller: controller.name(), hierarchy, state }
        };
        Controller::ALL.into_iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short_and_not_wrong() {
        for (value, unit, text) in [
            (0, Unit::Bytes, "0"),
            (1023, Unit::Bytes, "1023"),
            (1024, Unit::Bytes, "1K"),
            (48 << 20, Unit::Bytes, "48M"),
            (48_400_000, Unit::Bytes, "46.2M"),
            (268_435_456 + 1, Unit::Bytes, "256M"),
            ((1 << 20) - 1, Unit::Bytes, "1M"),
            (u64::MAX, Unit::Bytes, "16E"),
            (200, Unit::Millicpus, "0.2"),
            (1500, Unit::Millicpus, "1.5"),
            (2000, Unit::Millicpus, "2"),
            (1, Unit::Flag, "yes"),
            (2048, Unit::BytesPerSecond, "2K/s"),
        ] {
            assert_eq!(amount(value, unit), text, "{value}");
        }
    }
}
