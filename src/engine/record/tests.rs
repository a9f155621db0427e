//! What records say, and what is none.

use proptest::prelude::*;

use super::*;

const ID: &str = "3f2a9c0000000000000000000000000000000000000000000000000000000001";

#[test]
fn dockers_record() {
    let text = format!(
        r#"{{"ID":"{ID}","Name":"/web","State":{{"Running":true,"Pid":4242}},"Config":{{"Image":"nginx:1","Env":["SECRET=x"],"Labels":{{"a":"b","io.kubernetes.pod.name":"p","io.kubernetes.pod.namespace":"n"}}}}}}"#
    );
    let found = docker(text.as_bytes()).expect("a record");
    assert_eq!((found.name.as_deref(), found.image.as_deref(), found.pid), (Some("web"), Some("nginx:1"), Some(4242)));
    assert_eq!(found.labels["a"], "b");
    assert_eq!(found.pod, Some(Pod { namespace: Some("n".to_owned()), name: "p".to_owned() }));
    // What does not run has pid 0, and labels may be null.
    let text = format!(r#"{{"ID":"{ID}","Name":"","State":{{"Pid":0}},"Config":{{"Labels":null}}}}"#);
    let found = docker(text.as_bytes()).expect("a record");
    assert_eq!(found, Record { id: Some(ID.to_owned()), ..Record::default() });
}

#[test]
fn a_store_has_the_newest_name_first() {
    let text = format!(
        r#"[{{"id":"{ID}","names":["new","old"],"metadata":"{{\"image-name\":\"localhost/bb:1\",\"name\":\"old\"}}"}},{{"id":"x"}}]"#
    );
    let found = storage(text.as_bytes());
    assert_eq!((found[0].name.as_deref(), found[0].image.as_deref()), (Some("new"), Some("localhost/bb:1")));
    assert_eq!((found.len(), &found[1].name), (2, &None));
}

#[test]
fn bundles_tell_pods_and_where_docker_keeps_its_records() {
    let text = format!(
        r#"{{"annotations":{{"io.kubernetes.cri.container-name":"nginx","io.kubernetes.cri.container-type":"container","io.kubernetes.cri.image-name":"i","io.kubernetes.cri.sandbox-name":"p","io.kubernetes.cri.sandbox-namespace":"n"}},
            "mounts":[{{"destination":"/proc"}},{{"destination":"/etc/hosts","source":"/srv/docker/containers/{ID}/hosts"}}]}}"#
    );
    let found = bundle(text.as_bytes()).expect("a bundle");
    assert_eq!(found.record.name.as_deref(), Some("nginx"));
    assert_eq!(found.record.pod.map(|pod| pod.name).as_deref(), Some("p"));
    assert_eq!(found.docker_folder.as_deref(), Some("/srv/docker/containers"));
    let text = br#"{"annotations":{"io.kubernetes.cri-o.ContainerType":"sandbox","io.kubernetes.container.name":"POD"},"mounts":[{"destination":"/etc/hosts","source":"/x/y/z"}]}"#;
    let found = bundle(text).expect("a bundle");
    assert_eq!((found.record.name.as_deref(), found.docker_folder), (Some("pause"), None));
}

#[test]
fn runtimes_name_the_first_process() {
    let text =
        br#"{"id":"web","init_process_pid":7,"init_process_start":99,"config":{"labels":["a=b","bundle=/x","odd"]}}"#;
    let found = runc(text).expect("a state");
    assert_eq!((found.id.as_deref(), found.pid, found.start_time_ticks), (Some("web"), Some(7), Some(99)));
    assert_eq!(found.labels.into_iter().collect::<Vec<_>>(), [("a".to_owned(), "b".to_owned())]);
    let found = crun("web", br#"{"pid":7,"process-start-time":99,"bundle":"/x"}"#).expect("a status");
    assert_eq!((found.id.as_deref(), found.pid, found.start_time_ticks), (Some("web"), Some(7), Some(99)));
}

#[test]
fn machines_are_lines() {
    let found =
        machine(b"# a comment\nNAME=web\nLEADER=42\nSERVICE=systemd-nspawn\nCLASS=container\n").expect("a machine");
    assert_eq!((found.name.as_deref(), found.pid, found.engine), (Some("web"), Some(42), Some("nspawn")));
    assert_eq!(machine(b"NAME=web\nLEADER=x\n"), None);
    assert_eq!(machine(b"NAME=\xff\nLEADER=1\n"), None);
    assert_eq!((pid(b"42\n"), pid(b"42 "), pid(b""), pid(b"-1")), (Some(42), Some(42), None, None));
}

#[test]
fn what_is_no_record_is_none() {
    for text in [&b""[..], b"{", b"[]", b"7", b"null", b"{\"ID\":7}", b"\xff", b"{\"id\":\"x\"}"] {
        assert_eq!((docker(text), runc(text), crun("x", text)), (None, None, None), "{text:?}");
        assert_eq!(storage(text), [], "{text:?}");
    }
    let deep = [vec![b'['; 1 << 20], vec![b']'; 1 << 20]].concat();
    assert_eq!((docker(&deep), bundle(&deep).is_none(), storage(&deep)), (None, true, vec![]));
}

proptest! {
    #[test]
    fn no_text_makes_them_panic(text in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for text in [text.as_bytes(), &bytes, format!("{{\"ID\":{text:?},\"Name\":{text:?}}}").as_bytes(), format!("[{{\"id\":\"\",\"metadata\":{text:?}}}]").as_bytes()] {
            let _ = (docker(text), storage(text), bundle(text), runc(text), crun("x", text), machine(text), pid(text));
        }
    }
}
