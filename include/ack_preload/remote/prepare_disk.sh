#!/usr/bin/env bash
# Make a blank data disk ready to take images: file system, mount, and the bind for containerd.
#
#   prepare_disk.sh SERIAL MOUNT_POINT UUID
#
#   SERIAL       of the disk, as the cloud reports it; the only way it is looked for
#   MOUNT_POINT  where it is mounted; MOUNT_POINT/containerd then also is /var/lib/containerd
#   UUID         for the file system, the same on every try of one build: a disk that has it is ours
#
# stdin   nothing
# stdout  one JSON object:  {"device": "/dev/vdb", "filesystem": "made"}    or "found"
# stderr  progress, for people
# exit    0 ready   2 bad usage   4 refused: the disk is not ours to format   5 a step failed
#
# Safe to run again: what an earlier try has done is found and kept.
set -euo pipefail
export LC_ALL=C # a range of letters is ASCII's

readonly root=${ACK_PRELOAD_ROOT:-}
PATH=$PATH:$root/usr/local/sbin:$root/usr/sbin:$root/sbin

readonly CONTAINERD=$root/var/lib/containerd
readonly WAIT_FOR_DEVICE_S=60 # an attached disk shows up within seconds; udev may lag

log() { printf '%s prepare_disk: %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }
die() {
    local code=$1
    shift
    log "$*"
    exit "$code"
}

# Print every whole-disk device whose udev name carries the serial, each once.
devices_of() {
    local serial=$1 link
    for link in "$root"/dev/disk/by-id/*"$serial"*; do
        case $link in
            *"$serial"-part[0-9]*) continue ;;
        esac
        [[ -e $link ]] && readlink -f "$link"
    done | sort -u
}

find_device() {
    local serial=$1 found waited
    command -v udevadm >/dev/null && { udevadm settle --timeout=10 || true; }
    for ((waited = 0; waited <= WAIT_FOR_DEVICE_S; waited++)); do
        found=$(devices_of "$serial")
        [[ -n $found ]] && break
        sleep 1
    done
    [[ -n $found ]] || die 5 "no device has serial $serial after $WAIT_FOR_DEVICE_S s"
    [[ $found != *$'\n'* ]] || die 4 "serial $serial is ambiguous: ${found//$'\n'/, }"
    printf '%s\n' "$found"
}

refuse_foreign() {
    local device=$1 mount_point=$2 part target
    for part in "$device"[0-9]* "$device"p[0-9]*; do
        [[ -e $part ]] && die 4 "$device has a partition ($part): it is not a blank data disk"
    done
    # A target is read as a whole line: a mount point may have blanks in its name.
    while IFS= read -r target; do
        case $target in
            "$mount_point" | "$CONTAINERD") ;; # ours, of an earlier try
            *) die 4 "$device is in use: mounted at $target" ;;
        esac
    done < <(findmnt -rn -o TARGET -S "$device" || true)
}

# Print "made" or "found".
make_filesystem() {
    local device=$1 uuid=$2 type
    type=$(blkid -p -o value -s TYPE "$device" || true)
    if [[ -z $type ]]; then
        log "making ext4 on $device"
        # -i 8192: twice the default number of inodes, as ACK's own script has it. Images are
        # made of small files.
        mkfs.ext4 -q -i 8192 -U "$uuid" "$device" >&2 </dev/null || die 5 "mkfs.ext4 $device failed"
        echo made
        return
    fi
    [[ $type == ext4 && $(blkid -p -o value -s UUID "$device") == "$uuid" ]] ||
        die 4 "$device already has a file system ($type) that this build did not make; it is kept"
    echo found
}

mount_all() {
    local device=$1 mount_point=$2
    mkdir -p "$mount_point" "$CONTAINERD"
    mountpoint -q "$mount_point" || mount "$device" "$mount_point" || die 5 "mounting $device failed"
    mkdir -p "$mount_point/containerd"
    [[ $CONTAINERD -ef $mount_point/containerd ]] && return
    mountpoint -q "$CONTAINERD" && die 4 "$CONTAINERD is a mount of something else"
    # A runtime that came with the machine image must not hold the folder that is hidden now.
    if systemctl is-active --quiet containerd; then
        systemctl stop containerd || die 5 "containerd does not stop"
    fi
    mount --bind "$mount_point/containerd" "$CONTAINERD" || die 5 "binding $CONTAINERD failed"
}

# A machine that is started again finds its disk where it was, so that a retried task goes on there.
keep_mounts() {
    local mount_point=$1 uuid=$2 fstab=$root/etc/fstab
    grep -qs "^UUID=$uuid " "$fstab" && return
    printf 'UUID=%s %s ext4 defaults,nofail 0 0\n%s %s none bind,nofail,%s,%s 0 0\n' \
        "$uuid" "$mount_point" "$mount_point/containerd" /var/lib/containerd \
        "x-systemd.requires-mounts-for=$mount_point" x-systemd.before=containerd.service >>"$fstab"
}

main() {
    [[ $# -eq 3 ]] || die 2 "usage: prepare_disk.sh SERIAL MOUNT_POINT UUID"
    [[ $1 =~ ^[A-Za-z0-9_-]{4,64}$ ]] || die 2 "serial '$1' is not one"
    [[ $2 =~ ^(/[A-Za-z0-9_-]+)+$ ]] || die 2 "mount point '$2' is not an absolute path"
    [[ $3 =~ ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$ ]] || die 2 "'$3' is not a UUID"
    local mount_point=$root$2 device filesystem
    device=$(find_device "$1")
    refuse_foreign "$device" "$mount_point"
    filesystem=$(make_filesystem "$device" "$3")
    mount_all "$device" "$mount_point"
    keep_mounts "$2" "$3"
    log "$device is mounted at $mount_point and $CONTAINERD"
    printf '{"device": "%s", "filesystem": "%s"}\n' "${device#"$root"}" "$filesystem"
}

main "$@"
