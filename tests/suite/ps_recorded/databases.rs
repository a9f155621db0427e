//! What is in the databases of containerd and podman: recorded ones, from which all was left out that does not matter here.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::super::harness::{nsx, output, text};
use super::{Recorded, chown, isolated, named, process, with};

const META_DB: &str = "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db";
const BOLT_STATE: &str = "/var/lib/containers/storage/libpod/bolt_state.db";

pub(super) fn read() {
    let host = Recorded::new("containerd");
    let known = |name: &str| (named(&host, name)["image"].clone(), named(&host, name)["labels"].clone());
    assert_eq!(known("c-web"), (Value::Null, json!({"app": "web", "other": "1"})));
    let signal = json!({"io.containerd.image.config.stop-signal": "SIGTERM"});
    assert_eq!(known("c-image"), (json!("docker.io/library/bb:1"), signal));
    assert_eq!(known("c-plain"), (Value::Null, json!({})));
    // Labels are those of the container; the image is what CRI was asked for.
    let labels = json!({"io.kubernetes.container.name": "nginx", "io.kubernetes.pod.name": "web-7d"});
    assert_eq!(known("nginx"), (json!("docker.io/library/nginx:1"), labels));
    let host = Recorded::new("podman");
    let known = |name: &str| (named(&host, name)["pod"].clone(), named(&host, name)["labels"].clone());
    assert_eq!(known("pweb"), (Value::Null, json!({"a": "b"})));
    let pod = json!({"namespace": null, "name": "pod2"});
    assert_eq!(known("inpod2"), (pod.clone(), json!({})));
    assert_eq!(known("868d0a50822f-infra").0, pod);
    let table = text(&output(&mut nsx(&host.arguments(&["ps", "-n", "-o", "NAME,POD", "inpod2"]))).stdout);
    assert_eq!(table.split_whitespace().collect::<Vec<_>>(), ["inpod2", "pod2"]);
}

fn move_to(host: &Recorded, from: &str, to: &str) {
    let to = host.file(to);
    fs::create_dir_all(to.parent().expect("a folder")).expect("folders");
    fs::rename(host.file(from), to).expect("moved");
}

pub(super) fn moved() {
    let moved = format!("/srv/own{}", META_DB.strip_prefix("/var/lib").expect("the usual place"));
    let config = "/etc/containerd/config.toml";
    let image = |host: &Recorded| named(host, "c-image")["image"].clone();
    let known = json!("docker.io/library/bb:1");
    // The file that its arguments name.
    let host = Recorded::new("containerd");
    move_to(&host, META_DB, &moved);
    assert_eq!(image(&host), Value::Null);
    fs::write(host.file(config), "version = 2\nroot = '/srv/own/containerd'\n[grpc]\nroot = '/x'\n").expect("a file");
    assert_eq!(image(&host), known);
    // Somebody else's file says nothing, and neither does one of a containerd of another state folder.
    chown(&host.file(config), 1000);
    assert_eq!(image(&host), Value::Null);
    chown(&host.file(config), 0);
    fs::write(host.file(config), "root = '/srv/own/containerd'\nstate = '/run/other'\n").expect("a file");
    assert_eq!(image(&host), Value::Null);
    // Its arguments count more than the file.
    let daemon = |words: &[&str]| {
        let mut daemon = process(13_305, 13_298, words);
        daemon["ns"]["mnt"] = json!("mnt:[4026533810]");
        daemon
    };
    host.process(&daemon(&["containerd", "--root", "/srv/own/containerd", "--state=/var/run/containerd"]));
    assert_eq!(image(&host), known);
    // Below other files, or of another user, it is not the one that the shim belongs to.
    host.process(&process(13_305, 13_298, &["containerd", "--root", "/srv/own/containerd"]));
    assert_eq!(image(&host), Value::Null);
    host.process(&with(daemon(&["containerd", "--root", "/srv/own/containerd"]), 1000, "/"));
    assert_eq!(image(&host), Value::Null);
    // While none runs the usual places count.
    fs::write(host.file(config), "root = '/srv/own/containerd'\n").expect("a file");
    assert_eq!(image(&host), known);
    fs::remove_file(host.file(config)).expect("removed");
    move_to(&host, &moved, META_DB);
    assert_eq!(image(&host), known);
}

pub(super) fn not_believed() {
    let spoil: [fn(&Path); 7] = [
        |path| fs::write(path, []).expect("a file"),
        |path| fs::write(path, vec![0; 1 << 20]).expect("a file"),
        |path| {
            let bytes = fs::read(path).expect("a file");
            fs::write(path, &bytes[..3 * 4096]).expect("a file");
        },
        |path| fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("chmod"),
        |path| chown(path, 1000),
        |path| {
            fs::remove_file(path).expect("removed");
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        },
        |path| {
            fs::rename(path, path.with_extension("there")).expect("moved");
            std::os::unix::fs::symlink("meta.there", path).expect("a link");
        },
    ];
    for (number, spoil) in spoil.into_iter().enumerate() {
        let host = Recorded::new("containerd");
        spoil(&host.file(META_DB));
        let image = named(&host, "c-image");
        assert_eq!((&image["image"], &image["verified"]), (&Value::Null, &json!(true)), "{number}");
        // What annotations say is still there.
        assert_eq!(named(&host, "c-web")["labels"]["app"], "web", "{number}");
        let host = Recorded::new("podman");
        spoil(&host.file(BOLT_STATE));
        assert_eq!(named(&host, "inpod2")["pod"], Value::Null, "{number}");
    }
    // A sandbox that nothing has verified is not looked up.
    let host = Recorded::new("containerd");
    let address = "/run/containerd/containerd.sock";
    let words = ["containerd-shim-runc-v2", "-namespace", "default", "-id", "c-image", "-address", address];
    let mut shim = with(process(20_010, 1, &words), 1000, "/");
    shim["cwd"] = json!("/run/containerd/io.containerd.runtime.v2.task/default/c-image");
    shim["ns"]["mnt"] = json!("mnt:[4026533810]");
    host.process(&shim);
    host.process(&with(isolated(process(20_011, 20_010, &["sleep"]), 70_011, 70_012, &[1]), 1000, "/"));
    let document = host.ps();
    let all = document["sandboxes"].as_array().expect("a list");
    let other = all.iter().find(|one| one["pid"] == 20_011).expect("the other");
    assert_eq!((&other["verified"], &other["image"], &other["labels"]), (&json!(false), &Value::Null, &json!({})));
}
