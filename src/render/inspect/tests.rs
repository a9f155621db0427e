//! How facts look that somebody has chosen to make trouble, and on narrow terminals.

use super::*;
use crate::model::isolation::{Descriptors, Ids, Mount, MountRole, Network, Outside, Part, Unseen, Way};
use crate::model::{Isolation, Pid};
use crate::proc::ProcRoot;
use crate::render::text::is_unsafe;

const HARM: &[u8] =
    b"\x1b[31m\xff\n\xe2\x80\xae a very long name that somebody has given to something, with words and\x07 without";

fn hostile() -> Isolation {
    let mount = |role| Mount {
        role,
        point: HARM.to_vec(),
        root: HARM.to_vec(),
        fs_type: HARM.to_vec(),
        source: HARM.to_vec(),
        options: b"rw,nosuid".to_vec(),
        super_options: b"rw".to_vec(),
        device: (1, 2),
        propagation: HARM.to_vec(),
        host_path: Some(HARM.to_vec()),
    };
    let roles = [MountRole::Root, MountRole::Host, MountRole::Device, MountRole::Other, MountRole::Masked];
    let ways = [Way::File, Way::Directory, Way::Process(None), Way::Process(Some(Pid(7))), Way::Kernel];
    let outside = |(fd, way)| Outside { fd, way, link: HARM.to_vec(), writable: false };
    let mut facts = Isolation {
        root: Some(HARM.to_vec()),
        cwd: Some(HARM.to_vec()),
        mounts: Some(roles.map(mount).into()),
        mounts_hidden: 3,
        network: Some(Network { links: vec![HARM.to_vec()], addresses: Vec::new() }),
        descriptors: Some(Descriptors {
            total: 5,
            files: 5,
            outside: (0..).zip(ways).map(outside).collect(),
            outside_more: 9,
            cut: true,
            ..Descriptors::default()
        }),
        unseen: vec![Unseen { part: Part::Namespaces, errno: Some("EACCES") }],
        ..Isolation::default()
    };
    facts.identity.comm = HARM.to_vec();
    facts.identity.arguments = vec![HARM.to_vec(); 3];
    facts.identity.exe = Some([HARM, b" (deleted)"].concat());
    facts.ids = Ids { groups: (0..100).collect(), uid_map: Some(vec![[0, 5, 1]; 40]), ..Ids::default() };
    facts
}

fn text(facts: Isolation, look: Look) -> String {
    let root = ProcRoot::open(std::path::Path::new("/proc")).expect("/proc");
    let cgroups = Cgroups::open(&root).expect("hierarchies");
    let inspected = Inspected { facts, subject: None };
    let mut printed = Vec::new();
    View::new(&inspected, &cgroups, &Users::default()).text(look, &mut printed).expect("memory");
    String::from_utf8(printed).expect("UTF-8")
}

#[test]
fn no_line_is_too_long_and_nothing_gets_through() {
    for width in [40, 80, 200] {
        for all in [false, true] {
            let printed = text(hostile(), Look { all, width: Some(width), color: false });
            for line in printed.lines() {
                assert!(columns(line) <= width, "{width}: {line}");
                assert!(!line.chars().any(is_unsafe), "{line:?}");
            }
        }
    }
    // Where nothing is cut all is there.
    let printed = text(hostile(), Look { all: true, width: None, color: false });
    assert!(
        !printed.contains('…') && printed.contains("and 9 more") && printed.contains("3 more, which others lie over")
    );
}

#[test]
fn colours_are_those_of_nsx_alone() {
    let printed = text(hostile(), Look { all: false, width: Some(80), color: true });
    assert!(printed.contains("\x1b[1m") && !printed.contains("\x1b[31m\\xff"), "{printed:?}");
    for sequence in printed.split('\x1b').skip(1) {
        let end = sequence.find('m').expect("an end");
        assert!(
            sequence[..end].trim_start_matches('[').chars().all(|one| one.is_ascii_digit() || one == ';'),
            "{sequence:?}"
        );
    }
}
