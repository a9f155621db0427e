# shellcheck shell=bash disable=SC2154  # sourced by scripts/vm, which sets cache, cached, nsx, suite and work
# The initramfs of a virtual machine: busybox or a Debian, nsx, the test binary, the tools that tests declare with their libraries,
# and kernel modules. Sourced by scripts/vm.

# copy_program FILE FOLDER: copies a program, its mode included (newuidmap is set-user-ID), and the libraries that it is linked to.
copy_program() {
    local file=$1 root=$2 to library
    to=$root/usr/bin/$(basename "$file")
    [ ! -e "$to" ] || return 0
    cp -L --preserve=mode "$file" "$to"
    library=$(sed -nE '1s/^#! *([^ ]+).*/\1/p;q' "$file" | tr -d '\0')
    [ -z "$library" ] || copy_program "$library" "$root"
    # Scripts and static programs have none.
    { ldd "$file" 2>/dev/null || true; } | sed -nE 's|^[^/]*(/[^ ]+).*|\1|p' | while read -r library; do
        [ ! -e "$root$library" ] || continue
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}

# add_tests FOLDER: adds what every image has.
add_tests() {
    local root=$1
    mkdir -p "$root/nsx" "$root/usr/bin"
    install -m 755 scripts/vm.d/init.sh "$root/init"
    install -m 755 scripts/vm.d/{plan,shell}.sh "$root/nsx/"
    install -m 755 "$nsx" "$root/usr/bin/nsx"
    strip -o "$root/nsx/suite" "$suite"
    [ ! -e "$work/plan" ] || cp "$work/plan" "$root/nsx/plan"
}

# small_image FOLDER TOOL…: makes a root file system with busybox and these tools.
small_image() {
    local root=$1 tool file
    shift
    mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib,usr/lib64,usr/share,usr/local,dev,home,mnt,opt,proc,root,run,srv,sys,tmp,etc,var/tmp}
    for folder in bin sbin lib lib64; do
        ln -s "usr/$folder" "$root/$folder"
    done
    # A shell of its own: that of busybox takes its own programs and not those on PATH.
    for tool in busybox sh setpriv "$@"; do
        file=$(type -P "$tool") || die "tests need $tool, which is not here: scripts/setup installs it"
        copy_program "$file" "$root"
    done
    # What is not among the tools is busybox; several of its own (ip, mount, setpriv) can less than tests ask for.
    busybox --list | while read -r tool; do
        [ -e "$root/usr/bin/$tool" ] || ln -s busybox "$root/usr/bin/$tool"
    done
    cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/tmp:/bin/sh
user:x:1000:1000:user:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/tmp:/bin/sh
PASSWD
    printf 'root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n' >"$root/etc/group"
    printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
    printf 'user:100000:65536\n' | tee "$root/etc/subuid" >"$root/etc/subgid"
    add_tests "$root"
}

# systemd_image FOLDER: makes what a Debian with systemd needs beside what it has, to be unpacked over it.
systemd_image() {
    local root=$1 units=$1/etc/systemd/system
    mkdir -p "$units/multi-user.target.wants"
    add_tests "$root"
    # Whatever is started there ends the machine when it ends.
    cat >"$units/nsx.service" <<'UNIT'
[Unit]
Description=nsx
After=systemd-logind.service systemd-user-sessions.service dbus.socket
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=idle
UNIT
    if [ -e "$work/plan" ]; then
        printf 'Environment=NSX_TEST_PLACE=systemd\nExecStart=/nsx/plan.sh\n' >>"$units/nsx.service"
    else
        printf 'StandardInput=tty-force\nTTYPath=/dev/ttyS0\nExecStart=/nsx/shell.sh\n' >>"$units/nsx.service"
    fi
    ln -s ../nsx.service "$units/multi-user.target.wants/"
}

# kernel_modules FOLDER RELEASE MODULE…: adds modules and what they depend on, uncompressed, the order in which to load them, and the
# names of those that this kernel does not have: the tests that need them know what to make of it.
kernel_modules() {
    local root=$1/nsx/modules release=$2 module kind path to
    shift 2
    mkdir -p "$root"
    : >"$root/order"
    for module in "$@"; do
        # The machine's own settings (modprobe.d) have no say.
        modprobe -C /dev/null -d "$cache/kernels/$release" -S "$release" --show-depends "$module" 2>/dev/null ||
            echo "$module" >>"$root/missing"
    done | while read -r kind path; do
        # What is built in says `builtin NAME`.
        [ "$kind" = insmod ] || continue
        path=${path% }
        to=$(basename "${path%.ko*}").ko
        [ ! -e "$root/$to" ] || continue
        case $path in
        *.xz) xz -dc "$path" ;;
        *.zst) zstd -dqc "$path" ;;
        *) cat "$path" ;;
        esac >"$root/$to"
        echo "$to" >>"$root/order"
    done
}

# pack FOLDER: prints it as an archive for the kernel, all files root's. Not compressed: to unpack takes the virtual machine longer
# than to read.
pack() {
    pack_owned "$1" -R 0:0
}

# pack_owned FOLDER: the same, with the owners that the files have.
pack_owned() {
    local folder=$1
    shift
    (cd "$folder" && find . -print0 | cpio -0 -o -H newc --quiet "$@")
}
