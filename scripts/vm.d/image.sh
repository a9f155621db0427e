# The initramfs of a virtual machine: busybox, nsx, the test binary, the tools that tests declare with their libraries, and kernel
# modules. Sourced by scripts/vm.

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

# base_image FOLDER TOOL…: makes everything that is the same for all kernels.
base_image() {
    local root=$1 tool file
    shift
    mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib,usr/lib64,dev,proc,sys,tmp,run,etc,var,nsx}
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
    cp scripts/vm.d/init.sh "$root/init"
    cp scripts/vm.d/plan.sh "$root/nsx/plan.sh"
    install -m 755 "$nsx" "$root/usr/bin/nsx"
    strip -o "$root/nsx/suite" "$suite"
    chmod 755 "$root/init" "$root/nsx/suite"
}

# kernel_modules FOLDER RELEASE MODULE…: adds modules and what they depend on, uncompressed, and the order in which to load them.
kernel_modules() {
    local root=$1 release=$2 module kind path to
    shift 2
    mkdir -p "$root/nsx/modules"
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

# pack FOLDER: prints it as an archive for the kernel. Not compressed: to unpack takes the virtual machine longer than to read.
pack() {
    (cd "$1" && find . -print0 | cpio -0 -o -H newc -R 0:0 --quiet)
}
