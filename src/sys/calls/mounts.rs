//! The calls of a [`Program`] that make the mounts of a sandbox.
//!
//! Trees of mounts are taken first, while their sources are in sight, and attached later: until then nobody sees them. Not here: in which
//! order that makes sense (`launch::run`). See mount(2), open_tree(2), fsopen(2), mount_setattr(2), pivot_root(2).

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use crate::sys::error::Call;
use crate::sys::program::{Arg, Otherwise, Program, Slot};
use crate::sys::stub;

const AT_RECURSIVE: i64 = libc::AT_RECURSIVE as i64;
/// Of Linux 7.0, include/uapi/linux/mount.h.
pub(in crate::sys) const OPEN_TREE_NAMESPACE: libc::c_int = 2;

/// Attributes of a mount, see mount_setattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttributes {
    /// Nothing is written through it.
    pub read_only: bool,
    /// No suid programs.
    pub nosuid: bool,
    /// No device nodes.
    pub nodev: bool,
    /// No programs.
    pub noexec: bool,
}

impl MountAttributes {
    /// Returns the `MOUNT_ATTR_…` bits.
    pub(in crate::sys) fn bits(self) -> u64 {
        u64::from(self.read_only)
            | u64::from(self.nosuid) << 1
            | u64::from(self.nodev) << 2
            | u64::from(self.noexec) << 3
    }

    fn flags(self) -> i64 {
        let flags = [
            (self.read_only, libc::MS_RDONLY),
            (self.nosuid, libc::MS_NOSUID),
            (self.nodev, libc::MS_NODEV),
            (self.noexec, libc::MS_NOEXEC),
        ];
        flags.iter().filter(|(is, _)| *is).fold(0, |all, (_, flag)| all | *flag as i64)
    }

    /// Returns the names, for a reader: with `between` between them and `before` before each.
    pub(in crate::sys) fn names(self, before: &str, between: &str) -> String {
        let names =
            [(self.read_only, "RDONLY"), (self.nosuid, "NOSUID"), (self.nodev, "NODEV"), (self.noexec, "NOEXEC")];
        let names: Vec<String> =
            names.iter().filter(|(is, _)| *is).map(|(_, name)| format!("{before}{name}")).collect();
        if names.is_empty() { "0".to_owned() } else { names.join(between) }
    }
}

/// A tree of mounts: one that a call of the list has opened, or a descriptor that is open already.
#[derive(Clone, Copy, Debug)]
pub enum MountTree<'a> {
    /// In this slot.
    Slot(Slot),
    /// Behind this descriptor.
    Fd(BorrowedFd<'a>),
}

fn shown(path: &CString) -> String {
    path.to_bytes().escape_ascii().to_string()
}

impl Program {
    /// Makes a copy of a mount, or of all below a path, that nobody sees before it is attached: open_tree(2).
    ///
    /// # Kernel
    /// Linux 5.2.
    pub fn open_tree(&mut self, path: &CString, recursive: bool, slot: Slot, otherwise: Otherwise) {
        let flags =
            i64::from(libc::OPEN_TREE_CLONE) | i64::from(libc::O_CLOEXEC) | if recursive { AT_RECURSIVE } else { 0 };
        let args = [Arg::Number(libc::AT_FDCWD.into()), self.text(path), Arg::Number(flags)];
        let text = || format!("{}, OPEN_TREE_CLONE{}", shown(path), if recursive { "|AT_RECURSIVE" } else { "" });
        self.build("open_tree", text, libc::SYS_open_tree, &args, Program::flags(otherwise) | slot.kept());
    }

    /// Changes the attributes of a tree of mounts, and has nothing spread to or from it: mount_setattr(2) with `AT_RECURSIVE`.
    ///
    /// # Kernel
    /// Linux 5.12.
    pub fn set_attributes(&mut self, tree: Slot, attributes: MountAttributes) {
        let words = [attributes.bits(), 0, libc::MS_PRIVATE, 0];
        let args = [
            Arg::Word(tree),
            self.bytes(b"\0"),
            Arg::Number(i64::from(libc::AT_EMPTY_PATH) | AT_RECURSIVE),
            self.words(&words),
            Arg::Number(size_of_val(&words) as i64),
        ];
        let text = || format!("AT_RECURSIVE, {}, MS_PRIVATE", attributes.names("MOUNT_ATTR_", "|"));
        self.build("mount_setattr", text, libc::SYS_mount_setattr, &args, stub::LOAD);
    }

    /// Makes a file system that nobody sees before it is attached, with an option: fsopen(2), fsconfig(2), fsmount(2).
    ///
    /// # Kernel
    /// Linux 5.2.
    pub fn make_file_system(
        &mut self,
        kind: &CString,
        option: Option<(&CString, &CString)>,
        attributes: MountAttributes,
        slot: Slot,
        otherwise: Otherwise,
    ) {
        const FSOPEN_CLOEXEC: i64 = 1;
        const FSCONFIG_SET_STRING: i64 = 1;
        const FSCONFIG_CMD_CREATE: i64 = 6;
        const FSMOUNT_CLOEXEC: i64 = 1;
        let first = self.here();
        let flags = match otherwise {
            Otherwise::Stop => 0,
            Otherwise::GoTo(_) => Program::flags(otherwise),
            Otherwise::GoOn => Program::flags(Otherwise::GoTo(first + 4 + usize::from(option.is_some()))),
        };
        let args = [self.text(kind), Arg::Number(FSOPEN_CLOEXEC)];
        self.build("fsopen", || shown(kind), libc::SYS_fsopen, &args, flags | Slot::FIRST.kept());
        let none = Arg::Number(0);
        if let Some((key, value)) = option {
            let args =
                [Arg::Word(Slot::FIRST), Arg::Number(FSCONFIG_SET_STRING), self.text(key), self.text(value), none];
            let text = || format!("FSCONFIG_SET_STRING, {}, {}", shown(key), shown(value));
            self.build("fsconfig", text, libc::SYS_fsconfig, &args, flags | stub::LOAD);
        }
        let args = [Arg::Word(Slot::FIRST), Arg::Number(FSCONFIG_CMD_CREATE), none, none, none];
        self.build("fsconfig", || "FSCONFIG_CMD_CREATE".into(), libc::SYS_fsconfig, &args, flags | stub::LOAD);
        let args = [Arg::Word(Slot::FIRST), Arg::Number(FSMOUNT_CLOEXEC), Arg::Number(attributes.bits() as i64)];
        let text = || attributes.names("MOUNT_ATTR_", "|");
        self.build("fsmount", text, libc::SYS_fsmount, &args, flags | stub::LOAD | slot.kept());
        self.close_slot(Slot::FIRST);
    }

    /// Attaches a tree of mounts at a path: move_mount(2). One that a slot holds is closed.
    pub fn attach(&mut self, tree: MountTree<'_>, path: &CString, otherwise: Otherwise) {
        self.move_mount(tree, path, Program::flags(otherwise));
        self.close_tree(tree);
    }

    /// Returns where a tree comes from as an argument, which is the first, and the flags that go with that.
    fn of_tree(&mut self, tree: MountTree<'_>) -> (Arg, u64) {
        match tree {
            MountTree::Slot(slot) => (Arg::Word(slot), stub::LOAD),
            MountTree::Fd(fd) => (self.fd(fd), 0),
        }
    }

    fn move_mount(&mut self, tree: MountTree<'_>, path: &CStr, flags: u64) {
        let (from, load) = self.of_tree(tree);
        let args = [
            from,
            self.bytes(b"\0"),
            Arg::Number(libc::AT_FDCWD.into()),
            self.bytes(path.to_bytes_with_nul()),
            Arg::Number(libc::MOVE_MOUNT_F_EMPTY_PATH.into()),
        ];
        self.push(|| Call::MoveMount(path.to_bytes().to_vec()), libc::SYS_move_mount, &args, flags | load);
    }

    /// Closes a tree that a slot holds.
    fn close_tree(&mut self, tree: MountTree<'_>) {
        if let MountTree::Slot(slot) = tree {
            self.close_slot(slot);
        }
    }

    /// Enters a new mount namespace that begins with a copy of the present mounts, with nothing above them: open_tree(2) with
    /// `OPEN_TREE_NAMESPACE`, setns(2). No root directory is changed, so the kernel looks at no other process for it.
    ///
    /// # Kernel
    /// Linux 7.0.
    pub fn enter_copy(&mut self) {
        let flags = i64::from(OPEN_TREE_NAMESPACE) | AT_RECURSIVE | i64::from(libc::O_CLOEXEC);
        let args = [Arg::Number(libc::AT_FDCWD.into()), self.bytes(b"/\0"), Arg::Number(flags)];
        let text = || "/, OPEN_TREE_NAMESPACE|AT_RECURSIVE".to_owned();
        self.build("open_tree", text, libc::SYS_open_tree, &args, Slot::FIRST.kept());
        let args = [Arg::Word(Slot::FIRST), Arg::Number(libc::CLONE_NEWNS.into())];
        self.build("setns", || "the copy, CLONE_NEWNS".to_owned(), libc::SYS_setns, &args, stub::LOAD);
        self.close_slot(Slot::FIRST);
        self.chdir_root();
    }

    /// Changes the attributes of all mounts at a path and below, as [`Program::set_attributes`] does those of a tree.
    pub fn set_attributes_below(&mut self, path: &CString, attributes: MountAttributes) {
        let words = [attributes.bits(), 0, libc::MS_PRIVATE, 0];
        let args = [
            Arg::Number(libc::AT_FDCWD.into()),
            self.text(path),
            Arg::Number(AT_RECURSIVE),
            self.words(&words),
            Arg::Number(size_of_val(&words) as i64),
        ];
        let text = || format!("{}, AT_RECURSIVE, {}, MS_PRIVATE", shown(path), attributes.names("MOUNT_ATTR_", "|"));
        self.build("mount_setattr", text, libc::SYS_mount_setattr, &args, 0);
    }

    /// Makes a tree of mounts the root directory, and lets go of the old one: move_mount(2), fchdir(2), pivot_root(2), umount2(2). See
    /// pivot_root(2), "pivot_root(".", ".")", for why the old root is then found at `.`.
    pub fn change_root(&mut self, tree: MountTree<'_>) {
        self.move_mount(tree, c"/", 0);
        let (from, load) = self.of_tree(tree);
        self.push(|| Call::Fchdir("the new root".into()), libc::SYS_fchdir, &[from], load);
        let here = self.bytes(b".\0");
        self.build("pivot_root", || "., .".into(), libc::SYS_pivot_root, &[here, here], 0);
        let args = [here, Arg::Number(libc::MNT_DETACH.into())];
        self.build("umount2", || "., MNT_DETACH".into(), libc::SYS_umount2, &args, 0);
        self.chdir_root();
        self.close_tree(tree);
    }

    /// Mounts a new file system: mount(2).
    pub fn mount(
        &mut self,
        kind: &CString,
        path: &CString,
        attributes: MountAttributes,
        options: &CString,
        otherwise: Otherwise,
    ) {
        let name = self.text(kind);
        let args = [name, self.text(path), name, Arg::Number(attributes.flags()), self.text(options)];
        let text = || {
            let mut text = format!("{}, {}, {}", shown(kind), shown(path), attributes.names("MS_", "|"));
            if !options.is_empty() {
                text.push_str(", ");
                text.push_str(&shown(options));
            }
            text
        };
        self.build("mount", text, libc::SYS_mount, &args, Program::flags(otherwise));
    }

    /// Shows a file or a directory at another place: mount(2) with `MS_BIND`.
    pub fn bind(&mut self, source: &CString, path: &CString, otherwise: Otherwise) {
        let flags = (libc::MS_BIND | libc::MS_REC) as i64;
        let args = [self.text(source), self.text(path), Arg::Number(0), Arg::Number(flags), Arg::Number(0)];
        let text = || format!("{}, {}, MS_BIND|MS_REC", shown(source), shown(path));
        self.build("mount", text, libc::SYS_mount, &args, Program::flags(otherwise));
    }

    /// Changes the attributes of the mount at a path: mount(2) with `MS_REMOUNT | MS_BIND`.
    pub fn remount(&mut self, path: &CString, attributes: MountAttributes, otherwise: Otherwise) {
        let flags = (libc::MS_REMOUNT | libc::MS_BIND) as i64 | attributes.flags();
        let args = [Arg::Number(0), self.text(path), Arg::Number(0), Arg::Number(flags), Arg::Number(0)];
        let text = || format!("{}, MS_REMOUNT|MS_BIND|{}", shown(path), attributes.names("MS_", "|"));
        self.build("mount", text, libc::SYS_mount, &args, Program::flags(otherwise));
    }

    /// Makes a directory: mkdirat(2). One that is there already is as good.
    pub fn make_directory(&mut self, path: &CString, mode: u32) {
        let args = [Arg::Number(libc::AT_FDCWD.into()), self.text(path), Arg::Number(mode.into())];
        self.push(|| Call::Mkdirat(path.to_bytes().to_vec()), libc::SYS_mkdirat, &args, stub::CONTINUE | stub::QUIET);
    }

    /// Makes an empty file: mknodat(2). One that is there already is as good.
    pub fn make_file(&mut self, path: &CString) {
        let mode = i64::from(libc::S_IFREG | 0o666);
        let args = [Arg::Number(libc::AT_FDCWD.into()), self.text(path), Arg::Number(mode), Arg::Number(0)];
        self.build(
            "mknodat",
            || format!("{}, S_IFREG", shown(path)),
            libc::SYS_mknodat,
            &args,
            stub::CONTINUE | stub::QUIET,
        );
    }

    /// Makes a symbolic link: symlinkat(2).
    pub fn make_link(&mut self, to: &CString, path: &CString) {
        let args = [self.text(to), Arg::Number(libc::AT_FDCWD.into()), self.text(path)];
        self.build("symlinkat", || format!("{}, {}", shown(to), shown(path)), libc::SYS_symlinkat, &args, 0);
    }

    /// Sets the permissions that files are not made with: umask(2).
    pub fn set_umask(&mut self, mask: u32) {
        self.build("umask", || format!("{mask:#o}"), libc::SYS_umask, &[Arg::Number(mask.into())], 0);
    }

    /// Hands a file to a user and a group: fchownat(2).
    pub fn change_owner(&mut self, path: &CString, uid: u32, gid: u32) {
        let args = [
            Arg::Number(libc::AT_FDCWD.into()),
            self.text(path),
            Arg::Number(uid.into()),
            Arg::Number(gid.into()),
            Arg::Number(0),
        ];
        self.build("fchownat", || format!("{}, {uid}, {gid}", shown(path)), libc::SYS_fchownat, &args, stub::CONTINUE);
    }

    /// Sets the permissions of a file: fchmodat(2).
    pub fn change_mode(&mut self, path: &CString, mode: u32) {
        let args = [Arg::Number(libc::AT_FDCWD.into()), self.text(path), Arg::Number(mode.into())];
        self.build("fchmodat", || format!("{}, {mode:#o}", shown(path)), libc::SYS_fchmodat, &args, stub::CONTINUE);
    }
}
