# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
packaged
victim=$(blobs | head -n 1)
printf X | cat - <(tail -c +2 "$victim") >"$root/tmp/x"
cp "$root/tmp/x" "$victim"
run seal_disk.sh "$MOUNT" <<<"$LOCK"
