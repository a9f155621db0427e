//! The kernel's words for the numbers of links, addresses and routes: one table for each vocabulary.

/// `IF_OPER_` of `include/uapi/linux/if.h`, as /sys/class/net/LINK/operstate spells them.
const OPERSTATES: [&str; 7] = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

/// The bit of a link that was switched on, `IFF_UP`.
pub const IFF_UP: u32 = 1;
/// The bit of a loopback device, `IFF_LOOPBACK`.
pub const IFF_LOOPBACK: u32 = 1 << 3;
/// The bit of a link with a carrier, `IFF_LOWER_UP`.
pub const IFF_LOWER_UP: u32 = 1 << 16;

/// `IFF_` flags of netdevice(7), from bit 0 on.
const FLAGS: [&str; 19] = [
    "UP",
    "BROADCAST",
    "DEBUG",
    "LOOPBACK",
    "POINTOPOINT",
    "NOTRAILERS",
    "RUNNING",
    "NOARP",
    "PROMISC",
    "ALLMULTI",
    "MASTER",
    "SLAVE",
    "MULTICAST",
    "PORTSEL",
    "AUTOMEDIA",
    "DYNAMIC",
    "LOWER_UP",
    "DORMANT",
    "ECHO",
];

/// `ARPHRD_` of `include/uapi/linux/if_arp.h`: those that links without a kind have, and tunnels.
const HARDWARE: [(u16, &str); 14] = [
    (1, "ether"),
    (32, "infiniband"),
    (280, "can"),
    (512, "ppp"),
    (519, "rawip"),
    (768, "ipip"),
    (769, "tunnel6"),
    (772, "loopback"),
    (776, "sit"),
    (778, "gre"),
    (801, "ieee802.11"),
    (804, "ieee802.15.4"),
    (823, "gre6"),
    (0xfffe, "none"),
];

/// `RT_SCOPE_` of rtnetlink(7).
const SCOPES: [(u8, &str); 5] = [(0, "global"), (200, "site"), (253, "link"), (254, "host"), (255, "nowhere")];

/// `RTN_` of rtnetlink(7), from 0 on.
const ROUTE_TYPES: [&str; 12] = [
    "unspec",
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
    "xresolve",
];

/// `RTPROT_` of rtnetlink(7), and of `include/uapi/linux/rtnetlink.h`.
const PROTOCOLS: [(u8, &str); 15] = [
    (0, "unspec"),
    (1, "redirect"),
    (2, "kernel"),
    (3, "boot"),
    (4, "static"),
    (9, "ra"),
    (11, "zebra"),
    (12, "bird"),
    (16, "dhcp"),
    (42, "babel"),
    (186, "bgp"),
    (187, "isis"),
    (188, "ospf"),
    (189, "rip"),
    (192, "eigrp"),
];

/// `RT_TABLE_` of rtnetlink(7).
const TABLES: [(u32, &str); 3] = [(LOCAL_TABLE, "local"), (254, "main"), (253, "default")];

/// The table of the addresses that are the host's own, which the kernel keeps.
pub const LOCAL_TABLE: u32 = 255;

/// `IFA_F_` of `include/uapi/linux/if_addr.h`, from bit 0 on.
const ADDRESS_FLAGS: [&str; 12] = [
    "secondary",
    "nodad",
    "optimistic",
    "dadfailed",
    "homeaddress",
    "deprecated",
    "tentative",
    "permanent",
    "mngtmpaddr",
    "noprefixroute",
    "autojoin",
    "stable-privacy",
];

/// `MACVLAN_MODE_` of `include/uapi/linux/if_link.h`.
const MACVLAN_MODES: [(u32, &str); 5] = [(1, "private"), (2, "vepa"), (4, "bridge"), (8, "passthru"), (16, "source")];

/// `IPVLAN_MODE_` of `include/uapi/linux/if_link.h`, from 0 on.
const IPVLAN_MODES: [&str; 3] = ["l2", "l3", "l3s"];

fn by_place(table: &[&'static str], number: usize) -> Option<&'static str> {
    table.get(number).copied()
}

fn by_number<T: PartialEq>(table: &[(T, &'static str)], number: T) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

fn bits(table: &'static [&'static str], flags: u32) -> impl Iterator<Item = &'static str> {
    table.iter().enumerate().filter(move |(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| *name)
}

/// Returns the name of a link's state.
pub fn operstate(number: u8) -> Option<&'static str> {
    by_place(&OPERSTATES, number.into())
}

/// Goes through the names of a link's flags.
pub fn flags(flags: u32) -> impl Iterator<Item = &'static str> {
    bits(&FLAGS, flags)
}

/// Returns the name of a type of hardware.
pub fn hardware(number: u16) -> Option<&'static str> {
    by_number(&HARDWARE, number)
}

/// Returns the name of a scope.
pub fn scope(number: u8) -> Option<&'static str> {
    by_number(&SCOPES, number)
}

/// Returns the name of a type of route.
pub fn route_type(number: u8) -> Option<&'static str> {
    by_place(&ROUTE_TYPES, number.into())
}

/// Returns the name of who has set a route.
pub fn protocol(number: u8) -> Option<&'static str> {
    by_number(&PROTOCOLS, number)
}

/// Returns the name of a routing table.
pub fn table(number: u32) -> Option<&'static str> {
    by_number(&TABLES, number)
}

/// Goes through the names of an address's flags.
pub fn address_flags(flags: u32) -> impl Iterator<Item = &'static str> {
    bits(&ADDRESS_FLAGS, flags)
}

/// Returns the name of a macvlan's mode.
pub fn macvlan_mode(number: u32) -> Option<&'static str> {
    by_number(&MACVLAN_MODES, number)
}

/// Returns the name of an ipvlan's mode.
pub fn ipvlan_mode(number: u16) -> Option<&'static str> {
    by_place(&IPVLAN_MODES, number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_that_the_kernel_gives_them() {
        assert_eq!((operstate(6), operstate(0), operstate(7)), (Some("up"), Some("unknown"), None));
        assert_eq!(flags(IFF_UP | IFF_LOOPBACK | IFF_LOWER_UP).collect::<Vec<_>>(), ["UP", "LOOPBACK", "LOWER_UP"]);
        assert_eq!(flags(1 << 31).count(), 0);
        assert_eq!((hardware(772), hardware(1), hardware(9)), (Some("loopback"), Some("ether"), None));
        assert_eq!((scope(253), scope(1)), (Some("link"), None));
        assert_eq!((route_type(1), route_type(6), route_type(200)), (Some("unicast"), Some("blackhole"), None));
        assert_eq!((protocol(2), protocol(5)), (Some("kernel"), None));
        assert_eq!((table(254), table(LOCAL_TABLE), table(7)), (Some("main"), Some("local"), None));
        assert_eq!(address_flags(0x80).collect::<Vec<_>>(), ["permanent"]);
        assert_eq!((macvlan_mode(4), macvlan_mode(3)), (Some("bridge"), None));
        assert_eq!((ipvlan_mode(2), ipvlan_mode(3)), (Some("l3s"), None));
    }
}
