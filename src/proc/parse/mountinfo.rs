//! `/proc/PID/mountinfo`, see proc_pid_mountinfo(5).

use std::borrow::Cow;

use crate::model::id::parse_decimal;

/// One mount, with its text as the file has it: space, tab, newline and backslash are octal escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountLine<'a> {
    /// The id of the mount (field 1), which fdinfo names, too.
    pub id: u32,
    /// The id of the mount that it is mounted on (field 2); one that the file does not list is outside of what the process sees.
    pub parent: u32,
    /// The device of the file system (field 3): major and minor.
    pub device: (u32, u32),
    /// The root of the mount within its file system (field 4); for nsfs the name of the namespace.
    pub root: &'a [u8],
    /// The mount point, relative to the root of the process whose file this is (field 5).
    pub point: &'a [u8],
    /// The options of the mount (field 6).
    pub options: &'a [u8],
    /// The optional fields (field 7 on), with the spaces between them: how the mount propagates.
    pub propagation: &'a [u8],
    /// What is mounted (second field behind the hyphen).
    pub source: &'a [u8],
    /// The type of the file system (first field behind the hyphen).
    pub fs_type: &'a [u8],
    /// The options of the file system (third field behind the hyphen).
    pub super_options: &'a [u8],
}

/// Goes through the mounts of the file; lines that are none are passed over.
pub fn mountinfo(text: &[u8]) -> impl Iterator<Item = MountLine<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(line)
}

fn line(line: &[u8]) -> Option<MountLine<'_>> {
    // The optional fields end at a lone hyphen; their number varies.
    let hyphen = line.windows(3).position(|window| window == b" - ")?;
    let (head, tail) = (&line[..hyphen], &line[hyphen + 3..]);
    let mut fields = head.splitn(7, |&byte| byte == b' ');
    let id = parse_decimal(fields.next()?)?;
    let parent = parse_decimal(fields.next()?)?;
    let mut numbers = fields.next()?.split(|&byte| byte == b':').map(parse_decimal);
    let device = (numbers.next()??, numbers.next()??);
    let (root, point, options) = (fields.next()?, fields.next()?, fields.next()?);
    let propagation = fields.next().unwrap_or_default();
    let mut fields = tail.split(|&byte| byte == b' ');
    let (fs_type, source, super_options) = (fields.next()?, fields.next()?, fields.next()?);
    Some(MountLine { id, parent, device, root, point, options, propagation, fs_type, source, super_options })
}

/// Replaces the octal escapes of a field by the bytes they stand for.
pub fn unescape_octal(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(field);
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        match tail.first_chunk::<3>() {
            Some(&[a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7']) if first == b'\\' => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = &tail[3..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bind_mount_on_nsfs_is_found_among_others() {
        let text = b"22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=invisible\n\
            36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:7 - ext3 /dev/root rw,errors=continue\n\
            500 27 0:4 net:[4026532184] /run/netns/a\\040b\\134\\012 rw shared:9 - nsfs nsfs rw\n\
            garbage\n1 2 3\n";
        let mounts: Vec<_> = mountinfo(text).collect();
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[0].super_options, b"rw,hidepid=invisible");
        assert_eq!(mounts[1].fs_type, b"ext3");
        assert_eq!((mounts[1].id, mounts[1].parent, mounts[1].device), (36, 35, (98, 0)));
        assert_eq!((mounts[1].options, mounts[1].source), (&b"rw,noatime"[..], &b"/dev/root"[..]));
        assert_eq!((mounts[1].propagation, mounts[0].propagation), (&b"master:1 propagate_from:7"[..], &b""[..]));
        let nsfs = mounts[2];
        assert_eq!((nsfs.root, nsfs.fs_type), (&b"net:[4026532184]"[..], &b"nsfs"[..]));
        assert_eq!(&*unescape_octal(nsfs.point), b"/run/netns/a b\\\n");
    }

    #[test]
    fn escapes_that_are_none_stay() {
        for text in ["\\", "\\0", "\\04", "\\049", "\\400", "a\\x40", "\\\\"] {
            assert_eq!(&*unescape_octal(text.as_bytes()), text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn every_path_is_read_back(path in proptest::collection::vec(1u8.., 0..60)) {
            let escaped: Vec<u8> = path
                .iter()
                .flat_map(|&byte| match byte {
                    b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
                    _ => vec![byte],
                })
                .collect();
            prop_assert_eq!(&*unescape_octal(&escaped), &path[..]);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            for mount in mountinfo(&text) {
                let _ = unescape_octal(mount.point);
            }
        }
    }
}
