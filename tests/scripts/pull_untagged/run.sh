# shellcheck shell=bash disable=SC2154,SC2016,SC2001  # see ../prelude.sh
# An image without a tag is kept by its digest alone.
with_runtime
sed 's/:3\.9$//' <<<"$LOCK" | grep pause >"$root/tmp/lock"
run pull_images.sh 1 1 <"$root/tmp/lock"
ctr -n k8s.io images ls -q
