//! Pure parsers of the files in `/proc`: bytes in, facts out, no I/O.
//!
//! Names and paths are bytes, and processes choose them: no parser trusts them to be UTF-8, or to be free of what the file's own
//! format uses. Not here: reading the files (`proc::root`).

mod cgroup;
mod fdinfo;
mod idmap;
mod mountinfo;
mod stat;
mod status;

pub use cgroup::{CgroupLine, cgroup, cgroup_lines};
pub use fdinfo::fdinfo_inode;
pub use idmap::IdMap;
pub use mountinfo::{MountLine, mountinfo, unescape_octal};
pub use stat::{Stat, stat};
pub use status::{Credentials, credentials, effective_uid, uids};
