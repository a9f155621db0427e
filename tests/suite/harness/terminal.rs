//! A terminal of the test's own with a command on it: what is typed, what is shown, its size and its settings.
//!
//! The test holds both ends, so nothing that was shown is lost when the command ends. See pty(7), openpty(3), tty_ioctl(4).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use nix::libc;

use super::processes::PATIENCE;

/// What Ctrl and these letters type.
pub const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";
pub const CTRL_Z: &str = "\x1a";

/// Modes and control characters.
pub type Settings = ([u32; 4], Vec<u8>);

/// A terminal with a command on it, which leads a session of its own; all of it ends when this is dropped.
pub struct Terminal {
    near: OwnedFd,
    far: OwnedFd,
    /// The command.
    pub child: Child,
    /// All that was shown so far, and how much of that was waited for already.
    shown: Vec<u8>,
    seen: usize,
    /// The settings that it had before the command was started.
    pub before: Settings,
}

impl Terminal {
    /// Starts a command on a new terminal of 33 lines and 77 columns.
    pub fn start(command: &mut Command) -> Terminal {
        let size = size(33, 77);
        let (mut near, mut far) = (-1, -1);
        let (name, settings) = (std::ptr::null_mut(), std::ptr::null());
        // SAFETY: the numbers and the size live through the call, and nothing else is given.
        let opened = unsafe { libc::openpty(&raw mut near, &raw mut far, name, settings, &raw const size) };
        assert_eq!(opened, 0, "openpty: {}", std::io::Error::last_os_error());
        // SAFETY: both were just opened, and nobody else owns them.
        let (near, far) = unsafe { (OwnedFd::from_raw_fd(near), OwnedFd::from_raw_fd(far)) };
        for end in [&near, &far] {
            // SAFETY: the call takes numbers.
            unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        // SAFETY: the call takes numbers.
        unsafe { libc::fcntl(near.as_raw_fd(), libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK) };
        let stdio = || Stdio::from(far.try_clone().expect("a copy"));
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        // SAFETY: between fork and exec only setsid(2), ioctl(2) and signal(2) are called.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                // A test that runs in the background of a shell has these ignored.
                for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                Ok(())
            });
        }
        let before = settings_of(&far);
        let child = command.spawn().expect("a command");
        Terminal { near, far, child, shown: Vec::new(), seen: 0, before }
    }

    /// Types these keys.
    pub fn keys(&self, keys: &str) {
        let mut rest = keys.as_bytes();
        let begin = Instant::now();
        while !rest.is_empty() {
            assert!(begin.elapsed() < PATIENCE, "nobody reads what is typed: {keys:?}");
            // SAFETY: the bytes live through the call.
            let taken = unsafe { libc::write(self.near.as_raw_fd(), rest.as_ptr().cast(), rest.len()) };
            rest = &rest[usize::try_from(taken).unwrap_or(0)..];
        }
    }

    /// Takes what was shown meanwhile, or waits a moment for that.
    fn look(&mut self) {
        let mut asked = libc::pollfd { fd: self.near.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the structure lives through the call.
        unsafe { libc::poll(&raw mut asked, 1, 20) };
        let mut part = [0; 65536];
        // SAFETY: the buffer lives through the call.
        let length = unsafe { libc::read(self.near.as_raw_fd(), part.as_mut_ptr().cast(), part.len()) };
        self.shown.extend_from_slice(&part[..usize::try_from(length).unwrap_or(0)]);
    }

    /// Waits until a text is shown behind all that was waited for before, and returns what stands in between.
    pub fn until(&mut self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            let new = &self.shown[self.seen..];
            if let Some(at) = new.windows(text.len()).position(|part| part == text.as_bytes()) {
                let between = String::from_utf8_lossy(&new[..at]).into_owned();
                self.seen += at + text.len();
                return between;
            }
            assert!(begin.elapsed() < PATIENCE, "{text:?} was never shown: {:?}", self.rest());
            self.look();
        }
    }

    /// Waits until something is so, while what is shown is taken.
    pub fn until_so(&mut self, what: &str, mut is_so: impl FnMut(&mut Terminal) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(begin.elapsed() < PATIENCE, "it never came to pass: {what}: {:?}", self.rest());
            self.look();
        }
    }

    /// Returns what was shown and not waited for.
    pub fn rest(&self) -> String {
        String::from_utf8_lossy(&self.shown[self.seen..]).into_owned()
    }

    /// Waits for the end of the command, and returns it with what was shown and not waited for.
    pub fn end(&mut self) -> (ExitStatus, String) {
        let mut status = None;
        self.until_so("the end of the command", |terminal| {
            status = terminal.child.try_wait().expect("a child");
            status.is_some()
        });
        loop {
            let before = self.shown.len();
            self.look();
            if self.shown.len() == before {
                return (status.expect("an end"), self.rest());
            }
        }
    }

    /// Changes the size. Whoever is in the foreground gets SIGWINCH.
    pub fn resize(&self, lines: u16, columns: u16) {
        let size = size(lines, columns);
        // SAFETY: the request reads one `struct winsize`.
        assert_eq!(unsafe { libc::ioctl(self.near.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }, 0);
    }

    /// Takes the terminal away, as the end of a connection does.
    pub fn hang_up(&self) {
        let nothing = std::fs::File::open("/dev/null").expect("/dev/null");
        // SAFETY: the call takes numbers; the one that is replaced stays this terminal's to close.
        assert!(unsafe { libc::dup2(nothing.as_raw_fd(), self.near.as_raw_fd()) } >= 0);
    }

    /// Returns the settings.
    pub fn settings(&self) -> Settings {
        settings_of(&self.far)
    }

    /// Says whether whole lines are handed over, as they are while nobody has changed that.
    pub fn is_line_mode(&self) -> bool {
        self.settings().0[3] & libc::ICANON != 0
    }

    /// Returns the device of the command's end.
    pub fn device(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let far = std::fs::metadata(format!("/proc/self/fd/{}", self.far.as_raw_fd()));
        far.expect("a terminal").rdev()
    }
}

fn settings_of(terminal: &OwnedFd) -> Settings {
    // SAFETY: the structure is plain numbers, which the call writes.
    let settings = unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(terminal.as_raw_fd(), &raw mut settings), 0);
        settings
    };
    ([settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag], settings.c_cc.to_vec())
}

fn size(lines: u16, columns: u16) -> libc::winsize {
    libc::winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What is left of the session hears of the end of the terminal; nsx sees to what it has started.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
