//! A kernel in miniature: as many types as the programs ask for, with a little of what else the true ones have.

use crate::sys::bpf::btf::TypeId;
use crate::sys::bpf::btf::built::Built;

/// All structs that programs go through, by their names.
pub(super) const STRUCTS: [&str; 26] = [
    "bpf_iter__task",
    "bpf_iter_meta",
    "task_struct",
    "signal_struct",
    "nsproxy",
    "uts_namespace",
    "ipc_namespace",
    "mnt_namespace",
    "pid_namespace",
    "net",
    "time_namespace",
    "cgroup_namespace",
    "user_namespace",
    "ns_common",
    "cred",
    "pid",
    "upid",
    "files_struct",
    "fdtable",
    "file",
    "inode",
    "super_block",
    "socket",
    "sock",
    "sock_common",
    "seq_file",
];

/// Functions that newer kernels have.
pub(super) const FUNCTIONS: [&str; 4] =
    ["bpf_rdonly_cast", "bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"];

/// Its types; `with` are those of [`FUNCTIONS`] that it has.
pub(super) fn types(with: &[&str]) -> Vec<u8> {
    let mut built = Built::new();
    let (int, long, byte) = (built.int("unsigned int", 4), built.int("long unsigned int", 8), built.int("char", 1));
    let nothing = built.pointer(TypeId(0));
    let seq = built.lay_out("seq_file", &[("buf", nothing), ("size", long)]);
    let seq = built.pointer(seq);
    let meta = built.lay_out("bpf_iter_meta", &[("seq", seq), ("session_id", long)]);
    built.function("bpf_iter_task");
    for function in with {
        built.function(function);
    }
    let common = built.lay_out("ns_common", &[("stashed", nothing), ("ops", nothing), ("inum", int), ("count", int)]);
    let user = built.lay_out("user_namespace", &[("uid_map", long), ("ns", common)]);
    let user = built.pointer(user);
    // Each has its part in another place.
    let pid = built.lay_out("pid_namespace", &[("level", int), ("user_ns", user), ("ns", common)]);
    let pid = built.pointer(pid);
    let net = built.lay_out("net", &[("passive", int), ("user_ns", user), ("list", long), ("ns", common)]);
    let net = built.pointer(net);
    let namespaces = ["uts", "ipc", "mnt", "time", "cgroup"].map(|name| {
        let space = built.lay_out(&format!("{name}_namespace"), &[("ns", common), ("user_ns", user)]);
        built.pointer(space)
    });
    let [uts, ipc, mnt, time, cgroup] = namespaces;
    let nsproxy = built.lay_out(
        "nsproxy",
        &[
            ("count", int),
            ("uts_ns", uts),
            ("ipc_ns", ipc),
            ("mnt_ns", mnt),
            ("pid_ns_for_children", pid),
            ("net_ns", net),
            ("time_ns", time),
            ("time_ns_for_children", time),
            ("cgroup_ns", cgroup),
        ],
    );
    let cred = built.lay_out("cred", &[("usage", long), ("uid", int), ("user_ns", user)]);
    let upid = built.lay_out("upid", &[("nr", int), ("ns", pid)]);
    let upids = built.array(upid, 0);
    let numbers = built.lay_out("pid", &[("count", int), ("level", int), ("inode", nothing), ("numbers", upids)]);
    let possible = built.structure("", 8, &[("net", net, 0)]);
    let possible = built.of(8, "possible_net_t", possible);
    let sock_common = built.lay_out("sock_common", &[("skc_addrpair", long), ("skc_net", possible)]);
    let sock = built.lay_out("sock", &[("__sk_common", sock_common), ("sk_drops", long)]);
    let sock = built.pointer(sock);
    built.lay_out("socket", &[("state", int), ("flags", long), ("file", nothing), ("sk", sock)]);
    let block = built.lay_out("super_block", &[("s_list", long), ("s_magic", long)]);
    let block = built.pointer(block);
    let inode = built.lay_out("inode", &[("i_mode", int), ("i_sb", block)]);
    let inode = built.pointer(inode);
    let file = built.lay_out("file", &[("f_lock", int), ("private_data", nothing), ("f_inode", inode)]);
    let rcu = built.of(18, "rcu", file);
    let file = built.pointer(rcu);
    let (table, bits) = (built.pointer(file), built.pointer(long));
    let table = built.lay_out("fdtable", &[("max_fds", int), ("fd", table), ("open_fds", bits)]);
    let table = built.pointer(table);
    let files = built.lay_out("files_struct", &[("count", int), ("fdt", table)]);
    let signal = built.lay_out("signal_struct", &[("live", int), ("nr_threads", int)]);
    let [nsproxy, cred, numbers, files, signal] = [nsproxy, cred, numbers, files, signal].map(|to| built.pointer(to));
    let cred = built.of(10, "", cred);
    let pid_t = built.of(8, "pid_t", int);
    let name = built.array(byte, 16);
    let own = built.pointer(TypeId(built.next().0 + 3));
    let ids = built.structure("", 8, &[("pid", pid_t, 0), ("tgid", pid_t, 32)]);
    let ids_too = built.union("", 8, &[("", ids, 0), ("both", long, 0)]);
    let task = built.lay_out(
        "task_struct",
        &[
            ("__state", int),
            ("flags", int),
            ("", ids_too),
            ("real_parent", own),
            ("group_leader", own),
            ("thread_pid", numbers),
            ("start_boottime", long),
            ("real_cred", cred),
            ("comm", name),
            ("files", files),
            ("nsproxy", nsproxy),
            ("signal", signal),
        ],
    );
    let (task, meta) = (built.pointer(task), built.pointer(meta));
    let (meta, task) = (built.union("", 8, &[("meta", meta, 0)]), built.union("", 8, &[("task", task, 0)]));
    built.lay_out("bpf_iter__task", &[("", meta), ("", task)]);
    built.bytes()
}
