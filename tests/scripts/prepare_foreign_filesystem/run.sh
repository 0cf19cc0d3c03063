# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# The disk holds a file system that this build did not make.
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 /dev/vdb
run prepare_disk.sh "$SERIAL" "$MOUNT" "$UUID"
blkid /dev/vdb
