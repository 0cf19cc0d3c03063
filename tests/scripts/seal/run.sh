# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Proven, cleaned, unmounted; a second run says that there is nothing to seal.
packaged
run seal_disk.sh "$MOUNT" <<<"$LOCK"
findmnt -rn -o TARGET
systemctl is-active containerd
run seal_disk.sh "$MOUNT" <<<"$LOCK"
