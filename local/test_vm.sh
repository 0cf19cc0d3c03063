#!/usr/bin/env bash
# Try the machine layer under Debian's own kernel with cgroup v2, in a virtual machine.
#
# usage: test_vm.sh [--limit SECONDS] [--init systemd|plain] [-- COMMAND...]
#
# The guest sees this machine's files through virtiofs, read-only, below an overlay on a scratch
# disk: the same Debian packages, virtual environment and checkout, but another kernel and init.
# QEMU emulates in software (no KVM needed), so everything in it is 5 to 20 times slower.
# COMMAND replaces the machine layer's self-test. See docs/test-vm.md.
#
# exit: 0 it worked; 1 it did not (the guest's output says why); 2 it could not be tried here.
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WORK=$REPO/.local/test-vm
PYTHON=$REPO/.venv/bin/python
LIMIT_S=1200
INIT=systemd
MEMORY_MIB=3072
SCRATCH_GIB=12
COMMAND=()
# Modules that the early init loads by hand; all others load themselves on demand.
EARLY_MODULES=(virtio_pci virtio_blk virtiofs overlay ext4)
# Of the guest's init; nothing of it is read with --init plain.
SYSTEMD_OPTIONS="systemd.unit=test-vm.service systemd.show_status=0 systemd.log_level=warning"
HOST_TOOLS=(qemu-system-x86 qemu-system-common kmod busybox-static)
GUEST_TOOLS=(containerd runc docker-registry openssh-server iproute2 e2fsprogs xfsprogs fdisk)

main() {
    parse "$@"
    [[ $(id -u) == 0 ]] || refuse "it shares this machine's files with the guest: run it as root"
    [[ $(uname -m) == x86_64 ]] || refuse "there is no kernel chosen for $(uname -m), only x86_64"
    [[ -x $PYTHON ]] || refuse "$PYTHON is missing: run 'make test' or 'make demo' once before"
    exec 9>"$WORK.lock"
    flock -n 9 || refuse "another test-vm of this checkout is running"
    install_missing "${HOST_TOOLS[@]}" "${GUEST_TOOLS[@]}"
    find_virtiofsd
    fetch_kernel
    RUN=$(mktemp -d "$WORK/run.XXXXXX")
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    write_layer
    write_initramfs
    truncate -s "${SCRATCH_GIB}G" "$RUN/scratch.raw"
    mke2fs -q -t ext4 -d "$RUN/scratch" "$RUN/scratch.raw"
    share_files
    boot
    judge
}

parse() {
    while (($#)); do
        case $1 in
            --limit | --init)
                [[ -n ${2:-} ]] || refuse "$1 needs a value"
                [[ $1 == --limit ]] && LIMIT_S=$2 || INIT=$2
                shift 2 ;;
            --) shift; COMMAND=("$@"); break ;;
            *) refuse "unknown argument $1: see the head of ${BASH_SOURCE[0]}" ;;
        esac
    done
    [[ $LIMIT_S =~ ^[1-9][0-9]*$ ]] || refuse "--limit $LIMIT_S must be whole seconds"
    [[ $INIT == systemd || $INIT == plain ]] || refuse "--init $INIT must be systemd or plain"
    if ((${#COMMAND[@]} == 0)); then
        COMMAND=("$PYTHON" -m emulator.machines.real.selftest --state /scratch/selftest)
    fi
    mkdir -p "$WORK"
}

say() { echo "test-vm: $*" >&2; }
refuse() { say "cannot be tried: $*"; exit 2; }

install_missing() {
    local missing=() package
    for package; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    apt-get update -qq >"$WORK/apt.log" 2>&1 || true # an old list may still do
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >>"$WORK/apt.log" 2>&1 || refuse "apt-get install ${missing[*]} failed: see $WORK/apt.log"
}

find_virtiofsd() {
    for VIRTIOFSD in /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd; do
        [[ -x $VIRTIOFSD ]] && return
    done
    install_missing virtiofsd # a package of its own since Debian 13
    [[ -x $VIRTIOFSD ]] || refuse "virtiofsd was not found where Debian puts it"
}

kernel_package() {
    apt-cache depends linux-image-cloud-amd64 2>/dev/null |
        awk '/Depends: linux-image-[0-9]/ { print $2; exit }'
}

# Sets KERNEL (version) and KERNEL_DIR (the unpacked package). It is not installed here.
fetch_kernel() {
    local package
    package=$(kernel_package)
    if [[ -z $package ]]; then
        apt-get update -qq >"$WORK/apt.log" 2>&1 || true
        package=$(kernel_package)
    fi
    [[ -n $package ]] || refuse "apt knows no linux-image-cloud-amd64: Debian's kernel is needed"
    KERNEL=${package#linux-image-}
    KERNEL_DIR=$WORK/$package
    [[ -d $KERNEL_DIR ]] && return
    say "fetching $package"
    rm -rf "$KERNEL_DIR.unfinished"
    mkdir -p "$KERNEL_DIR.unfinished"
    (cd "$KERNEL_DIR.unfinished" && apt-get download "$package" >"$WORK/apt.log" 2>&1) ||
        refuse "apt-get download $package failed: see $WORK/apt.log"
    dpkg-deb -x "$KERNEL_DIR.unfinished"/*.deb "$KERNEL_DIR.unfinished"
    rm "$KERNEL_DIR.unfinished"/*.deb
    depmod -b "$KERNEL_DIR.unfinished" "$KERNEL"
    mv "$KERNEL_DIR.unfinished" "$KERNEL_DIR"
}

# What the guest's root has over this machine's files: kernel modules, what to run, no fstab.
write_layer() {
    local layer=$RUN/scratch/upper
    local units=$layer/etc/systemd/system
    mkdir -p "$RUN/scratch/work" "$layer/usr/lib/modules" "$layer/scratch" "$units"
    cp -r "$KERNEL_DIR/lib/modules/$KERNEL" "$layer/usr/lib/modules/"
    : >"$layer/etc/fstab"
    {
        printf 'REPO=%q\nINIT=%q\nCOMMAND=(' "$REPO" "$INIT"
        printf '%q ' "${COMMAND[@]}"
        echo ')'
    } >"$layer/test-vm.env"
    install -m 755 "$REPO/local/test_vm_guest.sh" "$layer/test-vm-guest.sh"
    cp "$REPO/local/test_vm.service" "$units/test-vm.service"
}

write_initramfs() {
    local tree=$RUN/initramfs module
    mkdir -p "$tree"/{bin,modules,proc,sys,dev,host,scratch,root}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    install -m 755 "$REPO/local/test_vm_early.sh" "$tree/init"
    for module in "${EARLY_MODULES[@]}"; do
        # "builtin NAME" lines need no loading; the others come in the order to load them in.
        modprobe -d "$KERNEL_DIR" -S "$KERNEL" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$RUN/modules"
    while read -r module; do
        cp "$module" "$tree/modules/"
        basename "$module"
    done <"$RUN/modules" >"$tree/modules/order"
    (cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$RUN/initramfs.gz"
}

# The guest's root user must not be able to write here, so virtiofsd sees a read-only bind only.
share_files() {
    mkdir "$RUN/shared"
    # shellcheck disable=SC2016  # the inner shell expands these
    unshare --mount --propagation private bash -euc '
        shared=$1 socket=$2 virtiofsd=$3; shift 3
        mount --bind / "$shared"
        for place; do
            where=$(findmnt -n -o TARGET -T "$place")
            [[ $where == / ]] || mount --bind "$where" "$shared$where"
            [[ $where == / ]] || mount -o remount,bind,ro "$shared$where"
        done
        mount -o remount,bind,ro "$shared"
        exec "$virtiofsd" --socket-path="$socket" -o source="$shared" -o cache=always -f
    ' share "$RUN/shared" "$RUN/virtiofs.sock" "$VIRTIOFSD" \
        "$REPO" "$(readlink -f "$PYTHON")" >"$RUN/virtiofsd.log" 2>&1 9>&- &
    VIRTIOFSD_PID=$!
    local deadline=$((SECONDS + 20))
    until [[ -S $RUN/virtiofs.sock ]]; do
        if ! kill -0 "$VIRTIOFSD_PID" 2>/dev/null || ((SECONDS >= deadline)); then
            refuse "virtiofsd did not start: $(tail -n 2 "$RUN/virtiofsd.log")"
        fi
        sleep 0.1
    done
}

boot() {
    local init=/test-vm-guest.sh
    [[ $INIT == systemd ]] && init=/lib/systemd/systemd
    say "booting $KERNEL with $INIT, at most $LIMIT_S s"
    STATUS=0
    timeout --kill-after=10 "$LIMIT_S" qemu-system-x86_64 \
        -machine q35,accel=tcg,memory-backend=memory -cpu max -smp 2 -m "$MEMORY_MIB" \
        -object "memory-backend-memfd,id=memory,size=${MEMORY_MIB}M,share=on" \
        -kernel "$KERNEL_DIR/boot/vmlinuz-$KERNEL" -initrd "$RUN/initramfs.gz" \
        -append "console=ttyS0 panic=-1 quiet test_vm_init=$init $SYSTEMD_OPTIONS" \
        -chardev "socket,id=files,path=$RUN/virtiofs.sock" \
        -device vhost-user-fs-pci,chardev=files,tag=host,queue-size=1024 \
        -drive "file=$RUN/scratch.raw,format=raw,if=virtio,cache=unsafe,discard=unmap" \
        -nic none -display none -monitor none -no-reboot \
        -chardev "stdio,id=console,signal=off,logfile=$WORK/console.log" -serial chardev:console \
        </dev/null 9>&- &
    QEMU_PID=$! # in the background, so that a signal to this script is acted on at once
    wait "$QEMU_PID" || STATUS=$?
    QEMU_PID=
}

judge() {
    local result
    result=$(tr -d '\r' <"$WORK/console.log" | sed -n 's/^.*TEST-VM-RESULT //p' | tail -n 1)
    if [[ $STATUS == 124 || $STATUS == 137 ]]; then
        say "not done after $LIMIT_S s (--limit): console in $WORK/console.log"
        exit 1
    fi
    if [[ -z $result ]]; then
        say "the guest ended (QEMU status $STATUS) without a result: console in $WORK/console.log"
        exit 1
    fi
    echo "$result"
    "$PYTHON" -c 'import json, sys; sys.exit(json.loads(sys.argv[1])["exit"] != 0)' "$result"
}

# shellcheck disable=SC2329  # called by the trap
cleanup() {
    local pid
    for pid in "${QEMU_PID:-}" "${VIRTIOFSD_PID:-}"; do
        [[ -n $pid ]] || continue
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf --one-file-system "$RUN"
}

# One line, since bash reads a script while it runs, and it may be edited meanwhile.
{ main "$@"; exit 0; }
