//! The calls that make the places of a sandbox: its root directory, what is mounted in it, its /dev, its working directory.

use std::os::fd::AsFd;

use super::{Compiler, DATA, DEVICES, PLAIN, ROOT, SHOWN, inside, known, path};
use crate::launch::EnterError;
use crate::launch::run::steps::{Action, Origin};
use crate::sys::calls::mounts::{MountAttributes, MountTree};
use crate::sys::program::{Otherwise, Slot};

impl Compiler<'_> {
    /// A new file system, and, where it may not be made so, the one that is there, to be shown if nothing else helps.
    pub(super) fn take(&mut self, kind: &str, attributes: MountAttributes, slot: Slot, made: Slot, shared: bool) {
        let program = &mut self.program;
        let there = known(if kind == "proc" { "/proc" } else { "/sys" });
        program.set(made, 1);
        if shared {
            program.open_tree(&there, true, slot, Otherwise::Stop);
            program.set_attributes(slot, attributes);
            return;
        }
        let start = program.here();
        // The place of what comes after the jump below.
        let instead = start + 5;
        program.make_file_system(&known(kind), None, attributes, slot, Otherwise::GoTo(instead));
        (start..program.here()).for_each(|place| program.be_quiet(place));
        let done = program.jump();
        program.aside(true);
        program.set(made, 0);
        program.open_tree(&there, true, slot, Otherwise::Stop);
        program.set_attributes(slot, attributes);
        program.aside(false);
        program.patch(done, program.here());
    }

    /// Attaches it. What could not be made before is made by mount(2), which other filters refuse than fsopen(2); where that may not be
    /// either, because parts of the present one are hidden, that is shown, and it is said.
    pub(super) fn put(&mut self, kind: &str, attributes: MountAttributes, slot: Slot, made: Slot) {
        let program = &mut self.program;
        let at = known(if kind == "proc" { "/proc" } else { "/sys" });
        let is_made = program.jump_if(made, 1);
        program.aside(true);
        let mount = program.here();
        program.mount(&known(kind), &at, attributes, &known(""), Otherwise::GoOn);
        program.close_slot(slot);
        let done = program.jump();
        program.aside(false);
        program.patch(is_made, program.here());
        program.patch(mount, program.here());
        program.attach(MountTree::Slot(slot), &at, Otherwise::Stop);
        program.patch(done, program.here());
    }

    pub(super) fn change_root(&mut self) -> Result<(), EnterError> {
        let held = self.plan.steps.iter().find_map(|step| match &step.action {
            Action::TakeRoot { origin: Origin::Held(place), .. } => Some(*place),
            _ => None,
        });
        let memory = self.plan.steps.iter().find_map(|step| match &step.action {
            Action::MakeRoot { shown, links, .. } => Some((shown, links)),
            _ => None,
        });
        let program = &mut self.program;
        if memory.is_some() {
            // Made only now, so that it belongs to root inside.
            let option = (&known("mode"), &known("755"));
            program.make_file_system(&known("tmpfs"), Some(option), PLAIN, ROOT, Otherwise::Stop);
        }
        match held.and_then(|place| self.wiring.trees.get(place)) {
            Some(tree) => program.change_root(MountTree::Fd(tree.as_fd())),
            None => program.change_root(MountTree::Slot(ROOT)),
        }
        let Some((shown, links)) = memory else { return Ok(()) };
        for (name, to) in links {
            program.make_link(&path(to)?, &inside(name)?);
        }
        for (place, (name, directory)) in shown.iter().enumerate() {
            let at = inside(name)?;
            match directory {
                true => program.make_directory(&at, 0o755),
                false => program.make_file(&at),
            }
            program.attach(MountTree::Slot(Slot(SHOWN + place as u16)), &at, Otherwise::Stop);
        }
        Ok(())
    }

    pub(super) fn make_dev(&mut self, devices: &[&'static str], tty_group: bool, mqueue: bool) {
        let program = &mut self.program;
        let attributes = MountAttributes { nosuid: true, noexec: true, ..MountAttributes::default() };
        program.set_umask(0);
        program.mount(&known("tmpfs"), &known("/dev"), attributes, &known("mode=755,size=64k"), Otherwise::Stop);
        for (place, name) in devices.iter().enumerate() {
            let at = known(&format!("/dev/{name}"));
            program.make_file(&at);
            program.attach(MountTree::Slot(Slot(DEVICES + place as u16)), &at, Otherwise::Stop);
        }
        let folders = ["/dev/pts", "/dev/shm", "/dev/mqueue"];
        for folder in folders.iter().filter(|folder| mqueue || **folder != "/dev/mqueue") {
            program.make_directory(&known(folder), 0o755);
        }
        for (name, to) in [
            ("/dev/fd", "/proc/self/fd"),
            ("/dev/stdin", "/proc/self/fd/0"),
            ("/dev/stdout", "/proc/self/fd/1"),
            ("/dev/stderr", "/proc/self/fd/2"),
            ("/dev/ptmx", "pts/ptmx"),
        ] {
            program.make_link(&known(to), &known(name));
        }
        // The devices, too: they are the host's, and can be written to all the same, but not changed in whose they are. What is hidden behind
        // one of them gets this from it.
        program.set_attributes_below(&known("/dev"), MountAttributes { read_only: true, ..attributes });
        let group = if tty_group { ",gid=5" } else { "" };
        let options = known(&format!("newinstance,ptmxmode=0666,mode=620{group}"));
        program.mount(&known("devpts"), &known("/dev/pts"), attributes, &options, Otherwise::Stop);
        program.mount(&known("tmpfs"), &known("/dev/shm"), PLAIN, &known("mode=1777"), Otherwise::Stop);
        if mqueue {
            program.mount(&known("mqueue"), &known("/dev/mqueue"), DATA, &known(""), Otherwise::GoOn);
        }
        program.set_umask(0o022);
    }

    pub(super) fn change_directory(&mut self, paths: &[Vec<u8>], required: bool) -> Result<(), EnterError> {
        if !self.request.init {
            self.put_terminal();
        }
        let program = &mut self.program;
        program.chdir_root();
        let mut done = Vec::new();
        for (place, directory) in paths.iter().enumerate() {
            if required && place == 0 {
                program.chdir(&path(directory)?, Otherwise::Stop);
                program.check_directory(Otherwise::Stop);
                break;
            }
            done.push(program.chdir_or_next(&path(directory)?));
        }
        for jump in done {
            program.patch(jump, program.here());
        }
        Ok(())
    }
}
