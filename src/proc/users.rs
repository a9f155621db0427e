//! Names of users, from the passwd(5) file.
//!
//! The release binary is static, so there is no name service switch to ask; the file is also what is right when it is somebody
//! else's. Users that only a directory server knows are shown by number.

use std::collections::HashMap;
use std::path::Path;

use crate::model::Uid;
use crate::model::id::parse_decimal;

/// The names of users by uid.
#[derive(Clone, Debug, Default)]
pub struct Users {
    names: HashMap<Uid, String>,
}

impl Users {
    /// Reads the file; one that cannot be read knows nobody.
    pub fn read(path: &Path) -> Users {
        Users::parse(&std::fs::read(path).unwrap_or_default())
    }

    /// Parses the text of the file. Of several lines for a uid the first counts, as for getpwuid(3); names that are not UTF-8
    /// are passed over.
    pub fn parse(text: &[u8]) -> Users {
        let mut names = HashMap::new();
        for line in text.split(|&byte| byte == b'\n') {
            let mut fields = line.split(|&byte| byte == b':');
            let (Some(name), Some(uid)) = (fields.next(), fields.nth(1)) else { continue };
            if let (Ok(name), Some(uid)) = (std::str::from_utf8(name), parse_decimal(uid))
                && !name.is_empty()
            {
                names.entry(Uid(uid)).or_insert_with(|| name.to_owned());
            }
        }
        Users { names }
    }

    /// Returns the name of a user.
    pub fn name(&self, uid: Uid) -> Option<&str> {
        self.names.get(&uid).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_line_of_a_uid_counts() {
        let users =
            Users::parse(b"root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:\n# note\nbad\n:x:5:5:\nx:y:z\n\xff:x:6:6\n");
        assert_eq!(users.name(Uid(0)), Some("root"));
        assert_eq!(users.name(Uid(5)), None);
        assert_eq!(users.name(Uid(6)), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Users::parse(&text);
        }
    }
}
