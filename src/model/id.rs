//! What identifies namespaces, processes and users.
//!
//! Not here: how the numbers are obtained. Sources: namespaces(7), proc_pid_ns(5).

use std::fmt;
use std::num::NonZeroU32;

use super::kind::NsKind;

/// The inode number of a namespace on nsfs: its identity for as long as it lives.
///
/// namespaces(7) defines identity as device and inode. All namespaces of a running kernel live on one nsfs superblock, so the
/// device is the same for each and is left out. The kernel keeps the number in an `unsigned int`, hands it out once
/// across all kinds, and reuses it when the namespace has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NsId(NonZeroU32);

impl NsId {
    /// Returns the id for an inode number; zero is none.
    pub const fn new(inode: u32) -> Option<NsId> {
        match NonZeroU32::new(inode) {
            Some(inode) => Some(NsId(inode)),
            None => None,
        }
    }

    /// Returns the inode number.
    pub const fn inode(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for NsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A namespace as the kernel writes it in a link: `net:[4026531840]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NsName {
    /// The kind before the colon.
    pub kind: NsKind,
    /// The inode number in the brackets.
    pub id: NsId,
}

impl NsName {
    /// Parses the text of a `/proc/PID/ns` link, of an fd link on nsfs, or of the root field of a bind mount on nsfs.
    pub fn parse(text: &[u8]) -> Option<NsName> {
        let colon = text.iter().take(7).position(|&byte| byte == b':')?;
        let kind = NsKind::from_name(&text[..colon])?;
        let digits = text[colon + 1..].strip_prefix(b"[")?.strip_suffix(b"]")?;
        let id = NsId::new(parse_decimal(digits)?)?;
        Some(NsName { kind, id })
    }
}

impl fmt::Display for NsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[{}]", self.kind, self.id)
    }
}

/// Parses an unsigned decimal number that is the whole of `digits`: no sign, no space, no overflow.
pub fn parse_decimal<T: TryFrom<u64>>(digits: &[u8]) -> Option<T> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let mut value: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    T::try_from(value).ok()
}

/// The id of a process (thread group), as seen in the pid namespace of the `/proc` it was read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

/// The id of a thread, as seen in the pid namespace of the `/proc` it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tid(pub u32);

/// A user id, as seen in the user namespace of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(pub u32);

macro_rules! display_number {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_number!(Pid, Tid, Uid);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_link_is_parsed_to_its_kind_and_inode() {
        let name = NsName::parse(b"net:[4026531840]").expect("a link");
        assert_eq!((name.kind, name.id.inode()), (NsKind::Net, 4_026_531_840));
        assert_eq!(name.to_string(), "net:[4026531840]");
    }

    #[test]
    fn what_is_no_link_is_refused() {
        for text in [
            "",
            "net",
            "net:",
            "net:[",
            "net:[]",
            "net:[0]",
            "net:[1",
            "net:1]",
            "net:[+1]",
            "net:[ 1]",
            "net:[1] ",
            "socket:[1]",
            "pipe:[1]",
            "net:[4294967296]",
            "/net:[1]",
            "NET:[1]",
            "net:[1]]",
            "pid_for_children:[1]",
        ] {
            assert_eq!(NsName::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_read_back(kind in 0usize..8, inode in 1u32..) {
            let name = NsName { kind: NsKind::ALL[kind], id: NsId::new(inode).expect("not zero") };
            prop_assert_eq!(NsName::parse(name.to_string().as_bytes()), Some(name));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = NsName::parse(&text);
            let _ = parse_decimal::<u32>(&text);
        }
    }
}
