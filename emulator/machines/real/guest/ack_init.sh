#!/bin/bash
# What ACK's init script does on a new node, in its order; see docs/machines.md.
#
# stdout: one line a step, with the time; it lands in /var/log/cloud-init-output.log
# exit: 0 the node agent runs and registers the node; 1 a step failed, named on stderr
set -Eeuo pipefail

# shellcheck disable=SC1091  # written when the machine is made
source /etc/ack/init.env # KUBERNETES_VERSION PACKAGES_URL

container=/var/lib/container
package=kubernetes-$KUBERNETES_VERSION-linux-amd64.tar.gz
step='start'
trap 'echo "ack-init: cannot $step (line $LINENO)" >&2' ERR

main() {
  if [[ -e /var/.skip-auto-fdisk ]]; then
    say 'data disk left alone: /var/.skip-auto-fdisk'
  else
    mount_data_disk
  fi
  install_kubelet
  step='start containerd'
  systemctl enable --now containerd
  say 'containerd runs'
  # The agent pulls the system images that are not there, then registers the node; systemctl
  # returns when it has.
  step='join the cluster'
  systemctl enable --now kubelet
  say 'the node is registered'
  if [[ -e /var/.skip-yum ]]; then
    say 'package updates skipped: /var/.skip-yum'
  else
    say 'package updates are not emulated'
  fi
}

mount_data_disk() {
  step='find the data disk'
  # NVMe devices do not exist here; ACK would prefer them. The last in lexicographic order.
  local device='' candidate kind
  for candidate in /dev/vd[b-z]; do
    [[ -b $candidate ]] && device=$candidate
  done
  if [[ -z $device ]]; then
    say 'no data disk: images stay on the system disk'
    return
  fi
  kind=$(file_system_of "$device")
  if [[ -z $kind ]]; then
    step="format $device"
    mkfs.ext4 -q -i 8192 "$device"
    say "$device had no file system: formatted"
    kind=ext4
  else
    say "$device holds $kind: kept"
  fi
  step="mount $device"
  mkdir -p "$container"
  mount -t "$kind" "$device" "$container"
  echo "$device $container $kind defaults 0 0" >>/etc/fstab
  local name
  for name in containerd kubelet; do
    mkdir -p "$container/$name" "/var/lib/$name"
    mount --bind "$container/$name" "/var/lib/$name"
    echo "$container/$name /var/lib/$name none bind 0 0" >>/etc/fstab
  done
  say "$device is mounted at $container"
}

# Prints nothing for an empty disk. Fails on a disk that cannot be read or that carries the marks
# of several file systems: formatting that would destroy data.
file_system_of() {
  local code=0
  blkid -p -s TYPE -o value "$1" || code=$?
  [[ $code == 0 || $code == 2 ]]
}

# ACK looks at the disk first. A package of another version than the cluster's would make a node
# that cannot join, so it counts as not there.
install_kubelet() {
  local source=$container/ack/kubernetes scratch=/var/cache/ack
  if [[ ! -d $source ]]; then
    say 'no kubelet package on the data disk'
    download_kubelet "$scratch"
    source=$scratch/pkg/kubernetes
  elif [[ $(<"$source/VERSION") == "$KUBERNETES_VERSION" ]]; then
    say "kubelet package found at $source"
  else
    say "kubelet package at $source is $(<"$source/VERSION"), not $KUBERNETES_VERSION: not used"
    download_kubelet "$scratch"
    source=$scratch/pkg/kubernetes
  fi
  step="install the kubelet package from $source"
  mkdir -p /opt/kubernetes
  cp -a "$source/." /opt/kubernetes/
  say "installed the kubelet package from $source"
}

download_kubelet() {
  local scratch=$1
  step="download $package"
  mkdir -p "$scratch"
  curl -fsS --retry 3 -o "$scratch/$package" "$PACKAGES_URL/public/pkg/kubernetes/$package"
  say "downloaded $package, $(stat -c %s "$scratch/$package") bytes"
  step="unpack $package"
  tar -xf "$scratch/$package" -C "$scratch"
  rm "$scratch/$package"
}

say() {
  echo "$(date --utc +%FT%T.%3NZ) ack-init: $*"
}

main
