# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# containerd is installed and not running.
quietly run install_runtime.sh 1.6.20
systemctl stop containerd
run list_images.sh
