//! Output that has nowhere to go, and descriptors that are closed.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use super::harness::{Module, Place, nsx, output, test, text};

pub fn module() -> Module {
    let tests = vec![
        test("streams::a_closed_pipe_is_success", &[], closed_pipe),
        test("streams::a_full_disk_is_an_error", &[], full_disk),
        test("streams::closed_descriptors_harm_nothing", &[], closed_descriptors),
        test("streams::standard_error_that_is_closed_harms_nothing", &[], closed_stderr),
    ];
    Module { name: "streams", places: &[Place::Vm], tests }
}

fn closed_pipe() {
    // The reader has gone before anything is written.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let closed = output(nsx(&["ls", "--json"]).stdout(writer).stderr(Stdio::piped()));
    assert_eq!(closed.status.code(), Some(0));
    assert!(!text(&closed.stderr).contains("nsx: cannot"), "{}", text(&closed.stderr));
    // It goes in the middle of the output.
    let mut child =
        nsx(&["ls", "--json", "--members"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("nsx");
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut [0; 10]).expect("the start");
    drop(out);
    assert_eq!(child.wait().expect("nsx").code(), Some(0));
    // Help has the same right.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(output(nsx(&["ls", "--help"]).stdout(writer)).status.code(), Some(0));
}

fn full_disk() {
    for arguments in [&["ls"][..], &["ls", "--json"], &["ls", "--columns"]] {
        let full = std::fs::File::create("/dev/full").expect("/dev/full");
        let failed = output(nsx(arguments).stdout(full).stderr(Stdio::piped()));
        assert_eq!(failed.status.code(), Some(1), "{arguments:?}");
        let error = text(&failed.stderr);
        assert!(error.contains("write(stdout): No space left on device (ENOSPC)"), "{arguments:?}: {error}");
    }
}

fn closed_descriptors() {
    for closed in [&[0][..], &[1], &[2], &[0, 1, 2]] {
        let mut command = nsx(&["ls", "--json"]);
        let closed: Vec<i32> = closed.to_vec();
        let keep = closed.clone();
        // SAFETY: between fork and exec only close(2) is called.
        unsafe {
            command.pre_exec(move || {
                for &fd in &keep {
                    nix::libc::close(fd);
                }
                Ok(())
            });
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let done = output(&mut command);
        assert_eq!(done.status.code(), Some(0), "without {closed:?}");
        // What would have gone to a closed descriptor goes nowhere, and never into a file that got its number.
        assert_eq!(done.stdout.is_empty(), closed.contains(&1), "without {closed:?}");
        if !closed.contains(&1) {
            super::harness::document(&text(&done.stdout));
        }
    }
}

fn closed_stderr() {
    let mut command = nsx(&["ls", "-p", "4194305"]);
    // SAFETY: between fork and exec only close(2) is called.
    unsafe {
        command.pre_exec(|| {
            nix::libc::close(2);
            Ok(())
        });
    }
    assert_eq!(output(&mut command).status.code(), Some(1), "the exit code says it all the same");
}
