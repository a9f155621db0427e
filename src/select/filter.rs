//! Which namespaces of a snapshot are asked for.

use crate::model::{KindSet, Namespace, NsId};

/// What a namespace must be to be shown. Parts that are `None` let everything through.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Its kind is one of these.
    pub kinds: KindSet,
    /// It is one of these.
    pub among: Option<Vec<NsId>>,
    /// No process is in it.
    pub unoccupied: bool,
}

impl Filter {
    /// Says whether a namespace passes.
    pub fn admits(&self, namespace: &Namespace) -> bool {
        self.kinds.contains(namespace.kind)
            && self.among.as_ref().is_none_or(|among| among.contains(&namespace.id))
            && !(self.unoccupied && namespace.nprocs() > 0)
    }
}
