# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# A build machine need not have crictl: ctr does the same.
with_runtime
rm "$root/usr/bin/crictl"
run pull_images.sh 1 1 <<<"$LOCK"
ctr -n k8s.io images ls -q
