#!/bin/sh
# usage: scenes.sh SCENE FOLDER
#
# Each function from v2 on is a scene: it makes cgroups, lets something happen in them, and records them into FOLDER with
# scripts/record-cgroup. All but hybrid are for a virtual machine (scripts/record-cgroup.d/vm), whose cgroups are theirs alone. For busybox.
#
# act (act.c) and record-cgroup are on PATH.
set -eu
top=/sys/fs/cgroup
to=$2
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
PATH=$programs:$PATH

# write TEXT FILE: names the file where the kernel refuses.
write() {
    echo "$1" >"$2" || {
        echo "scenes: $2 does not take $1" >&2
        return 1
    }
}

# become FOLDERS COMMAND…: goes on as a command in cgroups, whose folders are separated by spaces.
become() {
    folders=$1
    shift
    # shellcheck disable=SC2016  # for the shell inside
    exec sh -c 'for folder in $0; do echo 0 >"$folder/cgroup.procs" || exit; done; exec "$@"' "$folders" "$@"
}

# inside FOLDERS COMMAND…: runs a command there. The end of one that is killed is part of the scene.
inside() {
    (become "$@") || echo "$3: $?"
}

# settle: gives what was started the time to do it, and the kernel to flush what it counts.
settle() {
    sleep 3
}

# hold NAME FOLDERS MIB: starts a process with this name that keeps so much memory; sets $held.
hold() {
    ln -sf "$(command -v act)" "$programs/$1"
    become "$2" "$1" hog "$3" hold >/dev/null &
    held=$!
    settle
}

# Linux of today, v2 alone: limits at several levels, and all that they do.
v2() {
    mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 "$top"
    device=$(cat /sys/block/vda/dev)
    web=$top/web.slice app=$top/web.slice/app.service db=$top/web.slice/db.service worker=$top/web.slice/app.service/worker
    write '+cpuset +cpu +io +memory +hugetlb +pids +rdma +misc' "$top/cgroup.subtree_control"
    mkdir "$web"
    write '+cpuset +cpu +io +memory +pids' "$web/cgroup.subtree_control"
    mkdir "$app" "$db"
    write '+cpu +memory +pids' "$app/cgroup.subtree_control"
    mkdir "$worker"

    write 48M "$web/memory.max"
    write 16M "$web/memory.low"
    write 50 "$web/pids.max"
    write 10 "$web/cgroup.max.descendants"
    write "$device rbps=20971520 wiops=120" "$web/io.max"
    write 40M "$app/memory.high"
    write 0 "$app/memory.swap.max"
    write 200 "$app/cpu.weight"
    write 20 "$app/pids.max"
    write 0 "$app/cpuset.cpus"
    write 1 "$worker/memory.oom.group"
    write 46M "$db/memory.max"

    # memory.high of app.service: the page cache of worker grows beyond it.
    inside "$worker" dd if=/dev/vda of=/dev/null bs=1M count=64
    # db.service takes 16 MiB, and the memory.max of web.slice is reached: all of worker goes.
    hold db "$db" 16
    kept=$held
    become "$worker" sleep 1000 &
    inside "$worker" act hog 64
    settle
    # pids.max of app.service.
    inside "$worker" act fork 30
    hold worker "$worker" 8
    # cpu.max of web.slice, last: it makes all else slow.
    write '20000 100000' "$web/cpu.max"
    inside "$worker" act spin 2000
    settle
    record-cgroup "$to" "77=$held" "78=$kept" /web.slice
}

# An older set of files, and what is neither limit nor usage: frozen, threaded, removed and not gone.
v2_old() {
    mount -t cgroup2 -o nsdelegate cgroup2 "$top"
    web=$top/web.slice app=$top/web.slice/app.service
    write '+cpuset +cpu +memory +pids' "$top/cgroup.subtree_control"
    mkdir "$web" "$top/pause.slice" "$top/threads"
    write '+cpu +memory +pids' "$web/cgroup.subtree_control"
    mkdir "$app" "$web/gone"
    write 48M "$web/memory.max"
    write 30 "$app/pids.max"

    # A cgroup that is removed stays as long as the memory that is charged to it: this file.
    inside "$web/gone" dd if=/dev/zero of=/tmp/left bs=1M count=8
    rmdir "$web/gone"
    inside "$app" act hog 64
    inside "$app" act fork 40
    hold app "$app" 8
    first=$held
    write '10000 50000' "$web/cpu.max"
    inside "$app" act spin 1000

    mkdir "$top/pause.slice/job"
    hold job "$top/pause.slice/job" 1
    second=$held
    write 1 "$top/pause.slice/cgroup.freeze"

    # a is threaded, which makes its parent the domain of its threads, and b, which is a domain, invalid.
    mkdir "$top/threads/a" "$top/threads/b"
    become "$top/threads" act threads 1 >"$programs/tids" &
    third=$!
    settle
    write threaded "$top/threads/a/cgroup.type"
    write "$(cat "$programs/tids")" "$top/threads/a/cgroup.threads"
    settle
    record-cgroup "$to" "77=$first" "78=$second" "79=$third" "80=$(cat "$programs/tids")" /web.slice /pause.slice /threads
    # It is a thread, and no process.
    rm -r "$to/80"
}

# From inside of a cgroup namespace: the cgroups above it, and their limits, are out of sight.
cgroupns() {
    mount -t cgroup2 -o nsdelegate cgroup2 "$top"
    machine=$top/machine.slice
    write '+cpu +memory +pids' "$top/cgroup.subtree_control"
    mkdir "$machine"
    write '+cpu +memory +pids' "$machine/cgroup.subtree_control"
    mkdir "$machine/box" "$machine/other"
    write 32M "$machine/memory.max"
    write '10000 100000' "$machine/cpu.max"
    write 40 "$machine/pids.max"
    write 64M "$machine/box/memory.max"
    write 30 "$machine/box/pids.max"
    mkdir "$machine/box/sub"

    hold box "$machine/box" 4
    first=$held
    hold other "$machine/other" 2
    second=$held
    hold sub "$machine/box/sub" 2
    third=$held
    sleep 1000 &
    fourth=$!
    # The limit of machine.slice is reached, which box cannot see.
    inside "$machine/box" act hog 48
    settle
    # shellcheck disable=SC2016  # for the shell inside
    inside "$machine/box" act cgroups sh -c 'umount /sys/fs/cgroup && mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup &&
        exec record-cgroup "$@"' sh "$to" "77=$first" "78=$second" "79=$third" "80=$fourth" /sub
}

# v1_mounts [unified]: mounts all controllers as distributions did, cpu and cpuacct in one hierarchy.
v1_mounts() {
    mount -t tmpfs -o mode=755 tmpfs "$top"
    for names in cpuset cpu,cpuacct blkio memory devices freezer pids hugetlb; do
        mkdir "$top/$names"
        mount -t cgroup -o "$names" cgroup "$top/$names"
    done
    mkdir "$top/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$top/systemd"
    if [ "${1:-}" = unified ]; then
        mkdir "$top/unified"
        mount -t cgroup2 cgroup2 "$top/unified"
    fi
}

# v1_make PATH: makes a cgroup in all hierarchies.
v1_make() {
    for folder in "$top"/*/; do
        folder=${folder%/}
        [ ! -L "$folder" ] || continue
        mkdir "$folder$1"
        if [ -e "$folder$1/cpuset.cpus" ]; then
            cat "$folder/cpuset.cpus" >"$folder$1/cpuset.cpus"
            cat "$folder/cpuset.mems" >"$folder$1/cpuset.mems"
        fi
    done
}

# v1_all PATH: prints the folders of a cgroup in all hierarchies.
v1_all() {
    for folder in "$top"/*"$1"; do
        [ -L "${folder%"$1"}" ] || printf '%s ' "$folder"
    done
}

# v1_limits PATH
v1_limits() {
    write 64M "$top/memory$1/memory.limit_in_bytes"
    write 80M "$top/memory$1/memory.memsw.limit_in_bytes"
    write 20000 "$cpu$1/cpu.cfs_quota_us"
    write 512 "$cpu$1/cpu.shares"
    write 50 "$top/pids$1/pids.max"
    write 'a *:* rwm' "$top/devices$1/devices.deny"
    for rule in 'c 1:3 rwm' 'c 1:5 rwm' 'c 5:* rw' 'b 254:* r'; do
        write "$rule" "$top/devices$1/devices.allow"
    done
}

# v1_demo [DISK]: limits at /nsx-demo, and all that they do in /nsx-demo/child, which also reads of a disk. Removes them in the end.
v1_demo() {
    v1_make /nsx-demo
    v1_limits /nsx-demo
    v1_make /nsx-demo/child
    write 0 "$top/cpuset/nsx-demo/child/cpuset.cpus"
    write 2048 "$cpu/nsx-demo/child/cpu.shares"
    if [ -b /dev/vda ]; then
        write "$(cat /sys/block/vda/dev) 20971520" "$top/blkio/nsx-demo/blkio.throttle.read_bps_device"
    fi
    child=$(v1_all /nsx-demo/child)
    [ -z "${1:-}" ] || inside "$child" dd if="$1" of=/dev/null bs=1M count=16
    inside "$child" act hog 96
    inside "$child" act fork 60
    hold child "$child" 8
    inside "$child" act spin 2000
    write FROZEN "$top/freezer/nsx-demo/freezer.state"
    settle
    record-cgroup "$to" "77=$held" /nsx-demo
    # The recording process may be somewhere else on this machine, which is of no interest: in all recordings it is at the top.
    sed -i 's|^\([0-9]*:[^:]*\):/.*|\1:/|' "$to/self/cgroup"
    for folder in "$to/self/root$top"/*; do
        for list in "$folder/cgroup.procs" "$folder/tasks"; do
            [ ! -e "$list" ] || echo 70 >"$list"
        done
    done
    write THAWED "$top/freezer/nsx-demo/freezer.state"
    kill "$held"
    wait "$held" || true
    for folder in "$top"/*/nsx-demo; do
        rmdir "$folder/child" "$folder"
    done
}

# For a machine whose hierarchies are mounted like that already.
hybrid() {
    cpu=$top/cpu
    v1_demo
}

v1() {
    cpu=$top/cpu,cpuacct
    v1_mounts
    v1_demo /dev/vda
}

# From inside of a container that has no cgroup namespace: each mount shows its own cgroup only, and each path says where that is.
container() {
    cpu=$top/cpu,cpuacct
    id=5b0dd1f1b6a9c2ad0c5a0d3f8a2d3e1c9f6b7a8e4d2c1b0a9f8e7d6c5b4a3f21
    v1_mounts unified
    v1_make /docker
    write 48M "$top/memory/docker/memory.limit_in_bytes"
    v1_make "/docker/$id"
    v1_limits "/docker/$id"
    v1_make "/docker/$id/sub"
    # The limit of /docker is reached, which the container cannot see.
    inside "$(v1_all "/docker/$id")" act hog 64
    hold first "$(v1_all "/docker/$id")" 4
    first=$held
    hold second "$(v1_all "/docker/$id/sub")" 2
    # shellcheck disable=SC2016  # for the shell inside
    inside "$(v1_all "/docker/$id")" act mounts sh -c 'top=/sys/fs/cgroup own=/tmp/own id=$1
        shift
        mkdir "$own"
        mount -t tmpfs -o mode=755 tmpfs "$own"
        for folder in "$top"/*; do
            name=${folder##*/}
            mkdir "$own/$name"
            mount --bind "$folder/docker/$id" "$own/$name"
            mount -o remount,bind,ro,nosuid,nodev,noexec "$own/$name"
            umount "$folder"
        done
        umount "$top"
        mount --move "$own" "$top"
        exec record-cgroup "$@"' sh "$id" "$to" "77=$first" "78=$held" "/docker/$id/sub"
}

"$1"
