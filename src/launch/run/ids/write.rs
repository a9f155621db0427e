//! Writing the maps of a process that was just made, from outside of its user namespace.
//!
//! See user_namespaces(7), newuidmap(1).

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::{IdPlan, Writer};
use crate::model::Pid;
use crate::proc::ProcRoot;
use crate::sys::{Call, Errno, SysError, cgroupfs};

/// How much of what a helper says is kept.
const SAID: usize = 512;

/// Why the maps could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The kernel refused.
    Refused(SysError),
    /// A helper could not be started, or waited for.
    Start(PathBuf, SysError),
    /// A helper failed.
    Failed {
        /// Which one.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it said on standard error, on one line.
        said: String,
    },
}

impl WriteError {
    /// Returns the errno of the kernel's, where it was a system call that failed.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            WriteError::Refused(error) | WriteError::Start(_, error) => Some(error.errno),
            WriteError::Failed { .. } => None,
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cannot = "cannot map ids into the user namespace";
        match self {
            WriteError::Refused(error) => write!(f, "{cannot}: {error}"),
            WriteError::Start(program, error) => write!(f, "{cannot}: {}: {error}", program.display()),
            WriteError::Failed { program, status, said } if said.is_empty() => {
                write!(f, "{cannot}: {} failed: {status}", program.display())
            }
            WriteError::Failed { said, .. } => write!(f, "{cannot}: {said}"),
        }
    }
}

impl std::error::Error for WriteError {}

/// Writes the maps of the process with this pid, a child of the caller's that has not been waited for: so the pid is its.
///
/// # Errors
/// `EPERM` where the caller may not map these ids, `EACCES` where the process is not dumpable, `ENOENT` where it has gone; what a helper
/// says.
pub fn write(plan: &IdPlan, proc: &ProcRoot, pid: i32) -> Result<(), WriteError> {
    match &plan.writer {
        Writer::Nobody => Ok(()),
        Writer::Itself | Writer::Nsx => write_files(plan, proc, pid).map_err(WriteError::Refused),
        Writer::Helpers { newuidmap, newgidmap } => {
            // Side by side: each has a program to load.
            let gids = start(newgidmap, pid, &plan.gids);
            let uids = start(newuidmap, pid, &plan.uids);
            let gids = gids.and_then(|child| finish(newgidmap, child));
            let uids = uids.and_then(|child| finish(newuidmap, child));
            uids.and(gids)
        }
    }
}

fn write_files(plan: &IdPlan, proc: &ProcRoot, pid: i32) -> Result<(), SysError> {
    let path = |file: &str| proc.name(&format!("{pid}/{file}"));
    let process =
        proc.process(Pid(pid.unsigned_abs())).map_err(|errno| SysError::new(Call::Openat(path("")), errno))?;
    for (file, text) in plan.files() {
        let name = path(&file.to_string_lossy());
        let open = cgroupfs::open_write(process.as_fd(), file)
            .map_err(|errno| SysError::new(Call::Openat(name.clone()), errno))?;
        cgroupfs::write(open.as_fd(), &text)
            .map_err(|errno| SysError::new(Call::WriteText { path: name, text: text.clone() }, errno))?;
    }
    Ok(())
}

fn start(program: &Path, pid: i32, map: &[[u32; 3]]) -> Result<Child, WriteError> {
    Command::new(program)
        .arg(pid.to_string())
        .args(map.iter().flatten().map(u32::to_string))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(program, Call::PosixSpawn, &error))
}

fn finish(program: &Path, child: Child) -> Result<(), WriteError> {
    let ended = child.wait_with_output().map_err(|error| failed(program, Call::Waitpid, &error))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = &ended.stderr[..ended.stderr.len().min(SAID)];
    let lines = String::from_utf8_lossy(said);
    let said: Vec<String> = lines.lines().map(|line| line.trim().escape_debug().to_string()).collect();
    Err(WriteError::Failed { program: program.to_owned(), status: ended.status, said: said.join("; ") })
}

fn failed(program: &Path, call: Call, error: &io::Error) -> WriteError {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    WriteError::Start(program.to_owned(), SysError::new(call, errno))
}
