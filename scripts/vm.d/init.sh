#!/bin/sh
# PID 1 of a virtual machine of scripts/vm, until systemd is, if it is there.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp

# The root that the kernel has unpacked cannot be pivoted away, so tests get one as other hosts have it: a mount on that.
if [ "$1" != again ]; then
    mount --bind / /run
    cd /run && mount --move . / && exec chroot . /init again
fi

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "/nsx/modules/$module" || echo "@fault $module could not be loaded" >/dev/ttyS1
done </nsx/modules/order
if [ -x /usr/lib/systemd/systemd ]; then
    exec /usr/lib/systemd/systemd
fi

ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mkdir /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
hostname nsx-vm
ip link set lo up

if [ -e /nsx/plan ]; then
    NSX_TEST_PLACE=vm /nsx/plan.sh
else
    setsid cttyhack /nsx/shell.sh
fi
poweroff -f
