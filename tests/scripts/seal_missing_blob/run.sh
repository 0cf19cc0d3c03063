# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
packaged
digest=$(head -n 1 <<<"$LOCK" | cut -d' ' -f1)
rm "$root/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256/${digest#sha256:}"
run seal_disk.sh "$MOUNT" <<<"$LOCK"
