# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_nsx_global_optspecs
    string join \n color= proc-root= h/help V/version
end

function __fish_nsx_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_nsx_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_nsx_using_subcommand
    set -l cmd (__fish_nsx_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c nsx -n "__fish_nsx_needs_command" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_needs_command" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_needs_command" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_needs_command" -f -a "ls" -d 'List namespaces'
complete -c nsx -n "__fish_nsx_needs_command" -f -a "ps" -d 'List sandboxes and containers, whatever made them'
complete -c nsx -n "__fish_nsx_needs_command" -f -a "inspect" -d 'Show all that isolates a process'
complete -c nsx -n "__fish_nsx_needs_command" -f -a "enter" -d 'Run a command in the namespaces of another process'
complete -c nsx -n "__fish_nsx_needs_command" -f -a "net" -d 'Show network namespaces, their links, and how they are wired together'
complete -c nsx -n "__fish_nsx_needs_command" -f -a "cg" -d 'Show, measure, explain and change cgroups'
complete -c nsx -n "__fish_nsx_needs_command" -f -a "run" -d 'Run a command in namespaces of its own, under limits of its own'
complete -c nsx -n "__fish_nsx_needs_command" -f -a "kill" -d 'End what `nsx run` has started'
complete -c nsx -n "__fish_nsx_needs_command" -f -a "pid" -d 'Translate a PID between PID namespaces'
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s t -l type -d 'Only namespaces of this kind (can be repeated, or separated by commas)' -x -a "(__fish_complete_list , 'printf \"cgroup\nipc\nmnt\nnet\npid\ntime\nuser\nuts\\n\"')"
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s p -l task -d 'Only the namespaces that this process or thread is in (can be repeated)' -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand ls" -l where -d 'Only rows for which this is true, such as \'type == net and nprocs > 1\'' -r
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s T -l tree -d 'Draw namespaces as a tree' -r -f -a "owner\t'below the user namespace that owns it'
parent\t'below its parent (pid and user namespaces)'
process\t'below the namespace that its leader came from'"
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s o -l output -d 'Columns to show: COL,…, or +COL,… to add some, or all' -x -a "(__fish_complete_list , 'printf \"NS\nTYPE\nNPROCS\nNTHREADS\nPID\nPPID\nUSER\nUID\nPNS\nONS\nOUID\nID\nNETNSID\nSTARTED\nHELD\nCONTAINER\nCGROUP\nNSFS\nPATH\nCOMMAND\nall\\n\"')"
complete -c nsx -n "__fish_nsx_using_subcommand ls" -l sort -d 'Sort by this column; -COL puts the largest first' -r -f -a "NS\t'inode number of the namespace'
TYPE\t'kind of namespace'
NPROCS\t'number of processes in it'
NTHREADS\t'number of threads in it'
PID\t'its leader: the top-most process in it'
PPID\t'parent of the leader'
USER\t'user of the leader'
UID\t'effective uid of the leader'
PNS\t'parent (pid and user namespaces)'
ONS\t'user namespace that owns it'
OUID\t'uid that made the owning user namespace'
ID\t'64-bit id, never reused (Linux 6.18)'
NETNSID\t'number that the own network namespace has for it'
STARTED\t'when the leader was started (UTC)'
HELD\t'what keeps it alive, and how many of them'
CONTAINER\t'container of the leader; with ? where only its cgroup says so'
CGROUP\t'cgroup of the leader'
NSFS\t'where it is bind-mounted'
PATH\t'a file to open it by'
COMMAND\t'command line of the leader'"
complete -c nsx -n "__fish_nsx_using_subcommand ls" -l backend -d 'How to look at processes' -r -f -a "auto\t'BPF where it may be used and is faster, else /proc'
proc\t'read /proc'
bpf\t'BPF; /proc where it may not be used'"
complete -c nsx -n "__fish_nsx_using_subcommand ls" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand ls" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s P -l unoccupied -d 'Only namespaces without a process'
complete -c nsx -n "__fish_nsx_using_subcommand ls" -l columns -d 'List the columns that there are'
complete -c nsx -n "__fish_nsx_using_subcommand ls" -l threads -d 'Count threads, too: adds the column NTHREADS'
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s v -l verbose -d 'Say on standard error how processes were looked at'
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s n -l no-headings -d 'Print no headings'
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s u -l no-truncate -d 'Do not cut lines to the width of the terminal'
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s J -l json -d 'Print JSON (schema nsx.ls/1)'
complete -c nsx -n "__fish_nsx_using_subcommand ls" -l members -d 'With --json: name all members and holders of each namespace'
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand ls" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand ps" -l where -d 'Only rows for which this is true, such as \'engine == docker and mem > 100000000\'' -r
complete -c nsx -n "__fish_nsx_using_subcommand ps" -s o -l output -d 'Columns to show: COL,…, or +COL,… to add some, or all' -r -f -a "NAME\t'name, below those of the sandboxes that it was made in'
ENGINE\t'what made it; with ? where only its cgroup says so'
ID\t'id that the engine has for it'
PID\t'its first process; of nsx run the command'
STATE\t'running, paused, created or exiting'
UPTIME\t'how long the first process has lived, in seconds'
STARTED\t'when the first process was started (UTC)'
NPROCS\t'number of processes in it'
MEM\t'memory that its cgroup uses'
LIMIT\t'how much memory it may use, with the cgroups above'
CPU\t'time on processors, in microseconds'
CPUS\t'how many processors it may use, with the cgroups above, in thousandths'
IP\t'its first address; host where it has the host\'s'
IPS\t'all its addresses'
IMAGE\t'image it was made from'
POD\t'pod: namespace and name; of podman\'s pods the name'
LABELS\t'its labels'
USER\t'who runs it'
UID\t'uid of who runs it'
INSIDE\t'the sandbox it was made in'
MNT\t'its mount namespace'
NET\t'its network namespace'
PIDNS\t'its pid namespace'
USERNS\t'its user namespace'
CGROUP\t'cgroup of its first process'
COMMAND\t'command line of its first process'
all\t'every column'"
complete -c nsx -n "__fish_nsx_using_subcommand ps" -l sort -d 'Sort by this column; -COL puts the largest first' -r -f -a "NAME\t'name, below those of the sandboxes that it was made in'
ENGINE\t'what made it; with ? where only its cgroup says so'
ID\t'id that the engine has for it'
PID\t'its first process; of nsx run the command'
STATE\t'running, paused, created or exiting'
UPTIME\t'how long the first process has lived, in seconds'
STARTED\t'when the first process was started (UTC)'
NPROCS\t'number of processes in it'
MEM\t'memory that its cgroup uses'
LIMIT\t'how much memory it may use, with the cgroups above'
CPU\t'time on processors, in microseconds'
CPUS\t'how many processors it may use, with the cgroups above, in thousandths'
IP\t'its first address; host where it has the host\'s'
IPS\t'all its addresses'
IMAGE\t'image it was made from'
POD\t'pod: namespace and name; of podman\'s pods the name'
LABELS\t'its labels'
USER\t'who runs it'
UID\t'uid of who runs it'
INSIDE\t'the sandbox it was made in'
MNT\t'its mount namespace'
NET\t'its network namespace'
PIDNS\t'its pid namespace'
USERNS\t'its user namespace'
CGROUP\t'cgroup of its first process'
COMMAND\t'command line of its first process'"
complete -c nsx -n "__fish_nsx_using_subcommand ps" -l backend -d 'How to look at processes' -r -f -a "auto\t'BPF where it may be used and is faster, else /proc'
proc\t'read /proc'
bpf\t'BPF; /proc where it may not be used'"
complete -c nsx -n "__fish_nsx_using_subcommand ps" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand ps" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand ps" -s T -l tree -d 'Draw what was made in a sandbox below it'
complete -c nsx -n "__fish_nsx_using_subcommand ps" -l columns -d 'List the columns that there are'
complete -c nsx -n "__fish_nsx_using_subcommand ps" -s q -l quiet -d 'Print only what `enter -t` and other commands take: names, else pids, a line each'
complete -c nsx -n "__fish_nsx_using_subcommand ps" -s v -l verbose -d 'Say on standard error how processes were looked at'
complete -c nsx -n "__fish_nsx_using_subcommand ps" -s n -l no-headings -d 'Print no headings'
complete -c nsx -n "__fish_nsx_using_subcommand ps" -s u -l no-truncate -d 'Do not cut lines to the width of the terminal'
complete -c nsx -n "__fish_nsx_using_subcommand ps" -s J -l json -d 'Print JSON (schema nsx.ps/1)'
complete -c nsx -n "__fish_nsx_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand ps" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand inspect" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand inspect" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand inspect" -s a -l all -d 'Leave nothing out: every mount with its options, every limit, descriptor and owner'
complete -c nsx -n "__fish_nsx_using_subcommand inspect" -s u -l no-truncate -d 'Do not cut lines to the width of the terminal'
complete -c nsx -n "__fish_nsx_using_subcommand inspect" -s J -l json -d 'Print JSON (schema nsx.inspect/1)'
complete -c nsx -n "__fish_nsx_using_subcommand inspect" -l oci -d 'Print a config.json of the OCI runtime specification that starts a process isolated alike'
complete -c nsx -n "__fish_nsx_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand inspect" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s t -l target -d 'The process, thread or namespace to enter' -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s m -l mount -d 'Enter the mount namespace' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s u -l uts -d 'Enter the UTS namespace: host name' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s i -l ipc -d 'Enter the IPC namespace' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s n -l net -d 'Enter the network namespace' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s N -l net-socket -d 'Enter the network namespace of a socket: descriptor FD of the target' -r
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s p -l pid -d 'Enter the pid namespace' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s C -l cgroup -d 'Enter the cgroup namespace' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s U -l user -d 'Enter the user namespace' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s T -l time -d 'Enter the time namespace' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s S -l setuid -d 'Run as this user, as the entered namespace counts; `follow` is the target\'s' -r
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s G -l setgid -d 'Run as this group, and give up supplementary groups; `follow` is the target\'s' -r
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l caps -d 'Leave the command these capabilities: `target` for the target\'s, `none`, or a list such as net_admin,net_raw' -r
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s r -l root -d 'Use the target\'s root directory, or this one' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s w -l wd -d 'Use the target\'s working directory, or this one; DIR is opened before anything is entered' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s W -l wdns -d 'Use this working directory, looked up when everything is entered' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l tools -d 'Use the host\'s programs in the target\'s namespaces, and show its root directory at DIR (default: /mnt)' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l timeout -d 'End the command after this time with SIGTERM, and with SIGKILL when GRACE is over, too (default: 10s)' -r
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l keep-fd -d 'Leave this descriptor open in the command (can be repeated)' -r
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l status-fd -d 'Write what becomes of the command to this descriptor, as lines of JSON' -r
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s a -l all -d 'Enter all namespaces in which the target is elsewhere (the default)'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l user-parent -d 'Enter the parent of the user namespace, or the owner of another namespace that is entered'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l preserve-credentials -d 'Keep user, group and supplementary groups when a user namespace is entered'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l keep-caps -d 'Keep the capabilities that a user namespace gives, also when the command is not root'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s e -l env -d 'Use the target\'s environment'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s c -l join-cgroup -d 'Join the target\'s cgroup, or fail; the default with all namespaces is to try'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l no-cgroup -d 'Do not join the target\'s cgroup'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l no-proc -d 'Do not mount a fitting /proc for a pid namespace that is entered without a mount namespace'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s Z -l follow-context -d 'Take the target\'s security context (SELinux, AppArmor)'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s F -l no-fork -d 'Do not make a process for the command: nsx becomes it'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -l explain -d 'Print the steps, and do nothing'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s J -l json -d 'With --explain: print JSON (schema nsx.enter/1)'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand enter" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand net" -l routes -d 'Show routes' -r -f -a "set\t'Those of all tables but `local`'
all\t'Those of all tables'"
complete -c nsx -n "__fish_nsx_using_subcommand net" -l where -d 'Only rows for which this is true, such as \'type == veth and state != up\'' -r
complete -c nsx -n "__fish_nsx_using_subcommand net" -s o -l output -d 'Columns to show: COL,…, or +COL,… to add some, or all' -r -f -a "NS\t'inode number of the network namespace'
NAME\t'what it is called: host, container, netns:NAME, …'
LINK\t'name of the link'
IFINDEX\t'number of the link'
TYPE\t'kind of link, or of route'
STATE\t'up, down, no-carrier, …; unseen where it may not be asked'
ADDRESSES\t'addresses, those of the widest scope first'
PEER\t'other end of a pair, or `over` the link below'
MASTER\t'bridge, bond or VRF that it is a port of'
PORTS\t'its ports'
INFO\t'what only its kind has: ids, modes, owners, hardware'
MAC\t'hardware address'
MTU\t'longest packet, in bytes'
FLAGS\t'IFF_ flags'
ALIAS\t'what somebody has written onto it'
NETNSID\t'number that the namespace has for that of the other end'
DST\t'where the route leads to'
VIA\t'router, or several'
SRC\t'address that packets are sent from'
SCOPE\t'how far it leads'
METRIC\t'the smallest is taken'
TABLE\t'routing table'
PROTO\t'who has set the route; protocol of the socket'
LOCAL\t'address that the socket is bound to'
PORT\t'its port'
RQUEUE\t'tcp: connections to be accepted; udp: bytes to be read'
WQUEUE\t'tcp: how many may wait; udp: bytes to be sent'
INODE\t'inode number of the socket'
HOLDERS\t'descriptors of the socket that were seen'
PID\t'leader of the namespace, or who has the socket'
USER\t'user of the leader, or who has made the socket'
CONTAINER\t'container of that process; with ? where only its cgroup says so'
NSFS\t'where the namespace is bind-mounted'
COMMAND\t'command line of that process'
all\t'every column'"
complete -c nsx -n "__fish_nsx_using_subcommand net" -l sort -d 'Sort by this column; -COL puts the largest first' -r -f -a "NS\t'inode number of the network namespace'
NAME\t'what it is called: host, container, netns:NAME, …'
LINK\t'name of the link'
IFINDEX\t'number of the link'
TYPE\t'kind of link, or of route'
STATE\t'up, down, no-carrier, …; unseen where it may not be asked'
ADDRESSES\t'addresses, those of the widest scope first'
PEER\t'other end of a pair, or `over` the link below'
MASTER\t'bridge, bond or VRF that it is a port of'
PORTS\t'its ports'
INFO\t'what only its kind has: ids, modes, owners, hardware'
MAC\t'hardware address'
MTU\t'longest packet, in bytes'
FLAGS\t'IFF_ flags'
ALIAS\t'what somebody has written onto it'
NETNSID\t'number that the namespace has for that of the other end'
DST\t'where the route leads to'
VIA\t'router, or several'
SRC\t'address that packets are sent from'
SCOPE\t'how far it leads'
METRIC\t'the smallest is taken'
TABLE\t'routing table'
PROTO\t'who has set the route; protocol of the socket'
LOCAL\t'address that the socket is bound to'
PORT\t'its port'
RQUEUE\t'tcp: connections to be accepted; udp: bytes to be read'
WQUEUE\t'tcp: how many may wait; udp: bytes to be sent'
INODE\t'inode number of the socket'
HOLDERS\t'descriptors of the socket that were seen'
PID\t'leader of the namespace, or who has the socket'
USER\t'user of the leader, or who has made the socket'
CONTAINER\t'container of that process; with ? where only its cgroup says so'
NSFS\t'where the namespace is bind-mounted'
COMMAND\t'command line of that process'"
complete -c nsx -n "__fish_nsx_using_subcommand net" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand net" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand net" -s l -l listen -d 'Show listening sockets, and who has them open'
complete -c nsx -n "__fish_nsx_using_subcommand net" -s T -l tree -d 'Draw namespaces and links as a tree: ports below their bridge, VLANs below their device'
complete -c nsx -n "__fish_nsx_using_subcommand net" -l dot -d 'Print a picture for dot(1) of graphviz: nsx net --dot | dot -Tsvg'
complete -c nsx -n "__fish_nsx_using_subcommand net" -l columns -d 'List the columns that there are'
complete -c nsx -n "__fish_nsx_using_subcommand net" -s n -l no-headings -d 'Print no headings'
complete -c nsx -n "__fish_nsx_using_subcommand net" -s u -l no-truncate -d 'Do not cut lines to the width of the terminal'
complete -c nsx -n "__fish_nsx_using_subcommand net" -s J -l json -d 'Print JSON (schema nsx.net/1)'
complete -c nsx -n "__fish_nsx_using_subcommand net" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand net" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "ls" -d 'List cgroups, with what they use and may use'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "show" -d 'Show what the limits of a process or cgroup come to, and who sets them'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "path" -d 'Show the limits on the way from the root to a process or cgroup'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "why" -d 'Say why a process was killed or slowed, and what to do about it'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "top" -d 'Show what cgroups use, live'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "procs" -d 'List the processes in a cgroup'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "set" -d 'Set knobs of a cgroup, and make sure that they are set'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "move" -d 'Move processes to a cgroup, and make sure that they are there'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "freeze" -d 'Bring all processes in a cgroup and below it to a stand'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "thaw" -d 'Let all processes in a cgroup and below it run again'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "kill" -d 'Kill all processes in a cgroup and below it'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "create" -d 'Make a cgroup, with all that it takes to use it'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and not __fish_seen_subcommand_from ls show path why top procs set move freeze thaw kill create rm" -f -a "rm" -d 'Remove a cgroup that has no processes'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -s d -l depth -d 'Only so many levels below the first one' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -l over -d 'Only cgroups that use more than this part of a limit, such as 80%' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -s i -l interval -d 'Measure time on processors over this time, such as 1s' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -l where -d 'Only rows for which this is true, such as \'mem > 1000000 and nprocs > 0\'' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -l sort -d 'Sort by this, the largest first; -KEY turns it round' -r -f -a "CGROUP\t'name; with --flat the path'
PATH\t'path'
NPROCS\t'processes in it, without those below'
MEM\t'memory that is used'
MEMMAX\t'memory.max'
MEMHIGH\t'memory.high'
MEMEFF\t'what memory.max comes to, with those above'
FULL\t'how much of its tightest limit is used, in percent'
CPU\t'time on processors over the interval, in percent of one'
CPUMAX\t'cpu.max, in processors'
CPUEFF\t'what cpu.max comes to, with those above'
CPUTIME\t'time on processors since it was made'
THROTTLED\t'periods in which its quota stopped it, in percent'
PIDS\t'tasks in it and below'
PIDSMAX\t'pids.max'
PIDSEFF\t'what pids.max comes to, with those above'
PSI\t'worst pressure of cpu, memory and io, 10 s, in percent'
FROZEN\t'whether its processes stand still'
CONTAINER\t'container or unit, by its name'
INODE\t'inode number; on v2 the id of the cgroup'
DEPTH\t'how deep it lies'
HIERARCHIES\t'how many hierarchies have it'
PRESSURE\t'worst pressure'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -s o -l output -d 'Columns to show: COL,…, or +COL,… to add some, or all' -r -f -a "CGROUP\t'name; with --flat the path'
PATH\t'path'
NPROCS\t'processes in it, without those below'
MEM\t'memory that is used'
MEMMAX\t'memory.max'
MEMHIGH\t'memory.high'
MEMEFF\t'what memory.max comes to, with those above'
FULL\t'how much of its tightest limit is used, in percent'
CPU\t'time on processors over the interval, in percent of one'
CPUMAX\t'cpu.max, in processors'
CPUEFF\t'what cpu.max comes to, with those above'
CPUTIME\t'time on processors since it was made'
THROTTLED\t'periods in which its quota stopped it, in percent'
PIDS\t'tasks in it and below'
PIDSMAX\t'pids.max'
PIDSEFF\t'what pids.max comes to, with those above'
PSI\t'worst pressure of cpu, memory and io, 10 s, in percent'
FROZEN\t'whether its processes stand still'
CONTAINER\t'container or unit, by its name'
INODE\t'inode number; on v2 the id of the cgroup'
DEPTH\t'how deep it lies'
HIERARCHIES\t'how many hierarchies have it'
all\t'every column'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -s f -l flat -d 'Print whole paths instead of a tree'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -s p -l procs -d 'Name the processes in each cgroup'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -l limits-only -d 'Only cgroups that set a limit themselves'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -l columns -d 'List the columns that there are'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -s n -l no-headings -d 'Print no headings'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -s u -l no-truncate -d 'Do not cut lines to the width of the terminal'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -s J -l json -d 'Print JSON (schema nsx.cg.ls/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from show" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from show" -s a -l all -d 'Show knobs that limit nothing, too'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from show" -l shares -d 'Say what weights are worth: reads the weights of all siblings on the way'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from show" -s J -l json -d 'Print JSON (schema nsx.cg.show/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from path" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from path" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from path" -s a -l all -d 'Show columns in which nobody sets a limit, too'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from path" -s n -l no-headings -d 'Print no headings'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from path" -s u -l no-truncate -d 'Do not cut lines to the width of the terminal'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from path" -s J -l json -d 'Print JSON (schema nsx.cg.path/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from path" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from why" -s w -l watch -d 'Read twice, this time apart, and tell what has come in between' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from why" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from why" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from why" -s J -l json -d 'Print JSON (schema nsx.cg.why/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from why" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from why" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -s i -l interval -d 'How often to look: a number with ms, s, m, h or d' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -s s -l sort -d 'What comes first: the most of this, of those side by side; `name` is the order of the alphabet' -r -f -a "cpu\t''
mem\t''
pids\t''
pressure\t''
name\t''"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -s d -l depth -d 'Only so many levels below the first one' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -s n -l count -d 'End after so many intervals' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -s f -l flat -d 'Show whole paths instead of a tree'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -l once -d 'Print one table, after one interval'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -s J -l json -d 'Print JSON, one document on a line after each interval (schema nsx.cg.top/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from procs" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from procs" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from procs" -l threads -d 'List threads'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from procs" -s r -l recursive -d 'List those in the cgroups below, too'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from procs" -s n -l no-headings -d 'Print no headings'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from procs" -s u -l no-truncate -d 'Do not cut lines to the width of the terminal'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from procs" -s J -l json -d 'Print JSON (schema nsx.cg.procs/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from procs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from procs" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from set" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from set" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from set" -s n -l dry-run -d 'Show what would be done, and do nothing'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from set" -s J -l json -d 'Print JSON (schema nsx.cg.change/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from set" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from move" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from move" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from move" -s t -l thread -d 'Move just the threads with these ids, not their processes'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from move" -s n -l dry-run -d 'Show what would be done, and do nothing'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from move" -s J -l json -d 'Print JSON (schema nsx.cg.change/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from move" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from move" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from freeze" -l timeout -d 'How long to wait until it has happened' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from freeze" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from freeze" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from freeze" -s n -l dry-run -d 'Show what would be done, and do nothing'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from freeze" -s J -l json -d 'Print JSON (schema nsx.cg.change/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from freeze" -l force -d 'Also where nsx itself is in the cgroup, and would stand still with it'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from freeze" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from freeze" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from thaw" -l timeout -d 'How long to wait until it has happened' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from thaw" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from thaw" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from thaw" -s n -l dry-run -d 'Show what would be done, and do nothing'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from thaw" -s J -l json -d 'Print JSON (schema nsx.cg.change/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from thaw" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from thaw" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from kill" -l timeout -d 'How long to wait until none is left' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from kill" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from kill" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from kill" -s n -l dry-run -d 'Show what would be done, and do nothing'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from kill" -s J -l json -d 'Print JSON (schema nsx.cg.change/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from kill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from kill" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from create" -s c -l controllers -d 'The controllers that it is to have' -r
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from create" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from create" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from create" -s p -l parents -d 'Make those above it, too, and do not mind if it is there'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from create" -s n -l dry-run -d 'Show what would be done, and do nothing'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from create" -s J -l json -d 'Print JSON (schema nsx.cg.change/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from rm" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from rm" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from rm" -s r -l recursive -d 'Remove the cgroups below it, too'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from rm" -s n -l dry-run -d 'Show what would be done, and do nothing'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from rm" -s J -l json -d 'Print JSON (schema nsx.cg.change/1)'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from rm" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand run" -l mem -d 'Allow no more than this much memory, such as 256M (memory.max)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l mem-high -d 'Slow down what uses more memory than this (memory.high; cgroup v2 only)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l swap -d 'Allow this much swap beside the memory (memory.swap.max); 0 for none' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l cpus -d 'Allow the time of so many processors, such as 1.5 or 50% (cpu.max)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l cpu-weight -d 'Share of processors beside others, from 1 to 10000 (cpu.weight; the kernel\'s default: 100)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l cpuset -d 'Use these processors only, such as 0-3,8 (cpuset.cpus)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l pids -d 'Allow so many processes and threads (pids.max)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l io -d 'Limit reading and writing of a disk, such as /dev/sda:rbps=10M,wiops=100 (io.max; can be repeated)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l hugetlb -d 'Allow so much memory in huge pages of a size, such as 2MB:64M (hugetlb.2MB.max; can be repeated)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l cgroup-set -d 'Set another knob of the cgroup, such as memory.oom.group=1 (can be repeated)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l cgroup-parent -d 'Make the cgroup in this one (default: in the caller\'s own on cgroup v1, beside it on v2)' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand run" -l ulimit -d 'Limit a resource of each process, such as nofile=1024:4096 or core=0 (can be repeated)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l oom-score-adj -d 'Have the kernel kill the command sooner (up to 1000) or later (down to -1000) where memory is short' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l share -d 'Share these kinds of namespace with the caller (can be repeated, or separated by commas)' -r -f -a "cgroup\t'cgroup root directory'
ipc\t'System V IPC, POSIX message queues'
net\t'network devices, stacks, ports'
pid\t'process ids'
time\t'boot and monotonic clocks'
uts\t'host name, NIS domain name'"
complete -c nsx -n "__fish_nsx_using_subcommand run" -l userns -d 'Which ids outside those inside are: auto, root, keep, host, or map=IN:OUT:COUNT,…' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l gid-map -d 'With --userns map=…: map groups in another way than users' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l user -d 'Run as this user and group of the root directory\'s, by name or number (default: root, or the caller with --userns keep or host)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l time-offset -d 'Set clocks ahead or back, such as +1d or boottime=-2h (can be repeated)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l hostname -d 'Set the host name (default: the name of the sandbox, else `nsx`)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l net -d 'The network: none, host, or that of a process or namespace (default: none, with the loopback device up)' -x -a "(__fish_nsx_names targets none host)"
complete -c nsx -n "__fish_nsx_using_subcommand run" -l cap-add -d 'Give the command more capabilities, such as NET_ADMIN, or ALL (can be repeated, or separated by commas)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l cap-drop -d 'Give the command fewer capabilities; with ALL, none but those of --cap-add (can be repeated, or separated by commas)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l seccomp -d 'Which system calls are filtered' -r -f -a "default\t'those that ordinary programs do not make'
none\t'none'"
complete -c nsx -n "__fish_nsx_using_subcommand run" -l rootfs -d 'Use this root directory (default: the host\'s, read-only, with empty /tmp, /var/tmp and /run, without home directories)' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand run" -s v -l volume -d 'Show a file or directory of the host\'s at DST (can be repeated)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l tmpfs -d 'Put an empty directory in memory at DST (can be repeated)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -s w -l workdir -d 'Start in this directory (default: where the caller is, if that is there inside, else the home directory, else /)' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand run" -l name -d 'Name the sandbox (default: the pid of nsx)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l timeout -d 'End the command after this time with SIGTERM, and with SIGKILL when GRACE is over, too (default: 10s)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l status-fd -d 'Write what becomes of the command to this descriptor, as lines of JSON' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -s e -l env -d 'Set a variable; without a value, to the caller\'s (can be repeated)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l env-file -d 'Set the variables that are in this file (can be repeated)' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand run" -l keep-fd -d 'Leave this descriptor open in the command (can be repeated)' -r
complete -c nsx -n "__fish_nsx_using_subcommand run" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand run" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand run" -l explain -d 'Print the steps, and do nothing'
complete -c nsx -n "__fish_nsx_using_subcommand run" -s J -l json -d 'With --explain or --stats: print JSON (schemas nsx.run/1 and nsx.run.report/1)'
complete -c nsx -n "__fish_nsx_using_subcommand run" -l allow-new-privs -d 'Let programs such as sudo(8) gain privileges (default: no_new_privs is set)'
complete -c nsx -n "__fish_nsx_using_subcommand run" -l unmask -d 'Show all of /proc and /sys (default: parts that tell of the host or change it are hidden or read-only)'
complete -c nsx -n "__fish_nsx_using_subcommand run" -l read-only -d 'With --rootfs: let nothing be written to it'
complete -c nsx -n "__fish_nsx_using_subcommand run" -l home -d 'Show home directories, read-only'
complete -c nsx -n "__fish_nsx_using_subcommand run" -s d -l detach -d 'Do not wait for the command, and print its name, which nsx-kill(1) takes'
complete -c nsx -n "__fish_nsx_using_subcommand run" -l stats -d 'Print what the command has used, when it has ended, to standard error'
complete -c nsx -n "__fish_nsx_using_subcommand run" -l no-init -d 'Make the command the first process of its pid namespace (default: that is an init, which collects what has ended)'
complete -c nsx -n "__fish_nsx_using_subcommand run" -l clear-env -d 'Take over no variable (default: TERM, LANG, LC_*, PATH and the like are the caller\'s)'
complete -c nsx -n "__fish_nsx_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand run" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand kill" -s t -l time -d 'Wait so long between SIGTERM and SIGKILL' -r
complete -c nsx -n "__fish_nsx_using_subcommand kill" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand kill" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand kill" -l now -d 'Kill at once, without SIGTERM'
complete -c nsx -n "__fish_nsx_using_subcommand kill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand kill" -s V -l version -d 'Print version'
complete -c nsx -n "__fish_nsx_using_subcommand pid" -s t -l target -d 'The numbers are those of the pid namespace of this process, or of this namespace' -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand pid" -l in -d 'Print the numbers that they have in the pid namespace of this process, or in this namespace, and nothing else' -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand pid" -s o -l output -d 'Columns to show: COL,…, or +COL,… to add some, or all' -r -f -a "PROCESS\t'the process or thread, as /proc has it'
NAME\t'its name'
PIDNS\t'inode of the pid namespace'
LEVEL\t'how far below that of /proc it is'
PID\t'what the process or thread is called in it'
TGID\t'what the process is called in it, where PID is a thread'
INIT\t'its first process, as /proc has it'
CONTAINER\t'container of the first process; with ? where only its cgroup says so'
CGROUP\t'cgroup of the first process'
COMMAND\t'command line of the first process'
all\t'every column'"
complete -c nsx -n "__fish_nsx_using_subcommand pid" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c nsx -n "__fish_nsx_using_subcommand pid" -l proc-root -d 'Read this directory instead of /proc: a captured tree, or the /proc of something else' -r -F
complete -c nsx -n "__fish_nsx_using_subcommand pid" -s q -l quiet -d 'Print the PIDs alone, a line each: as in kill $(nsx pid -q -t 4242 7)'
complete -c nsx -n "__fish_nsx_using_subcommand pid" -l columns -d 'List the columns that there are'
complete -c nsx -n "__fish_nsx_using_subcommand pid" -s n -l no-headings -d 'Print no headings'
complete -c nsx -n "__fish_nsx_using_subcommand pid" -s u -l no-truncate -d 'Do not cut lines to the width of the terminal'
complete -c nsx -n "__fish_nsx_using_subcommand pid" -s J -l json -d 'Print JSON (schema nsx.pid/1)'
complete -c nsx -n "__fish_nsx_using_subcommand pid" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c nsx -n "__fish_nsx_using_subcommand pid" -s V -l version -d 'Print version'

# Prints the names of containers, and files where no name fits: which ones, and the words beside them.
function __fish_nsx_names
    set -l which $argv[1]
    set -e argv[1]
    set -l typed (string replace -r -- '^-[^=]*=' '' (commandline -ct))
    # What has an open quote cannot be unescaped.
    set -l word (string unescape -- "$typed"; or string trim -l -c '\'"' -- "$typed")
    set -l engine (string match -r -- '^[a-z]+:' "$word")
    set -l only
    if test $which = sandboxes
        set only --where 'engine == nsx and inside == ""'
    else if test -n "$engine"
        set only --where "engine == "(string trim -r -c : -- $engine)
        set argv
    end
    set -l names $argv "$engine"(command nsx ps -q $only 2>/dev/null)
    set names (string match -v -- '-*' $names)
    printf '%s\n' $names
    if test $which = targets; and not string match -q -r -- '^'(string escape --style=regex -- "$word") $names
        __fish_complete_path "$word"
    end
end

# Says how many words stand before the one at the cursor, as in -eq 2; the other arguments are the options that have a value.
function __fish_nsx_behind
    set -l count 0
    set -l is_value no
    for word in (commandline -opc)
        if test $is_value = yes
            set is_value no
        else if contains -- $word $argv[3..-1]
            set is_value yes
        else if not string match -q -r -- '^-.' $word
            set count (math $count + 1)
        end
    end
    test $count $argv[1] $argv[2]
end

complete -c nsx -n "__fish_nsx_using_subcommand ls; and __fish_nsx_behind -ge 2 -t --type -p --task --where -o --output --sort --backend --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand ps; and __fish_nsx_behind -ge 2 --where -o --output --sort --backend --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand inspect; and __fish_nsx_behind -ge 2 --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand net; and __fish_nsx_behind -ge 2 --where -o --output --sort --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand kill; and __fish_nsx_behind -ge 2 -t --time --color --proc-root" -x -a "(__fish_nsx_names sandboxes)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from ls; and __fish_nsx_behind -eq 3 -d --depth --over -i --interval --where --sort -o --output --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from show; and __fish_nsx_behind -eq 3 --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from path; and __fish_nsx_behind -eq 3 --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from why; and __fish_nsx_behind -eq 3 -w --watch --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from top; and __fish_nsx_behind -eq 3 -i --interval -s --sort -d --depth -n --count --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from procs; and __fish_nsx_behind -eq 3 --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from set; and __fish_nsx_behind -eq 3 --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from move; and __fish_nsx_behind -eq 3 --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from freeze; and __fish_nsx_behind -eq 3 --timeout --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from thaw; and __fish_nsx_behind -eq 3 --timeout --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from kill; and __fish_nsx_behind -eq 3 --timeout --color --proc-root" -x -a "(__fish_nsx_names targets)"
complete -c nsx -n "__fish_nsx_using_subcommand cg; and __fish_seen_subcommand_from rm; and __fish_nsx_behind -eq 3 --color --proc-root" -x -a "(__fish_nsx_names targets)"
