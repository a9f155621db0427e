//! `nsx enter`: run a command in the namespaces of another process.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::value::{capabilities, id, timeout};
use super::{Exit, Global, UsageError, advice, ui, ui::Ui};
use crate::launch::enter::Event;
use crate::launch::{Caps, Ended, EnterError, Id, NsFile, Place, Prepared, Request, Timeout, keep_only, prepare};
use crate::model::{KindSet, NsKind};
use crate::proc::ProcRoot;
use crate::render::explain::{self, Explained, ExplainedStep};
use crate::select::Target;
use crate::sys::{Errno, SysError, signal, spawn};

/// Run a command in the namespaces of another process
///
/// Enters the namespaces of a process and runs a command there, or a shell. Without an option that names a namespace these are all in which
/// the process is elsewhere than the caller; its root directory and its cgroup come with them. With some of them, as in `-n ip a`, all else
/// stays the caller's: root directory, programs, environment.
///
/// Signals are passed on to the command, a stop of the command stops nsx, and the command does not outlive nsx. A command in a foreign pid
/// or mount namespace gets a terminal of its own.
#[derive(Args, Debug)]
pub struct EnterArgs {
    /// The process, thread or namespace to enter
    ///
    /// A container by its name or id (`web`, `docker:web`, `outer/inner`), process 7 in it (`web/7`), or a unit (`unit:ssh.service`); a
    /// PID, PID:INODE or `self`; a namespace as `net:[4026531840]`, by its inode, by the name that ip-netns(8) gave it (`netns:blue`), or
    /// by a file such as /run/netns/blue.
    #[arg(short = 't', long, value_name = "TARGET")]
    pub target: Option<Target>,

    /// Enter all namespaces in which the target is elsewhere (the default)
    #[arg(short = 'a', long)]
    pub all: bool,

    /// Enter the mount namespace
    #[arg(short = 'm', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub mount: Option<Option<PathBuf>>,

    /// Enter the UTS namespace: host name
    #[arg(short = 'u', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub uts: Option<Option<PathBuf>>,

    /// Enter the IPC namespace
    #[arg(short = 'i', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub ipc: Option<Option<PathBuf>>,

    /// Enter the network namespace
    #[arg(short = 'n', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub net: Option<Option<PathBuf>>,

    /// Enter the network namespace of a socket: descriptor FD of the target
    #[arg(short = 'N', long, value_name = "FD", conflicts_with = "net")]
    pub net_socket: Option<u32>,

    /// Enter the pid namespace
    #[arg(short = 'p', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub pid: Option<Option<PathBuf>>,

    /// Enter the cgroup namespace
    #[arg(short = 'C', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub cgroup: Option<Option<PathBuf>>,

    /// Enter the user namespace
    #[arg(short = 'U', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub user: Option<Option<PathBuf>>,

    /// Enter the parent of the user namespace, or the owner of another namespace that is entered
    #[arg(long)]
    pub user_parent: bool,

    /// Enter the time namespace
    #[arg(short = 'T', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub time: Option<Option<PathBuf>>,

    /// Run as this user, as the entered namespace counts; `follow` is the target's
    #[arg(short = 'S', long, value_name = "UID|follow", value_parser = id)]
    pub setuid: Option<Id>,

    /// Run as this group, and give up supplementary groups; `follow` is the target's
    #[arg(short = 'G', long, value_name = "GID|follow", value_parser = id)]
    pub setgid: Option<Id>,

    /// Keep user, group and supplementary groups when a user namespace is entered
    #[arg(long, conflicts_with_all = ["setuid", "setgid"])]
    pub preserve_credentials: bool,

    /// Keep the capabilities that a user namespace gives, also when the command is not root
    #[arg(long)]
    pub keep_caps: bool,

    /// Leave the command these capabilities: `target` for the target's, `none`, or a list such as net_admin,net_raw
    #[arg(long, value_name = "target|none|CAP,…", value_parser = capabilities, conflicts_with = "keep_caps")]
    pub caps: Option<Caps>,

    /// Use the target's root directory, or this one
    #[arg(short = 'r', long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub root: Option<Option<PathBuf>>,

    /// Use the target's working directory, or this one; DIR is opened before anything is entered
    #[arg(short = 'w', long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub wd: Option<Option<PathBuf>>,

    /// Use this working directory, looked up when everything is entered
    #[arg(short = 'W', long, value_name = "DIR", conflicts_with = "wd")]
    pub wdns: Option<PathBuf>,

    /// Use the target's environment
    #[arg(short = 'e', long)]
    pub env: bool,

    /// Join the target's cgroup, or fail; the default with all namespaces is to try
    #[arg(short = 'c', long)]
    pub join_cgroup: bool,

    /// Do not join the target's cgroup
    #[arg(long, conflicts_with = "join_cgroup")]
    pub no_cgroup: bool,

    /// Do not mount a fitting /proc for a pid namespace that is entered without a mount namespace
    #[arg(long)]
    pub no_proc: bool,

    /// Take the target's security context (SELinux, AppArmor)
    #[arg(short = 'Z', long)]
    pub follow_context: bool,

    /// Use the host's programs in the target's namespaces, and show its root directory at DIR (default: /mnt)
    ///
    /// For containers that have no shell. The command sees the host's files, in a mount namespace of its own, with a /proc and a /sys that
    /// fit the target; nothing is written to the target. A link below DIR with an absolute path leads to a file of the host's. Processes of
    /// the target that may trace the command reach the host's files through it.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "/mnt",
          conflicts_with_all = ["mount", "uts", "ipc", "net", "net_socket", "pid", "cgroup", "user", "user_parent", "time", "root"])]
    pub tools: Option<PathBuf>,

    /// Do not make a process for the command: nsx becomes it
    ///
    /// The command is then not in a pid namespace that is entered, only its children are, and has the caller's own terminal.
    #[arg(short = 'F', long, conflicts_with_all = ["timeout", "status_fd"])]
    pub no_fork: bool,

    /// End the command after this time with SIGTERM, and with SIGKILL when GRACE is over, too (default: 10s)
    ///
    /// Times are numbers with a unit: 1.5s, 300ms, 2m, 1h; without one, seconds.
    #[arg(long, value_name = "TIME[,GRACE]", value_parser = timeout)]
    pub timeout: Option<Timeout>,

    /// Leave this descriptor open in the command (can be repeated)
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(i32).range(0..))]
    pub keep_fd: Vec<i32>,

    /// Write what becomes of the command to this descriptor, as lines of JSON
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(i32).range(0..))]
    pub status_fd: Option<i32>,

    /// Print the steps, and do nothing
    #[arg(long)]
    pub explain: bool,

    /// With --explain: print JSON (schema nsx.enter/1)
    #[arg(short = 'J', long, requires = "explain")]
    pub json: bool,

    /// The command and its arguments (default: $SHELL, or /bin/sh, as a login shell)
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

impl EnterArgs {
    fn request(&self) -> Result<Request, UsageError> {
        let mut kinds = KindSet::NONE;
        let mut files = Vec::new();
        for (kind, option) in [
            (NsKind::Mnt, &self.mount),
            (NsKind::Uts, &self.uts),
            (NsKind::Ipc, &self.ipc),
            (NsKind::Net, &self.net),
            (NsKind::Pid, &self.pid),
            (NsKind::Cgroup, &self.cgroup),
            (NsKind::User, &self.user),
            (NsKind::Time, &self.time),
        ] {
            let Some(file) = option else { continue };
            kinds = kinds.with(kind);
            files.extend(file.clone().map(|file| (kind, NsFile::Path(file))));
        }
        if let Some(fd) = self.net_socket {
            kinds = kinds.with(NsKind::Net);
            files.push((NsKind::Net, NsFile::Socket(fd)));
        }
        let some = !kinds.is_empty() || self.user_parent;
        let is_pid = |word: &OsString| word.to_str().is_some_and(|word| word.parse::<u32>().is_ok());
        if self.target.is_none() && files.is_empty() && self.command.first().is_some_and(is_pid) {
            return Err(UsageError("no target: a process is named with -t, as in nsx enter -t PID COMMAND"));
        }
        if self.target.is_none() && files.is_empty() {
            return Err(UsageError(
                "no target: say which process with -t, or which namespace, as in --net=/run/netns/blue",
            ));
        }
        if self.tools.as_ref().is_some_and(|path| {
            let takes_away = ["/proc", "/sys", "/dev"].iter().any(|needed| path.starts_with(needed));
            let up = path.components().any(|part| part == std::path::Component::ParentDir);
            !path.is_absolute() || path.parent().is_none() || up || takes_away
        }) {
            return Err(UsageError("--tools takes the path of a directory that nothing else needs, such as /mnt"));
        }
        let place = |place: &Option<Option<PathBuf>>| {
            place.as_ref().map(|path| path.clone().map_or(Place::OfTarget, Place::Path))
        };
        Ok(Request {
            target: self.target.clone(),
            kinds: (some && !self.all || self.target.is_none()).then_some(kinds),
            files,
            user_parent: self.user_parent,
            root: place(&self.root),
            directory: place(&self.wd),
            directory_inside: self.wdns.clone(),
            uid: self.setuid,
            gid: self.setgid,
            preserve_credentials: self.preserve_credentials,
            keep_caps: self.keep_caps,
            caps: self.caps,
            environment: self.env,
            cgroup: match (self.join_cgroup, self.no_cgroup) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
            private_proc: !self.no_proc,
            tools: self.tools.clone(),
            context: self.follow_context,
            fork: !self.no_fork,
            keep_fds: self.keep_fd.clone(),
            timeout: self.timeout,
            watched: self.status_fd.is_some(),
            command: self.command.clone(),
        })
    }
}

/// Puts an equals sign where nsenter(1) needs none: `-n/run/netns/blue` becomes `-n=/run/netns/blue`. Words of the command stay.
///
/// Here letters may be combined, so only a value that starts with a slash can be told from more letters.
pub fn with_equals(definition: impl Fn() -> clap::Command, arguments: &mut [OsString]) {
    let is_glued = |word: &OsString| {
        let word = word.as_encoded_bytes();
        word.len() > 2 && word[0] == b'-' && word[1] != b'-' && word[2..].contains(&b'/')
    };
    if !arguments.iter().any(is_glued) {
        return;
    }
    let definition = definition();
    let takes_next = |name: &dyn Fn(&clap::Arg) -> bool| {
        let option = definition.get_arguments().find(|argument| name(argument));
        option.is_some_and(|option| option.get_action().takes_values() && !option.is_require_equals_set())
    };
    let mut words = arguments.iter_mut();
    while let Some(word) = words.next() {
        let Some(text) = word.to_str().map(str::to_owned) else { continue };
        if let Some(long) = text.strip_prefix("--") {
            if long.is_empty() {
                return;
            }
            if takes_next(&|argument| argument.get_long() == Some(long)) {
                words.next();
            }
            continue;
        }
        let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) else { return };
        for (at, letter) in letters.char_indices() {
            let rest = &letters[at + letter.len_utf8()..];
            if takes_next(&|argument| argument.get_short() == Some(letter)) {
                if rest.is_empty() {
                    words.next();
                }
                break;
            }
            if rest.starts_with('/') {
                *word = OsString::from(format!("-{}={rest}", &letters[..at + letter.len_utf8()]));
                break;
            }
            if rest.starts_with('=') {
                break;
            }
        }
    }
}

/// A command that could not be executed.
#[derive(Debug)]
pub struct NotExecuted {
    /// As it was typed; `None` for a shell.
    pub name: Option<String>,
    /// Why not.
    pub error: SysError,
    /// Whether it is there, and its interpreter is not.
    pub uninterpreted: bool,
    /// Where it was looked for, if not in the caller's root directory: a text that begins with a space.
    pub place: &'static str,
}

impl NotExecuted {
    /// Says whether there is no such command.
    pub fn is_absent(&self) -> bool {
        !self.uninterpreted && matches!(self.error.errno, Errno::ENOENT | Errno::ENOTDIR)
    }
}

impl std::fmt::Display for NotExecuted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inside = self.place;
        match &self.name {
            Some(name) if self.is_absent() && !name.contains('/') => {
                write!(f, "cannot find {name} on PATH{inside}: {}", self.error)
            }
            Some(name) if self.uninterpreted => {
                write!(f, "cannot execute {name}{inside}: its interpreter is not there: {}", self.error)
            }
            Some(name) => write!(f, "cannot execute {name}{inside}: {}", self.error),
            None => write!(f, "cannot find a shell{inside}: {}", self.error),
        }
    }
}

impl std::error::Error for NotExecuted {}

/// Runs the command.
///
/// # Errors
/// Where it could not be started.
pub fn run(args: &EnterArgs, global: &Global, ui: &Ui) -> anyhow::Result<Exit> {
    let request = args.request()?;
    let status = Status(args.status_fd.filter(|_| !args.explain));
    let outcome = enter(args, &request, global, ui, &status);
    match &outcome {
        Ok(_) => {}
        Err(error) => status.say(&serde_json::json!({
            "event": "failed", "code": super::exit_code(error).code(), "error": format!("{error:#}"),
        })),
    }
    outcome
}

fn enter(args: &EnterArgs, request: &Request, global: &Global, ui: &Ui, status: &Status) -> anyhow::Result<Exit> {
    keep_only(&request.keep_fds, args.status_fd)?;
    let cannot_read = |error| EnterError::Failed("cannot look for the target".to_owned(), error);
    let proc = ProcRoot::open(&global.proc_root).map_err(cannot_read)?;
    if !proc.is_own_pid_ns() {
        return Err(advice::NotOwnProc { doing: "enter", path: global.proc_root.clone() }.into());
    }
    let prepared = prepare(&proc, request)?;
    if args.explain {
        let explained = explained(&prepared)?;
        let json = args.json;
        ui.stdout(|to| if json { explain::json(&explained, to) } else { explain::text(&explained, ui.color, to) })?;
        return Ok(Exit::Done);
    }
    for note in &prepared.plan.warnings {
        ui::note(note);
    }
    let ended = prepared.run(&mut |event| match event {
        Event::Started(pid) => {
            if let Some(path) = &request.tools {
                ui::note(&format!("the target's root directory is at {}", path.display()));
            }
            status.say(&serde_json::json!({ "event": "started", "pid": pid }));
        }
        Event::Note(note) => ui::note(&note),
    })?;
    Ok(match ended {
        Ended::Exited(code) => {
            status.say(&serde_json::json!({ "event": "exited", "code": code, "signal": null, "timeout": false }));
            Exit::Command(code as u8)
        }
        Ended::TimedOut => {
            let code = Exit::TimedOut.code();
            status.say(&serde_json::json!({ "event": "exited", "code": code, "signal": null, "timeout": true }));
            Exit::TimedOut
        }
        Ended::Killed(number) => {
            status.say(&serde_json::json!({ "event": "exited", "code": null, "signal": number, "timeout": false }));
            signal::die_by(number);
            // Only a first process of a pid namespace survives that; it says what a shell would.
            Exit::Command(128u8.wrapping_add(number as u8))
        }
        Ended::NotExecuted(error) | Ended::NotInterpreted(error) => {
            let name = request.command.first().map(|name| name.to_string_lossy().escape_debug().to_string());
            let other_root = prepared.plan.other_root && request.tools.is_none();
            let place = if other_root { " in the target's root directory" } else { "" };
            return Err(NotExecuted { name, error, uninterpreted: false, place }.into());
        }
    })
}

/// Where to say what becomes of the command.
pub(super) struct Status(pub(super) Option<i32>);

impl Status {
    pub(super) fn say(&self, event: &serde_json::Value) {
        if let Some(fd) = self.0 {
            match spawn::write_to(fd, format!("{event}\n").as_bytes()) {
                Ok(()) => {}
                // Whoever has closed it does not want to know, and what is wrong with it has been said before. The command goes on.
                Err(error) if matches!(error.errno, Errno::EPIPE | Errno::EBADF) => {}
                Err(error) => ui::note(&format!("cannot say what becomes of the command: {error}")),
            }
        }
    }
}

fn explained(prepared: &Prepared<'_>) -> Result<Explained, EnterError> {
    let calls = prepared.calls()?;
    let steps = prepared.plan.steps.iter().zip(calls).map(|(step, calls)| ExplainedStep {
        who: step.who.to_string(),
        calls,
        why: step.why.clone(),
    });
    let target = prepared.facts.target.as_ref();
    Ok(Explained {
        pid: target.map(|target| target.pid),
        pidfd: target.is_some_and(|target| target.pidfd),
        entered: prepared.plan.entered,
        forks: prepared.plan.forks,
        terminal: prepared.plan.terminal,
        steps: steps.collect(),
        notes: prepared.plan.notes.iter().chain(&prepared.plan.warnings).cloned().collect(),
        command: prepared.request.command.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_glued_to_their_letter_get_an_equals_sign() {
        let definition = || EnterArgs::augment_args(clap::Command::new("enter"));
        for (typed, meant) in [
            ("-n/run/netns/blue ip a", "-n=/run/netns/blue ip a"),
            ("-mn/x -t 1 -u=/y true", "-mn=/x -t 1 -u=/y true"),
            ("-t 1 -n sh -c/x", "-t 1 -n sh -c/x"),
            ("-W/x -n/y", "-W/x -n=/y"),
            ("--wdns /x -n/y", "--wdns /x -n=/y"),
            ("--net=/x -r/y -- -n/z", "--net=/x -r=/y -- -n/z"),
            ("-t/proc/7/ns/net ls", "-t/proc/7/ns/net ls"),
        ] {
            let mut words: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
            with_equals(definition, &mut words);
            assert_eq!(words.join(std::ffi::OsStr::new(" ")), OsString::from(meant));
        }
    }
}
