# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# NVMe disks have several names; partitions have names of their own.
ln -s ../../vdb "$root/dev/disk/by-id/nvme-Alibaba_$SERIAL"
ln -s ../../none "$root/dev/disk/by-id/virtio-$SERIAL-part1"
run prepare_disk.sh "$SERIAL" "$MOUNT" "$UUID"
