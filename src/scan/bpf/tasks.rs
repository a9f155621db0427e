//! Processes, threads and what is for children, of all tasks at once: what the kernel has in `struct task_struct`.
//!
//! The program tells of every process, and of those threads that are not where their process is.

use std::collections::HashSet;

use super::fds;
use crate::model::{
    Comm, ForChildren, KindSet, NsArray, NsId, NsKind, NsName, Observations, Pid, Process, Thread, Tid,
};
use crate::sys::SysError;
use crate::sys::bpf::Iterator;
use crate::sys::bpf::assemble::{Assembler, Functions, If, Instruction, Pointer, Reg};
use crate::sys::bpf::btf::{Btf, BtfError, TypeId};
use crate::sys::bpf::record::{Record, record};

record! {
    /// What is told of a task. Namespaces are inodes, zero where the task has let go of them.
    pub(super) struct Task {
        start_boottime_ns: u64 = "start_boottime",
        /// Where its table of descriptors is: threads with the same one are told apart from others by that.
        files: u64 = "files",
        comm: [u8; 16] = "comm",
        tid: u32 = "pid",
        pid: u32 = "tgid",
        ppid: u32 = "real_parent->tgid",
        flags: u32 = "flags",
        nthreads: u32 = "signal->nr_threads",
        cgroup: u32 = "nsproxy->cgroup_ns->ns.inum",
        ipc: u32 = "nsproxy->ipc_ns->ns.inum",
        mnt: u32 = "nsproxy->mnt_ns->ns.inum",
        net: u32 = "nsproxy->net_ns->ns.inum",
        time: u32 = "nsproxy->time_ns->ns.inum",
        user: u32 = "real_cred->user_ns->ns.inum",
        uts: u32 = "nsproxy->uts_ns->ns.inum",
        pid_for_children: u32 = "nsproxy->pid_ns_for_children->ns.inum",
        time_for_children: u32 = "nsproxy->time_ns_for_children->ns.inum",
        /// The one that the task is in belongs to its pid, not to its nsproxy.
        pid_ns: u32,
        /// Whether its descriptors are to be looked at; of a thread, those that it has for itself.
        fds: u32,
    }
}

/// Where a field is on the stack of the program.
macro_rules! slot {
    ($field:ident) => {
        Task::SLOT + std::mem::offset_of!(Task, $field) as i16
    };
}

/// What else is on its stack, eight bytes each.
const SCRATCH: i16 = Task::SLOT - 8;

/// Writes the program. `socket` is the type of sockets, where descriptors are to be looked at.
pub(super) fn program(
    btf: &mut Btf<'_>,
    context: TypeId,
    functions: Functions,
    socket: Option<TypeId>,
) -> Result<Vec<Instruction>, BtfError> {
    let mut program = Assembler::new(btf, context, functions, SCRATCH);
    let task = program.argument(Reg::R7, "task")?;
    program.unvouched(task);
    active_pid_namespace(&mut program, task)?;

    program.set(Reg::R1, 0);
    program.store(4, slot!(fds), Reg::R1);
    if let Some(socket) = socket {
        let (own, shared) = (program.label(), program.label());
        program.load_number(4, Reg::R1, task, "pid")?;
        program.load_number(4, Reg::R2, task, "tgid")?;
        program.jump_if(Reg::R1, If::Equal, Reg::R2, own);
        // Threads have the descriptors of their process, unless unshare(2) has given them others.
        program.load_pointer(Reg::R1, task, "files")?;
        program.load_pointer(Reg::R2, task, "group_leader->files")?;
        program.jump_if(Reg::R1, If::Equal, Reg::R2, shared);
        program.place(own);
        fds::look(&mut program, task, socket, SCRATCH, slot!(fds))?;
        program.place(shared);
    }

    let tell = program.label();
    // A thread that is where its process is, and has nothing else in store for its children, is left out.
    program.load_number(4, Reg::R1, task, "pid")?;
    program.load_number(4, Reg::R2, task, "tgid")?;
    program.jump_if(Reg::R1, If::Equal, Reg::R2, tell);
    program.fetch(4, Reg::R1, slot!(fds));
    program.jump_if_number(Reg::R1, If::Differ, 0, tell);
    let nsproxy = program.load_pointer(Reg::R8, task, "nsproxy")?;
    program.end_if_zero(Reg::R8);
    program.load_pointer(Reg::R1, task, "group_leader->nsproxy")?;
    program.jump_if(Reg::R8, If::Differ, Reg::R1, tell);
    program.load_number(4, Reg::R1, task, "real_cred->user_ns->ns.inum")?;
    program.load_number(4, Reg::R2, task, "group_leader->real_cred->user_ns->ns.inum")?;
    program.jump_if(Reg::R1, If::Differ, Reg::R2, tell);
    program.load_number(4, Reg::R1, nsproxy, "pid_ns_for_children->ns.inum")?;
    program.fetch(4, Reg::R2, slot!(pid_ns));
    program.jump_if(Reg::R1, If::Differ, Reg::R2, tell);
    program.load_number(4, Reg::R1, nsproxy, "time_ns_for_children->ns.inum")?;
    program.load_number(4, Reg::R2, nsproxy, "time_ns->ns.inum")?;
    program.jump_if(Reg::R1, If::Differ, Reg::R2, tell);
    program.end();

    program.place(tell);
    program.keep_all::<Task>(Reg::R9, task)?;
    program.tell(Task::SLOT, Task::BYTES)?;
    program.finish()
}

/// Finds the pid namespace that a task is in: `thread_pid->numbers[thread_pid->level].ns->ns.inum`.
fn active_pid_namespace(program: &mut Assembler<'_, '_>, task: Pointer) -> Result<(), BtfError> {
    let pid = program.load_pointer(Reg::R8, task, "thread_pid")?;
    program.load_number(4, Reg::R9, pid, "level")?;
    let bytes = program.element_bytes(pid.to, "numbers")?;
    program.multiply(Reg::R9, bytes);
    program.add_register(Reg::R9, Reg::R8);
    let numbers = program.offset(pid.to, "numbers")?;
    let upid = program.element(pid.to, "numbers")?;
    let (ns, pid_namespace) = (program.offset(upid, "ns")?, program.pointee(upid, "ns")?);
    program.add(Reg::R9, numbers + ns);
    program.read_kernel(SCRATCH, 8, Reg::R9);
    program.fetch(8, Reg::R9, SCRATCH);
    let inum = program.offset(pid_namespace, "ns.inum")?;
    program.add(Reg::R9, inum);
    program.read_kernel(slot!(pid_ns), 4, Reg::R9);
    Ok(())
}

/// A task whose descriptors are to be looked at.
pub(in crate::scan) struct Keeper {
    /// Its process: the place among those that were found.
    pub(in crate::scan) process: usize,
    /// The thread, where that has descriptors of its own.
    pub(in crate::scan) tid: Option<Tid>,
}

/// Reads what the program tells; `kinds` are those that there are and that are wanted.
pub(super) fn read(iterator: &Iterator, kinds: KindSet) -> Result<(Observations, Vec<Keeper>), SysError> {
    let mut found = Observations::default();
    let (mut threads, mut keepers) = (Vec::new(), Vec::new());
    super::read_all::<Task>(iterator, |task| {
        if task.pid != task.tid {
            threads.push(task);
            return;
        }
        let process = task.process(kinds);
        if !process.kernel {
            task.for_children(kinds, &mut found.for_children);
            if task.fds != 0 {
                keepers.push(task);
            }
        }
        found.processes.push(process);
    })?;
    // Tasks come in the order of their ids, but for a thread that becomes its process just then by execve(2).
    found.processes.sort_by_key(|process| process.pid);
    found.processes.dedup_by_key(|process| process.pid);
    let processes = &found.processes;
    let place_of = |task: &Task| processes.binary_search_by_key(&Pid(task.pid), |process| process.pid).ok();
    for thread in threads {
        // A process that is not there came too late, and so did its thread.
        let Some(place) = place_of(&thread) else { continue };
        thread.for_children(kinds, &mut found.for_children);
        if thread.fds != 0 {
            keepers.push(thread);
        }
        let mut ns = thread.namespaces(kinds);
        for (own, of_process) in ns.iter_mut().zip(processes[place].ns) {
            if *own == of_process {
                *own = None;
            }
        }
        if ns.iter().any(Option::is_some) {
            found.threads.push(Thread { pid: processes[place].pid, tid: Tid(thread.tid), ns });
        }
    }
    // However many threads share a table, it is looked at once; the process itself stands before them.
    let mut seen = HashSet::new();
    keepers.retain(|task| seen.insert((task.pid, task.files)));
    let keepers = keepers.iter().filter_map(|task| {
        let tid = (task.tid != task.pid).then_some(Tid(task.tid));
        place_of(task).map(|process| Keeper { process, tid })
    });
    let keepers = keepers.collect();
    Ok((found, keepers))
}

impl Task {
    fn process(&self, kinds: KindSet) -> Process {
        /// `PF_KTHREAD`, `include/linux/sched.h`.
        const PF_KTHREAD: u32 = 0x0020_0000;
        Process {
            pid: Pid(self.pid),
            ppid: Pid(self.ppid),
            start_time_ticks: self.start_boottime_ns / (1_000_000_000 / procfs::ticks_per_second().max(1)),
            comm: Comm::new(&self.comm),
            nthreads: self.nthreads,
            kernel: self.flags & PF_KTHREAD != 0,
            ns: self.namespaces(kinds),
        }
    }

    fn namespaces(&self, kinds: KindSet) -> NsArray {
        NsKind::ALL.map(|kind| {
            let inode = match kind {
                NsKind::Cgroup => self.cgroup,
                NsKind::Ipc => self.ipc,
                NsKind::Mnt => self.mnt,
                NsKind::Net => self.net,
                NsKind::Pid => self.pid_ns,
                NsKind::Time => self.time,
                NsKind::User => self.user,
                NsKind::Uts => self.uts,
            };
            NsId::new(inode).filter(|_| kinds.contains(kind))
        })
    }

    fn for_children(&self, kinds: KindSet, found: &mut Vec<ForChildren>) {
        for (kind, own, inode) in
            [(NsKind::Pid, self.pid_ns, self.pid_for_children), (NsKind::Time, self.time, self.time_for_children)]
        {
            // Without the task's own there is nothing to differ from: it is a zombie, or the kernel lacks the kind.
            if let Some(id) = NsId::new(inode).filter(|_| kinds.contains(kind) && own != 0 && own != inode) {
                found.push(ForChildren { pid: Pid(self.pid), tid: Tid(self.tid), name: NsName { kind, id } });
            }
        }
    }
}
