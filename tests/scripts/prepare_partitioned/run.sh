# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# A disk with a partition table may hold anything.
touch "$root/dev/vdb1"
run prepare_disk.sh "$SERIAL" "$MOUNT" "$UUID"
