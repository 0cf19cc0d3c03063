# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
touch "$root/dev/vdc"
ln -s ../../vdc "$root/dev/disk/by-id/nvme-other-$SERIAL"
run prepare_disk.sh "$SERIAL" "$MOUNT" "$UUID"
