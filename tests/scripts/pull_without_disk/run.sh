# shellcheck shell=bash disable=SC2154  # see ../prelude.sh
# The machine was started again, and the disk is not mounted: the system disk must not be filled.
with_runtime
systemctl stop containerd
umount "$root/var/lib/containerd"
run pull_images.sh 1 1 <<<"$LOCK"
