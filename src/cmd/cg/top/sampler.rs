//! Pictures of the cgroups, taken by a thread on the side: where there are thousands, keys are not to wait for that.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, mpsc};

use super::super::Opened;
use super::Scope;
use crate::cgroup::Sample;
use crate::sys::{Call, Errno, SysError};

type Taken = Result<Sample, Errno>;

/// Takes a picture when it is asked to.
pub(super) struct Sampler {
    opened: Arc<Opened>,
    scope: Arc<Scope>,
    /// `None` where no thread may be made: pictures are taken by whoever asks then.
    thread: Option<mpsc::Sender<()>>,
    answer: mpsc::Sender<Taken>,
    answers: mpsc::Receiver<Taken>,
    said: PipeReader,
    say: PipeWriter,
    busy: bool,
}

impl Sampler {
    /// Starts the thread.
    pub(super) fn start(opened: &Arc<Opened>, scope: &Arc<Scope>) -> Result<Sampler, SysError> {
        let no_pipe = |error: std::io::Error| {
            SysError::new(Call::Pipe, Errno::from_raw(error.raw_os_error().unwrap_or_default()))
        };
        let (said, say) = std::io::pipe().map_err(no_pipe)?;
        let (ask, asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let mut thread_say = say.try_clone().map_err(no_pipe)?;
        let (thread_answer, thread_opened, thread_scope) = (answer.clone(), Arc::clone(opened), Arc::clone(scope));
        let work = move || {
            while let Ok(()) = asked.recv() {
                let taken = thread_scope.take(&thread_opened);
                // Nobody is there any more who would want it.
                if thread_answer.send(taken).is_err() || thread_say.write_all(&[0]).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("sampler".to_owned()).spawn(work).ok().map(|_| ask);
        Ok(Sampler {
            opened: Arc::clone(opened),
            scope: Arc::clone(scope),
            thread,
            answer,
            answers,
            said,
            say,
            busy: false,
        })
    }

    /// Asks for a picture, unless one is on its way.
    pub(super) fn ask(&mut self) {
        if std::mem::replace(&mut self.busy, true) {
            return;
        }
        if self.thread.as_ref().is_none_or(|thread| thread.send(()).is_err()) {
            // The channel and the pipe have room, and their other ends are here.
            let _ = self.answer.send(self.scope.take(&self.opened));
            let _ = self.say.write_all(&[0]);
        }
    }

    /// Says whether a picture is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Returns the picture, if it has come.
    pub(super) fn take(&mut self) -> Option<Taken> {
        let taken = self.answers.try_recv().ok()?;
        // Who has answered says so right afterwards.
        let _ = self.said.read_exact(&mut [0]);
        self.busy = false;
        Some(taken)
    }
}

impl AsFd for Sampler {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.said.as_fd()
    }
}
