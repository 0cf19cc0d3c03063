# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
run seal_disk.sh "$MOUNT" <<<"$LOCK"
run seal_disk.sh <<<"$LOCK"
run seal_disk.sh "$MOUNT" <<<"nonsense"
run seal_disk.sh "$MOUNT" </dev/null
