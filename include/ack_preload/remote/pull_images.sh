#!/usr/bin/env bash
# Pull every image of an image lock into the containerd store of this machine.
#
#   pull_images.sh WORKERS ATTEMPTS < lock
#
#   WORKERS   images at a time
#   ATTEMPTS  for each image, before the whole job fails
#
# stdin   an image a line: DIGEST SIZE NAME, such as
#         sha256:0123... 46137344 registry.example.com/acs/pause:3.9
# stdout  one JSON object for each image when it is there:  {"name": "...", "digest": "..."}
# stderr  progress, for people; of a failure the runtime's own words
# file    $ACK_PRELOAD_PROGRESS, when set:  {"done": 3, "of": 14, "bytes": 123}
# exit    0 all pulled   2 bad usage   3 a line is not an image   4 an image cannot be had
#         5 a pull failed on every attempt
#
# Images are pulled by digest, by CRI, so into containerd's namespace k8s.io, which is the
# kubelet's; elsewhere they would be invisible to it. The tag is then added as a second name.
# Without crictl, ctr does the same. Safe to run again: content that is there is not fetched again.
set -euo pipefail

readonly root=${ACK_PRELOAD_ROOT:-}
PATH=$PATH:$root/usr/local/bin:$root/usr/local/sbin:$root/usr/sbin:$root/sbin

readonly NAMESPACE=k8s.io
readonly MANAGED=io.cri-containerd.image=managed # what CRI labels its images with
readonly LINE='^(sha256:[0-9a-f]{64}) ([0-9]{1,15}) ([A-Za-z0-9._-]+(:[0-9]+)?(/[a-z0-9._-]+)+)(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$'
# Answers that another attempt would get again.
readonly FINAL='code = NotFound|: not found|unauthorized|authorization failed|access denied|403 Forbidden|code = InvalidArgument'

log() { printf '%s pull_images: %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }
die() {
    local code=$1
    shift
    log "$*"
    exit "$code"
}

digests=() sizes=() repositories=() tags=()

read_lock() {
    local line
    while IFS= read -r line || [[ -n $line ]]; do # the last line may lack its newline
        [[ -n $line ]] || continue
        [[ $line =~ $LINE ]] || die 3 "not an image with its digest: ${line:0:300}"
        digests+=("${BASH_REMATCH[1]}")
        sizes+=("${BASH_REMATCH[2]}")
        repositories+=("${BASH_REMATCH[3]}")
        tags+=("${BASH_REMATCH[6]}")
    done
    [[ ${#digests[@]} -gt 0 ]] || die 3 "the lock is empty: there is nothing to preload"
}

runtime_pull() {
    if command -v crictl >/dev/null; then
        crictl pull "$1" </dev/null
    else
        ctr --namespace "$NAMESPACE" images pull "$1" </dev/null &&
            ctr --namespace "$NAMESPACE" images label "$1" "$MANAGED" </dev/null
    fi
}

pull_one() {
    local i=$1 attempts=$2 pinned=${repositories[$1]}@${digests[$1]} name=${repositories[$1]}${tags[$1]}
    local attempt=1 said=$scratch/said.$i
    until runtime_pull "$pinned" >"$said" 2>&1; do
        if grep -Eq "$FINAL" "$said"; then
            log "cannot pull $name ($pinned): $(tail -n 1 "$said")"
            return 4
        fi
        if ((attempt >= attempts)); then
            log "pulling $name ($pinned) failed $attempt times: $(tail -n 1 "$said")"
            return 5
        fi
        log "pulling $name: attempt $attempt failed, again in $((2 ** attempt)) s: $(tail -n 1 "$said")"
        sleep "$((2 ** attempt))"
        attempt=$((attempt + 1))
    done
    if [[ -n ${tags[$i]} ]]; then
        ctr --namespace "$NAMESPACE" images tag --force "$pinned" "$name" >"$said" 2>&1 </dev/null || {
            log "naming $pinned as $name failed: $(tail -n 1 "$said")"
            return 5
        }
    fi
    log "pulled $name"
    printf '{"name": "%s", "digest": "%s"}\n' "$name" "${digests[$i]}"
}

# Count what is done, one worker at a time, so that the figures only grow.
report() {
    until mkdir "$scratch/reporting" 2>/dev/null; do sleep 0.05; done
    local i count=0 bytes=0
    for i in "${!digests[@]}"; do
        [[ -e $scratch/done.$i ]] || continue
        count=$((count + 1))
        bytes=$((bytes + sizes[i]))
    done
    if [[ -n ${ACK_PRELOAD_PROGRESS:-} ]]; then
        printf '{"done": %d, "of": %d, "bytes": %d}\n' "$count" "${#digests[@]}" "$bytes" \
            >"$ACK_PRELOAD_PROGRESS.new"
        mv "$ACK_PRELOAD_PROGRESS.new" "$ACK_PRELOAD_PROGRESS"
    fi
    rmdir "$scratch/reporting"
}

# Take the next image that nobody has taken, until there is none or one has failed.
work() {
    local i code
    for i in "${!digests[@]}"; do
        [[ ! -e $scratch/failed ]] || return 0
        mkdir "$scratch/taken.$i" 2>/dev/null || continue
        code=0
        pull_one "$i" "$1" || code=$?
        if ((code)); then
            printf '%s\n' "$code" >"$scratch/failed"
            return 0
        fi
        : >"$scratch/done.$i"
        report
    done
}

main() {
    [[ $# -eq 2 && $1 =~ ^[1-9][0-9]?$ && $2 =~ ^[1-9]$ ]] ||
        die 2 "usage: pull_images.sh WORKERS ATTEMPTS < lock"
    local workers=$1 attempts=$2 n
    read_lock
    scratch=$(mktemp -d)
    readonly scratch
    trap 'rm -rf "$scratch"' EXIT
    log "${#digests[@]} images, $workers at a time"
    report
    for ((n = 0; n < workers; n++)); do
        work "$attempts" &
    done
    wait
    [[ ! -e $scratch/failed ]] || exit "$(<"$scratch/failed")"
    sync # the snapshot reads the block device, not the page cache
}

main "$@"
