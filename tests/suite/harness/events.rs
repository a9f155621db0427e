//! What `--status-fd` tells: lines of JSON, read as they come. Those of nsx run are held against their schema.

use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use super::event;

/// The descriptor that events go to.
pub const STATUS_FD: i32 = 57;

/// The option that says so.
pub const STATUS_OPTION: &str = "--status-fd=57";

/// The reading end of events.
pub struct Events {
    from: BufReader<PipeReader>,
    /// How a line is read.
    parse: fn(&str) -> Value,
}

impl Events {
    /// Gives a command a pipe as [`STATUS_FD`]. The end of events is seen when the command has ended and this has been dropped.
    pub fn of(command: &mut Command) -> Events {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        // SAFETY: between fork and exec only dup2(2) and fcntl(2) are called.
        unsafe {
            command.pre_exec(move || {
                libc::dup2(writer.as_raw_fd(), STATUS_FD);
                // If it had that number before it is still to be closed on exec.
                libc::fcntl(STATUS_FD, libc::F_SETFD, 0);
                Ok(())
            });
        }
        let is_run = command.get_args().any(|word| word == "run");
        Events { from: BufReader::new(reader), parse: if is_run { event } else { any } }
    }

    /// Returns the next event, which is not waited for in vain.
    pub fn soon(&mut self) -> Value {
        let waited_for = PollFd::new(self.from.get_ref().as_fd(), PollFlags::POLLIN);
        assert_eq!(
            poll(&mut [waited_for], PollTimeout::from(20_000u16)),
            Ok(1),
            "no event comes while the command runs"
        );
        let mut line = String::new();
        self.from.read_line(&mut line).expect("a line");
        (self.parse)(&line)
    }

    /// Returns all that come until nobody has the other end.
    pub fn rest(mut self) -> Vec<Value> {
        let mut text = String::new();
        self.from.read_to_string(&mut text).expect("text");
        text.lines().map(self.parse).collect()
    }
}

fn any(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}
