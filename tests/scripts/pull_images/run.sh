# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Both names are kept, by CRI in the kubelet's namespace; a second run is fine.
with_runtime
ACK_PRELOAD_PROGRESS=$root/tmp/progress run pull_images.sh 1 1 <<<"$LOCK"
cat "$root/tmp/progress"
ctr -n k8s.io images ls -q
run pull_images.sh 1 1 <<<"$LOCK" | tail -n 1
