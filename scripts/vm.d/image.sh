# shellcheck shell=bash disable=SC2154  # sourced by scripts/vm, which sets cache, cached, nsx, suite and work
# The initramfs of a virtual machine: busybox or a Debian, nsx, the test binary, the tools that tests declare with their libraries,
# and kernel modules. Sourced by scripts/vm.

# copy_program FILE FOLDER: copies a program, its mode included (newuidmap is set-user-ID), and the libraries that it is linked to.
copy_program() {
    local file=$1 root=$2 to library
    to=$root/usr/bin/$(basename "$file")
    [ ! -e "$to" ] || return 0
    cp -L --preserve=mode "$file" "$to"
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
    install -m 755 scripts/vm.d/plan.sh "$root/nsx/plan.sh"
    install -m 755 "$nsx" "$root/usr/bin/nsx"
    strip -o "$root/nsx/suite" "$suite"
    [ ! -e "$work/plan" ] || cp "$work/plan" "$root/nsx/plan"
}

# small_image FOLDER TOOL…: makes a root file system with busybox and these tools.
small_image() {
    local root=$1 tool file
    shift
    mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib,usr/lib64,dev,proc,sys,tmp,run,etc,var}
    for folder in bin sbin lib lib64; do
        ln -s "usr/$folder" "$root/$folder"
    done
    # A shell of its own: that of busybox takes its own programs and not those on PATH.
    for tool in busybox sh setpriv "$@"; do
        file=$(command -v "$tool") || die "tests need $tool, which is not here: scripts/setup installs it"
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
    if [ -e "$work/plan" ]; then
        cat >"$units/nsx-tests.service" <<'UNIT'
[Unit]
Description=The tests of nsx
After=systemd-logind.service systemd-user-sessions.service dbus.socket
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
Environment=NSX_TEST_PLACE=systemd
ExecStart=/nsx/plan.sh
UNIT
        ln -s ../nsx-tests.service "$units/multi-user.target.wants/"
    fi
}

# kernel_modules FOLDER RELEASE MODULE…: adds modules and what they depend on, uncompressed, and the order in which to load them.
kernel_modules() {
    local root=$1 release=$2 module kind path to
    shift 2
    : >"$root/nsx/modules/order"
    for module in "$@"; do
        modprobe -d "$cache/kernels/$release" -S "$release" --show-depends "$module" ||
            die "$release has no module $module"
    done | while read -r kind path _; do
        # What is built in says `builtin NAME`.
        [ "$kind" = insmod ] || continue
        to=$(basename "${path%.ko*}").ko
        [ ! -e "$root/nsx/modules/$to" ] || continue
        case $path in
        *.xz) xz -dc "$path" ;;
        *.zst) zstd -dqc "$path" ;;
        *) cat "$path" ;;
        esac >"$root/nsx/modules/$to"
        echo "$to" >>"$root/nsx/modules/order"
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
