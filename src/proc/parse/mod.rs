//! Pure parsers of the files in `/proc`: bytes in, facts out, no I/O.
//!
//! Names and paths are bytes, and processes choose them: no parser trusts them to be UTF-8, or to be free of what the file's own
//! format uses. Not here: reading the files (`proc::root`).

mod attr;
mod cgroup;
mod fdinfo;
mod idmap;
mod limits;
mod mountinfo;
mod net;
mod stat;
mod status;

pub use attr::{label, timens_offsets};
pub use cgroup::{CgroupLine, cgroup, cgroup_lines};
pub use fdinfo::{FdInfo, fdinfo, fdinfo_inode};
pub use idmap::IdMap;
pub use limits::{RLIMITS, rlimits};
pub use mountinfo::{MountLine, mountinfo, unescape_octal};
pub use net::{Inet6Line, RouteLine, inet6, links, local_addresses, prefix_of, routes};
pub use stat::{Stat, stat};
pub use status::{Credentials, Numbers, Status, credentials, effective_uid, numbers, status, uids};
