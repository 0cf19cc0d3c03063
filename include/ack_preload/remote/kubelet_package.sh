#!/usr/bin/env bash
# Put the kubelet package on the disk, where ACK's own script looks for it before it downloads.
#
#   kubelet_package.sh PACKAGES_URL VERSION ARCH MOUNT_POINT [SHA256]
#
#   PACKAGES_URL  of the region's package server: http://aliacs-k8s-REGION.oss-REGION-internal...
#   VERSION       of Kubernetes, such as 1.32.1-aliyun.1
#   ARCH          amd64 or arm64
#   SHA256        of the archive; not checked when left out: the cloud publishes none
#
# stdin   nothing
# stdout  one JSON object:  {"bytes": 93323264, "sha256": "...", "files": 7}
#         bytes 0 and no sha256: the package was there
# stderr  progress, for people
# exit    0 there   2 bad usage   4 the archive is not what it should be   5 a step failed
#
# Safe to run again: the folder appears in one step, so when it is there it is whole.
set -euo pipefail
export LC_ALL=C # a range of letters is ASCII's

readonly root=${ACK_PRELOAD_ROOT:-}
PATH=$PATH:$root/usr/local/bin:$root/usr/local/sbin:$root/usr/sbin:$root/sbin

readonly ATTEMPTS=4

log() { printf '%s kubelet_package: %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }
die() {
    local code=$1
    shift
    log "$*"
    exit "$code"
}

fetch() {
    if command -v curl >/dev/null; then
        curl -fsSL --connect-timeout 20 -o "$2" "$1" </dev/null
    else
        wget -q -O "$2" "$1" </dev/null
    fi
}

download() {
    local url=$1 archive=$2 attempt
    for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
        fetch "$url" "$archive" && return
        log "download of $url: attempt $attempt of $ATTEMPTS failed"
        ((attempt == ATTEMPTS)) || sleep "$((2 ** attempt))"
    done
    die 5 "cannot download $url; is packages_url of the connection right and reachable from here?"
}

main() {
    [[ $# -eq 4 || $# -eq 5 ]] ||
        die 2 "usage: kubelet_package.sh PACKAGES_URL VERSION ARCH MOUNT_POINT [SHA256]"
    [[ $1 =~ ^https?://[A-Za-z0-9._:/-]+$ ]] || die 2 "packages URL '$1' is not http(s)"
    [[ $2 =~ ^[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9._-]*$ ]] || die 2 "version '$2' is not like 1.32.1-aliyun.1"
    [[ $3 == amd64 || $3 == arm64 ]] || die 2 "architecture '$3' is not amd64 or arm64"
    [[ $4 =~ ^(/[A-Za-z0-9_-]+)+$ ]] || die 2 "mount point '$4' is not an absolute path"
    [[ ${5-} =~ ^([0-9a-f]{64})?$ ]] || die 2 "'$5' is not a SHA-256"
    local url=${1%/}/public/pkg/kubernetes/kubernetes-$2-linux-$3.tar.gz
    local place=$root$4/ack sum="" bytes=0
    mountpoint -q "$root$4" || die 5 "nothing is mounted at $root$4: prepare_disk.sh comes first"
    if [[ ! -d $place/kubernetes ]]; then
        rm -rf "$place/.new"
        mkdir -p "$place/.new"
        log "downloading $url"
        download "$url" "$place/.new/archive"
        sum=$(sha256sum "$place/.new/archive")
        sum=${sum%% *}
        [[ -z ${5-} || $sum == "$5" ]] || die 4 "$url has SHA-256 $sum, not $5"
        bytes=$(wc -c <"$place/.new/archive")
        tar -xzf "$place/.new/archive" -C "$place/.new" --no-same-owner ||
            die 4 "$url is not a gzipped tar archive"
        [[ -d $place/.new/pkg/kubernetes ]] || die 4 "$url has no folder pkg/kubernetes"
        mv "$place/.new/pkg/kubernetes" "$place/kubernetes"
        rm -rf "$place/.new"
    fi
    local files
    files=$(find "$place/kubernetes/" -type f | wc -l)
    ((files > 0)) || die 4 "$place/kubernetes is empty"
    printf '{"bytes": %d, "sha256": "%s", "files": %d}\n' "$bytes" "$sum" "$files"
}

main "$@"
