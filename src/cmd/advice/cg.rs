//! Hints below errors of the commands of `nsx cg` that change something: what to type instead, or first.

use crate::cgroup::Home;
use crate::cgroup::at::parent_path;
use crate::cgroup::change::{Cause, ChangeError, Intent};
use crate::model::Pid;
use crate::render::text::sanitize;

/// Returns what to do about a change that was refused, where the cause is known.
pub(super) fn hint(error: &ChangeError, root: bool) -> Option<String> {
    let path = quoted(&error.path);
    let knob = match &error.intent {
        Intent::Set(knob) => &knob[..],
        _ => "",
    };
    Some(match &*error.cause {
        Cause::NotEnabled { controller, at } => {
            format!("nsx cg set {} cgroup.subtree_control=+{controller}", quoted(at))
        }
        Cause::Elsewhere { .. } if knob == "cgroup.subtree_control" => return None,
        Cause::Elsewhere { mount, .. } => format!("name that one: {}", quoted(mount)),
        Cause::Homeless(controller, Home::NotMounted(_)) => {
            format!("mount it first: mount -t cgroup -o {} none DIR", controller.v1_name())
        }
        Cause::Homeless(_, Home::Disabled) => "remove cgroup_disable= from the kernel's command line".to_owned(),
        Cause::Homeless(..) => "cat /proc/cgroups lists the controllers of this kernel".to_owned(),
        Cause::NotThere { controller, .. } => format!("make one there: nsx cg create {path} --controllers {controller}"),
        Cause::NoFile(_) => format!("nsx cg show {path} -a shows the knobs that there are"),
        Cause::NotOnV1(knob) if matches!(&knob[..], "memory.high" | "memory.low" | "memory.min") => {
            "memory.max is the limit that v1 has".to_owned()
        }
        Cause::OnlyV1(_) => "memory.swap.max is the limit of swap on v2".to_owned(),
        Cause::NoSwapAccounting => "boot with swapaccount=1 to have swap counted".to_owned(),
        Cause::NeedsMemoryLimit => format!("set both: nsx cg set {path} memory.max=… memory.swap.max=…"),
        Cause::SwapTwice => "give one of them".to_owned(),
        Cause::Twice(_) => "give it once".to_owned(),
        Cause::Dedicated(command) => format!("nsx cg {command} {path}"),
        Cause::Root => match error.intent {
            Intent::Set(_) => "the root has no limits: set them in a cgroup below it".to_owned(),
            Intent::Freeze | Intent::Thaw => "freeze a cgroup below it".to_owned(),
            Intent::Kill => "kill a cgroup below it".to_owned(),
            _ => return None,
        },
        Cause::Processes { pids, .. } => match error.intent {
            Intent::Remove => format!("nsx cg kill {path} kills them, nsx cg move elsewhere moves them; nsx cg procs {path} lists them"),
            _ if error.path == b"/" => "the root of a cgroup namespace is not the root of the host: move them to a cgroup below".to_owned(),
            _ => {
                let leaf = quoted(&[&error.path[..], b"/leaf"].concat());
                let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
                format!(
                    "move them into a leaf first: nsx cg create {leaf} && nsx cg move {leaf} {pids} (nsx cg procs {path} lists all)"
                )
            }
        },
        Cause::Children { .. } => format!("nsx cg rm -r {path} removes them, too"),
        Cause::HandsOn { children, .. } => match children.first() {
            Some(child) => format!("move it to a cgroup below: {}", quoted(child)),
            None => {
                let leaf = quoted(&[&error.path[..], b"/leaf"].concat());
                format!("make a leaf, and move it there: nsx cg create {leaf}")
            }
        },
        Cause::HandedOnBelow(paths) => {
            let first = paths.first().map_or(&b"/"[..], |path| path);
            format!("take it back there first: nsx cg set {} {knob}=-CONTROLLER", quoted(first))
        }
        Cause::Usage { .. } => format!("have the kernel give up what it can first: nsx cg set {path} memory.force_empty=0; or end processes: nsx cg procs {path}"),
        Cause::NotReclaimed { .. } => format!("end processes: nsx cg procs {path} lists them"),
        Cause::Denied { .. } if root => return None,
        Cause::Denied { file_owner: Some(0), owner: Some(1..), .. } => {
            "run as root: the limits of a cgroup that was handed over are its giver's; those of cgroups below it can be set".to_owned()
        }
        Cause::Denied { file_owner, owner, .. } => match file_owner.or(*owner) {
            Some(uid @ 1..) => format!("run as root, or as uid {uid}"),
            _ => "run as root; systemd hands a cgroup over with Delegate=yes".to_owned(),
        },
        Cause::CommonAncestor { path, .. } => format!("moving takes write permission on cgroup.procs of {}: run as root, or start the process below it", quoted(path)),
        Cause::OthersProcess { uid } => format!("run as root, or as uid {uid}"),
        Cause::Nsdelegate => "set them from outside, or in a cgroup below".to_owned(),
        Cause::ReadOnly(mount) => format!("mount -o remount,rw {}", quoted(mount)),
        Cause::Threaded => {
            let above = quoted(parent_path(&error.path).unwrap_or(b"/"));
            match error.intent {
                Intent::Kill => format!("kill the cgroup that its processes are in: nsx cg kill {above}"),
                Intent::Set(_) => format!("threads have cpu, cpuset and pids alone; set it above: nsx cg set {above} {knob}=…"),
                _ => format!("do it above: {above}"),
            }
        }
        Cause::DomainInvalid => format!("make it threaded, too: nsx cg set {path} cgroup.type=threaded"),
        Cause::CpusetEmpty => format!("nsx cg set {path} cpuset.cpus=0 cpuset.mems=0"),
        Cause::MoreThanParent { path, .. } | Cause::LessThanChild { path, .. } => {
            format!("change that first: nsx cg set {} {knob}=…", quoted(path))
        }
        Cause::RealTime => "chrt -p -o 0 PID makes it an ordinary process".to_owned(),
        Cause::Crowded { path, file, limit } => format!("nsx cg set {} {file}={}", quoted(path), limit.saturating_add(1)),
        Cause::Own => match error.intent {
            Intent::Freeze => "run nsx from elsewhere; --force freezes it, too".to_owned(),
            _ => "run nsx from elsewhere".to_owned(),
        },
        Cause::Caller => format!("nsx cg move {path} $$ moves the shell that nsx is called from"),
        Cause::FrozenBy(path) => format!("nsx cg thaw {}", quoted(path)),
        Cause::Others(_) if root => return None,
        Cause::Others(left) => match left[..] {
            [(_, Some(uid @ 1..)), ref others @ ..] if others.iter().all(|(_, other)| *other == Some(uid)) => {
                format!("run as root, or as uid {uid}")
            }
            _ => "run as root".to_owned(),
        },
        Cause::Zombies(_) => "they go when their parents wait for them, or end".to_owned(),
        Cause::TimedOut { .. } => match error.intent {
            Intent::Freeze => format!("they come to a stand when they can; nsx cg thaw {path} takes it back, --timeout waits longer"),
            Intent::Kill => format!("nsx cg procs {path} lists who is left; --timeout waits longer"),
            _ => "--timeout waits longer".to_owned(),
        },
        Cause::Exists => format!("-p does not mind; nsx cg set {path} changes it"),
        Cause::NoParent { .. } => "-p makes those above it, too".to_owned(),
        Cause::Ambiguous(paths) => {
            let first = paths.first().map_or(&b"/"[..], |path| path);
            format!("name the one that is meant, such as {}", quoted(first))
        }
        Cause::CgroupGone => {
            let above = parent_path(&error.path).unwrap_or(b"/");
            format!("nsx cg procs {} -r shows what is there", quoted(above))
        }
        Cause::Unknown
        | Cause::NotOnV1(_)
        | Cause::WeightOnV1(_)
        | Cause::KernelThread
        | Cause::ProcessGone
        | Cause::Init
        | Cause::NotTaken { .. }
        | Cause::NotMoved(_)
        | Cause::Name(_)
        | Cause::NoHierarchy(_) => return None,
    })
}

/// Writes a path as a shell takes it, with nothing in it that a terminal obeys.
pub(super) fn quoted(path: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-:@%+,".contains(byte);
    if path.iter().all(is_plain) {
        return String::from_utf8_lossy(path).into_owned();
    }
    format!("'{}'", sanitize(path).replace('\'', "'\\''"))
}

/// Says what was not listed of the members of a cgroup.
pub fn members_notes(outside: Option<usize>, gaps: &[(Pid, &'static str)]) -> Vec<String> {
    let mut notes = Vec::new();
    let count =
        |number: usize, what: &str| if number == 1 { format!("1 {what}") } else { format!("{number} {what}es") };
    if let Some(outside) = outside.filter(|outside| *outside > 0) {
        notes.push(format!("{} of other pid namespaces not listed: they have no pid here", count(outside, "process")));
    }
    if let Some((pid, errno)) = gaps.first() {
        let who = match gaps.len() {
            1 => format!("process {pid}"),
            more => count(more, "process"),
        };
        notes.push(format!("could not read {who} ({errno}); --json has the list in .gaps"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cgroup::{Controller, Version};

    fn error(intent: Intent, path: &str, cause: Cause) -> ChangeError {
        ChangeError { intent, path: path.into(), cause: Box::new(cause), error: None, done: Vec::new() }
    }

    #[test]
    fn each_cause_has_its_own_words() {
        let set = || Intent::Set("memory.max".to_owned());
        let processes = || Cause::Processes { pids: vec![7, 8], count: 3 };
        let hands_on = |children: &[&[u8]]| Cause::HandsOn {
            controllers: "memory".into(),
            children: children.iter().map(|path| path.to_vec()).collect(),
        };
        let denied = |file_owner, owner| Cause::Denied { file: "memory.max".into(), file_owner, owner };
        for (intent, cause, start) in [
            (
                set(),
                Cause::NotEnabled { controller: "memory".into(), at: b"/x".to_vec() },
                "nsx cg set /x cgroup.subtree_control=+memory",
            ),
            (
                set(),
                Cause::Elsewhere { controller: Controller::Memory, home: "v1 memory".into(), mount: b"/m/a".to_vec() },
                "name that one: /m/a",
            ),
            (
                set(),
                Cause::Homeless(Controller::Io, Home::NotMounted(Version::V1)),
                "mount it first: mount -t cgroup -o blkio none",
            ),
            (set(), Cause::Homeless(Controller::Io, Home::Disabled), "remove cgroup_disable="),
            (set(), Cause::Homeless(Controller::Io, Home::Absent), "cat /proc/cgroups"),
            (
                set(),
                Cause::NotThere { controller: Controller::Memory, home: "v1 memory".into() },
                "make one there: nsx cg create /a --controllers memory",
            ),
            (set(), Cause::NoFile("x".into()), "nsx cg show /a -a"),
            (set(), Cause::NotOnV1("memory.high".into()), "memory.max is the limit"),
            (set(), Cause::OnlyV1("memory.memsw.max".into()), "memory.swap.max is"),
            (set(), Cause::NoSwapAccounting, "boot with swapaccount=1"),
            (set(), Cause::NeedsMemoryLimit, "set both: nsx cg set /a memory.max="),
            (set(), Cause::SwapTwice, "give one of them"),
            (set(), Cause::Twice("x".into()), "give it once"),
            (set(), Cause::Dedicated("freeze"), "nsx cg freeze /a"),
            (set(), Cause::Root, "the root has no limits"),
            (Intent::Freeze, Cause::Root, "freeze a cgroup below"),
            (Intent::Kill, Cause::Root, "kill a cgroup below"),
            (set(), processes(), "move them into a leaf first: nsx cg create /a/leaf && nsx cg move /a/leaf 7 8"),
            (Intent::Remove, processes(), "nsx cg kill /a kills them"),
            (Intent::Remove, Cause::Children { paths: Vec::new(), count: 2 }, "nsx cg rm -r /a"),
            (Intent::Move(7), hands_on(&[b"/a/b"]), "move it to a cgroup below: /a/b"),
            (Intent::Move(7), hands_on(&[]), "make a leaf, and move it there: nsx cg create /a/leaf"),
            (set(), Cause::HandedOnBelow(vec![b"/a/b".to_vec()]), "take it back there first: nsx cg set /a/b"),
            (
                set(),
                Cause::Usage { used: 2, asked: 1 },
                "have the kernel give up what it can first: nsx cg set /a memory.force_empty=0",
            ),
            (set(), Cause::NotReclaimed { used: 2 }, "end processes: nsx cg procs /a"),
            (set(), denied(Some(0), Some(5)), "run as root: the limits of a cgroup that was handed over"),
            (set(), denied(Some(5), Some(5)), "run as root, or as uid 5"),
            (set(), denied(Some(0), Some(0)), "run as root; systemd"),
            (set(), denied(None, None), "run as root; systemd"),
            (
                Intent::Move(7),
                Cause::CommonAncestor { path: b"/".to_vec(), owner: Some(0) },
                "moving takes write permission on cgroup.procs of /:",
            ),
            (Intent::Move(7), Cause::OthersProcess { uid: 5 }, "run as root, or as uid 5"),
            (set(), Cause::Nsdelegate, "set them from outside"),
            (set(), Cause::ReadOnly(b"/sys/fs/cgroup".to_vec()), "mount -o remount,rw /sys/fs/cgroup"),
            (set(), Cause::Threaded, "threads have cpu, cpuset and pids alone; set it above: nsx cg set / memory.max="),
            (Intent::Kill, Cause::Threaded, "kill the cgroup that its processes are in: nsx cg kill /"),
            (Intent::Freeze, Cause::Threaded, "do it above: /"),
            (Intent::Move(7), Cause::DomainInvalid, "make it threaded, too: nsx cg set /a cgroup.type=threaded"),
            (Intent::Move(7), Cause::CpusetEmpty, "nsx cg set /a cpuset.cpus=0 cpuset.mems=0"),
            (
                set(),
                Cause::MoreThanParent { path: b"/p".to_vec(), has: "x".into() },
                "change that first: nsx cg set /p memory.max=",
            ),
            (
                set(),
                Cause::LessThanChild { path: b"/a/b".to_vec(), has: "x".into() },
                "change that first: nsx cg set /a/b memory.max=",
            ),
            (Intent::Move(7), Cause::RealTime, "chrt -p -o 0 PID"),
            (
                Intent::Create,
                Cause::Crowded { path: b"/p".to_vec(), file: "cgroup.max.depth", limit: 1 },
                "nsx cg set /p cgroup.max.depth=2",
            ),
            (Intent::Freeze, Cause::Own, "run nsx from elsewhere; --force"),
            (Intent::Kill, Cause::Own, "run nsx from elsewhere"),
            (Intent::Thaw, Cause::FrozenBy(b"/p".to_vec()), "nsx cg thaw /p"),
            (Intent::Move(7), Cause::Caller, "nsx cg move /a $$ moves the shell"),
            (Intent::Kill, Cause::Others(vec![(7, Some(5)), (8, Some(5))]), "run as root, or as uid 5"),
            (Intent::Kill, Cause::Others(vec![(7, Some(0)), (8, Some(5))]), "run as root"),
            (Intent::Kill, Cause::Zombies(vec![7]), "they go when their parents wait"),
            (
                Intent::Freeze,
                Cause::TimedOut { pids: Vec::new() },
                "they come to a stand when they can; nsx cg thaw /a",
            ),
            (Intent::Kill, Cause::TimedOut { pids: Vec::new() }, "nsx cg procs /a lists who is left"),
            (Intent::Thaw, Cause::TimedOut { pids: Vec::new() }, "--timeout waits longer"),
            (Intent::Create, Cause::Exists, "-p does not mind"),
            (Intent::Create, Cause::NoParent { path: b"/p".to_vec(), hierarchy: "v2".into() }, "-p makes those above"),
            (Intent::Kill, Cause::Ambiguous(vec![b"/p".to_vec()]), "name the one that is meant, such as /p"),
            (Intent::Create, Cause::CgroupGone, "nsx cg procs / -r"),
        ] {
            let error = error(intent, "/a", cause);
            let given = hint(&error, false);
            assert!(given.as_deref().is_some_and(|given| given.starts_with(start)), "{error}: {given:?}");
        }
        for cause in [
            Cause::Unknown,
            Cause::KernelThread,
            Cause::ProcessGone,
            Cause::Init,
            Cause::Name("x"),
            Cause::NoHierarchy("x"),
        ] {
            assert_eq!(hint(&error(set(), "/a", cause), false), None);
        }
        assert_eq!(
            hint(&error(set(), "/a", denied(Some(5), Some(5))), true),
            None,
            "root may do all that a file allows"
        );
        assert!(
            hint(&error(set(), "/", processes()), true)
                .is_some_and(|hint| hint.starts_with("the root of a cgroup namespace"))
        );
    }

    #[test]
    fn what_is_to_be_typed_is_safe_to_type() {
        assert_eq!(quoted(b"/a/b.c:d"), "/a/b.c:d");
        assert_eq!(quoted(b"/a b;c"), "'/a b;c'");
        assert_eq!(quoted(b"/a'b"), "'/a'\\''b'");
        assert_eq!(quoted(b"/\x1b[31m"), "'/\\x1b[31m'");
    }

    #[test]
    fn who_is_not_listed_is_counted() {
        assert_eq!(members_notes(Some(0), &[]), Vec::<String>::new());
        assert_eq!(
            members_notes(Some(1), &[(Pid(7), "EACCES")]),
            [
                "1 process of other pid namespaces not listed: they have no pid here",
                "could not read process 7 (EACCES); --json has the list in .gaps"
            ]
        );
    }
}
