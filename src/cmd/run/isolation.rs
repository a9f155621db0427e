//! Isolation of `nsx run`: namespaces, ids, capabilities, and what else keeps the command from the host.
//!
//! Not here: parsers of the values (`value`), what is done for it (`launch::run`). Sources: namespaces(7), user_namespaces(7),
//! time_namespaces(7), capabilities(7).

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::value;
use crate::cmd::UsageError;
use crate::launch::run::{Net, TimeOffset, User, UserNs};
use crate::model::{CapSet, KindSet, NsKind};
use value::{Clock, ClockOffset, IdMap, NetParser, ShareParser, UserNsWord};

/// The options on isolation.
#[derive(Args, Debug)]
#[command(next_help_heading = "Isolation options")]
pub struct IsolationArgs {
    /// Share these kinds of namespace with the caller (can be repeated, or separated by commas)
    ///
    /// Of cgroup, ipc, net, pid, time and uts. To share net is the same as --net host.
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = ShareParser)]
    pub share: Vec<NsKind>,

    /// Which ids outside those inside are: auto, root, keep, host, or map=IN:OUT:COUNT,…
    ///
    /// `auto` makes the command root on ids that nobody else has: for root a range of its own, for others the subordinate ids of subuid(5),
    /// and without these the caller's id alone. `root`: root inside is the caller, and there is no other id; for root the same as `auto`.
    /// `keep`: the caller is itself inside, and there is no other id. `host`: no user namespace. `map=`: these ids inside are those ids
    /// outside, so many of them; users and groups alike, unless --gid-map is given.
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = value::userns)]
    pub userns: UserNsWord,

    /// With --userns map=…: map groups in another way than users
    #[arg(long, value_name = "IN:OUT:COUNT,…", value_parser = value::id_map)]
    pub gid_map: Option<IdMap>,

    /// Run as this user and group of the root directory's, by name or number (default: root, or the caller with --userns keep or host)
    ///
    /// Without GROUP it is the one that /etc/passwd has for the user, else the user's number.
    #[arg(long, value_name = "USER[:GROUP]", allow_negative_numbers = true, value_parser = value::user)]
    pub user: Option<User>,

    /// Set clocks ahead or back, such as +1d or boottime=-2h (can be repeated)
    ///
    /// The clocks are CLOCK_MONOTONIC and CLOCK_BOOTTIME; without a name it is both. CLOCK_REALTIME, which date(1) shows, has no namespace.
    /// Times have a unit: ms, s, m, h or d; without one, seconds.
    #[arg(long, value_name = "[CLOCK=]TIME", allow_hyphen_values = true, value_parser = value::time_offset)]
    pub time_offset: Vec<ClockOffset>,

    /// Set the host name (default: the name of the sandbox, else `nsx`)
    #[arg(long, value_name = "NAME", value_parser = value::hostname())]
    pub hostname: Option<OsString>,

    /// The network: none, host, or that of a process or namespace (default: none, with the loopback device up)
    ///
    /// A target is a container by its name or id (`web`, `docker:web`), a PID, PID:INODE, a namespace as `net:[4026531840]` or by its
    /// inode, by the name that ip-netns(8) gave it (`netns:blue`), or by a file such as /run/netns/blue.
    #[arg(long, value_name = "none|host|TARGET", value_parser = NetParser)]
    pub net: Option<Net>,

    /// Give the command more capabilities, such as NET_ADMIN, or ALL (can be repeated, or separated by commas)
    ///
    /// The default ones are those of docker-run(1). With --userns host there are none.
    #[arg(long, value_name = "CAP,…", value_parser = value::caps)]
    pub cap_add: Vec<CapSet>,

    /// Give the command fewer capabilities; with ALL, none but those of --cap-add (can be repeated, or separated by commas)
    #[arg(long, value_name = "CAP,…", value_parser = value::caps)]
    pub cap_drop: Vec<CapSet>,

    /// Let programs such as sudo(8) gain privileges (default: no_new_privs is set)
    #[arg(long)]
    pub allow_new_privs: bool,

    /// Which system calls are filtered
    #[arg(long, value_name = "FILTER", default_value = "default")]
    pub seccomp: Seccomp,

    /// Show all of /proc and /sys (default: parts that tell of the host or change it are hidden or read-only)
    #[arg(long)]
    pub unmask: bool,
}

/// What `--seccomp` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Seccomp {
    /// those that ordinary programs do not make
    Default,
    /// none
    None,
}

impl IsolationArgs {
    /// Returns the network, and what is shared; `net` is among that where the network is the host's.
    ///
    /// # Errors
    /// Where the network is the host's and something else.
    pub fn net_and_share(&self) -> Result<(Net, KindSet), UsageError> {
        let share: KindSet = self.share.iter().copied().collect();
        match (&self.net, share.contains(NsKind::Net)) {
            (None, false) => Ok((Net::None, share)),
            (Some(Net::Host), _) | (None, true) => Ok((Net::Host, share.with(NsKind::Net))),
            (Some(net), false) => Ok((net.clone(), share)),
            (Some(_), true) => Err(UsageError("--share net is --net host: there is only one network")),
        }
    }

    /// Returns how ids are mapped.
    ///
    /// # Errors
    /// Where groups are mapped and users are not.
    pub fn user_namespace(&self) -> Result<UserNs, UsageError> {
        match (&self.userns, &self.gid_map) {
            (UserNsWord::Map(IdMap(uids)), gids) => {
                let gids = gids.as_ref().map_or_else(|| uids.clone(), |IdMap(gids)| gids.clone());
                Ok(UserNs::Map { uids: uids.clone(), gids })
            }
            (_, Some(_)) => Err(UsageError("--gid-map takes --userns map=IN:OUT:COUNT, which maps users")),
            (UserNsWord::Auto, None) => Ok(UserNs::Auto),
            (UserNsWord::Root, None) => Ok(UserNs::Root),
            (UserNsWord::Keep, None) => Ok(UserNs::Keep),
            (UserNsWord::Host, None) => Ok(UserNs::Host),
        }
    }

    /// Returns the capabilities to add and to drop, as docker-run(1) understands them. None is in both.
    ///
    /// # Errors
    /// Where one is asked for and refused.
    pub fn capabilities(&self) -> Result<(CapSet, CapSet), UsageError> {
        let all = |sets: &[CapSet]| sets.iter().fold(CapSet::EMPTY, |all, one| all | *one);
        let (add, drop) = (all(&self.cap_add), all(&self.cap_drop));
        match (add == CapSet::ALL, drop == CapSet::ALL) {
            (true, true) => Err(UsageError("--cap-add ALL and --cap-drop ALL: it is one or the other")),
            (true, false) => Ok((add & !drop, drop)),
            (false, true) => Ok((add, drop & !add)),
            (false, false) if add & drop != CapSet::EMPTY => {
                Err(UsageError("a capability is in --cap-add and in --cap-drop"))
            }
            (false, false) => Ok((add, drop)),
        }
    }

    /// Returns how far the clocks are ahead.
    ///
    /// # Errors
    /// Where one is set twice.
    pub fn clocks(&self) -> Result<Option<TimeOffset>, UsageError> {
        let (mut monotonic, mut boottime) = (None, None);
        for ClockOffset { clock, nsec } in &self.time_offset {
            let both = [(Clock::Monotonic, &mut monotonic), (Clock::Boottime, &mut boottime)];
            for (_, set) in both.into_iter().filter(|(one, _)| clock.is_none_or(|clock| clock == *one)) {
                if set.replace(*nsec).is_some() {
                    return Err(UsageError("--time-offset sets a clock twice"));
                }
            }
        }
        let offset =
            TimeOffset { monotonic_nsec: monotonic.unwrap_or_default(), boottime_nsec: boottime.unwrap_or_default() };
        Ok((!self.time_offset.is_empty()).then_some(offset))
    }
}
