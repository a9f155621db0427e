//! Names in made-up catalogs.

use super::*;
use crate::model::NsArray;

const ID: &str = "3f2a9c0000000000000000000000000000000000000000000000000000000001";
const OTHER: &str = "3f2affff00000000000000000000000000000000000000000000000000000002";

fn sandbox(pid: u32, engine: &'static str, name: &str, parent: Option<usize>) -> Sandbox {
    Sandbox {
        engine: Some(engine),
        id: None,
        name: Some(name.to_owned()),
        verified: true,
        image: None,
        labels: Vec::new(),
        pod: None,
        pid: Pid(pid),
        start_time_ticks: 0,
        nspids: Vec::new(),
        ns: NsArray::default(),
        uid: Some(Uid(0)),
        members: vec![Pid(pid)],
        cgroup: None,
        parent,
    }
}

fn catalog(sandboxes: Vec<Sandbox>) -> Catalog {
    Catalog::new(sandboxes)
}

fn wanted(text: &str) -> Wanted {
    match text.parse() {
        Ok(Target::Container(wanted)) => wanted,
        other => panic!("{text}: {other:?}"),
    }
}

fn pid(catalog: &Catalog, text: &str) -> Result<u32, TargetError> {
    find(catalog, &wanted(text), Uid(0)).map(|place| catalog.sandboxes[place].pid.0)
}

#[test]
fn names_ids_and_what_ids_begin_with() {
    let mut one = sandbox(1, "docker", "web", None);
    one.id = Some(ID.to_owned());
    let mut two = sandbox(2, "podman", "3f2a", None);
    two.id = Some(OTHER.to_owned());
    let catalog = catalog(vec![one, two]);
    for (text, found) in
        [("web", 1), ("docker:web", 1), (ID, 1), ("3f2a9c", 1), ("3F2A9C", 1), ("3f2aff", 2), ("podman:3f2aff", 2)]
    {
        assert_eq!(pid(&catalog, text), Ok(found), "{text}");
    }
    // A name is meant before what an id begins with.
    assert_eq!(pid(&catalog, "3f2a"), Ok(2));
    for text in ["docker:3f2aff", "3f2", "we", "3f2a9d", "web/web"] {
        assert!(matches!(pid(&catalog, text), Err(TargetError::NoContainer(..))), "{text}");
    }
}

#[test]
fn nothing_is_guessed() {
    let catalog = catalog(vec![sandbox(1, "docker", "web", None), sandbox(2, "podman", "web", None)]);
    let Err(TargetError::Containers(_, all)) = pid(&catalog, "web") else { panic!("one was chosen") };
    assert_eq!(all.iter().map(|one| one.target.as_str()).collect::<Vec<_>>(), ["docker:web", "podman:web"]);
    assert_eq!(pid(&catalog, "podman:web"), Ok(2));
}

#[test]
fn what_is_inside_has_to_be_named_so() {
    let all = vec![
        sandbox(1, "docker", "dind", None),
        sandbox(2, "docker", "web", Some(0)),
        sandbox(3, "docker", "deep", Some(1)),
        sandbox(4, "lxc", "box", None),
    ];
    let catalog = catalog(all);
    assert_eq!(pid(&catalog, "dind/web"), Ok(2));
    assert_eq!(pid(&catalog, "dind/web/deep"), Ok(3));
    assert_eq!(pid(&catalog, "docker:dind/web"), Ok(2));
    let Err(TargetError::NoContainer(_, alike)) = pid(&catalog, "web") else { panic!("what is inside was taken") };
    assert_eq!(alike, ["dind/web"]);
    assert!(pid(&catalog, "box/web").is_err());
}

#[test]
fn ones_own_and_what_is_verified_come_first() {
    let others = Sandbox { uid: Some(Uid(1000)), ..sandbox(1, "podman", "web", None) };
    let claimed = Sandbox { verified: false, ..sandbox(2, "docker", "web", None) };
    let all = catalog(vec![others.clone(), claimed.clone(), sandbox(3, "docker", "web", None)]);
    assert_eq!(pid(&all, "web"), Ok(3));
    // Nor is somebody else's name what the id of one's own begins with.
    let mut mine = sandbox(4, "docker", "db", None);
    mine.id = Some(ID.to_owned());
    let taken = Sandbox { uid: Some(Uid(1000)), ..sandbox(5, "podman", &ID[..12], None) };
    assert_eq!(pid(&catalog(vec![mine, taken]), &ID[..12]), Ok(4));
    assert_eq!(pid(&catalog(vec![others.clone()]), "web"), Ok(1));
    assert_eq!(pid(&catalog(vec![claimed]), "web"), Ok(2));
    assert!(pid(&catalog(vec![others.clone(), others]), "web").is_err());
}

#[test]
fn a_pod_is_its_only_container_that_does_something() {
    let of = |pid: u32, name: &str, container: &str| {
        let pod = crate::engine::record::Pod { namespace: Some("shop".to_owned()), name: name.to_owned() };
        Sandbox { pod: Some(pod), ..sandbox(pid, "containerd", container, None) }
    };
    let catalog = catalog(vec![
        of(1, "a", "pause"),
        of(2, "a", "app"),
        of(3, "b", "pause"),
        of(4, "b", "x"),
        of(5, "b", "y"),
        of(6, "c", "pause"),
    ]);
    for (text, found) in [("pod:shop/a", 2), ("pod:shop/a/pause", 1), ("pod:shop/b/x", 4), ("pod:shop/c", 6)] {
        assert_eq!(pid(&catalog, text), Ok(found), "{text}");
    }
    let Err(TargetError::Containers(_, all)) = pid(&catalog, "pod:shop/b") else { panic!("one was chosen") };
    assert_eq!(all[0].target, "pod:shop/b/x");
    assert!(matches!(pid(&catalog, "pod:shop/d"), Err(TargetError::NoContainer(..))));
    let Err(TargetError::Containers(..)) = pid(&catalog, "pause") else { panic!("one was chosen") };
}

#[test]
fn slips_are_told_from_other_words() {
    for (meant, typed) in [("web", "wbe"), ("web", "WEB"), ("web-1", "web-2"), ("database", "datbase"), ("web", "we")] {
        assert!(is_slip(meant, typed), "{typed}");
    }
    for (meant, typed) in [("web", "db"), ("web", "x"), ("redis", "rabbit"), ("web", "")] {
        assert!(!is_slip(meant, typed), "{typed}");
    }
}
