# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
packaged
touch "$root$MOUNT/notes.txt"
run seal_disk.sh "$MOUNT" <<<"$LOCK"
