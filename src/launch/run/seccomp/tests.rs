//! The table of rules, by what the filter that it becomes answers.

use proptest::prelude::*;

use super::*;
use crate::sys::program::Program;
use crate::sys::seccomp::tests::{answer, expected, steps};
use crate::sys::spawn::Report;
use crate::sys::spawn::tests::reports;

const REFUSED: Verdict = Verdict::Refuse(Errno::EPERM);

fn ask(kept: CapSet, number: c_long, arguments: [u64; 6]) -> Verdict {
    answer(&filter(kept, Surroundings::default()), number as u32, arguments)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_filter_answers_as_the_table_says(
        kept in prop_oneof![Just(CapSet::DOCKER), Just(CapSet::EMPTY), any::<u64>().prop_map(CapSet::from_bits)],
        (outside, first_process) in any::<(bool, bool)>(),
        arguments in proptest::array::uniform6(prop_oneof![any::<u64>(), 0..64u64]),
    ) {
        let of = Surroundings { outside, first_process };
        let (filter, rules) = (filter(kept, of), rules(kept, of));
        for number in 0..1000 {
            prop_assert_eq!(answer(&filter, number, arguments), expected(&rules, number, arguments), "{}", number);
        }
    }
}

#[test]
fn every_row_is_effective_and_says_why() {
    let mut seen = std::collections::HashSet::new();
    for row in ROWS {
        assert!(!row.why.is_empty() && !row.why.ends_with('.'));
        for call in row.calls {
            assert!(seen.insert(call.number), "{} is there twice", call.name);
            assert!(
                KNOWN.iter().any(|(first, last)| (*first..=*last).contains(&(call.number as u32))),
                "{}",
                call.name
            );
            if let Action::Always(verdict) = row.action {
                assert_eq!(ask(CapSet::DOCKER, call.number, [0; 6]), verdict, "{}", call.name);
                let kept = ask(row.unless, call.number, [0; 6]);
                assert_eq!(kept == Verdict::Allow, row.unless != NEVER, "{}", call.name);
            }
        }
    }
}

#[test]
fn one_of_several_capabilities_is_enough() {
    for kept in [CapSet::BPF, CapSet::SYS_ADMIN, CapSet::BPF | CapSet::DOCKER] {
        assert_eq!(ask(kept, libc::SYS_bpf, [0; 6]), Verdict::Allow);
    }
    assert_eq!(ask(CapSet::PERFMON, libc::SYS_bpf, [0; 6]), REFUSED);
    assert_eq!(ask(CapSet::from_bits(u64::MAX), libc::SYS_keyctl, [0; 6]), REFUSED);
}

#[test]
fn what_a_sandbox_in_a_sandbox_needs_is_allowed() {
    let needed = [
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_mount_setattr,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_pidfd_getfd,
        libc::SYS_seccomp,
        libc::SYS_sethostname,
        libc::SYS_landlock_restrict_self,
        libc::SYS_adjtimex,
        // listns, which libc does not have yet.
        470,
    ];
    for number in needed {
        assert_eq!(ask(CapSet::EMPTY, number, [0; 6]), Verdict::Allow, "{number}");
    }
}

#[test]
fn without_a_user_namespace_none_is_made() {
    let ask = |kept, number: c_long, flags: u64| {
        let of = Surroundings { outside: true, first_process: false };
        answer(&filter(kept, of), number as u32, [flags; 6])
    };
    let user = libc::CLONE_NEWUSER as u64;
    for number in [libc::SYS_unshare, libc::SYS_clone] {
        for flags in [user, user | libc::CLONE_NEWNS as u64, 1 << 32 | user | 17] {
            assert_eq!(ask(CapSet::EMPTY, number, flags), REFUSED);
            assert_eq!(ask(CapSet::SYS_ADMIN, number, flags), Verdict::Allow);
        }
        for flags in [0, 17, libc::CLONE_NEWNS as u64, user << 32 | libc::CLONE_VM as u64, !user] {
            assert_eq!(ask(CapSet::EMPTY, number, flags), Verdict::Allow, "{flags:#x}");
        }
    }
    assert_eq!(ask(CapSet::EMPTY, libc::SYS_clone3, 0), Verdict::Refuse(Errno::ENOSYS));
    assert!(OUTSIDE.iter().all(|row| !row.why.is_empty()));
}

#[test]
fn the_first_process_is_left_alone() {
    let of = Surroundings { outside: false, first_process: true };
    for row in FIRST_PROCESS {
        let Action::ByArgument { argument, .. } = row.action else { panic!("{row:?}") };
        for call in row.calls {
            let ask = |of, pid| {
                let mut arguments = [7; 6];
                arguments[usize::from(argument)] = pid;
                answer(&filter(CapSet::from_bits(u64::MAX), of), call.number as u32, arguments)
            };
            // The kernel takes the lower half.
            for pid in [1, 1 | 1 << 32] {
                assert_eq!(ask(of, pid), REFUSED, "{}", call.name);
                assert_eq!(ask(Surroundings::default(), pid), Verdict::Allow, "{}", call.name);
            }
            assert!([0, 2, 1 << 32].iter().all(|pid| ask(of, *pid) == Verdict::Allow), "{}", call.name);
        }
    }
}

#[test]
fn personalities_are_the_usual_ones() {
    let usual = [0, 8, 0x2_0000, 0x2_0008, 0x4_0000, 0x4_0008, 0xffff_ffff, 0xffff_ffff_ffff_ffff, 0x1_0000_0000];
    for persona in usual {
        assert_eq!(ask(CapSet::DOCKER, libc::SYS_personality, [persona; 6]), Verdict::Allow, "{persona:#x}");
    }
    // READ_IMPLIES_EXEC, MMAP_PAGE_ZERO, PER_SVR4, and what looks like the usual to who looks at the wrong half.
    for persona in [0x40_0000, 0x10_0000, 1, 0x40_0000 | 8, 0xffff_fffe, 0x40_0000 | 8 << 32] {
        assert_eq!(ask(CapSet::DOCKER, libc::SYS_personality, [persona; 6]), REFUSED, "{persona:#x}");
    }
}

#[test]
fn it_is_small() {
    for kept in [CapSet::EMPTY, CapSet::DOCKER, CapSet::from_bits(u64::MAX)] {
        let filter = filter(kept, Surroundings { outside: true, first_process: true });
        let length = filter.instructions().len();
        assert!(length < 110, "{length}");
        let most = (0..1000).map(|number| steps(&filter, number)).max();
        assert!(most <= Some(20), "{most:?}");
        let known = || KNOWN.iter().flat_map(|&(first, last)| first..=last);
        let mean = known().map(|number| steps(&filter, number)).sum::<usize>() / known().count();
        // Two loads, the architecture, the answer, and less than six questions: a chain asks forty.
        assert!(mean < 10, "{mean}");
    }
}

#[test]
fn the_kernel_does_as_the_filter_says() {
    let mut program = Program::default();
    program.no_new_privs();
    program.seccomp(&filter(CapSet::DOCKER, Surroundings::default()), crate::sys::program::Otherwise::Stop);
    let terminal = i64::from(libc::TIOCSTI as u32);
    let calls: [(c_long, [i64; 3], Option<Errno>); 11] = [
        (libc::SYS_getpid, [0; 3], None),
        (libc::SYS_unshare, [0; 3], None),
        (libc::SYS_keyctl, [0; 3], Some(Errno::EPERM)),
        // There is no such descriptor, which is what the kernel says where it is asked.
        (libc::SYS_ioctl, [-1, libc::TCGETS as i64, 0], Some(Errno::EBADF)),
        (libc::SYS_ioctl, [-1, terminal, 0], Some(Errno::EPERM)),
        (libc::SYS_ioctl, [-1, terminal | 0x7_0000_0000, 0], Some(Errno::EPERM)),
        (libc::SYS_socket, [AF_VSOCK.into(), 1, 0], Some(Errno::EAFNOSUPPORT)),
        (libc::SYS_personality, [0xffff_ffff, 0, 0], None),
        (libc::SYS_personality, [0x40_0000, 0, 0], Some(Errno::EPERM)),
        (libc::SYS_io_uring_setup, [0; 3], Some(Errno::ENOSYS)),
        (1000, [0; 3], Some(Errno::ENOSYS)),
    ];
    let first = program.here();
    for (number, arguments, _) in calls {
        program.any_call(number, arguments);
    }
    program.exit(0);
    let failed: Vec<Report> = calls
        .iter()
        .enumerate()
        .filter_map(|(place, (.., errno))| Some(Report::Failed(first + place, (*errno)?)))
        .collect();
    assert_eq!(reports(&program), failed);
}
