//! The mounts that a process sees.

/// What a mount is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountRole {
    /// The root directory.
    Root,
    /// It hides a path in /proc or /sys.
    Masked,
    /// It makes a path in /proc or /sys read-only.
    ReadOnly,
    /// A device node.
    Device,
    /// Files of a file system that the caller has mounted, too.
    Host,
    /// A file system that the kernel makes up: proc, sysfs, cgroup and the like.
    Kernel,
    /// Any other.
    Other,
}

impl MountRole {
    /// Returns the word that JSON uses.
    pub const fn name(self) -> &'static str {
        match self {
            MountRole::Root => "root",
            MountRole::Masked => "masked",
            MountRole::ReadOnly => "read_only",
            MountRole::Device => "device",
            MountRole::Host => "host",
            MountRole::Kernel => "kernel",
            MountRole::Other => "other",
        }
    }
}

/// A mount that a process sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What it is there for.
    pub role: MountRole,
    /// Where it is, as seen from the root of the process.
    pub point: Vec<u8>,
    /// The part of the file system that is shown.
    pub root: Vec<u8>,
    /// The type of the file system.
    pub fs_type: Vec<u8>,
    /// What is mounted.
    pub source: Vec<u8>,
    /// The options of the mount.
    pub options: Vec<u8>,
    /// The options of the file system.
    pub super_options: Vec<u8>,
    /// The device of the file system.
    pub device: (u32, u32),
    /// Whether mounts made below it appear elsewhere, or the other way round: `shared:1`, `master:2`.
    pub propagation: Vec<u8>,
    /// Where the caller has the same files, where he has mounted the file system, too.
    pub host_path: Option<Vec<u8>>,
}

impl Mount {
    /// Says whether the mount has an option, such as `ro`.
    pub fn has(&self, option: &str) -> bool {
        has_option(&self.options, option)
    }

    /// Says whether files can be written through it, as far as the mount is concerned.
    pub fn is_writable(&self) -> bool {
        self.has("rw") && !has_option(&self.super_options, "ro")
    }
}

/// Says whether one of the options, which commas separate, is this one.
pub fn has_option(options: &[u8], wanted: &str) -> bool {
    options.split(|&byte| byte == b',').any(|option| option == wanted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_writable_where_both_say_so() {
        let of = |options: &[u8], super_options: &[u8]| Mount {
            role: MountRole::Other,
            point: Vec::new(),
            root: Vec::new(),
            fs_type: Vec::new(),
            source: Vec::new(),
            options: options.to_vec(),
            super_options: super_options.to_vec(),
            device: (0, 0),
            propagation: Vec::new(),
            host_path: None,
        };
        assert!(of(b"rw,relatime", b"rw").is_writable());
        assert!(!of(b"rw", b"ro,size=4k").is_writable() && !of(b"ro", b"rw").is_writable());
    }
}
