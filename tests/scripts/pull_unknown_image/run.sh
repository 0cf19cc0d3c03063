# shellcheck shell=bash disable=SC2154,SC2016,SC2001  # see ../prelude.sh
# Nothing is gained by trying again: one attempt, and the runtime's words.
with_runtime
sed 's/coredns/nonsense/' <<<"$LOCK" >"$root/tmp/lock"
run pull_images.sh 1 4 <"$root/tmp/lock"
