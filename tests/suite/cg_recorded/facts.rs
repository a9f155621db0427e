//! What `tests/data/cgroup/README.md` says of each recording, as tables.

use serde_json::{Value, json};

/// A limit that is to be expected.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    At(u64),
    Max,
    Unknown,
}

impl Limit {
    pub(super) fn json(self) -> Value {
        match self {
            Limit::At(number) => json!(number),
            Limit::Max => json!("max"),
            Limit::Unknown => Value::Null,
        }
    }
}

/// Who is to be named.
#[derive(Clone, Copy)]
pub(super) enum By {
    Cgroup(&'static str),
    Host,
    OutOfSight,
    Nobody,
}

impl By {
    pub(super) fn path(self) -> Value {
        match self {
            By::Cgroup(path) => json!(path),
            By::Host | By::OutOfSight | By::Nobody => Value::Null,
        }
    }

    pub(super) fn kind(self) -> Value {
        match self {
            By::Cgroup(_) => json!("cgroup"),
            By::Host => json!("host"),
            By::OutOfSight => json!("out_of_sight"),
            By::Nobody => Value::Null,
        }
    }
}

use By::{Cgroup, Host, Nobody, OutOfSight};
use Limit::{At, Max, Unknown};

const WEB: By = Cgroup("/web.slice");
const APP: By = Cgroup("/web.slice/app.service");
const WORKER: By = Cgroup("/web.slice/app.service/worker");
const DB: By = Cgroup("/web.slice/db.service");
const DEMO: By = Cgroup("/nsx-demo");
const CHILD: By = Cgroup("/nsx-demo/child");
const ID: &str = "/docker/5b0dd1f1b6a9c2ad0c5a0d3f8a2d3e1c9f6b7a8e4d2c1b0a9f8e7d6c5b4a3f21";
const DOCKER: By = Cgroup(ID);
const TOP: By = Cgroup("/");

/// A knob, its key, what counts, by whom, the file that says what is used, what is left, and by whom.
type Knob = (&'static str, Option<&'static str>, Limit, By, Option<&'static str>, Limit, By);

const fn bound(knob: &'static str, effective: u64, by: By, used: &'static str, left: u64, left_by: By) -> Knob {
    (knob, None, At(effective), by, Some(used), At(left), left_by)
}

/// A limit of which nothing is used up.
const fn rate(knob: &'static str, key: Option<&'static str>, effective: u64, by: By) -> Knob {
    (knob, key, At(effective), by, None, Unknown, Nobody)
}

/// No limit.
const fn free(knob: &'static str, used: Option<&'static str>) -> Knob {
    (knob, None, Max, Nobody, used, Max, Nobody)
}

/// Of each process what its limits come to.
pub(super) const LIMITS: &[(&str, &str, &[Knob])] = &[
    (
        "v2",
        "77",
        &[
            bound("memory.max", 50_331_648, WEB, "memory.current", 24_752_128, WEB),
            bound("memory.high", 41_943_040, APP, "memory.current", 33_308_672, APP),
            bound("memory.swap.max", 0, APP, "memory.swap.current", 0, APP),
            bound("pids.max", 20, APP, "pids.current", 19, APP),
            rate("cpu.max", None, 200, WEB),
            rate("cpuset.cpus", None, 1, APP),
            rate("io.max", Some("254:0 rbps"), 20_971_520, WEB),
            rate("io.max", Some("254:0 wiops"), 120, WEB),
            ("io.max", Some("254:0 wbps"), Max, Nobody, None, Max, Nobody),
            ("cgroup.max.descendants", None, At(10), WEB, Some("cgroup.stat"), At(7), WEB),
            free("cgroup.max.depth", None),
            rate("memory.oom.group", None, 1, WORKER),
            rate("cgroup.freeze", None, 0, Nobody),
            free("memory.zswap.max", Some("memory.zswap.current")),
        ],
    ),
    (
        "v2",
        "78",
        &[
            bound("memory.max", 48_234_496, DB, "memory.current", 24_752_128, WEB),
            free("memory.high", Some("memory.current")),
            bound("pids.max", 50, WEB, "pids.current", 48, WEB),
            rate("cpu.max", None, 200, WEB),
            rate("cpuset.cpus", None, 2, Nobody),
            rate("io.max", Some("254:0 rbps"), 20_971_520, WEB),
            rate("memory.oom.group", None, 0, Nobody),
        ],
    ),
    (
        "v2-6.1",
        "77",
        &[
            bound("memory.max", 50_331_648, WEB, "memory.current", 33_382_400, WEB),
            bound("pids.max", 30, APP, "pids.current", 29, APP),
            rate("cpu.max", None, 200, WEB),
            rate("cpuset.cpus", None, 2, Nobody),
        ],
    ),
    ("v2-6.1", "78", &[rate("cgroup.freeze", None, 1, Cgroup("/pause.slice")), rate("cpu.max", None, 2000, Host)]),
    ("v2-6.1", "79", &[rate("cgroup.freeze", None, 0, Nobody), rate("cpuset.cpus", None, 2, Nobody)]),
    ("hybrid", "77", &DEMO_LIMITS_HYBRID),
    ("v1", "77", &DEMO_LIMITS_V1),
    (
        "container",
        "77",
        &[
            ("memory.max", None, At(50_331_648), OutOfSight, Some("memory.usage_in_bytes"), Unknown, Nobody),
            bound("pids.max", 50, DOCKER, "pids.current", 45, DOCKER),
            rate("cpu.max", None, 200, DOCKER),
            rate("cgroup.freeze", None, 0, Nobody),
        ],
    ),
    (
        "container",
        "78",
        &[
            ("memory.max", None, At(50_331_648), OutOfSight, Some("memory.usage_in_bytes"), Unknown, Nobody),
            bound("pids.max", 50, DOCKER, "pids.current", 45, DOCKER),
            rate("cpu.max", None, 200, DOCKER),
        ],
    ),
    (
        "cgroupns",
        "77",
        &[
            bound("memory.max", 67_108_864, TOP, "memory.current", 59_256_832, TOP),
            bound("pids.max", 30, TOP, "pids.current", 25, TOP),
            rate("cpu.max", None, 2000, Host),
        ],
    ),
    (
        "cgroupns",
        "79",
        &[
            bound("memory.max", 67_108_864, TOP, "memory.current", 59_256_832, TOP),
            bound("pids.max", 30, TOP, "pids.current", 25, TOP),
            rate("cpu.max", None, 2000, Host),
        ],
    ),
    (
        "hostile",
        "77",
        &[
            bound("memory.max", 10_485_760, RED, "memory.current", 10_477_568, RED),
            rate("cpu.max", None, 200, RED),
            bound("pids.max", 5, RED, "pids.current", 4, RED),
        ],
    ),
    ("hostile", "79", &[rate("cpu.max", None, 200, Cgroup("/x (deleted)"))]),
    ("hostile", "80", &[rate("cpu.max", None, 2000, Host)]),
    (
        "hostile",
        "81",
        &[
            bound("memory.max", 2_097_152, Cgroup(LONG), "memory.current", 2_093_056, Cgroup(LONG)),
            bound("pids.max", 0, Cgroup(LONGER), "pids.current", 0, Cgroup(LONGER)),
            rate("cpu.max", None, 2000, Host),
        ],
    ),
    ("hostile", "83", &[rate("cpu.max", None, 2000, Host)]),
];

/// The longest name that a cgroup can have, 255 bytes, with a slash before it.
macro_rules! long {
    () => {
        concat!("/long-", fifty!(), fifty!(), fifty!(), fifty!(), fifty!())
    };
}

macro_rules! fifty {
    () => {
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    };
}

const LONG: &str = long!();
const LONGER: &str = concat!(long!(), long!());
const RED: By = Cgroup("/\u{1b}[31mred\u{1b}[0m.slice");

const DEMO_LIMITS_HYBRID: [Knob; 6] = [
    bound("memory.max", 67_108_864, DEMO, "memory.usage_in_bytes", 58_494_976, DEMO),
    bound("memory.memsw.max", 83_886_080, DEMO, "memory.memsw.usage_in_bytes", 75_272_192, DEMO),
    rate("cpu.max", None, 200, DEMO),
    bound("pids.max", 50, DEMO, "pids.current", 49, DEMO),
    rate("cpuset.cpus", None, 1, CHILD),
    rate("cgroup.freeze", None, 1, DEMO),
];

const DEMO_LIMITS_V1: [Knob; 6] = [
    bound("memory.max", 67_108_864, DEMO, "memory.usage_in_bytes", 58_560_512, DEMO),
    bound("memory.memsw.max", 83_886_080, DEMO, "memory.memsw.usage_in_bytes", 75_337_728, DEMO),
    rate("cpu.max", None, 200, DEMO),
    bound("pids.max", 50, DEMO, "pids.current", 49, DEMO),
    rate("cpuset.cpus", None, 1, CHILD),
    rate("cgroup.freeze", None, 1, DEMO),
];

/// A counter: the cgroup, the file, the key, and the number.
type Counter = (&'static str, &'static str, Option<&'static str>, u64);

/// Of each process what has happened to it and above it.
pub(super) const EVENTS: &[(&str, &str, &[Counter])] = &[
    (
        "v2",
        "77",
        &[
            // The limit was that of the one, the victims were in the other.
            ("/web.slice", "memory.events.local", Some("oom"), 1),
            ("/web.slice", "memory.events.local", Some("oom_kill"), 0),
            ("/web.slice/app.service", "memory.events.local", Some("oom"), 0),
            ("/web.slice/app.service", "memory.events.local", Some("oom_kill"), 0),
            ("/web.slice/app.service/worker", "memory.events.local", Some("oom"), 0),
            ("/web.slice/app.service/worker", "memory.events.local", Some("oom_kill"), 3),
            ("/web.slice/app.service/worker", "memory.events.local", Some("oom_group_kill"), 1),
            ("/web.slice", "memory.events", Some("oom_kill"), 3),
            ("/web.slice/app.service", "memory.events", Some("oom_kill"), 3),
            ("/web.slice/app.service/worker", "memory.events", Some("oom_kill"), 3),
            ("/web.slice/app.service", "memory.events.local", Some("high"), 16),
            ("/web.slice", "pids.events.local", Some("max"), 0),
            ("/web.slice/app.service", "pids.events.local", Some("max"), 1),
            ("/web.slice/app.service/worker", "pids.events.local", Some("max"), 0),
            ("/web.slice", "cpu.stat", Some("nr_periods"), 23),
            ("/web.slice", "cpu.stat", Some("nr_throttled"), 21),
            ("/web.slice", "cpu.stat", Some("throttled_usec"), 1_615_399),
            ("/web.slice/app.service", "cpu.stat", Some("nr_throttled"), 0),
            ("/web.slice/app.service/worker", "cpu.stat", Some("nr_throttled"), 0),
            ("/web.slice/app.service/worker", "cpu.stat.local", Some("throttled_usec"), 1_615_399),
        ],
    ),
    (
        "v2",
        "78",
        &[
            ("/web.slice/db.service", "memory.events", Some("oom_kill"), 0),
            ("/web.slice", "memory.events", Some("oom_kill"), 3),
        ],
    ),
    (
        "v2-6.1",
        "77",
        &[
            ("/web.slice", "memory.events.local", Some("oom"), 1),
            ("/web.slice", "memory.events.local", Some("oom_kill"), 0),
            ("/web.slice/app.service", "memory.events.local", Some("oom"), 0),
            ("/web.slice/app.service", "memory.events.local", Some("oom_kill"), 1),
            ("/web.slice/app.service", "pids.events", Some("max"), 1),
            ("/web.slice", "cpu.stat", Some("nr_periods"), 24),
            ("/web.slice", "cpu.stat", Some("nr_throttled"), 21),
            ("/web.slice/app.service", "cpu.stat", Some("nr_throttled"), 0),
        ],
    ),
    (
        "hybrid",
        "77",
        &[
            ("/nsx-demo", "memory.oom_control", Some("oom_kill"), 0),
            ("/nsx-demo/child", "memory.oom_control", Some("oom_kill"), 1),
            ("/nsx-demo", "memory.failcnt", None, 49),
            ("/nsx-demo/child", "memory.failcnt", None, 0),
            // v1 counts where the process is that was refused.
            ("/nsx-demo", "pids.events", Some("max"), 0),
            ("/nsx-demo/child", "pids.events", Some("max"), 1),
            ("/nsx-demo", "cpu.stat", Some("nr_periods"), 27),
            ("/nsx-demo", "cpu.stat", Some("nr_throttled"), 18),
            ("/nsx-demo/child", "cpu.stat", Some("nr_throttled"), 0),
        ],
    ),
    (
        "v1",
        "77",
        &[
            ("/nsx-demo/child", "memory.oom_control", Some("oom_kill"), 1),
            ("/nsx-demo", "memory.failcnt", None, 111),
            ("/nsx-demo/child", "memory.failcnt", None, 0),
            ("/nsx-demo/child", "pids.events", Some("max"), 1),
            ("/nsx-demo", "cpu.stat", Some("nr_periods"), 56),
            ("/nsx-demo", "cpu.stat", Some("nr_throttled"), 51),
        ],
    ),
    (
        "container",
        "77",
        &[
            (ID, "memory.oom_control", Some("oom_kill"), 1),
            (ID, "memory.failcnt", None, 0),
            (ID, "cpu.stat", Some("nr_periods"), 129),
            (ID, "cpu.stat", Some("nr_throttled"), 124),
        ],
    ),
    (
        "cgroupns",
        "77",
        &[
            ("/", "memory.events.local", Some("oom_kill"), 1),
            ("/", "memory.events.local", Some("oom"), 0),
            ("/", "cpu.stat.local", Some("throttled_usec"), 29_001_205),
            ("/", "cpu.stat", Some("nr_periods"), 0),
        ],
    ),
];

/// A cgroup of a process: the hierarchy, the path, how much of it is seen, from the root or not, frozen or not.
type State = (u32, &'static str, &'static str, bool, Option<bool>);

pub(super) const STATES: &[(&str, &str, &[State])] = &[
    ("v2", "77", &[(0, "/web.slice/app.service/worker", "whole", true, Some(false))]),
    ("v2-6.1", "78", &[(0, "/pause.slice/job", "whole", true, Some(true))]),
    ("v2-6.1", "79", &[(0, "/threads", "whole", true, Some(false))]),
    (
        "hybrid",
        "77",
        &[
            // v2 does not know that the v1 freezer has frozen them.
            (0, "/nsx-demo/child", "whole", true, Some(false)),
            (4, "/nsx-demo/child", "whole", true, None),
            (6, "/nsx-demo/child", "whole", true, Some(true)),
        ],
    ),
    ("v1", "77", &[(3, "/nsx-demo/child", "whole", true, None)]),
    ("container", "77", &[(0, ID, "whole", false, Some(false)), (4, ID, "whole", false, None)]),
    ("cgroupns", "77", &[(0, "/", "whole", false, Some(false))]),
    ("cgroupns", "79", &[(0, "/sub", "whole", false, Some(false))]),
    ("cgroupns", "78", &[(0, "/../other", "outside", true, None)]),
    ("cgroupns", "80", &[(0, "/../..", "outside", true, None)]),
    ("hostile", "78", &[(0, "/gone (deleted)", "removed", true, None)]),
    ("hostile", "79", &[(0, "/x (deleted)", "whole", true, Some(false))]),
    ("hostile", "82", &[]),
];

/// Processors: a process, thousandths, its quota, and how many by cpuset, by affinity and online.
type Processors = (&'static str, &'static str, u64, Limit, Option<u64>, u64, u64);

pub(super) const PROCESSORS: &[Processors] = &[
    ("v2", "77", 200, At(200), Some(1), 1, 2),
    ("v2", "78", 200, At(200), Some(2), 2, 2),
    ("v2-6.1", "77", 200, At(200), Some(2), 2, 2),
    ("v2-6.1", "78", 2000, Max, Some(2), 2, 2),
    ("hybrid", "77", 200, At(200), Some(1), 1, 2),
    ("v1", "77", 200, At(200), Some(1), 1, 2),
    ("container", "78", 200, At(200), Some(2), 2, 2),
    ("cgroupns", "77", 2000, Max, None, 2, 2),
    ("hostile", "77", 200, At(200), None, 2, 2),
];
