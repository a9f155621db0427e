//! What the databases of containerd and podman say of containers, as far as they are bbolt's. Pure.
//!
//! containerd has image and labels nowhere else, podman labels and pods. A database is read by a process on the side
//! (`sys::records`), and only what was found comes out: the rest of it is environments and other secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bolt::{self, Bucket, Fetch, Odd};

/// Where containerd's database is, below its root directory.
pub const CONTAINERD: &str = "io.containerd.metadata.v1.bolt/meta.db";
/// Where podman's database is, below its storage.
pub const PODMAN: &str = "libpod/bolt_state.db";

/// What is found of all containers together ends here: who wants to have more than that in labels does not have them shown.
const MOST_BYTES: usize = 2 << 20;

/// What a database says of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Which of those that were asked for it is.
    pub asked: usize,
    /// The name that nerdctl has given it.
    pub name: Option<String>,
    /// The image, as its user called it.
    pub image: Option<String>,
    /// All labels, by key.
    pub labels: BTreeMap<String, String>,
    /// The name of the pod of podman's that it is in.
    pub pod: Option<String>,
}

/// A container of containerd: its namespace, and its id in that.
pub type InNamespace = (String, String);

/// Finds what a database says of one that was asked for.
type One<'a, T> = &'a dyn Fn(&Bucket<'_>, &T) -> Result<Option<Said>, Odd>;

/// Returns what containerd's database says of containers.
pub fn containerd(fetch: Fetch<'_>, asked: &[InNamespace]) -> Vec<Said> {
    let one = |root: &Bucket<'_>, (namespace, id): &InNamespace| {
        let path = [b"v1", namespace.as_bytes(), b"containers", id.as_bytes()];
        let Some(container) = root.path(&path)? else { return Ok(None) };
        let mut labels = BTreeMap::new();
        if let Some(bucket) = container.bucket(b"labels")? {
            bucket.each(&mut |key, value| {
                labels.extend(text(key).zip(text(value)));
            })?;
        }
        let image = container.value(b"image")?.as_deref().and_then(text);
        let name = labels.get("nerdctl/name").cloned().filter(|name| !name.is_empty());
        Ok(Some(Said { name, image: image.filter(|image| !image.is_empty()), labels, ..Said::default() }))
    };
    all(fetch, asked, &one)
}

/// Returns what podman's database says of containers, by id.
pub fn podman(fetch: Fetch<'_>, asked: &[String]) -> Vec<Said> {
    #[derive(Deserialize)]
    struct Container {
        id: String,
        labels: Option<BTreeMap<String, String>>,
        pod: Option<String>,
    }
    #[derive(Deserialize)]
    struct Pod {
        name: String,
    }
    let one = |root: &Bucket<'_>, id: &String| {
        let Some(container) = root.path(&[b"ctr", id.as_bytes()])? else { return Ok(None) };
        let config = container.value(b"config")?.unwrap_or_default();
        let Ok(config) = serde_json::from_slice::<Container>(&config) else { return Ok(None) };
        if config.id != *id {
            return Err(Odd);
        }
        let pod = match config.pod.filter(|pod| !pod.is_empty()) {
            Some(pod) => match root.path(&[b"pod", pod.as_bytes()])? {
                Some(pod) => pod.value(b"config")?,
                None => None,
            },
            None => None,
        };
        let pod = pod.and_then(|config| Some(serde_json::from_slice::<Pod>(&config).ok()?.name));
        Ok(Some(Said { labels: config.labels.unwrap_or_default(), pod, ..Said::default() }))
    };
    all(fetch, asked, &one)
}

/// Finds what a database says of each of these. What is odd about one says nothing of the others.
fn all<T>(fetch: Fetch<'_>, asked: &[T], one: One<'_, T>) -> Vec<Said> {
    let look = |root: &Bucket<'_>| {
        let mut left = MOST_BYTES;
        let mut found = Vec::new();
        for (place, wanted) in asked.iter().enumerate() {
            let Ok(Some(said)) = one(root, wanted) else { continue };
            let length = said.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
            if let Some(rest) = left.checked_sub(length) {
                left = rest;
                found.push(Said { asked: place, ..said });
            }
        }
        Ok(found)
    };
    bolt::read(fetch, look).unwrap_or_default()
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// Writes what was found down, to be sent; nothing where there is none.
pub fn pack(said: &[Said]) -> Vec<u8> {
    if said.is_empty() { Vec::new() } else { serde_json::to_vec(said).unwrap_or_default() }
}

/// Reads what [`pack`] has written.
pub fn unpack(bytes: &[u8]) -> Vec<Said> {
    serde_json::from_slice(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
