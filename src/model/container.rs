//! A container, as far as its members tell.
//!
//! Not here: how it is recognised (`engine`, `sandbox`).

/// The container that a process belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The program that made it, by the name that targets use: `docker`, `podman`, `lxc`, …
    pub engine: &'static str,
    /// The engine's id for it, where it has one.
    pub id: Option<String>,
    /// The name its user gave it, where it is known.
    pub name: Option<String>,
    /// What targets call it, with its engine and with those that it was made in: `docker:outer/web`.
    pub target: String,
    /// Whether more than the name of a cgroup says so: whoever looks after its processes, or a record that names them.
    pub verified: bool,
}
