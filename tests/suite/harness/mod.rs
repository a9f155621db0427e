//! What all tests share: running nsx, declaring needs, fixtures that clean up after themselves.

pub mod cgroup;
pub mod declare;
pub mod engines;
pub mod enter;
pub mod events;
pub mod fake;
pub mod fixture;
pub mod group;
pub mod held;
pub mod job_control;
pub mod processes;
pub mod report;
pub mod running;
pub mod sandbox;
mod schema;
pub mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use nix::libc;
use serde_json::Value;

pub use declare::{Module, Need, Place, Test, disks, is_cgroup2, linux_before, quiet, test};
pub use schema::{document, event};

/// Returns the nsx that was built for this test, in a place that every user can run it from.
pub fn nsx_path() -> &'static Path {
    static PLACE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
        use std::os::unix::fs::PermissionsExt;
        let built = std::env::var_os("NSX_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_nsx").into());
        let folder = tempfile::Builder::new().prefix("nsx-test-").tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let copy = folder.path().join("nsx");
        std::fs::copy(built, &copy).expect("a copy of nsx");
        // A child that another test has just made may still have the file open for writing; later ones cannot.
        let is_busy = || {
            Command::new(&copy)
                .arg("--version")
                .output()
                .is_err_and(|error| error.raw_os_error() == Some(libc::ETXTBSY))
        };
        while is_busy() {
            std::thread::yield_now();
        }
        (folder, copy)
    });
    // The folder lives in a static, which is never dropped: the process removes it at its end.
    &PLACE.1
}

/// Removes what [`nsx_path`] made; called when all tests are done.
pub fn clean_up() {
    if let Some(folder) = nsx_path().parent() {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// nsx with these arguments, an empty standard input, and an environment that says nothing of colours.
pub fn nsx(arguments: &[&str]) -> Command {
    let mut command = Command::new(nsx_path());
    command.args(arguments).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "TERM", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// What a command has printed, as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8 and nothing else")
}

/// Makes sure that what was printed is fit for a terminal: UTF-8, and no control character but the end of a line.
pub fn fit(printed: &[u8]) -> String {
    let text = String::from_utf8(printed.to_vec()).expect("UTF-8");
    for character in text.chars() {
        let harmless = character == '\n'
            || !(character.is_control()
                || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}'));
        assert!(harmless, "{character:?} in {text}");
    }
    text
}

/// Runs nsx, which must succeed, and returns its standard output.
pub fn run(arguments: &[&str]) -> String {
    let output = output(&mut nsx(arguments));
    assert!(output.status.success(), "nsx {arguments:?}: {}: {}", output.status, text(&output.stderr));
    text(&output.stdout)
}

/// Runs nsx, which must fail with this code and print nothing on standard output, and returns its standard error.
pub fn fails(arguments: &[&str], code: i32) -> String {
    let output = output(&mut nsx(arguments));
    assert_eq!(output.status.code(), Some(code), "nsx {arguments:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "", "nsx {arguments:?}");
    text(&output.stderr)
}

thread_local! {
    /// The backend that the test of this thread is about.
    static BACKEND: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

/// Runs a test whose every [`ls_json`] is by this backend.
pub fn by_backend(backend: &'static str, test: fn()) {
    // The thread has other tests to run after this one, also where it fails.
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            BACKEND.set(None);
        }
    }
    BACKEND.set(Some(backend));
    let _back = Back;
    test();
}

/// Runs `nsx ls --json` with more arguments, and returns the document after holding it against its schema.
pub fn ls_json(arguments: &[&str]) -> Value {
    let mut all = vec!["ls", "--json"];
    let backend = BACKEND.get();
    all.extend(backend.iter().flat_map(|backend| ["--backend", backend]));
    all.extend(arguments);
    let document = document(&run(&all));
    assert!(backend.is_none_or(|backend| document["backend"] == backend), "{}", document["backend"]);
    document
}

/// Returns the namespace with this inode from a document.
pub fn namespace(document: &Value, inode: u64) -> &Value {
    document["namespaces"]
        .as_array()
        .and_then(|all| all.iter().find(|namespace| namespace["ns"] == inode))
        .unwrap_or_else(|| panic!("namespace {inode} is not in {document:#}"))
}

/// Returns one way of being held of a namespace.
pub fn held_by<'a>(namespace: &'a Value, kind: &str) -> &'a Value {
    namespace["held_by"]
        .as_array()
        .and_then(|ways| ways.iter().find(|way| way["kind"] == kind))
        .unwrap_or_else(|| panic!("not held by {kind}: {namespace:#}"))
}

/// Returns the inode of a namespace of a process.
pub fn inode_of(pid: u32, kind: &str) -> u64 {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a link");
    inode_in(&link.to_string_lossy())
}

/// Returns the number in a text such as `net:[4026531840]`.
pub fn inode_in(link: &str) -> u64 {
    let digits: String = link.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{link} is no namespace"))
}

/// Returns the child of a process that is nsx, as soon as there is one.
pub fn child_of(parent: u32) -> u32 {
    let is_child = |pid: u32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        // strace tries things out with children of its own before.
        nsx::proc::parse::stat(&stat).is_some_and(|stat| stat.ppid.0 == parent && stat.comm == b"nsx")
    };
    loop {
        let processes = std::fs::read_dir("/proc").expect("/proc");
        let mut pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        if let Some(child) = pids.find(|&pid| is_child(pid)) {
            return child;
        }
        let stat = std::fs::read(format!("/proc/{parent}/stat")).unwrap_or_default();
        let parent_now = nsx::proc::parse::stat(&stat);
        assert!(parent_now.is_some_and(|stat| !stat.exiting), "{parent} has gone without a child");
    }
}

/// Returns a path in the source tree.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a committed file with what it has to be, or writes it: `NSX_BLESS=1`. `module` is the one that does.
pub fn committed(path: &str, content: &str, module: &str) {
    let file = source(path);
    if std::env::var_os("NSX_BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, content).expect("written");
        return;
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        there == content,
        "{path} is not what the code says; write it with: NSX_BLESS=1 cargo test --test suite {module}"
    );
}
