//! The steps that make what is seen inside: taking it from the host, attaching it below a new root directory, hiding what tells of the host.

use super::{Maker, created};
use crate::launch::run::request::Root;
use crate::launch::run::steps::{Action, MapWriter, MountPoint, Origin, RootFacts, Who};
use crate::model::{KindSet, NsKind};

impl Maker<'_> {
    pub(super) fn take(&mut self) {
        self.who = Who::Init;
        if let MapWriter::Itself { uids, gids } = &self.facts.maps {
            let action = Action::WriteOwnMap { uids: uids.clone(), gids: gids.clone() };
            self.step(
                action,
                "the caller's own id is the only one that it may map; setgroups(2) has to be given up for it",
            );
        }
        // With a user namespace the kernel does that itself, see mount_namespaces(7), "Restrictions on mount namespaces".
        if !created(self.request).contains(NsKind::User) && !self.copies() {
            self.step(
                Action::KeepMountsInside,
                "mounts of a new mount namespace still belong to the groups of the host's",
            );
        }
        let read_only = match &self.request.root {
            Root::Host { .. } => true,
            Root::Directory { read_only, .. } => *read_only,
        };
        match &self.facts.root {
            RootFacts::Tree(_) if self.copies() => {
                let why = "a mount namespace of its own, whose root it is from the start: pivot_root(2) would look at every process of the host";
                self.step(Action::EnterCopy, why);
            }
            RootFacts::Tree(origin) => {
                let why = if read_only {
                    "nothing is written to it, no suid program and no device node works in it"
                } else {
                    "no suid program and no device node works in it"
                };
                self.step(Action::TakeRoot { origin: origin.clone(), read_only }, why);
            }
            RootFacts::InMemory { shown, links } => {
                let action = Action::MakeRoot { read_only, shown: shown.clone(), links: links.clone() };
                self.step(action, "what is shown in / needs a directory there, and the host's is not to be written to");
            }
        }
        let pid = created(self.request).contains(NsKind::Pid);
        let why = if pid {
            "shows the processes of the new pid namespace; made while the host's is in sight, which the kernel asks for"
        } else {
            "the pid namespace is the caller's, and so is its /proc"
        };
        self.step(Action::TakeProc { shared: !pid }, why);
        if self.facts.sys {
            let net = created(self.request).contains(NsKind::Net);
            let why = if net {
                "shows the devices of the new network namespace"
            } else {
                "the network namespace is not new, and so is its /sys"
            };
            self.step(Action::TakeSys { shared: !net }, why);
        }
        self.step(Action::TakeDevices(self.facts.devices.clone()), "those that every program expects");
        for (index, bind) in self.facts.binds.iter().enumerate() {
            if let Origin::Path(source) = &bind.origin {
                let read_only = self.request.binds[index].read_only;
                self.step(Action::TakeBind { index, source: source.clone(), read_only }, "as asked for");
            }
        }
    }

    pub(super) fn mounts(&mut self, created: KindSet) {
        if self.copies() {
            let why = "nothing is written to it, no suid program and no device node works in it; devices have been taken before";
            self.step(Action::ProtectCopy, why);
        } else {
            let why =
                "with pivot_root(2), so that no way leads back; from here on nothing of the host's can be reached";
            self.step(Action::ChangeRoot, why);
        }
        self.step(Action::MountProc, "programs look for processes there");
        if self.facts.sys {
            self.step(Action::MountSys, "programs look for devices there");
        }
        let mqueue = created.contains(NsKind::Ipc);
        let action = Action::MountDev { devices: self.facts.devices.clone(), tty_group: self.facts.tty_group, mqueue };
        self.step(action, "a few device nodes, terminals of its own, shared memory; read-only in the end");
        for (path, mode) in &self.facts.private {
            let action = Action::MountTmpfs { path: path.clone(), mode: *mode, size_bytes: None, make: Vec::new() };
            self.step(action, "private");
        }
        if !self.facts.make_home.is_empty() {
            let (uid, gid) = (self.facts.user.uid, self.facts.user.gid);
            self.step(
                Action::MakeHome { paths: self.facts.make_home.clone(), uid, gid },
                "programs expect a home that they can write to",
            );
        }
        for (tmpfs, make) in self.request.tmpfs.iter().zip(&self.facts.tmpfs) {
            use std::os::unix::ffi::OsStrExt;
            let path = tmpfs.target.as_os_str().as_bytes().to_vec();
            self.step(
                Action::MountTmpfs { path, mode: 0o1777, size_bytes: tmpfs.size_bytes, make: make.clone() },
                "as asked for",
            );
        }
        for (index, (bind, facts)) in self.request.binds.iter().zip(&self.facts.binds).enumerate() {
            use std::os::unix::ffi::OsStrExt;
            let action = Action::AttachBind {
                index,
                origin: facts.origin.clone(),
                target: bind.target.as_os_str().as_bytes().to_vec(),
                make: facts.make.clone(),
                point: facts.point,
            };
            let why = if facts.point == MountPoint::There {
                "as asked for"
            } else {
                "as asked for; what it is attached to has to be made"
            };
            self.step(action, why);
        }
        if matches!(self.facts.root, RootFacts::InMemory { .. }) {
            self.step(Action::SealRoot, "everything that it needs is made");
        }
    }

    pub(super) fn masks(&mut self) {
        if self.request.mask {
            for &(path, directory) in &self.facts.sensitive.masked {
                self.step(Action::Mask { path, directory }, "tells of the host");
            }
            for &path in &self.facts.sensitive.read_only {
                self.step(Action::Protect(path), "sets what counts for the host");
            }
        }
    }
}
