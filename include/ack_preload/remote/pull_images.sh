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
# fd 3    a registry that wants a login a line: HOST SIZE AUTH, such as registry.example.com:5000 42 CgR1...
#         AUTH is CRI's AuthConfig, SIZE bytes in base64; see job.sh, start_secret
# stdout  one JSON object for each image when it is there:  {"name": "...", "digest": "..."}
# stderr  progress, for people; of a failure the runtime's own words
# file    $ACK_PRELOAD_PROGRESS, when set:  {"done": 3, "of": 14, "bytes": 123}
# exit    0 all pulled   2 bad usage   3 a line is not an image   4 an image cannot be had
#         5 a pull failed on every attempt   6 a registry refuses the login, or wants one
#
# Images are pulled by digest, by CRI, so into containerd's namespace k8s.io, which is the
# kubelet's; elsewhere they would be invisible to it. The tag is then added as a second name.
# Without crictl, ctr does the same. Safe to run again: content that is there is not fetched again.
#
# With a login, the same CRI call is made by curl, over HTTP/2 and the runtime's socket: crictl and
# ctr take one on their command line or in their environment only, where every process of root sees
# it, and a hosts.toml with it would be a file. So it is in pipes and in memory, here and there.
set -euo pipefail
export LC_ALL=C # a range of letters is ASCII's

readonly root=${ACK_PRELOAD_ROOT:-}
PATH=$PATH:$root/usr/local/bin:$root/usr/local/sbin:$root/usr/sbin:$root/sbin

readonly NAMESPACE=k8s.io
readonly REPORTS_WITHIN=200 # of 0.05 s: another worker's figures take milliseconds
readonly MANAGED=io.cri-containerd.image=managed # what CRI labels its images with
readonly LINE='^(sha256:[0-9a-f]{64}) ([0-9]{1,15}) ([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)+)(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$'
readonly LOGIN='^([A-Za-z0-9._-]+(:[0-9]+)?) ([0-9]{1,5}) ([A-Za-z0-9+/]+=*)$'
readonly CRI=http://localhost/runtime.v1.ImageService/PullImage # the host is not looked at
# Answers that another attempt would get again.
readonly DENIED='401 Unauthorized|403 Forbidden|unauthorized|authorization failed|access denied|no basic auth credentials'
readonly FINAL='code = NotFound|: not found|code = InvalidArgument|code = Unimplemented'
readonly GRPC=(OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied
    ResourceExhausted FailedPrecondition Aborted OutOfRange Unimplemented Internal Unavailable DataLoss
    Unauthenticated)

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

login_hosts=() login_sizes=() login_auths=()

read_logins() {
    local line
    [[ -e /dev/fd/3 ]] || return 0
    while IFS= read -r line <&3; do
        [[ $line =~ $LOGIN ]] || die 2 "line $((${#login_hosts[@]} + 1)) of the logins is none"
        login_hosts+=("${BASH_REMATCH[1]}")
        login_sizes+=("${BASH_REMATCH[3]}")
        login_auths+=("${BASH_REMATCH[4]}")
    done
    exec 3<&-
    if ((${#login_hosts[@]})); then
        [[ $(curl --version) == *HTTP2* ]] ||
            die 4 "curl of this machine speaks no HTTP/2, which a pull with a login needs; use another ECS image"
    fi
}

# Set login to the number of the login for a registry; nothing without one.
find_login() {
    local i
    login=
    for ((i = 0; i < ${#login_hosts[@]}; i++)); do
        [[ ${login_hosts[$i]} != "$1" ]] || login=$i
    done
}

# Protobuf and gRPC, as far as one request needs them.
byte() { printf '%b' "$(printf '\\x%02x' "$1")"; }
varint() {
    local n=$1
    while ((n > 127)); do
        byte $((n & 127 | 128))
        n=$((n >> 7))
    done
    byte "$n"
}
# Print the head of a field of bytes, and of how many bytes the whole field is.
head_of() {
    byte $(($1 << 3 | 2))
    varint "$2"
}
size_of() { echo $((1 + $1 + 1 + ($1 > 127) + ($1 > 16383))); }

# https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto: PullImageRequest
cri_request() {
    local image=$1 auth=${login_sizes[$2]} spec size shift
    spec=$(size_of ${#image})
    size=$(($(size_of "$spec") + $(size_of "$auth")))
    byte 0 # not compressed
    for shift in 24 16 8 0; do byte $((size >> shift & 255)); done
    head_of 1 "$spec"
    head_of 1 ${#image}
    printf '%s' "$image"
    head_of 2 "$auth"
    printf '%s' "${login_auths[$2]}" | base64 -d
}

cri_pull() {
    local said status message
    said=$(cri_request "$1" "$2" | curl -sS --http2-prior-knowledge --unix-socket "$root/run/containerd/containerd.sock" \
        -H 'Content-Type: application/grpc' -H 'TE: trailers' --data-binary @- -D - -o /dev/null "$CRI") || return
    status=$(sed -n 's/^grpc-status: *\([0-9]*\).*/\1/p' <<<"$said")
    message=$(sed -n 's/^grpc-message: *//p' <<<"$said" | tr -d '\r')
    [[ $status != 0 ]] || return 0
    message=${message//\\/\\\\}
    printf 'rpc error: code = %s desc = %b\n' "${GRPC[${status:-2}]-$status}" "${message//%/\\x}"
    return 1
}

runtime_pull() {
    local login
    find_login "${1%%/*}"
    if [[ -n $login ]]; then
        cri_pull "$1" "$login"
    elif command -v crictl >/dev/null; then
        crictl pull "$1" </dev/null
    else
        ctr --namespace "$NAMESPACE" images pull "$1" </dev/null &&
            ctr --namespace "$NAMESPACE" images label "$1" "$MANAGED" </dev/null
    fi
}

pull_one() {
    local i=$1 attempts=$2 pinned=${repositories[$1]}@${digests[$1]} name=${repositories[$1]}${tags[$1]}
    local attempt=1 said=$scratch/said.$i registry=${repositories[$1]%%/*} login why
    until runtime_pull "$pinned" >"$said" 2>&1; do
        if grep -Eq "$DENIED" "$said"; then
            find_login "$registry"
            [[ -n $login ]] && why="refuses the login that came for it" || why="wants a login, and none came for it"
            log "registry $registry $why: $name ($pinned): $(tail -n 1 "$said")"
            return 6
        fi
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
    local i count=0 bytes=0 try=0
    until mkdir "$scratch/reporting" 2>/dev/null; do
        ((++try <= REPORTS_WITHIN)) || die 5 "cannot write into $scratch; is the disk full?"
        sleep 0.05
    done
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
    read_logins
    # Without the disk, as on a machine that was started again, all would go to the system disk.
    mountpoint -q "$root/var/lib/containerd" || die 5 "/var/lib/containerd is not on the data disk"
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
    for n in "${!digests[@]}"; do # a worker that was killed, or met a full disk, has said nothing
        [[ -e $scratch/done.$n ]] ||
            die 5 "not all is pulled: a worker ended early; look for a full disk or a lack of memory"
    done
    sync # the snapshot reads the block device, not the page cache
}

main "$@"
