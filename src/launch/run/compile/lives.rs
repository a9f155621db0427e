//! The calls that the processes of a sandbox live by: how the command's comes to be and becomes the command, what the first process and the
//! stub do until they end.

use std::os::fd::{AsFd, BorrowedFd};

use super::{ANSWER, COMMAND, Compiler, ENDED, FAR, FIRST_PID, PAUSES_MS, PIDFD, STATUS, known};
use crate::launch::EnterError;
use crate::launch::surroundings::{Surroundings, candidates};
use crate::model::{CapSet, NsKind};
use crate::sandbox::nsx::INIT;
use crate::sys::program::{Otherwise, Slot};

impl Compiler<'_> {
    pub(super) fn fork(&mut self) {
        let program = &mut self.program;
        // Nobody inside looks into the first process: its memory is of the user namespace that the stub was started in. The command gets
        // this back by execve(2).
        program.forbid_tracing();
        self.fork = Some(program.fork());
        // From here on it is the command's process.
        program.new_group();
        self.put_terminal();
    }

    pub(super) fn put_terminal(&mut self) {
        if let Some((_, _, streams)) = self.wiring.terminal {
            self.program.foreground_of(FAR);
            for stream in (0..3).filter(|stream| streams[*stream]) {
                self.program.put_in_place(FAR, stream as i32);
            }
        }
    }

    pub(super) fn exec(&mut self, surroundings: &Surroundings) -> Result<(), EnterError> {
        let wiring = self.wiring;
        let program = &mut self.program;
        let environment = program.strings(&surroundings.environment);
        let candidates = candidates(&self.request.command, surroundings, false, None)?;
        program.say_ready(wiring.report);
        if wiring.ignores_children {
            program.ignore_children();
        }
        program.set_mask(wiring.mask);
        let mut held = vec![wiring.report, wiring.release, wiring.lifeline, wiring.executed];
        held.extend(wiring.net);
        held.extend(wiring.cgroups.iter().map(|(parent, _)| *parent));
        held.extend(wiring.locks.iter().copied().chain(wiring.trees.iter().map(AsFd::as_fd)));
        program.close_at_exec(&held);
        let last = candidates.len();
        let mut scripts = Vec::new();
        for (place, (file, words)) in candidates.iter().enumerate() {
            let strings = program.strings(words);
            let otherwise = if place + 1 == last { Otherwise::Stop } else { Otherwise::GoOn };
            scripts.push(program.exec_or_interpret(file, strings, environment, otherwise));
        }
        // A script without an interpreter line is the shell's, as for execvp(3).
        program.aside(true);
        let shell = known("/bin/sh");
        for ((file, words), place) in candidates.iter().zip(scripts) {
            program.patch(place, program.here());
            let mut all = vec![known("sh"), file.clone()];
            all.extend(words.iter().skip(1).cloned());
            let strings = program.strings(&all);
            program.exec(&shell, strings, environment, Otherwise::Stop);
        }
        program.aside(false);
        Ok(())
    }

    /// The life of the first process.
    pub(super) fn serve(&mut self) {
        const SIGCHLD: u64 = 17;
        let (wiring, program) = (self.wiring, &mut self.program);
        if let Some(fork) = self.fork {
            program.patch(fork, program.here());
        }
        program.copy(Slot::FIRST, COMMAND);
        program.set_name(INIT);
        let kept: Vec<BorrowedFd<'_>> = [wiring.report].into_iter().chain(wiring.locks.iter().copied()).collect();
        program.close_others(&kept, &self.request.keep_fds);
        if wiring.terminal.is_some() {
            program.close_slot(FAR);
        }
        program.set_caps(CapSet::KILL, CapSet::EMPTY);
        program.set(ENDED, u64::from(STATUS) << 32);
        let look = program.here();
        // The calls below have these places, counted from `look`.
        let (wait, ours) = (look + 4, look + 8);
        program.look_for_child(Slot::FIRST, ENDED, wait);
        let nobody = program.jump_if(Slot::FIRST, 0);
        program.patch(nobody, wait);
        let is_ours = program.jump_if_same(Slot::FIRST, COMMAND);
        program.patch(is_ours, ours);
        let again = program.jump();
        program.patch(again, look);
        debug_assert_eq!(program.here(), wait);
        program.wait_for_signal(!0, Slot::SECOND);
        let child = program.jump_if(Slot::SECOND, SIGCHLD);
        program.patch(child, look);
        program.pass_signal(COMMAND, false, Slot::SECOND);
        let again = program.jump();
        program.patch(again, wait);
        debug_assert_eq!(program.here(), ours);
        program.tell(wiring.report, ENDED);
        let stopped = program.jump_if_masked(ENDED, 0xff, 0x7f);
        program.patch(stopped, look);
        if self.request.share.contains(NsKind::Pid) {
            // Nobody else ends those who are left.
            program.set(Slot::SECOND, 9);
            program.pass_signal(COMMAND, true, Slot::SECOND);
        }
        program.exit(0);
    }

    /// The life of the stub once the first process is there.
    pub(super) fn clean_up(&mut self) {
        const KILL: i32 = 9;
        const TERM: i32 = 15;
        const SECOND_NSEC: u64 = 1_000_000_000;
        let (wiring, program) = (self.wiring, &mut self.program);
        if let Some(clone) = self.clone {
            program.patch(clone, program.here());
        }
        program.copy(Slot::FIRST, FIRST_PID);
        // Not before: the id maps of its child could not be written. By this `sandbox::nsx` knows it.
        program.forbid_tracing();
        let mut kept: Vec<BorrowedFd<'_>> = vec![wiring.lifeline];
        kept.extend(wiring.removal.iter().map(|(parent, _)| *parent));
        kept.extend(wiring.locks);
        kept.extend(wiring.screen.map(|(screen, _)| screen));
        program.close_others(&kept, &self.request.keep_fds);
        if self.request.detach {
            match self.request.timeout {
                Some(timeout) => {
                    let nsec = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                    program.wait_for_process(PIDFD, Some(nsec(timeout.after)), ANSWER);
                    let ended = program.jump_if(ANSWER, 1);
                    program.signal_pidfd(PIDFD, TERM);
                    program.wait_for_process(PIDFD, Some(nsec(timeout.grace)), ANSWER);
                    program.patch(ended, program.here());
                }
                None => program.wait_for_process(PIDFD, None, ANSWER),
            }
        } else {
            program.wait_for_end(wiring.lifeline);
            if let Some((screen, settings)) = wiring.screen {
                program.set_terminal(screen, settings);
            }
        }
        program.signal_pidfd(PIDFD, KILL);
        program.wait_for_process(PIDFD, Some(SECOND_NSEC), ANSWER);
        let ended = program.jump_if(ANSWER, 1);
        // It is still there, and so its pid is its own.
        program.kill_slot(FIRST_PID);
        program.wait_for_process(PIDFD, Some(10 * SECOND_NSEC), ANSWER);
        program.patch(ended, program.here());
        if let Some(early) = self.ended {
            program.patch(early, program.here());
        }
        for (parent, name) in wiring.removal {
            let mut done = Vec::new();
            for pause in PAUSES_MS {
                program.aside(pause > 0);
                if pause > 0 {
                    program.sleep(pause * 1_000_000);
                }
                let next = program.here() + 2;
                program.remove_directory(*parent, name);
                program.patch(next - 2, next);
                done.push(program.jump());
            }
            program.aside(false);
            for jump in done {
                program.patch(jump, program.here());
            }
        }
        program.exit(0);
    }
}
