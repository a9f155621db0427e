//! Routes and listening sockets, and the tree of everything.

use super::super::harness::fails;
use super::*;

pub fn routes() {
    let lab = Lab::new(
        &["a"],
        "ip -n a link add v0 type veth peer name v1
        ip -n a link set v0 up
        ip -n a link set v1 up
        ip -n a addr add 10.9.0.2/24 dev v0
        ip -n a addr add 10.9.1.2 peer 10.9.1.3/32 dev v1
        ip -n a route add default via 10.9.0.1 metric 50
        ip -n a route add 10.8.0.0/16 nexthop via 10.9.0.3 weight 2 nexthop via 10.9.1.3 dev v1 onlink
        ip -n a route add blackhole 10.7.0.0/16 table 77",
    );
    let a = lab.ns("a");
    let document = net_json(&[&a.to_string(), "--routes"]);
    let route = |dst: &str| {
        let all = document["routes"].as_array().expect("routes");
        all.iter().find(|route| route["dst"] == dst && route["ns"] == a).unwrap_or_else(|| panic!("{dst}: {all:#?}"))
    };
    let index = |name: &str| link(&document, a, name)["ifindex"].clone();
    let default = route("0.0.0.0/0");
    assert_eq!((&default["metric"], &default["table"], &default["type"]), (&50.into(), &254.into(), &"unicast".into()));
    let hop = serde_json::json!([{"gateway": "10.9.0.1", "ifindex": index("v0"), "weight": 1}]);
    assert_eq!(default["nexthops"], hop);
    let shared = &route("10.8.0.0/16")["nexthops"];
    assert_eq!((&shared[0]["weight"], &shared[1]["ifindex"]), (&2.into(), &index("v1")));
    let nowhere = route("10.7.0.0/16");
    assert_eq!(
        (&nowhere["type"], &nowhere["table"], &nowhere["nexthops"]),
        (&"blackhole".into(), &77.into(), &serde_json::json!([]))
    );
    // The kernel's own are left out, unless all are wanted.
    assert!(document["routes"].as_array().expect("routes").iter().all(|route| route["table"] != 255));
    let all = net_json(&[&a.to_string(), "--routes=all"]);
    assert!(all["routes"].as_array().expect("routes").iter().any(|route| route["table"] == 255));
    let pointed = document["addresses"].as_array().expect("all").iter().find(|address| address["local"] == "10.9.1.2");
    assert_eq!(pointed.expect("it")["peer"], "10.9.1.3");

    let table = run(&["net", &a.to_string(), "--routes", "--where", "metric == 50", "-o", "DST,VIA,LINK"]);
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words, [["DST", "VIA", "LINK"], ["default", "10.9.0.1", "v0"]]);
    assert_eq!(net_json(&[&a.to_string()])["routes"], Value::Null, "not looked at, which is not none");
}

pub fn who_listens() {
    use std::os::fd::AsRawFd;
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = tcp.local_addr().expect("an address").port();
    // One that nothing but a descriptor keeps alive, in a namespace that nobody is in.
    let held = Held::start(&["socket"]);
    let document = net_json(&["--listen"]);
    let sockets = document["sockets"].as_array().expect("sockets");
    let own_ns = inode_of(std::process::id(), "net");
    let own = sockets.iter().find(|socket| socket["ns"] == own_ns && socket["port"] == port).expect("it listens");
    assert_eq!((&own["protocol"], &own["family"], &own["local"]), (&"tcp".into(), &"inet".into(), &"127.0.0.1".into()));
    assert_eq!(own["uid"], nix::unistd::geteuid().as_raw());
    let holder = own["holders"].as_array().expect("holders").iter().find(|holder| holder["pid"] == std::process::id());
    assert_eq!(holder.expect("this test")["fd"], tcp.as_raw_fd());
    let alone: Vec<_> = sockets.iter().filter(|socket| socket["ns"] == held.number(1)).collect();
    assert_eq!(alone.len(), 1, "{alone:#?}");
    assert_eq!((&alone[0]["protocol"], &alone[0]["holders"][0]["pid"]), (&"udp".into(), &held.pid().into()));
    assert_eq!((&alone[0]["holders"][0]["fd"], &alone[0]["holder_count"]), (&held.number(0).into(), &1.into()));

    let condition = format!("port == {port}");
    let table = run(&["net", "self", "-l", "-n", "-o", "PROTO,LOCAL,PORT,PID", "--where", &condition]);
    let line: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(line[..3], ["tcp", "127.0.0.1", &port.to_string()], "{table}");
    drop(tcp);
    assert_eq!(run(&["net", "self", "-l", "--where", &condition]), "");
}

pub fn tree() {
    let lab = Lab::new(
        &["a"],
        "ip link add br0 type bridge
        ip link add port type veth peer name eth0 netns a
        ip link set port master br0 up
        ip link set br0 up
        ip addr add 10.9.0.1/24 dev br0
        ip route add 10.8.0.0/16 via 10.9.0.2",
    );
    let ns = lab.ns("");
    let tree = run(&["net", &ns.to_string(), "--tree", "--routes", "-n"]);
    let starts: Vec<&str> = tree
        .lines()
        .map(|line| line.split("  ").find(|part| !part.trim().is_empty()).unwrap_or_default().trim())
        .collect();
    assert!(starts[0].starts_with(&ns.to_string()), "{tree}");
    assert!(tree.contains("├─port") || tree.contains("└─port"), "{tree}");
    assert!(tree.lines().any(|line| line.contains("10.8.0.0/16") && line.contains("via 10.9.0.2")), "{tree}");
    assert!(!tree.contains("unseen"), "{tree}");
}

pub fn usage() {
    for arguments in [&["net", "--routes", "--listen"][..], &["net", "-o", "PORT"], &["net", "--dot", "--json"]] {
        fails(arguments, 2);
    }
    for (option, column) in [("--routes", "DST"), ("--listen", "PORT")] {
        let columns = run(&["net", "--columns", option]);
        assert!(columns.lines().any(|line| line.starts_with(column)), "{columns}");
        assert!(!columns.lines().any(|line| line.starts_with("PEER")), "{columns}");
    }
    document(&run(&["net", "--columns", "--json"]));
}
