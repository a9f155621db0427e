//! What options of `nsx run` only name, and the system has to be asked for: files of variables, numbers of disks.

use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use super::{RunArgs, environment};
use crate::cgroup::change::value::Value;
use crate::launch::run::RunRequest;

/// Why something that was named cannot be used.
#[derive(Debug)]
pub enum LookUpError {
    /// A file of variables cannot be read.
    EnvFile(PathBuf, io::Error),
    /// A file of variables has more than [`LARGEST`] bytes.
    EnvFileTooLarge(PathBuf),
    /// A line of it, from 1, is wrong.
    EnvLine(PathBuf, usize, &'static str),
    /// A disk cannot be looked at.
    Device(PathBuf, io::Error),
    /// What was taken for a disk is none.
    NoDevice(PathBuf),
}

/// execve(2) takes no more of arguments and variables together, whatever the limit on the stack.
pub const LARGEST: u64 = 6 << 20;

impl fmt::Display for LookUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| path.to_string_lossy().escape_debug().to_string();
        match self {
            LookUpError::EnvFile(path, error) => write!(f, "--env-file: cannot read {}: {error}", shown(path)),
            LookUpError::EnvFileTooLarge(path) => {
                write!(f, "--env-file: {} is larger than an environment can be", shown(path))
            }
            LookUpError::EnvLine(path, line, wrong) => write!(f, "--env-file: {}, line {line}: {wrong}", shown(path)),
            LookUpError::Device(path, error) => write!(f, "--io: cannot look at {}: {error}", shown(path)),
            LookUpError::NoDevice(path) => write!(f, "--io: {} is no block device", shown(path)),
        }
    }
}

impl std::error::Error for LookUpError {}

impl RunArgs {
    /// Puts into the request what the options only name: variables that are in files, and the numbers of disks.
    ///
    /// # Errors
    /// Where a file is not there, or is not what it should be.
    pub fn look_up(&self, request: &mut RunRequest) -> Result<(), LookUpError> {
        let mut variables = Vec::new();
        for path in &self.life.env_file {
            variables.extend(read(path)?);
        }
        // What comes later counts more.
        request.environment.set.splice(..0, variables);
        for asked in &mut request.limits.asked {
            if let Value::Device(name, _) = &mut asked.value
                && name.starts_with('/')
            {
                *name = numbers(Path::new(&*name))?;
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<environment::Variable>, LookUpError> {
    let mut text = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text))
        .map_err(|error| LookUpError::EnvFile(path.to_owned(), error))?;
    if text.len() as u64 > LARGEST {
        return Err(LookUpError::EnvFileTooLarge(path.to_owned()));
    }
    environment::parse_file(&text).map_err(|(line, wrong)| LookUpError::EnvLine(path.to_owned(), line, wrong))
}

/// Returns the numbers of a disk, as `io.max` has them.
fn numbers(path: &Path) -> Result<String, LookUpError> {
    let found = fs::metadata(path).map_err(|error| LookUpError::Device(path.to_owned(), error))?;
    if !found.file_type().is_block_device() {
        return Err(LookUpError::NoDevice(path.to_owned()));
    }
    Ok(format!("{}:{}", libc::major(found.rdev()), libc::minor(found.rdev())))
}
