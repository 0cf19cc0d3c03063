# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
mkfs.ext4 -q -U "$UUID" /dev/vdb
mkdir -p /data
mount /dev/vdb /data
run prepare_disk.sh "$SERIAL" "$MOUNT" "$UUID"
