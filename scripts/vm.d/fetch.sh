# shellcheck shell=bash disable=SC2154  # sourced by scripts/vm, which sets cache, cached, nsx, suite and work
# Debian's kernels, fetched and unpacked without installing anything. Sourced by scripts/vm.
#
# apt is asked with a configuration of its own: its sources, lists and state are in the cache, so that the machine's own packages
# are neither looked at nor touched.

# A kernel's name on the command line, and the suites whose linux-image-cloud-amd64 it may be: of several, the one with the highest
# version.
kernels() {
    cat <<'TABLE'
6.1 bookworm
6.12 trixie
newest sid trixie-backports
TABLE
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Prints a Debian mirror: that of the machine's own apt.
mirror() {
    local sites
    # shellcheck disable=SC2016  # apt's own placeholder
    sites=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | sort -u)
    if [ -n "${NSX_VM_MIRROR:-}" ]; then
        echo "$NSX_VM_MIRROR"
    elif [ -n "$sites" ]; then
        head -n 1 <<<"$sites"
    else
        die "apt has no Debian mirror here; set NSX_VM_MIRROR to the address of one (…/debian)"
    fi
}

# The suite that the Debian with systemd is made of, and the kernel that it runs on if none is named: that of the suite.
debian_suite=trixie
# shellcheck disable=SC2034  # used by scripts/vm
debian_kernel=6.12

# Prepares the private apt for all suites that anything here is taken from, with lists that are less than a day old.
private_apt() {
    local suite mirror
    export APT_CONFIG=$cache/apt/apt.conf
    [ -e "$keyring" ] || die "no $keyring: install debian-archive-keyring"
    mirror=$(APT_CONFIG='' mirror)
    mkdir -p "$cache"/apt/{lists,cache,state}
    : >"$cache/apt/state/status"
    for suite in $(kernels | cut -d' ' -f2- | tr ' ' '\n' | sort -u); do
        echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite main"
    done >"$cache/apt/sources.new"
    cat >"$APT_CONFIG" <<CONF
Dir::Etc::sourcelist "$cache/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$cache/apt/state";
Dir::State::status "$cache/apt/state/status";
Dir::State::lists "$cache/apt/lists";
Dir::Cache "$cache/apt/cache";
APT::Sandbox::User "$(id -un)";
APT::Architecture "amd64";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
CONF
    if ! cmp -s "$cache/apt/sources.new" "$cache/apt/sources.list" || ! is_fresh "$cache/apt/updated"; then
        mv "$cache/apt/sources.new" "$cache/apt/sources.list"
        say "asking the mirror for the newest versions"
        apt-get update -qq -o APT::Update::Error-Mode=any || die "the mirror cannot be read; --cached does with what is here"
        touch "$cache/apt/updated"
    fi
}

is_fresh() {
    [ -n "$(find "$1" -mmin -1440 2>/dev/null)" ]
}

# seal FILE: notes what is in it; is_whole FILE: says whether that is still so.
seal() {
    sha256sum <"$1" >"$1.sha256"
}

is_whole() {
    [ -e "$1" ] && sha256sum --status -c "$1.sha256" <"$1" 2>/dev/null
}

# kernel_release NAME: prints the release of a kernel after having put it into the cache: $cache/kernels/RELEASE has vmlinuz, and
# lib/modules/RELEASE with modules.dep.
kernel_release() {
    local name=$1 known=$cache/kernels/$1 old='' release
    [ ! -e "$known" ] || old=$(<"$known")
    if [ -n "$old" ] && is_whole "$cache/kernels/$old/vmlinuz" && { [ -n "$cached" ] || is_fresh "$known"; }; then
        echo "$old"
        return
    fi
    [ -z "$cached" ] || die "$name is not cached, or is damaged: without --cached it is fetched"
    private_apt
    release=$(newest_release "$name")
    is_whole "$cache/kernels/$release/vmlinuz" || fetch_kernel "$release"
    echo "$release" >"$known"
    # The one that this replaces is not booted any more, unless by another name.
    if [ -n "$old" ] && ! grep -qsxF -- "$old" "$cache"/kernels/*; then
        rm -rf "$cache/kernels/$old"
    fi
    echo "$release"
}

# Prints the release that the meta package of a kernel's suites depends on today.
newest_release() {
    local suite best_version='' best='' record version image
    for suite in $(kernels | sed -n "s/^$1 //p"); do
        record=$(apt-cache show --no-all-versions "linux-image-cloud-amd64/$suite") || continue
        version=$(sed -n 's/^Version: //p' <<<"$record")
        image=$(grep -oE 'linux-image-[0-9][^ ,]*' <<<"$record" | head -n 1)
        if [ -n "$image" ] && { [ -z "$best" ] || dpkg --compare-versions "$version" gt "$best_version"; }; then
            best_version=$version best=$image
        fi
    done
    [ -n "$best" ] || die "no suite of kernel $1 has linux-image-cloud-amd64"
    echo "${best#linux-image-}"
}

# fetch_kernel RELEASE: puts it into the cache.
fetch_kernel() {
    local release=$1 new=$work/kernel package packages vmlinuz
    say "fetching $release"
    # Newer packages are split: the image depends on the binary, the modules and the base of the same release.
    packages=$(apt-cache depends "linux-image-$release" | sed -nE "s/.*Depends: (linux-(binary|modules|base)-[0-9].*)/\1/p")
    mkdir -p "$new/packages" "$new/tree" "$new/kernel/lib/modules"
    # shellcheck disable=SC2086  # one word for each package
    (cd "$new/packages" && apt-get download -qq "linux-image-$release" $packages) || die "cannot fetch $release"
    for package in "$new"/packages/*.deb; do
        dpkg -x "$package" "$new/tree"
    done
    # Parts of it may be in lib and others in usr/lib.
    find "$new/tree" -type d -path "*/modules/$release" -exec cp -a {} "$new/kernel/lib/modules/" \;
    vmlinuz=$(find "$new/tree" -name 'vmlinuz*' -type f)
    if [ ! -f "$vmlinuz" ] || [ ! -d "$new/kernel/lib/modules/$release/kernel" ]; then
        die "$release: not the files of a kernel"
    fi
    mv "$vmlinuz" "$new/kernel/vmlinuz"
    seal "$new/kernel/vmlinuz"
    depmod -b "$new/kernel" "$release"
    # In one step, so that what is there is whole.
    rm -rf "$cache/kernels/$release"
    mv "$new/kernel" "$cache/kernels/$release"
    rm -rf "$new"
}

# debian_root PROGRAM…: prints the archive of a root file system with systemd and the packages that have these programs, for the kernel
# to unpack, after having put it into the cache. It is a week old at most.
debian_root() {
    local packages program package archive hook
    packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,login,uidmap,iproute2,procps,util-linux,kmod
    for program in "$@"; do
        package=$(awk -v program="$program" '$1 == program { print $2 }' scripts/packages)
        [ -n "$package" ] || die "tests need $program, which has no line in scripts/packages"
        [[ ",$packages," = *",$package,"* ]] || packages+=,$package
    done
    # Nobody logs in at its console, nothing is fetched from in there, and there is no autofs4 to wait for.
    # shellcheck disable=SC2016  # the argument of the hook
    hook='chroot "$1" useradd --create-home --shell /bin/bash user
        chroot "$1" systemctl mask serial-getty@ttyS0.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer \
            proc-sys-fs-binfmt_misc.automount'
    archive=$cache/debian-$debian_suite-$(sha256sum <<<"$packages $hook" | cut -c1-12).cpio
    if ! is_whole "$archive" || { [ -z "$cached" ] && [ -n "$(find "$archive" -mtime +6)" ]; }; then
        [ -z "$cached" ] || die "the Debian with systemd is not cached, or is damaged: without --cached it is made"
        [ "$(id -u)" = 0 ] || die "only root can make a Debian with systemd: its files belong to several users"
        say "making a Debian with systemd"
        # With a mount namespace of its own, so that nothing stays mounted whatever happens.
        unshare -m mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" --customize-hook="$hook" \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' \
            "$debian_suite" "$work/debian" "deb [signed-by=$keyring] $(APT_CONFIG='' mirror) $debian_suite main" >&2 ||
            die "mmdebstrap failed"
        rm -f "$cache"/debian-*
        pack_owned "$work/debian" >"$archive"
        seal "$archive"
        rm -rf "$work/debian"
    fi
    echo "$archive"
}
