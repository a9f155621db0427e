//! Who the command is: user, group, supplementary groups, capabilities. See credentials(7), user_namespaces(7), capabilities(7).
//!
//! An id that a user namespace does not map is nobody in there, and still what it is outside: whoever traces a process that has it, has it.
//! So no id of a privileged caller's is taken along unless that was asked for.

use super::super::request::{Caps, Id};
use super::{Action, Maker, PlanError, UserFacts};
use crate::model::CapSet;
use crate::proc::parse::{Credentials, IdMap};

impl Maker<'_> {
    /// Adds the steps that change ids and capabilities; `user` says whether a user namespace is entered.
    pub(super) fn take_ids(&mut self, user: bool) -> Result<(), PlanError> {
        let request = self.request;
        let credentials = self.facts.target.as_ref().and_then(|target| target.credentials);
        // What could not be read maps nobody.
        let unknown = UserFacts::default();
        let ids = user.then(|| self.facts.ids.as_ref().unwrap_or(&unknown));
        let gid = self.id("gid", request.gid, ids, |ids| &ids.gids, |theirs| theirs.gid, self.facts.gid)?;
        let uid = self.id("uid", request.uid, ids, |ids| &ids.uids, |theirs| theirs.uid, self.facts.uid)?;
        let denied = ids.is_some_and(|ids| ids.setgroups_denied);
        let dropped = self.steps.iter().any(|step| step.action == Action::DropGroups);
        let limited = self.limit_caps(credentials.as_ref())?;
        let root = uid.or_else(|| ids.map_or(Some(self.facts.uid), |ids| ids.uids.inside(self.facts.uid))) == Some(0);
        if let Some((_, bounding)) = limited {
            let why = "nothing gives them back, not even a set-user-ID program";
            self.step(Action::DropBounding(self.facts.all_caps & !bounding), why);
        }
        if let Some(gid) = gid {
            match (dropped, denied) {
                // Outside, where it is possible for sure.
                (true, _) => {}
                (false, true) => {
                    let note = "setgroups(2) is denied in the user namespace: supplementary groups are kept";
                    self.notes.push(note.to_owned());
                }
                (false, false) => self.step(Action::DropGroups, "those of the caller mean nothing to the target"),
            }
            self.step(Action::SetGid(gid), why_id(request.gid, gid));
        }
        if let Some(uid) = uid {
            self.step(Action::SetUid(uid), why_id(request.uid, uid));
        }
        if let Some((kept, _)) = limited {
            self.step(Action::LimitCaps { kept, root }, "all others are gone for good");
        } else if request.keep_caps && !root {
            let kept = if user { self.facts.all_caps } else { self.facts.caps };
            self.step(Action::KeepCaps(kept), "a command that is not root keeps only ambient capabilities");
        }
        let target_nnp = request.caps == Some(Caps::Target) && credentials.is_some_and(|theirs| theirs.no_new_privs);
        if target_nnp {
            self.step(Action::NoNewPrivs, "as the target");
        }
        Ok(())
    }

    /// Returns the id to change to; `None` keeps the caller's.
    ///
    /// Whoever enters a user namespace is root in it, if it has a root. Otherwise the caller's id is kept if it means the same in there, or is
    /// the target's anyhow. Any other id of the caller's, root's above all, would come in as nobody and count outside as what it is, for
    /// whoever in there traces the command: then it is the target's.
    fn id(
        &self,
        what: &'static str,
        asked: Option<Id>,
        ids: Option<&UserFacts>,
        map: fn(&UserFacts) -> &IdMap,
        theirs: fn(&Credentials) -> u32,
        own: u32,
    ) -> Result<Option<u32>, PlanError> {
        let target = self.facts.target.as_ref().and_then(|target| target.credentials.as_ref()).map(theirs);
        match (asked, ids) {
            (Some(Id::Number(number)), _) => Ok(Some(number)),
            (Some(Id::Follow), _) => {
                let outside = target.ok_or(PlanError::NoProcess("follow"))?;
                match ids {
                    Some(ids) => map(ids).inside(outside).map(Some).ok_or(PlanError::Unmapped(what, outside)),
                    None => Ok(Some(outside)),
                }
            }
            (None, None) => Ok(None),
            (None, Some(_)) if self.request.preserve_credentials => Ok(None),
            (None, Some(ids)) if map(ids).has(0) => Ok(Some(0)),
            (None, Some(ids)) if map(ids).inside(own).is_some() || target == Some(own) => Ok(None),
            (None, Some(ids)) => match target.and_then(|outside| map(ids).inside(outside)) {
                Some(inside) => Ok(Some(inside)),
                // What an ordinary user may enter is that user's own; anything else the kernel refuses.
                None if !self.facts.caps.contains(CapSet::SYS_ADMIN) => Ok(None),
                None => Err(PlanError::NoId(what)),
            },
        }
    }

    /// Returns the capabilities that the command is left, and the bounding set.
    fn limit_caps(&self, credentials: Option<&Credentials>) -> Result<Option<(CapSet, CapSet)>, PlanError> {
        Ok(match self.request.caps {
            None => None,
            Some(Caps::Only(caps)) => Some((caps, caps)),
            Some(Caps::Target) => {
                let theirs = credentials.ok_or(PlanError::NoProcess("--caps target"))?;
                Some((theirs.effective, theirs.bounding))
            }
        })
    }
}

fn why_id(id: Option<Id>, number: u32) -> &'static str {
    match id {
        Some(Id::Number(_)) => "as asked for",
        Some(Id::Follow) => "the target's",
        None if number == 0 => "whoever enters a user namespace is its root",
        None => "the target's: the user namespace has no root, and the caller's would count outside",
    }
}
