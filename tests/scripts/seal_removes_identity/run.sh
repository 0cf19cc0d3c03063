# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Keys, kubeconfigs and what containers of this machine left; not the images, nor the package.
packaged
c=$root/var/lib/containerd
mkdir -p "$c/io.containerd.content.v1.content/ingest/half" "$c/io.containerd.runtime.v2.task/k8s.io/pod" \
    "$c/io.containerd.grpc.v1.cri/sandboxes/abc" "$c/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/etc" \
    "$root$MOUNT/ack/.docker"
touch "$c/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/etc/machine-id" \
    "$c/id_ed25519" "$root$MOUNT/ack/.docker/config.json" "$root$MOUNT/ack/admin.kubeconfig" \
    "$root$MOUNT/ack/kubernetes/kubelet.conf"
run seal_disk.sh "$MOUNT" <<<"$LOCK" 2>&1 | sed 's|^[0-9TZ:-]* ||' | sort
mount /dev/vdb "$root$MOUNT"
ls "$root$MOUNT/ack/kubernetes" "$root$MOUNT/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/etc"
