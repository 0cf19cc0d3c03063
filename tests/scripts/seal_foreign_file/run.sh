# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
packaged
mkdir -p "$root$MOUNT/containerd/certs.d/r.example.com"
echo 'authorization = "Basic cm9ib3Q6czNjcmV0"' >"$root$MOUNT/containerd/certs.d/r.example.com/hosts.toml"
run seal_disk.sh "$MOUNT" <<<"$LOCK"
rm -r "$root$MOUNT/containerd/certs.d"
systemctl start containerd
touch "$root$MOUNT/notes.txt"
run seal_disk.sh "$MOUNT" <<<"$LOCK"
