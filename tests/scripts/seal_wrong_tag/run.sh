# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# The content is there, the tag is not.
packaged
sed -i 's|acs/pause:3.9"|acs/pause:other"|' "$root/var/lib/containerd/paper-images.json"
run seal_disk.sh "$MOUNT" <<<"$LOCK"
