# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
with_runtime
head -n 1 <<<"$LOCK" >"$root/tmp/one"
quietly run pull_images.sh 1 1 <"$root/tmp/one"
run seal_disk.sh "$MOUNT" <<<"$LOCK"
findmnt -rn -o TARGET
