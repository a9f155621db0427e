//! Whom the command runs as: names and numbers looked up in the passwd(5) and group(5) of the root directory that it runs in. Pure.
//!
//! Not here: reading those files, which somebody else may have made (`run` opens them below that root), and whether the ids exist in the
//! user namespace (`run::ids`).

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;

use super::{NameOrId, User};
use crate::proc::accounts::{self, PasswdLine};

/// An id that is none: the kernel takes it for "leave as it is".
const NO_ID: u32 = u32::MAX;

/// Whom the command runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The uid.
    pub uid: u32,
    /// The gid.
    pub gid: u32,
    /// The supplementary groups: those of group(5) that name the user; none where it was given by number.
    pub groups: Vec<u32>,
    /// The name, where the root directory has one for the uid.
    pub name: Option<OsString>,
    /// The home directory, where passwd(5) says one.
    pub home: Option<OsString>,
}

/// Why there is no such account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserError {
    /// /etc/passwd of the root directory has no such user.
    NoUser(String),
    /// /etc/group of the root directory has no such group.
    NoGroup(String),
    /// The number stands for no id.
    NoId(u32),
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserError::NoUser(name) => {
                write!(f, "no user {} in the /etc/passwd of the root directory", name.escape_debug())
            }
            UserError::NoGroup(name) => {
                write!(f, "no group {} in the /etc/group of the root directory", name.escape_debug())
            }
            UserError::NoId(id) => write!(f, "{id} is no id: it stands for none, see setresuid(2)"),
        }
    }
}

impl std::error::Error for UserError {}

/// Looks a user up. Of several lines the first counts.
///
/// # Errors
/// A name that the text does not have. A number need not be there.
pub fn account(user: &User, passwd: &[u8], group: &[u8]) -> Result<Account, UserError> {
    let line = match &user.user {
        NameOrId::Id(NO_ID) => return Err(UserError::NoId(NO_ID)),
        NameOrId::Id(uid) => accounts::passwd(passwd).find(|line| line.uid == *uid),
        NameOrId::Name(name) => {
            let found = accounts::passwd(passwd).find(|line| line.name == name.as_bytes() && line.uid != NO_ID);
            Some(found.ok_or_else(|| UserError::NoUser(name.clone()))?)
        }
    };
    let uid = match user.user {
        NameOrId::Id(uid) => uid,
        NameOrId::Name(_) => line.map(|line| line.uid).unwrap_or_default(),
    };
    let gid = match &user.group {
        Some(NameOrId::Id(NO_ID)) => return Err(UserError::NoId(NO_ID)),
        Some(NameOrId::Id(gid)) => *gid,
        Some(NameOrId::Name(name)) => {
            let found = accounts::group(group).find(|line| line.name == name.as_bytes() && line.gid != NO_ID);
            found.ok_or_else(|| UserError::NoGroup(name.clone()))?.gid
        }
        None => line.map(|line| line.gid).filter(|gid| *gid != NO_ID).unwrap_or(uid),
    };
    let mut groups: Vec<u32> = Vec::new();
    if let NameOrId::Name(name) = &user.user {
        let named = accounts::group(group).filter(|line| line.has_member(name.as_bytes()) && line.gid != NO_ID);
        for line in named {
            if !groups.contains(&line.gid) {
                groups.push(line.gid);
            }
        }
    }
    let text = |part: fn(&PasswdLine<'_>) -> Vec<u8>| {
        line.as_ref().map(part).filter(|text| !text.is_empty()).map(OsString::from_vec)
    };
    Ok(Account { uid, gid, groups, name: text(|line| line.name.to_vec()), home: text(|line| line.home.to_vec()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0::/r:/bin/bash\nal:x:1000:100:Al:/h/al:/bin/zsh\nal:x:5:5::/:\nno:x:4294967295:1::/:\n7:x:70:71::/seven:\n";
    const GROUP: &[u8] =
        b"root:x:0:\nusers:x:100:\nwheel:x:10:bob,al\nvideo:x:44:al\nagain:x:10:al\nnone:x:4294967295:al\n";

    fn user(user: NameOrId, group: Option<NameOrId>) -> User {
        User { user, group }
    }

    fn name(name: &str) -> NameOrId {
        NameOrId::Name(name.to_owned())
    }

    fn ids(user: User) -> Result<(u32, u32, Vec<u32>), UserError> {
        account(&user, PASSWD, GROUP).map(|found| (found.uid, found.gid, found.groups))
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        assert_eq!(ids(user(name("al"), None)), Ok((1000, 100, vec![10, 44])));
        assert_eq!(ids(user(name("al"), Some(name("video")))), Ok((1000, 44, vec![10, 44])));
        assert_eq!(ids(user(name("al"), Some(NameOrId::Id(9)))), Ok((1000, 9, vec![10, 44])));
        assert_eq!(ids(user(NameOrId::Id(1000), None)), Ok((1000, 100, vec![])));
        assert_eq!(ids(user(NameOrId::Id(1234), None)), Ok((1234, 1234, vec![])));
        assert_eq!(ids(user(NameOrId::Id(1234), Some(name("users")))), Ok((1234, 100, vec![])));
        // A name of digits is a name where it was given as one.
        assert_eq!(ids(user(name("7"), None)), Ok((70, 71, vec![])));
        let found = account(&user(NameOrId::Id(1000), None), PASSWD, GROUP).expect("al");
        assert_eq!((found.name, found.home), (Some("al".into()), Some("/h/al".into())));
        let found = account(&user(name("7"), None), PASSWD, GROUP).expect("seven");
        assert_eq!(found.home, Some("/seven".into()));
        let found = account(&user(NameOrId::Id(0), None), b"", b"").expect("a number");
        assert_eq!(found, Account::default());
    }

    #[test]
    fn what_is_not_there_is_named_with_its_file() {
        let error = |user| ids(user).expect_err("none").to_string();
        assert_eq!(error(user(name("eve\n"), None)), "no user eve\\n in the /etc/passwd of the root directory");
        assert_eq!(error(user(name("al"), Some(name("x")))), "no group x in the /etc/group of the root directory");
        assert_eq!(error(user(name("no"), None)), "no user no in the /etc/passwd of the root directory");
        assert_eq!(error(user(NameOrId::Id(NO_ID), None)), "4294967295 is no id: it stands for none, see setresuid(2)");
        assert_eq!(ids(user(name("al"), Some(name("none")))), Err(UserError::NoGroup("none".to_owned())));
        assert_eq!(ids(user(name(""), None)), Err(UserError::NoUser(String::new())));
    }

    proptest! {
        #[test]
        fn no_text_panics(passwd in proptest::collection::vec(any::<u8>(), 0..200), group in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = account(&user(name("a"), Some(name("b"))), &passwd, &group);
            let _ = account(&user(NameOrId::Id(1), None), &passwd, &group);
        }
    }
}
