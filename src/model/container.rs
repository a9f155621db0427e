//! A container, as far as its members tell.
//!
//! Not here: how it is recognised (`engine`).

/// The container that a process belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The program that made it, by the name that targets use: `docker`, `podman`, `lxc`, …
    pub engine: &'static str,
    /// The engine's id for it, where it has one.
    pub id: Option<String>,
    /// The name its user gave it, where it is known.
    pub name: Option<String>,
}
