//! Filters of system calls, as seccomp(2) takes them: from rules to a program of classic BPF.
//!
//! The program is a binary tree over the numbers of the calls. At install the kernel runs it for every number that it knows (since Linux
//! 5.11, to answer for calls that are always allowed without running it again), so what a number costs is paid hundreds of times: a tree
//! asks seven questions where a chain asks forty.
//!
//! Calls of another architecture (on x86_64: 32-bit programs, x32) are answered with `ENOSYS`: their numbers mean something else.
//!
//! Not here: which calls are refused and why (`launch::run::seccomp`), how a filter is installed (`Program::seccomp`).

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};

use super::error::Errno;

/// `AUDIT_ARCH_X86_64` of `include/uapi/linux/audit.h`: the ELF machine, 64 bits, little-endian.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
/// `AUDIT_ARCH_AARCH64`.
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Where struct seccomp_data has the number of the call.
const NUMBER_AT: u32 = 0;
/// Where it has the architecture.
const ARCHITECTURE_AT: u32 = 4;
/// Where it has the low half of the first argument, on a little-endian machine; the others follow, 8 bytes each.
const ARGUMENTS_AT: u32 = 16;

/// How far a conditional jump reaches, less one for the jump that may have to come between.
const REACH: usize = u8::MAX as usize - 1;

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Allow,
    /// It is not made, and fails with this errno.
    Refuse(Errno),
}

/// What an argument is compared with.
///
/// Only its low 32 bits count: where the kernel takes an `int`, it does not look at the rest, and neither may the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// Which bits are compared.
    pub mask: u32,
    /// What they are where the test holds.
    pub value: u32,
}

impl Test {
    /// Holds where the argument is `value`.
    pub const fn equals(value: u32) -> Test {
        Test { mask: u32::MAX, value }
    }

    /// Holds where no bit is set but these.
    pub const fn within(bits: u32) -> Test {
        Test { mask: !bits, value: 0 }
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Always the same.
    Always(Verdict),
    /// It depends on an argument.
    ByArgument {
        /// Which, from 0 to 5.
        argument: u8,
        /// What it is compared with.
        tests: &'static [Test],
        /// The answer where one of the tests holds.
        found: Verdict,
        /// The answer where none does.
        otherwise: Verdict,
    },
}

/// What becomes of the calls with these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The first number.
    pub first: u32,
    /// The last number.
    pub last: u32,
    /// What becomes of them.
    pub action: Action,
}

impl Rule {
    /// A rule for the call with this number.
    pub const fn one(number: libc::c_long, action: Action) -> Rule {
        Rule { first: number as u32, last: number as u32, action }
    }
}

/// What becomes of a call that no rule names: `ENOSYS`, what a kernel says that has no such call, so that the caller does without.
const UNKNOWN: Action = Action::Always(Verdict::Refuse(Errno::ENOSYS));

/// A filter, ready to be installed.
#[derive(Clone, Debug)]
pub struct Filter {
    code: Vec<libc::sock_filter>,
}

impl Filter {
    /// Makes a filter of rules. Where several name a number the last one counts; where none does the answer is `ENOSYS`.
    pub fn new(rules: &[Rule]) -> Filter {
        let segments = segments(rules);
        let mut assembler = Assembler::default();
        let foreign = assembler.verdict(Verdict::Refuse(Errno::ENOSYS));
        // What was made last comes first, so the tree starts behind the instruction that is made next.
        // No kernel has calls in the last segment, which has no end: it is as if that were one number.
        let end = segments.last().map_or(0, |(start, _)| start.saturating_add(1));
        assembler.tree(&segments, end);
        let native = assembler.load(NUMBER_AT);
        assembler.jump(BPF_JEQ, ARCHITECTURE, native, foreign);
        assembler.load(ARCHITECTURE_AT);
        assembler.code.reverse();
        Filter { code: assembler.code }
    }

    /// Returns the instructions, for a struct sock_fprog.
    pub fn instructions(&self) -> &[libc::sock_filter] {
        &self.code
    }
}

/// Divides all numbers into ranges of the same action. Each is told by its first number; they are in order, and the first one's is 0.
fn segments(rules: &[Rule]) -> Vec<(u32, Action)> {
    let mut starts: Vec<u32> =
        rules.iter().flat_map(|rule| [Some(rule.first), rule.last.checked_add(1)]).flatten().collect();
    starts.push(0);
    starts.sort_unstable();
    starts.dedup();
    let action = |number| {
        let rule = rules.iter().rfind(|rule| (rule.first..=rule.last).contains(&number));
        rule.map_or(UNKNOWN, |rule| rule.action)
    };
    let mut segments: Vec<(u32, Action)> = starts.into_iter().map(|start| (start, action(start))).collect();
    segments.dedup_by(|next, kept| next.1 == kept.1);
    segments
}

/// Puts instructions together from the last to the first: jumps only lead forward, so whatever one leads to is there already.
///
/// A place is counted from the end.
#[derive(Default)]
struct Assembler {
    code: Vec<libc::sock_filter>,
    /// Where it is that an action is carried out.
    actions: Vec<(Action, usize)>,
}

impl Assembler {
    fn push(&mut self, code: u32, jt: u8, jf: u8, k: u32) -> usize {
        self.code.push(libc::sock_filter { code: code as u16, jt, jf, k });
        self.code.len() - 1
    }

    fn load(&mut self, offset: u32) -> usize {
        self.push(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset)
    }

    /// Returns how many instructions lie between a place and the one that is made next.
    fn distance(&self, place: usize) -> usize {
        self.code.len() - 1 - place
    }

    /// Returns a place within reach from where one gets to `place`.
    fn near(&mut self, place: usize) -> usize {
        let distance = self.distance(place);
        if distance > REACH { self.push(BPF_JMP | BPF_JA, 0, 0, distance as u32) } else { place }
    }

    /// Compares with `value`, and goes to one place or the other.
    fn jump(&mut self, comparison: u32, value: u32, yes: usize, no: usize) -> usize {
        let (yes, no) = (self.near(yes), self.near(no));
        let (yes, no) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.push(BPF_JMP | comparison | BPF_K, yes, no, value)
    }

    fn verdict(&mut self, verdict: Verdict) -> usize {
        self.action(Action::Always(verdict))
    }

    fn action(&mut self, action: Action) -> usize {
        if let Some(&(_, place)) = self.actions.iter().find(|(known, _)| *known == action) {
            return place;
        }
        let place = match action {
            Action::Always(Verdict::Allow) => self.push(BPF_RET | BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
            Action::Always(Verdict::Refuse(errno)) => {
                self.push(BPF_RET | BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32)
            }
            Action::ByArgument { argument, tests, found, otherwise } => {
                let (found, mut place) = (self.verdict(found), self.verdict(otherwise));
                for test in tests.iter().rev() {
                    self.jump(BPF_JEQ, test.value, found, place);
                    if test.mask != u32::MAX {
                        self.push(BPF_ALU | BPF_AND | BPF_K, 0, 0, test.mask);
                    }
                    place = self.load(ARGUMENTS_AT + 8 * u32::from(argument));
                }
                place
            }
        };
        self.actions.push((action, place));
        place
    }

    /// Finds the segment of a number below `end`. The wider a segment, the fewer questions lead to it: they part the numbers in halves, as
    /// far as may be, and not the segments.
    fn tree(&mut self, segments: &[(u32, Action)], end: u32) -> usize {
        let first = segments.first().map_or(0, |(start, _)| *start);
        let middle = first + (end - first) / 2;
        let nearest = (1..segments.len()).min_by_key(|&place| segments[place].0.abs_diff(middle));
        match nearest {
            Some(place) => {
                let start = segments[place].0;
                let yes = self.tree(&segments[place..], end);
                let no = self.tree(&segments[..place], start);
                self.jump(BPF_JGE, start, yes, no)
            }
            None => self.action(segments.first().map_or(UNKNOWN, |(_, action)| *action)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a filter as the kernel does. Returns what it answers and how many instructions that took.
    pub(crate) fn run(filter: &Filter, architecture: u32, number: u32, arguments: [u64; 6]) -> (u32, usize) {
        let mut data = [0u8; 64];
        data[0..4].copy_from_slice(&number.to_le_bytes());
        data[4..8].copy_from_slice(&architecture.to_le_bytes());
        for (place, argument) in arguments.iter().enumerate() {
            data[16 + 8 * place..][..8].copy_from_slice(&argument.to_le_bytes());
        }
        let (mut at, mut accumulator, mut steps) = (0, 0u32, 0);
        loop {
            let instruction = filter.instructions()[at];
            at += 1;
            steps += 1;
            let k = instruction.k;
            let mut choose = |yes: bool| at += usize::from(if yes { instruction.jt } else { instruction.jf });
            match u32::from(instruction.code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    accumulator = u32::from_le_bytes(*data[k as usize..].first_chunk().expect("in bounds"));
                }
                code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= k,
                code if code == BPF_JMP | BPF_JA => at += k as usize,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => choose(accumulator == k),
                code if code == BPF_JMP | BPF_JGE | BPF_K => choose(accumulator >= k),
                code if code == BPF_RET | BPF_K => return (k, steps),
                code => panic!("{code:#x} is no instruction of ours"),
            }
        }
    }

    /// As [`run`], for a call of this architecture.
    pub(crate) fn answer(filter: &Filter, number: u32, arguments: [u64; 6]) -> Verdict {
        decode(run(filter, ARCHITECTURE, number, arguments).0)
    }

    /// How many instructions it takes to answer for a number.
    pub(crate) fn steps(filter: &Filter, number: u32) -> usize {
        run(filter, ARCHITECTURE, number, [0; 6]).1
    }

    fn decode(answer: u32) -> Verdict {
        match answer & libc::SECCOMP_RET_ACTION_FULL {
            libc::SECCOMP_RET_ALLOW => Verdict::Allow,
            libc::SECCOMP_RET_ERRNO => Verdict::Refuse(Errno::from_raw((answer & libc::SECCOMP_RET_DATA) as i32)),
            other => panic!("{other:#x} is no answer of ours"),
        }
    }

    /// What the rules say, in the most obvious way.
    pub(crate) fn expected(rules: &[Rule], number: u32, arguments: [u64; 6]) -> Verdict {
        let mut verdict = Verdict::Refuse(Errno::ENOSYS);
        for rule in rules {
            if rule.first <= number && number <= rule.last {
                verdict = match rule.action {
                    Action::Always(verdict) => verdict,
                    Action::ByArgument { argument, tests, found, otherwise } => {
                        let low = arguments[usize::from(argument)] as u32;
                        if tests.iter().any(|test| low & test.mask == test.value) { found } else { otherwise }
                    }
                };
            }
        }
        verdict
    }

    const EPERM: Verdict = Verdict::Refuse(Errno::EPERM);

    const ACTIONS: [Action; 5] = [
        Action::Always(Verdict::Allow),
        Action::Always(EPERM),
        Action::Always(Verdict::Refuse(Errno::EXDEV)),
        Action::ByArgument {
            argument: 1,
            tests: &[Test::equals(3), Test { mask: 6, value: 4 }, Test::within(7)],
            found: EPERM,
            otherwise: Verdict::Allow,
        },
        Action::ByArgument { argument: 5, tests: &[], found: EPERM, otherwise: Verdict::Allow },
    ];

    fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
        let number = prop_oneof![4 => 0..600u32, 1 => any::<u32>()];
        let rule = (number, prop_oneof![Just(0u32), 0..50u32], 0..ACTIONS.len()).prop_map(|(first, more, action)| {
            Rule { first, last: first.saturating_add(more), action: ACTIONS[action] }
        });
        proptest::collection::vec(rule, 0..500)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_filter_answers_as_its_rules_say(rules in any_rules(), argument in prop_oneof![0..10u64, any::<u64>()]) {
            let filter = Filter::new(&rules);
            let edges = rules.iter().flat_map(|rule| [rule.first.wrapping_sub(1), rule.first, rule.last, rule.last.wrapping_add(1)]);
            for number in (0..700).chain(edges).chain([u32::MAX]) {
                let arguments = [0, argument, 0, 0, 0, 0];
                prop_assert_eq!(answer(&filter, number, arguments), expected(&rules, number, arguments), "{}", number);
            }
        }
    }

    #[test]
    fn nothing_of_another_architecture_is_let_through() {
        let all = Rule { first: 0, last: u32::MAX, action: Action::Always(Verdict::Allow) };
        let filter = Filter::new(&[all]);
        assert_eq!(answer(&filter, 39, [0; 6]), Verdict::Allow);
        // i386, ARM, and the other one of ours.
        for architecture in [0x4000_0003, 0x4000_0028, 0xc000_003e ^ 0xc000_00b7 ^ ARCHITECTURE, 0] {
            assert_eq!(decode(run(&filter, architecture, 39, [0; 6]).0), Verdict::Refuse(Errno::ENOSYS));
        }
    }

    #[test]
    fn jumps_reach_as_far_as_they_have_to() {
        let rules: Vec<Rule> = (0..1000).map(|place| Rule::one(2 * place, ACTIONS[place as usize % 4])).collect();
        let filter = Filter::new(&rules);
        assert!(filter.instructions().len() > 2000);
        for number in 0..2010 {
            assert_eq!(answer(&filter, number, [4; 6]), expected(&rules, number, [4; 6]), "{number}");
            assert!(steps(&filter, number) < 40);
        }
    }

    #[test]
    fn the_upper_half_of_an_argument_does_not_count() {
        const TESTS: &[Test] = &[Test::equals(0x5412)];
        let action = Action::ByArgument { argument: 1, tests: TESTS, found: EPERM, otherwise: Verdict::Allow };
        let filter = Filter::new(&[Rule::one(16, action)]);
        for (argument, verdict) in [(0x5412, EPERM), (0xdead_0000_5412, EPERM), (0x5412_0000_0000, Verdict::Allow)] {
            assert_eq!(answer(&filter, 16, [0, argument, 0, 0, 0, 0]), verdict, "{argument:#x}");
        }
    }
}
