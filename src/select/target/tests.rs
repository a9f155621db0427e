//! The forms of targets, and what they mean on this host.

use proptest::prelude::*;

use super::*;

#[test]
fn every_form_is_known() {
    let id = |inode| NsId::new(inode).expect("not zero");
    let named = |engine, path: &[&str]| {
        Target::Container(Wanted::Named { engine, path: path.iter().map(|name| (*name).to_owned()).collect() })
    };
    let pod = |container: Option<&str>| {
        let container = container.map(str::to_owned);
        Target::Container(Wanted::Pod { namespace: "shop".to_owned(), name: "web-7d".to_owned(), container })
    };
    for (text, target) in [
        ("4242", Target::Number(4242)),
        ("4242:77", Target::PidInode(Pid(4242), 77)),
        ("self", Target::Own),
        ("net:[4026532184]", Target::Namespace(NsName { kind: NsKind::Net, id: id(4_026_532_184) })),
        ("netns:blue", Target::Netns("blue".to_owned())),
        ("/run/netns/blue", Target::File("/run/netns/blue".into())),
        ("./net:[1", Target::File("./net:[1".into())),
        ("../web/7", Target::File("../web/7".into())),
        ("cgroup:/a:b", Target::Cgroup(b"/a:b".to_vec())),
        ("web", named(None, &["web"])),
        ("3f2a9c", named(None, &["3f2a9c"])),
        ("0123", named(None, &["0123"])),
        ("4294967296", named(None, &["4294967296"])),
        ("docker:web", named(Some("docker"), &["web"])),
        ("dind/web", named(None, &["dind", "web"])),
        ("lxc:box/docker.1", named(Some("lxc"), &["box", "docker.1"])),
        ("docker:4242", named(Some("docker"), &["4242"])),
        ("web/7", inside(named(None, &["web"]), Some(7))),
        ("podman:dind/web/7", inside(named(Some("podman"), &["dind", "web"]), Some(7))),
        ("4242/7", inside(Target::Number(4242), Some(7))),
        ("self/1", inside(Target::Own, Some(1))),
        ("nsx:web/7", inside(Target::Sandbox("web".to_owned()), Some(7))),
        ("unit:ssh.service", Target::Unit("ssh.service".to_owned())),
        ("unit:getty@tty1.service/7", inside(Target::Unit("getty@tty1.service".to_owned()), Some(7))),
        ("pod:shop/web-7d", pod(None)),
        ("pod:shop/web-7d/app", pod(Some("app"))),
        ("pod:shop/web-7d/7", inside(pod(None), Some(7))),
        ("pod:shop/web-7d/app/7", inside(pod(Some("app")), Some(7))),
    ] {
        assert_eq!(text.parse(), Ok(target.clone()), "{text}");
        assert_eq!(target.to_string(), text);
    }
}

#[test]
fn what_has_no_form_is_refused() {
    for text in [
        "",
        "-1",
        "+1",
        "1:",
        ":1",
        "1:x",
        "web:1",
        "rkt:web",
        "docker:",
        "docker:a:b",
        "a b",
        "a\tb",
        "net:[]",
        "netns:",
        "netns:..",
        "netns:a/b",
        "cgroup:",
        "cgroup:a",
        "cgroup:/../a",
        "unit:",
        "unit:ssh",
        "unit:a/b.service",
        "pod:",
        "pod:a",
        "pod:a/",
        "pod:a/b/c/d",
        "nsx:",
    ] {
        assert!(matches!(text.parse::<Target>(), Err(TargetError::Form(_))), "{text}");
    }
}

#[test]
fn the_caller_is_found_by_pid_and_by_name() {
    let root = ProcRoot::open(std::path::Path::new("/proc")).expect("/proc");
    for target in [Target::Own, Target::Number(std::process::id())] {
        let Ok(Resolved::Process(process, namespaces)) = resolve(&root, &target) else { panic!("{target:?}") };
        assert_eq!(process.pid.0, std::process::id());
        assert!(namespaces[NsKind::Mnt.index()].is_some());
    }
    assert!(matches!(resolve_process(&root, &Target::Number(u32::MAX)), Err(TargetError::NoProcess(..))));
}

#[test]
fn a_file_that_is_no_namespace_is_not_opened() {
    let root = ProcRoot::open(std::path::Path::new("/proc")).expect("/proc");
    let target = Target::File("/dev/null".into());
    assert!(matches!(resolve(&root, &target), Err(TargetError::NotNamespace(_))));
    let target = Target::File("/proc/self/ns/net".into());
    assert!(matches!(resolve(&root, &target), Ok(Resolved::Namespace(Some(NsKind::Net), _, Some(_)))));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<Target>();
    }
}
