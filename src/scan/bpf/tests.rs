//! Programs over types that are built here, sound and spoiled, and over those of the kernel; and what is made of what
//! they tell.

mod check;
mod kernel;

use std::io::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::tasks::Task;
use super::*;
use crate::model::{ForChildren, NsArray, NsId, NsName, Pid, Thread, Tid};
use crate::sys::bpf::btf::plain::Plain;
use crate::sys::error::Call;
use check::Checker;
use kernel::{FUNCTIONS, STRUCTS};

/// Writes a program over these types, and checks it; says how many typed loads it has, or `None` where there is no program.
fn written(bytes: &[u8], fds: bool) -> Result<Option<usize>, String> {
    let Ok(mut btf) = Btf::new(bytes) else { return Ok(None) };
    let Ok((over, program)) = program(&mut btf, fds) else { return Ok(None) };
    let plain = Plain::new(bytes).ok_or("types that only one can read")?;
    if plain.first(12, "bpf_iter_task") != Some(over.0) {
        return Err("it is run over something else".to_owned());
    }
    let context = plain.first(4, "bpf_iter__task").ok_or("there is no context")?;
    let functions = FUNCTIONS.map(|name| plain.first(12, name));
    let checker = Checker { plain: &plain, context, functions, record: Task::BYTES as i32 };
    checker.check(&program).map(Some)
}

#[test]
fn programs_are_sound() {
    // All of them, as Linux 6.4 has them; only the cast, as 6.2; none, as before; and loops alone, which is no kernel.
    for with in [&FUNCTIONS[..], &FUNCTIONS[..1], &[], &FUNCTIONS[1..]] {
        let types = kernel::types(with);
        let (less, more) = (written(&types, false), written(&types, true));
        let (Ok(Some(less)), Ok(Some(more))) = (&less, &more) else { panic!("{with:?}: {less:?}, {more:?}") };
        assert!(*less > 40 && more > less, "{with:?}: {less}, {more}");
    }
}

#[test]
fn what_a_kernel_lacks_is_named() {
    let types = kernel::types(&FUNCTIONS);
    let refused = |old: &str, new: &str, fds| {
        let mut bytes = types.clone();
        let old = format!("\0{old}\0").into_bytes();
        let place = bytes.windows(old.len()).position(|window| window == old).expect("the name");
        bytes[place + 1..place + 1 + new.len()].copy_from_slice(new.as_bytes());
        let mut btf = Btf::new(&bytes).expect("sound");
        program(&mut btf, fds).err()
    };
    assert_eq!(refused("bpf_iter_task", "xxx_iter_task", true), Some(BtfError::NoType("bpf_iter_task")));
    assert_eq!(refused("bpf_iter__task", "xxx_iter__task", true), Some(BtfError::NoType("bpf_iter__task")));
    assert_eq!(refused("socket", "xxxxxx", true), Some(BtfError::NoType("socket")));
    assert_eq!(refused("socket", "xxxxxx", false), None, "nobody asks for sockets");
    assert_eq!(refused("bpf_rdonly_cast", "xxx_rdonly_cast", true), None, "there is another way");
    assert_eq!(refused("bpf_iter_num_next", "xxx_iter_num_next", true), None, "there is another way");
    let missing = BtfError::NoMember { path: "time_ns", at: "time_ns".to_owned() };
    assert_eq!(refused("time_ns", "xxxx_ns", true), Some(missing));
}

#[test]
fn the_kernels_own_types_make_sound_programs_even_where_they_are_spoiled() {
    let Ok(types) = Types::open() else { return };
    let begin = Instant::now();
    let mut bytes = types.bytes().to_vec();
    for fds in [false, true] {
        let sound = written(&bytes, fds);
        assert!(matches!(sound, Ok(Some(40..))), "{sound:?}");
    }
    // What is spoiled are the types that are asked for, and those that their members have.
    let spots: Vec<_> = {
        let plain = Plain::new(&bytes).expect("sound");
        let structs = STRUCTS.iter().filter_map(|name| plain.first(4, name));
        structs.flat_map(|id| plain.members(id).into_iter().chain([id; 20])).filter_map(|id| plain.place(id)).collect()
    };
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (seed >> 33) as usize % below
    };
    let (mut programs, mut rounds) = (0, 0);
    while rounds < 60 && begin.elapsed() < Duration::from_secs(4) {
        rounds += 1;
        let mut changed = Vec::new();
        for _ in 0..4 {
            let spot = &spots[random(spots.len())];
            let place = spot.start + random(spot.len());
            changed.push((place, bytes[place]));
            bytes[place] = if random(2) == 0 { bytes[place] ^ 1 << random(8) } else { random(256) as u8 };
        }
        match written(&bytes, rounds % 2 == 0) {
            Ok(found) => programs += usize::from(found.is_some()),
            Err(error) => panic!("round {rounds}, {changed:?}: {error}"),
        }
        for (place, byte) in changed.into_iter().rev() {
            bytes[place] = byte;
        }
    }
    assert!(bytes == types.bytes(), "all is as it was");
    assert!(programs > 0 || rounds < 30, "not all that is spoiled matters");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn spoiled_types_make_sound_programs_or_none(
        spots in proptest::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..4),
        with in 0usize..=4,
        fds in any::<bool>(),
    ) {
        let mut bytes = kernel::types(&FUNCTIONS[..with]);
        for (spot, how, value) in spots {
            let at = spot.index(bytes.len());
            match how % 8 {
                0..3 => bytes[at] = value,
                3..6 => bytes[at] ^= 1 << (value % 8),
                6 => {
                    // A word, to where words are.
                    let from = spot.index(bytes.len() / 4) * 4;
                    let to = (from + usize::from(value) * 4) % (bytes.len() / 4 * 4);
                    bytes.copy_within(from..from + 4, to);
                }
                _ => bytes.truncate(at.max(bytes.len() - 64)),
            }
        }
        written(&bytes, fds).map_err(TestCaseError::fail)?;
    }
}

/// A process in namespaces that are numbered from `first` on, as the program tells of it.
fn told(pid: u32, tid: u32, first: u32) -> Task {
    Task {
        start_boottime_ns: 12_345_678_901,
        files: 0xffff_8880_0000_0000 + u64::from(pid) * 64,
        comm: *b"nsx-test\0\0\0\0\0\0\0\0",
        tid,
        pid,
        ppid: 1,
        flags: 0x0040_0000,
        nthreads: 2,
        cgroup: first,
        ipc: first + 1,
        mnt: first + 2,
        net: first + 3,
        time: first + 5,
        user: first + 6,
        uts: first + 7,
        pid_for_children: first + 4,
        time_for_children: first + 5,
        pid_ns: first + 4,
        fds: 0,
    }
}

/// Reads what is told as if a program did.
fn read(told: &[Task], kinds: KindSet) -> (Observations, Vec<Keeper>) {
    let mut file = tempfile::tempfile().expect("a file");
    for task in told {
        let mut bytes = Vec::from(task.start_boottime_ns.to_ne_bytes());
        bytes.extend(task.files.to_ne_bytes());
        bytes.extend(task.comm);
        let ids = [task.tid, task.pid, task.ppid, task.flags, task.nthreads];
        let namespaces = [task.cgroup, task.ipc, task.mnt, task.net, task.time, task.user, task.uts];
        let others = [task.pid_for_children, task.time_for_children, task.pid_ns, task.fds];
        bytes.extend(ids.into_iter().chain(namespaces).chain(others).flat_map(u32::to_ne_bytes));
        assert_eq!(bytes.len(), Task::BYTES);
        file.write_all(&bytes).expect("room");
    }
    std::io::Seek::rewind(&mut file).expect("a file");
    tasks::read(&Iterator::of(file.into()), kinds).expect("a file")
}

fn namespaces(first: u32) -> NsArray {
    std::array::from_fn(|place| NsId::new(first + place as u32))
}

#[test]
fn a_process_is_told_of_as_proc_has_it() {
    let mut kthread = told(2, 2, 100);
    (kthread.flags, kthread.ppid, kthread.fds) = (0x0020_8040, 0, 1);
    kthread.pid_for_children = 200;
    let (found, keepers) = read(&[told(1, 1, 100), kthread], KindSet::ALL);
    let [process, kthread] = &found.processes[..] else { panic!("{found:?}") };
    assert_eq!((process.pid, process.ppid, process.nthreads, process.kernel), (Pid(1), Pid(1), 2, false));
    assert_eq!(process.comm.as_bytes(), b"nsx-test");
    assert_eq!(process.start_time_ticks, 12_345_678_901 * procfs::ticks_per_second() / 1_000_000_000);
    assert_eq!(process.ns, namespaces(100));
    // A kernel thread has nothing in store, and nothing open.
    assert_eq!((kthread.pid, kthread.kernel), (Pid(2), true));
    assert!(found.for_children.is_empty() && keepers.is_empty() && found.threads.is_empty());
}

#[test]
fn only_the_wanted_kinds_are_kept_and_what_a_zombie_let_go_of_is_none() {
    let kinds = KindSet::NONE.with(NsKind::Net).with(NsKind::User);
    let mut own = told(1, 1, 100);
    (own.pid_for_children, own.time_for_children) = (200, 201);
    let mut zombie = told(2, 2, 0);
    (zombie.ipc, zombie.mnt, zombie.net, zombie.time, zombie.uts, zombie.pid_ns) = (0, 0, 0, 0, 0, 0);
    let (found, _) = read(&[own, zombie], kinds);
    let kept: Vec<Vec<NsKind>> = found
        .processes
        .iter()
        .map(|process| NsKind::ALL.into_iter().filter(|kind| process.ns[kind.index()].is_some()).collect())
        .collect();
    assert_eq!(kept, [vec![NsKind::Net, NsKind::User], vec![NsKind::User]]);
    assert_eq!(found.for_children, [], "those are of other kinds");
    // The zombie's own are gone, so there is nothing that its children's differ from.
    let (found, _) = read(&[zombie], KindSet::ALL);
    assert_eq!(found.for_children, []);
}

#[test]
fn what_is_for_children_is_noted_where_it_differs() {
    let (mut both, mut none, mut one) = (told(1, 1, 100), told(2, 2, 100), told(2, 3, 100));
    (both.pid_for_children, both.time_for_children) = (200, 300);
    (none.pid_for_children, none.time_for_children) = (0, 0);
    one.time_for_children = 301;
    let (found, _) = read(&[both, none, one], KindSet::ALL);
    let expected = |pid, tid, kind, inode| {
        let id = NsId::new(inode).expect("not zero");
        ForChildren { pid: Pid(pid), tid: Tid(tid), name: NsName { kind, id } }
    };
    let expected =
        [expected(1, 1, NsKind::Pid, 200), expected(1, 1, NsKind::Time, 300), expected(2, 3, NsKind::Time, 301)];
    assert_eq!(found.for_children, expected);
    assert_eq!(found.threads, [], "the thread is where its process is");
}

#[test]
fn threads_are_noted_by_what_differs() {
    let (mut elsewhere, mut late) = (told(2, 4, 100), told(9, 10, 100));
    (elsewhere.net, elsewhere.fds) = (500, 1);
    (late.net, late.fds) = (501, 1);
    let (mut keeper, mut sharing) = (told(1, 1, 100), told(3, 3, 100));
    (keeper.fds, sharing.fds) = (1, 0);
    // Its process comes after it, and one that never comes.
    let (found, keepers) = read(&[keeper, elsewhere, told(2, 2, 100), sharing, late], KindSet::ALL);
    let mut ns = NsArray::default();
    ns[NsKind::Net.index()] = NsId::new(500);
    assert_eq!(found.threads, [Thread { pid: Pid(2), tid: Tid(4), ns }]);
    let keepers: Vec<_> = keepers.iter().map(|keeper| (found.processes[keeper.process].pid, keeper.tid)).collect();
    assert_eq!(keepers, [(Pid(1), None), (Pid(2), Some(Tid(4)))]);
    let (found, keepers) = read(&[], KindSet::ALL);
    assert!(found.processes.is_empty() && keepers.is_empty());
}

#[test]
fn a_table_of_descriptors_is_looked_at_once() {
    let told = |tid, files| Task { files, fds: 1, ..told(1, tid, 100) };
    let (_, keepers) = read(&[told(1, 64), told(2, 64), told(3, 128), told(4, 128), told(5, 192)], KindSet::ALL);
    let tids: Vec<_> = keepers.iter().map(|keeper| keeper.tid).collect();
    assert_eq!(tids, [None, Some(Tid(3)), Some(Tid(5))]);
}

#[test]
fn a_process_that_comes_late_or_twice_is_there_once() {
    let (first, mut thread) = (told(7, 7, 100), told(3, 9, 100));
    thread.fds = 1;
    let (found, keepers) = read(&[first, told(3, 3, 100), told(7, 7, 100), thread], KindSet::ALL);
    assert_eq!(found.processes.iter().map(|process| process.pid.0).collect::<Vec<_>>(), [3, 7]);
    let keepers: Vec<_> = keepers.iter().map(|keeper| (found.processes[keeper.process].pid, keeper.tid)).collect();
    assert_eq!(keepers, [(Pid(3), Some(Tid(9)))]);
}

#[test]
fn more_than_one_read_is_read() {
    let told: Vec<_> = (1..=2500).map(|pid| told(pid, pid, 100)).collect();
    let (found, _) = read(&told, KindSet::ALL);
    assert_eq!(found.processes.len(), 2500);
    assert_eq!(found.processes.last().map(|process| process.pid), Some(Pid(2500)));
}

#[test]
fn whoever_did_not_ask_or_asks_for_another_tree_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let captured = ProcRoot::open(dir.path()).expect("a directory");
    assert_eq!(may(&captured, Choice::Only(Backend::Proc), 100), Err(Refused::NotAsked));
    for choice in [Choice::Auto, Choice::Only(Backend::Bpf)] {
        assert_eq!(may(&captured, choice, 100), Err(Refused::OtherTree));
    }
    assert_eq!(count(&captured), None);
    for (text, expected) in [
        ("0.16 1.60 3.39 1/123 4567\n", Some(123)),
        ("0.16 1.60 3.39 1/18446744073709551616 1\n", None),
        ("0.16 1.60 3.39 1 4567\n", None),
        ("0.16 1.60", None),
        ("", None),
    ] {
        std::fs::write(dir.path().join("loadavg"), text).expect("a file");
        assert_eq!(count(&captured), expected, "{text:?}");
    }
}

#[test]
fn refusals_say_why() {
    let error = |call| SysError::new(call, Errno::EACCES);
    let load = |log: &str| Refused::Load(LoadError { error: error(Call::Bpf("BPF_PROG_LOAD")), log: log.to_owned() });
    let cases = [
        (Refused::NotAsked, "it was not asked for"),
        (Refused::OtherTree, "BPF sees this host only, not another tree"),
        (Refused::Inside(NsKind::User), "this is not the initial user namespace"),
        (Refused::Caps, "that takes CAP_BPF and CAP_PERFMON"),
        (Refused::Few(7), "that is as fast with 7 tasks"),
        (Refused::Types(error(Call::Openat(b"/sys".to_vec()))), "openat(/sys): Permission denied (EACCES)"),
        (Refused::Btf(BtfError::NoType("socket")), "the kernel's types do not have socket"),
        (load("R1 is not a pointer"), "bpf(BPF_PROG_LOAD): Permission denied (EACCES)"),
        (Refused::Read(error(Call::Read(b"BPF iterator".to_vec()))), "read(BPF iterator): Permission denied (EACCES)"),
    ];
    for (refused, text) in &cases {
        assert_eq!(refused.to_string(), *text);
        assert_eq!(refused.log(), matches!(refused, Refused::Load(_)).then_some("R1 is not a pointer"));
    }
    assert_eq!(load("").log(), None);
}
