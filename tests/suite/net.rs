//! nsx net on namespaces that are made for it, beside what ip-link(8) says in each of them.

mod hostile;
mod sockets;
mod wires;

pub use hostile::picture;

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::Value;

use super::harness::{Module, Need, Place, Test, document, held::Held, inode_of, nsx, output, quiet, run, test, text};

/// What every lab needs.
macro_rules! lab {
    ($($need:expr),*) => {
        &[
            Need::Root,
            Need::Tool("unshare"),
            Need::Tool("mount"),
            Need::Tool("nsenter"),
            Need::Tool("ip"),
            Need::KernelModule("veth"),
            Need::KernelModule("bridge"),
            $($need),*
        ]
    };
}

pub fn module() -> Module {
    let kinds = lab![
        Need::KernelModule("8021q"),
        Need::KernelModule("ipvlan"),
        Need::KernelModule("dummy"),
        Need::LinkKind("vlan"),
        Need::LinkKind("ipvlan"),
        Need::LinkKind("dummy")
    ];
    let macvlan = lab![Need::KernelModule("macvlan"), Need::KernelModule("tun"), Need::File("/dev/net/tun")];
    let diag: &[Need] = &[Need::KernelModule("tcp_diag"), Need::KernelModule("udp_diag")];
    let tests = vec![
        test("net::pairs_and_bridges_are_as_ip_says", lab![], wires::pairs),
        test("net::what_lies_below_is_as_ip_says", macvlan, wires::below),
        test("net::links_of_all_kinds_are_as_ip_says", kinds, wires::kinds),
        test("net::a_namespace_that_only_a_socket_holds", &[], wires::only_a_socket),
        test("net::targets_restrict_what_is_shown", lab![], wires::targets),
        test("net::routes_are_those_that_were_set", lab![], sockets::routes),
        test("net::who_listens", diag, sockets::who_listens),
        test("net::a_tree_of_everything", lab![], sockets::tree),
        test("net::names_that_mean_harm", lab![], hostile::names),
        test("net::links_that_come_and_go", lab![], hostile::churn),
        test("net::thousands_of_addresses", lab![], hostile::thousands),
        test("net::an_ordinary_user_sees_what_is_theirs", lab![Need::Tool("setpriv")], hostile::ordinary_user),
        quiet("net::calls_for_each_namespace_are_few", lab![Need::Tool("strace")], hostile::calls),
        test("net::namespaces_that_cannot_be_entered_are_a_gap", lab![], hostile::without_setns),
        test("net::listeners_without_sock_diag_are_a_gap", &[], hostile::without_sock_diag),
        test("net::columns_of_another_table", &[], sockets::usage),
    ];
    let tests = tests.into_iter().map(Test::sparingly_in_vm).collect();
    Module { name: "net", places: &[Place::Vm], tests }
}

/// Network namespaces of a test's own, with names in a /run/netns of its own. The shell that holds them is in one without a name.
struct Lab(Held);

impl Lab {
    /// Makes namespaces with these names, and runs a script beside them.
    fn new(names: &[&str], script: &str) -> Lab {
        let added: Vec<String> = names.iter().map(|name| format!("ip netns add {name}")).collect();
        let script =
            format!("mount -t tmpfs nsx-test /run\n{}\n{script}\necho ready\nread end || true", added.join("\n"));
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "-n", "sh", "-ec", &script]);
        Lab(Held::start_command(&mut command))
    }

    /// Returns the inode of the namespace with this name; that without one is the shell's.
    fn ns(&self, name: &str) -> u64 {
        if name.is_empty() {
            return inode_of(self.0.pid(), "net");
        }
        std::fs::metadata(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}")).ino()
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/{}/{}/run/netns/{name}", self.0.pid(), "root")
    }

    /// Runs a program in one of the namespaces, and returns what it has printed.
    fn inside(&self, name: &str, words: &[&str]) -> String {
        let path = if name.is_empty() { format!("/proc/{}/ns/net", self.0.pid()) } else { self.path(name) };
        let done = output(Command::new("nsenter").arg(format!("--net={path}")).args(words));
        assert!(done.status.success(), "{words:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    /// Holds every link that ip-link(8) shows in these namespaces against what nsx says of it, and returns the document.
    fn compare(&self, names: &[&str]) -> Value {
        let all = || -> Vec<Value> {
            let shown = names.iter().map(|name| self.inside(name, &["ip", "-d", "-j", "link"]));
            let parsed = shown.map(|shown| serde_json::from_str::<Value>(&shown).expect("JSON"));
            parsed.map(|shown| shown.as_array().expect("links").iter().map(compared).collect()).collect()
        };
        // States settle by themselves after a while: what is the same before and after was so in between.
        let mut shown = all();
        loop {
            let document = net_json(&[]);
            let again = all();
            if shown == again {
                names.iter().zip(&shown).for_each(|(name, shown)| self.compare_one(name, shown, &document));
                return document;
            }
            shown = again;
        }
    }

    fn compare_one(&self, name: &str, shown: &Value, document: &Value) {
        let ns = self.ns(name);
        let shown = shown.as_array().expect("links");
        let ours = links(document, ns);
        assert_eq!(shown.len(), ours.len(), "{name}: {shown:#?} {ours:#?}");
        for theirs in shown {
            let found = link(document, ns, theirs["ifname"].as_str().expect("a name"));
            for (their_key, key) in [("ifindex", "ifindex"), ("mtu", "mtu"), ("address", "address"), ("flags", "flags")]
            {
                let (mut one, mut other) = (theirs[their_key].clone(), found[key].clone());
                for list in [&mut one, &mut other] {
                    // ip says it in its own way whether a link is running, and its peer up.
                    if let Some(words) = list.as_array_mut() {
                        words.retain(|word| !["NO-CARRIER", "M-DOWN", "RUNNING"].iter().any(|own| word == own));
                        words.sort_by_key(|word| word.to_string());
                    }
                }
                assert_eq!(one, other, "{key} of {found:#}");
            }
            let state = theirs["operstate"].as_str().expect("a state").to_lowercase();
            assert_eq!(found["operstate"], state, "{found:#}");
            assert_eq!(found["kind"], theirs["kind"], "{found:#}");
            assert_eq!(found["master_ifname"], theirs["master"], "{found:#}");
            assert_eq!(found["link_netnsid"], theirs["link_netnsid"], "{found:#}");
            // ip has the number of what is elsewhere, and the name of what is here.
            let far = if found["peer"].is_null() { &found["lower"] } else { &found["peer"] };
            if !theirs["link_index"].is_null() {
                assert_eq!(far["ifindex"], theirs["link_index"], "{found:#}");
            } else {
                assert_eq!(far["ifname"], theirs["link"], "{found:#}");
            }
        }
    }
}

/// Returns what is compared of a link as ip-link(8) shows it; the rest has timers that never stand still.
fn compared(link: &Value) -> Value {
    let keys =
        ["ifindex", "ifname", "mtu", "address", "flags", "operstate", "master", "link_netnsid", "link_index", "link"];
    let mut kept: serde_json::Map<String, Value> =
        keys.iter().map(|&key| (key.to_owned(), link[key].clone())).collect();
    kept.insert("kind".to_owned(), link["linkinfo"]["info_kind"].clone());
    kept.into()
}

/// Runs `nsx net --json` with more arguments, and returns the document after holding it against its schema.
fn net_json(arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["net", "--json"].into_iter().chain(arguments.iter().copied()).collect();
    document(&run(&all))
}

/// Returns the links of a namespace.
fn links(document: &Value, ns: u64) -> Vec<&Value> {
    document["links"].as_array().expect("links").iter().filter(|link| link["ns"] == ns).collect()
}

/// Returns the link of a namespace with this name.
fn link<'a>(document: &'a Value, ns: u64, name: &str) -> &'a Value {
    let found = links(document, ns).into_iter().find(|link| link["ifname"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {ns}: {:#?}", links(document, ns)))
}

/// Makes sure that an end of a link is the link with this name in this namespace.
fn leads_to(end: &Value, ns: u64, name: &str) {
    assert_eq!((&end["ns"], &end["ifname"]), (&ns.into(), &name.into()), "{end:#}");
}
