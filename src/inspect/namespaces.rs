//! The namespaces of a process, and how each relates to the host's, to the caller's, and to that of the parent process.

use std::os::fd::AsFd;

use super::Looker;
use crate::model::isolation::{Membership, Part};
use crate::model::{NsArray, NsId, NsKind, Pid};
use crate::proc::ProcRoot;
use crate::proc::root::{for_children_name, link_name, read_ns_link};
use crate::sys::dir::ShortPath;
use crate::sys::nsfs;

impl Looker<'_> {
    pub(super) fn namespaces(&mut self, ppid: Pid) -> Vec<Membership> {
        let Some(links) = self.see(Part::Namespaces, self.process.ns_dir()) else { return Vec::new() };
        let own = self.root.own_process().and_then(|own| own.namespaces()).ok();
        let parents = self.parents(ppid);
        let first = first_by_kthreadd(self.root);
        let mut all = Vec::new();
        for kind in NsKind::ALL {
            let id = match read_ns_link(links.as_fd(), link_name(kind)) {
                Ok(Some(name)) if name.kind == kind => Some(name.id),
                // The kernel lacks the kind, or a zombie has let go of it.
                Ok(_) => continue,
                Err(errno) => self.see(Part::Namespaces, Err(errno)),
            };
            let same = |others: Option<NsArray>| others?[kind.index()].zip(id).map(|(other, id)| other == id);
            let mut namespace = Membership {
                kind,
                id,
                initial: id.and_then(|id| kind.is_initial_inode(id)),
                callers: same(own),
                parents: same(parents),
                owner: None,
                parent: None,
                owner_uid: None,
                for_children: None,
            };
            if let Some(name) = for_children_name(kind) {
                let children = read_ns_link(links.as_fd(), name).ok().flatten().map(|name| name.id);
                namespace.for_children = children.filter(|children| Some(*children) != id);
            }
            if let Some(id) = id {
                self.ask(&mut namespace, id, first);
            }
            all.push(namespace);
        }
        all
    }

    /// Asks a namespace itself: who owns it, what is above it, and, where its number does not tell, whether it is the first.
    fn ask(&mut self, namespace: &mut Membership, id: NsId, first: Option<NsArray>) {
        let kind = namespace.kind;
        let path = ShortPath::new().text("ns/").text(kind.name());
        let opened = self.see(Part::Owners, self.process.open_ns(path.as_c_str()));
        // Between the link and this the process may have gone elsewhere.
        let opened = opened.filter(|opened| nsfs::inode(opened.as_fd()).is_ok_and(|found| found == Some(id)));
        if namespace.initial.is_none() {
            let by_kthreadd = first.and_then(|first| first[kind.index()]).map(|first| first == id);
            // Where namespaces have 64-bit ids the first ones have fixed numbers, and this is none of them.
            let by_id = || opened.as_ref().and_then(|opened| nsfs::id64(opened.as_fd())).map(|_| false);
            namespace.initial = by_kthreadd.or_else(by_id);
        }
        let Some(opened) = opened else { return };
        let inode = |fd: std::os::fd::OwnedFd| nsfs::inode(fd.as_fd()).ok().flatten();
        match nsfs::owner(opened.as_fd()) {
            Ok(owner) => namespace.owner = inode(owner),
            // The initial user namespace has nobody above it, and the kernel says EPERM to that, too.
            Err(_) if kind == NsKind::User && namespace.initial == Some(true) => {}
            Err(error) => {
                let _: Option<()> = self.see(Part::Owners, Err(error.errno));
            }
        }
        match kind {
            NsKind::User => namespace.owner_uid = nsfs::owner_uid(opened.as_fd()).ok(),
            NsKind::Pid => namespace.parent = nsfs::parent(opened.as_fd()).ok().and_then(inode),
            _ => {}
        }
    }

    /// Reads the namespaces of the parent process, if that is still the parent afterwards.
    fn parents(&mut self, ppid: Pid) -> Option<NsArray> {
        if ppid == Pid(0) {
            return None;
        }
        let read = self.root.process(ppid).and_then(|parent| parent.namespaces());
        let still = self.process.stat(&mut [0; 1024]).is_ok_and(|stat| stat.ppid == ppid);
        self.see(Part::ParentProcess, read).filter(|_| still)
    }
}

/// Returns the namespaces of kthreadd, which never leaves the first ones; it is process 2 of the initial pid namespace.
fn first_by_kthreadd(root: &ProcRoot) -> Option<NsArray> {
    let kthreadd = root.process(Pid(2)).ok()?;
    let is_it = kthreadd.stat(&mut [0; 1024]).is_ok_and(|stat| stat.kernel && stat.ppid == Pid(0));
    kthreadd.namespaces().ok().filter(|_| is_it)
}
