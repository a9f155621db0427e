//! The whole host in one read: a BPF iterator over all tasks instead of a walk over `/proc`.
//!
//! It brings home the same observations as the walk does, many times faster. Those few processes that have descriptors of namespaces, or
//! sockets elsewhere, are asked for them by way of `/proc`; what is behind the names is asked in the second pass, as ever.

mod fds;
mod tasks;

use std::fmt;

pub(in crate::scan) use tasks::Keeper;

use super::fds::SocketFd;
use super::{Choice, ScanOptions};
use crate::model::{Backend, CapSet, KindSet, NsKind, Observations};
use crate::proc::ProcRoot;
use crate::sys::bpf::assemble::{Functions, Instruction};
use crate::sys::bpf::btf::{Btf, BtfError, Named, TypeId};
use crate::sys::bpf::record::Record;
use crate::sys::bpf::{Iterator, LoadError, Types};
use crate::sys::{Call, Errno, SysError, cred, dir};

/// So many records are read at once. The kernel hands out eight pages at most, and cuts what does not fit anywhere: so it has to be whole
/// records.
const RECORDS: usize = 1024;

/// Why `/proc` is read although there is BPF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nobody has asked for it.
    NotAsked,
    /// The tree is no `/proc`, or that of another pid namespace.
    OtherTree,
    /// The caller is in a namespace of this kind that is not the initial one: pids, users or times would be others.
    Inside(NsKind),
    /// The caller lacks capabilities.
    Caps,
    /// There are so few tasks that reading `/proc` is as fast.
    Few(u64),
    /// The kernel's types may not be read, or it has none.
    Types(SysError),
    /// The kernel's types do not have what programs need.
    Btf(BtfError),
    /// The kernel has not taken a program.
    Load(LoadError),
    /// The caller's own namespaces, or the iterator to its end, could not be read.
    Read(SysError),
}

impl Refused {
    /// Returns what the kernel's verifier has to say, where it has refused a program.
    pub fn log(&self) -> Option<&str> {
        match self {
            Refused::Load(refused) => Some(refused.log.as_str()).filter(|log| !log.is_empty()),
            _ => None,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NotAsked => write!(f, "it was not asked for"),
            Refused::OtherTree => write!(f, "BPF sees this host only, not another tree"),
            Refused::Inside(kind) => write!(f, "this is not the initial {kind} namespace"),
            Refused::Caps => write!(f, "that takes CAP_BPF and CAP_PERFMON"),
            Refused::Few(tasks) => write!(f, "that is as fast with {tasks} tasks"),
            Refused::Types(error) | Refused::Read(error) => error.fmt(f),
            Refused::Btf(error) => error.fmt(f),
            Refused::Load(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

/// Up to so many tasks on the host `/proc` is read as fast: with descriptors, and without (measured, `benches/compare/bpf`).
const FEW: [u64; 2] = [100, 160];

/// Looks at all tasks; where they have descriptors that matter, at those by way of `/proc`. Returns the sockets that are to be asked, too.
pub(super) fn walk(
    root: &ProcRoot,
    options: &ScanOptions<'_>,
    kinds: KindSet,
) -> Result<(Observations, Vec<SocketFd>), Refused> {
    let there = may(root, options.backend, FEW[0])?;
    let kinds = kinds.iter().filter(|kind| there.contains(*kind)).collect();
    let (mut found, keepers) = tasks::read(&load(true)?, kinds).map_err(Refused::Read)?;
    let sockets = super::tasks::walk_fds(root, options, kinds, &mut found, &keepers);
    Ok((found, sockets))
}

/// Looks at all processes, with their namespaces of these kinds, and nothing else.
pub(super) fn processes(root: &ProcRoot, options: &ScanOptions<'_>) -> Result<Observations, Refused> {
    let there = may(root, options.backend, FEW[1])?;
    let kinds = options.kinds.iter().filter(|kind| there.contains(*kind)).collect();
    let (found, _) = tasks::read(&load(false)?, kinds).map_err(Refused::Read)?;
    Ok(found)
}

/// Says whether it makes sense to try, and which kinds of namespaces there are.
fn may(root: &ProcRoot, choice: Choice, few: u64) -> Result<KindSet, Refused> {
    let choice = choice.resolved();
    if choice == Choice::Only(Backend::Proc) {
        return Err(Refused::NotAsked);
    }
    if !root.is_own_pid_ns() {
        return Err(Refused::OtherTree);
    }
    if choice == Choice::Auto {
        // Where it cannot be known how many there are, there may be many.
        if let Some(tasks) = count(root).filter(|tasks| *tasks <= few) {
            return Err(Refused::Few(tasks));
        }
    }
    let caps = cred::effective_caps().unwrap_or_default();
    if !caps.contains(CapSet::SYS_ADMIN) && !caps.contains(CapSet::BPF | CapSet::PERFMON) {
        return Err(Refused::Caps);
    }
    let own = root.own_process().and_then(|own| own.namespaces());
    let own = own.map_err(|errno| Refused::Read(SysError::new(Call::Readlinkat(root.name("self/ns")), errno)))?;
    for kind in [NsKind::Pid, NsKind::User, NsKind::Time] {
        if own[kind.index()].is_some_and(|id| kind.is_initial_inode(id) != Some(true)) {
            return Err(Refused::Inside(kind));
        }
    }
    Ok(NsKind::ALL.into_iter().filter(|kind| own[kind.index()].is_some()).collect())
}

/// Returns how many tasks there are on the host: field 4 of proc_loadavg(5). `None` where that cannot be read.
fn count(root: &ProcRoot) -> Option<u64> {
    use std::os::fd::AsFd;
    let text = dir::read_whole(root.as_fd(), c"loadavg", 128).unwrap_or_default();
    let field = text.split(|&byte| byte == b' ').nth(3).unwrap_or_default();
    let total = field.split(|&byte| byte == b'/').nth(1).unwrap_or_default();
    crate::model::id::parse_decimal(total)
}

/// Begins the iterator; `fds` is whether it looks at descriptors, which takes half of the time.
fn load(fds: bool) -> Result<Iterator, Refused> {
    let (over, program) = of_this_kernel(fds)?;
    Iterator::new(&program, over, b"nsx_tasks").map_err(Refused::Load)
}

/// Returns the program that is run over all tasks, as the kernel takes it, and the number of the type that it is run over: for whoever wants
/// to load it in another way, as benchmarks do. `fds` is whether it looks at descriptors.
///
/// # Errors
/// Where the kernel does not show its types, or they do not have what the program needs.
pub fn iterator_program(fds: bool) -> Result<(u32, Vec<u8>), Refused> {
    let (over, program) = of_this_kernel(fds)?;
    Ok((over.0, program.into_iter().flat_map(Instruction::to_bytes).collect()))
}

/// Writes the program by the types of the kernel that runs.
fn of_this_kernel(fds: bool) -> Result<(TypeId, Vec<Instruction>), Refused> {
    let types = Types::open().map_err(Refused::Types)?;
    let mut btf = Btf::new(types.bytes()).map_err(Refused::Btf)?;
    program(&mut btf, fds).map_err(Refused::Btf)
}

/// Writes the program, and says what it is run over.
fn program(btf: &mut Btf<'_>, fds: bool) -> Result<(TypeId, Vec<Instruction>), BtfError> {
    let [over, context, socket, cast, new, next, destroy] = btf.find_some([
        Named::Function("bpf_iter_task"),
        Named::Struct("bpf_iter__task"),
        Named::Struct("socket"),
        Named::Function("bpf_rdonly_cast"),
        Named::Function("bpf_iter_num_new"),
        Named::Function("bpf_iter_num_next"),
        Named::Function("bpf_iter_num_destroy"),
    ])?;
    let there = |id: Option<TypeId>, name| id.ok_or(BtfError::NoType(name));
    let count = new.zip(next).zip(destroy).map(|((new, next), destroy)| [new, next, destroy]);
    let socket = fds.then(|| there(socket, "socket")).transpose()?;
    let program = tasks::program(btf, there(context, "bpf_iter__task")?, Functions { cast, count }, socket)?;
    Ok((there(over, "bpf_iter_task")?, program))
}

/// Reads an iterator to its end.
fn read_all<R: Record>(iterator: &Iterator, mut take: impl FnMut(R)) -> Result<(), SysError> {
    let mut buffer = vec![0; RECORDS * R::BYTES];
    loop {
        match iterator.read(&mut buffer) {
            Ok([]) => return Ok(()),
            Ok(records) => records.chunks_exact(R::BYTES).for_each(|record| take(R::read(record))),
            // It has gone over very many, and goes on.
            Err(error) if error.errno == Errno::EAGAIN => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
