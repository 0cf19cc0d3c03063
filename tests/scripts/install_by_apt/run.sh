# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
run install_runtime.sh 1.6.20
systemctl is-active containerd
