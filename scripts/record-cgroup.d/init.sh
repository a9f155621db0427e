#!/bin/sh
# PID 1 of a virtual machine of scripts/record-cgroup.d/vm: plays one scene, and sends its recording over the second serial port.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
while read -r module; do
    insmod "/nsx/modules/$module"
done </nsx/modules/order
stty -F /dev/ttyS1 -opost
scene=$(sed -n 's/.*nsx.scene=\([^ ]*\).*/\1/p' /proc/cmdline)
if /nsx/scenes.sh "$scene" /tmp/recording; then
    tar -C /tmp/recording -cz . | base64 >/dev/ttyS1
fi
poweroff -f
