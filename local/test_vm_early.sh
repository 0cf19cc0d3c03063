#!/bin/busybox sh
# First program of the test-vm guest: loads drivers, puts the guest's root together, goes there.
# What it mounts: this machine's files read-only, under an overlay whose upper half is a disk.

busybox=/bin/busybox
fail() {
    echo "test-vm early init: $*"
    $busybox poweroff -f
}

$busybox mount -t devtmpfs dev /dev
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
while read -r module; do
    $busybox insmod "/modules/$module" || fail "cannot load $module"
done </modules/order

$busybox mount -t virtiofs -o ro host /host || fail "cannot mount the shared files"
$busybox mount -t ext4 /dev/vda /scratch || fail "cannot mount the scratch disk"
$busybox mount -t overlay overlay /root \
    -o "lowerdir=/host,upperdir=/scratch/upper,workdir=/scratch/work" ||
    fail "cannot put the root together"
# Where this machine is itself a container, systemd must not take the guest for one.
$busybox rm -f /root/.dockerenv
$busybox mount --move /scratch /root/scratch

init=$($busybox sed -n 's/.*test_vm_init=\([^ ]*\).*/\1/p' /proc/cmdline)
for place in dev proc sys; do
    $busybox mount --move /$place /root/$place
done
exec $busybox switch_root /root "$init"
