#!/usr/bin/env bash
# Install the Debian packages that real machines need; what is there already is left alone.
#
# Without root and without sudo that asks for no password nothing is installed: the demo then
# runs on paper machines. Exit codes: 0 done or not needed, 1 an install failed.
set -euo pipefail

cd "$(dirname "$0")/.."
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
TOOLS="$PWD/.local/tools"

say() { printf '%s\n' "$*" >&2; }

if [ "$(uname -s)" != Linux ] || ! command -v apt-get >/dev/null; then
    say "setup: no apt-get here; install what docs/quickstart.md lists by hand for real machines"
    exit 0
fi

# A command is looked for and not a package: Docker's own containerd.io serves as well, and
# installing Debian's beside it would remove it.
packages=()
need() { command -v "$1" >/dev/null || packages+=("$2"); }
need containerd containerd
need runc runc
need docker-registry docker-registry
need sshd openssh-server
need mkfs.xfs xfsprogs
need mkfs.ext4 e2fsprogs
need ip iproute2
need tc iproute2
need fdisk fdisk
need blkid util-linux
need ssh-keygen openssh-client
need curl curl
need losetup mount

is_static() { ! LC_ALL=C ldd "$1" >/dev/null 2>&1; }
has_static_busybox() {
    local found
    for found in "$TOOLS/bin/busybox" /bin/busybox /usr/bin/busybox; do
        if [ -x "$found" ] && is_static "$found"; then return 0; fi
    done
    return 1
}
busybox=no
has_static_busybox || busybox=yes

# The interpreter of .venv: any Python from 3.11 on that can make one.
has_python() {
    local name
    for name in python3.11 python3.12 python3.13 python3; do
        if command -v "$name" >/dev/null && "$name" -c \
            'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return 0
        fi
    done
    return 1
}
if ! has_python; then
    if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        packages+=(python3-venv)
    else
        packages+=(python3.11 python3.11-venv) # Ubuntu 22.04, whose python3 is 3.10
    fi
fi

if [ ${#packages[@]} -eq 0 ] && [ $busybox = no ]; then exit 0; fi

if [ "$(id -u)" -eq 0 ]; then
    root=()
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; then
    root=(sudo)
else
    say "setup: not root and no sudo: not installing ${packages[*]}; machines will be paper ones"
    exit 0
fi

# No package may start its service: registry, sshd and containerd are ours to run, on addresses
# that only machines reach. policy-rc.d is asked by invoke-rc.d and deb-systemd-invoke.
policy=/usr/sbin/policy-rc.d
saved=
restore() {
    if [ -n "$saved" ]; then
        "${root[@]}" mv "$saved" "$policy"
    else
        "${root[@]}" rm -f "$policy"
    fi
}
if [ -e "$policy" ]; then
    saved="$policy.ack-preload-saved"
    "${root[@]}" mv "$policy" "$saved"
fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
"${root[@]}" chmod 755 "$policy"

log=.local/logs/setup.log
mkdir -p "$(dirname "$log")"
quietly() {
    if ! "$@" >>"$log" 2>&1; then
        say "setup: failed: $*; the end of $log:"
        tail -n 15 "$log" >&2
        exit 1
    fi
}

: >"$log"
quietly "${root[@]}" apt-get update
if [ ${#packages[@]} -gt 0 ]; then
    say "setup: installing ${packages[*]}"
    # --no-remove: rather fail than take something away that this machine uses.
    quietly "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends --no-remove "${packages[@]}"
    # Not at the next boot either. Only units that came with what was installed just now.
    for unit in containerd.service docker-registry.service ssh.service ssh.socket; do
        package=${unit%%.*}
        [ "$package" = ssh ] && package=openssh-server
        if [[ " ${packages[*]} " == *" $package "* ]] && command -v systemctl >/dev/null; then
            "${root[@]}" systemctl disable "$unit" >>"$log" 2>&1 || true # not all have both of ssh
        fi
    done
fi
if [ $busybox = yes ]; then
    # Unpacked and not installed: it conflicts with busybox, which the initramfs needs.
    say "setup: unpacking busybox-static into .local/tools"
    scratch=$(mktemp -d)
    (cd "$scratch" && apt-get download busybox-static) >>"$log" 2>&1 ||
        { say "setup: busybox-static cannot be downloaded; see $log"; exit 1; }
    quietly dpkg-deb -x "$scratch"/busybox-static_*.deb "$scratch/root"
    mkdir -p "$TOOLS/bin"
    # By its folder: other files of the package have the same name. Debian 13 merged /bin.
    quietly install -m 755 "$(find "$scratch/root" -path '*bin/busybox' -type f)" "$TOOLS/bin/busybox"
    rm -rf "$scratch"
fi
