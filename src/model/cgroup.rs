//! Controllers, limits and the knobs that they are set by, see cgroups(7) and `Documentation/admin-guide/cgroup-v2.rst`.
//!
//! A knob is called by its v2 name on every hierarchy; the table [`KNOBS`] says by which files a v1 controller has it. Not here: reading
//! them (`cgroup`), what they mean together (`cgroup::effective`).

use std::fmt;

/// A controller, by its v2 name where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Time on processors.
    Cpu,
    /// Which processors and memory nodes.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// Block devices; `blkio` on v1.
    Io,
    /// Number of tasks.
    Pids,
    /// Huge pages.
    Hugetlb,
    /// InfiniBand resources.
    Rdma,
    /// Scalar resources that have no controller of their own.
    Misc,
    /// Memory of devices.
    Dmem,
    /// Accounting of time on processors; part of `cpu` on v2.
    Cpuacct,
    /// Suspending tasks; part of the core on v2.
    Freezer,
    /// Access to devices; a BPF program on v2.
    Devices,
    /// Grouping for perf_event_open(2); implied on v2.
    PerfEvent,
    /// Marking packets, v1 only.
    NetCls,
    /// Priorities of packets, v1 only.
    NetPrio,
}

impl Controller {
    /// All of them, those with limits first.
    pub const ALL: [Controller; 15] = [
        Controller::Memory,
        Controller::Cpu,
        Controller::Cpuset,
        Controller::Pids,
        Controller::Io,
        Controller::Hugetlb,
        Controller::Rdma,
        Controller::Misc,
        Controller::Dmem,
        Controller::Cpuacct,
        Controller::Freezer,
        Controller::Devices,
        Controller::PerfEvent,
        Controller::NetCls,
        Controller::NetPrio,
    ];

    /// Returns the name that nsx uses: the v2 name, else the v1 name.
    pub const fn name(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::Cpuset => "cpuset",
            Controller::Memory => "memory",
            Controller::Io => "io",
            Controller::Pids => "pids",
            Controller::Hugetlb => "hugetlb",
            Controller::Rdma => "rdma",
            Controller::Misc => "misc",
            Controller::Dmem => "dmem",
            Controller::Cpuacct => "cpuacct",
            Controller::Freezer => "freezer",
            Controller::Devices => "devices",
            Controller::PerfEvent => "perf_event",
            Controller::NetCls => "net_cls",
            Controller::NetPrio => "net_prio",
        }
    }

    /// Returns the name that v1 mounts and `/proc/PID/cgroup` use.
    pub const fn v1_name(self) -> &'static str {
        match self {
            Controller::Io => "blkio",
            other => other.name(),
        }
    }

    /// Finds a controller by either name.
    pub fn from_name(name: &[u8]) -> Option<Controller> {
        Controller::ALL
            .into_iter()
            .find(|controller| controller.name().as_bytes() == name || controller.v1_name().as_bytes() == name)
    }

    /// Says whether v2 has it as part of its core, so that it is never listed in `cgroup.controllers`.
    pub const fn is_core_on_v2(self) -> bool {
        matches!(self, Controller::Freezer | Controller::Devices | Controller::PerfEvent | Controller::Cpuacct)
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The version of a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// A hierarchy of one or a few controllers, or a named one without any.
    V1,
    /// The unified hierarchy.
    V2,
}

impl Version {
    /// Returns its number.
    pub const fn number(self) -> u8 {
        match self {
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }
}

/// A limit: a number in the unit of its knob, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// At most this much.
    Value(u64),
    /// Unlimited. It is greater than every value.
    Max,
}

impl Limit {
    /// Returns the number, unless it is unlimited.
    pub const fn value(self) -> Option<u64> {
        match self {
            Limit::Value(value) => Some(value),
            Limit::Max => None,
        }
    }
}

/// Says a number of bytes for a person to read, in the largest unit of a power of 1024. A whole number of units is said as knobs take it.
pub fn size(value: u64) -> String {
    let mut scaled = value as f64;
    for unit in ["", "K", "M", "G", "T", "P"] {
        // As it will be shown: a decimal where there is room for one, and none where it would be a zero.
        let tenths = (scaled * 10.0).round() / 10.0;
        if tenths < 1024.0 {
            let digits = usize::from(!unit.is_empty() && tenths < 100.0 && tenths.fract() != 0.0);
            return format!("{tenths:.digits$}{unit}");
        }
        scaled /= 1024.0;
    }
    format!("{scaled:.0}E")
}

/// A limit of time on processors: `quota_usec` in each `period_usec`, of all processors together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    /// How much may be used in a period, in microseconds.
    pub quota_usec: Limit,
    /// How long a period is, in microseconds.
    pub period_usec: u64,
}

impl Bandwidth {
    /// Returns the limit in thousandths of a processor.
    pub fn millicpus(self) -> Limit {
        match self.quota_usec {
            // A period of zero is nothing that a kernel says.
            Limit::Value(quota) => Limit::Value(quota.saturating_mul(1000) / self.period_usec.max(1)),
            Limit::Max => Limit::Max,
        }
    }
}

/// What the number of a knob counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things: tasks, cgroups, resources.
    Count,
    /// Thousandths of a processor.
    Millicpus,
    /// A share, relative to those of siblings.
    Weight,
    /// Bytes each second.
    BytesPerSecond,
    /// Operations each second.
    OperationsPerSecond,
    /// A list of numbers: processors, memory nodes.
    List,
    /// Yes or no.
    Flag,
}

impl Unit {
    /// Returns the word that JSON uses.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Bytes => "bytes",
            Unit::Count => "count",
            Unit::Millicpus => "millicpus",
            Unit::Weight => "weight",
            Unit::BytesPerSecond => "bytes_per_second",
            Unit::OperationsPerSecond => "operations_per_second",
            Unit::List => "list",
            Unit::Flag => "flag",
        }
    }
}

/// How the values of a cgroup and of its ancestors make the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The least of all counts.
    Least,
    /// As [`Rule::Least`], for each key (device, resource) on its own.
    LeastPerKey,
    /// The least bandwidth counts: quota divided by period.
    Bandwidth,
    /// Each is a share of what the parent has, beside those of its siblings.
    Share,
    /// A protection: no more than each ancestor offers is had. The kernel divides what is too little among siblings.
    Protection,
    /// The kernel says itself what is effective, in another file.
    Kernel,
    /// How many descendants, or levels of them, an ancestor still allows.
    Remaining,
    /// One that says yes is enough.
    Any,
}

/// By which files a v1 controller has what a knob of v2 is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V1Knob {
    /// The controller whose hierarchy has the files.
    pub controller: Controller,
    /// The file with the value.
    pub file: &'static str,
    /// The file with what is used, where there is one.
    pub usage: Option<&'static str>,
}

/// A knob: a file of a cgroup that sets something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knob {
    /// Its name on v2, which is that of its file. A `*` stands for a size of pages.
    pub name: &'static str,
    /// Its controller; `None` for what belongs to cgroups themselves.
    pub controller: Option<Controller>,
    /// What its number counts.
    pub unit: Unit,
    /// How it adds up.
    pub rule: Rule,
    /// The v2 file with what is used, where there is one.
    pub usage: Option<&'static str>,
    /// By what v1 has it.
    pub v1: Option<V1Knob>,
    /// Whether it exists on v1 alone: the name is then one that nsx gives it.
    pub v1_only: bool,
}

const fn knob(
    name: &'static str,
    controller: Option<Controller>,
    unit: Unit,
    rule: Rule,
    usage: Option<&'static str>,
    v1: Option<(Controller, &'static str, Option<&'static str>)>,
) -> Knob {
    let v1 = match v1 {
        Some((controller, file, usage)) => Some(V1Knob { controller, file, usage }),
        None => None,
    };
    Knob { name, controller, unit, rule, usage, v1, v1_only: false }
}

/// Every knob whose value nsx explains, in the order in which they are shown.
pub static KNOBS: [Knob; 23] = {
    use Controller::{Cpu, Cpuset, Dmem, Freezer, Hugetlb, Io, Memory, Misc, Pids, Rdma};
    [
        knob(
            "memory.max",
            Some(Memory),
            Unit::Bytes,
            Rule::Least,
            Some("memory.current"),
            Some((Memory, "memory.limit_in_bytes", Some("memory.usage_in_bytes"))),
        ),
        knob("memory.high", Some(Memory), Unit::Bytes, Rule::Least, Some("memory.current"), None),
        knob("memory.swap.max", Some(Memory), Unit::Bytes, Rule::Least, Some("memory.swap.current"), None),
        Knob {
            v1_only: true,
            ..knob(
                "memory.memsw.max",
                Some(Memory),
                Unit::Bytes,
                Rule::Least,
                None,
                Some((Memory, "memory.memsw.limit_in_bytes", Some("memory.memsw.usage_in_bytes"))),
            )
        },
        knob("memory.zswap.max", Some(Memory), Unit::Bytes, Rule::Least, Some("memory.zswap.current"), None),
        knob("memory.min", Some(Memory), Unit::Bytes, Rule::Protection, Some("memory.current"), None),
        knob("memory.low", Some(Memory), Unit::Bytes, Rule::Protection, Some("memory.current"), None),
        knob("memory.oom.group", Some(Memory), Unit::Flag, Rule::Any, None, None),
        knob("cpu.max", Some(Cpu), Unit::Millicpus, Rule::Bandwidth, None, Some((Cpu, "cpu.cfs_quota_us", None))),
        knob("cpu.weight", Some(Cpu), Unit::Weight, Rule::Share, None, Some((Cpu, "cpu.shares", None))),
        knob("cpuset.cpus", Some(Cpuset), Unit::List, Rule::Kernel, None, Some((Cpuset, "cpuset.cpus", None))),
        knob("cpuset.mems", Some(Cpuset), Unit::List, Rule::Kernel, None, Some((Cpuset, "cpuset.mems", None))),
        knob(
            "pids.max",
            Some(Pids),
            Unit::Count,
            Rule::Least,
            Some("pids.current"),
            Some((Pids, "pids.max", Some("pids.current"))),
        ),
        knob(
            "io.max",
            Some(Io),
            Unit::BytesPerSecond,
            Rule::LeastPerKey,
            None,
            Some((Io, "blkio.throttle.read_bps_device", None)),
        ),
        knob("io.weight", Some(Io), Unit::Weight, Rule::Share, None, Some((Io, "blkio.bfq.weight", None))),
        knob(
            "hugetlb.*.max",
            Some(Hugetlb),
            Unit::Bytes,
            Rule::LeastPerKey,
            Some("hugetlb.*.current"),
            Some((Hugetlb, "hugetlb.*.limit_in_bytes", Some("hugetlb.*.usage_in_bytes"))),
        ),
        knob(
            "hugetlb.*.rsvd.max",
            Some(Hugetlb),
            Unit::Bytes,
            Rule::LeastPerKey,
            Some("hugetlb.*.rsvd.current"),
            Some((Hugetlb, "hugetlb.*.rsvd.limit_in_bytes", Some("hugetlb.*.rsvd.usage_in_bytes"))),
        ),
        knob(
            "rdma.max",
            Some(Rdma),
            Unit::Count,
            Rule::LeastPerKey,
            Some("rdma.current"),
            Some((Rdma, "rdma.max", Some("rdma.current"))),
        ),
        knob(
            "misc.max",
            Some(Misc),
            Unit::Count,
            Rule::LeastPerKey,
            Some("misc.current"),
            Some((Misc, "misc.max", Some("misc.current"))),
        ),
        knob("dmem.max", Some(Dmem), Unit::Bytes, Rule::LeastPerKey, Some("dmem.current"), None),
        knob("cgroup.max.descendants", None, Unit::Count, Rule::Remaining, Some("cgroup.stat"), None),
        knob("cgroup.max.depth", None, Unit::Count, Rule::Remaining, None, None),
        knob("cgroup.freeze", None, Unit::Flag, Rule::Any, None, Some((Freezer, "freezer.state", None))),
    ]
};

/// Finds a knob by its name.
pub fn find_knob(name: &str) -> Option<&'static Knob> {
    KNOBS.iter().find(|knob| knob.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_controller_is_found_by_both_names() {
        for controller in Controller::ALL {
            assert_eq!(Controller::from_name(controller.name().as_bytes()), Some(controller));
            assert_eq!(Controller::from_name(controller.v1_name().as_bytes()), Some(controller));
        }
        assert_eq!(Controller::from_name(b"blkio"), Some(Controller::Io));
        assert_eq!(Controller::from_name(b"name=systemd"), None);
    }

    #[test]
    fn no_limit_is_more_than_any() {
        assert!(Limit::Max > Limit::Value(u64::MAX));
        assert_eq!([Limit::Max, Limit::Value(3), Limit::Value(2)].into_iter().min(), Some(Limit::Value(2)));
    }

    #[test]
    fn a_bandwidth_is_a_number_of_processors() {
        let of = |quota, period| Bandwidth { quota_usec: quota, period_usec: period }.millicpus();
        assert_eq!(of(Limit::Value(20_000), 100_000), Limit::Value(200));
        assert_eq!(of(Limit::Value(150_000), 100_000), Limit::Value(1500));
        assert_eq!(of(Limit::Max, 100_000), Limit::Max);
        assert_eq!(of(Limit::Value(u64::MAX), 0), Limit::Value(u64::MAX));
    }

    #[test]
    fn no_knob_comes_twice() {
        for (index, knob) in KNOBS.iter().enumerate() {
            assert!(KNOBS[..index].iter().all(|other| other.name != knob.name), "{}", knob.name);
            assert_eq!(find_knob(knob.name), Some(knob));
        }
    }
}
