#!/bin/sh
# PID 1 of a virtual machine of launch.d/vm: runs benches/compare/launch, and sends what it has written over the second serial port.
export PATH=/usr/bin HOME=/root

# The root that the kernel has unpacked cannot be pivoted away, so the sandboxes get one as other hosts have it: a mount on that.
if [ "$1" != again ]; then
	mount --bind / /run
	cd /run && mount --move . / && exec chroot . /init again
fi

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
ip link set lo up
hostname nsx-vm
stty -F /dev/ttyS1 -opost

# shellcheck disable=SC2046  # one word for each line
if NSX_BENCH_BUILT=/nsx /nsx/compare/launch --out /tmp/out $(cat /nsx/options); then
	tar -C /tmp/out -cz . | base64 >/dev/ttyS1
fi
poweroff -f
