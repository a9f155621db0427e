//! The open files of a process, and which of them lead out of what isolates it.
//!
//! A link is read, and fdinfo says on which mount it was opened; where the process has no such mount, the file is not to be had by any of
//! its paths. A link is followed only to a file system of the kernel's own that keeps nobody waiting, and with statx(2) as `sys::dir` has
//! it; what that says may be of another file by then, which the process has put into its place: it is a fact on that process all the
//! same. Nothing is ever opened. See proc_pid_fd(5), proc_pid_fdinfo(5).

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use super::Looker;
use crate::model::id::parse_decimal;
use crate::model::isolation::{Descriptors, Membership, Outside, Part, Unseen, Way};
use crate::model::{KindSet, NsId, NsKind, NsName, Pid};
use crate::proc::is_gone;
use crate::proc::parse::{self, FdInfo};
use crate::scan::sockets_elsewhere;
use crate::sys::dir::{self, DirReader, ShortPath};

/// Of so many descriptors the rest is not looked at: whoever has more need not stop at a million.
const MOST: usize = 16_384;
/// So many that lead out are listed.
const MOST_OUTSIDE: usize = 64;
/// File systems that answer from memory what an inode is.
const PROMPT: [&[u8]; 8] = [b"devtmpfs", b"tmpfs", b"devpts", b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs"];

/// What a link says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Path,
    Socket(u64),
    Pipe,
    Memfd,
    Namespace(NsName),
    Process,
    /// BPF programs and maps, performance counters, virtual machines.
    Kernel,
    Other,
}

/// Says what a link is by its text.
fn sort(link: &[u8]) -> Sort {
    let bracket =
        |word: &[u8]| link.strip_prefix(word).and_then(|rest| rest.strip_suffix(b"]")).and_then(parse_decimal);
    if link.starts_with(b"/memfd:") {
        Sort::Memfd
    } else if link.starts_with(b"/dmabuf:") {
        Sort::Other
    } else if link.starts_with(b"/") {
        Sort::Path
    } else if let Some(inode) = bracket(b"socket:[") {
        Sort::Socket(inode)
    } else if link.starts_with(b"pipe:[") {
        Sort::Pipe
    } else if link == b"anon_inode:[pidfd]" || link.starts_with(b"pidfd:[") {
        Sort::Process
    } else if let Some(name) = NsName::parse(link) {
        Sort::Namespace(name)
    } else if [&b"anon_inode:bpf"[..], b"anon_inode:[perf_event]", b"anon_inode:kvm"]
        .iter()
        .any(|start| link.starts_with(start))
    {
        Sort::Kernel
    } else {
        Sort::Other
    }
}

/// Says whether a device node is one that every program has: null, zero, full, random, urandom, tty, ptmx.
pub fn is_plain_device(device: (bool, u32, u32)) -> bool {
    matches!(device, (false, 1, 3 | 5 | 7 | 8 | 9) | (false, 5, 0 | 2))
}

/// Says whether a device node is a terminal on a devpts.
pub fn is_terminal(device: (bool, u32, u32)) -> bool {
    matches!(device, (false, 136..=143, _))
}

impl Looker<'_> {
    /// Goes through the descriptors. `theirs` and `callers` are mountinfo files.
    pub(super) fn descriptors(
        &mut self,
        theirs: &[u8],
        callers: &[u8],
        namespaces: &[Membership],
    ) -> Option<Descriptors> {
        let fds = self.see(Part::Descriptors, self.process.open_dir(c"fd"))?;
        // Links of a captured tree lead to files of whoever looks at it.
        let mounts = Mounts::new(theirs, callers, self.root.is_live());
        let own = |kind: NsKind| namespaces.iter().find(|namespace| namespace.kind == kind);
        // nsx's own descriptors, where it looks at itself, are closed by execve(2); the ones it was given are not.
        let is_self = self.root.is_own_pid_ns() && self.process.pid == Pid(std::process::id());
        let mut found = Descriptors::default();
        let mut sockets = Vec::new();
        let mut outside = Vec::new();
        let mut refused = None;
        let read = DirReader::new(32).entries(fds.as_fd(), |name| {
            let Some(fd) = parse_decimal::<u32>(name.to_bytes()) else { return };
            let mut buffer = [0; 4096];
            if found.total >= MOST {
                found.cut = true;
                return;
            }
            let link = match dir::readlink(fds.as_fd(), name, &mut buffer) {
                Ok(link) => link,
                // It was closed meanwhile.
                Err(errno) if is_gone(errno) => return,
                Err(errno) => {
                    found.total += 1;
                    refused = Some(errno);
                    return;
                }
            };
            let sort = sort(link);
            let needs_info = is_self || matches!(sort, Sort::Path | Sort::Process);
            let info = if needs_info { self.fdinfo(fd) } else { FdInfo::default() };
            if is_self && info.is_cloexec() {
                return;
            }
            found.total += 1;
            let count = match sort {
                Sort::Path => &mut found.files,
                Sort::Socket(_) => &mut found.sockets,
                Sort::Pipe => &mut found.pipes,
                Sort::Memfd => &mut found.memfds,
                _ => &mut found.other,
            };
            *count += 1;
            let way = match sort {
                Sort::Path => mounts.way(fds.as_fd(), name, link, info),
                Sort::Socket(inode) => {
                    sockets.push((fd, inode));
                    None
                }
                Sort::Namespace(name) => {
                    (own(name.kind).and_then(|own| own.id) != Some(name.id)).then_some(Way::Namespace(name))
                }
                Sort::Process => self.process_outside(info, own(NsKind::Pid)),
                Sort::Kernel => Some(Way::Kernel),
                _ => None,
            };
            outside.extend(way.map(|way| Outside { fd, way, link: link.to_vec(), writable: info.is_writable() }));
        });
        self.see(Part::Descriptors, read.and(refused.map_or(Ok(()), Err)));
        let net = own(NsKind::Net).and_then(|namespace| namespace.id);
        outside.extend(self.sockets_outside(net, &sockets));
        outside.sort_by_key(|outside| outside.fd);
        found.outside_more = outside.len().saturating_sub(MOST_OUTSIDE);
        outside.truncate(MOST_OUTSIDE);
        found.outside = outside;
        Some(found)
    }

    fn fdinfo(&self, fd: u32) -> FdInfo {
        let mut buffer = [0; 1024];
        let path = ShortPath::new().text("fdinfo/").number(fd);
        self.process.read(path.as_c_str(), &mut buffer).map_or_else(|_| FdInfo::default(), parse::fdinfo)
    }

    /// Says whether a pidfd is of a process that is not in the pid namespace of its holder, which the initial one has all of.
    fn process_outside(&self, info: FdInfo, own: Option<&Membership>) -> Option<Way> {
        let own = own.filter(|own| own.initial != Some(true))?.id?;
        let pid = Pid(info.pid?);
        if pid == Pid(0) {
            return Some(Way::Process(None));
        }
        let kinds = KindSet::NONE.with(NsKind::Pid);
        let theirs =
            self.root.process(pid).and_then(|process| process.namespaces_of(kinds)).ok()?[NsKind::Pid.index()]?;
        (theirs != own).then_some(Way::Process(Some(pid)))
    }

    fn sockets_outside(&mut self, own: Option<NsId>, sockets: &[(u32, u64)]) -> Vec<Outside> {
        if sockets.is_empty() || own.is_none() {
            return Vec::new();
        }
        let (found, gaps) = sockets_elsewhere(self.root, self.process.pid, own, sockets.iter().copied());
        self.unseen.extend(gaps.iter().map(|gap| Unseen { part: Part::Sockets, errno: gap.errno }));
        let link = |fd: u32| {
            let inode = sockets.iter().find(|(other, _)| *other == fd).map_or(0, |(_, inode)| *inode);
            format!("socket:[{inode}]").into_bytes()
        };
        found.into_iter().map(|(fd, id)| Outside { fd, way: Way::Socket(id), link: link(fd), writable: true }).collect()
    }
}

/// The mounts that descriptors are told apart by: the type of the file system of each.
struct Mounts<'t> {
    theirs: HashMap<u32, &'t [u8]>,
    callers: HashMap<u32, &'t [u8]>,
    live: bool,
}

impl<'t> Mounts<'t> {
    fn new(theirs: &'t [u8], callers: &'t [u8], live: bool) -> Mounts<'t> {
        let all = |text: &'t [u8]| parse::mountinfo(text).map(|mount| (mount.id, mount.fs_type)).collect();
        Mounts { theirs: all(theirs), callers: all(callers), live }
    }

    /// Says how an open file that has a path leads out.
    fn way(&self, fds: BorrowedFd<'_>, name: &CStr, link: &[u8], info: FdInfo) -> Option<Way> {
        let id = info.mnt_id?;
        let inside = self.theirs.get(&id);
        if inside.is_some() && !link.starts_with(b"/dev/") {
            return None;
        }
        let fs_type = inside.or_else(|| self.callers.get(&id));
        let file =
            fs_type.filter(|fs_type| self.live && PROMPT.contains(*fs_type)).and_then(|_| dir::follow(fds, name).ok());
        match file {
            Some(file) if file.device.is_some() => {
                let device = file.device.filter(|device| !is_plain_device(*device))?;
                let is_own_terminal = inside.is_some() && is_terminal(device);
                (!is_own_terminal).then_some(Way::Device(device.0, device.1, device.2))
            }
            _ if inside.is_some() => None,
            Some(file) if file.directory => Some(Way::Directory),
            _ => Some(Way::File),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_say_what_they_are() {
        let net = NsName { kind: NsKind::Net, id: NsId::new(7).expect("not zero") };
        for (link, expected) in [
            ("/etc/passwd", Sort::Path),
            ("/memfd:x (deleted)", Sort::Memfd),
            ("/dmabuf:", Sort::Other),
            ("socket:[123]", Sort::Socket(123)),
            ("pipe:[4]", Sort::Pipe),
            ("anon_inode:[pidfd]", Sort::Process),
            ("pidfd:[55]", Sort::Process),
            ("net:[7]", Sort::Namespace(net)),
            ("anon_inode:bpf-map", Sort::Kernel),
            ("anon_inode:kvm-vm", Sort::Kernel),
            ("anon_inode:[eventfd]", Sort::Other),
            ("", Sort::Other),
            ("socket:[x]", Sort::Other),
        ] {
            assert_eq!(sort(link.as_bytes()), expected, "{link}");
        }
    }

    #[test]
    fn devices_that_everybody_has_are_known() {
        assert!(is_plain_device((false, 1, 3)) && is_plain_device((false, 5, 0)));
        // A disk with the same numbers, /dev/mem, /dev/console.
        assert!(!is_plain_device((true, 1, 3)) && !is_plain_device((false, 1, 1)) && !is_plain_device((false, 5, 1)));
        assert!(is_terminal((false, 136, 4)) && !is_terminal((true, 136, 4)));
    }

    proptest! {
        #[test]
        fn no_link_makes_it_panic(link in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = sort(&link);
        }
    }
}
