//! Databases that are written here, and those that containerd and podman have left behind.

use super::super::bolt::tests::{Node, bucket, file, from, value};
use super::*;

const ID: &str = "f9977dff0d97e0f43d1f46296b901ed08ebdd5ecf2790acfcab15d48a1a474df";

fn pairs(labels: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    labels.iter().map(|(key, value)| (&**key, &**value)).collect()
}

fn asked(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(namespace, id)| ((*namespace).to_owned(), (*id).to_owned())).collect()
}

fn containers(all: Node) -> Vec<u8> {
    file(&bucket([("v1", bucket([("default", bucket([("containers", all)]))]))]), 4096, 3)
}

#[test]
fn containerd_has_image_and_labels() {
    let web = bucket([
        ("image", value("docker.io/library/nginx:1")),
        ("labels", bucket([("app", value("web")), ("nerdctl/name", value("shop"))])),
        ("spec", value(&"x".repeat(7000))),
    ]);
    let file = containers(bucket([("web", web), ("bare", bucket([("image", value(""))])), ("no-bucket", value("x"))]));
    let wanted =
        [("default", "gone"), ("other", "web"), ("default", "web"), ("default", "no-bucket"), ("default", "bare")];
    let found = containerd(&from(&file), &asked(&wanted));
    assert_eq!(found.iter().map(|said| said.asked).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(
        (found[0].name.as_deref(), found[0].image.as_deref()),
        (Some("shop"), Some("docker.io/library/nginx:1"))
    );
    assert_eq!(pairs(&found[0].labels), [("app", "web"), ("nerdctl/name", "shop")]);
    assert_eq!(found[1], Said { asked: 4, ..Said::default() });
    assert_eq!(unpack(&pack(&found)), found);
    assert!(pack(&[]).is_empty() && unpack(b"").is_empty() && unpack(b"[7]").is_empty());
}

#[test]
fn labels_without_end_are_left_out() {
    let of = |length: usize| bucket([("labels", bucket([("text", value(&"x".repeat(length)))]))]);
    let file = containers(bucket([("a", of(MOST_BYTES)), ("b", of(10)), ("c", of(MOST_BYTES - 18))]));
    let found = containerd(&from(&file), &asked(&[("default", "a"), ("default", "b"), ("default", "c")]));
    assert_eq!(found.iter().map(|said| said.asked).collect::<Vec<_>>(), [1, 2]);
    // What the process on the side hands over is bounded, too (`sys::records`).
    assert!(pack(&found).len() < 4 << 20);
}

#[test]
fn podman_has_labels_and_pods() {
    let config = |text: &str| bucket([("config", value(text)), ("pod-id", value("868d"))]);
    let of = |more: &str| config(&format!(r#"{{"id":"{ID}","spec":{{"env":["SECRET=x"]}}{more}}}"#));
    let pod = |name: &str| bucket([("868d", bucket([("config", value(&format!(r#"{{"name":{name}}}"#)))]))]);
    let get = |container: Node, pods: Node| {
        let file = file(&bucket([("ctr", bucket([(ID, container)])), ("pod", pods)]), 4096, 2);
        podman(&from(&file), &["gone".to_owned(), ID.to_owned()])
    };
    let found = get(of(r#","labels":{"a":"b"},"pod":"868d""#), pod("\"shop\""));
    assert_eq!(pairs(&found[0].labels), [("a", "b")]);
    assert_eq!((found.len(), found[0].asked, found[0].pod.as_deref()), (1, 1, Some("shop")));
    for (more, pods) in [("", pod("\"shop\"")), (r#","pod":"other""#, pod("\"shop\"")), (r#","pod":"868d""#, pod("7"))]
    {
        assert_eq!(get(of(more), pods), [Said { asked: 1, ..Said::default() }], "{more}");
    }
    for text in ["", "{}", r#"{"id":"another"}"#, "[", "\u{fffd}"] {
        assert_eq!(get(config(text), pod("\"shop\"")), [], "{text}");
    }
}

/// Returns a file of a recording, if there is a source tree.
fn recorded(path: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/engine").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn real_databases() {
    let meta = recorded("containerd/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db");
    let nginx = "3".repeat(64);
    let wanted = [("default", "c-web"), ("default", "c-image"), ("default", "c-plain"), ("k8s.io", &nginx)];
    let found = containerd(&from(&meta), &asked(&wanted));
    assert_eq!(found.len(), 4);
    assert_eq!(pairs(&found[0].labels), [("app", "web"), ("other", "1")]);
    assert_eq!(found[1].image.as_deref(), Some("docker.io/library/bb:1"));
    assert_eq!(pairs(&found[1].labels), [("io.containerd.image.config.stop-signal", "SIGTERM")]);
    assert_eq!(found[2], Said { asked: 2, ..Said::default() });
    assert_eq!(
        pairs(&found[3].labels),
        [("io.kubernetes.container.name", "nginx"), ("io.kubernetes.pod.name", "web-7d")]
    );
    let state = recorded("podman/var/lib/containers/storage/libpod/bolt_state.db");
    let in_pod = "69f248314b403c7a7b03cb8fc7b664533e8a4e3db721a909fc8ee3e921392c50";
    let found = podman(&from(&state), &[ID.to_owned(), in_pod.to_owned()]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].pod, None);
    assert_eq!(found[1].pod.as_deref(), Some("pod2"));
}
