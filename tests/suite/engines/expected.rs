//! What is expected of a container, by its engine's own tools, and whether nsx says so.

use serde_json::Value;

use crate::harness::engines::Room;
use crate::harness::{document, inode_of, ls_json, namespace, nsx_path, run};

/// A container, as its engine's tools describe it.
#[derive(Debug)]
pub struct Expected {
    engine: Option<&'static str>,
    pub name: Option<String>,
    id: Option<String>,
    image: Option<String>,
    pub pid: u32,
    /// `running` or `paused`.
    pub state: &'static str,
    address: Option<String>,
    labels: Vec<(&'static str, &'static str)>,
    /// Its namespace, which those of podman have not, and its name.
    pod: Option<(Option<&'static str>, String)>,
}

impl Expected {
    pub fn new(engine: &'static str, pid: u32) -> Expected {
        Expected { engine: Some(engine), ..Expected::of_nobody(pid) }
    }

    /// What nothing says the maker of.
    pub fn of_nobody(pid: u32) -> Expected {
        Expected {
            engine: None,
            name: None,
            id: None,
            image: None,
            pid,
            state: "running",
            address: None,
            labels: Vec::new(),
            pod: None,
        }
    }

    pub fn name(mut self, name: &str) -> Expected {
        self.name = Some(name.to_owned());
        self
    }

    pub fn id(mut self, id: &str) -> Expected {
        self.id = Some(id.to_owned());
        self
    }

    pub fn image(mut self, image: &str) -> Expected {
        self.image = Some(image.to_owned());
        self
    }

    pub fn paused(mut self, paused: bool) -> Expected {
        self.state = if paused { "paused" } else { "running" };
        self
    }

    pub fn address(mut self, address: Option<&str>) -> Expected {
        self.address = address.filter(|address| !address.is_empty()).map(str::to_owned);
        self
    }

    pub fn label(mut self, key: &'static str, value: &'static str) -> Expected {
        self.labels.push((key, value));
        self
    }

    pub fn pod(mut self, namespace: Option<&'static str>, name: &str) -> Expected {
        self.pod = Some((namespace, name.to_owned()));
        self
    }

    /// Makes sure that the row of a container says all this.
    fn is_row(&self, row: &Value) {
        let text = |value: &Option<String>| value.as_deref().map_or(Value::Null, Value::from);
        let seen = [&row["engine"], &row["name"], &row["id"], &row["image"], &row["state"], &row["verified"]];
        let known = self.engine.is_some();
        let engine = self.engine.map_or(Value::Null, Value::from);
        let wanted = [engine, text(&self.name), text(&self.id), text(&self.image), self.state.into(), known.into()];
        assert_eq!(seen, wanted.each_ref(), "{row:#}");
        let stat = std::fs::read(format!("/proc/{}/stat", self.pid)).expect("stat");
        let start = nsx::proc::parse::stat(&stat).expect("stat").start_time_ticks;
        assert_eq!(row["start_time_ticks"], start, "{row:#}");
        if let Some(address) = &self.address {
            let all = row["addresses"].as_array().expect("addresses");
            let is_it = |one: &Value| one.as_str().is_some_and(|one| one.split('/').next() == Some(address));
            assert!(all.iter().any(is_it), "{address}: {row:#}");
        }
        for (key, value) in &self.labels {
            assert_eq!(row["labels"][key], *value, "{row:#}");
        }
        match &self.pod {
            Some((namespace, name)) => {
                assert_eq!(row["pod"], serde_json::json!({ "namespace": namespace, "name": name }), "{row:#}");
            }
            None => assert_eq!(row["pod"], Value::Null, "{row:#}"),
        }
        let members = row["members"].as_array().expect("members");
        assert!(members.contains(&self.pid.into()), "{row:#}");
        for (kind, inode) in row["namespaces"].as_object().expect("namespaces") {
            assert_eq!(inode, inode_of(self.pid, kind), "{kind}: {row:#}");
        }
    }

    /// Makes sure that nsx enters it by pid, by the beginning of an id such as Docker gives, and by name.
    pub fn is_entered(&self) {
        are_entered(&[&self.pid.to_string()]);
        if let Some(id) = self.id.as_ref().filter(|id| id.len() == 64) {
            are_entered(&[&id[..12]]);
        }
        if let Some(name) = &self.name {
            are_entered(&[name, &format!("{}:{name}", self.engine.expect("an engine"))]);
        }
    }

    /// Makes sure that nsx ls says whose the mount namespace is, from inside the room and from outside.
    pub fn is_in_ls(&self, room: &Room) {
        for document in [in_room(room, &["ls", "--json"]), ls_json(&[])] {
            let found = namespace(&document, inode_of(self.pid, "mnt"));
            let container = &found["container"];
            assert_eq!(
                (&container["engine"], &found["pid"]),
                (&self.engine.expect("an engine").into(), &self.pid.into()),
                "{found:#}"
            );
            let (key, value) = match &self.id {
                Some(id) => ("id", id),
                None => ("name", self.name.as_ref().expect("a name")),
            };
            assert_eq!(container[key], value.as_str(), "{found:#}");
        }
    }
}

fn in_room(room: &Room, words: &[&str]) -> Value {
    let (code, out, err) = room.nsx(words);
    assert_eq!(code, Some(0), "{err}");
    document(&out)
}

/// Where nsx runs.
#[derive(Clone, Copy, Debug)]
pub enum View {
    /// In the room, where the folders of engines are where they usually are.
    Inside,
    /// On the machine, which has none of them: by what is seen of a container's own processes.
    Outside,
    /// In the room, as an ordinary user.
    InsideAs(u32),
}

/// Returns the rows of nsx ps whose first process is of the room.
pub fn rows(room: &Room, view: View) -> Vec<Value> {
    let document = match view {
        View::Inside => in_room(room, &["ps", "--json"]),
        View::Outside => document(&run(&["ps", "--json"])),
        View::InsideAs(uid) => {
            let nsx = nsx_path().to_str().expect("UTF-8");
            let as_user = format!("cd / && exec setpriv --reuid {uid} --regid {uid} --clear-groups {nsx} ps --json");
            document(&room.sh(&as_user))
        }
    };
    let pid = |row: &Value| row["pid"].as_u64().expect("a pid").try_into().expect("a pid");
    let rows = document["sandboxes"].as_array().expect("sandboxes");
    rows.iter().filter(|row| room.holds(pid(row))).cloned().collect()
}

/// Makes sure that nsx ps lists these containers and nothing else of the room.
pub fn are_all(room: &Room, view: View, expected: &[Expected]) {
    let rows = rows(room, view);
    for one in expected {
        let mut its = rows.iter().filter(|row| row["pid"] == one.pid);
        match (its.next(), its.next()) {
            (Some(row), None) => one.is_row(row),
            (None, _) => panic!("{view:?}: {one:?} is not in {rows:#?}"),
            (_, Some(_)) => panic!("{view:?}: {one:?} is twice in {rows:#?}"),
        }
    }
    assert_eq!(rows.len(), expected.len(), "{view:?}: {rows:#?}");
}

/// Makes sure that nsx enters a container by each of these targets.
pub fn are_entered(targets: &[&str]) {
    for target in targets {
        let printed = run(&["enter", "-t", target, "--", "cat", "/etc/os-release"]);
        assert_eq!(printed, "ID=nsx-box\n", "{target}");
    }
}
