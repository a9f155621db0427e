//! Fixtures: processes that hold a namespace in some way, until they are dropped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::inode_in;

/// A process that holds a namespace.
pub struct Held {
    child: Child,
    /// What it says of itself: the words behind `ready`.
    pub words: Vec<String>,
}

impl Held {
    /// Starts this test binary as a fixture, and waits until it is ready.
    pub fn start(role: &[&str]) -> Held {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.arg("fixture").args(role);
        Held::start_command(&mut command)
    }

    /// Starts any command that prints a line `ready …` and ends when its standard input does.
    pub fn start_command(command: &mut Command) -> Held {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let mut words = line.split_whitespace().map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("ready"), "{command:?} said {line:?}");
        Held { child, words: words.collect() }
    }

    /// Returns the pid of the fixture.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets a fixture go on that waits for a sign.
    pub fn poke(&mut self) {
        use std::io::Write;
        self.child.stdin.as_mut().expect("a pipe").write_all(b"x").expect("a reader");
    }

    /// Waits until it has ended by itself, and returns how.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().expect("a child")
    }

    /// Returns a number that it said.
    pub fn number(&self, index: usize) -> u64 {
        inode_in(&self.words[index])
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It ends by itself when its input does; its own children hang on the same pipe.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
