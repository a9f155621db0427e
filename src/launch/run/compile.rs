//! From the steps of a plan to the system calls that make them: one list for the stub, the first process and the command, which part ways
//! at clone(2).
//!
//! Not here: which steps there are, and why in this order (`plan`); what nsx does itself (`build`).

mod lives;
mod places;

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use super::request::{RunRequest, TimeOffset};
use super::steps::{Action, MountPoint, Origin, Plan, Step, Who};
use crate::launch::EnterError;
use crate::launch::surroundings::{Surroundings, text};
use crate::model::{KindSet, NsKind};
use crate::sandbox::nsx::STUB;
use crate::sys::calls::mounts::{MountAttributes, MountTree};
use crate::sys::program::{Otherwise, Program, Slot};
use crate::sys::seccomp::Filter;

/// What the reports are marked with that tell how the command has ended or stopped: the lower half is a wait status, see wait4(2).
pub const STATUS: u32 = 0xffff_ff01;
/// What the message is marked with that carries the near side of the command's terminal.
pub const TERMINAL: u32 = 0xffff_ff02;

// What the words of the scratch memory hold.
const PIDFD: Slot = Slot(2);
const COMMAND: Slot = Slot(3);
const ENDED: Slot = Slot(4);
const ROOT: Slot = Slot(5);
const PROC: Slot = Slot(6);
const SYS: Slot = Slot(7);
const NEAR: Slot = Slot(8);
const FAR: Slot = Slot(9);
const ANSWER: Slot = Slot(10);
const FIRST_PID: Slot = Slot(11);
const CGROUP: Slot = Slot(12);
const ROOM: Slot = Slot(13);
// Whether a file system is new.
const PROC_MADE: Slot = Slot(17);
const SYS_MADE: Slot = Slot(18);
const DEVICES: u16 = 20;
const BINDS: u16 = 32;
const JOINS: u16 = 132;
const CLONE_ARGUMENTS: Slot = Slot(148);
const SHOWN: u16 = 160;

/// More directories than this are not shown.
pub const MOST_BINDS: usize = 100;
/// More cgroups than this are not joined: there are fewer hierarchies.
pub const MOST_JOINS: usize = 16;
/// More than this are not shown in a root directory in memory.
pub const MOST_SHOWN: usize = 320;

/// Each area ends before the next one begins, and the last one within the memory.
const _: () = {
    assert!(DEVICES as usize + super::gather::DEVICES.len() <= BINDS as usize);
    assert!(BINDS as usize + MOST_BINDS <= JOINS as usize);
    assert!(JOINS as usize + MOST_JOINS <= CLONE_ARGUMENTS.0 as usize);
    assert!(CLONE_ARGUMENTS.0 + 11 <= SHOWN);
    assert!(SHOWN as usize + MOST_SHOWN <= Slot::COUNT);
};

/// How long to try to remove a cgroup, whose last process may be on its way out: pauses in milliseconds.
const PAUSES_MS: [u64; 12] = [0, 1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

const PLAIN: MountAttributes = MountAttributes { read_only: false, nosuid: true, nodev: true, noexec: false };
const DATA: MountAttributes = MountAttributes { read_only: false, nosuid: true, nodev: true, noexec: true };

/// Descriptors that the list uses; those that are missing belong to no step of the plan.
pub struct Wiring<'a> {
    /// Where reports go.
    pub report: BorrowedFd<'a>,
    /// The pipe over which the first process is released.
    pub release: BorrowedFd<'a>,
    /// The pipe that ends when nsx does.
    pub lifeline: BorrowedFd<'a>,
    /// The pipe that ends when the command is there.
    pub executed: BorrowedFd<'a>,
    /// The cgroups that processes go into, one for each hierarchy: the one above, the name in it.
    pub cgroups: &'a [(BorrowedFd<'a>, &'a CStr)],
    /// The cgroups that are removed in the end, in this order.
    pub removal: &'a [(BorrowedFd<'a>, &'a CStr)],
    /// What is held as long as the sandbox is there.
    pub locks: &'a [BorrowedFd<'a>],
    /// The network namespace to enter.
    pub net: Option<BorrowedFd<'a>>,
    /// Trees of mounts that nsx has opened.
    pub trees: &'a [OwnedFd],
    /// The signals that the command starts with blocked.
    pub mask: u64,
    /// Whether it starts with SIGCHLD ignored.
    pub ignores_children: bool,
    /// The `struct termios` of the kernel and the size that its terminal has, and which of the standard streams it is.
    pub terminal: Option<(&'a [u8], [u16; 4], [bool; 3])>,
    /// The caller's terminal, and the `struct termios` of the kernel that it is to have again when nsx is killed.
    pub screen: Option<(BorrowedFd<'a>, &'a [u8])>,
    /// The filter of system calls, if there is to be one.
    pub filter: Option<&'a Filter>,
}

/// Makes the list in `program`, which is empty. `halt_at` has it halt before the step with this place, until nsx is gone: for tests of what
/// is left then.
///
/// # Errors
/// Where a word has a NUL in it.
pub fn compile(
    program: Program,
    plan: &Plan,
    request: &RunRequest,
    surroundings: &Surroundings,
    wiring: &Wiring<'_>,
    halt_at: Option<usize>,
) -> Result<Program, EnterError> {
    let mut compiler = Compiler { plan, request, wiring, program, clone: None, ended: None, fork: None };
    for (index, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.who != Who::Nsx) {
        compiler.program.begin(index);
        if halt_at == Some(index) && !matches!(step.action, Action::Serve | Action::CleanUp) {
            compiler.program.say_ready(wiring.report);
            compiler.program.wait_for_end(wiring.lifeline);
        }
        match &step.action {
            Action::Exec => compiler.exec(surroundings)?,
            _ => compiler.step(step)?,
        }
    }
    Ok(compiler.program)
}

struct Compiler<'a> {
    plan: &'a Plan,
    request: &'a RunRequest,
    wiring: &'a Wiring<'a>,
    program: Program,
    clone: Option<usize>,
    /// Where the stub notices that nsx has gone before there was a first process.
    ended: Option<usize>,
    fork: Option<usize>,
}

fn path(bytes: &[u8]) -> Result<CString, EnterError> {
    text(OsStr::from_bytes(bytes))
}

fn known(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

fn inside(name: &[u8]) -> Result<CString, EnterError> {
    path(&[b"/", name].concat())
}

impl Compiler<'_> {
    fn step(&mut self, step: &Step) -> Result<(), EnterError> {
        let wiring = self.wiring;
        // Without no_new_privs programs may gain privileges, as far as their owners are inside.
        let through = MountAttributes { nosuid: self.request.no_new_privs, ..PLAIN };
        let program = &mut self.program;
        match &step.action {
            Action::NewSession => {
                program.set_name(STUB);
                program.new_session();
            }
            Action::EnterNet => {
                if let Some(net) = wiring.net {
                    program.setns(net, KindSet::NONE.with(NsKind::Net), "the network that was named", Otherwise::Stop);
                }
            }
            Action::Clone { kinds, into_cgroup, clone3 } => {
                // POLLIN behind the descriptor that the kernel puts there: a struct pollfd.
                program.set(PIDFD, 1 << 32);
                let cgroup = into_cgroup.and_then(|place| wiring.cgroups.get(place));
                if let Some((parent, name)) = cgroup {
                    program.open_directory(*parent, name, CGROUP);
                }
                self.clone = Some(match clone3 {
                    true => program.clone_into(*kinds, cgroup.map(|_| CGROUP), PIDFD, CLONE_ARGUMENTS),
                    false => program.clone_plainly(*kinds, PIDFD),
                });
                if cgroup.is_some() {
                    program.close_slot(CGROUP);
                }
            }
            Action::WriteOwnMap { uids, gids } => {
                program.write_file(&known("/proc/self/setgroups"), b"deny", Otherwise::Stop);
                program.write_file(&known("/proc/self/uid_map"), uids.as_bytes(), Otherwise::Stop);
                program.write_file(&known("/proc/self/gid_map"), gids.as_bytes(), Otherwise::Stop);
            }
            Action::TakeRoot { origin, read_only } => {
                if let Origin::Path(source) = origin {
                    program.open_tree(&path(source)?, true, ROOT, Otherwise::Stop);
                    program.set_attributes(ROOT, MountAttributes { read_only: *read_only, ..through });
                }
            }
            Action::MakeRoot { read_only, shown, .. } => {
                for (place, (name, _)) in shown.iter().enumerate() {
                    let slot = Slot(SHOWN + place as u16);
                    program.open_tree(&inside(name)?, true, slot, Otherwise::Stop);
                    program.set_attributes(slot, MountAttributes { read_only: *read_only, ..through });
                }
            }
            // Where that may not be written to, as inside a container, there is nothing to be done but to say so.
            Action::ForbidCgroupNamespaces => {
                program.write_file(&known("/proc/sys/user/max_cgroup_namespaces"), b"0", Otherwise::GoOn);
            }
            // With the filter nobody inside reads keys, whatever keyring there is: a user may have so many keys, and they may be used up.
            Action::NewKeyring => program.join_new_keyring(match self.request.seccomp {
                true => Otherwise::GoOn,
                false => Otherwise::Stop,
            }),
            Action::KeepMountsInside => program.keep_mounts_inside(),
            Action::EnterCopy => program.enter_copy(),
            Action::ProtectCopy => {
                program.set_attributes_below(&known("/"), MountAttributes { read_only: true, ..through });
            }
            Action::TakeProc { shared } => self.take("proc", DATA, PROC, PROC_MADE, *shared),
            Action::TakeSys { shared } => {
                self.take("sysfs", MountAttributes { read_only: true, ..DATA }, SYS, SYS_MADE, *shared);
            }
            Action::TakeDevices(names) => {
                for (place, name) in names.iter().enumerate() {
                    let slot = Slot(DEVICES + place as u16);
                    program.open_tree(&known(&format!("/dev/{name}")), false, slot, Otherwise::Stop);
                }
            }
            Action::TakeBind { index, source, read_only } => {
                let slot = Slot(BINDS + *index as u16);
                program.open_tree(&path(source)?, true, slot, Otherwise::Stop);
                program.set_attributes(slot, MountAttributes { read_only: *read_only, ..through });
            }
            Action::AwaitCgroups => self.ended = Some(program.wait_for_byte_or_end(wiring.release)),
            Action::TakeCgroups(joins) => {
                for (number, (place, file)) in joins.iter().enumerate() {
                    if let Some((parent, name)) = wiring.cgroups.get(*place) {
                        let file = path(&[name.to_bytes(), b"/", file.as_bytes()].concat())?;
                        program.open_to_write(*parent, &file, Slot(JOINS + number as u16));
                    }
                }
            }
            Action::JoinCgroups(count) => {
                for number in 0..*count {
                    program.join_cgroup(Slot(JOINS + number as u16));
                }
            }
            Action::AwaitRelease => program.wait_for_byte(wiring.release),
            Action::BecomeRoot { uid, gid, groups } => {
                if *groups {
                    program.drop_groups();
                }
                program.set_gid(*gid);
                program.set_uid(*uid);
            }
            Action::Unshare(kinds) => program.unshare(*kinds),
            Action::SetClocks(offset) => {
                // A change of ids has made the files of /proc/self somebody else's.
                program.allow_tracing();
                program.write_file(&known("/proc/self/timens_offsets"), offsets(*offset).as_bytes(), Otherwise::Stop);
                program.forbid_tracing();
            }
            Action::DieWithNsx | Action::DieWithInit => program.die_with_parent(),
            Action::ChangeRoot => self.change_root()?,
            Action::MountProc => self.put("proc", DATA, PROC, PROC_MADE),
            Action::MountSys => self.put("sysfs", MountAttributes { read_only: true, ..DATA }, SYS, SYS_MADE),
            Action::MountCgroups => {
                let read_only = MountAttributes { read_only: true, ..DATA };
                program.mount(&known("cgroup2"), &known("/sys/fs/cgroup"), read_only, &known(""), Otherwise::GoOn);
            }
            Action::SealRoot => {
                program.remount(&known("/"), MountAttributes { read_only: true, ..PLAIN }, Otherwise::Stop)
            }
            Action::MountDev { devices, tty_group, mqueue } => self.make_dev(devices, *tty_group, *mqueue),
            Action::MountTmpfs { path: at, mode, size_bytes, make } => {
                make_directories(program, make)?;
                let size = size_bytes.map(|size| format!(",size={size}")).unwrap_or_default();
                let options = known(&format!("mode={mode:o}{size}"));
                program.mount(&known("tmpfs"), &path(at)?, PLAIN, &options, Otherwise::Stop);
            }
            Action::MakeHome { paths, uid, gid } => {
                make_directories(program, paths)?;
                if let Some(home) = paths.last() {
                    let home = path(home)?;
                    program.change_owner(&home, *uid, *gid);
                    program.change_mode(&home, 0o700);
                }
            }
            Action::AttachBind { index, origin, target, make, point } => {
                make_directories(program, make)?;
                let target = path(target)?;
                match point {
                    MountPoint::There => {}
                    MountPoint::Directory => program.make_directory(&target, 0o755),
                    MountPoint::File => program.make_file(&target),
                }
                let tree = match origin {
                    Origin::Held(place) => wiring.trees.get(*place).map(|tree| MountTree::Fd(tree.as_fd())),
                    Origin::Path(_) => Some(MountTree::Slot(Slot(BINDS + *index as u16))),
                };
                if let Some(tree) = tree {
                    program.attach(tree, &target, Otherwise::Stop);
                }
            }
            Action::Mask { path, directory: true } => {
                let read_only = MountAttributes { read_only: true, ..DATA };
                program.mount(&known("tmpfs"), &known(path), read_only, &known("size=0,mode=555"), Otherwise::Stop);
            }
            Action::Mask { path, directory: false } => program.bind(&known("/dev/null"), &known(path), Otherwise::Stop),
            Action::Protect(path) => {
                program.bind(&known(path), &known(path), Otherwise::Stop);
                program.remount(&known(path), MountAttributes { read_only: true, ..DATA }, Otherwise::Stop);
            }
            Action::SetHostName(name) => program.set_host_name(name.as_bytes()),
            Action::LoopbackUp => program.loopback_up(),
            Action::SetRlimit(rlimit) => program.set_rlimit(rlimit.resource, rlimit.name, rlimit.soft, rlimit.hard),
            Action::RaiseRlimit(rlimit) => {
                program.set_rlimit(rlimit.resource, rlimit.name, rlimit.soft, rlimit.hard);
            }
            Action::SpareFromOom(score) => {
                let text = score.to_string();
                program.write_file(&known("/proc/self/oom_score_adj"), text.as_bytes(), Otherwise::Stop);
            }
            Action::SetOomScore(score) => {
                program.allow_tracing();
                program.write_file(&known("/proc/self/oom_score_adj"), score.to_string().as_bytes(), Otherwise::Stop);
                program.forbid_tracing();
            }
            Action::OpenTerminal => {
                if let Some((settings, size, _)) = wiring.terminal {
                    program.new_session();
                    program.open_terminal(NEAR, FAR, settings, size);
                    program.control_terminal(FAR);
                    program.send_descriptor(wiring.report, NEAR, ROOM, tag(TERMINAL));
                    program.close_slot(NEAR);
                }
            }
            Action::Fork { .. } => self.fork(),
            Action::ChangeDirectory { paths, required } => self.change_directory(paths, *required)?,
            Action::DropBounding(caps) => program.drop_from_bounding(*caps),
            Action::BecomeUser { uid, gid, groups } => {
                if let Some(groups) = groups {
                    program.set_groups(groups);
                }
                if self.plan.has(|action| matches!(action, Action::LimitCaps { ambient, .. } if !ambient.is_empty())) {
                    program.keep_caps();
                }
                program.set_gid(*gid);
                program.set_uid(*uid);
            }
            Action::LimitCaps { kept, ambient } => {
                program.clear_ambient();
                program.set_caps(*kept, *ambient);
                program.raise_ambient(*ambient);
            }
            Action::NoNewPrivs => program.no_new_privs(),
            Action::Filter => {
                if let Some(filter) = wiring.filter {
                    program.seccomp(filter, Otherwise::Stop);
                }
            }
            Action::Serve => self.serve(),
            Action::CleanUp => self.clean_up(),
            // Those of nsx itself.
            Action::Limit(_) | Action::WriteMaps | Action::MapOwners | Action::Release | Action::Exec => {}
        }
        Ok(())
    }
}

fn make_directories(program: &mut Program, paths: &[Vec<u8>]) -> Result<(), EnterError> {
    for directory in paths {
        program.make_directory(&path(directory)?, 0o755);
    }
    Ok(())
}

/// The eight bytes of a message that a mark goes with.
fn tag(mark: u32) -> [u8; 8] {
    (u64::from(mark) << 32).to_ne_bytes()
}

/// What is written to timens_offsets, see time_namespaces(7).
fn offsets(offset: TimeOffset) -> String {
    let line = |clock: &str, nsec: i128| {
        let (seconds, rest) = (nsec.div_euclid(1_000_000_000), nsec.rem_euclid(1_000_000_000));
        format!("{clock} {seconds} {rest}\n")
    };
    line("monotonic", offset.monotonic_nsec) + &line("boottime", offset.boottime_nsec)
}
