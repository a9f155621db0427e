//! Where Docker and containerd keep their records, by the arguments of dockerd(8) and containerd(8) and the files that they are configured by.
//! Pure.

use serde::Deserialize;

/// Where Docker keeps its records when nobody says otherwise.
pub const DOCKER_DATA: &str = "/var/lib/docker";
/// The file by which dockerd is configured when nobody says otherwise.
pub const DOCKER_CONFIG: &str = "/etc/docker/daemon.json";

/// What the arguments of dockerd say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dockerd {
    /// The folder with its records.
    pub data_root: Option<String>,
    /// The file that it is configured by.
    pub config_file: Option<String>,
}

/// Returns the value of the first of these options.
fn value(arguments: &[&[u8]], names: &[&str]) -> Option<String> {
    let words: Vec<&str> = arguments.iter().map(|word| std::str::from_utf8(word).unwrap_or("")).collect();
    words.iter().enumerate().find_map(|(place, word)| {
        if names.contains(word) {
            return words.get(place + 1).map(|value| (*value).to_owned());
        }
        let (name, value) = word.split_once('=')?;
        names.contains(&name).then(|| value.to_owned())
    })
}

/// Reads the arguments of dockerd.
pub fn dockerd(arguments: &[&[u8]]) -> Dockerd {
    let value = |names: &[&str]| value(arguments, names);
    Dockerd { data_root: value(&["--data-root", "-g", "--graph"]), config_file: value(&["--config-file"]) }
}

/// Returns the data root that `daemon.json` sets.
pub fn data_root(config: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct File {
        data_root: Option<String>,
        graph: Option<String>,
    }
    let File { data_root, graph } = serde_json::from_slice(config).ok()?;
    data_root.or(graph)
}

/// Where containerd keeps what lasts when nobody says otherwise.
pub const CONTAINERD_ROOT: &str = "/var/lib/containerd";
/// Where containerd keeps what lasts as long as the containers run when nobody says otherwise.
pub const CONTAINERD_STATE: &str = "/run/containerd";
/// The file by which containerd is configured when nobody says otherwise.
pub const CONTAINERD_CONFIG: &str = "/etc/containerd/config.toml";

/// What the arguments of containerd say, or the file that it is configured by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Containerd {
    /// Where it keeps what lasts: images, and its database.
    pub root: Option<String>,
    /// Where it keeps what lasts as long as the containers run: bundles.
    pub state: Option<String>,
    /// The file that it is configured by; arguments count more.
    pub config_file: Option<String>,
}

/// Reads the arguments of containerd.
pub fn containerd(arguments: &[&[u8]]) -> Containerd {
    let value = |names: &[&str]| value(arguments, names).filter(|value| !value.is_empty());
    Containerd {
        root: value(&["--root", "-root"]),
        state: value(&["--state", "-state"]),
        config_file: value(&["--config", "-config", "-c", "--c"]),
    }
}

/// Reads what the file says by which containerd is configured: the values of `root` and `state`, which stand above all tables of the TOML.
pub fn containerd_config(config: &[u8]) -> Containerd {
    let text = String::from_utf8_lossy(config);
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.starts_with('[')).collect();
    let value = |name: &str| {
        let value = lines.iter().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='))?.trim_start();
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let folder = value[1..].split_once(quote)?.0;
        // No folder that anybody has needs an escape sequence.
        let is_plain = quote == '\'' || !folder.contains('\\');
        Some(folder.to_owned()).filter(|folder| is_plain && !folder.is_empty())
    };
    Containerd { root: value("root"), state: value("state"), config_file: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_the_file_say_where_the_data_are() {
        let words: [&[u8]; 3] = [b"dockerd", b"--data-root", b"/srv/docker"];
        assert_eq!(dockerd(&words).data_root.as_deref(), Some("/srv/docker"));
        let words: [&[u8]; 3] = [b"dockerd", b"--graph=/srv/d", b"--config-file=/etc/d.json"];
        let found = dockerd(&words);
        assert_eq!((found.data_root.as_deref(), found.config_file.as_deref()), (Some("/srv/d"), Some("/etc/d.json")));
        assert_eq!(dockerd(&[b"dockerd", b"--data-root"]), Dockerd::default());
        assert_eq!(data_root(br#"{"debug":true,"data-root":"/srv/docker"}"#).as_deref(), Some("/srv/docker"));
        for text in [&b""[..], b"{}", b"[]", b"{\"data-root\":7}", b"\xff"] {
            assert_eq!(data_root(text), None);
        }
    }

    #[test]
    fn arguments_and_the_file_of_containerd() {
        let line = "containerd|-c|/etc/c.toml|-a|/run/s|--state|/run/k3s/containerd|--root=/srv/containerd";
        let words: Vec<&[u8]> = line.split('|').map(str::as_bytes).collect();
        let found = containerd(&words);
        let all = [&found.root, &found.state, &found.config_file].map(|text| text.as_deref().unwrap_or_default());
        assert_eq!(all, ["/srv/containerd", "/run/k3s/containerd", "/etc/c.toml"]);
        assert_eq!(containerd(&[b"containerd", b"--config=", b"--root"]), Containerd::default());
        let text = "# root = \"/x\"\nversion = 2\nroot_path = \"/y\"\n root= '/srv/c' # here\nstate =\"/run/c\"\n[plugins]\nroot = \"/z\"\n";
        let found = containerd_config(text.as_bytes());
        assert_eq!((found.root.as_deref(), found.state.as_deref()), (Some("/srv/c"), Some("/run/c")));
        for text in [
            "",
            "root",
            "root =",
            "root = \"",
            "root = 7",
            "root = \"\"",
            "root = \"a\\u0062\"",
            "[a]\nroot = \"/x\"",
            "root = é\"",
            "\u{fffd}",
        ] {
            assert_eq!(containerd_config(text.as_bytes()), Containerd::default(), "{text}");
        }
    }
}
