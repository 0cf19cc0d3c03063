# shellcheck shell=bash disable=SC2034,SC2154  # what a case uses; what the test tells it
# Sourced before each case. Functions for the steps that a case only needs to get somewhere.

UUID=4b1d0000-0000-5000-8000-000000000001
MOUNT=/mnt/ack-preload
root=$ACK_PRELOAD_ROOT

# Run a script of the product and say how it ended.
run() {
    local name=$1 code=0
    shift
    bash "$SCRIPTS/$name" "$@" || code=$?
    echo "exit $code"
}

quietly() { "$@" >/dev/null 2>&1; }

prepared() { quietly run prepare_disk.sh "$SERIAL" "$MOUNT" "$UUID" </dev/null; }
with_runtime() {
    prepared
    quietly run install_runtime.sh 1.6.20 </dev/null
}
pulled() {
    with_runtime
    quietly run pull_images.sh 1 1 <<<"$LOCK"
}
packaged() {
    pulled
    quietly run kubelet_package.sh "$PACKAGES_URL" 1.32.1-aliyun.1 amd64 "$MOUNT" </dev/null
}
blobs() { find "$root/var/lib/containerd/" -path '*/blobs/sha256/*' | sort; }

# Start a job: its script is the second argument, its input the third.
start_job() {
    local name=$1 text=$2 input=$3 owner=${4:-try1}
    sent_job start "$name" "$owner" "$text" "$input" one "two words"
}
# Send a job: what goes before its text on stdin, as a secret does, is not in the hash.
sent_job() {
    local command=$1 name=$2 owner=$3 text=$4 input=$5 hash
    shift 5
    hash=$(printf '%s\0%s' "$text" "$input" | sha256sum)
    run job.sh "$command" "$name" "$owner" "${hash%% *}" probe.sh "$@" < <(printf '%b%s\0%s' "${AHEAD-}" "$text" "$input")
}
# Wait until a job is no longer running.
ended() {
    local n
    for ((n = 0; n < 200; n++)); do
        [[ $(bash "$SCRIPTS/job.sh" state "$1") == *'"running"'* ]] || return 0
        sleep 0.05
    done
    echo "still running"
}
