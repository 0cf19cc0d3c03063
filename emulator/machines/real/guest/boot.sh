#!/bin/bash
# First process of a machine: builds its root file system, moves into it and becomes init.py.
#
# usage: boot.sh FOLDER HOSTNAME PYTHON CGROUP_VERSION, in fresh namespaces of every kind
#   FOLDER/disks   NAME MAJOR MINOR SERIAL   data disks
#   FOLDER/cgroups NAME OPTIONS              hierarchies of version 1
#   FOLDER/binds   SOURCE<tab>TARGET<tab>ro|rw   what the machine shares with the host
# stdin:  one line once the host has put this process in its place
# stdout: "pid N" at once, "started" when the root is built
# stderr: the machine's console
set -Eeuo pipefail

folder=$1 hostname=$2 python=$3 cgroup_version=$4
root=$folder/root
step='read its own process number'
trap 'echo "boot.sh: cannot $step (line $LINENO)" >&2' ERR

main() {
  # /proc is still the host's, so this is the number that the host knows us by. Reading it
  # without a child: a child would find its own number.
  read -r pid _ </proc/self/stat
  echo "pid $pid"
  read -r _

  step='set the host name' && hostname "$hostname"
  build_root
  build_dev
  build_disk_tables
  build_cgroups
  bind_shared
  step='move into the new root'
  cd "$root"
  mkdir -p .host
  pivot_root . .host
  cd /
  umount -l /.host
  rmdir /.host
  echo started
  exec "$python" -I -S /opt/ack-machine/init.py </dev/null >/dev/stderr
}

build_root() {
  step='mount the root'
  mount --bind "$root" "$root"
  cd "$folder" # relative paths: overlayfs takes a comma or a colon in one for a separator
  mount -t overlay overlay -o lowerdir=/usr,upperdir=usr-upper,workdir=usr-work "$root/usr"
  mount -t overlay overlay -o lowerdir=/etc,upperdir=etc-upper,workdir=etc-work "$root/etc"
  mount -t proc proc "$root/proc"
  # Shows and would change the host's own devices: read-only.
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mkdir -p "$root/run/sshd" "$root/run/lock"
}

build_dev() {
  step='make the devices'
  mount -t tmpfs -o mode=755,size=1m tmpfs "$root/dev"
  cd "$root/dev"
  local name major minor serial
  while read -r name major minor; do
    mknod -m 666 "$name" c "$major" "$minor"
  done <<'DEVICES'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
fuse 10 229
DEVICES
  mkdir -p pts shm disk/by-id
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts pts
  mount -t tmpfs -o mode=1777 tmpfs shm
  ln -s pts/ptmx ptmx
  ln -s /proc/self/fd fd
  ln -s fd/0 stdin
  ln -s fd/1 stdout
  ln -s fd/2 stderr
  while read -r name major minor serial; do
    mknod -m 660 "$name" b "$major" "$minor"
    ln -s "../../$name" "disk/by-id/virtio-$serial"
  done <"$folder/disks"
}

# fdisk, lsblk and blkid look in these three places for the disks there are: shown are the
# machine's own, by their name in the machine. The rest of sysfs is the host's.
build_disk_tables() {
  step='list the disks'
  local name major minor system
  mount --bind "$folder/partitions" "$root/proc/partitions"
  mkdir -p "$folder/by-number"
  rm -f "$folder"/by-number/*
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/block"
  while read -r name major minor _; do
    system=$(readlink "$root/sys/dev/block/$major:$minor") # ../../devices/virtual/block/loop3
    ln -s "/sys/${system#../../}" "$root/sys/block/$name"
    ln -s "../../block/$name" "$folder/by-number/$major:$minor"
  done <"$folder/disks"
  mount --bind "$folder/by-number" "$root/sys/dev/block"
}

build_cgroups() {
  step="mount cgroup version $cgroup_version"
  local cgroup=$root/sys/fs/cgroup controller name options
  if [[ $cgroup_version == 2 ]]; then
    mount -t cgroup2 cgroup2 "$cgroup"
    # A group with processes cannot hand controllers on, and containers need them.
    mkdir -p "$cgroup/init.scope"
    echo 0 >"$cgroup/init.scope/cgroup.procs"
    for controller in $(<"$cgroup/cgroup.controllers"); do
      echo "+$controller" >"$cgroup/cgroup.subtree_control"
    done
    return
  fi
  mount -t tmpfs -o mode=755 tmpfs "$cgroup"
  while read -r name options; do
    mkdir "$cgroup/$name"
    [[ $options == *name=* ]] && options=none,$options
    mount -t cgroup -o "$options" cgroup "$cgroup/$name"
  done <"$folder/cgroups"
}

bind_shared() {
  local source target mode
  while IFS=$'\t' read -r source target mode; do
    step="share $source"
    mkdir -p "$root$target"
    mount --bind "$source" "$root$target"
    if [[ $mode == ro ]]; then
      mount -o remount,bind,ro "$root$target"
    fi
  done <"$folder/binds"
}

main
