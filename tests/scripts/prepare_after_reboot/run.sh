# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Formatted by an earlier try of this build, then unmounted: kept, not formatted again.
prepared
touch "$root$MOUNT/kept"
umount "$root/var/lib/containerd"
umount "$root$MOUNT"
run prepare_disk.sh "$SERIAL" "$MOUNT" "$UUID"
ls "$root$MOUNT"
