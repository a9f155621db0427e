//! What the records of engines say of a container: pure parsers of the files that they keep.
//!
//! Records are other people's words: each field may be missing or of another kind, and nothing in them is believed that the processes
//! contradict (`sandbox`). Environments are not read: they hold secrets.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace in Kubernetes; podman's pods have none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Pod {
    /// `NAMESPACE/NAME`, or the name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What a record says of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The id.
    pub id: Option<String>,
    /// The name that its user gave it.
    pub name: Option<String>,
    /// The image, as its user called it.
    pub image: Option<String>,
    /// Labels, by key.
    pub labels: BTreeMap<String, String>,
    /// The pod that it is in.
    pub pod: Option<Pod>,
    /// Its first process, in the pid namespace of whoever wrote the record.
    pub pid: Option<u32>,
    /// When that was started, in clock ticks since boot.
    pub start_time_ticks: Option<u64>,
    /// What has made it, where the record knows it.
    pub engine: Option<&'static str>,
}

fn nonempty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Parses Docker's `config.v2.json`; `None` where it is none.
pub fn docker(text: &[u8]) -> Option<Record> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct File {
        #[serde(rename = "ID")]
        id: String,
        name: Option<String>,
        state: Option<State>,
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct State {
        pid: Option<u32>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        image: Option<String>,
        labels: Option<BTreeMap<String, String>>,
    }
    let File { id, name, state, config } = serde_json::from_slice(text).ok()?;
    let (image, labels) = config.map_or((None, None), |config| (config.image, config.labels));
    let labels = labels.unwrap_or_default();
    let name = name.map(|name| name.trim_start_matches('/').to_owned());
    Some(Record {
        id: Some(id),
        name: nonempty(name),
        image: nonempty(image),
        pod: pod(&labels),
        labels,
        pid: state.and_then(|state| state.pid).filter(|pid| *pid != 0),
        ..Record::default()
    })
}

/// Parses the `containers.json` of containers/storage, which podman, CRI-O and others share: all containers of one store.
pub fn storage(text: &[u8]) -> Vec<Record> {
    #[derive(Deserialize)]
    struct Entry {
        id: String,
        names: Option<Vec<String>>,
        metadata: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Metadata {
        image_name: Option<String>,
    }
    let entries: Vec<Entry> = serde_json::from_slice(text).unwrap_or_default();
    let record = |entry: Entry| {
        // The metadata keep the name that a container was made with; `podman rename` changes the first of the names.
        let metadata = entry.metadata.and_then(|text| serde_json::from_str::<Metadata>(&text).ok());
        let name = entry.names.and_then(|names| names.into_iter().next());
        let image = metadata.and_then(|metadata| metadata.image_name);
        Record { id: Some(entry.id), name: nonempty(name), image: nonempty(image), ..Record::default() }
    };
    entries.into_iter().map(record).collect()
}

/// What the OCI configuration of a bundle says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// What its annotations say.
    pub record: Record,
    /// The folder with Docker's records of the container, by the files of it that are mounted inside.
    pub docker_folder: Option<String>,
}

/// Parses the `config.json` of a bundle, see the OCI runtime specification; `None` where it is none.
pub fn bundle(text: &[u8]) -> Option<Bundle> {
    #[derive(Deserialize)]
    struct File {
        annotations: Option<BTreeMap<String, String>>,
        mounts: Option<Vec<Mount>>,
    }
    #[derive(Deserialize)]
    struct Mount {
        destination: Option<String>,
        source: Option<String>,
    }
    let file: File = serde_json::from_slice(text).ok()?;
    let labels = file.annotations.unwrap_or_default();
    let get = |keys: &[&str]| keys.iter().find_map(|key| labels.get(*key)).filter(|value| !value.is_empty()).cloned();
    let is_sandbox =
        get(&["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"]).as_deref() == Some("sandbox");
    let name = match get(&["nerdctl/name", "io.kubernetes.cri.container-name", "io.kubernetes.container.name"]) {
        // What holds the namespaces of a pod together; its image is called so everywhere.
        _ if is_sandbox => Some("pause".to_owned()),
        name => name,
    };
    let image = get(&["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "nerdctl/image"]);
    let docker_folder = file.mounts.unwrap_or_default().into_iter().find_map(|mount| {
        let is_dockers = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"].contains(&mount.destination?.as_str());
        let source = mount.source.filter(|_| is_dockers)?;
        // DATA/containers/ID/hostname; with `--net container:` the id is the other's.
        let (folder, id) = source.rsplit_once('/')?.0.rsplit_once('/')?;
        (folder.ends_with("/containers") && super::identify::is_id(id.as_bytes())).then(|| folder.to_owned())
    });
    Some(Bundle { record: Record { name, image, pod: pod(&labels), labels, ..Record::default() }, docker_folder })
}

/// Returns the pod that annotations or labels of the engines of Kubernetes name.
pub fn pod(labels: &BTreeMap<String, String>) -> Option<Pod> {
    let get = |keys: &[&str]| keys.iter().find_map(|key| labels.get(*key)).filter(|value| !value.is_empty()).cloned();
    Some(Pod {
        namespace: Some(get(&["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"])?),
        name: get(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"])?,
    })
}

/// Parses runc's `state.json`; `None` where it is none.
pub fn runc(text: &[u8]) -> Option<Record> {
    #[derive(Deserialize)]
    struct File {
        id: String,
        init_process_pid: u32,
        init_process_start: u64,
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    struct Config {
        labels: Option<Vec<String>>,
    }
    let File { id, init_process_pid, init_process_start, config } = serde_json::from_slice(text).ok()?;
    let labels = config.and_then(|config| config.labels).unwrap_or_default();
    let labels = labels.iter().filter_map(|label| label.split_once('='));
    let labels =
        labels.filter(|(key, _)| *key != "bundle").map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Some(Record {
        id: Some(id),
        labels,
        pid: Some(init_process_pid),
        start_time_ticks: Some(init_process_start),
        engine: Some("runc"),
        ..Record::default()
    })
}

/// Parses crun's `status`; the id is the name of the folder that it is in.
pub fn crun(id: &str, text: &[u8]) -> Option<Record> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct File {
        pid: u32,
        process_start_time: u64,
    }
    let File { pid, process_start_time } = serde_json::from_slice(text).ok()?;
    Some(Record {
        id: Some(id.to_owned()),
        pid: Some(pid),
        start_time_ticks: Some(process_start_time),
        engine: Some("crun"),
        ..Record::default()
    })
}

/// Parses a file of `/run/systemd/machines`, which systemd-machined writes: lines `KEY=VALUE`.
pub fn machine(text: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(text).ok()?;
    let get = |key: &str| {
        let value = text.lines().find_map(|line| line.split_once('=').filter(|(name, _)| *name == key))?.1;
        Some(value.trim_matches('"').to_owned())
    };
    let service = get("SERVICE").unwrap_or_default();
    let engine = match service.as_str() {
        "systemd-nspawn" | "nspawn" => "nspawn",
        service if service.starts_with("libvirt") => "libvirt",
        _ => "machine",
    };
    Some(Record {
        name: nonempty(get("NAME")),
        pid: Some(get("LEADER")?.parse().ok()?),
        engine: Some(engine),
        ..Record::default()
    })
}

/// Parses a file with a pid and nothing else, such as `init.pid`.
pub fn pid(text: &[u8]) -> Option<u32> {
    crate::model::id::parse_decimal(text.trim_ascii())
}

#[cfg(test)]
mod tests;
