# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
with_runtime
printf '%s' "$LOCK" | sed -z 's/\n$//' >"$root/tmp/lock"
run pull_images.sh 1 1 <"$root/tmp/lock" | tail -n 1
ctr -n k8s.io images ls -q | wc -l
