//! Small files of a process: `attr/current`, see proc_pid_attr(5), and `timens_offsets`, see time_namespaces(7).

use crate::model::isolation::Label;

/// Parses the label that a security module has given to a process; `module` is the one whose file it is, if that is known.
pub fn label(text: &[u8], module: Option<&'static str>) -> Label {
    // SELinux ends it with NUL, AppArmor with a newline.
    let end = text.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(text.len());
    let text = &text[..end];
    // AppArmor puts the mode behind it: docker-default (enforce).
    let open = text.windows(2).rposition(|window| window == b" (").filter(|_| text.ends_with(b")"));
    let is_context = || text.iter().filter(|&&byte| byte == b':').count() >= 2;
    let module = module.or_else(|| match open {
        Some(_) => Some("apparmor"),
        None if is_context() => Some("selinux"),
        None if text == b"unconfined" => Some("apparmor"),
        None => None,
    });
    match open.filter(|_| module == Some("apparmor")) {
        Some(open) => {
            Label { module, text: text[..open].to_vec(), mode: Some(text[open + 2..text.len() - 1].to_vec()) }
        }
        None => Label { module, text: text.to_vec(), mode: None },
    }
}

/// Parses the offsets of a time namespace: seconds and nanoseconds, of the monotonic and of the boot clock.
pub fn timens_offsets(text: &[u8]) -> Option<[(i64, u32); 2]> {
    let text = std::str::from_utf8(text).ok()?;
    let of = |clock: &str, number: &str| {
        let line = text.lines().find(|line| {
            let first = line.split_whitespace().next();
            first == Some(clock) || first == Some(number)
        })?;
        let mut words = line.split_whitespace().skip(1);
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    // Clocks have names since Linux 5.6; the numbers are those of clock_gettime(2).
    Some([of("monotonic", "1")?, of("boottime", "7")?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_are_those_of_their_module() {
        for (text, known, module, label_text, mode) in [
            ("docker-default (enforce)\n", Some("apparmor"), Some("apparmor"), "docker-default", Some("enforce")),
            ("a (b) (complain)\n", None, Some("apparmor"), "a (b)", Some("complain")),
            ("unconfined\n", None, Some("apparmor"), "unconfined", None),
            (
                "system_u:system_r:container_t:s0:c1,c2\0",
                None,
                Some("selinux"),
                "system_u:system_r:container_t:s0:c1,c2",
                None,
            ),
            ("_", Some("smack"), Some("smack"), "_", None),
            ("x", None, None, "x", None),
        ] {
            let found = label(text.as_bytes(), known);
            assert_eq!((found.module, &found.text[..]), (module, label_text.as_bytes()), "{text}");
            assert_eq!(found.mode.as_deref(), mode.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn offsets_are_read() {
        let text = b"monotonic           0         0\nboottime      -604800       500\n";
        assert_eq!(timens_offsets(text), Some([(0, 0), (-604_800, 500)]));
        assert_eq!(timens_offsets(b"monotonic 0 0\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (label(&text, None), label(&text, Some("apparmor")), timens_offsets(&text));
        }
    }
}
