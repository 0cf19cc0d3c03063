#!/bin/bash
# Runs in the test-vm guest: finishes the mounts, runs the command, reports on the console.
# As process 1 (--init plain) it does what systemd has done otherwise. See test_vm.sh.
set -uo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8

# shellcheck source=/dev/null  # written by test_vm.sh
. /test-vm.env

if [[ $$ == 1 ]]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mkdir /sys/fs/cgroup/init.scope
    echo 1 >/sys/fs/cgroup/init.scope/cgroup.procs
    echo +cpu +memory +pids +io >/sys/fs/cgroup/cgroup.subtree_control
    mkdir -p /dev/pts /dev/shm
    mount -t devpts devpts /dev/pts
    mount -t tmpfs -o mode=1777 shm /dev/shm
    mount -t tmpfs -o mode=755 run /run
    mount --make-rshared /
    modprobe loop # systemd makes /dev/loop-control, whose first use does this
fi
ip link set lo up
hostname test-vm

cd "$REPO" || exit
echo "test-vm guest: $(uname -r), $(stat -fc %T /sys/fs/cgroup) at /sys/fs/cgroup, up $(cut -d' ' -f1 /proc/uptime) s"
before=$SECONDS
"${COMMAND[@]}" </dev/null 2>&1
status=$?
printf 'TEST-VM-RESULT {"exit": %d, "kernel": "%s", "cgroup": "%s", "init": "%s", "seconds": %d}\n' \
    "$status" "$(uname -r)" "$(stat -fc %T /sys/fs/cgroup)" "$INIT" $((SECONDS - before))
sync
[[ $$ == 1 ]] && busybox poweroff -f
exit "$status"
