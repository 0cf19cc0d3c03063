# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# The serial of the system disk: it has a partition, and it is mounted.
touch "$root/dev/vda"
ln -s ../../vda "$root/dev/disk/by-id/virtio-bp1system0000000001"
run prepare_disk.sh bp1system0000000001 "$MOUNT" "$UUID"
