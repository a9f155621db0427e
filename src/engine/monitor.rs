//! Who looks after a container, by the name and the arguments of its process: containerd's shims, conmon, runtimes that wait. Pure.
//!
//! A container's first process is the child of such a process, or of one that has taken it over. Its arguments are its own words: how far
//! they are believed depends on who it is and where it is (`sandbox`).

/// What a process that looks after a container says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Monitor {
    /// The engine, by the name that targets use.
    pub engine: &'static str,
    /// The id of the container.
    pub id: Option<String>,
    /// Its name, where that is not the id.
    pub name: Option<String>,
    /// The namespace of containerd in which the id has its meaning.
    pub namespace: Option<String>,
    /// The directory with the container's OCI configuration.
    pub bundle: Option<String>,
    /// The socket of the daemon that the monitor reports to.
    pub address: Option<String>,
}

impl Monitor {
    /// Says whether it may look after many containers, so that its id is not theirs: one shim has all containers of a Kubernetes pod, and one
    /// conmonrs all there are.
    pub fn has_many(&self) -> bool {
        self.engine == "crio" && self.id.is_none()
            || self.engine == "containerd" && self.namespace.as_deref() == Some("k8s.io")
    }
}

/// The kernel cuts the names of processes to 15 bytes.
const SHIM: &[u8] = b"containerd-shim";

/// The names of the processes that [`monitor`] knows.
const NAMES: [&[u8]; 12] = [
    SHIM,
    b"conmon",
    b"conmonrs",
    b"lxc-start",
    b"lxc-execute",
    b"systemd-nspawn",
    b"runc",
    b"crun",
    b"bwrap",
    b"firejail",
    b"starter",
    b"starter-suid",
];

/// Says whether a process with this name may look after a container, so that its arguments are worth reading.
pub fn is_monitor(comm: &[u8]) -> bool {
    // LXC and Incus change the name of theirs to what it does.
    comm.starts_with(SHIM) || comm.starts_with(b"[lxc monitor]") || NAMES.contains(&comm)
}

/// Says whether a file with this path is the program of such a process. A name and arguments are what somebody wants them to be, also of a
/// program that runs as another user than the one who has started it.
pub fn is_program(comm: &[u8], exe: &[u8]) -> bool {
    let exe = exe.strip_suffix(b" (deleted)").unwrap_or(exe);
    let program = exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_lxc = || program.starts_with(b"lx") || program.starts_with(b"incus") || program.starts_with(b"forkstart");
    match comm {
        comm if comm.starts_with(SHIM) => program.starts_with(SHIM),
        b"conmon" | b"conmonrs" => program.starts_with(b"conmon"),
        comm if comm.starts_with(b"lxc-") || comm.starts_with(b"[lxc") => is_lxc(),
        // A runtime may have made a copy of itself in memory, which no other program runs from in its name.
        b"runc" | b"crun" => program.starts_with(comm) || exe.starts_with(b"/memfd:"),
        comm => program.starts_with(comm),
    }
}

/// Returns what a process with this name and these arguments looks after.
pub fn monitor(comm: &[u8], arguments: &[&[u8]]) -> Option<Monitor> {
    let words: Vec<&str> = arguments.iter().map(|word| std::str::from_utf8(word).unwrap_or("")).collect();
    let first = words.first().copied().unwrap_or_default();
    if let Some(rest) = first.strip_prefix("[lxc monitor] ") {
        return lxc_monitor(rest);
    }
    let value = |names: &[&str]| option(&words, names).map(str::to_owned);
    match comm {
        comm if comm.starts_with(SHIM) => Some(shim(&words)),
        b"conmon" => Some(conmon(&words)),
        // One for all containers of a pod or of the host: its arguments say nothing of a single one.
        b"conmonrs" => Some(Monitor { engine: "crio", ..Monitor::default() }),
        b"lxc-start" | b"lxc-execute" => {
            let name = value(&["-n", "--name"]).or_else(|| last(&words).map(str::to_owned))?;
            Some(Monitor { engine: "lxc", name: Some(name), ..Monitor::default() })
        }
        b"systemd-nspawn" => Some(nspawn(&words)),
        b"runc" | b"crun" => {
            let engine = if comm == b"runc" { "runc" } else { "crun" };
            Some(Monitor { engine, id: runtime_id(&words), bundle: value(&["-b", "--bundle"]), ..Monitor::default() })
        }
        b"bwrap" => Some(Monitor { engine: "bwrap", ..Monitor::default() }),
        b"firejail" => Some(Monitor { engine: "firejail", name: value(&["--name"]), ..Monitor::default() }),
        b"starter" | b"starter-suid" => {
            let is_one = ["Apptainer runtime", "Singularity runtime"].iter().any(|text| first.starts_with(text));
            is_one.then(|| Monitor { engine: "apptainer", ..Monitor::default() })
        }
        _ => None,
    }
}

/// Returns the value of the first of these options: `--name VALUE`, `--name=VALUE`.
fn option<'a>(words: &[&'a str], names: &[&str]) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(place, word)| {
        if names.contains(word) {
            return words.get(place + 1).copied();
        }
        let (name, value) = word.split_once('=')?;
        names.contains(&name).then_some(value)
    })
}

/// Returns the last word, if it is none of the options.
fn last<'a>(words: &[&'a str]) -> Option<&'a str> {
    words.get(1..)?.last().filter(|word| !word.starts_with('-') && !word.is_empty()).copied()
}

/// containerd's shim, with the options of Go: `-namespace NS -id ID -address SOCKET`. Docker has its containers in the namespace `moby`.
fn shim(words: &[&str]) -> Monitor {
    let value = |names: [&str; 2]| option(words, &names).map(str::to_owned);
    let namespace = value(["-namespace", "--namespace"]);
    let engine = if namespace.as_deref() == Some("moby") { "docker" } else { "containerd" };
    Monitor {
        engine,
        id: value(["-id", "--id"]),
        namespace,
        address: value(["-address", "--address"]),
        ..Monitor::default()
    }
}

/// conmon(8), of podman and of CRI-O: the latter leaves what a container exited with in a folder of its own.
fn conmon(words: &[&str]) -> Monitor {
    let value = |names: &[&str]| option(words, names).map(str::to_owned);
    let is_crio = words.iter().any(|word| word.contains("/crio/") || word.ends_with("/crio"));
    Monitor {
        engine: if is_crio { "crio" } else { "podman" },
        id: value(&["-c", "--cid"]),
        name: value(&["-n", "--name"]),
        bundle: value(&["-b", "--bundle"]),
        ..Monitor::default()
    }
}

/// `[lxc monitor] PATH NAME`, in one word; LXD and Incus are told by the path.
fn lxc_monitor(rest: &str) -> Option<Monitor> {
    let (path, name) = rest.trim_end().rsplit_once(' ')?;
    let has = |word: &str| path.split('/').any(|part| part == word);
    let engine = if has("incus") {
        "incus"
    } else if has("lxd") {
        "lxd"
    } else {
        "lxc"
    };
    Some(Monitor { engine, name: Some(name.to_owned()), bundle: Some(format!("{path}/{name}")), ..Monitor::default() })
}

/// systemd-nspawn(1): without a name the machine is called like the directory.
fn nspawn(words: &[&str]) -> Monitor {
    let directory = option(words, &["-D", "--directory", "-i", "--image"]);
    let from_directory = || {
        let name = directory?.trim_end_matches('/').rsplit('/').next()?;
        Some(name.strip_suffix(".raw").unwrap_or(name).to_owned())
    };
    let name = option(words, &["-M", "--machine"]).map(str::to_owned).or_else(from_directory);
    Monitor { engine: "nspawn", name: name.filter(|name| !name.is_empty()), ..Monitor::default() }
}

/// The id of `runc run [OPTION]… ID`: the last word, behind the command.
fn runtime_id(words: &[&str]) -> Option<String> {
    let command = words.iter().position(|word| matches!(*word, "run" | "start" | "create" | "restore"))?;
    last(&words[command..]).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(comm: &str, line: &str) -> Monitor {
        let words: Vec<&[u8]> = line.split('|').map(str::as_bytes).collect();
        assert!(is_monitor(comm.as_bytes()), "{comm}");
        monitor(comm.as_bytes(), &words).expect(line)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn shims_name_the_container_and_the_daemon() {
        let line =
            "/usr/bin/containerd-shim-runc-v2|-namespace|moby|-id|3f2a|-address|/run/docker/containerd/containerd.sock";
        let found = of("containerd-shim", line);
        assert_eq!((found.engine, found.id), ("docker", some("3f2a")));
        assert_eq!(found.address, some("/run/docker/containerd/containerd.sock"));
        let found = of(
            "containerd-shim",
            "containerd-shim-runc-v2|-namespace|k8s.io|-id|9c|-address|/run/containerd/containerd.sock",
        );
        assert_eq!((found.engine, found.namespace), ("containerd", some("k8s.io")));
    }

    #[test]
    fn conmon_has_the_name() {
        let line = "/usr/bin/conmon|--api-version|1|-c|f997|-u|f997|-r|/usr/bin/runc|-b|/var/lib/containers/storage/overlay-containers/f997/userdata|-p|/run/p|-n|web|--exit-dir|/run/libpod/exits";
        let found = of("conmon", line);
        assert_eq!((found.engine, found.id, found.name), ("podman", some("f997"), some("web")));
        assert_eq!(found.bundle, some("/var/lib/containers/storage/overlay-containers/f997/userdata"));
        let line = "/usr/libexec/crio/conmon|-c|f997|-n|k8s_web_pod|--exit-dir|/var/run/crio/exits|-b|/run/b";
        assert_eq!(of("conmon", line).engine, "crio");
    }

    #[test]
    fn lxc_and_its_successors_are_told_apart_by_their_folders() {
        for (line, engine, name) in [
            ("[lxc monitor] /var/lib/lxc web", "lxc", "web"),
            ("[lxc monitor] /var/lib/incus/containers web", "incus", "web"),
            ("[lxc monitor] /var/snap/lxd/common/lxd/containers p_web", "lxd", "p_web"),
            ("lxc-start|-F|-n|web", "lxc", "web"),
            ("lxc-start|--name=web", "lxc", "web"),
        ] {
            let found = of("lxc-start", line);
            assert_eq!((found.engine, found.name.as_deref()), (engine, Some(name)), "{line}");
        }
    }

    #[test]
    fn others_say_what_they_say() {
        for (comm, line, engine, id, name) in [
            ("systemd-nspawn", "systemd-nspawn|-D|/srv/box/|-M|m1|/bin/sh", "nspawn", None, some("m1")),
            ("systemd-nspawn", "systemd-nspawn|--directory=/srv/box", "nspawn", None, some("box")),
            ("systemd-nspawn", "systemd-nspawn|-i|/srv/deb.raw", "nspawn", None, some("deb")),
            ("runc", "runc|--root|/r|run|-b|/bundle|web", "runc", some("web"), None),
            ("crun", "crun|run|web", "crun", some("web"), None),
            ("runc", "runc|list", "runc", None, None),
            ("bwrap", "bwrap|--unshare-all|sh", "bwrap", None, None),
            ("firejail", "firejail|--name=web|sh", "firejail", None, some("web")),
        ] {
            let found = of(comm, line);
            assert_eq!((found.engine, found.id, found.name), (engine, id, name), "{line}");
        }
        assert_eq!(monitor(b"bash", &[b"bash"]), None);
        assert_eq!(monitor(b"starter", &[b"car"]), None);
    }

    #[test]
    fn programs_that_play_a_monitor_are_told() {
        for (comm, exe) in [
            ("containerd-shim", "/usr/bin/containerd-shim-runc-v2"),
            ("containerd-shim", "/usr/bin/containerd-shim-runc-v2 (deleted)"),
            ("conmon", "/usr/libexec/podman/conmon"),
            ("lxc-start", "/usr/sbin/lxd"),
            ("lxc-start", "/usr/bin/lxc-start"),
            ("systemd-nspawn", "/usr/bin/systemd-nspawn"),
            ("bwrap", "/usr/bin/bwrap"),
        ] {
            assert!(is_program(comm.as_bytes(), exe.as_bytes()), "{comm} {exe}");
        }
        for (comm, exe) in
            [("containerd-shim", "/usr/bin/gpasswd"), ("conmon", "/usr/bin/sudo"), ("lxc-start", "/bin/mount")]
        {
            assert!(!is_program(comm.as_bytes(), exe.as_bytes()), "{comm} {exe}");
        }
    }

    proptest! {
        #[test]
        fn no_arguments_make_it_panic(words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..8)) {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            for comm in NAMES {
                let _ = monitor(comm, &words);
            }
            let first = [b"[lxc monitor] ", words.first().copied().unwrap_or_default()].concat();
            let _ = monitor(b"x", &[&first]);
        }
    }
}
