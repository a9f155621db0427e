//! Tests of what is chosen, without any cgroup.

use super::*;

#[test]
fn on_v2_it_is_made_beside_the_callers_own() {
    let of = |own: &str, top: &str, version| -> Vec<String> {
        let all = candidates(own.as_bytes(), top.as_bytes(), version);
        all.into_iter().map(|path| String::from_utf8(path.to_vec()).expect("UTF-8")).collect()
    };
    assert_eq!(of("/", "/", Version::V2), ["/"]);
    assert_eq!(of("/a/b", "/", Version::V2), ["/a", "/a/b"]);
    assert_eq!(of("/a", "/a", Version::V2), ["/a"], "what is above cannot be reached");
    assert_eq!(of("/a/b", "/", Version::V1), ["/a/b"]);
}

#[test]
fn a_name_lies_below_its_parent() {
    let name = CString::new("nsx-1").expect("a name");
    assert_eq!(below(b"/", &name), b"/nsx-1");
    assert_eq!(below(b"/a", &name), b"/a/nsx-1");
    assert!(CgroupPlan::new("a/b").is_err() && CgroupPlan::new("a\0b").is_err());
}
