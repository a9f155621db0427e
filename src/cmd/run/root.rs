//! Files of `nsx run`: the root directory, and what is put into it. Not here: parsers of the values (`value`), mounting (`launch::run`).

use std::path::PathBuf;

use clap::Args;

use super::value;
use crate::cmd::UsageError;
use crate::launch::run::{Bind, Root, Tmpfs};

/// The options on files.
#[derive(Args, Debug)]
#[command(next_help_heading = "Root directory options")]
pub struct RootArgs {
    /// Use this root directory (default: the host's, read-only, with empty /tmp, /var/tmp and /run, without home directories)
    #[arg(long, value_name = "DIR", value_parser = value::path())]
    pub rootfs: Option<PathBuf>,

    /// With --rootfs: let nothing be written to it
    #[arg(long, requires = "rootfs")]
    pub read_only: bool,

    /// Show home directories, read-only
    #[arg(long, conflicts_with = "rootfs")]
    pub home: bool,

    /// Show a file or directory of the host's at DST (can be repeated)
    ///
    /// DST is absolute. It can be written to, unless `:ro` follows. A path with a colon cannot be given.
    #[arg(short = 'v', long, value_name = "SRC:DST[:ro|rw]", value_parser = value::volume())]
    pub volume: Vec<Bind>,

    /// Put an empty directory in memory at DST (can be repeated)
    ///
    /// Without a size it can become as large as half of the memory. A path with a colon cannot be given.
    #[arg(long, value_name = "DST[:size=SIZE]", value_parser = value::tmpfs())]
    pub tmpfs: Vec<Tmpfs>,

    /// Start in this directory (default: where the caller is, if that is there inside, else the home directory, else /)
    #[arg(short = 'w', long, value_name = "DIR", value_parser = value::absolute())]
    pub workdir: Option<PathBuf>,
}

impl RootArgs {
    /// Returns the root directory.
    pub fn root(&self) -> Root {
        match &self.rootfs {
            Some(path) => Root::Directory { path: path.clone(), read_only: self.read_only },
            None => Root::Host { home: self.home },
        }
    }

    /// Returns what is shown of the host's.
    ///
    /// # Errors
    /// Where two things are to be at one place.
    pub fn binds(&self) -> Result<Vec<Bind>, UsageError> {
        let mut places: Vec<&PathBuf> = self.volume.iter().map(|bind| &bind.target).collect();
        places.extend(self.tmpfs.iter().map(|tmpfs| &tmpfs.target));
        places.sort();
        if places.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(UsageError("two of --volume and --tmpfs have the same DST"));
        }
        Ok(self.volume.clone())
    }
}
