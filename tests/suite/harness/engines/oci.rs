//! Containers of runc and crun that nobody else manages.

use serde_json::Value;

use super::{Room, quoted};

/// What both do the same way.
struct Runtime<'a> {
    room: &'a Room,
    words: Vec<&'a str>,
}

impl Runtime<'_> {
    /// Starts a container that sleeps in a bundle of its own, with this cgroup.
    fn sleeper(&self, id: &str, cgroup: &str) {
        let change = format!(
            ".process.args = [\"sleep\", \"100000\"] | .process.terminal = false | .process.rlimits = []
            | .root.path = $root | .linux.cgroupsPath = \"{cgroup}\" | .annotations = {{\"org.example.who\": \"nsx\"}}"
        );
        self.room.sh(&format!(
            "mkdir bundle-{id}
            cd bundle-{id}
            runc spec
            jq --arg root \"$ROOM/rootfs\" {change} config.json >new
            mv new config.json
            {tool} run -d {id} </dev/null >/dev/null 2>../{id}.log || {{ cat ../{id}.log >&2; exit 1; }}",
            change = quoted(&[&change]),
            tool = quoted(&self.words),
        ));
    }

    fn cli(&self, words: &[&str]) -> String {
        self.room.run(&[self.words.as_slice(), words].concat())
    }

    /// Returns what `list` says of a container.
    fn listed(&self, id: &str) -> Value {
        let all: Value = serde_json::from_str(&self.cli(&["list", "-f", "json"])).expect("JSON");
        let mut all = all.as_array().expect("a list").iter();
        all.find(|one| one["id"] == id).unwrap_or_else(|| panic!("{id} is not listed")).clone()
    }
}

macro_rules! runtime {
    ($name:ident, $tool:literal) => {
        #[doc = concat!("Containers of ", $tool, ".")]
        pub struct $name<'a>(Runtime<'a>);

        impl<'a> $name<'a> {
            /// Its state is where it is by default, or in another folder by `--root`.
            pub fn new(room: &'a Room, options: &[&'a str]) -> $name<'a> {
                $name(Runtime { room, words: [&[$tool], options].concat() })
            }

            /// Starts a container that sleeps, with this cgroup.
            pub fn sleeper(&self, id: &str, cgroup: &str) {
                self.0.sleeper(id, cgroup);
            }

            /// Runs it, and returns what it has printed.
            pub fn cli(&self, words: &[&str]) -> String {
                self.0.cli(words)
            }

            /// Returns pid and state of a container.
            pub fn listed(&self, id: &str) -> (u32, String) {
                let one = self.0.listed(id);
                let pid = one["pid"].as_u64().expect("a pid").try_into().expect("a pid");
                (pid, one["status"].as_str().expect("a state").to_owned())
            }
        }
    };
}

runtime!(Runc, "runc");
runtime!(Crun, "crun");
