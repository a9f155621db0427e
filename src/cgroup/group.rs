//! One cgroup of a tree, with the few facts that a list of thousands shows of each.

use super::events::Throttling;
use super::parse::Pressure;
use crate::model::Container;
use crate::model::cgroup::{Bandwidth, Limit};

/// Who sees to a limit in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundBy {
    /// The cgroup with this index in the tree.
    Group(usize),
    /// A cgroup above the part of the tree that was read: the index in [`super::Tree::above`].
    Above(usize),
    /// The host has no more.
    Host,
    /// A cgroup that cannot be seen from here; the kernel says that there is one.
    OutOfSight,
}

/// What a limit comes to in a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comes {
    /// To how much.
    pub limit: Option<Limit>,
    /// By whom; `None` where there is no limit.
    pub by: Option<BoundBy>,
}

/// A cgroup. On hosts with several hierarchies those with the same path are one, and each controller's facts come from its home.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// Its path, as the caller's cgroup namespace has it.
    pub path: Vec<u8>,
    /// The indices of the hierarchies that have it, ascending.
    pub hierarchies: Vec<usize>,
    /// The container that it belongs to, where somebody who knows has said it (`sandbox::Names`).
    pub container: Option<Container>,
    /// The inode number of its directory, on v2 if it is there, else in the first hierarchy.
    pub inode: Option<u64>,
    /// The pids of its processes, ascending, each once.
    pub pids: Vec<u32>,
    /// How many entries are of processes that the caller's pid namespace does not show.
    pub pids_outside: u64,
    /// Memory that is used, in bytes.
    pub memory_current: Option<u64>,
    /// memory.max.
    pub memory_max: Option<Limit>,
    /// memory.high.
    pub memory_high: Option<Limit>,
    /// Time on processors since it was made, in microseconds.
    pub cpu_usage_usec: Option<u64>,
    /// cpu.max.
    pub cpu_max: Option<Bandwidth>,
    /// How much its own quota has stopped it.
    pub throttling: Option<Throttling>,
    /// Tasks in it and below.
    pub pids_current: Option<u64>,
    /// pids.max.
    pub pids_max: Option<Limit>,
    /// Whether its processes stand still, by whoever's doing.
    pub frozen: Option<bool>,
    /// Pressure on cpu, memory and io.
    pub pressure: [Option<Pressure>; 3],
    /// What memory.max comes to, with those above.
    pub memory_effective: Comes,
    /// What cpu.max comes to, in thousandths of a processor.
    pub cpu_effective: Comes,
    /// What pids.max comes to.
    pub pids_effective: Comes,
    /// Time on processors in the interval that was watched, in thousandths of one processor.
    pub cpu_millicpus: Option<u64>,
    /// What its quota has stopped in that interval.
    pub throttling_watched: Option<Throttling>,
}

impl Group {
    /// Returns how deep it lies: the root is 0.
    pub fn depth(&self) -> usize {
        if self.path == b"/" { 0 } else { self.path.iter().filter(|&&byte| byte == b'/').count() }
    }

    /// Returns the last part of its path.
    pub fn name(&self) -> &[u8] {
        match self.path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) if self.path.len() > 1 => &self.path[slash + 1..],
            _ => &self.path,
        }
    }

    /// Says whether it sets a limit itself.
    pub fn sets_limits(&self) -> bool {
        let is_set = |limit: Option<Limit>| limit.is_some_and(|limit| limit != Limit::Max);
        is_set(self.memory_max)
            || is_set(self.memory_high)
            || is_set(self.pids_max)
            || is_set(self.cpu_max.map(|max| max.quota_usec))
    }

    /// Returns how much is used of the limit that is used most, in percent; only limits that cgroups set count.
    pub fn fullest_percent(&self) -> Option<f64> {
        let percent = |used: Option<u64>, comes: Comes| match (used, comes.limit, comes.by) {
            (
                Some(used),
                Some(Limit::Value(limit)),
                Some(BoundBy::Group(_) | BoundBy::Above(_) | BoundBy::OutOfSight),
            ) => Some(used as f64 * 100.0 / limit.max(1) as f64),
            _ => None,
        };
        let all = [
            percent(self.memory_current, self.memory_effective),
            percent(self.pids_current, self.pids_effective),
            percent(self.cpu_millicpus, self.cpu_effective),
        ];
        all.into_iter().flatten().reduce(f64::max)
    }

    /// Returns the worst pressure of the last ten seconds, in percent.
    pub fn worst_pressure(&self) -> Option<f64> {
        self.pressure.iter().flatten().map(|pressure| pressure.some[0]).reduce(f64::max)
    }

    /// Returns in which part of the periods its quota has stopped it: of the interval that was watched, else since it was made.
    pub fn throttled_percent(&self) -> Option<f64> {
        self.throttling_watched.as_ref().or(self.throttling.as_ref()).and_then(Throttling::percent)
    }

    /// Takes in what another hierarchy says of the same path.
    pub(super) fn merge(&mut self, other: Group) {
        self.hierarchies.extend(other.hierarchies);
        self.inode = self.inode.or(other.inode);
        self.pids.extend(other.pids);
        self.pids_outside = self.pids_outside.max(other.pids_outside);
        self.memory_current = self.memory_current.or(other.memory_current);
        self.memory_max = self.memory_max.or(other.memory_max);
        self.memory_high = self.memory_high.or(other.memory_high);
        self.cpu_usage_usec = self.cpu_usage_usec.or(other.cpu_usage_usec);
        self.cpu_max = self.cpu_max.or(other.cpu_max);
        self.throttling = self.throttling.or(other.throttling);
        self.pids_current = self.pids_current.or(other.pids_current);
        self.pids_max = self.pids_max.or(other.pids_max);
        // Frozen by either freezer is frozen.
        self.frozen = match (self.frozen, other.frozen) {
            (Some(a), Some(b)) => Some(a || b),
            (a, b) => a.or(b),
        };
        for (own, other) in self.pressure.iter_mut().zip(other.pressure) {
            *own = own.or(other);
        }
    }
}

/// Orders paths as a tree is drawn: whatever is below a cgroup comes right behind it.
pub fn tree_order(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    // A slash comes before every other byte. What two paths have in common is most of them, so it is passed over quickly.
    let key = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    a.get(same).map(key).cmp(&b.get(same).map(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_last_part_and_the_root_is_called_so() {
        for (path, name, depth) in [("/", "/", 0), ("/a", "a", 1), ("/a/b c", "b c", 2)] {
            let group = Group { path: path.into(), ..Group::default() };
            assert_eq!((group.name(), group.depth()), (name.as_bytes(), depth), "{path}");
        }
    }

    #[test]
    fn what_is_below_comes_right_behind() {
        let mut paths = ["/a-b", "/a/z", "/", "/a", "/a.slice/x", "/a.slice", "/a/b"];
        paths.sort_by(|a, b| tree_order(a.as_bytes(), b.as_bytes()));
        assert_eq!(paths, ["/", "/a", "/a/b", "/a/z", "/a-b", "/a.slice", "/a.slice/x"]);
    }

    #[test]
    fn the_fullest_limit_counts_and_the_host_is_none() {
        let comes = |limit, by| Comes { limit: Some(Limit::Value(limit)), by: Some(by) };
        let group = Group {
            memory_current: Some(90),
            memory_effective: comes(100, BoundBy::Host),
            pids_current: Some(30),
            pids_effective: comes(40, BoundBy::Above(0)),
            cpu_millicpus: Some(100),
            cpu_effective: comes(200, BoundBy::Group(0)),
            ..Group::default()
        };
        assert_eq!(group.fullest_percent(), Some(75.0));
        assert_eq!(Group::default().fullest_percent(), None);
    }
}
