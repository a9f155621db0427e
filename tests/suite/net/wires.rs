//! What is wired to what, as ip-link(8) says on both sides.

use super::*;

pub fn pairs() {
    // Three namespaces and the one of the shell. The numbers of v50 are the same on both sides, those of eth0 in all of them.
    let lab = Lab::new(
        &["a", "b", "c"],
        "ip link add br0 type bridge
        for name in a b c; do
            ip link add port-$name type veth peer name eth0 netns $name
            ip link set port-$name master br0 up
            ip -n $name link set eth0 up
        done
        ip link set br0 up
        ip link add v50 index 50 netns a type veth peer name w50 index 50 netns b
        ip link add here type veth peer name there
        ip link set here alias 'the way out'",
    );
    let document = lab.compare(&["", "a", "b", "c"]);
    let shell = lab.ns("");
    for name in ["a", "b", "c"] {
        let (ns, port) = (lab.ns(name), format!("port-{name}"));
        let outer = link(&document, shell, &port);
        leads_to(&outer["peer"], ns, "eth0");
        let inner = link(&document, ns, "eth0");
        leads_to(&inner["peer"], shell, &port);
        assert_eq!((&inner["peer"]["master_ifname"], &outer["master_ifname"]), (&"br0".into(), &"br0".into()));
        let found = document["namespaces"].as_array().expect("all").iter().find(|one| one["ns"] == ns).expect("it");
        assert_eq!((&found["names"][0]["name"], &found["pid"]), (&name.into(), &Value::Null));
    }
    let (same, other) = (link(&document, lab.ns("a"), "v50"), link(&document, lab.ns("b"), "w50"));
    assert_eq!((&same["ifindex"], &other["ifindex"]), (&50.into(), &50.into()));
    leads_to(&same["peer"], lab.ns("b"), "w50");
    leads_to(&other["peer"], lab.ns("a"), "v50");
    let here = link(&document, shell, "here");
    leads_to(&here["peer"], shell, "there");
    assert_eq!((&here["peer"]["netnsid"], &here["ifalias"]), (&Value::Null, &"the way out".into()));

    // The table says at a glance which veth on the bridge is eth0 of whom.
    let table = run(&["net", &shell.to_string(), "-o", "NS,LINK,MASTER,PEER", "-n"]);
    let line = table.lines().find(|line| line.contains("port-b")).expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    let shell = shell.to_string();
    assert_eq!(words[..5], [&shell, "port-b", "br0", "eth0", "in"]);
    // Beside another lab it takes the inode to tell them apart.
    let b = lab.ns("b").to_string();
    assert!(words[5..] == ["netns:b"] || words[5..] == [&b, "(netns:b)"], "{line}");
    let tree = run(&["net", &shell, "--tree", "-n"]);
    let at = |word: &str| tree.lines().position(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {tree}"));
    assert!(at("─br0") < at("│ ├─port-a") || at("─br0") < at("  ├─port-a"), "{tree}");
}

pub fn below() {
    let lab = Lab::new(
        &["a", "b"],
        "ip -n a link add v0 type veth peer name v1
        ip -n a link add mv0 link v0 type macvlan mode private
        ip -n a link add mv1 link v0 type macvlan mode bridge
        ip -n a link set mv1 netns b
        ip -n b tuntap add tap0 mode tap user 65534
        ip -n b tuntap add tun0 mode tun group 7",
    );
    let document = lab.compare(&["a", "b"]);
    let (a, b) = (lab.ns("a"), lab.ns("b"));
    let near = link(&document, a, "mv0");
    leads_to(&near["lower"], a, "v0");
    assert_eq!((&near["peer"], &near["info_data"]["mode"]), (&Value::Null, &"private".into()));
    let far = link(&document, b, "mv1");
    leads_to(&far["lower"], a, "v0");
    assert_eq!(far["info_data"]["mode"], "bridge");
    let tap = &link(&document, b, "tap0")["info_data"];
    assert_eq!((&tap["type"], &tap["owner"], &tap["group"]), (&"tap".into(), &65534.into(), &Value::Null));
    assert_eq!(tap["persist"], true);
    let tun = &link(&document, b, "tun0")["info_data"];
    assert_eq!((&tun["type"], &tun["owner"], &tun["group"]), (&"tun".into(), &Value::Null, &7.into()));
    let table = run(&["net", &b.to_string(), "-o", "LINK,TYPE,PEER,INFO"]);
    assert!(table.contains("over v0 in netns:a") || table.contains(&format!("over v0 in {a} (netns:a)")), "{table}");
    assert!(table.lines().any(|line| line.starts_with("tap0") && line.contains("tap   ")), "{table}");
}

pub fn kinds() {
    let lab = Lab::new(
        &["a", "b"],
        "ip -n a link add v0 type veth peer name w0 netns b
        ip -n a link add name v0.7 link v0 type vlan id 7
        ip -n a link add name v0.8 link v0 type vlan protocol 802.1ad id 8
        ip -n a link set v0.8 netns b
        ip -n b link add iv0 link w0 type ipvlan mode l3
        ip -n b link set iv0 netns a
        ip -n a link add d0 type dummy
        ip -n a link set d0 up",
    );
    let document = lab.compare(&["a", "b"]);
    let (a, b) = (lab.ns("a"), lab.ns("b"));
    let near = link(&document, a, "v0.7");
    leads_to(&near["lower"], a, "v0");
    assert_eq!(near["info_data"], serde_json::json!({"id": 7, "protocol": "802.1Q"}));
    let far = link(&document, b, "v0.8");
    leads_to(&far["lower"], a, "v0");
    assert_eq!(far["info_data"], serde_json::json!({"id": 8, "protocol": "802.1ad"}));
    let ipvlan = link(&document, a, "iv0");
    leads_to(&ipvlan["lower"], b, "w0");
    assert_eq!(ipvlan["info_data"]["mode"], "l3");
    let dummy = link(&document, a, "d0");
    assert_eq!((&dummy["kind"], &dummy["peer"], &dummy["lower"]), (&"dummy".into(), &Value::Null, &Value::Null));
}

pub fn only_a_socket() {
    let held = Held::start(&["socket"]);
    let ns = held.number(1);
    let document = net_json(&[]);
    let found =
        document["namespaces"].as_array().expect("all").iter().find(|one| one["ns"] == ns).expect("it is there");
    assert_eq!((&found["seen"], &found["nprocs"]), (&true.into(), &0.into()), "{found:#}");
    assert_eq!(link(&document, ns, "lo")["link_type"], "loopback");
    assert!(run(&["net", &ns.to_string()]).contains(&ns.to_string()));
}

pub fn targets() {
    let lab = Lab::new(&["a", "b"], "ip link add va netns a type veth peer name vb netns b");
    let (a, b) = (lab.ns("a"), lab.ns("b"));
    for target in [a.to_string(), format!("net:[{a}]"), lab.path("a")] {
        let document = net_json(&[&target]);
        assert_eq!(document["namespaces"].as_array().map(Vec::len), Some(1), "{target}");
        assert!(document["links"].as_array().expect("links").iter().all(|link| link["ns"] == a));
        // Its peer has a name wherever it is.
        leads_to(&link(&document, a, "va")["peer"], b, "vb");
    }
    let of_process = net_json(&[&lab.0.pid().to_string(), "self"]);
    let found: Vec<_> = of_process["namespaces"].as_array().expect("two").iter().map(|one| &one["ns"]).collect();
    assert_eq!(found, [&inode_of(std::process::id(), "net").into(), &Value::from(lab.ns(""))]);
    let filtered = net_json(&[&a.to_string(), "--where", "type == veth"]);
    assert_eq!(links(&filtered, a).len(), 1);
    let uts = inode_of(std::process::id(), "uts");
    let done = output(&mut nsx(&["net", &format!("uts:[{uts}]")]));
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).starts_with(&format!("nsx: no namespace net:[{uts}]")), "{}", text(&done.stderr));
}
