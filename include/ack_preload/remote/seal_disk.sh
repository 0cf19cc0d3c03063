#!/usr/bin/env bash
# Prove what is on the preloaded disk, clean it, and let go of it: after this it is not written.
#
#   seal_disk.sh MOUNT_POINT < lock
#
# stdin   an image a line: DIGEST SIZE NAME, as for pull_images.sh
# stdout  one JSON object:  {"images": 14, "blobs": 120, "bytes": 812000000, "removed": 0, "trimmed": true}
# stderr  progress and every finding, for people
# exit    0 sealed   2 bad usage   3 a line is not an image   4 a finding: do not take a snapshot
#         5 a step failed
#
# What is proven: the runtime knows every digest of the lock, and its tag; every content file has
# the hash that is its name; the file system is clean once it is unmounted. Not proven here: the
# unpacked files of each layer.
#
# Runs once: afterwards nothing is mounted, and a second run says so.
set -euo pipefail
export LC_ALL=C # a range of letters is ASCII's

readonly root=${ACK_PRELOAD_ROOT:-}
PATH=$PATH:$root/usr/local/bin:$root/usr/local/sbin:$root/usr/sbin:$root/sbin

readonly NAMESPACE=k8s.io
readonly CONTAINERD=$root/var/lib/containerd
readonly CONTENT=io.containerd.content.v1.content
readonly LINE='^(sha256:[0-9a-f]{64}) ([0-9]{1,15}) ([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)+)(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$'
readonly LOGIN='(authorization|auth|identity_?token|registry_?token|password)["'"'"']?[[:space:]]*[=:][[:space:]]*["'"'"'][^"'"'"']'
readonly HASHERS=4
readonly LETS_GO_WITHIN_S=30 # containerd's own threads keep the folder busy for a moment

log() { printf '%s seal_disk: %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }
die() {
    local code=$1
    shift
    log "$*"
    exit "$code"
}

names=() digests=()

read_lock() {
    local line repository
    while IFS= read -r line || [[ -n $line ]]; do
        [[ -n $line ]] || continue
        [[ $line =~ $LINE ]] || die 3 "not an image with its digest: ${line:0:300}"
        repository=${BASH_REMATCH[3]}
        digests+=("${BASH_REMATCH[1]}")
        names+=("$repository@${BASH_REMATCH[1]}")
        [[ -z ${BASH_REMATCH[6]} ]] || names+=("$repository${BASH_REMATCH[6]}")
    done
    [[ ${#digests[@]} -gt 0 ]] || die 3 "the lock is empty"
}

# Print every name that the runtime knows, one a line, quoted or not.
known_names() {
    if command -v crictl >/dev/null; then
        crictl images -o json </dev/null
    else
        ctr --namespace "$NAMESPACE" images ls -q </dev/null
    fi
}

verify_names() {
    local known name missing=0
    known=$(known_names) || die 5 "the runtime does not list its images"
    known=$(grep -Eo '[^" ]+(:|@sha256:)[^" ,]+' <<<"$known" || true)
    for name in "${names[@]}"; do
        grep -Fxq -- "$name" <<<"$known" || {
            log "finding: the runtime does not know $name"
            missing=$((missing + 1))
        }
    done
    ((missing == 0)) || die 4 "$missing names of the lock are missing"
}

# Every content file must hash to its name, and every manifest of the lock must be one of them.
verify_content() {
    local blobs=$1/$CONTENT/blobs/sha256 digest wrong sums
    for digest in "${digests[@]}"; do
        [[ -s $blobs/${digest#sha256:} ]] || die 4 "finding: the content of $digest is missing or empty"
    done
    sums=$scratch/sums
    find "$blobs/" -type f -print0 | xargs -0 -n 32 -P "$HASHERS" sha256sum >"$sums" ||
        die 5 "content files cannot be read"
    wrong=$(awk '{ name = $2; sub(/.*\//, "", name); if (name != $1) print name " hashes to " $1 }' "$sums")
    [[ -z $wrong ]] || die 4 "finding: damaged content: ${wrong//$'\n'/; }"
    blob_count=$(wc -l <"$sums")
    blob_bytes=$(find "$blobs/" -type f -exec ls -ln {} + | awk '{ n += $5 } END { print n + 0 }')
}

# Remove what belongs to this machine or to a run of it, and refuse what nobody put there.
clean() {
    local mount_point=$1 entry path
    for entry in "$mount_point"/* "$mount_point"/.[!.]*; do
        [[ -e $entry ]] || continue
        case ${entry##*/} in
            containerd | ack | lost+found) ;;
            *) die 4 "finding: $entry does not belong on the disk" ;;
        esac
    done
    while IFS= read -r -d '' path; do
        log "removing $path"
        rm -rf "$path"
        removed=$((removed + 1))
    done < <(
        # Half-fetched content, and the state of containers of this machine.
        find "$mount_point/containerd/" -mindepth 2 -maxdepth 3 \( \
            -path "*/$CONTENT/ingest/*" -o -path '*/io.containerd.runtime.v*.task/*' -o \
            -path '*/io.containerd.grpc.v1.cri/sandboxes/*' -o -path '*/io.containerd.grpc.v1.cri/containers/*' \
            \) -print0 -prune
        # Identity and credentials, anywhere but in the images themselves and the public package.
        find "$mount_point/" \( -path '*/io.containerd.snapshotter.v1.*' -o -path "*/$CONTENT" -o \
            -path "$mount_point/ack/kubernetes" \) -prune -o \( \
            -name authorized_keys -o -name 'id_rsa*' -o -name 'id_ed25519*' -o -name 'id_ecdsa*' -o \
            -name '*kubeconfig*' -o -name 'kubelet.conf' -o -name 'bootstrap-kubelet.conf' -o \
            -name machine-id -o -name '.dockerconfigjson' -o -path '*/.docker/config.json' -o \
            -name .dockercfg -o -name .netrc -o \
            -name 'kubelet-client-*.pem' \) -print0
    )
}

# A login in a configuration that somebody put on the disk: what to remove of it is not known here.
refuse_logins() {
    local found
    found=$(find "$1/" \( -path '*/io.containerd.snapshotter.v1.*' -o -path "*/$CONTENT" -o -path "$1/ack/kubernetes" \) -prune \
        -o -type f \( -name '*.toml' -o -name '*.json' -o -name '*.yaml' -o -name '*.yml' -o -name '*.conf' \) \
        -exec grep -lEi "$LOGIN" {} + || true)
    [[ -z $found ]] || die 4 "finding: a registry login in ${found//$'\n'/, }"
}

stop_runtime() {
    systemctl stop containerd || die 5 "containerd does not stop"
    ! systemctl is-active --quiet containerd || die 5 "containerd still runs"
}

let_go() {
    local target=$1 waited
    for ((waited = 0; waited < LETS_GO_WITHIN_S; waited++)); do
        umount "$target" 2>/dev/null && return
        mountpoint -q "$target" || return 0
        sleep 1
    done
    umount "$target" || die 5 "$target stays busy"
}

trim() {
    if fstrim "$1" >&2; then
        trimmed=true
    else
        log "the disk takes no trim; the snapshot may be larger"
    fi
}

main() {
    [[ $# -eq 1 && $1 =~ ^(/[A-Za-z0-9_-]+)+$ ]] || die 2 "usage: seal_disk.sh MOUNT_POINT < lock"
    local mount_point=$root$1 device
    removed=0 trimmed=false blob_count=0 blob_bytes=0
    read_lock
    mountpoint -q "$mount_point" || die 5 "nothing is mounted at $mount_point: prepare_disk.sh comes first"
    [[ $CONTAINERD -ef $mount_point/containerd ]] || die 4 "finding: $CONTAINERD is not on the disk"
    scratch=$(mktemp -d)
    readonly scratch
    trap 'rm -rf "$scratch"' EXIT
    device=$(findmnt -rn -o SOURCE -M "$mount_point")
    verify_names
    stop_runtime
    clean "$mount_point"
    refuse_logins "$mount_point"
    trim "$mount_point"
    sync
    let_go "$CONTAINERD"
    let_go "$mount_point"
    # Mounted anew, so that what is hashed comes from the disk and not from the page cache.
    mount -o ro "$device" "$mount_point" || die 5 "mounting $device to verify it failed"
    verify_content "$mount_point/containerd"
    let_go "$mount_point"
    e2fsck -fn "$device" >&2 </dev/null || die 4 "finding: the file system of $device is not clean"
    log "$device is sealed"
    printf '{"images": %d, "blobs": %d, "bytes": %d, "removed": %d, "trimmed": %s}\n' \
        "${#digests[@]}" "$blob_count" "$blob_bytes" "$removed" "$trimmed"
}

main "$@"
