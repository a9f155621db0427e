//! Naming containers: what engines call cgroups, how the processes are called that look after containers, and what is in the records
//! that engines keep. Pure: all of it is given as bytes.
//!
//! Not here: reading any of it, and what is believed (`sandbox`).

#![forbid(unsafe_code)]

pub mod bolt;
pub mod daemon;
pub mod database;
pub mod identify;
pub mod monitor;
pub mod record;
pub mod unit;

pub use identify::identify;
pub use unit::unit;

/// The engines that targets may name, as in `docker:web`. `nsx` is not among them: its sandboxes are found in another way.
pub const ENGINES: [&str; 17] = [
    "docker",
    "podman",
    "containerd",
    "crio",
    "lxc",
    "lxd",
    "incus",
    "nspawn",
    "machine",
    "runc",
    "crun",
    "bwrap",
    "firejail",
    "apptainer",
    "snap",
    "flatpak",
    "libvirt",
];

/// Returns the engine with this name.
pub fn engine(name: &str) -> Option<&'static str> {
    ENGINES.iter().find(|engine| **engine == name).copied()
}
